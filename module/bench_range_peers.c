// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own allocators of ranges of numbers: that of I/O addresses and the
 * maple tree, which vm_area_struct and others find gaps with. (gen_pool is with the
 * other peers.) Numbers are pages.
 */
#include <linux/err.h>
#include <linux/iova.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "bench.h"

#define FIRST	(SZ_1G / SZ_4K)

static unsigned long pages_of(u64 size)
{
	return size / SZ_4K;
}

#if IS_ENABLED(CONFIG_IOMMU_IOVA)
/**
 * struct addresses - a domain of I/O addresses
 * @domain: the domain
 * @last: its last page
 */
struct addresses {
	struct iova_domain domain;
	unsigned long last;
};

static int addresses_init(struct addresses *addresses, u64 space)
{
	int err;

	err = iova_cache_get();
	if (err)
		return err;
	init_iova_domain(&addresses->domain, SZ_4K, FIRST);
	addresses->last = FIRST + pages_of(space) - 1;
	err = iova_domain_init_rcaches(&addresses->domain);
	if (err) {
		put_iova_domain(&addresses->domain);
		iova_cache_put();
	}
	return err;
}

static void *addresses_setup(u64 space)
{
	struct addresses *addresses = kzalloc(sizeof(*addresses), GFP_KERNEL);
	int err;

	if (!addresses)
		return ERR_PTR(-ENOMEM);
	err = addresses_init(addresses, space);
	if (err) {
		kfree(addresses);
		return ERR_PTR(err);
	}
	return addresses;
}

static void addresses_teardown(void *ctx)
{
	struct addresses *addresses = ctx;

	put_iova_domain(&addresses->domain);
	iova_cache_put();
	kfree(addresses);
}

static bool addresses_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct addresses *addresses = ctx;

	slot->handle = alloc_iova_fast(&addresses->domain, pages_of(size), addresses->last, true);
	return slot->handle;
}

static void addresses_free(void *ctx, const struct bench_slot *slot)
{
	struct addresses *addresses = ctx;

	free_iova_fast(&addresses->domain, slot->handle, pages_of(slot->size));
}

/* What its caches don't have it searches for, from the end. */
const struct bench_allocator bench_iova = {
	.name = "iova",
	.max_slots = 4000,
	.own_space = true,
	.setup = addresses_setup,
	.teardown = addresses_teardown,
	.alloc = addresses_alloc,
	.free = addresses_free,
};
#endif

/**
 * struct gaps - a maple tree that is searched for gaps
 * @tree: the tree
 * @last: the last page
 */
struct gaps {
	struct maple_tree tree;
	unsigned long last;
};

static void *gaps_setup(u64 space)
{
	struct gaps *gaps = kzalloc(sizeof(*gaps), GFP_KERNEL);

	if (!gaps)
		return ERR_PTR(-ENOMEM);
	mt_init_flags(&gaps->tree, MT_FLAGS_ALLOC_RANGE);
	gaps->last = FIRST + pages_of(space) - 1;
	return gaps;
}

static void gaps_teardown(void *ctx)
{
	struct gaps *gaps = ctx;

	mtree_destroy(&gaps->tree);
	kfree(gaps);
}

static bool gaps_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct gaps *gaps = ctx;

	return !mtree_alloc_range(&gaps->tree, &slot->handle, gaps, pages_of(size), FIRST,
				  gaps->last, GFP_NOWAIT | __GFP_NOWARN);
}

static void gaps_free(void *ctx, const struct bench_slot *slot)
{
	struct gaps *gaps = ctx;

	mtree_erase(&gaps->tree, slot->handle);
}

const struct bench_allocator bench_maple_tree = {
	.name = "maple tree",
	.own_space = true,
	.setup = gaps_setup,
	.teardown = gaps_teardown,
	.alloc = gaps_alloc,
	.free = gaps_free,
};
