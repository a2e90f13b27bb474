# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes beside the photos that they were made from, and what they lose that the splats keep.

    python benchmarks/mesh_sheet.py beetle=RESULT coin=RESULT ... --output docs/images/meshes.jpg [--json FILE]

Each result is imported into Blender as a module (`pip install bpy`) and its mesh rendered in Cycles through the camera
of one photo: with its texture, shining in its own light, which is the photos'; and as clay in the light of one lamp.
Beside them are the photo and the sharp view of the splats. The table has the sizes of the files and, where the result
is of a generated capture, the share of the subject's pixels that mesh and splats have at their true depth, give or take
a fiftieth of the subject's size: of all of them, and of those that belong to parts thinner than five pixels.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from scipy.ndimage import binary_opening  # noqa: E402

from benchmarks.blender_renders import cameras_of, import_alone, let_shine, mesh_of, photo_of, render  # noqa: E402
from benchmarks.contact_sheet import telling_photo  # noqa: E402
from benchmarks.drawing import BRIGHT, GREY, GROUND, font, write_jpeg  # noqa: E402

COLUMNS = ("photo", "sharp, splats", "mesh with texture", "mesh as clay")
_PICTURE_WIDTH, _GAP, _MARGIN, _HEADER, _CAPTION = 384, 6, 32, 64, 40  # px
_RIM = 0.06  # of the mesh's size in a picture, that is shown round it
_DEPTH_TOLERANCE = 0.02  # of the subject's size
_THIN_PX = 5  # parts that a square of this side does not fit into
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Kept:
    """The share of the subject's pixels at their true depth; None where the truth is not known."""

    mesh: float | None = None
    splats: float | None = None
    thin_mesh: float | None = None
    thin_splats: float | None = None


@dataclass(frozen=True)
class Row:
    """A result in numbers."""

    name: str
    photo: str  # that is shown
    triangles: int
    texture_px: int
    glb_megabytes: float
    splats: int
    ply_megabytes: float
    kept: Kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture and print the table; 0 if that went well, 1 if not, with the reason on standard error."""
    from blender_addon.errors import MacroError
    from solver.errors import SolverError
    from synthetic.errors import GeneratorError

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", metavar="TITLE=RESULT", help="result folders with meshes, in this order")
    parser.add_argument("--output", type=Path, required=True, metavar="JPG", help="the picture to write")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--photo", nargs="*", default=[], metavar="TITLE=NAME", help="photos to show")
    parser.add_argument("--samples", type=int, default=64, help="light paths a pixel")
    options = parser.parse_args(arguments)
    chosen = dict(_pair(parser, text) for text in options.photo)
    rows, strips = [], []
    try:
        for title, folder in (_pair(parser, text) for text in options.results):
            row, pictures = exhibit(title, Path(folder), chosen.get(title), options.samples)
            rows.append(row)
            strips.append((row, pictures))
            print(row, file=sys.stderr)
        write_jpeg(sheet(strips), options.output)
    except (MacroError, SolverError, GeneratorError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    return 0


def exhibit(title: str, folder: Path, photo: str | None, samples: int) -> tuple[Row, list[Image.Image]]:
    """What is shown and said of one result.

    Args:
        title: of the subject.
        folder: the result.
        photo: name of the photo to show; None takes the one with most in focus and out of it.
        samples: light paths a pixel.

    Returns:
        Its numbers, and its pictures in the order of `COLUMNS`.

    Raises:
        MacroError: the folder is no whole result.
        SolverError: it has no mesh, lacks the photo, or a file of it is damaged.
    """
    from solver.errors import SolverError
    from solver.export.images import read_exr

    collection = import_alone(folder, samples)
    mesh, cameras = mesh_of(collection), cameras_of(collection)
    if mesh is None:
        raise SolverError("the result has no mesh", where=folder, remedy="make one with `python -m solver mesh`")
    if photo is None:
        maps = [read_exr(folder / "coc" / f"{camera.name}.exr", "V") for camera in cameras]
        photo = cameras[telling_photo(maps)].name
    camera = next((camera for camera in cameras if camera.name == photo), None)
    if camera is None:
        raise SolverError(f"the result has no photo {photo}", where=folder, remedy=f"choose one like {cameras[0].name}")
    with Image.open(folder / "sharp" / f"{photo}.png") as picture:
        sharp = picture.convert("RGB")
    percentage = max(1, round(100 * 2 * _PICTURE_WIDTH / sharp.width))
    let_shine(mesh.active_material)
    textured = render(camera, blurred=False, percentage=percentage)
    _make_clay(mesh, camera)
    clay = render(camera, blurred=False, percentage=percentage)
    window = mesh_window(textured[..., 3] > 0)
    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    row = Row(
        name=title,
        photo=photo,
        triangles=content["mesh"]["faces"],
        texture_px=content["mesh"]["texture_size"] or 0,
        glb_megabytes=(folder / "mesh.glb").stat().st_size / _MEGABYTE,
        splats=content["splats"]["count"],
        ply_megabytes=(folder / "splats.ply").stat().st_size / _MEGABYTE,
        kept=kept(folder, Path(content["capture"])),
    )
    pictures = [photo_of(camera), sharp, _over_ground(textured), _over_ground(clay)]
    return row, [_part(picture, window) for picture in pictures]


def mesh_window(covered: np.ndarray) -> tuple[float, float, float, float]:  # [H, W] bool
    """A part of a picture, of its shape, round what is covered: left, top, right and bottom, 0 to 1."""
    rows, columns = np.nonzero(covered.any(1))[0], np.nonzero(covered.any(0))[0]
    if not len(rows):
        return 0.0, 0.0, 1.0, 1.0
    height, width = covered.shape
    top, bottom, left, right = rows[0] / height, (rows[-1] + 1) / height, columns[0] / width, (columns[-1] + 1) / width
    side = min(1.0, (1 + 2 * _RIM) * max(bottom - top, right - left))
    x = min(max((left + right - side) / 2, 0.0), 1 - side)
    y = min(max((top + bottom - side) / 2, 0.0), 1 - side)
    return x, y, x + side, y + side


def kept(folder: Path, capture: Path) -> Kept:
    """Which parts of the subject a result has at their true depth, over all photos.

    Args:
        folder: the result; its cameras are the capture's, as they are where poses are given.
        capture: with ground truth, else nothing is known.

    Raises:
        SolverError: a file of the truth or the result is damaged.
    """
    import trimesh
    from mathutils.bvhtree import BVHTree

    from solver.evaluation.truth import read_ground_truth
    from solver.export.images import read_exr

    if not (capture / "ground_truth").is_dir():
        return Kept()
    truth = read_ground_truth(capture)
    assert truth.mesh_path is not None
    tolerance = _DEPTH_TOLERANCE * float(np.ptp(trimesh.load_mesh(truth.mesh_path).bounds, axis=0).max())
    surface = trimesh.load_mesh(folder / "mesh.ply")
    tree = BVHTree.FromPolygons(surface.vertices.tolist(), surface.faces.tolist(), all_triangles=True)
    found: dict[str, list[np.ndarray]] = {"mesh": [], "splats": [], "thin": []}
    for view in truth.photos:
        subject, depth = view.shows_subject(), view.depth()
        rows, columns = np.nonzero(subject)
        depths = {"mesh": _cast(tree, view.photo, rows, columns)}
        depths["splats"] = read_exr(folder / "depth" / f"{view.name}.exr", "Z")[rows, columns]
        for part, values in depths.items():
            found[part].append(np.abs(values - depth[rows, columns]) <= tolerance)
        thick = binary_opening(subject, np.ones((_THIN_PX, _THIN_PX)))
        found["thin"].append(~thick[rows, columns])
    mesh, splats, thin = (np.concatenate(found[part]) for part in ("mesh", "splats", "thin"))
    return Kept(
        mesh=float(mesh.mean()),
        splats=float(splats.mean()),
        thin_mesh=float(mesh[thin].mean()) if thin.any() else None,
        thin_splats=float(splats[thin].mean()) if thin.any() else None,
    )


def _cast(tree: Any, photo: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # [N], [N] -> [N]
    """Planar depth of a surface at pixels' centres; infinite where a ray meets nothing."""
    camera, world_to_camera = photo.camera, np.asarray(photo.world_to_camera)
    x = (columns + 0.5 - camera.cx) / camera.fx
    y = (rows + 0.5 - camera.cy) / camera.fy
    directions = np.stack([x, y, np.ones_like(x)], -1)
    lengths = np.linalg.norm(directions, axis=1)  # of a ray, for one unit of depth
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    origin = tuple(-rotation.T @ translation)
    hits = [tree.ray_cast(origin, direction)[3] for direction in (directions @ rotation).tolist()]
    return np.array([np.inf if hit is None else hit for hit in hits]) / lengths


def table(rows: Sequence[Row]) -> str:
    """The numbers as Markdown."""
    lines = [
        "| | triangles | texture, px | mesh.glb, MB | splats | splats.ply, MB "
        "| at true depth: mesh | splats | thin parts: mesh | splats |",
        "|---|" + "---:|" * 9,
    ]
    for row in rows:
        shares = (row.kept.mesh, row.kept.splats, row.kept.thin_mesh, row.kept.thin_splats)
        lines.append(
            f"| {row.name} | {row.triangles:,} | {row.texture_px} | {row.glb_megabytes:.1f} | {row.splats:,} "
            f"| {row.ply_megabytes:.1f} | "
            + " | ".join("-" if share is None else f"{100 * share:.0f} %" for share in shares)
            + " |"
        )
    return "\n".join(lines)


def sheet(strips: Sequence[tuple[Row, Sequence[Image.Image]]]) -> Image.Image:
    """One picture: a row for each result, under names of the columns."""
    width = 2 * _MARGIN + len(COLUMNS) * (_PICTURE_WIDTH + _GAP) - _GAP
    heights = [round(_PICTURE_WIDTH * pictures[0].height / pictures[0].width) for _, pictures in strips]
    image = Image.new("RGB", (width, _HEADER + sum(heights) + _CAPTION * len(strips) + _MARGIN), GROUND)
    draw = ImageDraw.Draw(image)
    for index, column in enumerate(COLUMNS):
        draw.text((_MARGIN + index * (_PICTURE_WIDTH + _GAP), _HEADER - 8), column, GREY, font(18), anchor="ls")
    top = _HEADER
    for (row, pictures), height in zip(strips, heights, strict=True):
        numbers = f"{row.triangles:,} triangles, {row.glb_megabytes:.1f} MB   {row.splats:,} splats, "
        draw.text((_MARGIN, top + 26), row.name.replace("_", " ").capitalize(), BRIGHT, font(20), anchor="ls")
        draw.text((width - _MARGIN, top + 26), f"{numbers}{row.ply_megabytes:.1f} MB", GREY, font(15), anchor="rs")
        for index, picture in enumerate(pictures):
            scaled = picture.resize((_PICTURE_WIDTH, height), Image.Resampling.LANCZOS)
            image.paste(scaled, (_MARGIN + index * (_PICTURE_WIDTH + _GAP), top + _CAPTION - 4))
        top += height + _CAPTION
    return image


def _part(picture: Image.Image, window: tuple[float, float, float, float]) -> Image.Image:
    left, top, right, bottom = window
    return picture.crop(
        (
            round(left * picture.width),
            round(top * picture.height),
            round(right * picture.width),
            round(bottom * picture.height),
        )
    )


def _over_ground(rendered: np.ndarray) -> Image.Image:  # [H, W, 4], sRGB, not premultiplied
    """A rendering in front of the sheet's ground."""
    picture = Image.fromarray((rendered.clip(0, 1) * 255 + 0.5).astype(np.uint8), "RGBA")
    ground = Image.new("RGBA", picture.size, (*GROUND, 255))
    return Image.alpha_composite(ground, picture).convert("RGB")


def _make_clay(mesh: Any, camera: Any) -> None:
    """Give the mesh one grey, and light it from the left of a camera and above it."""
    import bpy
    from mathutils import Euler

    material = bpy.data.materials.new("Clay")
    material.use_nodes = True
    principled = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    principled.inputs["Base Color"].default_value = (0.6, 0.58, 0.55, 1)
    principled.inputs["Roughness"].default_value = 0.8
    mesh.data.materials.clear()
    mesh.data.materials.append(material)
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "SUN"))
    lamp.data.energy, lamp.data.angle = 3.0, 0.1
    turned = Euler((np.radians(-45), np.radians(-35), 0)).to_matrix().to_4x4()
    lamp.matrix_world = camera.matrix_world @ turned
    scene = bpy.context.scene
    scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("Sky")
    scene.world.use_nodes = True
    background = next(node for node in scene.world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Strength"].default_value = 0.25
    background.inputs["Color"].default_value = (1, 1, 1, 1)


def _pair(parser: argparse.ArgumentParser, text: str) -> tuple[str, str]:
    title, sign, value = text.partition("=")
    if not (title and sign and value):
        parser.error(f"'{text}' is not of the form TITLE=VALUE")
    return title, value


if __name__ == "__main__":
    sys.exit(main())
