// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: imports from another arena and from a buddy.
 */
#include <linux/errno.h>
#include <linux/export.h>

#include "buddy.h"
#include "vmem.h"

/**
 * quarry_vmem_import_vmem() - import from another arena
 * @arg: the other arena, whose quantum is not above the import quantum
 * @want: what is asked for
 * @addr: set to the span's start
 * @size: its size
 *
 * For quarry_vmem_set_import(), together with quarry_vmem_release_vmem().
 *
 * Context: any but NMI. As quarry_vmem_xalloc() of the other arena.
 * Return: 0; an errno of quarry_vmem_xalloc().
 */
int quarry_vmem_import_vmem(void *arg, const struct quarry_vmem_request *want, u64 *addr,
			    u64 *size)
{
	struct quarry_vmem_request request = *want;

	request.flags = QUARRY_VMEM_BESTFIT | QUARRY_VMEM_NOWAIT;
	*size = request.size;
	return quarry_vmem_xalloc(arg, &request, addr);
}
EXPORT_SYMBOL_GPL(quarry_vmem_import_vmem);

/**
 * quarry_vmem_release_vmem() - give back what quarry_vmem_import_vmem() got
 * @arg: the other arena
 * @addr: the span's start
 * @size: its size
 *
 * Context: any but NMI. As quarry_vmem_xfree() of the other arena.
 */
void quarry_vmem_release_vmem(void *arg, u64 addr, u64 size)
{
	quarry_vmem_xfree(arg, addr, size);
}
EXPORT_SYMBOL_GPL(quarry_vmem_release_vmem);

/**
 * quarry_vmem_import_buddy() - import from a buddy
 * @arg: the buddy
 * @want: what is asked for
 * @addr: set to the span's start
 * @size: set to its size, a whole number of the buddy's pages
 *
 * For quarry_vmem_set_import(), together with quarry_vmem_release_buddy(). A buddy
 * knows alignment but no phase, so for one it is asked for a span that has a place
 * with it anywhere.
 *
 * Context: any but NMI. As quarry_buddy_xalloc().
 * Return: 0; an errno of quarry_buddy_xalloc().
 */
int quarry_vmem_import_buddy(void *arg, const struct quarry_vmem_request *want, u64 *addr,
			     u64 *size)
{
	struct quarry_buddy_request request = {
		.size = want->size,
		.align = want->align,
		.min = want->min,
		.max = want->max,
		.flags = QUARRY_BUDDY_EXACT,
	};
	struct quarry_buddy_block block;
	int err;

	if (want->phase)
		request.size += want->phase;
	if (request.size < want->size)
		return -ENOSPC;
	err = quarry_buddy_xalloc(arg, &request, &block);
	if (err)
		return err;
	*addr = block.addr;
	*size = block.size;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_vmem_import_buddy);

/**
 * quarry_vmem_release_buddy() - give back what quarry_vmem_import_buddy() got
 * @arg: the buddy
 * @addr: the span's start
 * @size: its size
 *
 * Context: any but NMI. As quarry_buddy_free().
 */
void quarry_vmem_release_buddy(void *arg, u64 addr, u64 size)
{
	quarry_buddy_free(arg, addr);
}
EXPORT_SYMBOL_GPL(quarry_vmem_release_buddy);
