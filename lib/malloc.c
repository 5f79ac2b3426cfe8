// SPDX-License-Identifier: GPL-2.0
/*
 * Malloc: blocks of any size out of a zone, a heap and a buddy, freed without saying
 * which of them gave it.
 *
 * 1. Who serves what. By its size a request goes first to
 *
 *          1 ................ zone_max   the zone: a CPU's magazine has it at hand
 *          zone_max + 1 ..... heap_max   the heap: it rounds up by less than a page of
 *                                        its own, 512 B
 *          heap_max + 1 .....            the buddy: whole pages, a large block
 *
 *    but for a size in between with more alignment than the heap's pages have, which goes
 *    to the zone up to ZONE_ALIGNED_MAX, and to the buddy above. When that one has no
 *    room, it goes to the others, in the order of home_order below, so that nothing fails
 *    that one of them can serve. Last of all a small request may have an object of any
 *    larger class that the zone has free. Each of them has had the backend reclaim what
 *    all others keep before it says no.
 *
 * 2. Whose a block is, the owner of its page tells (lib/backend.h):
 *
 *          a slab's head         the zone's, if the slab is one of its slabs
 *          the heap              the heap's
 *          this struct           a large block starts there; only its first page has
 *                                this owner, the others have none
 *          anything else         not ours
 *
 *    Who frees a large block first takes its page from this owner, under the lock: of two
 *    who free it at once, one does, and the other one is refused.
 *
 * 3. Alignment is kmalloc's: ARCH_KMALLOC_MINALIGN and the largest power of two that
 *    divides the size, so that a power of two is aligned to itself. A zone's classes have
 *    that, see there; a heap is asked for it; and a buddy aligns to more.
 *
 * 4. Flags. Nothing here sleeps, reclaims from the kernel, or takes from its reserves,
 *    so GFP_KERNEL, GFP_NOWAIT and GFP_ATOMIC are the same, and all flags are passed over
 *    that say how hard to try, on whose account, or whether to warn. __GFP_ZERO clears all
 *    of the block, up to its usable size. Refused is what promises something to the caller
 *    that can't be kept: __GFP_DMA, __GFP_DMA32 and __GFP_HIGHMEM, as the region lies where
 *    it lies; __GFP_NOFAIL, as it can be full; and what is no flag at all.
 *
 * 5. Bounds. Those of whoever serves the request; a failure costs those of all three, and
 *    a look at each class of the zone.
 *
 * 6. Locking. The lock guards the counters, and which pages have this struct as their
 *    owner. The buddy's is taken under it, to ask for sizes; zone, heap and backend are
 *    called without it. The rest is set once by init.
 *
 * 7. Failure. A call that can't be right is refused by whom the address belongs to, and
 *    here if to none, and changes nothing but a counter.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "malloc_internal.h"

/*
 * Up to ZONE_MAX a pair of calls costs a quarter of what it costs in the heap, for some
 * 8 % less payload; above it, magazines hold few objects, and slabs are large. Sizes that
 * are so aligned that the heap would have to look for a place stay with the zone a little
 * longer, as they are classes of it. From HEAP_MAX on rounding to pages wastes little.
 * Documentation/malloc.rst has the figures.
 */
#define ZONE_MAX		SZ_4K
#define ZONE_ALIGNED_MAX	SZ_16K
#define HEAP_MAX		SZ_64K

/* Who can have a block. */
enum home {
	IN_ZONE,
	IN_HEAP,
	IN_BUDDY,
	NR_HOMES,
	NOWHERE = NR_HOMES,
};

/* Who is asked in which order, by who should have it. */
static const enum home home_order[NR_HOMES][NR_HOMES] = {
	[IN_ZONE] = { IN_ZONE, IN_HEAP, IN_BUDDY },
	[IN_HEAP] = { IN_HEAP, IN_BUDDY, IN_ZONE },
	[IN_BUDDY] = { IN_BUDDY, IN_HEAP, IN_ZONE },
};

/* ---- Saying no ---- */

/* Count and log a call that can't be right; @err is passed through. */
static noinline __cold int refuse(struct quarry_malloc *malloc, int err, const char *what,
				  u64 value, unsigned long caller)
{
	struct quarry_misuse misuse = {
		.kind = "malloc",
		.name = malloc->name,
		.what = what,
		.base = malloc->backend->region.base,
		.size = malloc->backend->region.size,
		.value = value,
		.caller = caller,
	};
	unsigned long irq;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	malloc->nr_misuses++;
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
	quarry_report_misuse(&misuse);
	return err;
}

/* Why an address that has no owner of ours can't be freed. */
static noinline __cold int refuse_addr(struct quarry_malloc *malloc, const void *addr,
				       unsigned long caller)
{
	u64 value = (unsigned long)addr;
	struct quarry_buddy_block block;
	int err = quarry_buddy_check(malloc->buddy, value, &block);

	if (err == -EIO)
		return err;
	if (err == -ENOENT)
		return refuse(malloc, err, "free already", value, caller);
	return refuse(malloc, -EINVAL, "not a block of this malloc", value, caller);
}

/* Keep a record of a request that nobody could serve. */
static noinline __cold void fail(struct quarry_malloc *malloc, size_t size)
{
	struct quarry_malloc_failure failure = {
		.size = size,
		.when = ktime_get_mono_fast_ns(),
	};
	struct quarry_buddy_stats stats;
	unsigned long irq;

	quarry_buddy_stats(malloc->buddy, &stats);
	failure.free = stats.total - stats.used;
	failure.largest_free = stats.largest_free;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	malloc->nr_failures++;
	malloc->last_failure = failure;
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
}

static void count_fallback(struct quarry_malloc *malloc)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	malloc->nr_fallbacks++;
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
}

/* ---- Large blocks ---- */

static unsigned long own_mark(const struct quarry_malloc *malloc)
{
	return (unsigned long)malloc | QUARRY_OWNER_OTHER;
}

/* What a size takes in whole pages. */
static size_t page_size_of(const struct quarry_malloc *malloc, size_t size)
{
	return round_up(size, BIT(malloc->buddy->page_shift));
}

/* A large block is ours from here on; a new one, or one that has another size. */
static void enter(struct quarry_malloc *malloc, const void *block, size_t size, bool new)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	quarry_backend_set_owner(malloc->backend, block, 1, own_mark(malloc));
	malloc->nr_used++;
	malloc->used += size;
	if (malloc->peak < malloc->used)
		malloc->peak = malloc->used;
	malloc->nr_allocs += new;
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
}

/* The size of the large block that starts at an address; 0 if none does. */
static size_t large_size(struct quarry_malloc *malloc, const void *addr)
{
	struct quarry_buddy_block block;

	if (quarry_backend_owner(malloc->backend, addr) != own_mark(malloc))
		return 0;
	if (quarry_buddy_check(malloc->buddy, (unsigned long)addr, &block))
		return 0;
	return block.size;
}

/*
 * The reverse of enter(): the block is nobody's then but the caller's, who is told its
 * size; 0 if it isn't there, as someone else was first, say.
 */
static size_t take_out(struct quarry_malloc *malloc, const void *block, bool for_ever)
{
	unsigned long irq;
	size_t size;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	size = large_size(malloc, block);
	if (size) {
		quarry_backend_set_owner(malloc->backend, block, 1, 0);
		malloc->nr_used--;
		malloc->used -= size;
		malloc->nr_frees += for_ever;
	}
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
	return size;
}

static void *alloc_large(struct quarry_malloc *malloc, size_t size)
{
	void *block = quarry_backend_take(malloc->backend, size);

	if (block)
		enter(malloc, block, page_size_of(malloc, size), true);
	return block;
}

static noinline int free_large(struct quarry_malloc *malloc, const void *block,
			       unsigned long caller)
{
	size_t size = take_out(malloc, block, true);

	if (!size)
		return refuse_addr(malloc, block, caller);
	return quarry_backend_give(malloc->backend, (void *)block, size);
}

/* Resize a large block where it is, or move it to another; NULL if there is no room. */
static void *resize_large(struct quarry_malloc *malloc, void *block, size_t size)
{
	size_t old = take_out(malloc, block, false);
	struct quarry_buddy_block new;

	if (!old)
		return NULL;
	if (quarry_buddy_realloc(malloc->buddy, (unsigned long)block, size, QUARRY_BUDDY_EXACT,
				 &new)) {
		enter(malloc, block, old, false);
		return NULL;
	}
	enter(malloc, (void *)(unsigned long)new.addr, new.size, false);
	return (void *)(unsigned long)new.addr;
}

/* ---- Alloc ---- */

/* What a block of a size is aligned to. */
static size_t align_of(size_t size)
{
	return max_t(size_t, size & -size, ARCH_KMALLOC_MINALIGN);
}

/* Whether any place that a heap has for a size is aligned well enough. */
static bool suits_heap(const struct quarry_malloc *malloc, size_t size)
{
	return size <= malloc->heap_max && align_of(size) <= BIT(malloc->heap->page_shift);
}

/* Who should have a block of a size. */
static enum home home_for(const struct quarry_malloc *malloc, size_t size)
{
	if (size <= malloc->zone_max)
		return IN_ZONE;
	if (suits_heap(malloc, size))
		return IN_HEAP;
	return size <= min_t(size_t, malloc->heap_max, ZONE_ALIGNED_MAX) ? IN_ZONE : IN_BUDDY;
}

static void *alloc_zone(struct quarry_malloc *malloc, size_t size)
{
	size = malloc_zone_size(size);
	return size <= QUARRY_ZONE_MAX_SIZE ? quarry_zone_alloc(malloc->zone, size, 0, 0) : NULL;
}

static void *alloc_heap(struct quarry_malloc *malloc, size_t size)
{
	size_t align = align_of(size);

	if (align <= QUARRY_HEAP_MIN_ALIGN)
		return quarry_heap_alloc(malloc->heap, size);
	return quarry_heap_alloc_aligned(malloc->heap, size, align);
}

static void *alloc_at(struct quarry_malloc *malloc, enum home home, size_t size)
{
	switch (home) {
	case IN_ZONE:
		return alloc_zone(malloc, size);
	case IN_HEAP:
		return alloc_heap(malloc, size);
	default:
		return alloc_large(malloc, size);
	}
}

/* Ask all but the first. */
static noinline __cold void *alloc_elsewhere(struct quarry_malloc *malloc, enum home first,
					     size_t size)
{
	void *block = NULL;
	unsigned int i;

	for (i = 1; i < NR_HOMES && !block; i++)
		block = alloc_at(malloc, home_order[first][i], size);
	if (!block && size <= QUARRY_ZONE_MAX_SIZE)
		block = __quarry_zone_alloc_larger(malloc->zone, size, align_of(size));
	if (block)
		count_fallback(malloc);
	return block;
}

static noinline __cold void *refuse_alloc(struct quarry_malloc *malloc, size_t size, gfp_t gfp,
					  unsigned long caller)
{
	if (gfp & MALLOC_REFUSED_GFP)
		refuse(malloc, -EINVAL, "flags that can't be had", (__force u32)gfp, caller);
	else
		refuse(malloc, -EINVAL, size ? "size overflows" : "size is zero", size, caller);
	return NULL;
}

/* Whether nobody can be asked for that. No one can ask for more than LONG_MAX. */
static bool is_bad(size_t size, gfp_t gfp)
{
	return size - 1 >= LONG_MAX || gfp & MALLOC_REFUSED_GFP;
}

/* Clear a block from an offset on. That it is one needn't be looked at. */
static void clear_from(struct quarry_malloc *malloc, void *block, size_t from)
{
	const struct quarry_cache *cache = zone_cache_at(malloc->zone, block);
	size_t size = cache ? cache->object_size : __quarry_malloc_usable_size(malloc, block);

	if (from < size)
		memset(block + from, 0, size - from);
}

/* quarry_malloc_alloc() of what this CPU doesn't have at hand. */
noinline void *__quarry_malloc_alloc(struct quarry_malloc *malloc, size_t size, gfp_t gfp,
				     unsigned long caller)
{
	enum home home;
	void *block;

	if (unlikely(!malloc->zone))
		return NULL;
	if (unlikely(is_bad(size, gfp)))
		return refuse_alloc(malloc, size, gfp, caller);
	if (quarry_inject(QUARRY_INJECT_MALLOC_ALLOC, size)) {
		fail(malloc, size);
		return NULL;
	}

	home = home_for(malloc, size);
	block = alloc_at(malloc, home, size);
	if (unlikely(!block)) {
		block = alloc_elsewhere(malloc, home, size);
		if (!block) {
			fail(malloc, size);
			return NULL;
		}
	}
	if (gfp & __GFP_ZERO)
		clear_from(malloc, block, 0);
	return block;
}

/**
 * quarry_malloc_alloc() - allocate a block of any size
 * @malloc: where
 * @size: bytes
 * @gfp: __GFP_ZERO to have it all zeroes. Nothing sleeps in any case, so that GFP_KERNEL,
 *	GFP_NOWAIT and GFP_ATOMIC are the same
 *
 * Aligned as kmalloc() does: to the largest power of two that divides @size, and to
 * ARCH_KMALLOC_MINALIGN.
 *
 * Context: any but NMI. Up to a few KiB O(1), but for the fill of a magazine; else
 * O(log2(pages)).
 * Return: the block, of quarry_malloc_usable_size() bytes; NULL if nobody has room, or
 * @size is 0 or above LONG_MAX, or @gfp has __GFP_DMA, __GFP_DMA32, __GFP_HIGHMEM,
 * __GFP_NOFAIL or what is no flag.
 */
void *quarry_malloc_alloc(struct quarry_malloc *malloc, size_t size, gfp_t gfp)
{
	return malloc_alloc(malloc, size, gfp, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_malloc_alloc);

/* ---- Free ---- */

/* Who has the page of an address. */
static enum home home_of(const struct quarry_malloc *malloc, const void *addr)
{
	unsigned long owner = quarry_backend_owner(malloc->backend, addr);

	if (owner & QUARRY_OWNER_SLAB)
		return IN_ZONE;
	if (owner == ((unsigned long)malloc->heap | QUARRY_OWNER_OTHER))
		return IN_HEAP;
	return owner == own_mark(malloc) ? IN_BUDDY : NOWHERE;
}

/* quarry_malloc_free() of what isn't a plain object in use. */
noinline int __quarry_malloc_free(struct quarry_malloc *malloc, const void *block,
				  unsigned long caller)
{
	if (!block)
		return 0;
	if (unlikely(!malloc->zone))
		return -ENODEV;

	switch (home_of(malloc, block)) {
	case IN_ZONE:
		return __quarry_zone_free(malloc->zone, (void *)block, caller);
	case IN_HEAP:
		return quarry_heap_free(malloc->heap, block);
	case IN_BUDDY:
		return free_large(malloc, block, caller);
	default:
		return refuse_addr(malloc, block, caller);
	}
}

/**
 * quarry_malloc_free() - free a block
 * @malloc: where it is from
 * @block: what an allocation gave, or NULL, for which nothing is done
 *
 * Context: any but NMI. As quarry_zone_free(), quarry_heap_free() or quarry_buddy_free().
 * Return: 0; -EINVAL if no block in use of this malloc starts there; -ENOENT if it is free
 * already, as far as who had it can tell that; -EIO as these three; -ENODEV if @malloc is
 * all zeroes.
 */
int quarry_malloc_free(struct quarry_malloc *malloc, const void *block)
{
	return malloc_free(malloc, block, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_malloc_free);

/* ---- Reallocation ---- */

size_t __quarry_malloc_usable_size(struct quarry_malloc *malloc, const void *block)
{
	if (!block || !malloc->zone)
		return 0;

	switch (home_of(malloc, block)) {
	case IN_ZONE:
		return quarry_zone_usable_size(malloc->zone, block);
	case IN_HEAP:
		return quarry_heap_usable_size(malloc->heap, block);
	case IN_BUDDY:
		return large_size(malloc, block);
	default:
		return 0;
	}
}

/*
 * Another size by who has the block. An object stays as long as it isn't half empty, and
 * the others find a place of their own if they should have a block of that size. NULL if
 * it must move to someone else, or there is no room.
 */
static void *resize(struct quarry_malloc *malloc, void *block, size_t old, size_t size)
{
	switch (home_of(malloc, block)) {
	case IN_ZONE:
		return size <= old && size > old / 2 ? block : NULL;
	case IN_HEAP:
		return size <= old || suits_heap(malloc, size) ?
		       quarry_heap_realloc(malloc->heap, block, size) : NULL;
	default:
		return size > malloc->heap_max ? resize_large(malloc, block, size) : NULL;
	}
}

/* A block somewhere else with the same contents; NULL if there is no room. */
static void *move(struct quarry_malloc *malloc, void *block, size_t old, size_t size,
		  unsigned long caller)
{
	enum home home = home_for(malloc, size);
	void *new = alloc_at(malloc, home, size) ?: alloc_elsewhere(malloc, home, size);

	if (!new)
		return NULL;
	memcpy(new, block, min(old, size));
	__quarry_malloc_free(malloc, block, caller);
	return new;
}

/* A block that is to be smaller stays where it is, as there is no other place. */
static void *stay(struct quarry_malloc *malloc, void *block, size_t size)
{
	if (home_of(malloc, block) != IN_BUDDY)
		return block;
	return resize_large(malloc, block, size) ?: block;
}

noinline void *__quarry_malloc_realloc(struct quarry_malloc *malloc, void *block, size_t size,
				       gfp_t gfp, unsigned long caller)
{
	size_t old;
	void *new;

	if (!block || !malloc->zone)
		return malloc_alloc(malloc, size, gfp, caller);
	if (is_bad(size, gfp))
		return refuse_alloc(malloc, size, gfp, caller);
	old = __quarry_malloc_usable_size(malloc, block);
	if (!old) {
		refuse_addr(malloc, block, caller);
		return NULL;
	}
	if (size > old && quarry_inject(QUARRY_INJECT_MALLOC_ALLOC, size)) {
		fail(malloc, size);
		return NULL;
	}

	new = resize(malloc, block, old, size) ?: move(malloc, block, old, size, caller);
	if (!new && size <= old)
		new = stay(malloc, block, size);
	if (!new)
		fail(malloc, size);
	else if (gfp & __GFP_ZERO)
		clear_from(malloc, new, min(old, size));
	return new;
}

/**
 * quarry_malloc_realloc() - change the size of a block
 * @malloc: where it is from
 * @block: the block, or NULL, which makes this quarry_malloc_alloc()
 * @size: bytes wanted
 * @gfp: as for quarry_malloc_alloc(). With __GFP_ZERO, what is behind the contents is all
 *	zeroes, if it was so in all calls for this block
 *
 * In place where the one who has the block can do that; else the contents are copied. A
 * block that stays keeps the alignment that it has. One that shrinks is never refused.
 *
 * Context: any but NMI. As quarry_malloc_alloc(), and the time to copy.
 * Return: the block, or the other one; NULL as quarry_malloc_alloc(), or if @block isn't
 * a block in use of this malloc. The old block is untouched then.
 */
void *quarry_malloc_realloc(struct quarry_malloc *malloc, void *block, size_t size, gfp_t gfp)
{
	return __quarry_malloc_realloc(malloc, block, size, gfp, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_malloc_realloc);

/* ---- Init and fini ---- */

/**
 * quarry_malloc_init() - make blocks of any size out of three allocators
 * @malloc: to be made valid; the caller's
 * @config: what it is to be like
 *
 * Others may use the three as well.
 *
 * Context: any, nothing else may use @malloc. O(1).
 * Return: 0; -EINVAL if a pointer is missing, @zone_max is above QUARRY_ZONE_MAX_SIZE, or
 * above a @heap_max that isn't 0, or zone or backend don't stand on the others.
 */
int quarry_malloc_init(struct quarry_malloc *malloc, const struct quarry_malloc_config *config)
{
	if (!malloc || !config || !config->name || !config->buddy || !config->backend ||
	    !config->zone || !config->heap)
		return -EINVAL;
	if (config->zone_max > QUARRY_ZONE_MAX_SIZE)
		return -EINVAL;
	if (config->heap_max && config->heap_max < config->zone_max)
		return -EINVAL;
	if (config->backend->region.base != config->buddy->region.base ||
	    config->zone->backend != config->backend || config->heap->backend != config->backend)
		return -EINVAL;

	*malloc = (struct quarry_malloc) {
		.zone_max = config->zone_max ?: ZONE_MAX,
		.heap_max = config->heap_max ?: max_t(size_t, config->zone_max, HEAP_MAX),
		.zone = config->zone,
		.backend = config->backend,
		.heap = config->heap,
		.buddy = config->buddy,
		.name = config->name,
	};
	if (malloc->zone_max > malloc->heap_max)
		malloc->zone_max = malloc->heap_max;
	raw_spin_lock_init(&malloc->lock);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_malloc_init);

/**
 * quarry_malloc_fini() - end it
 * @malloc: nobody allocates or frees any more
 * @nr_used: set to the number of large blocks in use; may be NULL
 *
 * What zone and heap gave stays in use there, and is theirs to tell. Afterwards it is all
 * zeroes.
 *
 * Context: any but NMI. O(1).
 * Return: 0; -EBUSY if large blocks are in use: then nothing changes.
 */
int quarry_malloc_fini(struct quarry_malloc *malloc, u64 *nr_used)
{
	struct quarry_malloc_stats stats;

	/* Of one that has ended these are all zeroes. */
	quarry_malloc_stats(malloc, &stats);
	if (nr_used)
		*nr_used = stats.nr_used;
	if (stats.nr_used)
		return -EBUSY;
	memset(malloc, 0, sizeof(*malloc));
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_malloc_fini);

/* ---- Questions ---- */

/**
 * quarry_malloc_usable_size() - how much memory a block really has
 * @malloc: where it is from
 * @block: what an allocation gave
 *
 * Context: any but NMI. O(log2(pages)).
 * Return: bytes, at least what was asked for; 0 if @block isn't the start of a block in
 * use of this malloc, NULL included.
 */
size_t quarry_malloc_usable_size(struct quarry_malloc *malloc, const void *block)
{
	return __quarry_malloc_usable_size(malloc, block);
}
EXPORT_SYMBOL_GPL(quarry_malloc_usable_size);

/**
 * quarry_malloc_stats() - the figures of this moment
 * @malloc: whose
 * @stats: filled in; all zeroes if @malloc is
 *
 * Context: any but NMI. O(1).
 */
void quarry_malloc_stats(struct quarry_malloc *malloc, struct quarry_malloc_stats *stats)
{
	unsigned long irq;

	*stats = (struct quarry_malloc_stats) {};
	if (!malloc->zone)
		return;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	*stats = (struct quarry_malloc_stats) {
		.zone_max = malloc->zone_max,
		.heap_max = malloc->heap_max,
		.used = malloc->used,
		.peak = malloc->peak,
		.nr_used = malloc->nr_used,
		.nr_allocs = malloc->nr_allocs,
		.nr_frees = malloc->nr_frees,
		.nr_fallbacks = malloc->nr_fallbacks,
		.nr_failures = malloc->nr_failures,
		.nr_misuses = malloc->nr_misuses,
		.last_failure = malloc->last_failure,
	};
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
}
EXPORT_SYMBOL_GPL(quarry_malloc_stats);

/* What is found by going through all pages. */
struct census {
	u64 nr;
	u64 size;
};

/* Go through all pages; false at one that has our mark and isn't the start of a block. */
static bool count_large(struct quarry_malloc *malloc, struct census *census, u64 *addr)
{
	const struct quarry_region *region = &malloc->backend->region;
	u64 page = BIT_ULL(malloc->buddy->page_shift);
	u64 end = region->base + region->size;

	lockdep_assert_held(&malloc->lock);

	for (*addr = region->base; *addr != end; *addr += page) {
		const void *at = (void *)(unsigned long)*addr;
		size_t size;

		if (quarry_backend_owner(malloc->backend, at) != own_mark(malloc))
			continue;
		size = large_size(malloc, at);
		if (!size)
			return false;
		census->nr++;
		census->size += size;
	}
	return true;
}

static int found(struct quarry_fault *fault, const char *what, u64 addr, u64 expected, u64 found)
{
	if (fault)
		*fault = (struct quarry_fault) { what, addr, expected, found };
	return -EUCLEAN;
}

static int verify(struct quarry_malloc *malloc, struct quarry_fault *fault)
{
	struct census census = {};
	u64 addr;

	if (!count_large(malloc, &census, &addr))
		return found(fault, "an owner of a page that starts no block",
			     addr - malloc->backend->region.base, 0, own_mark(malloc));
	if (census.nr != malloc->nr_used)
		return found(fault, "large blocks in use", 0, census.nr, malloc->nr_used);
	if (malloc->nr_allocs - malloc->nr_frees < malloc->nr_used)
		return found(fault, "large blocks handed out and taken back", 0, malloc->nr_used,
			     malloc->nr_allocs - malloc->nr_frees);
	if (census.size != malloc->used)
		return found(fault, "bytes in large blocks", 0, census.size, malloc->used);
	if (malloc->peak < malloc->used)
		return found(fault, "most bytes in large blocks", 0, malloc->used, malloc->peak);
	return 0;
}

/**
 * quarry_malloc_verify() - recompute what is known of large blocks
 * @malloc: whose
 * @fault: filled in with what is wrong, if anything; may be NULL
 *
 * Zone, heap and buddy have verifiers of their own.
 *
 * Context: any but NMI; interrupts are off all the while. O(pages).
 * Return: 0, also if @malloc is all zeroes; -EUCLEAN if something doesn't hold.
 */
int quarry_malloc_verify(struct quarry_malloc *malloc, struct quarry_fault *fault)
{
	unsigned long irq;
	int err;

	if (!malloc->zone)
		return 0;

	raw_spin_lock_irqsave(&malloc->lock, irq);
	err = verify(malloc, fault);
	raw_spin_unlock_irqrestore(&malloc->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_malloc_verify);
