/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Heap: runs of pages, as far as those who take and give them need it inline.
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
#ifndef QUARRY_HEAP_RUNS_H
#define QUARRY_HEAP_RUNS_H

#include "heap_internal.h"

void __quarry_heap_condemn(struct quarry_heap *heap, u32 ref);

/* ---- Bins ---- */

/* The bin that a run of @nr pages belongs to. */
static __always_inline unsigned long bin_of(unsigned long nr)
{
	unsigned int shift;

	if (nr < EXACT_BINS)
		return nr;
	shift = __fls(nr) - 4;
	return shift * 16 + (nr >> shift);
}

/* Whether runs of @nr pages, and those of the fewer @less, belong to one bin. */
static __always_inline bool is_same_bin(unsigned long less, unsigned long nr)
{
	unsigned int shift;

	if (nr < EXACT_BINS)
		return false;
	shift = __fls(nr) - 4;
	return less >> shift == nr >> shift;
}

/* The first bin whose runs all have at least @nr pages. */
static __always_inline unsigned long bin_from(unsigned long nr)
{
	return bin_of(nr - 1) + 1;
}

/* The first bin from @bin on that has a run: that there is one may be sure, or else as below. */
static __always_inline unsigned long find_next_bin(const struct quarry_heap *heap,
						   unsigned long bin, bool sure)
{
	unsigned long word = bin / BITS_PER_LONG, bits, words;

	bits = heap->bin_bits[word] >> bin % BITS_PER_LONG;
	if (bits)
		return bin + __ffs(bits);

	words = heap->bin_words >> word >> 1;
	if (!sure && unlikely(!words))
		return QUARRY_HEAP_NR_BINS;
	word += 1 + __ffs(words);
	return word * BITS_PER_LONG + __ffs(heap->bin_bits[word]);
}

/* The first bin from @bin on that has a run, or QUARRY_HEAP_NR_BINS. */
static __always_inline unsigned long next_bin(const struct quarry_heap *heap, unsigned long bin)
{
	if (unlikely(bin >= QUARRY_HEAP_NR_BINS))
		return QUARRY_HEAP_NR_BINS;
	return find_next_bin(heap, bin, false);
}

static __always_inline void mark_bin(struct quarry_heap *heap, unsigned long bin)
{
	__set_bit(bin, heap->bin_bits);
	__set_bit(bin / BITS_PER_LONG, &heap->bin_words);
}

static __always_inline void unmark_bin(struct quarry_heap *heap, unsigned long bin)
{
	__clear_bit(bin, heap->bin_bits);
	if (!heap->bin_bits[bin / BITS_PER_LONG])
		__clear_bit(bin / BITS_PER_LONG, &heap->bin_words);
}

/* A list lost its last run: if that began right behind @prev, which is a bin. */
static __always_inline void unmark_head(struct quarry_heap *heap,
					const struct quarry_heap_link *prev)
{
	unsigned long offset = (unsigned long)prev - (unsigned long)heap->bins;

	if (offset < sizeof(heap->bins))
		unmark_bin(heap, offset / sizeof(*prev));
}

/* ---- Lists ---- */

/* Where a bin's list begins. */
static __always_inline struct quarry_heap_link *bin_head(struct quarry_heap *heap,
							 unsigned long bin)
{
	struct quarry_heap_link *head = &heap->bins[bin];

	/* One pointer, and not an index that is made one again for each use. */
	OPTIMIZER_HIDE_VAR(head);
	return head;
}

static __always_inline struct heap_run *run_at(const struct quarry_heap *heap,
					       const struct quarry_heap_extent *extent,
					       unsigned long page)
{
	return (struct heap_run *)page_addr(heap, extent, page);
}

/* The part of a run's checksum that its links have in it, which change. */
static __always_inline unsigned long mix(const struct heap_run *run)
{
	return (unsigned long)run->link.next ^ (unsigned long)run->prev;
}

/* The other part, which is the same as long as the run begins where it does. */
static __always_inline unsigned long seal_of(const struct quarry_heap *heap,
					     const struct quarry_heap_extent *extent,
					     unsigned long page, const struct heap_run *run)
{
	return free_mark(heap, (unsigned long)run) ^ ref_of(heap, extent, page);
}

/* Where a run is, and how long. */
struct heap_place {
	struct quarry_heap_extent *extent;
	u32 page;
	u32 nr;
};

/* Where a listed run is: what it says of itself is believed only if all of it agrees. */
static __always_inline bool locate(struct quarry_heap *heap, const struct heap_run *run,
				   struct heap_place *place)
{
	unsigned long ref = run->link.check ^ mix(run) ^ free_mark(heap, (unsigned long)run);
	struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 page = ref_page(ref), nr;

	if (unlikely(ref > U32_MAX || page >= extent->nr_pages ||
		     run_at(heap, extent, page) != run))
		return false;
	nr = extent->words[page];
	if (unlikely(nr - 1 >= extent->nr_pages - page))
		return false;
	place->extent = extent;
	place->page = page;
	place->nr = nr;
	return true;
}

/* Let @link, which leads to a run, lead to another one, or none; the checksum stays right. */
static __always_inline void set_next(struct quarry_heap_link *link, const struct heap_run *from,
				     struct heap_run *to)
{
	link->check ^= (unsigned long)from ^ (unsigned long)to;
	link->next = to;
}

/* Let a run, which follows a link, follow another one. */
static __always_inline void set_prev(struct heap_run *run, const struct quarry_heap_link *from,
				     struct quarry_heap_link *to)
{
	run->link.check ^= (unsigned long)from ^ (unsigned long)to;
	run->prev = to;
}

/* Whether the nth place behind the start of a page has the mark that it would have. */
static __always_inline bool has_nth(unsigned long addr, unsigned long mark, unsigned int nth)
{
	unsigned long offset = nth * QUARRY_HEAP_MIN_ALIGN;

	return *(unsigned long *)(addr + offset) == (mark ^ offset);
}

static __always_inline void set_nth(unsigned long addr, unsigned long mark, unsigned int nth)
{
	unsigned long offset = nth * QUARRY_HEAP_MIN_ALIGN;

	*(unsigned long *)(addr + offset) = mark ^ offset;
}

/* Which of the marks that a run's links take the place of are there. */
static __always_inline u8 note_marks(const struct heap_run *run, unsigned long mark)
{
	unsigned long addr = (unsigned long)run;
	u8 noted = 0;

	if (unlikely(has_nth(addr, mark, 1)))
		noted |= BIT(0);
	if (unlikely(has_nth(addr, mark, 2)))
		noted |= BIT(1);
	if (unlikely(has_nth(addr, mark, 3)))
		noted |= BIT(2);
	return noted;
}

/* Put a run in front of a bin's list. */
static __always_inline void push_run(struct quarry_heap *heap, struct heap_run *run,
				     unsigned long seal, unsigned long bin)
{
	struct quarry_heap_link *head = bin_head(heap, bin);
	struct heap_run *next = head->next;

	run->prev = head;
	run->link.next = next;
	run->link.check = seal ^ (unsigned long)next ^ (unsigned long)head;
	head->next = run;
	if (next)
		set_prev(next, head, &run->link);
	else
		mark_bin(heap, bin);
}

/* Let the map say that a run is free. Its only page may be the first and the last one. */
static __always_inline void mark_free(struct quarry_heap_extent *extent, unsigned long page,
				      unsigned long nr, u8 kind)
{
	u32 *words = &extent->words[page];
	u8 *kinds = &extent->kinds[page];

	words[0] = nr;
	words[nr - 1] = nr;
	kinds[nr - 1] = KIND_FREE_END;
	kinds[0] = kind;
}

/* Make free, as one run, pages whose kinds are all KIND_INSIDE. */
static __always_inline void insert_run(struct quarry_heap *heap,
				       struct quarry_heap_extent *extent, unsigned long page,
				       unsigned long nr)
{
	struct heap_run *run = run_at(heap, extent, page);
	unsigned long mark = free_mark(heap, (unsigned long)run);

	mark_free(extent, page, nr, KIND_FREE | note_marks(run, mark));
	push_run(heap, run, mark ^ ref_of(heap, extent, page), bin_of(nr));
}

/* Take a run, whose checksum was right, out of its list. */
static __always_inline void unlink_run(struct quarry_heap *heap, const struct heap_run *run)
{
	struct quarry_heap_link *prev = run->prev;
	struct heap_run *next = run->link.next;

	set_next(prev, run, next);
	if (next)
		set_prev(next, &run->link, prev);
	else
		unmark_head(heap, prev);
}

/*
 * Whether the links of a run are right that the map says is free. As the map may be damaged as
 * well, nothing is asked that leads out of the extent.
 */
static __always_inline bool has_checksum(const struct heap_run *run, unsigned long seal)
{
	return likely(run->link.check == (mix(run) ^ seal));
}

/* The same, and whether so many pages from there on lie in the extent. */
static __always_inline bool is_run_right(const struct quarry_heap *heap,
					 const struct quarry_heap_extent *extent,
					 unsigned long page, unsigned long nr)
{
	const struct heap_run *run = run_at(heap, extent, page);

	return likely(nr - 1 < extent->nr_pages - page) &&
	       has_checksum(run, seal_of(heap, extent, page, run));
}

/* Take a free run out of its list; its pages' kinds are all KIND_INSIDE then. */
static __always_inline bool remove_run(struct quarry_heap *heap,
				       struct quarry_heap_extent *extent, unsigned long page,
				       unsigned long nr)
{
	u8 *kinds = extent->kinds;

	if (unlikely(!is_run_right(heap, extent, page, nr))) {
		__quarry_heap_condemn(heap, ref_of(heap, extent, page));
		return false;
	}
	unlink_run(heap, run_at(heap, extent, page));
	kinds[page] = KIND_INSIDE;
	kinds[page + nr - 1] = KIND_INSIDE;
	return true;
}

/* Take the first run of a bin, which locate() has seen, out of its list. */
static __always_inline void pop_run(struct quarry_heap *heap, struct heap_run *run,
				    unsigned int bin)
{
	struct quarry_heap_link *head = bin_head(heap, bin);
	struct heap_run *next = run->link.next;

	head->next = next;
	if (next)
		set_prev(next, &run->link, head);
	else
		unmark_bin(heap, bin);
}

/* ---- Accounting ---- */

void __quarry_heap_account_grown(struct quarry_heap *heap,
				 const struct quarry_heap_extent *extent, u32 more);

/* So many more pages of an extent are free, or less. */
static __always_inline void account_pages(struct quarry_heap *heap,
					  struct quarry_heap_extent *extent, u32 more)
{
	extent->nr_free += more;
	if (unlikely(extent->grown))
		__quarry_heap_account_grown(heap, extent, more);
}

/* ---- Taking ---- */

/*
 * The first bin that has a run of at least @nr pages, or QUARRY_HEAP_NR_BINS: one whose
 * runs are just so long, or leave enough for a long bucket, or else any. That of a
 * length itself may have longer runs as well, but only its first is looked at.
 */
static __always_inline unsigned int find_bin(const struct quarry_heap *heap, unsigned long nr,
					     bool few)
{
	unsigned int bin, roomy;

	if (few || likely(nr < EXACT_BINS)) {
		if (heap->bins[nr].next)
			return nr;
		roomy = few ? nr + MIN_LONG_PAGES :
			      min_t(unsigned long, nr + MIN_LONG_PAGES, EXACT_BINS);
		bin = next_bin(heap, nr + 1);
		if (likely(bin >= roomy))
			return bin;
		roomy = next_bin(heap, roomy);
		return likely(roomy < QUARRY_HEAP_NR_BINS) ? roomy : bin;
	}
	if (unlikely(nr > MAX_PAGES))
		return QUARRY_HEAP_NR_BINS;
	bin = next_bin(heap, bin_from(nr));
	if (unlikely(bin >= QUARRY_HEAP_NR_BINS && heap->bins[bin_of(nr)].next))
		return bin_of(nr);
	return bin;
}

/*
 * A run, the first of @bin, loses its last pages. It keeps its first page, so that often
 * it needn't even change its place in the lists.
 */
static __always_inline u32 take_end(struct quarry_heap *heap, struct heap_run *run,
				    const struct heap_place *place, unsigned int bin, u32 nr)
{
	struct quarry_heap_extent *extent = place->extent;
	u32 rest = place->nr - nr;
	unsigned int new_bin = bin_of(rest);

	mark_free(extent, place->page, rest, extent->kinds[place->page]);
	if (new_bin != bin) {
		pop_run(heap, run, bin);
		push_run(heap, run, seal_of(heap, extent, place->page, run), new_bin);
	}
	return place->page + rest;
}

/* Let a run take the place of the first of a list, which locate() has seen. */
static __always_inline void replace_run(const struct heap_run *run, struct heap_run *by,
					unsigned long seal)
{
	struct heap_run *next = run->link.next;

	by->link.next = next;
	by->prev = run->prev;
	by->link.check = mix(by) ^ seal;
	by->prev->next = by;
	if (next)
		set_prev(next, &run->link, &by->link);
}

/* A run, the first of @bin, loses its first pages. */
static __always_inline void take_start(struct quarry_heap *heap, struct heap_run *run,
				       const struct heap_place *place, unsigned int bin, u32 nr)
{
	struct quarry_heap_extent *extent = place->extent;
	u32 page = place->page + nr, rest = place->nr - nr;
	struct heap_run *moved = run_at(heap, extent, page);
	unsigned long mark = free_mark(heap, (unsigned long)moved);
	unsigned long seal = mark ^ ref_of(heap, extent, page);
	unsigned int new_bin = bin_of(rest);

	mark_free(extent, page, rest, KIND_FREE | note_marks(moved, mark));
	if (new_bin == bin) {
		replace_run(run, moved, seal);
		return;
	}
	pop_run(heap, run, bin);
	push_run(heap, moved, seal, new_bin);
}

/*
 * Take pages at an end of a free run; @place is where they are. False if there are none. For a
 * bucket they are few, and those at the end, whose kinds the caller sets.
 */
static __always_inline bool take_pages(struct quarry_heap *heap, unsigned long nr, bool bucket,
				       struct heap_place *place)
{
	unsigned int bin = find_bin(heap, nr, bucket);
	struct quarry_heap_extent *extent;
	struct heap_run *run;

	lockdep_assert_held(&heap->lock);

	if (unlikely(bin >= QUARRY_HEAP_NR_BINS))
		return false;
	run = heap->bins[bin].next;
	if (unlikely(!locate(heap, run, place))) {
		__quarry_heap_condemn(heap, NO_REF);
		return false;
	}
	if (unlikely(place->nr < nr))
		return false;

	extent = place->extent;
	if (!bucket && place->nr == nr)
		extent->kinds[place->page + nr - 1] = KIND_INSIDE;
	if (place->nr == nr)
		pop_run(heap, run, bin);
	else if (bucket)
		place->page = take_end(heap, run, place, bin, nr);
	else
		take_start(heap, run, place, bin, nr);
	account_pages(heap, extent, -nr);
	return true;
}

/* ---- Taking at an aligned address ---- */

/* Pages from the start of a run to the first address behind it that has the alignment. */
static __always_inline unsigned long pages_to(const struct quarry_heap *heap,
					      const struct heap_run *run, size_t align)
{
	return (-(unsigned long)run & (align - 1)) >> heap->page_shift;
}

/*
 * The bin whose first run to take @nr pages from. One that is longer by the alignment does in any
 * case; if there is none, the longest may do. Or else bin 0, which never has a run.
 */
static __always_inline unsigned long find_aligned(const struct quarry_heap *heap,
						  unsigned long nr, size_t align)
{
	unsigned long slack = (align >> heap->page_shift) - 1;
	unsigned long last = last_bin(heap), bin = bin_from(nr + slack);

	return likely(bin <= last) ? find_next_bin(heap, bin, true) : last;
}

/* The first run of @bin, which locate() has seen, keeps only so many of its first pages. */
static __always_inline void shorten_run(struct quarry_heap *heap, struct heap_run *run,
					const struct heap_place *place, unsigned long bin,
					unsigned long nr)
{
	struct quarry_heap_extent *extent = place->extent;
	unsigned long new_bin = bin_of(nr);

	mark_free(extent, place->page, nr, extent->kinds[place->page]);
	if (new_bin == bin)
		return;
	pop_run(heap, run, bin);
	push_run(heap, run, seal_of(heap, extent, place->page, run), new_bin);
}

/*
 * As take_pages(), at an address that is a multiple of @align, a power of two above the page
 * size. What is before and behind stays free.
 */
static __always_inline bool take_aligned_pages(struct quarry_heap *heap, unsigned long nr,
					       size_t align, struct heap_place *place)
{
	unsigned long bin = find_aligned(heap, nr, align), before, behind;
	struct heap_run *run = heap->bins[bin].next;
	struct quarry_heap_extent *extent;

	lockdep_assert_held(&heap->lock);

	if (unlikely(!run))
		return false;
	if (unlikely(!locate(heap, run, place))) {
		__quarry_heap_condemn(heap, NO_REF);
		return false;
	}
	before = pages_to(heap, run, align);
	if (unlikely(nr + before > place->nr))
		return false;

	extent = place->extent;
	behind = place->nr - before - nr;
	if (before)
		shorten_run(heap, run, place, bin, before);
	else
		pop_run(heap, run, bin);
	place->page += before;
	if (behind)
		insert_run(heap, extent, place->page + nr, behind);
	else
		extent->kinds[place->page + nr - 1] = KIND_INSIDE;
	account_pages(heap, extent, -nr);
	return true;
}

/* ---- Runs in use ---- */

/*
 * Let some pages inside a run, of those whose numbers are multiples of the stride, know
 * where it begins. Count these from 1 on: going down from one by clearing the lowest bit
 * that is set in its number, and going up from the run's first by adding that bit, meet
 * in just one (P. Fenwick, A new data structure for cumulative frequency tables, 1994).
 * So those on the way up are enough, at most log2 of all.
 */
static __always_inline void mark_inside(struct quarry_heap_extent *extent, unsigned long page,
					unsigned long nr)
{
	/* Counted from 1 on, a number times the stride is a stride behind its page. */
	unsigned long next = round_down(page, STRIDE) + 2 * STRIDE;
	u32 *words = extent->words;

	/* Adding the lowest bit is the same as setting those below it, and adding one. */
	for (; next < page + nr + STRIDE; next = (next | (next - 1)) + 1)
		words[next - STRIDE] = page;
}

/* Pages that were taken become a block. */
static __always_inline void *use_run(struct quarry_heap *heap, const struct heap_place *place,
				     unsigned long nr)
{
	struct quarry_heap_extent *extent = place->extent;
	u32 page = place->page;

	extent->kinds[page] = KIND_RUN;
	extent->words[page] = nr;
	mark_inside(extent, page, nr);
	heap->nr_runs++;
	account_taken(heap, nr << heap->page_shift);
	return (void *)page_addr(heap, extent, page);
}

/* As __quarry_heap_take_run(), at an address that is a multiple of @align. */
static __always_inline void *take_run_aligned(struct quarry_heap *heap, unsigned long nr,
					      size_t align)
{
	struct heap_place place = {};

	return take_aligned_pages(heap, nr, align, &place) ? use_run(heap, &place, nr) : NULL;
}

/* ---- Giving back ---- */

/* Set the marks that were noted, in the place of what were a run's links. */
static __always_inline void restore_marks(const struct quarry_heap *heap, unsigned long addr,
					  u8 noted)
{
	unsigned long mark = free_mark(heap, addr);

	if (noted & BIT(0))
		set_nth(addr, mark, 1);
	if (noted & BIT(1))
		set_nth(addr, mark, 2);
	if (noted & BIT(2))
		set_nth(addr, mark, 3);
}

/*
 * Take out a run that pages before it are joined with, but for the kind of its last page: it will
 * be the last one again. False if the run is damaged.
 */
static __always_inline bool absorb_run(struct quarry_heap *heap,
				       struct quarry_heap_extent *extent, u8 *kind,
				       unsigned long page, unsigned long nr)
{
	struct heap_run *run = run_at(heap, extent, page);
	u8 was;

	if (unlikely(!is_run_right(heap, extent, page, nr)))
		return false;
	unlink_run(heap, run);
	was = *kind;
	*kind = KIND_INSIDE;
	if (unlikely(was != KIND_FREE))
		restore_marks(heap, (unsigned long)run, was - KIND_FREE);
	return true;
}

/* A run that pages behind it are joined with has @nr pages now; false if it's damaged. */
static __always_inline bool lengthen_run(struct quarry_heap *heap,
					 struct quarry_heap_extent *extent, unsigned long page,
					 unsigned long old, unsigned long nr)
{
	struct heap_run *run = run_at(heap, extent, page);
	unsigned long seal = seal_of(heap, extent, page, run);

	if (unlikely(!has_checksum(run, seal)))
		return false;
	if (!is_same_bin(old, nr)) {
		unlink_run(heap, run);
		push_run(heap, run, seal, bin_of(nr));
	}
	return true;
}

/*
 * Pages whose kinds are all KIND_INSIDE become free. They are joined with what is free before and
 * behind them. The run before keeps its first page, and often its place in the lists as well.
 */
static __always_inline void give_pages(struct quarry_heap *heap,
				       struct quarry_heap_extent *extent, unsigned long page,
				       unsigned long nr)
{
	u32 *words = &extent->words[page];
	u8 *kinds = &extent->kinds[page];
	unsigned long other;

	account_pages(heap, extent, nr);
	/* Right behind what was in use, no run has only its last page. */
	if (is_free(kinds[nr])) {
		other = words[nr];
		if (unlikely(!absorb_run(heap, extent, &kinds[nr], page + nr, other)))
			goto damaged;
		nr += other;
	}
	if (!is_free(kinds[-1])) {
		insert_run(heap, extent, page, nr);
		return;
	}
	other = words[-1];
	kinds[nr - 1] = KIND_FREE_END;
	if (unlikely(other - 1 >= page ||
		     !lengthen_run(heap, extent, page - other, other, nr + other)))
		goto damaged;
	if (other > 1)
		kinds[-1] = KIND_INSIDE;
	words -= other;
	nr += other;
	words[0] = nr;
	words[nr - 1] = nr;
	return;
damaged:
	__quarry_heap_condemn(heap, ref_of(heap, extent, page));
}

static_assert(MAX_LONG_PAGES < EXACT_BINS);

#endif /* QUARRY_HEAP_RUNS_H */
