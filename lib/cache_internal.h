/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the cache share with each other, and with the zone, which is
 * many caches. lib/cache.c says what it all means.
 */
#ifndef QUARRY_CACHE_INTERNAL_H
#define QUARRY_CACHE_INTERNAL_H

#include "cache.h"
#include "slab_internal.h"

/* Why a cache's calls take the long way. */
#define CACHE_CTOR	BIT(0)
#define CACHE_DEBUG	BIT(1)
#define CACHE_ENDED	BIT(2)

/* An item of the magazines is where the slab says that an object starts. */
static inline unsigned long cache_item(const struct quarry_cache *cache, const void *object)
{
	return (unsigned long)object - cache->guard;
}

static inline void *cache_object(const struct quarry_cache *cache, unsigned long item)
{
	return (void *)(item + cache->guard);
}

/* What the first word of an object says while a plain cache has it. */
static __always_inline unsigned long cache_cookie(const struct quarry_cache *cache,
						  const void *object)
{
	return (unsigned long)object ^ cache->secret;
}

/*
 * Whether an address is that of an object of a slab that is in use, as the slab sees it.
 * For one that is, that stays so, whatever changes in the same words meanwhile; any other
 * may become another while it is looked at.
 */
static __always_inline bool cache_is_in(const struct quarry_cache *cache,
					struct quarry_slab_head *head, const void *object)
{
	unsigned long index = __quarry_slab_index(&cache->slab, head, object);

	if (unlikely(!__quarry_slab_was_given(head, index)))
		return false;
	/* As said. */
	return !data_race(__quarry_slab_is_freed(head, &cache->slab.shape, index));
}

/*
 * The slab that has the page of an address, if it is one that the hot path serves; or else
 * NULL. All is done without a lock.
 */
static __always_inline struct quarry_slab_head *cache_slab_at(const struct quarry_cache *cache,
							      const void *object)
{
	unsigned long owner = quarry_backend_owner(cache->slab.map, object);
	struct quarry_slab_head *head = (void *)(owner - QUARRY_OWNER_SLAB);

	if (unlikely(!(owner & QUARRY_OWNER_SLAB)) ||
	    unlikely(READ_ONCE(head->shape) != cache->shape))
		return NULL;
	return head;
}

/* Whatever was in a plain object's first word, it isn't marked as free then. */
static __always_inline void cache_mark_used(void *object)
{
	*(unsigned long *)object = 0;
}

/* Mark an object in use as free, or return false if it is marked already. */
static __always_inline bool cache_mark_free(const struct quarry_cache *cache, void *object)
{
	unsigned long cookie = cache_cookie(cache, object);
	unsigned long *word = object;

	if (unlikely(*word == cookie))
		return false;
	*word = cookie;
	return true;
}

/* Give out an object of a plain cache that is at hand; NULL if there is none. */
static __always_inline void *cache_give_out(struct quarry_cache *cache)
{
	unsigned long item;

	if (unlikely(!__quarry_magazines_pop(&cache->magazines, &item)))
		return NULL;
	cache_mark_used((void *)item);
	return (void *)item;
}

/*
 * Take an object of a plain cache back if it is one that this CPU gave out last, as most
 * are: then it needn't be looked up. False for any other, and for a double free.
 */
static __always_inline bool cache_take_back_last(struct quarry_cache *cache, void *object)
{
	struct quarry_magazines_cpu *cpu;
	bool done = false;
	long state;

	preempt_disable();
	cpu = __quarry_magazines_this(&cache->magazines);
	state = local_read(&cpu->state);
	if (likely(__quarry_magazines_recalls(&cache->magazines, cpu, &cpu->nr_quick, state,
					      (unsigned long)object) &&
		   cache_mark_free(cache, object))) {
		done = __quarry_magazines_push_back(cpu, state);
		if (unlikely(!done))
			cache_mark_used(object);
	}
	preempt_enable();
	return done;
}

/* Take any object of a plain cache back; false if the long way must say what it is. */
static __always_inline bool cache_take_back(struct quarry_cache *cache, void *object)
{
	struct quarry_slab_head *head = cache_slab_at(cache, object);

	if (unlikely(!head || !cache_is_in(cache, head, object) ||
		     !cache_mark_free(cache, object)))
		return false;
	quarry_magazines_put(&cache->magazines, (unsigned long)object);
	return true;
}

/* cache.c */
void *__quarry_cache_alloc(struct quarry_cache *cache, unsigned int flags, unsigned long caller);
int __quarry_cache_free(struct quarry_cache *cache, void *object, unsigned long caller);
int __quarry_cache_check(struct quarry_cache *cache, const void *object, unsigned long caller);
bool __quarry_cache_is_injected(struct quarry_cache *cache, unsigned int flags);
void *__quarry_cache_fail(struct quarry_cache *cache);
void __quarry_cache_note_failure(struct quarry_cache *cache);
bool __quarry_cache_refuse_flags(struct quarry_cache *cache, unsigned int flags,
				 unsigned long caller);
int __quarry_cache_refuse_free(struct quarry_cache *cache, const void *object,
			       unsigned long caller);
void __quarry_cache_report(struct quarry_cache *cache, const char *what, u64 value,
			   unsigned long caller);

/* cache_debug.c */
bool __quarry_cache_debug_enlarge(struct quarry_cache *cache, struct quarry_slab_config *config);
bool __quarry_cache_debug_is_free(const struct quarry_cache *cache, unsigned long item);
void *__quarry_cache_debug_alloc(struct quarry_cache *cache, unsigned int flags,
				 unsigned long caller);
int __quarry_cache_debug_free(struct quarry_cache *cache, void *object, unsigned long caller);

#endif /* QUARRY_CACHE_INTERNAL_H */
