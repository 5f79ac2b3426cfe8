/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_ZONE_H
#define QUARRY_ZONE_H

#include <linux/atomic.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "cache.h"

/* Sizes 8, 16 ... 64, then four to a doubling up to 128 KiB. */
#define QUARRY_ZONE_MIN_SIZE	8
#define QUARRY_ZONE_MAX_SIZE	SZ_128K
#define QUARRY_ZONE_NR_CLASSES	52

/**
 * struct quarry_zone_stats - of all classes together
 * @used: bytes in the hands of users, as sizes of their classes
 * @held: bytes of memory that the zone has from its backend for slabs
 * @nr_used: objects in the hands of users
 * @nr_allocs: objects handed out
 * @nr_frees: objects taken back
 * @nr_failures: allocations that found no memory
 * @nr_misuses: calls that were refused
 */
struct quarry_zone_stats {
	u64 used;
	u64 held;
	u64 nr_used;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
};

/**
 * struct quarry_zone_config - what quarry_zone_init() is told
 * @name: what the log calls it; kept, not copied
 * @backend: where its memory comes from
 * @flags: enum quarry_cache_flags, for all caches
 * @memory: for the CPUs' shares of all classes, quarry_zone_memory_size() bytes
 *	aligned to a cache line; NULL to take it from the backend
 */
struct quarry_zone_config {
	const char *name;
	struct quarry_backend *backend;
	unsigned int flags;
	void *memory;
};

/* "default-98304": what is too long is cut off. */
#define QUARRY_ZONE_NAME_SIZE	32

/**
 * struct quarry_zone - objects of any size up to 128 KiB, a cache for each class
 *
 * Embedded by the caller, made valid by quarry_zone_init(). lib/zone.c tells how
 * it works.
 */
struct quarry_zone {
	/* private: */
	struct quarry_backend *backend;
	unsigned int nr_classes;		/* that the backend has room for */
	const char *name;
	void *memory;
	atomic64_t nr_failures;
	atomic64_t nr_misuses;
	struct quarry_slab headers;
	struct quarry_slab magazines;
	struct quarry_cache caches[QUARRY_ZONE_NR_CLASSES];
	char names[QUARRY_ZONE_NR_CLASSES][QUARRY_ZONE_NAME_SIZE];
};

size_t quarry_zone_memory_size(void);
int quarry_zone_init(struct quarry_zone *zone, const struct quarry_zone_config *config);
int quarry_zone_fini(struct quarry_zone *zone, bool force, u64 *nr_used);

void *quarry_zone_alloc(struct quarry_zone *zone, size_t size, size_t align,
			unsigned int flags);
int quarry_zone_free(struct quarry_zone *zone, void *object);
size_t quarry_zone_usable_size(struct quarry_zone *zone, const void *object);
size_t quarry_zone_class_size(size_t size);
unsigned int quarry_zone_reclaim(struct quarry_zone *zone, unsigned int max);

struct quarry_cache *quarry_zone_cache(struct quarry_zone *zone, unsigned int index);
void quarry_zone_stats(struct quarry_zone *zone, struct quarry_zone_stats *stats);
int quarry_zone_verify(struct quarry_zone *zone, struct quarry_fault *fault);

#endif /* QUARRY_ZONE_H */
