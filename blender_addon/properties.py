# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The scene's settings, which the panel shows."""

from pathlib import Path

import bpy

from .errors import MacroError
from .rendering import CURRENT, RenderRequest
from .solver_process import Request

PRESETS = (
    ("draft", "Draft", "A quick look: small images and few splats; minutes"),
    ("standard", "Standard", "A balance of quality and time"),
    ("high", "High", "The finest detail; takes several times as long, better with a GPU"),
)


def folder_options() -> set[str]:
    """Options of a folder property: newer Blenders want to be told that `//` paths are understood."""
    known = bpy.types.Property.bl_rna.properties.get("is_path_supports_blend_relative")
    return {"PATH_SUPPORTS_BLEND_RELATIVE"} if known is not None else set()


def _suggest_output(settings: "MacroSettings", _context: bpy.types.Context) -> None:
    """Propose a folder beside the capture, unless the user has chosen one."""
    if settings.capture.rstrip("/\\") and settings.output in ("", settings.proposed_output):
        propose_output(settings)


def propose_output(settings: "MacroSettings") -> None:
    """A folder beside the capture."""
    bare = settings.capture.rstrip("/\\")
    settings.output = settings.proposed_output = f"{bare}_reconstruction"


class MacroSettings(bpy.types.PropertyGroup):
    """What to reconstruct, and how."""

    capture: bpy.props.StringProperty(
        name="Capture",
        description="Folder of photos, or a capture folder with transforms.json, or a COLMAP model",
        subtype="DIR_PATH",
        options=folder_options(),
        update=_suggest_output,
    )
    output: bpy.props.StringProperty(
        name="Output",
        description="Folder that the result is written to; it is created when needed",
        subtype="DIR_PATH",
        options=folder_options(),
    )
    proposed_output: bpy.props.StringProperty(
        name="Proposed Output",
        description="The output folder that was proposed for the capture; another capture may replace it",
        options={"HIDDEN"},
    )
    preset: bpy.props.EnumProperty(
        name="Preset",
        description="How much time the reconstruction may take",
        items=PRESETS,
        default="standard",
    )
    masks: bpy.props.StringProperty(
        name="Masks",
        description="Folder of masks named after the photos, white on the subject; optional",
        subtype="DIR_PATH",
        options=folder_options(),
    )
    make_masks: bpy.props.EnumProperty(
        name="Make Masks",
        description="Masks from the photos themselves, where no folder of masks is given",
        items=(
            ("auto", "Plain Background", "Where the background is of one color, or stands still behind a turntable"),
            ("yes", "Always", "Guess the subject on any background"),
            ("no", "Never", "Reconstruct everything that is in the photos"),
        ),
        default="auto",
    )
    focal_length_mm: bpy.props.FloatProperty(
        name="Focal Length",
        description="Engraved on the lens; 0 leaves it to what the photos say",
        subtype="DISTANCE_CAMERA",  # which Blender shows in mm
        default=0.0,
        min=0.0,
        soft_max=400.0,
    )
    f_number: bpy.props.FloatProperty(
        name="F-Number",
        description="That the lens was set to; 0 leaves it to what the photos say",
        precision=1,
        default=0.0,
        min=0.0,
        soft_max=45.0,
    )
    sensor_width_mm: bpy.props.FloatProperty(
        name="Sensor Width",
        description="Longer side of the camera's sensor; 0 leaves it to what the photos say",
        subtype="DISTANCE_CAMERA",
        default=0.0,
        min=0.0,
        soft_max=70.0,
    )
    marker_mm: bpy.props.FloatProperty(
        name="Marker Side",
        description="Side of the black square of ArUco markers in the photos, which tell the scale; 0 for none",
        subtype="DISTANCE_CAMERA",
        default=0.0,
        min=0.0,
        soft_max=100.0,
    )
    close_holes: bpy.props.BoolProperty(
        name="Close Holes",
        description="Close what no photo saw, such as the underside, so that the mesh can be printed",
        default=False,
    )
    max_size: bpy.props.IntProperty(
        name="Longest Side",
        description="Photos are resampled to this size before the reconstruction; 0 leaves it to the preset",
        subtype="PIXEL",
        default=0,
        min=0,
        soft_max=4000,
    )
    iterations: bpy.props.IntProperty(
        name="Iterations",
        description="Optimization steps, one photo each; 0 leaves it to the preset",
        default=0,
        min=0,
        soft_max=30000,
    )
    device: bpy.props.EnumProperty(
        name="Device",
        description="What the solver computes with",
        items=(
            ("auto", "Automatic", "A CUDA GPU where there is one, else the processor"),
            ("cpu", "Processor", "The processor's cores"),
            ("cuda", "CUDA GPU", "An NVIDIA GPU"),
        ),
        default="auto",
    )
    resume: bpy.props.BoolProperty(
        name="Resume",
        description="Go on from the checkpoint of a cancelled run in the output folder",
        default=False,
    )

    def request(self, *, needs_output: bool = True) -> Request:
        """The settings as the solver takes them; looking at photos needs no output folder.

        Raises:
            MacroError: a path is not a full one.
        """
        return Request(
            capture=absolute(self.capture),
            output=absolute(self.output) if needs_output else Path(),
            masks=absolute(self.masks) if self.masks else None,
            make_masks=self.make_masks,
            focal_length_mm=self.focal_length_mm or None,
            f_number=self.f_number or None,
            sensor_width_mm=self.sensor_width_mm or None,
            marker_mm=self.marker_mm or None,
            close_holes=self.close_holes,
            preset=self.preset,
            max_size=self.max_size or None,
            iterations=self.iterations or None,
            device=self.device,
            resume=self.resume,
        )


SCENES = ("beetle", "circuit_board", "coin", "flower", "mineral", "moss", "shell", "watch")


class MacroSyntheticSettings(bpy.types.PropertyGroup):
    """What to render a capture of, and how."""

    scene: bpy.props.EnumProperty(
        name="Scene",
        description="What is photographed",
        items=(
            *((name, name.replace("_", " ").capitalize(), "A scene that comes with the extension") for name in SCENES),
            (CURRENT, "This Scene", "A copy of the scene that is open; the active object is the subject"),
        ),
        default="beetle",
    )
    output: bpy.props.StringProperty(
        name="Output",
        description="Folder of the capture; it is created when needed",
        subtype="DIR_PATH",
        options=folder_options(),
    )
    preset: bpy.props.EnumProperty(
        name="Size",
        description="How much is rendered, on the processor",
        items=(
            ("tiny", "Tiny", "4 photos of 64 x 48 pixels; seconds"),
            ("mini", "Mini", "24 photos of 200 x 150 pixels; minutes"),
            ("small", "Small", "24 photos of 400 x 300 pixels; a quarter of an hour"),
            ("full", "Full", "40 photos of 1600 x 1200 pixels; hours"),
        ),
        default="mini",
    )
    focus: bpy.props.EnumProperty(
        name="Focus",
        description="Where the photos are focused",
        items=(
            ("random", "Through the Depth", "At random between the nearest and the farthest surface"),
            ("subject", "Subject", "On the subject in all photos"),
            ("same", "Same Distance", "The same distance in all photos, which hides the rest for good"),
            ("bracket", "Brackets", "Several distances from each place"),
        ),
        default="random",
    )
    f_number: bpy.props.FloatProperty(
        name="F-Number",
        description="Of the lens, smaller is more blur; 0 leaves it to the scene",
        precision=1,
        default=0.0,
        min=0.0,
        soft_max=45.0,
    )

    def request(self, subject: str = "", blend: Path | None = None) -> RenderRequest:
        """The settings as the generator takes them.

        Raises:
            MacroError: the output is not a full path.
        """
        return RenderRequest(
            output=absolute(self.output),
            scene=self.scene,
            subject=subject,
            blend=blend,
            preset=self.preset,
            focus=self.focus,
            f_number=self.f_number or None,
        )


def absolute(path: str) -> Path:
    """A path as typed into Blender, where `//` is the folder of the .blend file.

    Raises:
        MacroError: the path depends on where Blender was started, or on a .blend file that has no place yet.
    """
    if path.startswith("//") and not bpy.data.filepath:
        raise MacroError(
            "the path is relative to the .blend file, which is not saved yet",
            where=path,
            remedy="save the file first, or choose the folder again",
        )
    resolved = Path(bpy.path.abspath(path))
    if not resolved.is_absolute():
        raise MacroError("this is not a full path", where=path, remedy="choose the folder again")
    return resolved


CLASSES = (MacroSettings, MacroSyntheticSettings)
