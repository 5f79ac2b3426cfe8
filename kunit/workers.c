// SPDX-License-Identifier: GPL-2.0
/*
 * Threads on all CPUs, which are interrupted by their own kind.
 */
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "workers.h"

/* Steps of a thread between two interrupts, and steps in an interrupt. */
#define PERIOD		32
#define IN_INTERRUPT	10

static void interrupted(struct qtest_worker *worker)
{
	int i;

	for (i = 0; i < IN_INTERRUPT; i++)
		worker->step(worker->interrupt);
	worker->nr_interrupts++;
}

static void raised(struct irq_work *raise)
{
	struct qtest_worker *worker = container_of(raise, struct qtest_worker, raise);

	worker->outside |= !in_hardirq();
	interrupted(worker);
}

/* Mostly in an interrupt; but a CPU that wakes up looks for such calls before one comes. */
static void poked(void *info)
{
	struct qtest_worker *worker = info;

	worker->outside |= !irqs_disabled();
	interrupted(worker);
}

/*
 * An interrupt of one's own comes at a moment of one's own, and on some machines not
 * before the next tick; one from another CPU comes at any.
 */
static void interrupt_someone(struct qtest_worker *worker)
{
	irq_work_queue(&worker->raise);
	if (worker->neighbour->cpu != worker->cpu)
		smp_call_function_single_async(worker->neighbour->cpu,
					       &worker->neighbour->poke);
}

static int work(void *arg)
{
	struct qtest_worker *worker = arg;
	unsigned long i;

	for (i = 0; i < worker->rounds; i++) {
		worker->step(worker->thread);
		if (i % PERIOD == 0)
			interrupt_someone(worker);
		cond_resched();
	}
	irq_work_sync(&worker->raise);
	complete(&worker->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static void engage(struct qtest_worker *worker, unsigned long rounds, int cpu,
		   struct qtest_worker *neighbour)
{
	worker->raise = IRQ_WORK_INIT_HARD(raised);
	INIT_CSD(&worker->poke, poked, worker);
	worker->neighbour = neighbour;
	worker->rounds = rounds;
	worker->cpu = cpu;
	init_completion(&worker->done);
}

static void start(struct qtest_worker *worker, int nr)
{
	worker->task = kthread_create(work, worker, "quarry_test/%d", nr);
	if (IS_ERR(worker->task))
		return;
	kthread_bind(worker->task, worker->cpu);
	wake_up_process(worker->task);
}

static void await(struct kunit *test, struct qtest_worker *worker)
{
	KUNIT_EXPECT_FALSE(test, IS_ERR(worker->task));
	if (IS_ERR(worker->task))
		return;
	wait_for_completion(&worker->done);
	kthread_stop(worker->task);
}

static void nothing(void *unused)
{
}

/* When nobody interrupts anybody any more, what is under way is waited for. */
static void dismiss(struct kunit *test, struct qtest_worker *worker)
{
	smp_call_function_single(worker->cpu, nothing, NULL, 1);
	worker->leave(worker->thread);
	worker->leave(worker->interrupt);
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
		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		engage(&workers[i], rounds, cpu, &workers[(i + 1) % nr]);
	}
	for (i = 0; i < nr; i++)
		start(&workers[i], i);
	for (i = 0; i < nr; i++)
		await(test, &workers[i]);
	for (i = 0; i < nr; i++) {
		dismiss(test, &workers[i]);
		nr_interrupts += workers[i].nr_interrupts;
	}
	KUNIT_EXPECT_GT(test, nr_interrupts, 0UL);
	return nr_interrupts;
}
