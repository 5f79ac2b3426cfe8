// SPDX-License-Identifier: GPL-2.0
/*
 * What a buddy does, and what it refuses, operation by operation. Defect numbers
 * are those of the reference systems that Quarry learned from.
 */
#include <linux/log2.h>

#include "helpers.h"

static int try_init(struct kunit *test, u64 base, u64 size, u64 page_size)
{
	struct quarry_region region = { base, size };
	size_t meta_size = SZ_64K;

	return quarry_buddy_init(qtest_memory(test, sizeof(struct quarry_buddy)), "test",
				 &region, page_size, qtest_memory(test, meta_size), meta_size);
}

/* ---- init ---- */

/* Defect 13: page size 0 made the original loop for ever. */
static void init_refuses_page_sizes_that_are_none(struct kunit *test)
{
	static const u64 sizes[] = {
		0, 1, 2, 4, 7, 9, 12, 4095, 4097, 3 << 12, 1ULL << 31, 1ULL << 63, U64_MAX,
	};
	struct quarry_region region = { 0, 1ULL << 32 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_ERR(test, try_init(test, 0, 1ULL << 32, sizes[i]), -EINVAL);
		KUNIT_EXPECT_EQ(test, quarry_buddy_meta_size(&region, sizes[i]), (size_t)0);
	}
}

/* Defect 13: so did a size above 2^63. */
static void init_refuses_more_pages_than_there_may_be(struct kunit *test)
{
	u64 most = PAGE << QUARRY_BUDDY_MAX_ORDER;
	struct quarry_region region = { 0, most + PAGE };

	EXPECT_ERR(test, try_init(test, 0, most + PAGE, PAGE), -EINVAL);
	EXPECT_ERR(test, try_init(test, 0, (1ULL << 63) + SZ_1G, SZ_1G), -EINVAL);
	EXPECT_ERR(test, try_init(test, 0, -(u64)SZ_1G, SZ_1G), -EINVAL);
	EXPECT_ERR(test, try_init(test, 0, -8ULL, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_buddy_meta_size(&region, PAGE), (size_t)0);
}

static void init_refuses_regions_that_are_no_whole_pages(struct kunit *test)
{
	EXPECT_ERR(test, try_init(test, BASE + 8, PAGES(4), PAGE), -EINVAL);
	EXPECT_ERR(test, try_init(test, BASE, PAGES(4) + 8, PAGE), -EINVAL);
	EXPECT_ERR(test, try_init(test, BASE + 2048, PAGES(4) + 2048, PAGE), -EINVAL);
	EXPECT_ERR(test, try_init(test, BASE, 0, PAGE), -EINVAL);
	EXPECT_ERR(test, try_init(test, -PAGE, PAGES(2), PAGE), -EINVAL);
	EXPECT_OK(test, try_init(test, -PAGE, PAGE, PAGE));
}

static void init_refuses_missing_arguments(struct kunit *test)
{
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	struct quarry_region region = { BASE, PAGES(4) };
	void *meta = qtest_memory(test, 4096);

	EXPECT_ERR(test, quarry_buddy_init(NULL, "", &region, PAGE, meta, 4096), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_init(buddy, NULL, &region, PAGE, meta, 4096), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_init(buddy, "", NULL, PAGE, meta, 4096), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_init(buddy, "", &region, PAGE, NULL, 4096), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_init(buddy, "", &region, PAGE, meta + 1, 4095), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_buddy_meta_size(NULL, PAGE), (size_t)0);
}

static void init_without_enough_metadata_writes_nothing(struct kunit *test)
{
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	struct quarry_region region = { BASE, PAGES(64) };
	size_t size = quarry_buddy_meta_size(&region, PAGE);
	u8 *meta = qtest_memory(test, size);
	u8 first = *meta;

	EXPECT_ERR(test, quarry_buddy_init(buddy, "", &region, PAGE, meta, size - 1), -ENOMEM);
	EXPECT_ERR(test, quarry_buddy_init(buddy, "", &region, PAGE, meta, 0), -ENOMEM);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(meta, first, size), NULL);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(buddy, first, sizeof(*buddy)), NULL);
	EXPECT_OK(test, quarry_buddy_init(buddy, "", &region, PAGE, meta, size));
}

static void a_fresh_buddy_is_all_free(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_stats zero = {
		.total = PAGES(64), .largest_free = PAGES(64), .page_size = PAGE,
		.nr_free = { [6] = 1 }, .max_order = 6,
	};
	struct quarry_buddy_block block;

	memset(&space->now, 0, sizeof(space->now));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, memcmp(&space->now, &zero, sizeof(zero)), 0);
	ASSERT_OK(test, quarry_buddy_next(&space->buddy, BASE, &block));
	EXPECT_BLOCK(test, &block, BASE, PAGES(64));
	KUNIT_EXPECT_TRUE(test, block.free);
}

static void every_page_of_an_odd_region_is_usable(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE, PAGES(7), PAGE);

	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_free[2], 1ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_free[1], 1ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_free[0], 1ULL);
	KUNIT_EXPECT_EQ(test, space->now.max_order, 2U);
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(4), 0), AT(0));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(2), 0), AT(4));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(1), 0), AT(6));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.used, PAGES(7));
	KUNIT_EXPECT_EQ(test, space->now.nr_splits, 0ULL);
}

/* ---- fini ---- */

static void fini_is_refused_while_blocks_are_out(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u64 addr = qtest_alloc(test, space, PAGES(3), 0);
	u64 nr_used = 0;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(20), PAGES(3)));
	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_fini(&space->buddy, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 2ULL);
	EXPECT_ERR(test, quarry_buddy_fini(&space->buddy, NULL), -EBUSY);
	qtest_unchanged(test, space, 0);

	EXPECT_OK(test, quarry_buddy_free(&space->buddy, addr));
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(20)));
	EXPECT_OK(test, quarry_buddy_fini(&space->buddy, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	test->priv = NULL;
}

static void after_fini_nothing_is_served(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;

	test->priv = NULL;
	ASSERT_OK(test, quarry_buddy_fini(&space->buddy, NULL));
	KUNIT_EXPECT_NE(test, quarry_buddy_alloc(&space->buddy, PAGE, 0, &block), 0);
	KUNIT_EXPECT_NE(test, quarry_buddy_reserve(&space->buddy, AT(1), PAGE), 0);
	KUNIT_EXPECT_NE(test, quarry_buddy_free(&space->buddy, AT(1)), 0);
	KUNIT_EXPECT_NE(test, quarry_buddy_next(&space->buddy, AT(1), &block), 0);
}

/* ---- alloc ---- */

static void sizes_round_up_to_a_power_of_two_of_pages(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;
	u64 pages, size;

	for (pages = 1; pages <= NR_PAGES; pages++)
		for (size = PAGES(pages) - PAGE + 1; size <= PAGES(pages); size += PAGE / 2 - 1) {
			ASSERT_OK(test, quarry_buddy_alloc(&space->buddy, size, 0, &block));
			EXPECT_BLOCK(test, &block, BASE, PAGES(roundup_pow_of_two(pages)));
			KUNIT_EXPECT_FALSE(test, block.free);
			EXPECT_OK(test, quarry_buddy_free(&space->buddy, block.addr));
			qtest_all_free(test, space);
		}
}

/* EXACT gives back the tail, all of it, and free() knows how much there is. */
static void exact_takes_whole_pages_and_no_more(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;
	u64 pages;

	for (pages = 1; pages <= NR_PAGES; pages++) {
		ASSERT_OK(test, quarry_buddy_alloc(&space->buddy, PAGES(pages) - 1,
						   QUARRY_BUDDY_EXACT, &block));
		EXPECT_BLOCK(test, &block, BASE, PAGES(pages));
		quarry_buddy_stats(&space->buddy, &space->now);
		KUNIT_EXPECT_EQ(test, space->now.used, PAGES(pages));
		KUNIT_EXPECT_EQ(test, space->now.nr_used, 1ULL);
		qtest_intact(test, &space->buddy);
		if (pages < NR_PAGES)
			EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(pages),
							     PAGES(NR_PAGES - pages)));
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, BASE));
		if (pages < NR_PAGES)
			EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(pages)));
		qtest_all_free(test, space);
	}
}

static void exact_topdown_takes_the_low_part_of_the_highest_place(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	unsigned int flags = QUARRY_BUDDY_EXACT | QUARRY_BUDDY_TOPDOWN;

	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(5), flags), AT(56));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(2), flags), AT(62));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(1), flags), AT(61));
}

static void exact_needs_room_for_its_power_of_two(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE, PAGES(7), PAGE);
	struct quarry_buddy_block block;

	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, PAGES(7), QUARRY_BUDDY_EXACT, &block),
		   -ENOSPC);
	EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(0), PAGES(7)));
}

static void the_lowest_address_comes_first(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int i;

	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGE, 0), AT(i));
}

static void topdown_the_highest_comes_first(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int i;

	for (i = NR_PAGES; i > 0; i -= 2)
		KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(2), QUARRY_BUDDY_TOPDOWN),
				AT(i - 2));
}

/* Holes of 1 page at 3, of 2 at 32, of 4 at 8: an order that fits is not split. */
static void the_smallest_block_that_fits_is_taken(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(0), PAGES(3)));
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(4), PAGES(4)));
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(12), PAGES(20)));
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(34), PAGES(30)));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(2), 0), AT(32));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(3), 0), AT(8));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(1), 0), AT(3));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.used, PAGES(NR_PAGES));
}

static void topdown_prefers_the_smallest_block_to_the_highest(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(0), PAGES(2)));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(2), QUARRY_BUDDY_TOPDOWN), AT(2));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(2), QUARRY_BUDDY_TOPDOWN), AT(6));
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(8), QUARRY_BUDDY_TOPDOWN), AT(8));
}

static void alloc_refuses_what_cannot_be(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy *buddy = &space->buddy;
	struct quarry_buddy_block block;

	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, PAGE, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, 0, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, PAGE, BIT(2), &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, PAGE, ~0U, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, U64_MAX, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, U64_MAX - PAGE, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, (1ULL << 63) + 1, 0, &block), -EINVAL);
	qtest_unchanged(test, space, 7);
}

static void alloc_of_more_than_there_is_finds_no_room(struct kunit *test)
{
	static const u64 sizes[] = { PAGES(NR_PAGES) + 1, PAGES(128), 1ULL << 44, 1ULL << 63 };
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;
	unsigned int flags;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (flags = 0; flags < 4; flags++)
			EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, sizes[i], flags, &block),
				   -ENOSPC);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_failures, 16ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_misuses, 0ULL);
	qtest_all_free(test, space);
}

/* ---- free ---- */

static void buddies_join_in_any_order(struct kunit *test)
{
	static const u8 orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 } };
	struct qtest_space *space = test->priv;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (j = 0; j < 4; j++)
			qtest_alloc(test, space, PAGES(16), 0);
		for (j = 0; j < 4; j++)
			EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(16 * orders[i][j])));
		qtest_all_free(test, space);
	}
}

/* 1 and 2 are neighbours of one size, yet no buddies. */
static void neighbours_that_are_no_buddies_do_not_join(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	qtest_fill(test, space);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(1)));
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(2)));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_free[0], 2ULL);
	KUNIT_EXPECT_EQ(test, space->now.largest_free, PAGE);
}

static void free_of_address_0_does_nothing(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	qtest_alloc(test, space, PAGE, 0);
	qtest_remember(space);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, 0));
	qtest_unchanged(test, space, 0);
}

static void address_0_is_like_any_other_where_it_is_managed(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, 0, PAGES(4), PAGE);

	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGE, 0), 0ULL);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, 0));
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, 0), -ENOENT);
	qtest_all_free(test, space);
}

/* Defect 10, of heaps: a foreign pointer was a wild index. */
static void free_of_a_foreign_address_is_refused(struct kunit *test)
{
	static const u64 foreign[] = {
		8, PAGE, BASE - PAGE, BASE - 1, AT(NR_PAGES), AT(NR_PAGES + 1), AT(1 << 20),
		1ULL << 63, U64_MAX, -PAGE, BASE << 1, BASE | 1ULL << 63,
	};
	struct qtest_space *space = test->priv;
	size_t i;

	qtest_fill(test, space);
	qtest_remember(space);
	for (i = 0; i < ARRAY_SIZE(foreign); i++)
		EXPECT_ERR(test, quarry_buddy_free(&space->buddy, foreign[i]), -EINVAL);
	qtest_unchanged(test, space, ARRAY_SIZE(foreign));
}

static void free_of_an_interior_address_is_refused(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int i;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(3), PAGES(21)));
	qtest_remember(space);
	for (i = 1; i < 21; i++)
		EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(3 + i)), -EINVAL);
	qtest_unchanged(test, space, 20);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(3)));
	qtest_all_free(test, space);
}

static void free_of_a_misaligned_address_is_refused(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u64 addr = qtest_alloc(test, space, PAGES(4), 0);

	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, addr + 1), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, addr + PAGE - 1), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, addr + PAGES(4) - 1), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, addr + PAGES(4) + 8), -EINVAL);
	qtest_unchanged(test, space, 4);
}

static void free_of_what_was_never_given_out_is_refused(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int i;

	qtest_alloc(test, space, PAGE, 0);
	qtest_remember(space);
	for (i = 1; i < NR_PAGES; i++)
		EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(i)), -EINVAL);
	qtest_unchanged(test, space, NR_PAGES - 1);
}

/* Defect 9: counters went wrong, too. */
static void free_of_a_free_block_is_refused(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int i;

	qtest_fill(test, space);
	for (i = 0; i < NR_PAGES; i++)
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(i)));
	qtest_remember(space);
	for (i = 0; i < NR_PAGES; i++)
		EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(i)), -ENOENT);
	qtest_unchanged(test, space, NR_PAGES);
}

/* That an address was given out isn't forgotten while it is inside other blocks. */
static void free_twice_is_told_from_never_given_out(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(5), PAGE));
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(5)));
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(1), PAGES(7)));
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(5)), -EINVAL);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(1)));
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(1)), -ENOENT);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(5)), -ENOENT);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, AT(6)), -EINVAL);
}

/* Defect 17: the stale address of a page freed the live block of two around it. */
static void a_stale_address_never_frees_a_part(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u64 stale;

	KUNIT_ASSERT_EQ(test, qtest_alloc(test, space, PAGES(2), 0), AT(0));
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(0)));
	stale = qtest_alloc(test, space, PAGE, QUARRY_BUDDY_TOPDOWN);
	KUNIT_ASSERT_EQ(test, stale, AT(63));
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, stale));
	KUNIT_ASSERT_EQ(test, qtest_alloc(test, space, PAGES(2), QUARRY_BUDDY_TOPDOWN), AT(62));
	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_free(&space->buddy, stale), -EINVAL);
	qtest_unchanged(test, space, 1);
}

/* Defect 17: at the start of the live block it can't be told apart. */
static void a_stale_address_of_a_live_start_frees_the_whole(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	KUNIT_ASSERT_EQ(test, qtest_alloc(test, space, PAGES(2), 0), AT(0));
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(0)));
	KUNIT_ASSERT_EQ(test, qtest_alloc(test, space, PAGE, 0), AT(0));
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(0)));
	KUNIT_ASSERT_EQ(test, qtest_alloc(test, space, PAGES(2), 0), AT(0));
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(0)));
	qtest_all_free(test, space);
}

/* ---- reserve ---- */

static void reserve_takes_every_range(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;
	int start, end;

	for (start = 0; start < NR_PAGES; start++)
		for (end = start + 1; end <= NR_PAGES; end++) {
			ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(start),
							     PAGES(end - start)));
			ASSERT_OK(test, quarry_buddy_lookup(&space->buddy, AT(end) - 1, &block));
			EXPECT_BLOCK(test, &block, AT(start), PAGES(end - start));
			qtest_intact(test, &space->buddy);
			ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(start)));
		}
	qtest_all_free(test, space);
}

static void reserve_rounds_up_to_pages(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;

	EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(1), 1));
	EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(2), PAGE + 1));
	ASSERT_OK(test, quarry_buddy_lookup(&space->buddy, AT(1), &block));
	EXPECT_BLOCK(test, &block, AT(1), PAGE);
	ASSERT_OK(test, quarry_buddy_lookup(&space->buddy, AT(2), &block));
	EXPECT_BLOCK(test, &block, AT(2), PAGES(2));
	EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(63), PAGE - 1));
}

static void reserve_of_pages_in_use_is_busy(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int start, end;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(10), PAGES(3)));
	for (start = 0; start <= 12; start++)
		for (end = max(start, 10) + 1; end <= NR_PAGES; end++)
			EXPECT_ERR(test, quarry_buddy_reserve(&space->buddy, AT(start),
							      PAGES(end - start)), -EBUSY);
	EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(0), PAGES(10)));
	EXPECT_OK(test, quarry_buddy_reserve(&space->buddy, AT(13), PAGES(51)));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_used, 3ULL);
}

static void reserve_refuses_what_cannot_be(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy *buddy = &space->buddy;

	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(1), 0), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(1) + 1, PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(1) - 8, 8), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(-1), PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(-1), PAGES(2)), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(63), PAGE + 1), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(64), PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(0), PAGES(65)), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(1), U64_MAX), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(1), -PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, 0, PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, U64_MAX, PAGE), -EINVAL);
	qtest_unchanged(test, space, 12);
}

/* ---- lookup and next ---- */

static void lookup_finds_the_block_from_any_address_inside(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;
	u64 addr;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(5), PAGES(23)));
	for (addr = AT(5); addr < AT(28); addr += 1 + (u32)addr % 61) {
		ASSERT_OK(test, quarry_buddy_lookup(&space->buddy, addr, &block));
		EXPECT_BLOCK(test, &block, AT(5), PAGES(23));
		KUNIT_EXPECT_FALSE(test, block.free);
	}
	EXPECT_ERR(test, quarry_buddy_lookup(&space->buddy, AT(5) - 1, &block), -ENOENT);
	EXPECT_ERR(test, quarry_buddy_lookup(&space->buddy, AT(28), &block), -ENOENT);
}

/* Defect 16: the original told of an ancestor's size and start. */
static void lookup_of_free_memory_is_an_error(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block = { .addr = 1, .size = 2 };
	int i;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(1), PAGE));
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(2), PAGE));
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(2)));
	qtest_remember(space);
	for (i = 0; i < NR_PAGES; i++)
		if (i != 1)
			EXPECT_ERR(test, quarry_buddy_lookup(&space->buddy, AT(i) + 9, &block),
				   -ENOENT);
	qtest_unchanged(test, space, 0);
	EXPECT_BLOCK(test, &block, 1, 2);
}

/* It says what free would, which is asked next, and changes nothing. */
static void check_says_what_free_would(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block = {};
	u64 addr;
	int err;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(1), 7 * PAGE));
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(20), PAGE));
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(20)));
	EXPECT_ERR(test, quarry_buddy_check(&space->buddy, AT(1), NULL), -EINVAL);
	for (addr = AT(0) - 1; addr < AT(NR_PAGES) + PAGE; addr += PAGE / 2 + 1) {
		err = quarry_buddy_check(&space->buddy, addr, &block);
		KUNIT_EXPECT_LT(test, err, 0);
		EXPECT_ERR(test, quarry_buddy_free(&space->buddy, addr), err);
	}
	EXPECT_ERR(test, quarry_buddy_check(&space->buddy, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_check(&space->buddy, AT(2), &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_check(&space->buddy, AT(20), &block), -ENOENT);
	EXPECT_ERR(test, quarry_buddy_check(&space->buddy, AT(21), &block), -EINVAL);
	qtest_remember(space);
	EXPECT_OK(test, quarry_buddy_check(&space->buddy, AT(1), &block));
	EXPECT_BLOCK(test, &block, AT(1), 7 * PAGE);
	qtest_unchanged(test, space, 0);
}

static void lookup_and_next_of_foreign_addresses_are_errors(struct kunit *test)
{
	static const u64 foreign[] = { 0, PAGE, BASE - 1, AT(NR_PAGES), 1ULL << 63, U64_MAX };
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;
	size_t i;

	qtest_remember(space);
	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		EXPECT_ERR(test, quarry_buddy_lookup(&space->buddy, foreign[i], &block), -EINVAL);
		EXPECT_ERR(test, quarry_buddy_next(&space->buddy, foreign[i], &block), -ENOENT);
	}
	EXPECT_ERR(test, quarry_buddy_lookup(&space->buddy, BASE, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_next(&space->buddy, BASE, NULL), -EINVAL);
	qtest_unchanged(test, space, 0);
}

static void a_walk_meets_every_block_once(struct kunit *test)
{
	struct quarry_buddy_block block, blocks[] = {
		{ AT(0), PAGES(1), true }, { AT(1), PAGES(3), false }, { AT(4), PAGES(4), true },
		{ AT(8), PAGES(8), true }, { AT(16), PAGES(13), false },
		{ AT(29), PAGES(1), false }, { AT(30), PAGES(2), true },
		{ AT(32), PAGES(32), true },
	};
	struct qtest_space *space = test->priv;
	u64 addr = BASE;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		if (!blocks[i].free)
			ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, blocks[i].addr,
							     blocks[i].size));
	for (i = 0; !quarry_buddy_next(&space->buddy, addr, &block); i++) {
		KUNIT_ASSERT_LT(test, i, ARRAY_SIZE(blocks));
		EXPECT_BLOCK(test, &block, blocks[i].addr, blocks[i].size);
		KUNIT_EXPECT_EQ(test, block.free, blocks[i].free);
		addr = block.addr + block.size;
	}
	KUNIT_EXPECT_EQ(test, i, ARRAY_SIZE(blocks));
}

static void a_walk_ends_at_the_top_of_all_addresses(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, -PAGES(3), PAGES(3), PAGE);
	struct quarry_buddy_block block;
	u64 addr = space->region.base;
	int nr = 0;

	while (!quarry_buddy_next(&space->buddy, addr, &block) && nr++ < 10)
		addr = block.addr + block.size;
	KUNIT_EXPECT_EQ(test, nr, 2);
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
}

/* ---- stats ---- */

static void peak_stays_when_memory_comes_back(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u64 addr = qtest_alloc(test, space, PAGES(32), 0);

	ASSERT_OK(test, quarry_buddy_free(&space->buddy, addr));
	qtest_alloc(test, space, PAGES(16), 0);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.peak, PAGES(32));
	KUNIT_EXPECT_EQ(test, space->now.used, PAGES(16));
	qtest_alloc(test, space, PAGES(17), QUARRY_BUDDY_EXACT);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.peak, PAGES(33));
}

static void the_last_failure_is_on_record(struct kunit *test)
{
	struct quarry_buddy_request request = {
		.size = PAGES(16), .align = PAGES(32), .min = AT(1), .max = AT(40),
		.flags = QUARRY_BUDDY_TOPDOWN,
	};
	struct qtest_space *space = test->priv;
	struct quarry_buddy_failure *failure = &space->now.last_failure;
	struct quarry_buddy_block block;
	u64 when;

	qtest_alloc(test, space, PAGES(48), QUARRY_BUDDY_EXACT);
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, PAGES(32), 1, &block), -ENOSPC);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, failure->request.size, PAGES(32));
	KUNIT_EXPECT_EQ(test, failure->request.flags, 1U);
	KUNIT_EXPECT_EQ(test, failure->request.max, U64_MAX);
	KUNIT_EXPECT_EQ(test, failure->free, PAGES(16));
	KUNIT_EXPECT_EQ(test, failure->largest_free, PAGES(16));
	KUNIT_EXPECT_NE(test, failure->when, 0ULL);
	when = failure->when;

	qtest_alloc(test, space, PAGE, 0);
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, memcmp(&failure->request, &request, sizeof(request)), 0);
	KUNIT_EXPECT_EQ(test, failure->free, PAGES(15));
	KUNIT_EXPECT_EQ(test, failure->largest_free, PAGES(8));
	KUNIT_EXPECT_GE(test, failure->when, when);
	KUNIT_EXPECT_EQ(test, space->now.nr_failures, 2ULL);
}

static void a_range_that_is_busy_is_on_record_as_a_failure(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_failure *failure = &space->now.last_failure;

	qtest_alloc(test, space, PAGES(8), 0);
	EXPECT_ERR(test, quarry_buddy_reserve(&space->buddy, AT(7), PAGE + 1), -EBUSY);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, failure->request.size, PAGE + 1);
	KUNIT_EXPECT_EQ(test, failure->request.align, 0ULL);
	KUNIT_EXPECT_EQ(test, failure->request.min, AT(7));
	KUNIT_EXPECT_EQ(test, failure->request.max, AT(9) - 1);
	KUNIT_EXPECT_EQ(test, failure->request.flags, (unsigned int)QUARRY_BUDDY_EXACT);
	KUNIT_EXPECT_EQ(test, failure->free, PAGES(56));
}

static void splits_and_merges_are_counted(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u64 addr = qtest_alloc(test, space, PAGE, 0);

	quarry_buddy_stats(&space->buddy, &space->old);
	KUNIT_EXPECT_EQ(test, space->old.nr_splits, 6ULL);
	KUNIT_EXPECT_EQ(test, space->old.nr_merges, 0ULL);
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, addr));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_splits, 6ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_merges, 6ULL);
}

/* 0: all in one block; 500: the largest block is half of what is free. */
static void fragmentation_is_what_lies_outside_the_largest_block(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	int i;

	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.fragmentation, 0U);
	qtest_fill(test, space);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.fragmentation, 0U);
	KUNIT_EXPECT_EQ(test, space->now.largest_free, 0ULL);
	for (i = 1; i < NR_PAGES; i += 2)
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(i)));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.fragmentation, 968U);
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(0)));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.fragmentation, 939U);
}

/* Defect 15: with only the last page free, the original looked at every page. */
static void the_last_free_page_is_found_in_one_step(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE, PAGES(16384), PAGE);

	qtest_fill(test, space);
	ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(16383)));
	quarry_buddy_stats(&space->buddy, &space->old);
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGE, 0), AT(16383));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_steps - space->old.nr_steps, 1ULL);
}

static struct kunit_case buddy_cases[] = {
	KUNIT_CASE(init_refuses_page_sizes_that_are_none),
	KUNIT_CASE(init_refuses_more_pages_than_there_may_be),
	KUNIT_CASE(init_refuses_regions_that_are_no_whole_pages),
	KUNIT_CASE(init_refuses_missing_arguments),
	KUNIT_CASE(init_without_enough_metadata_writes_nothing),
	KUNIT_CASE(a_fresh_buddy_is_all_free),
	KUNIT_CASE(every_page_of_an_odd_region_is_usable),
	KUNIT_CASE(fini_is_refused_while_blocks_are_out),
	KUNIT_CASE(after_fini_nothing_is_served),
	KUNIT_CASE(sizes_round_up_to_a_power_of_two_of_pages),
	KUNIT_CASE(exact_takes_whole_pages_and_no_more),
	KUNIT_CASE(exact_topdown_takes_the_low_part_of_the_highest_place),
	KUNIT_CASE(exact_needs_room_for_its_power_of_two),
	KUNIT_CASE(the_lowest_address_comes_first),
	KUNIT_CASE(topdown_the_highest_comes_first),
	KUNIT_CASE(the_smallest_block_that_fits_is_taken),
	KUNIT_CASE(topdown_prefers_the_smallest_block_to_the_highest),
	KUNIT_CASE(alloc_refuses_what_cannot_be),
	KUNIT_CASE(alloc_of_more_than_there_is_finds_no_room),
	KUNIT_CASE(buddies_join_in_any_order),
	KUNIT_CASE(neighbours_that_are_no_buddies_do_not_join),
	KUNIT_CASE(free_of_address_0_does_nothing),
	KUNIT_CASE(address_0_is_like_any_other_where_it_is_managed),
	KUNIT_CASE(free_of_a_foreign_address_is_refused),
	KUNIT_CASE(free_of_an_interior_address_is_refused),
	KUNIT_CASE(free_of_a_misaligned_address_is_refused),
	KUNIT_CASE(free_of_what_was_never_given_out_is_refused),
	KUNIT_CASE(free_of_a_free_block_is_refused),
	KUNIT_CASE(free_twice_is_told_from_never_given_out),
	KUNIT_CASE(a_stale_address_never_frees_a_part),
	KUNIT_CASE(a_stale_address_of_a_live_start_frees_the_whole),
	KUNIT_CASE(reserve_takes_every_range),
	KUNIT_CASE(reserve_rounds_up_to_pages),
	KUNIT_CASE(reserve_of_pages_in_use_is_busy),
	KUNIT_CASE(reserve_refuses_what_cannot_be),
	KUNIT_CASE(lookup_finds_the_block_from_any_address_inside),
	KUNIT_CASE(lookup_of_free_memory_is_an_error),
	KUNIT_CASE(check_says_what_free_would),
	KUNIT_CASE(lookup_and_next_of_foreign_addresses_are_errors),
	KUNIT_CASE(a_walk_meets_every_block_once),
	KUNIT_CASE(a_walk_ends_at_the_top_of_all_addresses),
	KUNIT_CASE(peak_stays_when_memory_comes_back),
	KUNIT_CASE(the_last_failure_is_on_record),
	KUNIT_CASE(a_range_that_is_busy_is_on_record_as_a_failure),
	KUNIT_CASE(splits_and_merges_are_counted),
	KUNIT_CASE(fragmentation_is_what_lies_outside_the_largest_block),
	KUNIT_CASE(the_last_free_page_is_found_in_one_step),
	{}
};

static struct kunit_suite buddy_suite = {
	.name = "quarry_buddy",
	.init = qtest_space_init,
	.exit = qtest_space_exit,
	.test_cases = buddy_cases,
};

kunit_test_suite(buddy_suite);
