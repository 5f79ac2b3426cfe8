// SPDX-License-Identifier: GPL-2.0
/*
 * One buddy, used from threads on all CPUs and from hard interrupts at once.
 * Whoever gets a page writes its number on it, and nobody else may have.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "helpers.h"

#define NR_SLOTS	16
#define CROWD_PAGES	509	/* few enough that some find no room */

/**
 * struct crowd - all who use one buddy
 * @buddy: the buddy
 * @owner: for each page who has it, 0 for nobody
 * @nr_faults: what was seen that must not be
 * @nr_interrupts: times that it was used from an interrupt
 */
struct crowd {
	struct quarry_buddy *buddy;
	atomic_t owner[CROWD_PAGES];
	atomic_t nr_faults;
	atomic_t nr_interrupts;
};

/**
 * struct tenant - one who takes and gives back blocks, in one context
 * @crowd: the others
 * @id: number on its pages
 * @rnd: what it does next
 * @blocks: what it has, size 0 for nothing
 */
struct tenant {
	struct crowd *crowd;
	int id;
	struct rnd_state rnd;
	struct quarry_buddy_block blocks[NR_SLOTS];
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

/* Changes the number on every page of a block from what it must be. */
static void sign(struct tenant *tenant, const struct quarry_buddy_block *block, int from, int to)
{
	u64 page = (block->addr - BASE) / PAGE;
	u64 end = page + block->size / PAGE;

	for (; page < end; page++)
		if (atomic_cmpxchg(&tenant->crowd->owner[page], from, to) != from)
			atomic_inc(&tenant->crowd->nr_faults);
}

static void take(struct tenant *tenant, struct quarry_buddy_block *block)
{
	u64 size = PAGES(1 + qtest_below(&tenant->rnd, 12));
	int err = quarry_buddy_alloc(tenant->crowd->buddy, size, qtest_below(&tenant->rnd, 4),
				     block);

	if (!err)
		sign(tenant, block, 0, tenant->id);
	else if (err != -ENOSPC)
		atomic_inc(&tenant->crowd->nr_faults);
}

static void leave(struct tenant *tenant, struct quarry_buddy_block *block)
{
	sign(tenant, block, tenant->id, 0);
	if (quarry_buddy_free(tenant->crowd->buddy, block->addr))
		atomic_inc(&tenant->crowd->nr_faults);
	block->size = 0;
}

static void step(struct tenant *tenant)
{
	struct quarry_buddy_block *block = &tenant->blocks[qtest_below(&tenant->rnd, NR_SLOTS)];

	if (block->size)
		leave(tenant, block);
	else
		take(tenant, block);
}

static void leave_all(struct tenant *tenant)
{
	int i;

	for (i = 0; i < NR_SLOTS; i++)
		if (tenant->blocks[i].size)
			leave(tenant, &tenant->blocks[i]);
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
	struct quarry_buddy_block block;
	u64 addr = BASE;

	if (quarry_buddy_verify(crowd->buddy, NULL))
		atomic_inc(&crowd->nr_faults);
	while (!quarry_buddy_next(crowd->buddy, addr, &block))
		addr = block.addr + block.size;
	if (addr != AT(CROWD_PAGES))
		atomic_inc(&crowd->nr_faults);
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
	*worker = (struct worker) {
		.thread = { .crowd = crowd, .id = 2 * nr + 1 },
		.interrupt = { .crowd = crowd, .id = 2 * nr + 2 },
		.raise = IRQ_WORK_INIT_HARD(interrupted),
	};
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

/* Two threads on each CPU, as they get in each other's way there, too. */
static void threads_and_interrupts_never_share_a_page(struct kunit *test)
{
	struct qtest_space *space = qtest_space(test, BASE, PAGES(CROWD_PAGES), PAGE);
	struct crowd *crowd = kunit_kzalloc(test, sizeof(*crowd), GFP_KERNEL);
	int cpu, i, nr = 0, nr_workers = 2 * num_online_cpus();
	struct worker *workers = kunit_kcalloc(test, nr_workers, sizeof(*workers), GFP_KERNEL);
	unsigned long rounds = qtest_rounds(test, 400000) / nr_workers;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, crowd);
	KUNIT_ASSERT_NOT_NULL(test, workers);
	crowd->buddy = &space->buddy;
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

	kunit_info(test, "%d threads, %d interrupts", nr, atomic_read(&crowd->nr_interrupts));
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->nr_faults), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&crowd->nr_interrupts), 0);
	quarry_buddy_stats(&space->buddy, &space->now);
	KUNIT_EXPECT_EQ(test, space->now.nr_misuses, 0ULL);
	KUNIT_EXPECT_GE(test, space->now.nr_allocs, (u64)CROWD_PAGES);
	qtest_all_free(test, space);
}

static struct kunit_case context_cases[] = {
	KUNIT_CASE(threads_and_interrupts_never_share_a_page),
	{}
};

static struct kunit_suite context_suite = {
	.name = "quarry_buddy_context",
	.test_cases = context_cases,
};

kunit_test_suite(context_suite);
