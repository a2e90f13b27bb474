# SPDX-License-Identifier: GPL-3.0-or-later
"""Exporting a result: all files of the formats asked for, in one folder that remembers what it was exported from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from solver.config import ExportFormat
from solver.errors import SolverError
from solver.events import Reporter
from solver.export.formats import ALL, FORMATS, MESH_FORMATS, SPLAT_FORMATS, Task, tasks_of
from solver.export.source import Source, SplatChoice
from solver.files import no_empty_folder_left, read_json, require_writable_folder, write_json

MANIFEST = "export.json"  # which result the folder's files are from
FORMAT_VERSION = 1


def export(
    result: Path,
    output: Path,
    formats: Sequence[ExportFormat | Literal["all"]],
    reporter: Reporter,
    *,
    choice: SplatChoice,
    link: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a result in `formats` into `output`.

    Args:
        result: the result folder.
        output: created where needed; must not hold files of the same names, unless an earlier export of the same
            result wrote them.
        formats: which; all of them are without those of the mesh if there is none.
        reporter: told the progress.
        choice: which splats.
        link: symbolic links to the result's files instead of copies.
        overwrite: write over files of others.

    Raises:
        SolverError: result or output are not fit for it.
    """
    reporter.stage("read", "Reading the result")
    source = Source(result, choice, reporter.progress, reporter.warning)
    source.require_whole()
    wanted = _wanted(formats, source, reporter)
    for_viewers = not SPLAT_FORMATS.isdisjoint(wanted)
    tasks: dict[str, Task] = {}  # formats share images and texture
    for kind in wanted:
        tasks.update((task.path, task) for task in tasks_of(kind, source, link=link))
    with no_empty_folder_left(output):
        _claim(output, result, list(tasks), overwrite)
        if choice.count is not None or (choice.fit and for_viewers):  # takes long, and tells its own progress
            reporter.stage("choose", "Preparing the splats")
            source.viewer_splats if for_viewers else source.splats  # noqa: B018
        reporter.stage("export", "Writing")
        source.progress = lambda done, total: None
        for done, (path, task) in enumerate(tasks.items()):
            task.write(output / path)
            reporter.progress(done + 1, len(tasks))


def _wanted(
    formats: Sequence[ExportFormat | Literal["all"]], source: Source, reporter: Reporter
) -> Sequence[ExportFormat]:
    """The formats by their own names."""
    if "all" not in formats:
        return [kind for kind in FORMATS if kind in formats]
    wanted = [kind for kind in FORMATS if kind in {*ALL, *formats}]
    if source.has_mesh:
        return wanted
    reporter.warning("the result has no mesh: only splats, cameras and images are exported")
    return [kind for kind in wanted if kind not in MESH_FORMATS]


def _claim(output: Path, result: Path, paths: list[str], overwrite: bool) -> None:
    """Note in the output folder which files are to be from `result`, before any is written.

    Raises:
        SolverError: the folder cannot be written to, is the result itself, or has files of others.
    """
    require_writable_folder(output)
    if output.absolute().resolve() == result.absolute().resolve():
        raise SolverError("the output is the result itself", where=output, remedy="choose another folder")
    own = _earlier(output, result)
    others = [path for path in paths if (output / path).exists() and path not in own]
    if others and not overwrite:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise SolverError(
            f"the output folder already has {others[0]}{more}, not from this result",
            where=output,
            remedy="choose another folder, or add --overwrite",
        )
    content = {
        "format_version": FORMAT_VERSION,
        "result": str(result.absolute()),
        "files": sorted({*own, *paths}),
    }
    write_json(output / MANIFEST, content)


def _earlier(output: Path, result: Path) -> set[str]:
    """The files that earlier exports of the same result wrote into the folder."""
    if not (output / MANIFEST).is_file():
        return set()
    content = read_json(output / MANIFEST, "the earlier export's list")
    if not isinstance(content, dict) or content.get("result") != str(result.absolute()):
        return set()
    files = content.get("files")
    return {file for file in files if isinstance(file, str)} if isinstance(files, list) else set()
