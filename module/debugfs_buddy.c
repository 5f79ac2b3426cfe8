// SPDX-License-Identifier: GPL-2.0
/*
 * buddy/: what the buddy tells of itself.
 */
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>

#include "ctl.h"
#include "debugfs.h"
#include "instance.h"

/* An unconstrained request is shown with the bounds of the region. */
static void show_failure(struct seq_file *m, const struct quarry_instance *instance,
			 const struct quarry_buddy_failure *failure)
{
	const struct quarry_buddy_request *request = &failure->request;
	u64 base = instance->managed.base;
	u64 last = quarry_region_last(&instance->managed);

	quarry_debugfs_show_failure(m, failure->when);
	if (!failure->when)
		return;
	seq_printf(m, "last_failure_size: %llu bytes%s%s\n", request->size,
		   request->flags & QUARRY_BUDDY_EXACT ? ", exact" : "",
		   request->flags & QUARRY_BUDDY_TOPDOWN ? ", topdown" : "");
	seq_printf(m, "last_failure_align: %llu bytes\n", request->align);
	seq_printf(m, "last_failure_min: 0x%llx\n", max(request->min, base) - base);
	seq_printf(m, "last_failure_max: 0x%llx\n", min(request->max, last) - base);
	seq_printf(m, "last_failure_free: %llu bytes\n", failure->free);
	seq_printf(m, "last_failure_largest_free: %llu bytes\n", failure->largest_free);
}

static int buddy_stats_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_buddy_stats stats;

	quarry_buddy_stats(&instance->buddy, &stats);
	seq_printf(m, "total: %llu bytes\n", stats.total);
	seq_printf(m, "used: %llu bytes\n", stats.used);
	seq_printf(m, "free: %llu bytes\n", stats.total - stats.used);
	seq_printf(m, "peak: %llu bytes\n", stats.peak);
	seq_printf(m, "largest_free: %llu bytes\n", stats.largest_free);
	seq_printf(m, "page_size: %llu bytes\n", stats.page_size);
	seq_printf(m, "fragmentation: %u of 1000 free bytes are not in the largest block\n",
		   stats.fragmentation);
	seq_printf(m, "nr_used: %llu blocks\n", stats.nr_used);
	seq_printf(m, "nr_allocs: %llu\n", stats.nr_allocs);
	seq_printf(m, "nr_frees: %llu\n", stats.nr_frees);
	seq_printf(m, "nr_failures: %llu\n", stats.nr_failures);
	seq_printf(m, "nr_misuses: %llu\n", stats.nr_misuses);
	seq_printf(m, "nr_splits: %llu\n", stats.nr_splits);
	seq_printf(m, "nr_merges: %llu\n", stats.nr_merges);
	seq_printf(m, "nr_steps: %llu\n", stats.nr_steps);
	show_failure(m, instance, &stats.last_failure);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(buddy_stats);

static void show_size(struct seq_file *m, u64 size)
{
	if (size >= SZ_1G)
		seq_printf(m, " %6lluG", size / SZ_1G);
	else if (size >= SZ_1M)
		seq_printf(m, " %6lluM", size / SZ_1M);
	else
		seq_printf(m, " %6lluK", size / SZ_1K);
}

/* Free memory that is no use for a block of @order, in thousandths of what is free. */
static unsigned int unusable_free(const struct quarry_buddy_stats *stats, unsigned int order)
{
	u64 free = stats->total - stats->used;
	u64 usable = 0;

	if (!free)
		return 1000;
	for (; order <= stats->max_order; order++)
		usable += stats->nr_free[order] * (stats->page_size << order);
	return div64_u64((free - usable) * 1000, free);
}

static int buddy_orders_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_buddy_stats stats;
	unsigned int order, unusable;

	quarry_buddy_stats(&instance->buddy, &stats);
	seq_puts(m, "order   ");
	for (order = 0; order <= stats.max_order; order++)
		seq_printf(m, " %7u", order);
	seq_puts(m, "\nsize    ");
	for (order = 0; order <= stats.max_order; order++)
		show_size(m, stats.page_size << order);
	seq_puts(m, "\nfree    ");
	for (order = 0; order <= stats.max_order; order++)
		seq_printf(m, " %7llu", stats.nr_free[order]);
	seq_puts(m, "\nunusable");
	for (order = 0; order <= stats.max_order; order++) {
		unusable = unusable_free(&stats, order);
		seq_printf(m, "   %u.%03u", unusable / 1000, unusable % 1000);
	}
	seq_putc(m, '\n');
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(buddy_orders);

/**
 * quarry_debugfs_buddy_init() - make the folder of the buddy
 * @instance: the instance
 * @root: where it goes
 *
 * Context: may sleep.
 */
void quarry_debugfs_buddy_init(struct quarry_instance *instance, struct dentry *root)
{
	struct dentry *folder = debugfs_create_dir("buddy", root);

	debugfs_create_file("stats", 0444, folder, instance, &buddy_stats_fops);
	debugfs_create_file("orders", 0444, folder, instance, &buddy_orders_fops);
	quarry_ctl_create(&quarry_buddy_ctl, instance, folder);
}
