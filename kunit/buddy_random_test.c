// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of every kind on a buddy and on a byte map, which must
 * answer the same: errors, addresses, sizes, and in the end all counters.
 */
#include "oracle.h"

/**
 * struct trial - one random test
 * @test: the test
 * @buddy: the buddy under test
 * @oracle: what it must be like
 * @rnd: where all decisions come from
 * @appetite: how many of ten decisions between taking and freeing are to take
 */
struct trial {
	struct kunit *test;
	struct quarry_buddy *buddy;
	struct oracle *oracle;
	struct rnd_state rnd;
	u32 appetite;
};

static u64 random_page(struct trial *trial)
{
	return oracle_addr(trial->oracle, qtest_below(&trial->rnd, trial->oracle->nr_pages));
}

/* Of all orders alike, seldom more than there is, and any byte count. */
static u64 random_size(struct trial *trial)
{
	u32 order = qtest_below(&trial->rnd, ilog2(trial->oracle->nr_pages) + 2);
	u64 limit = 1ULL << order << trial->oracle->page_shift;

	return limit - qtest_below(&trial->rnd, min_t(u64, limit, U32_MAX));
}

static struct quarry_buddy_request random_request(struct trial *trial)
{
	u64 base = trial->oracle->region.base;
	u64 size = trial->oracle->region.size;
	struct quarry_buddy_request request = {
		.size = random_size(trial),
		.max = U64_MAX,
		.flags = qtest_below(&trial->rnd, 4),
	};

	if (qtest_below(&trial->rnd, 2))
		request.align = 1ULL << qtest_below(&trial->rnd, ilog2(size) + 2);
	if (qtest_below(&trial->rnd, 2))
		request.min = base + qtest_below(&trial->rnd, size);
	if (qtest_below(&trial->rnd, 2))
		request.max = max(request.min, base + qtest_below(&trial->rnd, size));
	return request;
}

static void expect_same(struct trial *trial, int err, const struct quarry_buddy_block *block,
			int right, const struct quarry_buddy_block *answer)
{
	KUNIT_ASSERT_EQ_MSG(trial->test, err, right, "%#llx+%#llx was right, found %#llx+%#llx",
			    answer->addr, answer->size, block->addr, block->size);
	if (err)
		return;
	KUNIT_ASSERT_EQ(trial->test, block->addr, answer->addr);
	KUNIT_ASSERT_EQ(trial->test, block->size, answer->size);
	KUNIT_ASSERT_FALSE(trial->test, block->free);
}

static void try_alloc(struct trial *trial)
{
	struct quarry_buddy_request request = {
		.size = random_size(trial),
		.max = U64_MAX,
		.flags = qtest_below(&trial->rnd, 4),
	};
	struct quarry_buddy_block block = {}, answer = {};
	int err = quarry_buddy_alloc(trial->buddy, request.size, request.flags, &block);

	expect_same(trial, err, &block, oracle_alloc(trial->oracle, &request, &answer), &answer);
}

static void try_xalloc(struct trial *trial)
{
	struct quarry_buddy_request request = random_request(trial);
	struct quarry_buddy_block block = {}, answer = {}, probed = {};
	int forecast = quarry_buddy_probe(trial->buddy, &request, &probed);
	int err = quarry_buddy_xalloc(trial->buddy, &request, &block);

	KUNIT_ASSERT_EQ(trial->test, forecast, err);
	KUNIT_ASSERT_EQ(trial->test, probed.addr, block.addr);
	KUNIT_ASSERT_EQ(trial->test, probed.size, block.size);
	expect_same(trial, err, &block, oracle_alloc(trial->oracle, &request, &answer), &answer);
}

static void try_reserve(struct trial *trial)
{
	u64 addr = random_page(trial);
	u64 rest = trial->oracle->region.size - (addr - trial->oracle->region.base);
	u64 size = min(random_size(trial), rest);
	int err = quarry_buddy_reserve(trial->buddy, addr, size);

	KUNIT_ASSERT_EQ(trial->test, err, oracle_reserve(trial->oracle, addr, size));
}

/* Most pages start no block in use, so this is refused often, for all reasons. */
static void try_free(struct trial *trial)
{
	u64 addr = random_page(trial);
	int err;

	if (!qtest_below(&trial->rnd, 16))
		addr += qtest_below(&trial->rnd, 1U << min(trial->oracle->page_shift, 31U));
	if (!qtest_below(&trial->rnd, 64))
		addr += qtest_below(&trial->rnd, 2) ? trial->oracle->region.size :
						      -trial->oracle->region.size;
	err = quarry_buddy_free(trial->buddy, addr);
	KUNIT_ASSERT_EQ(trial->test, err, oracle_free(trial->oracle, addr));
}

/* The start of some block in use, or any page if there is none from there on. */
static u64 random_block(struct trial *trial)
{
	u32 page = qtest_below(&trial->rnd, trial->oracle->nr_pages);

	while (page && !trial->oracle->block[page])
		page--;
	return oracle_addr(trial->oracle, page);
}

static void try_free_block(struct trial *trial)
{
	u64 addr = random_block(trial);
	int err = quarry_buddy_free(trial->buddy, addr);

	KUNIT_ASSERT_EQ(trial->test, err, oracle_free(trial->oracle, addr));
}

static void try_realloc(struct trial *trial)
{
	struct quarry_buddy_block block = {}, answer = {};
	u64 addr = qtest_below(&trial->rnd, 8) ? random_block(trial) : random_page(trial);
	u32 flags = qtest_below(&trial->rnd, 4);
	u64 size = random_size(trial);
	int err = quarry_buddy_realloc(trial->buddy, addr, size, flags, &block);

	expect_same(trial, err, &block,
		    oracle_realloc(trial->oracle, addr, size, flags, &answer), &answer);
}

static void try_lookup(struct trial *trial)
{
	const struct oracle *oracle = trial->oracle;
	struct quarry_buddy_block block = {};
	u64 addr = random_page(trial);
	u32 page = oracle_page(oracle, addr);
	int err;

	addr += qtest_below(&trial->rnd, 1U << min(oracle->page_shift, 31U));
	err = quarry_buddy_lookup(trial->buddy, addr, &block);
	KUNIT_ASSERT_EQ(trial->test, err, oracle->used[page] ? 0 : -ENOENT);
	if (err)
		return;
	while (!oracle->block[page])
		page--;
	KUNIT_ASSERT_EQ(trial->test, block.addr, oracle_addr(oracle, page));
	KUNIT_ASSERT_EQ(trial->test, block.size, (u64)oracle->block[page] << oracle->page_shift);
}

static void try_something(struct trial *trial)
{
	static void (*const takes[])(struct trial *) = { try_alloc, try_xalloc, try_reserve };
	static void (*const others[])(struct trial *) = { try_free, try_realloc, try_lookup };

	if (qtest_below(&trial->rnd, 3) == 0)
		others[qtest_below(&trial->rnd, ARRAY_SIZE(others))](trial);
	else if (qtest_below(&trial->rnd, 10) < trial->appetite)
		takes[qtest_below(&trial->rnd, ARRAY_SIZE(takes))](trial);
	else
		try_free_block(trial);
}

static void compare_all(struct trial *trial)
{
	oracle_compare_map(trial->test, trial->oracle, trial->buddy);
	oracle_compare_stats(trial->test, trial->oracle, trial->buddy);
	qtest_intact(trial->test, trial->buddy);
}

static void move_nothing(void *ctx, u64 to, u64 from, u64 size)
{
}

struct arena {
	const char *name;
	u64 base;
	u64 page_size;
	u32 nr_pages;
	unsigned long rounds;
};

static const struct arena arenas[] = {
	{ "64 pages", BASE, SZ_4K, 64, 1000000 },
	{ "101 pages from 27 on", BASE + 27 * SZ_4K, SZ_4K, 101, 500000 },
	{ "7 pages from 1 on", 8, 8, 7, 100000 },
	{ "one page", SZ_1G, SZ_1G, 1, 20000 },
	{ "33 pages of 1 GiB to the top", -33ULL * SZ_1G, SZ_1G, 33, 100000 },
	{ "67 pages of 8 bytes to the top", -67ULL * 8, 8, 67, 100000 },
	{ "1500 pages", 4095 * 64, 64, 1500, 20000 },
	{ "5003 pages from 0 on", 0, SZ_64K, 5003, 10000 },
};

static void arena_desc(const struct arena *arena, char *desc)
{
	strscpy(desc, arena->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(arena, arenas, arena_desc);

static void everything_agrees_with_a_byte_map(struct kunit *test)
{
	const struct arena *arena = test->param_value;
	struct qtest_space *space = qtest_space(test, arena->base,
						arena->nr_pages * arena->page_size,
						arena->page_size);
	struct trial trial = { .test = test, .buddy = &space->buddy };
	unsigned long i, rounds = qtest_rounds(test, arena->rounds);

	trial.oracle = oracle_create(test, &space->region, arena->page_size);
	quarry_buddy_set_move(&space->buddy, move_nothing, NULL);
	qtest_seed(test, &trial.rnd);
	for (i = 0; i < rounds; i++) {
		if (i % 512 == 0) {
			trial.appetite = 2 + qtest_below(&trial.rnd, 7);
			compare_all(&trial);
			cond_resched();
		}
		try_something(&trial);
	}
	compare_all(&trial);
}

static struct kunit_case random_cases[] = {
	KUNIT_CASE_PARAM(everything_agrees_with_a_byte_map, arena_gen_params),
	{}
};

static struct kunit_suite random_suite = {
	.name = "quarry_buddy_random",
	.test_cases = random_cases,
};

kunit_test_suite(random_suite);
