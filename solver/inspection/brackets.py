# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos that repeat one view: focus brackets, stacks made of them, and photos that add nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import affine_transform

from solver.inspection.likeness import Alignment, Likeness, align
from solver.inspection.photos import InspectedPhoto
from solver.optics.circle_of_confusion import SHARP_COC_PX

_LEAST_CORRELATION = 0.9  # of the overviews of two photos of one pose
_REFOCUSED_PX = 1.0  # change of the circle of confusion that noise does not make
_REFOCUSED_SHARE = 0.15  # of the area, that must have changed so for the focus to be another
_SMALL_POSE = 8  # photos of one pose up to which each is compared with every other
_COMPARED_NEXT = 2  # in order, that each is compared with in a larger one
_LEAST_STACKED = 3  # photos that a stack is made of
_STACK_HOLDS = 0.75  # of what any other photo of the pose has in focus, in a stack
_STACK_EXCEEDS = 1.3  # times the share in focus of any other


@dataclass(frozen=True)
class Views:
    """What repeats, as indices of photos in order."""

    brackets: tuple[tuple[int, ...], ...] = ()  # one pose, different focus
    copies: tuple[tuple[int, ...], ...] = ()  # the same pixels
    repeats: tuple[tuple[int, ...], ...] = ()  # one pose, the same focus, other pixels
    stacks: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # photos that look made of a bracket, and that


def find_views(photos: Sequence[InspectedPhoto], likenesses: dict[tuple[int, int], Likeness]) -> Views:
    """Find the photos that share a pose, and tell what sets them apart.

    Args:
        photos: in the order of shooting.
        likenesses: of pairs of them, first index smaller; pairs that are absent are taken not to be alike.
    """
    digests: dict[str, list[int]] = {}
    for index, photo in enumerate(photos):
        digests.setdefault(photo.pixels_digest, []).append(index)
    copies = [tuple(group) for group in digests.values() if len(group) > 1]
    distinct = [group[0] for group in digests.values()]
    brackets: list[tuple[int, ...]] = []
    repeats: list[tuple[int, ...]] = []
    stacks: dict[int, tuple[int, ...]] = {}
    for pose in _poses(photos, distinct, likenesses):
        stack = _stack(photos, pose)
        rest = [index for index in pose if index != stack]
        foci = _foci(photos, rest)
        repeats += [tuple(focus) for focus in foci if len(focus) > 1]
        if len(foci) > 1:
            brackets.append(tuple(rest))
            if stack is not None:
                stacks[stack] = brackets[-1]
        elif stack is not None:
            repeats.append(tuple(pose))
    return Views(tuple(brackets), tuple(copies), tuple(repeats), stacks)


def _poses(
    photos: Sequence[InspectedPhoto], indices: Sequence[int], likenesses: dict[tuple[int, int], Likeness]
) -> list[list[int]]:
    """Groups of two and more photos of one pose; the likest pairs are looked at first."""
    allowed = set(indices)
    pairs = [
        (pair, like.correlation)
        for pair, like in likenesses.items()
        if like.correlation >= _LEAST_CORRELATION and allowed.issuperset(pair)
    ]
    ordered = [pair for pair, _ in sorted(pairs, key=lambda item: -item[1])]
    groups = _grouped(indices, ordered, lambda i, j: _one_pose(photos[i], photos[j]))
    return [group for group in groups if len(group) > 1]


def _one_pose(first: InspectedPhoto, second: InspectedPhoto) -> bool:
    """Whether two photos are of one pose; overviews can be of one shape where a photo was cropped by a little."""
    same_shape = first.matched.shape == second.matched.shape and first.coc_px.shape == second.coc_px.shape
    return same_shape and align(first.matched, second.matched).same_pose


def _foci(photos: Sequence[InspectedPhoto], pose: Sequence[int]) -> list[list[int]]:
    """The photos of one pose in groups of one focus."""
    reach = len(pose) - 1 if len(pose) <= _SMALL_POSE else _COMPARED_NEXT
    pairs = [(i, j) for step in range(1, reach + 1) for i, j in zip(pose, pose[step:], strict=False)]
    return _grouped(pose, pairs, lambda i, j: not refocused(photos[i], photos[j]))


def _grouped(
    indices: Sequence[int], pairs: Sequence[tuple[int, int]], joined: Callable[[int, int], bool]
) -> list[list[int]]:
    """Connected groups of indices, each sorted; pairs that are connected already are not asked about."""
    group_of = {index: [index] for index in indices}
    for i, j in pairs:
        if group_of[i] is not group_of[j] and joined(i, j):
            merged = sorted(group_of[i] + group_of[j])
            for index in merged:
                group_of[index] = merged
    unique = {id(group): group for group in group_of.values()}
    return sorted(unique.values())


def refocused(first: InspectedPhoto, second: InspectedPhoto) -> bool:
    """Whether two photos of one pose are focused differently: their blur differs by more than noise would make."""
    alignment = align(first.matched, second.matched)
    other = _moved(second.coc_px, alignment)
    both = np.isfinite(first.coc_px) & np.isfinite(other)
    if not both.any():
        return False
    change = np.abs(np.minimum(first.coc_px, 8.0) - np.minimum(other, 8.0))[both]
    return bool((change > _REFOCUSED_PX).mean() > _REFOCUSED_SHARE)


def _stack(photos: Sequence[InspectedPhoto], pose: Sequence[int]) -> int | None:
    """The photo of a pose that is in focus nearly wherever any other is, as one that a stacking program made."""
    if len(pose) <= _LEAST_STACKED:
        return None
    shares = {index: photos[index].in_focus_share or 0.0 for index in pose}
    candidate, runner_up = sorted(shares, key=lambda index: -shares[index])[:2]
    if shares[candidate] < _STACK_EXCEEDS * shares[runner_up]:
        return None
    stack = photos[candidate]
    sharp_elsewhere = np.zeros(stack.coc_px.shape, bool)
    for index in pose:
        if index != candidate:
            alignment = align(stack.matched, photos[index].matched)
            sharp_elsewhere |= _moved(photos[index].coc_px, alignment) <= SHARP_COC_PX
    known = sharp_elsewhere & np.isfinite(stack.coc_px)
    holds = (stack.coc_px[known] <= SHARP_COC_PX).mean() if known.any() else 0.0
    return candidate if holds >= _STACK_HOLDS else None


def _moved(coc_px: np.ndarray, alignment: Alignment) -> np.ndarray:
    """A map laid over that of the photo that it was aligned with; NaN beyond its frame."""
    shape = np.array(coc_px.shape)
    centre = (shape - 1) / 2
    shift = np.array(alignment.shift) * shape.max()
    offset = centre - (centre + shift) / alignment.scale
    return affine_transform(coc_px, [1 / alignment.scale] * 2, offset, order=0, mode="constant", cval=np.nan)
