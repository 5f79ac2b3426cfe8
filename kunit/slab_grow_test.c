// SPDX-License-Identifier: GPL-2.0
/*
 * Slab allocators that live in buffers of their user's: static arrays, and any
 * length at any address.
 */
#include "backing.h"

#define FENCE	64

/* A slab allocator with nothing but what it is given. */
static struct quarry_slab *bare_slab(struct kunit *test, size_t object_size, size_t align)
{
	struct quarry_slab_config config = {
		.name = test->name, .object_size = object_size, .align = align,
	};

	return qtest_slab(test, &config);
}

/* How often an object can be had; all of them must be whole and in the buffer. */
static long use_up(struct kunit *test, struct quarry_slab *slab, const u8 *buffer, size_t size)
{
	struct quarry_slab_stats stats = qtest_slab_stats(slab);
	long nr = 0;
	u8 *object;

	while ((object = quarry_slab_alloc(slab, 0))) {
		KUNIT_ASSERT_GE(test, (unsigned long)object, (unsigned long)buffer);
		KUNIT_ASSERT_LE(test, (unsigned long)object + stats.object_size,
				(unsigned long)buffer + size);
		KUNIT_ASSERT_EQ(test, (unsigned long)object % stats.align, 0UL);
		memset(object, 0x11, stats.object_size);
		nr++;
	}
	return nr;
}

/* ---- QUARRY_SLAB_BYTES ---- */

static u8 seed_bytes[QUARRY_SLAB_BYTES(32, 24, 8)];
static u8 seed_lines[QUARRY_SLAB_BYTES(10, 8, 64)];
static u8 seed_one[QUARRY_SLAB_BYTES(1, 1, 1)];

static void a_static_array_seeds_a_slab(struct kunit *test)
{
	struct quarry_slab *slab = bare_slab(test, 24, 8), *lines = bare_slab(test, 8, 64);
	struct quarry_slab *one = bare_slab(test, 1, 1);
	long nr;

	nr = quarry_slab_grow(slab, seed_bytes, sizeof(seed_bytes));
	KUNIT_EXPECT_GE(test, nr, 32L);
	KUNIT_EXPECT_EQ(test, use_up(test, slab, seed_bytes, sizeof(seed_bytes)), nr);
	nr = quarry_slab_grow(lines, seed_lines, sizeof(seed_lines));
	KUNIT_EXPECT_GE(test, nr, 10L);
	KUNIT_EXPECT_EQ(test, use_up(test, lines, seed_lines, sizeof(seed_lines)), nr);
	nr = quarry_slab_grow(one, seed_one, sizeof(seed_one));
	KUNIT_EXPECT_GE(test, nr, 1L);
	KUNIT_EXPECT_EQ(test, use_up(test, one, seed_one, sizeof(seed_one)), nr);
	KUNIT_EXPECT_LT(test, sizeof(seed_bytes), (size_t)1024);
}

struct seeding {
	const char *name;
	size_t object_size;
	size_t align;
};

static const struct seeding seedings[] = {
	{ "1 byte", 1, 0 }, { "8 bytes", 8, 8 }, { "9 bytes", 9, 1 }, { "13 bytes", 13, 4 },
	{ "24 bytes", 24, 8 }, { "64 bytes", 64, 8 }, { "64 bytes aligned to 64", 64, 64 },
	{ "8 bytes aligned to 256", 8, 256 }, { "100 bytes aligned to 32", 100, 32 },
	{ "1000 bytes", 1000, 8 }, { "4096 bytes aligned to 4096", 4096, 4096 },
};

static void seeding_desc(const struct seeding *seeding, char *desc)
{
	strscpy(desc, seeding->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(seeding, seedings, seeding_desc);

static long grown_at(struct kunit *test, const struct seeding *seeding, u8 *buffer, size_t size)
{
	struct quarry_slab *slab = bare_slab(test, seeding->object_size, seeding->align);
	long nr = quarry_slab_grow(slab, buffer, size);

	if (nr > 0)
		KUNIT_EXPECT_EQ(test, use_up(test, slab, buffer, size), nr);
	qtest_slab_intact(test, slab);
	KUNIT_EXPECT_EQ(test, quarry_slab_fini(slab, true, NULL), 0);
	qtest_forget(test, slab);
	return nr;
}

/* Whatever the address of an array, it gives as many objects as was said. */
static void an_array_gives_what_the_macro_says(struct kunit *test)
{
	static const unsigned int nrs[] = { 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 200, 1000 };
	static const unsigned int offsets[] = { 0, 1, 3, 7, 8, 15, 16, 33, 63, 64, 100, 2049 };
	const struct seeding *seeding = test->param_value;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(nrs); i++) {
		size_t size = QUARRY_SLAB_BYTES(nrs[i], seeding->object_size, seeding->align);
		u8 *memory = qtest_aligned_memory(test, size + 4096, 4096);

		for (j = 0; j < ARRAY_SIZE(offsets); j++)
			KUNIT_EXPECT_GE_MSG(test, grown_at(test, seeding, memory + offsets[j],
							   size), (long)nrs[i],
					    "%u objects at %u", nrs[i], offsets[j]);
	}
}

/* ---- Any length at any address ---- */

static void expect_fences(struct kunit *test, const u8 *memory, size_t from, size_t to)
{
	KUNIT_ASSERT_NULL(test, memchr_inv(memory + from - FENCE, QTEST_GARBAGE, FENCE));
	KUNIT_ASSERT_NULL(test, memchr_inv(memory + to, QTEST_GARBAGE, FENCE));
}

/* Defect 3: with a buffer that fits no object the original aborted. */
static void buffers_of_any_length_give_what_fits(struct kunit *test)
{
	const struct seeding *seeding = test->param_value;
	u8 *memory = qtest_aligned_memory(test, SZ_16K, 4096);
	size_t size, at = FENCE;
	long nr, before = 0;

	for (size = 1; size < 3 * SZ_4K; size += 1 + size / 16, at = FENCE + size % 61) {
		memset(memory, QTEST_GARBAGE, SZ_16K);
		nr = grown_at(test, seeding, memory + at, size);
		expect_fences(test, memory, at, at + size);
		if (nr < 0) {
			KUNIT_ASSERT_EQ(test, nr, (long)-ENOSPC);
			KUNIT_ASSERT_NULL(test, memchr_inv(memory, QTEST_GARBAGE, SZ_16K));
			KUNIT_ASSERT_LE(test, before, 2L);
			continue;
		}
		KUNIT_ASSERT_GT(test, nr, 0L);
		KUNIT_ASSERT_LE(test, nr * (long)seeding->object_size, (long)size);
		before = nr;
	}
	KUNIT_EXPECT_GT(test, before, 0L);
}

static void grow_refuses_what_is_no_buffer(struct kunit *test)
{
	struct quarry_slab *slab = bare_slab(test, 64, 8);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	u8 *memory = qtest_memory(test, SZ_4K);

	EXPECT_ERR(test, quarry_slab_grow(slab, NULL, SZ_4K), (long)-EINVAL);
	EXPECT_ERR(test, quarry_slab_grow(slab, memory, 0), (long)-EINVAL);
	EXPECT_ERR(test, quarry_slab_grow(slab, memory, SIZE_MAX), (long)-EINVAL);
	EXPECT_ERR(test, quarry_slab_grow(slab, memory, -(size_t)memory + 1), (long)-EINVAL);
	EXPECT_ERR(test, quarry_slab_grow(slab, (void *)-4096UL, 4097), (long)-EINVAL);
	EXPECT_ERR(test, quarry_slab_grow(slab, (void *)-1UL, 2), (long)-EINVAL);
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, QTEST_GARBAGE, SZ_4K));
	qtest_slab_unchanged(test, slab, &old, 6);
}

/* Defect 3, the boundary: one byte less than what fits an object. */
static void a_buffer_one_byte_too_small_is_refused(struct kunit *test)
{
	struct quarry_slab *slab = bare_slab(test, 64, 8);
	struct quarry_slab_stats old = qtest_slab_stats(slab);
	u8 *memory = qtest_memory(test, SZ_4K);
	size_t size = 1;
	long nr;

	while ((nr = quarry_slab_grow(slab, memory, size)) == -ENOSPC) {
		KUNIT_ASSERT_NULL(test, memchr_inv(memory, QTEST_GARBAGE, SZ_4K));
		KUNIT_ASSERT_EQ(test, qtest_slab_stats(slab).nr_slabs, old.nr_slabs);
		size++;
	}
	KUNIT_EXPECT_EQ(test, nr, 1L);
	KUNIT_EXPECT_GE(test, size, (size_t)64);
	KUNIT_EXPECT_LE(test, size, (size_t)64 + 192);
	KUNIT_EXPECT_EQ(test, use_up(test, slab, memory, size), 1L);
}

/* ---- Overlaps ---- */

static void buffers_that_overlap_are_refused(struct kunit *test)
{
	static const struct { size_t at, size; } ranges[] = {
		{ 4096, 4096 }, { 4096, 4095 }, { 4097, 4095 }, { 0, 4097 }, { 8191, 4096 },
		{ 5000, 500 }, { 0, 16384 }, { 4095, 4098 }, { 3000, 2000 }, { 8190, 2 },
		{ 8000, 1000 }, { 4096, 1 }, { 8191, 1 },
	};
	struct quarry_slab *slab = bare_slab(test, 64, 8);
	u8 *memory = qtest_memory(test, SZ_16K);
	struct quarry_slab_stats old;
	void *object;
	size_t i;

	KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, memory + 4096, 4096), 0L);
	object = qtest_slab_object(test, slab);
	old = qtest_slab_stats(slab);
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_slab_grow(slab, memory + ranges[i].at,
							   ranges[i].size), (long)-EEXIST,
				    "+%zu, %zu bytes", ranges[i].at, ranges[i].size);
	qtest_slab_unchanged(test, slab, &old, i);
	KUNIT_EXPECT_NULL(test, memchr_inv(memory, QTEST_GARBAGE, 4096));
	KUNIT_EXPECT_NULL(test, memchr_inv(memory + 8192, QTEST_GARBAGE, 8192));
	EXPECT_OK(test, quarry_slab_free(slab, object));
	KUNIT_EXPECT_GT(test, quarry_slab_grow(slab, memory, 4096), 0L);
	KUNIT_EXPECT_GT(test, quarry_slab_grow(slab, memory + 8192, 8192), 0L);
	qtest_slab_intact(test, slab);
}

/* Its own slabs from the backend overlap, too. */
static void buffers_that_overlap_slabs_are_refused(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 64, 8);
	struct quarry_slab *slab = qtest_slab(test, &config);
	struct quarry_slab_object object;
	struct quarry_slab_stats old;

	ASSERT_OK(test, quarry_slab_lookup(slab, qtest_slab_object(test, slab), &object));
	old = qtest_slab_stats(slab);
	EXPECT_ERR(test, quarry_slab_grow(slab, object.slab, PAGE), (long)-EEXIST);
	EXPECT_ERR(test, quarry_slab_grow(slab, object.slab + 100, 1000), (long)-EEXIST);
	EXPECT_ERR(test, quarry_slab_grow(slab, object.slab + PAGE - 1, 1000), (long)-EEXIST);
	qtest_slab_unchanged(test, slab, &old, 3);
}

/* ---- Many buffers ---- */

/* In an order that is neither up nor down, each with a gap before the next. */
static void many_buffers_are_one_allocator(struct kunit *test)
{
	unsigned int i, nr_buffers = 509;
	struct quarry_slab *slab = bare_slab(test, 48, 8);
	u8 *memory = qtest_memory(test, nr_buffers * 512);
	long nr, total = 0;
	void **objects;

	for (i = 0; i < nr_buffers; i++) {
		unsigned int at = i * 211 % nr_buffers;

		nr = quarry_slab_grow(slab, memory + 512 * at + at % 8, 300 + at % 200);
		KUNIT_ASSERT_GT(test, nr, 0L);
		total += nr;
	}
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), (u64)total);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_slabs, (u64)nr_buffers);
	objects = qtest_slab_objects(test, slab, total);
	for (i = 0; i < total; i++)
		qtest_write(objects[i], 48, i);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	qtest_slab_intact(test, slab);
	for (i = 0; i < total; i++) {
		KUNIT_ASSERT_TRUE(test, qtest_reads(objects[i], 48, i));
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
		EXPECT_ERR(test, quarry_slab_free(slab, objects[i]), -ENOENT);
		EXPECT_ERR(test, quarry_slab_free(slab, objects[i] + 8), -EINVAL);
	}
	for (i = 0; i < nr_buffers; i++)
		EXPECT_ERR(test, quarry_slab_free(slab, memory + 512 * i + 508), -EINVAL);
	qtest_slab_intact(test, slab);
}

/* Buffers first, and only then the backend. */
static void buffers_and_a_backend_go_together(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 64, 8);
	struct quarry_slab *slab = qtest_slab(test, &config);
	u8 *memory = qtest_memory(test, 1000);
	long nr = quarry_slab_grow(slab, memory, 1000);
	void **objects;

	KUNIT_ASSERT_GT(test, nr, 10L);
	objects = qtest_slab_objects(test, slab, nr);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), 0ULL);
	qtest_slab_object(test, slab);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(test->priv), PAGE);
	qtest_slab_free_all(test, slab, objects, nr);
	quarry_slab_reclaim(slab, UINT_MAX);
	KUNIT_EXPECT_TRUE(test, quarry_slab_owns(slab, objects[0]));
	KUNIT_EXPECT_GE(test, quarry_slab_nr_free(slab), (u64)nr);
}

/* What is left over behind the last object, and before the first, is no object. */
static void what_is_left_over_is_no_object(struct kunit *test)
{
	struct quarry_slab *slab = bare_slab(test, 1000, 64);
	u8 *memory = qtest_aligned_memory(test, SZ_8K, 64), *at;
	struct quarry_slab_object object;
	long nr, inside = 0;

	nr = quarry_slab_grow(slab, memory, SZ_8K - 50);
	KUNIT_ASSERT_GT(test, nr, 5L);
	KUNIT_EXPECT_EQ(test, use_up(test, slab, memory, SZ_8K - 50), nr);
	for (at = memory; at < memory + SZ_8K; at++)
		if (!quarry_slab_lookup(slab, at, &object)) {
			KUNIT_EXPECT_FALSE(test, object.free);
			KUNIT_EXPECT_LT(test, object.index, (unsigned int)nr);
			inside++;
		}
	KUNIT_EXPECT_EQ(test, inside, nr * 1024);
	for (at = memory + SZ_8K - 50 - 14; at < memory + SZ_8K; at++)
		EXPECT_ERR(test, quarry_slab_free(slab, at), -EINVAL);
}

/* ---- Release ---- */

#define NR_BUFFERS	8

/**
 * struct returns - what came back by release
 * @slab: whose lock must be free then
 * @buffers: what was lent, in parts of 512 bytes and more
 * @sizes: how much of each; 0 when it is back
 * @nr: how many came back
 * @nr_faults: what came back that hadn't been lent so
 */
struct returns {
	struct quarry_slab *slab;
	u8 *buffers[NR_BUFFERS];
	size_t sizes[NR_BUFFERS];
	unsigned int nr;
	unsigned int nr_faults;
};

static void take_back(void *ctx, void *buffer, size_t size)
{
	struct returns *returns = ctx;
	int i;

	if (raw_spin_is_locked(&returns->slab->lock))
		returns->nr_faults++;
	for (i = 0; i < NR_BUFFERS; i++)
		if (returns->buffers[i] == buffer && returns->sizes[i] == size)
			break;
	if (i == NR_BUFFERS) {
		returns->nr_faults++;
		return;
	}
	memset(buffer, QTEST_STALE, size);
	returns->sizes[i] = 0;
	returns->nr++;
}

/* NR_BUFFERS buffers of odd addresses and lengths, in all of which objects are. */
static struct quarry_slab *lend_buffers(struct kunit *test, struct returns *returns,
					void ***objects, u64 *nr_objects)
{
	struct quarry_slab_config config = {
		.name = test->name, .object_size = 40, .release = take_back, .ctx = returns,
	};
	struct quarry_slab *slab = qtest_slab(test, &config);
	u8 *memory = qtest_memory(test, NR_BUFFERS * 1024);
	int i;

	memset(returns, 0, sizeof(*returns));
	returns->slab = slab;
	for (i = 0; i < NR_BUFFERS; i++) {
		returns->buffers[i] = memory + 1024 * i + 11 * i;
		returns->sizes[i] = 512 + 13 * i;
		KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, returns->buffers[i],
						       returns->sizes[i]), 0L);
	}
	*nr_objects = quarry_slab_nr_free(slab);
	*objects = qtest_slab_objects(test, slab, *nr_objects);
	return slab;
}

static void buffers_come_back_as_they_were_lent(struct kunit *test)
{
	struct returns *returns = qtest_memory(test, sizeof(*returns));
	struct quarry_slab *slab;
	void **objects;
	u64 i, nr;

	slab = lend_buffers(test, returns, &objects, &nr);
	ASSERT_OK(test, quarry_slab_set_keep(slab, 3));
	for (i = 0; i < nr; i++) {
		unsigned int before = returns->nr;

		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
		KUNIT_EXPECT_LE(test, returns->nr, before + 1);
		KUNIT_EXPECT_LE(test, qtest_slab_stats(slab).nr_empty, 3ULL);
	}
	KUNIT_EXPECT_EQ(test, returns->nr, NR_BUFFERS - 3U);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_released, NR_BUFFERS - 3ULL);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, 1), 1U);
	EXPECT_OK(test, quarry_slab_fini(slab, false, NULL));
	qtest_forget(test, slab);
	KUNIT_EXPECT_EQ(test, returns->nr, (unsigned int)NR_BUFFERS);
	KUNIT_EXPECT_EQ(test, returns->nr_faults, 0U);
}

static void buffers_come_back_by_force(struct kunit *test)
{
	struct returns *returns = qtest_memory(test, sizeof(*returns));
	struct quarry_slab *slab;
	void **objects;
	u64 nr, nr_used;

	slab = lend_buffers(test, returns, &objects, &nr);
	EXPECT_ERR(test, quarry_slab_fini(slab, false, &nr_used), -EBUSY);
	KUNIT_EXPECT_EQ(test, returns->nr, 0U);
	EXPECT_OK(test, quarry_slab_fini(slab, true, &nr_used));
	qtest_forget(test, slab);
	KUNIT_EXPECT_EQ(test, nr_used, nr);
	KUNIT_EXPECT_EQ(test, returns->nr, (unsigned int)NR_BUFFERS);
	KUNIT_EXPECT_EQ(test, returns->nr_faults, 0U);
}

static void a_returned_buffer_can_be_lent_again(struct kunit *test)
{
	struct returns *returns = qtest_memory(test, sizeof(*returns));
	struct quarry_slab *slab;
	void **objects;
	u64 nr;

	slab = lend_buffers(test, returns, &objects, &nr);
	qtest_slab_free_all(test, slab, objects, nr);
	quarry_slab_reclaim(slab, UINT_MAX);
	KUNIT_EXPECT_EQ(test, returns->nr, (unsigned int)NR_BUFFERS);
	KUNIT_EXPECT_EQ(test, quarry_slab_nr_free(slab), 0ULL);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[0]), -EINVAL);
	KUNIT_EXPECT_FALSE(test, quarry_slab_owns(slab, objects[0]));
	returns->sizes[0] = 600;
	KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, returns->buffers[0], 600), 10L);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[0]), -EINVAL);
	qtest_slab_object(test, slab);
	EXPECT_OK(test, quarry_slab_fini(slab, true, NULL));
	qtest_forget(test, slab);
	KUNIT_EXPECT_EQ(test, returns->nr_faults, 0U);
}

/* Without release a buffer stays, however empty. */
static void buffers_without_release_stay(struct kunit *test)
{
	struct quarry_slab *slab = bare_slab(test, 64, 8);
	u8 *memory = qtest_memory(test, SZ_16K);
	struct quarry_slab_stats old;
	void **objects;
	int i;

	for (i = 0; i < 8; i++)
		KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, memory + 2048 * i, 2048), 0L);
	old = qtest_slab_stats(slab);
	objects = qtest_slab_objects(test, slab, old.nr_objects);
	qtest_slab_free_all(test, slab, objects, old.nr_objects);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 0U);
	old.nr_allocs = old.nr_objects;
	old.nr_frees = old.nr_objects;
	old.peak = old.nr_objects;
	qtest_slab_unchanged(test, slab, &old, 0);
	for (i = 0; i < old.nr_objects; i++)
		KUNIT_EXPECT_TRUE(test, quarry_slab_owns(slab, objects[i]));
}

static struct kunit_case grow_cases[] = {
	KUNIT_CASE(a_static_array_seeds_a_slab),
	KUNIT_CASE_PARAM(an_array_gives_what_the_macro_says, seeding_gen_params),
	KUNIT_CASE_PARAM(buffers_of_any_length_give_what_fits, seeding_gen_params),
	KUNIT_CASE(grow_refuses_what_is_no_buffer),
	KUNIT_CASE(a_buffer_one_byte_too_small_is_refused),
	KUNIT_CASE(buffers_that_overlap_are_refused),
	KUNIT_CASE(buffers_that_overlap_slabs_are_refused),
	KUNIT_CASE(many_buffers_are_one_allocator),
	KUNIT_CASE(buffers_and_a_backend_go_together),
	KUNIT_CASE(what_is_left_over_is_no_object),
	KUNIT_CASE(buffers_come_back_as_they_were_lent),
	KUNIT_CASE(buffers_come_back_by_force),
	KUNIT_CASE(a_returned_buffer_can_be_lent_again),
	KUNIT_CASE(buffers_without_release_stay),
	{}
};

static struct kunit_suite grow_suite = {
	.name = "quarry_slab_grow",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = grow_cases,
};

kunit_test_suite(grow_suite);
