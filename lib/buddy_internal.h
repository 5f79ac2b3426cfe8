/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the buddy share: tags, and page numbers. lib/buddy.c says
 * what they mean.
 */
#ifndef QUARRY_BUDDY_INTERNAL_H
#define QUARRY_BUDDY_INTERNAL_H

#include <linux/bitops.h>
#include <linux/minmax.h>

#include "buddy.h"

#define TAG_GIVEN	0x40	/* of free memory and insides */
#define TAG_USED	0x80
#define TAG_LATER	0xc0
#define TAG_LATER_GIVEN	0x20

/* A block of several pieces can't hold one of the largest order. */
static_assert(QUARRY_BUDDY_MAX_ORDER - 1 < TAG_LATER_GIVEN);
static_assert(QUARRY_BUDDY_MAX_ORDER + 1 < TAG_GIVEN);
static_assert(QUARRY_BUDDY_NR_ORDERS < BITS_PER_LONG);

/* A range of page numbers, half open. */
struct page_range {
	unsigned long start;
	unsigned long end;
};

static inline unsigned int free_tag(unsigned int order)
{
	return order + 1;
}

static inline unsigned int used_tag(unsigned int order)
{
	return TAG_USED | free_tag(order);
}

static inline bool is_free_piece(u8 tag, unsigned int order)
{
	return (tag & ~TAG_GIVEN) == free_tag(order);
}

static inline bool is_inside(u8 tag)
{
	return !(tag & ~TAG_GIVEN);
}

static inline bool is_used(u8 tag)
{
	return tag & TAG_USED;
}

static inline bool is_later_piece(u8 tag)
{
	return tag >= TAG_LATER;
}

/* The order of the piece that starts at a tag, which is not one of an inside. */
static inline unsigned int tag_order(u8 tag)
{
	if (is_later_piece(tag))
		return tag & (TAG_LATER_GIVEN - 1);
	return (tag & (TAG_GIVEN - 1)) - 1;
}

static inline u8 *tag_of(const struct quarry_buddy *buddy, unsigned long page)
{
	return (u8 *)(buddy->tag_base + page);
}

static inline unsigned long nr_pages(const struct quarry_buddy *buddy)
{
	return buddy->end - buddy->first;
}

static inline bool is_managed(const struct quarry_buddy *buddy, unsigned long page)
{
	return page >= buddy->first && page < buddy->end;
}

static inline u64 page_addr(const struct quarry_buddy *buddy, unsigned long page)
{
	return buddy->origin + ((u64)page << buddy->page_shift);
}

/* The page that holds an address, or one that isn't managed if none does. */
static inline unsigned long page_at(const struct quarry_buddy *buddy, u64 addr)
{
	u64 offset = (addr - buddy->region.base) >> buddy->page_shift;

	if (BITS_PER_LONG < 64)
		offset = min_t(u64, offset, nr_pages(buddy));
	return buddy->first + (unsigned long)offset;
}

/* The order of the largest piece that starts at @start and ends by @end. */
static inline unsigned int piece_order(unsigned long start, unsigned long end)
{
	unsigned int align = __ffs(start | BIT(BITS_PER_LONG - 1));

	return min_t(unsigned int, align, __fls(end - start));
}

static inline void describe(const struct quarry_buddy *buddy, struct quarry_buddy_block *block,
			    unsigned long start, unsigned long pages, bool free)
{
	block->addr = page_addr(buddy, start);
	block->size = (u64)pages << buddy->page_shift;
	block->free = free;
}

/* Whether a piece of some order can start at a page. */
static inline bool is_piece_place(const struct quarry_buddy *buddy, unsigned long page,
				  unsigned int order)
{
	return order <= buddy->max_order && !(page & (BIT(order) - 1)) &&
	       page + BIT(order) <= buddy->end;
}

/* Whether a tag, which may be damaged, can be that of a piece starting there. */
static inline bool is_piece_sane(const struct quarry_buddy *buddy, unsigned long page)
{
	return is_piece_place(buddy, page, tag_order(*tag_of(buddy, page)));
}

/* The page behind the piece that starts at a page. */
static inline unsigned long piece_end(const struct quarry_buddy *buddy, unsigned long piece)
{
	return piece + BIT(tag_order(*tag_of(buddy, piece)));
}

int __quarry_buddy_alloc(struct quarry_buddy *buddy, u64 size, unsigned int flags,
			 struct quarry_buddy_block *block);
int __quarry_buddy_free_sized(struct quarry_buddy *buddy, u64 addr, u64 size);
unsigned int __quarry_buddy_release_range(struct quarry_buddy *buddy, unsigned long start,
					  unsigned long end);

#endif /* QUARRY_BUDDY_INTERNAL_H */
