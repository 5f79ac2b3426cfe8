// SPDX-License-Identifier: GPL-2.0
/*
 * Zone: objects of any size up to 128 KiB, from a cache for each class of sizes.
 *
 * 1. Classes. 8, 16 ... 64 bytes, and from there on four to a doubling, so that the
 *    next class is at most a quarter larger than the one before: 80, 96, 112, 128, 160
 *    ... 131072. The number of the class that serves a size is
 *
 *          size - 1:   [ leading one, bit e ][ 2 bits: quarter ][ the rest, e - 2 bits ]
 *          class:      8 + 4 * (e - 6) + quarter, for sizes over 64
 *
 *    An object is aligned to the largest power of two that divides the size of its
 *    class. A request for more alignment is one for a size rounded up to a multiple of
 *    it: then the class is a multiple of it as well. (The classes between two powers of
 *    two are all the multiples of some step: if that is at least the alignment, they are
 *    multiples of it; and if it is less, the rounded size is such a multiple, and a
 *    class of its own.) The classes in a backend that is smaller than a slab of theirs
 *    don't exist, and are out of memory always.
 *
 * 2. Structure. A cache for each class (lib/cache.c). They have one slab of magazines
 *    together, and one of headers for the classes from HEADER_OUTSIDE on, where a header
 *    inside would cost an object; and one range of memory for all shares of the CPUs.
 *
 * 3. Free. The page's owner, which the backend knows, is a slab's head; that knows the
 *    shape, which is part of the slab allocator, which is part of the cache, and that
 *    one must be one of the zone's. From there on it is the cache's free.
 *
 * 4. Bounds and locking are those of the caches. The zone has no lock.
 *
 * After Barrelfish's and slabmalloc's zone allocators, with closer classes.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "inject.h"
#include "zone_internal.h"

/* From this size on, the head of a slab lies elsewhere. */
#define HEADER_OUTSIDE	512

static_assert(BIT(ZONE_LINEAR_SHIFT) == ZONE_LINEAR_MOST);
static_assert(ZONE_LINEAR_MOST << ((QUARRY_ZONE_NR_CLASSES - ZONE_NR_LINEAR) / ZONE_QUARTERS) ==
	      QUARRY_ZONE_MAX_SIZE);

/* ---- Classes ---- */

/* The size of a class. */
static size_t size_of(unsigned int class)
{
	unsigned int quarter, shift;

	if (class < ZONE_NR_LINEAR)
		return (class + 1) * QUARRY_ZONE_MIN_SIZE;
	quarter = (class - ZONE_NR_LINEAR) % ZONE_QUARTERS;
	shift = (class - ZONE_NR_LINEAR) / ZONE_QUARTERS + ZONE_LINEAR_SHIFT - ZONE_QUARTERS_SHIFT;
	return (ZONE_QUARTERS + quarter + 1) << shift;
}

/* What the objects of a class are aligned to. */
static size_t align_of(unsigned int class)
{
	return BIT(__ffs(size_of(class)));
}

/**
 * quarry_zone_class_size() - what a request really gets
 * @size: bytes
 *
 * An allocation of @size bytes can grow to this many where it is.
 *
 * Context: any. O(1).
 * Return: the size of the class that serves @size; 0 if @size is 0 or too large.
 */
size_t quarry_zone_class_size(size_t size)
{
	return size - 1 < QUARRY_ZONE_MAX_SIZE ? size_of(zone_class_of(size)) : 0;
}
EXPORT_SYMBOL_GPL(quarry_zone_class_size);

/* ---- Saying no ---- */

/* Count and log a call that can't be right; @err is passed through. */
static noinline __cold int refuse(struct quarry_zone *zone, int err, const char *what,
				  u64 value, unsigned long caller)
{
	struct quarry_misuse misuse = {
		.kind = "zone",
		.name = zone->name,
		.what = what,
		.base = zone->backend->region.base,
		.size = zone->backend->region.size,
		.value = value,
		.caller = caller,
	};

	atomic64_inc(&zone->nr_misuses);
	quarry_report_misuse(&misuse);
	return err;
}

static noinline __cold void *refuse_size(struct quarry_zone *zone, size_t size, size_t align,
					 unsigned long caller)
{
	if (align > QUARRY_ZONE_MAX_SIZE || (align && !is_power_of_2(align)))
		refuse(zone, -EINVAL, "alloc: alignment", align, caller);
	else
		refuse(zone, -EINVAL, "alloc: size", size, caller);
	return NULL;
}

/* ---- Alloc and free ---- */

/* Whether an allocation shall fail that can be right; it has failed then. */
static noinline __cold bool is_injected(struct quarry_zone *zone, struct quarry_cache *cache,
					unsigned int flags)
{
	if (flags & cache->refused_flags ||
	    !quarry_inject(QUARRY_INJECT_ZONE_ALLOC, cache->object_size))
		return false;
	atomic64_inc(&zone->nr_failures);
	__quarry_cache_note_failure(cache);
	return true;
}

/* An object of the class that serves a size, fetched if none is at hand. */
static void *alloc_class(struct quarry_zone *zone, size_t size, unsigned int flags,
			 unsigned long caller)
{
	unsigned int class = zone_class_of(size);
	struct quarry_cache *cache = &zone->caches[class];

	if (unlikely(class >= zone->nr_classes)) {
		atomic64_inc(&zone->nr_failures);
		return NULL;
	}
	if (quarry_inject_armed() && is_injected(zone, cache, flags))
		return NULL;
	return __quarry_cache_alloc(cache, flags, caller);
}

/**
 * quarry_zone_alloc() - allocate memory
 * @zone: the zone
 * @size: bytes, from 1 to QUARRY_ZONE_MAX_SIZE
 * @align: power of two up to QUARRY_ZONE_MAX_SIZE that the address is a multiple of; 0
 *	for that of the class, which is at least QUARRY_ZONE_MIN_SIZE
 * @flags: enum quarry_slab_flags
 *
 * Context: any but NMI. O(1), but for the fill of a magazine.
 * Return: the memory, of quarry_zone_class_size() bytes of @size rounded up to @align;
 * NULL if there is none, or @size, @align or @flags can't be.
 */
void *quarry_zone_alloc(struct quarry_zone *zone, size_t size, size_t align,
			unsigned int flags)
{
	void *object;

	if (unlikely(size - 1 >= QUARRY_ZONE_MAX_SIZE))
		return refuse_size(zone, size, 0, _RET_IP_);
	if (align > QUARRY_ZONE_MIN_SIZE || unlikely(align & (align - 1))) {
		if (unlikely(align > QUARRY_ZONE_MAX_SIZE || !is_power_of_2(align)))
			return refuse_size(zone, size, align, _RET_IP_);
		size = ALIGN(size, align);
	}

	if (likely(!flags) && !quarry_inject_armed()) {
		object = zone_give_out(zone, size);
		if (likely(object))
			return object;
	}
	return alloc_class(zone, size, flags, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_zone_alloc);

/*
 * An object of any class above that of a size, whose alignment is also that of the size,
 * out of what the slabs have: for when no more memory can be had.
 */
noinline __cold void *__quarry_zone_alloc_larger(struct quarry_zone *zone, size_t size,
						 size_t align)
{
	unsigned int class = zone_class_of(size);
	void *object = NULL;

	while (!object && ++class < zone->nr_classes) {
		struct quarry_cache *cache = &zone->caches[class];

		if (IS_ALIGNED(size_of(class), align) && quarry_slab_nr_free(&cache->slab))
			object = quarry_cache_alloc(cache, 0);
	}
	return object;
}

/* quarry_zone_free() of what isn't a plain object in use. */
noinline int __quarry_zone_free(struct quarry_zone *zone, void *object, unsigned long caller)
{
	struct quarry_cache *cache = zone_cache_at(zone, object);

	if (likely(cache))
		return __quarry_cache_free(cache, object, caller);
	if (!object)
		return 0;
	return refuse(zone, -EINVAL, "not in a slab of this zone", (unsigned long)object, caller);
}

/**
 * quarry_zone_free() - free memory
 * @zone: the zone that it is from
 * @object: what the allocation gave, or NULL, for which nothing is done
 *
 * Context: any but NMI. O(1), but for the flush of a magazine.
 * Return: 0; -EINVAL if @object isn't the start of an object of this zone that was ever
 * given out; -ENOENT if it is free already; -EIO as quarry_cache_free().
 */
int quarry_zone_free(struct quarry_zone *zone, void *object)
{
	if (likely(zone_take_back(zone, object)))
		return 0;
	return __quarry_zone_free(zone, object, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_zone_free);

/**
 * quarry_zone_usable_size() - how much memory an allocation really has
 * @zone: the zone
 * @object: what the allocation gave
 *
 * Context: any but NMI. O(1).
 * Return: bytes; 0 if @object isn't the start of an object of this zone that is in use.
 */
size_t quarry_zone_usable_size(struct quarry_zone *zone, const void *object)
{
	struct quarry_cache *cache = zone_cache_at(zone, object);
	struct quarry_slab_object found;

	if (!cache || quarry_cache_lookup(cache, object, &found))
		return 0;
	return found.start == object && !found.free ? found.size : 0;
}
EXPORT_SYMBOL_GPL(quarry_zone_usable_size);

/**
 * quarry_zone_reclaim() - give back empty slabs
 * @zone: the zone
 * @max: how many at most
 *
 * Of each class, what is in this CPU's magazines and the depot goes back to the slabs
 * first; the other CPUs do that a moment later, so what they have goes with the next
 * call.
 *
 * Context: any but NMI. O(classes + @max), and a flush of each class's depot.
 * Return: how many slabs went back.
 */
unsigned int quarry_zone_reclaim(struct quarry_zone *zone, unsigned int max)
{
	unsigned int class, nr = 0;

	for (class = 0; class < zone->nr_classes && nr < max; class++)
		nr += quarry_cache_reclaim(&zone->caches[class], max - nr);
	if (nr < max)
		nr += quarry_slab_reclaim(&zone->magazines, max - nr);
	if (nr < max)
		nr += quarry_slab_reclaim(&zone->headers, max - nr);
	return nr;
}
EXPORT_SYMBOL_GPL(quarry_zone_reclaim);

/* ---- Init and fini ---- */

/**
 * quarry_zone_memory_size() - bytes for the CPUs' shares of all classes
 *
 * Context: any. O(1).
 * Return: the size of @memory in struct quarry_zone_config.
 */
size_t quarry_zone_memory_size(void)
{
	return QUARRY_ZONE_NR_CLASSES * quarry_cache_memory_size();
}
EXPORT_SYMBOL_GPL(quarry_zone_memory_size);

static struct quarry_slab_config class_config(const struct quarry_zone *zone, unsigned int class)
{
	return (struct quarry_slab_config) {
		.name = zone->names[class],
		.object_size = size_of(class),
		.align = align_of(class),
		.backend = zone->backend,
	};
}

/* What a header needs in any class. */
static size_t largest_header(const struct quarry_zone *zone)
{
	size_t size = sizeof(struct quarry_slab_head);
	struct quarry_slab_config config;
	unsigned int class;

	for (class = zone_class_of(HEADER_OUTSIDE); class < QUARRY_ZONE_NR_CLASSES; class++) {
		config = class_config(zone, class);
		size = max(size, quarry_slab_header_size(&config));
	}
	return size;
}

static int init_shared(struct quarry_zone *zone)
{
	struct quarry_slab_config headers = {
		.name = zone->name,
		.object_size = largest_header(zone),
		.backend = zone->backend,
	};
	struct quarry_slab_config magazines = {
		.name = zone->name,
		.object_size = QUARRY_MAGAZINE_SIZE,
		.backend = zone->backend,
	};
	int err;

	err = quarry_slab_init(&zone->headers, &headers);
	if (err)
		return err;
	err = quarry_slab_init(&zone->magazines, &magazines);
	if (err)
		quarry_slab_fini(&zone->headers, true, NULL);
	return err;
}

static void fini_shared(struct quarry_zone *zone)
{
	if (zone->memory)
		quarry_backend_give(zone->backend, zone->memory, quarry_zone_memory_size());
	zone->memory = NULL;
	quarry_slab_fini(&zone->magazines, true, NULL);
	quarry_slab_fini(&zone->headers, true, NULL);
}

static int init_class(struct quarry_zone *zone, unsigned int class, unsigned int flags,
		      void *memory)
{
	struct quarry_cache_config config = {
		.slab = class_config(zone, class),
		.flags = flags,
		.magazines = &zone->magazines,
		.memory = memory + class * quarry_cache_memory_size(),
	};

	snprintf(zone->names[class], QUARRY_ZONE_NAME_SIZE, "%s-%zu", zone->name, size_of(class));
	if (size_of(class) >= HEADER_OUTSIDE)
		config.slab.headers = &zone->headers;
	return quarry_cache_init(&zone->caches[class], &config);
}

static void fini_classes(struct quarry_zone *zone)
{
	while (zone->nr_classes)
		quarry_cache_fini(&zone->caches[--zone->nr_classes], true, NULL);
}

/* As many classes as the backend has room for; one at least. */
static int init_classes(struct quarry_zone *zone, unsigned int flags, void *memory)
{
	int err;

	for (; zone->nr_classes < QUARRY_ZONE_NR_CLASSES; zone->nr_classes++) {
		err = init_class(zone, zone->nr_classes, flags, memory);
		if (err == -EINVAL && zone->nr_classes)
			break;
		if (err)
			return err;
	}
	return 0;
}

/**
 * quarry_zone_init() - make a zone
 * @zone: to be made valid; the caller's
 * @config: what it is to be like
 *
 * Takes no memory for objects, headers or magazines yet.
 *
 * Context: process context, may sleep. O(classes * CPUs).
 * Return: 0; -EINVAL if a pointer is missing, a flag is unknown, or @memory isn't
 * aligned; -ENOMEM if the backend has no memory for the CPUs' shares; -ENOSPC if the
 * kernel can't watch CPUs for yet another user.
 */
int quarry_zone_init(struct quarry_zone *zone, const struct quarry_zone_config *config)
{
	void *memory;
	int err;

	if (!zone || !config || !config->name || !config->backend)
		return -EINVAL;
	if (config->flags & ~QUARRY_CACHE_FLAGS)
		return -EINVAL;

	memset(zone, 0, sizeof(*zone));
	zone->name = config->name;
	zone->backend = config->backend;
	err = init_shared(zone);
	if (err)
		return err;

	memory = config->memory;
	if (!memory) {
		zone->memory = quarry_backend_take(zone->backend, quarry_zone_memory_size());
		memory = zone->memory;
	}
	err = memory ? init_classes(zone, config->flags, memory) : -ENOMEM;
	if (err) {
		fini_classes(zone);
		fini_shared(zone);
	}
	return err;
}
EXPORT_SYMBOL_GPL(quarry_zone_init);

/* Objects in use; with @tell, those of each class are told in the log. */
static u64 count_used(struct quarry_zone *zone, bool tell)
{
	struct quarry_cache_stats stats;
	unsigned int class;
	u64 nr = 0;

	for (class = 0; class < zone->nr_classes; class++) {
		/* What a CPU was asked for, and is about to give, could be counted twice. */
		quarry_cache_drain(&zone->caches[class]);
		quarry_cache_stats(&zone->caches[class], &stats);
		nr += stats.nr_used;
		if (tell && stats.nr_used)
			quarry_cache_fini(&zone->caches[class], false, NULL);
	}
	return nr;
}

/**
 * quarry_zone_fini() - end a zone
 * @zone: the zone; nobody allocates or frees any more
 * @force: end it even if objects are in use, which are gone then
 * @nr_used: set to the number of objects in use; may be NULL
 *
 * What is in use is told in the log, class by class. Nothing is served afterwards; to end
 * it once more does nothing, and succeeds.
 *
 * Context: process context, may sleep. O(slabs), and quarry_cache_drain() of all classes.
 * Return: 0; -EBUSY if objects are in use and @force isn't set: then the zone goes on.
 */
int quarry_zone_fini(struct quarry_zone *zone, bool force, u64 *nr_used)
{
	u64 nr = count_used(zone, false);

	if (nr_used)
		*nr_used = nr;
	if (nr && !force) {
		count_used(zone, true);
		return -EBUSY;
	}
	fini_classes(zone);
	fini_shared(zone);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_zone_fini);

/* ---- Questions ---- */

/**
 * quarry_zone_cache() - the cache of a class
 * @zone: the zone
 * @index: its number, from 0 on in the order of sizes
 *
 * Context: any. O(1).
 * Return: the cache; NULL if there is no such class, or the backend has no room for it.
 */
struct quarry_cache *quarry_zone_cache(struct quarry_zone *zone, unsigned int index)
{
	return index < zone->nr_classes ? &zone->caches[index] : NULL;
}
EXPORT_SYMBOL_GPL(quarry_zone_cache);

static u64 held_by(struct quarry_slab *slab)
{
	struct quarry_slab_stats stats;

	quarry_slab_stats(slab, &stats);
	return stats.nr_slabs * stats.slab_size;
}

static void add_class(struct quarry_zone_stats *total, struct quarry_cache *cache)
{
	struct quarry_cache_stats stats;
	u64 nr_allocs;

	quarry_cache_stats(cache, &stats);
	/* What a failed get missed was no object. */
	nr_allocs = stats.magazines.nr_gets + stats.magazines.nr_get_misses - stats.nr_failures;
	total->used += stats.nr_used * cache->object_size;
	total->held += stats.slab.nr_slabs * stats.slab.slab_size;
	total->nr_used += stats.nr_used;
	total->nr_allocs += nr_allocs;
	total->nr_frees += nr_allocs - stats.nr_used;
	total->nr_failures += stats.nr_failures;
	total->nr_misuses += stats.nr_misuses;
}

/**
 * quarry_zone_stats() - the figures of about this moment
 * @zone: the zone
 * @stats: filled in; exact if nobody uses the zone meanwhile
 *
 * Context: any but NMI. O(classes * CPUs).
 */
void quarry_zone_stats(struct quarry_zone *zone, struct quarry_zone_stats *stats)
{
	unsigned int class;

	*stats = (struct quarry_zone_stats) {
		.held = held_by(&zone->headers) + held_by(&zone->magazines),
		.nr_failures = atomic64_read(&zone->nr_failures),
		.nr_misuses = atomic64_read(&zone->nr_misuses),
	};
	for (class = 0; class < zone->nr_classes; class++)
		add_class(stats, &zone->caches[class]);
}
EXPORT_SYMBOL_GPL(quarry_zone_stats);

/**
 * quarry_zone_verify() - recompute every invariant of a zone
 * @zone: the zone
 * @fault: filled in with what is wrong, if anything; may be NULL
 *
 * Context: any but NMI. As quarry_cache_verify() of each class.
 * Return: 0; -EUCLEAN if something doesn't hold.
 */
int quarry_zone_verify(struct quarry_zone *zone, struct quarry_fault *fault)
{
	unsigned int class;
	int err;

	err = quarry_slab_verify(&zone->headers, fault);
	if (!err)
		err = quarry_slab_verify(&zone->magazines, fault);
	for (class = 0; class < zone->nr_classes && !err; class++)
		err = quarry_cache_verify(&zone->caches[class], fault);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_zone_verify);
