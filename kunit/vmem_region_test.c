// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: what is known of where free segments are is exact, from the first search in a
 * part of the arena on, and each answer is the best of all segments.
 */
#include <linux/minmax.h>

#include "../lib/vmem_index.h"
#include "vmem_helpers.h"

#define NR_SLOTS	512
#define NR_OPS		20000
#define CHECK_EVERY	500
#define MAX_QUANTA	160	/* of a segment: more than the classes of one size have */

/**
 * struct ground - the spans of an arena
 * @name: of the ground
 * @quantum: the quantum
 * @base: first address of the first span
 * @size: of that, and of the second span
 * @gap: addresses between the two; 0 if there is no second
 * @exact: whether all addresses are told apart by regions
 */
struct ground {
	const char *name;
	u64 quantum;
	u64 base;
	u64 size;
	u64 gap;
	bool exact;
};

static const struct ground grounds[] = {
	{ "aligned", 16, VBASE, 16 << 13, 0, true },
	{ "across a boundary", 16, VBASE + 16 * 777, 16 << 13, 0, true },
	{ "from 0 on", 1, 0, 5000, 0, true },
	{ "the top", 4096, -4096ULL * 6001, 4096 * 6001, 0, true },
	{ "smaller than its regions", 1, 100, 50, 0, true },
	{ "two spans", 16, VBASE, 16 * 4000, 16 * 10, false },
	{ "far apart", 16, VBASE, 16 * 4000, BIT_ULL(45), false },
};

static void ground_name(const struct ground *ground, char *desc)
{
	strscpy(desc, ground->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(ground, grounds, ground_name);

struct slot {
	u64 addr;
	u64 size;
	bool x;
};

struct trial {
	struct kunit *test;
	const struct ground *ground;
	struct quarry_vmem *vmem;
	struct rnd_state rnd;
	struct slot *slots;
	u64 *regions;
};

static u32 below(struct trial *trial, u64 limit)
{
	return qtest_below(&trial->rnd, limit);
}

static struct trial start(struct kunit *test)
{
	const struct ground *ground = test->param_value;
	struct trial trial = {
		.test = test,
		.ground = ground,
		.vmem = &qtest_vmem(test, ground->base, ground->size, ground->quantum,
				    4 * NR_SLOTS)->vmem,
		.slots = qtest_memory(test, NR_SLOTS * sizeof(struct slot)),
		.regions = qtest_memory(test, QUARRY_VMEM_NR_CLASSES * sizeof(u64)),
	};

	qtest_seed(test, &trial.rnd);
	memset(trial.slots, 0, NR_SLOTS * sizeof(struct slot));
	if (ground->gap)
		ASSERT_OK(test, quarry_vmem_add(trial.vmem,
						ground->base + ground->size + ground->gap,
						ground->size));
	return trial;
}

/* A window of any width in one of the spans, or from one to the other. */
static void draw_window(struct trial *trial, struct quarry_vmem_request *want)
{
	const struct ground *ground = trial->ground;
	u64 nr = div64_u64(ground->size, ground->quantum);
	u64 first = below(trial, nr), last = below(trial, nr);

	want->min = ground->base + min(first, last) * ground->quantum;
	want->max = ground->base + max(first, last) * ground->quantum + ground->quantum - 1;
	if (!ground->gap || below(trial, 3))
		return;
	want->max += ground->size + ground->gap;
	if (below(trial, 2))
		want->min += ground->size + ground->gap;
}

/* Whether a free segment has room in the window. */
static bool has_room(const struct quarry_vmem_segment *segment,
		     const struct quarry_vmem_request *want)
{
	u64 first = max(segment->addr, want->min);
	u64 last = min(segment->addr + segment->size - 1, want->max);

	return segment->state == QUARRY_VMEM_FREE && first <= last &&
	       last - first >= want->size - 1;
}

/* Where best fit has to put it, or U64_MAX. */
static u64 best_place(struct trial *trial, const struct quarry_vmem_request *want)
{
	struct quarry_vmem_segment segment;
	u64 place = U64_MAX, size = U64_MAX, addr = 0;

	while (!quarry_vmem_next(trial->vmem, addr, &segment)) {
		if (has_room(&segment, want) && segment.size < size) {
			size = segment.size;
			place = max(segment.addr, want->min);
		}
		addr = segment.addr + segment.size;
		if (!addr)
			break;
	}
	return place;
}

static void ask_window(struct trial *trial, struct slot *slot)
{
	struct quarry_vmem_request want = qtest_vmem_want(slot->size, BEST);
	u64 place;
	int err;

	draw_window(trial, &want);
	place = best_place(trial, &want);
	err = quarry_vmem_xalloc(trial->vmem, &want, &slot->addr);
	KUNIT_EXPECT_EQ(trial->test, err, place == U64_MAX ? -ENOSPC : 0);
	if (err)
		slot->size = 0;
	else
		KUNIT_EXPECT_EQ(trial->test, slot->addr, place);
	slot->x = true;
}

static void ask(struct trial *trial, struct slot *slot)
{
	u64 nr = 1 + below(trial, below(trial, 8) ? 8 : MAX_QUANTA);

	slot->size = nr * trial->ground->quantum;
	if (!below(trial, 16)) {
		ask_window(trial, slot);
		return;
	}
	slot->x = false;
	if (quarry_vmem_alloc(trial->vmem, slot->size, below(trial, 2) ? FIRST : BEST,
			      &slot->addr))
		slot->size = 0;
}

static void give_back(struct trial *trial, struct slot *slot)
{
	if (slot->x)
		EXPECT_OK(trial->test, quarry_vmem_xfree(trial->vmem, slot->addr, slot->size));
	else
		EXPECT_OK(trial->test, quarry_vmem_free(trial->vmem, slot->addr, slot->size));
	slot->size = 0;
}

/* What a walk finds is what the arena knows of its regions: more only if they repeat. */
static void compare_regions(struct trial *trial)
{
	struct quarry_vmem *vmem = trial->vmem;
	struct quarry_vmem_segment segment;
	unsigned int class;
	u64 addr = 0;

	memset(trial->regions, 0, QUARRY_VMEM_NR_CLASSES * sizeof(u64));
	while (!quarry_vmem_next(vmem, addr, &segment)) {
		if (segment.state == QUARRY_VMEM_FREE)
			trial->regions[class_of(segment.size >> vmem->quantum_shift)] |=
				region_of(vmem, segment.addr);
		addr = segment.addr + segment.size;
		if (!addr)
			break;
	}
	for (class = 0; class < QUARRY_VMEM_NR_CLASSES; class++) {
		u64 known = vmem->roots[class] ? vmem->regions[class] : 0;

		KUNIT_EXPECT_EQ(trial->test, trial->regions[class] & ~known, 0ULL);
		if (trial->ground->exact)
			KUNIT_EXPECT_EQ(trial->test, known, trial->regions[class]);
	}
}

static void regions_are_known(struct kunit *test)
{
	struct trial trial = start(test);
	struct slot first = { .size = trial.ground->quantum };
	unsigned int i;

	ask_window(&trial, &first);
	KUNIT_EXPECT_TRUE(test, trial.vmem->tracked);
	give_back(&trial, &first);
	for (i = 0; i < NR_OPS; i++) {
		struct slot *slot = &trial.slots[below(&trial, NR_SLOTS)];

		if (slot->size)
			give_back(&trial, slot);
		else
			ask(&trial, slot);
		if (i % CHECK_EVERY == 0)
			compare_regions(&trial);
	}
	qtest_vmem_intact(test, trial.vmem);
}

/*
 * What was free before the first search in a part of the arena may be anywhere: it is found
 * all the same.
 */
static void regions_are_known_late(struct kunit *test)
{
	struct trial trial = start(test);
	unsigned int i;

	for (i = 0; i < NR_SLOTS; i++) {
		struct slot *slot = &trial.slots[i];

		slot->size = (1 + below(&trial, 8)) * trial.ground->quantum;
		if (quarry_vmem_alloc(trial.vmem, slot->size, BEST, &slot->addr))
			slot->size = 0;
	}
	for (i = 0; i < NR_SLOTS; i += 2)
		if (trial.slots[i].size)
			give_back(&trial, &trial.slots[i]);
	KUNIT_EXPECT_FALSE(test, trial.vmem->tracked);
	for (i = 0; i < NR_SLOTS; i += 2) {
		trial.slots[i].size = (1 + below(&trial, 8)) * trial.ground->quantum;
		ask_window(&trial, &trial.slots[i]);
	}
	qtest_vmem_intact(test, trial.vmem);
}

static struct kunit_case region_cases[] = {
	KUNIT_CASE_PARAM(regions_are_known, ground_gen_params),
	KUNIT_CASE_PARAM(regions_are_known_late, ground_gen_params),
	{}
};

static struct kunit_suite region_suite = {
	.name = "quarry_vmem_region",
	.test_cases = region_cases,
};

kunit_test_suite(region_suite);
