// SPDX-License-Identifier: GPL-2.0
/*
 * How much of its memory a heap can put to use. One release of a well known
 * allocator passed all its tests of time while a pool of 128 MiB gave three blocks
 * of 1000 bytes; so this is tested as well: at the first fill, and in the long run.
 */
#include "heap_helpers.h"

#define NR_ROUNDS	300
#define SEED		20260101	/* always the same, for the bars are close */

/* ---- Metadata ---- */

struct overhead {
	size_t memory;
	size_t page_size;
	unsigned int limit;	/* in thousandths */
};

static const struct overhead overheads[] = {
	{ SZ_64K, 512, 16 }, { SZ_1M, 512, 10 }, { SZ_16M, 512, 10 },
};

static void overhead_desc(const struct overhead *overhead, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu KiB in pages of %zu",
		 overhead->memory / SZ_1K, overhead->page_size);
}

KUNIT_ARRAY_PARAM(overhead, overheads, overhead_desc);

static void metadata_are_small(struct kunit *test)
{
	const struct overhead *overhead = test->param_value;
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	struct quarry_heap_stats stats;

	ASSERT_OK(test, quarry_heap_init(heap, "", qtest_fenced_memory(test, overhead->memory,
								       SZ_4K, 0),
					 overhead->memory, overhead->page_size));
	stats = qtest_heap_stats(heap);
	KUNIT_EXPECT_LE(test, (stats.memory - stats.total) * 1000,
			(u64)overhead->memory * overhead->limit);
	KUNIT_EXPECT_LE(test, ((u64)quarry_heap_size(overhead->memory, overhead->page_size) -
			       overhead->memory) * 1000,
			(u64)overhead->memory * overhead->limit);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

/* ---- Packing ---- */

static size_t uniform(struct rnd_state *rnd)
{
	return 16 + qtest_below(rnd, 4096 - 16 + 1);
}

/* 16 B to 64 KiB: an octave of twelve, and a place in it; 2^x is nearly a parabola. */
static size_t log_uniform(struct rnd_state *rnd)
{
	size_t base = 16UL << qtest_below(rnd, 12);
	u32 x = qtest_below(rnd, 1 << 15);

	x = (x * (21512 + (11256 * x >> 15))) >> 15;
	return base + (base * x >> 15);
}

static size_t only_1000(struct rnd_state *rnd)
{
	return 1000;
}

static size_t small(struct rnd_state *rnd)
{
	return 1 + qtest_below(rnd, 256);
}

/**
 * struct mix - sizes that are asked for, and what must come of it
 * @name: of the mix
 * @size: a size of it
 * @first: payload at the first failure, in thousandths of what the heap has
 * @mean: the same on average, over rounds of "free a tenth, refill until it fails"
 */
struct mix {
	const char *name;
	size_t (*size)(struct rnd_state *rnd);
	unsigned int first;
	unsigned int mean;
};

static const struct mix mixes[] = {
	{ "16 B to 4 KiB", uniform, 920, 920 },
	{ "16 B to 64 KiB, log-uniform", log_uniform, 880, 880 },
	{ "1000 B only", only_1000, 950, 950 },
	{ "1 B to 256 B", small, 850, 850 },
};

static void mix_desc(const struct mix *mix, char *desc)
{
	strscpy(desc, mix->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mix, mixes, mix_desc);

/**
 * struct load - what is in the heap
 * @heap: the heap
 * @mix: what sizes are asked for
 * @rnd: where all decisions come from
 * @blocks: what it has given
 * @sizes: what was asked for
 * @nr: how many
 * @limit: how many there may be
 * @payload: the sum of @sizes
 */
struct load {
	struct quarry_heap *heap;
	const struct mix *mix;
	struct rnd_state rnd;
	void **blocks;
	u32 *sizes;
	unsigned int nr;
	unsigned int limit;
	u64 payload;
};

static void refill(struct kunit *test, struct load *load)
{
	for (;;) {
		size_t size = load->mix->size(&load->rnd);
		void *block = quarry_heap_alloc(load->heap, size);

		if (!block)
			return;
		KUNIT_ASSERT_LT(test, load->nr, load->limit);
		load->blocks[load->nr] = block;
		load->sizes[load->nr++] = size;
		load->payload += size;
	}
}

static void free_a_tenth(struct kunit *test, struct load *load)
{
	unsigned int i, at, nr = load->nr / 10;

	for (i = 0; i < nr; i++) {
		at = qtest_below(&load->rnd, load->nr);
		ASSERT_OK(test, quarry_heap_free(load->heap, load->blocks[at]));
		load->payload -= load->sizes[at];
		load->nr--;
		load->blocks[at] = load->blocks[load->nr];
		load->sizes[at] = load->sizes[load->nr];
	}
}

static void load_init(struct kunit *test, struct load *load, size_t size)
{
	*load = (struct load) {
		.heap = qtest_memory(test, sizeof(*load->heap)),
		.mix = test->param_value,
		.limit = size / 16,
	};
	load->blocks = qtest_memory(test, load->limit * sizeof(*load->blocks));
	load->sizes = qtest_memory(test, load->limit * sizeof(*load->sizes));
	ASSERT_OK(test, quarry_heap_init(load->heap, test->name, qtest_memory(test, size), size,
					 HEAP_PAGE));
	prandom_seed_state(&load->rnd, SEED);
}

static void most_of_the_memory_is_put_to_use(struct kunit *test)
{
	const struct mix *mix = test->param_value;
	struct load *load = qtest_memory(test, sizeof(*load));
	u64 total, first, sum = 0;
	int round;

	load_init(test, load, SZ_16M);
	total = qtest_heap_stats(load->heap).total;
	refill(test, load);
	first = div64_u64(load->payload * 1000, total);
	for (round = 0; round < NR_ROUNDS; round++) {
		free_a_tenth(test, load);
		refill(test, load);
		sum += load->payload;
		cond_resched();
	}
	sum = div64_u64(sum * 1000, total * NR_ROUNDS);
	kunit_info(test, "%llu of 1000 at the first failure, %llu on average", first, sum);
	KUNIT_EXPECT_GE(test, first, (u64)mix->first);
	KUNIT_EXPECT_GE(test, sum, (u64)mix->mean);
	qtest_heap_intact(test, load->heap);
	quarry_heap_destroy(load->heap, NULL, NULL);
}

/* The other way round: after all was freed, all is one again. */
static void nothing_is_lost_in_the_long_run(struct kunit *test)
{
	struct load *load = qtest_memory(test, sizeof(*load));
	int round;

	load_init(test, load, SZ_1M);
	for (round = 0; round < 20; round++) {
		refill(test, load);
		free_a_tenth(test, load);
	}
	qtest_heap_free_all(test, load->heap, load->blocks, load->nr);
	qtest_heap_all_free(test, load->heap);
	EXPECT_OK(test, quarry_heap_fini(load->heap, NULL));
}

static struct kunit_case packing_cases[] = {
	KUNIT_CASE_PARAM(metadata_are_small, overhead_gen_params),
	KUNIT_CASE_PARAM(most_of_the_memory_is_put_to_use, mix_gen_params),
	KUNIT_CASE_PARAM(nothing_is_lost_in_the_long_run, mix_gen_params),
	{}
};

static struct kunit_suite packing_suite = {
	.name = "quarry_heap_packing",
	.test_cases = packing_cases,
};

kunit_test_suite(packing_suite);
