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
#include <linux/string.h>

#include <asm/byteorder.h>

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

/* The links of a short bucket of a class; false if a reference doesn't lead to one. */
static __always_inline bool find_short(struct quarry_heap *heap,
				       const struct quarry_heap_class *class, u32 ref,
				       struct heap_links **links)
{
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 page = ref_page(ref);

	if (unlikely(page >= extent->nr_pages ||
		     extent->kinds[page] != (class->index | KIND_SHORT)))
		return false;
	*links = short_links(heap, extent, page, class, extent->words[page]);
	return true;
}

/* The links of the bucket that a reference leads to; NULL if it leads to none of this kind. */
struct heap_links *__quarry_heap_bucket_links(struct quarry_heap *heap, u32 ref, u8 kind)
{
	const struct quarry_heap_class *class = &heap->classes[kind_class(kind)];
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	struct heap_links *links = NULL;
	u32 page = ref_page(ref);

	if (is_short(kind))
		find_short(heap, class, ref, &links);
	else if (page < extent->nr_pages && extent->kinds[page] == kind)
		links = long_links(&extent->words[page]);
	return links;
}

/* A long bucket leaves its list, wherever it stands; false if the links are damaged. */
static __always_inline bool remove_long(struct quarry_heap *heap,
					struct quarry_heap_class *class, u32 *bits)
{
	const struct heap_links *links = long_links(bits);
	u32 *next, *prev;

	if (bits == class->bits)
		return pop_long(heap, class);
	if (unlikely(!find_long(heap, class, links->prev, &prev)))
		return false;
	long_links(prev)->next = links->next;
	if (links->next == NO_REF)
		return true;
	if (unlikely(!find_long(heap, class, links->next, &next)))
		return false;
	long_links(next)->prev = links->prev;
	return true;
}

/*
 * Take a short bucket out of its list. No link is believed before what it leads to was
 * seen to be of the right kind and to link back; false if it doesn't.
 */
static __always_inline bool unlink_short(struct quarry_heap *heap,
					 struct quarry_heap_class *class, u32 ref,
					 const struct heap_links *links)
{
	u32 next_ref = links->next, prev_ref = links->prev;
	bool heads = class->short_list == ref;
	struct heap_links *other;

	if (prev_ref == NO_REF) {
		if (unlikely(!heads))
			return false;
		class->short_list = next_ref;
		if (next_ref == NO_REF)
			heap->short_classes &= ~BIT_ULL(class->index);
	} else {
		if (unlikely(heads || !find_short(heap, class, prev_ref, &other) ||
			     other->next != ref))
			return false;
		other->next = next_ref;
	}
	if (next_ref == NO_REF)
		return true;
	if (unlikely(next_ref == ref || !find_short(heap, class, next_ref, &other) ||
		     other->prev != ref))
		return false;
	other->prev = prev_ref;
	return true;
}

/* A short bucket leaves its list, wherever it stands; false if the links are damaged. */
static __always_inline bool remove_short(struct quarry_heap *heap,
					 struct quarry_heap_class *class, u32 ref,
					 const struct heap_links *links)
{
	if (likely(unlink_short(heap, class, ref, links)))
		return true;
	__quarry_heap_condemn_bucket(heap, ref);
	return false;
}

/* Put a short bucket in front of its list, if what is the first so far is one. */
static void push_short(struct quarry_heap *heap, struct quarry_heap_class *class, u32 ref,
		       struct heap_links *links)
{
	u32 next_ref = class->short_list;
	struct heap_links *next;

	if (next_ref == NO_REF) {
		heap->short_classes |= BIT_ULL(class->index);
	} else if (likely(find_short(heap, class, next_ref, &next))) {
		next->prev = ref;
	} else {
		__quarry_heap_condemn_bucket(heap, ref);
		return;
	}
	links->next = next_ref;
	links->prev = NO_REF;
	class->short_list = ref;
}

/* ---- Making buckets ---- */

/* The kinds of a long bucket's first eight pages, and what is added for each page more. */
#define FIRST_PARTS	(KIND_PART * KIND_EACH + 0x0706050403020100ULL)
#define KIND_EACH	0x0101010101010101ULL

/* Set the kinds of as many pages as @size says, that of the first in the lowest byte. */
static __always_inline void write_kinds(u8 *kinds, u64 value, size_t size)
{
	__le64 bytes = cpu_to_le64(value);

	memcpy(kinds, &bytes, size);
}

/* Set the kinds of all pages of a long bucket, in pieces that overlap. */
static __always_inline void set_kinds(u8 *kinds, unsigned int nr, u64 first, u64 each)
{
	if (nr > 16) {
		write_kinds(kinds + 8, first + 8 * each, 8);
		write_kinds(kinds + nr - 16, first + (nr - 16) * each, 8);
	}
	if (nr > 8) {
		write_kinds(kinds + nr - 8, first + (nr - 8) * each, 8);
		write_kinds(kinds, first, 8);
	} else {
		write_kinds(kinds + nr - 4, first + (nr - 4) * each, 4);
		write_kinds(kinds, first, 4);
	}
}

/* The reverse: its pages are insides of a run. */
static __always_inline void clear_kinds(u8 *kinds, unsigned int nr)
{
	if (nr > 16) {
		memset(kinds + 8, KIND_INSIDE, 8);
		memset(kinds + nr - 16, KIND_INSIDE, 8);
	}
	if (nr > 8) {
		memset(kinds + nr - 8, KIND_INSIDE, 8);
		memset(kinds, KIND_INSIDE, 8);
	} else {
		memset(kinds + nr - 4, KIND_INSIDE, 4);
		memset(kinds, KIND_INSIDE, 4);
	}
}

/*
 * Whether a class that has no long bucket shall have one. In a heap that is so small that one for
 * each of some dozen classes would take much of it, only if the class is in demand: by
 * the blocks that are in use in its buckets, or that came in runs of their own.
 */
static __always_inline bool may_be_long(const struct quarry_heap *heap,
					const struct quarry_heap_class *class)
{
	if (class->short_list != NO_REF || !class->long_pages)
		return false;
	if (likely(class->long_pages <= heap->share))
		return true;
	return class->nr_used + class->nr_single >= class->long_blocks / 2;
}

/*
 * Make a long bucket of a class that has none with a free block, and take the first of the new
 * ones; NULL if there is no room.
 */
static __always_inline void *take_new_long(struct quarry_heap *heap,
					   struct quarry_heap_class *class)
{
	struct quarry_heap_extent *extent;
	struct heap_place place = {};
	unsigned long block;
	u32 page, *bits;

	if (!take_pages(heap, class->long_pages, true, &place))
		return NULL;
	extent = place.extent;
	page = place.page;
	block = page_addr(heap, extent, page);
	set_kinds(&extent->kinds[page], class->long_pages, FIRST_PARTS, KIND_EACH);
	extent->kinds[page] = class->index;
	bits = &extent->words[page];
	set_bits(bits, ~1ULL);
	*long_links(bits) = (struct heap_links) { NO_REF, NO_REF };
	heap->long_classes |= BIT_ULL(class->index);
	heap->nr_long[class->index]++;
	class->nr_single = 0;
	set_first_long(class, ref_of(heap, extent, page), bits, block);
	class->nr_used++;
	account_taken(heap, class->size);
	return (void *)block;
}

/* The same with a short one. */
static __always_inline void *take_new_short(struct quarry_heap *heap,
					    struct quarry_heap_class *class)
{
	struct quarry_heap_extent *extent;
	struct heap_place place = {};
	u32 page;

	if (!take_pages(heap, 1, true, &place))
		return NULL;
	extent = place.extent;
	page = place.page;
	extent->kinds[page] = class->index | KIND_SHORT;
	extent->words[page] = ~1U;
	*short_links(heap, extent, page, class, ~1U) = (struct heap_links) { NO_REF, NO_REF };
	heap->short_classes |= BIT_ULL(class->index);
	heap->nr_short[class->index]++;
	class->short_list = ref_of(heap, extent, page);
	class->nr_used++;
	account_taken(heap, class->size);
	return (void *)page_addr(heap, extent, page);
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

/* A run of pages for one block of a class that has long buckets when there is room for them. */
static void *take_single(struct quarry_heap *heap, size_t size, struct quarry_heap_class *class)
{
	if (class->nr_single < class->long_blocks)
		class->nr_single++;
	return __quarry_heap_take_run(heap, pages_for(heap, size));
}

/*
 * A free block of a larger class, but not one of those from @end on, whose size is a multiple
 * of the alignment.
 */
static void *take_larger(struct quarry_heap *heap, size_t size, size_t align,
			 const struct quarry_heap_class *class, unsigned int end)
{
	u64 larger = (heap->long_classes | heap->short_classes) & -BIT_ULL(class->index);
	struct quarry_heap_class *other;

	if (is_power_of_2(size))
		align = max(align, size);
	if (align > QUARRY_HEAP_MIN_ALIGN)
		larger &= heap->multiples[min(ilog2(align), MAX_PAGE_SHIFT) - 3];
	if (!larger || __ffs64(larger) >= end)
		return NULL;
	other = &heap->classes[__ffs64(larger)];
	return other->bits ? take_long(heap, other) : take_short(heap, other);
}

/* A block of a class of which even a long bucket would hold just one. */
static noinline void *take_alone(struct quarry_heap *heap, size_t size, size_t align,
				 struct quarry_heap_class *class)
{
	return __quarry_heap_take_run(heap, pages_for(heap, size)) ?:
	       take_larger(heap, size, align, class, QUARRY_HEAP_NR_CLASSES);
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
	void *block = NULL;

	lockdep_assert_held(&heap->lock);

	if (class->bits)
		return take_long(heap, class);
	if (class->short_list != NO_REF)
		return take_short(heap, class);
	if (may_be_long(heap, class))
		block = take_new_long(heap, class);
	if (!block && class->short_blocks)
		block = take_new_short(heap, class);
	return block;
}

/*
 * A small block when there is no long bucket for it, nor shall be one: from a short bucket, but if
 * the heap is small and has no long runs, rather a free block of the next classes than from
 * a new bucket; or else a run for this block alone if it is too large for a bucket; or else
 * a free block of any larger class.
 */
static noinline void *take_otherwise(struct quarry_heap *heap, size_t size, size_t align,
				     struct quarry_heap_class *class)
{
	void *block = NULL;
	unsigned int last;

	if (class->short_list != NO_REF)
		return take_short(heap, class);
	/* Of so few pages, the last bin says whether there is a run. */
	last = last_bin(heap);
	if (unlikely(pages_for(heap, size) > last))
		return take_larger(heap, size, align, class, QUARRY_HEAP_NR_CLASSES);
	if (last <= FEW_PAGES && class->long_pages > heap->share)
		block = take_larger(heap, size, align, class, class->index + NEAR_CLASSES);
	if (block)
		return block;
	return class->short_blocks ? take_new_short(heap, class) :
				     take_single(heap, size, class);
}

static_assert(BIT(3) < EXACT_BINS);

/* A block of a new long bucket, if there is room for one. */
static noinline void *take_long_first(struct quarry_heap *heap, size_t size, size_t align,
				      struct quarry_heap_class *class)
{
	return take_new_long(heap, class) ?: take_otherwise(heap, size, align, class);
}

/**
 * __quarry_heap_take_slow() - take a small block when there is no long bucket for it
 * @heap: the heap
 * @size: bytes wanted, at most those of the class
 * @align: at most the page size; the class' size is a multiple of it
 * @class: the class
 *
 * From a new long bucket, if there may and can be one; or else in any other way.
 *
 * Return: the block, or NULL.
 */
void *__quarry_heap_take_slow(struct quarry_heap *heap, size_t size, size_t align,
			      struct quarry_heap_class *class)
{
	lockdep_assert_held(&heap->lock);

	if (!class->long_pages && !class->short_blocks)
		return take_alone(heap, size, align, class);
	if (may_be_long(heap, class))
		return take_long_first(heap, size, align, class);
	return take_otherwise(heap, size, align, class);
}

/* ---- Giving back ---- */

/* The last block in use of a long bucket was freed; the others are free by @bits. */
void __quarry_heap_release_long(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				unsigned long page, struct quarry_heap_class *class, u64 bits)
{
	lockdep_assert_held(&heap->lock);

	if (unlikely(class->long_pages - 1UL >= extent->nr_pages - page ||
		     (bits & class->long_valid &&
		      !remove_long(heap, class, &extent->words[page])))) {
		__quarry_heap_condemn_bucket(heap, ref_of(heap, extent, page));
		return;
	}
	clear_kinds(&extent->kinds[page], class->long_pages);
	heap->nr_long[class->index]--;
	__quarry_heap_give_pages(heap, extent, page, class->long_pages);
}

/* The last block in use of a short bucket was freed; the others are free by @bits. */
void __quarry_heap_end_short(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			     unsigned long page, struct quarry_heap_class *class, u32 bits)
{
	lockdep_assert_held(&heap->lock);

	if (bits & class->short_valid &&
	    !remove_short(heap, class, ref_of(heap, extent, page),
			  short_links(heap, extent, page, class, bits)))
		return;
	extent->kinds[page] = KIND_INSIDE;
	heap->nr_short[class->index]--;
	give_pages(heap, extent, page, 1);
}

/* Free a block of a short bucket that isn't the last one in use. */
void __quarry_heap_release_short(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				 unsigned long page, struct quarry_heap_class *class,
				 unsigned int index)
{
	u32 old = extent->words[page], new = old | 1U << index;
	struct heap_links *from, *to;

	lockdep_assert_held(&heap->lock);

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
