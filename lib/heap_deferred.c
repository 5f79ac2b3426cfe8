// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: blocks that are freed later.
 *
 * What can't wait for the lock, an NMI handler say, queues a block: a list without a lock,
 * linked through the blocks. The map entries of a block in use don't change, so
 * that the block can be checked before, without the lock. A mark in the block, which
 * it gets by an atomic exchange, keeps it from being queued twice.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/preempt.h>

#include "heap_internal.h"

/* Queued blocks that are freed without dropping the lock. */
#define REAP_BATCH	4

/* The queue is empty, or so it seems: who pushes meanwhile says so after pushing. */
static void end_of_queue(struct quarry_heap *heap)
{
	WRITE_ONCE(heap->queued, false);
	/* Pairs with that of quarry_heap_free_deferred(). */
	smp_mb();
	if (READ_ONCE(heap->deferred.first))
		WRITE_ONCE(heap->queued, true);
}

/* Take @first out of the queue; false if others come before it now. */
static bool pop_deferred(struct quarry_heap *heap, struct llist_node *first)
{
	return cmpxchg(&heap->deferred.first, first, first->next) == first;
}

/*
 * Free the block that was queued last. Whoever writes into a block after freeing it
 * may have hit the link to the next one, so each must be seen to be a block in use,
 * with its mark, before it is touched. False if there is none.
 */
bool __quarry_heap_reap_one(struct quarry_heap *heap)
{
	struct llist_node *first = READ_ONCE(heap->deferred.first);
	unsigned long addr = (unsigned long)first;
	struct quarry_heap_extent *extent;
	struct heap_spot spot = {};

	if (!first || heap->broken) {
		end_of_queue(heap);
		return false;
	}
	extent = extent_at(heap, addr);
	if (!find_addr(heap, extent, addr, &spot) || !has_deferred_mark(heap, addr)) {
		__quarry_heap_broken(heap, "a block to be freed was written to", NO_REF);
		return false;
	}
	/* There is one who pops, by the lock; who pushes meanwhile makes this fail. */
	if (!pop_deferred(heap, first))
		return false;
	((struct heap_deferred *)addr)->mark = 0;
	__quarry_heap_release(heap, extent, addr, &spot);
	return true;
}

/* Free all that is queued, a few blocks at a time; returns how many. */
unsigned long __quarry_heap_reap(struct quarry_heap *heap)
{
	unsigned long irq, nr = 0;
	unsigned int budget;

	while (READ_ONCE(heap->queued) && !READ_ONCE(heap->broken)) {
		raw_spin_lock_irqsave(&heap->lock, irq);
		for (budget = REAP_BATCH; budget && __quarry_heap_reap_one(heap); budget--)
			nr++;
		unlock_freed(heap, irq);
	}
	return nr;
}

/**
 * quarry_heap_reap() - free all blocks that wait to be freed
 * @heap: the heap
 *
 * Context: any but NMI. O(blocks), the lock held for a few at a time.
 * Return: how many blocks were freed.
 */
unsigned long quarry_heap_reap(struct quarry_heap *heap)
{
	return __quarry_heap_reap(heap);
}
EXPORT_SYMBOL_GPL(quarry_heap_reap);

/*
 * The extent that holds an address, without the lock: that of a block in use stays
 * what it is. Extents keep their places in the array.
 */
const struct quarry_heap_extent *__quarry_heap_extent_unlocked(const struct quarry_heap *heap,
							       unsigned long addr)
{
	unsigned int i;

	for (i = 0; i < QUARRY_HEAP_MAX_EXTENTS; i++) {
		const struct quarry_heap_extent *extent = &heap->extents[i];
		/* Pairs with __quarry_heap_publish(). */
		unsigned long size = smp_load_acquire(&extent->size);

		if (addr - READ_ONCE(extent->base) < size)
			return extent;
	}
	return NULL;
}

/* Refuse what free_deferred() was given; NMIs only count. */
static noinline __cold int refuse_deferred(struct quarry_heap *heap, enum heap_verdict verdict,
					   unsigned long addr, unsigned long caller)
{
	if (!in_nmi())
		return __quarry_heap_refuse_addr(heap, verdict, addr, caller);
	if (verdict == OUT_OF_SERVICE)
		return -EIO;
	atomic_long_inc(&heap->nr_refused);
	return verdict >= FREE_ALREADY ? -ENOENT : -EINVAL;
}

/**
 * quarry_heap_free_deferred() - free a block later
 * @heap: the heap
 * @block: as for quarry_heap_free()
 *
 * For contexts that must not wait for the lock: the block is checked and queued
 * without it. Each allocation and each freeing frees one queued block, an
 * allocation that would fail, quarry_heap_reap() and all that looks at the heap
 * as a whole free all. Until then it counts as in use. Tasks that wait for memory
 * are served only then.
 *
 * The queue is linked through the blocks: whoever writes into a block after this
 * may take the heap out of service.
 *
 * Context: any, NMI included on machines whose cmpxchg() may be used there.
 * O(extents).
 * Return: as quarry_heap_free(); -ENOENT also if the block is queued already.
 */
int quarry_heap_free_deferred(struct quarry_heap *heap, const void *block)
{
	struct heap_deferred *deferred = (struct heap_deferred *)block;
	unsigned long old, mark, addr = (unsigned long)block;
	const struct quarry_heap_extent *extent;
	enum heap_verdict verdict;
	struct heap_spot spot = {};

	if (!block)
		return 0;
	extent = __quarry_heap_extent_unlocked(heap, addr);
	if (READ_ONCE(heap->broken) || !find_addr(heap, extent, addr, &spot)) {
		verdict = __quarry_heap_why_not(heap, extent, addr);
		return refuse_deferred(heap, verdict, addr, _RET_IP_);
	}

	if (is_cached(heap, spot.class, addr))
		return refuse_deferred(heap, FREE_ALREADY, addr, _RET_IP_);

	mark = deferred_mark(heap, addr);
	do {
		old = READ_ONCE(deferred->mark);
		if (old == mark)
			return refuse_deferred(heap, QUEUED_ALREADY, addr, _RET_IP_);
	} while (cmpxchg(&deferred->mark, old, mark) != old);
	llist_add(&deferred->node, &heap->deferred);
	/* After the block is there; pairs with that of end_of_queue(). */
	smp_mb();
	WRITE_ONCE(heap->queued, true);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_heap_free_deferred);
