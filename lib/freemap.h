/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_FREEMAP_H
#define QUARRY_FREEMAP_H

#include <linux/bitops.h>
#include <linux/limits.h>
#include <linux/types.h>

#include "report.h"

/* log2 of the children of a node, which are the bits of a word. */
#define QUARRY_FREEMAP_SHIFT	(BITS_PER_LONG == 64 ? 6 : 5)
#define QUARRY_FREEMAP_LEVELS	5
#define QUARRY_FREEMAP_NONE	ULONG_MAX	/* No member is that high. */

/**
 * struct quarry_freemap - a set of numbers, searched in bounded time
 * @spare: a member that the words don't hold; QUARRY_FREEMAP_NONE if there is none
 * @nr: number of members that the words hold
 * @shift: all members are multiples of 2^shift; their indexes are without it
 *
 * lib/freemap.c tells how it works.
 */
struct quarry_freemap {
	unsigned long spare;
	unsigned long nr;
	unsigned long shift;
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
	unsigned long pad;	/* To a power of two: there are arrays of these. */
};

size_t quarry_freemap_nr_words(unsigned long first, unsigned long last);
void quarry_freemap_init(struct quarry_freemap *map, unsigned long *words,
			 unsigned long first, unsigned long last, unsigned int shift);
unsigned long quarry_freemap_next(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift);
unsigned long quarry_freemap_prev(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift);
int quarry_freemap_verify(const struct quarry_freemap *map, struct quarry_fault *fault);

extern const unsigned long __quarry_freemap_every[QUARRY_FREEMAP_SHIFT + 1];
void __quarry_freemap_set(struct quarry_freemap *map, unsigned long number);
void __quarry_freemap_lower(const struct quarry_freemap *map, unsigned long index);
unsigned long __quarry_freemap_pop_first(struct quarry_freemap *map);
unsigned long __quarry_freemap_pop_last(struct quarry_freemap *map);

static inline unsigned long *__quarry_freemap_leaf(const struct quarry_freemap *map,
						   unsigned long index)
{
	return (unsigned long *)map->base[0] + (index >> QUARRY_FREEMAP_SHIFT);
}

static inline unsigned long __quarry_freemap_bit(unsigned long index)
{
	return 1UL << (index & (BITS_PER_LONG - 1));
}

/* The highest class of an index that level 1 knows. */
static inline unsigned int __quarry_freemap_class(unsigned long index)
{
	return __ffs(index | BITS_PER_LONG);
}

/* The first words of level 1's node above an index. */
static inline unsigned long *__quarry_freemap_above(const struct quarry_freemap *map,
						    unsigned long index)
{
	return (unsigned long *)map->base[1] +
	       (index >> (2 * QUARRY_FREEMAP_SHIFT)) * (QUARRY_FREEMAP_SHIFT + 1);
}

/*
 * Take an index out of the words. Nothing changes above if its word has another
 * member of its class.
 */
static __always_inline void __quarry_freemap_leave(struct quarry_freemap *map,
						   unsigned long index)
{
	unsigned long *leaf = __quarry_freemap_leaf(map, index);
	unsigned long bit, *words, new = *leaf ^ __quarry_freemap_bit(index);
	unsigned int class;

	map->nr--;
	*leaf = new;
	if (!map->top)
		return;
	class = __quarry_freemap_class(index);
	if (new & __quarry_freemap_every[class])
		return;

	bit = __quarry_freemap_bit(index >> QUARRY_FREEMAP_SHIFT);
	words = __quarry_freemap_above(map, index);
	do {
		words[class] ^= bit;
	} while (class-- && !(new & __quarry_freemap_every[class]));

	if (map->top > 1)
		__quarry_freemap_lower(map, index);
}

/* Whether no number is in. O(1). */
static inline bool quarry_freemap_is_empty(const struct quarry_freemap *map)
{
	return !map->nr && map->spare == QUARRY_FREEMAP_NONE;
}

/* The number of members. O(1). */
static inline unsigned long quarry_freemap_nr(const struct quarry_freemap *map)
{
	return map->nr + (map->spare != QUARRY_FREEMAP_NONE);
}

static inline bool __quarry_freemap_words_have(const struct quarry_freemap *map,
					       unsigned long index)
{
	return *__quarry_freemap_leaf(map, index) & __quarry_freemap_bit(index);
}

/* Whether @number, one that the map is for, is in. O(1). */
static inline bool quarry_freemap_test(const struct quarry_freemap *map, unsigned long number)
{
	return map->spare == number || __quarry_freemap_words_have(map, number >> map->shift);
}

/**
 * quarry_freemap_set() - put a number in
 * @map: the map
 * @number: one that the map is for, and not in
 *
 * Context: any, under the caller's lock. O(SHIFT * LEVELS^2), mostly O(1).
 */
static __always_inline void quarry_freemap_set(struct quarry_freemap *map, unsigned long number)
{
	if (likely(map->spare == QUARRY_FREEMAP_NONE))
		map->spare = number;
	else
		__quarry_freemap_set(map, number);
}

/**
 * quarry_freemap_clear() - take a number out
 * @map: the map
 * @number: one that the map is for
 *
 * Context: any, under the caller's lock. O(SHIFT * LEVELS^2), mostly O(1).
 * Return: true; false, and nothing changed, if it isn't in.
 */
static __always_inline bool quarry_freemap_clear(struct quarry_freemap *map,
						 unsigned long number)
{
	unsigned long index;

	if (map->spare == number) {
		map->spare = QUARRY_FREEMAP_NONE;
		return true;
	}
	index = number >> map->shift;
	if (unlikely(!__quarry_freemap_words_have(map, index)))
		return false;
	__quarry_freemap_leave(map, index);
	return true;
}

static inline unsigned long __quarry_freemap_pop_spare(struct quarry_freemap *map)
{
	unsigned long number = map->spare;

	map->spare = QUARRY_FREEMAP_NONE;
	return number;
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
	return map->nr ? __quarry_freemap_pop_first(map) : __quarry_freemap_pop_spare(map);
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
	return map->nr ? __quarry_freemap_pop_last(map) : __quarry_freemap_pop_spare(map);
}

#endif /* QUARRY_FREEMAP_H */
