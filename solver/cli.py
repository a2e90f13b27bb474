# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Each command is a dataclass: its fields are the flags, their comments the help.

Heavy modules are imported by the command that needs them, so that `--help` is instant.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from solver.cancellation import Cancellation
from solver.config import (
    Defocus,
    DeviceChoice,
    ExportFormat,
    KernelShape,
    Preset,
    TrainOn,
    parse_overrides,
    settings_for,
)
from solver.errors import Cancelled, SolverError
from solver.events import EventFormat, Reporter, reporter

EXIT_DONE, EXIT_ERROR, EXIT_CANCELLED = 0, 1, 130


@dataclass(frozen=True)
class Reconstruct:
    """Turn photos into a sharp 3D model: splats, mesh, all-in-focus images and defocus kernels."""

    capture: tyro.conf.Positional[Path]  # folder of photos, alone or with cameras, or a file of cameras
    output: Path  # result folder; created where needed
    masks: Path | None = None  # folder of masks named like the photos, white on the subject
    make_masks: Literal["no", "auto", "yes"] = "no"  # from the photos; auto does it where the background is plain
    photos: Path | None = None  # folder of the photos, where they are not beside the file of cameras
    upright: Literal["auto", "always", "never"] = "auto"  # Z up, subject at the origin; auto: not with others' cameras
    scale_bar: Path | None = None  # JSON file of points picked in photos, a known distance apart (docs/formats.md)
    marker_mm: float | None = None  # side of the ArUco markers in the photos, mm, for the scale
    focal_length_mm: float | None = None  # engraved on the lens, instead of what the photos say
    f_number: float | None = None  # engraved on the lens, likewise
    sensor_width_mm: float | None = None  # of the camera sensor's longer side, likewise
    preset: Preset = "standard"  # how much work to spend
    iterations: int | None = None  # optimization steps, instead of the preset's
    max_size: int | None = None  # longest side to work at, px, instead of the preset's
    device: DeviceChoice = "auto"  # auto takes a CUDA card when there is one
    seed: int = 0  # of every random choice
    events: EventFormat = "text"  # json prints one JSON object a line for programs
    resume: bool = False  # go on from the output folder's checkpoint
    defocus: Defocus = "pupil"  # none is plain splatting, which takes blur for texture; blurnet is the macro paper's
    train_on: TrainOn = "photos"  # sharp trains on a capture's ground truth: the ceiling for quality
    hold_out: int | None = None  # keep every n-th photo out of training and measure on it
    set: tuple[str, ...] = ()  # NAME=VALUE: any other setting of solver/config.py

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Reconstruct, with Ctrl-C and SIGTERM as cancellation."""
        from solver.capture.overrides import LensOverrides
        from solver.reconstruct import Job, reconstruct

        settings = settings_for(
            self.preset,
            **{
                "iterations": self.iterations,
                "max_size": self.max_size,
                "seed": self.seed,
                "defocus": self.defocus,
                "train_on": self.train_on,
                "hold_out": self.hold_out,
                **parse_overrides(self.set),
            },
        )
        cancellation = Cancellation()
        cancellation.install()
        job = Job(
            capture=self.capture,
            output=self.output,
            settings=settings,
            masks=self.masks,
            make_masks=self.make_masks,
            photos=self.photos,
            upright=self.upright,
            scale_bar=self.scale_bar,
            marker_mm=self.marker_mm,
            lens=LensOverrides(self.focal_length_mm, self.f_number, self.sensor_width_mm),
            device=self.device,
            resume=self.resume,
            command=arguments,
        )
        reconstruct(job, watcher, cancellation)


@dataclass(frozen=True)
class Evaluate:
    """Measure a result, or images that something else made, against the ground truth of a generated capture."""

    result: tyro.conf.Positional[Path]  # result folder, or folder of images named like the capture's views
    ground_truth: Path  # the capture folder that has ground_truth/
    json: Path | None = None  # write the numbers here as well

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Print a table, and write JSON where asked."""
        from solver.evaluation.evaluate import evaluate
        from solver.evaluation.table import lines
        from solver.files import write_json

        watcher.stage("evaluate", "Comparing with the truth")
        numbers = evaluate(self.result, self.ground_truth, watcher.progress)
        if self.json is not None:
            write_json(self.json, numbers)
        watcher.close()
        print("\n".join(lines(numbers)))


@dataclass(frozen=True)
class Render:
    """Render sharp colour and depth of a result at the cameras of a transforms.json."""

    result: tyro.conf.Positional[Path]  # result folder
    cameras: Path  # transforms.json
    output: Path  # folder for NAME.png (sRGB) and NAME.exr (depth, scene unit)

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Render."""
        from solver.evaluation.render import render

        watcher.stage("render", "Rendering")
        render(self.result, self.cameras, self.output, watcher.progress)
        watcher.done(self.output)


@dataclass(frozen=True)
class Export:
    """Write a result for other programs: splats, cameras, images or mesh (docs/formats.md, Exports)."""

    result: tyro.conf.Positional[Path]  # result folder
    to: tuple[ExportFormat | Literal["all"], ...]  # formats, one or more
    output: Path  # folder for the files; created where needed
    crop: bool = False  # leave out the splats outside the mesh's box
    splats: int | None = None  # keep only so many, those that make up most of the photos
    sh_degree: Literal[0, 1, 2, 3] | None = None  # of the splats' spherical harmonics, at most
    fit_colours: bool = True  # of the splats, so that viewers, which blend sRGB, show what was trained
    link: bool = False  # symbolic links to the result's files in place of copies
    overwrite: bool = False  # write over files that are not from this result
    events: EventFormat = "text"  # json prints one JSON object a line for programs

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Write the files; Ctrl-C leaves those that are whole."""
        from solver.export.command import export
        from solver.export.source import SplatChoice

        Cancellation().install()
        if not self.to:
            raise SolverError("no format is named", remedy="add one after --to, or all")
        if self.splats is not None and self.splats < 1:
            raise SolverError("--splats is not above 0", remedy="choose how many to keep")
        choice = SplatChoice(self.crop, self.splats, self.sh_degree, self.fit_colours)
        export(self.result, self.output, self.to, watcher, choice=choice, link=self.link, overwrite=self.overwrite)
        watcher.done(self.output)


@dataclass(frozen=True)
class Steer:
    """Tell a reconstruction that is training to pause, to run on, to finish with what is there, or to cancel."""

    output: tyro.conf.Positional[Path]  # output folder of the run
    wish: tyro.conf.Positional[Literal["pause", "run", "finish", "cancel"]]  # cancel leaves a checkpoint to resume from

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Leave word in the output folder."""
        from solver.steering import steer

        steer(self.output, self.wish)


@dataclass(frozen=True)
class Refocus:
    """Take a photo again with another focus and aperture, all in focus, or as a film of a moving focus or camera."""

    result: tyro.conf.Positional[Path]  # result folder
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]  # .png, .tif (16 bits), .exr (linear light), .mp4 or .gif
    view: str | None = None  # name of the photo to take again
    camera: Path | None = None  # or a transforms.json of cameras: a picture each, or the frames of a film
    focus_mm: float | None = None  # depth of the focus plane, mm (scene units where the scale is unknown)
    focus_at: tuple[int, int] | None = None  # or the pixel to focus on, column and row from the top left
    f_number: float | None = None  # smaller is more blur; by default the photo's own pupil
    blades: int = 0  # of the aperture; 0 is a round one
    blade_rotation_degrees: float = 0.0  # anticlockwise; at 0 the middle of an edge is on the right
    all_in_focus: bool = False  # through a pinhole
    sweep: bool = False  # film: the focus moves from the nearest to the farthest of the subject, and back
    orbit: bool = False  # film: the camera moves round the subject, all in focus unless focus or f-number is given
    samples: int | None = None  # points of the pupil, instead of as many as the blur needs
    size: int | None = None  # longest side, px, instead of the photo's
    fps: float = 24.0  # frames a second of a film
    seconds: float = 6.0  # length of a sweep or an orbit
    events: EventFormat = "text"  # json prints one JSON object a line for programs

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Take it."""
        from solver.refocus.command import refocus
        from solver.refocus.request import Request

        Cancellation().install()
        refocus(Request(**{field.name: getattr(self, field.name) for field in fields(Request)}), watcher)


@dataclass(frozen=True)
class Report:
    """Write the report of a result again: report.html, one page that needs nothing but a browser."""

    result: tyro.conf.Positional[Path]  # result folder

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Write it."""
        from solver.report.page import report

        watcher.stage("report", "Writing the report")
        watcher.done(report(self.result, watcher.progress))


@dataclass(frozen=True)
class Mesh:
    """Make the mesh of a result again, in another resolution, with fewer triangles, closed or with another texture."""

    result: tyro.conf.Positional[Path]  # result folder; its mesh is replaced
    triangles: int | None = None  # at most; by default as the run's settings say, or 300,000
    texture_size: int | None = None  # texels along a side, 0 for colours of vertices; by default the run's
    close_holes: bool = False  # guess what nobody saw, and make a solid, as for printing
    resolution: int | None = None  # voxels along the subject's longest side; by default the preset's
    events: EventFormat = "text"  # json prints one JSON object a line for programs

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Make it and replace the files."""
        from solver.remesh import remesh

        Cancellation().install()
        remesh(
            self.result,
            watcher,
            triangles=self.triangles,
            texture_size=self.texture_size,
            close_holes=self.close_holes,
            resolution=self.resolution,
        )


@dataclass(frozen=True)
class Kernel:
    """Write the defocus kernel of one pixel of a photo, as a picture (.png) or as numbers whose sum is 1 (.exr)."""

    result: tyro.conf.Positional[Path]  # result folder
    photo: tyro.conf.Positional[str]  # name of the photo, without suffix
    x: tyro.conf.Positional[int]  # column, from 0 at the left
    y: tyro.conf.Positional[int]  # row, from 0 at the top
    output: Path  # .png or .exr
    shape: KernelShape | None = None  # by default as the run modelled it: a disc, or gathered with --defocus blurnet

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Look it up and write it."""
        from solver.export.kernels import pixel_kernel, write_kernel

        write_kernel(self.output, pixel_kernel(self.result, self.photo, self.x, self.y, self.shape))
        watcher.done(self.output)


@dataclass(frozen=True)
class Inspect:
    """Say what photos hold before the long run: what is in focus, what repeats, and what to shoot again."""

    folder: tyro.conf.Positional[Path]  # folder of photos
    masks: Path | None = None  # folder of masks named like the photos, white on the subject
    sheet: Path | None = None  # write a contact sheet here, with the sharpness of each photo (.jpg)
    json: Path | None = None  # write everything that was found here
    focal_length_mm: float | None = None  # engraved on the lens, instead of what the photos say
    f_number: float | None = None  # engraved on the lens, likewise
    sensor_width_mm: float | None = None  # of the camera sensor's longer side, likewise
    events: EventFormat = "text"  # json prints one JSON object a line for programs

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Print a table and warnings, and write what was asked for."""
        from solver.capture.overrides import LensOverrides
        from solver.inspection.command import inspect

        Cancellation().install()
        lens = LensOverrides(self.focal_length_mm, self.f_number, self.sensor_width_mm)
        inspect(
            self.folder,
            masks=self.masks,
            lens=lens,
            sheet=self.sheet,
            json=self.json,
            table=self.events == "text",
            reporter=watcher,
        )


@dataclass(frozen=True)
class Doctor:
    """Say which devices, rasterizers and packages are there, and what is missing."""

    json: Path | None = None  # write what was found here

    def run(self, watcher: Reporter, arguments: list[str]) -> None:
        """Print what was found."""
        from solver.doctor import diagnose
        from solver.files import write_json

        diagnosis = diagnose()
        if self.json is not None:
            write_json(self.json, diagnosis.facts)
        print("\n".join(diagnosis.lines))
        if not diagnosis.healthy:
            raise SolverError("this environment is incomplete", remedy="install what is missing above")


_COMMANDS: dict[str, Callable[..., Any]] = {
    "reconstruct": Reconstruct,
    "inspect": Inspect,
    "evaluate": Evaluate,
    "render": Render,
    "refocus": Refocus,
    "export": Export,
    "report": Report,
    "mesh": Mesh,
    "kernel": Kernel,
    "steer": Steer,
    "doctor": Doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 an error that was told, 130 cancelled.

    Wrong usage ends in SystemExit with code 2.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS,
        prog="python -m solver",
        description="Sharp 3D models from blurred macro photos.",
        args=arguments,
    )
    watcher = reporter(getattr(command, "events", "text"))
    try:
        return _run(command, arguments, watcher)
    except BrokenPipeError:  # whoever was told is gone: a closed Blender, or `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR


def _run(command: Any, arguments: list[str], watcher: Reporter) -> int:
    try:
        command.run(watcher, arguments)
    except SolverError as error:
        watcher.error(error)
        return EXIT_ERROR
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        watcher.error(
            SolverError(
                f"reading or writing failed ({reason})",
                where=error.filename,
                remedy="check its permissions and the space on the disk",
            )
        )
        return EXIT_ERROR
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        watcher.error(
            SolverError(
                "this machine's memory does not suffice",
                remedy="lower --max-size, or choose a smaller preset",
                mend="smaller",
            )
        )
        return EXIT_ERROR
    except (Cancelled, KeyboardInterrupt):
        watcher.cancelled()
        return EXIT_CANCELLED
    return EXIT_DONE


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a class of error for the memory of CUDA cards, and nothing but words for the processor's."""
    told = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in told for words in ("out of memory", "can't allocate memory", "not enough memory")
    )
