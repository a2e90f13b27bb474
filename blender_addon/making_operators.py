# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators that let the solver make something of a result: files for other programs, other pictures and films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import import_result, job
from .errors import MacroError
from .making import MakingRequest, exporting, refocusing
from .preferences import solver_python
from .properties import absolute, folder_options

FORMATS = (
    ("glb", "Mesh: glTF (.glb)", "Y up, metres"),
    ("usdz", "Mesh: USDZ", "For phones and USD"),
    ("obj", "Mesh: Wavefront (.obj)", "With its material and texture"),
    ("mesh-ply", "Mesh: PLY", "With its coverage at the vertices"),
    ("spz", "Splats: SPZ", "Small, for viewers"),
    ("splats-ply", "Splats: PLY", "The layout that all viewers read"),
    ("splats-glb", "Splats: glTF (.glb)", "With the ratified extension for Gaussian splats"),
    ("png", "Sharp Images: PNG", "8 bits"),
    ("tiff", "Sharp Images: TIFF", "16 bits"),
    ("exr", "Depth and Blur: EXR", "Depth and circles of confusion of each photo"),
    ("transforms", "Cameras: nerfstudio", "With the sharp images"),
    ("colmap", "Cameras: COLMAP", "With the sharp images"),
    ("colmap-text", "Cameras: COLMAP as Text", "With the sharp images"),
    ("all", "Everything", "Every format but the text"),
)
WAYS = (
    ("picture", "Photo with Another Lens", "The photo again, with the focus and f-number below"),
    ("sharp", "Photo, All in Focus", "The photo again, through a pinhole"),
    ("sweep", "Film of a Moving Focus", "From the nearest to the farthest of the subject, and back"),
    ("orbit", "Film of a Moving Camera", "Round the subject"),
)


def _collection_of_a_result() -> Any:
    return bpy.props.StringProperty(
        name="Collection", description="The imported result's collection", options={"SKIP_SAVE"}
    )


class _Making:
    """What both operators share."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """One at a time."""
        if job.made is not None and job.made.phase == "running":
            cls.poll_message_set("Something is being made of a result")  # type: ignore[attr-defined]
            return False
        return True


class MACRO_OT_export(_Making, bpy.types.Operator):
    """Write mesh, splats, images or cameras of this result for other programs"""

    bl_idname = "macro.export"
    bl_label = "Export"

    collection: _collection_of_a_result()
    file_format: bpy.props.EnumProperty(name="Format", description="What is written", items=FORMATS)
    folder: bpy.props.StringProperty(
        name="Folder",
        description="Folder for the files; it is created when needed",
        subtype="DIR_PATH",
        options={*folder_options(), "SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask what and where to."""
        result = _folder_of(self.collection)
        if result is not None:
            self.folder = self.folder or str(result / "export")
        return context.window_manager.invoke_props_dialog(self, width=400)

    def draw(self, _context: bpy.types.Context) -> None:
        """Format and folder."""
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(self, "file_format")
        column.prop(self, "folder")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Start, and in background mode wait for the end."""

        def request(result: Path) -> MakingRequest:
            folder = absolute(self.folder) if self.folder else result / "export"
            return exporting(result, folder, self.file_format)

        return _start(self, self.collection, request)


class MACRO_OT_refocus(_Making, bpy.types.Operator):
    """Take a photo of this result again: with another focus and aperture, all in focus, or as a film"""

    bl_idname = "macro.refocus"
    bl_label = "Refocus"

    collection: _collection_of_a_result()
    way: bpy.props.EnumProperty(name="Make", description="What is made", items=WAYS)
    photo: bpy.props.StringProperty(
        name="Photo", description="The photo that is taken again; empty for the first", options={"SKIP_SAVE"}
    )
    focus_mm: bpy.props.FloatProperty(
        name="Focus at",
        description="Depth of the focus plane (scene units where the scale is unknown); 0 leaves it to the photo",
        subtype="DISTANCE_CAMERA",
        default=0.0,
        min=0.0,
        soft_max=1000.0,
    )
    f_number: bpy.props.FloatProperty(
        name="F-Number",
        description="Smaller is more blur; 0 leaves it to the photo",
        precision=1,
        default=0.0,
        min=0.0,
        soft_max=45.0,
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask; the photo is that of the active camera, if it is one of this result."""
        names = _photos_of(self.collection)
        active = context.object.get(import_result.PHOTO_KEY) if context.object is not None else None
        if not self.photo and names:
            self.photo = active if active in names else names[0]
        return context.window_manager.invoke_props_dialog(self, width=400)

    def draw(self, _context: bpy.types.Context) -> None:
        """What the way needs."""
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(self, "way")
        column.prop(self, "photo")
        if self.way == "picture":
            column.prop(self, "focus_mm")
        if self.way != "sharp":
            column.prop(self, "f_number")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Start, and in background mode wait for the end."""

        def request(result: Path) -> MakingRequest:
            names = _photos_of(self.collection)
            if not names:
                raise MacroError("this result has no cameras here", remedy="import it with its cameras")
            photo = self.photo or names[0]
            return refocusing(result, photo, self.way, focus_mm=self.focus_mm, f_number=self.f_number)

        return _start(self, self.collection, request)


class MACRO_OT_cancel_making(bpy.types.Operator):
    """Stop what is being made of a result"""

    bl_idname = "macro.cancel_making"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Something is being made."""
        if job.made is not None and job.made.phase == "running":
            return True
        cls.poll_message_set("Nothing is being made of a result")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the solver to end."""
        assert job.made is not None
        if job.made.run is not None:
            job.made.run.cancel()
        return {"FINISHED"}


class MACRO_OT_open_made(bpy.types.Operator):
    """Open what was made, in the system's program for it"""

    bl_idname = "macro.open_made"
    bl_label = "Open"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is something."""
        if job.made is not None and job.made.phase == "done":
            return True
        cls.poll_message_set("Nothing was made of a result")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        assert job.made is not None
        path = job.made.request.output
        if not path.exists():
            self.report({"ERROR"}, f"{path}: this is no longer there.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


def _folder_of(collection: str) -> Path | None:
    found = bpy.data.collections.get(collection)
    folder = found.get(import_result.RESULT_KEY) if found is not None else None
    return Path(folder) if folder is not None else None


def _photos_of(collection: str) -> list[str]:
    """Names of the photos whose cameras a result has in this file."""
    found = bpy.data.collections.get(collection)
    part = import_result.part_of(found, "cameras") if found is not None else None
    photos = [item.get(import_result.PHOTO_KEY) for item in part.objects] if part is not None else []
    return sorted(photo for photo in photos if photo)


def _start(operator: bpy.types.Operator, collection: str, request: Any) -> set[str]:
    try:
        folder = _folder_of(collection)
        if folder is None:
            raise MacroError(f"there is no imported result named {collection}")
        making = job.make(request(folder), solver_python())
    except MacroError as error:
        operator.report({"ERROR"}, error.sentence)
        return {"CANCELLED"}
    if making.phase == "error":
        operator.report({"ERROR"}, making.message)
        return {"CANCELLED"}
    return {"FINISHED"}


CLASSES = (MACRO_OT_export, MACRO_OT_refocus, MACRO_OT_cancel_making, MACRO_OT_open_made)
