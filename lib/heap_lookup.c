// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: what is at an address.
 *
 * The first page of each piece, be it a bucket, a run in use or a free one, has a kind
 * that says so, and that of a bucket's other pages says how far behind it they are. In runs,
 * which may be long, only a few pages know where the run begins, but enough that one is
 * met on the way down from any page: see mark_inside() in lib/heap_runs.h.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>

#include "heap_internal.h"

/* Pages that one step of a walk looks at in the middle of free memory. */
#define MAX_SCAN	4096

/* ---- Pieces ---- */

/* The piece that starts at a page; false if none does. */
static bool piece_at(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
		     u32 page, struct heap_piece *piece)
{
	u8 kind = extent->kinds[page];

	if (!is_start(kind))
		return false;
	piece->start = page;
	piece->kind = kind;
	piece->nr_pages = piece_pages(heap, extent, page);
	/* The map may be damaged, and this is what shows it. */
	return piece->nr_pages - 1 < extent->nr_pages - page;
}

/* Whether the piece that starts at a page, if one does, holds another page behind it. */
static bool covers(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
		   u32 start, u32 page, struct heap_piece *piece)
{
	return piece_at(heap, extent, start, piece) && page - start < piece->nr_pages;
}

/*
 * The piece that holds a page: it starts at most a stride before, or else one of the pages
 * that mark_inside() chose leads to its start. What such a page says
 * may be of a run that was there before, so it counts only if what starts there now
 * reaches up to the page. False for a page in a free run that is far from its
 * first and isn't its last.
 */
bool __quarry_heap_piece(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			 u32 page, struct heap_piece *piece)
{
	u8 kind = extent->kinds[page];
	u32 start, number;

	if (is_part(kind) && part_of(kind) <= page)
		return piece_at(heap, extent, page - part_of(kind), piece);
	if (kind == KIND_FREE_END && extent->words[page] - 1 <= page)
		return piece_at(heap, extent, page + 1 - extent->words[page], piece);

	for (start = page; extent->kinds[start] == KIND_INSIDE && start % STRIDE; start--)
		;
	if (covers(heap, extent, start, page, piece))
		return true;
	for (number = (start >> STRIDE_SHIFT) + 1; number; number &= number - 1) {
		start = (number - 1) << STRIDE_SHIFT;
		if (extent->kinds[start] == KIND_INSIDE && extent->words[start] < start)
			start = extent->words[start];
		if (covers(heap, extent, start, page, piece))
			return true;
	}
	return false;
}

/* Whether an address lies in a block in use. */
static bool is_inside_block(const struct quarry_heap *heap,
			    const struct quarry_heap_extent *extent, unsigned long addr)
{
	u32 page = (addr - extent->base) >> heap->page_shift;
	const struct quarry_heap_class *class;
	struct heap_piece piece = {};
	unsigned long start, index;

	if (!__quarry_heap_piece(heap, extent, page, &piece))
		return false;
	if (!is_bucket(piece.kind))
		return piece.kind == KIND_RUN;
	class = &heap->classes[kind_class(piece.kind)];
	start = page_addr(heap, extent, piece.start);
	index = (addr - start) / class->size;
	return !(get_bits(&extent->words[piece.start]) >> index & 1) &&
	       !is_cached(heap, class, start + index * class->size);
}

/* Whether a block that was freed began at an aligned address in free memory. */
static bool was_given(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
		      unsigned long addr)
{
	u32 page = (addr - extent->base) >> heap->page_shift;
	unsigned long mark = (addr - page_addr(heap, extent, page)) / QUARRY_HEAP_MIN_ALIGN;
	u8 kind = extent->kinds[page];

	/* The links of a run are where its first marks were. */
	if (is_free_start(kind) && mark && mark <= NR_NOTED_MARKS)
		return kind & BIT(mark - 1);
	return has_free_mark(heap, addr);
}

enum heap_verdict __quarry_heap_why_not(const struct quarry_heap *heap,
					const struct quarry_heap_extent *extent,
					unsigned long addr)
{
	if (heap->broken)
		return OUT_OF_SERVICE;
	if (!extent)
		return NOT_MANAGED;
	if (!IS_ALIGNED(addr, QUARRY_HEAP_MIN_ALIGN) || is_inside_block(heap, extent, addr))
		return NOT_A_START;
	return was_given(heap, extent, addr) ? FREE_ALREADY : NEVER_GIVEN;
}

/* ---- Questions ---- */

/**
 * quarry_heap_usable_size() - how many bytes of a block may be used
 * @heap: the heap
 * @block: the block
 *
 * Context: any but NMI. O(1).
 * Return: its real size; 0 if @block doesn't start a block in use.
 */
size_t quarry_heap_usable_size(struct quarry_heap *heap, const void *block)
{
	unsigned long irq, addr = (unsigned long)block;
	struct quarry_heap_extent *extent;
	struct heap_spot spot = {};
	size_t size = 0;

	raw_spin_lock_irqsave(&heap->lock, irq);
	extent = extent_at(heap, addr);
	if (find_addr(heap, extent, addr, &spot) && !is_cached(heap, spot.class, addr))
		size = spot_size(heap, extent, &spot);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return size;
}
EXPORT_SYMBOL_GPL(quarry_heap_usable_size);

/* What of a bucket is at an address: a block, or what is left behind the last. */
static void describe_bucket(const struct quarry_heap *heap,
			    const struct quarry_heap_extent *extent,
			    const struct heap_piece *piece, unsigned long addr,
			    struct quarry_heap_block *block)
{
	const struct quarry_heap_class *class = &heap->classes[kind_class(piece->kind)];
	unsigned long start = page_addr(heap, extent, piece->start);
	unsigned long end = page_addr(heap, extent, piece->start + piece->nr_pages);
	unsigned long index = (addr - start) / class->size;
	u64 bits = get_bits(&extent->words[piece->start]);

	start += index * class->size;
	*block = (struct quarry_heap_block) {
		.addr = (void *)start,
		.size = min_t(unsigned long, class->size, end - start),
		.used = !(bits >> index & 1) && !is_cached(heap, class, start),
	};
}

/*
 * Free memory from an address on, inside a run whose first page isn't known: up to
 * the next page that starts or ends something, but not too far for one call.
 */
static void describe_rest(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			  unsigned long addr, struct quarry_heap_block *block)
{
	u32 page = (addr - extent->base) >> heap->page_shift;
	unsigned int budget = MAX_SCAN;

	do {
		if (extent->kinds[page] == KIND_FREE_END)
			budget = 0;
		page++;
	} while (budget-- && (extent->kinds[page] == KIND_INSIDE ||
			      extent->kinds[page] == KIND_FREE_END));
	*block = (struct quarry_heap_block) {
		.addr = (void *)addr,
		.size = page_addr(heap, extent, page) - addr,
	};
}

/* The block, in use or free, at an address of an extent. */
static void describe(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
		     unsigned long addr, struct quarry_heap_block *block)
{
	u32 page = (addr - extent->base) >> heap->page_shift;
	struct heap_piece piece = {};

	if (!__quarry_heap_piece(heap, extent, page, &piece)) {
		describe_rest(heap, extent, addr, block);
		return;
	}
	if (is_bucket(piece.kind)) {
		describe_bucket(heap, extent, &piece, addr, block);
		return;
	}
	*block = (struct quarry_heap_block) {
		.addr = (void *)page_addr(heap, extent, piece.start),
		.size = (size_t)piece.nr_pages << heap->page_shift,
		.used = !is_free_start(piece.kind),
	};
}

/**
 * quarry_heap_lookup() - the block in use that holds an address
 * @heap: the heap
 * @addr: any address inside the block
 * @block: filled in with its start and size
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: 0; -EINVAL if @addr is not managed or @block is NULL; -ENOENT if it is
 * in free memory; -EIO if out of service.
 */
int quarry_heap_lookup(struct quarry_heap *heap, const void *addr,
		       struct quarry_heap_block *block)
{
	struct quarry_heap_block found = {};
	struct quarry_heap_extent *extent;
	unsigned long irq;
	int err = 0;

	if (!block)
		return -EINVAL;

	raw_spin_lock_irqsave(&heap->lock, irq);
	extent = extent_at(heap, (unsigned long)addr);
	if (heap->broken)
		err = -EIO;
	else if (!extent)
		err = -EINVAL;
	else if (!is_inside_block(heap, extent, (unsigned long)addr))
		err = -ENOENT;
	else
		describe(heap, extent, (unsigned long)addr, &found);
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	if (!err)
		*block = found;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_heap_lookup);

/* The extent that holds an address, or else the next one above; NULL if none. */
static struct quarry_heap_extent *extent_from(struct quarry_heap *heap, unsigned long addr)
{
	struct quarry_heap_extent *extent = extent_at(heap, addr);
	unsigned int i;

	if (extent)
		return extent;
	for (i = 0; i < heap->nr_extents; i++) {
		extent = heap->by_addr[i].extent;
		if (extent->base >= addr)
			return extent;
	}
	return NULL;
}

/**
 * quarry_heap_next() - the block, in use or free, at an address or above
 * @heap: the heap
 * @addr: any address
 * @block: filled in with the block that holds @addr, or else with the first of the
 *	next extent above
 *
 * To walk over everything, begin with NULL and go on with the address behind the
 * block, until the answer isn't 0. The lock is taken for each step, so what changes
 * meanwhile may be seen as it was or as it is; inside of free memory, the part from
 * @addr on, or of it, is shown. What is too short for a block at the end of a
 * bucket is shown as free, and what caching needs as in use. Frees first what is queued.
 *
 * Context: any but NMI. O(log2(pages) + extents).
 * Return: 0; -ENOENT if there is nothing at @addr or above; -EINVAL if @block is
 * NULL; -EIO if out of service.
 */
int quarry_heap_next(struct quarry_heap *heap, const void *addr, struct quarry_heap_block *block)
{
	struct quarry_heap_block found = {};
	struct quarry_heap_extent *extent;
	unsigned long irq;
	int err = 0;

	if (!block)
		return -EINVAL;
	__quarry_heap_reap(heap);

	raw_spin_lock_irqsave(&heap->lock, irq);
	extent = extent_from(heap, (unsigned long)addr);
	if (heap->broken)
		err = -EIO;
	else if (!extent)
		err = -ENOENT;
	else
		describe(heap, extent, max((unsigned long)addr, extent->base), &found);
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	if (!err)
		*block = found;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_heap_next);
