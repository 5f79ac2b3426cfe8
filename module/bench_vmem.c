// SPDX-License-Identifier: GPL-2.0
/*
 * Ranges of numbers: Quarry's vmem arena with each of its strategies beside the
 * kernel's allocators of such ranges. No one touches what is managed, so the
 * addresses are made up.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sizes.h>

#include "../lib/qcache.h"
#include "../lib/vmem.h"
#include "bench.h"
#include "bench_memory.h"

#define BASE	((u64)SZ_1G)
#define QUANTUM	((u64)SZ_4K)

/* Different constraints; a power of two. */
#define NR_REQUESTS	1024

/**
 * struct asker - what one CPU asks for
 * @next: of @requests, which to take next
 * @requests: constraints, drawn beforehand, so that to draw or to copy them isn't counted
 *	as the arena's work; only their sizes are still to be filled in
 */
struct asker {
	unsigned int next;
	struct quarry_vmem_request requests[NR_REQUESTS];
};

/**
 * struct arena - an arena to measure
 * @vmem: the arena
 * @memory: where its tags come from
 * @qcaches: its quantum caches, if it has any
 * @askers: one for each CPU
 */
struct arena {
	struct quarry_vmem vmem;
	struct bench_memory memory;
	struct quarry_qcaches qcaches;
	struct asker *askers;
};

/* A window of the space that is as likely to be wide as narrow. */
static void draw_window(struct quarry_vmem_request *request, struct rnd_state *random, u64 space)
{
	u64 half = space >> (1 + prandom_u32_state(random) % 4);
	u64 quanta = div64_u64(space - half, QUANTUM);

	request->min = BASE + prandom_u32_state(random) % (u32)quanta * QUANTUM;
	request->max = request->min + half - 1;
}

/* Of the four constraints, each is there or not, as a coin falls. */
static void draw_request(struct quarry_vmem_request *request, struct rnd_state *random, u64 space)
{
	u32 coins = prandom_u32_state(random);

	*request = (struct quarry_vmem_request) {
		.max = QUARRY_VMEM_ADDR_MAX,
		.flags = QUARRY_VMEM_BESTFIT,
	};
	if (coins & BIT(0))
		request->align = QUANTUM << (1 + (coins >> 8) % 6);
	if (request->align && coins & BIT(1))
		request->phase = (coins >> 16) * QUANTUM & (request->align - 1);
	/* Beyond the largest size and phase together, so that it can be had. */
	if (coins & BIT(2))
		request->nocross = QUANTUM << (7 + (coins >> 4) % 4);
	if (coins & BIT(3))
		draw_window(request, random, space);
}

static void draw_requests(struct asker *asker, u64 space)
{
	struct rnd_state random;
	unsigned int i;

	prandom_seed_state(&random, 1);
	for (i = 0; i < NR_REQUESTS; i++)
		draw_request(&asker->requests[i], &random, space);
}

static int start_arena(struct arena *arena, u64 space)
{
	unsigned int cpu;

	arena->askers = kvcalloc(nr_cpu_ids, sizeof(*arena->askers), GFP_KERNEL);
	if (!arena->askers)
		return -ENOMEM;
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		draw_requests(&arena->askers[cpu], space);
	return quarry_vmem_init(&arena->vmem, "bench", BASE, space, QUANTUM, NULL, 0,
				&arena->memory.backend);
}

static void *arena_setup(u64 space)
{
	struct arena *arena = kvzalloc(sizeof(*arena), GFP_KERNEL);
	int err;

	if (!arena)
		return ERR_PTR(-ENOMEM);
	err = bench_memory_init(&arena->memory, SZ_64M);
	if (err)
		goto free;
	err = start_arena(arena, space);
	if (err)
		goto fini;
	return arena;
fini:
	bench_memory_fini(&arena->memory);
free:
	kvfree(arena->askers);
	kvfree(arena);
	return ERR_PTR(err);
}

/* One segment in four is small enough for a cache. */
static int start_caches(struct arena *arena, u64 space)
{
	struct quarry_qcaches_config config = {
		.vmem = &arena->vmem,
		.nr = QUARRY_VMEM_MAX_QCACHES,
		.nr_segments = div_u64(space, 4 * 32 * QUANTUM),
		.backend = &arena->memory.backend,
	};

	return quarry_qcaches_init(&arena->qcaches, &config);
}

static void arena_teardown(void *ctx)
{
	struct arena *arena = ctx;
	struct quarry_fault fault;

	if (quarry_vmem_verify(&arena->vmem, &fault))
		pr_err("BUG: the arena is damaged: %s\n", fault.what);
	if (quarry_vmem_fini(&arena->vmem))
		pr_err("BUG: segments are still in use\n");
	bench_memory_fini(&arena->memory);
	kvfree(arena->askers);
	kvfree(arena);
}

static void *cached_setup(u64 space)
{
	struct arena *arena = arena_setup(space);
	int err;

	if (IS_ERR(arena))
		return arena;
	err = start_caches(arena, space);
	if (err) {
		arena_teardown(arena);
		return ERR_PTR(err);
	}
	return arena;
}

static void cached_teardown(void *ctx)
{
	struct arena *arena = ctx;

	quarry_qcaches_fini(&arena->qcaches);
	arena_teardown(arena);
}

static bool first_fit(void *ctx, size_t size, struct bench_slot *slot)
{
	struct arena *arena = ctx;

	return !quarry_vmem_alloc(&arena->vmem, size, QUARRY_VMEM_FIRSTFIT, &slot->room[0]);
}

static bool best_fit(void *ctx, size_t size, struct bench_slot *slot)
{
	struct arena *arena = ctx;

	return !quarry_vmem_alloc(&arena->vmem, size, QUARRY_VMEM_BESTFIT, &slot->room[0]);
}

static bool next_fit(void *ctx, size_t size, struct bench_slot *slot)
{
	struct arena *arena = ctx;

	return !quarry_vmem_alloc(&arena->vmem, size, QUARRY_VMEM_NEXTFIT, &slot->room[0]);
}

static void arena_free(void *ctx, const struct bench_slot *slot)
{
	struct arena *arena = ctx;

	quarry_vmem_free(&arena->vmem, slot->room[0], slot->size);
}

static bool constrained(void *ctx, size_t size, struct bench_slot *slot)
{
	struct arena *arena = ctx;
	struct asker *asker = &arena->askers[smp_processor_id()];
	struct quarry_vmem_request *request = &asker->requests[asker->next++ % NR_REQUESTS];

	request->size = size;
	return !quarry_vmem_xalloc(&arena->vmem, request, &slot->room[0]);
}

static void constrained_free(void *ctx, const struct bench_slot *slot)
{
	struct arena *arena = ctx;

	quarry_vmem_xfree(&arena->vmem, slot->room[0], slot->size);
}

static u64 arena_work(void *ctx)
{
	struct quarry_vmem_stats stats;
	struct arena *arena = ctx;

	quarry_vmem_stats(&arena->vmem, &stats);
	return stats.nr_steps;
}

#define ARENA(_name, _alloc, _free)		\
	{					\
		.name = _name,			\
		.own_space = true,		\
		.setup = arena_setup,		\
		.teardown = arena_teardown,	\
		.alloc = _alloc,		\
		.free = _free,			\
		.work = arena_work,		\
	}

static const struct bench_allocator firstfit = ARENA("quarry_vmem", first_fit, arena_free);
static const struct bench_allocator bestfit = ARENA("quarry_vmem best", best_fit, arena_free);
static const struct bench_allocator nextfit = ARENA("quarry_vmem next", next_fit, arena_free);
static const struct bench_allocator xalloc =
	ARENA("quarry_vmem xalloc", constrained, constrained_free);

static const struct bench_allocator cached = {
	.name = "quarry_vmem cached",
	.own_space = true,
	.setup = cached_setup,
	.teardown = cached_teardown,
	.alloc = first_fit,
	.free = arena_free,
	.work = arena_work,
};

/* ---- What is measured ---- */

/* Half of the slots are live, and fill half of the space. */
#define SIZES(_slots, _space)			\
	.slots = _slots,			\
	.spread = BENCH_UNIFORM,		\
	.min_size = QUANTUM,			\
	.max_size = 64 * QUANTUM,		\
	.space = _space

static const struct bench_workload workloads[] = {
	{ BENCH_HOT_PAIR, SIZES(1000, SZ_128M) },
	{ BENCH_CHURN, SIZES(1000, SZ_128M) },
	{ BENCH_CHURN, SIZES(4000, SZ_512M) },
	{ BENCH_CHURN, SIZES(200000, 25ULL * SZ_1G), .max_rounds = 3 },
	{}
};

static const struct bench_allocator *const allocators[] = {
	&bench_nothing,
	&firstfit,
	&cached,
	&bestfit,
	&nextfit,
	&xalloc,
	&bench_gen_pool_4k,
#if IS_ENABLED(CONFIG_IOMMU_IOVA)
	&bench_iova,
#endif
	&bench_maple_tree,
#ifdef BENCH_DRM_MM
	&bench_drm_mm,
#endif
	NULL
};

const struct bench_family bench_ranges = {
	.name = "ranges",
	.allocators = allocators,
	.workloads = workloads,
	.space = SZ_64M,
};
