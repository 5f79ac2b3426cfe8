/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of vmem's quantum caches that is on the way of each allocation and free.
 * lib/vmem_qcache.c tells how it works.
 */
#ifndef QUARRY_VMEM_QCACHE_H
#define QUARRY_VMEM_QCACHE_H

#include <linux/hash.h>

#include "magazine.h"
#include "vmem_internal.h"

/* Slots that a tag may be in. */
#define NR_PROBED	8

static __always_inline struct quarry_vmem_tag **
slots_from(const struct quarry_vmem *vmem, const struct quarry_vmem_qcache *qcache, u64 addr)
{
	return qcache->slots + hash_64(addr >> vmem->quantum_shift, qcache->slot_bits);
}

static __always_inline struct quarry_vmem_tag *
__quarry_vmem_find_slotted(const struct quarry_vmem *vmem,
			   const struct quarry_vmem_qcache *qcache, u64 addr, u64 size)
{
	struct quarry_vmem_tag **slots = slots_from(vmem, qcache, addr);
	unsigned int i;

	for (i = 0; i < NR_PROBED; i++) {
		struct quarry_vmem_tag *tag = READ_ONCE(slots[i]);

		/* The tag of the one who asks doesn't change; another's may, and isn't his. */
		if (tag && data_race(tag->start == addr && tag->size == size))
			return tag;
	}
	return NULL;
}

/* The magazines for a size, which is rounded up and is cached. */
static __always_inline struct quarry_magazines *
magazines_for(const struct quarry_vmem *vmem, const struct quarry_vmem_qcache *qcache, u64 size)
{
	return qcache->magazines[(size >> vmem->quantum_shift) - 1];
}

/* Get a segment from its cache; false if there is none. */
static __always_inline bool __quarry_vmem_get_cached(struct quarry_vmem *vmem, u64 size,
						     u64 *addr)
{
	struct quarry_magazines *magazines = magazines_for(vmem, vmem->qcache, size);
	unsigned long item = quarry_magazines_get(magazines);
	struct quarry_vmem_tag *tag = (struct quarry_vmem_tag *)item;

	if (unlikely(!item))
		return false;
	WRITE_ONCE(tag->state, QUARRY_VMEM_USED);
	if (likely(addr))
		*addr = tag->start;
	return true;
}

/*
 * The tag that this CPU took from its magazine last, if it is still free to go back where
 * it was: what is freed soon is found there. Called with preemption off; an interrupt that
 * changes what is looked at changes the state as well.
 */
static __always_inline struct quarry_vmem_tag *
last_taken(const struct quarry_magazines *magazines, const struct quarry_magazines_cpu *cpu,
	   long state)
{
	unsigned int nr = state & QUARRY_MAGAZINES_NR;
	unsigned long item = 0;

	barrier();
	/* An interrupt's changes show in the state, which is looked at again. */
	if (data_race(nr < cpu->nr_known && cpu->epoch == READ_ONCE(magazines->epoch)))
		/* Likewise. */
		item = data_race(cpu->items[nr]);
	barrier();
	return local_read(&cpu->state) == state ? (struct quarry_vmem_tag *)item : NULL;
}

/* Make a segment in use a cached one; false if it isn't in use, or not from a cache. */
static __always_inline bool claim(struct quarry_vmem_tag *tag)
{
	return tag->slotted && cmpxchg(&tag->state, QUARRY_VMEM_USED, QUARRY_VMEM_CACHED) ==
				       QUARRY_VMEM_USED;
}

/* Put the segment that was taken last back where it was; false if it is another. */
static __always_inline bool put_last(struct quarry_magazines *magazines, u64 addr, u64 size)
{
	struct quarry_magazines_cpu *cpu;
	struct quarry_vmem_tag *tag;
	bool claimed, done = false;
	long state;

	preempt_disable();
	cpu = __quarry_magazines_this(magazines);
	state = local_read(&cpu->state);
	tag = last_taken(magazines, cpu, state);
	/* As in __quarry_vmem_find_slotted(). */
	claimed = tag && data_race(tag->start == addr && tag->size == size) && claim(tag);
	if (claimed)
		done = __quarry_magazines_push_back(cpu, state);
	preempt_enable();

	/* Interrupted: it goes wherever there is room now. */
	if (unlikely(claimed && !done))
		quarry_magazines_put(magazines, (unsigned long)tag);
	return claimed;
}

/*
 * Put a segment in its cache, as found in a slot; false if it isn't in use, or didn't
 * come from a cache. On 32-bit, what was compared may be half of one segment's and half of
 * another's: in the state CACHED it can't change any more, so it is looked at again.
 */
static __always_inline bool put_slotted(const struct quarry_vmem *vmem,
					struct quarry_magazines *magazines, u64 addr, u64 size)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_find_slotted(vmem, vmem->qcache, addr, size);

	if (unlikely(!tag || !claim(tag)))
		return false;
	if (BITS_PER_LONG == 32 && (tag->start != addr || tag->size != size)) {
		WRITE_ONCE(tag->state, QUARRY_VMEM_USED);
		return false;
	}
	quarry_magazines_put(magazines, (unsigned long)tag);
	return true;
}

/*
 * Put a segment in its cache; false if it can't go there. If somebody waits, it comes out
 * again at once.
 */
static __always_inline bool __quarry_vmem_put_cached(struct quarry_vmem *vmem, u64 addr,
						     u64 size)
{
	struct quarry_magazines *magazines = magazines_for(vmem, vmem->qcache, size);

	if ((BITS_PER_LONG == 32 || !put_last(magazines, addr, size)) &&
	    !put_slotted(vmem, magazines, addr, size))
		return false;

	/* Pairs with that of who begins to wait: one of the two sees the other. */
	smp_mb();
	if (unlikely(READ_ONCE(vmem->nr_waiters)))
		__quarry_vmem_reclaim_qcache(vmem);
	return true;
}

#endif /* QUARRY_VMEM_QCACHE_H */
