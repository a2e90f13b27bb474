# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the quality table, each by itself."""

import dataclasses
import json
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import quality
from benchmarks.quality_table.captures import CapturePlan
from benchmarks.quality_table.cells import Cell, Store, code_hash, key_of, write_aside
from benchmarks.quality_table.chains import Chain, Place, Step, chain_of
from benchmarks.quality_table.children import Children
from benchmarks.quality_table.command import each_once, told_command
from benchmarks.quality_table.crops import Crop, choose_crop, strip
from benchmarks.quality_table.display import Display
from benchmarks.quality_table.methods import BUDGETS, CEILING, FLOOR, METHODS
from benchmarks.quality_table.report import NOVEL, Report, as_json, as_markdown, text
from benchmarks.quality_table.schedule import Forecast, Schedule
from benchmarks.quality_table.summary import MEAN, recovery, summarize
from solver.export.images import write_exr
from synthetic.fingerprint import fingerprint

BY_NAME = {method.name: method for method in METHODS}

# keys and cells


def test_code_counts_as_it_runs(tmp_path):
    """Comments, docstrings and layout may change; a number, a name of a file or a new file may not."""
    source = tmp_path / "room" / "module.py"
    source.parent.mkdir()
    source.write_text('"""Old."""\ndef double(x):\n    """Twice."""\n    return 2 * x  # it\n')
    before = code_hash(tmp_path, ["room"])
    source.write_text('"""New."""\n\n\ndef double(x):\n    return (2 * x)\n')
    assert code_hash(tmp_path, ["room"]) == before
    source.write_text("def double(x):\n    return 3 * x\n")
    assert code_hash(tmp_path, ["room"]) != before
    source.write_text("def double(x):\n    return 2 * x\n")
    assert code_hash(tmp_path, ["room"]) == before
    (source.parent / "other.py").write_text("")
    assert code_hash(tmp_path, ["room"]) != before


def test_cells_are_found_under_their_key_alone(tmp_path):
    store = Store(tmp_path)
    cell = Cell("a", 3.5, 100.0, {"psnr": 20.0, "bins": {"low": None}})
    store.write("coin", cell)
    assert store.read("coin", "a") == store.read("coin", None) == cell
    assert store.read("coin", "b") is None
    assert store.read("watch", "a") is None
    (tmp_path / "coin.json").write_text('{"key": "a", "sec')
    assert store.read("coin", "a") is None


def test_stopped_attempts_add_up_until_the_cell_is_done(tmp_path):
    store = Store(tmp_path)
    store.write_attempt("coin", "a", 2.0)
    store.write_attempt("coin", "a", 3.0)
    assert store.spent("coin", "a") == 5.0
    assert store.spent("coin", "b") == 0.0
    store.write("coin", Cell("a", 9.0))
    assert store.spent("coin", "a") == 0.0


def test_a_file_of_the_same_content_is_left_alone(tmp_path):
    path = tmp_path / "folder" / "page.md"
    write_aside(path, "one")
    before = path.stat().st_mtime_ns
    write_aside(path, "one")
    assert path.stat().st_mtime_ns == before
    write_aside(path, "two")
    assert path.read_text() == "two"
    assert [file.name for file in path.parent.iterdir()] == ["page.md"]


def place(folder: Path, settings: str = "{}") -> Place:
    for name in ("coin", "coin_bracket"):
        path = folder / name / "ground_truth" / "settings.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(settings)
    return Place("coin", folder / "coin", folder / "coin_bracket", folder / "runs")


def keys(chain: Chain) -> dict[str, str]:
    return {step.name.removeprefix(f"coin-{chain.method.name}-{chain.seed}-"): step.key for step in chain.steps}


def test_what_decides_a_cell_changes_its_key(tmp_path):
    here = place(tmp_path)

    def found(name: str, seed: int = 0, preset: str = "mini", weights: str = "", view: str = "a") -> dict[str, str]:
        return keys(chain_of(here, BY_NAME[name], seed, BUDGETS[preset], view, weights))

    plain = found("plain")
    assert list(plain) == ["train", "measure"]
    assert list(found("blurred")) == ["measure"]
    assert list(found("deconvolution")) == ["prepare", "measure"]
    assert list(found("stack")) == ["prepare", "fused-measure", "train", "measure", "picture"]
    assert found("plain") == plain
    for other in (found("plain", seed=1), found("plain", preset="small"), found("dilation")):
        assert other["train"] != plain["train"]
        assert other["measure"] != plain["measure"]
    assert found("plain", weights="vgg16")["train"] == plain["train"]
    assert found("plain", weights="vgg16")["measure"] != plain["measure"]
    stack = found("stack")
    assert {step for step, key in found("stack", view="b").items() if key != stack[step]} == {"picture"}
    meshed = keys(chain_of(here, BY_NAME["plain"], 0, BUDGETS["mini"], "a", "", mesh=True))
    assert list(meshed) == ["train", "mesh", "measure"]
    assert meshed["train"] == plain["train"]  # meshes can be made of what was trained before
    assert meshed["measure"] != plain["measure"]
    assert list(keys(chain_of(here, BY_NAME["blurred"], 0, BUDGETS["mini"], "a", "", mesh=True))) == ["measure"]
    place(tmp_path, '{"generator": "another"}')
    assert not set(found("plain").values()) & set(plain.values())
    assert not set(found("stack").values()) & set(stack.values())


def test_captures_of_another_generator_make_way(tmp_path):
    plan = CapturePlan("coin", "mini", tmp_path / "coin")
    bracket = dataclasses.replace(plan, bracket=True)
    assert (plan.frames, bracket.frames) == (54, 30)
    assert plan.key != bracket.key
    assert "--resume" in plan.arguments()
    assert not plan.is_whole
    settings = plan.folder / "ground_truth" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"generator": "another", "bracket_size": 1}')
    assert "--overwrite" in plan.arguments()
    settings.write_text(json.dumps({"generator": fingerprint("coin"), "bracket_size": 1}))
    assert "--resume" in plan.arguments()
    assert "bracket" in bracket.arguments()
    assert "--overwrite" in bracket.arguments()  # in the same folder: begun with brackets of another size


# children


def python(code: str) -> list[str]:
    return ["-c", code]


def test_a_child_tells_its_events_and_what_it_took(tmp_path):
    events = []
    code = """
import json, os
data = bytearray(200_000_000)
print("no event")
print(json.dumps({"event": "progress", "done": 1, "total": 2}))
print(json.dumps({"event": "threads", "is": os.environ["MACRO_RECONSTRUCTION_THREADS"]}))
"""
    outcome = Children().run(python(code), tmp_path / "log", 3, events.append)
    assert (outcome.code, outcome.error) == (0, "")
    assert {"event": "threads", "is": "3"} in events
    assert outcome.peak_memory_mib is None or outcome.peak_memory_mib > 190


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ('import sys; print(\'{"event": "error", "message": "It is wrong."}\'); sys.exit(1)', "It is wrong."),
        ("import sys; print('Working', file=sys.stderr); sys.exit('Error: The disk is full.')", "The disk is full."),
        ("import sys; sys.exit(3)", "it ended with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "it was ended by SIGKILL"),
    ],
)
def test_a_child_that_fails_is_told_in_one_sentence(tmp_path, code, sentence):
    outcome = Children().run(python(code), tmp_path / "log")
    assert outcome.code != 0
    assert outcome.error == sentence


def test_stopping_reaches_every_child_and_starts_none(tmp_path):
    children, outcomes, ready = Children(), [], []
    code = "import time; print('{}', flush=True); time.sleep(600)"

    def run(index: int) -> None:
        outcomes.append(children.run(python(code), tmp_path / f"{index}", on_event=ready.append))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(ready) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    children.stop()
    for thread in threads:
        thread.join(60)
    assert [outcome.code for outcome in outcomes] == [-signal.SIGTERM] * 2
    assert children.run(python("print(1)"), tmp_path / "late").error == "stopped"


def test_time_left_learns_from_what_was_done():
    forecast = Forecast({"render": 100.0, "train": 60.0}, workers=2)
    forecast.expect("render", 2)
    forecast.expect("train", 4)
    assert forecast.seconds_left() == pytest.approx(2 * 100 + 4 * 60 / 2)
    forecast.begin("coin", "render")
    forecast.end("coin", "render", 10.0)
    assert forecast.seconds_left() == pytest.approx(10 + 4 * 60 / 2)
    forecast.end("kept", "train")
    assert forecast.seconds_left() == pytest.approx(10 + 3 * 60 / 2)


# the order of work


def chain(folder: Path, name: str, seed: int) -> Chain:
    """A step that looks whether another one is at work on what it makes."""
    output = folder / f"images-{name}"
    code = f"""
import pathlib, time
busy = pathlib.Path({str(output)!r} + ".busy")
busy.touch(exist_ok=False)
time.sleep(0.2)
busy.unlink()
pathlib.Path({str(output)!r}).touch()
"""
    step = Step(f"coin-{name}-{seed}-measure", "measure", "key", ("-c", code), output)
    return Chain("coin", BY_NAME[name], seed, (step,), lambda view: folder)


def schedule(folder: Path, workers: int = 2) -> Schedule:
    return Schedule(Store(folder / "cells"), Children(), Display(9), Forecast({}, workers), folder / "logs", workers)


def test_seeds_that_share_what_is_prepared_wait_for_each_other(tmp_path):
    work = schedule(tmp_path, workers=4)
    work.run([chain(tmp_path, name, seed) for name in ("stack", "plain") for seed in (0, 1, 2)])
    assert not work.failures
    assert len(work.cells) == 6
    again = schedule(tmp_path)
    again.run([chain(tmp_path, "stack", 0)])
    assert again.cells["coin-stack-0-measure"] == work.cells["coin-stack-0-measure"]


def test_a_worker_goes_on_after_a_chain_that_fails(tmp_path):
    first, second = (chain(tmp_path, "stack", seed) for seed in (0, 1))
    broken = dataclasses.replace(first.steps[0], arguments=("-c", "import sys; sys.exit('It is wrong.')"))
    work = schedule(tmp_path, workers=1)
    work.run([dataclasses.replace(first, steps=(broken,)), second])
    assert work.failures == {"coin-stack-0-measure": "It is wrong."}
    assert list(work.cells) == ["coin-stack-1-measure"]


def test_a_child_that_was_stopped_by_others_stops_the_rest(tmp_path):
    told, working = chain(tmp_path, "stack", 0), chain(tmp_path, "plain", 0)
    ends = dataclasses.replace(told.steps[0], arguments=("-c", "import sys, time; time.sleep(0.3); sys.exit(130)"))
    lasts = dataclasses.replace(working.steps[0], arguments=("-c", "import time; time.sleep(20)"))
    work = schedule(tmp_path)
    work.run([dataclasses.replace(told, steps=(ends,)), dataclasses.replace(working, steps=(lasts,))])
    assert not work.cells
    assert not work.failures
    assert Store(tmp_path / "cells").spent("coin-stack-0-measure", "key") > 0


def test_a_cell_knows_what_stopped_attempts_took(tmp_path):
    Store(tmp_path / "cells").write_attempt("coin-stack-0-measure", "key", 100.0)
    work = schedule(tmp_path)
    work.run([chain(tmp_path, "stack", 0)])
    cell = work.cells["coin-stack-0-measure"]
    assert cell.earlier_s == 100
    assert 100 < cell.seconds < 200
    assert Store(tmp_path / "cells").read("coin-stack-0-measure", "key") == cell


# the command


def test_the_told_command_has_what_decides_the_numbers_and_no_folders(tmp_path):
    arguments = quality.Arguments(preset="small", work=tmp_path, page=tmp_path / "a.md", json=tmp_path / "a.json")
    assert told_command("benchmarks/quality.py", arguments) == "python benchmarks/quality.py --preset small"
    arguments = dataclasses.replace(arguments, scenes=("coin", "moss"), seeds=(0, 1), workers=1, keep_captures=True)
    assert told_command("benchmarks/quality.py", arguments).endswith(
        "--preset small --scenes coin moss --seeds 0 1 --workers 1 --keep-captures"
    )


def test_what_is_named_twice_is_done_once():
    arguments = quality.Arguments(scenes=("coin", "moss", "coin"), methods=("plain", "plain"), seeds=(1, 0, 1))
    once = each_once(arguments)
    assert (once.scenes, once.methods, once.seeds) == (("coin", "moss"), ("plain",), (1, 0))


@pytest.mark.parametrize(("failures", "replaced"), [({}, True), ({"coin-plain-0-train": "It is wrong."}, False)])
def test_only_a_whole_table_without_gaps_replaces_the_one_of_the_docs(tmp_path, monkeypatch, failures, replaced):
    monkeypatch.setattr(quality, "ROOT", tmp_path / "root")
    arguments = quality.Arguments(work=tmp_path / "work")
    whole = dataclasses.replace(report(tmp_path), scenes=arguments.scenes, methods=METHODS, failures=failures)
    quality._write(arguments, whole, None)
    assert (tmp_path / "root" / "docs" / "benchmark_mini.md").exists() == replaced
    assert (tmp_path / "root" / "benchmarks" / "results" / "quality_mini.json").exists() == replaced
    assert (tmp_path / "work" / "mini" / "benchmark_mini.md").exists() != replaced


def test_a_damaged_truth_costs_its_scene_alone(tmp_path):
    """A chosen crop is kept; the scene whose truth cannot be read is told of, and the others stay."""
    arguments = quality.Arguments(scenes=("coin", "moss"), methods=("blurred",), work=tmp_path, keep_captures=True)
    captures = tmp_path / "captures"
    for scene in arguments.scenes:
        write_aside(captures / scene / "ground_truth" / "settings.json", "{}")
        write_aside(captures / scene / "transforms.json", "{}")
    crop = Cell(key_of("{}", code_hash(quality.ROOT, quality._CROP_CODE)), 0, None, {"view": "a", "box": [0, 0, 8, 8]})
    Store(tmp_path / "cells").write("coin-crop", crop)
    plans = [CapturePlan(scene, "mini", captures / scene) for scene in arguments.scenes]
    work = schedule(tmp_path)
    chains, crops = quality._fill(arguments, (BY_NAME["blurred"],), plans, work, tmp_path)
    assert list(crops) == ["coin"]
    assert [chain.scene for chain in chains] == ["coin"]
    assert "transforms.json" in work.failures["moss-crop"]


# the table


def filled(values: dict[tuple[str, str, int], float], tmp_path: Path) -> tuple[list[Chain], dict[str, Cell]]:
    """Chains and cells whose one measure has the given values by method, scene and seed."""
    chains, cells = [], {}
    for (name, scene, seed), value in values.items():
        here = dataclasses.replace(place(tmp_path), scene=scene)
        chain = chain_of(here, BY_NAME[name], seed, BUDGETS["mini"], "a", "")
        for step in chain.steps:
            numbers = {
                "psnr_novel_recoverable": value,
                "psnr_deblurred_recoverable": value + 1,
                "psnr_novel_by_coc": {"over 6": value - 9},
                "pupil_diameter_error": 0.1 if scene == "coin" else -0.3,
                "focus_distance_error_median": 0.2,
                "share_novel_by_coc": {"over 6": 0.25},
                "mesh_chamfer": 0.3 if scene == "watch" else None,
            }
            cells[step.name] = Cell("", 10.0, 300.0, numbers if step.kind == "measure" else {})
        chains.append(chain)
    return chains, cells


def test_recovery_lies_between_floor_and_ceiling():
    assert recovery(25, 20, 30) == 0.5
    assert recovery(19, 20, 30) == pytest.approx(-0.1)
    assert recovery(25, 30, 30.4) is recovery(None, 20, 30) is recovery(25, None, 30) is None


def test_table_of_several_scenes_and_seeds(tmp_path):
    values = {}
    for scene, lift in (("coin", 0), ("watch", 4)):
        for seed in (0, 1):
            values |= {(FLOOR, scene, seed): 20 + lift, (CEILING, scene, seed): 30 + lift}
            values["dilation", scene, seed] = 25 + lift + seed
    values |= {("blurred", "coin", 0): 21.0, ("stack", "coin", 0): 22.0, ("stack", "watch", 0): 23.0}
    chains, cells = filled(values, tmp_path)
    table = summarize(chains, cells, ("coin", "watch"))
    ours = table["dilation"]
    assert ours["coin"]["psnr_novel_recoverable"] == pytest.approx(25.5)
    assert ours["coin"].spreads["psnr_novel_recoverable"] == pytest.approx(0.5**0.5)
    assert ours["coin"]["recovery_novel"] == pytest.approx(0.55)
    assert ours[MEAN]["psnr_novel_recoverable"] == pytest.approx(27.5)
    assert ours[MEAN].spreads["psnr_novel_recoverable"] == pytest.approx(0.5)
    assert ours[MEAN]["psnr_novel_by_coc/over 6"] == pytest.approx(18.5)
    assert ours[MEAN]["seconds"] == 10
    assert ours["watch"]["pupil_diameter_error"] == pytest.approx(-0.3)
    assert ours[MEAN]["pupil_diameter_error_absolute"] == pytest.approx(0.2)  # they do not cancel
    assert ours[MEAN]["focus_distance_error_median"] == pytest.approx(0.2)
    for name in (FLOOR, CEILING, "stack", "blurred"):  # they learn no lens
        for entry in table[name].values():
            assert entry["focus_distance_error_median"] is None
            assert entry["pupil_diameter_error"] is entry["pupil_diameter_error_absolute"] is None
    assert table[FLOOR][MEAN]["recovery_deblurred"] == 0
    assert table[CEILING][MEAN]["recovery_deblurred"] == 1
    assert MEAN not in table["blurred"]  # one scene is missing
    stack = table["stack"][MEAN]
    assert stack["psnr_novel_recoverable"] == 22.5
    assert stack["psnr_deblurred_recoverable"] is None  # of other views
    assert stack["psnr_fused_recoverable"] == 23.5
    assert table["stack"]["watch"]["mesh_chamfer"] == pytest.approx(0.3)
    assert stack["seconds"] == 20  # fused and trained


def test_page_tells_of_meshes(tmp_path):
    chains, cells = filled({("plain", "watch", 0): 20.0, ("stack", "watch", 0): 22.0}, tmp_path)
    table = summarize(chains, cells, ("watch",))
    page = as_markdown(dataclasses.replace(report(tmp_path), scenes=("watch",), table=table), None)
    assert "## Mesh: chamfer distance, mm" in page
    assert "| plain splatting | 0.300 | 0.300 |" in page
    assert "F-score" not in page


def test_a_mean_has_a_spread_where_all_its_scenes_have(tmp_path):
    values = {(FLOOR, scene, seed): 20.0 + seed for scene in ("coin", "watch") for seed in (0, 1)}
    del values[FLOOR, "watch", 1]
    chains, cells = filled(values, tmp_path)
    mean = summarize(chains, cells, ("coin", "watch"))[FLOOR][MEAN]
    assert mean["psnr_novel_recoverable"] == pytest.approx((20.5 + 20) / 2)
    assert mean.spreads["psnr_novel_recoverable"] is None


def test_memory_that_no_system_told_is_no_number(tmp_path):
    chains, cells = filled({(FLOOR, "coin", 0): 20.0}, tmp_path)
    cells = {name: dataclasses.replace(cell, peak_memory_mib=None) for name, cell in cells.items()}
    assert summarize(chains, cells, ("coin",))[FLOOR]["coin"]["peak_memory_mib"] is None


def report(tmp_path: Path, seeds: tuple[int, ...] = (0,)) -> Report:
    values = {(name, "coin", seed): 20.0 + seed for name in ("blurred", FLOOR) for seed in seeds}
    values |= {(CEILING, "coin", 0): 30.0, ("dilation", "coin", 0): 25.0}
    chains, cells = filled(values, tmp_path)
    cells = {name: cell for name, cell in cells.items() if "dilation" not in name}  # it failed
    plan = CapturePlan("coin", "mini", tmp_path / "coin")
    return Report(
        preset="mini",
        command="python benchmarks/quality.py",
        scenes=("coin",),
        methods=tuple(BY_NAME[name] for name in ("blurred", FLOOR, "dilation", CEILING)),
        seeds=seeds,
        workers=2,
        budget=BUDGETS["mini"],
        table=summarize(chains, cells, ("coin",)),
        renders={plan.name: (plan, Cell("", 108.0))},
        step_seconds={"train": 70.0},
        machine={"processor": "P", "cores": 2, "system": "S", "versions": {"python": "3", "bpy": None}},
        failures={"coin-dilation-0-train": "It is wrong."},
    )


def test_page_has_dashes_for_what_failed(tmp_path):
    page = as_markdown(report(tmp_path), "images/x.jpg")
    assert "| plain splatting | 20.00 | 20.00 |" in page
    assert "| ours: dilation | - | - |" in page
    assert "Not done: coin-dilation-0-train." in page
    assert "![Crops of every method](images/x.jpg)" in page
    assert "Mesh" not in page  # nobody has one here
    assert "| coin-photos | 54 | 1:48 min | 2.00 |" in page
    assert "| train | 1:10 min |" in page
    assert "2 ran at a time: about 0:35 min in all." in page
    assert "| part of the pixels | 25.0% |" in page
    assert "## Geometry and lens" not in page  # of those that are there, none learns a lens
    assert "LPIPS" not in page  # nobody has a number
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith("|"))
    content = as_json(report(tmp_path))
    json.dumps(content, allow_nan=False)
    assert content["results"]["oracle"]["coin"]["values"]["recovery_novel"] == 1
    assert content["results"]["dilation"] == {}
    assert content["render_seconds_per_frame"] == {"coin-photos-render": 2.0}


def test_spread_is_shown_where_there_are_seeds(tmp_path):
    several = report(tmp_path, seeds=(0, 1))
    assert text(several.table[FLOOR]["coin"], NOVEL) == "20.50 ± 0.71"
    assert text(several.table[CEILING]["coin"], NOVEL) == "30.00"
    assert text(None, NOVEL) == "-"
    assert "seeds 0, 1" in as_markdown(several, None)
    assert as_json(several)["results"][FLOOR]["coin"]["spreads"]["psnr_novel_recoverable"] == pytest.approx(0.7071)


# pictures


def test_the_crop_is_where_a_photo_blurs_recoverable_detail(tmp_path):
    """Four corners: blurred detail that no photo holds, sharp detail, blurred flatness, and what is looked for."""
    rng = np.random.default_rng(0)
    truth = tmp_path / "ground_truth"
    frames = []
    for name, blur in (("a", 0.5), ("b", 4.0)):
        image = np.full((48, 66, 3), 0.5)
        coc, smallest = np.zeros((48, 66)), np.full((48, 66), 0.5)
        image[:16, :22] = rng.uniform(size=(16, 22, 3))
        coc[:16, :22], smallest[:16, :22] = 20.0, 9.0
        image[:16, 44:] = rng.uniform(size=(16, 22, 3))
        coc[32:, :22] = 20.0
        image[32:, 44:] = rng.uniform(0.3, 0.7, size=(16, 22, 3))
        coc[32:, 44:] = blur
        (truth / "sharp").mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255).astype(np.uint8)).save(truth / "sharp" / f"{name}.png")
        write_exr(truth / "coc" / f"{name}.exr", "V", coc)
        write_exr(truth / "smallest_coc" / f"{name}.exr", "V", smallest)
        frames.append({"file_path": f"sharp/{name}.png", "transform_matrix": np.eye(4).tolist()})
    (truth / "transforms.json").write_text(json.dumps({"fl_x": 100, "w": 66, "h": 48, "frames": frames}))
    assert choose_crop(tmp_path) == Crop("b", (44, 32, 66, 48))


def test_a_strip_has_a_tile_for_every_image(tmp_path):
    Image.new("RGB", (66, 48), "red").save(tmp_path / "a.png")
    images = [("method", tmp_path / "a.png"), ("failed", None), ("lost", tmp_path / "b.png")]
    sheet = np.asarray(strip("coin", Crop("a", (44, 32, 66, 48)), images))
    tiles = [sheet[40:, 204 * index + 5 : 204 * index + 60].reshape(-1, 3) for index in range(3)]
    assert sheet.shape[1] == 3 * 204 - 4
    assert (tiles[0] == [255, 0, 0]).all()
    assert (tiles[1] == 221).all()
    assert (tiles[2] == 221).all()


def test_keys_are_of_values():
    assert key_of("a", {"b": 1, "c": 2}) == key_of("a", {"c": 2, "b": 1}) != key_of("a", {"b": 2, "c": 1})
