// SPDX-License-Identifier: GPL-2.0
/*
 * What the suites of the heap share. The memory of each heap lies between fences
 * and is full of garbage at first, as nobody promises a heap zeroes.
 */
#include <linux/align.h>
#include <linux/string.h>

#include "heap_helpers.h"

#define FENCE		64
#define FENCE_BYTE	0xa5

const size_t qtest_kinds[QTEST_NR_KINDS] = {
	1, 16, 17, 24, 32, 64, 100, 200, 256, 300, 480, 512, 513, 600, 1000, 1024, 1536,
	2000, 2048, 3000, 4096, 5000, 8192, 20000,
};

u8 *qtest_fenced_memory(struct kunit *test, size_t size, size_t align, size_t offset)
{
	u8 *memory = qtest_memory(test, size + 2 * FENCE + align + offset);

	return PTR_ALIGN(memory + FENCE, align) + offset;
}

void qtest_fences(struct kunit *test, const u8 *memory, size_t size)
{
	KUNIT_ASSERT_NULL(test, memchr_inv(memory - FENCE, FENCE_BYTE, FENCE));
	KUNIT_ASSERT_NULL(test, memchr_inv(memory + size, FENCE_BYTE, FENCE));
}

struct qtest_heap *qtest_heap(struct kunit *test, size_t size, size_t page_size)
{
	struct qtest_heap *space = qtest_memory(test, sizeof(*space));

	space->size = size;
	space->memory = qtest_fenced_memory(test, size, SZ_4K, 0);
	space->old_memory = qtest_memory(test, size);
	ASSERT_OK(test, quarry_heap_init(&space->heap, test->name, space->memory, size,
					 page_size));
	return space;
}

int qtest_heap_init(struct kunit *test)
{
	test->priv = qtest_heap(test, HEAP_SIZE, HEAP_PAGE);
	return 0;
}

void qtest_heap_exit(struct kunit *test)
{
	struct qtest_heap *space = test->priv;

	if (!space)
		return;
	qtest_heap_intact(test, &space->heap);
	qtest_fences(test, space->memory, space->size);
	quarry_heap_destroy(&space->heap, NULL, NULL);
}

void *qtest_heap_block(struct kunit *test, struct quarry_heap *heap, size_t size)
{
	void *block = quarry_heap_alloc(heap, size);

	KUNIT_ASSERT_NOT_NULL_MSG(test, block, "no block of %zu bytes", size);
	KUNIT_ASSERT_TRUE(test, IS_ALIGNED((unsigned long)block, QUARRY_HEAP_MIN_ALIGN));
	qtest_heap_write(block, size);
	return block;
}

unsigned int qtest_heap_fill(struct kunit *test, struct quarry_heap *heap, size_t size,
			     void **blocks, unsigned int limit)
{
	unsigned int nr;

	for (nr = 0; nr < limit; nr++) {
		blocks[nr] = quarry_heap_alloc(heap, size);
		if (!blocks[nr])
			break;
		qtest_heap_write(blocks[nr], size);
	}
	KUNIT_ASSERT_LT(test, nr, limit);
	return nr;
}

void qtest_heap_free_all(struct kunit *test, struct quarry_heap *heap, void **blocks,
			 unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i]));
}

struct quarry_heap_stats qtest_heap_stats(struct quarry_heap *heap)
{
	struct quarry_heap_stats stats = {};

	quarry_heap_stats(heap, &stats);
	return stats;
}

void qtest_heap_intact(struct kunit *test, struct quarry_heap *heap)
{
	struct quarry_fault fault = {};

	KUNIT_ASSERT_EQ_MSG(test, quarry_heap_verify(heap, &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
}

/*
 * Nothing is in use, and every free page of each extent is in one run. Runs of
 * nearly the same length share a list, of which only the first is looked at.
 */
void qtest_heap_all_free(struct kunit *test, struct quarry_heap *heap)
{
	struct quarry_heap_stats stats = qtest_heap_stats(heap);
	struct quarry_heap_extent_stats extent;
	u64 largest = 0;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, stats.used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_allocs, stats.nr_frees);
	KUNIT_EXPECT_EQ(test, stats.free, stats.total);
	for (i = 0; i < stats.nr_extents; i++) {
		ASSERT_OK(test, quarry_heap_extent_stats(heap, i, &extent));
		KUNIT_EXPECT_EQ(test, extent.free, extent.total);
		largest = max(largest, extent.total);
	}
	KUNIT_EXPECT_LE(test, stats.largest_free, largest);
	if (stats.nr_extents > 1)
		largest -= largest / 16;
	KUNIT_EXPECT_GE(test, stats.largest_free, largest);
	qtest_heap_intact(test, heap);
}

void qtest_heap_remember(struct qtest_heap *space)
{
	space->old = qtest_heap_stats(&space->heap);
	memcpy(space->old_memory, space->memory, space->size);
}

#define FIGURE(name)	{ #name, offsetof(struct quarry_heap_stats, name) }

static const struct {
	const char *name;
	size_t offset;
} figures[] = {
	FIGURE(total), FIGURE(memory), FIGURE(used), FIGURE(free), FIGURE(peak),
	FIGURE(largest_free), FIGURE(page_size), FIGURE(nr_used), FIGURE(nr_allocs),
	FIGURE(nr_frees), FIGURE(nr_failures), FIGURE(nr_grows), FIGURE(nr_gives),
	FIGURE(last_failure.when),
};

void qtest_heap_unchanged(struct kunit *test, struct qtest_heap *space, u64 nr_misuses)
{
	const struct quarry_heap_stats *old = &space->old, *now = &space->now;
	size_t i;

	space->now = qtest_heap_stats(&space->heap);
	for (i = 0; i < ARRAY_SIZE(figures); i++)
		KUNIT_EXPECT_EQ_MSG(test, *(u64 *)((u8 *)now + figures[i].offset),
				    *(u64 *)((u8 *)old + figures[i].offset), "%s",
				    figures[i].name);
	KUNIT_EXPECT_EQ(test, now->nr_misuses, old->nr_misuses + nr_misuses);
	KUNIT_EXPECT_EQ(test, now->nr_extents, old->nr_extents);
	KUNIT_EXPECT_EQ(test, now->fragmentation, old->fragmentation);
	KUNIT_EXPECT_EQ(test, memcmp(space->memory, space->old_memory, space->size), 0);
	qtest_heap_intact(test, &space->heap);
}

#define GOLDEN	0x9e3779b97f4a7c15ULL

static u64 first_word(const void *block, size_t size)
{
	return ((unsigned long)block + size) * GOLDEN;
}

void qtest_heap_write(void *block, size_t size)
{
	u64 word = first_word(block, size);
	u64 *at = block;

	for (; size >= sizeof(word); size -= sizeof(word), word += GOLDEN)
		*at++ = word;
	memcpy(at, &word, size);
}

bool qtest_heap_reads(const void *block, size_t size, const void *old, size_t old_size)
{
	u64 word = first_word(old, old_size);
	const u64 *at = block;

	size = min(size, old_size);
	for (; size >= sizeof(word); size -= sizeof(word), word += GOLDEN)
		if (*at++ != word)
			return false;
	return !memcmp(at, &word, size);
}

bool qtest_heap_keeps(const void *block, size_t size)
{
	return qtest_heap_reads(block, size, block, size);
}
