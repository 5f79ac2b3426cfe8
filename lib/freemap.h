/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_FREEMAP_H
#define QUARRY_FREEMAP_H

#include <linux/limits.h>
#include <linux/types.h>

#include "report.h"

/* log2 of the children of a node, which are the bits of a word. */
#define QUARRY_FREEMAP_SHIFT	(BITS_PER_LONG == 64 ? 6 : 5)
#define QUARRY_FREEMAP_LEVELS	5
#define QUARRY_FREEMAP_NONE	ULONG_MAX	/* No index is that high. */

/* What stands in place of the only member when there is none, or are several. */
#define QUARRY_FREEMAP_EMPTY	ULONG_MAX
#define QUARRY_FREEMAP_MANY	(ULONG_MAX - 1)

/**
 * struct quarry_freemap - a set of indexes, searched in bounded time
 * @only: the only member, if it came first; QUARRY_FREEMAP_EMPTY, or
 *	QUARRY_FREEMAP_MANY if the members are in the words
 * @nr: number of members in the words
 *
 * lib/freemap.c tells how it works.
 */
struct quarry_freemap {
	unsigned long only;
	unsigned long nr;
	/* private: */
	/*
	 * The address that the words of node 0 of each level would have. Only the
	 * nodes from that of @first on exist, so this may be any number, and it is
	 * one, not a pointer.
	 */
	unsigned long base[QUARRY_FREEMAP_LEVELS];
	unsigned long top;
	unsigned long nr_top;
	unsigned long top_stride;
	unsigned long *top_words;
	unsigned long top_node;
	unsigned long first;
	unsigned long last;
	unsigned long pad[2];	/* To a power of two: there are arrays of these. */
};

size_t quarry_freemap_nr_words(unsigned long first, unsigned long last);
void quarry_freemap_init(struct quarry_freemap *map, unsigned long *words,
			 unsigned long first, unsigned long last);
bool quarry_freemap_test(const struct quarry_freemap *map, unsigned long index);
unsigned long quarry_freemap_next(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift);
unsigned long quarry_freemap_prev(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift);
unsigned long quarry_freemap_weight(const struct quarry_freemap *map);
int quarry_freemap_verify(const struct quarry_freemap *map, struct quarry_fault *fault);

void __quarry_freemap_set(struct quarry_freemap *map, unsigned long index);
bool __quarry_freemap_clear(struct quarry_freemap *map, unsigned long index);
unsigned long __quarry_freemap_pop_first(struct quarry_freemap *map);
unsigned long __quarry_freemap_pop_last(struct quarry_freemap *map);

static inline bool quarry_freemap_is_empty(const struct quarry_freemap *map)
{
	return map->only == QUARRY_FREEMAP_EMPTY;
}

static inline bool __quarry_freemap_has_only(const struct quarry_freemap *map)
{
	return map->only < QUARRY_FREEMAP_MANY;
}

/* The number of members. O(1). */
static inline unsigned long quarry_freemap_nr(const struct quarry_freemap *map)
{
	return __quarry_freemap_has_only(map) ? 1 : map->nr;
}

/**
 * quarry_freemap_set() - put an index in
 * @map: the map
 * @index: from first to last, and not in
 *
 * Context: any, under the caller's lock. O(SHIFT * LEVELS^2), mostly O(1).
 */
static inline void quarry_freemap_set(struct quarry_freemap *map, unsigned long index)
{
	if (quarry_freemap_is_empty(map))
		map->only = index;
	else
		__quarry_freemap_set(map, index);
}

/**
 * quarry_freemap_clear() - take an index out
 * @map: the map
 * @index: from first to last
 *
 * Context: any, under the caller's lock. O(SHIFT * LEVELS^2), mostly O(1).
 * Return: true; false, and nothing changed, if it isn't in.
 */
static inline bool quarry_freemap_clear(struct quarry_freemap *map, unsigned long index)
{
	if (map->only != index)
		return __quarry_freemap_clear(map, index);

	map->only = QUARRY_FREEMAP_EMPTY;
	return true;
}

static inline unsigned long __quarry_freemap_pop_only(struct quarry_freemap *map)
{
	unsigned long index = map->only;

	map->only = QUARRY_FREEMAP_EMPTY;
	return index;
}

/**
 * quarry_freemap_pop_first() - take the lowest member out
 * @map: the map
 *
 * Context: any, under the caller's lock. O(TOP_NODES + SHIFT * LEVELS^2).
 * Return: the member, or QUARRY_FREEMAP_NONE if there was none.
 */
static inline unsigned long quarry_freemap_pop_first(struct quarry_freemap *map)
{
	if (__quarry_freemap_has_only(map))
		return __quarry_freemap_pop_only(map);
	return __quarry_freemap_pop_first(map);
}

/**
 * quarry_freemap_pop_last() - take the highest member out
 * @map: the map
 *
 * Context: any, under the caller's lock. O(TOP_NODES + SHIFT * LEVELS^2).
 * Return: the member, or QUARRY_FREEMAP_NONE if there was none.
 */
static inline unsigned long quarry_freemap_pop_last(struct quarry_freemap *map)
{
	if (__quarry_freemap_has_only(map))
		return __quarry_freemap_pop_only(map);
	return __quarry_freemap_pop_last(map);
}

#endif /* QUARRY_FREEMAP_H */
