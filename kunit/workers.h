/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_WORKERS_H
#define QUARRY_KUNIT_WORKERS_H

#include <linux/completion.h>
#include <linux/irq_work.h>
#include <linux/smp.h>

#include "helpers.h"

/**
 * struct qtest_worker - a thread on one CPU, and interrupts there
 * @step: what both do, again and again; told who does it
 * @leave: what is done for both in the end, when nobody else does anything
 * @thread: who does it in the thread
 * @interrupt: who does it in the interrupt
 *
 * Filled in by a test; see qtest_work().
 */
struct qtest_worker {
	void (*step)(void *tenant);
	void (*leave)(void *tenant);
	void *thread;
	void *interrupt;
	/* private: */
	struct irq_work raise;
	call_single_data_t poke;
	struct qtest_worker *neighbour;
	int cpu;
	unsigned long rounds;
	unsigned long nr_interrupts;
	bool outside;
	struct completion done;
	struct task_struct *task;
};

/* How many there should be: two on each CPU, as they get in each other's way there. */
int qtest_nr_workers(void);

/*
 * Lets so many workers work, so many steps each, on one CPU after the other, and waits
 * until they have. Returns how often interrupts did, never 0.
 */
unsigned long qtest_work(struct kunit *test, struct qtest_worker *workers, int nr,
			 unsigned long rounds);

#endif /* QUARRY_KUNIT_WORKERS_H */
