// SPDX-License-Identifier: GPL-2.0
/*
 * summary: the whole instance on one page, as a tree of who stands on whom: the region,
 * the buddy in it, and what takes its memory from there, the default ones and those that
 * were made through debugfs. All in bytes, but for an arena of something else.
 *
 * Each line is of one moment, and all lines of slightly different ones.
 */
#include <linux/container_of.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>
#include <linux/time64.h>

#include "debugfs.h"
#include "instance.h"
#include "summary.h"

#define NAME_WIDTH	30

/**
 * struct row - a line of the table
 * @size: bytes that it has
 * @used: of them, in the hands of its users
 * @peak: most that were at once
 * @largest: the largest block that it could give without more memory
 * @failures: requests that found no room
 * @when: when the last of them did, in ns as ktime_get_mono_fast_ns() counts; 0 for never
 * @wanted: what that asked for
 */
struct row {
	u64 size;
	u64 used;
	u64 peak;
	u64 largest;
	u64 failures;
	u64 when;
	u64 wanted;
};

/* ---- A line ---- */

static void show_age(struct seq_file *m, u64 when)
{
	u64 ms = div_u64(ktime_get_mono_fast_ns() - when, NSEC_PER_MSEC);
	u32 rest;
	u64 seconds = div_u64_rem(ms, MSEC_PER_SEC, &rest);

	if (seconds < 60)
		seq_printf(m, "%llu.%u s ago", seconds, rest / 100);
	else if (seconds < 3600)
		seq_printf(m, "%llu min ago", div_u64(seconds, 60));
	else
		seq_printf(m, "%llu h ago", div_u64(seconds, 3600));
}

static void show_row(struct seq_file *m, const char *branch, const char *kind, const char *name,
		     const struct row *row)
{
	char object[NAME_WIDTH + QUARRY_NAME_SIZE];

	snprintf(object, sizeof(object), "%s%s %s", branch, kind, name);
	seq_printf(m, "%-*s %11llu %11llu %11llu %11llu %11llu %8llu  ", NAME_WIDTH, object,
		   row->size, row->used, row->size - min(row->size, row->used), row->peak,
		   row->largest, row->failures);
	if (row->when) {
		show_age(m, row->when);
		seq_printf(m, ", %llu wanted\n", row->wanted);
	} else {
		seq_puts(m, "never\n");
	}
}

/* ---- What the lines say ---- */

static struct row row_of_buddy(struct quarry_buddy *buddy)
{
	struct quarry_buddy_stats stats;

	quarry_buddy_stats(buddy, &stats);
	return (struct row) {
		.size = stats.total,
		.used = stats.used,
		.peak = stats.peak,
		.largest = stats.largest_free,
		.failures = stats.nr_failures,
		.when = stats.last_failure.when,
		.wanted = stats.last_failure.request.size,
	};
}

/* The region is used for the buddy's metadata and the like as well. */
static struct row row_of_region(const struct quarry_instance *instance, const struct row *buddy)
{
	u64 rest = instance->reservation.size - buddy->size;
	struct row row = *buddy;

	row.size += rest;
	row.used += rest;
	row.peak += rest;
	return row;
}

static struct row row_of_slab(struct quarry_slab *slab)
{
	struct quarry_slab_stats stats;

	quarry_slab_stats(slab, &stats);
	return (struct row) {
		.size = stats.nr_objects * stats.object_size,
		.used = stats.nr_used * stats.object_size,
		.peak = stats.peak * stats.object_size,
		.largest = stats.nr_used < stats.nr_objects ? stats.object_size : 0,
		.failures = stats.nr_failures,
		.when = stats.last_failure,
		.wanted = stats.object_size,
	};
}

/* What is in magazines is not used, but to the slab it is, whose the peak is. */
static struct row row_of_cache(struct quarry_cache *cache)
{
	struct quarry_cache_stats stats;
	u64 size;

	quarry_cache_stats(cache, &stats);
	size = stats.slab.object_size;
	return (struct row) {
		.size = stats.slab.nr_objects * size,
		.used = stats.nr_used * size,
		.peak = stats.slab.peak * size,
		.largest = stats.nr_used < stats.slab.nr_objects ? size : 0,
		.failures = stats.nr_failures,
		.when = stats.slab.last_failure,
		.wanted = size,
	};
}

static struct row row_of_heap(struct quarry_heap *heap)
{
	struct quarry_heap_stats stats;

	quarry_heap_stats(heap, &stats);
	return (struct row) {
		.size = stats.total,
		.used = stats.used,
		.peak = stats.peak,
		.largest = stats.largest_free,
		.failures = stats.nr_failures,
		.when = stats.last_failure.when,
		.wanted = stats.last_failure.size,
	};
}

/* What quantum caches have is as what is in magazines. */
static struct row row_of_vmem(struct quarry_vmem *vmem)
{
	struct quarry_vmem_stats stats;

	quarry_vmem_stats(vmem, &stats);
	return (struct row) {
		.size = stats.total,
		.used = stats.used - min(stats.used, stats.cached),
		.peak = stats.peak,
		.largest = stats.largest_free,
		.failures = stats.nr_failures,
		.when = stats.last_failure.when,
		.wanted = stats.last_failure.size,
	};
}

/* Its large blocks; the others are those of zone and heap. */
static struct row row_of_malloc(struct quarry_malloc *malloc)
{
	struct quarry_malloc_stats stats;

	quarry_malloc_stats(malloc, &stats);
	return (struct row) {
		.size = stats.used,
		.used = stats.used,
		.peak = stats.peak,
		.failures = stats.nr_failures,
		.when = stats.last_failure.when,
		.wanted = stats.last_failure.size,
	};
}

/*
 * The zone has what its slabs have. Its peak is that of each class at its own time,
 * together; its last failure that of the class that failed last.
 */
static struct row row_of_zone(struct quarry_zone *zone)
{
	struct quarry_zone_stats stats;
	struct quarry_cache *cache;
	struct row row, class;
	unsigned int i;

	quarry_zone_stats(zone, &stats);
	row = (struct row) {
		.size = stats.held,
		.used = stats.used,
		.failures = stats.nr_failures,
	};
	for (i = 0; (cache = quarry_zone_cache(zone, i)); i++) {
		class = row_of_cache(cache);
		row.peak += class.peak;
		row.largest = max(row.largest, class.largest);
		if (class.when > row.when) {
			row.when = class.when;
			row.wanted = class.wanted;
		}
	}
	return row;
}

/* ---- The tree ---- */

static bool is_worth_a_line(struct quarry_cache *cache)
{
	const struct row row = row_of_cache(cache);

	return row.size || row.failures;
}

/* Classes that never had anything would make the page long for nothing. */
static void show_zone(struct seq_file *m, struct quarry_zone *zone)
{
	struct row row = row_of_zone(zone);
	struct quarry_cache *cache, *last = NULL;
	unsigned int i;

	show_row(m, "   |- ", "zone", "default", &row);
	for (i = 0; (cache = quarry_zone_cache(zone, i)); i++)
		if (is_worth_a_line(cache))
			last = cache;
	for (i = 0; last && (cache = quarry_zone_cache(zone, i)); i++) {
		if (cache != last && !is_worth_a_line(cache))
			continue;
		row = row_of_cache(cache);
		show_row(m, cache == last ? "   |  `- " : "   |  |- ", "cache",
			 quarry_cache_name(cache), &row);
		if (cache == last)
			break;
	}
}

static void show_slab(struct quarry_named *named, void *m)
{
	const struct quarry_named_slab *shown = container_of(named, struct quarry_named_slab,
							     named);
	struct row row;

	if (named->part)
		return;
	row = shown->cache ? row_of_cache(shown->cache) : row_of_slab(shown->slab);
	show_row(m, "   |- ", shown->cache ? "cache" : "slab", named->name, &row);
}

static void show_heap(struct quarry_named *named, void *m)
{
	struct row row = row_of_heap(container_of(named, struct quarry_named_heap, named)->heap);

	show_row(m, "   |- ", "heap", named->name, &row);
}

static void show_vmem(struct quarry_named *named, void *m)
{
	struct row row = row_of_vmem(container_of(named, struct quarry_named_vmem, named)->vmem);

	show_row(m, "   |- ", "vmem", named->name, &row);
}

/**
 * quarry_summary_show() - write the summary of an instance
 * @m: the file, whose private data is the instance
 * @unused: as seq_file wants it
 *
 * Context: may sleep. O(objects * CPUs).
 * Return: 0.
 */
int quarry_summary_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct row buddy = row_of_buddy(&instance->buddy);
	struct row region = row_of_region(instance, &buddy);
	struct row malloc = row_of_malloc(&instance->malloc);

	seq_puts(m, "quarry summary - version: 1.0\n");
	seq_printf(m, "%-*s %11s %11s %11s %11s %11s %8s  %s\n", NAME_WIDTH, "# object", "size",
		   "used", "free", "peak", "largest", "failures", "last_failure");
	show_row(m, "", "region", quarry_source_name(instance->reservation.source), &region);
	show_row(m, "`- ", "buddy", "default", &buddy);
	show_zone(m, &instance->zone);
	quarry_named_for_each(&quarry_slab_kind, show_slab, m);
	quarry_named_for_each(&quarry_heap_kind, show_heap, m);
	quarry_named_for_each(&quarry_vmem_kind, show_vmem, m);
	show_row(m, "   `- ", "malloc", "large-blocks", &malloc);
	return 0;
}
