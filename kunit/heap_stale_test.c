// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is written to after it was freed. Whatever it is, nothing that is in
 * use is given to anybody else, or written to, and every call comes back.
 */
#include "heap_helpers.h"

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

/* What lay there before is queued as well then. */
static void remember(struct crime *crime, const struct loot *loot)
{
	unsigned int i;

	for (i = 0; i < crime->nr_freed; i++)
		if (crime->freed[i].block < loot->block + loot->size &&
		    loot->block < crime->freed[i].block + crime->freed[i].size)
			crime->freed[i].queued |= loot->queued;
	if (crime->nr_freed < NR_BLOCKS)
		crime->freed[crime->nr_freed++] = *loot;
}

static void return_it(struct crime *crime, struct loot *loot)
{
	bool queued = !qtest_below(&crime->rnd, 3);
	int err;

	if (!loot->size)
		return;
	KUNIT_ASSERT_TRUE(crime->test, qtest_heap_keeps(loot->block, loot->size));
	err = queued ? quarry_heap_free_deferred(crime->heap, loot->block) :
		       quarry_heap_free(crime->heap, loot->block);
	if (err)
		KUNIT_ASSERT_EQ(crime->test, err, -EIO);
	loot->queued = queued;
	if (!err)
		remember(crime, loot);
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
				  qtest_heap_keeps(loot->block, loot->size));
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
	for (k = 0; k < QTEST_NR_KINDS; k++)
		for (i = 0; i < ARRAY_SIZE(bytes); i++) {
			ASSERT_OK(test, quarry_heap_init(heap, "stained", space->memory, HEAP_SIZE,
							 HEAP_PAGE));
			again = qtest_heap_block(test, heap, qtest_kinds[k]);
			block = qtest_heap_block(test, heap, qtest_kinds[k]);
			ASSERT_OK(test, quarry_heap_free(heap, block));
			memset(block, bytes[i], qtest_kinds[k]);
			KUNIT_EXPECT_NE(test, quarry_heap_free(heap, block), 0);
			KUNIT_EXPECT_NE(test, quarry_heap_free_deferred(heap, block), 0);
			KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 1));
			KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(again, qtest_kinds[k]));
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
		KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(wall, 10 * HEAP_PAGE));
		quarry_heap_destroy(heap, NULL, NULL);
	}
}

/* A block in use may hold whatever its owner likes, the heap's own marks too. */
static void contents_are_never_taken_for_marks(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	void **blocks = qtest_memory(test, 8192 * sizeof(*blocks));
	unsigned int nr;
	u8 marks[64];
	size_t k;

	for (k = 0; k < QTEST_NR_KINDS; k++) {
		size_t size = min(qtest_kinds[k], sizeof(marks));

		/* Where there is room for one only, it comes back. */
		nr = qtest_heap_fill(test, heap, qtest_kinds[k], blocks, 8192);
		EXPECT_OK(test, quarry_heap_free(heap, blocks[nr / 2]));
		memcpy(marks, blocks[nr / 2], size);
		KUNIT_ASSERT_PTR_EQ(test, quarry_heap_alloc(heap, qtest_kinds[k]), blocks[nr / 2]);
		memcpy(blocks[nr / 2], marks, size);
		KUNIT_EXPECT_NE(test, quarry_heap_usable_size(heap, blocks[nr / 2]), (size_t)0);
		EXPECT_OK(test, quarry_heap_free(heap, blocks[nr / 2]));
		EXPECT_ERR(test, quarry_heap_free(heap, blocks[nr / 2]), -ENOENT);
		blocks[nr / 2] = NULL;
		qtest_heap_free_all(test, heap, blocks, nr);
	}
	qtest_heap_all_free(test, heap);
}

static struct kunit_case stale_cases[] = {
	KUNIT_CASE(a_second_free_is_refused_whatever_was_written),
	KUNIT_CASE(a_cleared_free_block_does_not_lead_to_itself),
	KUNIT_CASE(contents_are_never_taken_for_marks),
	KUNIT_CASE_SLOW(writes_to_free_memory_harm_no_block_in_use),
	{}
};

static struct kunit_suite stale_suite = {
	.name = "quarry_heap_stale",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = stale_cases,
};

kunit_test_suite(stale_suite);
