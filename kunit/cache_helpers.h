/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_CACHE_HELPERS_H
#define QUARRY_KUNIT_CACHE_HELPERS_H

#include "../lib/cache.h"
#include "backing.h"

/* A cache that test->priv finishes. */
struct quarry_cache *qtest_cache(struct kunit *test, const struct quarry_cache_config *config);

/* On the test's own backend, with nothing special to it. */
struct quarry_cache_config qtest_cache_config(struct kunit *test, size_t size, size_t align);
struct quarry_cache_stats qtest_cache_stats(struct quarry_cache *cache);
void qtest_cache_intact(struct kunit *test, struct quarry_cache *cache);

#endif /* QUARRY_KUNIT_CACHE_HELPERS_H */
