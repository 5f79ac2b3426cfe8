// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs: inject/, failures on purpose. A folder for each allocator, in it one for
 * each point where it can fail, and in that a file for each setting, which mean what
 * those of the kernel's fault injection mean.
 *
 * Where the kernel itself has fault injection, its own function makes the folder of a
 * point, with what it has beside these settings (verbose, task-filter and so on), and
 * checks what is written to its files or doesn't.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fault-inject.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "../lib/inject.h"
#include "ctl.h"
#include "debugfs.h"

enum setting {
	PROBABILITY,
	INTERVAL,
	TIMES,
	SPACE,
	NR_KERNEL_SETTINGS,
	SEED = NR_KERNEL_SETTINGS,
	NR_SETTINGS
};

static const struct {
	const char *name;
	s64 min;
	s64 max;
} settings[NR_SETTINGS] = {
	[PROBABILITY] = { "probability", 0, 100 },
	[INTERVAL] = { "interval", 1, UINT_MAX },
	[TIMES] = { "times", -1, INT_MAX },
	[SPACE] = { "space", 0, INT_MAX },
	[SEED] = { "seed", 0, S64_MAX },
};

/* One file: a setting of a point. */
struct file_of {
	enum quarry_inject_point point;
	enum setting setting;
};

static struct file_of files[QUARRY_INJECT_NR_POINTS][NR_SETTINGS];

/* Between reading all settings and writing them with one changed. */
static DEFINE_MUTEX(lock);

/* ---- A setting ---- */

static s64 get_setting(const struct file_of *file)
{
	struct quarry_inject_settings now;

	quarry_inject_get(file->point, &now);
	switch (file->setting) {
	case PROBABILITY:
		return now.probability;
	case INTERVAL:
		return now.interval;
	case TIMES:
		return now.times;
	case SPACE:
		return now.space;
	default:
		return now.seed;
	}
}

static int set_setting(const struct file_of *file, s64 value)
{
	struct quarry_inject_settings now;
	int err;

	mutex_lock(&lock);
	quarry_inject_get(file->point, &now);
	switch (file->setting) {
	case PROBABILITY:
		now.probability = value;
		break;
	case INTERVAL:
		now.interval = value;
		break;
	case TIMES:
		now.times = value;
		break;
	case SPACE:
		now.space = value;
		break;
	default:
		now.seed = value;
	}
	err = quarry_inject_set(file->point, &now);
	mutex_unlock(&lock);
	return err;
}

static int setting_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%lld\n", get_setting(m->private));
	return 0;
}

static int setting_open(struct inode *inode, struct file *file)
{
	return single_open(file, setting_show, inode->i_private);
}

static ssize_t setting_write(struct file *file, const char __user *from, size_t size,
			     loff_t *pos)
{
	const struct file_of *of = ((struct seq_file *)file->private_data)->private;
	char buffer[32], *text = quarry_ctl_read_text(from, size, buffer, sizeof(buffer));
	s64 value, min = settings[of->setting].min, max = settings[of->setting].max;

	if (IS_ERR(text))
		return PTR_ERR(text);
	if (kstrtos64(text, 0, &value) || value < min || value > max) {
		pr_warn_ratelimited("inject/%s/%s/%s: \"%*pE\" is no number from %lld to %lld\n",
				    quarry_inject_allocator(of->point),
				    quarry_inject_what(of->point), settings[of->setting].name,
				    (int)strlen(text), text, min, max);
		return -EINVAL;
	}
	return set_setting(of, value) ?: size;
}

static const struct file_operations setting_fops = {
	.owner = THIS_MODULE,
	.open = setting_open,
	.read = seq_read,
	.write = setting_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* ---- A point ---- */

static int hits_show(struct seq_file *m, void *unused)
{
	const struct file_of *file = m->private;

	seq_printf(m, "%llu\n", quarry_inject_hits(file->point));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hits);

static void create_settings(struct file_of *of, struct dentry *folder, enum setting from)
{
	enum setting i;

	for (i = from; i < NR_SETTINGS; i++)
		debugfs_create_file(settings[i].name, 0644, folder, &of[i], &setting_fops);
	debugfs_create_file("hits", 0444, folder, of, &hits_fops);
}

static void create_point(enum quarry_inject_point point, struct dentry *allocator)
{
	const char *what = quarry_inject_what(point);
	struct file_of *of = files[point];
	struct dentry *folder = NULL;
	enum setting i;

	for (i = 0; i < NR_SETTINGS; i++)
		of[i] = (struct file_of) { point, i };
#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS
	folder = fault_create_debugfs_attr(what, allocator, quarry_inject_attr(point));
#endif
	if (IS_ERR_OR_NULL(folder))
		create_settings(of, debugfs_create_dir(what, allocator), 0);
	else
		create_settings(of, folder, NR_KERNEL_SETTINGS);
}

/* ---- All of them ---- */

static int points_show(struct seq_file *m, void *unused)
{
	enum quarry_inject_point point;

	seq_puts(m, "allocator  point   probability    interval       times       space  seed                 hits\n");
	for (point = 0; point < QUARRY_INJECT_NR_POINTS; point++) {
		struct quarry_inject_settings now;

		quarry_inject_get(point, &now);
		seq_printf(m, "%-9s  %-6s  %11u  %10u  %10d  %10d  %-19llu  %llu\n",
			   quarry_inject_allocator(point), quarry_inject_what(point),
			   now.probability, now.interval, now.times, now.space, now.seed,
			   quarry_inject_hits(point));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(points);

static ssize_t reset_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char buffer[32], *text = quarry_ctl_read_text(from, size, buffer, sizeof(buffer));

	if (IS_ERR(text))
		return PTR_ERR(text);
	if (strcmp(text, "1")) {
		pr_warn_ratelimited("inject/reset: \"%*pE\" is not 1\n", (int)strlen(text), text);
		return -EINVAL;
	}
	mutex_lock(&lock);
	quarry_inject_reset();
	mutex_unlock(&lock);
	return size;
}

static const struct file_operations reset_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = reset_write,
};

/**
 * quarry_debugfs_inject_init() - make inject/
 * @root: the folder of all of Quarry's files
 *
 * Context: may sleep.
 */
void quarry_debugfs_inject_init(struct dentry *root)
{
	struct dentry *inject = debugfs_create_dir("inject", root), *allocator = NULL;
	enum quarry_inject_point point;
	const char *name, *last = "";

	debugfs_create_file("points", 0444, inject, NULL, &points_fops);
	debugfs_create_file("reset", 0200, inject, NULL, &reset_fops);
	for (point = 0; point < QUARRY_INJECT_NR_POINTS; point++) {
		name = quarry_inject_allocator(point);
		if (strcmp(name, last))
			allocator = debugfs_create_dir(name, inject);
		last = name;
		create_point(point, allocator);
	}
}

/**
 * quarry_debugfs_inject_exit() - inject nothing from here on
 *
 * So that what is made of an end isn't what a failure makes of it. The files are gone.
 *
 * Context: may sleep.
 */
void quarry_debugfs_inject_exit(void)
{
	quarry_inject_reset();
}
