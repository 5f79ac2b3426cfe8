// SPDX-License-Identifier: GPL-2.0
/*
 * Reports: how an object says in the log that it was misused or is damaged.
 *
 * One place, so that each line names the object, the address and the caller in
 * the same way, and so that a caller that goes mad can't flood the log.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "report.h"

static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);

/*
 * An address that the object manages is told as an offset, which says more and
 * gives nothing away; any other value is told as it is, for it came from the
 * caller and means nothing here.
 */
static bool is_offset(const struct quarry_misuse *misuse)
{
	return misuse->value - misuse->base < misuse->size;
}

/**
 * quarry_report_misuse() - log one line about a call that was refused
 * @misuse: what happened
 *
 * At most ten lines in five seconds; the rest are counted and told later.
 *
 * Context: any but NMI, with no lock held.
 */
void quarry_report_misuse(const struct quarry_misuse *misuse)
{
	bool offset = is_offset(misuse);

	if (!__ratelimit(&limit))
		return;

	pr_warn("%s %s: %s: %s0x%llx, called by %pS\n", misuse->kind, misuse->name, misuse->what,
		offset ? "+" : "", offset ? misuse->value - misuse->base : misuse->value,
		(void *)misuse->caller);
}

/**
 * quarry_report_fault() - log what a verifier found
 * @kind: kind of object
 * @name: the object's name
 * @fault: what is wrong with it
 *
 * Limited as quarry_report_misuse() is, and together with it.
 *
 * Context: any but NMI.
 */
void quarry_report_fault(const char *kind, const char *name, const struct quarry_fault *fault)
{
	if (!__ratelimit(&limit))
		return;

	pr_err("%s %s: %s at +0x%llx: expected 0x%llx, found 0x%llx\n", kind, name, fault->what,
	       fault->addr, fault->expected, fault->found);
}
