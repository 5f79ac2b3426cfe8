// SPDX-License-Identifier: GPL-2.0
/*
 * Arenas that import from other arenas and from buddies.
 */
#include "vmem_helpers.h"

static void an_arena_imports_from_another(struct kunit *test)
{
	struct qtest_vmem *outer = qtest_vmem(test, VBASE, QUANTA(NR_QUANTA), QUANTUM, 100);
	struct qtest_vmem *inner = qtest_vmem(test, 0, 0, 1, 200);
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_set_import(&inner->vmem, quarry_vmem_import_vmem,
					       quarry_vmem_release_vmem, &outer->vmem,
					       QUANTA(2)));
	ASSERT_OK(test, quarry_vmem_alloc(&inner->vmem, QUANTA(64), FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VBASE);
	EXPECT_ERR(test, quarry_vmem_alloc(&inner->vmem, 1, FIRST, &addr), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_free(&inner->vmem, VBASE, QUANTA(64)));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&outer->vmem, QUARRY_VMEM_SIZE_USED), 0ULL);
	ASSERT_OK(test, quarry_vmem_alloc(&inner->vmem, 3, BEST, &addr));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&outer->vmem, QUARRY_VMEM_SIZE_USED), QUANTA(2));
	ASSERT_OK(test, quarry_vmem_free(&inner->vmem, addr, 3));
	EXPECT_OK(test, quarry_vmem_fini(&inner->vmem));
	EXPECT_OK(test, quarry_vmem_fini(&outer->vmem));
}

/* Whose free space begins at an address that the arena can't have. */
static void a_finer_source_is_asked_for_aligned_spans(struct kunit *test)
{
	struct qtest_vmem *outer = qtest_vmem(test, 3, QUANTA(16), 1, 100);
	struct qtest_vmem *inner = qtest_vmem(test, 0, 0, QUANTUM, 100);
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_set_import(&inner->vmem, quarry_vmem_import_vmem,
					       quarry_vmem_release_vmem, &outer->vmem, 0));
	ASSERT_OK(test, quarry_vmem_alloc(&inner->vmem, QUANTA(15), FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, QUANTUM);
	EXPECT_ERR(test, quarry_vmem_alloc(&inner->vmem, 1, FIRST, &addr), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_free(&inner->vmem, QUANTUM, QUANTA(15)));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&outer->vmem, QUARRY_VMEM_SIZE_USED), 0ULL);
}

static void an_arena_imports_from_a_buddy(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE, PAGES(NR_PAGES), PAGE);
	struct qtest_vmem *arena = qtest_vmem(test, 0, 0, 64, 400);
	struct quarry_vmem_request want = qtest_vmem_want(PAGES(3), BEST);
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_set_import(&arena->vmem, quarry_vmem_import_buddy,
					       quarry_vmem_release_buddy, &space->buddy, PAGE));
	ASSERT_OK(test, quarry_vmem_alloc(&arena->vmem, 100, FIRST, &addr));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.used, PAGE);
	ASSERT_OK(test, quarry_vmem_free(&arena->vmem, addr, 100));
	want.align = PAGES(16);
	want.min = AT(17);
	want.max = AT(35) - 1;
	ASSERT_OK(test, quarry_vmem_xalloc(&arena->vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, AT(32));
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.used, PAGES(3));
	EXPECT_ERR(test, quarry_vmem_alloc(&arena->vmem, PAGES(65), FIRST, NULL), -ENOSPC);
	ASSERT_OK(test, quarry_vmem_xfree(&arena->vmem, addr, PAGES(3)));
	qtest_vmem_intact(test, &arena->vmem);
	EXPECT_OK(test, quarry_vmem_fini(&arena->vmem));
	qtest_all_free(test, space);
}

static struct kunit_case source_cases[] = {
	KUNIT_CASE(an_arena_imports_from_another),
	KUNIT_CASE(a_finer_source_is_asked_for_aligned_spans),
	KUNIT_CASE(an_arena_imports_from_a_buddy),
	{}
};

static struct kunit_suite source_suite = {
	.name = "quarry_vmem_source",
	.test_cases = source_cases,
};

kunit_test_suite(source_suite);
