// SPDX-License-Identifier: GPL-2.0
/*
 * Cache: objects of one size from a slab, by way of each CPU's magazines.
 *
 * 1. Terms. The slab (lib/slab.c) has the memory, and the magazines (lib/magazine.c)
 *    have free objects at hand for each CPU. To the slab, an object in a magazine is
 *    one in use. A plain cache is one without a constructor and without
 *    QUARRY_CACHE_DEBUG; the others take a longer way on each call.
 *
 * 2. Objects. While a plain cache has an object in a magazine, or gave it back to its
 *    slab, the first word of it is its cookie:
 *
 *          address of the object XOR the cache's secret
 *
 *    So it is from when the object comes to a magazine for the first time; free writes it,
 *    and alloc clears it before the object is given out. The secret is a random odd
 *    number. So a user's object has its own cookie as its first word just by chance (1 in
 *    2^63; 2^31 on 32-bit), and never when that is a pointer or 0, and finding it in an
 *    object that is to be freed tells that it is free already. An object with a
 *    constructor must keep what is in it, so there is no cookie, and the guards of
 *    lib/cache_debug.c tell more.
 *
 * 3. Algorithm. Alloc pops an object from the CPU's loaded magazine. Free tries first
 *    whether it is the object that this CPU gave out last (see "Recalling" there): then
 *    it is one of ours, its cookie is compared and written, and it is back. For any other
 *    the page's owner is looked up, and so the slab; the slab's shape says whose it is;
 *    one multiplication gives the object's number, or something larger than any for what
 *    isn't the start of an object; the cookie is compared and written, and the object is
 *    pushed to the loaded magazine. All that takes no lock, and reads of what CPUs share
 *    only what changes rarely. Whatever isn't as it should be takes the long way, which
 *    asks the slab, under its lock, and answers.
 *
 *    A magazine is filled with what the slab has free; if that is nothing, the slab gets
 *    memory for one object, and whatever else comes with it.
 *
 * 4. What is found. Always: what isn't the start of an object of this cache; an object
 *    that was never given out; one that the slab has back; one that is freed twice with
 *    nothing in between. In a plain cache, also one in any magazine, unless its first word
 *    was written to after it was freed. With a constructor, one in another magazine is
 *    found when the slab gets it back a second time, and refuses. QUARRY_CACHE_DEBUG finds
 *    each of them at once.
 *
 *    A slab that went back to the backend is forgotten, so that a double free can't be
 *    told from a foreign address any more; and one that races with that may be looked up
 *    in what was the slab a moment before.
 *
 * 5. Bounds. Alloc and free are O(1) but for a fill or flush of at most two magazines
 *    (see there), each object of which takes what it takes in the slab.
 *
 * 6. Memory. The CPUs' shares lie in memory of the caller's, or are one range from the
 *    backend; magazines come from a slab of their own or one that the caller has for
 *    many caches. When the backend runs short, it calls the cache, which gives back this
 *    CPU's magazines, the depot, and the slabs that are empty then.
 *
 * 7. Locking. None of its own; that of the magazines' depot, the slab's, and the
 *    backend's are never held together here, but that the backend calls the reclaimer
 *    with its lock held: backend > depot, backend > slab.
 *
 * After J. Bonwick and J. Adams, USENIX 2001; and J. Bonwick, "The Slab Allocator",
 * USENIX 1994, for the constructor.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "cache_internal.h"
#include "inject.h"

/* ---- Saying no ---- */

/* Log one line about an address or a number. */
noinline __cold void __quarry_cache_report(struct quarry_cache *cache, const char *what,
					    u64 value, unsigned long caller)
{
	struct quarry_misuse misuse = {
		.kind = "cache",
		.name = cache->slab.name,
		.what = what,
		.value = value,
		.caller = caller,
	};
	unsigned long irq;

	raw_spin_lock_irqsave(&cache->slab.lock, irq);
	misuse.base = __quarry_slab_base(&cache->slab, (void *)(unsigned long)value,
					 &misuse.size);
	raw_spin_unlock_irqrestore(&cache->slab.lock, irq);
	quarry_report_misuse(&misuse);
}

/* Count and log a call that can't be right; @err is passed through. */
static noinline __cold int refuse(struct quarry_cache *cache, int err, const char *what,
				  u64 value, unsigned long caller)
{
	atomic64_inc(&cache->nr_misuses);
	__quarry_cache_report(cache, what, value, caller);
	return err;
}

/* What a pointer is that the hot path doesn't take. */
enum verdict {
	IN_USE,
	OUT_OF_SERVICE,
	NOT_AN_OBJECT,
	NOT_A_START,
	NEVER_GIVEN,
	FREE_ALREADY,
};

/* As the slab sees it, to which an object in a magazine is in use. */
static enum verdict judge(struct quarry_slab *slab, unsigned long item)
{
	enum verdict verdict = IN_USE;
	struct quarry_slab_head *head;
	unsigned long irq, index;

	raw_spin_lock_irqsave(&slab->lock, irq);
	head = __quarry_slab_find(slab, (void *)item);
	index = head ? __quarry_slab_index(slab, head, (void *)item) : 0;
	if (slab->broken)
		verdict = OUT_OF_SERVICE;
	else if (!head)
		verdict = NOT_AN_OBJECT;
	else if (index >= head->shape->capacity)
		verdict = NOT_A_START;
	else if (index >= head->fresh)
		verdict = NEVER_GIVEN;
	else if (__quarry_slab_is_freed(head, head->shape, index))
		verdict = FREE_ALREADY;
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return verdict;
}

static noinline __cold int refuse_object(struct quarry_cache *cache, enum verdict verdict,
					 const void *object, unsigned long caller)
{
	static const struct {
		int err;
		const char *what;
	} answers[] = {
		[NOT_AN_OBJECT] = { -EINVAL, "not in a slab of this cache" },
		[NOT_A_START] = { -EINVAL, "not the start of an object" },
		[NEVER_GIVEN] = { -EINVAL, "never given out" },
		[FREE_ALREADY] = { -ENOENT, "free already" },
	};

	if (verdict == OUT_OF_SERVICE)
		return -EIO;
	return refuse(cache, answers[verdict].err, answers[verdict].what,
		      (unsigned long)object, caller);
}

/* ---- Alloc ---- */

/* Whether no such object can be had from this cache; logged if so. */
bool __quarry_cache_refuse_flags(struct quarry_cache *cache, unsigned int flags,
				 unsigned long caller)
{
	if (likely(!(flags & cache->refused_flags)))
		return false;
	refuse(cache, -EINVAL, "alloc: flags that can't be", flags, caller);
	return true;
}

/* The slab has the record of the last failure, also of those that it had no part in. */
noinline __cold void __quarry_cache_note_failure(struct quarry_cache *cache)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&cache->slab.lock, irq);
	cache->slab.last_failure = ktime_get_mono_fast_ns();
	raw_spin_unlock_irqrestore(&cache->slab.lock, irq);
}

/* Count a request that got nothing. */
noinline __cold void *__quarry_cache_fail(struct quarry_cache *cache)
{
	atomic64_inc(&cache->nr_failures);
	__quarry_cache_note_failure(cache);
	return NULL;
}

/* Whether an allocation shall fail that can be right; it has failed and missed then. */
noinline __cold bool __quarry_cache_is_injected(struct quarry_cache *cache, unsigned int flags)
{
	if (flags & cache->refused_flags ||
	    !quarry_inject(QUARRY_INJECT_CACHE_ALLOC, cache->object_size))
		return false;
	__quarry_magazines_miss(&cache->magazines);
	__quarry_cache_fail(cache);
	return true;
}

/* Allocate from a cache without QUARRY_CACHE_DEBUG, with flags that can be. */
static noinline void *alloc_slow(struct quarry_cache *cache, unsigned int flags)
{
	unsigned long item = quarry_magazines_get(&cache->magazines);

	if (unlikely(!item))
		return __quarry_cache_fail(cache);
	if (flags & QUARRY_SLAB_ZERO)
		memset((void *)item, 0, cache->object_size);
	else if (!cache->special)
		cache_mark_used((void *)item);
	return (void *)item;
}

/*
 * quarry_cache_alloc() with flags, of a cache of any kind, at hand or not. An object with
 * a constructor stays as it is.
 */
noinline void *__quarry_cache_alloc(struct quarry_cache *cache, unsigned int flags,
				    unsigned long caller)
{
	if (cache->special & CACHE_DEBUG)
		return __quarry_cache_debug_alloc(cache, flags, caller);
	if (unlikely(cache->special & CACHE_ENDED))
		return __quarry_cache_fail(cache);
	if (__quarry_cache_refuse_flags(cache, flags, caller))
		return NULL;
	if (quarry_inject_armed() && __quarry_cache_is_injected(cache, flags))
		return NULL;
	return alloc_slow(cache, flags);
}

/**
 * quarry_cache_alloc() - allocate an object
 * @cache: the cache
 * @flags: enum quarry_slab_flags
 *
 * Without QUARRY_SLAB_ZERO, an object with a constructor is as its last user left it,
 * and any other as it happens to be.
 *
 * Context: any but NMI. O(1), but for the fill of a magazine.
 * Return: the object; NULL if there is no memory for it, or @flags are unknown or ask
 * for zeroes where there is a constructor.
 */
void *quarry_cache_alloc(struct quarry_cache *cache, unsigned int flags)
{
	void *object;

	if (likely(!(flags | cache->special)) && !quarry_inject_armed()) {
		object = cache_give_out(cache);
		if (likely(object))
			return object;
	}
	return __quarry_cache_alloc(cache, flags, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_cache_alloc);

/* ---- Free ---- */

/* Say that an object is free already. */
noinline __cold int __quarry_cache_refuse_free(struct quarry_cache *cache, const void *object,
					       unsigned long caller)
{
	return refuse_object(cache, FREE_ALREADY, object, caller);
}

/* 0 if an object is in use as the slab sees it, or else why it can't be freed. */
int __quarry_cache_check(struct quarry_cache *cache, const void *object, unsigned long caller)
{
	unsigned long item = cache_item(cache, object);
	struct quarry_slab_head *head;
	enum verdict verdict;

	head = __quarry_slab_head_of(&cache->slab, (void *)item);
	if (likely(head && cache_is_in(cache, head, (void *)item)))
		return 0;
	verdict = judge(&cache->slab, item);
	return verdict == IN_USE ? 0 : refuse_object(cache, verdict, object, caller);
}

/*
 * Mark an object that is in use as the slab sees it as free, or return false if it can
 * be seen to be in a magazine.
 */
static bool mark_checked(struct quarry_cache *cache, void *object)
{
	if (cache->special & CACHE_CTOR)
		return __quarry_magazines_top(&cache->magazines) != (unsigned long)object;
	return cache_mark_free(cache, object);
}

/* quarry_cache_free() of what isn't, or may not be, a plain object in use. */
noinline int __quarry_cache_free(struct quarry_cache *cache, void *object, unsigned long caller)
{
	int err;

	if (cache->special & CACHE_DEBUG)
		return __quarry_cache_debug_free(cache, object, caller);
	if (!object)
		return 0;

	err = __quarry_cache_check(cache, object, caller);
	if (err)
		return err;
	if (!mark_checked(cache, object))
		return __quarry_cache_refuse_free(cache, object, caller);
	quarry_magazines_put(&cache->magazines, (unsigned long)object);
	return 0;
}

/* quarry_cache_free() of an object that this CPU didn't give out last. */
static noinline int free_other(struct quarry_cache *cache, void *object, unsigned long caller)
{
	if (cache->special & CACHE_DEBUG)
		return __quarry_cache_debug_free(cache, object, caller);
	if (likely(!cache->special && cache_take_back(cache, object)))
		return 0;
	return __quarry_cache_free(cache, object, caller);
}

/**
 * quarry_cache_free() - free an object
 * @cache: the cache that it is from
 * @object: what the allocation gave, or NULL, for which nothing is done
 *
 * Context: any but NMI. O(1), but for the flush of a magazine.
 * Return: 0; -EINVAL if @object isn't the start of an object of this cache that was
 * ever given out; -ENOENT if it is free already; -EIO if QUARRY_CACHE_DEBUG found that
 * it was written to beyond its ends, and so it isn't given out again. But for the last,
 * nothing changes then.
 */
int quarry_cache_free(struct quarry_cache *cache, void *object)
{
	if (likely(cache_take_back_last(cache, object)))
		return 0;
	return free_other(cache, object, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_cache_free);

/* ---- In bulk ---- */

/* Give out objects of a plain cache that are at hand, up to @nr; returns how many. */
static unsigned int give_out_some(struct quarry_cache *cache, unsigned int nr, void **objects)
{
	struct quarry_magazines_cpu *cpu;
	unsigned int i, has;
	unsigned long irq;
	void **from;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(&cache->magazines);
	if (!__quarry_magazines_nr(cpu))
		__quarry_magazines_find_items(&cache->magazines, cpu);
	has = __quarry_magazines_nr(cpu);
	nr = min(nr, has);
	from = (void **)cpu->items + (has - nr);
	for (i = 0; i < nr; i++) {
		void *object = from[i];

		cache_mark_used(object);
		objects[i] = object;
	}
	__quarry_magazines_set_nr(cpu, has - nr);
	local_add(nr, &cpu->nr_gets);
	local_irq_restore(irq);
	return nr;
}

/**
 * quarry_cache_alloc_bulk() - allocate several objects
 * @cache: the cache
 * @flags: as for quarry_cache_alloc()
 * @nr: how many
 * @objects: filled in
 *
 * Context: any but NMI. O(@nr); interrupts are off for a magazine at a time.
 * Return: how many there are, at the beginning of @objects; less than @nr only if no
 * more could be had, or @flags or a NULL @objects can't be.
 */
unsigned int quarry_cache_alloc_bulk(struct quarry_cache *cache, unsigned int flags,
				     unsigned int nr, void **objects)
{
	unsigned int done = 0, some;

	if (__quarry_cache_refuse_flags(cache, flags, _RET_IP_))
		return 0;
	if (unlikely(!objects && nr)) {
		refuse(cache, -EINVAL, "alloc: no place for the objects", nr, _RET_IP_);
		return 0;
	}

	for (; done < nr; done += some) {
		some = 0;
		if (likely(!(flags | cache->special)) && !quarry_inject_armed())
			some = give_out_some(cache, nr - done, objects + done);
		if (likely(some))
			continue;
		/* One more in any case, and with it what comes into the magazine. */
		objects[done] = __quarry_cache_alloc(cache, flags, _RET_IP_);
		if (!objects[done])
			break;
		done++;
	}
	return done;
}
EXPORT_SYMBOL_GPL(quarry_cache_alloc_bulk);

/*
 * Mark objects of a slab as free, and put them to a place, up to the first that isn't of
 * that slab, or isn't in use; returns how many. What the slab is like is held in locals:
 * each object is written to, so it would be read again for each.
 */
static __always_inline unsigned int collect_slab(const struct quarry_cache *cache,
						 struct quarry_slab_head *head,
						 bool deep, unsigned int nr,
						 void **objects, void **to)
{
	const unsigned long start = (unsigned long)head->objects, secret = cache->secret;
	const unsigned long fresh = READ_ONCE(head->fresh), top = READ_ONCE(head->top);
	const unsigned long inverse = cache->slab.inverse;
	const unsigned int shift = cache->slab.odd_shift;
	unsigned long i, object, index;

	for (i = 0; i < nr; i++) {
		object = (unsigned long)objects[i];
		index = __quarry_slab_ror(object - start, shift) * inverse;
		if (index >= fresh)
			break;
		/* The bit of an object that is in use doesn't change. */
		if (deep ? data_race(__quarry_slab_is_freed(head, &cache->slab.shape, index)) :
			   top & BIT(index))
			break;
		if (*(unsigned long *)object == (object ^ secret))
			break;
		*(unsigned long *)object = object ^ secret;
		to[i] = (void *)object;
	}
	return i;
}

/*
 * The same for objects of several slabs. A slab can't go away while one of its objects is
 * in our hands, so it is looked up just for the first of some objects.
 */
static unsigned int collect(const struct quarry_cache *cache, unsigned int nr,
			    void **objects, void **to)
{
	const bool deep = cache->slab.shape.depth > 1;
	struct quarry_slab_head *head;
	unsigned int left, some;

	for (left = nr; left; left -= some, objects += some, to += some) {
		head = cache_slab_at(cache, *objects);
		if (!head)
			break;
		some = deep ? collect_slab(cache, head, true, left, objects, to) :
			      collect_slab(cache, head, false, left, objects, to);
		if (!some)
			break;
	}
	return nr - left;
}

/* Take objects of a plain cache back that there is room at hand for; returns how many. */
static unsigned int take_back_some(struct quarry_cache *cache, unsigned int nr, void **objects)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long irq;
	unsigned int has;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(&cache->magazines);
	if (!__quarry_magazines_room(cpu))
		__quarry_magazines_find_room(&cache->magazines, cpu);
	has = __quarry_magazines_nr(cpu);
	nr = min(nr, __quarry_magazines_room(cpu));
	nr = collect(cache, nr, objects, (void **)cpu->items + has);
	__quarry_magazines_set_nr(cpu, has + nr);
	__quarry_magazines_know(&cache->magazines, cpu, has + nr);
	local_add(nr, &cpu->nr_puts);
	local_irq_restore(irq);
	return nr;
}

/**
 * quarry_cache_free_bulk() - free several objects
 * @cache: the cache that they are from
 * @nr: how many
 * @objects: what allocations gave; NULLs are passed over
 *
 * Frees all that can be freed.
 *
 * Context: any but NMI. O(@nr); interrupts are off for a magazine at a time.
 * Return: 0; if some were refused, why the first was, as quarry_cache_free() says it;
 * -EINVAL if @objects is NULL, and @nr isn't 0.
 */
int quarry_cache_free_bulk(struct quarry_cache *cache, unsigned int nr, void **objects)
{
	unsigned int done = 0, some = 0;
	int first = 0, err;

	if (unlikely(!objects && nr))
		return refuse(cache, -EINVAL, "free: no objects", nr, _RET_IP_);

	for (; done < nr; done += some) {
		if (likely(!cache->special))
			some = take_back_some(cache, nr - done, objects + done);
		if (likely(some))
			continue;
		/* One that can't be, or that there was no room at hand for. */
		err = free_other(cache, objects[done++], _RET_IP_);
		if (!first)
			first = err;
	}
	return first;
}
EXPORT_SYMBOL_GPL(quarry_cache_free_bulk);

/* ---- Questions ---- */

/* Whether an object that the slab says is in use is in a magazine. */
static bool is_in_magazine(struct quarry_cache *cache, unsigned long item)
{
	if (cache->special & CACHE_DEBUG)
		return __quarry_cache_debug_is_free(cache, item);
	if (cache->special & CACHE_CTOR)
		return quarry_magazines_holds(&cache->magazines, item);
	return *(unsigned long *)item == cache_cookie(cache, (void *)item);
}

/**
 * quarry_cache_lookup() - the object that an address lies in
 * @cache: the cache
 * @addr: any address inside the object
 * @object: filled in; an object in a magazine is free
 *
 * Context: any but NMI. As quarry_slab_lookup(); with a constructor, O(objects in
 * magazines).
 * Return: 0; -EINVAL if @addr isn't in an object of this cache, or @object is NULL.
 */
int quarry_cache_lookup(struct quarry_cache *cache, const void *addr,
			struct quarry_slab_object *object)
{
	unsigned long item;
	int err;

	err = quarry_slab_lookup(&cache->slab, addr, object);
	if (err)
		return err;
	item = (unsigned long)object->start;
	object->start = cache_object(cache, item);
	object->size = cache->object_size;
	if ((unsigned long)addr - (unsigned long)object->start >= object->size)
		return -EINVAL;
	if (!object->free)
		object->free = is_in_magazine(cache, item);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_cache_lookup);
