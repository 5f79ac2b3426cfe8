// SPDX-License-Identifier: GPL-2.0
/*
 * Everything together in one region: what one of them has, none of the others has; what
 * one keeps, the others can have; and in the end the buddy has it all, in one piece.
 */
#include <linux/string.h>

#include "estate.h"
#include "workers.h"

#define MEMORY		((u64)SZ_4M)
#define GRAIN		8
#define NR_GRAINS	(MEMORY / GRAIN)
#define NR_SLOTS	1024
#define NOBODY		0xffff

/**
 * struct slot - a block that somebody has
 * @block: the block; NULL for nothing
 * @size: what was asked for
 * @party: from whom it is
 */
struct slot {
	u8 *block;
	size_t size;
	const struct estate_party *party;
};

/**
 * struct trial - one random test
 * @test: the test
 * @estate: all allocators
 * @rnd: where all decisions come from
 * @owner: the slot that has each grain of the region, or NOBODY
 * @slots: who has what
 * @appetite: how many of ten decisions are to take
 * @nr_taken: blocks that were had of each party
 * @nr_none: requests of each that found no room
 * @nr_live: blocks of each that are in use
 */
struct trial {
	struct kunit *test;
	struct estate *estate;
	struct rnd_state rnd;
	u16 *owner;
	struct slot slots[NR_SLOTS];
	u32 appetite;
	unsigned long nr_taken[ESTATE_NR_PARTIES];
	unsigned long nr_none[ESTATE_NR_PARTIES];
	unsigned long nr_live[ESTATE_NR_PARTIES];
};

static int integration_init(struct kunit *test)
{
	test->priv = qtest_backing(test, MEMORY, MEMORY, PAGE);
	return 0;
}

/* As after the beginning: one piece. */
static void integration_exit(struct kunit *test)
{
	struct qtest_backing *backing = test->priv;
	struct quarry_buddy_stats stats;

	qtest_backing_exit(test);
	if (!backing)
		return;
	qtest_backing_renew(test, backing);
	quarry_buddy_stats(&backing->buddy, &stats);
	KUNIT_EXPECT_EQ(test, stats.largest_free, MEMORY);
}

/* ---- The map of who has what ---- */

static size_t grain_of(const struct trial *trial, const u8 *addr)
{
	return (addr - (u8 *)(unsigned long)trial->estate->backing->region.base) / GRAIN;
}

/* Grains of a block go from one to another. */
static void hand_over(struct trial *trial, const struct slot *slot, u16 from, u16 to)
{
	size_t first = grain_of(trial, slot->block);
	size_t last = grain_of(trial, slot->block + slot->size - 1);
	struct kunit *test = trial->test;
	size_t i;

	KUNIT_ASSERT_LT_MSG(test, last, (size_t)NR_GRAINS, "%s gave what isn't there",
			    slot->party->name);
	for (i = first; i <= last; i++) {
		if (trial->owner[i] == from)
			trial->owner[i] = to;
		else
			KUNIT_FAIL(test, "%s: grain %zu of %zu bytes is %#x's, not %#x's",
				   slot->party->name, i - first, slot->size, trial->owner[i],
				   from);
	}
}

/* ---- Steps ---- */

static unsigned int party_nr(const struct slot *slot)
{
	return slot->party - estate_parties;
}

/* Each doubling is as likely. */
static size_t draw_size(struct rnd_state *rnd, const struct estate_party *party)
{
	size_t top = BIT(qtest_below(rnd, fls_long(party->most)));

	return min(top + qtest_below(rnd, top), party->most);
}

static void enter(struct trial *trial, unsigned int nr, u8 *block, size_t size)
{
	struct slot *slot = &trial->slots[nr];

	slot->block = block;
	slot->size = size;
	hand_over(trial, slot, NOBODY, nr);
	qtest_write(block, size, nr);
}

static void take(struct trial *trial, unsigned int nr)
{
	const struct estate_party *party = &estate_parties[qtest_below(&trial->rnd,
								       ESTATE_NR_PARTIES)];
	struct slot *slot = &trial->slots[nr];
	size_t size = draw_size(&trial->rnd, party);
	u8 *block = party->take(trial->estate, size);

	slot->party = party;
	if (!block) {
		trial->nr_none[party_nr(slot)]++;
		return;
	}
	trial->nr_taken[party_nr(slot)]++;
	trial->nr_live[party_nr(slot)]++;
	enter(trial, nr, block, size);
}

/* Nothing but the start of a block can be freed, and that by who gave it once. */
static void try_wrong(struct trial *trial, const struct slot *slot)
{
	const struct estate_party *other = &estate_parties[qtest_below(&trial->rnd,
								       ESTATE_NR_PARTIES)];
	struct kunit *test = trial->test;
	size_t off = 1 + qtest_below(&trial->rnd, slot->size - 1);

	KUNIT_EXPECT_LT_MSG(test, other->give(trial->estate, slot->block + off, slot->size), 0,
			    "%s of %zu inside a block of %s", other->name, off,
			    slot->party->name);
}

static void leave(struct trial *trial, unsigned int nr)
{
	struct slot *slot = &trial->slots[nr];
	struct kunit *test = trial->test;

	KUNIT_ASSERT_TRUE_MSG(test, qtest_reads(slot->block, slot->size, nr),
			      "a block of %zu bytes of %s", slot->size, slot->party->name);
	if (slot->size > 1 && !qtest_below(&trial->rnd, 64))
		try_wrong(trial, slot);
	hand_over(trial, slot, nr, NOBODY);
	trial->nr_live[party_nr(slot)]--;
	KUNIT_ASSERT_EQ_MSG(test, slot->party->give(trial->estate, slot->block, slot->size), 0,
			    "%zu bytes of %s", slot->size, slot->party->name);
	if (!qtest_below(&trial->rnd, 64))
		KUNIT_EXPECT_LT_MSG(test, slot->party->give(trial->estate, slot->block,
							    slot->size), 0,
				    "%zu bytes of %s, twice", slot->size, slot->party->name);
	slot->block = NULL;
}

static void resize(struct trial *trial, unsigned int nr)
{
	struct slot *slot = &trial->slots[nr];
	size_t size = draw_size(&trial->rnd, slot->party), old = slot->size;
	struct kunit *test = trial->test;
	u8 *block;

	hand_over(trial, slot, nr, NOBODY);
	block = slot->party->resize(trial->estate, slot->block, size);
	if (!block) {
		KUNIT_EXPECT_GT_MSG(test, size, old, "%s", slot->party->name);
		hand_over(trial, slot, NOBODY, nr);
		return;
	}
	KUNIT_ASSERT_TRUE_MSG(test, qtest_reads(block, min(size, old), nr),
			      "%zu to %zu bytes of %s", old, size, slot->party->name);
	enter(trial, nr, block, size);
}

static void give_back_unused(struct trial *trial)
{
	struct estate *estate = trial->estate;

	switch (qtest_below(&trial->rnd, 4)) {
	case 0:
		quarry_backend_reclaim(&estate->backing->backend);
		break;
	case 1:
		quarry_zone_reclaim(&estate->space->zone, qtest_below(&trial->rnd, 50));
		break;
	case 2:
		quarry_cache_shrink(estate->cache);
		break;
	default:
		quarry_qcaches_drain(&estate->qcaches);
		break;
	}
}

static void step(struct trial *trial)
{
	unsigned int nr = qtest_below(&trial->rnd, NR_SLOTS);
	bool more = qtest_below(&trial->rnd, 10) < trial->appetite;
	struct slot *slot = &trial->slots[nr];

	if (!qtest_below(&trial->rnd, 4096))
		give_back_unused(trial);
	if (!slot->block && more)
		take(trial, nr);
	else if (slot->block && slot->party->resize && !qtest_below(&trial->rnd, 3))
		resize(trial, nr);
	else if (slot->block && !more)
		leave(trial, nr);
}

/* ---- What must be so ---- */

/* Blocks in a zone or a heap: those of malloc are there too. */
static u64 count_in(const struct trial *trial, size_t (*usable_size)(struct estate *, void *))
{
	unsigned int i;
	u64 nr = 0;

	for (i = 0; i < NR_SLOTS; i++)
		nr += trial->slots[i].block &&
		      usable_size(trial->estate, trial->slots[i].block);
	return nr;
}

static size_t in_zone(struct estate *estate, void *block)
{
	return quarry_zone_usable_size(&estate->space->zone, block);
}

static size_t in_heap(struct estate *estate, void *block)
{
	return quarry_heap_usable_size(&estate->space->heap, block);
}

/* Who counts what is the same that the slots say. */
static void compare(struct trial *trial)
{
	struct estate *estate = trial->estate;
	struct kunit *test = trial->test;
	struct quarry_cache_stats cache;
	struct quarry_heap_stats heap;
	struct quarry_zone_stats zone;

	quarry_cache_stats(estate->cache, &cache);
	quarry_heap_stats(&estate->space->heap, &heap);
	quarry_zone_stats(&estate->space->zone, &zone);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(estate->slab).nr_used, (u64)trial->nr_live[2]);
	KUNIT_EXPECT_EQ(test, cache.nr_used, (u64)trial->nr_live[3]);
	KUNIT_EXPECT_EQ(test, zone.nr_used, count_in(trial, in_zone));
	KUNIT_EXPECT_EQ(test, heap.nr_used, count_in(trial, in_heap));
	estate_intact(test, estate);
}

/* A third of the time there is more and more, then about as much, then less. */
static void change_appetite(struct trial *trial)
{
	static const u32 appetites[] = { 9, 5, 5, 2 };

	trial->appetite = appetites[qtest_below(&trial->rnd, ARRAY_SIZE(appetites))];
}

static struct trial *new_trial(struct kunit *test)
{
	struct trial *trial = qtest_memory(test, sizeof(*trial));

	memset(trial, 0, sizeof(*trial));
	trial->test = test;
	trial->owner = qtest_memory(test, NR_GRAINS * sizeof(*trial->owner));
	memset(trial->owner, 0xff, NR_GRAINS * sizeof(*trial->owner));
	trial->estate = estate_create(test);
	qtest_seed(test, &trial->rnd);
	return trial;
}

static void tell(const struct trial *trial)
{
	unsigned int i;

	for (i = 0; i < ESTATE_NR_PARTIES; i++)
		kunit_info(trial->test, "%s: %lu blocks, and %lu times none",
			   estate_parties[i].name, trial->nr_taken[i], trial->nr_none[i]);
}

/* ---- Tests ---- */

static void run_trial(struct kunit *test, unsigned long rounds)
{
	struct trial *trial = new_trial(test);
	unsigned long i;
	unsigned int nr;

	for (i = 0; i < rounds; i++) {
		if (i % (rounds / 50) == 0)
			change_appetite(trial);
		if (i % (rounds / 20) == 0)
			compare(trial);
		step(trial);
		if (i % 1024 == 0)
			cond_resched();
	}
	for (nr = 0; nr < NR_SLOTS; nr++)
		if (trial->slots[nr].block)
			leave(trial, nr);
	compare(trial);
	tell(trial);
}

static void all_at_once_have_what_is_theirs(struct kunit *test)
{
	run_trial(test, qtest_rounds(test, 1000000));
}

/* From smaller than a tag of an arena to larger than any slab needs. */
static const u64 page_sizes[] = { 8, 64, 512, SZ_16K, SZ_64K };

static void name_page_size(const u64 *size, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "pages of %llu bytes", *size);
}

KUNIT_ARRAY_PARAM(page_size, page_sizes, name_page_size);

static void pages_of_any_size_serve_all(struct kunit *test)
{
	qtest_backing_close(test, test->priv);
	test->priv = qtest_backing(test, MEMORY, MEMORY, *(const u64 *)test->param_value);
	run_trial(test, qtest_rounds(test, 50000));
}

/* Takes all that one party can have, linked through their first words. */
static void **take_all(struct estate *estate, const struct estate_party *party, size_t size,
		       u64 *total)
{
	void **block, **first = NULL;

	for (*total = 0; (block = party->take(estate, size)); *total += size) {
		*block = first;
		first = block;
	}
	return first;
}

static void give_all(struct kunit *test, struct estate *estate, const struct estate_party *party,
		     size_t size, void **first)
{
	while (first) {
		void **next = *first;

		KUNIT_ASSERT_EQ(test, party->give(estate, first, size), 0);
		first = next;
	}
}

/* Nobody is refused because of what another one keeps and doesn't use. */
static void what_one_had_the_others_can_have(struct kunit *test)
{
	struct estate *estate = estate_create(test);
	unsigned int from, to;
	u64 total;
	void **all;

	for (from = 0; from < ESTATE_NR_PARTIES; from++) {
		for (to = 0; to < ESTATE_NR_PARTIES; to++) {
			const struct estate_party *party = &estate_parties[from];
			size_t size = min_t(size_t, party->most, PAGE);

			all = take_all(estate, party, size, &total);
			give_all(test, estate, party, size, all);
			KUNIT_EXPECT_GT_MSG(test, total, MEMORY * 3 / 4, "%s", party->name);

			party = &estate_parties[to];
			size = min_t(size_t, party->most, PAGE);
			all = take_all(estate, party, size, &total);
			give_all(test, estate, party, size, all);
			KUNIT_EXPECT_GT_MSG(test, total, MEMORY * 3 / 4, "%s after %s",
					    party->name, estate_parties[from].name);
		}
		estate_intact(test, estate);
	}
}

/* ---- In threads and interrupts ---- */

#define NR_HELD	12

/**
 * struct guest - one of many who use an estate at once
 * @estate: the estate
 * @rnd: where its decisions come from
 * @nr: its number, which tells its contents from those of others
 * @held: what it has
 * @nr_wrong: answers and contents that can't be
 */
struct guest {
	struct estate *estate;
	struct rnd_state rnd;
	unsigned int nr;
	struct slot held[NR_HELD];
	unsigned long nr_wrong;
};

static void let_go(struct guest *guest, struct slot *slot)
{
	unsigned int nr = guest->nr + (slot - guest->held);

	if (!qtest_reads(slot->block, slot->size, nr))
		guest->nr_wrong++;
	if (slot->party->give(guest->estate, slot->block, slot->size))
		guest->nr_wrong++;
	slot->block = NULL;
}

static void guest_step(void *arg)
{
	struct guest *guest = arg;
	unsigned int nr = qtest_below(&guest->rnd, NR_HELD);
	struct slot *slot = &guest->held[nr];

	if (slot->block) {
		let_go(guest, slot);
		return;
	}
	slot->party = &estate_parties[qtest_below(&guest->rnd, ESTATE_NR_PARTIES)];
	slot->size = draw_size(&guest->rnd, slot->party);
	slot->block = slot->party->take(guest->estate, slot->size);
	if (slot->block)
		qtest_write(slot->block, slot->size, guest->nr + nr);
}

static void guest_leave(void *arg)
{
	struct guest *guest = arg;
	unsigned int nr;

	for (nr = 0; nr < NR_HELD; nr++)
		if (guest->held[nr].block)
			let_go(guest, &guest->held[nr]);
}

static void many_use_all_at_once(struct kunit *test)
{
	int i, nr = qtest_nr_workers();
	struct estate *estate = estate_create(test);
	struct qtest_worker *workers = kunit_kcalloc(test, nr, sizeof(*workers), GFP_KERNEL);
	struct guest *guests = kunit_kcalloc(test, 2 * nr, sizeof(*guests), GFP_KERNEL);
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, workers);
	KUNIT_ASSERT_NOT_NULL(test, guests);
	qtest_seed(test, &rnd);
	for (i = 0; i < 2 * nr; i++) {
		guests[i].estate = estate;
		guests[i].nr = i * NR_HELD;
		prandom_seed_state(&guests[i].rnd, prandom_u32_state(&rnd));
	}
	for (i = 0; i < nr; i++) {
		workers[i].step = guest_step;
		workers[i].leave = guest_leave;
		workers[i].thread = &guests[2 * i];
		workers[i].interrupt = &guests[2 * i + 1];
	}
	qtest_work(test, workers, nr, qtest_rounds(test, 50000));
	for (i = 0; i < 2 * nr; i++)
		KUNIT_EXPECT_EQ(test, guests[i].nr_wrong, 0UL);
	KUNIT_EXPECT_EQ(test, qtest_malloc_stats(estate->space).nr_misuses, 0ULL);
	estate_intact(test, estate);
}

static struct kunit_case integration_cases[] = {
	KUNIT_CASE_SLOW(all_at_once_have_what_is_theirs),
	KUNIT_CASE_PARAM(pages_of_any_size_serve_all, page_size_gen_params),
	KUNIT_CASE_SLOW(what_one_had_the_others_can_have),
	KUNIT_CASE_SLOW(many_use_all_at_once),
	{}
};

static struct kunit_suite integration_suite = {
	.name = "quarry_integration",
	.init = integration_init,
	.exit = integration_exit,
	.test_cases = integration_cases,
};

kunit_test_suite(integration_suite);
