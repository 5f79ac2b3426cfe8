// SPDX-License-Identifier: GPL-2.0
/*
 * stress/ in debugfs: the settings, and run, status and result.
 *
 * There is one run at a time. It goes on when its starter is gone, and what came of it
 * can be read until the next one starts. The lock guards which run that is; it is held
 * while a run is waited for, but for a user no longer than a run needs to end when it
 * is told to.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "../ctl.h"
#include "../instance.h"
#include "stress.h"

static DEFINE_MUTEX(lock);
static struct stress_run *current_run;
static struct quarry_instance *stressed;
static struct dentry *folder;

static bool is_running(void)
{
	return current_run && !quarry_stress_run_is_over(current_run);
}

static int start(void)
{
	struct stress_settings settings;
	struct stress_run *run;
	int err;

	if (is_running())
		return -EBUSY;
	quarry_stress_settings_get(&settings);
	err = quarry_stress_settings_check(&settings);
	if (err)
		return err;
	run = quarry_stress_run_start(stressed, &settings);
	if (IS_ERR(run)) {
		pr_warn("stress: no run can be made: %pe\n", run);
		return PTR_ERR(run);
	}
	if (current_run)
		quarry_stress_run_put(current_run);
	current_run = run;
	return 0;
}

static void stop(void)
{
	if (current_run)
		quarry_stress_run_stop(current_run);
}

static ssize_t run_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	char buffer[8], *text = quarry_ctl_read_text(from, count, buffer, sizeof(buffer));
	int err = 0;

	if (IS_ERR(text) || (strcmp(text, "0") && strcmp(text, "1"))) {
		pr_warn("stress: run is refused: it must be 1 to start, 0 to stop\n");
		return -EINVAL;
	}
	mutex_lock(&lock);
	if (*text == '1')
		err = start();
	else
		stop();
	mutex_unlock(&lock);
	return err ?: count;
}

static int run_show(struct seq_file *m, void *unused)
{
	mutex_lock(&lock);
	seq_printf(m, "%d\n", is_running());
	mutex_unlock(&lock);
	return 0;
}

static int run_open(struct inode *inode, struct file *file)
{
	return single_open(file, run_show, inode->i_private);
}

static const struct file_operations run_fops = {
	.owner		= THIS_MODULE,
	.open		= run_open,
	.read		= seq_read,
	.write		= run_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

static int status_show(struct seq_file *m, void *unused)
{
	mutex_lock(&lock);
	quarry_stress_status_show(current_run, m);
	mutex_unlock(&lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(status);

static int result_show(struct seq_file *m, void *unused)
{
	mutex_lock(&lock);
	quarry_stress_result_show(current_run, m);
	mutex_unlock(&lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(result);

/**
 * quarry_stress_init() - make the folder
 * @instance: whose region is stressed
 * @root: where the folder goes
 *
 * Context: may sleep.
 */
void quarry_stress_init(struct quarry_instance *instance, struct dentry *root)
{
	stressed = instance;
	folder = debugfs_create_dir("stress", root);
	quarry_stress_settings_create(folder);
	debugfs_create_file("run", 0600, folder, NULL, &run_fops);
	debugfs_create_file("status", 0444, folder, NULL, &status_fops);
	debugfs_create_file("result", 0444, folder, NULL, &result_fops);
}

/**
 * quarry_stress_exit() - stop what runs, and remove the folder
 *
 * The folder goes first, so that nobody starts another run.
 *
 * Context: may sleep, for as long as it takes to free what the run has.
 */
void quarry_stress_exit(void)
{
	debugfs_remove(folder);
	if (current_run)
		quarry_stress_run_put(current_run);
	current_run = NULL;
}
