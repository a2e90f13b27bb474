# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the generator."""

import argparse
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from .errors import GeneratorError
from .lens import Lens
from .scenes import SCENES


@dataclass(frozen=True)
class Settings:
    """One capture to render."""

    output: Path  # folder of the capture
    scene: str = "beetle"  # key of scenes.SCENES
    views: int = 24  # defocused photos
    held_out: int = 6  # sharp views that no photo was taken from
    resolution: tuple[int, int] = (200, 150)  # width, height, px
    lens: Lens = field(default_factory=lambda: Lens(100.0, 9.0, 23.5))  # 1.2 : 1 on APS-C
    samples: int = 32  # light paths a pixel
    seed: int = 0  # of the views, the focus distances and the sampling
    denoise: bool | None = None  # None: when this Blender has OpenImageDenoise
    resume: bool = False  # keep the frames of an unfinished capture of the same settings
    overwrite: bool = False  # replace an earlier capture
    events: str = "text"  # "text" or "json"


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
        values = _parser().parse_args(arguments)
    except _UsageError as error:
        raise GeneratorError(str(error), remedy="see --help") from None
    for name, least in [("views", 1), ("held_out", 0), ("samples", 1), ("seed", 0)]:
        if getattr(values, name) < least:
            raise GeneratorError(f"--{name.replace('_', '-')} must be at least {least}")
    width, height = values.resolution
    if not (8 <= width <= 16384 and 8 <= height <= 16384):
        raise GeneratorError("--resolution must be between 8 and 16384 pixels a side")
    for name in ("f_number", "focal_length_mm", "sensor_width_mm"):
        if not 0 < getattr(values, name) < float("inf"):
            raise GeneratorError(f"--{name.replace('_', '-')} must be a number above 0")
    if values.resume and values.overwrite:
        raise GeneratorError("--resume and --overwrite exclude each other", remedy="choose one")
    return Settings(
        output=values.output.absolute(),
        scene=values.scene,
        views=values.views,
        held_out=values.held_out,
        resolution=(width, height),
        lens=Lens(values.focal_length_mm, values.f_number, values.sensor_width_mm),
        samples=values.samples,
        seed=values.seed,
        denoise=values.denoise,
        resume=values.resume,
        overwrite=values.overwrite,
        events=values.events,
    )


def wants_json(arguments: list[str]) -> bool:
    """Whether events were asked for as JSON, told even where the rest of the command line is wrong."""
    return "--events=json" in arguments or ("--events", "json") in pairwise(arguments)


def _parser() -> argparse.ArgumentParser:
    default = Settings(output=Path())
    parser = _Parser(
        prog="make_dataset.py",
        description="Render a macro capture with ground truth: defocused photos of a small subject, in Cycles.",
        epilog="blender -b -P synthetic/make_dataset.py -- --output DIR ..., or python synthetic/make_dataset.py "
        "--output DIR ... with the bpy package.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the capture")
    add("--scene", choices=sorted(SCENES), default=default.scene, help="what is photographed")
    add("--views", type=int, default=default.views, metavar="N", help="defocused photos")
    add("--held-out", type=int, default=default.held_out, metavar="N", help="further views, sharp only")
    add("--resolution", type=int, nargs=2, default=default.resolution, metavar=("W", "H"), help="of a photo, px")
    add("--f-number", type=float, default=default.lens.f_number, metavar="F", help="smaller is more blur")
    add("--focal-length-mm", type=float, default=default.lens.focal_length_mm, metavar="MM", help="of the lens")
    add("--sensor-width-mm", type=float, default=default.lens.sensor_width_mm, metavar="MM", help="of the camera")
    add("--samples", type=int, default=default.samples, metavar="N", help="light paths a pixel")
    add("--seed", type=int, default=default.seed, metavar="N", help="of views, focus distances and sampling")
    add(
        "--denoise",
        action=argparse.BooleanOptionalAction,
        default=default.denoise,
        help="use OpenImageDenoise; without this option, when Blender has it",
    )
    add("--resume", action="store_true", help="finish an unfinished capture, keep its frames")
    add("--overwrite", action="store_true", help="replace an earlier capture in the output folder")
    add("--events", choices=("text", "json"), default=default.events, help="progress for people or programs")
    return parser
