// SPDX-License-Identifier: GPL-2.0
/*
 * Threads on all CPUs, each of which is interrupted by its own kind.
 */
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "workers.h"

/* Steps of a thread between two interrupts, and steps in an interrupt. */
#define PERIOD		32
#define IN_INTERRUPT	10

static void interrupted(struct irq_work *raise)
{
	struct qtest_worker *worker = container_of(raise, struct qtest_worker, raise);
	int i;

	worker->outside |= !in_hardirq();
	for (i = 0; i < IN_INTERRUPT; i++)
		worker->step(worker->interrupt);
	worker->nr_interrupts++;
}

static int work(void *arg)
{
	struct qtest_worker *worker = arg;
	unsigned long i;

	for (i = 0; i < worker->rounds; i++) {
		worker->step(worker->thread);
		if (i % PERIOD == 0)
			irq_work_queue(&worker->raise);
		cond_resched();
	}
	irq_work_sync(&worker->raise);
	worker->leave(worker->thread);
	worker->leave(worker->interrupt);
	complete(&worker->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void start(struct qtest_worker *worker, int nr, int cpu)
{
	worker->task = kthread_create(work, worker, "quarry_test/%d", nr);
	if (IS_ERR(worker->task))
		return;
	kthread_bind(worker->task, cpu);
	wake_up_process(worker->task);
}

static void finish(struct kunit *test, struct qtest_worker *worker)
{
	KUNIT_EXPECT_FALSE(test, IS_ERR(worker->task));
	if (IS_ERR(worker->task))
		return;
	wait_for_completion(&worker->done);
	kthread_stop(worker->task);
	KUNIT_EXPECT_FALSE_MSG(test, worker->outside, "an interrupt that was none");
}

int qtest_nr_workers(void)
{
	return 2 * num_online_cpus();
}

unsigned long qtest_work(struct kunit *test, struct qtest_worker *workers, int nr,
			 unsigned long rounds)
{
	unsigned long nr_interrupts = 0;
	int i, cpu = -1;

	for (i = 0; i < nr; i++) {
		workers[i].raise = IRQ_WORK_INIT_HARD(interrupted);
		workers[i].rounds = rounds;
		init_completion(&workers[i].done);
	}
	for (i = 0; i < nr; i++) {
		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		start(&workers[i], i, cpu);
	}
	for (i = 0; i < nr; i++) {
		finish(test, &workers[i]);
		nr_interrupts += workers[i].nr_interrupts;
	}
	KUNIT_EXPECT_GT(test, nr_interrupts, 0UL);
	return nr_interrupts;
}
