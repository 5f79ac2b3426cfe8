// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: the verifier.
 *
 * The page map alone says which pages and blocks are free. So it is walked first,
 * extent by extent, and counted; then all lists are walked, and must hold just
 * the free runs and the buckets with free blocks that were counted; the counters
 * are compared last.
 */
#include <linux/errno.h>
#include <linux/export.h>

#include "heap_internal.h"

/* What the maps say, to be compared with what the lists and counters say. */
struct census {
	u64 used;
	u64 nr_used;
	u64 total;
	u64 own;
	unsigned int nr_empty;
	unsigned long nr_runs;
	u32 nr_listed[2][QUARRY_HEAP_NR_CLASSES];
	u32 nr_long[QUARRY_HEAP_NR_CLASSES];
	u32 nr_short[QUARRY_HEAP_NR_CLASSES];
	u32 nr_blocks[QUARRY_HEAP_NR_CLASSES];
};

static int fault_at(struct quarry_fault *fault, const char *what, u64 addr, u64 expected, u64 found)
{
	*fault = (struct quarry_fault) {
		.what = what,
		.addr = addr,
		.expected = expected,
		.found = found,
	};
	return -EUCLEAN;
}

/* Where a page is, for a fault: its offset in its extent. */
static u64 offset_of(const struct quarry_heap *heap, u32 page)
{
	return (u64)page << heap->page_shift;
}

static int verify_bucket(struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			 const struct heap_piece *piece, struct census *census,
			 struct quarry_fault *fault)
{
	const struct quarry_heap_class *class = &heap->classes[kind_class(piece->kind)];
	unsigned int index = class->index, used;
	bool is_one = is_short(piece->kind);
	u64 valid = is_one ? class->short_valid : class->long_valid;
	u64 bits = is_one ? extent->words[piece->start] | ~(u64)U32_MAX :
			    get_bits(&extent->words[piece->start]);

	used = hweight64(~bits);
	if (~(valid | bits))
		return fault_at(fault, "bits behind a bucket's last block",
				offset_of(heap, piece->start), ~valid, bits);
	if (!used)
		return fault_at(fault, "bucket without a block in use",
				offset_of(heap, piece->start), 1, 0);
	census->nr_used += used;
	census->used += (u64)used * class->size;
	census->nr_blocks[index] += used;
	census->nr_long[index] += !is_one;
	census->nr_short[index] += is_one;
	census->nr_listed[is_one][index] += !!(bits & valid);
	return 0;
}

static int verify_free_run(struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			   const struct heap_piece *piece, struct census *census,
			   struct quarry_fault *fault)
{
	u32 last = piece->start + piece->nr_pages - 1;
	u8 kind = piece->nr_pages > 1 ? KIND_FREE_END : piece->kind;

	if (extent->kinds[last] != kind)
		return fault_at(fault, "kind at the end of a free run", offset_of(heap, last),
				kind, extent->kinds[last]);
	if (extent->words[last] != piece->nr_pages)
		return fault_at(fault, "word at the end of a free run", offset_of(heap, last),
				piece->nr_pages, extent->words[last]);
	if (is_free(extent->kinds[last + 1]))
		return fault_at(fault, "free runs not joined", offset_of(heap, last + 1), 0,
				extent->kinds[last + 1]);
	census->nr_runs++;
	return 0;
}

/* Whether the pages of a piece other than the first, and the last of a free run, are insides. */
static int verify_insides(const struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			  const struct heap_piece *piece, struct quarry_fault *fault)
{
	u32 i, end = piece->nr_pages - is_free_start(piece->kind);

	for (i = 1; i < end; i++) {
		u8 kind = is_bucket(piece->kind) ? KIND_PART + i : KIND_INSIDE;

		if (extent->kinds[piece->start + i] != kind)
			return fault_at(fault, "kind inside a piece",
					offset_of(heap, piece->start + i), kind,
					extent->kinds[piece->start + i]);
	}
	return 0;
}

static int verify_piece(struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			const struct heap_piece *piece, struct census *census,
			struct quarry_fault *fault)
{
	int err = verify_insides(heap, extent, piece, fault);

	if (err)
		return err;
	if (is_bucket(piece->kind))
		return verify_bucket(heap, extent, piece, census, fault);
	if (is_free_start(piece->kind))
		return verify_free_run(heap, extent, piece, census, fault);
	if (piece->kind == KIND_OWN) {
		census->own += (u64)piece->nr_pages << heap->page_shift;
		return 0;
	}
	census->nr_used++;
	census->used += (u64)piece->nr_pages << heap->page_shift;
	return 0;
}

static int verify_extent(struct quarry_heap *heap, const struct quarry_heap_extent *extent,
			 struct census *census, struct quarry_fault *fault)
{
	struct heap_piece piece = {};
	u32 page, nr_free = 0;
	int err;

	for (page = 0; page < extent->nr_pages; page += piece.nr_pages) {
		piece.start = page;
		piece.kind = extent->kinds[page];
		piece.nr_pages = piece_pages(heap, extent, page);
		if (!is_start(piece.kind))
			return fault_at(fault, "kind of a piece", offset_of(heap, page), KIND_RUN,
					piece.kind);
		if (!piece.nr_pages || piece.nr_pages > extent->nr_pages - page)
			return fault_at(fault, "length of a piece", offset_of(heap, page),
					extent->nr_pages - page, piece.nr_pages);
		err = verify_piece(heap, extent, &piece, census, fault);
		if (err)
			return err;
		nr_free += is_free_start(piece.kind) ? piece.nr_pages : 0;
	}
	if (extent->nr_free != nr_free)
		return fault_at(fault, "count of an extent's free pages", 0, nr_free,
				extent->nr_free);
	if (extent->kinds[-1] != KIND_EDGE || extent->kinds[extent->nr_pages] != KIND_EDGE)
		return fault_at(fault, "edge of an extent", 0, KIND_EDGE,
				extent->kinds[extent->nr_pages]);
	census->total += extent->size;
	census->nr_empty += extent->grown && nr_free == extent->nr_pages;
	return 0;
}

/* The census fills most of a small stack frame, so that what looks at it has its own. */
static noinline int verify_extents(struct quarry_heap *heap, struct census *census,
				   struct quarry_fault *fault)
{
	unsigned long end = 0;
	unsigned int i;
	int err;

	for (i = 0; i < heap->nr_extents; i++) {
		const struct quarry_heap_extent *extent = heap->by_addr[i].extent;

		if (extent->base < end || heap->by_addr[i].addr != extent->base)
			return fault_at(fault, "order of extents", 0, end, extent->base);
		end = extent->base + extent->size;
		err = verify_extent(heap, extent, census, fault);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Walk one list of buckets; returns its length, which is above @max if it doesn't end
 * or what it leads to is wrong.
 */
static unsigned long length_of(struct quarry_heap *heap, u32 ref, u8 kind, unsigned long max)
{
	unsigned long nr;
	u32 prev = NO_REF;

	for (nr = 0; ref != NO_REF; nr++) {
		const struct heap_links *links = __quarry_heap_bucket_links(heap, ref, kind);

		if (nr == max || !links || links->prev != prev)
			return max + 1;
		prev = ref;
		ref = links->next;
	}
	return nr;
}

/* One of a class' lists holds just the buckets with a free block. */
static int verify_list(struct quarry_heap *heap, u32 ref, u8 kind, u64 classes, u32 expected,
		       struct quarry_fault *fault)
{
	unsigned long nr = length_of(heap, ref, kind, expected);
	bool any = classes & BIT_ULL(kind_class(kind));

	if (nr != expected)
		return fault_at(fault, "list of buckets with free blocks", kind, expected, nr);
	if (any != !!nr)
		return fault_at(fault, "mask of classes with free blocks", kind, !!nr, any);
	return 0;
}

static int verify_class(struct quarry_heap *heap, unsigned int kind, const struct census *census,
			struct quarry_fault *fault)
{
	const struct quarry_heap_class *class = &heap->classes[kind];
	bool listed = class->long_list != NO_REF;
	int err;

	err = verify_list(heap, class->long_list, kind, heap->long_classes,
			  census->nr_listed[0][kind], fault);
	err = err ?: verify_list(heap, class->short_list, kind | KIND_SHORT, heap->short_classes,
				 census->nr_listed[1][kind], fault);
	if (err)
		return err;
	if (!!class->bits != listed)
		return fault_at(fault, "first long bucket", kind, class->long_list, NO_REF);
	if (heap->nr_long[kind] != census->nr_long[kind])
		return fault_at(fault, "count of long buckets", 0, census->nr_long[kind],
				heap->nr_long[kind]);
	if (heap->nr_short[kind] != census->nr_short[kind])
		return fault_at(fault, "count of short buckets", 0, census->nr_short[kind],
				heap->nr_short[kind]);
	if (class->nr_used != census->nr_blocks[kind])
		return fault_at(fault, "count of a class's blocks in use", 0,
				census->nr_blocks[kind], class->nr_used);
	return 0;
}

/* All runs of a bin belong to it, and the bit maps say whether there are any. */
static int verify_bin(struct quarry_heap *heap, unsigned int bin, unsigned long *nr_runs,
		      const struct census *census, struct quarry_fault *fault)
{
	unsigned long bits = heap->bin_bits[bin / BITS_PER_LONG];
	const struct quarry_heap_link *prev = &heap->bins[bin];
	bool any = bits & BIT(bin % BITS_PER_LONG);
	const struct heap_run *run;

	if (any != !!prev->next)
		return fault_at(fault, "bit map of bins", bin, !!prev->next, any);
	if (!!bits != !!(heap->bin_words & BIT(bin / BITS_PER_LONG)))
		return fault_at(fault, "words of the bit map of bins", bin, !!bits, !bits);

	for (run = prev->next; run; run = run->link.next) {
		u32 length;

		if (*nr_runs == census->nr_runs || !__quarry_heap_is_run(heap, run, prev, &length))
			return fault_at(fault, "list of free runs", bin, census->nr_runs,
					*nr_runs);
		if (__quarry_heap_bin_of(length) != bin)
			return fault_at(fault, "bin of a free run", bin,
					__quarry_heap_bin_of(length), bin);
		prev = &run->link;
		++*nr_runs;
	}
	return 0;
}

static noinline int verify_lists(struct quarry_heap *heap, const struct census *census,
				 struct quarry_fault *fault)
{
	unsigned long nr_runs = 0;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < heap->nr_classes; i++)
		err = verify_class(heap, FIRST_CLASS + i, census, fault);
	for (i = 0; !err && i < QUARRY_HEAP_NR_BINS; i++)
		err = verify_bin(heap, i, &nr_runs, census, fault);
	if (!err && nr_runs != census->nr_runs)
		err = fault_at(fault, "count of free runs in bins", 0, census->nr_runs, nr_runs);
	return err;
}

static noinline int verify_totals(const struct quarry_heap *heap, const struct census *census,
				  struct quarry_fault *fault)
{
	u64 nr_used = __quarry_heap_nr_used(heap);

	if (heap->total != census->total)
		return fault_at(fault, "total of bytes", 0, census->total, heap->total);
	if (heap->own != census->own)
		return fault_at(fault, "count of bytes for the heap's own use", 0, census->own,
				heap->own);
	if (heap->used != census->used)
		return fault_at(fault, "count of bytes in use", 0, census->used, heap->used);
	if (nr_used != census->nr_used)
		return fault_at(fault, "count of blocks in use", 0, census->nr_used, nr_used);
	if (heap->peak < census->used)
		return fault_at(fault, "peak below the bytes in use", 0, census->used, heap->peak);
	if (heap->nr_empty != census->nr_empty)
		return fault_at(fault, "count of empty extents", 0, census->nr_empty,
				heap->nr_empty);
	return 0;
}

static int verify(struct quarry_heap *heap, struct quarry_fault *fault)
{
	struct census census = {};
	int err;

	lockdep_assert_held(&heap->lock);

	if (heap->broken)
		return fault_at(fault, "out of service", 0, 0, 1);

	err = verify_extents(heap, &census, fault);
	err = err ?: verify_lists(heap, &census, fault);
	return err ?: verify_totals(heap, &census, fault);
}

/**
 * quarry_heap_verify() - recompute every invariant from scratch
 * @heap: the heap
 * @fault: filled in with the first that doesn't hold, its addr as an offset into
 *	the pages of its extent; may be NULL
 *
 * For tests and for people who look: holds the lock, interrupts off, all the while.
 * Frees first what is queued.
 *
 * Context: any but NMI. O(pages).
 * Return: 0; -EUCLEAN, and a line in the log, if something is wrong.
 */
int quarry_heap_verify(struct quarry_heap *heap, struct quarry_fault *fault)
{
	struct quarry_fault found = {};
	unsigned long irq;
	int err;

	__quarry_heap_reap(heap);

	raw_spin_lock_irqsave(&heap->lock, irq);
	err = verify(heap, &found);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	if (!err)
		err = __quarry_heap_verify_cached(heap, &found);

	if (err)
		quarry_report_fault("heap", heap->name, &found);
	if (fault)
		*fault = found;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_heap_verify);
