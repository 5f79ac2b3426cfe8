/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of vmem share: tags, the two indexes, and what is looked for.
 * lib/vmem.c says what they mean.
 */
#ifndef QUARRY_VMEM_INTERNAL_H
#define QUARRY_VMEM_INTERNAL_H

#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/minmax.h>
#include <linux/rbtree.h>

#include "vmem.h"

static_assert(sizeof(struct quarry_vmem_tag) <= QUARRY_VMEM_TAG_SIZE);

/* A span: what was added or imported at once. It takes the place of a tag. */
struct span {
	struct rb_node node;
	u64 start;
	u64 size;
	bool imported;
	bool bordered;				/* never merged, as it will be released */
};

static_assert(sizeof(struct span) <= QUARRY_VMEM_TAG_SIZE);

/* What is looked for. Sizes and addresses are multiples of the quantum, but @min and @max. */
struct want {
	u64 size;
	u64 align;
	u64 phase;
	u64 nocross;
	u64 min;
	u64 max;
	unsigned int strategy;
	enum quarry_vmem_state state;
	u64 colours;				/* of segments just large enough that can serve */
	u64 found;				/* where, in the segment that was found or taken */
	unsigned int steps;
	bool sure;				/* who waits is never refused what there is */
};

/* The number of the highest bit of a value that isn't 0. */
static __always_inline unsigned long top_bit(u64 value)
{
	return BITS_PER_LONG == 64 ? __fls(value) : fls64(value) - 1;
}

static inline u64 last_of(const struct quarry_vmem_tag *tag)
{
	return tag->start + (tag->size - 1);
}

static inline u64 span_last(const struct span *span)
{
	return span->start + (span->size - 1);
}

static inline u64 quantum(const struct quarry_vmem *vmem)
{
	return vmem->below_quantum + 1;
}

/* Rounded up to the quantum; 0 if @size is 0 or can't be rounded up. */
static __always_inline u64 round_size(const struct quarry_vmem *vmem, u64 size)
{
	return (size + vmem->below_quantum) & vmem->quantum_mask;
}

static inline bool is_aligned_to_quantum(const struct quarry_vmem *vmem, u64 value)
{
	return !(value & vmem->below_quantum);
}

/* Whether a range is not empty and ends before, or with, the address space. */
static inline bool is_range(u64 addr, u64 size)
{
	return size && addr + (size - 1) >= addr;
}

static __always_inline unsigned int class_of(u64 quanta)
{
	unsigned int top;

	if (likely(quanta <= QUARRY_VMEM_NR_EXACT))
		return quanta - 1;
	top = top_bit(quanta);
	return QUARRY_VMEM_NR_EXACT + 4 * (top - 7) + ((quanta >> (top - 2)) & 3);
}

/* The colour of sizes in a class of several: the six bits that follow the class's. */
static inline unsigned int size_colour(u64 quanta)
{
	unsigned int top = top_bit(quanta);

	return (top < 8 ? quanta << (8 - top) : quanta >> (top - 8)) & 63;
}

/* Whether all segments of one colour in a class are of one size. */
static inline bool has_exact_colours(unsigned int class)
{
	return class < QUARRY_VMEM_NR_EXACT + 4 * (9 - 7);
}

#define NR_PARTED_BINS	(QUARRY_VMEM_NR_PARTED * QUARRY_VMEM_NR_PARTS)
#define NR_EXACT_BINS	(QUARRY_VMEM_NR_EXACT * QUARRY_VMEM_NR_PARTS)

/* The bin of a class and a part. */
static __always_inline unsigned int bin_of(unsigned int class, unsigned int part)
{
	if (likely(class < QUARRY_VMEM_NR_PARTED))
		return class * QUARRY_VMEM_NR_PARTS + part;
	return class - QUARRY_VMEM_NR_PARTED + NR_PARTED_BINS;
}

static __always_inline unsigned int class_of_bin(unsigned int bin)
{
	if (likely(bin < NR_PARTED_BINS))
		return bin / QUARRY_VMEM_NR_PARTS;
	return bin - NR_PARTED_BINS + QUARRY_VMEM_NR_PARTED;
}

/* Which of the bins of a class have free segments. */
static __always_inline u64 bins_of(const struct quarry_vmem *vmem, unsigned int class)
{
	unsigned int bin = bin_of(class, 0);
	u64 bins = vmem->avail[bin / 64] >> (bin % 64);

	return bins & (class < QUARRY_VMEM_NR_PARTED ? BIT_ULL(QUARRY_VMEM_NR_PARTS) - 1 : 1);
}

/* The part in which an address is. The first and the last have all that is beyond, too. */
static __always_inline unsigned int part_of(const struct quarry_vmem *vmem, u64 addr)
{
	u64 above = addr > vmem->parts_base ? addr - vmem->parts_base : 0;

	return min(above >> vmem->part_shift, QUARRY_VMEM_NR_PARTS - 1ULL);
}

/*
 * The next bin that has free segments, from @bin on, and is one of some in a word of them;
 * NR_BINS if there is none.
 */
static __always_inline unsigned int bin_among(const struct quarry_vmem *vmem, unsigned int bin,
					      u64 parts)
{
	unsigned int word = bin / 64;
	u64 bits;

	if (unlikely(bin >= QUARRY_VMEM_NR_BINS))
		return QUARRY_VMEM_NR_BINS;
	bits = (vmem->avail[word] & parts) >> (bin % 64);
	if (likely(bits))
		return bin + __ffs64(bits);
	while (++word < ARRAY_SIZE(vmem->avail)) {
		bits = vmem->avail[word] & parts;
		if (bits)
			return word * 64 + __ffs64(bits);
	}
	return QUARRY_VMEM_NR_BINS;
}

static __always_inline unsigned int bin_from(const struct quarry_vmem *vmem, unsigned int bin)
{
	return bin_among(vmem, bin, U64_MAX);
}

/* The largest size that a class takes, or U64_MAX if that can't be told. */
static inline u64 class_size(const struct quarry_vmem *vmem, unsigned int class)
{
	unsigned int above = class - QUARRY_VMEM_NR_EXACT;
	u64 quanta;

	if (class < QUARRY_VMEM_NR_EXACT)
		return (u64)(class + 1) << vmem->quantum_shift;
	quanta = ((5ULL + above % 4) << (above / 4 + 5)) - 1;
	return quanta > U64_MAX >> vmem->quantum_shift ? U64_MAX : quanta << vmem->quantum_shift;
}

/* Free tags. */
static inline struct quarry_vmem_tag *get_tag(struct quarry_vmem *vmem)
{
	struct quarry_vmem_tag *tag = vmem->free_tags;

	vmem->free_tags = tag->link;
	vmem->nr_free_tags--;
	return tag;
}

static inline void put_tag(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag)
{
	tag->link = vmem->free_tags;
	vmem->free_tags = tag;
	vmem->nr_free_tags++;
}

/* How many tags it takes to cut a range out of a segment. */
static inline unsigned int __quarry_vmem_tags_for(const struct quarry_vmem_tag *tag, u64 start,
						  u64 size)
{
	return (start != tag->start) + (start + (size - 1) != last_of(tag));
}

/* lib/vmem_index.c */
struct quarry_vmem_tag *__quarry_vmem_locate_used(const struct quarry_vmem *vmem, u64 addr);
void __quarry_vmem_table_grow(struct quarry_vmem *vmem);
void __quarry_vmem_table_shrink(struct quarry_vmem *vmem);
void __quarry_vmem_trie_remove(struct quarry_vmem *vmem, unsigned int bin,
			       struct quarry_vmem_tag *tag);
void __quarry_vmem_free_insert(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag);
void __quarry_vmem_free_remove(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag);
struct quarry_vmem_tag *__quarry_vmem_lowest(const struct quarry_vmem *vmem, unsigned int bin);
unsigned int __quarry_vmem_colour(const struct quarry_vmem *vmem,
				  const struct quarry_vmem_tag *tag);
void __quarry_vmem_broken(struct quarry_vmem *vmem, const char *what, u64 addr);

/* lib/vmem_find.c */
struct quarry_vmem_tag *__quarry_vmem_search(struct quarry_vmem *vmem, struct want *want);
struct quarry_vmem_tag *__quarry_vmem_locate(struct quarry_vmem *vmem, u64 addr);
struct quarry_vmem_tag *__quarry_vmem_largest(struct quarry_vmem *vmem);

/* lib/vmem_span.c */
struct span *__quarry_vmem_span_from(const struct quarry_vmem *vmem, u64 addr);
struct span *__quarry_vmem_span_of(const struct quarry_vmem *vmem, u64 addr);
int __quarry_vmem_check_span(const struct quarry_vmem *vmem, u64 start, u64 size);
struct quarry_vmem_tag *__quarry_vmem_insert_span(struct quarry_vmem *vmem, u64 start,
						  u64 size, bool imported, bool bordered);
bool __quarry_vmem_drop_span(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag);
int __quarry_vmem_import(struct quarry_vmem *vmem, struct want *want);

/* lib/vmem_memory.c */
bool __quarry_vmem_tend(struct quarry_vmem *vmem, bool sure);
bool __quarry_vmem_give_memory(struct quarry_vmem *vmem, void *memory, size_t size);
void __quarry_vmem_give_back(struct quarry_vmem *vmem);

/* lib/vmem_qcache.c */
bool __quarry_vmem_unslot(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
			  enum quarry_vmem_state state);
bool __quarry_vmem_get_cached(struct quarry_vmem *vmem, u64 size, u64 *addr);
int __quarry_vmem_put_claimed(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag);
bool __quarry_vmem_put_cached(struct quarry_vmem *vmem, u64 addr, u64 size);
void __quarry_vmem_reclaim_qcache(struct quarry_vmem *vmem);
void __quarry_vmem_drain_qcache(struct quarry_vmem *vmem);
void __quarry_vmem_count_cached(struct quarry_vmem *vmem, struct quarry_vmem_stats *stats);
bool __quarry_vmem_is_slotted(const struct quarry_vmem *vmem, const struct quarry_vmem_tag *tag);

/* lib/vmem_wait.c */
void __quarry_vmem_serve(struct quarry_vmem *vmem, bool retry);
int __quarry_vmem_wait(struct quarry_vmem *vmem, struct want *want, unsigned long timeout);

/* lib/vmem.c */
struct quarry_vmem_tag *__quarry_vmem_settle(struct quarry_vmem *vmem,
					     struct quarry_vmem_tag *tag);
struct quarry_vmem_tag *__quarry_vmem_carve(struct quarry_vmem *vmem,
					    struct quarry_vmem_tag *tag, u64 start, u64 size);
int __quarry_vmem_take(struct quarry_vmem *vmem, struct want *want);
int __quarry_vmem_fetch(struct quarry_vmem *vmem, struct want *want);
unsigned int __quarry_vmem_take_several(struct quarry_vmem *vmem, u64 size, unsigned int nr,
					enum quarry_vmem_state state,
					struct quarry_vmem_tag **first);
void __quarry_vmem_free_tag(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
			    struct quarry_region *back);
void __quarry_vmem_give_span_back(struct quarry_vmem *vmem, struct quarry_region span);
int __quarry_vmem_refuse(struct quarry_vmem *vmem, int err, const char *what, u64 value,
			 unsigned long caller);

#endif /* QUARRY_VMEM_INTERNAL_H */
