// SPDX-License-Identifier: GPL-2.0
/*
 * Imports and releases, which are counted one by one; what an import is asked for;
 * limits; and the reclaim function.
 */
#include <linux/string.h>

#include "vmem_helpers.h"

#define UNIT		QUANTA(8)	/* the import quantum of most tests */
#define MAX_GIVEN	32

/**
 * struct source - where spans come from, and what it was asked
 * @test: the test
 * @vmem: the arena that imports
 * @next: where the next span begins, before it is aligned as wanted
 * @err: what is answered instead
 * @want: what was asked for last
 * @given: spans that are out
 * @nr_given: how many
 * @nr_imports: times that it was asked
 * @nr_releases: spans that came back
 * @nr_reclaims: times that the reclaim function was called
 * @spare: what that frees, QUANTUM large; 0 for nothing
 * @meanwhile: likewise, what somebody frees while a span is on its way
 */
struct source {
	struct kunit *test;
	struct quarry_vmem vmem;
	u64 next;
	int err;
	struct quarry_vmem_request want;
	struct { u64 addr, size; } given[MAX_GIVEN];
	unsigned int nr_given;
	u64 nr_imports;
	u64 nr_releases;
	u64 nr_reclaims;
	u64 spare;
	u64 meanwhile;
};

/* The first place at or above @next that serves what is wanted. */
static int give_span(void *arg, const struct quarry_vmem_request *want, u64 *addr, u64 *size)
{
	struct source *source = arg;
	u64 start = max(source->next, want->min);

	source->nr_imports++;
	source->want = *want;
	KUNIT_EXPECT_FALSE(source->test, raw_spin_is_locked(&source->vmem.lock));
	KUNIT_EXPECT_EQ(source->test, *size, want->size);
	if (source->err || source->nr_given == MAX_GIVEN)
		return source->err ?: -ENOSPC;
	if (want->align)
		start += (want->phase - start) & (want->align - 1);
	if (start + want->size - 1 > want->max)
		return -ENOSPC;
	source->given[source->nr_given].addr = start;
	source->given[source->nr_given++].size = want->size;
	source->next = start + want->size;
	*addr = start;
	if (source->meanwhile)
		EXPECT_OK(source->test,
			  quarry_vmem_free(&source->vmem, source->meanwhile, QUANTUM));
	source->meanwhile = 0;
	return 0;
}

static void take_span(void *arg, u64 addr, u64 size)
{
	struct source *source = arg;
	unsigned int i = 0;

	source->nr_releases++;
	KUNIT_EXPECT_FALSE(source->test, raw_spin_is_locked(&source->vmem.lock));
	while (i < source->nr_given && source->given[i].addr != addr)
		i++;
	KUNIT_ASSERT_LT(source->test, i, source->nr_given);
	KUNIT_EXPECT_EQ(source->test, size, source->given[i].size);
	source->given[i] = source->given[--source->nr_given];
}

static void reclaim(void *arg)
{
	struct source *source = arg;

	source->nr_reclaims++;
	KUNIT_EXPECT_FALSE(source->test, raw_spin_is_locked(&source->vmem.lock));
	if (source->spare)
		EXPECT_OK(source->test, quarry_vmem_free(&source->vmem, source->spare, QUANTUM));
	source->spare = 0;
}

/* An arena with nothing of its own that imports from there. */
static int source_init(struct kunit *test)
{
	struct source *source = qtest_memory(test, sizeof(*source));

	memset(source, 0, sizeof(*source));
	source->test = test;
	source->next = VBASE;
	ASSERT_OK(test, quarry_vmem_init(&source->vmem, test->name, 0, 0, QUANTUM,
					 qtest_memory(test, SZ_16K), SZ_16K, NULL));
	ASSERT_OK(test, quarry_vmem_set_import(&source->vmem, give_span, take_span, source, UNIT));
	test->priv = source;
	return 0;
}

static void source_exit(struct kunit *test)
{
	struct source *source = test->priv;

	if (source)
		qtest_vmem_intact(test, &source->vmem);
}

static void expect_counts(struct source *source, u64 nr_imports, u64 nr_releases)
{
	struct quarry_vmem_stats stats = qtest_vmem_stats(&source->vmem);
	u64 imported = 0;
	unsigned int i;

	for (i = 0; i < source->nr_given; i++)
		imported += source->given[i].size;
	KUNIT_EXPECT_EQ(source->test, source->nr_imports, nr_imports);
	KUNIT_EXPECT_EQ(source->test, source->nr_releases, nr_releases);
	KUNIT_EXPECT_EQ(source->test, stats.imported, imported);
	qtest_vmem_intact(source->test, &source->vmem);
}

/* ---- Imports and releases ---- */

static void a_span_is_imported_and_released(struct kunit *test)
{
	struct source *source = test->priv;
	struct quarry_vmem_segment segment = {};
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VBASE);
	KUNIT_EXPECT_EQ(test, source->want.size, UNIT);
	ASSERT_OK(test, quarry_vmem_lookup(&source->vmem, addr, &segment));
	KUNIT_EXPECT_TRUE(test, segment.imported);
	expect_counts(source, 1, 0);
	EXPECT_OK(test, quarry_vmem_free(&source->vmem, addr, 1));
	expect_counts(source, 1, 1);
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&source->vmem, QUARRY_VMEM_SIZE_TOTAL), 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&source->vmem).nr_spans, 0ULL);
}

static void what_is_free_is_used_before_more_is_imported(struct kunit *test)
{
	struct source *source = test->priv;
	u64 addrs[16];
	int i;

	for (i = 0; i < 16; i++)
		ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, QUANTUM, FIRST, &addrs[i]));
	expect_counts(source, 2, 0);
	for (i = 0; i < 15; i++)
		ASSERT_OK(test, quarry_vmem_free(&source->vmem, addrs[i], QUANTUM));
	expect_counts(source, 2, 1);
	ASSERT_OK(test, quarry_vmem_free(&source->vmem, addrs[15], QUANTUM));
	expect_counts(source, 2, 2);
}

/* Imported spans next to each other aren't one, as each goes back by itself. */
static void spans_that_are_released_do_not_merge(struct kunit *test)
{
	struct source *source = test->priv;
	u64 one = 0, two = 0;

	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, UNIT - QUANTUM, FIRST, &one));
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, UNIT - QUANTUM, FIRST, &two));
	KUNIT_EXPECT_EQ(test, two, one + UNIT);
	EXPECT_ERR(test, quarry_vmem_grow(&source->vmem, one, UNIT - QUANTUM, UNIT + QUANTUM),
		   -ENOSPC);
	ASSERT_OK(test, quarry_vmem_free(&source->vmem, one, UNIT - QUANTUM));
	expect_counts(source, 2, 1);
	ASSERT_OK(test, quarry_vmem_free(&source->vmem, two, UNIT - QUANTUM));
	expect_counts(source, 2, 2);
}

static void without_a_release_spans_merge_and_stay(struct kunit *test)
{
	struct source *source = test->priv;
	u64 one = 0, two = 0;

	ASSERT_OK(test, quarry_vmem_set_import(&source->vmem, give_span, NULL, source, UNIT));
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, UNIT, FIRST, &one));
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, UNIT, FIRST, &two));
	ASSERT_OK(test, quarry_vmem_free(&source->vmem, one, UNIT));
	ASSERT_OK(test, quarry_vmem_free(&source->vmem, two, UNIT));
	expect_counts(source, 2, 0);
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 2 * UNIT, FIRST, &one));
	KUNIT_EXPECT_EQ(test, one, VBASE);
	expect_counts(source, 2, 0);
	ASSERT_OK(test, quarry_vmem_free(&source->vmem, one, 2 * UNIT));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(&source->vmem, QUARRY_VMEM_SIZE_TOTAL), 2 * UNIT);
}

static void an_imported_span_is_not_removed_by_hand(struct kunit *test)
{
	struct source *source = test->priv;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr));
	EXPECT_ERR(test, quarry_vmem_remove(&source->vmem, VBASE, UNIT), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_set_import(&source->vmem, give_span, NULL, NULL, 0), -EBUSY);
	EXPECT_ERR(test, quarry_vmem_add(&source->vmem, VBASE, UNIT), -EEXIST);
	EXPECT_ERR(test, quarry_vmem_fini(&source->vmem), -EBUSY);
	expect_counts(source, 1, 0);
}

static void an_import_function_that_can_not_be_is_refused(struct kunit *test)
{
	struct source *source = test->priv;

	EXPECT_ERR(test, quarry_vmem_set_import(&source->vmem, NULL, take_span, NULL, 0),
		   -EINVAL);
	EXPECT_ERR(test, quarry_vmem_set_import(&source->vmem, give_span, NULL, NULL, 8),
		   -EINVAL);
	EXPECT_OK(test, quarry_vmem_set_import(&source->vmem, NULL, NULL, NULL, 0));
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, NULL), -ENOSPC);
	expect_counts(source, 0, 0);
}

/* ---- What is asked for ---- */

static void an_import_is_asked_for_whole_import_quanta(struct kunit *test)
{
	struct source *source = test->priv;
	u64 size, addr = 0;

	for (size = 1; size <= 3 * UNIT; size += 7) {
		ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, size, BEST, &addr));
		KUNIT_ASSERT_EQ(test, source->want.size, round_up(size, UNIT));
		ASSERT_OK(test, quarry_vmem_free(&source->vmem, addr, size));
		KUNIT_ASSERT_EQ(test, source->nr_given, 0U);
	}
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, -QUANTUM, BEST, &addr), -ENOSPC);
}

/* Defect 22: of all the constraints each span that comes can serve, so one import does. */
static void an_import_is_asked_for_what_can_serve(struct kunit *test)
{
	struct source *source = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(3), BEST);
	u64 addr = 0, nr;

	source->next += QUANTUM;
	for (nr = 1; nr < 16; nr++) {
		want.align = nr & 1 ? QUANTA(16) : 0;
		want.phase = nr & 1 && nr & 2 ? QUANTA(5) : 0;
		want.nocross = nr & 4 ? QUANTA(32) : 0;
		want.min = nr & 8 ? VAT(4096 * nr) + 5 : 0;
		want.max = nr & 8 ? want.min + QUANTA(64) : U64_MAX;
		ASSERT_OK(test, quarry_vmem_xalloc(&source->vmem, &want, &addr));
		KUNIT_EXPECT_GE(test, addr, want.min);
		KUNIT_EXPECT_LE(test, addr + QUANTA(3) - 1, want.max);
		if (want.align)
			KUNIT_EXPECT_EQ(test, addr & (want.align - 1), want.phase);
		if (want.nocross)
			KUNIT_EXPECT_LE(test, addr & (want.nocross - 1), QUANTA(29));
		expect_counts(source, nr, nr - 1);
		ASSERT_OK(test, quarry_vmem_xfree(&source->vmem, addr, QUANTA(3)));
	}
}

/* A boundary that the window keeps away from asks for no alignment. */
static void a_boundary_outside_the_window_is_no_matter(struct kunit *test)
{
	struct source *source = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(3), BEST);
	u64 addr = 0;

	want.nocross = QUANTA(4096);
	want.min = VAT(100);
	want.max = VAT(200) - 1;
	ASSERT_OK(test, quarry_vmem_xalloc(&source->vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, source->want.align, QUANTUM);
	ASSERT_OK(test, quarry_vmem_xfree(&source->vmem, addr, QUANTA(3)));
	want.max = VAT(4200) - 1;
	ASSERT_OK(test, quarry_vmem_xalloc(&source->vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, source->want.align, QUANTA(4096));
	ASSERT_OK(test, quarry_vmem_xfree(&source->vmem, addr, QUANTA(3)));
}

/* Defect 22: a window that is too small isn't worth a question. */
static void what_no_span_can_serve_is_not_asked_for(struct kunit *test)
{
	struct source *source = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(3), BEST);

	want.min = VBASE;
	want.max = VAT(3) - 2;
	EXPECT_ERR(test, quarry_vmem_xalloc(&source->vmem, &want, NULL), -ENOSPC);
	want.size = 0;
	EXPECT_ERR(test, quarry_vmem_xalloc(&source->vmem, &want, NULL), -EINVAL);
	expect_counts(source, 0, 0);
}

static void an_import_that_fails_is_no_room(struct kunit *test)
{
	static const int errors[] = { -ENOMEM, -ENOSPC, -EIO, -EINVAL, -EEXIST };
	struct source *source = test->priv;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		source->err = errors[i];
		EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, NULL), -ENOSPC);
		expect_counts(source, i + 1, 0);
	}
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&source->vmem).nr_failures,
			(u64)ARRAY_SIZE(errors));
}

/* ---- Wrong answers ---- */

struct answer {
	u64 addr;
	u64 size;
};

static int answer_wrongly(void *arg, const struct quarry_vmem_request *want, u64 *addr,
			  u64 *size)
{
	const struct answer *answer = arg;

	*addr = answer->addr;
	*size = answer->size;
	return 0;
}

static void a_span_that_can_not_be_is_not_taken(struct kunit *test)
{
	static struct answer wrong[] = {
		{ VBASE + 1, UNIT }, { VBASE, 0 }, { VBASE, UNIT + 1 }, { -UNIT, 2 * UNIT },
		{ VAT(1000), UNIT }, { VAT(999), UNIT }, { VAT(1000) - UNIT, UNIT + QUANTUM },
	};
	struct source *source = test->priv;
	struct quarry_vmem *vmem = &source->vmem;
	size_t i;

	ASSERT_OK(test, quarry_vmem_add(vmem, VAT(1000), UNIT));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, UNIT, FIRST, NULL));
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		ASSERT_OK(test, quarry_vmem_set_import(vmem, answer_wrongly, NULL, &wrong[i], 0));
		EXPECT_ERR(test, quarry_vmem_alloc(vmem, UNIT, FIRST, NULL), -ENOSPC);
		KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_TOTAL), UNIT);
		qtest_vmem_intact(test, vmem);
	}
}

/* ---- Limit ---- */

static void nothing_is_imported_beyond_the_limit(struct kunit *test)
{
	struct source *source = test->priv;
	u64 addr = 0;

	quarry_vmem_set_limit(&source->vmem, 2 * UNIT + QUANTUM);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&source->vmem).limit, 2 * UNIT + QUANTUM);
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 3 * UNIT, FIRST, &addr), -ENOSPC);
	expect_counts(source, 0, 0);
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, UNIT, FIRST, &addr));
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, UNIT, FIRST, &addr));
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr), -ENOSPC);
	expect_counts(source, 2, 0);
	quarry_vmem_set_limit(&source->vmem, 3 * UNIT);
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr));
	expect_counts(source, 3, 0);
}

static void what_is_added_may_exceed_the_limit(struct kunit *test)
{
	struct source *source = test->priv;

	quarry_vmem_set_limit(&source->vmem, UNIT);
	ASSERT_OK(test, quarry_vmem_add(&source->vmem, 0, 4 * UNIT));
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 4 * UNIT, FIRST, NULL));
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, NULL), -ENOSPC);
	expect_counts(source, 0, 0);
	quarry_vmem_set_limit(&source->vmem, 0);
	EXPECT_OK(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, NULL));
}

/* ---- Reclaim ---- */

static void reclaim_is_called_once_a_failure(struct kunit *test)
{
	struct source *source = test->priv;
	u64 addr = 0, nr;

	source->err = -ENOMEM;
	quarry_vmem_set_reclaim(&source->vmem, reclaim, source);
	for (nr = 1; nr < 5; nr++) {
		EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr), -ENOSPC);
		KUNIT_EXPECT_EQ(test, source->nr_reclaims, nr);
		KUNIT_EXPECT_EQ(test, source->nr_imports, 2 * nr);
	}
	quarry_vmem_set_reclaim(&source->vmem, NULL, NULL);
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr), -ENOSPC);
	KUNIT_EXPECT_EQ(test, source->nr_reclaims, 4ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&source->vmem).nr_reclaims, 4ULL);
}

static void what_reclaim_frees_is_given_out(struct kunit *test)
{
	struct source *source = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(1, NEXT);
	u64 addr = 0;
	int i;

	quarry_vmem_set_reclaim(&source->vmem, reclaim, source);
	for (i = 0; i < 8; i++)
		ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 1, FIRST, &addr));
	source->err = -ENOMEM;
	KUNIT_EXPECT_EQ(test, source->nr_reclaims, 0ULL);
	source->spare = VAT(5);
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, 1, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(5));
	source->spare = VAT(2);
	ASSERT_OK(test, quarry_vmem_xalloc(&source->vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(2));
	KUNIT_EXPECT_EQ(test, source->nr_reclaims, 2ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&source->vmem).nr_failures, 0ULL);
}

static void wrong_requests_reclaim_nothing(struct kunit *test)
{
	struct source *source = test->priv;

	quarry_vmem_set_reclaim(&source->vmem, reclaim, source);
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 0, FIRST, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc(&source->vmem, 1, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_free(&source->vmem, VBASE, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, source->nr_reclaims, 0ULL);
	expect_counts(source, 0, 0);
}

/* Somebody frees what serves better while the span is on its way. */
static void a_span_that_comes_in_vain_goes_back(struct kunit *test)
{
	struct source *source = test->priv;
	unsigned int i;
	u64 addr;

	for (i = 0; i < UNIT / QUANTUM; i++)
		ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, QUANTUM, BEST, NULL));
	expect_counts(source, 1, 0);
	source->meanwhile = VAT(3);
	ASSERT_OK(test, quarry_vmem_alloc(&source->vmem, QUANTUM, BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(3));
	expect_counts(source, 2, 1);
	KUNIT_EXPECT_EQ(test, source->nr_given, 1U);
}

static struct kunit_case import_cases[] = {
	KUNIT_CASE(a_span_is_imported_and_released),
	KUNIT_CASE(what_is_free_is_used_before_more_is_imported),
	KUNIT_CASE(spans_that_are_released_do_not_merge),
	KUNIT_CASE(without_a_release_spans_merge_and_stay),
	KUNIT_CASE(an_imported_span_is_not_removed_by_hand),
	KUNIT_CASE(an_import_function_that_can_not_be_is_refused),
	KUNIT_CASE(an_import_is_asked_for_whole_import_quanta),
	KUNIT_CASE(an_import_is_asked_for_what_can_serve),
	KUNIT_CASE(a_boundary_outside_the_window_is_no_matter),
	KUNIT_CASE(what_no_span_can_serve_is_not_asked_for),
	KUNIT_CASE(an_import_that_fails_is_no_room),
	KUNIT_CASE(a_span_that_can_not_be_is_not_taken),
	KUNIT_CASE(a_span_that_comes_in_vain_goes_back),
	KUNIT_CASE(nothing_is_imported_beyond_the_limit),
	KUNIT_CASE(what_is_added_may_exceed_the_limit),
	KUNIT_CASE(reclaim_is_called_once_a_failure),
	KUNIT_CASE(what_reclaim_frees_is_given_out),
	KUNIT_CASE(wrong_requests_reclaim_nothing),
	{}
};

static struct kunit_suite import_suite = {
	.name = "quarry_vmem_import",
	.init = source_init,
	.exit = source_exit,
	.test_cases = import_cases,
};

kunit_test_suite(import_suite);
