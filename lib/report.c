// SPDX-License-Identifier: GPL-2.0
/*
 * Reports: how an object says in the log that it was misused or is damaged.
 *
 * One place, so that each line names the object, the address and the caller in
 * the same way, and so that a caller that goes mad can't flood the log.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/bug.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "report.h"

static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);
/* Of its own: a caller that goes mad must not hide that something broke. */
static DEFINE_RATELIMIT_STATE(broken_limit, DEFAULT_RATELIMIT_INTERVAL,
			      DEFAULT_RATELIMIT_BURST);

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
 * quarry_report_broken() - WARN that an object serves no more
 * @kind: kind of object
 * @name: the object's name
 * @what: the contradiction in its metadata, a constant string
 * @offset: where that is, as an offset into what the object manages
 *
 * Called once for an object, when it takes itself out of service. At most ten in
 * five seconds are told, whatever else is in the log.
 *
 * Context: any but NMI; the object's lock may be held.
 */
void quarry_report_broken(const char *kind, const char *name, const char *what, u64 offset)
{
	if (!__ratelimit(&broken_limit))
		return;

	WARN(1, "quarry: %s %s out of service: %s at +0x%llx\n", kind, name, what, offset);
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
