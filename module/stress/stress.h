/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_STRESS_H
#define QUARRY_STRESS_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/math64.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "../../lib/report.h"

struct dentry;
struct quarry_instance;
struct seq_file;
struct stress_run;
struct stress_subject;
struct stress_worker;
struct task_struct;

#define STRESS_MAX_THREADS	64
#define STRESS_MAX_LIVE		SZ_1M
#define STRESS_MAX_SIZE		SZ_1G

/* ---- Random numbers: the same on every kernel ---- */

/**
 * struct stress_random - a sequence of random numbers
 * @state: where it is
 */
struct stress_random {
	u64 state;
};

/**
 * quarry_stress_mix() - a number that has nothing to do with another one
 * @word: the other one
 *
 * The finalizer of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014).
 *
 * Context: any. O(1).
 * Return: a number that is different for each @word.
 */
static inline u64 quarry_stress_mix(u64 word)
{
	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
	word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
	return word ^ (word >> 31);
}

static inline u64 quarry_stress_random(struct stress_random *random)
{
	random->state += 0x9e3779b97f4a7c15ULL;
	return quarry_stress_mix(random->state);
}

/* A number from 0 up to, not including, @limit. */
static inline u32 quarry_stress_below(struct stress_random *random, u32 limit)
{
	return ((quarry_stress_random(random) >> 32) * limit) >> 32;
}

/**
 * quarry_stress_digest() - add a number to a digest
 * @digest: of the numbers so far
 * @word: the next one
 *
 * Context: any. O(1).
 * Return: the digest of all of them in their order.
 */
static inline u64 quarry_stress_digest(u64 digest, u64 word)
{
	return quarry_stress_mix(digest * 31 + word + 1);
}

/* ---- Sizes ---- */

#define STRESS_MAX_BARS		32

/**
 * enum stress_spread - how sizes are drawn between the smallest and the largest
 * @STRESS_UNIFORM: each number of bytes is as likely
 * @STRESS_LOG_UNIFORM: each doubling is as likely, and in it each number of bytes
 * @STRESS_POWER_LAW: a size of twice the bytes is a quarter as likely
 * @STRESS_BARS: those that the user wrote, as often as the user wrote
 * @STRESS_NR_SPREADS: how many there are
 */
enum stress_spread {
	STRESS_UNIFORM,
	STRESS_LOG_UNIFORM,
	STRESS_POWER_LAW,
	STRESS_BARS,
	STRESS_NR_SPREADS,
};

/**
 * struct stress_sizes - a distribution of sizes
 * @spread: what kind of one
 * @min: smallest, unless it is STRESS_BARS
 * @max: largest, unless it is STRESS_BARS
 * @nr_bars: for STRESS_BARS, how many sizes there are
 * @total: the sum of their weights
 * @bars: the sizes, and how often each is drawn
 */
struct stress_sizes {
	enum stress_spread spread;
	u64 min;
	u64 max;
	unsigned int nr_bars;
	u32 total;
	struct stress_bar {
		u32 size;
		u32 weight;
	} bars[STRESS_MAX_BARS];
};

extern const char *const quarry_stress_spreads[STRESS_NR_SPREADS];

int quarry_stress_sizes_parse(struct stress_sizes *sizes, char *text);
void quarry_stress_sizes_show(const struct stress_sizes *sizes, struct seq_file *m);
u64 quarry_stress_sizes_draw(const struct stress_sizes *sizes, struct stress_random *random);

/* ---- Latencies ---- */

/* Buckets for each power of two: what is said of percentiles is that exact. */
#define STRESS_SUB_SHIFT	3
#define STRESS_NR_BUCKETS	((64 - STRESS_SUB_SHIFT + 1) << STRESS_SUB_SHIFT)

/**
 * struct stress_histogram - how often something took how long
 * @nr: values
 * @sum: of all of them
 * @min: the least; U64_MAX when there is none
 * @max: the most
 * @buckets: how many values were about the same
 */
struct stress_histogram {
	u64 nr;
	u64 sum;
	u64 min;
	u64 max;
	u64 buckets[STRESS_NR_BUCKETS];
};

void quarry_stress_histogram_init(struct stress_histogram *histogram);
void quarry_stress_histogram_add(struct stress_histogram *histogram, u64 value);
void quarry_stress_histogram_merge(struct stress_histogram *to,
				   const struct stress_histogram *from);
u64 quarry_stress_histogram_percentile(const struct stress_histogram *histogram,
				       unsigned int thousandths);
u64 quarry_stress_histogram_octave(const struct stress_histogram *histogram, unsigned int log2);

/* ---- Settings ---- */

/**
 * enum stress_fault - what a run does wrong on purpose, to see that it is found
 * @STRESS_FAULT_NONE: nothing
 * @STRESS_FAULT_DAMAGE: changes a byte of a block
 * @STRESS_FAULT_SKIP_FREE: doesn't free a block
 * @STRESS_FAULT_DOUBLE_HAND_OUT: takes a block for a new one that is in use
 * @STRESS_FAULT_BAD_FREE: frees an address inside a block
 * @STRESS_FAULT_MISCOUNT: counts an allocation that there was not
 * @STRESS_FAULT_BREAK: changes a number in the allocator before it is verified
 * @STRESS_NR_FAULTS: how many there are
 */
enum stress_fault {
	STRESS_FAULT_NONE,
	STRESS_FAULT_DAMAGE,
	STRESS_FAULT_SKIP_FREE,
	STRESS_FAULT_DOUBLE_HAND_OUT,
	STRESS_FAULT_BAD_FREE,
	STRESS_FAULT_MISCOUNT,
	STRESS_FAULT_BREAK,
	STRESS_NR_FAULTS,
};

/**
 * struct stress_settings - what a run does
 * @allocators: a bit for each that is stressed, see quarry_stress_allocator()
 * @pattern: its number, see quarry_stress_pattern()
 * @threads: how many, one CPU after the other
 * @ops: requests of all threads together; 0 for no limit
 * @seconds: how long; 0 for no limit
 * @seed: of the sequence of requests
 * @size_min: smallest size
 * @size_max: largest size
 * @live: blocks that all threads together hold at most
 * @contents: whether blocks are filled and looked at
 * @irq_percent: share of the requests made in interrupts, hard and soft in turn
 * @verify_every: requests of a thread after which it has all verified; 0 for the end only
 * @fault: enum stress_fault
 * @sizes: how sizes are drawn; its @min and @max are taken from here at the start
 */
struct stress_settings {
	u64 allocators;
	u64 pattern;
	u64 threads;
	u64 ops;
	u64 seconds;
	u64 seed;
	u64 size_min;
	u64 size_max;
	u64 live;
	u64 contents;
	u64 irq_percent;
	u64 verify_every;
	u64 fault;
	struct stress_sizes sizes;
};

void quarry_stress_settings_init(struct stress_settings *settings);
int quarry_stress_settings_check(const struct stress_settings *settings);
void quarry_stress_settings_show(const struct stress_settings *settings, struct seq_file *m);
void quarry_stress_settings_create(struct dentry *folder);
void quarry_stress_settings_get(struct stress_settings *settings);

/* ---- Allocators ---- */

/**
 * struct stress_figures - what an allocator says of itself
 * @nr_used: blocks in use
 * @nr_allocs: blocks handed out
 * @nr_frees: blocks taken back
 * @nr_failures: requests that found no room
 * @nr_misuses: calls that it refused
 * @used: bytes in use
 * @held: bytes that it has for its blocks, those in use included
 * @free: bytes that are free; 0 if it can't tell
 * @largest_free: in the largest free block
 */
struct stress_figures {
	u64 nr_used;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	u64 used;
	u64 held;
	u64 free;
	u64 largest_free;
};

typedef void (*stress_visit_t)(void *ctx, u64 addr, u64 size);

/**
 * struct stress_allocator - an allocator that can be stressed
 * @name: how the user calls it
 * @setup: makes one, in subject->object; 0 or an errno
 * @teardown: gives back what nobody uses any more and unmakes it, whatever is in use;
 *	0, or an errno if something was
 * @quiesce: brings home what it keeps for CPUs, so that its figures are exact; may be NULL
 * @alloc: a block of @size bytes at @addr; 0 or an errno
 * @free: frees it; 0 or an errno
 * @verify: recomputes everything
 * @figures: fills them in
 * @walk: calls @visit for each block in use, in any order
 * @tamper: adds @delta to a number that @verify looks at; NULL if there is none
 *
 * @alloc and @free are called in any context.
 */
struct stress_allocator {
	const char *name;
	int (*setup)(struct stress_subject *subject, const struct stress_settings *settings);
	int (*teardown)(struct stress_subject *subject);
	void (*quiesce)(struct stress_subject *subject);
	int (*alloc)(struct stress_subject *subject, u64 size, u64 *addr);
	int (*free)(struct stress_subject *subject, u64 addr, u64 size);
	int (*verify)(struct stress_subject *subject, struct quarry_fault *fault);
	void (*figures)(struct stress_subject *subject, struct stress_figures *figures);
	void (*walk)(struct stress_subject *subject, stress_visit_t visit, void *ctx);
	void (*tamper)(struct stress_subject *subject, int delta);
};

const struct stress_allocator *quarry_stress_allocator(unsigned int index);

/* At least as many as there are allocators. */
#define STRESS_MAX_SUBJECTS	8

/**
 * struct stress_subject - an allocator in a run
 * @allocator: what it is
 * @instance: in whose region it lives
 * @object: what setup made
 * @max_size: the largest size that it is asked for
 * @live: bytes that were asked for and not freed
 * @peak: most that were
 * @payload: @live when the run ended, before all was freed
 * @figures: at that moment
 */
struct stress_subject {
	const struct stress_allocator *allocator;
	struct quarry_instance *instance;
	void *object;
	u64 max_size;
	atomic64_t live;
	atomic64_t peak;
	u64 payload;
	struct stress_figures figures;
};

/* ---- Patterns ---- */

/**
 * struct stress_pattern - an order of requests
 * @name: how the user calls it
 * @pick: the slot that is next: a block is freed if there should be one, and else one
 *	is allocated, of @size bytes, which holds what was drawn and may be changed
 * @done: called after that; may be NULL
 */
struct stress_pattern {
	const char *name;
	struct stress_slot *(*pick)(struct stress_worker *worker, u64 *size);
	void (*done)(struct stress_worker *worker, struct stress_slot *slot);
};

const struct stress_pattern *quarry_stress_pattern(unsigned int index);

/* ---- The run ---- */

/**
 * struct stress_slot - room for a block
 * @addr: the block; 0 while there is none
 * @size: what was asked for
 * @serial: which of the thread's allocations it was
 * @subject: who allocated it
 * @wanted: the sequence has a block here, even if it could not be had
 */
struct stress_slot {
	u64 addr;
	u64 size;
	u64 serial;
	u8 subject;
	bool wanted;
};

/* What is timed, and in what. */
enum stress_op { STRESS_ALLOC, STRESS_FREE, STRESS_NR_OPS };
enum stress_clock { STRESS_NS, STRESS_CYCLES, STRESS_NR_CLOCKS };

/* Where requests are made. */
enum stress_context { STRESS_THREAD, STRESS_SOFT, STRESS_HARD, STRESS_NR_CONTEXTS };

/* Why requests fail, as the result tells it. */
enum stress_failure {
	STRESS_ENOMEM,
	STRESS_ENOSPC,
	STRESS_EINVAL,
	STRESS_EIO,
	STRESS_EOTHER,
	STRESS_NR_FAILURES,
};

/**
 * enum stress_check - what can be found
 * @STRESS_OVERLAP: a block lies where another one is in use
 * @STRESS_MISPLACED: a block isn't in the region, or isn't aligned
 * @STRESS_CONTENTS: a block holds what nobody wrote there
 * @STRESS_REFUSED: a block can't be freed
 * @STRESS_LOST: a block is in use that nobody has
 * @STRESS_COUNTERS: an allocator counted wrong
 * @STRESS_VERIFY: an allocator's own verifier found something
 * @STRESS_NR_CHECKS: how many there are
 */
enum stress_check {
	STRESS_OVERLAP,
	STRESS_MISPLACED,
	STRESS_CONTENTS,
	STRESS_REFUSED,
	STRESS_LOST,
	STRESS_COUNTERS,
	STRESS_VERIFY,
	STRESS_NR_CHECKS,
};

extern const char *const quarry_stress_checks[STRESS_NR_CHECKS];

/* What is said of something that was found. */
#define STRESS_FINDING		320

/**
 * struct stress_counts - what a thread did, of one allocator
 * @nr_allocs: blocks that it got
 * @nr_frees: blocks that it freed
 * @nr_failures: requests that failed, by why
 */
struct stress_counts {
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures[STRESS_NR_FAILURES];
};

/**
 * struct stress_worker - a thread of a run
 * @run: the run
 * @nr: its number
 * @finished: it makes no more requests
 * @random: the sequence of its requests
 * @order: of all else that is random, so that this doesn't change the sequence
 * @slots: its blocks
 * @nr_slots: how many
 * @phase: where the pattern is
 * @at: and where in that
 * @stride: and in what steps
 * @head: blocks that it put into its slots for its neighbour
 * @tail: blocks that the neighbour took out
 * @context: where it is
 * @untimed: what it does now isn't part of the run
 * @nr_ops: requests that it made
 * @nr_ops_in: of them, by where
 * @max_ops: it makes so many; U64_MAX for no limit
 * @next_verify: verifies when it has made so many
 * @serial: blocks that it asked for
 * @digest: of its requests
 * @counts: by allocator
 * @checked: what it looked at, by what it looked for
 * @bytes: that it touched in the batch
 * @latency: of its calls
 * @task: the thread
 * @done: told when it is finished
 * @stepped: told when a batch in an interrupt is done
 * @hard: makes a batch in a hard interrupt
 * @soft: makes a batch in a soft one
 */
struct stress_worker {
	struct stress_run *run;
	unsigned int nr;
	bool finished;
	struct stress_random random;
	struct stress_random order;
	struct stress_slot *slots;
	unsigned int nr_slots;
	unsigned int phase;
	unsigned int at;
	unsigned int stride;
	unsigned int head ____cacheline_aligned;
	unsigned int tail ____cacheline_aligned;
	enum stress_context context ____cacheline_aligned;
	bool untimed;
	u64 nr_ops;
	u64 nr_ops_in[STRESS_NR_CONTEXTS];
	u64 max_ops;
	u64 next_verify;
	u64 serial;
	u64 digest;
	struct stress_counts counts[STRESS_MAX_SUBJECTS];
	u64 checked[STRESS_NR_CHECKS];
	u64 bytes;
	struct stress_histogram latency[STRESS_NR_OPS][STRESS_NR_CLOCKS];

	struct task_struct *task;
	struct completion done;
	struct completion stepped;
	struct irq_work hard;
	struct tasklet_struct soft;
};

/**
 * struct stress_run - a run, under way or finished
 * @instance: in whose region
 * @settings: as they were at the start
 * @pattern: the pattern
 * @subjects: the allocators
 * @nr_subjects: how many
 * @workers: the threads
 * @nr_workers: how many
 * @taken: a bit for every granule of the region that is in a block in use
 * @has_cycles: there is a cycle counter
 * @stop: threads make no more requests
 * @stopped: because the user said so
 * @faulty: the deliberate fault was made
 * @found: how often each check found something
 * @nr_found: in all
 * @first: what was found first
 * @start: in ns, as ktime_get() counts
 * @deadline: in the same; U64_MAX if there is none
 * @end: when the last thread was finished; 0 before
 * @task: the thread that ends the run
 * @over: told when all is done
 */
struct stress_run {
	struct quarry_instance *instance;
	struct stress_settings settings;
	const struct stress_pattern *pattern;
	struct stress_subject subjects[STRESS_MAX_SUBJECTS];
	unsigned int nr_subjects;
	struct stress_worker **workers;
	unsigned int nr_workers;
	unsigned long *taken;
	bool has_cycles;
	bool stop;
	bool stopped;
	atomic_t faulty;
	atomic_t found[STRESS_NR_CHECKS];
	atomic_t nr_found;
	char first[STRESS_FINDING];
	u64 start;
	u64 deadline;
	u64 end;
	struct task_struct *task;
	struct completion over;
};

struct stress_run *quarry_stress_run_start(struct quarry_instance *instance,
					   const struct stress_settings *settings);
void quarry_stress_run_stop(struct stress_run *run);
bool quarry_stress_run_wait(struct stress_run *run);
void quarry_stress_run_put(struct stress_run *run);
bool quarry_stress_run_is_over(const struct stress_run *run);

bool quarry_stress_request(struct stress_worker *worker);
void quarry_stress_free(struct stress_worker *worker, struct stress_slot *slot);
void quarry_stress_conclude(struct stress_run *run);

/* ---- Checks ---- */

/* Blocks are at least that aligned; a bit of the map stands for so many bytes. */
#define STRESS_GRANULE		8

size_t quarry_stress_map_size(const struct quarry_instance *instance);
bool quarry_stress_add_block(struct stress_worker *worker, const struct stress_slot *slot);
void quarry_stress_del_block(struct stress_worker *worker, const struct stress_slot *slot);
void quarry_stress_fill(const struct stress_slot *slot);
void quarry_stress_check_contents(struct stress_worker *worker, const struct stress_slot *slot);
void quarry_stress_found_refused(struct stress_worker *worker, const struct stress_slot *slot,
				 int err);
void quarry_stress_verify(struct stress_worker *worker, struct stress_subject *subject);
void quarry_stress_check_counters(struct stress_run *run, struct stress_subject *subject);
void quarry_stress_check_lost(struct stress_run *run, struct stress_subject *subject);
void quarry_stress_check_end(struct stress_run *run, struct stress_subject *subject);

/* ---- What is shown ---- */

void quarry_stress_status_show(const struct stress_run *run, struct seq_file *m);
void quarry_stress_result_show(const struct stress_run *run, struct seq_file *m);

void quarry_stress_init(struct quarry_instance *instance, struct dentry *root);
void quarry_stress_exit(void);

#endif /* QUARRY_STRESS_H */
