// SPDX-License-Identifier: GPL-2.0
/*
 * The buddy: of the default instance, and one of numbers that mean nothing.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <quarry/buddy.h>
#include <quarry/default.h>
#include <quarry/report.h>

#include "consumer.h"

static void move_nothing(void *ctx, u64 to, u64 from, u64 size)
{
	plant();
}

static void allocate(struct quarry_buddy *buddy)
{
	struct quarry_buddy_request request = {
		.size = 3 * OWN_PAGE, .align = 8 * OWN_PAGE, .max = U64_MAX,
		.flags = QUARRY_BUDDY_EXACT | QUARRY_BUDDY_TOPDOWN,
	};
	struct quarry_buddy_block block, other, found;

	CHECK(!quarry_buddy_alloc(buddy, 5 * OWN_PAGE, QUARRY_BUDDY_EXACT, &block));
	CHECK(block.size == 5 * OWN_PAGE);
	CHECK(!quarry_buddy_probe(buddy, &request, &other));
	CHECK(!quarry_buddy_xalloc(buddy, &request, &other));
	CHECK(!quarry_buddy_lookup(buddy, block.addr + 100, &found) && found.addr == block.addr);
	CHECK(!quarry_buddy_check(buddy, block.addr, &found) && found.size == block.size);
	CHECK(!quarry_buddy_next(buddy, other.addr, &found) && !found.free);
	CHECK(!quarry_buddy_realloc(buddy, block.addr, 64 * OWN_PAGE, 0, &block));
	CHECK(quarry_buddy_free(buddy, block.addr + OWN_PAGE) == -EINVAL);
	CHECK(!quarry_buddy_free(buddy, block.addr));
	CHECK(quarry_buddy_free(buddy, block.addr) == -ENOENT);
	CHECK(!quarry_buddy_reserve(buddy, block.addr, OWN_PAGE));
	CHECK(!quarry_buddy_free(buddy, block.addr));
	CHECK(!quarry_buddy_free(buddy, other.addr));
	CHECK(quarry_buddy_alloc(buddy, 0, 0, &block) == -EINVAL);
	CHECK(quarry_buddy_alloc(buddy, 1ULL << 62, 0, &block) == -ENOSPC);
}

static void use_own_buddy(void)
{
	static struct quarry_buddy buddy;
	struct quarry_region region;
	size_t size;

	CHECK(!quarry_region_init(&region, 1ULL << 40, 1000 * OWN_PAGE));
	size = quarry_buddy_meta_size(&region, OWN_PAGE);
	CHECK(!quarry_buddy_init(&buddy, "numbers", &region, OWN_PAGE, own_memory(size), size));
	quarry_buddy_set_move(&buddy, move_nothing, NULL);
	allocate(&buddy);
	CHECK(!quarry_buddy_fini(&buddy, NULL));
}

void use_buddy(void)
{
	struct quarry_buddy *buddy = quarry_default_buddy();
	struct quarry_buddy_stats before, after;
	struct quarry_fault fault;
	u64 to[2] = {}, from[2] = { 1, 2 };

	quarry_buddy_stats(buddy, &before);
	allocate(buddy);
	quarry_buddy_stats(buddy, &after);
	CHECK(before.used == after.used);
	CHECK(!quarry_buddy_verify(buddy, &fault));
	quarry_buddy_move_memory(NULL, (unsigned long)to, (unsigned long)from, sizeof(to));
	CHECK(to[1] == 2);
	use_own_buddy();
}
