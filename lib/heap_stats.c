// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: figures.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/math64.h>

#include "heap_internal.h"

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
 * @stats: filled in
 *
 * Frees first what is queued.
 *
 * Context: any but NMI. O(classes).
 */
void quarry_heap_stats(struct quarry_heap *heap, struct quarry_heap_stats *stats)
{
	u64 nr_used;
	unsigned long irq;

	__quarry_heap_reap(heap);

	raw_spin_lock_irqsave(&heap->lock, irq);
	nr_used = __quarry_heap_nr_used(heap);
	*stats = (struct quarry_heap_stats) {
		.total = heap->total,
		.memory = heap->memory,
		.used = heap->used,
		.free = heap->total - heap->used,
		.peak = heap->peak,
		.largest_free = __quarry_heap_largest(heap),
		.page_size = page_size(heap),
		.nr_used = nr_used,
		.nr_allocs = heap->nr_allocs,
		.nr_frees = heap->nr_allocs - nr_used,
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
 * Context: any but NMI. O(1).
 * Return: 0; -ENOENT if there is no such class; -EINVAL if @stats is NULL.
 */
int quarry_heap_class_stats(struct quarry_heap *heap, unsigned int index,
			    struct quarry_heap_class_stats *stats)
{
	const struct quarry_heap_class *class;
	unsigned long irq;

	if (!stats)
		return -EINVAL;
	if (index >= heap->nr_classes)
		return -ENOENT;
	class = &heap->classes[FIRST_CLASS + index];

	raw_spin_lock_irqsave(&heap->lock, irq);
	*stats = (struct quarry_heap_class_stats) {
		.size = class->size,
		.nr_used = class->nr_used,
		.nr_free = (u64)class->nr_long * class->long_blocks +
			   (u64)class->nr_short * class->short_blocks - class->nr_used,
		.nr_buckets = (u64)class->nr_long + class->nr_short,
		.bytes = ((u64)class->nr_long * class->long_pages + class->nr_short) <<
			 heap->page_shift,
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
