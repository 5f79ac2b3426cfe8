// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocator in one region, with nothing but the buddy to take memory from.
 */
#include "estate.h"

/* ---- Who gives memory ---- */

static void *take_block(struct estate *estate, size_t size)
{
	struct quarry_buddy_block block;

	if (quarry_buddy_alloc(&estate->backing->buddy, size, QUARRY_BUDDY_EXACT, &block))
		return NULL;
	return (void *)(unsigned long)block.addr;
}

static int give_block(struct estate *estate, void *block, size_t size)
{
	return quarry_buddy_free(&estate->backing->buddy, (unsigned long)block);
}

static void *resize_block(struct estate *estate, void *addr, size_t size)
{
	struct quarry_buddy_block block;

	if (quarry_buddy_realloc(&estate->backing->buddy, (unsigned long)addr, size,
				 QUARRY_BUDDY_EXACT, &block))
		return NULL;
	return (void *)(unsigned long)block.addr;
}

static void *take_range(struct estate *estate, size_t size)
{
	return quarry_backend_take(&estate->backing->backend, size);
}

/* The backend is told the size, and a block of another one isn't its. */
static int give_range(struct estate *estate, void *range, size_t size)
{
	return quarry_buddy_free(&estate->backing->buddy, (unsigned long)range);
}

static void *take_slab_object(struct estate *estate, size_t size)
{
	return quarry_slab_alloc(estate->slab, 0);
}

static int give_slab_object(struct estate *estate, void *object, size_t size)
{
	return quarry_slab_free(estate->slab, object);
}

static void *take_cache_object(struct estate *estate, size_t size)
{
	return quarry_cache_alloc(estate->cache, 0);
}

static int give_cache_object(struct estate *estate, void *object, size_t size)
{
	return quarry_cache_free(estate->cache, object);
}

static void *take_zone_object(struct estate *estate, size_t size)
{
	return quarry_zone_alloc(&estate->space->zone, size, 0, 0);
}

static int give_zone_object(struct estate *estate, void *object, size_t size)
{
	return quarry_zone_free(&estate->space->zone, object);
}

static void *take_heap_block(struct estate *estate, size_t size)
{
	return quarry_heap_alloc(&estate->space->heap, size);
}

static int give_heap_block(struct estate *estate, void *block, size_t size)
{
	return quarry_heap_free(&estate->space->heap, block);
}

static void *resize_heap_block(struct estate *estate, void *block, size_t size)
{
	return quarry_heap_realloc(&estate->space->heap, block, size);
}

static void *take_segment(struct estate *estate, size_t size)
{
	u64 addr;

	if (quarry_vmem_alloc(&estate->vmem, size, QUARRY_VMEM_BESTFIT, &addr))
		return NULL;
	return (void *)(unsigned long)addr;
}

static int give_segment(struct estate *estate, void *segment, size_t size)
{
	return quarry_vmem_free(&estate->vmem, (unsigned long)segment, size);
}

static void *take_any(struct estate *estate, size_t size)
{
	return quarry_malloc_alloc(&estate->space->malloc, size, GFP_ATOMIC);
}

static int give_any(struct estate *estate, void *block, size_t size)
{
	return quarry_malloc_free(&estate->space->malloc, block);
}

static void *resize_any(struct estate *estate, void *block, size_t size)
{
	return quarry_malloc_realloc(&estate->space->malloc, block, size, GFP_ATOMIC);
}

const struct estate_party estate_parties[ESTATE_NR_PARTIES] = {
	{ "buddy", SZ_64K, take_block, give_block, resize_block },
	{ "backend", SZ_64K, take_range, give_range },
	{ "slab", ESTATE_SLAB_SIZE, take_slab_object, give_slab_object },
	{ "cache", ESTATE_CACHE_SIZE, take_cache_object, give_cache_object },
	{ "zone", SZ_32K, take_zone_object, give_zone_object },
	{ "heap", SZ_64K, take_heap_block, give_heap_block, resize_heap_block },
	{ "vmem", SZ_64K, take_segment, give_segment },
	{ "malloc", SZ_128K, take_any, give_any, resize_any },
};

/* ---- The estate ---- */

static void expect_intact(struct kunit *test, int err, const struct quarry_fault *fault)
{
	KUNIT_EXPECT_EQ_MSG(test, err, 0, "%s at %#llx: %llu expected, %llu found", fault->what,
			    fault->addr, fault->expected, fault->found);
}

void estate_intact(struct kunit *test, struct estate *estate)
{
	struct quarry_fault fault = {};

	qtest_malloc_intact(test, estate->space);
	qtest_slab_intact(test, estate->slab);
	expect_intact(test, quarry_cache_verify(estate->cache, &fault), &fault);
	expect_intact(test, quarry_vmem_verify(&estate->vmem, &fault), &fault);
}

static void finish_cache(struct kunit *test, void *cache)
{
	EXPECT_OK(test, quarry_cache_fini(cache, true, NULL));
}

static struct quarry_cache *new_cache(struct kunit *test)
{
	const struct quarry_cache_config config = {
		.slab = qtest_slab_config(test, ESTATE_CACHE_SIZE, 0),
	};
	struct quarry_cache *cache = qtest_aligned_memory(test, sizeof(*cache), SMP_CACHE_BYTES);

	ASSERT_OK(test, quarry_cache_init(cache, &config));
	qtest_lodge(test, cache, finish_cache);
	return cache;
}

static void finish_vmem(struct kunit *test, void *object)
{
	struct estate *estate = object;
	struct quarry_fault fault = {};

	expect_intact(test, quarry_vmem_verify(&estate->vmem, &fault), &fault);
	quarry_qcaches_fini(&estate->qcaches);
	EXPECT_OK(test, quarry_vmem_fini(&estate->vmem));
}

static void start_vmem(struct kunit *test, struct estate *estate)
{
	struct qtest_backing *backing = estate->backing;
	const struct quarry_qcaches_config config = {
		.vmem = &estate->vmem, .nr = 4, .backend = &backing->backend,
	};

	ASSERT_OK(test, quarry_vmem_init(&estate->vmem, test->name, 0, 0, PAGE,
					 qtest_memory(test, SZ_16K), SZ_16K, &backing->backend));
	ASSERT_OK(test, quarry_vmem_set_import(&estate->vmem, quarry_vmem_import_buddy,
					       quarry_vmem_release_buddy, &backing->buddy,
					       PAGES(ESTATE_IMPORT)));
	ASSERT_OK(test, quarry_qcaches_init(&estate->qcaches, &config));
	qtest_lodge(test, estate, finish_vmem);
}

struct estate *estate_create(struct kunit *test)
{
	struct estate *estate = qtest_aligned_memory(test, sizeof(*estate), SMP_CACHE_BYTES);
	const struct quarry_slab_config slab = qtest_slab_config(test, ESTATE_SLAB_SIZE, 0);

	estate->backing = test->priv;
	quarry_buddy_set_reclaim(&estate->backing->buddy, quarry_backend_reclaim_for_buddy,
				 &estate->backing->backend);
	estate->space = qtest_malloc(test);
	estate->slab = qtest_slab(test, &slab);
	estate->cache = new_cache(test);
	start_vmem(test, estate);
	return estate;
}
