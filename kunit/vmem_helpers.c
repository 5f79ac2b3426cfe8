// SPDX-License-Identifier: GPL-2.0
/*
 * What the suites of vmem share: arenas whose tags are in memory of the test's
 * own, and a map of quanta that is searched address by address.
 */
#include <linux/log2.h>
#include <linux/string.h>

#include "vmem_helpers.h"

/* ---- Arenas ---- */

struct qtest_vmem *qtest_vmem(struct kunit *test, u64 base, u64 size, u64 quantum,
			      unsigned int nr_tags)
{
	struct qtest_vmem *space = qtest_memory(test, sizeof(*space));

	space->memory_size = nr_tags * (QUARRY_VMEM_TAG_SIZE + sizeof(long));
	space->memory = qtest_memory(test, space->memory_size);
	ASSERT_OK(test, quarry_vmem_init(&space->vmem, test->name, base, size, quantum,
					 space->memory, space->memory_size, NULL));
	return space;
}

int qtest_vmem_init(struct kunit *test)
{
	test->priv = qtest_vmem(test, VBASE, QUANTA(NR_QUANTA), QUANTUM, 3 * NR_QUANTA);
	return 0;
}

void qtest_vmem_exit(struct kunit *test)
{
	struct qtest_vmem *space = test->priv;

	if (space)
		qtest_vmem_intact(test, &space->vmem);
}

struct quarry_vmem_stats qtest_vmem_stats(struct quarry_vmem *vmem)
{
	struct quarry_vmem_stats stats = {};

	quarry_vmem_stats(vmem, &stats);
	return stats;
}

void qtest_vmem_intact(struct kunit *test, struct quarry_vmem *vmem)
{
	struct quarry_fault fault = {};

	KUNIT_ASSERT_EQ_MSG(test, quarry_vmem_verify(vmem, &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
}

unsigned int qtest_vmem_walk(struct kunit *test, struct quarry_vmem *vmem,
			     struct quarry_vmem_segment *segments, unsigned int limit)
{
	unsigned int nr = 0;
	u64 addr = 0;

	memset(segments, 0, limit * sizeof(*segments));
	while (!quarry_vmem_next(vmem, addr, &segments[nr])) {
		KUNIT_ASSERT_GE(test, segments[nr].addr, addr);
		addr = segments[nr].addr + segments[nr].size;
		KUNIT_ASSERT_LT(test, ++nr, limit);
		if (!addr)
			break;
	}
	return nr;
}

u64 qtest_vmem_alloc(struct kunit *test, struct quarry_vmem *vmem, u64 size)
{
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(vmem, size, BEST, &addr));
	return addr;
}

void qtest_vmem_fill(struct kunit *test, struct quarry_vmem *vmem)
{
	int i;

	for (i = 0; i < NR_QUANTA; i++)
		KUNIT_ASSERT_EQ(test, qtest_vmem_alloc(test, vmem, QUANTUM), VAT(i));
}

void qtest_vmem_free_range(struct kunit *test, struct quarry_vmem *vmem, u64 from, u64 to)
{
	for (; from < to; from += QUANTUM)
		ASSERT_OK(test, quarry_vmem_free(vmem, from, QUANTUM));
}

struct quarry_vmem_request qtest_vmem_want(u64 size, unsigned int flags)
{
	return (struct quarry_vmem_request) {
		.size = size, .max = QUARRY_VMEM_ADDR_MAX, .flags = flags,
	};
}

/* ---- What doesn't change ---- */

void qtest_vmem_remember(struct kunit *test, struct qtest_vmem *space)
{
	quarry_vmem_stats(&space->vmem, &space->old);
	space->nr_segments = qtest_vmem_walk(test, &space->vmem, space->segments,
					     QTEST_MAX_SEGMENTS);
}

#define FIGURE(name)	{ #name, offsetof(struct quarry_vmem_stats, name) }

static const struct {
	const char *name;
	size_t offset;
} figures[] = {
	FIGURE(total), FIGURE(used), FIGURE(peak), FIGURE(imported), FIGURE(cached),
	FIGURE(largest_free), FIGURE(limit), FIGURE(nr_spans), FIGURE(nr_used),
	FIGURE(nr_free), FIGURE(nr_allocs), FIGURE(nr_frees), FIGURE(nr_imports),
	FIGURE(nr_releases), FIGURE(nr_reclaims), FIGURE(nr_waits), FIGURE(nr_waiters),
	FIGURE(nr_tags), FIGURE(nr_free_tags),
};

void qtest_vmem_unchanged(struct kunit *test, struct qtest_vmem *space, u64 nr_misuses,
			  u64 nr_failures)
{
	struct quarry_vmem_stats now = qtest_vmem_stats(&space->vmem), *old = &space->old;
	struct quarry_vmem_segment *segments = qtest_memory(test, sizeof(space->segments));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(figures); i++)
		KUNIT_EXPECT_EQ_MSG(test, *(u64 *)((u8 *)&now + figures[i].offset),
				    *(u64 *)((u8 *)old + figures[i].offset), "%s",
				    figures[i].name);
	KUNIT_EXPECT_EQ(test, memcmp(now.nr_lists, old->nr_lists, sizeof(now.nr_lists)), 0);
	KUNIT_EXPECT_EQ(test, now.nr_misuses, old->nr_misuses + nr_misuses);
	KUNIT_EXPECT_EQ(test, now.nr_failures, old->nr_failures + nr_failures);
	KUNIT_EXPECT_EQ(test, qtest_vmem_walk(test, &space->vmem, segments, QTEST_MAX_SEGMENTS),
			space->nr_segments);
	for (i = 0; i < space->nr_segments; i++)
		EXPECT_SEGMENT(test, &segments[i], space->segments[i].addr,
			       space->segments[i].size, space->segments[i].state);
	qtest_vmem_intact(test, &space->vmem);
}

/* ---- The map ---- */

struct vmap *vmap_create(struct kunit *test, u64 base, u64 quantum, u32 nr)
{
	struct vmap *map = qtest_memory(test, sizeof(*map));

	*map = (struct vmap) {
		.base = base, .shift = ilog2(quantum), .nr = nr,
		.state = qtest_memory(test, nr),
		.length = qtest_memory(test, nr * sizeof(*map->length)),
	};
	memset(map->state, QUARRY_VMEM_FREE, nr);
	memset(map->length, 0, nr * sizeof(*map->length));
	return map;
}

u64 vmap_addr(const struct vmap *map, u32 quantum)
{
	return map->base + ((u64)quantum << map->shift);
}

u32 vmap_index(const struct vmap *map, u64 addr)
{
	return (addr - map->base) >> map->shift;
}

bool vmap_is(const struct vmap *map, u32 from, u32 nr, u8 state)
{
	return from < map->nr && nr <= map->nr - from &&
	       !memchr_inv(map->state + from, state, nr);
}

/* Rounded up; 0 if that can't be. */
u32 vmap_quanta(const struct vmap *map, u64 size)
{
	u64 quantum = 1ULL << map->shift;

	return size > U64_MAX - (quantum - 1) ? 0 : (size + quantum - 1) >> map->shift;
}

void vmap_mark(struct vmap *map, u32 from, u32 nr, u8 state)
{
	memset(map->state + from, state, nr);
	map->length[from] = nr;
}

/* Ends the segment in use that starts there. */
void vmap_clear(struct vmap *map, u32 from, u8 state)
{
	memset(map->state + from, state, map->length[from]);
	map->length[from] = 0;
}

/* ---- What must be found ---- */

/* Whether the constraints allow a place, be it free or not. */
static bool allows(const struct quarry_vmem_request *want, u64 addr, u64 size)
{
	u64 last = addr + (size - 1);

	if (want->align && (addr & (want->align - 1)) != want->phase)
		return false;
	if (want->nocross && (addr & -want->nocross) != (last & -want->nocross))
		return false;
	return addr >= want->min && last <= want->max;
}

static bool is_power(u64 number)
{
	return !(number & (number - 1));
}

/* Whether there is any address that can serve; nothing new comes after those tried. */
static bool is_possible(const struct vmap *map, const struct quarry_vmem_request *want,
			u64 size)
{
	struct quarry_vmem_request anywhere = *want;
	u64 addr, quantum = 1ULL << map->shift;

	anywhere.min = 0;
	anywhere.max = U64_MAX;
	for (addr = 0; addr < max(want->align, want->nocross) + quantum; addr += quantum)
		if (allows(&anywhere, addr, size))
			return true;
	return false;
}

static bool is_valid(const struct vmap *map, const struct quarry_vmem_request *want, u64 size)
{
	unsigned int waits = QUARRY_VMEM_WAIT | QUARRY_VMEM_NOWAIT;

	if (!size || hweight32(want->flags & QUARRY_VMEM_STRATEGIES) != 1)
		return false;
	if (want->flags & ~QUARRY_VMEM_FLAGS || (want->flags & waits) == waits)
		return false;
	if (!is_power(want->align) || !is_power(want->nocross))
		return false;
	if (want->phase && want->phase >= want->align)
		return false;
	if (want->phase & ((1ULL << map->shift) - 1))
		return false;
	if (want->nocross && want->nocross < size)
		return false;
	return want->min <= want->max && is_possible(map, want, size);
}

static u32 end_of_run(const struct vmap *map, u32 from)
{
	while (from < map->nr && map->state[from] == QUARRY_VMEM_FREE)
		from++;
	return from;
}

/* The lowest place between two quanta that all are free, or U32_MAX. */
static u32 lowest_in(const struct vmap *map, const struct quarry_vmem_request *want, u32 from,
		     u32 end)
{
	u32 quanta = vmap_quanta(map, want->size);

	for (; from + quanta <= end; from++)
		if (allows(want, vmap_addr(map, from), (u64)quanta << map->shift))
			return from;
	return U32_MAX;
}

/* The lowest place in the smallest run that has one. */
static u32 best_place(const struct vmap *map, const struct quarry_vmem_request *want)
{
	u32 i, end, place, length = U32_MAX, best = U32_MAX;

	for (i = 0; i < map->nr; i = end + 1) {
		end = end_of_run(map, i);
		place = lowest_in(map, want, i, end);
		if (place != U32_MAX && end - i < length) {
			length = end - i;
			best = place;
		}
	}
	return best;
}

/* The lowest place that doesn't begin before a quantum. */
static u32 place_from(const struct vmap *map, const struct quarry_vmem_request *want, u32 from)
{
	u32 end, place = U32_MAX;

	for (; from < map->nr && place == U32_MAX; from = end + 1) {
		end = end_of_run(map, from);
		place = lowest_in(map, want, from, end);
	}
	return place;
}

int vmap_find(const struct vmap *map, const struct quarry_vmem_request *want, u32 *place)
{
	u64 size = (u64)vmap_quanta(map, want->size) << map->shift;

	if (!is_valid(map, want, size))
		return -EINVAL;
	if (want->flags & NEXT) {
		*place = place_from(map, want, map->cursor);
		if (*place == U32_MAX)
			*place = place_from(map, want, 0);
	} else {
		*place = best_place(map, want);
	}
	return *place == U32_MAX ? -ENOSPC : 0;
}

/* Whether it is free, allowed, and no lower place in the same run is. */
static bool is_lowest(const struct vmap *map, const struct quarry_vmem_request *want, u32 place)
{
	u32 from = place;

	while (from && map->state[from - 1] == QUARRY_VMEM_FREE)
		from--;
	return place < map->nr && lowest_in(map, want, from, end_of_run(map, from)) == place;
}

void vmap_expect(struct kunit *test, struct vmap *map, const struct quarry_vmem_request *want,
		 u8 state, int err, u64 addr)
{
	u32 place = 0, found = vmap_index(map, addr);

	KUNIT_ASSERT_EQ_MSG(test, err, vmap_find(map, want, &place),
			    "size %llu align %llu phase %llu nocross %llu flags %u",
			    want->size, want->align, want->phase, want->nocross, want->flags);
	if (err)
		return;
	KUNIT_ASSERT_EQ(test, addr, vmap_addr(map, found));
	if (want->flags & FIRST)
		KUNIT_ASSERT_TRUE(test, is_lowest(map, want, found));
	else
		KUNIT_ASSERT_EQ(test, found, place);
	vmap_mark(map, found, vmap_quanta(map, want->size), state);
	if (want->flags & NEXT)
		map->cursor = found + map->length[found];
}

/* ---- What must be there ---- */

/* The end of the segment that begins at a quantum. */
static u32 end_of_segment(const struct vmap *map, u32 from)
{
	return map->state[from] == QUARRY_VMEM_FREE ? end_of_run(map, from) :
						      from + map->length[from];
}

static void compare_sums(struct kunit *test, const struct vmap *map,
			 const struct quarry_vmem_stats *stats)
{
	u32 i, end, used = 0, total = 0, largest = 0;

	for (i = 0; i < map->nr; i++) {
		used += map->state[i] == QUARRY_VMEM_USED || map->state[i] == QUARRY_VMEM_XUSED;
		total += map->state[i] != VMAP_NONE;
	}
	for (i = 0; i < map->nr; i = end + 1) {
		end = end_of_run(map, i);
		largest = max(largest, end - i);
	}
	KUNIT_ASSERT_EQ(test, stats->used, (u64)used << map->shift);
	KUNIT_ASSERT_EQ(test, stats->total, (u64)total << map->shift);
	KUNIT_ASSERT_EQ(test, stats->largest_free, (u64)largest << map->shift);
}

void vmap_compare(struct kunit *test, const struct vmap *map, struct quarry_vmem *vmem)
{
	struct quarry_vmem_stats stats = qtest_vmem_stats(vmem);
	struct quarry_vmem_segment segment = {};
	u64 nr = 0;
	u32 i = 0;

	while (i < map->nr) {
		if (map->state[i] == VMAP_NONE) {
			i++;
			continue;
		}
		ASSERT_OK(test, quarry_vmem_next(vmem, vmap_addr(map, i), &segment));
		KUNIT_ASSERT_EQ(test, segment.addr, vmap_addr(map, i));
		KUNIT_ASSERT_EQ(test, (u8)segment.state, map->state[i]);
		KUNIT_ASSERT_EQ(test, segment.size,
				(u64)(end_of_segment(map, i) - i) << map->shift);
		i = end_of_segment(map, i);
		nr++;
	}
	KUNIT_ASSERT_EQ(test, stats.nr_used + stats.nr_free, nr);
	compare_sums(test, map, &stats);
	qtest_vmem_intact(test, vmem);
}
