// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: figures.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/math64.h>

#include "heap_internal.h"
#include "magazine.h"

/* The bytes of the largest block that can be had without growing. */
unsigned long __quarry_heap_largest(struct quarry_heap *heap)
{
	unsigned long run = (unsigned long)__quarry_heap_largest_run(heap) << heap->page_shift;
	u64 classes = heap->long_classes | heap->short_classes;
	unsigned long small = 0;

	if (classes)
		small = heap->classes[fls64(classes) - 1].size;
	return max(run, small);
}

/* Thousandths of the free memory that are outside the largest free block. */
static unsigned int fragmentation(u64 free, u64 largest)
{
	return free ? div64_u64((free - largest) * 1000, free) : 0;
}

/* Blocks in use, of all classes and runs. */
u64 __quarry_heap_nr_used(const struct quarry_heap *heap)
{
	u64 nr = heap->nr_runs;
	unsigned int i;

	lockdep_assert_held(&heap->lock);

	for (i = 0; i < heap->nr_classes; i++)
		nr += heap->classes[FIRST_CLASS + i].nr_used;
	return nr;
}

/**
 * quarry_heap_stats() - the figures of this moment
 * @heap: the heap
 * @stats: filled in; with caching, exact if nobody uses the heap meanwhile
 *
 * Frees first what is queued.
 *
 * Context: any but NMI. O(classes); with caching, O(classes * CPUs).
 */
void quarry_heap_stats(struct quarry_heap *heap, struct quarry_heap_stats *stats)
{
	u64 nr_frees, nr_used;
	struct heap_cached cached;
	unsigned long irq;

	__quarry_heap_reap(heap);
	cached = __quarry_heap_count_cached(heap);

	raw_spin_lock_irqsave(&heap->lock, irq);
	nr_used = __quarry_heap_nr_used(heap);
	/* What went to magazines and came from there wasn't seen. */
	nr_frees = heap->nr_allocs - nr_used + heap->nr_recycled + cached.nr_puts;
	nr_used -= cached.nr;
	*stats = (struct quarry_heap_stats) {
		.total = heap->total - heap->own,
		.memory = heap->memory,
		.used = heap->used - cached.size,
		.free = heap->total - heap->own - heap->used + cached.size,
		.cached = cached.size,
		.peak = heap->peak,
		.largest_free = __quarry_heap_largest(heap),
		.page_size = page_size(heap),
		.nr_used = nr_used,
		.nr_allocs = nr_frees + nr_used,
		.nr_frees = nr_frees,
		.nr_failures = heap->nr_failures,
		.nr_misuses = atomic_long_read(&heap->nr_refused),
		.nr_grows = heap->nr_grows,
		.nr_gives = heap->nr_gives,
		.nr_waiting = heap->nr_waiting,
		.nr_extents = heap->nr_extents,
		.nr_classes = heap->nr_classes,
		.last_failure = heap->last_failure,
	};
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	stats->fragmentation = fragmentation(stats->free, stats->largest_free);
}
EXPORT_SYMBOL_GPL(quarry_heap_stats);

/**
 * quarry_heap_class_stats() - figures of one class of small blocks
 * @heap: the heap
 * @index: which class, from 0 up to the number that quarry_heap_stats() says, by size
 * @stats: filled in
 *
 * Context: any but NMI. O(1); with caching, O(CPUs).
 * Return: 0; -ENOENT if there is no such class; -EINVAL if @stats is NULL.
 */
int quarry_heap_class_stats(struct quarry_heap *heap, unsigned int index,
			    struct quarry_heap_class_stats *stats)
{
	struct quarry_magazines_stats cached = {};
	const struct quarry_heap_class *class;
	u64 nr_long, nr_short;
	unsigned long irq;

	if (!stats)
		return -EINVAL;
	if (index >= heap->nr_classes)
		return -ENOENT;
	class = &heap->classes[FIRST_CLASS + index];
	quarry_heap_cache_stats(heap, index, &cached);

	raw_spin_lock_irqsave(&heap->lock, irq);
	nr_long = heap->nr_long[class->index];
	nr_short = heap->nr_short[class->index];
	*stats = (struct quarry_heap_class_stats) {
		.size = class->size,
		.nr_used = class->nr_used - cached.nr_cached,
		.nr_free = nr_long * class->long_blocks + nr_short * class->short_blocks -
			   class->nr_used + cached.nr_cached,
		.nr_cached = cached.nr_cached,
		.nr_buckets = nr_long + nr_short,
		.bytes = (nr_long * class->long_pages + nr_short) << heap->page_shift,
	};
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_heap_class_stats);

/**
 * quarry_heap_extent_stats() - figures of one extent
 * @heap: the heap
 * @index: which extent, from 0, the one that the heap has for longest
 * @stats: filled in
 *
 * Context: any but NMI. O(1).
 * Return: 0; -ENOENT if there is no such extent; -EINVAL if @stats is NULL.
 */
int quarry_heap_extent_stats(struct quarry_heap *heap, unsigned int index,
			     struct quarry_heap_extent_stats *stats)
{
	const struct quarry_heap_extent *extent;
	unsigned long irq;
	int err = -ENOENT;

	if (!stats)
		return -EINVAL;

	raw_spin_lock_irqsave(&heap->lock, irq);
	if (index < heap->nr_extents) {
		extent = &heap->extents[heap->by_age[index]];
		*stats = (struct quarry_heap_extent_stats) {
			.memory = (void *)extent->memory,
			.size = extent->memory_size,
			.total = extent->size,
			.free = (u64)extent->nr_free << heap->page_shift,
			.grown = extent->grown,
		};
		err = 0;
	}
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_heap_extent_stats);
