// SPDX-License-Identifier: GPL-2.0
/*
 * Distributions of sizes. All is done in integers, and draws one random number (two
 * for a doubling and a place in it) for a size, so that a seed gives the same sizes
 * on every machine.
 */
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kstrtox.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "stress.h"

const char *const quarry_stress_spreads[STRESS_NR_SPREADS] = {
	[STRESS_UNIFORM]	= "uniform",
	[STRESS_LOG_UNIFORM]	= "log-uniform",
	[STRESS_POWER_LAW]	= "power-law",
	[STRESS_BARS]		= "SIZE:WEIGHT ...",
};

/* One "SIZE:WEIGHT". */
static int parse_bar(struct stress_sizes *sizes, char *word)
{
	struct stress_bar *bar = &sizes->bars[sizes->nr_bars];
	char *weight = strchr(word, ':');

	if (!weight || sizes->nr_bars == STRESS_MAX_BARS)
		return -EINVAL;
	*weight++ = '\0';
	if (kstrtou32(word, 0, &bar->size) || kstrtou32(weight, 0, &bar->weight))
		return -EINVAL;
	if (!bar->size || bar->size > STRESS_MAX_SIZE || !bar->weight)
		return -EINVAL;
	if (check_add_overflow(sizes->total, bar->weight, &sizes->total))
		return -EINVAL;
	sizes->nr_bars++;
	return 0;
}

static int parse_bars(struct stress_sizes *sizes, char *text)
{
	char *word;

	while ((word = strsep(&text, " \t")))
		if (*word && parse_bar(sizes, word))
			return -EINVAL;
	return sizes->nr_bars ? 0 : -EINVAL;
}

/**
 * quarry_stress_sizes_parse() - read a distribution
 * @sizes: filled in, but for its limits
 * @text: one of quarry_stress_spreads, or sizes and weights; is changed
 *
 * Context: any. O(length).
 * Return: 0; -EINVAL if that is no distribution: then @sizes is as it was.
 */
int quarry_stress_sizes_parse(struct stress_sizes *sizes, char *text)
{
	struct stress_sizes parsed = { .min = sizes->min, .max = sizes->max };

	while (parsed.spread < STRESS_BARS && strcmp(text, quarry_stress_spreads[parsed.spread]))
		parsed.spread++;
	if (parsed.spread == STRESS_BARS && parse_bars(&parsed, text))
		return -EINVAL;
	*sizes = parsed;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_stress_sizes_parse);

/**
 * quarry_stress_sizes_show() - write a distribution so that it can be read again
 * @sizes: the distribution
 * @m: the file
 *
 * Context: any.
 */
void quarry_stress_sizes_show(const struct stress_sizes *sizes, struct seq_file *m)
{
	unsigned int i;

	if (sizes->spread != STRESS_BARS) {
		seq_puts(m, quarry_stress_spreads[sizes->spread]);
		return;
	}
	for (i = 0; i < sizes->nr_bars; i++)
		seq_printf(m, "%s%u:%u", i ? " " : "", sizes->bars[i].size,
			   sizes->bars[i].weight);
}

/* A doubling at random, cut at both ends, and a number in it. */
static u64 draw_log_uniform(const struct stress_sizes *sizes, struct stress_random *random)
{
	unsigned int least = ilog2(sizes->min), most = ilog2(sizes->max);
	unsigned int log2 = least + quarry_stress_below(random, most - least + 1);
	u64 from = max(sizes->min, 1ULL << log2);
	u64 to = min(sizes->max, (2ULL << log2) - 1);

	return from + quarry_stress_below(random, to - from + 1);
}

/* The density falls with the square of the size: the inverse of what that sums up to. */
static u64 draw_power_law(const struct stress_sizes *sizes, struct stress_random *random)
{
	u32 r = quarry_stress_below(random, sizes->max - sizes->min + 1);

	return div64_u64(sizes->min * sizes->max, sizes->max - r);
}

static u64 draw_bar(const struct stress_sizes *sizes, struct stress_random *random)
{
	u32 r = quarry_stress_below(random, sizes->total);
	const struct stress_bar *bar = sizes->bars;

	while (r >= bar->weight)
		r -= bar++->weight;
	return bar->size;
}

/**
 * quarry_stress_sizes_draw() - a size
 * @sizes: a distribution; 1 <= min <= max <= STRESS_MAX_SIZE
 * @random: where randomness comes from
 *
 * Context: any. O(bars).
 * Return: the size.
 */
u64 quarry_stress_sizes_draw(const struct stress_sizes *sizes, struct stress_random *random)
{
	switch (sizes->spread) {
	case STRESS_LOG_UNIFORM:
		return draw_log_uniform(sizes, random);
	case STRESS_POWER_LAW:
		return draw_power_law(sizes, random);
	case STRESS_BARS:
		return draw_bar(sizes, random);
	default:
		return sizes->min + quarry_stress_below(random, sizes->max - sizes->min + 1);
	}
}
EXPORT_SYMBOL_GPL(quarry_stress_sizes_draw);
