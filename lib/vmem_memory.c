// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: memory for tags, and for the buckets of the table.
 *
 * Tags begin with those in the memory that the arena was given, and more come from
 * the backend a page at a time, each page with one tag's place for the list of
 * pages. Arrays of buckets come from the backend too, the first as large as a page
 * and each further one as large as all before. All that is fetched with no
 * lock held; who finds under the lock that something is missing drops it, comes
 * here and tries again. An allocation that is refused tags fails with -ENOMEM; a
 * table that can't have its next array has longer chains until there is memory, and
 * asks again when there are twice as many segments.
 *
 * An array that the table has shrunk out of goes back to the backend at the next
 * allocation. Tags stay with the arena until its end: any page of them mostly
 * has a few in use.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/log2.h>

#include "inject.h"
#include "vmem_internal.h"

/* What is taken from the backend for tags, and at least for buckets. */
#define PAGE_BYTES	4096U

/* Lists tags; returns how many fitted in. */
static unsigned int add_tags(struct quarry_vmem *vmem, void *memory, size_t size)
{
	struct quarry_vmem_tag *free = vmem->free_tags;
	void *end = memory + ALIGN_DOWN(size, QUARRY_VMEM_TAG_SIZE);
	unsigned int nr = size / QUARRY_VMEM_TAG_SIZE;

	for (; memory != end; memory += QUARRY_VMEM_TAG_SIZE) {
		struct quarry_vmem_tag *tag = memory;

		tag->slotted = false;
		tag->link = free;
		free = tag;
	}
	vmem->free_tags = free;
	vmem->nr_free_tags += nr;
	vmem->nr_tags += nr;
	return nr;
}

/* ---- Buckets ---- */

/* The end of the array that begins with bucket @first. */
static inline unsigned int array_end(unsigned int first)
{
	return max(2 * first, (unsigned int)(PAGE_BYTES / sizeof(long)));
}

static inline size_t array_bytes(unsigned int first)
{
	return (array_end(first) - first) * sizeof(long);
}

/* Which of the doublings of the table begins with bucket @first, a power of two. */
static inline unsigned int table_of(unsigned int first)
{
	return __fls(first);
}

/* Let the table grow into an array for the buckets from where it ends to @end. */
static void add_array(struct quarry_vmem *vmem, void *memory, unsigned int end)
{
	unsigned int first = vmem->nr_table_buckets;
	unsigned long base = (unsigned long)memory - first * sizeof(long);
	unsigned int table;

	for (table = table_of(first); table < table_of(end); table++)
		vmem->tables[table] = base;
	vmem->nr_table_buckets = end;
}

/* The first bucket of the last array that is the backend's; 0 if none is. */
static unsigned int last_array(const struct quarry_vmem *vmem)
{
	if (!vmem->table_ranges)
		return 0;
	return 1U << __fls(vmem->table_ranges);
}

/* Take the last array from the table, which has no bucket in it. */
static void *drop_array(struct quarry_vmem *vmem, unsigned int first)
{
	unsigned int table = table_of(first);

	vmem->table_ranges &= ~BIT(table);
	vmem->nr_table_buckets = first;
	return (void *)(vmem->tables[table] + first * sizeof(long));
}

static bool wants_array(const struct quarry_vmem *vmem)
{
	return vmem->backend && vmem->nr_buckets == vmem->nr_table_buckets &&
	       vmem->nr_used > vmem->nr_buckets && vmem->nr_used >= vmem->table_goal &&
	       table_of(array_end(vmem->nr_table_buckets)) < QUARRY_VMEM_NR_TABLES;
}

static void grow_table(struct quarry_vmem *vmem)
{
	unsigned int first = READ_ONCE(vmem->nr_table_buckets);
	void *array = quarry_backend_take(vmem->backend, array_bytes(first));
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	if (!array) {
		vmem->table_goal = 2 * vmem->nr_used;
	} else if (first == vmem->nr_table_buckets) {
		vmem->table_ranges |= BIT(table_of(first));
		add_array(vmem, array, array_end(first));
		array = NULL;
	}
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (array)
		quarry_backend_give(vmem->backend, array, array_bytes(first));
}

/* Give back the last array; false if the table needs it, or begins to come near it. */
static bool shrink_table(struct quarry_vmem *vmem)
{
	unsigned int first;
	void *array = NULL;
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	first = last_array(vmem);
	if (first && vmem->nr_buckets <= first / 2)
		array = drop_array(vmem, first);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (array)
		quarry_backend_give(vmem->backend, array, array_bytes(first));
	return array;
}

/* ---- Fetching and giving back ---- */

/* Fetch a page of tags; false if the backend has none, or, if not @sure, isn't asked. */
static bool fetch_tags(struct quarry_vmem *vmem, bool sure)
{
	struct quarry_vmem_tag *page;
	unsigned long irq;

	if (!vmem->backend || (!sure && quarry_inject(QUARRY_INJECT_VMEM_TAGS, PAGE_BYTES)))
		return false;
	page = quarry_backend_take(vmem->backend, PAGE_BYTES);
	if (!page)
		return false;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	page->link = vmem->pages;
	vmem->pages = page;
	add_tags(vmem, (void *)page + QUARRY_VMEM_TAG_SIZE, PAGE_BYTES - QUARRY_VMEM_TAG_SIZE);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);
	return true;
}

/*
 * Fetch what is missing, with no lock held. Whoever calls this found fewer free
 * tags than the reserve. Returns false if no tags could be had.
 */
noinline bool __quarry_vmem_tend(struct quarry_vmem *vmem, bool sure)
{
	bool grow, tags;
	unsigned long irq;

	raw_spin_lock_irqsave(&vmem->lock, irq);
	grow = wants_array(vmem);
	if (!vmem->broken)
		vmem->tag_reserve = QUARRY_VMEM_TAGS_MAX;
	tags = vmem->nr_free_tags < QUARRY_VMEM_TAGS_MAX;
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	if (grow)
		grow_table(vmem);
	else
		while (shrink_table(vmem))
			;
	return !tags || fetch_tags(vmem, sure);
}

/*
 * Use the memory that the arena was given: up to a ninth for buckets, so that there
 * is one for each tag, and tags. False if there isn't room for one span.
 */
bool __quarry_vmem_give_memory(struct quarry_vmem *vmem, void *memory, size_t size)
{
	void *start = PTR_ALIGN(memory, sizeof(u64));
	size_t nr, end;

	if (!memory || size < (size_t)(start - memory))
		return !size;
	size -= start - memory;

	nr = min_t(size_t, size / (QUARRY_VMEM_TAG_SIZE + sizeof(long)), INT_MAX / 2);
	end = nr ? rounddown_pow_of_two(nr) : 0;
	if (end > QUARRY_VMEM_NR_BUCKETS) {
		size_t bytes = ALIGN((end - QUARRY_VMEM_NR_BUCKETS) * sizeof(long), sizeof(u64));

		add_array(vmem, start, end);
		start += bytes;
		size -= bytes;
	}
	return add_tags(vmem, start, size) >= QUARRY_VMEM_TAGS_SPAN;
}

/* Give all memory back to the backend; the arena is at its end. */
void __quarry_vmem_give_back(struct quarry_vmem *vmem)
{
	struct quarry_vmem_tag *page = vmem->pages;
	unsigned int first;

	while ((first = last_array(vmem)))
		quarry_backend_give(vmem->backend, drop_array(vmem, first), array_bytes(first));
	while (page) {
		struct quarry_vmem_tag *next = page->link;

		quarry_backend_give(vmem->backend, page, PAGE_BYTES);
		page = next;
	}
	vmem->pages = NULL;
	vmem->free_tags = NULL;
	vmem->nr_free_tags = 0;
	vmem->nr_tags = 0;
}

/**
 * quarry_vmem_reserve_tags() - see to it that there are tags to come
 * @vmem: the arena
 * @nr: how many
 *
 * An allocation takes up to QUARRY_VMEM_TAGS_ALLOC: of the tags it finds, so
 * that with 2 * n of them, and nobody else at it, n allocations don't fail for want
 * of tags.
 *
 * Context: any but NMI. O(@nr).
 * Return: 0; -ENOMEM if the backend has no memory; there may be more than before.
 */
int quarry_vmem_reserve_tags(struct quarry_vmem *vmem, unsigned int nr)
{
	while (READ_ONCE(vmem->nr_free_tags) < nr)
		if (!fetch_tags(vmem, false))
			return -ENOMEM;
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_vmem_reserve_tags);
