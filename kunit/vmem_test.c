// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of vmem, one by one, and what wrong use leads to: an error, a line in
 * the log, and nothing else.
 */
#include <linux/string.h>

#include "backing.h"
#include "vmem_helpers.h"

/* ---- Making and ending ---- */

static void a_new_arena_is_one_free_segment(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_stats stats = qtest_vmem_stats(&space->vmem);
	struct quarry_vmem_segment segment = {};

	KUNIT_EXPECT_EQ(test, stats.total, QUANTA(NR_QUANTA));
	KUNIT_EXPECT_EQ(test, stats.used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.largest_free, QUANTA(NR_QUANTA));
	KUNIT_EXPECT_EQ(test, stats.quantum, QUANTUM);
	KUNIT_EXPECT_EQ(test, stats.nr_spans, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_free, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_lists[6], 1ULL);
	ASSERT_OK(test, quarry_vmem_lookup(&space->vmem, VAT(10) + 3, &segment));
	EXPECT_SEGMENT(test, &segment, VBASE, QUANTA(NR_QUANTA), QUARRY_VMEM_FREE);
	KUNIT_EXPECT_FALSE(test, segment.imported);
}

static void an_arena_that_can_not_be_is_refused(struct kunit *test)
{
	static const struct { u64 base, size, quantum; } wrong[] = {
		{ 0, 64, 0 }, { 0, 48, 3 }, { 0, 48, 24 }, { 8, 64, 16 }, { 0, 72, 16 },
		{ 0, 8, 16 }, { -64ULL, 128, 16 }, { -16ULL, 32, 16 }, { U64_MAX, 2, 1 },
		{ 2, U64_MAX, 1 }, { 8, 0, 16 }, { 0, 0, BIT_ULL(32) + 16 },
	};
	struct quarry_vmem *vmem = qtest_memory(test, sizeof(*vmem));
	void *memory = qtest_memory(test, SZ_1K);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_vmem_init(vmem, "wrong", wrong[i].base,
							   wrong[i].size, wrong[i].quantum,
							   memory, SZ_1K, NULL),
				    -EINVAL, "%zu", i);
	EXPECT_ERR(test, quarry_vmem_init(NULL, "none", 0, 64, 1, memory, SZ_1K, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_init(vmem, "none", 0, 64, 1, NULL, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_init(vmem, "none", 0, 64, 1, NULL, SZ_1K, NULL), -EINVAL);
}

/* Two tags are enough for a span; and memory is used wherever it begins. */
static void an_arena_needs_two_tags(struct kunit *test)
{
	struct quarry_vmem *vmem = qtest_memory(test, sizeof(*vmem));
	u8 *memory = qtest_memory(test, SZ_1K);
	size_t size;

	for (size = 0; size < 2 * QUARRY_VMEM_TAG_SIZE; size += 8)
		EXPECT_ERR(test, quarry_vmem_init(vmem, "small", 0, 64, 1, memory, size, NULL),
			   -ENOMEM);
	ASSERT_OK(test, quarry_vmem_init(vmem, "small", 0, 64, 1, memory + 1,
					 2 * QUARRY_VMEM_TAG_SIZE + 7, NULL));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, 64, FIRST, NULL));
	EXPECT_ERR(test, quarry_vmem_fini(vmem), -EBUSY);
	ASSERT_OK(test, quarry_vmem_free(vmem, 0, 64));
	EXPECT_OK(test, quarry_vmem_fini(vmem));
	KUNIT_EXPECT_EQ(test, memory[0], (u8)0xa5);
	KUNIT_EXPECT_EQ(test, memory[2 * QUARRY_VMEM_TAG_SIZE + 8], (u8)0xa5);
}

/* Defect 24. */
static void the_end_is_refused_while_a_segment_is_in_use(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	u64 addr = qtest_vmem_alloc(test, &space->vmem, QUANTUM);

	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_fini(&space->vmem), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_fini(&space->vmem), -EBUSY);
	qtest_vmem_unchanged(test, space, 0, 0);
	EXPECT_OK(test, quarry_vmem_free(&space->vmem, addr, QUANTUM));
	EXPECT_OK(test, quarry_vmem_fini(&space->vmem));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&space->vmem, QUARRY_VMEM_SIZE_TOTAL), 0ULL);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, QUANTUM, FIRST, &addr), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_free(&space->vmem, VBASE, QUANTUM), -EINVAL);
	qtest_vmem_intact(test, &space->vmem);
}

static void an_arena_is_made_in_a_backend(struct kunit *test)
{
	struct qtest_backing *backing = qtest_backing(test, PAGES(16), PAGES(16), PAGE);
	struct quarry_vmem *vmem;
	int i;

	KUNIT_EXPECT_NULL(test, quarry_vmem_create("none", 0, 64, 1, NULL));
	KUNIT_EXPECT_NULL(test, quarry_vmem_create("wrong", 1, 64, 2, &backing->backend));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	vmem = quarry_vmem_create(test->name, VBASE, QUANTA(300), QUANTUM, &backing->backend);
	KUNIT_ASSERT_NOT_NULL(test, vmem);
	for (i = 0; i < 300; i++)
		KUNIT_ASSERT_EQ(test, qtest_vmem_alloc(test, vmem, 1), VAT(i));
	qtest_vmem_intact(test, vmem);
	EXPECT_ERR(test, quarry_vmem_destroy(vmem), -EBUSY);
	qtest_vmem_free_range(test, vmem, VAT(0), VAT(300));
	EXPECT_OK(test, quarry_vmem_destroy(vmem));
	EXPECT_OK(test, quarry_vmem_destroy(NULL));
	qtest_backing_close(test, backing);
}

static void after_its_end_an_arena_takes_no_memory(struct kunit *test)
{
	struct qtest_backing *backing = qtest_backing(test, PAGES(16), PAGES(16), PAGE);
	struct quarry_vmem *vmem = qtest_memory(test, sizeof(*vmem));
	u64 addr;

	ASSERT_OK(test, quarry_vmem_init(vmem, test->name, VBASE, QUANTA(64), QUANTUM, NULL, 0,
					 &backing->backend));
	addr = qtest_vmem_alloc(test, vmem, 1);
	EXPECT_OK(test, quarry_vmem_free(vmem, addr, 1));
	EXPECT_OK(test, quarry_vmem_fini(vmem));
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, 1, BEST, &addr), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_free(vmem, VBASE, 1), -EINVAL);
	EXPECT_OK(test, quarry_vmem_fini(vmem));
	qtest_backing_close(test, backing);
}

static void who_can_not_be_made_leaves_nothing(struct kunit *test)
{
	struct qtest_backing *backing = qtest_backing(test, PAGES(16), PAGES(16), PAGE);

	backing->barren = true;
	KUNIT_EXPECT_NULL(test, quarry_vmem_create("poor", 0, 64, 1, &backing->backend));
	qtest_backing_close(test, backing);
}

/* ---- Sizes ---- */

/* Defect 18. */
static void sizes_are_rounded_up_to_the_quantum(struct kunit *test)
{
	static const unsigned int strategies[] = { FIRST, BEST, NEXT };
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_segment segment = {};
	u64 size, addr = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(strategies); i++) {
		for (size = 1; size <= 3 * QUANTUM; size++) {
			ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, size, strategies[i],
							  &addr));
			ASSERT_OK(test, quarry_vmem_lookup(&space->vmem, addr, &segment));
			EXPECT_SEGMENT(test, &segment, addr,
				       (size + QUANTUM - 1) / 16 * 16, QUARRY_VMEM_USED);
			qtest_vmem_intact(test, &space->vmem);
			EXPECT_OK(test, quarry_vmem_free(&space->vmem, addr, size));
		}
	}
}

static void rounding_never_overflows(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;

	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, 1), QUANTUM);
	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, QUANTUM), QUANTUM);
	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, QUANTUM + 1), 2 * QUANTUM);
	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, -QUANTUM), -QUANTUM);
	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, -QUANTUM + 1), 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_vmem_roundup_size(vmem, U64_MAX), 0ULL);
}

/* Defect 20: whatever is free in one piece can be had in one piece. */
static void the_largest_free_segment_is_exact(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, 0, 0, 1, 64);
	struct quarry_vmem *vmem = &space->vmem;
	u64 size, addr = 0;

	for (size = 1; size < BIT_ULL(40); size += 1 + (size >> 3)) {
		ASSERT_OK(test, quarry_vmem_add(vmem, 3, size));
		KUNIT_ASSERT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), size);
		KUNIT_ASSERT_EQ(test, qtest_vmem_stats(vmem).largest_free, size);
		EXPECT_ERR(test, quarry_vmem_alloc(vmem, size + 1, FIRST, &addr), -ENOSPC);
		ASSERT_OK(test, quarry_vmem_alloc(vmem, size, FIRST, &addr));
		KUNIT_ASSERT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), 0ULL);
		ASSERT_OK(test, quarry_vmem_free(vmem, addr, size));
		ASSERT_OK(test, quarry_vmem_remove(vmem, 3, size));
	}
}

static void sizes_add_up(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem *vmem = &space->vmem;

	qtest_vmem_alloc(test, vmem, QUANTA(5));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_USED), QUANTA(5));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_FREE), QUANTA(59));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_TOTAL), QUANTA(64));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), QUANTA(59));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, (enum quarry_vmem_which)99), 0ULL);
	EXPECT_OK(test, quarry_vmem_free(vmem, VBASE, QUANTA(5)));
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).peak, QUANTA(5));
}

/* ---- Strategies ---- */

/* Free segments of so many quanta at 0, 20, 40 and 60, and what is between is in use. */
static void make_holes(struct kunit *test, struct quarry_vmem *vmem, const u8 *holes)
{
	u64 addr;
	int i;

	for (i = 0; i < 4; i++) {
		addr = 20 * i + holes[i];
		ASSERT_OK(test, quarry_vmem_alloc_at(vmem, addr, 20 - holes[i]));
	}
}

/* Defect 21, with holes of 60 and 40 tenths. */
static void best_fit_takes_the_smallest_that_fits(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, 0, 200, 1, 64);
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, 60, 20));
	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, 120, 80));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 36, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 80ULL);
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 36, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
}

static void best_fit_takes_the_lowest_of_equals(struct kunit *test)
{
	static const u8 holes[] = { 9, 7, 7, 7 };
	struct qtest_vmem *space = qtest_vmem(test, 0, 80, 1, 64);
	u64 addr = 0;
	int i;

	make_holes(test, &space->vmem, holes);
	for (i = 1; i < 4; i++) {
		ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 7, BEST, &addr));
		KUNIT_EXPECT_EQ(test, addr, 20ULL * i);
	}
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 7, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
}

static void first_fit_takes_of_the_smallest_list_that_can_serve(struct kunit *test)
{
	static const u8 holes[] = { 19, 12, 5, 17 };
	struct qtest_vmem *space = qtest_vmem(test, 0, 80, 1, 64);
	u64 addr = 0;

	make_holes(test, &space->vmem, holes);
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 6, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 20ULL);
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 5, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 40ULL);
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 18, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, 18, FIRST, &addr), -ENOSPC);
}

/* A size in the midst of a list: not all of the list can serve, but one can. */
static void first_fit_falls_back_to_the_list_of_the_size(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, 0, 20000, 1, 64);
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, 9000, 1));
	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, 18999, 1001));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 9998, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 9001ULL);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, 9001, FIRST, &addr), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 9000, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
}

static void next_fit_goes_on_behind_the_last_and_wraps(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	u64 addr = 0;
	int i;

	for (i = 0; i < 3 * NR_QUANTA; i++) {
		ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, 5, NEXT, &addr));
		KUNIT_ASSERT_EQ(test, addr, VAT(i % NR_QUANTA));
		ASSERT_OK(test, quarry_vmem_free(&space->vmem, addr, 5));
	}
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(40), NEXT, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(0));
	ASSERT_OK(test, quarry_vmem_free(&space->vmem, addr, QUANTA(40)));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(30), NEXT, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(0));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(30), NEXT, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(30));
}

static void other_strategies_leave_next_fit_where_it_is(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(4), NEXT, NULL));
	ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, VAT(40), QUANTA(2)));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTA(3), BEST, NULL));
	ASSERT_OK(test, quarry_vmem_free(&space->vmem, VAT(0), QUANTA(4)));
	ASSERT_OK(test, quarry_vmem_alloc(&space->vmem, QUANTUM, NEXT, &addr));
	KUNIT_EXPECT_GE(test, addr, VAT(4));
}

static void nothing_fits_where_too_little_is_free(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	u64 addr = 0xdead;

	qtest_vmem_fill(test, &space->vmem);
	ASSERT_OK(test, quarry_vmem_free(&space->vmem, VAT(3), QUANTUM));
	ASSERT_OK(test, quarry_vmem_free(&space->vmem, VAT(5), QUANTUM));
	qtest_vmem_remember(test, space);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, QUANTUM + 1, FIRST, &addr), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, QUANTUM + 1, BEST, &addr), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, QUANTUM + 1, NEXT, &addr), -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_alloc(&space->vmem, -QUANTUM, FIRST, &addr), -ENOSPC);
	KUNIT_EXPECT_EQ(test, addr, 0xdeadULL);
	qtest_vmem_unchanged(test, space, 0, 4);
}

/* ---- Freeing ---- */

static void free_neighbours_are_one_segment(struct kunit *test)
{
	static const u8 orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct qtest_vmem *space = test->priv;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (j = 0; j < 3; j++)
			ASSERT_OK(test, quarry_vmem_alloc_at(&space->vmem, VAT(20 * j),
							     QUANTA(20)));
		for (j = 0; j < 3; j++)
			ASSERT_OK(test, quarry_vmem_xfree(&space->vmem,
							  VAT(20 * orders[i][j]), QUANTA(20)));
		KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&space->vmem).nr_free, 1ULL);
		qtest_vmem_intact(test, &space->vmem);
	}
}

/* Nothing is lost however often; and free needs no tags. */
static void free_never_fails(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, VBASE, QUANTA(NR_QUANTA), QUANTUM, 65);
	int i, round;

	for (round = 0; round < 5; round++) {
		qtest_vmem_fill(test, &space->vmem);
		for (i = round % 2; i < NR_QUANTA; i += 2)
			ASSERT_OK(test, quarry_vmem_free(&space->vmem, VAT(i), QUANTUM));
		for (i = 1 - round % 2; i < NR_QUANTA; i += 2)
			ASSERT_OK(test, quarry_vmem_free(&space->vmem, VAT(i), QUANTUM));
		KUNIT_ASSERT_EQ(test, qtest_vmem_stats(&space->vmem).largest_free,
				QUANTA(NR_QUANTA));
	}
}

static struct kunit_case vmem_cases[] = {
	KUNIT_CASE(a_new_arena_is_one_free_segment),
	KUNIT_CASE(an_arena_that_can_not_be_is_refused),
	KUNIT_CASE(an_arena_needs_two_tags),
	KUNIT_CASE(the_end_is_refused_while_a_segment_is_in_use),
	KUNIT_CASE(an_arena_is_made_in_a_backend),
	KUNIT_CASE(after_its_end_an_arena_takes_no_memory),
	KUNIT_CASE(who_can_not_be_made_leaves_nothing),
	KUNIT_CASE(sizes_are_rounded_up_to_the_quantum),
	KUNIT_CASE(rounding_never_overflows),
	KUNIT_CASE(the_largest_free_segment_is_exact),
	KUNIT_CASE(sizes_add_up),
	KUNIT_CASE(best_fit_takes_the_smallest_that_fits),
	KUNIT_CASE(best_fit_takes_the_lowest_of_equals),
	KUNIT_CASE(first_fit_takes_of_the_smallest_list_that_can_serve),
	KUNIT_CASE(first_fit_falls_back_to_the_list_of_the_size),
	KUNIT_CASE(next_fit_goes_on_behind_the_last_and_wraps),
	KUNIT_CASE(other_strategies_leave_next_fit_where_it_is),
	KUNIT_CASE(nothing_fits_where_too_little_is_free),
	KUNIT_CASE(free_neighbours_are_one_segment),
	KUNIT_CASE(free_never_fails),
	{}
};

static struct kunit_suite vmem_suite = {
	.name = "quarry_vmem",
	.init = qtest_vmem_init,
	.test_cases = vmem_cases,
};

kunit_test_suite(vmem_suite);
