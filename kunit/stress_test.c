// SPDX-License-Identifier: GPL-2.0
/*
 * The stress harness: what it draws, counts and shows is worked out right; and short
 * runs in the default region, of each allocator and of all of them, find nothing when
 * nothing is wrong, and what is wrong when something is.
 */
#include <linux/err.h>
#include <linux/string.h>

#include "../lib/inject.h"
#include "../module/stress/stress.h"
#include "helpers.h"

/* ---- Sizes ---- */

static struct stress_sizes sizes_of(struct kunit *test, const char *text, u64 min, u64 max)
{
	struct stress_sizes sizes = { .min = min, .max = max };
	char copy[64];

	strscpy(copy, text, sizeof(copy));
	KUNIT_ASSERT_EQ_MSG(test, quarry_stress_sizes_parse(&sizes, copy), 0, "%s", text);
	return sizes;
}

static const char *const spreads[] = { "uniform", "log-uniform", "power-law" };

static void sizes_stay_within_limits(struct kunit *test)
{
	static const u64 limits[][2] = {
		{ 1, 1 }, { 1, 2 }, { 7, 7 }, { 16, 4096 }, { 17, 63 }, { 1, STRESS_MAX_SIZE },
		{ STRESS_MAX_SIZE, STRESS_MAX_SIZE },
	};
	struct stress_random random = { .state = 1 };
	struct stress_sizes sizes;
	unsigned int i, nr;
	u64 size;

	for (i = 0; i < ARRAY_SIZE(spreads) * ARRAY_SIZE(limits); i++) {
		const u64 *limit = limits[i / ARRAY_SIZE(spreads)];

		sizes = sizes_of(test, spreads[i % ARRAY_SIZE(spreads)], limit[0], limit[1]);
		for (nr = 0; nr < 1000; nr++) {
			size = quarry_stress_sizes_draw(&sizes, &random);
			KUNIT_ASSERT_GE(test, size, limit[0]);
			KUNIT_ASSERT_LE(test, size, limit[1]);
		}
	}
}

/* Of 4000 sizes, how many are up to some. */
static unsigned int nr_up_to(const struct stress_sizes *sizes, u64 limit)
{
	struct stress_random random = { .state = 7 };
	unsigned int i, nr = 0;

	for (i = 0; i < 4000; i++)
		nr += quarry_stress_sizes_draw(sizes, &random) <= limit;
	return nr;
}

/* What follows from each law, and four standard deviations or so either way. */
static void sizes_are_spread_as_they_should(struct kunit *test)
{
	struct stress_sizes uniform = sizes_of(test, "uniform", 1, 1024);
	struct stress_sizes log = sizes_of(test, "log-uniform", 1, 1023);
	struct stress_sizes power = sizes_of(test, "power-law", 16, 1 << 20);
	struct stress_sizes bars = sizes_of(test, "64:3 1000:1", 1, 1);

	KUNIT_EXPECT_LE(test, abs((int)nr_up_to(&uniform, 256) - 1000), 110);
	KUNIT_EXPECT_LE(test, abs((int)nr_up_to(&log, 31) - 2000), 127);
	KUNIT_EXPECT_LE(test, abs((int)nr_up_to(&power, 32) - 2061), 127);
	KUNIT_EXPECT_LE(test, abs((int)nr_up_to(&bars, 64) - 3000), 110);
	KUNIT_EXPECT_EQ(test, nr_up_to(&bars, 63), 0U);
	KUNIT_EXPECT_EQ(test, nr_up_to(&bars, 1000), 4000U);
}

static const char *const no_sizes[] = {
	"", " ", "uni", "uniform ", "Uniform", "16", "16:", ":1", "0:1", "16:0", "16:x",
	"16:1,32:1",
	"16:1:2", "1073741825:1", "16:4294967295 32:1", "-1:1", "16:-1", "SIZE:WEIGHT ...",
};

static void bad_sizes_change_nothing(struct kunit *test)
{
	struct stress_sizes sizes = sizes_of(test, "48:1", 3, 5), old = sizes;
	char text[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(no_sizes); i++) {
		strscpy(text, no_sizes[i], sizeof(text));
		KUNIT_EXPECT_EQ_MSG(test, quarry_stress_sizes_parse(&sizes, text), -EINVAL,
				    "%s", no_sizes[i]);
		KUNIT_EXPECT_EQ(test, memcmp(&sizes, &old, sizeof(old)), 0);
	}
}

static void only_so_many_bars_go(struct kunit *test)
{
	struct stress_sizes sizes = {};
	char text[8 * STRESS_MAX_BARS];
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < STRESS_MAX_BARS; i++)
		used += scnprintf(text + used, sizeof(text) - used, "%u:1 ", i + 8);
	EXPECT_OK(test, quarry_stress_sizes_parse(&sizes, text));
	KUNIT_EXPECT_EQ(test, sizes.nr_bars, (unsigned int)STRESS_MAX_BARS);

	for (i = 0, used = 0; i <= STRESS_MAX_BARS; i++)
		used += scnprintf(text + used, sizeof(text) - used, "%u:1 ", i + 8);
	EXPECT_ERR(test, quarry_stress_sizes_parse(&sizes, text), -EINVAL);
}

/* ---- Random numbers and digests ---- */

/* The first three of SplitMix64 from 1234567, as its authors' code has them. */
static void random_numbers_are_those_of_splitmix64(struct kunit *test)
{
	struct stress_random random = { .state = 1234567 };

	KUNIT_EXPECT_EQ(test, quarry_stress_random(&random), 6457827717110365317ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_random(&random), 3203168211198807973ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_random(&random), 9817491932198370423ULL);
}

static void a_digest_tells_order_and_number(struct kunit *test)
{
	u64 one = quarry_stress_digest(0, 1), two = quarry_stress_digest(0, 2);

	KUNIT_EXPECT_NE(test, quarry_stress_digest(one, 2), quarry_stress_digest(two, 1));
	KUNIT_EXPECT_NE(test, quarry_stress_digest(0, 0), 0ULL);
	KUNIT_EXPECT_NE(test, quarry_stress_digest(one, 0), one);
	KUNIT_EXPECT_EQ(test, quarry_stress_digest(0, 1), one);
}

/* ---- Histograms ---- */

static struct stress_histogram *histogram(struct kunit *test)
{
	struct stress_histogram *made = qtest_memory(test, sizeof(*made));

	quarry_stress_histogram_init(made);
	return made;
}

static void an_empty_histogram_is_all_zero(struct kunit *test)
{
	struct stress_histogram *empty = histogram(test);

	KUNIT_EXPECT_EQ(test, empty->nr, 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_percentile(empty, 500), 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_octave(empty, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_octave(empty, 63), 0ULL);
}

/* Around each power of two, and each in a bucket that is at most an eighth wide. */
static void percentiles_are_an_eighth_off_at_most(struct kunit *test)
{
	struct stress_histogram *one = histogram(test);
	u64 value, told, below;
	unsigned int i;

	for (i = 0; i < 64 * 3; i++) {
		value = BIT_ULL(i / 3) + i % 3 - 1;
		quarry_stress_histogram_init(one);
		quarry_stress_histogram_add(one, value);
		KUNIT_EXPECT_EQ(test, quarry_stress_histogram_percentile(one, 500), value);

		/* With one that is more behind it, the bucket's end is told. */
		quarry_stress_histogram_add(one, U64_MAX);
		told = quarry_stress_histogram_percentile(one, 500);
		below = value / 8;
		KUNIT_EXPECT_GE(test, told, value);
		KUNIT_EXPECT_LE(test, told - value, below);
	}
}

static void percentiles_of_a_thousand(struct kunit *test)
{
	struct stress_histogram *thousand = histogram(test);
	unsigned int i;

	for (i = 0; i < 990; i++)
		quarry_stress_histogram_add(thousand, 5);
	for (i = 0; i < 9; i++)
		quarry_stress_histogram_add(thousand, 100);
	quarry_stress_histogram_add(thousand, 7000);

	KUNIT_EXPECT_EQ(test, thousand->min, 5ULL);
	KUNIT_EXPECT_EQ(test, thousand->max, 7000ULL);
	KUNIT_EXPECT_EQ(test, thousand->sum, 990ULL * 5 + 900 + 7000);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_percentile(thousand, 500), 5ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_percentile(thousand, 990), 5ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_percentile(thousand, 999), 103ULL);
	KUNIT_EXPECT_EQ(test, quarry_stress_histogram_percentile(thousand, 1000), 7000ULL);
}

static void octaves_hold_every_value_once(struct kunit *test)
{
	struct stress_histogram *all = histogram(test);
	unsigned int i;
	u64 nr = 0;

	for (i = 0; i < 64; i++) {
		quarry_stress_histogram_add(all, BIT_ULL(i));
		quarry_stress_histogram_add(all, BIT_ULL(i) * 2 - 1);
	}
	for (i = 0; i < 64; i++) {
		KUNIT_EXPECT_EQ(test, quarry_stress_histogram_octave(all, i), 2ULL);
		nr += quarry_stress_histogram_octave(all, i);
	}
	KUNIT_EXPECT_EQ(test, nr, all->nr);
}

static void merging_is_adding_all(struct kunit *test)
{
	struct stress_histogram *a = histogram(test), *b = histogram(test), *both = histogram(test);
	struct stress_random random = { .state = 3 };
	unsigned int i;
	u64 value;

	for (i = 0; i < 1000; i++) {
		value = quarry_stress_random(&random) >> quarry_stress_below(&random, 64);
		quarry_stress_histogram_add(i & 1 ? a : b, value);
		quarry_stress_histogram_add(both, value);
	}
	quarry_stress_histogram_merge(a, b);
	KUNIT_EXPECT_EQ(test, memcmp(a, both, sizeof(*a)), 0);
}

/* ---- Runs ---- */

static struct stress_settings short_run(struct kunit *test)
{
	struct stress_settings settings;

	quarry_stress_settings_init(&settings);
	settings.ops = qtest_rounds(test, 20000);
	settings.live = 300;
	settings.verify_every = settings.ops / 3;
	return settings;
}

static struct stress_run *start_run(struct kunit *test, const struct stress_settings *settings)
{
	struct stress_run *made;

	ASSERT_OK(test, quarry_stress_settings_check(settings));
	made = quarry_stress_run_start(NULL, settings);
	if (made == ERR_PTR(-ENODEV))
		kunit_skip(test, "the module has no region");
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(made), "no run: %pe", made);
	return made;
}

static struct stress_run *make_run(struct kunit *test, const struct stress_settings *settings)
{
	struct stress_run *made = start_run(test, settings);

	quarry_stress_run_wait(made);
	return made;
}

static void passes(struct kunit *test, const struct stress_settings *settings)
{
	struct stress_run *made = make_run(test, settings);

	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
	quarry_stress_run_put(made);
}

static void every_pattern_passes(struct kunit *test, struct stress_settings *settings)
{
	for (settings->pattern = 0; quarry_stress_pattern(settings->pattern);
	     settings->pattern++)
		passes(test, settings);
}

static void every_allocator_passes_alone(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	unsigned int i;

	for (i = 0; quarry_stress_allocator(i); i++) {
		settings.allocators = BIT_ULL(i);
		every_pattern_passes(test, &settings);
	}
}

static void all_allocators_pass_together(struct kunit *test)
{
	struct stress_settings settings = short_run(test);

	settings.threads = 4;
	settings.size_max = SZ_32K;
	every_pattern_passes(test, &settings);
}

static void requests_in_interrupts_pass(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	struct stress_run *made;

	settings.threads = 2;
	settings.ops = 4000;
	settings.irq_percent = 50;
	made = make_run(test, &settings);
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
	KUNIT_EXPECT_GT(test, made->workers[0]->nr_ops_in[STRESS_HARD], 0ULL);
	KUNIT_EXPECT_GT(test, made->workers[0]->nr_ops_in[STRESS_SOFT], 0ULL);
	KUNIT_EXPECT_EQ(test, made->workers[0]->nr_ops + made->workers[1]->nr_ops, 4000ULL);
	quarry_stress_run_put(made);
}

/* More than the region has: nothing is wrong with that. */
static void what_fails_is_no_fault(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	struct stress_run *made;
	u64 nr_failures = 0;
	unsigned int i;

	settings.threads = 2;
	settings.size_min = SZ_64K;
	settings.size_max = SZ_1M;
	settings.ops = 6000;
	settings.contents = 0;
	settings.live = 3000;
	made = make_run(test, &settings);
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
	for (i = 0; i < made->nr_subjects; i++)
		nr_failures += made->workers[0]->counts[i].nr_failures[STRESS_ENOMEM] +
			       made->workers[0]->counts[i].nr_failures[STRESS_ENOSPC];
	KUNIT_EXPECT_GT(test, nr_failures, 0ULL);
	quarry_stress_run_put(made);
}

/* A look at all of them must not cost a look at all of the region for each. */
static void many_blocks_are_looked_at_in_no_time(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	struct stress_run *made;
	u64 took;

	settings.size_min = 8;
	settings.size_max = 64;
	settings.ops *= 5;
	settings.live = 2 * settings.ops;
	settings.verify_every = 0;
	made = make_run(test, &settings);
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
	took = ktime_get_ns() - READ_ONCE(made->end);
	KUNIT_EXPECT_LT(test, took, 60ULL * NSEC_PER_SEC);
	quarry_stress_run_put(made);
}

/* All that can fail does, in three calls of ten. */
static void inject_everywhere(struct kunit *test)
{
	const struct quarry_inject_settings settings = {
		.probability = 30, .interval = 1, .times = -1, .seed = 1,
	};
	unsigned int point;

	for (point = 0; point < QUARRY_INJECT_NR_POINTS; point++)
		EXPECT_OK(test, quarry_inject_set(point, &settings));
}

/* What scripts/stress calls crush: also with KASAN and lockdep, where that kernel has them. */
static void crush(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	struct stress_run *made;

	settings.threads = 4;
	settings.size_min = SZ_4K;
	settings.size_max = SZ_128K;
	settings.live = 8000;
	settings.ops = 4000;
	settings.irq_percent = 2;
	settings.verify_every = 0;
	for (settings.pattern = 0; quarry_stress_pattern(settings.pattern); settings.pattern++) {
		made = start_run(test, &settings);
		inject_everywhere(test);
		quarry_stress_run_wait(made);
		quarry_inject_reset();
		KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
		quarry_stress_run_put(made);
	}
}

static u64 digest_of(struct kunit *test, const struct stress_settings *settings)
{
	struct stress_run *made = make_run(test, settings);
	u64 digest = made->workers[0]->digest;

	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
	quarry_stress_run_put(made);
	return digest;
}

static void a_seed_gives_one_digest(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	u64 digest;

	settings.ops = 2000;
	for (settings.pattern = 0; quarry_stress_pattern(settings.pattern);
	     settings.pattern++) {
		settings.irq_percent = 0;
		settings.contents = 1;
		settings.seed = 5;
		digest = digest_of(test, &settings);
		settings.irq_percent = 20;
		settings.contents = 0;
		KUNIT_EXPECT_EQ(test, digest_of(test, &settings), digest);
		settings.irq_percent = 0;
		settings.seed = 6;
		KUNIT_EXPECT_NE(test, digest_of(test, &settings), digest);
	}
}

static void a_run_stops_when_told(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	struct stress_run *made;

	settings.ops = 0;
	settings.threads = 2;
	made = start_run(test, &settings);
	KUNIT_EXPECT_FALSE(test, quarry_stress_run_is_over(made));
	quarry_stress_run_stop(made);
	KUNIT_EXPECT_TRUE(test, quarry_stress_run_is_over(made));
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->nr_found), 0, "%s", made->first);
	quarry_stress_run_put(made);
}

/* ---- Faults ---- */

/* What each fault is found by. */
static const struct {
	enum stress_fault fault;
	enum stress_check check;
} faults[] = {
	{ STRESS_FAULT_DAMAGE, STRESS_CONTENTS },
	{ STRESS_FAULT_SKIP_FREE, STRESS_LOST },
	{ STRESS_FAULT_DOUBLE_HAND_OUT, STRESS_OVERLAP },
	{ STRESS_FAULT_BAD_FREE, STRESS_REFUSED },
	{ STRESS_FAULT_MISCOUNT, STRESS_COUNTERS },
	{ STRESS_FAULT_BREAK, STRESS_VERIFY },
};

static_assert(ARRAY_SIZE(faults) == STRESS_NR_FAULTS - 1);

static void is_found(struct kunit *test, struct stress_settings *settings,
		     enum stress_check check)
{
	struct stress_run *made = make_run(test, settings);
	const char *name = made->subjects[0].allocator->name;

	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&made->faulty), 1, "%s", name);
	KUNIT_EXPECT_GT_MSG(test, atomic_read(&made->found[check]), 0, "%s, fault %llu: %s", name,
			    settings->fault, made->first);
	KUNIT_EXPECT_NE(test, made->first[0], '\0');
	quarry_stress_run_put(made);
}

static void each_fault_is_found(struct kunit *test)
{
	struct stress_settings settings = short_run(test);
	unsigned int i, nr;

	settings.ops = 2000;
	for (nr = 0; quarry_stress_allocator(nr); nr++) {
		settings.allocators = BIT_ULL(nr);
		for (i = 0; i < ARRAY_SIZE(faults); i++) {
			settings.fault = faults[i].fault;
			is_found(test, &settings, faults[i].check);
		}
	}
}

static void settings_that_contradict_are_refused(struct kunit *test)
{
	struct stress_settings settings = short_run(test);

	settings.size_min = settings.size_max + 1;
	EXPECT_ERR(test, quarry_stress_settings_check(&settings), -EINVAL);
	settings.size_min = settings.size_max;
	EXPECT_OK(test, quarry_stress_settings_check(&settings));
	settings.fault = STRESS_FAULT_DAMAGE;
	settings.contents = 0;
	EXPECT_ERR(test, quarry_stress_settings_check(&settings), -EINVAL);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(sizes_stay_within_limits),
	KUNIT_CASE(sizes_are_spread_as_they_should),
	KUNIT_CASE(bad_sizes_change_nothing),
	KUNIT_CASE(only_so_many_bars_go),
	KUNIT_CASE(random_numbers_are_those_of_splitmix64),
	KUNIT_CASE(a_digest_tells_order_and_number),
	KUNIT_CASE(an_empty_histogram_is_all_zero),
	KUNIT_CASE(percentiles_are_an_eighth_off_at_most),
	KUNIT_CASE(percentiles_of_a_thousand),
	KUNIT_CASE(octaves_hold_every_value_once),
	KUNIT_CASE(merging_is_adding_all),
	KUNIT_CASE_SLOW(every_allocator_passes_alone),
	KUNIT_CASE_SLOW(all_allocators_pass_together),
	KUNIT_CASE_SLOW(requests_in_interrupts_pass),
	KUNIT_CASE_SLOW(what_fails_is_no_fault),
	KUNIT_CASE_SLOW(many_blocks_are_looked_at_in_no_time),
	KUNIT_CASE_SLOW(crush),
	KUNIT_CASE_SLOW(a_seed_gives_one_digest),
	KUNIT_CASE(a_run_stops_when_told),
	KUNIT_CASE_SLOW(each_fault_is_found),
	KUNIT_CASE(settings_that_contradict_are_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "quarry_stress",
	.test_cases = cases,
};

kunit_test_suite(suite);
