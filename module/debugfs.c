// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs: what people see of an instance, in /sys/kernel/debug/quarry/. Nothing
 * is counted or searched for here; each file formats what the objects tell. All
 * addresses are offsets into the region, but for the physical one in "region".
 */
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>

#include "ctl.h"
#include "debugfs.h"
#include "instance.h"
#include "map.h"

static struct dentry *root;

static int region_show(struct seq_file *m, void *unused)
{
	const struct quarry_instance *instance = m->private;
	const struct quarry_reservation *got = &instance->reservation;

	seq_printf(m, "source: %s\n", quarry_source_name(got->source));
	seq_printf(m, "size: %zu bytes\n", got->size);
	seq_printf(m, "managed: %llu bytes, the rest at the end is metadata\n",
		   instance->managed.size);
	seq_printf(m, "base: %p (hashed)\n", got->base);
	if (got->source == QUARRY_SOURCE_VMALLOC)
		seq_puts(m, "physical: none, contiguous only virtually\n");
	else
		seq_printf(m, "physical: %pa, contiguous\n", &got->phys);
	if (got->node == NUMA_NO_NODE)
		seq_puts(m, "node: -1, not known to be one\n");
	else
		seq_printf(m, "node: %d\n", got->node);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(region);

/* An unconstrained request is shown with the bounds of the region. */
static void show_failure(struct seq_file *m, const struct quarry_instance *instance,
			 const struct quarry_buddy_failure *failure)
{
	const struct quarry_buddy_request *request = &failure->request;
	u64 base = instance->managed.base;
	u64 last = quarry_region_last(&instance->managed);
	u64 ms = div_u64(failure->when, NSEC_PER_MSEC);
	u32 rest;

	if (!failure->when) {
		seq_puts(m, "last_failure: never\n");
		return;
	}
	ms = div_u64_rem(ms, MSEC_PER_SEC, &rest);
	seq_printf(m, "last_failure: %llu.%03u seconds after boot\n", ms, rest);
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

static int verify_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_fault fault;

	if (!quarry_buddy_verify(&instance->buddy, &fault))
		seq_puts(m, "buddy: ok\n");
	else
		seq_printf(m, "buddy: wrong: %s at 0x%llx: expected 0x%llx, found 0x%llx\n",
			   fault.what, fault.addr, fault.expected, fault.found);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(verify);

DEFINE_SHOW_ATTRIBUTE(quarry_map);

/**
 * quarry_debugfs_init() - show an instance in debugfs
 * @instance: the instance, which must stay until quarry_debugfs_exit()
 */
void quarry_debugfs_init(struct quarry_instance *instance)
{
	struct dentry *buddy;

	root = debugfs_create_dir("quarry", NULL);
	debugfs_create_file("region", 0400, root, instance, &region_fops);
	debugfs_create_file("map", 0444, root, instance, &quarry_map_fops);
	debugfs_create_file("verify", 0444, root, instance, &verify_fops);

	buddy = debugfs_create_dir("buddy", root);
	debugfs_create_file("stats", 0444, buddy, instance, &buddy_stats_fops);
	debugfs_create_file("orders", 0444, buddy, instance, &buddy_orders_fops);
	debugfs_create_file("ctl", 0600, buddy, instance, &quarry_ctl_fops);
}

/**
 * quarry_debugfs_exit() - remove everything from debugfs
 *
 * When it returns, no file operation runs any more, and none can begin, not even
 * on files that are open.
 */
void quarry_debugfs_exit(void)
{
	debugfs_remove(root);
}
