// SPDX-License-Identifier: GPL-2.0
/*
 * Quarry's buddy as the benchmarks use it: a space of made-up addresses, which
 * does as well as real memory, for the buddy never touches what it manages. And
 * states and requests built to be the worst for it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/printk.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "../lib/buddy.h"
#include "bench.h"

/* Every space begins here: at a multiple of the largest one's size. */
#define BASE	((u64)SZ_1G)
#define PAGE	((u64)SZ_4K)

/**
 * struct space - a buddy to measure
 * @buddy: the buddy
 * @region: what it manages
 * @meta: where it does
 * @request: what a worst case asks for, where that is more than a size
 */
struct space {
	struct quarry_buddy buddy;
	struct quarry_region region;
	void *meta;
	struct quarry_buddy_request request;
};

static int space_init(struct space *space, u64 size)
{
	size_t meta_size;
	int err;

	err = quarry_region_init(&space->region, BASE, size);
	if (err)
		return err;
	meta_size = quarry_buddy_meta_size(&space->region, PAGE);
	space->meta = vmalloc(meta_size);
	if (!space->meta)
		return -ENOMEM;
	err = quarry_buddy_init(&space->buddy, "bench", &space->region, PAGE, space->meta,
				meta_size);
	if (err)
		vfree(space->meta);
	return err;
}

static void *space_setup(u64 size)
{
	struct space *space = kzalloc(sizeof(*space), GFP_KERNEL);
	int err;

	if (!space)
		return ERR_PTR(-ENOMEM);
	err = space_init(space, size);
	if (err) {
		kfree(space);
		return ERR_PTR(err);
	}
	return space;
}

static void space_teardown(void *ctx)
{
	struct quarry_fault fault;
	struct space *space = ctx;

	/* Figures of an allocator that went wrong would mean nothing. */
	if (quarry_buddy_verify(&space->buddy, &fault))
		pr_err("BUG: the buddy is damaged: %s\n", fault.what);
	vfree(space->meta);
	kfree(space);
}

static struct quarry_buddy_block *block_of(const struct bench_slot *slot)
{
	static_assert(sizeof(struct quarry_buddy_block) <= sizeof(slot->room));
	return (struct quarry_buddy_block *)slot->room;
}

static bool plain_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct space *space = ctx;

	return !quarry_buddy_alloc(&space->buddy, size, 0, block_of(slot));
}

static bool flagged_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct space *space = ctx;

	return !quarry_buddy_alloc(&space->buddy, size, space->request.flags, block_of(slot));
}

static bool xalloc_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct space *space = ctx;

	return !quarry_buddy_xalloc(&space->buddy, &space->request, block_of(slot));
}

static bool reserve_alloc(void *ctx, size_t size, struct bench_slot *slot)
{
	struct space *space = ctx;

	block_of(slot)->addr = space->request.min;
	return !quarry_buddy_reserve(&space->buddy, space->request.min, space->request.size);
}

static void space_free(void *ctx, const struct bench_slot *slot)
{
	struct space *space = ctx;

	quarry_buddy_free(&space->buddy, block_of(slot)->addr);
}

static u64 splits_and_merges(void *ctx)
{
	struct quarry_buddy_stats stats;
	struct space *space = ctx;

	quarry_buddy_stats(&space->buddy, &stats);
	return stats.nr_splits + stats.nr_merges;
}

#define BUDDY(_name, _alloc)		\
	.name = _name,			\
	.own_space = true,		\
	.setup = space_setup,		\
	.teardown = space_teardown,	\
	.alloc = _alloc,		\
	.free = space_free,		\
	.work = splits_and_merges

const struct bench_allocator bench_buddy = { BUDDY("quarry_buddy", plain_alloc) };
static const struct bench_allocator topdown = { BUDDY("quarry_buddy", flagged_alloc) };
static const struct bench_allocator exact = { BUDDY("quarry_buddy exact", flagged_alloc) };
static const struct bench_allocator xalloc = { BUDDY("quarry_buddy xalloc", xalloc_alloc) };
static const struct bench_allocator reserve = { BUDDY("quarry_buddy reserve", reserve_alloc) };
static const struct bench_allocator range = { BUDDY("quarry_buddy range", reserve_alloc) };

/* ---- The worst for it: each function makes a state and a request ---- */

static u64 end_of(const struct space *space)
{
	return BASE + space->region.size;
}

static int ask_topdown(struct bench_run *run)
{
	struct space *space = run->ctx;

	space->request.flags = QUARRY_BUDDY_TOPDOWN;
	return 0;
}

static int ask_exact(struct bench_run *run)
{
	struct space *space = run->ctx;

	space->request.flags = QUARRY_BUDDY_EXACT;
	return 0;
}

static int leave_last_page(struct bench_run *run)
{
	struct space *space = run->ctx;

	return quarry_buddy_reserve(&space->buddy, BASE, space->region.size - PAGE);
}

static int leave_first_page(struct bench_run *run)
{
	struct space *space = run->ctx;

	space->request.flags = QUARRY_BUDDY_TOPDOWN;
	return quarry_buddy_reserve(&space->buddy, BASE + PAGE, space->region.size - PAGE);
}

static int ask_range(struct space *space, u64 addr, u64 size)
{
	space->request = (struct quarry_buddy_request) { .min = addr, .size = size };
	return 0;
}

/* What is left free beside it is the piece that most summaries tell of, page 0. */
static int ask_second_page(struct bench_run *run)
{
	return ask_range(run->ctx, BASE + PAGE, PAGE);
}

static int ask_last_page(struct bench_run *run)
{
	struct space *space = run->ctx;

	return ask_range(space, end_of(space) - PAGE, PAGE);
}

/*
 * A page of the third quarter is held, and the first and the last quarter have a
 * free piece of each order too, the one older, the other younger than those
 * beside the page. So each join takes its piece out of a free map that holds
 * others, none of them close, and the piece is neither the first nor the last,
 * neither the oldest nor the youngest.
 */
static int ask_page_beside_pieces(struct bench_run *run, u64 offset)
{
	struct space *space = run->ctx;
	int err;

	err = quarry_buddy_reserve(&space->buddy, BASE, PAGE);
	if (err)
		return err;
	ask_range(space, BASE + space->region.size / 2 + offset, PAGE);
	if (!bench_run_alloc(run, &run->slots[0], PAGE))
		return -ENOSPC;
	return quarry_buddy_reserve(&space->buddy, end_of(space) - PAGE, PAGE);
}

static int ask_first_beside_pieces(struct bench_run *run)
{
	return ask_page_beside_pieces(run, 0);
}

static int ask_last_beside_pieces(struct bench_run *run)
{
	struct space *space = run->ctx;

	return ask_page_beside_pieces(run, space->region.size / 4 - PAGE);
}

/* A page whose buddies lie to the left and to the right by turns. */
static int ask_page_between(struct bench_run *run)
{
	struct space *space = run->ctx;
	u64 offset = 0xaaaaaaaaaaaaaaaaULL & (space->region.size - PAGE);

	return ask_range(space, BASE + offset, PAGE);
}

/* As many pieces as a block can have. */
static int ask_all_but_both_ends(struct bench_run *run)
{
	struct space *space = run->ctx;

	return ask_range(space, BASE + PAGE, space->region.size - 2 * PAGE);
}

/* Takes a page every @stride pages, but for the last 128 pages. */
static int comb(struct space *space, u64 stride)
{
	u64 addr;
	int err = 0;

	for (addr = BASE; addr < end_of(space) - 128 * PAGE && !err; addr += stride * PAGE)
		err = quarry_buddy_reserve(&space->buddy, addr, PAGE);
	return err;
}

/*
 * Odd pages are free everywhere, and one multiple of 64 near the end: a search
 * that has to look at each free page for its alignment comes to that one last.
 */
static int leave_odd_pages(struct space *space)
{
	u64 lonely = end_of(space) - 64 * PAGE;
	int err;

	err = comb(space, 2);
	if (!err)
		err = quarry_buddy_reserve(&space->buddy, lonely - 64 * PAGE, 64 * PAGE);
	if (!err)
		err = quarry_buddy_reserve(&space->buddy, lonely + PAGE, 63 * PAGE);
	return err;
}

static int ask_even_page(struct bench_run *run)
{
	struct space *space = run->ctx;

	space->request = (struct quarry_buddy_request) {
		.size = PAGE, .align = 2 * PAGE, .max = U64_MAX,
	};
	return leave_odd_pages(space);
}

static int ask_multiple_of_64(struct bench_run *run)
{
	struct space *space = run->ctx;

	space->request = (struct quarry_buddy_request) {
		.size = PAGE, .align = 64 * PAGE, .max = U64_MAX,
	};
	return leave_odd_pages(space);
}

/* Free blocks of orders 0 to 6 everywhere, and none that is a multiple of 128. */
static int ask_multiple_of_128(struct bench_run *run)
{
	struct space *space = run->ctx;
	int err;

	space->request = (struct quarry_buddy_request) {
		.size = PAGE, .align = 128 * PAGE, .max = U64_MAX,
	};
	err = comb(space, 128);
	if (!err)
		err = quarry_buddy_reserve(&space->buddy, end_of(space) - 128 * PAGE, PAGE);
	return err;
}

/* The same, and nothing but the last two pages will do. */
static int ask_window_at_end(struct bench_run *run)
{
	struct space *space = run->ctx;

	space->request = (struct quarry_buddy_request) {
		.size = PAGE, .min = end_of(space) - 2 * PAGE, .max = U64_MAX,
	};
	return comb(space, 128);
}

/* ---- What is measured ---- */

#define FREE_SPACE	"one page of a free space"

#define SIZES(_slots)	.slots = _slots, .min_size = PAGE, .max_size = PAGE << 6

static const struct bench_workload workloads[] = {
	{ BENCH_HOT_PAIR, SIZES(500) },
	{ BENCH_CHURN, SIZES(100) },
	{ BENCH_CHURN, SIZES(500) },
	{ BENCH_CHURN, SIZES(1000) },
	{ BENCH_CHURN, SIZES(2000) },
	{ BENCH_FILL_DRAIN_IN_ORDER, SIZES(2000) },
	{ BENCH_FILL_DRAIN_IN_REVERSE, SIZES(2000) },
	{ BENCH_FILL_DRAIN_SHUFFLED, SIZES(2000) },
	{ .name = FREE_SPACE, SIZES(1), .own_space = true, .body = bench_hot_pair },
	{}
};

#define WORST	BENCH_STATE_PAIR

static const struct bench_state states[] = {
	/* Fits the smallest space. */
	{ &bench_buddy, { BENCH_CHURN, SIZES(300) } },
	WORST(FREE_SPACE, &bench_buddy, PAGE, NULL),
	WORST(FREE_SPACE " topdown", &topdown, PAGE, ask_topdown),
	WORST("last free page", &bench_buddy, PAGE, leave_last_page),
	WORST("first page alone free topdown", &topdown, PAGE, leave_first_page),
	WORST("63 pages of a free space", &exact, 63 * PAGE, ask_exact),
	WORST("33 pages of a free space", &exact, 33 * PAGE, ask_exact),
	WORST("2047 pages of a free space", &exact, 2047 * PAGE, ask_exact),
	WORST("second page of a free space", &reserve, PAGE, ask_second_page),
	WORST("last page of a free space", &reserve, PAGE, ask_last_page),
	WORST("page between all orders", &reserve, PAGE, ask_page_between),
	WORST("first page beside pieces of all orders", &reserve, PAGE, ask_first_beside_pieces),
	WORST("last page beside pieces of all orders", &reserve, PAGE, ask_last_beside_pieces),
	WORST("all but both ends", &range, PAGE, ask_all_but_both_ends),
	WORST("even page among odd ones", &xalloc, PAGE, ask_even_page),
	WORST("multiple of 64 among odd pages", &xalloc, PAGE, ask_multiple_of_64),
	WORST("no multiple of 128 in any order", &xalloc, PAGE, ask_multiple_of_128),
	WORST("window at the end in all orders", &xalloc, PAGE, ask_window_at_end),
	{}
};

static const struct bench_allocator *const allocators[] = {
	&bench_nothing,
	&bench_buddy,
	&bench_alloc_pages,
	&bench_alloc_pages_comp,
	&bench_gen_pool_4k,
#if IS_ENABLED(CONFIG_GPU_BUDDY)
	&bench_gpu_buddy,
#endif
	NULL
};

static const u64 spaces[] = { SZ_16M, SZ_64M, SZ_1G, 0 };

const struct bench_family bench_pages = {
	.name = "pages",
	.allocators = allocators,
	.workloads = workloads,
	.space = SZ_64M,
	.states = states,
	.spaces = spaces,
};
