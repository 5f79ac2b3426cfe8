// SPDX-License-Identifier: GPL-2.0
/*
 * Malloc and free in the module's region, for other modules. lib/malloc.c has the theory;
 * here its hot paths are put on the default instance, without another call.
 */
#include <linux/export.h>
#include <linux/instruction_pointer.h>

#include "../lib/malloc_internal.h"
#include "instance.h"

/**
 * quarry_malloc() - allocate a block of any size in the module's region
 * @size: bytes
 * @gfp: as for quarry_malloc_alloc()
 *
 * A module that calls this can't outlive the region: the symbol that it uses holds
 * quarry.ko, which can't be removed before. It must free what it takes before it goes.
 *
 * Context: any but NMI. As quarry_malloc_alloc().
 * Return: as quarry_malloc_alloc(); NULL also when Quarry is built in and got no region.
 */
void *quarry_malloc(size_t size, gfp_t gfp)
{
	return malloc_alloc(&quarry_default_instance.malloc, size, gfp, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_malloc);

/**
 * quarry_free() - free a block in the module's region
 * @block: what quarry_malloc() or quarry_realloc() gave, or NULL, for which nothing is done
 *
 * Context: any but NMI. As quarry_malloc_free().
 * Return: as quarry_malloc_free(); -ENODEV when Quarry is built in and got no region.
 */
int quarry_free(const void *block)
{
	return malloc_free(&quarry_default_instance.malloc, block, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_free);

/**
 * quarry_realloc() - change the size of a block in the module's region
 * @block: the block, or NULL, which makes this quarry_malloc()
 * @size: bytes wanted
 * @gfp: as for quarry_malloc_realloc()
 *
 * Context: any but NMI. As quarry_malloc_realloc().
 * Return: as quarry_malloc_realloc(); NULL also when Quarry is built in and got no region.
 */
void *quarry_realloc(void *block, size_t size, gfp_t gfp)
{
	return __quarry_malloc_realloc(&quarry_default_instance.malloc, block, size, gfp, _RET_IP_);
}
EXPORT_SYMBOL_GPL(quarry_realloc);

/**
 * quarry_usable_size() - how much memory a block in the module's region really has
 * @block: what quarry_malloc() or quarry_realloc() gave
 *
 * Context: any but NMI. As quarry_malloc_usable_size().
 * Return: as quarry_malloc_usable_size(); 0 also when Quarry is built in and got no region.
 */
size_t quarry_usable_size(const void *block)
{
	return __quarry_malloc_usable_size(&quarry_default_instance.malloc, block);
}
EXPORT_SYMBOL_GPL(quarry_usable_size);

/**
 * quarry_default_malloc() - what these functions work on
 *
 * What holds for quarry_default_buddy() holds for it.
 *
 * Context: any. O(1).
 * Return: the malloc; NULL when Quarry is built in and got no region.
 */
struct quarry_malloc *quarry_default_malloc(void)
{
	struct quarry_malloc *malloc = &quarry_default_instance.malloc;

	return malloc->zone ? malloc : NULL;
}
EXPORT_SYMBOL_GPL(quarry_default_malloc);
