/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hot paths of malloc, for its own functions and for those of the default instance.
 * lib/malloc.c says what it all means.
 */
#ifndef QUARRY_MALLOC_INTERNAL_H
#define QUARRY_MALLOC_INTERNAL_H

#include <linux/align.h>
#include <linux/gfp.h>
#include <linux/slab.h>

#include "inject.h"
#include "malloc.h"
#include "zone_internal.h"

/* Promises about where memory lies, or that there is some, which we can't keep. */
#define MALLOC_REFUSED_GFP	(__GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM | __GFP_NOFAIL | \
				 ~__GFP_BITS_MASK)
/* What the hot path leaves to the other one. */
#define MALLOC_SPECIAL_GFP	(MALLOC_REFUSED_GFP | __GFP_ZERO)

void *__quarry_malloc_alloc(struct quarry_malloc *malloc, size_t size, gfp_t gfp,
			    unsigned long caller);
int __quarry_malloc_free(struct quarry_malloc *malloc, const void *block, unsigned long caller);
void *__quarry_malloc_realloc(struct quarry_malloc *malloc, void *block, size_t size, gfp_t gfp,
			      unsigned long caller);
size_t __quarry_malloc_usable_size(struct quarry_malloc *malloc, const void *block);

/* The size to ask a zone for, so that its class is aligned as is promised. */
static __always_inline size_t malloc_zone_size(size_t size)
{
	if (ARCH_KMALLOC_MINALIGN <= QUARRY_ZONE_MIN_SIZE)
		return size;
	return ALIGN(size, ARCH_KMALLOC_MINALIGN);
}

/* An object that this CPU has at hand, or else whatever can be had. */
static __always_inline void *malloc_alloc(struct quarry_malloc *malloc, size_t size, gfp_t gfp,
					  unsigned long caller)
{
	void *block;

	if (likely(size - 1 < malloc->zone_max && !(gfp & MALLOC_SPECIAL_GFP)) &&
	    !quarry_inject_armed()) {
		block = zone_give_out(malloc->zone, malloc_zone_size(size));
		if (likely(block))
			return block;
	}
	return __quarry_malloc_alloc(malloc, size, gfp, caller);
}

/* What is in a slab goes to a magazine, and all else the long way. */
static __always_inline int malloc_free(struct quarry_malloc *malloc, const void *block,
				       unsigned long caller)
{
	if (likely(malloc->zone && zone_take_back(malloc->zone, (void *)block)))
		return 0;
	return __quarry_malloc_free(malloc, block, caller);
}

#endif /* QUARRY_MALLOC_INTERNAL_H */
