// SPDX-License-Identifier: GPL-2.0
/*
 * The settings: one value a file. A table says what each may be; a value that it may
 * not be is refused, and a line in the log says which ones it may. A run takes them as
 * they are when it starts.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include "../ctl.h"
#include "stress.h"

/* The longest that may be written: a histogram of sizes. */
#define MAX_TEXT	1024
/* How much of it the log shows when it is refused. */
#define MAX_SHOWN	64

/**
 * enum kind - what a setting is
 * @NUMBER: a number, with a suffix K, M or G if the user likes
 * @CHOICE: one of some names
 * @CHOICES: several of them, or "all"
 * @SIZES: a distribution of sizes
 */
enum kind {
	NUMBER,
	CHOICE,
	CHOICES,
	SIZES,
};

/* A setting: its file, where it is kept, and what it may be. */
struct setting {
	const char *name;
	enum kind kind;
	size_t offset;
	u64 min;
	u64 max;
	unsigned int nr_names;
	const char *(*name_of)(unsigned int index);
};

static const char *const fault_names[STRESS_NR_FAULTS] = {
	[STRESS_FAULT_NONE]		= "none",
	[STRESS_FAULT_DAMAGE]		= "damage",
	[STRESS_FAULT_SKIP_FREE]	= "skip-free",
	[STRESS_FAULT_DOUBLE_HAND_OUT]	= "double-hand-out",
	[STRESS_FAULT_BAD_FREE]		= "bad-free",
	[STRESS_FAULT_MISCOUNT]		= "miscount",
	[STRESS_FAULT_BREAK]		= "break",
};

static const char *allocator_name(unsigned int index)
{
	const struct stress_allocator *allocator = quarry_stress_allocator(index);

	return allocator ? allocator->name : NULL;
}

static const char *pattern_name(unsigned int index)
{
	const struct stress_pattern *pattern = quarry_stress_pattern(index);

	return pattern ? pattern->name : NULL;
}

static const char *spread_name(unsigned int index)
{
	return index < STRESS_NR_SPREADS ? quarry_stress_spreads[index] : NULL;
}

static const char *fault_name(unsigned int index)
{
	return index < STRESS_NR_FAULTS ? fault_names[index] : NULL;
}

#define AT(field)	offsetof(struct stress_settings, field)
/* Enough for any test, and nothing that is worked out from it overflows. */
#define MANY		BIT_ULL(40)

static const struct setting table[] = {
	{ "allocator", CHOICES, AT(allocators), .name_of = allocator_name },
	{ "pattern", CHOICE, AT(pattern), .name_of = pattern_name },
	{ "threads", NUMBER, AT(threads), 1, STRESS_MAX_THREADS },
	{ "ops", NUMBER, AT(ops), 0, MANY },
	{ "seconds", NUMBER, AT(seconds), 0, BIT_ULL(32) },
	{ "seed", NUMBER, AT(seed), 0, U64_MAX },
	{ "size_min", NUMBER, AT(size_min), 1, STRESS_MAX_SIZE },
	{ "size_max", NUMBER, AT(size_max), 1, STRESS_MAX_SIZE },
	{ "sizes", SIZES, AT(sizes), .name_of = spread_name },
	{ "live", NUMBER, AT(live), 1, STRESS_MAX_LIVE },
	{ "contents", NUMBER, AT(contents), 0, 1 },
	{ "irq_percent", NUMBER, AT(irq_percent), 0, 100 },
	{ "verify_every", NUMBER, AT(verify_every), 0, MANY },
	{ "fault", CHOICE, AT(fault), .name_of = fault_name },
};

/* Guards the settings that the files are about. */
static DEFINE_MUTEX(lock);
static struct stress_settings current_settings;

static u64 *value_of(struct stress_settings *settings, const struct setting *setting)
{
	return (void *)settings + setting->offset;
}

/* ---- Reading ---- */

static void show_choices(const struct setting *setting, u64 chosen, struct seq_file *m)
{
	const char *name;
	unsigned int i;
	bool any = false;

	for (i = 0; (name = setting->name_of(i)); i++) {
		if (!(chosen & BIT(i)))
			continue;
		seq_printf(m, "%s%s", any ? "," : "", name);
		any = true;
	}
}

static void show_value(const struct setting *setting, const struct stress_settings *settings,
		       struct seq_file *m)
{
	const u64 *value = value_of((struct stress_settings *)settings, setting);

	switch (setting->kind) {
	case NUMBER:
		seq_printf(m, "%llu", *value);
		break;
	case CHOICE:
		seq_puts(m, setting->name_of(*value));
		break;
	case CHOICES:
		show_choices(setting, *value, m);
		break;
	case SIZES:
		quarry_stress_sizes_show(&settings->sizes, m);
		break;
	}
}

/**
 * quarry_stress_settings_show() - all settings, a line each
 * @settings: the settings
 * @m: the file
 *
 * Context: any.
 */
void quarry_stress_settings_show(const struct stress_settings *settings, struct seq_file *m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		seq_printf(m, "%s: ", table[i].name);
		show_value(&table[i], settings, m);
		seq_putc(m, '\n');
	}
}

/* ---- Writing ---- */

static int parse_choice(const struct setting *setting, const char *word, unsigned int *index)
{
	const char *name;

	for (*index = 0; (name = setting->name_of(*index)); (*index)++)
		if (!strcmp(word, name))
			return 0;
	return -EINVAL;
}

static u64 all_choices(const struct setting *setting)
{
	unsigned int nr = 0;

	while (setting->name_of(nr))
		nr++;
	return BIT_ULL(nr) - 1;
}

static int parse_choices(const struct setting *setting, char *text, u64 *chosen)
{
	unsigned int index;
	char *word;
	u64 bits = 0;

	while ((word = strsep(&text, ", \t"))) {
		if (!*word)
			continue;
		if (!strcmp(word, "all")) {
			bits |= all_choices(setting);
			continue;
		}
		if (parse_choice(setting, word, &index))
			return -EINVAL;
		bits |= BIT_ULL(index);
	}
	if (!bits)
		return -EINVAL;
	*chosen = bits;
	return 0;
}

static int parse_number(const struct setting *setting, char *text, u64 *value)
{
	u64 number;

	if (!*text || quarry_ctl_parse_number(text, 0, &number))
		return -EINVAL;
	if (number < setting->min || number > setting->max)
		return -EINVAL;
	*value = number;
	return 0;
}

/* @text is changed. If it can't be, @settings is as it was. */
static int parse_value(const struct setting *setting, struct stress_settings *settings,
		       char *text)
{
	u64 *value = value_of(settings, setting);
	unsigned int index = 0;
	int err;

	switch (setting->kind) {
	case NUMBER:
		return parse_number(setting, text, value);
	case CHOICES:
		return parse_choices(setting, text, value);
	case SIZES:
		return quarry_stress_sizes_parse(&settings->sizes, text);
	default:
		err = parse_choice(setting, text, &index);
		if (!err)
			*value = index;
		return err;
	}
}

/*
 * Only root can write, so that nobody floods the log. What was written may be anything, and
 * is shown so that it is one line.
 */
static noinline_for_stack void tell_refusal(const struct setting *setting, const char *text)
{
	int shown = strnlen(text, MAX_SHOWN);
	char valid[192] = "";
	const char *name;
	size_t used = 0;
	unsigned int i;

	if (setting->kind == NUMBER) {
		pr_warn("stress: %s=%*pE is refused: it must be %llu to %llu\n", setting->name,
			shown, text, setting->min, setting->max);
		return;
	}
	for (i = 0; (name = setting->name_of(i)); i++)
		used += scnprintf(valid + used, sizeof(valid) - used, " %s", name);
	pr_warn("stress: %s=%*pE is refused: it must be %s%s\n", setting->name, shown, text,
		setting->kind == CHOICES ? "all, or some of:" : "one of:", valid);
}

/* What ends a run is the one or the other. */
static void keep_one_limit(const struct setting *setting)
{
	if (setting->offset == AT(ops) && current_settings.ops)
		current_settings.seconds = 0;
	if (setting->offset == AT(seconds) && current_settings.seconds)
		current_settings.ops = 0;
}

static int set(const struct setting *setting, const char *text)
{
	char *copy = kstrdup(text, GFP_KERNEL);
	int err;

	if (!copy)
		return -ENOMEM;
	mutex_lock(&lock);
	err = parse_value(setting, &current_settings, copy);
	if (!err)
		keep_one_limit(setting);
	mutex_unlock(&lock);
	if (err)
		tell_refusal(setting, text);
	kfree(copy);
	return err;
}

static ssize_t setting_write(struct file *file, const char __user *from, size_t count,
			     loff_t *pos)
{
	const struct setting *setting = file_inode(file)->i_private;
	char *text, *buffer = kmalloc(MAX_TEXT, GFP_KERNEL);
	int err;

	if (!buffer)
		return -ENOMEM;
	text = quarry_ctl_read_text(from, count, buffer, MAX_TEXT);
	err = IS_ERR(text) ? PTR_ERR(text) : set(setting, text);
	kfree(buffer);
	return err ?: count;
}

static int setting_show(struct seq_file *m, void *unused)
{
	mutex_lock(&lock);
	show_value(m->private, &current_settings, m);
	mutex_unlock(&lock);
	seq_putc(m, '\n');
	return 0;
}

static int setting_open(struct inode *inode, struct file *file)
{
	return single_open(file, setting_show, inode->i_private);
}

static const struct file_operations setting_fops = {
	.owner		= THIS_MODULE,
	.open		= setting_open,
	.read		= seq_read,
	.write		= setting_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

/* ---- All of them ---- */

/**
 * quarry_stress_settings_init() - the settings to begin with
 * @settings: filled in
 *
 * Context: any.
 */
void quarry_stress_settings_init(struct stress_settings *settings)
{
	*settings = (struct stress_settings) {
		.allocators	= all_choices(&table[0]),
		.pattern	= 1,
		.threads	= 1,
		.ops		= 100000,
		.seed		= 1,
		.size_min	= 16,
		.size_max	= SZ_4K,
		.live		= 1000,
		.contents	= 1,
		.verify_every	= 10000,
		.sizes		= { .spread = STRESS_LOG_UNIFORM },
	};
}
EXPORT_SYMBOL_GPL(quarry_stress_settings_init);

/**
 * quarry_stress_settings_check() - see if settings go together
 * @settings: settings, each of them valid
 *
 * Context: any.
 * Return: 0; -EINVAL if they don't, which a line in the log explains.
 */
int quarry_stress_settings_check(const struct stress_settings *settings)
{
	if (settings->size_min > settings->size_max) {
		pr_warn("stress: run is refused: size_min=%llu is more than size_max=%llu\n",
			settings->size_min, settings->size_max);
		return -EINVAL;
	}
	if (settings->fault == STRESS_FAULT_DAMAGE && !settings->contents) {
		pr_warn("stress: run is refused: fault=damage is not found without contents=1\n");
		return -EINVAL;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_stress_settings_check);

/**
 * quarry_stress_settings_get() - the settings as they are now
 * @settings: filled in
 *
 * Context: may sleep.
 */
void quarry_stress_settings_get(struct stress_settings *settings)
{
	mutex_lock(&lock);
	*settings = current_settings;
	mutex_unlock(&lock);
}

/**
 * quarry_stress_settings_create() - make the files, with what they hold to begin with
 * @folder: where
 *
 * Context: may sleep.
 */
void quarry_stress_settings_create(struct dentry *folder)
{
	unsigned int i;

	quarry_stress_settings_init(&current_settings);
	for (i = 0; i < ARRAY_SIZE(table); i++)
		debugfs_create_file(table[i].name, 0600, folder, (void *)&table[i],
				    &setting_fops);
}
