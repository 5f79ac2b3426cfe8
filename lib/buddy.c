// SPDX-License-Identifier: GPL-2.0
/*
 * Buddy: power-of-two blocks of pages in a range of addresses, in bounded time.
 *
 * 1. Terms. A page is the smallest unit, of any power of two of bytes. A page
 *    number counts from the origin: the base of the region rounded down so far
 *    that a block is aligned in the address space just if it is in page
 *    numbers. A piece is 2^order pages at a multiple of 2^order; its buddy is
 *    the other half of the piece of the next order around it. Free memory is
 *    kept as the largest pieces possible. A block, the memory of one
 *    allocation, is one piece, or several one after another if it is no power
 *    of two long or doesn't start at a multiple of it: then always the largest
 *    pieces that fit, going up in order, then down.
 *
 * 2. Structure. The memory that is managed is never touched, so that it can be
 *    anything. Beside it, in memory that the caller gives, lie
 *      - for each order, a free map (lib/freemap.c) of the free pieces, 2 bits
 *        a page in all, and a tenth of that for the summaries;
 *      - a tag for each page, a byte:
 *
 *          7 6 5 4 3 2 1 0
 *          0 g [order + 1]   a free piece starts here
 *          0 g 0 0 0 0 0 0   inside a piece
 *          1 0 [order + 1]   a block in use starts here, with a piece of this order
 *          1 1 g [ order ]   a later piece of a block in use starts here
 *
 *        where g says that a block that started here was given out once, which
 *        tells freeing twice from freeing what never was. One more tag behind
 *        the last page is always 0.
 *    Of the tags inside a piece only g has a meaning, so that splitting and
 *    joining write one tag each, whatever the size.
 *
 * 3. Algorithm. Allocation takes the lowest order that has a free piece large
 *    enough (a bit mask of orders that have any), there the lowest or highest
 *    piece (the free map), puts back what is too much of it, and tags the rest.
 *    Constraints are the same search with a window and an alignment, order by
 *    order. Freeing takes the tag's word for the order, then joins buddies for
 *    as long as the buddy's tag says that it is free and whole. The block
 *    around an address is found by rounding the page number down to ever higher
 *    powers of two until a tag is not that of an inside.
 *
 * 4. Bounds, with n the number of orders (log2 of the pages, at most 33):
 *    allocation and freeing n splits or joins, each a bounded change to a free
 *    map; a block that isn't one piece has at most 2n, and all together they
 *    join at most 4n times. Looking up an address takes at most 4n tags. No
 *    operation but init and verify depends on the number of pages.
 *
 * 5. Locking. One raw spinlock guards all but what init sets. It is taken with
 *    interrupts saved, for the bounded time above, so everything may be called
 *    from any context but NMI; nothing else is taken under it. Contents are
 *    moved, misuse is logged, and memory is asked for back after it is dropped.
 *
 * 6. Failure. A call that can't be right is refused and changes nothing but a
 *    counter. A free map and tags that contradict each other mean that the
 *    metadata was damaged: this WARNs, and the buddy serves nothing more
 *    (-EIO), as whatever it gave might be in use.
 *
 * After D. E. Knuth, The Art of Computer Programming, vol. 1, 2.5, algorithms R
 * and S, with maps in place of lists.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/math64.h>

#include "buddy_internal.h"
#include "inject.h"

/* How often memory is asked for back before a request fails. */
#define MAX_RECLAIMS	64

/* What is looked for: @pages, aligned to 2^@align_order, starting in [@lo, @hi]. */
struct want {
	unsigned long need;
	unsigned long pages;
	unsigned int order;
	bool topdown;
	unsigned int align_order;
	unsigned long lo;
	unsigned long hi;
	unsigned int steps;
};

/* Where it was found: at @start, in the free piece of @order at @piece. */
struct spot {
	unsigned long piece;
	unsigned int order;
	unsigned long start;
};

/* ---- Saying no ---- */

/* Count and log a call that can't be right; @err is passed through. */
static noinline __cold int refuse(struct quarry_buddy *buddy, int err, const char *what,
				  u64 value, unsigned long caller)
{
	struct quarry_misuse misuse = {
		.kind = "buddy",
		.name = buddy->name,
		.what = what,
		.base = buddy->region.base,
		.size = buddy->region.size,
		.value = value,
		.caller = caller,
	};
	unsigned long irq;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	buddy->nr_misuses++;
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	quarry_report_misuse(&misuse);
	return err;
}

/* Why an address doesn't start a block in use, or not one of that size. */
enum reason {
	OUT_OF_SERVICE,
	NOT_MANAGED,
	NOT_A_START,
	NEVER_GIVEN,
	FREE_ALREADY,
	ANOTHER_SIZE,
};

static const struct {
	int err;
	const char *what;
} answers[] = {
	[OUT_OF_SERVICE] = { -EIO, "out of service" },
	[NOT_MANAGED] = { -EINVAL, "not an address that is managed" },
	[NOT_A_START] = { -EINVAL, "not the start of a block" },
	[NEVER_GIVEN] = { -EINVAL, "never given out" },
	[FREE_ALREADY] = { -ENOENT, "free already" },
	[ANOTHER_SIZE] = { -EINVAL, "not the size of the block" },
};

static noinline __cold int refuse_addr(struct quarry_buddy *buddy, enum reason reason, u64 addr,
				       unsigned long caller)
{
	if (reason == OUT_OF_SERVICE)
		return -EIO;
	return refuse(buddy, answers[reason].err, answers[reason].what, addr, caller);
}

/* Take the buddy out of service: its metadata contradict each other. */
static noinline __cold void broken(struct quarry_buddy *buddy, const char *what,
				   unsigned long page)
{
	lockdep_assert_held(&buddy->lock);

	if (!buddy->broken)
		quarry_report_broken("buddy", buddy->name, what,
				     page_addr(buddy, page) - buddy->region.base);
	buddy->broken = true;
	buddy->free_orders = 0;
}

static u64 largest_free(const struct quarry_buddy *buddy)
{
	if (!buddy->free_orders)
		return 0;
	return BIT_ULL(__fls(buddy->free_orders)) << buddy->page_shift;
}

static u64 free_bytes(const struct quarry_buddy *buddy)
{
	return (nr_pages(buddy) - buddy->used_pages) << buddy->page_shift;
}

/* Keep a record of a request that found no room; @err is passed through. */
static noinline __cold int fail(struct quarry_buddy *buddy, int err,
				const struct quarry_buddy_request *request)
{
	lockdep_assert_held(&buddy->lock);

	if (buddy->broken)
		return -EIO;

	buddy->nr_failures++;
	buddy->last_failure = (struct quarry_buddy_failure) {
		.request = *request,
		.when = ktime_get_mono_fast_ns(),
		.free = free_bytes(buddy),
		.largest_free = largest_free(buddy),
	};
	return err;
}

static noinline __cold int fail_anywhere(struct quarry_buddy *buddy, u64 size, unsigned int flags)
{
	struct quarry_buddy_request request = { .size = size, .max = U64_MAX, .flags = flags };

	return fail(buddy, -ENOSPC, &request);
}

/* Let a request that can be right find no room. */
static noinline __cold int fail_injected(struct quarry_buddy *buddy,
					 const struct quarry_buddy_request *request)
{
	unsigned long irq;
	int err;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	err = fail(buddy, -ENOSPC, request);
	raw_spin_unlock_irqrestore(&buddy->lock, irq);
	return err;
}

static noinline __cold int fail_injected_anywhere(struct quarry_buddy *buddy, u64 size,
						  unsigned int flags)
{
	struct quarry_buddy_request request = { .size = size, .max = U64_MAX, .flags = flags };

	return fail_injected(buddy, &request);
}

/* ---- Free pieces ---- */

/* Make a piece free whose tag is that of an inside. */
static inline void insert_free(struct quarry_buddy *buddy, struct quarry_freemap *map,
			       unsigned long page, unsigned int order)
{
	quarry_freemap_set(map, page);
	*tag_of(buddy, page) |= free_tag(order);
}

/* What is left to do for a piece of @size pages that was taken out of its map. */
static inline void note_removed(struct quarry_buddy *buddy, const struct quarry_freemap *map,
				u8 *tag, unsigned long size)
{
	if (quarry_freemap_is_empty(map))
		buddy->free_orders ^= size;
	*tag &= TAG_GIVEN;
}

/* Take a piece out of the free ones; its tag is that of an inside then. */
static bool remove_free(struct quarry_buddy *buddy, unsigned long page, unsigned int order)
{
	struct quarry_freemap *map = &buddy->free[order];

	if (unlikely(!quarry_freemap_clear(map, page))) {
		broken(buddy, "a free piece is not in its map", page);
		return false;
	}
	note_removed(buddy, map, tag_of(buddy, page), BIT(order));
	return true;
}

/*
 * Put back what lies between the start of a removed piece and @end, or between
 * @start and the end of one. As the outer border is aligned to more than the
 * inner, the inner border's alignment is the order of the piece next to it: each
 * order comes once, just if its bit is set in the number of pages.
 */
static void put_back_before(struct quarry_buddy *buddy, unsigned long piece, unsigned long end)
{
	unsigned long orders = end - piece;
	unsigned int order = __ffs(orders);
	struct quarry_freemap *map = &buddy->free[order];
	unsigned long size = BIT(order);

	buddy->free_orders |= orders;
	buddy->nr_splits += hweight_long(orders);
	for (; end != piece; order++, map++, size <<= 1) {
		if (!(end & size))
			continue;
		end -= size;
		insert_free(buddy, map, end, order);
	}
}

static void put_back_after(struct quarry_buddy *buddy, unsigned long start,
			   unsigned long piece_end)
{
	unsigned long orders = piece_end - start;
	unsigned int order = __ffs(orders);
	struct quarry_freemap *map = &buddy->free[order];
	unsigned long size = BIT(order);

	buddy->free_orders |= orders;
	buddy->nr_splits += hweight_long(orders);
	for (; start != piece_end; order++, map++, size <<= 1) {
		if (!(start & size))
			continue;
		insert_free(buddy, map, start, order);
		start += size;
	}
}

/*
 * The highest order of which the piece around a page lies in the region: the
 * page's number differs from those just outside in that bit or a higher one.
 */
static inline unsigned long highest_order(const struct quarry_buddy *buddy, unsigned long page)
{
	return min(__fls(page ^ (buddy->first - 1)), __fls(page ^ buddy->end));
}

/*
 * As insert_free(), but first join the piece with its buddies. What breaks the buddy isn't
 * entered: nothing is to be had from it then.
 */
static __always_inline void join(struct quarry_buddy *buddy, unsigned long page,
				 unsigned int order)
{
	unsigned int highest = highest_order(buddy, page);
	struct quarry_freemap *map = &buddy->free[order];
	unsigned long tags = buddy->tag_base;
	unsigned long size = BIT(order);
	unsigned int old = order;

	for (; order < highest; order++, map++, size <<= 1) {
		unsigned long other = page ^ size;
		u8 *tag = (u8 *)(tags + other);

		if (!is_free_piece(*tag, order))
			break;
		if (unlikely(!quarry_freemap_clear(map, other))) {
			broken(buddy, "a free buddy is not in its map", other);
			return;
		}
		note_removed(buddy, map, tag, size);
		page &= other;
	}
	buddy->nr_merges += order - old;
	buddy->free_orders |= size;
	insert_free(buddy, map, page, order);
}

/* ---- Blocks in use ---- */

/* Tag memory, all of it insides, as one block; returns how many pieces it has. */
static noinline unsigned int mark_used(struct quarry_buddy *buddy, unsigned long start,
				       unsigned long end)
{
	unsigned int order = piece_order(start, end);
	unsigned int nr = 1;

	*tag_of(buddy, start) = used_tag(order);
	while ((start += BIT(order)) != end) {
		u8 *tag = tag_of(buddy, start);

		order = piece_order(start, end);
		*tag = TAG_LATER | (*tag & TAG_GIVEN) / (TAG_GIVEN / TAG_LATER_GIVEN) | order;
		nr++;
	}
	return nr;
}

/* The tag that the start of a block's piece has when it is an inside again. */
static inline u8 inside_tag(u8 tag)
{
	if (is_later_piece(tag))
		return (tag & TAG_LATER_GIVEN) * (TAG_GIVEN / TAG_LATER_GIVEN);
	return TAG_GIVEN;
}

/* The reverse of mark_used(). */
static unsigned int unmark(struct quarry_buddy *buddy, const struct page_range *block)
{
	unsigned long page = block->start;
	unsigned int nr = 0;

	while (page != block->end) {
		u8 *tag = tag_of(buddy, page);

		page += BIT(tag_order(*tag));
		*tag = inside_tag(*tag);
		nr++;
	}
	return nr;
}

/* Free a block of several pieces, one by one; returns its pages. */
static noinline unsigned long release_pieces(struct quarry_buddy *buddy, unsigned long start)
{
	unsigned long page = start;

	do {
		u8 *tag = tag_of(buddy, page);
		unsigned int order = tag_order(*tag);

		if (unlikely(!is_piece_sane(buddy, page))) {
			broken(buddy, "the tag of a later piece is damaged", page);
			break;
		}
		*tag = inside_tag(*tag);
		join(buddy, page, order);
		page += BIT(order);
	} while (!buddy->broken && is_later_piece(*tag_of(buddy, page)));
	return page - start;
}

/* Free a block, whose start is_block_start() has seen; returns its pages. */
static __always_inline unsigned long release(struct quarry_buddy *buddy, unsigned long start)
{
	u8 *tag = tag_of(buddy, start);
	unsigned int order = *tag - used_tag(0);

	if (unlikely(is_later_piece(*tag_of(buddy, start + BIT(order)))))
		return release_pieces(buddy, start);
	*tag = TAG_GIVEN;
	join(buddy, start, order);
	return BIT(order);
}

/* Free a range, all of it insides; returns how many pieces that was at first. */
unsigned int __quarry_buddy_release_range(struct quarry_buddy *buddy, unsigned long start,
					  unsigned long end)
{
	unsigned int nr;

	for (nr = 0; start != end && !buddy->broken; nr++) {
		unsigned int order = piece_order(start, end);

		join(buddy, start, order);
		start += BIT(order);
	}
	return nr;
}

/* Memory that was @before pieces is cut into @after now, or joined to them. */
static void account_pieces(struct quarry_buddy *buddy, unsigned int before, unsigned int after)
{
	if (after > before)
		buddy->nr_splits += after - before;
	else
		buddy->nr_merges += before - after;
}

static inline void account_taken(struct quarry_buddy *buddy, unsigned long pages)
{
	buddy->used_pages += pages;
	if (buddy->peak_pages < buddy->used_pages)
		buddy->peak_pages = buddy->used_pages;
}

/* ---- Looking up ---- */

/* Always false, so that what found the damage can pass it on. */
static bool damaged(struct quarry_buddy *buddy, unsigned long page)
{
	broken(buddy, "a tag can't be right", page);
	return false;
}

/* The piece that holds a managed page; false if damaged tags hide it. */
static bool piece_around(struct quarry_buddy *buddy, unsigned long page, struct page_range *piece)
{
	unsigned long start = page;

	while (start > buddy->first && is_inside(*tag_of(buddy, start)))
		start &= start - 1;
	if (start < buddy->first || !is_piece_sane(buddy, start))
		return damaged(buddy, page);

	piece->start = start;
	piece->end = piece_end(buddy, start);
	return page < piece->end || damaged(buddy, page);
}

/*
 * Let a block begin with the piece before one of its later pieces: the one
 * whose order says that it ends there. Going back through a block, the orders
 * tried go up while the pieces do and down again after, so that the whole way
 * is O(log).
 */
static bool extend_back(struct quarry_buddy *buddy, struct page_range *block)
{
	unsigned int order = __ffs(block->start | BIT(buddy->max_order)) + 1;

	while (order--) {
		unsigned long before = block->start - BIT(order);
		u8 tag;

		if (!is_managed(buddy, before))
			continue;
		tag = *tag_of(buddy, before);
		if (is_used(tag) && tag_order(tag) == order) {
			block->start = before;
			return true;
		}
	}
	return damaged(buddy, block->start);
}

static bool extend_forth(struct quarry_buddy *buddy, struct page_range *block)
{
	if (!is_piece_sane(buddy, block->end))
		return damaged(buddy, block->end);
	block->end = piece_end(buddy, block->end);
	return true;
}

/* The block, in use or free, around a managed page; false if tags are damaged. */
static bool block_around(struct quarry_buddy *buddy, unsigned long page, struct page_range *block)
{
	lockdep_assert_held(&buddy->lock);

	if (!piece_around(buddy, page, block))
		return false;
	if (!is_used(*tag_of(buddy, block->start)))
		return true;

	while (is_later_piece(*tag_of(buddy, block->start)))
		if (!extend_back(buddy, block))
			return false;
	while (is_later_piece(*tag_of(buddy, block->end)))
		if (!extend_forth(buddy, block))
			return false;
	return true;
}

/* Whether an address, that of a page if of any, starts a block in use. */
static __always_inline bool is_block_start(const struct quarry_buddy *buddy, u64 addr,
					   unsigned long page)
{
	lockdep_assert_held(&buddy->lock);

	if (unlikely(buddy->broken || page_addr(buddy, page) != addr || page >= buddy->end))
		return false;
	/* Any other tag gives an order that is too high. */
	return likely(is_piece_place(buddy, page, *tag_of(buddy, page) - used_tag(0)));
}

/* What starts a block in use all the same has another size than it should. */
static noinline __cold enum reason why_no_block_start(struct quarry_buddy *buddy, u64 addr)
{
	unsigned long page = page_at(buddy, addr);
	struct page_range piece;

	if (buddy->broken)
		return OUT_OF_SERVICE;
	if (!is_managed(buddy, page))
		return NOT_MANAGED;
	if (page_addr(buddy, page) != addr)
		return NOT_A_START;
	if (!piece_around(buddy, page, &piece))
		return OUT_OF_SERVICE;
	if (is_used(*tag_of(buddy, page)) && !is_later_piece(*tag_of(buddy, page)))
		return ANOTHER_SIZE;
	if (is_used(*tag_of(buddy, piece.start)))
		return NOT_A_START;
	return *tag_of(buddy, page) & TAG_GIVEN ? FREE_ALREADY : NEVER_GIVEN;
}

/* ---- Checking requests ---- */

/* What a size and flags ask for; returns what is wrong with them, or NULL. */
static __always_inline const char *size_up(const struct quarry_buddy *buddy, u64 size,
					   unsigned int flags, struct want *want)
{
	u64 last_page = (size - 1) >> buddy->page_shift;

	/* Less one, so that 0 is out of range like what can't be rounded up. */
	if (unlikely(size - 1 >= BIT_ULL(63)))
		return size ? "size overflows" : "size is zero";
	if (unlikely(flags & ~QUARRY_BUDDY_FLAGS))
		return "unknown flags";

	want->steps = 0;
	want->topdown = flags & QUARRY_BUDDY_TOPDOWN;
	/* An order that no free piece has, for what can never fit. */
	if (unlikely(last_page >= nr_pages(buddy)))
		last_page = BIT_ULL(QUARRY_BUDDY_MAX_ORDER);
	want->order = fls64(last_page);
	want->need = last_page + 1;
	want->pages = flags & QUARRY_BUDDY_EXACT ? want->need : BIT(want->order);
	return NULL;
}

/* The first page that lies wholly at or above an address. */
static unsigned long page_from(const struct quarry_buddy *buddy, u64 addr)
{
	if (addr <= buddy->region.base)
		return buddy->first;
	return page_at(buddy, addr - 1) + 1;
}

/* The page behind the last one that lies wholly at or below an address. */
static unsigned long page_until(const struct quarry_buddy *buddy, u64 addr)
{
	if (addr >= quarry_region_last(&buddy->region))
		return buddy->end;
	if (addr < buddy->region.base)
		return buddy->first;
	return page_at(buddy, addr + 1);
}

/*
 * An alignment above that of the largest piece: at most one address in the
 * region has it, so the window shrinks to that one.
 */
static void pin(const struct quarry_buddy *buddy, u64 align, struct want *want)
{
	u64 offset = -buddy->region.base & (align - 1);
	unsigned long page;

	want->align_order = buddy->max_order;
	page = page_at(buddy, buddy->region.base + offset);
	if (offset >= buddy->region.size || page < want->lo || page > want->hi)
		want->order = QUARRY_BUDDY_NR_ORDERS;
	want->lo = page;
	want->hi = page;
}

/* As size_up(), for all that a request says. */
static const char *size_up_request(const struct quarry_buddy *buddy,
				   const struct quarry_buddy_request *request, struct want *want)
{
	const char *what = size_up(buddy, request->size, request->flags, want);
	unsigned long end;

	if (what)
		return what;
	if (request->align && !quarry_is_power_of_2(request->align))
		return "alignment is no power of two";
	if (request->min > request->max)
		return "window is empty";

	want->lo = page_from(buddy, request->min);
	end = page_until(buddy, request->max);
	if (end < want->lo || end - want->lo < want->pages)
		want->order = QUARRY_BUDDY_NR_ORDERS;
	want->hi = end - want->pages;

	want->align_order = want->order;
	if (request->align > BIT_ULL(buddy->max_order) << buddy->page_shift)
		pin(buddy, request->align, want);
	else if (request->align >> buddy->page_shift)
		want->align_order = max_t(unsigned int, want->order,
					  ilog2(request->align) - buddy->page_shift);
	return NULL;
}

/* ---- Finding ---- */

static inline unsigned long orders_from(const struct quarry_buddy *buddy, unsigned int order)
{
	return buddy->free_orders >> order << order;
}

/* Any place will do: take the lowest or highest piece of the lowest order. */
static __always_inline bool take_anywhere(struct quarry_buddy *buddy, const struct want *want,
					  struct spot *spot)
{
	unsigned long orders = orders_from(buddy, want->order);
	struct quarry_freemap *map;

	if (unlikely(!orders))
		return false;

	spot->order = __ffs(orders);
	map = &buddy->free[spot->order];
	spot->piece = want->topdown ? quarry_freemap_pop_last(map) : quarry_freemap_pop_first(map);
	buddy->nr_steps++;
	if (unlikely(spot->piece == QUARRY_FREEMAP_NONE)) {
		broken(buddy, "a free map has lost its pieces", buddy->first);
		return false;
	}

	spot->start = spot->piece;
	if (want->topdown)
		spot->start += BIT(spot->order) - BIT(want->order);
	note_removed(buddy, map, tag_of(buddy, spot->piece), BIT(spot->order));
	return true;
}

/*
 * The lowest start in the window that free pieces of one order can serve, or
 * QUARRY_FREEMAP_NONE. A piece smaller than the alignment can serve only with its
 * own start, so those are asked for that have the alignment.
 */
static unsigned long lowest_start(const struct quarry_buddy *buddy, struct want *want,
				  unsigned int order)
{
	unsigned long start = ALIGN(want->lo, BIT(want->align_order));
	unsigned long piece;

	want->steps++;
	piece = quarry_freemap_next(&buddy->free[order], ALIGN_DOWN(start, BIT(order)),
				    want->align_order);
	start = max(start, piece);
	return start > want->hi ? QUARRY_FREEMAP_NONE : start;
}

/* The highest start: lowest_start() in the mirror. */
static unsigned long highest_start(const struct quarry_buddy *buddy, struct want *want,
				   unsigned int order)
{
	unsigned long start = ALIGN_DOWN(want->hi, BIT(want->align_order));
	unsigned long piece;

	want->steps++;
	piece = quarry_freemap_prev(&buddy->free[order], start, want->align_order);
	if (piece == QUARRY_FREEMAP_NONE)
		return QUARRY_FREEMAP_NONE;

	start = min(start, ALIGN_DOWN(piece + BIT(order) - 1, BIT(want->align_order)));
	return start < want->lo ? QUARRY_FREEMAP_NONE : start;
}

/* Only some places will do: order by order, from the lowest that can serve. */
static bool find_within(const struct quarry_buddy *buddy, struct want *want, struct spot *spot)
{
	unsigned long orders;

	for (orders = orders_from(buddy, want->order); orders; orders &= orders - 1) {
		spot->order = __ffs(orders);
		spot->start = want->topdown ? highest_start(buddy, want, spot->order) :
					      lowest_start(buddy, want, spot->order);
		if (spot->start != QUARRY_FREEMAP_NONE) {
			spot->piece = ALIGN_DOWN(spot->start, BIT(spot->order));
			return true;
		}
	}
	return false;
}

static bool take_within(struct quarry_buddy *buddy, struct want *want, struct spot *spot)
{
	return find_within(buddy, want, spot) && remove_free(buddy, spot->piece, spot->order);
}

/* Whether no page of a range, which may be empty, is in use or not managed. */
static bool is_range_free(struct quarry_buddy *buddy, unsigned long start, unsigned long end)
{
	struct page_range piece = { .end = start };

	if (start < buddy->first || end > buddy->end)
		return false;

	while (piece.end < end) {
		if (!piece_around(buddy, piece.end, &piece))
			return false;
		if (is_used(*tag_of(buddy, piece.start)))
			return false;
	}
	return true;
}

/* ---- Taking ---- */

/* Cut the block out of the piece that was taken for it. */
static __always_inline void cut(struct quarry_buddy *buddy, const struct spot *spot,
				const struct want *want)
{
	unsigned long end = spot->start + want->pages;

	lockdep_assert_held(&buddy->lock);

	if (spot->start != spot->piece)
		put_back_before(buddy, spot->piece, spot->start);
	if (end != spot->piece + BIT(spot->order))
		put_back_after(buddy, end, spot->piece + BIT(spot->order));
	if (likely(want->pages == BIT(want->order)))
		*tag_of(buddy, spot->start) = used_tag(want->order);
	else
		account_pieces(buddy, 1, mark_used(buddy, spot->start, end));
	account_taken(buddy, want->pages);
	buddy->nr_allocs++;
}

/*
 * Remove all free pieces in a range known to be free, whose tags are insides
 * then; returns how many these were.
 */
static unsigned int clear_range(struct quarry_buddy *buddy, unsigned long start,
				unsigned long end)
{
	struct page_range piece;
	unsigned int nr;

	for (nr = 0; start < end && !buddy->broken; start = piece.end, nr++) {
		if (!piece_around(buddy, start, &piece))
			break;
		if (!remove_free(buddy, piece.start, tag_order(*tag_of(buddy, piece.start))))
			break;
		if (start != piece.start)
			put_back_before(buddy, piece.start, start);
		if (piece.end > end)
			put_back_after(buddy, end, piece.end);
	}
	return nr;
}

/* Whether there is who can be asked for memory back, and all of it may be enough. */
static inline bool can_ask(const struct quarry_buddy *buddy, const struct want *want)
{
	return buddy->reclaim && want->pages <= buddy->end - buddy->first;
}

/* One attempt at an allocation; with @last, that it found no room is a failure. */
static int xalloc_once(struct quarry_buddy *buddy, const struct quarry_buddy_request *request,
		       struct quarry_buddy_block *block, bool last)
{
	struct spot spot;
	struct want want;
	unsigned long irq;
	int err = 0;

	/* The request was looked at before. */
	size_up_request(buddy, request, &want);
	raw_spin_lock_irqsave(&buddy->lock, irq);
	if (take_within(buddy, &want, &spot))
		cut(buddy, &spot, &want);
	else
		err = !last && can_ask(buddy, &want) ? -EAGAIN : fail(buddy, -ENOSPC, request);
	buddy->nr_steps += want.steps;
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (!err)
		describe(buddy, block, spot.start, want.pages, false);
	return err;
}

/* Ask for memory back, and try again, until there is enough or no more. */
static noinline __cold int alloc_again(struct quarry_buddy *buddy,
				       const struct quarry_buddy_request *request,
				       struct quarry_buddy_block *block)
{
	unsigned int left = MAX_RECLAIMS;
	int err = -EAGAIN;
	bool more;

	while (err == -EAGAIN) {
		more = buddy->reclaim(buddy->reclaim_ctx) && --left;
		err = xalloc_once(buddy, request, block, !more);
	}
	return err;
}

static noinline __cold int alloc_anywhere_again(struct quarry_buddy *buddy, u64 size,
						unsigned int flags,
						struct quarry_buddy_block *block)
{
	struct quarry_buddy_request request = { .size = size, .max = U64_MAX, .flags = flags };

	return alloc_again(buddy, &request, block);
}

/* An attempt at an allocation, and if @again, and that may help, others. */
static __always_inline int alloc(struct quarry_buddy *buddy, u64 size, unsigned int flags,
				 struct quarry_buddy_block *block, bool again)
{
	/* Initialised, as compilers that are told to do it themselves do it slowly. */
	struct spot spot = {};
	struct want want = {};
	const char *what;
	unsigned long irq;
	int err = 0;

	what = block ? size_up(buddy, size, flags, &want) : "no block to fill in";
	if (unlikely(what))
		return refuse(buddy, -EINVAL, what, size, _RET_IP_);
	if (quarry_inject(QUARRY_INJECT_BUDDY_ALLOC, size))
		return fail_injected_anywhere(buddy, size, flags);

	raw_spin_lock_irqsave(&buddy->lock, irq);
	if (likely(take_anywhere(buddy, &want, &spot)))
		cut(buddy, &spot, &want);
	else
		err = again && can_ask(buddy, &want) ? -EAGAIN :
						       fail_anywhere(buddy, size, flags);
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (likely(!err))
		describe(buddy, block, spot.start, want.pages, false);
	else if (again && err == -EAGAIN)
		err = alloc_anywhere_again(buddy, size, flags, block);
	return err;
}

/* quarry_buddy_alloc() for those who see to it themselves that memory comes back. */
int __quarry_buddy_alloc(struct quarry_buddy *buddy, u64 size, unsigned int flags,
			 struct quarry_buddy_block *block)
{
	return alloc(buddy, size, flags, block, false);
}

/**
 * quarry_buddy_alloc() - allocate a block
 * @buddy: the buddy
 * @size: bytes wanted; rounded up to a power of two of pages, or, with
 *	QUARRY_BUDDY_EXACT, to whole pages
 * @flags: enum quarry_buddy_flags
 * @block: filled in with the block's address and real size
 *
 * The block's address is a multiple of its size, rounded up to a power of two.
 * It comes from the lowest order that has a free block large enough, and is the
 * lowest there, or the highest with QUARRY_BUDDY_TOPDOWN.
 *
 * Context: any but NMI. O(log2(pages)), and without splits O(1). When there is no room,
 * what quarry_buddy_set_reclaim() says comes on top.
 * Return: 0; -EINVAL if @size is 0 or above 2^63, a flag is unknown or @block
 * is NULL; -ENOSPC if no free block is large enough; -EIO if the buddy was
 * taken out of service.
 */
int quarry_buddy_alloc(struct quarry_buddy *buddy, u64 size, unsigned int flags,
		       struct quarry_buddy_block *block)
{
	return alloc(buddy, size, flags, block, true);
}
EXPORT_SYMBOL_GPL(quarry_buddy_alloc);

/**
 * quarry_buddy_xalloc() - allocate a block with constraints
 * @buddy: the buddy
 * @request: size, alignment, window and flags
 * @block: filled in with the block's address and real size
 *
 * As quarry_buddy_alloc(), among the places that the constraints allow: it
 * succeeds if, and only if, some free block holds such a place.
 *
 * Context: as quarry_buddy_alloc(). O(log2(pages)).
 * Return: 0; -EINVAL if size or flags are those that quarry_buddy_alloc()
 * refuses, the alignment is no power of two, the window is empty, or a pointer
 * is NULL; -ENOSPC if nothing that fits is free; -EIO if out of service.
 */
int quarry_buddy_xalloc(struct quarry_buddy *buddy, const struct quarry_buddy_request *request,
			struct quarry_buddy_block *block)
{
	const char *what;
	struct want want;
	int err;

	if (!request || !block)
		return refuse(buddy, -EINVAL, "no request or no block to fill in", 0, _RET_IP_);
	what = size_up_request(buddy, request, &want);
	if (what)
		return refuse(buddy, -EINVAL, what, request->size, _RET_IP_);
	if (quarry_inject(QUARRY_INJECT_BUDDY_ALLOC, request->size))
		return fail_injected(buddy, request);

	err = xalloc_once(buddy, request, block, false);
	return err == -EAGAIN ? alloc_again(buddy, request, block) : err;
}
EXPORT_SYMBOL_GPL(quarry_buddy_xalloc);

/**
 * quarry_buddy_probe() - whether an allocation would succeed now
 * @buddy: the buddy
 * @request: as for quarry_buddy_xalloc()
 * @block: filled in with what it would give; may be NULL
 *
 * Changes nothing, counters included, and asks nobody for memory back.
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: what quarry_buddy_xalloc() would.
 */
int quarry_buddy_probe(struct quarry_buddy *buddy, const struct quarry_buddy_request *request,
		       struct quarry_buddy_block *block)
{
	struct spot spot;
	struct want want;
	unsigned long irq;
	int err;

	if (!request || size_up_request(buddy, request, &want))
		return -EINVAL;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	err = find_within(buddy, &want, &spot) ? 0 : buddy->broken ? -EIO : -ENOSPC;
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (!err && block)
		describe(buddy, block, spot.start, want.pages, true);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_buddy_probe);

static int take_range(struct quarry_buddy *buddy, const struct page_range *range)
{
	unsigned int nr;

	if (buddy->broken || !is_range_free(buddy, range->start, range->end))
		return -EBUSY;

	nr = clear_range(buddy, range->start, range->end);
	if (unlikely(buddy->broken))
		return -EIO;
	account_pieces(buddy, nr, mark_used(buddy, range->start, range->end));
	account_taken(buddy, range->end - range->start);
	buddy->nr_allocs++;
	return 0;
}

/**
 * quarry_buddy_reserve() - allocate one certain range
 * @buddy: the buddy
 * @addr: its first address, a multiple of the page size
 * @size: bytes; rounded up to whole pages
 *
 * The range is one block, whatever its size and alignment: freed as one by
 * quarry_buddy_free() of @addr.
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: 0; -EINVAL if @addr is no multiple of the page size, or the range is
 * empty or not wholly managed; -EBUSY if part of it is in use; -EIO if out of
 * service.
 */
int quarry_buddy_reserve(struct quarry_buddy *buddy, u64 addr, u64 size)
{
	u64 rounded = round_up(size, BIT_ULL(buddy->page_shift));
	struct page_range range = { .start = page_at(buddy, addr) };
	unsigned long irq;
	int err;

	if (page_addr(buddy, range.start) != addr)
		return refuse(buddy, -EINVAL, "reserve: not the start of a page", addr, _RET_IP_);
	if (!quarry_region_contains(&buddy->region, addr, rounded))
		return refuse(buddy, -EINVAL, "reserve: range not managed", addr, _RET_IP_);
	range.end = range.start + (unsigned long)(rounded >> buddy->page_shift);

	raw_spin_lock_irqsave(&buddy->lock, irq);
	err = take_range(buddy, &range);
	if (err) {
		struct quarry_buddy_request request = {
			.size = size, .min = addr, .max = addr + (rounded - 1),
			.flags = QUARRY_BUDDY_EXACT,
		};

		err = fail(buddy, err, &request);
	}
	raw_spin_unlock_irqrestore(&buddy->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_buddy_reserve);

/* Whether the pieces of the block that starts at a page are so many pages together. */
static noinline bool has_pages(struct quarry_buddy *buddy, unsigned long page, unsigned long nr)
{
	struct page_range block;

	return block_around(buddy, page, &block) && block.end - block.start == nr;
}

/* Whether the block that starts at a page takes the whole pages that a size takes. */
static __always_inline bool has_size(struct quarry_buddy *buddy, unsigned long page, u64 size)
{
	unsigned long nr = ((size - 1) >> buddy->page_shift) + 1;
	unsigned long first = BIT(*tag_of(buddy, page) - used_tag(0));

	if (likely(nr == first))
		return !is_later_piece(*tag_of(buddy, page + first));
	return has_pages(buddy, page, nr);
}

/* Free the block at an address; one of another size than @size, if that isn't 0, is refused. */
static __always_inline int free_block(struct quarry_buddy *buddy, u64 addr, u64 size)
{
	unsigned long page = page_at(buddy, addr);
	enum reason reason;
	unsigned long irq;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	if (likely(is_block_start(buddy, addr, page) && (!size || has_size(buddy, page, size)))) {
		buddy->used_pages -= release(buddy, page);
		buddy->nr_frees++;
		raw_spin_unlock_irqrestore(&buddy->lock, irq);
		return 0;
	}
	reason = why_no_block_start(buddy, addr);
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (!addr && reason == NOT_MANAGED)
		return 0;
	return refuse_addr(buddy, reason, addr, _RET_IP_);
}

/* quarry_buddy_free() for those who say how much they had; @size is not 0. */
int __quarry_buddy_free_sized(struct quarry_buddy *buddy, u64 addr, u64 size)
{
	return free_block(buddy, addr, size);
}

/**
 * quarry_buddy_free() - free a block
 * @buddy: the buddy
 * @addr: the address that the allocation gave
 *
 * The whole block is freed, never a part. An address 0 that isn't managed is
 * taken for a NULL pointer, and nothing is done.
 *
 * An address that is given out again can't be told from what it was before, so
 * that a stale one frees the block that starts there now; everything else that
 * is wrong is found.
 *
 * Context: any but NMI. O(log2(pages)), and without joins O(1).
 * Return: 0; -EINVAL if @addr is not managed, not the start of the block that
 * it lies in, or was never given out; -ENOENT if it is free already; -EIO if
 * out of service. In each of these cases nothing changes.
 */
int quarry_buddy_free(struct quarry_buddy *buddy, u64 addr)
{
	return free_block(buddy, addr, 0);
}
EXPORT_SYMBOL_GPL(quarry_buddy_free);

/* ---- Reallocation ---- */

/* A block that keeps its start loses its tail. */
static void shrink(struct quarry_buddy *buddy, const struct page_range *block, unsigned long pages)
{
	unsigned long end = block->start + pages;
	unsigned int before, after;

	if (end == block->end)
		return;
	before = unmark(buddy, block);
	after = mark_used(buddy, block->start, end);
	after += __quarry_buddy_release_range(buddy, end, block->end);
	account_pieces(buddy, before, after);
	buddy->used_pages -= block->end - end;
}

/* The place of the wanted size around a block, aligned as allocations are. */
static struct page_range place_around(const struct page_range *block, const struct want *want)
{
	unsigned long start = ALIGN_DOWN(block->start, BIT(want->order));

	return (struct page_range) { start, start + want->pages };
}

/* Whether a block can grow to @place, which begins before or where it does. */
static bool can_grow(struct quarry_buddy *buddy, const struct page_range *block,
		     const struct page_range *place)
{
	return block->end <= place->end &&
	       is_range_free(buddy, place->start, block->start) &&
	       is_range_free(buddy, block->end, place->end);
}

static void grow(struct quarry_buddy *buddy, const struct page_range *block,
		 const struct page_range *place)
{
	unsigned int before = unmark(buddy, block);

	before += clear_range(buddy, place->start, block->start);
	before += clear_range(buddy, block->end, place->end);
	account_pieces(buddy, before, mark_used(buddy, place->start, place->end));
	account_taken(buddy, place->end - place->start - (block->end - block->start));
}

/*
 * Find and take memory of another size for a block: @block becomes what holds
 * the contents, and true comes back in @moved if they must be moved there.
 */
static int resize(struct quarry_buddy *buddy, struct page_range *block,
		  const struct want *want, bool *moved)
{
	struct page_range place = place_around(block, want);
	unsigned long pages = block->end - block->start;
	struct spot spot;
	bool growable;

	*moved = false;
	if (want->need <= pages) {
		shrink(buddy, block, min(want->pages, pages));
		block->end = block->start + min(want->pages, pages);
		return 0;
	}
	if (quarry_inject(QUARRY_INJECT_BUDDY_ALLOC, (u64)want->pages << buddy->page_shift))
		return -ENOSPC;
	growable = can_grow(buddy, block, &place);
	*moved = !growable || place.start != block->start;
	if (*moved && !buddy->move)
		return -ENOSPC;

	/* Contents that move go to another block, if there is one. */
	if (*moved && take_anywhere(buddy, want, &spot)) {
		cut(buddy, &spot, want);
		place = (struct page_range) { spot.start, spot.start + want->pages };
	} else if (growable) {
		grow(buddy, block, &place);
	} else {
		return -ENOSPC;
	}
	*block = place;
	return 0;
}

/* Move the contents from @from to @to, and free the old block if it is another. */
static int move_contents(struct quarry_buddy *buddy, const struct page_range *from,
			 const struct page_range *to)
{
	u64 addr = page_addr(buddy, from->start);

	buddy->move(buddy->move_ctx, page_addr(buddy, to->start), addr,
		    (u64)(from->end - from->start) << buddy->page_shift);

	if (to->start <= from->start && from->end <= to->end)
		return 0;
	return quarry_buddy_free(buddy, addr);
}

/* One attempt at a reallocation; with @last, that it found no room is a failure. */
static int realloc_once(struct quarry_buddy *buddy, u64 addr, u64 size, unsigned int flags,
			struct quarry_buddy_block *block, bool last, unsigned long caller)
{
	unsigned long page = page_at(buddy, addr);
	enum reason reason = OUT_OF_SERVICE;
	struct page_range old, new;
	bool known, moved = false;
	const char *what;
	struct want want;
	unsigned long irq;
	int err = -EIO;

	what = block ? size_up(buddy, size, flags, &want) : "no block to fill in";
	if (what)
		return refuse(buddy, -EINVAL, what, size, caller);

	raw_spin_lock_irqsave(&buddy->lock, irq);
	known = is_block_start(buddy, addr, page) && block_around(buddy, page, &old);
	if (known) {
		new = old;
		err = resize(buddy, &new, &want, &moved);
		if (err)
			err = !last && can_ask(buddy, &want) ? -EAGAIN :
							       fail_anywhere(buddy, size, flags);
	} else {
		reason = why_no_block_start(buddy, addr);
	}
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (!known)
		return refuse_addr(buddy, reason, addr, caller);
	if (err)
		return err;
	describe(buddy, block, new.start, new.end - new.start, false);
	return moved ? move_contents(buddy, &old, &new) : 0;
}

/**
 * quarry_buddy_realloc() - change the size of a block
 * @buddy: the buddy
 * @addr: the block's address
 * @size: bytes wanted, rounded as quarry_buddy_alloc() does
 * @flags: enum quarry_buddy_flags; QUARRY_BUDDY_TOPDOWN matters only if it moves
 * @block: filled in with the block's address, maybe new, and its real size
 *
 * Shrinks in place. Grows in place if what follows is free and the address has
 * the alignment of the new size. Otherwise the contents are moved: to another
 * block, or, if none is free, to one that takes in the old block's own space.
 * Moving needs a chunk or quarry_buddy_set_move(). A block that was allocated
 * with more alignment than its size has keeps only that of the size.
 *
 * Context: as quarry_buddy_alloc(), if the move function allows that. O(log2(pages)),
 * and the time of the move function, which is called with no lock held.
 * Return: 0; -EINVAL for a size, flags or NULL @block that
 * quarry_buddy_alloc() refuses, and -EINVAL or -ENOENT for an address that
 * quarry_buddy_free() refuses; -ENOSPC if there is no room; -EIO if out of
 * service. In each of these cases the old block is untouched.
 */
int quarry_buddy_realloc(struct quarry_buddy *buddy, u64 addr, u64 size, unsigned int flags,
			 struct quarry_buddy_block *block)
{
	unsigned int left = MAX_RECLAIMS;
	bool last = false;
	int err;

	do {
		err = realloc_once(buddy, addr, size, flags, block, last, _RET_IP_);
		last = err == -EAGAIN && (!buddy->reclaim(buddy->reclaim_ctx) || !--left);
	} while (err == -EAGAIN);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_buddy_realloc);

/* ---- Questions ---- */

/**
 * quarry_buddy_check() - the block in use that starts at an address
 * @buddy: the buddy
 * @addr: any address
 * @block: filled in with its start and size
 *
 * Asks what quarry_buddy_free() would say, and doesn't count or log what can't be.
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: 0; the errno with which quarry_buddy_free() would refuse @addr, also for
 * NULL; -EINVAL if @block is NULL.
 */
int quarry_buddy_check(struct quarry_buddy *buddy, u64 addr, struct quarry_buddy_block *block)
{
	unsigned long page = page_at(buddy, addr);
	enum reason reason = OUT_OF_SERVICE;
	struct page_range range = {};
	unsigned long irq;
	bool found;

	if (!block)
		return -EINVAL;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	found = is_block_start(buddy, addr, page) && block_around(buddy, page, &range);
	if (!found)
		reason = why_no_block_start(buddy, addr);
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (!found)
		return answers[reason].err;
	describe(buddy, block, range.start, range.end - range.start, false);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_buddy_check);

/**
 * quarry_buddy_lookup() - the block in use that holds an address
 * @buddy: the buddy
 * @addr: any address inside the block
 * @block: filled in with its start and size
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: 0; -EINVAL if @addr is not managed or @block is NULL; -ENOENT if it
 * is in free memory; -EIO if out of service.
 */
int quarry_buddy_lookup(struct quarry_buddy *buddy, u64 addr, struct quarry_buddy_block *block)
{
	struct quarry_buddy_block found;
	int err;

	if (!block)
		return -EINVAL;
	err = quarry_buddy_next(buddy, addr, &found);
	if (err)
		return err == -ENOENT ? -EINVAL : err;
	if (found.free)
		return -ENOENT;
	*block = found;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_buddy_lookup);

/**
 * quarry_buddy_next() - the block, in use or free, that holds an address
 * @buddy: the buddy
 * @addr: any address
 * @block: filled in with its start, size and state
 *
 * To walk over everything, begin at the region's base and go on with the
 * address behind the block, until the answer isn't 0. The lock is taken for
 * each step, so what changes meanwhile may be seen as it was or as it is.
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: 0; -ENOENT if @addr is not managed; -EINVAL if @block is NULL; -EIO
 * if out of service.
 */
int quarry_buddy_next(struct quarry_buddy *buddy, u64 addr, struct quarry_buddy_block *block)
{
	unsigned long page = page_at(buddy, addr);
	struct page_range range;
	unsigned long irq;
	bool found, free;

	if (!block)
		return -EINVAL;
	if (!is_managed(buddy, page))
		return -ENOENT;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	found = !buddy->broken && block_around(buddy, page, &range);
	free = found && !is_used(*tag_of(buddy, range.start));
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (!found)
		return -EIO;
	describe(buddy, block, range.start, range.end - range.start, free);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_buddy_next);

/* Thousandths of the free memory that are outside the largest free block. */
static unsigned int fragmentation(u64 free, u64 largest)
{
	return free ? div64_u64((free - largest) * 1000, free) : 0;
}

/**
 * quarry_buddy_stats() - the figures of this moment
 * @buddy: the buddy
 * @stats: filled in
 *
 * Context: any but NMI. O(log2(pages)).
 */
void quarry_buddy_stats(struct quarry_buddy *buddy, struct quarry_buddy_stats *stats)
{
	unsigned int order;
	unsigned long irq;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	*stats = (struct quarry_buddy_stats) {
		.total = (u64)nr_pages(buddy) << buddy->page_shift,
		.used = buddy->used_pages << buddy->page_shift,
		.peak = buddy->peak_pages << buddy->page_shift,
		.largest_free = largest_free(buddy),
		.page_size = BIT_ULL(buddy->page_shift),
		.nr_used = buddy->nr_allocs - buddy->nr_frees,
		.nr_allocs = buddy->nr_allocs,
		.nr_frees = buddy->nr_frees,
		.nr_failures = buddy->nr_failures,
		.nr_misuses = buddy->nr_misuses,
		.nr_splits = buddy->nr_splits,
		.nr_merges = buddy->nr_merges,
		.nr_steps = buddy->nr_steps,
		.max_order = buddy->max_order,
		.last_failure = buddy->last_failure,
	};
	for (order = 0; order <= buddy->max_order; order++)
		stats->nr_free[order] = quarry_freemap_nr(&buddy->free[order]);
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	stats->fragmentation = fragmentation(stats->total - stats->used, stats->largest_free);
}
EXPORT_SYMBOL_GPL(quarry_buddy_stats);
