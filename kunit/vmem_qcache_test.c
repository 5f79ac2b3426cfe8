// SPDX-License-Identifier: GPL-2.0
/*
 * Quantum caches: segments that a CPU keeps at hand are free for who uses the arena,
 * and are had by all before anything fails.
 */
#include <linux/string.h>

#include "../lib/qcache.h"
#include "backing.h"
#include "vmem_helpers.h"

#define NR_SIZES	4

/**
 * struct cached - an arena with quantum caches
 * @backing: where their memory comes from
 * @space: the arena, of NR_QUANTA quanta
 * @qcaches: for 1 to NR_SIZES quanta
 */
struct cached {
	struct qtest_backing *backing;
	struct qtest_vmem *space;
	struct quarry_qcaches qcaches;
};

static int cached_init(struct kunit *test)
{
	struct cached *cached = qtest_aligned_memory(test, sizeof(*cached), SMP_CACHE_BYTES);
	struct quarry_qcaches_config config = { .nr = NR_SIZES };

	cached->backing = qtest_backing(test, PAGES(64), PAGES(64), PAGE);
	cached->space = qtest_vmem(test, VBASE, QUANTA(NR_QUANTA), QUANTUM, 3 * NR_QUANTA);
	config.vmem = &cached->space->vmem;
	config.backend = &cached->backing->backend;
	ASSERT_OK(test, quarry_qcaches_init(&cached->qcaches, &config));
	test->priv = cached;
	return 0;
}

static void cached_exit(struct kunit *test)
{
	struct cached *cached = test->priv;

	if (!cached)
		return;
	quarry_qcaches_fini(&cached->qcaches);
	qtest_vmem_intact(test, &cached->space->vmem);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(&cached->space->vmem).cached, 0ULL);
	qtest_backing_close(test, cached->backing);
}

static void expect_all_free(struct kunit *test, struct quarry_vmem *vmem)
{
	struct quarry_vmem_stats stats = qtest_vmem_stats(vmem);

	KUNIT_EXPECT_EQ(test, stats.used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_free, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_allocs, stats.nr_frees);
	qtest_vmem_intact(test, vmem);
}

static void caches_that_can_not_be_are_refused(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_qcaches *other = qtest_aligned_memory(test, sizeof(*other),
							    SMP_CACHE_BYTES);
	struct quarry_qcaches_config config = {
		.vmem = &cached->space->vmem, .nr = 1, .backend = &cached->backing->backend,
	};

	EXPECT_ERR(test, quarry_qcaches_init(other, &config), -EBUSY);
	config.nr = 0;
	EXPECT_ERR(test, quarry_qcaches_init(other, &config), -EINVAL);
	config.nr = QUARRY_VMEM_MAX_QCACHES + 1;
	EXPECT_ERR(test, quarry_qcaches_init(other, &config), -EINVAL);
	config.nr = 1;
	config.vmem = NULL;
	EXPECT_ERR(test, quarry_qcaches_init(other, &config), -EINVAL);
	EXPECT_ERR(test, quarry_qcaches_init(NULL, &config), -EINVAL);
	EXPECT_ERR(test, quarry_qcaches_init(other, NULL), -EINVAL);
}

static void what_is_freed_is_given_out_again(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_vmem *vmem = &cached->space->vmem;
	u64 addr = 0, again = 0, quanta;

	for (quanta = 1; quanta <= NR_SIZES + 1; quanta++) {
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(quanta) - 3, FIRST, &addr));
		ASSERT_OK(test, quarry_vmem_free(vmem, addr, QUANTA(quanta) - 3));
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(quanta), FIRST, &again));
		KUNIT_EXPECT_EQ(test, again, addr);
		ASSERT_OK(test, quarry_vmem_free(vmem, again, QUANTA(quanta)));
		qtest_vmem_intact(test, vmem);
	}
	quarry_qcaches_drain(&cached->qcaches);
	expect_all_free(test, vmem);
}

/* Whatever is in the caches, all of the arena can be had, in any size. */
static void nothing_fails_while_something_is_cached(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_vmem *vmem = &cached->space->vmem;
	u64 *addrs = qtest_memory(test, NR_QUANTA * sizeof(*addrs));
	u64 size, nr, i;

	for (size = 1; size <= NR_QUANTA; size = size * 2 + 1) {
		for (nr = 0; nr < NR_QUANTA; nr++)
			ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addrs[nr]));
		EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, NULL), -ENOSPC);
		for (i = 0; i < nr; i++)
			ASSERT_OK(test, quarry_vmem_free(vmem, addrs[i], QUANTUM));
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(NR_QUANTA), FIRST, addrs));
		ASSERT_OK(test, quarry_vmem_free(vmem, addrs[0], QUANTA(NR_QUANTA)));
	}
	expect_all_free(test, vmem);
}

static void no_segment_is_given_out_twice(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_vmem *vmem = &cached->space->vmem;
	u64 *sizes = qtest_memory(test, NR_QUANTA * sizeof(*sizes)), addr = 0;
	unsigned long round, rounds = qtest_rounds(test, 200000);
	struct rnd_state rnd;
	u32 i;

	memset(sizes, 0, NR_QUANTA * sizeof(*sizes));
	qtest_seed(test, &rnd);
	for (round = 0; round < rounds; round++) {
		u64 size = 1 + qtest_below(&rnd, QUANTA(NR_SIZES + 2));

		i = qtest_below(&rnd, NR_QUANTA);
		if (sizes[i]) {
			ASSERT_OK(test, quarry_vmem_free(vmem, VAT(i), sizes[i]));
			sizes[i] = 0;
		} else if (!quarry_vmem_alloc(vmem, size, FIRST, &addr)) {
			i = (addr - VBASE) / QUANTUM;
			KUNIT_ASSERT_EQ(test, sizes[i], 0ULL);
			sizes[i] = size;
		}
		if (round % 1024 == 0)
			qtest_vmem_intact(test, vmem);
	}
	for (i = 0; i < NR_QUANTA; i++)
		if (sizes[i])
			ASSERT_OK(test, quarry_vmem_free(vmem, VAT(i), sizes[i]));
	quarry_qcaches_drain(&cached->qcaches);
	expect_all_free(test, vmem);
}

static void what_is_cached_is_free_for_its_users(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_vmem *vmem = &cached->space->vmem;
	struct quarry_vmem_segment segment = {};
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addr));
	EXPECT_ERR(test, quarry_vmem_free(vmem, addr, QUANTA(2)), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_free(vmem, addr + 1, QUANTUM), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_xfree(vmem, addr, QUANTUM), -EINVAL);
	ASSERT_OK(test, quarry_vmem_free(vmem, addr, QUANTUM));
	EXPECT_ERR(test, quarry_vmem_free(vmem, addr, QUANTUM), -ENOENT);
	EXPECT_ERR(test, quarry_vmem_xfree(vmem, addr, QUANTUM), -ENOENT);
	ASSERT_OK(test, quarry_vmem_lookup(vmem, addr, &segment));
	KUNIT_EXPECT_NE(test, (int)segment.state, (int)QUARRY_VMEM_USED);
	KUNIT_EXPECT_NE(test, (int)segment.state, (int)QUARRY_VMEM_XUSED);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).nr_misuses, 5ULL);
}

static void address_zero_is_never_cached(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_vmem *vmem = &cached->space->vmem;
	struct quarry_vmem_segment segment = {};
	u64 addr = 1;
	int i;

	ASSERT_OK(test, quarry_vmem_remove(vmem, VBASE, QUANTA(NR_QUANTA)));
	ASSERT_OK(test, quarry_vmem_add(vmem, 0, QUANTA(8)));
	for (i = 0; i < 8; i++)
		ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addr));
	for (i = 0; i < 8; i++)
		ASSERT_OK(test, quarry_vmem_free(vmem, QUANTA(i), QUANTUM));
	ASSERT_OK(test, quarry_vmem_lookup(vmem, 0, &segment));
	KUNIT_EXPECT_EQ(test, (int)segment.state, (int)QUARRY_VMEM_FREE);
	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(8), FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, 0ULL);
	ASSERT_OK(test, quarry_vmem_free(vmem, 0, QUANTA(8)));
}

static void caches_are_taken_away_once(struct kunit *test)
{
	struct cached *cached = test->priv;
	struct quarry_vmem *vmem = &cached->space->vmem;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addr));
	ASSERT_OK(test, quarry_vmem_free(vmem, addr, QUANTUM));
	quarry_qcaches_fini(&cached->qcaches);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(cached->backing), 0ULL);
	quarry_qcaches_fini(&cached->qcaches);
	expect_all_free(test, vmem);
}

static struct kunit_case qcache_cases[] = {
	KUNIT_CASE(caches_that_can_not_be_are_refused),
	KUNIT_CASE(what_is_freed_is_given_out_again),
	KUNIT_CASE(nothing_fails_while_something_is_cached),
	KUNIT_CASE(no_segment_is_given_out_twice),
	KUNIT_CASE(what_is_cached_is_free_for_its_users),
	KUNIT_CASE(address_zero_is_never_cached),
	KUNIT_CASE(caches_are_taken_away_once),
	{}
};

static struct kunit_suite qcache_suite = {
	.name = "quarry_vmem_qcache",
	.init = cached_init,
	.exit = cached_exit,
	.test_cases = qcache_cases,
};

kunit_test_suite(qcache_suite);
