/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_QCACHE_H
#define QUARRY_QCACHE_H

#include "magazine.h"
#include "vmem.h"

struct quarry_qcaches;

/**
 * struct quarry_qcaches_config - what quarry_qcaches_init() is told
 * @vmem: the arena whose segments are cached; it has no quantum caches yet
 * @nr: sizes that are cached: 1 to so many quanta, at most QUARRY_VMEM_MAX_QCACHES
 * @rounds: most segments of a size in a magazine; 0 for what suits
 * @nr_segments: segments that are, or were got from, in a cache, about; more aren't
 *	cached; 0 for 1024
 * @backend: where memory for CPUs' shares and magazines comes from
 * @magazines: where magazines come from, an allocator of objects of at least
 *	QUARRY_MAGAZINE_SIZE bytes; NULL for one of its own
 */
struct quarry_qcaches_config {
	struct quarry_vmem *vmem;
	unsigned int nr;
	unsigned int rounds;
	unsigned int nr_segments;
	struct quarry_backend *backend;
	struct quarry_slab *magazines;
};

/* The cached segments of one size. */
struct quarry_qcache {
	/* private: */
	struct quarry_magazines magazines;
	struct quarry_vmem *vmem;
	unsigned int quanta;
};

/**
 * struct quarry_qcaches - the quantum caches of an arena
 *
 * Embedded by the caller, made valid by quarry_qcaches_init(). lib/qcache.c tells how
 * it works.
 */
struct quarry_qcaches {
	/* private: */
	struct quarry_vmem *vmem;
	unsigned int nr;
	struct quarry_backend *backend;
	struct quarry_vmem_qcache hooks;
	void *memory;
	struct quarry_slab *magazines;
	struct quarry_slab own_magazines;
	struct quarry_reclaimer reclaimer;
	struct quarry_qcache caches[QUARRY_VMEM_MAX_QCACHES];
};

int quarry_qcaches_init(struct quarry_qcaches *qcaches,
			const struct quarry_qcaches_config *config);
void quarry_qcaches_fini(struct quarry_qcaches *qcaches);
unsigned int quarry_qcaches_drain(struct quarry_qcaches *qcaches);
int quarry_qcaches_stats(struct quarry_qcaches *qcaches, unsigned int quanta,
			 struct quarry_magazines_stats *stats);

#endif /* QUARRY_QCACHE_H */
