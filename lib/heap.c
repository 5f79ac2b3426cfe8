// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: blocks of any size in memory that it is given, in bounded time.
 *
 * 1. Terms. An extent is a range of memory that the heap was given; there may be 64, of
 *    any size and at any address. It is cut into pages of 64 to 512 B. A run is some
 *    pages one after another, of one extent. A class is a size of small blocks, up to
 *    8 pages: every 16 B up to 64 B, then eight to each power of two, so that from there on
 *    a block is at most an eighth larger than what was asked for. A bucket is a run that is
 *    cut into blocks of one class. A larger block is a run of its own. A piece is any of
 *    these: a bucket, a run in use, or a free run.
 *
 * 2. The page map. Nothing that the heap relies on lies in the blocks: each page has
 *    a word and a kind, behind the extent's pages (lib/heap_extent.c), 5 B in all.
 *
 *      kind, 8 bits        the page is             the word, 32 bits, says
 *      0 0 0 0 0 0 0 0     inside a run            perhaps the run's first page
 *                                                  (lib/heap_bucket.c)
 *      0 0 [  class  ]     first, of a long one    bits 0..31 of its free blocks
 *      0 1 [  class  ]     a short bucket          its free blocks
 *      1 0 0 0 0 0 0 0     first, of a run in use  the run's pages
 *      1 0 0 0 0 0 0 1     no page: an edge
 *      1 0 0 0 0 0 1 0     first, of a run of ours the run's pages
 *      1 0 1 [  nth  ]     nth of a long bucket    1: bits 32..63 of its free blocks
 *                                                  2, 3: next and previous in its list
 *      1 1 0 0 0 [mrk]     first, of a free run    the run's pages; see heap_runs.h
 *      1 1 0 0 1 0 0 0     last, of a free run     the run's pages
 *
 *    A reference to a page is the extent's place in heap->extents and the page's number:
 *
 *      31 .. 26 25 .. 0
 *      [extent] [page ]    all ones: none
 *
 * 3. Buckets. A long one has 4 to 30 pages, as many as leave little over behind the
 *    last block, and up to 64 blocks. A short one has one page: for the smallest classes,
 *    of which a page holds enough blocks; where no run is long enough for a long one, so that
 *    every page can be used; and for the first blocks of a class in a small heap, as a
 *    long bucket of each class might take all of it. How they are listed, made and
 *    given back, and what is done when there is no run for either, says lib/heap_bucket.c;
 *    how free runs are found, cut and joined, lib/heap_runs.h.
 *
 * 4. Algorithm. Allocation computes the class, takes the lowest free block of its first
 *    bucket, and goes on to the next when that was the last; a larger block is cut from
 *    a free run. Freeing finds the extent (the last one found is tried first, then the
 *    others by halving), the page, from its kind the bucket, and the block by a
 *    multiplication; it puts the bucket in its list if no other block was free, and
 *    gives its pages back if all are. If the user asks for it, CPUs have small blocks at
 *    hand, and mostly none of this is done: lib/heap_cache.c.
 *
 * 5. Bounds. There is no loop over blocks, pages, lists or classes. All is O(1), but for the
 *    extent, log2(64), and for what finds a run from inside, log2 of its pages. What
 *    growing costs, and clearing a new extent's map, comes on top of the allocation that
 *    grows the heap.
 *
 * 6. Misuse. The map says exactly which addresses are starts of blocks in use, so
 *    nothing else is ever freed. Why an address is none is told from a mark, its exclusive or
 *    with a number of the heap's own, that freeing leaves in a block's first bytes: with it
 *    the address was given out before. A mark is lost when the memory is used for
 *    something else, which may be a list of the heap's: free runs and short buckets have
 *    their links in the 8 bytes behind the place for a mark. Whoever writes there after
 *    freeing can't make the heap give out what is in use, for links are only believed as
 *    far as the map and their counterparts agree.
 *
 * 7. Locking. One raw spinlock guards all but what init sets, the queue of blocks to be
 *    freed later (lib/heap_deferred.c) and the count of refused calls. It is taken with
 *    interrupts saved, for the bounded time above. Memory is cleared and copied, callbacks
 *    are called, tasks are woken (lib/heap_wait.c) and misuse is logged after it is
 *    dropped. A backend's lock may be held when it is taken, never the other way round.
 *
 * 8. Failure. A call that can't be right is refused and changes nothing but a counter.
 *    Links or map entries that contradict each other mean that the metadata was damaged:
 *    this WARNs once, and the heap serves nothing more (-EIO), as whatever it gave might
 *    be in use.
 *
 * After M. K. McKusick and M. J. Karels, Design of a general purpose memory allocator for
 * the 4.3BSD UNIX kernel, 1988.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "heap_cache.h"
#include "heap_runs.h"
#include "inject.h"

/* ---- Saying no ---- */

/* Count and log a call that can't be right; @err is passed through. */
noinline __cold int __quarry_heap_refuse(struct quarry_heap *heap, int err, const char *what,
					 u64 value, unsigned long caller)
{
	const struct quarry_heap_extent *extent = __quarry_heap_extent_unlocked(heap, value);
	struct quarry_misuse misuse = {
		.kind = "heap",
		.name = heap->name,
		.what = what,
		.value = value,
		.caller = caller,
	};

	if (extent) {
		misuse.base = extent->base;
		misuse.size = extent->size;
	}
	atomic_long_inc(&heap->nr_refused);
	quarry_report_misuse(&misuse);
	return err;
}

noinline __cold int __quarry_heap_refuse_addr(struct quarry_heap *heap,
					      enum heap_verdict verdict, unsigned long addr,
					      unsigned long caller)
{
	static const struct {
		int err;
		const char *what;
	} answers[] = {
		[NOT_MANAGED] = { -EINVAL, "not an address that is managed" },
		[NOT_A_START] = { -EINVAL, "not the start of a block" },
		[NEVER_GIVEN] = { -EINVAL, "never given out" },
		[FREE_ALREADY] = { -ENOENT, "free already" },
		[QUEUED_ALREADY] = { -ENOENT, "to be freed already" },
	};

	if (verdict == OUT_OF_SERVICE)
		return -EIO;
	return __quarry_heap_refuse(heap, answers[verdict].err, answers[verdict].what, addr,
				    caller);
}

/* What can't be right about a size and an alignment. */
static const char *what_is_wrong(size_t size, size_t align)
{
	if (!is_power_of_2(align))
		return "alignment is no power of two";
	return size ? "size overflows" : "size is zero";
}

static noinline __cold void *refuse_size(struct quarry_heap *heap, size_t size, size_t align,
					 unsigned long caller)
{
	__quarry_heap_refuse(heap, -EINVAL, what_is_wrong(size, align), size, caller);
	return NULL;
}

/* No one can ask for more; less one, so that 0 is out of range as well. */
static __always_inline bool is_bad_size(size_t size)
{
	return unlikely(size - 1 >= LONG_MAX);
}

/* Keep a record of a request that found no room. */
static void fail(struct quarry_heap *heap, size_t size, size_t align)
{
	struct quarry_heap_failure *failure = &heap->last_failure;

	lockdep_assert_held(&heap->lock);

	heap->nr_failures++;
	failure->size = size;
	failure->align = align;
	failure->when = ktime_get_mono_fast_ns();
	failure->free = heap->total - heap->own - heap->used;
	failure->largest_free = __quarry_heap_largest(heap);
}

/* ---- Allocating ---- */

/* A block of a class, or a free one of a larger class. */
static __always_inline void *take_small(struct quarry_heap *heap, size_t size, size_t align,
					struct quarry_heap_class *class)
{
	lockdep_assert_held(&heap->lock);

	if (unlikely(!class->bits))
		return __quarry_heap_take_slow(heap, size, align, class);
	return take_long(heap, class);
}

/* A block for a size and an alignment that can be right, or NULL. */
static __always_inline void *take(struct quarry_heap *heap, size_t size, size_t align)
{
	lockdep_assert_held(&heap->lock);

	/* A multiple of the alignment, for then the class' size is one as well. */
	if (align > page_size(heap))
		return __quarry_heap_take_aligned(heap, pages_for(heap, size), align);
	size = ALIGN(size, align);
	if (size > heap->max_small)
		return __quarry_heap_take_run(heap, pages_for(heap, size));
	return take_small(heap, size, align, class_for(heap, size));
}

/* With the lock held; that there is no room is no failure. */
void *__quarry_heap_alloc(struct quarry_heap *heap, size_t size)
{
	return unmark(heap, take(heap, size, 1));
}

/*
 * There was no room: free what is queued and what CPUs have at hand, then fetch memory, and
 * look again after each. Whoever can wait is never refused memory that there is (@sure). The
 * lock is held before and after, but not all the while. A fetched extent is used before the
 * lock is dropped, so that nobody can give it back as empty.
 */
static noinline void *look_again(struct quarry_heap *heap, size_t size, size_t align,
				 bool sure, unsigned long irq)
	__must_hold(&heap->lock)
{
	struct quarry_heap_extent *extent;
	void *block = NULL;

	if (READ_ONCE(heap->queued) || heap->caches) {
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		__quarry_heap_reap(heap);
		__quarry_heap_reclaim_cached(heap);
		raw_spin_lock_irqsave(&heap->lock, irq);
		block = take(heap, size, align);
	}
	if (!block && heap->grower.grow && !heap->broken && !heap->closing) {
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		extent = !sure && quarry_inject(QUARRY_INJECT_HEAP_REFILL, size) ? NULL :
			 __quarry_heap_fetch(heap, size, align);
		raw_spin_lock_irqsave(&heap->lock, irq);
		if (extent)
			__quarry_heap_publish(heap, extent);
		block = take(heap, size, align);
	}
	return block;
}

/* The first look found nothing. Drops the lock. */
static noinline __cold void *no_room(struct quarry_heap *heap, size_t size, size_t align,
				     unsigned long irq)
	__releases(&heap->lock)
{
	void *block = NULL;

	if (READ_ONCE(heap->queued) || heap->caches || heap->grower.grow)
		block = look_again(heap, size, align, false, irq);
	if (!block && !heap->broken)
		fail(heap, size, align);
	unlock_freed(heap, irq);
	return block;
}

/* There are queued blocks: free one first. Drops the lock. */
static noinline __cold void *alloc_slow(struct quarry_heap *heap, size_t size, size_t align,
					unsigned long irq)
	__releases(&heap->lock)
{
	void *block;

	__quarry_heap_reap_one(heap);
	block = take(heap, size, align);
	if (!block)
		return no_room(heap, size, align, irq);
	unlock_freed(heap, irq);
	return block;
}

/*
 * A block of a class without magazines. Not inline, as what has magazines needs none of the
 * registers that this does.
 */
static noinline void *alloc_small(struct quarry_heap *heap, size_t size,
				  struct quarry_heap_class *class)
{
	unsigned long irq;
	void *block;

	raw_spin_lock_irqsave(&heap->lock, irq);
	/* Set by those who queue, without the lock; then or with the next call. */
	if (unlikely(data_race(heap->queued)))
		return alloc_slow(heap, size, 1, irq);
	block = take_small(heap, size, 1, class);
	if (unlikely(!block))
		return no_room(heap, size, 1, irq);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return block;
}

/* Past the magazines, if there are any. */
void *__quarry_heap_alloc_locked(struct quarry_heap *heap, size_t size, size_t align)
{
	unsigned long irq;
	void *block;

	raw_spin_lock_irqsave(&heap->lock, irq);
	/* As above. */
	if (unlikely(data_race(heap->queued)))
		return alloc_slow(heap, size, align, irq);
	block = take(heap, size, align);
	if (unlikely(!block))
		return no_room(heap, size, align, irq);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return block;
}

/* A run at a multiple of more than the page size. */
static noinline void *alloc_aligned_run(struct quarry_heap *heap, size_t size, size_t align)
{
	unsigned long irq;
	void *block;

	raw_spin_lock_irqsave(&heap->lock, irq);
	/* As above. */
	if (unlikely(data_race(heap->queued)))
		return alloc_slow(heap, size, align, irq);
	block = take_run_aligned(heap, pages_for(heap, size), align);
	if (unlikely(!block))
		return no_room(heap, size, align, irq);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return block;
}

/* While failures are injected: whether this is one. */
static noinline __cold bool is_injected(struct quarry_heap *heap, size_t size, size_t align)
{
	unsigned long irq;

	if (!quarry_inject(QUARRY_INJECT_HEAP_ALLOC, size))
		return false;
	raw_spin_lock_irqsave(&heap->lock, irq);
	if (!heap->broken)
		fail(heap, size, align);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return true;
}

/* A block for a size and an alignment that can be right, in whatever way. */
static noinline void *alloc(struct quarry_heap *heap, size_t size, size_t align)
{
	size_t whole = align <= page_size(heap) ? ALIGN(size, align) : SIZE_MAX;
	struct quarry_magazines *magazines = NULL;
	void *block;

	if (quarry_inject_armed() && is_injected(heap, size, align))
		return NULL;
	if (whole <= heap->max_small)
		magazines = READ_ONCE(class_for(heap, whole)->magazines);
	if (!magazines)
		return __quarry_heap_alloc_locked(heap, size, align);
	if (likely(get_recent(heap, magazines, &block)))
		return block;
	return __quarry_heap_alloc_cached(heap, whole, align);
}

/* As quarry_heap_alloc(), but that there is no room is no failure. */
void *__quarry_heap_try_alloc(struct quarry_heap *heap, size_t size)
{
	unsigned long irq;
	void *block;

	raw_spin_lock_irqsave(&heap->lock, irq);
	block = take(heap, size, 1) ?: look_again(heap, size, 1, true, irq);
	unlock_freed(heap, irq);
	return unmark(heap, block);
}

/* What is wrong, or larger than small blocks, or may have to fail. */
static noinline void *alloc_other(struct quarry_heap *heap, size_t size, unsigned long caller)
{
	if (is_bad_size(size))
		return refuse_size(heap, size, 1, caller);
	if (quarry_inject_armed())
		return alloc(heap, size, 1);
	return __quarry_heap_alloc_locked(heap, size, 1);
}

/**
 * quarry_heap_alloc() - allocate a block
 * @heap: the heap
 * @size: bytes wanted
 *
 * A block of up to 8 pages comes from a bucket of the smallest class that holds
 * it, at most an eighth larger (from 64 B on); a larger block is a run of pages. If
 * the heap is nearly full, a small block may be larger than its class. It is aligned to
 * QUARRY_HEAP_MIN_ALIGN; one whose size is a power of two, up to the page size,
 * is aligned to its size.
 *
 * Context: any but NMI, as far as the grower allows that. O(1), but for a run
 * of pages O(log2(pages)); fetching memory comes on top, and filling a magazine with up to
 * 8 blocks, see quarry_heap_set_caching().
 * Return: the block; NULL if there is no room, the size is 0 or above LONG_MAX, or the
 * heap is out of service.
 */
void *quarry_heap_alloc(struct quarry_heap *heap, size_t size)
{
	struct quarry_magazines *magazines;
	struct quarry_heap_class *class;
	void *block;

	if (unlikely(size - 1 >= heap->max_small) || quarry_inject_armed())
		return alloc_other(heap, size, _RET_IP_);
	class = class_for(heap, size);
	magazines = READ_ONCE(class->magazines);
	if (likely(!magazines))
		return alloc_small(heap, size, class);
	if (likely(get_recent(heap, magazines, &block)))
		return block;
	return __quarry_heap_alloc_cached(heap, size, 1);
}
EXPORT_SYMBOL_GPL(quarry_heap_alloc);

/**
 * quarry_heap_alloc_aligned() - allocate a block at an aligned address
 * @heap: the heap
 * @size: bytes wanted
 * @align: a power of two that the address shall be a multiple of
 *
 * Up to the page size any free block does that has the size rounded up to the
 * alignment. Above, a free run that is longer by the alignment always does; if
 * there is none, the longest is tried.
 *
 * Context: as quarry_heap_alloc(). O(log2(pages)).
 * Return: as quarry_heap_alloc(); NULL also if @align is no power of two.
 */
void *quarry_heap_alloc_aligned(struct quarry_heap *heap, size_t size, size_t align)
{
	if (is_bad_size(size) || !is_power_of_2(align))
		return refuse_size(heap, size, align, _RET_IP_);
	if (align > page_size(heap) && !quarry_inject_armed())
		return alloc_aligned_run(heap, size, align);
	return alloc(heap, size, align);
}
EXPORT_SYMBOL_GPL(quarry_heap_alloc_aligned);

static __always_inline void *zero(void *block, size_t size)
{
	return likely(block) ? memset(block, 0, size) : NULL;
}

/**
 * quarry_heap_zalloc() - allocate a block whose wanted bytes are zero
 * @heap: the heap
 * @size: bytes wanted
 *
 * Context: as quarry_heap_alloc(); the bytes are cleared without the lock.
 * Return: as quarry_heap_alloc().
 */
void *quarry_heap_zalloc(struct quarry_heap *heap, size_t size)
{
	if (is_bad_size(size))
		return refuse_size(heap, size, 1, _RET_IP_);
	return zero(alloc(heap, size, 1), size);
}
EXPORT_SYMBOL_GPL(quarry_heap_zalloc);

/**
 * quarry_heap_calloc() - allocate an array whose bytes are zero
 * @heap: the heap
 * @nr: how many elements
 * @size: bytes in each
 *
 * Context: as quarry_heap_zalloc().
 * Return: as quarry_heap_alloc(); NULL also if the product overflows.
 */
void *quarry_heap_calloc(struct quarry_heap *heap, size_t nr, size_t size)
{
	size_t bytes = size_mul(nr, size);

	if (is_bad_size(bytes))
		return refuse_size(heap, bytes, 1, _RET_IP_);
	return zero(alloc(heap, bytes, 1), bytes);
}
EXPORT_SYMBOL_GPL(quarry_heap_calloc);

/* ---- Freeing ---- */

/* The extent that holds an address, or NULL. */
struct quarry_heap_extent *__quarry_heap_extent(struct quarry_heap *heap, unsigned long addr)
{
	struct quarry_heap_extent *extent;

	lockdep_assert_held(&heap->lock);

	extent = find_extent(heap, addr);
	if (!contains(extent, addr))
		return NULL;
	WRITE_ONCE(heap->last, extent);
	return extent;
}

/* Free a block of a long bucket; false if pages became free. */
static __always_inline bool release_long(struct quarry_heap *heap,
					 struct quarry_heap_extent *extent, unsigned long addr,
					 const struct heap_spot *spot)
{
	struct quarry_heap_class *class = spot->class;
	unsigned long page = spot->page;
	u32 *bits = &extent->words[page];
	u64 old = spot->bits, new = old | 1ULL << spot->index;

	set_free_mark(heap, addr);
	heap->used -= class->size;
	class->nr_used--;
	set_bits(bits, new);
	if (unlikely(new == ~0ULL)) {
		__quarry_heap_release_long(heap, extent, page, class, old);
		return false;
	}
	if (old & class->long_valid)
		return true;
	if (unlikely(!long_fits(extent, page, class))) {
		__quarry_heap_condemn_bucket(heap, ref_of(heap, extent, page));
		return false;
	}
	push_long(heap, class, ref_of(heap, extent, page), bits, extent->base + spot->offset);
	return true;
}

/* Free a block of a short bucket, or a run. */
static __always_inline void release_rest(struct quarry_heap *heap,
					 struct quarry_heap_extent *extent, unsigned long addr,
					 const struct heap_spot *spot)
{
	u32 bits = spot->bits;

	set_free_mark(heap, addr);
	if (!spot->class) {
		__quarry_heap_release_run(heap, extent, spot->page);
		return;
	}
	heap->used -= spot->class->size;
	spot->class->nr_used--;
	if ((bits | 1U << spot->index) == ~0U)
		__quarry_heap_end_short(heap, extent, spot->page, spot->class, bits);
	else
		__quarry_heap_release_short(heap, extent, spot->page, spot->class, spot->index);
}

/* Free the block that find_start() found. */
static __always_inline void release(struct quarry_heap *heap, struct quarry_heap_extent *extent,
				    unsigned long addr, const struct heap_spot *spot)
{
	if (is_long(spot->kind))
		release_long(heap, extent, addr, spot);
	else
		release_rest(heap, extent, addr, spot);
}

/*
 * The same for any block, also one that came out of a magazine: there it is to be forgotten,
 * or it would be recalled when it isn't a block any more.
 */
void __quarry_heap_release(struct quarry_heap *heap, struct quarry_heap_extent *extent,
			   unsigned long addr, const struct heap_spot *spot)
{
	if (spot->class && spot->class->magazines)
		quarry_magazines_forget(spot->class->magazines);
	release(heap, extent, addr, spot);
}

/* What is left to do after a free, with the lock dropped. */
noinline __cold void __quarry_heap_follow_up(struct quarry_heap *heap)
{
	if (READ_ONCE(heap->due) & DUE_SERVE)
		__quarry_heap_serve(heap);
	if (READ_ONCE(heap->due) & DUE_GIVE)
		__quarry_heap_give_empty(heap);
}

/* Find a block, with the lock held; RELEASED if it is there. */
static enum heap_verdict find(struct quarry_heap *heap, unsigned long addr,
			      struct quarry_heap_extent **extent, struct heap_spot *spot)
{
	*extent = extent_at(heap, addr);
	if (heap->broken || !find_addr(heap, *extent, addr, spot))
		return __quarry_heap_why_not(heap, *extent, addr);
	if (is_cached(heap, spot->class, addr))
		return FREE_ALREADY;
	if (READ_ONCE(heap->queued) && has_deferred_mark(heap, addr))
		return QUEUED_ALREADY;
	return RELEASED;
}

/* What quarry_heap_free() does when it isn't simple. Drops the lock. */
static noinline __cold int free_slow(struct quarry_heap *heap, unsigned long addr,
				     unsigned long irq, unsigned long caller)
	__releases(&heap->lock)
{
	struct quarry_heap_extent *extent;
	struct heap_spot spot = {};
	enum heap_verdict verdict;

	verdict = find(heap, addr, &extent, &spot);
	if (verdict == RELEASED)
		__quarry_heap_release(heap, extent, addr, &spot);
	if (READ_ONCE(heap->queued))
		__quarry_heap_reap_one(heap);
	unlock_freed(heap, irq);

	if (verdict == RELEASED || !addr)
		return 0;
	return __quarry_heap_refuse_addr(heap, verdict, addr, caller);
}

/* Past the magazines, if there are any, but not without looking whether it is in one. */
int __quarry_heap_free_locked(struct quarry_heap *heap, unsigned long addr,
			      unsigned long caller)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&heap->lock, irq);
	return free_slow(heap, addr, irq, caller);
}

/*
 * Without magazines. Called as the last thing that quarry_heap_free() does, whose caller is
 * so this one's; and not inline, as in alloc_small().
 */
static noinline int free_block(struct quarry_heap *heap, unsigned long addr)
{
	struct quarry_heap_extent *extent;
	struct heap_spot spot = {};
	unsigned long irq, within;

	raw_spin_lock_irqsave(&heap->lock, irq);
	extent = heap->last;
	within = addr - extent->base;
	if (unlikely(within >= extent->size)) {
		extent = find_extent(heap, addr);
		within = addr - extent->base;
		if (unlikely(within >= extent->size))
			return free_slow(heap, addr, irq, _RET_IP_);
		WRITE_ONCE(heap->last, extent);
	}
	/* As in alloc(), for one of its bytes. */
	if (unlikely(data_race(heap->attention)))
		return free_slow(heap, addr, irq, _RET_IP_);
	if (unlikely(!find_first(heap, extent, within, &spot)))
		return free_slow(heap, addr, irq, _RET_IP_);
	if (likely(is_long(spot.kind))) {
		if (unlikely(!find_block(heap, extent, within, spot.kind, &spot)))
			return free_slow(heap, addr, irq, _RET_IP_);
		if (likely(release_long(heap, extent, addr, &spot))) {
			raw_spin_unlock_irqrestore(&heap->lock, irq);
			return 0;
		}
	} else {
		if (unlikely(!find_rest(heap, extent, within, &spot)))
			return free_slow(heap, addr, irq, _RET_IP_);
		release_rest(heap, extent, addr, &spot);
	}
	unlock_freed(heap, irq);
	return 0;
}

/* In whatever way. */
static int free_any(struct quarry_heap *heap, unsigned long addr, unsigned long caller)
{
	return heap->caches ? __quarry_heap_free_cached(heap, addr, caller) :
			      __quarry_heap_free_locked(heap, addr, caller);
}

/**
 * quarry_heap_free() - free a block
 * @heap: the heap
 * @block: what an allocation gave, or NULL, for which nothing is done
 *
 * An address that was given out again can't be told from what it was before, so
 * that a stale one frees the block that starts there now; everything else that is
 * wrong is found.
 *
 * Context: any but NMI. O(1); a task that waits for memory and can have it now
 * is served, and what a grower fetched and nobody uses goes back to it.
 * Return: 0; -ENOENT if the block is free already, or waits to be; -EINVAL if no block
 * that was given out starts there, or if one did, but the heap or the caller have
 * written over its first bytes since it was freed; -EIO if out of service. In each of
 * these cases nothing changes.
 */
int quarry_heap_free(struct quarry_heap *heap, const void *block)
{
	unsigned long addr = (unsigned long)block;

	if (likely(!heap->recent))
		return free_block(heap, addr);
	if (likely(put_recent(heap, addr)))
		return 0;
	return __quarry_heap_free_cached(heap, addr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_heap_free);

/**
 * quarry_heap_free_checked() - free a block if someone agrees
 * @heap: the heap
 * @block: as for quarry_heap_free()
 * @check: asked, if the block is in use
 * @ctx: passed to @check
 *
 * Context: any but NMI, if @check allows that; it is called with no lock held, so
 * that whoever frees the block meanwhile makes this fail. O(1).
 * Return: as quarry_heap_free(); -EINVAL also if @check is NULL; what @check returned,
 * if that isn't 0: the block stays.
 */
int quarry_heap_free_checked(struct quarry_heap *heap, const void *block,
			     quarry_heap_check_t check, void *ctx)
{
	size_t size;
	int err;

	if (!block)
		return 0;
	if (!check)
		return __quarry_heap_refuse(heap, -EINVAL, "no check", 0, _RET_IP_);
	size = quarry_heap_usable_size(heap, block);
	if (size) {
		err = check(ctx, (void *)block, size);
		if (err)
			return err;
	}
	return free_any(heap, (unsigned long)block, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_heap_free_checked);

/* ---- Reallocation ---- */

static bool resize(struct quarry_heap *heap, struct quarry_heap_extent *extent,
		   const struct heap_spot *spot, size_t size)
{
	if (!spot->class)
		return __quarry_heap_resize_run(heap, extent, spot->page, pages_for(heap, size));
	return size <= heap->max_small && class_for(heap, size) == spot->class;
}

/**
 * quarry_heap_realloc() - change the size of a block
 * @heap: the heap
 * @block: the block, or NULL, which makes this quarry_heap_alloc()
 * @size: bytes wanted
 *
 * In place if the class stays the same, if a run of pages shrinks, or if it grows
 * and the pages behind it are free. Otherwise the contents are copied to another block,
 * with no lock held. A block that was allocated with more alignment keeps only that
 * of its new size when it moves. A block that shrinks is never refused.
 *
 * Context: as quarry_heap_alloc(). O(log2(pages)), and the time to copy.
 * Return: the block, or the other one; NULL if quarry_heap_alloc() would return
 * that, or if @block doesn't start a block in use. The old block is untouched then.
 */
void *quarry_heap_realloc(struct quarry_heap *heap, void *block, size_t size)
{
	unsigned long irq, addr = (unsigned long)block;
	struct quarry_heap_extent *extent;
	struct heap_spot spot = {};
	enum heap_verdict verdict;
	size_t old;
	void *new;

	if (is_bad_size(size))
		return refuse_size(heap, size, 1, _RET_IP_);
	if (!block)
		return alloc(heap, size, 1);

	raw_spin_lock_irqsave(&heap->lock, irq);
	verdict = find(heap, addr, &extent, &spot);
	if (verdict != RELEASED) {
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		__quarry_heap_refuse_addr(heap, verdict, addr, _RET_IP_);
		return NULL;
	}
	old = spot_size(heap, extent, &spot);
	if (resize(heap, extent, &spot, size)) {
		unlock_freed(heap, irq);
		return block;
	}
	if (size > old && quarry_inject(QUARRY_INJECT_HEAP_ALLOC, size)) {
		fail(heap, size, 1);
		unlock_freed(heap, irq);
		return NULL;
	}
	new = take(heap, size, 1);
	if (!new && size > old) {
		new = no_room(heap, size, 1, irq);
	} else {
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		new = new ?: block;
	}
	if (new && new != block) {
		unmark(heap, new);
		memmove(new, block, min(old, size));
		free_any(heap, addr, _RET_IP_);
	}
	return new;
}
EXPORT_SYMBOL_GPL(quarry_heap_realloc);
