// SPDX-License-Identifier: GPL-2.0
/*
 * A zone, a heap and a buddy under one malloc, that end with the test.
 */
#include "malloc_helpers.h"

#define HEAP_PAGE	512

static void expect_intact(struct kunit *test, int err, const struct quarry_fault *fault)
{
	KUNIT_EXPECT_EQ_MSG(test, err, 0, "%s at %#llx: %llu expected, %llu found", fault->what,
			    fault->addr, fault->expected, fault->found);
}

void qtest_malloc_intact(struct kunit *test, struct qtest_malloc *space)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_fault fault = {};

	expect_intact(test, quarry_malloc_verify(&space->malloc, &fault), &fault);
	expect_intact(test, quarry_zone_verify(&space->zone, &fault), &fault);
	expect_intact(test, quarry_heap_verify(&space->heap, &fault), &fault);
	expect_intact(test, quarry_buddy_verify(&backing->buddy, &fault), &fault);
}

static void finish_malloc(struct kunit *test, void *object)
{
	struct qtest_malloc *space = object;

	qtest_malloc_intact(test, space);
	EXPECT_OK(test, quarry_malloc_fini(&space->malloc, NULL));
	EXPECT_OK(test, quarry_heap_fini(&space->heap, NULL));
	EXPECT_OK(test, quarry_zone_fini(&space->zone, true, NULL));
}

struct qtest_malloc *qtest_malloc(struct kunit *test)
{
	struct qtest_malloc *space = qtest_aligned_memory(test, sizeof(*space), SMP_CACHE_BYTES);
	struct qtest_backing *backing = test->priv;
	const struct quarry_zone_config zone = {
		.name = test->name, .backend = &backing->backend,
	};
	const struct quarry_malloc_config config = {
		.name = test->name, .buddy = &backing->buddy, .backend = &backing->backend,
		.zone = &space->zone, .heap = &space->heap,
	};

	quarry_buddy_set_move(&backing->buddy, quarry_buddy_move_memory, NULL);
	ASSERT_OK(test, quarry_heap_init(&space->heap, test->name, NULL, 0, HEAP_PAGE));
	ASSERT_OK(test, quarry_heap_set_backend(&space->heap, &backing->backend,
						MALLOC_EXTENT, 1));
	ASSERT_OK(test, quarry_zone_init(&space->zone, &zone));
	ASSERT_OK(test, quarry_malloc_init(&space->malloc, &config));
	qtest_lodge(test, space, finish_malloc);
	return space;
}

struct quarry_malloc_stats qtest_malloc_stats(struct qtest_malloc *space)
{
	struct quarry_malloc_stats stats = {};

	quarry_malloc_stats(&space->malloc, &stats);
	return stats;
}

void *qtest_malloc_block(struct kunit *test, struct qtest_malloc *space, size_t size)
{
	void *block = quarry_malloc_alloc(&space->malloc, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL_MSG(test, block, "%zu bytes", size);
	return block;
}
