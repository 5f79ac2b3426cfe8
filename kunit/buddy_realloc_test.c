// SPDX-License-Identifier: GPL-2.0
/*
 * Reallocation: where the block is afterwards, and where its contents are.
 */
#include <linux/log2.h>

#include "oracle.h"

/**
 * struct moves - the calls of a move function
 * @test: the test
 * @space: the buddy that calls
 * @nr: how many there were
 * @to: the arguments of the last one
 * @from: see @to
 * @size: see @to
 * @to_used: whether the block it went to was in use by then
 * @from_used: and the one it came from, which may be inside the same
 */
struct moves {
	struct kunit *test;
	struct qtest_space *space;
	int nr;
	u64 to;
	u64 from;
	u64 size;
	bool to_used;
	bool from_used;
};

/* Asks the buddy, which would wait for ever if it held its lock. */
static void note_move(void *ctx, u64 to, u64 from, u64 size)
{
	struct moves *moves = ctx;
	struct quarry_buddy_block block;

	moves->nr++;
	moves->to = to;
	moves->from = from;
	moves->size = size;
	moves->to_used = !quarry_buddy_lookup(&moves->space->buddy, to, &block) &&
			 block.addr == to;
	moves->from_used = !quarry_buddy_lookup(&moves->space->buddy, from, &block);
}

static struct moves *note_moves(struct kunit *test)
{
	struct moves *moves = kunit_kzalloc(test, sizeof(*moves), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, moves);
	moves->test = test;
	moves->space = test->priv;
	quarry_buddy_set_move(&moves->space->buddy, note_move, moves);
	return moves;
}

static void expect_realloc(struct kunit *test, u64 addr, u64 size, unsigned int flags,
			   u64 new_addr, u64 new_size)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block = {};

	EXPECT_OK(test, quarry_buddy_realloc(&space->buddy, addr, size, flags, &block));
	EXPECT_BLOCK(test, &block, new_addr, new_size);
	KUNIT_EXPECT_FALSE(test, block.free);
	qtest_intact(test, &space->buddy);
}

static void expect_used(struct kunit *test, u64 pages, u64 nr_used)
{
	struct qtest_space *space = test->priv;

	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.used, PAGES(pages));
	KUNIT_EXPECT_EQ(test, space->now.nr_used, nr_used);
}

static void reserve(struct kunit *test, u64 addr, u64 size)
{
	struct qtest_space *space = test->priv;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, addr, size));
}

static void a_block_shrinks_in_place(struct kunit *test)
{
	struct moves *moves = note_moves(test);
	int pages;

	reserve(test, AT(3), PAGES(29));
	for (pages = 28; pages > 0; pages--) {
		expect_realloc(test, AT(3), PAGES(pages), QUARRY_BUDDY_EXACT, AT(3), PAGES(pages));
		expect_used(test, pages, 1);
	}
	KUNIT_EXPECT_EQ(test, moves->nr, 0);
	EXPECT_OK(test, quarry_buddy_free(&moves->space->buddy, AT(3)));
	qtest_all_free(test, moves->space);
}

static void shrinking_gives_back_whole_powers_of_two(struct kunit *test)
{
	struct moves *moves = note_moves(test);

	qtest_alloc(test, test->priv, PAGES(32), 0);
	expect_realloc(test, AT(0), PAGES(9), QUARRY_BUDDY_TOPDOWN, AT(0), PAGES(16));
	expect_realloc(test, AT(0), PAGES(9), QUARRY_BUDDY_EXACT, AT(0), PAGES(9));
	expect_realloc(test, AT(0), PAGES(9), QUARRY_BUDDY_EXACT, AT(0), PAGES(9));
	expect_realloc(test, AT(0), 1, 0, AT(0), PAGE);
	expect_used(test, 1, 1);
	KUNIT_EXPECT_EQ(test, moves->nr, 0);
}

static void a_block_grows_in_place(struct kunit *test)
{
	struct moves *moves = note_moves(test);
	int pages;

	qtest_alloc(test, test->priv, PAGE, 0);
	for (pages = 2; pages <= NR_PAGES; pages++) {
		expect_realloc(test, AT(0), PAGES(pages), QUARRY_BUDDY_EXACT, AT(0), PAGES(pages));
		expect_used(test, pages, 1);
	}
	KUNIT_EXPECT_EQ(test, moves->nr, 0);
	KUNIT_EXPECT_EQ(test, moves->space->now.nr_allocs, 1ULL);
	KUNIT_EXPECT_EQ(test, moves->space->now.nr_frees, 0ULL);
}

/* With no order that large in the region, as it ends a page too early. */
static void a_block_grows_in_place_to_what_alloc_cannot_give(struct kunit *test)
{
	test->priv = qtest_space(test, BASE, PAGES(7), PAGE);
	reserve(test, AT(0), PAGES(5));
	expect_realloc(test, AT(0), PAGES(7), QUARRY_BUDDY_EXACT, AT(0), PAGES(7));
	expect_used(test, 7, 1);
}

/* The region's start has no more alignment than an address, though it is its first. */
static void a_block_at_the_start_needs_the_alignment_to_grow(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, AT(4), PAGES(7), PAGE);
	struct quarry_buddy_block block;

	test->priv = space;
	reserve(test, AT(4), PAGES(4));
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(4), PAGES(7), QUARRY_BUDDY_EXACT,
					      &block), -ENOSPC);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(4), PAGES(5), 0, &block), -ENOSPC);
	expect_used(test, 4, 1);
}

static void a_block_without_the_alignment_moves_to_grow(struct kunit *test)
{
	struct moves *moves = note_moves(test);

	reserve(test, AT(4), PAGES(4));
	expect_realloc(test, AT(4), PAGES(8), 0, AT(8), PAGES(8));
	KUNIT_EXPECT_EQ(test, moves->nr, 1);
	KUNIT_EXPECT_EQ(test, moves->from, AT(4));
	KUNIT_EXPECT_EQ(test, moves->to, AT(8));
	KUNIT_EXPECT_EQ(test, moves->size, PAGES(4));
	KUNIT_EXPECT_TRUE(test, moves->from_used);
	KUNIT_EXPECT_TRUE(test, moves->to_used);
	expect_used(test, 8, 1);
	KUNIT_EXPECT_EQ(test, moves->space->now.nr_allocs, 2ULL);
	KUNIT_EXPECT_EQ(test, moves->space->now.nr_frees, 1ULL);
	KUNIT_EXPECT_EQ(test, moves->space->now.peak, PAGES(12));
	EXPECT_ERR(test, quarry_buddy_free(&moves->space->buddy, AT(4)), -ENOENT);
}

static void a_block_with_a_neighbour_moves_to_grow(struct kunit *test)
{
	struct moves *moves = note_moves(test);

	reserve(test, AT(0), PAGES(2));
	reserve(test, AT(2), PAGE);
	expect_realloc(test, AT(0), PAGES(3), QUARRY_BUDDY_EXACT, AT(4), PAGES(3));
	KUNIT_EXPECT_EQ(test, moves->nr, 1);
	expect_realloc(test, AT(4), PAGES(9), QUARRY_BUDDY_TOPDOWN, AT(16), PAGES(16));
	KUNIT_EXPECT_EQ(test, moves->nr, 2);
	KUNIT_EXPECT_EQ(test, moves->size, PAGES(3));
	expect_used(test, 17, 2);
}

/* All but 0 to 15 is in use, and the block is in the upper half of that. */
static void a_block_spreads_over_its_own_space(struct kunit *test)
{
	struct moves *moves = note_moves(test);

	reserve(test, AT(16), PAGES(48));
	reserve(test, AT(9), PAGES(3));
	expect_realloc(test, AT(9), PAGES(16), 0, AT(0), PAGES(16));
	KUNIT_EXPECT_EQ(test, moves->nr, 1);
	KUNIT_EXPECT_EQ(test, moves->to, AT(0));
	KUNIT_EXPECT_EQ(test, moves->from, AT(9));
	KUNIT_EXPECT_EQ(test, moves->size, PAGES(3));
	KUNIT_EXPECT_TRUE(test, moves->to_used);
	KUNIT_EXPECT_TRUE(test, moves->from_used);
	expect_used(test, 64, 2);
	KUNIT_EXPECT_EQ(test, moves->space->now.peak, PAGES(64));
	EXPECT_ERR(test, quarry_buddy_free(&moves->space->buddy, AT(9)), -EINVAL);
	EXPECT_OK(test, quarry_buddy_free(&moves->space->buddy, AT(0)));
}

static void another_block_is_preferred_to_own_space(struct kunit *test)
{
	struct moves *moves = note_moves(test);

	reserve(test, AT(5), PAGE);
	expect_realloc(test, AT(5), PAGES(16), 0, AT(16), PAGES(16));
	KUNIT_EXPECT_EQ(test, moves->nr, 1);
	expect_used(test, 16, 1);
}

static void without_room_the_block_stays_as_it_is(struct kunit *test)
{
	struct moves *moves = note_moves(test);
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block = { .addr = 7 };

	reserve(test, AT(16), PAGES(2));
	reserve(test, AT(32), PAGE);
	space->old_meta = memcpy(space->old_meta, space->meta, space->meta_size);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(16), PAGES(33), 0, &block),
		   -ENOSPC);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(16), PAGES(33), 1, &block),
		   -ENOSPC);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(16), 1ULL << 63, 3, &block),
		   -ENOSPC);
	KUNIT_EXPECT_EQ(test, memcmp(space->old_meta, space->meta, space->meta_size), 0);
	KUNIT_EXPECT_EQ(test, moves->nr, 0);
	KUNIT_EXPECT_EQ(test, block.addr, 7ULL);
	expect_used(test, 3, 2);
	KUNIT_EXPECT_EQ(test, space->now.nr_failures, 3ULL);
	KUNIT_EXPECT_EQ(test, space->now.last_failure.request.size, 1ULL << 63);
	KUNIT_EXPECT_EQ(test, space->now.last_failure.largest_free, PAGES(16));
}

static void without_a_move_function_nothing_moves(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;

	reserve(test, AT(4), PAGES(4));
	memcpy(space->old_meta, space->meta, space->meta_size);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(4), PAGES(8), 0, &block), -ENOSPC);
	KUNIT_EXPECT_EQ(test, memcmp(space->old_meta, space->meta, space->meta_size), 0);
	expect_realloc(test, AT(4), PAGES(2), 0, AT(4), PAGES(2));
	expect_realloc(test, AT(4), PAGES(3), 0, AT(4), PAGES(4));
}

static void realloc_refuses_what_free_and_alloc_refuse(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy *buddy = &space->buddy;
	struct quarry_buddy_block block;

	note_moves(test);
	reserve(test, AT(4), PAGES(4));
	reserve(test, AT(9), PAGE);
	ASSERT_OK(test, quarry_buddy_free(buddy, AT(9)));
	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(5), PAGE, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(4) + 8, PAGE, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(8), PAGE, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(9), PAGE, 0, &block), -ENOENT);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(64), PAGE, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(4), 0, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(4), U64_MAX, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(4), PAGE, BIT(2), &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(4), PAGE, 0, NULL), -EINVAL);
	qtest_unchanged(test, space, 9);
}

static struct kunit_case realloc_cases[] = {
	KUNIT_CASE(a_block_shrinks_in_place),
	KUNIT_CASE(shrinking_gives_back_whole_powers_of_two),
	KUNIT_CASE(a_block_grows_in_place),
	KUNIT_CASE(a_block_grows_in_place_to_what_alloc_cannot_give),
	KUNIT_CASE(a_block_at_the_start_needs_the_alignment_to_grow),
	KUNIT_CASE(a_block_without_the_alignment_moves_to_grow),
	KUNIT_CASE(a_block_with_a_neighbour_moves_to_grow),
	KUNIT_CASE(a_block_spreads_over_its_own_space),
	KUNIT_CASE(another_block_is_preferred_to_own_space),
	KUNIT_CASE(without_room_the_block_stays_as_it_is),
	KUNIT_CASE(without_a_move_function_nothing_moves),
	KUNIT_CASE(realloc_refuses_what_free_and_alloc_refuse),
	{}
};

static struct kunit_suite realloc_suite = {
	.name = "quarry_buddy_realloc",
	.init = qtest_space_init,
	.exit = qtest_space_exit,
	.test_cases = realloc_cases,
};

kunit_test_suite(realloc_suite);
