/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_BENCH_MEMORY_H
#define QUARRY_BENCH_MEMORY_H

#include "../lib/backend.h"
#include "../lib/buddy.h"
#include "../lib/region.h"

/**
 * struct bench_memory - memory for allocators that touch what they manage
 * @base: where it is
 * @region: the same
 * @buddy: cuts it into pages
 * @backend: gives these to the allocator that is measured
 * @meta: the metadata of @buddy
 * @owners: the backend's
 */
struct bench_memory {
	void *base;
	struct quarry_region region;
	struct quarry_buddy buddy;
	struct quarry_backend backend;
	void *meta;
	unsigned long *owners;
};

int bench_memory_init(struct bench_memory *memory, u64 size);
void bench_memory_fini(struct bench_memory *memory);

#endif /* QUARRY_BENCH_MEMORY_H */
