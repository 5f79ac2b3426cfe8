// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of every kind on a slab allocator, and a map with a byte for
 * each address, which says what has to come of them. Which object is handed out
 * is the allocator's affair; but it must be one that is free, and whole, and keep
 * what is written into it; and what is refused must be refused for that reason.
 */
#include "backing.h"

/* What the map says of an address. */
enum {
	NOTHING,	/* no object was given out that starts there */
	LIVE,		/* one that starts there is in use */
	FREED,		/* one was, and its slab is still there */
};

#define MAX_LIVE	4096
#define MAX_BULK	50

/**
 * struct setting - on what a random test is run
 * @name: what it is called
 * @object_size: bytes of an object
 * @align: its alignment
 * @slab_size: bytes of a slab, 0 for the default
 * @headers_outside: whether slabs have their headers elsewhere
 * @buffers: whether buffers are lent as well
 * @rounds: operations
 */
struct setting {
	const char *name;
	size_t object_size;
	size_t align;
	size_t slab_size;
	bool headers_outside;
	bool buffers;
	unsigned long rounds;
};

static const struct setting settings[] = {
	{ "64 bytes", 64, 64, 0, false, true, 1000000 },
	{ "8 bytes", 8, 8, 0, false, true, 100000 },
	{ "8 bytes in 64 KiB", 8, 8, SZ_64K, false, true, 100000 },
	{ "24 bytes, header outside", 24, 8, 0, true, true, 100000 },
	{ "100 bytes aligned to 32", 100, 32, SZ_16K, false, true, 100000 },
	{ "1000 bytes in 8 KiB", 1000, 8, SZ_8K, false, false, 100000 },
	{ "4096 bytes, header outside", 4096, 4096, SZ_4K, true, false, 100000 },
	{ "3000 bytes, buffers", 3000, 8, 0, true, true, 100000 },
};

/**
 * struct trial - one random test
 * @test: the test
 * @backing: where slabs come from, and buffers, behind its back
 * @slab: the allocator under test
 * @rnd: where all decisions come from
 * @state: for each byte of the memory what begins there
 * @object_size: bytes of an object, as rounded
 * @live: objects in use, and what is written on them
 * @nr_live: how many
 * @expected: what the allocator's counters must say
 * @watermark: as set
 * @appetite: how many of ten decisions between taking and freeing are to take
 */
struct trial {
	struct kunit *test;
	struct qtest_backing *backing;
	struct quarry_slab *slab;
	struct rnd_state rnd;
	u8 *state;
	size_t object_size;
	struct {
		void *object;
		u8 nr;
	} live[MAX_LIVE];
	u32 nr_live;
	struct quarry_slab_stats expected;
	u32 watermark;
	u32 appetite;
};

static u8 *state_of(struct trial *trial, const void *addr)
{
	return trial->state + ((unsigned long)addr - trial->backing->region.base);
}

static bool is_inside(struct trial *trial, const void *addr)
{
	return (unsigned long)addr - trial->backing->region.base < trial->backing->region.size;
}

/* A range is the allocator's no more: nothing starts there, and nothing may live. */
static void forget_range(void *ctx, void *range, size_t size)
{
	struct trial *trial = ctx;

	if (memchr(state_of(trial, range), LIVE, size))
		atomic_long_inc(&trial->backing->nr_faults);
	memset(state_of(trial, range), NOTHING, size);
}

/* ---- Allocation ---- */

/* No object in use shares a byte with this one. */
static void expect_room(struct trial *trial, void *object)
{
	size_t size = trial->object_size, before;
	u8 *state = state_of(trial, object);

	before = min_t(size_t, size - 1, state - trial->state);
	KUNIT_ASSERT_TRUE(trial->test, is_inside(trial, object + size - 1));
	KUNIT_ASSERT_NULL(trial->test, memchr(state - before, LIVE, before + size));
}

static void note_alloc(struct trial *trial, void *object, bool zeroed)
{
	const struct setting *setting = trial->test->param_value;
	u8 nr = prandom_u32_state(&trial->rnd);

	KUNIT_ASSERT_TRUE(trial->test, is_inside(trial, object));
	KUNIT_ASSERT_EQ(trial->test, (unsigned long)object & (setting->align - 1), 0UL);
	expect_room(trial, object);
	if (zeroed)
		KUNIT_ASSERT_NULL(trial->test, memchr_inv(object, 0, setting->object_size));
	qtest_write(object, setting->object_size, nr);
	*state_of(trial, object) = LIVE;
	trial->live[trial->nr_live].object = object;
	trial->live[trial->nr_live++].nr = nr;
	trial->expected.nr_allocs++;
	trial->expected.nr_used++;
	trial->expected.peak = max(trial->expected.peak, trial->expected.nr_used);
	if (trial->expected.reserved)
		trial->expected.reserved--;
}

static void try_alloc(struct trial *trial)
{
	bool zero = !qtest_below(&trial->rnd, 4);
	void *object;

	if (trial->nr_live == MAX_LIVE)
		return;
	object = quarry_slab_alloc(trial->slab, zero ? QUARRY_SLAB_ZERO : 0);
	if (object) {
		note_alloc(trial, object, zero);
		return;
	}
	KUNIT_ASSERT_EQ(trial->test, trial->expected.reserved, 0ULL);
	KUNIT_ASSERT_LE(trial->test, quarry_slab_nr_free(trial->slab), (u64)trial->watermark);
	trial->expected.nr_failures++;
}

static void try_alloc_bulk(struct trial *trial)
{
	u32 i, got, nr = qtest_below(&trial->rnd, MAX_BULK + 1);
	void *objects[MAX_BULK];
	u64 before = qtest_slab_stats(trial->slab).nr_failures;

	if (trial->nr_live + nr > MAX_LIVE)
		return;
	got = quarry_slab_alloc_bulk(trial->slab, 0, nr, objects);
	KUNIT_ASSERT_LE(trial->test, got, nr);
	for (i = 0; i < got; i++)
		note_alloc(trial, objects[i], false);
	if (got == nr)
		return;
	KUNIT_ASSERT_EQ(trial->test, trial->expected.reserved, 0ULL);
	KUNIT_ASSERT_LE(trial->test, quarry_slab_nr_free(trial->slab), (u64)trial->watermark);
	trial->expected.nr_failures = qtest_slab_stats(trial->slab).nr_failures;
	KUNIT_ASSERT_EQ(trial->test, trial->expected.nr_failures, before + 1);
}

/* ---- Free ---- */

/* Takes one of those in use off the list; the last takes its place. */
static void *pick_live(struct trial *trial)
{
	const struct setting *setting = trial->test->param_value;
	u32 i = qtest_below(&trial->rnd, trial->nr_live);
	void *object = trial->live[i].object;

	KUNIT_ASSERT_TRUE(trial->test, qtest_reads(object, setting->object_size,
						   trial->live[i].nr));
	trial->live[i] = trial->live[--trial->nr_live];
	*state_of(trial, object) = FREED;
	trial->expected.nr_frees++;
	trial->expected.nr_used--;
	return object;
}

static void try_free(struct trial *trial)
{
	if (trial->nr_live)
		ASSERT_OK(trial->test, quarry_slab_free(trial->slab, pick_live(trial)));
}

/* Among them one that is free or no object now and then. */
static void try_free_bulk(struct trial *trial)
{
	u32 i, nr = qtest_below(&trial->rnd, MAX_BULK + 1);
	void *objects[MAX_BULK];
	int right = 0;

	for (i = 0; i < nr; i++) {
		if (!trial->nr_live || !qtest_below(&trial->rnd, 50)) {
			objects[i] = i ? objects[0] : NULL;
			if (i && objects[0]) {
				trial->expected.nr_misuses++;
				right = -ENOENT;
			}
			continue;
		}
		objects[i] = pick_live(trial);
	}
	/* The first of a bulk may be the last of its slab, which goes back at once. */
	if (right)
		ASSERT_OK(trial->test, quarry_slab_set_keep(trial->slab, UINT_MAX));
	KUNIT_ASSERT_EQ(trial->test, quarry_slab_free_bulk(trial->slab, nr, objects), right);
}

/* Any address of the memory, or of one that was an object, or near one. */
static void try_free_wrong(struct trial *trial)
{
	u64 size = trial->backing->region.size, at = qtest_below(&trial->rnd, size);
	u8 *freed = memchr(trial->state + at, FREED, min_t(u64, size - at, 1000));
	void *addr;

	if (freed && qtest_below(&trial->rnd, 2))
		at = freed - trial->state;
	else if (qtest_below(&trial->rnd, 2))
		at = ALIGN_DOWN(at, 8);
	if (trial->state[at] == LIVE)
		at++;
	if (at == size)
		return;
	addr = (void *)(unsigned long)trial->backing->region.base + at;
	KUNIT_ASSERT_EQ_MSG(trial->test, quarry_slab_free(trial->slab, addr),
			    trial->state[at] == FREED ? -ENOENT : -EINVAL, "at %#llx", at);
	trial->expected.nr_misuses++;
}

/* ---- The rest ---- */

static void try_lookup(struct trial *trial)
{
	u32 i = qtest_below(&trial->rnd, MAX_LIVE), at;
	struct quarry_slab_object object;

	if (i >= trial->nr_live)
		return;
	at = qtest_below(&trial->rnd, trial->object_size);
	ASSERT_OK(trial->test, quarry_slab_lookup(trial->slab, trial->live[i].object + at,
						  &object));
	KUNIT_ASSERT_PTR_EQ(trial->test, object.start, trial->live[i].object);
	KUNIT_ASSERT_FALSE(trial->test, object.free);
}

static void try_next(struct trial *trial)
{
	u64 size = trial->backing->region.size, at = qtest_below(&trial->rnd, size);
	void *addr = (void *)(unsigned long)trial->backing->region.base + at;
	u8 *next = memchr(trial->state + at, LIVE, size - at);
	struct quarry_slab_object object;
	int err;

	if (qtest_below(&trial->rnd, 8))
		return;
	err = quarry_slab_next(trial->slab, addr, &object);
	KUNIT_ASSERT_EQ(trial->test, err, next ? 0 : -ENOENT);
	if (next)
		KUNIT_ASSERT_PTR_EQ(trial->test, state_of(trial, object.start), next);
}

/* A buffer that the buddy gives, so that it lies among the slabs; and any other. */
static void try_grow(struct trial *trial)
{
	const struct setting *setting = trial->test->param_value;
	struct quarry_buddy_block block;
	long nr;

	if (!setting->buffers || qtest_below(&trial->rnd, 20))
		return;
	if (quarry_buddy_alloc(&trial->backing->buddy, PAGES(1 + qtest_below(&trial->rnd, 3)),
			       QUARRY_BUDDY_EXACT, &block))
		return;
	nr = quarry_slab_grow(trial->slab, (void *)(unsigned long)block.addr, block.size);
	KUNIT_ASSERT_GT(trial->test, nr, 0L);
	nr = quarry_slab_grow(trial->slab, (void *)(unsigned long)block.addr + 99, 1000);
	KUNIT_ASSERT_EQ(trial->test, nr, (long)-EEXIST);
	trial->expected.nr_misuses++;
}

static void release_buffer(void *ctx, void *buffer, size_t size)
{
	struct trial *trial = ctx;

	forget_range(trial, buffer, size);
	memset(buffer, QTEST_STALE, size);
	if (quarry_buddy_free(&trial->backing->buddy, (unsigned long)buffer))
		atomic_long_inc(&trial->backing->nr_faults);
}

static void try_policy(struct trial *trial)
{
	u32 nr;

	switch (qtest_below(&trial->rnd, 5)) {
	case 0:
		nr = qtest_below(&trial->rnd, 4);
		KUNIT_ASSERT_LE(trial->test, quarry_slab_reclaim(trial->slab, nr), nr);
		break;
	case 1:
		ASSERT_OK(trial->test, quarry_slab_set_keep(trial->slab,
							    qtest_below(&trial->rnd, 6)));
		break;
	case 2:
		WRITE_ONCE(trial->backing->barren, !qtest_below(&trial->rnd, 3));
		break;
	case 3:
		trial->watermark = qtest_below(&trial->rnd, 2) ? qtest_below(&trial->rnd, 9) : 0;
		if (!trial->expected.reserved)
			ASSERT_OK(trial->test, quarry_slab_set_watermark(trial->slab,
									 trial->watermark));
		else
			trial->watermark = 0;
		break;
	default:
		quarry_backend_reclaim(&trial->backing->backend);
	}
}

static void try_reserve(struct trial *trial)
{
	u32 nr = qtest_below(&trial->rnd, 30);
	int err;

	if (qtest_below(&trial->rnd, 10))
		return;
	trial->watermark = 0;
	ASSERT_OK(trial->test, quarry_slab_set_watermark(trial->slab, 0));
	err = quarry_slab_reserve(trial->slab, nr);
	if (!err)
		trial->expected.reserved = nr;
	else
		KUNIT_ASSERT_EQ(trial->test, err, -ENOMEM);
	trial->expected.reserved = qtest_slab_stats(trial->slab).reserved;
	if (!err)
		KUNIT_ASSERT_GE(trial->test, trial->expected.reserved, (u64)nr);
	KUNIT_ASSERT_GE(trial->test, quarry_slab_nr_free(trial->slab),
			trial->expected.reserved);
}

static void try_something(struct trial *trial)
{
	static void (*const others[])(struct trial *) = {
		try_free_wrong, try_free_wrong, try_lookup, try_next, try_grow, try_policy,
		try_reserve, try_free_bulk,
	};

	if (!qtest_below(&trial->rnd, 6))
		others[qtest_below(&trial->rnd, ARRAY_SIZE(others))](trial);
	else if (qtest_below(&trial->rnd, 10) >= trial->appetite)
		try_free(trial);
	else if (qtest_below(&trial->rnd, 30))
		try_alloc(trial);
	else
		try_alloc_bulk(trial);
}

static void compare_all(struct trial *trial)
{
	struct quarry_slab_stats stats = qtest_slab_stats(trial->slab);

	KUNIT_ASSERT_EQ(trial->test, stats.nr_used, trial->expected.nr_used);
	KUNIT_ASSERT_EQ(trial->test, stats.peak, trial->expected.peak);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_allocs, trial->expected.nr_allocs);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_frees, trial->expected.nr_frees);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_failures, trial->expected.nr_failures);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_misuses, trial->expected.nr_misuses);
	KUNIT_ASSERT_EQ(trial->test, stats.reserved, trial->expected.reserved);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_slabs,
			stats.nr_empty + stats.nr_partial + stats.nr_full);
	qtest_slab_intact(trial->test, trial->slab);
	ASSERT_OK(trial->test, quarry_buddy_verify(&trial->backing->buddy, NULL));
}

static struct trial *begin(struct kunit *test)
{
	struct trial *trial = kunit_kzalloc(test, sizeof(*trial), GFP_KERNEL);
	const struct setting *setting = test->param_value;
	struct quarry_slab_config config;

	KUNIT_ASSERT_NOT_NULL(test, trial);
	config = qtest_slab_config(test, setting->object_size, setting->align);
	config.slab_size = setting->slab_size;
	config.release = release_buffer;
	config.ctx = trial;
	if (setting->headers_outside) {
		struct quarry_slab_config headers = {
			.name = "headers", .object_size = quarry_slab_header_size(&config),
		};

		config.headers = qtest_slab(test, &headers);
		KUNIT_ASSERT_GT(test, quarry_slab_grow(config.headers,
						       qtest_memory(test, SZ_64K), SZ_64K), 0L);
	}
	trial->test = test;
	trial->backing = test->priv;
	trial->slab = qtest_slab(test, &config);
	trial->object_size = qtest_slab_stats(trial->slab).object_size;
	trial->state = kunit_kzalloc(test, trial->backing->region.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, trial->state);
	trial->backing->on_give = forget_range;
	trial->backing->ctx = trial;
	qtest_seed(test, &trial->rnd);
	return trial;
}

static void everything_agrees_with_a_byte_map(struct kunit *test)
{
	const struct setting *setting = test->param_value;
	struct trial *trial = begin(test);
	unsigned long i, rounds = qtest_rounds(test, setting->rounds);

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
	kunit_info(test, "peak %llu, %llu failed, %llu refused, %llu released",
		   trial->expected.peak, trial->expected.nr_failures,
		   trial->expected.nr_misuses, qtest_slab_stats(trial->slab).nr_released);
}

static void setting_desc(const struct setting *setting, char *desc)
{
	strscpy(desc, setting->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(setting, settings, setting_desc);

static struct kunit_case random_cases[] = {
	KUNIT_CASE_PARAM(everything_agrees_with_a_byte_map, setting_gen_params),
	{}
};

static struct kunit_suite random_suite = {
	.name = "quarry_slab_random",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = random_cases,
};

kunit_test_suite(random_suite);
