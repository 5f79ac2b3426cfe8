/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_REPORT_H
#define QUARRY_REPORT_H

#include <linux/types.h>

/**
 * struct quarry_fault - what a verifier found wrong
 * @what: the invariant that doesn't hold, a constant string; NULL when all hold
 * @addr: where it doesn't hold, as an offset into what the object manages; 0
 *	where the fault is in a total
 * @expected: the value recomputed from scratch
 * @found: the value in the object
 */
struct quarry_fault {
	const char *what;
	u64 addr;
	u64 expected;
	u64 found;
};

/**
 * struct quarry_misuse - one refused call, as the log tells it
 * @kind: kind of object, "buddy" say
 * @name: the object's own name
 * @what: what was wrong with the call, a constant string
 * @base: where the object's memory starts; addresses inside it are logged as
 *        offsets, so that the log doesn't give away where memory lies
 * @size: how much memory the object manages
 * @value: the address or size that was refused
 * @caller: return address of the public function
 */
struct quarry_misuse {
	const char *kind;
	const char *name;
	const char *what;
	u64 base;
	u64 size;
	u64 value;
	unsigned long caller;
};

void quarry_report_misuse(const struct quarry_misuse *misuse);
void quarry_report_broken(const char *kind, const char *name, const char *what, u64 offset);
void quarry_report_fault(const char *kind, const char *name, const struct quarry_fault *fault);

#endif /* QUARRY_REPORT_H */
