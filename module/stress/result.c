// SPDX-License-Identifier: GPL-2.0
/*
 * What a run's status and result look like. Everything is a line "key: value", or a
 * table with a header; numbers are whole, and in the units that the names say.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/seq_file.h>

#include "stress.h"

static const char *const op_names[STRESS_NR_OPS] = { "alloc", "free" };
static const char *const clock_names[STRESS_NR_CLOCKS] = { "ns", "cycles" };
static const char *const context_names[STRESS_NR_CONTEXTS] = { "thread", "softirq", "hardirq" };
static const char *const failure_names[STRESS_NR_FAILURES] = {
	[STRESS_ENOMEM]	= "ENOMEM",
	[STRESS_ENOSPC]	= "ENOSPC",
	[STRESS_EINVAL]	= "EINVAL",
	[STRESS_EIO]	= "EIO",
	[STRESS_EOTHER]	= "other",
};

/* ---- Sums ---- */

/* Of some threads: one, or all of them. */
struct group {
	unsigned int first;
	unsigned int end;
};

static struct group all_of(const struct stress_run *run)
{
	return (struct group) { .end = run->nr_workers };
}

static struct group one(unsigned int nr)
{
	return (struct group) { .first = nr, .end = nr + 1 };
}

static u64 nr_ops_of(const struct stress_run *run, struct group group)
{
	unsigned int nr;
	u64 sum = 0;

	for (nr = group.first; nr < group.end; nr++)
		sum += READ_ONCE(run->workers[nr]->nr_ops);
	return sum;
}

static u64 nr_ops_in(const struct stress_run *run, struct group group,
		     enum stress_context context)
{
	unsigned int nr;
	u64 sum = 0;

	for (nr = group.first; nr < group.end; nr++)
		sum += run->workers[nr]->nr_ops_in[context];
	return sum;
}

/* Of one allocator. */
static void add_counts(const struct stress_run *run, struct group group, unsigned int index,
		       struct stress_counts *sum)
{
	const struct stress_counts *counts;
	unsigned int nr, why;

	for (nr = group.first; nr < group.end; nr++) {
		counts = &run->workers[nr]->counts[index];
		sum->nr_allocs += READ_ONCE(counts->nr_allocs);
		sum->nr_frees += READ_ONCE(counts->nr_frees);
		for (why = 0; why < STRESS_NR_FAILURES; why++)
			sum->nr_failures[why] += READ_ONCE(counts->nr_failures[why]);
	}
}

static struct stress_counts counts_of(const struct stress_run *run, struct group group)
{
	struct stress_counts sum = {};
	unsigned int i;

	for (i = 0; i < run->nr_subjects; i++)
		add_counts(run, group, i, &sum);
	return sum;
}

static u64 all_failures(const struct stress_counts *counts)
{
	unsigned int why;
	u64 sum = 0;

	for (why = 0; why < STRESS_NR_FAILURES; why++)
		sum += counts->nr_failures[why];
	return sum;
}

static u64 elapsed(const struct stress_run *run)
{
	return (READ_ONCE(run->end) ?: ktime_get_ns()) - run->start;
}

static u64 rate(const struct stress_run *run, u64 nr)
{
	u64 ms = div_u64(elapsed(run), NSEC_PER_MSEC);

	return div64_u64(nr * MSEC_PER_SEC, ms ?: 1);
}

static u64 thousandths(u64 part, u64 whole)
{
	return whole ? div64_u64(part * 1000, whole) : 0;
}

/* ---- Status ---- */

/* By what ends it first; 0 if only the user does. */
static u64 percent(const struct stress_run *run)
{
	u64 of_ops = run->settings.ops ?
		     div64_u64(nr_ops_of(run, all_of(run)) * 100, run->settings.ops) : 0;
	u64 of_time = run->settings.seconds ?
		      div64_u64(elapsed(run) * 100, run->settings.seconds * NSEC_PER_SEC) : 0;

	if (quarry_stress_run_is_over(run))
		return 100;
	return min(max(of_ops, of_time), 99ULL);
}

static const char *state_of(const struct stress_run *run)
{
	if (!quarry_stress_run_is_over(run))
		return READ_ONCE(run->end) ? "ending" : "running";
	return run->stopped ? "stopped" : "done";
}

/**
 * quarry_stress_status_show() - how far a run is
 * @run: the run; NULL if there was none
 * @m: the file
 *
 * Context: may sleep.
 */
void quarry_stress_status_show(const struct stress_run *run, struct seq_file *m)
{
	struct stress_counts counts;
	u64 nr_ops;

	if (!run) {
		seq_puts(m, "state: idle\n");
		return;
	}
	nr_ops = nr_ops_of(run, all_of(run));
	counts = counts_of(run, all_of(run));
	seq_printf(m, "state: %s\n", state_of(run));
	seq_printf(m, "percent: %llu\n", percent(run));
	seq_printf(m, "elapsed: %llu ms\n", div_u64(elapsed(run), NSEC_PER_MSEC));
	seq_printf(m, "operations: %llu\n", nr_ops);
	seq_printf(m, "rate: %llu per second\n", rate(run, nr_ops));
	seq_printf(m, "failures: %llu\n", all_failures(&counts));
	seq_printf(m, "found: %d\n", atomic_read(&run->nr_found));
}

/* ---- Result ---- */

/* Of one thread its own; of several, of theirs in the order of their numbers. */
static u64 digest_of(const struct stress_run *run, struct group group)
{
	u64 digest = 0;
	unsigned int nr;

	if (group.end - group.first == 1)
		return run->workers[group.first]->digest;
	for (nr = group.first; nr < group.end; nr++)
		digest = quarry_stress_digest(digest, run->workers[nr]->digest);
	return digest;
}

static void show_verdict(const struct stress_run *run, struct seq_file *m)
{
	seq_printf(m, "verdict: %s\n", atomic_read(&run->nr_found) ? "FAIL" : "PASS");
	if (atomic_read(&run->nr_found))
		seq_printf(m, "found: %s\n", run->first);
	seq_printf(m, "state: %s\n", state_of(run));
	if (run->settings.fault)
		seq_printf(m, "fault_made: %d\n", atomic_read(&run->faulty));
	seq_printf(m, "elapsed: %llu ms\n", div_u64(elapsed(run), NSEC_PER_MSEC));
	seq_printf(m, "digest: 0x%016llx, of %llu operations\n", digest_of(run, all_of(run)),
		   nr_ops_of(run, all_of(run)));
}

static void show_thread(const struct stress_run *run, struct group group, const char *name,
			struct seq_file *m)
{
	const struct stress_counts counts = counts_of(run, group);
	u64 nr_ops = nr_ops_of(run, group);
	unsigned int i;

	seq_printf(m, "%6s %12llu %10llu %12llu %12llu", name, nr_ops, rate(run, nr_ops),
		   counts.nr_allocs, counts.nr_frees);
	for (i = 0; i < STRESS_NR_FAILURES; i++)
		seq_printf(m, " %10llu", counts.nr_failures[i]);
	for (i = 0; i < STRESS_NR_CONTEXTS; i++)
		seq_printf(m, " %10llu", nr_ops_in(run, group, i));
	seq_printf(m, " 0x%016llx\n", digest_of(run, group));
}

static void show_threads(const struct stress_run *run, struct seq_file *m)
{
	char name[12];
	unsigned int i;

	seq_printf(m, "\n%6s %12s %10s %12s %12s", "thread", "operations", "rate/s", "allocs",
		   "frees");
	for (i = 0; i < STRESS_NR_FAILURES; i++)
		seq_printf(m, " %10s", failure_names[i]);
	for (i = 0; i < STRESS_NR_CONTEXTS; i++)
		seq_printf(m, " %10s", context_names[i]);
	seq_printf(m, " %18s\n", "digest");
	show_thread(run, all_of(run), "all", m);
	for (i = 0; i < run->nr_workers; i++) {
		scnprintf(name, sizeof(name), "%u", i);
		show_thread(run, one(i), name, m);
	}
}

static void show_figure(struct seq_file *m, bool known, u64 value)
{
	if (known)
		seq_printf(m, " %13llu", value);
	else
		seq_printf(m, " %13s", "-");
}

/*
 * Peak and payload are what was asked for; used what that has become, held what the
 * allocator has for it. Packing: payload, of held. Fragmentation: free, but not in one piece.
 */
static void show_allocator(const struct stress_run *run, unsigned int index, struct seq_file *m)
{
	const struct stress_subject *subject = &run->subjects[index];
	const struct stress_figures *figures = &subject->figures;
	struct stress_counts counts = {};

	add_counts(run, all_of(run), index, &counts);
	seq_printf(m, "%9s %10llu %10llu %10llu", subject->allocator->name, counts.nr_allocs,
		   counts.nr_frees, all_failures(&counts));
	show_figure(m, true, atomic64_read(&subject->peak));
	show_figure(m, true, subject->payload);
	show_figure(m, true, figures->used);
	show_figure(m, true, figures->held);
	show_figure(m, figures->held, thousandths(subject->payload, figures->held));
	show_figure(m, figures->free,
		    thousandths(figures->free - figures->largest_free, figures->free));
	seq_putc(m, '\n');
}

static void show_allocators(const struct stress_run *run, struct seq_file *m)
{
	unsigned int i;

	seq_puts(m, "\n# At the end of the run, in bytes; payload is what was asked for, peak the most of it.\n"
		 "# Packing (payload of held) and fragmentation are in thousandths.\n");
	seq_printf(m, "%9s %10s %10s %10s %13s %13s %13s %13s %13s %13s\n", "allocator",
		   "allocs", "frees", "failures", "peak", "payload", "used", "held", "packing",
		   "fragmentation");
	for (i = 0; i < run->nr_subjects; i++)
		show_allocator(run, i, m);
}

static void show_latency(const struct stress_histogram *latency, const char *thread,
			 const char *op, const char *clock, struct seq_file *m)
{
	if (!latency->nr)
		return;
	seq_printf(m, "%6s %5s %6s %12llu %8llu %8llu %8llu %8llu %8llu %10llu\n", thread, op,
		   clock, latency->nr, latency->min, div64_u64(latency->sum, latency->nr),
		   quarry_stress_histogram_percentile(latency, 500),
		   quarry_stress_histogram_percentile(latency, 990),
		   quarry_stress_histogram_percentile(latency, 999), latency->max);
}

static void show_latencies(const struct stress_run *run, struct stress_histogram *sum,
			   enum stress_op op, enum stress_clock clock, struct seq_file *m)
{
	const struct stress_histogram *latency;
	char name[12];
	unsigned int i;

	for (i = 0; i < run->nr_workers; i++)
		quarry_stress_histogram_merge(sum, &run->workers[i]->latency[op][clock]);
	show_latency(sum, "all", op_names[op], clock_names[clock], m);
	for (i = 0; i < run->nr_workers; i++) {
		latency = &run->workers[i]->latency[op][clock];
		scnprintf(name, sizeof(name), "%u", i);
		show_latency(latency, name, op_names[op], clock_names[clock], m);
	}
}

static void show_octaves(const struct stress_histogram *sums, struct seq_file *m)
{
	unsigned int log2, i, nr = STRESS_NR_OPS * STRESS_NR_CLOCKS;
	char name[16];
	u64 count, any;

	seq_printf(m, "\n%13s", "from");
	for (i = 0; i < nr; i++) {
		scnprintf(name, sizeof(name), "%s_%s", op_names[i / STRESS_NR_CLOCKS],
			  clock_names[i % STRESS_NR_CLOCKS]);
		seq_printf(m, " %13s", name);
	}
	seq_putc(m, '\n');
	for (log2 = 0; log2 < 64; log2++) {
		for (i = 0, any = 0; i < nr; i++)
			any |= quarry_stress_histogram_octave(&sums[i], log2);
		if (!any)
			continue;
		seq_printf(m, "%13llu", log2 ? 1ULL << log2 : 0);
		for (i = 0; i < nr; i++) {
			count = quarry_stress_histogram_octave(&sums[i], log2);
			seq_printf(m, " %13llu", count);
		}
		seq_putc(m, '\n');
	}
}

static void show_all_latencies(const struct stress_run *run, struct seq_file *m)
{
	const unsigned int nr = STRESS_NR_OPS * STRESS_NR_CLOCKS;
	struct stress_histogram *sums = kvcalloc(nr, sizeof(*sums), GFP_KERNEL);
	unsigned int i;

	if (!sums)
		return;
	seq_printf(m, "\n%6s %5s %6s %12s %8s %8s %8s %8s %8s %10s\n", "thread", "op", "unit",
		   "count", "min", "average", "p50", "p99", "p99.9", "max");
	for (i = 0; i < nr; i++) {
		quarry_stress_histogram_init(&sums[i]);
		show_latencies(run, &sums[i], i / STRESS_NR_CLOCKS, i % STRESS_NR_CLOCKS, m);
	}
	show_octaves(sums, m);
	kvfree(sums);
}

static void show_checks(const struct stress_run *run, struct seq_file *m)
{
	unsigned int check, nr;
	u64 checked;

	seq_printf(m, "\n%9s %12s %10s\n", "check", "done", "found");
	for (check = 0; check < STRESS_NR_CHECKS; check++) {
		for (checked = 0, nr = 0; nr < run->nr_workers; nr++)
			checked += run->workers[nr]->checked[check];
		seq_printf(m, "%9s %12llu %10d\n", quarry_stress_checks[check], checked,
			   atomic_read(&run->found[check]));
	}
}

/**
 * quarry_stress_result_show() - what came of a run
 * @run: the run; NULL if there was none
 * @m: the file
 *
 * Context: may sleep.
 */
void quarry_stress_result_show(const struct stress_run *run, struct seq_file *m)
{
	seq_puts(m, "# quarry stress result 1\n");
	if (!run || !quarry_stress_run_is_over(run)) {
		seq_printf(m, "verdict: none, %s\n",
			   run ? "the run is not over" : "there was no run");
		return;
	}
	show_verdict(run, m);
	quarry_stress_settings_show(&run->settings, m);
	show_threads(run, m);
	show_allocators(run, m);
	show_checks(run, m);
	show_all_latencies(run, m);
}
