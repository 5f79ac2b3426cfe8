// SPDX-License-Identifier: GPL-2.0
#include "helpers.h"

static void init_takes_any_range_that_fits(struct kunit *test)
{
	static const struct quarry_region ranges[] = {
		{ 0, 1 }, { 0, U64_MAX }, { 1, U64_MAX }, { U64_MAX, 1 },
		{ 1ULL << 63, 1ULL << 63 }, { 12345, 6789 },
	};
	struct quarry_region region;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_OK(test, quarry_region_init(&region, ranges[i].base, ranges[i].size));
		KUNIT_EXPECT_EQ(test, region.base, ranges[i].base);
		KUNIT_EXPECT_EQ(test, region.size, ranges[i].size);
	}
}

static void init_refuses_what_is_empty_or_wraps(struct kunit *test)
{
	struct quarry_region region;

	EXPECT_ERR(test, quarry_region_init(&region, 0, 0), -EINVAL);
	EXPECT_ERR(test, quarry_region_init(&region, U64_MAX, 0), -EINVAL);
	EXPECT_ERR(test, quarry_region_init(&region, U64_MAX, 2), -EINVAL);
	EXPECT_ERR(test, quarry_region_init(&region, 2, U64_MAX), -EINVAL);
	EXPECT_ERR(test, quarry_region_init(&region, U64_MAX, U64_MAX), -EINVAL);
	EXPECT_ERR(test, quarry_region_init(&region, 1ULL << 63, (1ULL << 63) + 1), -EINVAL);
}

static void last_address_is_inside(struct kunit *test)
{
	struct quarry_region top = { 1ULL << 63, 1ULL << 63 };
	struct quarry_region one = { 7, 1 };

	KUNIT_EXPECT_EQ(test, quarry_region_last(&top), U64_MAX);
	KUNIT_EXPECT_EQ(test, quarry_region_last(&one), 7ULL);
}

struct trim_case {
	const char *name;
	struct quarry_region region;
	u64 granule;
	struct quarry_region trimmed;
	int err;
};

static const struct trim_case trim_cases[] = {
	{ "granule 1", { 3, 5 }, 1, { 3, 5 } },
	{ "already whole", { 4096, 8192 }, 4096, { 4096, 8192 } },
	{ "base up", { 4095, 8193 }, 4096, { 4096, 8192 } },
	{ "end down", { 4096, 8191 }, 4096, { 4096, 4096 } },
	{ "both", { 1, 16384 }, 4096, { 4096, 12288 } },
	{ "one granule", { 1, 8191 }, 4096, { 4096, 4096 } },
	{ "from 0", { 0, 4097 }, 4096, { 0, 4096 } },
	{ "to the top", { U64_MAX - 4096, 4097 }, 4096, { U64_MAX - 4095, 4096 } },
	{ "all but the top", { 1, U64_MAX - 1 }, 1ULL << 63, {}, -EINVAL },
	{ "half of all", { 1, U64_MAX }, 1ULL << 63, { 1ULL << 63, 1ULL << 63 } },
	{ "nothing left", { 1, 4095 }, 4096, {}, -EINVAL },
	{ "a byte short", { 1, 8190 }, 4096, {}, -EINVAL },
	{ "base wraps when rounded", { U64_MAX - 5, 6 }, 4096, {}, -EINVAL },
	{ "granule 0", { 0, 4096 }, 0, {}, -EINVAL },
	{ "granule 3", { 0, 4096 }, 3, {}, -EINVAL },
	{ "granule 2^32 and a page", { 0, U64_MAX }, BIT_ULL(32) + 4096, {}, -EINVAL },
	{ "granule 4095", { 0, 1 << 20 }, 4095, {}, -EINVAL },
};

static void trim_desc(const struct trim_case *trim, char *desc)
{
	strscpy(desc, trim->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(trim, trim_cases, trim_desc);

static void trim_keeps_whole_granules(struct kunit *test)
{
	const struct trim_case *trim = test->param_value;
	const struct quarry_region *expected = trim->err ? &trim->region : &trim->trimmed;
	struct quarry_region region = trim->region;

	EXPECT_ERR(test, quarry_region_trim(&region, trim->granule), trim->err);
	KUNIT_EXPECT_EQ(test, region.base, expected->base);
	KUNIT_EXPECT_EQ(test, region.size, expected->size);
}

static bool contains(u64 base, u64 size, u64 addr, u64 length)
{
	struct quarry_region region = { base, size };

	return quarry_region_contains(&region, addr, length);
}

static void contains_only_what_is_wholly_inside(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, contains(100, 10, 100, 10));
	KUNIT_EXPECT_TRUE(test, contains(100, 10, 109, 1));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 100, 11));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 109, 2));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 99, 1));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 99, 11));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 110, 1));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 0, 1));
}

static void contains_nothing_of_size_0(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 100, 0));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 109, 0));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 110, 0));
	KUNIT_EXPECT_FALSE(test, contains(0, U64_MAX, 0, 0));
}

static void contains_survives_sums_that_overflow(struct kunit *test)
{
	u64 half = 1ULL << 63;

	KUNIT_EXPECT_TRUE(test, contains(half, half, U64_MAX, 1));
	KUNIT_EXPECT_TRUE(test, contains(half, half, half, half));
	KUNIT_EXPECT_FALSE(test, contains(half, half, U64_MAX, 2));
	KUNIT_EXPECT_FALSE(test, contains(half, half, half, U64_MAX));
	KUNIT_EXPECT_FALSE(test, contains(half, half, half + 1, half));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 105, U64_MAX));
	KUNIT_EXPECT_FALSE(test, contains(100, 10, 105, U64_MAX - 100));
	KUNIT_EXPECT_FALSE(test, contains(0, 10, U64_MAX, 2));
}

static bool share_an_address(const struct quarry_region *a, const struct quarry_region *b)
{
	u64 i, j;

	for (i = 0; i < a->size; i++)
		for (j = 0; j < b->size; j++)
			if (a->base + i == b->base + j)
				return true;
	return false;
}

/* Every pair of ranges among eight addresses, at the bottom and the top of all. */
static void overlaps_as_addresses_say(struct kunit *test)
{
	unsigned int i, j, top;

	for (top = 0; top < 2; top++)
		for (i = 0; i < 64; i++)
			for (j = 0; j < 64; j++) {
				u64 origin = top ? U64_MAX - 7 : 0;
				struct quarry_region a = { origin + i / 8, 1 + i % 8 };
				struct quarry_region b = { origin + j / 8, 1 + j % 8 };

				if (i / 8 + a.size > 8 || j / 8 + b.size > 8)
					continue;
				KUNIT_EXPECT_EQ(test, quarry_region_overlaps(&a, &b),
						share_an_address(&a, &b));
			}
}

static struct kunit_case region_cases[] = {
	KUNIT_CASE(init_takes_any_range_that_fits),
	KUNIT_CASE(init_refuses_what_is_empty_or_wraps),
	KUNIT_CASE(last_address_is_inside),
	KUNIT_CASE_PARAM(trim_keeps_whole_granules, trim_gen_params),
	KUNIT_CASE(contains_only_what_is_wholly_inside),
	KUNIT_CASE(contains_nothing_of_size_0),
	KUNIT_CASE(contains_survives_sums_that_overflow),
	KUNIT_CASE(overlaps_as_addresses_say),
	{}
};

static struct kunit_suite region_suite = {
	.name = "quarry_region",
	.test_cases = region_cases,
};

kunit_test_suite(region_suite);
