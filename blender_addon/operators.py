# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators for results and preferences: they take what the user set, call a function, and report its error."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import import_result, job, presentation
from .errors import MacroError
from .import_options import ImportOptions
from .preferences import solver_python
from .properties import absolute
from .solver_process import doctor

EACH_TIME_ANEW = {"SKIP_SAVE"}  # a file that is dropped is not imported by what was once chosen for another
ENOUGH_TRANSPARENT_BOUNCES = 1024  # surfaces that a ray may pass; each splat is two, front and back


class MACRO_OT_import_result(bpy.types.Operator):
    """Import a reconstruction: mesh, splats, and a camera for each photo"""

    bl_idname = "macro.import_result"
    bl_label = "Import Macro Reconstruction"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 - Blender's own convention

    filepath: bpy.props.StringProperty(
        name="Result",
        description="The result.json of a reconstruction, or its folder",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    filter_glob: bpy.props.StringProperty(
        name="Filter", description="Which files are listed", default="result.json", options={"HIDDEN"}
    )
    mesh: bpy.props.BoolProperty(name="Mesh", description="Import the surface", default=True, options=EACH_TIME_ANEW)
    splats: bpy.props.BoolProperty(
        name="Splats", description="Import the Gaussians", default=True, options=EACH_TIME_ANEW
    )
    cameras: bpy.props.BoolProperty(
        name="Cameras", description="Import a camera for each photo", default=True, options=EACH_TIME_ANEW
    )
    splat_budget: bpy.props.IntProperty(
        name="Most Splats",
        description="Import so many splats at most, those that cover most; 0 imports all",
        default=0,
        min=0,
        soft_max=1_000_000,
        options=EACH_TIME_ANEW,
    )
    crop: bpy.props.BoolProperty(
        name="Subject Only",
        description="Leave out the splats outside the mesh's box",
        default=False,
        options=EACH_TIME_ANEW,
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file, unless a script or a button gave it."""
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read, check, and create."""
        import_result.leave_a_step_to_undo_to(context)
        try:
            options = ImportOptions(self.mesh, self.splats, self.cameras, self.splat_budget, self.crop)
            collection = import_result.import_result(context, absolute(self.filepath), options=options)
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        self.report({"INFO"}, f"Imported {collection.name}")
        return {"FINISHED"}


class MACRO_OT_look_through(bpy.types.Operator):
    """Look through this photo's camera: make it the scene's camera and give the render the photo's size"""

    bl_idname = "macro.look_through"
    bl_label = "Look Through This Photo"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The active object is the camera of a photo."""
        if context.object is not None and import_result.PHOTO_KEY in context.object:
            return True
        cls.poll_message_set("Select the camera of a photo first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set the scene's camera, resolution and pixel aspect, and the view."""
        camera, render = context.object, context.scene.render
        context.scene.camera = camera
        render.resolution_x, render.resolution_y = camera[import_result.RESOLUTION_KEY]
        render.resolution_percentage = 100
        render.pixel_aspect_x, render.pixel_aspect_y = camera[import_result.PIXEL_ASPECT_KEY]
        if context.space_data is not None and context.space_data.type == "VIEW_3D":
            context.space_data.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


class MACRO_OT_frame_result(bpy.types.Operator):
    """Bring the reconstruction into view, and let the view come closer than Blender's clipping does"""

    bl_idname = "macro.frame_result"
    bl_label = "Frame"

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Runs in a 3D view."""
        if context.space_data is not None and context.space_data.type == "VIEW_3D":
            return True
        cls.poll_message_set("This frames a 3D view")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Move the view."""
        collection = bpy.data.collections.get(self.collection)
        bounds = import_result.bounds(collection) if collection is not None else None
        if bounds is None:
            self.report({"ERROR"}, "There is nothing to frame.")
            return {"CANCELLED"}
        centre, radius = bounds
        space = context.space_data
        space.region_3d.view_perspective = "PERSP"
        space.region_3d.view_location = centre
        space.region_3d.view_distance = 2.2 * radius
        space.clip_start, space.clip_end = 0.01 * radius, max(space.clip_end, 1000 * radius)
        return {"FINISHED"}


class MACRO_OT_open_report(bpy.types.Operator):
    """Open the reconstruction's report in the browser: photos beside sharp images, scale, coverage, and warnings"""

    bl_idname = "macro.open_report"
    bl_label = "Open Report"

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        return _open(self, self.collection, "report.html")


class MACRO_OT_open_folder(bpy.types.Operator):
    """Open the folder that holds the reconstruction's files"""

    bl_idname = "macro.open_folder"
    bl_label = "Open Folder"

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        return _open(self, self.collection, "")


class MACRO_OT_show(bpy.types.Operator):
    """Show the mesh or the splats of a reconstruction, in viewports and renders"""

    bl_idname = "macro.show"
    bl_label = "Show"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")
    part: bpy.props.EnumProperty(
        name="Part",
        description="What to show; the other is excluded from the view layers",
        items=(
            ("mesh", "Mesh", "A surface with vertex colours"),
            ("splats", "Splats", "Soft ellipsoids that keep hairs and thin legs"),
        ),
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Tick one box, untick the other."""
        collection = bpy.data.collections.get(self.collection)
        if collection is None:
            self.report({"ERROR"}, f"There is no collection named {self.collection}.")
            return {"CANCELLED"}
        for part in ("mesh", "splats"):
            import_result.show(context.scene, collection, part, part == self.part)
        return {"FINISHED"}


class MACRO_OT_crop_splats(bpy.types.Operator):
    """Put a box round the subject, outside of which no splats are drawn; move and scale it as you like"""

    bl_idname = "macro.crop_splats"
    bl_label = "Crop Splats"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Make the box, or bring it back to the subject."""
        collection = bpy.data.collections.get(self.collection)
        try:
            if collection is None:
                raise MacroError(f"there is no collection named {self.collection}")
            presentation.crop(collection)
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        return {"FINISHED"}


class MACRO_OT_show_coverage(bpy.types.Operator):
    """Color the mesh by how sharply the photos saw it: blue in focus, red blurred, grey never seen; or back"""

    bl_idname = "macro.show_coverage"
    bl_label = "Coverage"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The other of the two."""
        collection = bpy.data.collections.get(self.collection)
        try:
            if collection is None:
                raise MacroError(f"there is no collection named {self.collection}")
            presentation.show_coverage(collection, not presentation.coverage_is_shown(collection))
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        space = context.space_data
        if space is not None and space.type == "VIEW_3D" and space.shading.type in ("SOLID", "WIREFRAME"):
            self.report({"INFO"}, "Coverage is seen in Material Preview and Rendered")
        return {"FINISHED"}


class MACRO_OT_step_photos(bpy.types.Operator):
    """Bind the photos' cameras to markers on the timeline, so that stepping frames steps photos; or take them away"""

    bl_idname = "macro.step_photos"
    bl_label = "Step Through Photos"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    collection: bpy.props.StringProperty(name="Collection", description="The imported result's collection")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The other of the two."""
        collection = bpy.data.collections.get(self.collection)
        if collection is None:
            self.report({"ERROR"}, f"There is no collection named {self.collection}.")
            return {"CANCELLED"}
        if not presentation.remove_markers(context.scene, collection):
            presentation.add_markers(context.scene, collection)
        return {"FINISHED"}


class MACRO_OT_allow_transparency(bpy.types.Operator):
    """Let Cycles look through many splats one behind the other; the default of 8 surfaces leaves dark patches"""

    bl_idname = "macro.allow_transparency"
    bl_label = "Set Cycles Up for Splats"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Cycles is there."""
        if hasattr(context.scene, "cycles"):
            return True
        cls.poll_message_set("Cycles is not enabled")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Raise the limit."""
        cycles = context.scene.cycles
        cycles.transparent_max_bounces = max(cycles.transparent_max_bounces, ENOUGH_TRANSPARENT_BOUNCES)
        return {"FINISHED"}


class MACRO_OT_test_solver(bpy.types.Operator):
    """Ask the solver's Python whether it can run the solver"""

    bl_idname = "macro.test_solver"
    bl_label = "Test the Solver"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """In a window the answer comes later, in the preferences; in background mode wait for it."""
        if not bpy.app.background:
            job.begin_check(solver_python())
            return {"FINISHED"}
        fine, message = doctor(solver_python(), job.storage())
        self.report({"INFO" if fine else "ERROR"}, message)
        return {"FINISHED"} if fine else {"CANCELLED"}


class MACRO_OT_open_preferences(bpy.types.Operator):
    """Open this extension's preferences"""

    bl_idname = "macro.open_preferences"
    bl_label = "Open Preferences"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Blender's own window, at this extension."""
        bpy.ops.preferences.addon_show(module=__package__.rpartition(".")[0])
        return {"FINISHED"}


def _open(operator: bpy.types.Operator, name: str, file: str) -> set[str]:
    """Open a file of an imported result, or its folder."""
    collection = bpy.data.collections.get(name)
    folder = collection.get(import_result.RESULT_KEY) if collection is not None else None
    if folder is None:
        operator.report({"ERROR"}, f"There is no imported result named {name}.")
        return {"CANCELLED"}
    path = Path(folder, file)
    if not path.exists():
        operator.report({"ERROR"}, f"{path}: this is no longer there, or the result is of an older version.")
        return {"CANCELLED"}
    bpy.ops.wm.path_open(filepath=str(path))
    return {"FINISHED"}


class MACRO_FH_result(bpy.types.FileHandler):
    """A result.json that is dropped on a 3D view is imported."""

    bl_idname = "MACRO_FH_result"
    bl_label = "Macro Reconstruction"
    bl_import_operator = "macro.import_result"
    bl_file_extensions = ".json"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Over a 3D view."""
        return context.area is not None and context.area.type == "VIEW_3D"


def draw_import_entry(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry of File > Import."""
    menu.layout.operator("macro.import_result", text="Macro Reconstruction (result.json)")


CLASSES = (
    MACRO_FH_result,
    MACRO_OT_import_result,
    MACRO_OT_look_through,
    MACRO_OT_frame_result,
    MACRO_OT_open_report,
    MACRO_OT_open_folder,
    MACRO_OT_show,
    MACRO_OT_crop_splats,
    MACRO_OT_show_coverage,
    MACRO_OT_step_photos,
    MACRO_OT_allow_transparency,
    MACRO_OT_test_solver,
    MACRO_OT_open_preferences,
)
