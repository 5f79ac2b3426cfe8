/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Heap: the part of its magazines that is on the way of each allocation and free.
 * lib/heap_cache.c tells how they work.
 */
#ifndef QUARRY_HEAP_CACHE_H
#define QUARRY_HEAP_CACHE_H

#include "heap_internal.h"
#include "magazine.h"

/*
 * The magazines that a CPU got a block from last. As far apart as the CPUs' shares of
 * magazines, so that one distance leads to both.
 */
union heap_recent {
	struct quarry_magazines *magazines;
	u8 distance[sizeof(struct quarry_magazines_cpu)];
};

/* What a block in a magazine isn't any more; see heap_cache.c. */
static __always_inline void mark_used(void *block)
{
	((struct heap_node *)block)->mark = 0;
}

/* Get a block that this CPU has at hand, and note where from; false if there is none. */
static __always_inline bool get_recent(struct quarry_heap *heap,
				       struct quarry_magazines *magazines, void **block)
{
	union heap_recent *recent = heap->recent;
	unsigned long item;
	unsigned int cpu;
	bool done;

	preempt_disable();
	cpu = smp_processor_id();
	/* Just a hint, whoever comes in between. */
	data_race(recent[cpu].magazines = magazines);
	done = __quarry_magazines_pop_here(&magazines->cpus[cpu], &item);
	preempt_enable();
	if (unlikely(!done))
		return false;
	*block = (void *)item;
	mark_used(*block);
	return true;
}

/* Whether there is nothing that blocks at hand would be in the way of. */
static __always_inline bool is_calm(const struct quarry_heap *heap)
{
	/* Asked between two looks at a share's state; see heap_cache.c, 5. */
	return !data_race(heap->attention);
}

/*
 * Put a block back if it is one that this CPU got last from the class that it got its last
 * one from: then it needn't be looked up. False for any other, and for a double free.
 */
static __always_inline bool put_recent(struct quarry_heap *heap, unsigned long addr)
{
	union heap_recent *recent = heap->recent;
	struct quarry_magazines *magazines;
	struct quarry_magazines_cpu *share;
	unsigned int cpu;
	bool done = false;
	long state;

	preempt_disable();
	cpu = smp_processor_id();
	/* As above. */
	magazines = data_race(recent[cpu].magazines);
	share = &magazines->cpus[cpu];
	state = local_read(&share->state);
	if (likely(__quarry_magazines_recalls(magazines, share, &share->nr_known, state, addr) &&
		   is_calm(heap) && !has_free_mark(heap, addr))) {
		set_free_mark(heap, addr);
		done = __quarry_magazines_push_back(share, state);
		if (unlikely(!done))
			mark_used((void *)addr);
	}
	preempt_enable();
	return done;
}

#endif /* QUARRY_HEAP_CACHE_H */
