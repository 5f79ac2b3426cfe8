// SPDX-License-Identifier: GPL-2.0
/*
 * Spaces of all sizes, page sizes and places, up to the largest there can be.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "oracle.h"

/* ---- Page sizes ---- */

static const u64 page_sizes[] = {
	8, 16, 64, SZ_512, SZ_4K, SZ_16K, SZ_64K, SZ_2M, SZ_512M, SZ_1G,
};

static void page_size_desc(const u64 *page_size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "pages of %llu bytes", *page_size);
}

KUNIT_ARRAY_PARAM(page_size, page_sizes, page_size_desc);

/* One block of each number of pages, and its neighbour, at each page size. */
static void blocks_are_cut_alike_at_every_page_size(struct kunit *test)
{
	u64 page = *(const u64 *)test->param_value;
	u64 base = 37 * page << 8;
	struct qtest_space *space = qtest_space(test, base, 67 * page, page);
	struct oracle *oracle = oracle_create(test, &space->region, page);
	struct quarry_buddy_request request = { .max = U64_MAX };
	struct quarry_buddy_block block, answer;
	u64 pages;

	for (pages = 1; pages <= 64; pages += 1 + pages / 4)
		for (request.flags = 0; request.flags < 4; request.flags++) {
			request.size = pages * page - page / 2;
			ASSERT_OK(test, quarry_buddy_alloc(&space->buddy, request.size,
							   request.flags, &block));
			ASSERT_OK(test, oracle_alloc(oracle, &request, &answer));
			EXPECT_BLOCK(test, &block, answer.addr, answer.size);
			oracle_compare_map(test, oracle, &space->buddy);
			ASSERT_OK(test, quarry_buddy_free(&space->buddy, block.addr));
			ASSERT_OK(test, oracle_free(oracle, block.addr));
		}
	oracle_compare_stats(test, oracle, &space->buddy);
	qtest_all_free(test, space);
}

/* ---- Places ---- */

/**
 * struct place - a space
 * @name: what is special about it
 * @first: its first page's number
 * @nr: its pages
 */
struct place {
	const char *name;
	u64 first;
	u32 nr;
};

#define TOP_PAGE	BIT_ULL(52)	/* one behind the last of 4 KiB */

static const struct place places[] = {
	{ "1 page", 1, 1 },
	{ "2 pages", 2, 2 },
	{ "2 pages that are no buddies", 1, 2 },
	{ "3 pages", 1, 3 },
	{ "5 pages", 7, 5 },
	{ "7 pages", 8, 7 },
	{ "7 pages before a border", 1, 7 },
	{ "8 pages", 8, 8 },
	{ "8 pages across a border", 4, 8 },
	{ "63 pages", 0, 63 },
	{ "64 pages", 0, 64 },
	{ "65 pages", 0, 65 },
	{ "64 pages, shifted by 1", 1, 64 },
	{ "127 pages", 129, 127 },
	{ "129 pages", 127, 129 },
	{ "1023 pages", 1, 1023 },
	{ "1025 pages", 1023, 1025 },
	{ "4096 pages", 1 << 20, 4096 },
	{ "4097 pages", 4095, 4097 },
	{ "across 2^32 bytes", (1 << 20) - 3, 6 },
	{ "across 2^63 bytes", (1ULL << 51) - 100, 200 },
	{ "the last page of all", TOP_PAGE - 1, 1 },
	{ "the last 2 pages", TOP_PAGE - 2, 2 },
	{ "the last 3 pages", TOP_PAGE - 3, 3 },
	{ "the last 1000 pages", TOP_PAGE - 1000, 1000 },
};

static void place_desc(const struct place *place, char *desc)
{
	strscpy(desc, place->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(place, places, place_desc);

static struct qtest_space *place_space(struct kunit *test)
{
	const struct place *place = test->param_value;

	return qtest_space(test, place->first * PAGE, place->nr * PAGE, PAGE);
}

static void a_new_space_is_the_largest_blocks_possible(struct kunit *test)
{
	struct qtest_space *space = place_space(test);
	struct oracle *oracle = oracle_create(test, &space->region, PAGE);

	oracle_compare_map(test, oracle, &space->buddy);
	oracle_compare_stats(test, oracle, &space->buddy);
	qtest_intact(test, &space->buddy);
	KUNIT_EXPECT_EQ(test, oracle->stats.largest_free, PAGE << oracle->stats.max_order);
}

/* From both ends by turns, then back in an order that joins late. */
static void every_page_can_be_had_and_given_back(struct kunit *test)
{
	const struct place *place = test->param_value;
	struct qtest_space *space = place_space(test);
	struct quarry_buddy_block block;
	u32 i;

	for (i = 0; i < place->nr; i++)
		qtest_alloc(test, space, PAGE, i % 2 ? QUARRY_BUDDY_TOPDOWN : 0);
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, 1, 0, &block), -ENOSPC);
	qtest_intact(test, &space->buddy);
	for (i = 0; i < place->nr; i += 2)
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, (place->first + i) * PAGE));
	qtest_intact(test, &space->buddy);
	for (i = 1; i < place->nr; i += 2)
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, (place->first + i) * PAGE));
	qtest_all_free(test, space);
}

static void the_whole_space_can_be_reserved(struct kunit *test)
{
	struct qtest_space *space = place_space(test);
	struct quarry_region *region = &space->region;
	struct quarry_buddy_block block;

	ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, region->base, region->size));
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, 1, 0, &block), -ENOSPC);
	ASSERT_OK(test, quarry_buddy_lookup(&space->buddy, quarry_region_last(region), &block));
	EXPECT_BLOCK(test, &block, region->base, region->size);
	qtest_intact(test, &space->buddy);
	EXPECT_OK(test, quarry_buddy_free(&space->buddy, region->base));
	qtest_all_free(test, space);
}

/* ---- Metadata ---- */

static const u64 meta_pages[] = {
	1024, 1025, 2047, 4096, 10000, SZ_64K - 1, SZ_1M, SZ_1M + 1, 3 * SZ_16M, 1ULL << 26,
};

static void meta_desc(const u64 *pages, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%llu pages", *pages);
}

KUNIT_ARRAY_PARAM(meta, meta_pages, meta_desc);

static void metadata_is_at_most_12_bits_a_page(struct kunit *test)
{
	u64 pages = *(const u64 *)test->param_value;
	struct quarry_region region = { .size = PAGES(pages) };
	int shift;

	for (shift = 0; shift < 20; shift++) {
		size_t size;

		region.base = AT((1 << shift) - 1);
		size = quarry_buddy_meta_size(&region, PAGE);
		KUNIT_EXPECT_NE(test, size, (size_t)0);
		KUNIT_EXPECT_LE(test, (u64)size * 8, 12 * pages);
	}
}

static void the_largest_space_needs_12_bits_a_page_too(struct kunit *test)
{
	u64 pages = 1ULL << QUARRY_BUDDY_MAX_ORDER;
	struct quarry_region region = { 0, PAGES(pages) };

	KUNIT_EXPECT_LE(test, (u64)quarry_buddy_meta_size(&region, PAGE), pages / 8 * 12);
	KUNIT_EXPECT_NE(test, quarry_buddy_meta_size(&region, PAGE), (size_t)0);
	region.base = PAGE;
	KUNIT_EXPECT_LE(test, (u64)quarry_buddy_meta_size(&region, PAGE), pages / 8 * 12);
	KUNIT_EXPECT_NE(test, quarry_buddy_meta_size(&region, PAGE), (size_t)0);
}

/* ---- The largest space ---- */

#define HUGE_PAGES	BIT_ULL(QUARRY_BUDDY_MAX_ORDER)

static int init_vmalloc(struct kunit_resource *res, void *size)
{
	res->data = vmalloc(*(size_t *)size);
	return res->data ? 0 : -ENOMEM;
}

static void free_vmalloc(struct kunit_resource *res)
{
	vfree(res->data);
}

/* The metadata of 16 TiB are 5.5 GiB, which few machines have for a test. */
static void *huge_memory(struct kunit *test, size_t size)
{
	if (IS_ENABLED(CONFIG_KASAN))
		kunit_skip(test, "too slow under KASAN");
	if (si_mem_available() < (long)(size >> PAGE_SHIFT) + (SZ_256M >> PAGE_SHIFT))
		kunit_skip(test, "needs %zu MiB of memory", (size + SZ_256M) >> 20);
	return kunit_alloc_resource(test, init_vmalloc, free_vmalloc, GFP_KERNEL, &size);
}

static struct quarry_buddy *huge_buddy(struct kunit *test, u64 base)
{
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	struct quarry_region region = { base, PAGES(HUGE_PAGES) };
	size_t size = quarry_buddy_meta_size(&region, PAGE);
	void *meta = huge_memory(test, size);

	KUNIT_ASSERT_NOT_NULL(test, meta);
	ASSERT_OK(test, quarry_buddy_init(buddy, "huge", &region, PAGE, meta, size));
	return buddy;
}

/* One page from all, and back: every split and every merge there can be. */
static void split_and_merge_all(struct kunit *test, struct quarry_buddy *buddy, unsigned int flags,
				u64 right)
{
	struct quarry_buddy_stats *stats = qtest_memory(test, sizeof(*stats));
	struct quarry_buddy_block block = {};

	ASSERT_OK(test, quarry_buddy_alloc(buddy, PAGE, flags, &block));
	EXPECT_BLOCK(test, &block, right, PAGE);
	quarry_buddy_stats(buddy, stats);
	KUNIT_EXPECT_EQ(test, stats->largest_free, PAGES(HUGE_PAGES) / 2);
	KUNIT_EXPECT_EQ(test, stats->nr_free[0], 1ULL);
	EXPECT_OK(test, quarry_buddy_free(buddy, block.addr));
	quarry_buddy_stats(buddy, stats);
	KUNIT_EXPECT_EQ(test, stats->nr_splits, (u64)QUARRY_BUDDY_MAX_ORDER);
	KUNIT_EXPECT_EQ(test, stats->nr_merges, (u64)QUARRY_BUDDY_MAX_ORDER);
	KUNIT_EXPECT_EQ(test, stats->largest_free, PAGES(HUGE_PAGES));
	buddy->nr_splits = 0;
	buddy->nr_merges = 0;
}

static void sixteen_tebibytes_are_managed(struct kunit *test)
{
	struct quarry_buddy *buddy = huge_buddy(test, 0);
	struct quarry_buddy_block block;
	u64 end = PAGES(HUGE_PAGES);

	split_and_merge_all(test, buddy, 0, 0);
	split_and_merge_all(test, buddy, QUARRY_BUDDY_TOPDOWN, end - PAGE);
	EXPECT_OK(test, quarry_buddy_reserve(buddy, end - PAGE, PAGE));
	EXPECT_OK(test, quarry_buddy_reserve(buddy, PAGE, PAGE));
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, PAGES(2), end - PAGES(2)), -EBUSY);
	EXPECT_OK(test, quarry_buddy_reserve(buddy, PAGES(2), end - PAGES(3)));
	ASSERT_OK(test, quarry_buddy_lookup(buddy, end / 2 + 12345, &block));
	EXPECT_BLOCK(test, &block, PAGES(2), end - PAGES(3));
	ASSERT_OK(test, quarry_buddy_alloc(buddy, 1, QUARRY_BUDDY_TOPDOWN, &block));
	EXPECT_BLOCK(test, &block, 0, PAGE);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, 1, 0, &block), -ENOSPC);
	EXPECT_OK(test, quarry_buddy_free(buddy, 0));
	EXPECT_OK(test, quarry_buddy_free(buddy, PAGES(2)));
	EXPECT_OK(test, quarry_buddy_free(buddy, end - PAGE));
	EXPECT_OK(test, quarry_buddy_free(buddy, PAGE));
	EXPECT_OK(test, quarry_buddy_alloc(buddy, end, QUARRY_BUDDY_EXACT, &block));
	EXPECT_BLOCK(test, &block, 0, end);
	EXPECT_OK(test, quarry_buddy_free(buddy, 0));
	EXPECT_OK(test, quarry_buddy_fini(buddy, NULL));
}

static struct kunit_case size_cases[] = {
	KUNIT_CASE_PARAM(blocks_are_cut_alike_at_every_page_size, page_size_gen_params),
	KUNIT_CASE_PARAM(a_new_space_is_the_largest_blocks_possible, place_gen_params),
	KUNIT_CASE_PARAM(every_page_can_be_had_and_given_back, place_gen_params),
	KUNIT_CASE_PARAM(the_whole_space_can_be_reserved, place_gen_params),
	KUNIT_CASE_PARAM(metadata_is_at_most_12_bits_a_page, meta_gen_params),
	KUNIT_CASE(the_largest_space_needs_12_bits_a_page_too),
	KUNIT_CASE_SLOW(sixteen_tebibytes_are_managed),
	{}
};

static struct kunit_suite size_suite = {
	.name = "quarry_buddy_size",
	.test_cases = size_cases,
};

kunit_test_suite(size_suite);
