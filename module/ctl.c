// SPDX-License-Identifier: GPL-2.0
/*
 * buddy/ctl: the buddy driven by hand.
 *
 * One write is one command, on one line: its name, its operands in their order,
 * its options in any order. Two tables say what there is; the usage that a reader
 * sees is printed from them. A line is parsed to its end before anything is done,
 * so a bad word leaves everything as it was. write(2) returns the errno of the
 * operation, and the file reads as the result of the last command.
 *
 * Blocks that others have taken from the buddy are theirs: ctl frees and moves
 * only what it has made, for which it keeps a bit a page in the region.
 *
 * ctl_lock guards these bits and the last command. Commands run one at a time.
 */
#include <linux/bitmap.h>
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/kstrtox.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ctl.h"
#include "instance.h"

#define CTL_LINE	128

/**
 * struct ctl_call - a command, parsed and run
 * @instance: what it works on
 * @addr: the operand OFFSET, as an address
 * @request: the operand SIZE and the options
 * @block: the block that it made, freed or found; size 0 if more than one
 * @nr_freed: then, how many were freed
 */
struct ctl_call {
	struct quarry_instance *instance;
	u64 addr;
	struct quarry_buddy_request request;
	struct quarry_buddy_block block;
	u64 nr_freed;
};

static DEFINE_MUTEX(ctl_lock);

/* The last command, for the reader; no instance in it before the first. */
static struct {
	char line[CTL_LINE];
	int err;
	struct ctl_call call;
} ctl_last;

static unsigned long ctl_bit(const struct quarry_instance *instance, u64 addr)
{
	return quarry_instance_offset(instance, addr) >> PAGE_SHIFT;
}

static void ctl_own(struct ctl_call *call, u64 addr)
{
	__set_bit(ctl_bit(call->instance, addr), call->instance->ctl_blocks);
}

static void ctl_disown(struct ctl_call *call, u64 addr)
{
	__clear_bit(ctl_bit(call->instance, addr), call->instance->ctl_blocks);
}

/* Only a block of someone else is refused here; the buddy knows all other errors. */
static int ctl_check_owner(struct ctl_call *call)
{
	struct quarry_buddy_block *block = &call->block;
	bool found = !quarry_buddy_lookup(&call->instance->buddy, call->addr, block);

	if (!found || block->addr != call->addr)
		return 0;
	if (!test_bit(ctl_bit(call->instance, block->addr), call->instance->ctl_blocks))
		return -EPERM;
	return 0;
}

static bool ctl_is_constrained(const struct quarry_buddy_request *request)
{
	return request->align || request->min || request->max != U64_MAX;
}

static int ctl_alloc(struct ctl_call *call)
{
	struct quarry_buddy *buddy = &call->instance->buddy;
	int err;

	if (ctl_is_constrained(&call->request))
		err = quarry_buddy_xalloc(buddy, &call->request, &call->block);
	else
		err = quarry_buddy_alloc(buddy, call->request.size, call->request.flags,
					 &call->block);
	if (!err)
		ctl_own(call, call->block.addr);
	return err;
}

static int ctl_probe(struct ctl_call *call)
{
	return quarry_buddy_probe(&call->instance->buddy, &call->request, &call->block);
}

static int ctl_reserve(struct ctl_call *call)
{
	int err = quarry_buddy_reserve(&call->instance->buddy, call->addr, call->request.size);

	if (err)
		return err;
	ctl_own(call, call->addr);
	return quarry_buddy_lookup(&call->instance->buddy, call->addr, &call->block);
}

static int ctl_free(struct ctl_call *call)
{
	int err = ctl_check_owner(call);

	if (err)
		return err;
	err = quarry_buddy_free(&call->instance->buddy, call->addr);
	if (err)
		return err;
	ctl_disown(call, call->addr);
	return 0;
}

static int ctl_realloc(struct ctl_call *call)
{
	int err = ctl_check_owner(call);

	if (err)
		return err;
	err = quarry_buddy_realloc(&call->instance->buddy, call->addr, call->request.size,
				   call->request.flags, &call->block);
	if (err)
		return err;
	ctl_disown(call, call->addr);
	ctl_own(call, call->block.addr);
	return 0;
}

static int ctl_lookup(struct ctl_call *call)
{
	return quarry_buddy_lookup(&call->instance->buddy, call->addr, &call->block);
}

static int ctl_freeall(struct ctl_call *call)
{
	struct quarry_instance *instance = call->instance;
	unsigned long nr_pages = instance->managed.size >> PAGE_SHIFT;
	unsigned long page;
	int err;

	for_each_set_bit(page, instance->ctl_blocks, nr_pages) {
		call->addr = instance->managed.base + ((u64)page << PAGE_SHIFT);
		err = quarry_buddy_free(&instance->buddy, call->addr);
		if (err)
			return err;
		ctl_disown(call, call->addr);
		call->nr_freed++;
	}
	return 0;
}

enum ctl_option {
	CTL_EXACT,
	CTL_TOPDOWN,
	CTL_ALIGN,
	CTL_MIN,
	CTL_MAX,
	CTL_NR_OPTIONS,
};

#define CTL_FLAGS	(BIT(CTL_EXACT) | BIT(CTL_TOPDOWN))
#define CTL_OPTIONS	(BIT(CTL_NR_OPTIONS) - 1)

static const struct ctl_command {
	const char *name;
	bool offset;
	bool size;
	unsigned int options;
	int (*run)(struct ctl_call *call);
} ctl_commands[] = {
	{ .name = "alloc", .size = true, .options = CTL_OPTIONS, .run = ctl_alloc },
	{ .name = "probe", .size = true, .options = CTL_OPTIONS, .run = ctl_probe },
	{ .name = "reserve", .offset = true, .size = true, .run = ctl_reserve },
	{ .name = "free", .offset = true, .run = ctl_free },
	{ .name = "realloc", .offset = true, .size = true, .options = CTL_FLAGS,
	  .run = ctl_realloc },
	{ .name = "lookup", .offset = true, .run = ctl_lookup },
	{ .name = "freeall", .run = ctl_freeall },
};

/* @shift: what a number without a suffix counts. */
static int ctl_parse_number(char *word, unsigned int shift, u64 *number)
{
	static const char suffixes[] = "KMG";
	char *last, *suffix;
	u64 count;

	if (!word)
		return -EINVAL;
	last = word + strlen(word) - 1;
	suffix = strchr(suffixes, toupper(*last));
	if (suffix) {
		*last = '\0';
		shift = 10 * (suffix - suffixes + 1);
	}
	if (kstrtou64(word, 0, &count) || check_shl_overflow(count, shift, number))
		return -EINVAL;
	return 0;
}

static int ctl_parse_size(struct ctl_call *call, char *word, u64 *size)
{
	return ctl_parse_number(word, PAGE_SHIFT, size);
}

static int ctl_parse_offset(struct ctl_call *call, char *word, u64 *addr)
{
	u64 offset;

	if (ctl_parse_number(word, 0, &offset) ||
	    check_add_overflow(call->instance->managed.base, offset, addr))
		return -EINVAL;
	return 0;
}

/* An option with a value has a parser for it, and the field that it goes to. */
static const struct {
	const char *name;
	const char *value;
	unsigned int flag;
	int (*parse)(struct ctl_call *call, char *word, u64 *value);
	size_t field;
} ctl_options[] = {
	[CTL_EXACT]	= { "exact", "", QUARRY_BUDDY_EXACT },
	[CTL_TOPDOWN]	= { "topdown", "", QUARRY_BUDDY_TOPDOWN },
	[CTL_ALIGN]	= { "align", " SIZE", 0, ctl_parse_size,
			    offsetof(struct ctl_call, request.align) },
	[CTL_MIN]	= { "min", " OFFSET", 0, ctl_parse_offset,
			    offsetof(struct ctl_call, request.min) },
	[CTL_MAX]	= { "max", " OFFSET", 0, ctl_parse_offset,
			    offsetof(struct ctl_call, request.max) },
};

static_assert(ARRAY_SIZE(ctl_options) == CTL_NR_OPTIONS);

static char *ctl_next_word(char **line)
{
	char *word;

	do {
		word = strsep(line, " \t");
	} while (word && !*word);
	return word;
}

static const struct ctl_command *ctl_find_command(const char *word)
{
	unsigned int i;

	for (i = 0; word && i < ARRAY_SIZE(ctl_commands); i++)
		if (!strcmp(word, ctl_commands[i].name))
			return &ctl_commands[i];
	return NULL;
}

/* @allowed: the options that may still come, a bit each; every one may come once. */
static int ctl_parse_option(struct ctl_call *call, const char *word, char **line,
			    unsigned int *allowed)
{
	unsigned int i;

	for (i = 0; i < CTL_NR_OPTIONS; i++) {
		if (!(*allowed & BIT(i)) || strcmp(word, ctl_options[i].name))
			continue;
		*allowed &= ~BIT(i);
		call->request.flags |= ctl_options[i].flag;
		if (!ctl_options[i].parse)
			return 0;
		return ctl_options[i].parse(call, ctl_next_word(line),
					    (void *)call + ctl_options[i].field);
	}
	return -EINVAL;
}

static int ctl_parse_operands(struct ctl_call *call, const struct ctl_command *command,
			      char **line)
{
	if (command->offset && ctl_parse_offset(call, ctl_next_word(line), &call->addr))
		return -EINVAL;
	if (command->size && ctl_parse_size(call, ctl_next_word(line), &call->request.size))
		return -EINVAL;
	return 0;
}

static int ctl_run(struct ctl_call *call, char *line)
{
	const struct ctl_command *command = ctl_find_command(ctl_next_word(&line));
	unsigned int allowed;
	char *word;

	if (!command || ctl_parse_operands(call, command, &line))
		return -EINVAL;
	allowed = command->options;
	while ((word = ctl_next_word(&line)))
		if (ctl_parse_option(call, word, &line, &allowed))
			return -EINVAL;
	return command->run(call);
}

static int ctl_run_and_remember(struct quarry_instance *instance, char *line)
{
	struct ctl_call call = { .instance = instance, .request.max = U64_MAX };
	int err;

	mutex_lock(&ctl_lock);
	strscpy(ctl_last.line, line, sizeof(ctl_last.line));
	err = ctl_run(&call, line);
	ctl_last.err = err;
	ctl_last.call = call;
	mutex_unlock(&ctl_lock);
	return err;
}

static void ctl_show_usage(struct seq_file *m)
{
	const struct ctl_command *command;
	unsigned int i;

	seq_puts(m, "# Write one command:\n");
	for (command = ctl_commands; command < ctl_commands + ARRAY_SIZE(ctl_commands); command++) {
		seq_printf(m, "#   %s%s%s", command->name, command->offset ? " OFFSET" : "",
			   command->size ? " SIZE" : "");
		for (i = 0; i < CTL_NR_OPTIONS; i++)
			if (command->options & BIT(i))
				seq_printf(m, " [%s%s]", ctl_options[i].name,
					   ctl_options[i].value);
		seq_putc(m, '\n');
	}
	seq_puts(m, "# SIZE counts pages, or bytes with a suffix K, M or G.\n");
	seq_puts(m, "# OFFSET is in bytes from the start of the region; max is inclusive.\n");
	seq_puts(m, "# free, realloc and freeall work on blocks that were made here.\n");
}

static void ctl_show_last(struct seq_file *m)
{
	const struct ctl_call *call = &ctl_last.call;

	lockdep_assert_held(&ctl_lock);

	if (!call->instance) {
		seq_puts(m, "command: none yet\n");
		return;
	}
	seq_printf(m, "command: %*pE\n", (int)strlen(ctl_last.line), ctl_last.line);
	if (ctl_last.err) {
		seq_printf(m, "result: %pe\n", ERR_PTR(ctl_last.err));
		return;
	}
	seq_puts(m, "result: ok\n");
	if (call->block.size) {
		seq_printf(m, "offset: 0x%llx\n",
			   quarry_instance_offset(call->instance, call->block.addr));
		seq_printf(m, "size: %llu bytes\n", call->block.size);
	} else {
		seq_printf(m, "nr_freed: %llu\n", call->nr_freed);
	}
}

static int ctl_show(struct seq_file *m, void *unused)
{
	ctl_show_usage(m);
	mutex_lock(&ctl_lock);
	ctl_show_last(m);
	mutex_unlock(&ctl_lock);
	return 0;
}

static int ctl_open(struct inode *inode, struct file *file)
{
	return single_open(file, ctl_show, inode->i_private);
}

/* A line may end in a newline, and nothing may come after that. */
static ssize_t ctl_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct quarry_instance *instance = file_inode(file)->i_private;
	char line[CTL_LINE];
	int err;

	if (count >= sizeof(line))
		return -E2BIG;
	if (copy_from_user(line, from, count))
		return -EFAULT;
	line[count] = '\0';
	if (count && line[count - 1] == '\n')
		line[count - 1] = '\0';
	if (strlen(line) + 1 < count || strchr(line, '\n'))
		return -EINVAL;
	err = ctl_run_and_remember(instance, line);
	return err ?: count;
}

const struct file_operations quarry_ctl_fops = {
	.owner		= THIS_MODULE,
	.open		= ctl_open,
	.read		= seq_read,
	.write		= ctl_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};
