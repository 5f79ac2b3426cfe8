/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_INJECT_H
#define QUARRY_INJECT_H

#include <linux/jump_label.h>
#include <linux/types.h>

/**
 * enum quarry_inject_point - where a failure can be injected
 * @QUARRY_INJECT_BUDDY_ALLOC: a block isn't to be had
 * @QUARRY_INJECT_SLAB_ALLOC: an object isn't to be had
 * @QUARRY_INJECT_SLAB_REFILL: the refill of a slab allocator brings nothing
 * @QUARRY_INJECT_CACHE_ALLOC: an object of a cache isn't to be had
 * @QUARRY_INJECT_CACHE_REFILL: there is nothing to fill a magazine of a cache with
 * @QUARRY_INJECT_ZONE_ALLOC: an object of a zone isn't to be had
 * @QUARRY_INJECT_HEAP_ALLOC: a block of a heap isn't to be had
 * @QUARRY_INJECT_HEAP_REFILL: a heap can fetch no extent
 * @QUARRY_INJECT_VMEM_ALLOC: a segment isn't to be had
 * @QUARRY_INJECT_VMEM_REFILL: there is nothing to fill a quantum cache with
 * @QUARRY_INJECT_VMEM_IMPORT: an arena can import no span
 * @QUARRY_INJECT_VMEM_TAGS: an arena can fetch no boundary tags
 * @QUARRY_INJECT_MALLOC_ALLOC: a block of a malloc isn't to be had
 * @QUARRY_INJECT_NR_POINTS: how many there are
 */
enum quarry_inject_point {
	QUARRY_INJECT_BUDDY_ALLOC,
	QUARRY_INJECT_SLAB_ALLOC,
	QUARRY_INJECT_SLAB_REFILL,
	QUARRY_INJECT_CACHE_ALLOC,
	QUARRY_INJECT_CACHE_REFILL,
	QUARRY_INJECT_ZONE_ALLOC,
	QUARRY_INJECT_HEAP_ALLOC,
	QUARRY_INJECT_HEAP_REFILL,
	QUARRY_INJECT_VMEM_ALLOC,
	QUARRY_INJECT_VMEM_REFILL,
	QUARRY_INJECT_VMEM_IMPORT,
	QUARRY_INJECT_VMEM_TAGS,
	QUARRY_INJECT_MALLOC_ALLOC,
	QUARRY_INJECT_NR_POINTS
};

/**
 * struct quarry_inject_settings - when a point fails
 * @probability: of each hundred calls that come so far, how many fail; 0 for none
 * @interval: only each so-manieth call comes so far; 1 for all
 * @times: how many more failures there are; -1 for no end
 * @space: bytes that are asked for before the first call comes so far
 * @seed: of the sequence of chances; 0 for another sequence each time
 */
struct quarry_inject_settings {
	unsigned int probability;
	unsigned int interval;
	int times;
	int space;
	u64 seed;
};

/* As struct fault_attr begins. */
#define QUARRY_INJECT_OFF { .interval = 1, .times = 1 }

struct fault_attr;

DECLARE_STATIC_KEY_FALSE(quarry_inject_key);

const char *quarry_inject_allocator(enum quarry_inject_point point);
const char *quarry_inject_what(enum quarry_inject_point point);
int quarry_inject_set(enum quarry_inject_point point,
		      const struct quarry_inject_settings *settings);
void quarry_inject_get(enum quarry_inject_point point, struct quarry_inject_settings *settings);
u64 quarry_inject_hits(enum quarry_inject_point point);
void quarry_inject_reset(void);
struct fault_attr *quarry_inject_attr(enum quarry_inject_point point);

bool __quarry_inject(enum quarry_inject_point point, u64 size);

/* Whether any point may fail: a nop, where the architecture has jump labels. */
static __always_inline bool quarry_inject_armed(void)
{
	return static_branch_unlikely(&quarry_inject_key);
}

/* Whether what is at a point shall fail; @size is how much is asked for. */
static __always_inline bool quarry_inject(enum quarry_inject_point point, u64 size)
{
	return quarry_inject_armed() && __quarry_inject(point, size);
}

#endif /* QUARRY_INJECT_H */
