/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_DEBUGFS_H
#define QUARRY_DEBUGFS_H

struct quarry_instance;

void quarry_debugfs_init(struct quarry_instance *instance);
void quarry_debugfs_exit(void);

#endif /* QUARRY_DEBUGFS_H */
