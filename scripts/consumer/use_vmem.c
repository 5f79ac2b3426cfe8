// SPDX-License-Identifier: GPL-2.0
/*
 * Arenas: of numbers, of what another arena has, of what a buddy has.
 */
#define pr_fmt(fmt) "consumer: " fmt

#include <linux/bits.h>
#include <linux/cache.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include <quarry/default.h>
#include <quarry/qcache.h>
#include <quarry/vmem.h>

#include "consumer.h"

#define BASE	BIT_ULL(33)
#define SIZE	BIT_ULL(20)
#define QUANTUM	16ULL

static void reclaim(void *arg)
{
	plant();
}

static void allocate(struct quarry_vmem *vmem)
{
	const struct quarry_vmem_request request = {
		.size = 3 * QUANTUM, .align = 1024, .phase = 32, .nocross = 4096,
		.max = U64_MAX, .flags = QUARRY_VMEM_BESTFIT,
	};
	struct quarry_vmem_segment found;
	u64 addr, other, addrs[8];
	unsigned int i;

	CHECK(!quarry_vmem_alloc(vmem, 100, QUARRY_VMEM_FIRSTFIT, &addr));
	CHECK(!quarry_vmem_alloc_timeout(vmem, 100, QUARRY_VMEM_NEXTFIT | QUARRY_VMEM_WAIT, 10,
					 &other));
	CHECK(!quarry_vmem_lookup(vmem, addr + 50, &found) && found.addr == addr);
	CHECK(!quarry_vmem_next(vmem, addr, &found));
	CHECK(quarry_vmem_free(vmem, addr, 200) == -EINVAL);
	CHECK(!quarry_vmem_free(vmem, addr, 100));
	CHECK(quarry_vmem_free(vmem, addr, 100) == -ENOENT);
	CHECK(!quarry_vmem_free(vmem, other, 100));

	CHECK(!quarry_vmem_xalloc(vmem, &request, &addr) && addr % 1024 == 32);
	CHECK(!quarry_vmem_xfree(vmem, addr, 3 * QUANTUM));
	CHECK(!quarry_vmem_alloc_bulk(vmem, QUANTUM, QUARRY_VMEM_FIRSTFIT, ARRAY_SIZE(addrs),
				      addrs));
	for (i = 0; i < ARRAY_SIZE(addrs); i++)
		CHECK(!quarry_vmem_free(vmem, addrs[i], QUANTUM));
	CHECK(quarry_vmem_alloc(vmem, 0, QUARRY_VMEM_FIRSTFIT, &addr) == -EINVAL);
	CHECK(quarry_vmem_alloc(vmem, 1ULL << 60, QUARRY_VMEM_FIRSTFIT, &addr) == -ENOSPC);
}

static void use_numbers(struct quarry_backend *backend, struct quarry_vmem *vmem)
{
	struct quarry_vmem_stats stats;

	CHECK(!quarry_vmem_reserve_tags(vmem, 100));
	CHECK(quarry_vmem_roundup_size(vmem, 17) == 32);
	CHECK(!quarry_vmem_add(vmem, BASE + 2 * SIZE, SIZE));
	quarry_vmem_set_reclaim(vmem, reclaim, NULL);
	allocate(vmem);
	CHECK(!quarry_vmem_alloc_at(vmem, BASE + 2 * SIZE, QUANTUM));
	CHECK(!quarry_vmem_grow(vmem, BASE + 2 * SIZE, QUANTUM, 5 * QUANTUM));
	CHECK(!quarry_vmem_xfree(vmem, BASE + 2 * SIZE, 5 * QUANTUM));
	CHECK(!quarry_vmem_remove(vmem, BASE + 2 * SIZE, SIZE));
	quarry_vmem_stats(vmem, &stats);
	CHECK(!stats.used);
	CHECK(quarry_vmem_size(vmem, QUARRY_VMEM_SIZE_FREE) == SIZE);
	CHECK(!quarry_vmem_verify(vmem, NULL));
}

static void use_caches(struct quarry_backend *backend, struct quarry_vmem *vmem)
{
	static struct quarry_qcaches qcaches __cacheline_aligned;
	const struct quarry_qcaches_config config = {
		.vmem = vmem, .nr = 4, .backend = backend,
	};
	struct quarry_magazines_stats stats;

	CHECK(!quarry_qcaches_init(&qcaches, &config));
	allocate(vmem);
	CHECK(!quarry_qcaches_stats(&qcaches, 1, &stats));
	quarry_qcaches_drain(&qcaches);
	quarry_qcaches_fini(&qcaches);
}

static void use_own_hooks(struct quarry_vmem *vmem)
{
	static struct quarry_vmem_qcache hooks;
	unsigned long items[4];
	unsigned int nr;

	hooks.nr = 1;
	hooks.slot_bits = 4;
	hooks.slots = own_memory(quarry_vmem_slots_size(hooks.slot_bits));
	memset(hooks.slots, 0, quarry_vmem_slots_size(hooks.slot_bits));
	CHECK(!quarry_vmem_set_qcache(vmem, &hooks));
	nr = quarry_vmem_qcache_fill(vmem, 1, items, ARRAY_SIZE(items));
	CHECK(nr);
	quarry_vmem_qcache_flush(vmem, items, nr);
	CHECK(!quarry_vmem_set_qcache(vmem, NULL));
}

static void use_imports(struct quarry_backend *backend, struct quarry_vmem *from)
{
	static struct quarry_vmem vmem;

	CHECK(!quarry_vmem_init(&vmem, "imports", 0, 0, QUANTUM, own_memory(OWN_PAGE), OWN_PAGE,
				backend));
	CHECK(!quarry_vmem_set_import(&vmem, quarry_vmem_import_vmem, quarry_vmem_release_vmem,
				      from, 64 * QUANTUM));
	quarry_vmem_set_limit(&vmem, SIZE / 2);
	allocate(&vmem);
	CHECK(!quarry_vmem_set_import(&vmem, quarry_vmem_import_buddy, quarry_vmem_release_buddy,
				      quarry_default_buddy(), OWN_PAGE));
	allocate(&vmem);
	CHECK(!quarry_vmem_fini(&vmem));
}

void use_vmem(struct quarry_backend *backend)
{
	struct quarry_vmem *vmem = quarry_vmem_create("consumer", BASE, SIZE, QUANTUM, backend);

	CHECK(vmem);
	if (!vmem)
		return;
	use_numbers(backend, vmem);
	use_caches(backend, vmem);
	use_own_hooks(vmem);
	use_imports(backend, vmem);
	CHECK(!quarry_vmem_destroy(vmem));
	CHECK(quarry_default_vmem());
}
