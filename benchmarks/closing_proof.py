# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing proof: the imported scene, rendered by Cycles with its cameras' depth of field, is the blurred photo.

`python benchmarks/closing_proof.py RESULT [--photos 4] [--samples 64] [--json FILE] [--sheet FILE.png]`, with Blender
as a module (`pip install bpy`). Splats and mesh are rendered in turn through the imported camera of some photos, and
compared with those photos: PSNR of sRGB values over the pixels that the subject or the ground covers. The same without
depth of field shows what the blur is worth. Colours of a result have the photos' light in them already, so the mesh
shines in its own here instead of being lit once more.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.blender_renders import cameras_of, import_alone, let_shine, mesh_of, photo_of, render  # noqa: E402

WAYS = (("splats", True), ("splats", False), ("mesh", True))  # the part that is shown, and whether lenses blur


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="a result folder whose photos still exist")
    parser.add_argument("--photos", type=int, default=4, help="how many of them, spread evenly")
    parser.add_argument("--samples", type=int, default=64, help="light paths a pixel")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument(
        "--sheet", type=Path, help="PNG: photo, splats, splats without blur, mesh, a row for each photo"
    )
    options = parser.parse_args(arguments)
    rows, sheet = prove(options.result, options.photos, options.samples)
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if options.sheet is not None:
        from PIL import Image

        Image.fromarray(sheet).save(options.sheet)
    return 0


def prove(folder: Path, photos: int, samples: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Render and compare.

    Args:
        folder: the result.
        photos: how many to compare.
        samples: light paths a pixel.

    Returns:
        A dictionary for each photo: `name`, and PSNR in dB by way; and an sRGB picture [H, W, 3] of all of it.
    """
    import bpy

    from blender_addon import import_result

    collection = import_alone(folder, samples)
    mesh = mesh_of(collection)
    if mesh is not None:
        let_shine(mesh.active_material)
    cameras = cameras_of(collection)
    cameras = [cameras[round(i)] for i in np.linspace(0, len(cameras) - 1, min(photos, len(cameras)))]
    rows, pictures = [], []
    for camera in cameras:
        photo = np.asarray(photo_of(camera), dtype=np.float64) / 255
        row: dict[str, Any] = {"name": camera.name}
        beside = [photo]
        for part, blurred in WAYS:
            if import_result.part_of(collection, part) is None:
                continue
            for other in ("mesh", "splats"):
                import_result.show(bpy.context.scene, collection, other, other == part)
            rendered = render(camera, blurred=blurred)
            covered = rendered[..., 3:] > 0.99
            colour = rendered[..., :3]
            error = np.mean((colour - photo)[covered[..., 0]] ** 2) if covered.any() else 1.0
            row[_name(part, blurred)] = round(float(-10 * np.log10(max(error, 1e-12))), 2)
            row["covered_share"] = round(float(covered.mean()), 3)
            beside.append(colour)
        rows.append(row)
        pictures.append(np.concatenate(beside, axis=1))
        print(row, flush=True)
    return rows, (np.concatenate(pictures).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, with the mean below."""
    names = [name for name in (_name(*way) for way in WAYS) if all(name in row for row in rows)]
    lines = ["| photo | " + " | ".join(f"{name}, dB" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {row['name']} | " + " | ".join(f"{row[name]:.2f}" for name in names) + " |" for row in rows]
    means = [np.mean([row[name] for row in rows]) for name in names]
    return "\n".join([*lines, "| **mean** | " + " | ".join(f"{mean:.2f}" for mean in means) + " |"])


def _name(part: str, blurred: bool) -> str:
    return part if blurred else f"{part}, no blur"


if __name__ == "__main__":
    sys.exit(main())
