# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders known objects through the generator's own camera and prints what came out as JSON; run in its own process.

No test by itself: `bpy` keeps one file open for a whole process, so test_optics.py starts this as a child.
"""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from synthetic import ground_truth, render, views
from synthetic.lens import Lens
from synthetic.scenes.construction import add_mesh
from synthetic.scenes.geometry import Geometry, ball, merged, sheet
from synthetic.transforms import View


def emissive(strength: float) -> bpy.types.Material:
    material = bpy.data.materials.new("Emitter")
    material.use_nodes = True
    tree = material.node_tree
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Strength"].default_value = strength
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    return material


def empty_scene(lens: Lens, width: int, height: int, samples: int) -> bpy.types.Object:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render.set_up_cycles(width, height, samples, denoise=False)
    return render.add_camera(lens)


def linear_pixels(path: Path) -> np.ndarray:
    """[H, W], top row first, linear light."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(4 * width * height, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    srgb = pixels.reshape(height, width, 4)[::-1, :, 1].astype(np.float64)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def moments(image: np.ndarray) -> tuple[float, float, float]:
    """Centroid (px from the left and top edge) and variance on one axis (px^2) of an image's light."""
    rows, columns = np.indices(image.shape) + 0.5
    total = image.sum()
    x, y = (image * columns).sum() / total, (image * rows).sum() / total
    return x, y, (image * ((columns - x) ** 2 + (rows - y) ** 2)).sum() / total / 2


def blur_discs(folder: Path) -> list[dict[str, float]]:
    """A small luminous square at a depth, sharp and defocused: the variance that defocus adds is c^2 / 16."""
    width, height, focus = 96, 72, 100.0
    rows = []
    for lens, depth in [
        (Lens(100.0, 2.8, 24.0), 108.0),
        (Lens(100.0, 2.8, 24.0), 90.0),
        (Lens(60.0, 2.0, 17.3), 112.0),
        (Lens(60.0, 4.0, 17.3), 75.0),
    ]:
        camera = empty_scene(lens, width, height, 96)
        half = 4 * depth / lens.principal_distance_px(width)
        corners = np.array([[[-half, -half], [half, -half]], [[-half, half], [half, half]]])
        square = np.concatenate([corners, np.full((2, 2, 1), -depth)], -1)
        add_mesh("Emitter", sheet(square), emissive(0.95), smooth=False)
        view = View("bench", np.eye(4), focus)
        variances = []
        for defocus in (False, True):
            path = folder / "disc.png"
            render.render_view(camera, view, path, defocus=defocus, seed=3)
            variances.append(moments(linear_pixels(path))[2])
        expected = lens.circle_of_confusion_px(np.array([depth]), focus, width)[0]
        rows.append(
            {"depth": depth, "expected_px": expected, "measured_px": 4 * float(np.sqrt(variances[1] - variances[0]))}
        )
    return rows


def projections(folder: Path) -> list[dict[str, object]]:
    """Small luminous balls seen one by one from an oblique camera, landscape and portrait."""
    found: list[dict[str, object]] = []
    for width, height in [(96, 64), (48, 80)]:
        lens = Lens(100.0, 8.0, 24.0)
        pose = views.look_at(np.array([70.0, -50.0, 45.0]), np.array([0.5, 0.2, 1.0]))
        camera = empty_scene(lens, width, height, 128)
        for offset in [(-4.0, -3.0, 6.0), (3.0, 2.5, -5.0), (0.0, 0.0, 0.0)]:
            centre = pose[:3, :3] @ np.array(offset) + [0.5, 0.2, 1.0]
            emitter = add_mesh("Emitter", ball(0.55, 24, 48).moved(np.eye(3), centre), emissive(0.9))
            path = folder / "ball.png"
            render.render_view(camera, View("bench", pose, None), path, defocus=False, seed=5)
            x, y, _ = moments(linear_pixels(path))
            found.append({"centre": centre.tolist(), "pose": pose.tolist(), "size": [width, height], "pixel": [x, y]})
            bpy.data.objects.remove(emitter)
    return found


def depths(folder: Path) -> dict[str, float]:
    """Ray-cast depth of a sphere before a wall against the formula, and against what Cycles itself calls depth."""
    lens, width, height = Lens(100.0, 8.0, 24.0), 80, 60
    camera = empty_scene(lens, width, height, 1)
    wall = np.array([[[-60.0, -60.0], [60.0, -60.0]], [[-60.0, 60.0], [60.0, 60.0]]])
    wall = np.concatenate([wall, np.full((2, 2, 1), -110.0)], -1)
    sphere = ball(6.0, 400, 800).moved(np.eye(3), np.array([2.0, -1.0, -95.0]))
    pose = views.look_at(np.array([30.0, 20.0, 40.0]), np.array([1.0, 2.0, 3.0]))
    geometry: Geometry = merged([sheet(wall), sphere]).moved(pose[:3, :3], pose[:3, 3])
    add_mesh("Bench", geometry, emissive(1.0))
    bpy.context.view_layer.update()
    cast = ground_truth.depth_map(pose, lens, width, height)

    principal_distance = lens.principal_distance_px(width)
    x = (np.arange(width) + 0.5 - width / 2) / principal_distance
    y = -(np.arange(height)[:, None] + 0.5 - height / 2) / principal_distance
    # |t (x, y, -1) - centre|^2 = radius^2, t the planar depth
    square, product = x**2 + y**2 + 1, x * 2.0 + y * -1.0 + 95.0
    inside = product**2 - square * (2.0**2 + 1.0**2 + 95.0**2 - 6.0**2)
    exact = np.where(inside > 0, (product - np.sqrt(np.maximum(inside, 0))) / square, 110.0)
    rim = abs(inside) < 0.02 * inside.max()  # the sphere is made of facets: its outline lies inside the formula's

    scene = bpy.context.scene
    bpy.context.view_layer.use_pass_z = True
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format, image.color_depth = "OPEN_EXR_MULTILAYER", "32"
    render.place_camera(camera, pose)
    camera.data.dof.use_dof = False
    scene.render.filepath = str(folder / "passes.exr")
    bpy.ops.render.render(write_still=True)

    points = ground_truth.surface_points(cast, pose, lens)
    nearest = np.linalg.norm(points[~rim] - (pose[:3, :3] @ [2.0, -1.0, -95.0] + pose[:3, 3]), axis=-1)
    np.save(folder / "cast.npy", cast)
    np.save(folder / "rim.npy", rim)
    return {
        "formula_error": float(abs(cast - exact)[~rim].max()),
        "seen_sphere": float((inside > 0).mean()),
        "point_error": float(abs(nearest - 6.0)[(inside > 0)[~rim]].max()),
    }


if __name__ == "__main__":
    bench = Path(sys.argv[1])
    results = {"blur_discs": blur_discs(bench), "projections": projections(bench), "depths": depths(bench)}
    (bench / "results.json").write_text(json.dumps(results))
