// SPDX-License-Identifier: GPL-2.0
/*
 * Buddy: the verifier.
 *
 * The tags alone say which pages are free and which blocks are in use. So they
 * are walked first, checked on the way, and counted; everything else, the free
 * maps with their summaries, the mask of orders and the counters, is then
 * compared with that census.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>

#include "buddy_internal.h"

/* What the tags say, to be compared with what the counters and maps say. */
struct census {
	unsigned long nr_free[QUARRY_BUDDY_NR_ORDERS];
	u64 used_pages;
	u64 nr_used;
};

static int fault_at(const struct quarry_buddy *buddy, struct quarry_fault *fault,
		    const char *what, unsigned long page, u64 expected, u64 found)
{
	*fault = (struct quarry_fault) {
		.what = what,
		.addr = (u64)(page - buddy->first) << buddy->page_shift,
		.expected = expected,
		.found = found,
	};
	return -EUCLEAN;
}

static int verify_insides(const struct quarry_buddy *buddy, const struct page_range *piece,
			  struct quarry_fault *fault)
{
	unsigned long page;

	for (page = piece->start + 1; page < piece->end; page++) {
		u8 tag = *tag_of(buddy, page);

		if (!is_inside(tag))
			return fault_at(buddy, fault, "tag inside a piece", page,
					tag & TAG_GIVEN, tag);
	}
	return 0;
}

static int verify_free_piece(const struct quarry_buddy *buddy, const struct page_range *piece,
			     struct census *census, struct quarry_fault *fault)
{
	unsigned int order = tag_order(*tag_of(buddy, piece->start));
	unsigned long other = piece->start ^ BIT(order);

	if (!quarry_freemap_test(&buddy->free[order], piece->start))
		return fault_at(buddy, fault, "free piece not in the free map", piece->start, 1, 0);
	if (is_managed(buddy, other) && is_free_piece(*tag_of(buddy, other), order))
		return fault_at(buddy, fault, "free buddies not joined", piece->start,
				free_tag(order + 1), free_tag(order));
	census->nr_free[order]++;
	return verify_insides(buddy, piece, fault);
}

static int verify_used_block(const struct quarry_buddy *buddy, const struct page_range *block,
			     struct census *census, struct quarry_fault *fault)
{
	struct page_range piece = *block;
	int err;

	for (; piece.start < block->end; piece.start = piece.end) {
		unsigned int expected = piece_order(piece.start, block->end);
		unsigned int found = tag_order(*tag_of(buddy, piece.start));

		if (found != expected)
			return fault_at(buddy, fault, "order of a block's piece", piece.start,
					expected, found);
		piece.end = piece.start + BIT(found);
		err = verify_insides(buddy, &piece, fault);
		if (err)
			return err;
	}
	census->used_pages += block->end - block->start;
	census->nr_used++;
	return 0;
}

/* Walk the tags from the first page to the last. */
static int verify_tags(const struct quarry_buddy *buddy, struct census *census,
		       struct quarry_fault *fault)
{
	struct page_range block = { .end = buddy->first };
	int err;

	while (block.end != buddy->end) {
		unsigned long page = block.end;
		u8 tag = *tag_of(buddy, page);

		if (!is_piece_sane(buddy, page) || is_later_piece(tag))
			return fault_at(buddy, fault, "tag at the start of a block", page, 0, tag);

		block = (struct page_range) { page, piece_end(buddy, page) };
		while (is_later_piece(*tag_of(buddy, block.end))) {
			if (!is_used(tag) || !is_piece_sane(buddy, block.end))
				return fault_at(buddy, fault, "tag of a later piece", block.end,
						0, *tag_of(buddy, block.end));
			block.end = piece_end(buddy, block.end);
		}
		err = is_used(tag) ? verify_used_block(buddy, &block, census, fault) :
				     verify_free_piece(buddy, &block, census, fault);
		if (err)
			return err;
	}
	if (*tag_of(buddy, block.end))
		return fault_at(buddy, fault, "tag behind the last page", block.end, 0,
				*tag_of(buddy, block.end));
	return 0;
}

static int verify_order(const struct quarry_buddy *buddy, unsigned int order,
			const struct census *census, struct quarry_fault *fault)
{
	const struct quarry_freemap *map = &buddy->free[order];
	unsigned long expected = census->nr_free[order];
	bool any = buddy->free_orders & BIT(order);

	if (quarry_freemap_verify(map, fault)) {
		fault->addr = (fault->addr - buddy->first) << buddy->page_shift;
		return -EUCLEAN;
	}
	if (quarry_freemap_nr(map) != expected)
		return fault_at(buddy, fault, "count of free pieces", buddy->first, expected,
				quarry_freemap_nr(map));
	if (any != !!expected)
		return fault_at(buddy, fault, "mask of orders with free pieces", buddy->first,
				!!expected, any);
	return 0;
}

static int verify_totals(const struct quarry_buddy *buddy, const struct census *census,
			 struct quarry_fault *fault)
{
	u64 nr_used = buddy->nr_allocs - buddy->nr_frees;

	if (buddy->used_pages != census->used_pages)
		return fault_at(buddy, fault, "count of pages in use", buddy->first,
				census->used_pages, buddy->used_pages);
	if (nr_used != census->nr_used)
		return fault_at(buddy, fault, "count of blocks in use", buddy->first,
				census->nr_used, nr_used);
	if (buddy->peak_pages < census->used_pages)
		return fault_at(buddy, fault, "peak below the pages in use", buddy->first,
				census->used_pages, buddy->peak_pages);
	return 0;
}

static int __quarry_buddy_verify(const struct quarry_buddy *buddy, struct quarry_fault *fault)
{
	struct census census = {};
	unsigned int order;
	int err;

	lockdep_assert_held(&buddy->lock);

	if (buddy->broken)
		return fault_at(buddy, fault, "out of service", buddy->first, 0, 1);

	err = verify_tags(buddy, &census, fault);
	for (order = 0; !err && order <= buddy->max_order; order++)
		err = verify_order(buddy, order, &census, fault);
	return err ?: verify_totals(buddy, &census, fault);
}

/**
 * quarry_buddy_verify() - recompute every invariant from scratch
 * @buddy: the buddy
 * @fault: filled in with the first that doesn't hold, its addr as an offset
 *	into the region; may be NULL
 *
 * For tests and for people who look: holds the lock, interrupts off, all the
 * while.
 *
 * Context: any but NMI. O(pages).
 * Return: 0; -EUCLEAN, and a line in the log, if something is wrong.
 */
int quarry_buddy_verify(struct quarry_buddy *buddy, struct quarry_fault *fault)
{
	struct quarry_fault found = {};
	unsigned long irq;
	int err;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	err = __quarry_buddy_verify(buddy, &found);
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (err)
		quarry_report_fault("buddy", buddy->name, &found);
	if (fault)
		*fault = found;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_buddy_verify);
