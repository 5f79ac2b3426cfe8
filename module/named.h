/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_NAMED_H
#define QUARRY_NAMED_H

#include <linux/list.h>
#include <linux/types.h>

#include "../lib/report.h"

struct dentry;
struct file_operations;
struct quarry_instance;
struct quarry_named;

#define QUARRY_NAME_SIZE	32

/**
 * struct quarry_named_file - a file in debugfs
 * @name: its name
 * @mode: its permissions
 * @fops: what it does
 */
struct quarry_named_file {
	const char *name;
	umode_t mode;
	const struct file_operations *fops;
};

/**
 * struct quarry_named_kind - what all objects of one kind have in common
 * @name: the kind, and its folder in debugfs, "slab" say
 * @common: files in that folder itself, whose private data is the kind; no object
 *	can have their names, nor "ctl", which comes by quarry_ctl_create()
 * @files: files in the folder that each object has there, whose private data is
 *	the struct quarry_named; both end with a file without a name
 * @verify: recomputes all that can be wrong with an object, and fills in what is
 * @instance: in whose region they are
 *
 * Its folder comes and goes with quarry_named_start() and quarry_named_stop().
 */
struct quarry_named_kind {
	const char *name;
	const struct quarry_named_file *common;
	const struct quarry_named_file *files;
	int (*verify)(struct quarry_named *named, struct quarry_fault *fault);
	struct quarry_instance *instance;
	/* private: */
	struct dentry *folder;
};

/**
 * struct quarry_named - an object that debugfs shows
 * @name: its name; kept, not copied
 * @part: belongs to something that verifies it
 * @kind: its kind, once it has been added
 *
 * Embedded in what knows the object.
 */
struct quarry_named {
	const char *name;
	bool part;
	struct quarry_named_kind *kind;
	/* private: */
	struct list_head list;
	struct dentry *folder;
};

struct dentry *quarry_named_start(struct quarry_named_kind *kind,
				  struct quarry_instance *instance, struct dentry *root);
void quarry_named_stop(struct quarry_named_kind *kind);

int quarry_named_add(struct quarry_named_kind *kind, struct quarry_named *named);
void quarry_named_del(struct quarry_named *named);
void quarry_named_for_each(const struct quarry_named_kind *kind,
			   void (*visit)(struct quarry_named *named, void *ctx), void *ctx);

#endif /* QUARRY_NAMED_H */
