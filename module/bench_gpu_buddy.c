// SPDX-License-Identifier: GPL-2.0
/*
 * The buddy allocator of the graphics drivers, where the kernel has it. Its
 * caller brings the lock, which must be one that allows to sleep, as it gets its
 * nodes from kmem_cache with GFP_KERNEL.
 */
#include <linux/err.h>
#include <linux/gpu_buddy.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "bench.h"

struct gpu_space {
	struct gpu_buddy mm;
	struct mutex lock;	/* guards mm */
};

static void *gpu_setup(u64 space)
{
	struct gpu_space *gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	int err;

	if (!gpu)
		return ERR_PTR(-ENOMEM);
	err = gpu_buddy_init(&gpu->mm, space, SZ_4K);
	if (err) {
		kfree(gpu);
		return ERR_PTR(err);
	}
	mutex_init(&gpu->lock);
	return gpu;
}

static void gpu_teardown(void *ctx)
{
	struct gpu_space *gpu = ctx;

	gpu_buddy_fini(&gpu->mm);
	mutex_destroy(&gpu->lock);
	kfree(gpu);
}

static bool gpu_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct gpu_space *gpu = ctx;
	LIST_HEAD(blocks);
	int err;

	mutex_lock(&gpu->lock);
	err = gpu_buddy_alloc_blocks(&gpu->mm, 0, gpu->mm.size, size, size, &blocks, 0);
	mutex_unlock(&gpu->lock);
	if (err)
		return false;
	slot->handle = (unsigned long)list_first_entry(&blocks, struct gpu_buddy_block, link);
	return true;
}

static void gpu_free(void *ctx, const struct bench_slot *slot)
{
	struct gpu_space *gpu = ctx;

	mutex_lock(&gpu->lock);
	gpu_buddy_free_block(&gpu->mm, (struct gpu_buddy_block *)slot->handle);
	mutex_unlock(&gpu->lock);
}

const struct bench_allocator bench_gpu_buddy = {
	.name = "gpu_buddy",
	.own_space = true,
	.sleeps = true,
	.setup = gpu_setup,
	.teardown = gpu_teardown,
	.alloc = gpu_alloc,
	.free = gpu_free,
};
