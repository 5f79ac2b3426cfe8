// SPDX-License-Identifier: GPL-2.0
/*
 * Inject: failures on purpose, so that what is done about them can be tested.
 *
 * 1. Purpose. Most of what can go wrong in an allocator is that there is no memory,
 *    and that happens rarely. Here each allocator has points where it asks whether
 *    to fail though it needn't; everything from there on is what happens when it
 *    must. A point serves all objects of its allocator.
 *
 * 2. Settings. They mean what those of the kernel's struct fault_attr mean
 *    (Documentation/fault-injection of the kernel), and are asked in its order: is
 *    there a probability; are there times left; is the space used up, from which
 *    calls take their sizes; is it the turn of this call by the interval; and then
 *    chance decides. Where the kernel has struct fault_attr, that is what holds
 *    them, and without a seed should_fail() decides, with all that it can do beside.
 *
 * 3. Chance. The nth call that comes so far fails if a hash of the seed and n (the
 *    finalizer of SplitMix64) is in the lower part that the probability says. So
 *    with a seed the same calls fail in each run, on each machine; and several CPUs
 *    share one sequence, though not always in the same order.
 *
 * 4. Bounds. A call costs a few atomic operations while any point is armed. While
 *    none is, it is a jump label, which is one nop; where there are none, a load
 *    and a branch.
 *
 * 5. Locking. The question takes no lock and may be asked from any context, under
 *    any lock. A mutex guards the settings against each other; they are read without
 *    it, so a call that runs meanwhile may go by some of the old ones.
 *
 * 6. Failure. None but those that are wanted.
 *
 * After A. Mita's fault injection, Linux 2.6.20; G. L. Steele Jr., D. Lea and
 * C. H. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/fault-inject.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/ratelimit.h>

#include "inject.h"

/* What is added for each call, so that the hash has another argument. */
#define STEP	0x9e3779b97f4a7c15ULL

/* As FAULT_ATTR_INITIALIZER, but silent. */
#ifdef CONFIG_FAULT_INJECTION
#define OFF {								\
	.interval = 1,							\
	.times = ATOMIC_INIT(1),					\
	.require_end = ULONG_MAX,					\
	.stacktrace_depth = 32,						\
	.ratelimit_state = RATELIMIT_STATE_INIT_DISABLED,		\
}
#else
#define OFF { .interval = 1, .times = ATOMIC_INIT(1) }
#endif

/*
 * A point. The numbers of calls are those that came as far as to the interval, and to
 * chance, since the settings changed.
 */
struct point {
	const char *allocator;
	const char *what;
#ifdef CONFIG_FAULT_INJECTION
	struct fault_attr attr;
#else
	struct {
		unsigned long probability;
		unsigned long interval;
		atomic_t times;
		atomic_t space;
	} attr;
#endif
	u64 seed;
	u64 base;
	atomic_t nr_turns;
	atomic64_t nr_chances;
	atomic64_t nr_hits;
};

#define POINT(allocator_name, what_name) {				\
	.allocator = allocator_name,					\
	.what = what_name,						\
	.attr = OFF,							\
}

static struct point points[QUARRY_INJECT_NR_POINTS] = {
	[QUARRY_INJECT_BUDDY_ALLOC] = POINT("buddy", "alloc"),
	[QUARRY_INJECT_SLAB_ALLOC] = POINT("slab", "alloc"),
	[QUARRY_INJECT_SLAB_REFILL] = POINT("slab", "refill"),
	[QUARRY_INJECT_CACHE_ALLOC] = POINT("cache", "alloc"),
	[QUARRY_INJECT_CACHE_REFILL] = POINT("cache", "refill"),
	[QUARRY_INJECT_ZONE_ALLOC] = POINT("zone", "alloc"),
	[QUARRY_INJECT_HEAP_ALLOC] = POINT("heap", "alloc"),
	[QUARRY_INJECT_HEAP_REFILL] = POINT("heap", "refill"),
	[QUARRY_INJECT_VMEM_ALLOC] = POINT("vmem", "alloc"),
	[QUARRY_INJECT_VMEM_REFILL] = POINT("vmem", "refill"),
	[QUARRY_INJECT_VMEM_IMPORT] = POINT("vmem", "import"),
	[QUARRY_INJECT_VMEM_TAGS] = POINT("vmem", "tags"),
	[QUARRY_INJECT_MALLOC_ALLOC] = POINT("malloc", "alloc"),
};

static DEFINE_MUTEX(lock);
/* Whether others can change settings, and don't tell. */
static bool shared;

DEFINE_STATIC_KEY_FALSE(quarry_inject_key);

/* ---- Deciding ---- */

/* A hash of 64 bits, each of which depends on all of the argument's. */
static u64 hash(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* Whether there is still space, of which @size is used up then. */
static bool uses_space(atomic_t *space, u64 size)
{
	int left = atomic_read(space);

	do {
		if (left <= 0 || left <= size)
			return false;
	} while (!atomic_try_cmpxchg(space, &left, left - (int)size));
	return true;
}

static bool is_its_turn(struct point *point)
{
	unsigned long interval = READ_ONCE(point->attr.interval);

	return interval <= 1 || !((u32)atomic_inc_return(&point->nr_turns) % interval);
}

static bool has_bad_luck(struct point *point)
{
	u64 n = atomic64_inc_return(&point->nr_chances);
	u32 chance = hash(READ_ONCE(point->base) + n * STEP) >> 32;

	return ((u64)chance * 100) >> 32 < READ_ONCE(point->attr.probability);
}

/* Whether one of the times could be had. */
static bool takes_a_time(atomic_t *times)
{
	return atomic_read(times) == -1 || atomic_add_unless(times, -1, 0);
}

/* As should_fail(), but always by our own chances. */
static bool decide(struct point *point, u64 size)
{
	return READ_ONCE(point->attr.probability) && atomic_read(&point->attr.times) &&
	       !uses_space(&point->attr.space, size) && is_its_turn(point) &&
	       has_bad_luck(point) && takes_a_time(&point->attr.times);
}

/* quarry_inject() while some point is armed. */
noinline __cold bool __quarry_inject(enum quarry_inject_point at, u64 size)
{
	struct point *point = &points[at];
	bool fails;

#ifdef CONFIG_FAULT_INJECTION
	if (!READ_ONCE(point->seed))
		fails = should_fail(&point->attr, min_t(u64, size, INT_MAX));
	else
#endif
		fails = decide(point, size);
	if (fails)
		atomic64_inc(&point->nr_hits);
	return fails;
}

/* ---- Settings ---- */

/**
 * quarry_inject_allocator() - which allocator a point is in
 * @point: the point
 *
 * Context: any. O(1).
 * Return: its name.
 */
const char *quarry_inject_allocator(enum quarry_inject_point point)
{
	return points[point].allocator;
}
EXPORT_SYMBOL_GPL(quarry_inject_allocator);

/**
 * quarry_inject_what() - what fails at a point
 * @point: the point
 *
 * Context: any. O(1).
 * Return: "alloc", "refill", "import" or "tags".
 */
const char *quarry_inject_what(enum quarry_inject_point point)
{
	return points[point].what;
}
EXPORT_SYMBOL_GPL(quarry_inject_what);

static bool are_settings_right(const struct quarry_inject_settings *settings)
{
	return settings->probability <= 100 && settings->interval && settings->times >= -1 &&
	       settings->space >= 0;
}

/* Arm while any point has a probability. */
static void arm(void)
{
	bool any = shared;
	unsigned int i;

	lockdep_assert_held(&lock);

	for (i = 0; i < QUARRY_INJECT_NR_POINTS; i++)
		any = any || points[i].attr.probability;
	if (any)
		static_branch_enable(&quarry_inject_key);
	else
		static_branch_disable(&quarry_inject_key);
}

static void apply(struct point *point, const struct quarry_inject_settings *settings)
{
	lockdep_assert_held(&lock);

	/* Last comes what lets it fail, and first what it could fail without. */
	WRITE_ONCE(point->attr.probability, 0);
	WRITE_ONCE(point->seed, settings->seed);
	WRITE_ONCE(point->base, settings->seed ?: get_random_u64());
	atomic_set(&point->nr_turns, 0);
	atomic64_set(&point->nr_chances, 0);
	WRITE_ONCE(point->attr.interval, settings->interval);
	atomic_set(&point->attr.times, settings->times);
	atomic_set(&point->attr.space, settings->space);
	WRITE_ONCE(point->attr.probability, settings->probability);
}

/**
 * quarry_inject_set() - say when a point fails
 * @point: the point
 * @settings: when; the sequence begins anew
 *
 * Context: may sleep. O(points).
 * Return: 0; -EINVAL, and nothing changed, if a setting can't be.
 */
int quarry_inject_set(enum quarry_inject_point point,
		      const struct quarry_inject_settings *settings)
{
	if ((unsigned int)point >= QUARRY_INJECT_NR_POINTS || !settings ||
	    !are_settings_right(settings))
		return -EINVAL;

	mutex_lock(&lock);
	apply(&points[point], settings);
	arm();
	mutex_unlock(&lock);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_inject_set);

/**
 * quarry_inject_get() - when a point fails
 * @point: the point
 * @settings: filled in, with the times and the space that are left
 *
 * Context: may sleep. O(1).
 */
void quarry_inject_get(enum quarry_inject_point point, struct quarry_inject_settings *settings)
{
	const struct point *from = &points[point];

	mutex_lock(&lock);
	*settings = (struct quarry_inject_settings) {
		.probability = from->attr.probability,
		.interval = from->attr.interval,
		.times = atomic_read(&from->attr.times),
		.space = atomic_read(&from->attr.space),
		.seed = from->seed,
	};
	mutex_unlock(&lock);
}
EXPORT_SYMBOL_GPL(quarry_inject_get);

/**
 * quarry_inject_hits() - how often a point has failed
 * @point: the point
 *
 * Context: any. O(1).
 * Return: how often since quarry_inject_reset().
 */
u64 quarry_inject_hits(enum quarry_inject_point point)
{
	return atomic64_read(&points[point].nr_hits);
}
EXPORT_SYMBOL_GPL(quarry_inject_hits);

/**
 * quarry_inject_reset() - let no point fail
 *
 * All settings are as they were at first, and no point has failed.
 *
 * Context: may sleep. O(points).
 */
void quarry_inject_reset(void)
{
	static const struct quarry_inject_settings off = QUARRY_INJECT_OFF;
	unsigned int i;

	mutex_lock(&lock);
	for (i = 0; i < QUARRY_INJECT_NR_POINTS; i++) {
		apply(&points[i], &off);
		atomic64_set(&points[i].nr_hits, 0);
	}
	arm();
	mutex_unlock(&lock);
}
EXPORT_SYMBOL_GPL(quarry_inject_reset);

#ifdef CONFIG_FAULT_INJECTION
/**
 * quarry_inject_attr() - the kernel's own settings of a point
 * @point: the point
 *
 * For fault_create_debugfs_attr(). As whoever writes to its files doesn't tell, the
 * points are armed from then on.
 *
 * Context: may sleep. O(1).
 * Return: the settings; NULL where the kernel has none.
 */
struct fault_attr *quarry_inject_attr(enum quarry_inject_point point)
{
	mutex_lock(&lock);
	shared = true;
	arm();
	mutex_unlock(&lock);
	return &points[point].attr;
}
#else
struct fault_attr *quarry_inject_attr(enum quarry_inject_point point)
{
	return NULL;
}
#endif
