// SPDX-License-Identifier: GPL-2.0
/*
 * The map: the region as text, a character for every granule. The blocks come in
 * the order of their addresses, so the granules can be written while the walk
 * goes on; only the sums over the present one are kept.
 */
#include <linux/log2.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>

#include "instance.h"
#include "map.h"

#define MAP_COLUMNS	64
#define MAP_ROWS	64

enum map_kind {
	MAP_FREE,
	MAP_USED,
	MAP_METADATA,
	MAP_NR_KINDS,
};

/**
 * struct map - a map being written
 * @m: the file
 * @size: bytes in the region
 * @granule: bytes that a character stands for, a power of two
 * @at: offset of what comes next
 * @bytes: of each kind in the present granule
 * @starts: whether a block in use starts in the present granule
 */
struct map {
	struct seq_file *m;
	u64 size;
	u64 granule;
	u64 at;
	u64 bytes[MAP_NR_KINDS];
	bool starts;
};

static char map_character(const struct map *map)
{
	if (map->bytes[MAP_METADATA])
		return 'M';
	if (!map->bytes[MAP_USED])
		return '.';
	if (map->bytes[MAP_FREE])
		return '+';
	return map->starts ? '[' : '=';
}

/* The granule that ends at @map->at is complete. */
static void map_put(struct map *map)
{
	u64 start = round_down(map->at - 1, map->granule);
	u64 row = map->granule * MAP_COLUMNS;

	if (!(start & (row - 1)))
		seq_printf(map->m, "%s%08llx ", start ? "\n" : "", start);
	seq_putc(map->m, map_character(map));
	memset(map->bytes, 0, sizeof(map->bytes));
	map->starts = false;
}

/* What lies from here to @end is of one kind. */
static void map_advance(struct map *map, u64 end, enum map_kind kind)
{
	u64 stop;

	while (map->at < end) {
		stop = min(end, round_down(map->at, map->granule) + map->granule);
		map->bytes[kind] += stop - map->at;
		map->at = stop;
		if (!(stop & (map->granule - 1)) || stop == map->size)
			map_put(map);
	}
}

static void map_legend(const struct map *map)
{
	seq_printf(map->m, "# %llu KiB, a character is %llu KiB, a line %llu KiB\n",
		   map->size / SZ_1K, map->granule / SZ_1K,
		   map->granule * MAP_COLUMNS / SZ_1K);
	seq_puts(map->m, "#   .  free            [  in use, a block starts here\n");
	seq_puts(map->m, "#   +  partly in use   =  in use, goes on from before\n");
	seq_puts(map->m, "#   M  metadata\n");
}

/**
 * quarry_map_show() - write the map of an instance
 * @m: the file, whose private data is the instance
 * @unused: as seq_file wants it
 *
 * What changes meanwhile is shown as it was or as it is.
 *
 * Context: may sleep. O(blocks).
 * Return: 0.
 */
int quarry_map_show(struct seq_file *m, void *unused)
{
	struct quarry_instance *instance = m->private;
	struct quarry_buddy_block block = {};
	struct map map = { .m = m, .size = instance->reservation.size };

	map.granule = max_t(u64, roundup_pow_of_two(map.size) / (MAP_COLUMNS * MAP_ROWS),
			    PAGE_SIZE);
	map_legend(&map);
	while (quarry_instance_next_block(instance, &block)) {
		map.starts |= !block.free;
		map_advance(&map, quarry_instance_offset(instance, block.addr) + block.size,
			    block.free ? MAP_FREE : MAP_USED);
		cond_resched();
	}
	map_advance(&map, map.size, MAP_METADATA);
	seq_putc(m, '\n');
	return 0;
}
