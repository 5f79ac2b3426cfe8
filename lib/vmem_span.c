// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: spans, which come from the caller or are imported.
 *
 * Spans are kept in a red-black tree by address; they are few where segments are
 * many. Segments know nothing of them: neighbours in address are linked, and at a
 * border, behind which lies a gap or a span that will be released as a whole, the
 * link is NULL. So adjacent spans of the ordinary kind are one for allocation, and
 * a free segment without neighbours is what may be a whole imported span.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/lockdep.h>
#include <linux/math64.h>

#include "inject.h"
#include "vmem_index.h"

static inline struct span *to_span(const struct rb_node *node)
{
	return rb_entry_safe(node, struct span, node);
}

/* The span that holds an address, or else the next one above it, or NULL. */
struct span *__quarry_vmem_span_from(const struct quarry_vmem *vmem, u64 addr)
{
	struct rb_node *node = vmem->spans.rb_node;
	struct span *found = NULL;

	lockdep_assert_held(&vmem->lock);

	while (node) {
		struct span *span = to_span(node);

		if (span_last(span) >= addr) {
			found = span;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/* The span that holds an address, or NULL. */
struct span *__quarry_vmem_span_of(const struct quarry_vmem *vmem, u64 addr)
{
	struct span *span = __quarry_vmem_span_from(vmem, addr);

	return span && span->start <= addr ? span : NULL;
}

/*
 * Whether a span can be added: 0, -EEXIST, -ENOMEM, -EIO, or -EINVAL for one that makes
 * the total 2^64, which no size can say.
 */
int __quarry_vmem_check_span(const struct quarry_vmem *vmem, u64 start, u64 size)
{
	struct span *span = __quarry_vmem_span_from(vmem, start);

	if (vmem->broken)
		return -EIO;
	if (span && span->start <= start + (size - 1))
		return -EEXIST;
	if (size > U64_MAX - vmem->total)
		return -EINVAL;
	return vmem->nr_free_tags < QUARRY_VMEM_TAGS_SPAN ? -ENOMEM : 0;
}

static void link_span(struct quarry_vmem *vmem, struct span *span)
{
	struct rb_node **link = &vmem->spans.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = span->start < to_span(parent)->start ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&span->node, parent, link);
	rb_insert_color(&span->node, &vmem->spans);
}

/* The segment at an address next to a span, if the two can be neighbours. */
static struct quarry_vmem_tag *mergeable_at(struct quarry_vmem *vmem, u64 addr)
{
	struct span *span = __quarry_vmem_span_of(vmem, addr);

	return span && !span->bordered ? __quarry_vmem_locate(vmem, addr) : NULL;
}

static void join_neighbours(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	u64 last = last_of(tag);

	if (tag->start)
		tag->prev = mergeable_at(vmem, tag->start - 1);
	if (last != U64_MAX)
		tag->next = mergeable_at(vmem, last + 1);
	if (tag->prev)
		tag->prev->next = tag;
	if (tag->next)
		tag->next->prev = tag;
}

/* The bounds of all spans, as a search is cheaper that needn't look at its window. */
static void note_bounds(struct quarry_vmem *vmem)
{
	struct span *first = to_span(rb_first(&vmem->spans));
	struct span *last = to_span(rb_last(&vmem->spans));

	vmem->lowest = first ? first->start : 0;
	vmem->highest = last ? span_last(last) : 0;
}

/* Divide the first span in parts. Nothing is free yet. */
static void set_parts(struct quarry_vmem *vmem, u64 start, u64 size)
{
	unsigned int shift = vmem->quantum_shift;

	while ((size - 1) >> shift >= QUARRY_VMEM_NR_PARTS)
		shift++;
	vmem->part_shift = shift;
	vmem->parts_base = start;
}

/*
 * Add a span that __quarry_vmem_check_span() had nothing against; returns the free
 * segment that it is, or is a part of.
 */
struct quarry_vmem_tag *__quarry_vmem_insert_span(struct quarry_vmem *vmem, u64 start,
						  u64 size, bool imported, bool bordered)
{
	struct span *span = (struct span *)get_tag(vmem);
	struct quarry_vmem_tag *tag = get_tag(vmem);

	*span = (struct span) {
		.start = start, .size = size, .imported = imported, .bordered = bordered,
	};
	*tag = (struct quarry_vmem_tag) { .start = start, .size = size };
	if (!vmem->total)
		set_parts(vmem, start, size);
	if (!bordered)
		join_neighbours(vmem, tag);

	link_span(vmem, span);
	note_bounds(vmem);
	vmem->nr_spans++;
	vmem->nr_bordered += bordered;
	vmem->nr_followers += bordered;
	vmem->total += size;
	if (imported) {
		vmem->imported += size;
		vmem->nr_imports++;
	}
	tag = __quarry_vmem_settle(vmem, tag);
	if (span == to_span(rb_first(&vmem->spans)))
		vmem->first = tag;
	return tag;
}

static void unlink_span(struct quarry_vmem *vmem, struct span *span)
{
	rb_erase(&span->node, &vmem->spans);
	note_bounds(vmem);
	vmem->nr_spans--;
	vmem->nr_bordered -= span->bordered;
	vmem->nr_followers -= span->bordered;
	vmem->total -= span->size;
	if (span->imported)
		vmem->imported -= span->size;
	*(struct quarry_vmem_tag *)span = (struct quarry_vmem_tag) {};
	put_tag(vmem, (struct quarry_vmem_tag *)span);
}

/* Drop the tag of a segment that is in no index, without neighbours. */
static void drop_tag(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	if (vmem->near_cursor == tag)
		vmem->near_cursor = NULL;
	if (vmem->first == tag)
		vmem->first = NULL;
	put_tag(vmem, tag);
}

/*
 * Drop the imported span that a free segment without neighbours is the whole of;
 * false if there is no such span, and the segment stays.
 */
bool __quarry_vmem_drop_span(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	struct span *span = __quarry_vmem_span_of(vmem, tag->start);

	if (!span || !span->bordered)
		return false;
	__quarry_vmem_free_remove(vmem, tag);
	drop_tag(vmem, tag);
	unlink_span(vmem, span);
	vmem->nr_releases++;
	return true;
}

/* ---- Spans of the caller ---- */

static int add_static(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	unsigned long irq;
	int err;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	err = __quarry_vmem_check_span(vmem, addr, size);
	if (!err) {
		__quarry_vmem_insert_span(vmem, addr, size, false, false);
		__quarry_vmem_serve(vmem, false);
	}
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return err;
}

/**
 * quarry_vmem_add() - add a span to an arena
 * @vmem: the arena
 * @addr: its first address, a multiple of the quantum
 * @size: its size, a multiple of the quantum; may end with the address space
 *
 * A span next to one that is not going to be released is one with it for
 * allocation. Those who wait are served.
 *
 * Context: any but NMI. O(log2(spans)), and the bound of a free.
 * Return: 0; -EINVAL if @size is 0, @addr or @size is no multiple of the quantum, the
 * range wraps, or all spans together would be all 2^64 addresses; -EEXIST if it
 * overlaps a span; -ENOMEM if there are no tags; -EIO if out of service.
 */
int quarry_vmem_add(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	int err;

	if (!is_range(addr, size))
		return __quarry_vmem_refuse(vmem, -EINVAL, "add: span is empty or wraps", addr,
					    _RET_IP_);
	if (!is_aligned_to_quantum(vmem, addr | size))
		return __quarry_vmem_refuse(vmem, -EINVAL, "add: no multiple of the quantum",
					    addr, _RET_IP_);

	err = add_static(vmem, addr, size);
	if (err == -ENOMEM && __quarry_vmem_tend(vmem, false))
		err = add_static(vmem, addr, size);
	if (err == -EEXIST)
		return __quarry_vmem_refuse(vmem, err, "add: overlaps a span", addr, _RET_IP_);
	if (err == -EINVAL)
		return __quarry_vmem_refuse(vmem, err, "add: all spans together overflow", addr,
					    _RET_IP_);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_add);

/* Cut a span, which is free, out of the segment that it is a part of. */
static int cut_span(struct quarry_vmem *vmem, struct span *span)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_locate(vmem, span->start);

	if (!tag || tag->state != QUARRY_VMEM_FREE || last_of(tag) < span_last(span))
		return -EBUSY;
	if (__quarry_vmem_tags_for(tag, span->start, span->size) > vmem->nr_free_tags)
		return -ENOMEM;

	tag = __quarry_vmem_carve(vmem, tag, span->start, span->size);
	if (tag->prev)
		tag->prev->next = NULL;
	if (tag->next)
		tag->next->prev = NULL;
	drop_tag(vmem, tag);
	unlink_span(vmem, span);
	return 0;
}

static int remove_static(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	struct span *span;
	unsigned long irq;
	int err = -EINVAL;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	span = __quarry_vmem_span_of(vmem, addr);
	if (vmem->broken)
		err = -EIO;
	else if (span && span->start == addr && span->size == size && !span->imported)
		err = cut_span(vmem, span);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return err;
}

/**
 * quarry_vmem_remove() - take a span out of an arena
 * @vmem: the arena
 * @addr: its first address, as it was added
 * @size: its size, as it was added
 *
 * Context: any but NMI. O(log2(spans)), and the bound of an allocation.
 * Return: 0; -EINVAL if it is not a span that was added with this address and size;
 * -EBUSY if not all of it is free; -ENOMEM if there are no tags for what it is cut out
 * of; -EIO if out of service.
 */
int quarry_vmem_remove(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	int err = remove_static(vmem, addr, size);

	if (err == -ENOMEM && __quarry_vmem_tend(vmem, false))
		err = remove_static(vmem, addr, size);
	if (err == -EINVAL)
		return __quarry_vmem_refuse(vmem, err, "remove: not a span that was added", addr,
					    _RET_IP_);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_remove);

/* ---- Imports ---- */

/**
 * quarry_vmem_set_import() - let an arena fetch spans
 * @vmem: the arena
 * @import: called when nothing that fits is free; NULL for no imports
 * @release: called with a span that was imported and is wholly free; NULL to keep
 *	spans until the end, when nobody is told
 * @arg: passed to both
 * @import_quantum: sizes asked for are multiples of this, which is a multiple of the
 *	arena's quantum; 0 for that
 *
 * Context: any but NMI. O(1). Those who wait try again.
 * Return: 0; -EINVAL if @import_quantum is no multiple of the quantum, or there is a
 * @release without an @import; -EBUSY if the arena has spans that were imported.
 */
int quarry_vmem_set_import(struct quarry_vmem *vmem, quarry_vmem_import_t import,
			   quarry_vmem_release_t release, void *arg, u64 import_quantum)
{
	unsigned long irq;
	int err = 0;

	if ((release && !import) || !is_aligned_to_quantum(vmem, import_quantum))
		return __quarry_vmem_refuse(vmem, -EINVAL, "set_import: wrong argument",
					    import_quantum, _RET_IP_);

	raw_spin_lock_irqsave(&vmem->lock, irq);
	if (vmem->imported || vmem->nr_importing) {
		err = -EBUSY;
	} else {
		vmem->import = import;
		vmem->release = release;
		vmem->import_arg = arg;
		vmem->import_quantum = import_quantum ?: quantum(vmem);
		__quarry_vmem_serve(vmem, true);
	}
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_set_import);

/**
 * quarry_vmem_set_limit() - limit what an arena imports
 * @vmem: the arena
 * @limit: no span is imported that would make the size of all spans larger than
 *	this; 0 for no limit
 *
 * What is there already stays. Those who wait try again.
 *
 * Context: any but NMI. O(1).
 */
void quarry_vmem_set_limit(struct quarry_vmem *vmem, u64 limit)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	vmem->limit = limit;
	__quarry_vmem_serve(vmem, true);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
}
EXPORT_SYMBOL_GPL(quarry_vmem_set_limit);

/**
 * quarry_vmem_set_reclaim() - be told when an arena runs out
 * @vmem: the arena
 * @reclaim: called once for each allocation that finds no room, not even by import;
 *	the allocation is tried once more then; NULL for none
 * @arg: passed to it
 *
 * Context: any but NMI, while nothing is allocated. O(1).
 */
void quarry_vmem_set_reclaim(struct quarry_vmem *vmem, quarry_vmem_reclaim_t reclaim, void *arg)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	vmem->reclaim = reclaim;
	vmem->reclaim_arg = arg;
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
}
EXPORT_SYMBOL_GPL(quarry_vmem_set_reclaim);

static bool is_over_limit(const struct quarry_vmem *vmem, u64 size)
{
	u64 limit = vmem->limit ?: U64_MAX;

	return vmem->total >= limit || size > limit - vmem->total;
}

/* The boundary that an allocation could cross; 0 if none is inside the window. */
static u64 boundary_inside(const struct want *want)
{
	return (want->min ^ want->max) & -want->nocross ? want->nocross : 0;
}

/*
 * What to ask for: a span of whole import quanta, aligned to the quantum at least, at
 * the start of which there is room for what is wanted. A start with a certain alignment
 * to the boundary doesn't cross it, and only the first @size of the span must be inside
 * the window. False if no span can serve.
 */
static bool ask_for(const struct quarry_vmem *vmem, const struct want *want,
		    struct quarry_vmem_request *ask)
{
	u64 rest, more;

	div64_u64_rem(want->size, vmem->import_quantum, &rest);
	more = rest ? vmem->import_quantum - rest : 0;
	*ask = (struct quarry_vmem_request) {
		.size = want->size + more,
		.align = max(want->align, boundary_inside(want)),
		.phase = want->phase,
		.min = want->min,
		.max = want->max > U64_MAX - more ? U64_MAX : want->max + more,
	};
	return ask->size > more && !is_over_limit(vmem, ask->size) &&
	       want->max - want->min >= want->size - 1;
}

/* Whether an import's answer is a range that an arena can have; overlaps aside. */
static bool is_sound_import(const struct quarry_vmem *vmem, u64 addr, u64 size)
{
	return is_range(addr, size) && is_aligned_to_quantum(vmem, addr | size);
}

/* Whether nothing was taken of a span since it was inserted as this segment. */
static bool is_untouched(const struct quarry_vmem_tag *tag, u64 size)
{
	return tag->state == QUARRY_VMEM_FREE && tag->size == size;
}

/*
 * Add an imported span and allocate at once, so that nobody comes between. If that can't
 * serve, or if something that was freed meanwhile serves better, it is dropped again, and
 * @in_vain set, unless nobody would take it back: no free would ever find it wholly free.
 */
static int add_imported(struct quarry_vmem *vmem, struct want *want, u64 start, u64 size,
			bool *in_vain)
{
	bool bordered = vmem->release;
	struct quarry_vmem_tag *tag;
	int err;

	*in_vain = bordered;
	if (is_over_limit(vmem, size))
		return -ENOSPC;
	err = __quarry_vmem_check_span(vmem, start, size);
	if (err)
		return err;
	tag = __quarry_vmem_insert_span(vmem, start, size, true, bordered);
	err = __quarry_vmem_take(vmem, want);
	*in_vain = bordered && is_untouched(tag, size);
	if (*in_vain)
		__quarry_vmem_drop_span(vmem, tag);
	return err;
}

/* An import gave what overlaps, or isn't aligned: it isn't given back, as it isn't ours. */
static int refuse_import(struct quarry_vmem *vmem, u64 addr)
{
	__quarry_vmem_refuse(vmem, -EINVAL, "import gave what can't be a span", addr, _RET_IP_);
	return -ENOSPC;
}

static void end_import(struct quarry_vmem *vmem)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	vmem->nr_importing--;
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
}

static int import_span(struct quarry_vmem *vmem, struct want *want,
		       const struct quarry_vmem_request *ask)
{
	u64 start = 0, size = ask->size;
	unsigned long irq;
	bool in_vain;
	int err;

	if (vmem->import(vmem->import_arg, ask, &start, &size))
		return -ENOSPC;
	if (!is_sound_import(vmem, start, size))
		return refuse_import(vmem, start);

	raw_spin_lock_irqsave(&vmem->lock, irq);
	err = add_imported(vmem, want, start, size, &in_vain);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (err == -EEXIST)
		return refuse_import(vmem, start);
	if (in_vain)
		vmem->release(vmem->import_arg, start, size);
	return err;
}

/* Import what can serve, and allocate from it; -ENOSPC if there is nothing to be had. */
int __quarry_vmem_import(struct quarry_vmem *vmem, struct want *want)
{
	struct quarry_vmem_request ask;
	unsigned long irq;
	bool asks;
	int err;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	asks = vmem->import && !vmem->broken && ask_for(vmem, want, &ask);
	vmem->nr_importing += asks;
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (!asks)
		return -ENOSPC;
	if (!want->sure && quarry_inject(QUARRY_INJECT_VMEM_IMPORT, ask.size))
		err = -ENOSPC;
	else if (READ_ONCE(vmem->nr_free_tags) < QUARRY_VMEM_TAGS_MAX &&
		 !__quarry_vmem_tend(vmem, want->sure))
		err = -ENOMEM;
	else
		err = import_span(vmem, want, &ask);
	end_import(vmem);
	return err;
}
