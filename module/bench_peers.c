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
#include <linux/sizes.h>

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

const struct bench_allocator bench_nothing = {
	.name = "nothing",
	.min_size = 1,
	.max_size = SIZE_MAX,
	.own_space = true,
	.setup = no_setup,
	.teardown = no_teardown,
	.alloc = nothing_alloc,
	.free = nothing_free,
};

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
		.min_size = PAGE_SIZE,		\
		.max_size = PAGE_SIZE << 10,	\
		.setup = no_setup,		\
		.teardown = no_teardown,	\
		.alloc = _alloc,		\
		.free = pages_free,		\
	}

const struct bench_allocator bench_alloc_pages = ALLOC_PAGES("alloc_pages", pages_alloc);
const struct bench_allocator bench_alloc_pages_comp =
	ALLOC_PAGES("alloc_pages comp", compound_alloc);

static void *pool_setup(u64 space)
{
	struct gen_pool *pool = gen_pool_create(ilog2(SZ_4K), NUMA_NO_NODE);
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

const struct bench_allocator bench_gen_pool = {
	.name = "gen_pool",
	.min_size = SZ_4K,
	.max_size = SZ_64M,
	.own_space = true,
	.setup = pool_setup,
	.teardown = pool_teardown,
	.alloc = pool_alloc,
	.free = pool_free,
};
