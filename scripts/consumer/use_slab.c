// SPDX-License-Identifier: GPL-2.0
/*
 * Slabs: out of a backend, and out of a buffer.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <linux/kernel.h>

#include <quarry/slab.h>

#include "consumer.h"

#define NR	100

static void construct(void *ctx, void *object)
{
	plant();
	*(u64 *)object = 7;
}

static void allocate(struct quarry_slab *slab)
{
	struct quarry_slab_object found;
	void *objects[8], *object;

	object = quarry_slab_alloc(slab, 0);
	CHECK(object && *(u64 *)object == 7);
	CHECK(quarry_slab_owns(slab, object));
	CHECK(!quarry_slab_lookup(slab, object + 3, &found) && found.start == object);
	CHECK(!quarry_slab_next(slab, object, &found));
	CHECK(quarry_slab_free(slab, object + 8) == -EINVAL);
	CHECK(!quarry_slab_free(slab, object));
	CHECK(quarry_slab_free(slab, object) == -ENOENT);
	CHECK(quarry_slab_alloc_bulk(slab, 0, ARRAY_SIZE(objects), objects) ==
	      ARRAY_SIZE(objects));
	CHECK(!quarry_slab_free_bulk(slab, ARRAY_SIZE(objects), objects));
	CHECK(quarry_slab_nr_free(slab));
}

static void use_backend(struct quarry_backend *backend)
{
	static struct quarry_slab headers, slab;
	struct quarry_slab_config config = {
		.name = "consumer",
		.object_size = 200,
		.backend = backend,
		.headers = &headers,
		.ctor = construct,
	};
	struct quarry_slab_config headers_config = {
		.name = "consumer's headers",
		.object_size = quarry_slab_header_size(&config),
		.backend = backend,
	};
	struct quarry_slab_stats stats;

	CHECK(!quarry_slab_init(&headers, &headers_config));
	CHECK(!quarry_slab_init(&slab, &config));
	CHECK(!quarry_slab_set_watermark(&slab, 2));
	CHECK(!quarry_slab_set_keep(&slab, 1));
	CHECK(!quarry_slab_reserve(&slab, NR));
	allocate(&slab);
	CHECK(!quarry_slab_reserve(&slab, 0));
	CHECK(!quarry_slab_set_watermark(&slab, 0));
	CHECK(quarry_slab_reclaim(&slab, NR));
	quarry_slab_stats(&slab, &stats);
	CHECK(!stats.nr_used && stats.nr_misuses == 2);
	CHECK(!quarry_slab_verify(&slab, NULL));
	CHECK(!quarry_slab_fini(&slab, false, NULL));
	CHECK(!quarry_slab_fini(&headers, false, NULL));
}

static void use_buffer(void)
{
	static struct quarry_slab slab;
	const struct quarry_slab_config config = {
		.name = "consumer's buffer", .object_size = 64, .ctor = construct,
	};
	static u64 buffer[512];

	CHECK(!quarry_slab_init(&slab, &config));
	CHECK(quarry_slab_grow(&slab, buffer, sizeof(buffer)) > 32);
	allocate(&slab);
	CHECK(!quarry_slab_fini(&slab, false, NULL));
}

void use_slab(struct quarry_backend *backend)
{
	use_backend(backend);
	use_buffer();
}
