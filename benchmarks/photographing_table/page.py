# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.photographing_table.plan import (
    APERTURE_SHOOTS,
    FOCUS_SHOOTS,
    POSE_SHOOTS,
    POSES,
    VIEW_SHOOTS,
)
from benchmarks.photographing_table.shares import F_NUMBERS, PLAN_NAMES, VIEWS, WIDTHS
from benchmarks.photographing_table.shoots import SAMPLES, Shoot
from benchmarks.photographing_table.trial import Trial
from benchmarks.quality_table.report import markdown, section, wrapped

Numbers = Mapping[str, Any]

OWN_F_NUMBERS = {"beetle": 9.0, "coin": 6.3}  # of the scenes that are tried
_POSE_NAMES = {"known": "known", "found": "from the photos", "refined": "from the photos, learning"}


@dataclass(frozen=True)
class Findings:
    """All that was measured."""

    trials: Mapping[Trial, Numbers]
    shares: Mapping[str, Sequence[Numbers]]  # rows by scene
    command: str
    iterations: int
    gaussians: int
    machine: Mapping[str, Any]


def as_markdown(findings: Findings) -> str:
    """The page."""
    blocks = [
        "# How to photograph, measured",
        _introduction(findings),
        section("Poses found from blurred photos", _poses(findings), _POSES_NOTE),
        section("How to move the focus", _shoots(findings, FOCUS_SHOOTS), _FOCUS_NOTE),
        section("Which f-number", _shoots(findings, APERTURE_SHOOTS), _APERTURE_NOTE),
        section("How many photos", _shoots(findings, VIEW_SHOOTS)),
        *(_shares(scene, rows) for scene, rows in findings.shares.items()),
    ]
    return "\n\n".join(wrapped(block) for block in blocks if block) + "\n"


def as_json(findings: Findings) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "command": findings.command,
        "iterations": findings.iterations,
        "gaussians": findings.gaussians,
        "machine": dict(findings.machine),
        "trials": {trial.name: dict(numbers) for trial, numbers in findings.trials.items()},
        "shares": {scene: list(rows) for scene, rows in findings.shares.items()},
    }


_POSES_NOTE = (
    "Errors after a similarity alignment: median and largest rotation, RMS of the positions as a share of the distance "
    "to the subject, the focal length's, and how far all of that shifts a surface point in a photo, in the median. "
    "PSNR on recoverable pixels: *own cameras* compares each deblurred photo with the truth where the result's own "
    "camera stands; *true cameras* renders from the true ones after the alignment, so that the shift counts; held-out "
    "views can be had in that way alone."
)
_FOCUS_NOTE = (
    "As many photos each time. Held-out views are the same whatever the photos, and all of their pixels count in "
    "*all*, so that rows compare; *recoverable* are other pixels in each row."
)
_APERTURE_NOTE = (
    "Cycles' lens has no diffraction. At 1:1 a real lens shows a point 1.1 N µm wide (at half its brightness, in green "
    "light): 25 µm at f/22, which is 1.7 px of a photo 1600 px wide from a sensor of 23.5 mm, and 0.2 px of these "
    "small ones. So what the table gains at large f-numbers is not all to be had at full size."
)


def _introduction(findings: Findings) -> str:
    paths = {numbers["samples"] for numbers in findings.trials.values() if numbers.get("samples")} or {SAMPLES}
    return (
        f"By `{findings.command}`: generated photos of 200x150 px, {' or '.join(map(str, sorted(paths)))} "
        "light paths a pixel (more where aperture and focus are the scene's own), denoised, "
        f"{findings.iterations:,} steps, at most {findings.gaussians:,} Gaussians, `--defocus dilation`, one seed. "
        "PSNR in dB, sRGB. A dash: not measured yet."
    )


def _aperture(shoot: Shoot) -> str:
    return f"f/{shoot.f_number or OWN_F_NUMBERS.get(shoot.scene, 0):g}"


def focus_name(shoot: Shoot) -> str:
    """How the focus moves, for people."""
    if shoot.bracket_size > 1:
        return f"{shoot.views // shoot.bracket_size} brackets of {shoot.bracket_size}"
    if shoot.parts:
        return " and ".join(focus_name(part).removesuffix(f", {PLAN_NAMES['random']}") for part in shoot.parts)
    return f"{shoot.views} singles, {PLAN_NAMES[shoot.focus]}"


def _shoots(findings: Findings, shoots: Sequence[Shoot]) -> str:
    rows = []
    for shoot in shoots:
        numbers = findings.trials.get(Trial(shoot), {})
        rows.append(
            [
                shoot.scene,
                focus_name(shoot),
                _aperture(shoot),
                told(numbers.get("recoverable_share"), ".0%"),
                told(numbers.get("psnr_deblurred"), ".2f"),
                told(numbers.get("psnr_deblurred_recoverable"), ".2f"),
                told(numbers.get("psnr_novel"), ".2f"),
                told(numbers.get("psnr_novel_recoverable"), ".2f"),
                told(numbers.get("depth_error_median_recoverable"), ".2f"),
                told(numbers.get("pupil_diameter_error"), "+.0%"),
            ]
        )
    head = ["scene", "photos", "lens", "recoverable", "deblurred, all", "recoverable", "held out, all", "recoverable"]
    return markdown([*head, "depth error, mm", "pupil error"], rows, texts=3)


def _poses(findings: Findings) -> str:
    rows = []
    for shoot in POSE_SHOOTS:
        for poses in POSES:
            numbers = findings.trials.get(Trial(shoot, poses), {})
            exact = poses == "known"
            rotation = [told(numbers.get(f"rotation_{kind}_degrees"), ".2f") for kind in ("median", "largest")]
            rows.append(
                [
                    shoot.scene,
                    _aperture(shoot),
                    _POSE_NAMES[poses],
                    _registered(numbers),
                    "-" if exact else f"{rotation[0]}, {rotation[1]}°" if "-" not in rotation else "-",
                    "-" if exact else told(numbers.get("position_rms"), ".1%"),
                    "-" if exact else told(numbers.get("focal_length_error"), "+.1%"),
                    "-" if exact else told(numbers.get("shift_median_px"), ".1f"),
                    told(numbers.get("psnr_own_cameras_recoverable"), ".2f"),
                    told(numbers.get("psnr_deblurred_recoverable"), ".2f"),
                    told(numbers.get("psnr_novel_recoverable"), ".2f"),
                ]
            )
    head = ["scene", "lens", "poses", "photos", "rotation", "position", "focal", "shift, px"]
    return markdown([*head, "own cameras", "true cameras", "held out"], rows, texts=3)


def _registered(numbers: Numbers) -> str:
    if not numbers:
        return "-"
    return f"{numbers['photos_with_pose']} of {numbers['photos']}" if "photos" in numbers else "too few"


def _shares(scene: str, rows: Sequence[Numbers]) -> str:
    """For each focus plan and number of photos: in focus / never, at each f-number."""
    by_kind = {(r["photos"], r["focus"], r["f_number"], r["width_px"]): r for r in rows}
    blocks = []
    for width in WIDTHS:
        table = []
        for plan, name in PLAN_NAMES.items():
            for photos in VIEWS:
                cells = [by_kind.get((photos, plan, f_number, width)) for f_number in F_NUMBERS]
                told_shares = [f"{c['in_focus']:.0%}" if c else "-" for c in cells]
                unseen = f"{cells[0]['unseen']:.0%}" if cells[0] else "-"
                table.append([name, str(photos), *told_shares, unseen])
        head = ["focus", "photos", *(f"f/{f:g}" for f in F_NUMBERS), "seen by fewer than 3"]
        told_width = (
            f"Photos {width} px wide (circles of confusion up to {1.5 / width:.2%} of the width count as sharp):"
        )
        blocks.append(f"{told_width}\n\n{markdown(head, table, texts=1)}")
    return section(f"What is in focus somewhere: {scene.replace('_', ' ')}", "\n\n".join(blocks), _SHARES_NOTE)


_SHARES_NOTE = (
    "Of the subject's surface as six held-out views see it: the share that at least three photos see and one has in "
    "focus. From geometry alone, without diffraction."
)


def told(value: float | None, form: str) -> str:
    """A number, or a dash."""
    return "-" if value is None else format(value, form)
