/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_BENCH_H
#define QUARRY_BENCH_H

#include <linux/cache.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
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
 * @batch: objects that @alloc and @free handle at once, so that a call's cost is
 *	divided by it; 0 for one
 * @max_slots: it isn't put to workloads of more, as it searches and would take
 *	minutes; 0 if it can stand any
 * @own_space: it manages a space of the size that @setup is given, and fails
 *	when that is full; otherwise it lives on the machine's memory
 * @memory: a slot's handle is the address of memory that may be written to
 * @sleeps: on two CPUs at once it may sleep
 * @setup: makes one; ERR_PTR on failure, NULL where there is nothing to make
 * @teardown: unmakes it, also with blocks still out if it has its own space
 * @alloc: fills in a slot, but for its size; false when there is no room
 * @free: frees what is in a slot
 * @usable: bytes of its space that can be given out, those of metadata not among
 *	them; NULL if there are none
 * @work: what @alloc and @free had to do since @setup, in the allocator's own
 *	unit (splits and merges, say), which tells why a call was dear; may be NULL
 *
 * @alloc and @free are called on several CPUs at once and, unless it sleeps there,
 * with interrupts off.
 */
struct bench_allocator {
	const char *name;
	unsigned int batch;
	unsigned int max_slots;
	bool own_space;
	bool memory;
	bool sleeps;
	void *(*setup)(u64 space);
	void (*teardown)(void *ctx);
	bool (*alloc)(void *ctx, size_t size, struct bench_slot *slot);
	void (*free)(void *ctx, const struct bench_slot *slot);
	u64 (*usable)(void *ctx);
	u64 (*work)(void *ctx);
};

/* Does nothing: what it costs is the cost of measuring. */
extern const struct bench_allocator bench_nothing;
extern const struct bench_allocator bench_nothing_bulk;
extern const struct bench_allocator bench_alloc_pages;
extern const struct bench_allocator bench_alloc_pages_comp;
extern const struct bench_allocator bench_gen_pool_4k;
extern const struct bench_allocator bench_gen_pool_16;
extern const struct bench_allocator bench_kmem_cache;
extern const struct bench_allocator bench_kmem_cache_bulk;
extern const struct bench_allocator bench_kmalloc;
extern const struct bench_allocator bench_gpu_buddy;
extern const struct bench_allocator bench_iova;
extern const struct bench_allocator bench_maple_tree;
extern const struct bench_allocator bench_drm_mm;
extern const struct bench_allocator bench_buddy;
extern const struct bench_allocator bench_malloc;

/* What bench_kmem_cache and its like give out, and how many a bulk call does. */
#define BENCH_OBJECT_SIZE	64
#define BENCH_BULK		64

/**
 * struct bench_bulk - what a bulk call took
 * @objects: they are freed next, by the same thread, which stays on its CPU
 */
struct bench_bulk {
	void *objects[BENCH_BULK];
};

DECLARE_PER_CPU(struct bench_bulk, bench_bulk_taken);

struct bench_result;
struct bench_run;

/**
 * enum bench_spread - how sizes are drawn between the smallest and the largest
 * @BENCH_POWERS: each power of two is as likely, and nothing else is drawn
 * @BENCH_UNIFORM: each multiple of the smallest is as likely
 * @BENCH_BYTES: each number of bytes is as likely
 * @BENCH_LOG: each doubling is as likely, and in it each number of bytes
 */
enum bench_spread {
	BENCH_POWERS,
	BENCH_UNIFORM,
	BENCH_BYTES,
	BENCH_LOG,
};

/**
 * struct bench_workload - a pattern of use
 * @name: as the table shows it, without a comma
 * @slots: the most blocks that are live at once
 * @spread: how sizes are drawn
 * @min_size: smallest size that is asked for
 * @max_size: largest; 0 if all are of @min_size
 * @steps: operations that are measured; 0 for as many as the user wants
 * @max_rounds: where it takes long to make the state, at most so many rounds when
 *	timing; 0 for as many as the user wants
 * @space: what an allocator gets that has a space of its own; 0 for what the
 *	family says
 * @own_space: makes sense only in a space that the allocator has to itself
 * @handover: for two threads, of which one allocates and the other one frees
 * @apart: for two threads, each of which has an allocator of its own
 * @message: what is handed over has a message in it, which the other one reads
 * @warm: brings the allocator into the state to begin with, not measured; 0 or
 *	an errno. NULL if that is the state after setup
 * @body: what is measured
 */
struct bench_workload {
	const char *name;
	unsigned int slots;
	enum bench_spread spread;
	size_t min_size;
	size_t max_size;
	unsigned int steps;
	unsigned int max_rounds;
	u64 space;
	bool own_space;
	bool handover;
	bool apart;
	bool message;
	int (*warm)(struct bench_run *run);
	void (*body)(struct bench_run *run);
};

/* Whether it is for two threads, and for no other number of them. */
static inline bool bench_takes_two(const struct bench_workload *workload)
{
	return workload->handover || workload->apart;
}

int bench_churn_warm(struct bench_run *run);
void bench_churn(struct bench_run *run);
void bench_hot_pair(struct bench_run *run);
void bench_state_pair(struct bench_run *run);
void bench_fill_drain_in_order(struct bench_run *run);
void bench_fill_drain_in_reverse(struct bench_run *run);
void bench_fill_drain_shuffled(struct bench_run *run);
void bench_handover(struct bench_run *run);

/* The patterns, for rows that only have to add slots and sizes. */
#define BENCH_HOT_PAIR						\
	.name = "hot pair",					\
	.warm = bench_churn_warm,				\
	.body = bench_hot_pair
#define BENCH_HOT_PAIR_APART					\
	.name = "hot pair of one's own",			\
	.apart = true,						\
	.warm = bench_churn_warm,				\
	.body = bench_hot_pair
#define BENCH_CHURN						\
	.name = "churn",					\
	.warm = bench_churn_warm,				\
	.body = bench_churn
#define BENCH_FILL_DRAIN_IN_ORDER				\
	.name = "fill and drain in order",			\
	.body = bench_fill_drain_in_order
#define BENCH_FILL_DRAIN_IN_REVERSE				\
	.name = "fill and drain in reverse",			\
	.body = bench_fill_drain_in_reverse
#define BENCH_FILL_DRAIN_SHUFFLED				\
	.name = "fill and drain shuffled",			\
	.body = bench_fill_drain_shuffled
#define BENCH_HANDOVER						\
	.name = "one allocates the other frees",		\
	.handover = true,					\
	.body = bench_handover
#define BENCH_MESSAGES						\
	.name = "one sends the other receives",			\
	.handover = true,					\
	.message = true,					\
	.body = bench_handover

/**
 * struct bench_state - a state that one allocator is brought to
 * @allocator: the allocator, maybe with an alloc() of its own
 * @workload: what makes the state (its warm) and what is measured in it
 *
 * For what others don't have: states built to make a call dear, say.
 */
struct bench_state {
	const struct bench_allocator *allocator;
	struct bench_workload workload;
};

/* A few pairs of one size, each of which leaves the state as it was. */
#define BENCH_STATE_PAIR(_name, _allocator, _size, _warm)	\
	{							\
		.allocator = _allocator,			\
		.workload = {					\
			.name = _name,				\
			.slots = 1,				\
			.min_size = _size,			\
			.steps = 8,				\
			.own_space = true,			\
			.warm = _warm,				\
			.body = bench_state_pair,		\
		},						\
	}

/**
 * struct bench_figure - how well allocators use memory
 * @allocators: that are asked; ends with NULL
 * @sizes: what sizes, in what space, and how that is called; with more slots than
 *	blocks can fit
 * @tell: reports what there is to tell; 0 or an errno
 */
struct bench_figure {
	const struct bench_allocator *const *allocators;
	struct bench_workload sizes;
	int (*tell)(struct bench_run *run, struct bench_result *result);
};

int bench_tell_packing(struct bench_run *run, struct bench_result *result);
int bench_tell_metadata(struct bench_run *run, struct bench_result *result);

/**
 * struct bench_family - allocators that serve the same requests
 * @name: as the table and the parameter "only" have it, one word
 * @allocators: each is put to each of @workloads; ends with NULL
 * @workloads: ends with a row without a name
 * @space: what an allocator gets that has a space of its own
 * @states: states of single allocators, in spaces of several sizes, to see what
 *	grows with the space; ends with a row without an allocator. NULL if none
 * @spaces: those sizes; ends with 0
 * @figures: told of allocators whose use of memory is of interest; ends with a row
 *	without a name. NULL if there are none
 */
struct bench_family {
	const char *name;
	const struct bench_allocator *const *allocators;
	const struct bench_workload *workloads;
	u64 space;
	const struct bench_state *states;
	const u64 *spaces;
	const struct bench_figure *figures;
};

extern const struct bench_family bench_pages;
extern const struct bench_family bench_objects;
extern const struct bench_family bench_bulk;
extern const struct bench_family bench_bytes;
extern const struct bench_family bench_ranges;

/* Blocks in a ring, and after how many the two sides look at each other. */
#define BENCH_RING_SIZE	256
#define BENCH_RING_STEP	32

/**
 * struct bench_ring - takes blocks from one thread to another
 * @head: blocks that were put in; written by the one who allocates
 * @tail: blocks that were taken out; written by the one who frees
 * @slots: where they are on the way
 */
struct bench_ring {
	unsigned int head ____cacheline_aligned;
	unsigned int tail ____cacheline_aligned;
	struct bench_slot slots[BENCH_RING_SIZE] ____cacheline_aligned;
};

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
 * @ring: where a workload that hands over does
 * @frees: which end of @ring this thread is at
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
	struct bench_ring *ring;
	bool frees;
	struct bench_recorder *recorder;
};

bool bench_suits(const struct bench_workload *workload, const struct bench_allocator *allocator);
int bench_run_init(struct bench_run *run);
void bench_run_fini(struct bench_run *run);
int bench_run_start(struct bench_run *run);
void bench_run_stop(struct bench_run *run);
int bench_run_warm(struct bench_run *run, u32 seed);
void bench_run_drain(struct bench_run *run);
u32 bench_draw(struct bench_run *run, u32 below);
size_t bench_draw_size(struct bench_run *run);
bool bench_run_alloc(struct bench_run *run, struct bench_slot *slot, size_t size);
void bench_run_free(struct bench_run *run, struct bench_slot *slot);

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
 * enum bench_kind - what a line of the table tells
 * @BENCH_WORKLOAD: the cost of a pattern of use that several allocators had
 * @BENCH_STATE: the cost in a state that this one was brought to
 * @BENCH_FIGURE: no cost, but how well memory was used, in thousandths
 */
enum bench_kind {
	BENCH_WORKLOAD,
	BENCH_STATE,
	BENCH_FIGURE,
};

/**
 * struct bench_result - a line of the table
 * @kind: what it tells
 * @family: name
 * @allocator: name
 * @workload: name
 * @op: "alloc", "free", "fail" (an allocation that found no room) or "pair"; or
 *	the name of a figure
 * @space: bytes managed
 * @slots: see struct bench_workload
 * @threads: that ran at once
 * @count: calls measured
 * @failed: allocations that found no room in the same run
 * @min: the least
 * @avg: tenths of the average; the lower quartile of the rounds where there are rounds
 * @p99: 99th percentile, 0 where only averages are known
 * @max: the most
 * @note: the state that the maximum came from, without a comma
 */
struct bench_result {
	enum bench_kind kind;
	const char *family;
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

/**
 * struct bench_plan - how all is measured
 * @steps: operations in a run, unless the workload says otherwise
 * @rounds: runs that the lower quartile is taken of when timing
 * @seed: of the random sequences
 */
struct bench_plan {
	unsigned int steps;
	unsigned int rounds;
	u32 seed;
};

int bench_count(const struct bench_family *family, const struct bench_plan *plan);
int bench_tell_figures(const struct bench_family *family, const struct bench_plan *plan);
int bench_time(const struct bench_family *family, const struct bench_plan *plan);

#endif /* QUARRY_BENCH_H */
