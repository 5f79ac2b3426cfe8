// SPDX-License-Identifier: GPL-2.0
/*
 * A run: threads that make requests until they have made enough, the time is up or
 * somebody stops them, and one more thread that waits for all of them, looks at what
 * is left, frees it and unmakes what was made.
 *
 *	start ---> N workers: requests in batches ---> done
 *	      \--> the concluder waits for all ------> figures, checks, drain, end
 *
 * Each thread is bound to a CPU, one after the other. Requests go in batches, each in
 * one context: the thread itself, or an interrupt on its CPU, for which the thread
 * waits. So whatever the context, a thread's requests come one after another, and
 * their sequence is the same: it follows from the seed alone. What else is drawn at
 * random (contexts, which block to look at) has a sequence of its own.
 *
 * All memory that the harness needs is taken from the host before the threads start.
 * None of it is used by what is stressed, but for what describes the allocators.
 *
 * Locking: none. A worker's fields belong to its thread, and to the interrupt that the
 * thread waits for; when the worker is done, to the concluder; and when the run is
 * over, to whoever has the run. Others read counters meanwhile, and get those of some
 * moment.
 */
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched/task.h>
#include <linux/timex.h>

#include "../instance.h"
#include "stress.h"

/* A batch ends after so many requests, or when it has touched so many bytes. */
#define BATCH		16
#define BATCH_BYTES	SZ_256K

/* ---- The threads ---- */

static bool is_finished(const struct stress_worker *worker)
{
	return READ_ONCE(worker->run->stop) || worker->nr_ops >= worker->max_ops;
}

static void make_batch(struct stress_worker *worker, enum stress_context context)
{
	unsigned int i;

	worker->context = context;
	worker->bytes = 0;
	for (i = 0; i < BATCH && worker->bytes < BATCH_BYTES && !is_finished(worker); i++)
		if (!quarry_stress_request(worker))
			break;
}

static void make_hard_batch(struct irq_work *work)
{
	struct stress_worker *worker = container_of(work, struct stress_worker, hard);

	make_batch(worker, STRESS_HARD);
	complete(&worker->stepped);
}

static void make_soft_batch(struct tasklet_struct *tasklet)
{
	struct stress_worker *worker = container_of(tasklet, struct stress_worker, soft);

	make_batch(worker, STRESS_SOFT);
	complete(&worker->stepped);
}

/* In an interrupt, hard and soft ones in turn, or just so. */
static void make_some_batch(struct stress_worker *worker)
{
	u32 dice = quarry_stress_below(&worker->order, 200);

	if (dice >= 2 * worker->run->settings.irq_percent) {
		make_batch(worker, STRESS_THREAD);
		return;
	}
	if (dice & 1)
		irq_work_queue(&worker->hard);
	else
		tasklet_schedule(&worker->soft);
	wait_for_completion(&worker->stepped);
}

static void verify_all(struct stress_worker *worker)
{
	struct stress_run *run = worker->run;
	unsigned int i;

	if (worker->nr_ops < worker->next_verify)
		return;
	worker->next_verify = worker->nr_ops + run->settings.verify_every;
	for (i = 0; i < run->nr_subjects; i++) {
		quarry_stress_verify(worker, &run->subjects[i]);
		cond_resched();
	}
}

/* One of its blocks; where they are passed on it is somebody else's meanwhile. */
static void check_some_block(struct stress_worker *worker)
{
	u32 i = quarry_stress_below(&worker->order, worker->nr_slots);
	const struct stress_slot *slot = &worker->slots[i];

	if (worker->run->settings.contents && !worker->run->pattern->done && slot->addr)
		quarry_stress_check_contents(worker, slot);
}

static int work(void *arg)
{
	struct stress_worker *worker = arg;
	struct stress_run *run = worker->run;

	while (!is_finished(worker)) {
		make_some_batch(worker);
		check_some_block(worker);
		verify_all(worker);
		if (ktime_get_ns() >= run->deadline)
			WRITE_ONCE(run->stop, true);
		cond_resched();
	}
	/* Pairs with the acquire in pass_on(): what it read is read. */
	smp_store_release(&worker->finished, true);
	complete(&worker->done);
	return 0;
}

/* The wait may take hours, which is no trouble; and no signal comes to such a thread. */
static int conclude(void *arg)
{
	struct stress_run *run = arg;
	unsigned int nr;

	for (nr = 0; nr < run->nr_workers; nr++)
		while (wait_for_completion_interruptible(&run->workers[nr]->done))
			;
	WRITE_ONCE(run->end, ktime_get_ns());
	quarry_stress_conclude(run);
	complete_all(&run->over);
	return 0;
}

/* ---- Making a run ---- */

static void free_worker(struct stress_worker *worker)
{
	if (!worker)
		return;
	if (worker->task) {
		kthread_stop(worker->task);
		put_task_struct(worker->task);
	}
	irq_work_sync(&worker->hard);
	tasklet_kill(&worker->soft);
	kvfree(worker->slots);
	kvfree(worker);
}

static void free_run(struct stress_run *run)
{
	unsigned int nr;

	if (run->task) {
		kthread_stop(run->task);
		put_task_struct(run->task);
	}
	for (nr = 0; nr < run->nr_workers; nr++)
		free_worker(run->workers[nr]);
	kvfree(run->workers);
	kvfree(run->taken);
	kvfree(run);
}

static void teardown_subjects(struct stress_run *run)
{
	while (run->nr_subjects) {
		struct stress_subject *subject = &run->subjects[--run->nr_subjects];

		subject->allocator->teardown(subject);
	}
}

static int setup_subject(struct stress_run *run, const struct stress_allocator *allocator)
{
	struct stress_subject *subject = &run->subjects[run->nr_subjects];
	int err;

	subject->allocator = allocator;
	subject->instance = run->instance;
	subject->max_size = U64_MAX;
	err = allocator->setup(subject, &run->settings);
	if (!err)
		run->nr_subjects++;
	return err;
}

static int setup_subjects(struct stress_run *run)
{
	const struct stress_allocator *allocator;
	unsigned int i;
	int err;

	for (i = 0; (allocator = quarry_stress_allocator(i)); i++) {
		if (!(run->settings.allocators & BIT_ULL(i)))
			continue;
		err = setup_subject(run, allocator);
		if (err)
			return err;
	}
	return 0;
}

/* Threads share what is to be done; what doesn't divide is for the first ones. */
static u64 share_of(u64 total, unsigned int nr, unsigned int nr_workers)
{
	u32 rest;
	u64 share = div_u64_rem(total, nr_workers, &rest);

	return share + (nr < rest);
}

static void init_latency(struct stress_worker *worker)
{
	unsigned int op, clock;

	for (op = 0; op < STRESS_NR_OPS; op++)
		for (clock = 0; clock < STRESS_NR_CLOCKS; clock++)
			quarry_stress_histogram_init(&worker->latency[op][clock]);
}

static void init_worker(struct stress_worker *worker, struct stress_run *run, unsigned int nr)
{
	const struct stress_settings *settings = &run->settings;
	unsigned int nr_workers = settings->threads;

	worker->run = run;
	worker->nr = nr;
	worker->random.state = quarry_stress_mix(settings->seed) + nr;
	worker->order.state = ~worker->random.state;
	worker->nr_slots = share_of(settings->live, nr, nr_workers) ?: 1;
	worker->max_ops = settings->ops ? share_of(settings->ops, nr, nr_workers) : U64_MAX;
	worker->next_verify = settings->verify_every ?: U64_MAX;
	worker->hard = IRQ_WORK_INIT_HARD(make_hard_batch);
	tasklet_setup(&worker->soft, make_soft_batch);
	init_completion(&worker->done);
	init_completion(&worker->stepped);
	init_latency(worker);
}

static int make_worker(struct stress_run *run, unsigned int nr, int cpu)
{
	struct stress_worker *worker = kvzalloc(sizeof(*worker), GFP_KERNEL);
	struct task_struct *task;

	if (!worker)
		return -ENOMEM;
	run->workers[run->nr_workers++] = worker;
	init_worker(worker, run, nr);
	worker->slots = kvcalloc(worker->nr_slots, sizeof(*worker->slots), GFP_KERNEL);
	if (!worker->slots)
		return -ENOMEM;
	task = kthread_create(work, worker, "quarry_stress/%u", nr);
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpu);
	worker->task = get_task_struct(task);
	return 0;
}

static int make_workers(struct stress_run *run)
{
	unsigned int nr;
	int err = 0, cpu = -1;

	run->workers = kvcalloc(run->settings.threads, sizeof(*run->workers), GFP_KERNEL);
	if (!run->workers)
		return -ENOMEM;
	for (nr = 0; nr < run->settings.threads && !err; nr++) {
		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		err = make_worker(run, nr, cpu);
	}
	return err;
}

static int make_concluder(struct stress_run *run)
{
	struct task_struct *task = kthread_create(conclude, run, "quarry_stress");

	if (IS_ERR(task))
		return PTR_ERR(task);
	run->task = get_task_struct(task);
	return 0;
}

static struct stress_run *make_run(struct quarry_instance *instance,
				   const struct stress_settings *settings)
{
	struct stress_run *run = kvzalloc(sizeof(*run), GFP_KERNEL);

	if (!run)
		return NULL;
	run->instance = instance;
	run->settings = *settings;
	run->settings.sizes.min = settings->size_min;
	run->settings.sizes.max = settings->size_max;
	run->pattern = quarry_stress_pattern(settings->pattern);
	run->has_cycles = get_cycles();
	init_completion(&run->over);
	run->taken = kvzalloc(quarry_stress_map_size(instance), GFP_KERNEL);
	if (run->taken)
		return run;
	kvfree(run);
	return NULL;
}

static void set_off(struct stress_run *run)
{
	u64 seconds = run->settings.seconds;
	unsigned int nr;

	run->start = ktime_get_ns();
	run->deadline = seconds ? run->start + seconds * NSEC_PER_SEC : U64_MAX;
	for (nr = 0; nr < run->nr_workers; nr++)
		wake_up_process(run->workers[nr]->task);
	wake_up_process(run->task);
}

/**
 * quarry_stress_run_start() - start a run
 * @instance: in whose region; NULL for the default one
 * @settings: what it does; they have been checked
 *
 * Context: may sleep.
 * Return: the run, under way; -ENODEV if there is no region; -ENOMEM if the host or the
 * region has no memory for it, or what an allocator's init or the host made of it.
 */
struct stress_run *quarry_stress_run_start(struct quarry_instance *instance,
					   const struct stress_settings *settings)
{
	struct stress_run *run;
	int err;

	if (!instance)
		instance = &quarry_default_instance;
	if (!instance->reservation.base)
		return ERR_PTR(-ENODEV);
	run = make_run(instance, settings);
	if (!run)
		return ERR_PTR(-ENOMEM);
	err = make_workers(run);
	if (!err)
		err = make_concluder(run);
	if (!err)
		err = setup_subjects(run);
	if (err) {
		teardown_subjects(run);
		free_run(run);
		return ERR_PTR(err);
	}
	set_off(run);
	return run;
}
EXPORT_SYMBOL_GPL(quarry_stress_run_start);

/**
 * quarry_stress_run_stop() - end a run before its time
 * @run: the run
 *
 * Returns when it is over. What it has done counts.
 *
 * Context: may sleep, for as long as it takes to free what the run has.
 */
void quarry_stress_run_stop(struct stress_run *run)
{
	if (quarry_stress_run_is_over(run))
		return;
	run->stopped = true;
	WRITE_ONCE(run->stop, true);
	wait_for_completion(&run->over);
}
EXPORT_SYMBOL_GPL(quarry_stress_run_stop);

/**
 * quarry_stress_run_wait() - wait until a run is over
 * @run: the run
 *
 * Context: may sleep.
 * Return: whether nothing was found.
 */
bool quarry_stress_run_wait(struct stress_run *run)
{
	wait_for_completion(&run->over);
	return !atomic_read(&run->nr_found);
}
EXPORT_SYMBOL_GPL(quarry_stress_run_wait);

/**
 * quarry_stress_run_is_over() - whether a run is over
 * @run: the run
 *
 * Context: any.
 * Return: whether all of it is done, and its result can be had.
 */
bool quarry_stress_run_is_over(const struct stress_run *run)
{
	return completion_done((struct completion *)&run->over);
}
EXPORT_SYMBOL_GPL(quarry_stress_run_is_over);

/**
 * quarry_stress_run_put() - forget a run
 * @run: the run; it is stopped if it isn't over
 *
 * Context: may sleep.
 */
void quarry_stress_run_put(struct stress_run *run)
{
	quarry_stress_run_stop(run);
	free_run(run);
}
EXPORT_SYMBOL_GPL(quarry_stress_run_put);

/* ---- Its end ---- */

static void take_figures(struct stress_run *run)
{
	struct stress_subject *subject;
	unsigned int i;

	for (i = 0; i < run->nr_subjects; i++) {
		subject = &run->subjects[i];
		subject->payload = atomic64_read(&subject->live);
		subject->allocator->figures(subject, &subject->figures);
	}
}

/* While nobody does anything. */
static void check_quiet(struct stress_run *run)
{
	struct stress_subject *subject;
	unsigned int i;

	for (i = 0; i < run->nr_subjects; i++) {
		subject = &run->subjects[i];
		if (subject->allocator->quiesce)
			subject->allocator->quiesce(subject);
		quarry_stress_check_lost(run, subject);
		quarry_stress_check_counters(run, subject);
	}
}

static void drain(struct stress_worker *worker)
{
	unsigned int i;

	worker->untimed = true;
	for (i = 0; i < worker->nr_slots; i++) {
		quarry_stress_free(worker, &worker->slots[i]);
		cond_resched();
	}
	kvfree(worker->slots);
	worker->slots = NULL;
	worker->nr_slots = 0;
}

static void verify_last(struct stress_run *run, struct stress_subject *subject)
{
	const struct stress_allocator *allocator = subject->allocator;
	bool tamper = run->settings.fault == STRESS_FAULT_BREAK && allocator->tamper &&
		      !atomic_xchg(&run->faulty, true);

	if (tamper)
		allocator->tamper(subject, 1);
	quarry_stress_verify(run->workers[0], subject);
	if (tamper)
		allocator->tamper(subject, -1);
}

/**
 * quarry_stress_conclude() - look at what a run left, free and unmake it
 * @run: the run, whose threads are done
 *
 * Context: may sleep.
 */
void quarry_stress_conclude(struct stress_run *run)
{
	unsigned int nr;

	check_quiet(run);
	take_figures(run);
	for (nr = 0; nr < run->nr_workers; nr++)
		drain(run->workers[nr]);
	check_quiet(run);
	for (nr = 0; nr < run->nr_subjects; nr++)
		verify_last(run, &run->subjects[nr]);
	for (nr = 0; nr < run->nr_subjects; nr++)
		quarry_stress_check_end(run, &run->subjects[nr]);
	kvfree(run->taken);
	run->taken = NULL;
}
