// SPDX-License-Identifier: GPL-2.0
/*
 * Caches: slab allocators with magazines for each CPU, used by one thread. What
 * they hand out and refuse, and where their objects are when nobody has them.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/smp.h>

#include "cache_helpers.h"

static struct quarry_cache *cache_of(struct kunit *test, size_t object_size)
{
	struct quarry_cache_config config = qtest_cache_config(test, object_size, 0);

	return qtest_cache(test, &config);
}

/* ---- init ---- */

static int try_init(struct kunit *test, const struct quarry_cache_config *config)
{
	return quarry_cache_init(qtest_aligned_memory(test, sizeof(struct quarry_cache),
						      SMP_CACHE_BYTES), config);
}

static void init_refuses_what_cannot_be(struct kunit *test)
{
	struct quarry_cache_config right = qtest_cache_config(test, 64, 0), wrong[9];
	struct quarry_cache *cache = qtest_aligned_memory(test, sizeof(*cache), SMP_CACHE_BYTES);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		wrong[i] = right;
	wrong[0].slab.backend = NULL;
	wrong[1].slab.name = NULL;
	wrong[2].slab.object_size = 0;
	wrong[3].slab.object_size = SIZE_MAX;
	wrong[4].slab.align = 24;
	wrong[5].flags = BIT(1);
	wrong[6].magazine_min = 20;
	wrong[6].magazine_max = 10;
	wrong[7].memory = qtest_aligned_memory(test, SZ_64K, 64) + 8;
	wrong[8].slab.object_size = SIZE_MAX;
	wrong[8].flags = QUARRY_CACHE_DEBUG;
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, try_init(test, &wrong[i]), -EINVAL, "%zu", i);
	EXPECT_ERR(test, quarry_cache_init(NULL, &right), -EINVAL);
	EXPECT_ERR(test, quarry_cache_init(cache, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

/* Wherever init finds no more memory, it leaves nothing behind. */
static void init_without_memory_leaves_nothing(struct kunit *test)
{
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct qtest_backing *backing = test->priv;

	WRITE_ONCE(backing->barren, true);
	EXPECT_ERR(test, try_init(test, &config), -ENOMEM);
	WRITE_ONCE(backing->barren, false);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	EXPECT_OK(test, quarry_backend_fini(&backing->backend));
	config.memory = qtest_aligned_memory(test, quarry_cache_memory_size(), SMP_CACHE_BYTES);
	WRITE_ONCE(backing->barren, true);
	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(qtest_cache(test, &config), 0));
	WRITE_ONCE(backing->barren, false);
}

static void a_fresh_cache_has_nothing(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 20);
	struct quarry_cache_stats stats = qtest_cache_stats(cache);

	KUNIT_EXPECT_STREQ(test, quarry_cache_name(cache), test->name);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_damaged, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.slab.nr_objects, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.magazines.nr_cached, 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_cache_drain(cache), 0U);
}

/* ---- Every kind of cache does what a slab allocator does ---- */

struct kind {
	const char *name;
	size_t object_size;
	size_t align;
	unsigned int flags;
	bool ctor;
	bool headers_outside;
	unsigned int min;
	unsigned int max;
};

static const struct kind kinds[] = {
	{ "8 bytes", 8, 8 },
	{ "64 bytes", 64, 64 },
	{ "100 bytes, header outside", 100, 32, .headers_outside = true },
	{ "4096 bytes", 4096, 4096, .headers_outside = true },
	{ "1 round", 64, 8, .min = 1, .max = 1 },
	{ "62 rounds", 64, 8, .min = 62, .max = 62 },
	{ "constructor", 64, 8, .ctor = true },
	{ "debug 8 bytes", 8, 8, QUARRY_CACHE_DEBUG },
	{ "debug 64 bytes", 64, 64, QUARRY_CACHE_DEBUG },
	{ "debug 13 bytes", 13, 0, QUARRY_CACHE_DEBUG },
	{ "debug 512 bytes aligned to 512", 512, 512, QUARRY_CACHE_DEBUG },
	{ "debug, constructor", 64, 8, QUARRY_CACHE_DEBUG, .ctor = true },
};

static void kind_desc(const struct kind *kind, char *desc)
{
	strscpy(desc, kind->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(kind, kinds, kind_desc);

static void make_numbered(void *ctx, void *object)
{
	memset(object, 0x77, 64);
}

static struct quarry_cache *cache_of_kind(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct quarry_cache_config config = qtest_cache_config(test, kind->object_size,
							       kind->align);
	struct quarry_slab_config headers;

	config.flags = kind->flags;
	config.magazine_min = kind->min;
	config.magazine_max = kind->max;
	config.slab.ctor = kind->ctor ? make_numbered : NULL;
	headers = qtest_slab_config(test, quarry_slab_header_size(&config.slab), 0);
	if (kind->headers_outside)
		config.slab.headers = qtest_slab(test, &headers);
	return qtest_cache(test, &config);
}

static void objects_hold_their_contents(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	size_t size = kind->object_size, align = max_t(size_t, kind->align, 8);
	struct quarry_cache *cache = cache_of_kind(test);
	unsigned int i, round, nr = size > 500 ? 20 : 300;
	void **objects = qtest_memory(test, nr * sizeof(*objects));

	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++) {
			objects[i] = quarry_cache_alloc(cache, 0);
			KUNIT_ASSERT_NOT_NULL(test, objects[i]);
			KUNIT_ASSERT_EQ(test, (unsigned long)objects[i] & (align - 1), 0UL);
			qtest_write(objects[i], size, i);
		}
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, (u64)nr);
		for (i = 0; i < nr; i++) {
			KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], size, i));
			KUNIT_ASSERT_EQ(test, quarry_cache_free(cache, objects[i]), 0);
		}
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
		qtest_cache_intact(test, cache);
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 0ULL);
}

/* Free again at once; after others; after all was drained: always refused. */
static void a_double_free_is_refused(struct kunit *test)
{
	struct quarry_cache *cache = cache_of_kind(test);
	const struct kind *kind = test->param_value;
	void *objects[5];
	int i;

	for (i = 0; i < 5; i++)
		objects[i] = quarry_cache_alloc(cache, 0);
	EXPECT_OK(test, quarry_cache_free(cache, objects[1]));
	EXPECT_ERR(test, quarry_cache_free(cache, objects[1]), -ENOENT);
	EXPECT_ERR(test, quarry_cache_free(cache, objects[1]), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 4ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 2ULL);
	EXPECT_OK(test, quarry_cache_free(cache, objects[2]));
	if (kind->ctor && !kind->flags)
		goto drain;
	EXPECT_ERR(test, quarry_cache_free(cache, objects[1]), -ENOENT);
	EXPECT_ERR(test, quarry_cache_free_bulk(cache, 2, objects + 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 5ULL);
drain:
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 3ULL);
	quarry_cache_drain(cache);
	EXPECT_ERR(test, quarry_cache_free(cache, objects[1]), -ENOENT);
	EXPECT_ERR(test, quarry_cache_free(cache, objects[2]), -ENOENT);
	for (i = 0; i < 5; i++)
		EXPECT_ERR(test, quarry_cache_free(cache, objects[i]),
			   i == 1 || i == 2 ? -ENOENT : 0);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
	qtest_cache_intact(test, cache);
}

/* Every address of a page of which some objects are in use. */
static void every_wrong_address_is_refused(struct kunit *test)
{
	struct quarry_cache *cache = cache_of_kind(test);
	struct quarry_cache_stats old;
	u64 i, nr_refused = 0;
	void *objects[3], *page;
	int j;

	for (j = 0; j < 3; j++)
		objects[j] = quarry_cache_alloc(cache, 0);
	page = PTR_ALIGN_DOWN(objects[0], SZ_4K);
	quarry_cache_drain(cache);
	old = qtest_cache_stats(cache);
	for (i = 0; i < SZ_4K; i++) {
		if (page + i == objects[0] || page + i == objects[1] || page + i == objects[2])
			continue;
		KUNIT_ASSERT_NE_MSG(test, quarry_cache_free(cache, page + i), 0, "at %llu", i);
		nr_refused++;
	}
	EXPECT_ERR(test, quarry_cache_free(cache, (void *)1), -EINVAL);
	EXPECT_ERR(test, quarry_cache_free(cache, (void *)-8), -EINVAL);
	EXPECT_ERR(test, quarry_cache_free(cache, test), -EINVAL);
	EXPECT_ERR(test, quarry_cache_free(cache, &cache), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, old.nr_misuses + nr_refused + 4);
	for (j = 0; j < 3; j++)
		EXPECT_OK(test, quarry_cache_free(cache, objects[j]));
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 0ULL);
}

static void free_of_null_does_nothing(struct kunit *test)
{
	struct quarry_cache *cache = cache_of_kind(test);
	void *objects[4] = {};

	EXPECT_OK(test, quarry_cache_free(cache, NULL));
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 4, objects));
	objects[2] = quarry_cache_alloc(cache, 0);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 4, objects));
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 0ULL);
}

static void zero_clears_the_object_and_no_more(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct quarry_cache *cache = cache_of_kind(test);
	size_t size = kind->object_size;
	void *objects[30];
	int i, round;

	if (kind->ctor) {
		KUNIT_EXPECT_NULL(test, quarry_cache_alloc(cache, QUARRY_SLAB_ZERO));
		KUNIT_EXPECT_EQ(test, quarry_cache_alloc_bulk(cache, QUARRY_SLAB_ZERO, 3, objects),
				0U);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 2ULL);
		return;
	}
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 15; i++)
			objects[i] = quarry_cache_alloc(cache, QUARRY_SLAB_ZERO);
		KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, QUARRY_SLAB_ZERO, 15,
							      objects + 15), 15U);
		for (i = 0; i < 30; i++) {
			KUNIT_ASSERT_NULL(test, memchr_inv(objects[i], 0, size));
			qtest_write(objects[i], size, i);
		}
		for (i = 0; i < 30; i++)
			KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], size, i));
		EXPECT_OK(test, quarry_cache_free_bulk(cache, 30, objects));
	}
}

static void unknown_flags_are_refused(struct kunit *test)
{
	struct quarry_cache *cache = cache_of_kind(test);
	void *object;

	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(cache, BIT(1)));
	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(cache, ~0U));
	KUNIT_EXPECT_EQ(test, quarry_cache_alloc_bulk(cache, BIT(5), 1, &object), 0U);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
}

static void lookup_tells_used_from_free(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct quarry_cache *cache = cache_of_kind(test);
	void *kept = quarry_cache_alloc(cache, 0), *freed = quarry_cache_alloc(cache, 0);
	struct quarry_slab_object object;
	size_t at;

	EXPECT_OK(test, quarry_cache_free(cache, freed));
	for (at = 0; at < kind->object_size; at += 3) {
		ASSERT_OK(test, quarry_cache_lookup(cache, kept + at, &object));
		KUNIT_EXPECT_PTR_EQ(test, object.start, kept);
		KUNIT_EXPECT_GE(test, object.size, kind->object_size);
		KUNIT_EXPECT_FALSE(test, object.free);
		ASSERT_OK(test, quarry_cache_lookup(cache, freed + at, &object));
		KUNIT_EXPECT_PTR_EQ(test, object.start, freed);
		KUNIT_EXPECT_TRUE(test, object.free);
	}
	EXPECT_ERR(test, quarry_cache_lookup(cache, test, &object), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 0ULL);
	EXPECT_OK(test, quarry_cache_free(cache, kept));
}

static void bulk_does_what_single_calls_do(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct quarry_cache *cache = cache_of_kind(test);
	unsigned int i, nr, most = kind->object_size > 500 ? 20 : 200;
	void **objects = qtest_memory(test, most * sizeof(*objects));

	for (nr = 0; nr <= most; nr += 1 + nr / 3) {
		KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, nr, objects), nr);
		for (i = 0; i < nr; i++)
			qtest_write(objects[i], kind->object_size, i);
		for (i = 0; i < nr; i++)
			KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], kind->object_size, i));
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, (u64)nr);
		EXPECT_OK(test, quarry_cache_free_bulk(cache, nr, objects));
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
		qtest_cache_intact(test, cache);
	}
}

static void bulk_refuses_what_is_wrong_and_frees_the_rest(struct kunit *test)
{
	struct quarry_cache *cache = cache_of_kind(test);
	void *objects[12], *last;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 12, objects), 12U);
	last = objects[11];
	objects[2] = NULL;
	objects[5] = objects[4];
	objects[8] += 1;
	objects[11] = test;
	EXPECT_ERR(test, quarry_cache_free_bulk(cache, 12, objects), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 4ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 3ULL);
	EXPECT_OK(test, quarry_cache_free(cache, last));
	EXPECT_OK(test, quarry_cache_free(cache, objects[8] - 1));
	qtest_cache_intact(test, cache);
}

static void bulk_without_an_array_is_refused(struct kunit *test)
{
	struct quarry_cache *cache = cache_of_kind(test);

	KUNIT_EXPECT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 1, NULL), 0U);
	EXPECT_ERR(test, quarry_cache_free_bulk(cache, 1, NULL), -EINVAL);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 0, NULL));
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 2ULL);
}

static void when_memory_ends_allocations_fail(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct quarry_cache *cache = cache_of_kind(test);
	unsigned int i, nr, most = SZ_256K / 8;
	void **objects = qtest_memory(test, most * sizeof(*objects));

	for (nr = 0; nr < most; nr++) {
		objects[nr] = quarry_cache_alloc(cache, 0);
		if (!objects[nr])
			break;
		qtest_write(objects[nr], kind->object_size, nr);
	}
	KUNIT_ASSERT_LT(test, nr, most);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_failures, 1ULL);
	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(cache, 0));
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_failures, 2ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, (u64)nr);
	/* Nothing hides in a magazine. */
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_used, (u64)nr);
	for (i = 0; i < nr; i++) {
		KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], kind->object_size, i));
		KUNIT_ASSERT_EQ(test, quarry_cache_free(cache, objects[i]), 0);
	}
	qtest_cache_intact(test, cache);
}

/* ---- Constructor ---- */

static void what_was_constructed_stays(struct kunit *test)
{
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct quarry_cache *cache;
	u8 *objects[100];
	int i, round;

	config.slab.ctor = make_numbered;
	cache = qtest_cache(test, &config);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 100; i++) {
			objects[i] = quarry_cache_alloc(cache, 0);
			KUNIT_ASSERT_NOT_NULL(test, objects[i]);
			KUNIT_ASSERT_NULL(test, memchr_inv(objects[i], 0x77, 64));
		}
		for (i = 0; i < 100; i++)
			EXPECT_OK(test, quarry_cache_free(cache, objects[i]));
		if (round == 1)
			quarry_cache_drain(cache);
	}
}

/*
 * With a constructor nothing may be written into a free object, so this one is found
 * only when the slab gets it a second time; and it doesn't.
 */
static void a_late_double_free_corrupts_nothing(struct kunit *test)
{
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct quarry_cache *cache;
	void *objects[3];
	int i;

	config.slab.ctor = make_numbered;
	cache = qtest_cache(test, &config);
	for (i = 0; i < 3; i++)
		objects[i] = quarry_cache_alloc(cache, 0);
	EXPECT_OK(test, quarry_cache_free(cache, objects[0]));
	EXPECT_OK(test, quarry_cache_free(cache, objects[1]));
	quarry_cache_free(cache, objects[0]);
	quarry_cache_drain(cache);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 1ULL);
	qtest_cache_intact(test, cache);
	KUNIT_EXPECT_PTR_NE(test, quarry_cache_alloc(cache, 0), quarry_cache_alloc(cache, 0));
}

/* ---- Of other caches ---- */

static void objects_of_other_caches_are_refused(struct kunit *test)
{
	struct quarry_cache *caches[2] = { cache_of(test, 64), cache_of(test, 64) };
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	struct quarry_slab *slab = qtest_slab(test, &config);
	void *objects[2], *other = qtest_slab_object(test, slab);
	int i;

	for (i = 0; i < 2; i++)
		objects[i] = quarry_cache_alloc(caches[i], 0);
	for (i = 0; i < 2; i++) {
		EXPECT_ERR(test, quarry_cache_free(caches[i], objects[!i]), -EINVAL);
		EXPECT_ERR(test, quarry_cache_free(caches[i], other), -EINVAL);
		EXPECT_ERR(test, quarry_slab_free(slab, objects[i]), -EINVAL);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(caches[i]).nr_misuses, 2ULL);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(caches[i]).nr_used, 1ULL);
	}
	for (i = 0; i < 2; i++)
		EXPECT_OK(test, quarry_cache_free(caches[i], objects[i]));
}

/* What a slab allocator has got back for good is foreign, or was never given. */
static void objects_of_released_slabs_are_refused(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 1024);
	struct qtest_backing *backing = test->priv;
	void *objects[60], *pages[NR_PAGES];
	int i, nr = 0;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 60, objects), 60U);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 60, objects));
	quarry_cache_drain(cache);
	quarry_backend_reclaim(&backing->backend);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_slabs, 0ULL);
	while (nr < NR_PAGES) {
		pages[nr] = quarry_backend_take(&backing->backend, SZ_4K);
		if (!pages[nr])
			break;
		memset(pages[nr++], 0x33, SZ_4K);
	}
	for (i = 0; i < 60; i++)
		EXPECT_ERR(test, quarry_cache_free(cache, objects[i]), -EINVAL);
	while (nr--) {
		KUNIT_EXPECT_NULL(test, memchr_inv(pages[nr], 0x33, SZ_4K));
		EXPECT_OK(test, quarry_backend_give(&backing->backend, pages[nr], SZ_4K));
	}
}

/* ---- Magazines ---- */

/* The hot path asks nobody: not the slab, and not the depot. */
static void hot_objects_come_from_the_magazine(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	struct quarry_cache_stats old, now;
	void *object, *first;
	int i;

	first = quarry_cache_alloc(cache, 0);
	EXPECT_OK(test, quarry_cache_free(cache, first));
	preempt_disable();
	old = qtest_cache_stats(cache);
	for (i = 0; i < 1000; i++) {
		object = quarry_cache_alloc(cache, 0);
		if (object != first || quarry_cache_free(cache, object))
			break;
	}
	now = qtest_cache_stats(cache);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, i, 1000);
	KUNIT_EXPECT_EQ(test, now.magazines.nr_gets, old.magazines.nr_gets + 1000);
	KUNIT_EXPECT_EQ(test, now.magazines.nr_puts, old.magazines.nr_puts + 1000);
	KUNIT_EXPECT_EQ(test, now.magazines.nr_exchanges, old.magazines.nr_exchanges);
	KUNIT_EXPECT_EQ(test, now.slab.nr_allocs, old.slab.nr_allocs);
	KUNIT_EXPECT_EQ(test, now.slab.nr_frees, old.slab.nr_frees);
}

static void drain_leaves_nothing_cached(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	void **objects = qtest_memory(test, 1000 * sizeof(*objects));
	struct quarry_cache_stats stats;
	u64 cached;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 1000, objects), 1000U);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 999, objects));
	cached = qtest_cache_stats(cache).magazines.nr_cached;
	KUNIT_EXPECT_GT(test, cached, 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_cache_drain(cache), (unsigned int)cached);
	stats = qtest_cache_stats(cache);
	KUNIT_EXPECT_EQ(test, stats.magazines.nr_cached, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.slab.nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 1ULL);
	EXPECT_OK(test, quarry_cache_free(cache, objects[999]));
}

static void shrink_gives_empty_slabs_back(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	void **objects = qtest_memory(test, 2000 * sizeof(*objects));

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 2000, objects), 2000U);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 2000, objects));
	quarry_cache_drain(cache);
	quarry_cache_shrink(cache);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_slabs, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_objects, 0ULL);
}

/* When the backend runs short, what caches keep is had first, of all of them. */
static void what_caches_keep_is_had_before_a_request_fails(struct kunit *test)
{
	struct quarry_cache *caches[2] = { cache_of(test, 64), cache_of(test, 200) };
	void **objects = qtest_memory(test, 2000 * sizeof(*objects));
	struct quarry_cache *heir = cache_of(test, 1024);
	struct quarry_backend_stats stats;
	struct qtest_backing *backing = test->priv;
	unsigned int nr, i;

	for (i = 0; i < 2; i++) {
		nr = quarry_cache_alloc_bulk(caches[i], 0, i ? 300 : 1000, objects);
		EXPECT_OK(test, quarry_cache_free_bulk(caches[i], nr, objects));
	}
	for (nr = 0; (objects[nr] = quarry_cache_alloc(heir, 0)); nr++)
		qtest_write(objects[nr], 1024, nr);
	kunit_info(test, "%u objects", nr);
	quarry_backend_stats(&backing->backend, &stats);
	KUNIT_EXPECT_GT(test, stats.reclaimed, 0ULL);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(caches[i]).magazines.nr_cached, 0ULL);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(caches[i]).slab.nr_slabs, 0ULL);
		qtest_cache_intact(test, caches[i]);
	}
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 1024, i));
	EXPECT_OK(test, quarry_cache_free_bulk(heir, nr, objects));
}

/* All of it at once: also the memory of the magazines that held it. */
static void one_request_has_all_that_a_cache_keeps(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	void **objects = qtest_memory(test, 2000 * sizeof(*objects));
	u64 share = qtest_backing_used(test->priv), used;
	struct qtest_backing *backing = test->priv;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 2000, objects), 2000U);
	quarry_cache_drain(cache);
	preempt_disable();
	quarry_cache_free_bulk(cache, 2000, objects);
	quarry_backend_reclaim(&backing->backend);
	used = qtest_backing_used(backing);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, used, share);
}

static void magazines_can_be_shared(struct kunit *test)
{
	struct quarry_slab_config magazines = qtest_slab_config(test, QUARRY_MAGAZINE_SIZE, 0);
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct quarry_slab *shared = qtest_slab(test, &magazines);
	struct quarry_cache *caches[3];
	void *objects[50];
	int i;

	config.magazines = shared;
	for (i = 0; i < 3; i++) {
		config.slab.object_size = 64 << i;
		caches[i] = qtest_cache(test, &config);
		KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(caches[i], 0, 50, objects), 50U);
		EXPECT_OK(test, quarry_cache_free_bulk(caches[i], 50, objects));
	}
	KUNIT_EXPECT_GE(test, qtest_slab_stats(shared).nr_used, 3ULL);
	for (i = 0; i < 3; i++) {
		EXPECT_OK(test, quarry_cache_fini(caches[i], false, NULL));
		qtest_forget(test, caches[i]);
	}
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(shared).nr_used, 0ULL);
}

/* Without memory for a magazine, and a region of hardly anything, all still goes on. */
static void without_magazines_all_goes_on(struct kunit *test)
{
	struct quarry_slab_config magazines = { .name = "none", .object_size = 512 };
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct quarry_cache *cache;
	void **objects = qtest_memory(test, 200 * sizeof(*objects));
	int i;

	config.magazines = qtest_slab(test, &magazines);
	cache = qtest_cache(test, &config);
	for (i = 0; i < 200; i++) {
		objects[i] = quarry_cache_alloc(cache, 0);
		KUNIT_ASSERT_NOT_NULL(test, objects[i]);
	}
	for (i = 0; i < 200; i++) {
		EXPECT_OK(test, quarry_cache_free(cache, objects[i]));
		KUNIT_EXPECT_LT(test, quarry_cache_free(cache, objects[i]), 0);
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).magazines.nr_cached, 0ULL);
}

static void rounds_stay_within_limits(struct kunit *test)
{
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	static const struct { unsigned int min, max; } limits[] = {
		{ 1, 1 }, { 1, 62 }, { 7, 9 }, { 30, 30 }, { 62, 62 }, { 100, 200 },
	};
	unsigned int rounds, most = QUARRY_MAGAZINE_ROUNDS;
	void **objects = qtest_memory(test, 300 * sizeof(*objects));
	struct quarry_cache *cache;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		config.magazine_min = limits[i].min;
		config.magazine_max = limits[i].max;
		cache = qtest_cache(test, &config);
		KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 300, objects), 300U);
		EXPECT_OK(test, quarry_cache_free_bulk(cache, 300, objects));
		rounds = qtest_cache_stats(cache).magazines.rounds;
		KUNIT_EXPECT_GE(test, rounds, min(limits[i].min, most));
		KUNIT_EXPECT_LE(test, rounds, min(limits[i].max, most));
		qtest_cache_intact(test, cache);
		EXPECT_OK(test, quarry_cache_fini(cache, false, NULL));
		qtest_forget(test, cache);
	}
}

/* ---- Other CPUs ---- */

static void use_here(void *info)
{
	struct quarry_cache *cache = info;
	void *objects[40];

	quarry_cache_alloc_bulk(cache, 0, 40, objects);
	quarry_cache_free_bulk(cache, 40, objects);
}

static void each_cpu_has_its_figures(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	struct quarry_magazines_stats stats;
	unsigned int cpu;
	u64 sum = 0;

	for_each_online_cpu(cpu)
		ASSERT_OK(test, smp_call_function_single(cpu, use_here, cache, 1));
	for_each_online_cpu(cpu) {
		ASSERT_OK(test, quarry_cache_cpu_stats(cache, cpu, &stats));
		KUNIT_EXPECT_EQ(test, stats.nr_gets + stats.nr_get_misses, 40ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_puts + stats.nr_put_misses, 40ULL);
		sum += stats.nr_gets;
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).magazines.nr_gets, sum);
	EXPECT_ERR(test, quarry_cache_cpu_stats(cache, nr_cpu_ids, &stats), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
	quarry_cache_drain(cache);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_used, 0ULL);
}

#define NR_OTHERS	300

/**
 * struct errand - something to be done on another CPU
 * @cache: with this cache
 * @object: with this object
 * @others: and with NR_OTHERS others, if any
 * @err: what came of it
 */
struct errand {
	struct quarry_cache *cache;
	void *object;
	void **others;
	int err;
};

static void alloc_here(void *info)
{
	struct errand *errand = info;

	errand->object = quarry_cache_alloc(errand->cache, 0);
}

static void free_here(void *info)
{
	struct errand *errand = info;

	errand->err = quarry_cache_free(errand->cache, errand->object);
}

static int free_on(struct kunit *test, unsigned int cpu, struct errand *errand)
{
	KUNIT_ASSERT_EQ(test, smp_call_function_single(cpu, free_here, errand, 1), 0);
	return errand->err;
}

/* Wherever it was allocated and freed: to no CPU it looks as if it could be. */
static void a_double_free_on_another_cpu_is_refused(struct kunit *test)
{
	struct errand errand = { .cache = cache_of_kind(test) };
	const struct kind *kind = test->param_value;
	unsigned int from, to, cpu;
	u64 nr_misuses = 0;

	if (kind->ctor && !kind->flags)
		return;
	for_each_online_cpu(from)
		for_each_online_cpu(to) {
			ASSERT_OK(test, smp_call_function_single(from, alloc_here, &errand, 1));
			KUNIT_ASSERT_NOT_NULL(test, errand.object);
			EXPECT_OK(test, free_on(test, to, &errand));
			for_each_online_cpu(cpu) {
				EXPECT_ERR(test, free_on(test, cpu, &errand), -ENOENT);
				nr_misuses++;
			}
		}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(errand.cache).nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(errand.cache).nr_misuses, nr_misuses);
	qtest_cache_intact(test, errand.cache);
}

/* So many others are freed before and after it that it doesn't stay in a magazine. */
static void flush_here(void *info)
{
	struct errand *errand = info;
	struct quarry_cache *cache = errand->cache;

	quarry_cache_alloc_bulk(cache, 0, NR_OTHERS, errand->others);
	quarry_cache_free_bulk(cache, NR_OTHERS / 3, errand->others);
	errand->err = quarry_cache_free(cache, errand->object);
	quarry_cache_free_bulk(cache, 2 * NR_OTHERS / 3, errand->others + NR_OTHERS / 3);
}

/*
 * The CPU that gave it out last may remember it, and its user has written into it; but
 * another CPU has flushed it meanwhile, and it is in the slab.
 */
static void an_object_that_was_flushed_is_not_taken_back(struct kunit *test)
{
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct errand errand = {
		.others = qtest_memory(test, NR_OTHERS * sizeof(*errand.others)),
	};
	unsigned int here = cpumask_first(cpu_online_mask);
	unsigned int there = cpumask_any_but(cpu_online_mask, here);
	void *other;

	if (there >= nr_cpu_ids) {
		kunit_skip(test, "needs two CPUs");
		return;
	}
	config.magazine_min = 2;
	config.magazine_max = 2;
	errand.cache = qtest_cache(test, &config);
	ASSERT_OK(test, smp_call_function_single(here, alloc_here, &errand, 1));
	other = errand.object;
	ASSERT_OK(test, smp_call_function_single(here, alloc_here, &errand, 1));
	ASSERT_OK(test, smp_call_function_single(there, flush_here, &errand, 1));
	EXPECT_OK(test, errand.err);
	*(unsigned long *)errand.object = 42;
	KUNIT_EXPECT_LT(test, free_on(test, here, &errand), 0);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(errand.cache).nr_used, 1ULL);
	errand.object = other;
	EXPECT_OK(test, free_on(test, here, &errand));
}

/* What other CPUs keep comes back a moment after the backend has asked for it. */
static void other_cpus_give_back_when_asked(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_cache *cache = cache_of(test, 64);
	unsigned int cpu, tries = 0;

	for_each_online_cpu(cpu)
		ASSERT_OK(test, smp_call_function_single(cpu, use_here, cache, 1));
	while (qtest_cache_stats(cache).slab.nr_slabs && tries++ < 1000) {
		quarry_backend_reclaim(&backing->backend);
		usleep_range(100, 200);
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.nr_slabs, 0ULL);
	qtest_cache_intact(test, cache);
}

/* ---- fini ---- */

static void fini_is_refused_while_objects_are_out(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	void *objects[100];
	u64 nr_used = 0;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 100, objects), 100U);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 30, objects));
	EXPECT_ERR(test, quarry_cache_fini(cache, false, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 70ULL);
	EXPECT_ERR(test, quarry_cache_fini(cache, false, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 70ULL);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 70, objects + 30));
	KUNIT_EXPECT_NOT_NULL(test, objects[0] = quarry_cache_alloc(cache, 0));
	EXPECT_OK(test, quarry_cache_free(cache, objects[0]));
	EXPECT_OK(test, quarry_cache_fini(cache, false, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	qtest_forget(test, cache);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

static void fini_by_force_gives_everything_back(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	void *objects[100];
	u64 nr_used = 0;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 100, objects), 100U);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 30, objects));
	EXPECT_OK(test, quarry_cache_fini(cache, true, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 70ULL);
	qtest_forget(test, cache);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

/* The memory that its CPUs' shares were in is somebody else's by then. */
static void after_fini_nothing_is_served(struct kunit *test)
{
	struct quarry_cache *cache = cache_of(test, 64);
	void *object = quarry_cache_alloc(cache, 0);
	u64 nr_used = 1;

	EXPECT_OK(test, quarry_cache_free(cache, object));
	EXPECT_OK(test, quarry_cache_fini(cache, false, NULL));
	qtest_forget(test, cache);
	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(cache, 0));
	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(cache, QUARRY_SLAB_ZERO));
	KUNIT_EXPECT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 1, &object), 0U);
	KUNIT_EXPECT_EQ(test, quarry_cache_drain(cache), 0U);
	KUNIT_EXPECT_EQ(test, quarry_cache_reclaim(cache, 1), 0U);
	EXPECT_OK(test, quarry_cache_fini(cache, false, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

static struct kunit_case cache_cases[] = {
	KUNIT_CASE(init_refuses_what_cannot_be),
	KUNIT_CASE(init_without_memory_leaves_nothing),
	KUNIT_CASE(a_fresh_cache_has_nothing),
	KUNIT_CASE_PARAM(objects_hold_their_contents, kind_gen_params),
	KUNIT_CASE_PARAM(a_double_free_is_refused, kind_gen_params),
	KUNIT_CASE_PARAM(every_wrong_address_is_refused, kind_gen_params),
	KUNIT_CASE_PARAM(free_of_null_does_nothing, kind_gen_params),
	KUNIT_CASE_PARAM(zero_clears_the_object_and_no_more, kind_gen_params),
	KUNIT_CASE_PARAM(unknown_flags_are_refused, kind_gen_params),
	KUNIT_CASE_PARAM(lookup_tells_used_from_free, kind_gen_params),
	KUNIT_CASE_PARAM(bulk_does_what_single_calls_do, kind_gen_params),
	KUNIT_CASE_PARAM(bulk_refuses_what_is_wrong_and_frees_the_rest, kind_gen_params),
	KUNIT_CASE_PARAM(bulk_without_an_array_is_refused, kind_gen_params),
	KUNIT_CASE_PARAM(when_memory_ends_allocations_fail, kind_gen_params),
	KUNIT_CASE(what_was_constructed_stays),
	KUNIT_CASE(a_late_double_free_corrupts_nothing),
	KUNIT_CASE(objects_of_other_caches_are_refused),
	KUNIT_CASE(objects_of_released_slabs_are_refused),
	KUNIT_CASE(hot_objects_come_from_the_magazine),
	KUNIT_CASE(drain_leaves_nothing_cached),
	KUNIT_CASE(shrink_gives_empty_slabs_back),
	KUNIT_CASE(what_caches_keep_is_had_before_a_request_fails),
	KUNIT_CASE(one_request_has_all_that_a_cache_keeps),
	KUNIT_CASE(magazines_can_be_shared),
	KUNIT_CASE(without_magazines_all_goes_on),
	KUNIT_CASE(rounds_stay_within_limits),
	KUNIT_CASE(each_cpu_has_its_figures),
	KUNIT_CASE_PARAM(a_double_free_on_another_cpu_is_refused, kind_gen_params),
	KUNIT_CASE(an_object_that_was_flushed_is_not_taken_back),
	KUNIT_CASE(other_cpus_give_back_when_asked),
	KUNIT_CASE(fini_is_refused_while_objects_are_out),
	KUNIT_CASE(fini_by_force_gives_everything_back),
	KUNIT_CASE(after_fini_nothing_is_served),
	{}
};

static struct kunit_suite cache_suite = {
	.name = "quarry_cache",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = cache_cases,
};

kunit_test_suite(cache_suite);
