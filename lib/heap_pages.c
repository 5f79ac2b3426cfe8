// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: runs of free pages.
 *
 * The free pages of all extents are kept as the longest runs possible, in lists
 * by length ("bins"): one list for each length below 32 pages, then 16 for each
 * power of two. A bit map of the lists that aren't empty, and a word of which
 * words of it aren't 0, find the first list whose runs are all long enough, in
 * two steps. When there is none, the first run of the list that the length itself
 * belongs to is tried: its runs may be long enough or not.
 *
 * A run is known by the map's entries of its first and its last page, so that what
 * lies beside pages that become free is found at once. The links of the lists are
 * pointers, and lie in the runs' first pages, in memory that anyone with a stale pointer
 * may have written to. So each run has a checksum of them, with its own address and a
 * number of the heap's in it, and they are followed only if that is right; and how long a
 * run is, and whether it is free, the map says. Damage can't make the heap give out
 * what is in use: it takes the heap out of service.
 *
 * Every operation here is O(1). After M. Masmano, I. Ripoll, A. Crespo and J. Real,
 * TLSF: a new dynamic memory allocator for real-time systems, 2004.
 */
#include <linux/bug.h>
#include <linux/string.h>

#include "heap_internal.h"

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
	}
	heap->long_classes = 0;
	heap->short_classes = 0;
}

/* ---- Bins ---- */

/* All runs of a bin below this are of one length. */
#define EXACT_BINS	32

/* The bin that a run of @nr pages belongs to. */
static __always_inline unsigned int bin_of(unsigned long nr)
{
	unsigned int shift = __fls(nr | 16) - 4;

	return shift * 16 + (nr >> shift);
}

unsigned int __quarry_heap_bin_of(unsigned long nr)
{
	return bin_of(nr);
}

/* The first bin whose runs all have at least @nr pages. */
static __always_inline unsigned int bin_from(unsigned long nr)
{
	unsigned int shift = __fls(nr | 16) - 4;

	return shift * 16 + ((nr + BIT(shift) - 1) >> shift);
}

/* The first bin from @bin on that has a run, or QUARRY_HEAP_NR_BINS. */
static __always_inline unsigned int next_bin(const struct quarry_heap *heap, unsigned int bin)
{
	unsigned int word = bin / BITS_PER_LONG;
	unsigned long bits, words;

	if (unlikely(bin >= QUARRY_HEAP_NR_BINS))
		return QUARRY_HEAP_NR_BINS;
	bits = heap->bin_bits[word] >> bin % BITS_PER_LONG;
	if (bits)
		return bin + __ffs(bits);

	words = heap->bin_words >> word >> 1;
	if (unlikely(!words))
		return QUARRY_HEAP_NR_BINS;
	word += 1 + __ffs(words);
	return word * BITS_PER_LONG + __ffs(heap->bin_bits[word]);
}

static __always_inline void mark_bin(struct quarry_heap *heap, unsigned int bin)
{
	heap->bin_bits[bin / BITS_PER_LONG] |= BIT(bin % BITS_PER_LONG);
	heap->bin_words |= BIT(bin / BITS_PER_LONG);
}

static __always_inline void unmark_bin(struct quarry_heap *heap, unsigned int bin)
{
	unsigned long *bits = &heap->bin_bits[bin / BITS_PER_LONG];

	*bits &= ~BIT(bin % BITS_PER_LONG);
	if (!*bits)
		heap->bin_words &= ~BIT(bin / BITS_PER_LONG);
}

/* ---- Lists ---- */

static __always_inline struct heap_run *run_at(const struct quarry_heap *heap,
					       const struct quarry_heap_extent *extent, u32 page)
{
	return (struct heap_run *)page_addr(heap, extent, page);
}

/* The checksum that a run's links should have. */
static __always_inline unsigned long check_of(const struct quarry_heap *heap,
					      const struct heap_run *run)
{
	return (unsigned long)run->link.next ^ (unsigned long)run->prev ^
	       (unsigned long)run ^ run->ref ^ heap->secret;
}

/* Whether what is listed behind @prev is a run whose links can be followed. */
bool __quarry_heap_is_run(struct quarry_heap *heap, const struct heap_run *run,
			  const struct quarry_heap_link *prev)
{
	const struct quarry_heap_extent *extent = __quarry_heap_extent(heap, (unsigned long)run);
	u32 page;

	if (!extent || run->prev != prev || run->link.check != check_of(heap, run))
		return false;
	page = ref_page(run->ref);
	return run->ref == ref_of(heap, extent, page) && page < extent->nr_pages &&
	       run_at(heap, extent, page) == run && extent->kinds[page] == KIND_FREE;
}

static noinline __cold void damaged(struct quarry_heap *heap,
				    const struct quarry_heap_extent *extent, u32 page)
{
	__quarry_heap_broken(heap, "a free run's links or map entries are damaged",
			     ref_of(heap, extent, page));
}

/* Let @link, whose checksum was right, lead to another run. */
static __always_inline void set_next(struct quarry_heap_link *link, struct heap_run *next)
{
	link->check ^= (unsigned long)link->next ^ (unsigned long)next;
	link->next = next;
}

/* Let a run, whose checksum was right, follow another one. */
static __always_inline void set_prev(struct heap_run *run, struct quarry_heap_link *prev)
{
	run->link.check ^= (unsigned long)run->prev ^ (unsigned long)prev;
	run->prev = prev;
}

/* Make free, as one run, pages whose kinds are all KIND_INSIDE. */
static __always_inline void insert_run(struct quarry_heap *heap,
				       struct quarry_heap_extent *extent, u32 page, u32 nr)
{
	struct heap_run *run = run_at(heap, extent, page), *next;
	unsigned int bin = bin_of(nr);
	struct quarry_heap_link *head = &heap->bins[bin];

	/* In this order, for in a run of one page the first is the last. */
	extent->kinds[page + nr - 1] = KIND_FREE_END;
	extent->words[page + nr - 1] = nr;
	extent->kinds[page] = KIND_FREE;
	extent->words[page] = nr;

	next = head->next;
	run->prev = head;
	run->link.next = next;
	run->ref = ref_of(heap, extent, page);
	run->link.check = check_of(heap, run);
	head->next = run;
	if (next)
		set_prev(next, &run->link);
	else
		mark_bin(heap, bin);
}

/*
 * Take a free run out of its list; its pages' kinds are all KIND_INSIDE then. As the map may
 * be damaged as well as the links, nothing is done that leads out of it.
 */
static __always_inline bool remove_run(struct quarry_heap *heap,
				       struct quarry_heap_extent *extent, u32 page, u32 nr)
{
	struct heap_run *run = run_at(heap, extent, page), *next;
	struct quarry_heap_link *prev;

	if (unlikely(page >= extent->nr_pages || nr - 1 >= extent->nr_pages - page ||
		     run->link.check != check_of(heap, run))) {
		damaged(heap, extent, page);
		return false;
	}
	next = run->link.next;
	prev = run->prev;
	set_next(prev, next);
	if (next)
		set_prev(next, prev);
	else if (prev == &heap->bins[bin_of(nr)])
		unmark_bin(heap, bin_of(nr));

	extent->kinds[page] = KIND_INSIDE;
	extent->kinds[page + nr - 1] = KIND_INSIDE;
	return true;
}

/* ---- Accounting ---- */

/* The pages of an extent that are in use, as far as giving it back depends on it. */
static __always_inline void account_pages(struct quarry_heap *heap,
					  struct quarry_heap_extent *extent, u32 before, u32 after)
{
	extent->nr_free = after;
	if (likely(!extent->grown))
		return;
	if (before == extent->nr_pages)
		heap->nr_empty--;
	if (after == extent->nr_pages)
		heap->nr_empty++;
	if (heap->nr_empty > heap->grower.keep)
		heap->todo |= TODO_GIVE;
	else
		heap->todo &= ~TODO_GIVE;
}

/* ---- Taking ---- */

/* The first run of the last bin that has one; there is one. */
static struct heap_run *longest_run(const struct quarry_heap *heap)
{
	unsigned int word = __fls(heap->bin_words);

	return heap->bins[word * BITS_PER_LONG + __fls(heap->bin_bits[word])].next;
}

/* The first run of a bin, if there is such a bin. */
static __always_inline struct heap_run *first_run(const struct quarry_heap *heap,
						  unsigned int bin)
{
	return bin < QUARRY_HEAP_NR_BINS ? heap->bins[bin].next : NULL;
}

/* Where a run is, and how long. */
struct heap_place {
	struct quarry_heap_extent *extent;
	u32 page;
	u32 nr;
};

/* Where a run is: what it says of itself is believed only if its checksum is right. */
static __always_inline bool locate(struct quarry_heap *heap, const struct heap_run *run,
				   struct heap_place *place)
{
	u32 ref = run->ref;

	if (unlikely(run->link.check != check_of(heap, run))) {
		__quarry_heap_broken(heap, "a free run's links are damaged", NO_REF);
		return false;
	}
	place->extent = ref_extent(heap, ref);
	place->page = ref_page(ref);
	if (unlikely(place->page >= place->extent->nr_pages)) {
		damaged(heap, place->extent, place->page);
		return false;
	}
	place->nr = place->extent->words[place->page];
	return true;
}

/*
 * A free run of at least @nr pages, or NULL: one that is just so long, or that leaves
 * enough for a long bucket, or else any.
 */
static __always_inline struct heap_run *find_run(struct quarry_heap *heap, unsigned long nr)
{
	struct heap_run *run;
	unsigned int bin;

	if (unlikely(nr > MAX_PAGES))
		return NULL;
	bin = bin_of(nr);
	if (likely(nr < EXACT_BINS)) {
		if (heap->bins[bin].next)
			return heap->bins[bin].next;
		run = first_run(heap, next_bin(heap, bin_from(nr + MIN_LONG_PAGES)));
		if (likely(run))
			return run;
		return first_run(heap, next_bin(heap, bin + 1));
	}
	run = first_run(heap, next_bin(heap, bin_from(nr)));
	return likely(run) ? run : heap->bins[bin].next;
}

/**
 * __quarry_heap_take_pages() - take a run of pages
 * @heap: the heap
 * @nr: how many pages
 *
 * From the shortest runs that are known to be long enough, the one that became
 * free last; its first pages, and what is left of it stays free.
 *
 * Return: the first page, all of whose kinds are KIND_INSIDE, or NO_REF.
 */
u32 __quarry_heap_take_pages(struct quarry_heap *heap, unsigned long nr)
{
	struct heap_place place = {};
	struct heap_run *run;

	lockdep_assert_held(&heap->lock);

	run = find_run(heap, nr);
	if (!run || !locate(heap, run, &place) || place.nr < nr ||
	    !remove_run(heap, place.extent, place.page, place.nr))
		return NO_REF;

	if (place.nr > nr)
		insert_run(heap, place.extent, place.page + nr, place.nr - nr);
	account_pages(heap, place.extent, place.extent->nr_free, place.extent->nr_free - nr);
	return ref_of(heap, place.extent, place.page);
}

/* The first page from @page on whose address has the alignment. */
static __always_inline unsigned long align_page(const struct quarry_heap *heap,
						const struct quarry_heap_extent *extent,
						u32 page, size_t align)
{
	unsigned long addr = page_addr(heap, extent, page);

	return page + ((-addr & (align - 1)) >> heap->page_shift);
}

/* Whether a free run holds @nr pages at an aligned address, and where it is. */
static bool has_aligned(struct quarry_heap *heap, const struct heap_run *run, unsigned long nr,
			size_t align, struct heap_place *place)
{
	unsigned long page, end;

	if (!locate(heap, run, place))
		return false;
	page = align_page(heap, place->extent, place->page, align);
	end = place->page + place->nr;
	return page <= end && nr <= end - page;
}

/* How many lists of runs that may be long enough or not an aligned request tries. */
#define MAX_TRIES	4

/*
 * A free run that holds @nr pages at an aligned address. One that is longer by
 * the alignment does in any case. Without one, the first runs of a few lists from the
 * shortest on that may do are tried, for most runs that are as long as the alignment
 * hold an address that has it, and last the longest.
 */
static bool find_aligned(struct quarry_heap *heap, unsigned long nr, size_t align,
			 struct heap_place *place)
{
	unsigned long slack = (align >> heap->page_shift) - 1;
	unsigned int bin, tries;
	struct heap_run *run;

	if (nr > MAX_PAGES)
		return false;
	if (slack <= MAX_PAGES - nr) {
		run = first_run(heap, next_bin(heap, bin_from(nr + slack)));
		if (run)
			return has_aligned(heap, run, nr, align, place);
	}
	bin = bin_of(nr);
	for (tries = 0; tries < MAX_TRIES; tries++, bin++) {
		bin = next_bin(heap, bin);
		run = first_run(heap, bin);
		if (!run)
			return false;
		if (has_aligned(heap, run, nr, align, place))
			return true;
	}
	return has_aligned(heap, longest_run(heap), nr, align, place);
}

/**
 * __quarry_heap_take_aligned() - take a run of pages at an aligned address
 * @heap: the heap
 * @nr: how many pages
 * @align: a power of two, above the page size
 *
 * Return: the first page, all of whose kinds are KIND_INSIDE, or NO_REF.
 */
u32 __quarry_heap_take_aligned(struct quarry_heap *heap, unsigned long nr, size_t align)
{
	struct quarry_heap_extent *extent;
	struct heap_place place = {};
	u32 start, end;

	lockdep_assert_held(&heap->lock);

	if (!find_aligned(heap, nr, align, &place))
		return NO_REF;
	extent = place.extent;
	start = align_page(heap, extent, place.page, align);
	end = place.page + place.nr;
	if (unlikely(!remove_run(heap, extent, place.page, place.nr)))
		return NO_REF;

	if (start > place.page)
		insert_run(heap, extent, place.page, start - place.page);
	if (end > start + nr)
		insert_run(heap, extent, start + nr, end - start - nr);
	account_pages(heap, extent, extent->nr_free, extent->nr_free - nr);
	return ref_of(heap, extent, start);
}

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

	if (heap->broken || extent->kinds[page] != KIND_FREE)
		return false;
	length = extent->words[page];
	if (length < nr || !remove_run(heap, extent, page, length))
		return false;

	if (length > nr)
		insert_run(heap, extent, page + nr, length - nr);
	account_pages(heap, extent, extent->nr_free, extent->nr_free - nr);
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
 * They are joined with what is free before and behind them.
 */
void __quarry_heap_give_pages(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			      u32 page, u32 nr)
{
	u32 start = page, end = page + nr;

	lockdep_assert_held(&heap->lock);

	if (unlikely(nr - 1 >= extent->nr_pages - page)) {
		damaged(heap, extent, page);
		return;
	}
	if (extent->kinds[end] == KIND_FREE) {
		u32 behind = extent->words[end];

		if (unlikely(!remove_run(heap, extent, end, behind)))
			return;
		end += behind;
	}
	if (is_free(extent->kinds[(long)page - 1])) {
		start -= extent->words[page - 1];
		if (unlikely(!remove_run(heap, extent, start, page - start)))
			return;
	}
	insert_run(heap, extent, start, end - start);
	account_pages(heap, extent, extent->nr_free, extent->nr_free + nr);
}

/* The pages of the longest run that __quarry_heap_take_pages() can take now. */
u32 __quarry_heap_largest_run(struct quarry_heap *heap)
{
	struct heap_place place = {};

	lockdep_assert_held(&heap->lock);

	if (!heap->bin_words || !locate(heap, longest_run(heap), &place))
		return 0;
	return place.nr;
}
