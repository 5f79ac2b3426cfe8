// SPDX-License-Identifier: GPL-2.0
/*
 * The range manager of the graphics drivers. Only its source is taken, from the
 * tree that this is built in, so that a kernel needs no graphics to measure it; what
 * would print is left out. Its callers bring the lock and the nodes.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>

#include <drm/drm_print.h>

#undef EXPORT_SYMBOL
#define EXPORT_SYMBOL(symbol)
#define drm_printf			print_nothing

static __printf(2, 3) void print_nothing(struct drm_printer *printer, const char *format, ...)
{
}

#include <../drivers/gpu/drm/drm_mm.c>

#include "bench.h"

/* A node for each so many bytes: as many as can be live. */
#define BYTES_PER_NODE	SZ_128K

/**
 * struct drm_space - a range manager, and nodes to use it with
 * @mm: the manager
 * @lock: as its callers have one
 * @nodes: all nodes
 * @spare: those that are not in use
 * @nr_spare: how many
 */
struct drm_space {
	struct drm_mm mm;
	spinlock_t lock;	/* guards all of it */
	struct drm_mm_node *nodes;
	struct drm_mm_node **spare;
	size_t nr_spare;
};

static void drm_free_space(struct drm_space *space)
{
	kvfree(space->spare);
	kvfree(space->nodes);
	kfree(space);
}

static void *drm_setup(u64 size)
{
	struct drm_space *space = kzalloc(sizeof(*space), GFP_KERNEL);
	size_t nr = size / BYTES_PER_NODE;

	if (!space)
		return ERR_PTR(-ENOMEM);
	space->nodes = kvcalloc(nr, sizeof(*space->nodes), GFP_KERNEL);
	space->spare = kvcalloc(nr, sizeof(*space->spare), GFP_KERNEL);
	if (!space->nodes || !space->spare) {
		drm_free_space(space);
		return ERR_PTR(-ENOMEM);
	}
	for (; space->nr_spare < nr; space->nr_spare++)
		space->spare[space->nr_spare] = &space->nodes[space->nr_spare];
	spin_lock_init(&space->lock);
	drm_mm_init(&space->mm, SZ_1G, size);
	return space;
}

static void drm_teardown(void *ctx)
{
	struct drm_space *space = ctx;

	drm_mm_takedown(&space->mm);
	drm_free_space(space);
}

static bool drm_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct drm_space *space = ctx;
	struct drm_mm_node *node;
	unsigned long flags;
	int err = -ENOSPC;

	spin_lock_irqsave(&space->lock, flags);
	if (space->nr_spare) {
		node = space->spare[space->nr_spare - 1];
		err = drm_mm_insert_node(&space->mm, node, size);
	}
	if (!err) {
		space->nr_spare--;
		slot->handle = (unsigned long)node;
	}
	spin_unlock_irqrestore(&space->lock, flags);
	return !err;
}

static void drm_free(void *ctx, const struct bench_slot *slot)
{
	struct drm_mm_node *node = (struct drm_mm_node *)slot->handle;
	struct drm_space *space = ctx;
	unsigned long flags;

	spin_lock_irqsave(&space->lock, flags);
	drm_mm_remove_node(node);
	space->spare[space->nr_spare++] = node;
	spin_unlock_irqrestore(&space->lock, flags);
}

const struct bench_allocator bench_drm_mm = {
	.name = "drm_mm",
	.own_space = true,
	.setup = drm_setup,
	.teardown = drm_teardown,
	.alloc = drm_alloc,
	.free = drm_free,
};
