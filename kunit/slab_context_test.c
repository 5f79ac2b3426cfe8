// SPDX-License-Identifier: GPL-2.0
/*
 * Slab allocators on one backend that is too small for them all, used from threads
 * on all CPUs and from hard interrupts at once. Objects are made with nobody's
 * number on them; whoever gets one writes his own on it, and nobody else may have.
 */
#include "backing.h"
#include "workers.h"

#define NR_SLABS	3
#define NR_SLOTS	120
#define NR_SHARED	64

/**
 * struct crowd - all who use the same slab allocators
 * @backing: where all slabs come from
 * @slabs: the allocators
 * @shared: objects that are handed on from one to another
 * @nr_tenants: how many they are
 * @nr_faults: what was seen that must not be
 * @nr_failures: allocations that found no object
 */
struct crowd {
	struct qtest_backing *backing;
	struct quarry_slab *slabs[NR_SLABS];
	void *shared[NR_SLABS][NR_SHARED];
	int nr_tenants;
	atomic_t nr_faults;
	atomic_t nr_failures;
};

/**
 * struct tenant - one who takes and gives back objects, in one context
 * @crowd: the others
 * @id: number on its objects
 * @rnd: what it does next
 * @objects: what it has of each allocator, NULL for nothing
 */
struct tenant {
	struct crowd *crowd;
	int id;
	struct rnd_state rnd;
	void *objects[NR_SLABS][NR_SLOTS];
};

static void make_nobodys(void *ctx, void *object)
{
	atomic_set(object, 0);
}

/* Changes the number on an object from what it must be. */
static void sign(struct tenant *tenant, void *object, int from, int to)
{
	if (atomic_cmpxchg(object, from, to) != from)
		atomic_inc(&tenant->crowd->nr_faults);
}

static void take(struct tenant *tenant, int nr, void **slot)
{
	*slot = quarry_slab_alloc(tenant->crowd->slabs[nr], 0);
	if (*slot)
		sign(tenant, *slot, 0, tenant->id);
	else
		atomic_inc(&tenant->crowd->nr_failures);
}

static void leave(struct tenant *tenant, int nr, void **slot)
{
	sign(tenant, *slot, tenant->id, 0);
	if (quarry_slab_free(tenant->crowd->slabs[nr], *slot))
		atomic_inc(&tenant->crowd->nr_faults);
	*slot = NULL;
}

/* What one has gets another's, who will free it. */
static void hand_on(struct tenant *tenant, int nr, void **slot)
{
	void **shelf = &tenant->crowd->shared[nr][qtest_below(&tenant->rnd, NR_SHARED)];

	if (*slot)
		sign(tenant, *slot, tenant->id, -1);
	*slot = xchg(shelf, *slot);
	if (*slot)
		sign(tenant, *slot, -1, tenant->id);
}

static void take_and_leave_many(struct tenant *tenant, int nr)
{
	void *objects[20];
	unsigned int i, got;

	got = quarry_slab_alloc_bulk(tenant->crowd->slabs[nr], 0, ARRAY_SIZE(objects), objects);
	for (i = 0; i < got; i++)
		sign(tenant, objects[i], 0, tenant->id);
	for (i = 0; i < got; i++)
		sign(tenant, objects[i], tenant->id, 0);
	if (quarry_slab_free_bulk(tenant->crowd->slabs[nr], got, objects))
		atomic_inc(&tenant->crowd->nr_faults);
}

/* Looks on while the others work: at no moment may anything be wrong. */
static void inspect(struct crowd *crowd)
{
	struct quarry_slab_stats stats;
	int nr;

	for (nr = 0; nr < NR_SLABS; nr++) {
		if (quarry_slab_verify(crowd->slabs[nr], NULL))
			atomic_inc(&crowd->nr_faults);
		quarry_slab_stats(crowd->slabs[nr], &stats);
		if (stats.nr_used > stats.nr_objects ||
		    stats.nr_allocs - stats.nr_frees != stats.nr_used ||
		    stats.nr_empty + stats.nr_partial + stats.nr_full != stats.nr_slabs)
			atomic_inc(&crowd->nr_faults);
	}
}

static void step(void *arg)
{
	struct tenant *tenant = arg;
	int nr = qtest_below(&tenant->rnd, NR_SLABS);
	void **slot = &tenant->objects[nr][qtest_below(&tenant->rnd, NR_SLOTS)];

	switch (qtest_below(&tenant->rnd, 1024)) {
	case 0:
		inspect(tenant->crowd);
		break;
	case 1 ... 8:
		quarry_slab_reclaim(tenant->crowd->slabs[nr], 2);
		break;
	case 9 ... 16:
		quarry_slab_set_keep(tenant->crowd->slabs[nr], qtest_below(&tenant->rnd, 4));
		break;
	case 17 ... 24:
		quarry_slab_reserve(tenant->crowd->slabs[nr], qtest_below(&tenant->rnd, 4));
		break;
	case 25 ... 32:
		take_and_leave_many(tenant, nr);
		break;
	case 33 ... 250:
		hand_on(tenant, nr, slot);
		break;
	default:
		if (*slot)
			leave(tenant, nr, slot);
		else
			take(tenant, nr, slot);
	}
}

static void leave_all(void *arg)
{
	struct tenant *tenant = arg;
	int nr, i;

	for (nr = 0; nr < NR_SLABS; nr++)
		for (i = 0; i < NR_SLOTS; i++)
			if (tenant->objects[nr][i])
				leave(tenant, nr, &tenant->objects[nr][i]);
}

/* Small objects, objects with their header outside, and large ones. */
static struct crowd *gather(struct kunit *test)
{
	struct crowd *crowd = kunit_kzalloc(test, sizeof(*crowd), GFP_KERNEL);
	static const size_t sizes[NR_SLABS] = { 64, 200, 1024 };
	struct quarry_slab_config config, headers;
	int nr;

	KUNIT_ASSERT_NOT_NULL(test, crowd);
	crowd->backing = test->priv;
	for (nr = 0; nr < NR_SLABS; nr++) {
		config = qtest_slab_config(test, sizes[nr], 0);
		config.slab_size = PAGE;
		config.ctor = make_nobodys;
		headers = qtest_slab_config(test, quarry_slab_header_size(&config), 0);
		if (nr == 1)
			config.headers = qtest_slab(test, &headers);
		crowd->slabs[nr] = qtest_slab(test, &config);
	}
	return crowd;
}

static void leave_shared(struct kunit *test, struct crowd *crowd)
{
	struct quarry_slab_stats stats;
	int nr, i;

	for (nr = 0; nr < NR_SLABS; nr++) {
		for (i = 0; i < NR_SHARED; i++)
			EXPECT_OK(test, quarry_slab_free(crowd->slabs[nr], crowd->shared[nr][i]));
		stats = qtest_slab_stats(crowd->slabs[nr]);
		KUNIT_EXPECT_EQ(test, stats.nr_used, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_allocs, stats.nr_frees);
	}
}

/* Each with a number of its own. */
static struct tenant *move_in(struct kunit *test, struct crowd *crowd, struct rnd_state *rnd)
{
	struct tenant *tenant = kunit_kzalloc(test, sizeof(*tenant), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, tenant);
	tenant->crowd = crowd;
	tenant->id = ++crowd->nr_tenants;
	prandom_seed_state(&tenant->rnd, prandom_u32_state(rnd));
	return tenant;
}

static struct qtest_worker *engage(struct kunit *test, struct crowd *crowd, int nr)
{
	struct qtest_worker *workers = kunit_kcalloc(test, nr, sizeof(*workers), GFP_KERNEL);
	struct rnd_state rnd;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	qtest_seed(test, &rnd);
	for (i = 0; i < nr; i++) {
		workers[i].step = step;
		workers[i].leave = leave_all;
		workers[i].thread = move_in(test, crowd, &rnd);
		workers[i].interrupt = move_in(test, crowd, &rnd);
	}
	return workers;
}

static void threads_and_interrupts_never_share_an_object(struct kunit *test)
{
	struct crowd *crowd = gather(test);
	int nr = qtest_nr_workers();
	unsigned long nr_interrupts, rounds = qtest_rounds(test, 150000) / nr;

	nr_interrupts = qtest_work(test, engage(test, crowd, nr), nr, rounds);
	kunit_info(test, "%d threads, %lu interrupts, %d failures", nr, nr_interrupts,
		   atomic_read(&crowd->nr_failures));
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->nr_faults), 0);
	leave_shared(test, crowd);
}

static struct kunit_case context_cases[] = {
	KUNIT_CASE(threads_and_interrupts_never_share_an_object),
	{}
};

static struct kunit_suite context_suite = {
	.name = "quarry_slab_context",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = context_cases,
};

kunit_test_suite(context_suite);
