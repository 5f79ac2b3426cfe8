/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_FREEMAP_H
#define QUARRY_FREEMAP_H

#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/types.h>

#include "report.h"

/* log2 of the children of a node, which are the bits of a word. */
#define QUARRY_FREEMAP_SHIFT	(BITS_PER_LONG == 64 ? 6 : 5)
#define QUARRY_FREEMAP_LEVELS	6
#define QUARRY_FREEMAP_NONE	ULONG_MAX

/**
 * struct quarry_freemap - a set of indexes, searched in bounded time
 *
 * lib/freemap.c tells how it works.
 */
struct quarry_freemap {
	/* private: */
	unsigned long *words;
	unsigned long first;
	unsigned long last;
	unsigned int top;
	/*
	 * Where the words of each level begin, so that node n is at at[level] +
	 * n * words per node. As nodes count from that of index 0 and only those
	 * from @first on exist, this wraps below zero; the sum doesn't.
	 */
	unsigned long at[QUARRY_FREEMAP_LEVELS];
};

size_t quarry_freemap_nr_words(unsigned long first, unsigned long last);
void quarry_freemap_init(struct quarry_freemap *map, unsigned long *words,
			 unsigned long first, unsigned long last);
unsigned long quarry_freemap_first(const struct quarry_freemap *map);
unsigned long quarry_freemap_last(const struct quarry_freemap *map);
unsigned long quarry_freemap_next(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift);
unsigned long quarry_freemap_prev(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift);
unsigned long quarry_freemap_weight(const struct quarry_freemap *map);
int quarry_freemap_verify(const struct quarry_freemap *map, struct quarry_fault *fault);

void __quarry_freemap_raise(struct quarry_freemap *map, unsigned long index);
void __quarry_freemap_lower(struct quarry_freemap *map, unsigned long index);

static inline unsigned long *__quarry_freemap_leaf(const struct quarry_freemap *map,
						   unsigned long index)
{
	return &map->words[map->at[0] + (index >> QUARRY_FREEMAP_SHIFT)];
}

static inline unsigned long __quarry_freemap_bit(unsigned long index)
{
	return 1UL << (index & (BITS_PER_LONG - 1));
}

/* Whether @index, from first to last, is in the set. O(1). */
static inline bool quarry_freemap_test(const struct quarry_freemap *map, unsigned long index)
{
	return *__quarry_freemap_leaf(map, index) & __quarry_freemap_bit(index);
}

/*
 * Put @index in; false, and nothing changed, if it was in. An odd index in a
 * word that isn't empty, the most usual case, changes no summary.
 */
static inline bool quarry_freemap_set(struct quarry_freemap *map, unsigned long index)
{
	unsigned long *leaf = __quarry_freemap_leaf(map, index);
	unsigned long old = *leaf;
	unsigned long bit = __quarry_freemap_bit(index);

	if (unlikely(old & bit))
		return false;

	*leaf = old | bit;
	if (!old || !(index & 1))
		__quarry_freemap_raise(map, index);
	return true;
}

/* Take @index out; false, and nothing changed, if it wasn't in. */
static inline bool quarry_freemap_clear(struct quarry_freemap *map, unsigned long index)
{
	unsigned long *leaf = __quarry_freemap_leaf(map, index);
	unsigned long old = *leaf;
	unsigned long bit = __quarry_freemap_bit(index);

	if (unlikely(!(old & bit)))
		return false;

	*leaf = old & ~bit;
	if (old == bit || !(index & 1))
		__quarry_freemap_lower(map, index);
	return true;
}

#endif /* QUARRY_FREEMAP_H */
