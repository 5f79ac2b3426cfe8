// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: the beginning and the end.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/log2.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "vmem_internal.h"

/* Segments in use that the end of an arena lists. */
#define NR_LISTED	10

static bool is_space(u64 base, u64 size, u64 quantum)
{
	if (!quarry_is_power_of_2(quantum) || (base | size) & (quantum - 1))
		return false;
	return !size || is_range(base, size);
}

/* Below the sentinel is the sentinel, so that a way that leads past it is found to be too long. */
static void empty_tries(struct quarry_vmem *vmem)
{
	unsigned int bin;

	vmem->nil.child[0] = &vmem->nil;
	vmem->nil.child[1] = &vmem->nil;
	for (bin = 0; bin < QUARRY_VMEM_NR_BINS; bin++)
		vmem->roots[bin] = &vmem->nil;
}

/**
 * quarry_vmem_init() - make an arena
 * @vmem: the arena, in memory of the caller's
 * @name: what the log calls it; kept, not copied
 * @base: start of the first span, a multiple of @quantum
 * @size: its size, a multiple of @quantum; 0 for none
 * @quantum: a power of two that all sizes are rounded up to
 * @memory: for tags, QUARRY_VMEM_TAG_SIZE each, and a table of them; may be NULL if
 *	there is a @backend; the caller keeps it until after quarry_vmem_fini()
 * @memory_size: its size
 * @backend: where more memory for tags and their table comes from; may be NULL if
 *	there is @memory, and then that is all
 *
 * A segment takes one tag, a span one more. A ninth of @memory is set aside for the
 * table.
 *
 * Context: any but NMI, nothing else may use @vmem. O(@memory_size).
 * Return: 0; -EINVAL if an argument is wrong; -ENOMEM if there is no memory for the
 * tags of one span. Nothing of @memory is in use then.
 */
int quarry_vmem_init(struct quarry_vmem *vmem, const char *name, u64 base, u64 size, u64 quantum,
		     void *memory, size_t memory_size, struct quarry_backend *backend)
{
	int err;

	if (!vmem || !name || !is_space(base, size, quantum) || (!memory && !backend) ||
	    (!memory && memory_size))
		return -EINVAL;

	memset(vmem, 0, sizeof(*vmem));
	raw_spin_lock_init(&vmem->lock);
	INIT_LIST_HEAD(&vmem->waiters);
	empty_tries(vmem);
	vmem->spans = RB_ROOT;
	vmem->name = name;
	vmem->backend = backend;
	vmem->quantum_shift = ilog2(quantum);
	vmem->part_shift = vmem->quantum_shift;
	vmem->below_quantum = quantum - 1;
	vmem->quantum_mask = -quantum;
	vmem->import_quantum = quantum;
	vmem->tag_reserve = QUARRY_VMEM_TAGS_ALLOC;
	vmem->nr_buckets = QUARRY_VMEM_NR_BUCKETS;
	vmem->bucket_mask = QUARRY_VMEM_NR_BUCKETS - 1;
	vmem->nr_table_buckets = QUARRY_VMEM_NR_BUCKETS;
	vmem->tables[ilog2(QUARRY_VMEM_NR_BUCKETS) - 1] =
		(unsigned long)vmem->first_buckets;

	if (!__quarry_vmem_give_memory(vmem, memory, memory_size) && !backend)
		return -ENOMEM;
	err = size ? quarry_vmem_add(vmem, base, size) : 0;
	if (err)
		__quarry_vmem_give_back(vmem);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_vmem_init);

/* One line for each of the first segments in use, counted from where the arena begins. */
static void list_used(struct quarry_vmem *vmem)
{
	struct quarry_vmem_segment segment;
	unsigned int nr = 0;
	u64 base, addr;

	if (quarry_vmem_next(vmem, 0, &segment))
		return;
	base = segment.addr;
	do {
		if (segment.state != QUARRY_VMEM_FREE) {
			pr_warn("quarry: vmem %s: still in use: +0x%llx, size 0x%llx\n",
				vmem->name, segment.addr - base, segment.size);
			nr++;
		}
		addr = segment.addr + segment.size;
	} while (nr < NR_LISTED && addr && !quarry_vmem_next(vmem, addr, &segment));
}

/* What an arena knows of spans, none of which is in use. */
static void forget_spans(struct quarry_vmem *vmem)
{
	unsigned int bin;

	vmem->import = NULL;
	vmem->spans = RB_ROOT;
	vmem->lowest = 0;
	vmem->highest = 0;
	vmem->nr_spans = 0;
	vmem->nr_bordered = 0;
	vmem->nr_followers = 0;
	vmem->total = 0;
	vmem->imported = 0;
	vmem->levels = 0;
	vmem->first = NULL;
	vmem->near_cursor = NULL;
	for (bin = 0; (bin = bin_from(vmem, bin)) < QUARRY_VMEM_NR_BINS; bin++)
		vmem->roots[bin] = &vmem->nil;
	memset(vmem->avail, 0, sizeof(vmem->avail));
	memset(vmem->nr_in_class, 0, sizeof(vmem->nr_in_class));
}

/**
 * quarry_vmem_fini() - end an arena
 * @vmem: the arena
 *
 * Gives all memory back. Afterwards it manages nothing.
 *
 * Context: any but NMI. O(memory for tags).
 * Return: 0; -EBUSY, and nothing changed, if segments are in use, somebody waits or it
 * has quantum caches; the log lists the first ten segments.
 */
int quarry_vmem_fini(struct quarry_vmem *vmem)
{
	unsigned long irq;
	bool busy;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	busy = vmem->used || vmem->nr_waiters || vmem->nr_importing || vmem->qcache;
	if (!busy)
		forget_spans(vmem);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (busy) {
		list_used(vmem);
		return -EBUSY;
	}
	__quarry_vmem_give_back(vmem);
	vmem->backend = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_vmem_fini);

/* What is taken for an arena that makes itself: some tags fit in behind it. */
#define CREATED_SIZE	roundup_pow_of_two(sizeof(struct quarry_vmem) + 16 * QUARRY_VMEM_TAG_SIZE)

/**
 * quarry_vmem_create() - make an arena in memory of a backend
 * @name: as for quarry_vmem_init()
 * @base: as for quarry_vmem_init()
 * @size: as for quarry_vmem_init()
 * @quantum: as for quarry_vmem_init()
 * @backend: where all memory comes from, 32 KiB of it at once
 *
 * Context: any but NMI. O(1).
 * Return: the arena, to be ended by quarry_vmem_destroy(); NULL if an argument is wrong
 * or there is no memory.
 */
struct quarry_vmem *quarry_vmem_create(const char *name, u64 base, u64 size, u64 quantum,
				       struct quarry_backend *backend)
{
	struct quarry_vmem *vmem;
	int err;

	if (!backend)
		return NULL;
	vmem = quarry_backend_take(backend, CREATED_SIZE);
	if (!vmem)
		return NULL;
	err = quarry_vmem_init(vmem, name, base, size, quantum, vmem + 1,
			       CREATED_SIZE - sizeof(*vmem), backend);
	if (!err)
		return vmem;
	quarry_backend_give(backend, vmem, CREATED_SIZE);
	return NULL;
}
EXPORT_SYMBOL_GPL(quarry_vmem_create);

/**
 * quarry_vmem_destroy() - end an arena that quarry_vmem_create() made
 * @vmem: the arena; NULL does nothing
 *
 * Context: as quarry_vmem_fini().
 * Return: as quarry_vmem_fini(); if it isn't 0, the arena lives on.
 */
int quarry_vmem_destroy(struct quarry_vmem *vmem)
{
	struct quarry_backend *backend;
	int err;

	if (!vmem)
		return 0;
	backend = vmem->backend;
	err = quarry_vmem_fini(vmem);
	return err ?: quarry_backend_give(backend, vmem, CREATED_SIZE);
}
EXPORT_SYMBOL_GPL(quarry_vmem_destroy);
