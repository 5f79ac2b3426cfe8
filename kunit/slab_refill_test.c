// SPDX-License-Identifier: GPL-2.0
/*
 * How slab allocators get memory and give it back: refill at a watermark, also
 * one that fails, that recurses or that brings nothing; reserves; reclaim.
 */
#include <linux/irq_work.h>
#include <linux/preempt.h>

#include "backing.h"

/* ---- A refill of the test's own ---- */

#define SIZE	256
#define CHUNK	(7 * SIZE + 200)	/* what a refill brings: 7 objects, and their head */

/**
 * struct refiller - a refill callback and what it has seen
 * @slab: who calls it
 * @memory: from where it brings a chunk each time
 * @nr_chunks: chunks left
 * @nr_calls: times that it was called
 * @fail_at: this call fails, counted from 1
 * @brings_nothing: says that all went well, and brings nothing
 * @takes: objects that it allocates for itself each time
 * @taken: what it got
 * @nr_taken: how many
 * @depth: calls of it that have not yet returned
 * @nr_faults: what it saw that must not be
 */
struct refiller {
	struct quarry_slab *slab;
	u8 *memory;
	unsigned int nr_chunks;
	unsigned int nr_calls;
	unsigned int fail_at;
	bool brings_nothing;
	unsigned int takes;
	void *taken[16];
	unsigned int nr_taken;
	unsigned int depth;
	unsigned int nr_faults;
};

static bool lock_is_free(struct quarry_slab *slab)
{
	return !raw_spin_is_locked(&slab->lock);
}

static int bring(struct quarry_slab *slab, void *ctx)
{
	struct refiller *refiller = ctx;
	unsigned int i;
	int err = 0;

	refiller->nr_calls++;
	if (slab != refiller->slab || !lock_is_free(slab) || refiller->depth++)
		refiller->nr_faults++;
	for (i = 0; i < refiller->takes; i++) {
		void *object = quarry_slab_alloc(slab, 0);

		if (object)
			refiller->taken[refiller->nr_taken++] = object;
	}
	if (refiller->nr_calls == refiller->fail_at || !refiller->nr_chunks)
		err = -ENOMEM;
	else if (!refiller->brings_nothing &&
		 quarry_slab_grow(slab, refiller->memory + CHUNK * --refiller->nr_chunks,
				  CHUNK) != 7)
		refiller->nr_faults++;
	refiller->depth--;
	return err;
}

static struct refiller *refiller_of(struct kunit *test, unsigned int nr_chunks)
{
	struct refiller *refiller = kunit_kzalloc(test, sizeof(*refiller), GFP_KERNEL);
	struct quarry_slab_config config = {
		.name = test->name, .object_size = SIZE, .refill = bring, .ctx = refiller,
	};

	KUNIT_ASSERT_NOT_NULL(test, refiller);
	refiller->memory = qtest_memory(test, nr_chunks * CHUNK + 8);
	refiller->nr_chunks = nr_chunks;
	refiller->slab = qtest_slab(test, &config);
	return refiller;
}

static void refill_is_called_when_nothing_is_left(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 3);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 0U);
	for (i = 0; i < 21; i++) {
		qtest_slab_object(test, refiller->slab);
		KUNIT_EXPECT_EQ(test, refiller->nr_calls, i / 7 + 1);
		KUNIT_EXPECT_EQ(test, qtest_slab_stats(refiller->slab).nr_refills,
				i / 7 + 1ULL);
	}
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
}

/* Once a call, although the call finds nothing. */
static void refill_is_called_once_even_if_in_vain(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 1);
	struct quarry_slab_stats stats;
	void *objects[16];
	int i;

	refiller->brings_nothing = true;
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(refiller->slab, 0));
	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 1U);
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(refiller->slab, 0, 16, objects), 0U);
	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 2U);
	refiller->brings_nothing = false;
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(refiller->slab, 0, 16, objects), 7U);
	KUNIT_EXPECT_LE(test, refiller->nr_calls, 4U);
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_NULL(test, quarry_slab_alloc(refiller->slab, 0));
	stats = qtest_slab_stats(refiller->slab);
	KUNIT_EXPECT_EQ(test, stats.nr_refills, (u64)refiller->nr_calls);
	KUNIT_EXPECT_GE(test, stats.nr_failures, 7ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_used, 7ULL);
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
	qtest_slab_intact(test, refiller->slab);
}

static const unsigned int nths[] = { 1, 2, 3, 5, 9 };

static void nth_desc(const unsigned int *nth, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "call %u", *nth);
}

KUNIT_ARRAY_PARAM(nth, nths, nth_desc);

static void a_refill_that_fails_once_fails_one_allocation(struct kunit *test)
{
	unsigned int i, nr_failed = 0, nth = *(const unsigned int *)test->param_value;
	struct refiller *refiller = refiller_of(test, 10);
	struct quarry_slab *slab = refiller->slab;

	refiller->fail_at = nth;
	for (i = 0; i < 71; i++)
		if (!quarry_slab_alloc(slab, 0)) {
			KUNIT_EXPECT_EQ(test, i, 7 * (nth - 1));
			KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_failures, 1ULL);
			nr_failed++;
		}
	KUNIT_EXPECT_EQ(test, nr_failed, 1U);
	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 11U);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, 70ULL);
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
}

/* The last objects are for the refill itself, whose own calls never refill. */
static void a_refill_may_allocate_from_its_slab(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 8);
	struct quarry_slab *slab = refiller->slab;
	int i;

	ASSERT_OK(test, quarry_slab_set_watermark(slab, 2));
	KUNIT_ASSERT_EQ(test, quarry_slab_grow(slab, qtest_memory(test, CHUNK), CHUNK), 7L);
	refiller->takes = 2;
	for (i = 0; i < 30; i++) {
		qtest_slab_object(test, slab);
		KUNIT_EXPECT_EQ(test, refiller->nr_taken, 2 * refiller->nr_calls);
		KUNIT_EXPECT_GE(test, quarry_slab_nr_free(slab), 2ULL);
	}
	KUNIT_EXPECT_GT(test, refiller->nr_calls, 4U);
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, 30ULL + refiller->nr_taken);
}

/* With nothing kept for it, it gets nothing; that is all. */
static void a_refill_that_recurses_with_nothing_left_gets_nothing(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 4);
	int i;

	refiller->takes = 1;
	for (i = 0; i < 28; i++)
		qtest_slab_object(test, refiller->slab);
	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 4U);
	KUNIT_EXPECT_EQ(test, refiller->nr_taken, 0U);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(refiller->slab, 0));
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
}

static void an_ordinary_call_leaves_what_is_kept(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 0);
	struct quarry_slab *slab = refiller->slab;
	int i;

	ASSERT_OK(test, quarry_slab_set_watermark(slab, 3));
	KUNIT_ASSERT_EQ(test, quarry_slab_grow(slab, qtest_memory(test, CHUNK), CHUNK), 7L);
	for (i = 0; i < 4; i++)
		qtest_slab_object(test, slab);
	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 0U);
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
		KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 3ULL);
	}
	KUNIT_EXPECT_EQ(test, refiller->nr_calls, 3U);
	refiller->takes = 4;
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_EQ(test, refiller->nr_taken, 3U);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 0ULL);
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
}

/* What a refill frees counts, too. */
static int give_one_back(struct quarry_slab *slab, void *ctx)
{
	void **kept = ctx;

	return quarry_slab_free(slab, xchg(kept, NULL));
}

static void a_refill_may_free_to_its_slab(struct kunit *test)
{
	void **kept = qtest_memory(test, sizeof(*kept));
	struct quarry_slab_config config = {
		.name = test->name, .object_size = SIZE, .refill = give_one_back, .ctx = kept,
	};
	struct quarry_slab *slab = qtest_slab(test, &config);
	void *object;
	int i;

	*kept = NULL;
	KUNIT_ASSERT_EQ(test, quarry_slab_grow(slab, qtest_memory(test, CHUNK), CHUNK), 7L);
	for (i = 0; i < 7; i++)
		object = qtest_slab_object(test, slab);
	*kept = object;
	KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), object);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
}

/**
 * struct intruder - an interrupt in the middle of a refill
 * @raise: raises it
 * @refiller: whose refill it interrupts, and calls
 * @object: what it was given
 */
struct intruder {
	struct irq_work raise;
	struct refiller *refiller;
	void *object;
};

static void intrude(struct irq_work *raise)
{
	struct intruder *intruder = container_of(raise, struct intruder, raise);

	intruder->object = quarry_slab_alloc(intruder->refiller->slab, 0);
}

static int bring_while_interrupted(struct quarry_slab *slab, void *ctx)
{
	struct intruder *intruder = ctx;

	if (in_task()) {
		irq_work_queue(&intruder->raise);
		irq_work_sync(&intruder->raise);
	}
	return bring(slab, intruder->refiller);
}

/* It isn't the refill's own call: so it may refill, and has no claim to what is kept. */
static void an_interrupt_of_a_refill_is_an_ordinary_caller(struct kunit *test)
{
	struct intruder *intruder = qtest_memory(test, sizeof(*intruder));
	struct quarry_slab_config config = {
		.name = test->name, .object_size = SIZE, .refill = bring_while_interrupted,
		.ctx = intruder,
	};
	struct quarry_slab *slab = qtest_slab(test, &config);

	intruder->raise = IRQ_WORK_INIT_HARD(intrude);
	intruder->refiller = kunit_kzalloc(test, sizeof(*intruder->refiller), GFP_KERNEL);
	intruder->object = NULL;
	KUNIT_ASSERT_NOT_NULL(test, intruder->refiller);
	intruder->refiller->memory = qtest_memory(test, 2 * CHUNK);
	intruder->refiller->slab = slab;
	ASSERT_OK(test, quarry_slab_set_watermark(slab, 3));
	KUNIT_ASSERT_EQ(test, quarry_slab_grow(slab, qtest_memory(test, CHUNK), CHUNK), 7L);
	qtest_slab_objects(test, slab, 4);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_NULL(test, intruder->object);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 3ULL);
	KUNIT_EXPECT_EQ(test, intruder->refiller->nr_calls, 2U);
	intruder->refiller->nr_chunks = 2;
	qtest_slab_object(test, slab);
	KUNIT_EXPECT_NOT_NULL(test, intruder->object);
	KUNIT_EXPECT_EQ(test, intruder->refiller->nr_calls, 4U);
	KUNIT_EXPECT_EQ(test, intruder->refiller->nr_faults, 0U);
}

/* ---- Slabs from a backend ---- */

static struct quarry_slab *slab_of_pages(struct kunit *test, size_t object_size)
{
	struct quarry_slab_config config = qtest_slab_config(test, object_size, 0);
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab;

	config.slab_size = PAGE;
	slab = qtest_slab(test, &config);
	backing->watched = slab;
	return slab;
}

static long nr_takes(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;

	return atomic_long_read(&backing->nr_takes);
}

static long nr_gives(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;

	return atomic_long_read(&backing->nr_gives);
}

static void slabs_are_taken_one_at_a_time(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	int i;

	for (i = 0; i < 3 * NR_PAGES; i++) {
		qtest_slab_object(test, slab);
		KUNIT_EXPECT_EQ(test, nr_takes(test), i / 3 + 1L);
		KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_refills, i / 3 + 1ULL);
	}
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_full, (u64)NR_PAGES);
}

/* At the nth request to the backend, which then has something after all. */
static void a_backend_that_fails_once_fails_one_allocation(struct kunit *test)
{
	unsigned int i, nr_failed = 0, nth = *(const unsigned int *)test->param_value;
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of_pages(test, 1024);

	for (i = 0; i < 31; i++) {
		WRITE_ONCE(backing->barren, i == 3 * (nth - 1) && !nr_failed);
		if (!quarry_slab_alloc(slab, 0))
			nr_failed++;
	}
	KUNIT_EXPECT_EQ(test, nr_failed, 1U);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, 30ULL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_failures, 1ULL);
}

/* A toggle at the edge of a slab costs the backend nothing after the first. */
static void an_edge_is_no_place_to_thrash(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	void **objects = qtest_slab_objects(test, slab, 30);
	long before;
	int i;

	before = nr_takes(test);
	for (i = 0; i < 1000; i++) {
		void *object = qtest_slab_object(test, slab);

		ASSERT_OK(test, quarry_slab_free(slab, object));
	}
	KUNIT_EXPECT_LE(test, nr_takes(test), before + 1);
	KUNIT_EXPECT_EQ(test, nr_gives(test), 0L);
	qtest_slab_free_all(test, slab, objects, 30);
}

static const unsigned int keeps[] = { 0, 1, 2, 5, 100 };

static void keep_desc(const unsigned int *keep, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u", *keep);
}

KUNIT_ARRAY_PARAM(keep, keeps, keep_desc);

/* Each free gives back one slab at most, and in the end as many are kept as said. */
static void so_many_empty_slabs_are_kept(struct kunit *test)
{
	unsigned int i, keep = *(const unsigned int *)test->param_value;
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	void **objects = qtest_slab_objects(test, slab, 30);
	struct quarry_slab_stats stats;

	ASSERT_OK(test, quarry_slab_set_keep(slab, keep));
	for (i = 0; i < 30; i++) {
		long before = nr_gives(test);

		ASSERT_OK(test, quarry_slab_free(slab, objects[i * 7 % 30]));
		KUNIT_EXPECT_LE(test, nr_gives(test), before + 1);
		stats = qtest_slab_stats(slab);
		KUNIT_EXPECT_LE(test, stats.nr_empty, (u64)keep);
		KUNIT_EXPECT_EQ(test, stats.nr_released, (u64)nr_gives(test));
		qtest_slab_intact(test, slab);
	}
	KUNIT_EXPECT_EQ(test, stats.nr_slabs, min(10ULL, (u64)keep));
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), min(10U, keep));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

static void two_empty_slabs_are_kept_unless_told(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	void **objects = qtest_slab_objects(test, slab, 30);

	qtest_slab_free_all(test, slab, objects, 30);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_empty, 2ULL);
	KUNIT_EXPECT_EQ(test, nr_gives(test), 8L);
}

static void reclaim_gives_back_exactly_what_was_asked(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	void **objects = qtest_slab_objects(test, slab, 60);
	int i;

	ASSERT_OK(test, quarry_slab_set_keep(slab, 100));
	for (i = 3; i < 60; i++)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_empty, 19ULL);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, 0), 0U);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, 1), 1U);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, 7), 7U);
	KUNIT_EXPECT_EQ(test, nr_gives(test), 8L);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_released, 8ULL);
	qtest_slab_intact(test, slab);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 11U);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 0U);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), PAGE);
	qtest_slab_free_all(test, slab, objects, 3);
}

/* The address of a slab that went back is nobody's, and of a new one, not given. */
static void a_slab_that_went_back_is_forgotten(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	void **objects = qtest_slab_objects(test, slab, 3);
	struct quarry_slab_stats old;

	ASSERT_OK(test, quarry_slab_set_keep(slab, 0));
	qtest_slab_free_all(test, slab, objects, 3);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
	old = qtest_slab_stats(slab);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[2]), -EINVAL);
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, objects[0]));
	qtest_slab_unchanged(test, slab, &old, 1);
	KUNIT_EXPECT_PTR_EQ(test, quarry_slab_alloc(slab, 0), objects[0]);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[2]), -EINVAL);
}

/*
 * Objects come from the fullest slab that has one, so that, of many slabs of which
 * half is in use, half become empty when as many are freed as are taken.
 */
static void the_fullest_partial_slab_is_preferred(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 64);
	void **objects = qtest_slab_objects(test, slab, 3 * 63);
	struct quarry_slab_object object;
	void *fullest;
	int i;

	for (i = 0; i < 50; i++)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	for (i = 63; i < 63 + 10; i++)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	for (i = 2 * 63; i < 2 * 63 + 30; i++)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	ASSERT_OK(test, quarry_slab_lookup(slab, objects[63 + 10], &object));
	fullest = object.slab;
	for (i = 0; i < 10; i++) {
		ASSERT_OK(test, quarry_slab_lookup(slab, quarry_slab_alloc(slab, 0), &object));
		KUNIT_EXPECT_PTR_EQ(test, object.slab, fullest);
	}
	ASSERT_OK(test, quarry_slab_lookup(slab, objects[3 * 63 - 1], &object));
	fullest = object.slab;
	ASSERT_OK(test, quarry_slab_lookup(slab, quarry_slab_alloc(slab, 0), &object));
	KUNIT_EXPECT_PTR_EQ(test, object.slab, fullest);
}

static void empties_form_while_objects_come_and_go(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 64);
	unsigned int i, nr = 40 * 63;
	void **objects = qtest_slab_objects(test, slab, nr);
	struct rnd_state rnd;
	u32 other;

	qtest_seed(test, &rnd);
	for (i = 0; i < nr; i++) {
		other = qtest_below(&rnd, nr);
		swap(objects[i], objects[other]);
	}
	for (i = nr / 4; i < nr; i++)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	for (i = 0; i < 30000; i++) {
		void **victim = &objects[qtest_below(&rnd, nr / 4)];

		ASSERT_OK(test, quarry_slab_free(slab, *victim));
		*victim = qtest_slab_object(test, slab);
	}
	kunit_info(test, "%llu slabs for %u objects", qtest_slab_stats(slab).nr_slabs, nr / 4);
	KUNIT_EXPECT_LE(test, qtest_slab_stats(slab).nr_slabs, 20ULL);
	qtest_slab_intact(test, slab);
}

/* ---- Reserve ---- */

static const unsigned int reserves[] = { 1, 2, 3, 4, 10, 100, 189 };

static void reserve_desc(const unsigned int *nr, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u objects", *nr);
}

KUNIT_ARRAY_PARAM(reserve, reserves, reserve_desc);

static void what_is_reserved_can_be_had(struct kunit *test)
{
	unsigned int i, nr = *(const unsigned int *)test->param_value;
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of_pages(test, 1024);

	qtest_slab_object(test, slab);
	ASSERT_OK(test, quarry_slab_reserve(slab, nr));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).reserved, (u64)nr);
	KUNIT_EXPECT_GE(test, quarry_slab_nr_free(slab), (u64)nr);
	WRITE_ONCE(backing->barren, true);
	for (i = 1; i <= nr; i++) {
		qtest_slab_object(test, slab);
		KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).reserved, (u64)nr - i);
	}
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_failures, 0ULL);
	qtest_slab_intact(test, slab);
}

/* Nothing that gives memory back goes below a reserve. */
static void a_reserve_is_not_given_back(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	unsigned int i;

	ASSERT_OK(test, quarry_slab_set_keep(slab, 0));
	ASSERT_OK(test, quarry_slab_reserve(slab, 20));
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 0U);
	quarry_backend_reclaim(&backing->backend);
	KUNIT_EXPECT_GE(test, quarry_slab_nr_free(slab), 20ULL);
	for (i = 0; i < 10; i++)
		ASSERT_OK(test, quarry_slab_free(slab, qtest_slab_object(test, slab)));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).reserved, 10ULL);
	quarry_slab_reclaim(slab, UINT_MAX);
	KUNIT_EXPECT_GE(test, quarry_slab_nr_free(slab), 10ULL);
	KUNIT_EXPECT_LE(test, quarry_slab_nr_free(slab), 10ULL + 2);
	WRITE_ONCE(backing->barren, true);
	for (i = 0; i < 10; i++)
		qtest_slab_object(test, slab);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).reserved, 0ULL);
}

/* Nor below what is kept for the refill. */
static void what_is_kept_for_the_refill_is_not_given_back(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	void **objects = qtest_slab_objects(test, slab, 30);

	ASSERT_OK(test, quarry_slab_set_watermark(slab, 7));
	ASSERT_OK(test, quarry_slab_set_keep(slab, 0));
	qtest_slab_free_all(test, slab, objects, 30);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 9ULL);
	quarry_slab_reclaim(slab, UINT_MAX);
	quarry_backend_reclaim(&backing->backend);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 9ULL);
	ASSERT_OK(test, quarry_slab_set_watermark(slab, 0));
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 3U);
}

static void reserve_counts_what_is_free_already(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 64);

	qtest_slab_object(test, slab);
	ASSERT_OK(test, quarry_slab_reserve(slab, 62));
	KUNIT_EXPECT_EQ(test, nr_takes(test), 1L);
	ASSERT_OK(test, quarry_slab_reserve(slab, 63));
	KUNIT_EXPECT_EQ(test, nr_takes(test), 2L);
	ASSERT_OK(test, quarry_slab_reserve(slab, 0));
	KUNIT_EXPECT_EQ(test, nr_takes(test), 2L);
}

static void more_than_there_is_cannot_be_reserved(struct kunit *test)
{
	struct quarry_slab *slab = slab_of_pages(test, 1024);
	unsigned int i;

	EXPECT_ERR(test, quarry_slab_reserve(slab, 3 * NR_PAGES + 1), -ENOMEM);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).reserved, 0ULL);
	EXPECT_ERR(test, quarry_slab_reserve(slab, UINT_MAX), -ENOMEM);
	qtest_slab_intact(test, slab);
	EXPECT_OK(test, quarry_slab_reserve(slab, 3 * NR_PAGES));
	for (i = 0; i < 3 * NR_PAGES; i++)
		qtest_slab_object(test, slab);
	EXPECT_ERR(test, quarry_slab_reserve(slab, 1), -ENOMEM);
	EXPECT_OK(test, quarry_slab_reserve(slab, 0));
}

/* A reserve is for ordinary calls: it comes on top of what refill has kept. */
static void a_reserve_comes_on_top_of_the_watermark(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 10);
	struct quarry_slab *slab = refiller->slab;
	int i;

	ASSERT_OK(test, quarry_slab_set_watermark(slab, 5));
	KUNIT_ASSERT_EQ(test, quarry_slab_grow(slab, qtest_memory(test, CHUNK), CHUNK), 7L);
	ASSERT_OK(test, quarry_slab_reserve(slab, 20));
	KUNIT_EXPECT_GE(test, quarry_slab_nr_free(slab), 25ULL);
	refiller->nr_chunks = 0;
	for (i = 0; i < 20; i++)
		qtest_slab_object(test, slab);
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
}

static void reserve_without_any_source_takes_what_is_there(struct kunit *test)
{
	struct quarry_slab_config config = { .name = test->name, .object_size = SIZE };
	struct quarry_slab *slab = qtest_slab(test, &config);

	EXPECT_ERR(test, quarry_slab_reserve(slab, 1), -ENOMEM);
	KUNIT_ASSERT_EQ(test, quarry_slab_grow(slab, qtest_memory(test, CHUNK), CHUNK), 7L);
	EXPECT_OK(test, quarry_slab_reserve(slab, 7));
	EXPECT_ERR(test, quarry_slab_reserve(slab, 8), -ENOMEM);
	qtest_slab_intact(test, slab);
}

/* A refill that brings nothing must not be asked for ever. */
static void reserve_gives_up_on_a_refill_that_brings_nothing(struct kunit *test)
{
	struct refiller *refiller = refiller_of(test, 1);

	refiller->brings_nothing = true;
	EXPECT_ERR(test, quarry_slab_reserve(refiller->slab, 5), -ENOMEM);
	KUNIT_EXPECT_LE(test, refiller->nr_calls, 3U);
	KUNIT_EXPECT_EQ(test, refiller->nr_faults, 0U);
}

/* ---- A backend that runs short ---- */

/* Others' empty slabs are had before a request fails, and all of them if need be. */
static void empty_slabs_of_others_are_taken_first(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *hoarder, *heir;
	struct quarry_backend_stats stats;
	void **objects;
	u64 i;

	hoarder = slab_of_pages(test, 1024);
	heir = slab_of_pages(test, 1024);
	ASSERT_OK(test, quarry_slab_set_keep(hoarder, UINT_MAX));
	objects = qtest_slab_objects(test, hoarder, 3 * NR_PAGES);
	for (i = 0; i < 3 * (NR_PAGES - 1); i++)
		ASSERT_OK(test, quarry_slab_free(hoarder, objects[i]));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGES(NR_PAGES));
	for (i = 0; i < 3 * (NR_PAGES - 1); i++)
		qtest_slab_object(test, heir);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(heir, 0));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(hoarder).nr_slabs, 1ULL);
	quarry_backend_stats(&backing->backend, &stats);
	KUNIT_EXPECT_GE(test, stats.nr_reclaims, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, stats.reclaimed, PAGES(NR_PAGES - 1));
	qtest_slab_intact(test, hoarder);
}

/* Headers that are outside: none is lost, whichever of the two can't be had. */
static void a_slab_without_a_header_goes_back(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 4096, 0);
	struct quarry_slab_config of_headers = {
		.name = "headers", .object_size = quarry_slab_header_size(&config),
	};
	struct quarry_slab *slab, *headers = qtest_slab(test, &of_headers);
	struct qtest_backing *backing = test->priv;
	u64 nr, i;

	config.headers = headers;
	config.slab_size = PAGE;
	slab = qtest_slab(test, &config);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	KUNIT_ASSERT_GT(test, quarry_slab_grow(headers, qtest_memory(test, 600), 600), 2L);
	nr = quarry_slab_nr_free(headers);
	for (i = 0; i < nr; i++)
		qtest_slab_object(test, slab);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), PAGES(nr));
	EXPECT_OK(test, quarry_slab_fini(slab, true, NULL));
	qtest_forget(test, slab);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(headers), nr);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
}

static void a_header_without_a_slab_goes_back(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 4096, 0);
	struct quarry_slab_config of_headers = {
		.name = "headers", .object_size = quarry_slab_header_size(&config),
	};
	struct quarry_slab *slab, *headers = qtest_slab(test, &of_headers);
	struct qtest_backing *backing = test->priv;
	int i;

	KUNIT_ASSERT_GT(test, quarry_slab_grow(headers, qtest_memory(test, 600), 600), 2L);
	config.headers = headers;
	slab = qtest_slab(test, &config);
	WRITE_ONCE(backing->barren, true);
	for (i = 0; i < 20; i++)
		KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(headers).nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_failures, 20ULL);
	qtest_slab_intact(test, headers);
	qtest_slab_intact(test, slab);
}

static struct kunit_case refill_cases[] = {
	KUNIT_CASE(refill_is_called_when_nothing_is_left),
	KUNIT_CASE(refill_is_called_once_even_if_in_vain),
	KUNIT_CASE_PARAM(a_refill_that_fails_once_fails_one_allocation, nth_gen_params),
	KUNIT_CASE(a_refill_may_allocate_from_its_slab),
	KUNIT_CASE(a_refill_that_recurses_with_nothing_left_gets_nothing),
	KUNIT_CASE(an_ordinary_call_leaves_what_is_kept),
	KUNIT_CASE(a_refill_may_free_to_its_slab),
	KUNIT_CASE(an_interrupt_of_a_refill_is_an_ordinary_caller),
	KUNIT_CASE(slabs_are_taken_one_at_a_time),
	KUNIT_CASE_PARAM(a_backend_that_fails_once_fails_one_allocation, nth_gen_params),
	KUNIT_CASE(an_edge_is_no_place_to_thrash),
	KUNIT_CASE_PARAM(so_many_empty_slabs_are_kept, keep_gen_params),
	KUNIT_CASE(two_empty_slabs_are_kept_unless_told),
	KUNIT_CASE(reclaim_gives_back_exactly_what_was_asked),
	KUNIT_CASE(a_slab_that_went_back_is_forgotten),
	KUNIT_CASE(the_fullest_partial_slab_is_preferred),
	KUNIT_CASE(empties_form_while_objects_come_and_go),
	KUNIT_CASE_PARAM(what_is_reserved_can_be_had, reserve_gen_params),
	KUNIT_CASE(a_reserve_is_not_given_back),
	KUNIT_CASE(what_is_kept_for_the_refill_is_not_given_back),
	KUNIT_CASE(reserve_counts_what_is_free_already),
	KUNIT_CASE(more_than_there_is_cannot_be_reserved),
	KUNIT_CASE(a_reserve_comes_on_top_of_the_watermark),
	KUNIT_CASE(reserve_without_any_source_takes_what_is_there),
	KUNIT_CASE(reserve_gives_up_on_a_refill_that_brings_nothing),
	KUNIT_CASE(empty_slabs_of_others_are_taken_first),
	KUNIT_CASE(a_slab_without_a_header_goes_back),
	KUNIT_CASE(a_header_without_a_slab_goes_back),
	{}
};

static struct kunit_suite refill_suite = {
	.name = "quarry_slab_refill",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = refill_cases,
};

kunit_test_suite(refill_suite);
