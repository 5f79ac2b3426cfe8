// SPDX-License-Identifier: GPL-2.0
/*
 * Heaps: in memory that is given to them, and in memory that they fetch.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <linux/string.h>

#include <quarry/default.h>
#include <quarry/heap.h>
#include <quarry/magazine.h>

#include "consumer.h"

#define EXTENT	(16 * OWN_PAGE)

static int may_free(void *ctx, void *block, size_t size)
{
	plant();
	return ctx ? -EPERM : 0;
}

static void allocate(struct quarry_heap *heap)
{
	void *block, *other, *stays = quarry_heap_alloc(heap, 1);
	struct quarry_heap_block found;

	block = quarry_heap_alloc(heap, 1000);
	CHECK(block && quarry_heap_usable_size(heap, block) >= 1000);
	memset(block, 1, 1000);
	block = quarry_heap_realloc(heap, block, 5000);
	CHECK(block && !memchr_inv(block, 1, 1000));
	CHECK(!quarry_heap_lookup(heap, block + 4000, &found) && found.addr == block);
	CHECK(!quarry_heap_next(heap, block, &found));
	CHECK(quarry_heap_free_checked(heap, block, may_free, heap) == -EPERM);
	CHECK(!quarry_heap_free_checked(heap, block, may_free, NULL));
	CHECK(quarry_heap_free(heap, block) == -ENOENT);

	block = quarry_heap_zalloc(heap, 300);
	other = quarry_heap_calloc(heap, 30, 10);
	CHECK(block && other && !memcmp(block, other, 300));
	CHECK(!quarry_heap_free_deferred(heap, block));
	CHECK(!quarry_heap_free(heap, other));
	quarry_heap_reap(heap);

	block = quarry_heap_alloc_aligned(heap, 100, 2048);
	CHECK(block && !((unsigned long)block & 2047));
	CHECK(!quarry_heap_free(heap, block));
	CHECK(!quarry_heap_alloc_wait(heap, 100, 10, QUARRY_HEAP_PRIO, &block));
	CHECK(!quarry_heap_free(heap, block));
	CHECK(!quarry_heap_alloc(heap, SIZE_MAX));
	CHECK(!quarry_heap_free(heap, stays));
}

static void use_given_memory(void)
{
	size_t size = quarry_heap_size(EXTENT, 512);
	void *first = own_memory(size), *second = own_memory(EXTENT);
	static struct quarry_heap heap;
	struct quarry_heap_class_stats class;
	struct quarry_heap_extent_stats extent;
	struct quarry_heap_stats stats;
	u64 nr_used;

	CHECK(!quarry_heap_init(&heap, "consumer", first, size, 512));
	CHECK(!quarry_heap_extend(&heap, second, EXTENT));
	allocate(&heap);
	CHECK(!quarry_heap_extent_stats(&heap, 1, &extent));
	CHECK(!quarry_heap_class_stats(&heap, 0, &class));
	quarry_heap_stats(&heap, &stats);
	CHECK(!stats.used);
	CHECK(!quarry_heap_verify(&heap, NULL));
	CHECK(!quarry_heap_shrink(&heap, second));
	CHECK(!quarry_heap_fini(&heap, &nr_used) && !nr_used);
}

static void *grow(void *ctx, size_t need, size_t *size)
{
	plant();
	if (need > EXTENT)
		return NULL;
	*size = EXTENT;
	return ctx;
}

static void give(void *ctx, void *memory, size_t size)
{
	CHECK(memory == ctx && size == EXTENT);
}

static void use_fetched_memory(struct quarry_backend *backend)
{
	static struct quarry_heap heap;
	const struct quarry_heap_grower grower = {
		.grow = grow, .give = give, .ctx = own_memory(EXTENT),
	};
	struct quarry_magazines_stats stats;

	CHECK(!quarry_heap_init(&heap, "consumer", NULL, 0, 512));
	CHECK(!quarry_heap_set_grow(&heap, &grower));
	allocate(&heap);
	CHECK(!quarry_heap_set_grow(&heap, NULL));
	CHECK(!quarry_heap_set_backend(&heap, backend, EXTENT, 0));
	CHECK(!quarry_heap_set_caching(&heap, 256));
	allocate(&heap);
	CHECK(!quarry_heap_cache_stats(&heap, 0, &stats));
	CHECK(!quarry_heap_set_caching(&heap, 0));
	CHECK(quarry_heap_alloc(&heap, 100));
	CHECK(quarry_heap_fini(&heap, NULL) == -EBUSY);
	CHECK(quarry_heap_destroy(&heap, NULL, NULL) == 1);
}

void use_heap(struct quarry_backend *backend)
{
	use_given_memory();
	use_fetched_memory(backend);
	allocate(quarry_default_heap());
}
