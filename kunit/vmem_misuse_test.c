// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that can't be right: each is refused, counted once, and changes nothing.
 */
#include "vmem_helpers.h"

/* An arena with a segment of 3 quanta by alloc at 10 and one by xalloc at 20. */
static struct qtest_vmem *two_segments(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, VAT(0), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(3), BEST, &addr));
	KUNIT_ASSERT_EQ(test, addr, VAT(10));
	ASSERT_OK(test, quarry_vmem_xfree(&space->vmem, VAT(0), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, VAT(20), QUANTA(3)));
	qtest_vmem_remember(test, space);
	return space;
}

/* Defect 23. */
static void a_wrong_size_frees_nothing(struct kunit *test)
{
	static const u64 sizes[] = {
		0, 1, QUANTUM, QUANTA(2), QUANTA(3) + 1, QUANTA(4), QUANTA(64), U64_MAX,
		-QUANTUM, BIT_ULL(63),
	};
	struct qtest_vmem *space = two_segments(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_ERR(test, quarry_vmem_free(&space->vmem, VAT(10), sizes[i]), -EINVAL);
		EXPECT_ERR(test, quarry_vmem_xfree(&space->vmem, VAT(20), sizes[i]), -EINVAL);
	}
	qtest_vmem_unchanged(test, space, 2 * ARRAY_SIZE(sizes), 0);
	EXPECT_OK(test, quarry_vmem_free(&space->vmem, VAT(10), QUANTA(3) - 15));
	EXPECT_OK(test, quarry_vmem_xfree(&space->vmem, VAT(20), QUANTA(3) - 1));
}

static void the_other_kind_frees_nothing(struct kunit *test)
{
	struct qtest_vmem *space = two_segments(test);

	EXPECT_ERR(test, quarry_vmem_xfree(&space->vmem, VAT(10), QUANTA(3)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_free(&space->vmem, VAT(20), QUANTA(3)), -EINVAL);
	qtest_vmem_unchanged(test, space, 2, 0);
	EXPECT_OK(test, quarry_vmem_free(&space->vmem, VAT(10), QUANTA(3)));
	EXPECT_OK(test, quarry_vmem_xfree(&space->vmem, VAT(20), QUANTA(3)));
}

/* Defect 23: every address of the arena and around it, with every small size. */
static void a_wrong_address_frees_nothing(struct kunit *test)
{
	struct qtest_vmem *space = two_segments(test);
	u64 addr, size, nr = 0;
	int right;

	for (addr = VBASE - QUANTA(2); addr < VAT(NR_QUANTA + 2); addr += 4) {
		bool in_segment = (addr >= VAT(10) && addr < VAT(13)) ||
				  (addr >= VAT(20) && addr < VAT(23));
		bool managed = addr >= VBASE && addr < VAT(NR_QUANTA);

		if (addr == VAT(10) || addr == VAT(20))
			continue;
		right = !managed || in_segment || addr % QUANTUM ? -EINVAL : -ENOENT;
		for (size = QUANTUM; size <= QUANTA(4); size += QUANTUM, nr += 2) {
			EXPECT_ERR(test, quarry_vmem_free(&space->vmem, addr, size), right);
			EXPECT_ERR(test, quarry_vmem_xfree(&space->vmem, addr, size), right);
		}
	}
	qtest_vmem_unchanged(test, space, nr, 0);
}

static void foreign_addresses_free_nothing(struct kunit *test)
{
	static const u64 addresses[] = {
		0, 1, QUANTUM, VBASE / 2, VBASE * 2, VBASE - 1, BIT_ULL(63), U64_MAX, -QUANTUM,
	};
	struct qtest_vmem *space = two_segments(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		EXPECT_ERR(test, quarry_vmem_free(&space->vmem, addresses[i], QUANTUM), -EINVAL);
		EXPECT_ERR(test, quarry_vmem_xfree(&space->vmem, addresses[i], QUANTA(3)),
			   -EINVAL);
	}
	qtest_vmem_unchanged(test, space, 2 * ARRAY_SIZE(addresses), 0);
}

static void a_second_free_is_told_so(struct kunit *test)
{
	struct qtest_vmem *space = two_segments(test);

	ASSERT_OK(test, quarry_vmem_free(&space->vmem, VAT(10), QUANTA(3)));
	ASSERT_OK(test, quarry_vmem_xfree(&space->vmem, VAT(20), QUANTA(3)));
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_free(&space->vmem, VAT(10), QUANTA(3)), -ENOENT);
	EXPECT_ERR(test, quarry_vmem_xfree(&space->vmem, VAT(10), QUANTA(3)), -ENOENT);
	EXPECT_ERR(test, quarry_vmem_xfree(&space->vmem, VAT(20), QUANTA(3)), -ENOENT);
	EXPECT_ERR(test, quarry_vmem_free(&space->vmem, VAT(20), QUANTUM), -ENOENT);
	qtest_vmem_unchanged(test, space, 4, 0);
}

static void an_allocation_that_can_not_be_is_refused(struct kunit *test)
{
	static const unsigned int flags[] = {
		0, FIRST | BEST, BEST | NEXT, FIRST | NEXT, FIRST | BEST | NEXT, BIT(5) | FIRST,
		BIT(31) | BEST, QUARRY_VMEM_NOWAIT, QUARRY_VMEM_WAIT,
		FIRST | QUARRY_VMEM_WAIT | QUARRY_VMEM_NOWAIT, ~0U,
	};
	static const u64 sizes[] = { 0, U64_MAX, -QUANTUM + 1 };
	struct qtest_vmem *space = two_segments(test);
	u64 addr = 0xdead, addrs[2] = { 1, 2 };
	struct quarry_vmem_request want;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		want = qtest_vmem_want(QUANTUM, flags[i]);
		EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, 1, flags[i], &addr), -EINVAL);
		EXPECT_ERR(test, quarry_vmem_alloc_timeout(&space->vmem, 1, flags[i], 1, &addr),
			   -EINVAL);
		EXPECT_ERR(test, quarry_vmem_xalloc(&space->vmem, &want, &addr), -EINVAL);
		EXPECT_ERR(test, quarry_vmem_alloc_bulk(&space->vmem, 1, flags[i], 2, addrs),
			   -EINVAL);
	}
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		want = qtest_vmem_want(sizes[i], FIRST);
		EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, sizes[i], NEXT, &addr),
			   -EINVAL);
		EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, sizes[i], FIRST, &addr),
			   -EINVAL);
		EXPECT_ERR(test, quarry_vmem_xalloc(&space->vmem, &want, &addr), -EINVAL);
		EXPECT_ERR(test, quarry_vmem_alloc_at(&space->vmem, VAT(30), sizes[i]), -EINVAL);
	}
	EXPECT_ERR(test, quarry_vmem_xalloc(&space->vmem, NULL, &addr), -EINVAL);
	KUNIT_EXPECT_EQ(test, addr, 0xdeadULL);
	qtest_vmem_unchanged(test, space, 4 * ARRAY_SIZE(flags) + 4 * ARRAY_SIZE(sizes) + 1, 0);
}

static void bulk_that_can_not_be_is_refused(struct kunit *test)
{
	struct qtest_vmem *space = two_segments(test);
	u64 addrs[2] = {};

	EXPECT_ERR(test, quarry_vmem_alloc_bulk(&space->vmem, 1, FIRST, 0, addrs), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_bulk(&space->vmem, 1, FIRST, 2, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_bulk(&space->vmem, 1, FIRST | QUARRY_VMEM_WAIT, 2,
						addrs), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_bulk(&space->vmem, 0, FIRST, 2, addrs), -EINVAL);
	qtest_vmem_unchanged(test, space, 4, 0);
}

static void a_place_that_can_not_be_is_refused(struct kunit *test)
{
	struct qtest_vmem *space = two_segments(test);
	struct quarry_vmem *vmem = &space->vmem;

	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(30) + 1, QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VBASE - QUANTUM, QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VBASE - QUANTUM, QUANTA(2)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(NR_QUANTA), QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(NR_QUANTA - 1), QUANTA(2)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(30), -VAT(30) + QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, -QUANTUM, QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, 0, QUANTUM), -EINVAL);
	qtest_vmem_unchanged(test, space, 8, 0);
}

/* A range that leaves the spans can't be right, whatever lies in it. */
static void a_place_that_ends_outside_is_refused(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;

	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, VAT(63), QUANTUM));
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_alloc_at(&space->vmem, VAT(62), QUANTA(3)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc_at(&space->vmem, VAT(63), QUANTA(2)), -EINVAL);
	qtest_vmem_unchanged(test, space, 2, 0);
}

static void growth_that_can_not_be_is_refused(struct kunit *test)
{
	struct qtest_vmem *space = two_segments(test);
	struct quarry_vmem *vmem = &space->vmem;

	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10), QUANTA(3), QUANTA(2)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10), QUANTA(3), 0), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10), QUANTA(3), U64_MAX), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10), 0, QUANTA(4)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10), QUANTA(2), QUANTA(4)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(11), QUANTA(2), QUANTA(4)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10) + 1, QUANTA(3), QUANTA(4)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, 0, QUANTA(3), QUANTA(4)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(40), QUANTA(3), QUANTA(4)), -ENOENT);
	qtest_vmem_unchanged(test, space, 9, 0);
}

/* Defect 19. */
static void a_span_that_can_not_be_is_refused(struct kunit *test)
{
	static const struct { u64 addr, size; int err; } wrong[] = {
		{ VBASE, QUANTA(NR_QUANTA), -EEXIST },
		{ VAT(5), QUANTUM, -EEXIST },
		{ VBASE - QUANTUM, QUANTA(2), -EEXIST },
		{ VAT(NR_QUANTA - 1), QUANTA(2), -EEXIST },
		{ VBASE - QUANTUM, QUANTA(NR_QUANTA + 2), -EEXIST },
		{ QUANTUM, -QUANTA(2), -EEXIST },
		{ 0, 0, -EINVAL },
		{ VAT(100), 0, -EINVAL },
		{ VAT(100) + 8, QUANTUM, -EINVAL },
		{ VAT(100), QUANTUM + 8, -EINVAL },
		{ VAT(100), 1, -EINVAL },
		{ -QUANTUM, QUANTA(2), -EINVAL },
		{ BIT_ULL(63), BIT_ULL(63) + QUANTUM, -EINVAL },
		{ VAT(100), -QUANTUM, -EINVAL },
	};
	struct qtest_vmem *space = two_segments(test);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_vmem_add(&space->vmem, wrong[i].addr,
							  wrong[i].size),
				    wrong[i].err, "%zu", i);
	qtest_vmem_unchanged(test, space, ARRAY_SIZE(wrong), 0);
}

static void a_span_that_is_not_there_is_not_removed(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;

	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VBASE, QUANTA(63)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VAT(1), QUANTA(63)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VBASE, QUANTA(65)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VBASE, 0), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, 0, QUANTA(64)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, U64_MAX, 1), -EINVAL);
	qtest_vmem_unchanged(test, space, 6, 0);
}

static void a_walk_without_room_for_the_answer_is_refused(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_segment segment;

	EXPECT_ERR(test, quarry_vmem_lookup(&space->vmem, VBASE, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_next(&space->vmem, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_lookup(&space->vmem, VBASE - 1, &segment), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_lookup(&space->vmem, VAT(64), &segment), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_next(&space->vmem, VAT(64), &segment), -ENOENT);
}

static struct kunit_case misuse_cases[] = {
	KUNIT_CASE(a_wrong_size_frees_nothing),
	KUNIT_CASE(the_other_kind_frees_nothing),
	KUNIT_CASE(a_wrong_address_frees_nothing),
	KUNIT_CASE(foreign_addresses_free_nothing),
	KUNIT_CASE(a_second_free_is_told_so),
	KUNIT_CASE(an_allocation_that_can_not_be_is_refused),
	KUNIT_CASE(bulk_that_can_not_be_is_refused),
	KUNIT_CASE(a_place_that_can_not_be_is_refused),
	KUNIT_CASE(a_place_that_ends_outside_is_refused),
	KUNIT_CASE(growth_that_can_not_be_is_refused),
	KUNIT_CASE(a_span_that_can_not_be_is_refused),
	KUNIT_CASE(a_span_that_is_not_there_is_not_removed),
	KUNIT_CASE(a_walk_without_room_for_the_answer_is_refused),
	{}
};

static struct kunit_suite misuse_suite = {
	.name = "quarry_vmem_misuse",
	.init = qtest_vmem_init,
	.exit = qtest_vmem_exit,
	.test_cases = misuse_cases,
};

kunit_test_suite(misuse_suite);
