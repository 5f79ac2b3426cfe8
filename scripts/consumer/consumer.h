/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_CONSUMER_H
#define QUARRY_CONSUMER_H

#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/types.h>

/* The memory of the module's own, and a page of its allocators. */
#define OWN_SIZE	(4UL << 20)
#define OWN_PAGE	4096UL

extern unsigned int consumer_nr_checks;
extern unsigned int consumer_nr_faults;

/* Counts, and says where something isn't as it should be. */
#define CHECK(what) do {						\
	consumer_nr_checks++;						\
	if (!(what)) {							\
		consumer_nr_faults++;					\
		pr_err("%s:%d: not so: %s\n", __FILE_NAME__, __LINE__, #what); \
	}								\
} while (0)

/* So many bytes of the module's own memory, until the next of these begins. */
void *own_memory(size_t size);

struct quarry_backend;

void use_buddy(void);
void use_slab(struct quarry_backend *backend);
void use_cache(struct quarry_backend *backend);
void use_heap(struct quarry_backend *backend);
void use_vmem(struct quarry_backend *backend);
void use_malloc(void);

/* Something that a function of Quarry calls and that asks the host for memory. */
void plant(void);

#endif /* QUARRY_CONSUMER_H */
