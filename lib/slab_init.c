// SPDX-License-Identifier: GPL-2.0
/*
 * Slab: the beginning and the end.
 *
 * What follows from a size, an alignment and the size of a slab is worked out once,
 * here: how many objects there are, where they begin, and the numbers that make an
 * index of an address. Objects lie at the end of a slab and the slack before them,
 * so that objects of a power of two are aligned to their size.
 */
#define pr_fmt(fmt) "quarry: " fmt

#include <linux/align.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/printk.h>

#include "slab_internal.h"

/* Empty slabs that are kept when nothing else is said. */
#define DEFAULT_KEEP	2
/* Objects in use that are listed by name when the end is refused. */
#define MAX_LISTED	16

/* What init needs to know before it writes anything. */
struct layout {
	size_t stride;
	size_t align;
	size_t slab_size;
	size_t capacity;
};

/* Where addresses are looked up that can't be in a slab of a backend. */
const struct quarry_backend __quarry_slab_nowhere = {};
/* The simple shape where there is none: no slab has it, not even one with no shape yet. */
static const struct quarry_slab_shape no_shape;

/* ---- Shapes ---- */

/* Words of all levels but the top one, which is in the head. */
static size_t nr_words(size_t capacity)
{
	size_t nr = capacity, words = 0;

	while (nr > BITS_PER_LONG) {
		nr = BITS_TO_LONGS(nr);
		words += nr;
	}
	return words;
}

/* The most objects for which there is room, with the words that tell of them. */
size_t __quarry_slab_fit(size_t room, size_t overhead, size_t stride)
{
	size_t low = 0, high = min_t(size_t, room / stride, QUARRY_SLAB_MAX_OBJECTS);

	if (room < overhead)
		return 0;
	room -= overhead;
	while (low < high) {
		size_t nr = high - (high - low) / 2;
		size_t words = nr_words(nr) * sizeof(long);

		if (words <= room && nr <= (room - words) / stride)
			low = nr;
		else
			high = nr - 1;
	}
	return low;
}

/*
 * The numbers in use, modulo the bits of a word, between which and the next a slab
 * changes its list: 0, all but one, and each group below that.
 */
static unsigned long edges_of(unsigned int capacity, unsigned int group_shift)
{
	unsigned int nr, step = BIT(min(group_shift, QUARRY_SLAB_SHIFT));
	unsigned long edges = 1;

	for (nr = 0; nr < BITS_PER_LONG; nr += step)
		edges |= BIT((capacity - 1 - nr) & (BITS_PER_LONG - 1));
	return edges;
}

/* Fill in what slabs of so many objects have in common. */
void __quarry_slab_set_shape(struct quarry_slab_shape *shape, size_t capacity,
			     unsigned int empty_list)
{
	unsigned int group_shift = 0, depth = 1;
	size_t nr, words = 0;

	/* A partial slab has from 1 to all but 1 in use. */
	while (capacity > 1 + ((size_t)QUARRY_SLAB_NR_PARTIAL << group_shift))
		group_shift++;
	for (nr = capacity; nr > BITS_PER_LONG; depth++) {
		shape->level[depth - 1] = words;
		nr = BITS_TO_LONGS(nr);
		words += nr;
	}
	shape->edges = edges_of(capacity, group_shift);
	shape->capacity = capacity;
	shape->brim = capacity > 1 ? capacity : 0;
	shape->group_shift = group_shift;
	shape->depth = depth;
	shape->empty_list = empty_list;
}

/* The inverse of an odd number modulo the word: each step doubles the bits that fit. */
static unsigned long inverse_of(unsigned long odd)
{
	unsigned long inverse = odd;
	unsigned int bits;

	for (bits = 3; bits < BITS_PER_LONG; bits *= 2)
		inverse *= 2 - odd * inverse;
	return inverse;
}

/* ---- Layout ---- */

/* Objects in a slab of some size; 0 if it can't be. */
static size_t capacity_of(const struct layout *layout, size_t slab_size, bool headers_outside)
{
	if (layout->align > slab_size)
		return 0;
	if (headers_outside)
		return min_t(size_t, slab_size / layout->stride, QUARRY_SLAB_MAX_OBJECTS);
	return __quarry_slab_fit(slab_size, sizeof(struct quarry_slab_head), layout->stride);
}

/*
 * The smallest slab that wastes at most an eighth; if the backend can't have such a
 * one, the smallest that holds an object.
 */
static size_t default_slab_size(const struct layout *layout, const struct quarry_backend *backend,
				bool headers_outside)
{
	size_t size, capacity, smallest = 0;

	for (size = BIT(backend->page_shift); size && size <= backend->region.size; size <<= 1) {
		capacity = capacity_of(layout, size, headers_outside);
		if (capacity && size - capacity * layout->stride <= size / 8)
			return size;
		if (capacity && !smallest)
			smallest = size;
	}
	return smallest;
}

static int lay_out_slab(struct layout *layout, const struct quarry_slab_config *config,
			bool headers_outside)
{
	const struct quarry_backend *backend = config->backend;

	layout->slab_size = config->slab_size ?:
			    default_slab_size(layout, backend, headers_outside);
	if (!is_power_of_2(layout->slab_size) || layout->slab_size < BIT(backend->page_shift))
		return -EINVAL;
	layout->capacity = capacity_of(layout, layout->slab_size, headers_outside);
	return layout->capacity ? 0 : -EINVAL;
}

static int lay_out(struct layout *layout, const struct quarry_slab_config *config,
		   bool headers_outside)
{
	size_t size = max_t(size_t, config->object_size, QUARRY_SLAB_MIN_SIZE);
	size_t rounded;

	*layout = (struct layout) {
		.align = max_t(size_t, config->align, QUARRY_SLAB_MIN_SIZE),
	};
	if (!config->object_size || !is_power_of_2(layout->align))
		return -EINVAL;
	if (config->align && !is_power_of_2(config->align))
		return -EINVAL;
	if (check_add_overflow(size, layout->align - 1, &rounded))
		return -EINVAL;
	layout->stride = ALIGN_DOWN(rounded, layout->align);
	if (layout->stride > LONG_MAX)
		return -EINVAL;

	return config->backend ? lay_out_slab(layout, config, headers_outside) : 0;
}

/**
 * quarry_slab_header_size() - memory that a slab's header takes
 * @config: of the allocator, with a backend; its headers need not be set yet
 *
 * Objects of this size are what the allocator of headers must have.
 *
 * Context: any. O(log2(region)).
 * Return: bytes; 0 if quarry_slab_init() would refuse the configuration, or there is
 * no backend, and so no header that could lie outside.
 */
size_t quarry_slab_header_size(const struct quarry_slab_config *config)
{
	struct layout layout;

	if (!config || !config->backend || lay_out(&layout, config, true))
		return 0;
	return sizeof(struct quarry_slab_head) + nr_words(layout.capacity) * sizeof(long);
}
EXPORT_SYMBOL_GPL(quarry_slab_header_size);

/* ---- Init and fini ---- */

static int check_config(const struct quarry_slab *slab, const struct quarry_slab_config *config)
{
	if (!slab || !config || !config->name)
		return -EINVAL;
	if (!config->headers)
		return 0;
	if (!config->backend || config->headers == slab)
		return -EINVAL;
	return config->headers->stride < quarry_slab_header_size(config) ? -EINVAL : 0;
}

/* Slabs come from the backend if there is one, and nothing else is said. */
static void set_source(struct quarry_slab *slab)
{
	if (slab->refill || !slab->backend)
		return;
	slab->refill = __quarry_slab_refill;
	slab->reclaimer.reclaim = __quarry_slab_reclaim;
	slab->reclaimable = true;
	quarry_backend_add_reclaimer(slab->backend, &slab->reclaimer);
}

/**
 * quarry_slab_init() - make an allocator of objects
 * @slab: the slab allocator, in memory of the caller's
 * @config: what it shall be like; needed only for this call, but for the name
 *
 * It has no objects yet: they come from quarry_slab_grow(), quarry_slab_reserve(), or
 * the refill at the first allocation.
 *
 * Context: any but NMI, nothing else may use @slab. O(log2(region)).
 * Return: 0; -EINVAL, and nothing changed, if a pointer or the size is missing, the
 * alignment or the slab size is no power of two, a slab doesn't hold one object, an
 * object would be larger than LONG_MAX, or objects of @config->headers are too small.
 */
int quarry_slab_init(struct quarry_slab *slab, const struct quarry_slab_config *config)
{
	struct layout layout;
	unsigned int shift;
	int err;

	err = check_config(slab, config);
	if (err)
		return err;
	err = lay_out(&layout, config, config->headers);
	if (err)
		return err;

	shift = __ffs(layout.stride);
	*slab = (struct quarry_slab) {
		.name = config->name,
		.stride = layout.stride,
		.align = layout.align,
		.odd_shift = shift,
		.inverse = inverse_of(layout.stride >> shift),
		.slab_size = layout.slab_size,
		.first_object = layout.slab_size - layout.capacity * layout.stride,
		.map = config->backend ?: &__quarry_slab_nowhere,
		.backend = config->backend,
		.headers = config->headers,
		.ctor = config->ctor,
		.refill = config->refill,
		.release = config->release,
		.ctx = config->ctx,
		.keep = DEFAULT_KEEP,
		.refused_flags = ~QUARRY_SLAB_FLAGS | (config->ctor ? QUARRY_SLAB_ZERO : 0),
		.buffers = RB_ROOT,
	};
	raw_spin_lock_init(&slab->lock);
	if (layout.capacity)
		__quarry_slab_set_shape(&slab->shape, layout.capacity, LIST_EMPTY_SLABS);
	slab->simple = slab->shape.depth == 1 ? &slab->shape : &no_shape;
	set_source(slab);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_slab_init);

/* Say which objects are in use: the first by their addresses, and how many. */
static void list_used(struct quarry_slab *slab, u64 nr_used)
{
	struct quarry_slab_object object = {};
	u64 base, size;
	unsigned long irq;
	unsigned int nr;

	for (nr = 0; nr < MAX_LISTED; nr++) {
		if (quarry_slab_next(slab, nr ? object.start + 1 : NULL, &object))
			break;
		raw_spin_lock_irqsave(&slab->lock, irq);
		base = __quarry_slab_base(slab, object.start, &size);
		raw_spin_unlock_irqrestore(&slab->lock, irq);
		pr_warn("slab %s: object +0x%llx in use\n", slab->name,
			(unsigned long)object.start - base);
	}
	pr_warn("slab %s: %llu objects in use at its end\n", slab->name, nr_used);
}

/*
 * Take any slab away from everyone: one that isn't full or, when there is none, a full one,
 * for which a few pages from @addr on are looked through. False when all are gone.
 */
static bool unlink_any(struct quarry_slab *slab, unsigned long *addr,
		       struct quarry_slab_head **head)
{
	unsigned long irq;
	bool more;

	*head = NULL;
	raw_spin_lock_irqsave(&slab->lock, irq);
	more = !slab->broken && (slab->stocked || slab->nr_full) && *addr != ULONG_MAX;
	if (more && slab->stocked)
		*head = hlist_entry(slab->lists[__fls(slab->stocked)].first,
				    struct quarry_slab_head, node);
	else if (more)
		*head = __quarry_slab_next_head(slab, addr);
	if (*head)
		*head = __quarry_slab_unlink(slab, *head);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return more;
}

/* From here on nothing is allocated: false if something is, and that matters. */
static bool close_slab(struct quarry_slab *slab, bool force, u64 *nr_used)
{
	unsigned long irq;
	bool closed;

	raw_spin_lock_irqsave(&slab->lock, irq);
	*nr_used = slab->nr_used;
	closed = force || !*nr_used;
	if (closed) {
		slab->ended = true;
		slab->refill = NULL;
		slab->limit = 0;
	}
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return closed;
}

/**
 * quarry_slab_fini() - end an allocator
 * @slab: the slab allocator
 * @force: end it although objects are in use
 * @nr_used: filled in with the number of objects in use; may be NULL
 *
 * All slabs go back to the backend, and all buffers to the release, if there is one;
 * if not, the caller may have them back. Nothing is served afterwards. Without @force,
 * objects in use are listed in the log. One that was taken out of service gives
 * nothing back, as it can't be known any more what is whose.
 *
 * Context: any but NMI, if the release allows that; nothing else may use @slab.
 * O(slabs); with @force, O(pages of the backend).
 * Return: 0; -EBUSY, and nothing changed, if objects are in use; -EIO, and it ended
 * nevertheless, if it was out of service.
 */
int quarry_slab_fini(struct quarry_slab *slab, bool force, u64 *nr_used)
{
	struct quarry_slab_head *head;
	unsigned long addr = 0;
	u64 nr;

	if (!close_slab(slab, force || slab->broken, nr_used ?: &nr)) {
		list_used(slab, nr_used ? *nr_used : nr);
		return -EBUSY;
	}

	if (slab->reclaimable)
		quarry_backend_del_reclaimer(slab->backend, &slab->reclaimer);
	slab->reclaimable = false;
	while (unlink_any(slab, &addr, &head))
		if (head)
			__quarry_slab_give_back(slab, head);
	return slab->broken ? -EIO : 0;
}
EXPORT_SYMBOL_GPL(quarry_slab_fini);
