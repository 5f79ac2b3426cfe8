// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes and alignments: from none to what no machine has, around the border of
 * every class, and in pages of every size. Defect numbers are those of the
 * reference systems that Quarry learned from.
 */
#include <linux/align.h>
#include <linux/log2.h>

#include "heap_helpers.h"

#define MANY	8192	/* more blocks than HEAP_SIZE can have */

/* ---- Sizes ---- */

/* Defect 5: SIZE_MAX and its neighbours rounded to 0, and a small block was given. */
static void sizes_that_overflow_are_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t less;

	qtest_heap_block(test, heap, 100);
	qtest_heap_remember(space);
	for (less = 0; less < 9000; less += 1 + less / 16) {
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, SIZE_MAX - less));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, HEAP_MAX_SIZE + 1 + less));
		KUNIT_EXPECT_NULL(test, quarry_heap_zalloc(heap, SIZE_MAX - less));
		KUNIT_EXPECT_NULL(test, quarry_heap_calloc(heap, SIZE_MAX - less, 1));
		KUNIT_EXPECT_NULL(test, quarry_heap_calloc(heap, 1, SIZE_MAX - less));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, SIZE_MAX - less, 64));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, SIZE_MAX - less, SZ_4K));
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, NULL, SIZE_MAX - less));
		space->old.nr_misuses += 8;
	}
	qtest_heap_unchanged(test, space, 0);
}

/* These could be had in a larger heap: no misuse, and no room either. */
static void sizes_beyond_the_heap_find_no_room(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t total = qtest_heap_stats(heap).total, i;
	const size_t sizes[] = {
		HEAP_MAX_SIZE, HEAP_MAX_SIZE - 1, HEAP_MAX_SIZE - 511, HEAP_MAX_SIZE - 512,
		HEAP_MAX_SIZE / 2 + 1, SZ_1G, SZ_1M, HEAP_SIZE + 1, HEAP_SIZE, total + 512,
		total + 511, total + 1,
	};

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, sizes[i]));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, sizes[i], 64));
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).last_failure.size, sizes[i]);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).last_failure.align, (size_t)64);
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, sizes[i], SZ_1K));
		space->now = qtest_heap_stats(heap);
		KUNIT_EXPECT_EQ(test, space->now.nr_failures, (u64)(3 * i + 3));
		KUNIT_EXPECT_EQ(test, space->now.last_failure.size, sizes[i]);
		KUNIT_EXPECT_EQ(test, space->now.last_failure.align, (size_t)SZ_1K);
		KUNIT_EXPECT_EQ(test, space->now.last_failure.free, (u64)total);
		KUNIT_EXPECT_EQ(test, space->now.last_failure.largest_free, (u64)total);
		KUNIT_EXPECT_NE(test, space->now.last_failure.when, 0ULL);
	}
	KUNIT_EXPECT_EQ(test, space->now.nr_misuses, 0ULL);
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, total));
}

static void a_block_of_no_size_is_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 40);

	qtest_heap_remember(space);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_zalloc(heap, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_calloc(heap, 0, 8));
	KUNIT_EXPECT_NULL(test, quarry_heap_calloc(heap, 8, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, 0, 64));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 0));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, NULL, 0));
	qtest_heap_unchanged(test, space, 7);
}

/* An eighth is the most that a size is rounded up by, but for the last 15 bytes. */
static void expect_close(struct kunit *test, size_t size, size_t real)
{
	size_t page = size + HEAP_PAGE - 1;

	KUNIT_EXPECT_GE(test, real, size);
	KUNIT_EXPECT_LE_MSG(test, real, max(size + size / 8 + 15, page), "of %zu bytes", size);
}

static void blocks_of_every_size_are_as_large_as_they_must_be(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *before, *block, *behind;
	size_t size, real;

	for (size = 1; size <= 6000; size++) {
		before = qtest_heap_block(test, heap, size);
		block = qtest_heap_block(test, heap, size);
		behind = qtest_heap_block(test, heap, size);
		real = quarry_heap_usable_size(heap, block);
		expect_close(test, size, real);
		memset(block, 0xff, real);
		KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(before, size));
		KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(behind, size));
		real += quarry_heap_usable_size(heap, before);
		real += quarry_heap_usable_size(heap, behind);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).used, (u64)real);
		EXPECT_OK(test, quarry_heap_free(heap, before));
		EXPECT_OK(test, quarry_heap_free(heap, behind));
		EXPECT_OK(test, quarry_heap_free(heap, block));
	}
	qtest_heap_all_free(test, heap);
}

static bool is_class(struct quarry_heap *heap, size_t size)
{
	struct quarry_heap_class_stats class;
	unsigned int i;

	for (i = 0; !quarry_heap_class_stats(heap, i, &class); i++)
		if (class.size == size)
			return true;
	return false;
}

/* At the border of each class: what is small is of a class, the rest whole pages. */
static void classes_end_where_they_say(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_class_stats class;
	unsigned int i, nr = qtest_heap_stats(&space->heap).nr_classes;
	size_t size, real, before = 0;
	void *block;

	for (i = 0; i < nr; i++, before = class.size) {
		ASSERT_OK(test, quarry_heap_class_stats(&space->heap, i, &class));
		KUNIT_EXPECT_GT(test, class.size, before);
		KUNIT_EXPECT_LE(test, class.size, max(before + before / 8, before + 16));
		for (size = class.size - 1; size <= class.size + 1; size++) {
			block = qtest_heap_block(test, &space->heap, size);
			real = quarry_heap_usable_size(&space->heap, block);
			expect_close(test, size, real);
			KUNIT_EXPECT_TRUE(test, is_class(&space->heap, real) ||
					  (i == nr - 1 && real % HEAP_PAGE == 0));
			EXPECT_OK(test, quarry_heap_free(&space->heap, block));
		}
	}
	EXPECT_ERR(test, quarry_heap_class_stats(&space->heap, nr, &class), -ENOENT);
	EXPECT_ERR(test, quarry_heap_class_stats(&space->heap, UINT_MAX, &class), -ENOENT);
}

/* As many as the memory can hold: a page with some of them has no other waste. */
static void powers_of_two_waste_nothing(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	u64 total = qtest_heap_stats(&space->heap).total;
	unsigned int nr, i;
	size_t size;

	for (size = 16; size <= SZ_32K; size *= 2) {
		nr = qtest_heap_fill(test, &space->heap, size, blocks, MANY);
		KUNIT_EXPECT_EQ_MSG(test, (u64)nr, div64_u64(total, size), "of %zu bytes", size);
		for (i = 0; i < nr && size <= HEAP_PAGE; i++)
			KUNIT_ASSERT_TRUE(test, IS_ALIGNED((unsigned long)blocks[i], size));
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).used, (u64)nr * size);
		qtest_heap_free_all(test, &space->heap, blocks, nr);
		qtest_heap_all_free(test, &space->heap);
	}
}

/* When memory is short a block may be larger than it must be, but is aligned as ever. */
static void powers_of_two_are_aligned_when_memory_is_short(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int nr, i;
	size_t size, taken;
	u8 *block;

	for (size = 16; size <= HEAP_PAGE; size *= 2)
		for (taken = size + 1; taken <= 4 * size; taken += 8) {
			nr = qtest_heap_fill(test, &space->heap, taken, blocks, MANY);
			for (i = 1; i < nr; i += 2) {
				ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[i]));
				blocks[i] = NULL;
				block = quarry_heap_alloc(&space->heap, size);
				KUNIT_ASSERT_TRUE_MSG(test, IS_ALIGNED((unsigned long)block, size),
						      "%zu bytes where %zu were", size, taken);
				EXPECT_OK(test, quarry_heap_free(&space->heap, block));
			}
			qtest_heap_free_all(test, &space->heap, blocks, nr);
		}
	qtest_heap_all_free(test, &space->heap);
}

static void the_largest_free_block_can_be_had_and_no_larger(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[64];
	u64 largest;
	int i;

	for (i = 0; i < 64; i++)
		blocks[i] = qtest_heap_block(test, heap, 100 + 7 * i);
	for (i = 0; i < 64; i++) {
		largest = qtest_heap_stats(heap).largest_free;
		KUNIT_ASSERT_NULL(test, quarry_heap_alloc(heap, largest + 1));
		ASSERT_OK(test, quarry_heap_free(heap, qtest_heap_block(test, heap, largest)));
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i * 29 % 64]));
	}
	qtest_heap_all_free(test, heap);
	largest = qtest_heap_stats(heap).largest_free;
	qtest_heap_block(test, heap, largest);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).largest_free, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).fragmentation, 0U);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 1));
}

static void zalloc_and_calloc_clear_what_was_there(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t size;
	void *block;

	for (size = 1; size < 5000; size += 1 + size / 16) {
		block = qtest_heap_block(test, heap, size);
		ASSERT_OK(test, quarry_heap_free(heap, block));
		block = quarry_heap_zalloc(heap, size);
		KUNIT_ASSERT_NOT_NULL(test, block);
		KUNIT_EXPECT_NULL(test, memchr_inv(block, 0, size));
		memset(block, 0xff, size);
		ASSERT_OK(test, quarry_heap_free(heap, block));
		block = quarry_heap_calloc(heap, 3, size);
		KUNIT_ASSERT_NOT_NULL(test, block);
		KUNIT_EXPECT_NULL(test, memchr_inv(block, 0, 3 * size));
		KUNIT_EXPECT_GE(test, quarry_heap_usable_size(heap, block), 3 * size);
		memset(block, 0xff, 3 * size);
		ASSERT_OK(test, quarry_heap_free(heap, block));
	}
	qtest_heap_all_free(test, heap);
}

#define HALF	((size_t)1 << (BITS_PER_LONG / 2))

/* Overflow is what is above the largest size that can be asked for, too. */
static void calloc_refuses_products_that_overflow(struct kunit *test)
{
	static const struct { size_t nr, size; } products[] = {
		{ HALF, HALF }, { HALF, HALF + 1 }, { HALF + 1, HALF }, { HALF * 2, HALF * 2 },
		{ SIZE_MAX, 2 }, { 2, SIZE_MAX }, { SIZE_MAX, SIZE_MAX }, { SIZE_MAX / 2 + 1, 2 },
		{ SIZE_MAX / 8 + 1, 8 }, { SIZE_MAX / 8 + 2, 8 }, { 16, SIZE_MAX / 16 + 2 },
		{ SIZE_MAX / 3 + 1, 3 }, { 7, SIZE_MAX / 7 + 1 }, { HALF, HALF / 2 },
		{ SIZE_MAX / 2, 2 }, { HALF - 1, HALF + 1 },
	};
	struct qtest_heap *space = test->priv;
	size_t i;

	qtest_heap_remember(space);
	for (i = 0; i < ARRAY_SIZE(products); i++)
		KUNIT_EXPECT_NULL(test, quarry_heap_calloc(&space->heap, products[i].nr,
							   products[i].size));
	qtest_heap_unchanged(test, space, ARRAY_SIZE(products));
}

/* ---- Alignments ---- */

static void every_alignment_is_kept_for_every_size(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *block, *other;
	size_t align, size;

	for (align = 1; align <= SZ_16K; align *= 2)
		for (size = 1; size <= SZ_16K; size += 1 + size / 4) {
			other = qtest_heap_block(test, heap, 24);
			block = quarry_heap_alloc_aligned(heap, size, align);
			KUNIT_ASSERT_NOT_NULL_MSG(test, block, "%zu at %zu", size, align);
			KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)block, align));
			KUNIT_EXPECT_GE(test, quarry_heap_usable_size(heap, block), size);
			memset(block, 0xff, quarry_heap_usable_size(heap, block));
			KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(other, 24));
			EXPECT_OK(test, quarry_heap_free(heap, other));
			qtest_heap_intact(test, heap);
			EXPECT_OK(test, quarry_heap_free(heap, block));
		}
	qtest_heap_all_free(test, heap);
}

/* Aligned blocks side by side: what lies between them isn't lost. */
static void aligned_blocks_fill_the_heap(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t align, total = qtest_heap_stats(heap).total;
	unsigned int nr;

	for (align = 16; align <= SZ_16K; align *= 2) {
		for (nr = 0; nr < MANY; nr++) {
			blocks[nr] = quarry_heap_alloc_aligned(heap, align, align);
			if (!blocks[nr])
				break;
		}
		KUNIT_EXPECT_GE_MSG(test, (nr + 1) * align, total / align * align, "of %zu",
				    align);
		qtest_heap_intact(test, heap);
		qtest_heap_free_all(test, heap, blocks, nr);
		qtest_heap_all_free(test, heap);
	}
}

/* Takes a run behind which the next page is 4 behind a multiple of 16 pages. */
static void space_out(struct kunit *test, struct quarry_heap *heap)
{
	void *block = qtest_heap_block(test, heap, 9 * HEAP_PAGE);
	unsigned long end = (unsigned long)block / HEAP_PAGE + 9;

	KUNIT_ASSERT_PTR_EQ(test, block,
			    quarry_heap_realloc(heap, block, (9 + (4 - end) % 16) * HEAP_PAGE));
}

/* Of four free runs that are long enough, only the last has an address that is. */
static void the_longest_run_is_tried_at_last(struct kunit *test)
{
	struct quarry_heap *heap = &qtest_heap(test, SZ_128K, HEAP_PAGE)->heap;
	static const unsigned int lengths[] = { 17, 18, 19, 30 };
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	void *holes[ARRAY_SIZE(lengths)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		space_out(test, heap);
		holes[i] = qtest_heap_block(test, heap, lengths[i] * HEAP_PAGE);
	}
	space_out(test, heap);
	qtest_heap_fill(test, heap, HEAP_PAGE, blocks, MANY);
	qtest_heap_free_all(test, heap, holes, ARRAY_SIZE(holes));

	KUNIT_EXPECT_PTR_EQ(test, quarry_heap_alloc_aligned(heap, 16 * HEAP_PAGE, 16 * HEAP_PAGE),
			    holes[3] + 12 * HEAP_PAGE);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, 16 * HEAP_PAGE, 16 * HEAP_PAGE));
	qtest_heap_intact(test, heap);
}

/* A free run that begins and ends as the block does needn't be longer by the alignment. */
static void a_run_of_just_the_size_is_aligned(struct kunit *test)
{
	struct quarry_heap *heap = &qtest_heap(test, SZ_128K, HEAP_PAGE)->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t size = 16 * HEAP_PAGE;
	void *block = quarry_heap_alloc_aligned(heap, size, size);

	KUNIT_ASSERT_TRUE(test, block);
	qtest_heap_fill(test, heap, HEAP_PAGE, blocks, MANY);
	KUNIT_EXPECT_EQ(test, quarry_heap_free(heap, block), 0);
	KUNIT_EXPECT_PTR_EQ(test, quarry_heap_alloc_aligned(heap, size, size), block);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, size, size));
	qtest_heap_intact(test, heap);
}

static void alignments_that_are_none_are_refused(struct kunit *test)
{
	static const size_t aligns[] = {
		0, 3, 5, 6, 7, 9, 12, 24, 48, 63, 65, 511, 513, 768, 4095, 4097,
		SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 7, SIZE_MAX / 2, SIZE_MAX / 2 + 2,
	};
	struct qtest_heap *space = test->priv;
	size_t i;

	qtest_heap_remember(space);
	for (i = 0; i < ARRAY_SIZE(aligns); i++) {
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(&space->heap, 1, aligns[i]));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(&space->heap, 600, aligns[i]));
	}
	qtest_heap_unchanged(test, space, 2 * ARRAY_SIZE(aligns));
}

static void alignments_beyond_the_heap_find_nothing_or_what_is_right(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	unsigned int shift;
	void *block;

	for (shift = 15; shift < BITS_PER_LONG; shift++) {
		block = quarry_heap_alloc_aligned(&space->heap, 600, 1UL << shift);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)block, 1UL << shift));
		EXPECT_OK(test, quarry_heap_free(&space->heap, block));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(&space->heap, HEAP_MAX_SIZE,
								  1UL << shift));
		KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(&space->heap, HEAP_SIZE,
								  1UL << shift));
	}
	qtest_heap_all_free(test, &space->heap);
}

/* ---- Page sizes ---- */

struct geometry {
	size_t page_size;
	size_t usable;
};

static const struct geometry geometries[] = {
	{ 8, 1 }, { 8, SZ_64K }, { 16, SZ_64K }, { 32, SZ_64K }, { 64, 64 }, { 64, SZ_64K },
	{ 64, SZ_1M }, { 128, SZ_64K }, { 256, SZ_64K }, { 512, 1 }, { 512, 512 }, { 512, 513 },
	{ 512, SZ_64K - 1 }, { 512, SZ_64K }, { 512, SZ_1M }, { SZ_1K, SZ_64K },
	{ SZ_2K, SZ_64K }, { SZ_4K, SZ_64K + 8 }, { SZ_8K, SZ_64K }, { SZ_16K, SZ_64K },
	{ SZ_32K, SZ_64K }, { SZ_64K, SZ_64K }, { SZ_128K, SZ_1M }, { SZ_256K, SZ_1M },
	{ SZ_512K, SZ_1M }, { SZ_1M, SZ_1M }, { SZ_2M, SZ_1M }, { SZ_4M, SZ_1M },
};

static void geometry_desc(const struct geometry *geometry, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes in pages of %zu", geometry->usable,
		 geometry->page_size);
}

KUNIT_ARRAY_PARAM(geometry, geometries, geometry_desc);

/* Just what the helper says is enough, and what it says isn't much. */
static void the_size_that_is_said_holds_what_is_wanted(struct kunit *test)
{
	const struct geometry *geometry = test->param_value;
	size_t size = quarry_heap_size(geometry->usable, geometry->page_size);
	struct quarry_heap_stats stats;
	struct qtest_heap *space;

	KUNIT_ASSERT_GE(test, size, geometry->usable);
	space = qtest_heap(test, size, geometry->page_size);
	test->priv = space;
	stats = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_TRUE(test, is_power_of_2(stats.page_size));
	KUNIT_EXPECT_GE(test, stats.total, (u64)geometry->usable);
	KUNIT_EXPECT_LT(test, stats.total, geometry->usable + stats.page_size);
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(&space->heap, geometry->usable));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(&space->heap, stats.page_size));
}

/* Every page size works, for every kind of block, to the last page. */
static void every_page_size_serves_every_size(struct kunit *test)
{
	static const size_t sizes[] = { 1, 8, 17, 64, 100, 512, 777, 4096, 5000, 20000 };
	const struct geometry *geometry = test->param_value;
	struct qtest_heap *space = qtest_heap(test, SZ_128K, geometry->page_size);
	void **blocks = qtest_memory(test, 2 * MANY * sizeof(*blocks));
	unsigned int nr, i, k;

	test->priv = space;
	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		nr = qtest_heap_fill(test, &space->heap, sizes[k], blocks, 2 * MANY);
		KUNIT_EXPECT_GE(test, (nr + 1) * roundup(sizes[k], 16), (size_t)SZ_128K * 3 / 4);
		for (i = 0; i < nr; i++)
			KUNIT_ASSERT_TRUE(test, qtest_heap_keeps(blocks[i], sizes[k]));
		qtest_heap_intact(test, &space->heap);
		qtest_heap_free_all(test, &space->heap, blocks, nr);
		qtest_heap_all_free(test, &space->heap);
	}
}

/* In pages of any size the rounding to classes leaves alignments as they must be. */
static void every_page_size_keeps_every_alignment(struct kunit *test)
{
	const struct geometry *geometry = test->param_value;
	struct qtest_heap *space = qtest_heap(test, SZ_128K, geometry->page_size);
	size_t align, size;
	void *blocks[3];
	int i;

	test->priv = space;
	for (align = 8; align <= SZ_8K; align *= 2)
		for (size = 1; size <= SZ_8K; size += 1 + size / 3) {
			for (i = 0; i < 3; i++) {
				blocks[i] = quarry_heap_alloc_aligned(&space->heap, size, align);
				KUNIT_ASSERT_NOT_NULL(test, blocks[i]);
				KUNIT_ASSERT_EQ(test, (unsigned long)blocks[i] & (align - 1), 0UL);
				qtest_heap_write(blocks[i], size);
			}
			for (i = 0; i < 3; i++)
				KUNIT_ASSERT_TRUE(test, qtest_heap_keeps(blocks[i], size));
			qtest_heap_free_all(test, &space->heap, blocks, 3);
		}
	qtest_heap_all_free(test, &space->heap);
}

static struct kunit_case size_cases[] = {
	KUNIT_CASE(sizes_that_overflow_are_refused),
	KUNIT_CASE(sizes_beyond_the_heap_find_no_room),
	KUNIT_CASE(a_block_of_no_size_is_refused),
	KUNIT_CASE(blocks_of_every_size_are_as_large_as_they_must_be),
	KUNIT_CASE(classes_end_where_they_say),
	KUNIT_CASE(powers_of_two_waste_nothing),
	KUNIT_CASE(powers_of_two_are_aligned_when_memory_is_short),
	KUNIT_CASE(the_largest_free_block_can_be_had_and_no_larger),
	KUNIT_CASE(zalloc_and_calloc_clear_what_was_there),
	KUNIT_CASE(calloc_refuses_products_that_overflow),
	KUNIT_CASE(every_alignment_is_kept_for_every_size),
	KUNIT_CASE(aligned_blocks_fill_the_heap),
	KUNIT_CASE(the_longest_run_is_tried_at_last),
	KUNIT_CASE(a_run_of_just_the_size_is_aligned),
	KUNIT_CASE(alignments_that_are_none_are_refused),
	KUNIT_CASE(alignments_beyond_the_heap_find_nothing_or_what_is_right),
	{}
};

static struct kunit_suite size_suite = {
	.name = "quarry_heap_size",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = size_cases,
};

static struct kunit_case geometry_cases[] = {
	KUNIT_CASE_PARAM(the_size_that_is_said_holds_what_is_wanted, geometry_gen_params),
	KUNIT_CASE_PARAM(every_page_size_serves_every_size, geometry_gen_params),
	KUNIT_CASE_PARAM(every_page_size_keeps_every_alignment, geometry_gen_params),
	{}
};

static struct kunit_suite geometry_suite = {
	.name = "quarry_heap_geometry",
	.exit = qtest_heap_exit,
	.test_cases = geometry_cases,
};

kunit_test_suites(&size_suite, &geometry_suite);
