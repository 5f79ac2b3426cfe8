// SPDX-License-Identifier: GPL-2.0
/*
 * The allocators that can be stressed, all through the same few operations. Each run
 * makes one of its own, out of the region as any user would: a buddy in a block of the
 * default one, the others over the default backend. What describes it is the host's
 * memory; so is a buddy's metadata, which it never finds in what it manages.
 *
 * None of them knows that it is stressed, and here is nothing that checks.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "../instance.h"
#include "stress.h"

/* An allocator that returns an address has no other way to say that there is none. */
static int from_pointer(const void *block, u64 *addr)
{
	*addr = (unsigned long)block;
	return block ? 0 : -ENOMEM;
}

/* ---- Buddy ---- */

/* Of so many bytes a page, which is a line of the cache, in that part of the region. */
#define BUDDY_PAGE	64
#define BUDDY_SHARE	4
#define BUDDY_LEAST	SZ_64K

struct stressed_buddy {
	struct quarry_buddy buddy;
	struct quarry_region region;
	void *range;
	void *meta;
};

static int take_range(struct stressed_buddy *stressed, struct quarry_instance *instance)
{
	size_t size = rounddown_pow_of_two((size_t)instance->managed.size / BUDDY_SHARE);

	while (size >= BUDDY_LEAST) {
		stressed->range = quarry_backend_take(&instance->backend, size);
		if (stressed->range)
			return quarry_region_init(&stressed->region,
						  (unsigned long)stressed->range, size);
		size /= 2;
	}
	return -ENOMEM;
}

static int start_buddy(struct stressed_buddy *stressed)
{
	size_t size = quarry_buddy_meta_size(&stressed->region, BUDDY_PAGE);

	stressed->meta = kvmalloc(size, GFP_KERNEL);
	if (!stressed->meta)
		return -ENOMEM;
	return quarry_buddy_init(&stressed->buddy, "stress", &stressed->region, BUDDY_PAGE,
				 stressed->meta, size);
}

static void free_buddy(struct stressed_buddy *stressed, struct quarry_instance *instance)
{
	if (stressed->range)
		quarry_instance_give(instance, stressed->range, stressed->region.size);
	kvfree(stressed->meta);
	kvfree(stressed);
}

static int buddy_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	struct stressed_buddy *stressed = kvzalloc(sizeof(*stressed), GFP_KERNEL);
	int err;

	if (!stressed)
		return -ENOMEM;
	err = take_range(stressed, subject->instance) ?: start_buddy(stressed);
	if (err)
		free_buddy(stressed, subject->instance);
	else
		subject->object = stressed;
	return err;
}

static int buddy_teardown(struct stress_subject *subject)
{
	struct stressed_buddy *stressed = subject->object;
	int err = quarry_buddy_fini(&stressed->buddy, NULL);

	free_buddy(stressed, subject->instance);
	return err;
}

/* By turns for each of the flags, as the size has it. */
static int buddy_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	struct stressed_buddy *stressed = subject->object;
	struct quarry_buddy_block block = {};
	int err = quarry_buddy_alloc(&stressed->buddy, size, size & 3, &block);

	*addr = block.addr;
	return err;
}

static int buddy_free(struct stress_subject *subject, u64 addr, u64 size)
{
	struct stressed_buddy *stressed = subject->object;

	return quarry_buddy_free(&stressed->buddy, addr);
}

static int buddy_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	struct stressed_buddy *stressed = subject->object;

	return quarry_buddy_verify(&stressed->buddy, fault);
}

static void buddy_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	struct stressed_buddy *stressed = subject->object;
	struct quarry_buddy_stats stats;

	quarry_buddy_stats(&stressed->buddy, &stats);
	*figures = (struct stress_figures) {
		.nr_used = stats.nr_used,
		.nr_allocs = stats.nr_allocs,
		.nr_frees = stats.nr_frees,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses,
		.used = stats.used,
		.held = stats.used,
		.free = stats.total - stats.used,
		.largest_free = stats.largest_free,
	};
}

static void buddy_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	struct stressed_buddy *stressed = subject->object;
	u64 at = stressed->region.base;
	struct quarry_buddy_block block;

	while (!quarry_buddy_next(&stressed->buddy, at, &block)) {
		if (!block.free)
			visit(ctx, block.addr, block.size);
		at = block.addr + block.size;
	}
}

static void buddy_tamper(struct stress_subject *subject, int delta)
{
	struct stressed_buddy *stressed = subject->object;

	stressed->buddy.used_pages += delta;
}

static const struct stress_allocator buddy = {
	.name		= "buddy",
	.setup		= buddy_setup,
	.teardown	= buddy_teardown,
	.alloc		= buddy_alloc,
	.free		= buddy_free,
	.verify		= buddy_verify,
	.figures	= buddy_figures,
	.walk		= buddy_walk,
	.tamper		= buddy_tamper,
};

/* ---- Slab ---- */

/* Objects are of the largest size that is asked for, but not larger than this. */
#define MAX_OBJECT	SZ_64K

static struct quarry_slab_config slab_config(struct stress_subject *subject,
					     const struct stress_settings *settings)
{
	subject->max_size = min_t(u64, settings->size_max, MAX_OBJECT);
	return (struct quarry_slab_config) {
		.name = "stress",
		.object_size = subject->max_size,
		.backend = &subject->instance->backend,
	};
}

static int slab_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	const struct quarry_slab_config config = slab_config(subject, settings);
	struct quarry_slab *slab = kvzalloc(sizeof(*slab), GFP_KERNEL);
	int err;

	if (!slab)
		return -ENOMEM;
	err = quarry_slab_init(slab, &config);
	if (err)
		kvfree(slab);
	else
		subject->object = slab;
	return err;
}

static int slab_teardown(struct stress_subject *subject)
{
	int err = quarry_slab_fini(subject->object, false, NULL);

	if (err)
		quarry_slab_fini(subject->object, true, NULL);
	kvfree(subject->object);
	return err;
}

static int slab_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	return from_pointer(quarry_slab_alloc(subject->object, 0), addr);
}

static int slab_free(struct stress_subject *subject, u64 addr, u64 size)
{
	return quarry_slab_free(subject->object, (void *)(unsigned long)addr);
}

static int slab_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	return quarry_slab_verify(subject->object, fault);
}

static void slab_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	struct quarry_slab_stats stats;

	quarry_slab_stats(subject->object, &stats);
	*figures = (struct stress_figures) {
		.nr_used = stats.nr_used,
		.nr_allocs = stats.nr_allocs,
		.nr_frees = stats.nr_frees,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses,
		.used = stats.nr_used * stats.object_size,
		.held = stats.nr_slabs * stats.slab_size,
	};
}

static void walk_slab(struct quarry_slab *slab, stress_visit_t visit, void *ctx)
{
	struct quarry_slab_object object;
	const void *at = NULL;

	while (!quarry_slab_next(slab, at, &object)) {
		visit(ctx, (unsigned long)object.start, object.size);
		at = object.start + object.size;
	}
}

static void slab_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	walk_slab(subject->object, visit, ctx);
}

static void slab_tamper(struct stress_subject *subject, int delta)
{
	struct quarry_slab *slab = subject->object;

	slab->nr_objects += delta;
}

static const struct stress_allocator slab = {
	.name		= "slab",
	.setup		= slab_setup,
	.teardown	= slab_teardown,
	.alloc		= slab_alloc,
	.free		= slab_free,
	.verify		= slab_verify,
	.figures	= slab_figures,
	.walk		= slab_walk,
	.tamper		= slab_tamper,
};

/* ---- Cache ---- */

static int cache_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	const struct quarry_cache_config config = { .slab = slab_config(subject, settings) };
	struct quarry_cache *cache = kvzalloc(sizeof(*cache), GFP_KERNEL);
	int err;

	if (!cache)
		return -ENOMEM;
	err = quarry_cache_init(cache, &config);
	if (err)
		kvfree(cache);
	else
		subject->object = cache;
	return err;
}

static int cache_teardown(struct stress_subject *subject)
{
	int err = quarry_cache_fini(subject->object, false, NULL);

	if (err)
		quarry_cache_fini(subject->object, true, NULL);
	kvfree(subject->object);
	return err;
}

static void cache_quiesce(struct stress_subject *subject)
{
	quarry_cache_drain(subject->object);
}

static int cache_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	return from_pointer(quarry_cache_alloc(subject->object, 0), addr);
}

static int cache_free(struct stress_subject *subject, u64 addr, u64 size)
{
	return quarry_cache_free(subject->object, (void *)(unsigned long)addr);
}

static int cache_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	return quarry_cache_verify(subject->object, fault);
}

/* What a get that failed missed was no object. */
static void cache_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	struct quarry_cache_stats stats;
	u64 nr_allocs;

	quarry_cache_stats(subject->object, &stats);
	nr_allocs = stats.magazines.nr_gets + stats.magazines.nr_get_misses - stats.nr_failures;
	*figures = (struct stress_figures) {
		.nr_used = stats.nr_used,
		.nr_allocs = nr_allocs,
		.nr_frees = nr_allocs - stats.nr_used,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses,
		.used = stats.nr_used * stats.slab.object_size,
		.held = stats.slab.nr_slabs * stats.slab.slab_size,
	};
}

static void cache_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	struct quarry_cache *cache = subject->object;

	walk_slab(&cache->slab, visit, ctx);
}

static void cache_tamper(struct stress_subject *subject, int delta)
{
	struct quarry_cache *cache = subject->object;

	cache->slab.nr_objects += delta;
}

static const struct stress_allocator cache = {
	.name		= "cache",
	.setup		= cache_setup,
	.teardown	= cache_teardown,
	.quiesce	= cache_quiesce,
	.alloc		= cache_alloc,
	.free		= cache_free,
	.verify		= cache_verify,
	.figures	= cache_figures,
	.walk		= cache_walk,
	.tamper		= cache_tamper,
};

/* ---- Zone ---- */

static int start_zone(struct quarry_zone *zone, struct quarry_instance *instance)
{
	const struct quarry_zone_config config = {
		.name = "stress",
		.backend = &instance->backend,
	};

	return quarry_zone_init(zone, &config);
}

static int end_zone(struct quarry_zone *zone)
{
	int err = quarry_zone_fini(zone, false, NULL);

	if (err)
		quarry_zone_fini(zone, true, NULL);
	return err;
}

static int zone_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	struct quarry_zone *zone = kvzalloc(sizeof(*zone), GFP_KERNEL);
	int err;

	if (!zone)
		return -ENOMEM;
	err = start_zone(zone, subject->instance);
	if (err)
		kvfree(zone);
	else
		subject->object = zone;
	subject->max_size = QUARRY_ZONE_MAX_SIZE;
	return err;
}

static int zone_teardown(struct stress_subject *subject)
{
	int err = end_zone(subject->object);

	kvfree(subject->object);
	return err;
}

/* A small region has no room for the larger classes. */
static void drain_zone(struct quarry_zone *zone)
{
	struct quarry_cache *cache;
	unsigned int i;

	for (i = 0; (cache = quarry_zone_cache(zone, i)); i++)
		quarry_cache_drain(cache);
}

static void zone_quiesce(struct stress_subject *subject)
{
	drain_zone(subject->object);
}

static int zone_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	return from_pointer(quarry_zone_alloc(subject->object, size, 0, 0), addr);
}

static int zone_free(struct stress_subject *subject, u64 addr, u64 size)
{
	return quarry_zone_free(subject->object, (void *)(unsigned long)addr);
}

static int zone_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	return quarry_zone_verify(subject->object, fault);
}

static struct stress_figures figures_of_zone(struct quarry_zone *zone)
{
	struct quarry_zone_stats stats;

	quarry_zone_stats(zone, &stats);
	return (struct stress_figures) {
		.nr_used = stats.nr_used,
		.nr_allocs = stats.nr_allocs,
		.nr_frees = stats.nr_frees,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses,
		.used = stats.used,
		.held = stats.held,
	};
}

static void zone_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	*figures = figures_of_zone(subject->object);
}

static void walk_zone(struct quarry_zone *zone, stress_visit_t visit, void *ctx)
{
	struct quarry_cache *cache;
	unsigned int i;

	for (i = 0; (cache = quarry_zone_cache(zone, i)); i++)
		walk_slab(&cache->slab, visit, ctx);
}

static void zone_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	walk_zone(subject->object, visit, ctx);
}

static void zone_tamper(struct stress_subject *subject, int delta)
{
	quarry_zone_cache(subject->object, 0)->slab.nr_objects += delta;
}

static const struct stress_allocator zone = {
	.name		= "zone",
	.setup		= zone_setup,
	.teardown	= zone_teardown,
	.quiesce	= zone_quiesce,
	.alloc		= zone_alloc,
	.free		= zone_free,
	.verify		= zone_verify,
	.figures	= zone_figures,
	.walk		= zone_walk,
	.tamper		= zone_tamper,
};

/* ---- Heap ---- */

#define HEAP_PAGE	512
/* A heap has at most so many extents, so each is a part of the region. */
#define MIN_EXTENT	SZ_64K

static int start_heap(struct quarry_heap *heap, struct quarry_instance *instance)
{
	u64 extent = roundup_pow_of_two(div_u64(instance->managed.size, QUARRY_HEAP_MAX_EXTENTS));

	return quarry_heap_init(heap, "stress", NULL, 0, HEAP_PAGE) ?:
	       quarry_heap_set_backend(heap, &instance->backend, max_t(u64, extent, MIN_EXTENT),
				       1);
}

static int end_heap(struct quarry_heap *heap)
{
	int err = quarry_heap_fini(heap, NULL);

	if (err)
		quarry_heap_destroy(heap, NULL, NULL);
	return err;
}

static int heap_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	struct quarry_heap *heap = kvzalloc(sizeof(*heap), GFP_KERNEL);
	int err;

	if (!heap)
		return -ENOMEM;
	err = start_heap(heap, subject->instance);
	if (err)
		kvfree(heap);
	else
		subject->object = heap;
	return err;
}

static int heap_teardown(struct stress_subject *subject)
{
	int err = end_heap(subject->object);

	kvfree(subject->object);
	return err;
}

static int heap_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	return from_pointer(quarry_heap_alloc(subject->object, size), addr);
}

static int heap_free(struct stress_subject *subject, u64 addr, u64 size)
{
	return quarry_heap_free(subject->object, (void *)(unsigned long)addr);
}

static int heap_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	return quarry_heap_verify(subject->object, fault);
}

static struct stress_figures figures_of_heap(struct quarry_heap *heap)
{
	struct quarry_heap_stats stats;

	quarry_heap_stats(heap, &stats);
	return (struct stress_figures) {
		.nr_used = stats.nr_used,
		.nr_allocs = stats.nr_allocs,
		.nr_frees = stats.nr_frees,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses,
		.used = stats.used,
		.held = stats.memory,
		.free = stats.free,
		.largest_free = stats.largest_free,
	};
}

static void heap_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	*figures = figures_of_heap(subject->object);
}

static void walk_heap(struct quarry_heap *heap, stress_visit_t visit, void *ctx)
{
	struct quarry_heap_block block;
	const void *at = NULL;

	while (!quarry_heap_next(heap, at, &block)) {
		if (block.used)
			visit(ctx, (unsigned long)block.addr, block.size);
		at = block.addr + block.size;
	}
}

static void heap_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	walk_heap(subject->object, visit, ctx);
}

static void heap_tamper(struct stress_subject *subject, int delta)
{
	struct quarry_heap *heap = subject->object;

	heap->used += delta;
}

static const struct stress_allocator heap = {
	.name		= "heap",
	.setup		= heap_setup,
	.teardown	= heap_teardown,
	.alloc		= heap_alloc,
	.free		= heap_free,
	.verify		= heap_verify,
	.figures	= heap_figures,
	.walk		= heap_walk,
	.tamper		= heap_tamper,
};

/* ---- Vmem ---- */

#define VMEM_QUANTUM	64
#define VMEM_QCACHES	8
#define VMEM_IMPORT	SZ_64K

/* It is of addresses of memory, so its segments can be written to. */
struct stressed_vmem {
	struct quarry_vmem *vmem;
	struct quarry_qcaches qcaches;
};

static int start_vmem(struct stressed_vmem *stressed, struct quarry_instance *instance)
{
	const struct quarry_qcaches_config config = {
		.vmem = stressed->vmem,
		.nr = VMEM_QCACHES,
		.backend = &instance->backend,
	};
	int err;

	err = quarry_vmem_set_import(stressed->vmem, quarry_vmem_import_buddy,
				     quarry_vmem_release_buddy, &instance->buddy, VMEM_IMPORT);
	return err ?: quarry_qcaches_init(&stressed->qcaches, &config);
}

static int vmem_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	struct stressed_vmem *stressed = kvzalloc(sizeof(*stressed), GFP_KERNEL);
	int err = -ENOMEM;

	if (!stressed)
		return err;
	stressed->vmem = quarry_vmem_create("stress", 0, 0, VMEM_QUANTUM,
					    &subject->instance->backend);
	if (!stressed->vmem)
		goto free_stressed;
	err = start_vmem(stressed, subject->instance);
	if (err)
		goto destroy_vmem;
	subject->object = stressed;
	return 0;

destroy_vmem:
	quarry_vmem_destroy(stressed->vmem);
free_stressed:
	kvfree(stressed);
	return err;
}

/* An arena in use can't be destroyed: what is left is freed first. */
static void free_segments(struct quarry_vmem *vmem)
{
	struct quarry_vmem_segment segment = {};

	while (!quarry_vmem_next(vmem, segment.addr + segment.size, &segment))
		if (segment.state == QUARRY_VMEM_USED)
			quarry_vmem_free(vmem, segment.addr, segment.size);
}

static int vmem_teardown(struct stress_subject *subject)
{
	struct stressed_vmem *stressed = subject->object;
	int err;

	quarry_qcaches_fini(&stressed->qcaches);
	err = quarry_vmem_destroy(stressed->vmem);
	if (err) {
		free_segments(stressed->vmem);
		quarry_vmem_destroy(stressed->vmem);
	}
	kvfree(stressed);
	return err;
}

static void vmem_quiesce(struct stress_subject *subject)
{
	struct stressed_vmem *stressed = subject->object;

	quarry_qcaches_drain(&stressed->qcaches);
}

/* By turns with each strategy, as the size has it. */
static int vmem_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	static const unsigned int strategies[] = {
		QUARRY_VMEM_FIRSTFIT, QUARRY_VMEM_BESTFIT, QUARRY_VMEM_NEXTFIT,
		QUARRY_VMEM_BESTFIT,
	};
	struct stressed_vmem *stressed = subject->object;

	return quarry_vmem_alloc(stressed->vmem, size, strategies[size & 3], addr);
}

static int vmem_free(struct stress_subject *subject, u64 addr, u64 size)
{
	struct stressed_vmem *stressed = subject->object;

	return quarry_vmem_free(stressed->vmem, addr, size);
}

static int vmem_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	struct stressed_vmem *stressed = subject->object;

	return quarry_vmem_verify(stressed->vmem, fault);
}

static void vmem_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	struct stressed_vmem *stressed = subject->object;
	struct quarry_vmem_stats stats;

	quarry_vmem_stats(stressed->vmem, &stats);
	*figures = (struct stress_figures) {
		.nr_used = stats.nr_allocs - stats.nr_frees,
		.nr_allocs = stats.nr_allocs,
		.nr_frees = stats.nr_frees,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses,
		.used = stats.used - stats.cached,
		.held = stats.total,
		.free = stats.total - stats.used,
		.largest_free = stats.largest_free,
	};
}

static void vmem_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	struct stressed_vmem *stressed = subject->object;
	struct quarry_vmem_segment segment = {};

	while (!quarry_vmem_next(stressed->vmem, segment.addr + segment.size, &segment))
		if (segment.state == QUARRY_VMEM_USED)
			visit(ctx, segment.addr, segment.size);
}

static void vmem_tamper(struct stress_subject *subject, int delta)
{
	struct stressed_vmem *stressed = subject->object;

	stressed->vmem->used += delta * VMEM_QUANTUM;
}

static const struct stress_allocator vmem = {
	.name		= "vmem",
	.setup		= vmem_setup,
	.teardown	= vmem_teardown,
	.quiesce	= vmem_quiesce,
	.alloc		= vmem_alloc,
	.free		= vmem_free,
	.verify		= vmem_verify,
	.figures	= vmem_figures,
	.walk		= vmem_walk,
	.tamper		= vmem_tamper,
};

/* ---- Malloc ---- */

/* On a zone and a heap of its own, which nobody else asks; whole pages come from the buddy. */
struct stressed_malloc {
	struct quarry_malloc malloc;
	struct quarry_zone zone;
	struct quarry_heap heap;
};

static int start_malloc(struct stressed_malloc *stressed, struct quarry_instance *instance)
{
	const struct quarry_malloc_config config = {
		.name = "stress",
		.buddy = &instance->buddy,
		.backend = &instance->backend,
		.zone = &stressed->zone,
		.heap = &stressed->heap,
	};
	int err;

	err = start_zone(&stressed->zone, instance);
	if (err)
		return err;
	err = start_heap(&stressed->heap, instance);
	if (err)
		goto end_zone;
	err = quarry_malloc_init(&stressed->malloc, &config);
	if (!err)
		return 0;

	end_heap(&stressed->heap);
end_zone:
	end_zone(&stressed->zone);
	return err;
}

static int malloc_setup(struct stress_subject *subject, const struct stress_settings *settings)
{
	struct stressed_malloc *stressed = kvzalloc(sizeof(*stressed), GFP_KERNEL);
	int err;

	if (!stressed)
		return -ENOMEM;
	err = start_malloc(stressed, subject->instance);
	if (err)
		kvfree(stressed);
	else
		subject->object = stressed;
	return err;
}

static int malloc_teardown(struct stress_subject *subject)
{
	struct stressed_malloc *stressed = subject->object;
	int err = quarry_malloc_fini(&stressed->malloc, NULL);

	err = end_heap(&stressed->heap) ?: err;
	err = end_zone(&stressed->zone) ?: err;
	kvfree(stressed);
	return err;
}

static void malloc_quiesce(struct stress_subject *subject)
{
	struct stressed_malloc *stressed = subject->object;

	drain_zone(&stressed->zone);
}

static int malloc_alloc(struct stress_subject *subject, u64 size, u64 *addr)
{
	struct stressed_malloc *stressed = subject->object;

	return from_pointer(quarry_malloc_alloc(&stressed->malloc, size, GFP_NOWAIT), addr);
}

static int malloc_free(struct stress_subject *subject, u64 addr, u64 size)
{
	struct stressed_malloc *stressed = subject->object;

	return quarry_malloc_free(&stressed->malloc, (void *)(unsigned long)addr);
}

static int malloc_verify(struct stress_subject *subject, struct quarry_fault *fault)
{
	struct stressed_malloc *stressed = subject->object;

	return quarry_malloc_verify(&stressed->malloc, fault) ?:
	       quarry_zone_verify(&stressed->zone, fault) ?:
	       quarry_heap_verify(&stressed->heap, fault);
}

/* What zone or heap could not serve may have been served by another one of the three. */
static void malloc_figures(struct stress_subject *subject, struct stress_figures *figures)
{
	struct stressed_malloc *stressed = subject->object;
	struct stress_figures zone = figures_of_zone(&stressed->zone);
	struct stress_figures heap = figures_of_heap(&stressed->heap);
	struct quarry_malloc_stats stats;

	quarry_malloc_stats(&stressed->malloc, &stats);
	*figures = (struct stress_figures) {
		.nr_used = stats.nr_used + zone.nr_used + heap.nr_used,
		.nr_allocs = stats.nr_allocs + zone.nr_allocs + heap.nr_allocs,
		.nr_frees = stats.nr_frees + zone.nr_frees + heap.nr_frees,
		.nr_failures = stats.nr_failures,
		.nr_misuses = stats.nr_misuses + zone.nr_misuses + heap.nr_misuses,
		.used = stats.used + zone.used + heap.used,
		.held = stats.used + zone.held + heap.held,
	};
}

/* Of zone and heap; the blocks of whole pages are among others in the buddy. */
static void malloc_walk(struct stress_subject *subject, stress_visit_t visit, void *ctx)
{
	struct stressed_malloc *stressed = subject->object;

	walk_zone(&stressed->zone, visit, ctx);
	walk_heap(&stressed->heap, visit, ctx);
}

static void malloc_tamper(struct stress_subject *subject, int delta)
{
	struct stressed_malloc *stressed = subject->object;

	stressed->heap.used += delta;
}

static const struct stress_allocator malloc = {
	.name		= "malloc",
	.setup		= malloc_setup,
	.teardown	= malloc_teardown,
	.quiesce	= malloc_quiesce,
	.alloc		= malloc_alloc,
	.free		= malloc_free,
	.verify		= malloc_verify,
	.figures	= malloc_figures,
	.walk		= malloc_walk,
	.tamper		= malloc_tamper,
};

static const struct stress_allocator *const allocators[] = {
	&buddy, &slab, &cache, &zone, &heap, &vmem, &malloc,
};

static_assert(ARRAY_SIZE(allocators) <= STRESS_MAX_SUBJECTS);

/**
 * quarry_stress_allocator() - an allocator that can be stressed
 * @index: its number, from 0 on
 *
 * Context: any.
 * Return: the allocator; NULL if there are not so many.
 */
const struct stress_allocator *quarry_stress_allocator(unsigned int index)
{
	return index < ARRAY_SIZE(allocators) ? allocators[index] : NULL;
}
EXPORT_SYMBOL_GPL(quarry_stress_allocator);
