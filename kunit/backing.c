// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for the allocators that live in what they manage. Every range passes
 * through here on its way from and to the buddy, where it can be refused, and
 * is filled with garbage both ways, so that who counts on zeroes, or reads what
 * he has given back, is found out.
 */
#include <linux/align.h>
#include <linux/string.h>

#include "backing.h"

void *qtest_aligned_memory(struct kunit *test, size_t size, size_t align)
{
	return PTR_ALIGN(qtest_memory(test, size + align - 1), align);
}

/* Only for tests in which nobody else may hold that lock for a good reason. */
static void expect_unlocked(struct qtest_backing *backing)
{
	if (backing->watched && raw_spin_is_locked(&backing->watched->lock))
		atomic_long_inc(&backing->nr_faults);
}

static void *watched_take(struct quarry_backend *backend, size_t size)
{
	struct qtest_backing *backing = container_of(backend, struct qtest_backing, backend);
	long nr = atomic_long_inc_return(&backing->nr_asked);
	void *range = NULL;

	expect_unlocked(backing);
	if (!READ_ONCE(backing->barren) && nr != backing->fail_at)
		range = backing->ops->take(backend, size);
	if (!range)
		return NULL;
	atomic_long_inc(&backing->nr_takes);
	return memset(range, QTEST_GARBAGE, size);
}

static int watched_give(struct quarry_backend *backend, void *range, size_t size)
{
	struct qtest_backing *backing = container_of(backend, struct qtest_backing, backend);
	int err;

	expect_unlocked(backing);
	if (backing->on_give)
		backing->on_give(backing->ctx, range, size);
	memset(range, QTEST_STALE, size);
	err = backing->ops->give(backend, range, size);
	if (err)
		atomic_long_inc(&backing->nr_faults);
	atomic_long_inc(&backing->nr_gives);
	return err;
}

static const struct quarry_backend_ops watched_ops = {
	.take = watched_take,
	.give = watched_give,
};

void qtest_backing_renew(struct kunit *test, struct qtest_backing *backing)
{
	ASSERT_OK(test, quarry_buddy_init(&backing->buddy, test->name, &backing->region,
					  backing->page_size, backing->meta,
					  backing->meta_size));
	ASSERT_OK(test, quarry_backend_init_buddy(&backing->backend, &backing->buddy,
						  backing->owners));
	backing->ops = backing->backend.ops;
	backing->backend.ops = &watched_ops;
	backing->nr_tenants = 0;
}

struct qtest_backing *qtest_backing(struct kunit *test, size_t size, size_t align,
				    u64 page_size)
{
	struct qtest_backing *backing = kunit_kzalloc(test, sizeof(*backing), GFP_KERNEL);
	void *memory = qtest_aligned_memory(test, size, align);
	struct quarry_region *region;

	KUNIT_ASSERT_NOT_NULL(test, backing);
	region = &backing->region;
	ASSERT_OK(test, quarry_region_init(region, (unsigned long)memory, size));
	backing->page_size = page_size;
	backing->meta_size = quarry_buddy_meta_size(region, page_size);
	backing->meta = qtest_memory(test, backing->meta_size);
	backing->owners = qtest_memory(test, quarry_backend_owners_size(region, page_size));
	qtest_backing_renew(test, backing);
	return backing;
}

u64 qtest_backing_used(struct qtest_backing *backing)
{
	struct quarry_buddy_stats stats;

	quarry_buddy_stats(&backing->buddy, &stats);
	return stats.used;
}

int qtest_backing_init(struct kunit *test)
{
	test->priv = qtest_backing(test, PAGES(NR_PAGES), PAGES(NR_PAGES), PAGE);
	return 0;
}

/* The youngest first: slabs may have their headers in older ones. */
void qtest_backing_close(struct kunit *test, struct qtest_backing *backing)
{
	while (backing->nr_tenants) {
		int i = --backing->nr_tenants;

		backing->tenants[i].finish(test, backing->tenants[i].object);
	}
	KUNIT_EXPECT_EQ(test, atomic_long_read(&backing->nr_faults), 0L);
	KUNIT_EXPECT_EQ(test, qtest_backing_used(backing), 0ULL);
	EXPECT_OK(test, quarry_backend_fini(&backing->backend));
	EXPECT_OK(test, quarry_buddy_fini(&backing->buddy, NULL));
}

void qtest_backing_exit(struct kunit *test)
{
	if (test->priv)
		qtest_backing_close(test, test->priv);
}

void qtest_lodge(struct kunit *test, void *object, void (*finish)(struct kunit *, void *))
{
	struct qtest_backing *backing = test->priv;

	KUNIT_ASSERT_LT(test, backing->nr_tenants, QTEST_MAX_TENANTS);
	backing->tenants[backing->nr_tenants].object = object;
	backing->tenants[backing->nr_tenants++].finish = finish;
}

void qtest_forget(struct kunit *test, void *object)
{
	struct qtest_backing *backing = test->priv;
	int i, nr = 0;

	for (i = 0; i < backing->nr_tenants; i++)
		if (backing->tenants[i].object != object)
			backing->tenants[nr++] = backing->tenants[i];
	backing->nr_tenants = nr;
}

static void finish_slab(struct kunit *test, void *slab)
{
	qtest_slab_intact(test, slab);
	EXPECT_OK(test, quarry_slab_fini(slab, true, NULL));
}

struct quarry_slab *qtest_slab(struct kunit *test, const struct quarry_slab_config *config)
{
	struct quarry_slab *slab = qtest_memory(test, sizeof(*slab));

	ASSERT_OK(test, quarry_slab_init(slab, config));
	qtest_lodge(test, slab, finish_slab);
	return slab;
}

/* Slabs of the test's own backend, with nothing special to them. */
struct quarry_slab_config qtest_slab_config(struct kunit *test, size_t size, size_t align)
{
	struct qtest_backing *backing = test->priv;

	return (struct quarry_slab_config) {
		.name = test->name,
		.object_size = size,
		.align = align,
		.backend = &backing->backend,
	};
}

struct quarry_slab_stats qtest_slab_stats(struct quarry_slab *slab)
{
	struct quarry_slab_stats stats = {};

	quarry_slab_stats(slab, &stats);
	return stats;
}

void qtest_slab_intact(struct kunit *test, struct quarry_slab *slab)
{
	struct quarry_fault fault = {};

	KUNIT_ASSERT_EQ_MSG(test, quarry_slab_verify(slab, &fault), 0,
			    "%s at %#llx: %llu expected, %llu found", fault.what,
			    fault.addr, fault.expected, fault.found);
}

#define FIGURE(name)	{ #name, offsetof(struct quarry_slab_stats, name) }

static const struct {
	const char *name;
	size_t offset;
} figures[] = {
	FIGURE(per_slab), FIGURE(nr_objects), FIGURE(nr_used), FIGURE(peak), FIGURE(nr_slabs),
	FIGURE(nr_empty), FIGURE(nr_partial), FIGURE(nr_full), FIGURE(reserved),
	FIGURE(nr_allocs), FIGURE(nr_frees), FIGURE(nr_refills), FIGURE(nr_released),
	FIGURE(nr_failures), FIGURE(last_failure),
};

void qtest_slab_unchanged(struct kunit *test, struct quarry_slab *slab,
			  const struct quarry_slab_stats *old, u64 nr_misuses)
{
	struct quarry_slab_stats now = qtest_slab_stats(slab);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(figures); i++)
		KUNIT_EXPECT_EQ_MSG(test, *(u64 *)((u8 *)&now + figures[i].offset),
				    *(u64 *)((u8 *)old + figures[i].offset), "%s",
				    figures[i].name);
	KUNIT_EXPECT_EQ(test, now.nr_misuses, old->nr_misuses + nr_misuses);
	qtest_slab_intact(test, slab);
}

void *qtest_slab_object(struct kunit *test, struct quarry_slab *slab)
{
	void *object = quarry_slab_alloc(slab, 0);

	KUNIT_ASSERT_NOT_NULL(test, object);
	return object;
}

void **qtest_slab_objects(struct kunit *test, struct quarry_slab *slab, unsigned int nr)
{
	void **objects = qtest_memory(test, nr * sizeof(*objects));
	unsigned int i;

	for (i = 0; i < nr; i++)
		objects[i] = qtest_slab_object(test, slab);
	return objects;
}

void qtest_slab_free_all(struct kunit *test, struct quarry_slab *slab, void **objects,
			 unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
}

/* Never what free memory of a test is filled with. */
static u8 byte_of(unsigned int nr)
{
	return 1 + nr % 100;
}

void qtest_write(void *object, size_t size, unsigned int nr)
{
	memset(object, byte_of(nr), size);
}

bool qtest_reads(const void *object, size_t size, unsigned int nr)
{
	return !memchr_inv(object, byte_of(nr), size);
}
