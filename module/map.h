/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_MAP_H
#define QUARRY_MAP_H

struct seq_file;

int quarry_map_show(struct seq_file *m, void *unused);

#endif /* QUARRY_MAP_H */
