// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: extents, those that the caller gives and those that the heap fetches.
 *
 * An extent is a range of memory, of any size and at any address. Its pages lie at
 * its start, from the first address that is a multiple of the page size on, and
 * their map behind them:
 *
 *	| page 0 | page 1 | ... | page n-1 | word 0 .. n-1 | edge, kind 0 .. n-1, edge |
 *
 * with a word of 4 B and a kind of 1 B for each page. The kinds of the two edges
 * are those of pages that are in use for ever, so that nothing looks further.
 *
 * An extent keeps its place in heap->extents for as long as the heap has it, for
 * the references to its pages hold the number of this place. Two arrays put the extents
 * in order: by age, and by address, with where they begin at hand, for an address is looked up
 * by halving it.
 *
 * The map is cleared without the lock, as that takes long. Meanwhile the extent has
 * its place, so that none that overlaps it can come in between, but no size, so
 * that no address is in it.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "heap_internal.h"

/*
 * Bytes of map for a page, and for the edges: two, and two more as the words of two pages
 * may be read at the last one.
 */
#define MAP_PAGE	(sizeof(u32) + sizeof(u8))
#define MAP_EDGES	(4 * sizeof(u8))

/* ---- Geometry ---- */

/* log2 of the page size that the heap works with, for one that was asked for; 0 if wrong. */
unsigned int __quarry_heap_page_shift(size_t page_size)
{
	if (!is_power_of_2(page_size) || page_size < QUARRY_HEAP_MIN_PAGE ||
	    page_size > QUARRY_HEAP_MAX_PAGE)
		return 0;
	return clamp_t(unsigned int, ilog2(page_size), MIN_PAGE_SHIFT, MAX_PAGE_SHIFT);
}

/**
 * quarry_heap_size() - memory that an extent of a wanted size needs
 * @usable: bytes that shall hold blocks; rounded up to whole pages
 * @page_size: as for quarry_heap_init()
 *
 * 5 B a page come on top, some 1 % for pages of 512 B.
 *
 * Context: any. O(1).
 * Return: bytes of memory, if its address is a multiple of the page size that the
 * heap works with (anywhere else it may hold a page less); 0 if an argument is wrong.
 */
size_t quarry_heap_size(size_t usable, size_t page_size)
{
	unsigned int shift = __quarry_heap_page_shift(page_size);
	size_t nr;

	if (!shift || !usable)
		return 0;
	nr = ((usable - 1) >> shift) + 1;
	if (nr > MAX_PAGES || nr > (SIZE_MAX - MAP_EDGES) / (BIT(shift) + MAP_PAGE))
		return 0;
	return nr * (BIT(shift) + MAP_PAGE) + MAP_EDGES;
}
EXPORT_SYMBOL_GPL(quarry_heap_size);

/* Where things lie in an extent; false if not even one page fits. */
static bool lay_out(struct quarry_heap_extent *extent, unsigned int page_shift)
{
	unsigned long memory = extent->memory;
	size_t skipped = -memory & (BIT(page_shift) - 1);
	size_t rest;

	if (extent->memory_size < skipped + MAP_EDGES)
		return false;
	rest = extent->memory_size - skipped - MAP_EDGES;
	extent->nr_pages = min_t(size_t, rest / (BIT(page_shift) + MAP_PAGE), MAX_PAGES);
	extent->base = memory + skipped;
	extent->words = (u32 *)(extent->base + ((unsigned long)extent->nr_pages << page_shift));
	extent->kinds = (u8 *)(extent->words + extent->nr_pages) + 1;
	return extent->nr_pages;
}

/* ---- Coming and going ---- */

static bool overlaps(const struct quarry_heap_extent *a, const struct quarry_heap_extent *b)
{
	return a->memory - b->memory < b->memory_size || b->memory - a->memory < a->memory_size;
}

/* A place for an extent; an errno if there is none, or if it overlaps another. */
static int reserve_place(struct quarry_heap *heap, const struct quarry_heap_extent *new,
			 struct quarry_heap_extent **place)
{
	unsigned int i;

	lockdep_assert_held(&heap->lock);

	if (heap->broken)
		return -EIO;
	*place = NULL;
	for (i = 0; i < QUARRY_HEAP_MAX_EXTENTS; i++) {
		struct quarry_heap_extent *extent = &heap->extents[i];

		if (!extent->memory_size)
			*place = *place ?: extent;
		else if (overlaps(extent, new))
			return -EEXIST;
	}
	if (!*place)
		return -ENOSPC;
	**place = *new;
	(*place)->ref = (u32)(*place - heap->extents) << PAGE_BITS;
	return 0;
}

/* All pages of a new extent's map are insides, between edges. */
static void clear_map(const struct quarry_heap_extent *extent)
{
	memset(extent->words, 0, extent->nr_pages * sizeof(u32));
	memset(extent->kinds, KIND_INSIDE, extent->nr_pages);
	extent->kinds[-1] = KIND_EDGE;
	extent->kinds[extent->nr_pages] = KIND_EDGE;
}

/* The heap has so many more bytes, or less. */
static void add_total(struct quarry_heap *heap, unsigned long size)
{
	heap->total += size;
	heap->share = heap->total >> (heap->page_shift + LONG_SHARE_SHIFT);
}

/* Let an extent that has its place and its map be found, all of it free. */
void __quarry_heap_publish(struct quarry_heap *heap, struct quarry_heap_extent *extent)
{
	unsigned int i, nr = heap->nr_extents++;

	lockdep_assert_held(&heap->lock);

	for (i = nr; i && heap->by_addr[i - 1].addr > extent->base; i--)
		heap->by_addr[i] = heap->by_addr[i - 1];
	heap->by_addr[i].addr = extent->base;
	heap->by_addr[i].extent = extent;
	heap->by_age[nr] = extent - heap->extents;

	/* Pairs with __quarry_heap_extent_unlocked(). */
	smp_store_release(&extent->size, (unsigned long)extent->nr_pages << heap->page_shift);
	add_total(heap, extent->size);
	heap->memory += extent->memory_size;
	heap->nr_grows += extent->grown;
	__quarry_heap_give_pages(heap, extent, 0, extent->nr_pages);
}

/* Take an extent out of those in order of age. */
static void forget_age(struct quarry_heap *heap, const struct quarry_heap_extent *extent)
{
	u8 *found = memchr(heap->by_age, extent - heap->extents, heap->nr_extents);

	if (!WARN_ON_ONCE(!found))
		memmove(found, found + 1, heap->by_age + heap->nr_extents - found - 1);
}

/* The same by address: where there is no extent, a base is above all addresses. */
static void forget_addr(struct quarry_heap *heap, const struct quarry_heap_extent *extent)
{
	struct quarry_heap_base *base, *last = &heap->by_addr[heap->nr_extents - 1];

	for (base = heap->by_addr; base < last && base->extent != extent; base++)
		;
	for (; base < last; base++)
		*base = base[1];
	last->addr = ULONG_MAX;
}

/* The reverse of publish(), but for what the extent holds. */
static void retire(struct quarry_heap *heap, struct quarry_heap_extent *extent)
{
	lockdep_assert_held(&heap->lock);

	forget_addr(heap, extent);
	forget_age(heap, extent);
	heap->nr_extents--;
	add_total(heap, -extent->size);
	heap->memory -= extent->memory_size;
	heap->nr_gives += extent->grown;
	WRITE_ONCE(extent->size, 0);
	extent->nr_pages = 0;
	extent->memory_size = 0;
}

static bool is_empty(const struct quarry_heap_extent *extent)
{
	return extent->nr_free == extent->nr_pages;
}

/* Take out an extent that is wholly free; false if its links are damaged. */
static bool retire_empty(struct quarry_heap *heap, struct quarry_heap_extent *extent)
{
	if (!__quarry_heap_take_behind(heap, extent, 0, extent->nr_pages))
		return false;
	retire(heap, extent);
	return true;
}

/* An extent with its place and its map, not yet found; an errno if it can't be. */
static int prepare(struct quarry_heap *heap, void *memory, size_t size, bool grown,
		   struct quarry_heap_extent **extent)
{
	struct quarry_heap_extent new = {
		.memory = (unsigned long)memory,
		.memory_size = size,
		.grown = grown,
	};
	unsigned long irq;
	int err;

	if (!lay_out(&new, heap->page_shift))
		return -ENOMEM;

	raw_spin_lock_irqsave(&heap->lock, irq);
	err = reserve_place(heap, &new, extent);
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	if (!err)
		clear_map(*extent);
	return err;
}

int __quarry_heap_add_extent(struct quarry_heap *heap, void *memory, size_t size)
{
	struct quarry_heap_extent *extent;
	unsigned long irq;
	int err;

	err = prepare(heap, memory, size, false, &extent);
	if (err)
		return err;

	raw_spin_lock_irqsave(&heap->lock, irq);
	__quarry_heap_publish(heap, extent);
	unlock_freed(heap, irq);
	return 0;
}

/* Whether memory is a range of addresses that doesn't wrap. */
static bool is_range(const void *memory, size_t size)
{
	return memory && size && (unsigned long)memory + (size - 1) >= (unsigned long)memory;
}

/**
 * quarry_heap_extend() - give a heap more memory
 * @heap: the heap
 * @memory: the memory, at any address
 * @size: its size, any that holds a page and what its map takes
 *
 * Tasks that wait for memory are served from it.
 *
 * Context: any but NMI. O(pages), for clearing the map without the lock.
 * Return: 0; -EINVAL if the memory is NULL, empty or wraps; -EEXIST if it overlaps
 * an extent that the heap has; -ENOMEM if no page fits; -ENOSPC if the heap has
 * QUARRY_HEAP_MAX_EXTENTS; -EIO if out of service. Nothing is written then.
 */
int quarry_heap_extend(struct quarry_heap *heap, void *memory, size_t size)
{
	if (!is_range(memory, size))
		return __quarry_heap_refuse(heap, -EINVAL, "extend: not a range of memory",
					    (unsigned long)memory, _RET_IP_);
	return __quarry_heap_add_extent(heap, memory, size);
}
EXPORT_SYMBOL_GPL(quarry_heap_extend);

static struct quarry_heap_extent *extent_of_memory(struct quarry_heap *heap, const void *memory)
{
	unsigned int i;

	for (i = 0; i < heap->nr_extents; i++) {
		struct quarry_heap_extent *extent = &heap->extents[heap->by_age[i]];

		if (extent->memory == (unsigned long)memory)
			return extent;
	}
	return NULL;
}

/**
 * quarry_heap_shrink() - take an extent out of a heap
 * @heap: the heap
 * @memory: the memory, as it was given to the heap
 *
 * Frees first what is queued. Afterwards the caller may have the memory back.
 *
 * Context: any but NMI; with caching, a task that may sleep. O(extents).
 * Return: 0; -EINVAL if no extent that the caller gave is this memory; -EBUSY if
 * blocks in it are in use, what caching needs among them; -EIO if out of service.
 */
int quarry_heap_shrink(struct quarry_heap *heap, const void *memory)
{
	struct quarry_heap_extent *extent;
	unsigned long irq;
	int err = 0;

	__quarry_heap_reap(heap);
	__quarry_heap_drain_cached(heap);

	raw_spin_lock_irqsave(&heap->lock, irq);
	extent = extent_of_memory(heap, memory);
	if (!extent || extent->grown)
		err = -EINVAL;
	else if (heap->broken)
		err = -EIO;
	else if (!is_empty(extent))
		err = -EBUSY;
	else if (!retire_empty(heap, extent))
		err = -EIO;
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	if (err != -EINVAL)
		return err;
	return __quarry_heap_refuse(heap, -EINVAL, "shrink: not an extent",
				    (unsigned long)memory, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_heap_shrink);

/* Take the oldest extent out, whatever is in it; false if there is none. */
bool __quarry_heap_remove_first(struct quarry_heap *heap, struct quarry_heap_extent_stats *stats)
{
	struct quarry_heap_extent *extent = &heap->extents[heap->by_age[0]];

	lockdep_assert_held(&heap->lock);

	if (!heap->nr_extents)
		return false;
	stats->memory = (void *)extent->memory;
	stats->size = extent->memory_size;
	stats->grown = extent->grown;
	retire(heap, extent);
	return true;
}

/* ---- Growing ---- */

/* Memory for an extent that serves a request, wherever it may lie; 0 for none. */
static size_t size_to_grow(const struct quarry_heap *heap, size_t size, size_t align)
{
	size_t bytes = quarry_heap_size(size_add(size, align), page_size(heap));

	return bytes ? bytes + page_size(heap) - 1 : 0;
}

/* Fetch an extent that serves a request, to be published; NULL if none can be had. */
struct quarry_heap_extent *__quarry_heap_fetch(struct quarry_heap *heap, size_t size,
					       size_t align)
{
	const struct quarry_heap_grower *grower = &heap->grower;
	size_t need = size_to_grow(heap, size, align);
	struct quarry_heap_extent *extent;
	void *memory;

	if (!need || READ_ONCE(heap->nr_extents) == QUARRY_HEAP_MAX_EXTENTS)
		return NULL;
	size = need;
	memory = grower->grow(grower->ctx, need, &size);
	if (!memory)
		return NULL;
	if (is_range(memory, size) && !prepare(heap, memory, size, true, &extent))
		return extent;
	grower->give(grower->ctx, memory, size);
	return NULL;
}

/* Take out the youngest extent that was fetched and is empty, if more than @keep are. */
static bool retire_spare(struct quarry_heap *heap, unsigned int keep,
			 struct quarry_heap_extent_stats *stats)
{
	unsigned int i = heap->nr_extents;

	lockdep_assert_held(&heap->lock);

	if (heap->nr_empty <= keep)
		return false;
	while (i--) {
		struct quarry_heap_extent *extent = &heap->extents[heap->by_age[i]];

		if (!extent->grown || !is_empty(extent))
			continue;
		stats->memory = (void *)extent->memory;
		stats->size = extent->memory_size;
		return retire_empty(heap, extent);
	}
	return false;
}

/* Give back what was fetched and is empty, but for what is kept. */
void __quarry_heap_give_empty(struct quarry_heap *heap)
{
	const struct quarry_heap_grower *grower = &heap->grower;
	struct quarry_heap_extent_stats extent = {};
	unsigned long irq;
	bool found;

	do {
		raw_spin_lock_irqsave(&heap->lock, irq);
		found = retire_spare(heap, grower->keep, &extent);
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		if (found)
			grower->give(grower->ctx, extent.memory, extent.size);
	} while (found);
}

static int set_grower(struct quarry_heap *heap, const struct quarry_heap_grower *grower,
		      struct quarry_backend *backend)
{
	unsigned long irq;
	unsigned int i;
	int err = 0;

	raw_spin_lock_irqsave(&heap->lock, irq);
	for (i = 0; i < heap->nr_extents; i++)
		if (heap->extents[heap->by_age[i]].grown)
			err = -EBUSY;
	if (!err) {
		heap->grower = *grower;
		swap(heap->backend, backend);
	}
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	if (!err && backend)
		quarry_backend_del_reclaimer(backend, &heap->reclaimer);
	return err;
}

/**
 * quarry_heap_set_grow() - let a heap fetch memory when it has no room
 * @heap: the heap
 * @grower: where from; copied. NULL ends this
 *
 * A fetched extent that is empty goes back, but for as many as the grower says,
 * which are kept so that a heap at the edge of an extent doesn't fetch and give
 * all the time.
 *
 * Context: nothing else may use the heap meanwhile. O(extents).
 * Return: 0; -EINVAL if one of the functions is NULL; -EBUSY if the heap has an
 * extent that it fetched.
 */
int quarry_heap_set_grow(struct quarry_heap *heap, const struct quarry_heap_grower *grower)
{
	static const struct quarry_heap_grower none = {};

	if (grower && (!grower->grow || !grower->give))
		return -EINVAL;
	return set_grower(heap, grower ?: &none, NULL);
}
EXPORT_SYMBOL_GPL(quarry_heap_set_grow);

static void *grow_from_backend(void *ctx, size_t need, size_t *size)
{
	struct quarry_heap *heap = ctx;
	void *memory;

	*size = max(heap->grow_size, ALIGN(need, PAGE_SIZE));
	memory = quarry_backend_take(heap->backend, *size);
	if (memory)
		quarry_backend_set_owner(heap->backend, memory, *size,
					 (unsigned long)heap | QUARRY_OWNER_OTHER);
	return memory;
}

static void give_to_backend(void *ctx, void *memory, size_t size)
{
	struct quarry_heap *heap = ctx;

	quarry_backend_set_owner(heap->backend, memory, size, 0);
	/* A range that is refused was damaged by someone, and the backend has said so. */
	(void)quarry_backend_give(heap->backend, memory, size);
}

static bool retire_any(struct quarry_heap *heap, struct quarry_heap_extent_stats *extent)
{
	unsigned long irq;
	bool found;

	raw_spin_lock_irqsave(&heap->lock, irq);
	found = retire_spare(heap, 0, extent);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return found;
}

/* The backend runs short: an empty extent goes back, even if it was to be kept. */
static size_t reclaim(struct quarry_reclaimer *reclaimer)
{
	struct quarry_heap *heap = container_of(reclaimer, struct quarry_heap, reclaimer);
	struct quarry_heap_extent_stats extent = {};
	bool found = retire_any(heap, &extent);

	if (!found) {
		__quarry_heap_reclaim_cached(heap);
		found = retire_any(heap, &extent);
	}
	if (!found)
		return 0;
	give_to_backend(heap, extent.memory, extent.size);
	return extent.size;
}

/**
 * quarry_heap_set_backend() - let a heap fetch memory from a backend
 * @heap: the heap
 * @backend: the backend, until the heap ends; NULL ends this
 * @extent_size: bytes in each extent, or more if one request needs more
 * @keep: how many fetched extents that are empty are kept for later; when the backend runs
 *	short, they go back as well
 *
 * Context: as quarry_heap_set_grow().
 * Return: 0; -EINVAL if @extent_size is 0; -EBUSY if the heap has an extent that it
 * fetched.
 */
int quarry_heap_set_backend(struct quarry_heap *heap, struct quarry_backend *backend,
			    size_t extent_size, unsigned int keep)
{
	const struct quarry_heap_grower grower = {
		.grow = grow_from_backend,
		.give = give_to_backend,
		.ctx = heap,
		.keep = keep,
	};
	int err;

	if (!backend)
		return quarry_heap_set_grow(heap, NULL);
	if (!extent_size)
		return -EINVAL;
	err = set_grower(heap, &grower, backend);
	if (err)
		return err;
	heap->grow_size = ALIGN(extent_size, PAGE_SIZE);
	heap->reclaimer.reclaim = reclaim;
	quarry_backend_add_reclaimer(backend, &heap->reclaimer);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_heap_set_backend);
