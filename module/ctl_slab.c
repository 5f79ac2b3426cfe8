// SPDX-License-Identifier: GPL-2.0
/*
 * slab/ctl: caches and slabs made, used and destroyed by hand.
 *
 * All that is in one of them was allocated here, so an address that isn't held is
 * left to the cache to refuse. What describes it lies in the region as well: a
 * range from the backend, with the CPUs' share of the cache behind it.
 *
 * The lock of the file guards the list of them, and what each holds.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/debugfs.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "ctl.h"
#include "debugfs.h"
#include "hold.h"
#include "instance.h"

#define RECLAIM_ROUNDS	3

/* In the order that operands have in a command. */
enum word {
	NAME,
	SIZE,
	OFFSET,
	COUNT,
	ALIGN,
	SLAB_SIZE,
	BARE,
	DEBUG,
	ZERO,
	FORCE,
};

static const struct quarry_ctl_word words[] = {
	[NAME]		= { NULL, "NAME", QUARRY_CTL_NAME },
	[SIZE]		= { NULL, "SIZE", QUARRY_CTL_NUMBER },
	[OFFSET]	= { NULL, "OFFSET", QUARRY_CTL_OFFSET },
	[COUNT]		= { NULL, "COUNT", QUARRY_CTL_NUMBER },
	[ALIGN]		= { "align", "SIZE", QUARRY_CTL_NUMBER },
	[SLAB_SIZE]	= { "slab", "SIZE", QUARRY_CTL_NUMBER },
	[BARE]		= { "bare", NULL, QUARRY_CTL_FLAG },
	[DEBUG]		= { "debug", NULL, QUARRY_CTL_FLAG },
	[ZERO]		= { "zero", NULL, QUARRY_CTL_FLAG },
	[FORCE]		= { "force", NULL, QUARRY_CTL_FLAG },
};

/* Objects that one call allocates or frees, where there are many. */
#define BULK	32

/**
 * struct test - a cache, or a slab without magazines, made here
 * @list: all of them
 * @shown: what debugfs knows of it; which of the two it is
 * @cache: the cache
 * @slab: or the slab
 * @held: objects that were allocated from it
 * @size: bytes of the range that this lies in
 * @name: its name
 */
struct test {
	struct list_head list;
	struct quarry_named_slab shown;
	union {
		struct quarry_cache cache;
		struct quarry_slab slab;
	};
	struct quarry_hold held;
	size_t size;
	char name[QUARRY_NAME_SIZE];
};

static LIST_HEAD(tests);

/* ---- A cache or a slab ---- */

static int test_init(struct test *test, const struct quarry_cache_config *config, bool bare)
{
	if (bare) {
		test->shown.slab = &test->slab;
		return quarry_slab_init(&test->slab, &config->slab);
	}
	test->shown.cache = &test->cache;
	return quarry_cache_init(&test->cache, config);
}

static int test_fini(struct test *test, bool force, u64 *nr_used)
{
	return test->shown.cache ? quarry_cache_fini(&test->cache, force, nr_used) :
				   quarry_slab_fini(&test->slab, force, nr_used);
}

static unsigned int test_alloc_bulk(struct test *test, unsigned int flags, unsigned int nr,
				    void **objects)
{
	return test->shown.cache ? quarry_cache_alloc_bulk(&test->cache, flags, nr, objects) :
				   quarry_slab_alloc_bulk(&test->slab, flags, nr, objects);
}

static void *test_alloc(struct test *test, unsigned int flags)
{
	return test->shown.cache ? quarry_cache_alloc(&test->cache, flags) :
				   quarry_slab_alloc(&test->slab, flags);
}

static int test_free_bulk(struct test *test, unsigned int nr, void **objects)
{
	return test->shown.cache ? quarry_cache_free_bulk(&test->cache, nr, objects) :
				   quarry_slab_free_bulk(&test->slab, nr, objects);
}

static int test_free(struct test *test, void *object)
{
	return test->shown.cache ? quarry_cache_free(&test->cache, object) :
				   quarry_slab_free(&test->slab, object);
}

static int test_lookup(struct test *test, const void *addr, struct quarry_slab_object *object)
{
	return test->shown.cache ? quarry_cache_lookup(&test->cache, addr, object) :
				   quarry_slab_lookup(&test->slab, addr, object);
}

/* ---- create and destroy ---- */

static struct test *find(const struct quarry_ctl_call *call)
{
	struct test *test;

	list_for_each_entry(test, &tests, list)
		if (!strcmp(test->name, call->name))
			return test;
	return ERR_PTR(-ENOENT);
}

static struct quarry_cache *find_cache(const struct quarry_ctl_call *call)
{
	struct test *test = find(call);

	if (IS_ERR(test))
		return ERR_CAST(test);
	return test->shown.cache ?: ERR_PTR(-EOPNOTSUPP);
}

static struct quarry_slab *find_bare(const struct quarry_ctl_call *call)
{
	struct test *test = find(call);

	if (IS_ERR(test))
		return ERR_CAST(test);
	return test->shown.slab ?: ERR_PTR(-EOPNOTSUPP);
}

/* What is held is linked through its first word, also where smaller sizes aren't rounded. */
static size_t object_size(const struct quarry_ctl_call *call)
{
	size_t size = quarry_ctl_size(call, SIZE);

	return size ? max(size, sizeof(void *)) : 0;
}

static int test_start(const struct quarry_ctl_call *call, struct test *test, void *share)
{
	const struct quarry_cache_config config = {
		.slab = {
			.name = test->name,
			.object_size = object_size(call),
			.align = quarry_ctl_size(call, ALIGN),
			.slab_size = quarry_ctl_size(call, SLAB_SIZE),
			.backend = &call->instance->backend,
		},
		.flags = quarry_ctl_given(call, DEBUG) ? QUARRY_CACHE_DEBUG : 0,
		.memory = share,
	};
	int err;

	strscpy(test->name, call->name, sizeof(test->name));
	test->shown.named.name = test->name;
	err = test_init(test, &config, quarry_ctl_given(call, BARE));
	if (err)
		return err;
	err = quarry_named_add(&quarry_slab_kind, &test->shown.named);
	if (err)
		test_fini(test, true, NULL);
	return err;
}

static int run_create(struct quarry_ctl_call *call)
{
	size_t share = ALIGN(sizeof(struct test), SMP_CACHE_BYTES);
	struct test *test;
	size_t size = share;
	int err;

	if (quarry_ctl_given(call, BARE) && quarry_ctl_given(call, DEBUG))
		return -EINVAL;
	if (!quarry_ctl_given(call, BARE))
		size += quarry_cache_memory_size();
	test = quarry_instance_take(call->instance, size);
	if (!test)
		return -ENOMEM;
	test->size = size;
	err = test_start(call, test, (void *)test + share);
	if (err) {
		quarry_instance_give(call->instance, test, size);
		return err;
	}
	list_add_tail(&test->list, &tests);
	return 0;
}

/* Forget one that has ended, or is about to, so that nobody sees it any more. */
static void test_hide(struct test *test)
{
	list_del(&test->list);
	quarry_named_del(&test->shown.named);
}

static u64 test_destroy(struct quarry_instance *instance, struct test *test)
{
	u64 nr_used = 0;

	test_hide(test);
	test_fini(test, true, &nr_used);
	quarry_instance_give(instance, test, test->size);
	return nr_used;
}

/*
 * The same, but what is in use refuses to go, and lists in the log what there is. One that
 * was out of service has ended, whatever it says.
 */
static int test_try_destroy(struct quarry_instance *instance, struct test *test, u64 *nr_used)
{
	int err = test_fini(test, false, nr_used);

	if (err == -EBUSY)
		return err;
	test_hide(test);
	quarry_instance_give(instance, test, test->size);
	return err;
}

static int run_destroy(struct quarry_ctl_call *call)
{
	struct test *test = find(call);
	u64 nr_used = 0;
	int err = 0;

	if (IS_ERR(test))
		return PTR_ERR(test);
	if (test->held.nr && !quarry_ctl_given(call, FORCE))
		err = test_try_destroy(call->instance, test, &nr_used);
	else
		nr_used = test_destroy(call->instance, test);
	quarry_ctl_answer(call, "nr_used: %llu\n", nr_used);
	return err;
}

/**
 * quarry_slab_ctl_exit() - destroy what was made by slab/ctl and not destroyed
 * @instance: the instance
 *
 * Context: may sleep. The file is gone.
 */
void quarry_slab_ctl_exit(struct quarry_instance *instance)
{
	struct test *test, *next;

	list_for_each_entry_safe(test, next, &tests, list) {
		if (test->held.nr && test_try_destroy(instance, test, NULL) != -EBUSY)
			continue;
		if (test->held.nr)
			pr_warn("slab %s goes with %llu objects still in use\n", test->name,
				test->held.nr);
		test_destroy(instance, test);
	}
}

/* ---- alloc and free ---- */

static void answer_object(struct quarry_ctl_call *call, const struct quarry_slab_object *object)
{
	quarry_ctl_answer_offset(call, "offset", object->start);
	quarry_ctl_answer(call, "size: %zu bytes\n", object->size);
	quarry_ctl_answer_offset(call, "slab", object->slab);
	quarry_ctl_answer(call, "index: %u\n", object->index);
}

/* @nr objects, or fewer if there are no more: a single one, or up to BULK in bulk. */
static unsigned int alloc_some(struct test *test, unsigned int flags, unsigned int nr)
{
	unsigned int i, got = nr;
	void *objects[BULK];

	if (fatal_signal_pending(current))
		return 0;
	if (nr > 1) {
		got = test_alloc_bulk(test, flags, nr, objects);
	} else {
		objects[0] = test_alloc(test, flags);
		got = objects[0] ? 1 : 0;
	}
	for (i = 0; i < got; i++)
		quarry_hold_add(&test->held, objects[i]);
	return got;
}

/* Of many, those that could be had stay. */
static int run_alloc(struct quarry_ctl_call *call)
{
	unsigned int flags = quarry_ctl_given(call, ZERO) ? QUARRY_SLAB_ZERO : 0;
	u64 left = quarry_ctl_value(call, COUNT, 1);
	struct quarry_slab_object object;
	struct test *test = find(call);
	unsigned int nr, got;
	u64 nr_allocated = 0;

	if (IS_ERR(test))
		return PTR_ERR(test);
	while (left) {
		nr = min_t(u64, left, BULK);
		got = alloc_some(test, flags, nr);
		nr_allocated += got;
		left -= got;
		if (got < nr)
			break;
		cond_resched();
	}
	if (nr_allocated && !test_lookup(test, test->held.first, &object))
		answer_object(call, &object);
	if (quarry_ctl_given(call, COUNT))
		quarry_ctl_answer(call, "nr_allocated: %llu\n", nr_allocated);
	return left ? -ENOMEM : 0;
}

static int run_free(struct quarry_ctl_call *call)
{
	void *object = quarry_ctl_pointer(call, OFFSET);
	struct test *test = find(call);

	if (IS_ERR(test))
		return PTR_ERR(test);
	quarry_hold_del(&test->held, object);
	return test_free(test, object);
}

static int run_freeall(struct quarry_ctl_call *call)
{
	struct test *test = find(call);
	void *objects[BULK];
	unsigned int nr;
	u64 nr_freed = 0;
	int err = 0;

	if (IS_ERR(test))
		return PTR_ERR(test);
	while (!err && test->held.nr) {
		for (nr = 0; nr < BULK && test->held.nr; nr++)
			objects[nr] = quarry_hold_take(&test->held);
		err = test_free_bulk(test, nr, objects);
		nr_freed += nr;
		cond_resched();
	}
	quarry_ctl_answer(call, "nr_freed: %llu\n", nr_freed);
	return err;
}

static int run_lookup(struct quarry_ctl_call *call)
{
	struct test *test = find(call);
	struct quarry_slab_object object;
	int err;

	if (IS_ERR(test))
		return PTR_ERR(test);
	err = test_lookup(test, quarry_ctl_pointer(call, OFFSET), &object);
	if (err)
		return err;
	if (object.free)
		return -ENOENT;
	answer_object(call, &object);
	return 0;
}

/* ---- What else can be done with one of them ---- */

static int run_drain(struct quarry_ctl_call *call)
{
	struct quarry_cache *cache = find_cache(call);

	if (IS_ERR(cache))
		return PTR_ERR(cache);
	quarry_ctl_answer(call, "nr_drained: %u\n", quarry_cache_drain(cache));
	return 0;
}

static int run_shrink(struct quarry_ctl_call *call)
{
	struct quarry_cache *cache = find_cache(call);

	if (IS_ERR(cache))
		return PTR_ERR(cache);
	quarry_ctl_answer(call, "nr_released: %u\n", quarry_cache_shrink(cache));
	return 0;
}

static int run_reclaim(struct quarry_ctl_call *call)
{
	struct quarry_slab *slab = find_bare(call);

	if (IS_ERR(slab))
		return PTR_ERR(slab);
	quarry_ctl_answer(call, "nr_released: %u\n",
			  quarry_slab_reclaim(slab, quarry_ctl_count(call, COUNT, UINT_MAX)));
	return 0;
}

/* Tell a bare slab a number. */
static int tell(struct quarry_ctl_call *call, int (*set)(struct quarry_slab *slab, unsigned int nr))
{
	struct quarry_slab *slab = find_bare(call);

	return IS_ERR(slab) ? PTR_ERR(slab) : set(slab, quarry_ctl_count(call, COUNT, 0));
}

static int run_reserve(struct quarry_ctl_call *call)
{
	return tell(call, quarry_slab_reserve);
}

static int run_watermark(struct quarry_ctl_call *call)
{
	return tell(call, quarry_slab_set_watermark);
}

static int run_keep(struct quarry_ctl_call *call)
{
	return tell(call, quarry_slab_set_keep);
}

/*
 * Until the other CPUs have done what they were asked for before the call. A CPU serves
 * those first who wait for it, so it's the second time that comes behind all the rest.
 */
static void wait_for_cpus(void)
{
	kick_all_cpus_sync();
	kick_all_cpus_sync();
}

/* What other CPUs have at hand is found in the second round; the third finds where it lay. */
static int run_reclaimall(struct quarry_ctl_call *call)
{
	size_t size = 0;
	int round;

	for (round = 0; round < RECLAIM_ROUNDS; round++) {
		size += quarry_backend_reclaim(&call->instance->backend);
		wait_for_cpus();
	}
	quarry_ctl_answer(call, "reclaimed: %zu bytes\n", size);
	return 0;
}

static const struct quarry_ctl_command commands[] = {
	{ "create", BIT(NAME) | BIT(SIZE), BIT(ALIGN) | BIT(SLAB_SIZE) | BIT(BARE) | BIT(DEBUG),
	  run_create },
	{ "destroy", BIT(NAME), BIT(FORCE), run_destroy },
	{ "alloc", BIT(NAME), BIT(COUNT) | BIT(ZERO), run_alloc },
	{ "free", BIT(NAME) | BIT(OFFSET), 0, run_free },
	{ "freeall", BIT(NAME), 0, run_freeall },
	{ "lookup", BIT(NAME) | BIT(OFFSET), 0, run_lookup },
	{ "drain", BIT(NAME), 0, run_drain },
	{ "shrink", BIT(NAME), 0, run_shrink },
	{ "reclaim", BIT(NAME), BIT(COUNT), run_reclaim },
	{ "reserve", BIT(NAME) | BIT(COUNT), 0, run_reserve },
	{ "watermark", BIT(NAME) | BIT(COUNT), 0, run_watermark },
	{ "keep", BIT(NAME) | BIT(COUNT), 0, run_keep },
	{ "reclaimall", 0, 0, run_reclaimall },
	{}
};

struct quarry_ctl quarry_slab_ctl = {
	.commands = commands,
	.words = words,
	.nr_words = ARRAY_SIZE(words),
	.notes =
		"# NAME is that of something made here: a cache, or a bare slab.\n"
		"# SIZE and COUNT are numbers, with a suffix K, M or G if you like.\n"
		"# OFFSET is in bytes from the start of the region.\n"
		"# drain and shrink are for caches, reclaim to keep for bare slabs; reclaimall asks\n"
		"# all on the region for what they hold and don't use.\n",
	.lock = __MUTEX_INITIALIZER(quarry_slab_ctl.lock),
};
