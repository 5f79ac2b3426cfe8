// SPDX-License-Identifier: GPL-2.0
/*
 * vmem/: what arenas tell of themselves, each in a folder of its own.
 */
#include <linux/debugfs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "ctl.h"
#include "debugfs.h"
#include "instance.h"

static struct quarry_named_vmem *to_vmem(struct quarry_named *named)
{
	return container_of(named, struct quarry_named_vmem, named);
}

/* ---- vmem/NAME/stats ---- */

static void show_sizes(struct seq_file *m, const struct quarry_vmem_stats *stats)
{
	seq_printf(m, "total: %llu\n", stats->total);
	seq_printf(m, "used: %llu\n", stats->used);
	seq_printf(m, "free: %llu\n", stats->total - stats->used);
	seq_printf(m, "peak: %llu\n", stats->peak);
	seq_printf(m, "imported: %llu\n", stats->imported);
	seq_printf(m, "cached: %llu\n", stats->cached);
	seq_printf(m, "largest_free: %llu\n", stats->largest_free);
	seq_printf(m, "quantum: %llu\n", stats->quantum);
	if (stats->limit)
		seq_printf(m, "limit: %llu\n", stats->limit);
	else
		seq_puts(m, "limit: none\n");
}

static void show_calls(struct seq_file *m, const struct quarry_vmem_stats *stats)
{
	seq_printf(m, "nr_allocs: %llu\n", stats->nr_allocs);
	seq_printf(m, "nr_frees: %llu\n", stats->nr_frees);
	seq_printf(m, "nr_failures: %llu\n", stats->nr_failures);
	seq_printf(m, "nr_misuses: %llu\n", stats->nr_misuses);
	seq_printf(m, "nr_steps: %llu\n", stats->nr_steps);
	seq_printf(m, "max_steps: %llu\n", stats->max_steps);
	seq_printf(m, "nr_imports: %llu\n", stats->nr_imports);
	seq_printf(m, "nr_releases: %llu\n", stats->nr_releases);
	seq_printf(m, "nr_reclaims: %llu\n", stats->nr_reclaims);
	seq_printf(m, "nr_waits: %llu\n", stats->nr_waits);
	seq_printf(m, "nr_waiters: %llu\n", stats->nr_waiters);
}

static int vmem_stats_show(struct seq_file *m, void *unused)
{
	struct quarry_vmem_stats stats;
	unsigned int i;

	quarry_vmem_stats(to_vmem(m->private)->vmem, &stats);
	show_sizes(m, &stats);
	seq_printf(m, "nr_spans: %llu\n", stats.nr_spans);
	seq_printf(m, "nr_used: %llu segments\n", stats.nr_used);
	seq_printf(m, "nr_free: %llu segments\n", stats.nr_free);
	for (i = 0; i < QUARRY_VMEM_NR_LISTS; i++)
		if (stats.nr_lists[i])
			seq_printf(m, "nr_free_2^%u: %llu segments of so many quanta or more\n",
				   i, stats.nr_lists[i]);
	show_calls(m, &stats);
	seq_printf(m, "nr_tags: %llu\n", stats.nr_tags);
	seq_printf(m, "nr_free_tags: %llu\n", stats.nr_free_tags);
	seq_printf(m, "nr_buckets: %llu\n", stats.nr_buckets);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmem_stats);

/* ---- vmem/NAME/segments ---- */

/* What changes meanwhile is shown as it was or as it is. */
static int vmem_segments_show(struct seq_file *m, void *unused)
{
	static const char *const states[] = {
		[QUARRY_VMEM_FREE] = "free",
		[QUARRY_VMEM_USED] = "used",
		[QUARRY_VMEM_XUSED] = "xused",
		[QUARRY_VMEM_CACHED] = "cached",
	};
	const struct quarry_named_vmem *shown = to_vmem(m->private);
	struct quarry_vmem_segment segment;
	u64 at = 0;

	seq_puts(m, "              addr               size state  span\n");
	while (!quarry_vmem_next(shown->vmem, at, &segment)) {
		seq_printf(m, "%#18llx %#18llx %-6s %s\n", segment.addr - shown->origin,
			   segment.size, states[segment.state],
			   segment.imported ? "imported" : "static");
		at = segment.addr + segment.size;
		if (!at || seq_has_overflowed(m))
			break;
		cond_resched();
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmem_segments);

/* ---- vmem/NAME/qcaches ---- */

static int vmem_qcaches_show(struct seq_file *m, void *unused)
{
	const struct quarry_named_vmem *shown = to_vmem(m->private);
	struct quarry_magazines_stats stats;
	unsigned int quanta;

	seq_puts(m, "quanta         gets        puts get_misses put_misses exchanges cached rounds\n");
	for (quanta = 1; quanta <= QUARRY_VMEM_MAX_QCACHES; quanta++) {
		if (!shown->qcaches || quarry_qcaches_stats(shown->qcaches, quanta, &stats))
			break;
		seq_printf(m, "%6u %12llu %11llu %10llu %10llu %9llu %6llu %6u\n", quanta,
			   stats.nr_gets, stats.nr_puts, stats.nr_get_misses,
			   stats.nr_put_misses, stats.nr_exchanges, stats.nr_cached,
			   stats.rounds);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmem_qcaches);

/* ---- What arenas have in common ---- */

static int verify_vmem(struct quarry_named *named, struct quarry_fault *fault)
{
	return quarry_vmem_verify(to_vmem(named)->vmem, fault);
}

static const struct quarry_named_file common_files[] = {
	{}
};

static const struct quarry_named_file vmem_files[] = {
	{ "stats", 0444, &vmem_stats_fops },
	{ "segments", 0444, &vmem_segments_fops },
	{ "qcaches", 0444, &vmem_qcaches_fops },
	{}
};

struct quarry_named_kind quarry_vmem_kind = {
	.name = "vmem",
	.common = common_files,
	.files = vmem_files,
	.verify = verify_vmem,
};

/**
 * quarry_debugfs_vmem_init() - make the folders of arenas
 * @instance: the instance
 * @root: where they go
 *
 * Context: may sleep.
 */
void quarry_debugfs_vmem_init(struct quarry_instance *instance, struct dentry *root)
{
	struct dentry *folder = quarry_named_start(&quarry_vmem_kind, instance, root);

	quarry_vmem_ctl_init(instance);
	quarry_ctl_create(&quarry_vmem_ctl, instance, folder);
}

/**
 * quarry_debugfs_vmem_exit() - destroy what was made there
 * @instance: the instance
 *
 * Context: may sleep.
 */
void quarry_debugfs_vmem_exit(struct quarry_instance *instance)
{
	quarry_ctl_remove(&quarry_vmem_ctl);
	quarry_vmem_ctl_exit(instance);
	quarry_named_stop(&quarry_vmem_kind);
}
