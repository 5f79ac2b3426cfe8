// SPDX-License-Identifier: GPL-2.0
/*
 * Damage on purpose: what verify() must find, and that a slab allocator whose heads
 * were overrun neither crashes nor hands out what it shouldn't.
 */
#include "../lib/slab_internal.h"
#include "backing.h"

static struct quarry_slab *slab_of(struct kunit *test, size_t object_size)
{
	struct quarry_slab_config config = qtest_slab_config(test, object_size, 0);

	config.slab_size = PAGE;
	return qtest_slab(test, &config);
}

static struct quarry_slab_head *head_of(struct kunit *test, struct quarry_slab *slab,
					const void *object)
{
	struct quarry_slab_head *head = __quarry_slab_head_of(slab, object);

	KUNIT_ASSERT_NOT_NULL(test, head);
	return head;
}

static u64 offset_of(struct quarry_slab *slab, const void *addr)
{
	return (unsigned long)addr - slab->backend->region.base;
}

static void expect_fault(struct kunit *test, struct quarry_slab *slab, const char *what, u64 addr,
			 u64 expected, u64 found)
{
	struct quarry_fault fault = {};

	EXPECT_ERR(test, quarry_slab_verify(slab, &fault), -EUCLEAN);
	KUNIT_EXPECT_STREQ(test, fault.what, what);
	KUNIT_EXPECT_EQ(test, fault.addr, addr);
	KUNIT_EXPECT_EQ(test, fault.expected, expected);
	KUNIT_EXPECT_EQ(test, fault.found, found);
}

/* Two slabs of 63 objects: one full, one with 7 in use. */
static void verify_names_a_wrong_total(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);

	qtest_slab_objects(test, slab, 70);
	slab->nr_objects++;
	expect_fault(test, slab, "count of objects", 0, 126, 127);
	slab->nr_objects--;
	slab->nr_used--;
	expect_fault(test, slab, "count of objects in use", 0, 70, 69);
	slab->nr_used++;
	slab->nr_empty++;
	expect_fault(test, slab, "count of empty slabs", 0, 0, 1);
	slab->nr_empty--;
	slab->nr_full--;
	expect_fault(test, slab, "count of full slabs", 0, 1, 0);
	slab->nr_full++;
	slab->limit++;
	expect_fault(test, slab, "limit of objects in use", 0, 126, 127);
	slab->limit--;
	slab->peak = 69;
	expect_fault(test, slab, "peak below the objects in use", 0, 70, 69);
	slab->peak = 70;
	qtest_slab_intact(test, slab);
}

/* So few objects that one word has all their bits, also of 32 bits. */
static void verify_names_a_wrong_head(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 200);
	u64 at, capacity = qtest_slab_stats(slab).per_slab, first = PAGE - capacity * 200;
	void **objects = qtest_slab_objects(test, slab, 9);
	struct quarry_slab_head *head;

	ASSERT_OK(test, quarry_slab_free(slab, objects[4]));
	head = head_of(test, slab, objects[0]);
	at = offset_of(slab, head);
	KUNIT_EXPECT_EQ(test, head->nr_used, 8U);
	KUNIT_EXPECT_EQ(test, head->fresh, 9U);
	KUNIT_EXPECT_EQ(test, head->top, BIT(4));
	head->nr_used++;
	expect_fault(test, slab, "count of a slab's objects in use", at, 8, 9);
	head->nr_used--;
	head->top = 0;
	expect_fault(test, slab, "count of a slab's objects in use", at, 9, 8);
	head->top = BIT(4) | BIT(9);
	expect_fault(test, slab, "bits of objects never given out", at, 0, 1);
	head->top = BIT(4);
	head->fresh = capacity + 1;
	expect_fault(test, slab, "objects given out of a slab", at, capacity, capacity + 1);
	head->fresh = 9;
	head->objects += 200;
	expect_fault(test, slab, "where a slab's objects are", at, first, first + 200);
	head->objects -= 200;
	qtest_slab_intact(test, slab);
}

static void verify_names_a_wrong_owner(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 1000, 0);
	struct qtest_backing *backing = test->priv;
	struct quarry_slab *slab;
	void *page;

	config.slab_size = PAGES(4);
	slab = qtest_slab(test, &config);
	page = PTR_ALIGN_DOWN(qtest_slab_object(test, slab), (unsigned long)PAGES(4)) + PAGES(2);
	quarry_backend_set_owner(&backing->backend, page, PAGE, 0);
	expect_fault(test, slab, "owner of a slab's page", offset_of(slab, page),
		     (unsigned long)(page - PAGES(2)) + QUARRY_OWNER_SLAB, 0);
	quarry_backend_set_owner(&backing->backend, page, PAGE,
				 (unsigned long)(page - PAGES(2)) + QUARRY_OWNER_SLAB);
	qtest_slab_intact(test, slab);
}

/* Any bit of a head but those of its two pointers into the allocator. */
static void verify_finds_every_flipped_bit_of_a_head(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 8);
	void **objects = qtest_slab_objects(test, slab, 300);
	struct quarry_slab_head *head;
	size_t bit, bits;
	int i;

	for (i = 0; i < 300; i += 1 + i % 7)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	head = head_of(test, slab, objects[0]);
	bits = 8 * (offsetof(struct quarry_slab_head, words) + DIV_ROUND_UP(300, BITS_PER_LONG) *
		    sizeof(long));
	for (bit = 8 * offsetof(struct quarry_slab_head, top); bit < bits; bit++) {
		__change_bit(bit, (unsigned long *)head);
		KUNIT_EXPECT_EQ_MSG(test, quarry_slab_verify(slab, NULL), -EUCLEAN,
				    "bit %zu of %zu", bit, bits);
		__change_bit(bit, (unsigned long *)head);
	}
	qtest_slab_intact(test, slab);
}

static void verify_finds_a_slab_on_the_wrong_list(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);
	struct quarry_slab_head *head;
	unsigned int list;

	head = head_of(test, slab, qtest_slab_objects(test, slab, 9)[0]);
	list = __quarry_slab_list_of(&slab->shape, 9);
	__quarry_slab_remove(slab, head, list);
	EXPECT_ERR(test, quarry_slab_verify(slab, NULL), -EUCLEAN);
	__quarry_slab_insert(slab, head, list + 1);
	expect_fault(test, slab, "list that a slab is on", offset_of(slab, head), list, list + 1);
	__quarry_slab_remove(slab, head, list + 1);
	__quarry_slab_insert(slab, head, list);
	slab->stocked ^= BIT(list + 1);
	EXPECT_ERR(test, quarry_slab_verify(slab, NULL), -EUCLEAN);
	slab->stocked ^= BIT(list + 1);
	qtest_slab_intact(test, slab);
}

/* Buffers, too; and with all that is reported as offsets into them. */
static void verify_finds_a_damaged_buffer(struct kunit *test)
{
	struct quarry_slab_config config = { .name = test->name, .object_size = 64 };
	struct quarry_slab *slab = qtest_slab(test, &config);
	u8 *memory = qtest_memory(test, 3 * 2048);
	int i;

	for (i = 0; i < 3; i++)
		KUNIT_ASSERT_GT(test, quarry_slab_grow(slab, memory + 2048 * i, 2048), 0L);
	qtest_slab_objects(test, slab, 40);
	slab->first_buffer.head->nr_used ^= 1;
	EXPECT_ERR(test, quarry_slab_verify(slab, NULL), -EUCLEAN);
	slab->first_buffer.head->nr_used ^= 1;
	qtest_slab_intact(test, slab);
	slab->first_buffer.size += 2048;
	EXPECT_ERR(test, quarry_slab_verify(slab, NULL), -EUCLEAN);
	slab->first_buffer.size -= 2048;
	qtest_slab_intact(test, slab);
}

/* ---- Out of service ---- */

/* Someone writes on beyond the memory before a slab, and into its head. */
static void overrun(struct kunit *test, struct quarry_slab *slab, void *object, size_t size)
{
	struct quarry_slab_head *head = head_of(test, slab, object);

	kunit_info(test, "wants to be warned that this slab is out of service");
	memset(head, 0x41, size);
}

static void a_broken_slab_serves_nothing_more(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 64);
	struct quarry_slab_object found;
	struct quarry_slab_stats old;
	void *objects[4];
	int i;

	for (i = 0; i < 4; i++)
		objects[i] = qtest_slab_object(test, slab);
	overrun(test, slab, objects[0], sizeof(long));
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	old = qtest_slab_stats(slab);
	EXPECT_ERR(test, quarry_slab_verify(slab, NULL), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 4, objects), 0U);
	EXPECT_ERR(test, quarry_slab_free(slab, objects[1]), -EIO);
	EXPECT_ERR(test, quarry_slab_free_bulk(slab, 2, objects + 1), -EIO);
	EXPECT_ERR(test, quarry_slab_reserve(slab, 1), -EIO);
	KUNIT_EXPECT_EQ(test, quarry_slab_reclaim(slab, UINT_MAX), 0U);
	EXPECT_ERR(test, quarry_slab_lookup(slab, objects[1], &found), -EIO);
	EXPECT_ERR(test, quarry_slab_next(slab, NULL, &found), -EIO);
	EXPECT_ERR(test, quarry_slab_grow(slab, qtest_memory(test, 4096), 4096), (long)-EIO);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, old.nr_used);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_misuses, old.nr_misuses);
	EXPECT_ERR(test, quarry_slab_fini(slab, false, NULL), -EIO);
	test->priv = NULL;
}

/* The same by someone who clears his memory, with more than one word of bits. */
static void **cleared_head(struct kunit *test, struct quarry_slab *slab)
{
	void **objects = qtest_slab_objects(test, slab, 300);
	int i;

	for (i = 0; i < 300; i += 2)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	kunit_info(test, "wants to be warned that this slab is out of service");
	memset(head_of(test, slab, objects[0]), 0, sizeof(long));
	return objects;
}

static void a_slab_with_a_cleared_head_gives_out_nothing(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 8);
	void **objects = cleared_head(test, slab);

	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	EXPECT_ERR(test, quarry_slab_free(slab, objects[1]), -EIO);
	EXPECT_ERR(test, quarry_slab_fini(slab, false, NULL), -EIO);
	test->priv = NULL;
}

/* It is as that of a slab that is just being given back. */
static void a_slab_with_a_cleared_head_takes_nothing_back(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 8);
	void **objects = cleared_head(test, slab);
	struct quarry_slab_stats old = qtest_slab_stats(slab);

	EXPECT_ERR(test, quarry_slab_free(slab, objects[21]), -EINVAL);
	EXPECT_ERR(test, quarry_slab_free_bulk(slab, 1, objects + 23), -EINVAL);
	KUNIT_EXPECT_EQ(test, qtest_slab_stats(slab).nr_used, old.nr_used);
	KUNIT_EXPECT_NULL(test, quarry_slab_alloc(slab, 0));
	EXPECT_ERR(test, quarry_slab_fini(slab, false, NULL), -EIO);
	test->priv = NULL;
}

/* However much of a head was overrun, and whatever is called first. */
static const unsigned int overruns[] = { 1, 7, 8, 16, 24, 32, 36, 40, 48, 64, 500 };

static void overrun_desc(const unsigned int *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bytes", *size);
}

KUNIT_ARRAY_PARAM(overrun, overruns, overrun_desc);

/*
 * Objects of the other slabs, in use before, are whole ever after, whatever is called;
 * and what is handed out lies in none of them.
 */
static void an_overrun_head_harms_no_other_slab(struct kunit *test)
{
	struct quarry_slab *slab = slab_of(test, 200);
	void **objects = qtest_slab_objects(test, slab, 100), *object;
	unsigned int i;

	for (i = 0; i < 100; i++)
		qtest_write(objects[i], 200, i);
	for (i = 50; i < 100; i += 2)
		ASSERT_OK(test, quarry_slab_free(slab, objects[i]));
	overrun(test, slab, objects[60], *(const unsigned int *)test->param_value);
	for (i = 0; i < 100; i++) {
		object = quarry_slab_alloc(slab, 0);
		if (object)
			memset(object, 0x7e, 200);
		if (i >= 40)
			quarry_slab_free(slab, objects[i]);
		quarry_slab_reclaim(slab, 1);
	}
	for (i = 0; i < 40; i++)
		KUNIT_EXPECT_TRUE(test, qtest_reads(objects[i], 200, i));
	EXPECT_ERR(test, quarry_slab_verify(slab, NULL), -EUCLEAN);
	quarry_slab_fini(slab, true, NULL);
	test->priv = NULL;
}

/* Calls everything; what comes of it is open, but for the lines it may not cross. */
static void call_everything(struct kunit *test, struct quarry_slab *slab, void **objects,
			    unsigned int nr, struct rnd_state *rnd)
{
	struct quarry_slab_object found;
	struct qtest_backing *backing = test->priv;
	void *object;
	int i;

	for (i = 0; i < 40; i++) {
		object = quarry_slab_alloc(slab, 0);
		if (object) {
			KUNIT_ASSERT_LT(test, (unsigned long)object - backing->region.base,
					(unsigned long)backing->region.size);
			memset(object, 0, 200);
		}
		quarry_slab_free(slab, objects[qtest_below(rnd, nr)]);
	}
	quarry_slab_free_bulk(slab, nr / 2, objects);
	quarry_slab_alloc_bulk(slab, 0, nr / 2, objects);
	quarry_slab_lookup(slab, objects[0], &found);
	quarry_slab_next(slab, objects[nr - 1], &found);
	quarry_slab_reclaim(slab, 1);
	quarry_slab_reserve(slab, 30);
	quarry_slab_verify(slab, NULL);
}

/* Writes over some of the numbers of the head of the slab that an object is in. */
static void damage(struct kunit *test, struct quarry_slab *slab, const void *object,
		   struct rnd_state *rnd)
{
	size_t at, first = offsetof(struct quarry_slab_head, top);
	size_t size = offsetof(struct quarry_slab_head, objects) - first;
	u8 *numbers = (u8 *)head_of(test, slab, object) + first;

	for (at = qtest_below(rnd, size); at < size; at += 1 + qtest_below(rnd, size))
		numbers[at] = prandom_u32_state(rnd);
}

static void no_damaged_number_leads_out_of_the_memory(struct kunit *test)
{
	struct quarry_slab_config config = qtest_slab_config(test, 200, 0);
	unsigned long i, rounds = qtest_rounds(test, 20000);
	struct quarry_slab *slab = qtest_memory(test, sizeof(*slab));
	void **objects = qtest_memory(test, 60 * sizeof(*objects));
	struct rnd_state rnd;

	kunit_info(test, "may be warned that a slab is out of service");
	qtest_seed(test, &rnd);
	config.slab_size = PAGE;
	for (i = 0; i < rounds; i++) {
		qtest_backing_renew(test, test->priv);
		ASSERT_OK(test, quarry_slab_init(slab, &config));
		KUNIT_ASSERT_EQ(test, quarry_slab_alloc_bulk(slab, 0, 60, objects), 60U);
		quarry_slab_free_bulk(slab, qtest_below(&rnd, 40), objects);
		damage(test, slab, objects[59], &rnd);
		call_everything(test, slab, objects, 60, &rnd);
	}
	test->priv = NULL;
}

static struct kunit_case verify_cases[] = {
	KUNIT_CASE(verify_names_a_wrong_total),
	KUNIT_CASE(verify_names_a_wrong_head),
	KUNIT_CASE(verify_names_a_wrong_owner),
	KUNIT_CASE(verify_finds_every_flipped_bit_of_a_head),
	KUNIT_CASE(verify_finds_a_slab_on_the_wrong_list),
	KUNIT_CASE(verify_finds_a_damaged_buffer),
	KUNIT_CASE(a_broken_slab_serves_nothing_more),
	KUNIT_CASE(a_slab_with_a_cleared_head_gives_out_nothing),
	KUNIT_CASE(a_slab_with_a_cleared_head_takes_nothing_back),
	KUNIT_CASE_PARAM(an_overrun_head_harms_no_other_slab, overrun_gen_params),
	KUNIT_CASE(no_damaged_number_leads_out_of_the_memory),
	{}
};

static struct kunit_suite verify_suite = {
	.name = "quarry_slab_verify",
	.init = qtest_backing_init,
	.exit = qtest_backing_exit,
	.test_cases = verify_cases,
};

kunit_test_suite(verify_suite);
