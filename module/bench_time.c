// SPDX-License-Identifier: GPL-2.0
/*
 * Nanoseconds, on one CPU and on two at once, where the machine runs at its own
 * speed. Single calls are too short to be timed, so a whole run is, and what
 * comes out is the average of a pair: one allocation and one free.
 *
 * Such times are noisy. So runs are repeated in rounds, each of them over all
 * allocators, which meet the same noise there. What counts are the lower quartiles,
 * and the ratios between them: noise only makes runs longer, and where a CPU shares
 * its core with another one, it may do so half of the time. The allocator that does
 * nothing tells what of a pair is the workload's own.
 *
 * Runs are timed with interrupts off. Nothing comes between then, and, which
 * matters more, taking a lock with interrupts saved costs what it does on a real
 * machine: to turn them off takes User-Mode Linux on several CPUs a system call,
 * some fifty times the time of an allocation; to find them off, nothing.
 *
 * When both CPUs were idle, the host of User-Mode Linux may run them on one of its
 * own for some milliseconds. What is timed then is its scheduler, and those who come
 * first in a round get most of that. So two threads toss a ball to one another before
 * they start, until it comes back as fast as only one that runs at the same time can
 * toss it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "bench.h"

#define MAX_THREADS	2

/* Tosses of the ball, how long they take at most between CPUs, and when to give up. */
#define TOSSES		16
#define PROMPT_NS	(100 * NSEC_PER_USEC)
#define PATIENCE_NS	(500 * NSEC_PER_MSEC)

/**
 * struct trial - what the allocators of a family are put to
 * @family: the family
 * @workload: one of its workloads
 * @space: what an allocator gets that has a space of its own
 * @nr_threads: threads that run it at once, on a CPU each, sharing its slots
 * @plan: operations that each thread does, and the first one's seed
 * @ring: where a workload that hands over does
 */
struct trial {
	const struct bench_family *family;
	const struct bench_workload *workload;
	u64 space;
	unsigned int nr_threads;
	const struct bench_plan *plan;
	struct bench_ring *ring;
};

enum ball {
	BACK,
	TOSSED,
	CAUGHT,
};

/**
 * struct gate - lets threads start together, and tells when all are done
 * @nr_threads: how many
 * @nr_away: threads that aren't there yet
 * @ball: enum ball; caught for good when they may start
 * @nr_running: threads that aren't done yet
 * @done: completed by the last one
 */
struct gate {
	unsigned int nr_threads;
	atomic_t nr_away;
	atomic_t ball;
	atomic_t nr_running;
	struct completion done;
};

/**
 * struct thread - one of the threads of a run
 * @run: what it does
 * @seed: of its sequence
 * @number: from 0 on
 * @gate: shared with the others
 * @task: the kernel thread
 * @tenths: of nanoseconds that a pair took
 * @err: why it took none
 */
struct thread {
	struct bench_run run;
	u32 seed;
	unsigned int number;
	struct gate *gate;
	struct task_struct *task;
	u64 tenths;
	int err;
};

/* ---- One run ---- */

static u64 time_body(struct bench_run *run)
{
	unsigned long flags = 0;
	u64 start, ns;

	if (!run->allocator->sleeps)
		local_irq_save(flags);
	start = ktime_get_ns();
	run->workload->body(run);
	ns = ktime_get_ns() - start;
	if (!run->allocator->sleeps)
		local_irq_restore(flags);
	return ns;
}

/* A thread at one end of a ring does half of each pair. */
static u64 tenths_of_pair(const struct bench_run *run, u64 ns)
{
	u64 nr = (u64)run->nr_done * (run->allocator->batch ?: 1);

	if (!nr)
		return 0;
	return div64_u64((run->ring ? 10 : 20) * ns, nr);
}

/* The first thread tosses the ball until it comes back promptly, and then lets go. */
static void toss(struct gate *gate)
{
	u64 begin = ktime_get_ns(), start, now = begin;
	unsigned int i;

	do {
		start = now;
		for (i = 0; i < TOSSES; i++) {
			atomic_set(&gate->ball, TOSSED);
			while (atomic_read(&gate->ball) != BACK)
				cpu_relax();
		}
		now = ktime_get_ns();
	} while (now - start > PROMPT_NS && now - begin < PATIENCE_NS);
	atomic_set(&gate->ball, CAUGHT);
}

static void toss_back(struct gate *gate)
{
	while (atomic_read(&gate->ball) != CAUGHT)
		if (atomic_cmpxchg(&gate->ball, TOSSED, BACK) != TOSSED)
			cpu_relax();
}

/* Returns when all threads are there, and run at the same time. */
static void pass(struct gate *gate, const struct thread *thread)
{
	atomic_dec(&gate->nr_away);
	while (atomic_read(&gate->nr_away))
		cpu_relax();
	if (thread->number)
		toss_back(gate);
	else if (gate->nr_threads > 1)
		toss(gate);
}

static int thread_main(void *data)
{
	struct thread *thread = data;
	struct gate *gate = thread->gate;
	u64 ns;

	thread->err = bench_run_warm(&thread->run, thread->seed);
	pass(gate, thread);
	ns = time_body(&thread->run);
	thread->tenths = tenths_of_pair(&thread->run, ns);
	if (atomic_dec_and_test(&gate->nr_running))
		complete(&gate->done);
	return 0;
}

static void threads_fini(struct thread *threads, unsigned int nr)
{
	while (nr--) {
		struct thread *thread = &threads[nr];

		if (thread->task) {
			kthread_stop(thread->task);
			put_task_struct(thread->task);
		}
		bench_run_drain(&thread->run);
		bench_run_fini(&thread->run);
	}
}

static int thread_init(struct thread *thread, unsigned int cpu)
{
	int err;

	err = bench_run_init(&thread->run);
	if (err)
		return err;
	thread->task = kthread_create(thread_main, thread, "quarry_bench/%u", cpu);
	if (IS_ERR(thread->task)) {
		bench_run_fini(&thread->run);
		return PTR_ERR(thread->task);
	}
	get_task_struct(thread->task);
	kthread_bind(thread->task, cpu);
	return 0;
}

/* Makes the threads of a run, not yet started, on the first CPUs. */
static int threads_init(struct thread *threads, const struct trial *trial,
			const struct bench_allocator *allocator, void *const *ctxs,
			struct gate *gate)
{
	const struct bench_workload *workload = trial->workload;
	unsigned int i = 0, cpu;
	int err;

	for_each_online_cpu(cpu) {
		if (i == trial->nr_threads)
			break;
		threads[i] = (struct thread) {
			.run.allocator = allocator,
			.run.ctx = workload->apart ? ctxs[i] : ctxs[0],
			.run.workload = workload,
			.run.space = div_u64(trial->space, trial->nr_threads),
			.run.nr_slots = max(workload->slots / trial->nr_threads, 1U),
			.run.steps = workload->steps ?: trial->plan->steps,
			.run.ring = trial->ring,
			.run.frees = i,
			.seed = trial->plan->seed + i,
			.number = i,
			.gate = gate,
		};
		err = thread_init(&threads[i], cpu);
		if (err) {
			threads_fini(threads, i);
			return err;
		}
		i++;
	}
	return 0;
}

/* Lets the threads do their work; what they did stays in their runs. */
static void threads_race(struct thread *threads, unsigned int nr, struct gate *gate)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		wake_up_process(threads[i].task);
	wait_for_completion(&gate->done);
}

/**
 * struct score - what an allocator reached in a trial
 * @tenths: of a nanosecond that a pair took, round by round
 * @nr_rounds: rounds so far
 * @nr_done: allocations and frees in all of them
 * @nr_failed: allocations that found no room
 */
struct score {
	u64 *tenths;
	unsigned int nr_rounds;
	unsigned long nr_done;
	unsigned long nr_failed;
};

static int add_round(struct score *score, const struct thread *threads, unsigned int nr)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (threads[i].err)
			return threads[i].err;
		sum += threads[i].tenths;
		score->nr_done += threads[i].run.nr_done;
		score->nr_failed += threads[i].run.nr_failed;
	}
	score->tenths[score->nr_rounds++] = div_u64(sum, nr);
	return 0;
}

static int time_run(const struct trial *trial, const struct bench_allocator *allocator,
		    void *const *ctxs, struct score *score)
{
	struct thread threads[MAX_THREADS];
	struct gate gate = {
		.nr_threads = trial->nr_threads,
		.nr_away = ATOMIC_INIT(trial->nr_threads),
		.nr_running = ATOMIC_INIT(trial->nr_threads),
		.done = COMPLETION_INITIALIZER_ONSTACK(gate.done),
	};
	int err;

	if (trial->ring)
		memset(trial->ring, 0, sizeof(*trial->ring));
	err = threads_init(threads, trial, allocator, ctxs, &gate);
	if (err)
		return err;
	threads_race(threads, trial->nr_threads, &gate);
	err = add_round(score, threads, trial->nr_threads);
	threads_fini(threads, trial->nr_threads);
	return err;
}

/* In a space that nobody used before, or one for each thread. */
static int time_in_fresh_space(const struct trial *trial, const struct bench_allocator *allocator,
			       struct score *score)
{
	unsigned int nr = 0, most = trial->workload->apart ? trial->nr_threads : 1;
	void *ctxs[MAX_THREADS];
	int err = 0;

	while (nr < most && !err) {
		ctxs[nr] = allocator->setup(trial->space);
		if (IS_ERR(ctxs[nr]))
			err = PTR_ERR(ctxs[nr]);
		else
			nr++;
	}
	if (!err)
		err = time_run(trial, allocator, ctxs, score);
	while (nr--)
		allocator->teardown(ctxs[nr]);
	return err;
}

/* ---- All of them ---- */

static int compare_times(const void *a, const void *b)
{
	u64 left = *(const u64 *)a, right = *(const u64 *)b;

	return (left > right) - (left < right);
}

static int report_score(const struct trial *trial, const struct bench_allocator *allocator,
			const struct score *score)
{
	struct bench_result result = {
		.family = trial->family->name,
		.allocator = allocator->name,
		.workload = trial->workload->name,
		.op = "pair",
		.space = trial->space,
		.slots = trial->workload->slots,
		.threads = trial->nr_threads,
		.count = score->nr_done / 2,
		.failed = score->nr_failed,
	};

	sort(score->tenths, score->nr_rounds, sizeof(*score->tenths), compare_times, NULL);
	result.avg = score->tenths[score->nr_rounds / 4];
	result.min = div_u64(score->tenths[0], 10);
	result.max = div_u64(score->tenths[score->nr_rounds - 1], 10);
	return bench_report(&result);
}

static void scores_fini(struct score *scores, const struct bench_family *family)
{
	unsigned int i;

	for (i = 0; family->allocators[i]; i++)
		kfree(scores[i].tenths);
	kfree(scores);
}

static struct score *scores_init(const struct bench_family *family, unsigned int nr_rounds)
{
	struct score *scores;
	unsigned int i, nr = 0;

	while (family->allocators[nr])
		nr++;
	scores = kcalloc(nr, sizeof(*scores), GFP_KERNEL);
	for (i = 0; scores && i < nr; i++) {
		scores[i].tenths = kcalloc(nr_rounds, sizeof(*scores[i].tenths), GFP_KERNEL);
		if (!scores[i].tenths) {
			scores_fini(scores, family);
			return NULL;
		}
	}
	return scores;
}

/* A round: each allocator that the workload suits, one after another. */
static int time_round(const struct trial *trial, struct score *scores)
{
	const struct bench_allocator *const *allocator = trial->family->allocators;
	int err = 0;

	for (; *allocator && !err; allocator++, scores++)
		if (bench_suits(trial->workload, *allocator))
			err = time_in_fresh_space(trial, *allocator, scores);
	return err;
}

static unsigned int rounds_of(const struct trial *trial)
{
	unsigned int most = trial->workload->max_rounds;

	return most ? min(most, trial->plan->rounds) : trial->plan->rounds;
}

static int time_trial(const struct trial *trial)
{
	const struct bench_allocator *const *allocators = trial->family->allocators;
	unsigned int i, nr_rounds = rounds_of(trial);
	struct score *scores = scores_init(trial->family, nr_rounds);
	int err = 0;

	if (!scores)
		return -ENOMEM;
	pr_info("timing: %s, %s, %u slots, %u threads\n", trial->family->name,
		trial->workload->name, trial->workload->slots, trial->nr_threads);
	for (i = 0; i < nr_rounds && !err; i++)
		err = time_round(trial, scores);
	for (i = 0; allocators[i] && !err; i++)
		if (scores[i].nr_rounds)
			err = report_score(trial, allocators[i], &scores[i]);
	scores_fini(scores, trial->family);
	return err;
}

static int time_handover(struct trial *trial)
{
	struct bench_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL);
	int err;

	if (!ring)
		return -ENOMEM;
	trial->ring = ring;
	err = time_trial(trial);
	trial->ring = NULL;
	kfree(ring);
	return err;
}

/* On one CPU, and on as many as there are; what takes two, on two. */
static int time_workload(struct trial *trial)
{
	unsigned int most = min_t(unsigned int, MAX_THREADS, num_online_cpus());
	int err = 0;

	trial->space = trial->workload->space ?: trial->family->space;
	trial->nr_threads = bench_takes_two(trial->workload) ? 2 : 1;
	if (trial->workload->handover)
		return most < 2 ? 0 : time_handover(trial);
	for (; trial->nr_threads <= most && !err; trial->nr_threads++)
		err = time_trial(trial);
	return err;
}

/**
 * bench_time() - time a family of allocators
 * @family: each of its allocators is put to each of its workloads
 * @plan: how many operations a thread does in a run, how many runs, and the seed
 *
 * Return: 0 or an errno.
 */
int bench_time(const struct bench_family *family, const struct bench_plan *plan)
{
	struct trial trial = { .family = family, .plan = plan };
	int err = 0;

	for (trial.workload = family->workloads; trial.workload->name && !err; trial.workload++)
		err = time_workload(&trial);
	return err;
}
