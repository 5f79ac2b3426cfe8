// SPDX-License-Identifier: GPL-2.0
/*
 * The oracle is the kernel's flat bitmap, searched from one end.
 */
#include <linux/bitmap.h>

#include "../lib/freemap.h"
#include "helpers.h"

#define NONE	QUARRY_FREEMAP_NONE
#define CANARY	0x5a5a5a5aUL

struct span {
	const char *name;
	unsigned long first;
	unsigned long last;
};

/* As large as an index can get: 8-byte pages at the top of all addresses. */
#define TOP	(ULONG_MAX / 8)

static const struct span ranges[] = {
	{ "one index", 0, 0 },
	{ "one index, far", 123456789, 123456789 },
	{ "two words' border", 63, 64 },
	{ "a word", 0, 63 },
	{ "a word and one", 0, 64 },
	{ "a word less one", 1, 63 },
	{ "a word, shifted", 31, 94 },
	{ "two levels", 0, 4095 },
	{ "two levels and one", 0, 4096 },
	{ "two levels' border", 4095, 4096 },
	{ "two levels, shifted", 4000, 8200 },
	{ "two levels, far", (1UL << 28) - 3000, (1UL << 28) + 3000 },
	{ "three levels", 100, 40000 },
	{ "three levels, far", (1UL << 28) - 1000, (1UL << 28) + 20000 },
	{ "the top", TOP - 200, TOP },
	{ "the top index", TOP, TOP },
};

static void range_desc(const struct span *range, char *desc)
{
	strscpy(desc, range->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(range, ranges, range_desc);

static void map_intact(struct kunit *test, const struct quarry_freemap *map)
{
	struct quarry_fault fault = {};

	KUNIT_ASSERT_EQ_MSG(test, quarry_freemap_verify(map, &fault), 0, "%s at %#llx",
			    fault.what, fault.addr);
}

static unsigned long *make_words(struct kunit *test, unsigned long first, unsigned long last)
{
	return qtest_memory(test, quarry_freemap_nr_words(first, last) * sizeof(long));
}

static struct quarry_freemap *make_map(struct kunit *test, unsigned long first,
				       unsigned long last)
{
	struct quarry_freemap *map = qtest_memory(test, sizeof(*map));

	quarry_freemap_init(map, make_words(test, first, last), first, last, 0);
	return map;
}

static unsigned long lowest(const struct quarry_freemap *map)
{
	return quarry_freemap_next(map, 0, 0);
}

static unsigned long highest(const struct quarry_freemap *map)
{
	return quarry_freemap_prev(map, ULONG_MAX - 1, 0);
}

static struct quarry_freemap *make_range(struct kunit *test)
{
	const struct span *range = test->param_value;

	return make_map(test, range->first, range->last);
}

static void init_empties_the_map(struct kunit *test)
{
	const struct span *range = test->param_value;
	struct quarry_freemap *map = make_range(test);
	unsigned int shift;

	KUNIT_EXPECT_FALSE(test, quarry_freemap_test(map, range->first));
	KUNIT_EXPECT_FALSE(test, quarry_freemap_test(map, range->last));
	KUNIT_EXPECT_EQ(test, lowest(map), NONE);
	KUNIT_EXPECT_EQ(test, highest(map), NONE);
	KUNIT_EXPECT_EQ(test, quarry_freemap_pop_first(map), NONE);
	KUNIT_EXPECT_EQ(test, quarry_freemap_pop_last(map), NONE);
	KUNIT_EXPECT_FALSE(test, quarry_freemap_clear(map, range->first));
	for (shift = 0; shift < 20; shift++) {
		KUNIT_EXPECT_EQ(test, quarry_freemap_next(map, range->first, shift), NONE);
		KUNIT_EXPECT_EQ(test, quarry_freemap_prev(map, range->last, shift), NONE);
	}
	map_intact(test, map);
}

static void a_full_map_stays_within_its_words(struct kunit *test)
{
	const struct span *range = test->param_value;
	size_t nr_words = quarry_freemap_nr_words(range->first, range->last);
	unsigned long *words = qtest_memory(test, (nr_words + 2) * sizeof(long));
	struct quarry_freemap map;
	unsigned long i;

	words[0] = CANARY;
	words[nr_words + 1] = CANARY;
	quarry_freemap_init(&map, words + 1, range->first, range->last, 0);
	for (i = range->first; i <= range->last; i++)
		quarry_freemap_set(&map, i);
	map_intact(test, &map);
	for (i = range->first; i <= range->last; i++)
		quarry_freemap_clear(&map, i);
	map_intact(test, &map);
	KUNIT_EXPECT_EQ(test, words[0], CANARY);
	KUNIT_EXPECT_EQ(test, words[nr_words + 1], CANARY);
}

/* Beside the bit of each index, a quarter more, and what a small map rounds up. */
static void words_are_few(struct kunit *test)
{
	const struct span *range = test->param_value;
	unsigned long nr = range->last - range->first + 1;

	KUNIT_EXPECT_LE(test, quarry_freemap_nr_words(range->first, range->last),
			nr / BITS_PER_LONG / 4 * 5 + 64);
}

static void a_single_member_is_found_from_everywhere(struct kunit *test)
{
	const struct span *range = test->param_value;
	unsigned long middle = range->first + (range->last - range->first) / 2;
	struct quarry_freemap *map = make_range(test);
	unsigned long i;

	quarry_freemap_set(map, middle);
	KUNIT_EXPECT_EQ(test, lowest(map), middle);
	KUNIT_EXPECT_EQ(test, highest(map), middle);
	for (i = range->first; i <= range->last; i++) {
		KUNIT_ASSERT_EQ(test, quarry_freemap_test(map, i), i == middle);
		KUNIT_ASSERT_EQ(test, quarry_freemap_next(map, i, 0), i <= middle ? middle : NONE);
		KUNIT_ASSERT_EQ(test, quarry_freemap_prev(map, i, 0), i >= middle ? middle : NONE);
	}
}

static void ends_follow_each_change(struct kunit *test)
{
	const struct span *range = test->param_value;
	struct quarry_freemap *map = make_range(test);
	unsigned long i;

	for (i = range->last; ; i--) {
		quarry_freemap_set(map, i);
		KUNIT_ASSERT_EQ(test, lowest(map), i);
		KUNIT_ASSERT_EQ(test, highest(map), range->last);
		if (i == range->first)
			break;
	}
	for (i = range->first; i < range->last; i++) {
		quarry_freemap_clear(map, i);
		KUNIT_ASSERT_EQ(test, lowest(map), i + 1);
		KUNIT_ASSERT_EQ(test, highest(map), range->last);
	}
	quarry_freemap_clear(map, range->last);
	KUNIT_EXPECT_EQ(test, lowest(map), NONE);
	map_intact(test, map);
}

/* All members come out once, the lowest and the highest by turns. */
static void pops_take_the_ends(struct kunit *test)
{
	const struct span *range = test->param_value;
	struct quarry_freemap *map = make_range(test);
	unsigned long low = range->first, high = range->last, i;

	for (i = range->first; i <= range->last; i++)
		quarry_freemap_set(map, i);
	while (low < high) {
		KUNIT_ASSERT_EQ(test, quarry_freemap_pop_first(map), low++);
		KUNIT_ASSERT_EQ(test, quarry_freemap_pop_last(map), high--);
	}
	if (low == high)
		KUNIT_ASSERT_EQ(test, quarry_freemap_pop_last(map), low);
	KUNIT_EXPECT_EQ(test, quarry_freemap_pop_first(map), NONE);
	KUNIT_EXPECT_EQ(test, quarry_freemap_nr(map), 0UL);
	map_intact(test, map);
}

/* What next() and prev() must say, for a map whose oracle has bit i for first + i. */
static unsigned long next_by_hand(const unsigned long *bits, const struct span *range,
				  unsigned long from, unsigned int shift)
{
	unsigned long i = round_up(from, 1UL << shift);

	for (; i <= range->last; i += 1UL << shift)
		if (test_bit(i - range->first, bits))
			return i;
	return NONE;
}

static unsigned long prev_by_hand(const unsigned long *bits, const struct span *range,
				  unsigned long from, unsigned int shift)
{
	unsigned long i = round_down(from, 1UL << shift);

	/* Below 0 it is a large number. */
	for (; i >= range->first && i <= from; i -= 1UL << shift)
		if (test_bit(i - range->first, bits))
			return i;
	return NONE;
}

static void compare(struct kunit *test, const struct quarry_freemap *map,
		    const unsigned long *bits, const struct span *range,
		    unsigned long from, unsigned int shift)
{
	KUNIT_ASSERT_EQ_MSG(test, quarry_freemap_next(map, from, shift),
			    next_by_hand(bits, range, from, shift),
			    "next from %lu, shift %u", from, shift);
	KUNIT_ASSERT_EQ_MSG(test, quarry_freemap_prev(map, from, shift),
			    prev_by_hand(bits, range, from, shift),
			    "prev from %lu, shift %u", from, shift);
}

static void toggle(struct quarry_freemap *map, unsigned long *bits, const struct span *range,
		   unsigned long index)
{
	if (test_and_change_bit(index - range->first, bits))
		quarry_freemap_clear(map, index);
	else
		quarry_freemap_set(map, index);
}

static void pop_one(struct kunit *test, struct quarry_freemap *map, unsigned long *bits,
		    const struct span *range, bool first)
{
	unsigned long nr = range->last - range->first + 1;
	unsigned long bit = first ? find_first_bit(bits, nr) : find_last_bit(bits, nr);
	unsigned long popped = first ? quarry_freemap_pop_first(map) :
				       quarry_freemap_pop_last(map);

	KUNIT_ASSERT_EQ(test, popped, bit < nr ? range->first + bit : NONE);
	if (bit < nr)
		clear_bit(bit, bits);
}

/* Of all alignments alike, which at random would be seldom. */
static unsigned long random_index(struct rnd_state *rnd, const struct span *range)
{
	unsigned long index = range->first + qtest_below(rnd, range->last - range->first + 1);

	return max(round_down(index, 1UL << qtest_below(rnd, 16)), range->first);
}

/* The sparser the map, the more levels a search must climb. */
static void searches_agree_with_a_flat_bitmap(struct kunit *test)
{
	const struct span *range = test->param_value;
	unsigned long i, nr = range->last - range->first + 1;
	unsigned long *bits = qtest_memory(test, BITS_TO_LONGS(nr) * sizeof(long));
	struct quarry_freemap *map = make_range(test);
	struct rnd_state rnd;
	unsigned int shift;

	qtest_seed(test, &rnd);
	bitmap_zero(bits, nr);
	for (i = 0; i < 600; i++) {
		if (i < 300 && bitmap_weight(bits, nr) > 3)
			pop_one(test, map, bits, range, i % 2);
		else
			toggle(map, bits, range, random_index(&rnd, range));
		for (shift = 0; shift < 16; shift++)
			compare(test, map, bits, range, range->first + qtest_below(&rnd, nr),
				shift);
	}
	map_intact(test, map);
}

static void searches_from_every_index_with_every_alignment(struct kunit *test)
{
	static const struct span small = { "", 37, 37 + 255 };
	struct quarry_freemap *map = make_map(test, small.first, small.last);
	DECLARE_BITMAP(bits, 256) = {};
	struct rnd_state rnd;
	unsigned int round, shift;
	unsigned long from;

	qtest_seed(test, &rnd);
	for (round = 0; round < 40; round++) {
		toggle(map, bits, &small, small.first + qtest_below(&rnd, 256));
		for (shift = 0; shift < 10; shift++)
			for (from = small.first; from <= small.last; from++)
				compare(test, map, bits, &small, from, shift);
	}
}

/* The only multiple lies at the far end of a map full of other members. */
static void alignment_skips_a_full_map(struct kunit *test)
{
	struct quarry_freemap *map = make_map(test, 1, 1UL << 16);
	unsigned long i;

	for (i = 1; i <= 1UL << 16; i++)
		quarry_freemap_set(map, i);
	KUNIT_EXPECT_EQ(test, quarry_freemap_next(map, 1, 16), 1UL << 16);
	KUNIT_EXPECT_EQ(test, quarry_freemap_prev(map, (1UL << 16) - 1, 15), 1UL << 15);
	KUNIT_EXPECT_EQ(test, quarry_freemap_prev(map, (1UL << 15) - 1, 15), NONE);
	quarry_freemap_clear(map, 1UL << 16);
	KUNIT_EXPECT_EQ(test, quarry_freemap_next(map, 1, 16), NONE);
}

static void searches_may_start_outside(struct kunit *test)
{
	struct quarry_freemap *map = make_map(test, 1000, 2000);

	quarry_freemap_set(map, 1000);
	quarry_freemap_set(map, 2000);
	KUNIT_EXPECT_EQ(test, quarry_freemap_next(map, 0, 0), 1000UL);
	KUNIT_EXPECT_EQ(test, quarry_freemap_next(map, 2001, 0), NONE);
	KUNIT_EXPECT_EQ(test, quarry_freemap_prev(map, 1UL << 20, 0), 2000UL);
	KUNIT_EXPECT_EQ(test, quarry_freemap_prev(map, 999, 0), NONE);
	KUNIT_EXPECT_EQ(test, quarry_freemap_prev(map, 0, 0), NONE);
}

static void clear_says_whether_there_was_one(struct kunit *test)
{
	struct quarry_freemap *map = make_map(test, 60, 70);

	KUNIT_EXPECT_FALSE(test, quarry_freemap_clear(map, 64));
	quarry_freemap_set(map, 64);
	KUNIT_EXPECT_EQ(test, quarry_freemap_nr(map), 1UL);
	KUNIT_EXPECT_TRUE(test, quarry_freemap_clear(map, 64));
	KUNIT_EXPECT_FALSE(test, quarry_freemap_clear(map, 64));
	KUNIT_EXPECT_EQ(test, quarry_freemap_nr(map), 0UL);
	map_intact(test, map);
}

/* As many are put in as are taken out, so that the map is often nearly empty. */
static void random_changes_agree_with_a_flat_bitmap(struct kunit *test)
{
	static const struct span wide = { "", 777, 777 + (1UL << 18) };
	unsigned long nr = wide.last - wide.first + 1;
	unsigned long *bits = qtest_memory(test, BITS_TO_LONGS(nr) * sizeof(long));
	struct quarry_freemap *map = make_map(test, wide.first, wide.last);
	unsigned long i, rounds = qtest_rounds(test, 200000);
	struct rnd_state rnd;

	qtest_seed(test, &rnd);
	bitmap_zero(bits, nr);
	for (i = 0; i < rounds; i++) {
		unsigned long from = qtest_below(&rnd, nr);
		unsigned long found = find_next_bit(bits, nr, from);

		KUNIT_ASSERT_EQ(test, quarry_freemap_next(map, wide.first + from, 0),
				found < nr ? wide.first + found : NONE);
		if (qtest_below(&rnd, 2))
			toggle(map, bits, &wide, wide.first + qtest_below(&rnd, nr));
		else
			pop_one(test, map, bits, &wide, qtest_below(&rnd, 2));
		if (i % 1000 == 0)
			KUNIT_ASSERT_EQ(test, quarry_freemap_nr(map),
					(unsigned long)bitmap_weight(bits, nr));
	}
	map_intact(test, map);
}

/**
 * struct victim - a map whose words are damaged behind its back
 * @map: the map
 * @words: its words
 * @nr_words: how many
 */
struct victim {
	struct quarry_freemap map;
	unsigned long *words;
	size_t nr_words;
};

static struct victim *make_victim(struct kunit *test, const struct span *range)
{
	struct victim *victim = qtest_memory(test, sizeof(*victim));
	unsigned long i;

	victim->nr_words = quarry_freemap_nr_words(range->first, range->last);
	victim->words = make_words(test, range->first, range->last);
	quarry_freemap_init(&victim->map, victim->words, range->first, range->last, 0);
	for (i = range->first; i <= range->last; i += 1 + i % 97)
		quarry_freemap_set(&victim->map, i);
	return victim;
}

/* An index too many or too few shows by its summaries or by the count. */
static void verify_finds_every_flipped_bit(struct kunit *test)
{
	const struct span *range = test->param_value;
	struct victim *victim = make_victim(test, range);
	unsigned long bit, bits = victim->nr_words * BITS_PER_LONG;
	struct quarry_fault fault;

	for (bit = 0; bit < bits; bit += 1 + bit % 11 + bits / 2000) {
		__change_bit(bit, victim->words);
		KUNIT_ASSERT_EQ_MSG(test, quarry_freemap_verify(&victim->map, &fault), -EUCLEAN,
				    "bit %lu", bit);
		__change_bit(bit, victim->words);
	}
	map_intact(test, &victim->map);
}

static void verify_finds_a_wrong_count(struct kunit *test)
{
	static const struct span range = { "", 100, 9000 };
	struct victim *victim = make_victim(test, &range);
	struct quarry_fault fault = {};

	victim->map.nr++;
	EXPECT_ERR(test, quarry_freemap_verify(&victim->map, &fault), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, fault.found, fault.expected + 1);
	victim->map.nr -= 2;
	EXPECT_ERR(test, quarry_freemap_verify(&victim->map, &fault), -EUCLEAN);
	victim->map.nr++;
	map_intact(test, &victim->map);
}

/* A spare that can be none, or that the words hold as well. */
static void verify_finds_a_wrong_spare(struct kunit *test)
{
	struct quarry_freemap *map = make_map(test, 100, 200);
	struct quarry_fault fault = {};

	quarry_freemap_set(map, 150);
	quarry_freemap_set(map, 160);
	KUNIT_ASSERT_EQ(test, map->spare, 150UL);
	map->spare = 99;
	EXPECT_ERR(test, quarry_freemap_verify(map, &fault), -EUCLEAN);
	map->spare = 201;
	EXPECT_ERR(test, quarry_freemap_verify(map, &fault), -EUCLEAN);
	map->spare = 160;
	EXPECT_ERR(test, quarry_freemap_verify(map, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, "free map's spare");
	map->spare = 150;
	map_intact(test, map);
}

/* The lower of two is wanted sooner, so that is the one which is kept at hand. */
static void the_spare_is_the_lower_of_two(struct kunit *test)
{
	struct quarry_freemap *map = make_map(test, 100, 200);

	quarry_freemap_set(map, 160);
	KUNIT_EXPECT_EQ(test, map->spare, 160UL);
	quarry_freemap_set(map, 150);
	KUNIT_EXPECT_EQ(test, map->spare, 150UL);
	KUNIT_EXPECT_TRUE(test, quarry_freemap_test(map, 160));
	KUNIT_EXPECT_EQ(test, quarry_freemap_pop_first(map), 150UL);
	KUNIT_EXPECT_EQ(test, map->spare, NONE);
	KUNIT_EXPECT_EQ(test, quarry_freemap_pop_first(map), 160UL);
	KUNIT_EXPECT_TRUE(test, quarry_freemap_is_empty(map));
}

static unsigned long scaled(unsigned long number, unsigned int shift)
{
	return number == NONE ? NONE : number << shift;
}

/* A map with a shift answers as one without, in multiples of 2^shift. */
static void a_shift_scales_every_answer(struct kunit *test)
{
	static const unsigned long first = 77, last = 5000;
	static const unsigned int shift = 9;
	struct quarry_freemap *plain = make_map(test, first, last);
	struct quarry_freemap *map = qtest_memory(test, sizeof(*map));
	unsigned int i, align;
	struct rnd_state rnd;

	quarry_freemap_init(map, make_words(test, first, last), first, last, shift);
	qtest_seed(test, &rnd);
	for (i = 0; i < 2000; i++) {
		unsigned long at = first + qtest_below(&rnd, last - first + 1);

		if (quarry_freemap_test(plain, at)) {
			KUNIT_ASSERT_TRUE(test, quarry_freemap_clear(plain, at));
			KUNIT_ASSERT_TRUE(test, quarry_freemap_clear(map, at << shift));
		} else {
			quarry_freemap_set(plain, at);
			quarry_freemap_set(map, at << shift);
		}
		at = qtest_below(&rnd, last + 100);
		align = qtest_below(&rnd, 14);
		KUNIT_ASSERT_EQ(test, quarry_freemap_next(map, at << shift, shift + align),
				scaled(quarry_freemap_next(plain, at, align), shift));
		KUNIT_ASSERT_EQ(test, quarry_freemap_prev(map, (at << shift) + i % 512,
							  shift + align),
				scaled(quarry_freemap_prev(plain, at, align), shift));
	}
	KUNIT_ASSERT_EQ(test, quarry_freemap_pop_first(map),
			scaled(quarry_freemap_pop_first(plain), shift));
	KUNIT_ASSERT_EQ(test, quarry_freemap_pop_last(map),
			scaled(quarry_freemap_pop_last(plain), shift));
	map_intact(test, map);
}

/* With two members of one word there is one summary, of class 0, that isn't 0. */
static void verify_names_the_place_and_the_values(struct kunit *test)
{
	static const unsigned long last = 4 * BITS_PER_LONG * BITS_PER_LONG - 1;
	unsigned long *words = make_words(test, 0, last);
	unsigned long *summary = words + 4 * BITS_PER_LONG;
	struct quarry_freemap map;
	struct quarry_fault fault = {};

	quarry_freemap_init(&map, words, 0, last, 0);
	quarry_freemap_set(&map, 3 * BITS_PER_LONG + 1);
	quarry_freemap_set(&map, 3 * BITS_PER_LONG + 3);
	KUNIT_ASSERT_EQ(test, *summary, BIT(3));
	*summary |= BIT(7);
	EXPECT_ERR(test, quarry_freemap_verify(&map, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, "free map's summary");
	KUNIT_EXPECT_EQ(test, fault.addr, 0ULL);
	KUNIT_EXPECT_EQ(test, fault.expected, (u64)BIT(3));
	KUNIT_EXPECT_EQ(test, fault.found, (u64)(BIT(3) | BIT(7)));
	*summary = BIT(3);
	map_intact(test, &map);
}

static struct kunit_case freemap_cases[] = {
	KUNIT_CASE_PARAM(init_empties_the_map, range_gen_params),
	KUNIT_CASE_PARAM(a_full_map_stays_within_its_words, range_gen_params),
	KUNIT_CASE_PARAM(words_are_few, range_gen_params),
	KUNIT_CASE_PARAM(a_single_member_is_found_from_everywhere, range_gen_params),
	KUNIT_CASE_PARAM(ends_follow_each_change, range_gen_params),
	KUNIT_CASE_PARAM(pops_take_the_ends, range_gen_params),
	KUNIT_CASE_PARAM(searches_agree_with_a_flat_bitmap, range_gen_params),
	KUNIT_CASE(searches_from_every_index_with_every_alignment),
	KUNIT_CASE(alignment_skips_a_full_map),
	KUNIT_CASE(searches_may_start_outside),
	KUNIT_CASE(clear_says_whether_there_was_one),
	KUNIT_CASE(random_changes_agree_with_a_flat_bitmap),
	KUNIT_CASE_PARAM(verify_finds_every_flipped_bit, range_gen_params),
	KUNIT_CASE(verify_finds_a_wrong_count),
	KUNIT_CASE(verify_finds_a_wrong_spare),
	KUNIT_CASE(the_spare_is_the_lower_of_two),
	KUNIT_CASE(a_shift_scales_every_answer),
	KUNIT_CASE(verify_names_the_place_and_the_values),
	{}
};

static struct kunit_suite freemap_suite = {
	.name = "quarry_freemap",
	.test_cases = freemap_cases,
};

kunit_test_suite(freemap_suite);
