// SPDX-License-Identifier: GPL-2.0
/*
 * Slab: objects of one size, out of any memory, in bounded time.
 *
 * 1. Terms. A slab is a piece of memory cut into objects of one size, the stride:
 *    what the user asked for, rounded up to the alignment. Slabs come from a
 *    backend, all of one size, or are buffers that the caller grows the allocator
 *    by, each of its own. An object is fresh until it is given out for the first
 *    time; then it is in use, or freed. A slab is empty, partial or full by its
 *    objects in use. Slabs with the same number of objects have one shape.
 *
 * 2. Structure. A slab has a head, which lies before its objects:
 *
 *          shape      8   what it has in common with others; NULL while not linked
 *          node      16   its place on a list, unless it is full
 *          top        8   the top word of bits
 *          nr_used    4   objects in use
 *          fresh      4   objects that were given out at least once
 *          objects    8   the first object
 *          words    8 n   the other words of bits, if there are more than 64 objects
 *          slack          so that the objects end where the slab does
 *          objects
 *
 *    (bytes on 64-bit machines), or in memory from another allocator. All objects
 *    with an index below fresh were given out, none from there on. Of those below, a
 *    bit tells whether the object is freed. With one word of bits, that is top.
 *    With more, the words of level 0 lie behind the head, those of level 1, a bit
 *    for each word below that isn't 0, behind them, and so on until one word is
 *    enough, which is top:
 *
 *          level 2, top             1 0 0 1
 *          level 1       ...1..              ..1..1
 *          level 0      1..1.               11.  ..1...1
 *
 *    So a free object is never written to, and what an index is follows exactly:
 *
 *          index >= fresh              never given out
 *          index < fresh, bit set      free
 *          index < fresh, bit clear    in use
 *
 *    Words are cleared when fresh gets to the first object that they are about:
 *    making a slab writes the head and nothing else, whatever the number of
 *    objects.
 *
 *    Slabs are on one of ten lists: empty ones from the backend, empty buffers, and
 *    partial ones in eight groups by their objects in use. stocked has a bit for each
 *    list that has any. Full slabs are on none; a count tells how many there are.
 *
 *    From an address to its slab: the backend has a word for each page, where its
 *    slabs' heads are entered (lib/backend.c). Buffers are in a tree by their
 *    addresses, with a record each: before the head in the buffer, but for the first
 *    buffer's, for which there is room in the allocator, so that one page of a caller's
 *    holds as many objects as one from the backend.
 *
 * 3. Algorithm. Allocation takes a slab of the fullest group that has any, in it the
 *    lowest freed object, and only if there is none the next fresh one: so that
 *    slabs in little use become empty, and memory that was never touched stays so.
 *    An index becomes an address by multiplication; an address becomes an index by
 *    the inverse of it, which makes of any address that isn't exactly an object's
 *    start a number that isn't an object's: one comparison with fresh finds
 *    pointers into objects, between them, into the head, and to objects that were
 *    never given out (H. S. Warren, Hacker's Delight, 10-17).
 *    A slab changes its list when its number in use passes the end of a group, 0 or
 *    all. The shape's edges have a bit for each of those numbers, modulo the bits of
 *    a word, so that one test tells that nothing is to be done. Where most slabs are
 *    full, most changes are from full or to it; these touch one end of one list.
 *
 * 4. Refill. An allocation that finds no more free objects than the watermark asks
 *    for memory, once, with the lock dropped, and then looks again. What is asked
 *    may itself need objects of this allocator: that allocation is known by the task
 *    and the kind of context, which the first one has put on a list for as long as
 *    it waits; it doesn't ask again, and has the last objects for itself. Slabs that
 *    become empty go back at once, except for a few, and for those whose objects were
 *    promised by a reserve.
 *
 * 5. Bounds. Allocation and freeing cost a step for each level of bits (one, with up
 *    to 64 objects in a slab; at most four, or five with words of 32 bits), for
 *    objects in buffers log2(buffers) more, and what backend, refill and release
 *    need. Nothing depends on the number of slabs or objects. Interrupts are off for
 *    32 objects at a time in bulk, and for whole slabs only in debugging walks.
 *
 * 6. Locking. One raw spinlock guards all but what init sets. Under it nothing is
 *    called back, fetched, given back or logged. A slab that isn't linked yet, or no
 *    more, belongs to whoever makes or unmakes it: then its shape is NULL, or it is
 *    not in the tree, so that no address is taken for an object of it. The order is
 *    the backend's lock, this one, the buddy's; the lock of the allocator of heads
 *    is never taken inside this one.
 *
 * 7. Failure. A call that can't be right is refused and changes nothing but a
 *    counter. A head that contradicts itself or the lists was written to by someone
 *    else: this WARNs, and the allocator serves nothing more (-EIO). The shape comes
 *    first in a head and is looked at first, so that what runs over the end of the
 *    memory before is found.
 *
 * After J. Bonwick, The Slab Allocator, USENIX Summer 1994.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "inject.h"
#include "slab_internal.h"

/* Objects handled without a break in bulk. */
#define BATCH	32
#define NO_INDEX	ULONG_MAX

/* Who waits for a refill: allocations of the same task and context are from inside. */
struct refill {
	struct hlist_node node;
	const struct task_struct *task;
	unsigned int context;
};

/* ---- Saying no ---- */

/* The memory that an address is told as an offset into. */
u64 __quarry_slab_base(struct quarry_slab *slab, const void *addr, u64 *size)
{
	const struct quarry_slab_buffer *buffer = __quarry_slab_find_buffer(slab, addr);

	lockdep_assert_held(&slab->lock);

	if (buffer) {
		*size = buffer->size;
		return (unsigned long)buffer->start;
	}
	*size = slab->backend ? slab->backend->region.size : 0;
	return slab->backend ? slab->backend->region.base : 0;
}

/* Count and log a call that can't be right; @err is passed through. */
noinline __cold int __quarry_slab_refuse(struct quarry_slab *slab, int err, const char *what,
					 u64 value, unsigned long caller)
{
	struct quarry_misuse misuse = {
		.kind = "slab",
		.name = slab->name,
		.what = what,
		.value = value,
		.caller = caller,
	};
	unsigned long irq;

	raw_spin_lock_irqsave(&slab->lock, irq);
	slab->nr_misuses++;
	misuse.base = __quarry_slab_base(slab, (const void *)(unsigned long)value, &misuse.size);
	raw_spin_unlock_irqrestore(&slab->lock, irq);

	quarry_report_misuse(&misuse);
	return err;
}

/* Take the allocator out of service: a head or a list can't be right. */
noinline __cold void __quarry_slab_broken(struct quarry_slab *slab, const char *what,
					  const void *addr)
{
	u64 base, size;

	lockdep_assert_held(&slab->lock);

	if (slab->broken)
		return;
	base = __quarry_slab_base(slab, addr, &size);
	quarry_report_broken("slab", slab->name, what, addr ? (unsigned long)addr - base : 0);
	slab->broken = true;
	slab->map = &__quarry_slab_nowhere;
	__quarry_slab_set_limit(slab);
}

/* Why an address isn't that of an object in use. */
enum reason {
	NO_ADDRESS,
	OUT_OF_SERVICE,
	NOT_MANAGED,
	NOT_IN_AN_OBJECT,
	NOT_A_START,
	NEVER_GIVEN,
	FREE_ALREADY,
};

static noinline __cold enum reason why_not_used(struct quarry_slab *slab, const void *object)
{
	struct quarry_slab_head *head;
	unsigned long offset;

	lockdep_assert_held(&slab->lock);

	if (!object)
		return NO_ADDRESS;
	if (slab->broken)
		return OUT_OF_SERVICE;
	head = __quarry_slab_find(slab, object);
	if (!head)
		return NOT_MANAGED;

	offset = (unsigned long)object - (unsigned long)head->objects;
	if (offset / slab->stride >= head->shape->capacity)
		return NOT_IN_AN_OBJECT;
	if (offset % slab->stride)
		return NOT_A_START;
	return offset / slab->stride >= head->fresh ? NEVER_GIVEN : FREE_ALREADY;
}

static noinline __cold int refuse_object(struct quarry_slab *slab, enum reason reason,
					 const void *object, unsigned long caller)
{
	static const struct {
		int err;
		const char *what;
	} answers[] = {
		[NOT_MANAGED] = { -EINVAL, "not an address that is managed" },
		[NOT_IN_AN_OBJECT] = { -EINVAL, "not in an object" },
		[NOT_A_START] = { -EINVAL, "not the start of an object" },
		[NEVER_GIVEN] = { -EINVAL, "never given out" },
		[FREE_ALREADY] = { -ENOENT, "free already" },
	};

	if (reason == NO_ADDRESS)
		return 0;
	if (reason == OUT_OF_SERVICE)
		return -EIO;
	return __quarry_slab_refuse(slab, answers[reason].err, answers[reason].what,
				    (unsigned long)object, caller);
}

/* Whether flags can be right for this allocator; says so if not. */
static noinline __cold bool are_flags_right(struct quarry_slab *slab, unsigned int flags,
					    unsigned long caller)
{
	const char *what = "unknown flags";

	if (!(flags & slab->refused_flags))
		return true;
	if (!(flags & ~QUARRY_SLAB_FLAGS))
		what = "zeroes wanted of what has a constructor";
	__quarry_slab_refuse(slab, -EINVAL, what, flags, caller);
	return false;
}

static noinline __cold int refuse_array(struct quarry_slab *slab, unsigned int nr,
					unsigned long caller)
{
	return __quarry_slab_refuse(slab, -EINVAL, "no array of objects", nr, caller);
}

/* ---- Slabs and lists ---- */

static noinline struct quarry_slab_head *find_in_buffers(struct quarry_slab *slab,
							 const void *addr)
{
	struct quarry_slab_buffer *buffer;

	if (unlikely(slab->broken))
		return NULL;
	buffer = __quarry_slab_find_buffer(slab, addr);
	return buffer && buffer->head->shape == &buffer->shape ? buffer->head : NULL;
}

static __always_inline struct quarry_slab_head *find(struct quarry_slab *slab, const void *addr)
{
	struct quarry_slab_head *head = __quarry_slab_head_of(slab, addr);

	lockdep_assert_held(&slab->lock);

	return likely(head) ? head : find_in_buffers(slab, addr);
}

/* The head of the slab or buffer that holds an address, or NULL. */
struct quarry_slab_head *__quarry_slab_find(struct quarry_slab *slab, const void *addr)
{
	return find(slab, addr);
}

/* The shape of a head on a list, or NULL if it can't be right. */
static __always_inline const struct quarry_slab_shape *shape_of(struct quarry_slab *slab,
								struct quarry_slab_head *head)
{
	if (likely(head->shape == &slab->shape))
		return &slab->shape;
	return find_in_buffers(slab, head) == head ? head->shape : NULL;
}

static noinline __cold unsigned int damaged(struct quarry_slab *slab,
					    struct quarry_slab_head *head)
{
	__quarry_slab_broken(slab, "the head of a slab is damaged", head);
	return 0;
}

/* Whether a slab may change its list between this number in use and the next. */
static __always_inline bool is_edge(const struct quarry_slab_shape *shape, u32 nr_used)
{
	return shape->edges >> (nr_used & (BITS_PER_LONG - 1)) & 1;
}

/* Let a slab whose objects in use were @before be where it belongs. */
static void relist(struct quarry_slab *slab, struct quarry_slab_head *head, u32 before)
{
	unsigned int from = __quarry_slab_list_of(head->shape, before);
	unsigned int to = __quarry_slab_list_of(head->shape, head->nr_used);

	if (from == to)
		return;
	if (likely(__quarry_slab_remove(slab, head, from)))
		__quarry_slab_insert(slab, head, to);
	else
		damaged(slab, head);
}

/* As relist(), for the first of a list, which has become full: mostly it's that. */
static __always_inline void relist_full(struct quarry_slab *slab, struct quarry_slab_head *head,
					unsigned int list)
{
	struct hlist_node *next = head->node.next;

	slab->lists[list].first = next;
	if (next)
		next->pprev = &slab->lists[list].first;
	else
		slab->stocked &= ~BIT(list);
	head->node.pprev = NULL;
	slab->nr_full++;
}

/* As relist(), for a slab that was full. */
static __always_inline void relist_not_full(struct quarry_slab *slab,
					    struct quarry_slab_head *head)
{
	if (unlikely(!hlist_unhashed(&head->node))) {
		damaged(slab, head);
		return;
	}
	slab->nr_full--;
	slab->stocked |= BIT(LIST_FULLEST);
	hlist_add_head(&head->node, &slab->lists[LIST_FULLEST]);
}

/* ---- Objects in a slab ---- */

/* Let go of the bits of the levels above for a word that has become 0. */
static void lower_bits(struct quarry_slab_head *head, const struct quarry_slab_shape *shape,
		       unsigned long index)
{
	unsigned int level;

	for (level = 1; level < shape->depth; level++) {
		unsigned long *word = __quarry_slab_word(head, shape, level, index);

		*word &= ~__quarry_slab_bit(level, index);
		if (*word)
			break;
	}
}

/* The reverse, for a word that was 0. */
static noinline void raise_bits(struct quarry_slab_head *head,
				const struct quarry_slab_shape *shape, unsigned long index)
{
	unsigned int level;

	for (level = 1; level < shape->depth; level++) {
		unsigned long *word = __quarry_slab_word(head, shape, level, index);
		unsigned long old = *word;

		*word = old | __quarry_slab_bit(level, index);
		if (old)
			break;
	}
}

/* The lowest freed object, below the lowest bit of top, of a slab with two levels. */
static __always_inline unsigned long pop_second(struct quarry_slab_head *head,
						unsigned long top)
{
	unsigned long number = __ffs(top);
	unsigned long word, rest;

	if (unlikely(number << QUARRY_SLAB_SHIFT >= head->fresh))
		return NO_INDEX;
	word = head->words[number];
	if (unlikely(!word))
		return NO_INDEX;
	rest = word & (word - 1);
	head->words[number] = rest;
	if (!rest)
		head->top = top & (top - 1);
	return number << QUARRY_SLAB_SHIFT | __ffs(word);
}

/* The same for a slab with any number of levels. */
static noinline unsigned long pop_deep(struct quarry_slab_head *head,
				       const struct quarry_slab_shape *shape)
{
	unsigned long *word = &head->top;
	unsigned long index = __ffs(*word);
	unsigned int level = shape->depth - 1;

	while (level--) {
		if (unlikely(index << (QUARRY_SLAB_SHIFT * (level + 1)) >= head->fresh))
			return NO_INDEX;
		word = &head->words[shape->level[level] + index];
		if (unlikely(!*word))
			return NO_INDEX;
		index = index << QUARRY_SLAB_SHIFT | __ffs(*word);
	}
	*word &= *word - 1;
	if (!*word)
		lower_bits(head, shape, index);
	return index;
}

/* Clear the words whose first object is the next fresh one. */
static noinline void clear_words(struct quarry_slab_head *head,
				 const struct quarry_slab_shape *shape, unsigned long index)
{
	unsigned int level;

	for (level = 0; level + 1 < shape->depth; level++) {
		if (index & (BIT(QUARRY_SLAB_SHIFT * (level + 1)) - 1))
			break;
		*__quarry_slab_word(head, shape, level, index) = 0;
	}
}

/* Take a free object out of a slab; NO_INDEX if it has none, or what can't be one. */
static __always_inline unsigned long pop(struct quarry_slab_head *head,
					 const struct quarry_slab_shape *shape)
{
	unsigned long index, top = head->top;

	if (top) {
		if (likely(shape->depth == 1)) {
			index = __ffs(top);
			head->top = top & (top - 1);
		} else if (shape->depth == 2) {
			index = pop_second(head, top);
		} else {
			index = pop_deep(head, shape);
		}
		return likely(index < head->fresh) ? index : NO_INDEX;
	}

	index = head->fresh;
	if (unlikely(index >= shape->capacity))
		return NO_INDEX;
	if (unlikely(!(index & (BITS_PER_LONG - 1))))
		clear_words(head, shape, index);
	WRITE_ONCE(head->fresh, index + 1);
	return index;
}

/* Make an object free; false if it isn't one that is in use. */
static __always_inline bool push(struct quarry_slab *slab, struct quarry_slab_head *head,
				 const void *object)
{
	unsigned long index = __quarry_slab_index(slab, head, object);
	unsigned long bit = BIT(index & (BITS_PER_LONG - 1));
	unsigned int depth = head->shape->depth;
	unsigned long *word = &head->top;
	unsigned long old;

	if (unlikely(!__quarry_slab_was_given(head, index)))
		return false;
	if (depth > 1)
		word = &head->words[index >> QUARRY_SLAB_SHIFT];
	old = *word;
	if (unlikely(old & bit))
		return false;
	*word = old | bit;
	if (depth == 2)
		head->top |= BIT(index >> QUARRY_SLAB_SHIFT);
	else if (depth > 2 && !old)
		raise_bits(head, head->shape, index);
	return true;
}

/*
 * The same for simple slabs, from the backend and with one word of bits, and finding
 * the head as well; false leaves it to others what the address is.
 */
static __always_inline bool push_simply(struct quarry_slab *slab, const void *object,
					struct quarry_slab_head **head)
{
	unsigned long owner = quarry_backend_owner(slab->map, object);
	unsigned long index, top;

	*head = __quarry_slab_head_in(owner);
	if (unlikely(!(owner & QUARRY_OWNER_SLAB) || (*head)->shape != slab->simple))
		return false;
	index = __quarry_slab_index(slab, *head, object);
	if (unlikely(!__quarry_slab_was_given(*head, index)))
		return false;
	top = (*head)->top | BIT(index & (BITS_PER_LONG - 1));
	if (unlikely(top == (*head)->top))
		return false;
	(*head)->top = top;
	return true;
}

/* ---- Taking and putting back ---- */

static __always_inline void account_taken(struct quarry_slab *slab, unsigned long nr)
{
	unsigned long nr_used = slab->nr_used + nr;

	slab->nr_used = nr_used;
	slab->nr_allocs += nr;
	if (unlikely(nr_used > slab->peak))
		slab->peak = nr_used;
}

static __always_inline struct quarry_slab_head *first_of(const struct quarry_slab *slab,
							 unsigned int list)
{
	return hlist_entry(slab->lists[list].first, struct quarry_slab_head, node);
}

/* One of the fullest slabs that aren't full; NULL if it, or the lists, are damaged. */
static struct quarry_slab_head *fullest(struct quarry_slab *slab)
{
	struct quarry_slab_head *head = NULL;

	lockdep_assert_held(&slab->lock);

	if (likely(slab->stocked)) {
		head = first_of(slab, __fls(slab->stocked));
		if (likely(shape_of(slab, head)))
			return head;
	}
	damaged(slab, head);
	return NULL;
}

/*
 * Take up to @nr objects, of which there is one, out of one of the fullest slabs that
 * aren't full; returns how many, 0 if the slab is damaged.
 */
static unsigned int take_run(struct quarry_slab *slab, void **objects, unsigned int nr)
{
	struct quarry_slab_head *head = fullest(slab);
	unsigned int i;
	u32 before;

	if (unlikely(!head))
		return 0;
	before = head->nr_used;
	nr = min(nr, head->shape->capacity - before);
	for (i = 0; i < nr; i++) {
		unsigned long index = pop(head, head->shape);

		if (unlikely(index == NO_INDEX))
			return damaged(slab, head);
		objects[i] = head->objects + index * slab->stride;
	}
	head->nr_used = before + nr;
	relist(slab, head, before);
	account_taken(slab, nr);
	return nr;
}

/* relist() for take(), which has nothing to save but what this hands back. */
static noinline void *relist_for(struct quarry_slab *slab, struct quarry_slab_head *head,
				 u32 before, void *object)
{
	relist(slab, head, before);
	return object;
}

static noinline __cold void note_failure(struct quarry_slab *slab)
{
	slab->nr_failures++;
	slab->last_failure = ktime_get_mono_fast_ns();
}

/* Take an object, of which there is one; NULL if the slab is damaged. */
static noinline void *take_any(struct quarry_slab *slab)
{
	struct quarry_slab_head *head = fullest(slab);
	unsigned long index = NO_INDEX;
	u32 before;

	if (likely(head))
		index = pop(head, head->shape);
	if (unlikely(index == NO_INDEX)) {
		damaged(slab, head);
		note_failure(slab);
		return NULL;
	}
	account_taken(slab, 1);
	before = head->nr_used;
	head->nr_used = before + 1;
	if (is_edge(head->shape, before))
		relist(slab, head, before);
	return head->objects + index * slab->stride;
}

/*
 * The same, written out for simple slabs, from the backend and with one word of bits;
 * take_any() does the rest, and what can't be right.
 */
static __always_inline void *take(struct quarry_slab *slab)
{
	unsigned long index, top, stocked = slab->stocked;
	struct quarry_slab_head *head;
	unsigned int list;
	void *object;
	u32 before;

	lockdep_assert_held(&slab->lock);

	if (unlikely(!stocked))
		return take_any(slab);
	list = __fls(stocked);
	head = first_of(slab, list);
	if (unlikely(head->shape != slab->simple))
		return take_any(slab);
	top = head->top;
	if (likely(top)) {
		index = __ffs(top);
		if (unlikely(index >= head->fresh))
			return take_any(slab);
		head->top = top & (top - 1);
	} else {
		index = head->fresh;
		if (unlikely(index >= slab->shape.capacity))
			return take_any(slab);
		WRITE_ONCE(head->fresh, index + 1);
	}

	object = head->objects + index * slab->stride;
	account_taken(slab, 1);
	before = head->nr_used;
	head->nr_used = before + 1;
	if (is_edge(&slab->shape, before)) {
		if (unlikely(before + 1 != slab->shape.brim))
			return relist_for(slab, head, before, object);
		relist_full(slab, head, list);
	}
	return object;
}

/*
 * A slab whose objects in use have become one of the edges; returns it, unlinked, if
 * that left it empty, and nobody needs it.
 */
static noinline struct quarry_slab_head *lower(struct quarry_slab *slab,
					       struct quarry_slab_head *head)
{
	if (unlikely(head->nr_used >= head->shape->capacity)) {
		damaged(slab, head);
		return NULL;
	}
	relist(slab, head, head->nr_used + 1);
	return head->nr_used ? NULL : __quarry_slab_surplus(slab, head);
}

/* Account for an object that was made free; as lower(). */
static __always_inline struct quarry_slab_head *put(struct quarry_slab *slab,
						    struct quarry_slab_head *head,
						    const struct quarry_slab_shape *shape)
{
	u32 nr_used = head->nr_used - 1;

	lockdep_assert_held(&slab->lock);

	slab->nr_used--;
	head->nr_used = nr_used;
	if (!is_edge(shape, nr_used))
		return NULL;
	if (unlikely(nr_used + 1 != shape->brim))
		return lower(slab, head);
	relist_not_full(slab, head);
	return NULL;
}

/* ---- Allocation ---- */

/* Whether this is an allocation by the refill that another one waits for. */
static bool is_inside(const struct quarry_slab *slab, const struct refill *self)
{
	const struct refill *refill;

	hlist_for_each_entry(refill, &slab->refills, node)
		if (refill->task == self->task && refill->context == self->context)
			return true;
	return false;
}

/* Ask for memory, with the lock dropped meanwhile. */
static void ask(struct quarry_slab *slab, struct refill *self, unsigned long *irq)
	__must_hold(&slab->lock)
{
	hlist_add_head(&self->node, &slab->refills);
	slab->nr_refills++;
	raw_spin_unlock_irqrestore(&slab->lock, *irq);

	/* What it returns doesn't matter: there are objects now, or there aren't. */
	if (!quarry_inject(QUARRY_INJECT_SLAB_REFILL, slab->slab_size))
		slab->refill(slab, slab->ctx);

	raw_spin_lock_irqsave(&slab->lock, *irq);
	__hlist_del(&self->node);
}

/*
 * An allocation that found no more objects than the refill may need, the lock being
 * held; it is dropped.
 */
static noinline void *alloc_slowly(struct quarry_slab *slab, unsigned long irq)
	__releases(&slab->lock)
{
	struct refill self = { .task = current, .context = interrupt_context_level() };
	bool inside = is_inside(slab, &self);
	void *object = NULL;
	unsigned long limit;

	if (!inside && slab->nr_used >= slab->limit && slab->refill && !slab->broken)
		ask(slab, &self, &irq);

	limit = inside && !slab->broken ? slab->nr_objects : slab->limit;
	if (slab->nr_used < limit)
		object = take(slab);
	else
		note_failure(slab);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return object;
}

static __always_inline void *alloc_if_any(struct quarry_slab *slab)
{
	unsigned long irq;
	void *object;

	raw_spin_lock_irqsave(&slab->lock, irq);
	if (unlikely(slab->nr_used >= slab->limit))
		return alloc_slowly(slab, irq);
	object = take(slab);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return object;
}

/* While failures are injected. */
static noinline __cold void *alloc_armed(struct quarry_slab *slab)
{
	unsigned long irq;

	if (!quarry_inject(QUARRY_INJECT_SLAB_ALLOC, slab->stride))
		return alloc_if_any(slab);
	raw_spin_lock_irqsave(&slab->lock, irq);
	note_failure(slab);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return NULL;
}

static __always_inline void *alloc(struct quarry_slab *slab)
{
	if (quarry_inject_armed())
		return alloc_armed(slab);
	return alloc_if_any(slab);
}

static noinline void *alloc_zeroed(struct quarry_slab *slab, unsigned int flags,
				   unsigned long caller)
{
	void *object;

	if (!are_flags_right(slab, flags, caller))
		return NULL;
	object = alloc(slab);
	return object ? memset(object, 0, slab->stride) : NULL;
}

/**
 * quarry_slab_alloc() - allocate an object
 * @slab: the slab allocator
 * @flags: enum quarry_slab_flags
 *
 * If no more than the watermark's objects are free, the refill is called, once,
 * with no lock held. An allocation by the refill itself, in the same task and kind
 * of context, is given one of those, and calls no refill.
 *
 * The contents are undefined without QUARRY_SLAB_ZERO; with a constructor, as it or
 * the last user left them.
 *
 * Context: any but NMI, if the refill allows that. O(1); for an object in a buffer,
 * or a slab of more than BITS_PER_LONG objects, O(log2(buffers) + log2(objects));
 * and the refill.
 * Return: the object; NULL if there is none, the flags can't be right, or the
 * allocator was taken out of service.
 */
void *quarry_slab_alloc(struct quarry_slab *slab, unsigned int flags)
{
	if (unlikely(flags))
		return alloc_zeroed(slab, flags, _RET_IP_);
	return alloc(slab);
}
EXPORT_SYMBOL_GPL(quarry_slab_alloc);

/* Take up to a batch; fewer if there are no more without a refill. */
static unsigned int alloc_batch(struct quarry_slab *slab, void **objects, unsigned int nr)
{
	unsigned int done = 0, run = 1;
	unsigned long irq;

	/* Each may fail then, so each is a call of its own. */
	if (quarry_inject_armed())
		return 0;
	nr = min_t(unsigned int, nr, BATCH);
	raw_spin_lock_irqsave(&slab->lock, irq);
	while (done < nr && slab->nr_used < slab->limit && run) {
		run = min_t(unsigned long, nr - done, slab->limit - slab->nr_used);
		run = take_run(slab, objects + done, run);
		done += run;
	}
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return done;
}

/**
 * quarry_slab_alloc_bulk() - allocate several objects
 * @slab: the slab allocator
 * @flags: enum quarry_slab_flags, for all of them
 * @nr: how many
 * @objects: filled in
 *
 * As so many calls of quarry_slab_alloc(), up to the first that fails.
 *
 * Context: any but NMI, if the refill allows that. O(@nr); interrupts are off for
 * 32 objects at a time.
 * Return: how many were allocated, in @objects from the first on; what was got stays.
 * 0 if the flags can't be right, or @objects is NULL.
 */
unsigned int quarry_slab_alloc_bulk(struct quarry_slab *slab, unsigned int flags,
				    unsigned int nr, void **objects)
{
	unsigned int i, done = 0;

	if (unlikely(flags && !are_flags_right(slab, flags, _RET_IP_)))
		return 0;
	if (unlikely(nr && !objects)) {
		refuse_array(slab, nr, _RET_IP_);
		return 0;
	}

	while (done < nr) {
		unsigned int batch = alloc_batch(slab, objects + done, nr - done);

		if (!batch) {
			objects[done] = alloc(slab);
			if (!objects[done])
				break;
			batch = 1;
		}
		done += batch;
	}
	for (i = 0; flags & QUARRY_SLAB_ZERO && i < done; i++)
		memset(objects[i], 0, slab->stride);
	return done;
}
EXPORT_SYMBOL_GPL(quarry_slab_alloc_bulk);

/* ---- Freeing ---- */

/* Free any object, the lock being held; it is dropped. */
static noinline int free_any(struct quarry_slab *slab, const void *object, unsigned long irq,
			     unsigned long caller) __releases(&slab->lock)
{
	struct quarry_slab_head *surplus, *head = find(slab, object);
	enum reason reason;

	if (likely(head && push(slab, head, object))) {
		surplus = put(slab, head, head->shape);
		raw_spin_unlock_irqrestore(&slab->lock, irq);
		if (unlikely(surplus))
			__quarry_slab_give_back(slab, surplus);
		return 0;
	}
	reason = why_not_used(slab, object);
	raw_spin_unlock_irqrestore(&slab->lock, irq);

	return refuse_object(slab, reason, object, caller);
}

/**
 * quarry_slab_free() - free an object
 * @slab: the slab allocator that it is of
 * @object: what quarry_slab_alloc() gave; nothing is done for NULL
 *
 * If that leaves a slab empty, and more are empty already than shall be kept, it
 * goes back to where it came from: one a call.
 *
 * Context: any but NMI, if the release allows that. O(1); for an object in a
 * buffer, or a slab of more than BITS_PER_LONG objects, O(log2(buffers) +
 * log2(objects)); and giving a slab back.
 * Return: 0; -EINVAL if @object is not of this allocator, not the start of an
 * object, or was never given out; -ENOENT if it is free already; -EIO if out of
 * service. In each of these cases nothing changes.
 */
int quarry_slab_free(struct quarry_slab *slab, void *object)
{
	struct quarry_slab_head *head, *surplus;
	unsigned long irq;

	raw_spin_lock_irqsave(&slab->lock, irq);
	if (unlikely(!push_simply(slab, object, &head)))
		return free_any(slab, object, irq, _RET_IP_);
	surplus = put(slab, head, &slab->shape);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	if (unlikely(surplus))
		__quarry_slab_give_back(slab, surplus);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_slab_free);

/* Free up to the first that can't be; surplus slabs are collected. */
static unsigned int free_batch(struct quarry_slab *slab, void **objects, unsigned int nr,
			       struct hlist_head *surplus)
{
	struct quarry_slab_head *head;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (likely(push_simply(slab, objects[i], &head))) {
			head = put(slab, head, &slab->shape);
		} else {
			head = find(slab, objects[i]);
			if (unlikely(!head || !push(slab, head, objects[i])))
				break;
			head = put(slab, head, head->shape);
		}
		if (unlikely(head))
			hlist_add_head(&head->node, surplus);
	}
	return i;
}

static void give_back_all(struct quarry_slab *slab, struct hlist_head *surplus)
{
	struct quarry_slab_head *head;
	struct hlist_node *next;

	hlist_for_each_entry_safe(head, next, surplus, node)
		__quarry_slab_give_back(slab, head);
}

/**
 * quarry_slab_free_bulk() - free several objects
 * @slab: the slab allocator that they are of
 * @nr: how many
 * @objects: the objects; NULL among them is skipped
 *
 * As so many calls of quarry_slab_free(): those that can't be right are refused,
 * and all others freed.
 *
 * Context: any but NMI, if the release allows that. O(@nr); interrupts are off for
 * 32 objects at a time.
 * Return: 0, or the errno of the first that was refused; -EINVAL if @objects is NULL
 * and @nr isn't 0.
 */
int quarry_slab_free_bulk(struct quarry_slab *slab, unsigned int nr, void **objects)
{
	int err, first_err = 0;

	if (unlikely(nr && !objects))
		return refuse_array(slab, nr, _RET_IP_);

	while (nr) {
		unsigned int done, batch = min_t(unsigned int, nr, BATCH);
		struct hlist_head surplus = HLIST_HEAD_INIT;
		enum reason reason = NO_ADDRESS;
		unsigned long irq;

		raw_spin_lock_irqsave(&slab->lock, irq);
		done = free_batch(slab, objects, batch, &surplus);
		if (done < batch)
			reason = why_not_used(slab, objects[done]);
		raw_spin_unlock_irqrestore(&slab->lock, irq);

		give_back_all(slab, &surplus);
		if (done < batch) {
			err = refuse_object(slab, reason, objects[done], _RET_IP_);
			first_err = first_err ?: err;
			done++;
		}
		objects += done;
		nr -= done;
	}
	return first_err;
}
EXPORT_SYMBOL_GPL(quarry_slab_free_bulk);

/* ---- Promises ---- */

static bool lacks(const struct quarry_slab *slab, unsigned int nr)
{
	return nr && (u64)slab->nr_used + nr > slab->limit;
}

/**
 * quarry_slab_reserve() - let the next allocations not fail
 * @slab: the slab allocator
 * @nr: how many; takes the place of what was reserved before, and 0 ends it
 *
 * Refills until so many objects are free beyond the watermark. They are anyone's:
 * each allocation uses up one of the reserve, and until then no slab is given back
 * that it needs.
 *
 * Context: any but NMI, if the refill allows that. A refill for each slab that is
 * missing.
 * Return: 0; -ENOMEM, and the reserve unchanged, if the memory can't be had (what
 * was got stays); -EIO if out of service.
 */
int quarry_slab_reserve(struct quarry_slab *slab, unsigned int nr)
{
	struct refill self = { .task = current, .context = interrupt_context_level() };
	u64 nr_made, old, until;
	unsigned long irq;
	bool may_ask;
	int err = 0;

	raw_spin_lock_irqsave(&slab->lock, irq);
	may_ask = slab->refill && !is_inside(slab, &self);
	/* From now on, so that what is there isn't reclaimed to get what is missing. */
	old = slab->reserved_until;
	until = slab->nr_allocs + nr;
	slab->reserved_until = until;
	while (!err && lacks(slab, nr)) {
		nr_made = slab->nr_made;
		if (may_ask && !slab->broken)
			ask(slab, &self, &irq);
		if (slab->nr_made == nr_made)
			err = slab->broken ? -EIO : -ENOMEM;
	}
	if (slab->reserved_until == until)
		slab->reserved_until = err ? old : slab->nr_allocs + nr;
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_slab_reserve);
