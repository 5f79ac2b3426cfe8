// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: the beginning and the end.
 *
 * Here is decided how blocks of each class lie in pages. A bucket of a class is as
 * few pages as leave little over behind its last block, for a heap has half a
 * bucket to spare in each class that is in use.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/limits.h>
#include <linux/math.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "heap_internal.h"

/* ---- Classes ---- */

/* Blocks of at most 8 pages come from buckets. */
#define SMALL_SHIFT		3

/* Bytes of so many pages that are left over. */
static unsigned int waste(unsigned int page_shift, u32 size, unsigned int nr_pages)
{
	return (nr_pages << page_shift) % size;
}

/*
 * How many blocks a long bucket has at least: the more, the rarer one is made and given back,
 * but the more of it lies idle. Blocks of four pages and more are packed best by few, or by
 * runs of their own.
 */
static unsigned int min_long_blocks(unsigned int page_shift, u32 size)
{
	return size < 4U << page_shift ? 8 : 1;
}

/*
 * The fewest pages of which at most a 64th is left over, or else those of which the
 * least is, in proportion; 0 if even the fewest would hold more blocks than there
 * are bits.
 */
static unsigned int long_pages(unsigned int page_shift, u32 size)
{
	u32 bytes = min_long_blocks(page_shift, size) * size;
	unsigned int nr = max_t(unsigned int, DIV_ROUND_UP(bytes, 1U << page_shift),
				MIN_LONG_PAGES);
	unsigned int best = nr;

	if ((nr << page_shift) / size > MAX_LONG_BLOCKS)
		return 0;
	for (; nr <= MAX_LONG_PAGES && (nr << page_shift) / size <= MAX_LONG_BLOCKS; nr++) {
		unsigned int left = waste(page_shift, size, nr);

		if (left <= nr << page_shift >> 6)
			return nr;
		if (left * best < waste(page_shift, size, best) * nr)
			best = nr;
	}
	return best;
}

/* A bucket of one block, here and below, is no better than a run of pages. */
static void init_short(struct quarry_heap_class *class, unsigned int nr)
{
	if (nr < 2)
		return;
	class->short_blocks = nr;
	class->short_valid = ~0U >> (32 - nr);
}

static void init_long(const struct quarry_heap *heap, struct quarry_heap_class *class,
		      unsigned int nr_pages)
{
	unsigned int nr = (nr_pages << heap->page_shift) / class->size;

	if (nr < 2)
		return;
	class->long_pages = nr_pages;
	class->long_blocks = nr;
	class->long_valid = ~0ULL >> (64 - nr);
}

static void init_class(struct quarry_heap *heap, unsigned int kind)
{
	struct quarry_heap_class *class = &heap->classes[kind];
	u32 size = class_size(kind);
	unsigned int align;

	class->index = kind;
	class->size = size;
	class->long_list = NO_REF;
	class->short_list = NO_REF;
	class->reciprocal = DIV_ROUND_UP_ULL(BIT_ULL(32), size);
	init_long(heap, class, long_pages(heap->page_shift, size));
	init_short(class, page_size(heap) / size);

	for (align = 0; align < QUARRY_HEAP_NR_ALIGNS; align++)
		if (IS_ALIGNED(size, QUARRY_HEAP_MIN_ALIGN << align))
			heap->multiples[align] |= BIT_ULL(kind);
}

static_assert(QUARRY_HEAP_MIN_ALIGN << (QUARRY_HEAP_NR_ALIGNS - 1) == 1 << MAX_PAGE_SHIFT);
static_assert(1 << MAX_PAGE_SHIFT <= MAX_SHORT_BLOCKS * 16);

/* The class of the smallest blocks that hold a size. */
static unsigned int class_of(size_t size)
{
	size_t last = size <= 64 ? (size - 1) | 8 : size - 1;
	unsigned int shift = __fls(last | 64) - 3;

	return (shift - 3) * 8 + (last >> shift);
}

/* Those of small blocks: the others are never taken from. */
static void init_classes(struct quarry_heap *heap)
{
	unsigned int kind, step;

	heap->max_small = 1U << (heap->page_shift + SMALL_SHIFT);
	for (kind = FIRST_CLASS; kind <= class_of(heap->max_small); kind++)
		init_class(heap, kind);
	heap->nr_classes = kind - FIRST_CLASS;
	for (step = 0; step < heap->max_small >> STEP_SHIFT; step++)
		heap->steps[step] = class_of((step + 1) << STEP_SHIFT) *
				    sizeof(struct quarry_heap_class);
}

static_assert(QUARRY_HEAP_NR_STEPS << STEP_SHIFT == 1 << (MAX_PAGE_SHIFT + SMALL_SHIFT));
static_assert(QUARRY_HEAP_NR_CLASSES * sizeof(struct quarry_heap_class) <= U16_MAX);

/* ---- The beginning ---- */

/*
 * A number that no other heap's marks were made with, in this memory or elsewhere. It is
 * odd, so that no mark is a pointer to something aligned, nor 0.
 */
static unsigned long new_secret(void)
{
	static atomic_long_t nr_heaps;

	return hash_long(atomic_long_inc_return(&nr_heaps), BITS_PER_LONG) | 1;
}

/* Where there is no extent, a base is above all addresses. */
static void init_bases(struct quarry_heap *heap)
{
	unsigned int i;

	for (i = 0; i < QUARRY_HEAP_MAX_EXTENTS; i++) {
		heap->by_addr[i].addr = ULONG_MAX;
		heap->by_addr[i].extent = heap->extents;
	}
}

/* Everything but what depends on the memory. */
static void init(struct quarry_heap *heap, const char *name, unsigned int page_shift)
{
	memset(heap, 0, sizeof(*heap));
	raw_spin_lock_init(&heap->lock);
	heap->name = name;
	heap->page_shift = page_shift;
	heap->secret = new_secret();
	heap->last = heap->extents;
	init_bases(heap);
	heap->waiters = RB_ROOT;
	init_classes(heap);
}

/**
 * quarry_heap_init() - make a heap of some memory
 * @heap: the heap, in memory of the caller's
 * @name: what the log calls it; kept, not copied
 * @memory: its first extent, as for quarry_heap_extend(); NULL if there is none yet
 * @size: its size; 0 if there is none yet
 * @page_size: a power of two from 8 B to 4 MiB. Larger pages take less memory for
 *	their map, smaller ones leave less over in large blocks. A heap works with
 *	pages of 64 to 512 B, so what is outside of this is taken for the nearest
 *
 * Context: any, nothing else may use @heap. O(pages), for clearing the map.
 * Return: 0; -EINVAL if an argument is wrong; -ENOMEM if not even one page and its map
 * fit. The memory is not written then.
 */
int quarry_heap_init(struct quarry_heap *heap, const char *name, void *memory, size_t size,
		     size_t page_size)
{
	unsigned int page_shift = __quarry_heap_page_shift(page_size);

	if (!heap || !name || !page_shift)
		return -EINVAL;
	if (!memory != !size || (unsigned long)memory + size < (unsigned long)memory)
		return -EINVAL;

	init(heap, name, page_shift);
	if (!memory)
		return 0;
	return __quarry_heap_add_extent(heap, memory, size);
}
EXPORT_SYMBOL_GPL(quarry_heap_init);

/* ---- The end ---- */

/* Serve nothing more, and forget what is in use. */
static void close(struct quarry_heap *heap)
{
	unsigned int i;

	lockdep_assert_held(&heap->lock);

	heap->closing = true;
	memset(heap->bins, 0, sizeof(heap->bins));
	memset(heap->bin_bits, 0, sizeof(heap->bin_bits));
	heap->bin_words = 0;
	heap->long_classes = 0;
	heap->short_classes = 0;
	for (i = 0; i < QUARRY_HEAP_NR_CLASSES; i++) {
		struct quarry_heap_class *class = &heap->classes[i];

		class->long_list = NO_REF;
		class->short_list = NO_REF;
		class->bits = NULL;
		class->nr_used = 0;
	}
	memset(heap->nr_long, 0, sizeof(heap->nr_long));
	memset(heap->nr_short, 0, sizeof(heap->nr_short));
	heap->nr_runs = 0;
	heap->used = 0;
	heap->own = 0;
	heap->nr_empty = 0;
	heap->due &= ~DUE_GIVE;
}

/* Give the extents to whom they belong, the oldest first. */
static void flush_extents(struct quarry_heap *heap, quarry_heap_flush_t flush, void *ctx)
{
	struct quarry_heap_extent_stats extent = {};
	unsigned long irq;
	bool found;

	do {
		raw_spin_lock_irqsave(&heap->lock, irq);
		found = __quarry_heap_remove_first(heap, &extent);
		raw_spin_unlock_irqrestore(&heap->lock, irq);

		if (found && extent.grown)
			heap->grower.give(heap->grower.ctx, extent.memory, extent.size);
		else if (found && flush)
			flush(ctx, extent.memory, extent.size);
	} while (found);
}

/*
 * End a heap, if nothing is in use or if it doesn't matter; returns how many blocks
 * were in use.
 */
static u64 end(struct quarry_heap *heap, bool regardless, quarry_heap_flush_t flush, void *ctx)
{
	struct quarry_backend *backend = heap->backend;
	unsigned long irq;
	bool closed;
	u64 nr;

	__quarry_heap_reap(heap);
	__quarry_heap_drain_cached(heap);

	raw_spin_lock_irqsave(&heap->lock, irq);
	nr = __quarry_heap_nr_used(heap);
	closed = !nr || regardless;
	if (closed)
		close(heap);
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	if (!closed)
		return nr;
	__quarry_heap_dismiss(heap);
	__quarry_heap_end_caching(heap);
	if (backend)
		quarry_backend_del_reclaimer(backend, &heap->reclaimer);
	flush_extents(heap, flush, ctx);
	heap->backend = NULL;
	heap->grower = (struct quarry_heap_grower) {};
	return nr;
}

/**
 * quarry_heap_fini() - end a heap that nothing of is in use
 * @heap: the heap
 * @nr_used: filled in with the number of blocks in use; may be NULL
 *
 * Frees first what is queued. Tasks that wait get -EIDRM, extents that the heap fetched
 * go back. Afterwards it manages nothing, and the caller may have the memory back.
 *
 * Context: any but NMI, as far as the grower allows that; a task if any task may
 * wait for memory, or with caching. O(extents).
 * Return: 0; -EBUSY, and nothing changed, if blocks are in use. Walk with
 * quarry_heap_next() to see which.
 */
int quarry_heap_fini(struct quarry_heap *heap, u64 *nr_used)
{
	u64 nr = end(heap, false, NULL, NULL);

	if (nr_used)
		*nr_used = nr;
	return nr ? -EBUSY : 0;
}
EXPORT_SYMBOL_GPL(quarry_heap_fini);

/**
 * quarry_heap_destroy() - end a heap whatever is in use
 * @heap: the heap
 * @flush: called once for each extent that the caller gave, in the order in which
 *	they came; may be NULL
 * @ctx: passed to @flush
 *
 * As quarry_heap_fini(), but blocks that are in use are lost, which is logged.
 *
 * Context: as quarry_heap_fini(), and as far as @flush allows that.
 * Return: how many blocks were in use.
 */
u64 quarry_heap_destroy(struct quarry_heap *heap, quarry_heap_flush_t flush, void *ctx)
{
	u64 nr = end(heap, true, flush, ctx);

	if (nr)
		pr_warn_ratelimited("quarry: heap %s destroyed with %llu blocks in use\n",
				    heap->name, nr);
	return nr;
}
EXPORT_SYMBOL_GPL(quarry_heap_destroy);
