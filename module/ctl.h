/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_CTL_H
#define QUARRY_CTL_H

struct file_operations;

extern const struct file_operations quarry_ctl_fops;

#endif /* QUARRY_CTL_H */
