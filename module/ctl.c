// SPDX-License-Identifier: GPL-2.0
/*
 * ctl files: allocators driven by hand.
 *
 * One write is one command, on one line: its name, its operands in their order,
 * its options in any order. Tables say what there is, for each allocator in a
 * file of its own (ctl_buddy.c and so on); the usage that a reader sees is printed
 * from them. A line is parsed to its end before anything is done, so a bad word
 * leaves everything as it was. write(2) returns the errno of the operation, and
 * the file reads as the result of the last command.
 *
 * Commands of one file run one at a time, under its lock, which guards all that
 * they keep. What others have taken from an allocator is theirs: a ctl file frees
 * and moves only what it has made.
 */
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/lockdep.h>
#include <linux/overflow.h>
#include <linux/seq_file.h>
#include <linux/stdarg.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ctl.h"
#include "instance.h"
#include "named.h"

/* ---- Parsing ---- */

static char *next_word(char **line)
{
	char *word;

	do {
		word = strsep(line, " \t");
	} while (word && !*word);
	return word;
}

/**
 * quarry_ctl_read_text() - what somebody wrote to a file
 * @from: what was written
 * @count: its bytes
 * @buffer: where the text goes, with an end
 * @size: bytes of that
 *
 * Context: may sleep.
 * Return: the text, without white space around it; an errno as a pointer: -E2BIG if it is
 * too long, -EFAULT if it can't be read, -EINVAL if it has a NUL, and so is no text.
 */
char *quarry_ctl_read_text(const char __user *from, size_t count, char *buffer, size_t size)
{
	if (count >= size)
		return ERR_PTR(-E2BIG);
	if (copy_from_user(buffer, from, count))
		return ERR_PTR(-EFAULT);
	buffer[count] = '\0';
	return strlen(buffer) < count ? ERR_PTR(-EINVAL) : strim(buffer);
}

/**
 * quarry_ctl_parse_number() - read a number as people write it
 * @word: the number, at least one character; a suffix is cut off
 * @shift: what a number without a suffix counts, as log2
 * @number: set to it
 *
 * Context: any.
 * Return: 0; -EINVAL if it is none, or too large.
 */
int quarry_ctl_parse_number(char *word, unsigned int shift, u64 *number)
{
	static const char suffixes[] = "KMG";
	char *last = word + strlen(word) - 1;
	char *suffix = strchr(suffixes, toupper(*last));
	u64 count;

	if (suffix) {
		*last = '\0';
		shift = 10 * (suffix - suffixes + 1);
	}
	if (kstrtou64(word, 0, &count) || check_shl_overflow(count, shift, number))
		return -EINVAL;
	return 0;
}

static int parse_offset(struct quarry_ctl_call *call, char *word, u64 *addr)
{
	u64 offset;

	if (quarry_ctl_parse_number(word, 0, &offset) ||
	    check_add_overflow(call->instance->managed.base, offset, addr))
		return -EINVAL;
	return 0;
}

static int parse_value(struct quarry_ctl_call *call, unsigned int index, char *word)
{
	if (!word)
		return -EINVAL;
	switch (call->ctl->words[index].type) {
	case QUARRY_CTL_NAME:
		call->name = word;
		return strlen(word) < QUARRY_NAME_SIZE ? 0 : -EINVAL;
	case QUARRY_CTL_NUMBER:
		return quarry_ctl_parse_number(word, 0, &call->value[index]);
	case QUARRY_CTL_PAGES:
		return quarry_ctl_parse_number(word, PAGE_SHIFT, &call->value[index]);
	case QUARRY_CTL_OFFSET:
		return parse_offset(call, word, &call->value[index]);
	default:
		return -EINVAL;
	}
}

static int parse_operands(struct quarry_ctl_call *call, const struct quarry_ctl_command *command,
			  char **line)
{
	unsigned int i;

	for (i = 0; i < call->ctl->nr_words; i++) {
		if (!(command->operands & BIT(i)))
			continue;
		if (parse_value(call, i, next_word(line)))
			return -EINVAL;
		call->given |= BIT(i);
	}
	return 0;
}

/* Of the words that are @allowed: the one with this key, or else the one without. */
static unsigned int find_option(const struct quarry_ctl *ctl, unsigned int allowed,
				const char *key)
{
	unsigned int found = ctl->nr_words;
	unsigned int i;

	for (i = 0; i < ctl->nr_words; i++) {
		if (!(allowed & BIT(i)))
			continue;
		if (!ctl->words[i].key)
			found = i;
		else if (!strcmp(key, ctl->words[i].key))
			return i;
	}
	return found;
}

/* Every option may come once. */
static int parse_option(struct quarry_ctl_call *call, const struct quarry_ctl_command *command,
			char *word, char **line)
{
	const struct quarry_ctl *ctl = call->ctl;
	unsigned int i = find_option(ctl, command->options & ~call->given, word);

	if (i == ctl->nr_words)
		return -EINVAL;
	call->given |= BIT(i);
	if (ctl->words[i].type == QUARRY_CTL_FLAG)
		return 0;
	return parse_value(call, i, ctl->words[i].key ? next_word(line) : word);
}

static const struct quarry_ctl_command *find_command(const struct quarry_ctl *ctl,
						     const char *word)
{
	const struct quarry_ctl_command *command;

	for (command = ctl->commands; word && command->name; command++)
		if (!strcmp(word, command->name))
			return command;
	return NULL;
}

/* ---- Running ---- */

static int run(struct quarry_ctl_call *call, char *line)
{
	const struct quarry_ctl_command *command = find_command(call->ctl, next_word(&line));
	char *word;

	if (!command || parse_operands(call, command, &line))
		return -EINVAL;
	while ((word = next_word(&line)))
		if (parse_option(call, command, word, &line))
			return -EINVAL;
	return command->run(call);
}

static int run_and_remember(struct quarry_ctl *ctl, char *line)
{
	struct quarry_ctl_call call = { .instance = ctl->instance, .ctl = ctl };
	int err;

	if (mutex_lock_interruptible(&ctl->lock))
		return -ERESTARTSYS;
	ctl->used = true;
	strscpy(ctl->line, line, sizeof(ctl->line));
	ctl->answer[0] = '\0';
	err = run(&call, line);
	ctl->err = err;
	mutex_unlock(&ctl->lock);
	return err;
}

/**
 * quarry_ctl_answer() - have something to say besides the errno
 * @call: the command that says it
 * @format: as for printf(): one or more lines "key: value"
 *
 * What is too long is cut.
 *
 * Context: under the lock of the file, as every command runs.
 */
void quarry_ctl_answer(struct quarry_ctl_call *call, const char *format, ...)
{
	struct quarry_ctl *ctl = call->ctl;
	size_t used = strlen(ctl->answer);
	va_list args;

	lockdep_assert_held(&ctl->lock);

	va_start(args, format);
	vscnprintf(ctl->answer + used, sizeof(ctl->answer) - used, format, args);
	va_end(args);
}

/**
 * quarry_ctl_answer_offset() - say where something is
 * @call: the command that says it
 * @key: what it is called
 * @addr: its address, in the region
 *
 * Context: under the lock of the file.
 */
void quarry_ctl_answer_offset(struct quarry_ctl_call *call, const char *key, const void *addr)
{
	quarry_ctl_answer(call, "%s: 0x%llx\n", key,
			  quarry_instance_offset(call->instance, (unsigned long)addr));
}

/* ---- The file ---- */

static void show_word(struct seq_file *m, const struct quarry_ctl_word *word)
{
	seq_printf(m, "%s%s%s", word->key ?: "", word->key && word->value ? " " : "",
		   word->value ?: "");
}

static void show_command(struct seq_file *m, const struct quarry_ctl *ctl,
			 const struct quarry_ctl_command *command)
{
	unsigned int i;

	seq_printf(m, "#   %s", command->name);
	for (i = 0; i < ctl->nr_words; i++) {
		if (!(command->operands & BIT(i)))
			continue;
		seq_putc(m, ' ');
		show_word(m, &ctl->words[i]);
	}
	for (i = 0; i < ctl->nr_words; i++) {
		if (!(command->options & BIT(i)))
			continue;
		seq_puts(m, " [");
		show_word(m, &ctl->words[i]);
		seq_putc(m, ']');
	}
	seq_putc(m, '\n');
}

static void show_last(struct seq_file *m, const struct quarry_ctl *ctl)
{
	lockdep_assert_held(&ctl->lock);

	if (!ctl->used) {
		seq_puts(m, "command: none yet\n");
		return;
	}
	seq_printf(m, "command: %*pE\n", (int)strlen(ctl->line), ctl->line);
	if (ctl->err)
		seq_printf(m, "result: %pe\n", ERR_PTR(ctl->err));
	else
		seq_puts(m, "result: ok\n");
	seq_puts(m, ctl->answer);
}

static int ctl_show(struct seq_file *m, void *unused)
{
	const struct quarry_ctl_command *command;
	struct quarry_ctl *ctl = m->private;

	seq_puts(m, "# Write one command:\n");
	for (command = ctl->commands; command->name; command++)
		show_command(m, ctl, command);
	seq_puts(m, ctl->notes);
	mutex_lock(&ctl->lock);
	show_last(m, ctl);
	mutex_unlock(&ctl->lock);
	return 0;
}

static int ctl_open(struct inode *inode, struct file *file)
{
	return single_open(file, ctl_show, inode->i_private);
}

static ssize_t ctl_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct quarry_ctl *ctl = file_inode(file)->i_private;
	char buffer[QUARRY_CTL_LINE];
	char *line = quarry_ctl_read_text(from, count, buffer, sizeof(buffer));
	int err;

	if (IS_ERR(line))
		return PTR_ERR(line);
	if (strchr(line, '\n'))
		return -EINVAL;
	err = run_and_remember(ctl, line);
	return err ?: count;
}

static const struct file_operations ctl_fops = {
	.owner		= THIS_MODULE,
	.open		= ctl_open,
	.read		= seq_read,
	.write		= ctl_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/**
 * quarry_ctl_create() - put a file that takes commands into debugfs
 * @ctl: what it takes
 * @instance: what the commands work on
 * @folder: where the file "ctl" goes
 *
 * Context: may sleep.
 */
void quarry_ctl_create(struct quarry_ctl *ctl, struct quarry_instance *instance,
		       struct dentry *folder)
{
	ctl->instance = instance;
	ctl->file = debugfs_create_file("ctl", 0600, folder, ctl, &ctl_fops);
}

/**
 * quarry_ctl_remove() - take the file away
 * @ctl: what it takes
 *
 * When it returns, no command runs, and none comes any more.
 *
 * Context: may sleep.
 */
void quarry_ctl_remove(struct quarry_ctl *ctl)
{
	debugfs_remove(ctl->file);
}
