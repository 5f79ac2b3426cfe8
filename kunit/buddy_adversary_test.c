// SPDX-License-Identifier: GPL-2.0
/*
 * Workloads that are hard on a buddy, the ideas being those of the kernel's own
 * tests of the drm buddy: at the limit, optimistic, pessimistic, pathological.
 */
#include <linux/minmax.h>

#include "helpers.h"

#define MAX_ORDER_HERE	12

static struct qtest_space *large_space(struct kunit *test)
{
	return qtest_space(test, BASE, PAGES(1 << MAX_ORDER_HERE), PAGE);
}

static void expect_no_room(struct kunit *test, struct qtest_space *space, u64 size)
{
	struct quarry_buddy_block block;

	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, size, 0, &block), -ENOSPC);
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, size, QUARRY_BUDDY_TOPDOWN, &block),
		   -ENOSPC);
}

/* Limit: everything in one block leaves nothing, and comes back whole. */
static void the_whole_space_is_one_block(struct kunit *test)
{
	struct qtest_space *space = large_space(test);

	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGES(1 << MAX_ORDER_HERE), 0), BASE);
	expect_no_room(test, space, 1);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, BASE));
	qtest_all_free(test, space);
}

/* Limit: the largest page at the largest order that 64 bits of address allow. */
static void the_largest_blocks_fit_below_the_top(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, 1ULL << 63, 1ULL << 43, SZ_1G);

	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, 1ULL << 43, 0), 1ULL << 63);
	expect_no_room(test, space, 1);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, 1ULL << 63));
	qtest_all_free(test, space);
}

/* Optimistic: one block of every order, the smallest first, fill 2^n - 1 pages. */
static void one_block_of_every_order_going_up_fits(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE, PAGES((2 << MAX_ORDER_HERE) - 1), PAGE);
	u64 addrs[MAX_ORDER_HERE + 1];
	int order;

	for (order = 0; order <= MAX_ORDER_HERE; order++)
		addrs[order] = qtest_alloc(test, space, PAGES(1 << order), 0);
	expect_no_room(test, space, 1);
	for (order = MAX_ORDER_HERE; order >= 0; order--)
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, addrs[order]));
	qtest_all_free(test, space);
}

/* Pessimistic: going down, each takes half of what is left, and one page stays. */
static void one_block_of_every_order_going_down_leaves_a_page(struct kunit *test)
{
	struct qtest_space *space = large_space(test);
	u64 addrs[MAX_ORDER_HERE];
	int order;

	for (order = MAX_ORDER_HERE - 1; order >= 0; order--) {
		addrs[order] = qtest_alloc(test, space, PAGES(1 << order), 0);
		expect_no_room(test, space, PAGES(2 << order));
	}
	KUNIT_EXPECT_EQ(test, qtest_alloc(test, space, PAGE, 0), AT((1 << MAX_ORDER_HERE) - 1));
	expect_no_room(test, space, 1);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT((1 << MAX_ORDER_HERE) - 1)));

	/* Coming back, each joins all before it, so that the next order fits. */
	for (order = 0; order < MAX_ORDER_HERE; order++) {
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, addrs[order]));
		addrs[order] = qtest_alloc(test, space, PAGES(2 << order), 0);
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, addrs[order]));
	}
	qtest_all_free(test, space);
}

/*
 * Pathological: fill the space with one block of every order and a last page,
 * give back the largest block, fill what it left likewise, and so on. When the
 * last pages come back, they lie all over the space.
 */
static void last_pages_everywhere_serve_no_two(struct kunit *test)
{
	struct qtest_space *space = large_space(test);
	u64 addr, last_pages[MAX_ORDER_HERE], largest = 0;
	int top, order;

	for (top = MAX_ORDER_HERE; top > 0; top--) {
		if (largest)
			EXPECT_OK(test, quarry_buddy_free(&space->buddy, largest));
		for (order = top - 1; order >= 0; order--) {
			addr = qtest_alloc(test, space, PAGES(1 << order), 0);
			largest = order == top - 1 ? addr : largest;
		}
		last_pages[top - 1] = qtest_alloc(test, space, PAGE, 0);
		expect_no_room(test, space, 1);
	}
	for (top = 0; top < MAX_ORDER_HERE; top++)
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, last_pages[top]));
	expect_no_room(test, space, PAGE + 1);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_free[0], (u64)MAX_ORDER_HERE);
	qtest_intact(test, &space->buddy);
}

/* Every second page free: half of the space, and no two pages of it together. */
static void a_chessboard_is_free_but_useless(struct kunit *test)
{
	struct qtest_space *space = large_space(test);
	int i;

	qtest_fill(test, space);
	for (i = 0; i < 1 << MAX_ORDER_HERE; i += 2)
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(i)));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.largest_free, PAGE);
	KUNIT_EXPECT_EQ(test, space->now.nr_free[0], 1ULL << (MAX_ORDER_HERE - 1));
	expect_no_room(test, space, PAGE + 1);
	for (i = 1; i < 1 << MAX_ORDER_HERE; i += 2)
		EXPECT_OK(test, quarry_buddy_free(&space->buddy, AT(i)));
	qtest_all_free(test, space);
}

/* Range: ranges of prime lengths, one behind the other, tile the space. */
static void reserved_ranges_tile_the_space(struct kunit *test)
{
	static const int primes[] = { 2, 3, 5, 7, 11, 13, 17, 101, 499, 1, 997 };
	struct qtest_space *space = large_space(test);
	int end = 1 << MAX_ORDER_HERE;
	int page, nr, i;

	for (page = 0, i = 0; page < end; page += nr) {
		nr = min(primes[i++ % ARRAY_SIZE(primes)], end - page);
		ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(page), PAGES(nr)));
		EXPECT_ERR(test, quarry_buddy_reserve(&space->buddy, AT(page), PAGES(nr)), -EBUSY);
	}
	qtest_intact(test, &space->buddy);
	expect_no_room(test, space, 1);
	for (page = 0, i = 0; page < end; page += nr) {
		nr = min(primes[i++ % ARRAY_SIZE(primes)], end - page);
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(page)));
	}
	qtest_all_free(test, space);
}

/* Range: windows of one block's size, walked over the space, give it all. */
static void windows_tile_the_space(struct kunit *test)
{
	struct qtest_space *space = large_space(test);
	struct quarry_buddy_request request = { .size = PAGES(8) };
	struct quarry_buddy_block block;
	int page;

	for (page = (1 << MAX_ORDER_HERE) - 8; page >= 0; page -= 8) {
		request.min = AT(page);
		request.max = AT(page + 8) - 1;
		ASSERT_OK(test, quarry_buddy_xalloc(&space->buddy, &request, &block));
		EXPECT_BLOCK(test, &block, AT(page), PAGES(8));
	}
	expect_no_room(test, space, 1);
	qtest_intact(test, &space->buddy);
}

static struct kunit_case adversary_cases[] = {
	KUNIT_CASE(the_whole_space_is_one_block),
	KUNIT_CASE(the_largest_blocks_fit_below_the_top),
	KUNIT_CASE(one_block_of_every_order_going_up_fits),
	KUNIT_CASE(one_block_of_every_order_going_down_leaves_a_page),
	KUNIT_CASE(last_pages_everywhere_serve_no_two),
	KUNIT_CASE(a_chessboard_is_free_but_useless),
	KUNIT_CASE(reserved_ranges_tile_the_space),
	KUNIT_CASE(windows_tile_the_space),
	{}
};

static struct kunit_suite adversary_suite = {
	.name = "quarry_buddy_adversary",
	.test_cases = adversary_cases,
};

kunit_test_suite(adversary_suite);
