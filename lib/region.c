// SPDX-License-Identifier: GPL-2.0
/*
 * Regions: ranges of addresses, described and compared.
 *
 * Everything above is told where it works by a region and checks what it is
 * given against one. The arithmetic that is easy to get wrong at the top of the
 * 64-bit space is done here once: a region may end at address 2^64, and nothing
 * here ever computes that number.
 */
#include <linux/errno.h>
#include <linux/export.h>

#include "region.h"

/**
 * quarry_region_init() - describe the range of @size addresses from @base on
 * @region: the description to fill in
 * @base: first address
 * @size: number of addresses
 *
 * Context: any. O(1).
 * Return: 0; -EINVAL, and @region unchanged, if @size is 0 or the range wraps
 * past the top of the 64-bit space.
 */
int quarry_region_init(struct quarry_region *region, u64 base, u64 size)
{
	if (!size)
		return -EINVAL;
	if (base + (size - 1) < base)
		return -EINVAL;

	region->base = base;
	region->size = size;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_region_init);

/**
 * quarry_region_trim() - shrink a region to whole granules
 * @region: the region
 * @granule: a power of two; afterwards @region starts and ends at a multiple of it
 *
 * Context: any. O(1).
 * Return: 0; -EINVAL, and @region unchanged, if @granule is no power of two or
 * no whole granule lies inside.
 */
int quarry_region_trim(struct quarry_region *region, u64 granule)
{
	u64 head, tail;

	if (!quarry_is_power_of_2(granule))
		return -EINVAL;

	head = -region->base & (granule - 1);
	tail = (quarry_region_last(region) + 1) & (granule - 1);
	if (head >= region->size || tail >= region->size - head)
		return -EINVAL;

	region->base += head;
	region->size -= head + tail;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_region_trim);

/**
 * quarry_region_contains() - whether a range lies wholly inside a region
 * @region: the region
 * @addr: first address of the range
 * @size: number of addresses of the range
 *
 * Context: any. O(1).
 * Return: true if it does; false for an empty range, which lies nowhere.
 */
bool quarry_region_contains(const struct quarry_region *region, u64 addr, u64 size)
{
	u64 offset = addr - region->base;

	return size && offset < region->size && size <= region->size - offset;
}
EXPORT_SYMBOL_GPL(quarry_region_contains);

/**
 * quarry_region_overlaps() - whether two regions share an address
 * @a: a region
 * @b: another
 *
 * Context: any. O(1).
 * Return: true if they do.
 */
bool quarry_region_overlaps(const struct quarry_region *a, const struct quarry_region *b)
{
	return a->base <= quarry_region_last(b) && b->base <= quarry_region_last(a);
}
EXPORT_SYMBOL_GPL(quarry_region_overlaps);
