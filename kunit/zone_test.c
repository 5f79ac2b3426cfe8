// SPDX-License-Identifier: GPL-2.0
/*
 * Zones: objects of any size up to 128 KiB, freed without saying how large they are.
 */
#include "cache_helpers.h"
#include "../lib/zone.h"

#define ZONE_MEMORY	SZ_8M

static void zone_intact(struct kunit *test, struct quarry_zone *zone)
{
	struct quarry_fault fault = {};

	KUNIT_EXPECT_EQ_MSG(test, quarry_zone_verify(zone, &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
}

static void finish_zone(struct kunit *test, void *zone)
{
	zone_intact(test, zone);
	EXPECT_OK(test, quarry_zone_fini(zone, true, NULL));
}

static struct quarry_zone *new_zone(struct kunit *test, unsigned int flags)
{
	struct quarry_zone *zone = qtest_aligned_memory(test, sizeof(*zone), SMP_CACHE_BYTES);
	struct qtest_backing *backing = test->priv;
	struct quarry_zone_config config = {
		.name = test->name, .backend = &backing->backend, .flags = flags,
	};

	ASSERT_OK(test, quarry_zone_init(zone, &config));
	qtest_lodge(test, zone, finish_zone);
	return zone;
}

static struct quarry_zone_stats stats_of(struct quarry_zone *zone)
{
	struct quarry_zone_stats stats = {};

	quarry_zone_stats(zone, &stats);
	return stats;
}

static int zone_test_init(struct kunit *test)
{
	test->priv = qtest_backing(test, ZONE_MEMORY, SZ_128K, PAGE);
	return 0;
}

/* ---- Classes ---- */

/* The sizes, in the words of the issue. */
static size_t size_of_class(unsigned int class)
{
	static const unsigned int fours[] = { 80, 96, 112, 128 };

	return class < 8 ? 8 * (class + 1) : (size_t)fours[class % 4] << ((class - 8) / 4);
}

/* Defect 28: a request of 32768 bytes took 65536. */
static void each_size_has_the_smallest_class_that_serves_it(struct kunit *test)
{
	unsigned int class = 0;
	size_t size;

	KUNIT_EXPECT_EQ(test, quarry_zone_class_size(32768), (size_t)32768);
	KUNIT_EXPECT_EQ(test, size_of_class(QUARRY_ZONE_NR_CLASSES - 1),
			(size_t)QUARRY_ZONE_MAX_SIZE);
	for (size = 1; size <= QUARRY_ZONE_MAX_SIZE; size++) {
		if (size > size_of_class(class))
			class++;
		KUNIT_ASSERT_EQ(test, quarry_zone_class_size(size), size_of_class(class));
	}
	KUNIT_EXPECT_EQ(test, class, QUARRY_ZONE_NR_CLASSES - 1U);
}

static void sizes_that_cannot_be_have_no_class(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, quarry_zone_class_size(0), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_zone_class_size(QUARRY_ZONE_MAX_SIZE + 1), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_zone_class_size(SIZE_MAX), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_zone_class_size(SIZE_MAX / 2 + 1), (size_t)0);
}

static void each_class_has_its_cache(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0);
	unsigned int class;

	for (class = 0; class < QUARRY_ZONE_NR_CLASSES; class++) {
		struct quarry_cache *cache = quarry_zone_cache(zone, class);

		KUNIT_ASSERT_NOT_NULL(test, cache);
		KUNIT_EXPECT_EQ(test, qtest_cache_stats(cache).slab.object_size,
				size_of_class(class));
		KUNIT_EXPECT_NOT_NULL(test, strstr(quarry_cache_name(cache), "-"));
	}
	KUNIT_EXPECT_NULL(test, quarry_zone_cache(zone, QUARRY_ZONE_NR_CLASSES));
	KUNIT_EXPECT_NULL(test, quarry_zone_cache(zone, UINT_MAX));
}

/* ---- init ---- */

static void init_refuses_what_cannot_be(struct kunit *test)
{
	struct quarry_zone *zone = qtest_aligned_memory(test, sizeof(*zone), SMP_CACHE_BYTES);
	struct qtest_backing *backing = test->priv;
	struct quarry_zone_config right = { .name = "zone", .backend = &backing->backend };
	struct quarry_zone_config nameless = { .backend = &backing->backend };
	struct quarry_zone_config unbacked = { .name = "zone" };
	struct quarry_zone_config flags = right, memory = right;

	flags.flags = BIT(7);
	memory.memory = qtest_aligned_memory(test, quarry_zone_memory_size(), 4096) + 1;
	EXPECT_ERR(test, quarry_zone_init(NULL, &right), -EINVAL);
	EXPECT_ERR(test, quarry_zone_init(zone, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_zone_init(zone, &nameless), -EINVAL);
	EXPECT_ERR(test, quarry_zone_init(zone, &unbacked), -EINVAL);
	EXPECT_ERR(test, quarry_zone_init(zone, &flags), -EINVAL);
	EXPECT_ERR(test, quarry_zone_init(zone, &memory), -EINVAL);
	WRITE_ONCE(backing->barren, true);
	EXPECT_ERR(test, quarry_zone_init(zone, &right), -ENOMEM);
	EXPECT_OK(test, quarry_backend_fini(&backing->backend));
	memory.memory--;
	EXPECT_OK(test, quarry_zone_init(zone, &memory));
	KUNIT_EXPECT_NULL(test, quarry_zone_alloc(zone, 8, 0, 0));
	EXPECT_OK(test, quarry_zone_fini(zone, false, NULL));
	WRITE_ONCE(backing->barren, false);
}

/* ---- alloc ---- */

static const unsigned int modes[] = { 0, QUARRY_CACHE_DEBUG };

static void mode_desc(const unsigned int *mode, char *desc)
{
	strscpy(desc, *mode ? "debug" : "plain", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mode, modes, mode_desc);

/* The largest power of two that divides a size. */
static size_t natural_align(size_t size)
{
	return size & -size;
}

static void use_object(struct kunit *test, struct quarry_zone *zone, size_t size, size_t align)
{
	size_t usable, least = max_t(size_t, align, 8);
	u8 *object = quarry_zone_alloc(zone, size, align, 0);

	KUNIT_ASSERT_NOT_NULL_MSG(test, object, "%zu bytes aligned to %zu", size, align);
	usable = quarry_zone_usable_size(zone, object);
	if (align <= 8)
		least = natural_align(quarry_zone_class_size(size));
	KUNIT_ASSERT_EQ_MSG(test, (unsigned long)object & (least - 1), 0UL,
			    "%zu bytes aligned to %zu", size, align);
	KUNIT_ASSERT_EQ(test, usable, quarry_zone_class_size(align ? ALIGN(size, align) : size));
	qtest_write(object, usable, size);
	KUNIT_ASSERT_TRUE(test, qtest_reads(object, usable, size));
	KUNIT_ASSERT_EQ(test, quarry_zone_free(zone, object), 0);
	KUNIT_ASSERT_EQ(test, quarry_zone_usable_size(zone, object), (size_t)0);
}

/* Every class, at both of its ends. */
static void every_class_serves_its_sizes(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, *(const unsigned int *)test->param_value);
	unsigned int class;

	for (class = 0; class < QUARRY_ZONE_NR_CLASSES; class++) {
		use_object(test, zone, class ? size_of_class(class - 1) + 1 : 1, 0);
		use_object(test, zone, size_of_class(class) - 1, 0);
		use_object(test, zone, size_of_class(class), 0);
		use_object(test, zone, size_of_class(class), 1);
	}
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_allocs, 4ULL * QUARRY_ZONE_NR_CLASSES);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_frees, 4ULL * QUARRY_ZONE_NR_CLASSES);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, 0ULL);
	zone_intact(test, zone);
}

static void every_size_has_every_alignment(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, *(const unsigned int *)test->param_value);
	size_t size, align;

	for (align = 1; align <= QUARRY_ZONE_MAX_SIZE; align *= 2)
		for (size = 1; size <= QUARRY_ZONE_MAX_SIZE; size += 1 + size / 5)
			use_object(test, zone, size, align);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, 0ULL);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats_of(zone).used, 0ULL);
	zone_intact(test, zone);
}

static void what_cannot_be_is_refused(struct kunit *test)
{
	static const struct { size_t size, align; unsigned int flags; } wrong[] = {
		{ 0, 0 }, { 0, 8 }, { QUARRY_ZONE_MAX_SIZE + 1, 0 }, { SIZE_MAX, 0 },
		{ SIZE_MAX, 4096 }, { SIZE_MAX - 4094, 4096 }, { SIZE_MAX / 2 + 1, 8 },
		{ 64, 3 }, { 64, 24 }, { 64, SZ_256K }, { 64, SIZE_MAX }, { 64, SIZE_MAX / 2 + 1 },
		{ QUARRY_ZONE_MAX_SIZE + 1, SZ_128K }, { 64, 0, BIT(1) }, { 64, 64, ~0U },
		{ 64, 6 }, { 64, 5 }, { 64, 7 },
	};
	struct quarry_zone *zone = new_zone(test, 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_NULL(test, quarry_zone_alloc(zone, wrong[i].size, wrong[i].align,
							  wrong[i].flags));
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, (u64)i);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_failures, 0ULL);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_used, 0ULL);
}

static void zero_clears_all_that_was_asked_for(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, *(const unsigned int *)test->param_value);
	size_t size;
	u8 *object;
	int round;

	for (size = 1; size <= QUARRY_ZONE_MAX_SIZE; size += 1 + size / 4)
		for (round = 0; round < 2; round++) {
			object = quarry_zone_alloc(zone, size, 0, QUARRY_SLAB_ZERO);
			KUNIT_ASSERT_NOT_NULL(test, object);
			KUNIT_ASSERT_NULL(test, memchr_inv(object, 0, size));
			qtest_write(object, size, 1);
			KUNIT_ASSERT_EQ(test, quarry_zone_free(zone, object), 0);
		}
}

/* ---- free ---- */

static void wrong_addresses_are_refused(struct kunit *test)
{
	static const size_t sizes[] = { 8, 24, 64, 80, 512, 1000, 4096, 5000, 32768, 131072 };
	struct quarry_zone *zone = new_zone(test, *(const unsigned int *)test->param_value);
	struct quarry_zone_stats old;
	u64 nr_misuses = 0;
	size_t i;
	u8 *object;

	EXPECT_OK(test, quarry_zone_free(zone, NULL));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		object = quarry_zone_alloc(zone, sizes[i], 0, 0);
		KUNIT_ASSERT_NOT_NULL(test, object);
		old = stats_of(zone);
		EXPECT_ERR(test, quarry_zone_free(zone, object + 1), -EINVAL);
		EXPECT_ERR(test, quarry_zone_free(zone, object + sizes[i] / 2), -EINVAL);
		EXPECT_ERR(test, quarry_zone_free(zone, object - 1), -EINVAL);
		KUNIT_EXPECT_EQ(test, quarry_zone_usable_size(zone, object + 1), (size_t)0);
		KUNIT_EXPECT_EQ(test, stats_of(zone).nr_used, old.nr_used);
		EXPECT_OK(test, quarry_zone_free(zone, object));
		EXPECT_ERR(test, quarry_zone_free(zone, object), -ENOENT);
		EXPECT_ERR(test, quarry_zone_free(zone, object), -ENOENT);
		nr_misuses += 5;
	}
	EXPECT_ERR(test, quarry_zone_free(zone, test), -EINVAL);
	EXPECT_ERR(test, quarry_zone_free(zone, &i), -EINVAL);
	EXPECT_ERR(test, quarry_zone_free(zone, (void *)1), -EINVAL);
	EXPECT_ERR(test, quarry_zone_free(zone, (void *)-16L), -EINVAL);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, nr_misuses + 4);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_used, 0ULL);
	zone_intact(test, zone);
}

/* Everything on the same backend: another zone, a cache, a slab, and nobody's pages. */
static void what_others_have_is_refused(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0), *other = new_zone(test, 0);
	struct quarry_slab_config config = qtest_slab_config(test, 64, 0);
	struct quarry_cache_config cache = qtest_cache_config(test, 64, 0);
	struct qtest_backing *backing = test->priv;
	void *objects[4], *page = quarry_backend_take(&backing->backend, SZ_4K);
	int i;

	objects[0] = quarry_zone_alloc(other, 64, 0, 0);
	objects[1] = qtest_slab_object(test, qtest_slab(test, &config));
	objects[2] = quarry_cache_alloc(qtest_cache(test, &cache), 0);
	objects[3] = page;
	for (i = 0; i < 4; i++) {
		EXPECT_ERR(test, quarry_zone_free(zone, objects[i]), -EINVAL);
		KUNIT_EXPECT_EQ(test, quarry_zone_usable_size(zone, objects[i]), (size_t)0);
	}
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, 4ULL);
	KUNIT_EXPECT_EQ(test, stats_of(other).nr_used, 1ULL);
	EXPECT_OK(test, quarry_zone_free(other, objects[0]));
	EXPECT_OK(test, quarry_backend_give(&backing->backend, page, SZ_4K));
}

/* Of all the region's bytes, none can be freed but what was given out. */
static void nothing_but_objects_can_be_freed(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0);
	struct qtest_backing *backing = test->priv;
	unsigned long base = backing->region.base, at;
	void *objects[3];
	u64 nr = 0;

	objects[0] = quarry_zone_alloc(zone, 8, 0, 0);
	objects[1] = quarry_zone_alloc(zone, 1000, 0, 0);
	objects[2] = quarry_zone_alloc(zone, 20000, 0, 0);
	for (at = base; at < base + ZONE_MEMORY; at += 8) {
		if ((void *)at == objects[0] || (void *)at == objects[1] ||
		    (void *)at == objects[2])
			continue;
		KUNIT_ASSERT_NE(test, quarry_zone_free(zone, (void *)at), 0);
		nr++;
	}
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, nr);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_used, 3ULL);
	zone_intact(test, zone);
	for (at = 0; at < 3; at++)
		EXPECT_OK(test, quarry_zone_free(zone, objects[at]));
}

/* ---- Figures ---- */

static void figures_are_those_of_all_classes(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0);
	struct qtest_backing *backing = test->priv;
	void *objects[QUARRY_ZONE_NR_CLASSES];
	struct quarry_zone_stats stats;
	u64 used = 0, before = qtest_backing_used(backing);
	unsigned int class;

	for (class = 0; class < QUARRY_ZONE_NR_CLASSES; class++) {
		objects[class] = quarry_zone_alloc(zone, size_of_class(class), 0, 0);
		KUNIT_ASSERT_NOT_NULL(test, objects[class]);
		used += size_of_class(class);
		stats = stats_of(zone);
		KUNIT_EXPECT_EQ(test, stats.used, used);
		KUNIT_EXPECT_EQ(test, stats.nr_used, class + 1ULL);
		KUNIT_EXPECT_GE(test, stats.held, used);
		KUNIT_EXPECT_LE(test, stats.held, qtest_backing_used(backing) - before);
	}
	for (class = 0; class < QUARRY_ZONE_NR_CLASSES; class++)
		EXPECT_OK(test, quarry_zone_free(zone, objects[class]));
	KUNIT_EXPECT_EQ(test, stats_of(zone).used, 0ULL);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_frees, (u64)QUARRY_ZONE_NR_CLASSES);
}

/* ---- Memory that runs short, and comes back ---- */

static void reclaim_gives_back_what_nobody_uses(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0);
	struct qtest_backing *backing = test->priv;
	void **objects = qtest_memory(test, 2000 * sizeof(*objects));
	u64 before = qtest_backing_used(backing);
	unsigned int i, nr;

	for (i = 0; i < 2000; i++)
		objects[i] = quarry_zone_alloc(zone, 1 + i * 37 % 3000, 0, 0);
	for (i = 0; i < 2000; i++)
		EXPECT_OK(test, quarry_zone_free(zone, objects[i]));
	KUNIT_EXPECT_EQ(test, quarry_zone_reclaim(zone, 0), 0U);
	KUNIT_EXPECT_EQ(test, quarry_zone_reclaim(zone, 3), 3U);
	nr = quarry_zone_reclaim(zone, UINT_MAX);
	KUNIT_EXPECT_GT(test, nr, 0U);
	KUNIT_EXPECT_EQ(test, stats_of(zone).held, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), before);
	zone_intact(test, zone);
}

/* All that one class had can be had by another. */
static void memory_moves_between_classes(struct kunit *test)
{
	static const size_t sizes[] = { 64, 1500, 131072, 8, 40000, 512, 128 };
	struct quarry_zone *zone = new_zone(test, 0);
	unsigned long i, nr, most = ZONE_MEMORY / 64 + 1;
	void **objects = qtest_memory(test, most * sizeof(*objects));
	size_t round;

	for (round = 0; round < ARRAY_SIZE(sizes); round++) {
		for (nr = 0; nr < most; nr++) {
			objects[nr] = quarry_zone_alloc(zone, sizes[round], 0, 0);
			if (!objects[nr])
				break;
			qtest_write(objects[nr], min_t(size_t, sizes[round], 64), nr);
		}
		kunit_info(test, "%lu of %zu bytes", nr, sizes[round]);
		if (sizes[round] >= 64)
			KUNIT_EXPECT_GE(test, 100 * nr * sizes[round], 85UL * ZONE_MEMORY);
		for (i = 0; i < nr; i++) {
			KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i],
							    min_t(size_t, sizes[round], 64), i));
			KUNIT_ASSERT_EQ(test, quarry_zone_free(zone, objects[i]), 0);
		}
	}
	zone_intact(test, zone);
}

static void fini_is_refused_while_objects_are_out(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0);
	void *small = quarry_zone_alloc(zone, 8, 0, 0);
	void *large = quarry_zone_alloc(zone, SZ_128K, 0, 0);
	u64 nr_used = 0;

	EXPECT_ERR(test, quarry_zone_fini(zone, false, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 2ULL);
	EXPECT_ERR(test, quarry_zone_fini(zone, false, NULL), -EBUSY);
	EXPECT_OK(test, quarry_zone_free(zone, small));
	EXPECT_ERR(test, quarry_zone_fini(zone, false, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, nr_used, 1ULL);
	EXPECT_OK(test, quarry_zone_free(zone, large));
	small = quarry_zone_alloc(zone, 8, 0, 0);
	KUNIT_EXPECT_NOT_NULL(test, small);
	EXPECT_OK(test, quarry_zone_fini(zone, true, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 1ULL);
	qtest_forget(test, zone);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

/* A region that is too small for the largest classes serves the others. */
static void a_small_region_serves_small_sizes(struct kunit *test)
{
	struct quarry_zone *zone;
	void *object;

	qtest_backing_close(test, test->priv);
	test->priv = qtest_backing(test, SZ_64K, SZ_64K, PAGE);
	zone = new_zone(test, 0);
	KUNIT_EXPECT_NULL(test, quarry_zone_alloc(zone, SZ_128K, 0, 0));
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, stats_of(zone).nr_misuses, 0ULL);
	object = quarry_zone_alloc(zone, 100, 0, 0);
	KUNIT_EXPECT_NOT_NULL(test, object);
	EXPECT_OK(test, quarry_zone_free(zone, object));
	zone_intact(test, zone);
}

/* ---- At random ---- */

#define NR_SLOTS	400

/**
 * struct trial - one random test
 * @test: the test
 * @zone: the zone under test
 * @rnd: where all decisions come from
 * @objects: what is in use, NULL for nothing
 * @sizes: for how many bytes each was asked
 * @used: bytes that they have
 * @nr_used: how many there are
 * @nr_failures: requests that found no memory
 */
struct trial {
	struct kunit *test;
	struct quarry_zone *zone;
	struct rnd_state rnd;
	u8 *objects[NR_SLOTS];
	size_t sizes[NR_SLOTS];
	u64 used;
	u64 nr_used;
	u64 nr_failures;
};

static void take(struct trial *trial, unsigned int slot)
{
	size_t size = 1 + qtest_below(&trial->rnd, 1U << qtest_below(&trial->rnd, 18));
	size_t align = qtest_below(&trial->rnd, 2) ? BIT(qtest_below(&trial->rnd, 13)) : 1;
	u8 *object = quarry_zone_alloc(trial->zone, size, align, 0);

	trial->objects[slot] = object;
	if (!object) {
		trial->nr_failures++;
		return;
	}
	KUNIT_ASSERT_EQ(trial->test, (unsigned long)object & (align - 1), 0UL);
	qtest_write(object, size, slot);
	trial->sizes[slot] = size;
	trial->used += quarry_zone_usable_size(trial->zone, object);
	trial->nr_used++;
}

static void leave(struct trial *trial, unsigned int slot)
{
	u8 *object = trial->objects[slot];

	KUNIT_ASSERT_TRUE(trial->test, qtest_reads(object, trial->sizes[slot], slot));
	trial->used -= quarry_zone_usable_size(trial->zone, object);
	trial->nr_used--;
	KUNIT_ASSERT_EQ(trial->test, quarry_zone_free(trial->zone, object), 0);
	KUNIT_ASSERT_LT(trial->test, quarry_zone_free(trial->zone, object), 0);
	trial->objects[slot] = NULL;
}

static void compare(struct trial *trial)
{
	struct quarry_zone_stats stats = stats_of(trial->zone);

	KUNIT_ASSERT_EQ(trial->test, stats.used, trial->used);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_used, trial->nr_used);
	KUNIT_ASSERT_EQ(trial->test, stats.nr_failures, trial->nr_failures);
	zone_intact(trial->test, trial->zone);
}

static void everything_is_found_again(struct kunit *test)
{
	struct trial *trial = kunit_kzalloc(test, sizeof(*trial), GFP_KERNEL);
	unsigned long i, rounds = qtest_rounds(test, 100000);
	unsigned int slot;

	KUNIT_ASSERT_NOT_NULL(test, trial);
	trial->test = test;
	trial->zone = new_zone(test, *(const unsigned int *)test->param_value);
	qtest_seed(test, &trial->rnd);
	for (i = 0; i < rounds; i++) {
		slot = qtest_below(&trial->rnd, NR_SLOTS);
		if (trial->objects[slot])
			leave(trial, slot);
		else
			take(trial, slot);
		if (i % 4096 == 0) {
			compare(trial);
			quarry_zone_reclaim(trial->zone, qtest_below(&trial->rnd, 50));
			cond_resched();
		}
	}
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (trial->objects[slot])
			leave(trial, slot);
	compare(trial);
}

static void after_fini_nothing_is_served(struct kunit *test)
{
	struct quarry_zone *zone = new_zone(test, 0);
	void *object = quarry_zone_alloc(zone, 100, 0, 0);
	u64 nr_used = 1;

	EXPECT_OK(test, quarry_zone_free(zone, object));
	EXPECT_OK(test, quarry_zone_fini(zone, false, NULL));
	qtest_forget(test, zone);
	KUNIT_EXPECT_NULL(test, quarry_zone_alloc(zone, 100, 0, 0));
	EXPECT_ERR(test, quarry_zone_free(zone, object), -EINVAL);
	KUNIT_EXPECT_EQ(test, quarry_zone_usable_size(zone, object), (size_t)0);
	KUNIT_EXPECT_EQ(test, quarry_zone_reclaim(zone, 1), 0U);
	EXPECT_OK(test, quarry_zone_fini(zone, false, &nr_used));
	KUNIT_EXPECT_EQ(test, nr_used, 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
}

static struct kunit_case zone_cases[] = {
	KUNIT_CASE(each_size_has_the_smallest_class_that_serves_it),
	KUNIT_CASE(sizes_that_cannot_be_have_no_class),
	KUNIT_CASE(each_class_has_its_cache),
	KUNIT_CASE(init_refuses_what_cannot_be),
	KUNIT_CASE_PARAM(every_class_serves_its_sizes, mode_gen_params),
	KUNIT_CASE_PARAM(every_size_has_every_alignment, mode_gen_params),
	KUNIT_CASE(what_cannot_be_is_refused),
	KUNIT_CASE_PARAM(zero_clears_all_that_was_asked_for, mode_gen_params),
	KUNIT_CASE_PARAM(wrong_addresses_are_refused, mode_gen_params),
	KUNIT_CASE(what_others_have_is_refused),
	KUNIT_CASE(nothing_but_objects_can_be_freed),
	KUNIT_CASE(figures_are_those_of_all_classes),
	KUNIT_CASE(reclaim_gives_back_what_nobody_uses),
	KUNIT_CASE(memory_moves_between_classes),
	KUNIT_CASE(fini_is_refused_while_objects_are_out),
	KUNIT_CASE(after_fini_nothing_is_served),
	KUNIT_CASE(a_small_region_serves_small_sizes),
	KUNIT_CASE_PARAM(everything_is_found_again, mode_gen_params),
	{}
};

static struct kunit_suite zone_suite = {
	.name = "quarry_zone",
	.init = zone_test_init,
	.exit = qtest_backing_exit,
	.test_cases = zone_cases,
};

kunit_test_suite(zone_suite);
