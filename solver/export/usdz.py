# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as USDZ, which phones show in the room: a zip of a scene in USD's text form and its texture.

USDZ (openusd.org/release/spec_usdz.html): nothing is compressed, and each file starts at a multiple of 64 bytes.
"""

import struct
import zipfile
from pathlib import Path

import numpy as np

from solver.export.surface_file import TEXTURE, Surface
from solver.files import written_aside

_SCENE = "mesh.usda"  # the first file of the zip is the one that is shown
_ALIGNMENT = 64
_LOCAL_HEADER_SIZE = 30  # bytes of a zip's header before a file's name
_PADDING_ID = 0x1986  # of the extra field that fills up to the alignment
_OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # so that equal meshes give equal files


def write_usdz(path: Path, surface: Surface, texture: Path | None) -> None:
    """Write a mesh that is Y up, in metres; `texture` is the PNG that its texture coordinates belong to."""
    textured = texture is not None and surface.texture_coordinates is not None
    with written_aside(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, _SCENE, _scene(surface, textured).encode("ascii"))
        if textured and texture is not None:
            _add(archive, TEXTURE, texture.read_bytes())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Append a file so that its content, not its header, is aligned."""
    entry = zipfile.ZipInfo(name, _OLDEST_DATE)
    start = archive.start_dir + _LOCAL_HEADER_SIZE + len(name) + 4  # where the padding starts
    padding = -start % _ALIGNMENT
    entry.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    archive.writestr(entry, content)


def _scene(surface: Surface, textured: bool) -> str:
    """One mesh with one material; texture coordinates or colours by vertex."""
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    if textured and surface.texture_coordinates is not None:
        attribute = f"texCoord2f[] primvars:st = {_tuples(surface.texture_coordinates)}"
        colour, reader, result = "</Root/Material/Texture.outputs:rgb>", "float2", "st"
    else:
        attribute = f"color3f[] primvars:displayColor = {_tuples(surface.linear_colours)}"
        colour, reader, result = "</Root/Material/Reader.outputs:result>", "float3", "displayColor"
    texture = _TEXTURE_NODE if textured else ""
    return f"""#usda 1.0
(
    defaultPrim = "Root"
    doc = "Macro Reconstruction"
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "Root" (
    assetInfo = {{
        string name = "mesh"
    }}
    kind = "component"
)
{{
    def Mesh "Mesh" (
        prepend apiSchemas = ["MaterialBindingAPI"]
    )
    {{
        uniform bool doubleSided = 1
        float3[] extent = {_tuples(np.stack([low, high]))}
        int[] faceVertexCounts = [{", ".join(["3"] * len(surface.faces))}]
        int[] faceVertexIndices = [{", ".join(map(str, surface.faces.reshape(-1).tolist()))}]
        rel material:binding = </Root/Material>
        normal3f[] normals = {_tuples(surface.normals(), 4)} (
            interpolation = "vertex"
        )
        point3f[] points = {_tuples(surface.vertices)}
        {attribute} (
            interpolation = "vertex"
        )
        uniform token subdivisionScheme = "none"
    }}

    def Material "Material"
    {{
        token outputs:surface.connect = </Root/Material/Surface.outputs:surface>

        def Shader "Surface"
        {{
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor.connect = {colour}
            float inputs:metallic = 0
            float inputs:roughness = 1
            token outputs:surface
        }}

        def Shader "Reader"
        {{
            uniform token info:id = "UsdPrimvarReader_{reader}"
            string inputs:varname = "{result}"
            {reader} outputs:result
        }}
{texture}    }}
}}
"""


_TEXTURE_NODE = f"""
        def Shader "Texture"
        {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @{TEXTURE}@
            token inputs:sourceColorSpace = "sRGB"
            float2 inputs:st.connect = </Root/Material/Reader.outputs:result>
            token inputs:wrapS = "clamp"
            token inputs:wrapT = "clamp"
            float3 outputs:rgb
        }}
"""


def _tuples(values: np.ndarray, digits: int = 7) -> str:  # [N, 2 or 3]
    return "[" + ", ".join("(" + ", ".join(f"{v:.{digits}g}" for v in row) + ")" for row in values.tolist()) + "]"
