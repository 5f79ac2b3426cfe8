/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the slab share with each other, and with the cache, which
 * looks at objects without a lock. lib/slab.c says what it all means.
 */
#ifndef QUARRY_SLAB_INTERNAL_H
#define QUARRY_SLAB_INTERNAL_H

#include <linux/bitops.h>
#include <linux/container_of.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>

#include "slab.h"

/*
 * The lists: allocation takes from the last that has any, so that empty slabs,
 * last of them those that can go back to the backend, are used when all else is.
 * Full slabs are on none.
 */
enum {
	LIST_EMPTY_SLABS,
	LIST_EMPTY_BUFFERS,
	LIST_PARTIAL,
	LIST_FULLEST = LIST_PARTIAL + QUARRY_SLAB_NR_PARTIAL - 1,
	NR_LISTS,
	NO_LIST = NR_LISTS,
};

static_assert(NR_LISTS == QUARRY_SLAB_NR_LISTS);
static_assert(BIT(QUARRY_SLAB_SHIFT) == BITS_PER_LONG);
static_assert(BIT(QUARRY_SLAB_SHIFT * QUARRY_SLAB_LEVELS) >= QUARRY_SLAB_MAX_OBJECTS);

/* 251 objects of 16 bytes and 32 bytes of bits leave 48 of a page of 4 KiB. */
static_assert(sizeof(struct quarry_slab_head) == 5 * sizeof(long) + 2 * sizeof(u32));

/* ---- What an address is. The cache asks these without the lock. ---- */

/* The head that an owner of a page tells of, if it is one of a slab. */
static __always_inline struct quarry_slab_head *__quarry_slab_head_in(unsigned long owner)
{
	return (struct quarry_slab_head *)(owner - QUARRY_OWNER_SLAB);
}

/* The head of the slab that has a page, whichever allocator's it is, or NULL. */
static __always_inline struct quarry_slab_head *
__quarry_slab_head_at(const struct quarry_backend *backend, const void *addr)
{
	unsigned long owner = quarry_backend_owner(backend, addr);

	return likely(owner & QUARRY_OWNER_SLAB) ? __quarry_slab_head_in(owner) : NULL;
}

/*
 * The head of the allocator's own slab that holds an address, if it came from the
 * backend; NULL for anything else, buffers included.
 */
static __always_inline struct quarry_slab_head *
__quarry_slab_head_of(const struct quarry_slab *slab, const void *addr)
{
	unsigned long owner = quarry_backend_owner(slab->map, addr);
	struct quarry_slab_head *head = __quarry_slab_head_in(owner);

	if (unlikely(!(owner & QUARRY_OWNER_SLAB) || READ_ONCE(head->shape) != &slab->shape))
		return NULL;
	return head;
}

/*
 * The allocator that a slab from a backend belongs to: not to be followed until it
 * is known, as head may be of yesterday.
 */
static __always_inline struct quarry_slab *
__quarry_slab_of_head(const struct quarry_slab_head *head)
{
	return container_of(READ_ONCE(head->shape), struct quarry_slab, shape);
}

static __always_inline unsigned long __quarry_slab_ror(unsigned long word, unsigned int shift)
{
	return BITS_PER_LONG == 64 ? ror64(word, shift) : ror32(word, shift);
}

/*
 * The number of the object that starts at an address; any address where none does
 * gives a number that is no object's. The stride is an odd number shifted left, so
 * that turning right and multiplying by the odd number's inverse, modulo the word,
 * undoes the multiplication that gave the address, and maps nothing else there.
 */
static __always_inline unsigned long
__quarry_slab_index(const struct quarry_slab *slab, const struct quarry_slab_head *head,
		    const void *object)
{
	unsigned long offset = (unsigned long)object - (unsigned long)head->objects;

	return __quarry_slab_ror(offset, slab->odd_shift) * slab->inverse;
}

/* Whether an object was ever given out, so that an index is that of an object. */
static __always_inline bool __quarry_slab_was_given(const struct quarry_slab_head *head,
						    unsigned long index)
{
	return index < READ_ONCE(head->fresh);
}

/* ---- What the files of the slab share ---- */

/* The word of a level that has the bit for an object or for the words below. */
static inline unsigned long *__quarry_slab_word(struct quarry_slab_head *head,
						const struct quarry_slab_shape *shape,
						unsigned int level, unsigned long index)
{
	if (level + 1 == shape->depth)
		return &head->top;
	return &head->words[shape->level[level] + (index >> (QUARRY_SLAB_SHIFT * (level + 1)))];
}

static inline unsigned long __quarry_slab_bit(unsigned int level, unsigned long index)
{
	return BIT((index >> (QUARRY_SLAB_SHIFT * level)) & (BITS_PER_LONG - 1));
}

/* Whether an object that was given out once is free now. */
static inline bool __quarry_slab_is_freed(struct quarry_slab_head *head,
					  const struct quarry_slab_shape *shape,
					  unsigned long index)
{
	return *__quarry_slab_word(head, shape, 0, index) & __quarry_slab_bit(0, index);
}

static inline bool __quarry_slab_is_used(struct quarry_slab_head *head,
					 const struct quarry_slab_shape *shape,
					 unsigned long index)
{
	return index < head->fresh && !__quarry_slab_is_freed(head, shape, index);
}

/* The list of a slab with so many objects in use. */
static inline unsigned int __quarry_slab_list_of(const struct quarry_slab_shape *shape,
						 unsigned int nr_used)
{
	if (!nr_used)
		return shape->empty_list;
	if (nr_used >= shape->capacity)
		return NO_LIST;
	return LIST_FULLEST - ((shape->capacity - 1 - nr_used) >> shape->group_shift);
}

/* Enter a slab where it belongs by its objects in use. */
static inline void __quarry_slab_insert(struct quarry_slab *slab, struct quarry_slab_head *head,
					unsigned int list)
{
	if (list == NO_LIST) {
		slab->nr_full++;
		return;
	}
	slab->nr_empty += list < LIST_PARTIAL;
	slab->stocked |= BIT(list);
	hlist_add_head(&head->node, &slab->lists[list]);
}

/* Whether a slab can be on the list that its objects in use tell; else it is damaged. */
static inline bool __quarry_slab_is_on(const struct quarry_slab *slab,
				       const struct quarry_slab_head *head, unsigned int list)
{
	unsigned long offset = (unsigned long)head->node.pprev - (unsigned long)slab->lists;

	if (list == NO_LIST || !head->node.pprev)
		return list == NO_LIST && !head->node.pprev;
	return offset >= sizeof(slab->lists) || offset == list * sizeof(slab->lists[0]);
}

/* The reverse of insert; false, and nothing done, if that can't be its list. */
static inline bool __quarry_slab_remove(struct quarry_slab *slab, struct quarry_slab_head *head,
					unsigned int list)
{
	if (unlikely(!__quarry_slab_is_on(slab, head, list)))
		return false;
	if (list == NO_LIST) {
		slab->nr_full--;
		return true;
	}
	slab->nr_empty -= list < LIST_PARTIAL;
	hlist_del_init(&head->node);
	if (hlist_empty(&slab->lists[list]))
		slab->stocked &= ~BIT(list);
	return true;
}

/* How many free objects only an allocation by the refill may have. */
static inline unsigned long __quarry_slab_kept_back(const struct quarry_slab *slab)
{
	return slab->refill ? slab->watermark : 0;
}

/* Allocations that can't fail. */
static inline unsigned long __quarry_slab_reserved(const struct quarry_slab *slab)
{
	u64 left = slab->reserved_until - slab->nr_allocs;

	return slab->reserved_until > slab->nr_allocs ? (unsigned long)left : 0;
}

/* Whether so many free objects can go, for all that was promised. */
static inline bool __quarry_slab_can_spare(const struct quarry_slab *slab, unsigned long nr)
{
	unsigned long nr_free = slab->nr_objects - slab->nr_used;

	return nr_free >= nr &&
	       nr_free - nr >= __quarry_slab_kept_back(slab) + __quarry_slab_reserved(slab);
}

/* What is in use may grow up to the limit. After any change to what it is made of. */
static inline void __quarry_slab_set_limit(struct quarry_slab *slab)
{
	unsigned long kept = __quarry_slab_kept_back(slab);

	slab->limit = slab->nr_objects > kept && !slab->broken ? slab->nr_objects - kept : 0;
}

/* A buffer by a shape that isn't the allocator's own. */
static inline struct quarry_slab_buffer *
__quarry_slab_buffer_of(const struct quarry_slab_shape *shape)
{
	return container_of((struct quarry_slab_shape *)shape, struct quarry_slab_buffer, shape);
}

extern const struct quarry_backend __quarry_slab_nowhere;

/* slab.c */
struct quarry_slab_head *__quarry_slab_find(struct quarry_slab *slab, const void *addr);
void __quarry_slab_broken(struct quarry_slab *slab, const char *what, const void *addr);
int __quarry_slab_refuse(struct quarry_slab *slab, int err, const char *what, u64 value,
			 unsigned long caller);
u64 __quarry_slab_base(struct quarry_slab *slab, const void *addr, u64 *size);

/* slab_walk.c */
struct quarry_slab_head *__quarry_slab_next_head(struct quarry_slab *slab, unsigned long *addr);

/* slab_init.c */
size_t __quarry_slab_fit(size_t room, size_t overhead, size_t stride);
void __quarry_slab_set_shape(struct quarry_slab_shape *shape, size_t capacity,
			     unsigned int empty_list);

/* slab_make.c */
struct quarry_slab_buffer *__quarry_slab_find_buffer(const struct quarry_slab *slab,
						     const void *addr);
struct quarry_slab_buffer *__quarry_slab_next_buffer(const struct quarry_slab *slab,
						     const void *addr);
int __quarry_slab_refill(struct quarry_slab *slab, void *ctx);
size_t __quarry_slab_reclaim(struct quarry_reclaimer *reclaimer);
struct quarry_slab_head *__quarry_slab_unlink(struct quarry_slab *slab,
					      struct quarry_slab_head *head);
struct quarry_slab_head *__quarry_slab_surplus(struct quarry_slab *slab,
					       struct quarry_slab_head *head);
void __quarry_slab_give_back(struct quarry_slab *slab, struct quarry_slab_head *head);

#endif /* QUARRY_SLAB_INTERNAL_H */
