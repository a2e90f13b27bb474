# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: what the facts say, in words, numbers and pictures, put into the template."""

import base64
import dataclasses
import hashlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from solver.capture.images import load_photo
from solver.config import ReconstructionSettings, settings_for
from solver.errors import SolverError
from solver.export.images import read_exr
from solver.files import read_json, written_aside
from solver.optics.colour import linear_to_srgb
from solver.report.charts import FocusRange, Sight, camera_map, focus_chart, line_chart, number
from solver.report.facts import Facts, PhotoFacts, inside, read_facts
from solver.report.pictures import LEGEND_PX, Picture, circle_colours, embedded, legend_gradient, shaded

FORMAT_VERSION = 1  # of result.json
PAGE = "report.html"

_PICTURE_BYTES = 13_000_000  # of all pictures in the page
_COVERAGE_SHARE = 0.06  # of them
_PHOTO_BYTES = 400_000  # at most, for the pictures of one photo
_LONGEST_SIDE = 960  # px
_MOST_SHOWN = 300  # photos with pictures; of more, as many, evenly
_COVERAGE_VIEWS, _COVERAGE_SIDE = 6, 640  # of maps, and px of their longest side
_MAP_POINTS = 900  # of the mesh, on the camera maps

_SOURCES = {
    "distance": "from a distance between picked points",
    "markers": "from markers of known size",
    "file": "as the file of cameras says",
    "blur": "from blur against focal length and f-number",
}
_STAGES = {
    "read": "Reading photos",
    "masks": "Making masks",
    "poses": "Finding poses",
    "prepare": "Preparing the renderer",
    "train": "Optimizing scene and lens",
    "surface": "Making the surface",
    "texture": "Painting the texture",
    "coverage": "Looking for what is out of focus",
    "export": "Writing the result",
}


@dataclass(frozen=True)
class Shown:
    """A photo in the contact sheet."""

    name: str
    held_out: bool
    number: int  # among those shown
    caption: str
    pictures: dict[str, Picture | None]  # of photo, sharp and coc, as far as they are there


def report(folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Write the page of a finished result, and return its path.

    Raises:
        SolverError: it is not a whole result, or one of another version.
    """
    if not folder.is_dir():
        raise SolverError("the result folder does not exist", where=folder, remedy="check the path")
    content = read_json(folder / "result.json", "the result's description")
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        raise SolverError("the result is of another version", where=folder, remedy="reconstruct again")
    try:
        return write_report(folder, content, progress)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SolverError(
            f"the result is incomplete or of another version ({type(error).__name__}: {error})",
            where=folder,
            remedy="reconstruct again",
        ) from None


def write_report(
    folder: Path,
    content: dict[str, Any],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the page of a result whose files are there, and return its path.

    Args:
        folder: the result.
        content: what its result.json says, or will say.
        progress: called with (photos done, photos).
    """
    page = render(read_facts(folder, content), progress)
    path = folder / PAGE
    with written_aside(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(facts: Facts, progress: Callable[[int, int], None] = lambda done, total: None) -> str:
    """The whole page as HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("solver.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, decibel=decibel, duration=duration)
    style, script = (_source(environment, name) for name in ("report.css", "report.js"))
    content = facts.content
    shown = contact_sheet(facts, progress)
    return environment.get_template("report.html").render(
        facts=facts,
        result=content,
        title=Path(content["capture"]).name or "Reconstruction",
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        size=size_told(facts),
        scale=scale_told(facts),
        warnings=[_advice(text) for text in content["warnings"]],
        in_focus=None if not content["coverage"] else _rest(content["coverage"]["never_in_focus_share"]),
        run_time=sum(content["timings_s"].values()),
        shown=shown,
        first=next((each.number for each in shown if not each.held_out), 0),
        photos=[_row(facts, each) for each in facts.photos],
        legend=[(number(step), 100 * place / (len(LEGEND_PX) - 1)) for place, step in enumerate(LEGEND_PX)],
        gradient=legend_gradient(),
        curves=_curves(facts),
        focus=focus_chart(focus_ranges(facts)),
        missing_focus=_missing_focus(facts),
        apertures=_apertures(facts),
        coverage=_coverage_views(facts),
        maps=_maps(facts),
        settings=changed_settings(content["settings"]),
        timings=_timings(content["timings_s"]),
        command=shlex.join(["python", "-m", "solver", *content["command"]]),
    )


def contact_sheet(facts: Facts, progress: Callable[[int, int], None]) -> list[Shown]:
    """Photo, sharp view and circle of confusion of the photos, or of as many as the page can hold."""
    chosen = _evenly(facts.photos, _MOST_SHOWN)
    allowed = min(_PHOTO_BYTES, int(_PICTURE_BYTES * (1 - _COVERAGE_SHARE) / max(len(chosen), 1)))
    found = []
    for done, each in enumerate(chosen):
        images = _images(facts.folder, each)
        pictures: dict[str, Picture | None] = dict.fromkeys(("photo", "sharp", "coc"))
        if images:
            pictures |= zip(images, embedded(list(images.values()), _LONGEST_SIDE, allowed), strict=True)
        found.append(Shown(each.name, each.entry["held_out"], done, _caption(facts, each), pictures))
        progress(done + 1, len(chosen))
    return found


def size_told(facts: Facts) -> str | None:
    """The mesh's box, longest side first."""
    if facts.size is None:
        return None
    scale, unit = facts.unit
    digits = _digits(float(facts.size.max()) * scale)
    return " \u00d7 ".join(f"{side * scale:.{digits}f}" for side in sorted(facts.size, reverse=True)) + f" {unit}"


def scale_told(facts: Facts) -> dict[str, Any] | None:
    """Uncertainty and source of the scene's unit, in words, and what blur alone says."""
    scale = facts.content["scale"]
    if scale is None:
        return None
    uncertainty = scale["relative_uncertainty"]
    longest = None if facts.size is None else float(facts.size.max()) * facts.unit[0]
    sure = "uncertainty unknown"
    if uncertainty is not None:
        sure = f"± {percent(uncertainty)}"
        if longest is not None:
            sure = f"± {uncertainty * longest:.2g} mm ({percent(uncertainty)})"
    blur = scale["from_blur"] if scale["source"] != "blur" else None
    return {
        "sure": sure,
        "source": _SOURCES.get(scale["source"], scale["source"]),
        "unit_mm": scale["unit_mm"],
        "blur": blur and {**blur, "ratio": blur["unit_mm"] / scale["unit_mm"]},
    }


def focus_ranges(facts: Facts) -> list[FocusRange]:
    """Of the photos that training used, as far as depth and focus are known."""
    found = []
    for each in facts.photos:
        if (
            each.depth_range is None
            or each.sharp_range is None
            or each.focus_distance is None
            or each.entry["held_out"]
        ):
            continue
        near, far = each.depth_range
        focus, sharp_near, sharp_far = (
            (depth - near) / (far - near) for depth in (each.focus_distance, *each.sharp_range)
        )
        found.append(FocusRange(each.name, focus, sharp_near, sharp_far))
    return found


def changed_settings(settings: dict[str, Any]) -> dict[str, list[tuple[str, Any, Any]]]:
    """(name, value, the preset's) of what differs from the preset, and of the rest."""
    try:
        preset = dataclasses.asdict(settings_for(settings["preset"]))
    except (SolverError, KeyError):
        preset = dataclasses.asdict(ReconstructionSettings())
    rows = [(name, value, preset.get(name)) for name, value in settings.items() if name != "preset"]
    return {
        "changed": [row for row in rows if row[1] != row[2]],
        "rest": [row for row in rows if row[1] == row[2]],
    }


def percent(share: float | None) -> str:
    """With a digit behind the point where it matters."""
    if share is None:
        return "unknown"
    value = 100 * share
    return f"{value:.1f} %" if 0 < abs(value) < 10 or 99 < value < 100 else f"{value:.0f} %"


def decibel(value: float | None) -> str:
    """With one digit behind the point."""
    return "unknown" if value is None else f"{value:.1f} dB"


def duration(seconds: float) -> str:
    """As a person says it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _source(environment: Any, name: str) -> Markup:
    """A file of the package's own that goes into the page as it is."""
    return Markup(environment.loader.get_source(environment, name)[0])


def _advice(warning: str) -> tuple[str, str | None]:
    """What is wrong, and what to do: the sentence behind its last semicolon."""
    what, _, advice = warning.rpartition("; ")
    return (what, advice[:1].upper() + advice[1:]) if what else (warning, None)


def _images(folder: Path, each: PhotoFacts) -> dict[str, np.ndarray]:  # [H, W, 3] uint8, sRGB
    """What there is of photo, sharp view and map."""
    found: dict[str, np.ndarray] = {}
    try:
        if each.photo is not None:
            linear = load_photo(each.photo, each.photo.camera.width, each.photo.camera.height)
            found["photo"] = (linear_to_srgb(linear) * 255 + 0.5).astype(np.uint8)
    except (SolverError, OSError):
        pass  # photos may have moved since
    sharp = _sharp(folder, each)
    if sharp is not None:
        found["sharp"] = sharp
    try:
        depth = read_exr(inside(folder, each.entry["depth"]), "Z")
        coc = read_exr(inside(folder, each.entry["coc"]), "V")
        if depth.shape == coc.shape:
            found["coc"] = circle_colours(coc, depth > 0)
    except (SolverError, OSError):
        pass
    return found


def _sharp(folder: Path, each: PhotoFacts) -> np.ndarray | None:  # [H, W, 3] uint8, sRGB
    from PIL import Image

    try:
        with Image.open(inside(folder, each.entry["sharp"])) as picture:
            return np.asarray(picture.convert("RGB"))
    except (SolverError, OSError, ValueError, Image.DecompressionBombError):
        return None


def _caption(facts: Facts, each: PhotoFacts) -> str:
    entry = each.entry
    parts = [f"f/{number(entry['f_number'])}"] if entry["f_number"] else []
    parts += [f"focus {_length(facts, entry['focus_distance'])}"]
    if entry["in_focus_share"] is not None:
        parts.append(f"{percent(entry['in_focus_share'])} in focus")
    if entry["psnr"] is not None:
        parts.append(decibel(entry["psnr"]))
    return ", ".join(parts)


def _row(facts: Facts, each: PhotoFacts) -> dict[str, Any]:
    gains = each.entry.get("exposure")
    return {
        **each.entry,
        "stops": None if gains is None else f"{float(np.log2(gains).mean()):+.2f}".replace("-", "\u2212"),
        "focus": _length(facts, each.entry["focus_distance"]),
        "depth": None
        if each.depth_range is None
        else " to ".join(_length(facts, depth, named=False) for depth in each.depth_range),
    }


def _length(facts: Facts, length: float | None, *, named: bool = True) -> str:
    """In millimetres where the scale is known; None is infinity."""
    scale, unit = facts.unit
    told = "∞" if length is None else f"{length * scale:.{_digits(length * scale)}f}"
    return f"{told} {unit}" if named else told


def _digits(length: float) -> int:
    """Behind the point, so that a length has three or four digits."""
    return int(np.clip(2 - np.floor(np.log10(max(abs(length), 1e-6))), 0, 4))


def _curves(facts: Facts) -> list[tuple[str, Markup]]:
    if facts.curves is None:
        return []
    settings, steps = facts.content["settings"], facts.curves["steps"]
    begins = {"pupil": "defocus_warm_up", "dilation": "defocus_warm_up", "blurnet": "blurnet_blur_from"}
    marks = []
    if settings.get("train_on") == "photos" and settings.get("defocus") in begins:
        marks.append((settings[begins[settings["defocus"]]], "blur"))
        if settings["defocus"] == "pupil":
            marks.append((settings["pupil_from"], "pupil views"))
    if 0 < settings.get("resurface_at", 1) < 1:
        marks.append((settings["resurface_at"], "new surface"))
    at = [(share * settings["iterations"], name) for share, name in marks]
    drawn = [
        ("PSNR of the training photos", line_chart(steps, facts.curves["psnr"], title="PSNR", unit="dB", marks=at)),
        ("Loss", line_chart(steps, facts.curves["loss"], title="Loss", unit="loss", marks=at)),
    ]
    return [(name, chart) for name, chart in drawn if chart]


def _missing_focus(facts: Facts) -> float | None:
    from solver.report.charts import photos_by_depth

    ranges = focus_ranges(facts)
    counts = photos_by_depth(ranges)
    return sum(count == 0 for count in counts) / len(counts) if ranges else None


def _apertures(facts: Facts) -> list[dict[str, Any]]:
    rows = []
    for aperture in facts.content["apertures"]:
        start, learned = aperture["pupil_diameter_initial"], aperture["pupil_diameter"]
        nominal = aperture["nominal_pupil_diameter_mm"]
        rows.append(
            {
                "f_number": aperture["f_number"],
                "photos": sum(each.entry["f_number"] == aperture["f_number"] for each in facts.photos),
                "start": _length(facts, start),
                "learned": _length(facts, learned),
                "change": learned / start - 1 if start else None,
                "nominal": None if nominal is None else f"{nominal:.{_digits(nominal)}f} mm",
            }
        )
    return rows


def _coverage_views(facts: Facts) -> list[tuple[str, Picture]]:
    """Maps of the smallest circle of confusion of some photos, evenly chosen."""
    chosen = _evenly([each for each in facts.photos if each.entry["coverage"]], _COVERAGE_VIEWS)
    allowed = int(_PICTURE_BYTES * _COVERAGE_SHARE / max(len(chosen), 1))
    found = []
    for each in chosen:
        try:
            smallest = read_exr(inside(facts.folder, each.entry["coverage"]), "V")
        except (SolverError, OSError):
            continue
        image = circle_colours(smallest, smallest >= 0)
        sharp = _sharp(facts.folder, each)
        if sharp is not None and sharp.shape == image.shape:
            image = shaded(image, sharp)
        found.append((each.name, embedded([image], _COVERAGE_SIDE, allowed)[0]))
    return found


def _maps(facts: Facts) -> list[tuple[str, Markup]]:
    sights = []
    for each in facts.photos:
        if each.photo is None:
            continue
        camera = each.photo.camera
        edges = [(column, row) for column in (0, camera.width) for row in (0, camera.height)]
        rays = np.array([((x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, 1.0) for x, y in edges])
        turn = facts.to_upright @ each.photo.world_to_camera[:3, :3].T
        sights.append(Sight(each.name, facts.to_upright @ each.photo.centre, rays @ turn.T, each.entry["held_out"]))
    points = np.zeros((0, 3))
    if facts.vertices is not None:
        chosen = np.random.default_rng(0).permutation(len(facts.vertices))[:_MAP_POINTS]
        points = facts.vertices[chosen] @ facts.to_upright.T
    drawn = [
        ("From the top", camera_map(sights, points, (0, 1), "From the top", facts.unit)),
        ("From the side", camera_map(sights, points, (0, 2), "From the side", facts.unit)),
    ]
    return [(name, chart) for name, chart in drawn if chart]


def _timings(timings_s: dict[str, float]) -> list[tuple[str, float, float]]:
    """(stage, seconds, percent of the longest)."""
    longest = max(timings_s.values(), default=0.0) or 1.0
    return [(_STAGES.get(stage, stage), seconds, 100 * seconds / longest) for stage, seconds in timings_s.items()]


def _rest(share: float | None) -> float | None:
    return None if share is None else 1 - share


def _evenly(items: Sequence[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]
