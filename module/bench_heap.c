// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks of any number of bytes: Quarry's heap and its zone beside kmalloc and
 * gen_pool. States that an adversary would bring a heap to: none of them may make
 * a call dear, in a heap of any size. And how well heap and zone use memory.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "../lib/heap.h"
#include "../lib/zone.h"
#include "bench.h"
#include "bench_memory.h"

#define HEAP_PAGE	512
#define MOST_CACHED	2048

/* ---- The heap ---- */

/**
 * struct heap_space - a heap to measure
 * @heap: the heap
 * @memory: all that it has
 * @aligns: of each number of 4 KiB, the power of two, from 4 to 64 KiB, that aligned blocks of
 *	it have; so that finding it isn't counted
 */
struct heap_space {
	struct quarry_heap heap;
	void *memory;
	size_t aligns[SZ_1M / SZ_4K + 1];
};

/* A heap of so many extents, of one size, side by side. */
static int start_heap(struct heap_space *space, u64 size, unsigned int nr_extents)
{
	u64 share = div_u64(size, nr_extents);
	unsigned int i;
	int err;

	err = quarry_heap_init(&space->heap, "bench", space->memory, share, HEAP_PAGE);
	for (i = 1; i < nr_extents && !err; i++)
		err = quarry_heap_extend(&space->heap, space->memory + i * share, share);
	return err;
}

static void *heap_setup_extents(u64 size, unsigned int nr_extents)
{
	struct heap_space *space = kvzalloc(sizeof(*space), GFP_KERNEL);
	int err = -ENOMEM;

	if (!space)
		return ERR_PTR(-ENOMEM);
	space->memory = vmalloc(size);
	if (space->memory)
		err = start_heap(space, size, nr_extents);
	if (!err)
		return space;
	vfree(space->memory);
	kvfree(space);
	return ERR_PTR(err);
}

static void *heap_setup(u64 size)
{
	return heap_setup_extents(size, 1);
}

static void *heap_64_setup(u64 size)
{
	return heap_setup_extents(size, QUARRY_HEAP_MAX_EXTENTS);
}

static void *heap_aligned_setup(u64 size)
{
	struct heap_space *space = heap_setup(size);
	unsigned int i;

	if (IS_ERR(space))
		return space;
	for (i = 1; i < ARRAY_SIZE(space->aligns); i++)
		space->aligns[i] = min_t(size_t, roundup_pow_of_two(i) * SZ_4K, SZ_64K);
	return space;
}

/* One whose CPUs have all sizes of the workloads at hand. */
static void *heap_cached_setup(u64 size)
{
	struct heap_space *space = heap_setup(size);
	int err;

	if (IS_ERR(space))
		return space;
	err = quarry_heap_set_caching(&space->heap, MOST_CACHED);
	if (!err)
		return space;
	vfree(space->memory);
	kvfree(space);
	return ERR_PTR(err);
}

static void heap_teardown(void *ctx)
{
	struct heap_space *space = ctx;
	struct quarry_fault fault;

	if (quarry_heap_verify(&space->heap, &fault))
		pr_err("BUG: the heap is damaged: %s\n", fault.what);
	quarry_heap_destroy(&space->heap, NULL, NULL);
	vfree(space->memory);
	kvfree(space);
}

static bool heap_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct heap_space *space = ctx;

	slot->handle = (unsigned long)quarry_heap_alloc(&space->heap, size);
	return slot->handle;
}

/* As heap_alloc(), for a multiple of 4 KiB, at one of its power of two. */
static bool heap_alloc_aligned(void *ctx, size_t size, struct bench_slot *slot)
{
	struct heap_space *space = ctx;
	size_t align = space->aligns[size / SZ_4K];

	slot->handle = (unsigned long)quarry_heap_alloc_aligned(&space->heap, size, align);
	return slot->handle;
}

static void heap_free(void *ctx, const struct bench_slot *slot)
{
	struct heap_space *space = ctx;

	quarry_heap_free(&space->heap, (void *)slot->handle);
}

static u64 heap_usable(void *ctx)
{
	struct quarry_heap_stats stats;
	struct heap_space *space = ctx;

	quarry_heap_stats(&space->heap, &stats);
	return stats.total;
}

#define HEAP(_name, _setup, _alloc)		\
	{					\
		.name = _name,			\
		.own_space = true,		\
		.setup = _setup,		\
		.teardown = heap_teardown,	\
		.alloc = _alloc,		\
		.free = heap_free,		\
		.usable = heap_usable,		\
	}

static const struct bench_allocator heap = HEAP("quarry_heap", heap_setup, heap_alloc);
static const struct bench_allocator heap_cached =
	HEAP("quarry_heap cached", heap_cached_setup, heap_alloc);
static const struct bench_allocator heap_64 =
	HEAP("quarry_heap 64 extents", heap_64_setup, heap_alloc);
static const struct bench_allocator heap_aligned =
	HEAP("quarry_heap aligned", heap_aligned_setup, heap_alloc_aligned);

/* ---- States of a heap ---- */

/**
 * struct crowd - blocks of one size that a heap is filled with
 * @heap: the heap
 * @blocks: where they are
 * @nr: how many
 */
struct crowd {
	struct quarry_heap *heap;
	void **blocks;
	size_t nr;
};

/* As many as there is room for, or @most. */
static int crowd_in(struct crowd *crowd, struct bench_run *run, size_t size, size_t most)
{
	struct heap_space *space = run->ctx;
	size_t room = min_t(u64, div_u64(run->space, size), most);

	*crowd = (struct crowd) { .heap = &space->heap };
	crowd->blocks = vmalloc(array_size(room, sizeof(*crowd->blocks)));
	if (!crowd->blocks)
		return -ENOMEM;
	while (crowd->nr < room) {
		void *block = quarry_heap_alloc(crowd->heap, size);

		if (!block)
			break;
		crowd->blocks[crowd->nr++] = block;
	}
	return 0;
}

/* Of each @stride blocks, those before the last one go. */
static void thin_out(struct crowd *crowd, size_t stride)
{
	size_t i;

	for (i = 0; i < crowd->nr; i++)
		if (i % stride != stride - 1)
			quarry_heap_free(crowd->heap, crowd->blocks[i]);
}

/* Every other one of the blocks of some size that fill the heap is free. */
static int leave_holes(struct bench_run *run, size_t size)
{
	struct crowd crowd;
	int err;

	err = crowd_in(&crowd, run, size, SIZE_MAX);
	if (err)
		return err;
	thin_out(&crowd, 2);
	vfree(crowd.blocks);
	return 0;
}

static int leave_holes_of_a_page(struct bench_run *run)
{
	return leave_holes(run, HEAP_PAGE);
}

static int leave_holes_of_1000(struct bench_run *run)
{
	return leave_holes(run, 1000);
}

static int leave_holes_of_4096(struct bench_run *run)
{
	return leave_holes(run, SZ_4K);
}

/* All is in use but the page that is farthest from where the search begins. */
static int leave_last_page(struct bench_run *run)
{
	struct crowd crowd;
	int err;

	err = crowd_in(&crowd, run, HEAP_PAGE, SIZE_MAX);
	if (err)
		return err;
	quarry_heap_free(crowd.heap, crowd.blocks[crowd.nr - 1]);
	vfree(crowd.blocks);
	return 0;
}

static int leave_nothing(struct bench_run *run)
{
	struct crowd crowd;
	int err;

	err = crowd_in(&crowd, run, HEAP_PAGE, SIZE_MAX);
	if (err)
		return err;
	/* What is too small for a page may still be there. */
	while (quarry_heap_alloc(crowd.heap, 8))
		;
	vfree(crowd.blocks);
	return 0;
}

#define NR_SMALL	250000
#define SMALL		16

/* Blocks of SMALL bytes in each of the pieces that they are cut from. */
static size_t small_in_a_bucket(struct quarry_heap *heap)
{
	struct quarry_heap_class_stats stats;
	unsigned int i;

	for (i = 0; !quarry_heap_class_stats(heap, i, &stats); i++)
		if (stats.size == SMALL && stats.nr_buckets)
			return div64_u64(stats.nr_used + stats.nr_free, stats.nr_buckets);
	return 1;
}

/*
 * In each page one block is in use, so that almost 250,000 are free in pages that
 * they share with one. That of the page in the middle goes, and the page with it.
 */
static int leave_one_in_each_page(struct bench_run *run)
{
	struct bench_slot *slot = &run->slots[0];
	struct crowd crowd;
	size_t stride;
	int err;

	err = crowd_in(&crowd, run, SMALL, NR_SMALL);
	if (err)
		return err;
	stride = small_in_a_bucket(crowd.heap);
	thin_out(&crowd, stride);
	slot->handle = (unsigned long)crowd.blocks[rounddown(crowd.nr / 2, stride) + stride - 1];
	slot->size = SMALL;
	run->nr_live++;
	vfree(crowd.blocks);
	return 0;
}

/* The pages on both sides of a page are free, and join it when it goes. */
static int leave_free_neighbours(struct bench_run *run)
{
	struct heap_space *space = run->ctx;
	void *before = quarry_heap_alloc(&space->heap, SZ_4K);
	bool done = bench_run_alloc(run, &run->slots[0], SZ_4K);

	quarry_heap_free(&space->heap, before);
	return before && done ? 0 : -ENOSPC;
}

/* ---- The zone ---- */

/**
 * struct zone_space - a zone to measure
 * @zone: the zone
 * @memory: where its slabs come from
 */
struct zone_space {
	struct quarry_zone zone;
	struct bench_memory memory;
};

static void *zone_setup(u64 size)
{
	struct zone_space *space = kvzalloc(sizeof(*space), GFP_KERNEL);
	struct quarry_zone_config config = { .name = "bench" };
	int err;

	if (!space)
		return ERR_PTR(-ENOMEM);
	err = bench_memory_init(&space->memory, size);
	if (err)
		goto free;
	config.backend = &space->memory.backend;
	err = quarry_zone_init(&space->zone, &config);
	if (err)
		goto fini;
	return space;
fini:
	bench_memory_fini(&space->memory);
free:
	kvfree(space);
	return ERR_PTR(err);
}

static void zone_teardown(void *ctx)
{
	struct zone_space *space = ctx;
	struct quarry_fault fault;

	if (quarry_zone_verify(&space->zone, &fault))
		pr_err("BUG: the zone is damaged: %s\n", fault.what);
	quarry_zone_fini(&space->zone, true, NULL);
	bench_memory_fini(&space->memory);
	kvfree(space);
}

static bool zone_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct zone_space *space = ctx;

	slot->handle = (unsigned long)quarry_zone_alloc(&space->zone, size, 0, 0);
	return slot->handle;
}

static void zone_free(void *ctx, const struct bench_slot *slot)
{
	struct zone_space *space = ctx;

	quarry_zone_free(&space->zone, (void *)slot->handle);
}

static const struct bench_allocator zone = {
	.name = "quarry_zone",
	.own_space = true,
	.setup = zone_setup,
	.teardown = zone_teardown,
	.alloc = zone_alloc,
	.free = zone_free,
};

/* ---- What is measured ---- */

#define SIZES(_slots)			\
	.slots = _slots,		\
	.spread = BENCH_BYTES,		\
	.min_size = 16,			\
	.max_size = 2048

static const struct bench_workload workloads[] = {
	{ BENCH_HOT_PAIR, .slots = 1000, .min_size = 64 },
	{ BENCH_CHURN, SIZES(1000) },
	{ BENCH_CHURN, SIZES(4000) },
	{ BENCH_CHURN, SIZES(16000) },
	{ BENCH_FILL_DRAIN_SHUFFLED, SIZES(10000) },
	{}
};

static const struct bench_allocator *const allocators[] = {
	&bench_nothing,
	&heap,
	&heap_cached,
	&zone,
	&bench_malloc,
	&bench_kmalloc,
	&bench_gen_pool_16,
	NULL
};

#define WORST	BENCH_STATE_PAIR

static const struct bench_state states[] = {
	/* Fits the smallest space. */
	{ &heap, { BENCH_CHURN, SIZES(1000) } },
	{ &heap_64, { BENCH_CHURN, SIZES(1000) } },
	{ &heap_aligned, { .name = "churn of 4..64 KiB", .slots = 100, .spread = BENCH_UNIFORM,
			   .min_size = SZ_4K, .max_size = SZ_64K,
			   .warm = bench_churn_warm, .body = bench_churn } },
	WORST("16 B of a free heap", &heap, 16, NULL),
	WORST("2048 B of a free heap", &heap, 2048, NULL),
	WORST("100 KiB of a free heap", &heap, 100 * SZ_1K, NULL),
	WORST("1 MiB of a free heap", &heap, SZ_1M, NULL),
	WORST("4 KiB of a free heap", &heap_aligned, SZ_4K, NULL),
	WORST("64 KiB of a free heap", &heap_aligned, SZ_64K, NULL),
	WORST("1 MiB of a free heap", &heap_aligned, SZ_1M, NULL),
	WORST("4 KiB with every other 4 KiB free", &heap_aligned, SZ_4K, leave_holes_of_4096),
	WORST("16 B with every other page free", &heap, 16, leave_holes_of_a_page),
	WORST("1 page with every other page free", &heap, HEAP_PAGE, leave_holes_of_a_page),
	WORST("2 pages with every other page free", &heap, 2 * HEAP_PAGE, leave_holes_of_a_page),
	WORST("1 MiB with every other page free", &heap, SZ_1M, leave_holes_of_a_page),
	WORST("1000 B with every other one free", &heap, 1000, leave_holes_of_1000),
	WORST("2048 B with every other 4 KiB free", &heap, 2048, leave_holes_of_4096),
	WORST("4 KiB with every other 4 KiB free", &heap, SZ_4K, leave_holes_of_4096),
	WORST("16 B with the last page free", &heap, 16, leave_last_page),
	WORST("1 page with the last page free", &heap, HEAP_PAGE, leave_last_page),
	WORST("last block of its page among free ones", &heap, SMALL, leave_one_in_each_page),
	WORST("4 KiB between free pages", &heap, SZ_4K, leave_free_neighbours),
	WORST("4 KiB with 64 extents", &heap_64, SZ_4K, leave_free_neighbours),
	WORST("16 B with 64 extents and the last page free", &heap_64, 16, leave_last_page),
	WORST("16 B when all is used up", &heap, 16, leave_nothing),
	WORST("2048 B when all is used up", &heap, 2048, leave_nothing),
	WORST("1 MiB when all is used up", &heap_64, SZ_1M, leave_nothing),
	{}
};

static const u64 spaces[] = { SZ_1M, SZ_64M, SZ_1G, 0 };

static const struct bench_allocator *const frugal[] = { &heap, &zone, &bench_malloc, NULL };
static const struct bench_allocator *const only_heap[] = { &heap, NULL };

#define PACKING(_name, _spread, _min, _max)	\
	{					\
		.allocators = frugal,		\
		.sizes = {			\
			.name = _name,		\
			.slots = 40000,		\
			.spread = _spread,	\
			.min_size = _min,	\
			.max_size = _max,	\
			.space = SZ_16M,	\
		},				\
		.tell = bench_tell_packing,	\
	}

static const struct bench_figure figures[] = {
	PACKING("16..4096 B", BENCH_BYTES, 16, 4096),
	PACKING("16 B..64 KiB log-uniform", BENCH_LOG, 16, SZ_64K),
	PACKING("1000 B", BENCH_BYTES, 1000, 0),
	{ only_heap, { .name = "free heap", .space = SZ_64K, .slots = 1 }, bench_tell_metadata },
	{ only_heap, { .name = "free heap", .space = SZ_1M, .slots = 1 }, bench_tell_metadata },
	{}
};

const struct bench_family bench_bytes = {
	.name = "bytes",
	.allocators = allocators,
	.workloads = workloads,
	.space = SZ_64M,
	.states = states,
	.spaces = spaces,
	.figures = figures,
};
