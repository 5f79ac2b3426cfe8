// SPDX-License-Identifier: GPL-2.0
/*
 * Benchmarks: inserting this module runs them, which takes a minute or so, and
 * /sys/kernel/debug/quarry_bench/results.csv has the results until it is
 * removed. insmod fails if they can't be had. So a script does
 *
 *	insmod quarry.ko && insmod quarry_bench.ko [mode=...] [seed=...] &&
 *		cat /sys/kernel/debug/quarry_bench/results.csv
 *
 * and gives that to scripts/bench-table. The file is complete if its last line is
 * "# end". Lines that begin with "# " say "key: value"; the first of the others
 * names the columns. On the way, a line in the log tells what is being measured.
 *
 * What is measured depends on the machine. Under "qemu -accel tcg -icount shift=0"
 * with one CPU and the kernel arguments tsc=reliable init_on_alloc=0, the cycle
 * counter counts instructions, and so do we, for each call (bench_count.c).
 * Elsewhere whole runs are timed (bench_time.c). Nobody needs to say which: a
 * thousand instructions are tried, and must count as a thousand each time.
 *
 * Allocators that serve the same requests are a family, with its own sizes and
 * workloads; families[] has them all. Another allocator takes its row in its family.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/stringify.h>
#include <linux/utsname.h>

#include "bench.h"

static char *mode = "auto";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "count (instructions), time, or auto (default): count if that can be done");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "of the random sequence that every allocator gets (default 1)");

static unsigned int steps = 10000;
module_param(steps, uint, 0444);
MODULE_PARM_DESC(steps, "operations in a run (default 10000)");

static unsigned int rounds = 25;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "runs that the lower quartile is taken of when timing (default 25)");

static char *only = "";
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "a family of allocators to measure (default: all of them)");

#define MAX_STEPS	1000000
#define MAX_ROUNDS	1000

/* Whether instructions are counted, or time is taken. */
static bool counting;
static struct dentry *folder;

static const struct bench_family *const families[] = {
	&bench_pages,
	&bench_objects,
	&bench_bulk,
	&bench_bytes,
	&bench_ranges,
};

/* ---- The clock ---- */

#define NR_NOPS		1000
#define NR_CLOCK_TRIES	100

/* What the cycle counter counts: between two readings, and with nops there. */
static struct {
	u64 nothing;
	u64 nops;
	bool exact;	/* It counts instructions, and never was off. */
} clock;

static noinline u64 count_nothing(void)
{
	struct bench_window window;

	bench_window_open(&window);
	return bench_window_close(&window);
}

static noinline u64 count_nops(void)
{
	struct bench_window window;

	bench_window_open(&window);
	asm volatile(".rept " __stringify(NR_NOPS) "\n\tnop\n\t.endr");
	return bench_window_close(&window);
}

static void try_clock(void)
{
	unsigned int i;

	clock.nothing = count_nothing();
	clock.nops = count_nops();
	clock.exact = clock.nops - clock.nothing == NR_NOPS;
	for (i = 0; i < NR_CLOCK_TRIES; i++)
		if (count_nothing() != clock.nothing || count_nops() != clock.nops)
			clock.exact = false;
}

/* ---- Results ---- */

struct line {
	struct list_head list;
	struct bench_result result;
};

static LIST_HEAD(lines);

int bench_report(const struct bench_result *result)
{
	struct line *line = kmalloc(sizeof(*line), GFP_KERNEL);

	if (!line)
		return -ENOMEM;
	line->result = *result;
	list_add_tail(&line->list, &lines);
	return 0;
}

static void forget_results(void)
{
	struct line *line, *next;

	list_for_each_entry_safe(line, next, &lines, list)
		kfree(line);
}

static const char *const kinds[] = {
	[BENCH_WORKLOAD] = "workload",
	[BENCH_STATE] = "state",
	[BENCH_FIGURE] = "figure",
};

static void show_result(struct seq_file *file, const struct bench_result *result)
{
	u32 tenth;
	u64 avg = div_u64_rem(result->avg, 10, &tenth);

	seq_printf(file, "%s,%s,%s,%s,%s,%llu,%u,%u,%lu,%lu,%llu,%llu.%u,%llu,%llu,%s\n",
		   kinds[result->kind], result->family, result->allocator, result->workload,
		   result->op, result->space / SZ_1K, result->slots, result->threads, result->count,
		   result->failed, result->min, avg, tenth, result->p99, result->max, result->note);
}

static int results_show(struct seq_file *file, void *unused)
{
	const struct line *line;

	seq_printf(file, "# unit: %s\n", counting ? "instructions" : "ns");
	seq_printf(file, "# kernel: %s\n", init_utsname()->release);
	seq_printf(file, "# cpus: %u\n", num_online_cpus());
	seq_printf(file, "# seed: %u\n", seed);
	seq_printf(file, "# steps: %u\n", steps);
	if (!counting)
		seq_printf(file, "# rounds: %u\n", rounds);
	seq_printf(file, "# nothing counts: %llu\n", clock.nothing);
	seq_printf(file, "# %u nops count: %llu\n", NR_NOPS, clock.nops);
	seq_puts(file, "kind,family,allocator,workload,op,space_kib,slots,threads,");
	seq_puts(file, "count,failed,min,avg,p99,max,note\n");
	list_for_each_entry(line, &lines, list)
		show_result(file, &line->result);
	seq_puts(file, "# end\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(results);

/* ---- The module ---- */

enum mode {
	MODE_AUTO,
	MODE_COUNT,
	MODE_TIME,
};

static const char *const modes[] = {
	[MODE_AUTO] = "auto",
	[MODE_COUNT] = "count",
	[MODE_TIME] = "time",
};

static int check_parameters(void)
{
	int choice = match_string(modes, ARRAY_SIZE(modes), mode);

	if (choice < 0) {
		pr_err("mode is auto, count or time, not %s\n", mode);
		return -EINVAL;
	}
	if (!steps || steps > MAX_STEPS || !rounds || rounds > MAX_ROUNDS) {
		pr_err("steps are 1 to %u, rounds 1 to %u\n", MAX_STEPS, MAX_ROUNDS);
		return -EINVAL;
	}
	if (choice == MODE_COUNT && !clock.exact) {
		pr_err("no instructions counted here: nothing counts %llu, %u nops %llu\n",
		       clock.nothing, NR_NOPS, clock.nops);
		return -EOPNOTSUPP;
	}
	counting = clock.exact && choice != MODE_TIME;
	return 0;
}

/* Those that the user wants, which must be at least one. */
static int measure_families(void)
{
	const struct bench_plan plan = { .steps = steps, .rounds = rounds, .seed = seed };
	unsigned int i, nr = 0;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(families) && !err; i++) {
		if (*only && strcmp(only, families[i]->name))
			continue;
		err = counting ? bench_count(families[i], &plan) : bench_time(families[i], &plan);
		if (!err && counting && families[i]->figures)
			err = bench_tell_figures(families[i], &plan);
		nr++;
	}
	if (!nr)
		pr_err("no family of allocators is called %s\n", only);
	return nr ? err : -EINVAL;
}

static int __init quarry_bench_init(void)
{
	int err;

	try_clock();
	err = check_parameters();
	if (err)
		return err;
	err = measure_families();
	if (err) {
		pr_err("can't measure: %d\n", err);
		forget_results();
		return err;
	}
	folder = debugfs_create_dir("quarry_bench", NULL);
	debugfs_create_file("results.csv", 0444, folder, NULL, &results_fops);
	return 0;
}

static void __exit quarry_bench_exit(void)
{
	debugfs_remove_recursive(folder);
	forget_results();
}

module_init(quarry_bench_init);
module_exit(quarry_bench_exit);
MODULE_DESCRIPTION("Benchmarks of Quarry's allocators beside the kernel's own");
MODULE_LICENSE("GPL");
