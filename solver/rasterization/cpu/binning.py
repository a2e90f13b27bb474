# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gaussians each tile composites, and in which order: a sort by depth, then a stable counting sort by
tile.

A pair is a Gaussian and a tile that it touches. Its mask has a bit for every block of 8 pixels, set where
the ellipse on which alpha is 1/255 reaches into the block; forward and backward walk the set bits and
nothing else. The ellipse is widened by a hair, so that rounding here never decides: the kernels test alpha
itself.
"""

import math
from dataclasses import dataclass

import numpy as np

from solver.rasterization.cpu import threads
from solver.rasterization.cpu.compilation import helper, kernel
from solver.rasterization.cpu.layout import (
    DECAY_A,
    DECAY_I,
    LANES,
    LOG2_255,
    LOG2_OPACITY,
    SHEAR,
    TILE,
    U_CELL,
    U_FRACTION,
    V_CELL,
    V_FRACTION,
)

_RADIX_BITS = 11


@dataclass(frozen=True)
class Bins:
    """P pairs, by tile and then by depth."""

    pair_gaussians: np.ndarray  # [P] int32
    pair_masks: np.ndarray  # [P] uint32
    tile_offsets: np.ndarray  # [tiles + 1] int64, where a tile's pairs start
    slot_offsets: np.ndarray  # [N + 1] int64, where a Gaussian's entries in `slots` start
    slots: np.ndarray  # [P] int32, the pairs of each Gaussian


def bin_gaussians(
    geometry: np.ndarray,  # [N, 8]
    depths: np.ndarray,  # [N], positive where visible
    visible: np.ndarray,  # [N]
    width: int,
    height: int,
) -> Bins:
    """List for every tile the visible Gaussians that touch it, nearest first, equal depths by index."""
    order = np.empty(int(np.count_nonzero(visible)), np.int32)
    sort_by_depth(depths, visible, order)

    tiles = -(-width // TILE) * -(-height // TILE)
    pair_counts = np.zeros(len(geometry) + 1, np.int64)
    histograms = np.zeros((threads.thread_count(), tiles), np.int64)
    threads.run(
        lambda part, parts: count_pairs(geometry, order, width, height, pair_counts[1:], histograms[part], part, parts)
    )
    slot_offsets = np.cumsum(pair_counts)
    pairs = int(slot_offsets[-1])
    # By tile, and within a tile by part: with the parts in order of depth, the sort is stable.
    ends = np.cumsum(histograms.T).reshape(tiles, -1).T
    starts = np.ascontiguousarray(ends - histograms)
    tile_offsets = np.append(starts[0], pairs)
    pair_gaussians = np.empty(pairs, np.int32)
    pair_masks = np.empty(pairs, np.uint32)
    slots = np.empty(pairs, np.int32)
    threads.run(
        lambda part, parts: fill_pairs(
            geometry,
            order,
            width,
            height,
            starts[part],
            pair_gaussians,
            pair_masks,
            slot_offsets,
            slots,
            part,
            parts,
        )
    )
    return Bins(pair_gaussians, pair_masks, tile_offsets, slot_offsets, slots)


@kernel("void(float32[::1], boolean[::1], int32[::1])")
def sort_by_depth(depths, visible, order):
    """Radix sort of the visible Gaussians: positive floats are ordered as their bits are."""
    keys = depths.view(np.uint32)
    count = 0
    for n in range(len(visible)):
        if visible[n]:
            order[count] = n
            count += 1
    other = np.empty_like(order)
    source, target = order, other
    starts = np.empty(1 << _RADIX_BITS, np.int64)
    for shift in (0, _RADIX_BITS, 2 * _RADIX_BITS):
        starts[:] = 0
        for r in range(count):
            starts[(keys[source[r]] >> shift) & ((1 << _RADIX_BITS) - 1)] += 1
        total = 0
        for digit in range(len(starts)):
            total, starts[digit] = total + starts[digit], total
        for r in range(count):
            digit = (keys[source[r]] >> shift) & ((1 << _RADIX_BITS) - 1)
            target[starts[digit]] = source[r]
            starts[digit] += 1
        source, target = target, source
    order[:] = source


@helper
def _row_range(geometry, n, height):
    """First and last pixel row of the ellipse."""
    v = np.float64(geometry[n, V_CELL]) + geometry[n, V_FRACTION]
    extent = math.sqrt((geometry[n, LOG2_OPACITY] + LOG2_255 + 1e-4) / geometry[n, DECAY_I]) + 0.01
    first = max(math.ceil(v - extent - 0.5), 0.0)
    last = min(math.floor(v + extent - 0.5), height - 1.0)
    return int(first), int(last)


@helper
def _column_ranges(geometry, n, first_row, last_row, width, ranges):
    """Write into `ranges` [rows, 2] the first and last pixel column of each row; return the extremes of all.

    A row that the ellipse misses has its last column before its first.
    """
    u = np.float64(geometry[n, U_CELL]) + geometry[n, U_FRACTION]
    v = np.float64(geometry[n, V_CELL]) + geometry[n, V_FRACTION]
    i, k = np.float64(geometry[n, DECAY_I]), np.float64(geometry[n, SHEAR])
    inverse_a = 1.0 / np.float64(geometry[n, DECAY_A])
    level = geometry[n, LOG2_OPACITY] + LOG2_255 + 1e-4
    lowest, highest = width, -1
    for row in range(first_row, last_row + 1):
        dy = row + 0.5 - v
        rest = level - i * dy * dy
        first, last = width, -1
        if rest >= 0.0:
            half = math.sqrt(rest * inverse_a) + 0.01
            middle = u + k * dy - 0.5
            first = int(max(math.ceil(middle - half), 0.0))
            last = int(min(math.floor(middle + half), width - 1.0))
            if first <= last:
                lowest = min(lowest, first)
                highest = max(highest, last)
        ranges[row - first_row, 0] = first
        ranges[row - first_row, 1] = last
    return lowest, highest


@kernel("void(float32[:,::1], int32[::1], int64, int64, int64[::1], int64[::1], int64, int64)")
def count_pairs(geometry, order, width, height, pair_counts, histogram, part, parts):
    """Count the pairs of every Gaussian, and of every tile those that this part of `order` brings."""
    tiles_across = (width + TILE - 1) // TILE
    ranges = np.empty((TILE, 2), np.int64)
    for r in range(part * len(order) // parts, (part + 1) * len(order) // parts):
        n = order[r]
        first_row, last_row = _row_range(geometry, n, height)
        for tile_y in range(first_row // TILE, last_row // TILE + 1):
            top = max(first_row, tile_y * TILE)
            bottom = min(last_row, tile_y * TILE + TILE - 1)
            lowest, highest = _column_ranges(geometry, n, top, bottom, width, ranges)
            if lowest > highest:
                continue
            for tile_x in range(lowest // TILE, highest // TILE + 1):
                histogram[tile_y * tiles_across + tile_x] += 1
            pair_counts[n] += highest // TILE - lowest // TILE + 1


@kernel(
    "void(float32[:,::1], int32[::1], int64, int64, int64[::1], int32[::1], uint32[::1], int64[::1],"
    "int32[::1], int64, int64)"
)
def fill_pairs(geometry, order, width, height, starts, pair_gaussians, pair_masks, slot_offsets, slots, part, parts):
    """Write the pairs that `count_pairs` has counted; `starts` [tiles] says where, and is used up."""
    tiles_across = (width + TILE - 1) // TILE
    ranges = np.empty((TILE, 2), np.int64)
    for r in range(part * len(order) // parts, (part + 1) * len(order) // parts):
        n = order[r]
        slot = slot_offsets[n]
        first_row, last_row = _row_range(geometry, n, height)
        for tile_y in range(first_row // TILE, last_row // TILE + 1):
            top = max(first_row, tile_y * TILE)
            bottom = min(last_row, tile_y * TILE + TILE - 1)
            lowest, highest = _column_ranges(geometry, n, top, bottom, width, ranges)
            if lowest > highest:
                continue
            for tile_x in range(lowest // TILE, highest // TILE + 1):
                middle = tile_x * TILE + LANES
                mask = np.uint32(0)
                for row in range(top, bottom + 1):
                    first, last = ranges[row - top, 0], ranges[row - top, 1]
                    bits = np.uint32(0)
                    if first < middle and last >= middle - LANES:
                        bits |= np.uint32(1)
                    if first < middle + LANES and last >= middle:
                        bits |= np.uint32(2)
                    mask |= bits << np.uint32(2 * (row - tile_y * TILE))
                tile = tile_y * tiles_across + tile_x
                pair = starts[tile]
                starts[tile] += 1
                pair_gaussians[pair] = n
                pair_masks[pair] = mask
                slots[slot] = pair
                slot += 1
