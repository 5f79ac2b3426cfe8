/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_REGION_H
#define QUARRY_REGION_H

#include <linux/types.h>

/**
 * struct quarry_region - a contiguous range of addresses
 * @base: first address
 * @size: bytes (or whatever unit the addresses count), never 0
 *
 * A description, not a reservation: who made it says what the addresses mean.
 * The range may end at the very top of the 64-bit space, so use
 * quarry_region_last() and not base + size, which is then 0.
 */
struct quarry_region {
	u64 base;
	u64 size;
};

/**
 * quarry_region_last() - the last address of a region
 * @region: a valid region
 *
 * Context: any. O(1).
 * Return: the last address that belongs to @region.
 */
static inline u64 quarry_region_last(const struct quarry_region *region)
{
	return region->base + (region->size - 1);
}

/**
 * quarry_is_power_of_2() - whether a number is a power of two
 * @number: the number, all of it; is_power_of_2() sees a long, which may be half
 *
 * Context: any. O(1).
 * Return: true if it is; false for 0.
 */
static inline bool quarry_is_power_of_2(u64 number)
{
	return number && !(number & (number - 1));
}

int quarry_region_init(struct quarry_region *region, u64 base, u64 size);
int quarry_region_trim(struct quarry_region *region, u64 granule);
bool quarry_region_contains(const struct quarry_region *region, u64 addr, u64 size);
bool quarry_region_overlaps(const struct quarry_region *a, const struct quarry_region *b);

#endif /* QUARRY_REGION_H */
