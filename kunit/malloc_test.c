// SPDX-License-Identifier: GPL-2.0
/*
 * Malloc: blocks of any size, whoever has them, and freed without saying who.
 */
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../module/default.h"
#include "malloc_helpers.h"
#include "workers.h"

static int malloc_test_init(struct kunit *test)
{
	test->priv = qtest_backing(test, MALLOC_MEMORY, MALLOC_MEMORY, PAGE);
	return 0;
}

/* A size for each of those who serve, and both ends of what they serve. */
static const size_t sizes[] = {
	1, 8, 24, 64, 100, 1000, SZ_4K, SZ_4K + 1, 6000, SZ_8K, SZ_16K + 100, SZ_32K,
	SZ_32K + 1, 50000, SZ_64K, SZ_64K + 1, SZ_128K + 1, SZ_1M,
};

static void size_desc(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}

KUNIT_ARRAY_PARAM(size, sizes, size_desc);

static size_t param_size(struct kunit *test)
{
	return *(const size_t *)test->param_value;
}

/* What kmalloc promises. */
static size_t right_align(size_t size)
{
	return max_t(size_t, size & -size, ARCH_KMALLOC_MINALIGN);
}

/* ---- init and fini ---- */

static void init_refuses_what_cannot_be(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	struct qtest_backing *backing = test->priv;
	struct quarry_malloc *malloc = qtest_memory(test, sizeof(*malloc));
	const struct quarry_malloc_config right = {
		.name = "malloc", .buddy = &backing->buddy, .backend = &backing->backend,
		.zone = &space->zone, .heap = &space->heap,
	};
	struct quarry_malloc_config wrong[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		wrong[i] = right;
	wrong[0].name = NULL;
	wrong[1].buddy = NULL;
	wrong[2].backend = NULL;
	wrong[3].zone = NULL;
	wrong[4].heap = NULL;
	wrong[5].zone_max = QUARRY_ZONE_MAX_SIZE + 1;
	wrong[6].zone_max = 4096;
	wrong[6].heap_max = 4095;
	wrong[7].heap = qtest_memory(test, sizeof(space->heap));
	ASSERT_OK(test, quarry_heap_init(wrong[7].heap, "homeless", NULL, 0, 512));
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_ERR(test, quarry_malloc_init(malloc, &wrong[i]), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_init(NULL, &right), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_init(malloc, NULL), -EINVAL);
	EXPECT_OK(test, quarry_malloc_init(malloc, &right));
	EXPECT_OK(test, quarry_malloc_fini(malloc, NULL));
}

static void limits_are_those_that_were_told(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	struct quarry_malloc_config config = {
		.name = "limits", .buddy = space->malloc.buddy,
		.backend = space->malloc.backend, .zone = &space->zone, .heap = &space->heap,
		.zone_max = QUARRY_ZONE_MAX_SIZE,
	};
	struct quarry_malloc *malloc = qtest_memory(test, sizeof(*malloc));
	struct quarry_malloc_stats stats;

	ASSERT_OK(test, quarry_malloc_init(malloc, &config));
	quarry_malloc_stats(malloc, &stats);
	KUNIT_EXPECT_EQ(test, stats.zone_max, (size_t)QUARRY_ZONE_MAX_SIZE);
	KUNIT_EXPECT_EQ(test, stats.heap_max, (size_t)QUARRY_ZONE_MAX_SIZE);
	EXPECT_OK(test, quarry_malloc_fini(malloc, NULL));

	config.zone_max = 0;
	config.heap_max = 100;
	ASSERT_OK(test, quarry_malloc_init(malloc, &config));
	quarry_malloc_stats(malloc, &stats);
	KUNIT_EXPECT_EQ(test, stats.zone_max, (size_t)100);
	KUNIT_EXPECT_EQ(test, stats.heap_max, (size_t)100);
	EXPECT_OK(test, quarry_malloc_fini(malloc, NULL));
}

static void one_that_is_all_zeroes_serves_nothing(struct kunit *test)
{
	struct quarry_malloc *none = kunit_kzalloc(test, sizeof(*none), GFP_KERNEL);
	struct quarry_malloc_stats stats = { .nr_used = 1 };
	u64 nr_used = 1;
	int here;

	KUNIT_ASSERT_NOT_NULL(test, none);
	KUNIT_EXPECT_NULL(test, quarry_malloc_alloc(none, 64, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, quarry_malloc_alloc(none, 0, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, quarry_malloc_alloc(none, SZ_1M, __GFP_ZERO));
	KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(none, NULL, 64, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(none, &here, 64, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, quarry_malloc_usable_size(none, &here), (size_t)0);
	EXPECT_OK(test, quarry_malloc_free(none, NULL));
	EXPECT_ERR(test, quarry_malloc_free(none, &here), -ENODEV);
	quarry_malloc_stats(none, &stats);
	KUNIT_EXPECT_EQ(test, stats.nr_used + stats.nr_misuses, 0ULL);
	EXPECT_OK(test, quarry_malloc_verify(none, NULL));
	EXPECT_OK(test, quarry_malloc_fini(none, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
}

static void fini_is_refused_while_large_blocks_are_out(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	void *block = qtest_malloc_block(test, space, SZ_1M);
	u64 nr_used = 0;

	EXPECT_ERR(test, quarry_malloc_fini(&space->malloc, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, quarry_malloc_usable_size(&space->malloc, block), (size_t)SZ_1M);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
}

/* ---- alloc ---- */

static void each_size_comes_from_who_should_have_it(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	struct quarry_malloc_stats stats = qtest_malloc_stats(space);
	void *in_zone = qtest_malloc_block(test, space, stats.zone_max);
	void *in_heap = qtest_malloc_block(test, space, stats.zone_max + 1);
	void *too = qtest_malloc_block(test, space, stats.heap_max - 1);
	void *large = qtest_malloc_block(test, space, stats.heap_max + 1);

	KUNIT_EXPECT_GE(test, quarry_zone_usable_size(&space->zone, in_zone), stats.zone_max);
	KUNIT_EXPECT_GT(test, quarry_heap_usable_size(&space->heap, in_heap), stats.zone_max);
	KUNIT_EXPECT_GE(test, quarry_heap_usable_size(&space->heap, too),
			stats.heap_max - 1);
	stats = qtest_malloc_stats(space);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.used, (u64)round_up(stats.heap_max + 1, SZ_4K));
	KUNIT_EXPECT_EQ(test, stats.nr_fallbacks, 0ULL);
	qtest_malloc_intact(test, space);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, too));
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, large));
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, in_zone));
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, in_heap));
	stats = qtest_malloc_stats(space);
	KUNIT_EXPECT_EQ(test, stats.used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_frees, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.peak, (u64)round_up(stats.heap_max + 1, SZ_4K));
}

/* What a heap has no good place for. */
static void aligned_sizes_come_from_zone_and_buddy(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size;
	void *block;

	for (size = SZ_1K; size <= SZ_1M; size += SZ_1K) {
		block = qtest_malloc_block(test, space, size);
		KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(&space->heap, block), (size_t)0);
		if (size <= SZ_16K)
			KUNIT_EXPECT_EQ(test, quarry_zone_usable_size(&space->zone, block),
					quarry_zone_class_size(size));
		if (is_power_of_2(size))
			KUNIT_EXPECT_EQ(test, quarry_malloc_usable_size(&space->malloc, block),
					size);
		EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
	}
}

static void use_block(struct kunit *test, struct qtest_malloc *space, size_t size, gfp_t gfp)
{
	u8 *block = quarry_malloc_alloc(&space->malloc, size, gfp);
	size_t usable = quarry_malloc_usable_size(&space->malloc, block);

	KUNIT_ASSERT_NOT_NULL_MSG(test, block, "%zu bytes", size);
	KUNIT_ASSERT_EQ_MSG(test, (unsigned long)block & (right_align(size) - 1), 0UL,
			    "%zu bytes", size);
	KUNIT_ASSERT_GE(test, usable, size);
	if (gfp & __GFP_ZERO)
		KUNIT_ASSERT_NULL_MSG(test, memchr_inv(block, 0, usable), "%zu bytes", size);
	qtest_write(block, usable, size);
	KUNIT_ASSERT_TRUE(test, qtest_reads(block, usable, size));
	KUNIT_ASSERT_EQ(test, quarry_malloc_free(&space->malloc, block), 0);
	KUNIT_ASSERT_EQ(test, quarry_malloc_usable_size(&space->malloc, block), (size_t)0);
}

static void blocks_are_aligned_as_those_of_kmalloc(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size;

	for (size = 1; size <= SZ_1M; size += 1 + size / 50)
		use_block(test, space, size, GFP_KERNEL);
	for (size = 1; size <= SZ_2M; size *= 2) {
		use_block(test, space, size, GFP_ATOMIC);
		use_block(test, space, size + size / 2, GFP_NOWAIT);
		use_block(test, space, size + size / 4, 0);
	}
}

static void zero_clears_all_of_a_block(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size = param_size(test);
	int i;

	for (i = 0; i < 3; i++) {
		use_block(test, space, size, GFP_KERNEL);
		use_block(test, space, size, GFP_ATOMIC | __GFP_ZERO);
	}
}

static void what_cannot_be_is_refused(struct kunit *test)
{
	static const struct { size_t size; gfp_t gfp; } wrong[] = {
		{ 0, GFP_KERNEL }, { 0, GFP_KERNEL | __GFP_ZERO }, { SIZE_MAX, GFP_KERNEL },
		{ SIZE_MAX - 4095, GFP_KERNEL }, { (size_t)LONG_MAX + 1, GFP_ATOMIC },
		{ 64, GFP_DMA }, { 64, GFP_KERNEL | __GFP_DMA32 }, { 64, __GFP_HIGHMEM },
		{ 64, GFP_KERNEL | __GFP_NOFAIL }, { 64, (__force gfp_t)BIT(31) },
		{ SZ_1M, GFP_KERNEL | __GFP_DMA },
	};
	struct qtest_malloc *space = qtest_malloc(test);
	void *block = qtest_malloc_block(test, space, 64);
	struct quarry_malloc_stats stats;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		KUNIT_EXPECT_NULL(test, quarry_malloc_alloc(&space->malloc, wrong[i].size,
							    wrong[i].gfp));
		KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(&space->malloc, block,
							      wrong[i].size, wrong[i].gfp));
	}
	stats = qtest_malloc_stats(space);
	KUNIT_EXPECT_EQ(test, stats.nr_misuses, (u64)(2 * i));
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 0ULL);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
}

/* ---- free ---- */

static void wrong_addresses_are_refused(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size = param_size(test), usable;
	u8 *other = qtest_malloc_block(test, space, size);
	u8 *block = qtest_malloc_block(test, space, size);
	size_t off;

	usable = quarry_malloc_usable_size(&space->malloc, block);
	for (off = 1; off < usable; off += 1 + off / 3) {
		KUNIT_EXPECT_EQ(test, quarry_malloc_free(&space->malloc, block + off), -EINVAL);
		KUNIT_EXPECT_EQ(test, quarry_malloc_usable_size(&space->malloc, block + off),
				(size_t)0);
		KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(&space->malloc, block + off, size,
							      GFP_KERNEL));
	}
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, block), -ENOENT);
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, block), -ENOENT);
	KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(&space->malloc, block, size, GFP_KERNEL));
	qtest_malloc_intact(test, space);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, other));
}

static void what_others_have_is_refused(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	struct qtest_backing *backing = test->priv;
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	struct quarry_slab *slab = qtest_slab(test, &config);
	void *object = qtest_slab_object(test, slab);
	u8 *range = quarry_backend_take(&backing->backend, SZ_64K);
	int here;

	KUNIT_ASSERT_NOT_NULL(test, range);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, NULL));
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, &here), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, (void *)1), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, (void *)ULONG_MAX), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, object), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, range), -EINVAL);
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, range + SZ_4K), -EINVAL);
	/* Free, and never given out. */
	EXPECT_ERR(test, quarry_malloc_free(&space->malloc, (void *)(unsigned long)
					    (backing->region.base + SZ_4M)), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(space).nr_misuses, 6ULL);
	EXPECT_OK(test, quarry_backend_give(&backing->backend, range, SZ_64K));
	EXPECT_OK(test, quarry_slab_free(slab, object));
}

/* ---- realloc ---- */

static void contents_move_along(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size = param_size(test), usable;
	u8 *block, *old;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		old = qtest_malloc_block(test, space, size);
		qtest_write(old, size, i);
		block = quarry_malloc_realloc(&space->malloc, old, sizes[i], GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, block);
		usable = quarry_malloc_usable_size(&space->malloc, block);
		KUNIT_ASSERT_GE(test, usable, sizes[i]);
		KUNIT_ASSERT_TRUE(test, qtest_reads(block, min(size, sizes[i]), i));
		if (block != old) {
			KUNIT_ASSERT_EQ(test, (unsigned long)block & (right_align(sizes[i]) - 1),
					0UL);
			KUNIT_ASSERT_EQ(test, quarry_malloc_usable_size(&space->malloc, old),
					(size_t)0);
		}
		KUNIT_ASSERT_EQ(test, quarry_malloc_free(&space->malloc, block), 0);
	}
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(space).nr_used, 0ULL);
}

static void realloc_of_nothing_allocates(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	u8 *block = quarry_malloc_realloc(&space->malloc, NULL, param_size(test), __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_EXPECT_NULL(test, memchr_inv(block, 0, param_size(test)));
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
}

/* Whatever is behind the contents is zero, as often as the size changes. */
static void what_is_added_is_zero(struct kunit *test)
{
	static const size_t way[] = { 10, 100, 40, 120, 5000, 3000, 9000, 40000, 60000, 33000,
				      70000, 20000, 30000, 500, 1 };
	struct qtest_malloc *space = qtest_malloc(test);
	size_t had = way[0];
	unsigned int i;
	u8 *block;

	block = quarry_malloc_alloc(&space->malloc, had, GFP_KERNEL | __GFP_ZERO);
	for (i = 1; i < ARRAY_SIZE(way); i++) {
		KUNIT_ASSERT_NOT_NULL(test, block);
		memset(block, 0xff, had);
		block = quarry_malloc_realloc(&space->malloc, block, way[i],
					      GFP_KERNEL | __GFP_ZERO);
		KUNIT_ASSERT_NOT_NULL(test, block);
		KUNIT_ASSERT_NULL(test, memchr_inv(block, 0xff, min(had, way[i])));
		if (way[i] > had)
			KUNIT_ASSERT_NULL_MSG(test, memchr_inv(block + had, 0, way[i] - had),
					      "%zu to %zu", had, way[i]);
		had = way[i];
	}
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
}

static void a_realloc_without_room_changes_nothing(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size = param_size(test);
	u8 *block = qtest_malloc_block(test, space, size);

	qtest_write(block, size, 7);
	KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(&space->malloc, block, MALLOC_MEMORY + 1,
						      GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, quarry_malloc_realloc(&space->malloc, block, LONG_MAX,
						      GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, qtest_reads(block, size, 7));
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(space).nr_failures, 2ULL);
	KUNIT_EXPECT_GE(test, quarry_malloc_usable_size(&space->malloc, block), size);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
}

/* ---- No room ---- */

/* Blocks of a size until nobody has one more, linked through their first words. */
static void *fill(struct qtest_malloc *space, size_t size, unsigned int *nr)
{
	void *first = NULL, **block;

	for (*nr = 0; (block = quarry_malloc_alloc(&space->malloc, size, GFP_KERNEL)); ++*nr) {
		*block = first;
		first = block;
	}
	return first;
}

static void drain(struct kunit *test, struct qtest_malloc *space, void *first)
{
	while (first) {
		void *next = *(void **)first;

		KUNIT_ASSERT_EQ(test, quarry_malloc_free(&space->malloc, first), 0);
		first = next;
	}
}

static void a_size_can_have_almost_everything(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	size_t size = max(param_size(test), sizeof(void *));
	struct quarry_malloc_stats stats;
	unsigned int nr, again;
	void *first;

	first = fill(space, size, &nr);
	stats = qtest_malloc_stats(space);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.last_failure.size, size);
	KUNIT_EXPECT_GT(test, stats.last_failure.when, 0ULL);
	KUNIT_EXPECT_LE(test, stats.last_failure.largest_free, stats.last_failure.free);
	/* Whatever is left is too short for the buddy. */
	KUNIT_EXPECT_LT(test, stats.last_failure.largest_free, (u64)max_t(size_t, size, SZ_4K));
	qtest_malloc_intact(test, space);
	drain(test, space, first);
	first = fill(space, size, &again);
	/* The zone may hold a page of magazines now. */
	KUNIT_EXPECT_GE(test, again, nr - nr / 500);
	drain(test, space, first);
}

/* Pages of the buddy until it has no more, linked through their first words. */
static void *take_pages(struct qtest_backing *backing)
{
	struct quarry_buddy_block block;
	void **page, *first = NULL;

	while (!quarry_buddy_alloc(&backing->buddy, PAGE, 0, &block)) {
		page = (void **)(unsigned long)block.addr;
		*page = first;
		first = page;
	}
	return first;
}

static void *give_page(struct kunit *test, struct qtest_backing *backing, void *page)
{
	void *next = *(void **)page;

	KUNIT_ASSERT_EQ(test, quarry_buddy_free(&backing->buddy, (unsigned long)page), 0);
	return next;
}

/* A page that the heap can't make an extent of serves a request nevertheless. */
static void a_last_page_serves_each_size_up_to_it(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	struct qtest_backing *backing = test->priv;
	size_t size = min_t(size_t, param_size(test), PAGE);
	void *pages = take_pages(backing);
	void *block;

	KUNIT_EXPECT_NULL(test, quarry_malloc_alloc(&space->malloc, size, GFP_KERNEL));
	pages = give_page(test, backing, pages);
	block = qtest_malloc_block(test, space, size);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
	while (pages)
		pages = give_page(test, backing, pages);
}

/* When there is no page left, an object of a larger class does. */
static void a_larger_object_serves_a_small_request(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	void *kept = qtest_malloc_block(test, space, 1024);
	unsigned int nr, more;
	void *first, *others, *block;

	/* Slabs of 1024 B have room, and nobody else has. */
	first = fill(space, SZ_4K, &nr);
	others = fill(space, 2048, &more);
	block = quarry_malloc_alloc(&space->malloc, 8, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, block);
	KUNIT_EXPECT_GT(test, qtest_malloc_stats(space).nr_fallbacks, 0ULL);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
	drain(test, space, others);
	drain(test, space, first);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, kept));
}

/* What zone and heap keep for later goes back for whoever needs it. */
static void nothing_that_is_kept_makes_a_request_fail(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	unsigned int i, nr;
	void *first;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		first = fill(space, max(sizes[i], sizeof(void *)), &nr);
		drain(test, space, first);
	}
	/* All but the zone's own memory, and in one piece. */
	first = quarry_malloc_alloc(&space->malloc, MALLOC_MEMORY / 2, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, first);
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, first));
}

/* ---- The default instance ---- */

/* That of the module that is tested; built in, it may have got no region. */
static void the_default_one_serves_all_modules(struct kunit *test)
{
	size_t size = param_size(test), usable;
	bool there = quarry_default_malloc();
	u8 *block, *old;
	int here;

	EXPECT_OK(test, quarry_free(NULL));
	EXPECT_ERR(test, quarry_free(&here), there ? -EINVAL : -ENODEV);
	KUNIT_EXPECT_EQ(test, quarry_usable_size(&here), (size_t)0);
	KUNIT_EXPECT_NULL(test, quarry_realloc(&here, size, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, quarry_malloc(0, GFP_KERNEL));
	old = quarry_malloc(size, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_EQ(test, !!old, there);
	if (!there)
		return;
	usable = quarry_usable_size(old);
	KUNIT_EXPECT_GE(test, usable, size);
	KUNIT_EXPECT_NULL(test, memchr_inv(old, 0, usable));
	qtest_write(old, size, 3);
	block = quarry_realloc(old, 3 * size, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_EXPECT_TRUE(test, qtest_reads(block, size, 3));
	EXPECT_OK(test, quarry_malloc_verify(quarry_default_malloc(), NULL));
	EXPECT_OK(test, quarry_free(block));
	EXPECT_ERR(test, quarry_free(block), -ENOENT);
}

/* ---- verify ---- */

static void verify_finds_what_is_wrong(struct kunit *test)
{
	struct qtest_malloc *space = qtest_malloc(test);
	struct qtest_backing *backing = test->priv;
	u8 *block = qtest_malloc_block(test, space, SZ_1M);
	unsigned long owner = quarry_backend_owner(&backing->backend, block);
	struct quarry_fault fault;

	quarry_backend_set_owner(&backing->backend, block + SZ_4K, 1, owner);
	EXPECT_ERR(test, quarry_malloc_verify(&space->malloc, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, "an owner of a page that starts no block");
	quarry_backend_set_owner(&backing->backend, block + SZ_4K, 1, 0);
	quarry_backend_set_owner(&backing->backend, block, 1, 0);
	EXPECT_ERR(test, quarry_malloc_verify(&space->malloc, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, "large blocks in use");
	KUNIT_EXPECT_EQ(test, fault.found, 1ULL);
	quarry_backend_set_owner(&backing->backend, block, 1, owner);
	space->malloc.used += SZ_4K;
	EXPECT_ERR(test, quarry_malloc_verify(&space->malloc, NULL), -EUCLEAN);
	space->malloc.used -= SZ_4K;
	EXPECT_OK(test, quarry_malloc_verify(&space->malloc, &fault));
	EXPECT_OK(test, quarry_malloc_free(&space->malloc, block));
}

/* ---- At random ---- */

#define NR_SLOTS	256

/**
 * struct trial - blocks that somebody has, each with contents of its own
 * @test: the test
 * @space: where they are from
 * @rnd: where all decisions come from
 * @slots: the blocks, and what was asked for
 */
struct trial {
	struct kunit *test;
	struct qtest_malloc *space;
	struct rnd_state rnd;
	struct {
		u8 *block;
		size_t size;
	} slots[NR_SLOTS];
};

/* Each doubling up to 256 KiB as likely. */
static size_t draw_size(struct trial *trial)
{
	size_t top = BIT(qtest_below(&trial->rnd, 19));

	return top + qtest_below(&trial->rnd, top);
}

static void leave(struct trial *trial, unsigned int nr)
{
	struct kunit *test = trial->test;

	KUNIT_ASSERT_TRUE(test, qtest_reads(trial->slots[nr].block, trial->slots[nr].size, nr));
	KUNIT_ASSERT_EQ(test, quarry_malloc_free(&trial->space->malloc, trial->slots[nr].block),
			0);
	trial->slots[nr].block = NULL;
}

static void take(struct trial *trial, unsigned int nr)
{
	size_t size = draw_size(trial);
	u8 *block = quarry_malloc_alloc(&trial->space->malloc, size, GFP_KERNEL);

	if (!block)
		return;
	qtest_write(block, size, nr);
	trial->slots[nr].block = block;
	trial->slots[nr].size = size;
}

static void resize(struct trial *trial, unsigned int nr)
{
	size_t size = draw_size(trial), old = trial->slots[nr].size;
	struct kunit *test = trial->test;
	u8 *block;

	block = quarry_malloc_realloc(&trial->space->malloc, trial->slots[nr].block, size,
				      GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, block || size > old);
	if (!block)
		return;
	KUNIT_ASSERT_TRUE(test, qtest_reads(block, min(size, old), nr));
	qtest_write(block, size, nr);
	trial->slots[nr].block = block;
	trial->slots[nr].size = size;
}

static void step(struct trial *trial)
{
	unsigned int nr = qtest_below(&trial->rnd, NR_SLOTS);

	if (!trial->slots[nr].block)
		take(trial, nr);
	else if (qtest_below(&trial->rnd, 4))
		leave(trial, nr);
	else
		resize(trial, nr);
}

static void blocks_keep_their_contents(struct kunit *test)
{
	struct trial *trial = kunit_kzalloc(test, sizeof(*trial), GFP_KERNEL);
	unsigned long i, rounds = qtest_rounds(test, 100000);
	unsigned int nr;

	KUNIT_ASSERT_NOT_NULL(test, trial);
	trial->test = test;
	trial->space = qtest_malloc(test);
	qtest_seed(test, &trial->rnd);
	for (i = 0; i < rounds; i++) {
		step(trial);
		if (i % (rounds / 10) == 0) {
			qtest_malloc_intact(test, trial->space);
			cond_resched();
		}
	}
	for (nr = 0; nr < NR_SLOTS; nr++)
		if (trial->slots[nr].block)
			leave(trial, nr);
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(trial->space).nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(trial->space).used, 0ULL);
}

/* ---- In threads and interrupts ---- */

#define NR_HELD	16

/**
 * struct tenant - one of many who use a malloc at once
 * @malloc: the malloc
 * @rnd: where its decisions come from
 * @held: what it has; the first byte of a block is its size's, and the last one as well
 * @sizes: of these
 * @nr_wrong: answers and contents that can't be
 */
struct tenant {
	struct quarry_malloc *malloc;
	struct rnd_state rnd;
	u8 *held[NR_HELD];
	size_t sizes[NR_HELD];
	unsigned long nr_wrong;
};

static void let_go(struct tenant *tenant, unsigned int nr)
{
	u8 *block = tenant->held[nr];
	size_t size = tenant->sizes[nr];

	if (block[0] != (u8)size || block[size - 1] != (u8)size)
		tenant->nr_wrong++;
	if (quarry_malloc_free(tenant->malloc, block))
		tenant->nr_wrong++;
	tenant->held[nr] = NULL;
}

static void tenant_step(void *arg)
{
	struct tenant *tenant = arg;
	unsigned int nr = qtest_below(&tenant->rnd, NR_HELD);
	size_t size = BIT(qtest_below(&tenant->rnd, 18));
	u8 *block;

	if (tenant->held[nr]) {
		let_go(tenant, nr);
		return;
	}
	size += qtest_below(&tenant->rnd, size);
	block = quarry_malloc_alloc(tenant->malloc, size, GFP_ATOMIC);
	if (!block)
		return;
	block[0] = (u8)size;
	block[size - 1] = (u8)size;
	tenant->held[nr] = block;
	tenant->sizes[nr] = size;
}

static void tenant_leave(void *arg)
{
	struct tenant *tenant = arg;
	unsigned int nr;

	for (nr = 0; nr < NR_HELD; nr++)
		if (tenant->held[nr])
			let_go(tenant, nr);
}

static void many_use_it_at_once(struct kunit *test)
{
	int i, nr = qtest_nr_workers();
	struct qtest_malloc *space = qtest_malloc(test);
	struct qtest_worker *workers = kunit_kcalloc(test, nr, sizeof(*workers), GFP_KERNEL);
	struct tenant *tenants = kunit_kcalloc(test, 2 * nr, sizeof(*tenants), GFP_KERNEL);
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	KUNIT_ASSERT_NOT_NULL(test, tenants);
	qtest_seed(test, &rnd);
	for (i = 0; i < 2 * nr; i++) {
		tenants[i].malloc = &space->malloc;
		prandom_seed_state(&tenants[i].rnd, prandom_u32_state(&rnd));
	}
	for (i = 0; i < nr; i++) {
		workers[i].step = tenant_step;
		workers[i].leave = tenant_leave;
		workers[i].thread = &tenants[2 * i];
		workers[i].interrupt = &tenants[2 * i + 1];
	}
	qtest_work(test, workers, nr, qtest_rounds(test, 20000));
	for (i = 0; i < 2 * nr; i++)
		KUNIT_EXPECT_EQ(test, tenants[i].nr_wrong, 0UL);
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(space).used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(space).nr_misuses, 0ULL);
	qtest_malloc_intact(test, space);
}

static struct kunit_case malloc_cases[] = {
	KUNIT_CASE(init_refuses_what_cannot_be),
	KUNIT_CASE(limits_are_those_that_were_told),
	KUNIT_CASE(one_that_is_all_zeroes_serves_nothing),
	KUNIT_CASE(fini_is_refused_while_large_blocks_are_out),
	KUNIT_CASE(each_size_comes_from_who_should_have_it),
	KUNIT_CASE(aligned_sizes_come_from_zone_and_buddy),
	KUNIT_CASE(blocks_are_aligned_as_those_of_kmalloc),
	KUNIT_CASE_PARAM(zero_clears_all_of_a_block, size_gen_params),
	KUNIT_CASE(what_cannot_be_is_refused),
	KUNIT_CASE_PARAM(wrong_addresses_are_refused, size_gen_params),
	KUNIT_CASE(what_others_have_is_refused),
	KUNIT_CASE_PARAM(contents_move_along, size_gen_params),
	KUNIT_CASE_PARAM(realloc_of_nothing_allocates, size_gen_params),
	KUNIT_CASE(what_is_added_is_zero),
	KUNIT_CASE_PARAM(a_realloc_without_room_changes_nothing, size_gen_params),
	KUNIT_CASE_PARAM(a_size_can_have_almost_everything, size_gen_params),
	KUNIT_CASE_PARAM(a_last_page_serves_each_size_up_to_it, size_gen_params),
	KUNIT_CASE(a_larger_object_serves_a_small_request),
	KUNIT_CASE(nothing_that_is_kept_makes_a_request_fail),
	KUNIT_CASE_PARAM(the_default_one_serves_all_modules, size_gen_params),
	KUNIT_CASE(verify_finds_what_is_wrong),
	KUNIT_CASE(blocks_keep_their_contents),
	KUNIT_CASE(many_use_it_at_once),
	{}
};

static struct kunit_suite malloc_suite = {
	.name = "quarry_malloc",
	.init = malloc_test_init,
	.exit = qtest_backing_exit,
	.test_cases = malloc_cases,
};

kunit_test_suite(malloc_suite);
