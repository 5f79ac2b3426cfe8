// SPDX-License-Identifier: GPL-2.0
/*
 * slab/ and zone/: what slabs, caches and the zone over them tell of themselves.
 * There is a folder in slab/ for each class of the zone, and for each that was
 * made by slab/ctl, and a line in slab/caches.
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/seq_file.h>

#include "ctl.h"
#include "debugfs.h"
#include "instance.h"

static struct quarry_named_slab classes[QUARRY_ZONE_NR_CLASSES];

static struct quarry_named_slab *to_slab(struct quarry_named *named)
{
	return container_of(named, struct quarry_named_slab, named);
}

/* A slab without magazines is one with nothing in them. */
static void get_stats(const struct quarry_named_slab *shown, struct quarry_cache_stats *stats)
{
	if (shown->cache) {
		quarry_cache_stats(shown->cache, stats);
		return;
	}
	*stats = (struct quarry_cache_stats){};
	quarry_slab_stats(shown->slab, &stats->slab);
	stats->nr_used = stats->slab.nr_used;
	stats->nr_failures = stats->slab.nr_failures;
	stats->nr_misuses = stats->slab.nr_misuses;
}

/* ---- slab/NAME/stats ---- */

static void show_slabs(struct seq_file *m, const struct quarry_slab_stats *stats)
{
	seq_printf(m, "nr_slabs: %llu\n", stats->nr_slabs);
	seq_printf(m, "nr_empty: %llu slabs\n", stats->nr_empty);
	seq_printf(m, "nr_partial: %llu slabs\n", stats->nr_partial);
	seq_printf(m, "nr_full: %llu slabs\n", stats->nr_full);
	seq_printf(m, "nr_refills: %llu\n", stats->nr_refills);
	seq_printf(m, "nr_released: %llu slabs\n", stats->nr_released);
	seq_printf(m, "slab_used: %llu objects\n", stats->nr_used);
	seq_printf(m, "slab_peak: %llu objects\n", stats->peak);
	seq_printf(m, "slab_reserved: %llu objects\n", stats->reserved);
	seq_printf(m, "slab_allocs: %llu\n", stats->nr_allocs);
	seq_printf(m, "slab_frees: %llu\n", stats->nr_frees);
}

static void show_magazines(struct seq_file *m, const struct quarry_magazines_stats *stats)
{
	seq_printf(m, "rounds: %u objects\n", stats->rounds);
	seq_printf(m, "depot_full: %llu magazines\n", stats->nr_full);
	seq_printf(m, "depot_empty: %llu magazines\n", stats->nr_empty);
	seq_printf(m, "nr_gets: %llu\n", stats->nr_gets);
	seq_printf(m, "nr_puts: %llu\n", stats->nr_puts);
	seq_printf(m, "nr_get_misses: %llu\n", stats->nr_get_misses);
	seq_printf(m, "nr_put_misses: %llu\n", stats->nr_put_misses);
	seq_printf(m, "nr_exchanges: %llu\n", stats->nr_exchanges);
	seq_printf(m, "nr_contended: %llu\n", stats->nr_contended);
}

static int slab_stats_show(struct seq_file *m, void *unused)
{
	const struct quarry_named_slab *shown = to_slab(m->private);
	struct quarry_cache_stats stats;

	get_stats(shown, &stats);
	seq_printf(m, "object_size: %zu bytes\n", stats.slab.object_size);
	seq_printf(m, "align: %zu bytes\n", stats.slab.align);
	seq_printf(m, "slab_size: %zu bytes\n", stats.slab.slab_size);
	seq_printf(m, "per_slab: %llu objects\n", stats.slab.per_slab);
	seq_printf(m, "total: %llu objects\n", stats.slab.nr_objects);
	seq_printf(m, "used: %llu objects\n", stats.nr_used);
	seq_printf(m, "cached: %llu objects\n", stats.magazines.nr_cached);
	seq_printf(m, "free: %llu objects\n", stats.slab.nr_objects - stats.slab.nr_used);
	seq_printf(m, "nr_failures: %llu\n", stats.nr_failures);
	seq_printf(m, "nr_misuses: %llu\n", stats.nr_misuses);
	show_slabs(m, &stats.slab);
	if (shown->cache) {
		seq_printf(m, "nr_damaged: %llu objects\n", stats.nr_damaged);
		show_magazines(m, &stats.magazines);
	}
	quarry_debugfs_show_failure(m, stats.slab.last_failure);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(slab_stats);

/* ---- slab/NAME/cpus ---- */

static int slab_cpus_show(struct seq_file *m, void *unused)
{
	const struct quarry_named_slab *shown = to_slab(m->private);
	struct quarry_magazines_stats stats;
	unsigned int cpu;

	seq_puts(m, "cpu         gets        puts get_misses put_misses exchanges contended cached\n");
	for_each_possible_cpu(cpu) {
		if (!shown->cache || quarry_cache_cpu_stats(shown->cache, cpu, &stats))
			continue;
		seq_printf(m, "%3u %12llu %11llu %10llu %10llu %9llu %9llu %6llu\n", cpu,
			   stats.nr_gets, stats.nr_puts, stats.nr_get_misses,
			   stats.nr_put_misses, stats.nr_exchanges, stats.nr_contended,
			   stats.nr_cached);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(slab_cpus);

/* ---- slab/caches ---- */

/* Gets and puts that a CPU's own magazines served, in thousandths. */
static void show_hits(struct seq_file *m, const struct quarry_magazines_stats *stats)
{
	u64 hits = stats->nr_gets + stats->nr_puts;
	u64 all = hits + stats->nr_get_misses + stats->nr_put_misses;
	u32 rest;
	u64 percent;

	if (!all) {
		seq_puts(m, "      -\n");
		return;
	}
	percent = div_u64_rem(div64_u64(hits * 1000, all), 10, &rest);
	seq_printf(m, " %4llu.%u\n", percent, rest);
}

static void show_cache(struct quarry_named *named, void *ctx)
{
	struct quarry_cache_stats stats;
	struct seq_file *m = ctx;

	get_stats(to_slab(named), &stats);
	seq_printf(m, "%-18s %8llu %7llu %8llu %7zu %6zu %8llu %9zu", named->name,
		   stats.nr_used, stats.magazines.nr_cached, stats.slab.nr_objects,
		   stats.slab.object_size, stats.slab.align, stats.slab.per_slab,
		   stats.slab.slab_size);
	seq_printf(m, " %6llu %7llu %6llu %8llu %7llu", stats.slab.nr_empty,
		   stats.slab.nr_partial, stats.slab.nr_full, stats.nr_failures,
		   stats.nr_misuses);
	show_hits(m, &stats.magazines);
}

static int caches_show(struct seq_file *m, void *unused)
{
	seq_puts(m, "quarry caches - version: 1.0\n");
	seq_puts(m, "# name                 used  cached  objects    size  align per_slab slab_size");
	seq_puts(m, "  empty partial   full failures misuses  hits%\n");
	quarry_named_for_each(m->private, show_cache, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(caches);

/* ---- What slabs have in common ---- */

static int verify_slab(struct quarry_named *named, struct quarry_fault *fault)
{
	const struct quarry_named_slab *shown = to_slab(named);

	return shown->cache ? quarry_cache_verify(shown->cache, fault) :
			      quarry_slab_verify(shown->slab, fault);
}

static const struct quarry_named_file common_files[] = {
	{ "caches", 0444, &caches_fops },
	{}
};

static const struct quarry_named_file slab_files[] = {
	{ "stats", 0444, &slab_stats_fops },
	{ "cpus", 0444, &slab_cpus_fops },
	{}
};

struct quarry_named_kind quarry_slab_kind = {
	.name = "slab",
	.common = common_files,
	.files = slab_files,
	.verify = verify_slab,
};

/* ---- zone/ ---- */

static int zone_stats_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_zone_stats stats;

	quarry_zone_stats(&instance->zone, &stats);
	seq_printf(m, "used: %llu bytes\n", stats.used);
	seq_printf(m, "held: %llu bytes\n", stats.held);
	seq_printf(m, "nr_used: %llu objects\n", stats.nr_used);
	seq_printf(m, "nr_allocs: %llu\n", stats.nr_allocs);
	seq_printf(m, "nr_frees: %llu\n", stats.nr_frees);
	seq_printf(m, "nr_failures: %llu\n", stats.nr_failures);
	seq_printf(m, "nr_misuses: %llu\n", stats.nr_misuses);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(zone_stats);

/* In a small region, there are fewer of them. */
static void add_classes(struct quarry_zone *zone)
{
	struct quarry_named_slab *shown;
	struct quarry_cache *cache;
	unsigned int i;

	for (i = 0; (cache = quarry_zone_cache(zone, i)); i++) {
		shown = &classes[i];
		shown->cache = cache;
		shown->named.name = quarry_cache_name(cache);
		shown->named.part = true;
		quarry_named_add(&quarry_slab_kind, &shown->named);
	}
}

/**
 * quarry_debugfs_slab_init() - make the folders of slabs and of the zone
 * @instance: the instance
 * @root: where they go
 *
 * Context: may sleep.
 */
void quarry_debugfs_slab_init(struct quarry_instance *instance, struct dentry *root)
{
	struct dentry *folder = debugfs_create_dir("zone", root);

	debugfs_create_file("stats", 0444, folder, instance, &zone_stats_fops);
	quarry_ctl_create(&quarry_zone_ctl, instance, folder);

	folder = quarry_named_start(&quarry_slab_kind, instance, root);
	add_classes(&instance->zone);
	quarry_ctl_create(&quarry_slab_ctl, instance, folder);
}

/**
 * quarry_debugfs_slab_exit() - destroy what was made there
 * @instance: the instance
 *
 * Context: may sleep.
 */
void quarry_debugfs_slab_exit(struct quarry_instance *instance)
{
	quarry_ctl_remove(&quarry_slab_ctl);
	quarry_slab_ctl_exit(instance);
	quarry_named_stop(&quarry_slab_kind);
}
