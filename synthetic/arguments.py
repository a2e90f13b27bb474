# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the generator."""

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from .errors import GeneratorError
from .imperfections import Imperfections
from .lens import Lens
from .scenes import CURRENT, SCENES
from .views import PLANS

FOCUS_PLANS = ("random", "subject", "same", "bracket")
DEVICES = ("cpu", "cuda", "optix", "metal", "hip")
_BRACKET_SIZE = 4


@dataclass(frozen=True)
class Preset:
    """How much is rendered."""

    views: int
    held_out: int
    resolution: tuple[int, int]
    samples: int


PRESETS = {
    "tiny": Preset(4, 1, (64, 48), 16),
    "mini": Preset(24, 6, (200, 150), 24),
    "small": Preset(24, 6, (400, 300), 32),
    "full": Preset(40, 8, (1600, 1200), 32),
}


@dataclass(frozen=True)
class Settings:
    """One capture to render. The defaults are those of the preset mini."""

    output: Path  # folder of the capture
    scene: str = "beetle"  # key of scenes.SCENES, or scenes.CURRENT
    subject: str | None = None  # with CURRENT: the object that is photographed
    blend: Path | None = None  # with CURRENT: the file that it is in; None for the one that is open
    plan: str | None = None  # key of views.PLANS; None for the scene's own
    focus: str = "random"  # one of FOCUS_PLANS
    bracket_size: int = 1  # photos from one pose, more than 1 with the focus plan "bracket" only
    views: int = PRESETS["mini"].views  # defocused photos
    held_out: int = PRESETS["mini"].held_out  # sharp views that no photo was taken from
    resolution: tuple[int, int] = PRESETS["mini"].resolution  # width, height, px
    f_number: float | None = None  # None for the scene's own
    focal_length_mm: float = 100.0  # engraved
    sensor_width_mm: float = 23.5  # along the photo's width: APS-C
    blades: int = 0  # of the aperture, 3 or more; 0 is a round one
    blade_rotation_degrees: float = 0.0
    imperfections: Imperfections = field(default_factory=Imperfections)
    samples: int = PRESETS["mini"].samples  # light paths a pixel
    seed: int = 0  # of all random numbers
    denoise: bool | None = None  # None: when this Blender has OpenImageDenoise
    device: str = "cpu"  # one of DEVICES
    resume: bool = False  # keep the frames of an unfinished capture of the same settings
    overwrite: bool = False  # replace an earlier capture
    events: str = "text"  # "text" or "json"

    def lens(self, usual_f_number: float) -> Lens:
        """The lens, at `usual_f_number` where no other was asked for."""
        f_number = usual_f_number if self.f_number is None else self.f_number
        return Lens(self.focal_length_mm, f_number, self.sensor_width_mm, self.blades, self.blade_rotation_degrees)


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def own_arguments(argv: list[str]) -> list[str]:
    """The part of `argv` that is meant for the generator.

    Blender keeps its own arguments in sys.argv and passes on what follows `--`; under Python all but the script's
    path is ours.
    """
    if "--" in argv:
        return argv[argv.index("--") + 1 :]
    return [] if Path(argv[0]).suffix != ".py" else argv[1:]


def parse(arguments: list[str]) -> Settings:
    """Read the command line; `--help` prints and exits.

    Raises:
        GeneratorError: an argument is missing, unknown or out of range.
    """
    try:
        given = _parser().parse_args(arguments)
    except _UsageError as error:
        raise GeneratorError(str(error), remedy="see --help") from None
    preset = PRESETS[given.preset]
    for name in ("views", "held_out", "resolution", "samples"):
        if getattr(given, name) is None:
            setattr(given, name, getattr(preset, name))
    _check_numbers(given)
    _check_combinations(given)
    width, height = given.resolution
    return Settings(
        output=given.output.absolute(),
        scene=given.scene,
        subject=given.subject,
        blend=given.blend.absolute() if given.blend else None,
        plan=given.plan,
        focus=given.focus,
        bracket_size=(given.bracket_size or _BRACKET_SIZE) if given.focus == "bracket" else 1,
        views=given.views,
        held_out=given.held_out,
        resolution=(width, height),
        f_number=given.f_number,
        focal_length_mm=given.focal_length_mm,
        sensor_width_mm=given.sensor_width_mm,
        blades=given.blades,
        blade_rotation_degrees=given.blade_rotation_degrees,
        imperfections=Imperfections(
            exposure_stops=given.exposure_jitter,
            white_balance=given.white_balance_jitter,
            full_well_electrons=given.full_well,
            read_noise_electrons=given.read_noise,
            pose_translation_mm=given.pose_noise_mm,
            pose_rotation_degrees=given.pose_noise_degrees,
        ),
        samples=given.samples,
        seed=given.seed,
        denoise=given.denoise,
        device=given.device,
        resume=given.resume,
        overwrite=given.overwrite,
        events=given.events,
    )


def wants_json(arguments: list[str]) -> bool:
    """Whether events were asked for as JSON, told even where the rest of the command line is wrong."""
    return "--events=json" in arguments or ("--events", "json") in pairwise(arguments)


def _check_numbers(given: argparse.Namespace) -> None:
    for name, least, most in [("views", 1, 1000), ("held_out", 0, 1000), ("samples", 1, 1_000_000)]:
        _check(given, name, least, most, f"between {least} and {most}")
    for name, least in [("seed", 0), ("bracket_size", 2)]:
        _check(given, name, least, math.inf, f"at least {least}")
    _check(given, "resolution", 8, 16384, "between 8 and 16384 pixels a side")
    _check(given, "f_number", 0.1, 1e6, "between 0.1 and 1000000")
    for name in ("focal_length_mm", "sensor_width_mm"):  # Blender takes less than 1 for 1
        _check(given, name, 1, 1e4, "between 1 and 10000")
    _check(given, "full_well", 1, 1e9, "between 1 and 1000000000")
    for name in ("exposure_jitter", "white_balance_jitter"):
        _check(given, name, 0, 10, "between 0 and 10")
    for name in ("read_noise", "pose_noise_mm", "pose_noise_degrees"):
        _check(given, name, 0, 1000, "between 0 and 1000")
    _check(given, "blades", 3 if given.blades else 0, 16, "0 or between 3 and 16")
    _check(given, "blade_rotation_degrees", -360, 360, "between -360 and 360")


def _check(given: argparse.Namespace, name: str, least: float, most: float, wanted: str) -> None:
    value = getattr(given, name)
    numbers = [] if value is None else value if isinstance(value, list | tuple) else [value]
    if not all(least <= number <= most for number in numbers):  # NaN is not
        raise GeneratorError(f"--{name.replace('_', '-')} must be {wanted}", remedy="see --help")


def _check_combinations(given: argparse.Namespace) -> None:
    if given.resume and given.overwrite:
        raise GeneratorError("--resume and --overwrite exclude each other", remedy="choose one")
    if given.read_noise and given.full_well is None:
        raise GeneratorError("--read-noise says nothing about a sensor without noise", remedy="give --full-well too")
    if given.bracket_size is not None and given.focus != "bracket":
        raise GeneratorError("--bracket-size is only for --focus bracket", remedy="give both")
    size = given.bracket_size or _BRACKET_SIZE
    if given.focus == "bracket" and given.views % size:
        raise GeneratorError(
            f"{given.views} photos cannot be brackets of {size}", remedy="make --views a multiple of --bracket-size"
        )
    if given.scene == CURRENT and given.subject is None:
        raise GeneratorError("--scene current needs an object to photograph", remedy="give its name as --subject")
    if given.scene != CURRENT and (given.subject is not None or given.blend is not None):
        raise GeneratorError("--subject and --blend are only for --scene current", remedy="leave them out")


def _parser() -> argparse.ArgumentParser:
    default = Settings(output=Path())
    none = default.imperfections
    parser = _Parser(
        prog="make_dataset.py",
        description="Render a macro capture with ground truth: defocused photos of a small subject, in Cycles.",
        epilog="blender -b -P synthetic/make_dataset.py -- --output DIR ..., or python synthetic/make_dataset.py "
        "--output DIR ... with the bpy package. A scene of your own: blender MINE.blend -b -P "
        "synthetic/make_dataset.py -- --scene current --subject OBJECT --output DIR ...",
        allow_abbrev=False,
    )
    presets = "; ".join(
        f"{name}: {p.views} + {p.held_out} views of {p.resolution[0]} x {p.resolution[1]} px, {p.samples} samples"
        for name, p in PRESETS.items()
    )

    add = parser.add_argument_group("what is photographed").add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the capture")
    _choice(add, "--scene", (*SCENES, CURRENT), default.scene, "the subject and what it stands on")
    add("--subject", metavar="OBJECT", help="with --scene current: the object's name")
    add("--blend", type=Path, metavar="FILE", help="with --scene current: open this file (default: the open one)")

    add = parser.add_argument_group("how much is rendered").add_argument
    _choice(add, "--preset", PRESETS, "mini", f"{presets}; other options win")
    add("--views", type=int, metavar="N", help="defocused photos")
    add("--held-out", type=int, metavar="N", help="further views, sharp only")
    add("--resolution", type=int, nargs=2, metavar=("W", "H"), help="of a photo, px")
    add("--samples", type=int, metavar="N", help="light paths a pixel of a photo; its sharp truth has twice as many")

    add = parser.add_argument_group("how it is photographed").add_argument
    _choice(add, "--plan", PLANS, None, "where the camera stands (default: as suits the scene)")
    _choice(
        add,
        "--focus",
        FOCUS_PLANS,
        default.focus,
        "at random between the nearest and the farthest surface, on the subject, the same distance in all photos, "
        "or several distances a pose",
    )
    _number(add, "--bracket-size", "N", None, f"photos a pose with --focus bracket (default: {_BRACKET_SIZE})", int)
    _number(add, "--f-number", "F", None, "smaller is more blur (default: as suits the scene)")
    _number(add, "--focal-length-mm", "MM", default.focal_length_mm, "of the lens")
    _number(add, "--sensor-width-mm", "MM", default.sensor_width_mm, "of the camera")
    _number(add, "--blades", "N", default.blades, "of the aperture; 0 is a round one", int)
    rotation = "of the aperture, anticlockwise; at 0 the middle of an edge is on the right"
    _number(add, "--blade-rotation-degrees", "DEGREES", default.blade_rotation_degrees, rotation)

    add = parser.add_argument_group("what goes wrong").add_argument
    _number(add, "--exposure-jitter", "STOPS", none.exposure_stops, "standard deviation of the photos' exposure")
    _number(add, "--white-balance-jitter", "X", none.white_balance, "relative, of the gains on red and blue")
    _number(add, "--full-well", "ELECTRONS", None, "at white; noise grows as it shrinks (default: no noise)")
    _number(add, "--read-noise", "ELECTRONS", none.read_noise_electrons, "standard deviation, with --full-well")
    _number(add, "--pose-noise-mm", "MM", none.pose_translation_mm, "on each axis of the poses that are told")
    _number(add, "--pose-noise-degrees", "DEGREES", none.pose_rotation_degrees, "the same, of their rotation")

    add = parser.add_argument_group("how it is rendered").add_argument
    _number(add, "--seed", "N", default.seed, "of all random numbers", int)
    add(
        "--denoise",
        action=argparse.BooleanOptionalAction,
        help="use OpenImageDenoise (default: when Blender has it)",
    )
    _choice(add, "--device", DEVICES, default.device, "what Cycles renders on")
    add("--resume", action="store_true", help="finish an unfinished capture, keep its frames")
    add("--overwrite", action="store_true", help="replace an earlier capture in the output folder")
    _choice(add, "--events", ("text", "json"), default.events, "progress for people or programs")
    return parser


_Add = Callable[..., argparse.Action]


def _choice(add: _Add, name: str, choices: Iterable[str], default: str | None, text: str) -> None:
    ending = "" if default is None else f" (default: {default})"
    add(name, choices=tuple(choices), default=default, help=text + ending)


def _number(
    add: _Add,
    name: str,
    unit: str,
    default: float | None,
    text: str,
    kind: type[int] | type[float] = float,
) -> None:
    ending = "" if default is None else f" (default: {default:g})"
    add(name, type=kind, default=default, metavar=unit, help=text + ending)
