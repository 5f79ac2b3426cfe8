/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_RESERVE_H
#define QUARRY_RESERVE_H

#include <linux/types.h>

#define QUARRY_SOURCE_NAMES	"auto, contig, pages, phys or vmalloc"

/**
 * enum quarry_source - where a region comes from
 * @QUARRY_SOURCE_AUTO: the first of contig, pages and vmalloc that can give it
 * @QUARRY_SOURCE_CONTIG: a range of page frames that the kernel clears for us
 * @QUARRY_SOURCE_PAGES: one block of the kernel's page allocator
 * @QUARRY_SOURCE_PHYS: a physical range that the user kept from the kernel
 * @QUARRY_SOURCE_VMALLOC: single pages, contiguous only where they are mapped
 * @QUARRY_NR_SOURCES: how many there are
 */
enum quarry_source {
	QUARRY_SOURCE_AUTO,
	QUARRY_SOURCE_CONTIG,
	QUARRY_SOURCE_PAGES,
	QUARRY_SOURCE_PHYS,
	QUARRY_SOURCE_VMALLOC,
	QUARRY_NR_SOURCES,
};

/**
 * struct quarry_reserve_request - the region that is wanted
 * @source: where it is to come from
 * @size: bytes, a multiple of the page size
 * @phys: for %QUARRY_SOURCE_PHYS, where it starts, page aligned
 * @node: all of it is to be on this node; NUMA_NO_NODE if any will do
 */
struct quarry_reserve_request {
	enum quarry_source source;
	size_t size;
	phys_addr_t phys;
	int node;
};

/**
 * struct quarry_reservation - a region taken from the host, mapped and zeroed
 * @base: where it is mapped, page aligned
 * @size: bytes
 * @phys: its physical address; 0 from vmalloc, which has more than one
 * @node: the node that all of it is on, NUMA_NO_NODE if that isn't known
 * @source: where it came from, never %QUARRY_SOURCE_AUTO
 * @why: after a failure, what stood in the way
 */
struct quarry_reservation {
	void *base;
	size_t size;
	phys_addr_t phys;
	int node;
	enum quarry_source source;
	char why[128];
};

int quarry_source_parse(const char *name, enum quarry_source *source);
const char *quarry_source_name(enum quarry_source source);

int quarry_reserve(struct quarry_reservation *got, const struct quarry_reserve_request *want);
void quarry_unreserve(struct quarry_reservation *got);

#endif /* QUARRY_RESERVE_H */
