/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_CTL_H
#define QUARRY_CTL_H

#include <linux/bits.h>
#include <linux/compiler_attributes.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct dentry;
struct quarry_ctl;
struct quarry_instance;

/* An xalloc with all that it takes, and numbers of 20 digits, has 222 characters. */
#define QUARRY_CTL_LINE		256
#define QUARRY_CTL_ANSWER	256
#define QUARRY_CTL_MAX_WORDS	16

/**
 * enum quarry_ctl_type - what a word of a command stands for
 * @QUARRY_CTL_FLAG: nothing more: it is there or not
 * @QUARRY_CTL_NAME: the name of an object, not longer than such names are; one a command
 * @QUARRY_CTL_NUMBER: a number; with a suffix K, M or G so many times 2^10, 2^20, 2^30
 * @QUARRY_CTL_PAGES: bytes: a number counts pages, one with a suffix bytes
 * @QUARRY_CTL_OFFSET: an address, told as an offset into the region
 */
enum quarry_ctl_type {
	QUARRY_CTL_FLAG,
	QUARRY_CTL_NAME,
	QUARRY_CTL_NUMBER,
	QUARRY_CTL_PAGES,
	QUARRY_CTL_OFFSET,
};

/**
 * struct quarry_ctl_word - an operand or an option
 * @key: for an option, the word that it begins with; NULL for an operand
 * @value: what the usage calls its value; NULL for a flag
 * @type: what the value is
 */
struct quarry_ctl_word {
	const char *key;
	const char *value;
	enum quarry_ctl_type type;
};

/**
 * struct quarry_ctl_call - a command, parsed and being run
 * @instance: what it works on
 * @ctl: the file that it came by
 * @given: a bit for each word of @ctl that was there
 * @value: their values; 0 for those that were not there, and for flags
 * @name: the value of the one that is a name
 */
struct quarry_ctl_call {
	struct quarry_instance *instance;
	struct quarry_ctl *ctl;
	unsigned int given;
	u64 value[QUARRY_CTL_MAX_WORDS];
	const char *name;
};

/**
 * struct quarry_ctl_command - a command
 * @name: its first word
 * @operands: a bit for each word that must follow, in the order of the words
 * @options: a bit for each that may follow then, in any order. One of them may be
 *	an operand, without a key: it must not look like a key
 * @run: does it, under the lock of the file; 0 or an errno
 */
struct quarry_ctl_command {
	const char *name;
	unsigned int operands;
	unsigned int options;
	int (*run)(struct quarry_ctl_call *call);
};

/**
 * struct quarry_ctl - a file that takes commands
 * @commands: its commands; the last has no name
 * @words: all that may come in them
 * @nr_words: how many, at most QUARRY_CTL_MAX_WORDS
 * @notes: more lines for the usage, each with its newline
 * @instance: what the commands work on
 * @file: the file, while there is one
 * @lock: guards what the commands work on and what is below
 * @used: whether there was a command
 * @line: the last one
 * @err: what it returned
 * @answer: what it had to say besides
 *
 * Those from @instance on are filled in when there is a file.
 */
struct quarry_ctl {
	const struct quarry_ctl_command *commands;
	const struct quarry_ctl_word *words;
	unsigned int nr_words;
	const char *notes;

	struct quarry_instance *instance;
	struct dentry *file;
	struct mutex lock;	/* see above */
	bool used;
	char line[QUARRY_CTL_LINE];
	int err;
	char answer[QUARRY_CTL_ANSWER];
};

/**
 * quarry_ctl_given() - see if a word was there
 * @call: the command
 * @word: index of the word
 *
 * Return: whether it was.
 */
static inline bool quarry_ctl_given(const struct quarry_ctl_call *call, unsigned int word)
{
	return call->given & BIT(word);
}

/**
 * quarry_ctl_value() - the value of a word that need not be there
 * @call: the command
 * @word: index of the word
 * @otherwise: what stands for it if it was not there
 *
 * Return: its value, or @otherwise.
 */
static inline u64 quarry_ctl_value(const struct quarry_ctl_call *call, unsigned int word,
				   u64 otherwise)
{
	return quarry_ctl_given(call, word) ? call->value[word] : otherwise;
}

/**
 * quarry_ctl_size() - the value of a word, as bytes of memory
 * @call: the command
 * @word: index of the word
 *
 * Return: its value; if that is more than this machine can express, the most that
 * it can, which is too large as well.
 */
static inline size_t quarry_ctl_size(const struct quarry_ctl_call *call, unsigned int word)
{
	return min_t(u64, call->value[word], SIZE_MAX);
}

/**
 * quarry_ctl_pointer() - the value of a word, as an address in memory
 * @call: the command
 * @word: index of the word
 *
 * Return: the address, which may be that of anything or of nothing.
 */
static inline void *quarry_ctl_pointer(const struct quarry_ctl_call *call, unsigned int word)
{
	return (void *)quarry_ctl_size(call, word);
}

/**
 * quarry_ctl_count() - the value of a word that need not be there, as a number of things
 * @call: the command
 * @word: index of the word
 * @otherwise: what stands for it if it was not there
 *
 * Return: the number; UINT_MAX if it is more than that.
 */
static inline unsigned int quarry_ctl_count(const struct quarry_ctl_call *call, unsigned int word,
					    unsigned int otherwise)
{
	return min_t(u64, quarry_ctl_value(call, word, otherwise), UINT_MAX);
}

void quarry_ctl_create(struct quarry_ctl *ctl, struct quarry_instance *instance,
		       struct dentry *folder);
void quarry_ctl_remove(struct quarry_ctl *ctl);
char *quarry_ctl_read_text(const char __user *from, size_t count, char *buffer, size_t size);
int quarry_ctl_parse_number(char *word, unsigned int shift, u64 *number);
__printf(2, 3) void quarry_ctl_answer(struct quarry_ctl_call *call, const char *format, ...);
void quarry_ctl_answer_offset(struct quarry_ctl_call *call, const char *key, const void *addr);

extern struct quarry_ctl quarry_buddy_ctl;
extern struct quarry_ctl quarry_slab_ctl;
extern struct quarry_ctl quarry_zone_ctl;
extern struct quarry_ctl quarry_heap_ctl;
extern struct quarry_ctl quarry_vmem_ctl;

void quarry_slab_ctl_exit(struct quarry_instance *instance);
void quarry_heap_ctl_init(struct quarry_instance *instance);
void quarry_heap_ctl_exit(struct quarry_instance *instance);
void quarry_vmem_ctl_init(struct quarry_instance *instance);
void quarry_vmem_ctl_exit(struct quarry_instance *instance);

#endif /* QUARRY_CTL_H */
