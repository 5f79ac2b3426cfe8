// SPDX-License-Identifier: GPL-2.0
/*
 * Cache, debugging: QUARRY_CACHE_DEBUG.
 *
 * An object of such a cache is larger than what its user gets:
 *
 *          +--------------+-------+----------------------+--------------+
 *          | RED, RED ... | state |   what the user has  | RED, RED ... |
 *          +--------------+-------+----------------------+--------------+
 *          item                    guard bytes later      object_size bytes later
 *
 * The guard in front is as large as the alignment, so that what the user has is aligned
 * as the item is; its last word is the state, derived from the item's address and the
 * cache's secret: free, in use, or out of service. The guard behind takes up the rest,
 * from the first byte that wasn't asked for, and is a word at least. The tail, the word
 * that the object ends in or, if it ends with a word, the one behind, may be both: tail_red
 * is a mask of its bytes that aren't the user's, and tail_free what all of it is while the
 * object is free.
 *
 * Free changes the state in one atomic step, so that of any number of calls, on any
 * CPUs, one succeeds. It looks at both guards, and fills what the user had with POISON;
 * alloc looks whether that is still so. An object with a constructor isn't filled. What
 * was damaged is told in the log, with the place of the first damaged word, and is out
 * of service from then on: the slab has it as in use for ever, because whoever did that
 * may do it again.
 *
 * All is done in words: a 64 byte object takes eight comparisons.
 */
#include <linux/align.h>
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "cache_internal.h"
#include "inject.h"

/* A word of each, from the byte that the kernel's own allocators use for it. */
#define POISON	(~0UL / 0xff * 0x6b)
#define RED	(~0UL / 0xff * 0xcc)

/* Damaged objects that one allocation passes over before it gives up. */
#define DAMAGED_MOST	16

static inline unsigned long *state_of(const struct quarry_cache *cache, unsigned long item)
{
	return (unsigned long *)cache_object(cache, item) - 1;
}

static inline unsigned long free_state(const struct quarry_cache *cache, unsigned long item)
{
	return item ^ cache->secret;
}

static inline unsigned long used_state(const struct quarry_cache *cache, unsigned long item)
{
	return ~free_state(cache, item);
}

/* The secret is odd and an item is even, so this is neither of the two. */
static inline unsigned long retired_state(const struct quarry_cache *cache, unsigned long item)
{
	return free_state(cache, item) - 1;
}

static inline unsigned long *tail_of(const struct quarry_cache *cache, unsigned long item)
{
	return (void *)item + cache->tail;
}

static inline unsigned long *end_of(const struct quarry_cache *cache, unsigned long item)
{
	return (void *)item + cache->slab.stride;
}

static void fill(unsigned long *from, const unsigned long *to, unsigned long word)
{
	memset_l(from, word, to - from);
}

/* The first word that isn't as it should be, or NULL. */
static __always_inline unsigned long *find_other(unsigned long *from, const unsigned long *to,
						 unsigned long word)
{
	for (; from < to; from++)
		if (unlikely(*from != word))
			return from;
	return NULL;
}

/* The same, for more than a few words. */
static __always_inline unsigned long *find_other_of_many(unsigned long *from,
							 const unsigned long *to,
							 unsigned long word)
{
	const unsigned long *last = to - 4;

	for (; from <= last; from += 4)
		if (unlikely(from[0] != word || from[1] != word ||
			     from[2] != word || from[3] != word))
			break;
	return find_other(from, to, word);
}

/*
 * Put an object out of service. Once: if it was free, and its state was damaged when it was
 * freed again, it is out of service already when it is met in its magazine.
 */
static noinline __cold void retire(struct quarry_cache *cache, unsigned long item,
				   const char *what, const unsigned long *where,
				   unsigned long caller)
{
	unsigned long retired = retired_state(cache, item);

	if (xchg(state_of(cache, item), retired) == retired)
		return;
	atomic64_inc(&cache->nr_damaged);
	__quarry_cache_report(cache, what, (unsigned long)where, caller);
}

/* The constructor of all such caches. */
static void construct(void *ctx, void *start)
{
	struct quarry_cache *cache = ctx;
	unsigned long item = (unsigned long)start;
	unsigned long *state = state_of(cache, item), *tail = tail_of(cache, item);

	fill(start, state, RED);
	*state = free_state(cache, item);
	fill(state + 1, tail, POISON);
	*tail = cache->tail_free;
	fill(tail + 1, end_of(cache, item), RED);
	if (cache->ctor)
		cache->ctor(cache->ctx, state + 1);
}

/*
 * Make a configuration one for larger objects. False if they would be larger than
 * numbers go.
 */
bool __quarry_cache_debug_enlarge(struct quarry_cache *cache, struct quarry_slab_config *config)
{
	size_t in_tail = config->object_size % sizeof(long);
	size_t behind = in_tail ? 2 * sizeof(long) - in_tail : sizeof(long);
	size_t guard = max_t(size_t, config->align, QUARRY_SLAB_MIN_SIZE);

	cache->object_size = config->object_size;
	cache->guard = guard;
	cache->tail = guard + ALIGN_DOWN(cache->object_size, sizeof(long));
	cache->tail_free = RED;
	memset(&cache->tail_free, POISON & 0xff, in_tail);
	cache->tail_red = ~0UL;
	memset(&cache->tail_red, 0, in_tail);

	cache->ctor = config->ctor;
	cache->ctx = config->ctx;
	config->ctor = construct;
	config->ctx = cache;
	return !check_add_overflow(cache->object_size, guard + behind, &config->object_size);
}

bool __quarry_cache_debug_is_free(const struct quarry_cache *cache, unsigned long item)
{
	return READ_ONCE(*state_of(cache, item)) == free_state(cache, item);
}

/* The first word of a free object that was written to, or NULL. */
static __always_inline unsigned long *find_write(const struct quarry_cache *cache,
						 unsigned long item)
{
	unsigned long *tail = tail_of(cache, item), *other;

	if (cache->ctor)
		return NULL;
	other = find_other_of_many(state_of(cache, item) + 1, tail, POISON);
	if (unlikely(other))
		return other;
	return likely(*tail == cache->tail_free) ? NULL : tail;
}

/* The first word behind an object that was written to, or NULL. */
static __always_inline unsigned long *find_behind(const struct quarry_cache *cache,
						  unsigned long item)
{
	unsigned long *tail = tail_of(cache, item);

	if (unlikely((*tail ^ RED) & cache->tail_red))
		return tail;
	return find_other(tail + 1, end_of(cache, item), RED);
}

/* Whether an object that leaves its magazine is as it was left. */
static __always_inline bool is_sound(const struct quarry_cache *cache, unsigned long item)
{
	return *state_of(cache, item) == free_state(cache, item) && !find_write(cache, item);
}

static noinline __cold void retire_free(struct quarry_cache *cache, unsigned long item,
					unsigned long caller)
{
	unsigned long *state = state_of(cache, item);

	if (*state != free_state(cache, item))
		retire(cache, item, "written to in front of a free object", state, caller);
	else
		retire(cache, item, "written to while free", find_write(cache, item), caller);
}

static __always_inline void *give_out(struct quarry_cache *cache, unsigned long item)
{
	unsigned long *state = state_of(cache, item);

	WRITE_ONCE(*state, used_state(cache, item));
	return state + 1;
}

/* With an item that isn't sound, or with none, or with flags. */
static noinline void *alloc_slow(struct quarry_cache *cache, unsigned int flags,
				 unsigned long item, unsigned long caller)
{
	unsigned int tries = DAMAGED_MOST;
	void *object;

	if (__quarry_cache_refuse_flags(cache, flags, caller))
		return NULL;
	if (!item)
		item = quarry_magazines_get(&cache->magazines);
	while (item && !is_sound(cache, item)) {
		retire_free(cache, item, caller);
		item = --tries ? quarry_magazines_get(&cache->magazines) : 0;
	}
	if (!item)
		return __quarry_cache_fail(cache);

	object = give_out(cache, item);
	if (flags & QUARRY_SLAB_ZERO)
		memset(object, 0, cache->object_size);
	return object;
}

/* While failures are injected. */
static noinline __cold void *alloc_armed(struct quarry_cache *cache, unsigned int flags,
					 unsigned long caller)
{
	if (__quarry_cache_is_injected(cache, flags))
		return NULL;
	return alloc_slow(cache, flags, 0, caller);
}

/* quarry_cache_alloc() of such a cache. */
void *__quarry_cache_debug_alloc(struct quarry_cache *cache, unsigned int flags,
				 unsigned long caller)
{
	unsigned long item = 0;

	if (quarry_inject_armed())
		return alloc_armed(cache, flags, caller);
	if (likely(!flags && __quarry_magazines_pop(&cache->magazines, &item) &&
		   is_sound(cache, item)))
		return give_out(cache, item);
	return alloc_slow(cache, flags, item, caller);
}

/* What is found when an object comes back. */
enum fate {
	SOUND,
	FREE,
	DAMAGED,
	NOT_KNOWN,
};

/* An object comes back, one that is in use as far as the slab knows. */
static __always_inline enum fate come_back(struct quarry_cache *cache, unsigned long item)
{
	unsigned long used = used_state(cache, item), freed = free_state(cache, item), old;
	unsigned long *state = state_of(cache, item), *tail = tail_of(cache, item);

	old = cmpxchg(state, used, freed);
	if (unlikely(old != used))
		return old == freed || old == retired_state(cache, item) ? FREE : DAMAGED;
	if (unlikely(find_other((void *)item, state, RED) || find_behind(cache, item)))
		return DAMAGED;
	if (!cache->ctor) {
		fill(state + 1, tail, POISON);
		*tail = cache->tail_free;
	}
	return SOUND;
}

static noinline __cold int refuse(struct quarry_cache *cache, unsigned long item,
				  enum fate fate, unsigned long caller)
{
	unsigned long *state = state_of(cache, item), *other;

	if (fate == FREE)
		return __quarry_cache_refuse_free(cache, cache_object(cache, item), caller);

	other = *state == free_state(cache, item) ? find_other((void *)item, state, RED) : state;
	if (other)
		retire(cache, item, "written to in front of an object", other, caller);
	else
		retire(cache, item, "written to behind an object", find_behind(cache, item),
		       caller);
	return -EIO;
}

/* The object isn't the one that this CPU gave out last, or isn't sound. */
static noinline int free_slow(struct quarry_cache *cache, void *object, enum fate fate,
			      unsigned long caller)
{
	unsigned long item = cache_item(cache, object);
	int err;

	if (fate == NOT_KNOWN) {
		if (!object)
			return 0;
		err = __quarry_cache_check(cache, object, caller);
		if (unlikely(err))
			return err;
		fate = come_back(cache, item);
	}
	if (unlikely(fate != SOUND))
		return refuse(cache, item, fate, caller);
	quarry_magazines_put(&cache->magazines, item);
	return 0;
}

/* quarry_cache_free() of such a cache. */
int __quarry_cache_debug_free(struct quarry_cache *cache, void *object, unsigned long caller)
{
	struct quarry_magazines *magazines = &cache->magazines;
	unsigned long item = cache_item(cache, object);
	struct quarry_magazines_cpu *cpu;
	enum fate fate = NOT_KNOWN;
	long state;

	preempt_disable();
	cpu = __quarry_magazines_this(magazines);
	state = local_read(&cpu->state);
	if (likely(__quarry_magazines_recalls(magazines, cpu, &cpu->nr_known, state, item))) {
		fate = come_back(cache, item);
		if (likely(fate == SOUND && __quarry_magazines_push_back(cpu, state))) {
			preempt_enable();
			return 0;
		}
	}
	preempt_enable();
	return free_slow(cache, object, fate, caller);
}
