// SPDX-License-Identifier: GPL-2.0
/*
 * Caches, zones, and magazines of something else.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <linux/cache.h>
#include <linux/kernel.h>
#include <linux/smp.h>
#include <linux/string.h>

#include <quarry/cache.h>
#include <quarry/default.h>
#include <quarry/magazine.h>
#include <quarry/zone.h>

#include "consumer.h"

static void use_one_cache(struct quarry_backend *backend)
{
	static struct quarry_cache cache;
	struct quarry_cache_config config = {
		.slab = { .name = "consumer", .object_size = 100, .backend = backend },
		.memory = own_memory(quarry_cache_memory_size()),
	};
	struct quarry_magazines_stats magazines;
	struct quarry_slab_object found;
	struct quarry_cache_stats stats;
	void *objects[40], *object;

	CHECK(!quarry_cache_init(&cache, &config));
	CHECK(!strcmp(quarry_cache_name(&cache), "consumer"));
	object = quarry_cache_alloc(&cache, QUARRY_SLAB_ZERO);
	CHECK(object && !memchr_inv(object, 0, 100));
	CHECK(!quarry_cache_lookup(&cache, object + 99, &found) && found.start == object);
	CHECK(quarry_cache_free(&cache, object + 1) == -EINVAL);
	CHECK(!quarry_cache_free(&cache, object));
	CHECK(quarry_cache_free(&cache, object) == -ENOENT);
	CHECK(quarry_cache_alloc_bulk(&cache, 0, ARRAY_SIZE(objects), objects) ==
	      ARRAY_SIZE(objects));
	CHECK(!quarry_cache_free_bulk(&cache, ARRAY_SIZE(objects), objects));
	quarry_cache_stats(&cache, &stats);
	CHECK(!stats.nr_used && !stats.nr_failures);
	CHECK(!quarry_cache_cpu_stats(&cache, raw_smp_processor_id(), &magazines));
	quarry_cache_shrink(&cache);
	CHECK(!quarry_cache_verify(&cache, NULL));
	quarry_cache_drain(&cache);
	CHECK(quarry_cache_reclaim(&cache, 10));
	CHECK(!quarry_cache_fini(&cache, false, NULL));
}

static void allocate(struct quarry_zone *zone)
{
	size_t size;

	for (size = 1; size <= QUARRY_ZONE_MAX_SIZE; size = size * 3 + 1) {
		void *object = quarry_zone_alloc(zone, size, 0, 0);

		CHECK(object);
		CHECK(quarry_zone_usable_size(zone, object) == quarry_zone_class_size(size));
		CHECK(!quarry_zone_free(zone, object));
	}
	CHECK(!quarry_zone_alloc(zone, 0, 0, 0));
	CHECK(quarry_zone_free(zone, &size) == -EINVAL);
}

static void use_one_zone(struct quarry_backend *backend)
{
	static struct quarry_zone zone __cacheline_aligned;
	const struct quarry_zone_config config = {
		.name = "consumer",
		.backend = backend,
		.memory = own_memory(quarry_zone_memory_size()),
	};
	struct quarry_zone_stats stats;

	CHECK(!quarry_zone_init(&zone, &config));
	CHECK(quarry_zone_cache(&zone, 0));
	allocate(&zone);
	quarry_zone_stats(&zone, &stats);
	CHECK(!stats.nr_used && stats.nr_allocs == stats.nr_frees);
	CHECK(!quarry_zone_verify(&zone, NULL));
	CHECK(quarry_zone_reclaim(&zone, 100));
	CHECK(!quarry_zone_fini(&zone, false, NULL));
	allocate(quarry_default_zone());
}

/* Numbers from 1 on, and back with them. */
static unsigned int fill(struct quarry_magazines *magazines, unsigned long *items,
			 unsigned int nr)
{
	unsigned int i;

	plant();
	for (i = 0; i < nr; i++)
		items[i] = i + 1;
	return nr;
}

static void flush(struct quarry_magazines *magazines, const unsigned long *items,
		  unsigned int nr)
{
}

static bool is_good(struct quarry_magazines *magazines, unsigned long item)
{
	return item;
}

static void use_magazines(struct quarry_backend *backend)
{
	static const struct quarry_magazines_ops ops = { .fill = fill, .flush = flush };
	const struct quarry_slab_config source_config = {
		.name = "consumer's magazines",
		.object_size = QUARRY_MAGAZINE_SIZE,
		.backend = backend,
	};
	static struct quarry_magazines magazines;
	static struct quarry_slab source;
	const struct quarry_magazines_config config = {
		.ops = &ops,
		.source = &source,
		.memory = own_memory(quarry_magazines_memory_size()),
		.min = 4,
		.max = 8,
	};
	struct quarry_magazines_stats stats;
	unsigned long items[20], item;

	CHECK(!quarry_slab_init(&source, &source_config));
	CHECK(!quarry_magazines_init(&magazines, &config));
	item = quarry_magazines_get(&magazines);
	CHECK(item);
	quarry_magazines_put(&magazines, item);
	CHECK(quarry_magazines_holds(&magazines, item));
	CHECK(quarry_magazines_get_bulk(&magazines, items, ARRAY_SIZE(items)));
	quarry_magazines_put_bulk(&magazines, items, ARRAY_SIZE(items));
	quarry_magazines_stats(&magazines, &stats);
	CHECK(stats.nr_cached);
	CHECK(!quarry_magazines_cpu_stats(&magazines, raw_smp_processor_id(), &stats));
	CHECK(!quarry_magazines_verify(&magazines, is_good, NULL));
	quarry_magazines_shrink(&magazines);
	quarry_magazines_reclaim(&magazines);
	quarry_magazines_drain(&magazines);
	quarry_magazines_fini(&magazines);
	CHECK(!quarry_slab_fini(&source, false, NULL));
}

void use_cache(struct quarry_backend *backend)
{
	use_one_cache(backend);
	use_one_zone(backend);
	use_magazines(backend);
}
