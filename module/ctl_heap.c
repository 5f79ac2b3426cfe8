// SPDX-License-Identifier: GPL-2.0
/*
 * heap/ctl: heaps made, used and destroyed by hand, and the default heap used.
 *
 * A heap that is made here lies in the region itself, and so do its extents: ranges
 * from the backend. Of the default heap only the blocks are freed that were made
 * here; in the others there are none but these.
 *
 * The lock of the file guards the list of heaps, and what is held in each.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/debugfs.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "ctl.h"
#include "debugfs.h"
#include "hold.h"
#include "instance.h"

/* In the order that operands have in a command. */
enum word {
	NAME,
	OFFSET,
	SIZE,
	COUNT,
	PAGE,
	GROW,
	CACHING,
	ALIGN,
	ZERO,
	DEFERRED,
	FORCE,
};

static const struct quarry_ctl_word words[] = {
	[NAME]		= { NULL, "NAME", QUARRY_CTL_NAME },
	[OFFSET]	= { NULL, "OFFSET", QUARRY_CTL_OFFSET },
	[SIZE]		= { NULL, "SIZE", QUARRY_CTL_NUMBER },
	[COUNT]		= { NULL, "COUNT", QUARRY_CTL_NUMBER },
	[PAGE]		= { "page", "SIZE", QUARRY_CTL_NUMBER },
	[GROW]		= { "grow", "SIZE", QUARRY_CTL_NUMBER },
	[CACHING]	= { "caching", "SIZE", QUARRY_CTL_NUMBER },
	[ALIGN]		= { "align", "SIZE", QUARRY_CTL_NUMBER },
	[ZERO]		= { "zero", NULL, QUARRY_CTL_FLAG },
	[DEFERRED]	= { "deferred", NULL, QUARRY_CTL_FLAG },
	[FORCE]		= { "force", NULL, QUARRY_CTL_FLAG },
};

#define DEFAULT_PAGE	512

/**
 * struct subject - a heap that can be used here
 * @list: all of them
 * @shown: what debugfs knows of it
 * @held: blocks that were allocated here
 */
struct subject {
	struct list_head list;
	struct quarry_named_heap shown;
	struct quarry_hold held;
};

/* One that was made here. */
struct made {
	struct subject subject;
	struct quarry_heap heap;
	char name[QUARRY_NAME_SIZE];
};

static LIST_HEAD(subjects);
static struct subject default_subject;

static struct subject *find(const struct quarry_ctl_call *call)
{
	struct subject *subject;

	list_for_each_entry(subject, &subjects, list)
		if (!strcmp(subject->shown.named.name, call->name))
			return subject;
	return ERR_PTR(-ENOENT);
}

/* What can be done only to a heap of ours. */
static struct made *find_made(const struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);

	if (IS_ERR(subject))
		return ERR_CAST(subject);
	if (subject == &default_subject)
		return ERR_PTR(-EPERM);
	return container_of(subject, struct made, subject);
}

/* ---- create and destroy ---- */

static void flush(void *ctx, void *memory, size_t size)
{
	quarry_instance_give(ctx, memory, size);
}

static int start_growing(const struct quarry_ctl_call *call, struct quarry_heap *heap)
{
	if (!quarry_ctl_given(call, GROW))
		return 0;
	return quarry_heap_set_backend(heap, &call->instance->backend,
				       quarry_ctl_size(call, GROW), 1);
}

static int start_caching(const struct quarry_ctl_call *call, struct quarry_heap *heap)
{
	if (!quarry_ctl_given(call, CACHING))
		return 0;
	return quarry_heap_set_caching(heap, quarry_ctl_size(call, CACHING));
}

static int start(const struct quarry_ctl_call *call, struct made *made, void *memory)
{
	struct quarry_named_heap *shown = &made->subject.shown;
	size_t page = quarry_ctl_given(call, PAGE) ? quarry_ctl_size(call, PAGE) : DEFAULT_PAGE;
	int err;

	strscpy(made->name, call->name, sizeof(made->name));
	shown->named.name = made->name;
	shown->heap = &made->heap;
	err = quarry_heap_init(&made->heap, made->name, memory, quarry_ctl_size(call, SIZE), page);
	if (err)
		return err;
	err = start_growing(call, &made->heap) ?: start_caching(call, &made->heap) ?:
	      quarry_named_add(&quarry_heap_kind, &shown->named);
	if (err)
		quarry_heap_destroy(&made->heap, NULL, NULL);
	return err;
}

/* A heap of size 0 has nothing until it grows. */
static int run_create(struct quarry_ctl_call *call)
{
	struct quarry_instance *instance = call->instance;
	size_t size = quarry_ctl_size(call, SIZE);
	struct made *made = quarry_instance_take(instance, sizeof(*made));
	void *memory = NULL;
	int err = -ENOMEM;

	if (!made)
		return -ENOMEM;
	if (size) {
		memory = quarry_instance_take(instance, size);
		if (!memory)
			goto give_made;
	}
	err = start(call, made, memory);
	if (err)
		goto give_memory;
	list_add_tail(&made->subject.list, &subjects);
	return 0;

give_memory:
	if (memory)
		quarry_instance_give(instance, memory, size);
give_made:
	quarry_instance_give(instance, made, sizeof(*made));
	return err;
}

/* Nobody sees it any more before it ends. */
static u64 destroy(struct quarry_instance *instance, struct made *made)
{
	u64 nr_used;

	list_del(&made->subject.list);
	quarry_named_del(&made->subject.shown.named);
	nr_used = quarry_heap_destroy(&made->heap, flush, instance);
	quarry_instance_give(instance, made, sizeof(*made));
	return nr_used;
}

/* What is in use refuses to go. */
static int run_destroy(struct quarry_ctl_call *call)
{
	struct made *made = find_made(call);
	u64 nr_used = 0;
	int err = 0;

	if (IS_ERR(made))
		return PTR_ERR(made);
	if (made->subject.held.nr && !quarry_ctl_given(call, FORCE))
		err = quarry_heap_fini(&made->heap, &nr_used);
	else
		nr_used = destroy(call->instance, made);
	quarry_ctl_answer(call, "nr_used: %llu\n", nr_used);
	return err;
}

/**
 * quarry_heap_ctl_init() - let the default heap be used
 * @instance: the instance
 *
 * Context: may sleep. Before there is the file.
 */
void quarry_heap_ctl_init(struct quarry_instance *instance)
{
	struct quarry_named_heap *shown = &default_subject.shown;

	shown->named.name = "default";
	shown->heap = &instance->heap;
	if (!quarry_named_add(&quarry_heap_kind, &shown->named))
		list_add_tail(&default_subject.list, &subjects);
}

/**
 * quarry_heap_ctl_exit() - destroy what was made by heap/ctl and not destroyed
 * @instance: the instance
 *
 * Context: may sleep. The file is gone.
 */
void quarry_heap_ctl_exit(struct quarry_instance *instance)
{
	struct subject *subject, *next;

	list_for_each_entry_safe(subject, next, &subjects, list)
		if (subject != &default_subject)
			destroy(instance, container_of(subject, struct made, subject));
}

/* ---- extend and shrink ---- */

static int run_extend(struct quarry_ctl_call *call)
{
	size_t size = quarry_ctl_size(call, SIZE);
	struct made *made = find_made(call);
	void *memory;
	int err;

	if (IS_ERR(made))
		return PTR_ERR(made);
	if (!size)
		return -EINVAL;
	memory = quarry_instance_take(call->instance, size);
	if (!memory)
		return -ENOMEM;
	err = quarry_heap_extend(&made->heap, memory, size);
	if (err)
		quarry_instance_give(call->instance, memory, size);
	else
		quarry_ctl_answer_offset(call, "offset", memory);
	return err;
}

/* How large the extent is that was given at @memory; 0 if none was. */
static size_t extent_size(struct quarry_heap *heap, const void *memory)
{
	struct quarry_heap_extent_stats stats;
	unsigned int i;

	for (i = 0; !quarry_heap_extent_stats(heap, i, &stats); i++)
		if (stats.memory == memory && !stats.grown)
			return stats.size;
	return 0;
}

static int run_shrink(struct quarry_ctl_call *call)
{
	void *memory = quarry_ctl_pointer(call, OFFSET);
	struct made *made = find_made(call);
	size_t size;
	int err;

	if (IS_ERR(made))
		return PTR_ERR(made);
	size = extent_size(&made->heap, memory);
	err = quarry_heap_shrink(&made->heap, memory);
	if (!err && size)
		quarry_instance_give(call->instance, memory, size);
	return err;
}

/* ---- alloc and free ---- */

static void answer_block(struct quarry_ctl_call *call, struct quarry_heap *heap, void *block)
{
	quarry_ctl_answer_offset(call, "offset", block);
	quarry_ctl_answer(call, "size: %zu bytes\n", quarry_heap_usable_size(heap, block));
}

static u64 nr_misuses(struct quarry_heap *heap)
{
	struct quarry_heap_stats stats;

	quarry_heap_stats(heap, &stats);
	return stats.nr_misuses;
}

/* A heap tells by its counters only why it has nothing to give. */
static int why_not(struct quarry_heap *heap, u64 misuses_before)
{
	return nr_misuses(heap) == misuses_before ? -ENOSPC : -EINVAL;
}

static void *alloc_one(const struct quarry_ctl_call *call, struct quarry_heap *heap)
{
	size_t size = quarry_ctl_size(call, SIZE);
	void *block;

	if (!quarry_ctl_given(call, ALIGN))
		return quarry_ctl_given(call, ZERO) ? quarry_heap_zalloc(heap, size) :
						      quarry_heap_alloc(heap, size);
	block = quarry_heap_alloc_aligned(heap, size, quarry_ctl_size(call, ALIGN));
	if (block && quarry_ctl_given(call, ZERO))
		memset(block, 0, size);
	return block;
}

/* Of many, those that could be had stay. */
static int run_alloc(struct quarry_ctl_call *call)
{
	u64 i, nr = quarry_ctl_value(call, COUNT, 1);
	struct subject *subject = find(call);
	struct quarry_heap *heap;
	void *block = NULL;
	u64 before;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	heap = subject->shown.heap;
	before = nr_misuses(heap);
	for (i = 0; i < nr && !fatal_signal_pending(current); i++) {
		block = alloc_one(call, heap);
		if (!block)
			break;
		quarry_hold_add(&subject->held, block);
		cond_resched();
	}
	if (i)
		answer_block(call, heap, subject->held.first);
	if (quarry_ctl_given(call, COUNT))
		quarry_ctl_answer(call, "nr_allocated: %llu\n", i);
	return i == nr ? 0 : why_not(heap, before);
}

/* Whether it is the start of a block that someone else has. */
static bool is_others(struct subject *subject, void *addr)
{
	struct quarry_heap_block block;

	return subject == &default_subject &&
	       !quarry_heap_lookup(subject->shown.heap, addr, &block) && block.addr == addr;
}

static int run_free(struct quarry_ctl_call *call)
{
	void *block = quarry_ctl_pointer(call, OFFSET);
	struct subject *subject = find(call);

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	if (!quarry_hold_del(&subject->held, block) && is_others(subject, block))
		return -EPERM;
	return quarry_ctl_given(call, DEFERRED) ?
	       quarry_heap_free_deferred(subject->shown.heap, block) :
	       quarry_heap_free(subject->shown.heap, block);
}

static int run_freeall(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);
	u64 nr_freed = 0;
	void *block;
	int err = 0;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	while (!err && (block = quarry_hold_take(&subject->held))) {
		err = quarry_heap_free(subject->shown.heap, block);
		nr_freed += !err;
		cond_resched();
	}
	quarry_ctl_answer(call, "nr_freed: %llu\n", nr_freed);
	return err;
}

/* A heap copies all of a block, also the word by which it was held. */
static int run_realloc(struct quarry_ctl_call *call)
{
	void *old = quarry_ctl_pointer(call, OFFSET);
	struct subject *subject = find(call);
	struct quarry_heap *heap;
	void *block;
	u64 before;
	bool ours;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	heap = subject->shown.heap;
	before = nr_misuses(heap);
	ours = quarry_hold_del(&subject->held, old);
	if (!ours && is_others(subject, old))
		return -EPERM;
	block = quarry_heap_realloc(heap, old, quarry_ctl_size(call, SIZE));
	if (block || ours)
		quarry_hold_add(&subject->held, block ?: old);
	if (!block)
		return why_not(heap, before);
	answer_block(call, heap, block);
	return 0;
}

static int run_lookup(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);
	struct quarry_heap_block block;
	int err;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	err = quarry_heap_lookup(subject->shown.heap, quarry_ctl_pointer(call, OFFSET), &block);
	if (err)
		return err;
	quarry_ctl_answer_offset(call, "offset", block.addr);
	quarry_ctl_answer(call, "size: %zu bytes\n", block.size);
	return 0;
}

static int run_reap(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	quarry_ctl_answer(call, "nr_freed: %lu\n", quarry_heap_reap(subject->shown.heap));
	return 0;
}

static const struct quarry_ctl_command commands[] = {
	{ "create", BIT(NAME) | BIT(SIZE), BIT(PAGE) | BIT(GROW) | BIT(CACHING), run_create },
	{ "destroy", BIT(NAME), BIT(FORCE), run_destroy },
	{ "extend", BIT(NAME) | BIT(SIZE), 0, run_extend },
	{ "shrink", BIT(NAME) | BIT(OFFSET), 0, run_shrink },
	{ "alloc", BIT(NAME) | BIT(SIZE), BIT(COUNT) | BIT(ALIGN) | BIT(ZERO), run_alloc },
	{ "realloc", BIT(NAME) | BIT(OFFSET) | BIT(SIZE), 0, run_realloc },
	{ "free", BIT(NAME) | BIT(OFFSET), BIT(DEFERRED), run_free },
	{ "freeall", BIT(NAME), 0, run_freeall },
	{ "lookup", BIT(NAME) | BIT(OFFSET), 0, run_lookup },
	{ "reap", BIT(NAME), 0, run_reap },
	{}
};

struct quarry_ctl quarry_heap_ctl = {
	.commands = commands,
	.words = words,
	.nr_words = ARRAY_SIZE(words),
	.notes =
		"# NAME is that of a heap made here, or default.\n"
		"# SIZE is in bytes, or with a suffix K, M or G; grow is the size of an extent,\n"
		"# and caching that of the largest blocks that CPUs have at hand.\n"
		"# OFFSET is in bytes from the start of the region.\n"
		"# free, realloc and freeall work on blocks that were made here.\n",
	.lock = __MUTEX_INITIALIZER(quarry_heap_ctl.lock),
};
