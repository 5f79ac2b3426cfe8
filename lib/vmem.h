/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_VMEM_H
#define QUARRY_VMEM_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "backend.h"
#include "report.h"

#define QUARRY_VMEM_ADDR_MIN	0ULL
#define QUARRY_VMEM_ADDR_MAX	U64_MAX

/* Sizes up to so many quanta have a class of free segments each, larger ones four a doubling. */
#define QUARRY_VMEM_NR_EXACT	128
#define QUARRY_VMEM_NR_CLASSES	(QUARRY_VMEM_NR_EXACT + 4 * (64 - 7))

/*
 * A class has a bin for each of so many parts of the arena, as long as its segments are below
 * 524288 quanta; those above have one bin a class.
 */
#define QUARRY_VMEM_NR_PARTS	16
#define QUARRY_VMEM_NR_PARTED	(QUARRY_VMEM_NR_EXACT + 4 * (19 - 7))
#define QUARRY_VMEM_NR_BINS	(QUARRY_VMEM_NR_PARTED * QUARRY_VMEM_NR_PARTS + \
				 QUARRY_VMEM_NR_CLASSES - QUARRY_VMEM_NR_PARTED)

/* Free segments are counted by the log2 of their size in quanta. */
#define QUARRY_VMEM_NR_LISTS	64

/* Segments of 1 to so many quanta can be cached for each CPU. */
#define QUARRY_VMEM_MAX_QCACHES	16

/* Bytes of a boundary tag. */
#define QUARRY_VMEM_TAG_SIZE	64

/*
 * Tags that one operation takes at most. An allocation out of the middle of a free
 * segment leaves one before and one behind it, and so does a span that is removed; a
 * span that is added or imported has a tag of its own and one for the segment in it.
 * Freeing and growing take none, ever.
 */
#define QUARRY_VMEM_TAGS_ALLOC	2
#define QUARRY_VMEM_TAGS_SPAN	2
#define QUARRY_VMEM_TAGS_MAX	(QUARRY_VMEM_TAGS_ALLOC + QUARRY_VMEM_TAGS_SPAN)

/* Buckets that a table begins with, in the arena itself, and log2 of its limit. */
#define QUARRY_VMEM_NR_BUCKETS	32
#define QUARRY_VMEM_NR_TABLES	31

/* The levels of a tree of free segments: one for each bit of an address. */
#define QUARRY_VMEM_MAX_DEPTH	65

/**
 * enum quarry_vmem_flags - how a segment is chosen, and what if there is none
 * @QUARRY_VMEM_FIRSTFIT: any that is large enough, in O(1): of the smallest free
 *	list that can serve; with constraints, as @QUARRY_VMEM_BESTFIT
 * @QUARRY_VMEM_BESTFIT: the smallest free segment that can satisfy all
 *	constraints, of several the lowest, and there the lowest place
 * @QUARRY_VMEM_NEXTFIT: the lowest place behind the last next-fit allocation; from
 *	the lowest address on if there is none
 * @QUARRY_VMEM_WAIT: sleep until there is room
 * @QUARRY_VMEM_NOWAIT: fail if there is none, which is also the default
 *
 * Exactly one of the first three is given, and not both of the others.
 */
enum quarry_vmem_flags {
	QUARRY_VMEM_FIRSTFIT	= BIT(0),
	QUARRY_VMEM_BESTFIT	= BIT(1),
	QUARRY_VMEM_NEXTFIT	= BIT(2),
	QUARRY_VMEM_WAIT	= BIT(3),
	QUARRY_VMEM_NOWAIT	= BIT(4),
	/* private: */
	QUARRY_VMEM_STRATEGIES	= BIT(3) - 1,
	QUARRY_VMEM_FLAGS	= BIT(5) - 1,
};

/**
 * struct quarry_vmem_request - an allocation with constraints
 * @size: wanted; rounded up to the quantum
 * @align: power of two that the address is a multiple of, but for @phase; 0 or
 *	anything up to the quantum asks for nothing
 * @phase: address modulo @align; below @align and a multiple of the quantum
 * @nocross: power of two of which no multiple lies inside the allocation (one at
 *	its start is not inside); at least @size rounded up; 0 for none
 * @min: lowest address that the allocation may hold
 * @max: highest address that it may hold, inclusive; QUARRY_VMEM_ADDR_MAX if any
 * @flags: enum quarry_vmem_flags
 * @timeout: jiffies that QUARRY_VMEM_WAIT waits at most; 0 for as long as it takes
 */
struct quarry_vmem_request {
	u64 size;
	u64 align;
	u64 phase;
	u64 nocross;
	u64 min;
	u64 max;
	unsigned int flags;
	unsigned long timeout;
};

/**
 * enum quarry_vmem_state - what a segment is
 * @QUARRY_VMEM_FREE: free
 * @QUARRY_VMEM_USED: from quarry_vmem_alloc() or quarry_vmem_alloc_bulk()
 * @QUARRY_VMEM_XUSED: from quarry_vmem_xalloc() or quarry_vmem_alloc_at()
 * @QUARRY_VMEM_CACHED: in a quantum cache; free for who uses the arena
 */
enum quarry_vmem_state {
	QUARRY_VMEM_FREE,
	QUARRY_VMEM_USED,
	QUARRY_VMEM_XUSED,
	QUARRY_VMEM_CACHED,
};

/**
 * struct quarry_vmem_segment - a segment, as the walk and the lookup show it
 * @addr: its first address
 * @size: its size; @addr + @size is 0 if it ends with the address space
 * @state: what it is
 * @imported: whether it lies in a span that was imported
 */
struct quarry_vmem_segment {
	u64 addr;
	u64 size;
	enum quarry_vmem_state state;
	bool imported;
};

/**
 * enum quarry_vmem_which - what quarry_vmem_size() tells
 * @QUARRY_VMEM_SIZE_USED: all that is in use
 * @QUARRY_VMEM_SIZE_FREE: all that is free
 * @QUARRY_VMEM_SIZE_TOTAL: both, the size of all spans
 * @QUARRY_VMEM_SIZE_LARGEST: the largest free segment, exactly
 */
enum quarry_vmem_which {
	QUARRY_VMEM_SIZE_USED,
	QUARRY_VMEM_SIZE_FREE,
	QUARRY_VMEM_SIZE_TOTAL,
	QUARRY_VMEM_SIZE_LARGEST,
};

/**
 * typedef quarry_vmem_import_t - fetch a span from elsewhere
 * @arg: as given to quarry_vmem_set_import()
 * @want: what the span must be: @want->size, a multiple of the import quantum, at
 *	least; its start satisfies @want->align and @want->phase, and it lies from
 *	@want->min to @want->max. There is no nocross and no strategy in it; a span
 *	like that can serve what the arena was asked for. A boundary in the window is
 *	asked for as an alignment: places between boundaries are not asked for
 * @addr: to be set to the span's start
 * @size: to be set to its size; holds @want->size already
 *
 * Called with no lock held, in the context of the allocation (process context
 * if that waits). It may use the arena, but an allocation there that finds no room
 * calls it again.
 *
 * Return: 0; an errno if there is none.
 */
typedef int (*quarry_vmem_import_t)(void *arg, const struct quarry_vmem_request *want,
				    u64 *addr, u64 *size);

/**
 * typedef quarry_vmem_release_t - give a span back that was imported
 * @arg: as given to quarry_vmem_set_import()
 * @addr: the span's start
 * @size: its size, as the import said
 *
 * Called with no lock held, in the context of the free.
 */
typedef void (*quarry_vmem_release_t)(void *arg, u64 addr, u64 size);

/**
 * typedef quarry_vmem_reclaim_t - make users of an arena free what they can spare
 * @arg: as given to quarry_vmem_set_reclaim()
 *
 * Called with no lock held, once for each allocation that finds no room and can't
 * import any, which is then tried once more. It frees, and doesn't allocate in the
 * arena, as what finds no room there calls it again.
 */
typedef void (*quarry_vmem_reclaim_t)(void *arg);

/**
 * struct quarry_vmem_failure - the last allocation that found no room
 * @size: what was asked for
 * @when: in ns, as ktime_get_mono_fast_ns() counts; 0 while nothing has failed
 * @free: how much was free
 */
struct quarry_vmem_failure {
	u64 size;
	u64 when;
	u64 free;
};

/**
 * struct quarry_vmem_stats - exact figures of one moment
 * @total: size of all spans
 * @used: of it, in segments in use, what quantum caches hold included
 * @peak: most that was in use at once
 * @imported: size of the spans that were imported
 * @cached: size that quantum caches hold
 * @largest_free: size of the largest free segment
 * @quantum: the unit that all sizes are rounded up to
 * @limit: what @total may not exceed by imports; 0 for none
 * @nr_spans: spans
 * @nr_used: segments in use, those in quantum caches included
 * @nr_free: free segments
 * @nr_lists: free segments of 2^n to 2^(n+1) - 1 quanta each
 * @nr_allocs: segments handed out since init, by quantum caches too
 * @nr_frees: segments taken back since init, by quantum caches too
 * @nr_failures: allocations that found no room, or timed out, or were killed
 * @nr_misuses: calls that were refused because they can't be right
 * @nr_steps: free segments, and bins of them, that constrained, best-fit and next-fit
 *	searches looked at
 * @max_steps: the most of these in one search
 * @nr_imports: spans imported
 * @nr_releases: spans given back
 * @nr_reclaims: calls of the reclaim callback
 * @nr_waits: allocations that had to wait
 * @nr_waiters: allocations that wait now
 * @nr_tags: tags there are
 * @nr_free_tags: of them, in use for nothing
 * @nr_buckets: buckets of the lookup table
 * @last_failure: the last allocation that found no room
 */
struct quarry_vmem_stats {
	u64 total;
	u64 used;
	u64 peak;
	u64 imported;
	u64 cached;
	u64 largest_free;
	u64 quantum;
	u64 limit;
	u64 nr_spans;
	u64 nr_used;
	u64 nr_free;
	u64 nr_lists[QUARRY_VMEM_NR_LISTS];
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	u64 nr_steps;
	u64 max_steps;
	u64 nr_imports;
	u64 nr_releases;
	u64 nr_reclaims;
	u64 nr_waits;
	u64 nr_waiters;
	u64 nr_tags;
	u64 nr_free_tags;
	u64 nr_buckets;
	struct quarry_vmem_failure last_failure;
};

struct quarry_magazines;
struct quarry_vmem;

/* private: a boundary tag: one segment, in use or free. lib/vmem.c tells how it works. */
struct quarry_vmem_tag {
	u64 start;
	u64 size;
	struct quarry_vmem_tag *prev;		/* neighbours in address, */
	struct quarry_vmem_tag *next;		/* NULL at a border */
	u32 state;
	bool slotted;				/* in a slot of the quantum caches */
	u8 own;					/* of a free segment, as is all below */
	u8 bit;
	u8 part;
	struct quarry_vmem_tag *child[2];
	union {
		u64 mask;
		struct quarry_vmem_tag *link;	/* of one in use, or of a free tag */
	};
};

/**
 * struct quarry_vmem_qcache - the quantum caches of an arena
 * @magazines: for segments of 1 quantum, 2 quanta, and so on; their items are
 *	segments, which they are filled with by quarry_vmem_qcache_fill() and
 *	flush by quarry_vmem_qcache_flush()
 * @nr: how many sizes
 * @slot_bits: log2 of the slots, at least 3
 * @slots: quarry_vmem_slots_size() bytes of zeroes, where segments that are or were
 *	in a cache are found without a lock
 *
 * lib/qcache.c makes them.
 */
struct quarry_vmem_qcache {
	struct quarry_magazines *magazines[QUARRY_VMEM_MAX_QCACHES];
	unsigned int nr;
	unsigned int slot_bits;
	struct quarry_vmem_tag **slots;
};

/**
 * struct quarry_vmem - an arena of segments of addresses
 *
 * Embedded by the caller and made valid by quarry_vmem_init(), or made by
 * quarry_vmem_create(). It has some 27 KiB, most of it roots of tries, and is not for the
 * stack. lib/vmem.c tells how it works.
 */
struct quarry_vmem {
	/* private: */
	raw_spinlock_t lock;
	unsigned int quantum_shift;
	unsigned int part_shift;
	u64 below_quantum;
	u64 quantum_mask;
	u64 qcache_size;
	const struct quarry_vmem_qcache *qcache;

	/* Tags; the backend is asked for more when fewer than the reserve are free. */
	bool broken;
	unsigned int nr_free_tags;
	unsigned int tag_reserve;
	struct quarry_vmem_tag *free_tags;

	/* Segments in use by their address. */
	unsigned int nr_used;
	unsigned int nr_buckets;
	unsigned int bucket_mask;
	unsigned int nr_table_buckets;		/* that there are arrays for */
	unsigned int shrink_below;		/* segments */
	unsigned int table_goal;		/* segments to ask for the next array at */
	unsigned int table_ranges;		/* tables whose array is the backend's */
	unsigned long tables[QUARRY_VMEM_NR_TABLES];	/* where bucket 0 would be */
	u64 levels;				/* that any segment ever had */

	/* Free segments by their size. */
	u64 parts_base;				/* where the first part begins */
	u64 avail[QUARRY_VMEM_NR_BINS / 64 + 1];
	struct quarry_vmem_tag *roots[QUARRY_VMEM_NR_BINS];
	u32 nr_in_class[QUARRY_VMEM_NR_CLASSES];
	struct quarry_vmem_tag nil;		/* where a trie ends */

	/* Next fit: where it goes on, a segment near that, and the lowest of all. */
	u64 cursor;
	struct quarry_vmem_tag *near_cursor;
	struct quarry_vmem_tag *first;

	u64 total;
	u64 used;
	u64 peak;
	u64 imported;
	u64 limit;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	u64 nr_steps;
	u64 max_steps;
	u64 nr_imports;
	u64 nr_releases;
	u64 nr_reclaims;
	u64 nr_waits;
	unsigned long nr_tags;

	struct rb_root spans;
	u64 lowest;				/* addresses of any span */
	u64 highest;
	unsigned long nr_spans;
	unsigned long nr_bordered;		/* spans to be released */
	struct list_head waiters;
	unsigned long nr_waiters;
	unsigned long nr_followers;		/* both, for whom a free does more */

	quarry_vmem_import_t import;
	quarry_vmem_release_t release;
	void *import_arg;
	u64 import_quantum;
	unsigned int nr_importing;		/* imports under way */
	quarry_vmem_reclaim_t reclaim;
	void *reclaim_arg;

	struct quarry_vmem_failure last_failure;
	const char *name;
	struct quarry_backend *backend;
	struct quarry_vmem_tag *pages;		/* of tags, the backend's */
	struct quarry_vmem_tag *path[QUARRY_VMEM_MAX_DEPTH];
	struct quarry_vmem_tag *first_buckets[QUARRY_VMEM_NR_BUCKETS];
};

int quarry_vmem_init(struct quarry_vmem *vmem, const char *name, u64 base, u64 size, u64 quantum,
		     void *memory, size_t memory_size, struct quarry_backend *backend);
int quarry_vmem_fini(struct quarry_vmem *vmem);
struct quarry_vmem *quarry_vmem_create(const char *name, u64 base, u64 size, u64 quantum,
				       struct quarry_backend *backend);
int quarry_vmem_destroy(struct quarry_vmem *vmem);

int quarry_vmem_add(struct quarry_vmem *vmem, u64 addr, u64 size);
int quarry_vmem_remove(struct quarry_vmem *vmem, u64 addr, u64 size);
int quarry_vmem_set_import(struct quarry_vmem *vmem, quarry_vmem_import_t import,
			   quarry_vmem_release_t release, void *arg, u64 import_quantum);
void quarry_vmem_set_limit(struct quarry_vmem *vmem, u64 limit);
void quarry_vmem_set_reclaim(struct quarry_vmem *vmem, quarry_vmem_reclaim_t reclaim, void *arg);
int quarry_vmem_reserve_tags(struct quarry_vmem *vmem, unsigned int nr);

int quarry_vmem_alloc(struct quarry_vmem *vmem, u64 size, unsigned int flags, u64 *addr);
int quarry_vmem_alloc_timeout(struct quarry_vmem *vmem, u64 size, unsigned int flags,
			      unsigned long timeout, u64 *addr);
int quarry_vmem_alloc_bulk(struct quarry_vmem *vmem, u64 size, unsigned int flags,
			   unsigned int nr, u64 *addrs);
int quarry_vmem_free(struct quarry_vmem *vmem, u64 addr, u64 size);
int quarry_vmem_xalloc(struct quarry_vmem *vmem, const struct quarry_vmem_request *request,
		       u64 *addr);
int quarry_vmem_alloc_at(struct quarry_vmem *vmem, u64 addr, u64 size);
int quarry_vmem_xfree(struct quarry_vmem *vmem, u64 addr, u64 size);
int quarry_vmem_grow(struct quarry_vmem *vmem, u64 addr, u64 size, u64 new_size);

u64 quarry_vmem_roundup_size(const struct quarry_vmem *vmem, u64 size);
u64 quarry_vmem_size(struct quarry_vmem *vmem, enum quarry_vmem_which which);
int quarry_vmem_lookup(struct quarry_vmem *vmem, u64 addr, struct quarry_vmem_segment *segment);
int quarry_vmem_next(struct quarry_vmem *vmem, u64 addr, struct quarry_vmem_segment *segment);
void quarry_vmem_stats(struct quarry_vmem *vmem, struct quarry_vmem_stats *stats);
int quarry_vmem_verify(struct quarry_vmem *vmem, struct quarry_fault *fault);

size_t quarry_vmem_slots_size(unsigned int slot_bits);
int quarry_vmem_set_qcache(struct quarry_vmem *vmem, const struct quarry_vmem_qcache *qcache);
unsigned int quarry_vmem_qcache_fill(struct quarry_vmem *vmem, unsigned int quanta,
				     unsigned long *items, unsigned int nr);
void quarry_vmem_qcache_flush(struct quarry_vmem *vmem, const unsigned long *items,
			      unsigned int nr);

/* Ready-made callbacks for quarry_vmem_set_import(): @arg is another arena. */
int quarry_vmem_import_vmem(void *arg, const struct quarry_vmem_request *want, u64 *addr,
			    u64 *size);
void quarry_vmem_release_vmem(void *arg, u64 addr, u64 size);

/* Ready-made callbacks for quarry_vmem_set_import(): @arg is a struct quarry_buddy. */
int quarry_vmem_import_buddy(void *arg, const struct quarry_vmem_request *want, u64 *addr,
			     u64 *size);
void quarry_vmem_release_buddy(void *arg, u64 addr, u64 size);

#endif /* QUARRY_VMEM_H */
