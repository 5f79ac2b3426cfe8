// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: arenas of segments of addresses that mean anything, in bounded time.
 *
 * 1. Terms. An arena has spans, ranges of addresses that were added or imported,
 *    and cuts them in segments, which are in use or free. All addresses and sizes
 *    are multiples of the quantum, a power of two. What lies at an address is
 *    never touched: it may be memory, or interrupt numbers. Addresses are 64 bits
 *    wide on every machine, and a span may end with the last of them; so ends are
 *    compared by the last address, never by the one behind it. A border is an end of
 *    a span with nothing to merge with behind it. A class is the set of the free
 *    segments of one size, or of sizes close together.
 *
 * 2. Structure. Each segment has a boundary tag of 64 bytes:
 *
 *          start, size
 *          prev, next          neighbours in address, NULL at a border
 *          state               free, in use by alloc or by xalloc, or cached
 *          slotted             in a slot of the quantum caches
 *          link                in use: the next in a bucket of the table
 *          mask, own, bit,     free: its place in the trie of its bin; mask and link
 *          part, child[2]      share theirs
 *
 *    There are two indexes (lib/vmem_index.c): a table in which segments in use are
 *    found by any address in them, and for each class and part of the arena a trie of the
 *    segments there by address, with a bit for each that has any. Spans are in a tree of
 *    their own (lib/vmem_span.c). Neighbours are never both free.
 *
 * 3. Algorithm. First fit is instant fit: it takes any segment of the first class
 *    that has one and all of whose segments are large enough. For sizes up to 128
 *    quanta the first class asked is that of the size itself, and it is mostly
 *    there that something is found, so that nothing must be split. Only if no such
 *    class has one is the class of the size searched, as best fit does. What all
 *    other requests get is told in lib/vmem_find.c. What is too much of a segment
 *    is split off before and behind. Freeing finds the tag by address and size in the
 *    table, and merges it with its neighbours.
 *
 *    What finds no room tries, in turn, to import a span, to drain the quantum caches
 *    (lib/vmem_qcache.c) and call the reclaim function and to begin again, and then
 *    fails or waits (lib/vmem_wait.c). A span that is imported is added and allocated
 *    from under one lock, and one that is wholly free again goes back.
 *
 * 4. Bounds. L is the depth of a trie: at most 65, about log2 of the segments of
 *    one class in one part. First fit and free are O(L), plus a chain of the table, which has
 *    one segment on average. Other searches have the bounds of lib/vmem_find.c.
 *    Nothing but init, fini and verify depends on the number of segments. Each
 *    insertion into or removal from the table moves at most one chain. An operation
 *    takes at most QUARRY_VMEM_TAGS_MAX tags, and a free none.
 *
 * 5. Locking. One raw spinlock guards all but what init sets. It is taken with
 *    interrupts saved, for one search and a few changes at most. Imports, releases,
 *    reclaim, quantum caches and the backend are called with no lock held. Waking one
 *    who waits takes the raw lock of a completion inside of it; nothing else is.
 *
 * 6. Failure. A call that can't be right is refused and changes nothing but a
 *    counter. Metadata that contradict each other make the kernel WARN, and the arena
 *    serves nothing more (-EIO).
 *
 * After J. Bonwick and J. Adams, "Magazines and Vmem: Extending the Slab Allocator
 * to Many CPUs and Arbitrary Resources", USENIX 2001.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/sched.h>

#include "inject.h"
#include "vmem_index.h"
#include "vmem_qcache.h"

/* ---- Saying no ---- */

/* What the log takes for the arena's own addresses: from its first span to its last. */
static void describe_range(struct quarry_vmem *vmem, struct quarry_misuse *misuse)
{
	if (RB_EMPTY_ROOT(&vmem->spans))
		return;
	misuse->base = vmem->lowest;
	misuse->size = vmem->highest - vmem->lowest + 1 ?: U64_MAX;
}

/* Count and log a call that can't be right; @err is passed through. */
noinline __cold int __quarry_vmem_refuse(struct quarry_vmem *vmem, int err, const char *what,
					 u64 value, unsigned long caller)
{
	struct quarry_misuse misuse = {
		.kind = "vmem",
		.name = vmem->name,
		.what = what,
		.value = value,
		.caller = caller,
	};
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	vmem->nr_misuses++;
	describe_range(vmem, &misuse);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	quarry_report_misuse(&misuse);
	return err;
}

/* All flags that can be right, as a set: one strategy, and at most one of the others. */
#define RIGHT_STRATEGIES \
	(BIT(QUARRY_VMEM_FIRSTFIT) | BIT(QUARRY_VMEM_BESTFIT) | BIT(QUARRY_VMEM_NEXTFIT))
#define RIGHT_FLAGS \
	(RIGHT_STRATEGIES | RIGHT_STRATEGIES << QUARRY_VMEM_WAIT | \
	 RIGHT_STRATEGIES << QUARRY_VMEM_NOWAIT)

static __always_inline const char *check_flags(unsigned int flags)
{
	if (likely(flags <= QUARRY_VMEM_FLAGS && RIGHT_FLAGS >> flags & 1))
		return NULL;
	if (flags & ~QUARRY_VMEM_FLAGS)
		return "unknown flags";
	if (!is_power_of_2(flags & QUARRY_VMEM_STRATEGIES))
		return "not exactly one strategy";
	return "both to wait and not to";
}

/* What is wrong with alignment, phase and boundary; NULL if nothing is. */
static __always_inline const char *
check_places(const struct quarry_vmem *vmem, const struct quarry_vmem_request *request, u64 size)
{
	u64 phase = request->phase;

	if (request->align & (request->align - 1))
		return "alignment is no power of two";
	if (phase && phase >= request->align)
		return "phase is not below the alignment";
	if (!is_aligned_to_quantum(vmem, phase))
		return "phase is no multiple of the quantum";
	if (request->nocross & (request->nocross - 1))
		return "boundary is no power of two";
	if (!request->nocross)
		return NULL;
	if (request->nocross < size)
		return "boundary is below the size";
	if ((phase & (request->nocross - 1)) > request->nocross - size)
		return "alignment and boundary exclude each other";
	return NULL;
}

/* What is wrong with a request, or NULL. */
static __always_inline const char *
check_request(const struct quarry_vmem *vmem, const struct quarry_vmem_request *request)
{
	u64 size = round_size(vmem, request->size);

	if (!size)
		return request->size ? "size overflows" : "size is zero";
	if (request->min > request->max)
		return "window is empty";
	return check_flags(request->flags) ?: check_places(vmem, request, size);
}

/* The colours that are every 1, 2, 4 ... 64 quanta apart. */
static const u64 every[] = {
	0xffffffffffffffff, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101,
	0x0001000100010001, 0x0000000100000001, 0x0000000000000001,
};

/* The colours of starts at which the size can be placed, as far as colours tell. */
static inline u64 colours_for(const struct quarry_vmem *vmem, const struct want *want)
{
	unsigned int align = top_bit(want->align) - vmem->quantum_shift;
	u64 mask = rol64(every[min(align, 6U)], (want->phase >> vmem->quantum_shift) & 63);

	if (want->nocross && want->nocross >> vmem->quantum_shift <= 64) {
		unsigned int shift = top_bit(want->nocross) - vmem->quantum_shift;
		unsigned int room = (want->nocross - want->size) >> vmem->quantum_shift;

		mask &= (U64_MAX >> (63 - room)) * every[shift];
	}
	return mask;
}

/* What a request that can be right asks for. */
static __always_inline void understand(const struct quarry_vmem *vmem,
				       const struct quarry_vmem_request *request,
				       struct want *want)
{
	*want = (struct want) {
		.size = round_size(vmem, request->size),
		.align = max(request->align, quantum(vmem)),
		.phase = request->phase,
		.nocross = request->nocross,
		.min = request->min,
		.max = request->max,
		.strategy = request->flags & QUARRY_VMEM_STRATEGIES,
		.state = QUARRY_VMEM_XUSED,
		.colours = U64_MAX,
	};

	if (want->align > quantum(vmem) || want->nocross)
		want->colours = colours_for(vmem, want);
}

/* ---- Segments ---- */

/*
 * Split the first @size off a segment that is in no class; returns that piece. The
 * rest keeps the tag.
 */
static __always_inline struct quarry_vmem_tag *
split(struct quarry_vmem *vmem, struct quarry_vmem_tag *rest, u64 size)
{
	struct quarry_vmem_tag *piece = get_tag(vmem), *prev = rest->prev;

	piece->start = rest->start;
	piece->size = size;
	piece->prev = prev;
	piece->next = rest;
	if (prev)
		prev->next = piece;
	else if (rest == vmem->first)
		vmem->first = piece;
	rest->prev = piece;
	rest->start += size;
	rest->size -= size;
	return piece;
}

/* Let a segment that is in no index take in the one behind it, likewise. */
static inline void merge(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
			 struct quarry_vmem_tag *next)
{
	struct quarry_vmem_tag *behind = next->next;

	tag->size += next->size;
	tag->next = behind;
	if (behind)
		behind->prev = tag;
	if (unlikely(vmem->near_cursor == next))
		vmem->near_cursor = tag;
	put_tag(vmem, next);
}

/* Make a segment free that is in no index, and one with its free neighbours; returns that. */
static __always_inline struct quarry_vmem_tag *settle(struct quarry_vmem *vmem,
						      struct quarry_vmem_tag *tag)
{
	struct quarry_vmem_tag *next = tag->next, *prev = tag->prev;

	if (next && next->state == QUARRY_VMEM_FREE) {
		__quarry_vmem_free_remove(vmem, next);
		merge(vmem, tag, next);
	}
	if (prev && prev->state == QUARRY_VMEM_FREE) {
		__quarry_vmem_free_remove(vmem, prev);
		merge(vmem, prev, tag);
		tag = prev;
	}
	free_insert(vmem, tag);
	return tag;
}

struct quarry_vmem_tag *__quarry_vmem_settle(struct quarry_vmem *vmem,
					     struct quarry_vmem_tag *tag)
{
	return settle(vmem, tag);
}

/*
 * Cut a range out of a free segment that holds it: what is too much stays free, and
 * the segment of the range is returned, in no index. There are tags enough.
 */
static __always_inline struct quarry_vmem_tag *
carve(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag, u64 start, u64 size)
{
	__quarry_vmem_free_remove(vmem, tag);
	if (start != tag->start)
		__quarry_vmem_free_insert(vmem, split(vmem, tag, start - tag->start));
	if (size != tag->size) {
		struct quarry_vmem_tag *piece = split(vmem, tag, size);

		__quarry_vmem_free_insert(vmem, tag);
		return piece;
	}
	return tag;
}

struct quarry_vmem_tag *__quarry_vmem_carve(struct quarry_vmem *vmem,
					    struct quarry_vmem_tag *tag, u64 start, u64 size)
{
	return carve(vmem, tag, start, size);
}

/* Put a segment that is in no index in use. */
static __always_inline void mark_used(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
				      enum quarry_vmem_state state)
{
	tag->state = state;
	__quarry_vmem_table_insert(vmem, tag);
	vmem->used += tag->size;
	if (vmem->peak < vmem->used)
		vmem->peak = vmem->used;
}

/* ---- Allocation ---- */

/* Whether there are tags enough to cut a range out of a segment. */
static __always_inline bool has_tags_for(const struct quarry_vmem *vmem,
					 const struct quarry_vmem_tag *tag, u64 start, u64 size)
{
	return likely(vmem->nr_free_tags >= QUARRY_VMEM_TAGS_ALLOC) ||
	       __quarry_vmem_tags_for(tag, start, size) <= vmem->nr_free_tags;
}

static __always_inline void account_search(struct quarry_vmem *vmem, const struct want *want)
{
	vmem->nr_steps += want->steps;
	if (vmem->max_steps < want->steps)
		vmem->max_steps = want->steps;
}

/* Find and take what is wanted. Return: 0; -ENOSPC; -ENOMEM for no tags; -EIO. */
static __always_inline int take(struct quarry_vmem *vmem, struct want *want)
{
	struct quarry_vmem_tag *tag;

	lockdep_assert_held(&vmem->lock);

	if (vmem->broken)
		return -EIO;
	tag = __quarry_vmem_search(vmem, want);
	account_search(vmem, want);
	if (!tag)
		return -ENOSPC;
	if (!has_tags_for(vmem, tag, want->found, want->size))
		return -ENOMEM;

	tag = carve(vmem, tag, want->found, want->size);
	mark_used(vmem, tag, want->state);
	if (want->strategy == QUARRY_VMEM_NEXTFIT) {
		vmem->cursor = last_of(tag) + 1;
		vmem->near_cursor = tag;
	}
	return 0;
}

int __quarry_vmem_take(struct quarry_vmem *vmem, struct want *want)
{
	return take(vmem, want);
}

/* The same with the lock, and seeing to the tags if they run low. */
static __always_inline int lock_and_take(struct quarry_vmem *vmem, struct want *want)
{
	unsigned long irq;
	bool tend;
	int err;

	do {
		raw_spin_lock_irqsave(&vmem->lock, irq);
		err = take(vmem, want);
		tend = vmem->nr_free_tags < vmem->tag_reserve;
		raw_spin_unlock_irqrestore(&vmem->lock, irq);
	} while (unlikely(tend) && __quarry_vmem_tend(vmem, want->sure) && err == -ENOMEM);
	return err;
}

/* Where a second attempt is made. */
static noinline int take_again(struct quarry_vmem *vmem, struct want *want)
{
	return lock_and_take(vmem, want);
}

/* Take what is wanted, or fetch a span or tags for it. No lock is held. */
int __quarry_vmem_fetch(struct quarry_vmem *vmem, struct want *want)
{
	int err = take_again(vmem, want);

	return err == -ENOSPC ? __quarry_vmem_import(vmem, want) : err;
}

/* Ask those who hold what they could spare; false if there are none. */
static bool reclaim(struct quarry_vmem *vmem)
{
	unsigned long irq;

	if (!vmem->reclaim && !vmem->qcache)
		return false;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	vmem->nr_reclaims += !!vmem->reclaim;
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	__quarry_vmem_reclaim_qcache(vmem);
	if (vmem->reclaim)
		vmem->reclaim(vmem->reclaim_arg);
	return true;
}

/* Keep a record of a request that found no room. */
static noinline __cold void note_failure(struct quarry_vmem *vmem, u64 size)
{
	lockdep_assert_held(&vmem->lock);

	vmem->nr_failures++;
	vmem->last_failure = (struct quarry_vmem_failure) {
		.size = size,
		.when = ktime_get_mono_fast_ns(),
		.free = vmem->total - vmem->used,
	};
}

static int count_failure(struct quarry_vmem *vmem, u64 size, int err)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	note_failure(vmem, size);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return err;
}

/* Whether a request that can be right, and doesn't wait, shall find no room. */
static noinline __cold bool is_injected(struct quarry_vmem *vmem, u64 size, unsigned int flags)
{
	return !check_flags(flags) && !(flags & QUARRY_VMEM_WAIT) && round_size(vmem, size) &&
	       !READ_ONCE(vmem->broken) && quarry_inject(QUARRY_INJECT_VMEM_ALLOC, size);
}

/*
 * Get what is wanted with all that can be done for it, after a first attempt that gave
 * @err. No lock is held.
 */
static noinline int obtain(struct quarry_vmem *vmem, struct want *want, unsigned int flags,
			   unsigned long timeout, u64 *addr, int err)
{
	bool waits = flags & QUARRY_VMEM_WAIT;

	if (waits)
		might_sleep();
	want->sure = waits;
	if (!waits || !READ_ONCE(vmem->nr_waiters)) {
		if (err == -ENOMEM)
			err = take_again(vmem, want);
		if (err == -ENOSPC)
			err = __quarry_vmem_import(vmem, want);
		if (err == -ENOSPC && reclaim(vmem))
			err = __quarry_vmem_fetch(vmem, want);
	}
	if (waits && (err == -ENOSPC || err == -ENOMEM))
		err = __quarry_vmem_wait(vmem, want, timeout ?: MAX_SCHEDULE_TIMEOUT);
	if (err)
		return count_failure(vmem, want->size, err);
	if (addr)
		*addr = want->found;
	return 0;
}

/* Take what is wanted if it is there; who waits lets those before him go first. */
static __always_inline int obtain_quickly(struct quarry_vmem *vmem, struct want *want,
					  unsigned int flags, unsigned long timeout, u64 *addr)
{
	int err = -ENOSPC;

	if (likely(!(flags & QUARRY_VMEM_WAIT) || !READ_ONCE(vmem->nr_waiters)))
		err = lock_and_take(vmem, want);
	if (unlikely(err))
		return obtain(vmem, want, flags, timeout, addr, err);
	if (addr)
		*addr = want->found;
	return 0;
}

/* What a request without constraints asks for. */
static __always_inline struct want plain_want(const struct quarry_vmem *vmem, u64 size,
					      unsigned int strategy)
{
	return (struct want) {
		.size = size,
		.align = quantum(vmem),
		.max = U64_MAX,
		.strategy = strategy,
		.state = QUARRY_VMEM_USED,
		.colours = U64_MAX,
	};
}

/* All allocations without constraints but those that first fit serves at once. */
static noinline int alloc_otherwise(struct quarry_vmem *vmem, u64 size, unsigned int flags,
				    unsigned long timeout, u64 *addr, unsigned long caller)
{
	u64 rounded = round_size(vmem, size);
	const char *what = check_flags(flags);
	struct want want;

	if (unlikely(what))
		return __quarry_vmem_refuse(vmem, -EINVAL, what, flags, caller);
	if (unlikely(!rounded))
		return __quarry_vmem_refuse(vmem, -EINVAL,
					    size ? "size overflows" : "size is zero", size,
					    caller);
	want = plain_want(vmem, rounded, flags & QUARRY_VMEM_STRATEGIES);
	return obtain_quickly(vmem, &want, flags, timeout, addr);
}

/*
 * Any segment of the first class of which all are large enough: the topmost of the lowest bin,
 * which is the cheapest to take out. Best fit takes the lowest, and only of a class of one size.
 */
static __always_inline struct quarry_vmem_tag *pick(const struct quarry_vmem *vmem, u64 size,
						    unsigned int flags)
{
	u64 quanta = size >> vmem->quantum_shift;
	unsigned int class = class_of(quanta) + (quanta > QUARRY_VMEM_NR_EXACT);
	unsigned int bin = bin_from(vmem, bin_of(class, 0));

	if (likely(flags & QUARRY_VMEM_FIRSTFIT))
		return likely(bin < QUARRY_VMEM_NR_BINS) ? vmem->roots[bin] : NULL;
	return bin < NR_EXACT_BINS ? __quarry_vmem_lowest(vmem, bin) : NULL;
}

/* Flags with which a quantum cache may serve; alloc_otherwise() tells if they are wrong. */
#define CACHEABLE	(QUARRY_VMEM_FIRSTFIT | QUARRY_VMEM_NOWAIT)

/* What this CPU's magazine didn't have. */
static noinline int alloc_cached_slowly(struct quarry_vmem *vmem, u64 size, unsigned int flags,
					u64 *addr, unsigned long caller)
{
	if (flags & QUARRY_VMEM_FIRSTFIT && __quarry_vmem_get_cached(vmem, size, addr))
		return 0;
	return alloc_otherwise(vmem, size, flags, 0, addr, caller);
}

static __always_inline int alloc_cached(struct quarry_vmem *vmem, u64 size, unsigned int flags,
					u64 *addr, unsigned long caller)
{
	if (likely(flags & QUARRY_VMEM_FIRSTFIT && __quarry_vmem_get_quickly(vmem, size, addr)))
		return 0;
	return alloc_cached_slowly(vmem, size, flags, addr, caller);
}

/* Take the lowest part of a free segment; returns its tag. */
static __always_inline struct quarry_vmem_tag *take_quickly(struct quarry_vmem *vmem,
							    struct quarry_vmem_tag *tag, u64 size,
							    enum quarry_vmem_state state)
{
	free_remove(vmem, tag);
	if (tag->size != size) {
		struct quarry_vmem_tag *rest = tag;

		tag = split(vmem, rest, size);
		free_insert(vmem, rest);
	}
	mark_used(vmem, tag, state);
	return tag;
}

/*
 * First fit for up to @nr segments of one size at once: as many as are in the first free
 * segment that has room for one. Returns how many, @first and those behind it in address;
 * 0 if that isn't to be had at once.
 */
unsigned int __quarry_vmem_take_several(struct quarry_vmem *vmem, u64 size, unsigned int nr,
					enum quarry_vmem_state state,
					struct quarry_vmem_tag **first)
{
	struct quarry_vmem_tag *rest = pick(vmem, size, QUARRY_VMEM_FIRSTFIT), *piece;
	unsigned int n = 0;

	lockdep_assert_held(&vmem->lock);

	if (!rest || vmem->nr_free_tags < vmem->tag_reserve)
		return 0;
	free_remove(vmem, rest);
	do {
		piece = rest->size == size ? rest : split(vmem, rest, size);
		mark_used(vmem, piece, state);
		if (!n++)
			*first = piece;
	} while (piece != rest && n < nr && rest->size >= size && vmem->nr_free_tags);
	if (piece != rest)
		free_insert(vmem, rest);
	return n;
}

static inline bool is_quick(unsigned int flags)
{
	flags &= ~QUARRY_VMEM_NOWAIT;
	return flags == QUARRY_VMEM_FIRSTFIT || flags == QUARRY_VMEM_BESTFIT;
}

/* First fit, and best fit where the class of one size has a segment. */
static noinline int alloc_quickly(struct quarry_vmem *vmem, u64 size, unsigned int flags,
				  u64 *addr, unsigned long caller)
{
	struct quarry_vmem_tag *tag;
	unsigned long irq;
	u64 start;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	tag = pick(vmem, size, flags);
	if (unlikely(!tag || vmem->nr_free_tags < vmem->tag_reserve)) {
		raw_spin_unlock_irqrestore(&vmem->lock, irq);
		return alloc_otherwise(vmem, size, flags, 0, addr, caller);
	}
	start = tag->start;
	take_quickly(vmem, tag, size, QUARRY_VMEM_USED);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (likely(addr))
		*addr = start;
	return 0;
}

static __always_inline int alloc(struct quarry_vmem *vmem, u64 size, unsigned int flags,
				 u64 *addr, unsigned long caller)
{
	u64 rounded = round_size(vmem, size);

	if (rounded - 1 < vmem->qcache_size && !(flags & ~CACHEABLE))
		return alloc_cached(vmem, rounded, flags, addr, caller);
	if (likely(is_quick(flags) && rounded))
		return alloc_quickly(vmem, rounded, flags, addr, caller);
	return alloc_otherwise(vmem, size, flags, 0, addr, caller);
}

/* While failures are injected. */
static noinline __cold int alloc_armed(struct quarry_vmem *vmem, u64 size, unsigned int flags,
				       u64 *addr, unsigned long caller)
{
	if (is_injected(vmem, size, flags))
		return count_failure(vmem, size, -ENOSPC);
	return alloc(vmem, size, flags, addr, caller);
}

/**
 * quarry_vmem_alloc() - allocate a segment
 * @vmem: the arena
 * @size: wanted; rounded up to the quantum
 * @flags: enum quarry_vmem_flags
 * @addr: set to its first address; may be NULL, and then a walk tells
 *
 * If nothing that fits is free, it is imported; failing that, quantum caches are
 * drained and the reclaim function is called, and all is tried once more. With
 * QUARRY_VMEM_WAIT it sleeps then, until there is room or it is killed.
 *
 * Context: any but NMI; with QUARRY_VMEM_WAIT, a task that may sleep. O(1) but for
 * the levels of one trie with first fit; as lib/vmem_find.c tells with others; and the
 * time of what is called.
 * Return: 0; -EINVAL if @size is 0 or can't be rounded up, or @flags aren't exactly one
 * strategy and at most one of the others; -ENOSPC if there is no room; -ENOMEM if
 * there are no tags; -EINTR if killed; -EIO if out of service.
 */
int quarry_vmem_alloc(struct quarry_vmem *vmem, u64 size, unsigned int flags, u64 *addr)
{
	if (quarry_inject_armed())
		return alloc_armed(vmem, size, flags, addr, _RET_IP_);
	return alloc(vmem, size, flags, addr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_vmem_alloc);

/**
 * quarry_vmem_alloc_timeout() - allocate a segment, and wait only so long
 * @vmem: the arena
 * @size: as for quarry_vmem_alloc()
 * @flags: likewise; without QUARRY_VMEM_WAIT the timeout has no meaning
 * @timeout: jiffies to wait at most; 0 for as long as it takes
 * @addr: as for quarry_vmem_alloc()
 *
 * Context: as quarry_vmem_alloc().
 * Return: as quarry_vmem_alloc(); -ETIMEDOUT if there was no room in time.
 */
int quarry_vmem_alloc_timeout(struct quarry_vmem *vmem, u64 size, unsigned int flags,
			      unsigned long timeout, u64 *addr)
{
	if (quarry_inject_armed() && is_injected(vmem, size, flags))
		return count_failure(vmem, size, -ENOSPC);
	return alloc_otherwise(vmem, size, flags, timeout, addr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_vmem_alloc_timeout);

/*
 * Allocate what a request that can be right asks for. Not inline, so that the check of a
 * request needs nothing on the stack.
 */
static noinline int xalloc(struct quarry_vmem *vmem, const struct quarry_vmem_request *request,
			   u64 *addr)
{
	struct want want;

	understand(vmem, request, &want);
	return obtain_quickly(vmem, &want, request->flags, request->timeout, addr);
}

/**
 * quarry_vmem_xalloc() - allocate a segment with constraints
 * @vmem: the arena
 * @request: size, alignment, phase, boundary, window and flags
 * @addr: set to its first address; may be NULL
 *
 * As quarry_vmem_alloc(), among the places that the constraints allow: it succeeds if,
 * and only if, some free segment has such a place, or one can be imported. Of the
 * segment that is chosen it takes the lowest such place. To be freed by
 * quarry_vmem_xfree().
 *
 * Context: as quarry_vmem_alloc(). As lib/vmem_find.c tells.
 * Return: as quarry_vmem_alloc(), and -EINVAL if the alignment or boundary is no
 * power of two, the phase is not below the alignment or no multiple of the quantum,
 * the boundary is below the size, there is no address that alignment and boundary
 * both allow, the window is empty or @request is NULL; -ETIMEDOUT if there was no room
 * in time.
 */
int quarry_vmem_xalloc(struct quarry_vmem *vmem, const struct quarry_vmem_request *request,
		       u64 *addr)
{
	const char *what = request ? check_request(vmem, request) : "no request";

	if (unlikely(what))
		return __quarry_vmem_refuse(vmem, -EINVAL, what, request ? request->size : 0,
					    _RET_IP_);
	if (quarry_inject_armed() && is_injected(vmem, request->size, request->flags))
		return count_failure(vmem, request->size, -ENOSPC);
	return xalloc(vmem, request, addr);
}
EXPORT_SYMBOL_GPL(quarry_vmem_xalloc);

/* Take one range, if all of it is free. */
static int take_range(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_locate(vmem, addr);

	if (vmem->broken)
		return -EIO;
	if (!tag || !__quarry_vmem_span_of(vmem, addr + (size - 1)))
		return -EINVAL;
	if (tag->state != QUARRY_VMEM_FREE)
		return -EBUSY;
	if (last_of(tag) < addr + (size - 1))
		return tag->next ? -EBUSY : -EINVAL;
	if (!has_tags_for(vmem, tag, addr, size))
		return -ENOMEM;

	tag = __quarry_vmem_carve(vmem, tag, addr, size);
	mark_used(vmem, tag, QUARRY_VMEM_XUSED);
	return 0;
}

/**
 * quarry_vmem_alloc_at() - allocate one certain range
 * @vmem: the arena
 * @addr: its first address, a multiple of the quantum
 * @size: wanted; rounded up to the quantum
 *
 * To be freed by quarry_vmem_xfree().
 *
 * Context: any but NMI. The bound of quarry_vmem_lookup() and of a free.
 * Return: 0; -EINVAL if the range is empty, wraps, doesn't begin with a multiple of the
 * quantum or isn't in one span (or in adjacent ones that were added); -EBUSY if part
 * of it is in use; -ENOMEM if there are no tags; -EIO if out of service.
 */
int quarry_vmem_alloc_at(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	u64 rounded = round_size(vmem, size);
	unsigned long irq;
	int err;

	if (!is_range(addr, rounded) || !is_aligned_to_quantum(vmem, addr))
		return __quarry_vmem_refuse(vmem, -EINVAL, "alloc_at: no such range", addr,
					    _RET_IP_);
	do {
		raw_spin_lock_irqsave(&vmem->lock, irq);
		err = take_range(vmem, addr, rounded);
		if (err == -EBUSY)
			note_failure(vmem, rounded);
		raw_spin_unlock_irqrestore(&vmem->lock, irq);
	} while (err == -ENOMEM && __quarry_vmem_tend(vmem, false));

	if (err == -EINVAL)
		return __quarry_vmem_refuse(vmem, err, "alloc_at: range not managed", addr,
					    _RET_IP_);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_alloc_at);

/* ---- Freeing ---- */

/*
 * What else a free leads to: the first who waits is served, and an imported span that
 * is wholly free goes back, once the lock is dropped; @back->size is 0 if there is none.
 */
static void follow_up(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
		      struct quarry_region *back)
{
	*back = (struct quarry_region) { tag->start, tag->size };

	__quarry_vmem_serve(vmem, false);
	if (tag->prev || tag->next || tag->state != QUARRY_VMEM_FREE ||
	    !__quarry_vmem_drop_span(vmem, tag))
		back->size = 0;
}

/* Free a segment that is in no index, and isn't counted as used any more. */
void __quarry_vmem_free_tag(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
			    struct quarry_region *back)
{
	tag = settle(vmem, tag);
	if (vmem->nr_followers)
		follow_up(vmem, tag, back);
}

/* Why a segment can't be freed: what is wrong, and the errno. */
static const char *why_not(struct quarry_vmem *vmem, u64 addr, u64 size,
			   enum quarry_vmem_state state, int *err)
{
	struct quarry_vmem_tag *tag = __quarry_vmem_locate_used(vmem, addr);

	*err = -EINVAL;
	if (!__quarry_vmem_span_of(vmem, addr))
		return "not an address that is managed";
	if (!is_aligned_to_quantum(vmem, addr))
		return "not a multiple of the quantum";
	if (!tag || tag->state == QUARRY_VMEM_CACHED) {
		*err = -ENOENT;
		return "free already";
	}
	if (tag->start != addr)
		return "not the start of a segment";
	if (tag->size != size)
		return "not the size that was allocated";
	return state == QUARRY_VMEM_USED ? "allocated by xalloc, freed by free" :
					   "allocated by alloc, freed by xfree";
}

static noinline __cold int refuse_free(struct quarry_vmem *vmem, u64 addr, u64 size,
				       enum quarry_vmem_state state, unsigned long caller)
{
	const char *what = NULL;
	unsigned long irq;
	int err = -EIO;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	if (!vmem->broken)
		what = why_not(vmem, addr, size, state, &err);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return what ? __quarry_vmem_refuse(vmem, err, what, addr, caller) : err;
}

noinline void __quarry_vmem_give_span_back(struct quarry_vmem *vmem, struct quarry_region span)
{
	unsigned long irq;

	vmem->release(vmem->import_arg, span.base, span.size);
	if (!READ_ONCE(vmem->nr_waiters))
		return;

	/* There may be room below the limit now, or where the span came from. */
	raw_spin_lock_irqsave(&vmem->lock, irq);
	__quarry_vmem_serve(vmem, true);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
}

/* The end of a free that leads to more, and the lock's. */
static noinline bool finish_free(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag,
				 unsigned long irq)
	__releases(&vmem->lock)
{
	struct quarry_region back;

	follow_up(vmem, tag, &back);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	if (back.size)
		__quarry_vmem_give_span_back(vmem, back);
	return true;
}

/* Free a segment; false if that is refused, and nothing is changed then. */
static __always_inline bool free_segment(struct quarry_vmem *vmem, u64 addr, u64 rounded,
					 enum quarry_vmem_state state)
{
	struct quarry_vmem_tag *tag;
	unsigned long irq;

	if (unlikely(!rounded || vmem->broken))
		return false;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	tag = __quarry_vmem_table_take(vmem, addr, rounded, state);
	if (unlikely(!tag)) {
		raw_spin_unlock_irqrestore(&vmem->lock, irq);
		return false;
	}
	vmem->nr_frees++;
	vmem->used -= rounded;
	tag = settle(vmem, tag);
	if (unlikely(vmem->nr_followers))
		return finish_free(vmem, tag, irq);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return true;
}

static noinline int free_uncached(struct quarry_vmem *vmem, u64 addr, u64 rounded,
				  unsigned long caller)
{
	if (likely(free_segment(vmem, addr, rounded, QUARRY_VMEM_USED)))
		return 0;
	return refuse_free(vmem, addr, rounded, QUARRY_VMEM_USED, caller);
}

/* Put a segment that isn't the one that this CPU took last in its cache, or else free it. */
static noinline int free_cached_slowly(struct quarry_vmem *vmem, u64 addr, u64 rounded,
				       unsigned long caller)
{
	if (likely(__quarry_vmem_put_cached(vmem, addr, rounded)))
		return 0;
	return free_uncached(vmem, addr, rounded, caller);
}

static noinline int make_room_for_waiters(struct quarry_vmem *vmem)
{
	__quarry_vmem_reclaim_qcache(vmem);
	return 0;
}

/* All that isn't done here is left to others to the end, so that no register is saved. */
static __always_inline int free_cached(struct quarry_vmem *vmem, u64 addr, u64 rounded,
				       unsigned long caller)
{
	struct quarry_magazines *magazines = magazines_for(vmem, vmem->qcache, rounded);
	struct quarry_vmem_tag *tag = NULL;
	bool put = false;

	if (BITS_PER_LONG == 64)
		tag = __quarry_vmem_put_last(magazines, addr, rounded, &put);
	if (unlikely(!tag))
		return free_cached_slowly(vmem, addr, rounded, caller);
	/* Interrupted: it goes wherever there is room now. */
	if (unlikely(!put))
		return __quarry_vmem_put_claimed(vmem, tag);
	/* Pairs with that of who begins to wait: one of the two sees the other. */
	smp_mb();
	if (unlikely(READ_ONCE(vmem->nr_waiters)))
		return make_room_for_waiters(vmem);
	return 0;
}

/**
 * quarry_vmem_free() - free what quarry_vmem_alloc() gave
 * @vmem: the arena
 * @addr: its first address; 0 is an address like any other
 * @size: its size, as it was asked for, or rounded up
 *
 * It merges with free neighbours, and serves the first of those who wait. An imported
 * span that is wholly free is released.
 *
 * Context: any but NMI. O(levels of a trie), at most three of them, and the time of a
 * release. Needs no memory.
 * Return: 0; -EINVAL if @addr is not managed, not the start of a segment, the size is
 * another or it came from quarry_vmem_xalloc() or quarry_vmem_alloc_at(); -ENOENT if it
 * is free; -EIO if out of service. In each of these cases nothing changes.
 */
int quarry_vmem_free(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	u64 rounded = round_size(vmem, size);

	if (rounded - 1 < vmem->qcache_size)
		return free_cached(vmem, addr, rounded, _RET_IP_);
	return free_uncached(vmem, addr, rounded, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_vmem_free);

/**
 * quarry_vmem_xfree() - free what quarry_vmem_xalloc() or quarry_vmem_alloc_at() gave
 * @vmem: the arena
 * @addr: its first address
 * @size: its size, as it was asked for, or rounded up
 *
 * Context: as quarry_vmem_free().
 * Return: as quarry_vmem_free(), with -EINVAL for what quarry_vmem_alloc() gave.
 */
int quarry_vmem_xfree(struct quarry_vmem *vmem, u64 addr, u64 size)
{
	u64 rounded = round_size(vmem, size);

	if (likely(free_segment(vmem, addr, rounded, QUARRY_VMEM_XUSED)))
		return 0;
	return refuse_free(vmem, addr, rounded, QUARRY_VMEM_XUSED, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_vmem_xfree);

/* ---- Many at once, and growing ---- */

/* Segments that are cut under one lock. */
#define NR_AT_ONCE	16U

/*
 * First fit for several that no quantum cache has, as far as that goes without fetching
 * anything; returns how many.
 */
static unsigned int alloc_several(struct quarry_vmem *vmem, u64 rounded, unsigned int flags,
				  unsigned int nr, u64 *addrs)
{
	struct quarry_vmem_tag *tag = NULL;
	unsigned int done = 0, some, end;
	unsigned long irq;

	if ((flags & ~QUARRY_VMEM_NOWAIT) != QUARRY_VMEM_FIRSTFIT || !rounded ||
	    rounded <= vmem->qcache_size || quarry_inject_armed())
		return 0;
	do {
		raw_spin_lock_irqsave(&vmem->lock, irq);
		some = __quarry_vmem_take_several(vmem, rounded, min(nr - done, NR_AT_ONCE),
						  QUARRY_VMEM_USED, &tag);
		for (end = done + some; done < end; tag = tag->next)
			addrs[done++] = tag->start;
		raw_spin_unlock_irqrestore(&vmem->lock, irq);
	} while (some && done < nr);
	return done;
}

/**
 * quarry_vmem_alloc_bulk() - allocate segments of one size
 * @vmem: the arena
 * @size: of each; rounded up to the quantum
 * @flags: enum quarry_vmem_flags, but not QUARRY_VMEM_WAIT
 * @nr: how many
 * @addrs: room for @nr addresses
 *
 * All or none. Each is a segment of its own, to be freed by quarry_vmem_free(). First fit
 * cuts as many as it can out of one free segment, with one search.
 *
 * Context: any but NMI. @nr times the bound of quarry_vmem_alloc(); the lock is
 * taken for at most 16 at a time.
 * Return: as quarry_vmem_alloc(), and -EINVAL if @nr is 0, @addrs is NULL or @flags
 * say to wait.
 */
int quarry_vmem_alloc_bulk(struct quarry_vmem *vmem, u64 size, unsigned int flags,
			   unsigned int nr, u64 *addrs)
{
	unsigned int i;
	int err = 0;

	if (!nr || !addrs || flags & QUARRY_VMEM_WAIT)
		return __quarry_vmem_refuse(vmem, -EINVAL, "bulk: wrong argument", nr, _RET_IP_);

	i = alloc_several(vmem, round_size(vmem, size), flags, nr, addrs);
	for (; i < nr && !err; i++)
		err = quarry_vmem_alloc(vmem, size, flags, &addrs[i]);
	if (!err)
		return 0;
	for (i--; i--;)
		quarry_vmem_free(vmem, addrs[i], size);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_alloc_bulk);

/* Let a segment in use take what it lacks from the free one behind it. */
static int grow_tag(struct quarry_vmem *vmem, struct quarry_vmem_tag *tag, u64 size)
{
	struct quarry_vmem_tag *next = tag->next;
	enum quarry_vmem_state state = tag->state;
	u64 more = size - tag->size;

	if (!next || next->state != QUARRY_VMEM_FREE || next->size < more)
		return -ENOSPC;

	if (!__quarry_vmem_table_take(vmem, tag->start, tag->size, state))
		return -ENOENT;
	tag->state = state;
	__quarry_vmem_free_remove(vmem, next);
	if (next->size == more) {
		merge(vmem, tag, next);
	} else {
		tag->size += more;
		next->start += more;
		next->size -= more;
		__quarry_vmem_free_insert(vmem, next);
	}
	__quarry_vmem_table_insert(vmem, tag);
	vmem->used += more;
	if (vmem->peak < vmem->used)
		vmem->peak = vmem->used;
	return 0;
}

/**
 * quarry_vmem_grow() - make a segment larger where it is
 * @vmem: the arena
 * @addr: its first address
 * @size: its size
 * @new_size: what it shall have; rounded up to the quantum
 *
 * Works for all segments in use. Constraints that it was allocated with hold for its
 * start alone then. Needs no tags.
 *
 * Context: any but NMI. The bound of a free.
 * Return: 0; -EINVAL if @new_size is less than @size or can't be rounded up; -EINVAL or
 * -ENOENT for what quarry_vmem_free() refuses; -ENOSPC if what follows isn't free, or
 * isn't enough; -EIO if out of service. In each of these cases nothing changes.
 */
int quarry_vmem_grow(struct quarry_vmem *vmem, u64 addr, u64 size, u64 new_size)
{
	u64 rounded = round_size(vmem, size), wanted = round_size(vmem, new_size);
	struct quarry_vmem_tag *tag;
	unsigned long irq;
	int err = -EINVAL;

	if (!rounded || wanted < rounded)
		return __quarry_vmem_refuse(vmem, -EINVAL, "grow: wrong size", new_size,
					    _RET_IP_);

	raw_spin_lock_irqsave(&vmem->lock, irq);
	tag = __quarry_vmem_find(vmem, addr, rounded);
	if (tag && (tag->state == QUARRY_VMEM_USED || tag->state == QUARRY_VMEM_XUSED) &&
	    !vmem->broken)
		err = wanted > rounded ? grow_tag(vmem, tag, wanted) : 0;
	if (err == -ENOSPC)
		note_failure(vmem, wanted);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (err == -EINVAL || err == -ENOENT)
		return refuse_free(vmem, addr, rounded, QUARRY_VMEM_USED, _RET_IP_);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_grow);
