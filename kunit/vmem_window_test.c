// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: each answer is what the strategy prescribes among all segments, wherever spans and
 * windows lie among the parts that the arena divides itself in.
 */
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include "../lib/vmem_internal.h"
#include "vmem_helpers.h"

#define NR_SLOTS	512
#define NR_OPS		10000
#define CHECK_EVERY	500
#define MAX_QUANTA	160U	/* of a segment: more than the classes of one size have */

/**
 * struct ground - the spans of an arena
 * @name: of the ground
 * @quantum: the quantum
 * @size: of the first span, and of the second
 * @first: where the first span begins
 * @second: where the second does; 0 if there is none
 */
struct ground {
	const char *name;
	u64 quantum;
	u64 size;
	u64 first;
	u64 second;
};

static const struct ground grounds[] = {
	{ "aligned", 16, 16 << 13, VBASE },
	{ "across a boundary", 16, 16 << 13, VBASE + 16 * 777 },
	{ "from 0 on", 1, 5000, 0 },
	{ "the top", 4096, 4096 * 6001, -4096ULL * 6001 },
	{ "parts smaller than segments", 1, 50, 100 },
	{ "two spans", 16, 16 * 4000, VBASE, VBASE + 16 * 4010 },
	{ "far above", 16, 16 * 4000, VBASE, VBASE + BIT_ULL(45) },
	{ "below", 16, 16 * 4000, VBASE, VBASE - 16 * 4321 },
	{ "larger than parted classes", 1, BIT_ULL(26) - 7, VBASE },
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
	u64 quanta;		/* in a span */
	u64 cursor;		/* of next fit */
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
		.vmem = &qtest_vmem(test, ground->first, ground->size, ground->quantum,
				    4 * NR_SLOTS)->vmem,
		.slots = qtest_memory(test, NR_SLOTS * sizeof(struct slot)),
		.quanta = div64_u64(ground->size, ground->quantum),
	};

	qtest_seed(test, &trial.rnd);
	memset(trial.slots, 0, NR_SLOTS * sizeof(struct slot));
	if (ground->second)
		ASSERT_OK(test, quarry_vmem_add(trial.vmem, ground->second, ground->size));
	return trial;
}

/* An address in one of the spans. */
static u64 draw_address(struct trial *trial)
{
	u64 offset = below(trial, trial->quanta) * trial->ground->quantum;

	if (trial->ground->second && below(trial, 2))
		return trial->ground->second + offset;
	return trial->ground->first + offset;
}

/*
 * One that is a few quanta across, or of any width, in one of the spans or from one to another. It
 * begins and ends anywhere in a quantum.
 */
static void draw_window(struct trial *trial, struct quarry_vmem_request *want)
{
	u64 quantum = trial->ground->quantum;
	u64 a = draw_address(trial), b = draw_address(trial);

	if (!below(trial, 4))
		b = a + min(below(trial, 256) * quantum, U64_MAX - (a + quantum - 1));
	want->min = min(a, b) + below(trial, quantum);
	want->max = max(a, b) + below(trial, quantum);
	if (want->min > want->max)
		swap(want->min, want->max);
}

/* An alignment, and perhaps a phase and a boundary, that can be had together. */
static void draw_places(struct trial *trial, struct quarry_vmem_request *want)
{
	u64 quantum = trial->ground->quantum;

	want->align = quantum << below(trial, 9);
	if (below(trial, 2))
		want->phase = below(trial, div64_u64(want->align, quantum)) * quantum;
	if (below(trial, 2))
		want->nocross = roundup_pow_of_two(want->size + want->phase) << below(trial, 3);
}

static bool crosses(u64 place, const struct quarry_vmem_request *want)
{
	return want->nocross && (place ^ (place + want->size - 1)) & -want->nocross;
}

/* The first place in a free segment from @from on, or U64_MAX. */
static u64 first_place(const struct quarry_vmem_segment *segment,
		       const struct quarry_vmem_request *want, u64 from)
{
	u64 last = min(segment->addr + (segment->size - 1), want->max);
	u64 low = max3(segment->addr, want->min, from);
	u64 place = low + ((want->phase - low) & (want->align - 1));

	if (segment->state != QUARRY_VMEM_FREE)
		return U64_MAX;
	while (place >= low && place <= last && crosses(place, want)) {
		low = (place | (want->nocross - 1)) + 1 ?: U64_MAX;
		place = low + ((want->phase - low) & (want->align - 1));
	}
	if (place < low || place > last || last - place < want->size - 1)
		return U64_MAX;
	return place;
}

/* Where best fit has to put it, or U64_MAX; with @lowest, the lowest place from @from on. */
static u64 find_place(struct trial *trial, const struct quarry_vmem_request *want, bool lowest,
		      u64 from)
{
	struct quarry_vmem_segment segment;
	u64 best = U64_MAX, size = U64_MAX, addr = 0;

	while (!quarry_vmem_next(trial->vmem, addr, &segment)) {
		u64 place = first_place(&segment, want, from);

		if (place != U64_MAX && (lowest ? best == U64_MAX : segment.size < size)) {
			size = segment.size;
			best = place;
		}
		addr = segment.addr + segment.size;
		if (!addr)
			break;
	}
	return best;
}

static u64 right_place(struct trial *trial, const struct quarry_vmem_request *want)
{
	u64 place;

	if (want->flags == BEST)
		return find_place(trial, want, false, 0);
	place = find_place(trial, want, true, trial->cursor);
	return place == U64_MAX ? find_place(trial, want, true, 0) : place;
}

/* Compare an answer with the right one. */
static void judge(struct trial *trial, struct slot *slot, int err, u64 place)
{
	KUNIT_EXPECT_EQ(trial->test, err, place == U64_MAX ? -ENOSPC : 0);
	if (err)
		slot->size = 0;
	else
		KUNIT_EXPECT_EQ(trial->test, slot->addr, place);
}

static void ask_window(struct trial *trial, struct slot *slot)
{
	unsigned int strategy = below(trial, 3) ? BEST : NEXT;
	struct quarry_vmem_request want = qtest_vmem_want(slot->size, strategy);
	u64 place;

	want.align = trial->ground->quantum;
	if (below(trial, 2))
		draw_places(trial, &want);
	if (below(trial, 4))
		draw_window(trial, &want);
	place = right_place(trial, &want);
	judge(trial, slot, quarry_vmem_xalloc(trial->vmem, &want, &slot->addr), place);
	if (slot->size && want.flags == NEXT)
		trial->cursor = slot->addr + slot->size;
	slot->x = true;
}

static void ask_plainly(struct trial *trial, struct slot *slot)
{
	struct quarry_vmem_request want = qtest_vmem_want(slot->size, BEST);
	u64 place;

	want.align = trial->ground->quantum;
	place = right_place(trial, &want);
	judge(trial, slot, quarry_vmem_alloc(trial->vmem, slot->size, BEST, &slot->addr), place);
}

/* Sizes are mostly small, and sometimes far above those of the classes of one size. */
static void ask(struct trial *trial, struct slot *slot)
{
	u64 limit = below(trial, 8) ? 8 : max_t(u64, MAX_QUANTA, trial->quanta / 32);
	u64 nr = 1 + below(trial, limit);

	slot->size = nr * trial->ground->quantum;
	if (below(trial, 2)) {
		ask_window(trial, slot);
		return;
	}
	slot->x = false;
	if (below(trial, 2))
		ask_plainly(trial, slot);
	else if (quarry_vmem_alloc(trial->vmem, slot->size, FIRST, &slot->addr))
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

static void each_answer_is_the_right_one(struct kunit *test)
{
	struct trial trial = start(test);
	unsigned int i;

	for (i = 0; i < NR_OPS; i++) {
		struct slot *slot = &trial.slots[below(&trial, NR_SLOTS)];

		if (slot->size)
			give_back(&trial, slot);
		else
			ask(&trial, slot);
		if (i % CHECK_EVERY == 0)
			qtest_vmem_intact(test, trial.vmem);
	}
}

#define PART	2048U	/* quanta in a part of the arena below */

/* Use all quanta from @first on, but the last @nr_free before those of @end. */
static void use_up_to(struct kunit *test, struct quarry_vmem *vmem, u32 first, u32 end, u32 nr_free)
{
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(first), QUANTA(end - nr_free - first)));
}

/*
 * Four free segments, each in a part of its own, of sizes that have one colour: neither the first
 * nor the last is the smallest or the largest.
 */
static struct quarry_vmem *with_one_colour(struct kunit *test)
{
	struct quarry_vmem *vmem = &qtest_vmem(test, VBASE, QUANTA(16 * PART), QUANTUM, 64)->vmem;

	use_up_to(test, vmem, 0, 2 * PART, 1026);
	use_up_to(test, vmem, 2 * PART, 6 * PART, 1025);
	use_up_to(test, vmem, 6 * PART, 9 * PART, 1027);
	use_up_to(test, vmem, 9 * PART, 12 * PART, 1026);
	use_up_to(test, vmem, 12 * PART, 16 * PART, 0);
	return vmem;
}

static void sizes_of_a_colour_are_compared_in_all_parts(struct kunit *test)
{
	struct quarry_vmem *vmem = with_one_colour(test);
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(1024), BEST);
	u64 addr = 0;

	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), QUANTA(1027));
	ASSERT_OK(test, quarry_vmem_xalloc(vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(6 * PART - 1025));
	/* Now the lower of two that are equal, and then what a window leaves. */
	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(1024), BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(2 * PART - 1026));
	want.max = VAT(9 * PART) - 1;
	ASSERT_OK(test, quarry_vmem_xalloc(vmem, &want, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(9 * PART - 1027));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), QUANTA(1026));
	qtest_vmem_intact(test, vmem);
}

/* The same for segments of one part. */
static void sizes_of_a_colour_are_compared_in_a_part(struct kunit *test)
{
	struct quarry_vmem *vmem = &qtest_vmem(test, VBASE, QUANTA(64 * PART), QUANTUM, 64)->vmem;
	u64 addr = 0;

	use_up_to(test, vmem, 0, PART, 1026);
	use_up_to(test, vmem, PART, 2 * PART, 1025);
	use_up_to(test, vmem, 2 * PART, 3 * PART, 1025);
	use_up_to(test, vmem, 3 * PART, 64 * PART, 0);
	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(1025), BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(2 * PART - 1025));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(1024), BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(3 * PART - 1025));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, QUANTA(1024), BEST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(PART - 1026));
	qtest_vmem_intact(test, vmem);
}

/* A span that is added below the first, or above it, moves no part. */
static void parts_are_of_the_first_span(struct kunit *test)
{
	struct trial trial = start(test);
	const struct ground *ground = trial.ground;
	u64 last = ground->first + (ground->size - 1);

	KUNIT_EXPECT_EQ(test, part_of(trial.vmem, 0), 0U);
	KUNIT_EXPECT_EQ(test, part_of(trial.vmem, ground->first), 0U);
	KUNIT_EXPECT_EQ(test, part_of(trial.vmem, U64_MAX),
			last == U64_MAX ? part_of(trial.vmem, last) : QUARRY_VMEM_NR_PARTS - 1U);
	KUNIT_EXPECT_GE(test, part_of(trial.vmem, last), QUARRY_VMEM_NR_PARTS / 2U);
	qtest_vmem_intact(test, trial.vmem);
}

/* Once nothing is left, the next span is the first. */
static void an_empty_arena_is_divided_anew(struct kunit *test)
{
	struct quarry_vmem *vmem = &qtest_vmem(test, VBASE, QUANTA(4096), QUANTUM, 64)->vmem;

	ASSERT_OK(test, quarry_vmem_remove(vmem, VBASE, QUANTA(4096)));
	ASSERT_OK(test, quarry_vmem_add(vmem, VAT(100000), QUANTA(64)));
	KUNIT_EXPECT_EQ(test, part_of(vmem, VAT(100000)), 0U);
	KUNIT_EXPECT_EQ(test, part_of(vmem, VAT(100063)), QUARRY_VMEM_NR_PARTS - 1U);
	qtest_vmem_intact(test, vmem);
}

static struct kunit_case window_cases[] = {
	KUNIT_CASE_PARAM(each_answer_is_the_right_one, ground_gen_params),
	KUNIT_CASE(sizes_of_a_colour_are_compared_in_all_parts),
	KUNIT_CASE(sizes_of_a_colour_are_compared_in_a_part),
	KUNIT_CASE_PARAM(parts_are_of_the_first_span, ground_gen_params),
	KUNIT_CASE(an_empty_arena_is_divided_anew),
	{}
};

static struct kunit_suite window_suite = {
	.name = "quarry_vmem_window",
	.test_cases = window_cases,
};

kunit_test_suite(window_suite);
