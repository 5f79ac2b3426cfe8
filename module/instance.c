// SPDX-License-Identifier: GPL-2.0
/*
 * The instance: a region and the allocators in it, wired together here and
 * nowhere else.
 *
 *	base                                            base + size
 *	| managed: what the buddy hands out  | buddy's  | bits of |
 *	|                                    | metadata | ctl     |
 *
 * All that is needed to run is inside the region, so once it is there nothing
 * more is asked of the host. The metadata is at the end, so that an offset into
 * the region is the same number as one into what the buddy manages, which is what
 * the buddy prints; and so that what is managed starts as well aligned as the host
 * gave it.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/bitmap.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "instance.h"

/* More lines than that help nobody. */
#define MAX_BLOCKS_REPORTED	64

struct quarry_instance quarry_default_instance;

static int start_buddy(struct quarry_instance *instance)
{
	const struct quarry_reservation *got = &instance->reservation;
	struct quarry_region *managed = &instance->managed;
	size_t meta_size, bits_size;
	void *meta;
	int err;

	err = quarry_region_init(managed, (unsigned long)got->base, got->size);
	if (err)
		return err;

	/* What would do for all of the region does for the part that is left. */
	meta_size = ALIGN(quarry_buddy_meta_size(managed, PAGE_SIZE), sizeof(long));
	bits_size = BITS_TO_LONGS(got->size >> PAGE_SHIFT) * sizeof(long);
	managed->size -= PAGE_ALIGN(meta_size + bits_size);
	meta = got->base + managed->size;
	instance->ctl_blocks = meta + meta_size;

	err = quarry_buddy_init(&instance->buddy, "default", managed, PAGE_SIZE,
				meta, meta_size);
	if (!err)
		quarry_buddy_set_move(&instance->buddy, quarry_buddy_move_memory, NULL);
	return err;
}

/**
 * quarry_instance_init() - take a region and start the allocators in it
 * @instance: the instance
 * @want: what region
 *
 * Context: may sleep.
 * Return: 0, or what quarry_reserve() or quarry_buddy_init() made of it; then
 * nothing is taken and @instance->reservation.why tells more.
 */
int quarry_instance_init(struct quarry_instance *instance,
			 const struct quarry_reserve_request *want)
{
	int err;

	err = quarry_reserve(&instance->reservation, want);
	if (err)
		return err;
	err = start_buddy(instance);
	if (err) {
		strscpy(instance->reservation.why, "the buddy can't be started in it",
			sizeof(instance->reservation.why));
		quarry_unreserve(&instance->reservation);
	}
	return err;
}

static void report_blocks(struct quarry_instance *instance, u64 nr_used)
{
	struct quarry_buddy_block block = {};
	u64 nr = 0;

	pr_warn("the region goes back with %llu blocks still in use:\n", nr_used);
	while (quarry_instance_next_block(instance, &block)) {
		if (block.free)
			continue;
		if (nr++ == MAX_BLOCKS_REPORTED)
			break;
		pr_warn("buddy default: block at +0x%llx of %llu bytes never freed\n",
			quarry_instance_offset(instance, block.addr), block.size);
	}
	if (nr > MAX_BLOCKS_REPORTED)
		pr_warn("and %llu more\n", nr_used - MAX_BLOCKS_REPORTED);
}

/**
 * quarry_instance_fini() - stop the allocators and give the region back
 * @instance: the instance
 *
 * Blocks that are still in use are reported, and are gone all the same: nobody is
 * left who could free them.
 *
 * Context: may sleep.
 */
void quarry_instance_fini(struct quarry_instance *instance)
{
	u64 nr_used;

	if (quarry_buddy_fini(&instance->buddy, &nr_used))
		report_blocks(instance, nr_used);
	quarry_unreserve(&instance->reservation);
}

/**
 * quarry_default_buddy() - the buddy in the module's region
 *
 * Its addresses are kernel addresses, each block is mapped memory. A module that
 * calls this can't outlive the region: the symbol that it uses holds quarry.ko,
 * which can't be removed before. It must free what it takes before it goes.
 *
 * Context: any. O(1).
 * Return: the buddy; NULL when Quarry is built in and got no region.
 */
struct quarry_buddy *quarry_default_buddy(void)
{
	return quarry_default_instance.reservation.base ? &quarry_default_instance.buddy : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_buddy);
