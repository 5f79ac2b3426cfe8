// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: which free segment serves a request.
 *
 * The answers are exact: what is found is what the strategy prescribes among all
 * free segments, and nothing is found only if none can serve.
 *
 * 1. Best fit asks the bins that have segments, smallest class first, and of a class those in
 *    the parts of the window, lowest first. It looks through a bin's trie from the lowest
 *    address on, and nowhere below a node whose addresses are all outside of the window, or
 *    that has none of the colours which can serve (lib/vmem_index.c). In a class of one size
 *    c, a segment can serve a size s just if one of the places from its start to c - s
 *    further can; so the colours that can are those for which the start itself can, rotated
 *    by 0 up to c - s quanta and joined. For an alignment and a boundary of up to 64 quanta
 *    this decides, and only segments across the window's ends, or beside them, are looked
 *    at in vain. For larger ones it is necessary only: a segment
 *    that has the right colour serves with probability 64 quanta / alignment, and if not, the
 *    search goes on.
 *
 *    In a class of several sizes the colours are sizes. Any segment that serves is looked
 *    for first, then one of a smaller colour, until there is none. Up to 511 quanta
 *    a colour is one size; above, all segments of the colour, which are within 0.4 %
 *    of one another, are compared, unless one is found that is just large enough. A segment
 *    of such a class may begin far before the window; but one that is smaller than a part
 *    begins in the part before at the earliest.
 *
 * 2. Next fit looks at the segment that holds the cursor and at some more behind it;
 *    then it asks each class for its lowest segment from there on. Behind the last
 *    segment it goes on with the first.
 *
 * 3. If all of the arena will do, the first bin that has a wanted colour mostly decides, and
 *    the lowest segment of that is at the end of one way down its trie.
 *
 * Bounds, for L levels of a bin's trie (log2 of its segments; at most 65) and C classes with
 * segments that are large enough (at most 356; 128 and four a doubling): one step for each of
 * a class's 16 bins at most, and 2L for those which lie across the ends of the window, or within
 * a segment's size before these: at most four, if parts are larger than the class's segments,
 * so C * (16 + 8L); where sizes are above 128 quanta, C * 64 * 8L. If segments are larger than
 * parts, all 16 may be asked, but there are few of them. And 2L
 * for each segment that has the right colour but can't serve. The latter are few by
 * chance, but not by design: a request for an alignment above 64 quanta of an arena in which
 * each segment is off by the same 64 quanta looks at all of them, and so does best fit for more
 * than 511 quanta where all sizes are within 0.4 %, and none is the wanted one. Steps are
 * counted (nr_steps, max_steps). At 100,000 live segments of 1 to 64 quanta, with alignments
 * up to 64 quanta, phase, boundary and a window each as a coin falls, a search took 6 steps
 * on average, and in two million of them 264 at most, in a window that is a sixteenth of the
 * space, and so full that most classes are asked in vain; with windows of any width down to one
 * quantum, 756. A step is some 25 instructions.
 */
#include <linux/align.h>
#include <linux/lockdep.h>

#include "vmem_index.h"

/* Segments that are looked at one after another before classes are asked. */
#define NR_WALKED	128

static inline bool crosses(u64 start, u64 size, u64 nocross)
{
	return (start ^ (start + (size - 1))) & -nocross;
}

/* The lowest start at or above @from with the wanted alignment and phase; false if none. */
static inline bool align_up(u64 from, const struct want *want, u64 *start)
{
	*start = from + ((want->phase - from) & (want->align - 1));
	return *start >= from;
}

/*
 * Whether there is a place from @from to @last, and in @want->found the first. A start that is
 * moved behind a boundary doesn't run into the next: that alignment, phase and boundary go
 * together was checked before.
 */
static inline bool has_place(u64 from, u64 last, struct want *want)
{
	u64 start;

	if (!align_up(from, want, &start))
		return false;
	if (crosses(start, want->size, want->nocross)) {
		from = (start | (want->nocross - 1)) + 1;
		if (!from || !align_up(from, want, &start))
			return false;
	}
	if (start > last || last - start < want->size - 1)
		return false;
	want->found = start;
	return true;
}

/* Whether a free segment can serve. */
static inline bool fits(const struct quarry_vmem_tag *tag, struct want *want)
{
	u64 from = max(tag->start, want->min), last = min(last_of(tag), want->max);

	return from <= last && has_place(from, last, want);
}

/* The colours that can serve in segments that are @quanta larger than those of @mask. */
static __always_inline u64 smear(u64 mask, unsigned int quanta)
{
	unsigned int done = 1, step;

	if (likely(quanta == 1))
		return mask | ror64(mask, 1);
	for (; quanta && mask != U64_MAX; quanta -= step, done += step) {
		step = min(done, quanta);
		mask |= ror64(mask, step);
	}
	return mask;
}

#define ALL_PARTS	(BIT_ULL(QUARRY_VMEM_NR_PARTS) - 1)

/* The parts of all addresses from @from to @last, a bit each. */
static inline u64 parts_of(const struct quarry_vmem *vmem, u64 from, u64 last)
{
	return (2ULL << part_of(vmem, last)) - (1ULL << part_of(vmem, from));
}

/* The bins of some parts in a word of them. */
static inline u64 in_each_class(u64 parts)
{
	return parts * (U64_MAX / ALL_PARTS);
}

/* The lowest start that a segment of a size may have and reach the window far enough. */
static inline u64 reach(u64 size, const struct want *want)
{
	u64 slack = size - want->size;

	return want->min > slack ? want->min - slack : 0;
}

/* ---- Tries ---- */

/*
 * Go on below a node: left, and with the right kept for later. Only sides are of interest that
 * have a wanted colour, and that aren't wholly below @from or above @max; NULL if none is. The
 * left alone is gone down even if it is below @from, as a test of that costs more than it saves.
 */
static __always_inline struct quarry_vmem_tag *
descend(struct quarry_vmem *vmem, struct quarry_vmem_tag *node, u64 from, u64 max, u64 colours,
	unsigned int *depth)
{
	struct quarry_vmem_tag *left = node->child[0], *right = node->child[1];
	u64 middle;

	if (!((left->mask | right->mask) & colours))
		return NULL;
	middle = (node->start >> node->bit | 1) << node->bit;
	if (!(right->mask & colours) || max < middle)
		return left->mask & colours ? left : NULL;
	if (!(left->mask & colours) || from >= middle)
		return right;
	if (unlikely(*depth == QUARRY_VMEM_MAX_DEPTH)) {
		__quarry_vmem_broken(vmem, "a trie is too deep", node->start);
		return NULL;
	}
	vmem->path[(*depth)++] = right;
	return left;
}

static __always_inline bool is_leaf(const struct quarry_vmem_tag *node)
{
	return node->child[0] == node->child[1];
}

/*
 * The lowest segment of a trie, which has one of the colours, that serves and starts from @from
 * to @max. Behind one that does are all those that were kept for later, so that only what is
 * below it may be better. Most tries have one segment.
 */
static __always_inline struct quarry_vmem_tag *
lowest_of(struct quarry_vmem *vmem, struct quarry_vmem_tag *node, u64 from, u64 max, u64 colours,
	  struct want *want)
{
	struct quarry_vmem_tag *best = NULL;
	unsigned int depth = 0, nr = 0;

	if (is_leaf(node)) {
		want->steps++;
		return node->start - from <= max - from && fits(node, want) ? node : NULL;
	}
	do {
		u64 start = node->start;

		nr++;
		if (start - from <= max - from && colours >> node->own & 1 && fits(node, want)) {
			best = node;
			if (start == from)
				break;		/* None is lower, and @max would be below @from. */
			max = start - 1;
			depth = 0;
		}
		node = descend(vmem, node, from, max, colours, &depth);
		if (!node && depth)
			node = vmem->path[--depth];
	} while (node);
	want->steps += nr;
	return best;
}

/* Of a trie that has one of some colours, the lowest segment that does. */
static __always_inline struct quarry_vmem_tag *lowest_coloured(struct quarry_vmem_tag *node,
							       u64 colours)
{
	struct quarry_vmem_tag *best = NULL, *left;
	u64 low = U64_MAX;

	do {
		if (colours >> node->own & 1 && node->start <= low) {
			low = node->start;
			best = node;
		}
		left = node->child[0];
		node = left->mask & colours ? left : node->child[1];
	} while (node->mask & colours);
	return best;
}

/* The better of the best that is known and a segment, if that serves. */
static inline struct quarry_vmem_tag *better(struct quarry_vmem_tag *best,
					     struct quarry_vmem_tag *tag, struct want *want)
{
	if (tag->size > best->size || (tag->size == best->size && tag->start > best->start))
		return best;
	return fits(tag, want) ? tag : best;
}

/* ---- Classes ---- */

/* The lowest start that a segment of such a class may have and reach the window. */
static inline u64 class_reach(const struct quarry_vmem *vmem, unsigned int class,
			      const struct want *want)
{
	return reach(class_size(vmem, class), want);
}

/* The colours of the sizes of a class that may serve. */
static inline u64 large_enough(const struct quarry_vmem *vmem, unsigned int class,
			       const struct want *want)
{
	u64 quanta = want->size >> vmem->quantum_shift;

	return class_of(quanta) == class ? U64_MAX << size_colour(quanta) : U64_MAX;
}

/*
 * The best segment of one colour in a class of several sizes, which aren't all the same,
 * where one is known. If it is just as large as wanted, only lower ones are better.
 */
static struct quarry_vmem_tag *best_of(struct quarry_vmem *vmem, struct quarry_vmem_tag *root,
				       u64 from, u64 colour, struct want *want,
				       struct quarry_vmem_tag *best)
{
	struct quarry_vmem_tag *node = root, *next;
	unsigned int depth = 0;

	for (; node; node = next ?: depth ? vmem->path[--depth] : NULL) {
		want->steps++;
		if (node->start >= from && BIT_ULL(node->own) == colour)
			best = better(best, node, want);
		next = descend(vmem, node, from,
			       best->size == want->size ? best->start : want->max, colour, &depth);
	}
	return best;
}

/*
 * In classes of one size, colours tell which segments can serve. They are carried on from class
 * to class. The bins of a word stay in a register, which bin_among() can't do for its callers.
 */
static __always_inline struct quarry_vmem_tag *
search_exact(struct quarry_vmem *vmem, unsigned int class, struct want *want)
{
	u64 max = want->max - (want->size - 1);
	u64 from = class_reach(vmem, QUARRY_VMEM_NR_EXACT - 1, want);
	u64 each = in_each_class(parts_of(vmem, from, max)), colours = want->colours;
	unsigned int word = bin_of(class, 0) / 64, before = class;
	u64 bins = vmem->avail[word] & each & U64_MAX << (bin_of(class, 0) % 64);

	for (;;) {
		while (bins) {
			unsigned int bin = 64 * word + __ffs64(bins);
			struct quarry_vmem_tag *root = vmem->roots[bin], *tag;
			u64 low;

			bins &= bins - 1;
			want->steps++;
			class = bin / QUARRY_VMEM_NR_PARTS;
			colours = smear(colours, class - before);
			before = class;
			if (!(root->mask & colours))
				continue;
			low = is_leaf(root) ? from : class_reach(vmem, class, want);
			tag = lowest_of(vmem, root, low, max, colours, want);
			if (tag)
				return tag;
		}
		if (++word == NR_EXACT_BINS / 64)
			return NULL;
		bins = vmem->avail[word] & each;
	}
}

/* Of a trie that has one of some colours, a segment that serves: of the lowest, or else of any. */
static struct quarry_vmem_tag *some_of(struct quarry_vmem *vmem, struct quarry_vmem_tag *root,
				       u64 from, u64 colours, struct want *want)
{
	u64 all = root->mask & colours, some = all & -all;

	for (;; some = all) {
		struct quarry_vmem_tag *tag = lowest_of(vmem, root, from, want->max, some, want);

		if (tag || some == all)
			return tag;
	}
}

/*
 * The best segment in some bins of a class of several sizes, or NULL: any that serves, then one
 * with a lower colour, until there is none, and at last the best of that colour.
 */
static noinline struct quarry_vmem_tag *best_of_class(struct quarry_vmem *vmem,
						      unsigned int class, u64 bins,
						      struct want *want)
{
	u64 from = class_reach(vmem, class, want), colours = large_enough(vmem, class, want);
	struct quarry_vmem_tag *best = NULL, *tag, *root;
	u64 rest;

	for (rest = bins; rest; rest &= rest - 1) {
		root = vmem->roots[bin_of(class, __ffs64(rest))];
		want->steps++;
		while (root->mask & colours) {
			tag = some_of(vmem, root, from, colours, want);
			if (!tag)
				break;
			best = tag;
			colours &= BIT_ULL(tag->own) - 1;
		}
	}
	if (!best || has_exact_colours(class))
		return best;
	for (rest = bins; rest; rest &= rest - 1) {
		root = vmem->roots[bin_of(class, __ffs64(rest))];
		if (root->mask & BIT_ULL(best->own))
			best = best_of(vmem, root, from, BIT_ULL(best->own), want, best);
	}
	return best;
}

/* The best segment in some parts of the classes of several sizes from @class to @end - 1. */
static struct quarry_vmem_tag *search_parts(struct quarry_vmem *vmem, unsigned int class,
					    unsigned int end, u64 parts, struct want *want)
{
	unsigned int bin = bin_of(class, 0);
	u64 each = in_each_class(parts);

	for (; (bin = bin_among(vmem, bin, each)) < bin_of(end, 0); bin++) {
		struct quarry_vmem_tag *root = vmem->roots[bin];
		u64 from = 0, colours;

		class = class_of_bin(bin);
		colours = large_enough(vmem, class, want);
		want->steps++;
		if (!(root->mask & colours))
			continue;
		if (!is_leaf(root))
			from = class_reach(vmem, class, want);
		if (lowest_of(vmem, root, from, want->max, colours, want))
			return best_of_class(vmem, class, bins_of(vmem, class) & parts, want);
	}
	return NULL;
}

/* The first class that has segments of a part's size, or is in no parts. */
static inline unsigned int first_large(const struct quarry_vmem *vmem)
{
	unsigned int class = class_of(1ULL << (vmem->part_shift - vmem->quantum_shift));

	return min_t(unsigned int, class, QUARRY_VMEM_NR_PARTED);
}

/* How far the window's start is from that of its part, or the size of a part if it is further. */
static inline u64 depth_in_part(const struct quarry_vmem *vmem, const struct want *want)
{
	u64 start = vmem->parts_base + ((u64)part_of(vmem, want->min) << vmem->part_shift);

	return want->min < start ? 0 : min(want->min - start, 1ULL << vmem->part_shift);
}

/*
 * In classes of several sizes: first those that don't reach the window from the part before that
 * of its start, then those that reach it at most from there, and then all others.
 */
static noinline struct quarry_vmem_tag *search_above(struct quarry_vmem *vmem,
						     unsigned int class, struct want *want)
{
	u64 near = (depth_in_part(vmem, want) + want->size) >> vmem->quantum_shift;
	u64 parts = parts_of(vmem, want->min, want->max);
	unsigned int large = max(first_large(vmem), class);
	unsigned int far = clamp(class_of(near), class, large);
	struct quarry_vmem_tag *tag;

	tag = search_parts(vmem, class, far, parts, want);
	if (!tag)
		tag = search_parts(vmem, far, large, parts | parts >> 1, want);
	if (!tag)
		tag = search_parts(vmem, large, QUARRY_VMEM_NR_CLASSES, ALL_PARTS, want);
	return tag;
}

static noinline struct quarry_vmem_tag *search_best(struct quarry_vmem *vmem,
						    struct want *want)
{
	unsigned int class = class_of(want->size >> vmem->quantum_shift);

	if (class < QUARRY_VMEM_NR_EXACT) {
		struct quarry_vmem_tag *tag = search_exact(vmem, class, want);

		if (tag)
			return tag;
		class = QUARRY_VMEM_NR_EXACT;
	}
	return search_above(vmem, class, want);
}

/*
 * The segment that holds an address, in use or free, or NULL. A free one is looked for
 * like room for one quantum in a window of just that.
 */
struct quarry_vmem_tag *__quarry_vmem_locate(struct quarry_vmem *vmem, u64 addr)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_locate_used(vmem, addr);
	struct want want = {
		.size = quantum(vmem),
		.align = quantum(vmem),
		.min = addr & vmem->quantum_mask,
		.max = addr | vmem->below_quantum,
		.colours = U64_MAX,
	};

	if (tag)
		return tag;
	return search_best(vmem, &want);
}

/* The largest of some free segments of a colour, one of which may be known. */
static struct quarry_vmem_tag *largest_of(struct quarry_vmem *vmem, struct quarry_vmem_tag *root,
					  u64 colour, struct quarry_vmem_tag *best)
{
	struct quarry_vmem_tag *node = root, *next;
	unsigned int depth = 0;

	for (; node; node = next ?: depth ? vmem->path[--depth] : NULL) {
		if (BIT_ULL(node->own) == colour && (!best || node->size > best->size))
			best = node;
		next = descend(vmem, node, 0, U64_MAX, colour, &depth);
	}
	return best;
}

/* The largest free segment of a class of several sizes: one of the last colour. */
static struct quarry_vmem_tag *largest_of_class(struct quarry_vmem *vmem, unsigned int class)
{
	struct quarry_vmem_tag *best = NULL;
	u64 rest, colours = 0, colour;

	for (rest = bins_of(vmem, class); rest; rest &= rest - 1)
		colours |= vmem->roots[bin_of(class, __ffs64(rest))]->mask;
	colour = BIT_ULL(top_bit(colours));
	for (rest = bins_of(vmem, class); rest; rest &= rest - 1) {
		struct quarry_vmem_tag *root = vmem->roots[bin_of(class, __ffs64(rest))];

		if (root->mask & colour && !(best && has_exact_colours(class)))
			best = largest_of(vmem, root, colour, best);
	}
	return best;
}

/* The largest free segment, or NULL. */
struct quarry_vmem_tag *__quarry_vmem_largest(struct quarry_vmem *vmem)
{
	unsigned int word = ARRAY_SIZE(vmem->avail), bin;

	lockdep_assert_held(&vmem->lock);

	while (word-- && !vmem->avail[word])
		;
	if (word == UINT_MAX)
		return NULL;
	bin = word * 64 + top_bit(vmem->avail[word]);
	return bin < NR_EXACT_BINS ? vmem->roots[bin] :
				     largest_of_class(vmem, class_of_bin(bin));
}

/*
 * Best fit where all of the arena will do. The lowest segment of a wanted colour in the first bin
 * that has one serves, but for alignments and boundaries of more than 64 quanta, for which the
 * whole search has to be made.
 */
static __always_inline struct quarry_vmem_tag *search_all(struct quarry_vmem *vmem,
							  struct want *want)
{
	unsigned int first = class_of(want->size >> vmem->quantum_shift), before = first;
	unsigned int bin = bin_of(first, 0);
	u64 colours = want->colours;

	for (; (bin = bin_from(vmem, bin)) < NR_EXACT_BINS; bin++) {
		struct quarry_vmem_tag *root = vmem->roots[bin], *tag;
		unsigned int class = bin / QUARRY_VMEM_NR_PARTS;

		want->steps++;
		colours = smear(colours, class - before);
		before = class;
		if (!(root->mask & colours))
			continue;
		tag = lowest_coloured(root, colours);
		return has_place(tag->start, last_of(tag), want) ? tag : search_best(vmem, want);
	}
	return search_above(vmem, max_t(unsigned int, first, QUARRY_VMEM_NR_EXACT), want);
}

/* ---- Next fit ---- */

/* The lowest place that some bins of a class have, or NULL. */
static struct quarry_vmem_tag *next_of_class(struct quarry_vmem *vmem, unsigned int class,
					     u64 max, u64 colours, struct want *want)
{
	u64 from = class_reach(vmem, class, want), bins = bins_of(vmem, class);
	struct quarry_vmem_tag *tag = NULL;

	if (class < QUARRY_VMEM_NR_PARTED)
		bins &= parts_of(vmem, from, max);
	for (; bins && !tag; bins &= bins - 1) {
		struct quarry_vmem_tag *root = vmem->roots[bin_of(class, __ffs64(bins))];

		want->steps++;
		if (root->mask & colours)
			tag = lowest_of(vmem, root, from, max, colours, want);
	}
	return tag;
}

/* The lowest place that any class has. */
static noinline struct quarry_vmem_tag *next_of_classes(struct quarry_vmem *vmem,
							struct want *want)
{
	unsigned int class = class_of(want->size >> vmem->quantum_shift), before = class, bin;
	u64 colours = want->colours, max = want->max;
	struct quarry_vmem_tag *best = NULL;

	for (; (bin = bin_from(vmem, bin_of(class, 0))) < QUARRY_VMEM_NR_BINS; class++) {
		struct quarry_vmem_tag *tag;

		class = class_of_bin(bin);
		if (class < QUARRY_VMEM_NR_EXACT)
			colours = smear(colours, class - before);
		else
			colours = large_enough(vmem, class, want);
		before = class;
		tag = next_of_class(vmem, class, max, colours, want);
		if (tag) {
			best = tag;
			max = want->found;
		}
	}
	return best;
}

/*
 * The segment that holds an address near the cursor, or NULL. The last next-fit
 * allocation, or what it became a part of, is near; but what that was split from may be
 * a few segments away on either side.
 */
static struct quarry_vmem_tag *find_near_cursor(const struct quarry_vmem *vmem, u64 addr)
{
	struct quarry_vmem_tag *tag = vmem->near_cursor;
	unsigned int nr;

	for (nr = 0; tag && tag->start > addr && nr < NR_WALKED; nr++)
		tag = tag->prev;
	for (; tag && last_of(tag) < addr && nr < NR_WALKED; nr++)
		tag = tag->next;
	return tag && addr - tag->start < tag->size ? tag : NULL;
}

/* The segment that the window begins with, if it is easily found. */
static struct quarry_vmem_tag *first_in_window(const struct quarry_vmem *vmem,
					       const struct want *want)
{
	struct span *span;

	if (want->min == vmem->cursor)
		return find_near_cursor(vmem, want->min);
	span = __quarry_vmem_span_from(vmem, want->min);
	if (!span)
		return NULL;
	if (vmem->first && vmem->first->start == span->start && span->start >= want->min)
		return vmem->first;
	return __quarry_vmem_locate_used(vmem, max(span->start, want->min));
}

/* Whether nothing of the window is managed behind a segment that ends at a border. */
static bool is_last(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag,
		    const struct want *want)
{
	struct span *span;

	if (last_of(tag) >= want->max)
		return true;
	span = __quarry_vmem_span_from(vmem, last_of(tag) + 1);
	return !span || span->start > want->max;
}

/*
 * Look for the lowest place in the window among the first few segments; false if it
 * may be behind them.
 */
static bool walk_lowest(struct quarry_vmem *vmem, struct want *want,
			struct quarry_vmem_tag **best)
{
	struct quarry_vmem_tag *tag = first_in_window(vmem, want);
	unsigned int nr;

	for (nr = 0; tag && nr < NR_WALKED; nr++, tag = tag->next) {
		if (tag->start > want->max)
			return true;
		if (tag->state == QUARRY_VMEM_FREE && tag->size >= want->size) {
			want->steps++;
			if (fits(tag, want)) {
				*best = tag;
				return true;
			}
		}
		if (!tag->next)
			return is_last(vmem, tag, want);
	}
	return false;
}

static struct quarry_vmem_tag *search_lowest(struct quarry_vmem *vmem, struct want *want)
{
	struct quarry_vmem_tag *tag = NULL;

	return walk_lowest(vmem, want, &tag) ? tag : next_of_classes(vmem, want);
}

/* Behind the cursor first, then from the beginning. */
static noinline struct quarry_vmem_tag *search_next(struct quarry_vmem *vmem,
						    struct want *want)
{
	u64 min = want->min;
	struct quarry_vmem_tag *tag = NULL;

	if (vmem->cursor > min && vmem->cursor <= want->max) {
		want->min = vmem->cursor;
		tag = search_lowest(vmem, want);
		want->min = min;
	}
	return tag ?: search_lowest(vmem, want);
}

/* The free segment that the strategy prescribes, and in @want->found where; or NULL. */
struct quarry_vmem_tag *__quarry_vmem_search(struct quarry_vmem *vmem, struct want *want)
{
	u64 window = want->max - want->min;

	lockdep_assert_held(&vmem->lock);

	want->steps = 0;
	if (window < want->size - 1)
		return NULL;
	if (want->strategy == QUARRY_VMEM_NEXTFIT)
		return search_next(vmem, want);
	if (want->min <= vmem->lowest && want->max >= vmem->highest)
		return search_all(vmem, want);
	return search_best(vmem, want);
}
