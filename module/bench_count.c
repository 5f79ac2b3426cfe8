// SPDX-License-Identifier: GPL-2.0
/*
 * Instruction counts, call by call. In an emulator that advances the cycle
 * counter by one for each instruction, what a call costs is an exact number: the
 * same on every machine and in every run, and the maximum is a measured worst
 * case. What the measuring itself costs is counted on calls of an allocator that
 * does nothing, and taken off.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "bench.h"

#define NR_OVERHEAD_CALLS	100

enum op {
	OP_ALLOC,
	OP_FREE,
	OP_FAIL,
	NR_OPS,
};

static const char *const op_names[NR_OPS] = {
	[OP_ALLOC] = "alloc",
	[OP_FREE] = "free",
	[OP_FAIL] = "fail",
};

/**
 * struct series - what one kind of operation cost
 * @costs: of each call, in instructions
 * @nr: calls so far
 * @min: cost of the cheapest call
 * @max: cost of the dearest call
 * @max_size: what the dearest call asked for, or freed
 * @max_live: blocks that were live before it
 * @max_work: what it had to do, in the allocator's own unit
 */
struct series {
	u32 *costs;
	unsigned int nr;
	u32 min;
	u32 max;
	size_t max_size;
	unsigned int max_live;
	u64 max_work;
};

struct bench_recorder {
	unsigned int capacity;
	struct series series[NR_OPS];
};

/**
 * struct task - what a run is for
 * @plan: how many operations, and the seed
 * @kind: what the lines of the table tell
 * @family: its name
 * @space: what an allocator gets that has a space of its own
 */
struct task {
	const struct bench_plan *plan;
	enum bench_kind kind;
	const char *family;
	u64 space;
};

/* What the measuring costs, so that a call that does nothing costs 0. */
static u64 overhead[NR_OPS];

static u64 work_done(const struct bench_run *run)
{
	return run->allocator->work ? run->allocator->work(run->ctx) : 0;
}

static void record(const struct bench_run *run, enum op op, u64 cost, size_t size, u64 work)
{
	struct series *series = &run->recorder->series[op];

	if (WARN_ON_ONCE(series->nr == run->recorder->capacity))
		return;
	cost -= min(cost, overhead[op]);
	series->costs[series->nr++] = cost;
	if (series->nr == 1 || cost < series->min)
		series->min = cost;
	if (series->nr > 1 && cost <= series->max)
		return;
	series->max = cost;
	series->max_size = size;
	series->max_live = run->nr_live;
	series->max_work = work_done(run) - work;
}

bool bench_recorded_alloc(struct bench_run *run, size_t size, struct bench_slot *slot)
{
	u64 cost, work = work_done(run);
	struct bench_window window;
	bool done;

	bench_window_open(&window);
	done = run->allocator->alloc(run->ctx, size, slot);
	cost = bench_window_close(&window);
	record(run, done ? OP_ALLOC : OP_FAIL, cost, size, work);
	return done;
}

void bench_recorded_free(struct bench_run *run, const struct bench_slot *slot)
{
	u64 cost, work = work_done(run);
	struct bench_window window;

	bench_window_open(&window);
	run->allocator->free(run->ctx, slot);
	cost = bench_window_close(&window);
	record(run, OP_FREE, cost, slot->size, work);
}

static void recorder_fini(struct bench_recorder *recorder)
{
	enum op op;

	for (op = 0; op < NR_OPS; op++)
		kvfree(recorder->series[op].costs);
}

static int recorder_init(struct bench_recorder *recorder, unsigned int capacity)
{
	enum op op;

	*recorder = (struct bench_recorder) { .capacity = capacity };
	for (op = 0; op < NR_OPS; op++) {
		struct series *series = &recorder->series[op];

		series->costs = kvcalloc(capacity, sizeof(*series->costs), GFP_KERNEL);
		if (!series->costs) {
			recorder_fini(recorder);
			return -ENOMEM;
		}
	}
	return 0;
}

static int compare_costs(const void *a, const void *b)
{
	u32 left = *(const u32 *)a, right = *(const u32 *)b;

	return (left > right) - (left < right);
}

static u64 tenths_of_average(const struct series *series, unsigned int batch)
{
	u64 sum = 0, nr = (u64)series->nr * batch;
	unsigned int i;

	for (i = 0; i < series->nr; i++)
		sum += series->costs[i];
	return div64_u64(sum * 10 + nr / 2, nr);
}

static int report_series(const struct series *series, unsigned int batch,
			 struct bench_result *result)
{
	if (!series->nr)
		return 0;
	sort(series->costs, series->nr, sizeof(*series->costs), compare_costs, NULL);
	result->count = series->nr;
	result->min = series->min / batch;
	result->avg = tenths_of_average(series, batch);
	result->p99 = series->costs[(series->nr - 1) * 99 / 100] / batch;
	result->max = series->max / batch;
	snprintf(result->note, sizeof(result->note), "size %zu; live %u; work %llu",
		 series->max_size, series->max_live, series->max_work);
	return bench_report(result);
}

static int report_run(const struct bench_run *run, const struct task *task)
{
	unsigned int batch = run->allocator->batch ?: 1;
	struct bench_result result = {
		.kind = task->kind,
		.family = task->family,
		.allocator = run->allocator->name,
		.workload = run->workload->name,
		.space = run->space,
		.slots = run->nr_slots,
		.threads = 1,
		.failed = run->nr_failed,
	};
	enum op op;
	int err = 0;

	for (op = 0; op < NR_OPS && !err; op++) {
		result.op = op_names[op];
		err = report_series(&run->recorder->series[op], batch, &result);
	}
	return err;
}

/* Runs the workload's body with a recorder, in a fresh space. */
static int record_body(struct bench_run *run, const struct task *task)
{
	struct bench_recorder recorder;
	int err;

	err = bench_run_warm(run, task->plan->seed);
	if (err)
		return err;
	err = recorder_init(&recorder, 2 * run->steps + run->nr_slots);
	if (err)
		return err;
	run->recorder = &recorder;
	run->workload->body(run);
	err = report_run(run, task);
	run->recorder = NULL;
	recorder_fini(&recorder);
	return err;
}

static int measure(const struct task *task, const struct bench_allocator *allocator,
		   const struct bench_workload *workload)
{
	struct bench_run run = {
		.allocator = allocator,
		.workload = workload,
		.space = workload->space ?: task->space,
		.nr_slots = workload->slots,
		.steps = workload->steps ?: task->plan->steps,
	};
	int err;

	err = bench_run_start(&run);
	if (err)
		return err;
	err = record_body(&run, task);
	bench_run_stop(&run);
	return err;
}

static int count_workload(const struct task *task, const struct bench_family *family,
			  const struct bench_workload *workload)
{
	unsigned int i;
	int err = 0;

	pr_info("counting instructions: %s, %s, %u slots\n", family->name, workload->name,
		workload->slots);
	for (i = 0; family->allocators[i] && !err; i++)
		if (bench_suits(workload, family->allocators[i]))
			err = measure(task, family->allocators[i], workload);
	return err;
}

static int count_states(const struct task *task, const struct bench_family *family)
{
	const struct bench_state *state;
	int err = 0;

	pr_info("counting instructions: %s, states in %llu KiB\n", family->name,
		task->space / SZ_1K);
	for (state = family->states; state->allocator && !err; state++)
		err = measure(task, state->allocator, &state->workload);
	return err;
}

/* Least cost of the calls of an allocator that does nothing, nothing taken off. */
static int find_overhead(void)
{
	struct bench_slot slot = {};
	struct bench_recorder recorder;
	struct bench_run run = { .allocator = &bench_nothing, .recorder = &recorder };
	unsigned int i;
	int err;

	memset(overhead, 0, sizeof(overhead));
	err = recorder_init(&recorder, NR_OVERHEAD_CALLS);
	if (err)
		return err;
	for (i = 0; i < NR_OVERHEAD_CALLS; i++) {
		bench_recorded_alloc(&run, 1, &slot);
		bench_recorded_free(&run, &slot);
	}
	overhead[OP_ALLOC] = recorder.series[OP_ALLOC].min;
	overhead[OP_FREE] = recorder.series[OP_FREE].min;
	overhead[OP_FAIL] = overhead[OP_ALLOC];
	recorder_fini(&recorder);
	return 0;
}

/**
 * bench_count() - count the instructions of a family of allocators
 * @family: each of its allocators is put to each of its workloads and states
 * @plan: how many operations a run measures, and the seed
 *
 * Return: 0 or an errno.
 */
int bench_count(const struct bench_family *family, const struct bench_plan *plan)
{
	struct task task = {
		.plan = plan,
		.kind = BENCH_WORKLOAD,
		.family = family->name,
		.space = family->space,
	};
	const struct bench_workload *workload;
	const u64 *space;
	int err;

	err = find_overhead();
	for (workload = family->workloads; workload->name && !err; workload++)
		if (!bench_takes_two(workload))
			err = count_workload(&task, family, workload);
	task.kind = BENCH_STATE;
	for (space = family->spaces; family->states && *space && !err; space++) {
		task.space = *space;
		err = count_states(&task, family);
	}
	return err;
}
