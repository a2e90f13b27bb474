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

from solver.kernels import threads
from solver.kernels.compilation import helper, kernel
from solver.kernels.vector import LANES
from solver.rasterization.cpu.layout import (
    DECAY_A,
    DECAY_I,
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
    """P pairs, by sample, tile and then depth. A slot is a place where a pair's number is noted for its Gaussian."""

    pair_rows: np.ndarray  # [P] int32, rows of `geometry` [M N, 8]
    pair_masks: np.ndarray  # [P] uint32
    tile_offsets: np.ndarray  # [M tiles + 1] int64, where a tile's pairs start
    slot_offsets: np.ndarray  # [M N + 1] int64, where the slots of a row of `geometry` start
    slot_ends: np.ndarray  # [M N] int64, and end
    slots: np.ndarray  # int32, pairs


def bin_gaussians(
    geometry: np.ndarray,  # [M, N, 8]
    depths: np.ndarray,  # [N], positive where visible
    visible: np.ndarray,  # [M, N]
    width: int,
    height: int,
) -> Bins:
    """List for every tile of every sample the visible Gaussians that touch it, nearest first, equal depths by index."""
    samples, count = visible.shape
    rows = geometry.reshape(-1, geometry.shape[2])
    seen = visible.any(0)
    order = np.empty(int(np.count_nonzero(seen)), np.int32)
    sort_by_depth(depths, seen, order)

    bounds = np.zeros(samples * count + 1, np.int64)
    threads.run(lambda *share: bound_pairs(rows, visible.reshape(-1), width, height, bounds[1:], *share))
    slot_offsets = np.cumsum(bounds)
    slot_ends = np.empty(samples * count, np.int64)
    slots = np.empty(int(slot_offsets[-1]), np.int32)
    masks = np.empty(len(slots), np.uint32)
    tiles = samples * (-(-width // TILE) * -(-height // TILE))
    histograms = np.zeros((threads.thread_count(), tiles), np.int64)
    threads.run(
        lambda part, parts: find_pairs(
            rows,
            visible,
            order,
            width,
            height,
            slot_offsets,
            slot_ends,
            slots,
            masks,
            histograms[part],
            part,
            parts,
        )
    )
    # By tile, and within a tile by part: with the parts in order of depth, the sort is stable.
    ends = np.cumsum(histograms.T).reshape(tiles, -1).T
    starts = np.ascontiguousarray(ends - histograms)
    pairs = int(ends[-1, -1])
    tile_offsets = np.append(starts[0], pairs)
    pair_rows = np.empty(pairs, np.int32)
    pair_masks = np.empty(pairs, np.uint32)
    threads.run(
        lambda part, parts: place_pairs(
            visible, order, slot_offsets, slot_ends, slots, masks, starts[part], pair_rows, pair_masks, part, parts
        )
    )
    return Bins(pair_rows, pair_masks, tile_offsets, slot_offsets, slot_ends, slots)


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


@helper
def _column_extremes(geometry, n, width):
    """First and last pixel column of the ellipse."""
    u = np.float64(geometry[n, U_CELL]) + geometry[n, U_FRACTION]
    i, k = np.float64(geometry[n, DECAY_I]), np.float64(geometry[n, SHEAR])
    level = geometry[n, LOG2_OPACITY] + LOG2_255 + 1e-4
    extent = math.sqrt(level * (k * k / i + 1.0 / np.float64(geometry[n, DECAY_A]))) + 0.02
    first = max(math.ceil(u - extent - 0.5), 0.0)
    last = min(math.floor(u + extent - 0.5), width - 1.0)
    return int(first), int(last)


@kernel("void(float32[:,::1], boolean[::1], int64, int64, int64[::1], int64, int64)")
def bound_pairs(geometry, visible, width, height, bounds, part, parts):
    """How many tiles each ellipse's bounding box touches: at least as many as the ellipse."""
    for row in range(part * len(visible) // parts, (part + 1) * len(visible) // parts):
        if not visible[row]:
            continue
        first_row, last_row = _row_range(geometry, row, height)
        first_column, last_column = _column_extremes(geometry, row, width)
        if first_row <= last_row and first_column <= last_column:
            tiles_down = last_row // TILE - first_row // TILE + 1
            bounds[row] = tiles_down * (last_column // TILE - first_column // TILE + 1)


@kernel(
    "void(float32[:,::1], boolean[:,::1], int32[::1], int64, int64, int64[::1], int64[::1], int32[::1], uint32[::1],"
    "int64[::1], int64, int64)"
)
def find_pairs(
    geometry,  # [M N, 8]
    visible,  # [M, N]
    order,  # Gaussians by depth
    width,
    height,
    slot_offsets,  # [M N + 1]
    slot_ends,  # [M N], written
    slots,  # written: the pair's tile
    masks,  # written: its mask
    histogram,  # [M tiles], counts the tiles' pairs
    part,
    parts,
):
    """The tiles that each Gaussian of this part of `order` touches, with their masks."""
    samples, count = visible.shape
    tiles_across = (width + TILE - 1) // TILE
    tiles = tiles_across * ((height + TILE - 1) // TILE)
    ranges = np.empty((TILE, 2), np.int64)
    for r in range(part * len(order) // parts, (part + 1) * len(order) // parts):
        for m in range(samples):
            if not visible[m, order[r]]:
                continue
            n = m * count + order[r]
            slot = slot_offsets[n]
            slot_ends[n] = slot
            if slot == slot_offsets[n + 1]:
                continue
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
                    if mask != 0:
                        tile = m * tiles + tile_y * tiles_across + tile_x
                        histogram[tile] += 1
                        slots[slot] = tile
                        masks[slot] = mask
                        slot += 1
            slot_ends[n] = slot


@kernel(
    "void(boolean[:,::1], int32[::1], int64[::1], int64[::1], int32[::1], uint32[::1], int64[::1], int32[::1],"
    "uint32[::1], int64, int64)"
)
def place_pairs(
    visible,  # [M, N]
    order,  # Gaussians by depth
    slot_offsets,  # [M N + 1]
    slot_ends,  # [M N]
    slots,  # the pair's tile; becomes its number
    masks,  # its mask
    starts,  # [M tiles], where this part's pairs of a tile go; used up
    pair_rows,  # [P], written
    pair_masks,  # [P], written
    part,
    parts,
):
    """Put the pairs that `find_pairs` has found in order."""
    samples, count = visible.shape
    for r in range(part * len(order) // parts, (part + 1) * len(order) // parts):
        for m in range(samples):
            if not visible[m, order[r]]:
                continue
            n = m * count + order[r]
            for slot in range(slot_offsets[n], slot_ends[n]):
                tile = slots[slot]
                pair = starts[tile]
                starts[tile] += 1
                pair_rows[pair] = n
                pair_masks[pair] = masks[slot]
                slots[slot] = pair
