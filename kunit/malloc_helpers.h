/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_MALLOC_HELPERS_H
#define QUARRY_KUNIT_MALLOC_HELPERS_H

#include "../lib/malloc.h"
#include "backing.h"

#define MALLOC_MEMORY	((u64)SZ_8M)
#define MALLOC_EXTENT	((size_t)SZ_64K)

/**
 * struct qtest_malloc - a malloc under test, and what it stands on
 * @malloc: the malloc
 * @zone: its zone
 * @heap: its heap
 */
struct qtest_malloc {
	struct quarry_malloc malloc;
	struct quarry_zone zone;
	struct quarry_heap heap;
};

/* On test->priv, which finishes it, and sees that all pages are back then. */
struct qtest_malloc *qtest_malloc(struct kunit *test);

struct quarry_malloc_stats qtest_malloc_stats(struct qtest_malloc *space);

/* Everything of it and below it verifies. */
void qtest_malloc_intact(struct kunit *test, struct qtest_malloc *space);

/* A block where the test has no doubt that there is one. */
void *qtest_malloc_block(struct kunit *test, struct qtest_malloc *space, size_t size);

#endif /* QUARRY_KUNIT_MALLOC_HELPERS_H */
