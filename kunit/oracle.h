/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_ORACLE_H
#define QUARRY_KUNIT_ORACLE_H

#include "helpers.h"

/**
 * struct oracle - a byte map that says what a buddy must do
 * @region: what is managed
 * @page_shift: log2 of the page size
 * @nr_pages: pages managed
 * @used: for each page, 1 while it is in use
 * @block: for each page, the pages of the block in use that starts there, or 0
 * @given: for each page, 1 once a block that starts there was handed out
 * @nr_pieces: aligned powers of two of pages that all was made of at first
 * @used_pages: pages in use
 * @peak_pages: most pages that were in use at once
 * @nr_allocs: blocks handed out
 * @nr_frees: blocks taken back
 * @nr_failures: requests that found no room
 * @nr_misuses: calls that can't be right
 * @stats: the buddy's, while they are compared
 */
struct oracle {
	struct quarry_region region;
	unsigned int page_shift;
	u32 nr_pages;
	u8 *used;
	u32 *block;
	u8 *given;
	u64 nr_pieces;
	u64 used_pages;
	u64 peak_pages;
	u64 nr_allocs;
	u64 nr_frees;
	u64 nr_failures;
	u64 nr_misuses;
	struct quarry_buddy_stats stats;
};

struct oracle *oracle_create(struct kunit *test, const struct quarry_region *region,
			     u64 page_size);
u64 oracle_addr(const struct oracle *oracle, u32 page);
u32 oracle_page(const struct oracle *oracle, u64 addr);
u32 oracle_free_block(const struct oracle *oracle, u32 page);
bool oracle_is_free(const struct oracle *oracle, u32 page, u64 nr);

int oracle_find(const struct oracle *oracle, const struct quarry_buddy_request *request,
		struct quarry_buddy_block *block);

/* These do to the map what the buddy must do, and say what it must answer. */
int oracle_alloc(struct oracle *oracle, const struct quarry_buddy_request *request,
		 struct quarry_buddy_block *block);
int oracle_reserve(struct oracle *oracle, u64 addr, u64 size);
int oracle_free(struct oracle *oracle, u64 addr);
int oracle_realloc(struct oracle *oracle, u64 addr, u64 size, unsigned int flags,
		   struct quarry_buddy_block *block);

void oracle_compare_map(struct kunit *test, const struct oracle *oracle,
			struct quarry_buddy *buddy);
void oracle_compare_stats(struct kunit *test, struct oracle *oracle,
			  struct quarry_buddy *buddy);

#endif /* QUARRY_KUNIT_ORACLE_H */
