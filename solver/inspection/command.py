# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `inspect`: look, tell, and write."""

from pathlib import Path

from solver.capture.images import IMAGE_SUFFIXES
from solver.capture.overrides import LensOverrides
from solver.capture.photos import SUBFOLDERS, photo_folder
from solver.errors import SolverError
from solver.events import Reporter
from solver.files import require_writable_folder, write_json
from solver.inspection.advice import Advice, advise
from solver.inspection.contact_sheet import write_contact_sheet
from solver.inspection.folder import Findings, inspect_folder
from solver.inspection.report import as_json, print_table

_SHEET_SUFFIXES = (".jpg", ".jpeg")


def inspect(
    folder: Path,
    *,
    masks: Path | None = None,
    lens: LensOverrides | None = None,
    sheet: Path | None = None,
    json: Path | None = None,
    table: bool = True,
    reporter: Reporter | None = None,
) -> tuple[Findings, tuple[Advice, ...]]:
    """Inspect a folder of photos.

    Args:
        folder: see `solver.inspection.folder.inspect_folder`, as for `masks`.
        masks: folder of masks.
        lens: what the user says about the lens.
        sheet: JPEG to write the contact sheet to.
        json: file to write everything that was found to.
        table: print a table on standard output.
        reporter: gets the stages `photos`, `views` and `write`, the advice as warnings, and the end.

    Raises:
        SolverError: there is nothing to inspect, or what is to be written has no place.
    """
    reporter = reporter or Reporter()
    _check_places(folder, sheet, json)
    findings = inspect_folder(folder, masks=masks, overrides=lens, reporter=reporter)
    advice = advise(findings)
    if sheet is not None or json is not None:
        reporter.stage("write", "Writing")
        if sheet is not None:
            write_contact_sheet(sheet, findings, advice)
        if json is not None:
            write_json(json, as_json(findings, advice))
    reporter.finish_stage()
    if table:
        print_table(findings)
    for item in advice:
        reporter.warning(item.message)
    written = json or sheet
    if written is not None or not table:  # a table on the screen is its own end
        reporter.done(Path(written or folder).absolute())
    return findings, advice


def _check_places(folder: Path, sheet: Path | None, json: Path | None) -> None:
    """Fail before the photos are read, not after."""
    if sheet is not None and sheet.suffix.lower() not in _SHEET_SUFFIXES:
        raise SolverError("the contact sheet is a JPEG", where=sheet, remedy="give it a name that ends in .jpg")
    if json is not None and json.suffix.lower() in IMAGE_SUFFIXES:
        raise SolverError("a file of this name is a photo", where=json, remedy="give it a name that ends in .json")
    folder = folder.absolute()
    # Beside images/ as well: a folder's own photos come before those of its images/.
    photos = [folder, photo_folder(folder), *([folder.parent] if folder.name in SUBFOLDERS else [])]
    if sheet is not None and sheet.absolute().parent.resolve() in [place.resolve() for place in photos]:
        raise SolverError(
            "among the photos, the contact sheet would be taken for one", where=sheet, remedy="choose another folder"
        )
    for file in (sheet, json):
        if file is not None:
            if file.is_dir():
                raise SolverError("this is a folder", where=file, remedy="give the name of a file")
            require_writable_folder(file.absolute().parent)
