// SPDX-License-Identifier: GPL-2.0
/*
 * What a run looks for. It trusts nothing that an allocator says of a block:
 *
 * 1. Overlap. A map has a bit for each granule of 8 bytes of the whole region. A block
 *    that is handed out sets its bits, each word of them at once, and must find them
 *    clear; it clears them before it is freed. So two blocks that are in use and share
 *    a byte are found when the second one comes, whichever allocators they are from.
 * 2. Contents. A block is filled with what follows from its address and size, and
 *    looked at when it is freed and now and then before.
 * 3. Lost blocks. While nobody does anything, what an allocator's walk finds in use must
 *    be in the map.
 * 4. Counters. While nobody does anything, what an allocator counted must be what the
 *    threads counted.
 * 5. The allocator's own verifier.
 *
 * The first that is found stops the run, and is told in the log with the blocks that
 * it is about. Who has a block is found by looking at all slots of all threads: that
 * takes its time, and is done once.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "../instance.h"
#include "stress.h"

const char *const quarry_stress_checks[STRESS_NR_CHECKS] = {
	[STRESS_OVERLAP]	= "overlap",
	[STRESS_MISPLACED]	= "misplaced",
	[STRESS_CONTENTS]	= "contents",
	[STRESS_REFUSED]	= "refused",
	[STRESS_LOST]		= "lost",
	[STRESS_COUNTERS]	= "counters",
	[STRESS_VERIFY]		= "verify",
};

/* ---- Telling ---- */

#define BLOCK_TEXT	112

static u64 offset_of(const struct stress_run *run, u64 addr)
{
	return quarry_instance_offset(run->instance, addr);
}

static const char *name_of(const struct stress_run *run, const struct stress_slot *slot)
{
	return run->subjects[slot->subject].allocator->name;
}

static void describe(char *text, const struct stress_worker *worker,
		     const struct stress_slot *slot)
{
	scnprintf(text, BLOCK_TEXT, "%s block at +0x%llx of %llu bytes (thread %u, request %llu)",
		  name_of(worker->run, slot), offset_of(worker->run, slot->addr), slot->size,
		  worker->nr, slot->serial);
}

/* The first one is told; all are counted, and stop the run. */
static __printf(3, 4) void found(struct stress_run *run, enum stress_check check,
				 const char *format, ...)
{
	va_list args;

	atomic_inc(&run->found[check]);
	WRITE_ONCE(run->stop, true);
	if (atomic_inc_return(&run->nr_found) > 1)
		return;
	va_start(args, format);
	vscnprintf(run->first, sizeof(run->first), format, args);
	va_end(args);
	pr_err("stress: FAIL: %s: %s\n", quarry_stress_checks[check], run->first);
}

/* ---- Who has what ---- */

static bool overlap(const struct stress_slot *a, const struct stress_slot *b)
{
	return a != b && b->addr && a->addr < b->addr + b->size && b->addr < a->addr + a->size;
}

static bool lies_before(const struct stress_slot *a, const struct stress_slot *b)
{
	return a != b && b->addr && b->addr < a->addr;
}

/* Describes the highest block that is @related to this one; false if there is none. */
static bool describe_other(char *text, const struct stress_run *run,
			   const struct stress_slot *slot,
			   bool (*related)(const struct stress_slot *a,
					   const struct stress_slot *b))
{
	const struct stress_slot *other, *best = NULL;
	const struct stress_worker *worker, *owner = NULL;
	unsigned int i, nr;

	for (nr = 0; nr < run->nr_workers; nr++) {
		worker = run->workers[nr];
		for (i = 0; i < worker->nr_slots; i++) {
			other = &worker->slots[i];
			if (!related(slot, other) || (best && best->addr >= other->addr))
				continue;
			best = other;
			owner = worker;
		}
	}
	if (best)
		describe(text, owner, best);
	return best;
}

/* ---- Overlap ---- */

/**
 * quarry_stress_map_size() - memory for the map of what is in use
 * @instance: in whose region a run is
 *
 * Context: any.
 * Return: bytes.
 */
size_t quarry_stress_map_size(const struct quarry_instance *instance)
{
	return BITS_TO_LONGS(div_u64(instance->managed.size, STRESS_GRANULE)) * sizeof(long);
}

static bool is_placed(const struct stress_run *run, const struct stress_slot *slot)
{
	return IS_ALIGNED(slot->addr, STRESS_GRANULE) &&
	       quarry_region_contains(&run->instance->managed, slot->addr, slot->size);
}

/* Set or clear the bits of a block; whether all of them were as they should be. */
static bool mark(struct stress_run *run, const struct stress_slot *slot, bool taken)
{
	unsigned long at = offset_of(run, slot->addr) / STRESS_GRANULE;
	unsigned long end = at + DIV_ROUND_UP(slot->size, STRESS_GRANULE);
	unsigned long mask, next;
	atomic_long_t *word;
	bool good = true;

	for (; at < end; at = next) {
		next = min(end, ALIGN_DOWN(at, BITS_PER_LONG) + BITS_PER_LONG);
		mask = GENMASK((next - 1) % BITS_PER_LONG, at % BITS_PER_LONG);
		word = (atomic_long_t *)&run->taken[at / BITS_PER_LONG];
		if (taken)
			good &= !(atomic_long_fetch_or(mask, word) & mask);
		else
			good &= (atomic_long_fetch_andnot(mask, word) & mask) == mask;
	}
	return good;
}

static noinline_for_stack void tell_overlap(struct stress_worker *worker,
					    const struct stress_slot *slot)
{
	char text[BLOCK_TEXT], other[BLOCK_TEXT];

	describe(text, worker, slot);
	if (!describe_other(other, worker->run, slot, overlap))
		strscpy(other, "a block that was just freed", sizeof(other));
	found(worker->run, STRESS_OVERLAP, "%s lies in %s", text, other);
}

/**
 * quarry_stress_add_block() - a block was handed out
 * @worker: to whom
 * @slot: the block
 *
 * Context: any. O(size).
 * Return: whether it lies where it may; else this has been told, and the block is to
 * be forgotten.
 */
bool quarry_stress_add_block(struct stress_worker *worker, const struct stress_slot *slot)
{
	worker->checked[STRESS_MISPLACED]++;
	if (!is_placed(worker->run, slot)) {
		found(worker->run, STRESS_MISPLACED, "%s block at %+lld of %llu bytes",
		      name_of(worker->run, slot), offset_of(worker->run, slot->addr),
		      slot->size);
		return false;
	}
	worker->checked[STRESS_OVERLAP]++;
	if (mark(worker->run, slot, true))
		return true;
	tell_overlap(worker, slot);
	return false;
}

/**
 * quarry_stress_del_block() - a block is going to be freed
 * @worker: by whom
 * @slot: the block
 *
 * Context: any. O(size).
 */
void quarry_stress_del_block(struct stress_worker *worker, const struct stress_slot *slot)
{
	mark(worker->run, slot, false);
}

/* ---- Contents ---- */

static u64 word_of(const struct stress_slot *slot, u64 index)
{
	return (quarry_stress_mix(slot->addr) ^ slot->size) + index * 0x9e3779b97f4a7c15ULL;
}

/**
 * quarry_stress_fill() - write what a block is to hold
 * @slot: the block
 *
 * Context: any. O(size).
 */
void quarry_stress_fill(const struct stress_slot *slot)
{
	u64 *words = (u64 *)(unsigned long)slot->addr;
	u64 i, nr = slot->size / sizeof(u64), last = word_of(slot, nr);

	for (i = 0; i < nr; i++)
		words[i] = word_of(slot, i);
	memcpy(&words[nr], &last, slot->size % sizeof(u64));
}

static noinline_for_stack void tell_contents(struct stress_worker *worker,
					     const struct stress_slot *slot, u64 index)
{
	const u64 *word = (u64 *)(unsigned long)slot->addr + index;
	size_t size = min_t(u64, slot->size - index * sizeof(u64), sizeof(u64));
	char text[BLOCK_TEXT], other[BLOCK_TEXT];
	u64 expected = word_of(slot, index);
	bool other_is_there;

	describe(text, worker, slot);
	other_is_there = describe_other(other, worker->run, slot, lies_before);
	found(worker->run, STRESS_CONTENTS,
	      "%s holds %*phN at byte %llu, not %*phN; before it: %s",
	      text, (int)size, word, index * sizeof(u64), (int)size, &expected,
	      other_is_there ? other : "nothing");
}

/**
 * quarry_stress_check_contents() - look if a block still holds what was written
 * @worker: who has it
 * @slot: the block
 *
 * Context: any. O(size).
 */
void quarry_stress_check_contents(struct stress_worker *worker, const struct stress_slot *slot)
{
	const u64 *words = (u64 *)(unsigned long)slot->addr;
	u64 i, nr = slot->size / sizeof(u64), last = word_of(slot, nr);

	worker->checked[STRESS_CONTENTS]++;
	for (i = 0; i < nr; i++)
		if (words[i] != word_of(slot, i))
			break;
	if (i < nr || memcmp(&words[nr], &last, slot->size % sizeof(u64)))
		tell_contents(worker, slot, i);
}

/* ---- Refused, lost, counters, verify ---- */

/**
 * quarry_stress_found_refused() - a block could not be freed
 * @worker: by whom
 * @slot: the block
 * @err: why
 *
 * Context: any.
 */
void quarry_stress_found_refused(struct stress_worker *worker, const struct stress_slot *slot,
				 int err)
{
	char text[BLOCK_TEXT];

	describe(text, worker, slot);
	found(worker->run, STRESS_REFUSED, "%s is not freed: %pe", text, ERR_PTR(err));
}

static bool is_taken(const struct stress_run *run, u64 addr)
{
	return test_bit((unsigned long)offset_of(run, addr) / STRESS_GRANULE, run->taken);
}

/* Where blocks are looked for that nobody has. */
struct search {
	struct stress_run *run;
	const char *allocator;
};

static void check_taken(void *ctx, u64 addr, u64 size)
{
	struct search *search = ctx;

	cond_resched();
	if (!is_taken(search->run, addr))
		found(search->run, STRESS_LOST,
		      "%s block at +0x%llx of %llu bytes is in use, and nobody has it",
		      search->allocator, offset_of(search->run, addr), size);
}

/**
 * quarry_stress_check_lost() - look for blocks in use that nobody has
 * @run: the run, in which nobody does anything now
 * @subject: the allocator
 *
 * Context: may sleep. O(pages + blocks), for a zone for each of its classes.
 */
void quarry_stress_check_lost(struct stress_run *run, struct stress_subject *subject)
{
	struct search search = { .run = run, .allocator = subject->allocator->name };

	run->workers[0]->checked[STRESS_LOST]++;
	subject->allocator->walk(subject, check_taken, &search);
}

/**
 * quarry_stress_check_end() - unmake an allocator, in which nothing should be in use
 * @run: the run
 * @subject: the allocator
 *
 * Context: may sleep.
 */
void quarry_stress_check_end(struct stress_run *run, struct stress_subject *subject)
{
	int err = subject->allocator->teardown(subject);

	if (err)
		found(run, STRESS_LOST, "%s doesn't end well: %pe", subject->allocator->name,
		      ERR_PTR(err));
}

static void expect(struct stress_run *run, const struct stress_subject *subject,
		   const char *what, u64 counted, u64 expected)
{
	run->workers[0]->checked[STRESS_COUNTERS]++;
	if (counted != expected)
		found(run, STRESS_COUNTERS, "%s says %s: %llu, but it is %llu",
		      subject->allocator->name, what, counted, expected);
}

/**
 * quarry_stress_check_counters() - look if an allocator counted as the threads did
 * @run: the run, in which nobody does anything now
 * @subject: the allocator
 *
 * Context: may sleep.
 */
void quarry_stress_check_counters(struct stress_run *run, struct stress_subject *subject)
{
	unsigned int index = subject - run->subjects, i, nr;
	u64 nr_allocs = 0, nr_frees = 0, nr_failures = 0;
	struct stress_figures figures = {};
	struct stress_counts *counts;

	for (nr = 0; nr < run->nr_workers; nr++) {
		counts = &run->workers[nr]->counts[index];
		nr_allocs += counts->nr_allocs;
		nr_frees += counts->nr_frees;
		for (i = 0; i < STRESS_NR_FAILURES; i++)
			nr_failures += counts->nr_failures[i];
	}
	subject->allocator->figures(subject, &figures);
	expect(run, subject, "nr_allocs", figures.nr_allocs, nr_allocs);
	expect(run, subject, "nr_frees", figures.nr_frees, nr_frees);
	expect(run, subject, "nr_used", figures.nr_used, nr_allocs - nr_frees);
	expect(run, subject, "nr_failures", figures.nr_failures, nr_failures);
	expect(run, subject, "nr_misuses", figures.nr_misuses, 0);
}

/**
 * quarry_stress_verify() - have an allocator verify itself
 * @worker: who wants to know
 * @subject: the allocator
 *
 * Context: process context.
 */
void quarry_stress_verify(struct stress_worker *worker, struct stress_subject *subject)
{
	struct quarry_fault fault = {};

	worker->checked[STRESS_VERIFY]++;
	if (subject->allocator->verify(subject, &fault))
		found(worker->run, STRESS_VERIFY,
		      "%s: %s at 0x%llx: expected 0x%llx, found 0x%llx",
		      subject->allocator->name, fault.what, fault.addr, fault.expected,
		      fault.found);
}
