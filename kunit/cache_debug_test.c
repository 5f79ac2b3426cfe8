// SPDX-License-Identifier: GPL-2.0
/*
 * Caches with QUARRY_CACHE_DEBUG: what is written where nobody may write is found,
 * counted, and the object never seen again; and so is every double free.
 */
#include "cache_helpers.h"

static struct quarry_cache *debug_cache(struct kunit *test, size_t size, size_t align)
{
	struct quarry_cache_config config = qtest_cache_config(test, size, align);

	config.flags = QUARRY_CACHE_DEBUG;
	return qtest_cache(test, &config);
}

struct shape {
	const char *name;
	size_t size;
	size_t align;
};

static const struct shape shapes[] = {
	{ "1 byte", 1, 1 }, { "8 bytes", 8, 8 }, { "9 bytes", 9, 8 }, { "13 bytes", 13, 1 },
	{ "64 bytes", 64, 8 }, { "64 bytes aligned to 64", 64, 64 }, { "100 bytes", 100, 4 },
	{ "500 bytes aligned to 256", 500, 256 }, { "1000 bytes", 1000, 8 },
};

static void shape_desc(const struct shape *shape, char *desc)
{
	strscpy(desc, shape->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(shape, shapes, shape_desc);

/* Takes and frees many, none of which may be a certain one. */
static void never_see(struct kunit *test, struct quarry_cache *cache, const void *gone)
{
	void **objects = qtest_memory(test, 60 * sizeof(*objects));
	int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 60; i++) {
			objects[i] = quarry_cache_alloc(cache, 0);
			KUNIT_ASSERT_NOT_NULL(test, objects[i]);
			KUNIT_ASSERT_PTR_NE(test, objects[i], (void *)gone);
		}
		for (i = 0; i < 60; i++)
			KUNIT_ASSERT_EQ(test, quarry_cache_free(cache, objects[i]), 0);
		quarry_cache_drain(cache);
	}
}

/* Any byte of a free object, however far in: found when it would be given out again. */
static void a_write_to_a_free_object_is_found(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	size_t at, step = shape->size > 128 ? 37 : 1;
	struct quarry_cache *cache;
	u8 *object = NULL, *other;
	u64 nr_damaged = 0;

	cache = debug_cache(test, shape->size, shape->align);
	for (at = 0; at < shape->size; at += step) {
		object = quarry_cache_alloc(cache, 0);
		ASSERT_OK(test, quarry_cache_free(cache, object));
		object[at] ^= 0x10;
		other = quarry_cache_alloc(cache, 0);
		KUNIT_ASSERT_NOT_NULL(test, other);
		KUNIT_EXPECT_PTR_NE_MSG(test, other, object, "at %zu", at);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, ++nr_damaged);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 1ULL);
		ASSERT_OK(test, quarry_cache_free(cache, other));
	}
	never_see(test, cache, object);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, nr_damaged);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 0ULL);
	EXPECT_OK(test, quarry_cache_fini(cache, false, NULL));
	qtest_forget(test, cache);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

/*
 * The byte before an object, and the one behind it: what was asked for, not the rounding.
 * The guards are a word at least.
 */
static void a_write_beyond_an_object_is_found(struct kunit *test)
{
	static const int before[] = { -1, -2, -(int)sizeof(long) };
	const struct shape *shape = test->param_value;
	struct quarry_cache *cache = debug_cache(test, shape->size, shape->align);
	size_t i;
	u8 *object;

	for (i = 0; i < 2 * ARRAY_SIZE(before); i++) {
		ssize_t at = i % 2 ? before[i / 2] : -1 - before[i / 2] + (ssize_t)shape->size;

		object = quarry_cache_alloc(cache, 0);
		KUNIT_ASSERT_NOT_NULL(test, object);
		qtest_write(object, shape->size, i);
		object[at] ^= 0x80;
		KUNIT_EXPECT_EQ_MSG(test, quarry_cache_free(cache, object), -EIO, "at %zd", at);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, i + 1ULL);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
		never_see(test, cache, object);
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, (u64)i);
	EXPECT_OK(test, quarry_cache_fini(cache, false, NULL));
	qtest_forget(test, cache);
}

/* All that its user may write to may be written to. */
static void a_write_to_an_object_in_use_is_no_damage(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	struct quarry_cache *cache = debug_cache(test, shape->size, shape->align);
	unsigned int value;
	u8 *object;

	for (value = 0; value < 256; value++) {
		object = quarry_cache_alloc(cache, value % 2 ? QUARRY_SLAB_ZERO : 0);
		KUNIT_ASSERT_NOT_NULL(test, object);
		memset(object, value, shape->size);
		EXPECT_OK(test, quarry_cache_free(cache, object));
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 0ULL);
}

/* However long ago, whatever was written since, in whatever magazine: all of them. */
static void every_double_free_is_found(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	struct quarry_cache *cache = debug_cache(test, shape->size, shape->align);
	void **objects = qtest_memory(test, 100 * sizeof(*objects));
	u64 nr_misuses = 0;
	int i, j;

	/* With a slab that goes back goes what is known of its objects. */
	ASSERT_OK(test, quarry_slab_set_keep(&cache->slab, 100));
	for (i = 0; i < 100; i++)
		objects[i] = quarry_cache_alloc(cache, 0);
	for (i = 0; i < 100; i++) {
		ASSERT_OK(test, quarry_cache_free(cache, objects[i]));
		for (j = 0; j <= i; j += 1 + j / 4) {
			KUNIT_ASSERT_EQ(test, quarry_cache_free(cache, objects[j]), -ENOENT);
			nr_misuses++;
		}
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, nr_misuses);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 0ULL);
	quarry_cache_drain(cache);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_NE(test, quarry_cache_free(cache, objects[i]), 0);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 0ULL);
	qtest_cache_intact(test, cache);
}

/* Also one after which its first user has written into it. */
static void a_double_free_after_a_write_is_found(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	struct quarry_cache *cache = debug_cache(test, shape->size, shape->align);
	u8 *object = quarry_cache_alloc(cache, 0);

	EXPECT_OK(test, quarry_cache_free(cache, object));
	memset(object, 0, shape->size);
	EXPECT_ERR(test, quarry_cache_free(cache, object), -ENOENT);
	KUNIT_EXPECT_PTR_NE(test, quarry_cache_alloc(cache, 0), (void *)object);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_misuses, 1ULL);
}

/* What is damaged may come back although it is free, and be met again where it is. */
static void a_damaged_object_is_counted_once(struct kunit *test)
{
	struct quarry_cache *cache = debug_cache(test, 64, 0);
	u8 *object = quarry_cache_alloc(cache, 0), *other;
	u64 nr_used = ~0ULL;

	EXPECT_OK(test, quarry_cache_free(cache, object));
	object[-1] ^= 0x80;
	EXPECT_ERR(test, quarry_cache_free(cache, object), -EIO);
	EXPECT_ERR(test, quarry_cache_free(cache, object), -ENOENT);
	other = quarry_cache_alloc(cache, 0);
	KUNIT_EXPECT_NOT_NULL(test, other);
	KUNIT_EXPECT_PTR_NE(test, other, object);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_used, 1ULL);
	EXPECT_OK(test, quarry_cache_free(cache, other));
	ASSERT_OK(test, quarry_cache_fini(cache, false, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	qtest_forget(test, cache);
}

/* Damage of one object is damage of that one. */
static void neighbours_of_a_damaged_object_are_well(struct kunit *test)
{
	struct quarry_cache *cache = debug_cache(test, 64, 0);
	void **objects = qtest_memory(test, 30 * sizeof(*objects));
	int i;

	for (i = 0; i < 30; i++) {
		objects[i] = quarry_cache_alloc(cache, 0);
		qtest_write(objects[i], 64, i);
	}
	for (i = 0; i < 30; i += 3)
		((u8 *)objects[i])[64] ^= 1;
	for (i = 0; i < 30; i++) {
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 64, i));
		EXPECT_ERR(test, quarry_cache_free(cache, objects[i]), i % 3 ? 0 : -EIO);
	}
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 10ULL);
	qtest_cache_intact(test, cache);
}

/* If one allocation meets nothing but damage, it has an end. */
static void much_damage_is_passed_over(struct kunit *test)
{
	struct quarry_cache *cache = debug_cache(test, 64, 0);
	void **objects = qtest_memory(test, 200 * sizeof(*objects)), *object = NULL;
	int i, tries;

	KUNIT_ASSERT_EQ(test, quarry_cache_alloc_bulk(cache, 0, 200, objects), 200U);
	EXPECT_OK(test, quarry_cache_free_bulk(cache, 200, objects));
	for (i = 0; i < 200; i++)
		((u8 *)objects[i])[i % 64] ^= 0xff;
	for (tries = 0; tries < 200 && !object; tries++)
		object = quarry_cache_alloc(cache, 0);
	KUNIT_EXPECT_NOT_NULL(test, object);
	KUNIT_EXPECT_GE(test, qtest_cache_stats(cache).nr_damaged, 10ULL);
	for (i = 0; i < 200; i++)
		KUNIT_EXPECT_PTR_NE(test, objects[i], object);
	EXPECT_OK(test, quarry_cache_free(cache, object));
}

static void make_magic(void *ctx, void *object)
{
	memset(object, 0x5c, 64);
}

/* With a constructor contents stay, so that only the zones can be looked at. */
static void a_constructor_and_the_zones_go_together(struct kunit *test)
{
	struct quarry_cache_config config = qtest_cache_config(test, 64, 0);
	struct quarry_cache *cache;
	u8 *object;
	int i;

	config.flags = QUARRY_CACHE_DEBUG;
	config.slab.ctor = make_magic;
	cache = qtest_cache(test, &config);
	for (i = 0; i < 100; i++) {
		object = quarry_cache_alloc(cache, 0);
		KUNIT_ASSERT_NULL(test, memchr_inv(object, 0x5c, 64));
		EXPECT_OK(test, quarry_cache_free(cache, object));
		EXPECT_ERR(test, quarry_cache_free(cache, object), -ENOENT);
	}
	object = quarry_cache_alloc(cache, 0);
	object[-1] ^= 1;
	EXPECT_ERR(test, quarry_cache_free(cache, object), -EIO);
	object = quarry_cache_alloc(cache, 0);
	object[64] ^= 1;
	EXPECT_ERR(test, quarry_cache_free(cache, object), -EIO);
	KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).nr_damaged, 2ULL);
}

static struct kunit_case debug_cases[] = {
	KUNIT_CASE_PARAM(a_write_to_a_free_object_is_found, shape_gen_params),
	KUNIT_CASE_PARAM(a_write_beyond_an_object_is_found, shape_gen_params),
	KUNIT_CASE_PARAM(a_write_to_an_object_in_use_is_no_damage, shape_gen_params),
	KUNIT_CASE_PARAM(every_double_free_is_found, shape_gen_params),
	KUNIT_CASE_PARAM(a_double_free_after_a_write_is_found, shape_gen_params),
	KUNIT_CASE(a_damaged_object_is_counted_once),
	KUNIT_CASE(neighbours_of_a_damaged_object_are_well),
	KUNIT_CASE(much_damage_is_passed_over),
	KUNIT_CASE(a_constructor_and_the_zones_go_together),
	{}
};

static struct kunit_suite debug_suite = {
	.name = "quarry_cache_debug",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = debug_cases,
};

kunit_test_suite(debug_suite);
