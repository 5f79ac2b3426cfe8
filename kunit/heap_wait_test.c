// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks that wait for memory: who is served, in which order, and how else a wait
 * can end. Who frees memory takes it for those who wait, so at any moment it is
 * certain who still waits; no test here waits for something not to happen.
 */
#include <linux/completion.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "heap_helpers.h"

#define MAX_WAITERS	8
#define PATIENCE	(20 * HZ)	/* for what must happen at once */
#define RUN		(10 * HEAP_PAGE)	/* a size that is a run of pages */

/**
 * struct waiter - a thread that waits for one block
 * @heap: where
 * @size: how much
 * @timeout: how long
 * @flags: in which order
 * @nice: its priority
 * @task: the thread
 * @done: when it waits no more
 * @err: what came of it
 * @block: what it got
 */
struct waiter {
	struct quarry_heap *heap;
	size_t size;
	long timeout;
	unsigned int flags;
	int nice;
	struct task_struct *task;
	struct completion done;
	int err;
	void *block;
};

/**
 * struct queue - a heap, and those who wait for its memory
 * @test: the test
 * @space: the heap
 * @total: bytes that it manages
 * @waiters: in the order in which they came
 * @nr: how many
 */
struct queue {
	struct kunit *test;
	struct qtest_heap *space;
	size_t total;
	struct waiter waiters[MAX_WAITERS];
	int nr;
};

static int wait_for_memory(void *arg)
{
	struct waiter *waiter = arg;

	allow_signal(SIGKILL);
	set_user_nice(current, waiter->nice);
	waiter->err = quarry_heap_alloc_wait(waiter->heap, waiter->size, waiter->timeout,
					     waiter->flags, &waiter->block);
	flush_signals(current);
	complete(&waiter->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* Somebody who begins to wait, and does so when this returns. */
static struct waiter *come(struct queue *queue, size_t size, unsigned int flags, int nice)
{
	unsigned int nr = qtest_heap_stats(&queue->space->heap).nr_waiting;
	unsigned long end = jiffies + PATIENCE;
	struct waiter *waiter = &queue->waiters[queue->nr];

	*waiter = (struct waiter) {
		.heap = &queue->space->heap, .size = size, .timeout = MAX_SCHEDULE_TIMEOUT,
		.flags = flags, .nice = nice, .err = 1,
	};
	init_completion(&waiter->done);
	waiter->task = kthread_run(wait_for_memory, waiter, "quarry_wait/%d", queue->nr);
	KUNIT_ASSERT_FALSE(queue->test, IS_ERR(waiter->task));
	queue->nr++;
	while (qtest_heap_stats(&queue->space->heap).nr_waiting == nr && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_ASSERT_EQ(queue->test, qtest_heap_stats(&queue->space->heap).nr_waiting, nr + 1);
	return waiter;
}

static void expect_end(struct queue *queue, struct waiter *waiter, int err)
{
	KUNIT_ASSERT_GT_MSG(queue->test, wait_for_completion_timeout(&waiter->done, PATIENCE),
			    0UL, "a waiter still waits");
	KUNIT_EXPECT_EQ(queue->test, waiter->err, err);
	KUNIT_EXPECT_EQ(queue->test, !waiter->block, !!err);
	if (!err)
		KUNIT_EXPECT_GE(queue->test,
				quarry_heap_usable_size(waiter->heap, waiter->block),
				waiter->size);
}

static void expect_waiting(struct queue *queue, unsigned int nr)
{
	KUNIT_EXPECT_EQ(queue->test, qtest_heap_stats(&queue->space->heap).nr_waiting, nr);
}

/* The whole heap, as one block or as some. */
static void *take_all(struct queue *queue)
{
	return qtest_heap_block(queue->test, &queue->space->heap, queue->total);
}

static int queue_init(struct kunit *test)
{
	struct queue *queue = qtest_memory(test, sizeof(*queue));

	*queue = (struct queue) {
		.test = test, .space = qtest_heap(test, HEAP_SIZE, HEAP_PAGE),
	};
	queue->total = qtest_heap_stats(&queue->space->heap).total;
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
	if (!quarry_heap_verify(&queue->space->heap, &(struct quarry_fault) {}))
		qtest_fences(test, queue->space->memory, HEAP_SIZE);
	else
		KUNIT_FAIL(test, "the heap is damaged");
	quarry_heap_destroy(&queue->space->heap, NULL, NULL);
	for (i = 0; i < queue->nr; i++)
		kthread_stop(queue->waiters[i].task);
}

/* ---- One alone ---- */

static void who_finds_room_does_not_wait(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *block = NULL;

	EXPECT_OK(test, quarry_heap_alloc_wait(heap, 100, 0, 0, &block));
	EXPECT_OK(test, quarry_heap_free(heap, block));
	EXPECT_OK(test, quarry_heap_alloc_wait(heap, 100, MAX_SCHEDULE_TIMEOUT, 0, &block));
	EXPECT_OK(test, quarry_heap_free(heap, block));
	EXPECT_OK(test, quarry_heap_alloc_wait(heap, queue->total, 1, QUARRY_HEAP_PRIO, &block));
	EXPECT_OK(test, quarry_heap_free(heap, block));
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 0ULL);
	qtest_heap_all_free(test, heap);
}

static void who_may_not_wait_is_told_at_once(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *block = heap;

	take_all(queue);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, 0, 0, &block), -ENOSPC);
	KUNIT_EXPECT_NULL(test, block);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 1ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).last_failure.size, (size_t)100);
}

static void what_can_not_be_waited_for_is_refused(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *block = heap;

	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, 1, 0, NULL), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 0, 1, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, SIZE_MAX, 1, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, SIZE_MAX - 511, 0, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, HEAP_MAX_SIZE + 1, 1, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, 1, ~0U, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, 1, 2, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, -1, 0, &block), -EINVAL);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, LONG_MIN, 0, &block), -EINVAL);
	KUNIT_EXPECT_NULL(test, block);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 0ULL);
	KUNIT_EXPECT_GE(test, qtest_heap_stats(heap).nr_misuses, 8ULL);
}

static void a_wait_ends_when_its_time_is_over(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	unsigned long start = jiffies;
	void *block = heap;

	take_all(queue);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, 100, 3, 0, &block), -ETIMEDOUT);
	KUNIT_EXPECT_GE(test, jiffies - start, 3UL);
	KUNIT_EXPECT_NULL(test, block);
	EXPECT_ERR(test, quarry_heap_alloc_wait(heap, HEAP_MAX_SIZE, 1, QUARRY_HEAP_PRIO, &block),
		   -ETIMEDOUT);
	expect_waiting(queue, 0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_failures, 2ULL);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
}

static void who_is_killed_waits_no_more(struct kunit *test)
{
	struct queue *queue = test->priv;
	void *all = take_all(queue);
	struct waiter *killed = come(queue, 100, 0, 0), *other = come(queue, 100, 0, 0);

	send_sig(SIGKILL, killed->task, 1);
	expect_end(queue, killed, -EINTR);
	expect_waiting(queue, 1);
	EXPECT_OK(test, quarry_heap_free(&queue->space->heap, all));
	expect_end(queue, other, 0);
	KUNIT_EXPECT_EQ(test, qtest_heap_stats(&queue->space->heap).nr_used, 1ULL);
}

/* ---- What serves ---- */

static void a_free_serves_who_waits(struct kunit *test)
{
	static const size_t sizes[] = { 1, 64, 500, 512, 3000, 20000 };
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	struct waiter *waiter;
	void *all;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		all = take_all(queue);
		waiter = come(queue, sizes[i], 0, 0);
		EXPECT_OK(test, quarry_heap_free(heap, all));
		expect_waiting(queue, 0);
		KUNIT_EXPECT_EQ(test, qtest_heap_stats(heap).nr_used, 1ULL);
		expect_end(queue, waiter, 0);
		EXPECT_OK(test, quarry_heap_free(heap, waiter->block));
		qtest_heap_all_free(test, heap);
	}
}

/* One block more in a page of others is room enough for a small one. */
static void a_free_of_a_small_block_serves_too(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void **blocks = qtest_memory(test, 8192 * sizeof(*blocks));
	unsigned int nr = qtest_heap_fill(test, heap, 64, blocks, 8192);
	struct waiter *waiter = come(queue, 60, 0, 0);

	EXPECT_OK(test, quarry_heap_free(heap, blocks[nr / 2]));
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_PTR_EQ(test, waiter->block, blocks[nr / 2]);
}

static void memory_that_is_added_serves(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *waiter;

	take_all(queue);
	waiter = come(queue, 9000, 0, 0);
	EXPECT_OK(test, quarry_heap_extend(&queue->space->heap, qtest_memory(test, SZ_4K), SZ_4K));
	expect_waiting(queue, 1);
	EXPECT_OK(test, quarry_heap_extend(&queue->space->heap, qtest_memory(test, SZ_16K),
					   SZ_16K));
	expect_end(queue, waiter, 0);
	quarry_heap_free(&queue->space->heap, waiter->block);
}

static void a_block_that_shrinks_serves(struct kunit *test)
{
	struct queue *queue = test->priv;
	void *all = take_all(queue);
	struct waiter *waiter = come(queue, RUN, 0, 0);

	KUNIT_EXPECT_PTR_EQ(test, quarry_heap_realloc(&queue->space->heap, all,
						      queue->total - RUN), all);
	expect_end(queue, waiter, 0);
}

/* A block that moves leaves its old place, which with what is before it is enough. */
static void a_block_that_moves_serves(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *before = qtest_heap_block(test, heap, 2 * RUN);
	void *block = qtest_heap_block(test, heap, 2 * RUN);
	void *wall = qtest_heap_block(test, heap, queue->total - 7 * RUN);
	void *hole = qtest_heap_block(test, heap, 3 * RUN);
	struct waiter *waiter;

	EXPECT_OK(test, quarry_heap_free(heap, before));
	EXPECT_OK(test, quarry_heap_free(heap, hole));
	waiter = come(queue, 4 * RUN, 0, 0);
	KUNIT_EXPECT_PTR_EQ(test, quarry_heap_realloc(heap, block, 3 * RUN), hole);
	expect_end(queue, waiter, 0);
	KUNIT_EXPECT_PTR_EQ(test, waiter->block, before);
	EXPECT_OK(test, quarry_heap_free(heap, wall));
}

/* A deferred free serves when it is done, whoever does it. */
static void reaping_serves(struct kunit *test)
{
	struct queue *queue = test->priv;
	void *all = take_all(queue);
	struct waiter *waiter = come(queue, RUN, 0, 0);

	EXPECT_OK(test, quarry_heap_free_deferred(&queue->space->heap, all));
	KUNIT_EXPECT_EQ(test, quarry_heap_reap(&queue->space->heap), 1UL);
	expect_end(queue, waiter, 0);
}

static void an_allocation_that_does_a_deferred_free_serves(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *half = qtest_heap_block(test, heap, queue->total - RUN);
	struct waiter *waiter = come(queue, 2 * RUN, 0, 0);
	void *block;

	EXPECT_OK(test, quarry_heap_free_deferred(heap, half));
	/* There would have been room for this without. */
	block = qtest_heap_block(test, heap, 100);
	expect_end(queue, waiter, 0);
	EXPECT_OK(test, quarry_heap_free(heap, block));
}

struct interrupt {
	struct irq_work work;
	struct quarry_heap *heap;
	void *block;
	bool deferred;
	int err;
};

static void free_in_interrupt(struct irq_work *work)
{
	struct interrupt *interrupt = container_of(work, struct interrupt, work);

	interrupt->err = !in_hardirq() ? -EPERM : interrupt->deferred ?
		quarry_heap_free_deferred(interrupt->heap, interrupt->block) :
		quarry_heap_free(interrupt->heap, interrupt->block);
}

static void an_interrupt_serves(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct interrupt interrupt = {
		.work = IRQ_WORK_INIT_HARD(free_in_interrupt), .heap = &queue->space->heap,
	};
	struct waiter *waiter;
	int i;

	for (i = 0; i < 2; i++) {
		interrupt.block = take_all(queue);
		interrupt.deferred = i;
		interrupt.err = 1;
		waiter = come(queue, 100, 0, 0);
		irq_work_queue(&interrupt.work);
		irq_work_sync(&interrupt.work);
		EXPECT_OK(test, interrupt.err);
		quarry_heap_reap(interrupt.heap);
		expect_end(queue, waiter, 0);
		EXPECT_OK(test, quarry_heap_free(interrupt.heap, waiter->block));
	}
}

/* ---- Several ---- */

static void who_came_first_is_served_first(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *blocks[8], *rest;
	int i, k;

	for (i = 0; i < MAX_WAITERS; i++)
		blocks[i] = qtest_heap_block(test, heap, RUN);
	rest = qtest_heap_block(test, heap, queue->total - MAX_WAITERS * RUN);
	for (i = 0; i < MAX_WAITERS; i++)
		come(queue, RUN, QUARRY_HEAP_FIFO, i * 7 % 5);
	for (i = 0; i < MAX_WAITERS; i++) {
		EXPECT_OK(test, quarry_heap_free(heap, blocks[i * 3 % MAX_WAITERS]));
		expect_end(queue, &queue->waiters[i], 0);
		for (k = i + 1; k < MAX_WAITERS; k++)
			KUNIT_EXPECT_FALSE(test, completion_done(&queue->waiters[k].done));
		expect_waiting(queue, MAX_WAITERS - 1 - i);
	}
	EXPECT_OK(test, quarry_heap_free(heap, rest));
}

/* Those who asked for it by priority, those of the same in order, then the others. */
static void who_is_more_important_is_served_first(struct kunit *test)
{
	static const struct { unsigned int flags; int nice, place; } order[MAX_WAITERS] = {
		{ QUARRY_HEAP_FIFO, -10, 6 }, { QUARRY_HEAP_PRIO, 10, 4 },
		{ QUARRY_HEAP_PRIO, 0, 2 }, { QUARRY_HEAP_PRIO, -5, 0 },
		{ QUARRY_HEAP_FIFO, -20, 7 }, { QUARRY_HEAP_PRIO, 0, 3 },
		{ QUARRY_HEAP_PRIO, 19, 5 }, { QUARRY_HEAP_PRIO, -5, 1 },
	};
	struct queue *queue = test->priv;
	void *blocks[MAX_WAITERS];
	int i, place;

	for (i = 0; i < MAX_WAITERS; i++)
		blocks[i] = qtest_heap_block(test, &queue->space->heap, RUN);
	qtest_heap_block(test, &queue->space->heap, queue->total - MAX_WAITERS * RUN);
	for (i = 0; i < MAX_WAITERS; i++)
		come(queue, RUN, order[i].flags, order[i].nice);
	for (place = 0; place < MAX_WAITERS; place++) {
		EXPECT_OK(test, quarry_heap_free(&queue->space->heap, blocks[place]));
		for (i = 0; i < MAX_WAITERS; i++)
			if (order[i].place == place)
				expect_end(queue, &queue->waiters[i], 0);
		expect_waiting(queue, MAX_WAITERS - 1 - place);
	}
}

/* All who fit, not only the first; and who is first but doesn't fit holds up nobody. */
static void one_free_serves_all_who_fit(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct quarry_heap *heap = &queue->space->heap;
	void *half = qtest_heap_block(test, heap, 7 * RUN);
	void *rest = qtest_heap_block(test, heap, queue->total - 7 * RUN - HEAP_PAGE);
	struct waiter *large;
	int i;

	qtest_heap_block(test, heap, HEAP_PAGE);
	large = come(queue, queue->total - 2 * HEAP_PAGE, QUARRY_HEAP_PRIO, -20);
	for (i = 0; i < MAX_WAITERS - 1; i++)
		come(queue, 100 + 500 * i, i & 1, 0);
	EXPECT_OK(test, quarry_heap_free(heap, half));
	expect_waiting(queue, 1);
	for (i = 1; i < MAX_WAITERS; i++)
		expect_end(queue, &queue->waiters[i], 0);
	KUNIT_EXPECT_FALSE(test, completion_done(&large->done));

	EXPECT_OK(test, quarry_heap_free(heap, rest));
	for (i = 1; i < MAX_WAITERS; i++)
		EXPECT_OK(test, quarry_heap_free(heap, queue->waiters[i].block));
	expect_end(queue, large, 0);
}

/* ---- The end ---- */

static void destroy_sends_all_away(struct kunit *test)
{
	struct queue *queue = test->priv;
	int i;

	take_all(queue);
	for (i = 0; i < MAX_WAITERS; i++)
		come(queue, 1 + 1000 * i, i & 1, i);
	KUNIT_EXPECT_EQ(test, quarry_heap_destroy(&queue->space->heap, NULL, NULL), 1ULL);
	for (i = 0; i < MAX_WAITERS; i++)
		expect_end(queue, &queue->waiters[i], -EIDRM);
	expect_waiting(queue, 0);
}

/* Nothing is in use, yet somebody waits, for more than there is. */
static void fini_sends_all_away(struct kunit *test)
{
	struct queue *queue = test->priv;
	struct waiter *waiter = come(queue, queue->total + 1, 0, 0);
	void *block = qtest_heap_block(test, &queue->space->heap, 100);

	EXPECT_ERR(test, quarry_heap_fini(&queue->space->heap, NULL), -EBUSY);
	expect_waiting(queue, 1);
	EXPECT_OK(test, quarry_heap_free(&queue->space->heap, block));
	EXPECT_OK(test, quarry_heap_fini(&queue->space->heap, NULL));
	expect_end(queue, waiter, -EIDRM);
}

static struct kunit_case wait_cases[] = {
	KUNIT_CASE(who_finds_room_does_not_wait),
	KUNIT_CASE(who_may_not_wait_is_told_at_once),
	KUNIT_CASE(what_can_not_be_waited_for_is_refused),
	KUNIT_CASE(a_wait_ends_when_its_time_is_over),
	KUNIT_CASE(who_is_killed_waits_no_more),
	KUNIT_CASE(a_free_serves_who_waits),
	KUNIT_CASE(a_free_of_a_small_block_serves_too),
	KUNIT_CASE(memory_that_is_added_serves),
	KUNIT_CASE(a_block_that_shrinks_serves),
	KUNIT_CASE(a_block_that_moves_serves),
	KUNIT_CASE(reaping_serves),
	KUNIT_CASE(an_allocation_that_does_a_deferred_free_serves),
	KUNIT_CASE(an_interrupt_serves),
	KUNIT_CASE(who_came_first_is_served_first),
	KUNIT_CASE(who_is_more_important_is_served_first),
	KUNIT_CASE(one_free_serves_all_who_fit),
	KUNIT_CASE(destroy_sends_all_away),
	KUNIT_CASE(fini_sends_all_away),
	{}
};

static struct kunit_suite wait_suite = {
	.name = "quarry_heap_wait",
	.init = queue_init,
	.exit = queue_exit,
	.test_cases = wait_cases,
};

kunit_test_suite(wait_suite);
