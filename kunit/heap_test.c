// SPDX-License-Identifier: GPL-2.0
/*
 * What a heap does, and what it refuses, operation by operation. Defect numbers
 * are those of the reference systems that Quarry learned from.
 */
#include <linux/align.h>
#include <linux/log2.h>

#include "heap_helpers.h"

#define MANY	8192	/* more blocks than HEAP_SIZE can have */

/* ---- init and size ---- */

static const size_t no_page_sizes[] = {
	0, 1, 2, 4, 7, 9, 12, 24, 511, 513, 4095, 4097, SZ_4M - 1, SZ_4M + 1, SZ_8M,
	(size_t)1 << (BITS_PER_LONG - 1), SIZE_MAX,
};

static void init_refuses_page_sizes_that_are_none(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void *memory = qtest_memory(test, SZ_64K);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(no_page_sizes); i++) {
		EXPECT_ERR(test, quarry_heap_init(heap, "", memory, SZ_64K, no_page_sizes[i]),
			   -EINVAL);
		EXPECT_ERR(test, quarry_heap_init(heap, "", NULL, 0, no_page_sizes[i]), -EINVAL);
		KUNIT_EXPECT_EQ(test, quarry_heap_size(SZ_64K, no_page_sizes[i]), (size_t)0);
	}
}

static void init_refuses_memory_that_is_none(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void *memory = qtest_memory(test, SZ_4K);
	size_t up_to_end = -(unsigned long)memory;

	EXPECT_ERR(test, quarry_heap_init(NULL, "", memory, SZ_4K, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, NULL, memory, SZ_4K, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", NULL, SZ_4K, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, 0, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, SIZE_MAX, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, up_to_end + 1, HEAP_PAGE), -EINVAL);
	EXPECT_ERR(test, quarry_heap_init(heap, "", memory, up_to_end + SZ_4K, HEAP_PAGE), -EINVAL);
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0xa5, SZ_4K));
	KUNIT_EXPECT_NULL(test, memchr_inv(heap, 0xa5, sizeof(*heap)));
}

/* Heaps of every size at every offset: none is too small to be told so. */
static void heaps_of_any_size_stay_in_their_memory(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t size, offset, nr_small = 0;
	unsigned int nr;
	u8 *memory;
	int err;

	for (size = 1; size < 3000; size += 1 + size / 64) {
		offset = size * 5 % 67;
		memory = qtest_fenced_memory(test, size, SZ_4K, offset);
		err = quarry_heap_init(heap, "", memory, size, 64);
		if (err) {
			nr_small++;
			EXPECT_ERR(test, err, -ENOMEM);
			KUNIT_EXPECT_NULL(test, memchr_inv(memory, 0xa5, size));
			continue;
		}
		nr = qtest_heap_fill(test, heap, 1 + size % 20, blocks, MANY);
		KUNIT_EXPECT_GT(test, nr, 0U);
		qtest_heap_intact(test, heap);
		qtest_fences(test, memory, size);
		qtest_heap_free_all(test, heap, blocks, nr);
		qtest_heap_all_free(test, heap);
		EXPECT_OK(test, quarry_heap_fini(heap, NULL));
		qtest_fences(test, memory, size);
	}
	KUNIT_EXPECT_GT(test, nr_small, (size_t)0);
	KUNIT_EXPECT_LT(test, nr_small, (size_t)128 + 67);
}

static void a_fresh_heap_is_all_free(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_stats stats = qtest_heap_stats(&space->heap);

	KUNIT_EXPECT_EQ(test, stats.memory, (u64)HEAP_SIZE);
	KUNIT_EXPECT_EQ(test, stats.page_size, (u64)HEAP_PAGE);
	KUNIT_EXPECT_LT(test, stats.total, (u64)HEAP_SIZE);
	KUNIT_EXPECT_EQ(test, stats.total % HEAP_PAGE, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.peak, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_allocs, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_extents, 1U);
	KUNIT_EXPECT_EQ(test, stats.fragmentation, 0U);
	KUNIT_EXPECT_EQ(test, stats.last_failure.when, 0ULL);
	KUNIT_EXPECT_GT(test, stats.nr_classes, 0U);
	qtest_heap_all_free(test, &space->heap);
}

static void a_heap_may_begin_with_nothing(struct kunit *test)
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	struct quarry_heap_block block;

	ASSERT_OK(test, quarry_heap_init(heap, "empty", NULL, 0, HEAP_PAGE));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 1));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 1ULL);
	EXPECT_ERR(test, quarry_heap_free(heap, heap), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, heap), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, heap, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(heap, NULL, &block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_shrink(heap, heap), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, heap), (size_t)0);
	qtest_heap_all_free(test, heap);

	ASSERT_OK(test, quarry_heap_extend(heap, qtest_memory(test, SZ_4K), SZ_4K));
	qtest_heap_block(test, heap, 100);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 1ULL);
}

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
			KUNIT_ASSERT_TRUE(test, qtest_heap_reads(blocks[i], sizes[k], blocks[i],
								 sizes[k]));
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
				KUNIT_ASSERT_TRUE(test, qtest_heap_reads(blocks[i], size, blocks[i],
									 size));
			qtest_heap_free_all(test, &space->heap, blocks, 3);
		}
	qtest_heap_all_free(test, &space->heap);
}

static void sizes_of_memory_that_overflow_are_refused(struct kunit *test)
{
	size_t page_size, less;

	for (page_size = QUARRY_HEAP_MIN_PAGE; page_size <= QUARRY_HEAP_MAX_PAGE; page_size *= 2) {
		KUNIT_EXPECT_EQ(test, quarry_heap_size(0, page_size), (size_t)0);
		for (less = 0; less < 5000; less += 1 + less / 8)
			KUNIT_EXPECT_EQ(test, quarry_heap_size(SIZE_MAX - less, page_size),
					(size_t)0);
	}
}

/* ---- alloc ---- */

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
		KUNIT_EXPECT_TRUE(test, qtest_heap_reads(before, size, before, size));
		KUNIT_EXPECT_TRUE(test, qtest_heap_reads(behind, size, behind, size));
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

/* ---- aligned ---- */

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
			KUNIT_EXPECT_TRUE(test, qtest_heap_reads(other, 24, other, 24));
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

/* ---- free ---- */

static void freeing_nothing_does_nothing(struct kunit *test)
{
	struct qtest_heap *space = test->priv;

	qtest_heap_remember(space);
	EXPECT_OK(test, quarry_heap_free(&space->heap, NULL));
	EXPECT_OK(test, quarry_heap_free_deferred(&space->heap, NULL));
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(&space->heap), 0UL);
	qtest_heap_unchanged(test, space, 0);
}

/* Defect 30: with many free blocks around it, the last of a page frees the page. */
static void the_last_block_of_a_page_gives_the_page_back(struct kunit *test)
{
	enum { NR = 250000 };
	size_t size = quarry_heap_size(NR * 16, HEAP_PAGE);
	struct qtest_heap *space = qtest_heap(test, size, HEAP_PAGE);
	void **blocks = qtest_memory(test, (NR + 64) * sizeof(*blocks));
	struct quarry_heap_stats stats;
	unsigned int nr, i;

	test->priv = space;
	nr = qtest_heap_fill(test, &space->heap, 16, blocks, NR + 64);
	KUNIT_ASSERT_GE(test, nr, (unsigned int)NR);
	for (i = 0; i < nr; i++)
		if (i % 32)
			ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[i]));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).largest_free, 16ULL);
	ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[nr / 2 / 32 * 32]));
	stats = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_EQ(test, stats.largest_free, (u64)HEAP_PAGE);
	ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[nr / 2 / 32 * 32 + 32]));
	stats = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_EQ(test, stats.largest_free, 2 * (u64)HEAP_PAGE);
}

/* What is free in one size serves others: nothing stays with the size it had. */
static void memory_goes_from_size_to_size(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	u64 total = qtest_heap_stats(&space->heap).total;
	unsigned int round, nr;
	size_t size;

	for (round = 0; round < 60; round++) {
		size = 16 + round * 977 % 5000;
		nr = qtest_heap_fill(test, &space->heap, size, blocks, MANY);
		KUNIT_EXPECT_GE_MSG(test, (nr + 1) * (size + size / 4), total * 9 / 10,
				    "of %zu bytes", size);
		qtest_heap_free_all(test, &space->heap, blocks, nr);
		qtest_heap_all_free(test, &space->heap);
	}
}

/* Freed in every order, all of it comes together again. */
static void blocks_may_be_freed_in_any_order(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	static const size_t sizes[] = { 16, 48, 64, 200, 512, 1000, 3000 };
	unsigned int nr, i, k, stride;

	for (k = 0; k < ARRAY_SIZE(sizes); k++)
		for (stride = 1; stride < 20; stride += 3) {
			nr = qtest_heap_fill(test, &space->heap, sizes[k], blocks, MANY);
			for (i = 0; i < nr; i++) {
				void **block = &blocks[(size_t)i * 7919 * stride % nr];

				if (!*block)
					continue;
				ASSERT_OK(test, quarry_heap_free(&space->heap, *block));
				*block = NULL;
			}
			qtest_heap_free_all(test, &space->heap, blocks, nr);
			qtest_heap_all_free(test, &space->heap);
		}
}

/* ---- lookup, walk, figures ---- */

static void a_block_is_found_by_any_address_in_it(struct kunit *test)
{
	static const size_t sizes[] = { 1, 16, 40, 64, 100, 500, 512, 513, 1000, 2000, 5000 };
	struct qtest_heap *space = test->priv;
	struct quarry_heap_block block;
	size_t k, i, real;
	u8 *at;

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		at = qtest_heap_block(test, &space->heap, sizes[k]);
		real = quarry_heap_usable_size(&space->heap, at);
		for (i = 0; i < real; i++) {
			ASSERT_OK(test, quarry_heap_lookup(&space->heap, at + i, &block));
			EXPECT_HEAP_BLOCK(test, &block, at, real, true);
			if (i)
				KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(&space->heap, at + i),
						(size_t)0);
		}
	}
}

static void no_block_is_found_where_there_is_none(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	struct quarry_heap_block block;
	u8 *at = qtest_heap_block(test, heap, 100);

	ASSERT_OK(test, quarry_heap_free(heap, at));
	qtest_heap_remember(space);
	EXPECT_ERR(test, quarry_heap_lookup(heap, at, &block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_lookup(heap, at + 50, &block), -ENOENT);
	EXPECT_ERR(test, quarry_heap_lookup(heap, NULL, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, heap, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, space->memory - 1, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, space->memory + HEAP_SIZE, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, ERR_PTR(-1), &block), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, at), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, NULL), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, heap), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, space->memory - 8), (size_t)0);
	space->old.nr_misuses = qtest_heap_stats(heap).nr_misuses;
	qtest_heap_unchanged(test, space, 0);
}

/* The walk meets each byte once, and each block in use with its size. */
static void the_walk_shows_every_block(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_block block = {};
	u64 used = 0, free = 0, nr_used = 0;
	void *blocks[100];
	int i;

	for (i = 0; i < 100; i++)
		blocks[i] = qtest_heap_block(test, &space->heap, 1 + i * i % 300);
	for (i = 0; i < 100; i += 3)
		ASSERT_OK(test, quarry_heap_free(&space->heap, blocks[i]));
	while (!quarry_heap_next(&space->heap, block.addr + block.size, &block)) {
		KUNIT_ASSERT_GT(test, block.size, (size_t)0);
		KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(&space->heap, block.addr),
				block.used ? block.size : 0);
		*(block.used ? &used : &free) += block.size;
		nr_used += block.used;
	}
	space->now = qtest_heap_stats(&space->heap);
	KUNIT_EXPECT_EQ(test, used, space->now.used);
	KUNIT_EXPECT_EQ(test, nr_used, space->now.nr_used);
	KUNIT_EXPECT_EQ(test, used + free, space->now.total);
	EXPECT_ERR(test, quarry_heap_next(&space->heap, NULL, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(&space->heap, ERR_PTR(-1), &block), -ENOENT);
}

static void classes_and_extents_add_up(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap_class_stats class;
	struct quarry_heap_extent_stats extent;
	u64 nr_used = 0, in_buckets = 0, in_classes = 0;
	unsigned int i;

	for (i = 0; i < 200; i++)
		qtest_heap_block(test, &space->heap, 1 + i * 7 % 130);
	space->now = qtest_heap_stats(&space->heap);
	for (i = 0; i < space->now.nr_classes; i++) {
		ASSERT_OK(test, quarry_heap_class_stats(&space->heap, i, &class));
		nr_used += class.nr_used;
		in_buckets += class.bytes;
		in_classes += (class.nr_used + class.nr_free) * class.size;
		KUNIT_EXPECT_LE(test, (class.nr_used + class.nr_free) * class.size,
				class.bytes);
	}
	ASSERT_OK(test, quarry_heap_extent_stats(&space->heap, 0, &extent));
	KUNIT_EXPECT_EQ(test, nr_used, 200ULL);
	KUNIT_EXPECT_LE(test, in_classes, in_buckets);
	KUNIT_EXPECT_EQ(test, extent.total - extent.free, in_buckets);
	KUNIT_EXPECT_EQ(test, extent.total, space->now.total);
	KUNIT_EXPECT_PTR_EQ(test, extent.memory, (void *)space->memory);
	KUNIT_EXPECT_EQ(test, extent.size, HEAP_SIZE);
	KUNIT_EXPECT_FALSE(test, extent.grown);
	EXPECT_ERR(test, quarry_heap_extent_stats(&space->heap, 1, &extent), -ENOENT);
	EXPECT_ERR(test, quarry_heap_extent_stats(&space->heap, UINT_MAX, &extent), -ENOENT);
}

static void the_peak_stays(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void *large = qtest_heap_block(test, &space->heap, 10 * HEAP_PAGE);
	void *small = qtest_heap_block(test, &space->heap, 64);

	EXPECT_OK(test, quarry_heap_free(&space->heap, large));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).peak, 10ULL * HEAP_PAGE + 64);
	EXPECT_OK(test, quarry_heap_free(&space->heap, small));
	qtest_heap_block(test, &space->heap, 8 * HEAP_PAGE);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).peak, 10ULL * HEAP_PAGE + 64);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&space->heap).used, 8ULL * HEAP_PAGE);
}

/* ---- fini ---- */

static void fini_is_refused_while_blocks_are_out(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void *small = qtest_heap_block(test, &space->heap, 20);
	void *large = qtest_heap_block(test, &space->heap, 2000);
	u64 nr_used = 0;

	qtest_heap_remember(space);
	EXPECT_ERR(test, quarry_heap_fini(&space->heap, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 2ULL);
	EXPECT_ERR(test, quarry_heap_fini(&space->heap, NULL), -EBUSY);
	qtest_heap_unchanged(test, space, 0);
	EXPECT_OK(test, quarry_heap_free(&space->heap, small));
	EXPECT_OK(test, quarry_heap_free(&space->heap, large));
	EXPECT_OK(test, quarry_heap_fini(&space->heap, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	test->priv = NULL;
}

static void after_its_end_a_heap_serves_nothing(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 20), *waited = NULL;
	struct quarry_heap_block found;

	test->priv = NULL;
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(heap, NULL, NULL), 1ULL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 20));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, 600, SZ_1K));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 30));
	EXPECT_ERR(test, quarry_heap_free(heap, block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_lookup(heap, block, &found), -EINVAL);
	EXPECT_ERR(test, quarry_heap_next(heap, NULL, &found), -ENOENT);
	KUNIT_EXPECT_NE(test, quarry_heap_alloc_wait(heap, 20, 0, 0, &waited), 0);
	KUNIT_EXPECT_EQ(test, quarry_heap_usable_size(heap, block), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 0UL);

	ASSERT_OK(test, quarry_heap_init(heap, "again", space->memory, HEAP_SIZE, HEAP_PAGE));
	qtest_heap_all_free(test, heap);
	EXPECT_ERR(test, quarry_heap_free(heap, block), -EINVAL);
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
}

static struct kunit_case heap_cases[] = {
	KUNIT_CASE(init_refuses_page_sizes_that_are_none),
	KUNIT_CASE(init_refuses_memory_that_is_none),
	KUNIT_CASE(heaps_of_any_size_stay_in_their_memory),
	KUNIT_CASE(a_fresh_heap_is_all_free),
	KUNIT_CASE(a_heap_may_begin_with_nothing),
	KUNIT_CASE(sizes_of_memory_that_overflow_are_refused),
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
	KUNIT_CASE(alignments_that_are_none_are_refused),
	KUNIT_CASE(alignments_beyond_the_heap_find_nothing_or_what_is_right),
	KUNIT_CASE(freeing_nothing_does_nothing),
	KUNIT_CASE(the_last_block_of_a_page_gives_the_page_back),
	KUNIT_CASE(memory_goes_from_size_to_size),
	KUNIT_CASE(blocks_may_be_freed_in_any_order),
	KUNIT_CASE(a_block_is_found_by_any_address_in_it),
	KUNIT_CASE(no_block_is_found_where_there_is_none),
	KUNIT_CASE(the_walk_shows_every_block),
	KUNIT_CASE(classes_and_extents_add_up),
	KUNIT_CASE(the_peak_stays),
	KUNIT_CASE(fini_is_refused_while_blocks_are_out),
	KUNIT_CASE(after_its_end_a_heap_serves_nothing),
	{}
};

static struct kunit_suite heap_suite = {
	.name = "quarry_heap",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = heap_cases,
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

kunit_test_suites(&heap_suite, &geometry_suite);
