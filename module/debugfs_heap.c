// SPDX-License-Identifier: GPL-2.0
/*
 * heap/: what heaps tell of themselves, each in a folder of its own.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "../lib/magazine.h"
#include "ctl.h"
#include "debugfs.h"
#include "instance.h"

static struct quarry_heap *heap_of(struct quarry_named *named)
{
	return container_of(named, struct quarry_named_heap, named)->heap;
}

/* ---- heap/NAME/stats ---- */

static void show_failure(struct seq_file *m, const struct quarry_heap_failure *failure)
{
	quarry_debugfs_show_failure(m, failure->when);
	if (!failure->when)
		return;
	seq_printf(m, "last_failure_size: %zu bytes\n", failure->size);
	seq_printf(m, "last_failure_align: %zu bytes\n", failure->align);
	seq_printf(m, "last_failure_free: %llu bytes\n", failure->free);
	seq_printf(m, "last_failure_largest_free: %llu bytes\n", failure->largest_free);
}

static int heap_stats_show(struct seq_file *m, void *unused)
{
	struct quarry_heap_stats stats;

	quarry_heap_stats(heap_of(m->private), &stats);
	seq_printf(m, "total: %llu bytes\n", stats.total);
	seq_printf(m, "memory: %llu bytes\n", stats.memory);
	seq_printf(m, "used: %llu bytes\n", stats.used);
	seq_printf(m, "free: %llu bytes\n", stats.free);
	seq_printf(m, "cached: %llu bytes\n", stats.cached);
	seq_printf(m, "peak: %llu bytes\n", stats.peak);
	seq_printf(m, "largest_free: %llu bytes\n", stats.largest_free);
	seq_printf(m, "page_size: %llu bytes\n", stats.page_size);
	seq_printf(m, "fragmentation: %u of 1000 free bytes are not in the largest block\n",
		   stats.fragmentation);
	seq_printf(m, "nr_extents: %u\n", stats.nr_extents);
	seq_printf(m, "nr_used: %llu blocks\n", stats.nr_used);
	seq_printf(m, "nr_allocs: %llu\n", stats.nr_allocs);
	seq_printf(m, "nr_frees: %llu\n", stats.nr_frees);
	seq_printf(m, "nr_failures: %llu\n", stats.nr_failures);
	seq_printf(m, "nr_misuses: %llu\n", stats.nr_misuses);
	seq_printf(m, "nr_waiting: %u\n", stats.nr_waiting);
	seq_printf(m, "nr_grows: %llu extents\n", stats.nr_grows);
	seq_printf(m, "nr_gives: %llu extents\n", stats.nr_gives);
	show_failure(m, &stats.last_failure);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(heap_stats);

/* ---- heap/NAME/classes and extents ---- */

static int heap_classes_show(struct seq_file *m, void *unused)
{
	struct quarry_heap *heap = heap_of(m->private);
	struct quarry_heap_class_stats stats;
	unsigned int i;

	seq_puts(m, "    size       used       free     cached    buckets      bytes\n");
	for (i = 0; !quarry_heap_class_stats(heap, i, &stats); i++)
		seq_printf(m, "%8zu %10llu %10llu %10llu %10llu %10llu\n", stats.size,
			   stats.nr_used, stats.nr_free, stats.nr_cached, stats.nr_buckets,
			   stats.bytes);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(heap_classes);

/* What CPUs have at hand, of the classes of which they have any. */
static int heap_magazines_show(struct seq_file *m, void *unused)
{
	struct quarry_heap *heap = heap_of(m->private);
	struct quarry_heap_class_stats class;
	struct quarry_magazines_stats stats;
	unsigned int i;

	seq_puts(m, "size rounds cached  full empty         gets         puts get_misses put_misses\n");
	for (i = 0; !quarry_heap_class_stats(heap, i, &class); i++) {
		if (quarry_heap_cache_stats(heap, i, &stats))
			continue;
		seq_printf(m, "%4zu %6u %6llu %5llu %5llu %12llu %12llu %10llu %10llu\n",
			   class.size, stats.rounds, stats.nr_cached, stats.nr_full,
			   stats.nr_empty, stats.nr_gets, stats.nr_puts, stats.nr_get_misses,
			   stats.nr_put_misses);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(heap_magazines);

static int heap_extents_show(struct seq_file *m, void *unused)
{
	struct quarry_named *named = m->private;
	struct quarry_instance *instance = named->kind->instance;
	struct quarry_heap_extent_stats stats;
	unsigned int i;

	seq_puts(m, "  offset       size      total       free from\n");
	for (i = 0; !quarry_heap_extent_stats(heap_of(named), i, &stats); i++)
		seq_printf(m, "%08llx %10zu %10llu %10llu %s\n",
			   quarry_instance_offset(instance, (unsigned long)stats.memory),
			   stats.size, stats.total, stats.free,
			   stats.grown ? "backend" : "caller");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(heap_extents);

/* ---- What heaps have in common ---- */

static int verify_heap(struct quarry_named *named, struct quarry_fault *fault)
{
	return quarry_heap_verify(heap_of(named), fault);
}

static const struct quarry_named_file common_files[] = {
	{}
};

static const struct quarry_named_file heap_files[] = {
	{ "stats", 0444, &heap_stats_fops },
	{ "classes", 0444, &heap_classes_fops },
	{ "extents", 0444, &heap_extents_fops },
	{ "magazines", 0444, &heap_magazines_fops },
	{}
};

struct quarry_named_kind quarry_heap_kind = {
	.name = "heap",
	.common = common_files,
	.files = heap_files,
	.verify = verify_heap,
};

/**
 * quarry_debugfs_heap_init() - make the folders of heaps
 * @instance: the instance
 * @root: where they go
 *
 * Context: may sleep.
 */
void quarry_debugfs_heap_init(struct quarry_instance *instance, struct dentry *root)
{
	struct dentry *folder = quarry_named_start(&quarry_heap_kind, instance, root);

	quarry_heap_ctl_init(instance);
	quarry_ctl_create(&quarry_heap_ctl, instance, folder);
}

/**
 * quarry_debugfs_heap_exit() - destroy what was made there
 * @instance: the instance
 *
 * Context: may sleep.
 */
void quarry_debugfs_heap_exit(struct quarry_instance *instance)
{
	quarry_ctl_remove(&quarry_heap_ctl);
	quarry_heap_ctl_exit(instance);
	quarry_named_stop(&quarry_heap_kind);
}
