// SPDX-License-Identifier: GPL-2.0
/*
 * Memory with a buddy and a backend over it, for the allocators that need some.
 * It comes from vmalloc(), as no one here asks whether it is contiguous.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/vmalloc.h>

#include "bench_memory.h"

static int start_backend(struct bench_memory *memory, size_t meta_size)
{
	int err;

	err = quarry_buddy_init(&memory->buddy, "bench", &memory->region, PAGE_SIZE,
				memory->meta, meta_size);
	if (err)
		return err;
	return quarry_backend_init_buddy(&memory->backend, &memory->buddy, memory->owners);
}

/**
 * bench_memory_init() - get memory, and start a backend over it
 * @memory: the memory
 * @size: how much, in whole pages
 *
 * Return: 0, -ENOMEM, or what the buddy or the backend made of it.
 */
int bench_memory_init(struct bench_memory *memory, u64 size)
{
	size_t meta_size;
	int err;

	*memory = (struct bench_memory) { .base = vmalloc(size) };
	if (!memory->base)
		return -ENOMEM;
	memory->region = (struct quarry_region) { (unsigned long)memory->base, size };
	meta_size = quarry_buddy_meta_size(&memory->region, PAGE_SIZE);
	memory->meta = vmalloc(meta_size);
	memory->owners = vzalloc(quarry_backend_owners_size(&memory->region, PAGE_SIZE));
	err = memory->meta && memory->owners ? start_backend(memory, meta_size) : -ENOMEM;
	if (err) {
		vfree(memory->owners);
		vfree(memory->meta);
		vfree(memory->base);
	}
	return err;
}

/**
 * bench_memory_fini() - give the memory back
 * @memory: the memory
 *
 * Who was measured must have given back all of it by now: figures of an allocator
 * that loses memory would mean nothing.
 */
void bench_memory_fini(struct bench_memory *memory)
{
	u64 nr_used;

	if (quarry_backend_fini(&memory->backend))
		pr_err("BUG: someone still is registered with the backend\n");
	if (quarry_buddy_fini(&memory->buddy, &nr_used))
		pr_err("BUG: %llu ranges never came back\n", nr_used);
	vfree(memory->owners);
	vfree(memory->meta);
	vfree(memory->base);
}
