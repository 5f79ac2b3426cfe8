// SPDX-License-Identifier: GPL-2.0
/*
 * Reservations: one contiguous region of memory, taken from the host kernel once.
 *
 * Each source is a row of a table: take() gets the memory and says where it is
 * mapped, give_back() returns it. What every source owes its caller is the same:
 * mapped for the kernel, page aligned, zeroed (so that nothing of the previous
 * owner is left in it), all on the node that was asked for, and on failure the
 * machine as it was, with one line that tells what stood in the way.
 *
 * The search for a range of page frames is the only part that may take long. It
 * is bounded twice: it looks at every page frame no more than about twice, as a
 * candidate starts behind everything that was in the way of the one before, and
 * it asks the kernel to clear a range at most CONTIG_TRIES times.
 *
 * Nothing here takes a lock, and all of it may sleep.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "reserve.h"

/* Neither kill another process for a region nor fill the log when there is none. */
#define GFP_RESERVE	(GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

static __printf(3, 4) int refuse(struct quarry_reservation *got, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(got->why, sizeof(got->why), fmt, args);
	va_end(args);
	return err;
}

static int __maybe_unused take_unsupported(const struct quarry_reserve_request *want,
					   struct quarry_reservation *got)
{
	return refuse(got, -EOPNOTSUPP, "this kernel is built without what it needs");
}

/* Node 0 is a node too, so a request for it must not fall back to others. */
static gfp_t node_gfp(const struct quarry_reserve_request *want)
{
	return want->node == NUMA_NO_NODE ? GFP_RESERVE : GFP_RESERVE | __GFP_THISNODE;
}

static void mapped_directly(struct quarry_reservation *got, struct page *first)
{
	got->base = page_address(first);
	got->phys = page_to_phys(first);
	got->node = page_to_nid(first);
}

#ifdef CONFIG_CONTIG_ALLOC

#define CONTIG_TRIES	64

/**
 * struct contig_search - a search for a range of page frames
 * @node: where to search, NUMA_NO_NODE for everywhere
 * @nr_pages: how many
 * @nr_tries: how often the kernel couldn't clear a range that looked good
 * @first: the first page frame of the range that was found and is ours
 */
struct contig_search {
	int node;
	unsigned long nr_pages;
	unsigned int nr_tries;
	unsigned long first;
};

/*
 * Candidates lie a page block apart at first; every eight failures double that,
 * so that few tries are spent on a stretch that looks free but isn't.
 */
static unsigned long contig_stride(unsigned int nr_tries)
{
	return (unsigned long)pageblock_nr_pages << (nr_tries / 8);
}

/*
 * Whether the page is free, or holds something that the kernel knows how to move.
 * Asking for any other only costs time: the kernel would refuse it as well. What
 * races with this only makes a try fail.
 */
static bool contig_page_fits(const struct zone *zone, unsigned long pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	if (!page || page_zone(page) != zone || PageReserved(page))
		return false;
	if (PageCompound(page) || page_ref_count(page))
		return PageLRU(page);
	return true;
}

/*
 * Returns where a candidate that starts at @start can start at the earliest.
 * Looks from the end, so as to skip all that is in the way at once.
 */
static unsigned long contig_next_start(const struct zone *zone, unsigned long start,
				       unsigned long nr_pages)
{
	unsigned long pfn;

	for (pfn = start + nr_pages; pfn > start; pfn--) {
		if (!contig_page_fits(zone, pfn - 1))
			break;
		if (!(pfn % pageblock_nr_pages))
			cond_resched();
	}
	return pfn;
}

static int contig_search_zone(struct contig_search *search, const struct zone *zone)
{
	unsigned long start = zone->zone_start_pfn;
	unsigned long next, nr_pages = search->nr_pages;
	int err;

	for (; start + nr_pages <= zone_end_pfn(zone); start = next) {
		next = ALIGN(contig_next_start(zone, start, nr_pages), pageblock_nr_pages);
		if (next != start)
			continue;
		if (search->nr_tries == CONTIG_TRIES)
			break;
		search->first = start;
		err = alloc_contig_range(start, start + nr_pages, ACR_FLAGS_NONE, GFP_RESERVE);
		if (!err || err == -EINTR)
			return err;
		next = start + contig_stride(search->nr_tries++);
	}
	return -ENOMEM;
}

/* The scarcer the kind of memory, the later it is tried. */
static int contig_search_node(struct contig_search *search, int node)
{
	int i, err = -ENOMEM;

	for (i = ZONE_NORMAL; i >= 0 && err == -ENOMEM; i--)
		err = contig_search_zone(search, &NODE_DATA(node)->node_zones[i]);
	return err;
}

static int contig_search(struct contig_search *search)
{
	int node, err = -ENOMEM;

	for_each_node_state(node, N_MEMORY) {
		if (search->node == NUMA_NO_NODE || search->node == node)
			err = contig_search_node(search, node);
		if (err != -ENOMEM)
			break;
	}
	return err;
}

/*
 * A page that was just filled waits in a batch of its CPU for its place on an LRU
 * list, and can't be moved until it has it. A few of these spoil every range. The
 * kernel empties all batches whenever it clears a range, so have it clear a small
 * one.
 */
static bool contig_settle(int node)
{
	struct contig_search search = { .node = node, .nr_pages = pageblock_nr_pages };

	if (contig_search(&search))
		return false;
	free_contig_range(search.first, search.nr_pages);
	return true;
}

static int contig_take(const struct quarry_reserve_request *want, struct quarry_reservation *got)
{
	struct contig_search search = {
		.node = want->node,
		.nr_pages = want->size >> PAGE_SHIFT,
	};
	int err = contig_search(&search);

	if (err == -ENOMEM && contig_settle(want->node))
		err = contig_search(&search);
	if (err)
		return refuse(got, err, "no such range of page frames can be cleared");
	mapped_directly(got, pfn_to_page(search.first));
	return 0;
}

static void contig_give_back(struct quarry_reservation *got)
{
	free_contig_range(PHYS_PFN(got->phys), got->size >> PAGE_SHIFT);
}

#else
#define contig_take		take_unsupported
#define contig_give_back	NULL
#endif /* CONFIG_CONTIG_ALLOC */

/* alloc_pages_exact() with a node; modules can't have alloc_pages_exact_nid(). */
static int pages_take(const struct quarry_reserve_request *want, struct quarry_reservation *got)
{
	unsigned int order = get_order(want->size);
	struct page *first;

	if (want->size >> PAGE_SHIFT > MAX_ORDER_NR_PAGES)
		return refuse(got, -ENOMEM, "the kernel's largest block is %lu MiB",
			      (MAX_ORDER_NR_PAGES * PAGE_SIZE) / SZ_1M);
	first = alloc_pages_node(want->node, node_gfp(want), order);
	if (!first)
		return refuse(got, -ENOMEM, "the kernel has no free block of that size");
	split_page(first, order);
	mapped_directly(got, first);
	free_pages_exact(got->base + want->size, (PAGE_SIZE << order) - want->size);
	return 0;
}

static void pages_give_back(struct quarry_reservation *got)
{
	free_pages_exact(got->base, got->size);
}

#ifdef CONFIG_HAS_IOMEM

/*
 * A range with nothing behind it can be claimed and mapped like any other, but
 * doesn't remember; say so now, before metadata is kept there.
 */
static bool phys_remembers(void *base, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += PAGE_SIZE) {
		WRITE_ONCE(*(size_t *)(base + at), ~at);
		cond_resched();
	}
	mb(); /* All of it is written before any is read back. */
	for (at = 0; at < size; at += PAGE_SIZE) {
		if (READ_ONCE(*(size_t *)(base + at)) != ~at)
			return false;
		cond_resched();
	}
	return true;
}

static int phys_map(const struct quarry_reserve_request *want, struct quarry_reservation *got)
{
	got->base = memremap(want->phys, want->size, MEMREMAP_WB);
	if (!got->base)
		return refuse(got, -ENOMEM, "the range can't be mapped");
	if (!phys_remembers(got->base, want->size)) {
		memunmap(got->base);
		return refuse(got, -ENXIO, "there is no memory in all of the range");
	}
	got->phys = want->phys;
	return 0;
}

static int phys_take(const struct quarry_reserve_request *want, struct quarry_reservation *got)
{
	int err;

	if (want->phys > iomem_resource.end || want->size - 1 > iomem_resource.end - want->phys)
		return refuse(got, -EINVAL, "the range ends behind the last physical address");
	if (region_intersects(want->phys, want->size, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT)
		return refuse(got, -EBUSY,
			      "the kernel uses memory there; keep it away with memmap=%zuM$%pa",
			      want->size / SZ_1M, &want->phys);
	if (!request_mem_region(want->phys, want->size, "quarry"))
		return refuse(got, -EBUSY, "a driver has part of the range, see /proc/iomem");
	err = phys_map(want, got);
	if (err)
		release_mem_region(want->phys, want->size);
	return err;
}

static void phys_give_back(struct quarry_reservation *got)
{
	memunmap(got->base);
	release_mem_region(got->phys, got->size);
}

#else
#define phys_take	take_unsupported
#define phys_give_back	NULL
#endif /* CONFIG_HAS_IOMEM */

static void vmalloc_free_pages(struct page **pages, size_t nr_pages)
{
	while (nr_pages--)
		__free_page(pages[nr_pages]);
	kvfree(pages);
}

static struct page **vmalloc_take_pages(const struct quarry_reserve_request *want)
{
	size_t i, nr_pages = want->size >> PAGE_SHIFT;
	struct page **pages = kvmalloc_array(nr_pages, sizeof(*pages), GFP_RESERVE);

	if (!pages)
		return NULL;
	for (i = 0; i < nr_pages; i++) {
		pages[i] = alloc_pages_node(want->node, node_gfp(want) | __GFP_HIGHMEM, 0);
		if (!pages[i]) {
			vmalloc_free_pages(pages, i);
			return NULL;
		}
		cond_resched();
	}
	return pages;
}

/*
 * vmalloc() by hand: the real one calls the OOM killer, fills the log when it
 * fails, and takes a node for no more than a hint.
 */
static int vmalloc_take(const struct quarry_reserve_request *want, struct quarry_reservation *got)
{
	size_t nr_pages = want->size >> PAGE_SHIFT;
	struct page **pages = vmalloc_take_pages(want);

	if (!pages)
		return refuse(got, -ENOMEM, "the kernel has not so many free pages");
	got->base = vmap(pages, nr_pages, VM_MAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	if (!got->base) {
		vmalloc_free_pages(pages, nr_pages);
		return refuse(got, -ENOMEM, "no room to map it");
	}
	got->node = want->node;
	return 0;
}

static void vmalloc_give_back(struct quarry_reservation *got)
{
	vfree(got->base);
}

static const struct {
	const char *name;
	int (*take)(const struct quarry_reserve_request *want, struct quarry_reservation *got);
	void (*give_back)(struct quarry_reservation *got);
} sources[] = {
	[QUARRY_SOURCE_AUTO]	= { "auto" },
	[QUARRY_SOURCE_CONTIG]	= { "contig", contig_take, contig_give_back },
	[QUARRY_SOURCE_PAGES]	= { "pages", pages_take, pages_give_back },
	[QUARRY_SOURCE_PHYS]	= { "phys", phys_take, phys_give_back },
	[QUARRY_SOURCE_VMALLOC]	= { "vmalloc", vmalloc_take, vmalloc_give_back },
};

static_assert(ARRAY_SIZE(sources) == QUARRY_NR_SOURCES);

/**
 * quarry_source_parse() - find a source by its name
 * @name: one of QUARRY_SOURCE_NAMES
 * @source: where to put it
 *
 * Return: 0, or -EINVAL when there is no such source.
 */
int quarry_source_parse(const char *name, enum quarry_source *source)
{
	unsigned int i;

	for (i = 0; i < QUARRY_NR_SOURCES; i++) {
		if (!strcmp(name, sources[i].name)) {
			*source = i;
			return 0;
		}
	}
	return -EINVAL;
}

/**
 * quarry_source_name() - what quarry_source_parse() calls a source
 * @source: the source
 *
 * Return: a constant string.
 */
const char *quarry_source_name(enum quarry_source source)
{
	return sources[source].name;
}

static int take_from(enum quarry_source source, const struct quarry_reserve_request *want,
		     struct quarry_reservation *got)
{
	got->source = source;
	return sources[source].take(want, got);
}

static int take_from_first(const struct quarry_reserve_request *want,
			   struct quarry_reservation *got)
{
	int err = take_from(QUARRY_SOURCE_CONTIG, want, got);

	if (err && err != -EINTR)
		err = take_from(QUARRY_SOURCE_PAGES, want, got);
	if (err && err != -EINTR)
		err = take_from(QUARRY_SOURCE_VMALLOC, want, got);
	return err;
}

/* Trying for more than can be had would only push out what others keep in memory. */
static int take(const struct quarry_reserve_request *want, struct quarry_reservation *got)
{
	unsigned long available = max(si_mem_available(), 0L);

	if (want->source == QUARRY_SOURCE_PHYS)
		return take_from(QUARRY_SOURCE_PHYS, want, got);
	if (want->size >> PAGE_SHIFT > available)
		return refuse(got, -ENOMEM, "only %lu MiB of memory are available",
			      available >> (20 - PAGE_SHIFT));
	if (want->source == QUARRY_SOURCE_AUTO)
		return take_from_first(want, got);
	return take_from(want->source, want, got);
}

static void zero(void *base, size_t size)
{
	size_t at, step;

	for (at = 0; at < size; at += step) {
		step = min_t(size_t, size - at, SZ_1M);
		memset(base + at, 0, step);
		cond_resched();
	}
}

/**
 * quarry_reserve() - take a region from the host kernel
 * @got: the reservation to fill in
 * @want: what it is to be
 *
 * Context: may sleep, for some seconds where memory has to be moved.
 * Return: 0; -ENOMEM when the source has not so much; -EINVAL when @want->phys is
 * no physical address of this machine, -EBUSY when memory there is in use, -ENXIO
 * when there is none; -EOPNOTSUPP when this kernel doesn't have the source; -EINTR
 * when the caller was killed meanwhile. Then @got->why tells more and nothing is
 * taken.
 */
int quarry_reserve(struct quarry_reservation *got, const struct quarry_reserve_request *want)
{
	int err;

	*got = (struct quarry_reservation){ .size = want->size, .node = NUMA_NO_NODE };
	err = take(want, got);
	if (err) {
		got->base = NULL;
		return err;
	}
	zero(got->base, got->size);
	return 0;
}

/**
 * quarry_unreserve() - give a region back to the host kernel
 * @got: what quarry_reserve() filled in
 *
 * Context: may sleep.
 */
void quarry_unreserve(struct quarry_reservation *got)
{
	sources[got->source].give_back(got);
	got->base = NULL;
}
