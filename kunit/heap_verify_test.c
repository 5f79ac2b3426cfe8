// SPDX-License-Identifier: GPL-2.0
/*
 * Damage on purpose: what verify() must find, and that a heap whose memory was
 * damaged, its map included, neither crashes nor writes outside of its memory.
 */
#include "heap_helpers.h"

static void expect_fault(struct kunit *test, const char *what, u64 expected, u64 found)
{
	struct qtest_heap *space = test->priv;
	struct quarry_fault fault = {};

	EXPECT_ERR(test, quarry_heap_verify(&space->heap, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, what);
	KUNIT_EXPECT_EQ(test, fault.expected, expected);
	KUNIT_EXPECT_EQ(test, fault.found, found);
}

static void verify_of_an_intact_heap_finds_nothing(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_fault fault = { .what = "untouched" };

	EXPECT_OK(test, quarry_heap_verify(&space->heap, NULL));
	EXPECT_OK(test, quarry_heap_verify(&space->heap, &fault));
	space->heap.used++;
	EXPECT_ERR(test, quarry_heap_verify(&space->heap, NULL), -EUCLEAN);
	space->heap.used--;
}

static void verify_names_a_wrong_counter(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;

	qtest_heap_block(test, heap, 10 * HEAP_PAGE);
	heap->used += 8;
	expect_fault(test, "count of bytes in use", 10 * HEAP_PAGE, 10 * HEAP_PAGE + 8);
	heap->used -= 8;
	heap->peak--;
	expect_fault(test, "peak below the bytes in use", 10 * HEAP_PAGE, 10 * HEAP_PAGE - 1);
	heap->peak++;
	heap->total++;
	expect_fault(test, "total of bytes", heap->total - 1, heap->total);
	heap->total--;
}

static void verify_finds_every_wrong_counter(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u32 *const counters[] = {
		&heap->extents[0].nr_free, &heap->nr_empty, &heap->classes[20].nr_used,
	};
	size_t i;

	qtest_heap_block(test, heap, 10 * HEAP_PAGE);
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		++*counters[i];
		KUNIT_EXPECT_EQ_MSG(test, quarry_heap_verify(heap, NULL), -EUCLEAN, "%zu", i);
		--*counters[i];
	}
	heap->bin_bits[0] ^= 4;
	EXPECT_ERR(test, quarry_heap_verify(heap, NULL), -EUCLEAN);
	heap->bin_bits[0] ^= 4;
}

/* Blocks of every kind: in buckets and in runs, beside free ones. */
static void furnish(struct kunit *test, struct quarry_heap *heap)
{
	void *blocks[20];
	int i;

	for (i = 0; i < 20; i++)
		blocks[i] = qtest_heap_block(test, heap, 1 + (i * i * 37) % (3 * HEAP_PAGE));
	for (i = 0; i < 20; i += 3)
		ASSERT_OK(test, quarry_heap_free(heap, blocks[i]));
	ASSERT_OK(test, quarry_heap_free(heap, qtest_heap_block(test, heap, 20 * HEAP_PAGE)));
	qtest_heap_block(test, heap, 12 * HEAP_PAGE);
	qtest_heap_intact(test, heap);
}

/* The bits of a kind that say only what was: which marks a free run's links cover. */
static u8 history_bits(u8 kind)
{
	return (kind & 0xf8) == 0xc0 ? 0x07 : 0;
}

/* What starts or ends at a page, or doesn't, is certain: no bit of it can be lost. */
static void verify_finds_every_flipped_bit_of_every_kind_of_page(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	u8 *kinds = heap->extents[0].kinds;
	int page, bit;

	furnish(test, heap);
	for (page = -1; page <= (int)heap->extents[0].nr_pages; page++)
		for (bit = 0; bit < 8; bit++) {
			bool shows = !(history_bits(kinds[page]) & BIT(bit));

			kinds[page] ^= BIT(bit);
			KUNIT_EXPECT_EQ_MSG(test, quarry_heap_verify(heap, NULL),
					    shows ? -EUCLEAN : 0, "page %d, bit %d, kind %#x",
					    page, bit, kinds[page]);
			kinds[page] ^= BIT(bit);
		}
}

/* A free run's links lie in its first bytes, where anybody may write. */
static void verify_finds_damaged_links(struct kunit *test)
{
	static const u8 bytes[] = { 0, 0xff, 0x6b, 1 };
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	struct quarry_fault fault = {};
	u8 *block[3], old[16];
	size_t i;

	for (i = 0; i < 3; i++)
		block[i] = qtest_heap_block(test, heap, 10 * HEAP_PAGE);
	ASSERT_OK(test, quarry_heap_free(heap, block[1]));
	ASSERT_OK(test, quarry_heap_free(heap, qtest_heap_block(test, heap, 12 * HEAP_PAGE)));
	memcpy(old, block[1], 16);
	for (i = 0; i < ARRAY_SIZE(bytes); i++) {
		memset(block[1], bytes[i], 16);
		if (!memcmp(block[1] + 8, old + 8, 8))
			continue;
		EXPECT_ERR(test, quarry_heap_verify(heap, &fault), -EUCLEAN);
		KUNIT_EXPECT_NOT_NULL(test, fault.what);
	}
	memcpy(block[1], old, 16);
}

/* ---- Out of service ---- */

/* Two free runs, the links of one of which are no links; and what finds it. */
static void *break_it(struct kunit *test, struct qtest_heap *space)
{
	u8 *block = qtest_heap_block(test, &space->heap, 10 * HEAP_PAGE);
	u8 *wall = qtest_heap_block(test, &space->heap, 10 * HEAP_PAGE);

	kunit_info(test, "wants to be warned that this heap is out of service");
	KUNIT_ASSERT_NOT_NULL(test, wall);
	ASSERT_OK(test, quarry_heap_free(&space->heap, block));
	memset(block, 0x6b, HEAP_PAGE);
	quarry_heap_alloc(&space->heap, 10 * HEAP_PAGE);
	return wall;
}

static void a_broken_heap_serves_nothing_more(struct kunit *test)
{
	struct qtest_heap *space = test->priv;
	struct quarry_heap *heap = &space->heap;
	struct quarry_heap_block found;
	void *block, *waited = NULL;

	test->priv = NULL;
	block = break_it(test, space);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 10));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(heap, 3000));
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc_aligned(heap, 3000, SZ_4K));
	KUNIT_EXPECT_NULL(test, quarry_heap_calloc(heap, 3, 100));
	KUNIT_EXPECT_NULL(test, quarry_heap_realloc(heap, block, 11 * HEAP_PAGE));
	EXPECT_ERR(test, quarry_heap_free(heap, block), -EIO);
	EXPECT_ERR(test, quarry_heap_free_deferred(heap, block), -EIO);
	EXPECT_ERR(test, quarry_heap_extend(heap, qtest_memory(test, SZ_4K), SZ_4K), -EIO);
	EXPECT_ERR(test, quarry_heap_shrink(heap, space->memory), -EIO);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 10, 10 * HZ, 0, &waited), -EIO);
	EXPECT_ERR(test, quarry_heap_verify(heap, &(struct quarry_fault) {}), -EUCLEAN);
	quarry_heap_lookup(heap, block, &found);
	KUNIT_EXPECT_TRUE(test, qtest_heap_keeps(block, 10 * HEAP_PAGE));
	qtest_fences(test, space->memory, HEAP_SIZE);
	quarry_heap_destroy(heap, NULL, NULL);
}

/* ---- Any damage ---- */

#define FEW	((size_t)2048)	/* bytes of a heap of 64-byte pages */

/* Looks at everything; what comes of it is open, but for the lines it may not cross. */
static void look_at_everything(struct quarry_heap *heap, u8 *addr)
{
	struct quarry_heap_extent_stats extent;
	struct quarry_heap_block block = {};
	struct quarry_heap_class_stats class;
	struct quarry_heap_stats stats;
	unsigned int i;
	int steps = 100;

	quarry_heap_verify(heap, NULL);
	while (steps-- && !quarry_heap_next(heap, block.addr + block.size, &block))
		;
	for (i = 0; i < 300; i += 24)
		quarry_heap_lookup(heap, addr + i + 5, &block);
	quarry_heap_usable_size(heap, addr);
	quarry_heap_stats(heap, &stats);
	for (i = 0; !quarry_heap_class_stats(heap, i, &class); i += 5)
		;
	quarry_heap_extent_stats(heap, 0, &extent);
}

/* Calls everything; the same holds. */
static void call_everything(struct quarry_heap *heap, u8 *addr)
{
	void *block;

	quarry_heap_alloc(heap, 16);
	block = quarry_heap_alloc(heap, 300);
	quarry_heap_free(heap, addr);
	quarry_heap_alloc_aligned(heap, 100, 256);
	quarry_heap_free_deferred(heap, addr);
	quarry_heap_alloc(heap, 70);
	if (block)
		quarry_heap_realloc(heap, block, 500);
	quarry_heap_free(heap, addr);
	quarry_heap_reap(heap);
	look_at_everything(heap, addr);
}

/* A small heap with a few blocks; the addresses of which it fills in. */
static unsigned int heal(struct kunit *test, struct quarry_heap *heap, u8 *memory, void **blocks)
{
	static const size_t sizes[] = { 16, 24, 100, 400, 64, 200 };
	unsigned int i;

	ASSERT_OK(test, quarry_heap_init(heap, "patient", memory, FEW, 64));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		blocks[i] = quarry_heap_alloc(heap, sizes[i]);
	ASSERT_OK(test, quarry_heap_free(heap, blocks[2]));
	ASSERT_OK(test, quarry_heap_free(heap, blocks[4]));
	return ARRAY_SIZE(sizes);
}

/* Free memory, blocks in use, the map: any byte may have become anything. */
static void damage(struct rnd_state *rnd, u8 *memory)
{
	int hit;

	for (hit = qtest_below(rnd, 4); hit >= 0; hit--)
		memory[qtest_below(rnd, 2) ? qtest_below(rnd, FEW) :
		       FEW - 1 - qtest_below(rnd, FEW / 12)] = prandom_u32_state(rnd);
}

static void after_damage(struct kunit *test, unsigned long rounds,
			 void (*what)(struct quarry_heap *heap, u8 *addr))
{
	struct quarry_heap *heap = qtest_memory(test, sizeof(*heap));
	u8 *memory = qtest_fenced_memory(test, FEW, 64, 0);
	struct rnd_state rnd;
	void *blocks[8];
	unsigned int nr;

	kunit_info(test, "may be warned that a heap is out of service");
	qtest_seed(test, &rnd);
	while (rounds--) {
		nr = heal(test, heap, memory, blocks);
		damage(&rnd, memory);
		what(heap, blocks[qtest_below(&rnd, nr)]);
		qtest_fences(test, memory, FEW);
		quarry_heap_destroy(heap, NULL, NULL);
		qtest_fences(test, memory, FEW);
	}
}

static void verify_and_the_walk_survive_any_damage(struct kunit *test)
{
	after_damage(test, qtest_rounds(test, 20000), look_at_everything);
}

static void no_damage_leads_out_of_the_memory(struct kunit *test)
{
	after_damage(test, qtest_rounds(test, 20000), call_everything);
}

static struct kunit_case verify_cases[] = {
	KUNIT_CASE(verify_of_an_intact_heap_finds_nothing),
	KUNIT_CASE(verify_names_a_wrong_counter),
	KUNIT_CASE(verify_finds_every_wrong_counter),
	KUNIT_CASE(verify_finds_every_flipped_bit_of_every_kind_of_page),
	KUNIT_CASE(verify_finds_damaged_links),
	KUNIT_CASE(a_broken_heap_serves_nothing_more),
	KUNIT_CASE(verify_and_the_walk_survive_any_damage),
	KUNIT_CASE(no_damage_leads_out_of_the_memory),
	{}
};

static struct kunit_suite verify_suite = {
	.name = "quarry_heap_verify",
	.init = qtest_heap_init,
	.exit = qtest_heap_exit,
	.test_cases = verify_cases,
};

kunit_test_suite(verify_suite);
