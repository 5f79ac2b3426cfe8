// SPDX-License-Identifier: GPL-2.0
/*
 * The instance: a region and the allocators in it, wired together here and
 * nowhere else.
 *
 *	base                                                          base + size
 *	| managed: what the buddy | buddy's  | owners | zone's | vmem's | bits of |
 *	| hands out               | metadata |        | CPUs   | tags   | ctl     |
 *
 * The buddy cuts the region into blocks; the backend hands these on, with a word
 * for each page that says who owns it. The zone makes slabs of them, and objects
 * of slabs; the heap makes extents of them. The vmem arena imports blocks of the
 * buddy and hands out pages of them, up to half of the region. Malloc has nothing of
 * its own: it finds who serves a request best.
 *
 * All that is needed to run is inside the region, so once it is there nothing
 * more is asked of the host. The metadata is at the end, so that an offset into
 * the region is the same number as one into what the buddy manages, which is what
 * the buddy prints; and so that what is managed starts as well aligned as the host
 * gave it.
 *
 * They are stopped in the opposite order, and each then sees to it that what
 * stands on it has given everything back.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/bitmap.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "instance.h"

/* More lines than that help nobody. */
#define MAX_BLOCKS_REPORTED	64

struct quarry_instance quarry_default_instance;

/* Page size of the heap; its extents are a part of the region, as it can have so many. */
#define HEAP_PAGE	512
#define MIN_EXTENT	SZ_64K
/* Bytes of boundary tags to begin with, and pages that are imported at once. */
#define VMEM_MEMORY	PAGE_SIZE
#define IMPORT_PAGES	16

/* The metadata at the region's end. */
struct layout {
	void *buddy;
	size_t buddy_size;
	void *owners;
	void *zone;
	void *vmem;
	void *ctl_blocks;
	void *ctl_segments;
};

/* Each part starts at a cache line. */
static void *place(void **end, size_t size)
{
	void *start = *end;

	*end += ALIGN(size, SMP_CACHE_BYTES);
	return start;
}

/* Put the parts one after another from @start; returns where the last ends. */
static void *lay_out(struct layout *layout, const struct quarry_region *region, void *start)
{
	unsigned long nr_pages = region->size >> PAGE_SHIFT;
	void *end = start;

	layout->buddy_size = quarry_buddy_meta_size(region, PAGE_SIZE);
	layout->buddy = place(&end, layout->buddy_size);
	layout->owners = place(&end, quarry_backend_owners_size(region, PAGE_SIZE));
	layout->zone = place(&end, quarry_zone_memory_size());
	layout->vmem = place(&end, VMEM_MEMORY);
	layout->ctl_blocks = place(&end, BITS_TO_LONGS(nr_pages) * sizeof(long));
	layout->ctl_segments = place(&end, BITS_TO_LONGS(nr_pages) * sizeof(long));
	return end;
}

/* What would do for all of the region does for the part that is left. */
static int split_region(struct quarry_instance *instance, struct layout *layout)
{
	const struct quarry_reservation *got = &instance->reservation;
	struct quarry_region *managed = &instance->managed;
	size_t size;
	int err;

	err = quarry_region_init(managed, (unsigned long)got->base, got->size);
	if (err)
		return err;
	size = PAGE_ALIGN(lay_out(layout, managed, got->base) - got->base);
	if (size >= got->size)
		return -ENOMEM;
	lay_out(layout, managed, got->base + got->size - size);
	managed->size -= size;
	return 0;
}

static int start_buddy(struct quarry_instance *instance, const struct layout *layout)
{
	int err = quarry_buddy_init(&instance->buddy, "default", &instance->managed, PAGE_SIZE,
				    layout->buddy, layout->buddy_size);

	if (!err)
		quarry_buddy_set_move(&instance->buddy, quarry_buddy_move_memory, NULL);
	return err;
}

/* No user of the buddy is refused for what zone, heap and caches don't use. */
static int start_backend(struct quarry_instance *instance, const struct layout *layout)
{
	struct quarry_backend *backend = &instance->backend;
	int err = quarry_backend_init_buddy(backend, &instance->buddy, layout->owners);

	if (!err)
		quarry_buddy_set_reclaim(&instance->buddy, quarry_backend_reclaim_for_buddy,
					 backend);
	return err;
}

static int start_zone(struct quarry_instance *instance, const struct layout *layout)
{
	const struct quarry_zone_config config = {
		.name = "default",
		.backend = &instance->backend,
		.memory = layout->zone,
	};

	return quarry_zone_init(&instance->zone, &config);
}

static int start_heap(struct quarry_instance *instance)
{
	u64 extent = roundup_pow_of_two(div_u64(instance->managed.size, QUARRY_HEAP_MAX_EXTENTS));

	return quarry_heap_init(&instance->heap, "default", NULL, 0, HEAP_PAGE) ?:
	       quarry_heap_set_backend(&instance->heap, &instance->backend,
				       max_t(u64, extent, MIN_EXTENT), 1);
}

static int start_vmem(struct quarry_instance *instance, const struct layout *layout)
{
	struct quarry_vmem *vmem = &instance->vmem;
	int err;

	err = quarry_vmem_init(vmem, "default", 0, 0, PAGE_SIZE, layout->vmem, VMEM_MEMORY,
			       &instance->backend);
	if (err)
		return err;
	quarry_vmem_set_limit(vmem, round_down(instance->managed.size / 2, PAGE_SIZE));
	return quarry_vmem_set_import(vmem, quarry_vmem_import_buddy, quarry_vmem_release_buddy,
				      &instance->buddy, IMPORT_PAGES * PAGE_SIZE);
}

static int start_malloc(struct quarry_instance *instance)
{
	const struct quarry_malloc_config config = {
		.name = "default",
		.buddy = &instance->buddy,
		.backend = &instance->backend,
		.zone = &instance->zone,
		.heap = &instance->heap,
	};

	return quarry_malloc_init(&instance->malloc, &config);
}

/*
 * What was started when one fails needs no end, as it holds nothing but its memory: all but
 * the zone, which also watches CPUs.
 */
static int start(struct quarry_instance *instance)
{
	struct layout layout;
	int err;

	err = split_region(instance, &layout);
	if (err)
		return err;
	instance->ctl_blocks = layout.ctl_blocks;
	instance->ctl_segments = layout.ctl_segments;
	err = start_buddy(instance, &layout) ?:
	      start_backend(instance, &layout) ?:
	      start_heap(instance) ?:
	      start_vmem(instance, &layout) ?:
	      start_zone(instance, &layout);
	if (err)
		return err;
	err = start_malloc(instance);
	if (err)
		quarry_zone_fini(&instance->zone, true, NULL);
	return err;
}

/**
 * quarry_instance_init() - take a region and start the allocators in it
 * @instance: the instance
 * @want: what region
 *
 * Context: may sleep.
 * Return: 0; what quarry_reserve() made of it; -ENOMEM if the region is too small
 * for its own metadata; or what the first allocator's init made of it that failed.
 * Then nothing is taken and @instance->reservation.why tells more.
 */
int quarry_instance_init(struct quarry_instance *instance,
			 const struct quarry_reserve_request *want)
{
	int err;

	err = quarry_reserve(&instance->reservation, want);
	if (err)
		return err;
	err = start(instance);
	if (err) {
		strscpy(instance->reservation.why, err == -ENOMEM ?
			"its metadata leave nothing of it" : "no allocator can be started in it",
			sizeof(instance->reservation.why));
		quarry_unreserve(&instance->reservation);
	}
	return err;
}

static void report_blocks(struct quarry_instance *instance, u64 nr_used)
{
	struct quarry_buddy_block block = {};
	u64 nr = 0;

	pr_warn("the region goes back with %llu blocks still in use:\n", nr_used);
	while (quarry_instance_next_block(instance, &block)) {
		if (block.free)
			continue;
		if (nr++ == MAX_BLOCKS_REPORTED)
			break;
		pr_warn("buddy default: block at +0x%llx of %llu bytes never freed\n",
			quarry_instance_offset(instance, block.addr), block.size);
	}
	if (nr > MAX_BLOCKS_REPORTED)
		pr_warn("and %llu more\n", nr_used - MAX_BLOCKS_REPORTED);
}

/* The blocks are the buddy's to report. */
static void stop_malloc(struct quarry_instance *instance)
{
	u64 nr_used;

	if (quarry_malloc_fini(&instance->malloc, &nr_used))
		pr_warn("malloc goes with %llu large blocks still in use\n", nr_used);
}

static void stop_zone(struct quarry_instance *instance)
{
	u64 nr_used;

	if (!quarry_zone_fini(&instance->zone, false, &nr_used))
		return;
	pr_warn("the zone goes with %llu objects still in use\n", nr_used);
	quarry_zone_fini(&instance->zone, true, NULL);
}

static void stop_heap(struct quarry_instance *instance)
{
	u64 nr_used;

	if (!quarry_heap_fini(&instance->heap, &nr_used))
		return;
	pr_warn("the heap goes with %llu blocks still in use\n", nr_used);
	quarry_heap_destroy(&instance->heap, NULL, NULL);
}

/* It lists what is in use itself. What it imported is the buddy's to report then. */
static void stop_vmem(struct quarry_instance *instance)
{
	if (quarry_vmem_fini(&instance->vmem))
		pr_warn("the arena goes with segments still in use\n");
}

/**
 * quarry_instance_fini() - stop the allocators and give the region back
 * @instance: the instance
 *
 * Objects and blocks that are still in use are reported, and are gone all the same:
 * nobody is left who could free them.
 *
 * Context: may sleep.
 */
void quarry_instance_fini(struct quarry_instance *instance)
{
	u64 nr_used;

	stop_malloc(instance);
	stop_vmem(instance);
	stop_heap(instance);
	stop_zone(instance);
	if (quarry_backend_fini(&instance->backend))
		pr_warn("something still counts on getting memory from the region\n");
	if (quarry_buddy_fini(&instance->buddy, &nr_used))
		report_blocks(instance, nr_used);
	quarry_unreserve(&instance->reservation);
}

/**
 * quarry_instance_take() - memory for something that is made later
 * @instance: the instance
 * @size: bytes
 *
 * Context: any but NMI. O(@size), as it is zeroed.
 * Return: the memory, aligned to @size rounded up to a power of two; NULL if the
 * region has none.
 */
void *quarry_instance_take(struct quarry_instance *instance, size_t size)
{
	void *range = quarry_backend_take(&instance->backend, size);

	if (range)
		memset(range, 0, size);
	return range;
}

/**
 * quarry_instance_give() - take back what quarry_instance_take() gave
 * @instance: the instance
 * @range: the memory
 * @size: bytes, as they were asked for
 *
 * Context: any but NMI.
 */
void quarry_instance_give(struct quarry_instance *instance, void *range, size_t size)
{
	int err = quarry_backend_give(&instance->backend, range, size);

	if (err)
		pr_warn("memory at +0x%llx doesn't go back: %pe\n",
			quarry_instance_offset(instance, (unsigned long)range), ERR_PTR(err));
}

static struct quarry_instance *default_instance(void)
{
	return quarry_default_instance.reservation.base ? &quarry_default_instance : NULL;
}

/**
 * quarry_default_buddy() - the buddy in the module's region
 *
 * Its addresses are kernel addresses, each block is mapped memory. A module that
 * calls this can't outlive the region: the symbol that it uses holds quarry.ko,
 * which can't be removed before. It must free what it takes before it goes.
 *
 * Context: any. O(1).
 * Return: the buddy; NULL when Quarry is built in and got no region.
 */
struct quarry_buddy *quarry_default_buddy(void)
{
	struct quarry_instance *instance = default_instance();

	return instance ? &instance->buddy : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_buddy);

/**
 * quarry_default_backend() - where slabs and heaps in the module's region grow from
 *
 * It takes blocks of quarry_default_buddy(); what holds for that holds for it.
 *
 * Context: any. O(1).
 * Return: the backend; NULL when Quarry is built in and got no region.
 */
struct quarry_backend *quarry_default_backend(void)
{
	struct quarry_instance *instance = default_instance();

	return instance ? &instance->backend : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_backend);

/**
 * quarry_default_zone() - objects of any size in the module's region
 *
 * What holds for quarry_default_buddy() holds for it.
 *
 * Context: any. O(1).
 * Return: the zone; NULL when Quarry is built in and got no region.
 */
struct quarry_zone *quarry_default_zone(void)
{
	struct quarry_instance *instance = default_instance();

	return instance ? &instance->zone : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_zone);

/**
 * quarry_default_heap() - blocks of any size in the module's region
 *
 * What holds for quarry_default_buddy() holds for it.
 *
 * Context: any. O(1).
 * Return: the heap; NULL when Quarry is built in and got no region.
 */
struct quarry_heap *quarry_default_heap(void)
{
	struct quarry_instance *instance = default_instance();

	return instance ? &instance->heap : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_heap);

/**
 * quarry_default_vmem() - an arena of addresses in the module's region
 *
 * Of pages, up to half of the region, fetched from quarry_default_buddy() as they are
 * needed. What holds for that holds for it.
 *
 * Context: any. O(1).
 * Return: the arena; NULL when Quarry is built in and got no region.
 */
struct quarry_vmem *quarry_default_vmem(void)
{
	struct quarry_instance *instance = default_instance();

	return instance ? &instance->vmem : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_vmem);
