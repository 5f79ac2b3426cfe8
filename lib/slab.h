/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_SLAB_H
#define QUARRY_SLAB_H

#include <linux/align.h>
#include <linux/bits.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "backend.h"
#include "report.h"

/* Objects are at least that large and aligned to that. */
#define QUARRY_SLAB_MIN_SIZE	8
/* What one slab holds at most. */
#define QUARRY_SLAB_MAX_OBJECTS	BIT(24)
/* Lists of partial slabs: each for another eighth of the objects. */
#define QUARRY_SLAB_NR_PARTIAL	8

struct quarry_slab;

/**
 * enum quarry_slab_flags - how an object is allocated
 * @QUARRY_SLAB_ZERO: all zeroes; not for a slab with a constructor
 */
enum quarry_slab_flags {
	QUARRY_SLAB_ZERO	= BIT(0),
	/* private: */
	QUARRY_SLAB_FLAGS	= BIT(1) - 1,
};

/**
 * struct quarry_slab_config - what quarry_slab_init() is told
 * @name: what the log calls it; kept, not copied
 * @object_size: bytes that a user gets; rounded up to the alignment
 * @align: power of two that each object's address is a multiple of; 0 or less
 *	than QUARRY_SLAB_MIN_SIZE means that
 * @slab_size: bytes of a slab that comes from @backend, a power of two of its
 *	pages; 0 for the smallest that wastes at most an eighth
 * @backend: where slabs come from when there is no @refill, and go back to; may
 *	be NULL
 * @headers: where slabs from @backend have their headers: an allocator of objects
 *	of at least quarry_slab_header_size() bytes; NULL for inside the slab
 * @ctor: called for each object of a new slab, with no lock held; may be NULL
 * @refill: called, with no lock held, when free objects fall to the watermark: it
 *	gives memory by quarry_slab_grow(). May allocate from the same allocator.
 *	NULL for a slab from @backend, if there is one
 * @release: takes back a buffer of quarry_slab_grow() that is wholly empty, with
 *	no lock held; NULL to keep them
 * @ctx: passed to the three
 */
struct quarry_slab_config {
	const char *name;
	size_t object_size;
	size_t align;
	size_t slab_size;
	struct quarry_backend *backend;
	struct quarry_slab *headers;
	void (*ctor)(void *ctx, void *object);
	int (*refill)(struct quarry_slab *slab, void *ctx);
	void (*release)(void *ctx, void *buffer, size_t size);
	void *ctx;
};

/**
 * struct quarry_slab_object - an object, in use or free
 * @start: its first address
 * @size: bytes that a user may use
 * @slab: first address of the slab that it is in
 * @index: its number in that slab
 * @free: whether it is free
 */
struct quarry_slab_object {
	void *start;
	size_t size;
	void *slab;
	unsigned int index;
	bool free;
};

/**
 * struct quarry_slab_stats - exact figures of one moment
 * @object_size: bytes of an object, rounded
 * @align: alignment of an object
 * @slab_size: bytes of a slab from the backend, 0 without one
 * @per_slab: objects in such a slab
 * @nr_objects: objects in all slabs
 * @nr_used: of them in use
 * @peak: most that were in use at once
 * @nr_slabs: slabs
 * @nr_empty: slabs with no object in use
 * @nr_partial: slabs with some in use
 * @nr_full: slabs with all in use
 * @reserved: allocations that can't fail, see quarry_slab_reserve()
 * @nr_allocs: objects handed out since init
 * @nr_frees: objects taken back since init
 * @nr_refills: times that memory was asked for
 * @nr_released: slabs given back
 * @nr_failures: allocations that found no object
 * @nr_misuses: calls that were refused because they can't be right
 * @last_failure: in ns, as ktime_get_mono_fast_ns() counts; 0 while nothing failed
 */
struct quarry_slab_stats {
	size_t object_size;
	size_t align;
	size_t slab_size;
	u64 per_slab;
	u64 nr_objects;
	u64 nr_used;
	u64 peak;
	u64 nr_slabs;
	u64 nr_empty;
	u64 nr_partial;
	u64 nr_full;
	u64 reserved;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_refills;
	u64 nr_released;
	u64 nr_failures;
	u64 nr_misuses;
	u64 last_failure;
};

/* log2 of the objects that a word has a bit for, and the levels of such words. */
#define QUARRY_SLAB_SHIFT	(BITS_PER_LONG == 64 ? 6 : 5)
#define QUARRY_SLAB_LEVELS	(BITS_PER_LONG == 64 ? 4 : 5)
/* Two lists of empty slabs, and those of partial ones. */
#define QUARRY_SLAB_NR_LISTS	(QUARRY_SLAB_NR_PARTIAL + 2)

/* What slabs with the same number of objects have in common. */
struct quarry_slab_shape {
	/* private: */
	unsigned long edges;
	u32 capacity;
	u32 brim;
	u8 group_shift;
	u8 depth;
	u8 empty_list;
	u32 level[QUARRY_SLAB_LEVELS - 1];
};

/* What a slab begins with, or what lies elsewhere for it. */
struct quarry_slab_head {
	/* private: */
	const struct quarry_slab_shape *shape;
	struct hlist_node node;
	unsigned long top;
	u32 nr_used;
	u32 fresh;
	void *objects;
	unsigned long words[];
};

/* A caller's buffer, which is one slab. */
struct quarry_slab_buffer {
	/* private: */
	struct rb_node node;
	void *start;
	size_t size;
	struct quarry_slab_shape shape;
	struct quarry_slab_head *head;
};

/**
 * struct quarry_slab - an allocator of objects of one size
 *
 * Embedded by the caller, made valid by quarry_slab_init(). lib/slab.c tells how
 * it works.
 */
struct quarry_slab {
	/* private: */
	raw_spinlock_t lock;
	u32 stocked;
	unsigned long nr_used;
	unsigned long limit;
	unsigned long peak;
	u64 nr_allocs;
	size_t stride;
	unsigned long inverse;
	unsigned int odd_shift;
	unsigned int refused_flags;
	const struct quarry_backend *map;
	const struct quarry_slab_shape *simple;
	struct quarry_slab_shape shape;
	unsigned long nr_full;
	struct hlist_head lists[QUARRY_SLAB_NR_LISTS];

	unsigned long nr_empty;
	unsigned long nr_objects;
	unsigned long watermark;
	unsigned long keep;
	u64 reserved_until;
	bool broken;
	bool ended;

	const char *name;
	size_t align;
	size_t slab_size;
	size_t first_object;
	struct quarry_backend *backend;
	struct quarry_slab *headers;
	void (*ctor)(void *ctx, void *object);
	int (*refill)(struct quarry_slab *slab, void *ctx);
	void (*release)(void *ctx, void *buffer, size_t size);
	void *ctx;
	bool reclaimable;
	struct quarry_reclaimer reclaimer;
	struct hlist_head refills;

	struct rb_root buffers;
	struct quarry_slab_buffer first_buffer;

	u64 nr_made;
	u64 nr_released;
	u64 nr_refills;
	u64 nr_failures;
	u64 nr_misuses;
	u64 last_failure;
};

/* The distance of two objects, as quarry_slab_init() works it out. */
#define __QUARRY_SLAB_STRIDE(size, align)				\
	ALIGN((u64)(size), ((((u64)(align) ?: 1) - 1) | (QUARRY_SLAB_MIN_SIZE - 1)) + 1)

/**
 * QUARRY_SLAB_BYTES() - memory for some objects in one buffer
 * @nr: number of objects, up to QUARRY_SLAB_MAX_OBJECTS
 * @size: of an object
 * @align: of an object, as in struct quarry_slab_config
 *
 * A constant if its arguments are: an array of so many bytes, aligned to anything,
 * gives quarry_slab_grow() @nr objects or more. (An object's bit, and what the levels
 * above add, are less than 9/64 of a byte. One object more makes up for alignment.)
 */
#define QUARRY_SLAB_BYTES(nr, size, align)				\
	((size_t)(sizeof(struct quarry_slab_buffer) + sizeof(struct quarry_slab_head) +	\
		  (QUARRY_SLAB_LEVELS + 1) * sizeof(long) +		\
		  ((((u64)(nr) + 1) * (__QUARRY_SLAB_STRIDE(size, align) * 64 + 9)) >> 6)))

size_t quarry_slab_header_size(const struct quarry_slab_config *config);
int quarry_slab_init(struct quarry_slab *slab, const struct quarry_slab_config *config);
int quarry_slab_fini(struct quarry_slab *slab, bool force, u64 *nr_used);
long quarry_slab_grow(struct quarry_slab *slab, void *buffer, size_t size);

void *quarry_slab_alloc(struct quarry_slab *slab, unsigned int flags);
int quarry_slab_free(struct quarry_slab *slab, void *object);
unsigned int quarry_slab_alloc_bulk(struct quarry_slab *slab, unsigned int flags,
				    unsigned int nr, void **objects);
int quarry_slab_free_bulk(struct quarry_slab *slab, unsigned int nr, void **objects);

int quarry_slab_set_watermark(struct quarry_slab *slab, unsigned int nr);
int quarry_slab_set_keep(struct quarry_slab *slab, unsigned int nr_slabs);
int quarry_slab_reserve(struct quarry_slab *slab, unsigned int nr);
unsigned int quarry_slab_reclaim(struct quarry_slab *slab, unsigned int max);

u64 quarry_slab_nr_free(const struct quarry_slab *slab);
bool quarry_slab_owns(struct quarry_slab *slab, const void *addr);
int quarry_slab_lookup(struct quarry_slab *slab, const void *addr,
		       struct quarry_slab_object *object);
int quarry_slab_next(struct quarry_slab *slab, const void *addr,
		     struct quarry_slab_object *object);
void quarry_slab_stats(struct quarry_slab *slab, struct quarry_slab_stats *stats);
int quarry_slab_verify(struct quarry_slab *slab, struct quarry_fault *fault);

#endif /* QUARRY_SLAB_H */
