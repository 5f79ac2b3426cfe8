// SPDX-License-Identifier: GPL-2.0
/*
 * Cache: how it begins and ends, gives memory back, and answers for itself.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "cache_internal.h"
#include "inject.h"

/*
 * Bytes that a CPU's two magazines may hold together, in the beginning and at most: for
 * small objects that is more than there are places, and for large ones nothing.
 */
#define SHARE_BEGIN	SZ_16K
#define SHARE_MOST	SZ_32K

/* Empty slabs that are given back in one go when the backend runs short. */
#define RECLAIM_MOST	64

/* ---- From the slab, and back ---- */

static struct quarry_cache *cache_of(struct quarry_magazines *magazines)
{
	return container_of(magazines, struct quarry_cache, magazines);
}

/*
 * What the slab has free, and if that is nothing, what comes with memory for one object:
 * nobody else is to be robbed of memory for objects that nobody asked for.
 */
static unsigned int get_objects(struct quarry_slab *slab, void **objects, unsigned int nr)
{
	unsigned int done = 0;

	if (quarry_slab_nr_free(slab) < nr) {
		done = quarry_slab_alloc_bulk(slab, 0, 1, objects);
		if (!done)
			return 0;
		nr = min_t(u64, nr - done, quarry_slab_nr_free(slab));
	}
	return done + quarry_slab_alloc_bulk(slab, 0, nr, objects + done);
}

/* What is in a magazine is marked as free, also if it was never given out. */
static unsigned int fill(struct quarry_magazines *magazines, unsigned long *items,
			 unsigned int nr)
{
	struct quarry_cache *cache = cache_of(magazines);
	unsigned int i;

	if (quarry_inject(QUARRY_INJECT_CACHE_REFILL, cache->object_size))
		return 0;
	nr = get_objects(&cache->slab, (void **)items, nr);
	for (i = 0; i < nr && !cache->special; i++)
		*(unsigned long *)items[i] = cache_cookie(cache, (void *)items[i]);
	return nr;
}

/* Whatever the slab refuses, it counts and logs. */
static void flush(struct quarry_magazines *magazines, const unsigned long *items,
		  unsigned int nr)
{
	quarry_slab_free_bulk(&cache_of(magazines)->slab, nr, (void **)items);
}

static const struct quarry_magazines_ops magazines_ops = {
	.fill = fill,
	.flush = flush,
};

/* ---- Init and fini ---- */

/**
 * quarry_cache_memory_size() - bytes for the CPUs' shares of a cache
 *
 * Context: any. O(1).
 * Return: the size of @memory in struct quarry_cache_config.
 */
size_t quarry_cache_memory_size(void)
{
	return quarry_magazines_memory_size();
}
EXPORT_SYMBOL_GPL(quarry_cache_memory_size);

static int init_slab(struct quarry_cache *cache, const struct quarry_cache_config *config)
{
	struct quarry_slab_config slab = config->slab;
	size_t align = max_t(size_t, slab.align, QUARRY_SLAB_MIN_SIZE);

	if (!slab.object_size || slab.object_size > SIZE_MAX - align || !is_power_of_2(align))
		return -EINVAL;
	if (!(config->flags & QUARRY_CACHE_DEBUG))
		cache->object_size = ALIGN(slab.object_size, align);
	else if (!__quarry_cache_debug_enlarge(cache, &slab))
		return -EINVAL;
	return quarry_slab_init(&cache->slab, &slab);
}

/* Magazines come from a slab that is the caller's, or one of the cache's own. */
static int init_source(struct quarry_cache *cache, const struct quarry_cache_config *config)
{
	const struct quarry_slab_config source = {
		.name = config->slab.name,
		.object_size = QUARRY_MAGAZINE_SIZE,
		.backend = config->slab.backend,
	};

	if (config->magazines)
		return 0;
	cache->has_source = true;
	return quarry_slab_init(&cache->source, &source);
}

static void fini_source(struct quarry_cache *cache)
{
	if (cache->has_source)
		quarry_slab_fini(&cache->source, true, NULL);
}

static void *take_memory(struct quarry_cache *cache, const struct quarry_cache_config *config)
{
	if (config->memory)
		return config->memory;
	cache->memory = quarry_backend_take(config->slab.backend, quarry_cache_memory_size());
	return cache->memory;
}

static void give_memory(struct quarry_cache *cache)
{
	if (cache->memory)
		quarry_backend_give(cache->slab.backend, cache->memory,
				    quarry_cache_memory_size());
}

/* Rounds of two magazines that hold so many bytes together. */
static unsigned int rounds_of(const struct quarry_cache *cache, size_t bytes)
{
	return min_t(size_t, bytes / 2 / cache->slab.stride, QUARRY_MAGAZINE_ROUNDS);
}

/* How many rounds to begin with, if that isn't said, and there are to be any. */
static unsigned int least_rounds(const struct quarry_cache *cache, unsigned int most)
{
	return min(most, max(rounds_of(cache, SHARE_BEGIN), 1U));
}

static int init_magazines(struct quarry_cache *cache, const struct quarry_cache_config *config,
			  void *memory)
{
	struct quarry_magazines_config magazines = {
		.ops = &magazines_ops,
		.source = config->magazines ?: &cache->source,
		.memory = memory,
		.quick = !cache->special,
	};

	magazines.max = config->magazine_max ?: rounds_of(cache, SHARE_MOST);
	magazines.min = config->magazine_min ?: least_rounds(cache, magazines.max);
	if (!config->magazine_max)
		magazines.max = max(magazines.max, magazines.min);
	return quarry_magazines_init(&cache->magazines, &magazines);
}

static size_t reclaim(struct quarry_reclaimer *reclaimer);

/**
 * quarry_cache_init() - make a cache
 * @cache: to be made valid; the caller's
 * @config: what it is to be like
 *
 * Takes no memory for objects or magazines yet.
 *
 * Context: process context, may sleep. O(CPUs).
 * Return: 0; -EINVAL if a size, alignment or flag can't be, there is no backend, @memory
 * isn't aligned, a minimum is larger than its maximum, or quarry_slab_init() says so;
 * -ENOMEM if the backend has no memory for the CPUs' shares; -ENOSPC if the kernel can't
 * watch CPUs for yet another user.
 */
int quarry_cache_init(struct quarry_cache *cache, const struct quarry_cache_config *config)
{
	void *memory;
	int err;

	if (!cache || !config || !config->slab.backend)
		return -EINVAL;
	if (config->flags & ~QUARRY_CACHE_FLAGS)
		return -EINVAL;

	memset(cache, 0, sizeof(*cache));
	cache->secret = get_random_long() | 1;
	cache->refused_flags = ~QUARRY_SLAB_FLAGS;
	if (config->slab.ctor) {
		cache->special |= CACHE_CTOR;
		cache->refused_flags |= QUARRY_SLAB_ZERO;
	}
	if (config->flags & QUARRY_CACHE_DEBUG)
		cache->special |= CACHE_DEBUG;

	err = init_slab(cache, config);
	if (err)
		return err;
	err = init_source(cache, config);
	if (err)
		goto fini_slab;
	memory = take_memory(cache, config);
	err = memory ? 0 : -ENOMEM;
	if (err)
		goto fini_source;
	err = init_magazines(cache, config, memory);
	if (err)
		goto give_memory;

	if (!cache->special)
		cache->shape = &cache->slab.shape;
	cache->reclaimer.reclaim = reclaim;
	quarry_backend_add_reclaimer(cache->slab.backend, &cache->reclaimer);
	return 0;

give_memory:
	give_memory(cache);
fini_source:
	fini_source(cache);
fini_slab:
	quarry_slab_fini(&cache->slab, true, NULL);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_cache_init);

/*
 * Damaged objects, which nobody has, but the slab has as in use; all but such that were
 * free when that was found, until they are met again.
 */
static u64 nr_retired(const struct quarry_cache *cache)
{
	return atomic64_read(&cache->nr_damaged);
}

/**
 * quarry_cache_fini() - end a cache
 * @cache: the cache; nobody allocates or frees any more
 * @force: end it even if objects are in use, which are gone then
 * @nr_used: set to the number of objects in use; may be NULL
 *
 * What is in use is told in the log, as quarry_slab_fini() does it. Nothing is served
 * afterwards; to end it once more does nothing, and succeeds.
 *
 * Context: process context, may sleep. O(slabs), and quarry_magazines_drain().
 * Return: 0; -EBUSY if objects are in use and @force isn't set: then the cache goes on
 * as it was, with its magazines empty; -EIO if the slab was out of service, and the cache
 * ended nevertheless.
 */
int quarry_cache_fini(struct quarry_cache *cache, bool force, u64 *nr_used)
{
	struct quarry_backend *backend = cache->slab.backend;
	u64 nr;
	int err;

	if (nr_used)
		*nr_used = 0;
	if (cache->special & CACHE_ENDED)
		return 0;

	/* From here on nobody gives what is in magazines back but we. */
	quarry_backend_del_reclaimer(backend, &cache->reclaimer);
	quarry_magazines_drain(&cache->magazines);

	nr = cache->slab.nr_used;
	nr -= min(nr, nr_retired(cache));
	err = quarry_slab_fini(&cache->slab, force || !nr, NULL);
	if (nr_used)
		*nr_used = nr;
	if (err == -EBUSY) {
		quarry_backend_add_reclaimer(backend, &cache->reclaimer);
		return err;
	}
	cache->special = CACHE_ENDED;
	quarry_magazines_fini(&cache->magazines);
	give_memory(cache);
	fini_source(cache);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_cache_fini);

/* ---- Giving back ---- */

/**
 * quarry_cache_drain() - give back to the slab all objects that are in magazines
 * @cache: the cache
 *
 * Context: process context with interrupts on, may sleep. As quarry_magazines_drain().
 * Return: how many objects that were.
 */
unsigned int quarry_cache_drain(struct quarry_cache *cache)
{
	return quarry_magazines_drain(&cache->magazines);
}
EXPORT_SYMBOL_GPL(quarry_cache_drain);

/**
 * quarry_cache_shrink() - be as small as can be without disturbing anyone
 * @cache: the cache
 *
 * The depot is emptied, magazines take as few objects as in the beginning, and all slabs
 * that are empty then go back, also those that the slab would keep. The CPUs keep their
 * magazines: quarry_cache_drain() first, if they should not.
 *
 * Context: any but NMI. O(slabs), and a flush of the depot.
 * Return: how many slabs went back.
 */
unsigned int quarry_cache_shrink(struct quarry_cache *cache)
{
	quarry_magazines_shrink(&cache->magazines);
	return quarry_slab_reclaim(&cache->slab, UINT_MAX);
}
EXPORT_SYMBOL_GPL(quarry_cache_shrink);

/**
 * quarry_cache_reclaim() - give back memory from any context
 * @cache: the cache
 * @max: how many slabs at most
 *
 * As quarry_magazines_reclaim(), and then up to @max slabs that are empty go back.
 *
 * Context: any but NMI, also with the backend's lock held. O(@max), and a flush of the
 * depot and of this CPU's magazines.
 * Return: how many slabs went back.
 */
unsigned int quarry_cache_reclaim(struct quarry_cache *cache, unsigned int max)
{
	quarry_magazines_reclaim(&cache->magazines);
	return quarry_slab_reclaim(&cache->slab, max);
}
EXPORT_SYMBOL_GPL(quarry_cache_reclaim);

/* What the backend calls when it runs short, with its lock held. */
static size_t reclaim(struct quarry_reclaimer *reclaimer)
{
	struct quarry_cache *cache = container_of(reclaimer, struct quarry_cache, reclaimer);
	u64 before = READ_ONCE(cache->slab.nr_released);

	quarry_cache_reclaim(cache, RECLAIM_MOST);
	return (READ_ONCE(cache->slab.nr_released) - before) * cache->slab.slab_size;
}

/* ---- Questions ---- */

/**
 * quarry_cache_name() - what the log calls a cache
 * @cache: the cache
 *
 * Context: any. O(1).
 * Return: the name that quarry_cache_init() was told.
 */
const char *quarry_cache_name(const struct quarry_cache *cache)
{
	return cache->slab.name;
}
EXPORT_SYMBOL_GPL(quarry_cache_name);

/**
 * quarry_cache_stats() - the figures of about this moment
 * @cache: the cache
 * @stats: filled in; exact if nobody uses the cache meanwhile
 *
 * Context: any but NMI. O(CPUs).
 */
void quarry_cache_stats(struct quarry_cache *cache, struct quarry_cache_stats *stats)
{
	u64 idle;

	quarry_magazines_stats(&cache->magazines, &stats->magazines);
	quarry_slab_stats(&cache->slab, &stats->slab);
	/* To the user, the bytes around an object are no part of it. */
	stats->slab.object_size = cache->object_size;
	stats->nr_failures = atomic64_read(&cache->nr_failures);
	stats->nr_misuses = atomic64_read(&cache->nr_misuses) + stats->slab.nr_misuses;
	stats->nr_damaged = nr_retired(cache);

	idle = stats->magazines.nr_cached + stats->nr_damaged;
	stats->nr_used = stats->slab.nr_used - min(stats->slab.nr_used, idle);
}
EXPORT_SYMBOL_GPL(quarry_cache_stats);

/**
 * quarry_cache_cpu_stats() - the figures of one CPU's magazines
 * @cache: the cache
 * @cpu: its number
 * @stats: filled in; exact if that CPU doesn't use the cache meanwhile
 *
 * Context: any but NMI. O(1).
 * Return: 0; -EINVAL if there can't be such a CPU, or @stats is NULL.
 */
int quarry_cache_cpu_stats(struct quarry_cache *cache, unsigned int cpu,
			   struct quarry_magazines_stats *stats)
{
	return stats ? quarry_magazines_cpu_stats(&cache->magazines, cpu, stats) : -EINVAL;
}
EXPORT_SYMBOL_GPL(quarry_cache_cpu_stats);

/* Whether an item in the depot is one that the slab gave out. */
static bool is_good(struct quarry_magazines *magazines, unsigned long item)
{
	struct quarry_slab_object object = {};

	return !quarry_slab_lookup(&cache_of(magazines)->slab, (void *)item, &object) &&
	       (unsigned long)object.start == item && !object.free;
}

/**
 * quarry_cache_verify() - recompute every invariant of a cache
 * @cache: the cache
 * @fault: filled in with what is wrong, if anything; may be NULL
 *
 * Its slabs, its depot, and whether each object in the depot is one of the slab's in use.
 *
 * Context: any but NMI. As quarry_slab_verify().
 * Return: 0; -EUCLEAN if something doesn't hold.
 */
int quarry_cache_verify(struct quarry_cache *cache, struct quarry_fault *fault)
{
	int err;

	err = quarry_slab_verify(&cache->slab, fault);
	if (!err && cache->has_source)
		err = quarry_slab_verify(&cache->source, fault);
	if (err)
		return err;
	err = quarry_magazines_verify(&cache->magazines, is_good, fault);
	/* An item is an address, which is told as an offset. */
	if (err && fault && fault->addr)
		fault->addr -= cache->slab.backend->region.base;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_cache_verify);
