# SPDX-License-Identifier: GPL-3.0-or-later
"""All scenes of the benchmark in one picture: a photo, the sharp truth and the circle of confusion of each.

    python benchmarks/contact_sheet.py --captures DIR --output docs/images/benchmark.jpg

DIR holds one capture of `synthetic/make_dataset.py` a scene, each in a folder of the scene's name.
"""

import argparse
import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.drawing import AMBER, BRIGHT, GREY, GROUND, fitted, font, write_jpeg  # noqa: E402
from synthetic.errors import GeneratorError  # noqa: E402
from synthetic.exr import read_channel  # noqa: E402
from synthetic.files import read_json  # noqa: E402
from synthetic.scenes import SCENES  # noqa: E402

_SCENE_FILES = ROOT / "synthetic" / "scenes"
_WIDTH, _COLUMNS = 1600, 2
_MARGIN, _GUTTER, _GAP = 44, 52, 6  # px: round the sheet, between scenes, between a scene's pictures
_HEADER, _CAPTION, _SPACE = 116, 82, 34  # px: heights of the sheet's head, of a scene's text, and below a scene
_IN_FOCUS, _BLURRED = 0.0075, 0.02  # circles of confusion over the photo's width: 1.5 and 4 px of 200
_FINEST = 0.75  # px, the lower end of the colour scale
_COLOURS = np.array(  # from in focus to far out of it, even in lightness
    [(255, 248, 221), (252, 205, 110), (238, 140, 77), (203, 73, 92), (129, 44, 122), (61, 30, 99), (20, 16, 46)],
    dtype=np.float64,
)


@dataclass(frozen=True)
class Exhibit:
    """What the sheet shows of one scene."""

    name: str
    title: str  # the first sentence of the scene's docstring
    hard_for: str  # the first words of what it says next
    photo: Image.Image
    sharp: Image.Image
    coc: np.ndarray  # [H, W], px of the photo
    field_width_mm: float  # in the focus plane
    f_number: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet; 0 if that went well, 1 if not, with the reason on standard error."""
    parser = argparse.ArgumentParser(description="All scenes of the macro benchmark in one picture.")
    parser.add_argument("--captures", type=Path, required=True, metavar="DIR", help="holds a capture a scene")
    parser.add_argument("--output", type=Path, required=True, metavar="JPG", help="the picture to write")
    parser.add_argument(
        "--photo",
        nargs="*",
        default=[],
        metavar="SCENE=NAME",
        help="the photo to show, where it shall not be the one that has most in focus and out of it",
    )
    values = parser.parse_args(arguments)
    try:
        exhibits = gather(values.captures, dict(choice.partition("=")[::2] for choice in values.photo))
        write_jpeg(sheet(exhibits), values.output)
    except GeneratorError as error:
        print(error, file=sys.stderr)
        return 1
    missing = sorted(set(SCENES) - {exhibit.name for exhibit in exhibits})
    print(f"{values.output}: {len(exhibits)} scenes" + (f", no capture of {', '.join(missing)}" if missing else ""))
    return 0


def gather(captures: Path, chosen: dict[str, str] | None = None) -> list[Exhibit]:
    """Read what the sheet shows of every scene that has a whole capture in `captures`.

    Args:
        captures: a folder with captures named like their scenes.
        chosen: names of photos by scene, where the choice is not left to `telling_photo`.

    Raises:
        GeneratorError: there is no capture, or a file of one is missing or damaged.
    """
    chosen = chosen or {}
    exhibits = []
    for name in SCENES:
        capture = captures / name
        if (capture / "transforms.json").is_file():
            exhibits.append(_exhibit(name, capture, chosen.get(name)))
    if not exhibits:
        raise GeneratorError(
            "there is no capture of a scene", where=captures, remedy=f"render some with --output {captures / SCENES[0]}"
        )
    return exhibits


def docstring_parts(source: Path) -> tuple[str, str]:
    """The first sentence of a scene's docstring, and the next one up to its first stop, without running the module.

    Raises:
        GeneratorError: the module has no docstring of two paragraphs.
    """
    paragraphs = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").split("\n\n")
    if len(paragraphs) < 2:
        raise GeneratorError(
            "the scene does not say what it is hard for", where=source, remedy="add it to its docstring"
        )
    title, hard_for = (" ".join(paragraph.split()) for paragraph in paragraphs[:2])
    return title.rstrip("."), re.split(r"[:;.]", hard_for)[0]


def telling_photo(maps: Sequence[np.ndarray]) -> int:  # each [H, W], px
    """Which of the circle-of-confusion `maps` has most in focus and most out of it, by the smaller share of the two."""

    def shares(coc: np.ndarray) -> float:
        relative = coc / coc.shape[1]
        return min((relative <= _IN_FOCUS).mean(), (relative >= _BLURRED).mean())

    return int(np.argmax([shares(coc) for coc in maps]))


def scale_steps(largest: float) -> np.ndarray:
    """The colour scale's marks, px: doublings from 0.75 until they reach `largest`."""
    doublings = max(int(np.ceil(np.log2(max(largest, _FINEST) / _FINEST))), 3)
    return _FINEST * 2.0 ** np.arange(doublings + 1)


def coloured(coc: np.ndarray, steps: np.ndarray) -> Image.Image:  # [...], px; of `scale_steps`
    """`coc` [H, W] in colours, evenly spaced over the logarithm between the first and the last of `steps`."""
    position = np.log2(np.maximum(coc, steps[0]) / steps[0]) / np.log2(steps[-1] / steps[0])
    place = np.clip(position, 0, 1) * (len(_COLOURS) - 1)
    channels = [np.interp(place, np.arange(len(_COLOURS)), channel) for channel in _COLOURS.T]
    return Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))


def sheet(exhibits: Sequence[Exhibit]) -> Image.Image:
    """The picture: a head with the colour scale, then the scenes in two columns."""
    column = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GUTTER) // _COLUMNS
    picture_width = (column - 2 * _GAP) // 3
    heights = [round(picture_width * exhibit.photo.height / exhibit.photo.width) for exhibit in exhibits]
    cell = _CAPTION + max(heights) + _SPACE
    rows = -(-len(exhibits) // _COLUMNS)
    image = Image.new("RGB", (_WIDTH, _HEADER + rows * cell + _MARGIN - _SPACE), GROUND)
    steps = scale_steps(max(float(exhibit.coc.max()) for exhibit in exhibits))
    _head(image, len(exhibits), steps)
    for index, (exhibit, height) in enumerate(zip(exhibits, heights, strict=True)):
        left = _MARGIN + index % _COLUMNS * (column + _GUTTER)
        top = _HEADER + index // _COLUMNS * cell
        _caption(ImageDraw.Draw(image), exhibit, left, top, column)
        pictures = [exhibit.photo, exhibit.sharp, coloured(exhibit.coc, steps)]
        for place, picture in enumerate(pictures):
            scaled = picture.resize((picture_width, height), Image.Resampling.LANCZOS)
            image.paste(scaled, (left + place * (picture_width + _GAP), top + _CAPTION))
    return image


def _exhibit(name: str, capture: Path, photo: str | None) -> Exhibit:
    truth = capture / "ground_truth"
    cameras = _cameras(truth / "transforms.json")
    frames = {Path(frame["file_path"]).stem: frame for frame in cameras["frames"]}
    if photo is None:
        names = list(frames)
        photo = names[telling_photo([_coc(truth, candidate) for candidate in names])]
    elif photo not in frames:
        raise GeneratorError(
            f"there is no photo {photo}", where=capture, remedy=f"choose one like {next(iter(frames))}"
        )
    title, hard_for = docstring_parts(_SCENE_FILES / f"{name}.py")
    focus_mm = frames[photo]["focus_distance"] * cameras.get("unit_mm", 1.0)
    return Exhibit(
        name=name,
        title=title,
        hard_for=hard_for,
        photo=_picture(capture / "images" / f"{photo}.png"),
        sharp=_picture(truth / "sharp" / f"{photo}.png"),
        coc=_coc(truth, photo),
        field_width_mm=focus_mm * cameras["w"] / cameras["fl_x"],
        f_number=cameras["f_number"],
    )


def _cameras(path: Path) -> dict[str, Any]:
    content = read_json(path)
    known = isinstance(content, dict) and {"frames", "w", "fl_x", "f_number"} <= content.keys() and content["frames"]
    if not known or not all({"file_path", "focus_distance"} <= frame.keys() for frame in content["frames"]):
        raise GeneratorError(
            "the cameras lack what the generator writes", where=path, remedy="render the capture again"
        )
    return content


def _coc(truth: Path, photo: str) -> np.ndarray:
    path = truth / "coc" / f"{photo}.exr"
    if not path.is_file():
        raise GeneratorError("the circles of confusion are missing", where=path, remedy="render the capture again")
    return read_channel(path, "V")


def _picture(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError):
        raise GeneratorError("the picture cannot be read", where=path, remedy="render the capture again") from None


def _head(image: Image.Image, scenes: int, steps: np.ndarray) -> None:
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN - 1, 30), "The macro benchmark", BRIGHT, font(34), anchor="lt")
    legend = f"{scenes} scenes, rendered in Cycles.  Of each: a photo, the sharp truth, the circle of confusion."
    draw.text((_MARGIN, 74), legend, GREY, font(16), anchor="lt")

    width, height, top = 420, 14, 52
    left = _WIDTH - _MARGIN - width
    ramp = steps[0] * (steps[-1] / steps[0]) ** np.linspace(0, 1, width)
    image.paste(coloured(np.tile(ramp, (height, 1)), steps), (left, top))
    draw.text((left, top - 8), "Circle of confusion, px of the photo", GREY, font(14), anchor="lb")
    for index, step in enumerate(steps):
        x = left + round(index * (width - 1) / (len(steps) - 1))
        draw.line((x, top + height, x, top + height + 4), GREY)
        anchor = "lt" if index == 0 else "rt" if index == len(steps) - 1 else "mt"
        draw.text((x, top + height + 8), f"{step:g}", GREY, font(13), anchor=anchor)


def _caption(draw: ImageDraw.ImageDraw, exhibit: Exhibit, left: int, top: int, width: int) -> None:
    numbers = (
        f"{exhibit.field_width_mm:.0f} mm wide   f/{exhibit.f_number:g}   "
        f"blur up to {exhibit.coc.max():.0f} of {exhibit.photo.width} px"
    )
    draw.text((left - 1, top + 22), exhibit.name.replace("_", " ").capitalize(), BRIGHT, font(25), anchor="ls")
    draw.text((left + width, top + 22), numbers, GREY, font(14), anchor="rs")
    draw.text((left, top + 46), fitted(draw, exhibit.title, 15, width), GREY, font(15), anchor="ls")
    draw.text((left, top + 68), fitted(draw, exhibit.hard_for, 15, width), AMBER, font(15), anchor="ls")


if __name__ == "__main__":
    sys.exit(main())
