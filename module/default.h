/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The default instance, for other modules: the allocators in the region that quarry.ko
 * took when it was inserted. Who uses one of these symbols holds quarry.ko.
 */
#ifndef QUARRY_DEFAULT_H
#define QUARRY_DEFAULT_H

#include <linux/types.h>

struct quarry_backend;
struct quarry_buddy;
struct quarry_heap;
struct quarry_malloc;
struct quarry_vmem;
struct quarry_zone;

/* Memory of any size, whichever of them has it; module/malloc.c. */
void *quarry_malloc(size_t size, gfp_t gfp);
int quarry_free(const void *block);
void *quarry_realloc(void *block, size_t size, gfp_t gfp);
size_t quarry_usable_size(const void *block);

/* Each of them by itself. */
struct quarry_buddy *quarry_default_buddy(void);
struct quarry_backend *quarry_default_backend(void);
struct quarry_zone *quarry_default_zone(void);
struct quarry_heap *quarry_default_heap(void);
struct quarry_vmem *quarry_default_vmem(void);
struct quarry_malloc *quarry_default_malloc(void);

#endif /* QUARRY_DEFAULT_H */
