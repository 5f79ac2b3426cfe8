// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that may not be freed. Every refusal leaves the heap as it was, to the
 * byte. Defect numbers are those of the reference systems that Quarry learned from.
 */
#include "heap_helpers.h"

#define MANY	8192	/* more blocks than HEAP_SIZE can have */

/* ---- Double free ---- */

/* Defect 6: the second free of a page's only block put the page on two lists. */
static void a_second_free_of_the_only_block_is_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t i;
	void *block;

	for (i = 0; i < QTEST_NR_KINDS; i++) {
		block = qtest_heap_block(test, heap, qtest_kinds[i]);
		EXPECT_OK(test, quarry_heap_free(heap, block));
		qtest_heap_remember(space);
		EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, block), -ENOENT);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, qtest_kinds[i]));
		qtest_heap_unchanged(test, space, 4);
	}
	qtest_heap_all_free(test, heap);
}

/* The same with blocks in use all around. */
static void a_second_free_among_others_is_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[9];
	size_t i, k;

	for (i = 0; qtest_kinds[i] < 5000; i++) {
		for (k = 0; k < ARRAY_SIZE(blocks); k++)
			blocks[k] = qtest_heap_block(test, heap, qtest_kinds[i]);
		for (k = 0; k < ARRAY_SIZE(blocks); k += 2)
			EXPECT_OK(test, quarry_heap_free(heap, blocks[k]));
		qtest_heap_remember(space);
		for (k = 0; k < ARRAY_SIZE(blocks); k += 2)
			EXPECT_ERR(test, quarry_heap_free(heap, blocks[k]), -ENOENT);
		qtest_heap_unchanged(test, space, 5);
		for (k = 1; k < ARRAY_SIZE(blocks); k += 2)
			EXPECT_OK(test, quarry_heap_free(heap, blocks[k]));
	}
	qtest_heap_all_free(test, heap);
}

/* Freed first to last, every one of them is still known as free in the end. */
static void all_that_was_freed_is_known_as_free(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, nr;
	size_t k;

	for (k = 0; k < QTEST_NR_KINDS; k++) {
		nr = qtest_heap_fill(test, &space->heap, qtest_kinds[k], blocks, MANY);
		qtest_heap_free_all(test, &space->heap, blocks, nr);
		qtest_heap_remember(space);
		for (i = 0; i < nr; i++)
			EXPECT_ERR(test, quarry_heap_free(&space->heap, blocks[i]), -ENOENT);
		qtest_heap_unchanged(test, space, nr);
	}
}

/* Lets a free run begin with the page of a block that was freed, which is free all the same. */
static void free_again_behind(struct kunit *test, struct quarry_heap *heap, void *base,
			      void *block, size_t offset)
{
	/* Not written to, for other blocks that were freed began in it. */
	void *run = quarry_heap_alloc(heap, block - base - offset);

	KUNIT_EXPECT_PTR_EQ(test, run, base);
	EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
	EXPECT_OK(test, quarry_heap_free(heap, run));
}

/* Where a free run has its links, at 8, 16 and 24 B of a page, blocks of some sizes begin. */
static void what_began_where_links_are_is_known_as_free(struct kunit *test)
{
	struct quarry_heap *heap = &qtest_heap(test, SZ_128K, HEAP_PAGE)->heap;
	void *base = qtest_heap_block(test, heap, SZ_16K), *blocks[48];
	unsigned int i, seen = 0;
	size_t size;

	EXPECT_OK(test, quarry_heap_free(heap, base));
	for (size = 72; size < 1024; size += 8) {
		for (i = 0; i < ARRAY_SIZE(blocks); i++)
			blocks[i] = qtest_heap_block(test, heap, size);
		qtest_heap_free_all(test, heap, blocks, ARRAY_SIZE(blocks));
		for (i = 0; i < ARRAY_SIZE(blocks); i++) {
			size_t offset = (blocks[i] - base) % HEAP_PAGE;

			if (!offset || offset > 24)
				continue;
			free_again_behind(test, heap, base, blocks[i], offset);
			seen |= 1U << offset / 8;
		}
	}
	KUNIT_EXPECT_EQ(test, seen, 0xeU);
}

/* After a double free was refused, two allocations get two blocks. */
static void nothing_is_given_out_twice_after_a_second_free(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, nr;
	size_t k;

	for (k = 0; k < QTEST_NR_KINDS; k++) {
		void *first = qtest_heap_block(test, &space->heap, qtest_kinds[k]);
		void *other = qtest_heap_block(test, &space->heap, qtest_kinds[k]);

		EXPECT_OK(test, quarry_heap_free(&space->heap, first));
		EXPECT_ERR(test, quarry_heap_free(&space->heap, first), -ENOENT);
		EXPECT_OK(test, quarry_heap_free(&space->heap, other));
		EXPECT_ERR(test, quarry_heap_free(&space->heap, first), -ENOENT);
		nr = qtest_heap_fill(test, &space->heap, qtest_kinds[k], blocks, MANY);
		for (i = 0; i < nr; i++)
			KUNIT_ASSERT_TRUE(test, qtest_heap_keeps(blocks[i], qtest_kinds[k]));
		qtest_heap_free_all(test, &space->heap, blocks, nr);
	}
	qtest_heap_all_free(test, &space->heap);
}

/* ---- Addresses that never were a block's ---- */

/* Defect 7: an address inside a run made the free list begin there. */
static void no_interior_address_is_freed(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t i, real, step;
	u8 *block;

	for (i = 0; i < QTEST_NR_KINDS; i++) {
		block = qtest_heap_block(test, heap, qtest_kinds[i]);
		real = quarry_heap_usable_size(heap, block);
		qtest_heap_remember(space);
		for (step = 1; step < real; step += 1 + step / 100)
			EXPECT_ERR(test, quarry_heap_free(heap, block + step), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free(heap, block + 8), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, block + 8), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_checked(heap, block + 8, NULL, NULL), -EINVAL);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block + 8, real));
		space->old.nr_misuses = qtest_heap_stats(heap).nr_misuses;
		qtest_heap_unchanged(test, space, 0);
		EXPECT_OK(test, quarry_heap_free(heap, block));
	}
	qtest_heap_all_free(test, heap);
}

/* Where small blocks were freed, a large one now is: their addresses are interior. */
static void addresses_of_the_past_inside_a_block_are_not_freed(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t total = qtest_heap_stats(heap).total;
	unsigned int i, nr;
	size_t k;
	void *large;

	for (k = 0; k < QTEST_NR_KINDS - 1; k++) {
		nr = qtest_heap_fill(test, heap, qtest_kinds[k], blocks, MANY);
		qtest_heap_free_all(test, heap, blocks, nr);
		/* Nothing is written to it, so that what the heap left there stays. */
		large = quarry_heap_alloc(heap, total);
		KUNIT_ASSERT_NOT_NULL(test, large);
		qtest_heap_remember(space);
		for (i = 0; i < nr; i++)
			if (blocks[i] != large) {
				EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -EINVAL);
				EXPECT_ERR(test, quarry_heap_free_deferred(heap, blocks[i]),
					   -EINVAL);
				space->old.nr_misuses += 2;
			}
		qtest_heap_unchanged(test, space, 0);
		EXPECT_OK(test, quarry_heap_free(heap, large));
	}
	qtest_heap_all_free(test, heap);
}

/* Defect 8: a slot of a page of small blocks that was never given out. */
static void what_was_never_given_out_is_not_freed(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *small = qtest_heap_block(test, heap, 16), *large = qtest_heap_block(test, heap, 3000);
	size_t at;

	qtest_heap_remember(space);
	for (at = 0; at < HEAP_SIZE; at++) {
		u8 *addr = space->memory + at;

		if (addr == small || addr == large)
			continue;
		EXPECT_ERR(test, quarry_heap_free(heap, addr), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, addr), -EINVAL);
		space->old.nr_misuses += 2;
	}
	qtest_heap_unchanged(test, space, 0);
	EXPECT_OK(test, quarry_heap_free(heap, small));
	EXPECT_OK(test, quarry_heap_free(heap, large));
	qtest_heap_all_free(test, heap);
}

static int never_called(void *ctx, void *block, size_t size)
{
	struct kunit *test = ctx;

	KUNIT_FAIL(test, "asked whether to free %zu bytes that are no block", size);
	return 0;
}

/* Defect 10: a foreign pointer became a wild index. */
static void foreign_pointers_are_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	struct qtest_heap *other = qtest_heap(test, SZ_4K, HEAP_PAGE);
	void *const foreign[] = {
		heap, &heap, test, (void *)1, (void *)8, (void *)512, ERR_PTR(-1), ERR_PTR(-8),
		ERR_PTR(-512), (void *)LONG_MAX, (void *)LONG_MIN, space->memory - 1,
		space->memory - 8, space->memory - 512, space->memory + HEAP_SIZE,
		space->memory + HEAP_SIZE + 8, space->memory + HEAP_SIZE + 512, other->memory,
		qtest_heap_block(test, &other->heap, 100),
	};
	size_t i;

	qtest_heap_block(test, heap, 100);
	qtest_heap_remember(space);
	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		EXPECT_ERR(test, quarry_heap_free(heap, foreign[i]), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, foreign[i]), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_checked(heap, foreign[i], never_called, test),
			   -EINVAL);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, foreign[i], 100));
	}
	qtest_heap_unchanged(test, space, 4 * ARRAY_SIZE(foreign));
}

/* Defect 9: refused frees made the counters wrong, even negative. */
static void refused_frees_count_as_nothing_else(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 64);
	int i;

	EXPECT_OK(test, quarry_heap_free(heap, block));
	qtest_heap_remember(space);
	for (i = 0; i < 100; i++) {
		EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free(heap, block + 1), -EINVAL);
	}
	KUNIT_EXPECT_EQ(test, space->old.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, space->old.used, 0ULL);
	qtest_heap_unchanged(test, space, 200);
}

static struct kunit_case misuse_cases[] = {
	KUNIT_CASE(a_second_free_of_the_only_block_is_refused),
	KUNIT_CASE(a_second_free_among_others_is_refused),
	KUNIT_CASE(all_that_was_freed_is_known_as_free),
	KUNIT_CASE(what_began_where_links_are_is_known_as_free),
	KUNIT_CASE(nothing_is_given_out_twice_after_a_second_free),
	KUNIT_CASE(no_interior_address_is_freed),
	KUNIT_CASE(addresses_of_the_past_inside_a_block_are_not_freed),
	KUNIT_CASE(what_was_never_given_out_is_not_freed),
	KUNIT_CASE(foreign_pointers_are_refused),
	KUNIT_CASE(refused_frees_count_as_nothing_else),
	{}
};

static struct kunit_suite misuse_suite = {
	.name = "quarry_heap_misuse",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = misuse_cases,
};

kunit_test_suite(misuse_suite);
