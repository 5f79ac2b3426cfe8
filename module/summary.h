/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_SUMMARY_H
#define QUARRY_SUMMARY_H

struct seq_file;

int quarry_summary_show(struct seq_file *m, void *unused);

#endif /* QUARRY_SUMMARY_H */
