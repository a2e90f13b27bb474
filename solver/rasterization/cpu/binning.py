# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gaussians each tile composites, and in which order: a sort by depth, then a stable counting sort by
tile.

A pair is a Gaussian and a tile that it touches. Its mask has a bit for every block of 8 pixels, set where
the ellipse on which alpha is 1/255 reaches into the block; forward and backward walk the set bits and
nothing else. The ellipse is widened by a hair, so that rounding here never decides: the kernels test alpha
itself.
"""

from dataclasses import dataclass

import numpy as np

from solver.kernels import threads
from solver.kernels.compilation import helper, kernel
from solver.kernels.vector import LANES, floor, mask_bits, maximum, prefetch, square_root, where
from solver.rasterization.cpu.layout import (
    AHEAD,
    DECAY_A,
    DECAY_I,
    HALF,
    LOG2_255,
    LOG2_OPACITY,
    ONE,
    SHEAR,
    TILE,
    U_CELL,
    U_FRACTION,
    V_CELL,
    V_FRACTION,
    ZERO,
)
from solver.rasterization.cpu.tiles import lane_offsets

_RADIX_BITS = 11
LEVEL = np.float32(LOG2_255 + 1e-4)  # to add to log2(opacity): the ellipse, a little widened
SLACK = np.float32(0.01)  # px, the same along a row


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
    boxes: np.ndarray,  # [M, N, 4]
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
    boxes = boxes.reshape(-1, 4)
    threads.run(lambda *share: bound_pairs(visible.reshape(-1), boxes, bounds[1:], *share))
    slot_offsets = np.cumsum(bounds)
    slot_ends = slot_offsets[:-1].copy()
    slots = np.empty(int(slot_offsets[-1]), np.int32)
    masks = np.empty(len(slots), np.uint32)
    tiles = samples * (-(-width // TILE) * -(-height // TILE))
    thread_count = threads.thread_count()  # asked once: `place_pairs` must go through the parts of `find_pairs`
    histograms = np.zeros((thread_count, tiles), np.int64)
    threads.run(
        lambda part, parts: find_pairs(
            rows,
            visible,
            boxes,
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
        ),
        thread_count,
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
        ),
        thread_count,
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
def _stretch(rows, dy_0, end_row, level, i, k, inverse_a, u_fraction):
    """First and last pixel column, counted from the centre's, of eight rows; none has its last before its first."""
    dy = rows + dy_0
    rest = level - i * dy * dy
    half = square_root(maximum(rest, ZERO) * inverse_a) + SLACK
    middle = u_fraction + k * dy - HALF
    first = ZERO - floor(half - middle)
    last = where((rest >= ZERO) & (rows < end_row), floor(middle + half), first - ONE)
    return first, last


@helper
def _meets(first, last, left, right):
    """A bit for each row whose stretch has pixels from `left` to before `right`."""
    return mask_bits((first <= last) & (first < right) & (last >= left))


@kernel("void(boolean[::1], int32[:,::1], int64[::1], int64, int64)")
def bound_pairs(visible, boxes, bounds, part, parts):
    """How many tiles there are in each box: at least as many as the ellipse touches."""
    for row in range(part * len(visible) // parts, (part + 1) * len(visible) // parts):
        bounds[row] = 0
        if visible[row]:
            bounds[row] = (boxes[row, 1] - boxes[row, 0] + 1) * (boxes[row, 3] - boxes[row, 2] + 1)


@helper
def _interleaved(left, right):
    """The bits of two numbers of eight bits in turn, the left one's first."""
    bits = left | right << np.uint32(16)
    bits = (bits | bits << np.uint32(4)) & np.uint32(0x0F0F0F0F)
    bits = (bits | bits << np.uint32(2)) & np.uint32(0x33333333)
    bits = (bits | bits << np.uint32(1)) & np.uint32(0x55555555)
    return (bits | bits >> np.uint32(15)) & np.uint32(0xFFFF)


@kernel(
    "void(float32[:,::1], boolean[:,::1], int32[:,::1], int32[::1], int64, int64, int64[::1], int64[::1], int32[::1],"
    "uint32[::1], int64[::1], int64, int64)"
)
def find_pairs(
    geometry,  # [M N, 8]
    visible,  # [M, N]
    boxes,  # [M N, 4]
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
    """The tiles that each Gaussian of this part of `order` touches, with their masks.

    A row's stretch of pixels, from the first to the last centre within the ellipse, meets a block where it starts
    before the block's end and ends after its start.
    """
    samples, count = visible.shape
    start, end = part * len(order) // parts, (part + 1) * len(order) // parts
    tiles_across = (width + TILE - 1) // TILE
    tiles = tiles_across * ((height + TILE - 1) // TILE)
    rows = lane_offsets()
    lower_rows = rows + np.float32(LANES)
    bottom = np.float32(height)
    for m in range(samples):
        for r in range(start, end):
            n = m * count + order[r]
            slot = slot_offsets[n]
            if r + AHEAD < end:
                later = m * count + order[r + AHEAD]
                prefetch(geometry, later * 8)
                prefetch(boxes, later * 4)
                prefetch(slots, slot_offsets[later])
                prefetch(masks, slot_offsets[later])
            if visible[m, order[r]]:
                level = geometry[n, LOG2_OPACITY] + LEVEL
                i, k, inverse_a = geometry[n, DECAY_I], geometry[n, SHEAR], ONE / geometry[n, DECAY_A]
                u_cell, u_fraction = geometry[n, U_CELL], geometry[n, U_FRACTION]
                for tile_y in range(boxes[n, 2], boxes[n, 3] + 1):
                    dy_0 = np.float32(tile_y * TILE) - geometry[n, V_CELL] + HALF - geometry[n, V_FRACTION]
                    last_row = bottom - np.float32(tile_y * TILE)
                    upper_first, upper_last = _stretch(rows, dy_0, last_row, level, i, k, inverse_a, u_fraction)
                    lower_first, lower_last = _stretch(lower_rows, dy_0, last_row, level, i, k, inverse_a, u_fraction)
                    for tile_x in range(boxes[n, 0], boxes[n, 1] + 1):
                        left = np.float32(tile_x * TILE) - u_cell
                        middle = left + np.float32(LANES)
                        right = min(left + np.float32(TILE), np.float32(width) - u_cell)
                        mask = _interleaved(
                            _meets(upper_first, upper_last, left, min(middle, right)),
                            _meets(upper_first, upper_last, middle, right),
                        )
                        mask |= _interleaved(
                            _meets(lower_first, lower_last, left, min(middle, right)),
                            _meets(lower_first, lower_last, middle, right),
                        ) << np.uint32(TILE)
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
    start, end = part * len(order) // parts, (part + 1) * len(order) // parts
    for m in range(samples):
        for r in range(start, end):
            n = m * count + order[r]
            if r + AHEAD < end:
                later = slot_offsets[m * count + order[r + AHEAD]]
                prefetch(slots, later)
                prefetch(masks, later)
            for slot in range(slot_offsets[n], slot_ends[n]):
                tile = slots[slot]
                pair = starts[tile]
                starts[tile] += 1
                pair_rows[pair] = n
                pair_masks[pair] = masks[slot]
                slots[slot] = pair
