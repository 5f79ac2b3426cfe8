// SPDX-License-Identifier: GPL-2.0
/*
 * Patterns of use. They know no allocator, and draw the same numbers whichever
 * it is and however it answers, so that all of them get the same requests.
 */
#include <linux/bug.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/processor.h>

#include "bench.h"

u32 bench_draw(struct bench_run *run, u32 below)
{
	return prandom_u32_state(&run->random) % below;
}

size_t bench_draw_size(struct bench_run *run)
{
	size_t min = run->workload->min_size, max = run->workload->max_size ?: min;

	switch (run->workload->spread) {
	case BENCH_UNIFORM:
		return min * (bench_draw(run, max / min) + 1);
	case BENCH_BYTES:
		return min + bench_draw(run, max - min + 1);
	case BENCH_LOG:
		min <<= bench_draw(run, ilog2(max / min));
		return min + bench_draw(run, min);
	default:
		return min << bench_draw(run, ilog2(max / min) + 1);
	}
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

void bench_run_free(struct bench_run *run, struct bench_slot *slot)
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
		struct bench_slot *slot = &run->slots[bench_draw(run, run->nr_slots)];
		size_t size = bench_draw_size(run);

		if (slot->size)
			bench_run_free(run, slot);
		else
			bench_run_alloc(run, slot, size);
	}
}

int bench_churn_warm(struct bench_run *run)
{
	churn(run, 2 * run->nr_slots);
	return 0;
}

void bench_churn(struct bench_run *run)
{
	churn(run, run->steps);
}

/* One block again and again: what caches are made for. */
void bench_hot_pair(struct bench_run *run)
{
	struct bench_slot slot = {};
	unsigned int i;

	for (i = 0; i < run->steps / 2; i++)
		if (bench_run_alloc(run, &slot, run->workload->min_size))
			bench_run_free(run, &slot);
}

/* Before that, a block may have to go that was there to begin with. */
void bench_state_pair(struct bench_run *run)
{
	if (run->slots[0].size)
		bench_run_free(run, &run->slots[0]);
	bench_hot_pair(run);
}

/* Allocates until something is used up, and returns how many slots were filled. */
static unsigned int fill(struct bench_run *run)
{
	u64 room = run->space;
	unsigned int i;

	for (i = 0; i < run->nr_slots; i++) {
		size_t size = bench_draw_size(run);

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
		bench_run_free(run, &run->slots[i]);
}

static void drain_in_reverse(struct bench_run *run, unsigned int nr)
{
	while (nr--)
		bench_run_free(run, &run->slots[nr]);
}

static void drain_shuffled(struct bench_run *run, unsigned int nr)
{
	for (; nr; nr--) {
		struct bench_slot *slot = &run->slots[bench_draw(run, nr)];

		bench_run_free(run, slot);
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

void bench_fill_drain_in_order(struct bench_run *run)
{
	fill_and(run, drain_in_order);
}

void bench_fill_drain_in_reverse(struct bench_run *run)
{
	fill_and(run, drain_in_reverse);
}

void bench_fill_drain_shuffled(struct bench_run *run)
{
	fill_and(run, drain_shuffled);
}

/* Write a message to what is handed over, if this workload does that. */
static void send(const struct bench_run *run, const struct bench_slot *slot, unsigned int nr)
{
	if (run->workload->message && run->allocator->memory && slot->size)
		*(unsigned int *)slot->handle = nr;
}

static void receive(const struct bench_run *run, const struct bench_slot *slot, unsigned int nr)
{
	if (run->workload->message && run->allocator->memory)
		WARN_ON_ONCE(*(unsigned int *)slot->handle != nr);
}

/*
 * Allocates for the other thread, which is to free all of it. Either side tells the
 * other one now and then how far it is, so that what they share costs little.
 */
static void hand_out(struct bench_run *run)
{
	unsigned int head, room = BENCH_RING_SIZE, nr = run->steps / 2;
	struct bench_ring *ring = run->ring;

	for (head = 0; head < nr; head++) {
		struct bench_slot *slot = &ring->slots[head % BENCH_RING_SIZE];

		while (head == room) {
			cpu_relax();
			/* Pairs with the release in take_over(): what was there is out. */
			room = smp_load_acquire(&ring->tail) + BENCH_RING_SIZE;
		}
		/* What can't be had is handed over as well, as an empty slot. */
		slot->size = 0;
		bench_run_alloc(run, slot, run->workload->min_size);
		send(run, slot, head);
		if ((head + 1) % BENCH_RING_STEP && head + 1 < nr)
			continue;
		/* Pairs with the acquire in take_over(): what it is told of is there. */
		smp_store_release(&ring->head, head + 1);
	}
}

static void take_over(struct bench_run *run)
{
	unsigned int tail, there = 0, nr = run->steps / 2;
	struct bench_ring *ring = run->ring;

	for (tail = 0; tail < nr; tail++) {
		struct bench_slot *slot = &ring->slots[tail % BENCH_RING_SIZE];

		while (tail == there) {
			cpu_relax();
			/* Pairs with the release in hand_out(). */
			there = smp_load_acquire(&ring->head);
		}
		if (slot->size) {
			receive(run, slot, tail);
			bench_run_free(run, slot);
		}
		if ((tail + 1) % BENCH_RING_STEP && tail + 1 < nr)
			continue;
		/* Pairs with the acquire in hand_out(). */
		smp_store_release(&ring->tail, tail + 1);
	}
}

/* One thread allocates, the other one frees. */
void bench_handover(struct bench_run *run)
{
	if (run->frees)
		take_over(run);
	else
		hand_out(run);
}

/* Whether an allocator is put to a workload. */
bool bench_suits(const struct bench_workload *workload, const struct bench_allocator *allocator)
{
	if (allocator->max_slots && workload->slots > allocator->max_slots)
		return false;
	return allocator->own_space || !workload->own_space;
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

/* With an allocator of its own, which nobody else uses. */
int bench_run_start(struct bench_run *run)
{
	int err;

	err = bench_run_init(run);
	if (err)
		return err;
	run->ctx = run->allocator->setup(run->space);
	err = PTR_ERR_OR_ZERO(run->ctx);
	if (err)
		bench_run_fini(run);
	return err;
}

void bench_run_stop(struct bench_run *run)
{
	bench_run_drain(run);
	run->allocator->teardown(run->ctx);
	bench_run_fini(run);
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
			bench_run_free(run, &run->slots[i]);
}
