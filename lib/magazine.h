/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_MAGAZINE_H
#define QUARRY_MAGAZINE_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/irqflags.h>
#include <linux/list.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <asm/local.h>

#include "compat.h"

#include "slab.h"

/* Bytes of a magazine, and the most rounds that it can have. */
#define QUARRY_MAGAZINE_SIZE	512
#define QUARRY_MAGAZINE_ROUNDS	(QUARRY_MAGAZINE_SIZE / sizeof(long) - 2)

struct quarry_magazine;
struct quarry_magazines;

/**
 * struct quarry_magazines_ops - what the magazines stand on
 * @fill: get up to @nr items, none of them 0; returns how many
 * @flush: take @nr items back
 *
 * Called from any context that the magazines are used from, with no lock held.
 */
struct quarry_magazines_ops {
	unsigned int (*fill)(struct quarry_magazines *magazines, unsigned long *items,
			     unsigned int nr);
	void (*flush)(struct quarry_magazines *magazines, const unsigned long *items,
		      unsigned int nr);
};

/**
 * struct quarry_magazines_config - what quarry_magazines_init() is told
 * @ops: what they stand on; kept, not copied
 * @source: where magazines come from, an allocator of objects of at least
 *	QUARRY_MAGAZINE_SIZE bytes without a constructor; may serve many
 * @memory: for the CPUs' shares, quarry_magazines_memory_size() bytes aligned to a
 *	cache line; the caller keeps it until after quarry_magazines_fini()
 * @min: rounds of a magazine to begin with; more than QUARRY_MAGAZINE_ROUNDS means
 *	that, and 0 that nothing is kept and each item goes straight through
 * @max: rounds that they may grow to when CPUs meet at the depot; likewise
 * @quick: whether the shares' nr_quick is to be what nr_known is, and not 0
 */
struct quarry_magazines_config {
	const struct quarry_magazines_ops *ops;
	struct quarry_slab *source;
	void *memory;
	unsigned int min;
	unsigned int max;
	bool quick;
};

/**
 * struct quarry_magazines_stats - of one CPU, or of all together
 * @nr_gets: items handed out from a magazine (hits); like the next, each CPU counts them
 *	in a long, which begins anew after 2^32 on 32-bit machines
 * @nr_puts: items taken into a magazine (hits)
 * @nr_get_misses: times that get found both magazines empty
 * @nr_put_misses: times that put found both magazines full
 * @nr_exchanges: magazines exchanged with the depot
 * @nr_contended: of them, after waiting for another CPU
 * @nr_cached: items in magazines now, the depot's with those of all CPUs
 * @nr_full: magazines in the depot with items, mostly full; 0 for one CPU
 * @nr_empty: empty magazines in the depot; 0 for one CPU
 * @rounds: items that a magazine takes now
 */
struct quarry_magazines_stats {
	u64 nr_gets;
	u64 nr_puts;
	u64 nr_get_misses;
	u64 nr_put_misses;
	u64 nr_exchanges;
	u64 nr_contended;
	u64 nr_cached;
	u64 nr_full;
	u64 nr_empty;
	unsigned int rounds;
};

/* In a share's state: the number of items, and what a change adds to it. */
#define QUARRY_MAGAZINES_NR	0xffL
#define QUARRY_MAGAZINES_CHANGE	0x100L

/*
 * A CPU's share: two magazines that only this CPU touches. What get and put need is in
 * the first line of 64 bytes; the rest is for the slow paths.
 */
struct quarry_magazines_cpu {
	/* private: */
	local_t state;			/* of the loaded magazine */
	unsigned long *items;		/* in it; never NULL */
	long epoch;			/* when nr_known was set */
	unsigned int nr_known;		/* places that had an item then */
	unsigned int nr_quick;		/* the same, or 0; see __quarry_magazines_know() */
	u16 limit;			/* that it takes; 0 if there is none */
	u16 nr_previous;
	atomic_t asked;			/* whether @csd is under way */
	local_t nr_gets;
	local_t nr_puts;
	struct quarry_magazine *previous;
	u64 nr_get_misses;
	u64 nr_put_misses;
	u64 nr_exchanges;
	u64 nr_contended;
	call_single_data_t csd;
} __aligned(SMP_CACHE_BYTES);

/* Magazines in the depot: with items, or empty ones. */
struct quarry_magazines_list {
	/* private: */
	struct quarry_magazine *first;
	unsigned int nr;
};

/**
 * struct quarry_magazines - free items of one kind, at hand for each CPU
 *
 * lib/magazine.c tells how it works.
 */
struct quarry_magazines {
	/* private: */
	struct quarry_magazines_cpu *cpus;
	atomic_long_t epoch;			/* see quarry_magazines_forget() */
	unsigned int quick_mask;		/* 0 if nobody is to take a quick way */
	const struct quarry_magazines_ops *ops;
	struct quarry_slab *source;
	struct hlist_node hotplug;
	unsigned int min;
	unsigned int max;
	unsigned int depot_max;

	raw_spinlock_t lock ____cacheline_aligned_in_smp;
	unsigned int rounds;
	struct quarry_magazines_list full;
	struct quarry_magazines_list empty;
	unsigned int window;
	unsigned int window_contended;
	unsigned int starved;
};

size_t quarry_magazines_memory_size(void);
int quarry_magazines_init(struct quarry_magazines *magazines,
			  const struct quarry_magazines_config *config);
void quarry_magazines_fini(struct quarry_magazines *magazines);

unsigned int quarry_magazines_get_bulk(struct quarry_magazines *magazines,
				       unsigned long *items, unsigned int nr);
void quarry_magazines_put_bulk(struct quarry_magazines *magazines,
			       const unsigned long *items, unsigned int nr);

unsigned int quarry_magazines_drain(struct quarry_magazines *magazines);
unsigned int quarry_magazines_reclaim(struct quarry_magazines *magazines);
unsigned int quarry_magazines_shrink(struct quarry_magazines *magazines);

bool quarry_magazines_holds(struct quarry_magazines *magazines, unsigned long item);
void quarry_magazines_stats(struct quarry_magazines *magazines,
			    struct quarry_magazines_stats *stats);
int quarry_magazines_cpu_stats(struct quarry_magazines *magazines, unsigned int cpu,
			       struct quarry_magazines_stats *stats);
int quarry_magazines_verify(struct quarry_magazines *magazines,
			    bool (*is_good)(struct quarry_magazines *magazines,
					    unsigned long item),
			    struct quarry_fault *fault);

unsigned long __quarry_magazines_get(struct quarry_magazines *magazines);
void __quarry_magazines_put(struct quarry_magazines *magazines, unsigned long item);
bool __quarry_magazines_find_items(struct quarry_magazines *magazines,
				   struct quarry_magazines_cpu *cpu);
bool __quarry_magazines_find_room(struct quarry_magazines *magazines,
				  struct quarry_magazines_cpu *cpu);

/* The share of the CPU that this runs on; preemption is off. */
static __always_inline struct quarry_magazines_cpu *
__quarry_magazines_this(const struct quarry_magazines *magazines)
{
	return &magazines->cpus[(unsigned int)smp_processor_id()];
}

/* Items in the loaded magazine. */
static __always_inline unsigned int
__quarry_magazines_nr(const struct quarry_magazines_cpu *cpu)
{
	return local_read(&cpu->state) & QUARRY_MAGAZINES_NR;
}

/*
 * Items that were given out are about to go below, or have another user's meaning, without
 * coming back here first: from now on, none that was given out before is recalled.
 */
static inline void quarry_magazines_forget(struct quarry_magazines *magazines)
{
	atomic_long_inc(&magazines->epoch);
	/* Who finds them there is to find this as well. */
	smp_mb__after_atomic();
}

/* Items that the loaded magazine has room for. */
static __always_inline unsigned int
__quarry_magazines_room(const struct quarry_magazines_cpu *cpu)
{
	unsigned int nr = __quarry_magazines_nr(cpu);

	return nr < cpu->limit ? cpu->limit - nr : 0;
}

/* With interrupts off, so the hot paths that were interrupted see that it changed. */
static __always_inline void __quarry_magazines_set_nr(struct quarry_magazines_cpu *cpu,
						      unsigned int nr)
{
	unsigned long state = local_read(&cpu->state) | QUARRY_MAGAZINES_NR;

	local_set(&cpu->state, (state + 1) | nr);
}

/*
 * All @nr items of the loaded magazine are known now, to be recalled when they come back. An
 * owner whose fastest path may not do that for some objects has nr_quick 0 for them.
 */
static __always_inline void __quarry_magazines_know(const struct quarry_magazines *magazines,
						    struct quarry_magazines_cpu *cpu,
						    unsigned int nr)
{
	cpu->nr_known = nr;
	cpu->nr_quick = nr & magazines->quick_mask;
	cpu->epoch = atomic_long_read(&magazines->epoch);
}

/*
 * Whether an item was taken from the place where the next one goes, one of the first
 * @nr_known, and can't have been flushed since: then it is one of ours, wherever it is.
 * An interrupt may change what is looked at, but not without a change of the state, which
 * is @state at the beginning.
 */
static __always_inline bool __quarry_magazines_recalls(const struct quarry_magazines *magazines,
						       const struct quarry_magazines_cpu *cpu,
						       const unsigned int *nr_known,
						       long state, unsigned long item)
{
	unsigned int nr = state & QUARRY_MAGAZINES_NR;
	bool recalls;

	barrier();
	/* An interrupt's changes show in the state, which is looked at again. */
	recalls = data_race(nr < *nr_known && cpu->items[nr] == item &&
			    cpu->epoch == atomic_long_read(&magazines->epoch));
	barrier();
	return recalls && local_read(&cpu->state) == state;
}

/* Put an item back where it was recalled from; false if we were interrupted. */
static __always_inline bool __quarry_magazines_push_back(struct quarry_magazines_cpu *cpu,
							 long state)
{
	if (unlikely(!local_try_cmpxchg(&cpu->state, &state,
					state + QUARRY_MAGAZINES_CHANGE + 1)))
		return false;
	local_inc(&cpu->nr_puts);
	return true;
}

/*
 * Take an item from the loaded magazine of this CPU, with preemption off. False, and @item
 * is as it was, if it has none, or an interrupt came and changed the state, so that what
 * was read may be of before and after.
 */
static __always_inline bool __quarry_magazines_pop_here(struct quarry_magazines_cpu *cpu,
							unsigned long *item)
{
	long state = local_read(&cpu->state);
	unsigned long nr = state & QUARRY_MAGAZINES_NR, top;

	if (unlikely(!nr))
		return false;
	barrier();
	/* Likewise, by the exchange. */
	top = data_race(cpu->items[nr - 1]);
	if (unlikely(!local_try_cmpxchg(&cpu->state, &state,
					state + QUARRY_MAGAZINES_CHANGE - 1)))
		return false;
	local_inc(&cpu->nr_gets);
	*item = top;
	return true;
}

/* The same from any context. */
static __always_inline bool __quarry_magazines_pop(struct quarry_magazines *magazines,
						   unsigned long *item)
{
	bool done;

	preempt_disable();
	done = __quarry_magazines_pop_here(__quarry_magazines_this(magazines), item);
	preempt_enable();
	return done;
}

/* Put an item on the loaded magazine, with interrupts off; false if there is no room. */
static __always_inline bool __quarry_magazines_push(struct quarry_magazines *magazines,
						    struct quarry_magazines_cpu *cpu,
						    unsigned long item)
{
	unsigned long state = local_read(&cpu->state);
	unsigned int nr = state & QUARRY_MAGAZINES_NR;

	if (unlikely(nr >= cpu->limit))
		return false;
	cpu->items[nr] = item;
	local_set(&cpu->state, state + QUARRY_MAGAZINES_CHANGE + 1);
	__quarry_magazines_know(magazines, cpu, nr + 1);
	return true;
}

/* Count a get that isn't made, as one that found nothing anywhere. */
static inline void __quarry_magazines_miss(struct quarry_magazines *magazines)
{
	unsigned long irq;

	local_irq_save(irq);
	__quarry_magazines_this(magazines)->nr_get_misses++;
	local_irq_restore(irq);
}

/* The item that get would give, if it comes from the loaded magazine; or else 0. */
static inline unsigned long __quarry_magazines_top(struct quarry_magazines *magazines)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long irq, item;
	unsigned int nr;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	nr = __quarry_magazines_nr(cpu);
	item = nr ? cpu->items[nr - 1] : 0;
	local_irq_restore(irq);
	return item;
}

/**
 * quarry_magazines_get() - get an item
 * @magazines: the magazines
 *
 * From this CPU's magazines, or else the depot's, or else a magazine is filled.
 *
 * Context: any but NMI. O(1), but for the one fill of a magazine.
 * Return: an item; 0 if there is none.
 */
static __always_inline unsigned long quarry_magazines_get(struct quarry_magazines *magazines)
{
	unsigned long item;

	if (likely(__quarry_magazines_pop(magazines, &item)))
		return item;
	return __quarry_magazines_get(magazines);
}

/**
 * quarry_magazines_put() - put an item back
 * @magazines: the magazines
 * @item: what quarry_magazines_get() gave, or what could be flushed
 *
 * To this CPU's magazines, or else one is exchanged with the depot, or else
 * flushed. Always succeeds.
 *
 * Context: any but NMI. O(1), but for the one flush of a magazine.
 */
static __always_inline void quarry_magazines_put(struct quarry_magazines *magazines,
						 unsigned long item)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long irq;
	bool done;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	done = __quarry_magazines_push(magazines, cpu, item);
	if (likely(done))
		local_inc(&cpu->nr_puts);
	local_irq_restore(irq);
	if (unlikely(!done))
		__quarry_magazines_put(magazines, item);
}

#endif /* QUARRY_MAGAZINE_H */
