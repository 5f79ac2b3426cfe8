// SPDX-License-Identifier: GPL-2.0
/*
 * Vmem: waiting until there is room.
 *
 * Those who wait stand in a queue, each with what he wants, on his own stack. Who
 * makes room (a free, an added span) serves the first under the same lock: he
 * allocates for him and wakes him, so that nobody can come between. Who is woken
 * serves the next in turn before he goes, so that one free can serve many,
 * and no lock is held for more than one allocation. The first is never passed by one
 * behind him; a waiting allocation that comes while others wait goes to the end of
 * the queue; one that doesn't wait is not held back by those who do.
 *
 * What may help but can't be done under the lock (an import that a raised limit or a
 * released span allows, tags from the backend) is left to the first: he is told to try
 * again, and keeps his place until he has what he wants.
 *
 * Who leaves the queue, served or not, serves the next: so no wake-up is lost when
 * the one whom it met was just then killed. Waking is complete() on a completion, which
 * takes a raw lock, also on PREEMPT_RT.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/sched.h>

#include "vmem_internal.h"

/* Who waits. The lock guards all of it but the completion. */
struct waiter {
	struct list_head list;
	struct completion woken;
	struct want *want;
	bool served;
	bool retry;		/* told to try what can't be done under the lock */
	bool trying;		/* at it, without the lock */
};

static struct waiter *first_waiter(struct quarry_vmem *vmem)
{
	return list_first_entry_or_null(&vmem->waiters, struct waiter, list);
}

static void enqueue(struct quarry_vmem *vmem, struct waiter *waiter)
{
	list_add_tail(&waiter->list, &vmem->waiters);
	vmem->nr_waiters++;
	vmem->nr_followers++;
	vmem->nr_waits++;
	/* The first looks once more, now that nothing can happen without his being told. */
	waiter->retry = first_waiter(vmem) == waiter;
}

static void dequeue(struct quarry_vmem *vmem, struct waiter *waiter)
{
	list_del_init(&waiter->list);
	vmem->nr_waiters--;
	vmem->nr_followers--;
}

/* Serve the first who waits, if that is possible now; with @retry, wake him anyway. */
void __quarry_vmem_serve(struct quarry_vmem *vmem, bool retry)
{
	struct waiter *waiter = first_waiter(vmem);
	int err = -EAGAIN;

	lockdep_assert_held(&vmem->lock);

	if (likely(!waiter))
		return;
	if (!waiter->trying)
		err = __quarry_vmem_take(vmem, waiter->want);
	if (err == -ENOSPC && !retry)
		return;

	if (err) {
		waiter->retry = true;
	} else {
		waiter->served = true;
		dequeue(vmem, waiter);
	}
	complete(&waiter->woken);
}

/* Sleep; only running out of time and being killed are errors. */
static int sleep_until_woken(struct waiter *waiter, unsigned long *timeout)
{
	long left = wait_for_completion_killable_timeout(&waiter->woken, *timeout);

	if (left < 0)
		return -EINTR;
	*timeout = left;
	return left ? 0 : -ETIMEDOUT;
}

/* Try what can't be done under the lock, which is dropped meanwhile. */
static int try_again(struct quarry_vmem *vmem, struct waiter *waiter, unsigned long *irq)
{
	int err;

	waiter->retry = false;
	waiter->trying = true;
	raw_spin_unlock_irqrestore(&vmem->lock, *irq);
	err = __quarry_vmem_fetch(vmem, waiter->want);
	raw_spin_lock_irqsave(&vmem->lock, *irq);
	waiter->trying = false;
	waiter->served = !err;
	return err;
}

/* Sleep once, with the lock dropped. */
static int sleep_once(struct quarry_vmem *vmem, struct waiter *waiter, unsigned long *timeout,
		      unsigned long *irq)
{
	int err;

	reinit_completion(&waiter->woken);
	raw_spin_unlock_irqrestore(&vmem->lock, *irq);
	err = sleep_until_woken(waiter, timeout);
	raw_spin_lock_irqsave(&vmem->lock, *irq);
	return err;
}

/* Frees flush the quantum caches from now on; what is in them already is to be had. */
static void drain(struct quarry_vmem *vmem, unsigned long *irq)
{
	if (!vmem->qcache)
		return;
	raw_spin_unlock_irqrestore(&vmem->lock, *irq);
	/* Pairs with that of who puts a segment in a cache. */
	smp_mb();
	__quarry_vmem_drain_qcache(vmem);
	raw_spin_lock_irqsave(&vmem->lock, *irq);
}

/*
 * Wait for what is wanted. Return: 0; -ETIMEDOUT, -EINTR if killed, or -EIO.
 */
int __quarry_vmem_wait(struct quarry_vmem *vmem, struct want *want, unsigned long timeout)
{
	struct waiter waiter = { .want = want };
	unsigned long irq;
	int err = 0;

	init_completion(&waiter.woken);
	raw_spin_lock_irqsave(&vmem->lock, irq);
	enqueue(vmem, &waiter);
	drain(vmem, &irq);
	while (!waiter.served && !err) {
		if (!waiter.retry)
			err = sleep_once(vmem, &waiter, &timeout, &irq);
		else if (try_again(vmem, &waiter, &irq) == -EIO)
			err = -EIO;
	}
	if (!list_empty(&waiter.list))
		dequeue(vmem, &waiter);
	/* Who comes first now may find what the one before had no use for. */
	__quarry_vmem_serve(vmem, true);
	raw_spin_unlock_irqrestore(&vmem->lock, irq);

	return waiter.served ? 0 : err;
}
