// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks that wait for room in an arena: what serves them, in which order, and how
 * else a wait can end. Who makes room takes it for those who wait, so at any moment
 * it is certain who still waits.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "../lib/qcache.h"
#include "backing.h"
#include "vmem_helpers.h"
#include "workers.h"

#define MAX_WAITERS	8
#define PATIENCE	(20 * HZ)	/* for what must happen at once */

/**
 * struct waiter - a thread that waits for one segment
 * @vmem: where
 * @want: what
 * @task: the thread
 * @done: when it waits no more
 * @err: what came of it
 * @addr: what it got
 */
struct waiter {
	struct quarry_vmem *vmem;
	struct quarry_vmem_request want;
	struct task_struct *task;
	struct completion done;
	int err;
	u64 addr;
};

/**
 * struct queue - an arena, and those who wait for room in it
 * @test: the test
 * @vmem: the arena
 * @waiters: in the order in which they came
 * @nr: how many
 */
struct queue {
	struct kunit *test;
	struct quarry_vmem *vmem;
	struct waiter waiters[MAX_WAITERS];
	int nr;
};

static int wait_for_room(void *arg)
{
	struct waiter *waiter = arg;

	allow_signal(SIGKILL);
	waiter->err = quarry_vmem_xalloc(waiter->vmem, &waiter->want, &waiter->addr);
	flush_signals(current);
	complete(&waiter->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static u64 nr_waiting(struct queue *queue)
{
	return qtest_vmem_stats(queue->vmem).nr_waiters;
}

/* Somebody who begins to wait, and does so when this returns. */
static struct waiter *come(struct queue *queue, const struct quarry_vmem_request *want)
{
	struct waiter *waiter = &queue->waiters[queue->nr];
	u64 nr = nr_waiting(queue);
	unsigned long end = jiffies + PATIENCE;

	*waiter = (struct waiter) { .vmem = queue->vmem, .want = *want, .err = 1 };
	waiter->want.flags |= QUARRY_VMEM_WAIT;
	init_completion(&waiter->done);
	waiter->task = kthread_run(wait_for_room, waiter, "quarry_vmem/%d", queue->nr);
	KUNIT_ASSERT_FALSE(queue->test, IS_ERR(waiter->task));
	queue->nr++;
	while (nr_waiting(queue) == nr && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_ASSERT_EQ(queue->test, nr_waiting(queue), nr + 1);
	return waiter;
}

static struct waiter *come_for(struct queue *queue, u64 size)
{
	struct quarry_vmem_request want = qtest_vmem_want(size, FIRST);

	return come(queue, &want);
}

static void expect_end(struct queue *queue, struct waiter *waiter, int err)
{
	KUNIT_ASSERT_GT_MSG(queue->test, wait_for_completion_timeout(&waiter->done, PATIENCE),
			    0UL, "a waiter still waits");
	KUNIT_EXPECT_EQ(queue->test, waiter->err, err);
}

/* An arena of which each quantum is in use. */
static int queue_init(struct kunit *test)
{
	struct queue *queue = qtest_memory(test, sizeof(*queue));

	*queue = (struct queue) { .test = test };
	queue->vmem = &qtest_vmem(test, VBASE, QUANTA(NR_QUANTA), QUANTUM, 200)->vmem;
	qtest_vmem_fill(test, queue->vmem);
	test->priv = queue;
	return 0;
}

/* However the test ended, nobody waits any more, and no thread is left. */
static void queue_exit(struct kunit *test)
{
	struct queue *queue = test->priv;
	int i;

	if (!queue)
		return;
	for (i = 0; i < queue->nr; i++) {
		if (!completion_done(&queue->waiters[i].done))
			send_sig(SIGKILL, queue->waiters[i].task, 1);
		kthread_stop(queue->waiters[i].task);
	}
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 0ULL);
	qtest_vmem_intact(test, queue->vmem);
}

/* ---- One alone ---- */

static void who_finds_room_does_not_wait(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_vmem *vmem = queue->vmem;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_free(vmem, VAT(7), QUANTUM));
	ASSERT_OK(test, quarry_vmem_alloc(vmem, 1, FIRST | QUARRY_VMEM_WAIT, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(7));
	ASSERT_OK(test, quarry_vmem_free(vmem, VAT(8), QUANTUM));
	ASSERT_OK(test, quarry_vmem_alloc_timeout(vmem, 1, NEXT | QUARRY_VMEM_WAIT, 1, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(8));
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(vmem).nr_waits, 0ULL);
}

static void who_does_not_wait_is_told_at_once(struct kunit *test)
{
	struct queue *queue = test->priv;

	EXPECT_ERR(test, quarry_vmem_alloc(queue->vmem, 1, FIRST | QUARRY_VMEM_NOWAIT, NULL),
		   -ENOSPC);
	EXPECT_ERR(test, quarry_vmem_alloc_timeout(queue->vmem, 1, FIRST, 1000 * HZ, NULL),
		   -ENOSPC);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(queue->vmem).nr_waits, 0ULL);
}

static void a_wait_ends_when_its_time_is_over(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(1, BEST | QUARRY_VMEM_WAIT);
	unsigned long start = jiffies;

	EXPECT_ERR(test, quarry_vmem_alloc_timeout(queue->vmem, 1, FIRST | QUARRY_VMEM_WAIT, 3,
						   NULL), -ETIMEDOUT);
	KUNIT_EXPECT_GE(test, jiffies - start, 3UL);
	want.timeout = 2;
	EXPECT_ERR(test, quarry_vmem_xalloc(queue->vmem, &want, NULL), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(queue->vmem).nr_waits, 2ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(queue->vmem).nr_failures, 2ULL);
}

static void who_is_killed_waits_no_more(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *killed = come_for(queue, 1), *other = come_for(queue, 1);

	send_sig(SIGKILL, killed->task, 1);
	expect_end(queue, killed, -EINTR);
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(3), QUANTUM));
	expect_end(queue, other, 0);
	KUNIT_EXPECT_EQ(test, other->addr, VAT(3));
}

/* ---- What serves ---- */

static void a_free_serves_who_waits(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *waiter = come_for(queue, QUANTA(2));

	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(3), QUANTUM));
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(5), QUANTUM));
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(4), QUANTUM));
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 0ULL);
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, VAT(3));
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(queue->vmem, QUARRY_VMEM_SIZE_FREE), QUANTUM);
}

static void an_added_span_serves_who_waits(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *waiter = come_for(queue, QUANTA(10));

	ASSERT_OK(test, quarry_vmem_add(queue->vmem, VAT(100), QUANTA(9)));
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
	ASSERT_OK(test, quarry_vmem_add(queue->vmem, VAT(109), QUANTA(9)));
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, VAT(100));
}

static void constraints_hold_for_who_waits(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_vmem_request want = qtest_vmem_want(QUANTUM, BEST);
	struct waiter *waiter;

	want.align = QUANTA(8);
	want.phase = QUANTA(3);
	want.min = VAT(10);
	waiter = come(queue, &want);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(3), QUANTUM));
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(16), QUANTUM));
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(19), QUANTUM));
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, VAT(19));
	EXPECT_OK(test, quarry_vmem_xfree(queue->vmem, VAT(19), QUANTUM));
}

/* ---- Order ---- */

static void who_came_first_is_served_first(struct kunit *test)
{
	struct queue *queue = test->priv;
	int i;

	for (i = 0; i < MAX_WAITERS; i++)
		come_for(queue, 1);
	for (i = 0; i < MAX_WAITERS; i++) {
		ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(2 * i), QUANTUM));
		expect_end(queue, &queue->waiters[i], 0);
		KUNIT_EXPECT_EQ(test, queue->waiters[i].addr, VAT(2 * i));
		KUNIT_EXPECT_EQ(test, nr_waiting(queue), MAX_WAITERS - 1ULL - i);
	}
}

static void the_first_is_not_passed_by_who_wants_less(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *much = come_for(queue, QUANTA(2)), *little = come_for(queue, QUANTUM);

	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(10), QUANTUM));
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(20), QUANTUM));
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 2ULL);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(21), QUANTUM));
	expect_end(queue, much, 0);
	expect_end(queue, little, 0);
	KUNIT_EXPECT_EQ(test, much->addr, VAT(20));
	KUNIT_EXPECT_EQ(test, little->addr, VAT(10));
}

static void who_does_not_wait_is_not_held_back(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *waiter = come_for(queue, QUANTA(2));
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(10), QUANTUM));
	ASSERT_OK(test, quarry_vmem_alloc(queue->vmem, 1, FIRST, &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(10));
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(10), QUANTUM));
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(11), QUANTUM));
	expect_end(queue, waiter, 0);
}

/* One free is enough for several, and who goes away makes room for the next. */
static void one_free_serves_several(struct kunit *test)
{
	struct queue *queue = test->priv;
	int i;

	qtest_vmem_free_range(test, queue->vmem, VAT(0), VAT(NR_QUANTA));
	ASSERT_OK(test, quarry_vmem_alloc(queue->vmem, QUANTA(NR_QUANTA), FIRST, NULL));
	for (i = 0; i < MAX_WAITERS; i++)
		come_for(queue, QUANTA(8));
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VBASE, QUANTA(NR_QUANTA)));
	for (i = 0; i < MAX_WAITERS; i++)
		expect_end(queue, &queue->waiters[i], 0);
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(queue->vmem, QUARRY_VMEM_SIZE_FREE), 0ULL);
}

static void a_dead_first_does_not_hold_up_the_rest(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *much = come_for(queue, QUANTA(3)), *little = come_for(queue, QUANTUM);

	ASSERT_OK(test, quarry_vmem_free(queue->vmem, VAT(10), QUANTUM));
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 2ULL);
	send_sig(SIGKILL, much->task, 1);
	expect_end(queue, much, -EINTR);
	expect_end(queue, little, 0);
	KUNIT_EXPECT_EQ(test, little->addr, VAT(10));
}

static void the_end_is_refused_while_somebody_waits(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_vmem *vmem = &qtest_vmem(test, 0, 0, 1, 32)->vmem;
	struct waiter *waiter;

	queue->vmem = vmem;
	waiter = come_for(queue, 5);
	EXPECT_ERR(test, quarry_vmem_fini(vmem), -EBUSY);
	ASSERT_OK(test, quarry_vmem_add(vmem, 0, 5));
	expect_end(queue, waiter, 0);
}

/* ---- Imports ---- */

#define UNIT	QUANTA(8)

/**
 * struct well - where spans come from
 * @next: where the next one begins
 * @err: what is answered instead; 0 for nothing
 * @nr_asked: times that it was asked
 * @nr_given: spans that it gave
 * @nr_back: spans that came back
 */
struct well {
	u64 next;
	int err;
	int nr_asked;
	int nr_given;
	int nr_back;
};

static int draw_span(void *arg, const struct quarry_vmem_request *want, u64 *addr, u64 *size)
{
	struct well *well = arg;

	well->nr_asked++;
	if (READ_ONCE(well->err))
		return well->err;
	well->nr_given++;
	*addr = max(well->next, want->min);
	well->next = *addr + *size;
	return 0;
}

static void return_span(void *arg, u64 addr, u64 size)
{
	struct well *well = arg;

	well->nr_back++;
}

/* Lets the arena import, whose own span is full, but no more than so many units. */
static struct well *dig(struct queue *queue, u64 units)
{
	struct well *well = qtest_memory(queue->test, sizeof(*well));

	*well = (struct well) { .next = 2 * VBASE };
	quarry_vmem_set_limit(queue->vmem, QUANTA(NR_QUANTA) + units * UNIT);
	ASSERT_OK(queue->test, quarry_vmem_set_import(queue->vmem, draw_span, return_span, well,
						      UNIT));
	return well;
}

static void an_import_that_becomes_possible_serves_who_waits(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct well *well = dig(queue, 0);
	struct waiter *waiter = come_for(queue, QUANTA(2));

	KUNIT_EXPECT_EQ(test, well->nr_asked, 0);
	quarry_vmem_set_limit(queue->vmem, QUANTA(NR_QUANTA) + UNIT - QUANTUM);
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
	quarry_vmem_set_limit(queue->vmem, QUANTA(NR_QUANTA) + UNIT);
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, 2 * VBASE);
	KUNIT_EXPECT_EQ(test, well->nr_given, 1);
	ASSERT_OK(test, quarry_vmem_xfree(queue->vmem, waiter->addr, QUANTA(2)));
	KUNIT_EXPECT_EQ(test, well->nr_back, 1);
}

static void who_waits_imports_once_there_is_an_import(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *waiter = come_for(queue, UNIT);
	struct well *well = dig(queue, 1);

	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, well->nr_given, 1);
	ASSERT_OK(test, quarry_vmem_xfree(queue->vmem, waiter->addr, UNIT));
	KUNIT_EXPECT_EQ(test, well->nr_back, 1);
}

/* Who waits gets what is free before it goes back, as he would have to import it again. */
static void who_waits_is_served_before_a_span_goes_back(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct well *well = dig(queue, 1);
	struct waiter *waiter;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(queue->vmem, QUANTA(3), FIRST, &addr));
	waiter = come_for(queue, UNIT);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, addr, QUANTA(3)));
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, addr);
	KUNIT_EXPECT_EQ(test, well->nr_given, 1);
	KUNIT_EXPECT_EQ(test, well->nr_back, 0);
	ASSERT_OK(test, quarry_vmem_xfree(queue->vmem, addr, UNIT));
}

static void a_span_that_goes_back_makes_room_for_another(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct well *well = dig(queue, 1);
	struct quarry_vmem_request want = qtest_vmem_want(QUANTA(2), BEST);
	struct waiter *waiter;
	u64 addr = 0;

	ASSERT_OK(test, quarry_vmem_alloc(queue->vmem, QUANTA(3), FIRST, &addr));
	want.min = 3 * VBASE;
	waiter = come(queue, &want);
	ASSERT_OK(test, quarry_vmem_free(queue->vmem, addr, QUANTA(3)));
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, want.min);
	KUNIT_EXPECT_EQ(test, well->nr_given, 2);
	KUNIT_EXPECT_EQ(test, well->nr_back, 1);
	ASSERT_OK(test, quarry_vmem_xfree(queue->vmem, waiter->addr, QUANTA(2)));
}

static void a_wait_for_an_import_ends_when_its_time_is_over(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct well *well = dig(queue, 1);

	well->err = -ENOSPC;
	EXPECT_ERR(test, quarry_vmem_alloc_timeout(queue->vmem, 1, FIRST | QUARRY_VMEM_WAIT, 3,
						   NULL), -ETIMEDOUT);
	KUNIT_EXPECT_GE(test, well->nr_asked, 1);
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 0ULL);
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(queue->vmem).imported, 0ULL);
}

static void who_is_killed_imports_nothing_any_more(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct well *well = dig(queue, 2);
	struct waiter *killed, *other;

	well->err = -ENOSPC;
	killed = come_for(queue, UNIT);
	other = come_for(queue, UNIT);
	send_sig(SIGKILL, killed->task, 1);
	expect_end(queue, killed, -EINTR);
	KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
	WRITE_ONCE(well->err, 0);
	quarry_vmem_set_limit(queue->vmem, 0);
	expect_end(queue, other, 0);
	KUNIT_EXPECT_EQ(test, well->nr_given, 1);
	ASSERT_OK(test, quarry_vmem_xfree(queue->vmem, other->addr, UNIT));
	KUNIT_EXPECT_EQ(test, well->nr_back, 1);
}

/* ---- Many CPUs ---- */

#define NR_HELD		16
#define MAX_WORKERS	16

/**
 * struct tenant - one who takes and frees, in a thread or in an interrupt
 * @vmem: where
 * @marks: for each quantum, who has it: nobody twice
 * @rnd: where its decisions come from
 * @held: segments that it has
 * @nr: how many
 * @nr_faults: what was seen that must not be
 */
struct tenant {
	struct quarry_vmem *vmem;
	atomic_t *marks;
	struct rnd_state rnd;
	struct { u64 addr, size; bool x; } held[NR_HELD];
	int nr;
	int nr_faults;
};

static void mark(struct tenant *tenant, u64 addr, u64 size, int before, int after)
{
	u64 i;

	for (i = (addr - VBASE) / QUANTUM; i < (addr - VBASE + size) / QUANTUM; i++)
		tenant->nr_faults += atomic_cmpxchg(&tenant->marks[i], before, after) != before;
}

static void take_one(struct tenant *tenant)
{
	struct quarry_vmem_request want = qtest_vmem_want(0, 0);
	bool x = qtest_below(&tenant->rnd, 2);
	u64 addr = 0;
	int err;

	want.size = QUANTA(1 + qtest_below(&tenant->rnd, 4));
	want.flags = BIT(qtest_below(&tenant->rnd, 3));
	want.align = QUANTA(2);
	err = x ? quarry_vmem_xalloc(tenant->vmem, &want, &addr) :
		  quarry_vmem_alloc(tenant->vmem, want.size, want.flags, &addr);
	if (err) {
		tenant->nr_faults += err != -ENOSPC;
		return;
	}
	mark(tenant, addr, want.size, 0, 1);
	tenant->held[tenant->nr].addr = addr;
	tenant->held[tenant->nr].size = want.size;
	tenant->held[tenant->nr++].x = x;
}

static void free_one(struct tenant *tenant, int i)
{
	u64 addr = tenant->held[i].addr, size = tenant->held[i].size;
	bool x = tenant->held[i].x;

	tenant->held[i] = tenant->held[--tenant->nr];
	mark(tenant, addr, size, 1, 0);
	tenant->nr_faults += !!(x ? quarry_vmem_xfree(tenant->vmem, addr, size) :
				    quarry_vmem_free(tenant->vmem, addr, size));
}

static void step(void *arg)
{
	struct tenant *tenant = arg;

	if (tenant->nr < NR_HELD && (!tenant->nr || qtest_below(&tenant->rnd, 2)))
		take_one(tenant);
	else
		free_one(tenant, qtest_below(&tenant->rnd, tenant->nr));
}

static void leave(void *arg)
{
	struct tenant *tenant = arg;

	while (tenant->nr)
		free_one(tenant, 0);
}

/* All CPUs take and free in an arena of 200 quanta, in threads and in interrupts. */
static void crowd(struct kunit *test, struct quarry_vmem *vmem)
{
	int i, nr = min(qtest_nr_workers(), MAX_WORKERS);
	struct qtest_worker *workers = qtest_memory(test, nr * sizeof(*workers));
	struct tenant *tenants = qtest_memory(test, 2 * nr * sizeof(*tenants));
	atomic_t *marks = qtest_memory(test, 200 * sizeof(*marks));
	struct rnd_state rnd;

	memset(workers, 0, nr * sizeof(*workers));
	memset(marks, 0, 200 * sizeof(*marks));
	qtest_seed(test, &rnd);
	for (i = 0; i < 2 * nr; i++) {
		tenants[i] = (struct tenant) { .vmem = vmem, .marks = marks };
		prandom_seed_state(&tenants[i].rnd, prandom_u32_state(&rnd));
	}
	for (i = 0; i < nr; i++) {
		workers[i].step = step;
		workers[i].leave = leave;
		workers[i].thread = &tenants[2 * i];
		workers[i].interrupt = &tenants[2 * i + 1];
	}
	qtest_work(test, workers, nr, qtest_rounds(test, 100000));
	for (i = 0; i < 2 * nr; i++)
		KUNIT_EXPECT_EQ(test, tenants[i].nr_faults, 0);
	qtest_vmem_intact(test, vmem);
}

static void expect_whole(struct kunit *test, struct quarry_vmem *vmem)
{
	KUNIT_EXPECT_EQ(test, quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_LARGEST), QUANTA(200));
	qtest_vmem_intact(test, vmem);
}

static void threads_and_interrupts_never_share_a_segment(struct kunit *test)
{
	struct qtest_vmem *space = qtest_vmem(test, VBASE, QUANTA(200), QUANTUM, 800);

	crowd(test, &space->vmem);
	expect_whole(test, &space->vmem);
}

/* ---- With quantum caches ---- */

/**
 * struct cached - an arena of 200 quanta with quantum caches for up to 4
 * @vmem: the arena
 * @backing: where the caches' memory comes from
 * @qcaches: the caches
 */
struct cached {
	struct quarry_vmem *vmem;
	struct qtest_backing *backing;
	struct quarry_qcaches qcaches;
};

static struct cached *cached_create(struct kunit *test)
{
	struct cached *cached = qtest_aligned_memory(test, sizeof(*cached), SMP_CACHE_BYTES);
	struct quarry_qcaches_config config = { .nr = 4 };

	cached->vmem = &qtest_vmem(test, VBASE, QUANTA(200), QUANTUM, 800)->vmem;
	cached->backing = qtest_backing(test, PAGES(64), PAGES(64), PAGE);
	config.vmem = cached->vmem;
	config.backend = &cached->backing->backend;
	ASSERT_OK(test, quarry_qcaches_init(&cached->qcaches, &config));
	return cached;
}

static void cached_close(struct kunit *test, struct cached *cached)
{
	quarry_qcaches_fini(&cached->qcaches);
	qtest_backing_close(test, cached->backing);
	expect_whole(test, cached->vmem);
}

static void threads_and_interrupts_never_share_a_cached_segment(struct kunit *test)
{
	struct cached *cached = cached_create(test);

	crowd(test, cached->vmem);
	cached_close(test, cached);
}

/* What this CPU has at hand is enough; nobody begins to wait. */
static void who_waits_gets_what_is_cached(struct kunit *test)
{
	struct cached *cached = cached_create(test);
	unsigned int flags = FIRST | QUARRY_VMEM_WAIT;
	u64 addr = 0;
	int i;

	for (i = 0; i < 200; i++)
		ASSERT_OK(test, quarry_vmem_alloc(cached->vmem, QUANTUM, FIRST, NULL));
	for (i = 0; i < 200; i++)
		ASSERT_OK(test, quarry_vmem_free(cached->vmem, VAT(i), QUANTUM));
	KUNIT_EXPECT_GT(test, qtest_vmem_stats(cached->vmem).cached, 0ULL);
	ASSERT_OK(test, quarry_vmem_alloc_timeout(cached->vmem, QUANTA(200), flags, PATIENCE,
						  &addr));
	KUNIT_EXPECT_EQ(test, addr, VAT(0));
	ASSERT_OK(test, quarry_vmem_free(cached->vmem, addr, QUANTA(200)));
	cached_close(test, cached);
}

/* While somebody waits, what is freed goes past the caches, to him. */
static void who_waits_gets_what_would_be_cached(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct cached *cached = cached_create(test);
	struct quarry_vmem *full = queue->vmem;
	struct waiter *waiter;
	int i;

	for (i = 0; i < 200; i++)
		ASSERT_OK(test, quarry_vmem_alloc(cached->vmem, QUANTUM, FIRST, NULL));
	queue->vmem = cached->vmem;
	waiter = come_for(queue, QUANTA(8));
	for (i = 40; i < 48; i++) {
		KUNIT_EXPECT_EQ(test, nr_waiting(queue), 1ULL);
		ASSERT_OK(test, quarry_vmem_free(cached->vmem, VAT(i), QUANTUM));
	}
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_EQ(test, waiter->addr, VAT(40));
	KUNIT_EXPECT_EQ(test, qtest_vmem_stats(cached->vmem).cached, 0ULL);
	queue->vmem = full;

	ASSERT_OK(test, quarry_vmem_xfree(cached->vmem, VAT(40), QUANTA(8)));
	for (i = 0; i < 200; i++)
		if (i < 40 || i >= 48)
			ASSERT_OK(test, quarry_vmem_free(cached->vmem, VAT(i), QUANTUM));
	cached_close(test, cached);
}

static struct kunit_case wait_cases[] = {
	KUNIT_CASE(who_finds_room_does_not_wait),
	KUNIT_CASE(who_does_not_wait_is_told_at_once),
	KUNIT_CASE(a_wait_ends_when_its_time_is_over),
	KUNIT_CASE(who_is_killed_waits_no_more),
	KUNIT_CASE(a_free_serves_who_waits),
	KUNIT_CASE(an_added_span_serves_who_waits),
	KUNIT_CASE(constraints_hold_for_who_waits),
	KUNIT_CASE(who_came_first_is_served_first),
	KUNIT_CASE(the_first_is_not_passed_by_who_wants_less),
	KUNIT_CASE(who_does_not_wait_is_not_held_back),
	KUNIT_CASE(one_free_serves_several),
	KUNIT_CASE(a_dead_first_does_not_hold_up_the_rest),
	KUNIT_CASE(the_end_is_refused_while_somebody_waits),
	KUNIT_CASE(an_import_that_becomes_possible_serves_who_waits),
	KUNIT_CASE(who_waits_imports_once_there_is_an_import),
	KUNIT_CASE(who_waits_is_served_before_a_span_goes_back),
	KUNIT_CASE(a_span_that_goes_back_makes_room_for_another),
	KUNIT_CASE(a_wait_for_an_import_ends_when_its_time_is_over),
	KUNIT_CASE(who_is_killed_imports_nothing_any_more),
	KUNIT_CASE(threads_and_interrupts_never_share_a_segment),
	KUNIT_CASE(threads_and_interrupts_never_share_a_cached_segment),
	KUNIT_CASE(who_waits_gets_what_is_cached),
	KUNIT_CASE(who_waits_gets_what_would_be_cached),
	{}
};

static struct kunit_suite wait_suite = {
	.name = "quarry_vmem_wait",
	.init = queue_init,
	.exit = queue_exit,
	.test_cases = wait_cases,
};

kunit_test_suite(wait_suite);
