// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: how pages become blocks, and become pages again.
 *
 * Each class has two lists of its buckets that have a free block, the long and the short
 * ones, and takes from the first of the long ones if there is any. A bucket is put in front when
 * a block of it is freed and none was free; it leaves when the last free block is taken,
 * which is in the first bucket, or when the last block in use is freed, wherever it
 * stands.
 *
 * The links of a long bucket lie in the map, in the words of its third and fourth page.
 * Those of a short one lie in the highest of its free blocks: blocks are taken from
 * the lowest on, so that this changes only when a block above it is freed. As for
 * free runs, no link there is believed that what it leads to doesn't confirm.
 */
#include <linux/bug.h>
#include <linux/log2.h>

#include "heap_runs.h"

/* ---- Lists ---- */

noinline __cold void __quarry_heap_condemn_bucket(struct quarry_heap *heap, u32 ref)
{
	__quarry_heap_broken(heap, "a bucket's links are damaged", ref);
}

/*
 * The links of a short bucket, in the highest of the blocks that are free by @bits; in
 * any case somewhere in its page.
 */
static __always_inline struct heap_links *short_links(const struct quarry_heap *heap,
						      const struct quarry_heap_extent *extent,
						      u32 page,
						      const struct quarry_heap_class *class,
						      u32 bits)
{
	unsigned int index = __fls((bits & class->short_valid) | 1);
	unsigned long block = page_addr(heap, extent, page) + index * class->size;

	return &((struct heap_node *)block)->links;
}

/* The links of the bucket that a reference leads to; NULL if it leads to none of this kind. */
static __always_inline struct heap_links *bucket_links(struct quarry_heap *heap, u32 ref, u8 kind)
{
	const struct quarry_heap_class *class = &heap->classes[kind_class(kind)];
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 page = ref_page(ref);

	if (unlikely(page >= extent->nr_pages || extent->kinds[page] != kind))
		return NULL;
	if (!is_short(kind))
		return long_links(&extent->words[page]);
	return short_links(heap, extent, page, class, extent->words[page]);
}

struct heap_links *__quarry_heap_bucket_links(struct quarry_heap *heap, u32 ref, u8 kind)
{
	return bucket_links(heap, ref, kind);
}

/*
 * The bits of the long bucket that a link in the map leads to, NULL if it leads out of it: nobody
 * has business there, but who writes beyond a block's end may have been.
 */
static __always_inline u32 *long_bits(struct quarry_heap *heap,
				      const struct quarry_heap_class *class, u32 ref)
{
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 page = ref_page(ref);

	if (unlikely(page >= extent->nr_pages || !long_fits(extent, page, class)))
		return NULL;
	return &extent->words[page];
}

/* The last free block of the first long bucket of a class was taken: go on to the next. */
noinline void __quarry_heap_pop_long(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	u32 ref = long_links(class->bits)->next, page = ref_page(ref);
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 *bits;

	if (ref == NO_REF) {
		class->long_list = NO_REF;
		class->bits = NULL;
		heap->long_classes &= ~BIT_ULL(class->index);
		return;
	}
	bits = long_bits(heap, class, ref);
	if (unlikely(!bits || extent->kinds[page] != class->index)) {
		__quarry_heap_condemn_bucket(heap, ref);
		return;
	}
	class->long_list = ref;
	class->bits = bits;
	class->first = page_addr(heap, extent, page);
	long_links(bits)->prev = NO_REF;
}

/*
 * The last free block of the first long bucket of a class was taken. Where the map is damaged
 * it may have had none: then what looks free isn't one of its blocks.
 */
noinline void *__quarry_heap_take_last_long(struct quarry_heap *heap,
					    struct quarry_heap_class *class, unsigned long block)
{
	if (unlikely(block - class->first >= (size_t)class->long_blocks * class->size)) {
		__quarry_heap_condemn_bucket(heap, class->long_list);
		return NULL;
	}
	__quarry_heap_pop_long(heap, class);
	return (void *)block;
}

/* A long bucket leaves its list, wherever it stands; false if the links are damaged. */
static __always_inline bool remove_long(struct quarry_heap *heap,
					struct quarry_heap_class *class, u32 ref, u32 *bits)
{
	u32 next_ref = long_links(bits)->next, prev_ref = long_links(bits)->prev;
	u32 *next, *prev;

	if (ref == class->long_list) {
		__quarry_heap_pop_long(heap, class);
		return true;
	}
	prev = long_bits(heap, class, prev_ref);
	next = next_ref == NO_REF ? bits : long_bits(heap, class, next_ref);
	if (unlikely(!prev || !next)) {
		__quarry_heap_condemn_bucket(heap, ref);
		return false;
	}
	long_links(prev)->next = next_ref;
	long_links(next)->prev = prev_ref;
	return true;
}

/* A short bucket leaves its list, wherever it stands; false if the links are damaged. */
static __always_inline bool remove_short(struct quarry_heap *heap,
					 struct quarry_heap_class *class, u32 ref,
					 const struct heap_links *links)
{
	unsigned int index = class->index;

	if (unlikely(!unlink_ref(heap, &class->short_list, ref, links, index | KIND_SHORT,
				 bucket_links))) {
		__quarry_heap_condemn_bucket(heap, ref);
		return false;
	}
	if (class->short_list == NO_REF)
		heap->short_classes &= ~BIT_ULL(index);
	return true;
}

static void push_short(struct quarry_heap *heap, struct quarry_heap_class *class, u32 ref,
		       struct heap_links *links)
{
	unsigned int index = class->index;

	if (likely(push_ref(heap, &class->short_list, ref, links, index | KIND_SHORT,
			    bucket_links)))
		heap->short_classes |= BIT_ULL(index);
	else
		__quarry_heap_condemn_bucket(heap, ref);
}

/* ---- Making buckets ---- */

/* The kinds of a long bucket's pages but for the first, and of pages that are given back. */
static const u8 parts[MAX_LONG_PAGES] = {
	[1] = KIND_PART + 1, KIND_PART + 2, KIND_PART + 3, KIND_PART + 4, KIND_PART + 5,
	KIND_PART + 6, KIND_PART + 7, KIND_PART + 8, KIND_PART + 9, KIND_PART + 10,
	KIND_PART + 11, KIND_PART + 12, KIND_PART + 13, KIND_PART + 14, KIND_PART + 15,
};

static const u8 insides[MAX_LONG_PAGES];

/* Copies what a long bucket needs of kinds, in two halves that overlap. */
static __always_inline void set_kinds(u8 *kinds, const u8 *from, unsigned int nr)
{
	if (nr > 8) {
		memcpy(kinds + nr - 8, from + nr - 8, 8);
		memcpy(kinds, from, 8);
	} else {
		memcpy(kinds + nr - 4, from + nr - 4, 4);
		memcpy(kinds, from, 4);
	}
}

/*
 * Whether a class shall have a new long bucket. In a heap that is so small that one for
 * each of some dozen classes would take much of it, only if the class is in demand: by
 * the blocks that are in use in its buckets, or that came in runs of their own.
 */
static bool may_be_long(const struct quarry_heap *heap, const struct quarry_heap_class *class)
{
	if (!class->long_pages)
		return false;
	if (likely(class->long_pages <= heap->share))
		return true;
	return class->nr_used + class->nr_single >= class->long_blocks / 2;
}

static bool make_long(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	struct quarry_heap_extent *extent;
	struct heap_place place = {};
	u32 page;

	if (!take(heap, class->long_pages, true, &place))
		return false;
	extent = place.extent;
	page = place.page;
	set_kinds(&extent->kinds[page], parts, class->long_pages);
	extent->kinds[page] = class->index;
	set_bits(&extent->words[page], ~0ULL);
	heap->nr_long[class->index]++;
	class->nr_single = 0;
	push_long(heap, class, ref_of(heap, extent, page), &extent->words[page],
		  page_addr(heap, extent, page));
	return true;
}

static bool make_short(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	struct quarry_heap_extent *extent;
	struct heap_place place = {};
	u32 page;

	if (!take(heap, 1, true, &place))
		return false;
	extent = place.extent;
	page = place.page;
	extent->kinds[page] = class->index | KIND_SHORT;
	extent->words[page] = ~0U;
	heap->nr_short[class->index]++;
	push_short(heap, class, ref_of(heap, extent, page),
		   short_links(heap, extent, page, class, ~0U));
	return true;
}

/* ---- Taking ---- */

/* The lowest free block of the first short bucket with one, of a class that has some. */
static void *take_short(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	u32 ref = class->short_list, page = ref_page(ref);
	struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 bits = extent->words[page], rest = bits & (bits - 1);
	unsigned long block;

	if (unlikely(!(bits & class->short_valid))) {
		__quarry_heap_condemn_bucket(heap, ref);
		return NULL;
	}
	block = page_addr(heap, extent, page) + __ffs(bits) * class->size;
	if (!(rest & class->short_valid) &&
	    !remove_short(heap, class, ref, short_links(heap, extent, page, class, bits)))
		return NULL;
	extent->words[page] = rest;
	class->nr_used++;
	account_taken(heap, class->size);
	return (void *)block;
}

/*
 * A block of a bucket, when no long one has any; @last is the last bin with a run, which
 * says, of fewer pages than EXACT_BINS, whether there is a run of so many.
 */
static __always_inline void *take_from_bucket(struct quarry_heap *heap,
					      struct quarry_heap_class *class,
					      unsigned int last)
{
	if (class->short_list != NO_REF)
		return take_short(heap, class);
	if (class->long_pages <= last && may_be_long(heap, class) && make_long(heap, class))
		return take_long(heap, class);
	if (class->short_blocks && last && make_short(heap, class))
		return take_short(heap, class);
	return NULL;
}

static_assert(MAX_LONG_PAGES < EXACT_BINS);

/* A run of pages for one block of a class of whose blocks a page doesn't hold two. */
static void *take_single(struct quarry_heap *heap, size_t size, struct quarry_heap_class *class)
{
	if (class->nr_single < class->long_blocks)
		class->nr_single++;
	return __quarry_heap_take_run(heap, pages_for(heap, size));
}

/* A free block of a larger class, whose size is a multiple of the alignment. */
static void *take_larger(struct quarry_heap *heap, size_t size, size_t align,
			 const struct quarry_heap_class *class)
{
	unsigned int index = class->index;
	u64 larger = (heap->long_classes | heap->short_classes) >> index << index;
	struct quarry_heap_class *other;

	if (is_power_of_2(size))
		align = max(align, size);
	if (align > QUARRY_HEAP_MIN_ALIGN)
		larger &= heap->multiples[min(ilog2(align), MAX_PAGE_SHIFT) - 3];
	if (!larger)
		return NULL;
	other = &heap->classes[__ffs64(larger)];
	return other->bits ? take_long(heap, other) : take_short(heap, other);
}

/**
 * __quarry_heap_take_bucket() - take a block of a class
 * @heap: the heap
 * @class: the class
 *
 * From a long bucket, from a short one, or from a new one: a long one, or, in a small heap
 * or if there is no run of pages long enough, a short one.
 *
 * Return: the block, or NULL.
 */
void *__quarry_heap_take_bucket(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	lockdep_assert_held(&heap->lock);

	if (class->bits)
		return take_long(heap, class);
	return take_from_bucket(heap, class, last_bin(heap));
}

/**
 * __quarry_heap_take_slow() - take a small block when no long bucket of its class has one
 * @heap: the heap
 * @size: bytes wanted, at most those of the class
 * @align: at most the page size; the class' size is a multiple of it
 * @class: the class
 *
 * From a bucket; or else a run for this block alone if it is too large for a short one; or
 * else a free block of a larger class.
 *
 * Return: the block, or NULL.
 */
void *__quarry_heap_take_slow(struct quarry_heap *heap, size_t size, size_t align,
			      struct quarry_heap_class *class)
{
	unsigned int last = last_bin(heap);
	void *block;

	lockdep_assert_held(&heap->lock);

	block = take_from_bucket(heap, class, last);
	if (likely(block))
		return block;
	if (pages_for(heap, size) > last)
		return take_larger(heap, size, align, class);
	return class->short_blocks ? NULL : take_single(heap, size, class);
}

/* ---- Giving back ---- */

/* The last block in use of a long bucket was freed; @listed if any were free before. */
void __quarry_heap_release_long(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				u32 page, struct quarry_heap_class *class, bool listed)
{
	u32 ref = ref_of(heap, extent, page);

	lockdep_assert_held(&heap->lock);

	if (unlikely(!long_fits(extent, page, class))) {
		__quarry_heap_condemn_bucket(heap, ref);
		return;
	}
	if (listed && !remove_long(heap, class, ref, &extent->words[page]))
		return;
	set_kinds(&extent->kinds[page], insides, class->long_pages);
	heap->nr_long[class->index]--;
	__quarry_heap_give_pages(heap, extent, page, class->long_pages);
}

/* The last block in use of a short bucket was freed; the others are free by @bits. */
static void end_short(struct quarry_heap *heap, struct quarry_heap_extent *extent, u32 page,
		      struct quarry_heap_class *class, u32 bits)
{
	if (bits & class->short_valid &&
	    !remove_short(heap, class, ref_of(heap, extent, page),
			  short_links(heap, extent, page, class, bits)))
		return;
	extent->kinds[page] = KIND_INSIDE;
	heap->nr_short[class->index]--;
	__quarry_heap_give_pages(heap, extent, page, 1);
}

/* Free a block of a short bucket, whose bit is still that of a block in use. */
void __quarry_heap_release_short(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				 u32 page, struct quarry_heap_class *class, unsigned int index)
{
	u32 old = extent->words[page], new = old | 1U << index;
	struct heap_links *from, *to;

	lockdep_assert_held(&heap->lock);

	if (new == ~0U) {
		end_short(heap, extent, page, class, old);
		return;
	}
	extent->words[page] = new;
	to = short_links(heap, extent, page, class, new);
	if (!(old & class->short_valid)) {
		push_short(heap, class, ref_of(heap, extent, page), to);
		return;
	}
	from = short_links(heap, extent, page, class, old);
	if (to != from)
		*to = *from;
}
