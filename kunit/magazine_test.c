// SPDX-License-Identifier: GPL-2.0
/*
 * Magazines over a store of numbers, which knows of each whether it is out.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/smp.h>

#include "../lib/magazine.h"
#include "backing.h"

#define NR_ITEMS	20000

/**
 * struct store - the numbers from 1 to NR_ITEMS, and magazines over them
 * @magazines: what is tested
 * @source: where magazines come from
 * @lock: guards what follows
 * @out: for each number whether it is out
 * @first: no lower number is in
 * @nr_out: how many are out
 * @nr_fills: times that fill was called
 * @nr_flushes: times that flush was called
 * @most: the most that was asked for, or given back, at once
 * @barren: there is nothing to be had
 * @nr_faults: what was seen that must not be
 */
struct store {
	struct quarry_magazines magazines;
	struct quarry_slab *source;
	raw_spinlock_t lock;
	u8 out[NR_ITEMS + 1];
	unsigned int first;
	unsigned int nr_out;
	unsigned int nr_fills;
	unsigned int nr_flushes;
	unsigned int most;
	bool barren;
	unsigned int nr_faults;
};

static struct store *store_of(struct quarry_magazines *magazines)
{
	return container_of(magazines, struct store, magazines);
}

static unsigned int fill(struct quarry_magazines *magazines, unsigned long *items, unsigned int nr)
{
	struct store *store = store_of(magazines);
	unsigned int done = 0, i;
	unsigned long flags;

	raw_spin_lock_irqsave(&store->lock, flags);
	store->nr_fills++;
	store->most = max(store->most, nr);
	for (i = store->first; done < nr && i <= NR_ITEMS && !store->barren; i++)
		if (!store->out[i]) {
			store->out[i] = 1;
			items[done++] = i;
		}
	store->first = i;
	store->nr_out += done;
	raw_spin_unlock_irqrestore(&store->lock, flags);
	return done;
}

static void flush(struct quarry_magazines *magazines, const unsigned long *items, unsigned int nr)
{
	struct store *store = store_of(magazines);
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&store->lock, flags);
	store->nr_flushes++;
	store->most = max(store->most, nr);
	for (i = 0; i < nr; i++) {
		if (!items[i] || items[i] > NR_ITEMS || !store->out[items[i]]) {
			store->nr_faults++;
			continue;
		}
		store->out[items[i]] = 0;
		store->first = min_t(unsigned int, store->first, items[i]);
		store->nr_out--;
	}
	raw_spin_unlock_irqrestore(&store->lock, flags);
}

static const struct quarry_magazines_ops store_ops = { .fill = fill, .flush = flush };

/* What is in a magazine is out of the store. */
static bool is_out(struct quarry_magazines *magazines, unsigned long item)
{
	return item && item <= NR_ITEMS && store_of(magazines)->out[item];
}

static void intact(struct kunit *test, struct store *store)
{
	struct quarry_fault fault = {};

	KUNIT_ASSERT_EQ_MSG(test, quarry_magazines_verify(&store->magazines, is_out,
							  &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
	KUNIT_ASSERT_EQ(test, store->nr_faults, 0U);
}

/* What is still out then is with the test. */
static void finish(struct kunit *test, void *object)
{
	struct store *store = object;

	intact(test, store);
	quarry_magazines_fini(&store->magazines);
	KUNIT_EXPECT_EQ(test, store->nr_faults, 0U);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(store->source).nr_used, 0ULL);
}

static struct store *open_store(struct kunit *test, unsigned int min, unsigned int max)
{
	struct quarry_slab_config config = qtest_slab_config(test, QUARRY_MAGAZINE_SIZE, 0);
	struct store *store = qtest_aligned_memory(test, sizeof(*store), SMP_CACHE_BYTES);
	struct quarry_magazines_config magazines = {
		.ops = &store_ops, .min = min, .max = max,
		.memory = qtest_aligned_memory(test, quarry_magazines_memory_size(),
					       SMP_CACHE_BYTES),
	};

	memset(store, 0, sizeof(*store));
	raw_spin_lock_init(&store->lock);
	store->first = 1;
	store->source = qtest_slab(test, &config);
	magazines.source = store->source;
	ASSERT_OK(test, quarry_magazines_init(&store->magazines, &magazines));
	qtest_lodge(test, store, finish);
	return store;
}

static struct quarry_magazines_stats stats_of(struct store *store)
{
	struct quarry_magazines_stats stats = {};

	quarry_magazines_stats(&store->magazines, &stats);
	return stats;
}

/* All that is out is with the test or in a magazine. */
static void expect_held(struct kunit *test, struct store *store, unsigned int nr)
{
	KUNIT_EXPECT_EQ(test, stats_of(store).nr_cached, (u64)store->nr_out - nr);
	intact(test, store);
}

static unsigned long get(struct kunit *test, struct store *store)
{
	unsigned long item = quarry_magazines_get(&store->magazines);

	KUNIT_ASSERT_NE(test, item, 0UL);
	KUNIT_ASSERT_LE(test, item, (unsigned long)NR_ITEMS);
	KUNIT_ASSERT_EQ(test, store->out[item], 1);
	return item;
}

/* ---- init ---- */

static void init_refuses_what_cannot_be(struct kunit *test)
{
	struct quarry_slab_config slab = qtest_slab_config(test, QUARRY_MAGAZINE_SIZE, 0);
	static const struct quarry_magazines_ops no_fill = { .flush = flush };
	static const struct quarry_magazines_ops no_flush = { .fill = fill };
	struct quarry_magazines *magazines = qtest_aligned_memory(test, sizeof(*magazines),
								  SMP_CACHE_BYTES);
	struct quarry_magazines_config right = {
		.ops = &store_ops, .min = 8, .max = 16, .source = qtest_slab(test, &slab),
		.memory = qtest_aligned_memory(test, quarry_magazines_memory_size(), 4096),
	}, wrong[] = { right, right, right, right, right, right, right };
	size_t i;

	wrong[0].ops = NULL;
	wrong[1].ops = &no_fill;
	wrong[2].ops = &no_flush;
	wrong[3].source = NULL;
	wrong[4].memory = NULL;
	wrong[5].memory += 4;
	wrong[6].max = 7;
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_magazines_init(magazines, &wrong[i]), -EINVAL,
				    "%zu", i);
	EXPECT_ERR(test, quarry_magazines_init(NULL, &right), -EINVAL);
	EXPECT_ERR(test, quarry_magazines_init(magazines, NULL), -EINVAL);
	ASSERT_OK(test, quarry_magazines_init(magazines, &right));
	quarry_magazines_fini(magazines);
}

/* ---- get and put ---- */

static void every_item_can_be_had_once(struct kunit *test)
{
	struct store *store = open_store(test, 16, 32);
	u8 *seen = kunit_kzalloc(test, NR_ITEMS + 1, GFP_KERNEL);
	unsigned long i, item;

	KUNIT_ASSERT_NOT_NULL(test, seen);
	for (i = 0; i < NR_ITEMS; i++) {
		item = get(test, store);
		KUNIT_ASSERT_EQ(test, seen[item], 0);
		seen[item] = 1;
	}
	KUNIT_EXPECT_EQ(test, quarry_magazines_get(&store->magazines), 0UL);
	KUNIT_EXPECT_EQ(test, store->nr_out, (unsigned int)NR_ITEMS);
	expect_held(test, store, NR_ITEMS);
	for (i = 1; i <= NR_ITEMS; i++)
		quarry_magazines_put(&store->magazines, i);
	expect_held(test, store, 0);
	quarry_magazines_drain(&store->magazines);
	KUNIT_EXPECT_EQ(test, store->nr_out, 0U);
}

static void the_last_put_is_the_first_got(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	unsigned long items[100];
	int i;

	for (i = 0; i < 100; i++)
		items[i] = get(test, store);
	for (i = 0; i < 100; i++) {
		quarry_magazines_put(&store->magazines, items[i]);
		KUNIT_EXPECT_EQ(test, get(test, store), items[i]);
		quarry_magazines_put(&store->magazines, items[i]);
	}
	expect_held(test, store, 0);
}

/* A magazine is filled at once: one visit below for so many items. */
static void items_are_got_by_the_magazine(struct kunit *test)
{
	struct store *store = open_store(test, 20, 20);
	int i;

	for (i = 0; i < 1000; i++)
		get(test, store);
	KUNIT_EXPECT_EQ(test, store->nr_fills, 1000U / 20);
	KUNIT_EXPECT_EQ(test, store->most, 20U);
}

static void items_are_flushed_by_the_magazine(struct kunit *test)
{
	struct store *store = open_store(test, 20, 20);
	unsigned long i;

	for (i = 0; i < NR_ITEMS; i++)
		get(test, store);
	store->nr_flushes = 0;
	for (i = 1; i <= NR_ITEMS; i++)
		quarry_magazines_put(&store->magazines, i);
	KUNIT_EXPECT_LE(test, store->nr_flushes, NR_ITEMS / 20U);
	KUNIT_EXPECT_LE(test, stats_of(store).nr_cached,
			20ULL * (2 * num_possible_cpus() + 32));
	KUNIT_EXPECT_EQ(test, stats_of(store).rounds, 20U);
}

/* Wherever the count of items stands, going one to and fro visits nobody below. */
static void no_level_is_a_place_to_thrash(struct kunit *test)
{
	struct store *store = open_store(test, 10, 10);
	struct quarry_magazines_stats stats;
	unsigned int fills, i;
	int level;

	for (level = 0; level < 50; level++) {
		fills = store->nr_fills + store->nr_flushes;
		stats = stats_of(store);
		for (i = 0; i < 100; i++)
			quarry_magazines_put(&store->magazines, get(test, store));
		KUNIT_EXPECT_LE(test, store->nr_fills + store->nr_flushes, fills + 1);
		KUNIT_EXPECT_LE(test, stats_of(store).nr_exchanges, stats.nr_exchanges + 2);
		get(test, store);
	}
}

static void counters_follow_each_call(struct kunit *test)
{
	unsigned long *items = qtest_memory(test, 200 * sizeof(*items));
	struct store *store = open_store(test, 16, 16);
	struct quarry_magazines_stats stats;
	int i;

	for (i = 0; i < 200; i++) {
		items[i] = get(test, store);
		stats = stats_of(store);
		KUNIT_EXPECT_EQ(test, stats.nr_gets + stats.nr_get_misses, i + 1ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_cached, (u64)store->nr_out - i - 1);
	}
	for (i = 0; i < 200; i++) {
		quarry_magazines_put(&store->magazines, items[i]);
		stats = stats_of(store);
		KUNIT_EXPECT_EQ(test, stats.nr_puts + stats.nr_put_misses, i + 1ULL);
	}
	KUNIT_EXPECT_EQ(test, stats.nr_gets + stats.nr_get_misses, 200ULL);
	KUNIT_EXPECT_LE(test, stats.nr_get_misses, 200ULL / 16 + 1);
	expect_held(test, store, 0);
}

/* ---- Scarcity ---- */

static void when_there_is_nothing_nothing_is_got(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	unsigned long item;
	int i;

	store->barren = true;
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, quarry_magazines_get(&store->magazines), 0UL);
	store->barren = false;
	item = get(test, store);
	store->barren = true;
	for (i = 0; i < 15; i++)
		get(test, store);
	KUNIT_EXPECT_EQ(test, quarry_magazines_get(&store->magazines), 0UL);
	quarry_magazines_put(&store->magazines, item);
	KUNIT_EXPECT_EQ(test, get(test, store), item);
	expect_held(test, store, 16);
}

/* Without memory for magazines all items pass straight through. */
static void without_magazines_all_goes_on(struct kunit *test)
{
	unsigned long *items = qtest_memory(test, 300 * sizeof(*items));
	struct store *store = open_store(test, 16, 16);
	struct qtest_backing *backing = test->priv;
	int i;

	WRITE_ONCE(backing->barren, true);
	for (i = 0; i < 300; i++)
		items[i] = get(test, store);
	KUNIT_EXPECT_EQ(test, store->nr_out, 300U);
	for (i = 0; i < 150; i++)
		quarry_magazines_put(&store->magazines, items[i]);
	KUNIT_EXPECT_EQ(test, store->nr_out, 150U);
	WRITE_ONCE(backing->barren, false);
	for (; i < 300; i++)
		quarry_magazines_put(&store->magazines, items[i]);
	for (i = 0; i < 300; i++)
		get(test, store);
	expect_held(test, store, 300);
	KUNIT_EXPECT_GT(test, qtest_slab_stats(store->source).nr_used, 0ULL);
}

/* One page of magazines, for seven of them, and no more. */
static void with_few_magazines_all_goes_on(struct kunit *test)
{
	unsigned long *items = qtest_memory(test, 5000 * sizeof(*items));
	struct store *store = open_store(test, 16, 16);
	struct qtest_backing *backing = test->priv;
	unsigned int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 5000; i++)
			items[i] = get(test, store);
		WRITE_ONCE(backing->barren, true);
		for (i = 0; i < 5000; i++)
			quarry_magazines_put(&store->magazines, items[i]);
		expect_held(test, store, 0);
		quarry_magazines_drain(&store->magazines);
		KUNIT_EXPECT_EQ(test, store->nr_out, 0U);
	}
}

/* ---- Rounds ---- */

static void no_rounds_keep_nothing(struct kunit *test)
{
	struct store *store = open_store(test, 0, 0);
	unsigned long items[50];
	int i;

	for (i = 0; i < 50; i++)
		items[i] = get(test, store);
	KUNIT_EXPECT_EQ(test, store->nr_out, 50U);
	for (i = 0; i < 50; i++)
		quarry_magazines_put(&store->magazines, items[i]);
	KUNIT_EXPECT_EQ(test, store->nr_out, 0U);
	KUNIT_EXPECT_EQ(test, stats_of(store).nr_cached, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(store->source).nr_used, 0ULL);
}

static void rounds_are_limited_to_what_a_magazine_holds(struct kunit *test)
{
	unsigned long *items = qtest_memory(test, 1000 * sizeof(*items));
	struct store *store = open_store(test, 1000, 5000);
	int i;

	for (i = 0; i < 1000; i++)
		items[i] = get(test, store);
	for (i = 0; i < 1000; i++)
		quarry_magazines_put(&store->magazines, items[i]);
	KUNIT_EXPECT_EQ(test, stats_of(store).rounds, (unsigned int)QUARRY_MAGAZINE_ROUNDS);
	KUNIT_EXPECT_LE(test, store->most, (unsigned int)QUARRY_MAGAZINE_ROUNDS);
	expect_held(test, store, 0);
}

/* Has the depot's lock most of the time. */
static int hold_depot(void *arg)
{
	struct quarry_magazines *magazines = arg;
	unsigned long flags;

	while (!kthread_should_stop()) {
		raw_spin_lock_irqsave(&magazines->lock, flags);
		udelay(9);
		raw_spin_unlock_irqrestore(&magazines->lock, flags);
		cond_resched();
	}
	return 0;
}

/* One that waits at the depot makes magazines grow, up to the limit; shrink undoes it. */
static void rounds_grow_where_cpus_meet(struct kunit *test)
{
	unsigned long *items = qtest_memory(test, 500 * sizeof(*items));
	struct store *store = open_store(test, 8, 20);
	unsigned int other, round, i, rounds = 8;
	struct task_struct *task;

	other = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	if (other >= nr_cpu_ids) {
		kunit_skip(test, "needs two CPUs");
		return;
	}
	task = kthread_create(hold_depot, &store->magazines, "quarry_test/hold");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	kthread_bind(task, other);
	wake_up_process(task);
	for (round = 0; round < 2000 && rounds < 20; round++) {
		for (i = 0; i < 500; i++)
			items[i] = quarry_magazines_get(&store->magazines);
		for (i = 0; i < 500; i++)
			quarry_magazines_put(&store->magazines, items[i]);
		KUNIT_EXPECT_GE(test, stats_of(store).rounds, rounds);
		rounds = stats_of(store).rounds;
		cond_resched();
	}
	kthread_stop(task);
	kunit_info(test, "grown to %u after %u", rounds, round);
	KUNIT_EXPECT_GT(test, rounds, 8U);
	KUNIT_EXPECT_LE(test, rounds, 20U);
	KUNIT_EXPECT_GT(test, stats_of(store).nr_contended, 0ULL);
	quarry_magazines_shrink(&store->magazines);
	KUNIT_EXPECT_EQ(test, stats_of(store).rounds, 8U);
	expect_held(test, store, 0);
}

/* ---- In bulk ---- */

static void bulk_does_what_single_calls_do(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	unsigned long *items = qtest_memory(test, 3000 * sizeof(*items));
	unsigned int nr, total = 0, i;

	for (nr = 0; nr < 70; nr++) {
		KUNIT_ASSERT_EQ(test, quarry_magazines_get_bulk(&store->magazines, items + total,
								nr), nr);
		total += nr;
		expect_held(test, store, total);
	}
	for (i = 0; i < total; i++) {
		KUNIT_ASSERT_EQ(test, store->out[items[i]], 1);
		store->out[items[i]] = 2;
	}
	for (i = 0; i < total; i++)
		store->out[items[i]] = 1;
	for (nr = 0; nr < 70; nr++) {
		total -= nr;
		quarry_magazines_put_bulk(&store->magazines, items + total, nr);
		expect_held(test, store, total);
	}
}

static void bulk_gets_what_there_is(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	unsigned long *items = qtest_memory(test, (NR_ITEMS + 10) * sizeof(*items));

	KUNIT_EXPECT_EQ(test, quarry_magazines_get_bulk(&store->magazines, items, NR_ITEMS + 10),
			(unsigned int)NR_ITEMS);
	KUNIT_EXPECT_EQ(test, quarry_magazines_get_bulk(&store->magazines, items + NR_ITEMS, 10),
			0U);
	quarry_magazines_put_bulk(&store->magazines, items, NR_ITEMS);
	expect_held(test, store, 0);
}

/* ---- On other CPUs ---- */

/* On another CPU, with interrupts off: gets many, and puts all back there. */
static void get_and_put_many(void *info)
{
	struct store *store = info;
	unsigned long items[100];
	int i;

	for (i = 0; i < 100; i++)
		items[i] = quarry_magazines_get(&store->magazines);
	for (i = 0; i < 100; i++)
		quarry_magazines_put(&store->magazines, items[i]);
}

static void drain_reaches_all_cpus(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	struct quarry_magazines_stats stats;
	unsigned int cpu, nr = 0;

	for_each_online_cpu(cpu)
		KUNIT_ASSERT_EQ(test, smp_call_function_single(cpu, get_and_put_many, store, 1), 0);
	for_each_online_cpu(cpu) {
		ASSERT_OK(test, quarry_magazines_cpu_stats(&store->magazines, cpu, &stats));
		KUNIT_EXPECT_EQ(test, stats.nr_gets + stats.nr_get_misses, 100ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_puts + stats.nr_put_misses, 100ULL);
		nr += stats.nr_cached;
	}
	KUNIT_EXPECT_GT(test, nr, 0U);
	nr = store->nr_out;
	KUNIT_EXPECT_EQ(test, quarry_magazines_drain(&store->magazines), nr);
	KUNIT_EXPECT_EQ(test, store->nr_out, 0U);
	KUNIT_EXPECT_EQ(test, stats_of(store).nr_cached, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(store->source).nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_magazines_drain(&store->magazines), 0U);
	intact(test, store);
}

/* Others answer a moment later: then the next one finds what they had. */
static void reclaim_asks_the_other_cpus(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	unsigned int cpu, tries = 0;

	for_each_online_cpu(cpu)
		KUNIT_ASSERT_EQ(test, smp_call_function_single(cpu, get_and_put_many, store, 1), 0);
	while (store->nr_out && tries++ < 1000) {
		quarry_magazines_reclaim(&store->magazines);
		usleep_range(100, 200);
	}
	KUNIT_EXPECT_EQ(test, store->nr_out, 0U);
	intact(test, store);
}

static void figures_of_cpus_add_up(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	struct quarry_magazines_stats all, one, sum = {};
	unsigned int cpu;

	for_each_online_cpu(cpu)
		KUNIT_ASSERT_EQ(test, smp_call_function_single(cpu, get_and_put_many, store, 1), 0);
	for_each_possible_cpu(cpu) {
		ASSERT_OK(test, quarry_magazines_cpu_stats(&store->magazines, cpu, &one));
		sum.nr_gets += one.nr_gets;
		sum.nr_puts += one.nr_puts;
		sum.nr_get_misses += one.nr_get_misses;
		sum.nr_put_misses += one.nr_put_misses;
		sum.nr_exchanges += one.nr_exchanges;
		KUNIT_EXPECT_EQ(test, one.nr_full + one.nr_empty, 0ULL);
	}
	all = stats_of(store);
	KUNIT_EXPECT_EQ(test, all.nr_gets, sum.nr_gets);
	KUNIT_EXPECT_EQ(test, all.nr_puts, sum.nr_puts);
	KUNIT_EXPECT_EQ(test, all.nr_get_misses, sum.nr_get_misses);
	KUNIT_EXPECT_EQ(test, all.nr_put_misses, sum.nr_put_misses);
	KUNIT_EXPECT_EQ(test, all.nr_exchanges, sum.nr_exchanges);
	EXPECT_ERR(test, quarry_magazines_cpu_stats(&store->magazines, nr_cpu_ids, &one), -EINVAL);
	EXPECT_ERR(test, quarry_magazines_cpu_stats(&store->magazines, UINT_MAX, &one), -EINVAL);
}

/* ---- Everything at random ---- */

/**
 * struct holder - one who gets and puts at random
 * @store: from where and to where
 * @rnd: what it does next
 * @items: what it has
 * @nr: how many
 */
struct holder {
	struct store *store;
	struct rnd_state rnd;
	unsigned long items[NR_ITEMS];
	unsigned int nr;
};

static void get_some(struct holder *holder, unsigned int bulk)
{
	struct quarry_magazines *magazines = &holder->store->magazines;
	unsigned long *items = holder->items + holder->nr;

	if (holder->nr + bulk >= NR_ITEMS)
		return;
	if (!qtest_below(&holder->rnd, 10)) {
		holder->nr += quarry_magazines_get_bulk(magazines, items, bulk);
		return;
	}
	*items = quarry_magazines_get(magazines);
	holder->nr += !!*items;
}

/* Not always those that it got last. */
static void put_some(struct holder *holder, unsigned int bulk)
{
	struct quarry_magazines *magazines = &holder->store->magazines;
	unsigned long *items = holder->items;
	unsigned int other;

	if (holder->nr <= bulk)
		return;
	other = qtest_below(&holder->rnd, holder->nr);
	swap(items[holder->nr - 1], items[other]);
	if (!qtest_below(&holder->rnd, 10)) {
		holder->nr -= bulk;
		quarry_magazines_put_bulk(magazines, items + holder->nr, bulk);
		return;
	}
	quarry_magazines_put(magazines, items[--holder->nr]);
}

static void take_away(struct holder *holder)
{
	struct quarry_magazines *magazines = &holder->store->magazines;

	switch (qtest_below(&holder->rnd, 3)) {
	case 0:
		quarry_magazines_drain(magazines);
		break;
	case 1:
		quarry_magazines_reclaim(magazines);
		break;
	default:
		quarry_magazines_shrink(magazines);
	}
}

static void items_are_never_lost_nor_doubled(struct kunit *test)
{
	struct store *store = open_store(test, 6, 14);
	struct holder *holder = qtest_memory(test, sizeof(*holder));
	unsigned long i, rounds = qtest_rounds(test, 300000);
	struct qtest_backing *backing = test->priv;
	unsigned int appetite = 5, bulk;

	holder->store = store;
	holder->nr = 0;
	qtest_seed(test, &holder->rnd);
	for (i = 0; i < rounds; i++) {
		if (i % 1024 == 0) {
			appetite = 2 + qtest_below(&holder->rnd, 7);
			WRITE_ONCE(backing->barren, !qtest_below(&holder->rnd, 3));
			store->barren = !qtest_below(&holder->rnd, 10);
			expect_held(test, store, holder->nr);
			cond_resched();
		}
		bulk = qtest_below(&holder->rnd, 40);
		if (!qtest_below(&holder->rnd, 1500))
			take_away(holder);
		else if (qtest_below(&holder->rnd, 10) < appetite)
			get_some(holder, bulk);
		else
			put_some(holder, bulk);
	}
	expect_held(test, store, holder->nr);
	quarry_magazines_put_bulk(&store->magazines, holder->items, holder->nr);
	quarry_magazines_drain(&store->magazines);
	KUNIT_EXPECT_EQ(test, store->nr_out, 0U);
}

/* ---- Questions ---- */

static void what_is_in_a_magazine_is_seen(struct kunit *test)
{
	struct store *store = open_store(test, 16, 16);
	unsigned long i, items[100];

	for (i = 0; i < 100; i++)
		items[i] = get(test, store);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_FALSE(test, quarry_magazines_holds(&store->magazines, items[i]));
	quarry_magazines_put_bulk(&store->magazines, items, 100);
	for (i = 1; i <= 200; i++)
		KUNIT_EXPECT_EQ(test, quarry_magazines_holds(&store->magazines, i),
				(bool)store->out[i]);
	quarry_magazines_drain(&store->magazines);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_FALSE(test, quarry_magazines_holds(&store->magazines, items[i]));
}

static struct kunit_case magazine_cases[] = {
	KUNIT_CASE(init_refuses_what_cannot_be),
	KUNIT_CASE(every_item_can_be_had_once),
	KUNIT_CASE(the_last_put_is_the_first_got),
	KUNIT_CASE(items_are_got_by_the_magazine),
	KUNIT_CASE(items_are_flushed_by_the_magazine),
	KUNIT_CASE(no_level_is_a_place_to_thrash),
	KUNIT_CASE(counters_follow_each_call),
	KUNIT_CASE(when_there_is_nothing_nothing_is_got),
	KUNIT_CASE(without_magazines_all_goes_on),
	KUNIT_CASE(with_few_magazines_all_goes_on),
	KUNIT_CASE(no_rounds_keep_nothing),
	KUNIT_CASE(rounds_are_limited_to_what_a_magazine_holds),
	KUNIT_CASE(rounds_grow_where_cpus_meet),
	KUNIT_CASE(bulk_does_what_single_calls_do),
	KUNIT_CASE(bulk_gets_what_there_is),
	KUNIT_CASE(drain_reaches_all_cpus),
	KUNIT_CASE(reclaim_asks_the_other_cpus),
	KUNIT_CASE(figures_of_cpus_add_up),
	KUNIT_CASE(items_are_never_lost_nor_doubled),
	KUNIT_CASE(what_is_in_a_magazine_is_seen),
	{}
};

static struct kunit_suite magazine_suite = {
	.name = "quarry_magazine",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = magazine_cases,
};

kunit_test_suite(magazine_suite);
