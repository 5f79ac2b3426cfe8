// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of every kind on a cache, and a map with a byte for each address,
 * as for slab allocators: what is handed out must be free and whole, and keep what is
 * written into it; and what was freed must be refused for as long as it is free, since
 * nobody writes into it meanwhile.
 */
#include "cache_helpers.h"

/* What the map says of an address. */
enum {
	NOTHING,	/* no object was given out that starts there */
	LIVE,		/* one that starts there is in use */
	FREED,		/* one was, and its slab is still there */
};

#define MAX_LIVE	1024
#define MAX_BULK	40

struct setting {
	const char *name;
	size_t object_size;
	unsigned int flags;
	unsigned int min;
	unsigned int max;
	unsigned long rounds;
};

static const struct setting settings[] = {
	{ "64 bytes", 64, 0, 0, 0, 300000 },
	{ "8 bytes, 2 to 5 rounds", 8, 0, 2, 5, 200000 },
	{ "200 bytes, 1 round", 200, 0, 1, 1, 100000 },
	{ "4096 bytes", 4096, 0, 0, 0, 100000 },
	{ "debug, 64 bytes", 64, QUARRY_CACHE_DEBUG, 0, 0, 100000 },
	{ "debug, 13 bytes, 3 rounds", 13, QUARRY_CACHE_DEBUG, 3, 3, 100000 },
};

static void setting_desc(const struct setting *setting, char *desc)
{
	strscpy(desc, setting->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(setting, settings, setting_desc);

/**
 * struct trial - one random test
 * @test: the test
 * @backing: where memory comes from
 * @cache: the cache under test
 * @rnd: where all decisions come from
 * @size: bytes of an object
 * @state: for each byte of the memory what begins there
 * @live: objects in use, the youngest last
 * @nr_live: how many
 * @nr_misuses: calls that were refused
 * @nr_failures: allocations that found nothing
 * @appetite: how many of ten decisions between taking and freeing are to take
 * @shuffle: whether objects are freed in any order, and not the youngest first
 */
struct trial {
	struct kunit *test;
	struct qtest_backing *backing;
	struct quarry_cache *cache;
	struct rnd_state rnd;
	size_t size;
	u8 *state;
	void *live[MAX_LIVE];
	unsigned int nr_live;
	u64 nr_misuses;
	u64 nr_failures;
	u32 appetite;
	bool shuffle;
};

static u8 *state_of(struct trial *trial, const void *addr)
{
	return trial->state + ((unsigned long)addr - trial->backing->region.base);
}

static void forget_range(void *ctx, void *range, size_t size)
{
	struct trial *trial = ctx;

	if (memchr(state_of(trial, range), LIVE, size))
		atomic_long_inc(&trial->backing->nr_faults);
	memset(state_of(trial, range), NOTHING, size);
}

/* Contents that belong to an address. */
static unsigned int mark_of(struct trial *trial, const void *object)
{
	return state_of(trial, object) - trial->state;
}

static void note_alloc(struct trial *trial, void *object, bool zeroed)
{
	u8 *state = state_of(trial, object);
	size_t before = min_t(size_t, trial->size - 1, state - trial->state);

	KUNIT_ASSERT_LT(trial->test, (unsigned long)object - trial->backing->region.base,
			(unsigned long)trial->backing->region.size);
	KUNIT_ASSERT_NULL(trial->test, memchr(state - before, LIVE, before + trial->size));
	if (zeroed)
		KUNIT_ASSERT_NULL(trial->test, memchr_inv(object, 0, trial->size));
	qtest_write(object, trial->size, mark_of(trial, object));
	*state = LIVE;
	trial->live[trial->nr_live++] = object;
}

/* Takes one off the list. */
static void *pick_live(struct trial *trial)
{
	unsigned int i = trial->nr_live - 1;
	void *object;

	if (trial->shuffle)
		i = qtest_below(&trial->rnd, trial->nr_live);
	object = trial->live[i];
	KUNIT_ASSERT_TRUE(trial->test, qtest_reads(object, trial->size,
						   mark_of(trial, object)));
	trial->live[i] = trial->live[--trial->nr_live];
	*state_of(trial, object) = FREED;
	return object;
}

static void try_alloc(struct trial *trial)
{
	bool zero = !qtest_below(&trial->rnd, 8);
	void *object;

	if (trial->nr_live == MAX_LIVE)
		return;
	object = quarry_cache_alloc(trial->cache, zero ? QUARRY_SLAB_ZERO : 0);
	if (object)
		note_alloc(trial, object, zero);
	else
		trial->nr_failures++;
}

static void try_free(struct trial *trial)
{
	void *object;

	if (!trial->nr_live)
		return;
	object = pick_live(trial);
	KUNIT_ASSERT_EQ(trial->test, quarry_cache_free(trial->cache, object), 0);
	if (qtest_below(&trial->rnd, 4))
		return;
	KUNIT_ASSERT_LT(trial->test, quarry_cache_free(trial->cache, object), 0);
	trial->nr_misuses++;
}

static void try_alloc_bulk(struct trial *trial)
{
	u32 i, got, nr = qtest_below(&trial->rnd, MAX_BULK + 1);
	void *objects[MAX_BULK];

	if (trial->nr_live + nr > MAX_LIVE)
		return;
	got = quarry_cache_alloc_bulk(trial->cache, 0, nr, objects);
	for (i = 0; i < got; i++)
		note_alloc(trial, objects[i], false);
	trial->nr_failures += got < nr;
}

static void try_free_bulk(struct trial *trial)
{
	u32 nr = min(qtest_below(&trial->rnd, MAX_BULK + 1), trial->nr_live), i;
	void *objects[MAX_BULK];

	for (i = 0; i < nr; i++)
		objects[i] = pick_live(trial);
	KUNIT_ASSERT_EQ(trial->test, quarry_cache_free_bulk(trial->cache, nr, objects), 0);
}

/* Of an object that is free, or any address, or the inside of an object in use. */
static void try_free_wrong(struct trial *trial)
{
	u64 size = trial->backing->region.size, at = qtest_below(&trial->rnd, size);
	u8 *freed = memchr(trial->state + at, FREED, min_t(u64, size - at, 1000));
	void *addr;
	int err;

	if (freed && qtest_below(&trial->rnd, 4))
		at = freed - trial->state;
	if (trial->state[at] == LIVE)
		at++;
	if (at == size)
		return;
	addr = (void *)(unsigned long)trial->backing->region.base + at;
	err = quarry_cache_free(trial->cache, addr);
	KUNIT_ASSERT_LT_MSG(trial->test, err, 0, "at %#llx", at);
	if (trial->state[at] == FREED)
		KUNIT_ASSERT_EQ_MSG(trial->test, err, -ENOENT, "at %#llx", at);
	trial->nr_misuses++;
}

static void try_policy(struct trial *trial)
{
	switch (qtest_below(&trial->rnd, 60)) {
	case 0:
		quarry_cache_drain(trial->cache);
		break;
	case 1:
		quarry_cache_shrink(trial->cache);
		break;
	case 2:
		quarry_backend_reclaim(&trial->backing->backend);
		break;
	case 3 ... 10:
		WRITE_ONCE(trial->backing->barren, !qtest_below(&trial->rnd, 4));
		break;
	case 11 ... 20:
		trial->shuffle = !trial->shuffle;
	}
}

static void try_something(struct trial *trial)
{
	static void (*const others[])(struct trial *) = {
		try_free_wrong, try_policy, try_alloc_bulk, try_free_bulk,
	};

	if (!qtest_below(&trial->rnd, 8))
		others[qtest_below(&trial->rnd, ARRAY_SIZE(others))](trial);
	else if (qtest_below(&trial->rnd, 10) < trial->appetite)
		try_alloc(trial);
	else
		try_free(trial);
}

static void compare_all(struct trial *trial)
{
	struct quarry_cache_stats stats = qtest_cache_stats(trial->cache);

	KUNIT_ASSERT_EQ(trial->test, stats.nr_used, (u64)trial->nr_live);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_misuses, trial->nr_misuses);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_failures, trial->nr_failures);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_damaged, 0ULL);
	KUNIT_ASSERT_EQ(trial->test, stats.slab.nr_used, stats.nr_used +
			stats.magazines.nr_cached);
	qtest_cache_intact(trial->test, trial->cache);
}

static struct trial *begin(struct kunit *test)
{
	struct trial *trial = kunit_kzalloc(test, sizeof(*trial), GFP_KERNEL);
	const struct setting *setting = test->param_value;
	struct quarry_cache_config config;

	KUNIT_ASSERT_NOT_NULL(test, trial);
	trial->test = test;
	trial->backing = test->priv;
	trial->size = setting->object_size;
	trial->state = kunit_kzalloc(test, trial->backing->region.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, trial->state);
	trial->backing->on_give = forget_range;
	trial->backing->ctx = trial;
	config = qtest_cache_config(test, setting->object_size, 0);
	config.flags = setting->flags;
	config.magazine_min = setting->min;
	config.magazine_max = setting->max;
	trial->cache = qtest_cache(test, &config);
	qtest_seed(test, &trial->rnd);
	return trial;
}

static void everything_agrees_with_a_byte_map(struct kunit *test)
{
	const struct setting *setting = test->param_value;
	unsigned long i, rounds = qtest_rounds(test, setting->rounds);
	struct trial *trial = begin(test);

	for (i = 0; i < rounds; i++) {
		if (i % 512 == 0) {
			trial->appetite = 2 + qtest_below(&trial->rnd, 7);
			compare_all(trial);
			cond_resched();
		}
		try_something(trial);
	}
	while (trial->nr_live)
		try_free(trial);
	compare_all(trial);
	kunit_info(test, "%llu refused, %llu failed", trial->nr_misuses, trial->nr_failures);
}

static struct kunit_case random_cases[] = {
	KUNIT_CASE_PARAM(everything_agrees_with_a_byte_map, setting_gen_params),
	{}
};

static struct kunit_suite random_suite = {
	.name = "quarry_cache_random",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = random_cases,
};

kunit_test_suite(random_suite);
