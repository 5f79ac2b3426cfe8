/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of vmem's indexes that are on the way of each allocation and free.
 * lib/vmem_index.c tells how they work.
 */
#ifndef QUARRY_VMEM_INDEX_H
#define QUARRY_VMEM_INDEX_H

#include <linux/hash.h>

#include "vmem_internal.h"

/* ---- The table ---- */

static __always_inline unsigned int level_of(u64 size)
{
	return top_bit(size);
}

static __always_inline u32 hash_of(u64 block, unsigned int level)
{
	return hash_64(block + ((u64)level << 58), 32);
}

/* Buckets 0 to 31 are in table 4, 32 to 63 in table 5, 64 to 127 in table 6. */
static __always_inline struct quarry_vmem_tag **bucket_at(const struct quarry_vmem *vmem,
							  unsigned int index)
{
	unsigned long table = __fls(index | (QUARRY_VMEM_NR_BUCKETS - 1));

	return (struct quarry_vmem_tag **)vmem->tables[table] + index;
}

static __always_inline struct quarry_vmem_tag **bucket_of(const struct quarry_vmem *vmem,
							  u64 block, unsigned int level)
{
	u32 hash = hash_of(block, level);
	unsigned int index = hash & vmem->bucket_mask;

	if (index >= vmem->nr_buckets)
		index = hash & (vmem->bucket_mask >> 1);
	return bucket_at(vmem, index);
}

/* The segment in use with this start and size, which isn't 0, or NULL. */
static __always_inline struct quarry_vmem_tag *
__quarry_vmem_find(const struct quarry_vmem *vmem, u64 addr, u64 size)
{
	unsigned int level = level_of(size);
	struct quarry_vmem_tag *tag = *bucket_of(vmem, addr >> level, level);

	while (tag && (tag->start != addr || tag->size != size))
		tag = tag->link;
	return tag;
}

/* Take the segment in use with this start, size (not 0) and state out, or NULL. */
static __always_inline struct quarry_vmem_tag *
__quarry_vmem_table_take(struct quarry_vmem *vmem, u64 addr, u64 size,
			 enum quarry_vmem_state state)
{
	unsigned int level = level_of(size);
	struct quarry_vmem_tag **link = bucket_of(vmem, addr >> level, level);
	struct quarry_vmem_tag *tag;

	while ((tag = *link)) {
		if (tag->start == addr && tag->size == size) {
			if (unlikely(tag->state != state))
				return NULL;
			if (unlikely(tag->slotted) && !__quarry_vmem_unslot(vmem, tag, state))
				return NULL;
			*link = tag->link;
			if (unlikely(--vmem->nr_used < vmem->shrink_below))
				__quarry_vmem_table_shrink(vmem);
			return tag;
		}
		link = &tag->link;
	}
	return NULL;
}

static __always_inline void __quarry_vmem_table_insert(struct quarry_vmem *vmem,
						       struct quarry_vmem_tag *tag)
{
	unsigned int level = level_of(tag->size);
	struct quarry_vmem_tag **bucket = bucket_of(vmem, tag->start >> level, level);

	tag->link = *bucket;
	*bucket = tag;
	vmem->levels |= BIT_ULL(level);
	if (unlikely(++vmem->nr_used > vmem->nr_buckets))
		__quarry_vmem_table_grow(vmem);
}

/* ---- Free segments ---- */

static inline unsigned int colour_of(const struct quarry_vmem *vmem, u64 start, u64 quanta)
{
	if (likely(quanta <= QUARRY_VMEM_NR_EXACT))
		return (start >> vmem->quantum_shift) & 63;
	return size_colour(quanta);
}

static inline unsigned long side_of(u64 start, const struct quarry_vmem_tag *node)
{
	return (start >> node->bit) & 1;
}

/*
 * Put a node into a trie; it has no children, and its mask is its own. The sentinel is made to
 * differ from it in the highest bit, and so ends the way like any node that belongs below it.
 */
static __always_inline void trie_insert(struct quarry_vmem_tag **link,
					struct quarry_vmem_tag *tag, u64 start, u64 mask,
					struct quarry_vmem_tag *nil)
{
	struct quarry_vmem_tag *node;

	nil->start = ~start;
	while (node = *link, (node->start ^ start) >> node->bit <= 1) {
		node->mask |= mask;
		link = &node->child[side_of(start, node)];
	}
	*link = tag;
	if (node != nil) {
		tag->bit = top_bit(node->start ^ start);
		tag->mask = mask | node->mask;
		tag->child[side_of(node->start, tag)] = node;
	}
}

static __always_inline void mark_bin(struct quarry_vmem *vmem, unsigned int bin)
{
	vmem->avail[bin / 64] |= BIT_ULL(bin % 64);
}

static __always_inline void unmark_bin(struct quarry_vmem *vmem, unsigned int bin)
{
	vmem->avail[bin / 64] &= ~BIT_ULL(bin % 64);
}

/* Make a segment free that is in no bin, with its start and size as they stay. */
static __always_inline void free_insert(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	u64 quanta = tag->size >> vmem->quantum_shift, start = tag->start;
	unsigned int own = colour_of(vmem, start, quanta);
	unsigned int class = class_of(quanta);
	unsigned int part = part_of(vmem, start);
	unsigned int bin = bin_of(class, part);
	struct quarry_vmem_tag **root = &vmem->roots[bin];
	u64 mask = BIT_ULL(own);

	vmem->nr_in_class[class]++;
	tag->state = QUARRY_VMEM_FREE;
	tag->own = own;
	tag->bit = 0;
	tag->part = part;
	tag->child[0] = &vmem->nil;
	tag->child[1] = &vmem->nil;
	tag->mask = mask;
	if (*root != &vmem->nil) {
		trie_insert(root, tag, start, mask, &vmem->nil);
	} else {
		*root = tag;
		mark_bin(vmem, bin);
	}
}

/* Take a free segment out of its bin, of which it is often the only one. */
static __always_inline void free_remove(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	unsigned int class = class_of(tag->size >> vmem->quantum_shift);
	unsigned int bin = bin_of(class, tag->part);

	vmem->nr_in_class[class]--;
	if (vmem->roots[bin] != tag || tag->child[0] != tag->child[1]) {
		__quarry_vmem_trie_remove(vmem, bin, tag);
		return;
	}
	vmem->roots[bin] = &vmem->nil;
	unmark_bin(vmem, bin);
}

#endif /* QUARRY_VMEM_INDEX_H */
