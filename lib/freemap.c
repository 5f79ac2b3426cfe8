// SPDX-License-Identifier: GPL-2.0
/*
 * Free maps: sets of numbers in which the lowest or highest member, and the
 * next or previous one with a given alignment, is found in bounded time.
 *
 * 1. Terms. All members are multiples of 2^shift; what is left of one without
 *    these bits is its index. An index's alignment is the number of its low zero
 *    bits. Class c are the members whose indexes are multiples of 2^c: class 0
 *    is all of them, and each class holds the next. W is the bits in a word, w
 *    its log2.
 *
 * 2. Structure. A trie of fan-out W. On level 0 a node is one word, a bit an
 *    index. A node of level l stands for W^(l+1) indexes and holds one word for
 *    each class from 0 to w*l; bit j of word c says whether its child j has a
 *    member of class c:
 *
 *      level 1   [ class 0 | class 1 | ... | class 6 ]   a bit per word below
 *                     |
 *      level 0   [ 0..63 ] [ 64..127 ] [ 128..191 ] ...  a bit per index
 *
 *    No more classes are needed: below one bit of level l lie W^l indexes, so
 *    of a class above w*l at most the first of them is a member, and whether it
 *    may be one is seen from its place. Inside a level-0 word, and wherever a
 *    class is above those kept, a constant mask picks the multiples.
 *
 *    Levels end where at most TOP_NODES nodes are left; those are looked at one
 *    by one. All levels lie one after another in words that the caller gives:
 *    1 bit an index for level 0, 7/64 for level 1, 13/4096 for level 2. Only
 *    the nodes that hold an index from first to last exist.
 *
 *    One member, the spare, may be kept beside the words: what comes while there
 *    is none becomes it, and a search compares it with what it finds. So a map
 *    with one member has no use for its words, and such maps are what a chain of
 *    splits or joins passes through; and what comes and goes again at once
 *    doesn't touch the words.
 *
 * 3. Bounds. A search goes up and down once: 2 * LEVELS words, and the top's. A
 *    change costs, at level l, at most w*l + 2 words; it stops at the first
 *    level where nothing changes, which for an odd index in a word that has
 *    others is at once. Nothing depends on the number of members.
 *
 * 4. Locking is the caller's. There is nothing to fail; a summary that promises
 *    a member that isn't there ends a search as if nothing had been found, and
 *    quarry_freemap_verify() tells.
 *
 * The summary bitmaps are those of every priority search by find-first-set, as
 * in van Emde Boas' trees with a fixed fan-out; the classes are ours.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "freemap.h"

#define SHIFT		QUARRY_FREEMAP_SHIFT
#define LEVELS		QUARRY_FREEMAP_LEVELS
#define NONE		QUARRY_FREEMAP_NONE
#define TOP_NODES	16

static_assert(BIT(SHIFT) == BITS_PER_LONG);
static_assert(sizeof(struct quarry_freemap) == 16 * sizeof(long));

/* The highest class that nodes of a level keep. */
static inline unsigned int max_class(unsigned int level)
{
	return SHIFT * level;
}

static inline unsigned int words_per_node(unsigned int level)
{
	return max_class(level) + 1;
}

/* The node of a level under which an index lies. */
static inline unsigned long node_of(unsigned long index, unsigned int level)
{
	return index >> (SHIFT * (level + 1));
}

static inline unsigned long nr_nodes(unsigned long first, unsigned long last, unsigned int level)
{
	return node_of(last, level) - node_of(first, level) + 1;
}

static inline unsigned long *node_words(const struct quarry_freemap *map, unsigned int level,
					unsigned long node)
{
	return (unsigned long *)map->base[level] + node * words_per_node(level);
}

/* Every bit of a word, every 2nd, 4th, ..., the first. */
const unsigned long __quarry_freemap_every[] = {
	~0UL, ~0UL / 0x3, ~0UL / 0xf, ~0UL / 0xff, ~0UL / 0xffff,
#if BITS_PER_LONG == 64
	~0UL / 0xffffffff,
#endif
	1,
};
EXPORT_SYMBOL_GPL(__quarry_freemap_every);

/* The bits of a node whose places are multiples of 2^align_shift. */
static unsigned long multiples(unsigned long node, unsigned int align_shift)
{
	if (align_shift < SHIFT)
		return __quarry_freemap_every[align_shift];
	return !(node & (BIT(align_shift - SHIFT) - 1));
}

/* The children of a node that have a member of a class; members, on level 0. */
static inline unsigned long children(const struct quarry_freemap *map, unsigned int level,
				     unsigned long node, unsigned int class)
{
	const unsigned long *words = node_words(map, level, node);

	if (class <= max_class(level))
		return words[class];
	return words[max_class(level)] & multiples(node, class - max_class(level));
}

static unsigned int top_level(unsigned long first, unsigned long last)
{
	unsigned int level = 0;

	while (nr_nodes(first, last, level) > TOP_NODES)
		level++;
	return level;
}

/**
 * quarry_freemap_nr_words() - memory that a map takes
 * @first: lowest index
 * @last: highest index
 *
 * Context: any. O(LEVELS).
 * Return: words.
 */
size_t quarry_freemap_nr_words(unsigned long first, unsigned long last)
{
	unsigned int top = top_level(first, last);
	unsigned int level;
	size_t nr = 0;

	for (level = 0; level <= top; level++)
		nr += nr_nodes(first, last, level) * words_per_node(level);
	return nr;
}
EXPORT_SYMBOL_GPL(quarry_freemap_nr_words);

/**
 * quarry_freemap_init() - make an empty map
 * @map: the map
 * @words: memory for it, as many words as quarry_freemap_nr_words() says
 * @first: lowest index that may be in
 * @last: highest, at most 2^35
 * @shift: what numbers have more than their indexes: the map is for the multiples
 *	of 2^shift from first << shift to last << shift
 *
 * Context: any. O(indexes / W), for clearing the words.
 */
void quarry_freemap_init(struct quarry_freemap *map, unsigned long *words,
			 unsigned long first, unsigned long last, unsigned int shift)
{
	unsigned int level;

	*map = (struct quarry_freemap) {
		.first = first,
		.last = last,
		.spare = NONE,
		.shift = shift,
		.top = top_level(first, last),
	};
	map->top_node = node_of(first, map->top);
	map->nr_top = nr_nodes(first, last, map->top);
	map->top_stride = words_per_node(map->top);
	memset(words, 0, quarry_freemap_nr_words(first, last) * sizeof(*words));

	for (level = 0; level <= map->top; level++) {
		map->base[level] = (unsigned long)words -
			node_of(first, level) * words_per_node(level) * sizeof(*words);
		map->top_words = words;
		words += nr_nodes(first, last, level) * words_per_node(level);
	}
}
EXPORT_SYMBOL_GPL(quarry_freemap_init);

static unsigned int align_of(unsigned long index)
{
	return index ? __ffs(index) : BITS_PER_LONG - 1;
}

/* Tell the levels above the first that a member came which is new to that one. */
static noinline void raise(const struct quarry_freemap *map, unsigned long index)
{
	unsigned int align = align_of(index);
	unsigned long place = index >> SHIFT;
	unsigned int level;

	for (level = 2; level <= map->top; level++) {
		unsigned int class = min(align, max_class(level));
		unsigned long bit, *words;

		place >>= SHIFT;
		bit = __quarry_freemap_bit(place);
		words = node_words(map, level, place >> SHIFT);
		if (words[class] & bit)
			return;
		do {
			words[class] |= bit;
		} while (class-- && !(words[class] & bit));
	}
}

/*
 * Put an index in the words. Nothing changes above if its word has a member of
 * its class already.
 */
static __always_inline void enter(struct quarry_freemap *map, unsigned long index)
{
	unsigned long *leaf = __quarry_freemap_leaf(map, index);
	unsigned long bit, *words, old = *leaf;
	unsigned int class;

	map->nr++;
	*leaf = old | __quarry_freemap_bit(index);
	if (!map->top)
		return;
	class = __quarry_freemap_class(index);
	if (old & __quarry_freemap_every[class])
		return;

	bit = __quarry_freemap_bit(index >> SHIFT);
	words = __quarry_freemap_above(map, index);
	do {
		words[class] |= bit;
	} while (class-- && !(words[class] & bit));

	if (map->top > 1)
		raise(map, index);
}

/*
 * quarry_freemap_set() while there is a spare. The lower of the two is kept as
 * the spare, as it will be wanted sooner.
 */
void __quarry_freemap_set(struct quarry_freemap *map, unsigned long number)
{
	if (number < map->spare)
		swap(number, map->spare);
	enter(map, number >> map->shift);
}
EXPORT_SYMBOL_GPL(__quarry_freemap_set);

/* Tell the levels above the first that a member went which that one has lost. */
void __quarry_freemap_lower(const struct quarry_freemap *map, unsigned long index)
{
	unsigned int align = align_of(index);
	unsigned long place = index >> SHIFT;
	unsigned int level;

	for (level = 2; level <= map->top; level++) {
		unsigned int class = min(align, max_class(level));
		unsigned long bit, *words;

		place >>= SHIFT;
		if (children(map, level - 1, place, class))
			return;
		bit = __quarry_freemap_bit(place);
		words = node_words(map, level, place >> SHIFT);
		do {
			words[class] &= ~bit;
		} while (class-- && !children(map, level - 1, place, class));
	}
}
EXPORT_SYMBOL_GPL(__quarry_freemap_lower);

static __always_inline unsigned long end_bit(unsigned long word, bool highest)
{
	return highest ? __fls(word) : __ffs(word);
}

/*
 * The lowest or highest member of a class below a place, which has one. Every
 * search ends with level 0, where a node is one word; that step is written out.
 */
static __always_inline unsigned long descend(const struct quarry_freemap *map,
					     unsigned int level, unsigned long place,
					     unsigned int class, bool highest)
{
	unsigned long found;

	if (!level)
		return place;
	while (--level) {
		found = children(map, level, place, class);
		if (unlikely(!found))
			return NONE;
		place = place << SHIFT | end_bit(found, highest);
	}
	found = children(map, 0, place, class);
	return likely(found) ? place << SHIFT | end_bit(found, highest) : NONE;
}

/* Whether a search found an index of the map; damaged words may have misled it. */
static inline bool is_index(const struct quarry_freemap *map, unsigned long index)
{
	return index - map->first <= map->last - map->first;
}

static inline unsigned long number_of(const struct quarry_freemap *map, unsigned long index)
{
	return is_index(map, index) ? index << map->shift : NONE;
}

/* The index of the lowest member in the words, or NONE. */
static __always_inline unsigned long find_lowest(const struct quarry_freemap *map)
{
	const unsigned long *word = map->top_words;
	unsigned long place = map->top_node << SHIFT;
	unsigned long left = map->nr_top;

	while (!*word) {
		if (!--left)
			return NONE;
		word += map->top_stride;
		place += BITS_PER_LONG;
	}
	return descend(map, map->top, place + __ffs(*word), 0, false);
}

static __always_inline unsigned long find_highest(const struct quarry_freemap *map)
{
	const unsigned long *word = map->top_words + map->nr_top * map->top_stride;
	unsigned long place = (map->top_node + map->nr_top) << SHIFT;
	unsigned long left = map->nr_top;

	do {
		if (!left--)
			return NONE;
		word -= map->top_stride;
		place -= BITS_PER_LONG;
	} while (!*word);
	return descend(map, map->top, place + __fls(*word), 0, true);
}

/* quarry_freemap_pop_first() of a map that has members in the words. */
unsigned long __quarry_freemap_pop_first(struct quarry_freemap *map)
{
	unsigned long index = find_lowest(map);
	unsigned long number = index << map->shift;

	if (unlikely(!is_index(map, index)) || map->spare < number)
		return __quarry_freemap_pop_spare(map);
	__quarry_freemap_leave(map, index);
	return number;
}
EXPORT_SYMBOL_GPL(__quarry_freemap_pop_first);

/* quarry_freemap_pop_last() of a map that has members in the words. */
unsigned long __quarry_freemap_pop_last(struct quarry_freemap *map)
{
	unsigned long index = find_highest(map);
	unsigned long number = index << map->shift;

	/* One up, so that NONE is the lowest of all. */
	if (unlikely(!is_index(map, index)) || map->spare + 1 > number + 1)
		return __quarry_freemap_pop_spare(map);
	__quarry_freemap_leave(map, index);
	return number;
}
EXPORT_SYMBOL_GPL(__quarry_freemap_pop_last);

static bool is_aligned(unsigned long number, unsigned int align_shift)
{
	return !(number & (BIT(align_shift) - 1));
}

/* The class of the members that are multiples of 2^align_shift. */
static unsigned int class_for(const struct quarry_freemap *map, unsigned int align_shift)
{
	return align_shift > map->shift ? align_shift - map->shift : 0;
}

/*
 * Looks at the node that holds @from, then, a level up, at those behind that
 * one, and so on, until something is found to go down to.
 */
static unsigned long next_in_words(const struct quarry_freemap *map, unsigned long from,
				   unsigned int class)
{
	unsigned long place = max(from, map->first);
	unsigned int level = 0;

	while (place <= map->last >> (SHIFT * level)) {
		unsigned long node = place >> SHIFT;
		unsigned long found = children(map, level, node, class);

		found &= ~0UL << (place & (BITS_PER_LONG - 1));
		if (found)
			return descend(map, level, node << SHIFT | __ffs(found), class, false);

		place = node + 1;
		if (level == map->top)
			place <<= SHIFT;
		else
			level++;
	}
	return NONE;
}

/* next_in_words() in the mirror. */
static unsigned long prev_in_words(const struct quarry_freemap *map, unsigned long from,
				   unsigned int class)
{
	unsigned long place = min(from, map->last);
	unsigned int level = 0;

	while (place >= map->first >> (SHIFT * level)) {
		unsigned long node = place >> SHIFT;
		unsigned long found = children(map, level, node, class);

		found &= ~0UL >> (BITS_PER_LONG - 1 - (place & (BITS_PER_LONG - 1)));
		if (found)
			return descend(map, level, node << SHIFT | __fls(found), class, true);

		if (!node)
			break;
		place = node - 1;
		if (level == map->top)
			place = place << SHIFT | (BITS_PER_LONG - 1);
		else
			level++;
	}
	return NONE;
}

/**
 * quarry_freemap_next() - the lowest member from a number on
 * @map: the map
 * @from: any multiple of 2^shift
 * @align_shift: the member is a multiple of 2^align_shift
 *
 * Context: any, under the caller's lock. O(TOP_NODES + LEVELS).
 * Return: the member, or QUARRY_FREEMAP_NONE.
 */
unsigned long quarry_freemap_next(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift)
{
	unsigned long index = next_in_words(map, from >> map->shift, class_for(map, align_shift));
	unsigned long number = number_of(map, index);

	if (map->spare >= from && is_aligned(map->spare, align_shift))
		return min(map->spare, number);
	return number;
}
EXPORT_SYMBOL_GPL(quarry_freemap_next);

/**
 * quarry_freemap_prev() - the highest member up to a number
 * @map: the map
 * @from: any number
 * @align_shift: the member is a multiple of 2^align_shift
 *
 * Context: any, under the caller's lock. O(TOP_NODES + LEVELS).
 * Return: the member, or QUARRY_FREEMAP_NONE.
 */
unsigned long quarry_freemap_prev(const struct quarry_freemap *map, unsigned long from,
				  unsigned int align_shift)
{
	unsigned long index = prev_in_words(map, from >> map->shift, class_for(map, align_shift));
	unsigned long number = number_of(map, index);

	if (map->spare == NONE || map->spare > from || !is_aligned(map->spare, align_shift))
		return number;
	return number == NONE ? map->spare : max(map->spare, number);
}
EXPORT_SYMBOL_GPL(quarry_freemap_prev);

/* The number of members in the words, counted. */
static unsigned long weight_of_words(const struct quarry_freemap *map)
{
	unsigned long node, weight = 0;

	for (node = node_of(map->first, 0); node <= node_of(map->last, 0); node++)
		weight += hweight_long(*node_words(map, 0, node));
	return weight;
}

static bool child_exists(const struct quarry_freemap *map, unsigned int level, unsigned long place)
{
	unsigned int shift = SHIFT * level;

	return place >= map->first >> shift && place <= map->last >> shift;
}

/* What a node's word for a class has to be, from the level below. */
static unsigned long expected_word(const struct quarry_freemap *map, unsigned int level,
				   unsigned long node, unsigned int class)
{
	unsigned long place = node << SHIFT;
	unsigned long word = 0;
	unsigned int bit;

	for (bit = 0; bit < BITS_PER_LONG; bit++, place++) {
		if (!child_exists(map, level, place))
			continue;
		if (level == 0 || children(map, level - 1, place, class))
			word |= BIT(bit);
	}
	return word;
}

static int fault_at(const struct quarry_freemap *map, struct quarry_fault *fault,
		    const char *what, unsigned long index, unsigned long expected,
		    unsigned long found)
{
	*fault = (struct quarry_fault) {
		.what = what,
		.addr = (u64)index << map->shift,
		.expected = expected,
		.found = found,
	};
	return -EUCLEAN;
}

static int verify_node(const struct quarry_freemap *map, unsigned int level, unsigned long node,
		       struct quarry_fault *fault)
{
	const unsigned long *words = node_words(map, level, node);
	unsigned long index = node << (SHIFT * (level + 1));
	unsigned int class;

	for (class = 0; class <= max_class(level); class++) {
		unsigned long expected = expected_word(map, level, node, class);

		/* On level 0 any member may be in; only places outside may not. */
		if (level == 0)
			expected &= words[class];
		if (words[class] != expected)
			return fault_at(map, fault,
					level ? "free map's summary" : "free map's edge",
					index, expected, words[class]);
	}
	return 0;
}

/* The spare is a number that the map is for, and not in the words as well. */
static bool may_be_spare(const struct quarry_freemap *map, unsigned long number)
{
	unsigned long index = number >> map->shift;

	return is_aligned(number, map->shift) && child_exists(map, 0, index) &&
	       !__quarry_freemap_words_have(map, index);
}

/**
 * quarry_freemap_verify() - recompute every summary
 * @map: the map
 * @fault: filled in with the first that is wrong; its addr is the lowest number
 *	below the node
 *
 * Context: any, under the caller's lock. O(indexes).
 * Return: 0; -EUCLEAN if something is wrong.
 */
int quarry_freemap_verify(const struct quarry_freemap *map, struct quarry_fault *fault)
{
	unsigned long weight = weight_of_words(map);
	unsigned int level;
	unsigned long node;
	int err;

	if (map->nr != weight)
		return fault_at(map, fault, "free map's count", map->first, weight, map->nr);
	if (map->spare != NONE && !may_be_spare(map, map->spare))
		return fault_at(map, fault, "free map's spare", map->first, NONE, map->spare);

	for (level = 0; level <= map->top; level++) {
		for (node = node_of(map->first, level); node <= node_of(map->last, level); node++) {
			err = verify_node(map, level, node, fault);
			if (err)
				return err;
		}
	}
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_freemap_verify);
