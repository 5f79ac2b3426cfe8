// SPDX-License-Identifier: GPL-2.0
/*
 * Buddy: the beginning and the end.
 *
 * The geometry of a space, how much memory its metadata take, and where in
 * that memory each part lies: the free maps of all orders, lowest first, and
 * then the tags. A free map has a place for each piece of its order that lies
 * wholly in the space, and for no other, so that a space of any size and
 * alignment takes what its own pages need.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "buddy_internal.h"

/* The geometry of a space: what init needs to know before it writes anything. */
struct layout {
	unsigned int page_shift;
	u64 origin;
	unsigned long first;
	unsigned long nr_pages;
	unsigned int max_order;
};

/* The indexes of the pieces of one order that lie wholly in the space, if any. */
static bool order_indexes(const struct layout *layout, unsigned int order,
			  unsigned long *first, unsigned long *last)
{
	unsigned long end = (layout->first + layout->nr_pages) >> order;

	*first = (layout->first + BIT(order) - 1) >> order;
	*last = end - 1;
	return *first < end;
}

static bool is_page_size(u64 size)
{
	return quarry_is_power_of_2(size) && size >= QUARRY_BUDDY_MIN_PAGE &&
	       size <= QUARRY_BUDDY_MAX_PAGE;
}

static int lay_out(struct layout *layout, const struct quarry_region *region, u64 page_size)
{
	unsigned long first, last;
	u64 nr_pages;

	if (!is_page_size(page_size))
		return -EINVAL;
	if (!region->size || quarry_region_last(region) < region->base)
		return -EINVAL;
	if (!IS_ALIGNED(region->base | region->size, page_size))
		return -EINVAL;

	layout->page_shift = ilog2(page_size);
	nr_pages = region->size >> layout->page_shift;
	if (nr_pages > BIT_ULL(QUARRY_BUDDY_MAX_ORDER))
		return -EINVAL;

	layout->nr_pages = nr_pages;
	layout->max_order = __fls(layout->nr_pages);
	/* The largest alignment asked for is that of all pages, rounded up. */
	layout->origin = round_down(region->base, page_size << layout->max_order << 1);
	layout->first = (region->base - layout->origin) >> layout->page_shift;
	while (!order_indexes(layout, layout->max_order, &first, &last))
		layout->max_order--;
	return 0;
}

/* Words of all free maps together. */
static size_t nr_map_words(const struct layout *layout)
{
	unsigned long first, last;
	unsigned int order;
	size_t nr = 0;

	for (order = 0; order <= layout->max_order; order++) {
		order_indexes(layout, order, &first, &last);
		nr += quarry_freemap_nr_words(first, last);
	}
	return nr;
}

/* The free maps, then the tags, with the one behind the last page. */
static size_t meta_size_of(const struct layout *layout)
{
	return nr_map_words(layout) * sizeof(long) + layout->nr_pages + 1;
}

/**
 * quarry_buddy_meta_size() - memory that a buddy needs for itself
 * @region: what it shall manage
 * @page_size: its page size
 *
 * Some 10.2 bits a page: a tag of 8, 2 in free maps, and their summaries.
 *
 * Context: any. O(log2(pages)).
 * Return: bytes; 0 if quarry_buddy_init() would refuse the arguments.
 */
size_t quarry_buddy_meta_size(const struct quarry_region *region, u64 page_size)
{
	struct layout layout;

	if (!region || lay_out(&layout, region, page_size))
		return 0;
	return meta_size_of(&layout);
}
EXPORT_SYMBOL_GPL(quarry_buddy_meta_size);

static void init_maps(struct quarry_buddy *buddy, const struct layout *layout,
		      unsigned long *words)
{
	unsigned long first, last;
	unsigned int order;

	for (order = 0; order <= layout->max_order; order++) {
		order_indexes(layout, order, &first, &last);
		quarry_freemap_init(&buddy->free[order], words, first, last, order);
		words += quarry_freemap_nr_words(first, last);
	}
	memset(words, 0, layout->nr_pages + 1);
	buddy->tag_base = (unsigned long)words - layout->first;
}

/**
 * quarry_buddy_init() - make a buddy of a region
 * @buddy: the buddy, in memory of the caller's
 * @name: what the log calls it; kept, not copied
 * @region: the addresses to manage; base and size are multiples of @page_size
 * @page_size: bytes in the smallest block, a power of two from 8 to 2^30; there
 *	may be 2^32 pages (2^26 on 32-bit machines)
 * @meta: memory for the buddy's own use, aligned to a long, until
 *	quarry_buddy_fini()
 * @meta_size: its size, at least quarry_buddy_meta_size()
 *
 * The memory that the region describes is never touched.
 *
 * Context: any, nothing else may use @buddy. O(pages), for clearing @meta.
 * Return: 0; -EINVAL if an argument is wrong; -ENOMEM if @meta_size is too
 * small. Nothing is written then.
 */
int quarry_buddy_init(struct quarry_buddy *buddy, const char *name,
		      const struct quarry_region *region, u64 page_size,
		      void *meta, size_t meta_size)
{
	struct layout layout;
	int err;

	if (!buddy || !name || !region || !meta)
		return -EINVAL;
	if (!IS_ALIGNED((unsigned long)meta, sizeof(long)))
		return -EINVAL;
	err = lay_out(&layout, region, page_size);
	if (err)
		return err;
	if (meta_size < meta_size_of(&layout))
		return -ENOMEM;

	*buddy = (struct quarry_buddy) {
		.name = name,
		.region = *region,
		.page_shift = layout.page_shift,
		.origin = layout.origin,
		.first = layout.first,
		.end = layout.first + layout.nr_pages,
		.max_order = layout.max_order,
	};
	raw_spin_lock_init(&buddy->lock);
	init_maps(buddy, &layout, meta);
	__quarry_buddy_release_range(buddy, buddy->first, buddy->end);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_buddy_init);

/**
 * quarry_buddy_move_memory() - move contents where addresses are pointers
 * @ctx: not used
 * @to: the new block's address
 * @from: the old block's address; the two may overlap
 * @size: bytes to copy
 *
 * What quarry_buddy_set_move() wants for memory that is mapped at the addresses
 * of the region; a chunk has it from the start.
 *
 * Context: any. O(size).
 */
void quarry_buddy_move_memory(void *ctx, u64 to, u64 from, u64 size)
{
	memmove((void *)(unsigned long)to, (void *)(unsigned long)from, size);
}
EXPORT_SYMBOL_GPL(quarry_buddy_move_memory);

/**
 * quarry_buddy_init_chunk() - make a buddy of mapped memory, metadata inside
 * @buddy: the buddy, in memory of the caller's; may lie in the used bytes
 * @name: what the log calls it; kept, not copied
 * @chunk: the memory, at any address
 * @total: its size
 * @used: bytes at its start that are taken already and stay as they are
 * @page_size: as for quarry_buddy_init()
 *
 * Behind the used bytes lie the metadata; what is left of whole, aligned pages
 * is managed. Addresses are those of the memory, as pointers, and reallocation
 * moves contents.
 *
 * Context: any, nothing else may use @buddy. O(pages).
 * Return: 0; -EINVAL if an argument is wrong; -ENOMEM if there is no room for
 * the metadata and one page. Nothing is written then.
 */
int quarry_buddy_init_chunk(struct quarry_buddy *buddy, const char *name, void *chunk,
			    size_t total, size_t used, u64 page_size)
{
	unsigned long meta = ALIGN((unsigned long)chunk + used, sizeof(long));
	unsigned long end = (unsigned long)chunk + total;
	struct quarry_region region;
	size_t meta_size;
	int err;

	if (!chunk || used > total || end < (unsigned long)chunk || !is_page_size(page_size))
		return -EINVAL;

	/* What all that is left would need is enough for a part of it. */
	if (meta >= end || quarry_region_init(&region, meta, end - meta) ||
	    quarry_region_trim(&region, page_size))
		return -ENOMEM;
	meta_size = quarry_buddy_meta_size(&region, page_size);
	if (!meta_size)
		return -EINVAL;
	if (meta_size >= end - meta ||
	    quarry_region_init(&region, meta + meta_size, end - meta - meta_size) ||
	    quarry_region_trim(&region, page_size))
		return -ENOMEM;

	err = quarry_buddy_init(buddy, name, &region, page_size, (void *)meta, meta_size);
	if (!err)
		quarry_buddy_set_move(buddy, quarry_buddy_move_memory, NULL);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_buddy_init_chunk);

/**
 * quarry_buddy_set_move() - let reallocation move contents
 * @buddy: the buddy
 * @move: how to copy a block's contents; NULL for not at all, which is what a
 *	buddy begins with that is no chunk
 * @ctx: passed to @move
 *
 * Context: before the buddy is used, or while nothing is reallocated. O(1).
 */
void quarry_buddy_set_move(struct quarry_buddy *buddy, quarry_buddy_move_t move, void *ctx)
{
	buddy->move = move;
	buddy->move_ctx = ctx;
}
EXPORT_SYMBOL_GPL(quarry_buddy_set_move);

/**
 * quarry_buddy_set_reclaim() - ask for memory back before a request fails
 * @buddy: the buddy
 * @reclaim: who is asked; NULL for nobody, which is what a buddy begins with
 * @ctx: passed to @reclaim
 *
 * Asked by quarry_buddy_alloc(), quarry_buddy_xalloc() and quarry_buddy_realloc() that
 * find no room, and again for as long as that gives some and not enough, but at most 64
 * times. quarry_backend_reclaim_for_buddy() is one.
 *
 * Context: before the buddy is used, or while nothing is allocated. O(1).
 */
void quarry_buddy_set_reclaim(struct quarry_buddy *buddy, quarry_buddy_reclaim_t reclaim,
			      void *ctx)
{
	buddy->reclaim = reclaim;
	buddy->reclaim_ctx = ctx;
}
EXPORT_SYMBOL_GPL(quarry_buddy_set_reclaim);

/**
 * quarry_buddy_fini() - end a buddy
 * @buddy: the buddy
 * @nr_used: filled in with the number of blocks in use; may be NULL
 *
 * Afterwards it manages nothing, and the caller may have its memory back.
 *
 * Context: any but NMI. O(1).
 * Return: 0; -EBUSY, and nothing changed, if blocks are in use. Walk with
 * quarry_buddy_next() to see which.
 */
int quarry_buddy_fini(struct quarry_buddy *buddy, u64 *nr_used)
{
	unsigned long irq;
	u64 nr;

	raw_spin_lock_irqsave(&buddy->lock, irq);
	nr = buddy->nr_allocs - buddy->nr_frees;
	if (!nr) {
		buddy->end = buddy->first;
		buddy->free_orders = 0;
	}
	raw_spin_unlock_irqrestore(&buddy->lock, irq);

	if (nr_used)
		*nr_used = nr;
	return nr ? -EBUSY : 0;
}
EXPORT_SYMBOL_GPL(quarry_buddy_fini);
