// SPDX-License-Identifier: GPL-2.0
/*
 * Requests with constraints, in tables: each answer must be what a search that
 * tries every address gives, for arenas of all kinds of holes.
 */
#include <linux/log2.h>
#include <linux/string.h>

#include "vmem_helpers.h"

#define MAX_SIZE	8
#define MAX_POWER	16	/* of alignments and boundaries, in quanta */

/**
 * struct layout - an arena, and which of its quanta are free
 * @name: of the layout
 * @base: its first address
 * @quantum: its quantum
 * @map: for each quantum '.' if it is free, 'x' if it is in use, ' ' if it is in no span
 */
struct layout {
	const char *name;
	u64 base;
	u64 quantum;
	const char *map;
};

static const struct layout layouts[] = {
	{ "all free", VBASE, 16, "................................" },
	{ "holes of all sizes", VBASE, 16, ".x..x...x....x.....x......x......." },
	{ "falling holes", VBASE + 48, 16, "........x.......x......x.....x....x...x..x." },
	{ "equal holes", VBASE + 16 * 5, 16, "x...x...x...x...x...x...x...x..." },
	{ "two spans", 4096 - 16 * 9, 16, "....x......      ..........x...." },
	{ "three spans", 0, 1, "....x ..x......x.. ...........x" },
	{ "from 0 on", 0, 1, "....x......x..........x....." },
	{ "the top", -32ULL * 4096, 4096, "...x........x.......x..........." },
	{ "around a boundary", BIT_ULL(32) - 13, 1, "x.........x..............x.." },
	{ "huge quanta", 0, BIT_ULL(58), ".....x..........x......x........" },
	{ "full but one", VBASE + 16, 16, "xxxxxxxxxxxxx.xxxxxxxxxxxxxxxxxx" },
	{ "full", VBASE, 16, "xxxxxxxxxxxxxxxx" },
};

static void layout_desc(const struct layout *layout, char *desc)
{
	strscpy(desc, layout->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(layout, layouts, layout_desc);

/**
 * struct trial - one layout under test
 * @test: the test
 * @vmem: the arena
 * @map: what it must be like
 * @nr: requests that were made
 */
struct trial {
	struct kunit *test;
	struct quarry_vmem *vmem;
	struct vmap *map;
	unsigned long nr;
};

static void add_spans(struct trial *trial, const struct layout *layout)
{
	u32 i, nr;

	for (i = 0; i < trial->map->nr; i += nr) {
		bool managed = layout->map[i] != ' ';

		nr = managed ? strcspn(layout->map + i, " ") : strspn(layout->map + i, " ");
		if (managed)
			ASSERT_OK(trial->test,
				  quarry_vmem_add(trial->vmem, vmap_addr(trial->map, i),
						  nr * layout->quantum));
		else
			memset(trial->map->state + i, VMAP_NONE, nr);
	}
}

static struct trial start(struct kunit *test, const struct layout *layout)
{
	struct qtest_vmem *space = qtest_vmem(test, 0, 0, layout->quantum, 128);
	struct trial trial = { .test = test, .vmem = &space->vmem };
	u32 i;

	trial.map = vmap_create(test, layout->base, layout->quantum, strlen(layout->map));
	add_spans(&trial, layout);
	for (i = 0; i < trial.map->nr; i++) {
		if (layout->map[i] != 'x')
			continue;
		ASSERT_OK(test, quarry_vmem_alloc_at(trial.vmem, vmap_addr(trial.map, i),
						     layout->quantum));
		vmap_mark(trial.map, i, 1, QUARRY_VMEM_XUSED);
	}
	vmap_compare(test, trial.map, trial.vmem);
	return trial;
}

/* Asks, compares the answer, and puts all back as it was but for the cursor. */
static void ask(struct trial *trial, const struct quarry_vmem_request *want)
{
	u64 addr = 0xdead;
	int err = quarry_vmem_xalloc(trial->vmem, want, &addr);

	trial->nr++;
	vmap_expect(trial->test, trial->map, want, QUARRY_VMEM_XUSED, err, addr);
	if (err) {
		KUNIT_ASSERT_EQ(trial->test, addr, 0xdeadULL);
		return;
	}
	ASSERT_OK(trial->test, quarry_vmem_xfree(trial->vmem, addr, want->size));
	vmap_clear(trial->map, vmap_index(trial->map, addr), QUARRY_VMEM_FREE);
}

static void ask_all_strategies(struct trial *trial, struct quarry_vmem_request *want)
{
	static const unsigned int strategies[] = { FIRST, BEST, NEXT };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(strategies); i++) {
		want->flags = strategies[i];
		ask(trial, want);
	}
}

/* Boundaries of none, and all powers of two; one below the size is refused. */
static void ask_all_boundaries(struct trial *trial, struct quarry_vmem_request *want)
{
	u64 quantum = 1ULL << trial->map->shift, nocross;

	want->nocross = 0;
	ask_all_strategies(trial, want);
	for (nocross = 1; nocross && nocross <= MAX_POWER; nocross *= 2) {
		want->nocross = nocross * quantum;
		if (want->nocross >= want->size)
			ask_all_strategies(trial, want);
	}
}

static void ask_all_places(struct trial *trial, struct quarry_vmem_request *want)
{
	u64 quantum = 1ULL << trial->map->shift, align;

	want->align = 0;
	want->phase = 0;
	ask_all_boundaries(trial, want);
	for (align = 1; align && align <= MAX_POWER; align *= 2) {
		want->align = align * quantum;
		for (want->phase = 0; want->phase < want->align; want->phase += quantum)
			ask_all_boundaries(trial, want);
	}
}

static void ask_all_sizes(struct trial *trial, struct quarry_vmem_request *want)
{
	u64 quantum = 1ULL << trial->map->shift;
	unsigned int i;

	for (i = 1; i <= MAX_SIZE; i++) {
		want->size = i * quantum;
		ask_all_places(trial, want);
	}
	cond_resched();
}

/* All sizes, alignments, phases, boundaries and windows; KASAN sees fewer windows. */
static void every_place_is_the_right_one(struct kunit *test)
{
	struct trial trial = start(test, test->param_value);
	u32 from, to, step = IS_ENABLED(CONFIG_KASAN) ? 7 : 1;
	struct quarry_vmem_request want = { .max = U64_MAX };

	ask_all_sizes(&trial, &want);
	for (from = 0; from < trial.map->nr; from += step) {
		for (to = from + 1; to <= trial.map->nr; to += step) {
			want.min = vmap_addr(trial.map, from);
			want.max = vmap_addr(trial.map, to) - 1;
			ask_all_sizes(&trial, &want);
		}
	}
	kunit_info(test, "requests=%lu", trial.nr);
	vmap_compare(test, trial.map, trial.vmem);
}

/* Some constraints that have something to do with each other, in quanta. */
static const struct { u8 align, phase, nocross; } tuples[] = {
	{}, { 2, 0, 0 }, { 2, 1, 0 }, { 4, 3, 0 }, { 8, 0, 8 }, { 8, 5, 0 }, { 0, 0, 8 },
	{ 0, 0, 16 }, { 4, 1, 16 }, { 16, 8, 8 }, { 16, 14, 16 }, { 1, 0, 8 },
};

static void ask_tuples(struct trial *trial, struct quarry_vmem_request *want)
{
	u64 quantum = 1ULL << trial->map->shift;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tuples); i++) {
		want->align = tuples[i].align * quantum;
		want->phase = tuples[i].phase * quantum;
		want->nocross = tuples[i].nocross * quantum;
		ask_all_strategies(trial, want);
	}
}

/* Every window there is, with ends on quanta and just beside them. */
static void every_window_is_kept(struct kunit *test)
{
	struct trial trial = start(test, test->param_value);
	u64 quantum = 1ULL << trial.map->shift;
	struct quarry_vmem_request want = {};
	u32 from, to, size;

	for (from = 0; from < trial.map->nr; from++) {
		for (to = from + 1; to <= trial.map->nr; to++) {
			size = 1 + (from + to) % MAX_SIZE;
			want.size = size * quantum - (quantum > 1 ? to % 3 : 0);
			want.min = vmap_addr(trial.map, from);
			want.max = vmap_addr(trial.map, to) - 1;
			if (quantum > 2) {
				want.min -= from % 3 == 1 && want.min;
				want.min += from % 3 == 2;
				want.max -= to % 3 == 1;
				want.max += to % 3 == 2 && want.max != U64_MAX;
			}
			ask_tuples(&trial, &want);
		}
		cond_resched();
	}
	kunit_info(test, "requests=%lu", trial.nr);
	vmap_compare(test, trial.map, trial.vmem);
}

/* What can't be: each wrong field beside right ones, and the oracle says which. */
static void every_wrong_request_is_refused(struct kunit *test)
{
	static const u64 numbers[] = {
		0, 1, 2, 3, 8, 15, 16, 17, 24, 32, 48, 64, 128, BIT_ULL(10), BIT_ULL(10) + 16,
	};
	struct trial trial = start(test, &layouts[1]);
	struct quarry_vmem_request want;
	size_t i, j, k, l;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		for (j = 0; j < ARRAY_SIZE(numbers); j++)
			for (k = 0; k < ARRAY_SIZE(numbers); k++)
				for (l = 0; l < 6; l++) {
					want = qtest_vmem_want(numbers[l], BEST);
					want.align = numbers[i];
					want.phase = numbers[j];
					want.nocross = numbers[k];
					ask(&trial, &want);
				}
	vmap_compare(test, trial.map, trial.vmem);
}

static void every_combination_of_flags_is_judged(struct kunit *test)
{
	struct trial trial = start(test, &layouts[1]);
	struct quarry_vmem_request want = qtest_vmem_want(16, 0);
	unsigned int flags;

	for (flags = 0; flags < 2 * (QUARRY_VMEM_FLAGS + 1); flags++) {
		if (hweight32(flags & QUARRY_VMEM_STRATEGIES) == 1 && flags & QUARRY_VMEM_WAIT)
			continue;
		want.flags = flags;
		ask(&trial, &want);
	}
	want.flags = BIT(31) | BEST;
	ask(&trial, &want);
}

/* The best segment counts as a whole, even if the window clips a larger one shorter. */
static void best_fit_compares_whole_segments(struct kunit *test)
{
	struct trial trial = start(test, &layouts[2]);
	struct quarry_vmem_request want = qtest_vmem_want(32, BEST);
	u64 addr = 0;

	want.min = vmap_addr(trial.map, 6);
	ASSERT_OK(test, quarry_vmem_xalloc(trial.vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, vmap_addr(trial.map, 39));
	want.max = vmap_addr(trial.map, 16) - 1;
	ASSERT_OK(test, quarry_vmem_xalloc(trial.vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, vmap_addr(trial.map, 9));
}

/* Not inline, as stats are too large to be on the stack of its callers as often as they ask. */
static noinline_for_stack u64 steps_of(struct quarry_vmem *vmem)
{
	return qtest_vmem_stats(vmem).nr_steps;
}

#define NR_BLOCKS	150

/*
 * An arena of blocks of 64 quanta, in each of which three are free, none of them the first; but
 * of the last, the first is free, and the last three of the block before.
 */
static struct quarry_vmem *with_decoys(struct kunit *test)
{
	struct quarry_vmem *vmem = &qtest_vmem(test, VBASE, QUANTA(64 * NR_BLOCKS), QUANTUM,
					       4 * NR_BLOCKS)->vmem;
	unsigned int i;

	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(0), QUANTUM));
	for (i = 0; i < NR_BLOCKS - 2; i++)
		ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(64 * i + 4), QUANTA(61)));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(64 * i + 4), QUANTA(57)));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(64 * i + 65), QUANTA(63)));
	return vmem;
}

/* Colours tell which segments can serve: the others aren't looked at, however many. */
static void what_cannot_serve_is_not_looked_at(struct kunit *test)
{
	struct quarry_vmem_request want = qtest_vmem_want(QUANTUM, BEST);
	struct quarry_vmem *vmem = with_decoys(test);
	u64 steps = steps_of(vmem), addr = 0;

	want.align = QUANTA(64);
	ASSERT_OK(test, quarry_vmem_xalloc(vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(64 * (NR_BLOCKS - 1)));
	/* One for each bin of the decoys, and one for that of what serves. */
	KUNIT_EXPECT_LE(test, steps_of(vmem) - steps, (u64)QUARRY_VMEM_NR_PARTS + 1);

	EXPECT_OK(test, quarry_vmem_xfree(vmem, addr, QUANTUM));
	steps = steps_of(vmem);
	want.min = VAT(2);
	ASSERT_OK(test, quarry_vmem_xalloc(vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(64 * (NR_BLOCKS - 1)));
	KUNIT_EXPECT_LE(test, steps_of(vmem) - steps, (u64)QUARRY_VMEM_NR_PARTS + 2);

	/* Nor are the parts that are outside of the window. */
	EXPECT_OK(test, quarry_vmem_xfree(vmem, addr, QUANTUM));
	want.min = VAT(64 * (NR_BLOCKS - 2));
	want.max = VAT(64 * NR_BLOCKS) - 1;
	steps = steps_of(vmem);
	ASSERT_OK(test, quarry_vmem_xalloc(vmem, &want, &addr));
	KUNIT_EXPECT_LE(test, steps_of(vmem) - steps, (u64)4);
	qtest_vmem_intact(test, vmem);
}

#define NR_SMALL	1000
#define NR_LARGE	100

/*
 * A small part of the arena, which has many small segments, of which every other
 * quantum is in use; there is room for two quanta only at its beginning. Elsewhere are many of
 * nine.
 */
static void a_crowded_window_is_searched_to_its_end(struct kunit *test)
{
	struct quarry_vmem *vmem = &qtest_vmem(test, VBASE, QUANTA(NR_SMALL * (NR_LARGE + 1)),
					       QUANTUM, 3 * NR_SMALL)->vmem;
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(2), BEST);
	u64 steps, addr = 0;
	unsigned int i;

	for (i = 1; i <= NR_LARGE; i++)
		ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(NR_SMALL * i),
						     QUANTA(NR_SMALL - 9)));
	for (i = 5; i < NR_SMALL; i += 2)
		ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(i), QUANTUM));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(1), QUANTUM));

	steps = steps_of(vmem);
	want.min = VAT(0);
	want.max = VAT(NR_SMALL) - 1;
	ASSERT_OK(test, quarry_vmem_xalloc(vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(2));
	KUNIT_EXPECT_LE(test, steps_of(vmem) - steps, (u64)8);

	steps = steps_of(vmem);
	want.size = QUANTA(8);
	EXPECT_ERR(test, quarry_vmem_xalloc(vmem, &want, &addr), -ENOSPC);
	KUNIT_EXPECT_LE(test, steps_of(vmem) - steps, (u64)8);
	qtest_vmem_intact(test, vmem);
}

static struct kunit_case request_cases[] = {
	KUNIT_CASE_PARAM(every_place_is_the_right_one, layout_gen_params),
	KUNIT_CASE_PARAM(every_window_is_kept, layout_gen_params),
	KUNIT_CASE(every_wrong_request_is_refused),
	KUNIT_CASE(every_combination_of_flags_is_judged),
	KUNIT_CASE(best_fit_compares_whole_segments),
	KUNIT_CASE(what_cannot_serve_is_not_looked_at),
	KUNIT_CASE(a_crowded_window_is_searched_to_its_end),
	{}
};

static struct kunit_suite request_suite = {
	.name = "quarry_vmem_request",
	.test_cases = request_cases,
};

kunit_test_suite(request_suite);
