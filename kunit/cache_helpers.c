// SPDX-License-Identifier: GPL-2.0
/*
 * Caches that end with the test, whatever becomes of it: a cache that was left would
 * be called when a CPU goes.
 */
#include "cache_helpers.h"

static void finish_cache(struct kunit *test, void *cache)
{
	qtest_cache_intact(test, cache);
	EXPECT_OK(test, quarry_cache_fini(cache, true, NULL));
}

struct quarry_cache *qtest_cache(struct kunit *test, const struct quarry_cache_config *config)
{
	struct quarry_cache *cache = qtest_aligned_memory(test, sizeof(*cache), SMP_CACHE_BYTES);

	ASSERT_OK(test, quarry_cache_init(cache, config));
	qtest_lodge(test, cache, finish_cache);
	return cache;
}

struct quarry_cache_config qtest_cache_config(struct kunit *test, size_t size, size_t align)
{
	return (struct quarry_cache_config) {
		.slab = qtest_slab_config(test, size, align),
	};
}

struct quarry_cache_stats qtest_cache_stats(struct quarry_cache *cache)
{
	struct quarry_cache_stats stats = {};

	quarry_cache_stats(cache, &stats);
	return stats;
}

void qtest_cache_intact(struct kunit *test, struct quarry_cache *cache)
{
	struct quarry_fault fault = {};

	KUNIT_EXPECT_EQ_MSG(test, quarry_cache_verify(cache, &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
}
