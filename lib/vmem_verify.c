// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: the verifier.
 *
 * First the two indexes, so that what is looked up in them afterwards is found in the
 * end: that no chain of the table and no trie has more segments than it should, and so no
 * loop. Then the spans, which say what is managed, and along their addresses the segments,
 * of which those in use must be found in the table. They are counted, and what the indexes
 * and the counters say is compared with that.
 *
 * Any number, and any mark, may have become anything. A pointer must be NULL or lead to
 * some tag, as what is behind another can't be told without looking there.
 */
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>

#include "vmem_index.h"

/* What is counted on the way. */
struct census {
	u64 total;
	u64 used;
	u64 imported;
	u64 lowest;
	u64 highest;
	unsigned long nr_spans;
	unsigned long nr_bordered;
	unsigned long nr_used;
	unsigned long nr_free;
	unsigned long nr_in_classes;
};

static int fault_at(struct quarry_fault *fault, const char *what, u64 addr, u64 expected,
		    u64 found)
{
	*fault = (struct quarry_fault) {
		.what = what, .addr = addr, .expected = expected, .found = found,
	};
	return -EUCLEAN;
}

/* ---- Segments ---- */

static int verify_links(const struct quarry_vmem_tag *tag, struct quarry_fault *fault)
{
	const struct quarry_vmem_tag *next = tag->next;

	if (!next)
		return 0;
	if (next->prev != tag)
		return fault_at(fault, "neighbour doesn't link back", tag->start, 1, 0);
	if (next->start != tag->start + tag->size)
		return fault_at(fault, "neighbour doesn't begin at the end", tag->start,
				tag->start + tag->size, next->start);
	if (tag->state == QUARRY_VMEM_FREE && next->state == QUARRY_VMEM_FREE)
		return fault_at(fault, "free neighbours not merged", tag->start, 0, 1);
	return 0;
}

static int verify_segment(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag,
			  struct census *census, struct quarry_fault *fault)
{
	if (!is_range(tag->start, tag->size) ||
	    !is_aligned_to_quantum(vmem, tag->start | tag->size))
		return fault_at(fault, "segment can't be", tag->start, 0, tag->size);
	if (tag->state > QUARRY_VMEM_CACHED)
		return fault_at(fault, "state of a segment", tag->start, 0, tag->state);

	if (tag->state == QUARRY_VMEM_FREE) {
		census->nr_free++;
	} else {
		if (__quarry_vmem_find(vmem, tag->start, tag->size) != tag)
			return fault_at(fault, "segment not in the table", tag->start, 1, 0);
		if (tag->slotted != __quarry_vmem_is_slotted(vmem, tag))
			return fault_at(fault, "slot of a segment", tag->start, tag->slotted,
					!tag->slotted);
		census->nr_used++;
		census->used += tag->size;
	}
	return verify_links(tag, fault);
}

/* The segments from the start of a border-to-border stretch; sets its last address. */
static int verify_stretch(struct quarry_vmem *vmem, u64 start, u64 *last,
			  struct census *census, struct quarry_fault *fault)
{
	const struct quarry_vmem_tag *tag = __quarry_vmem_locate(vmem, start);

	if (!tag || tag->start != start || tag->prev)
		return fault_at(fault, "no segment at the start of a span", start, start,
				tag ? tag->start : 0);
	for (; tag; tag = tag->next) {
		int err = verify_segment(vmem, tag, census, fault);

		if (err)
			return err;
		*last = last_of(tag);
	}
	return 0;
}

/* Spans one after another; those that aren't bordered are one stretch if adjacent. */
static int verify_spans(struct quarry_vmem *vmem, struct census *census,
			struct quarry_fault *fault)
{
	struct rb_node *node = rb_first(&vmem->spans);

	if (node)
		census->lowest = rb_entry(node, struct span, node)->start;
	while (node) {
		const struct span *span = rb_entry(node, struct span, node);
		u64 start = span->start, last, found = 0;
		bool bordered = span->bordered;
		int err;

		do {
			last = span_last(span);
			census->total += span->size;
			census->imported += span->imported ? span->size : 0;
			census->nr_spans++;
			census->nr_bordered += span->bordered;
			node = rb_next(node);
			span = node ? rb_entry(node, struct span, node) : NULL;
		} while (span && !bordered && !span->bordered && span->start == last + 1);

		if (span && span->start <= last)
			return fault_at(fault, "spans overlap", span->start, last, span->start);
		err = verify_stretch(vmem, start, &found, census, fault);
		if (err)
			return err;
		if (found != last)
			return fault_at(fault, "segments don't fill a span", start, last, found);
		census->highest = last;
	}
	return 0;
}

/* ---- The table ---- */

/* That there is nothing in it but segments in use, each of which will be looked up. */
static int verify_table(const struct quarry_vmem *vmem, struct quarry_fault *fault)
{
	u64 end = (u64)vmem->bucket_mask + 1;
	unsigned int nr = 0, i;

	if (vmem->nr_buckets > vmem->nr_table_buckets || vmem->nr_buckets > end ||
	    vmem->nr_buckets <= end / 2 || end & (end - 1))
		return fault_at(fault, "buckets of the table", 0, end, vmem->nr_buckets);
	for (i = 0; i < vmem->nr_buckets; i++) {
		const struct quarry_vmem_tag *tag = *bucket_at(vmem, i);

		for (; tag && nr <= vmem->nr_used; tag = tag->link, nr++)
			if (tag->state == QUARRY_VMEM_FREE)
				return fault_at(fault, "free segment in the table", tag->start,
						0, 1);
	}
	if (nr != vmem->nr_used)
		return fault_at(fault, "count of the table", 0, vmem->nr_used, nr);
	return 0;
}

/* ---- Tries ---- */

static int verify_child(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag,
			unsigned int side, struct quarry_fault *fault)
{
	const struct quarry_vmem_tag *child = tag->child[side];

	if (child == &vmem->nil)
		return 0;
	if (!child)
		return fault_at(fault, "node with no end", tag->start, side, !side);
	if ((child->start ^ tag->start) >> tag->bit >> 1)
		return fault_at(fault, "node in another's subtree", child->start, tag->start,
				child->start);
	if (((child->start >> tag->bit) & 1) != side)
		return fault_at(fault, "node on the wrong side", child->start, side, !side);
	if (tag->bit ? child->bit >= tag->bit : child->bit)
		return fault_at(fault, "bits don't fall on the way down", child->start,
				tag->bit, child->bit);
	return 0;
}

static int verify_node(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag,
		       unsigned int bin, struct quarry_fault *fault)
{
	unsigned int class = class_of(tag->size >> vmem->quantum_shift);
	u64 mask;
	int err;

	if (tag->state != QUARRY_VMEM_FREE)
		return fault_at(fault, "segment in use in a class", tag->start, 0, tag->state);
	if (tag->part != part_of(vmem, tag->start))
		return fault_at(fault, "part of a segment", tag->start,
				part_of(vmem, tag->start), tag->part);
	if (class >= QUARRY_VMEM_NR_CLASSES || bin_of(class, tag->part) != bin)
		return fault_at(fault, "segment in another's bin", tag->start, bin, class);
	if (tag->own != __quarry_vmem_colour(vmem, tag))
		return fault_at(fault, "colour of a segment", tag->start,
				__quarry_vmem_colour(vmem, tag), tag->own);
	if (tag->bit > 63)
		return fault_at(fault, "bit of a node", tag->start, 63, tag->bit);
	err = verify_child(vmem, tag, 0, fault) ?: verify_child(vmem, tag, 1, fault);
	if (err)
		return err;
	mask = BIT_ULL(tag->own) | tag->child[0]->mask | tag->child[1]->mask;
	if (tag->mask != mask)
		return fault_at(fault, "colours below a node", tag->start, mask, tag->mask);
	return 0;
}

/* Walk a trie with the nodes whose right side is still to come on a stack. */
static int verify_trie(struct quarry_vmem *vmem, unsigned int bin, u32 *nr,
		       struct quarry_fault *fault)
{
	unsigned int class = class_of_bin(bin), depth = 0;
	struct quarry_vmem_tag *tag = vmem->roots[bin];
	int err;

	while (tag != &vmem->nil || depth) {
		if (tag == &vmem->nil) {
			tag = vmem->path[--depth]->child[1];
			continue;
		}
		err = verify_node(vmem, tag, bin, fault);
		if (err)
			return err;
		if (++*nr > vmem->nr_in_class[class] || depth == QUARRY_VMEM_MAX_DEPTH)
			return fault_at(fault, "count of a class", class,
					vmem->nr_in_class[class], *nr);
		vmem->path[depth++] = tag;
		tag = tag->child[0];
	}
	return 0;
}

/* All bins of a class. */
static int verify_class(struct quarry_vmem *vmem, unsigned int class, struct quarry_fault *fault)
{
	unsigned int bin = bin_of(class, 0), end = bin_of(class + 1, 0);
	u32 nr = 0;

	for (; bin < end; bin++) {
		bool any = vmem->avail[bin / 64] & BIT_ULL(bin % 64);
		bool is_empty = vmem->roots[bin] == &vmem->nil;
		int err;

		if (!vmem->roots[bin])
			return fault_at(fault, "bin with no end", bin, 1, 0);
		if (any == is_empty)
			return fault_at(fault, "mask of bins", bin, !any, any);
		err = verify_trie(vmem, bin, &nr, fault);
		if (err)
			return err;
	}
	if (nr != vmem->nr_in_class[class])
		return fault_at(fault, "count of a class", class, vmem->nr_in_class[class], nr);
	return 0;
}

static int verify_classes(struct quarry_vmem *vmem, struct census *census,
			  struct quarry_fault *fault)
{
	unsigned int class;
	int err;

	if (vmem->nil.mask)
		return fault_at(fault, "colours of the end of tries", 0, 0, vmem->nil.mask);
	if (vmem->nil.bit)
		return fault_at(fault, "bit of the end of tries", 0, 0, vmem->nil.bit);
	if (vmem->nil.child[0] != &vmem->nil || vmem->nil.child[1] != &vmem->nil)
		return fault_at(fault, "node below the end of tries", 0, 0, 1);
	for (class = 0; class < QUARRY_VMEM_NR_CLASSES; class++) {
		err = verify_class(vmem, class, fault);
		if (err)
			return err;
		census->nr_in_classes += vmem->nr_in_class[class];
	}
	return 0;
}

/* ---- Totals ---- */

static int verify_tags(const struct quarry_vmem *vmem, const struct census *census,
		       struct quarry_fault *fault)
{
	unsigned long nr = census->nr_spans + census->nr_used + census->nr_free;
	const struct quarry_vmem_tag *tag;
	unsigned long nr_free = 0;

	for (tag = vmem->free_tags; tag && nr_free <= vmem->nr_tags; tag = tag->link)
		nr_free++;
	if (nr_free != vmem->nr_free_tags)
		return fault_at(fault, "count of free tags", 0, nr_free, vmem->nr_free_tags);
	if (nr + nr_free != vmem->nr_tags)
		return fault_at(fault, "count of tags", 0, nr + nr_free, vmem->nr_tags);
	return 0;
}

static int verify_totals(const struct quarry_vmem *vmem, const struct census *census,
			 struct quarry_fault *fault)
{
	const struct {
		const char *what;
		u64 expected, found;
	} totals[] = {
		{ "total", census->total, vmem->total },
		{ "size in use", census->used, vmem->used },
		{ "size imported", census->imported, vmem->imported },
		{ "lowest address", census->lowest, vmem->lowest },
		{ "highest address", census->highest, vmem->highest },
		{ "count of spans", census->nr_spans, vmem->nr_spans },
		{ "count of spans to release", census->nr_bordered, vmem->nr_bordered },
		{ "count of segments in use", census->nr_used, vmem->nr_used },
		{ "free segments in classes", census->nr_free, census->nr_in_classes },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(totals); i++)
		if (totals[i].expected != totals[i].found)
			return fault_at(fault, totals[i].what, 0, totals[i].expected,
					totals[i].found);
	if (vmem->peak < census->used)
		return fault_at(fault, "peak below the size in use", 0, census->used, vmem->peak);
	return verify_tags(vmem, census, fault);
}

static int __quarry_vmem_verify(struct quarry_vmem *vmem, struct quarry_fault *fault)
{
	struct census census = {};
	int err;

	lockdep_assert_held(&vmem->lock);

	if (vmem->broken)
		return fault_at(fault, "out of service", 0, 0, 1);
	err = verify_table(vmem, fault);
	if (!err)
		err = verify_classes(vmem, &census, fault);
	if (!err)
		err = verify_spans(vmem, &census, fault);
	return err ?: verify_totals(vmem, &census, fault);
}

/**
 * quarry_vmem_verify() - recompute every invariant from scratch
 * @vmem: the arena
 * @fault: filled in with the first that doesn't hold, its addr as it is; may be NULL
 *
 * For tests and for people who look: holds the lock, interrupts off, all the while.
 *
 * Context: any but NMI. O(segments).
 * Return: 0; -EUCLEAN, and a line in the log, if something is wrong.
 */
int quarry_vmem_verify(struct quarry_vmem *vmem, struct quarry_fault *fault)
{
	struct quarry_fault found = {};
	unsigned long irq;
	int err;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	err = __quarry_vmem_verify(vmem, &found);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (err)
		quarry_report_fault("vmem", vmem->name, &found);
	if (fault)
		*fault = found;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_verify);
