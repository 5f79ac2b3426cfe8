// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that comes and goes: extents of any size at any place, those that a heap
 * fetches by itself, and its end. Defect numbers are those of the reference
 * systems that Quarry learned from.
 */
#include <linux/align.h>
#include <linux/irqflags.h>

#include "heap_helpers.h"

#define MANY	40000	/* more blocks than any heap here can have */

/* ---- extend ---- */

static void extents_that_are_none_are_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *memory = qtest_memory(test, SZ_4K);
	size_t up_to_end = -(unsigned long)memory;

	qtest_heap_remember(space);
	EXPECT_ERR(test, quarry_heap_extend(heap, NULL, SZ_4K), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extend(heap, NULL, 0), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extend(heap, memory, 0), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extend(heap, memory, SIZE_MAX), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extend(heap, memory, up_to_end + 1), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extend(heap, ERR_PTR(-64), SZ_4K), -EINVAL);
	EXPECT_ERR(test, quarry_heap_extend(heap, memory, 1), -ENOMEM);
	EXPECT_ERR(test, quarry_heap_extend(heap, memory, HEAP_PAGE), -ENOMEM);
	EXPECT_ERR(test, quarry_heap_extend(heap, memory + 1, HEAP_PAGE), -ENOMEM);
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0xa5, SZ_4K));
	space->old.nr_misuses = qtest_heap_stats(heap).nr_misuses;
	qtest_heap_unchanged(test, space, 0);
}

/* Defect 12: overlapping extents, and the same twice, were accepted. */
static void extents_that_overlap_are_refused(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	u8 *memory = qtest_memory(test, 5 * SZ_16K), *at = memory + 2 * SZ_16K;
	const struct { u8 *memory; size_t size; } overlaps[] = {
		{ at, SZ_16K }, { at, SZ_8K }, { at, 2 * SZ_16K }, { at + SZ_4K, SZ_4K },
		{ at - SZ_16K, SZ_16K + 1 }, { at - SZ_16K, 3 * SZ_16K }, { memory, 5 * SZ_16K },
		{ at - 1, SZ_16K }, { at + 1, SZ_16K }, { at + SZ_16K - 1, SZ_16K },
		{ at - SZ_8K, SZ_16K }, { at + SZ_8K, SZ_16K }, { at + SZ_16K - SZ_4K, SZ_4K },
	};
	struct quarry_heap_stats stats;
	size_t i;

	ASSERT_OK(test, quarry_heap_init(heap, "overlap", at, SZ_16K, HEAP_PAGE));
	for (i = 0; i < ARRAY_SIZE(overlaps); i++)
		EXPECT_ERR(test, quarry_heap_extend(heap, overlaps[i].memory, overlaps[i].size),
			   -EEXIST);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).memory, (u64)SZ_16K);
	EXPECT_OK(test, quarry_heap_extend(heap, at - SZ_16K, SZ_16K));
	EXPECT_OK(test, quarry_heap_extend(heap, at + SZ_16K, SZ_16K));
	for (i = 0; i < ARRAY_SIZE(overlaps); i++)
		EXPECT_ERR(test, quarry_heap_extend(heap, overlaps[i].memory, overlaps[i].size),
			   -EEXIST);
	stats = qtest_heap_stats(heap);
	KUNIT_EXPECT_EQ(test, stats.nr_extents, 3U);
	KUNIT_EXPECT_EQ(test, stats.memory, 3ULL * SZ_16K);
	qtest_heap_all_free(test, heap);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

/* Blocks of two extents that touch each other don't reach from one to the other. */
static void no_block_lies_in_two_extents(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	u8 *memory = qtest_fenced_memory(test, 2 * SZ_16K, SZ_4K, 0), *block;
	struct quarry_heap_extent_stats low, high;
	size_t size = 10 * HEAP_PAGE;

	ASSERT_OK(test, quarry_heap_init(heap, "", memory + SZ_16K, SZ_16K, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_extend(heap, memory, SZ_16K));
	ASSERT_OK(test, quarry_heap_extent_stats(heap, 0, &high));
	ASSERT_OK(test, quarry_heap_extent_stats(heap, 1, &low));
	KUNIT_EXPECT_PTR_EQ(test, low.memory, (void *)memory);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, max(low.total, high.total) + 1));
	while ((block = quarry_heap_alloc(heap, size)))
		KUNIT_EXPECT_TRUE(test, block + size <= memory + SZ_16K ||
				  block >= memory + SZ_16K);
	qtest_heap_intact(test, heap);
	qtest_fences(test, memory, 2 * SZ_16K);
	KUNIT_EXPECT_GT(test, quarry_heap_destroy(heap, NULL, NULL), 3ULL);
}

/* Defect 11: of two small extents, 72 of 128 small blocks were to be had. */
static void every_small_block_of_small_extents_is_usable(struct kunit *test)
{
	static const size_t sizes[] = { 16, 32, 64, 128, 256, 512 };
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	size_t size = quarry_heap_size(SZ_4K, HEAP_PAGE), i;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int nr;

	ASSERT_OK(test, quarry_heap_init(heap, "two", qtest_fenced_memory(test, size, SZ_4K, 0),
					 size, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_extend(heap, qtest_fenced_memory(test, size, SZ_4K, 0),
					   size));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		nr = qtest_heap_fill(test, heap, sizes[i], blocks, MANY);
		KUNIT_EXPECT_EQ(test, nr * sizes[i], (size_t)SZ_8K);
		qtest_heap_free_all(test, heap, blocks, nr);
		qtest_heap_all_free(test, heap);
	}
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

/* ---- Many extents ---- */

#define NR_EXTENTS	QUARRY_HEAP_MAX_EXTENTS

struct extents {
	struct quarry_heap heap;
	u8 *memory[NR_EXTENTS];
	size_t size[NR_EXTENTS];
};

/* Of all sizes, the smallest with a page or two, at odd places, in no order. */
static struct extents *many_extents(struct kunit *test)
{
	struct extents *extents = qtest_memory(test, sizeof(*extents));
	int i;

	ASSERT_OK(test, quarry_heap_init(&extents->heap, test->name, NULL, 0, 64));
	for (i = 0; i < NR_EXTENTS; i++) {
		extents->size[i] = 300 + 97 * i + (i % 7 == 3 ? SZ_16K : 0);
		extents->memory[i] = qtest_fenced_memory(test, extents->size[i], 64, 5 * i);
		ASSERT_OK(test, quarry_heap_extend(&extents->heap, extents->memory[i],
						   extents->size[i]));
	}
	return extents;
}

static void expect_all_fences(struct kunit *test, const struct extents *extents)
{
	int i;

	for (i = 0; i < NR_EXTENTS; i++)
		qtest_fences(test, extents->memory[i], extents->size[i]);
}

static int extent_of(struct kunit *test, const struct extents *extents, const u8 *block)
{
	int i;

	for (i = 0; i < NR_EXTENTS; i++)
		if (block >= extents->memory[i] && block < extents->memory[i] + extents->size[i])
			return i;
	KUNIT_ASSERT_TRUE_MSG(test, false, "a block in no extent");
	return -1;
}

/* Each of them serves, and each of their blocks is known. */
static void many_extents_serve_as_one(struct kunit *test)
{
	static const size_t sizes[] = { 16, 64, 100, 180, 1000 };
	struct extents *extents = many_extents(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	int served[NR_EXTENTS] = {}, used = 0;
	unsigned int i, k, nr;

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		nr = qtest_heap_fill(test, &extents->heap, sizes[k], blocks, MANY);
		qtest_heap_intact(test, &extents->heap);
		for (i = 0; i < nr; i++) {
			KUNIT_ASSERT_TRUE(test, qtest_heap_keeps(blocks[i], sizes[k]));
			served[extent_of(test, extents, blocks[i])]++;
			ASSERT_OK(test, quarry_heap_free(&extents->heap, blocks[i]));
		}
		qtest_heap_all_free(test, &extents->heap);
	}
	for (i = 0; i < NR_EXTENTS; i++)
		used += served[i] > 0;
	KUNIT_EXPECT_EQ(test, used, NR_EXTENTS);
	expect_all_fences(test, extents);
	EXPECT_OK(test, quarry_heap_fini(&extents->heap, NULL));
}

static void one_extent_too_many_is_refused(struct kunit *test)
{
	struct extents *extents = many_extents(test);
	void *memory = qtest_memory(test, SZ_4K);
	struct quarry_heap_stats stats;

	EXPECT_ERR(test, quarry_heap_extend(&extents->heap, memory, SZ_4K), -ENOSPC);
	stats = qtest_heap_stats(&extents->heap);
	KUNIT_EXPECT_EQ(test, stats.nr_extents, (unsigned int)NR_EXTENTS);
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0xa5, SZ_4K));
	EXPECT_ERR(test, quarry_heap_free(&extents->heap, memory), -EINVAL);
	EXPECT_OK(test, quarry_heap_shrink(&extents->heap, extents->memory[20]));
	EXPECT_OK(test, quarry_heap_extend(&extents->heap, memory, SZ_4K));
	qtest_heap_all_free(test, &extents->heap);
	EXPECT_OK(test, quarry_heap_fini(&extents->heap, NULL));
}

static void the_walk_goes_through_many_extents(struct kunit *test)
{
	struct extents *extents = many_extents(test);
	struct quarry_heap_block block = {};
	struct quarry_heap_extent_stats extent;
	u64 seen = 0, total = 0;
	u8 *last = NULL;
	int i;

	for (i = 0; i < 300; i++)
		qtest_heap_block(test, &extents->heap, 1 + i % 90);
	while (!quarry_heap_next(&extents->heap, block.addr + block.size, &block)) {
		KUNIT_ASSERT_TRUE(test, (u8 *)block.addr > last);
		extent_of(test, extents, block.addr);
		last = block.addr;
		seen += block.size;
	}
	for (i = 0; i < NR_EXTENTS; i++) {
		ASSERT_OK(test, quarry_heap_extent_stats(&extents->heap, i, &extent));
		KUNIT_EXPECT_PTR_EQ(test, extent.memory, (void *)extents->memory[i]);
		KUNIT_EXPECT_EQ(test, extent.size, extents->size[i]);
		total += extent.total;
	}
	KUNIT_EXPECT_EQ(test, seen, total);
	KUNIT_EXPECT_EQ(test, total, qtest_heap_stats(&extents->heap).total);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(&extents->heap, NULL, NULL), 300ULL);
}

/* Taken away in an order of their own, with blocks in half of them. */
static void extents_may_leave_in_any_order(struct kunit *test)
{
	struct extents *extents = many_extents(test);
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, k, nr = qtest_heap_fill(test, &extents->heap, 24, blocks, MANY);

	for (i = 0; i < NR_EXTENTS; i++)
		EXPECT_ERR(test, quarry_heap_shrink(&extents->heap, extents->memory[i]), -EBUSY);
	for (i = 0; i < NR_EXTENTS; i++) {
		int leaves = i * 27 % NR_EXTENTS;

		for (k = 0; k < nr; k++)
			if (blocks[k] && extent_of(test, extents, blocks[k]) == leaves) {
				ASSERT_OK(test, quarry_heap_free(&extents->heap, blocks[k]));
				blocks[k] = NULL;
			}
		ASSERT_OK(test, quarry_heap_shrink(&extents->heap, extents->memory[leaves]));
		memset(extents->memory[leaves], 0x5a, extents->size[leaves]);
		EXPECT_ERR(test, quarry_heap_free(&extents->heap, extents->memory[leaves] + 64),
			   -EINVAL);
		qtest_heap_intact(test, &extents->heap);
	}
	for (i = 0; i < NR_EXTENTS; i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(extents->memory[i], 0x5a, extents->size[i]));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&extents->heap).memory, 0ULL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(&extents->heap, 1));
	expect_all_fences(test, extents);
}

/* ---- shrink ---- */

static void only_a_free_extent_leaves(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *first = qtest_heap_block(test, heap, 16), *block = qtest_heap_block(test, heap, 16);
	u8 *more = qtest_fenced_memory(test, SZ_16K, 8, 0);

	qtest_heap_remember(space);
	EXPECT_ERR(test, quarry_heap_shrink(heap, space->memory), -EBUSY);
	EXPECT_ERR(test, quarry_heap_shrink(heap, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_shrink(heap, space->memory + 1), -EINVAL);
	EXPECT_ERR(test, quarry_heap_shrink(heap, max(first, block)), -EINVAL);
	EXPECT_ERR(test, quarry_heap_shrink(heap, more), -EINVAL);
	space->old.nr_misuses = qtest_heap_stats(heap).nr_misuses;
	qtest_heap_unchanged(test, space, 0);

	EXPECT_OK(test, quarry_heap_extend(heap, more, SZ_16K));
	EXPECT_OK(test, quarry_heap_shrink(heap, more));
	EXPECT_ERR(test, quarry_heap_shrink(heap, more), -EINVAL);
	EXPECT_OK(test, quarry_heap_extend(heap, more, SZ_16K));
	EXPECT_OK(test, quarry_heap_free(heap, first));
	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	EXPECT_OK(test, quarry_heap_shrink(heap, space->memory));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).memory, (u64)SZ_16K);
	qtest_heap_all_free(test, heap);
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, 8000));
	EXPECT_ERR(test, quarry_heap_free(heap, block), -EINVAL);
}

/* ---- destroy ---- */

struct flushes {
	struct kunit *test;
	void *memory[8];
	size_t size[8];
	int nr;
	int nr_seen;
};

static void flush(void *ctx, void *memory, size_t size)
{
	struct flushes *flushes = ctx;

	KUNIT_ASSERT_LT(flushes->test, flushes->nr_seen, flushes->nr);
	KUNIT_EXPECT_PTR_EQ(flushes->test, memory, flushes->memory[flushes->nr_seen]);
	KUNIT_EXPECT_EQ(flushes->test, size, flushes->size[flushes->nr_seen]);
	KUNIT_EXPECT_FALSE(flushes->test, irqs_disabled());
	flushes->nr_seen++;
	memset(memory, 0x5a, size);
}

/* Once each, in the order in which they came, as they were given. */
static void destroy_hands_back_every_extent(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	struct flushes flushes = { .test = test, .nr = 8 };
	int i;

	for (i = 0; i < 8; i++) {
		flushes.size[i] = 3000 + 1111 * (i * 5 % 8);
		flushes.memory[i] = qtest_fenced_memory(test, flushes.size[i], 64, i);
		if (i)
			ASSERT_OK(test, quarry_heap_extend(heap, flushes.memory[i],
							   flushes.size[i]));
		else
			ASSERT_OK(test, quarry_heap_init(heap, "", flushes.memory[i],
							 flushes.size[i], 128));
	}
	for (i = 0; i < 100; i++)
		qtest_heap_block(test, heap, 100);
	ASSERT_OK(test, quarry_heap_free_deferred(heap, qtest_heap_block(test, heap, 100)));
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, flush, &flushes), 100ULL);
	KUNIT_EXPECT_EQ(test, flushes.nr_seen, 8);
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(flushes.memory[i], 0x5a, flushes.size[i]));
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, flush, &flushes), 0ULL);
	KUNIT_EXPECT_EQ(test, flushes.nr_seen, 8);
}

/* What left before isn't handed back; what came back is, at the end. */
static void destroy_keeps_the_order_of_arrival(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	struct flushes flushes = { .test = test };
	u8 *memory = qtest_fenced_memory(test, 4 * SZ_4K, SZ_4K, 0);
	static const int order[] = { 3, 2, 1 };
	int i;

	ASSERT_OK(test, quarry_heap_init(heap, "", memory + SZ_4K, SZ_4K, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_extend(heap, memory + 3 * SZ_4K, SZ_4K));
	ASSERT_OK(test, quarry_heap_extend(heap, memory, SZ_4K));
	ASSERT_OK(test, quarry_heap_extend(heap, memory + 2 * SZ_4K, SZ_4K));
	ASSERT_OK(test, quarry_heap_shrink(heap, memory + SZ_4K));
	ASSERT_OK(test, quarry_heap_shrink(heap, memory));
	ASSERT_OK(test, quarry_heap_extend(heap, memory + SZ_4K, SZ_4K));
	for (i = 0; i < 3; i++) {
		flushes.memory[i] = memory + order[i] * SZ_4K;
		flushes.size[i] = SZ_4K;
	}
	flushes.nr = 3;
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, flush, &flushes), 0ULL);
	KUNIT_EXPECT_EQ(test, flushes.nr_seen, 3);
}

/* ---- A heap that fetches memory by itself ---- */

#define NR_POOLS	16

/**
 * struct source - where a heap fetches memory
 * @test: the test
 * @heap: the heap
 * @memory: what can be had, each of POOL bytes
 * @out: which of it the heap has
 * @nr_asked: times that it was asked
 * @nr_out: how many the heap has
 * @fail_at: this one of the requests fails, counted from 1; 0: none
 * @size: what each is said to have; 0: as much as asked for, whole KiB
 * @offset: by how much each is off its alignment
 * @nr_faults: what was seen that must not be
 */
struct source {
	struct kunit *test;
	struct quarry_heap *heap;
	u8 *memory[NR_POOLS];
	size_t out[NR_POOLS];
	int nr_asked;
	int nr_out;
	int fail_at;
	size_t size;
	size_t offset;
	int nr_faults;
};

#define POOL	((size_t)SZ_16K)

static void expect_no_lock(struct source *source)
{
	if (raw_spin_is_locked(&source->heap->lock))
		source->nr_faults++;
}

static void *source_grow(void *ctx, size_t need, size_t *size)
{
	struct source *source = ctx;
	int i;

	expect_no_lock(source);
	*size = source->size ?: ALIGN(need, SZ_1K);
	if (++source->nr_asked == source->fail_at || *size > POOL)
		return NULL;
	for (i = 0; i < NR_POOLS; i++)
		if (!source->out[i]) {
			source->out[i] = *size;
			source->nr_out++;
			return source->memory[i] + source->offset;
		}
	return NULL;
}

static void source_give(void *ctx, void *memory, size_t size)
{
	struct source *source = ctx;
	int i;

	expect_no_lock(source);
	for (i = 0; i < NR_POOLS; i++)
		if (source->memory[i] + source->offset == memory)
			break;
	if (i == NR_POOLS || source->out[i] != size) {
		source->nr_faults++;
		return;
	}
	memset(memory, 0x5a, size);
	source->out[i] = 0;
	source->nr_out--;
}

static struct source *growing_heap(struct kunit *test, unsigned int keep)
{
	struct source *source = qtest_memory(test, sizeof(*source));
	struct quarry_heap_grower grower = {
		.grow = source_grow, .give = source_give, .ctx = source, .keep = keep,
	};
	int i;

	*source = (struct source) { .test = test };
	source->heap = qtest_memory(test, sizeof(*source->heap));
	for (i = 0; i < NR_POOLS; i++)
		source->memory[i] = qtest_fenced_memory(test, POOL + SZ_4K, SZ_4K, 0);
	ASSERT_OK(test, quarry_heap_init(source->heap, test->name, NULL, 0, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_set_grow(source->heap, &grower));
	return source;
}

static void dry_up(struct kunit *test, struct source *source)
{
	qtest_heap_intact(test, source->heap);
	quarry_heap_destroy(source->heap, flush, &(struct flushes) { .test = test });
	KUNIT_EXPECT_EQ(test, source->nr_out, 0);
	KUNIT_EXPECT_EQ(test, source->nr_faults, 0);
}

/* As much as is needed is asked for, and that is enough, for every size. */
static void a_heap_grows_when_it_has_no_room(struct kunit *test)
{
	struct source *source = growing_heap(test, 0);
	struct quarry_heap_stats stats;
	size_t size;
	void *block;

	for (size = 1; size < POOL - SZ_1K; size += 1 + size / 8) {
		block = qtest_heap_block(test, source->heap, size);
		KUNIT_EXPECT_EQ(test, source->nr_out, 1);
		EXPECT_OK(test, quarry_heap_free(source->heap, block));
		KUNIT_EXPECT_EQ(test, source->nr_out, 0);
	}
	stats = qtest_heap_stats(source->heap);
	KUNIT_EXPECT_EQ(test, stats.nr_grows, (u64)source->nr_asked);
	KUNIT_EXPECT_EQ(test, stats.nr_gives, (u64)source->nr_asked);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.memory, 0ULL);
	dry_up(test, source);
}

static void every_kind_of_request_makes_a_heap_grow(struct kunit *test)
{
	struct source *source = growing_heap(test, 0);
	struct quarry_heap *heap = source->heap;
	void *block, *waited = NULL;
	size_t align;

	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_zalloc(heap, 3000));
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_calloc(heap, 3, 3000));
	for (align = 16; align <= SZ_4K; align *= 4) {
		block = quarry_heap_alloc_aligned(heap, 5000, align);
		KUNIT_EXPECT_NOT_NULL(test, block);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)block, align));
	}
	block = qtest_heap_block(test, heap, 5000);
	block = quarry_heap_realloc(heap, block, 12000);
	KUNIT_ASSERT_NOT_NULL(test, block);
	EXPECT_OK(test, quarry_heap_alloc_wait(heap, 7000, 0, 0, &waited));
	KUNIT_EXPECT_NOT_NULL(test, waited);
	KUNIT_EXPECT_GE(test, source->nr_out, 3);
	dry_up(test, source);
}

/* The nth request fails: that allocation does, and nothing else. */
static void a_heap_that_can_not_grow_fails(struct kunit *test)
{
	int fail_at, i, nr;

	for (fail_at = 1; fail_at < 6; fail_at++) {
		struct source *source = growing_heap(test, 0);

		source->fail_at = fail_at;
		source->size = POOL;
		for (i = 0, nr = 0; i < 6; i++)
			nr += !!quarry_heap_alloc(source->heap, 9000);
		KUNIT_EXPECT_EQ(test, nr, 5);
		KUNIT_EXPECT_EQ(test, source->nr_asked, 6);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(source->heap).nr_failures, 1ULL);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(source->heap).nr_grows, 5ULL);
		dry_up(test, source);
	}
}

/* What can't be an extent goes back at once; what can, but is too small, later. */
static void memory_of_no_use_goes_back(struct kunit *test)
{
	static const size_t sizes[] = { 1, 8, 64, 511, 512 };
	struct source *source = growing_heap(test, 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		source->size = sizes[i];
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc(source->heap, 5000));
		KUNIT_EXPECT_EQ(test, source->nr_out, 0);
		qtest_heap_all_free(test, source->heap);
	}
	source->size = 3000;
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(source->heap, 5000));
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(source->heap, 100));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(source->heap).nr_failures, (u64)i + 1);
	dry_up(test, source);
}

static void misaligned_memory_serves_too(struct kunit *test)
{
	static const size_t offsets[] = { 1, 3, 8, 100, 511, 513, 1000 };
	struct source *source = growing_heap(test, 0);
	size_t i;
	void *block;

	source->size = POOL;
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		source->offset = offsets[i];
		block = qtest_heap_block(test, source->heap, 9000);
		EXPECT_OK(test, quarry_heap_free(source->heap, block));
		KUNIT_EXPECT_EQ(test, source->nr_out, 0);
	}
	dry_up(test, source);
}

static void *same_grow(void *ctx, size_t need, size_t *size)
{
	struct source *source = ctx;

	source->nr_asked++;
	source->nr_out++;
	*size = POOL;
	return source->memory[0];
}

static void same_give(void *ctx, void *memory, size_t size)
{
	struct source *source = ctx;

	source->nr_faults += memory != source->memory[0] || size != POOL;
	source->nr_out--;
}

/* A callback that gives what the heap has already is not believed. */
static void memory_that_it_has_already_is_not_used_twice(struct kunit *test)
{
	struct source *source = growing_heap(test, 0);
	struct quarry_heap_grower grower = {
		.grow = same_grow, .give = same_give, .ctx = source,
	};
	void *block;

	ASSERT_OK(test, quarry_heap_set_grow(source->heap, &grower));
	block = qtest_heap_block(test, source->heap, 9000);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(source->heap, 9000));
	KUNIT_EXPECT_EQ(test, source->nr_asked, 2);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(source->heap).nr_extents, 1U);
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(block, 9000));
	qtest_heap_intact(test, source->heap);
	EXPECT_OK(test, quarry_heap_free(source->heap, block));
	qtest_heap_all_free(test, source->heap);
	quarry_heap_destroy(source->heap, NULL, NULL);
	KUNIT_EXPECT_EQ(test, source->nr_faults, 0);
}

/* Some that are empty are kept: a block that comes and goes fetches nothing. */
static void empty_extents_are_kept_up_to_a_number(struct kunit *test)
{
	unsigned int keep, i;
	void *blocks[5];

	for (keep = 0; keep < 4; keep++) {
		struct source *source = growing_heap(test, keep);

		source->size = POOL;
		for (i = 0; i < 5; i++)
			blocks[i] = qtest_heap_block(test, source->heap, 9000);
		KUNIT_EXPECT_EQ(test, source->nr_out, 5);
		qtest_heap_free_all(test, source->heap, blocks, 5);
		KUNIT_EXPECT_EQ(test, source->nr_out, (int)keep);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(source->heap).nr_extents, keep);
		qtest_heap_all_free(test, source->heap);
		for (i = 0; i < 100 && keep; i++)
			EXPECT_OK(test, quarry_heap_free(source->heap,
							 qtest_heap_block(test, source->heap,
									  9000)));
		KUNIT_EXPECT_EQ(test, source->nr_asked, 5);
		dry_up(test, source);
	}
}

static void a_grower_may_not_change_while_its_memory_is_out(struct kunit *test)
{
	struct source *source = growing_heap(test, 1);
	struct quarry_heap_grower grower = { .grow = same_grow, .give = same_give, .ctx = source };
	struct quarry_heap_grower broken = { .grow = same_grow };
	void *block = qtest_heap_block(test, source->heap, 100);

	EXPECT_ERR(test, quarry_heap_set_grow(source->heap, &broken), -EINVAL);
	broken = (struct quarry_heap_grower) { .give = same_give };
	EXPECT_ERR(test, quarry_heap_set_grow(source->heap, &broken), -EINVAL);
	EXPECT_ERR(test, quarry_heap_set_grow(source->heap, &grower), -EBUSY);
	EXPECT_ERR(test, quarry_heap_set_grow(source->heap, NULL), -EBUSY);
	EXPECT_OK(test, quarry_heap_free(source->heap, block));
	EXPECT_ERR(test, quarry_heap_shrink(source->heap, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, source->nr_out, 1);
	KUNIT_EXPECT_EQ(test, source->nr_asked, 1);
	EXPECT_OK(test, quarry_heap_fini(source->heap, NULL));
	KUNIT_EXPECT_EQ(test, source->nr_out, 0);
	dry_up(test, source);
}

static void a_heap_without_grower_stays_as_it_is(struct kunit *test)
{
	struct source *source = growing_heap(test, 0);

	EXPECT_OK(test, quarry_heap_set_grow(source->heap, NULL));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(source->heap, 100));
	KUNIT_EXPECT_EQ(test, source->nr_asked, 0);
	ASSERT_OK(test, quarry_heap_extend(source->heap, source->memory[0], POOL));
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(source->heap, 100));
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(source->heap, NULL, NULL), 1ULL);
}

/* Given ones go to flush, fetched ones to give, and neither to both. */
static void destroy_tells_given_from_fetched(struct kunit *test)
{
	struct source *source = growing_heap(test, 2);
	struct flushes flushes = { .test = test, .nr = 1 };
	u8 *memory = qtest_fenced_memory(test, SZ_4K, SZ_4K, 0);
	int i;

	flushes.memory[0] = memory;
	flushes.size[0] = SZ_4K;
	source->size = POOL;
	for (i = 0; i < 3; i++)
		qtest_heap_block(test, source->heap, 9000);
	ASSERT_OK(test, quarry_heap_extend(source->heap, memory, SZ_4K));
	KUNIT_EXPECT_EQ(test, source->nr_out, 3);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(source->heap, flush, &flushes), 3ULL);
	KUNIT_EXPECT_EQ(test, flushes.nr_seen, 1);
	KUNIT_EXPECT_EQ(test, source->nr_out, 0);
	KUNIT_EXPECT_EQ(test, source->nr_faults, 0);
}

/* A heap with memory of its own keeps it, and gives back only what it fetched. */
static void memory_that_was_given_is_kept(struct kunit *test)
{
	struct source *source = growing_heap(test, 0);
	u8 *memory = qtest_fenced_memory(test, SZ_4K, SZ_4K, 0);
	void *small, *large;

	source->size = POOL;
	ASSERT_OK(test, quarry_heap_extend(source->heap, memory, SZ_4K));
	small = qtest_heap_block(test, source->heap, 100);
	KUNIT_EXPECT_EQ(test, source->nr_asked, 0);
	large = qtest_heap_block(test, source->heap, SZ_4K);
	KUNIT_EXPECT_EQ(test, source->nr_out, 1);
	EXPECT_OK(test, quarry_heap_free(source->heap, small));
	EXPECT_OK(test, quarry_heap_free(source->heap, large));
	KUNIT_EXPECT_EQ(test, source->nr_out, 0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(source->heap).memory, (u64)SZ_4K);
	EXPECT_OK(test, quarry_heap_fini(source->heap, NULL));
	KUNIT_EXPECT_EQ(test, source->nr_faults, 0);
}

static struct kunit_case extent_cases[] = {
	KUNIT_CASE(extents_that_are_none_are_refused),
	KUNIT_CASE(extents_that_overlap_are_refused),
	KUNIT_CASE(no_block_lies_in_two_extents),
	KUNIT_CASE(every_small_block_of_small_extents_is_usable),
	KUNIT_CASE(many_extents_serve_as_one),
	KUNIT_CASE(one_extent_too_many_is_refused),
	KUNIT_CASE(the_walk_goes_through_many_extents),
	KUNIT_CASE(extents_may_leave_in_any_order),
	KUNIT_CASE(only_a_free_extent_leaves),
	KUNIT_CASE(destroy_hands_back_every_extent),
	KUNIT_CASE(destroy_keeps_the_order_of_arrival),
	KUNIT_CASE(a_heap_grows_when_it_has_no_room),
	KUNIT_CASE(every_kind_of_request_makes_a_heap_grow),
	KUNIT_CASE(a_heap_that_can_not_grow_fails),
	KUNIT_CASE(memory_of_no_use_goes_back),
	KUNIT_CASE(misaligned_memory_serves_too),
	KUNIT_CASE(memory_that_it_has_already_is_not_used_twice),
	KUNIT_CASE(empty_extents_are_kept_up_to_a_number),
	KUNIT_CASE(a_grower_may_not_change_while_its_memory_is_out),
	KUNIT_CASE(a_heap_without_grower_stays_as_it_is),
	KUNIT_CASE(destroy_tells_given_from_fetched),
	KUNIT_CASE(memory_that_was_given_is_kept),
	{}
};

static struct kunit_suite extent_suite = {
	.name = "quarry_heap_extent",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = extent_cases,
};

kunit_test_suite(extent_suite);
