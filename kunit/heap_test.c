// SPDX-License-Identifier: GPL-2.0
/*
 * What a heap does, and what it refuses, operation by operation. Defect numbers
 * are those of the reference systems that Quarry learned from.
 */
#include "heap_helpers.h"

#define MANY	8192	/* more blocks than HEAP_SIZE can have */

/* ---- init and size ---- */

static const size_t no_page_sizes[] = {
	0, 1, 2, 4, 7, 9, 12, 24, 511, 513, 4095, 4097, SZ_4M - 1, SZ_4M + 1, SZ_8M,
	(size_t)1 << (BITS_PER_LONG - 1), SIZE_MAX,
};

static void init_refuses_page_sizes_that_are_none(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void *memory = qtest_memory(test, SZ_64K);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(no_page_sizes); i++) {
		EXPECT_ERR(test, quarry_heap_init(heap, "", memory, SZ_64K, no_page_sizes[i]),
			   -EINVAL);
		EXPECT_ERR(test, quarry_heap_init(heap, "", NULL, 0, no_page_sizes[i]), -EINVAL);
		KUNIT_EXPECT_EQ(test, quarry_heap_size(SZ_64K, no_page_sizes[i]), (size_t)0);
	}
}

static void init_refuses_memory_that_is_none(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void *memory = qtest_memory(test, SZ_4K);
	size_t up_to_end = -(unsigned long)memory;

	EXPECT_ERR(test, quarry_heap_init(NULL, "", memory, SZ_4K, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, NULL, memory, SZ_4K, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", NULL, SZ_4K, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, 0, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, SIZE_MAX, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, up_to_end + 1, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, up_to_end + SZ_4K, HEAP_PAGE), -EINVAL);
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0xa5, SZ_4K));
	KUNIT_EXPECT_NULL(test, memchr_inv(heap, 0xa5, sizeof(*heap)));
}

/* Heaps of every size at every offset: none is too small to be told so. */
static void heaps_of_any_size_stay_in_their_memory(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t size, offset, nr_small = 0;
	unsigned int nr;
	u8 *memory;
	int err;

	for (size = 1; size < 3000; size += 1 + size / 64) {
		offset = size * 5 % 67;
		memory = qtest_fenced_memory(test, size, SZ_4K, offset);
		err = quarry_heap_init(heap, "", memory, size, 64);
		if (err) {
			nr_small++;
			EXPECT_ERR(test, err, -ENOMEM);
			KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0xa5, size));
			continue;
		}
		nr = qtest_heap_fill(test, heap, 1 + size % 20, blocks, MANY);
		KUNIT_EXPECT_GT(test, nr, 0U);
		qtest_heap_intact(test, heap);
		qtest_fences(test, memory, size);
		qtest_heap_free_all(test, heap, blocks, nr);
		qtest_heap_all_free(test, heap);
		EXPECT_OK(test, quarry_heap_fini(heap, NULL));
		qtest_fences(test, memory, size);
	}
	KUNIT_EXPECT_GT(test, nr_small, (size_t)0);
	KUNIT_EXPECT_LT(test, nr_small, (size_t)128 + 67);
}

static void a_fresh_heap_is_all_free(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_stats stats = qtest_heap_stats(&space->heap);

	KUNIT_EXPECT_EQ(test, stats.memory, (u64)HEAP_SIZE);
	KUNIT_EXPECT_EQ(test, stats.page_size, (u64)HEAP_PAGE);
	KUNIT_EXPECT_LT(test, stats.total, (u64)HEAP_SIZE);
	KUNIT_EXPECT_EQ(test, stats.total % HEAP_PAGE, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.peak, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_allocs, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_extents, 1U);
	KUNIT_EXPECT_EQ(test, stats.fragmentation, 0U);
	KUNIT_EXPECT_EQ(test, stats.last_failure.when, 0ULL);
	KUNIT_EXPECT_GT(test, stats.nr_classes, 0U);
	qtest_heap_all_free(test, &space->heap);
}

static void a_heap_may_begin_with_nothing(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	struct quarry_heap_block block;

	ASSERT_OK(test, quarry_heap_init(heap, "empty", NULL, 0, HEAP_PAGE));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 1));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 1ULL);
	EXPECT_ERR(test, quarry_heap_free(heap, heap), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, heap), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, heap, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(heap, NULL, &block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_shrink(heap, heap), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, heap), (size_t)0);
	qtest_heap_all_free(test, heap);

	ASSERT_OK(test, quarry_heap_extend(heap, qtest_memory(test, SZ_4K), SZ_4K));
	qtest_heap_block(test, heap, 100);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 1ULL);
}

static void sizes_of_memory_that_overflow_are_refused(struct kunit *test)
{
	size_t page_size, less;

	for (page_size = QUARRY_HEAP_MIN_PAGE; page_size <= QUARRY_HEAP_MAX_PAGE; page_size *= 2) {
		KUNIT_EXPECT_EQ(test, quarry_heap_size(0, page_size), (size_t)0);
		for (less = 0; less < 5000; less += 1 + less / 8)
			KUNIT_EXPECT_EQ(test, quarry_heap_size(SIZE_MAX - less, page_size),
					(size_t)0);
	}
}

/* ---- free ---- */

static void freeing_nothing_does_nothing(struct kunit *test)
{
	struct qtest_heap *space = test->priv;

	qtest_heap_remember(space);
	EXPECT_OK(test, quarry_heap_free(&space->heap, NULL));
	EXPECT_OK(test, quarry_heap_free_deferred(&space->heap, NULL));
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(&space->heap), 0UL);
	qtest_heap_unchanged(test, space, 0);
}

/* Defect 30: with many free blocks around it, the last of a page frees the page. */
static void the_last_block_of_a_page_gives_the_page_back(struct kunit *test)
{
	enum { NR = 250000 };
	size_t size = quarry_heap_size(NR * 16, HEAP_PAGE);
	struct qtest_heap *space = qtest_heap(test, size, HEAP_PAGE);
	void **blocks = qtest_memory(test, (NR + 64) * sizeof(*blocks));
	struct quarry_heap_stats stats;
	unsigned int nr, i;

	test->priv = space;
	nr = qtest_heap_fill(test, &space->heap, 16, blocks, NR + 64);
	KUNIT_ASSERT_GE(test, nr, (unsigned int)NR);
	for (i = 0; i < nr; i++)
		if (i % 32)
			ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[i]));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).largest_free, 16ULL);
	ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[nr / 2 / 32 * 32]));
	stats = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_EQ(test, stats.largest_free, (u64)HEAP_PAGE);
	ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[nr / 2 / 32 * 32 + 32]));
	stats = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_EQ(test, stats.largest_free, 2 * (u64)HEAP_PAGE);
}

/* What is free in one size serves others: nothing stays with the size it had. */
static void memory_goes_from_size_to_size(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	u64 total = qtest_heap_stats(&space->heap).total;
	unsigned int round, nr;
	size_t size;

	for (round = 0; round < 60; round++) {
		size = 16 + round * 977 % 5000;
		nr = qtest_heap_fill(test, &space->heap, size, blocks, MANY);
		KUNIT_EXPECT_GE_MSG(test, (nr + 1) * (size + size / 4), total * 9 / 10,
				    "of %zu bytes", size);
		qtest_heap_free_all(test, &space->heap, blocks, nr);
		qtest_heap_all_free(test, &space->heap);
	}
}

/* Freed in every order, all of it comes together again. */
static void blocks_may_be_freed_in_any_order(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	static const size_t sizes[] = { 16, 48, 64, 200, 512, 1000, 3000 };
	unsigned int nr, i, k, stride;

	for (k = 0; k < ARRAY_SIZE(sizes); k++)
		for (stride = 1; stride < 20; stride += 3) {
			nr = qtest_heap_fill(test, &space->heap, sizes[k], blocks, MANY);
			for (i = 0; i < nr; i++) {
				void **block = &blocks[(size_t)i * 7919 * stride % nr];

				if (!*block)
					continue;
				ASSERT_OK(test, quarry_heap_free(&space->heap, *block));
				*block = NULL;
			}
			qtest_heap_free_all(test, &space->heap, blocks, nr);
			qtest_heap_all_free(test, &space->heap);
		}
}

/* ---- lookup, walk, figures ---- */

static void a_block_is_found_by_any_address_in_it(struct kunit *test)
{
	static const size_t sizes[] = { 1, 16, 40, 64, 100, 500, 512, 513, 1000, 2000, 5000 };
	struct qtest_heap *space = test->priv;
	struct quarry_heap_block block;
	size_t k, i, real;
	u8 *at;

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		at = qtest_heap_block(test, &space->heap, sizes[k]);
		real = quarry_heap_usable_size(&space->heap, at);
		for (i = 0; i < real; i++) {
			ASSERT_OK(test, quarry_heap_lookup(&space->heap, at + i, &block));
			EXPECT_HEAP_BLOCK(test, &block, at, real, true);
			if (i)
				KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(&space->heap, at + i),
						(size_t)0);
		}
	}
}

static void no_block_is_found_where_there_is_none(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	struct quarry_heap_block block;
	u8 *at = qtest_heap_block(test, heap, 100);

	ASSERT_OK(test, quarry_heap_free(heap, at));
	qtest_heap_remember(space);
	EXPECT_ERR(test, quarry_heap_lookup(heap, at, &block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_lookup(heap, at + 50, &block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_lookup(heap, NULL, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, heap, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, space->memory - 1, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, space->memory + HEAP_SIZE, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, ERR_PTR(-1), &block), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, at), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, NULL), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, heap), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, space->memory - 8), (size_t)0);
	space->old.nr_misuses = qtest_heap_stats(heap).nr_misuses;
	qtest_heap_unchanged(test, space, 0);
}

static void answers_need_a_place(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *at = qtest_heap_block(test, heap, 100);

	EXPECT_ERR(test, quarry_heap_lookup(heap, at, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(heap, NULL, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(heap, at, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_class_stats(heap, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extent_stats(heap, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, 0, 0, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
}

/* The walk meets each byte once, and each block in use with its size. */
static void the_walk_shows_every_block(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_block block = {};
	u64 used = 0, free = 0, nr_used = 0;
	void *blocks[100];
	int i;

	for (i = 0; i < 100; i++)
		blocks[i] = qtest_heap_block(test, &space->heap, 1 + i * i % 300);
	for (i = 0; i < 100; i += 3)
		ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[i]));
	while (!quarry_heap_next(&space->heap, block.addr + block.size, &block)) {
		KUNIT_ASSERT_GT(test, block.size, (size_t)0);
		KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(&space->heap, block.addr),
				block.used ? block.size : 0);
		*(block.used ? &used : &free) += block.size;
		nr_used += block.used;
	}
	space->now = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_EQ(test, used, space->now.used);
	KUNIT_EXPECT_EQ(test, nr_used, space->now.nr_used);
	KUNIT_EXPECT_EQ(test, used + free, space->now.total);
	EXPECT_ERR(test, quarry_heap_next(&space->heap, ERR_PTR(-1), &block), -ENOENT);
}

static void classes_and_extents_add_up(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_class_stats class;
	struct quarry_heap_extent_stats extent;
	u64 nr_used = 0, in_buckets = 0, in_classes = 0;
	unsigned int i;

	for (i = 0; i < 200; i++)
		qtest_heap_block(test, &space->heap, 1 + i * 7 % 130);
	space->now = qtest_heap_stats(&space->heap);
	for (i = 0; i < space->now.nr_classes; i++) {
		ASSERT_OK(test, quarry_heap_class_stats(&space->heap, i, &class));
		nr_used += class.nr_used;
		in_buckets += class.bytes;
		in_classes += (class.nr_used + class.nr_free) * class.size;
		KUNIT_EXPECT_LE(test, (class.nr_used + class.nr_free) * class.size,
				class.bytes);
	}
	ASSERT_OK(test, quarry_heap_extent_stats(&space->heap, 0, &extent));
	KUNIT_EXPECT_EQ(test, nr_used, 200ULL);
	KUNIT_EXPECT_LE(test, in_classes, in_buckets);
	KUNIT_EXPECT_EQ(test, extent.total - extent.free, in_buckets);
	KUNIT_EXPECT_EQ(test, extent.total, space->now.total);
	KUNIT_EXPECT_PTR_EQ(test, extent.memory, (void *)space->memory);
	KUNIT_EXPECT_EQ(test, extent.size, HEAP_SIZE);
	KUNIT_EXPECT_FALSE(test, extent.grown);
	EXPECT_ERR(test, quarry_heap_extent_stats(&space->heap, 1, &extent), -ENOENT);
	EXPECT_ERR(test, quarry_heap_extent_stats(&space->heap, UINT_MAX, &extent), -ENOENT);
}

static void the_peak_stays(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void *large = qtest_heap_block(test, &space->heap, 10 * HEAP_PAGE);
	void *small = qtest_heap_block(test, &space->heap, 64);

	EXPECT_OK(test, quarry_heap_free(&space->heap, large));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).peak, 10ULL * HEAP_PAGE + 64);
	EXPECT_OK(test, quarry_heap_free(&space->heap, small));
	qtest_heap_block(test, &space->heap, 8 * HEAP_PAGE);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).peak, 10ULL * HEAP_PAGE + 64);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).used, 8ULL * HEAP_PAGE);
}

/* ---- fini ---- */

static void fini_is_refused_while_blocks_are_out(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void *small = qtest_heap_block(test, &space->heap, 20);
	void *large = qtest_heap_block(test, &space->heap, 2000);
	u64 nr_used = 0;

	qtest_heap_remember(space);
	EXPECT_ERR(test, quarry_heap_fini(&space->heap, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 2ULL);
	EXPECT_ERR(test, quarry_heap_fini(&space->heap, NULL), -EBUSY);
	qtest_heap_unchanged(test, space, 0);
	EXPECT_OK(test, quarry_heap_free(&space->heap, small));
	EXPECT_OK(test, quarry_heap_free(&space->heap, large));
	EXPECT_OK(test, quarry_heap_fini(&space->heap, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	test->priv = NULL;
}

static void after_its_end_a_heap_serves_nothing(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 20), *waited = NULL;
	struct quarry_heap_block found;

	test->priv = NULL;
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 1ULL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 20));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, 600, SZ_1K));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 30));
	EXPECT_ERR(test, quarry_heap_free(heap, block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, block, &found), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(heap, NULL, &found), -ENOENT);
	KUNIT_EXPECT_NE(test, quarry_heap_alloc_wait(heap, 20, 0, 0, &waited), 0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, block), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 0UL);

	ASSERT_OK(test, quarry_heap_init(heap, "again", space->memory, HEAP_SIZE, HEAP_PAGE));
	qtest_heap_all_free(test, heap);
	EXPECT_ERR(test, quarry_heap_free(heap, block), -EINVAL);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

static struct kunit_case heap_cases[] = {
	KUNIT_CASE(init_refuses_page_sizes_that_are_none),
	KUNIT_CASE(init_refuses_memory_that_is_none),
	KUNIT_CASE(heaps_of_any_size_stay_in_their_memory),
	KUNIT_CASE(a_fresh_heap_is_all_free),
	KUNIT_CASE(a_heap_may_begin_with_nothing),
	KUNIT_CASE(sizes_of_memory_that_overflow_are_refused),
	KUNIT_CASE(freeing_nothing_does_nothing),
	KUNIT_CASE(the_last_block_of_a_page_gives_the_page_back),
	KUNIT_CASE(memory_goes_from_size_to_size),
	KUNIT_CASE(blocks_may_be_freed_in_any_order),
	KUNIT_CASE(a_block_is_found_by_any_address_in_it),
	KUNIT_CASE(no_block_is_found_where_there_is_none),
	KUNIT_CASE(answers_need_a_place),
	KUNIT_CASE(the_walk_shows_every_block),
	KUNIT_CASE(classes_and_extents_add_up),
	KUNIT_CASE(the_peak_stays),
	KUNIT_CASE(fini_is_refused_while_blocks_are_out),
	KUNIT_CASE(after_its_end_a_heap_serves_nothing),
	{}
};

static struct kunit_suite heap_suite = {
	.name = "quarry_heap",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = heap_cases,
};

kunit_test_suite(heap_suite);
