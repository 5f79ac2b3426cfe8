/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_HOLD_H
#define QUARRY_HOLD_H

#include <linux/types.h>

/**
 * struct quarry_hold - blocks of memory that a ctl file has made and not freed
 * @first: the block that came last; NULL if there is none
 * @nr: how many
 *
 * They are linked through their first word, for they are ours: that needs no
 * memory. The caller has a lock.
 */
struct quarry_hold {
	void *first;
	u64 nr;
};

/**
 * quarry_hold_add() - keep a block
 * @hold: where it is kept
 * @block: the block, of a word at least
 *
 * Context: any. O(1).
 */
static inline void quarry_hold_add(struct quarry_hold *hold, void *block)
{
	*(void **)block = hold->first;
	hold->first = block;
	hold->nr++;
}

/**
 * quarry_hold_take() - don't keep a block any longer
 * @hold: where it is kept
 *
 * Context: any. O(1).
 * Return: the block that came last; NULL if there is none.
 */
static inline void *quarry_hold_take(struct quarry_hold *hold)
{
	void *block = hold->first;

	if (block) {
		hold->first = *(void **)block;
		hold->nr--;
	}
	return block;
}

/**
 * quarry_hold_del() - don't keep a certain block any longer
 * @hold: where it may be kept
 * @block: the block
 *
 * Context: any. O(blocks that are kept).
 * Return: whether it was there.
 */
static inline bool quarry_hold_del(struct quarry_hold *hold, const void *block)
{
	void **link = &hold->first;

	while (*link && *link != block)
		link = *link;
	if (!*link)
		return false;
	*link = *(void **)*link;
	hold->nr--;
	return true;
}

#endif /* QUARRY_HOLD_H */
