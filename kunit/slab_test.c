// SPDX-License-Identifier: GPL-2.0
/*
 * What a slab allocator does, and what it refuses, operation by operation.
 * Defect numbers are those of the reference systems that Quarry learned from.
 */
#include "backing.h"

/* A slab allocator without a backend, on a buffer of some bytes. */
static struct quarry_slab *slab_on_buffer(struct kunit *test, size_t object_size, size_t size)
{
	struct quarry_slab_config config = { .name = test->name, .object_size = object_size };
	struct quarry_slab *slab = qtest_slab(test, &config);

	KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, qtest_memory(test, size), size), 0L);
	return slab;
}

static struct quarry_slab *slab_of(struct kunit *test, size_t object_size)
{
	struct quarry_slab_config config = qtest_slab_config(test, object_size, 0);

	return qtest_slab(test, &config);
}

/* ---- init ---- */

static int try_init(struct kunit *test, const struct quarry_slab_config *config)
{
	return quarry_slab_init(qtest_memory(test, sizeof(struct quarry_slab)), config);
}

static void init_refuses_sizes_that_are_none(struct kunit *test)
{
	static const size_t sizes[] = {
		0, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 7, SIZE_MAX - 8, SIZE_MAX - 4095,
		SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 2,
	};
	struct quarry_slab_config config;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		config = qtest_slab_config(test, sizes[i], 0);
		EXPECT_ERR(test, try_init(test, &config), -EINVAL);
		config.align = 4096;
		EXPECT_ERR(test, try_init(test, &config), -EINVAL);
		config.backend = NULL;
		EXPECT_ERR(test, try_init(test, &config), -EINVAL);
	}
}

static void init_refuses_alignments_that_are_none(struct kunit *test)
{
	static const size_t aligns[] = { 3, 6, 9, 12, 24, 4095, 4097, SIZE_MAX, SIZE_MAX - 7 };
	struct quarry_slab_config config;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(aligns); i++) {
		config = qtest_slab_config(test, 64, aligns[i]);
		EXPECT_ERR(test, try_init(test, &config), -EINVAL);
	}
	config = qtest_slab_config(test, 64, SZ_8K);
	config.slab_size = SZ_4K;
	EXPECT_ERR(test, try_init(test, &config), -EINVAL);
}

static void init_refuses_slab_sizes_that_are_none(struct kunit *test)
{
	static const size_t sizes[] = {
		1, 8, 64, SZ_2K, SZ_4K - 1, SZ_4K + 1, 3 * SZ_4K, SIZE_MAX, SIZE_MAX / 2,
	};
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		config.slab_size = sizes[i];
		EXPECT_ERR(test, try_init(test, &config), -EINVAL);
	}
	config.object_size = SZ_4K;
	config.slab_size = SZ_4K;
	EXPECT_ERR(test, try_init(test, &config), -EINVAL);
	config.object_size = SZ_8K;
	EXPECT_ERR(test, try_init(test, &config), -EINVAL);
}

static void init_refuses_missing_arguments(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	struct quarry_slab *slab = qtest_memory(test, sizeof(*slab));

	EXPECT_ERR(test, quarry_slab_init(NULL, &config), -EINVAL);
	EXPECT_ERR(test, quarry_slab_init(slab, NULL), -EINVAL);
	config.name = NULL;
	EXPECT_ERR(test, quarry_slab_init(slab, &config), -EINVAL);
}

/* Headers must have room for what is kept of a slab. */
static void init_refuses_headers_that_are_too_small(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	size_t size = quarry_slab_header_size(&config);

	KUNIT_ASSERT_GT(test, size, (size_t)8);
	config.headers = slab_of(test, size - 8);
	EXPECT_ERR(test, try_init(test, &config), -EINVAL);
	config.headers = slab_of(test, size);
	qtest_slab(test, &config);
}

static void a_fresh_slab_has_nothing(struct kunit *test)
{
	struct quarry_slab_config config = { .name = "empty", .object_size = 20 };
	struct quarry_slab *slab = qtest_slab(test, &config);
	struct quarry_slab_stats zero = {}, stats = qtest_slab_stats(slab);
	struct quarry_slab_object object;

	KUNIT_EXPECT_EQ(test, stats.object_size, (size_t)24);
	KUNIT_EXPECT_EQ(test, stats.align, (size_t)8);
	KUNIT_EXPECT_EQ(test, stats.slab_size, (size_t)0);
	zero.per_slab = stats.per_slab;
	qtest_slab_unchanged(test, slab, &zero, 0);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 0ULL);
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, slab));
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, NULL));
	KUNIT_EXPECT_NE(test, quarry_slab_next(slab, NULL, &object), 0);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 0U);
}

/* A slab allocator with a backend takes nothing before it must. */
static void init_takes_nothing_from_the_backend(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of(test, 64);

	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 0ULL);
	qtest_slab_object(test, slab);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGE);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 62ULL);
}

/* ---- alloc ---- */

static void without_memory_an_allocation_fails(struct kunit *test)
{
	struct quarry_slab_config config = { .name = "none", .object_size = 64 };
	struct quarry_slab *slab = qtest_slab(test, &config);
	struct quarry_slab_stats stats;
	void *objects[3];

	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, QUARRY_SLAB_ZERO));
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 3, objects), 0U);
	stats = qtest_slab_stats(slab);
	KUNIT_EXPECT_GE(test, stats.nr_failures, 3ULL);
	KUNIT_EXPECT_NE(test, stats.last_failure, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_allocs, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
}

static void unknown_flags_are_refused(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_4K);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	void *objects[2];

	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, BIT(1)));
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, ~0U));
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, BIT(31), 2, objects), 0U);
	qtest_slab_unchanged(test, slab, &old, 3);
}

static void every_object_is_handed_out_once(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 40, 5000);
	u64 i, nr = quarry_slab_nr_free(slab);
	void **objects;

	KUNIT_ASSERT_GE(test, nr, 117ULL);
	objects = qtest_slab_objects(test, slab, nr);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_EQ(test, (unsigned long)objects[i] % 8, 0UL);
		qtest_write(objects[i], 40, i);
	}
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 40, i));
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 0ULL);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	qtest_slab_intact(test, slab);
	qtest_slab_free_all(test, slab, objects, nr);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), nr);
}

static void counters_follow_each_step(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_4K);
	u64 i, nr = quarry_slab_nr_free(slab);
	struct quarry_slab_stats expected = qtest_slab_stats(slab);
	void **objects = qtest_memory(test, nr * sizeof(*objects));

	for (i = 0; i < 2 * nr; i++) {
		if (i < nr) {
			objects[i] = qtest_slab_object(test, slab);
			expected.nr_allocs++;
			expected.peak = ++expected.nr_used;
		} else {
			EXPECT_OK(test, quarry_slab_free(slab, objects[i - nr]));
			expected.nr_frees++;
			expected.nr_used--;
		}
		expected.nr_empty = !expected.nr_used;
		expected.nr_full = expected.nr_used == nr;
		expected.nr_partial = !expected.nr_empty && !expected.nr_full;
		qtest_slab_unchanged(test, slab, &expected, 0);
		KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), nr - expected.nr_used);
	}
}

/* Defect 25: the original found nothing in a slab that had been full. */
static void a_full_slab_that_gets_one_back_can_give_it(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_4K);
	u64 i, nr = quarry_slab_nr_free(slab);
	void **objects = qtest_slab_objects(test, slab, nr);

	for (i = 0; i < nr; i++) {
		EXPECT_OK(test, quarry_slab_free(slab, objects[i]));
		KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[i]);
		qtest_slab_intact(test, slab);
	}
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
}

/* Of what was freed the lowest, and only then what never was in use. */
static void the_lowest_freed_object_goes_first(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_64K);
	void **objects = qtest_slab_objects(test, slab, 700);
	static const int freed[] = { 690, 3, 64, 63, 500, 128, 0, 65 };
	static const int again[] = { 0, 3, 63, 64, 65, 128, 500, 690 };
	size_t i;

	for (i = 1; i < 700; i++)
		KUNIT_ASSERT_PTR_EQ(test, objects[i], objects[0] + 64 * i);
	for (i = 0; i < ARRAY_SIZE(freed); i++)
		EXPECT_OK(test, quarry_slab_free(slab, objects[freed[i]]));
	for (i = 0; i < ARRAY_SIZE(again); i++)
		KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[again[i]]);
	KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[0] + 64 * 700);
}

static void zero_clears_the_object_and_no_more(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 52, SZ_4K);
	u64 i, nr = quarry_slab_nr_free(slab);
	void **objects = qtest_slab_objects(test, slab, nr);
	u8 *zeroed;

	for (i = 0; i < nr; i++)
		qtest_write(objects[i], 56, i);
	for (i = 1; i < nr - 1; i++) {
		EXPECT_OK(test, quarry_slab_free(slab, objects[i]));
		zeroed = quarry_slab_alloc(slab, QUARRY_SLAB_ZERO);
		KUNIT_ASSERT_PTR_EQ(test, zeroed, (u8 *)objects[i]);
		KUNIT_EXPECT_NULL(test, memchr_inv(zeroed, 0, 56));
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i + 1], 56, i + 1));
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[0], 56, 0));
	}
}

/* Barrelfish's allocations are all zeroed, also the first of a slab. */
static void zero_clears_what_never_was_in_use(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 512);
	void *objects[30];
	int i;

	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(quarry_slab_alloc(slab, QUARRY_SLAB_ZERO), 0,
						   512));
	KUNIT_ASSERT_EQ(test, quarry_slab_alloc_bulk(slab, QUARRY_SLAB_ZERO, 30, objects), 30U);
	for (i = 0; i < 30; i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(objects[i], 0, 512));
}

/* Nothing is written into an object, in use or free: it is as its user left it. */
static void objects_are_left_alone(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 8, SZ_4K);
	u64 i, nr = quarry_slab_nr_free(slab);
	void **objects = qtest_slab_objects(test, slab, nr);

	for (i = 0; i < nr; i++)
		qtest_write(objects[i], 8, i);
	for (i = 0; i < nr; i += 3)
		EXPECT_OK(test, quarry_slab_free(slab, objects[i]));
	qtest_slab_intact(test, slab);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 8, i));
}

/* ---- Defect 4: sizes that aren't aligned ---- */

static void odd_sizes_make_aligned_objects(struct kunit *test)
{
	size_t size, i;

	for (size = 1; size <= 40; size++) {
		struct quarry_slab_config config = { .name = "odd", .object_size = size };
		struct quarry_slab *slab = qtest_slab(test, &config);
		struct quarry_slab_object object;

		KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, qtest_memory(test, 1000), 1000), 0L);
		KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).object_size, ALIGN(size, 8));
		for (i = 0; i < 10; i++) {
			void *start = qtest_slab_object(test, slab);

			KUNIT_EXPECT_EQ(test, (unsigned long)start % 8, 0UL);
			ASSERT_OK(test, quarry_slab_lookup(slab, start, &object));
			KUNIT_EXPECT_GE(test, object.size, size);
		}
		EXPECT_OK(test, quarry_slab_fini(slab, true, NULL));
		qtest_forget(test, slab);
	}
}

/* ---- free ---- */

static void free_of_null_does_nothing(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_4K);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	void *nothing[3] = {};

	EXPECT_OK(test, quarry_slab_free(slab, NULL));
	EXPECT_OK(test, quarry_slab_free_bulk(slab, 3, nothing));
	EXPECT_OK(test, quarry_slab_free_bulk(slab, 0, nothing));
	qtest_slab_unchanged(test, slab, &old, 0);
}

/* Defect 1: the original handed the block out twice. Defect 9: and counted it. */
static void a_double_free_is_refused(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_4K);
	void **objects = qtest_slab_objects(test, slab, 4);
	struct quarry_slab_stats old;

	EXPECT_OK(test, quarry_slab_free(slab, objects[1]));
	EXPECT_OK(test, quarry_slab_free(slab, objects[2]));
	old = qtest_slab_stats(slab);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[1]), -ENOENT);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[2]), -ENOENT);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[1]), -ENOENT);
	qtest_slab_unchanged(test, slab, &old, 3);
	KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[1]);
	KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[2]);
	KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[3] + 64);
}

/* Defect 29: the original took another allocator's object into its own lists. */
static void an_object_of_another_slab_is_refused(struct kunit *test)
{
	struct quarry_slab *slabs[4] = {
		slab_on_buffer(test, 64, SZ_4K), slab_on_buffer(test, 64, SZ_4K),
		slab_of(test, 64), slab_of(test, 64),
	};
	void *objects[4];
	int i, j;

	for (i = 0; i < 4; i++)
		objects[i] = qtest_slab_object(test, slabs[i]);
	for (i = 0; i < 4; i++)
		for (j = 0; j < 4; j++) {
			struct quarry_slab_stats old = qtest_slab_stats(slabs[i]);
			struct quarry_slab_object object;

			if (i == j)
				continue;
			EXPECT_ERR(test, quarry_slab_free(slabs[i], objects[j]), -EINVAL);
			KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slabs[i], objects[j]));
			EXPECT_ERR(test, quarry_slab_lookup(slabs[i], objects[j], &object),
				   -EINVAL);
			KUNIT_EXPECT_EQ(test, qtest_slab_stats(slabs[i]).nr_used, old.nr_used);
		}
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_GE(test, qtest_slab_stats(slabs[i]).nr_misuses, 3ULL);
		EXPECT_OK(test, quarry_slab_free(slabs[i], objects[i]));
	}
}

static void foreign_addresses_are_refused(struct kunit *test)
{
	struct quarry_slab *buffered = slab_on_buffer(test, 64, SZ_4K), *slab = slab_of(test, 64);
	static const unsigned long addrs[] = {
		1, 7, 8, 64, 4096, LONG_MAX, LONG_MAX + 1UL, -4096UL, -64UL, -8UL, -1UL,
	};
	struct quarry_slab_stats old, old_buffered;
	int on_stack;
	size_t i;

	qtest_slab_object(test, slab);
	old = qtest_slab_stats(slab);
	old_buffered = qtest_slab_stats(buffered);
	for (i = 0; i < ARRAY_SIZE(addrs); i++) {
		EXPECT_ERR(test, quarry_slab_free(slab, (void *)addrs[i]), -EINVAL);
		EXPECT_ERR(test, quarry_slab_free(buffered, (void *)addrs[i]), -EINVAL);
	}
	EXPECT_ERR(test, quarry_slab_free(slab, &on_stack), -EINVAL);
	EXPECT_ERR(test, quarry_slab_free(buffered, test), -EINVAL);
	qtest_slab_unchanged(test, slab, &old, i + 1);
	qtest_slab_unchanged(test, buffered, &old_buffered, i + 1);
}

/* A page of the backend's that no slab has, and one of the backend's other users. */
static void pages_of_others_are_refused(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of(test, 64);
	void *object = qtest_slab_object(test, slab), *page;
	struct quarry_slab_stats old;
	size_t offset;

	page = quarry_backend_take(&backing->backend, PAGE);
	KUNIT_ASSERT_NOT_NULL(test, page);
	old = qtest_slab_stats(slab);
	for (offset = 0; offset < PAGE; offset += 8)
		KUNIT_EXPECT_EQ(test, quarry_slab_free(slab, page + offset), -EINVAL);
	EXPECT_ERR(test, quarry_slab_free(slab, page + PAGE), -EINVAL);
	qtest_slab_unchanged(test, slab, &old, PAGE / 8 + 1);
	EXPECT_OK(test, quarry_backend_give(&backing->backend, page, PAGE));
	EXPECT_OK(test, quarry_slab_free(slab, object));
}

/* ---- Every address of a slab: defects 2 and 8 ---- */

struct layout {
	const char *name;
	size_t object_size;
	size_t align;
	bool headers_outside;
};

static const struct layout layouts[] = {
	{ "8 bytes", 8, 8 }, { "16 bytes", 16, 8 }, { "24 bytes", 24, 8 },
	{ "56 bytes", 56, 8 }, { "64 bytes", 64, 64 }, { "8 bytes aligned to 64", 8, 64 },
	{ "96 bytes aligned to 32", 96, 32 }, { "200 bytes", 200, 8 },
	{ "1000 bytes", 1000, 8 }, { "1344 bytes", 1344, 64 },
	{ "8 bytes, header outside", 8, 8, true }, { "48 bytes, header outside", 48, 16, true },
	{ "64 bytes, header outside", 64, 64, true }, { "4096, header outside", 4096, 8, true },
};

static void layout_desc(const struct layout *layout, char *desc)
{
	strscpy(desc, layout->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(layout, layouts, layout_desc);

static struct quarry_slab *slab_with_layout(struct kunit *test, const struct layout *layout)
{
	struct quarry_slab_config config = qtest_slab_config(test, layout->object_size,
							     layout->align);

	if (layout->headers_outside)
		config.headers = slab_of(test, quarry_slab_header_size(&config));
	return qtest_slab(test, &config);
}

/*
 * Two thirds of a slab were in use, of which each third object is free again:
 * what free() says of every address in the slab's pages and somewhat around.
 */
static void every_wrong_address_is_refused(struct kunit *test)
{
	struct quarry_slab *slab = slab_with_layout(test, test->param_value);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	u64 i, nr = old.per_slab - old.per_slab / 3;
	void **objects = qtest_slab_objects(test, slab, nr);
	struct quarry_slab_object first;
	int *answers = qtest_memory(test, (old.slab_size + 128) * sizeof(int));
	size_t at;

	ASSERT_OK(test, quarry_slab_lookup(slab, objects[0], &first));
	for (at = 0; at < old.slab_size + 128; at++)
		answers[at] = -EINVAL;
	for (i = 0; i < nr; i++)
		answers[objects[i] - first.slab + 64] = i % 3 ? 0 : -ENOENT;
	for (i = 0; i < nr; i += 3)
		EXPECT_OK(test, quarry_slab_free(slab, objects[i]));
	old = qtest_slab_stats(slab);
	for (i = 0, at = 0; at < old.slab_size + 128; at++) {
		if (!answers[at])
			continue;
		KUNIT_ASSERT_EQ_MSG(test, quarry_slab_free(slab, first.slab - 64 + at),
				    answers[at], "at %zd", at - 64);
		i++;
	}
	qtest_slab_unchanged(test, slab, &old, i);
}

/* The same, asked of lookup. */
static void every_address_leads_to_its_object(struct kunit *test)
{
	const struct layout *layout = test->param_value;
	struct quarry_slab *slab = slab_with_layout(test, layout);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	u64 i, nr = old.per_slab - old.per_slab / 8;
	void **objects = qtest_slab_objects(test, slab, nr);
	struct quarry_slab_object object, first;
	size_t at;

	old = qtest_slab_stats(slab);
	ASSERT_OK(test, quarry_slab_lookup(slab, objects[0], &first));
	for (i = 0; i < nr; i++)
		for (at = 0; at < old.object_size; at++) {
			memset(&object, QTEST_GARBAGE, sizeof(object));
			ASSERT_OK(test, quarry_slab_lookup(slab, objects[i] + at, &object));
			KUNIT_ASSERT_PTR_EQ(test, object.start, objects[i]);
			KUNIT_ASSERT_GE(test, object.size, layout->object_size);
			KUNIT_ASSERT_PTR_EQ(test, object.slab, first.slab);
			KUNIT_ASSERT_EQ(test, object.index, first.index + (unsigned int)i);
			KUNIT_ASSERT_FALSE(test, object.free);
			KUNIT_ASSERT_TRUE(test, quarry_slab_owns(slab, objects[i] + at));
		}
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, first.slab - 1));
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, first.slab + old.slab_size));
	qtest_slab_unchanged(test, slab, &old, 0);
}

/* ---- Bulk ---- */

static void bulk_hands_out_what_there_is(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_16K);
	u64 i, nr = quarry_slab_nr_free(slab);
	void **objects = qtest_memory(test, 2 * nr * sizeof(*objects));
	void *garbage = objects[2 * nr - 1];

	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 0, objects), 0U);
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 100, objects), 100U);
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, nr, objects + 100),
			(unsigned int)nr - 100);
	for (i = nr + 1; i < 2 * nr; i++)
		KUNIT_EXPECT_PTR_EQ(test, objects[i], garbage);
	for (i = 0; i < nr; i++)
		qtest_write(objects[i], 64, i);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 64, i));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_allocs, nr);
	EXPECT_OK(test, quarry_slab_free_bulk(slab, nr, objects));
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), nr);
	qtest_slab_intact(test, slab);
}

static void bulk_frees_what_is_right_and_says_what_was_wrong(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_8K);
	void **objects = qtest_slab_objects(test, slab, 80);
	void *last = objects[79];
	struct quarry_slab_stats stats;

	objects[3] = NULL;
	objects[40] = objects[39];
	objects[41] += 1;
	objects[79] = test;
	EXPECT_ERR(test, quarry_slab_free_bulk(slab, 80, objects), -ENOENT);
	stats = qtest_slab_stats(slab);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 4ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_frees, 76ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_misuses, 3ULL);
	EXPECT_OK(test, quarry_slab_free(slab, last));
	objects[0] = objects[41];
	objects[1] = last;
	EXPECT_ERR(test, quarry_slab_free_bulk(slab, 2, objects), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, 3ULL);
	qtest_slab_intact(test, slab);
}

static void bulk_without_an_array_is_refused(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_8K);
	struct quarry_slab_stats old = qtest_slab_stats(slab);

	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 1, NULL), 0U);
	EXPECT_ERR(test, quarry_slab_free_bulk(slab, 1, NULL), -EINVAL);
	EXPECT_OK(test, quarry_slab_free_bulk(slab, 0, NULL));
	qtest_slab_unchanged(test, slab, &old, 2);
}

static void bulk_spans_slabs(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);
	void **objects = qtest_memory(test, 1000 * sizeof(*objects));
	int i;

	KUNIT_ASSERT_EQ(test, quarry_slab_alloc_bulk(slab, QUARRY_SLAB_ZERO, 1000, objects),
			1000U);
	for (i = 0; i < 1000; i++) {
		KUNIT_EXPECT_NULL(test, memchr_inv(objects[i], 0, 64));
		qtest_write(objects[i], 64, i);
	}
	for (i = 0; i < 1000; i++)
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 64, i));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_slabs, 16ULL);
	EXPECT_OK(test, quarry_slab_free_bulk(slab, 1000, objects));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, 0ULL);
	qtest_slab_intact(test, slab);
}

/* ---- Constructor ---- */

struct constructed {
	u64 magic;
	u64 nr;
	u64 nr_uses;
};

static void construct(void *ctx, void *object)
{
	struct constructed *fresh = object;
	u64 *nr_calls = ctx;

	*fresh = (struct constructed) { .magic = 0x1234567890abcdefULL, .nr = (*nr_calls)++ };
}

static struct quarry_slab *slab_with_ctor(struct kunit *test, u64 *nr_calls)
{
	struct quarry_slab_config config = qtest_slab_config(test, sizeof(struct constructed), 0);

	*nr_calls = 0;
	config.ctor = construct;
	config.ctx = nr_calls;
	return qtest_slab(test, &config);
}

static void each_object_is_constructed_once(struct kunit *test)
{
	u64 *nr_calls = qtest_memory(test, sizeof(*nr_calls)), per_slab;
	struct quarry_slab *slab = slab_with_ctor(test, nr_calls);
	struct constructed **objects;
	u64 i, round;

	per_slab = qtest_slab_stats(slab).per_slab;
	KUNIT_EXPECT_EQ(test, *nr_calls, 0ULL);
	for (round = 0; round < 3; round++) {
		objects = (struct constructed **)qtest_slab_objects(test, slab, 2 * per_slab);
		for (i = 0; i < 2 * per_slab; i++) {
			KUNIT_EXPECT_EQ(test, objects[i]->magic, 0x1234567890abcdefULL);
			KUNIT_EXPECT_EQ(test, objects[i]->nr_uses++, round);
		}
		qtest_slab_free_all(test, slab, (void **)objects, 2 * per_slab);
	}
	KUNIT_EXPECT_EQ(test, *nr_calls, 2 * per_slab);
}

static void objects_of_buffers_are_constructed(struct kunit *test)
{
	u64 *nr_calls = qtest_memory(test, sizeof(*nr_calls));
	struct quarry_slab *slab = slab_with_ctor(test, nr_calls);
	struct constructed *object;
	long i, nr;

	nr = quarry_slab_grow(slab, qtest_memory(test, 1000), 1000);
	KUNIT_ASSERT_GT(test, nr, 30L);
	KUNIT_EXPECT_EQ(test, *nr_calls, (u64)nr);
	for (i = 0; i < nr; i++) {
		object = qtest_slab_object(test, slab);
		KUNIT_EXPECT_EQ(test, object->magic, 0x1234567890abcdefULL);
	}
	KUNIT_EXPECT_EQ(test, *nr_calls, (u64)nr);
}

/* What the constructor made would be lost. */
static void zero_is_refused_with_a_constructor(struct kunit *test)
{
	u64 *nr_calls = qtest_memory(test, sizeof(*nr_calls));
	struct quarry_slab *slab = slab_with_ctor(test, nr_calls);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	void *objects[2];

	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, QUARRY_SLAB_ZERO));
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, QUARRY_SLAB_ZERO, 2, objects), 0U);
	qtest_slab_unchanged(test, slab, &old, 2);
}

/* ---- Walk ---- */

static void next_walks_all_objects_in_use_by_address(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 200);
	void **objects = qtest_slab_objects(test, slab, 100), *at = NULL;
	struct quarry_slab_object object;
	int i, j, nr = 0;

	ASSERT_OK(test, quarry_slab_free(slab, objects[0]));
	for (i = 1; i < 100; i += 7)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	while (!quarry_slab_next(slab, at, &object)) {
		KUNIT_ASSERT_GE(test, (unsigned long)object.start, (unsigned long)at);
		KUNIT_EXPECT_FALSE(test, object.free);
		for (i = -1, j = 0; j < 100; j++)
			if (objects[j] == object.start)
				i = j;
		KUNIT_EXPECT_GT(test, i, 0);
		KUNIT_EXPECT_NE(test, i % 7, 1);
		at = object.start + 1;
		nr++;
	}
	KUNIT_EXPECT_EQ(test, (u64)nr, qtest_slab_stats(slab).nr_used);
	EXPECT_ERR(test, quarry_slab_next(slab, (void *)-1UL, &object), -ENOENT);
}

static void next_walks_buffers_and_slabs(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);
	struct quarry_slab_object object;
	void *at = NULL;
	int i, nr = 0;

	for (i = 0; i < 9; i++)
		KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, qtest_memory(test, 1009) + i,
						       1000 - 7 * i), 0L);
	qtest_slab_objects(test, slab, 300);
	for (; !quarry_slab_next(slab, at, &object); at = object.start + 64, nr++)
		KUNIT_ASSERT_GE(test, (unsigned long)object.start, (unsigned long)at);
	KUNIT_EXPECT_EQ(test, nr, 300);
}

static void questions_without_arguments_are_refused(struct kunit *test)
{
	struct quarry_slab *slab = slab_on_buffer(test, 64, SZ_4K);
	void *object = qtest_slab_object(test, slab);
	struct quarry_slab_stats old = qtest_slab_stats(slab);

	EXPECT_ERR(test, quarry_slab_lookup(slab, object, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_slab_next(slab, object, NULL), -EINVAL);
	old.nr_misuses = qtest_slab_stats(slab).nr_misuses;
	qtest_slab_unchanged(test, slab, &old, 0);
}

/* ---- fini ---- */

static void fini_is_refused_while_objects_are_out(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);
	void **objects = qtest_slab_objects(test, slab, 70);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	u64 nr_used = 0;

	EXPECT_ERR(test, quarry_slab_fini(slab, false, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 70ULL);
	EXPECT_ERR(test, quarry_slab_fini(slab, false, NULL), -EBUSY);
	qtest_slab_unchanged(test, slab, &old, 0);
	qtest_slab_free_all(test, slab, objects, 70);
	EXPECT_OK(test, quarry_slab_fini(slab, false, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	qtest_forget(test, slab);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

static void fini_by_force_gives_everything_back(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of(test, 64);
	u64 nr_used = 0;

	qtest_slab_objects(test, slab, 700);
	KUNIT_EXPECT_GT(test, qtest_backing_used(backing), PAGES(11));
	EXPECT_OK(test, quarry_slab_fini(slab, true, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 700ULL);
	qtest_forget(test, slab);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
}

static void after_fini_nothing_is_served(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);
	void *object = qtest_slab_object(test, slab);
	struct quarry_slab_object found;

	ASSERT_OK(test, quarry_slab_fini(slab, true, NULL));
	qtest_forget(test, slab);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_NE(test, quarry_slab_free(slab, object), 0);
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 1, &object), 0U);
	KUNIT_EXPECT_NE(test, quarry_slab_reserve(slab, 1), 0);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, 1), 0U);
	KUNIT_EXPECT_LT(test, quarry_slab_grow(slab, qtest_memory(test, 4096), 4096), 0L);
	KUNIT_EXPECT_NE(test, quarry_slab_next(slab, NULL, &found), 0);
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, object));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

static struct kunit_case slab_cases[] = {
	KUNIT_CASE(init_refuses_sizes_that_are_none),
	KUNIT_CASE(init_refuses_alignments_that_are_none),
	KUNIT_CASE(init_refuses_slab_sizes_that_are_none),
	KUNIT_CASE(init_refuses_missing_arguments),
	KUNIT_CASE(init_refuses_headers_that_are_too_small),
	KUNIT_CASE(a_fresh_slab_has_nothing),
	KUNIT_CASE(init_takes_nothing_from_the_backend),
	KUNIT_CASE(without_memory_an_allocation_fails),
	KUNIT_CASE(unknown_flags_are_refused),
	KUNIT_CASE(every_object_is_handed_out_once),
	KUNIT_CASE(counters_follow_each_step),
	KUNIT_CASE(a_full_slab_that_gets_one_back_can_give_it),
	KUNIT_CASE(the_lowest_freed_object_goes_first),
	KUNIT_CASE(zero_clears_the_object_and_no_more),
	KUNIT_CASE(zero_clears_what_never_was_in_use),
	KUNIT_CASE(objects_are_left_alone),
	KUNIT_CASE(odd_sizes_make_aligned_objects),
	KUNIT_CASE(free_of_null_does_nothing),
	KUNIT_CASE(a_double_free_is_refused),
	KUNIT_CASE(an_object_of_another_slab_is_refused),
	KUNIT_CASE(foreign_addresses_are_refused),
	KUNIT_CASE(pages_of_others_are_refused),
	KUNIT_CASE_PARAM(every_wrong_address_is_refused, layout_gen_params),
	KUNIT_CASE_PARAM(every_address_leads_to_its_object, layout_gen_params),
	KUNIT_CASE(bulk_hands_out_what_there_is),
	KUNIT_CASE(bulk_frees_what_is_right_and_says_what_was_wrong),
	KUNIT_CASE(bulk_without_an_array_is_refused),
	KUNIT_CASE(bulk_spans_slabs),
	KUNIT_CASE(each_object_is_constructed_once),
	KUNIT_CASE(objects_of_buffers_are_constructed),
	KUNIT_CASE(zero_is_refused_with_a_constructor),
	KUNIT_CASE(next_walks_all_objects_in_use_by_address),
	KUNIT_CASE(next_walks_buffers_and_slabs),
	KUNIT_CASE(questions_without_arguments_are_refused),
	KUNIT_CASE(fini_is_refused_while_objects_are_out),
	KUNIT_CASE(fini_by_force_gives_everything_back),
	KUNIT_CASE(after_fini_nothing_is_served),
	{}
};

static struct kunit_suite slab_suite = {
	.name = "quarry_slab",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = slab_cases,
};

kunit_test_suite(slab_suite);
