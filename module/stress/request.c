// SPDX-License-Identifier: GPL-2.0
/*
 * One request of a thread: a block is allocated, or freed. The call is timed and what
 * came of it is checked. Here are also the faults that are made on purpose, each of
 * them once in a run, after a while: what would follow from an allocator's mistake is
 * made to follow from ours.
 */
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/timex.h>

#include "stress.h"

/* Requests before a fault is made, so that there is something to damage. */
#define FAULT_AFTER	64

/* ---- Faults ---- */

static bool plant(struct stress_worker *worker, enum stress_fault fault)
{
	struct stress_run *run = worker->run;

	if (likely(run->settings.fault != fault) || worker->nr_ops < FAULT_AFTER)
		return false;
	return !atomic_xchg(&run->faulty, true);
}

/* A block of the same allocator that is in use, to be handed out a second time. */
static u64 second_hand(struct stress_worker *worker, const struct stress_slot *slot)
{
	unsigned int i;

	if (worker->run->settings.fault != STRESS_FAULT_DOUBLE_HAND_OUT)
		return 0;
	for (i = 0; i < worker->nr_slots; i++) {
		const struct stress_slot *other = &worker->slots[i];

		if (other != slot && other->addr && other->subject == slot->subject)
			return plant(worker, STRESS_FAULT_DOUBLE_HAND_OUT) ? other->addr : 0;
	}
	return 0;
}

/* ---- Time ---- */

struct moment {
	u64 ns;
	cycles_t cycles;
};

static __always_inline struct moment now(void)
{
	return (struct moment) { .ns = ktime_get_mono_fast_ns(), .cycles = get_cycles() };
}

static void add_latency(struct stress_worker *worker, enum stress_op op, struct moment start,
			struct moment end)
{
	if (worker->untimed)
		return;
	quarry_stress_histogram_add(&worker->latency[op][STRESS_NS],
				    end.ns > start.ns ? end.ns - start.ns : 0);
	if (worker->run->has_cycles)
		quarry_stress_histogram_add(&worker->latency[op][STRESS_CYCLES],
					    (cycles_t)(end.cycles - start.cycles));
}

static int timed_alloc(struct stress_worker *worker, struct stress_subject *subject,
		       const struct stress_slot *slot, u64 *addr)
{
	struct moment start = now();
	int err = subject->allocator->alloc(subject, slot->size, addr);

	add_latency(worker, STRESS_ALLOC, start, now());
	return err;
}

static int timed_free(struct stress_worker *worker, struct stress_subject *subject,
		      const struct stress_slot *slot)
{
	struct moment start = now();
	int err = subject->allocator->free(subject, slot->addr, slot->size);

	add_latency(worker, STRESS_FREE, start, now());
	return err;
}

/* ---- The two requests ---- */

static enum stress_failure failure_of(int err)
{
	switch (err) {
	case -ENOMEM:
		return STRESS_ENOMEM;
	case -ENOSPC:
		return STRESS_ENOSPC;
	case -EINVAL:
		return STRESS_EINVAL;
	case -EIO:
		return STRESS_EIO;
	default:
		return STRESS_EOTHER;
	}
}

static void digest(struct stress_worker *worker, enum stress_op op,
		   const struct stress_slot *slot)
{
	worker->digest = quarry_stress_digest(worker->digest, slot->serial);
	worker->digest = quarry_stress_digest(worker->digest,
					      slot->size << 8 | slot->subject << 1 | op);
}

/* What may be had: the address, counted; or 0. */
static u64 get_block(struct stress_worker *worker, const struct stress_slot *slot)
{
	struct stress_subject *subject = &worker->run->subjects[slot->subject];
	struct stress_counts *counts = &worker->counts[slot->subject];
	u64 addr = second_hand(worker, slot);
	int err;

	if (unlikely(addr))
		return addr;
	err = timed_alloc(worker, subject, slot, &addr);
	if (err) {
		counts->nr_failures[failure_of(err)]++;
		return 0;
	}
	counts->nr_allocs++;
	if (unlikely(plant(worker, STRESS_FAULT_MISCOUNT)))
		counts->nr_allocs++;
	return addr;
}

static void add_live(struct stress_subject *subject, u64 size)
{
	s64 live = atomic64_add_return(size, &subject->live);
	s64 peak = atomic64_read(&subject->peak);

	while (live > peak && !atomic64_try_cmpxchg(&subject->peak, &peak, live))
		;
}

static void keep_block(struct stress_worker *worker, struct stress_slot *slot)
{
	if (!quarry_stress_add_block(worker, slot)) {
		slot->addr = 0;
		return;
	}
	add_live(&worker->run->subjects[slot->subject], slot->size);
	if (!worker->run->settings.contents)
		return;
	quarry_stress_fill(slot);
	worker->bytes += slot->size;
	if (unlikely(plant(worker, STRESS_FAULT_DAMAGE)))
		*(u8 *)(unsigned long)(slot->addr + slot->size / 2) ^= 0x10;
}

static void allocate(struct stress_worker *worker, struct stress_slot *slot, u64 size)
{
	struct stress_run *run = worker->run;

	slot->subject = quarry_stress_below(&worker->random, run->nr_subjects);
	slot->size = min(size, run->subjects[slot->subject].max_size);
	slot->serial = worker->serial++;
	slot->wanted = true;
	digest(worker, STRESS_ALLOC, slot);
	slot->addr = get_block(worker, slot);
	if (slot->addr)
		keep_block(worker, slot);
}

static int put_block(struct stress_worker *worker, const struct stress_slot *slot)
{
	struct stress_subject *subject = &worker->run->subjects[slot->subject];
	struct stress_slot inside = *slot;
	int err;

	if (unlikely(plant(worker, STRESS_FAULT_SKIP_FREE)))
		return 0;
	if (unlikely(plant(worker, STRESS_FAULT_BAD_FREE))) {
		inside.addr++;
		err = timed_free(worker, subject, &inside);
		if (err)
			quarry_stress_found_refused(worker, &inside, err);
	}
	return timed_free(worker, subject, slot);
}

/**
 * quarry_stress_free() - free the block in a slot, if there is one
 * @worker: who does it
 * @slot: the slot
 *
 * Context: any. O(size).
 */
void quarry_stress_free(struct stress_worker *worker, struct stress_slot *slot)
{
	int err;

	if (!slot->addr)
		return;
	if (worker->run->settings.contents) {
		quarry_stress_check_contents(worker, slot);
		worker->bytes += slot->size;
	}
	quarry_stress_del_block(worker, slot);
	atomic64_sub(slot->size, &worker->run->subjects[slot->subject].live);
	worker->checked[STRESS_REFUSED]++;
	err = put_block(worker, slot);
	if (err)
		quarry_stress_found_refused(worker, slot, err);
	else
		worker->counts[slot->subject].nr_frees++;
	slot->addr = 0;
}

/**
 * quarry_stress_request() - make the next request
 * @worker: who makes it
 *
 * Context: any. As the pattern's pick, the allocator, and O(size).
 * Return: whether it was made; false if there is nothing to do just now.
 */
bool quarry_stress_request(struct stress_worker *worker)
{
	const struct stress_pattern *pattern = worker->run->pattern;
	u64 size = quarry_stress_sizes_draw(&worker->run->settings.sizes, &worker->random);
	struct stress_slot *slot = pattern->pick(worker, &size);

	if (!slot)
		return false;
	if (slot->wanted) {
		slot->wanted = false;
		digest(worker, STRESS_FREE, slot);
		quarry_stress_free(worker, slot);
	} else {
		allocate(worker, slot, size);
	}
	if (pattern->done)
		pattern->done(worker, slot);
	worker->nr_ops_in[worker->context]++;
	WRITE_ONCE(worker->nr_ops, worker->nr_ops + 1);
	return true;
}
