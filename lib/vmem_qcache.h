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

/* Hand out an item of a magazine. */
static __always_inline void __quarry_vmem_hand_out(unsigned long item, u64 *addr)
{
	struct quarry_vmem_tag *tag = (struct quarry_vmem_tag *)item;

	WRITE_ONCE(tag->state, QUARRY_VMEM_USED);
	if (likely(addr))
		*addr = tag->start;
}

/* Get a segment from this CPU's magazine; false if that has none. */
static __always_inline bool __quarry_vmem_get_quickly(struct quarry_vmem *vmem, u64 size,
						      u64 *addr)
{
	unsigned long item;

	if (unlikely(!__quarry_magazines_pop(magazines_for(vmem, vmem->qcache, size), &item)))
		return false;
	__quarry_vmem_hand_out(item, addr);
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
	if (data_race(nr < cpu->nr_known && cpu->epoch == atomic_long_read(&magazines->epoch)))
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

/*
 * Put the segment that was taken last back where it was. Returns it, and that it is put,
 * if it was that one; NULL if it is another.
 */
static __always_inline struct quarry_vmem_tag *
__quarry_vmem_put_last(struct quarry_magazines *magazines, u64 addr, u64 size, bool *put)
{
	struct quarry_magazines_cpu *cpu;
	struct quarry_vmem_tag *tag;
	long state;

	preempt_disable();
	cpu = __quarry_magazines_this(magazines);
	state = local_read(&cpu->state);
	tag = last_taken(magazines, cpu, state);
	/* As in __quarry_vmem_find_slotted(). */
	if (unlikely(!tag || data_race(tag->start != addr || tag->size != size) || !claim(tag))) {
		preempt_enable();
		return NULL;
	}
	*put = __quarry_magazines_push_back(cpu, state);
	preempt_enable();
	return tag;
}

#endif /* QUARRY_VMEM_QCACHE_H */
