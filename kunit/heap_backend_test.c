// SPDX-License-Identifier: GPL-2.0
/*
 * A heap that takes its extents from a backend, and that gives them back when it
 * has no use for them, or when somebody else has more.
 */
#include "backing.h"
#include "heap_helpers.h"

#define EXTENT	PAGES(8)

static struct quarry_heap *heap_on(struct kunit *test, struct qtest_backing *backing,
				   unsigned int keep)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));

	ASSERT_OK(test, quarry_heap_init(heap, test->name, NULL, 0, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_set_backend(heap, &backing->backend, EXTENT, keep));
	return heap;
}

/* The parts of the backing that extents are: it is aligned to all of its size. */
static void *backing_range(struct qtest_backing *backing, unsigned int nr)
{
	return (void *)(unsigned long)(backing->region.base + nr * EXTENT);
}

/* Each test ends so; the backing sees then that all of its pages are back. */
static void end_heap(struct kunit *test, struct quarry_heap *heap)
{
	qtest_heap_intact(test, heap);
	quarry_heap_destroy(heap, NULL, NULL);
}

static void extents_come_from_the_backend_and_go_back(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 0);
	void *block;

	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	block = qtest_heap_block(test, heap, 100);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), EXTENT);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).memory, EXTENT);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_gives, 1ULL);
	end_heap(test, heap);
}

static void large_requests_take_large_extents(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 0);
	size_t size;
	void *block;

	for (size = EXTENT; size < PAGES(60); size += PAGES(9)) {
		block = qtest_heap_block(test, heap, size);
		KUNIT_EXPECT_GT(test, qtest_backing_used(backing), (u64)size);
		EXPECT_OK(test, quarry_heap_free(heap, block));
		KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	}
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, PAGES(64)));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, HEAP_MAX_SIZE));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, SIZE_MAX));
	end_heap(test, heap);
}

/* Until the backend has nothing more; and not a page of it is lost. */
static void a_heap_takes_all_there_is(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 1);
	void **blocks = qtest_memory(test, SZ_16K * sizeof(*blocks));
	unsigned int nr = qtest_heap_fill(test, heap, 64, blocks, SZ_16K);

	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGES(NR_PAGES));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_extents, 8U);
	KUNIT_EXPECT_GE(test, nr * 64ULL, PAGES(NR_PAGES) * 97 / 100);
	qtest_heap_intact(test, heap);
	qtest_heap_free_all(test, heap, blocks, nr);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), EXTENT);
	qtest_heap_all_free(test, heap);
	end_heap(test, heap);
}

static void a_backend_that_fails_makes_the_request_fail(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 0);
	void *block = qtest_heap_block(test, heap, 20000);

	backing->barren = true;
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 20000));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 1ULL);
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, 5000));
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(block, 20000));
	backing->barren = false;
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, 20000));
	end_heap(test, heap);
}

/* Kept for later, but not when somebody else needs it. */
static void what_is_kept_goes_back_when_the_backend_runs_short(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 4);
	void *blocks[4], *range;
	int i;

	for (i = 0; i < 4; i++)
		blocks[i] = qtest_heap_block(test, heap, 20000);
	qtest_heap_free_all(test, heap, blocks, 4);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 4 * EXTENT);
	for (i = 0; i < 8; i++) {
		range = quarry_backend_take(&backing->backend, EXTENT);
		KUNIT_ASSERT_NOT_NULL_MSG(test, range, "range %d", i);
		memset(range, 0x5a, EXTENT);
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).memory, 0ULL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 1));
	for (i = 0; i < 8; i++)
		EXPECT_OK(test, quarry_backend_give(&backing->backend, backing_range(backing, i),
						    EXTENT));
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, 1));
	end_heap(test, heap);
}

/* Two heaps on one backend: what the one keeps, the other can have. */
static void a_heap_gets_what_another_keeps(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *one = heap_on(test, backing, 8), *other = heap_on(test, backing, 0);
	void *blocks[8];
	int i;

	for (i = 0; i < 8; i++)
		blocks[i] = qtest_heap_block(test, one, 30000);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(other, 30000));
	qtest_heap_free_all(test, one, blocks, 8);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGES(NR_PAGES));
	for (i = 0; i < 8; i++)
		blocks[i] = qtest_heap_block(test, other, 30000);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(one).nr_extents, 0U);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(one, 1));
	qtest_heap_free_all(test, other, blocks, 8);
	end_heap(test, one);
	end_heap(test, other);
}

/* An extent with one small block in it isn't empty, however short memory is. */
static void what_is_in_use_is_not_reclaimed(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 2);
	void *small = qtest_heap_block(test, heap, 16), *range;
	unsigned int nr = 0;

	while ((range = quarry_backend_take(&backing->backend, EXTENT)))
		nr++;
	KUNIT_EXPECT_EQ(test, nr, 7U);
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(small, 16));
	EXPECT_OK(test, quarry_heap_free(heap, small));
	KUNIT_EXPECT_NOT_NULL(test, quarry_backend_take(&backing->backend, EXTENT));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_extents, 0U);
	for (nr = 0; nr < 8; nr++)
		EXPECT_OK(test, quarry_backend_give(&backing->backend, backing_range(backing, nr),
						    EXTENT));
	end_heap(test, heap);
}

static void a_backend_may_not_change_while_its_memory_is_out(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 0);
	void *block = qtest_heap_block(test, heap, 100);

	EXPECT_ERR(test, quarry_heap_set_backend(heap, NULL, 0, 0), -EBUSY);
	EXPECT_ERR(test, quarry_heap_set_backend(heap, &backing->backend, EXTENT, 1), -EBUSY);
	EXPECT_ERR(test, quarry_backend_fini(&backing->backend), -EBUSY);
	EXPECT_ERR(test, quarry_heap_set_backend(heap, &backing->backend, 0, 1), -EINVAL);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	EXPECT_OK(test, quarry_heap_set_backend(heap, &backing->backend, PAGES(2), 1));
	block = qtest_heap_block(test, heap, 100);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGES(2));
	EXPECT_OK(test, quarry_heap_free(heap, block));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGES(2));
	end_heap(test, heap);
}

static void a_backend_may_be_taken_away(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 0);

	EXPECT_OK(test, quarry_heap_set_backend(heap, NULL, 0, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 100));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&backing->nr_asked), 0L);
	end_heap(test, heap);
}

/* With blocks in use, with empty extents kept, and once more when it has ended. */
static void the_end_of_a_heap_gives_all_back(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_heap *heap = heap_on(test, backing, 3);
	void *block = qtest_heap_block(test, heap, 30000);
	int i;

	for (i = 0; i < 3; i++)
		qtest_heap_block(test, heap, 30000);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	EXPECT_ERR(test, quarry_heap_fini(heap, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 4 * EXTENT);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 0ULL);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

static struct kunit_case backend_cases[] = {
	KUNIT_CASE(extents_come_from_the_backend_and_go_back),
	KUNIT_CASE(large_requests_take_large_extents),
	KUNIT_CASE(a_heap_takes_all_there_is),
	KUNIT_CASE(a_backend_that_fails_makes_the_request_fail),
	KUNIT_CASE(what_is_kept_goes_back_when_the_backend_runs_short),
	KUNIT_CASE(a_heap_gets_what_another_keeps),
	KUNIT_CASE(what_is_in_use_is_not_reclaimed),
	KUNIT_CASE(a_backend_may_not_change_while_its_memory_is_out),
	KUNIT_CASE(a_backend_may_be_taken_away),
	KUNIT_CASE(the_end_of_a_heap_gives_all_back),
	{}
};

static struct kunit_suite backend_suite = {
	.name = "quarry_heap_backend",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = backend_cases,
};

kunit_test_suite(backend_suite);
