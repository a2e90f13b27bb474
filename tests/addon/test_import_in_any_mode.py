# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing and dropping while the user is at something else: one step of undo, and nothing else moves."""

import pytest

MODES = {  # what is added, and the mode that it is worked on in
    "object": (None, "OBJECT"),
    "mesh": ("mesh.primitive_cube_add", "EDIT"),
    "sculpt": ("mesh.primitive_cube_add", "SCULPT"),
    "vertex paint": ("mesh.primitive_cube_add", "VERTEX_PAINT"),
    "weight paint": ("mesh.primitive_cube_add", "WEIGHT_PAINT"),
    "texture paint": ("mesh.primitive_cube_add", "TEXTURE_PAINT"),
    "pose": ("object.armature_add", "POSE"),
    "bones": ("object.armature_add", "EDIT"),
    "curve": ("curve.primitive_bezier_curve_add", "EDIT"),
    "text": ("object.text_add", "EDIT"),
}


@pytest.fixture
def view(bpy, extension):
    """Gives the context of the first window, or of an area in it.

    In an area, Blender as a module crashes on an operator that registers itself and is run with a step of undo: it
    wants to draw the panel of its settings.
    """

    def in_view(kind=None):
        window = bpy.context.window_manager.windows[0]
        if kind is None:
            return bpy.context.temp_override(window=window)
        area = next(area for area in window.screen.areas if area.type == kind)
        region = next(region for region in area.regions if region.type == "WINDOW")
        return bpy.context.temp_override(window=window, area=area, region=region)

    return in_view


def call(bpy, name, **settings):
    """Run an operator with a step of undo, as a key or a button does."""
    module, operator = name.split(".")
    return getattr(getattr(bpy.ops, module), operator)("EXEC_DEFAULT", True, **settings)


def at_work(bpy):
    """What the user is at: mode, active object, selection, active collection, and what is selected of a mesh."""
    layer = bpy.context.view_layer
    active = layer.objects.active
    if active is not None and active.mode == "EDIT":
        active.update_from_editmode()
    vertices = active.data.vertices if active is not None and active.type == "MESH" else ()
    return {
        "mode": bpy.context.mode,
        "active": active.name if active is not None else None,
        "modes": {item.name: item.mode for item in bpy.data.objects if "macro_result" not in item},
        "selected": sorted(item.name for item in layer.objects if item.select_get()),
        "hidden": sorted(item.name for item in layer.objects if item.hide_get()),
        "collection": layer.active_layer_collection.name,
        "vertices": [(tuple(vertex.co), vertex.select) for vertex in vertices],
        "scene": bpy.context.scene.camera.name,
    }


def brought_in(bpy):
    return {name: len(getattr(bpy.data, name)) for name in ("objects", "meshes", "cameras", "materials", "collections")}


def expect_one_undoable_import(bpy, view, path):
    with view():
        before, counts = at_work(bpy), brought_in(bpy)
        assert call(bpy, "macro.import_result", filepath=str(path)) == {"FINISHED"}
        assert at_work(bpy) == before
        assert "beetle" in bpy.data.collections
        grown = brought_in(bpy)
        bpy.ops.ed.undo()
    with view():
        assert at_work(bpy) == before
        assert brought_in(bpy) == counts
        bpy.ops.ed.redo()
    with view():
        assert at_work(bpy) == before
        assert brought_in(bpy) == grown


@pytest.mark.parametrize("kind", MODES)
def test_import_in_any_mode_is_one_step_and_leaves_the_user_there(bpy, view, result_folder, kind):
    added, mode = MODES[kind]
    with view():
        if added is not None:
            call(bpy, "object.select_all", action="DESELECT")
            call(bpy, added)
        bpy.ops.ed.undo_push(message="before")
        call(bpy, "object.mode_set", mode=mode)
        assert bpy.context.object.mode == mode
    expect_one_undoable_import(bpy, view, result_folder / "result.json")


def test_import_with_nothing_active_and_nothing_selected(bpy, view, result_folder):
    with view():
        call(bpy, "object.select_all", action="DESELECT")
        bpy.context.view_layer.objects.active = None
        bpy.ops.ed.undo_push(message="before")
    expect_one_undoable_import(bpy, view, result_folder)


@pytest.mark.parametrize("how", ["exclude", "hide_viewport", "holdout"])
def test_import_while_the_active_collection_is_hidden(bpy, view, result_folder, how):
    aside = bpy.data.collections.new("aside")
    bpy.context.scene.collection.children.link(aside)
    with view():
        layer = bpy.context.view_layer.layer_collection.children["aside"]
        bpy.context.view_layer.active_layer_collection = layer
        setattr(layer, how, True)
        bpy.ops.ed.undo_push(message="before")
    expect_one_undoable_import(bpy, view, result_folder)
    with view():
        shown = bpy.data.objects["beetle mesh"]
        assert shown.visible_get()
        assert getattr(bpy.context.view_layer.layer_collection.children["aside"], how)


def test_what_is_imported_in_a_local_view_is_seen_there(bpy, view, result_folder):
    with view("VIEW_3D"):
        bpy.ops.view3d.localview()
        space = bpy.context.space_data
        assert space.local_view is not None
        assert bpy.ops.macro.import_result(filepath=str(result_folder)) == {"FINISHED"}
        assert space.local_view is not None
        assert bpy.data.objects["beetle mesh"].visible_get(viewport=space)
        assert bpy.data.objects["Cube"].visible_get(viewport=space)
        assert not bpy.data.objects["Light"].visible_get(viewport=space)


def drop(bpy, folder, *names):
    """What Blender runs when files are dropped on the area under the mouse."""
    return bpy.ops.wm.drop_import_file(
        "INVOKE_DEFAULT", directory=str(folder), files=[{"name": name} for name in names]
    )


def test_a_dropped_result_is_imported(bpy, view, result_folder):
    with view("VIEW_3D"):
        assert drop(bpy, result_folder, "result.json") == {"FINISHED"}
    assert bpy.data.collections["beetle"]["macro_result"] == str(result_folder)


def test_a_result_dropped_elsewhere_is_not_ours(bpy, view, result_folder):
    with view("OUTLINER"):
        assert drop(bpy, result_folder, "result.json") != {"FINISHED"}
    assert "beetle" not in bpy.data.collections


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("transforms.json", None, "transforms.json: this is not the result.json of a reconstruction; choose that file"),
        ("notes.json", "{}", "notes.json: this is not the result.json of a reconstruction; choose that file"),
        ("result.json", "{}", "result.json: another program made this file: it has no format_version; choose"),
    ],
)
def test_another_file_is_one_sentence(bpy, view, result_folder, name, content, sentence):
    path = result_folder / name
    if content is not None:
        path.write_text(content)
    with view(), pytest.raises(RuntimeError) as caught:
        call(bpy, "macro.import_result", filepath=str(path))
    said = str(caught.value).removeprefix("Error: ").strip()
    assert said.startswith(f"{result_folder}/{sentence}")
    assert "\n" not in said
    assert "beetle" not in bpy.data.collections
