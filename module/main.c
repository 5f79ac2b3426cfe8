// SPDX-License-Identifier: GPL-2.0
/*
 * The module: its parameters, its start and its end.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/printk.h>
#include <linux/sizes.h>

#include "debugfs.h"
#include "instance.h"

static unsigned long region_mb = 64;
module_param(region_mb, ulong, 0444);
MODULE_PARM_DESC(region_mb, "size of the region in MiB (default 64)");

static char *source = "auto";
module_param(source, charp, 0444);
MODULE_PARM_DESC(source, "where it comes from: " QUARRY_SOURCE_NAMES " (default auto)");

/* x86 has a phys_base of its own. */
static unsigned long long phys_start;
module_param_named(phys_base, phys_start, ullong, 0400);
MODULE_PARM_DESC(phys_base, "for source=phys, the physical address where it starts");

static int node = NUMA_NO_NODE;
module_param(node, int, 0444);
MODULE_PARM_DESC(node, "NUMA node that it must be on (default -1, any)");

static int __init check_source(struct quarry_reserve_request *want)
{
	int err = quarry_source_parse(source, &want->source);

	if (err)
		pr_err("source=%s is unknown: it must be " QUARRY_SOURCE_NAMES "\n", source);
	return err;
}

/* What is kept from the kernel may be more than what the kernel has. */
static int __init check_size(struct quarry_reserve_request *want)
{
	unsigned long max_mb = SIZE_MAX / SZ_1M;

	if (want->source != QUARRY_SOURCE_PHYS)
		max_mb = min(max_mb, totalram_pages() / (SZ_1M / PAGE_SIZE));
	if (!region_mb) {
		pr_err("region_mb=0 is no size: it must be 1 to %lu (MiB)\n", max_mb);
		return -EINVAL;
	}
	if (region_mb > max_mb) {
		pr_err("region_mb=%lu is more than the machine has: it must be 1 to %lu (MiB)\n",
		       region_mb, max_mb);
		return -ENOMEM;
	}
	want->size = region_mb * SZ_1M;
	return 0;
}

static int __init check_phys(struct quarry_reserve_request *want)
{
	if (want->source != QUARRY_SOURCE_PHYS && phys_start) {
		pr_err("phys_base=0x%llx is for source=phys only, not source=%s\n",
		       phys_start, source);
		return -EINVAL;
	}
	if (want->source == QUARRY_SOURCE_PHYS && (!phys_start || phys_start % PAGE_SIZE)) {
		pr_err("phys_base=0x%llx is no base for source=phys: it must be a multiple of 0x%lx, and not 0\n",
		       phys_start, PAGE_SIZE);
		return -EINVAL;
	}
	want->phys = phys_start;
	if (want->phys != phys_start) {
		pr_err("phys_base=0x%llx is no physical address of this machine\n", phys_start);
		return -EINVAL;
	}
	return 0;
}

static int __init check_node(struct quarry_reserve_request *want)
{
	want->node = node;
	if (node == NUMA_NO_NODE)
		return 0;
	if (want->source == QUARRY_SOURCE_PHYS) {
		pr_err("node=%d doesn't go with source=phys: phys_base says where the region is\n",
		       node);
		return -EINVAL;
	}
	if (node < 0 || node >= MAX_NUMNODES || !node_state(node, N_MEMORY)) {
		pr_err("node=%d has no memory: it must be -1 (any) or one of %*pbl\n",
		       node, nodemask_pr_args(&node_states[N_MEMORY]));
		return -EINVAL;
	}
	return 0;
}

static int __init check_parameters(struct quarry_reserve_request *want)
{
	return check_source(want) ?: check_size(want) ?: check_phys(want) ?: check_node(want);
}

static int __init quarry_start(void)
{
	struct quarry_instance *instance = &quarry_default_instance;
	struct quarry_reserve_request want;
	int err;

	err = check_parameters(&want);
	if (err)
		return err;
	err = quarry_instance_init(instance, &want);
	if (err) {
		pr_err("no region with source=%s region_mb=%lu: %s\n", source, region_mb,
		       instance->reservation.why);
		return err;
	}
	quarry_debugfs_init(instance);
	pr_info("%lu MiB region, source %s\n", region_mb,
		quarry_source_name(instance->reservation.source));
	return 0;
}
module_init(quarry_start);

static void __exit quarry_end(void)
{
	quarry_debugfs_exit(&quarry_default_instance);
	quarry_instance_fini(&quarry_default_instance);
	pr_info("removed\n");
}
module_exit(quarry_end);

MODULE_DESCRIPTION("Allocators with bounded cost in one region of memory");
MODULE_AUTHOR("The Quarry developers");
MODULE_LICENSE("GPL");
