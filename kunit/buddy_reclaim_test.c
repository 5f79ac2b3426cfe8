// SPDX-License-Identifier: GPL-2.0
/*
 * A buddy that asks for memory back before it says that there is none.
 */
#include "helpers.h"

/**
 * struct keeper - one who keeps the upper half of the space for later, page by page
 * @space: the space
 * @nr_left: pages that it has
 * @nr_calls: times that it was asked
 * @lies: it says that it freed something, and didn't
 */
struct keeper {
	struct qtest_space *space;
	int nr_left;
	int nr_calls;
	bool lies;
};

/* The lowest last, so that what is free joins downwards. */
static size_t give_one(void *ctx)
{
	struct keeper *keeper = ctx;
	u64 addr = AT(NR_PAGES / 2 + keeper->nr_left - 1);

	keeper->nr_calls++;
	if (keeper->lies)
		return PAGE;
	if (!keeper->nr_left || quarry_buddy_free(&keeper->space->buddy, addr))
		return 0;
	keeper->nr_left--;
	return PAGE;
}

/* All is in use: one block of half of it, and what the keeper has. */
static struct keeper *new_keeper(struct kunit *test)
{
	struct keeper *keeper = kunit_kzalloc(test, sizeof(*keeper), GFP_KERNEL);
	struct qtest_space *space = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, keeper);
	keeper->space = space;
	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(0), PAGES(NR_PAGES / 2)));
	while (keeper->nr_left < NR_PAGES / 2)
		ASSERT_OK(test, quarry_buddy_reserve(&space->buddy,
						     AT(NR_PAGES / 2 + keeper->nr_left++), PAGE));
	quarry_buddy_set_reclaim(&space->buddy, give_one, keeper);
	return keeper;
}

static struct quarry_buddy_stats stats_of(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	quarry_buddy_stats(&space->buddy, &space->now);
	return space->now;
}

static void whoever_keeps_pages_is_asked_for_enough(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct keeper *keeper = new_keeper(test);
	struct quarry_buddy_block block;

	ASSERT_OK(test, quarry_buddy_alloc(&space->buddy, PAGES(4), 0, &block));
	EXPECT_BLOCK(test, &block, AT(NR_PAGES - 4), PAGES(4));
	KUNIT_EXPECT_EQ(test, keeper->nr_calls, 4);
	KUNIT_EXPECT_EQ(test, stats_of(test).nr_failures, 0ULL);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, block.addr));
	ASSERT_OK(test, quarry_buddy_alloc(&space->buddy, PAGES(2), 0, &block));
	KUNIT_EXPECT_EQ(test, keeper->nr_calls, 4);
}

static void constraints_are_kept(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct keeper *keeper = new_keeper(test);
	struct quarry_buddy_request request = {
		.size = PAGES(3), .align = PAGES(4), .max = AT(50) - 1,
		.flags = QUARRY_BUDDY_EXACT,
	};
	struct quarry_buddy_block block;

	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, AT(44), PAGES(3));
	KUNIT_EXPECT_EQ(test, keeper->nr_left, 12);
}

static void reallocation_asks_as_well(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct keeper *keeper = new_keeper(test);
	struct quarry_buddy_block block;

	ASSERT_OK(test, quarry_buddy_realloc(&space->buddy, AT(0), PAGES(NR_PAGES), 0, &block));
	EXPECT_BLOCK(test, &block, AT(0), PAGES(NR_PAGES));
	KUNIT_EXPECT_EQ(test, keeper->nr_left, 0);
	KUNIT_EXPECT_EQ(test, stats_of(test).nr_failures, 0ULL);
}

static void what_nobody_can_give_fails_once(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct keeper *keeper = new_keeper(test);
	struct quarry_buddy_request request = { .size = PAGE, .max = AT(8) - 1 };
	struct quarry_buddy_block block;

	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, PAGES(NR_PAGES), 0, &block), -ENOSPC);
	KUNIT_EXPECT_EQ(test, keeper->nr_calls, NR_PAGES / 2 + 1);
	KUNIT_EXPECT_EQ(test, stats_of(test).nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, stats_of(test).last_failure.largest_free, PAGES(NR_PAGES / 2));
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	KUNIT_EXPECT_EQ(test, stats_of(test).nr_failures, 2ULL);
	KUNIT_EXPECT_EQ(test, keeper->nr_calls, NR_PAGES / 2 + 2);
}

static void who_says_that_he_frees_is_not_asked_for_ever(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct keeper *keeper = new_keeper(test);
	struct quarry_buddy_block block;

	keeper->lies = true;
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, PAGE, 0, &block), -ENOSPC);
	KUNIT_EXPECT_LE(test, keeper->nr_calls, 64);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(0), PAGES(NR_PAGES), 0, &block),
		   -ENOSPC);
	KUNIT_EXPECT_LE(test, keeper->nr_calls, 128);
	KUNIT_EXPECT_EQ(test, stats_of(test).nr_failures, 2ULL);
}

static void nobody_is_asked_for_what_cannot_be(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct keeper *keeper = new_keeper(test);
	struct quarry_buddy_request request = { .size = PAGE, .max = U64_MAX };
	struct quarry_buddy_block block;

	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, 0, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, PAGE, ~0U, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(1), PAGES(2), 0, &block),
		   -EINVAL);
	/* One certain range is had, or isn't. */
	EXPECT_ERR(test, quarry_buddy_reserve(&space->buddy, AT(40), PAGE), -EBUSY);
	EXPECT_ERR(test, quarry_buddy_probe(&space->buddy, &request, &block), -ENOSPC);
	/* Nor is it for more than there is in all. */
	request.size = PAGES(NR_PAGES + 1);
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, request.size, 0, &block), -ENOSPC);
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	EXPECT_ERR(test, quarry_buddy_realloc(&space->buddy, AT(0), request.size, 0, &block),
		   -ENOSPC);
	KUNIT_EXPECT_EQ(test, stats_of(test).nr_failures, 4ULL);
	KUNIT_EXPECT_EQ(test, keeper->nr_calls, 0);
}

static struct kunit_case reclaim_cases[] = {
	KUNIT_CASE(whoever_keeps_pages_is_asked_for_enough),
	KUNIT_CASE(constraints_are_kept),
	KUNIT_CASE(reallocation_asks_as_well),
	KUNIT_CASE(what_nobody_can_give_fails_once),
	KUNIT_CASE(who_says_that_he_frees_is_not_asked_for_ever),
	KUNIT_CASE(nobody_is_asked_for_what_cannot_be),
	{}
};

static struct kunit_suite reclaim_suite = {
	.name = "quarry_buddy_reclaim",
	.init = qtest_space_init,
	.exit = qtest_space_exit,
	.test_cases = reclaim_cases,
};

kunit_test_suite(reclaim_suite);
