# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials and the Geometry Nodes of imported meshes and splats.

A splat is a coarse ball placed, turned and scaled by its covariance, as large as the splat's alpha is worth drawing.
Its material knows nothing of that shape: along a ray with the direction i (unit length, in the splat's own coordinates,
where the ball encloses the unit sphere and the standard deviation is 1 / extent) through any point p of the ray, the
Gaussian's largest value is ``exp(-extent^2 d2 / 2)`` with ``d2 = |p|^2 - (p . i)^2``. So any proxy that encloses the
splat gives the exact falloff, seen from anywhere, through Cycles' depth of field as well; quads turned to one camera
would not.
"""

from __future__ import annotations

from collections.abc import Mapping

import bpy

LEAST_ALPHA = 1 / 255  # where a splat ends; the solver skips less, too
PROXY_SUBDIVISIONS = 2  # a ball of 80 triangles
PROXY_INRADIUS = 0.934  # of circumradius 1
ROUGHNESS = 0.8
CROP, CROP_BOX = "Crop", "Crop Box"  # inputs of the splats' modifier
OWN_MATERIAL_KEY = "macro_own_material"  # on a mesh that shows coverage: what it wore before
TEXTURED_KEY = "macro_textured"  # on a surface's material: whether it was made for a texture


def surface_material(name: str, texture: bpy.types.Image | None) -> bpy.types.Material:
    """A matt surface in the colours of a texture, or in those of its vertices."""
    material, tree, output = _new_material(f"{name} surface")
    principled = _node(tree, "ShaderNodeBsdfPrincipled", (-300, 0), {"Roughness": ROUGHNESS})
    if texture is None:
        colour = _node(tree, "ShaderNodeAttribute", (-560, 0), attribute_name="rgb")
    else:
        colour = _node(tree, "ShaderNodeTexImage", (-660, 0), image=texture, extension="EXTEND")
        tree.nodes.active = colour  # which is the one that solid shading shows
    tree.links.new(colour.outputs["Color"], principled.inputs["Base Color"])
    tree.links.new(principled.outputs["BSDF"], output.inputs["Surface"])
    material.roughness = ROUGHNESS
    material[TEXTURED_KEY] = texture is not None
    return material


COVERAGE_COLOURS = (  # by the smallest circle of confusion, px: in focus, on the edge of it, soft, lost
    (0.0, (0.05, 0.12, 0.5, 1.0)),
    (1.5, (0.1, 0.45, 0.4, 1.0)),
    (4.0, (0.85, 0.6, 0.1, 1.0)),
    (12.0, (0.6, 0.04, 0.03, 1.0)),
)
NEVER_SEEN = (0.12, 0.12, 0.12, 1.0)


def coverage_material(name: str) -> bpy.types.Material:
    """A surface in colours of its smallest circle of confusion, the same under every light; grey where none saw it."""
    material, tree, output = _new_material(f"{name} coverage")
    circle = _node(tree, "ShaderNodeAttribute", (-900, 0), attribute_name="smallest_coc_px").outputs["Fac"]
    share = _node(tree, "ShaderNodeMath", (-700, 0), operation="DIVIDE")
    share.inputs[1].default_value = COVERAGE_COLOURS[-1][0]
    tree.links.new(circle, share.inputs[0])
    ramp = _node(tree, "ShaderNodeValToRGB", (-500, 0))
    elements = ramp.color_ramp.elements
    while len(elements) < len(COVERAGE_COLOURS):
        elements.new(0.5)
    for element, (diameter, colour) in zip(elements, COVERAGE_COLOURS, strict=True):
        element.position, element.color = diameter / COVERAGE_COLOURS[-1][0], colour
    tree.links.new(share.outputs[0], ramp.inputs["Fac"])
    seen = _node(tree, "ShaderNodeMath", (-500, 240), operation="GREATER_THAN")
    seen.inputs[1].default_value = -0.5
    tree.links.new(circle, seen.inputs[0])
    mix = _node(tree, "ShaderNodeMix", (-200, 0), data_type="RGBA")
    colours = [socket for socket in mix.inputs if socket.type == "RGBA"]
    colours[0].default_value = NEVER_SEEN
    tree.links.new(seen.outputs[0], mix.inputs[0])
    tree.links.new(ramp.outputs["Color"], colours[1])
    emission = _node(tree, "ShaderNodeEmission", (20, 0))
    tree.links.new(next(s for s in mix.outputs if s.type == "RGBA"), emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material


def splat_material(name: str) -> bpy.types.Material:
    """Emission with a Gaussian falloff, on any proxy that encloses the splat."""
    material, tree, output = _new_material(f"{name} splats")
    link = tree.links.new
    position = _node(tree, "ShaderNodeTexCoord", (-1500, 0)).outputs["Object"]
    geometry = _node(tree, "ShaderNodeNewGeometry", (-1900, -200))
    turned = _node(
        tree,
        "ShaderNodeVectorTransform",
        (-1700, -200),
        vector_type="VECTOR",
        convert_from="WORLD",
        convert_to="OBJECT",
    )
    link(geometry.outputs["Incoming"], turned.inputs[0])
    direction = _node(tree, "ShaderNodeVectorMath", (-1500, -200), operation="NORMALIZE")
    link(turned.outputs[0], direction.inputs[0])

    def dot(a: bpy.types.NodeSocket, b: bpy.types.NodeSocket, place: tuple[int, int]) -> bpy.types.NodeSocket:
        node = _node(tree, "ShaderNodeVectorMath", place, operation="DOT_PRODUCT")
        link(a, node.inputs[0])
        link(b, node.inputs[1])
        return node.outputs["Value"]

    def math(operation: str, place: tuple[int, int], *values: bpy.types.NodeSocket | float) -> bpy.types.NodeSocket:
        node = _node(tree, "ShaderNodeMath", place, operation=operation)
        for socket, value in zip(node.inputs, values, strict=False):
            if isinstance(value, float):
                socket.default_value = value
            else:
                link(value, socket)
        return node.outputs["Value"]

    along = dot(position, direction.outputs["Vector"], (-1260, -200))
    squared = math(
        "SUBTRACT", (-860, 0), dot(position, position, (-1260, 0)), math("MULTIPLY", (-1060, -200), along, along)
    )
    extent = _node(tree, "ShaderNodeAttribute", (-1060, 240), attribute_type="INSTANCER", attribute_name="extent")
    variances = math("MULTIPLY", (-860, 240), extent.outputs["Fac"], extent.outputs["Fac"])
    exponent = math("MULTIPLY", (-680, 0), math("MULTIPLY", (-770, 0), squared, variances), -0.5)
    falloff = math("EXPONENT", (-500, 0), exponent)
    opacity = _node(tree, "ShaderNodeAttribute", (-680, 240), attribute_type="INSTANCER", attribute_name="opacity")
    front = math("SUBTRACT", (-500, -200), 1.0, geometry.outputs["Backfacing"])
    alpha = math("MULTIPLY", (-140, 0), math("MULTIPLY", (-320, 0), opacity.outputs["Fac"], falloff), front)
    colour = _node(tree, "ShaderNodeAttribute", (-320, -360), attribute_type="INSTANCER", attribute_name="rgb")
    emission = _node(tree, "ShaderNodeEmission", (-140, -260))
    link(colour.outputs["Color"], emission.inputs["Color"])
    transparent = _node(tree, "ShaderNodeBsdfTransparent", (-140, -160))
    mix = _node(tree, "ShaderNodeMixShader", (60, 0))
    link(alpha, mix.inputs["Fac"])
    link(transparent.outputs["BSDF"], mix.inputs[1])
    link(emission.outputs["Emission"], mix.inputs[2])
    link(mix.outputs["Shader"], output.inputs["Surface"])
    material.surface_render_method = "DITHERED"  # EEVEE: right in any order; BLENDED would need sorted instances
    return material


def splat_instancer(name: str, material: bpy.types.Material, viewport_share: float) -> bpy.types.NodeTree:
    """Geometry Nodes that put a ball on every point, as its attributes scale, extent and rotation say.

    Args:
        name: of the result.
        material: for the instances.
        viewport_share: share of the splats that viewports draw, 0 to 1; renders use all. An input of the modifier.
    """
    tree = bpy.data.node_groups.new(f"{name} splats", "GeometryNodeTree")
    link = tree.links.new
    interface = tree.interface
    interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    share = interface.new_socket(
        "Viewport Share",
        description="Share of the splats that viewports draw; renders use all of them",
        in_out="INPUT",
        socket_type="NodeSocketFloat",
    )
    share.subtype = "FACTOR"
    share.min_value, share.max_value, share.default_value = 0.0, 1.0, viewport_share
    interface.new_socket(
        CROP, description="Draw no splats outside the box", in_out="INPUT", socket_type="NodeSocketBool"
    )
    interface.new_socket(
        CROP_BOX,
        description="An object whose cube from -1 to 1 is the box, as an empty that is shown as a cube",
        in_out="INPUT",
        socket_type="NodeSocketObject",
    )
    inputs = _node(tree, "NodeGroupInput", (-900, 0))
    outputs = _node(tree, "NodeGroupOutput", (300, 0))

    switch = _node(tree, "GeometryNodeSwitch", (-500, 260), input_type="FLOAT")
    link(_node(tree, "GeometryNodeIsViewport", (-700, 260)).outputs[0], switch.inputs["Switch"])
    switch.inputs["False"].default_value = 1.0
    link(inputs.outputs["Viewport Share"], switch.inputs["True"])
    random = _node(tree, "FunctionNodeRandomValue", (-500, 100), data_type="FLOAT")
    chosen = _node(tree, "FunctionNodeCompare", (-300, 180), data_type="FLOAT", operation="LESS_EQUAL")
    link(next(s for s in random.outputs if s.enabled), chosen.inputs["A"])
    link(switch.outputs[0], chosen.inputs["B"])

    sizes = {"Radius": 1 / PROXY_INRADIUS, "Subdivisions": PROXY_SUBDIVISIONS}
    proxy = _node(tree, "GeometryNodeMeshIcoSphere", (-300, -60), sizes)
    instances = _node(tree, "GeometryNodeInstanceOnPoints", (-80, 0))
    rotation = _node(
        tree, "GeometryNodeInputNamedAttribute", (-300, -220), {"Name": "rotation"}, data_type="QUATERNION"
    )
    scale = _node(tree, "GeometryNodeInputNamedAttribute", (-300, -380), {"Name": "scale"}, data_type="FLOAT_VECTOR")
    link(inputs.outputs["Geometry"], instances.inputs["Points"])
    kept = _node(tree, "FunctionNodeBooleanMath", (-120, 220), operation="AND")
    link(chosen.outputs["Result"], kept.inputs[0])
    link(_not_cropped(tree, inputs), kept.inputs[1])
    link(kept.outputs[0], instances.inputs["Selection"])
    link(proxy.outputs["Mesh"], instances.inputs["Instance"])
    link(next(s for s in rotation.outputs if s.enabled), instances.inputs["Rotation"])
    extent = _node(tree, "GeometryNodeInputNamedAttribute", (-300, -540), {"Name": "extent"}, data_type="FLOAT")
    size = _node(tree, "ShaderNodeVectorMath", (-140, -440), operation="SCALE")
    link(next(s for s in scale.outputs if s.enabled), size.inputs[0])
    link(next(s for s in extent.outputs if s.enabled), size.inputs["Scale"])
    link(size.outputs["Vector"], instances.inputs["Scale"])
    dressed = _node(tree, "GeometryNodeSetMaterial", (120, 0), {"Material": material})
    link(instances.outputs["Instances"], dressed.inputs["Geometry"])
    link(dressed.outputs["Geometry"], outputs.inputs["Geometry"])
    return tree


def _not_cropped(tree: bpy.types.NodeTree, inputs: bpy.types.Node) -> bpy.types.NodeSocket:
    """Whether a point lies in the crop box, or nothing is cropped."""
    link = tree.links.new
    box = _node(tree, "GeometryNodeObjectInfo", (-1300, 620), transform_space="RELATIVE")
    link(inputs.outputs[CROP_BOX], box.inputs["Object"])
    inverse = _node(tree, "FunctionNodeInvertMatrix", (-1120, 620))
    link(box.outputs["Transform"], inverse.inputs["Matrix"])
    local = _node(tree, "FunctionNodeTransformPoint", (-940, 620))
    link(_node(tree, "GeometryNodeInputPosition", (-1120, 760)).outputs[0], local.inputs["Vector"])
    link(inverse.outputs["Matrix"], local.inputs["Transform"])
    size = _node(tree, "ShaderNodeVectorMath", (-760, 620), operation="ABSOLUTE")
    link(local.outputs[0], size.inputs[0])
    axes = _node(tree, "ShaderNodeSeparateXYZ", (-580, 620))
    link(size.outputs[0], axes.inputs[0])
    largest = axes.outputs[0]
    for axis in (1, 2):
        larger = _node(tree, "ShaderNodeMath", (-420 + 160 * (axis - 1), 620), operation="MAXIMUM")
        link(largest, larger.inputs[0])
        link(axes.outputs[axis], larger.inputs[1])
        largest = larger.outputs[0]
    within = _node(tree, "FunctionNodeCompare", (-80, 620), {"B": 1.0}, data_type="FLOAT", operation="LESS_EQUAL")
    link(largest, within.inputs["A"])
    free = _node(tree, "FunctionNodeBooleanMath", (-260, 440), operation="NOT")
    link(inputs.outputs[CROP], free.inputs[0])
    either = _node(tree, "FunctionNodeBooleanMath", (-80, 440), operation="OR")
    link(free.outputs[0], either.inputs[0])
    link(within.outputs["Result"], either.inputs[1])
    return either.outputs[0]


def _new_material(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    return material, tree, _node(tree, "ShaderNodeOutputMaterial", (260, 0))


def _node(
    tree: bpy.types.NodeTree,
    kind: str,
    place: tuple[int, int],
    values: Mapping[str, object] | None = None,
    **settings: object,
) -> bpy.types.Node:
    """A new node at `place`, with its properties and the values of its inputs set."""
    node = tree.nodes.new(kind)
    node.location = place
    for key, setting in settings.items():
        setattr(node, key, setting)
    for key, value in (values or {}).items():
        node.inputs[key].default_value = value
    return node
