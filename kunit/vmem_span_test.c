// SPDX-License-Identifier: GPL-2.0
/*
 * Spans that come and go, certain places, growth, many at once, and the ends of the
 * address space.
 */
#include "backing.h"
#include "vmem_helpers.h"

/* ---- Spans ---- */

static void adjacent_spans_are_one_for_allocation(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_segment segment = {};
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_add(&space->vmem, VAT(NR_QUANTA), QUANTA(6)));
	ASSERT_OK(test, quarry_vmem_add(&space->vmem, VBASE - QUANTA(2), QUANTA(2)));
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&space->vmem).nr_spans, 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&space->vmem).nr_free, 1ULL);
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(NR_QUANTA + 8), BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VBASE - QUANTA(2));
	ASSERT_OK(test, quarry_vmem_lookup(&space->vmem, VAT(66), &segment));
	EXPECT_SEGMENT(test, &segment, addr, QUANTA(NR_QUANTA + 8), QUARRY_VMEM_USED);
}

static void a_gap_between_spans_is_never_given_out(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_segment segment = {};
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_add(&space->vmem, VAT(NR_QUANTA + 1), QUANTA(NR_QUANTA)));
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, QUANTA(NR_QUANTA + 1), FIRST, &addr),
		   -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_alloc_at(&space->vmem, VAT(NR_QUANTA), QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_lookup(&space->vmem, VAT(NR_QUANTA), &segment), -EINVAL);
	ASSERT_OK(test, quarry_vmem_next(&space->vmem, VAT(NR_QUANTA), &segment));
	EXPECT_SEGMENT(test, &segment, VAT(NR_QUANTA + 1), QUANTA(NR_QUANTA), QUARRY_VMEM_FREE);
	ASSERT_OK(test, quarry_vmem_add(&space->vmem, VAT(NR_QUANTA), QUANTUM));
	EXPECT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(2 * NR_QUANTA + 1), FIRST,
					  &addr));
}

static void a_span_goes_when_all_of_it_is_free(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_add(vmem, VAT(64), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_add(vmem, VAT(74), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(73), QUANTUM));
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VAT(64), QUANTA(10)), -EBUSY);
	qtest_vmem_unchanged(test, space, 0, 0);
	ASSERT_OK(test, quarry_vmem_xfree(vmem, VAT(73), QUANTUM));
	ASSERT_OK(test, quarry_vmem_remove(vmem, VAT(64), QUANTA(10)));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_TOTAL), QUANTA(74));
	qtest_vmem_intact(test, vmem);
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTA(65), FIRST, &addr), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_add(vmem, VAT(64), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(84), FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VBASE);
}

/* What lies across two spans keeps both. */
static void a_segment_across_spans_keeps_both(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;

	ASSERT_OK(test, quarry_vmem_add(vmem, VAT(64), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(63), QUANTA(2)));
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VAT(64), QUANTA(10)), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_remove(vmem, VAT(0), QUANTA(64)), -EBUSY);
	ASSERT_OK(test, quarry_vmem_xfree(vmem, VAT(63), QUANTA(2)));
	ASSERT_OK(test, quarry_vmem_remove(vmem, VAT(0), QUANTA(64)));
	ASSERT_OK(test, quarry_vmem_remove(vmem, VAT(64), QUANTA(10)));
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).nr_spans, 0ULL);
	qtest_vmem_intact(test, vmem);
}

/* All tags come back, and next fit survives that the ground it stood on goes. */
static void spans_come_and_go_without_end(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;
	u64 nr_tags = qtest_vmem_stats(vmem).nr_free_tags, addr;
	int i;

	for (i = 0; i < 1000; i++) {
		u64 start = VAT(100 + i % 7);

		ASSERT_OK(test, quarry_vmem_add(vmem, start, QUANTA(80)));
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(70), NEXT, &addr));
		KUNIT_ASSERT_EQ(test, addr, start);
		ASSERT_OK(test, quarry_vmem_free(vmem, addr, QUANTA(70)));
		ASSERT_OK(test, quarry_vmem_remove(vmem, start, QUANTA(80)));
		ASSERT_OK(test, quarry_vmem_alloc(vmem, 1, NEXT, &addr));
		KUNIT_ASSERT_EQ(test, addr, VBASE);
		ASSERT_OK(test, quarry_vmem_free(vmem, addr, 1));
	}
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).nr_free_tags, nr_tags);
}

/* ---- Certain places ---- */

static void a_certain_place_is_had_or_busy(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;

	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(20), QUANTA(4) - 5));
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(20), QUANTA(4)), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(22), QUANTUM), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(18), QUANTA(3)), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(23), QUANTA(3)), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(0), QUANTA(64)), -EBUSY);
	qtest_vmem_unchanged(test, space, 0, 5);
	EXPECT_OK(test, quarry_vmem_alloc_at(vmem, VAT(0), QUANTA(20)));
	EXPECT_OK(test, quarry_vmem_alloc_at(vmem, VAT(24), QUANTA(40)));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_FREE), 0ULL);
}

/* ---- Growth ---- */

static void a_segment_grows_into_what_is_free_behind_it(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;
	struct quarry_vmem_segment segment = {};
	u64 addr = qtest_vmem_alloc(test, vmem, QUANTA(3));

	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(10), QUANTUM));
	ASSERT_OK(test, quarry_vmem_grow(vmem, addr, QUANTA(3), QUANTA(3)));
	ASSERT_OK(test, quarry_vmem_grow(vmem, addr, QUANTA(3), QUANTA(4) - 1));
	ASSERT_OK(test, quarry_vmem_grow(vmem, addr, QUANTA(4), QUANTA(10)));
	ASSERT_OK(test, quarry_vmem_lookup(vmem, VAT(9), &segment));
	EXPECT_SEGMENT(test, &segment, VAT(0), QUANTA(10), QUARRY_VMEM_USED);
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, addr, QUANTA(10), QUANTA(11)), -ENOSPC);
	qtest_vmem_unchanged(test, space, 0, 1);
	ASSERT_OK(test, quarry_vmem_grow(vmem, VAT(10), QUANTUM, QUANTA(20)));
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(10), QUANTA(20), QUANTA(55)), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_grow(vmem, VAT(10), QUANTA(20), QUANTA(54)));
	EXPECT_ERR(test, quarry_vmem_free(vmem, VAT(10), QUANTA(54)), -EINVAL);
	EXPECT_OK(test, quarry_vmem_xfree(vmem, VAT(10), QUANTA(54)));
	EXPECT_ERR(test, quarry_vmem_free(vmem, addr, QUANTA(3)), -EINVAL);
	EXPECT_OK(test, quarry_vmem_free(vmem, addr, QUANTA(10)));
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).peak, QUANTA(64));
}

/* ---- Many at once ---- */

static void bulk_gives_all(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	u64 *addrs = qtest_memory(test, NR_QUANTA * sizeof(*addrs));
	u64 seen = 0;
	int i;

	ASSERT_OK(test, quarry_vmem_alloc_bulk(&space->vmem, 10, FIRST, NR_QUANTA, addrs));
	for (i = 0; i < NR_QUANTA; i++)
		seen |= BIT_ULL((addrs[i] - VBASE) / 16);
	KUNIT_EXPECT_EQ(test, seen, U64_MAX);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&space->vmem).nr_used, (u64)NR_QUANTA);
	for (i = 0; i < NR_QUANTA; i++)
		ASSERT_OK(test, quarry_vmem_free(&space->vmem, addrs[i], 10));
}

static void bulk_gives_none_if_not_all(struct kunit *test)
{
	static const unsigned int strategies[] = { FIRST, BEST, NEXT };
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_stats stats;
	u64 addrs[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(strategies); i++) {
		EXPECT_ERR(test, quarry_vmem_alloc_bulk(&space->vmem, QUANTA(3), strategies[i],
							22, addrs), -ENOSPC);
		stats = qtest_vmem_stats(&space->vmem);
		KUNIT_EXPECT_EQ(test, stats.used, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_free, 1ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_failures, i + 1ULL);
	}
	EXPECT_OK(test, quarry_vmem_alloc_bulk(&space->vmem, QUANTA(3), FIRST, 21, addrs));
}

/* ---- Ends of the address space ---- */

static void the_top_of_the_address_space_is_like_any_other_place(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, -QUANTA(8), QUANTA(8), QUANTUM, 32);
	struct quarry_vmem *vmem = &space->vmem;
	struct quarry_vmem_segment segment = {};
	u64 addr = 0;
	int i;

	for (i = 0; i < 24; i++) {
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, NEXT, &addr));
		KUNIT_ASSERT_EQ(test, addr, -QUANTA(8 - i % 8));
		ASSERT_OK(test, quarry_vmem_free(vmem, addr, QUANTUM));
	}
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, -QUANTUM, QUANTUM));
	ASSERT_OK(test, quarry_vmem_lookup(vmem, U64_MAX, &segment));
	EXPECT_SEGMENT(test, &segment, -QUANTUM, QUANTUM, QUARRY_VMEM_XUSED);
	ASSERT_OK(test, quarry_vmem_next(vmem, U64_MAX, &segment));
	EXPECT_ERR(test, quarry_vmem_grow(vmem, -QUANTUM, QUANTUM, QUANTA(2)), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, -QUANTUM, QUANTA(2)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_add(vmem, 0, -QUANTA(7)), -EEXIST);
	ASSERT_OK(test, quarry_vmem_add(vmem, QUANTUM, -QUANTA(9)));
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, -QUANTUM + 1, FIRST, &addr), -EINVAL);
	ASSERT_OK(test, quarry_vmem_alloc(vmem, -QUANTA(2), FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, QUANTUM);
	qtest_vmem_intact(test, vmem);
}

/* All but a quantum of 64 bits of addresses: the size of all would be 0. */
static void an_arena_of_all_addresses_but_a_few(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, 1, U64_MAX, 1, 32);
	struct quarry_vmem *vmem = &space->vmem;
	u64 addr = 0;

	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), U64_MAX);
	ASSERT_OK(test, quarry_vmem_alloc(vmem, U64_MAX, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 1ULL);
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, 1, FIRST, &addr), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_free(vmem, 1, U64_MAX));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, BIT_ULL(63), BIT_ULL(63)));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, BIT_ULL(63) - 1, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 1ULL);
	qtest_vmem_intact(test, vmem);
}

/* Not even the size of everything comes out as 0, as somebody else has a quantum. */
static void not_all_addresses_are_managed(struct kunit *test)
{
	struct qtest_vmem *one = qtest_vmem(test, 1, U64_MAX, 1, 32);
	struct qtest_vmem *two = qtest_vmem(test, BIT_ULL(63), BIT_ULL(63), 4096, 32);

	EXPECT_ERR(test, quarry_vmem_add(&one->vmem, 0, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&one->vmem, QUARRY_VMEM_SIZE_TOTAL), U64_MAX);
	qtest_vmem_intact(test, &one->vmem);
	EXPECT_ERR(test, quarry_vmem_add(&two->vmem, 0, BIT_ULL(63)), -EINVAL);
	EXPECT_OK(test, quarry_vmem_add(&two->vmem, 0, BIT_ULL(63) - 4096));
	EXPECT_ERR(test, quarry_vmem_add(&two->vmem, BIT_ULL(63) - 4096, 4096), -EINVAL);
	EXPECT_OK(test, quarry_vmem_alloc(&two->vmem, BIT_ULL(63), FIRST, NULL));
	qtest_vmem_intact(test, &two->vmem);
}

static void address_zero_is_an_address(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, 0, 4, 1, 16);
	u64 addr = 1;

	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 2, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
	EXPECT_OK(test, quarry_vmem_free(&space->vmem, 0, 2));
	EXPECT_ERR(test, quarry_vmem_free(&space->vmem, 0, 2), -ENOENT);
}

static void the_result_may_be_left_out(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(20), NEXT);

	EXPECT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(20), FIRST, NULL));
	EXPECT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(20), BEST, NULL));
	EXPECT_OK(test, quarry_vmem_xalloc(&space->vmem, &want, NULL));
	EXPECT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(4), NEXT, NULL));
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, 1, FIRST, NULL), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_xalloc(&space->vmem, &want, NULL), -ENOSPC);
}

/* ---- Tags ---- */

/* Each of these takes two tags more; what there is room for without any still works. */
static void without_tags_nothing_is_split(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, VBASE, QUANTA(NR_QUANTA), QUANTUM, 8);
	struct quarry_vmem *vmem = &space->vmem;
	u64 addr = 0xdead;
	int i = 0;

	while (qtest_vmem_stats(vmem).nr_free_tags)
		ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(i++), QUANTUM));
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addr), -ENOMEM);
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTUM, BEST, &addr), -ENOMEM);
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTUM, NEXT, &addr), -ENOMEM);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(40), QUANTUM), -ENOMEM);
	EXPECT_ERR(test, quarry_vmem_add(vmem, VAT(100), QUANTUM), -ENOMEM);
	KUNIT_EXPECT_EQ(test, addr, 0xdeadULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).used, QUANTA(i));
	EXPECT_OK(test, quarry_vmem_alloc(vmem, QUANTA(NR_QUANTA - i), FIRST, &addr));
	EXPECT_OK(test, quarry_vmem_xfree(vmem, VAT(0), QUANTUM));
	EXPECT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, NEXT, &addr));
	qtest_vmem_intact(test, vmem);
}

static void reserved_tags_are_there(struct kunit *test)
{
	struct qtest_backing *backing = qtest_backing(test, PAGES(16), PAGES(16), PAGE);
	struct quarry_vmem *vmem = quarry_vmem_create(test->name, VBASE, QUANTA(512), QUANTUM,
						      &backing->backend);
	u64 addr = 0;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, vmem);
	ASSERT_OK(test, quarry_vmem_reserve_tags(vmem, 200));
	backing->barren = true;
	for (i = 0; i < 200; i++)
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addr));
	EXPECT_ERR(test, quarry_vmem_reserve_tags(vmem, 10000), -ENOMEM);
	qtest_vmem_intact(test, vmem);
	qtest_vmem_free_range(test, vmem, VAT(0), VAT(200));
	EXPECT_OK(test, quarry_vmem_destroy(vmem));
	qtest_backing_close(test, backing);
}

static struct kunit_case span_cases[] = {
	KUNIT_CASE(adjacent_spans_are_one_for_allocation),
	KUNIT_CASE(a_gap_between_spans_is_never_given_out),
	KUNIT_CASE(a_span_goes_when_all_of_it_is_free),
	KUNIT_CASE(a_segment_across_spans_keeps_both),
	KUNIT_CASE(spans_come_and_go_without_end),
	KUNIT_CASE(a_certain_place_is_had_or_busy),
	KUNIT_CASE(a_segment_grows_into_what_is_free_behind_it),
	KUNIT_CASE(bulk_gives_all),
	KUNIT_CASE(bulk_gives_none_if_not_all),
	KUNIT_CASE(the_top_of_the_address_space_is_like_any_other_place),
	KUNIT_CASE(an_arena_of_all_addresses_but_a_few),
	KUNIT_CASE(not_all_addresses_are_managed),
	KUNIT_CASE(address_zero_is_an_address),
	KUNIT_CASE(the_result_may_be_left_out),
	KUNIT_CASE(without_tags_nothing_is_split),
	KUNIT_CASE(reserved_tags_are_there),
	{}
};

static struct kunit_suite span_suite = {
	.name = "quarry_vmem_span",
	.init = qtest_vmem_init,
	.test_cases = span_cases,
};

kunit_test_suite(span_suite);
