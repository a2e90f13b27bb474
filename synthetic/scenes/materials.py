# SPDX-License-Identifier: GPL-3.0-or-later
"""Short words for shader nodes, which Blender spells at length."""

import math
from typing import Any

import bpy
import numpy as np
from bpy.types import NodeSocket

from .construction import MM

Colour = tuple[float, float, float]  # linear


class Material:
    """A material under construction: a Principled BSDF whose inputs are set from textures.

    Coordinates are millimetres of the object. Methods return output sockets, which are fed to other methods in place
    of numbers.
    """

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self._tree = self.material.node_tree
        self._shader = next(node for node in self._tree.nodes if node.type == "BSDF_PRINCIPLED")
        self._coordinates = self._tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]

    def finish(self, **inputs: Any) -> bpy.types.Material:
        """Set inputs of the Principled BSDF, named like `Base_Color` or `Roughness`, and return the material."""
        for name, value in inputs.items():
            self._set(self._shader.inputs[name.replace("_", " ")], value)
        return self.material

    def let_through(self, share: Any, colour: Any) -> None:
        """Give `share` of the shading to light that comes from behind, scattered: thin leaves and petals."""
        nodes = self._tree.nodes
        through, mix = nodes.new("ShaderNodeBsdfTranslucent"), nodes.new("ShaderNodeMixShader")
        self._set(through.inputs["Color"], colour)
        self._set(mix.inputs[0], share)
        self._link(self._shader.outputs[0], mix.inputs[1])
        self._link(through.outputs[0], mix.inputs[2])
        output = next(node for node in nodes if node.type == "OUTPUT_MATERIAL")
        self._link(mix.outputs[0], output.inputs["Surface"])

    def behind(self) -> NodeSocket:
        """1 where the surface is seen from its inside, else 0."""
        return self._tree.nodes.new("ShaderNodeNewGeometry").outputs["Backfacing"]

    def attribute(self, name: str) -> NodeSocket:
        """A number on the mesh's vertices."""
        node = self._tree.nodes.new("ShaderNodeAttribute")
        node.attribute_name = name
        return node.outputs["Fac"]

    def noise(
        self,
        size_mm: float,
        detail: float = 3.0,
        distortion: float = 0.0,
        *,
        stretch: float = 1.0,
        heading: float = 0.0,  # degrees from x towards y
    ) -> NodeSocket:
        """Fractal noise, 0 to 1, round 0.5; `stretch` times as long along `heading`, as brushed metal is."""
        node = self._tree.nodes.new("ShaderNodeTexNoise")
        self._link(self._stretched(stretch, heading) if stretch != 1 else self._coordinates, node.inputs["Vector"])
        node.inputs["Scale"].default_value = 1 / size_mm
        node.inputs["Detail"].default_value = detail
        node.inputs["Distortion"].default_value = distortion
        return node.outputs[0]

    def cells(self, size_mm: float, output: str = "Distance", feature: str = "F1") -> NodeSocket:
        """Voronoi cells: the distance to the nearest centre in units of `size_mm`, or a random colour a cell."""
        node = self._tree.nodes.new("ShaderNodeTexVoronoi")
        node.feature = feature
        self._link(self._coordinates, node.inputs["Vector"])
        node.inputs["Scale"].default_value = 1 / size_mm
        return node.outputs[output]

    def coordinate(self, axis: int) -> NodeSocket:
        """One of the object's coordinates, mm."""
        node = self._tree.nodes.new("ShaderNodeSeparateXYZ")
        self._link(self._coordinates, node.inputs[0])
        return node.outputs[axis]

    def image(
        self,
        pixels: np.ndarray,  # [H, W, 3], from the lowest y and x
        size_mm: float,
    ) -> tuple[NodeSocket, NodeSocket, NodeSocket]:
        """Three channels of numbers, laid over the square of `size_mm` round the z axis."""
        height, width = pixels.shape[:2]
        picture = bpy.data.images.new(self.material.name, width, height, float_buffer=True, is_data=True)
        filled = np.ones((height, width, 4), np.float32)
        filled[..., :3] = pixels
        picture.pixels.foreach_set(filled.ravel())
        picture.pack()
        mapping = self._tree.nodes.new("ShaderNodeMapping")
        mapping.inputs["Scale"].default_value = (1 / size_mm, 1 / size_mm, 1)
        mapping.inputs["Location"].default_value = (0.5, 0.5, 0)
        self._link(self._coordinates, mapping.inputs["Vector"])
        node = self._tree.nodes.new("ShaderNodeTexImage")
        node.image, node.interpolation, node.extension = picture, "Cubic", "EXTEND"
        self._link(mapping.outputs[0], node.inputs["Vector"])
        parts = self._tree.nodes.new("ShaderNodeSeparateColor")
        self._link(node.outputs["Color"], parts.inputs[0])
        return parts.outputs[0], parts.outputs[1], parts.outputs[2]

    def ramp(self, value: NodeSocket, *stops: tuple[float, Colour]) -> NodeSocket:
        """A colour for each value, linear between `stops`."""
        node = self._tree.nodes.new("ShaderNodeValToRGB")
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(1.0)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1.0)
        self._link(value, node.inputs[0])
        return node.outputs[0]

    def mix(self, factor: Any, first: Any, second: Any, blend: str = "MIX") -> NodeSocket:
        """Two colours mixed, or combined by a blend mode; `factor` is the second's share."""
        node = self._tree.nodes.new("ShaderNodeMix")
        node.data_type, node.blend_type = "RGBA", blend
        # By number: a mix node has sockets of the same name for each data type.
        for index, value in [(0, factor), (6, first), (7, second)]:
            self._set(node.inputs[index], value)
        return node.outputs[2]

    def mottled(self, colour: NodeSocket | Colour, strength: float, size_mm: float, detail: float = 3.0) -> NodeSocket:
        """A colour made lighter and darker by noise."""
        shade = self.ramp(self.noise(size_mm, detail), (0.3, (0.4,) * 3), (0.7, (1.6,) * 3))
        return self.mix(strength, colour, shade, "MULTIPLY")

    def calculate(self, operation: str, *values: Any) -> NodeSocket:
        """A math node."""
        node = self._tree.nodes.new("ShaderNodeMath")
        node.operation = operation
        for socket, value in zip(node.inputs, values, strict=False):
            self._set(socket, value)
        return node.outputs[0]

    def between(self, value: NodeSocket, low: float, high: float) -> NodeSocket:
        """0 below `low`, 1 above `high`, linear between."""
        node = self._tree.nodes.new("ShaderNodeMapRange")
        self._link(value, node.inputs["Value"])
        node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = low, high
        return node.outputs[0]

    def facing(self, blend: float = 0.5) -> NodeSocket:
        """0 where the surface faces the camera, 1 where it is seen edge on."""
        node = self._tree.nodes.new("ShaderNodeLayerWeight")
        node.inputs["Blend"].default_value = blend
        return node.outputs["Facing"]

    def bump(self, height: NodeSocket, depth_mm: float, below: NodeSocket | None = None) -> NodeSocket:
        """A normal from a height of 0 to 1 that stands for `depth_mm`; `below` is a coarser bump to go on from."""
        node = self._tree.nodes.new("ShaderNodeBump")
        node.inputs["Distance"].default_value = depth_mm * MM
        self._link(height, node.inputs["Height"])
        if below is not None:
            self._link(below, node.inputs["Normal"])
        return node.outputs[0]

    def vector(self, *components: Any) -> NodeSocket:
        """Three numbers as one vector."""
        node = self._tree.nodes.new("ShaderNodeCombineXYZ")
        for socket, value in zip(node.inputs, components, strict=True):
            self._set(socket, value)
        return node.outputs[0]

    def _stretched(self, stretch: float, heading: float) -> NodeSocket:
        node = self._tree.nodes.new("ShaderNodeMapping")
        node.vector_type = "TEXTURE"  # turns first, then divides
        self._link(self._coordinates, node.inputs["Vector"])
        node.inputs["Rotation"].default_value = (0.0, 0.0, math.radians(heading))
        node.inputs["Scale"].default_value = (stretch, 1.0, 1.0)
        return node.outputs[0]

    def _link(self, source: NodeSocket, target: NodeSocket) -> None:
        self._tree.links.new(source, target)

    def _set(self, socket: NodeSocket, value: Any) -> None:
        if isinstance(value, NodeSocket):
            self._link(value, socket)
        elif isinstance(value, tuple):
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value
