// SPDX-License-Identifier: GPL-2.0
/*
 * Slab: how slabs come and go.
 *
 * A slab is made and unmade by whoever has it to himself: between taking memory and
 * linking the slab, and between unlinking it and giving the memory back, it is on
 * no list, and no address is found to be in it, so that all of this, constructors
 * included, runs without the lock. A buffer is entered in the tree before it is
 * written to, so that nobody else can enter it meanwhile.
 */
#include <linux/align.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>

#include "slab_internal.h"

/* Slabs that a reclaimer gives back in one call. */
#define RECLAIM_MAX	16
/* Places where a slab may be that are looked at without a break. */
#define LOOK_MAX	32

/* ---- Buffers ---- */

static unsigned long buffer_last(const struct quarry_slab_buffer *buffer)
{
	return (unsigned long)buffer->start + (buffer->size - 1);
}

/* The buffer that holds an address, or else the next above it, or NULL. */
struct quarry_slab_buffer *__quarry_slab_next_buffer(const struct quarry_slab *slab,
						     const void *addr)
{
	struct quarry_slab_buffer *next = NULL;
	struct rb_node *node = slab->buffers.rb_node;

	lockdep_assert_held(&slab->lock);

	while (node) {
		struct quarry_slab_buffer *buffer =
			rb_entry(node, struct quarry_slab_buffer, node);

		if (buffer_last(buffer) < (unsigned long)addr) {
			node = node->rb_right;
		} else {
			next = buffer;
			node = node->rb_left;
		}
	}
	return next;
}

/* The buffer that holds an address, or NULL. */
struct quarry_slab_buffer *__quarry_slab_find_buffer(const struct quarry_slab *slab,
						     const void *addr)
{
	struct rb_node *node = slab->buffers.rb_node;

	lockdep_assert_held(&slab->lock);

	while (node) {
		struct quarry_slab_buffer *buffer =
			rb_entry(node, struct quarry_slab_buffer, node);

		if ((unsigned long)addr - (unsigned long)buffer->start < buffer->size)
			return buffer;
		node = addr < buffer->start ? node->rb_left : node->rb_right;
	}
	return NULL;
}

static void enter_buffer(struct quarry_slab *slab, struct quarry_slab_buffer *buffer)
{
	struct rb_node **link = &slab->buffers.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (buffer->start < rb_entry(parent, struct quarry_slab_buffer, node)->start)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&buffer->node, parent, link);
	rb_insert_color(&buffer->node, &slab->buffers);
}

/* ---- Linking ---- */

/* A head of which nothing is known yet but where its objects are. */
static void prepare(struct quarry_slab_head *head, void *objects)
{
	head->shape = NULL;
	INIT_HLIST_NODE(&head->node);
	head->top = 0;
	head->nr_used = 0;
	head->fresh = 0;
	head->objects = objects;
}

static void construct(const struct quarry_slab *slab, const struct quarry_slab_head *head,
		      const struct quarry_slab_shape *shape)
{
	u32 i;

	for (i = 0; i < shape->capacity; i++)
		slab->ctor(slab->ctx, head->objects + i * slab->stride);
}

/* From here on the slab has objects for everyone. */
static void link_slab(struct quarry_slab *slab, struct quarry_slab_head *head,
		      const struct quarry_slab_shape *shape)
{
	lockdep_assert_held(&slab->lock);

	WRITE_ONCE(head->shape, shape);
	__quarry_slab_insert(slab, head, shape->empty_list);
	slab->nr_made++;
	slab->nr_objects += shape->capacity;
	__quarry_slab_set_limit(slab);
}

static bool is_buffer(const struct quarry_slab *slab, const struct quarry_slab_head *head)
{
	return head->shape && head->shape != &slab->shape;
}

/*
 * Take a slab away from everyone; the caller shall __quarry_slab_give_back() it. NULL,
 * and nothing done but that the allocator is out of service, if its head is damaged.
 */
struct quarry_slab_head *__quarry_slab_unlink(struct quarry_slab *slab,
					      struct quarry_slab_head *head)
{
	const struct quarry_slab_shape *shape = head->shape;

	lockdep_assert_held(&slab->lock);

	if (unlikely(!__quarry_slab_remove(slab, head,
					   __quarry_slab_list_of(shape, head->nr_used)))) {
		__quarry_slab_broken(slab, "the head of a slab is damaged", head);
		return NULL;
	}
	slab->nr_used -= head->nr_used;
	slab->nr_objects -= shape->capacity;
	slab->nr_released++;
	__quarry_slab_set_limit(slab);

	if (is_buffer(slab, head))
		rb_erase(&__quarry_slab_buffer_of(shape)->node, &slab->buffers);
	else
		WRITE_ONCE(head->shape, NULL);
	return head;
}

/* ---- Giving back ---- */

static void give_slab(struct quarry_slab *slab, struct quarry_slab_head *head)
{
	void *start = PTR_ALIGN_DOWN(head->objects, slab->slab_size);
	int err;

	quarry_backend_set_owner(slab->backend, start, slab->slab_size, 0);
	err = quarry_backend_give(slab->backend, start, slab->slab_size);
	WARN_ONCE(err, "quarry: slab %s: its backend didn't take a slab back: %d\n", slab->name,
		  err);
	if (slab->headers)
		quarry_slab_free(slab->headers, head);
}

static void give_buffer(struct quarry_slab *slab, struct quarry_slab_buffer *buffer)
{
	void *start = buffer->start;
	size_t size = buffer->size;
	unsigned long irq;

	if (buffer == &slab->first_buffer) {
		raw_spin_lock_irqsave(&slab->lock, irq);
		buffer->start = NULL;
		raw_spin_unlock_irqrestore(&slab->lock, irq);
	}
	if (slab->release)
		slab->release(slab->ctx, start, size);
}

/* Let go of a slab that was unlinked, with no lock held. */
noinline void __quarry_slab_give_back(struct quarry_slab *slab, struct quarry_slab_head *head)
{
	if (is_buffer(slab, head))
		give_buffer(slab, __quarry_slab_buffer_of(head->shape));
	else
		give_slab(slab, head);
}

/* ---- Getting ---- */

/* The refill of an allocator that has a backend. */
int __quarry_slab_refill(struct quarry_slab *slab, void *ctx)
{
	void *start = quarry_backend_take(slab->backend, slab->slab_size);
	struct quarry_slab_head *head = start;
	unsigned long irq;

	if (!start)
		return -ENOMEM;
	if (slab->headers)
		head = quarry_slab_alloc(slab->headers, 0);
	if (!head) {
		quarry_backend_give(slab->backend, start, slab->slab_size);
		return -ENOMEM;
	}

	prepare(head, start + slab->first_object);
	if (slab->ctor)
		construct(slab, head, &slab->shape);
	quarry_backend_set_owner(slab->backend, start, slab->slab_size,
				 (unsigned long)head | QUARRY_OWNER_SLAB);

	raw_spin_lock_irqsave(&slab->lock, irq);
	link_slab(slab, head, &slab->shape);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return 0;
}

/*
 * Whether a buffer overlaps one of the allocator's own slabs. These lie at multiples
 * of their size, so that one look in each such place finds them.
 */
static bool overlaps_slab(struct quarry_slab *slab, const void *buffer, size_t size)
{
	const struct quarry_region *region = &slab->map->region;
	unsigned long first = max_t(u64, (unsigned long)buffer, region->base);
	unsigned long last = (unsigned long)buffer + (size - 1);
	bool found = false;
	unsigned long irq;
	unsigned int nr;

	if (!region->size || last < region->base || first > quarry_region_last(region))
		return false;

	last = min_t(u64, last, quarry_region_last(region));
	while (!found && first <= last) {
		raw_spin_lock_irqsave(&slab->lock, irq);
		for (nr = 0; nr < LOOK_MAX && !found && first && first <= last; nr++) {
			found = __quarry_slab_head_of(slab, (void *)first);
			first = ALIGN_DOWN(first, slab->slab_size) + slab->slab_size;
		}
		raw_spin_unlock_irqrestore(&slab->lock, irq);
		if (!first)
			break;
	}
	return found;
}

static bool overlaps_buffer(const struct quarry_slab *slab, const void *buffer, size_t size)
{
	const struct quarry_slab_buffer *next = __quarry_slab_next_buffer(slab, buffer);

	return next && (unsigned long)next->start <= (unsigned long)buffer + (size - 1);
}

/* Enter a buffer in the tree, with its shape and a head that isn't linked. */
static int claim(struct quarry_slab *slab, void *start, size_t size,
		 struct quarry_slab_buffer **claimed)
{
	unsigned long at = ALIGN((unsigned long)start, sizeof(long));
	unsigned long end = ALIGN_DOWN((unsigned long)start + size, slab->align);
	struct quarry_slab_buffer *buffer = &slab->first_buffer;
	size_t capacity;

	if (slab->broken)
		return -EIO;
	if (slab->ended)
		return -EINVAL;
	if (overlaps_buffer(slab, start, size))
		return -EEXIST;

	if (buffer->start) {
		buffer = (struct quarry_slab_buffer *)at;
		at += sizeof(*buffer);
	}
	capacity = at - (unsigned long)start > size || end <= at ? 0 :
		   __quarry_slab_fit(end - at, sizeof(struct quarry_slab_head), slab->stride);
	if (!capacity)
		return -ENOSPC;

	buffer->start = start;
	buffer->size = size;
	buffer->head = (struct quarry_slab_head *)at;
	__quarry_slab_set_shape(&buffer->shape, capacity, LIST_EMPTY_BUFFERS);
	prepare(buffer->head, (void *)(end - capacity * slab->stride));
	enter_buffer(slab, buffer);
	*claimed = buffer;
	return 0;
}

/* Returns the number of objects, or an errno. */
static long grow(struct quarry_slab *slab, void *start, size_t size)
{
	struct quarry_slab_buffer *buffer;
	unsigned long irq;
	u32 capacity;
	int err;

	raw_spin_lock_irqsave(&slab->lock, irq);
	err = claim(slab, start, size, &buffer);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	if (err)
		return err;

	/* Once it is linked, it may be released at any time. */
	capacity = buffer->shape.capacity;
	if (slab->ctor)
		construct(slab, buffer->head, &buffer->shape);
	raw_spin_lock_irqsave(&slab->lock, irq);
	link_slab(slab, buffer->head, &buffer->shape);
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return capacity;
}

/**
 * quarry_slab_grow() - give an allocator memory
 * @slab: the slab allocator
 * @buffer: memory, of any alignment, that it has until it releases it; it may be
 *	from anywhere, an object of another allocator included
 * @size: its size in bytes
 *
 * The buffer becomes one slab, of up to QUARRY_SLAB_MAX_OBJECTS. What isn't enough
 * for an object at either end lies idle.
 *
 * Context: any but NMI, a refill included. O(log2(buffers)); with a constructor,
 * O(objects); in the region of the allocator's own backend, also O(slabs that the
 * buffer is as large as).
 * Return: the number of objects that it gave. -EINVAL if @buffer is NULL, @size is
 * 0 or wraps around the top of memory, or after quarry_slab_fini(); -EEXIST if it
 * overlaps memory that the allocator has; -ENOSPC if it is too small for the head and
 * one object; -EIO if out of service. In each of these cases nothing is written.
 */
long quarry_slab_grow(struct quarry_slab *slab, void *buffer, size_t size)
{
	long ret;

	if (!buffer || !size)
		return __quarry_slab_refuse(slab, -EINVAL, "grow: no buffer",
					    (unsigned long)buffer, _RET_IP_);
	if ((unsigned long)buffer + (size - 1) < (unsigned long)buffer)
		return __quarry_slab_refuse(slab, -EINVAL, "grow: the buffer's size overflows",
					    size, _RET_IP_);

	ret = overlaps_slab(slab, buffer, size) ? -EEXIST : grow(slab, buffer, size);
	if (ret == -EEXIST)
		return __quarry_slab_refuse(slab, ret, "grow: the buffer overlaps what it has",
					    (unsigned long)buffer, _RET_IP_);
	if (ret == -ENOSPC)
		return __quarry_slab_refuse(slab, ret, "grow: the buffer is too small", size,
					    _RET_IP_);
	if (ret == -EINVAL)
		return __quarry_slab_refuse(slab, ret, "grow: after its end",
					    (unsigned long)buffer, _RET_IP_);
	return ret;
}
EXPORT_SYMBOL_GPL(quarry_slab_grow);

/* ---- Giving back what nobody needs ---- */

/* Whether empty slabs of a list can go anywhere. */
static bool is_returnable(const struct quarry_slab *slab, unsigned int list)
{
	return list == LIST_EMPTY_SLABS || slab->release;
}

/*
 * What to do with a slab that has become empty: returns it, unlinked, if it shall
 * go. A few stay, as the next allocations may need one.
 */
noinline struct quarry_slab_head *__quarry_slab_surplus(struct quarry_slab *slab,
							 struct quarry_slab_head *head)
{
	lockdep_assert_held(&slab->lock);

	if (slab->nr_empty <= slab->keep || !is_returnable(slab, head->shape->empty_list))
		return NULL;
	if (!__quarry_slab_can_spare(slab, head->shape->capacity))
		return NULL;
	return __quarry_slab_unlink(slab, head);
}

/* Give back an empty slab of one list; false if none can go. */
static bool give_back_one(struct quarry_slab *slab, unsigned int list)
{
	struct quarry_slab_head *head = NULL;
	unsigned long irq;

	raw_spin_lock_irqsave(&slab->lock, irq);
	if (slab->stocked & BIT(list) && !slab->broken && is_returnable(slab, list))
		head = hlist_entry(slab->lists[list].first, struct quarry_slab_head, node);
	if (head && !__quarry_slab_can_spare(slab, head->shape->capacity))
		head = NULL;
	if (head)
		head = __quarry_slab_unlink(slab, head);
	raw_spin_unlock_irqrestore(&slab->lock, irq);

	if (head)
		__quarry_slab_give_back(slab, head);
	return head;
}

/**
 * quarry_slab_reclaim() - give empty slabs back
 * @slab: the slab allocator
 * @max: how many at most
 *
 * Also those that would be kept for the next allocations, but none that a reserve
 * or the watermark needs. First those from the backend, then buffers, if there is a
 * release.
 *
 * Context: any but NMI, if the release allows that. O(@max).
 * Return: how many were given back.
 */
unsigned int quarry_slab_reclaim(struct quarry_slab *slab, unsigned int max)
{
	unsigned int nr = 0;

	while (nr < max && give_back_one(slab, LIST_EMPTY_SLABS))
		nr++;
	while (nr < max && give_back_one(slab, LIST_EMPTY_BUFFERS))
		nr++;
	return nr;
}
EXPORT_SYMBOL_GPL(quarry_slab_reclaim);

/*
 * What the backend calls, under its lock, when it runs short: buffers stay, as their
 * release may not be called there.
 */
size_t __quarry_slab_reclaim(struct quarry_reclaimer *reclaimer)
{
	struct quarry_slab *slab = container_of(reclaimer, struct quarry_slab, reclaimer);
	size_t nr = 0;

	while (nr < RECLAIM_MAX && give_back_one(slab, LIST_EMPTY_SLABS))
		nr++;
	return nr * slab->slab_size;
}

/**
 * quarry_slab_set_watermark() - when to refill
 * @slab: the slab allocator
 * @nr: an allocation that finds no more free objects than that calls the refill;
 *	they are for allocations by the refill itself. 0 at first
 *
 * Without a refill, there is no watermark.
 *
 * Context: any but NMI. O(1).
 * Return: 0; -EBUSY, and nothing changed, if the reserve would be short then.
 */
int quarry_slab_set_watermark(struct quarry_slab *slab, unsigned int nr)
{
	unsigned long irq, reserved, nr_free;
	int err = 0;

	raw_spin_lock_irqsave(&slab->lock, irq);
	nr_free = slab->nr_objects - slab->nr_used;
	reserved = __quarry_slab_reserved(slab);
	if (reserved && nr_free < (u64)reserved + nr) {
		err = -EBUSY;
	} else {
		slab->watermark = nr;
		__quarry_slab_set_limit(slab);
	}
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return err;
}
EXPORT_SYMBOL_GPL(quarry_slab_set_watermark);

/**
 * quarry_slab_set_keep() - how many empty slabs not to give back
 * @slab: the slab allocator
 * @nr_slabs: a slab that becomes empty stays if there aren't more; 2 at first
 *
 * For the frees to come; see quarry_slab_reclaim() for those that are empty already.
 *
 * Context: any but NMI. O(1).
 * Return: 0.
 */
int quarry_slab_set_keep(struct quarry_slab *slab, unsigned int nr_slabs)
{
	unsigned long irq;

	raw_spin_lock_irqsave(&slab->lock, irq);
	slab->keep = nr_slabs;
	raw_spin_unlock_irqrestore(&slab->lock, irq);
	return 0;
}
EXPORT_SYMBOL_GPL(quarry_slab_set_keep);
