// SPDX-License-Identifier: GPL-2.0
/*
 * zone/ctl: the zone, objects of any size, driven by hand.
 *
 * It frees only the objects that it has made, which it holds in a list.
 */
#include <linux/debugfs.h>
#include <linux/sched/signal.h>

#include "ctl.h"
#include "hold.h"
#include "instance.h"

/* In the order that operands have in a command. */
enum word {
	SIZE,
	OFFSET,
	COUNT,
	ALIGN,
	ZERO,
};

static const struct quarry_ctl_word words[] = {
	[SIZE]		= { NULL, "SIZE", QUARRY_CTL_NUMBER },
	[OFFSET]	= { NULL, "OFFSET", QUARRY_CTL_OFFSET },
	[COUNT]		= { NULL, "COUNT", QUARRY_CTL_NUMBER },
	[ALIGN]		= { "align", "SIZE", QUARRY_CTL_NUMBER },
	[ZERO]		= { "zero", NULL, QUARRY_CTL_FLAG },
};

/* Guarded by the lock of the file. */
static struct quarry_hold held;

static struct quarry_zone *zone_of(const struct quarry_ctl_call *call)
{
	return &call->instance->zone;
}

/* The object around an address, in use or free, in whichever class it is. */
static int find(struct quarry_zone *zone, const void *addr, struct quarry_slab_object *object)
{
	struct quarry_cache *cache;
	unsigned int i;

	for (i = 0; (cache = quarry_zone_cache(zone, i)); i++)
		if (!quarry_cache_lookup(cache, addr, object))
			return 0;
	return -EINVAL;
}

/* ---- The commands ---- */

static u64 nr_misuses(struct quarry_zone *zone)
{
	struct quarry_zone_stats stats;

	quarry_zone_stats(zone, &stats);
	return stats.nr_misuses;
}

/*
 * Allocates and holds up to @nr objects, the last of which comes back in @last, and returns
 * how many that were.
 */
static u64 alloc_some(struct quarry_ctl_call *call, u64 nr, void **last)
{
	unsigned int flags = quarry_ctl_given(call, ZERO) ? QUARRY_SLAB_ZERO : 0;
	size_t size = quarry_ctl_size(call, SIZE), align = quarry_ctl_size(call, ALIGN);
	void *object;
	u64 i;

	for (i = 0; i < nr && !fatal_signal_pending(current); i++) {
		object = quarry_zone_alloc(zone_of(call), size, align, flags);
		if (!object)
			break;
		quarry_hold_add(&held, object);
		*last = object;
		cond_resched();
	}
	return i;
}

/*
 * Of many, those that could be had stay. Only by its counters does a zone tell why it has
 * nothing to give.
 */
static int run_alloc(struct quarry_ctl_call *call)
{
	u64 misuses = nr_misuses(zone_of(call)), nr = quarry_ctl_value(call, COUNT, 1);
	void *last = NULL;
	u64 nr_allocated = alloc_some(call, nr, &last);

	if (last) {
		quarry_ctl_answer_offset(call, "offset", last);
		quarry_ctl_answer(call, "size: %zu bytes\n",
				  quarry_zone_usable_size(zone_of(call), last));
	}
	if (quarry_ctl_given(call, COUNT))
		quarry_ctl_answer(call, "nr_allocated: %llu\n", nr_allocated);
	if (nr_allocated == nr)
		return 0;
	return nr_misuses(zone_of(call)) == misuses ? -ENOMEM : -EINVAL;
}

/* Only an object of someone else is refused here; the zone knows all other errors. */
static int run_free(struct quarry_ctl_call *call)
{
	void *object = quarry_ctl_pointer(call, OFFSET);
	struct quarry_slab_object found;

	if (!quarry_hold_del(&held, object) && !find(zone_of(call), object, &found) &&
	    found.start == object && !found.free)
		return -EPERM;
	return quarry_zone_free(zone_of(call), object);
}

static int run_lookup(struct quarry_ctl_call *call)
{
	struct quarry_slab_object found;
	int err = find(zone_of(call), quarry_ctl_pointer(call, OFFSET), &found);

	if (err)
		return err;
	if (found.free)
		return -ENOENT;
	quarry_ctl_answer_offset(call, "offset", found.start);
	quarry_ctl_answer(call, "size: %zu bytes\n", found.size);
	return 0;
}

static int run_freeall(struct quarry_ctl_call *call)
{
	u64 nr_freed = 0;
	void *object;
	int err = 0;

	while (!err && (object = quarry_hold_take(&held))) {
		err = quarry_zone_free(zone_of(call), object);
		nr_freed += !err;
		cond_resched();
	}
	quarry_ctl_answer(call, "nr_freed: %llu\n", nr_freed);
	return err;
}

static int sum_over_classes(struct quarry_ctl_call *call, const char *key,
			    unsigned int (*act)(struct quarry_cache *cache))
{
	struct quarry_cache *cache;
	u64 sum = 0;
	unsigned int i;

	for (i = 0; (cache = quarry_zone_cache(zone_of(call), i)); i++)
		sum += act(cache);
	quarry_ctl_answer(call, "%s: %llu\n", key, sum);
	return 0;
}

static int run_drain(struct quarry_ctl_call *call)
{
	return sum_over_classes(call, "nr_drained", quarry_cache_drain);
}

static int run_shrink(struct quarry_ctl_call *call)
{
	return sum_over_classes(call, "nr_released", quarry_cache_shrink);
}

static int run_reclaim(struct quarry_ctl_call *call)
{
	unsigned int max = quarry_ctl_count(call, COUNT, UINT_MAX);

	quarry_ctl_answer(call, "nr_released: %u\n", quarry_zone_reclaim(zone_of(call), max));
	return 0;
}

static const struct quarry_ctl_command commands[] = {
	{ "alloc", BIT(SIZE), BIT(COUNT) | BIT(ALIGN) | BIT(ZERO), run_alloc },
	{ "free", BIT(OFFSET), 0, run_free },
	{ "lookup", BIT(OFFSET), 0, run_lookup },
	{ "freeall", 0, 0, run_freeall },
	{ "drain", 0, 0, run_drain },
	{ "shrink", 0, 0, run_shrink },
	{ "reclaim", 0, BIT(COUNT), run_reclaim },
	{}
};

struct quarry_ctl quarry_zone_ctl = {
	.commands = commands,
	.words = words,
	.nr_words = ARRAY_SIZE(words),
	.notes =
		"# SIZE is in bytes, or with a suffix K, M or G.\n"
		"# OFFSET is in bytes from the start of the region.\n"
		"# free and freeall work on objects that were made here.\n"
		"# drain empties the magazines of all CPUs; shrink gives back what no CPU holds and\n"
		"# nobody uses; reclaim is a bit of both that doesn't wait, COUNT slabs at most.\n",
	.lock = __MUTEX_INITIALIZER(quarry_zone_ctl.lock),
};
