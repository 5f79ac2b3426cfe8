// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: the two indexes, of segments in use by address and of free segments by size.
 *
 * 1. The table finds the segment in use that holds an address, any address. A
 *    segment of 2^l to 2^(l+1) - 1 addresses is of level l, and its key is its level
 *    and the number of the block of 2^l addresses in which it starts. No two segments
 *    have the same key, as they don't overlap. One of level l that holds an address
 *    starts in the block that the address lies in, or in one of the two before; so
 *    for each level that any segment ever had, three keys are looked up: at most 192
 *    in all, and 30 where sizes are a thousand times apart. Who knows a segment's
 *    start and size, as one who frees it does, looks up one.
 *
 *    The table is a linear hash table (W. Litwin, "Linear Hashing: A New Tool
 *    for File and Table Addressing", VLDB 1980): when there are more segments
 *    than buckets, the next insertion splits one bucket, the next in turn, in two,
 *    and when there are less than half as many, the last split is undone. So a
 *    table of any size grows and shrinks a bucket at a time, and nothing is ever
 *    moved but one chain. Buckets lie in doubling arrays:
 *
 *          bucket     0 ... 31   in the arena
 *                    32 ... 63   64 ... 127   128 ... 255   and so on
 *
 *    each of which, once allocated, is filled in as buckets are split.
 *
 * 2. Free segments are in classes by size: one for each size up to 128 quanta, and
 *    four a doubling above. The arena is in 16 parts of one size, a power of two of quanta, of
 *    which the first span takes nine at least (one for each quantum, if it has fewer); the
 *    first and the last have all that is beyond, too. The segments of a class that start
 *    in one part are a bin, with a bit for each bin that has any: a word has those of four
 *    classes. Of sizes from 524288 quanta on there are few, and a class is one bin.
 *
 *    The segments of one bin form a binary trie by address, in which each node is a segment:
 *
 *          node: start, bit, mask, child[0], child[1]
 *
 *    All starts below a node are the same above its bit; those in child[0] have
 *    that bit clear, those in child[1] set. The bit falls strictly on the way
 *    down, so a path has at most 65 nodes whatever the history, and about log2 of
 *    the bin's segments if these lie anyhow. A new segment that differs above
 *    a node's bit becomes that node's parent. Nothing is ever rebalanced. All ends of all
 *    tries are one sentinel, nil, which has no colours; while a segment is put in, the
 *    sentinel differs from it in each bit, and so ends the way like any other node that does.
 *
 *    Each segment has one of 64 colours, its own, and mask has the colours of all
 *    segments in the subtree, so that the lowest segment from an address on that
 *    has one of some colours is found without a look at subtrees that have none. In the
 *    classes of one size the colour is the start's number of quanta modulo 64:
 *    of a size, an alignment and a boundary up to 64 quanta it decides exactly
 *    whether the segment can serve. In the others it is the size's next six
 *    bits: exact for up to 511 quanta, and within 0.4 % above.
 *
 *    Parts make tries shallow, and most have one segment or none; they tell what is in a
 *    window; and parts and colours together mostly tell which bin serves without a look
 *    into it. The price is 24 KiB of roots in each arena.
 *
 * 3. A free segment that holds an address isn't in the table, as it changes too often.
 *    It is looked for like room in a window of one quantum (lib/vmem_find.c). Nothing that is
 *    allocated or freed by size needs that; an allocation at a certain address does.
 */
#include <linux/lockdep.h>

#include "vmem_index.h"

/* Take the arena out of service: its metadata contradict each other. */
noinline __cold void __quarry_vmem_broken(struct quarry_vmem *vmem, const char *what, u64 addr)
{
	lockdep_assert_held(&vmem->lock);

	if (!vmem->broken)
		quarry_report_broken("vmem", vmem->name, what, addr);
	vmem->broken = true;
	/* Whoever allocates asks for tags then, and is told. */
	vmem->tag_reserve = UINT_MAX;
}

/* ---- The table ---- */

static struct quarry_vmem_tag *find_holder(const struct quarry_vmem *vmem, u64 addr, u64 block,
					   unsigned int level)
{
	struct quarry_vmem_tag *tag = *bucket_of(vmem, block, level);

	while (tag && addr - tag->start >= tag->size)
		tag = tag->link;
	return tag;
}

/* The segment in use that holds an address, or NULL. */
struct quarry_vmem_tag *__quarry_vmem_locate_used(const struct quarry_vmem *vmem, u64 addr)
{
	u64 levels;

	lockdep_assert_held(&vmem->lock);

	for (levels = vmem->levels; levels; levels &= levels - 1) {
		unsigned int level = __ffs64(levels);
		u64 block = addr >> level;
		unsigned int i;

		for (i = 0; i < 3 && i <= block; i++) {
			struct quarry_vmem_tag *tag = find_holder(vmem, addr, block - i, level);

			if (tag)
				return tag;
		}
	}
	return NULL;
}

static void set_nr_buckets(struct quarry_vmem *vmem, unsigned int nr)
{
	vmem->nr_buckets = nr;
	vmem->shrink_below = nr > QUARRY_VMEM_NR_BUCKETS ? nr / 2 : 0;
}

/* Let one more bucket take its part of the one that it is split from. */
static void split_bucket(struct quarry_vmem *vmem)
{
	unsigned int index = vmem->nr_buckets;
	struct quarry_vmem_tag **from, **to, *tag;

	if (index > vmem->bucket_mask)
		vmem->bucket_mask = 2 * vmem->bucket_mask + 1;
	from = bucket_at(vmem, index & (vmem->bucket_mask >> 1));
	to = bucket_at(vmem, index);
	*to = NULL;
	while ((tag = *from)) {
		unsigned int level = level_of(tag->size);

		if ((hash_of(tag->start >> level, level) & vmem->bucket_mask) != index) {
			from = &tag->link;
			continue;
		}
		*from = tag->link;
		tag->link = *to;
		*to = tag;
	}
	set_nr_buckets(vmem, index + 1);
}

/* The reverse of split_bucket(), for the last that was split. */
static void join_buckets(struct quarry_vmem *vmem)
{
	unsigned int index = vmem->nr_buckets - 1;
	struct quarry_vmem_tag **to = bucket_at(vmem, index & (vmem->bucket_mask >> 1));

	while (*to)
		to = &(*to)->link;
	*to = *bucket_at(vmem, index);
	set_nr_buckets(vmem, index);
	if (index == vmem->bucket_mask / 2 + 1)
		vmem->bucket_mask /= 2;
}

/* Two at a time, as the table may have had to wait for its next array. */
noinline void __quarry_vmem_table_grow(struct quarry_vmem *vmem)
{
	unsigned int i;

	for (i = 0; i < 2 && vmem->nr_buckets < vmem->nr_used; i++) {
		if (vmem->nr_buckets < vmem->nr_table_buckets)
			split_bucket(vmem);
		else if (vmem->nr_used >= vmem->table_goal)
			vmem->tag_reserve = UINT_MAX;	/* Who allocates next fetches one. */
	}
}

/* Two at a time, as there are two buckets for each segment that goes. */
noinline void __quarry_vmem_table_shrink(struct quarry_vmem *vmem)
{
	unsigned int i;

	for (i = 0; i < 2 && vmem->nr_buckets > QUARRY_VMEM_NR_BUCKETS; i++)
		join_buckets(vmem);
	if (vmem->table_ranges && vmem->nr_buckets <= vmem->nr_table_buckets / 4)
		vmem->tag_reserve = UINT_MAX;		/* And gives the last array back. */
}

/* ---- Free segments ---- */

/* The colour that a segment should have. */
unsigned int __quarry_vmem_colour(const struct quarry_vmem *vmem,
				  const struct quarry_vmem_tag *tag)
{
	return colour_of(vmem, tag->start, tag->size >> vmem->quantum_shift);
}

static inline u64 joint_mask(const struct quarry_vmem_tag *tag)
{
	return BIT_ULL(tag->own) | tag->child[0]->mask | tag->child[1]->mask;
}

/* Recompute masks on the path, from the node before @place down to @end. */
static __always_inline void repair_masks(struct quarry_vmem_tag **place,
					 struct quarry_vmem_tag **end)
{
	while (place != end) {
		struct quarry_vmem_tag *node = *--place;
		u64 mask = joint_mask(node);

		if (mask == node->mask)
			break;
		node->mask = mask;
	}
}

static inline bool is_end_of_path(struct quarry_vmem *vmem, struct quarry_vmem_tag **place)
{
	return place == vmem->path + QUARRY_VMEM_MAX_DEPTH - 1;
}

/*
 * A node with two children is replaced by a leaf from below it, whose start has
 * the same bits above the node's bit.
 */
static noinline void replace_node(struct quarry_vmem *vmem, struct quarry_vmem_tag **link,
				  struct quarry_vmem_tag *tag, struct quarry_vmem_tag **place)
{
	struct quarry_vmem_tag **leaf = &tag->child[0], **next = place + 1;
	struct quarry_vmem_tag *node = *leaf, *nil = &vmem->nil;
	u64 mask;

	while (node->child[0] != nil || node->child[1] != nil) {
		if (unlikely(is_end_of_path(vmem, next))) {
			__quarry_vmem_broken(vmem, "a trie is too deep", tag->start);
			return;
		}
		*next++ = node;
		leaf = &node->child[node->child[0] == nil];
		node = *leaf;
	}
	*leaf = nil;
	node->bit = tag->bit;
	node->child[0] = tag->child[0];
	node->child[1] = tag->child[1];
	*link = node;

	repair_masks(next, place + 1);
	mask = joint_mask(node);
	node->mask = mask;
	if (mask != tag->mask)
		repair_masks(place, vmem->path);
}

/* Take a segment out of a trie, of which it is not the only one. */
void __quarry_vmem_trie_remove(struct quarry_vmem *vmem, unsigned int bin,
			       struct quarry_vmem_tag *tag)
{
	struct quarry_vmem_tag **link = &vmem->roots[bin], **place = vmem->path;
	struct quarry_vmem_tag *nil = &vmem->nil, *node;

	while ((node = *link) != tag) {
		if (unlikely(is_end_of_path(vmem, place))) {
			__quarry_vmem_broken(vmem, "a free segment is in no class", tag->start);
			return;
		}
		*place++ = node;
		link = &node->child[side_of(tag->start, node)];
	}
	if (tag->child[0] == nil) {
		*link = tag->child[1];
	} else if (tag->child[1] == nil) {
		*link = tag->child[0];
	} else {
		replace_node(vmem, link, tag, place);
		return;
	}
	repair_masks(place, vmem->path);
}

void __quarry_vmem_free_insert(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	free_insert(vmem, tag);
}

void __quarry_vmem_free_remove(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	free_remove(vmem, tag);
}

/* The lowest segment of a bin that has one. */
struct quarry_vmem_tag *__quarry_vmem_lowest(const struct quarry_vmem *vmem, unsigned int bin)
{
	struct quarry_vmem_tag *node = vmem->roots[bin], *best = node;

	do {
		if (node->start < best->start)
			best = node;
		node = node->child[node->child[0] == &vmem->nil];
	} while (node != &vmem->nil);
	return best;
}
