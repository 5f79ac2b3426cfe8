/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_VMEM_HELPERS_H
#define QUARRY_KUNIT_VMEM_HELPERS_H

#include "../lib/vmem.h"
#include "helpers.h"

/*
 * The arena that most tests work in: 64 quanta of 16, at an address that is a
 * multiple of nothing but powers of two, far from 0.
 */
#define QUANTUM		16ULL
#define NR_QUANTA	64
#define VBASE		BIT_ULL(40)
#define QUANTA(n)	((u64)(n) * QUANTUM)
#define VAT(n)		(VBASE + QUANTA(n))

#define FIRST		QUARRY_VMEM_FIRSTFIT
#define BEST		QUARRY_VMEM_BESTFIT
#define NEXT		QUARRY_VMEM_NEXTFIT

/* As many segments as the walk of a test remembers. */
#define QTEST_MAX_SEGMENTS	192

/**
 * struct qtest_vmem - an arena under test, and what it was at one moment
 * @vmem: the arena
 * @memory: its memory for tags
 * @memory_size: bytes of @memory
 * @old: the stats when qtest_vmem_remember() was called
 * @segments: what a walk found at that moment
 * @nr_segments: how many
 */
struct qtest_vmem {
	struct quarry_vmem vmem;
	void *memory;
	size_t memory_size;
	struct quarry_vmem_stats old;
	struct quarry_vmem_segment segments[QTEST_MAX_SEGMENTS];
	unsigned int nr_segments;
};

/* An arena with memory for about so many tags and no backend. */
struct qtest_vmem *qtest_vmem(struct kunit *test, u64 base, u64 size, u64 quantum,
			      unsigned int nr_tags);

/* For suites whose tests begin with NR_QUANTA free ones as test->priv. */
int qtest_vmem_init(struct kunit *test);
void qtest_vmem_exit(struct kunit *test);

struct quarry_vmem_stats qtest_vmem_stats(struct quarry_vmem *vmem);
void qtest_vmem_intact(struct kunit *test, struct quarry_vmem *vmem);
unsigned int qtest_vmem_walk(struct kunit *test, struct quarry_vmem *vmem,
			     struct quarry_vmem_segment *segments, unsigned int limit);

/* A segment where the test has no doubt that there is one; best fit. */
u64 qtest_vmem_alloc(struct kunit *test, struct quarry_vmem *vmem, u64 size);

/* Takes each quantum as a segment of its own, the lowest first. */
void qtest_vmem_fill(struct kunit *test, struct quarry_vmem *vmem);

/* Frees segments that were taken one by one. */
void qtest_vmem_free_range(struct kunit *test, struct quarry_vmem *vmem, u64 from, u64 to);

/*
 * Between the two, calls were made of which nr_misuses can't be right and
 * nr_failures found no room, and which left everything else as it was.
 */
void qtest_vmem_remember(struct kunit *test, struct qtest_vmem *space);
void qtest_vmem_unchanged(struct kunit *test, struct qtest_vmem *space, u64 nr_misuses,
			  u64 nr_failures);

/* A request without constraints. */
struct quarry_vmem_request qtest_vmem_want(u64 size, unsigned int flags);

#define EXPECT_SEGMENT(test, segment, address, bytes, what) do {	\
	const struct quarry_vmem_segment *found = (segment);		\
	struct kunit *here = (test);					\
									\
	KUNIT_EXPECT_EQ(here, found->addr, (u64)(address));		\
	KUNIT_EXPECT_EQ(here, found->size, (u64)(bytes));		\
	KUNIT_EXPECT_EQ(here, (int)found->state, (int)(what));		\
} while (0)

/* What a quantum is in a map; the others are of enum quarry_vmem_state. */
#define VMAP_NONE	0xff

/**
 * struct vmap - a map of each quantum, which says what an arena must do
 * @base: address of the first
 * @shift: log2 of the quantum
 * @nr: quanta
 * @state: what each is, VMAP_NONE if it is in no span
 * @length: quanta of the segment in use that starts there, or 0
 * @cursor: the quantum behind the last next-fit allocation
 */
struct vmap {
	u64 base;
	unsigned int shift;
	u32 nr;
	u8 *state;
	u32 *length;
	u32 cursor;
};

struct vmap *vmap_create(struct kunit *test, u64 base, u64 quantum, u32 nr);
u64 vmap_addr(const struct vmap *map, u32 quantum);
u32 vmap_index(const struct vmap *map, u64 addr);
bool vmap_is(const struct vmap *map, u32 from, u32 nr, u8 state);
u32 vmap_quanta(const struct vmap *map, u64 size);
void vmap_mark(struct vmap *map, u32 from, u32 nr, u8 state);
void vmap_clear(struct vmap *map, u32 from, u8 state);

/* What a request must be answered; *place is the quantum that best and next fit take. */
int vmap_find(const struct vmap *map, const struct quarry_vmem_request *want, u32 *place);

/* Checks an answer, and does to the map what the arena did. */
void vmap_expect(struct kunit *test, struct vmap *map, const struct quarry_vmem_request *want,
		 u8 state, int err, u64 addr);

/* Checks that a walk over the arena finds exactly what the map says, and its sums. */
void vmap_compare(struct kunit *test, const struct vmap *map, struct quarry_vmem *vmem);

#endif /* QUARRY_KUNIT_VMEM_HELPERS_H */
