/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_HEAP_H
#define QUARRY_HEAP_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/llist.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "backend.h"
#include "report.h"

#define QUARRY_HEAP_MIN_PAGE	8UL
#define QUARRY_HEAP_MAX_PAGE	((size_t)SZ_4M)
#define QUARRY_HEAP_MAX_EXTENTS	64
#define QUARRY_HEAP_MIN_ALIGN	8	/* Every block is aligned to this. */

/* Classes of small blocks, with some that aren't used; lib/heap.c says which these are. */
#define QUARRY_HEAP_NR_CLASSES	64

/* Sizes of small blocks are told apart in steps of 8 B, up to 4 KiB. */
#define QUARRY_HEAP_NR_STEPS	512

/* Alignments that classes are told apart by: 8 B to 512 B. */
#define QUARRY_HEAP_NR_ALIGNS	7

/*
 * Lists of free runs: one for each number of pages up to 31, then 16 for each
 * power of two up to the pages that an extent can have.
 */
#define QUARRY_HEAP_PAGE_BITS	26
#define QUARRY_HEAP_NR_BINS	((QUARRY_HEAP_PAGE_BITS - 3) * 16)
#define QUARRY_HEAP_NR_BIN_WORDS	BITS_TO_LONGS(QUARRY_HEAP_NR_BINS)

/**
 * enum quarry_heap_flags - the order in which waiting allocations are served
 * @QUARRY_HEAP_FIFO: those that came first, first
 * @QUARRY_HEAP_PRIO: those of tasks with the highest priority first, then those
 *	that came first; all of these before any that asked for FIFO
 */
enum quarry_heap_flags {
	QUARRY_HEAP_FIFO	= 0,
	QUARRY_HEAP_PRIO	= BIT(0),
};

/**
 * struct quarry_heap_block - a block, in use or free
 * @addr: its first address
 * @size: its real size in bytes, at least what was asked for
 * @used: whether it is in use
 */
struct quarry_heap_block {
	void *addr;
	size_t size;
	bool used;
};

/**
 * struct quarry_heap_failure - the last allocation that found no room
 * @size: what was asked for, in bytes
 * @align: the alignment that was asked for
 * @when: in ns, as ktime_get_mono_fast_ns() counts; 0 while nothing has failed
 * @free: bytes that were free
 * @largest_free: bytes of the largest block that could have been had
 */
struct quarry_heap_failure {
	size_t size;
	size_t align;
	u64 when;
	u64 free;
	u64 largest_free;
};

/**
 * struct quarry_heap_stats - exact figures of one moment
 * @total: bytes managed, the metadata not among them, nor what caching needs
 * @memory: bytes of memory that the heap was given and has, metadata included
 * @used: bytes in blocks in use, by their real sizes
 * @free: the rest; some of it may lie in pages of small blocks of other sizes
 * @cached: of these, bytes in free blocks that CPUs have at hand
 * @peak: most bytes that were in use at once, those at hand included
 * @largest_free: the largest size that quarry_heap_alloc() would serve now
 *	without growing, or taking from CPUs what they have at hand; a power of two
 *	below it may fail, as it is aligned
 * @page_size: the page size that the heap works with
 * @nr_used: blocks in use
 * @nr_allocs: blocks handed out since init (a reallocation that moves counts too)
 * @nr_frees: blocks taken back since init
 * @nr_failures: requests that found no room
 * @nr_misuses: calls that were refused because they can't be right
 * @nr_grows: extents that were fetched
 * @nr_gives: fetched extents that were given back
 * @nr_waiting: tasks that wait for memory
 * @nr_extents: extents that it has
 * @nr_classes: classes of small blocks, see quarry_heap_class_stats()
 * @fragmentation: thousandths of the free memory that are more than the largest
 *	block that can be had
 * @last_failure: the last request that found no room
 */
struct quarry_heap_stats {
	u64 total;
	u64 memory;
	u64 used;
	u64 free;
	u64 cached;
	u64 peak;
	u64 largest_free;
	u64 page_size;
	u64 nr_used;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	u64 nr_grows;
	u64 nr_gives;
	unsigned int nr_waiting;
	unsigned int nr_extents;
	unsigned int nr_classes;
	unsigned int fragmentation;
	struct quarry_heap_failure last_failure;
};

/**
 * struct quarry_heap_class_stats - figures of one class of small blocks
 * @size: bytes in a block of this class
 * @nr_used: blocks in use
 * @nr_free: blocks that are free in buckets of this class
 * @nr_cached: of these, those that CPUs have at hand
 * @nr_buckets: buckets, runs of pages that are cut into such blocks
 * @bytes: bytes in these buckets
 */
struct quarry_heap_class_stats {
	size_t size;
	u64 nr_used;
	u64 nr_free;
	u64 nr_cached;
	u64 nr_buckets;
	u64 bytes;
};

/**
 * struct quarry_heap_extent_stats - figures of one extent
 * @memory: the memory, as it was given to the heap
 * @size: its size
 * @total: bytes of it that hold blocks
 * @free: bytes of these that are in free pages
 * @grown: whether the heap fetched it by itself
 */
struct quarry_heap_extent_stats {
	void *memory;
	size_t size;
	u64 total;
	u64 free;
	bool grown;
};

/**
 * struct quarry_heap_grower - where a heap fetches memory by itself
 * @grow: memory for one more extent, of at least @need bytes (its metadata are
 *	in this); its real size is stored in @size; NULL if there is none
 * @give: takes back what @grow gave, whole
 * @ctx: passed to both
 * @keep: how many fetched extents that are empty the heap keeps for later
 *
 * Called with no lock held, from whatever context the heap is used in. Memory
 * from @grow belongs to nothing else until @give. Neither may allocate from the heap itself: for
 * want of room this would call @grow again, without end.
 */
struct quarry_heap_grower {
	void *(*grow)(void *ctx, size_t need, size_t *size);
	void (*give)(void *ctx, void *memory, size_t size);
	void *ctx;
	unsigned int keep;
};

/**
 * typedef quarry_heap_check_t - whether a block may be freed
 * @ctx: as given to quarry_heap_free_checked()
 * @block: the block, which is in use
 * @size: its real size
 *
 * Called with no lock held. Return: 0, or what quarry_heap_free_checked()
 * shall return without freeing the block.
 */
typedef int (*quarry_heap_check_t)(void *ctx, void *block, size_t size);

/**
 * typedef quarry_heap_flush_t - takes an extent's memory back
 * @ctx: as given to quarry_heap_destroy()
 * @memory: the memory, as it was given to the heap
 * @size: its size
 *
 * Called with no lock held.
 */
typedef void (*quarry_heap_flush_t)(void *ctx, void *memory, size_t size);

struct heap_caches;
struct quarry_magazines;
struct quarry_magazines_stats;
union heap_recent;

/* Where a free run is listed: what points to it, a bin or another run. */
struct quarry_heap_link {
	/* private: */
	struct heap_run *next;
	unsigned long check;
};

/* One contiguous range of pages, with its map. */
struct quarry_heap_extent {
	/* private: */
	unsigned long base;
	unsigned long size;
	u32 *words;
	u8 *kinds;
	u32 ref;
	u32 nr_pages;
	u32 nr_free;
	bool grown;
	unsigned long memory;
	unsigned long memory_size;
};

/* Where an extent begins, kept where addresses are looked up. */
struct quarry_heap_base {
	/* private: */
	unsigned long addr;
	struct quarry_heap_extent *extent;
};

/* One class of small blocks: where the next one comes from, and what buckets are like. */
struct quarry_heap_class {
	/* private: */
	u32 *bits;
	unsigned long first;
	u64 long_valid;
	struct quarry_magazines *magazines;
	u32 size;
	u32 reciprocal;
	u32 long_list;
	u32 short_list;
	u32 short_valid;
	u32 nr_used;
	u8 index;
	u8 nr_single;
	u8 long_blocks;
	u8 long_pages;
	u8 short_blocks;
};

/**
 * struct quarry_heap - blocks of any size in memory that it is given
 *
 * Embedded by the caller, made valid by quarry_heap_init(). It doesn't move, and
 * is too large for a stack. lib/heap.c tells how it works.
 */
struct quarry_heap {
	/* private: */
	raw_spinlock_t lock;
	unsigned int page_shift;
	struct quarry_heap_extent *last;
	union {
		struct {
			u8 due;
			bool queued;
			bool broken;
			bool closing;
		};
		unsigned long attention;
	};
	unsigned int max_small;
	unsigned int share;

	unsigned long secret;
	unsigned long used;
	unsigned long peak;
	u64 nr_allocs;
	struct llist_head deferred;
	unsigned long nr_runs;
	union heap_recent *recent;
	struct heap_caches *caches;

	u64 long_classes;
	u64 short_classes;
	u64 multiples[QUARRY_HEAP_NR_ALIGNS];
	unsigned long bin_words;
	unsigned long bin_bits[QUARRY_HEAP_NR_BIN_WORDS];
	struct quarry_heap_link bins[QUARRY_HEAP_NR_BINS];
	struct quarry_heap_class classes[QUARRY_HEAP_NR_CLASSES];
	u16 steps[QUARRY_HEAP_NR_STEPS];
	unsigned int nr_classes;
	u32 nr_long[QUARRY_HEAP_NR_CLASSES];
	u32 nr_short[QUARRY_HEAP_NR_CLASSES];

	struct quarry_heap_extent extents[QUARRY_HEAP_MAX_EXTENTS];
	struct quarry_heap_base by_addr[QUARRY_HEAP_MAX_EXTENTS];
	u8 by_age[QUARRY_HEAP_MAX_EXTENTS];
	unsigned int nr_extents;
	unsigned int nr_empty;
	unsigned long total;
	unsigned long memory;
	unsigned long own;

	const char *name;
	struct quarry_heap_grower grower;
	struct quarry_backend *backend;
	size_t grow_size;
	struct quarry_reclaimer reclaimer;

	struct rb_root waiters;
	struct rb_node *serving;
	u64 nr_waiters;
	unsigned int nr_waiting;
	atomic_t nr_sleepers;
	atomic_long_t nr_refused;
	u64 nr_failures;
	u64 nr_grows;
	u64 nr_gives;
	u64 nr_recycled;
	struct quarry_heap_failure last_failure;
};

size_t quarry_heap_size(size_t usable, size_t page_size);
int quarry_heap_init(struct quarry_heap *heap, const char *name, void *memory, size_t size,
		     size_t page_size);
int quarry_heap_extend(struct quarry_heap *heap, void *memory, size_t size);
int quarry_heap_shrink(struct quarry_heap *heap, const void *memory);
int quarry_heap_set_grow(struct quarry_heap *heap, const struct quarry_heap_grower *grower);
int quarry_heap_set_backend(struct quarry_heap *heap, struct quarry_backend *backend,
			    size_t extent_size, unsigned int keep);
int quarry_heap_set_caching(struct quarry_heap *heap, size_t max_size);
int quarry_heap_fini(struct quarry_heap *heap, u64 *nr_used);
u64 quarry_heap_destroy(struct quarry_heap *heap, quarry_heap_flush_t flush, void *ctx);

void *quarry_heap_alloc(struct quarry_heap *heap, size_t size);
void *quarry_heap_zalloc(struct quarry_heap *heap, size_t size);
void *quarry_heap_calloc(struct quarry_heap *heap, size_t nr, size_t size);
void *quarry_heap_alloc_aligned(struct quarry_heap *heap, size_t size, size_t align);
void *quarry_heap_realloc(struct quarry_heap *heap, void *block, size_t size);
int quarry_heap_alloc_wait(struct quarry_heap *heap, size_t size, long timeout,
			   unsigned int flags, void **block);

int quarry_heap_free(struct quarry_heap *heap, const void *block);
int quarry_heap_free_checked(struct quarry_heap *heap, const void *block,
			     quarry_heap_check_t check, void *ctx);
int quarry_heap_free_deferred(struct quarry_heap *heap, const void *block);
unsigned long quarry_heap_reap(struct quarry_heap *heap);

size_t quarry_heap_usable_size(struct quarry_heap *heap, const void *block);
int quarry_heap_lookup(struct quarry_heap *heap, const void *addr,
		       struct quarry_heap_block *block);
int quarry_heap_next(struct quarry_heap *heap, const void *addr,
		     struct quarry_heap_block *block);
void quarry_heap_stats(struct quarry_heap *heap, struct quarry_heap_stats *stats);
int quarry_heap_class_stats(struct quarry_heap *heap, unsigned int index,
			    struct quarry_heap_class_stats *stats);
int quarry_heap_cache_stats(struct quarry_heap *heap, unsigned int index,
			    struct quarry_magazines_stats *stats);
int quarry_heap_extent_stats(struct quarry_heap *heap, unsigned int index,
			     struct quarry_heap_extent_stats *stats);
int quarry_heap_verify(struct quarry_heap *heap, struct quarry_fault *fault);

#endif /* QUARRY_HEAP_H */
