# SPDX-License-Identifier: GPL-3.0-or-later
"""The table for the terminal, as JSON, and as a page with pictures."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table as RichTable

from benchmarks.quality_table.captures import CapturePlan
from benchmarks.quality_table.cells import Cell
from benchmarks.quality_table.display import duration
from benchmarks.quality_table.methods import Budget, Method
from benchmarks.quality_table.summary import LEAST_WAY_DB, MEAN, Entry, Table
from solver.evaluation.perceptual import NETWORKS
from solver.evaluation.scores import COC_BINS
from synthetic.arguments import PRESETS

_TOLD_DIGITS = 4
_MESH_NOTE = (
    "Every method's Gaussians were made into a mesh in the same way and compared with the true one where its photos "
    "could see it (docs/how_it_works.md)."
)
_NETWORK_TITLES = {"alexnet": "AlexNet", "vgg16": "VGG"}


@dataclass(frozen=True)
class Report:
    """Everything that is told of a finished table."""

    preset: str
    command: str
    scenes: tuple[str, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    workers: int
    budget: Budget
    table: Table
    renders: Mapping[str, tuple[CapturePlan, Cell]]  # by name of the cell
    step_seconds: Mapping[str, float]  # sums by kind of step
    machine: Mapping[str, Any]
    failures: Mapping[str, str]


@dataclass(frozen=True)
class Measure:
    """A key of the numbers and how it is told."""

    key: str
    title: str
    form: str


DEBLURRED = Measure("psnr_deblurred_recoverable", "Deblurred photos: PSNR on recoverable pixels, dB", ".2f")
NOVEL = Measure("psnr_novel_recoverable", "Held-out views: PSNR on recoverable pixels, dB", ".2f")
_BY_SCENE = (
    DEBLURRED,
    NOVEL,
    Measure("recovery_deblurred", "Deblurred photos: recovery", ".2f"),
    Measure("recovery_novel", "Held-out views: recovery", ".2f"),
    *(
        Measure(
            f"lpips_{network}_{views}_recoverable",
            f"{told}: LPIPS ({_NETWORK_TITLES[network]}) on recoverable pixels, lower is better",
            ".3f",
        )
        for network in NETWORKS
        for views, told in (("deblurred", "Deblurred photos"), ("novel", "Held-out views"))
    ),
)
_MESH = (
    Measure("mesh_chamfer", "Mesh: chamfer distance, mm", ".3f"),
    Measure("mesh_f_score", "Mesh: F-score at 0.5 % of the subject's size", ".3f"),
)
_FURTHER = (
    Measure("psnr_deblurred", "PSNR, deblurred", ".2f"),
    Measure("psnr_novel", "PSNR, held out", ".2f"),
    Measure("ssim_deblurred_recoverable", "SSIM, deblurred, recoverable", ".3f"),
    Measure("ssim_deblurred", "SSIM, deblurred", ".3f"),
    Measure("ssim_novel_recoverable", "SSIM, held out, recoverable", ".3f"),
    Measure("ssim_novel", "SSIM, held out", ".3f"),
    *(
        Measure(f"lpips_{network}_{views}", f"LPIPS ({_NETWORK_TITLES[network]}), {told}", ".3f")
        for network in NETWORKS
        for views, told in (("deblurred", "deblurred"), ("novel", "held out"))
    ),
)
_GEOMETRY = (
    Measure("depth_error_median_recoverable", "depth error in photos, mm", ".3f"),
    Measure("depth_error_median_novel_recoverable", "depth error in held-out views, mm", ".3f"),
    Measure("mesh_chamfer", "chamfer distance, mm", ".3f"),
    Measure("mesh_f_score", "F-score", ".3f"),
    Measure("mesh_precision", "precision", ".3f"),
    Measure("mesh_recall", "recall", ".3f"),
    Measure("focus_distance_error_median", "focus distance error, mm", ".3f"),
    Measure("pupil_diameter_error_absolute", "pupil diameter error", ".1%"),
)
_COST = (
    Measure("seconds", "wall time, s", ".0f"),
    Measure("peak_memory_mib", "peak memory, MiB", ".0f"),
)


def text(entry: Entry | None, measure: Measure) -> str:
    """A number with its spread, or a dash."""
    value = entry[measure.key] if entry else None
    if value is None:
        return "-"
    spread = entry.spreads.get(measure.key) if entry else None
    unsigned = measure.form.lstrip("+")
    return format(value, measure.form) + ("" if spread is None else f" ± {format(spread, unsigned)}")


def terminal_tables(report: Report) -> list[RichTable]:
    """The two rankings, and recovery, as tables of rich."""
    tables = []
    for measure in _BY_SCENE[:4]:
        table = RichTable(title=measure.title, title_justify="left")
        table.add_column("")
        for name in (*report.scenes, MEAN):
            table.add_column(name, justify="right")
        for method in report.methods:
            row = report.table.get(method.name, {})
            table.add_row(method.title, *(text(row.get(name), measure) for name in (*report.scenes, MEAN)))
        tables.append(table)
    return tables


def as_json(report: Report) -> dict[str, Any]:
    """Everything, rounded, for programs and for later comparisons."""

    def entry(found: Entry) -> dict[str, Any]:
        content: dict[str, Any] = {"values": _rounded(found.values)}
        if len(report.seeds) > 1:
            content["spreads"] = _rounded(found.spreads)
        return content

    return {
        "preset": report.preset,
        "command": report.command,
        "seeds": list(report.seeds),
        "budget": asdict(report.budget),
        "machine": dict(report.machine),
        "workers": report.workers,
        "methods": {method.name: method.title for method in report.methods},
        "results": {name: {place: entry(found) for place, found in row.items()} for name, row in report.table.items()},
        "render_seconds_per_frame": {
            name: round(cell.seconds / plan.frames, 2) for name, (plan, cell) in report.renders.items()
        },
        "step_seconds": {kind: round(seconds) for kind, seconds in report.step_seconds.items()},
        "failures": sorted(report.failures),
    }


def as_markdown(report: Report, picture: str | None) -> str:
    """The page; `picture` is the address of the crops, relative to it."""
    blocks = [
        f"# Macro benchmark, `{report.preset}`",
        _introduction(report),
        _crops(report, picture) if picture else "",
        *(section(measure.title, by_scene(report, measure)) for measure in _BY_SCENE if _known(report, measure)),
        *(section(m.title, by_scene(report, m), _MESH_NOTE) for m in _MESH if _known(report, m)),
        _by_coc(report, "deblurred", "deblurred photos"),
        _by_coc(report, "novel", "held-out views"),
        section("Further measures, mean of the scenes", over_measures(report, _FURTHER)),
        section(
            "Geometry and lens, mean of the scenes",
            over_measures(report, _GEOMETRY),
            "Depth, focus and pupil: medians of absolute errors, depth on recoverable pixels where a method has a "
            "surface, the lens where a method learns it. Chamfer distance to recall are of the mesh.",
        ),
        section(
            "Time and memory, mean of the scenes",
            over_measures(report, _COST),
            f"A method's own process, {_sharing(report)}; rendering and measuring excluded.",
        ),
        _stack_note(report),
        f"## How it was made\n\n{making(report)}",
    ]
    return "\n\n".join(wrapped(block) for block in blocks if block) + "\n"


def section(title: str, table: str, note: str = "") -> str:
    """A table under its heading; nothing where there is no table."""
    return "\n\n".join(block for block in (f"## {title}", table, note) if block) if table else ""


def _introduction(report: Report) -> str:
    preset = PRESETS[report.preset]
    width, height = preset.resolution
    sentences = [
        f"{count_of(report.scenes, 'scene')}, each {preset.views} photos of {width}x{height} px with random focus "
        f"distances and {preset.held_out} held-out views.",
        f"Every trained method has the same budget: {report.budget.iterations:,} steps, "
        f"{report.budget.max_gaussians:,} Gaussians, poses known, {told_seeds(report.seeds)}.",
        "Images are compared with the sharp truth in sRGB; PSNR is taken over all pixels of a scene's views together.",
        "Recoverable are surface points that at least three photos see, one of them with a circle of confusion (CoC) "
        "of at most 1.5 px.",
        "Recovery is (method - plain splatting) / (oracle - plain splatting) in dB on recoverable pixels: 0 is the "
        f"floor, 1 the ceiling; where these are less than {LEAST_WAY_DB} dB apart there is none.",
    ]
    if len(report.seeds) > 1:
        sentences.append("Numbers after ± are standard deviations over the seeds.")
    if any(_known(report, measure) for measure in _BY_SCENE if measure.key.startswith("lpips_vgg16_deblurred")):
        sentences.append("LPIPS by VGG looks at every fourth of the deblurred photos.")
    return " ".join(sentences)


def _crops(report: Report, picture: str) -> str:
    told = "Of each scene the part with the most detail that a photo blurs and other photos could tell; chosen by the "
    told += "truth alone."
    if any(method.source == "stack" for method in report.methods):
        told += " The focus stack's photos have other poses: what is shown of it is rendered at this one."
    return f"## Pictures\n\n{told}\n\n![Crops of every method]({picture})"


def _by_coc(report: Report, views: str, told: str) -> str:
    """PSNR by bins, and under it how many pixels are in each; those that too few photos see are in none."""
    bins = [Measure(f"psnr_{views}_by_coc/{name}", f"{name} px", ".2f") for name in COC_BINS]
    shares = [Measure(f"share_{views}_by_coc/{name}", "", ".1%") for name in COC_BINS]
    means = [row[MEAN].values for row in report.table.values() if MEAN in row]
    truth = next((values for values in means if any(values.get(share.key) for share in shares)), {})
    pixels = [
        text(Entry(truth, {}), share) for share, inside in zip(shares, bins, strict=True) if _known(report, inside)
    ]
    table = over_measures(report, bins, [["part of the pixels", *pixels]])
    return section(
        f"PSNR by the smallest CoC in any photo, {told}, mean of the scenes that have such pixels, dB", table
    )


def wrapped(block: str) -> str:
    """Prose in lines of 120; tables, headings and code stay as they are."""
    lines = (
        [line] if line.startswith(("|", "#", "    ", "!")) else textwrap.wrap(line, 120, break_on_hyphens=False) or [""]
        for line in block.splitlines()
    )
    return "\n".join(line for pieces in lines for line in pieces)


def by_scene(report: Report, measure: Measure) -> str:
    """One number of all methods: a column for every scene and for the mean."""
    places = (*report.scenes, MEAN)
    rows = [
        [method.title, *(text(report.table.get(method.name, {}).get(place), measure) for place in places)]
        for method in report.methods
    ]
    return markdown(["", *(place.replace("_", " ") for place in places)], rows)


def over_measures(report: Report, measures: Sequence[Measure], further: Sequence[Sequence[str]] = ()) -> str:
    """Means over the scenes: a column for every number that anybody has; `further` rows come last."""
    known = [measure for measure in measures if _known(report, measure)]
    if not known:
        return ""
    rows = []
    for method in report.methods:
        entry = report.table.get(method.name, {}).get(MEAN)
        rows.append([method.title, *(text(entry, measure) for measure in known)])
    return markdown(["", *(measure.title for measure in known)], [*rows, *further])


def _known(report: Report, measure: Measure) -> bool:
    return any(entry[measure.key] is not None for row in report.table.values() for entry in row.values())


def _stack_note(report: Report) -> str:
    told = []
    for method in report.methods:
        entry = report.table.get(method.name, {}).get(MEAN)
        if method.source == "stack" and entry and entry["psnr_fused_recoverable"] is not None:
            told.append(
                f"The focus stack has as many photos as the others, {report.budget.bracket_size} at each of fewer "
                "poses, and so no deblurred photos of the same views. Its fused images, against the sharp truth of "
                f"their own poses: {entry['psnr_fused']:.2f} dB, {entry['psnr_fused_recoverable']:.2f} dB where one "
                "of the photos is in focus."
            )
    return "\n\n".join(told)


def making(report: Report) -> str:
    """The command, the machine, and what took how long."""
    machine = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
    lines = [
        f"    {report.command}",
        "",
        f"On {machine['cores']} cores of {machine['processor']} ({machine['system']}); {versions}.",
        "",
        markdown(
            ["rendering", "frames", "time", "a frame, s"],
            [
                [
                    name.removesuffix("-render").replace("_", " "),
                    str(plan.frames),
                    duration(cell.seconds),
                    f"{cell.seconds / plan.frames:.2f}",
                ]
                for name, (plan, cell) in report.renders.items()
            ],
        ),
        "",
        markdown(
            ["step", "sum of all"],
            [[kind, duration(seconds)] for kind, seconds in report.step_seconds.items()],
        ),
        "",
        f"Rendering uses all cores; of the other steps {report.workers} ran at a time: about "
        f"{duration(_whole_seconds(report))} in all.",
    ]
    if report.failures:
        lines += ["", f"Not done: {', '.join(sorted(report.failures))}."]
    return "\n".join(lines)


def _whole_seconds(report: Report) -> float:
    rendering = report.step_seconds.get("render", 0.0)
    return rendering + (sum(report.step_seconds.values()) - rendering) / report.workers


def _sharing(report: Report) -> str:
    if report.workers == 1:
        return "alone"
    return f"{report.workers} at a time, each on {max(1, report.machine['cores'] // report.workers)} of the cores"


def count_of(things: Sequence[Any], name: str) -> str:
    """How many there are, in words."""
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def told_seeds(seeds: Sequence[int]) -> str:
    """Which there are, in words."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table whose first columns, so many, are text and whose others are numbers."""
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {key: None if value is None else round(value, _TOLD_DIGITS) for key, value in values.items()}
