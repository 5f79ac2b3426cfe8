// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that are made larger and smaller: where they stay in place, that their
 * contents come with them, and that a failure leaves them as they are.
 */
#include "heap_helpers.h"

/* Resizes a block whose contents are its own, and gives it new ones. */
static void *resize(struct kunit *test, struct quarry_heap *heap, void *block, size_t old,
		    size_t size)
{
	void *moved = quarry_heap_realloc(heap, block, size);

	KUNIT_ASSERT_NOT_NULL_MSG(test, moved, "from %zu to %zu bytes", old, size);
	KUNIT_ASSERT_GE(test, quarry_heap_usable_size(heap, moved), size);
	KUNIT_ASSERT_TRUE(test, qtest_heap_reads(moved, size, block, old));
	qtest_heap_write(moved, size);
	return moved;
}

static void resizing_nothing_allocates(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void *block = resize(test, &space->heap, NULL, 0, 100);

	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).nr_allocs, 1ULL);
	EXPECT_OK(test, quarry_heap_free(&space->heap, block));
	qtest_heap_all_free(test, &space->heap);
}

static const size_t sizes[] = {
	1, 15, 16, 17, 64, 65, 100, 128, 129, 255, 256, 257, 500, 511, 512, 513, 1000, 1024, 1025,
	2000, 2048, 2049, 4096, 5000, 8191, 10000, 20000,
};

static void contents_come_along_from_any_size_to_any(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	size_t i, k;
	void *block;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (k = 0; k < ARRAY_SIZE(sizes); k++) {
			block = qtest_heap_block(test, &space->heap, sizes[i]);
			block = resize(test, &space->heap, block, sizes[i], sizes[k]);
			block = resize(test, &space->heap, block, sizes[k], sizes[i]);
			KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).nr_used, 1ULL);
			EXPECT_OK(test, quarry_heap_free(&space->heap, block));
			qtest_heap_intact(test, &space->heap);
		}
	qtest_heap_all_free(test, &space->heap);
}

/* All sizes that end up as the same real size need no other place. */
static void a_block_stays_while_its_real_size_does(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t size, other, real;
	void *block, *same;

	for (size = 1; size < 6000; size += 1 + size / 32) {
		block = qtest_heap_block(test, heap, size);
		real = quarry_heap_usable_size(heap, block);
		for (other = real; other >= size; other -= 1 + real / 64) {
			u64 nr_allocs = qtest_heap_stats(heap).nr_allocs;

			same = resize(test, heap, block, size, other);
			KUNIT_EXPECT_PTR_EQ(test, same, block);
			KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, same), real);
			KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_allocs, nr_allocs);
			qtest_heap_write(block, size);
		}
		EXPECT_OK(test, quarry_heap_free(heap, block));
	}
	qtest_heap_all_free(test, heap);
}

/* What a run loses is free at once, behind it; the place remains. */
static void a_run_that_shrinks_stays(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t total = qtest_heap_stats(heap).total, size, old = total;
	u8 *block = qtest_heap_block(test, heap, total), *behind;

	for (size = total - HEAP_PAGE; size > 10 * HEAP_PAGE; size -= 7 * HEAP_PAGE) {
		KUNIT_EXPECT_PTR_EQ(test, resize(test, heap, block, old, size - 3), (void *)block);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).used, (u64)size);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).largest_free, (u64)total - size);
		behind = qtest_heap_block(test, heap, total - size);
		KUNIT_EXPECT_PTR_EQ(test, behind, block + size);
		EXPECT_OK(test, quarry_heap_free(heap, behind));
		old = size - 3;
		qtest_heap_intact(test, heap);
	}
	EXPECT_OK(test, quarry_heap_free(heap, block));
	qtest_heap_all_free(test, heap);
}

static void a_run_grows_into_free_pages_behind_it(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t total = qtest_heap_stats(heap).total, size, old = 10 * HEAP_PAGE;
	void *block = qtest_heap_block(test, heap, total), *same;

	block = resize(test, heap, block, total, old);
	for (size = old + 1; size <= total; size += 5 * HEAP_PAGE) {
		same = resize(test, heap, block, old, size);
		KUNIT_EXPECT_PTR_EQ(test, same, block);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).used,
				(u64)roundup(size, HEAP_PAGE));
		old = size;
		qtest_heap_intact(test, heap);
	}
	KUNIT_EXPECT_PTR_EQ(test, resize(test, heap, block, old, total), block);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).free, 0ULL);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	qtest_heap_all_free(test, heap);
}

/* Three runs side by side; the middle one has no room behind it but elsewhere. */
static void a_run_moves_when_the_pages_behind_are_taken(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t size = 10 * HEAP_PAGE;
	void *first = qtest_heap_block(test, heap, size);
	void *block = qtest_heap_block(test, heap, size);
	void *last = qtest_heap_block(test, heap, size), *moved;

	moved = resize(test, heap, block, size, size + HEAP_PAGE);
	KUNIT_EXPECT_PTR_NE(test, moved, block);
	EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(first, size));
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(last, size));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).used, 31ULL * HEAP_PAGE);
}

/* No room: the block, its contents and everything else are as they were. */
static void a_failure_leaves_the_block_as_it_is(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t total = qtest_heap_stats(heap).total, i;
	void *block, *wall;

	for (i = 0; i < ARRAY_SIZE(sizes) - 1; i++) {
		block = qtest_heap_block(test, heap, sizes[i]);
		wall = qtest_heap_block(test, heap, total / 2);
		qtest_heap_remember(space);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, total));
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, total / 2));
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, HEAP_MAX_SIZE));
		KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(block, sizes[i]));
		space->old.nr_failures += 3;
		space->old.last_failure = qtest_heap_stats(heap).last_failure;
		qtest_heap_unchanged(test, space, 0);
		EXPECT_OK(test, quarry_heap_free(heap, block));
		EXPECT_OK(test, quarry_heap_free(heap, wall));
	}
	qtest_heap_all_free(test, heap);
}

static void what_can_not_be_resized_is_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *block = qtest_heap_block(test, heap, 1000), *freed = qtest_heap_block(test, heap, 20);
	size_t less;

	EXPECT_OK(test, quarry_heap_free(heap, freed));
	qtest_heap_remember(space);
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block + 8, 10));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, freed, 10));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, space, 10));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, space->memory - 8, 10));
	for (less = 0; less < 5000; less += 1 + less / 8) {
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, SIZE_MAX - less));
		space->old.nr_misuses++;
	}
	qtest_heap_unchanged(test, space, 5);
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(block, 1000));
}

/* With no room but its own, a small block still becomes smaller, or stays. */
static void a_full_heap_still_shrinks_blocks(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, 8192 * sizeof(*blocks));
	unsigned int i, nr = qtest_heap_fill(test, heap, 200, blocks, 8192);
	void *last;

	while ((last = quarry_heap_alloc(heap, 16)))
		KUNIT_ASSERT_GT(test, quarry_heap_usable_size(heap, last), (size_t)0);
	for (i = 0; i < nr; i++)
		blocks[i] = resize(test, heap, blocks[i], 200, 150);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(blocks[i], 150));
}

/* A string builder: grows by a little each time, and others grow beside it. */
static void blocks_grow_side_by_side(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[4] = {};
	size_t size, old = 0;
	int i;

	for (size = 1; size < 9000; old = size, size += 1 + size / 5)
		for (i = 0; i < 4; i++)
			blocks[i] = resize(test, heap, blocks[i], old, size);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(blocks[i], old));
		EXPECT_OK(test, quarry_heap_free(heap, blocks[i]));
	}
	qtest_heap_all_free(test, heap);
}

static struct kunit_case realloc_cases[] = {
	KUNIT_CASE(resizing_nothing_allocates),
	KUNIT_CASE(contents_come_along_from_any_size_to_any),
	KUNIT_CASE(a_block_stays_while_its_real_size_does),
	KUNIT_CASE(a_run_that_shrinks_stays),
	KUNIT_CASE(a_run_grows_into_free_pages_behind_it),
	KUNIT_CASE(a_run_moves_when_the_pages_behind_are_taken),
	KUNIT_CASE(a_failure_leaves_the_block_as_it_is),
	KUNIT_CASE(what_can_not_be_resized_is_refused),
	KUNIT_CASE(a_full_heap_still_shrinks_blocks),
	KUNIT_CASE(blocks_grow_side_by_side),
	{}
};

static struct kunit_suite realloc_suite = {
	.name = "quarry_heap_realloc",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = realloc_cases,
};

kunit_test_suite(realloc_suite);
