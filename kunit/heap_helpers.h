/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_HEAP_HELPERS_H
#define QUARRY_KUNIT_HEAP_HELPERS_H

#include "../lib/heap.h"
#include "helpers.h"

/* The heap that most tests work in: 64 KiB of memory, in pages of 512 bytes. */
#define HEAP_SIZE	((size_t)SZ_64K)
#define HEAP_PAGE	((size_t)512)

/* The largest size that isn't refused at once, though nobody has that much. */
#define HEAP_MAX_SIZE	((size_t)LONG_MAX)

/* Sizes of small blocks and of runs, one and several of them on a page. */
#define QTEST_NR_KINDS	24
extern const size_t qtest_kinds[QTEST_NR_KINDS];

/**
 * struct qtest_heap - a heap under test, and what it was at one moment
 * @heap: the heap
 * @memory: its first extent, with a fence on either side that nobody may write to
 * @size: bytes of @memory
 * @old_memory: @memory when qtest_heap_remember() was called
 * @old: the stats at that moment
 * @now: stats for anybody to fill in
 */
struct qtest_heap {
	struct quarry_heap heap;
	u8 *memory;
	size_t size;
	void *old_memory;
	struct quarry_heap_stats old;
	struct quarry_heap_stats now;
};

/* Memory at a multiple of @align plus @offset, with a fence on either side. */
u8 *qtest_fenced_memory(struct kunit *test, size_t size, size_t align, size_t offset);
void qtest_fences(struct kunit *test, const u8 *memory, size_t size);

struct qtest_heap *qtest_heap(struct kunit *test, size_t size, size_t page_size);

/* For suites whose tests begin with an empty heap of HEAP_SIZE bytes as test->priv. */
int qtest_heap_init(struct kunit *test);
void qtest_heap_exit(struct kunit *test);

/* A block where the test has no doubt that there is one, with contents of its own. */
void *qtest_heap_block(struct kunit *test, struct quarry_heap *heap, size_t size);

/* Takes blocks of a size into an array until there are no more, or no more room in it. */
unsigned int qtest_heap_fill(struct kunit *test, struct quarry_heap *heap, size_t size,
			     void **blocks, unsigned int limit);
void qtest_heap_free_all(struct kunit *test, struct quarry_heap *heap, void **blocks,
			 unsigned int nr);

struct quarry_heap_stats qtest_heap_stats(struct quarry_heap *heap);
void qtest_heap_intact(struct kunit *test, struct quarry_heap *heap);
void qtest_heap_all_free(struct kunit *test, struct quarry_heap *heap);

/*
 * Between the two, calls were made of which nr_misuses can't be right, and
 * which left everything else as it was, each byte of the memory included.
 */
void qtest_heap_remember(struct qtest_heap *space);
void qtest_heap_unchanged(struct kunit *test, struct qtest_heap *space, u64 nr_misuses);

/*
 * Contents that belong to an address and a size; whether the first bytes of a
 * block are what was once written to another; and whether it still has its own.
 */
void qtest_heap_write(void *block, size_t size);
bool qtest_heap_reads(const void *block, size_t size, const void *old, size_t old_size);
bool qtest_heap_keeps(const void *block, size_t size);

#define EXPECT_HEAP_BLOCK(test, block, address, bytes, in_use) do {	\
	const struct quarry_heap_block *found = (block);		\
	struct kunit *here = (test);					\
									\
	KUNIT_EXPECT_PTR_EQ(here, found->addr, (void *)(address));	\
	KUNIT_EXPECT_EQ(here, found->size, (size_t)(bytes));		\
	KUNIT_EXPECT_EQ(here, found->used, in_use);			\
} while (0)

#endif /* QUARRY_KUNIT_HEAP_HELPERS_H */
