// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of every kind on a heap, and on a map that has the owner of
 * every eight bytes. Where blocks lie is the heap's own business; the map only
 * says what must not be.
 */
#include <linux/log2.h>
#include <linux/string.h>

#include "heap_helpers.h"

#define NR_SLOTS	512
#define GRAIN		8
#define MAX_ARENAS	8
#define NR_GONE		16

/* What the map knows of a grain, but for the slot that has it. */
#define NOBODY		0xffff	/* free, or not the heap's */

/**
 * struct slot - a block that somebody has
 * @block: its start, NULL for nothing
 * @size: what was asked for
 * @real: what was got
 */
struct slot {
	u8 *block;
	size_t size;
	size_t real;
};

/**
 * struct ground - an extent, and what its bytes are used for
 * @memory: the extent
 * @size: its size
 * @owner: the slot that has each grain, or NOBODY
 * @past: each grain's last block that began there was freed, and nobody has had it since
 */
struct ground {
	u8 *memory;
	size_t size;
	u16 *owner;
	u8 *past;
};

/**
 * struct trial - one random test
 * @test: the test
 * @heap: the heap under test
 * @rnd: where all decisions come from
 * @grounds: the extents
 * @nr_grounds: how many
 * @slots: who has what
 * @gone: some of what was freed
 * @largest: the largest size that is asked for
 * @caching: the largest size that CPUs have at hand; 0 for none
 * @appetite: how many of ten decisions are to take
 * @right: the figures that the heap must have
 * @nr_past: times that a block was freed again that nobody else has had since
 * @nr_forgotten: of them those for which the heap said that it never was one
 */
struct trial {
	struct kunit *test;
	struct quarry_heap *heap;
	struct rnd_state rnd;
	struct ground grounds[MAX_ARENAS];
	unsigned int nr_grounds;
	struct slot slots[NR_SLOTS];
	u8 *gone[NR_GONE];
	size_t largest;
	size_t caching;
	u32 appetite;
	struct quarry_heap_stats right;
	unsigned long nr_past;
	unsigned long nr_forgotten;
};

/* ---- The map ---- */

static struct ground *ground_of(struct trial *trial, const u8 *addr)
{
	unsigned int i;

	for (i = 0; i < trial->nr_grounds; i++)
		if (addr >= trial->grounds[i].memory &&
		    addr < trial->grounds[i].memory + trial->grounds[i].size)
			return &trial->grounds[i];
	return NULL;
}

/* The grains of a block change hands, all of them from the one to the other. */
static void change_hands(struct trial *trial, const u8 *block, size_t size, u16 from, u16 to)
{
	struct ground *ground = ground_of(trial, block);
	size_t at, end;

	KUNIT_ASSERT_NOT_NULL(trial->test, ground);
	at = (block - ground->memory) / GRAIN;
	end = (block - ground->memory + size) / GRAIN;
	KUNIT_ASSERT_LE(trial->test, (unsigned long)block + size,
			(unsigned long)ground->memory + ground->size);
	for (; at < end; at++) {
		if (ground->owner[at] != from)
			KUNIT_ASSERT_EQ_MSG(trial->test, ground->owner[at], from,
					    "%zu bytes at %zu", size, at * GRAIN);
		ground->owner[at] = to;
	}
}

static void set_past(struct trial *trial, const u8 *block, size_t size, u8 first, u8 rest)
{
	struct ground *ground = ground_of(trial, block);
	size_t at = (block - ground->memory) / GRAIN;

	memset(&ground->past[at], rest, size / GRAIN);
	ground->past[at] = first;
}

/* A new block for a slot, of contents of its own, where nobody had one. */
static void move_in(struct trial *trial, struct slot *slot, u8 *block, size_t size)
{
	size_t real = quarry_heap_usable_size(trial->heap, block);

	KUNIT_ASSERT_GE(trial->test, real, size);
	KUNIT_ASSERT_EQ(trial->test, (unsigned long)block % GRAIN, 0UL);
	change_hands(trial, block, real, NOBODY, slot - trial->slots);
	set_past(trial, block, real, false, false);
	*slot = (struct slot) { .block = block, .size = size, .real = real };
	qtest_heap_write(block, size);
	trial->right.used += real;
	trial->right.peak = max(trial->right.peak, trial->right.used);
	trial->right.nr_used++;
}

static void move_out(struct trial *trial, struct slot *slot)
{
	change_hands(trial, slot->block, slot->real, slot - trial->slots, NOBODY);
	set_past(trial, slot->block, slot->real, true, false);
	trial->right.used -= slot->real;
	trial->right.nr_used--;
	trial->gone[qtest_below(&trial->rnd, NR_GONE)] = slot->block;
	slot->block = NULL;
}

static void expect_contents(struct trial *trial, const struct slot *slot)
{
	KUNIT_ASSERT_TRUE(trial->test, qtest_heap_keeps(slot->block, slot->size));
}

/* ---- Operations ---- */

static struct slot *random_slot(struct trial *trial, bool taken)
{
	u32 i, start = qtest_below(&trial->rnd, NR_SLOTS);

	for (i = 0; i < NR_SLOTS; i++) {
		struct slot *slot = &trial->slots[(start + i) % NR_SLOTS];

		if (!slot->block == !taken)
			return slot;
	}
	return NULL;
}

/* Small ones often, some at the very border of a class, any up to the largest. */
static size_t random_size(struct trial *trial)
{
	u32 limit = 1U << qtest_below(&trial->rnd, fls(trial->largest));
	struct quarry_heap_class_stats class;

	if (!qtest_below(&trial->rnd, 4)) {
		limit = qtest_below(&trial->rnd, trial->right.nr_classes);
		quarry_heap_class_stats(trial->heap, limit, &class);
		return class.size + qtest_below(&trial->rnd, 3) - 1;
	}
	return limit + qtest_below(&trial->rnd, limit);
}

/*
 * A heap that says it has no room has not even one byte more than it says it has,
 * but for powers of two, for which only an aligned block does.
 */
static void expect_no_room(struct trial *trial, size_t size)
{
	struct quarry_heap_stats stats = qtest_heap_stats(trial->heap);

	trial->right.nr_failures++;
	if (!is_power_of_2(size))
		KUNIT_ASSERT_LT(trial->test, stats.largest_free, (u64)size);
}

static void try_alloc(struct trial *trial)
{
	struct slot *slot = random_slot(trial, false);
	size_t size = random_size(trial);
	bool zeroed = !qtest_below(&trial->rnd, 4);
	u8 *block;

	if (!slot)
		return;
	block = zeroed ? quarry_heap_zalloc(trial->heap, size) :
			 quarry_heap_alloc(trial->heap, size);
	if (!block) {
		expect_no_room(trial, size);
		return;
	}
	if (zeroed)
		KUNIT_ASSERT_NULL(trial->test, memchr_inv(block, 0, size));
	move_in(trial, slot, block, size);
	trial->right.nr_allocs++;
}

static void try_aligned(struct trial *trial)
{
	struct slot *slot = random_slot(trial, false);
	size_t size = random_size(trial), align = 1UL << qtest_below(&trial->rnd, 14);
	u8 *block;

	if (!slot)
		return;
	block = quarry_heap_alloc_aligned(trial->heap, size, align);
	if (!block) {
		trial->right.nr_failures++;
		return;
	}
	KUNIT_ASSERT_EQ(trial->test, (unsigned long)block & (align - 1), 0UL);
	move_in(trial, slot, block, size);
	trial->right.nr_allocs++;
}

static void try_free(struct trial *trial)
{
	struct slot *slot = random_slot(trial, true);
	int err;

	if (!slot)
		return;
	expect_contents(trial, slot);
	if (qtest_below(&trial->rnd, 8)) {
		err = quarry_heap_free(trial->heap, slot->block);
	} else {
		err = quarry_heap_free_deferred(trial->heap, slot->block);
		KUNIT_ASSERT_EQ(trial->test, quarry_heap_reap(trial->heap), 1UL);
	}
	ASSERT_OK(trial->test, err);
	trial->right.nr_frees++;
	move_out(trial, slot);
}

static void try_realloc(struct trial *trial)
{
	struct slot *slot = random_slot(trial, true), old;
	size_t size = random_size(trial);
	u8 *block;

	if (!slot)
		return;
	expect_contents(trial, slot);
	old = *slot;
	block = quarry_heap_realloc(trial->heap, slot->block, size);
	if (!block) {
		trial->right.nr_failures++;
		expect_contents(trial, slot);
		return;
	}
	KUNIT_ASSERT_TRUE(trial->test, qtest_heap_reads(block, size, old.block, old.size));
	move_out(trial, slot);
	if (block == old.block)
		set_past(trial, block, GRAIN, false, false);
	if (block != old.block) {
		trial->right.nr_allocs++;
		trial->right.nr_frees++;
	}
	/* While it moved, both were in use. */
	if (block != old.block)
		trial->right.peak = max(trial->right.peak, trial->right.used + old.real +
					quarry_heap_usable_size(trial->heap, block));
	move_in(trial, slot, block, size);
}

/* What the map says of an address is what free() must answer. */
static void free_again(struct trial *trial, struct ground *ground, size_t offset)
{
	struct slot *slot = NULL;
	bool past;
	int err;

	if (ground->owner[offset / GRAIN] != NOBODY)
		slot = &trial->slots[ground->owner[offset / GRAIN]];
	past = offset % GRAIN == 0 && ground->past[offset / GRAIN];
	err = quarry_heap_free(trial->heap, ground->memory + offset);
	if (slot && slot->block == ground->memory + offset) {
		ASSERT_OK(trial->test, err);
		trial->right.nr_frees++;
		move_out(trial, slot);
		return;
	}
	trial->right.nr_misuses++;
	trial->nr_past += past;
	if (past && err == -EINVAL)
		trial->nr_forgotten++;
	else if (slot || err != -ENOENT)
		KUNIT_ASSERT_EQ(trial->test, err, -EINVAL);
}

static void try_free_anything(struct trial *trial)
{
	struct ground *ground = &trial->grounds[qtest_below(&trial->rnd, trial->nr_grounds)];
	size_t offset = qtest_below(&trial->rnd, ground->size);

	if (qtest_below(&trial->rnd, 8))
		offset = round_down(offset, GRAIN);
	free_again(trial, ground, offset);
}

/* Somebody forgets that he has freed his block, now or a while ago. */
static void try_free_again(struct trial *trial)
{
	u8 *block = trial->gone[qtest_below(&trial->rnd, NR_GONE)];
	struct ground *ground = ground_of(trial, block);

	if (ground)
		free_again(trial, ground, block - ground->memory);
}

static void try_lookup(struct trial *trial)
{
	struct ground *ground = &trial->grounds[qtest_below(&trial->rnd, trial->nr_grounds)];
	size_t offset = qtest_below(&trial->rnd, ground->size);
	u16 owner = ground->owner[offset / GRAIN];
	struct quarry_heap_block block;
	int err = quarry_heap_lookup(trial->heap, ground->memory + offset, &block);

	if (owner == NOBODY) {
		KUNIT_ASSERT_TRUE(trial->test, err == -ENOENT || err == -EINVAL);
		return;
	}
	ASSERT_OK(trial->test, err);
	KUNIT_ASSERT_PTR_EQ(trial->test, block.addr, (void *)trial->slots[owner].block);
	KUNIT_ASSERT_EQ(trial->test, block.size, trial->slots[owner].real);
	KUNIT_ASSERT_TRUE(trial->test, block.used);
}

static void try_something(struct trial *trial)
{
	static void (*const others[])(struct trial *) = {
		try_realloc, try_realloc, try_free_anything, try_free_again, try_lookup,
	};

	if (!qtest_below(&trial->rnd, 4))
		others[qtest_below(&trial->rnd, ARRAY_SIZE(others))](trial);
	else if (qtest_below(&trial->rnd, 10) >= trial->appetite)
		try_free(trial);
	else if (qtest_below(&trial->rnd, 4))
		try_alloc(trial);
	else
		try_aligned(trial);
}

/* ---- Comparing ---- */

static void compare_stats(struct trial *trial)
{
	struct quarry_heap_stats *right = &trial->right, stats = qtest_heap_stats(trial->heap);
	struct kunit *test = trial->test;

	KUNIT_ASSERT_EQ(test, stats.used, right->used);
	KUNIT_ASSERT_EQ(test, stats.free, stats.total - right->used);
	KUNIT_ASSERT_EQ(test, stats.nr_used, right->nr_used);
	KUNIT_ASSERT_EQ(test, stats.nr_allocs, right->nr_allocs);
	KUNIT_ASSERT_EQ(test, stats.nr_frees, right->nr_frees);
	KUNIT_ASSERT_EQ(test, stats.nr_failures, right->nr_failures);
	KUNIT_ASSERT_EQ(test, stats.nr_misuses, right->nr_misuses);
	KUNIT_ASSERT_GE(test, stats.peak, stats.used);
	/* What CPUs have at hand counts. */
	if (!trial->caching)
		KUNIT_ASSERT_LE(test, stats.peak, right->peak);
	KUNIT_ASSERT_LE(test, stats.largest_free, stats.free);
	KUNIT_ASSERT_EQ(test, (u64)stats.fragmentation, !stats.free ? 0 :
			div64_u64((stats.free - stats.largest_free) * 1000, stats.free));
}

/* The walk goes over all that is managed; each block in use is somebody's. */
static void compare_walk(struct trial *trial)
{
	struct quarry_heap_block block = {};
	u64 nr_used = 0, seen = 0, own = 0;

	while (!quarry_heap_next(trial->heap, block.addr + block.size, &block)) {
		const struct ground *ground = ground_of(trial, block.addr);
		u16 owner = ground->owner[((u8 *)block.addr - ground->memory) / GRAIN];

		KUNIT_ASSERT_GT(trial->test, block.size, (size_t)0);
		seen += block.size;
		if (trial->caching && block.used && owner == NOBODY) {
			own += block.size;
			continue;
		}
		KUNIT_ASSERT_EQ(trial->test, block.used, owner != NOBODY);
		if (block.used)
			KUNIT_ASSERT_EQ(trial->test, block.size, trial->slots[owner].real);
		nr_used += block.used;
	}
	KUNIT_ASSERT_EQ(trial->test, nr_used, trial->right.nr_used);
	KUNIT_ASSERT_EQ(trial->test, seen - own, qtest_heap_stats(trial->heap).total);
}

static void compare_all(struct trial *trial)
{
	unsigned int i;

	compare_stats(trial);
	compare_walk(trial);
	qtest_heap_intact(trial->test, trial->heap);
	for (i = 0; i < NR_SLOTS; i++)
		if (trial->slots[i].block)
			expect_contents(trial, &trial->slots[i]);
	for (i = 0; i < trial->nr_grounds; i++)
		qtest_fences(trial->test, trial->grounds[i].memory, trial->grounds[i].size);
}

/* ---- Where it happens ---- */

struct arena {
	const char *name;
	size_t page_size;
	size_t largest;
	size_t sizes[MAX_ARENAS];
	unsigned long rounds;
	size_t caching;
};

static const struct arena arenas[] = {
	{ "64 KiB in pages of 512", 512, 4000, { SZ_64K }, 300000 },
	{ "64 KiB in pages of 64", 64, 4000, { SZ_64K }, 200000 },
	{ "17 KiB in pages of 128", 128, 1000, { 17000 }, 200000 },
	{ "1 MiB in pages of 256", 256, 30000, { SZ_1M }, 80000 },
	{ "eight extents", 256, 3000, { 700, 1500, 3000, 20000, 9999, 600, 40000, 5001 }, 150000 },
	{ "three extents of 64 KiB", 512, 50000, { SZ_64K, SZ_64K, SZ_64K }, 50000 },
	{ "large blocks only", SZ_4K, SZ_256K, { SZ_2M }, 5000 },
	{ "pages of 8 bytes", 8, 200, { SZ_8K, SZ_2K }, 100000 },
	{ "blocks at hand", 512, 6000, { SZ_256K }, 200000, 1000 },
	{ "blocks at hand of two extents", 64, 1000, { SZ_128K, SZ_16K }, 100000, SIZE_MAX },
};

static void arena_desc(const struct arena *arena, char *desc)
{
	strscpy(desc, arena->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(arena, arenas, arena_desc);

static void add_ground(struct trial *trial, size_t size)
{
	struct ground *ground = &trial->grounds[trial->nr_grounds];
	size_t nr = size / GRAIN + 1;

	ground->size = size;
	ground->memory = qtest_fenced_memory(trial->test, size, 64, GRAIN * trial->nr_grounds);
	ground->owner = qtest_memory(trial->test, nr * sizeof(*ground->owner));
	ground->past = qtest_memory(trial->test, nr);
	memset(ground->owner, 0xff, nr * sizeof(*ground->owner));
	memset(ground->past, 0, nr);
	ASSERT_OK(trial->test, quarry_heap_extend(trial->heap, ground->memory, size));
	trial->nr_grounds++;
}

static struct trial *begin(struct kunit *test, const struct arena *arena)
{
	struct trial *trial = qtest_memory(test, sizeof(*trial));
	int i;

	memset(trial, 0, sizeof(*trial));
	trial->test = test;
	trial->largest = arena->largest;
	trial->heap = qtest_memory(test, sizeof(*trial->heap));
	ASSERT_OK(test, quarry_heap_init(trial->heap, test->name, NULL, 0, arena->page_size));
	for (i = 0; i < MAX_ARENAS && arena->sizes[i]; i++)
		add_ground(trial, arena->sizes[i]);
	trial->caching = arena->caching;
	if (trial->caching)
		ASSERT_OK(test, quarry_heap_set_caching(trial->heap, trial->caching));
	trial->right = qtest_heap_stats(trial->heap);
	return trial;
}

static void nobody_has_what_somebody_else_has(struct kunit *test)
{
	const struct arena *arena = test->param_value;
	struct trial *trial = begin(test, arena);
	unsigned long i, rounds = qtest_rounds(test, arena->rounds);

	qtest_seed(test, &trial->rnd);
	for (i = 0; i < rounds; i++) {
		if (i % 1024 == 0) {
			trial->appetite = 2 + qtest_below(&trial->rnd, 7);
			compare_all(trial);
			cond_resched();
		}
		try_something(trial);
	}
	compare_all(trial);
	/* The heap's own links in free memory may cover what tells a block that was. */
	kunit_info(test, "%lu of %lu forgotten", trial->nr_forgotten, trial->nr_past);
	if (!trial->caching)
		KUNIT_EXPECT_LE(test, trial->nr_forgotten, 2 + trial->nr_past / 100);
	for (i = 0; i < NR_SLOTS; i++)
		EXPECT_OK(test, quarry_heap_free(trial->heap, trial->slots[i].block));
	EXPECT_OK(test, quarry_heap_set_caching(trial->heap, 0));
	qtest_heap_all_free(test, trial->heap);
	EXPECT_OK(test, quarry_heap_fini(trial->heap, NULL));
}

static struct kunit_case random_cases[] = {
	KUNIT_CASE_PARAM(nobody_has_what_somebody_else_has, arena_gen_params),
	{}
};

static struct kunit_suite random_suite = {
	.name = "quarry_heap_random",
	.test_cases = random_cases,
};

kunit_test_suite(random_suite);
