/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_DEBUGFS_H
#define QUARRY_DEBUGFS_H

#include <linux/types.h>

#include "named.h"

struct quarry_cache;
struct quarry_heap;
struct quarry_instance;
struct quarry_qcaches;
struct quarry_slab;
struct quarry_vmem;
struct seq_file;

/**
 * struct quarry_named_slab - a slab or a cache that debugfs shows
 * @named: its name
 * @cache: the cache, or
 * @slab: the slab that has none; the other one is NULL
 */
struct quarry_named_slab {
	struct quarry_named named;
	struct quarry_cache *cache;
	struct quarry_slab *slab;
};

/**
 * struct quarry_named_heap - a heap that debugfs shows
 * @named: its name
 * @heap: the heap
 */
struct quarry_named_heap {
	struct quarry_named named;
	struct quarry_heap *heap;
};

/**
 * struct quarry_named_vmem - an arena that debugfs shows
 * @named: its name
 * @origin: what its addresses are told from
 * @vmem: the arena
 * @qcaches: its quantum caches; NULL if it has none
 */
struct quarry_named_vmem {
	struct quarry_named named;
	u64 origin;
	struct quarry_vmem *vmem;
	struct quarry_qcaches *qcaches;
};

extern struct quarry_named_kind quarry_slab_kind;
extern struct quarry_named_kind quarry_heap_kind;
extern struct quarry_named_kind quarry_vmem_kind;

void quarry_debugfs_init(struct quarry_instance *instance);
void quarry_debugfs_exit(struct quarry_instance *instance);

/* The parts, called by these two. */
void quarry_debugfs_buddy_init(struct quarry_instance *instance, struct dentry *root);
void quarry_debugfs_slab_init(struct quarry_instance *instance, struct dentry *root);
void quarry_debugfs_slab_exit(struct quarry_instance *instance);
void quarry_debugfs_heap_init(struct quarry_instance *instance, struct dentry *root);
void quarry_debugfs_heap_exit(struct quarry_instance *instance);
void quarry_debugfs_vmem_init(struct quarry_instance *instance, struct dentry *root);
void quarry_debugfs_vmem_exit(struct quarry_instance *instance);

void quarry_debugfs_malloc_init(struct quarry_instance *instance, struct dentry *root);
void quarry_debugfs_inject_init(struct dentry *root);
void quarry_debugfs_inject_exit(void);

void quarry_debugfs_show_failure(struct seq_file *m, u64 when);

#endif /* QUARRY_DEBUGFS_H */
