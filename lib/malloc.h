/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_MALLOC_H
#define QUARRY_MALLOC_H

#include <linux/gfp_types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "backend.h"
#include "buddy.h"
#include "heap.h"
#include "report.h"
#include "zone.h"

/**
 * struct quarry_malloc_config - what quarry_malloc_init() is told
 * @name: what the log calls it; kept, not copied
 * @buddy: where blocks of whole pages come from
 * @backend: of @buddy, by quarry_backend_init_buddy(): where zone and heap get theirs
 * @zone: for small blocks
 * @heap: for those in between; all its memory is from @backend
 * @zone_max: largest size that is asked of the zone first, at most
 *	QUARRY_ZONE_MAX_SIZE; 0 for what suits
 * @heap_max: largest size above it that is asked of the heap first; 0 for what suits
 */
struct quarry_malloc_config {
	const char *name;
	struct quarry_buddy *buddy;
	struct quarry_backend *backend;
	struct quarry_zone *zone;
	struct quarry_heap *heap;
	size_t zone_max;
	size_t heap_max;
};

/**
 * struct quarry_malloc_failure - the last request that nobody could serve
 * @size: what was asked for, in bytes
 * @when: in ns, as ktime_get_mono_fast_ns() counts; 0 while nothing has failed
 * @free: bytes that were free in the buddy
 * @largest_free: bytes in its largest free block
 */
struct quarry_malloc_failure {
	size_t size;
	u64 when;
	u64 free;
	u64 largest_free;
};

/**
 * struct quarry_malloc_stats - exact figures of one moment
 * @zone_max: largest size that is asked of the zone first
 * @heap_max: largest size that is asked of zone or heap first
 * @used: bytes in blocks of whole pages; those from zone and heap are in the stats of
 *	these
 * @peak: most bytes that were in use so at once
 * @nr_used: blocks of whole pages in use
 * @nr_allocs: such blocks handed out
 * @nr_frees: such blocks taken back
 * @nr_fallbacks: requests that another allocator served than the one asked first
 * @nr_failures: requests that nobody could serve
 * @nr_misuses: calls that were refused because they can't be right; what zone, heap
 *	and buddy refused is in the stats of these
 * @last_failure: the last request that nobody could serve
 */
struct quarry_malloc_stats {
	size_t zone_max;
	size_t heap_max;
	u64 used;
	u64 peak;
	u64 nr_used;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_fallbacks;
	u64 nr_failures;
	u64 nr_misuses;
	struct quarry_malloc_failure last_failure;
};

/**
 * struct quarry_malloc - blocks of any size out of a zone, a heap and a buddy
 *
 * Embedded by the caller, made valid by quarry_malloc_init(). One that is all zeroes
 * serves nothing, and refuses everything. lib/malloc.c tells how it works.
 */
struct quarry_malloc {
	/* private: */
	size_t zone_max;
	struct quarry_zone *zone;
	struct quarry_backend *backend;
	struct quarry_heap *heap;
	struct quarry_buddy *buddy;
	size_t heap_max;
	const char *name;

	raw_spinlock_t lock;
	u64 used;
	u64 peak;
	u64 nr_used;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_fallbacks;
	u64 nr_failures;
	u64 nr_misuses;
	struct quarry_malloc_failure last_failure;
};

int quarry_malloc_init(struct quarry_malloc *malloc, const struct quarry_malloc_config *config);
int quarry_malloc_fini(struct quarry_malloc *malloc, u64 *nr_used);

void *quarry_malloc_alloc(struct quarry_malloc *malloc, size_t size, gfp_t gfp);
int quarry_malloc_free(struct quarry_malloc *malloc, const void *block);
void *quarry_malloc_realloc(struct quarry_malloc *malloc, void *block, size_t size, gfp_t gfp);

size_t quarry_malloc_usable_size(struct quarry_malloc *malloc, const void *block);
void quarry_malloc_stats(struct quarry_malloc *malloc, struct quarry_malloc_stats *stats);
int quarry_malloc_verify(struct quarry_malloc *malloc, struct quarry_fault *fault);

#endif /* QUARRY_MALLOC_H */
