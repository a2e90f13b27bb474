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
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

WAYS = (("splats", True), ("splats", False), ("mesh", True))  # the part that is shown, and whether lenses blur
TRANSPARENT_BOUNCES = 1024  # surfaces that a ray may pass; each splat is two


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

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    collection = import_result.import_result(bpy.context, folder)
    _set_up(scene, samples)
    for item in collection.all_objects:
        if item.get(import_result.PART_KEY) == "mesh":
            _let_shine(item.active_material)
    cameras = sorted((o for o in collection.all_objects if o.type == "CAMERA"), key=lambda o: o.name)
    cameras = [cameras[round(i)] for i in np.linspace(0, len(cameras) - 1, min(photos, len(cameras)))]
    rows, pictures = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for camera in cameras:
            photo = _pixels(camera.data.background_images[1].image)
            row: dict[str, Any] = {"name": camera.name}
            beside = [photo]
            for part, blurred in WAYS:
                if import_result.part_of(collection, part) is None:
                    continue
                for other in ("mesh", "splats"):
                    import_result.show(scene, collection, other, other == part)
                rendered = _render(scene, camera, blurred, Path(temporary, "frame.png"))
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


def _set_up(scene: Any, samples: int) -> None:
    import _cycles

    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.seed = "CPU", samples, 0
    scene.cycles.use_denoising = bool(_cycles.with_openimagedenoise)
    scene.cycles.transparent_max_bounces = TRANSPARENT_BOUNCES
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"


def _let_shine(material: Any) -> None:
    """Replace the matt surface by one that emits its colour."""
    tree = material.node_tree
    principled = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(principled.inputs["Base Color"].links[0].from_socket, emission.inputs["Color"])
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])


def _render(scene: Any, camera: Any, blurred: bool, path: Path) -> np.ndarray:  # [H, W, 4], sRGB, 0 to 1
    import bpy

    from blender_addon import import_result

    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = camera[import_result.RESOLUTION_KEY]
    scene.render.resolution_percentage = 100
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = camera[import_result.PIXEL_ASPECT_KEY]
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.filepath = str(path)
    had = camera.data.dof.use_dof
    camera.data.dof.use_dof = had and blurred
    bpy.ops.render.render(write_still=True)
    camera.data.dof.use_dof = had
    image = bpy.data.images.load(str(path), check_existing=False)
    pixels = _pixels(image, channels=4)
    bpy.data.images.remove(image)
    return pixels


def _pixels(image: Any, channels: int = 3) -> np.ndarray:  # [H, W, channels], as stored, 0 to 1
    from PIL import Image

    with Image.open(bpy_path(image)) as picture:
        return np.asarray(picture.convert("RGBA"), dtype=np.float64)[..., :channels] / 255


def bpy_path(image: Any) -> str:
    """The file of a Blender image."""
    import bpy

    return str(bpy.path.abspath(image.filepath))


if __name__ == "__main__":
    sys.exit(main())
