// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: what an arena does for its quantum caches.
 *
 * The items in the magazines are the tags of segments that are in use as far as the
 * indexes know, with the state CACHED. An allocation takes one and makes it USED; a
 * free makes it CACHED again and puts it into a magazine. Neither takes the arena's
 * lock.
 *
 * To find the tag of an address without the lock, there are slots, an array in which
 * each such tag lies at one of the NR_PROBED places from where its address's hash
 * points to. A tag gets its slot when it is first filled into a magazine, before anyone
 * can free it, and loses it when it is flushed, both under the lock. A slot has a tag
 * or NULL, and tags stay tags until the arena's end, so whoever looks reads a tag,
 * perhaps one that was just given to another segment: so the change from USED to
 * CACHED is an atomic exchange. It succeeds for one of two frees, and the other is
 * told that the segment is free. A segment that finds no slot isn't cached.
 *
 * Who begins to wait drains the caches, and while somebody waits, nothing is filled in
 * and a free flushes what it put in at once. It looks whether somebody waits after that:
 * so either it sees him, or his draining sees the segment.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>

#include "inject.h"
#include "vmem_index.h"
#include "vmem_qcache.h"

/*
 * Segments that are filled in at once, and free segments that they are cut out of, so
 * that no allocation pays for many; and segments that are flushed under one lock.
 */
#define NR_FILLED	8U
#define NR_CUT		4
#define NR_FLUSHED	4U

/* ---- Slots ---- */

static bool slot(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	struct quarry_vmem_tag **slots = slots_from(vmem, vmem->qcache, tag->start);
	unsigned int i;

	for (i = 0; i < NR_PROBED; i++) {
		if (slots[i])
			continue;
		tag->slotted = true;
		/* Who finds the tag must see what it says. */
		smp_store_release(&slots[i], tag);
		return true;
	}
	return false;
}

bool __quarry_vmem_is_slotted(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag)
{
	return vmem->qcache &&
	       __quarry_vmem_find_slotted(vmem, vmem->qcache, tag->start, tag->size) == tag;
}

/*
 * Take a tag out of its slot, if it is still in a state, which nobody can change
 * without the lock then.
 */
noinline bool __quarry_vmem_unslot(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
				   enum quarry_vmem_state state)
{
	struct quarry_vmem_tag **slots = slots_from(vmem, vmem->qcache, tag->start);
	unsigned int i;

	lockdep_assert_held(&vmem->lock);

	if (cmpxchg(&tag->state, state, QUARRY_VMEM_FREE) != state)
		return false;
	for (i = 0; i < NR_PROBED; i++)
		if (slots[i] == tag)
			WRITE_ONCE(slots[i], NULL);
	tag->slotted = false;
	return true;
}

/* ---- The slower ways of getting and putting ---- */

/* Get a segment from its cache; false if there is none. */
bool __quarry_vmem_get_cached(struct quarry_vmem *vmem, u64 size, u64 *addr)
{
	unsigned long item = quarry_magazines_get(magazines_for(vmem, vmem->qcache, size));

	if (!item)
		return false;
	__quarry_vmem_hand_out(item, addr);
	return true;
}

/* Put a segment that was claimed wherever there is room. Returns 0. */
int __quarry_vmem_put_claimed(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	struct quarry_magazines *magazines = magazines_for(vmem, vmem->qcache, tag->size);

	quarry_magazines_put(magazines, (unsigned long)tag);
	/* Pairs with that of who begins to wait: one of the two sees the other. */
	smp_mb();
	if (unlikely(READ_ONCE(vmem->nr_waiters)))
		__quarry_vmem_reclaim_qcache(vmem);
	return 0;
}

/*
 * Put a segment in its cache, as found in a slot; false if it isn't in use, or didn't
 * come from a cache. On 32-bit, what was compared may be half of one segment's and half of
 * another's: in the state CACHED it can't change any more, so it is looked at again.
 */
bool __quarry_vmem_put_cached(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_find_slotted(vmem, vmem->qcache, addr, size);

	if (unlikely(!tag || !claim(tag)))
		return false;
	if (BITS_PER_LONG == 32 && (tag->start != addr || tag->size != size)) {
		WRITE_ONCE(tag->state, QUARRY_VMEM_USED);
		return false;
	}
	__quarry_vmem_put_claimed(vmem, tag);
	return true;
}

/* ---- Filling and flushing ---- */

static void put_cached_back(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
			    struct quarry_region *back)
{
	__quarry_vmem_table_take(vmem, tag->start, tag->size, QUARRY_VMEM_CACHED);
	vmem->used -= tag->size;
	__quarry_vmem_free_tag(vmem, tag, back);
}

/* Give a segment a slot; false if it is at address 0, which is no item, or finds none. */
static bool make_item(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	return tag->start && slot(vmem, tag);
}

/*
 * Segments for a magazine, out of one free segment. What does not suit goes back, and may
 * be the whole of a span, to be released: then nothing more is taken.
 */
static unsigned int fill_some(struct quarry_vmem *vmem, u64 size, unsigned long *items,
			      unsigned int nr, struct quarry_region *back)
{
	struct quarry_vmem_tag *tag = NULL, *next;
	unsigned int left = 0, filled = 0;

	if (!vmem->nr_waiters && vmem->qcache)
		left = __quarry_vmem_take_several(vmem, size, nr, QUARRY_VMEM_CACHED, &tag);
	for (; left--; tag = next) {
		next = tag->next;
		if (make_item(vmem, tag))
			items[filled++] = (unsigned long)tag;
		else
			put_cached_back(vmem, tag, back);
	}
	return filled;
}

/**
 * quarry_vmem_qcache_fill() - segments for a quantum cache
 * @vmem: the arena
 * @quanta: of what size
 * @items: filled in
 * @nr: how many at most
 *
 * Several that are next to each other come out of one free segment in one go.
 *
 * Context: any but NMI. Four times the bound of an allocation; the lock is taken for each.
 * Return: how many there are.
 */
unsigned int quarry_vmem_qcache_fill(struct quarry_vmem *vmem, unsigned int quanta,
				     unsigned long *items, unsigned int nr)
{
	u64 size = (u64)quanta << vmem->quantum_shift;
	unsigned int i, filled = 0, some;

	if (quarry_inject(QUARRY_INJECT_VMEM_REFILL, size))
		return 0;
	nr = min(nr, NR_FILLED);
	for (i = 0; i < NR_CUT && filled < nr; i++) {
		struct quarry_region back = {};
		unsigned long irq;

		raw_spin_lock_irqsave(&vmem->lock, irq);
		some = fill_some(vmem, size, items + filled, nr - filled, &back);
		raw_spin_unlock_irqrestore(&vmem->lock, irq);

		filled += some;
		if (back.size)
			__quarry_vmem_give_span_back(vmem, back);
		if (!some)
			break;
	}
	return filled;
}
EXPORT_SYMBOL_GPL(quarry_vmem_qcache_fill);

/**
 * quarry_vmem_qcache_flush() - take segments of a quantum cache back
 * @vmem: the arena
 * @items: the segments
 * @nr: how many
 *
 * Context: any but NMI. @nr times the bound of a free; the lock is taken for a few at a
 * time.
 */
void quarry_vmem_qcache_flush(struct quarry_vmem *vmem, const unsigned long *items,
			      unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		unsigned int end = min(nr, i + NR_FLUSHED);
		struct quarry_region back = {};
		unsigned long irq;

		raw_spin_lock_irqsave(&vmem->lock, irq);
		while (i < end && !back.size)
			put_cached_back(vmem, (struct quarry_vmem_tag *)items[i++], &back);
		raw_spin_unlock_irqrestore(&vmem->lock, irq);

		if (back.size)
			__quarry_vmem_give_span_back(vmem, back);
	}
}
EXPORT_SYMBOL_GPL(quarry_vmem_qcache_flush);

/* ---- All caches ---- */

/* Give back what the caches can spare, from any context. */
noinline void __quarry_vmem_reclaim_qcache(struct quarry_vmem *vmem)
{
	const struct quarry_vmem_qcache *qcache = vmem->qcache;
	unsigned int i;

	for (i = 0; qcache && i < qcache->nr; i++)
		quarry_magazines_reclaim(qcache->magazines[i]);
}

/* Give back all that the caches hold; sleeps. */
void __quarry_vmem_drain_qcache(struct quarry_vmem *vmem)
{
	const struct quarry_vmem_qcache *qcache = vmem->qcache;
	unsigned int i;

	for (i = 0; qcache && i < qcache->nr; i++)
		quarry_magazines_drain(qcache->magazines[i]);
}

/*
 * What the caches add to the figures: each put is a free; and what was given out
 * but isn't free was allocated.
 */
void __quarry_vmem_count_cached(struct quarry_vmem *vmem, struct quarry_vmem_stats *stats)
{
	const struct quarry_vmem_qcache *qcache = vmem->qcache;
	u64 nr_cached = 0;
	unsigned int i;

	for (i = 0; qcache && i < qcache->nr; i++) {
		struct quarry_magazines_stats magazines;

		quarry_magazines_stats(qcache->magazines[i], &magazines);
		nr_cached += magazines.nr_cached;
		stats->cached += magazines.nr_cached * (i + 1) << vmem->quantum_shift;
		stats->nr_frees += magazines.nr_puts + magazines.nr_put_misses;
	}
	stats->nr_allocs = stats->nr_frees + stats->nr_used - nr_cached;
}

/**
 * quarry_vmem_slots_size() - memory for the slots of quantum caches
 * @slot_bits: log2 of their number
 *
 * Segments that find no slot near their place aren't cached: with twice as many slots
 * as segments, few.
 *
 * Context: any. O(1).
 * Return: bytes.
 */
size_t quarry_vmem_slots_size(unsigned int slot_bits)
{
	return ((1UL << slot_bits) + NR_PROBED - 1) * sizeof(struct quarry_vmem_tag *);
}
EXPORT_SYMBOL_GPL(quarry_vmem_slots_size);

/* Take all tags out of their slots, so that they are like any other. */
static void clear_slots(struct quarry_vmem *vmem, const struct quarry_vmem_qcache *qcache)
{
	size_t i, nr = quarry_vmem_slots_size(qcache->slot_bits) / sizeof(qcache->slots[0]);

	for (i = 0; i < nr; i++) {
		unsigned long irq;

		raw_spin_lock_irqsave(&vmem->lock, irq);
		if (qcache->slots[i])
			qcache->slots[i]->slotted = false;
		qcache->slots[i] = NULL;
		raw_spin_unlock_irqrestore(&vmem->lock, irq);
	}
}

/**
 * quarry_vmem_set_qcache() - give an arena quantum caches, or take them away
 * @vmem: the arena
 * @qcache: what they are; kept, not copied; NULL for none
 *
 * From here on quarry_vmem_alloc() with first fit and quarry_vmem_free() of up to so many
 * quanta use them. When they are taken away, what is in the magazines must be flushed
 * afterwards, and then all that was got from them is freed like any segment.
 *
 * Context: any but NMI; nobody uses the arena meanwhile. O(slots).
 * Return: 0; -EINVAL if a number can't be; -EBUSY if it has others.
 */
int quarry_vmem_set_qcache(struct quarry_vmem *vmem, const struct quarry_vmem_qcache *qcache)
{
	const struct quarry_vmem_qcache *old = vmem->qcache;
	unsigned long irq;

	if (qcache && (!qcache->nr || qcache->nr > QUARRY_VMEM_MAX_QCACHES || !qcache->slots ||
		       qcache->slot_bits < 3 || qcache->slot_bits > 30))
		return __quarry_vmem_refuse(vmem, -EINVAL, "set_qcache: wrong argument",
					    qcache->nr, _RET_IP_);
	if (qcache && old)
		return -EBUSY;

	if (old)
		clear_slots(vmem, old);
	raw_spin_lock_irqsave(&vmem->lock, irq);
	vmem->qcache_size = qcache ? (u64)qcache->nr << vmem->quantum_shift : 0;
	vmem->qcache = qcache;
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_vmem_set_qcache);
