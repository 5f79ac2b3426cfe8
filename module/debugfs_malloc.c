// SPDX-License-Identifier: GPL-2.0
/*
 * malloc/: what malloc tells of itself. The blocks that zone and heap gave it are in the
 * figures of these.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "instance.h"

static int malloc_stats_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_malloc_stats stats;

	quarry_malloc_stats(&instance->malloc, &stats);
	seq_printf(m, "zone_max: %zu bytes\n", stats.zone_max);
	seq_printf(m, "heap_max: %zu bytes\n", stats.heap_max);
	seq_printf(m, "used: %llu bytes in large blocks\n", stats.used);
	seq_printf(m, "peak: %llu bytes in large blocks\n", stats.peak);
	seq_printf(m, "nr_used: %llu large blocks\n", stats.nr_used);
	seq_printf(m, "nr_allocs: %llu large blocks\n", stats.nr_allocs);
	seq_printf(m, "nr_frees: %llu large blocks\n", stats.nr_frees);
	seq_printf(m, "nr_fallbacks: %llu\n", stats.nr_fallbacks);
	seq_printf(m, "nr_failures: %llu\n", stats.nr_failures);
	seq_printf(m, "nr_misuses: %llu\n", stats.nr_misuses);
	quarry_debugfs_show_failure(m, stats.last_failure.when);
	if (!stats.last_failure.when)
		return 0;
	seq_printf(m, "last_failure_size: %zu bytes\n", stats.last_failure.size);
	seq_printf(m, "last_failure_free: %llu bytes\n", stats.last_failure.free);
	seq_printf(m, "last_failure_largest_free: %llu bytes\n", stats.last_failure.largest_free);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(malloc_stats);

/**
 * quarry_debugfs_malloc_init() - make the folder of malloc
 * @instance: the instance
 * @root: where it goes
 *
 * Context: may sleep.
 */
void quarry_debugfs_malloc_init(struct quarry_instance *instance, struct dentry *root)
{
	struct dentry *folder = debugfs_create_dir("malloc", root);

	debugfs_create_file("stats", 0444, folder, instance, &malloc_stats_fops);
}
