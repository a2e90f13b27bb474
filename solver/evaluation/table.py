# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of an evaluation as a table for people."""

from collections.abc import Iterable
from typing import Any

from solver.evaluation.perceptual import NETWORKS
from solver.evaluation.scores import COC_BINS

_ROW = "{:<28}{:>12}{:>13}{:>12}{:>13}"


def lines(numbers: dict[str, Any]) -> list[str]:
    """What `solver.evaluation.evaluate.evaluate` found, line by line."""
    return [
        _ROW.format("", "deblurred", "recoverable", "novel", "recoverable"),
        _row("PSNR, dB", numbers, "psnr_{}", ".2f"),
        _row("SSIM", numbers, "ssim_{}", ".4f"),
        *(_row(f"LPIPS {network}", numbers, f"lpips_{network}_{{}}", ".4f") for network in NETWORKS),
        _ROW.format("depth error, median", *_each(numbers, _depth_keys(), ".4f")),
        "",
        _ROW.format("PSNR by smallest CoC, px", "deblurred", "of pixels", "novel", "of pixels"),
        *(_bin_row(name, numbers) for name in COC_BINS),
        "",
        f"focus distance error, median  {_text(numbers['focus_distance_error_median'], '.4f')}",
        f"pupil diameter error          {_text(numbers['pupil_diameter_error'], '+.1%')}",
        f"mesh, chamfer distance        {_text(numbers['mesh_chamfer'], '.4f')}",
        f"mesh, F-score at 0.5 %        {_text(numbers['mesh_f_score'], '.4f')}",
        f"recoverable pixels            {_text(numbers['recoverable_share'], '.1%')}",
        f"views                         {numbers['photos']} photos, {numbers['novel_views']} held out",
        f"scale to the capture's world  {_text(numbers['alignment_scale'], '.6g')}",
        *_missing_weights(numbers),
    ]


def _row(title: str, numbers: dict[str, Any], key: str, form: str) -> str:
    keys = (f"{key.format(views)}{region}" for views in ("deblurred", "novel") for region in ("", "_recoverable"))
    return _ROW.format(title, *_each(numbers, keys, form))


def _bin_row(name: str, numbers: dict[str, Any]) -> str:
    cells = []
    for views in ("deblurred", "novel"):
        cells.append(_text(numbers[f"psnr_{views}_by_coc"][name], ".2f"))
        cells.append(_text(numbers[f"share_{views}_by_coc"][name], ".1%"))
    return _ROW.format(f"  {name}", *cells)


def _depth_keys() -> list[str]:
    return [f"depth_error_median{views}{region}" for views in ("", "_novel") for region in ("", "_recoverable")]


def _each(numbers: dict[str, Any], keys: Iterable[str], form: str) -> list[str]:
    return [_text(numbers[key], form) for key in keys]


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _missing_weights(numbers: dict[str, Any]) -> list[str]:
    keys = [f"lpips_{network}_{views}" for network in NETWORKS for views in ("deblurred", "novel")]
    if any(numbers[key] is not None for key in keys):
        return []
    return ["LPIPS was left out: its weights are not there; `make lpips` fetches them."]
