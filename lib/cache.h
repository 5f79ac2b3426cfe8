/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_CACHE_H
#define QUARRY_CACHE_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/types.h>

#include "magazine.h"
#include "slab.h"

/**
 * enum quarry_cache_flags - how a cache checks what it is told
 * @QUARRY_CACHE_DEBUG: fill free objects with a pattern and look at it when they
 *	are given out again, guard both ends of each object, and find every double
 *	free at once. Takes memory and time; what is plain finds is found as well.
 *	The user has just the bytes that were asked for: what rounding adds is guarded
 */
enum quarry_cache_flags {
	QUARRY_CACHE_DEBUG	= BIT(0),
	/* private: */
	QUARRY_CACHE_FLAGS	= BIT(1) - 1,
};

/**
 * struct quarry_cache_config - what quarry_cache_init() is told
 * @slab: size, alignment, backend, constructor and so on, as for a slab; @backend
 *	is needed
 * @flags: enum quarry_cache_flags
 * @magazine_min: least rounds of a magazine, to begin with; 0 for what suits the
 *	object size
 * @magazine_max: most rounds, which it grows to when CPUs meet at the depot; 0 for
 *	what suits the object size
 * @magazines: where magazines come from, an allocator of objects of at least
 *	QUARRY_MAGAZINE_SIZE bytes, so that caches can share one; NULL for one of the
 *	cache's own
 * @memory: for the CPUs' share, quarry_cache_memory_size() bytes aligned to a cache
 *	line; NULL to take it from the backend
 */
struct quarry_cache_config {
	struct quarry_slab_config slab;
	unsigned int flags;
	unsigned int magazine_min;
	unsigned int magazine_max;
	struct quarry_slab *magazines;
	void *memory;
};

/**
 * struct quarry_cache_stats - figures of about one moment
 * @slab: of the slab below, to which an object in a magazine is in use
 * @magazines: of the magazines, all CPUs together
 * @nr_used: objects in the hands of users
 * @nr_failures: allocations that found no object
 * @nr_misuses: calls that were refused, here or in the slab
 * @nr_damaged: objects that QUARRY_CACHE_DEBUG found written to while they were
 *	free or beyond their ends
 */
struct quarry_cache_stats {
	struct quarry_slab_stats slab;
	struct quarry_magazines_stats magazines;
	u64 nr_used;
	u64 nr_failures;
	u64 nr_misuses;
	u64 nr_damaged;
};

/**
 * struct quarry_cache - a slab with magazines of free objects for each CPU
 *
 * Embedded by the caller, made valid by quarry_cache_init(). lib/cache.c tells how
 * it works.
 */
struct quarry_cache {
	/* private: */
	const struct quarry_slab_shape *shape;	/* that the hot path serves */
	unsigned long secret;
	unsigned int special;
	unsigned int refused_flags;
	size_t object_size;
	size_t guard;				/* the rest is for debug */
	size_t tail;
	unsigned long tail_free;
	unsigned long tail_red;
	struct quarry_magazines magazines;
	struct quarry_slab slab;

	struct quarry_slab source;
	bool has_source;
	void *memory;
	struct quarry_reclaimer reclaimer;
	void (*ctor)(void *ctx, void *object);
	void *ctx;
	atomic64_t nr_failures;
	atomic64_t nr_misuses;
	atomic64_t nr_damaged;
};

size_t quarry_cache_memory_size(void);
const char *quarry_cache_name(const struct quarry_cache *cache);
int quarry_cache_init(struct quarry_cache *cache, const struct quarry_cache_config *config);
int quarry_cache_fini(struct quarry_cache *cache, bool force, u64 *nr_used);

void *quarry_cache_alloc(struct quarry_cache *cache, unsigned int flags);
int quarry_cache_free(struct quarry_cache *cache, void *object);
unsigned int quarry_cache_alloc_bulk(struct quarry_cache *cache, unsigned int flags,
				     unsigned int nr, void **objects);
int quarry_cache_free_bulk(struct quarry_cache *cache, unsigned int nr, void **objects);

unsigned int quarry_cache_drain(struct quarry_cache *cache);
unsigned int quarry_cache_shrink(struct quarry_cache *cache);
unsigned int quarry_cache_reclaim(struct quarry_cache *cache, unsigned int max);
int quarry_cache_lookup(struct quarry_cache *cache, const void *addr,
			struct quarry_slab_object *object);
void quarry_cache_stats(struct quarry_cache *cache, struct quarry_cache_stats *stats);
int quarry_cache_cpu_stats(struct quarry_cache *cache, unsigned int cpu,
			   struct quarry_magazines_stats *stats);
int quarry_cache_verify(struct quarry_cache *cache, struct quarry_fault *fault);

#endif /* QUARRY_CACHE_H */
