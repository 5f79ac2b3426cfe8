/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Forced into every file by Kbuild. The code is written for the newest kernel;
 * here old kernels get the new names, and nowhere else does a version count.
 *
 * Nothing is included but the version: a header that defines pr_fmt() would come
 * before the files that define theirs. So a feature can be asked for only where
 * it shows in CONFIG_ or needs no asking.
 */
#ifndef QUARRY_COMPAT_H
#define QUARRY_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || \
	LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "Quarry supports Linux 6.1 to 7.3"
#endif

/* Until 6.16, alloc_contig_range() was told the migrate type of the range. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define ACR_FLAGS_NONE	MIGRATE_MOVABLE
#endif

/*
 * Until 6.5, a local_t had no try_cmpxchg. The names are none that the macros below
 * it use for theirs.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define local_try_cmpxchg(local, old, new)					\
({										\
	long *quarry_old = (old), quarry_want = *quarry_old;			\
										\
	*quarry_old = local_cmpxchg(local, quarry_want, new);			\
	*quarry_old == quarry_want;						\
})
#endif

#endif /* QUARRY_COMPAT_H */
