// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs: what people see of an instance, in /sys/kernel/debug/quarry/. Nothing
 * is counted or searched for here; each file formats what the objects tell. All
 * addresses are offsets into the region, but for the physical one in "region".
 *
 * This file has what is about all of it. Each allocator has its folder, by a file
 * of its own (debugfs_buddy.c and so on).
 */
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/seq_file.h>
#include <linux/time64.h>

#include "debugfs.h"
#include "instance.h"
#include "map.h"
#include "stress/stress.h"
#include "summary.h"

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

static int backend_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_backend_stats stats;

	quarry_backend_stats(&instance->backend, &stats);
	seq_printf(m, "nr_takes: %llu\n", stats.nr_takes);
	seq_printf(m, "nr_gives: %llu\n", stats.nr_gives);
	seq_printf(m, "nr_failures: %llu\n", stats.nr_failures);
	seq_printf(m, "nr_reclaims: %llu\n", stats.nr_reclaims);
	seq_printf(m, "reclaimed: %llu bytes\n", stats.reclaimed);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(backend);

static void show_verdict(struct seq_file *m, int err, const struct quarry_fault *fault)
{
	if (!err)
		seq_puts(m, ": ok\n");
	else
		seq_printf(m, ": wrong: %s at 0x%llx: expected 0x%llx, found 0x%llx\n",
			   fault->what, fault->addr, fault->expected, fault->found);
}

static void verify_named(struct quarry_named *named, void *ctx)
{
	struct quarry_fault fault;
	struct seq_file *m = ctx;

	if (named->part)
		return;
	seq_printf(m, "%s %s", named->kind->name, named->name);
	show_verdict(m, named->kind->verify(named, &fault), &fault);
}

static int verify_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_fault fault;

	seq_puts(m, "buddy");
	show_verdict(m, quarry_buddy_verify(&instance->buddy, &fault), &fault);
	seq_puts(m, "zone");
	show_verdict(m, quarry_zone_verify(&instance->zone, &fault), &fault);
	seq_puts(m, "malloc");
	show_verdict(m, quarry_malloc_verify(&instance->malloc, &fault), &fault);
	quarry_named_for_each(NULL, verify_named, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(verify);

DEFINE_SHOW_ATTRIBUTE(quarry_map);
DEFINE_SHOW_ATTRIBUTE(quarry_summary);

/**
 * quarry_debugfs_show_failure() - write when something failed last
 * @m: the file
 * @when: in ns after boot; 0 for never
 *
 * Context: any.
 */
void quarry_debugfs_show_failure(struct seq_file *m, u64 when)
{
	u32 rest;
	u64 seconds = div_u64_rem(div_u64(when, NSEC_PER_MSEC), MSEC_PER_SEC, &rest);

	if (when)
		seq_printf(m, "last_failure: %llu.%03u seconds after boot\n", seconds, rest);
	else
		seq_puts(m, "last_failure: never\n");
}

/**
 * quarry_debugfs_init() - show an instance in debugfs
 * @instance: the instance, which must stay until quarry_debugfs_exit()
 *
 * Context: may sleep.
 */
void quarry_debugfs_init(struct quarry_instance *instance)
{
	root = debugfs_create_dir("quarry", NULL);
	debugfs_create_file("region", 0400, root, instance, &region_fops);
	debugfs_create_file("map", 0444, root, instance, &quarry_map_fops);
	debugfs_create_file("summary", 0444, root, instance, &quarry_summary_fops);
	debugfs_create_file("backend", 0444, root, instance, &backend_fops);
	debugfs_create_file("verify", 0444, root, instance, &verify_fops);
	quarry_debugfs_buddy_init(instance, root);
	quarry_debugfs_slab_init(instance, root);
	quarry_debugfs_heap_init(instance, root);
	quarry_debugfs_vmem_init(instance, root);
	quarry_debugfs_malloc_init(instance, root);
	quarry_debugfs_inject_init(root);
	quarry_stress_init(instance, root);
}

/**
 * quarry_debugfs_exit() - remove everything from debugfs
 * @instance: the instance
 *
 * What was made there goes too, and is reported if it is in use. When this returns,
 * no file operation runs any more, and none can begin, not even on files that are
 * open.
 *
 * Context: may sleep.
 */
void quarry_debugfs_exit(struct quarry_instance *instance)
{
	quarry_stress_exit();
	quarry_debugfs_vmem_exit(instance);
	quarry_debugfs_heap_exit(instance);
	quarry_debugfs_slab_exit(instance);
	debugfs_remove(root);
	quarry_debugfs_inject_exit();
}
