# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders known objects through the generator's own camera and measures the pictures; run in its own process.

    python tests/synthetic/optical_bench.py FOLDER [--record benchmarks/results]

FOLDER gets results.json, for test_optics.py, which starts this as a child, since `bpy` keeps one file open for a whole
process. `--record` also writes physics.json and physics.md: what was expected, what was measured.
"""

import argparse
import cmath
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from synthetic import ground_truth, photo, png, render, views
from synthetic.arguments import Settings
from synthetic.frames import Studio
from synthetic.lens import Lens
from synthetic.scenes.construction import MM, MacroScene, add_mesh
from synthetic.scenes.geometry import Geometry, ball, merged, sheet
from synthetic.transforms import View, transforms
from synthetic.turntable import Turntable


def emissive(strength: float) -> bpy.types.Material:
    material = bpy.data.materials.new("Emitter")
    material.use_nodes = True
    tree = material.node_tree
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Strength"].default_value = strength
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def empty_scene(lens: Lens, width: int, height: int, units_per_mm: float = MM) -> bpy.types.Object:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render.set_up_cycles(width, height, denoise=False)
    return render.add_camera(lens, units_per_mm)


def linear_pixels(path: Path) -> np.ndarray:
    """Green [H, W] in linear light, of a PNG."""
    srgb = png.read(path)[..., 1] / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def moments(image: np.ndarray) -> tuple[float, float, float]:
    """Centroid (px from the left and top edge) and variance on one axis (px^2) of an image's light."""
    rows, columns = np.indices(image.shape) + 0.5
    total = image.sum()
    x, y = (image * columns).sum() / total, (image * rows).sum() / total
    return x, y, (image * ((columns - x) ** 2 + (rows - y) ** 2)).sum() / total / 2


def corner_direction(image: np.ndarray, corners: int) -> float:
    """Angle of a corner of the polygon that a square emitter is spread over, degrees from the right, anticlockwise.

    It is that of the mean of (x + iy)^n about the centroid, n the number of corners. Below n a regular polygon has no
    such moment, and a square has only that of 4; so for n of 5 and 6 the spread emitter's is the polygon's own.
    """
    rows, columns = np.indices(image.shape) + 0.5
    x, y, _ = moments(image)
    moment = (image * ((columns - x) + 1j * (y - rows)) ** corners).sum()
    return math.degrees(cmath.phase(moment)) / corners % (360 / corners)


WIDTH, HEIGHT = 96, 72  # px, of the pictures of blur discs
DISCS = (  # lens, depths in mm, Blender units a millimetre
    (Lens(100.0, 2.8, 24.0), (108.0, 116.0, 94.0, 86.0), MM),
    (Lens(100.0, 5.6, 24.0), (116.0, 140.0, 86.0, 76.0), MM),
    (Lens(60.0, 2.0, 17.3), (112.0, 130.0, 91.0, 80.0), MM),
    (Lens(60.0, 4.0, 17.3), (130.0, 170.0, 80.0, 68.0), MM),
    (Lens(100.0, 2.8, 24.0, blades=5, blade_rotation_degrees=10.0), (135.0, 79.0), MM),
    (Lens(60.0, 2.0, 17.3, blades=6, blade_rotation_degrees=25.0), (150.0, 75.0), MM),
    (Lens(100.0, 4.0, 24.0), (125.0, 86.0), 1.0),  # a scene of the user's, modelled in millimetres
)


def blur_discs(folder: Path) -> list[dict[str, object]]:
    """A small luminous square at several depths: the variance that defocus adds to it is that of its kernel."""
    focus = 100.0
    path = folder / "disc.png"
    rows: list[dict[str, object]] = []
    for lens, depths_mm, units_per_mm in DISCS:
        sharp = 0.0
        for depth in depths_mm:
            camera = empty_scene(lens, WIDTH, HEIGHT, units_per_mm)
            samples = 400 if lens.blades else 96
            half = 4 * depth / lens.principal_distance_px(WIDTH)  # as many pixels wide at any depth
            corners = np.array([[[-half, -half], [half, -half]], [[-half, half], [half, half]]])
            square = np.concatenate([corners, np.full((2, 2, 1), -depth)], -1)
            emitter = add_mesh("Emitter", sheet(square), emissive(0.95), smooth=False)
            emitter.matrix_world = Matrix.Scale(units_per_mm, 4)
            view = View("bench", np.eye(4), focus)
            if not sharp:
                render.render_view(
                    camera, view, path, defocus=False, samples=samples, seed=3, units_per_mm=units_per_mm
                )
                sharp = moments(linear_pixels(path))[2]
            render.render_view(camera, view, path, defocus=True, samples=samples, seed=3, units_per_mm=units_per_mm)
            image = linear_pixels(path)
            row: dict[str, object] = {
                **asdict(lens),
                "unit_mm": 1 / units_per_mm,
                "focus_mm": focus,
                "depth_mm": depth,
                "expected_px": float(lens.circle_of_confusion_px(np.array([depth]), focus, WIDTH)[0]),
                "measured_px": math.sqrt((moments(image)[2] - sharp) / lens.kernel_variance),
            }
            if lens.blades:
                step = 360 / lens.blades
                corner = lens.blade_rotation_degrees + step / 2 + (180 if depth < focus else 0)
                row["corner_expected_degrees"] = corner % step
                row["corner_measured_degrees"] = corner_direction(image, lens.blades)
            rows.append(row)
    return rows


def development(folder: Path) -> int:
    """Largest difference, in levels, of a developed radiance from Blender's own PNG of it, over all levels."""
    width, height = 300, 8
    lens = Lens(100.0, 8.0, 24.0)
    camera = empty_scene(lens, width, height)
    x = np.linspace(-12.0, 12.0, width)
    wedge = sheet(np.stack(np.broadcast_arrays(x, [[-1.0], [1.0]], -100.0), -1))
    level = np.broadcast_to(np.linspace(0.0, 1.2, width) ** 2, (2, width)).ravel()
    material = emissive(1.0)
    tree = material.node_tree
    attribute = tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_name = "level"
    emission = next(node for node in tree.nodes if node.type == "EMISSION")
    emission.inputs["Color"].default_value = (1.0, 0.6, 0.2, 1.0)
    tree.links.new(attribute.outputs["Fac"], emission.inputs["Strength"])
    add_mesh("Wedge", wedge.with_attribute("level", level), material, smooth=False)
    view = View("bench", np.eye(4), None)
    render.render_view(camera, view, folder / "wedge.png", defocus=False, samples=4, seed=1)
    radiance = render.render_radiance(camera, view, defocus=False, samples=4, seed=1)
    own = png.read(folder / "wedge.png").astype(int)
    if len(np.unique(own[..., 0])) < 250 or (own == 255).mean() < 0.03:
        raise ValueError("the wedge does not have all levels")
    return int(abs(photo.develop(radiance) - own).max())


def projections(folder: Path) -> list[dict[str, object]]:
    """Small luminous balls seen one by one from an oblique camera, landscape and portrait."""
    found: list[dict[str, object]] = []
    lens = Lens(100.0, 8.0, 24.0)
    view = View("bench", views.look_at(np.array([70.0, -50.0, 45.0]), np.array([0.5, 0.2, 1.0])), None)
    path = folder / "ball.png"
    for width, height in [(96, 64), (48, 80)]:
        camera = empty_scene(lens, width, height)
        for offset in [(-4.0, -3.0, 6.0), (3.0, 2.5, -5.0), (0.0, 0.0, 0.0)]:
            centre = view.camera_to_world[:3, :3] @ np.array(offset) + [0.5, 0.2, 1.0]
            emitter = add_mesh("Emitter", ball(0.55, 24, 48).moved(np.eye(3), centre), emissive(0.9))
            render.render_view(camera, view, path, defocus=False, samples=128, seed=5)
            found.append(
                {
                    "size": [width, height],
                    "expected": projected(centre, view, lens, width, height),
                    "measured": moments(linear_pixels(path))[:2],
                }
            )
            bpy.data.objects.remove(emitter)
    return found


def projected(centre: np.ndarray, view: View, lens: Lens, width: int, height: int) -> tuple[float, float]:
    """The pixel that a reader of our transforms.json projects the world point `centre` [3] to."""
    content = json.loads(json.dumps(transforms([view], lens, width, height, "images", true=False)))
    world_to_camera = np.linalg.inv(content["frames"][0]["transform_matrix"])
    x, y, z = (world_to_camera @ [*centre, 1.0])[:3]
    return content["cx"] + content["fl_x"] * x / -z, content["cy"] - content["fl_y"] * y / -z


def sphere_depth(
    centre: np.ndarray,  # [3], in the camera's OpenGL axes
    radius: float,
    lens: Lens,
    width: int,
    height: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Planar depth [H, W] of a sphere, 0 beside it, and the pixels [H, W] too near its outline to tell.

    |t (x, y, -1) - centre|^2 = radius^2, t the planar depth.
    """
    principal_distance = lens.principal_distance_px(width)
    x = (np.arange(width) + 0.5 - width / 2) / principal_distance
    y = -(np.arange(height)[:, None] + 0.5 - height / 2) / principal_distance
    square, product = x**2 + y**2 + 1, x * centre[0] + y * centre[1] - centre[2]
    inside = product**2 - square * (centre @ centre - radius**2)
    depth = np.where(inside > 0, (product - np.sqrt(np.maximum(inside, 0))) / square, 0.0)
    # A sphere in Blender is made of facets: its outline lies inside the formula's.
    return depth, abs(inside) < 0.02 * inside.max()


def turntable(folder: Path) -> list[dict[str, object]]:
    """A luminous ball beside the axis of a turntable, turned: where it lands, how deep it lies, and its mask."""
    width, height, radius = 96, 64, 1.5
    lens = Lens(100.0, 8.0, 24.0)
    middle, ball_centre = np.array([2.0, -1.0, 3.0]), np.array([6.0, 1.5, 4.0])
    camera = empty_scene(lens, width, height)
    subject = add_mesh("Ball", ball(radius, 200, 400).moved(np.eye(3), ball_centre), emissive(0.9))
    add_mesh("Floor", sheet(np.array([[[-30.0, -30, 0], [30, -30, 0]], [[-30, 30, 0], [30, 30, 0]]])), emissive(0.0))
    scene = MacroScene((subject,), middle, 10.0, 24.0, (30.0, 40.0))
    table = Turntable(scene.subject, middle, scene.units_per_mm)
    studio = Studio(Settings(output=folder), scene, lens, "turntable", camera, table)
    found: list[dict[str, object]] = []
    for stand in views.PLANS["turntable"](3, middle, lens.distance_mm(24.0), np.random.default_rng(1), (30.0, 40.0)):
        view = View("bench", stand.camera_to_world, None, stand.turn_degrees)
        path = folder / "turned.png"
        room = studio.in_room(view)
        render.render_view(camera, room, path, defocus=False, samples=128, seed=6)
        depth, mask = ground_truth.first_surfaces(room.camera_to_world, lens, width, height, scene.subject)
        world_to_camera = np.linalg.inv(view.camera_to_world)
        exact, rim = sphere_depth((world_to_camera @ [*ball_centre, 1.0])[:3], radius, lens, width, height)
        found.append(
            {
                "turn_degrees": stand.turn_degrees,
                "camera": room.camera_to_world[:3, 3].tolist(),
                "expected": projected(ball_centre, view, lens, width, height),
                "measured": moments(linear_pixels(path))[:2],
                "depth_error": float(abs(depth - exact)[(exact > 0) & ~rim].max()),
                "mask_error": int((mask != (exact > 0))[~rim].sum()),
                "mask_pixels": int(mask.sum()),
            }
        )
    return found


def depths(folder: Path) -> dict[str, float]:
    """Ray-cast depth of a sphere before a wall against the formula, and against what Cycles itself calls depth."""
    lens, width, height = Lens(100.0, 8.0, 24.0), 80, 60
    camera = empty_scene(lens, width, height)
    wall = np.array([[[-60.0, -60.0], [60.0, -60.0]], [[-60.0, 60.0], [60.0, 60.0]]])
    wall = np.concatenate([wall, np.full((2, 2, 1), -110.0)], -1)
    sphere = ball(6.0, 400, 800).moved(np.eye(3), np.array([2.0, -1.0, -95.0]))
    pose = views.look_at(np.array([30.0, 20.0, 40.0]), np.array([1.0, 2.0, 3.0]))
    geometry: Geometry = merged([sheet(wall), sphere]).moved(pose[:3, :3], pose[:3, 3])
    add_mesh("Bench", geometry, emissive(1.0))
    bpy.context.view_layer.update()
    cast = ground_truth.first_surfaces(pose, lens, width, height, ())[0]

    seen, rim = sphere_depth(np.array([2.0, -1.0, -95.0]), 6.0, lens, width, height)
    inside = seen > 0
    exact = np.where(inside, seen, 110.0)

    scene = bpy.context.scene
    bpy.context.view_layer.use_pass_z = True
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format, image.color_depth = "OPEN_EXR_MULTILAYER", "32"
    render.place_camera(camera, pose)
    camera.data.dof.use_dof = False
    scene.cycles.samples = 1
    scene.render.filepath = str(folder / "passes.exr")
    bpy.ops.render.render(write_still=True)

    points = ground_truth.surface_points(cast, pose, lens)
    nearest = np.linalg.norm(points[~rim] - (pose[:3, :3] @ [2.0, -1.0, -95.0] + pose[:3, 3]), axis=-1)
    np.save(folder / "cast.npy", cast)
    np.save(folder / "rim.npy", rim)
    return {
        "formula_error": float(abs(cast - exact)[~rim].max()),
        "seen_sphere": float(inside.mean()),
        "point_error": float(abs(nearest - 6.0)[inside[~rim]].max()),
    }


REPORT = """# The generator's lens, measured

Blender {version}, focus at 100 mm, {width} x {height} px. A luminous square 8 px wide is rendered sharp and defocused.
The diameter of the blur disc follows from the variance that defocus adds (1/16 of its square for a disc,
(2 + cos(2 pi/n))/48 for n blades), and is compared with D f_px |1/d - 1/d0|. A corner of the blades' polygon is
expected at the lens's rotation plus half a corner's angle, and half a turn on in front of the focus.

    python tests/synthetic/optical_bench.py FOLDER --record benchmarks/results
"""


def record(folder: Path, results: dict[str, Any]) -> None:
    """Write what was expected and measured for people (physics.md) and programs (physics.json)."""
    lines = [
        *REPORT.format(version=bpy.app.version_string, width=WIDTH, height=HEIGHT).splitlines(),
        "",
        "| lens | blades | unit, mm | depth, mm | expected, px | measured, px | ratio | corner, degrees | measured |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["blur_discs"]:
        corner = [f"{row[f'corner_{kind}_degrees']:.1f}" if row["blades"] else "" for kind in ("expected", "measured")]
        lines.append(
            f"| {row['focal_length_mm']:g} mm f/{row['f_number']:g} | {row['blades'] or 'round'} "
            f"| {row['unit_mm']:g} | {row['depth_mm']:g} "
            f"| {row['expected_px']:.2f} | {row['measured_px']:.2f} | {row['measured_px'] / row['expected_px']:.4f} "
            f"| {' | '.join(corner)} |"
        )
    errors = [math.dist(row["expected"], row["measured"]) for row in results["projections"] + results["turntable"]]
    lines += [
        "",
        f"- Points projected by transforms.json: at most {max(errors):.3f} px from where they are rendered "
        f"({len(errors)} points: landscape, portrait, turned on a turntable).",
        f"- Depth of a sphere before a wall against the formula: at most {results['depths']['formula_error']:.5f} mm; "
        f"of a ball on a turntable: at most {max(row['depth_error'] for row in results['turntable']):.5f} mm.",
        f"- Radiance developed by synthetic/photo.py against Blender's own PNG: at most {results['development']}/255.",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "physics.json").write_text(json.dumps({"blender": bpy.app.version_string, **results}, indent=2) + "\n")
    (folder / "physics.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the renders and results.json")
    parser.add_argument("--record", type=Path, metavar="DIR", help="also write physics.json and physics.md there")
    arguments = parser.parse_args()
    bench: Path = arguments.folder
    bench.mkdir(parents=True, exist_ok=True)
    results = {
        "blur_discs": blur_discs(bench),
        "projections": projections(bench),
        "turntable": turntable(bench),
        "depths": depths(bench),
        "development": development(bench),
    }
    (bench / "results.json").write_text(json.dumps(results))
    if arguments.record:
        record(arguments.record, results)


if __name__ == "__main__":
    main()
