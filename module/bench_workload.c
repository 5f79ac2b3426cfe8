// SPDX-License-Identifier: GPL-2.0
/*
 * Patterns of use. They know no allocator, and draw the same numbers whichever
 * it is and however it answers, so that all of them get the same requests.
 */
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "bench.h"

#define PAGE_4K		((size_t)SZ_4K)

static u32 draw(struct bench_run *run, u32 below)
{
	return prandom_u32_state(&run->random) % below;
}

static size_t draw_size(struct bench_run *run)
{
	const struct bench_workload *workload = run->workload;

	return workload->min_size << draw(run, ilog2(workload->max_size / workload->min_size) + 1);
}

bool bench_run_alloc(struct bench_run *run, struct bench_slot *slot, size_t size)
{
	bool done;

	if (run->recorder)
		done = bench_recorded_alloc(run, size, slot);
	else
		done = run->allocator->alloc(run->ctx, size, slot);
	if (!done) {
		run->nr_failed++;
		return false;
	}
	slot->size = size;
	run->nr_live++;
	run->nr_done++;
	return true;
}

static void run_free(struct bench_run *run, struct bench_slot *slot)
{
	if (run->recorder)
		bench_recorded_free(run, slot);
	else
		run->allocator->free(run->ctx, slot);
	slot->size = 0;
	run->nr_live--;
	run->nr_done++;
}

/* A slot at random: freed if it holds something, else filled. */
static void churn(struct bench_run *run, unsigned int steps)
{
	while (steps--) {
		struct bench_slot *slot = &run->slots[draw(run, run->nr_slots)];
		size_t size = draw_size(run);

		if (slot->size)
			run_free(run, slot);
		else
			bench_run_alloc(run, slot, size);
	}
}

static int churn_warm(struct bench_run *run)
{
	churn(run, 2 * run->nr_slots);
	return 0;
}

static void churn_body(struct bench_run *run)
{
	churn(run, run->steps);
}

/* One block again and again: what caches are made for. */
static void hot_pair(struct bench_run *run)
{
	struct bench_slot slot = {};
	unsigned int i;

	for (i = 0; i < run->steps / 2; i++)
		if (bench_run_alloc(run, &slot, run->workload->min_size))
			run_free(run, &slot);
}

/* Before that, a block may have to go that was there to begin with. */
void bench_worst_body(struct bench_run *run)
{
	if (run->slots[0].size)
		run_free(run, &run->slots[0]);
	hot_pair(run);
}

/* Allocates until something is used up, and returns how many slots were filled. */
static unsigned int fill(struct bench_run *run)
{
	u64 room = run->space;
	unsigned int i;

	for (i = 0; i < run->nr_slots; i++) {
		size_t size = draw_size(run);

		if (!run->allocator->own_space && size > room)
			break;
		if (!bench_run_alloc(run, &run->slots[i], size))
			break;
		room -= size;
	}
	return i;
}

static void drain_in_order(struct bench_run *run, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		run_free(run, &run->slots[i]);
}

static void drain_in_reverse(struct bench_run *run, unsigned int nr)
{
	while (nr--)
		run_free(run, &run->slots[nr]);
}

static void drain_shuffled(struct bench_run *run, unsigned int nr)
{
	for (; nr; nr--) {
		struct bench_slot *slot = &run->slots[draw(run, nr)];

		run_free(run, slot);
		swap(*slot, run->slots[nr - 1]);
	}
}

static void fill_and(struct bench_run *run,
		     void (*drain)(struct bench_run *run, unsigned int nr))
{
	unsigned int nr;

	do {
		nr = fill(run);
		drain(run, nr);
	} while (nr && run->nr_done < run->steps);
}

static void fill_drain_in_order(struct bench_run *run)
{
	fill_and(run, drain_in_order);
}

static void fill_drain_in_reverse(struct bench_run *run)
{
	fill_and(run, drain_in_reverse);
}

static void fill_drain_shuffled(struct bench_run *run)
{
	fill_and(run, drain_shuffled);
}

#define PAGE_WORKLOAD(_name, _slots, _warm, _body)	\
	.name = _name,					\
	.slots = _slots,				\
	.min_size = PAGE_4K,				\
	.max_size = PAGE_4K << 6,			\
	.warm = _warm,					\
	.body = _body

const struct bench_workload bench_workloads[] = {
	{ PAGE_WORKLOAD("hot pair", 500, churn_warm, hot_pair) },
	{ PAGE_WORKLOAD("churn", 100, churn_warm, churn_body) },
	{ PAGE_WORKLOAD("churn", 500, churn_warm, churn_body) },
	{ PAGE_WORKLOAD("churn", 1000, churn_warm, churn_body) },
	{ PAGE_WORKLOAD("churn", 2000, churn_warm, churn_body) },
	{ PAGE_WORKLOAD("fill and drain in order", 2000, NULL, fill_drain_in_order) },
	{ PAGE_WORKLOAD("fill and drain in reverse", 2000, NULL, fill_drain_in_reverse) },
	{ PAGE_WORKLOAD("fill and drain shuffled", 2000, NULL, fill_drain_shuffled) },
	{ PAGE_WORKLOAD("one page of a free space", 1, NULL, hot_pair), .own_space = true },
	{}
};

const struct bench_workload bench_scaling = {
	PAGE_WORKLOAD("churn", 300, churn_warm, churn_body)
};

bool bench_suits(const struct bench_workload *workload, const struct bench_allocator *allocator)
{
	return workload->min_size >= allocator->min_size &&
	       workload->max_size <= allocator->max_size &&
	       (allocator->own_space || !workload->own_space);
}

int bench_run_init(struct bench_run *run)
{
	run->slots = kvcalloc(run->nr_slots, sizeof(*run->slots), GFP_KERNEL);
	return run->slots ? 0 : -ENOMEM;
}

void bench_run_fini(struct bench_run *run)
{
	kvfree(run->slots);
}

/* From here on the run does the same as every other one with this seed. */
int bench_run_warm(struct bench_run *run, u32 seed)
{
	int err = 0;

	prandom_seed_state(&run->random, seed);
	if (run->workload->warm)
		err = run->workload->warm(run);
	run->nr_done = 0;
	run->nr_failed = 0;
	return err;
}

/* Frees what is still live, unmeasured. */
void bench_run_drain(struct bench_run *run)
{
	unsigned int i;

	run->recorder = NULL;
	for (i = 0; i < run->nr_slots; i++)
		if (run->slots[i].size)
			run_free(run, &run->slots[i]);
}
