// SPDX-License-Identifier: GPL-2.0
/*
 * Injected failures: that they come when the settings say, and that nothing is lost
 * when they do. For the second, each point of each allocator fails at the first call
 * of a script, then at the second, and so on until there is no such call.
 */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "../lib/heap.h"
#include "../lib/inject.h"
#include "../lib/malloc.h"
#include "../lib/qcache.h"
#include "../lib/vmem.h"
#include "../lib/zone.h"
#include "backing.h"

#define SPACE_PAGES	256
#define TAGS_SIZE	640
#define NR_STEPS	160
#define NR_SLOTS	24

/**
 * struct world - memory, and the allocator in it that a script is played on
 * @test: the test
 * @backing: the memory
 * @nr_refused: allocations of the script that failed
 *
 * One of the allocators, or two, where one stands on the other.
 */
struct world {
	struct kunit *test;
	struct qtest_backing *backing;
	u64 nr_refused;
	/* private: */
	struct quarry_slab slab;
	struct quarry_cache cache;
	struct quarry_zone zone;
	struct quarry_heap heap;
	struct quarry_vmem vmem;
	struct quarry_qcaches qcaches;
	struct quarry_malloc malloc;
	u64 tags[TAGS_SIZE / sizeof(u64)];
};

static void set(struct kunit *test, enum quarry_inject_point point,
		struct quarry_inject_settings settings)
{
	ASSERT_OK(test, quarry_inject_set(point, &settings));
}

static int world_init(struct kunit *test)
{
	struct world *world = qtest_aligned_memory(test, sizeof(*world), SMP_CACHE_BYTES);

	quarry_inject_reset();
	world->test = test;
	world->backing = qtest_backing(test, PAGES(SPACE_PAGES), PAGES(SPACE_PAGES), PAGE);
	test->priv = world;
	return 0;
}

static void world_exit(struct kunit *test)
{
	struct world *world = test->priv;

	quarry_inject_reset();
	if (world)
		qtest_backing_close(test, world->backing);
}

/* ---- Allocators ---- */

/**
 * struct subject - an allocator, as the script knows it
 * @start: make it
 * @alloc: an address, or 0
 * @free: back with it
 * @nr_failures: what it has counted
 * @stop: find it intact, and end it
 * @max_size: that the script asks for
 * @mapped: its addresses are those of memory
 */
struct subject {
	void (*start)(struct world *world);
	u64 (*alloc)(struct world *world, size_t size);
	int (*free)(struct world *world, u64 addr, size_t size);
	u64 (*nr_failures)(struct world *world);
	void (*stop)(struct world *world);
	size_t max_size;
	bool mapped;
};

/* The buddy is that of the backing, and stays. */
static void start_buddy(struct world *world)
{
	quarry_buddy_set_move(&world->backing->buddy, quarry_buddy_move_memory, NULL);
}

/* In three ways by turns, of which the last lets a block grow. */
static u64 alloc_buddy(struct world *world, size_t size)
{
	struct quarry_buddy_request request = { .size = size, .max = U64_MAX, .align = PAGES(2) };
	struct quarry_buddy *buddy = &world->backing->buddy;
	struct quarry_buddy_block block, old;

	if (size % 3 == 0)
		return quarry_buddy_alloc(buddy, size, 0, &block) ? 0 : block.addr;
	if (size % 3 == 1)
		return quarry_buddy_xalloc(buddy, &request, &block) ? 0 : block.addr;
	if (quarry_buddy_alloc(buddy, 1, 0, &old))
		return 0;
	if (!quarry_buddy_realloc(buddy, old.addr, size, 0, &block))
		return block.addr;
	EXPECT_OK(world->test, quarry_buddy_free(buddy, old.addr));
	return 0;
}

static int free_buddy(struct world *world, u64 addr, size_t size)
{
	return quarry_buddy_free(&world->backing->buddy, addr);
}

static u64 failures_of_buddy(struct world *world)
{
	struct quarry_buddy_stats stats;

	quarry_buddy_stats(&world->backing->buddy, &stats);
	return stats.nr_failures;
}

static void stop_buddy(struct world *world)
{
	qtest_intact(world->test, &world->backing->buddy);
}

static void start_slab(struct world *world)
{
	const struct quarry_slab_config config = {
		.name = "inject",
		.object_size = 500,
		.backend = &world->backing->backend,
	};

	ASSERT_OK(world->test, quarry_slab_init(&world->slab, &config));
}

static u64 alloc_slab(struct world *world, size_t size)
{
	void *object = NULL;

	if (size % 2)
		return (unsigned long)quarry_slab_alloc(&world->slab, 0);
	quarry_slab_alloc_bulk(&world->slab, 0, 1, &object);
	return (unsigned long)object;
}

static int free_slab(struct world *world, u64 addr, size_t size)
{
	return quarry_slab_free(&world->slab, (void *)(unsigned long)addr);
}

static u64 failures_of_slab(struct world *world)
{
	return qtest_slab_stats(&world->slab).nr_failures;
}

static void stop_slab(struct world *world)
{
	struct quarry_slab_stats stats = qtest_slab_stats(&world->slab);

	qtest_slab_intact(world->test, &world->slab);
	KUNIT_EXPECT_EQ(world->test, stats.nr_allocs, stats.nr_frees);
	EXPECT_OK(world->test, quarry_slab_fini(&world->slab, false, NULL));
}

static void start_cache_with(struct world *world, unsigned int flags)
{
	const struct quarry_cache_config config = {
		.slab = {
			.name = "inject",
			.object_size = 500,
			.backend = &world->backing->backend,
		},
		.flags = flags,
		.magazine_max = 4,
	};

	ASSERT_OK(world->test, quarry_cache_init(&world->cache, &config));
}

static void start_cache(struct world *world)
{
	start_cache_with(world, 0);
}

static void start_debug_cache(struct world *world)
{
	start_cache_with(world, QUARRY_CACHE_DEBUG);
}

static u64 alloc_cache(struct world *world, size_t size)
{
	void *object = NULL;

	if (size % 2)
		return (unsigned long)quarry_cache_alloc(&world->cache, 0);
	quarry_cache_alloc_bulk(&world->cache, 0, 1, &object);
	return (unsigned long)object;
}

static int free_cache(struct world *world, u64 addr, size_t size)
{
	return quarry_cache_free(&world->cache, (void *)(unsigned long)addr);
}

static u64 failures_of_cache(struct world *world)
{
	struct quarry_cache_stats stats;

	quarry_cache_stats(&world->cache, &stats);
	return stats.nr_failures;
}

static void stop_cache(struct world *world)
{
	EXPECT_OK(world->test, quarry_cache_verify(&world->cache, NULL));
	EXPECT_OK(world->test, quarry_cache_fini(&world->cache, false, NULL));
}

static void start_zone(struct world *world)
{
	const struct quarry_zone_config config = {
		.name = "inject",
		.backend = &world->backing->backend,
	};

	ASSERT_OK(world->test, quarry_zone_init(&world->zone, &config));
}

static u64 alloc_zone(struct world *world, size_t size)
{
	return (unsigned long)quarry_zone_alloc(&world->zone, size, 0, 0);
}

static int free_zone(struct world *world, u64 addr, size_t size)
{
	return quarry_zone_free(&world->zone, (void *)(unsigned long)addr);
}

static u64 failures_of_zone(struct world *world)
{
	struct quarry_zone_stats stats;

	quarry_zone_stats(&world->zone, &stats);
	return stats.nr_failures;
}

static void stop_zone(struct world *world)
{
	struct quarry_zone_stats stats;

	quarry_zone_stats(&world->zone, &stats);
	KUNIT_EXPECT_EQ(world->test, stats.nr_allocs, stats.nr_frees);
	EXPECT_OK(world->test, quarry_zone_verify(&world->zone, NULL));
	EXPECT_OK(world->test, quarry_zone_fini(&world->zone, false, NULL));
}

static void start_heap(struct world *world)
{
	ASSERT_OK(world->test, quarry_heap_init(&world->heap, "inject", NULL, 0, 512));
	ASSERT_OK(world->test, quarry_heap_set_backend(&world->heap, &world->backing->backend,
						       PAGES(2), 0));
}

static void start_cached_heap(struct world *world)
{
	start_heap(world);
	ASSERT_OK(world->test, quarry_heap_set_caching(&world->heap, 512));
}

/* In three ways by turns, of which the last lets a block grow. */
static u64 alloc_heap(struct world *world, size_t size)
{
	struct quarry_heap *heap = &world->heap;
	void *old, *block;

	if (size % 3 == 0)
		return (unsigned long)quarry_heap_alloc(heap, size);
	if (size % 3 == 1)
		return (unsigned long)quarry_heap_alloc_aligned(heap, size, 64);
	old = quarry_heap_alloc(heap, 1);
	block = old ? quarry_heap_realloc(heap, old, size) : NULL;
	if (!block)
		EXPECT_OK(world->test, quarry_heap_free(heap, old));
	return (unsigned long)block;
}

static int free_heap(struct world *world, u64 addr, size_t size)
{
	return quarry_heap_free(&world->heap, (void *)(unsigned long)addr);
}

static u64 failures_of_heap(struct world *world)
{
	struct quarry_heap_stats stats;

	quarry_heap_stats(&world->heap, &stats);
	return stats.nr_failures;
}

static void stop_heap(struct world *world)
{
	EXPECT_OK(world->test, quarry_heap_verify(&world->heap, NULL));
	EXPECT_OK(world->test, quarry_heap_fini(&world->heap, NULL));
}

static void start_vmem(struct world *world)
{
	struct quarry_vmem *vmem = &world->vmem;

	ASSERT_OK(world->test, quarry_vmem_init(vmem, "inject", 0, 0, 64, world->tags,
						sizeof(world->tags),
						&world->backing->backend));
	ASSERT_OK(world->test, quarry_vmem_set_import(vmem, quarry_vmem_import_buddy,
						      quarry_vmem_release_buddy,
						      &world->backing->buddy, PAGES(2)));
}

static void start_cached_vmem(struct world *world)
{
	const struct quarry_qcaches_config config = {
		.vmem = &world->vmem,
		.nr = 8,
		.backend = &world->backing->backend,
	};

	start_vmem(world);
	ASSERT_OK(world->test, quarry_qcaches_init(&world->qcaches, &config));
}

static bool is_constrained(size_t size)
{
	return size % 2;
}

static u64 alloc_vmem(struct world *world, size_t size)
{
	struct quarry_vmem_request request = {
		.size = size, .align = 256, .max = U64_MAX, .flags = QUARRY_VMEM_BESTFIT,
	};
	u64 addr = 0;

	if (is_constrained(size))
		quarry_vmem_xalloc(&world->vmem, &request, &addr);
	else
		quarry_vmem_alloc(&world->vmem, size, QUARRY_VMEM_FIRSTFIT, &addr);
	return addr;
}

static int free_vmem(struct world *world, u64 addr, size_t size)
{
	return is_constrained(size) ? quarry_vmem_xfree(&world->vmem, addr, size) :
				      quarry_vmem_free(&world->vmem, addr, size);
}

static u64 failures_of_vmem(struct world *world)
{
	struct quarry_vmem_stats stats;

	quarry_vmem_stats(&world->vmem, &stats);
	return stats.nr_failures;
}

static void stop_vmem(struct world *world)
{
	EXPECT_OK(world->test, quarry_vmem_verify(&world->vmem, NULL));
	EXPECT_OK(world->test, quarry_vmem_fini(&world->vmem));
}

static void stop_cached_vmem(struct world *world)
{
	EXPECT_OK(world->test, quarry_vmem_verify(&world->vmem, NULL));
	quarry_qcaches_fini(&world->qcaches);
	stop_vmem(world);
}

static void start_malloc(struct world *world)
{
	const struct quarry_malloc_config config = {
		.name = "inject",
		.buddy = &world->backing->buddy,
		.backend = &world->backing->backend,
		.zone = &world->zone,
		.heap = &world->heap,
		.zone_max = 1000,
		.heap_max = 4000,
	};

	start_zone(world);
	start_heap(world);
	ASSERT_OK(world->test, quarry_malloc_init(&world->malloc, &config));
}

/* In two ways by turns, of which the second lets a block grow. */
static u64 alloc_malloc(struct world *world, size_t size)
{
	struct quarry_malloc *malloc = &world->malloc;
	void *old, *block;

	if (size % 2)
		return (unsigned long)quarry_malloc_alloc(malloc, size, GFP_NOWAIT);
	old = quarry_malloc_alloc(malloc, 1, GFP_NOWAIT);
	block = old ? quarry_malloc_realloc(malloc, old, size, GFP_NOWAIT) : NULL;
	if (!block)
		EXPECT_OK(world->test, quarry_malloc_free(malloc, old));
	return (unsigned long)block;
}

static int free_malloc(struct world *world, u64 addr, size_t size)
{
	return quarry_malloc_free(&world->malloc, (void *)(unsigned long)addr);
}

static u64 failures_of_malloc(struct world *world)
{
	struct quarry_malloc_stats stats;

	quarry_malloc_stats(&world->malloc, &stats);
	return stats.nr_failures;
}

static void stop_malloc(struct world *world)
{
	EXPECT_OK(world->test, quarry_malloc_verify(&world->malloc, NULL));
	EXPECT_OK(world->test, quarry_malloc_fini(&world->malloc, NULL));
	stop_heap(world);
	stop_zone(world);
}

static const struct subject buddy = {
	start_buddy, alloc_buddy, free_buddy, failures_of_buddy, stop_buddy,
	.max_size = 3 * SZ_4K, .mapped = true,
};

static const struct subject slab = {
	start_slab, alloc_slab, free_slab, failures_of_slab, stop_slab,
	.max_size = 500, .mapped = true,
};

static const struct subject cache = {
	start_cache, alloc_cache, free_cache, failures_of_cache, stop_cache,
	.max_size = 500, .mapped = true,
};

static const struct subject debug_cache = {
	start_debug_cache, alloc_cache, free_cache, failures_of_cache, stop_cache,
	.max_size = 500, .mapped = true,
};

static const struct subject zone = {
	start_zone, alloc_zone, free_zone, failures_of_zone, stop_zone,
	.max_size = 1000, .mapped = true,
};

static const struct subject heap = {
	start_heap, alloc_heap, free_heap, failures_of_heap, stop_heap,
	.max_size = 6000, .mapped = true,
};

static const struct subject cached_heap = {
	start_cached_heap, alloc_heap, free_heap, failures_of_heap, stop_heap,
	.max_size = 600, .mapped = true,
};

static const struct subject vmem = {
	start_vmem, alloc_vmem, free_vmem, failures_of_vmem, stop_vmem, .max_size = 1000,
};

static const struct subject cached_vmem = {
	start_cached_vmem, alloc_vmem, free_vmem, failures_of_vmem, stop_cached_vmem,
	.max_size = 500,
};

static const struct subject malloc = {
	start_malloc, alloc_malloc, free_malloc, failures_of_malloc, stop_malloc,
	.max_size = 12000, .mapped = true,
};

/* ---- Failing at each call ---- */

/* What becomes of a request whose way leads over a point that fails. */
enum effect {
	FAILS,
	MAY_FAIL,
	SUCCEEDS,
};

struct failure {
	const char *name;
	const struct subject *subject;
	enum quarry_inject_point point;
	enum effect effect;
};

static const struct failure failures[] = {
	{ "buddy, alloc", &buddy, QUARRY_INJECT_BUDDY_ALLOC, FAILS },
	{ "slab, alloc", &slab, QUARRY_INJECT_SLAB_ALLOC, FAILS },
	{ "slab, refill", &slab, QUARRY_INJECT_SLAB_REFILL, FAILS },
	/* The backend asks once more. */
	{ "slab, alloc of the buddy", &slab, QUARRY_INJECT_BUDDY_ALLOC, MAY_FAIL },
	{ "cache, alloc", &cache, QUARRY_INJECT_CACHE_ALLOC, FAILS },
	{ "cache, refill", &cache, QUARRY_INJECT_CACHE_REFILL, FAILS },
	{ "cache, alloc of the slab", &cache, QUARRY_INJECT_SLAB_ALLOC, MAY_FAIL },
	{ "cache, refill of the slab", &cache, QUARRY_INJECT_SLAB_REFILL, MAY_FAIL },
	{ "cache with debug, alloc", &debug_cache, QUARRY_INJECT_CACHE_ALLOC, FAILS },
	{ "cache with debug, refill", &debug_cache, QUARRY_INJECT_CACHE_REFILL, FAILS },
	{ "zone, alloc", &zone, QUARRY_INJECT_ZONE_ALLOC, FAILS },
	{ "zone, alloc of the cache", &zone, QUARRY_INJECT_CACHE_ALLOC, FAILS },
	{ "zone, alloc of the slab", &zone, QUARRY_INJECT_SLAB_ALLOC, MAY_FAIL },
	{ "zone, alloc of the buddy", &zone, QUARRY_INJECT_BUDDY_ALLOC, MAY_FAIL },
	{ "heap, alloc", &heap, QUARRY_INJECT_HEAP_ALLOC, FAILS },
	{ "heap, refill", &heap, QUARRY_INJECT_HEAP_REFILL, FAILS },
	{ "heap, alloc of the buddy", &heap, QUARRY_INJECT_BUDDY_ALLOC, SUCCEEDS },
	{ "heap with caches, alloc", &cached_heap, QUARRY_INJECT_HEAP_ALLOC, FAILS },
	{ "heap with caches, refill", &cached_heap, QUARRY_INJECT_HEAP_REFILL, FAILS },
	{ "heap with caches, buddy", &cached_heap, QUARRY_INJECT_BUDDY_ALLOC, SUCCEEDS },
	{ "vmem, alloc", &vmem, QUARRY_INJECT_VMEM_ALLOC, FAILS },
	{ "vmem, import", &vmem, QUARRY_INJECT_VMEM_IMPORT, FAILS },
	{ "vmem, tags", &vmem, QUARRY_INJECT_VMEM_TAGS, MAY_FAIL },
	{ "vmem with caches, alloc", &cached_vmem, QUARRY_INJECT_VMEM_ALLOC, FAILS },
	{ "vmem with caches, refill", &cached_vmem, QUARRY_INJECT_VMEM_REFILL, SUCCEEDS },
	{ "vmem with caches, import", &cached_vmem, QUARRY_INJECT_VMEM_IMPORT, MAY_FAIL },
	{ "malloc, alloc", &malloc, QUARRY_INJECT_MALLOC_ALLOC, FAILS },
	{ "malloc, alloc of the zone", &malloc, QUARRY_INJECT_ZONE_ALLOC, SUCCEEDS },
	{ "malloc, alloc of the heap", &malloc, QUARRY_INJECT_HEAP_ALLOC, SUCCEEDS },
	{ "malloc, alloc of the buddy", &malloc, QUARRY_INJECT_BUDDY_ALLOC, SUCCEEDS },
	{ "malloc, refill of a slab", &malloc, QUARRY_INJECT_SLAB_REFILL, SUCCEEDS },
	{ "vmem with caches, alloc of a slab", &cached_vmem, QUARRY_INJECT_SLAB_ALLOC, SUCCEEDS },
};

static void describe_failure(const struct failure *failure, char *text)
{
	strscpy(text, failure->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(failure, failures, describe_failure);

struct piece {
	u64 addr;
	size_t size;
};

static void take_piece(struct world *world, const struct subject *subject, struct piece *piece,
		       size_t size)
{
	piece->size = size;
	piece->addr = subject->alloc(world, size);
	world->nr_refused += !piece->addr;
	if (piece->addr && subject->mapped)
		qtest_write((void *)(unsigned long)piece->addr, size, size);
}

static void give_piece(struct world *world, const struct subject *subject, struct piece *piece)
{
	if (!piece->addr)
		return;
	if (subject->mapped)
		KUNIT_EXPECT_TRUE(world->test, qtest_reads((void *)(unsigned long)piece->addr,
							   piece->size, piece->size));
	EXPECT_OK(world->test, subject->free(world, piece->addr, piece->size));
	piece->addr = 0;
}

/* The script: the same steps each time, but for what fails. */
static void play(struct world *world, const struct subject *subject)
{
	struct piece pieces[NR_SLOTS] = {};
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 1);
	world->nr_refused = 0;
	for (i = 0; i < NR_STEPS; i++) {
		struct piece *piece = &pieces[qtest_below(&rnd, NR_SLOTS)];
		size_t size = 1 + qtest_below(&rnd, subject->max_size);

		if (piece->addr)
			give_piece(world, subject, piece);
		else
			take_piece(world, subject, piece, size);
	}
	for (i = 0; i < NR_SLOTS; i++)
		give_piece(world, subject, &pieces[i]);
}

static void play_on_a_new_one(struct world *world, const struct failure *failure,
			      unsigned int n)
{
	const struct subject *subject = failure->subject;
	u64 before;

	quarry_inject_reset();
	subject->start(world);
	before = subject->nr_failures(world);
	set(world->test, failure->point, (struct quarry_inject_settings) {
		.probability = 100, .interval = n, .times = 1,
	});
	play(world, subject);
	KUNIT_EXPECT_EQ_MSG(world->test, subject->nr_failures(world) - before,
			    world->nr_refused, "call %u", n);
	subject->stop(world);
	KUNIT_EXPECT_EQ_MSG(world->test, qtest_backing_used(world->backing), 0ULL, "call %u", n);
}

static void nothing_is_lost_whichever_call_fails(struct kunit *test)
{
	const struct failure *failure = test->param_value;
	struct world *world = test->priv;
	unsigned int n = 0;
	u64 hits;

	do {
		play_on_a_new_one(world, failure, ++n);
		hits = quarry_inject_hits(failure->point);
		KUNIT_ASSERT_LE(test, hits, 1ULL);
		KUNIT_EXPECT_LE_MSG(test, world->nr_refused, hits, "call %u", n);
		if (failure->effect == FAILS)
			KUNIT_EXPECT_EQ_MSG(test, world->nr_refused, hits, "call %u", n);
		if (failure->effect == SUCCEEDS)
			KUNIT_EXPECT_EQ_MSG(test, world->nr_refused, 0ULL, "call %u", n);
	} while (hits);
	KUNIT_EXPECT_GT_MSG(test, n, 1U, "nothing came to this point");
	kunit_info(test, "calls that failed, one after the other: %u", n - 1);
}

/* And so it is if any of them may fail, or all do. */
static void nothing_is_lost_if_many_fail(struct kunit *test)
{
	const struct failure *failure = test->param_value;
	struct world *world = test->priv;
	unsigned int probability;

	for (probability = 10; probability <= 100; probability += 15) {
		quarry_inject_reset();
		failure->subject->start(world);
		set(test, failure->point, (struct quarry_inject_settings) {
			.probability = probability, .interval = 1, .times = -1, .seed = 1,
		});
		play(world, failure->subject);
		failure->subject->stop(world);
		KUNIT_EXPECT_EQ(test, qtest_backing_used(world->backing), 0ULL);
	}
}

/* ---- Settings ---- */

#define POINT	QUARRY_INJECT_SLAB_ALLOC
#define SIZE	64

/* A slab that has all it needs, so that only what is injected fails. */
static struct quarry_slab *ample_slab(struct world *world)
{
	const struct quarry_slab_config config = { .name = "ample", .object_size = SIZE };
	void *buffer = qtest_memory(world->test, SZ_4K);

	ASSERT_OK(world->test, quarry_slab_init(&world->slab, &config));
	KUNIT_ASSERT_GT(world->test, quarry_slab_grow(&world->slab, buffer, SZ_4K), 0L);
	return &world->slab;
}

static bool fails(struct quarry_slab *slab)
{
	void *object = quarry_slab_alloc(slab, 0);

	quarry_slab_free(slab, object);
	return !object;
}

/* How many of so many calls fail; a bit for each of the first 64. */
static unsigned int count_failures(struct quarry_slab *slab, unsigned int nr, u64 *which)
{
	unsigned int i, failed = 0;

	*which = 0;
	for (i = 0; i < nr; i++) {
		if (!fails(slab))
			continue;
		failed++;
		if (i < 64)
			*which |= BIT_ULL(i);
	}
	return failed;
}

static void nothing_fails_at_first(struct kunit *test)
{
	struct quarry_slab *slab = ample_slab(test->priv);
	struct quarry_inject_settings settings;
	u64 which;

	quarry_inject_get(POINT, &settings);
	KUNIT_EXPECT_EQ(test, settings.probability, 0U);
	KUNIT_EXPECT_EQ(test, settings.interval, 1U);
	KUNIT_EXPECT_EQ(test, settings.times, 1);
	KUNIT_EXPECT_EQ(test, settings.space, 0);
	KUNIT_EXPECT_EQ(test, settings.seed, 0ULL);
	KUNIT_EXPECT_EQ(test, count_failures(slab, 100, &which), 0U);
	KUNIT_EXPECT_EQ(test, quarry_inject_hits(POINT), 0ULL);
}

static void interval_and_times_say_which(struct kunit *test)
{
	struct quarry_slab *slab = ample_slab(test->priv);
	struct quarry_inject_settings settings;
	u64 which;

	set(test, POINT, (struct quarry_inject_settings) {
		.probability = 100, .interval = 5, .times = 3,
	});
	KUNIT_EXPECT_EQ(test, count_failures(slab, 100, &which), 3U);
	KUNIT_EXPECT_EQ(test, which, BIT_ULL(4) | BIT_ULL(9) | BIT_ULL(14));
	KUNIT_EXPECT_EQ(test, quarry_inject_hits(POINT), 3ULL);
	quarry_inject_get(POINT, &settings);
	KUNIT_EXPECT_EQ(test, settings.times, 0);

	settings.times = -1;
	set(test, POINT, settings);
	KUNIT_EXPECT_EQ(test, count_failures(slab, 100, &which), 20U);
	quarry_inject_get(POINT, &settings);
	KUNIT_EXPECT_EQ(test, settings.times, -1);
}

static void space_is_used_up_first(struct kunit *test)
{
	struct quarry_slab *slab = ample_slab(test->priv);
	struct quarry_inject_settings settings;
	u64 which;

	set(test, POINT, (struct quarry_inject_settings) {
		.probability = 100, .interval = 1, .times = -1, .space = 10 * SIZE + 1,
	});
	KUNIT_EXPECT_EQ(test, count_failures(slab, 20, &which), 10U);
	KUNIT_EXPECT_EQ(test, which, GENMASK_ULL(19, 10));
	quarry_inject_get(POINT, &settings);
	KUNIT_EXPECT_EQ(test, settings.space, 1);
}

static void a_seed_says_which(struct kunit *test)
{
	struct quarry_slab *slab = ample_slab(test->priv);
	struct quarry_inject_settings settings = {
		.probability = 30, .interval = 1, .times = -1, .seed = 7,
	};
	unsigned int first, again;
	u64 which, others;

	set(test, POINT, settings);
	first = count_failures(slab, 10000, &which);
	KUNIT_EXPECT_GT(test, first, 2800U);
	KUNIT_EXPECT_LT(test, first, 3200U);
	set(test, POINT, settings);
	again = count_failures(slab, 10000, &others);
	KUNIT_EXPECT_EQ(test, again, first);
	KUNIT_EXPECT_EQ(test, others, which);

	/* The same on each kernel and machine. */
	KUNIT_EXPECT_EQ(test, which, 0x00b018d284200522ULL);
	settings.seed = 8;
	set(test, POINT, settings);
	count_failures(slab, 64, &others);
	KUNIT_EXPECT_NE(test, others, which);
}

static void settings_that_can_not_be_are_refused(struct kunit *test)
{
	static const struct quarry_inject_settings bad[] = {
		{ .probability = 101, .interval = 1 },
		{ .probability = UINT_MAX, .interval = 1 },
		{ .probability = 1, .interval = 0 },
		{ .interval = 1, .times = -2 },
		{ .interval = 1, .times = INT_MIN },
		{ .interval = 1, .space = -1 },
	};
	struct quarry_slab *slab = ample_slab(test->priv);
	struct quarry_inject_settings settings;
	unsigned int i;

	set(test, POINT, (struct quarry_inject_settings) {
		.probability = 100, .interval = 2, .times = -1,
	});
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_ERR(test, quarry_inject_set(POINT, &bad[i]), -EINVAL);
	EXPECT_ERR(test, quarry_inject_set(POINT, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_inject_set(QUARRY_INJECT_NR_POINTS, &bad[0]), -EINVAL);
	quarry_inject_get(POINT, &settings);
	KUNIT_EXPECT_EQ(test, settings.interval, 2U);
	KUNIT_EXPECT_FALSE(test, fails(slab));
	KUNIT_EXPECT_TRUE(test, fails(slab));
}

static void reset_ends_it(struct kunit *test)
{
	struct quarry_slab *slab = ample_slab(test->priv);

	set(test, POINT, (struct quarry_inject_settings) {
		.probability = 100, .interval = 1, .times = -1,
	});
	KUNIT_EXPECT_TRUE(test, fails(slab));
	quarry_inject_reset();
	KUNIT_EXPECT_FALSE(test, fails(slab));
	KUNIT_EXPECT_EQ(test, quarry_inject_hits(POINT), 0ULL);
}

/* ---- What isn't failed ---- */

/* They are refused for what they are, and no failure is spent on them. */
static void calls_that_can_not_be_right_are_no_failures(struct kunit *test)
{
	struct world *world = test->priv;
	struct quarry_inject_settings all = { .probability = 100, .interval = 1, .times = -1 };
	struct quarry_buddy_block block;
	unsigned int point;

	start_slab(world);
	start_heap(world);
	start_vmem(world);
	for (point = 0; point < QUARRY_INJECT_NR_POINTS; point++)
		set(test, point, all);
	EXPECT_ERR(test, quarry_buddy_alloc(&world->backing->buddy, 0, 0, &block), -EINVAL);
	KUNIT_EXPECT_NULL(test, quarry_heap_alloc(&world->heap, 0));
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(&world->slab, ~0U));
	EXPECT_ERR(test, quarry_vmem_alloc(&world->vmem, 0, QUARRY_VMEM_FIRSTFIT, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_vmem_alloc(&world->vmem, 64, 0, NULL), -EINVAL);
	for (point = 0; point < QUARRY_INJECT_NR_POINTS; point++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_inject_hits(point), 0ULL, "point %u", point);
	stop_slab(world);
	stop_heap(world);
	stop_vmem(world);
}

/* Who waits for a failure that isn't one would wait for nobody. */
static void who_can_wait_is_not_failed(struct kunit *test)
{
	struct world *world = test->priv;
	struct quarry_inject_settings all = { .probability = 100, .interval = 1, .times = -1 };
	void *block, *other;
	unsigned int point;
	u64 addr;

	start_heap(world);
	start_vmem(world);
	for (point = QUARRY_INJECT_HEAP_ALLOC; point < QUARRY_INJECT_NR_POINTS; point++)
		set(test, point, all);
	EXPECT_OK(test, quarry_heap_alloc_wait(&world->heap, 100, MAX_SCHEDULE_TIMEOUT, 0,
					       &block));
	EXPECT_OK(test, quarry_vmem_alloc(&world->vmem, 640,
					  QUARRY_VMEM_FIRSTFIT | QUARRY_VMEM_WAIT, &addr));
	for (point = 0; point < QUARRY_INJECT_NR_POINTS; point++)
		KUNIT_EXPECT_EQ_MSG(test, quarry_inject_hits(point), 0ULL, "point %u", point);
	EXPECT_ERR(test, quarry_heap_alloc_wait(&world->heap, 100, 0, 0, &other), -ENOSPC);
	quarry_inject_reset();
	EXPECT_OK(test, quarry_heap_free(&world->heap, block));
	EXPECT_OK(test, quarry_vmem_free(&world->vmem, addr, 640));
	stop_heap(world);
	stop_vmem(world);
}

/* When it failed last is known as well as how often. */
static void a_failure_is_recorded(struct kunit *test)
{
	struct quarry_inject_settings once = { .probability = 100, .interval = 1, .times = 1 };
	struct world *world = test->priv;
	struct quarry_cache_stats stats;

	start_cache(world);
	start_zone(world);
	set(test, QUARRY_INJECT_CACHE_REFILL, once);
	KUNIT_EXPECT_NULL(test, quarry_cache_alloc(&world->cache, 0));
	quarry_cache_stats(&world->cache, &stats);
	KUNIT_EXPECT_EQ(test, stats.nr_failures, 1ULL);
	KUNIT_EXPECT_NE(test, stats.slab.last_failure, 0ULL);
	set(test, QUARRY_INJECT_ZONE_ALLOC, once);
	KUNIT_EXPECT_NULL(test, quarry_zone_alloc(&world->zone, 8, 0, 0));
	quarry_cache_stats(quarry_zone_cache(&world->zone, 0), &stats);
	KUNIT_EXPECT_NE(test, stats.slab.last_failure, 0ULL);
	stop_zone(world);
	stop_cache(world);
}

/* Arms and disarms a point that nobody asks, as fast as it can. */
static int toggle(void *unused)
{
	const struct quarry_inject_settings always = {
		.probability = 100, .interval = 1, .times = -1,
	};

	while (!kthread_should_stop()) {
		quarry_inject_set(QUARRY_INJECT_VMEM_TAGS, &always);
		quarry_inject_reset();
		cond_resched();
	}
	return 0;
}

/* Whatever is armed or not in the middle of a bulk call, it gives what it says. */
static void arming_does_no_harm_to_who_is_on_the_way(struct kunit *test)
{
	struct world *world = test->priv;
	struct task_struct *task;
	void *objects[40];
	unsigned int i, nr, nr_missing = 0, nr_faults = 0;
	unsigned long rounds = qtest_rounds(test, 5000);

	start_cache(world);
	task = kthread_run(toggle, NULL, "quarry_toggle");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	while (rounds--) {
		memset(objects, 0, sizeof(objects));
		nr = quarry_cache_alloc_bulk(&world->cache, 0, ARRAY_SIZE(objects), objects);
		for (i = 0; i < nr; i++)
			nr_missing += !objects[i];
		nr_faults += !!quarry_cache_free_bulk(&world->cache, nr, objects);
		cond_resched();
	}
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, nr_missing, 0U);
	KUNIT_EXPECT_EQ(test, nr_faults, 0U);
	stop_cache(world);
}

static struct kunit_case inject_cases[] = {
	KUNIT_CASE_PARAM(nothing_is_lost_whichever_call_fails, failure_gen_params),
	KUNIT_CASE_PARAM(nothing_is_lost_if_many_fail, failure_gen_params),
	KUNIT_CASE(nothing_fails_at_first),
	KUNIT_CASE(interval_and_times_say_which),
	KUNIT_CASE(space_is_used_up_first),
	KUNIT_CASE(a_seed_says_which),
	KUNIT_CASE(settings_that_can_not_be_are_refused),
	KUNIT_CASE(reset_ends_it),
	KUNIT_CASE(calls_that_can_not_be_right_are_no_failures),
	KUNIT_CASE(who_can_wait_is_not_failed),
	KUNIT_CASE(a_failure_is_recorded),
	KUNIT_CASE(arming_does_no_harm_to_who_is_on_the_way),
	{}
};

static struct kunit_suite inject_suite = {
	.name = "quarry_inject",
	.init = world_init,
	.exit = world_exit,
	.test_cases = inject_cases,
};

kunit_test_suite(inject_suite);
