// SPDX-License-Identifier: GPL-2.0
/*
 * Heaps whose CPUs have small blocks at hand: what they give out and refuse, and
 * where blocks are when nobody has them.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "../lib/magazine.h"
#include "backing.h"
#include "heap_helpers.h"

#define SPACE		((size_t)SZ_1M)
#define LARGEST		((size_t)1024)	/* what CPUs have at hand */
#define MANY		65536		/* more blocks than SPACE can have */
#define PATIENCE	(20 * HZ)	/* for what must happen soon */

static struct quarry_heap *heap_of(struct kunit *test)
{
	struct qtest_heap *space = test->priv;

	return &space->heap;
}

static int cached_init(struct kunit *test)
{
	struct qtest_heap *space = qtest_heap(test, SPACE, HEAP_PAGE);

	ASSERT_OK(test, quarry_heap_set_caching(&space->heap, LARGEST));
	test->priv = space;
	return 0;
}

/* Nothing is lost: without magazines, and with nothing in use, all is free. */
static void expect_all_back(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);

	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 0ULL);
	qtest_heap_intact(test, heap);
	EXPECT_OK(test, quarry_heap_set_caching(heap, 0));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).cached, 0ULL);
	qtest_heap_all_free(test, heap);
}

static u64 nr_cached(struct quarry_heap *heap)
{
	struct quarry_heap_class_stats class;
	unsigned int i;
	u64 nr = 0;

	for (i = 0; !quarry_heap_class_stats(heap, i, &class); i++)
		nr += class.nr_cached;
	return nr;
}

/* ---- The beginning and the end ---- */

static void caching_begins_when_nothing_is_in_use(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	size_t total = qtest_heap_stats(heap).total;
	void *block;

	EXPECT_ERR(test, quarry_heap_set_caching(heap, LARGEST), -EBUSY);
	EXPECT_OK(test, quarry_heap_set_caching(heap, 0));
	EXPECT_OK(test, quarry_heap_set_caching(heap, 0));
	KUNIT_EXPECT_GT(test, qtest_heap_stats(heap).total, (u64)total);

	block = qtest_heap_block(test, heap, 5000);
	EXPECT_ERR(test, quarry_heap_set_caching(heap, LARGEST), -EBUSY);
	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	EXPECT_OK(test, quarry_heap_set_caching(heap, LARGEST));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).total, (u64)total);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).used, 0ULL);
	expect_all_back(test);
}

static void caching_needs_memory(struct kunit *test)
{
	struct qtest_heap *small = qtest_heap(test, SZ_1K, 64);
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));

	EXPECT_ERR(test, quarry_heap_set_caching(&small->heap, LARGEST), -ENOMEM);
	qtest_heap_all_free(test, &small->heap);
	EXPECT_OK(test, quarry_heap_fini(&small->heap, NULL));
	qtest_fences(test, small->memory, small->size);

	ASSERT_OK(test, quarry_heap_init(heap, test->name, NULL, 0, HEAP_PAGE));
	EXPECT_ERR(test, quarry_heap_set_caching(heap, 1), -ENOMEM);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

/* Up to the size that was said, and the class that it is in. */
static void only_small_sizes_are_at_hand(struct kunit *test)
{
	static const size_t largest[] = { 1, 16, 100, 1000, SZ_4K, SIZE_MAX };
	struct quarry_heap *heap = heap_of(test);
	struct quarry_heap_class_stats class;
	struct quarry_magazines_stats stats;
	unsigned int i, k, nr;

	for (k = 0; k < ARRAY_SIZE(largest); k++) {
		EXPECT_OK(test, quarry_heap_set_caching(heap, 0));
		ASSERT_OK(test, quarry_heap_set_caching(heap, largest[k]));
		for (i = 0, nr = 0; !quarry_heap_class_stats(heap, i, &class); i++) {
			int err = quarry_heap_cache_stats(heap, i, &stats);

			if (class.size < largest[k] || !nr)
				nr += !err;
			else if (class.size > largest[k] + largest[k] / 8 + 16)
				EXPECT_ERR(test, err, -ENOENT);
		}
		KUNIT_EXPECT_GT(test, nr, 0U);
	}
	EXPECT_ERR(test, quarry_heap_cache_stats(heap, i, &stats), -ENOENT);
	EXPECT_ERR(test, quarry_heap_cache_stats(heap, 0, NULL), -EINVAL);
	expect_all_back(test);
}

/* What is in magazines isn't in use; what is in use keeps a heap from ending. */
static void a_heap_ends_with_blocks_at_hand(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 100);
	u64 nr_used;

	EXPECT_OK(test, quarry_heap_free(heap, qtest_heap_block(test, heap, 100)));
	KUNIT_EXPECT_GT(test, nr_cached(heap), 0ULL);
	EXPECT_ERR(test, quarry_heap_fini(heap, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 1ULL);
	KUNIT_EXPECT_EQ(test, nr_cached(heap), 0ULL);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	EXPECT_OK(test, quarry_heap_fini(heap, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 100));
	qtest_fences(test, space->memory, space->size);
	test->priv = NULL;
}

static void a_heap_is_destroyed_with_blocks_at_hand_and_in_use(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	int i;

	for (i = 0; i < 100; i++)
		if (i % 3)
			qtest_heap_block(test, heap, 1 + 10 * i);
		else
			quarry_heap_free(heap, qtest_heap_block(test, heap, 1 + 10 * i));
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 66ULL);
	test->priv = NULL;
}

/* ---- What is given out ---- */

static void blocks_of_every_size_are_right(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void *blocks[4];
	size_t size, i;

	for (size = 1; size < 2 * LARGEST; size++) {
		for (i = 0; i < ARRAY_SIZE(blocks); i++) {
			blocks[i] = qtest_heap_block(test, heap, size);
			KUNIT_ASSERT_GE(test, quarry_heap_usable_size(heap, blocks[i]), size);
		}
		for (i = 0; i < ARRAY_SIZE(blocks); i++) {
			KUNIT_ASSERT_TRUE(test, qtest_heap_keeps(blocks[i ^ 1], size));
			ASSERT_OK(test, quarry_heap_free(heap, blocks[i ^ 1]));
		}
	}
	expect_all_back(test);
}

static void every_kind_of_request_gets_what_it_asks_for(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void *block, *waited;
	size_t size, align;

	for (size = 8; size <= LARGEST; size += size / 2) {
		memset(qtest_heap_block(test, heap, size), 0xff, size);
		for (align = 1; align <= SZ_4K; align *= 4) {
			block = quarry_heap_alloc_aligned(heap, size, align);
			KUNIT_ASSERT_NOT_NULL(test, block);
			KUNIT_EXPECT_EQ(test, (unsigned long)block % align, 0UL);
			memset(block, 0xff, size);
			ASSERT_OK(test, quarry_heap_free(heap, block));
		}
		block = quarry_heap_zalloc(heap, size);
		KUNIT_EXPECT_NULL(test, memchr_inv(block, 0, size));
		ASSERT_OK(test, quarry_heap_free(heap, block));
		block = quarry_heap_calloc(heap, 2, size / 2);
		KUNIT_EXPECT_NULL(test, memchr_inv(block, 0, size / 2 * 2));
		KUNIT_EXPECT_NOT_NULL(test, quarry_heap_realloc(heap, block, 3 * size));
		EXPECT_OK(test, quarry_heap_alloc_wait(heap, size, 1, 0, &waited));
		ASSERT_OK(test, quarry_heap_free(heap, waited));
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 0ULL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, SIZE_MAX));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, 100, 24));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 3ULL);
}

/*
 * However a block was got, and though nobody wrote to it, it can be freed: nothing of
 * what the heap wrote while it was free is there any more.
 */
static void a_block_that_nobody_wrote_to_can_be_freed(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks)), *block;
	unsigned int round, nr;

	for (round = 0; round < 3; round++) {
		for (nr = 0; (blocks[nr] = quarry_heap_alloc(heap, 48 + round)); nr++)
			;
		KUNIT_EXPECT_GT(test, nr, 10000U);
		while (nr--)
			ASSERT_OK(test, quarry_heap_free(heap, blocks[nr]));
		EXPECT_OK(test, quarry_heap_alloc_wait(heap, 200, 1, 0, &block));
		block = quarry_heap_realloc(heap, block, 500);
		KUNIT_ASSERT_NOT_NULL(test, block);
		EXPECT_OK(test, quarry_heap_free(heap, block));
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 0ULL);
	expect_all_back(test);
}

/* ---- Figures ---- */

static void figures_are_those_of_the_users(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	struct quarry_heap_stats stats;
	void *blocks[100];
	int i;

	for (i = 0; i < 100; i++)
		blocks[i] = qtest_heap_block(test, heap, 64);
	for (i = 0; i < 90; i++)
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i]));
	stats = qtest_heap_stats(heap);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 10ULL);
	KUNIT_EXPECT_EQ(test, stats.used, 640ULL);
	KUNIT_EXPECT_EQ(test, stats.free, stats.total - 640);
	KUNIT_EXPECT_EQ(test, stats.nr_allocs, 100ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_frees, 90ULL);
	KUNIT_EXPECT_EQ(test, stats.cached, 64 * nr_cached(heap));
	KUNIT_EXPECT_GE(test, stats.cached, 64ULL);
	for (; i < 100; i++)
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i]));
	expect_all_back(test);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_allocs, 100ULL);
}

/* What is in a magazine is shown as free, block for block. */
static void a_walk_shows_what_is_at_hand_as_free(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	struct quarry_heap_block block = {};
	u64 nr_used = 0, nr_before = 0;
	void *blocks[50];
	int i;

	while (!quarry_heap_next(heap, block.addr + block.size, &block))
		nr_before += block.used;
	for (i = 0; i < 50; i++)
		blocks[i] = qtest_heap_block(test, heap, 100);
	for (i = 0; i < 50; i += 2)
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i]));
	for (i = 0; i < 50; i++) {
		int err = quarry_heap_lookup(heap, blocks[i] + 50, &block);

		KUNIT_EXPECT_EQ(test, err, i % 2 ? 0 : -ENOENT);
		KUNIT_EXPECT_EQ(test, !quarry_heap_usable_size(heap, blocks[i]), !(i % 2));
	}
	block = (struct quarry_heap_block) {};
	while (!quarry_heap_next(heap, block.addr + block.size, &block))
		nr_used += block.used && block.size < SZ_2K;
	/* Those of ours, and the runs that magazines are in. */
	KUNIT_EXPECT_EQ(test, nr_used, 25ULL);
	KUNIT_EXPECT_GT(test, nr_before, 0ULL);
}

/* ---- Misuse ---- */

static void a_second_free_is_refused(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void *last = qtest_heap_block(test, heap, 64), *blocks[200];
	int i;

	/* The one that was got last, and got again. */
	for (i = 0; i < 3; i++) {
		EXPECT_OK(test, quarry_heap_free(heap, last));
		EXPECT_ERR(test, quarry_heap_free(heap, last), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, last), -ENOENT);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, last, 64));
		KUNIT_EXPECT_PTR_EQ(test, quarry_heap_alloc(heap, 64), last);
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 9ULL);
	/* So many that they aren't all in one magazine, and some are back in the heap. */
	for (i = 0; i < 200; i++)
		blocks[i] = qtest_heap_block(test, heap, 32 << i % 5);
	for (i = 0; i < 200; i++)
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i]));
	for (i = 0; i < 200; i++) {
		int err = quarry_heap_free(heap, blocks[i]);

		/* Where one was that went back, the heap may have its magazines now. */
		KUNIT_EXPECT_TRUE(test, err == -ENOENT || err == -EINVAL);
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 209ULL);
	EXPECT_OK(test, quarry_heap_free(heap, last));
	expect_all_back(test);
}

static void what_starts_no_block_is_refused(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	u8 *block = qtest_heap_block(test, heap, 64), *foreign = qtest_memory(test, 64);
	struct quarry_heap_block own;

	EXPECT_OK(test, quarry_heap_free(heap, NULL));
	EXPECT_ERR(test, quarry_heap_free(heap, block + 8), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free(heap, block + 1), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free(heap, foreign), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free(heap, heap), -EINVAL);
	/* Neither what CPUs have at hand but never gave out, nor what the heap needs itself. */
	EXPECT_ERR(test, quarry_heap_free(heap, block - 64), -ENOENT);
	EXPECT_ERR(test, quarry_heap_free(heap, block + 30 * 64), -EINVAL);
	for (own = (struct quarry_heap_block) {}; own.size < SZ_2K || !own.used;)
		ASSERT_OK(test, quarry_heap_next(heap, own.addr + own.size, &own));
	EXPECT_ERR(test, quarry_heap_free(heap, own.addr), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, own.addr), -EINVAL);
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, own.addr, 10));
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, own.addr), (size_t)0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 9ULL);
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(block, 64));
	EXPECT_OK(test, quarry_heap_free(heap, block));
	expect_all_back(test);
}

/* Freed, written to and freed again: seen late, but the heap stays whole. */
static void what_is_written_to_between_two_frees_is_refused_later(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void *block = qtest_heap_block(test, heap, 64);

	EXPECT_OK(test, quarry_heap_free(heap, block));
	qtest_heap_write(block, 64);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	EXPECT_OK(test, quarry_heap_set_caching(heap, 0));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 1ULL);
	qtest_heap_all_free(test, heap);
}

static void a_block_that_waits_to_be_freed_is_not_freed_twice(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void *block = qtest_heap_block(test, heap, 64), *other;
	int i;

	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, block), -ENOENT);
	quarry_heap_reap(heap);
	EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
	/* Without a reap, they are freed by the way, when magazines are filled. */
	for (i = 0; i < 10000; i++) {
		other = quarry_heap_alloc(heap, 16 + i % 1000);
		KUNIT_ASSERT_NOT_NULL(test, other);
		ASSERT_OK(test, quarry_heap_free_deferred(heap, other));
	}
	KUNIT_EXPECT_LE(test, quarry_heap_reap(heap), 1000UL);
	expect_all_back(test);
}

/* ---- Running short ---- */

static void *largest_block(struct kunit *test, struct quarry_heap *heap)
{
	return qtest_heap_block(test, heap, qtest_heap_stats(heap).total / 4 * 3);
}

/* All of it is in small blocks, which are free, and mostly at hand or in part used buckets. */
static void what_is_at_hand_goes_back_before_an_allocation_fails(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks)), *block;
	unsigned int nr = qtest_heap_fill(test, heap, 64, blocks, MANY);

	KUNIT_EXPECT_GE(test, nr * 64ULL, qtest_heap_stats(heap).total * 97 / 100);
	qtest_heap_free_all(test, heap, blocks, nr);
	KUNIT_EXPECT_GT(test, nr_cached(heap), 0ULL);
	block = largest_block(test, heap);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 1ULL);
	EXPECT_OK(test, quarry_heap_free(heap, block));
	expect_all_back(test);
}

static void small_blocks_serve_every_size_in_turn(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int nr;
	size_t i;

	for (i = 0; i < QTEST_NR_KINDS; i++) {
		nr = qtest_heap_fill(test, heap, qtest_kinds[i], blocks, MANY);
		KUNIT_EXPECT_GE(test, (nr + 1) * (qtest_kinds[i] + qtest_kinds[i] / 4 + 16),
				(size_t)qtest_heap_stats(heap).total * 9 / 10);
		qtest_heap_free_all(test, heap, blocks, nr);
	}
	expect_all_back(test);
}

/* ---- Other CPUs ---- */

struct errand {
	struct quarry_heap *heap;
	void **blocks;
	unsigned int nr;
	int err;
};

static void free_here(void *arg)
{
	struct errand *errand = arg;
	unsigned int i;

	for (i = 0; i < errand->nr; i++)
		errand->err = errand->err ?: quarry_heap_free(errand->heap, errand->blocks[i]);
}

/* Blocks that each CPU in turn frees a share of, from its interrupt. */
static void free_everywhere(struct kunit *test, void **blocks, unsigned int nr)
{
	unsigned int share = DIV_ROUND_UP(nr, num_online_cpus());
	struct errand errand = { .heap = heap_of(test) };
	int cpu;

	for_each_online_cpu(cpu) {
		errand.blocks = blocks;
		errand.nr = min(nr, share);
		ASSERT_OK(test, smp_call_function_single(cpu, free_here, &errand, 1));
		ASSERT_OK(test, errand.err);
		blocks += errand.nr;
		nr -= errand.nr;
	}
}

static void an_extent_goes_though_cpus_have_some_of_it(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	u8 *extent = qtest_fenced_memory(test, SZ_64K, SZ_4K, 0);
	unsigned int nr = qtest_heap_fill(test, heap, 1000, blocks, MANY);

	ASSERT_OK(test, quarry_heap_extend(heap, extent, SZ_64K));
	nr += qtest_heap_fill(test, heap, 64, blocks + nr, MANY - nr);
	EXPECT_ERR(test, quarry_heap_shrink(heap, extent), -EBUSY);
	free_everywhere(test, blocks, nr);
	KUNIT_EXPECT_GT(test, nr_cached(heap), 0ULL);
	EXPECT_OK(test, quarry_heap_shrink(heap, extent));
	qtest_fences(test, extent, SZ_64K);
	expect_all_back(test);
}

/* Who waits gets what all CPUs have. */
static void who_waits_gets_what_is_at_hand_elsewhere(struct kunit *test)
{
	struct quarry_heap *heap = heap_of(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks)), *block;
	unsigned int nr = qtest_heap_fill(test, heap, 64, blocks, MANY);

	free_everywhere(test, blocks, nr);
	EXPECT_OK(test, quarry_heap_alloc_wait(heap, qtest_heap_stats(heap).total / 4 * 3,
					       PATIENCE, 0, &block));
	EXPECT_OK(test, quarry_heap_free(heap, block));
	expect_all_back(test);
}

struct waiter {
	struct quarry_heap *heap;
	struct completion done;
	void *block;
	int err;
};

static int wait_for_memory(void *arg)
{
	struct waiter *waiter = arg;

	waiter->err = quarry_heap_alloc_wait(waiter->heap, 2048, PATIENCE, 0, &waiter->block);
	complete(&waiter->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* While somebody waits, what is freed isn't kept at hand. */
static void a_free_serves_who_waits(struct kunit *test)
{
	struct waiter waiter = { .heap = heap_of(test) };
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int nr = qtest_heap_fill(test, waiter.heap, 64, blocks, MANY);
	unsigned long end = jiffies + PATIENCE;
	struct task_struct *task;

	init_completion(&waiter.done);
	task = kthread_run(wait_for_memory, &waiter, "quarry_wait");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	while (!qtest_heap_stats(waiter.heap).nr_waiting && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	/* So few that two magazines would take them. */
	qtest_heap_free_all(test, waiter.heap, blocks + nr - 96, 96);
	wait_for_completion(&waiter.done);
	kthread_stop(task);
	EXPECT_OK(test, waiter.err);
	EXPECT_OK(test, quarry_heap_free(waiter.heap, waiter.block));
	qtest_heap_free_all(test, waiter.heap, blocks, nr - 96);
	expect_all_back(test);
}

/* ---- With a backend ---- */

static void a_heap_may_fetch_what_caching_needs(struct kunit *test)
{
	struct qtest_backing *backing = qtest_backing(test, PAGES(NR_PAGES), PAGES(NR_PAGES), PAGE);
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void *blocks[200], *range;
	int i;

	ASSERT_OK(test, quarry_heap_init(heap, test->name, NULL, 0, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_set_backend(heap, &backing->backend, PAGES(8), 0));
	ASSERT_OK(test, quarry_heap_set_caching(heap, LARGEST));
	for (i = 0; i < 200; i++)
		blocks[i] = qtest_heap_block(test, heap, LARGEST);
	qtest_heap_free_all(test, heap, blocks, 200);
	/* What is just at hand goes back when the backend runs short. */
	for (i = 0; (range = quarry_backend_take(&backing->backend, PAGES(8))); i++)
		blocks[i] = range;
	KUNIT_EXPECT_GE(test, i, 5);
	qtest_heap_intact(test, heap);
	while (i--)
		EXPECT_OK(test, quarry_backend_give(&backing->backend, blocks[i], PAGES(8)));
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&backing->nr_faults), 0L);
}

static struct kunit_case cache_cases[] = {
	KUNIT_CASE(caching_begins_when_nothing_is_in_use),
	KUNIT_CASE(caching_needs_memory),
	KUNIT_CASE(only_small_sizes_are_at_hand),
	KUNIT_CASE(a_heap_ends_with_blocks_at_hand),
	KUNIT_CASE(a_heap_is_destroyed_with_blocks_at_hand_and_in_use),
	KUNIT_CASE(blocks_of_every_size_are_right),
	KUNIT_CASE(every_kind_of_request_gets_what_it_asks_for),
	KUNIT_CASE(a_block_that_nobody_wrote_to_can_be_freed),
	KUNIT_CASE(figures_are_those_of_the_users),
	KUNIT_CASE(a_walk_shows_what_is_at_hand_as_free),
	KUNIT_CASE(a_second_free_is_refused),
	KUNIT_CASE(what_starts_no_block_is_refused),
	KUNIT_CASE(what_is_written_to_between_two_frees_is_refused_later),
	KUNIT_CASE(a_block_that_waits_to_be_freed_is_not_freed_twice),
	KUNIT_CASE(what_is_at_hand_goes_back_before_an_allocation_fails),
	KUNIT_CASE(small_blocks_serve_every_size_in_turn),
	KUNIT_CASE(an_extent_goes_though_cpus_have_some_of_it),
	KUNIT_CASE(who_waits_gets_what_is_at_hand_elsewhere),
	KUNIT_CASE(a_free_serves_who_waits),
	KUNIT_CASE(a_heap_may_fetch_what_caching_needs),
	{}
};

static struct kunit_suite cache_suite = {
	.name = "quarry_heap_cache",
	.init = cached_init,
	.exit = qtest_heap_exit,
	.test_cases = cache_cases,
};

kunit_test_suite(cache_suite);
