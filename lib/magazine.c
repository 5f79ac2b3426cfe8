// SPDX-License-Identifier: GPL-2.0
/*
 * Magazines: free items at hand for each CPU, without a lock that CPUs share.
 *
 * 1. Terms. An item is any number but 0: an object's address, or whatever the
 *    user makes of it. A magazine holds items; rounds are how many it takes now.
 *    Each CPU has a share of two magazines, the loaded and the previous one. The
 *    depot holds what no CPU needs now. To fill is to get items from below, from
 *    a slab say, and to flush is to give them back there.
 *
 * 2. Structure. A magazine is an object of the slab that is its source:
 *
 *          next        the magazine below it in a list of the depot
 *          nr          items in it, while no CPU has it
 *          items[62]   (126 on 32-bit), the last one put in the highest place
 *
 *    A share points to the items of its loaded magazine, and has their number in
 *    its state, a word of its own:
 *
 *          | changes so far                                  | items, 8 bits |
 *
 *    The depot is two stacks: magazines with items, and empty ones. Most of the
 *    former are full; one that a CPU gave up on demand may be partial, which
 *    makes no difference.
 *
 * 3. Algorithm. Get pops an item from the loaded magazine, and put pushes one.
 *    If it is empty (or full), the previous magazine is tried, by swapping the
 *    two: so at least a whole magazine of gets or puts lies between two visits
 *    to the depot. There an empty magazine is exchanged for one with items, or
 *    a full one for an empty one. If the depot has no items, an empty magazine
 *    is filled; if it has as many full ones as it may, one is flushed, and is
 *    an empty one then. Both happen with interrupts as they were, so that what
 *    is below may take its time; meanwhile the magazine belongs to nobody else,
 *    and the CPU may have changed when it is put into place.
 *
 *    Magazines come from their source when there is no empty one. When the
 *    source has none either, items go straight through, one at a time: scarcity
 *    costs time, and never makes a put fail, nor a get that could be served. The
 *    source is asked again only every STARVED_TRIES times, as that may move
 *    all who can give memory back to do so.
 *
 * 4. Without interrupts off. Each change of a share, by whomever, changes its
 *    state, and makes it one that it never was before. Most changes are made with
 *    interrupts off. But pop, which is on everybody's hot path, just turns off
 *    preemption: it reads the state and the item, and exchanges the state for
 *    the next one if it is still the same, in one instruction, which need not be
 *    atomic to other CPUs. If an interrupt came in between and changed the share,
 *    the exchange fails, and the slow path looks again.
 *
 * 5. Recalling. An item that was popped leaves its number behind in its place,
 *    until another one is put there. So when an item comes back that is still
 *    there in the place where it would go, it is one that was given out from
 *    here: its owner needn't find out whether it is one at all, and it is put
 *    by counting it in. Two things make sure that this is so. Only the first
 *    nr_known places count, which had items that were at hand when nr_known was
 *    set; what is above them may be of any time and from anywhere. And the
 *    epoch, which changes before any flush, and whenever the owner lets an item go
 *    below without one, must be that of then: as long as it is, all items that were at
 *    hand at that moment are still in magazines or with users, and none of them was
 *    given back below.
 *
 * 6. Rounds. The larger a magazine is, the more rarely CPUs meet at the depot,
 *    and the more items lie idle. So magazines begin small, and when in a WINDOW
 *    of exchanges one of CONTENDED_SHARE had to wait for another CPU, they get a
 *    quarter larger, up to a limit. Only what they take changes, not their size.
 *
 * 7. Bounds. Get and put are O(1), but for at most one fill or two flushes of
 *    rounds items. At most depot_max full magazines stay in the depot, and one
 *    more for each CPU that was just then giving one up, and so there are at
 *    most about 2 * CPUs + depot_max magazines in all.
 *
 * 8. Locking. A CPU's share is touched by that CPU alone, or once it is dead. A
 *    raw spinlock guards the depot, rounds and the windows; it is taken
 *    with interrupts off, for some pops and pushes. Fill, flush and the source are
 *    called with no lock held.
 *
 *    Another CPU's share is reached by asking that CPU to move its magazines to
 *    the depot: drain waits for that, and so must be able to sleep; reclaim asks
 *    and doesn't wait. A CPU that dies has its magazines moved when it is dead.
 *
 * 9. Failure. Magazines check nothing: who uses them knows what an item is.
 *
 * After J. Bonwick and J. Adams, "Magazines and Vmem: Extending the Slab
 * Allocator to Many CPUs and Arbitrary Resources", USENIX 2001.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/processor.h>
#include <linux/string.h>

#include "magazine.h"

/* Exchanges after which it is decided whether magazines should be larger. */
#define WINDOW		64
/* They should if one of so many had to wait. */
#define CONTENDED_SHARE	8
/* Times that a magazine isn't asked for once there was none to be had. */
#define STARVED_TRIES	64
/* Full magazines that the depot keeps: two for each CPU, within these limits. */
#define DEPOT_LEAST	8
#define DEPOT_MOST	32

struct quarry_magazine {
	struct quarry_magazine *next;
	unsigned long nr;
	unsigned long items[QUARRY_MAGAZINE_ROUNDS];
};

static_assert(sizeof(struct quarry_magazine) == QUARRY_MAGAZINE_SIZE);
/* What get and put need lies in one line, and shares don't meet in one. */
static_assert(offsetofend(struct quarry_magazines_cpu, nr_puts) <= 64);
static_assert(QUARRY_MAGAZINE_ROUNDS <= QUARRY_MAGAZINES_NR);
static_assert(sizeof(struct quarry_magazines_cpu) % SMP_CACHE_BYTES == 0);

/* ---- The depot ---- */

static inline void push(struct quarry_magazines_list *list, struct quarry_magazine *magazine)
{
	magazine->next = list->first;
	WRITE_ONCE(list->first, magazine);
	list->nr++;
}

static inline struct quarry_magazine *pop(struct quarry_magazines_list *list)
{
	struct quarry_magazine *magazine = list->first;

	if (magazine) {
		WRITE_ONCE(list->first, magazine->next);
		list->nr--;
	}
	return magazine;
}

/* Whether a list has no magazine; only the lock makes that sure. */
static inline bool seems_empty(const struct quarry_magazines_list *list)
{
	return !READ_ONCE(list->first);
}

/* Lock the depot, with interrupts off; returns whether another CPU had it. */
static inline bool lock_depot(struct quarry_magazines *magazines)
{
	bool waited = raw_spin_is_locked(&magazines->lock);

	raw_spin_lock(&magazines->lock);
	return waited;
}

/* Put a magazine where it belongs by what is in it. */
static void put_in_depot(struct quarry_magazines *magazines, struct quarry_magazine *magazine)
{
	lockdep_assert_held(&magazines->lock);

	if (magazine)
		push(magazine->nr ? &magazines->full : &magazines->empty, magazine);
}

static void give_to_depot(struct quarry_magazines *magazines, struct quarry_magazine *magazine)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&magazines->lock, irq);
	put_in_depot(magazines, magazine);
	raw_spin_unlock_irqrestore(&magazines->lock, irq);
}

/* Count an exchange, and see at the end of a window whether CPUs meet too often. */
static void note_exchange(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu,
			  bool waited)
{
	lockdep_assert_held(&magazines->lock);

	cpu->nr_exchanges++;
	cpu->nr_contended += waited;
	magazines->window_contended += waited;
	if (likely(++magazines->window < WINDOW))
		return;

	if (magazines->window_contended >= WINDOW / CONTENDED_SHARE)
		WRITE_ONCE(magazines->rounds, min(magazines->max, magazines->rounds +
						  DIV_ROUND_UP(magazines->rounds, 4)));
	magazines->window = 0;
	magazines->window_contended = 0;
}

/* ---- Magazines come and go ---- */

/* An empty magazine from the source, or NULL. */
static struct quarry_magazine *new_magazine(struct quarry_magazines *magazines)
{
	unsigned int starved = READ_ONCE(magazines->starved);
	struct quarry_magazine *magazine;

	if (!magazines->max)
		return NULL;
	if (starved) {
		WRITE_ONCE(magazines->starved, starved - 1);
		return NULL;
	}
	magazine = quarry_slab_alloc(magazines->source, 0);
	if (magazine)
		magazine->nr = 0;
	else
		WRITE_ONCE(magazines->starved, STARVED_TRIES);
	return magazine;
}

/* Give items back; from now on, nobody is to recall any that was taken before. */
static void flush_items(struct quarry_magazines *magazines, const unsigned long *items,
			unsigned int nr)
{
	quarry_magazines_forget(magazines);
	magazines->ops->flush(magazines, items, nr);
}

/* Give back what is in a magazine; returns how much that was. */
static unsigned int flush(struct quarry_magazines *magazines, struct quarry_magazine *magazine)
{
	unsigned int nr = magazine->nr;

	if (nr)
		flush_items(magazines, magazine->items, nr);
	magazine->nr = 0;
	return nr;
}

/* Give back a stack of magazines, and what is in them. */
static unsigned int dissolve(struct quarry_magazines *magazines, struct quarry_magazine *magazine)
{
	struct quarry_magazine *next;
	unsigned int nr = 0;

	for (; magazine; magazine = next) {
		next = magazine->next;
		nr += flush(magazines, magazine);
		quarry_slab_free(magazines->source, magazine);
	}
	return nr;
}

/* All magazines of the depot. */
struct contents {
	struct quarry_magazines_list full;
	struct quarry_magazines_list empty;
};

static struct quarry_magazines_list take_list(struct quarry_magazines_list *list)
{
	struct quarry_magazines_list taken = *list;

	WRITE_ONCE(list->first, NULL);
	list->nr = 0;
	return taken;
}

static struct contents take_depot(struct quarry_magazines *magazines)
{
	struct contents contents;
	unsigned long irq;

	raw_spin_lock_irqsave(&magazines->lock, irq);
	contents.full = take_list(&magazines->full);
	contents.empty = take_list(&magazines->empty);
	raw_spin_unlock_irqrestore(&magazines->lock, irq);
	return contents;
}

/* Give back what the depot has at this moment. */
static unsigned int dissolve_depot(struct quarry_magazines *magazines)
{
	struct contents contents = take_depot(magazines);

	return dissolve(magazines, contents.full.first) +
	       dissolve(magazines, contents.empty.first);
}

/* Give back what the depot has beyond what it may keep. */
static void trim_depot(struct quarry_magazines *magazines)
{
	struct quarry_magazine *magazine;
	unsigned long irq;

	do {
		magazine = NULL;
		raw_spin_lock_irqsave(&magazines->lock, irq);
		if (magazines->full.nr > magazines->depot_max) {
			magazine = pop(&magazines->full);
			magazine->next = NULL;
		}
		raw_spin_unlock_irqrestore(&magazines->lock, irq);
		dissolve(magazines, magazine);
	} while (magazine);
}

/* ---- A CPU's share, with interrupts off ---- */

/* What a share without a loaded magazine may look at, but finds empty and full. */
static unsigned long no_items[QUARRY_MAGAZINE_ROUNDS];

static inline struct quarry_magazine *loaded(const struct quarry_magazines_cpu *cpu)
{
	if (cpu->items == no_items)
		return NULL;
	return container_of(cpu->items, struct quarry_magazine, items[0]);
}

static inline void load(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu,
			struct quarry_magazine *magazine, unsigned int nr)
{
	WRITE_ONCE(cpu->items, magazine ? magazine->items : no_items);
	cpu->limit = magazine ? READ_ONCE(magazines->rounds) : 0;
	__quarry_magazines_set_nr(cpu, nr);
	__quarry_magazines_know(magazines, cpu, nr);
}

/* The last item of the loaded magazine, which has one. */
static inline unsigned long pop_item(struct quarry_magazines_cpu *cpu)
{
	unsigned int nr = __quarry_magazines_nr(cpu) - 1;

	__quarry_magazines_set_nr(cpu, nr);
	return cpu->items[nr];
}

static inline void set_previous(struct quarry_magazines_cpu *cpu,
				struct quarry_magazine *magazine, unsigned int nr)
{
	WRITE_ONCE(cpu->previous, magazine);
	cpu->nr_previous = nr;
}

static void swap_magazines(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu)
{
	struct quarry_magazine *magazine = loaded(cpu);
	unsigned int nr = __quarry_magazines_nr(cpu);

	load(magazines, cpu, cpu->previous, cpu->nr_previous);
	set_previous(cpu, magazine, nr);
}

/* Take the previous magazine away; it knows itself what is in it then. */
static struct quarry_magazine *detach_previous(struct quarry_magazines_cpu *cpu)
{
	struct quarry_magazine *magazine = cpu->previous;

	if (magazine)
		magazine->nr = cpu->nr_previous;
	set_previous(cpu, NULL, 0);
	return magazine;
}

/* The same for the previous or, if there is none, the loaded one. */
static struct quarry_magazine *detach(struct quarry_magazines *magazines,
				      struct quarry_magazines_cpu *cpu)
{
	if (!cpu->previous)
		swap_magazines(magazines, cpu);
	return detach_previous(cpu);
}

static void give_up_share(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu)
{
	lockdep_assert_irqs_disabled();

	raw_spin_lock(&magazines->lock);
	put_in_depot(magazines, detach(magazines, cpu));
	put_in_depot(magazines, detach(magazines, cpu));
	raw_spin_unlock(&magazines->lock);
}

/* ---- Get ---- */

/* With two empty magazines, exchange one for one of the depot's with items. */
static bool load_items(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu)
{
	struct quarry_magazine *magazine;
	bool waited;

	if (seems_empty(&magazines->full))
		return false;

	waited = lock_depot(magazines);
	magazine = pop(&magazines->full);
	if (magazine) {
		put_in_depot(magazines, detach_previous(cpu));
		note_exchange(magazines, cpu, waited);
	}
	raw_spin_unlock(&magazines->lock);

	if (!magazine)
		return false;
	set_previous(cpu, loaded(cpu), 0);
	load(magazines, cpu, magazine, magazine->nr);
	return true;
}

/* Whether the loaded magazine has items, or has now. */
static bool has_items(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu)
{
	lockdep_assert_irqs_disabled();

	if (!__quarry_magazines_nr(cpu) && cpu->nr_previous)
		swap_magazines(magazines, cpu);
	return __quarry_magazines_nr(cpu);
}

/* An empty magazine, when this CPU has no items; NULL if there is none. */
static struct quarry_magazine *find_empty(struct quarry_magazines *magazines,
					  struct quarry_magazines_cpu *cpu)
{
	struct quarry_magazine *magazine = detach(magazines, cpu);

	lockdep_assert_irqs_disabled();

	if (magazine || seems_empty(&magazines->empty))
		return magazine;
	raw_spin_lock(&magazines->lock);
	magazine = pop(&magazines->empty);
	raw_spin_unlock(&magazines->lock);
	return magazine;
}

/* Put a magazine with items where they are soonest needed. */
static void install(struct quarry_magazines *magazines, struct quarry_magazine *magazine)
{
	struct quarry_magazine *other = magazine;
	struct quarry_magazines_cpu *cpu;
	unsigned long irq;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	if (!has_items(magazines, cpu)) {
		other = detach_previous(cpu);
		set_previous(cpu, loaded(cpu), 0);
		load(magazines, cpu, magazine, magazine->nr);
	} else if (!cpu->nr_previous) {
		other = detach_previous(cpu);
		set_previous(cpu, magazine, magazine->nr);
	}
	if (other)
		give_to_depot(magazines, other);
	local_irq_restore(irq);
}

/* Fill a magazine, which may be NULL for one item alone, and get one of the items. */
static unsigned long fill(struct quarry_magazines *magazines, struct quarry_magazine *magazine)
{
	unsigned long item = 0;

	if (!magazine)
		return magazines->ops->fill(magazines, &item, 1) ? item : 0;

	magazine->nr = magazines->ops->fill(magazines, magazine->items,
					    READ_ONCE(magazines->rounds));
	if (magazine->nr)
		item = magazine->items[--magazine->nr];
	if (magazine->nr)
		install(magazines, magazine);
	else
		give_to_depot(magazines, magazine);
	return item;
}

/*
 * An item of this CPU's magazines or the depot's. If they have none, 0, and an empty
 * magazine to fill comes back in @empty, or NULL if there is none.
 */
static unsigned long get_at_hand(struct quarry_magazines *magazines,
				 struct quarry_magazine **empty)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long irq, item = 0;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	if (has_items(magazines, cpu)) {
		local_inc(&cpu->nr_gets);
		item = pop_item(cpu);
	} else {
		cpu->nr_get_misses++;
		if (load_items(magazines, cpu))
			item = pop_item(cpu);
		else
			*empty = find_empty(magazines, cpu);
	}
	local_irq_restore(irq);
	return item;
}

/* Once more when there was nothing to fill from: someone may have put items back. */
static noinline __cold unsigned long get_late(struct quarry_magazines *magazines)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long irq, item = 0;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	if (has_items(magazines, cpu) || load_items(magazines, cpu))
		item = pop_item(cpu);
	local_irq_restore(irq);
	return item;
}

/* quarry_magazines_get() when the loaded magazine is empty. */
noinline unsigned long __quarry_magazines_get(struct quarry_magazines *magazines)
{
	struct quarry_magazine *empty = NULL;
	unsigned long item;

	item = get_at_hand(magazines, &empty);
	if (item)
		return item;
	if (!empty)
		empty = new_magazine(magazines);
	item = fill(magazines, empty);
	return likely(item) ? item : get_late(magazines);
}
EXPORT_SYMBOL_GPL(__quarry_magazines_get);

/* ---- Put ---- */

/* What a put has at hand, and what it leaves to do when interrupts are on again. */
struct put {
	struct quarry_magazine *empty;	/* a magazine that nobody has */
	struct quarry_magazine *full;	/* another, to be flushed */
};

/* Whether the loaded magazine has room, or has now. */
static bool has_room(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu)
{
	lockdep_assert_irqs_disabled();

	if (__quarry_magazines_nr(cpu) >= cpu->limit && cpu->previous &&
	    cpu->nr_previous < READ_ONCE(magazines->rounds))
		swap_magazines(magazines, cpu);
	return __quarry_magazines_nr(cpu) < cpu->limit;
}

/*
 * With two full magazines, or fewer, load an empty one, and leave the previous one to
 * the depot or, if that has enough and @put is there to take it, to be flushed.
 */
static bool load_room(struct quarry_magazines *magazines, struct quarry_magazines_cpu *cpu,
		      struct put *put)
{
	struct quarry_magazine *full = NULL, *empty = put ? put->empty : NULL;
	bool waited, keeps, done;

	if (!empty && seems_empty(&magazines->empty))
		return false;

	waited = lock_depot(magazines);
	keeps = !cpu->previous || magazines->full.nr < magazines->depot_max;
	done = (empty || magazines->empty.first) && (keeps || put);
	if (done) {
		if (!empty)
			empty = pop(&magazines->empty);
		full = detach_previous(cpu);
		if (full && keeps)
			push(&magazines->full, full);
		note_exchange(magazines, cpu, waited);
	}
	raw_spin_unlock(&magazines->lock);
	if (!done)
		return false;

	if (put)
		*put = (struct put) { .full = keeps ? NULL : full };
	set_previous(cpu, loaded(cpu), __quarry_magazines_nr(cpu));
	load(magazines, cpu, empty, 0);
	return true;
}

/*
 * Put an item into this CPU's magazines. False if there is no empty one to be had; the
 * caller comes with one then, and @again, which succeeds.
 */
static bool put_at_hand(struct quarry_magazines *magazines, unsigned long item,
			struct put *put, bool again)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long irq;
	bool room;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	room = has_room(magazines, cpu);
	if (!again && room)
		local_inc(&cpu->nr_puts);
	else if (!again)
		cpu->nr_put_misses++;
	if (!room)
		room = load_room(magazines, cpu, put);
	if (room)
		__quarry_magazines_push(magazines, cpu, item);
	local_irq_restore(irq);
	return room;
}

/* An empty magazine, made of one of this CPU's; NULL if it has none. */
static struct quarry_magazine *emptied_magazine(struct quarry_magazines *magazines)
{
	struct quarry_magazine *magazine;
	unsigned long irq;

	local_irq_save(irq);
	magazine = detach(magazines, __quarry_magazines_this(magazines));
	local_irq_restore(irq);
	if (magazine)
		flush(magazines, magazine);
	return magazine;
}

/* quarry_magazines_put() when the loaded magazine is full. */
noinline void __quarry_magazines_put(struct quarry_magazines *magazines, unsigned long item)
{
	struct put put = {};

	if (!put_at_hand(magazines, item, &put, false)) {
		put.empty = new_magazine(magazines);
		if (!put.empty)
			put.empty = emptied_magazine(magazines);
		if (!put.empty) {
			flush_items(magazines, &item, 1);
			return;
		}
		put_at_hand(magazines, item, &put, true);
	}

	/* The empty one is left over if this is another CPU now. */
	if (put.empty)
		give_to_depot(magazines, put.empty);
	if (put.full) {
		flush(magazines, put.full);
		give_to_depot(magazines, put.full);
	}
}
EXPORT_SYMBOL_GPL(__quarry_magazines_put);

/* ---- In bulk ---- */

/*
 * With interrupts off, whether the loaded magazine has items, or gets some by an exchange
 * of magazines.
 */
bool __quarry_magazines_find_items(struct quarry_magazines *magazines,
				   struct quarry_magazines_cpu *cpu)
{
	return has_items(magazines, cpu) || load_items(magazines, cpu);
}

/* Likewise, whether it has room. */
bool __quarry_magazines_find_room(struct quarry_magazines *magazines,
				  struct quarry_magazines_cpu *cpu)
{
	return has_room(magazines, cpu) || load_room(magazines, cpu, NULL);
}

/* As many items as the loaded magazine has, up to @nr. */
static unsigned int pop_some(struct quarry_magazines *magazines, unsigned long *items,
			     unsigned int nr)
{
	struct quarry_magazines_cpu *cpu;
	const unsigned long *from;
	unsigned int i, has;
	unsigned long irq;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	__quarry_magazines_find_items(magazines, cpu);
	has = __quarry_magazines_nr(cpu);
	nr = min(nr, has);
	from = cpu->items + (has - nr);
	for (i = 0; i < nr; i++)
		items[i] = from[i];
	__quarry_magazines_set_nr(cpu, has - nr);
	local_add(nr, &cpu->nr_gets);
	local_irq_restore(irq);
	return nr;
}

/* As many items as the loaded magazine has room for, up to @nr. */
static unsigned int push_some(struct quarry_magazines *magazines, const unsigned long *items,
			      unsigned int nr)
{
	struct quarry_magazines_cpu *cpu;
	unsigned long *to, irq;
	unsigned int i, has;

	local_irq_save(irq);
	cpu = __quarry_magazines_this(magazines);
	__quarry_magazines_find_room(magazines, cpu);
	has = __quarry_magazines_nr(cpu);
	nr = min(nr, __quarry_magazines_room(cpu));
	to = cpu->items + has;
	for (i = 0; i < nr; i++)
		to[i] = items[i];
	__quarry_magazines_set_nr(cpu, has + nr);
	__quarry_magazines_know(magazines, cpu, has + nr);
	local_add(nr, &cpu->nr_puts);
	local_irq_restore(irq);
	return nr;
}

/**
 * quarry_magazines_get_bulk() - get several items
 * @magazines: the magazines
 * @items: filled in
 * @nr: how many are wanted
 *
 * Context: any but NMI. O(@nr); interrupts are off for a magazine at a time.
 * Return: how many there are; less than @nr only if no more could be had.
 */
unsigned int quarry_magazines_get_bulk(struct quarry_magazines *magazines,
				       unsigned long *items, unsigned int nr)
{
	unsigned int done = 0;

	while (done < nr) {
		unsigned int some = pop_some(magazines, items + done, nr - done);

		done += some;
		if (some)
			continue;
		/* One more, and with it what comes into the magazine. */
		items[done] = __quarry_magazines_get(magazines);
		if (!items[done])
			break;
		done++;
	}
	return done;
}
EXPORT_SYMBOL_GPL(quarry_magazines_get_bulk);

/**
 * quarry_magazines_put_bulk() - put several items back
 * @magazines: the magazines
 * @items: as for quarry_magazines_put()
 * @nr: how many
 *
 * Context: any but NMI. O(@nr); interrupts are off for a magazine at a time.
 */
void quarry_magazines_put_bulk(struct quarry_magazines *magazines,
			       const unsigned long *items, unsigned int nr)
{
	unsigned int done = 0;

	while (done < nr) {
		unsigned int some = push_some(magazines, items + done, nr - done);

		done += some;
		if (!some)
			__quarry_magazines_put(magazines, items[done++]);
	}
}
EXPORT_SYMBOL_GPL(quarry_magazines_put_bulk);

/* ---- Giving back ---- */

/* On the CPU whose share it is. */
static void give_up_here(void *info)
{
	struct quarry_magazines *magazines = info;

	give_up_share(magazines, __quarry_magazines_this(magazines));
}

static void give_up_when_asked(void *info)
{
	struct quarry_magazines *magazines = info;
	struct quarry_magazines_cpu *cpu = __quarry_magazines_this(magazines);

	give_up_share(magazines, cpu);
	/* From here on, quarry_magazines_fini() doesn't wait for us. */
	atomic_set_release(&cpu->asked, 0);
}

/* For a CPU that is dead, or was never alive. */
static void give_up_offline(struct quarry_magazines *magazines, unsigned int number)
{
	unsigned long irq;

	local_irq_save(irq);
	give_up_share(magazines, &magazines->cpus[number]);
	local_irq_restore(irq);
}

/* Ask a CPU for its magazines, unless it has none, or was asked already. */
static void ask(struct quarry_magazines *magazines, unsigned int number)
{
	struct quarry_magazines_cpu *cpu = &magazines->cpus[number];

	if (READ_ONCE(cpu->items) == no_items && !READ_ONCE(cpu->previous))
		return;
	if (atomic_xchg(&cpu->asked, 1))
		return;
	if (smp_call_function_single_async(number, &cpu->csd))
		atomic_set_release(&cpu->asked, 0);
}

static void ask_others(struct quarry_magazines *magazines, unsigned int this)
{
	unsigned int cpu;

	for_each_online_cpu(cpu)
		if (cpu != this)
			ask(magazines, cpu);
}

/**
 * quarry_magazines_drain() - flush everything
 * @magazines: the magazines
 *
 * The magazines of all CPUs and of the depot, with what was in them at the time of
 * the call; all magazines go back to their source.
 *
 * Context: process context with interrupts on, may sleep; not while a CPU is brought
 * up or down by the caller. O(CPUs), and a flush of what is cached.
 * Return: how many items were flushed.
 */
unsigned int quarry_magazines_drain(struct quarry_magazines *magazines)
{
	unsigned int cpu;

	/* Nothing is kept, or they have ended, and the shares are somebody else's. */
	if (!magazines->max)
		return 0;

	cpus_read_lock();
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		if (cpu_online(cpu))
			smp_call_function_single(cpu, give_up_here, magazines, true);
		else
			give_up_offline(magazines, cpu);
	cpus_read_unlock();

	return dissolve_depot(magazines);
}
EXPORT_SYMBOL_GPL(quarry_magazines_drain);

/**
 * quarry_magazines_reclaim() - flush what is near
 * @magazines: the magazines
 *
 * This CPU's magazines and the depot's. The other CPUs are asked to move theirs to
 * the depot, and will a moment later: get finds them there, and so does the next
 * reclaim.
 *
 * Context: any but NMI. O(CPUs), and a flush of at most (depot_max + 2) magazines
 * or so.
 * Return: how many items were flushed.
 */
unsigned int quarry_magazines_reclaim(struct quarry_magazines *magazines)
{
	unsigned long irq;

	if (!magazines->max)
		return 0;

	local_irq_save(irq);
	give_up_here(magazines);
	ask_others(magazines, smp_processor_id());
	local_irq_restore(irq);

	return dissolve_depot(magazines);
}
EXPORT_SYMBOL_GPL(quarry_magazines_reclaim);

/**
 * quarry_magazines_shrink() - be small again
 * @magazines: the magazines
 *
 * Flushes the depot, and has magazines take as few items as in the beginning.
 *
 * Context: any but NMI. A flush of at most depot_max magazines or so.
 * Return: how many items were flushed.
 */
unsigned int quarry_magazines_shrink(struct quarry_magazines *magazines)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&magazines->lock, irq);
	WRITE_ONCE(magazines->rounds, magazines->min);
	magazines->window = 0;
	magazines->window_contended = 0;
	raw_spin_unlock_irqrestore(&magazines->lock, irq);

	return dissolve_depot(magazines);
}
EXPORT_SYMBOL_GPL(quarry_magazines_shrink);

/* ---- CPUs that go ---- */

/* Guards the two below; taken before the hotplug lock. */
static DEFINE_MUTEX(watch_lock);
static unsigned int nr_watched;
static int watch_state;

/* Called when the CPU is dead, on another one, for all magazines. */
static int cpu_dead(unsigned int number, struct hlist_node *node)
{
	struct quarry_magazines *magazines =
		hlist_entry(node, struct quarry_magazines, hotplug);

	give_up_offline(magazines, number);
	trim_depot(magazines);
	return 0;
}

/* One state of the kernel's serves all magazines there are. */
static int watch_cpus(struct quarry_magazines *magazines)
{
	int err = 0;

	mutex_lock(&watch_lock);
	if (!nr_watched)
		err = cpuhp_setup_state_multi(CPUHP_BP_PREPARE_DYN, "quarry/magazines:dead",
					      NULL, cpu_dead);
	if (err > 0)
		watch_state = err;
	if (err >= 0) {
		err = cpuhp_state_add_instance_nocalls(watch_state, &magazines->hotplug);
		if (!err)
			nr_watched++;
		else if (!nr_watched)
			cpuhp_remove_multi_state(watch_state);
	}
	mutex_unlock(&watch_lock);
	return err;
}

static void unwatch_cpus(struct quarry_magazines *magazines)
{
	mutex_lock(&watch_lock);
	cpuhp_state_remove_instance_nocalls(watch_state, &magazines->hotplug);
	INIT_HLIST_NODE(&magazines->hotplug);
	if (!--nr_watched)
		cpuhp_remove_multi_state(watch_state);
	mutex_unlock(&watch_lock);
}

/* ---- Beginning and end ---- */

/**
 * quarry_magazines_memory_size() - bytes for the CPUs' shares
 *
 * Context: any. O(1).
 * Return: the size of the memory that struct quarry_magazines_config asks for.
 */
size_t quarry_magazines_memory_size(void)
{
	return nr_cpu_ids * sizeof(struct quarry_magazines_cpu);
}
EXPORT_SYMBOL_GPL(quarry_magazines_memory_size);

static bool is_config_valid(const struct quarry_magazines_config *config)
{
	return config->ops && config->ops->fill && config->ops->flush && config->source &&
	       config->memory && IS_ALIGNED((unsigned long)config->memory, SMP_CACHE_BYTES) &&
	       config->min <= config->max;
}

/**
 * quarry_magazines_init() - make magazines, all empty
 * @magazines: to be made valid; the caller's
 * @config: what they stand on
 *
 * Context: process context, may sleep. O(CPUs).
 * Return: 0; -EINVAL if something is NULL or not aligned, or @min is more than @max;
 * -ENOSPC if the kernel can't watch CPUs for yet another user.
 */
int quarry_magazines_init(struct quarry_magazines *magazines,
			  const struct quarry_magazines_config *config)
{
	struct quarry_magazines_cpu *cpus;
	unsigned int cpu, max;

	if (!magazines || !config || !is_config_valid(config))
		return -EINVAL;

	max = config->min ? min_t(unsigned int, config->max, QUARRY_MAGAZINE_ROUNDS) : 0;
	cpus = config->memory;
	memset(cpus, 0, quarry_magazines_memory_size());
	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		cpus[cpu].items = no_items;
		INIT_CSD(&cpus[cpu].csd, give_up_when_asked, magazines);
	}

	*magazines = (struct quarry_magazines) {
		.cpus = cpus,
		.ops = config->ops,
		.source = config->source,
		.quick_mask = config->quick ? UINT_MAX : 0,
		.min = min(config->min, max),
		.max = max,
		.depot_max = clamp_t(unsigned int, 2 * nr_cpu_ids, DEPOT_LEAST, DEPOT_MOST),
		.rounds = min(config->min, max),
	};
	raw_spin_lock_init(&magazines->lock);
	return watch_cpus(magazines);
}
EXPORT_SYMBOL_GPL(quarry_magazines_init);

/**
 * quarry_magazines_fini() - flush everything, and end
 * @magazines: the magazines; nobody uses them any more, nor is going to
 *
 * Does nothing if they have ended already.
 *
 * Context: process context, may sleep. As quarry_magazines_drain().
 */
void quarry_magazines_fini(struct quarry_magazines *magazines)
{
	unsigned int cpu;

	if (hlist_unhashed(&magazines->hotplug))
		return;
	unwatch_cpus(magazines);
	/* Who was asked for its magazines is about to answer. */
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		while (atomic_read_acquire(&magazines->cpus[cpu].asked))
			cpu_relax();
	quarry_magazines_drain(magazines);
	magazines->max = 0;
}
EXPORT_SYMBOL_GPL(quarry_magazines_fini);

/* ---- Questions ---- */

static bool has_item(const unsigned long *items, unsigned long nr, unsigned long item)
{
	unsigned long i;

	for (i = 0; i < nr && i < QUARRY_MAGAZINE_ROUNDS; i++)
		if (READ_ONCE(items[i]) == item)
			return true;
	return false;
}

static bool share_has(const struct quarry_magazines_cpu *cpu, unsigned long item)
{
	const struct quarry_magazine *previous = READ_ONCE(cpu->previous);

	return has_item(READ_ONCE(cpu->items), __quarry_magazines_nr(cpu), item) ||
	       (previous && has_item(previous->items, READ_ONCE(cpu->nr_previous), item));
}

static bool depot_has(struct quarry_magazines *magazines, unsigned long item)
{
	const struct quarry_magazine *magazine;
	bool found = false;
	unsigned long irq;

	raw_spin_lock_irqsave(&magazines->lock, irq);
	for (magazine = magazines->full.first; magazine && !found; magazine = magazine->next)
		found = has_item(magazine->items, magazine->nr, item);
	raw_spin_unlock_irqrestore(&magazines->lock, irq);
	return found;
}

/**
 * quarry_magazines_holds() - whether an item is in a magazine
 * @magazines: the magazines
 * @item: the item
 *
 * For questions, not for decisions: CPUs aren't stopped while their magazines are
 * looked at, so an item that moves meanwhile may be missed.
 *
 * Context: any but NMI. O(items that are cached).
 * Return: true if it was seen in one.
 */
bool quarry_magazines_holds(struct quarry_magazines *magazines, unsigned long item)
{
	const struct quarry_magazines_cpu *cpu = magazines->cpus;
	unsigned int i;

	for (i = 0; i < nr_cpu_ids; i++, cpu++)
		if (share_has(cpu, item))
			return true;
	return depot_has(magazines, item);
}
EXPORT_SYMBOL_GPL(quarry_magazines_holds);

/* What another CPU may be changing is read as it is at the moment. */
static void add_share(struct quarry_magazines_stats *stats,
		      const struct quarry_magazines_cpu *cpu)
{
	stats->nr_gets += (unsigned long)local_read(&cpu->nr_gets);
	stats->nr_puts += (unsigned long)local_read(&cpu->nr_puts);
	stats->nr_get_misses += READ_ONCE(cpu->nr_get_misses);
	stats->nr_put_misses += READ_ONCE(cpu->nr_put_misses);
	stats->nr_exchanges += READ_ONCE(cpu->nr_exchanges);
	stats->nr_contended += READ_ONCE(cpu->nr_contended);
	stats->nr_cached += __quarry_magazines_nr(cpu) + READ_ONCE(cpu->nr_previous);
}

static void add_depot(struct quarry_magazines_stats *stats, struct quarry_magazines *magazines)
{
	const struct quarry_magazine *magazine;
	unsigned long irq;

	raw_spin_lock_irqsave(&magazines->lock, irq);
	for (magazine = magazines->full.first; magazine; magazine = magazine->next)
		stats->nr_cached += magazine->nr;
	stats->nr_full = magazines->full.nr;
	stats->nr_empty = magazines->empty.nr;
	raw_spin_unlock_irqrestore(&magazines->lock, irq);
}

/**
 * quarry_magazines_stats() - the figures of about this moment
 * @magazines: the magazines
 * @stats: filled in; exact if nobody uses the magazines meanwhile
 *
 * Context: any but NMI. O(CPUs).
 */
void quarry_magazines_stats(struct quarry_magazines *magazines,
			    struct quarry_magazines_stats *stats)
{
	unsigned int cpu;

	*stats = (struct quarry_magazines_stats) { .rounds = READ_ONCE(magazines->rounds) };
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		add_share(stats, &magazines->cpus[cpu]);
	add_depot(stats, magazines);
}
EXPORT_SYMBOL_GPL(quarry_magazines_stats);

/**
 * quarry_magazines_cpu_stats() - the figures of one CPU
 * @magazines: the magazines
 * @cpu: its number
 * @stats: filled in; exact if the CPU doesn't use the magazines meanwhile
 *
 * Context: any but NMI. O(1).
 * Return: 0; -EINVAL if there can't be such a CPU.
 */
int quarry_magazines_cpu_stats(struct quarry_magazines *magazines, unsigned int cpu,
			       struct quarry_magazines_stats *stats)
{
	if (cpu >= nr_cpu_ids)
		return -EINVAL;

	*stats = (struct quarry_magazines_stats) { .rounds = READ_ONCE(magazines->rounds) };
	add_share(stats, &magazines->cpus[cpu]);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_magazines_cpu_stats);

static int fail(struct quarry_fault *fault, const char *what, u64 addr, u64 expected, u64 found)
{
	if (fault)
		*fault = (struct quarry_fault) { what, addr, expected, found };
	return -EUCLEAN;
}

/* Look at the magazines of a list of the depot that nobody else has at the moment. */
static int verify_list(struct quarry_magazines *magazines,
		       const struct quarry_magazines_list *list, bool full,
		       bool (*is_good)(struct quarry_magazines *magazines, unsigned long item),
		       struct quarry_fault *fault)
{
	const struct quarry_magazine *magazine;
	unsigned int i, nr = 0;

	for (magazine = list->first; magazine; magazine = magazine->next) {
		if (++nr > list->nr)
			break;
		if (!!magazine->nr != full || magazine->nr > QUARRY_MAGAZINE_ROUNDS)
			return fail(fault, "items in a magazine of the depot", 0, full,
				    magazine->nr);
		for (i = 0; is_good && i < magazine->nr; i++)
			if (!is_good(magazines, magazine->items[i]))
				return fail(fault, "an item in the depot isn't one in use",
					    magazine->items[i], 1, 0);
	}
	return nr == list->nr ? 0 : fail(fault, "magazines in the depot", 0, list->nr, nr);
}

/* No more than it should have, whatever was found. */
static void put_back(struct quarry_magazines *magazines, struct quarry_magazines_list *to,
		     const struct quarry_magazines_list *from)
{
	struct quarry_magazine *magazine = from->first, *next;
	unsigned long irq;
	unsigned int nr;

	raw_spin_lock_irqsave(&magazines->lock, irq);
	for (nr = 0; magazine && nr < from->nr; nr++, magazine = next) {
		next = magazine->next;
		push(to, magazine);
	}
	raw_spin_unlock_irqrestore(&magazines->lock, irq);
}

/**
 * quarry_magazines_verify() - recompute every invariant of the depot
 * @magazines: the magazines
 * @is_good: whether an item is one that may be in a magazine; may be NULL
 * @fault: filled in with what is wrong, if anything; may be NULL
 *
 * What the depot has is taken out while it is looked at, and put back.
 *
 * Context: any but NMI; @is_good is called with no lock held. O(items in the depot).
 * Return: 0; -EUCLEAN if something doesn't hold.
 */
int quarry_magazines_verify(struct quarry_magazines *magazines,
			    bool (*is_good)(struct quarry_magazines *magazines,
					    unsigned long item),
			    struct quarry_fault *fault)
{
	struct contents contents = take_depot(magazines);
	unsigned int rounds = READ_ONCE(magazines->rounds);
	int err;

	err = verify_list(magazines, &contents.full, true, is_good, fault);
	if (!err)
		err = verify_list(magazines, &contents.empty, false, NULL, fault);
	put_back(magazines, &magazines->full, &contents.full);
	put_back(magazines, &magazines->empty, &contents.empty);

	if (!err && (rounds < magazines->min || rounds > magazines->max))
		err = fail(fault, "rounds of a magazine", 0, magazines->min, rounds);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_magazines_verify);
