// SPDX-License-Identifier: GPL-2.0
/*
 * Named objects: what debugfs lists, an object a folder, whatever its kind, and
 * what "verify" goes through. Who makes an object adds it here and deletes it
 * before the object goes; after that nobody looks at it any more.
 *
 * named_lock guards the list of them. It is held while someone looks at an object
 * that he found there; files in an object's own folder need no lock, as debugfs
 * waits for them when the folder goes. It comes after a ctl file's lock, and
 * before any lock of lib/.
 */
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "named.h"

static DEFINE_MUTEX(named_lock);
static LIST_HEAD(all);

static void create_files(const struct quarry_named_file *file, struct dentry *folder, void *data)
{
	for (; file->name; file++)
		debugfs_create_file(file->name, file->mode, folder, data, file->fops);
}

/**
 * quarry_named_start() - make the folder of a kind
 * @kind: the kind
 * @instance: the instance
 * @root: where the folder goes
 *
 * Context: may sleep.
 * Return: the folder.
 */
struct dentry *quarry_named_start(struct quarry_named_kind *kind,
				  struct quarry_instance *instance, struct dentry *root)
{
	kind->instance = instance;
	kind->folder = debugfs_create_dir(kind->name, root);
	create_files(kind->common, kind->folder, kind);
	return kind->folder;
}

/**
 * quarry_named_stop() - forget what is left of a kind, and its folder
 * @kind: the kind
 *
 * Context: may sleep.
 */
void quarry_named_stop(struct quarry_named_kind *kind)
{
	struct quarry_named *named, *next;

	mutex_lock(&named_lock);
	list_for_each_entry_safe(named, next, &all, list)
		if (named->kind == kind)
			list_del(&named->list);
	mutex_unlock(&named_lock);
	debugfs_remove(kind->folder);
}

static bool is_file(const struct quarry_named_file *file, const char *name)
{
	for (; file->name; file++)
		if (!strcmp(file->name, name))
			return true;
	return false;
}

static bool is_taken(const struct quarry_named_kind *kind, const char *name)
{
	const struct quarry_named *named;

	lockdep_assert_held(&named_lock);

	list_for_each_entry(named, &all, list)
		if (named->kind == kind && !strcmp(named->name, name))
			return true;
	return is_file(kind->common, name) || !strcmp(name, "ctl");
}

/* It becomes a folder's name and a word in tables. */
static bool is_valid(const char *name)
{
	const char *at;

	for (at = name; *at; at++)
		if (!isascii(*at) || (!isalnum(*at) && *at != '-' && *at != '_'))
			return false;
	return at > name && at - name < QUARRY_NAME_SIZE;
}

/**
 * quarry_named_add() - show an object
 * @kind: its kind, which has been started
 * @named: the object, with its name
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if the name is not of ASCII letters, digits, - and _, or too long;
 * -EEXIST if another of that kind has it.
 */
int quarry_named_add(struct quarry_named_kind *kind, struct quarry_named *named)
{
	int err = 0;

	if (!is_valid(named->name))
		return -EINVAL;
	named->kind = kind;
	mutex_lock(&named_lock);
	if (is_taken(kind, named->name))
		err = -EEXIST;
	else
		list_add_tail(&named->list, &all);
	mutex_unlock(&named_lock);
	if (err)
		return err;
	named->folder = debugfs_create_dir(named->name, kind->folder);
	create_files(kind->files, named->folder, named);
	return 0;
}

/**
 * quarry_named_del() - don't show an object any longer
 * @named: the object
 *
 * When it returns, nobody looks at the object any more.
 *
 * Context: may sleep.
 */
void quarry_named_del(struct quarry_named *named)
{
	mutex_lock(&named_lock);
	list_del(&named->list);
	mutex_unlock(&named_lock);
	debugfs_remove(named->folder);
}

/**
 * quarry_named_for_each() - visit objects in the order in which they came
 * @kind: of this kind; NULL for all
 * @visit: called for each
 * @ctx: passed to it
 *
 * Context: may sleep.
 */
void quarry_named_for_each(const struct quarry_named_kind *kind,
			   void (*visit)(struct quarry_named *named, void *ctx), void *ctx)
{
	struct quarry_named *named;

	mutex_lock(&named_lock);
	list_for_each_entry(named, &all, list)
		if (!kind || named->kind == kind)
			visit(named, ctx);
	mutex_unlock(&named_lock);
}
