// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation with constraints, and the question whether it would succeed.
 */
#include <linux/log2.h>

#include "oracle.h"

static struct quarry_buddy_request anywhere(u64 size)
{
	return (struct quarry_buddy_request) { .size = size, .max = U64_MAX };
}

static void expect_refused(struct kunit *test, struct qtest_space *space,
			   struct quarry_buddy_request request)
{
	struct quarry_buddy_block block;

	EXPECT_ERR(test, quarry_buddy_probe(&space->buddy, &request, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -EINVAL);
}

/* Both refuse; only the one that would have changed something counts it. */
static void requests_that_cannot_be_are_refused(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_request good = anywhere(PAGE);
	struct quarry_buddy_block block;

	qtest_remember(space);
	expect_refused(test, space, anywhere(0));
	expect_refused(test, space, anywhere(U64_MAX));
	expect_refused(test, space, anywhere((1ULL << 63) + 1));
	expect_refused(test, space, (struct quarry_buddy_request) {
			.size = PAGE, .align = 3 * PAGE, .max = U64_MAX });
	expect_refused(test, space, (struct quarry_buddy_request) {
			.size = PAGE, .align = U64_MAX, .max = U64_MAX });
	expect_refused(test, space, (struct quarry_buddy_request) {
			.size = PAGE, .align = BIT_ULL(32) + PAGE, .max = U64_MAX });
	expect_refused(test, space, (struct quarry_buddy_request) {
			.size = PAGE, .min = AT(5), .max = AT(5) - 1 });
	expect_refused(test, space, (struct quarry_buddy_request) {
			.size = PAGE, .max = U64_MAX, .flags = BIT(2) });
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, NULL, &block), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &good, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_probe(&space->buddy, NULL, &block), -EINVAL);
	qtest_unchanged(test, space, 10);
}

static void probe_changes_nothing(struct kunit *test)
{
	struct quarry_buddy_request request = anywhere(PAGES(5));
	struct qtest_space *space = test->priv;
	struct quarry_buddy_block block;

	qtest_alloc(test, space, PAGES(3), 0);
	qtest_remember(space);
	request.min = AT(9);
	EXPECT_OK(test, quarry_buddy_probe(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, AT(16), PAGES(8));
	EXPECT_OK(test, quarry_buddy_probe(&space->buddy, &request, NULL));
	request.min = AT(60);
	EXPECT_ERR(test, quarry_buddy_probe(&space->buddy, &request, &block), -ENOSPC);
	qtest_unchanged(test, space, 0);
}

static void the_window_bounds_the_whole_block(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_request request = anywhere(PAGES(4));
	struct quarry_buddy_block block;

	request.min = AT(5);
	request.max = AT(12) - 1;
	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, AT(8), PAGES(4));
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.max = AT(16) - 2;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.max = AT(16) - 1;
	EXPECT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	request.min = AT(4) + 1;
	request.max = AT(8) - 1;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.min = AT(4);
	EXPECT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
}

/* The tail that EXACT gives back may lie outside. */
static void the_window_bounds_only_what_exact_takes(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_request request = anywhere(PAGES(5));
	struct quarry_buddy_block block;

	request.min = AT(16);
	request.max = AT(21) - 1;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.flags = QUARRY_BUDDY_EXACT | QUARRY_BUDDY_TOPDOWN;
	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, AT(16), PAGES(5));
}

static void windows_outside_the_region_hold_nothing(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_request request = anywhere(PAGE);
	struct quarry_buddy_block block;

	request.max = BASE - 1;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.max = BASE + PAGE - 2;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.min = AT(NR_PAGES);
	request.max = U64_MAX;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.min = AT(63) + 1;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.min = U64_MAX;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.min = 0;
	request.max = 0;
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_failures, 6ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_misuses, 0ULL);
}

static void alignment_may_exceed_the_size(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_request request = anywhere(PAGE);
	struct quarry_buddy_block block;
	int i;

	request.align = PAGES(16);
	for (i = 0; i < NR_PAGES; i += 16) {
		ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
		EXPECT_BLOCK(test, &block, AT(i), PAGE);
	}
	EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	request.align = PAGES(8);
	request.flags = QUARRY_BUDDY_TOPDOWN;
	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, AT(56), PAGE);
}

/* In a region of 40 pages around a multiple of 2^40, every power of two up to it. */
static void alignment_may_exceed_the_region(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE - PAGES(13), PAGES(40), PAGE);
	struct quarry_buddy_request request = anywhere(PAGES(2));
	struct quarry_buddy_block block;

	for (request.align = PAGES(32); request.align <= BASE; request.align <<= 1) {
		ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
		EXPECT_BLOCK(test, &block, BASE, PAGES(2));
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, BASE));
	}
	for (; request.align; request.align <<= 1)
		EXPECT_ERR(test, quarry_buddy_xalloc(&space->buddy, &request, &block), -ENOSPC);
	qtest_all_free(test, space);
}

static void the_last_page_of_all_addresses_can_be_had(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, -PAGES(5), PAGES(5), PAGE);
	struct quarry_buddy_request request = anywhere(PAGE);
	struct quarry_buddy_block block;

	request.min = -PAGE;
	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, -PAGE, PAGE);
	request.min = 0;
	request.max = U64_MAX - 1;
	request.flags = QUARRY_BUDDY_TOPDOWN;
	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, -PAGES(2), PAGE);
}

/* Each order has a free block below, and all but the largest are too low. */
static void each_order_is_searched_but_once(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy_request request = anywhere(PAGE);
	struct quarry_buddy_block block;

	qtest_alloc(test, space, PAGE, 0);
	request.min = AT(32);
	quarry_buddy_stats(&space->buddy, &space->old);
	ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
	EXPECT_BLOCK(test, &block, AT(32), PAGE);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_LE(test, space->now.nr_steps - space->old.nr_steps, 6ULL);
}

/* ---- All requests on some states ---- */

#define SMALL	18

/* Puts blocks of 1 to 4 pages on about half of the pages. */
static void scatter(struct kunit *test, struct rnd_state *rnd, struct qtest_space *space,
		    struct oracle *oracle)
{
	int i;

	for (i = 0; i < SMALL / 3; i++) {
		u64 addr = oracle_addr(oracle, qtest_below(rnd, SMALL - 3));
		u64 size = PAGES(1 + qtest_below(rnd, 4));

		KUNIT_ASSERT_EQ(test, quarry_buddy_reserve(&space->buddy, addr, size),
				oracle_reserve(oracle, addr, size));
	}
}

static void check_request(struct kunit *test, struct qtest_space *space,
			  const struct oracle *oracle, const struct quarry_buddy_request *request)
{
	struct quarry_buddy_block probed = {}, block = {}, answer = {};
	int err = oracle_find(oracle, request, &answer);

	KUNIT_ASSERT_EQ_MSG(test, quarry_buddy_probe(&space->buddy, request, &probed), err,
			    "size %#llx align %#llx from %#llx to %#llx flags %u", request->size,
			    request->align, request->min, request->max, request->flags);
	KUNIT_ASSERT_EQ(test, quarry_buddy_xalloc(&space->buddy, request, &block), err);
	KUNIT_ASSERT_EQ_MSG(test, block.addr, answer.addr,
			    "size %#llx align %#llx from %#llx to %#llx flags %u", request->size,
			    request->align, request->min, request->max, request->flags);
	KUNIT_ASSERT_EQ(test, block.size, answer.size);
	KUNIT_ASSERT_EQ(test, probed.addr, answer.addr);
	KUNIT_ASSERT_EQ(test, probed.size, answer.size);
	if (!err)
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, block.addr));
}

/* A byte beside the border of a page makes another page of it. */
static u64 near(struct rnd_state *rnd, const struct oracle *oracle, u32 page)
{
	return oracle_addr(oracle, page) - 1 + qtest_below(rnd, 3);
}

static void check_windows(struct kunit *test, struct rnd_state *rnd, struct qtest_space *space,
			  const struct oracle *oracle, struct quarry_buddy_request *request)
{
	u32 first, end;

	for (first = 0; first < SMALL; first++)
		for (end = first + 1; end <= SMALL; end++) {
			request->min = near(rnd, oracle, first);
			request->max = near(rnd, oracle, end);
			check_request(test, space, oracle, request);
		}
}

static void check_alignments(struct kunit *test, struct rnd_state *rnd, struct qtest_space *space,
			     const struct oracle *oracle, struct quarry_buddy_request *request)
{
	request->align = 0;
	check_windows(test, rnd, space, oracle, request);
	for (request->align = PAGE / 2; request->align <= PAGES(64); request->align <<= 1)
		check_windows(test, rnd, space, oracle, request);
}

static void every_request_gets_the_only_right_answer(struct kunit *test)
{
	unsigned long round, rounds = qtest_rounds(test, 10);
	struct quarry_buddy_request request = {};
	struct rnd_state rnd;
	u32 pages;

	qtest_seed(test, &rnd);
	for (round = 0; round < rounds; round++) {
		struct qtest_space *space = qtest_space(test, AT(11 + round), PAGES(SMALL), PAGE);
		struct oracle *oracle = oracle_create(test, &space->region, PAGE);

		scatter(test, &rnd, space, oracle);
		for (pages = 1; pages <= SMALL; pages++)
			for (request.flags = 0; request.flags < 4; request.flags++) {
				request.size = PAGES(pages) - qtest_below(&rnd, PAGE);
				check_alignments(test, &rnd, space, oracle, &request);
			}
		qtest_intact(test, &space->buddy);
	}
}

static struct kunit_case request_cases[] = {
	KUNIT_CASE(requests_that_cannot_be_are_refused),
	KUNIT_CASE(probe_changes_nothing),
	KUNIT_CASE(the_window_bounds_the_whole_block),
	KUNIT_CASE(the_window_bounds_only_what_exact_takes),
	KUNIT_CASE(windows_outside_the_region_hold_nothing),
	KUNIT_CASE(alignment_may_exceed_the_size),
	KUNIT_CASE(alignment_may_exceed_the_region),
	KUNIT_CASE(the_last_page_of_all_addresses_can_be_had),
	KUNIT_CASE(each_order_is_searched_but_once),
	KUNIT_CASE(every_request_gets_the_only_right_answer),
	{}
};

static struct kunit_suite request_suite = {
	.name = "quarry_buddy_request",
	.init = qtest_space_init,
	.exit = qtest_space_exit,
	.test_cases = request_cases,
};

kunit_test_suite(request_suite);
