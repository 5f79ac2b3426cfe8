// SPDX-License-Identifier: GPL-2.0
/*
 * How well memory is used, rather than what a call costs: what part of its memory
 * an allocator can really give out, when it first has to refuse and in the long
 * run. All figures are thousandths.
 *
 * payload	bytes that were asked for in all blocks that are live
 * usable	bytes that the allocator has to give out: its memory, its metadata aside
 * first fill	payload of usable, when blocks of random sizes no longer fit
 * steady	the same, on average, over rounds that free a random tenth of all blocks
 *		and then fill up again
 * largest	with a random half of all blocks freed after that: the largest block that
 *		can be had, of all that is free
 * live set	the largest payload of usable that can be held for long, while random
 *		blocks come and go: what memory a program needs beyond its own
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/sizes.h>

#include "bench.h"

#define NR_ROUNDS	300
#define NR_STEPS	50000

/* In tenths of thousandths, as the table has one digit behind the point. */
static u64 share_of(u64 part, u64 whole)
{
	return div64_u64(part * 10000 + whole / 2, whole);
}

static u64 usable(const struct bench_run *run)
{
	return run->allocator->usable ? run->allocator->usable(run->ctx) : run->space;
}

static int report(struct bench_result *result, const char *op, u64 value)
{
	result->op = op;
	result->avg = value;
	result->min = div_u64(value, 10);
	result->max = result->min;
	return bench_report(result);
}

/* ---- Blocks that are live are in the first slots, without a gap ---- */

static bool add_block(struct bench_run *run, u64 *payload)
{
	struct bench_slot *slot = &run->slots[run->nr_live];

	if (run->nr_live == run->nr_slots || !bench_run_alloc(run, slot, bench_draw_size(run)))
		return false;
	*payload += slot->size;
	return true;
}

static void drop_block(struct bench_run *run, u64 *payload)
{
	struct bench_slot *slot = &run->slots[bench_draw(run, run->nr_live)];

	*payload -= slot->size;
	bench_run_free(run, slot);
	/* One block less is live now, so this is the last one; maybe the one that went. */
	swap(*slot, run->slots[run->nr_live]);
}

static void fill(struct bench_run *run, u64 *payload)
{
	while (add_block(run, payload))
		;
}

static void drop_blocks(struct bench_run *run, unsigned int nr, u64 *payload)
{
	while (nr--)
		drop_block(run, payload);
}

/* ---- What is told ---- */

static u64 fill_for_long(struct bench_run *run, u64 *payload)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < NR_ROUNDS; i++) {
		drop_blocks(run, run->nr_live / 10, payload);
		fill(run, payload);
		sum += *payload;
	}
	return div_u64(sum, NR_ROUNDS);
}

static bool can_have(struct bench_run *run, u64 size)
{
	struct bench_slot slot = {};

	if (!bench_run_alloc(run, &slot, size))
		return false;
	bench_run_free(run, &slot);
	return true;
}

static u64 largest_block(struct bench_run *run)
{
	u64 low = 0, high = run->space;

	while (high - low > 1) {
		u64 middle = (low + high) / 2;

		if (can_have(run, middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Whether blocks of so many bytes can come and go without a failure. */
static bool holds(struct bench_run *run, u64 target, u32 seed)
{
	unsigned int i;
	u64 payload = 0;
	bool held = true;

	prandom_seed_state(&run->random, seed);
	for (i = 0; i < NR_STEPS && held; i++) {
		if (payload < target)
			held = add_block(run, &payload);
		else
			drop_block(run, &payload);
	}
	drop_blocks(run, run->nr_live, &payload);
	return held;
}

static u64 live_set(struct bench_run *run, u32 seed)
{
	u64 share = 10000;

	while (share && !holds(run, div_u64(usable(run) * share, 10000), seed))
		share -= 50;
	return share;
}

/* Of a run that has just been started, so that all is free. */
int bench_tell_packing(struct bench_run *run, struct bench_result *result)
{
	u64 payload = 0, all = usable(run);
	u32 seed = prandom_u32_state(&run->random);
	int err;

	fill(run, &payload);
	err = report(result, "first fill", share_of(payload, all));
	if (!err)
		err = report(result, "steady", share_of(fill_for_long(run, &payload), all));
	drop_blocks(run, run->nr_live / 2, &payload);
	if (!err)
		err = report(result, "largest", share_of(largest_block(run), all - payload));
	drop_blocks(run, run->nr_live, &payload);
	if (!err)
		err = report(result, "live set", live_set(run, seed));
	return err;
}

int bench_tell_metadata(struct bench_run *run, struct bench_result *result)
{
	return report(result, "metadata", share_of(run->space - usable(run), run->space));
}

static int tell(const struct bench_figure *figure, const struct bench_allocator *allocator,
		const char *family, u32 seed)
{
	struct bench_run run = {
		.allocator = allocator,
		.workload = &figure->sizes,
		.space = figure->sizes.space,
		.nr_slots = figure->sizes.slots,
	};
	struct bench_result result = {
		.kind = BENCH_FIGURE,
		.family = family,
		.allocator = allocator->name,
		.workload = figure->sizes.name,
		.space = figure->sizes.space,
		.slots = figure->sizes.slots,
		.threads = 1,
	};
	int err;

	err = bench_run_start(&run);
	if (err)
		return err;
	prandom_seed_state(&run.random, seed);
	err = figure->tell(&run, &result);
	bench_run_stop(&run);
	return err;
}

/**
 * bench_tell_figures() - tell how well the allocators of a family use memory
 * @family: has figures
 * @plan: has the seed
 *
 * Return: 0 or an errno.
 */
int bench_tell_figures(const struct bench_family *family, const struct bench_plan *plan)
{
	const struct bench_figure *figure;
	unsigned int i;
	int err = 0;

	for (figure = family->figures; figure->tell && !err; figure++) {
		pr_info("use of memory: %s, %s\n", family->name, figure->sizes.name);
		for (i = 0; figure->allocators[i] && !err; i++)
			err = tell(figure, figure->allocators[i], family->name, plan->seed);
	}
	return err;
}
