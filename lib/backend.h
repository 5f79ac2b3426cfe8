/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_BACKEND_H
#define QUARRY_BACKEND_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "region.h"

/*
 * What a page's owner is: a pointer, aligned to 4 at least, whose low bits tell
 * to what. A slab's head has a bit of its own, so that one test tells it from
 * everything else, nothing included.
 */
#define QUARRY_OWNER_SLAB	1UL
#define QUARRY_OWNER_OTHER	2UL
#define QUARRY_OWNER_KIND	3UL

struct quarry_backend;
struct quarry_buddy;

/**
 * struct quarry_backend_ops - how a backend gets ranges, and gives them back
 * @take: a range of @size bytes, aligned to @size rounded up to a power of two,
 *	wholly in the backend's region; NULL if there is none
 * @give: takes a range back that @take gave, whole; 0, or an errno if the range
 *	was refused, which means that someone damaged something
 *
 * Both are called from any context but NMI, with no lock of the backend held.
 */
struct quarry_backend_ops {
	void *(*take)(struct quarry_backend *backend, size_t size);
	int (*give)(struct quarry_backend *backend, void *range, size_t size);
};

/**
 * struct quarry_reclaimer - one who can give memory back when it runs short
 * @reclaim: gives back to the backend what nobody uses, a bounded share of it;
 *	returns how many bytes that was. Called under the backend's lock, so it
 *	may give, but not take
 *
 * Embedded in an allocator that keeps memory for later. See
 * quarry_backend_add_reclaimer().
 */
struct quarry_reclaimer {
	size_t (*reclaim)(struct quarry_reclaimer *reclaimer);
	/* private: */
	struct list_head list;
};

/**
 * struct quarry_backend_stats - what went through a backend
 * @nr_takes: ranges taken
 * @nr_gives: ranges given back
 * @nr_failures: requests that failed, after reclaim
 * @nr_reclaims: times that memory ran short and reclaimers were asked
 * @reclaimed: bytes that they gave back
 */
struct quarry_backend_stats {
	u64 nr_takes;
	u64 nr_gives;
	u64 nr_failures;
	u64 nr_reclaims;
	u64 reclaimed;
};

/* The same, as they are counted: without a lock. */
struct quarry_backend_counters {
	/* private: */
	atomic64_t nr_takes;
	atomic64_t nr_gives;
	atomic64_t nr_failures;
	atomic64_t nr_reclaims;
	atomic64_t reclaimed;
};

/**
 * struct quarry_backend - where an allocator gets ranges of mapped memory from
 *
 * Embedded by the caller, made valid by quarry_backend_init() or
 * quarry_backend_init_buddy(). lib/backend.c tells how it works.
 */
struct quarry_backend {
	/* private: */
	struct quarry_region region;
	unsigned int page_shift;
	unsigned long *owners;

	const struct quarry_backend_ops *ops;
	void *ctx;
	raw_spinlock_t lock;
	unsigned int nr_reclaimers;
	struct list_head reclaimers;
	struct quarry_backend_counters counters;
};

size_t quarry_backend_owners_size(const struct quarry_region *region, u64 page_size);
int quarry_backend_init(struct quarry_backend *backend, const struct quarry_region *region,
			u64 page_size, unsigned long *owners,
			const struct quarry_backend_ops *ops, void *ctx);
int quarry_backend_init_buddy(struct quarry_backend *backend, struct quarry_buddy *buddy,
			      unsigned long *owners);
int quarry_backend_fini(struct quarry_backend *backend);
void *quarry_backend_take(struct quarry_backend *backend, size_t size);
int quarry_backend_give(struct quarry_backend *backend, void *range, size_t size);
int quarry_backend_add_reclaimer(struct quarry_backend *backend,
				 struct quarry_reclaimer *reclaimer);
int quarry_backend_del_reclaimer(struct quarry_backend *backend,
				 struct quarry_reclaimer *reclaimer);
size_t quarry_backend_reclaim(struct quarry_backend *backend);
size_t quarry_backend_reclaim_for_buddy(void *backend);
void quarry_backend_set_owner(struct quarry_backend *backend, const void *range, size_t size,
			      unsigned long owner);
void quarry_backend_stats(struct quarry_backend *backend, struct quarry_backend_stats *stats);

/**
 * quarry_backend_owner() - who has the page that holds an address
 * @backend: a backend
 * @addr: any address, also one that isn't the backend's
 *
 * Takes no lock: for an address that is allocated, the answer holds for as long
 * as it is; for any other it may be of yesterday, and must be looked at twice.
 *
 * Context: any. O(1).
 * Return: what quarry_backend_set_owner() said of that page; 0 if nothing.
 */
static __always_inline unsigned long quarry_backend_owner(const struct quarry_backend *backend,
							  const void *addr)
{
	unsigned long offset = (unsigned long)addr - (unsigned long)backend->region.base;

	if (offset >= (unsigned long)backend->region.size)
		return 0;
	return READ_ONCE(backend->owners[offset >> backend->page_shift]);
}

#endif /* QUARRY_BACKEND_H */
