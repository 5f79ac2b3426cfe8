// SPDX-License-Identifier: GPL-2.0
/*
 * Quantum caches: segments of an arena at hand for each CPU.
 *
 * 1. Purpose. Most of what is asked of an arena are a few small sizes, again and
 *    again. For each of the sizes of 1 to a few quanta there are magazines
 *    (lib/magazine.c), which are filled with segments of the arena (lib/vmem.c) and
 *    flushed back to it, many at a time.
 *
 * 2. Items. What is in a magazine is what the arena calls a segment among its own;
 *    0 is none. How the arena finds them again without its lock, and takes and frees
 *    them, is told in lib/vmem_qcache.c; the slots that it needs for that are here.
 *
 * 3. Bounds. Getting and putting are O(1), but for at most two magazines that are
 *    flushed, each segment of which costs what it costs in the arena, or filled with up to
 *    eight segments, which are cut out of at most four free ones.
 *
 * 4. Running short. Before an allocation in the arena fails, what is cached here
 *    goes back to it: all of this CPU's and the depots' at once, what other CPUs
 *    have a moment later.
 *
 * 5. Locking. None of its own. The depot's lock is never held when the arena is
 *    called, nor the arena's when this is.
 *
 * After J. Bonwick and J. Adams, "Magazines and Vmem: Extending the Slab Allocator to
 * Many CPUs and Arbitrary Resources", USENIX 2001, 4.4.
 */
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "qcache.h"

/* Segments that lie idle are lost to all other sizes, so these are few. */
#define ROUNDS_BEGIN	16
#define ROUNDS_MOST	QUARRY_MAGAZINE_ROUNDS

static struct quarry_qcache *qcache_of(struct quarry_magazines *magazines)
{
	return container_of(magazines, struct quarry_qcache, magazines);
}

static unsigned int fill(struct quarry_magazines *magazines, unsigned long *items,
			 unsigned int nr)
{
	struct quarry_qcache *qcache = qcache_of(magazines);

	return quarry_vmem_qcache_fill(qcache->vmem, qcache->quanta, items, nr);
}

static void flush(struct quarry_magazines *magazines, const unsigned long *items,
		  unsigned int nr)
{
	quarry_vmem_qcache_flush(qcache_of(magazines)->vmem, items, nr);
}

static const struct quarry_magazines_ops magazines_ops = {
	.fill = fill,
	.flush = flush,
};

/* ---- The beginning and the end ---- */

#define NR_SEGMENTS	1024

/* The CPUs' shares of @nr magazines. */
static size_t shares_size(unsigned int nr)
{
	return nr * quarry_magazines_memory_size();
}

/* The shares, and then the slots. */
static size_t memory_size(const struct quarry_qcaches *qcaches)
{
	return shares_size(qcaches->nr) + quarry_vmem_slots_size(qcaches->hooks.slot_bits);
}

/* Twice as many slots as segments, so that nearly all find one. */
static unsigned int slot_bits(unsigned int nr_segments)
{
	return max_t(unsigned int, 3, order_base_2(nr_segments ?: NR_SEGMENTS) + 1);
}

static int init_source(struct quarry_qcaches *qcaches, const struct quarry_qcaches_config *config)
{
	const struct quarry_slab_config source = {
		.name = "quantum caches",
		.object_size = QUARRY_MAGAZINE_SIZE,
		.backend = config->backend,
	};

	qcaches->magazines = config->magazines ?: &qcaches->own_magazines;
	return config->magazines ? 0 : quarry_slab_init(&qcaches->own_magazines, &source);
}

static void fini_source(struct quarry_qcaches *qcaches)
{
	if (qcaches->magazines == &qcaches->own_magazines)
		quarry_slab_fini(&qcaches->own_magazines, true, NULL);
}

static int init_qcache(struct quarry_qcaches *qcaches, unsigned int index, unsigned int rounds)
{
	struct quarry_qcache *qcache = &qcaches->caches[index];
	const struct quarry_magazines_config config = {
		.ops = &magazines_ops,
		.source = qcaches->magazines,
		.memory = qcaches->memory + shares_size(index),
		.min = min_t(unsigned int, ROUNDS_BEGIN, rounds),
		.max = rounds,
	};

	qcache->vmem = qcaches->vmem;
	qcache->quanta = index + 1;
	qcaches->hooks.magazines[index] = &qcache->magazines;
	return quarry_magazines_init(&qcache->magazines, &config);
}

/* The reverse of init_qcache(), for the first @nr. */
static void fini_qcaches(struct quarry_qcaches *qcaches, unsigned int nr)
{
	while (nr--)
		quarry_magazines_fini(&qcaches->caches[nr].magazines);
}

static int init_qcaches(struct quarry_qcaches *qcaches, unsigned int rounds)
{
	unsigned int i;
	int err;

	for (i = 0; i < qcaches->nr; i++) {
		err = init_qcache(qcaches, i, rounds);
		if (err) {
			fini_qcaches(qcaches, i);
			return err;
		}
	}
	return 0;
}

static int take_memory(struct quarry_qcaches *qcaches)
{
	qcaches->memory = quarry_backend_take(qcaches->backend, memory_size(qcaches));
	if (!qcaches->memory)
		return -ENOMEM;

	qcaches->hooks.slots = qcaches->memory + shares_size(qcaches->nr);
	memset(qcaches->hooks.slots, 0, quarry_vmem_slots_size(qcaches->hooks.slot_bits));
	return 0;
}

static bool is_config_right(const struct quarry_qcaches_config *config)
{
	return config && config->vmem && config->backend && config->nr &&
	       config->nr <= QUARRY_VMEM_MAX_QCACHES && config->nr_segments <= SZ_256M;
}

/*
 * The backend runs short: what is cached goes back to the arena, and so spans that are
 * wholly free then to where they were imported from, which may be the backend's buddy.
 */
static size_t reclaim(struct quarry_reclaimer *reclaimer)
{
	struct quarry_qcaches *qcaches = container_of(reclaimer, struct quarry_qcaches, reclaimer);
	u64 after, before = READ_ONCE(qcaches->vmem->imported);
	unsigned int i;

	for (i = 0; i < qcaches->nr; i++)
		quarry_magazines_reclaim(&qcaches->caches[i].magazines);
	after = READ_ONCE(qcaches->vmem->imported);
	return after < before ? min_t(u64, before - after, SIZE_MAX) : 0;
}

/**
 * quarry_qcaches_init() - give an arena quantum caches
 * @qcaches: to be made valid; the caller's
 * @config: what they are to be like
 *
 * From here on quarry_vmem_alloc() and quarry_vmem_free() of 1 to @nr quanta use them.
 *
 * Context: process context, may sleep; nobody uses the arena meanwhile. O(CPUs).
 * Return: 0; -EINVAL if something is NULL or a number can't be; -EBUSY if the arena
 * has quantum caches; -ENOMEM if the backend has no memory; -ENOSPC if the kernel
 * can't watch CPUs for yet another user.
 */
int quarry_qcaches_init(struct quarry_qcaches *qcaches,
			const struct quarry_qcaches_config *config)
{
	int err;

	if (!qcaches || !is_config_right(config))
		return -EINVAL;

	memset(qcaches, 0, sizeof(*qcaches));
	qcaches->vmem = config->vmem;
	qcaches->nr = config->nr;
	qcaches->backend = config->backend;
	qcaches->hooks.nr = config->nr;
	qcaches->hooks.slot_bits = slot_bits(config->nr_segments);
	err = init_source(qcaches, config);
	if (err)
		return err;
	err = take_memory(qcaches);
	if (err)
		goto fini_source;
	err = init_qcaches(qcaches, config->rounds ?: ROUNDS_MOST);
	if (err)
		goto give_memory;
	err = quarry_vmem_set_qcache(config->vmem, &qcaches->hooks);
	if (err)
		goto fini_qcaches;
	qcaches->reclaimer.reclaim = reclaim;
	quarry_backend_add_reclaimer(qcaches->backend, &qcaches->reclaimer);
	return 0;

fini_qcaches:
	fini_qcaches(qcaches, qcaches->nr);
give_memory:
	quarry_backend_give(qcaches->backend, qcaches->memory, memory_size(qcaches));
fini_source:
	fini_source(qcaches);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_qcaches_init);

/**
 * quarry_qcaches_fini() - take an arena's quantum caches away
 * @qcaches: the caches; nobody uses the arena meanwhile
 *
 * What they hold goes back to the arena. Does nothing if they were taken away already.
 *
 * Context: process context, may sleep. As quarry_qcaches_drain().
 */
void quarry_qcaches_fini(struct quarry_qcaches *qcaches)
{
	if (!qcaches->memory)
		return;
	quarry_backend_del_reclaimer(qcaches->backend, &qcaches->reclaimer);
	quarry_vmem_set_qcache(qcaches->vmem, NULL);
	fini_qcaches(qcaches, qcaches->nr);
	quarry_backend_give(qcaches->backend, qcaches->memory, memory_size(qcaches));
	qcaches->memory = NULL;
	fini_source(qcaches);
}
EXPORT_SYMBOL_GPL(quarry_qcaches_fini);

/**
 * quarry_qcaches_drain() - give all that is cached back to the arena
 * @qcaches: the caches
 *
 * Context: process context, may sleep. O(CPUs), and freeing what is cached.
 * Return: how many segments that was.
 */
unsigned int quarry_qcaches_drain(struct quarry_qcaches *qcaches)
{
	unsigned int i, nr = 0;

	for (i = 0; i < qcaches->nr; i++)
		nr += quarry_magazines_drain(&qcaches->caches[i].magazines);
	return nr;
}
EXPORT_SYMBOL_GPL(quarry_qcaches_drain);

/**
 * quarry_qcaches_stats() - the figures of one size
 * @qcaches: the caches
 * @quanta: the size, in quanta
 * @stats: filled in, as quarry_magazines_stats() does
 *
 * Context: any but NMI. O(CPUs).
 * Return: 0; -EINVAL if that size isn't cached.
 */
int quarry_qcaches_stats(struct quarry_qcaches *qcaches, unsigned int quanta,
			 struct quarry_magazines_stats *stats)
{
	if (!quanta || quanta > qcaches->nr)
		return -EINVAL;
	quarry_magazines_stats(&qcaches->caches[quanta - 1].magazines, stats);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_qcaches_stats);
