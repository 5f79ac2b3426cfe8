// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: questions that change nothing.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>

#include "vmem_internal.h"

static u64 largest_free(struct quarry_vmem *vmem)
{
	struct quarry_vmem_tag *largest = __quarry_vmem_largest(vmem);

	return largest ? largest->size : 0;
}

/**
 * quarry_vmem_roundup_size() - the size that a segment of some size has
 * @vmem: the arena
 * @size: any size
 *
 * Context: any. O(1).
 * Return: @size rounded up to the quantum; 0 if it is 0 or can't be.
 */
u64 quarry_vmem_roundup_size(const struct quarry_vmem *vmem, u64 size)
{
	return round_size(vmem, size);
}
EXPORT_SYMBOL_GPL(quarry_vmem_roundup_size);

/**
 * quarry_vmem_size() - how much of an arena is what
 * @vmem: the arena
 * @which: enum quarry_vmem_which
 *
 * Context: any but NMI. O(log2(segments)); the largest among segments of more than 511
 * quanta is looked for among all that are within 0.4 % of it.
 * Return: the size; 0 for any other @which.
 */
u64 quarry_vmem_size(struct quarry_vmem *vmem, enum quarry_vmem_which which)
{
	unsigned long irq;
	u64 size = 0;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	switch (which) {
	case QUARRY_VMEM_SIZE_USED:
		size = vmem->used;
		break;
	case QUARRY_VMEM_SIZE_FREE:
		size = vmem->total - vmem->used;
		break;
	case QUARRY_VMEM_SIZE_TOTAL:
		size = vmem->total;
		break;
	case QUARRY_VMEM_SIZE_LARGEST:
		size = largest_free(vmem);
		break;
	}
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return size;
}
EXPORT_SYMBOL_GPL(quarry_vmem_size);

static void describe(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag,
		     struct quarry_vmem_segment *segment)
{
	const struct span *span = __quarry_vmem_span_from(vmem, tag->start);

	*segment = (struct quarry_vmem_segment) {
		.addr = tag->start,
		.size = tag->size,
		.state = tag->state,
		.imported = span && span->imported,
	};
}

/**
 * quarry_vmem_lookup() - the segment that holds an address
 * @vmem: the arena
 * @addr: any address
 * @segment: filled in with what it is, in use or free
 *
 * Context: any but NMI. O(log2 of the largest size) if it is in use; else the bound of a
 * search in a window of one quantum, as lib/vmem_find.c tells.
 * Return: 0; -EINVAL if @addr isn't managed or @segment is NULL; -EIO if out of service.
 */
int quarry_vmem_lookup(struct quarry_vmem *vmem, u64 addr, struct quarry_vmem_segment *segment)
{
	struct quarry_vmem_tag *tag;
	unsigned long irq;
	int err = -EINVAL;

	if (!segment)
		return -EINVAL;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	tag = __quarry_vmem_locate(vmem, addr);
	if (vmem->broken) {
		err = -EIO;
	} else if (tag) {
		describe(vmem, tag, segment);
		err = 0;
	}
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_lookup);

/* As __quarry_vmem_locate(), but quick if a segment in use ends before the address. */
static struct quarry_vmem_tag *step_to(struct quarry_vmem *vmem, u64 addr)
{
	struct quarry_vmem_tag *before = addr ? __quarry_vmem_locate_used(vmem, addr - 1) : NULL;

	if (before && before->next && before->next->start == addr)
		return before->next;
	return __quarry_vmem_locate(vmem, addr);
}

/**
 * quarry_vmem_next() - the segment that holds an address, or the first one above it
 * @vmem: the arena
 * @addr: any address
 * @segment: filled in with what it is, in use or free
 *
 * To walk over everything, begin with 0 and go on with the address behind the segment,
 * until that is 0 or the answer isn't. The lock is taken for each step, so what
 * changes meanwhile may be seen as it was or as it is.
 *
 * Context: any but NMI. As quarry_vmem_lookup(), and O(log2(spans)); a walk finds all but
 * the first segment of a span in O(log2 of the largest size).
 * Return: 0; -ENOENT if nothing at or above @addr is managed; -EINVAL if @segment is
 * NULL; -EIO if out of service.
 */
int quarry_vmem_next(struct quarry_vmem *vmem, u64 addr, struct quarry_vmem_segment *segment)
{
	struct quarry_vmem_tag *tag = NULL;
	struct span *span;
	unsigned long irq;
	int err = -ENOENT;

	if (!segment)
		return -EINVAL;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	span = __quarry_vmem_span_from(vmem, addr);
	if (span)
		tag = step_to(vmem, max(addr, span->start));
	if (vmem->broken) {
		err = -EIO;
	} else if (tag) {
		describe(vmem, tag, segment);
		err = 0;
	}
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_next);

/* Which of the free lists that are counted a class belongs to: log2 of its sizes. */
static inline unsigned int list_of(unsigned int class)
{
	if (class < QUARRY_VMEM_NR_EXACT)
		return __fls(class + 1);
	return 7 + (class - QUARRY_VMEM_NR_EXACT) / 4;
}

static void get_stats(struct quarry_vmem *vmem, struct quarry_vmem_stats *stats)
{
	unsigned int class;

	*stats = (struct quarry_vmem_stats) {
		.total = vmem->total,
		.used = vmem->used,
		.peak = vmem->peak,
		.imported = vmem->imported,
		.largest_free = largest_free(vmem),
		.quantum = quantum(vmem),
		.limit = vmem->limit,
		.nr_spans = vmem->nr_spans,
		.nr_used = vmem->nr_used,
		.nr_frees = vmem->nr_frees,
		.nr_failures = vmem->nr_failures,
		.nr_misuses = vmem->nr_misuses,
		.nr_steps = vmem->nr_steps,
		.max_steps = vmem->max_steps,
		.nr_imports = vmem->nr_imports,
		.nr_releases = vmem->nr_releases,
		.nr_reclaims = vmem->nr_reclaims,
		.nr_waits = vmem->nr_waits,
		.nr_waiters = vmem->nr_waiters,
		.nr_tags = vmem->nr_tags,
		.nr_free_tags = vmem->nr_free_tags,
		.nr_buckets = vmem->nr_buckets,
		.last_failure = vmem->last_failure,
	};
	for (class = 0; class < QUARRY_VMEM_NR_CLASSES; class++) {
		stats->nr_lists[list_of(class)] += vmem->nr_in_class[class];
		stats->nr_free += vmem->nr_in_class[class];
	}
}

/**
 * quarry_vmem_stats() - the figures of this moment
 * @vmem: the arena
 * @stats: filled in
 *
 * Context: any but NMI. As quarry_vmem_size() of the largest.
 */
void quarry_vmem_stats(struct quarry_vmem *vmem, struct quarry_vmem_stats *stats)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	get_stats(vmem, stats);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	__quarry_vmem_count_cached(vmem, stats);
}
EXPORT_SYMBOL_GPL(quarry_vmem_stats);
