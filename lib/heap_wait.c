// SPDX-License-Identifier: GPL-2.0
/*
 * Heap: tasks that wait for memory.
 *
 * A task that waits stands in a tree, in the order in which it is to be served.
 * Whoever frees memory, or gives the heap more, then offers what there is to each
 * of them in this order, and takes for them what fits: so one who wants little may
 * be served before one who wants much. They are offered to a few at a time, so
 * that the lock isn't held for long; who frees meanwhile begins again from the
 * first, and either goes on to the end.
 *
 * A waiter is on its task's stack. Who serves it takes it from the tree under the lock,
 * and completes it after the lock was dropped, as waking takes locks of its own;
 * until then the task doesn't return. Completions take raw locks only, so that
 * this is right in any context, with PREEMPT_RT as well. Who ends the heap waits until
 * all have left.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/sched/prio.h>

#include "heap_internal.h"

/* Waiters that memory is offered to without dropping the lock. */
#define SERVE_BATCH	4

/* A task that waits for memory. */
struct waiter {
	struct rb_node node;
	struct completion done;
	size_t size;
	int prio;
	u64 number;
	bool waiting;
	int err;
	void *block;
};

static bool comes_before(const struct waiter *a, const struct waiter *b)
{
	if (a->prio != b->prio)
		return a->prio < b->prio;
	return a->number < b->number;
}

static void insert_waiter(struct quarry_heap *heap, struct waiter *waiter)
{
	struct rb_node **link = &heap->waiters.rb_node, *parent = NULL;

	lockdep_assert_held(&heap->lock);

	waiter->number = heap->nr_waiters++;
	waiter->waiting = true;
	while (*link) {
		parent = *link;
		if (comes_before(waiter, rb_entry(parent, struct waiter, node)))
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&waiter->node, parent, link);
	rb_insert_color(&waiter->node, &heap->waiters);
	heap->nr_waiting++;
	heap->due |= DUE_SERVE;
}

static void remove_waiter(struct quarry_heap *heap, struct waiter *waiter)
{
	lockdep_assert_held(&heap->lock);

	if (heap->serving == &waiter->node)
		heap->serving = rb_next(&waiter->node);
	rb_erase(&waiter->node, &heap->waiters);
	waiter->waiting = false;
	if (!--heap->nr_waiting)
		heap->due &= ~DUE_SERVE;
}

/* The end of waiting for some, who were taken from the tree. */
static void complete_all_of(struct waiter **waiters, unsigned int nr)
{
	while (nr--)
		complete(&waiters[nr]->done);
}

/* Offer memory to the next few; returns how many of them took it. */
static unsigned int serve_some(struct quarry_heap *heap, struct waiter **served)
{
	unsigned int budget, nr = 0;

	lockdep_assert_held(&heap->lock);

	for (budget = SERVE_BATCH; budget && heap->serving; budget--) {
		struct waiter *waiter = rb_entry(heap->serving, struct waiter, node);

		heap->serving = rb_next(&waiter->node);
		waiter->block = __quarry_heap_alloc(heap, waiter->size);
		if (!waiter->block)
			continue;
		remove_waiter(heap, waiter);
		served[nr++] = waiter;
	}
	return nr;
}

/* Send away all who wait. */
static void send_away(struct quarry_heap *heap, int err)
{
	struct waiter *waiter;
	struct rb_node *first;
	unsigned long irq;

	do {
		raw_spin_lock_irqsave(&heap->lock, irq);
		first = rb_first(&heap->waiters);
		if (first) {
			waiter = rb_entry(first, struct waiter, node);
			waiter->err = err;
			remove_waiter(heap, waiter);
		}
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		if (first)
			complete(&waiter->done);
	} while (first);
}

/* Memory has become free: offer it to all who wait. Or there will be none any more. */
void __quarry_heap_serve(struct quarry_heap *heap)
{
	struct waiter *served[SERVE_BATCH];
	unsigned long irq;
	unsigned int nr;
	bool more;

	if (READ_ONCE(heap->broken)) {
		send_away(heap, -EIO);
		return;
	}

	raw_spin_lock_irqsave(&heap->lock, irq);
	heap->serving = rb_first(&heap->waiters);
	raw_spin_unlock_irqrestore(&heap->lock, irq);

	do {
		raw_spin_lock_irqsave(&heap->lock, irq);
		nr = serve_some(heap, served);
		more = heap->serving;
		raw_spin_unlock_irqrestore(&heap->lock, irq);
		complete_all_of(served, nr);
	} while (more);
}

/* Send away all who wait, and see them off. The heap is closing, so none comes. */
void __quarry_heap_dismiss(struct quarry_heap *heap)
{
	send_away(heap, -EIDRM);
	while (atomic_read_acquire(&heap->nr_sleepers))
		schedule_timeout_uninterruptible(1);
}

/*
 * Begin to wait, unless there is room now, or a reason not to. Returns whether it
 * waits: then the waiter belongs to others until it is told that it is over.
 */
static bool join_queue(struct quarry_heap *heap, struct waiter *waiter)
{
	unsigned long irq;
	bool waits;

	raw_spin_lock_irqsave(&heap->lock, irq);
	if (heap->closing)
		waiter->err = -EIDRM;
	else if (heap->broken)
		waiter->err = -EIO;
	else
		waiter->block = __quarry_heap_alloc(heap, waiter->size);
	waits = !waiter->err && !waiter->block;
	if (waits)
		insert_waiter(heap, waiter);
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return waits;
}

/* Stop waiting; false if that was ended by someone else, who will say so. */
static bool leave_queue(struct quarry_heap *heap, struct waiter *waiter)
{
	unsigned long irq;
	bool waiting;

	raw_spin_lock_irqsave(&heap->lock, irq);
	waiting = waiter->waiting;
	if (waiting) {
		remove_waiter(heap, waiter);
		heap->nr_failures++;
	}
	raw_spin_unlock_irqrestore(&heap->lock, irq);
	return waiting;
}

static int wait(struct quarry_heap *heap, struct waiter *waiter, long timeout)
{
	long left;

	if (!join_queue(heap, waiter))
		return waiter->err;
	__quarry_heap_drain_cached(heap);

	left = wait_for_completion_killable_timeout(&waiter->done, timeout);
	if (left > 0)
		return waiter->err;
	if (leave_queue(heap, waiter))
		return left ? -EINTR : -ETIMEDOUT;
	wait_for_completion(&waiter->done);
	return waiter->err;
}

/**
 * quarry_heap_alloc_wait() - allocate a block, and wait until there is room
 * @heap: the heap
 * @size: bytes wanted
 * @timeout: how long to wait, in jiffies; 0 not at all, MAX_SCHEDULE_TIMEOUT for ever
 * @flags: enum quarry_heap_flags
 * @block: filled in with the block; NULL if there is none
 *
 * Who frees a block, or extends the heap, takes memory for all who wait and can have it
 * now, in the order that @flags says. Blocks that wait to be freed count only once
 * they are, see quarry_heap_reap().
 *
 * Context: a task that may sleep. The lock is held for O(log2(waiters)).
 * Return: 0; -EINVAL if quarry_heap_alloc() would refuse the size, or a flag is unknown,
 * the timeout negative or @block NULL; -ENOSPC if there is no room and no time;
 * -ETIMEDOUT; -EINTR if the task was killed; -EIDRM if the heap ended; -EIO if out of
 * service.
 */
int quarry_heap_alloc_wait(struct quarry_heap *heap, size_t size, long timeout,
			   unsigned int flags, void **block)
{
	struct waiter waiter = {
		.size = size,
		.prio = flags & QUARRY_HEAP_PRIO ? current->prio : MAX_PRIO,
	};
	int err = 0;

	if (!block)
		return -EINVAL;
	*block = NULL;
	if (size - 1 >= LONG_MAX || flags & ~QUARRY_HEAP_PRIO || timeout < 0)
		return __quarry_heap_refuse(heap, -EINVAL, "wait: bad size, timeout or flags",
					    size, _RET_IP_);
	might_sleep();

	atomic_inc(&heap->nr_sleepers);
	if (timeout) {
		init_completion(&waiter.done);
		waiter.block = __quarry_heap_try_alloc(heap, size);
		if (!waiter.block)
			err = wait(heap, &waiter, timeout);
	} else {
		waiter.block = quarry_heap_alloc(heap, size);
		if (!waiter.block)
			err = READ_ONCE(heap->broken) ? -EIO : -ENOSPC;
	}
	atomic_dec_return_release(&heap->nr_sleepers);
	*block = waiter.block;
	return err;
}
EXPORT_SYMBOL_GPL(quarry_heap_alloc_wait);
