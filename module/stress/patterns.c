// SPDX-License-Identifier: GPL-2.0
/*
 * Patterns of use. A pattern says which slot is next, and how large its block shall
 * be; that depends on the thread's random numbers alone, and on nothing that an
 * allocator answers. A slot whose block could not be had still counts as one that is
 * to be freed, so a seed gives the same requests whatever becomes of them.
 */
#include <linux/export.h>
#include <linux/gcd.h>
#include <linux/kernel.h>
#include <linux/minmax.h>

#include "stress.h"

/* ---- One block again and again: what caches are made for ---- */

static struct stress_slot *again(struct stress_worker *worker, u64 *size)
{
	return &worker->slots[0];
}

/* ---- Slots at random, freed or filled ---- */

static struct stress_slot *churn(struct stress_worker *worker, u64 *size)
{
	return &worker->slots[quarry_stress_below(&worker->random, worker->nr_slots)];
}

/* ---- All are filled, and all are freed ---- */

/* Slots apart by a random step that visits all of them. */
static void shuffle(struct stress_worker *worker)
{
	do {
		worker->stride = 1 + quarry_stress_below(&worker->random, worker->nr_slots);
	} while (gcd(worker->stride, worker->nr_slots) != 1);
}

/* Fill in order and drain in order, in reverse, at random; and so on. */
static struct stress_slot *fill_drain(struct stress_worker *worker, u64 *size)
{
	unsigned int i = worker->at;

	switch (worker->phase % 6) {
	case 3:
		i = worker->nr_slots - 1 - i;
		break;
	case 5:
		if (!i)
			shuffle(worker);
		div_u64_rem((u64)i * worker->stride, worker->nr_slots, &i);
		break;
	}
	if (++worker->at == worker->nr_slots) {
		worker->at = 0;
		worker->phase++;
	}
	return &worker->slots[i];
}

/* ---- Each thread frees what the one before it has allocated ---- */

/* A thread alone is its own neighbour. */
static struct stress_worker *neighbour(struct stress_worker *worker, unsigned int distance)
{
	struct stress_run *run = worker->run;

	return run->workers[(worker->nr + distance) % run->nr_workers];
}

/*
 * The slots are a ring with one writer and one reader. Where both can go on, a coin
 * says which; where none can, its reader may have finished, and then what it put there
 * last is its own again.
 */
static struct stress_slot *pass_on(struct stress_worker *worker, u64 *size)
{
	struct stress_worker *from = neighbour(worker, worker->run->nr_workers - 1);
	struct stress_worker *to = neighbour(worker, 1);
	/* Pairs with the release in passed_on(): what it tells of is there. */
	unsigned int nr_in = smp_load_acquire(&from->head) - from->tail;
	/* Pairs with the release in passed_on(): what was there is out. */
	unsigned int nr_out = worker->head - smp_load_acquire(&worker->tail);
	bool full = nr_out == worker->nr_slots;

	if (nr_in && (full || quarry_stress_below(&worker->random, 2)))
		return &from->slots[from->tail % from->nr_slots];
	if (!full)
		return &worker->slots[worker->head % worker->nr_slots];
	/* Pairs with the release in work(): the reader has done all that it does. */
	if (to != worker && smp_load_acquire(&to->finished))
		return &worker->slots[(worker->head - 1) % worker->nr_slots];
	return NULL;
}

/* A block that was freed was the neighbour's, or its own if the neighbour doesn't read. */
static void passed_on(struct stress_worker *worker, struct stress_slot *slot)
{
	struct stress_worker *from = neighbour(worker, worker->run->nr_workers - 1);
	bool ours = slot - worker->slots < worker->nr_slots && slot >= worker->slots;

	if (ours && slot->wanted)
		/* Pairs with the acquire in pass_on(). */
		smp_store_release(&worker->head, worker->head + 1);
	else if (ours && from != worker)
		worker->head--;
	else
		/* Pairs with the acquire in pass_on(). */
		smp_store_release(&from->tail, from->tail + 1);
}

/* ---- Holes between blocks, and then requests that don't fit there ---- */

/*
 * Small blocks everywhere; every second one goes, large ones come there; the other
 * small ones go, and then the large ones.
 */
static struct stress_slot *fragment(struct stress_worker *worker, u64 *size)
{
	static const struct {
		unsigned int first;
		unsigned int step;
		bool small;
	} phases[] = {
		{ 0, 1, true }, { 1, 2, false }, { 1, 2, false }, { 0, 2, false }, { 1, 2, false },
	};
	unsigned int i;

	while (phases[worker->phase].first + worker->at >= worker->nr_slots) {
		worker->at = 0;
		worker->phase = (worker->phase + 1) % ARRAY_SIZE(phases);
	}
	i = phases[worker->phase].first + worker->at;
	worker->at += phases[worker->phase].step;
	if (phases[worker->phase].small)
		*size = max(*size / 8, worker->run->settings.sizes.min);
	return &worker->slots[i];
}

/* ---- What is bad for every allocator that doesn't move blocks ---- */

/* How far a round goes: sizes double from round to round. */
static u64 round_size(const struct stress_worker *worker, unsigned int round)
{
	return worker->run->settings.sizes.min << round;
}

/* All but every so many are freed when a round ends; in the last round all are. */
static unsigned int kept_of(const struct stress_worker *worker, unsigned int round)
{
	if (round_size(worker, round + 1) > worker->run->settings.sizes.max)
		return 0;
	return 2U << min(round, 15U);
}

/*
 * After Robson (JACM 1971): fill with a size, free so that a few blocks remain spread
 * over all of it, go on with the double size. The sizes are by one off what classes and
 * powers of two are, too.
 */
static struct stress_slot *adversary(struct stress_worker *worker, u64 *size)
{
	unsigned int round = worker->phase / 2, kept = kept_of(worker, round);
	bool filling = worker->phase % 2 == 0;
	struct stress_slot *slot;
	unsigned int i;

	while (worker->at < worker->nr_slots) {
		i = worker->at++;
		slot = &worker->slots[i];
		if (slot->wanted == filling || (!filling && kept && i % kept == 0))
			continue;
		*size = round_size(worker, round) + quarry_stress_below(&worker->random, 3) - 1;
		*size = clamp(*size, worker->run->settings.sizes.min,
			      worker->run->settings.sizes.max);
		return slot;
	}
	worker->at = 0;
	worker->phase = filling || kept ? worker->phase + 1 : 0;
	return NULL;
}

static const struct stress_pattern patterns[] = {
	{ .name = "hot", .pick = again },
	{ .name = "churn", .pick = churn },
	{ .name = "fill-drain", .pick = fill_drain },
	{ .name = "producer-consumer", .pick = pass_on, .done = passed_on },
	{ .name = "fragment", .pick = fragment },
	{ .name = "adversary", .pick = adversary },
};

/**
 * quarry_stress_pattern() - a pattern of use
 * @index: its number, from 0 on
 *
 * Context: any.
 * Return: the pattern; NULL if there are not so many.
 */
const struct stress_pattern *quarry_stress_pattern(unsigned int index)
{
	return index < ARRAY_SIZE(patterns) ? &patterns[index] : NULL;
}
EXPORT_SYMBOL_GPL(quarry_stress_pattern);
