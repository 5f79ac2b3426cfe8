/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_BUDDY_H
#define QUARRY_BUDDY_H

#include <linux/bits.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "freemap.h"
#include "region.h"
#include "report.h"

/* A block of order o is 2^o pages; the largest is the largest space, 2^32 pages. */
#define QUARRY_BUDDY_MAX_ORDER	(BITS_PER_LONG == 64 ? 32 : 26)
#define QUARRY_BUDDY_NR_ORDERS	(QUARRY_BUDDY_MAX_ORDER + 1)
#define QUARRY_BUDDY_MIN_PAGE	8ULL
#define QUARRY_BUDDY_MAX_PAGE	BIT_ULL(30)

/**
 * enum quarry_buddy_flags - how a block is chosen
 * @QUARRY_BUDDY_EXACT: give back the tail of the power of two, so that a block
 *	of 5 pages takes 5; it is still one block, and freed as one
 * @QUARRY_BUDDY_TOPDOWN: the highest address that fits best, not the lowest
 */
enum quarry_buddy_flags {
	QUARRY_BUDDY_EXACT	= BIT(0),
	QUARRY_BUDDY_TOPDOWN	= BIT(1),
	/* private: */
	QUARRY_BUDDY_FLAGS	= BIT(2) - 1,
};

/**
 * struct quarry_buddy_block - a block, in use or free
 * @addr: its first address
 * @size: its real size in bytes, at least what was asked for
 * @free: whether it is free
 */
struct quarry_buddy_block {
	u64 addr;
	u64 size;
	bool free;
};

/**
 * struct quarry_buddy_request - an allocation with constraints
 * @size: bytes wanted, rounded up as quarry_buddy_alloc() does
 * @align: power of two that the block's address is a multiple of; 0 or anything
 *	up to the rounded size asks for nothing, as blocks are aligned to that
 * @min: lowest address that the block may hold
 * @max: highest address that the block may hold, inclusive; U64_MAX if any will do
 * @flags: enum quarry_buddy_flags
 */
struct quarry_buddy_request {
	u64 size;
	u64 align;
	u64 min;
	u64 max;
	unsigned int flags;
};

/**
 * struct quarry_buddy_failure - the last allocation that found no room
 * @request: what was asked for
 * @when: in ns, as ktime_get_mono_fast_ns() counts; 0 while nothing has failed
 * @free: bytes that were free
 * @largest_free: bytes in the largest free block
 */
struct quarry_buddy_failure {
	struct quarry_buddy_request request;
	u64 when;
	u64 free;
	u64 largest_free;
};

/**
 * struct quarry_buddy_stats - exact figures of one moment
 * @total: bytes managed
 * @used: bytes in blocks in use; the rest is free
 * @peak: most bytes that were in use at once
 * @largest_free: bytes in the largest free block
 * @page_size: bytes in the smallest block
 * @nr_used: blocks in use
 * @nr_allocs: blocks handed out since init (a reallocation that moves counts too)
 * @nr_frees: blocks taken back since init
 * @nr_failures: requests that found no room
 * @nr_misuses: calls that were refused because they can't be right
 * @nr_splits: blocks cut in halves
 * @nr_merges: buddies joined
 * @nr_steps: free maps searched, one for an unconstrained allocation
 * @nr_free: free blocks of each order
 * @max_order: the largest order that this buddy can hold
 * @fragmentation: thousandths of the free memory outside the largest free block
 * @last_failure: the last request that found no room
 */
struct quarry_buddy_stats {
	u64 total;
	u64 used;
	u64 peak;
	u64 largest_free;
	u64 page_size;
	u64 nr_used;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	u64 nr_splits;
	u64 nr_merges;
	u64 nr_steps;
	u64 nr_free[QUARRY_BUDDY_NR_ORDERS];
	unsigned int max_order;
	unsigned int fragmentation;
	struct quarry_buddy_failure last_failure;
};

/**
 * typedef quarry_buddy_move_t - copies a block's contents for a reallocation
 * @ctx: as given to quarry_buddy_set_move()
 * @to: the new block's address
 * @from: the old block's address; the two may overlap
 * @size: bytes to copy
 *
 * Called with no lock held.
 */
typedef void (*quarry_buddy_move_t)(void *ctx, u64 to, u64 from, u64 size);

/**
 * typedef quarry_buddy_reclaim_t - asks those who keep blocks for later to free some
 * @ctx: as given to quarry_buddy_set_reclaim()
 *
 * Called with no lock held, from the context of the request that found no room. It may
 * free, but not allocate. Return: bytes that were freed; 0 if there is no more to be had.
 */
typedef size_t (*quarry_buddy_reclaim_t)(void *ctx);

/**
 * struct quarry_buddy - a buddy allocator of addresses
 *
 * Embedded by the caller, made valid by quarry_buddy_init() or
 * quarry_buddy_init_chunk(). lib/buddy.c tells how it works.
 */
struct quarry_buddy {
	/* private: */
	raw_spinlock_t lock;
	unsigned int page_shift;
	struct quarry_region region;
	u64 origin;
	unsigned long first;
	unsigned long end;
	unsigned long tag_base;
	unsigned int max_order;
	bool broken;

	unsigned long free_orders;
	u64 used_pages;
	u64 peak_pages;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	u64 nr_splits;
	u64 nr_merges;
	u64 nr_steps;
	struct quarry_freemap free[QUARRY_BUDDY_NR_ORDERS];

	const char *name;
	quarry_buddy_move_t move;
	void *move_ctx;
	quarry_buddy_reclaim_t reclaim;
	void *reclaim_ctx;
	struct quarry_buddy_failure last_failure;
};

size_t quarry_buddy_meta_size(const struct quarry_region *region, u64 page_size);
int quarry_buddy_init(struct quarry_buddy *buddy, const char *name,
		      const struct quarry_region *region, u64 page_size,
		      void *meta, size_t meta_size);
int quarry_buddy_init_chunk(struct quarry_buddy *buddy, const char *name, void *chunk,
			    size_t total, size_t used, u64 page_size);
void quarry_buddy_set_move(struct quarry_buddy *buddy, quarry_buddy_move_t move, void *ctx);
void quarry_buddy_set_reclaim(struct quarry_buddy *buddy, quarry_buddy_reclaim_t reclaim,
			      void *ctx);
void quarry_buddy_move_memory(void *ctx, u64 to, u64 from, u64 size);
int quarry_buddy_fini(struct quarry_buddy *buddy, u64 *nr_used);

int quarry_buddy_alloc(struct quarry_buddy *buddy, u64 size, unsigned int flags,
		       struct quarry_buddy_block *block);
int quarry_buddy_xalloc(struct quarry_buddy *buddy, const struct quarry_buddy_request *request,
			struct quarry_buddy_block *block);
int quarry_buddy_probe(struct quarry_buddy *buddy, const struct quarry_buddy_request *request,
		       struct quarry_buddy_block *block);
int quarry_buddy_reserve(struct quarry_buddy *buddy, u64 addr, u64 size);
int quarry_buddy_free(struct quarry_buddy *buddy, u64 addr);
int quarry_buddy_realloc(struct quarry_buddy *buddy, u64 addr, u64 size, unsigned int flags,
			 struct quarry_buddy_block *block);

int quarry_buddy_check(struct quarry_buddy *buddy, u64 addr, struct quarry_buddy_block *block);
int quarry_buddy_lookup(struct quarry_buddy *buddy, u64 addr, struct quarry_buddy_block *block);
int quarry_buddy_next(struct quarry_buddy *buddy, u64 addr, struct quarry_buddy_block *block);
void quarry_buddy_stats(struct quarry_buddy *buddy, struct quarry_buddy_stats *stats);
int quarry_buddy_verify(struct quarry_buddy *buddy, struct quarry_fault *fault);

#endif /* QUARRY_BUDDY_H */
