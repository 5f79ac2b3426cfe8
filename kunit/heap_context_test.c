// SPDX-License-Identifier: GPL-2.0
/*
 * One heap, used from threads on all CPUs and from hard interrupts at once. Each
 * block is full of what belongs to its address, and who frees it, often somebody
 * else on another CPU, looks whether that is still so.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "heap_helpers.h"

#define NR_SLOTS	16
#define NR_COUNTERS	8
#define CROWD_SIZE	((size_t)SZ_32K)	/* so little that many find no room */
#define CACHED_SIZE	((size_t)SZ_128K)	/* with room for magazines, too */
#define TOO_MUCH	((size_t)SZ_1M)		/* more than any heap here can ever have */

/**
 * struct crowd - all who use one heap
 * @heap: the heap
 * @counter: where blocks lie that anybody may take and free
 * @nr_faults: what was seen that must not be
 * @nr_interrupts: times that it was used from an interrupt
 * @nr_waits: times that a thread waited and was served
 * @nr_too_much: times that too much was asked for
 */
struct crowd {
	struct quarry_heap *heap;
	void *counter[NR_COUNTERS];
	atomic_t nr_faults;
	atomic_t nr_interrupts;
	atomic_t nr_waits;
	atomic_t nr_too_much;
};

/**
 * struct tenant - one who takes and gives back blocks, in one context
 * @crowd: the others
 * @rnd: what it does next
 * @blocks: what it has
 */
struct tenant {
	struct crowd *crowd;
	struct rnd_state rnd;
	void *blocks[NR_SLOTS];
};

/**
 * struct worker - a thread, and the interrupt that it raises on its CPU
 * @thread: tenant in the thread
 * @interrupt: tenant in the interrupt
 * @raise: raises it
 * @rounds: steps to take
 * @done: when it has
 * @task: the thread
 */
struct worker {
	struct tenant thread;
	struct tenant interrupt;
	struct irq_work raise;
	unsigned long rounds;
	struct completion done;
	struct task_struct *task;
};

static void expect(struct crowd *crowd, bool right)
{
	if (!right)
		atomic_inc(&crowd->nr_faults);
}

/* Its real size is what is written, so that anybody can tell whether it is right. */
static void *sign(struct crowd *crowd, void *block, size_t size)
{
	size_t real = block ? quarry_heap_usable_size(crowd->heap, block) : 0;

	if (!block)
		return NULL;
	expect(crowd, real >= size);
	qtest_heap_write(block, real);
	return block;
}

static void look_at(struct crowd *crowd, const void *block)
{
	size_t real = quarry_heap_usable_size(crowd->heap, block);

	expect(crowd, real && qtest_heap_keeps(block, real));
}

static size_t random_size(struct tenant *tenant)
{
	size_t size = 1UL << qtest_below(&tenant->rnd, 12);

	return size + qtest_below(&tenant->rnd, size);
}

static void *take(struct tenant *tenant)
{
	struct quarry_heap *heap = tenant->crowd->heap;
	size_t size = random_size(tenant);
	void *block;

	switch (qtest_below(&tenant->rnd, 4)) {
	case 0:
		block = quarry_heap_zalloc(heap, size);
		expect(tenant->crowd, !block || !memchr_inv(block, 0, size));
		break;
	case 1:
		block = quarry_heap_alloc_aligned(heap, size, SZ_1K);
		expect(tenant->crowd, !((unsigned long)block & (SZ_1K - 1)));
		break;
	default:
		block = quarry_heap_alloc(heap, size);
	}
	return sign(tenant->crowd, block, size);
}

static int agree(void *ctx, void *block, size_t size)
{
	return 0;
}

static void leave(struct tenant *tenant, void *block)
{
	struct quarry_heap *heap = tenant->crowd->heap;
	int err;

	if (!block)
		return;
	look_at(tenant->crowd, block);
	switch (qtest_below(&tenant->rnd, 4)) {
	case 0:
		err = quarry_heap_free_deferred(heap, block);
		break;
	case 1:
		err = quarry_heap_free_checked(heap, block, agree, NULL);
		break;
	default:
		err = quarry_heap_free(heap, block);
	}
	expect(tenant->crowd, !err);
}

static void *resize(struct tenant *tenant, void *block)
{
	struct quarry_heap *heap = tenant->crowd->heap;
	size_t old = quarry_heap_usable_size(heap, block), size = random_size(tenant);
	void *moved = quarry_heap_realloc(heap, block, size);

	if (!moved)
		return block;
	expect(tenant->crowd, qtest_heap_reads(moved, size, block, old));
	return sign(tenant->crowd, moved, size);
}

static void step(struct tenant *tenant)
{
	void **block = &tenant->blocks[qtest_below(&tenant->rnd, NR_SLOTS)];

	if (!*block) {
		*block = take(tenant);
		return;
	}
	switch (qtest_below(&tenant->rnd, 4)) {
	case 0:
		*block = resize(tenant, *block);
		break;
	case 1:
		/* Somebody else will free this, and this one somebody else's. */
		*block = xchg(&tenant->crowd->counter[qtest_below(&tenant->rnd, NR_COUNTERS)],
			      *block);
		break;
	default:
		leave(tenant, *block);
		*block = NULL;
	}
}

/* Only threads may; what was waited for goes at once, so that all get their turn. */
static void step_and_wait(struct tenant *tenant)
{
	size_t size = 8 * random_size(tenant);
	void *block;
	int err;

	err = quarry_heap_alloc_wait(tenant->crowd->heap, size, 1 + qtest_below(&tenant->rnd, 2),
				     qtest_below(&tenant->rnd, 2), &block);
	expect(tenant->crowd, !err == !!block && (!err || err == -ETIMEDOUT));
	if (!err) {
		atomic_inc(&tenant->crowd->nr_waits);
		leave(tenant, sign(tenant->crowd, block, size));
	}
}

/* Whatever the others do, this one fails. */
static void ask_too_much(struct tenant *tenant)
{
	expect(tenant->crowd, !quarry_heap_alloc(tenant->crowd->heap, TOO_MUCH));
	atomic_inc(&tenant->crowd->nr_too_much);
}

static void leave_all(struct tenant *tenant)
{
	int i;

	for (i = 0; i < NR_SLOTS; i++)
		leave(tenant, tenant->blocks[i]);
}

static void interrupted(struct irq_work *raise)
{
	struct worker *worker = container_of(raise, struct worker, raise);
	int i;

	expect(worker->interrupt.crowd, in_hardirq());
	for (i = 0; i < 10; i++)
		step(&worker->interrupt);
	ask_too_much(&worker->interrupt);
	atomic_inc(&worker->interrupt.crowd->nr_interrupts);
}

/* Looks on while the others work: at no moment may anything be wrong. */
static void inspect(struct crowd *crowd)
{
	struct quarry_heap_block block = {};
	struct quarry_heap_stats stats = qtest_heap_stats(crowd->heap);
	struct quarry_fault fault;

	expect(crowd, !quarry_heap_verify(crowd->heap, &fault));
	expect(crowd, stats.used + stats.free == stats.total);
	expect(crowd, stats.nr_allocs - stats.nr_frees == stats.nr_used);
	while (!quarry_heap_next(crowd->heap, block.addr + block.size, &block))
		expect(crowd, block.size);
}

static int work(void *arg)
{
	struct worker *worker = arg;
	unsigned long i;

	for (i = 0; i < worker->rounds; i++) {
		step(&worker->thread);
		if (i % 32 == 0)
			irq_work_queue(&worker->raise);
		if (i % 512 == 0)
			step_and_wait(&worker->thread);
		if (i % 128 == 0)
			ask_too_much(&worker->thread);
		if (i % 1024 == 0)
			inspect(worker->thread.crowd);
		cond_resched();
	}
	irq_work_sync(&worker->raise);
	leave_all(&worker->thread);
	leave_all(&worker->interrupt);
	complete(&worker->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void engage(struct worker *worker, struct crowd *crowd, struct rnd_state *rnd)
{
	*worker = (struct worker) {
		.thread.crowd = crowd,
		.interrupt.crowd = crowd,
		.raise = IRQ_WORK_INIT_HARD(interrupted),
	};
	prandom_seed_state(&worker->thread.rnd, prandom_u32_state(rnd));
	prandom_seed_state(&worker->interrupt.rnd, prandom_u32_state(rnd));
	init_completion(&worker->done);
}

static void start(struct worker *worker, int nr, int cpu)
{
	worker->task = kthread_create(work, worker, "quarry_heap/%d", nr);
	if (IS_ERR(worker->task))
		return;
	kthread_bind(worker->task, cpu);
	wake_up_process(worker->task);
}

static void finish(struct kunit *test, struct worker *worker)
{
	KUNIT_EXPECT_FALSE(test, IS_ERR(worker->task));
	if (IS_ERR(worker->task))
		return;
	wait_for_completion(&worker->done);
	kthread_stop(worker->task);
}

/* Two threads on each CPU, as they get in each other's way there, too. */
static void let_them_work(struct kunit *test, struct crowd *crowd, unsigned long rounds)
{
	int cpu, i, nr = 0, nr_workers = 2 * num_online_cpus();
	struct worker *workers = kunit_kcalloc(test, nr_workers, sizeof(*workers), GFP_KERNEL);
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	qtest_seed(test, &rnd);
	for (i = 0; i < nr_workers; i++) {
		engage(&workers[i], crowd, &rnd);
		workers[i].rounds = rounds / nr_workers;
	}
	for (i = 0; i < 2; i++)
		for_each_online_cpu(cpu)
			if (nr < nr_workers) {
				start(&workers[nr], nr, cpu);
				nr++;
			}
	for (i = 0; i < nr; i++)
		finish(test, &workers[i]);
	for (i = 0; i < NR_COUNTERS; i++)
		leave(&workers[0].thread, crowd->counter[i]);
	kunit_info(test, "%d threads, %d interrupts, %d waits, %llu failures", nr,
		   atomic_read(&crowd->nr_interrupts), atomic_read(&crowd->nr_waits),
		   qtest_heap_stats(crowd->heap).nr_failures);
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->nr_faults), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&crowd->nr_interrupts), 0);
	KUNIT_EXPECT_GE(test, qtest_heap_stats(crowd->heap).nr_failures,
			(u64)atomic_read(&crowd->nr_too_much));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(crowd->heap).nr_misuses, 0ULL);
}

static struct crowd *crowd_on(struct kunit *test, struct quarry_heap *heap)
{
	struct crowd *crowd = kunit_kzalloc(test, sizeof(*crowd), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, crowd);
	crowd->heap = heap;
	return crowd;
}

static void threads_and_interrupts_never_share_a_block(struct kunit *test)
{
	struct qtest_heap *space = qtest_heap(test, CROWD_SIZE, HEAP_PAGE);

	let_them_work(test, crowd_on(test, &space->heap), qtest_rounds(test, 200000));
	qtest_heap_all_free(test, &space->heap);
	qtest_fences(test, space->memory, CROWD_SIZE);
	EXPECT_OK(test, quarry_heap_fini(&space->heap, NULL));
}

/* The same, with magazines of all CPUs in between. */
static void blocks_at_hand_are_not_shared_either(struct kunit *test)
{
	struct qtest_heap *space = qtest_heap(test, CACHED_SIZE, HEAP_PAGE);

	ASSERT_OK(test, quarry_heap_set_caching(&space->heap, SZ_1K));
	let_them_work(test, crowd_on(test, &space->heap), qtest_rounds(test, 200000));
	EXPECT_OK(test, quarry_heap_set_caching(&space->heap, 0));
	qtest_heap_all_free(test, &space->heap);
	qtest_fences(test, space->memory, CACHED_SIZE);
	EXPECT_OK(test, quarry_heap_fini(&space->heap, NULL));
}

/* ---- The same, with extents that come and go ---- */

#define NR_RANGES	8
#define RANGE		((size_t)SZ_16K)

struct ranges {
	u8 *memory[NR_RANGES];
	unsigned long out;
	atomic_t nr_faults;
};

static void *grow(void *ctx, size_t need, size_t *size)
{
	struct ranges *ranges = ctx;
	int i;

	*size = RANGE;
	for (i = 0; need <= RANGE && i < NR_RANGES; i++)
		if (!test_and_set_bit(i, &ranges->out))
			return ranges->memory[i];
	return NULL;
}

/* What goes back is nobody's: writing to it hurts none. */
static void give(void *ctx, void *memory, size_t size)
{
	struct ranges *ranges = ctx;
	int i;

	memset(memory, 0x5a, size);
	for (i = 0; i < NR_RANGES; i++)
		if (ranges->memory[i] == memory && size == RANGE)
			break;
	if (i == NR_RANGES || !test_and_clear_bit(i, &ranges->out))
		atomic_inc(&ranges->nr_faults);
}

/*
 * One extent is taken as a whole all the while, so that whoever comes first makes the
 * heap grow; when that is given up at the end, all are empty, and all but one go.
 */
static void extents_come_and_go_under_many(struct kunit *test)
{
	struct ranges *ranges = kunit_kzalloc(test, sizeof(*ranges), GFP_KERNEL);
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	struct quarry_heap_grower grower = { grow, give, ranges, .keep = 1 };
	struct quarry_heap_stats stats;
	void *held;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, ranges);
	for (i = 0; i < NR_RANGES; i++)
		ranges->memory[i] = qtest_fenced_memory(test, RANGE, SZ_4K, 0);
	ASSERT_OK(test, quarry_heap_init(heap, test->name, NULL, 0, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_set_grow(heap, &grower));
	EXPECT_OK(test, quarry_heap_free(heap, qtest_heap_block(test, heap, 1)));
	held = qtest_heap_block(test, heap, qtest_heap_stats(heap).total);
	let_them_work(test, crowd_on(test, heap), qtest_rounds(test, 200000));
	EXPECT_OK(test, quarry_heap_free(heap, held));
	stats = qtest_heap_stats(heap);
	kunit_info(test, "%llu extents came, %llu went", stats.nr_grows, stats.nr_gives);
	KUNIT_EXPECT_GT(test, stats.nr_grows, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_gives, stats.nr_grows - 1);
	qtest_heap_all_free(test, heap);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
	KUNIT_EXPECT_EQ(test, ranges->out, 0UL);
	KUNIT_EXPECT_EQ(test, atomic_read(&ranges->nr_faults), 0);
	for (i = 0; i < NR_RANGES; i++)
		qtest_fences(test, ranges->memory[i], RANGE);
}

/* ---- Everybody waits ---- */

/*
 * Each has one block at most, and none while it waits, so that whoever waits can
 * be served sooner or later: who isn't, though the others go on, was forgotten.
 */
static int wait_again_and_again(void *arg)
{
	struct worker *worker = arg;
	struct tenant *tenant = &worker->thread;
	unsigned long i;

	for (i = 0; i < worker->rounds; i++) {
		size_t size = 1 + qtest_below(&tenant->rnd, SZ_2K);
		bool brief = !qtest_below(&tenant->rnd, 16);
		void *block;
		int err;

		err = quarry_heap_alloc_wait(tenant->crowd->heap, size, brief ? 1 : 60 * HZ,
					     qtest_below(&tenant->rnd, 2), &block);
		expect(tenant->crowd, !err == !!block && (!err || (brief && err == -ETIMEDOUT)));
		if (qtest_below(&tenant->rnd, 2))
			cond_resched();
		if (!err) {
			sign(tenant->crowd, block, size);
			look_at(tenant->crowd, block);
			expect(tenant->crowd, !quarry_heap_free(tenant->crowd->heap, block));
		}
	}
	complete(&worker->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void nobody_who_waits_is_forgotten(struct kunit *test)
{
	enum { NR = 8 };
	struct qtest_heap *space = qtest_heap(test, 3 * SZ_1K, HEAP_PAGE);
	struct worker *workers = kunit_kcalloc(test, NR, sizeof(*workers), GFP_KERNEL);
	struct crowd *crowd = crowd_on(test, &space->heap);
	unsigned long rounds = qtest_rounds(test, 8000);
	struct rnd_state rnd;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	qtest_seed(test, &rnd);
	for (i = 0; i < NR; i++) {
		engage(&workers[i], crowd, &rnd);
		workers[i].rounds = rounds / NR;
		workers[i].task = kthread_run(wait_again_and_again, &workers[i], "quarry_heap/%d",
					      i);
	}
	for (i = 0; i < NR; i++)
		finish(test, &workers[i]);
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->nr_faults), 0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).nr_waiting, 0U);
	qtest_heap_all_free(test, &space->heap);
	EXPECT_OK(test, quarry_heap_fini(&space->heap, NULL));
}

static struct kunit_case context_cases[] = {
	KUNIT_CASE_SLOW(threads_and_interrupts_never_share_a_block),
	KUNIT_CASE_SLOW(blocks_at_hand_are_not_shared_either),
	KUNIT_CASE_SLOW(extents_come_and_go_under_many),
	KUNIT_CASE_SLOW(nobody_who_waits_is_forgotten),
	{}
};

static struct kunit_suite context_suite = {
	.name = "quarry_heap_context",
	.test_cases = context_cases,
};

kunit_test_suite(context_suite);
