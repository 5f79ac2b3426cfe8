// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of any size, by quarry_malloc() and the like, and by a malloc of one's own.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <linux/cache.h>
#include <linux/gfp.h>
#include <linux/string.h>

#include <quarry/default.h>
#include <quarry/malloc.h>

#include "consumer.h"

static void use_default(void)
{
	size_t size;

	for (size = 1; size < 1 << 20; size = size * 5 + 1) {
		void *block = quarry_malloc(size, GFP_KERNEL | __GFP_ZERO);

		CHECK(block && !memchr_inv(block, 0, size));
		CHECK(quarry_usable_size(block) >= size);
		block = quarry_realloc(block, 2 * size, GFP_KERNEL);
		CHECK(block);
		CHECK(!quarry_free(block));
	}
	CHECK(!quarry_free(NULL));
	CHECK(quarry_free(&size) == -EINVAL);
	CHECK(!quarry_malloc(0, GFP_KERNEL));
}

static void use_own_malloc(void)
{
	static struct quarry_zone zone __cacheline_aligned;
	static struct quarry_malloc malloc;
	static struct quarry_heap heap;
	struct quarry_backend *backend = quarry_default_backend();
	const struct quarry_zone_config zone_config = { .name = "malloc", .backend = backend };
	const struct quarry_malloc_config config = {
		.name = "consumer",
		.buddy = quarry_default_buddy(),
		.backend = backend,
		.zone = &zone,
		.heap = &heap,
	};
	struct quarry_malloc_stats stats;
	void *block;

	CHECK(!quarry_zone_init(&zone, &zone_config));
	CHECK(!quarry_heap_init(&heap, "malloc", NULL, 0, 512));
	CHECK(!quarry_heap_set_backend(&heap, backend, 1 << 16, 0));
	CHECK(!quarry_malloc_init(&malloc, &config));
	block = quarry_malloc_alloc(&malloc, 100, GFP_NOWAIT);
	CHECK(quarry_malloc_usable_size(&malloc, block) >= 100);
	block = quarry_malloc_realloc(&malloc, block, 100000, GFP_NOWAIT);
	CHECK(block);
	quarry_malloc_stats(&malloc, &stats);
	CHECK(stats.nr_used == 1);
	CHECK(!quarry_malloc_verify(&malloc, NULL));
	CHECK(!quarry_malloc_free(&malloc, block));
	CHECK(!quarry_malloc_fini(&malloc, NULL));
	CHECK(!quarry_heap_fini(&heap, NULL));
	CHECK(!quarry_zone_fini(&zone, false, NULL));
}

void use_malloc(void)
{
	CHECK(quarry_default_malloc());
	use_default();
	use_own_malloc();
}
