// SPDX-License-Identifier: GPL-2.0
/*
 * Backends: what they pass on, who has which page, and what they do when there is
 * no memory left.
 */
#include "backing.h"

static struct quarry_backend_stats stats_of(struct qtest_backing *backing)
{
	struct quarry_backend_stats stats = {};

	quarry_backend_stats(&backing->backend, &stats);
	return stats;
}

/* ---- init ---- */

static void *no_take(struct quarry_backend *backend, size_t size)
{
	return NULL;
}

static int no_give(struct quarry_backend *backend, void *range, size_t size)
{
	return -EINVAL;
}

static const struct quarry_backend_ops no_ops = { .take = no_take, .give = no_give };

static void owners_are_a_word_a_page(struct kunit *test)
{
	struct quarry_region region = { SZ_1M, SZ_64K };

	KUNIT_EXPECT_EQ(test, quarry_backend_owners_size(&region, SZ_4K), 16 * sizeof(long));
	KUNIT_EXPECT_EQ(test, quarry_backend_owners_size(&region, SZ_64K), sizeof(long));
	KUNIT_EXPECT_EQ(test, quarry_backend_owners_size(&region, 0), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_backend_owners_size(&region, 3000), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_backend_owners_size(&region, SZ_128K), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_backend_owners_size(NULL, SZ_4K), (size_t)0);
}

static void init_refuses_missing_arguments(struct kunit *test)
{
	static const struct quarry_backend_ops no_takes = { .give = no_give };
	static const struct quarry_backend_ops no_gives = { .take = no_take };
	struct quarry_region region = { SZ_1M, SZ_64K }, empty = { SZ_1M, 0 };
	unsigned long owners[16];
	const struct {
		const struct quarry_region *region;
		u64 page_size;
		unsigned long *owners;
		const struct quarry_backend_ops *ops;
	} wrong[] = {
		{ NULL, PAGE, owners, &no_ops }, { &empty, PAGE, owners, &no_ops },
		{ &region, 0, owners, &no_ops }, { &region, 48, owners, &no_ops },
		{ &region, PAGE, NULL, &no_ops }, { &region, PAGE, owners, NULL },
		{ &region, PAGE, owners, &no_takes }, { &region, PAGE, owners, &no_gives },
	};
	struct quarry_backend *backend = qtest_memory(test, sizeof(*backend));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_backend_init(backend, wrong[i].region,
							      wrong[i].page_size,
							      wrong[i].owners,
							      wrong[i].ops, NULL),
				    -EINVAL, "%zu", i);
	EXPECT_ERR(test, quarry_backend_init(NULL, &region, PAGE, owners, &no_ops, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_backend_init_buddy(backend, NULL, owners), -EINVAL);
	EXPECT_OK(test, quarry_backend_init(backend, &region, PAGE, owners, &no_ops, NULL));
	KUNIT_EXPECT_NULL(test, quarry_backend_take(backend, PAGE));
	EXPECT_OK(test, quarry_backend_fini(backend));
}

/* ---- take and give ---- */

static void ranges_are_aligned_and_take_whole_pages(struct kunit *test)
{
	static const size_t sizes[] = { 1, 100, 4096, 4097, 8192, 12288, 20000, 65536, 100000 };
	struct qtest_backing *backing = test->priv;
	struct quarry_backend_stats stats;
	size_t i, size;
	void *range;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		range = quarry_backend_take(&backing->backend, size);
		KUNIT_ASSERT_NOT_NULL(test, range);
		KUNIT_EXPECT_EQ(test, (unsigned long)range & (roundup_pow_of_two(size) - 1), 0UL);
		KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), ALIGN(size, PAGE));
		EXPECT_OK(test, quarry_backend_give(&backing->backend, range, size));
		KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	}
	stats = stats_of(backing);
	KUNIT_EXPECT_EQ(test, stats.nr_takes, (u64)ARRAY_SIZE(sizes));
	KUNIT_EXPECT_EQ(test, stats.nr_gives, (u64)ARRAY_SIZE(sizes));
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 0ULL);
}

static void sizes_that_cannot_be_are_not_had(struct kunit *test)
{
	static const size_t sizes[] = {
		0, SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 2,
		NR_PAGES * SZ_4K + 1, 2 * NR_PAGES * SZ_4K,
	};
	struct qtest_backing *backing = test->priv;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		KUNIT_EXPECT_NULL(test, quarry_backend_take(&backing->backend, sizes[i]));
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_takes, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
}

static void what_is_given_back_wrongly_is_refused(struct kunit *test)
{
	struct quarry_backend *backend = &((struct qtest_backing *)test->priv)->backend;
	struct qtest_backing *backing = test->priv;
	void *range = quarry_backend_take(backend, 2 * SZ_4K);

	EXPECT_OK(test, quarry_backend_give(backend, NULL, 0));
	EXPECT_ERR(test, quarry_backend_give(backend, test, SZ_4K), -EINVAL);
	EXPECT_ERR(test, quarry_backend_give(backend, range - NR_PAGES * SZ_4K, SZ_4K), -EINVAL);
	EXPECT_ERR(test, quarry_backend_give(backend, range + SZ_4K, SZ_4K), -EINVAL);
	EXPECT_ERR(test, quarry_backend_give(backend, range, 0), -EINVAL);
	EXPECT_ERR(test, quarry_backend_give(backend, range, SZ_4K), -EINVAL);
	EXPECT_ERR(test, quarry_backend_give(backend, range, 2 * SZ_4K + 1), -EINVAL);
	EXPECT_OK(test, quarry_backend_give(backend, range, 2 * SZ_4K));
	EXPECT_ERR(test, quarry_backend_give(backend, range, 2 * SZ_4K), -ENOENT);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_gives, 1ULL);
	atomic_long_set(&backing->nr_faults, 0);
}

/* Of several pieces, and with a last page that isn't whole. */
static void ranges_of_any_size_go_back_by_it(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_backend *backend = &backing->backend;
	size_t size;
	void *range;

	for (size = 1; size <= 9 * SZ_4K; size += SZ_4K / 2 - 1) {
		range = quarry_backend_take(backend, size);
		KUNIT_ASSERT_NOT_NULL(test, range);
		EXPECT_ERR(test, quarry_backend_give(backend, range, size + SZ_4K), -EINVAL);
		if (size > SZ_4K)
			EXPECT_ERR(test, quarry_backend_give(backend, range, size - SZ_4K),
				   -EINVAL);
		EXPECT_OK(test, quarry_backend_give(backend, range, size));
	}
	atomic_long_set(&backing->nr_faults, 0);
}

/* ---- Owners ---- */

static void owners_are_those_of_the_pages_said(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_backend *backend = &backing->backend;
	void *base = (void *)(unsigned long)backing->region.base, *at;
	unsigned long owner = 0x1000;

	quarry_backend_set_owner(backend, base + 3 * SZ_4K, 2 * SZ_4K, owner);
	for (at = base; at < base + NR_PAGES * SZ_4K; at += 512)
		KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, at),
				at >= base + 3 * SZ_4K && at < base + 5 * SZ_4K ? owner : 0UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base + 3 * SZ_4K - 1), 0UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base + 5 * SZ_4K - 1), owner);
	quarry_backend_set_owner(backend, base + 3 * SZ_4K, 2 * SZ_4K, 0);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base + 4 * SZ_4K), 0UL);
}

static void nobody_owns_what_is_outside(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_backend *backend = &backing->backend;
	void *base = (void *)(unsigned long)backing->region.base;

	quarry_backend_set_owner(backend, base, NR_PAGES * SZ_4K, 0x1000);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base), 0x1000UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base + NR_PAGES * SZ_4K - 1), 0x1000UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base - 1), 0UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, base + NR_PAGES * SZ_4K), 0UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, NULL), 0UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, (void *)-1UL), 0UL);
	KUNIT_EXPECT_EQ(test, quarry_backend_owner(backend, (void *)LONG_MAX), 0UL);
	quarry_backend_set_owner(backend, base, NR_PAGES * SZ_4K, 0);
}

/* ---- Reclaimers ---- */

#define NR_HOARDERS	5

/**
 * struct hoarder - one who has taken pages for later
 * @reclaimer: gives one of them back
 * @backing: to whom
 * @pages: what it has
 * @nr_pages: how many
 * @nr_calls: times that it was asked
 * @turn: when it was asked last, counted over all
 */
struct hoarder {
	struct quarry_reclaimer reclaimer;
	struct qtest_backing *backing;
	void *pages[NR_PAGES];
	int nr_pages;
	int nr_calls;
	int turn;
};

static int turn;

static size_t give_one(struct quarry_reclaimer *reclaimer)
{
	struct hoarder *hoarder = container_of(reclaimer, struct hoarder, reclaimer);

	hoarder->nr_calls++;
	hoarder->turn = ++turn;
	if (!hoarder->nr_pages)
		return 0;
	if (quarry_backend_give(&hoarder->backing->backend, hoarder->pages[--hoarder->nr_pages],
				SZ_4K))
		atomic_long_inc(&hoarder->backing->nr_faults);
	return SZ_4K;
}

/* NR_HOARDERS of them, of whom nr_pages say how many pages each has. */
static struct hoarder *hoarders(struct kunit *test, const int *nr_pages)
{
	struct hoarder *all = kunit_kcalloc(test, NR_HOARDERS, sizeof(*all), GFP_KERNEL);
	struct qtest_backing *backing = test->priv;
	int i, page;

	KUNIT_ASSERT_NOT_NULL(test, all);
	for (i = 0; i < NR_HOARDERS; i++) {
		all[i].backing = backing;
		all[i].reclaimer.reclaim = give_one;
		for (page = 0; page < nr_pages[i]; page++) {
			all[i].pages[page] = quarry_backend_take(&backing->backend, SZ_4K);
			KUNIT_ASSERT_NOT_NULL(test, all[i].pages[page]);
		}
		all[i].nr_pages = nr_pages[i];
		quarry_backend_add_reclaimer(&backing->backend, &all[i].reclaimer);
	}
	return all;
}

static void disband(struct kunit *test, struct hoarder *all)
{
	int i;

	for (i = 0; i < NR_HOARDERS; i++) {
		while (all[i].nr_pages)
			give_one(&all[i].reclaimer);
		quarry_backend_del_reclaimer(&all[i].backing->backend, &all[i].reclaimer);
	}
}

static void nobody_is_asked_while_there_is_memory(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = { 3, 3, 3, 3, 3 };
	struct hoarder *all = hoarders(test, nr_pages);
	struct qtest_backing *backing = test->priv;
	void *page = quarry_backend_take(&backing->backend, SZ_4K);
	int i;

	KUNIT_EXPECT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_reclaims, 0ULL);
	for (i = 0; i < NR_HOARDERS; i++)
		KUNIT_EXPECT_EQ(test, all[i].nr_calls, 0);
	EXPECT_OK(test, quarry_backend_give(&backing->backend, page, SZ_4K));
	disband(test, all);
}

static void all_are_asked_once_before_a_request_fails(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = {};
	struct hoarder *all = hoarders(test, nr_pages);
	struct qtest_backing *backing = test->priv;
	int i;

	WRITE_ONCE(backing->barren, true);
	KUNIT_EXPECT_NULL(test, quarry_backend_take(&backing->backend, SZ_4K));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&backing->nr_asked), 2L);
	for (i = 0; i < NR_HOARDERS; i++)
		KUNIT_EXPECT_EQ(test, all[i].nr_calls, 1);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_reclaims, 1ULL);
	KUNIT_EXPECT_EQ(test, stats_of(backing).reclaimed, 0ULL);
	disband(test, all);
}

static void what_the_last_of_them_gives_is_had(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = { [NR_HOARDERS - 1] = NR_PAGES };
	struct hoarder *all = hoarders(test, nr_pages);
	struct qtest_backing *backing = test->priv;
	void *pages[NR_PAGES];
	int i;

	for (i = 0; i < NR_PAGES; i++) {
		pages[i] = quarry_backend_take(&backing->backend, SZ_4K);
		KUNIT_ASSERT_NOT_NULL(test, pages[i]);
	}
	KUNIT_EXPECT_NULL(test, quarry_backend_take(&backing->backend, SZ_4K));
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, stats_of(backing).reclaimed, PAGES(NR_PAGES));
	for (i = 0; i < NR_PAGES; i++)
		EXPECT_OK(test, quarry_backend_give(&backing->backend, pages[i], SZ_4K));
	disband(test, all);
}

/* What is asked for may be larger than what any of them has. */
static void what_they_give_joins(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = { 1, 1, 1, 1, 0 };
	struct qtest_backing *backing = test->priv;
	struct hoarder *all = hoarders(test, nr_pages);
	void *rest = quarry_backend_take(&backing->backend, SZ_128K);
	void *more = quarry_backend_take(&backing->backend, SZ_64K);
	void *some = quarry_backend_take(&backing->backend, SZ_32K);
	void *few = quarry_backend_take(&backing->backend, SZ_16K), *joined;

	joined = quarry_backend_take(&backing->backend, SZ_16K);
	KUNIT_EXPECT_NOT_NULL(test, joined);
	KUNIT_EXPECT_EQ(test, stats_of(backing).reclaimed, (u64)SZ_16K);
	EXPECT_OK(test, quarry_backend_give(&backing->backend, joined, SZ_16K));
	EXPECT_OK(test, quarry_backend_give(&backing->backend, few, SZ_16K));
	EXPECT_OK(test, quarry_backend_give(&backing->backend, some, SZ_32K));
	EXPECT_OK(test, quarry_backend_give(&backing->backend, more, SZ_64K));
	EXPECT_OK(test, quarry_backend_give(&backing->backend, rest, SZ_128K));
	disband(test, all);
}

/* Nobody gives much at once, but all that is needed in the end. */
static void they_are_asked_for_as_long_as_they_give(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = { [1] = NR_PAGES };
	struct qtest_backing *backing = test->priv;
	struct hoarder *all = hoarders(test, nr_pages);
	void *range = quarry_backend_take(&backing->backend, SZ_64K);

	KUNIT_EXPECT_NOT_NULL(test, range);
	KUNIT_EXPECT_EQ(test, stats_of(backing).reclaimed, (u64)SZ_64K);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_reclaims, 16ULL);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_failures, 0ULL);
	KUNIT_EXPECT_NULL(test, quarry_backend_take(&backing->backend, PAGES(NR_PAGES)));
	KUNIT_EXPECT_EQ(test, all[1].nr_pages, 0);
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_failures, 1ULL);
	EXPECT_OK(test, quarry_backend_give(&backing->backend, range, SZ_64K));
	disband(test, all);
}

/* Who stands on another one came after it, and is to give first. */
static void the_youngest_is_asked_first(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = {};
	struct qtest_backing *backing = test->priv;
	struct hoarder *all = hoarders(test, nr_pages);
	int i, round;

	for (round = 0; round < 3; round++) {
		KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(&backing->backend), (size_t)0);
		for (i = 1; i < NR_HOARDERS; i++)
			KUNIT_EXPECT_LT(test, all[i].turn, all[i - 1].turn);
	}
	disband(test, all);
}

static size_t lie(struct quarry_reclaimer *reclaimer)
{
	return SZ_4K;
}

static void who_says_that_he_gives_is_not_asked_for_ever(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_reclaimer liar = { .reclaim = lie };

	quarry_backend_add_reclaimer(&backing->backend, &liar);
	KUNIT_EXPECT_NULL(test, quarry_backend_take(&backing->backend, PAGES(NR_PAGES) + 1));
	WRITE_ONCE(backing->barren, true);
	KUNIT_EXPECT_NULL(test, quarry_backend_take(&backing->backend, SZ_4K));
	KUNIT_EXPECT_LE(test, stats_of(backing).nr_reclaims, 64ULL);
	quarry_backend_del_reclaimer(&backing->backend, &liar);
}

static void reclaimers_are_registered_once(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_backend *backend = &backing->backend;
	struct quarry_reclaimer idle = {}, liar = { .reclaim = lie };

	EXPECT_ERR(test, quarry_backend_add_reclaimer(backend, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_backend_add_reclaimer(backend, &idle), -EINVAL);
	EXPECT_ERR(test, quarry_backend_del_reclaimer(backend, &liar), -ENOENT);
	EXPECT_OK(test, quarry_backend_add_reclaimer(backend, &liar));
	EXPECT_ERR(test, quarry_backend_add_reclaimer(backend, &liar), -EEXIST);
	EXPECT_ERR(test, quarry_backend_del_reclaimer(backend, &idle), -ENOENT);
	KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(backend), (size_t)SZ_4K);
	EXPECT_OK(test, quarry_backend_del_reclaimer(backend, &liar));
	EXPECT_ERR(test, quarry_backend_del_reclaimer(backend, &liar), -ENOENT);
	KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(backend), (size_t)0);
	EXPECT_OK(test, quarry_backend_fini(backend));
}

static void reclaim_asks_all_and_adds_up(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = { 1, 0, 2, 0, 5 };
	struct hoarder *all = hoarders(test, nr_pages);
	struct qtest_backing *backing = test->priv;
	struct quarry_backend *backend = &backing->backend;

	KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(backend), (size_t)3 * SZ_4K);
	KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(backend), (size_t)2 * SZ_4K);
	KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(backend), (size_t)SZ_4K);
	KUNIT_EXPECT_EQ(test, stats_of(backing).reclaimed, PAGES(6));
	KUNIT_EXPECT_EQ(test, stats_of(backing).nr_failures, 0ULL);
	KUNIT_EXPECT_EQ(test, all[1].nr_calls, 3);
	disband(test, all);
	KUNIT_EXPECT_EQ(test, quarry_backend_reclaim(backend), (size_t)0);
}

/* A slab, reclaiming, gives empties back while the backend is asked for more. */
static void fini_is_refused_while_reclaimers_are_there(struct kunit *test)
{
	static const int nr_pages[NR_HOARDERS] = {};
	struct qtest_backing *backing = test->priv;
	struct hoarder *all = hoarders(test, nr_pages);
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	struct quarry_slab *slab;

	EXPECT_ERR(test, quarry_backend_fini(&backing->backend), -EBUSY);
	disband(test, all);
	EXPECT_OK(test, quarry_backend_fini(&backing->backend));
	slab = qtest_slab(test, &config);
	EXPECT_ERR(test, quarry_backend_fini(&backing->backend), -EBUSY);
	EXPECT_OK(test, quarry_slab_fini(slab, false, NULL));
	qtest_forget(test, slab);
	EXPECT_OK(test, quarry_backend_fini(&backing->backend));
}

static struct kunit_case backend_cases[] = {
	KUNIT_CASE(owners_are_a_word_a_page),
	KUNIT_CASE(init_refuses_missing_arguments),
	KUNIT_CASE(ranges_are_aligned_and_take_whole_pages),
	KUNIT_CASE(sizes_that_cannot_be_are_not_had),
	KUNIT_CASE(what_is_given_back_wrongly_is_refused),
	KUNIT_CASE(ranges_of_any_size_go_back_by_it),
	KUNIT_CASE(owners_are_those_of_the_pages_said),
	KUNIT_CASE(nobody_owns_what_is_outside),
	KUNIT_CASE(nobody_is_asked_while_there_is_memory),
	KUNIT_CASE(all_are_asked_once_before_a_request_fails),
	KUNIT_CASE(what_the_last_of_them_gives_is_had),
	KUNIT_CASE(what_they_give_joins),
	KUNIT_CASE(they_are_asked_for_as_long_as_they_give),
	KUNIT_CASE(the_youngest_is_asked_first),
	KUNIT_CASE(who_says_that_he_gives_is_not_asked_for_ever),
	KUNIT_CASE(reclaimers_are_registered_once),
	KUNIT_CASE(reclaim_asks_all_and_adds_up),
	KUNIT_CASE(fini_is_refused_while_reclaimers_are_there),
	{}
};

static struct kunit_suite backend_suite = {
	.name = "quarry_backend",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = backend_cases,
};

kunit_test_suite(backend_suite);
