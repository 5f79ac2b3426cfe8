/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_HELPERS_H
#define QUARRY_KUNIT_HELPERS_H

#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "../lib/buddy.h"

/* Old kernels don't warn of tests that take long. */
#ifndef KUNIT_CASE_SLOW
#define KUNIT_CASE_SLOW	KUNIT_CASE
#endif

/*
 * The space that most tests work in: 64 pages, so that it is one block when
 * free, far from address 0, where wrong arithmetic would look right.
 */
#define PAGE		((u64)SZ_4K)
#define BASE		BIT_ULL(40)
#define NR_PAGES	64
#define PAGES(n)	((u64)(n) * PAGE)
#define AT(n)		(BASE + PAGES(n))

/**
 * struct qtest_space - a buddy under test, and what it was at one moment
 * @buddy: the buddy
 * @region: what it manages
 * @meta: its metadata, of exactly the size that the buddy asks for
 * @meta_size: bytes of @meta
 * @old_meta: @meta when qtest_remember() was called
 * @old: the stats at that moment
 * @now: stats for anybody to fill in
 */
struct qtest_space {
	struct quarry_buddy buddy;
	struct quarry_region region;
	void *meta;
	size_t meta_size;
	void *old_meta;
	struct quarry_buddy_stats old;
	struct quarry_buddy_stats now;
};

/* Memory that lives as long as the test, filled with a byte that isn't 0. */
void *qtest_memory(struct kunit *test, size_t size);

struct qtest_space *qtest_space(struct kunit *test, u64 base, u64 size, u64 page_size);
int qtest_space_init(struct kunit *test);
void qtest_space_exit(struct kunit *test);

u64 qtest_alloc(struct kunit *test, struct qtest_space *space, u64 size, unsigned int flags);
void qtest_fill(struct kunit *test, struct qtest_space *space);
void qtest_intact(struct kunit *test, struct quarry_buddy *buddy);
void qtest_all_free(struct kunit *test, struct qtest_space *space);

/*
 * Between the two, calls were made of which nr_misuses can't be right, and
 * which left everything else as it was.
 */
void qtest_remember(struct qtest_space *space);
void qtest_unchanged(struct kunit *test, struct qtest_space *space, u64 nr_misuses);

void qtest_seed(struct kunit *test, struct rnd_state *rnd);
u32 qtest_below(struct rnd_state *rnd, u32 limit);
unsigned long qtest_rounds(struct kunit *test, unsigned long plain);

#define EXPECT_ERR(test, call, err)	KUNIT_EXPECT_EQ(test, call, err)
#define EXPECT_OK(test, call)		KUNIT_EXPECT_EQ(test, call, 0)
#define ASSERT_OK(test, call)		KUNIT_ASSERT_EQ(test, call, 0)

#define EXPECT_BLOCK(test, block, address, bytes) do {			\
	const struct quarry_buddy_block *found = (block);		\
	struct kunit *here = (test);					\
									\
	KUNIT_EXPECT_EQ(here, found->addr, (u64)(address));		\
	KUNIT_EXPECT_EQ(here, found->size, (u64)(bytes));		\
} while (0)

#endif /* QUARRY_KUNIT_HELPERS_H */
