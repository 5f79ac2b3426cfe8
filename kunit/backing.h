/* SPDX-License-Identifier: GPL-2.0 */
#ifndef QUARRY_KUNIT_BACKING_H
#define QUARRY_KUNIT_BACKING_H

#include "../lib/backend.h"
#include "../lib/slab.h"
#include "helpers.h"

/* What the memory of a test is filled with; nobody promises zeroes. */
#define QTEST_GARBAGE	0xa5
/* What it is filled with when it was given back, so that later use shows. */
#define QTEST_STALE	0x6b

#define QTEST_MAX_TENANTS	8

/**
 * struct qtest_backing - real memory, a buddy on it, and a backend on that
 * @backend: the backend, whose ranges pass through the test's hands
 * @buddy: where they come from
 * @region: what both manage
 * @page_size: in pages of so many bytes
 * @meta: the buddy's metadata
 * @meta_size: bytes of @meta
 * @owners: the backend's words
 * @ops: the backend's own, which the test's call
 * @barren: no range is to be had
 * @fail_at: this one of the requests to the buddy fails, counted from 1; 0: none
 * @nr_asked: requests to the buddy
 * @nr_takes: of them with success
 * @nr_gives: ranges that came back
 * @nr_faults: what was seen that must not be
 * @watched: whose lock must be free when ranges are taken and given
 * @on_give: told of each range that comes back; may be NULL
 * @ctx: for it
 * @tenants: who lives on it, and how to verify and finish it when the test ends
 * @nr_tenants: how many
 */
struct qtest_backing {
	struct quarry_backend backend;
	struct quarry_buddy buddy;
	struct quarry_region region;
	u64 page_size;
	void *meta;
	size_t meta_size;
	unsigned long *owners;
	const struct quarry_backend_ops *ops;
	bool barren;
	long fail_at;
	atomic_long_t nr_asked;
	atomic_long_t nr_takes;
	atomic_long_t nr_gives;
	atomic_long_t nr_faults;
	struct quarry_slab *watched;
	void (*on_give)(void *ctx, void *range, size_t size);
	void *ctx;
	struct {
		void *object;
		void (*finish)(struct kunit *test, void *object);
	} tenants[QTEST_MAX_TENANTS];
	int nr_tenants;
};

void *qtest_aligned_memory(struct kunit *test, size_t size, size_t align);
struct qtest_backing *qtest_backing(struct kunit *test, size_t size, size_t align,
				    u64 page_size);
/* As at first, whatever is on it. */
void qtest_backing_renew(struct kunit *test, struct qtest_backing *backing);
u64 qtest_backing_used(struct qtest_backing *backing);

/*
 * For suites whose tests begin with 64 pages as test->priv, and end with all of
 * them back after what lives on them was found intact and was finished by force.
 */
int qtest_backing_init(struct kunit *test);
void qtest_backing_exit(struct kunit *test);
void qtest_backing_close(struct kunit *test, struct qtest_backing *backing);

/* Something that test->priv shall finish; and something that the test has finished. */
void qtest_lodge(struct kunit *test, void *object, void (*finish)(struct kunit *, void *));
void qtest_forget(struct kunit *test, void *object);

struct quarry_slab *qtest_slab(struct kunit *test, const struct quarry_slab_config *config);
struct quarry_slab_config qtest_slab_config(struct kunit *test, size_t size, size_t align);
struct quarry_slab_stats qtest_slab_stats(struct quarry_slab *slab);
void qtest_slab_intact(struct kunit *test, struct quarry_slab *slab);

/* As it was when it had these figures, but for some calls that were refused. */
void qtest_slab_unchanged(struct kunit *test, struct quarry_slab *slab,
			  const struct quarry_slab_stats *old, u64 nr_misuses);

/* Objects where the test has no doubt that there are some; and back with them. */
void *qtest_slab_object(struct kunit *test, struct quarry_slab *slab);
void **qtest_slab_objects(struct kunit *test, struct quarry_slab *slab, unsigned int nr);
void qtest_slab_free_all(struct kunit *test, struct quarry_slab *slab, void **objects,
			 unsigned int nr);

/* Contents that belong to a number. */
void qtest_write(void *object, size_t size, unsigned int nr);
bool qtest_reads(const void *object, size_t size, unsigned int nr);

#endif /* QUARRY_KUNIT_BACKING_H */
