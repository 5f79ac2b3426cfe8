// SPDX-License-Identifier: GPL-2.0
/*
 * The oracle keeps a byte for each page and answers by looking at all of them:
 * too slow to be a buddy, and too simple to be wrong.
 *
 * Free memory is kept as the largest aligned powers of two of pages, so which
 * free blocks there are follows from the map alone, and from them which one an
 * allocation has to take.
 */
#include <linux/string.h>

#include "oracle.h"

static bool is_aligned(const struct oracle *oracle, u32 page, u64 nr)
{
	return !(((oracle->region.base >> oracle->page_shift) + page) & (nr - 1));
}

/* How many aligned powers of two a range of pages is made of, at least. */
static u64 count_pieces(const struct oracle *oracle, u32 page, u64 end)
{
	u64 nr, pieces;

	for (pieces = 0; page < end; page += nr, pieces++)
		for (nr = 1; is_aligned(oracle, page, 2 * nr) && page + 2 * nr <= end; nr *= 2)
			;
	return pieces;
}

struct oracle *oracle_create(struct kunit *test, const struct quarry_region *region,
			     u64 page_size)
{
	struct oracle *oracle = kunit_kzalloc(test, sizeof(*oracle), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, oracle);
	oracle->region = *region;
	oracle->page_shift = ilog2(page_size);
	oracle->nr_pages = region->size >> oracle->page_shift;
	oracle->nr_pieces = count_pieces(oracle, 0, oracle->nr_pages);
	oracle->used = kunit_kcalloc(test, oracle->nr_pages, sizeof(*oracle->used), GFP_KERNEL);
	oracle->block = kunit_kcalloc(test, oracle->nr_pages, sizeof(*oracle->block), GFP_KERNEL);
	oracle->given = kunit_kcalloc(test, oracle->nr_pages, sizeof(*oracle->given), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, oracle->used);
	KUNIT_ASSERT_NOT_NULL(test, oracle->block);
	KUNIT_ASSERT_NOT_NULL(test, oracle->given);
	return oracle;
}

u64 oracle_addr(const struct oracle *oracle, u32 page)
{
	return oracle->region.base + ((u64)page << oracle->page_shift);
}

u32 oracle_page(const struct oracle *oracle, u64 addr)
{
	return (addr - oracle->region.base) >> oracle->page_shift;
}

bool oracle_is_free(const struct oracle *oracle, u32 page, u64 nr)
{
	return page + nr <= oracle->nr_pages && !memchr_inv(oracle->used + page, 0, nr);
}

/* The pages of the largest free block that starts at a page; 0 if none does. */
u32 oracle_free_block(const struct oracle *oracle, u32 page)
{
	u64 nr = 1;

	if (!oracle_is_free(oracle, page, 1))
		return 0;
	while (is_aligned(oracle, page, 2 * nr) && oracle_is_free(oracle, page, 2 * nr))
		nr *= 2;
	return nr;
}

static u64 nr_pages_of(const struct oracle *oracle, u64 size)
{
	return ((size - 1) >> oracle->page_shift) + 1;
}

/* The pages that a size takes: all of its power of two, or with EXACT no more. */
static u64 nr_taken(const struct oracle *oracle, u64 size, unsigned int flags)
{
	u64 nr = nr_pages_of(oracle, size);

	return flags & QUARRY_BUDDY_EXACT ? nr : roundup_pow_of_two(nr);
}

static bool is_allowed(const struct oracle *oracle, const struct quarry_buddy_request *request,
		       u32 page, u64 taken)
{
	u64 addr = oracle_addr(oracle, page);
	u64 last = addr + ((taken << oracle->page_shift) - 1);

	if (request->align && addr & (request->align - 1))
		return false;
	return addr >= request->min && last <= request->max;
}

/* The lowest or highest place in one free block that a request allows, or -1. */
static s64 place_in(const struct oracle *oracle, const struct quarry_buddy_request *request,
		    u32 block, u32 nr)
{
	u64 span = roundup_pow_of_two(nr_pages_of(oracle, request->size));
	u64 taken = nr_taken(oracle, request->size, request->flags);
	s64 place = -1;
	u64 page;

	for (page = block; page + span <= block + nr; page += span) {
		if (!is_allowed(oracle, request, page, taken))
			continue;
		place = page;
		if (!(request->flags & QUARRY_BUDDY_TOPDOWN))
			break;
	}
	return place;
}

/* What the map must answer: the smallest free block that can serve, at its end. */
int oracle_find(const struct oracle *oracle, const struct quarry_buddy_request *request,
		struct quarry_buddy_block *block)
{
	u64 taken = nr_taken(oracle, request->size, request->flags);
	u32 page, nr, best_nr = 0;
	s64 place, best = -1;

	for (page = 0; page < oracle->nr_pages; page += nr ?: 1) {
		nr = oracle_free_block(oracle, page);
		if (!nr || (best_nr && nr > best_nr))
			continue;
		place = place_in(oracle, request, page, nr);
		if (place < 0)
			continue;
		if (nr == best_nr && !(request->flags & QUARRY_BUDDY_TOPDOWN))
			continue;
		best = place;
		best_nr = nr;
	}
	if (best < 0)
		return -ENOSPC;

	block->addr = oracle_addr(oracle, best);
	block->size = taken << oracle->page_shift;
	block->free = false;
	return 0;
}

static void take(struct oracle *oracle, u32 page, u32 nr)
{
	memset(oracle->used + page, 1, nr);
	oracle->block[page] = nr;
	oracle->given[page] = 1;
	oracle->used_pages += nr;
	oracle->peak_pages = max(oracle->peak_pages, oracle->used_pages);
}

static void give_back(struct oracle *oracle, u32 page)
{
	u32 nr = oracle->block[page];

	memset(oracle->used + page, 0, nr);
	oracle->block[page] = 0;
	oracle->used_pages -= nr;
}

int oracle_alloc(struct oracle *oracle, const struct quarry_buddy_request *request,
		 struct quarry_buddy_block *block)
{
	int err = oracle_find(oracle, request, block);

	if (err) {
		oracle->nr_failures++;
		return err;
	}
	take(oracle, oracle_page(oracle, block->addr), block->size >> oracle->page_shift);
	oracle->nr_allocs++;
	return 0;
}

/* For ranges that lie inside the region and are aligned. */
int oracle_reserve(struct oracle *oracle, u64 addr, u64 size)
{
	u32 page = oracle_page(oracle, addr);
	u64 nr = nr_pages_of(oracle, size);

	if (!oracle_is_free(oracle, page, nr)) {
		oracle->nr_failures++;
		return -EBUSY;
	}
	take(oracle, page, nr);
	oracle->nr_allocs++;
	return 0;
}

/* Why an address can't be freed, or 0. */
static int free_error(const struct oracle *oracle, u64 addr)
{
	u64 offset = addr - oracle->region.base;
	u32 page = offset >> oracle->page_shift;

	if (offset >= oracle->region.size)
		return -EINVAL;
	if (offset != (u64)page << oracle->page_shift)
		return -EINVAL;
	if (oracle->used[page])
		return oracle->block[page] ? 0 : -EINVAL;
	return oracle->given[page] ? -ENOENT : -EINVAL;
}

int oracle_free(struct oracle *oracle, u64 addr)
{
	int err = free_error(oracle, addr);

	/* As with kfree(), and like it not a misuse. */
	if (!addr && !quarry_region_contains(&oracle->region, 0, 1))
		return 0;
	if (err) {
		oracle->nr_misuses++;
		return err;
	}
	give_back(oracle, oracle_page(oracle, addr));
	oracle->nr_frees++;
	return 0;
}

/* Both blocks are in use while the contents move. */
static void move_to(struct oracle *oracle, u32 page, const struct quarry_buddy_block *block)
{
	take(oracle, oracle_page(oracle, block->addr), block->size >> oracle->page_shift);
	give_back(oracle, page);
	oracle->nr_allocs++;
	oracle->nr_frees++;
}

/* To a place that holds the old block, which is the only one with the alignment. */
static int spread(struct oracle *oracle, u32 page, u64 taken, u64 span,
		  struct quarry_buddy_block *block)
{
	u64 number = (oracle->region.base >> oracle->page_shift) + page;
	u32 old = oracle->block[page];
	u32 before = number & (span - 1);

	if (before > page || before + old > taken)
		return -ENOSPC;
	if (!oracle_is_free(oracle, page - before, before) ||
	    !oracle_is_free(oracle, page + old, taken - before - old))
		return -ENOSPC;

	give_back(oracle, page);
	take(oracle, page - before, taken);
	block->addr = oracle_addr(oracle, page - before);
	block->size = taken << oracle->page_shift;
	return 0;
}

static int grow(struct oracle *oracle, u32 page, const struct quarry_buddy_request *request,
		struct quarry_buddy_block *block)
{
	u64 taken = nr_taken(oracle, request->size, request->flags);
	u64 span = roundup_pow_of_two(taken);

	if (is_aligned(oracle, page, span) && !spread(oracle, page, taken, span, block))
		return 0;
	if (!oracle_find(oracle, request, block)) {
		move_to(oracle, page, block);
		return 0;
	}
	if (!spread(oracle, page, taken, span, block))
		return 0;

	oracle->nr_failures++;
	return -ENOSPC;
}

/* A block is large enough, and loses what it has too much, or it must grow. */
int oracle_realloc(struct oracle *oracle, u64 addr, u64 size, unsigned int flags,
		   struct quarry_buddy_block *block)
{
	struct quarry_buddy_request request = { .size = size, .max = U64_MAX, .flags = flags };
	int err = free_error(oracle, addr);
	u32 page, nr;

	if (err) {
		oracle->nr_misuses++;
		return err;
	}

	page = oracle_page(oracle, addr);
	nr = oracle->block[page];
	block->free = false;
	if (nr_pages_of(oracle, size) > nr)
		return grow(oracle, page, &request, block);

	give_back(oracle, page);
	nr = min_t(u64, nr, nr_taken(oracle, size, flags));
	take(oracle, page, nr);
	block->addr = addr;
	block->size = (u64)nr << oracle->page_shift;
	return 0;
}

/* Walks the buddy, and expects to meet just the blocks that the map has. */
void oracle_compare_map(struct kunit *test, const struct oracle *oracle,
			struct quarry_buddy *buddy)
{
	struct quarry_buddy_block block;
	u32 page, nr;

	for (page = 0; page < oracle->nr_pages; page += nr) {
		nr = oracle->used[page] ? oracle->block[page] : oracle_free_block(oracle, page);
		KUNIT_ASSERT_NE(test, nr, 0U);
		ASSERT_OK(test, quarry_buddy_next(buddy, oracle_addr(oracle, page), &block));
		KUNIT_ASSERT_EQ(test, block.addr, oracle_addr(oracle, page));
		KUNIT_ASSERT_EQ(test, block.size, (u64)nr << oracle->page_shift);
		KUNIT_ASSERT_EQ(test, block.free, !oracle->used[page]);
	}
}

static void compare_free(struct kunit *test, struct oracle *oracle)
{
	u64 free = oracle->region.size - (oracle->used_pages << oracle->page_shift);
	struct quarry_buddy_stats *stats = &oracle->stats;
	unsigned int order;
	u64 largest = 0;
	u32 page, nr;

	for (page = 0; page < oracle->nr_pages; page += nr ?: 1) {
		nr = oracle_free_block(oracle, page);
		if (!nr)
			continue;
		stats->nr_free[ilog2(nr)]--;
		largest = max(largest, (u64)nr << oracle->page_shift);
	}
	for (order = 0; order < QUARRY_BUDDY_NR_ORDERS; order++)
		KUNIT_ASSERT_EQ_MSG(test, stats->nr_free[order], 0ULL,
				    "miscounted free blocks of order %u", order);
	KUNIT_ASSERT_EQ(test, stats->largest_free, largest);
	KUNIT_ASSERT_EQ(test, (u64)stats->fragmentation,
			free ? div64_u64((free - largest) * 1000, free) : 0);
}

/* A split makes one piece more, a merge one less, and nothing else does. */
static void compare_pieces(struct kunit *test, const struct oracle *oracle)
{
	u64 pieces = 0;
	u32 page, nr;

	for (page = 0; page < oracle->nr_pages; page += nr) {
		nr = oracle->block[page] ?: oracle_free_block(oracle, page);
		pieces += count_pieces(oracle, page, page + nr);
	}
	KUNIT_ASSERT_EQ(test, oracle->stats.nr_splits - oracle->stats.nr_merges,
			pieces - oracle->nr_pieces);
}

void oracle_compare_stats(struct kunit *test, struct oracle *oracle,
			  struct quarry_buddy *buddy)
{
	struct quarry_buddy_stats *stats = &oracle->stats;

	quarry_buddy_stats(buddy, stats);
	KUNIT_ASSERT_EQ(test, stats->total, oracle->region.size);
	KUNIT_ASSERT_EQ(test, stats->page_size, 1ULL << oracle->page_shift);
	KUNIT_ASSERT_EQ(test, stats->used, oracle->used_pages << oracle->page_shift);
	KUNIT_ASSERT_EQ(test, stats->peak, oracle->peak_pages << oracle->page_shift);
	KUNIT_ASSERT_EQ(test, stats->nr_allocs, oracle->nr_allocs);
	KUNIT_ASSERT_EQ(test, stats->nr_frees, oracle->nr_frees);
	KUNIT_ASSERT_EQ(test, stats->nr_used, oracle->nr_allocs - oracle->nr_frees);
	KUNIT_ASSERT_EQ(test, stats->nr_failures, oracle->nr_failures);
	KUNIT_ASSERT_EQ(test, stats->nr_misuses, oracle->nr_misuses);
	compare_free(test, oracle);
	compare_pieces(test, oracle);
}
