/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_INSTANCE_H
#define QUARRY_INSTANCE_H

#include "../lib/backend.h"
#include "../lib/buddy.h"
#include "../lib/heap.h"
#include "../lib/malloc.h"
#include "../lib/qcache.h"
#include "../lib/region.h"
#include "../lib/vmem.h"
#include "../lib/zone.h"
#include "default.h"
#include "reserve.h"

/**
 * struct quarry_instance - a region of memory and the allocators in it
 * @reservation: the region, as the host gave it
 * @managed: the part of it that is handed out: all but the metadata at its end
 * @buddy: cuts @managed into blocks
 * @backend: hands blocks of @buddy to what stands on it
 * @zone: objects of any size, in slabs from @backend
 * @heap: blocks of any size, in extents from @backend
 * @vmem: an arena of addresses of half the region, imported from @buddy
 * @malloc: blocks of any size, from @zone, @heap or @buddy
 * @ctl_blocks: a bit for every page of @managed, set where a block starts that
 *	was made through debugfs
 * @ctl_segments: the same for the segments of @vmem
 */
struct quarry_instance {
	struct quarry_reservation reservation;
	struct quarry_region managed;
	struct quarry_buddy buddy;
	struct quarry_backend backend;
	struct quarry_zone zone;
	struct quarry_heap heap;
	struct quarry_vmem vmem;
	struct quarry_malloc malloc;
	unsigned long *ctl_blocks;
	unsigned long *ctl_segments;
};

/**
 * quarry_instance_next_block() - walk over all that the buddy manages
 * @instance: the instance
 * @block: the block to go on from; all zero to begin
 *
 * The buddy may change between two steps.
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: whether there is one more block, in use or free, now in @block.
 */
static inline bool quarry_instance_next_block(struct quarry_instance *instance,
					      struct quarry_buddy_block *block)
{
	u64 addr = block->size ? block->addr + block->size : instance->managed.base;

	return !quarry_buddy_next(&instance->buddy, addr, block);
}

/**
 * quarry_instance_offset() - how an address is shown to people
 * @instance: the instance
 * @addr: an address
 *
 * Return: the offset of @addr into the region, which is the same in debugfs and in
 * the log and doesn't tell where in memory the region is.
 */
static inline u64 quarry_instance_offset(const struct quarry_instance *instance, u64 addr)
{
	return addr - instance->managed.base;
}

extern struct quarry_instance quarry_default_instance;

int quarry_instance_init(struct quarry_instance *instance,
			 const struct quarry_reserve_request *want);
void quarry_instance_fini(struct quarry_instance *instance);
void *quarry_instance_take(struct quarry_instance *instance, size_t size);
void quarry_instance_give(struct quarry_instance *instance, void *range, size_t size);

#endif /* QUARRY_INSTANCE_H */
