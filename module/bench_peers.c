// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own allocators that Quarry's are measured beside, and the row
 * that does nothing. Each does what its users would write, no more, so that what
 * is measured is the allocator.
 */
#include <linux/err.h>
#include <linux/genalloc.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "bench.h"

/* gen_pool's addresses are made up: it never touches what it manages. */
#define POOL_BASE	SZ_1G

static void *no_setup(u64 space)
{
	return NULL;
}

static void no_teardown(void *ctx)
{
}

static bool nothing_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	slot->handle = 1;
	return true;
}

static void nothing_free(void *ctx, const struct bench_slot *slot)
{
}

#define NOTHING(_batch)				\
	{					\
		.name = "nothing",		\
		.batch = _batch,		\
		.own_space = true,		\
		.setup = no_setup,		\
		.teardown = no_teardown,	\
		.alloc = nothing_alloc,		\
		.free = nothing_free,		\
	}

const struct bench_allocator bench_nothing = NOTHING(1);
const struct bench_allocator bench_nothing_bulk = NOTHING(BENCH_BULK);

static bool pages_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	slot->handle = (unsigned long)alloc_pages(GFP_NOWAIT | __GFP_NOWARN,
						  ilog2(size) - PAGE_SHIFT);
	return slot->handle;
}

/* As one compound page, as most who take several pages do. */
static bool compound_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	slot->handle = (unsigned long)alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_COMP,
						  ilog2(size) - PAGE_SHIFT);
	return slot->handle;
}

static void pages_free(void *ctx, const struct bench_slot *slot)
{
	__free_pages((struct page *)slot->handle, ilog2(slot->size) - PAGE_SHIFT);
}

#define ALLOC_PAGES(_name, _alloc)		\
	{					\
		.name = _name,			\
		.setup = no_setup,		\
		.teardown = no_teardown,	\
		.alloc = _alloc,		\
		.free = pages_free,		\
	}

const struct bench_allocator bench_alloc_pages = ALLOC_PAGES("alloc_pages", pages_alloc);
const struct bench_allocator bench_alloc_pages_comp =
	ALLOC_PAGES("alloc_pages comp", compound_alloc);

static void *pool_setup(u64 space, unsigned int grain)
{
	struct gen_pool *pool = gen_pool_create(ilog2(grain), NUMA_NO_NODE);
	int err;

	if (!pool)
		return ERR_PTR(-ENOMEM);
	err = gen_pool_add(pool, POOL_BASE, space, NUMA_NO_NODE);
	if (err) {
		gen_pool_destroy(pool);
		return ERR_PTR(err);
	}
	return pool;
}

static void *pool_4k_setup(u64 space)
{
	return pool_setup(space, SZ_4K);
}

static void *pool_16_setup(u64 space)
{
	return pool_setup(space, 16);
}

static void pool_teardown(void *ctx)
{
	gen_pool_destroy(ctx);
}

static bool pool_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	slot->handle = gen_pool_alloc(ctx, size);
	return slot->handle;
}

static void pool_free(void *ctx, const struct bench_slot *slot)
{
	gen_pool_free(ctx, slot->handle, slot->size);
}

/* It searches from the start: the more is live, the longer. */
#define GEN_POOL(_name, _setup)			\
	{					\
		.name = _name,			\
		.max_slots = 4000,		\
		.own_space = true,		\
		.setup = _setup,		\
		.teardown = pool_teardown,	\
		.alloc = pool_alloc,		\
		.free = pool_free,		\
	}

const struct bench_allocator bench_gen_pool_4k = GEN_POOL("gen_pool", pool_4k_setup);
const struct bench_allocator bench_gen_pool_16 = GEN_POOL("gen_pool", pool_16_setup);

static bool kmalloc_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	slot->handle = (unsigned long)kmalloc(size, GFP_NOWAIT | __GFP_NOWARN);
	return slot->handle;
}

static void kmalloc_free(void *ctx, const struct bench_slot *slot)
{
	kfree((void *)slot->handle);
}

const struct bench_allocator bench_kmalloc = {
	.name = "kmalloc",
	.setup = no_setup,
	.teardown = no_teardown,
	.alloc = kmalloc_alloc,
	.free = kmalloc_free,
};

static void *kmem_cache_setup(u64 space)
{
	struct kmem_cache *cache = kmem_cache_create("quarry_bench", BENCH_OBJECT_SIZE, 0, 0, NULL);

	return cache ?: ERR_PTR(-ENOMEM);
}

static void kmem_cache_teardown(void *ctx)
{
	kmem_cache_destroy(ctx);
}

static bool object_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	slot->handle = (unsigned long)kmem_cache_alloc(ctx, GFP_NOWAIT | __GFP_NOWARN);
	return slot->handle;
}

static void object_free(void *ctx, const struct bench_slot *slot)
{
	kmem_cache_free(ctx, (void *)slot->handle);
}

const struct bench_allocator bench_kmem_cache = {
	.name = "kmem_cache",
	.memory = true,
	.setup = kmem_cache_setup,
	.teardown = kmem_cache_teardown,
	.alloc = object_alloc,
	.free = object_free,
};

DEFINE_PER_CPU(struct bench_bulk, bench_bulk_taken);

static bool bulk_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	return kmem_cache_alloc_bulk(ctx, GFP_NOWAIT | __GFP_NOWARN, BENCH_BULK,
				     this_cpu_ptr(&bench_bulk_taken)->objects);
}

static void bulk_free(void *ctx, const struct bench_slot *slot)
{
	kmem_cache_free_bulk(ctx, BENCH_BULK, this_cpu_ptr(&bench_bulk_taken)->objects);
}

const struct bench_allocator bench_kmem_cache_bulk = {
	.name = "kmem_cache",
	.batch = BENCH_BULK,
	.setup = kmem_cache_setup,
	.teardown = kmem_cache_teardown,
	.alloc = bulk_alloc,
	.free = bulk_free,
};
