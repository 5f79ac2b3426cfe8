// SPDX-License-Identifier: GPL-2.0
/*
 * Objects of one size: Quarry's slab and its cache beside kmem_cache, one by one
 * and many in a call. And states of a slab: it must make no difference how many
 * slabs there are, and what it costs when each call goes down to the buddy.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../lib/cache.h"
#include "../lib/slab.h"
#include "bench.h"
#include "bench_memory.h"

/**
 * struct objects - a slab or a cache to measure
 * @slab: the slab, if it is one
 * @cache: the cache, if it is one
 * @memory: where its slabs come from
 */
struct objects {
	struct quarry_slab slab;
	struct quarry_cache cache;
	struct bench_memory memory;
};

static void *objects_setup(u64 space, int (*init)(struct objects *objects))
{
	struct objects *objects = kzalloc(sizeof(*objects), GFP_KERNEL);
	int err;

	if (!objects)
		return ERR_PTR(-ENOMEM);
	err = bench_memory_init(&objects->memory, space);
	if (err)
		goto free;
	err = init(objects);
	if (err)
		goto fini;
	return objects;
fini:
	bench_memory_fini(&objects->memory);
free:
	kfree(objects);
	return ERR_PTR(err);
}

static void objects_teardown(struct objects *objects)
{
	bench_memory_fini(&objects->memory);
	kfree(objects);
}

static struct quarry_slab_config config_of(struct objects *objects)
{
	return (struct quarry_slab_config) {
		.name = "bench",
		.object_size = BENCH_OBJECT_SIZE,
		.backend = &objects->memory.backend,
	};
}

/* ---- The slab ---- */

static int slab_init(struct objects *objects)
{
	struct quarry_slab_config config = config_of(objects);

	return quarry_slab_init(&objects->slab, &config);
}

static void *slab_setup(u64 space)
{
	return objects_setup(space, slab_init);
}

static void slab_teardown(void *ctx)
{
	struct objects *objects = ctx;
	struct quarry_fault fault;

	if (quarry_slab_verify(&objects->slab, &fault))
		pr_err("BUG: the slab is damaged: %s\n", fault.what);
	quarry_slab_fini(&objects->slab, true, NULL);
	objects_teardown(objects);
}

static bool slab_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct objects *objects = ctx;

	slot->handle = (unsigned long)quarry_slab_alloc(&objects->slab, 0);
	return slot->handle;
}

static void slab_free(void *ctx, const struct bench_slot *slot)
{
	struct objects *objects = ctx;

	quarry_slab_free(&objects->slab, (void *)slot->handle);
}

static bool slab_bulk_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	void **room = this_cpu_ptr(&bench_bulk_taken)->objects;
	struct objects *objects = ctx;

	return quarry_slab_alloc_bulk(&objects->slab, 0, BENCH_BULK, room) == BENCH_BULK;
}

static void slab_bulk_free(void *ctx, const struct bench_slot *slot)
{
	void **taken = this_cpu_ptr(&bench_bulk_taken)->objects;
	struct objects *objects = ctx;

	quarry_slab_free_bulk(&objects->slab, BENCH_BULK, taken);
}

/* Slabs taken from the backend and given back. */
static u64 slab_work(void *ctx)
{
	struct quarry_backend_stats stats;
	struct objects *objects = ctx;

	quarry_backend_stats(&objects->memory.backend, &stats);
	return stats.nr_takes + stats.nr_gives;
}

static const struct bench_allocator slab = {
	.name = "quarry_slab",
	.own_space = true,
	.memory = true,
	.setup = slab_setup,
	.teardown = slab_teardown,
	.alloc = slab_alloc,
	.free = slab_free,
	.work = slab_work,
};

static const struct bench_allocator slab_bulk = {
	.name = "quarry_slab",
	.batch = BENCH_BULK,
	.own_space = true,
	.setup = slab_setup,
	.teardown = slab_teardown,
	.alloc = slab_bulk_alloc,
	.free = slab_bulk_free,
	.work = slab_work,
};

/* ---- The cache ---- */

static int cache_init(struct objects *objects)
{
	struct quarry_cache_config config = { .slab = config_of(objects) };

	return quarry_cache_init(&objects->cache, &config);
}

static int debug_init(struct objects *objects)
{
	struct quarry_cache_config config = {
		.slab = config_of(objects),
		.flags = QUARRY_CACHE_DEBUG,
	};

	return quarry_cache_init(&objects->cache, &config);
}

static void *cache_setup(u64 space)
{
	return objects_setup(space, cache_init);
}

static void *debug_setup(u64 space)
{
	return objects_setup(space, debug_init);
}

static void cache_teardown(void *ctx)
{
	struct objects *objects = ctx;
	struct quarry_fault fault;

	if (quarry_cache_verify(&objects->cache, &fault))
		pr_err("BUG: the cache is damaged: %s\n", fault.what);
	quarry_cache_fini(&objects->cache, true, NULL);
	objects_teardown(objects);
}

static bool cache_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct objects *objects = ctx;

	slot->handle = (unsigned long)quarry_cache_alloc(&objects->cache, 0);
	return slot->handle;
}

static void cache_free(void *ctx, const struct bench_slot *slot)
{
	struct objects *objects = ctx;

	quarry_cache_free(&objects->cache, (void *)slot->handle);
}

static bool cache_bulk_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	void **room = this_cpu_ptr(&bench_bulk_taken)->objects;
	struct objects *objects = ctx;

	return quarry_cache_alloc_bulk(&objects->cache, 0, BENCH_BULK, room) == BENCH_BULK;
}

static void cache_bulk_free(void *ctx, const struct bench_slot *slot)
{
	void **taken = this_cpu_ptr(&bench_bulk_taken)->objects;
	struct objects *objects = ctx;

	quarry_cache_free_bulk(&objects->cache, BENCH_BULK, taken);
}

#define CACHE(_name, _setup)			\
	{					\
		.name = _name,			\
		.own_space = true,		\
		.memory = true,			\
		.setup = _setup,		\
		.teardown = cache_teardown,	\
		.alloc = cache_alloc,		\
		.free = cache_free,		\
		.work = slab_work,		\
	}

static const struct bench_allocator cache = CACHE("quarry_cache", cache_setup);
static const struct bench_allocator debug = CACHE("quarry_cache debug", debug_setup);
static const struct bench_allocator cache_bulk = {
	.name = "quarry_cache",
	.batch = BENCH_BULK,
	.own_space = true,
	.setup = cache_setup,
	.teardown = cache_teardown,
	.alloc = cache_bulk_alloc,
	.free = cache_bulk_free,
	.work = slab_work,
};

/* ---- States of a slab ---- */

/* Takes all that there is; returns how many. */
static size_t take_all(struct quarry_slab *slab, void **all, size_t room)
{
	size_t nr = 0, got;

	do {
		got = quarry_slab_alloc_bulk(slab, 0, min_t(size_t, room - nr, SZ_4K), all + nr);
		nr += got;
	} while (got);
	return nr;
}

/* Every page of the space is a slab, and half of the objects in it are in use. */
static int half_of_all(struct bench_run *run)
{
	size_t room = run->space / BENCH_OBJECT_SIZE, nr, i, nr_freed = 0;
	struct objects *objects = run->ctx;
	void **all;

	all = vmalloc(array_size(room, sizeof(*all)));
	if (!all)
		return -ENOMEM;
	nr = take_all(&objects->slab, all, room);
	for (i = 0; i < nr; i++)
		if (prandom_u32_state(&run->random) & 1)
			all[nr_freed++] = all[i];
	quarry_slab_free_bulk(&objects->slab, nr_freed, all);
	vfree(all);
	return 0;
}

/* No slab is kept, so that each allocation takes one and each free gives it back. */
static int keep_none(struct bench_run *run)
{
	struct objects *objects = run->ctx;

	return quarry_slab_set_keep(&objects->slab, 0);
}

/* ---- What is measured ---- */

#define SIZES(_slots)	.slots = _slots, .min_size = BENCH_OBJECT_SIZE

static const struct bench_workload workloads[] = {
	{ BENCH_HOT_PAIR, SIZES(1000) },
	{ BENCH_HOT_PAIR_APART, SIZES(1000) },
	{ BENCH_CHURN, SIZES(1000) },
	{ BENCH_CHURN, SIZES(4000) },
	{ BENCH_CHURN, SIZES(16000) },
	/* Three times, of which the first one finds all cold. */
	{ BENCH_FILL_DRAIN_SHUFFLED, SIZES(10000), .steps = 60000 },
	{ BENCH_HANDOVER, SIZES(512), .steps = 100000 },
	{ BENCH_MESSAGES, SIZES(512), .steps = 100000 },
	{}
};

static const struct bench_allocator *const allocators[] = {
	&bench_nothing,
	&cache,
	&debug,
	&slab,
	&bench_kmem_cache,
	NULL
};

static const struct bench_state states[] = {
	{
		.allocator = &slab,
		.workload = {
			.name = "churn among half full slabs",
			SIZES(200),
			.own_space = true,
			.warm = half_of_all,
			.body = bench_churn,
		},
	},
	BENCH_STATE_PAIR("a slab taken and given back", &slab, BENCH_OBJECT_SIZE, keep_none),
	{}
};

/* Of 10 slabs, and of 100,000. */
static const u64 spaces[] = { 10 * SZ_4K, 100000ULL * SZ_4K, 0 };

const struct bench_family bench_objects = {
	.name = "objects",
	.allocators = allocators,
	.workloads = workloads,
	.space = SZ_16M,
	.states = states,
	.spaces = spaces,
};

static const struct bench_workload bulk_workloads[] = {
	{ BENCH_HOT_PAIR, SIZES(1) },
	{}
};

static const struct bench_allocator *const bulk_allocators[] = {
	&bench_nothing_bulk,
	&cache_bulk,
	&slab_bulk,
	&bench_kmem_cache_bulk,
	NULL
};

const struct bench_family bench_bulk = {
	.name = "bulk",
	.allocators = bulk_allocators,
	.workloads = bulk_workloads,
	.space = SZ_16M,
};
