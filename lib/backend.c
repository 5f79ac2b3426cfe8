// SPDX-License-Identifier: GPL-2.0
/*
 * Backend: where allocators of mapped memory get it from, and who has which page.
 *
 * 1. Purpose. An allocator of objects knows its backend and nothing below it, so
 *    that the same code stands on a buddy, on a test that fails the nth request,
 *    or on anything else that gives aligned ranges of pages.
 *
 * 2. Structure. Beside the operations lies a word for each page of the region,
 *    its owner: what the allocator that has the page wants to find from an
 *    address, with what kind of thing that is in the two lowest bits:
 *
 *          BITS_PER_LONG-1 ... 2   1     0
 *          address of a head       0     1     page of a slab
 *          other address           1     0     page of another kind of owner
 *          0                       0     0     nobody said anything
 *
 *    An allocator sets its pages' owner before it gives anything out of them, and
 *    clears it before it gives them back.
 *
 * 3. Running short. Allocators keep memory that nobody uses, so as not to fetch
 *    it again at once. Those who do register a reclaimer. A request that finds no
 *    memory asks each of them to give something back, the youngest first, as that
 *    may stand on what an older one keeps, and is then tried once more; and so on
 *    for as long as they give. It fails only if what all others keep doesn't help;
 *    but what other CPUs have in magazines comes a moment later, for the next one.
 *    A buddy can have them asked for its own users as well, by
 *    quarry_backend_reclaim_for_buddy(): then nobody is refused for what is unused.
 *
 * 4. Bounds. Taking and giving cost what the operation below costs, and a few
 *    counters; setting an owner, a store for each page. Running short costs at most
 *    MAX_RECLAIMS calls of each reclaimer, each of which gives back a bounded share,
 *    and but for one round of them only what had been kept.
 *
 * 5. Locking. The lock guards the list of reclaimers, and is held while one of
 *    them runs, so that it can't go away meanwhile. A reclaimer may take its own
 *    allocator's lock and give: giving takes no lock here. It may not take. The
 *    order is this lock, an allocator's, the buddy's. Between two reclaimers the
 *    lock is dropped. Owners have no lock: each word belongs to who has the page.
 *    Counters are atomic.
 *
 * 6. Failure. A range from below that doesn't lie in the region, or isn't aligned,
 *    would make its taker write elsewhere: this WARNs, and counts as a failure.
 */
#include <linux/align.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "backend.h"
#include "buddy_internal.h"

/* How often reclaimers are asked before a request fails. */
#define MAX_RECLAIMS	64

/* ---- The beginning and the end ---- */

/* Whether pointers can name all of a region, and none of them is NULL. */
static bool is_addressable(const struct quarry_region *region)
{
	return region->base && region->size && quarry_region_last(region) >= region->base &&
	       quarry_region_last(region) <= ULONG_MAX;
}

static bool is_paged(const struct quarry_region *region, u64 page_size)
{
	return quarry_is_power_of_2(page_size) && page_size >= sizeof(long) &&
	       IS_ALIGNED(region->base | region->size, page_size);
}

/**
 * quarry_backend_owners_size() - memory that a backend needs for itself
 * @region: the memory that it gives out
 * @page_size: bytes in a page, a power of two
 *
 * A long for each page.
 *
 * Context: any. O(1).
 * Return: bytes; 0 if quarry_backend_init() would refuse the arguments.
 */
size_t quarry_backend_owners_size(const struct quarry_region *region, u64 page_size)
{
	if (!region || !is_addressable(region) || !is_paged(region, page_size))
		return 0;
	return (size_t)(region->size >> ilog2(page_size)) * sizeof(long);
}
EXPORT_SYMBOL_GPL(quarry_backend_owners_size);

/**
 * quarry_backend_init() - make a backend of some operations
 * @backend: the backend, in memory of the caller's
 * @region: the memory that it gives out, mapped, not at address 0; base and size
 *	are multiples of @page_size
 * @page_size: bytes in a page, a power of two, at least those of a long
 * @owners: quarry_backend_owners_size() bytes, aligned to a long, until
 *	quarry_backend_fini()
 * @ops: how ranges are got and given back
 * @ctx: the operations' own, in @backend->ctx
 *
 * Context: any, nothing else may use @backend. O(pages), for clearing @owners.
 * Return: 0; -EINVAL, and nothing written, if an argument is wrong.
 */
int quarry_backend_init(struct quarry_backend *backend, const struct quarry_region *region,
			u64 page_size, unsigned long *owners,
			const struct quarry_backend_ops *ops, void *ctx)
{
	size_t owners_size = quarry_backend_owners_size(region, page_size);

	if (!backend || !owners_size || !owners || !ops || !ops->take || !ops->give)
		return -EINVAL;
	if (!IS_ALIGNED((unsigned long)owners, sizeof(long)))
		return -EINVAL;

	*backend = (struct quarry_backend) {
		.region = *region,
		.page_shift = ilog2(page_size),
		.owners = owners,
		.ops = ops,
		.ctx = ctx,
	};
	raw_spin_lock_init(&backend->lock);
	INIT_LIST_HEAD(&backend->reclaimers);
	memset(owners, 0, owners_size);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_backend_init);

static void *take_from_buddy(struct quarry_backend *backend, size_t size)
{
	unsigned int flags = is_power_of_2(size) ? 0 : QUARRY_BUDDY_EXACT;
	struct quarry_buddy_block block;

	/* Who is to give memory back then, is asked here. */
	if (__quarry_buddy_alloc(backend->ctx, size, flags, &block))
		return NULL;
	return (void *)(unsigned long)block.addr;
}

static int give_to_buddy(struct quarry_backend *backend, void *range, size_t size)
{
	return __quarry_buddy_free_sized(backend->ctx, (unsigned long)range, size);
}

static const struct quarry_backend_ops buddy_ops = {
	.take = take_from_buddy,
	.give = give_to_buddy,
};

/**
 * quarry_backend_init_buddy() - make a backend of a buddy
 * @backend: the backend, in memory of the caller's
 * @buddy: a buddy of mapped memory, whose addresses are pointers
 * @owners: as for quarry_backend_init(); region and page size are the buddy's
 *
 * Others may use the same buddy.
 *
 * Context: as quarry_backend_init().
 * Return: 0; -EINVAL if an argument is NULL, or the buddy's addresses can't be
 * pointers.
 */
int quarry_backend_init_buddy(struct quarry_backend *backend, struct quarry_buddy *buddy,
			      unsigned long *owners)
{
	if (!buddy)
		return -EINVAL;
	return quarry_backend_init(backend, &buddy->region, BIT_ULL(buddy->page_shift), owners,
				   &buddy_ops, buddy);
}
EXPORT_SYMBOL_GPL(quarry_backend_init_buddy);

/**
 * quarry_backend_fini() - end a backend
 * @backend: the backend
 *
 * Ranges that it gave out stay with those who have them; whoever is below knows
 * them.
 *
 * Context: any but NMI. O(1).
 * Return: 0; -EBUSY, and nothing changed, while reclaimers are registered.
 */
int quarry_backend_fini(struct quarry_backend *backend)
{
	unsigned long irq;
	bool busy;

	raw_spin_lock_irqsave(&backend->lock, irq);
	busy = backend->nr_reclaimers;
	raw_spin_unlock_irqrestore(&backend->lock, irq);

	return busy ? -EBUSY : 0;
}
EXPORT_SYMBOL_GPL(quarry_backend_fini);

/* ---- Reclaim ---- */

static bool is_registered(const struct quarry_backend *backend,
			  const struct quarry_reclaimer *reclaimer)
{
	const struct quarry_reclaimer *other;

	lockdep_assert_held(&backend->lock);

	list_for_each_entry(other, &backend->reclaimers, list)
		if (other == reclaimer)
			return true;
	return false;
}

/**
 * quarry_backend_add_reclaimer() - register one who can give memory back
 * @backend: the backend
 * @reclaimer: with its function set; stays until quarry_backend_del_reclaimer()
 *
 * Context: any but NMI, not from a reclaimer. O(reclaimers).
 * Return: 0; -EINVAL if it has no function; -EEXIST if it is registered already.
 */
int quarry_backend_add_reclaimer(struct quarry_backend *backend,
				 struct quarry_reclaimer *reclaimer)
{
	unsigned long irq;
	int err = 0;

	if (!reclaimer || !reclaimer->reclaim)
		return -EINVAL;

	raw_spin_lock_irqsave(&backend->lock, irq);
	if (is_registered(backend, reclaimer)) {
		err = -EEXIST;
	} else {
		list_add(&reclaimer->list, &backend->reclaimers);
		backend->nr_reclaimers++;
	}
	raw_spin_unlock_irqrestore(&backend->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_backend_add_reclaimer);

/**
 * quarry_backend_del_reclaimer() - the reverse
 * @backend: the backend
 * @reclaimer: one that is registered with it
 *
 * Afterwards its function doesn't run, and won't.
 *
 * Context: any but NMI, not from a reclaimer. O(reclaimers).
 * Return: 0; -ENOENT if it isn't registered.
 */
int quarry_backend_del_reclaimer(struct quarry_backend *backend,
				 struct quarry_reclaimer *reclaimer)
{
	unsigned long irq;
	int err = 0;

	raw_spin_lock_irqsave(&backend->lock, irq);
	if (is_registered(backend, reclaimer)) {
		list_del(&reclaimer->list);
		backend->nr_reclaimers--;
	} else {
		err = -ENOENT;
	}
	raw_spin_unlock_irqrestore(&backend->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_backend_del_reclaimer);

/* Ask the reclaimer whose turn it is, and make it the last. */
static size_t reclaim_next(struct quarry_backend *backend)
{
	struct quarry_reclaimer *reclaimer;
	unsigned long irq;
	size_t size = 0;

	raw_spin_lock_irqsave(&backend->lock, irq);
	reclaimer = list_first_entry_or_null(&backend->reclaimers, struct quarry_reclaimer, list);
	if (reclaimer) {
		list_move_tail(&reclaimer->list, &backend->reclaimers);
		size = reclaimer->reclaim(reclaimer);
	}
	raw_spin_unlock_irqrestore(&backend->lock, irq);
	return size;
}

/**
 * quarry_backend_reclaim() - ask all reclaimers once
 * @backend: the backend
 *
 * Context: any but NMI, not from a reclaimer. O(reclaimers), each of which does a
 * bounded share; interrupts are off for one at a time.
 * Return: bytes that they gave back.
 */
size_t quarry_backend_reclaim(struct quarry_backend *backend)
{
	unsigned int nr = READ_ONCE(backend->nr_reclaimers);
	size_t size = 0;

	atomic64_inc(&backend->counters.nr_reclaims);
	while (nr--)
		size += reclaim_next(backend);
	atomic64_add(size, &backend->counters.reclaimed);
	return size;
}
EXPORT_SYMBOL_GPL(quarry_backend_reclaim);

/**
 * quarry_backend_reclaim_for_buddy() - quarry_backend_reclaim() for a buddy's users
 * @backend: a backend of that buddy
 *
 * For quarry_buddy_set_reclaim(), until quarry_backend_fini().
 *
 * Context: as quarry_backend_reclaim().
 * Return: bytes that came back.
 */
size_t quarry_backend_reclaim_for_buddy(void *backend)
{
	return quarry_backend_reclaim(backend);
}
EXPORT_SYMBOL_GPL(quarry_backend_reclaim_for_buddy);

/* ---- Ranges ---- */

/* Whether a range, which isn't empty, lies in the region. */
static inline bool lies_in(const struct quarry_backend *backend, const void *range,
			   size_t size)
{
	unsigned long room = backend->region.size;
	unsigned long offset = (unsigned long)range - (unsigned long)backend->region.base;

	return offset < room && size <= room - offset;
}

/* Whether a range is aligned to its size, rounded up to a power of two. */
static inline bool is_aligned(const void *range, size_t size)
{
	return size == 1 || !((unsigned long)range & (BIT(__fls(size - 1)) * 2 - 1));
}

static noinline __cold void *take_after_reclaim(struct quarry_backend *backend, size_t size)
{
	unsigned int left = READ_ONCE(backend->nr_reclaimers) ? MAX_RECLAIMS : 0;
	void *range = NULL;

	while (!range && left--) {
		if (!quarry_backend_reclaim(backend))
			left = 0;
		range = backend->ops->take(backend, size);
	}
	if (!range)
		atomic64_inc(&backend->counters.nr_failures);
	return range;
}

static noinline __cold void *refuse_range(struct quarry_backend *backend, size_t size)
{
	WARN_ONCE(1, "quarry: a backend gave a range of %zu bytes that it can't have\n", size);
	atomic64_inc(&backend->counters.nr_failures);
	return NULL;
}

/**
 * quarry_backend_take() - take a range of memory
 * @backend: the backend
 * @size: bytes; as many pages as they need are taken
 *
 * If there is none, those who keep memory for later are asked to give it back, as often
 * as they give some and that isn't enough.
 *
 * Context: any but NMI, not from a reclaimer. What the operation below costs; if
 * there is none, up to MAX_RECLAIMS times that and quarry_backend_reclaim().
 * Return: the range, aligned to @size rounded up to a power of two; NULL if there
 * is none, or @size is 0 or more than the region has.
 */
void *quarry_backend_take(struct quarry_backend *backend, size_t size)
{
	void *range;

	if (unlikely(!size || size > backend->region.size))
		return NULL;

	range = backend->ops->take(backend, size);
	if (unlikely(!range)) {
		range = take_after_reclaim(backend, size);
		if (!range)
			return NULL;
	}
	if (unlikely(!lies_in(backend, range, size) || !is_aligned(range, size)))
		return refuse_range(backend, size);
	atomic64_inc(&backend->counters.nr_takes);
	return range;
}
EXPORT_SYMBOL_GPL(quarry_backend_take);

/**
 * quarry_backend_give() - give a range back
 * @backend: the backend
 * @range: what quarry_backend_take() gave; nothing is done for NULL
 * @size: the size that it was told
 *
 * Its pages have no owner any more: the caller has seen to that.
 *
 * Context: any but NMI, reclaimers included. What the operation below costs.
 * Return: 0; -EINVAL if the range isn't in the region; any errno of the operation: that
 * of a buddy refuses what isn't a range in use of that size, as quarry_buddy_free().
 */
int quarry_backend_give(struct quarry_backend *backend, void *range, size_t size)
{
	int err;

	if (!range)
		return 0;
	if (unlikely(!size || !lies_in(backend, range, size)))
		return -EINVAL;

	err = backend->ops->give(backend, range, size);
	if (likely(!err))
		atomic64_inc(&backend->counters.nr_gives);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_backend_give);

/**
 * quarry_backend_set_owner() - say who has the pages of a range
 * @backend: the backend
 * @range: a range of it
 * @size: its size in bytes
 * @owner: a pointer with its kind in the low bits, QUARRY_OWNER_SLAB or
 *	QUARRY_OWNER_OTHER; 0 for nobody
 *
 * What was written before is seen by whoever finds the owner.
 *
 * Context: any. O(pages of the range).
 */
void quarry_backend_set_owner(struct quarry_backend *backend, const void *range, size_t size,
			      unsigned long owner)
{
	unsigned long offset = (unsigned long)range - (unsigned long)backend->region.base;
	unsigned long page, last;

	if (WARN_ON_ONCE(!size || !lies_in(backend, range, size)))
		return;

	last = (offset + (size - 1)) >> backend->page_shift;
	smp_wmb();	/* Pairs with the address dependency of who looks. */
	for (page = offset >> backend->page_shift; page <= last; page++)
		WRITE_ONCE(backend->owners[page], owner);
}
EXPORT_SYMBOL_GPL(quarry_backend_set_owner);

/**
 * quarry_backend_stats() - what went through a backend
 * @backend: the backend
 * @stats: filled in
 *
 * Each figure is exact; while others take and give, they are of slightly different
 * moments.
 *
 * Context: any. O(1).
 */
void quarry_backend_stats(struct quarry_backend *backend, struct quarry_backend_stats *stats)
{
	*stats = (struct quarry_backend_stats) {
		.nr_takes = atomic64_read(&backend->counters.nr_takes),
		.nr_gives = atomic64_read(&backend->counters.nr_gives),
		.nr_failures = atomic64_read(&backend->counters.nr_failures),
		.nr_reclaims = atomic64_read(&backend->counters.nr_reclaims),
		.reclaimed = atomic64_read(&backend->counters.reclaimed),
	};
}
EXPORT_SYMBOL_GPL(quarry_backend_stats);
