// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: small blocks at hand for each CPU.
 *
 * 1. Purpose. Without this each call takes the heap's lock. With it, most allocations and
 *    frees of small blocks find what they need in magazines (lib/magazine.c) of their CPU,
 *    a set of them for each class up to some size. To the heap a block in a magazine is one
 *    in use; its owner, and whoever asks, is told that it is free.
 *
 * 2. Marks. While caching is on, a block of a class with magazines begins with its mark, the
 *    one that any free block has (lib/heap.c, 6), if and only if it is free: it is set when
 *    the block comes to a magazine, and cleared when it is given out, in whatever way. So
 *    caching begins when nothing is in use. The mark is an odd number that depends on the
 *    address, so no owner has it in the first word by accident.
 *
 * 3. Algorithm. Alloc pops a block of its class, and notes for this CPU which class that was.
 *    Free tries whether the block is the one that this CPU got last from that class (see
 *    "Recalling" in lib/magazine.c): then it is one of ours, its mark is compared and set,
 *    and it is back. Any other is looked up in the page map without the lock, as the map
 *    entries of a block in use don't change; its mark is compared and set, and it is pushed
 *    to its class' magazine. Whatever isn't as it should be goes the long way, under
 *    the lock, which knows the answer. So does everything while somebody waits for memory, or
 *    blocks wait to be freed: both set heap->attention.
 *
 *    A magazine is filled with up to NR_FILLED blocks, of which the first may need a new
 *    bucket, and flushed a few blocks at a time. Filling frees as many blocks that wait to be
 *    freed as it takes.
 *
 * 4. What is found. All that is found without caching, but for this: a block that is freed
 *    twice while it is in a magazine is told by its mark alone, so whoever writes to its
 *    first word between the two frees, or frees it on two CPUs at the same moment, puts it
 *    into magazines twice. The heap itself stays whole: when the second comes back from there
 *    it is refused, counted and logged. What was written to a free block's first word also
 *    makes walks show it as in use.
 *
 * 5. Running short. Before an allocation fails or the heap grows, blocks at hand go back: this
 *    CPU's and the depots' at once; the others are asked for theirs, which come a moment
 *    later. Who begins to wait, to shrink the heap or to end it, waits for all of them.
 *    A block may be freed while somebody begins to wait: heap->attention is read between the
 *    reading of a share's state and its change, so either it is seen or the drain, which
 *    comes as an interrupt on that CPU, changes the state before or finds the block after.
 *
 * 6. Memory. All comes from the heap, in runs that are no blocks, so that no stale pointer
 *    can free them: one for the sets of magazines and the CPUs' shares of them; and some of
 *    BUFFER_SIZE, which a slab (lib/slab.c) cuts into magazines, and which go back when
 *    they are empty.
 *
 * 7. Bounds. What is popped or pushed is O(1), without a lock. When a magazine is empty, up to
 *    NR_FILLED blocks are taken under the lock, and when all are full, one is flushed, up to
 *    QUARRY_MAGAZINE_ROUNDS blocks in batches of FLUSH_BATCH.
 *
 * 8. Locking. None of its own; that of the heap is never held together with a depot's or that
 *    of the slab.
 */
#include <linux/align.h>
#include <linux/cache.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "heap_cache.h"
#include "slab.h"

/* Blocks that are taken at once, so that no allocation pays for many. */
#define NR_FILLED	8U
/* Blocks that are given back without dropping the lock. */
#define FLUSH_BATCH	4U
/* Blocks that lie idle are lost to all other sizes, so a magazine begins with few. */
#define ROUNDS_BEGIN	16
/* What is cut into magazines. */
#define BUFFER_SIZE	QUARRY_SLAB_BYTES(8, QUARRY_MAGAZINE_SIZE, 0)

/* The magazines of one class. */
struct heap_cache {
	struct quarry_magazines magazines;
	struct quarry_heap *heap;
	struct quarry_heap_class *class;
};

/*
 * What caching needs. Behind the sets of magazines lie what each CPU did last, and the CPUs'
 * shares of each set.
 */
struct heap_caches {
	struct quarry_slab source;
	unsigned int nr;
	struct heap_cache sets[];
};

static struct heap_cache *cache_of(struct quarry_magazines *magazines)
{
	return container_of(magazines, struct heap_cache, magazines);
}

/* ---- Filling and flushing ---- */

/* Some blocks of a class; only for the first one a bucket is made. */
static unsigned int take_some(struct quarry_heap *heap, struct quarry_heap_class *class,
			      unsigned long *items, unsigned int nr)
{
	unsigned int i;

	lockdep_assert_held(&heap->lock);

	for (i = 0; i < nr; i++) {
		void *block;

		if (i && !class->bits && class->short_list == NO_REF)
			break;
		block = __quarry_heap_take_bucket(heap, class);
		if (!block)
			break;
		items[i] = (unsigned long)block;
	}
	return i;
}

static unsigned int fill(struct quarry_magazines *magazines, unsigned long *items,
			 unsigned int nr)
{
	struct heap_cache *cache = cache_of(magazines);
	struct quarry_heap *heap = cache->heap;
	unsigned long irq;
	unsigned int i;

	nr = min(nr, NR_FILLED);
	raw_spin_lock_irqsave(&heap->lock, irq);
	for (i = 0; i < nr && READ_ONCE(heap->queued); i++)
		__quarry_heap_reap_one(heap);
	/* What is free then is for those who wait. */
	nr = heap->due & DUE_SERVE ? 0 : take_some(heap, cache->class, items, nr);
	unlock_freed(heap, irq);

	for (i = 0; i < nr; i++)
		set_free_mark(heap, items[i]);
	return nr;
}

/* Give one block back to the heap; false if it isn't one in use. */
static bool release(struct quarry_heap *heap, unsigned long addr)
{
	struct quarry_heap_extent *extent = extent_at(heap, addr);
	struct heap_spot spot = {};

	lockdep_assert_held(&heap->lock);

	/* At its end, the heap doesn't know any more what was in use. */
	if (heap->broken || heap->closing)
		return true;
	if (!find_addr(heap, extent, addr, &spot))
		return false;
	__quarry_heap_release(heap, extent, addr, &spot);
	heap->nr_recycled--;
	return true;
}

/* Give blocks back, up to one that can't be; returns how many went. */
static unsigned int release_some(struct quarry_heap *heap, const unsigned long *items,
				 unsigned int nr)
{
	unsigned long irq;
	unsigned int i;

	raw_spin_lock_irqsave(&heap->lock, irq);
	for (i = 0; i < nr && release(heap, items[i]); i++)
		;
	unlock_freed(heap, irq);
	return i;
}

/* What was put into magazines twice comes here twice. */
static void flush(struct quarry_magazines *magazines, const unsigned long *items,
		  unsigned int nr)
{
	struct quarry_heap *heap = cache_of(magazines)->heap;
	unsigned int i, some;

	for (i = 0; i < nr; i += some) {
		unsigned int batch = min(nr - i, FLUSH_BATCH);

		some = release_some(heap, items + i, batch);
		if (likely(some == batch))
			continue;
		__quarry_heap_refuse_addr(heap, FREE_ALREADY, items[i + some], _RET_IP_);
		some++;
	}
}

static const struct quarry_magazines_ops magazines_ops = {
	.fill = fill,
	.flush = flush,
};

/* ---- Alloc and free ---- */

/**
 * __quarry_heap_alloc_cached() - allocate a block when the magazine at hand has none
 * @heap: the heap
 * @size: bytes wanted, a multiple of the alignment
 * @align: at most the page size
 *
 * Return: the block, or NULL.
 */
void *__quarry_heap_alloc_cached(struct quarry_heap *heap, size_t size, size_t align)
{
	struct quarry_magazines *magazines = READ_ONCE(class_for(heap, size)->magazines);
	void *block = NULL;

	/* None if the heap was taken out of service meanwhile. */
	if (likely(magazines))
		block = (void *)__quarry_magazines_get(magazines);
	if (unlikely(!block))
		block = __quarry_heap_alloc_locked(heap, size, align);
	if (likely(block))
		mark_used(block);
	return block;
}

/* Put a block into a magazine of this CPU; false if there is no room, or it may not be. */
static bool push(struct quarry_heap *heap, struct quarry_magazines *magazines,
		 unsigned long addr)
{
	struct quarry_magazines_cpu *share;
	unsigned long irq;
	bool done = false;

	local_irq_save(irq);
	share = __quarry_magazines_this(magazines);
	if (likely(is_calm(heap)))
		done = __quarry_magazines_push(magazines, share, addr);
	if (likely(done))
		local_inc(&share->nr_puts);
	local_irq_restore(irq);
	return done;
}

/* The same, whatever that takes. */
static noinline void put(struct quarry_heap *heap, struct quarry_magazines *magazines,
			 unsigned long addr)
{
	quarry_magazines_put(magazines, addr);
	/* Pairs with that of __quarry_heap_drain_cached(). */
	smp_mb();
	if (unlikely(READ_ONCE(heap->due) & DUE_SERVE))
		quarry_magazines_reclaim(magazines);
}

/**
 * __quarry_heap_free_cached() - free a block that isn't the one that was got last
 * @heap: the heap
 * @addr: what is to be freed
 * @caller: who frees it
 *
 * The block's extent and its map entries stay what they are, if it is one in use: so they
 * can be looked at without the lock. What is found for any other address may be of any
 * moment, and is either no block in use or one that begins there now.
 *
 * Return: as quarry_heap_free().
 */
int __quarry_heap_free_cached(struct quarry_heap *heap, unsigned long addr, unsigned long caller)
{
	struct quarry_heap_extent *extent = READ_ONCE(heap->last);
	struct quarry_magazines *magazines;
	struct heap_spot spot = {};

	if (!contains(extent, addr))
		extent = find_extent(heap, addr);
	if (unlikely(!is_calm(heap) || !contains(extent, addr) ||
		     !find_start(heap, extent, addr - extent->base, &spot) || !spot.class))
		return __quarry_heap_free_locked(heap, addr, caller);
	magazines = READ_ONCE(spot.class->magazines);
	if (unlikely(!magazines || has_free_mark(heap, addr)))
		return __quarry_heap_free_locked(heap, addr, caller);

	set_free_mark(heap, addr);
	if (unlikely(!push(heap, magazines, addr)))
		put(heap, magazines, addr);
	return 0;
}

/* ---- Giving back ---- */

/* What can be had at once goes back, from any context. */
void __quarry_heap_reclaim_cached(struct quarry_heap *heap)
{
	struct heap_caches *caches = heap->caches;
	unsigned int i;

	for (i = 0; caches && i < caches->nr; i++)
		quarry_magazines_reclaim(&caches->sets[i].magazines);
}

/* Everything goes back; sleeps. */
void __quarry_heap_drain_cached(struct quarry_heap *heap)
{
	struct heap_caches *caches = heap->caches;
	unsigned int i;

	/* Pairs with that of put(). */
	smp_mb();
	for (i = 0; caches && i < caches->nr; i++)
		quarry_magazines_drain(&caches->sets[i].magazines);
}

/* ---- Questions ---- */

/* What is in magazines, and what was put there; exact if nobody uses them meanwhile. */
struct heap_cached __quarry_heap_count_cached(struct quarry_heap *heap)
{
	struct heap_caches *caches = heap->caches;
	struct quarry_magazines_stats stats;
	struct heap_cached cached = {};
	unsigned int i;

	for (i = 0; caches && i < caches->nr; i++) {
		quarry_magazines_stats(&caches->sets[i].magazines, &stats);
		cached.nr += stats.nr_cached;
		cached.size += stats.nr_cached * caches->sets[i].class->size;
		cached.nr_puts += stats.nr_puts + stats.nr_put_misses;
	}
	return cached;
}

/**
 * quarry_heap_cache_stats() - figures of the magazines of one class
 * @heap: the heap
 * @index: which class, as for quarry_heap_class_stats()
 * @stats: filled in; exact if nobody uses the heap meanwhile
 *
 * Context: any but NMI, while caching is neither turned on nor off. O(CPUs).
 * Return: 0; -ENOENT if there is no such class, or it has no magazines; -EINVAL if
 * @stats is NULL.
 */
int quarry_heap_cache_stats(struct quarry_heap *heap, unsigned int index,
			    struct quarry_magazines_stats *stats)
{
	struct quarry_magazines *magazines;

	if (!stats)
		return -EINVAL;
	if (index >= heap->nr_classes)
		return -ENOENT;
	magazines = READ_ONCE(heap->classes[FIRST_CLASS + index].magazines);
	if (!magazines)
		return -ENOENT;
	quarry_magazines_stats(magazines, stats);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_heap_cache_stats);

/* Whether a block may be in a magazine: one of its class, and in use as the map sees it. */
static bool is_good(struct quarry_magazines *magazines, unsigned long item)
{
	struct heap_cache *cache = cache_of(magazines);
	struct quarry_heap *heap = cache->heap;
	struct heap_spot spot = {};
	unsigned long irq;
	bool good;

	raw_spin_lock_irqsave(&heap->lock, irq);
	good = find_addr(heap, extent_at(heap, item), item, &spot) && spot.class == cache->class;
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return good;
}

/* Every invariant of the depots. */
int __quarry_heap_verify_cached(struct quarry_heap *heap, struct quarry_fault *fault)
{
	struct heap_caches *caches = heap->caches;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && caches && i < caches->nr; i++)
		err = quarry_magazines_verify(&caches->sets[i].magazines, is_good, fault);
	return err;
}

/* ---- The beginning and the end ---- */

/* Memory of the heap's own, with an extent that was fetched for it or without. */
static void *take_own(struct quarry_heap *heap, size_t size, struct quarry_heap_extent *extent)
{
	unsigned long irq;
	void *memory;

	raw_spin_lock_irqsave(&heap->lock, irq);
	if (extent)
		__quarry_heap_publish(heap, extent);
	memory = __quarry_heap_take_own(heap, size, SMP_CACHE_BYTES);
	unlock_freed(heap, irq);
	return memory;
}

static void *take_or_fetch_own(struct quarry_heap *heap, size_t size)
{
	void *memory = take_own(heap, size, NULL);

	if (memory || !heap->grower.grow)
		return memory;
	return take_own(heap, size, __quarry_heap_fetch(heap, size, SMP_CACHE_BYTES));
}

static void give_own(struct quarry_heap *heap, void *memory)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&heap->lock, irq);
	__quarry_heap_release_own(heap, memory);
	unlock_freed(heap, irq);
}

/* Memory for magazines; comes back when it is empty. */
static int refill(struct quarry_slab *slab, void *ctx)
{
	void *buffer = take_own(ctx, BUFFER_SIZE, NULL);

	if (!buffer)
		return -ENOMEM;
	return quarry_slab_grow(slab, buffer, BUFFER_SIZE) > 0 ? 0 : -ENOMEM;
}

static void release_buffer(void *ctx, void *buffer, size_t size)
{
	give_own(ctx, buffer);
}

static bool is_used_class(struct quarry_heap *heap, struct quarry_heap_class *class)
{
	return class->size && class_for(heap, class->size) == class;
}

/* How many classes there are up to that of a size. */
static unsigned int nr_classes_to(struct quarry_heap *heap, size_t max_size)
{
	struct quarry_heap_class *last = class_for(heap, min_t(size_t, max_size, heap->max_small));
	struct quarry_heap_class *class;
	unsigned int nr = 0;

	for (class = heap->classes; class <= last; class++)
		nr += is_used_class(heap, class);
	return nr;
}

static size_t sets_size(unsigned int nr)
{
	return ALIGN(sizeof(struct heap_caches) + nr * sizeof(struct heap_cache),
		     SMP_CACHE_BYTES);
}

static size_t recent_size(void)
{
	return nr_cpu_ids * sizeof(union heap_recent);
}

/* The magazines of the next class that has none yet. */
static int init_cache(struct quarry_heap *heap, struct heap_caches *caches, void *memory,
		      struct quarry_heap_class *class)
{
	struct heap_cache *cache = &caches->sets[caches->nr];
	const struct quarry_magazines_config config = {
		.ops = &magazines_ops,
		.source = &caches->source,
		.memory = memory + caches->nr * quarry_magazines_memory_size(),
		.min = ROUNDS_BEGIN,
		.max = QUARRY_MAGAZINE_ROUNDS,
	};
	int err;

	cache->heap = heap;
	cache->class = class;
	err = quarry_magazines_init(&cache->magazines, &config);
	caches->nr += !err;
	return err;
}

static int init_caches(struct quarry_heap *heap, struct heap_caches *caches, unsigned int nr)
{
	const struct quarry_slab_config source = {
		.name = heap->name,
		.object_size = QUARRY_MAGAZINE_SIZE,
		.refill = refill,
		.release = release_buffer,
		.ctx = heap,
	};
	void *shares = (void *)caches + sets_size(nr) + recent_size();
	unsigned int i;
	int err;

	memset(caches, 0, sets_size(nr));
	err = quarry_slab_init(&caches->source, &source);
	if (err)
		return err;
	quarry_slab_set_keep(&caches->source, 0);
	for (i = 0; !err && caches->nr < nr; i++)
		if (is_used_class(heap, &heap->classes[i]))
			err = init_cache(heap, caches, shares, &heap->classes[i]);
	return err;
}

/* The reverse; what is in magazines goes back, unless the heap is closed. */
static void fini_caches(struct heap_caches *caches)
{
	while (caches->nr)
		quarry_magazines_fini(&caches->sets[--caches->nr].magazines);
	quarry_slab_fini(&caches->source, true, NULL);
}

/* From here on, calls find the magazines; -EBUSY if some block would have no right mark. */
static int begin_caching(struct quarry_heap *heap, struct heap_caches *caches)
{
	union heap_recent *recent = (void *)caches + sets_size(caches->nr);
	unsigned long irq;
	unsigned int i;
	int err = -EBUSY;

	for (i = 0; i < nr_cpu_ids; i++)
		recent[i].magazines = &caches->sets[0].magazines;

	raw_spin_lock_irqsave(&heap->lock, irq);
	if (!__quarry_heap_nr_used(heap)) {
		heap->caches = caches;
		for (i = 0; i < caches->nr; i++)
			caches->sets[i].class->magazines = &caches->sets[i].magazines;
		heap->recent = recent;
		err = 0;
	}
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return err;
}

/* From here on, they don't. */
static void stop_caching(struct quarry_heap *heap, struct heap_caches *caches)
{
	struct heap_cached cached = __quarry_heap_count_cached(heap);
	unsigned long irq;
	unsigned int i;

	raw_spin_lock_irqsave(&heap->lock, irq);
	heap->nr_recycled += cached.nr_puts;
	for (i = 0; i < caches->nr; i++)
		caches->sets[i].class->magazines = NULL;
	heap->recent = NULL;
	raw_spin_unlock_irqrestore(&heap->lock, irq);
}

/* End caching, whether the heap goes on or is closed. */
void __quarry_heap_end_caching(struct quarry_heap *heap)
{
	struct heap_caches *caches = heap->caches;

	if (!caches)
		return;
	stop_caching(heap, caches);
	fini_caches(caches);
	heap->caches = NULL;
	give_own(heap, caches);
}

/**
 * quarry_heap_set_caching() - let CPUs have small blocks at hand
 * @heap: the heap, of which nothing is in use
 * @max_size: bytes of the largest class that this is for, or more than any has; 0 ends it
 *
 * Allocations of up to so many bytes, and what frees them, mostly need no lock then. In
 * exchange, their bound holds for all but one call in 8 or so, which fills or flushes
 * magazines; each CPU has some blocks of each class that nobody uses; and a block that is
 * freed twice is only found if nobody wrote to its first word in between. What this needs
 * is taken from the heap.
 *
 * Context: process context, may sleep; nothing else may use the heap meanwhile. O(CPUs *
 * classes), and freeing what is cached. From here on, quarry_heap_shrink(), the end of the
 * heap and quarry_heap_alloc_wait() may sleep for a moment as well.
 * Return: 0; -EBUSY if caching is on already, or blocks are in use; -ENOMEM if the heap has no
 * room; -ENOSPC if the kernel can't watch CPUs for yet another user; -EIO if out of service.
 */
int quarry_heap_set_caching(struct quarry_heap *heap, size_t max_size)
{
	struct heap_caches *caches;
	unsigned int nr;
	int err;

	if (!max_size) {
		__quarry_heap_end_caching(heap);
		return 0;
	}
	__quarry_heap_reap(heap);
	if (READ_ONCE(heap->broken))
		return -EIO;
	if (heap->caches)
		return -EBUSY;

	nr = nr_classes_to(heap, max_size);
	caches = take_or_fetch_own(heap, sets_size(nr) + recent_size() +
					 nr * quarry_magazines_memory_size());
	if (!caches)
		return -ENOMEM;
	err = init_caches(heap, caches, nr);
	if (!err)
		err = begin_caching(heap, caches);
	if (err) {
		fini_caches(caches);
		give_own(heap, caches);
	}
	return err;
}
EXPORT_SYMBOL_GPL(quarry_heap_set_caching);
