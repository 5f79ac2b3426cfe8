/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_BENCH_H
#define QUARRY_BENCH_H

#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/prandom.h>
#include <linux/timex.h>
#include <linux/types.h>

/**
 * struct bench_slot - room for one block
 * @size: what was asked for; 0 while the slot is empty
 * @handle: the block, for an allocator that returns an address
 * @room: the block, for one that fills in more than that
 */
struct bench_slot {
	size_t size;
	union {
		unsigned long handle;
		u64 room[3];
	};
};

/**
 * struct bench_allocator - an allocator to measure
 * @name: as the table shows it, without a comma
 * @min_size: smallest size that it can be asked for
 * @max_size: largest
 * @own_space: it manages a space of the size that @setup is given, and fails
 *	when that is full; otherwise it lives on the machine's memory
 * @sleeps: on two CPUs at once it may sleep
 * @setup: makes one; ERR_PTR on failure, NULL where there is nothing to make
 * @teardown: unmakes it, also with blocks still out if it has its own space
 * @alloc: fills in a slot, but for its size; false when there is no room
 * @free: frees what is in a slot
 * @work: what @alloc and @free had to do since @setup, in the allocator's own
 *	unit (splits and merges, say), which tells why a call was dear; may be NULL
 *
 * @alloc and @free are called on several CPUs at once and, unless it sleeps there,
 * with interrupts off.
 */
struct bench_allocator {
	const char *name;
	size_t min_size;
	size_t max_size;
	bool own_space;
	bool sleeps;
	void *(*setup)(u64 space);
	void (*teardown)(void *ctx);
	bool (*alloc)(void *ctx, size_t size, struct bench_slot *slot);
	void (*free)(void *ctx, const struct bench_slot *slot);
	u64 (*work)(void *ctx);
};

/* Does nothing: what it costs is the cost of measuring. */
extern const struct bench_allocator bench_nothing;
extern const struct bench_allocator bench_buddy;
extern const struct bench_allocator bench_alloc_pages;
extern const struct bench_allocator bench_alloc_pages_comp;
extern const struct bench_allocator bench_gen_pool;
extern const struct bench_allocator bench_gpu_buddy;

/* All of them, then NULL. */
extern const struct bench_allocator *const bench_allocators[];

struct bench_run;

/**
 * struct bench_workload - a pattern of use
 * @name: as the table shows it, without a comma
 * @slots: the most blocks that are live at once
 * @min_size: smallest size that is asked for, a power of two
 * @max_size: largest; each power of two between them is as likely
 * @own_space: makes sense only in a space that the allocator has to itself
 * @warm: brings the allocator into the state to begin with, not measured; 0 or
 *	an errno. NULL if that is the state after setup
 * @body: what is measured
 */
struct bench_workload {
	const char *name;
	unsigned int slots;
	size_t min_size;
	size_t max_size;
	bool own_space;
	int (*warm)(struct bench_run *run);
	void (*body)(struct bench_run *run);
};

/* Ends with a row without a name. */
extern const struct bench_workload bench_workloads[];
/* Fits a space of 16 MiB, and is run in larger ones too. */
extern const struct bench_workload bench_scaling;

/**
 * struct bench_worst - a state built to make one allocation and its free dear
 * @name: as the table shows it, without a comma
 * @allocator: what is measured, maybe with an @alloc of its own
 * @size: of the allocation
 * @prepare: makes the state, as @warm of a workload does. If it leaves a block in
 *	the first slot, that is freed first
 */
struct bench_worst {
	const char *name;
	const struct bench_allocator *allocator;
	size_t size;
	int (*prepare)(struct bench_run *run);
};

/* Ends with a row without a name. */
extern const struct bench_worst bench_buddy_worst[];

struct bench_recorder;

/**
 * struct bench_run - one allocator at one workload, as one thread sees it
 * @allocator: the allocator
 * @ctx: what its setup made; several threads may share it
 * @workload: the workload
 * @space: bytes that this run may hold
 * @slots: what it holds
 * @nr_slots: how many slots
 * @nr_live: how many of them hold something
 * @random: the sequence, the same for every allocator
 * @steps: operations that the body does
 * @nr_done: allocations and frees that succeeded
 * @nr_failed: allocations that found no room
 * @recorder: counts the instructions of each call; NULL to just call
 */
struct bench_run {
	const struct bench_allocator *allocator;
	void *ctx;
	const struct bench_workload *workload;
	u64 space;
	struct bench_slot *slots;
	unsigned int nr_slots;
	unsigned int nr_live;
	struct rnd_state random;
	unsigned int steps;
	unsigned long nr_done;
	unsigned long nr_failed;
	struct bench_recorder *recorder;
};

bool bench_suits(const struct bench_workload *workload, const struct bench_allocator *allocator);
int bench_run_init(struct bench_run *run);
void bench_run_fini(struct bench_run *run);
int bench_run_warm(struct bench_run *run, u32 seed);
void bench_run_drain(struct bench_run *run);
bool bench_run_alloc(struct bench_run *run, struct bench_slot *slot, size_t size);
void bench_worst_body(struct bench_run *run);

bool bench_recorded_alloc(struct bench_run *run, size_t size, struct bench_slot *slot);
void bench_recorded_free(struct bench_run *run, const struct bench_slot *slot);

/**
 * struct bench_window - a stretch of code that is measured
 * @flags: interrupts before it
 * @start: the cycle counter at its start
 *
 * Nothing interrupts it, so it must be short.
 */
struct bench_window {
	unsigned long flags;
	cycles_t start;
};

static __always_inline void bench_window_open(struct bench_window *window)
{
	preempt_disable();
	local_irq_save(window->flags);
	window->start = get_cycles();
}

static __always_inline u64 bench_window_close(struct bench_window *window)
{
	cycles_t end = get_cycles();

	local_irq_restore(window->flags);
	preempt_enable();
	return end - window->start;
}

/**
 * struct bench_result - a line of the table
 * @allocator: name
 * @workload: name
 * @op: "alloc", "free", "fail" (an allocation that found no room) or "pair"
 * @space: bytes managed
 * @slots: see struct bench_workload
 * @threads: that ran at once
 * @count: calls measured
 * @failed: allocations that found no room in the same run
 * @min: the least
 * @avg: tenths of the average; the median of the rounds where there are rounds
 * @p99: 99th percentile, 0 where only averages are known
 * @max: the most
 * @note: the state that the maximum came from, without a comma
 */
struct bench_result {
	const char *allocator;
	const char *workload;
	const char *op;
	u64 space;
	unsigned int slots;
	unsigned int threads;
	unsigned long count;
	unsigned long failed;
	u64 min;
	u64 avg;
	u64 p99;
	u64 max;
	char note[64];
};

int bench_report(const struct bench_result *result);

int bench_count(unsigned int steps, u32 seed);
int bench_time(unsigned int steps, unsigned int rounds, u32 seed);

#endif /* QUARRY_BENCH_H */
