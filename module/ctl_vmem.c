// SPDX-License-Identifier: GPL-2.0
/*
 * vmem/ctl: arenas of any numbers made, used and destroyed by hand, and the default
 * arena used.
 *
 * An arena that is made here lies in the region, with its boundary tags, but what
 * it manages is just numbers. The default arena manages addresses in the region,
 * which are told as offsets; of it, only the segments are freed that were made here,
 * for which there is a bit a page in the region.
 *
 * The lock of the file guards the list of arenas, and these bits.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "ctl.h"
#include "debugfs.h"
#include "instance.h"

/* In the order that operands have in a command. */
enum word {
	NAME,
	ADDR,
	SIZE,
	QUANTUM,
	NEW_SIZE,
	COUNT,
	ALIGN,
	PHASE,
	NOCROSS,
	MIN,
	MAX,
	BESTFIT,
	NEXTFIT,
	QCACHE,
	FORCE,
};

#define STRATEGIES	(BIT(BESTFIT) | BIT(NEXTFIT))
#define CONSTRAINTS	(BIT(ALIGN) | BIT(PHASE) | BIT(NOCROSS) | BIT(MIN) | BIT(MAX))
#define SEGMENT		(BIT(NAME) | BIT(ADDR) | BIT(SIZE))

static const struct quarry_ctl_word words[] = {
	[NAME]		= { NULL, "NAME", QUARRY_CTL_NAME },
	[ADDR]		= { NULL, "ADDR", QUARRY_CTL_NUMBER },
	[SIZE]		= { NULL, "SIZE", QUARRY_CTL_NUMBER },
	[QUANTUM]	= { NULL, "QUANTUM", QUARRY_CTL_NUMBER },
	[NEW_SIZE]	= { NULL, "NEW_SIZE", QUARRY_CTL_NUMBER },
	[COUNT]		= { NULL, "COUNT", QUARRY_CTL_NUMBER },
	[ALIGN]		= { "align", "SIZE", QUARRY_CTL_NUMBER },
	[PHASE]		= { "phase", "SIZE", QUARRY_CTL_NUMBER },
	[NOCROSS]	= { "nocross", "SIZE", QUARRY_CTL_NUMBER },
	[MIN]		= { "min", "ADDR", QUARRY_CTL_NUMBER },
	[MAX]		= { "max", "ADDR", QUARRY_CTL_NUMBER },
	[BESTFIT]	= { "bestfit", NULL, QUARRY_CTL_FLAG },
	[NEXTFIT]	= { "nextfit", NULL, QUARRY_CTL_FLAG },
	[QCACHE]	= { "qcache", "COUNT", QUARRY_CTL_NUMBER },
	[FORCE]		= { "force", NULL, QUARRY_CTL_FLAG },
};

static_assert(ARRAY_SIZE(words) <= QUARRY_CTL_MAX_WORDS);

/**
 * struct subject - an arena that can be used here
 * @list: all of them
 * @shown: what debugfs knows of it
 * @owned: a bit for each page, set where a segment starts that was allocated here;
 *	NULL where nobody else allocates
 */
struct subject {
	struct list_head list;
	struct quarry_named_vmem shown;
	unsigned long *owned;
};

/* One that was made here. */
struct made {
	struct subject subject;
	struct quarry_vmem vmem;
	struct quarry_qcaches qcaches;
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

/* What can be done only to an arena of ours. */
static struct made *find_made(const struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);

	if (IS_ERR(subject))
		return ERR_CAST(subject);
	if (subject == &default_subject)
		return ERR_PTR(-EPERM);
	return container_of(subject, struct made, subject);
}

/*
 * The value of ADDR and the like, which are told from where the arena's are. What lies beyond
 * all addresses is as far off as the last one.
 */
static u64 addr_of(const struct quarry_ctl_call *call, const struct subject *subject,
		   enum word word)
{
	u64 addr;

	if (check_add_overflow(call->value[word], subject->shown.origin, &addr))
		return U64_MAX;
	return addr;
}

/* ---- Whose a segment is ---- */

static unsigned long bit_of(const struct subject *subject, u64 addr)
{
	return (addr - subject->shown.origin) >> PAGE_SHIFT;
}

static void own(struct subject *subject, u64 addr)
{
	if (subject->owned)
		__set_bit(bit_of(subject, addr), subject->owned);
}

static void disown(struct subject *subject, u64 addr)
{
	if (subject->owned)
		__clear_bit(bit_of(subject, addr), subject->owned);
}

static bool is_used(const struct quarry_vmem_segment *segment)
{
	return segment->state == QUARRY_VMEM_USED || segment->state == QUARRY_VMEM_XUSED;
}

static bool is_ours(const struct subject *subject, const struct quarry_vmem_segment *segment)
{
	return is_used(segment) &&
	       (!subject->owned || test_bit(bit_of(subject, segment->addr), subject->owned));
}

/* Only a segment of someone else is refused here; the arena knows all other errors. */
static int check_owner(struct subject *subject, u64 addr)
{
	struct quarry_vmem_segment segment;

	if (quarry_vmem_lookup(subject->shown.vmem, addr, &segment) || segment.addr != addr ||
	    !is_used(&segment) || is_ours(subject, &segment))
		return 0;
	return -EPERM;
}

static u64 free_ours(struct subject *subject)
{
	struct quarry_vmem *vmem = subject->shown.vmem;
	struct quarry_vmem_segment segment;
	u64 at = 0, nr_freed = 0;
	int err;

	while (!quarry_vmem_next(vmem, at, &segment)) {
		if (is_ours(subject, &segment)) {
			err = segment.state == QUARRY_VMEM_USED ?
			      quarry_vmem_free(vmem, segment.addr, segment.size) :
			      quarry_vmem_xfree(vmem, segment.addr, segment.size);
			if (err)
				break;
			disown(subject, segment.addr);
			nr_freed++;
		}
		at = segment.addr + segment.size;
		if (!at)
			break;
		cond_resched();
	}
	return nr_freed;
}

/* ---- create and destroy ---- */

static int start_qcaches(const struct quarry_ctl_call *call, struct made *made)
{
	const struct quarry_qcaches_config config = {
		.vmem = &made->vmem,
		.nr = quarry_ctl_count(call, QCACHE, 0),
		.backend = &call->instance->backend,
	};
	int err;

	if (!quarry_ctl_given(call, QCACHE))
		return 0;
	err = quarry_qcaches_init(&made->qcaches, &config);
	if (!err)
		made->subject.shown.qcaches = &made->qcaches;
	return err;
}

static int end(struct made *made)
{
	if (made->subject.shown.qcaches)
		quarry_qcaches_fini(&made->qcaches);
	return quarry_vmem_fini(&made->vmem);
}

static int start(const struct quarry_ctl_call *call, struct made *made)
{
	struct quarry_named_vmem *shown = &made->subject.shown;
	int err;

	strscpy(made->name, call->name, sizeof(made->name));
	shown->named.name = made->name;
	shown->vmem = &made->vmem;
	err = quarry_vmem_init(&made->vmem, made->name, call->value[ADDR], call->value[SIZE],
			       call->value[QUANTUM], NULL, 0, &call->instance->backend);
	if (err)
		return err;
	err = start_qcaches(call, made) ?: quarry_named_add(&quarry_vmem_kind, &shown->named);
	if (err)
		end(made);
	return err;
}

static int run_create(struct quarry_ctl_call *call)
{
	struct made *made = quarry_instance_take(call->instance, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	err = start(call, made);
	if (err) {
		quarry_instance_give(call->instance, made, sizeof(*made));
		return err;
	}
	list_add_tail(&made->subject.list, &subjects);
	return 0;
}

/* Nobody sees it any more before it ends. */
static u64 destroy(struct quarry_instance *instance, struct made *made)
{
	u64 nr_used;

	list_del(&made->subject.list);
	quarry_named_del(&made->subject.shown.named);
	nr_used = free_ours(&made->subject);
	if (end(made))
		pr_warn("vmem %s can't be ended\n", made->name);
	quarry_instance_give(instance, made, sizeof(*made));
	return nr_used;
}

/* What a quantum cache has is in use to the arena, but not to anybody else. */
static u64 count_used(struct made *made)
{
	struct quarry_vmem_stats stats;

	if (made->subject.shown.qcaches)
		quarry_qcaches_drain(&made->qcaches);
	quarry_vmem_stats(&made->vmem, &stats);
	return stats.nr_used;
}

/* What is in use refuses to go, and lists in the log what there is. */
static int run_destroy(struct quarry_ctl_call *call)
{
	struct made *made = find_made(call);
	u64 nr;

	if (IS_ERR(made))
		return PTR_ERR(made);
	nr = count_used(made);
	quarry_ctl_answer(call, "nr_used: %llu\n", nr);
	if (nr && !quarry_ctl_given(call, FORCE))
		return quarry_vmem_fini(&made->vmem);
	destroy(call->instance, made);
	return 0;
}

/**
 * quarry_vmem_ctl_init() - let the default arena be used
 * @instance: the instance
 *
 * Context: may sleep. Before there is the file.
 */
void quarry_vmem_ctl_init(struct quarry_instance *instance)
{
	struct quarry_named_vmem *shown = &default_subject.shown;

	shown->named.name = "default";
	shown->vmem = &instance->vmem;
	shown->origin = instance->managed.base;
	default_subject.owned = instance->ctl_segments;
	if (!quarry_named_add(&quarry_vmem_kind, &shown->named))
		list_add_tail(&default_subject.list, &subjects);
}

/**
 * quarry_vmem_ctl_exit() - destroy what was made by vmem/ctl and not destroyed
 * @instance: the instance
 *
 * Context: may sleep. The file is gone.
 */
void quarry_vmem_ctl_exit(struct quarry_instance *instance)
{
	struct subject *subject, *next;
	struct made *made;
	u64 nr;

	list_for_each_entry_safe(subject, next, &subjects, list) {
		if (subject == &default_subject)
			continue;
		made = container_of(subject, struct made, subject);
		nr = count_used(made);
		if (nr)
			pr_warn("vmem %s goes with %llu segments still in use\n", made->name, nr);
		destroy(instance, made);
	}
}

/* ---- Spans ---- */

static int run_add(struct quarry_ctl_call *call)
{
	struct made *made = find_made(call);

	return IS_ERR(made) ? PTR_ERR(made) :
			      quarry_vmem_add(&made->vmem, call->value[ADDR], call->value[SIZE]);
}

static int run_remove(struct quarry_ctl_call *call)
{
	struct made *made = find_made(call);

	return IS_ERR(made) ? PTR_ERR(made) :
			      quarry_vmem_remove(&made->vmem, call->value[ADDR], call->value[SIZE]);
}

/* ---- alloc and free ---- */

static unsigned int strategy_of(const struct quarry_ctl_call *call)
{
	if (!(call->given & STRATEGIES))
		return QUARRY_VMEM_FIRSTFIT;
	return (quarry_ctl_given(call, BESTFIT) ? QUARRY_VMEM_BESTFIT : 0) |
	       (quarry_ctl_given(call, NEXTFIT) ? QUARRY_VMEM_NEXTFIT : 0);
}

static void answer(struct quarry_ctl_call *call, const struct subject *subject, u64 addr)
{
	struct quarry_vmem_segment segment;

	if (quarry_vmem_lookup(subject->shown.vmem, addr, &segment))
		return;
	quarry_ctl_answer(call, "addr: 0x%llx\nsize: %llu\n",
			  segment.addr - subject->shown.origin, segment.size);
}

static int alloc_one(const struct quarry_ctl_call *call, const struct subject *subject, u64 *addr)
{
	return quarry_vmem_alloc(subject->shown.vmem, call->value[SIZE], strategy_of(call), addr);
}

static int xalloc_one(const struct quarry_ctl_call *call, const struct subject *subject, u64 *addr)
{
	const struct quarry_vmem_request request = {
		.size = call->value[SIZE],
		.align = call->value[ALIGN],
		.phase = call->value[PHASE],
		.nocross = call->value[NOCROSS],
		.min = quarry_ctl_given(call, MIN) ? addr_of(call, subject, MIN) : 0,
		.max = quarry_ctl_given(call, MAX) ? addr_of(call, subject, MAX) :
						     QUARRY_VMEM_ADDR_MAX,
		.flags = strategy_of(call),
	};

	return quarry_vmem_xalloc(subject->shown.vmem, &request, addr);
}

static int alloc_at(const struct quarry_ctl_call *call, const struct subject *subject, u64 *addr)
{
	*addr = addr_of(call, subject, ADDR);
	return quarry_vmem_alloc_at(subject->shown.vmem, *addr, call->value[SIZE]);
}

/* Of many, those that could be had stay. */
static int alloc_many(struct quarry_ctl_call *call,
		      int (*alloc)(const struct quarry_ctl_call *call,
				   const struct subject *subject, u64 *addr))
{
	u64 addr, i, nr = quarry_ctl_value(call, COUNT, 1);
	struct subject *subject = find(call);
	int err = 0;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	for (i = 0; i < nr; i++) {
		err = fatal_signal_pending(current) ? -EINTR : alloc(call, subject, &addr);
		if (err)
			break;
		own(subject, addr);
		cond_resched();
	}
	if (i)
		answer(call, subject, addr);
	if (quarry_ctl_given(call, COUNT))
		quarry_ctl_answer(call, "nr_allocated: %llu\n", i);
	return err;
}

static int run_alloc(struct quarry_ctl_call *call)
{
	return alloc_many(call, alloc_one);
}

static int run_xalloc(struct quarry_ctl_call *call)
{
	return alloc_many(call, xalloc_one);
}

static int run_allocat(struct quarry_ctl_call *call)
{
	return alloc_many(call, alloc_at);
}

static int free_one(struct quarry_ctl_call *call,
		    int (*free)(struct quarry_vmem *vmem, u64 addr, u64 size))
{
	struct subject *subject = find(call);
	u64 addr;
	int err;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	addr = addr_of(call, subject, ADDR);
	err = check_owner(subject, addr) ?: free(subject->shown.vmem, addr, call->value[SIZE]);
	if (!err)
		disown(subject, addr);
	return err;
}

static int run_free(struct quarry_ctl_call *call)
{
	return free_one(call, quarry_vmem_free);
}

static int run_xfree(struct quarry_ctl_call *call)
{
	return free_one(call, quarry_vmem_xfree);
}

static int run_grow(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);
	u64 addr;
	int err;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	addr = addr_of(call, subject, ADDR);
	err = check_owner(subject, addr) ?:
	      quarry_vmem_grow(subject->shown.vmem, addr, call->value[SIZE], call->value[NEW_SIZE]);
	if (!err)
		answer(call, subject, addr);
	return err;
}

static int run_freeall(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	quarry_ctl_answer(call, "nr_freed: %llu\n", free_ours(subject));
	return 0;
}

static int run_drain(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	if (!subject->shown.qcaches)
		return -EOPNOTSUPP;
	quarry_ctl_answer(call, "nr_drained: %u\n", quarry_qcaches_drain(subject->shown.qcaches));
	return 0;
}

static int run_lookup(struct quarry_ctl_call *call)
{
	struct subject *subject = find(call);
	struct quarry_vmem_segment segment;
	int err;

	if (IS_ERR(subject))
		return PTR_ERR(subject);
	err = quarry_vmem_lookup(subject->shown.vmem, addr_of(call, subject, ADDR), &segment);
	if (err)
		return err;
	if (!is_used(&segment))
		return -ENOENT;
	answer(call, subject, segment.addr);
	return 0;
}

static const struct quarry_ctl_command commands[] = {
	{ "create", SEGMENT | BIT(QUANTUM), BIT(QCACHE), run_create },
	{ "destroy", BIT(NAME), BIT(FORCE), run_destroy },
	{ "add", SEGMENT, 0, run_add },
	{ "remove", SEGMENT, 0, run_remove },
	{ "alloc", BIT(NAME) | BIT(SIZE), BIT(COUNT) | STRATEGIES, run_alloc },
	{ "xalloc", BIT(NAME) | BIT(SIZE), BIT(COUNT) | STRATEGIES | CONSTRAINTS, run_xalloc },
	{ "allocat", SEGMENT, 0, run_allocat },
	{ "free", SEGMENT, 0, run_free },
	{ "xfree", SEGMENT, 0, run_xfree },
	{ "grow", SEGMENT | BIT(NEW_SIZE), 0, run_grow },
	{ "freeall", BIT(NAME), 0, run_freeall },
	{ "drain", BIT(NAME), 0, run_drain },
	{ "lookup", BIT(NAME) | BIT(ADDR), 0, run_lookup },
	{}
};

struct quarry_ctl quarry_vmem_ctl = {
	.commands = commands,
	.words = words,
	.nr_words = ARRAY_SIZE(words),
	.notes =
		"# NAME is that of an arena made here, or default.\n"
		"# All else are numbers, with a suffix K, M or G if you like; in the default arena,\n"
		"# ADDR is in bytes from the start of the region. min and max are inclusive.\n"
		"# free, xfree, grow and freeall work on segments that were made here. qcache gives\n"
		"# an arena caches of 1 to COUNT quanta for each CPU, and drain empties these.\n",
	.lock = __MUTEX_INITIALIZER(quarry_vmem_ctl.lock),
};
