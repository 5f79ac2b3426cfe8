// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of every kind on an arena and on a map of its quanta, which
 * must answer the same: errors, addresses, and what a walk finds.
 */
#include <linux/log2.h>
#include <linux/string.h>

#include "vmem_helpers.h"

#define MAX_BULK	6

/**
 * struct space - what one random test is about
 * @name: of it
 * @base: the first address of the map
 * @quantum: the quantum
 * @nr: quanta
 * @nr_spans: spans of equal size that they are cut into
 * @nr_tags: tags that there are
 * @rounds: operations
 */
struct space {
	const char *name;
	u64 base;
	u64 quantum;
	u32 nr;
	u32 nr_spans;
	u32 nr_tags;
	unsigned long rounds;
};

static const struct space spaces[] = {
	{ "64 quanta", VBASE, 16, 64, 1, 300, 1000000 },
	{ "4 spans of 30", VBASE + 48, 16, 120, 4, 300, 300000 },
	{ "11 spans of 9 from 0 on", 0, 1, 99, 11, 300, 200000 },
	{ "100 quanta up to the top", -100ULL * SZ_4K, SZ_4K, 100, 2, 300, 200000 },
	{ "huge quanta", 0, BIT_ULL(57), 127, 1, 300, 100000 },
	{ "few tags", VBASE, 16, 64, 2, 24, 200000 },
	{ "2000 quanta", VBASE - 777, 1, 2000, 1, 5000, 30000 },
	{ "20000 quanta", 4095 * 64, 64, 20000, 5, 50000, 3000 },
};

static void space_desc(const struct space *space, char *desc)
{
	strscpy(desc, space->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(space, spaces, space_desc);

/**
 * struct trial - one random test
 * @test: the test
 * @space: what it is about
 * @vmem: the arena
 * @map: what it must be like
 * @rnd: where all decisions come from
 * @appetite: how many of ten decisions between taking and freeing are to take
 */
struct trial {
	struct kunit *test;
	const struct space *space;
	struct quarry_vmem *vmem;
	struct vmap *map;
	struct rnd_state rnd;
	u32 appetite;
};

static u32 below(struct trial *trial, u32 limit)
{
	return qtest_below(&trial->rnd, limit);
}

/* Small ones mostly; any byte count that is rounded up to one of them. */
static u64 random_size(struct trial *trial)
{
	u32 quanta = 1 + below(trial, below(trial, 4) ? 8 : trial->map->nr / 2);

	return quanta * trial->space->quantum -
	       below(trial, min_t(u64, trial->space->quantum, U32_MAX));
}

static unsigned int random_strategy(struct trial *trial)
{
	return BIT(below(trial, 3)) | (below(trial, 2) ? QUARRY_VMEM_NOWAIT : 0);
}

/* Up to 256 quanta, which is more than colours tell. */
static u64 random_power(struct trial *trial)
{
	return trial->space->quantum << below(trial, 9);
}

/* Any address in the map, mostly of a quantum's start. */
static u64 random_addr(struct trial *trial)
{
	u64 addr = vmap_addr(trial->map, below(trial, trial->map->nr));

	if (!below(trial, 16))
		addr += below(trial, min_t(u64, trial->space->quantum, U32_MAX));
	return addr;
}

static struct quarry_vmem_request random_request(struct trial *trial)
{
	struct quarry_vmem_request want = qtest_vmem_want(random_size(trial),
							  random_strategy(trial));

	if (below(trial, 2))
		want.align = random_power(trial);
	if (want.align && below(trial, 2))
		want.phase = (u64)below(trial, 256) * trial->space->quantum & (want.align - 1);
	if (!below(trial, 3))
		want.nocross = random_power(trial);
	if (below(trial, 2))
		want.min = random_addr(trial);
	if (below(trial, 2))
		want.max = max(want.min, random_addr(trial));
	return want;
}

/*
 * Without tags an allocation may be refused whatever is free; then the map keeps
 * what it has.
 */
static bool is_short_of_tags(struct trial *trial, int err)
{
	if (err != -ENOMEM)
		return false;
	KUNIT_ASSERT_LT(trial->test, qtest_vmem_stats(trial->vmem).nr_free_tags,
			(u64)QUARRY_VMEM_TAGS_MAX);
	return true;
}

static void try_alloc(struct trial *trial)
{
	struct quarry_vmem_request want = qtest_vmem_want(random_size(trial),
							  random_strategy(trial));
	u64 addr = 0;
	int err = quarry_vmem_alloc(trial->vmem, want.size, want.flags, &addr);

	if (!is_short_of_tags(trial, err))
		vmap_expect(trial->test, trial->map, &want, QUARRY_VMEM_USED, err, addr);
}

static void try_xalloc(struct trial *trial)
{
	struct quarry_vmem_request want = random_request(trial);
	u64 addr = 0;
	int err = quarry_vmem_xalloc(trial->vmem, &want, &addr);

	if (!is_short_of_tags(trial, err))
		vmap_expect(trial->test, trial->map, &want, QUARRY_VMEM_XUSED, err, addr);
}

static void try_alloc_at(struct trial *trial)
{
	u64 addr = random_addr(trial), size = random_size(trial);
	u32 from = vmap_index(trial->map, addr), quanta = vmap_quanta(trial->map, size);
	int err = quarry_vmem_alloc_at(trial->vmem, addr, size);

	if (is_short_of_tags(trial, err))
		return;
	if (addr & (trial->space->quantum - 1)) {
		KUNIT_ASSERT_EQ(trial->test, err, -EINVAL);
	} else if (vmap_is(trial->map, from, quanta, QUARRY_VMEM_FREE)) {
		ASSERT_OK(trial->test, err);
		vmap_mark(trial->map, from, quanta, QUARRY_VMEM_XUSED);
	} else {
		KUNIT_ASSERT_TRUE(trial->test, err == -EBUSY || err == -EINVAL);
	}
}

/* All at once: what each alone would have got, with best fit; with first fit, any. */
static void try_bulk(struct trial *trial)
{
	struct quarry_vmem_request want = qtest_vmem_want(random_size(trial),
							  below(trial, 2) ? BEST : FIRST);
	u32 i, nr = 1 + below(trial, MAX_BULK);
	u64 addrs[MAX_BULK] = {};
	int err = quarry_vmem_alloc_bulk(trial->vmem, want.size, want.flags, nr, addrs);

	if (err) {
		KUNIT_ASSERT_TRUE(trial->test, err == -ENOSPC || err == -ENOMEM);
		return;
	}
	for (i = 0; i < nr; i++)
		vmap_expect(trial->test, trial->map, &want, QUARRY_VMEM_USED, 0, addrs[i]);
}

/* What a free of this kind must answer; 0 if it is right. */
static int right_free(const struct trial *trial, u64 addr, u64 size, u8 state)
{
	const struct vmap *map = trial->map;
	u32 from = vmap_index(map, addr);

	if (map->state[from] == VMAP_NONE || addr & (trial->space->quantum - 1))
		return -EINVAL;
	if (map->state[from] == QUARRY_VMEM_FREE)
		return -ENOENT;
	if (map->length[from] != vmap_quanta(map, size) || map->state[from] != state)
		return -EINVAL;
	return 0;
}

static void free_either_way(struct trial *trial, u64 addr, u64 size, bool x)
{
	int right = right_free(trial, addr, size, x ? QUARRY_VMEM_XUSED : QUARRY_VMEM_USED);
	int err = x ? quarry_vmem_xfree(trial->vmem, addr, size) :
		      quarry_vmem_free(trial->vmem, addr, size);

	KUNIT_ASSERT_EQ(trial->test, err, right);
	if (!err)
		vmap_clear(trial->map, vmap_index(trial->map, addr), QUARRY_VMEM_FREE);
}

/* Most quanta start no segment in use, so this is refused often, for all reasons. */
static void try_wrong_free(struct trial *trial)
{
	free_either_way(trial, random_addr(trial), random_size(trial), below(trial, 2));
}

/* The start of some segment in use, or of anything if there is none below. */
static u32 random_segment(struct trial *trial)
{
	u32 quantum = below(trial, trial->map->nr);

	while (quantum && !trial->map->length[quantum])
		quantum--;
	return quantum;
}

static void try_free(struct trial *trial)
{
	u32 from = random_segment(trial);
	u64 size = trial->map->length[from] * trial->space->quantum;
	bool x = trial->map->state[from] == QUARRY_VMEM_XUSED;

	free_either_way(trial, vmap_addr(trial->map, from), size, below(trial, 32) ? x : !x);
}

static void try_grow(struct trial *trial)
{
	struct vmap *map = trial->map;
	u32 from = random_segment(trial), old = map->length[from];
	u32 more = below(trial, 2) ? below(trial, 8) : below(trial, map->nr);
	u8 state = map->state[from];
	int err;

	if (!old)
		return;
	err = quarry_vmem_grow(trial->vmem, vmap_addr(map, from), old * trial->space->quantum,
			       (u64)(old + more) * trial->space->quantum);
	if (!more || vmap_is(map, from + old, more, QUARRY_VMEM_FREE)) {
		ASSERT_OK(trial->test, err);
		vmap_mark(map, from, old + more, state);
	} else {
		KUNIT_ASSERT_TRUE(trial->test, err == -ENOSPC || err == -EINVAL);
	}
}

static void try_lookup(struct trial *trial)
{
	struct quarry_vmem_segment segment = {};
	struct vmap *map = trial->map;
	u64 addr = random_addr(trial);
	u32 from = vmap_index(map, addr);
	u8 state = map->state[from];
	int err = quarry_vmem_lookup(trial->vmem, addr, &segment);

	KUNIT_ASSERT_EQ(trial->test, err, state == VMAP_NONE ? -EINVAL : 0);
	if (err)
		return;
	while (from && (state == QUARRY_VMEM_FREE ? map->state[from - 1] == state :
						    !map->length[from]))
		from--;
	KUNIT_ASSERT_EQ(trial->test, (u8)segment.state, state);
	KUNIT_ASSERT_EQ(trial->test, segment.addr, vmap_addr(map, from));
}

/* One span goes if it is free, or comes back. */
static void try_span(struct trial *trial)
{
	u32 quanta = trial->map->nr / trial->space->nr_spans;
	u32 from = below(trial, trial->space->nr_spans) * quanta;
	u64 size = quanta * trial->space->quantum;
	bool comes = trial->map->state[from] == VMAP_NONE;
	int err = comes ? quarry_vmem_add(trial->vmem, vmap_addr(trial->map, from), size) :
			  quarry_vmem_remove(trial->vmem, vmap_addr(trial->map, from), size);

	if (is_short_of_tags(trial, err))
		return;
	if (comes || vmap_is(trial->map, from, quanta, QUARRY_VMEM_FREE)) {
		ASSERT_OK(trial->test, err);
		memset(trial->map->state + from, comes ? QUARRY_VMEM_FREE : VMAP_NONE, quanta);
	} else {
		EXPECT_ERR(trial->test, err, -EBUSY);
	}
}

static void try_something(struct trial *trial)
{
	static void (*const takes[])(struct trial *) = {
		try_alloc, try_alloc, try_xalloc, try_xalloc, try_alloc_at, try_bulk,
	};
	static void (*const others[])(struct trial *) = {
		try_wrong_free, try_grow, try_lookup, try_lookup, try_span,
	};

	if (!below(trial, 4))
		others[below(trial, ARRAY_SIZE(others))](trial);
	else if (below(trial, 10) < trial->appetite)
		takes[below(trial, ARRAY_SIZE(takes))](trial);
	else
		try_free(trial);
}

static void set_up(struct trial *trial)
{
	const struct space *space = trial->space;
	struct qtest_vmem *arena = qtest_vmem(trial->test, 0, 0, space->quantum, space->nr_tags);
	u32 i, quanta = space->nr / space->nr_spans;

	trial->vmem = &arena->vmem;
	trial->map = vmap_create(trial->test, space->base, space->quantum, space->nr);
	for (i = 0; i < space->nr_spans; i++)
		ASSERT_OK(trial->test, quarry_vmem_add(trial->vmem,
						       vmap_addr(trial->map, i * quanta),
						       quanta * space->quantum));
	qtest_seed(trial->test, &trial->rnd);
}

static void free_all(struct trial *trial)
{
	struct vmap *map = trial->map;
	u32 i;

	for (i = 0; i < map->nr; i++)
		if (map->length[i])
			free_either_way(trial, vmap_addr(map, i),
					map->length[i] * trial->space->quantum,
					map->state[i] == QUARRY_VMEM_XUSED);
	vmap_compare(trial->test, map, trial->vmem);
}

static void everything_agrees_with_a_map(struct kunit *test)
{
	struct trial trial = { .test = test, .space = test->param_value };
	unsigned long i, rounds = qtest_rounds(test, trial.space->rounds);

	set_up(&trial);
	for (i = 0; i < rounds; i++) {
		if (i % 256 == 0) {
			trial.appetite = 2 + below(&trial, 7);
			vmap_compare(test, trial.map, trial.vmem);
			cond_resched();
		}
		try_something(&trial);
	}
	vmap_compare(test, trial.map, trial.vmem);
	free_all(&trial);
	EXPECT_OK(test, quarry_vmem_fini(trial.vmem));
}

static struct kunit_case random_cases[] = {
	KUNIT_CASE_PARAM(everything_agrees_with_a_map, space_gen_params),
	{}
};

static struct kunit_suite random_suite = {
	.name = "quarry_vmem_random",
	.test_cases = random_cases,
};

kunit_test_suite(random_suite);
