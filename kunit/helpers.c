// SPDX-License-Identifier: GPL-2.0
/*
 * What the suites share. Each space gets metadata of exactly the size that the
 * buddy asks for, from the kernel's own heap, so that KASAN sees a step beyond;
 * and filled with garbage, as nobody promises a buddy zeroes.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "helpers.h"

#define GARBAGE		0xa5

static unsigned long long seed;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "start of every random test; 0, the default: another one each run");

static int init_memory(struct kunit_resource *res, void *size)
{
	res->data = kvmalloc(*(size_t *)size, GFP_KERNEL);
	return res->data ? 0 : -ENOMEM;
}

static void free_memory(struct kunit_resource *res)
{
	kvfree(res->data);
}

void *qtest_memory(struct kunit *test, size_t size)
{
	void *memory = kunit_alloc_resource(test, init_memory, free_memory, GFP_KERNEL, &size);

	KUNIT_ASSERT_NOT_NULL_MSG(test, memory, "no memory for the test: %zu bytes", size);
	return memset(memory, GARBAGE, size);
}

struct qtest_space *qtest_space(struct kunit *test, u64 base, u64 size, u64 page_size)
{
	struct qtest_space *space = qtest_memory(test, sizeof(*space));

	ASSERT_OK(test, quarry_region_init(&space->region, base, size));
	space->meta_size = quarry_buddy_meta_size(&space->region, page_size);
	KUNIT_ASSERT_GT(test, space->meta_size, (size_t)0);
	space->meta = qtest_memory(test, space->meta_size);
	space->old_meta = qtest_memory(test, space->meta_size);
	ASSERT_OK(test, quarry_buddy_init(&space->buddy, test->name, &space->region,
					  page_size, space->meta, space->meta_size));
	return space;
}

/* For suites whose tests all begin with an empty space of NR_PAGES pages. */
int qtest_space_init(struct kunit *test)
{
	test->priv = qtest_space(test, BASE, PAGES(NR_PAGES), PAGE);
	return 0;
}

void qtest_space_exit(struct kunit *test)
{
	struct qtest_space *space = test->priv;

	if (space)
		qtest_intact(test, &space->buddy);
}

/* Takes a block where the test has no doubt that there is one. */
u64 qtest_alloc(struct kunit *test, struct qtest_space *space, u64 size, unsigned int flags)
{
	struct quarry_buddy_block block = {};

	ASSERT_OK(test, quarry_buddy_alloc(&space->buddy, size, flags, &block));
	return block.addr;
}

/* Takes every page as a block of its own, the lowest first. */
void qtest_fill(struct kunit *test, struct qtest_space *space)
{
	u64 page_size = 1ULL << space->buddy.page_shift;
	u64 offset;

	for (offset = 0; offset < space->region.size; offset += page_size)
		KUNIT_ASSERT_EQ(test, qtest_alloc(test, space, page_size, 0) -
				space->region.base, offset);
}

void qtest_intact(struct kunit *test, struct quarry_buddy *buddy)
{
	struct quarry_fault fault = {};

	KUNIT_ASSERT_EQ_MSG(test, quarry_buddy_verify(buddy, &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
}

/* Nothing is in use, and all that can be joined is: as after init. */
void qtest_all_free(struct kunit *test, struct qtest_space *space)
{
	struct qtest_space *fresh;
	unsigned int order;

	fresh = qtest_space(test, space->region.base, space->region.size,
			    1ULL << space->buddy.page_shift);
	quarry_buddy_stats(&fresh->buddy, &fresh->now);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.used, 0ULL);
	KUNIT_EXPECT_EQ(test, space->now.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, space->now.largest_free, fresh->now.largest_free);
	for (order = 0; order < QUARRY_BUDDY_NR_ORDERS; order++)
		KUNIT_EXPECT_EQ_MSG(test, space->now.nr_free[order], fresh->now.nr_free[order],
				    "free blocks of order %u", order);
	qtest_intact(test, &space->buddy);
}

void qtest_remember(struct qtest_space *space)
{
	memcpy(space->old_meta, space->meta, space->meta_size);
	quarry_buddy_stats(&space->buddy, &space->old);
}

static void expect_same(struct kunit *test, const char *what, u64 now, u64 old)
{
	KUNIT_EXPECT_EQ_MSG(test, now, old, "%s", what);
}

void qtest_unchanged(struct kunit *test, struct qtest_space *space, u64 nr_misuses)
{
	const struct quarry_buddy_stats *old = &space->old, *now = &space->now;

	quarry_buddy_stats(&space->buddy, &space->now);
	expect_same(test, "total", now->total, old->total);
	expect_same(test, "used", now->used, old->used);
	expect_same(test, "peak", now->peak, old->peak);
	expect_same(test, "largest_free", now->largest_free, old->largest_free);
	expect_same(test, "nr_used", now->nr_used, old->nr_used);
	expect_same(test, "nr_allocs", now->nr_allocs, old->nr_allocs);
	expect_same(test, "nr_frees", now->nr_frees, old->nr_frees);
	expect_same(test, "nr_failures", now->nr_failures, old->nr_failures);
	expect_same(test, "nr_misuses", now->nr_misuses, old->nr_misuses + nr_misuses);
	expect_same(test, "nr_splits", now->nr_splits, old->nr_splits);
	expect_same(test, "nr_merges", now->nr_merges, old->nr_merges);
	expect_same(test, "nr_steps", now->nr_steps, old->nr_steps);
	expect_same(test, "fragmentation", now->fragmentation, old->fragmentation);
	expect_same(test, "last failure", now->last_failure.when, old->last_failure.when);
	KUNIT_EXPECT_EQ(test, memcmp(now->nr_free, old->nr_free, sizeof(old->nr_free)), 0);
	KUNIT_EXPECT_EQ(test, memcmp(space->meta, space->old_meta, space->meta_size), 0);
}

/* Says the seed, so that a failure can be had again: quarry_kunit.seed=... */
void qtest_seed(struct kunit *test, struct rnd_state *rnd)
{
	u64 start = seed ?: get_random_u64() ?: 1;

	kunit_info(test, "seed=%llu", start);
	prandom_seed_state(rnd, start);
}

/* A number from 0 up to, not including, limit. */
u32 qtest_below(struct rnd_state *rnd, u32 limit)
{
	return ((u64)prandom_u32_state(rnd) * limit) >> 32;
}

/* How often to repeat something: a tenth of that where KASAN makes each dear. */
unsigned long qtest_rounds(struct kunit *test, unsigned long plain)
{
	unsigned long rounds = IS_ENABLED(CONFIG_KASAN) ? plain / 10 : plain;

	kunit_info(test, "rounds=%lu", rounds);
	return rounds;
}

MODULE_DESCRIPTION("KUnit tests of Quarry");
MODULE_LICENSE("GPL");
