// SPDX-License-Identifier: GPL-2.0
/*
 * Consumer: uses all that Quarry offers other modules, twice: on the default instance,
 * the allocators in Quarry's own region; and on memory that it brings itself.
 *
 * It asks the host for memory once, when it is inserted. Each write to its parameter
 * "run" makes one call or more of every function; how many checks there were, and how
 * many of them failed, is in "checks" and "faults". With plant=1, one of its callbacks
 * does ask the host, so that a test which looks for that has something to find.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <quarry/backend.h>
#include <quarry/buddy.h>
#include <quarry/default.h>
#include <quarry/inject.h>
#include <quarry/region.h>

#include "consumer.h"

unsigned int consumer_nr_checks;
module_param_named(checks, consumer_nr_checks, uint, 0444);
MODULE_PARM_DESC(checks, "checks that were made");

unsigned int consumer_nr_faults;
module_param_named(faults, consumer_nr_faults, uint, 0444);
MODULE_PARM_DESC(faults, "checks that failed");

static bool planted;
module_param_named(plant, planted, bool, 0644);
MODULE_PARM_DESC(plant, "ask the host for memory from within Quarry's functions");

static void *own;
static size_t own_used;
static DEFINE_MUTEX(run_lock);

void *own_memory(size_t size)
{
	void *memory = own + own_used;

	size = ALIGN(size, OWN_PAGE);
	if (size > OWN_SIZE - own_used) {
		pr_err("the module's own memory is too small\n");
		return NULL;
	}
	own_used += size;
	return memory;
}

noinline void plant(void)
{
	if (planted)
		kfree(kmalloc(100, GFP_ATOMIC));
}

static void use_region(void)
{
	struct quarry_region a, b;

	CHECK(!quarry_region_init(&a, 4096, 8192));
	CHECK(!quarry_region_init(&b, 8000, 10000));
	CHECK(quarry_region_last(&a) == 12287);
	CHECK(quarry_region_overlaps(&a, &b));
	CHECK(!quarry_region_trim(&b, 4096));
	CHECK(quarry_region_contains(&b, 8192, 4096));
	CHECK(quarry_region_init(&a, U64_MAX, 2) == -EINVAL);
}

static void use_inject(void)
{
	struct quarry_inject_settings settings = QUARRY_INJECT_OFF;

	CHECK(quarry_inject_allocator(QUARRY_INJECT_HEAP_ALLOC));
	CHECK(quarry_inject_what(QUARRY_INJECT_HEAP_ALLOC));
	settings.probability = 100;
	CHECK(!quarry_inject_set(QUARRY_INJECT_MALLOC_ALLOC, &settings));
	CHECK(!quarry_malloc(100, GFP_KERNEL));
	quarry_inject_get(QUARRY_INJECT_MALLOC_ALLOC, &settings);
	CHECK(!settings.times);
	CHECK(quarry_inject_hits(QUARRY_INJECT_MALLOC_ALLOC) == 1);
	quarry_inject_reset();
}

/* It has nothing that it could spare. */
static size_t reclaim_nothing(struct quarry_reclaimer *reclaimer)
{
	plant();
	return 0;
}

static void use_backend(struct quarry_backend *backend)
{
	static struct quarry_reclaimer reclaimer = { .reclaim = reclaim_nothing };
	struct quarry_backend_stats before, after;
	void *range;

	quarry_backend_stats(backend, &before);
	quarry_backend_add_reclaimer(backend, &reclaimer);
	range = quarry_backend_take(backend, 3 * OWN_PAGE);
	CHECK(range);
	quarry_backend_set_owner(backend, range, OWN_PAGE, 16 | QUARRY_OWNER_OTHER);
	CHECK(quarry_backend_owner(backend, range) == (16 | QUARRY_OWNER_OTHER));
	quarry_backend_set_owner(backend, range, OWN_PAGE, 0);
	CHECK(!quarry_backend_give(backend, range, 3 * OWN_PAGE));
	CHECK(!quarry_backend_take(backend, 1 << 30));
	quarry_backend_reclaim(backend);
	quarry_backend_del_reclaimer(backend, &reclaimer);
	quarry_backend_stats(backend, &after);
	CHECK(after.nr_takes == before.nr_takes + 1);
}

/* A backend that gives one range alone. */
static void *take_all(struct quarry_backend *backend, size_t size)
{
	plant();
	return backend->ctx;
}

static int give_all(struct quarry_backend *backend, void *range, size_t size)
{
	return range == backend->ctx ? 0 : -EINVAL;
}

static void use_own_backend(void)
{
	static const struct quarry_backend_ops ops = { .take = take_all, .give = give_all };
	static struct quarry_backend backend;
	static unsigned long owner;
	void *page = own_memory(OWN_PAGE);
	struct quarry_region region;

	CHECK(!quarry_region_init(&region, (unsigned long)page, OWN_PAGE));
	CHECK(!quarry_backend_init(&backend, &region, OWN_PAGE, &owner, &ops, page));
	CHECK(quarry_backend_take(&backend, OWN_PAGE) == page);
	CHECK(!quarry_backend_give(&backend, page, OWN_PAGE));
	CHECK(!quarry_backend_fini(&backend));
}

/* A backend on a buddy, both in memory of the module's own. */
static void use_own_memory(void)
{
	static struct quarry_backend backend;
	static struct quarry_buddy buddy;
	struct quarry_buddy_stats stats;
	struct quarry_region region;

	CHECK(!quarry_buddy_init_chunk(&buddy, "own", own_memory(OWN_SIZE / 2), OWN_SIZE / 2, 0,
				       OWN_PAGE));
	quarry_buddy_stats(&buddy, &stats);
	CHECK(!quarry_region_init(&region, buddy.region.base, stats.total));
	CHECK(!quarry_backend_init_buddy(&backend, &buddy,
					 own_memory(quarry_backend_owners_size(&region,
									       OWN_PAGE))));
	quarry_buddy_set_reclaim(&buddy, quarry_backend_reclaim_for_buddy, &backend);
	use_backend(&backend);
	use_slab(&backend);
	use_cache(&backend);
	use_heap(&backend);
	use_vmem(&backend);
	quarry_backend_reclaim(&backend);
	quarry_buddy_set_reclaim(&buddy, NULL, NULL);
	CHECK(!quarry_backend_fini(&backend));
	quarry_buddy_stats(&buddy, &stats);
	CHECK(!stats.used);
	CHECK(!quarry_buddy_fini(&buddy, NULL));
}

/* What is done by a write to "run". */
static int run(const char *value, const struct kernel_param *param)
{
	mutex_lock(&run_lock);
	own_used = 0;
	use_region();
	use_buddy();
	use_own_backend();
	use_own_memory();
	own_used = 0;
	use_backend(quarry_default_backend());
	use_slab(quarry_default_backend());
	use_cache(quarry_default_backend());
	use_heap(quarry_default_backend());
	use_vmem(quarry_default_backend());
	use_malloc();
	use_inject();
	mutex_unlock(&run_lock);
	return 0;
}

static const struct kernel_param_ops run_ops = { .set = run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "write anything to use everything once");

static int __init consumer_start(void)
{
	own = vmalloc(OWN_SIZE);
	return own ? 0 : -ENOMEM;
}
module_init(consumer_start);

static void __exit consumer_end(void)
{
	vfree(own);
}
module_exit(consumer_end);

MODULE_DESCRIPTION("Uses all of Quarry");
MODULE_AUTHOR("The Quarry developers");
MODULE_LICENSE("GPL");
