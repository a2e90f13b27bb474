# SPDX-License-Identifier: GPL-3.0-or-later
"""What share of a subject a way to photograph holds in focus, from geometry alone.

A child process of photographing.py. Nothing is rendered: rays are cast, focus distances chosen as the generator does,
and the surface points that held-out views see are looked for in the photos. The circle of confusion scales with 1/N, so
one map tells all apertures.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_table.cells import write_aside
from synthetic.focus import focus_distance
from synthetic.lens import Lens
from synthetic.recoverable import SHARP_PX, Taken, smallest_circle_of_confusion
from synthetic.streams import Stream, generator
from synthetic.views import PLANS

VIEWS = (8, 12, 24, 48)  # photos
F_NUMBERS = (2.8, 5.6, 11.0, 22.0)
WIDTHS = (200, 800)  # px of the photo at which 1.5 px count as sharp
STEPPED = "stepped"  # single photos; the generator has no such plan
PLAN_NAMES = {
    "same": "all on the middle",
    "subject": "on a visible point of the subject",
    STEPPED: "subject's near, middle, far end in turn",
    "random": "random, subject and surroundings",
    "bracket": "brackets of 3",
    "mixed": "half singles, half brackets of 3",
}

_SIZE = (100, 75)  # px of the rays cast
_HELD_OUT = 6
_BRACKET = 3
_SEED = 0


def shares(
    smallest_coc: Sequence[np.ndarray],  # [H, W] each, px of _SIZE at f/1; below 0 where too few photos see
    subject: Sequence[np.ndarray],  # [H, W] bool each
    f_number: float,
    width: int,
) -> dict[str, float]:
    """Of the subject's pixels: in focus somewhere, seen but never in focus, and seen by fewer than three photos."""
    coc = np.concatenate([view[mask] for view, mask in zip(smallest_coc, subject, strict=True)])
    seen = coc >= 0
    sharp = seen & (coc * width / _SIZE[0] / f_number <= SHARP_PX)
    return {"in_focus": float(sharp.mean()), "never": float((seen & ~sharp).mean()), "unseen": float(1 - seen.mean())}


def steps_of(plan: str, index: int) -> tuple[str, int, int]:
    """(the generator's focus plan, step, steps) of the photo `index`."""
    return ("bracket", index % _BRACKET, _BRACKET) if plan in (STEPPED, "bracket") else (plan, 0, 1)


def measure(name: str) -> list[dict[str, Any]]:
    """For each number of photos, focus plan, f-number and width: the shares. Needs Blender."""
    import bpy

    from synthetic import ground_truth, scenes

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = scenes.build(name)
    bpy.context.view_layer.update()
    lens = Lens(100.0, 1.0, 23.5)
    distance = lens.distance_mm(scene.field_width_mm)

    def surfaces(count: int, stream: Stream) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        plan = PLANS["hemisphere" if scene.view_plan == "turntable" else scene.view_plan]
        stands = plan(count, scene.centre_mm, distance, generator(_SEED, stream), scene.elevations)
        poses = [stand.camera_to_world for stand in stands]
        return [
            (pose, *ground_truth.first_surfaces(pose, lens, *_SIZE, scene.subject, scene.units_per_mm))
            for pose in poses
        ]

    def focused(views: list[tuple[np.ndarray, np.ndarray, np.ndarray]], plan: str, photos: int) -> list[Taken]:
        taken = []
        per_pose = photos // len(views)
        for number, (pose, depth, mask) in enumerate(views):
            points = ground_truth.surface_points(depth, pose, lens)
            near = np.linalg.norm(points - scene.centre_mm, axis=-1) < scene.radius_mm
            distances = []
            for index in range(number * per_pose, (number + 1) * per_pose):
                kind, step, steps = steps_of(plan, index)
                rng = generator(_SEED, Stream.FOCUS, index)
                where = mask if plan == STEPPED else near
                distances.append(
                    focus_distance(kind, depth, where, mask, usual=distance, step=step, steps=steps, rng=rng)
                )
            taken.append(Taken(pose, depth.astype(np.float32), tuple(distances)))
        return taken

    held_out = surfaces(_HELD_OUT, Stream.HELD_OUT_POSES)
    casts = {count: surfaces(count, Stream.POSES) for count in _poses_needed()}
    rows = []
    for photos in VIEWS:
        for plan in PLAN_NAMES:
            if plan == "mixed":
                brackets = photos // 2 // _BRACKET
                taken = focused(casts[photos - brackets * _BRACKET], "random", photos - brackets * _BRACKET)
                taken += focused(casts[brackets], "bracket", brackets * _BRACKET)
            elif plan == "bracket":
                taken = focused(casts[photos // _BRACKET], plan, photos // _BRACKET * _BRACKET)
            else:
                taken = focused(casts[photos], plan, photos)
            maps = [smallest_circle_of_confusion(pose, depth, taken, lens) for pose, depth, _ in held_out]
            masks = [mask for _, _, mask in held_out]
            rows += [
                {
                    "photos": photos,
                    "focus": plan,
                    "f_number": f_number,
                    "width_px": width,
                    **shares(maps, masks, f_number, width),
                }
                for f_number in F_NUMBERS
                for width in WIDTHS
            ]
    return rows


def _poses_needed() -> list[int]:
    counts = set(VIEWS)
    for photos in VIEWS:
        brackets = photos // 2 // _BRACKET
        counts |= {photos // _BRACKET, brackets, photos - brackets * _BRACKET}
    return sorted(counts)


if __name__ == "__main__":
    write_aside(Path(sys.argv[2]), json.dumps(measure(sys.argv[1])) + "\n")
