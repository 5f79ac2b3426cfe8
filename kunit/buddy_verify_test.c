// SPDX-License-Identifier: GPL-2.0
/*
 * Damage on purpose: what verify() must find, and that a buddy whose metadata
 * are damaged neither crashes nor writes outside of them.
 */
#include "helpers.h"

/* The tags, a byte a page and one behind, are at the end of the metadata. */
static u8 *tags_of(struct qtest_space *space)
{
	u64 nr_pages = space->region.size >> space->buddy.page_shift;

	return (u8 *)space->meta + space->meta_size - nr_pages - 1;
}

/*
 * Blocks of every kind of tag: one piece, several, inside of each, free of
 * several orders, and a stale address in each of them.
 */
static void furnish(struct kunit *test, struct qtest_space *space)
{
	static const struct { int page, nr; } stale[] = {
		{ 1, 1 }, { 5, 3 }, { 17, 5 }, { 24, 8 }, { 40, 1 },
	}, blocks[] = {
		{ 0, 4 }, { 5, 6 }, { 16, 1 }, { 17, 1 }, { 20, 12 }, { 63, 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(stale); i++)
		ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(stale[i].page),
						     PAGES(stale[i].nr)));
	for (i = 0; i < ARRAY_SIZE(stale); i++)
		ASSERT_OK(test, quarry_buddy_free(&space->buddy, AT(stale[i].page)));
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		ASSERT_OK(test, quarry_buddy_reserve(&space->buddy, AT(blocks[i].page),
						     PAGES(blocks[i].nr)));
	qtest_intact(test, &space->buddy);
}

/* The one bit of a tag that says only what was: whether it was given out once. */
static u8 history_bit(u8 tag)
{
	if (tag >= 0xc0)
		return 0x20;
	return tag & 0x80 ? 0 : 0x40;
}

static void verify_finds_every_flipped_bit_of_every_tag(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u8 *tags = tags_of(space);
	int page, bit;

	furnish(test, space);
	for (page = 0; page <= NR_PAGES; page++)
		for (bit = 0; bit < 8; bit++) {
			bool shows = page == NR_PAGES || history_bit(tags[page]) != BIT(bit);

			tags[page] ^= BIT(bit);
			KUNIT_EXPECT_EQ_MSG(test, quarry_buddy_verify(&space->buddy, NULL),
					    shows ? -EUCLEAN : 0, "page %d, bit %d, tag %#x",
					    page, bit, tags[page]);
			tags[page] ^= BIT(bit);
		}
}

static void verify_finds_every_flipped_bit_of_the_free_maps(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	size_t bits = (tags_of(space) - (u8 *)space->meta) * 8;
	size_t bit;

	furnish(test, space);
	for (bit = 0; bit < bits; bit++) {
		__change_bit(bit, space->meta);
		KUNIT_EXPECT_EQ_MSG(test, quarry_buddy_verify(&space->buddy, NULL), -EUCLEAN,
				    "bit %zu of %zu", bit, bits);
		__change_bit(bit, space->meta);
	}
}

static void expect_fault(struct kunit *test, const char *what, u64 addr, u64 expected, u64 found)
{
	struct qtest_space *space = test->priv;
	struct quarry_fault fault = {};

	EXPECT_ERR(test, quarry_buddy_verify(&space->buddy, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, what);
	KUNIT_EXPECT_EQ(test, fault.addr, addr);
	KUNIT_EXPECT_EQ(test, fault.expected, expected);
	KUNIT_EXPECT_EQ(test, fault.found, found);
}

static void verify_names_a_wrong_counter(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy *buddy = &space->buddy;

	qtest_alloc(test, space, PAGES(3), 0);
	buddy->used_pages++;
	expect_fault(test, "count of pages in use", 0, 4, 5);
	buddy->used_pages--;
	buddy->nr_allocs++;
	expect_fault(test, "count of blocks in use", 0, 1, 2);
	buddy->nr_allocs--;
	buddy->nr_frees++;
	expect_fault(test, "count of blocks in use", 0, 1, 0);
	buddy->nr_frees--;
	buddy->peak_pages = 3;
	expect_fault(test, "peak below the pages in use", 0, 4, 3);
	buddy->peak_pages = 4;
	buddy->free_orders ^= BIT(1);
	expect_fault(test, "mask of orders with free pieces", 0, 0, 1);
	buddy->free_orders ^= BIT(1) | BIT(2);
	expect_fault(test, "mask of orders with free pieces", 0, 1, 0);
	buddy->free_orders ^= BIT(2);
}

/* Block of 4, then free pieces of 4, 8, 16 and 32 pages. */
static void verify_names_a_wrong_tag(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u8 *tags = tags_of(space);

	qtest_alloc(test, space, PAGES(4), 0);
	KUNIT_EXPECT_EQ(test, tags[0], 0x83);
	KUNIT_EXPECT_EQ(test, tags[4], 0x03);
	tags[2] = 0x01;
	expect_fault(test, "tag inside a piece", PAGES(2), 0, 1);
	tags[2] = 0;
	tags[4] = 0x02;
	expect_fault(test, "free piece not in the free map", PAGES(4), 1, 0);
	tags[4] = 0;
	expect_fault(test, "tag at the start of a block", PAGES(4), 0, 0);
	tags[4] = 0x03;
	tags[0] = 0x82;
	expect_fault(test, "tag at the start of a block", PAGES(2), 0, 0);
	tags[0] = 0x83;
	tags[NR_PAGES] = 0x40;
	expect_fault(test, "tag behind the last page", PAGES(NR_PAGES), 0, 0x40);
	tags[NR_PAGES] = 0;
}

static void verify_finds_buddies_that_should_have_joined(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	u8 *tags = tags_of(space);

	qtest_alloc(test, space, PAGE, 0);
	qtest_alloc(test, space, PAGE, 0);
	/* As if both had been freed by someone who doesn't join. */
	tags[0] = 0x41;
	tags[1] = 0x41;
	quarry_freemap_set(&space->buddy.free[0], 0);
	quarry_freemap_set(&space->buddy.free[0], 1);
	expect_fault(test, "free buddies not joined", 0, 2, 1);
	quarry_freemap_clear(&space->buddy.free[0], 0);
	quarry_freemap_clear(&space->buddy.free[0], 1);
	tags[0] = 0x81;
	tags[1] = 0x81;
}

/* ---- Out of service ---- */

/* A free piece of 32 pages that its free map doesn't know, as the last to be found. */
static void break_it(struct kunit *test, struct qtest_space *space)
{
	struct quarry_buddy_block block;

	kunit_info(test, "wants to be warned that this buddy is out of service");
	qtest_alloc(test, space, PAGES(32), 0);
	KUNIT_ASSERT_TRUE(test, quarry_freemap_clear(&space->buddy.free[5], 32));
	EXPECT_ERR(test, quarry_buddy_alloc(&space->buddy, PAGES(32), 0, &block), -EIO);
}

static void a_broken_buddy_serves_nothing_more(struct kunit *test)
{
	struct quarry_buddy_request request = { .size = PAGE, .max = U64_MAX };
	struct qtest_space *space = test->priv;
	struct quarry_buddy *buddy = &space->buddy;
	struct quarry_buddy_block block;

	test->priv = NULL;
	break_it(test, space);
	qtest_remember(space);
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, PAGE, 0, &block), -EIO);
	EXPECT_ERR(test, quarry_buddy_xalloc(buddy, &request, &block), -EIO);
	EXPECT_ERR(test, quarry_buddy_probe(buddy, &request, &block), -EIO);
	EXPECT_ERR(test, quarry_buddy_reserve(buddy, AT(40), PAGE), -EIO);
	EXPECT_ERR(test, quarry_buddy_free(buddy, AT(0)), -EIO);
	EXPECT_ERR(test, quarry_buddy_realloc(buddy, AT(0), PAGE, 0, &block), -EIO);
	EXPECT_ERR(test, quarry_buddy_verify(buddy, NULL), -EUCLEAN);
	qtest_unchanged(test, space, 0);
}

/* The other half of what is freed, a free piece, is missing from its map. */
static void a_buddy_that_breaks_in_free_serves_nothing_more(struct kunit *test)
{
	struct qtest_space *space = test->priv;
	struct quarry_buddy *buddy = &space->buddy;
	struct quarry_buddy_block block;

	test->priv = NULL;
	kunit_info(test, "wants to be warned that this buddy is out of service");
	qtest_alloc(test, space, PAGE, 0);
	KUNIT_ASSERT_TRUE(test, quarry_freemap_clear(&buddy->free[0], 1));
	quarry_buddy_free(buddy, AT(0));
	EXPECT_ERR(test, quarry_buddy_alloc(buddy, PAGE, 0, &block), -EIO);
	EXPECT_ERR(test, quarry_buddy_verify(buddy, NULL), -EUCLEAN);
}

/* ---- Any damage ---- */

/* Calls everything; what comes of it is open, but for the lines it may not cross. */
static void call_everything(struct quarry_buddy *buddy, u64 addr)
{
	struct quarry_buddy_request request = {
		.size = PAGES(2), .align = PAGES(4), .min = addr, .max = U64_MAX,
	};
	struct quarry_buddy_block block;

	quarry_buddy_verify(buddy, NULL);
	quarry_buddy_next(buddy, addr, &block);
	quarry_buddy_lookup(buddy, addr + PAGE - 1, &block);
	quarry_buddy_probe(buddy, &request, &block);
	quarry_buddy_realloc(buddy, addr, PAGES(3), QUARRY_BUDDY_EXACT, &block);
	quarry_buddy_free(buddy, addr);
	quarry_buddy_reserve(buddy, addr, PAGES(2));
	quarry_buddy_alloc(buddy, PAGE, 0, &block);
	quarry_buddy_xalloc(buddy, &request, &block);
	quarry_buddy_free(buddy, addr);
}

#define FEW		16	/* pages */
#define FENCE		64
#define FENCE_BYTE	0xa5

/* A buddy of FEW pages in memory with a fence on either side of the metadata. */
struct patient {
	struct quarry_buddy buddy;
	struct quarry_region region;
	size_t meta_size;
	u8 *memory;
};

static void heal(struct kunit *test, struct patient *patient)
{
	struct quarry_buddy *buddy = &patient->buddy;
	struct quarry_buddy_block block;

	ASSERT_OK(test, quarry_buddy_init(buddy, "patient", &patient->region, PAGE,
					  patient->memory + FENCE, patient->meta_size));
	ASSERT_OK(test, quarry_buddy_reserve(buddy, AT(1), PAGES(6)));
	ASSERT_OK(test, quarry_buddy_alloc(buddy, PAGES(2), 0, &block));
}

/* Nothing was written beyond the metadata, and who is out of service has nothing to give. */
static void expect_bounds(struct kunit *test, const struct patient *patient)
{
	const u8 *behind = patient->memory + FENCE + patient->meta_size;

	if (patient->buddy.broken)
		KUNIT_ASSERT_EQ(test, patient->buddy.free_orders, 0UL);
	KUNIT_ASSERT_PTR_EQ(test, memchr_inv(patient->memory, FENCE_BYTE, FENCE), NULL);
	KUNIT_ASSERT_PTR_EQ(test, memchr_inv(behind, FENCE_BYTE, FENCE), NULL);
}

static struct patient *admit(struct kunit *test)
{
	struct patient *patient = qtest_memory(test, sizeof(*patient));

	patient->region = (struct quarry_region) { BASE, PAGES(FEW) };
	patient->meta_size = quarry_buddy_meta_size(&patient->region, PAGE);
	patient->memory = qtest_memory(test, patient->meta_size + 2 * FENCE);
	kunit_info(test, "may be warned that a buddy is out of service");
	return patient;
}

/* Every value in every tag, and everything called near it. */
static void no_damaged_tag_leads_out_of_the_metadata(struct kunit *test)
{
	struct patient *patient = admit(test);
	unsigned int value, page, near;
	u8 *tags = patient->memory + FENCE + patient->meta_size - FEW - 1;

	for (value = 0; value < 256; value++)
		for (page = 0; page <= FEW; page++)
			for (near = 0; near < FEW; near += 1 + (near ^ page) % 3) {
				heal(test, patient);
				tags[page] = value;
				call_everything(&patient->buddy, AT(near));
				expect_bounds(test, patient);
			}
}

static void no_damaged_free_map_leads_out_of_the_metadata(struct kunit *test)
{
	struct patient *patient = admit(test);
	size_t bits = (patient->meta_size - FEW - 1) * 8;
	unsigned int bit, page;

	for (bit = 0; bit < bits; bit++)
		for (page = 0; page < FEW; page += 3) {
			heal(test, patient);
			__change_bit(bit, (unsigned long *)(patient->memory + FENCE));
			call_everything(&patient->buddy, AT(page));
			expect_bounds(test, patient);
		}
}

/* Many damages at once, of the whole metadata. */
static void no_random_damage_leads_out_of_the_metadata(struct kunit *test)
{
	struct patient *patient = admit(test);
	unsigned long i, rounds = qtest_rounds(test, 50000);
	struct rnd_state rnd;
	int hit;

	qtest_seed(test, &rnd);
	for (i = 0; i < rounds; i++) {
		heal(test, patient);
		for (hit = qtest_below(&rnd, 8); hit >= 0; hit--)
			patient->memory[FENCE + qtest_below(&rnd, patient->meta_size)] =
				prandom_u32_state(&rnd);
		call_everything(&patient->buddy, AT(qtest_below(&rnd, FEW)));
		expect_bounds(test, patient);
	}
}

static struct kunit_case verify_cases[] = {
	KUNIT_CASE(verify_finds_every_flipped_bit_of_every_tag),
	KUNIT_CASE(verify_finds_every_flipped_bit_of_the_free_maps),
	KUNIT_CASE(verify_names_a_wrong_counter),
	KUNIT_CASE(verify_names_a_wrong_tag),
	KUNIT_CASE(verify_finds_buddies_that_should_have_joined),
	KUNIT_CASE(a_broken_buddy_serves_nothing_more),
	KUNIT_CASE(a_buddy_that_breaks_in_free_serves_nothing_more),
	KUNIT_CASE(no_damaged_tag_leads_out_of_the_metadata),
	KUNIT_CASE(no_damaged_free_map_leads_out_of_the_metadata),
	KUNIT_CASE(no_random_damage_leads_out_of_the_metadata),
	{}
};

static struct kunit_suite verify_suite = {
	.name = "quarry_buddy_verify",
	.init = qtest_space_init,
	.exit = qtest_space_exit,
	.test_cases = verify_cases,
};

kunit_test_suite(verify_suite);
