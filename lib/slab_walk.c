// SPDX-License-Identifier: GPL-2.0
/*
 * Slab: questions about addresses, a walk over what is in use, and figures.
 *
 * A walk has two sources that are in order of their addresses: the backend's words
 * for its pages, and the tree of buffers. It goes on in steps, each with the lock held
 * for a bounded number of pages or objects, to the nearer of what the two have next.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>

#include "slab_internal.h"

/* What a step of a walk looks at, at most. */
#define STEP_PAGES	64
#define STEP_OBJECTS	4096

/**
 * quarry_slab_nr_free() - how many objects are free
 * @slab: the slab allocator
 *
 * Takes no lock: while others allocate and free, they may do so between its two
 * looks.
 *
 * Context: any. O(1).
 * Return: objects that are free, those kept for the refill included.
 */
u64 quarry_slab_nr_free(const struct quarry_slab *slab)
{
	/* Changed by plain stores, under the lock: what is read is a hint in any case. */
	unsigned long nr_used = data_race(READ_ONCE(slab->nr_used));
	/* Likewise. */
	unsigned long nr_objects = data_race(READ_ONCE(slab->nr_objects));

	return nr_objects > nr_used ? nr_objects - nr_used : 0;
}
EXPORT_SYMBOL_GPL(quarry_slab_nr_free);

/**
 * quarry_slab_owns() - whether an address lies in an allocator's memory
 * @slab: the slab allocator
 * @addr: any address
 *
 * That is in one of its slabs or buffers: in an object, free or in use, in a header
 * there, or in what is left over.
 *
 * Context: any but NMI. O(1); in a buffer, O(log2(buffers)).
 * Return: true if it does.
 */
bool quarry_slab_owns(struct quarry_slab *slab, const void *addr)
{
	unsigned long irq;
	bool owns;

	raw_spin_lock_irqsave(&slab->lock, irq);
	owns = __quarry_slab_find(slab, addr);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return owns;
}
EXPORT_SYMBOL_GPL(quarry_slab_owns);

static void describe(const struct quarry_slab *slab, struct quarry_slab_head *head,
		     unsigned long index, struct quarry_slab_object *object)
{
	const struct quarry_slab_shape *shape = head->shape;

	*object = (struct quarry_slab_object) {
		.start = head->objects + index * slab->stride,
		.size = slab->stride,
		.slab = shape == &slab->shape ? PTR_ALIGN_DOWN(head->objects, slab->slab_size) :
						__quarry_slab_buffer_of(shape)->start,
		.index = index,
		.free = !__quarry_slab_is_used(head, shape, index),
	};
}

/**
 * quarry_slab_lookup() - the object that holds an address
 * @slab: the slab allocator
 * @addr: any address inside the object
 * @object: filled in
 *
 * Context: any but NMI. O(1); in a buffer, O(log2(buffers)).
 * Return: 0, also if the object is free; -EINVAL if @addr is in no object of this
 * allocator, or @object is NULL; -EIO if out of service.
 */
int quarry_slab_lookup(struct quarry_slab *slab, const void *addr,
		       struct quarry_slab_object *object)
{
	struct quarry_slab_head *head;
	unsigned long irq, index;
	int err = -EINVAL;

	if (!object)
		return -EINVAL;

	raw_spin_lock_irqsave(&slab->lock, irq);
	head = __quarry_slab_find(slab, addr);
	if (head) {
		index = ((unsigned long)addr - (unsigned long)head->objects) / slab->stride;
		if (index < head->shape->capacity) {
			describe(slab, head, index, object);
			err = 0;
		}
	} else if (slab->broken) {
		err = -EIO;
	}
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_slab_lookup);

/* ---- Walking ---- */

/* The end of the memory that a slab is in. */
static unsigned long end_of(const struct quarry_slab *slab, const struct quarry_slab_head *head)
{
	const struct quarry_slab_buffer *buffer;

	if (head->shape == &slab->shape)
		return (unsigned long)head->objects + head->shape->capacity * slab->stride;
	buffer = __quarry_slab_buffer_of(head->shape);
	return (unsigned long)buffer->start + buffer->size;
}

/*
 * The first of the allocator's slabs from the backend at or behind an address, if it
 * is near; else @end tells how far that was looked, ULONG_MAX if to the end.
 */
static struct quarry_slab_head *next_slab(const struct quarry_slab *slab, unsigned long addr,
					  unsigned long *end)
{
	const struct quarry_region *region = &slab->map->region;
	unsigned long page = BIT(slab->map->page_shift);
	unsigned int nr;

	*end = ULONG_MAX;
	if (!region->size || addr > quarry_region_last(region))
		return NULL;
	addr = max_t(u64, addr, region->base);
	for (nr = 0; nr < STEP_PAGES; nr++) {
		struct quarry_slab_head *head = __quarry_slab_head_of(slab, (void *)addr);

		if (head)
			return head;
		addr = ALIGN_DOWN(addr, page) + page;
		if (!addr || addr > quarry_region_last(region))
			return NULL;
	}
	*end = addr;
	return NULL;
}

/*
 * The slab or buffer that holds @addr or comes next, if it is near; @addr is moved to
 * its end, or, without one, to where to go on: ULONG_MAX if there is no more.
 */
struct quarry_slab_head *__quarry_slab_next_head(struct quarry_slab *slab, unsigned long *addr)
{
	struct quarry_slab_buffer *buffer = __quarry_slab_next_buffer(slab, (void *)*addr);
	struct quarry_slab_head *head;

	lockdep_assert_held(&slab->lock);

	head = next_slab(slab, *addr, addr);
	if (head && (!buffer || head->objects < buffer->start)) {
		*addr = end_of(slab, head);
		return head;
	}
	if (!buffer || (!head && (unsigned long)buffer->start > *addr))
		return NULL;
	*addr = (unsigned long)buffer->start + buffer->size;
	/* What isn't linked is being made. */
	return buffer->head->shape == &buffer->shape ? buffer->head : NULL;
}

/*
 * Look for an object in use that starts at @addr or later in a slab whose end is
 * @end: if there is none near, @end becomes where to go on.
 */
static bool next_in_head(const struct quarry_slab *slab, struct quarry_slab_head *head,
			 unsigned long addr, unsigned long *end,
			 struct quarry_slab_object *object)
{
	unsigned long first = (unsigned long)head->objects;
	unsigned long stop, index = 0;

	if (addr > first)
		index = (addr - first - 1) / slab->stride + 1;
	stop = min_t(unsigned long, head->fresh, index + STEP_OBJECTS);
	for (; index < stop; index++) {
		if (__quarry_slab_is_used(head, head->shape, index)) {
			describe(slab, head, index, object);
			return true;
		}
	}
	if (stop < head->fresh)
		*end = first + stop * slab->stride;
	return false;
}

/**
 * quarry_slab_next() - the next object in use
 * @slab: the slab allocator
 * @addr: where to begin; NULL for the first
 * @object: filled in with the lowest object in use that starts at or above @addr
 *
 * To walk over everything, go on with the address behind the object's start. For
 * debugging: what changes meanwhile may be seen as it was or as it is.
 *
 * Context: any but NMI. O(pages of the backend + objects), with interrupts off for
 * short parts of it.
 * Return: 0; -ENOENT if there is none; -EINVAL if @object is NULL; -EIO if out of
 * service.
 */
int quarry_slab_next(struct quarry_slab *slab, const void *addr,
		     struct quarry_slab_object *object)
{
	unsigned long irq, from = (unsigned long)addr, to = from;
	bool found = false, broken = false;
	struct quarry_slab_head *head;

	if (!object)
		return -EINVAL;

	while (!found && !broken && to != ULONG_MAX) {
		raw_spin_lock_irqsave(&slab->lock, irq);
		from = to;
		broken = slab->broken;
		head = broken ? NULL : __quarry_slab_next_head(slab, &to);
		if (head)
			found = next_in_head(slab, head, from, &to, object);
		raw_spin_unlock_irqrestore(&slab->lock, irq);
	}
	if (broken)
		return -EIO;
	return found ? 0 : -ENOENT;
}
EXPORT_SYMBOL_GPL(quarry_slab_next);

/* ---- Figures ---- */

/**
 * quarry_slab_stats() - the figures of this moment
 * @slab: the slab allocator
 * @stats: filled in
 *
 * Context: any but NMI. O(1).
 */
void quarry_slab_stats(struct quarry_slab *slab, struct quarry_slab_stats *stats)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&slab->lock, irq);
	*stats = (struct quarry_slab_stats) {
		.object_size = slab->stride,
		.align = slab->align,
		.slab_size = slab->slab_size,
		.per_slab = slab->shape.capacity,
		.nr_objects = slab->nr_objects,
		.nr_used = slab->nr_used,
		.peak = slab->peak,
		.nr_slabs = slab->nr_made - slab->nr_released,
		.nr_empty = slab->nr_empty,
		.nr_full = slab->nr_full,
		.reserved = __quarry_slab_reserved(slab),
		.nr_allocs = slab->nr_allocs,
		.nr_frees = slab->nr_allocs - slab->nr_used,
		.nr_refills = slab->nr_refills,
		.nr_released = slab->nr_released,
		.nr_failures = slab->nr_failures,
		.nr_misuses = slab->nr_misuses,
		.last_failure = slab->last_failure,
	};
	raw_spin_unlock_irqrestore(&slab->lock, irq);

	stats->nr_partial = stats->nr_slabs - stats->nr_empty - stats->nr_full;
}
EXPORT_SYMBOL_GPL(quarry_slab_stats);
