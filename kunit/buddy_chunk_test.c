// SPDX-License-Identifier: GPL-2.0
/*
 * Buddies on a chunk of mapped memory that holds their metadata, too.
 */
#include <linux/align.h>
#include <linux/log2.h>

#include "oracle.h"

#define FENCE		64
#define FENCE_BYTE	0xa5	/* what qtest_memory() fills with */

/**
 * struct chunk - how a chunk is made
 * @name: what is special about it
 * @total: its bytes
 * @used: bytes at its start that aren't the buddy's
 * @page_size: the buddy's
 * @shift: how far its start is from any alignment
 * @err: what init must say
 */
struct chunk {
	const char *name;
	size_t total;
	size_t used;
	u64 page_size;
	size_t shift;
	int err;
};

static const struct chunk chunks[] = {
	{ "all of it", SZ_64K, 0, 64, 0 },
	{ "4 KiB pages", SZ_1M, 0, SZ_4K, 0 },
	{ "8-byte pages", SZ_64K, 0, 8, 0 },
	{ "used bytes", SZ_64K, 1000, 64, 0 },
	{ "half used", SZ_64K, SZ_32K, 64, 0 },
	{ "nearly all used", SZ_1M, SZ_1M - 1024, 8, 0 },
	{ "odd start", SZ_64K, 0, 64, 1 },
	{ "odd start, odd used", SZ_64K, 77, 256, 3 },
	{ "odd size", SZ_64K - 777, 5, 128, 5 },
	{ "one page just fits", 4 * SZ_4K, 0, SZ_4K, 8 },
	{ "small", 100, 0, 8, 0 },
	/* Defect 14: the original wrote behind the chunk. */
	{ "used is total", SZ_4K, SZ_4K, 64, 0, -ENOMEM },
	{ "used is nearly total", SZ_4K, SZ_4K - 8, 8, 0, -ENOMEM },
	{ "one byte left", SZ_4K, SZ_4K - 1, 8, 0, -ENOMEM },
	{ "no room for a page", SZ_64K, 8, SZ_64K, 0, -ENOMEM },
	{ "page larger than the chunk", SZ_64K, 0, SZ_1M, 0, -ENOMEM },
	{ "used is more than total", SZ_4K, SZ_4K + 1, 64, 0, -EINVAL },
	{ "used wraps", SZ_4K, -1UL, 64, 0, -EINVAL },
	{ "page size 0", SZ_4K, 0, 0, 0, -EINVAL },
	{ "page size 24", SZ_4K, 0, 24, 0, -EINVAL },
	{ "page size 4", SZ_4K, 0, 4, 0, -EINVAL },
	{ "page size above 1 GiB", SZ_4K, 0, 1ULL << 31, 0, -EINVAL },
	{ "total 0", 0, 0, 64, 0, -ENOMEM },
};

static void chunk_desc(const struct chunk *chunk, char *desc)
{
	strscpy(desc, chunk->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(chunk, chunks, chunk_desc);

/* The chunk's memory, with a fence before and behind. */
static u8 *make_memory(struct kunit *test, const struct chunk *chunk)
{
	u8 *memory = qtest_memory(test, chunk->total + 2 * FENCE + SZ_4K);

	return PTR_ALIGN(memory + FENCE, chunk->total >= SZ_8K ? SZ_4K : 64) + chunk->shift;
}

static void expect_untouched(struct kunit *test, const u8 *bytes, size_t size)
{
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(bytes, FENCE_BYTE, size), NULL);
}

static void expect_fences(struct kunit *test, const struct chunk *chunk, const u8 *memory)
{
	expect_untouched(test, memory - FENCE, FENCE);
	expect_untouched(test, memory + chunk->total, FENCE);
}

/* Every page of the buddy is overwritten, which must not hurt its metadata. */
static void use_every_page(struct kunit *test, struct quarry_buddy *buddy,
			   const struct chunk *chunk, const u8 *memory)
{
	struct quarry_buddy_block block;
	unsigned long behind = (unsigned long)memory + chunk->total;

	while (!quarry_buddy_alloc(buddy, chunk->page_size, 0, &block)) {
		KUNIT_ASSERT_TRUE(test, IS_ALIGNED(block.addr, chunk->page_size));
		KUNIT_ASSERT_GE(test, block.addr, (u64)(unsigned long)memory + chunk->used);
		KUNIT_ASSERT_LE(test, block.addr + block.size, (u64)behind);
		memset((void *)(unsigned long)block.addr, FENCE_BYTE, block.size);
	}
	qtest_intact(test, buddy);
}

static void a_chunk_is_used_and_nothing_around_it(struct kunit *test)
{
	const struct chunk *chunk = test->param_value;
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	u8 *memory = make_memory(test, chunk);
	int err;

	err = quarry_buddy_init_chunk(buddy, "chunk", memory, chunk->total, chunk->used,
				      chunk->page_size);
	KUNIT_EXPECT_EQ(test, err, chunk->err);
	expect_fences(test, chunk, memory);
	if (err) {
		expect_untouched(test, memory, chunk->total);
		expect_untouched(test, (u8 *)buddy, sizeof(*buddy));
		return;
	}
	expect_untouched(test, memory, chunk->used);
	use_every_page(test, buddy, chunk, memory);
	expect_fences(test, chunk, memory);
	expect_untouched(test, memory, chunk->used);
}

/* What isn't used before is metadata, at most 12 bits a page and a little, or pages. */
static void little_of_a_chunk_is_lost(struct kunit *test)
{
	static const struct chunk chunk = { "", SZ_1M, SZ_512K + 8, 64, 24 };
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	struct quarry_buddy_stats *stats = qtest_memory(test, sizeof(*stats));
	u64 rest = chunk.total - chunk.used;

	ASSERT_OK(test, quarry_buddy_init_chunk(buddy, "chunk", make_memory(test, &chunk),
						chunk.total, chunk.used, chunk.page_size));
	quarry_buddy_stats(buddy, stats);
	KUNIT_EXPECT_GE(test, stats->total, rest - rest / 64 * 12 / 8 - SZ_1K);
}

static void init_chunk_refuses_missing_arguments(struct kunit *test)
{
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	u8 *memory = qtest_memory(test, SZ_4K);

	EXPECT_ERR(test, quarry_buddy_init_chunk(NULL, "", memory, SZ_4K, 0, 64), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_init_chunk(buddy, NULL, memory, SZ_4K, 0, 64), -EINVAL);
	EXPECT_ERR(test, quarry_buddy_init_chunk(buddy, "", NULL, SZ_4K, 0, 64), -EINVAL);
	expect_untouched(test, memory, SZ_4K);
}

/* ---- Contents ---- */

static void *pointer(u64 addr)
{
	return (void *)(unsigned long)addr;
}

/* Fills a block with a byte that depends on where and when. */
static void fill(struct oracle *oracle, u8 *marks, const struct quarry_buddy_block *block, u8 mark)
{
	marks[oracle_page(oracle, block->addr)] = mark;
	memset(pointer(block->addr), mark, block->size);
}

static void expect_contents(struct kunit *test, u64 addr, u64 size, u8 mark)
{
	KUNIT_ASSERT_PTR_EQ(test, memchr_inv(pointer(addr), mark, size), NULL);
}

/* A block somewhere is reallocated, and takes its contents along as far as they fit. */
static void realloc_one(struct kunit *test, struct rnd_state *rnd, struct quarry_buddy *buddy,
			struct oracle *oracle, u8 *marks, u32 page)
{
	u64 addr = oracle_addr(oracle, page);
	u64 old = (u64)oracle->block[page] << oracle->page_shift;
	u64 size = 1 + qtest_below(rnd, 3 * old);
	u32 flags = qtest_below(rnd, 4);
	struct quarry_buddy_block block = {}, answer = {};
	int err = quarry_buddy_realloc(buddy, addr, size, flags, &block);

	KUNIT_ASSERT_EQ(test, err, oracle_realloc(oracle, addr, size, flags, &answer));
	if (err) {
		expect_contents(test, addr, old, marks[page]);
		return;
	}
	KUNIT_ASSERT_EQ(test, block.addr, answer.addr);
	KUNIT_ASSERT_EQ(test, block.size, answer.size);
	expect_contents(test, block.addr, min(old, block.size), marks[page]);
	fill(oracle, marks, &block, prandom_u32_state(rnd));
}

static void alloc_one(struct kunit *test, struct rnd_state *rnd, struct quarry_buddy *buddy,
		      struct oracle *oracle, u8 *marks)
{
	struct quarry_buddy_request request = {
		.size = 1 + qtest_below(rnd, 1U << (6 + qtest_below(rnd, 6))),
		.max = U64_MAX,
		.flags = qtest_below(rnd, 4),
	};
	struct quarry_buddy_block block = {}, answer = {};
	int err = quarry_buddy_alloc(buddy, request.size, request.flags, &block);

	KUNIT_ASSERT_EQ(test, err, oracle_alloc(oracle, &request, &answer));
	if (!err)
		fill(oracle, marks, &block, prandom_u32_state(rnd));
}

static void free_one(struct kunit *test, struct quarry_buddy *buddy, struct oracle *oracle,
		     u8 *marks, u32 page)
{
	u64 addr = oracle_addr(oracle, page);

	expect_contents(test, addr, (u64)oracle->block[page] << oracle->page_shift, marks[page]);
	ASSERT_OK(test, quarry_buddy_free(buddy, addr));
	ASSERT_OK(test, oracle_free(oracle, addr));
}

static void contents_stay_through_random_reallocation(struct kunit *test)
{
	static const struct chunk chunk = { "", 9000, 100, 64, 8 };
	struct quarry_buddy *buddy = qtest_memory(test, sizeof(*buddy));
	unsigned long i, rounds = qtest_rounds(test, 300000);
	struct oracle *oracle;
	struct rnd_state rnd;
	u8 *marks;

	ASSERT_OK(test, quarry_buddy_init_chunk(buddy, "chunk", make_memory(test, &chunk),
						chunk.total, chunk.used, chunk.page_size));
	oracle = oracle_create(test, &buddy->region, chunk.page_size);
	marks = qtest_memory(test, oracle->nr_pages);
	qtest_seed(test, &rnd);
	for (i = 0; i < rounds; i++) {
		u32 page = qtest_below(&rnd, oracle->nr_pages);

		if (!oracle->block[page])
			alloc_one(test, &rnd, buddy, oracle, marks);
		else if (qtest_below(&rnd, 2))
			realloc_one(test, &rnd, buddy, oracle, marks, page);
		else
			free_one(test, buddy, oracle, marks, page);
	}
	oracle_compare_map(test, oracle, buddy);
	oracle_compare_stats(test, oracle, buddy);
	qtest_intact(test, buddy);
}

static struct kunit_case chunk_cases[] = {
	KUNIT_CASE_PARAM(a_chunk_is_used_and_nothing_around_it, chunk_gen_params),
	KUNIT_CASE(little_of_a_chunk_is_lost),
	KUNIT_CASE(init_chunk_refuses_missing_arguments),
	KUNIT_CASE(contents_stay_through_random_reallocation),
	{}
};

static struct kunit_suite chunk_suite = {
	.name = "quarry_buddy_chunk",
	.test_cases = chunk_cases,
};

kunit_test_suite(chunk_suite);
