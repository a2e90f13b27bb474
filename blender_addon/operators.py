# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators: they take what the user set, call a function, and report its error."""

from __future__ import annotations

from typing import Any

import bpy

from . import import_result, job
from .errors import MacroError
from .preferences import solver_python
from .properties import absolute
from .solver_process import Request, doctor

ENOUGH_TRANSPARENT_BOUNCES = 1024  # surfaces that a ray may pass; each splat is two, front and back


class MACRO_OT_reconstruct(bpy.types.Operator):
    """Reconstruct the captured scene from its photos, and import the result"""

    bl_idname = "macro.reconstruct"
    bl_label = "Reconstruct Macro Scene"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Both folders are set, and nothing is running."""
        settings = context.scene.macro_reconstruction
        if job.current is not None and job.current.running:
            cls.poll_message_set("A reconstruction is running")
        elif not settings.capture:
            cls.poll_message_set("Choose the capture folder first")
        elif not settings.output:
            cls.poll_message_set("Choose the output folder first")
        else:
            return True
        return False

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """From the interface: start, and return at once. The panel follows the run."""
        if bpy.app.background:
            return self.execute(context)
        try:
            job.begin(_request(context.scene), solver_python(), context.scene)
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """From a script or in background mode: wait for the end, and import."""

        def tell(event: dict[str, Any]) -> None:
            if event["event"] == "stage":
                print(f"Macro Reconstruction: {event.get('title')}", flush=True)

        try:
            job.reconstruct(_request(context.scene), solver_python(), context=context, on_event=tell)
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        if not bpy.app.background:
            bpy.ops.ed.undo_push(message="Import Macro Reconstruction")
        return {"FINISHED"}


class MACRO_OT_cancel(bpy.types.Operator):
    """Stop the reconstruction; its state is saved, so that Resume can go on from it"""

    bl_idname = "macro.cancel"
    bl_label = "Cancel Reconstruction"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Something is running that was not cancelled yet."""
        if job.current is not None and job.current.phase == "running":
            return True
        cls.poll_message_set("Nothing is running")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the solver to end."""
        job.cancel()
        job.redraw()
        return {"FINISHED"}


class MACRO_OT_dismiss(bpy.types.Operator):
    """Remove the message from the panel"""

    bl_idname = "macro.dismiss"
    bl_label = "Dismiss"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Forget the last run."""
        job.dismiss()
        return {"FINISHED"}


class MACRO_OT_open_log(bpy.types.Operator):
    """Open the solver's log in the system's text viewer"""

    bl_idname = "macro.open_log"
    bl_label = "Open Log"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is a log."""
        if job.current is not None and job.current.log_path is not None:
            return True
        cls.poll_message_set("The solver has not run, so there is no log")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        assert job.current is not None
        if job.current.log_path is None or not job.current.log_path.is_file():
            self.report({"ERROR"}, f"{job.current.log_path}: the log is no longer there.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(job.current.log_path))
        return {"FINISHED"}


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

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file, unless a script or a button gave it."""
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read, check, and create."""
        try:
            collection = import_result.import_result(context, absolute(self.filepath))
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
        return context.space_data is not None and context.space_data.type == "VIEW_3D"

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


def _request(scene: bpy.types.Scene) -> Request:
    """The scene's settings for the solver; an error is shown in the panel as well as raised."""
    settings = scene.macro_reconstruction
    try:
        return settings.request()
    except MacroError as error:
        job.fail(error.sentence)
        raise


def draw_import_entry(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry of File > Import."""
    menu.layout.operator("macro.import_result", text="Macro Reconstruction (result.json)")


CLASSES = (
    MACRO_OT_reconstruct,
    MACRO_OT_cancel,
    MACRO_OT_dismiss,
    MACRO_OT_open_log,
    MACRO_OT_import_result,
    MACRO_OT_look_through,
    MACRO_OT_frame_result,
    MACRO_OT_show,
    MACRO_OT_allow_transparency,
    MACRO_OT_test_solver,
    MACRO_OT_open_preferences,
)
