/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the heap share: the page map, references to pages, marks in
 * free memory, and lists. lib/heap.c says what they mean.
 */
#ifndef QUARRY_HEAP_INTERNAL_H
#define QUARRY_HEAP_INTERNAL_H

#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/compiler.h>
#include <linux/lockdep.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "heap.h"

#define PAGE_BITS	QUARRY_HEAP_PAGE_BITS
#define MAX_PAGES	((1UL << PAGE_BITS) - 1)

#define MIN_PAGE_SHIFT	6
#define MAX_PAGE_SHIFT	9

/* No page of any extent; also what ends a list. */
#define NO_REF		U32_MAX

/* Sizes are those of classes from this on: class 0 would have blocks of 8 B. */
#define FIRST_CLASS	1

/* Sizes of small blocks that have a class in common are at least so many bytes, as a shift. */
#define STEP_SHIFT	3

/*
 * Kinds of pages. Those from 1 up to KIND_RUN start a bucket: of the class in the low
 * bits, with KIND_SHORT if it is of one page.
 */
#define KIND_INSIDE	0x00
#define KIND_CLASS	0x3f
#define KIND_SHORT	0x40
#define KIND_RUN	0x80
#define KIND_EDGE	0x81
#define KIND_OWN	0x82	/* a run that the heap itself uses */
#define KIND_PART	0xa0	/* and how many pages behind the start of a bucket */
#define KIND_FREE	0xc0	/* and which of the three marks behind its first it had */
#define KIND_FREE_END	0xc8

/* A class has long buckets at once if they are at most this share of the heap, as a shift. */
#define LONG_SHARE_SHIFT	9

/* In a heap that is smaller, and whose free runs are that short, near classes are used first. */
#define FEW_PAGES	8
#define NEAR_CLASSES	3

/* Every 64th page may know where the run begins that it is inside of. */
#define STRIDE_SHIFT	6
#define STRIDE		BIT(STRIDE_SHIFT)

/* Long buckets have so many pages. With fewer, the map has no room for their links. */
#define MIN_LONG_PAGES	4
#define MAX_LONG_PAGES	30
#define MAX_LONG_BLOCKS	64
#define MAX_SHORT_BLOCKS	32

static_assert(QUARRY_HEAP_NR_CLASSES - 1 == KIND_CLASS);
static_assert(KIND_FREE - KIND_PART >= MAX_LONG_PAGES);
static_assert(sizeof_field(struct quarry_heap, long_classes) * BITS_PER_BYTE >=
	      QUARRY_HEAP_NR_CLASSES);
static_assert(BIT(32 - PAGE_BITS) >= QUARRY_HEAP_MAX_EXTENTS);
static_assert(QUARRY_HEAP_NR_BIN_WORDS < BITS_PER_LONG);

/* What links a bucket with others of its list. */
struct heap_links {
	u32 next;
	u32 prev;
};

/* What the highest free block of a short bucket begins with. */
struct heap_node {
	unsigned long mark;
	struct heap_links links;
};

/*
 * What a free run begins with. @link.check is the exclusive or of the reference to its
 * first page with its links, its address and a number of the heap's own, so that what was
 * written over isn't taken for links. All but @mark may have taken the place of
 * other marks, of which its kind has kept a note.
 */
struct heap_run {
	unsigned long mark;
	struct quarry_heap_link link;
	struct quarry_heap_link *prev;
};

#define NR_NOTED_MARKS	3

static_assert(sizeof(struct heap_run) <= (NR_NOTED_MARKS + 1) * QUARRY_HEAP_MIN_ALIGN);
static_assert(sizeof(struct heap_run) <= 1 << MIN_PAGE_SHIFT);
static_assert(BIT(NR_NOTED_MARKS) <= KIND_FREE_END - KIND_FREE);

/* What lies in a block that waits to be freed. */
struct heap_deferred {
	struct llist_node node;
	unsigned long mark;
};

static_assert(sizeof(struct heap_node) <= 16);
static_assert(sizeof(struct heap_deferred) <= 16);

/* A piece of an extent as the page map describes it. */
struct heap_piece {
	u32 start;
	u32 nr_pages;
	u8 kind;
};

static __always_inline bool is_bucket(unsigned long kind)
{
	return kind - 1 < KIND_RUN - 1;
}

static __always_inline bool is_short(unsigned long kind)
{
	return kind & KIND_SHORT;
}

static __always_inline unsigned int kind_class(unsigned long kind)
{
	return kind & KIND_CLASS;
}

/* The first page of a long bucket, whose kind is its class. */
static __always_inline bool is_long(unsigned long kind)
{
	return kind - 1 < KIND_CLASS;
}

/* A page of a long bucket other than the first. */
static __always_inline bool is_part(unsigned long kind)
{
	return kind - KIND_PART < MAX_LONG_PAGES;
}

/* How many pages it is behind the first. */
static __always_inline unsigned long part_of(unsigned long kind)
{
	return kind - KIND_PART;
}

static __always_inline bool is_free(unsigned long kind)
{
	return kind >= KIND_FREE;
}

/* The first page of a free run. */
static __always_inline bool is_free_start(unsigned long kind)
{
	return (kind & 0xf8) == KIND_FREE;
}

/* The first page of any piece. */
static __always_inline bool is_start(unsigned long kind)
{
	return is_bucket(kind) || kind == KIND_RUN || kind == KIND_OWN || is_free_start(kind);
}

static __always_inline u32 ref_of(const struct quarry_heap *heap,
				  const struct quarry_heap_extent *extent, unsigned long page)
{
	return extent->ref | page;
}

static __always_inline struct quarry_heap_extent *ref_extent(struct quarry_heap *heap, u32 ref)
{
	struct quarry_heap_extent *extent = &heap->extents[ref >> PAGE_BITS];

	/* One pointer, and not an index that is made one again for each member. */
	OPTIMIZER_HIDE_VAR(extent);
	return extent;
}

static __always_inline u32 ref_page(u32 ref)
{
	return ref & MAX_PAGES;
}

static __always_inline unsigned long page_addr(const struct quarry_heap *heap,
					       const struct quarry_heap_extent *extent,
					       unsigned long page)
{
	return extent->base + ((unsigned long)page << heap->page_shift);
}

static inline size_t page_size(const struct quarry_heap *heap)
{
	return 1UL << heap->page_shift;
}

/*
 * The bits of a bucket's free blocks; those that no block has are always set. Those of
 * a long bucket are in the words of its first two pages. Of a short one only the lower
 * half is its own.
 */
static __always_inline u64 get_bits(const u32 *words)
{
	return (u64)words[1] << 32 | words[0];
}

static __always_inline void set_bits(u32 *words, u64 bits)
{
	words[0] = bits;
	words[1] = bits >> 32;
}

/* Pages that hold @size bytes; @size isn't 0. */
static __always_inline unsigned long pages_for(const struct quarry_heap *heap, size_t size)
{
	return ((size - 1) >> heap->page_shift) + 1;
}

static __always_inline bool contains(const struct quarry_heap_extent *extent, unsigned long addr)
{
	return addr - extent->base < extent->size;
}

/*
 * The class of a size from 1 to heap->max_small: that of the smallest blocks that hold it.
 * What the table has is its distance from the first class in bytes.
 */
static __always_inline struct quarry_heap_class *class_for(struct quarry_heap *heap, size_t size)
{
	return (void *)heap->classes + heap->steps[(size - 1) >> STEP_SHIFT];
}

/* The bytes in a block of a class. */
static inline u32 class_size(unsigned int class)
{
	unsigned int shift = class < 16 ? 3 : class / 8 + 2;

	return (class - (shift - 3) * 8 + 1) << shift;
}

/* ---- Marks in free memory ---- */

/* What a block begins with after it was freed. */
static __always_inline unsigned long free_mark(const struct quarry_heap *heap, unsigned long addr)
{
	return addr ^ heap->secret;
}

/* What a block has in it while it waits to be freed. */
static inline unsigned long deferred_mark(const struct quarry_heap *heap, unsigned long addr)
{
	return ~free_mark(heap, addr);
}

static __always_inline void set_free_mark(const struct quarry_heap *heap, unsigned long addr)
{
	((struct heap_node *)addr)->mark = free_mark(heap, addr);
}

static __always_inline bool has_free_mark(const struct quarry_heap *heap, unsigned long addr)
{
	return *(unsigned long *)addr == free_mark(heap, addr);
}

static inline bool has_deferred_mark(const struct quarry_heap *heap, unsigned long addr)
{
	return READ_ONCE(((const struct heap_deferred *)addr)->mark) == deferred_mark(heap, addr);
}

/* ---- Free runs ---- */

/* All runs of a bin below this are of one length, which is its number. */
#define EXACT_BINS	32

/* The last bin that has a run, or 0, which never has one. */
static inline unsigned int last_bin(const struct quarry_heap *heap)
{
	unsigned int word;

	if (unlikely(!heap->bin_words))
		return 0;
	word = __fls(heap->bin_words);
	return word * BITS_PER_LONG + __fls(heap->bin_bits[word]);
}

/* ---- Long buckets ---- */

/* The links of a long bucket, whose bits are at @bits. */
static __always_inline struct heap_links *long_links(u32 *bits)
{
	return (struct heap_links *)(bits + 2);
}

/*
 * Whether a long bucket of a class, of which any damage may be the cause, lies in an extent if
 * it starts at a page. (Of a class that has none take_long() finds no block.)
 */
static __always_inline bool long_fits(const struct quarry_heap_extent *extent, unsigned long page,
				      const struct quarry_heap_class *class)
{
	return likely(page + MAX_LONG_PAGES <= extent->nr_pages) ||
	       page + class->long_pages <= extent->nr_pages;
}

/* What allocation takes from. */
static __always_inline void set_first_long(struct quarry_heap_class *class, u32 ref, u32 *bits,
					   unsigned long first)
{
	class->long_list = ref;
	class->bits = bits;
	class->first = first;
}

/* Put a long bucket in front of its list. */
static __always_inline void push_long(struct quarry_heap *heap, struct quarry_heap_class *class,
				      u32 ref, u32 *bits, unsigned long first)
{
	u32 next = class->long_list;

	if (likely(next != NO_REF))
		long_links(class->bits)->prev = ref;
	else
		heap->long_classes |= BIT_ULL(class->index);
	long_links(bits)->next = next;
	long_links(bits)->prev = NO_REF;
	set_first_long(class, ref, bits, first);
}

void __quarry_heap_condemn_bucket(struct quarry_heap *heap, u32 ref);

/*
 * The bits of the long bucket that a link in the map leads to; false if it leads out of it: nobody
 * has business there, but who writes beyond a block's end may have been.
 */
static __always_inline bool find_long(struct quarry_heap *heap,
				      const struct quarry_heap_class *class, u32 ref, u32 **bits)
{
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 page = ref_page(ref);

	*bits = &extent->words[page];
	return long_fits(extent, page, class);
}

/*
 * The last free block of the first long bucket of a class was taken: go on to the next. False if
 * the links are damaged.
 */
static __always_inline bool pop_long(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	u32 ref = long_links(class->bits)->next, page = ref_page(ref);
	const struct quarry_heap_extent *extent = ref_extent(heap, ref);
	u32 *bits;

	if (ref == NO_REF) {
		class->long_list = NO_REF;
		class->bits = NULL;
		heap->long_classes &= ~BIT_ULL(class->index);
		return true;
	}
	if (unlikely(!find_long(heap, class, ref, &bits) ||
		     extent->kinds[page] != class->index))
		return false;
	set_first_long(class, ref, bits, page_addr(heap, extent, page));
	long_links(bits)->prev = NO_REF;
	return true;
}

static __always_inline void account_taken(struct quarry_heap *heap, size_t size)
{
	unsigned long used = heap->used + size;

	heap->used = used;
	if (unlikely(heap->peak < used))
		heap->peak = used;
	heap->nr_allocs++;
}

/* The lowest free block of the first long bucket with one, of a class that has some. */
static __always_inline void *take_long(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	u64 old = get_bits(class->bits), bits = old & (old - 1);
	unsigned long block = class->first + __ffs64(old) * class->size;

	set_bits(class->bits, bits);
	class->nr_used++;
	account_taken(heap, class->size);
	if (bits & class->long_valid)
		return (void *)block;

	/* Where the map is damaged there was no block of the bucket's, but some bit set. */
	if (unlikely(!(old & class->long_valid))) {
		__quarry_heap_condemn_bucket(heap, class->long_list);
		return NULL;
	}
	if (unlikely(!pop_long(heap, class)))
		__quarry_heap_condemn_bucket(heap, class->long_list);
	return (void *)block;
}

/* ---- Finding blocks ---- */

/* Where a block in use was found: the first of its pages, and its place in a bucket. */
struct heap_spot {
	struct quarry_heap_class *class;	/* NULL for a run. */
	unsigned long offset;			/* Of a bucket, in its extent. */
	unsigned long page;
	u32 index;
	u64 bits;
	unsigned long kind;
};

/* A page's kind, which is read once, but needs no pointer of its own as for READ_ONCE(). */
static __always_inline unsigned long read_kind(const struct quarry_heap_extent *extent,
					       unsigned long page)
{
	/* Who asks without the lock looks at what is found. */
	unsigned long kind = data_race(extent->kinds[page]);

	OPTIMIZER_HIDE_VAR(kind);
	return kind;
}

/*
 * The page that the piece begins with which so many bytes of an extent are in, as far as this
 * is a bucket, and its kind. False if the map is damaged.
 */
static __always_inline bool find_first(const struct quarry_heap *heap,
				       const struct quarry_heap_extent *extent,
				       unsigned long within, struct heap_spot *spot)
{
	unsigned long page = within >> heap->page_shift;
	unsigned long kind = read_kind(extent, page);

	if (likely(is_part(kind))) {
		if (unlikely(check_sub_overflow(page, part_of(kind), &page)))
			return false;
		kind = read_kind(extent, page);
	}
	spot->page = page;
	spot->kind = kind;
	return true;
}

/*
 * Whether a block in use of a bucket, which find_first() found, starts so many bytes into an
 * extent.
 *
 * The reciprocal is 2^32 / size, rounded up. So the upper half of the product is the
 * number of the block that the address lies in; and, as that number times the error is
 * less than a reciprocal, the lower half is less than one just for its first byte.
 */
static __always_inline bool find_block(struct quarry_heap *heap,
				       const struct quarry_heap_extent *extent,
				       unsigned long within, unsigned int class_index,
				       struct heap_spot *spot)
{
	struct quarry_heap_class *class = &heap->classes[class_index];
	u64 product;

	/* One pointer, and not an index that is made one again for each member. */
	OPTIMIZER_HIDE_VAR(class);
	spot->class = class;
	spot->offset = spot->page << heap->page_shift;
	product = (u64)(within - spot->offset) * class->reciprocal;
	if (unlikely((u32)product >= class->reciprocal))
		return false;
	spot->index = product >> 32;
	/* Others' bits may change meanwhile, if the lock isn't held. */
	spot->bits = data_race(get_bits(&extent->words[spot->page]));
	return likely(!(spot->bits >> spot->index & 1));
}

/* Whether a block in use of what find_first() found starts so many bytes into an extent. */
static __always_inline bool find_rest(struct quarry_heap *heap,
				      const struct quarry_heap_extent *extent,
				      unsigned long within, struct heap_spot *spot)
{
	if (likely(is_bucket(spot->kind)))
		return find_block(heap, extent, within, kind_class(spot->kind), spot);
	spot->class = NULL;
	return spot->kind == KIND_RUN &&
	       within == spot->page << heap->page_shift;
}

/*
 * Whether a block in use starts so many bytes into an extent. Of one that does, what
 * this reads doesn't change until it is freed, so that it can be asked without
 * the lock; the answer for any other address is of that moment.
 */
static __always_inline bool find_start(struct quarry_heap *heap,
				       const struct quarry_heap_extent *extent,
				       unsigned long within, struct heap_spot *spot)
{
	return find_first(heap, extent, within, spot) && find_rest(heap, extent, within, spot);
}

/* As find_start(), for an address and the extent that it is in, if any. */
static __always_inline bool find_addr(struct quarry_heap *heap,
				      const struct quarry_heap_extent *extent,
				      unsigned long addr, struct heap_spot *spot)
{
	return extent && find_start(heap, extent, addr - extent->base, spot);
}

/*
 * Whether a block that find_start() found is free all the same, in a CPU's magazine: then
 * it has the mark that those in use don't have, if their class has magazines.
 */
static __always_inline bool is_cached(const struct quarry_heap *heap,
				      const struct quarry_heap_class *class, unsigned long addr)
{
	return class && unlikely(class->magazines) && has_free_mark(heap, addr);
}

/* A block that is given out past the magazines of its class, if there are any. */
static inline void *unmark(const struct quarry_heap *heap, void *block)
{
	if (block && heap->caches)
		((struct heap_node *)block)->mark = 0;
	return block;
}

/* How many pages a piece has that starts at a page; 0 if the map is damaged. */
static inline u32 piece_pages(const struct quarry_heap *heap,
			      const struct quarry_heap_extent *extent, u32 page)
{
	u8 kind = extent->kinds[page];
	const struct quarry_heap_class *class = &heap->classes[kind_class(kind)];

	if (!is_bucket(kind))
		return extent->words[page];
	return is_short(kind) ? !!class->short_blocks : class->long_pages;
}

/* The real size of a block that find_start() found. */
static inline size_t spot_size(const struct quarry_heap *heap,
			       const struct quarry_heap_extent *extent,
			       const struct heap_spot *spot)
{
	if (!spot->class)
		return (size_t)extent->words[spot->page] << heap->page_shift;
	return spot->class->size;
}

/* Where to look on for the last base up to an address, among twice as many as @half. */
static __always_inline const struct quarry_heap_base *
upper_half(const struct quarry_heap_base *base, unsigned int half, unsigned long addr)
{
	/* Who asks without the lock looks at what is found. */
	return data_race(base[half].addr) <= addr ? base + half : base;
}

/*
 * The extent that holds an address if any does. Without the lock, the arrays may change
 * meanwhile, and it is any one.
 */
static __always_inline struct quarry_heap_extent *find_extent(struct quarry_heap *heap,
							      unsigned long addr)
{
	const struct quarry_heap_base *base = heap->by_addr;

	/* Where there is no extent, a base is above all addresses. */
	base = upper_half(base, 32, addr);
	base = upper_half(base, 16, addr);
	base = upper_half(base, 8, addr);
	base = upper_half(base, 4, addr);
	base = upper_half(base, 2, addr);
	base = upper_half(base, 1, addr);
	/* As above. */
	return data_race(base->extent);
}

static_assert(QUARRY_HEAP_MAX_EXTENTS == 2 * 32);

struct quarry_heap_extent *__quarry_heap_extent(struct quarry_heap *heap, unsigned long addr);

static __always_inline struct quarry_heap_extent *extent_at(struct quarry_heap *heap,
							    unsigned long addr)
{
	if (likely(contains(heap->last, addr)))
		return heap->last;
	return __quarry_heap_extent(heap, addr);
}

/* ---- Saying no, and freeing ---- */

/* What became of an address that was to be freed. */
enum heap_verdict {
	RELEASED,
	OUT_OF_SERVICE,
	NOT_MANAGED,
	NOT_A_START,
	NEVER_GIVEN,
	FREE_ALREADY,
	QUEUED_ALREADY,
};

/* Reasons why a free is followed by more work, after the lock was dropped. */
#define DUE_SERVE	BIT(0)	/* someone waits for memory */
#define DUE_GIVE	BIT(1)	/* more fetched extents are empty than are kept */

void __quarry_heap_follow_up(struct quarry_heap *heap);

/* Drop the lock after memory may have become free, and do what follows from that. */
static __always_inline void unlock_freed(struct quarry_heap *heap, unsigned long irq)
{
	unsigned int due = heap->due;

	raw_spin_unlock_irqrestore(&heap->lock, irq);
	if (unlikely(due))
		__quarry_heap_follow_up(heap);
}

/* ---- heap_pages.c: all expect the lock ---- */

bool __quarry_heap_take_behind(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			       u32 page, u32 nr);
void __quarry_heap_give_pages(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			      unsigned long page, unsigned long nr);
void *__quarry_heap_take_run(struct quarry_heap *heap, unsigned long nr);
void *__quarry_heap_take_aligned(struct quarry_heap *heap, unsigned long nr, size_t align);
void __quarry_heap_release_run(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			       u32 page);
bool __quarry_heap_resize_run(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			      u32 page, unsigned long nr);
void *__quarry_heap_take_own(struct quarry_heap *heap, size_t size, size_t align);
void __quarry_heap_release_own(struct quarry_heap *heap, void *memory);
u32 __quarry_heap_largest_run(struct quarry_heap *heap);
unsigned int __quarry_heap_bin_of(unsigned long nr);
bool __quarry_heap_is_run(struct quarry_heap *heap, const struct heap_run *run,
			  const struct quarry_heap_link *prev, u32 *nr);
void __quarry_heap_broken(struct quarry_heap *heap, const char *what, u32 ref);

/* ---- heap_bucket.c: all expect the lock ---- */

void *__quarry_heap_take_bucket(struct quarry_heap *heap, struct quarry_heap_class *class);
void *__quarry_heap_take_slow(struct quarry_heap *heap, size_t size, size_t align,
			      struct quarry_heap_class *class);
void __quarry_heap_release_long(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				unsigned long page, struct quarry_heap_class *class, u64 bits);
void __quarry_heap_release_short(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				 unsigned long page, struct quarry_heap_class *class,
				 unsigned int index);
void __quarry_heap_end_short(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			     unsigned long page, struct quarry_heap_class *class, u32 bits);
struct heap_links *__quarry_heap_bucket_links(struct quarry_heap *heap, u32 ref, u8 kind);

/* ---- heap.c ---- */

void *__quarry_heap_alloc(struct quarry_heap *heap, size_t size);
void *__quarry_heap_alloc_locked(struct quarry_heap *heap, size_t size, size_t align);
void *__quarry_heap_try_alloc(struct quarry_heap *heap, size_t size);
int __quarry_heap_free_locked(struct quarry_heap *heap, unsigned long addr,
			      unsigned long caller);
int __quarry_heap_refuse(struct quarry_heap *heap, int err, const char *what, u64 value,
			 unsigned long caller);
int __quarry_heap_refuse_addr(struct quarry_heap *heap, enum heap_verdict verdict,
			      unsigned long addr, unsigned long caller);
enum heap_verdict __quarry_heap_why_not(const struct quarry_heap *heap,
					const struct quarry_heap_extent *extent,
					unsigned long addr);
void __quarry_heap_release(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			   unsigned long addr, const struct heap_spot *spot);

/* ---- heap_lookup.c ---- */

bool __quarry_heap_piece(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			 u32 page, struct heap_piece *piece);

/* ---- heap_deferred.c ---- */

const struct quarry_heap_extent *__quarry_heap_extent_unlocked(const struct quarry_heap *heap,
							       unsigned long addr);
bool __quarry_heap_reap_one(struct quarry_heap *heap);
unsigned long __quarry_heap_reap(struct quarry_heap *heap);

/* ---- heap_cache.c ---- */

/* What is in all magazines: blocks, their bytes, and how many were ever put there. */
struct heap_cached {
	u64 nr;
	u64 size;
	u64 nr_puts;
};

void *__quarry_heap_alloc_cached(struct quarry_heap *heap, size_t size, size_t align);
int __quarry_heap_free_cached(struct quarry_heap *heap, unsigned long addr,
			      unsigned long caller);
void __quarry_heap_reclaim_cached(struct quarry_heap *heap);
void __quarry_heap_drain_cached(struct quarry_heap *heap);
struct heap_cached __quarry_heap_count_cached(struct quarry_heap *heap);
int __quarry_heap_verify_cached(struct quarry_heap *heap, struct quarry_fault *fault);
void __quarry_heap_end_caching(struct quarry_heap *heap);

/* ---- heap_stats.c ---- */

u64 __quarry_heap_nr_used(const struct quarry_heap *heap);
unsigned long __quarry_heap_largest(struct quarry_heap *heap);

/* ---- heap_extent.c ---- */

int __quarry_heap_add_extent(struct quarry_heap *heap, void *memory, size_t size);
void __quarry_heap_publish(struct quarry_heap *heap, struct quarry_heap_extent *extent);
bool __quarry_heap_remove_first(struct quarry_heap *heap, struct quarry_heap_extent_stats *extent);
unsigned int __quarry_heap_page_shift(size_t page_size);
struct quarry_heap_extent *__quarry_heap_fetch(struct quarry_heap *heap, size_t size,
					       size_t align);
void __quarry_heap_give_empty(struct quarry_heap *heap);

/* ---- heap_wait.c ---- */

void __quarry_heap_serve(struct quarry_heap *heap);
void __quarry_heap_dismiss(struct quarry_heap *heap);

#endif /* QUARRY_HEAP_INTERNAL_H */
