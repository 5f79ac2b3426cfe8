/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_ESTATE_H
#define QUARRY_KUNIT_ESTATE_H

#include "../lib/cache.h"
#include "../lib/qcache.h"
#include "../lib/vmem.h"
#include "malloc_helpers.h"

/* What slab and cache of an estate have. */
#define ESTATE_SLAB_SIZE	48
#define ESTATE_CACHE_SIZE	200
/* Pages that the arena imports at once. */
#define ESTATE_IMPORT		16

/**
 * struct estate - everything that Quarry has, in one region
 * @backing: the region, its buddy and backend
 * @space: malloc, and the zone and the heap that it stands on
 * @slab: objects of one size
 * @cache: and others, behind magazines
 * @vmem: an arena of pages that it imports from the buddy
 * @qcaches: its quantum caches
 */
struct estate {
	struct qtest_backing *backing;
	struct qtest_malloc *space;
	struct quarry_slab *slab;
	struct quarry_cache *cache;
	struct quarry_vmem vmem;
	struct quarry_qcaches qcaches;
};

/**
 * struct estate_party - one of those who give memory
 * @name: its name
 * @most: the largest size that it is asked for
 * @take: a block of at least @size bytes, or NULL
 * @give: takes it back; @size is what was asked for
 * @resize: another size for a block; NULL, and the block as it was, if there is no room.
 *	NULL for who can't
 *
 * From any context but NMI.
 */
struct estate_party {
	const char *name;
	size_t most;
	void *(*take)(struct estate *estate, size_t size);
	int (*give)(struct estate *estate, void *block, size_t size);
	void *(*resize)(struct estate *estate, void *block, size_t size);
};

#define ESTATE_NR_PARTIES	8
extern const struct estate_party estate_parties[ESTATE_NR_PARTIES];

/* On test->priv, which finishes it, and sees that all pages are back then. */
struct estate *estate_create(struct kunit *test);

/* Everything in it verifies. */
void estate_intact(struct kunit *test, struct estate *estate);

#endif /* QUARRY_KUNIT_ESTATE_H */
