// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that may not be freed, and memory that is written to after it was freed.
 * Every refusal leaves the heap as it was, to the byte; and whatever is written
 * to free memory, nothing that is in use is given to anybody else. Defect numbers
 * are those of the reference systems that Quarry learned from.
 */
#include "heap_helpers.h"

#define MANY	8192	/* more blocks than HEAP_SIZE can have */

/* ---- Double free ---- */

/* Sizes of small blocks and of runs, one and several of them on a page. */
static const size_t kinds[] = {
	1, 16, 17, 24, 32, 64, 100, 200, 256, 300, 480, 512, 513, 600, 1000, 1024, 1536,
	2000, 2048, 3000, 4096, 5000, 8192, 20000,
};

/* Defect 6: the second free of a page's only block put the page on two lists. */
static void a_second_free_of_the_only_block_is_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t i;
	void *block;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		block = qtest_heap_block(test, heap, kinds[i]);
		EXPECT_OK(test, quarry_heap_free(heap, block));
		qtest_heap_remember(space);
		EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, block), -ENOENT);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, kinds[i]));
		qtest_heap_unchanged(test, space, 4);
	}
	qtest_heap_all_free(test, heap);
}

/* The same with blocks in use all around. */
static void a_second_free_among_others_is_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[9];
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(kinds) - 1; i++) {
		for (k = 0; k < ARRAY_SIZE(blocks); k++)
			blocks[k] = kinds[i] < 5000 ? qtest_heap_block(test, heap, kinds[i]) : NULL;
		for (k = 0; k < ARRAY_SIZE(blocks) && blocks[k]; k += 2)
			EXPECT_OK(test, quarry_heap_free(heap, blocks[k]));
		qtest_heap_remember(space);
		for (k = 0; k < ARRAY_SIZE(blocks) && blocks[k]; k += 2)
			EXPECT_ERR(test, quarry_heap_free(heap, blocks[k]), -ENOENT);
		qtest_heap_unchanged(test, space, blocks[0] ? 5 : 0);
		for (k = 1; k < ARRAY_SIZE(blocks); k += 2)
			EXPECT_OK(test, quarry_heap_free(heap, blocks[k]));
	}
	qtest_heap_all_free(test, heap);
}

/* Freed first to last, every one of them is still known as free in the end. */
static void all_that_was_freed_is_known_as_free(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, nr;
	size_t k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		nr = qtest_heap_fill(test, &space->heap, kinds[k], blocks, MANY);
		qtest_heap_free_all(test, &space->heap, blocks, nr);
		qtest_heap_remember(space);
		for (i = 0; i < nr; i++)
			EXPECT_ERR(test, quarry_heap_free(&space->heap, blocks[i]), -ENOENT);
		qtest_heap_unchanged(test, space, nr);
	}
}

/* After a double free was refused, two allocations get two blocks. */
static void nothing_is_given_out_twice_after_a_second_free(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, nr;
	size_t k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		void *first = qtest_heap_block(test, &space->heap, kinds[k]);
		void *other = qtest_heap_block(test, &space->heap, kinds[k]);

		EXPECT_OK(test, quarry_heap_free(&space->heap, first));
		EXPECT_ERR(test, quarry_heap_free(&space->heap, first), -ENOENT);
		EXPECT_OK(test, quarry_heap_free(&space->heap, other));
		EXPECT_ERR(test, quarry_heap_free(&space->heap, first), -ENOENT);
		nr = qtest_heap_fill(test, &space->heap, kinds[k], blocks, MANY);
		for (i = 0; i < nr; i++)
			KUNIT_ASSERT_TRUE(test, qtest_heap_reads(blocks[i], kinds[k], blocks[i],
								 kinds[k]));
		qtest_heap_free_all(test, &space->heap, blocks, nr);
	}
	qtest_heap_all_free(test, &space->heap);
}

/* ---- Addresses that never were a block's ---- */

/* Defect 7: an address inside a run made the free list begin there. */
static void no_interior_address_is_freed(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	size_t i, real, step;
	u8 *block;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		block = qtest_heap_block(test, heap, kinds[i]);
		real = quarry_heap_usable_size(heap, block);
		qtest_heap_remember(space);
		for (step = 1; step < real; step += 1 + step / 100)
			EXPECT_ERR(test, quarry_heap_free(heap, block + step), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free(heap, block + 8), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, block + 8), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_checked(heap, block + 8, NULL, NULL), -EINVAL);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block + 8, real));
		space->old.nr_misuses = qtest_heap_stats(heap).nr_misuses;
		qtest_heap_unchanged(test, space, 0);
		EXPECT_OK(test, quarry_heap_free(heap, block));
	}
	qtest_heap_all_free(test, heap);
}

/* Where small blocks were freed, a large one now is: their addresses are interior. */
static void addresses_of_the_past_inside_a_block_are_not_freed(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t total = qtest_heap_stats(heap).total;
	unsigned int i, nr;
	size_t k;
	void *large;

	for (k = 0; k < ARRAY_SIZE(kinds) - 1; k++) {
		nr = qtest_heap_fill(test, heap, kinds[k], blocks, MANY);
		qtest_heap_free_all(test, heap, blocks, nr);
		/* Nothing is written to it, so that what the heap left there stays. */
		large = quarry_heap_alloc(heap, total);
		KUNIT_ASSERT_NOT_NULL(test, large);
		qtest_heap_remember(space);
		for (i = 0; i < nr; i++)
			if (blocks[i] != large) {
				EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -EINVAL);
				EXPECT_ERR(test, quarry_heap_free_deferred(heap, blocks[i]),
					   -EINVAL);
				space->old.nr_misuses += 2;
			}
		qtest_heap_unchanged(test, space, 0);
		EXPECT_OK(test, quarry_heap_free(heap, large));
	}
	qtest_heap_all_free(test, heap);
}

/* Defect 8: a slot of a page of small blocks that was never given out. */
static void what_was_never_given_out_is_not_freed(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *small = qtest_heap_block(test, heap, 16), *large = qtest_heap_block(test, heap, 3000);
	size_t at;

	qtest_heap_remember(space);
	for (at = 0; at < HEAP_SIZE; at++) {
		u8 *addr = space->memory + at;

		if (addr == small || addr == large)
			continue;
		EXPECT_ERR(test, quarry_heap_free(heap, addr), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, addr), -EINVAL);
		space->old.nr_misuses += 2;
	}
	qtest_heap_unchanged(test, space, 0);
	EXPECT_OK(test, quarry_heap_free(heap, small));
	EXPECT_OK(test, quarry_heap_free(heap, large));
	qtest_heap_all_free(test, heap);
}

static int never_called(void *ctx, void *block, size_t size)
{
	struct kunit *test = ctx;

	KUNIT_FAIL(test, "asked whether to free %zu bytes that are no block", size);
	return 0;
}

/* Defect 10: a foreign pointer became a wild index. */
static void foreign_pointers_are_refused(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	struct qtest_heap *other = qtest_heap(test, SZ_4K, HEAP_PAGE);
	void *const foreign[] = {
		heap, &heap, test, (void *)1, (void *)8, (void *)512, ERR_PTR(-1), ERR_PTR(-8),
		ERR_PTR(-512), (void *)LONG_MAX, (void *)LONG_MIN, space->memory - 1,
		space->memory - 8, space->memory - 512, space->memory + HEAP_SIZE,
		space->memory + HEAP_SIZE + 8, space->memory + HEAP_SIZE + 512, other->memory,
		qtest_heap_block(test, &other->heap, 100),
	};
	size_t i;

	qtest_heap_block(test, heap, 100);
	qtest_heap_remember(space);
	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		EXPECT_ERR(test, quarry_heap_free(heap, foreign[i]), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, foreign[i]), -EINVAL);
		EXPECT_ERR(test, quarry_heap_free_checked(heap, foreign[i], never_called, test),
			   -EINVAL);
		KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, foreign[i], 100));
	}
	qtest_heap_unchanged(test, space, 4 * ARRAY_SIZE(foreign));
}

/* Defect 9: refused frees made the counters wrong, even negative. */
static void refused_frees_count_as_nothing_else(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 64);
	int i;

	EXPECT_OK(test, quarry_heap_free(heap, block));
	qtest_heap_remember(space);
	for (i = 0; i < 100; i++) {
		EXPECT_ERR(test, quarry_heap_free(heap, block), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free(heap, block + 1), -EINVAL);
	}
	KUNIT_EXPECT_EQ(test, space->old.nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, space->old.used, 0ULL);
	qtest_heap_unchanged(test, space, 200);
}

/* ---- Veto ---- */

struct veto {
	struct kunit *test;
	struct quarry_heap *heap;
	void *block;
	size_t size;
	int answer;
	int nr_asked;
};

static int ask(void *ctx, void *block, size_t size)
{
	struct veto *veto = ctx;

	KUNIT_EXPECT_PTR_EQ(veto->test, block, veto->block);
	KUNIT_EXPECT_EQ(veto->test, size, veto->size);
	/* With no lock held; and the block is still in use. */
	KUNIT_EXPECT_EQ(veto->test, quarry_heap_usable_size(veto->heap, block), size);
	veto->nr_asked++;
	return veto->answer;
}

static void a_check_may_veto_a_free(struct kunit *test)
{
	static const int answers[] = { -EBUSY, -EPERM, 1, INT_MIN, INT_MAX, -ENOENT, -EINVAL };
	struct qtest_heap *space = test->priv;
	struct veto veto = { .test = test, .heap = &space->heap };
	size_t i, k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		veto.block = qtest_heap_block(test, &space->heap, kinds[k]);
		veto.size = quarry_heap_usable_size(&space->heap, veto.block);
		veto.nr_asked = 0;
		qtest_heap_remember(space);
		for (i = 0; i < ARRAY_SIZE(answers); i++) {
			veto.answer = answers[i];
			EXPECT_ERR(test, quarry_heap_free_checked(&space->heap, veto.block, ask,
								  &veto), answers[i]);
		}
		qtest_heap_unchanged(test, space, 0);
		veto.answer = 0;
		EXPECT_OK(test, quarry_heap_free_checked(&space->heap, veto.block, ask, &veto));
		EXPECT_ERR(test, quarry_heap_free_checked(&space->heap, veto.block, ask, &veto),
			   -ENOENT);
		KUNIT_EXPECT_EQ(test, veto.nr_asked, (int)ARRAY_SIZE(answers) + 1);
	}
	EXPECT_OK(test, quarry_heap_free_checked(&space->heap, NULL, never_called, test));
	qtest_heap_all_free(test, &space->heap);
}

static int free_it_oneself(void *ctx, void *block, size_t size)
{
	return quarry_heap_free(ctx, block);
}

static int replace_it(void *ctx, void *block, size_t size)
{
	struct quarry_heap *heap = ctx;
	int err = quarry_heap_free(heap, block);

	/* With a larger block that covers it, and begins elsewhere or there. */
	return err ?: !quarry_heap_alloc(heap, HEAP_SIZE / 2);
}

/* While the check runs, others may free the block; then it is free already. */
static void a_block_that_is_freed_during_its_check_is_freed_once(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 100), *before, *behind;

	EXPECT_ERR(test, quarry_heap_free_checked(heap, block, free_it_oneself, heap), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_frees, 1ULL);
	qtest_heap_all_free(test, heap);

	before = qtest_heap_block(test, heap, 10 * HEAP_PAGE);
	block = qtest_heap_block(test, heap, 2 * HEAP_PAGE);
	behind = qtest_heap_block(test, heap, 4 * HEAP_PAGE);
	EXPECT_OK(test, quarry_heap_free(heap, before));
	EXPECT_OK(test, quarry_heap_free(heap, behind));
	KUNIT_EXPECT_NE(test, quarry_heap_free_checked(heap, block, replace_it, heap), 0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
}

/* ---- Deferred ---- */

static void a_deferred_free_is_done_by_reap(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[ARRAY_SIZE(kinds)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) - 1; i++) {
		blocks[i] = qtest_heap_block(test, heap, kinds[i]);
		EXPECT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, blocks[i]), -ENOENT);
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 1UL);
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 0UL);
		EXPECT_ERR(test, quarry_heap_free_deferred(heap, blocks[i]), -ENOENT);
		EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -ENOENT);
	}
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 3ULL * i);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_frees, (u64)i);
	qtest_heap_all_free(test, heap);
}

static void many_deferred_frees_are_all_done(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	unsigned int i, nr;
	size_t k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		nr = qtest_heap_fill(test, heap, kinds[k], blocks, MANY);
		for (i = 0; i < nr; i++)
			ASSERT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), (unsigned long)nr);
		for (i = 0; i < nr; i++)
			EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -ENOENT);
		qtest_heap_all_free(test, heap);
	}
}

/* An allocation that finds no room does all that is queued before it fails. */
static void deferred_frees_are_done_before_an_allocation_fails(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, MANY * sizeof(*blocks));
	size_t total = qtest_heap_stats(heap).total;
	unsigned int i, nr = qtest_heap_fill(test, heap, 40, blocks, MANY);

	for (i = 0; i < nr; i++)
		ASSERT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
	KUNIT_EXPECT_NOT_NULL(test, quarry_heap_alloc(heap, total));
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 0UL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
}

/* Without reap, in steady use, the queue doesn't grow. */
static void deferred_frees_are_done_by_the_way(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block;
	int i;

	for (i = 0; i < 10000; i++) {
		block = quarry_heap_alloc(heap, 1 + i % 2000);
		KUNIT_ASSERT_NOT_NULL(test, block);
		ASSERT_OK(test, quarry_heap_free_deferred(heap, block));
	}
	KUNIT_EXPECT_LE(test, quarry_heap_reap(heap), 2UL);
	qtest_heap_all_free(test, heap);
}

/* The queued block is freed once, however its owner goes on. */
static void a_queued_block_is_freed_once(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *blocks[3];
	int i;

	for (i = 0; i < 3; i++)
		blocks[i] = qtest_heap_block(test, heap, 100);
	for (i = 0; i < 3; i++)
		EXPECT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
	for (i = 0; i < 3; i++)
		EXPECT_ERR(test, quarry_heap_free(heap, blocks[i]), -ENOENT);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_frees, 3ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_misuses, 3ULL);

	/* Given out again, with what the heap had written to it, it can be queued again. */
	for (i = 0; i < 3; i++) {
		blocks[i] = quarry_heap_alloc(heap, 100);
		EXPECT_OK(test, quarry_heap_free_deferred(heap, blocks[i]));
		KUNIT_EXPECT_EQ(test, quarry_heap_reap(heap), 1UL);
	}
	qtest_heap_all_free(test, heap);
}

/* What isn't resized, found or ended any more: a block on its way out. */
static void a_queued_block_is_on_its_way_out(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void *block = qtest_heap_block(test, heap, 3000);

	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 3000));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 0ULL);
	block = qtest_heap_block(test, heap, 3000);
	EXPECT_OK(test, quarry_heap_free_deferred(heap, block));
	EXPECT_OK(test, quarry_heap_fini(heap, NULL));
	test->priv = NULL;
}

/* ---- Memory that is written to after it was freed ---- */

/* What may be found in free memory, from bad luck to malice. */
enum stain { ZEROES, ONES, POISON, ITSELF, POINTERS, NOISE, REPLAY, NR_STAINS };

#define NR_BLOCKS	96

struct loot {
	u8 *block;
	size_t size;
	bool queued;
};

/**
 * struct crime - a heap whose free memory is written to
 * @test: the test
 * @heap: the heap
 * @rnd: where all decisions come from
 * @live: what is in use, of size 0 where nothing is
 * @freed: what was freed, or queued for that
 * @nr_freed: how many of them
 * @odds: one of so many of them is written to
 */
struct crime {
	struct kunit *test;
	struct quarry_heap *heap;
	struct rnd_state rnd;
	struct loot live[NR_BLOCKS];
	struct loot freed[NR_BLOCKS];
	unsigned int nr_freed;
	unsigned int odds;
};

static unsigned long stain_word(struct crime *crime, const unsigned long *at, unsigned int i,
				enum stain kind, const struct loot *other)
{
	switch (kind) {
	case ZEROES:
		return 0;
	case ONES:
		return ULONG_MAX;
	case POISON:
		return ULONG_MAX / 0xff * 0x6b;
	case ITSELF:
		return (unsigned long)at;
	case POINTERS:
		return (unsigned long)other->block;
	case NOISE:
		return prandom_u32_state(&crime->rnd);
	default:
		/* What the heap has in another free block, as memcpy() leaves it. */
		return (i + 1) * sizeof(*at) <= other->size ?
			((const unsigned long *)other->block)[i] : *at;
	}
}

/* Writes to some words of a freed block, mostly the first, where the heap's are. */
static void stain(struct crime *crime, const struct loot *loot)
{
	const struct loot *other = &crime->freed[qtest_below(&crime->rnd, crime->nr_freed)];
	enum stain kind = qtest_below(&crime->rnd, NR_STAINS);
	unsigned long *words = (unsigned long *)loot->block;
	unsigned int i, nr = loot->size / sizeof(*words);

	if (qtest_below(&crime->rnd, 4))
		nr = min(nr, 1 + qtest_below(&crime->rnd, 3));
	i = qtest_below(&crime->rnd, 4) ? 0 : qtest_below(&crime->rnd, 2);
	for (; i < nr; i++)
		words[i] = stain_word(crime, &words[i], i, kind, other);
}

/* Whoever is given what somebody has, or what isn't the heap's, ends the test. */
static void expect_apart(struct crime *crime, const struct loot *new)
{
	unsigned int i;

	for (i = 0; i < NR_BLOCKS; i++) {
		const struct loot *old = &crime->live[i];

		KUNIT_ASSERT_FALSE_MSG(crime->test, old != new && old->size &&
				       old->block < new->block + new->size &&
				       new->block < old->block + old->size,
				       "two blocks share memory");
	}
}

static void rob(struct crime *crime, struct loot *loot)
{
	size_t size = 1UL << qtest_below(&crime->rnd, 12);

	size += qtest_below(&crime->rnd, size);
	if (loot->size)
		return;
	loot->block = quarry_heap_alloc(crime->heap, size);
	if (!loot->block)
		return;
	loot->size = size;
	expect_apart(crime, loot);
	qtest_heap_write(loot->block, size);
}

static void return_it(struct crime *crime, struct loot *loot)
{
	bool queued = !qtest_below(&crime->rnd, 3);
	int err;

	if (!loot->size)
		return;
	KUNIT_ASSERT_TRUE(crime->test, qtest_heap_reads(loot->block, loot->size, loot->block,
							loot->size));
	err = queued ? quarry_heap_free_deferred(crime->heap, loot->block) :
		       quarry_heap_free(crime->heap, loot->block);
	if (err)
		KUNIT_ASSERT_EQ(crime->test, err, -EIO);
	loot->queued = queued;
	if (!err && crime->nr_freed < NR_BLOCKS)
		crime->freed[crime->nr_freed++] = *loot;
	loot->size = 0;
}

static bool is_live(const struct crime *crime, const u8 *block)
{
	unsigned int i;

	for (i = 0; i < NR_BLOCKS; i++)
		if (crime->live[i].size && crime->live[i].block <= block &&
		    block < crime->live[i].block + crime->live[i].size)
			return true;
	return false;
}

/* Once more; what was only queued may be freed now, if its mark was written over. */
static void return_again(struct crime *crime)
{
	struct loot *loot = &crime->freed[qtest_below(&crime->rnd, NR_BLOCKS)];

	if (loot >= crime->freed + crime->nr_freed || is_live(crime, loot->block))
		return;
	if (loot->queued)
		quarry_heap_free(crime->heap, loot->block);
	else
		KUNIT_ASSERT_NE(crime->test, quarry_heap_free(crime->heap, loot->block), 0);
	loot->queued = false;
}

static void resize(struct crime *crime, struct loot *loot)
{
	size_t size = 1 + qtest_below(&crime->rnd, 6000);
	u8 *block;

	if (!loot->size)
		return;
	block = quarry_heap_realloc(crime->heap, loot->block, size);
	if (!block)
		return;
	KUNIT_ASSERT_TRUE(crime->test, qtest_heap_reads(block, size, loot->block, loot->size));
	*loot = (struct loot) { .block = block, .size = size };
	expect_apart(crime, loot);
	qtest_heap_write(block, size);
}

static void commit(struct crime *crime)
{
	struct loot *loot = &crime->live[qtest_below(&crime->rnd, NR_BLOCKS)];

	switch (qtest_below(&crime->rnd, 8)) {
	case 0:
	case 1:
	case 2:
		rob(crime, loot);
		break;
	case 3:
	case 4:
		return_it(crime, loot);
		break;
	case 5:
		return_again(crime);
		break;
	case 6:
		resize(crime, loot);
		break;
	default:
		quarry_heap_reap(crime->heap);
	}
}

/* Free memory only: what was given to somebody else since is no longer stained. */
static void stain_freed(struct crime *crime)
{
	unsigned int i;
	size_t at;

	for (i = 0; i < crime->nr_freed; i++) {
		struct loot *loot = &crime->freed[i];

		if (qtest_below(&crime->rnd, crime->odds))
			continue;
		for (at = 0; at < loot->size; at += 8)
			if (is_live(crime, loot->block + at))
				break;
		if (at >= loot->size)
			stain(crime, loot);
	}
}

static void expect_all_theirs(struct crime *crime)
{
	struct quarry_fault fault;
	unsigned int i;
	int err = quarry_heap_verify(crime->heap, &fault);

	if (err)
		KUNIT_ASSERT_EQ(crime->test, err, -EUCLEAN);
	for (i = 0; i < NR_BLOCKS; i++) {
		const struct loot *loot = &crime->live[i];

		KUNIT_ASSERT_TRUE(crime->test, !loot->size ||
				  qtest_heap_reads(loot->block, loot->size, loot->block,
						   loot->size));
	}
}

static void commit_crimes(struct kunit *test, struct crime *crime, struct qtest_heap *space)
{
	unsigned int i;

	memset(crime->live, 0, sizeof(crime->live));
	crime->nr_freed = 0;
	crime->odds = 1 << qtest_below(&crime->rnd, 9);
	ASSERT_OK(test, quarry_heap_init(&space->heap, "crime scene", space->memory, HEAP_SIZE,
					 64 << qtest_below(&crime->rnd, 4)));
	for (i = 0; i < NR_BLOCKS; i++)
		rob(crime, &crime->live[i]);
	for (i = 0; i < 60; i++)
		return_it(crime, &crime->live[qtest_below(&crime->rnd, NR_BLOCKS)]);
	for (i = 0; i < 200; i++) {
		if (i % 50 == 0)
			stain_freed(crime);
		commit(crime);
	}
	expect_all_theirs(crime);
	qtest_fences(test, space->memory, HEAP_SIZE);
	quarry_heap_destroy(&space->heap, NULL, NULL);
}

/*
 * A heap that finds damage takes itself out of service, and one that doesn't goes
 * on; either way no block is given out twice, none that is in use is written to,
 * and no call fails to come back.
 */
static void writes_to_free_memory_harm_no_block_in_use(struct kunit *test)
{
	struct qtest_heap *space = qtest_heap(test, HEAP_SIZE, HEAP_PAGE);
	struct crime *crime = qtest_memory(test, sizeof(*crime));
	unsigned long i, rounds = qtest_rounds(test, 4000);

	kunit_info(test, "may be warned that a heap is out of service");
	crime->test = test;
	crime->heap = &space->heap;
	qtest_seed(test, &crime->rnd);
	for (i = 0; i < rounds; i++) {
		commit_crimes(test, crime, space);
		cond_resched();
	}
}

/* Each stain by itself, on the one free block of a heap, of each kind. */
static void a_second_free_is_refused_whatever_was_written(struct kunit *test)
{
	struct qtest_heap *space = qtest_heap(test, HEAP_SIZE, HEAP_PAGE);
	struct quarry_heap *heap = &space->heap;
	static const u8 bytes[] = { 0, 0xff, 0x6b, 0x5a, 1, 0x80 };
	void *block, *again;
	size_t k, i;

	kunit_info(test, "may be warned that a heap is out of service");
	for (k = 0; k < ARRAY_SIZE(kinds); k++)
		for (i = 0; i < ARRAY_SIZE(bytes); i++) {
			ASSERT_OK(test, quarry_heap_init(heap, "stained", space->memory, HEAP_SIZE,
							 HEAP_PAGE));
			again = qtest_heap_block(test, heap, kinds[k]);
			block = qtest_heap_block(test, heap, kinds[k]);
			ASSERT_OK(test, quarry_heap_free(heap, block));
			memset(block, bytes[i], kinds[k]);
			KUNIT_EXPECT_NE(test, quarry_heap_free(heap, block), 0);
			KUNIT_EXPECT_NE(test, quarry_heap_free_deferred(heap, block), 0);
			KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 1));
			KUNIT_EXPECT_TRUE(test, qtest_heap_reads(again, kinds[k], again, kinds[k]));
			quarry_heap_destroy(heap, NULL, NULL);
		}
}

/* Zeroes are a link to the first page of all, and look right if they lie there. */
static void a_cleared_free_block_does_not_lead_to_itself(struct kunit *test)
{
	struct qtest_heap *space = qtest_heap(test, HEAP_SIZE, HEAP_PAGE);
	struct quarry_heap *heap = &space->heap;
	size_t nr;

	kunit_info(test, "may be warned that a heap is out of service");
	for (nr = 1; nr < 40; nr++) {
		void *first, *wall, *rest;

		ASSERT_OK(test, quarry_heap_init(heap, "cleared", space->memory, HEAP_SIZE,
						 HEAP_PAGE));
		first = qtest_heap_block(test, heap, nr * HEAP_PAGE);
		wall = qtest_heap_block(test, heap, 10 * HEAP_PAGE);
		rest = qtest_heap_block(test, heap, nr * HEAP_PAGE);
		ASSERT_OK(test, quarry_heap_free(heap, first));
		memset(first, 0, nr * HEAP_PAGE);
		KUNIT_EXPECT_PTR_NE(test, quarry_heap_alloc(heap, nr * HEAP_PAGE), wall);
		quarry_heap_free(heap, rest);
		quarry_heap_alloc(heap, nr * HEAP_PAGE);
		KUNIT_EXPECT_TRUE(test, qtest_heap_reads(wall, 10 * HEAP_PAGE, wall,
							 10 * HEAP_PAGE));
		quarry_heap_destroy(heap, NULL, NULL);
	}
}

/* A block in use may hold whatever its owner likes, the heap's own marks too. */
static void contents_are_never_taken_for_marks(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *block, *again, marks[64];
	size_t k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		size_t size = min(kinds[k], sizeof(marks));

		block = qtest_heap_block(test, heap, kinds[k]);
		EXPECT_OK(test, quarry_heap_free(heap, block));
		memcpy(marks, block, size);
		again = quarry_heap_alloc(heap, kinds[k]);
		KUNIT_ASSERT_PTR_EQ(test, again, block);
		memcpy(again, marks, size);
		KUNIT_EXPECT_NE(test, quarry_heap_usable_size(heap, again), (size_t)0);
		again = quarry_heap_realloc(heap, again, kinds[k]);
		KUNIT_EXPECT_PTR_EQ(test, again, block);
		EXPECT_OK(test, quarry_heap_free(heap, again));
		EXPECT_ERR(test, quarry_heap_free(heap, again), -ENOENT);
	}
	qtest_heap_all_free(test, heap);
}

static struct kunit_case misuse_cases[] = {
	KUNIT_CASE(a_second_free_of_the_only_block_is_refused),
	KUNIT_CASE(a_second_free_among_others_is_refused),
	KUNIT_CASE(all_that_was_freed_is_known_as_free),
	KUNIT_CASE(nothing_is_given_out_twice_after_a_second_free),
	KUNIT_CASE(no_interior_address_is_freed),
	KUNIT_CASE(addresses_of_the_past_inside_a_block_are_not_freed),
	KUNIT_CASE(what_was_never_given_out_is_not_freed),
	KUNIT_CASE(foreign_pointers_are_refused),
	KUNIT_CASE(refused_frees_count_as_nothing_else),
	KUNIT_CASE(a_check_may_veto_a_free),
	KUNIT_CASE(a_block_that_is_freed_during_its_check_is_freed_once),
	KUNIT_CASE(a_deferred_free_is_done_by_reap),
	KUNIT_CASE(many_deferred_frees_are_all_done),
	KUNIT_CASE(deferred_frees_are_done_before_an_allocation_fails),
	KUNIT_CASE(deferred_frees_are_done_by_the_way),
	KUNIT_CASE(a_queued_block_is_freed_once),
	KUNIT_CASE(a_queued_block_is_on_its_way_out),
	KUNIT_CASE(a_second_free_is_refused_whatever_was_written),
	KUNIT_CASE(a_cleared_free_block_does_not_lead_to_itself),
	KUNIT_CASE(contents_are_never_taken_for_marks),
	KUNIT_CASE(writes_to_free_memory_harm_no_block_in_use),
	{}
};

static struct kunit_suite misuse_suite = {
	.name = "quarry_heap_misuse",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = misuse_cases,
};

kunit_test_suite(misuse_suite);
