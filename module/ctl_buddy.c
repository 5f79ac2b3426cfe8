// SPDX-License-Identifier: GPL-2.0
/*
 * buddy/ctl: the buddy driven by hand.
 *
 * It frees and moves only the blocks that it has made, for which it keeps a bit a
 * page in the region.
 */
#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/mm.h>

#include "ctl.h"
#include "instance.h"

/* In the order that operands have in a command. */
enum word {
	OFFSET,
	SIZE,
	EXACT,
	TOPDOWN,
	ALIGN,
	MIN,
	MAX,
};

#define FLAGS		(BIT(EXACT) | BIT(TOPDOWN))
#define CONSTRAINTS	(BIT(ALIGN) | BIT(MIN) | BIT(MAX))

static const struct quarry_ctl_word words[] = {
	[OFFSET]	= { NULL, "OFFSET", QUARRY_CTL_OFFSET },
	[SIZE]		= { NULL, "SIZE", QUARRY_CTL_PAGES },
	[EXACT]		= { "exact", NULL, QUARRY_CTL_FLAG },
	[TOPDOWN]	= { "topdown", NULL, QUARRY_CTL_FLAG },
	[ALIGN]		= { "align", "SIZE", QUARRY_CTL_PAGES },
	[MIN]		= { "min", "OFFSET", QUARRY_CTL_OFFSET },
	[MAX]		= { "max", "OFFSET", QUARRY_CTL_OFFSET },
};

/* ---- Whose a block is ---- */

static unsigned long bit_of(const struct quarry_instance *instance, u64 addr)
{
	return quarry_instance_offset(instance, addr) >> PAGE_SHIFT;
}

static void own(struct quarry_instance *instance, u64 addr)
{
	__set_bit(bit_of(instance, addr), instance->ctl_blocks);
}

static void disown(struct quarry_instance *instance, u64 addr)
{
	__clear_bit(bit_of(instance, addr), instance->ctl_blocks);
}

/*
 * Only a block of someone else is refused here; the buddy knows all other errors.
 * If it is a block of ours, @block tells what it is.
 */
static int check_owner(struct quarry_instance *instance, u64 addr,
		       struct quarry_buddy_block *block)
{
	bool found = !quarry_buddy_lookup(&instance->buddy, addr, block);

	if (!found || block->addr != addr)
		return 0;
	return test_bit(bit_of(instance, addr), instance->ctl_blocks) ? 0 : -EPERM;
}

/* ---- The commands ---- */

static unsigned int flags_of(const struct quarry_ctl_call *call)
{
	return (quarry_ctl_given(call, EXACT) ? QUARRY_BUDDY_EXACT : 0) |
	       (quarry_ctl_given(call, TOPDOWN) ? QUARRY_BUDDY_TOPDOWN : 0);
}

static struct quarry_buddy_request request_of(const struct quarry_ctl_call *call)
{
	return (struct quarry_buddy_request) {
		.size = call->value[SIZE],
		.align = call->value[ALIGN],
		.min = call->value[MIN],
		.max = quarry_ctl_value(call, MAX, U64_MAX),
		.flags = flags_of(call),
	};
}

static void answer(struct quarry_ctl_call *call, const struct quarry_buddy_block *block)
{
	quarry_ctl_answer(call, "offset: 0x%llx\nsize: %llu bytes\n",
			  quarry_instance_offset(call->instance, block->addr), block->size);
}

static int run_alloc(struct quarry_ctl_call *call)
{
	struct quarry_buddy_request request = request_of(call);
	struct quarry_buddy *buddy = &call->instance->buddy;
	struct quarry_buddy_block block;
	int err;

	if (call->given & CONSTRAINTS)
		err = quarry_buddy_xalloc(buddy, &request, &block);
	else
		err = quarry_buddy_alloc(buddy, request.size, request.flags, &block);
	if (err)
		return err;
	own(call->instance, block.addr);
	answer(call, &block);
	return 0;
}

static int run_probe(struct quarry_ctl_call *call)
{
	struct quarry_buddy_request request = request_of(call);
	struct quarry_buddy_block block;
	int err = quarry_buddy_probe(&call->instance->buddy, &request, &block);

	if (!err)
		answer(call, &block);
	return err;
}

static int run_lookup(struct quarry_ctl_call *call)
{
	struct quarry_buddy_block block;
	int err = quarry_buddy_lookup(&call->instance->buddy, call->value[OFFSET], &block);

	if (!err)
		answer(call, &block);
	return err;
}

static int run_reserve(struct quarry_ctl_call *call)
{
	int err = quarry_buddy_reserve(&call->instance->buddy, call->value[OFFSET],
				       call->value[SIZE]);

	if (err)
		return err;
	own(call->instance, call->value[OFFSET]);
	return run_lookup(call);
}

static int run_free(struct quarry_ctl_call *call)
{
	struct quarry_instance *instance = call->instance;
	u64 addr = call->value[OFFSET];
	struct quarry_buddy_block block = {};
	int err = check_owner(instance, addr, &block);

	if (err)
		return err;
	err = quarry_buddy_free(&instance->buddy, addr);
	if (err)
		return err;
	disown(instance, addr);
	answer(call, &block);
	return 0;
}

static int run_realloc(struct quarry_ctl_call *call)
{
	struct quarry_instance *instance = call->instance;
	u64 addr = call->value[OFFSET];
	struct quarry_buddy_block block;
	int err = check_owner(instance, addr, &block);

	if (err)
		return err;
	err = quarry_buddy_realloc(&instance->buddy, addr, call->value[SIZE], flags_of(call),
				   &block);
	if (err)
		return err;
	disown(instance, addr);
	own(instance, block.addr);
	answer(call, &block);
	return 0;
}

static int run_freeall(struct quarry_ctl_call *call)
{
	struct quarry_instance *instance = call->instance;
	unsigned long nr_pages = instance->managed.size >> PAGE_SHIFT;
	unsigned long page, nr_freed = 0;
	u64 addr;
	int err = 0;

	for_each_set_bit(page, instance->ctl_blocks, nr_pages) {
		addr = instance->managed.base + ((u64)page << PAGE_SHIFT);
		err = quarry_buddy_free(&instance->buddy, addr);
		if (err)
			break;
		disown(instance, addr);
		nr_freed++;
	}
	quarry_ctl_answer(call, "nr_freed: %lu\n", nr_freed);
	return err;
}

static const struct quarry_ctl_command commands[] = {
	{ "alloc", BIT(SIZE), FLAGS | CONSTRAINTS, run_alloc },
	{ "probe", BIT(SIZE), FLAGS | CONSTRAINTS, run_probe },
	{ "reserve", BIT(OFFSET) | BIT(SIZE), 0, run_reserve },
	{ "free", BIT(OFFSET), 0, run_free },
	{ "realloc", BIT(OFFSET) | BIT(SIZE), FLAGS, run_realloc },
	{ "lookup", BIT(OFFSET), 0, run_lookup },
	{ "freeall", 0, 0, run_freeall },
	{}
};

struct quarry_ctl quarry_buddy_ctl = {
	.commands = commands,
	.words = words,
	.nr_words = ARRAY_SIZE(words),
	.notes =
		"# SIZE counts pages, or bytes with a suffix K, M or G.\n"
		"# OFFSET is in bytes from the start of the region; max is inclusive.\n"
		"# free, realloc and freeall work on blocks that were made here.\n",
	.lock = __MUTEX_INITIALIZER(quarry_buddy_ctl.lock),
};
