// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: runs of pages, but for what lib/heap_runs.h has, which tells how free ones
 * are kept.
 */
#include <linux/bug.h>
#include <linux/string.h>

#include "heap_runs.h"

/* ---- Out of service ---- */

/* Take the heap out of service: what it finds in free memory can't be right. */
noinline __cold void __quarry_heap_broken(struct quarry_heap *heap, const char *what, u32 ref)
{
	unsigned int i;

	lockdep_assert_held(&heap->lock);

	WARN_ONCE(!heap->broken, "quarry: heap %s out of service: %s, extent %u, page %u\n",
		  heap->name, what, ref >> PAGE_BITS, ref_page(ref));

	/* With no list to take from, nothing is given out. */
	heap->broken = true;
	heap->bin_words = 0;
	memset(heap->bin_bits, 0, sizeof(heap->bin_bits));
	memset(heap->bins, 0, sizeof(heap->bins));
	for (i = 0; i < QUARRY_HEAP_NR_CLASSES; i++) {
		heap->classes[i].long_list = NO_REF;
		heap->classes[i].short_list = NO_REF;
		heap->classes[i].bits = NULL;
		WRITE_ONCE(heap->classes[i].magazines, NULL);
	}
	heap->long_classes = 0;
	heap->short_classes = 0;
}

noinline __cold void __quarry_heap_condemn(struct quarry_heap *heap, u32 ref)
{
	__quarry_heap_broken(heap, "a free run's links or map entries are damaged", ref);
}

/* ---- Free runs ---- */

unsigned int __quarry_heap_bin_of(unsigned long nr)
{
	return bin_of(nr);
}

/* Whether what is listed behind @prev is a run, and how long. */
bool __quarry_heap_is_run(struct quarry_heap *heap, const struct heap_run *run,
			  const struct quarry_heap_link *prev, u32 *nr)
{
	struct heap_place place = {};

	if (!__quarry_heap_extent(heap, (unsigned long)run) ||
	    !IS_ALIGNED((unsigned long)run, page_size(heap)) ||
	    run->prev != prev || !locate(heap, run, &place))
		return false;
	*nr = place.nr;
	return is_free_start(place.extent->kinds[place.page]);
}

/*
 * An extent that the heap fetched got so many more free pages, or less: whether it is to be given
 * back depends on how many it has.
 */
noinline void __quarry_heap_account_grown(struct quarry_heap *heap,
					  const struct quarry_heap_extent *extent, u32 more)
{
	if (extent->nr_free - more == extent->nr_pages)
		heap->nr_empty--;
	if (extent->nr_free == extent->nr_pages)
		heap->nr_empty++;
	if (heap->nr_empty > heap->grower.keep)
		heap->due |= DUE_GIVE;
	else
		heap->due &= ~DUE_GIVE;
}

/* ---- Taking ---- */

/**
 * __quarry_heap_take_behind() - take certain pages
 * @heap: the heap
 * @extent: the extent that they are in
 * @page: the first; a free run must start there
 * @nr: how many pages
 *
 * Return: whether they were free.
 */
bool __quarry_heap_take_behind(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			       u32 page, u32 nr)
{
	u32 length;

	lockdep_assert_held(&heap->lock);

	if (heap->broken || !is_free_start(extent->kinds[page]))
		return false;
	length = extent->words[page];
	if (length < nr || !remove_run(heap, extent, page, length))
		return false;

	if (length > nr)
		insert_run(heap, extent, page + nr, length - nr);
	account_pages(heap, extent, -nr);
	return true;
}

/* ---- Giving back ---- */

/**
 * __quarry_heap_give_pages() - make pages free
 * @heap: the heap
 * @extent: the extent that they are in
 * @page: the first
 * @nr: how many; their kinds are all KIND_INSIDE
 *
 * They are joined with what is free before and behind them. The run before keeps its first page,
 * and often its place in the lists as well.
 */
void __quarry_heap_give_pages(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			      unsigned long page, unsigned long nr)
{
	lockdep_assert_held(&heap->lock);

	give_pages(heap, extent, page, nr);
}

/* The pages of the longest run that __quarry_heap_take_run() can take now. */
u32 __quarry_heap_largest_run(struct quarry_heap *heap)
{
	unsigned int bin = last_bin(heap);
	struct heap_place place = {};

	lockdep_assert_held(&heap->lock);

	if (bin < EXACT_BINS)
		return bin;
	return locate(heap, heap->bins[bin].next, &place) ? place.nr : 0;
}

/* ---- Runs in use ---- */

/**
 * __quarry_heap_take_run() - take a run of pages as one block
 * @heap: the heap
 * @nr: how many pages
 *
 * The first pages of a free run, so that what is behind them is free, and it may grow.
 *
 * Return: the block, or NULL.
 */
void *__quarry_heap_take_run(struct quarry_heap *heap, unsigned long nr)
{
	struct heap_place place = {};

	return take_pages(heap, nr, false, &place) ? use_run(heap, &place, nr) : NULL;
}

/* The same at an address that is a multiple of @align, for those who needn't have it inline. */
void *__quarry_heap_take_aligned(struct quarry_heap *heap, unsigned long nr, size_t align)
{
	return take_run_aligned(heap, nr, align);
}

/*
 * A run for the heap's own use: no block, so that nobody can free it. NULL if there is none.
 */
void *__quarry_heap_take_own(struct quarry_heap *heap, size_t size, size_t align)
{
	unsigned long nr = pages_for(heap, size);
	struct heap_place place = {};

	if (align > page_size(heap) ? !take_aligned_pages(heap, nr, align, &place) :
				      !take_pages(heap, nr, false, &place))
		return NULL;
	place.extent->kinds[place.page] = KIND_OWN;
	place.extent->words[place.page] = nr;
	mark_inside(place.extent, place.page, nr);
	heap->own += nr << heap->page_shift;
	return (void *)page_addr(heap, place.extent, place.page);
}

/* The reverse. Whose memory it is, the map says: what is wrong there is seen there. */
void __quarry_heap_release_own(struct quarry_heap *heap, void *memory)
{
	struct quarry_heap_extent *extent = __quarry_heap_extent(heap, (unsigned long)memory);
	u32 page, nr;

	lockdep_assert_held(&heap->lock);

	if (heap->broken || heap->closing || WARN_ON_ONCE(!extent))
		return;
	page = ((unsigned long)memory - extent->base) >> heap->page_shift;
	nr = extent->words[page];
	if (unlikely(extent->kinds[page] != KIND_OWN || nr - 1 >= extent->nr_pages - page)) {
		__quarry_heap_condemn(heap, ref_of(heap, extent, page));
		return;
	}
	heap->own -= (unsigned long)nr << heap->page_shift;
	extent->kinds[page] = KIND_INSIDE;
	__quarry_heap_give_pages(heap, extent, page, nr);
}

/* Free a block that is a run. */
void __quarry_heap_release_run(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			       u32 page)
{
	u32 nr = extent->words[page];

	lockdep_assert_held(&heap->lock);

	if (unlikely(nr - 1 >= extent->nr_pages - page)) {
		__quarry_heap_condemn(heap, ref_of(heap, extent, page));
		return;
	}
	heap->nr_runs--;
	heap->used -= (unsigned long)nr << heap->page_shift;
	extent->kinds[page] = KIND_INSIDE;
	__quarry_heap_give_pages(heap, extent, page, nr);
}

/* A run loses its last pages, or gets those behind it; false if they are in use. */
bool __quarry_heap_resize_run(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			      u32 page, unsigned long nr)
{
	u32 old = extent->words[page];

	if (unlikely(old - 1 >= extent->nr_pages - page)) {
		__quarry_heap_condemn(heap, ref_of(heap, extent, page));
		return false;
	}
	if (nr > old && (nr > MAX_PAGES ||
			 !__quarry_heap_take_behind(heap, extent, page + old, nr - old)))
		return false;

	extent->words[page] = nr;
	if (nr < old) {
		__quarry_heap_give_pages(heap, extent, page + nr, old - nr);
		heap->used -= (unsigned long)(old - nr) << heap->page_shift;
	} else if (nr > old) {
		mark_inside(extent, page, nr);
		heap->used += (nr - old) << heap->page_shift;
		heap->peak = max(heap->peak, heap->used);
	}
	return true;
}
