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
 * Put a segment in its cache; false if it isn't in use, didn't come from one, or
 * somebody waits. On 32-bit, what was compared may be half of one segment's and half of
 * another's: in the state CACHED it can't change any more, so it is looked at again.
 */
static __always_inline bool __quarry_vmem_put_cached(struct quarry_vmem *vmem, u64 addr,
						     u64 size)
{
	const struct quarry_vmem_qcache *qcache = vmem->qcache;
	struct quarry_vmem_tag *tag = __quarry_vmem_find_slotted(vmem, qcache, addr, size);

	if (unlikely(!tag || READ_ONCE(vmem->nr_waiters)))
		return false;
	if (unlikely(cmpxchg(&tag->state, QUARRY_VMEM_USED, QUARRY_VMEM_CACHED) !=
		     QUARRY_VMEM_USED))
		return false;
	if (BITS_PER_LONG == 32 && (tag->start != addr || tag->size != size)) {
		WRITE_ONCE(tag->state, QUARRY_VMEM_USED);
		return false;
	}
	quarry_magazines_put(magazines_for(vmem, qcache, size), (unsigned long)tag);

	/* Pairs with that of who begins to wait: one of the two sees the other. */
	smp_mb();
	if (unlikely(READ_ONCE(vmem->nr_waiters)))
		__quarry_vmem_reclaim_qcache(vmem);
	return true;
}

#endif /* QUARRY_VMEM_QCACHE_H */
