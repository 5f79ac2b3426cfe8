// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that are freed if someone agrees, or later: where the lock can't be had,
 * by whoever comes next.
 */
#include "heap_helpers.h"

#define MANY	8192	/* more blocks than HEAP_SIZE can have */

/* ---- Veto ---- */

static int never_called(void *ctx, void *block, size_t size)
{
	struct kunit *test = ctx;

	KUNIT_FAIL(test, "asked whether to free %zu bytes that are no block", size);
	return 0;
}

struct veto {
	struct kunit *test;
	struct quarry_heap *heap;
	void *block;
	size_t size;
	int answer;
	int nr_asked;
};

static int ask(void *ctx, void *block, size_t size)
{
	struct veto *veto = ctx;

	KUNIT_EXPECT_PTR_EQ(veto->test, block, veto->block);
	KUNIT_EXPECT_EQ(veto->test, size, veto->size);
	/* With no lock held; and the block is still in use. */
	KUNIT_EXPECT_EQ(veto->test, quarry_heap_usable_size(veto->heap, block), size);
	veto->nr_asked++;
	return veto->answer;
}

static void a_check_may_veto_a_free(struct kunit *test)
{
	static const int answers[] = { -EBUSY, -EPERM, 1, INT_MIN, INT_MAX, -ENOENT, -EINVAL };
	struct qtest_heap *space = test->priv;
	struct veto veto = { .test = test, .heap = &space->heap };
	size_t i, k;

	for (k = 0; k < QTEST_NR_KINDS; k++) {
		veto.block = qtest_heap_block(test, &space->heap, qtest_kinds[k]);
		veto.size = quarry_heap_usable_size(&space->heap, veto.block);
		veto.nr_asked = 0;
		qtest_heap_remember(space);
		for (i = 0; i < ARRAY_SIZE(answers); i++) {
			veto.answer = answers[i];
			EXPECT_ERR(test, quarry_heap_free_checked(&space->heap, veto.block, ask,
								  &veto), answers[i]);
		}
		qtest_heap_unchanged(test, space, 0);
		veto.answer = 0;
		EXPECT_OK(test, quarry_heap_free_checked(&space->heap, veto.block, ask, &veto));
		EXPECT_ERR(test, quarry_heap_free_checked(&space->heap, veto.block, ask, &veto),
			   -ENOENT);
		KUNIT_EXPECT_EQ(test, veto.nr_asked, (int)ARRAY_SIZE(answers) + 1);
	}
	EXPECT_OK(test, quarry_heap_free_checked(&space->heap, NULL, never_called, test));
	qtest_heap_all_free(test, &space->heap);
}

static int free_it_oneself(void *ctx, void *block, size_t size)
{
	return quarry_heap_free(ctx, block);
}

static int replace_it(void *ctx, void *block, size_t size)
{
	struct quarry_heap *heap = ctx;
	int err = quarry_heap_free(heap, block);

	/* With a larger block that covers it, and begins elsewhere or there. */
	return err ?: !quarry_heap_alloc(heap, HEAP_SIZE / 2);
}

/* While the check runs, others may free the block; then it is free already. */
static void a_block_that_is_freed_during_its_check_is_freed_once(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 100), *before, *behind;

	EXPECT_ERR(test, quarry_heap_free_checked(heap, block, free_it_oneself, heap), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_frees, 1ULL);
	qtest_heap_all_free(test, heap);

	before = qtest_heap_block(test, heap, 10 * HEAP_PAGE);
	block = qtest_heap_block(test, heap, 2 * HEAP_PAGE);
	behind = qtest_heap_block(test, heap, 4 * HEAP_PAGE);
	EXPECT_OK(test, quarry_heap_free(heap, before));
	EXPECT_OK(test, quarry_heap_free(heap, behind));
	KUNIT_EXPECT_NE(test, quarry_heap_free_checked(heap, block, replace_it, heap), 0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
}

/* ---- Deferred ---- */

static void a_deferred_free_is_done_by_reap(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[QTEST_NR_KINDS];
	size_t i;

	for (i = 0; i < QTEST_NR_KINDS - 1; i++) {
		blocks[i] = qtest_heap_block(test, heap, qtest_kinds[i]);
		EXPECT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, blocks[i]), -ENOENT);
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 1UL);
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 0UL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, blocks[i]), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -ENOENT);
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 3ULL * i);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_frees, (u64)i);
	qtest_heap_all_free(test, heap);
}

static void many_deferred_frees_are_all_done(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, nr;
	size_t k;

	for (k = 0; k < QTEST_NR_KINDS; k++) {
		nr = qtest_heap_fill(test, heap, qtest_kinds[k], blocks, MANY);
		for (i = 0; i < nr; i++)
			ASSERT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), (unsigned long)nr);
		for (i = 0; i < nr; i++)
			EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -ENOENT);
		qtest_heap_all_free(test, heap);
	}
}

/* An allocation that finds no room does all that is queued before it fails. */
static void deferred_frees_are_done_before_an_allocation_fails(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t total = qtest_heap_stats(heap).total;
	unsigned int i, nr = qtest_heap_fill(test, heap, 40, blocks, MANY);

	for (i = 0; i < nr; i++)
		ASSERT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, total));
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 0UL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
}

/* Without reap, in steady use, the queue doesn't grow. */
static void deferred_frees_are_done_by_the_way(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block;
	int i;

	for (i = 0; i < 10000; i++) {
		block = quarry_heap_alloc(heap, 1 + i % 2000);
		KUNIT_ASSERT_NOT_NULL(test, block);
		ASSERT_OK(test, quarry_heap_free_deferred(heap, block));
	}
	KUNIT_EXPECT_LE(test, quarry_heap_reap(heap), 2UL);
	qtest_heap_all_free(test, heap);
}

/* The queued block is freed once, however its owner goes on. */
static void a_queued_block_is_freed_once(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[3];
	int i;

	for (i = 0; i < 3; i++)
		blocks[i] = qtest_heap_block(test, heap, 100);
	for (i = 0; i < 3; i++)
		EXPECT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
	for (i = 0; i < 3; i++)
		EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_frees, 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 3ULL);

	/* Given out again, with what the heap had written to it, it can be queued again. */
	for (i = 0; i < 3; i++) {
		blocks[i] = quarry_heap_alloc(heap, 100);
		EXPECT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 1UL);
	}
	qtest_heap_all_free(test, heap);
}

/* What isn't resized, found or ended any more: a block on its way out. */
static void a_queued_block_is_on_its_way_out(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 3000);

	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 3000));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 0ULL);
	block = qtest_heap_block(test, heap, 3000);
	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
	test->priv = NULL;
}

static struct kunit_case deferred_cases[] = {
	KUNIT_CASE(a_check_may_veto_a_free),
	KUNIT_CASE(a_block_that_is_freed_during_its_check_is_freed_once),
	KUNIT_CASE(a_deferred_free_is_done_by_reap),
	KUNIT_CASE(many_deferred_frees_are_all_done),
	KUNIT_CASE(deferred_frees_are_done_before_an_allocation_fails),
	KUNIT_CASE(deferred_frees_are_done_by_the_way),
	KUNIT_CASE(a_queued_block_is_freed_once),
	KUNIT_CASE(a_queued_block_is_on_its_way_out),
	{}
};

static struct kunit_suite deferred_suite = {
	.name = "quarry_heap_deferred",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = deferred_cases,
};

kunit_test_suite(deferred_suite);
