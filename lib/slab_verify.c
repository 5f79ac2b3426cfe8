// SPDX-License-Identifier: GPL-2.0
/*
 * Slab: the verifier.
 *
 * A slab's head alone says which objects are in use. So all heads are looked up by
 * their addresses, in the pages of the backend and in the tree of buffers, checked,
 * and counted. The lists, their mask and the counters are then compared with that
 * census.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>

#include "slab_internal.h"

/* What the heads say, to be compared with what the counters say. */
struct census {
	unsigned long nr_slabs;
	unsigned long nr_empty;
	unsigned long nr_full;
	unsigned long nr_listed;
	unsigned long nr_objects;
	unsigned long nr_used;
};

/* A fault in a total, or, with an address, at an offset into the memory around that. */
static int fault_at(struct quarry_slab *slab, struct quarry_fault *fault, const char *what,
		    const void *addr, u64 expected, u64 found)
{
	u64 size, base = addr ? __quarry_slab_base(slab, addr, &size) : 0;

	*fault = (struct quarry_fault) {
		.what = what,
		.addr = (unsigned long)addr - base,
		.expected = expected,
		.found = found,
	};
	return -EUCLEAN;
}

/* Bits of a level that are set for objects below @end, one word after another. */
static unsigned long expected_word(struct quarry_slab_head *head,
				   const struct quarry_slab_shape *shape, unsigned int level,
				   unsigned long index)
{
	unsigned long step = BIT(QUARRY_SLAB_SHIFT * level);
	unsigned long word = 0;
	unsigned int bit;

	for (bit = 0; bit < BITS_PER_LONG && index < head->fresh; bit++, index += step)
		if (*__quarry_slab_word(head, shape, level - 1, index))
			word |= BIT(bit);
	return word;
}

static int verify_upper_levels(struct quarry_slab *slab, struct quarry_slab_head *head,
			       struct quarry_fault *fault)
{
	const struct quarry_slab_shape *shape = head->shape;
	unsigned int level;

	for (level = 1; level < shape->depth; level++) {
		unsigned long step = BIT(QUARRY_SLAB_SHIFT * (level + 1));
		unsigned long index, expected, found;

		for (index = 0; index < head->fresh; index += step) {
			expected = expected_word(head, shape, level, index);
			found = *__quarry_slab_word(head, shape, level, index);
			if (found != expected)
				return fault_at(slab, fault, "word over freed objects", head,
						expected, found);
		}
	}
	return 0;
}

/* The bits of freed objects: as many as were given out once and aren't in use. */
static int verify_bits(struct quarry_slab *slab, struct quarry_slab_head *head,
		       struct quarry_fault *fault)
{
	const struct quarry_slab_shape *shape = head->shape;
	unsigned long index, nr_freed = 0;

	if (!head->fresh && head->top)
		return fault_at(slab, fault, "bits of objects never given out", head, 0, head->top);
	for (index = 0; index < head->fresh; index += BITS_PER_LONG) {
		unsigned long word = *__quarry_slab_word(head, shape, 0, index);

		nr_freed += hweight_long(word);
		if (head->fresh - index < BITS_PER_LONG && word >> (head->fresh - index))
			return fault_at(slab, fault, "bits of objects never given out", head,
					0, word >> (head->fresh - index));
	}
	if (head->fresh - nr_freed != head->nr_used)
		return fault_at(slab, fault, "count of a slab's objects in use", head,
				head->fresh - nr_freed, head->nr_used);
	return verify_upper_levels(slab, head, fault);
}

/* Each page of a slab from the backend leads to its head. */
static int verify_owners(struct quarry_slab *slab, struct quarry_slab_head *head,
			 struct quarry_fault *fault)
{
	unsigned long owner = (unsigned long)head | QUARRY_OWNER_SLAB;
	void *start = PTR_ALIGN_DOWN(head->objects, slab->slab_size);
	size_t offset;

	if (head->objects != start + slab->first_object)
		return fault_at(slab, fault, "where a slab's objects are", head,
				slab->first_object, head->objects - start);
	for (offset = 0; offset < slab->slab_size; offset += BIT(slab->map->page_shift)) {
		unsigned long found = quarry_backend_owner(slab->map, start + offset);

		if (found != owner)
			return fault_at(slab, fault, "owner of a slab's page", start + offset,
					owner, found);
	}
	return 0;
}

/* A head that was found by its address. */
static int verify_head(struct quarry_slab *slab, struct quarry_slab_head *head,
		       struct census *census, struct quarry_fault *fault)
{
	int err = 0;

	if (head->shape == &slab->shape)
		err = verify_owners(slab, head, fault);
	if (err)
		return err;
	if (head->fresh > head->shape->capacity)
		return fault_at(slab, fault, "objects given out of a slab", head,
				head->shape->capacity, head->fresh);
	err = verify_bits(slab, head, fault);
	if (err)
		return err;

	census->nr_slabs++;
	census->nr_empty += !head->nr_used;
	census->nr_full += head->nr_used == head->shape->capacity;
	census->nr_objects += head->shape->capacity;
	census->nr_used += head->nr_used;
	return 0;
}

static int verify_heads(struct quarry_slab *slab, struct census *census,
			struct quarry_fault *fault)
{
	unsigned long addr = 0;
	int err = 0;

	while (!err && addr != ULONG_MAX) {
		struct quarry_slab_head *head = __quarry_slab_next_head(slab, &addr);

		if (head)
			err = verify_head(slab, head, census, fault);
	}
	return err;
}

/* A list has slabs of its own kind only; with all of them, it can't be circular. */
static int verify_list(struct quarry_slab *slab, unsigned int list, struct census *census,
		       struct quarry_fault *fault)
{
	struct hlist_node **link = &slab->lists[list].first;
	bool any = *link;

	for (; *link; link = &(*link)->next) {
		struct quarry_slab_head *head = hlist_entry(*link, struct quarry_slab_head, node);

		if (__quarry_slab_find(slab, head->objects) != head)
			return fault_at(slab, fault, "head on a list", head, 0, 0);
		if (head->node.pprev != link)
			return fault_at(slab, fault, "link of a head on a list", head, 0, 0);
		if (__quarry_slab_list_of(head->shape, head->nr_used) != list)
			return fault_at(slab, fault, "list that a slab is on", head,
					__quarry_slab_list_of(head->shape, head->nr_used), list);
		if (++census->nr_listed > census->nr_slabs)
			break;
	}
	if (!(slab->stocked & BIT(list)) == any)
		return fault_at(slab, fault, "mask of lists with slabs", NULL, any, !any);
	return 0;
}

static int verify_lists(struct quarry_slab *slab, struct census *census,
			struct quarry_fault *fault)
{
	unsigned int list;
	int err = 0;

	for (list = 0; !err && list < NR_LISTS; list++)
		err = verify_list(slab, list, census, fault);
	if (err)
		return err;
	if (census->nr_listed != census->nr_slabs - census->nr_full)
		return fault_at(slab, fault, "count of slabs on lists", NULL,
				census->nr_slabs - census->nr_full, census->nr_listed);
	return 0;
}

/* Buffers are in order, and apart. */
static int verify_buffers(struct quarry_slab *slab, struct quarry_fault *fault)
{
	unsigned long end = 0;
	struct rb_node *node;

	for (node = rb_first(&slab->buffers); node; node = rb_next(node)) {
		const struct quarry_slab_buffer *buffer =
			rb_entry(node, struct quarry_slab_buffer, node);

		if ((unsigned long)buffer->start < end)
			return fault_at(slab, fault, "order of buffers", buffer->start, 0, 0);
		end = (unsigned long)buffer->start + buffer->size;
	}
	return 0;
}

static int verify_totals(struct quarry_slab *slab, const struct census *census,
			 struct quarry_fault *fault)
{
	unsigned long kept = __quarry_slab_kept_back(slab);
	const struct {
		const char *what;
		u64 expected;
		u64 found;
	} totals[] = {
		{ "count of objects", census->nr_objects, slab->nr_objects },
		{ "count of objects in use", census->nr_used, slab->nr_used },
		{ "count of slabs", census->nr_slabs, slab->nr_made - slab->nr_released },
		{ "count of empty slabs", census->nr_empty, slab->nr_empty },
		{ "count of full slabs", census->nr_full, slab->nr_full },
		{ "limit of objects in use",
		  census->nr_objects > kept ? census->nr_objects - kept : 0, slab->limit },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(totals); i++)
		if (totals[i].found != totals[i].expected)
			return fault_at(slab, fault, totals[i].what, NULL, totals[i].expected,
					totals[i].found);
	if (slab->peak < census->nr_used)
		return fault_at(slab, fault, "peak below the objects in use", NULL,
				census->nr_used, slab->peak);
	return 0;
}

static int __quarry_slab_verify(struct quarry_slab *slab, struct quarry_fault *fault)
{
	struct census census = {};
	int err;

	lockdep_assert_held(&slab->lock);

	if (slab->broken)
		return fault_at(slab, fault, "out of service", NULL, 0, 1);

	err = verify_buffers(slab, fault);
	if (!err)
		err = verify_heads(slab, &census, fault);
	if (!err)
		err = verify_lists(slab, &census, fault);
	return err ?: verify_totals(slab, &census, fault);
}

/**
 * quarry_slab_verify() - recompute every invariant from scratch
 * @slab: the slab allocator
 * @fault: filled in with the first that doesn't hold, its addr as an offset into the
 *	backend's region or the buffer; may be NULL
 *
 * For tests and for people who look: holds the lock, interrupts off, all the while.
 *
 * Context: any but NMI. O(objects + pages of the backend).
 * Return: 0; -EUCLEAN, and a line in the log, if something is wrong.
 */
int quarry_slab_verify(struct quarry_slab *slab, struct quarry_fault *fault)
{
	struct quarry_fault found = {};
	unsigned long irq;
	int err;

	raw_spin_lock_irqsave(&slab->lock, irq);
	err = __quarry_slab_verify(slab, &found);
	raw_spin_unlock_irqrestore(&slab->lock, irq);

	if (err)
		quarry_report_fault("slab", slab->name, &found);
	if (fault)
		*fault = found;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_slab_verify);
