// SPDX-License-Identifier: GPL-2.0
/*
 * Slab allocators of every object size and alignment: where the objects are, how
 * many of them a slab holds, and that each keeps what is written into it.
 */
#include "backing.h"

/* ---- Every size with every alignment ---- */

static const unsigned int aligns[] = { 0, 1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096 };

static void align_desc(const unsigned int *align, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "aligned to %u", *align);
}

KUNIT_ARRAY_PARAM(align, aligns, align_desc);

/* Takes some objects, fills them, and finds in them what it wrote. */
static void use_some(struct kunit *test, struct quarry_slab *slab, size_t size, size_t align)
{
	void *objects[6];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(objects); i++) {
		objects[i] = qtest_slab_object(test, slab);
		KUNIT_ASSERT_EQ(test, (unsigned long)objects[i] & (align - 1), 0UL);
		qtest_write(objects[i], size, i);
	}
	for (i = 0; i < ARRAY_SIZE(objects); i++) {
		KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], size, i));
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	}
	ASSERT_OK(test, quarry_slab_verify(slab, NULL));
}

static void objects_of_every_size_hold_their_contents(struct kunit *test)
{
	size_t align = *(const unsigned int *)test->param_value, size;
	struct quarry_slab *slab = qtest_memory(test, sizeof(*slab));
	struct quarry_slab_config config;

	for (size = 1; size <= 4096; size += IS_ENABLED(CONFIG_KASAN) && size > 130 ? 29 : 1) {
		config = qtest_slab_config(test, size, align);
		ASSERT_OK(test, quarry_slab_init(slab, &config));
		KUNIT_ASSERT_EQ(test, qtest_slab_stats(slab).object_size,
				ALIGN(size, max_t(size_t, align, 8)));
		use_some(test, slab, size, max_t(size_t, align, 8));
		ASSERT_OK(test, quarry_slab_fini(slab, false, NULL));
		cond_resched();
	}
}

/* All objects of some slabs, so that the last one of each is among them. */
static void whole_slabs_hold_their_contents(struct kunit *test)
{
	size_t align = *(const unsigned int *)test->param_value, size;
	struct quarry_slab_config config;
	struct quarry_slab *slab;
	unsigned int i, nr;
	void **objects;

	for (size = 1; size <= 4096; size += 1 + size / 3) {
		config = qtest_slab_config(test, size, align);
		slab = qtest_slab(test, &config);
		nr = 2 * qtest_slab_stats(slab).per_slab;
		objects = qtest_slab_objects(test, slab, nr);
		for (i = 0; i < nr; i++)
			qtest_write(objects[i], size, i);
		for (i = 0; i < nr; i++)
			KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], size, i));
		qtest_slab_intact(test, slab);
		qtest_slab_free_all(test, slab, objects, nr);
		ASSERT_OK(test, quarry_slab_fini(slab, false, NULL));
		qtest_forget(test, slab);
	}
}

/* ---- How many objects a slab holds ---- */

struct density {
	const char *name;
	size_t object_size;
	size_t align;
	size_t slab_size;
	bool headers_outside;
	u64 least;
};

/* Defects 26 and 27 are the two last. */
static const struct density densities[] = {
	{ "8 B in 4 KiB", 8, 0, SZ_4K, false, 496 },
	{ "16 B in 4 KiB", 16, 0, SZ_4K, false, 251 },
	{ "64 B in 4 KiB", 64, 0, SZ_4K, false, 63 },
	{ "64 B aligned to 64 in 4 KiB", 64, 64, SZ_4K, false, 63 },
	{ "512 B in 4 KiB", 512, 0, SZ_4K, false, 7 },
	{ "512 B aligned to 512 in 4 KiB", 512, 512, SZ_4K, false, 7 },
	{ "1024 B in 4 KiB", 1024, 0, SZ_4K, false, 3 },
	{ "64 B in 4 KiB, header outside", 64, 0, SZ_4K, true, 64 },
	{ "512 B in 4 KiB, header outside", 512, 0, SZ_4K, true, 8 },
	{ "8 B in 4 KiB, header outside", 8, 0, SZ_4K, true, 512 },
	{ "4096 B in 4 KiB, header outside", 4096, 4096, SZ_4K, true, 1 },
	{ "32 KiB in 32 KiB, header outside", SZ_32K, 0, SZ_32K, true, 1 },
	{ "8 B aligned to 64 in 4 KiB", 8, 64, SZ_4K, false, 63 },
	{ "512 B in 2 MiB", 512, 0, SZ_2M, false, 4090 },
};

static void density_desc(const struct density *density, char *desc)
{
	strscpy(desc, density->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(density, densities, density_desc);

static struct quarry_slab *dense_slab(struct kunit *test, const struct density *density)
{
	struct quarry_slab_config config;

	if (density->slab_size > SZ_128K) {
		qtest_backing_close(test, test->priv);
		test->priv = qtest_backing(test, 2 * density->slab_size, density->slab_size, PAGE);
	}
	config = qtest_slab_config(test, density->object_size, density->align);
	config.slab_size = density->slab_size;
	if (density->headers_outside) {
		struct quarry_slab_config headers = qtest_slab_config(test,
							quarry_slab_header_size(&config), 0);

		config.headers = qtest_slab(test, &headers);
	}
	return qtest_slab(test, &config);
}

static void slabs_are_filled_densely(struct kunit *test)
{
	const struct density *density = test->param_value;
	struct quarry_slab *slab = dense_slab(test, density);
	struct quarry_slab_stats stats = qtest_slab_stats(slab);
	struct quarry_slab_object object;
	unsigned int i, nr = stats.per_slab;
	void **objects;

	kunit_info(test, "%u objects", nr);
	KUNIT_EXPECT_GE(test, stats.per_slab, density->least);
	KUNIT_EXPECT_EQ(test, stats.slab_size, density->slab_size);
	objects = qtest_slab_objects(test, slab, nr);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_slabs, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_full, 1ULL);
	ASSERT_OK(test, quarry_slab_lookup(slab, objects[0], &object));
	for (i = 0; i < nr; i++) {
		size_t offset = objects[i] - object.slab;

		KUNIT_ASSERT_LE(test, offset + density->object_size, density->slab_size);
		qtest_write(objects[i], density->object_size, i);
	}
	for (i = 0; i < nr; i++)
		KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], density->object_size, i));
	qtest_slab_free_all(test, slab, objects, nr);
}

static u64 used_part(const struct quarry_slab_stats *stats)
{
	return stats->per_slab * stats->object_size;
}

static bool wastes_too_much(const struct quarry_slab_stats *stats)
{
	return 8 * used_part(stats) < 7 * (u64)stats->slab_size;
}

/* Unless said otherwise, the smallest slab that wastes at most an eighth. */
static void the_default_slab_wastes_an_eighth_at_most(struct kunit *test)
{
	struct quarry_slab *slab = qtest_memory(test, sizeof(*slab));
	struct quarry_slab_stats stats, half;
	struct quarry_slab_config config;
	size_t size;

	for (size = 8; size <= SZ_16K; size += 8 + size / 64 * 8) {
		config = qtest_slab_config(test, size, 0);
		ASSERT_OK(test, quarry_slab_init(slab, &config));
		stats = qtest_slab_stats(slab);
		KUNIT_EXPECT_FALSE_MSG(test, wastes_too_much(&stats), "%zu B", size);
		KUNIT_EXPECT_TRUE(test, is_power_of_2(stats.slab_size));
		ASSERT_OK(test, quarry_slab_fini(slab, false, NULL));
		config.slab_size = stats.slab_size / 2;
		if (config.slab_size < PAGE || quarry_slab_init(slab, &config))
			continue;
		half = qtest_slab_stats(slab);
		KUNIT_EXPECT_TRUE_MSG(test, wastes_too_much(&half), "%zu B", size);
		ASSERT_OK(test, quarry_slab_fini(slab, false, NULL));
	}
}

/* Slabs of up to 64 pages, each page of which leads back to its objects. */
static void a_slab_of_many_pages_knows_its_objects(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 1000, 0);
	struct quarry_slab *slab;
	struct quarry_slab_object found;
	unsigned int i, nr;
	void **objects;

	config.slab_size = SZ_128K;
	slab = qtest_slab(test, &config);
	nr = qtest_slab_stats(slab).per_slab;
	KUNIT_ASSERT_GE(test, nr, 130U);
	objects = qtest_slab_objects(test, slab, nr);
	for (i = 0; i < nr; i++) {
		ASSERT_OK(test, quarry_slab_lookup(slab, objects[i] + 999, &found));
		KUNIT_EXPECT_PTR_EQ(test, found.start, objects[i]);
	}
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), (u64)SZ_128K);
	for (i = nr; i--; ) {
		EXPECT_ERR(test, quarry_slab_free(slab, objects[i] + 8), -EINVAL);
		EXPECT_OK(test, quarry_slab_free(slab, objects[i]));
		EXPECT_ERR(test, quarry_slab_free(slab, objects[i]), -ENOENT);
	}
}

/* As large as the zone's largest class, and larger, in slabs chosen by itself. */
static void large_objects_work(struct kunit *test)
{
	static const size_t sizes[] = {
		SZ_8K, SZ_8K + 8, SZ_16K, 20000, SZ_32K, 3 * SZ_16K, SZ_64K, 100000, SZ_128K,
		SZ_128K + 8, SZ_256K,
	};
	struct quarry_slab_config config;
	struct quarry_slab *slab;
	void **objects;
	size_t i;
	int j;

	qtest_backing_close(test, test->priv);
	test->priv = qtest_backing(test, SZ_16M, SZ_4M, PAGE);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		config = qtest_slab_config(test, sizes[i], 64);
		slab = qtest_slab(test, &config);
		objects = qtest_slab_objects(test, slab, 9);
		for (j = 0; j < 9; j++)
			qtest_write(objects[j], sizes[i], j);
		for (j = 0; j < 9; j++)
			KUNIT_EXPECT_TRUE(test, qtest_reads(objects[j], sizes[i], j));
		qtest_slab_free_all(test, slab, objects, 9);
		ASSERT_OK(test, quarry_slab_fini(slab, false, NULL));
		qtest_forget(test, slab);
	}
}

/* ---- Pages of other sizes ---- */

static const u64 page_sizes[] = { 512, SZ_1K, SZ_4K, SZ_16K, SZ_64K, SZ_1M };

static void page_size_desc(const u64 *page_size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%llu bytes", *page_size);
}

KUNIT_ARRAY_PARAM(page_size, page_sizes, page_size_desc);

static void slabs_of_any_page_size_work(struct kunit *test)
{
	u64 page_size = *(const u64 *)test->param_value;
	static const size_t sizes[] = { 8, 56, 64, 300 };
	struct quarry_slab_config config;
	struct quarry_slab *slab;
	size_t i;

	qtest_backing_close(test, test->priv);
	test->priv = qtest_backing(test, 8 * page_size, page_size, page_size);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		config = qtest_slab_config(test, sizes[i], 8);
		slab = qtest_slab(test, &config);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(qtest_slab_stats(slab).slab_size, page_size));
		use_some(test, slab, sizes[i], 8);
		qtest_slab_intact(test, slab);
		ASSERT_OK(test, quarry_slab_fini(slab, false, NULL));
		qtest_forget(test, slab);
	}
}

static struct kunit_case size_cases[] = {
	KUNIT_CASE_PARAM(objects_of_every_size_hold_their_contents, align_gen_params),
	KUNIT_CASE_PARAM(whole_slabs_hold_their_contents, align_gen_params),
	KUNIT_CASE_PARAM(slabs_are_filled_densely, density_gen_params),
	KUNIT_CASE(the_default_slab_wastes_an_eighth_at_most),
	KUNIT_CASE(a_slab_of_many_pages_knows_its_objects),
	KUNIT_CASE(large_objects_work),
	KUNIT_CASE_PARAM(slabs_of_any_page_size_work, page_size_gen_params),
	{}
};

static struct kunit_suite size_suite = {
	.name = "quarry_slab_size",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = size_cases,
};

kunit_test_suite(size_suite);
