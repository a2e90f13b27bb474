# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gaussians each tile composites, and in which order: a sort by depth, then a stable counting sort by
tile.

A pair is a Gaussian and a tile that it touches. Its mask has a bit for every block of 8 pixels, set where
the ellipse on which alpha is 1/255 reaches into the block; forward and backward walk the set bits and
nothing else. The ellipse is widened by a hair, so that rounding here never decides: the kernels test alpha
itself.

A slot is where a pair is first noted, and then its number, for its Gaussian as a sample sees it. Such a Gaussian has as
many slots as there are tiles in its box: at least as many as pairs.
"""

import numpy as np

from solver.kernels.board import meet, next_piece
from solver.kernels.compilation import helper, kernel
from solver.kernels.vector import LANES, floor, mask_bits, maximum, prefetch, square_root, where
from solver.rasterization.cpu.layout import (
    AHEAD,
    CHUNK,
    CHUNKS,
    DECAY_A,
    DECAY_I,
    DEPTH,
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
_DIGITS = 1 << _RADIX_BITS
_PASSES = 3  # positive floats have 31 bits that count
LEVEL = np.float32(LOG2_255 + 1e-4)  # to add to log2(opacity): the ellipse, a little widened
SLACK = np.float32(0.01)  # px, the same along a row


@kernel("int64(float32[:,::1], boolean[::1], int32[::1])")
def sort_by_depth(
    features,  # [N, 4 + E]
    seen,  # [N]
    order,  # [N], written: the Gaussians that are seen, nearest first, equal depths by index
):
    """Radix sort: positive floats are ordered as their bits are. Returns how many are seen."""
    bits = features.view(np.uint32)
    keys, other_keys, other = np.empty(len(seen), np.uint32), np.empty(len(seen), np.uint32), np.empty_like(order)
    starts = np.zeros((_PASSES, _DIGITS), np.int64)
    count = 0
    for n in range(len(seen)):
        if seen[n]:
            key = bits[n, DEPTH]
            keys[count], other[count] = key, n
            count += 1
            for i in range(_PASSES):
                starts[i, key >> np.uint32(i * _RADIX_BITS) & np.uint32(_DIGITS - 1)] += 1
    source, target, source_keys, target_keys = other, order, keys, other_keys
    for i in range(_PASSES):
        total = 0
        for digit in range(_DIGITS):
            total, starts[i, digit] = total + starts[i, digit], total
        for r in range(count):
            key = source_keys[r]
            digit = key >> np.uint32(i * _RADIX_BITS) & np.uint32(_DIGITS - 1)
            place = starts[i, digit]
            starts[i, digit] = place + 1
            target[place], target_keys[place] = source[r], key
        source, target, source_keys, target_keys = target, source, target_keys, source_keys
    return count  # after an odd number of passes the last target is `order`


@helper
def _number_slots(slot_counts, chunk_slots, slot_offsets, slot_ends, board):
    """Lay the slots of all Gaussians one after the other; no pair is in them yet."""
    count, samples = slot_counts.shape
    offset, numbered = 0, 0
    chunk = next_piece(board, CHUNKS)
    while chunk < len(chunk_slots):
        for other in range(numbered, chunk):
            offset += chunk_slots[other]
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            for m in range(samples):
                slot_offsets[n, m] = slot_ends[n, m] = offset
                offset += slot_counts[n, m]
        numbered = chunk + 1
        chunk = next_piece(board, CHUNKS)


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


@helper
def _interleaved(left, right):
    """The bits of two numbers of eight bits in turn, the left one's first."""
    bits = left | right << np.uint32(16)
    bits = (bits | bits << np.uint32(4)) & np.uint32(0x0F0F0F0F)
    bits = (bits | bits << np.uint32(2)) & np.uint32(0x33333333)
    bits = (bits | bits << np.uint32(1)) & np.uint32(0x55555555)
    return (bits | bits >> np.uint32(15)) & np.uint32(0xFFFF)


@kernel(
    "void(float32[:,:,::1], int32[:,::1], int32[:,:,::1], int32[::1], int64, int64, int64[:,::1], int64[:,::1],"
    "uint32[:,::1], int64[::1], int64, int64)"
)
def _find_pairs(
    geometry,  # [N, M, 8]
    slot_counts,  # [N, M]
    boxes,  # [N, M, 4]
    order,  # Gaussians by depth
    width,
    height,
    slot_offsets,  # [N, M]
    slot_ends,  # [N, M], written
    slots,  # [slots, 2], written: the pair's tile and mask
    histogram,  # [M tiles], written: counts the tiles' pairs
    part,
    parts,
):
    """The tiles that each Gaussian of this part of `order` touches, with their masks.

    A row's stretch of pixels, from the first to the last centre within the ellipse, meets a block where it starts
    before the block's end and ends after its start.
    """
    samples = slot_counts.shape[1]
    start, end = part * len(order) // parts, (part + 1) * len(order) // parts
    tiles_across = (width + TILE - 1) // TILE
    tiles = tiles_across * ((height + TILE - 1) // TILE)
    rows = lane_offsets()
    lower_rows = rows + np.float32(LANES)
    bottom = np.float32(height)
    histogram[:] = 0
    for r in range(start, end):
        n = order[r]
        if r + AHEAD < end:
            later = order[r + AHEAD]
            for m in range(samples):
                prefetch(geometry, (later * samples + m) * 8)
                prefetch(boxes, (later * samples + m) * 4)
                prefetch(slots, 2 * slot_offsets[later, m])
        for m in range(samples):
            if slot_counts[n, m] > 0:
                slot = slot_offsets[n, m]
                level = geometry[n, m, LOG2_OPACITY] + LEVEL
                i, k, inverse_a = geometry[n, m, DECAY_I], geometry[n, m, SHEAR], ONE / geometry[n, m, DECAY_A]
                u_cell, u_fraction = geometry[n, m, U_CELL], geometry[n, m, U_FRACTION]
                for tile_y in range(boxes[n, m, 2], boxes[n, m, 3] + 1):
                    dy_0 = np.float32(tile_y * TILE) - geometry[n, m, V_CELL] + HALF - geometry[n, m, V_FRACTION]
                    last_row = bottom - np.float32(tile_y * TILE)
                    upper_first, upper_last = _stretch(rows, dy_0, last_row, level, i, k, inverse_a, u_fraction)
                    lower_first, lower_last = _stretch(lower_rows, dy_0, last_row, level, i, k, inverse_a, u_fraction)
                    for tile_x in range(boxes[n, m, 0], boxes[n, m, 1] + 1):
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
                            slots[slot, 0] = tile
                            slots[slot, 1] = mask
                            slot += 1
                slot_ends[n, m] = slot


@helper
def _start_of_pairs(histograms, starts, tile_offsets, part, parts):
    """Where this part's pairs of each tile start: by tile, and within a tile by part. With the parts in order of depth,
    the sort is stable.
    """
    total = 0
    for tile in range(len(tile_offsets) - 1):
        if part == 0:
            tile_offsets[tile] = total
        for other in range(parts):
            if other == part:
                starts[tile] = total
            total += histograms[other, tile]
    if part == 0:
        tile_offsets[len(tile_offsets) - 1] = total


@kernel("void(int32[::1], int64[:,::1], int64[:,::1], uint32[:,::1], int64[::1], uint32[:,::1], int64, int64)")
def _place_pairs(
    order,  # Gaussians by depth
    slot_offsets,  # [N, M]
    slot_ends,  # [N, M]
    slots,  # [slots, 2], the pair's tile and mask; the tile becomes its number
    starts,  # [M tiles], where this part's pairs of a tile go; used up
    pairs,  # [P, 2], written
    part,
    parts,
):
    """Put the pairs that `_find_pairs` has found in order."""
    samples = slot_offsets.shape[1]
    start, end = part * len(order) // parts, (part + 1) * len(order) // parts
    for r in range(start, end):
        n = order[r]
        if r + AHEAD < end:
            for m in range(samples):
                prefetch(slots, 2 * slot_offsets[order[r + AHEAD], m])
        for m in range(samples):
            for slot in range(slot_offsets[n, m], slot_ends[n, m]):
                tile = slots[slot, 0]
                pair = starts[tile]
                starts[tile] += 1
                pairs[pair, 0] = n
                pairs[pair, 1] = slots[slot, 1]
                slots[slot, 0] = pair


@kernel(
    "boolean(float32[:,:,::1], float32[:,::1], boolean[::1], int32[:,::1], int32[:,:,::1], int64[::1], int64, int64,"
    "int32[::1], int64[::1], int64[:,::1], int64[:,::1], uint32[:,::1], int64[:,::1], int64[:,::1], uint32[:,::1],"
    "int64[::1], int64[::1], int64, int64)"
)
def bin_gaussians(
    geometry,  # [N, M, 8]
    features,  # [N, 4 + E]
    seen,  # [N], by any sample
    slot_counts,  # [N, M], 0 where invisible
    boxes,  # [N, M, 4]
    chunk_slots,  # [chunks], sums of slot_counts
    width,
    height,
    order,  # [N], scratch
    found,  # [1], scratch
    slot_offsets,  # [N, M], written: where slots start
    slot_ends,  # [N, M], written: where those with a pair end
    slots,  # [slots, 2], written: the pair's number, and what no longer matters
    histograms,  # [parts, M tiles], scratch
    starts,  # [parts, M tiles], scratch
    pairs,  # [slots, 2], written: Gaussian and mask, by sample, tile and then depth
    tile_offsets,  # [M tiles + 1], written: where a tile's pairs start
    board,
    part,
    parts,
):
    """List for every tile of every sample the visible Gaussians that touch it, nearest first, equal depths by index.

    Returns whether all parts have come to meet.
    """
    if part == 0:
        found[0] = sort_by_depth(features, seen, order)
    _number_slots(slot_counts, chunk_slots, slot_offsets, slot_ends, board)
    if not meet(board, parts):
        return False
    order = order[: found[0]]
    _find_pairs(
        geometry,
        slot_counts,
        boxes,
        order,
        width,
        height,
        slot_offsets,
        slot_ends,
        slots,
        histograms[part],
        part,
        parts,
    )
    if not meet(board, parts):
        return False
    _start_of_pairs(histograms, starts[part], tile_offsets, part, parts)
    _place_pairs(order, slot_offsets, slot_ends, slots, starts[part], pairs, part, parts)
    return meet(board, parts)
