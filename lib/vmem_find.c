// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: which free segment serves a request.
 *
 * The answers are exact: what is found is what the strategy prescribes among all
 * free segments, and nothing is found only if none can serve.
 *
 * 1. Best fit goes through the classes that have segments, smallest size first, and
 *    leaves out those that have none in the regions of the window. It looks through
 *    a class's trie from the lowest address on, and nowhere below a node whose
 *    addresses are all outside of the window, or that has none of the colours which can
 *    serve (lib/vmem_index.c). In a class of one size c, a segment can serve a size s
 *    just if one of the places from its start to c - s further can; so the colours that
 *    can are those for which the start itself can, rotated by 0 up to c - s quanta and
 *    joined. For an alignment and a boundary of up to 64 quanta this decides, and only
 *    segments across the window's ends, or that start less than 128 quanta before it, are
 *    looked at in vain. For larger ones it is necessary only: a segment that has the right
 *    colour serves with probability 64 quanta / alignment, and if not, the search goes on.
 *
 *    In a class of several sizes the colours are sizes. Any segment that serves is looked
 *    for first, then one of a smaller colour, until there is none. Up to 511 quanta
 *    a colour is one size; above, all segments of the colour, which are within 0.4 %
 *    of one another, are compared, unless one is found that is just large enough.
 *
 * 2. Next fit looks at the segment that holds the cursor and at some more behind it;
 *    then it asks each class for its lowest segment from there on. Behind the last
 *    segment it goes on with the first.
 *
 * 3. If all of the arena will do, the first class that has a wanted colour mostly decides, and
 *    the lowest segment of that is at the end of one way down its trie. A window of a few
 *    segments is looked through from end to end, as most classes would be asked in vain.
 *
 * Bounds, for L levels of a class's trie (log2 of its segments; at most 65) and C
 * classes with segments that are large enough (at most 356; 128 and four a doubling):
 * C * 2L steps, and C * 64 * 2L where sizes are above 128 quanta, plus 2L for each segment
 * that has the right colour but can't serve. The latter are few by chance, but not by
 * design: a request for an alignment above 64 quanta of an arena in which each segment is
 * off by the same 64 quanta looks at all of them, and so does best fit for more than 511
 * quanta where all sizes are within 0.4 %, and none is the wanted one. Steps are counted
 * (nr_steps, max_steps). At 100,000 live segments of 1 to 64 quanta, with alignments up to
 * 64 quanta, phase, boundary and a window each as a coin falls, a search took 6 steps on
 * average, and in two million of them 307 at most, in a window that is a sixteenth of the
 * space, and so full that most classes are asked in vain; with windows of any width down to one
 * quantum, 903. A step is some 20 instructions.
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
	return has_place(max(tag->start, want->min), min(last_of(tag), want->max), want);
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

/* The regions of all addresses from @from to @last. */
static inline u64 regions_of(const struct quarry_vmem *vmem, u64 from, u64 last)
{
	u64 first = from >> vmem->region_shift;
	u64 nr = (last >> vmem->region_shift) - first;

	if (nr >= QUARRY_VMEM_NR_REGIONS - 1)
		return U64_MAX;
	return rol64((2ULL << nr) - 1, first % QUARRY_VMEM_NR_REGIONS);
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
 * have a wanted colour, and that aren't wholly below @from or above @max; NULL if none is.
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

/*
 * The lowest segment of a trie that serves and starts from @from to @max. Behind one that does
 * are all those that were kept for later, so that only what is below it may be better.
 */
static __always_inline struct quarry_vmem_tag *
lowest_of(struct quarry_vmem *vmem, struct quarry_vmem_tag *node, u64 from, u64 max, u64 colours,
	  struct want *want)
{
	struct quarry_vmem_tag *best = NULL;
	unsigned int depth = 0, nr = 0;

	do {
		u64 start = node->start;

		nr++;
		if (start - from <= max - from && colours >> node->own & 1 && fits(node, want)) {
			best = node;
			if (start == from)
				break;
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

/* The better of what is known, which may be NULL, and a segment, if that serves. */
static inline struct quarry_vmem_tag *better(struct quarry_vmem_tag *best,
					     struct quarry_vmem_tag *tag, struct want *want)
{
	if (best && (tag->size > best->size ||
		     (tag->size == best->size && tag->start > best->start)))
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
static struct quarry_vmem_tag *best_of(struct quarry_vmem *vmem, unsigned int class, u64 from,
				       u64 colour, struct want *want,
				       struct quarry_vmem_tag *best)
{
	struct quarry_vmem_tag *node = vmem->roots[class], *next;
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
 * The best segment of a class of several sizes of which one is known that serves: one of those
 * with a lower colour, then with one lower still, and at last the best of the lowest one.
 */
static noinline struct quarry_vmem_tag *best_of_sizes(struct quarry_vmem *vmem,
						      unsigned int class, u64 from, u64 colours,
						      struct want *want,
						      struct quarry_vmem_tag *best)
{
	struct quarry_vmem_tag *root = vmem->roots[class], *next = best;

	while (next && root->mask & (colours &= BIT_ULL(next->own) - 1)) {
		best = next;
		next = lowest_of(vmem, root, from, want->max, colours, want);
	}
	best = next ?: best;
	if (has_exact_colours(class))
		return best;
	return best_of(vmem, class, from, BIT_ULL(best->own), want, best);
}

/*
 * In classes of one size, colours tell which segments can serve. They are carried on from
 * class to class.
 */
static __always_inline struct quarry_vmem_tag *
search_exact(struct quarry_vmem *vmem, unsigned int class, struct want *want)
{
	u64 size = (u64)QUARRY_VMEM_NR_EXACT << vmem->quantum_shift;
	u64 max = want->max - (want->size - 1);
	u64 from = reach(size, want);
	u64 regions = regions_of(vmem, from, max);
	u64 classes = vmem->avail[class / 64] & U64_MAX << (class % 64);
	unsigned int before = class, first = class - class % 64;
	u64 colours = want->colours;

	for (;;) {
		while (classes) {
			struct quarry_vmem_tag *root, *tag;

			class = first + __ffs64(classes);
			classes &= classes - 1;
			want->steps++;
			if (!(vmem->regions[class] & regions))
				continue;
			colours = smear(colours, class - before);
			before = class;
			root = vmem->roots[class];
			if (!(root->mask & colours))
				continue;
			tag = lowest_of(vmem, root, from, max, colours, want);
			if (tag)
				return tag;
		}
		first += 64;
		if (first == QUARRY_VMEM_NR_EXACT)
			return NULL;
		classes = vmem->avail[first / 64];
	}
}

/*
 * The first class of one size that has a wanted colour, if any part of the arena will do: its
 * lowest such segment serves, but for alignments and boundaries of more than 64 quanta, for
 * which the whole search has to be made.
 */
static __always_inline struct quarry_vmem_tag *search_quickly(struct quarry_vmem *vmem,
							      struct want *want)
{
	unsigned int class = class_of(want->size >> vmem->quantum_shift), before = class;
	u64 colours = want->colours;

	for (; (class = class_from(vmem, class)) < QUARRY_VMEM_NR_EXACT; class++) {
		struct quarry_vmem_tag *root = vmem->roots[class];

		want->steps++;
		colours = smear(colours, class - before);
		before = class;
		if (root->mask & colours) {
			struct quarry_vmem_tag *tag = lowest_coloured(root, colours);

			return has_place(tag->start, last_of(tag), want) ? tag : NULL;
		}
	}
	return NULL;
}

/*
 * In classes of several sizes. One that is smaller than a region reaches the window at most from
 * the region before.
 */
static noinline struct quarry_vmem_tag *search_above(struct quarry_vmem *vmem,
						     unsigned int class, struct want *want)
{
	u64 region = BIT_ULL(vmem->region_shift);
	u64 near = regions_of(vmem, want->min - min(want->min, region), want->max);
	unsigned int large = class_of(region >> vmem->quantum_shift);

	for (; (class = class_from(vmem, class)) < QUARRY_VMEM_NR_CLASSES; class++) {
		struct quarry_vmem_tag *root = vmem->roots[class], *tag;
		u64 colours, from;

		want->steps++;
		if (class < large && !(vmem->regions[class] & near))
			continue;
		colours = large_enough(vmem, class, want);
		from = class_reach(vmem, class, want);
		if (!(root->mask & colours))
			continue;
		tag = lowest_of(vmem, root, from, want->max, colours, want);
		if (tag)
			return best_of_sizes(vmem, class, from, colours, want, tag);
	}
	return NULL;
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
	vmem->tracked = true;
	return search_best(vmem, &want);
}

/* The largest free segment of a class of several sizes: one of the last colour. */
static struct quarry_vmem_tag *largest_of(struct quarry_vmem *vmem, unsigned int class)
{
	struct quarry_vmem_tag *node = vmem->roots[class], *best = NULL, *next;
	u64 colour = BIT_ULL(top_bit(node->mask));
	unsigned int depth = 0;

	for (; node; node = next ?: depth ? vmem->path[--depth] : NULL) {
		if (BIT_ULL(node->own) == colour && (!best || node->size > best->size))
			best = node;
		if (best && has_exact_colours(class))
			break;
		next = descend(vmem, node, 0, U64_MAX, colour, &depth);
	}
	return best;
}

/* The largest free segment, or NULL. */
struct quarry_vmem_tag *__quarry_vmem_largest(struct quarry_vmem *vmem)
{
	unsigned int word = ARRAY_SIZE(vmem->avail), class;

	lockdep_assert_held(&vmem->lock);

	while (word-- && !vmem->avail[word])
		;
	if (word == UINT_MAX)
		return NULL;
	class = word * 64 + top_bit(vmem->avail[word]);
	return class < QUARRY_VMEM_NR_EXACT ? vmem->roots[class] :
					      largest_of(vmem, class);
}

/* ---- Small windows ---- */

/* Whether a window has no more than a few segments of average size, as far as shifts tell. */
static __always_inline bool is_narrow(const struct quarry_vmem *vmem, u64 window)
{
	return vmem->nr_used &&
	       window / (NR_WALKED / 2) < vmem->used >> __fls(vmem->nr_used) >> 1;
}

/* A segment in use in the window, or NULL: at one of its ends, or in the middle. */
static struct quarry_vmem_tag *hit(const struct quarry_vmem *vmem, const struct want *want)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_locate_used(vmem, want->min);

	if (!tag)
		tag = __quarry_vmem_locate_used(vmem, want->max);
	if (!tag)
		tag = __quarry_vmem_locate_used(vmem, want->min + (want->max - want->min) / 2);
	return tag;
}

/* One more segment of a window was met; true, if it isn't the last that is looked at. */
static __always_inline bool look_at(struct quarry_vmem_tag *tag, struct want *want,
				    struct quarry_vmem_tag **best)
{
	if (tag->state == QUARRY_VMEM_FREE && tag->size >= want->size)
		*best = better(*best, tag, want);
	return ++want->steps < NR_WALKED;
}

/*
 * Look at all segments of a window, if one in use is easily found there: from that to one end,
 * then to the other. False if it isn't, or if there are too many, or several spans.
 */
static bool search_window(struct quarry_vmem *vmem, struct want *want,
			  struct quarry_vmem_tag **best)
{
	struct quarry_vmem_tag *middle = hit(vmem, want), *tag = middle;

	while (tag && look_at(tag, want, best) && tag->start > want->min)
		tag = tag->prev;
	if (!tag || tag->start > want->min)
		return false;
	tag = middle;
	while (tag && last_of(tag) < want->max) {
		tag = tag->next;
		if (tag && !look_at(tag, want, best))
			return false;
	}
	return tag;
}

/* Best fit where all of the arena will do. */
static __always_inline struct quarry_vmem_tag *search_all(struct quarry_vmem *vmem,
							  struct want *want)
{
	struct quarry_vmem_tag *tag = search_quickly(vmem, want);

	return likely(tag) ? tag : search_best(vmem, want);
}

/* Best fit where only a small part of it will do. */
static noinline struct quarry_vmem_tag *search_narrow(struct quarry_vmem *vmem,
						      struct want *want)
{
	struct quarry_vmem_tag *best = NULL;

	return search_window(vmem, want, &best) ? best : search_best(vmem, want);
}

/* ---- Next fit ---- */

/* The lowest place that any class has. */
static noinline struct quarry_vmem_tag *next_of_classes(struct quarry_vmem *vmem,
							struct want *want)
{
	unsigned int class = class_of(want->size >> vmem->quantum_shift), before = class;
	u64 colours = want->colours, max = want->max;
	struct quarry_vmem_tag *best = NULL;

	for (; (class = class_from(vmem, class)) < QUARRY_VMEM_NR_CLASSES; class++) {
		struct quarry_vmem_tag *root = vmem->roots[class], *tag;

		want->steps++;
		if (class < QUARRY_VMEM_NR_EXACT)
			colours = smear(colours, class - before);
		else
			colours = large_enough(vmem, class, want);
		before = class;
		if (!(root->mask & colours))
			continue;
		tag = lowest_of(vmem, root, class_reach(vmem, class, want), max, colours, want);
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
	vmem->tracked = true;
	if (unlikely(is_narrow(vmem, window)))
		return search_narrow(vmem, want);
	return search_best(vmem, want);
}
