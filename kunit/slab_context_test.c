// SPDX-License-Identifier: GPL-2.0
/*
 * Slab allocators on one backend that is too small for them all, used from threads
 * on all CPUs and from hard interrupts at once. Objects are made with nobody's
 * number on them; whoever gets one writes his own on it, and nobody else may have.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "backing.h"

#define NR_SLABS	3
#define NR_SLOTS	120
#define NR_SHARED	64

/**
 * struct crowd - all who use the same slab allocators
 * @backing: where all slabs come from
 * @slabs: the allocators
 * @shared: objects that are handed on from one to another
 * @nr_faults: what was seen that must not be
 * @nr_failures: allocations that found no object
 * @nr_interrupts: times that an interrupt used them
 */
struct crowd {
	struct qtest_backing *backing;
	struct quarry_slab *slabs[NR_SLABS];
	void *shared[NR_SLABS][NR_SHARED];
	atomic_t nr_faults;
	atomic_t nr_failures;
	atomic_t nr_interrupts;
};

/**
 * struct tenant - one who takes and gives back objects, in one context
 * @crowd: the others
 * @id: number on its objects
 * @rnd: what it does next
 * @objects: what it has of each allocator, NULL for nothing
 */
struct tenant {
	struct crowd *crowd;
	int id;
	struct rnd_state rnd;
	void *objects[NR_SLABS][NR_SLOTS];
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

static void make_nobodys(void *ctx, void *object)
{
	atomic_set(object, 0);
}

/* Changes the number on an object from what it must be. */
static void sign(struct tenant *tenant, void *object, int from, int to)
{
	if (atomic_cmpxchg(object, from, to) != from)
		atomic_inc(&tenant->crowd->nr_faults);
}

static void take(struct tenant *tenant, int nr, void **slot)
{
	*slot = quarry_slab_alloc(tenant->crowd->slabs[nr], 0);
	if (*slot)
		sign(tenant, *slot, 0, tenant->id);
	else
		atomic_inc(&tenant->crowd->nr_failures);
}

static void leave(struct tenant *tenant, int nr, void **slot)
{
	sign(tenant, *slot, tenant->id, 0);
	if (quarry_slab_free(tenant->crowd->slabs[nr], *slot))
		atomic_inc(&tenant->crowd->nr_faults);
	*slot = NULL;
}

/* What one has gets another's, who will free it. */
static void hand_on(struct tenant *tenant, int nr, void **slot)
{
	void **shelf = &tenant->crowd->shared[nr][qtest_below(&tenant->rnd, NR_SHARED)];

	if (*slot)
		sign(tenant, *slot, tenant->id, -1);
	*slot = xchg(shelf, *slot);
	if (*slot)
		sign(tenant, *slot, -1, tenant->id);
}

static void take_and_leave_many(struct tenant *tenant, int nr)
{
	void *objects[20];
	unsigned int i, got;

	got = quarry_slab_alloc_bulk(tenant->crowd->slabs[nr], 0, ARRAY_SIZE(objects), objects);
	for (i = 0; i < got; i++)
		sign(tenant, objects[i], 0, tenant->id);
	for (i = 0; i < got; i++)
		sign(tenant, objects[i], tenant->id, 0);
	if (quarry_slab_free_bulk(tenant->crowd->slabs[nr], got, objects))
		atomic_inc(&tenant->crowd->nr_faults);
}

static void step(struct tenant *tenant)
{
	int nr = qtest_below(&tenant->rnd, NR_SLABS);
	void **slot = &tenant->objects[nr][qtest_below(&tenant->rnd, NR_SLOTS)];

	switch (qtest_below(&tenant->rnd, 128)) {
	case 0:
		quarry_slab_reclaim(tenant->crowd->slabs[nr], 2);
		break;
	case 1:
		quarry_slab_set_keep(tenant->crowd->slabs[nr], qtest_below(&tenant->rnd, 4));
		break;
	case 2:
		quarry_slab_reserve(tenant->crowd->slabs[nr], qtest_below(&tenant->rnd, 4));
		break;
	case 3:
		take_and_leave_many(tenant, nr);
		break;
	case 4 ... 30:
		hand_on(tenant, nr, slot);
		break;
	default:
		if (*slot)
			leave(tenant, nr, slot);
		else
			take(tenant, nr, slot);
	}
}

static void leave_all(struct tenant *tenant)
{
	int nr, i;

	for (nr = 0; nr < NR_SLABS; nr++)
		for (i = 0; i < NR_SLOTS; i++)
			if (tenant->objects[nr][i])
				leave(tenant, nr, &tenant->objects[nr][i]);
}

static void interrupted(struct irq_work *raise)
{
	struct worker *worker = container_of(raise, struct worker, raise);
	int i;

	if (!in_hardirq())
		atomic_inc(&worker->interrupt.crowd->nr_faults);
	for (i = 0; i < 10; i++)
		step(&worker->interrupt);
	atomic_inc(&worker->interrupt.crowd->nr_interrupts);
}

/* Looks on while the others work: at no moment may anything be wrong. */
static void inspect(struct crowd *crowd)
{
	struct quarry_slab_stats stats;
	int nr;

	for (nr = 0; nr < NR_SLABS; nr++) {
		if (quarry_slab_verify(crowd->slabs[nr], NULL))
			atomic_inc(&crowd->nr_faults);
		quarry_slab_stats(crowd->slabs[nr], &stats);
		if (stats.nr_used > stats.nr_objects ||
		    stats.nr_allocs - stats.nr_frees != stats.nr_used ||
		    stats.nr_empty + stats.nr_partial + stats.nr_full != stats.nr_slabs)
			atomic_inc(&crowd->nr_faults);
	}
}

static int work(void *arg)
{
	struct worker *worker = arg;
	unsigned long i;

	for (i = 0; i < worker->rounds; i++) {
		step(&worker->thread);
		if (i % 32 == 0)
			irq_work_queue(&worker->raise);
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

static void engage(struct worker *worker, struct crowd *crowd, struct rnd_state *rnd, int nr)
{
	worker->thread.crowd = crowd;
	worker->interrupt.crowd = crowd;
	worker->thread.id = 2 * nr + 1;
	worker->interrupt.id = 2 * nr + 2;
	worker->raise = IRQ_WORK_INIT_HARD(interrupted);
	prandom_seed_state(&worker->thread.rnd, prandom_u32_state(rnd));
	prandom_seed_state(&worker->interrupt.rnd, prandom_u32_state(rnd));
	init_completion(&worker->done);
}

static void start(struct worker *worker, int nr, int cpu)
{
	worker->task = kthread_create(work, worker, "quarry_test/%d", nr);
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

/* Small objects, objects with their header outside, and large ones. */
static struct crowd *gather(struct kunit *test)
{
	struct crowd *crowd = kunit_kzalloc(test, sizeof(*crowd), GFP_KERNEL);
	static const size_t sizes[NR_SLABS] = { 64, 200, 1024 };
	struct quarry_slab_config config, headers;
	int nr;

	KUNIT_ASSERT_NOT_NULL(test, crowd);
	crowd->backing = test->priv;
	for (nr = 0; nr < NR_SLABS; nr++) {
		config = qtest_slab_config(test, sizes[nr], 0);
		config.slab_size = PAGE;
		config.ctor = make_nobodys;
		headers = qtest_slab_config(test, quarry_slab_header_size(&config), 0);
		if (nr == 1)
			config.headers = qtest_slab(test, &headers);
		crowd->slabs[nr] = qtest_slab(test, &config);
	}
	return crowd;
}

static void leave_shared(struct kunit *test, struct crowd *crowd)
{
	struct quarry_slab_stats stats;
	int nr, i;

	for (nr = 0; nr < NR_SLABS; nr++) {
		for (i = 0; i < NR_SHARED; i++)
			EXPECT_OK(test, quarry_slab_free(crowd->slabs[nr], crowd->shared[nr][i]));
		stats = qtest_slab_stats(crowd->slabs[nr]);
		KUNIT_EXPECT_EQ(test, stats.nr_used, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_allocs, stats.nr_frees);
	}
}

/* Two threads on each CPU, as they get in each other's way there, too. */
static void threads_and_interrupts_never_share_an_object(struct kunit *test)
{
	int cpu, i, nr = 0, nr_workers = 2 * num_online_cpus();
	struct crowd *crowd = gather(test);
	struct worker *workers = kunit_kcalloc(test, nr_workers, sizeof(*workers), GFP_KERNEL);
	unsigned long rounds = qtest_rounds(test, 400000) / nr_workers;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	qtest_seed(test, &rnd);
	for (i = 0; i < nr_workers; i++) {
		engage(&workers[i], crowd, &rnd, i);
		workers[i].rounds = rounds;
	}
	for (i = 0; i < 2; i++)
		for_each_online_cpu(cpu)
			if (nr < nr_workers) {
				start(&workers[nr], nr, cpu);
				nr++;
			}
	for (i = 0; i < nr; i++)
		finish(test, &workers[i]);

	kunit_info(test, "%d threads, %d interrupts, %d failures", nr,
		   atomic_read(&crowd->nr_interrupts), atomic_read(&crowd->nr_failures));
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->nr_faults), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&crowd->nr_interrupts), 0);
	leave_shared(test, crowd);
}

static struct kunit_case context_cases[] = {
	KUNIT_CASE(threads_and_interrupts_never_share_an_object),
	{}
};

static struct kunit_suite context_suite = {
	.name = "quarry_slab_context",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = context_cases,
};

kunit_test_suite(context_suite);
