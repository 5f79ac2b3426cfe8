// SPDX-License-Identifier: GPL-2.0
/*
 * Damage on purpose: what verify() of an arena must find, by name, and that it comes to
 * an end, and reads nothing but tags, whatever any of these says; and that an arena which
 * finds itself damaged serves nothing more.
 */
#include <linux/string.h>

#include "../lib/vmem_internal.h"
#include "vmem_helpers.h"

static void expect_fault(struct kunit *test, const char *what)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_fault fault = {};

	EXPECT_ERR(test, quarry_vmem_verify(&space->vmem, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, what);
}

/* While something is what it must not be, verify() says so; then it is as it was. */
#define EXPECT_FAULT(test, field, value, what) do {		\
	typeof(field) *place = &(field), old = *place;		\
								\
	*place = (value);					\
	expect_fault(test, what);				\
	*place = old;						\
} while (0)

/*
 * Each quantum in use but for holes of one quantum at 10, 30, 40 and 42, of two at 3 and of
 * three at 20; and one segment in use of two at 50. A part of the arena is four quanta.
 */
static int furnished_init(struct kunit *test)
{
	static const u8 holes[] = { 3, 4, 10, 20, 21, 22, 30, 40, 42, 50, 51 };
	struct quarry_vmem *vmem;
	unsigned int i;
	int err = qtest_vmem_init(test);

	if (err)
		return err;
	vmem = &((struct qtest_vmem *)test->priv)->vmem;
	qtest_vmem_fill(test, vmem);
	for (i = 0; i < ARRAY_SIZE(holes); i++)
		ASSERT_OK(test, quarry_vmem_free(vmem, VAT(holes[i]), QUANTUM));
	ASSERT_OK(test, quarry_vmem_alloc_at(vmem, VAT(50), QUANTA(2)));
	return 0;
}

static struct quarry_vmem_tag *tag_at(struct kunit *test, u32 quantum)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_tag *tag = space->vmem.first;

	while (tag && tag->start != VAT(quantum))
		tag = tag->next;
	KUNIT_ASSERT_NOT_NULL(test, tag);
	return tag;
}

static void verify_of_an_intact_arena_finds_nothing(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_fault fault = { .what = "untouched" };

	EXPECT_OK(test, quarry_vmem_verify(&space->vmem, NULL));
	EXPECT_OK(test, quarry_vmem_verify(&space->vmem, &fault));
	space->vmem.used += QUANTUM;
	EXPECT_ERR(test, quarry_vmem_verify(&space->vmem, NULL), -EUCLEAN);
	space->vmem.used -= QUANTUM;
}

static void verify_names_every_wrong_counter(struct kunit *test)
{
	struct quarry_vmem *vmem = &((struct qtest_vmem *)test->priv)->vmem;

	EXPECT_FAULT(test, vmem->total, vmem->total + QUANTUM, "total");
	EXPECT_FAULT(test, vmem->used, vmem->used - QUANTUM, "size in use");
	EXPECT_FAULT(test, vmem->imported, QUANTUM, "size imported");
	EXPECT_FAULT(test, vmem->nr_spans, 2, "count of spans");
	EXPECT_FAULT(test, vmem->nr_bordered, 1, "count of spans to release");
	EXPECT_FAULT(test, vmem->nr_used, vmem->nr_used - 1, "count of the table");
	EXPECT_FAULT(test, vmem->nr_used, UINT_MAX, "count of the table");
	EXPECT_FAULT(test, vmem->peak, vmem->used - 1, "peak below the size in use");
	EXPECT_FAULT(test, vmem->nr_free_tags, vmem->nr_free_tags + 1, "count of free tags");
	EXPECT_FAULT(test, vmem->nr_tags, vmem->nr_tags + 1, "count of tags");
	EXPECT_FAULT(test, vmem->lowest, vmem->lowest + QUANTA(1), "lowest address");
	EXPECT_FAULT(test, vmem->highest, vmem->highest - 1, "highest address");
	EXPECT_FAULT(test, vmem->broken, true, "out of service");
}

static void verify_names_a_damaged_index(struct kunit *test)
{
	struct quarry_vmem *vmem = &((struct qtest_vmem *)test->priv)->vmem;

	EXPECT_FAULT(test, vmem->nr_buckets, vmem->nr_table_buckets + 1, "buckets of the table");
	EXPECT_FAULT(test, vmem->nr_buckets, 0, "buckets of the table");
	EXPECT_FAULT(test, vmem->bucket_mask, UINT_MAX, "buckets of the table");
	EXPECT_FAULT(test, vmem->bucket_mask, vmem->bucket_mask - 1, "buckets of the table");
	EXPECT_FAULT(test, vmem->avail[0], vmem->avail[0] ^ BIT_ULL(1), "mask of bins");
	EXPECT_FAULT(test, vmem->avail[0], vmem->avail[0] ^ BIT_ULL(2), "mask of bins");
	EXPECT_FAULT(test, vmem->avail[1], vmem->avail[1] ^ BIT_ULL(9), "mask of bins");
	EXPECT_FAULT(test, vmem->roots[1], NULL, "bin with no end");
	EXPECT_FAULT(test, vmem->nr_in_class[0], 2, "count of a class");
	EXPECT_FAULT(test, vmem->nr_in_class[2], U32_MAX, "count of a class");
	EXPECT_FAULT(test, vmem->roots[bin_of(0, 2)], vmem->roots[bin_of(1, 0)],
		     "segment in another's bin");
	EXPECT_FAULT(test, vmem->roots[bin_of(0, 2)], vmem->roots[bin_of(0, 7)],
		     "segment in another's bin");
	EXPECT_FAULT(test, vmem->nil.mask, 1, "colours of the end of tries");
	EXPECT_FAULT(test, vmem->nil.bit, 1, "bit of the end of tries");
	EXPECT_FAULT(test, vmem->nil.child[1], NULL, "node below the end of tries");
	EXPECT_FAULT(test, vmem->part_shift, vmem->part_shift + 1, "part of a segment");
	EXPECT_FAULT(test, vmem->parts_base, vmem->parts_base + QUANTA(4), "part of a segment");
}

static void verify_names_a_damaged_segment_in_use(struct kunit *test)
{
	struct quarry_vmem_tag *tag = tag_at(test, 50), *before = tag_at(test, 49);

	EXPECT_FAULT(test, tag->start, tag->start + 1, "neighbour doesn't begin at the end");
	EXPECT_FAULT(test, tag->size, 0, "segment can't be");
	EXPECT_FAULT(test, tag->size, tag->size - 1, "segment can't be");
	EXPECT_FAULT(test, tag->size, QUANTA(3), "neighbour doesn't begin at the end");
	EXPECT_FAULT(test, tag->state, QUARRY_VMEM_FREE, "free segment in the table");
	EXPECT_FAULT(test, tag->state, 9, "state of a segment");
	EXPECT_FAULT(test, tag->slotted, true, "slot of a segment");
	EXPECT_FAULT(test, tag->link, tag, "count of the table");
	EXPECT_FAULT(test, tag->prev, NULL, "neighbour doesn't link back");
	EXPECT_FAULT(test, tag->prev, before->prev, "neighbour doesn't link back");
	EXPECT_FAULT(test, tag->next, NULL, "segments don't fill a span");
	EXPECT_FAULT(test, tag->next, before, "neighbour doesn't link back");
	EXPECT_FAULT(test, tag->next, tag, "neighbour doesn't link back");
}

static void verify_names_a_damaged_free_segment(struct kunit *test)
{
	struct quarry_vmem *vmem = &((struct qtest_vmem *)test->priv)->vmem;
	struct quarry_vmem_tag *tag = tag_at(test, 20), *root = vmem->roots[bin_of(0, 10)];

	EXPECT_FAULT(test, tag->state, QUARRY_VMEM_USED, "segment in use in a class");
	EXPECT_FAULT(test, tag->state, U32_MAX, "segment in use in a class");
	EXPECT_FAULT(test, tag->size, QUANTA(4), "segment in another's bin");
	EXPECT_FAULT(test, tag->size, 0, "segment in another's bin");
	EXPECT_FAULT(test, tag->part, tag->part - 1, "part of a segment");
	EXPECT_FAULT(test, tag->part, 255, "part of a segment");
	EXPECT_FAULT(test, tag->child[1], NULL, "node with no end");
	EXPECT_FAULT(test, tag->own, tag->own ^ 1, "colour of a segment");
	EXPECT_FAULT(test, tag->own, 255, "colour of a segment");
	EXPECT_FAULT(test, tag->bit, 255, "bit of a node");
	EXPECT_FAULT(test, tag->mask, ~tag->mask, "colours below a node");
	EXPECT_FAULT(test, root->mask, 0, "colours below a node");
	EXPECT_FAULT(test, tag->start, tag->start + QUANTA(64), "part of a segment");
	EXPECT_FAULT(test, root->bit, 0, "node in another's subtree");
}

/* The tags of all segments, and the memory that they are in, as both were. */
struct patient {
	struct quarry_vmem *vmem;
	struct quarry_vmem_tag *tags[NR_QUANTA];
	struct quarry_vmem_tag healthy[NR_QUANTA];
	u32 nr;
};

static void admit(struct kunit *test, struct patient *patient)
{
	struct qtest_vmem *space = test->priv;
	struct quarry_vmem_tag *tag = space->vmem.first;

	*patient = (struct patient) { .vmem = &space->vmem };
	for (; tag; tag = tag->next) {
		KUNIT_ASSERT_LT(test, patient->nr, (u32)NR_QUANTA);
		patient->healthy[patient->nr] = *tag;
		patient->tags[patient->nr++] = tag;
	}
}

static void heal(struct patient *patient)
{
	u32 i;

	for (i = 0; i < patient->nr; i++)
		*patient->tags[i] = patient->healthy[i];
}

/*
 * Any number may have become anything, and any pointer NULL, or another tag's or the end of
 * tries, which is a tag as well. The link of
 * one in use leads to one in use, as a free one has its mask there.
 */
static void damage(struct patient *patient, struct rnd_state *rnd)
{
	u32 i = qtest_below(rnd, patient->nr), j = qtest_below(rnd, patient->nr);
	struct quarry_vmem_tag *tag = patient->tags[i], *other = patient->tags[j];
	bool is_free = patient->healthy[i].state == QUARRY_VMEM_FREE;
	u32 value = prandom_u32_state(rnd);

	if (value % 8 == 0)
		other = NULL;
	else if (value % 16 == 1)
		other = &patient->vmem->nil;
	switch (qtest_below(rnd, 10)) {
	case 0:
		tag->start = value % 2 ? VAT(value / 2 % NR_QUANTA) : (u64)value << 32 | value;
		break;
	case 1:
		tag->size = value % 2 ? QUANTA(value / 2 % 8) : -(u64)value;
		break;
	case 2:
		tag->state = value % 2 ? value / 2 % 4 : value;
		break;
	case 3:
		tag->own = value;
		break;
	case 4:
		tag->bit = value % 2 ? value / 2 % 64 : value >> 8;
		break;
	case 5:
		tag->next = other;
		break;
	case 6:
		tag->prev = other;
		break;
	case 7:
		tag->child[value / 8 % 2] = other;
		break;
	case 8:
		tag->part = value;
		break;
	default:
		if (is_free)
			tag->mask = (u64)value << (value % 32);
		else if (patient->healthy[j].state != QUARRY_VMEM_FREE)
			tag->link = other;
	}
}

static void verify_survives_any_damage(struct kunit *test)
{
	struct patient *patient = qtest_memory(test, sizeof(*patient));
	unsigned long round, rounds = qtest_rounds(test, 20000), nr_found = 0;
	struct rnd_state rnd;
	u32 hits;

	qtest_seed(test, &rnd);
	admit(test, patient);
	for (round = 0; round < rounds; round++) {
		for (hits = 1 + qtest_below(&rnd, 3); hits; hits--)
			damage(patient, &rnd);
		nr_found += !!quarry_vmem_verify(patient->vmem, NULL);
		KUNIT_ASSERT_FALSE(test, patient->vmem->broken);
		heal(patient);
	}
	KUNIT_EXPECT_GT(test, nr_found, rounds / 2);
}

/* A hole that its bin doesn't know is met when its neighbour is freed. */
static void break_it(struct kunit *test, struct quarry_vmem *vmem)
{
	kunit_info(test, "wants to be warned that this arena is out of service");
	KUNIT_ASSERT_PTR_EQ(test, vmem->roots[bin_of(0, 2)], tag_at(test, 10));
	vmem->roots[bin_of(0, 2)] = &vmem->nil;
	quarry_vmem_free(vmem, VAT(11), QUANTUM);
	KUNIT_EXPECT_TRUE(test, vmem->broken);
}

static void a_broken_arena_serves_nothing_more(struct kunit *test)
{
	struct quarry_vmem_request want = qtest_vmem_want(QUANTUM, BEST);
	struct quarry_vmem *vmem = &((struct qtest_vmem *)test->priv)->vmem;
	struct quarry_vmem_segment segment;
	u64 addr = 0;

	break_it(test, vmem);
	test->priv = NULL;
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTUM, FIRST, &addr), -EIO);
	EXPECT_ERR(test, quarry_vmem_alloc(vmem, QUANTUM, BEST, &addr), -EIO);
	EXPECT_ERR(test, quarry_vmem_xalloc(vmem, &want, &addr), -EIO);
	EXPECT_ERR(test, quarry_vmem_alloc_at(vmem, VAT(30), QUANTUM), -EIO);
	EXPECT_ERR(test, quarry_vmem_free(vmem, VAT(12), QUANTUM), -EIO);
	EXPECT_ERR(test, quarry_vmem_xfree(vmem, VAT(50), QUANTA(2)), -EIO);
	EXPECT_ERR(test, quarry_vmem_grow(vmem, VAT(29), QUANTUM, QUANTA(2)), -EIO);
	EXPECT_ERR(test, quarry_vmem_add(vmem, VAT(1000), QUANTUM), -EIO);
	EXPECT_ERR(test, quarry_vmem_lookup(vmem, VAT(12), &segment), -EIO);
	EXPECT_ERR(test, quarry_vmem_next(vmem, 0, &segment), -EIO);
	EXPECT_ERR(test, quarry_vmem_verify(vmem, NULL), -EUCLEAN);
}

static struct kunit_case verify_cases[] = {
	KUNIT_CASE(verify_of_an_intact_arena_finds_nothing),
	KUNIT_CASE(verify_names_every_wrong_counter),
	KUNIT_CASE(verify_names_a_damaged_index),
	KUNIT_CASE(verify_names_a_damaged_segment_in_use),
	KUNIT_CASE(verify_names_a_damaged_free_segment),
	KUNIT_CASE(verify_survives_any_damage),
	KUNIT_CASE(a_broken_arena_serves_nothing_more),
	{}
};

static struct kunit_suite verify_suite = {
	.name = "quarry_vmem_verify",
	.init = furnished_init,
	.exit = qtest_vmem_exit,
	.test_cases = verify_cases,
};

kunit_test_suite(verify_suite);
