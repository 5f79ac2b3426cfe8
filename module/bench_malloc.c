// SPDX-License-Identifier: GPL-2.0
/*
 * Malloc beside the kernel's: blocks of any size, out of a zone, a heap and a buddy that
 * share one memory.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sizes.h>

#include "../lib/malloc.h"
#include "bench.h"
#include "bench_memory.h"

/* As in the default instance. */
#define HEAP_PAGE	512
#define MIN_EXTENT	SZ_64K

/**
 * struct malloc_space - a malloc to measure
 * @malloc: the malloc
 * @zone: its zone
 * @heap: its heap
 * @memory: where all is from
 */
struct malloc_space {
	struct quarry_malloc malloc;
	struct quarry_zone zone;
	struct quarry_heap heap;
	struct bench_memory memory;
};

static int start_heap(struct malloc_space *space, u64 size)
{
	u64 extent = roundup_pow_of_two(div_u64(size, QUARRY_HEAP_MAX_EXTENTS));

	return quarry_heap_init(&space->heap, "bench", NULL, 0, HEAP_PAGE) ?:
	       quarry_heap_set_backend(&space->heap, &space->memory.backend,
				       max_t(u64, extent, MIN_EXTENT), 1);
}

/* The heap holds nothing yet, so that it needs no end if another one fails. */
static int start(struct malloc_space *space, u64 size)
{
	const struct quarry_zone_config zone = {
		.name = "bench",
		.backend = &space->memory.backend,
	};
	const struct quarry_malloc_config malloc = {
		.name = "bench",
		.buddy = &space->memory.buddy,
		.backend = &space->memory.backend,
		.zone = &space->zone,
		.heap = &space->heap,
	};

	return quarry_zone_init(&space->zone, &zone) ?:
	       start_heap(space, size) ?:
	       quarry_malloc_init(&space->malloc, &malloc);
}

static void *malloc_setup(u64 size)
{
	struct malloc_space *space = kvzalloc(sizeof(*space), GFP_KERNEL);
	int err;

	if (!space)
		return ERR_PTR(-ENOMEM);
	err = bench_memory_init(&space->memory, size);
	if (err)
		goto free;
	err = start(space, size);
	if (err)
		goto fini;
	return space;
fini:
	bench_memory_fini(&space->memory);
free:
	kvfree(space);
	return ERR_PTR(err);
}

static void malloc_teardown(void *ctx)
{
	struct malloc_space *space = ctx;
	struct quarry_fault fault;

	if (quarry_malloc_verify(&space->malloc, &fault))
		pr_err("BUG: malloc is damaged: %s\n", fault.what);
	if (quarry_malloc_fini(&space->malloc, NULL))
		pr_err("BUG: large blocks never came back\n");
	quarry_heap_destroy(&space->heap, NULL, NULL);
	quarry_zone_fini(&space->zone, true, NULL);
	bench_memory_fini(&space->memory);
	kvfree(space);
}

static bool malloc_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct malloc_space *space = ctx;

	slot->handle = (unsigned long)quarry_malloc_alloc(&space->malloc, size, GFP_ATOMIC);
	return slot->handle;
}

static void malloc_free(void *ctx, const struct bench_slot *slot)
{
	struct malloc_space *space = ctx;

	quarry_malloc_free(&space->malloc, (void *)slot->handle);
}

const struct bench_allocator bench_malloc = {
	.name = "quarry_malloc",
	.own_space = true,
	.setup = malloc_setup,
	.teardown = malloc_teardown,
	.alloc = malloc_alloc,
	.free = malloc_free,
};
