/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a zone does first of all on each call, for those who stand on a zone and don't
 * want to pay for another call. lib/zone.c says what it all means.
 */
#ifndef QUARRY_ZONE_INTERNAL_H
#define QUARRY_ZONE_INTERNAL_H

#include "cache_internal.h"
#include "zone.h"

/* Classes up to this are multiples of the least. */
#define ZONE_LINEAR_MOST	64
#define ZONE_NR_LINEAR		(ZONE_LINEAR_MOST / QUARRY_ZONE_MIN_SIZE)
#define ZONE_LINEAR_SHIFT	6
#define ZONE_QUARTERS_SHIFT	2
#define ZONE_QUARTERS		BIT(ZONE_QUARTERS_SHIFT)

/* The class that serves a size from 1 to QUARRY_ZONE_MAX_SIZE. */
static __always_inline unsigned int zone_class_of(size_t size)
{
	unsigned long last = size - 1;
	unsigned int top;

	if (size <= ZONE_LINEAR_MOST)
		return last / QUARRY_ZONE_MIN_SIZE;
	/* The quarter's bits are the two below the top one, which counts itself as 4. */
	top = __fls(last);
	return ZONE_NR_LINEAR + ZONE_QUARTERS * (top - ZONE_LINEAR_SHIFT - 1) +
	       (last >> (top - ZONE_QUARTERS_SHIFT));
}

/* An object for a size that can be, if a plain cache has one at hand, or else NULL. */
static __always_inline void *zone_give_out(struct quarry_zone *zone, size_t size)
{
	unsigned int class = zone_class_of(size);
	struct quarry_cache *cache = &zone->caches[class];

	if (unlikely(class >= zone->nr_classes || cache->special))
		return NULL;
	return cache_give_out(cache);
}

/* The cache of a zone that has the page of an address; NULL if none has. */
static __always_inline struct quarry_cache *zone_cache_at(struct quarry_zone *zone,
							  const void *addr)
{
	struct quarry_slab_head *head = __quarry_slab_head_at(zone->backend, addr);
	struct quarry_cache *cache;

	if (unlikely(!head))
		return NULL;
	cache = container_of(__quarry_slab_of_head(head), struct quarry_cache, slab);
	if (unlikely((unsigned long)cache - (unsigned long)zone->caches >= sizeof(zone->caches)))
		return NULL;
	return cache;
}

/* Take an object of a plain cache back; false if the long way must say what it is. */
static __always_inline bool zone_take_back(struct quarry_zone *zone, void *object)
{
	struct quarry_cache *cache = zone_cache_at(zone, object);

	return likely(cache && !cache->special) &&
	       (cache_take_back_last(cache, object) || cache_take_back(cache, object));
}

/* zone.c */
void *__quarry_zone_alloc_larger(struct quarry_zone *zone, size_t size, size_t align);
int __quarry_zone_free(struct quarry_zone *zone, void *object, unsigned long caller);

#endif /* QUARRY_ZONE_INTERNAL_H */
