// SPDX-License-Identifier: GPL-2.0
/*
 * Histograms of latencies. Each power of two has eight buckets of the same width, so
 * that a percentile, which is told as the end of its bucket, is at most an eighth too
 * large; numbers below eight have a bucket each:
 *
 *	value			bucket
 *	0 ... 7			0 ... 7
 *	8, 9 ... 15		8, 9 ... 15
 *	16-17, 18-19 ... 30-31	16, 17 ... 23
 *	32-35 ...		24 ...
 */
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "stress.h"

#define NR_SUB		BIT(STRESS_SUB_SHIFT)

static unsigned int bucket_of(u64 value)
{
	unsigned int shift;

	if (value < NR_SUB)
		return value;
	shift = ilog2(value) - STRESS_SUB_SHIFT;
	return (shift << STRESS_SUB_SHIFT) + (value >> shift);
}

/* The largest value in it. */
static u64 end_of(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < NR_SUB)
		return bucket;
	shift = (bucket >> STRESS_SUB_SHIFT) - 1;
	return (((bucket & (NR_SUB - 1)) + NR_SUB + 1ULL) << shift) - 1;
}

/**
 * quarry_stress_histogram_init() - begin with no value
 * @histogram: what is made empty
 *
 * Context: any.
 */
void quarry_stress_histogram_init(struct stress_histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
	histogram->min = U64_MAX;
}
EXPORT_SYMBOL_GPL(quarry_stress_histogram_init);

/**
 * quarry_stress_histogram_add() - count a value
 * @histogram: where
 * @value: any
 *
 * Context: any; one at a time. O(1).
 */
void quarry_stress_histogram_add(struct stress_histogram *histogram, u64 value)
{
	histogram->nr++;
	histogram->sum += value;
	histogram->min = min(histogram->min, value);
	histogram->max = max(histogram->max, value);
	histogram->buckets[bucket_of(value)]++;
}
EXPORT_SYMBOL_GPL(quarry_stress_histogram_add);

/**
 * quarry_stress_histogram_merge() - count the values of another histogram too
 * @to: where
 * @from: the other one
 *
 * Context: any.
 */
void quarry_stress_histogram_merge(struct stress_histogram *to,
				   const struct stress_histogram *from)
{
	unsigned int i;

	to->nr += from->nr;
	to->sum += from->sum;
	to->min = min(to->min, from->min);
	to->max = max(to->max, from->max);
	for (i = 0; i < STRESS_NR_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}
EXPORT_SYMBOL_GPL(quarry_stress_histogram_merge);

/**
 * quarry_stress_histogram_percentile() - the value that so many are not above
 * @histogram: the values
 * @thousandths: 500 for the median, 999 for p99.9
 *
 * Context: any.
 * Return: a value of the histogram or up to an eighth more; 0 if there is none.
 */
u64 quarry_stress_histogram_percentile(const struct stress_histogram *histogram,
				       unsigned int thousandths)
{
	u64 below = div_u64(histogram->nr * thousandths + 999, 1000);
	unsigned int i;
	u64 nr = 0;

	for (i = 0; i < STRESS_NR_BUCKETS; i++) {
		nr += histogram->buckets[i];
		if (nr && nr >= below)
			return clamp(end_of(i), histogram->min, histogram->max);
	}
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_stress_histogram_percentile);

/**
 * quarry_stress_histogram_octave() - values of one power of two
 * @histogram: the values
 * @log2: of the power, up to 63; 0 is also for the value 0
 *
 * Context: any.
 * Return: how many values there are from 2^@log2 up to, not including, 2^(@log2 + 1).
 */
u64 quarry_stress_histogram_octave(const struct stress_histogram *histogram, unsigned int log2)
{
	unsigned int i = log2 ? bucket_of(1ULL << log2) : 0;
	unsigned int end = log2 < 63 ? bucket_of(2ULL << log2) : STRESS_NR_BUCKETS;
	u64 nr = 0;

	for (; i < end; i++)
		nr += histogram->buckets[i];
	return nr;
}
EXPORT_SYMBOL_GPL(quarry_stress_histogram_octave);
