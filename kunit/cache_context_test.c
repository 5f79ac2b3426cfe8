// SPDX-License-Identifier: GPL-2.0
/*
 * Caches used from threads on all CPUs and from hard interrupts at once, while what
 * they keep is taken from them in every way. Objects are handed on, so that many are
 * freed on another CPU than they were allocated on. A map says who has which object.
 */
#include <linux/irqflags.h>

#include "cache_helpers.h"
#include "workers.h"

#define NR_CACHES	3
#define NR_SLOTS	80
#define NR_SHARED	64
#define GRAIN		8	/* no two objects start that near */

/**
 * struct crowd - all who use the same caches
 * @backing: where all memory comes from, which is not enough
 * @caches: the caches
 * @sizes: of their objects
 * @owner: for each place in memory who has the object that starts there
 * @shared: objects that are handed on from one to another
 * @nr_tenants: how many they are
 * @nr_faults: what was seen that must not be
 * @nr_failures: allocations that found no object
 */
struct crowd {
	struct qtest_backing *backing;
	struct quarry_cache *caches[NR_CACHES];
	size_t sizes[NR_CACHES];
	atomic_t *owner;
	void *shared[NR_CACHES][NR_SHARED];
	int nr_tenants;
	atomic_t nr_faults;
	atomic_t nr_failures;
};

/**
 * struct tenant - one who takes and gives back objects, in one context
 * @crowd: the others
 * @id: its number
 * @rnd: what it does next
 * @objects: what it has of each cache, NULL for nothing
 */
struct tenant {
	struct crowd *crowd;
	int id;
	struct rnd_state rnd;
	void *objects[NR_CACHES][NR_SLOTS];
};

static void fault(struct tenant *tenant)
{
	atomic_inc(&tenant->crowd->nr_faults);
}

/* Changes whose an object is from whose it must be. */
static void sign(struct tenant *tenant, void *object, int from, int to)
{
	struct crowd *crowd = tenant->crowd;
	unsigned long offset = (unsigned long)object - crowd->backing->region.base;

	if (offset >= crowd->backing->region.size || offset % GRAIN ||
	    atomic_cmpxchg(&crowd->owner[offset / GRAIN], from, to) != from)
		fault(tenant);
}

static void got(struct tenant *tenant, int nr, void *object)
{
	sign(tenant, object, 0, tenant->id);
	qtest_write(object, tenant->crowd->sizes[nr], nr);
}

static void gives(struct tenant *tenant, int nr, void *object)
{
	if (!qtest_reads(object, tenant->crowd->sizes[nr], nr))
		fault(tenant);
	sign(tenant, object, tenant->id, 0);
}

static void take(struct tenant *tenant, int nr, void **slot)
{
	*slot = quarry_cache_alloc(tenant->crowd->caches[nr], 0);
	if (*slot)
		got(tenant, nr, *slot);
	else
		atomic_inc(&tenant->crowd->nr_failures);
}

static void leave(struct tenant *tenant, int nr, void **slot)
{
	gives(tenant, nr, *slot);
	if (quarry_cache_free(tenant->crowd->caches[nr], *slot))
		fault(tenant);
	*slot = NULL;
}

static void take_and_leave_many(struct tenant *tenant, int nr)
{
	void *objects[24];
	unsigned int i, nr_got;

	nr_got = quarry_cache_alloc_bulk(tenant->crowd->caches[nr], 0, ARRAY_SIZE(objects),
					 objects);
	for (i = 0; i < nr_got; i++)
		got(tenant, nr, objects[i]);
	for (i = 0; i < nr_got; i++)
		gives(tenant, nr, objects[i]);
	if (quarry_cache_free_bulk(tenant->crowd->caches[nr], nr_got, objects))
		fault(tenant);
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

/* Only these may be called from anywhere; the rest waits for other CPUs. */
static void take_away(struct tenant *tenant, int nr)
{
	struct quarry_cache *cache = tenant->crowd->caches[nr];
	struct quarry_cache_stats stats;

	switch (qtest_below(&tenant->rnd, irqs_disabled() ? 2 : 4)) {
	case 0:
		quarry_backend_reclaim(&tenant->crowd->backing->backend);
		break;
	case 1:
		quarry_cache_stats(cache, &stats);
		break;
	case 2:
		quarry_cache_drain(cache);
		break;
	default:
		quarry_cache_shrink(cache);
	}
}

static void step(void *arg)
{
	struct tenant *tenant = arg;
	int nr = qtest_below(&tenant->rnd, NR_CACHES);
	void **slot = &tenant->objects[nr][qtest_below(&tenant->rnd, NR_SLOTS)];

	switch (qtest_below(&tenant->rnd, 1024)) {
	case 0:
		take_away(tenant, nr);
		break;
	case 1 ... 15:
		take_and_leave_many(tenant, nr);
		break;
	case 16 ... 300:
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

	for (nr = 0; nr < NR_CACHES; nr++)
		for (i = 0; i < NR_SLOTS; i++)
			if (tenant->objects[nr][i])
				leave(tenant, nr, &tenant->objects[nr][i]);
}

struct setting {
	const char *name;
	unsigned int flags;
	unsigned int min;
	unsigned int max;
	unsigned long rounds;
};

static const struct setting settings[] = {
	{ "as it comes", 0, 0, 0, 150000 },
	{ "1 to 4 rounds", 0, 1, 4, 100000 },
	{ "debug", QUARRY_CACHE_DEBUG, 4, 16, 60000 },
};

static void setting_desc(const struct setting *setting, char *desc)
{
	strscpy(desc, setting->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(setting, settings, setting_desc);

static struct crowd *gather(struct kunit *test)
{
	struct crowd *crowd = kunit_kzalloc(test, sizeof(*crowd), GFP_KERNEL);
	static const size_t sizes[NR_CACHES] = { 64, 24, 1000 };
	const struct setting *setting = test->param_value;
	struct quarry_cache_config config;
	int nr;

	KUNIT_ASSERT_NOT_NULL(test, crowd);
	crowd->backing = test->priv;
	crowd->owner = qtest_memory(test, crowd->backing->region.size / GRAIN * sizeof(atomic_t));
	memset(crowd->owner, 0, crowd->backing->region.size / GRAIN * sizeof(atomic_t));
	for (nr = 0; nr < NR_CACHES; nr++) {
		config = qtest_cache_config(test, sizes[nr], 0);
		config.flags = setting->flags;
		config.magazine_min = setting->min;
		config.magazine_max = setting->max;
		crowd->caches[nr] = qtest_cache(test, &config);
		crowd->sizes[nr] = sizes[nr];
	}
	return crowd;
}

static void leave_shared(struct kunit *test, struct crowd *crowd)
{
	struct quarry_cache_stats stats;
	int nr, i;

	for (nr = 0; nr < NR_CACHES; nr++) {
		for (i = 0; i < NR_SHARED; i++)
			EXPECT_OK(test, quarry_cache_free(crowd->caches[nr],
							  crowd->shared[nr][i]));
		stats = qtest_cache_stats(crowd->caches[nr]);
		KUNIT_EXPECT_EQ(test, stats.nr_used, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_misuses, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.nr_damaged, 0ULL);
		qtest_cache_intact(test, crowd->caches[nr]);
		quarry_cache_drain(crowd->caches[nr]);
		stats = qtest_cache_stats(crowd->caches[nr]);
		KUNIT_EXPECT_EQ(test, stats.slab.nr_used, 0ULL);
		KUNIT_EXPECT_EQ(test, stats.slab.nr_allocs, stats.slab.nr_frees);
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
	const struct setting *setting = test->param_value;
	struct crowd *crowd = gather(test);
	int nr = qtest_nr_workers();
	unsigned long nr_interrupts, rounds = qtest_rounds(test, setting->rounds) / nr;

	nr_interrupts = qtest_work(test, engage(test, crowd, nr), nr, rounds);
	kunit_info(test, "%d threads, %lu interrupts, %d failures", nr, nr_interrupts,
		   atomic_read(&crowd->nr_failures));
	KUNIT_EXPECT_EQ(test, atomic_read(&crowd->nr_faults), 0);
	leave_shared(test, crowd);
}

static struct kunit_case context_cases[] = {
	KUNIT_CASE_PARAM(threads_and_interrupts_never_share_an_object, setting_gen_params),
	{}
};

static struct kunit_suite context_suite = {
	.name = "quarry_cache_context",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = context_cases,
};

kunit_test_suite(context_suite);
