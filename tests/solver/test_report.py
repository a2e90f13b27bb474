# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: whole, self-contained, true to result.json, and harmless whatever names are in it."""

import base64
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from solver.capture.transforms import write_transforms
from solver.capture.types import Camera
from solver.cli import main
from solver.config import settings_for
from solver.errors import SolverError
from solver.events import Reporter
from solver.export.images import write_exr, write_png
from solver.files import write_json
from solver.optics.circle_of_confusion import circle_of_confusion_px, depth_of_field
from solver.reconstruct import Job, reconstruct
from solver.report import page as report_page
from solver.report.charts import FocusRange, line_chart, photos_by_depth, ticks
from solver.report.facts import read_facts
from solver.report.page import percent, report, write_report
from solver.report.pictures import circle_colours, embedded

WIDTH, HEIGHT, FOCAL_PX = 48, 36, 90.0
NEAR, FAR, PUPIL = 80.0, 100.0, 6.0
SECTIONS = ("summary", "warnings", "sheet", "focus", "coverage", "cameras", "training", "photos", "scale", "run")
HOSTILE = "<img src=x onerror=alert(1)> \"quotes' &amp; \u65e5\u672c"
VOID = {"meta", "img", "input", "br", "link", "hr"}
SELF_CLOSED = {"line", "rect", "circle", "polyline", "polygon", "path"}  # of SVG, as this page writes them


class Page(HTMLParser):
    """What a page holds; every element must be closed where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # (element, text)
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in SELF_CLOSED
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        self.texts.append((self._open[-1] if self._open else "", text))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What is read, without style and script."""
        return re.sub(r"[ \n]+", " ", " ".join(text for tag, text in self.texts if tag not in ("style", "script")))


def pose(angle: float) -> np.ndarray:
    """world_to_camera of a camera 90 away from the origin, 30 degrees up."""
    centre = 90 * np.array([math.cos(angle) * math.cos(0.5), math.sin(angle) * math.cos(0.5), math.sin(0.5)])
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return matrix


def make_result(folder: Path, names: tuple[str, ...] = ("one", "two", "three", "four")) -> dict:
    """A result folder with everything but result.json and a mesh, whose content is returned."""
    generator = np.random.default_rng(5)
    settings = settings_for("draft", iterations=200, seed=7)
    camera = Camera(WIDTH, HEIGHT, FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2)
    depth = np.linspace(NEAR, FAR, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, axis=0)
    photos, frames = [], []
    for index, name in enumerate(names):
        focus = NEAR + (index + 0.5) * 10 / len(names)
        paths = {"sharp": f"sharp/{name}.png", **{kind: f"{kind}/{name}.exr" for kind in ("depth", "coc", "coverage")}}
        image = generator.uniform(size=(HEIGHT, WIDTH, 3))
        coc = circle_of_confusion_px(depth, PUPIL, 1 / focus, FOCAL_PX).astype(np.float32)
        write_png(folder / "photos" / f"{name}.png", image)
        write_png(folder / paths["sharp"], image)
        write_exr(folder / paths["depth"], "Z", depth)
        write_exr(folder / paths["coc"], "V", coc)
        write_exr(folder / paths["coverage"], "V", coc)
        photos.append(
            {
                **{"name": name, "image": str(folder / "photos" / f"{name}.png"), **paths, "f_number": 8.0},
                **{"pupil_diameter": PUPIL, "focus_distance": focus, "held_out": index == 0},
                **{"exposure": [2 ** (index / 4)] * 3, "psnr": 27.13 + index, "in_focus_share": 0.412 + 0.01 * index},
            }
        )
        shared = {"sharp_path": paths["sharp"], "focus_distance": focus}
        frames.append((photos[-1]["image"], camera, pose(index), shared))
    write_transforms(folder / "transforms.json", frames, unit_mm=0.5)
    write_json(folder / "history.json", {"steps": [50, 100, 200], "loss": [0.3, 0.2, 0.1], "psnr": [15.0, None, 27.5]})
    return {
        "format_version": 1,
        "versions": {"solver": "0.1.0", "python": "3.11"},
        "command": ["reconstruct", "a folder", "--output", "it's"],
        "settings": {name: getattr(settings, name) for name in settings.__dataclass_fields__},
        "capture": "/photos/acorn",
        "backend": "cpu",
        "device": "cpu",
        "unit_mm": 0.5,
        "scale": {"unit_mm": 0.5, "source": "markers", "relative_uncertainty": 0.021, "from_blur": None},
        "apertures": [
            {"f_number": 8.0, "pupil_diameter": PUPIL, "pupil_diameter_initial": 5.0, "nominal_pupil_diameter_mm": 2.5}
        ],
        "photos": photos,
        "camera_refinement": None,
        "unregistered": [{"name": "lost", "reason": "too few points match"}],
        "background_colour": [0.1, 0.1, 0.1],
        "splats": {"file": "splats.ply", "count": 4321},
        "mesh": None,
        "coverage": {
            **{"limit_px": 1.5, "never_in_focus_share": 0.137, "sharp_in_two_share": 0.622},
            **{"smallest_coc_median_px": 0.83},
        },
        "metrics": {"psnr_train": 29.46, "psnr_held_out": 26.22, "reprojection_error_px": 0.37},
        "timings_s": {"read": 2.5, "train": 61.0},
        "warnings": ["13 % of the subject was never in focus; take more photos"],
    }


@pytest.fixture
def result(tmp_path) -> tuple[Path, dict]:
    folder = tmp_path / "result"
    return folder, make_result(folder)


def page_of(folder: Path, content: dict) -> Page:
    return Page(write_report(folder, content).read_text(encoding="utf-8"))


def test_the_page_has_every_section_and_the_numbers_of_the_result(result):
    folder, content = result
    page = page_of(folder, content)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {*SECTIONS, "compare", "divider"} <= set(ids)
    assert {attributes["href"][1:] for attributes in page.all("a")} <= set(ids)
    for told in (
        *("29.5 dB", "26.2 dB", "4 of 5", "4\u202f321 splats", "86 %", "14 %", "62 %", "0.83 px", "0.37 px"),
        *(
            "markers of known size",
            "2.1 %",
            "0.5 mm",
            "1 min 4 s",
            "2.50 mm",
            "3.00 mm",
            "+20 %",
            "too few points match",
        ),
        *("Take more photos.", "acorn", "4 macro photos"),
    ):
        assert told in page.text, told
    for photo in content["photos"]:
        focus = f"{photo['focus_distance'] * 0.5:.1f} mm"
        assert f"{photo['name']} 8 {focus} " in page.text
        assert f"{math.log2(photo['exposure'][0]):+.2f} stops {photo['psnr']:.1f} dB" in page.text
        assert percent(photo["in_focus_share"]) in page.text
    assert "python -m solver reconstruct 'a folder' --output 'it'\"'\"'s'" in page.text


def test_settings_that_differ_from_the_preset_come_first(result):
    folder, content = result
    text = page_of(folder, content).text
    changed, rest = text[text.index("Changed from the preset") :].split("All other settings")
    assert "iterations 200 1000" in changed and "seed 7 0" in changed
    assert "max_size 400" in rest and "iterations" not in rest.split("Versions")[0].split()


def test_nothing_is_asked_for_outside_the_page(result):
    folder, content = result
    page = page_of(folder, content)
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href"):
                assert value.startswith(("data:image/jpeg;base64,", "#")), (tag, name)
            assert name not in ("srcset", "action", "background", "poster", "data")
            assert not name.startswith("on")
    assert {"link", "iframe", "object", "form", "base"}.isdisjoint(tag for tag, _ in page.elements)
    style, script = ("".join(text for tag, text in page.texts if tag == kind) for kind in ("style", "script"))
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"fetch|XMLHttp|import\(|innerHTML|eval|https?:", script)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_pictures_are_those_of_the_result(result):
    folder, content = result
    page = page_of(folder, content)
    shown = {image["alt"]: image["src"] for image in page.all("img") if image.get("src")}
    assert len(shown) == 4 * 3 + 4
    assert all(image["alt"] or image["id"] in ("before", "after") for image in page.all("img"))
    for name in ("one", "four"):
        decoded = Image.open(io.BytesIO(base64.b64decode(shown[f"{name}: photo"].partition(",")[2])))
        assert decoded.size == (WIDTH, HEIGHT)
        expected = np.asarray(Image.open(folder / "photos" / f"{name}.png").convert("L"), np.float32)
        assert np.abs(np.asarray(decoded.convert("L"), np.float32) - expected).mean() < 12  # of noise, in JPEG


def test_names_are_text_whatever_they_hold(tmp_path):
    folder = tmp_path / "result"
    content = make_result(folder, (HOSTILE, "plain"))
    script = "</script><script>alert(2)</script>"
    content["capture"] = f"/photos/{HOSTILE}"
    content["warnings"] = [f"{script} is wrong; {HOSTILE}"]
    content["unregistered"] = [{"name": script, "reason": f"{{{{ 7 * 7 }}}} {HOSTILE}"}]
    content["command"] = ["reconstruct", script]
    content["versions"]["torch"] = script
    page = page_of(folder, content)
    assert len(page.all("script")) == 1 and len(page.all("style")) == 1
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert all(image.get("src") != "x" for image in page.all("img"))
    assert "49" not in re.findall(r"\b\d+\b", page.text)
    assert page.text.count(HOSTILE) >= 6 and page.text.count(script) >= 4
    assert any(image["alt"] == f"{HOSTILE}: photo" for image in page.all("img"))


def test_a_path_out_of_the_result_is_not_followed(result, tmp_path):
    folder, content = result
    write_png(tmp_path / "secret.png", np.ones((20, 20, 3)))
    content["photos"][1]["sharp"] = "../secret.png"
    page = page_of(folder, content)
    assert "two: sharp view" not in [image.get("alt") for image in page.all("img")]


@pytest.mark.parametrize(
    "missing",
    ["coverage", "scale", "unit", "history", "photos", "maps", "transforms", "infinity", "nothing measured", "blurnet"],
)
def test_missing_parts_are_left_out(result, missing):
    folder, content = result
    if missing == "coverage":
        content["coverage"] = None
        for photo in content["photos"]:
            photo["coverage"] = photo["in_focus_share"] = None
    if missing in ("scale", "unit"):
        content["scale"] = content["unit_mm"] = None
    if missing == "history":
        (folder / "history.json").unlink()
    if missing == "photos":
        for photo in content["photos"]:
            Path(photo["image"]).unlink()
    if missing == "maps":
        for file in [*folder.glob("depth/*"), *folder.glob("sharp/*"), *folder.glob("coverage/*")]:
            file.write_bytes(b"damaged")
    if missing == "transforms":
        (folder / "transforms.json").unlink()
    if missing == "infinity":
        for photo in content["photos"]:
            photo["focus_distance"] = photo["f_number"] = None
        content["apertures"][0].update(f_number=None, nominal_pupil_diameter_mm=None)
    if missing == "nothing measured":
        content["metrics"] = dict.fromkeys(content["metrics"])
        content["coverage"] = dict.fromkeys(content["coverage"])
        content["timings_s"], content["warnings"] = {}, []
        for photo in content["photos"]:
            photo["psnr"] = photo["in_focus_share"] = None
    if missing == "blurnet":
        del content["photos"][0]["exposure"]  # as before there was one
        content["settings"].update(defocus="blurnet", train_on="photos")
        content["settings"]["a_setting_of_another_version"] = 3
    page = page_of(folder, content)
    assert set(SECTIONS) <= {attributes.get("id") for _, attributes in page.elements}
    assert "None" not in page.text and "nan" not in page.text.split()
    if missing == "unit":
        assert "90.0 units" in page.text or "units" in page.text
    if missing == "history":
        assert "no history" in page.text


def test_without_a_mesh_the_size_is_not_told(result):
    assert "no mesh" in page_of(*result).text


def test_the_size_is_the_meshs_in_millimetres(result):
    import plyfile

    folder, content = result
    corners = np.array([(0, 0, 0), (30, 0, 0), (30, 12, 0), (0, 12, 5)], dtype=np.float32)
    vertices = np.array([tuple(corner) for corner in corners], dtype=[(axis, "f4") for axis in "xyz"])
    plyfile.PlyData([plyfile.PlyElement.describe(vertices, "vertex")]).write(str(folder / "mesh.ply"))
    content["mesh"] = {"file": "mesh.glb", "vertices": 4, "faces": 1234}
    text = page_of(folder, content).text
    assert "15.0 \u00d7 6.0 \u00d7 2.5 mm" in text
    assert "\u00b1 0.32 mm (2.1 %)" in text  # of the longest side: 15 mm at 2.1 %
    assert "1\u202f234 faces" in text


def test_a_damaged_mesh_takes_no_memory_for_what_its_header_promises(result):
    folder, content = result
    header = ["ply", "format binary_little_endian 1.0", "element vertex 1"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"element face {10**15}", "property list uchar int vertex_indices", "end_header\n"]
    (folder / "mesh.ply").write_bytes("\n".join(header).encode("ascii") + bytes(12 + 13))
    content["mesh"] = {"file": "mesh.glb", "vertices": 1, "faces": 10**15}
    assert read_facts(folder, content).vertices is None


def test_depth_in_focus_is_that_of_the_thin_lens(result):
    folder, content = result
    facts = read_facts(folder, content)
    for each in facts.photos:
        near, far = depth_of_field(each.focus_distance, PUPIL, FOCAL_PX, 1.5)
        assert each.sharp_range == pytest.approx((near, far), rel=1e-9)
        assert each.depth_range == pytest.approx((NEAR, FAR), abs=1)


def test_depth_that_no_photo_holds_is_found():
    ranges = [FocusRange("a", 0.1, -0.1, 0.25), FocusRange("b", 0.9, 0.5, math.inf)]
    counts = photos_by_depth(ranges)
    assert counts == [1] * 6 + [0] * 6 + [1] * 12


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.013, 0.0172), (-3, 7.1), (17.2, 31.9), (5, 5), (0, 0), (1e4, 9e6)]
)
def test_ticks_are_round_and_enclose(low, high):
    found = ticks(low, high)
    assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12 and 2 <= len(found) <= 9
    steps = np.diff(found)
    assert steps == pytest.approx(steps[0])
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - each) for each in (1, 2, 5, 10)) < 1e-6


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("steps", [2_000, 30_000, 100_000])
def test_names_in_a_chart_are_whole_and_beside_its_curve(rises, steps):
    """As wide and as high as on phones, where letters are largest."""
    wide, high = 10, 17
    at = np.linspace(0, steps, 100)
    values = 37 - 20 * np.exp(-5 * at / steps) if rises else 0.01 + 0.14 * np.exp(-8 * at / steps)
    marks = [(0.05 * steps, "blur"), (0.25 * steps, "new surface"), (0.7 * steps, "pupil views")]
    chart = str(line_chart(at.tolist(), values.tolist(), title="PSNR", unit="dB", marks=marks))
    width = float(re.search(r'viewBox="0 0 (\d+)', chart)[1])
    curve = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]*)"', chart)[1].split()]
    texts = re.findall(r'<text class="([^"]*)" x="([^"]*)" y="([^"]*)">([^<]*)<', chart)
    assert len([text for text in texts if text[0].startswith("note")]) == len(marks)
    for kind, x, y, text in texts:
        long = wide * len(text)
        left = float(x) - long * (0.5 if "middle" in kind else 1.0 if "end" in kind else 0.0)
        assert left >= 0 and left + long <= width
        if kind.startswith("note"):
            above, below = float(y) - high, float(y) + 4
            assert not [point for point in curve if left <= point[0] <= left + long and above <= point[1] <= below]


def test_pictures_keep_to_what_they_are_allowed():
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    for allowed in (400_000, 40_000, 4_000):
        pictures = embedded([noise, noise[:, ::-1]], 960, allowed)
        assert 0.5 * allowed < sum(len(picture.uri) for picture in pictures) <= allowed + 100
        assert {(picture.width, picture.height) for picture in pictures} == {(pictures[0].width, pictures[0].height)}


def test_a_hundred_photos_make_a_page_of_a_bounded_size(tmp_path, monkeypatch):
    """With a lower bound, so that small pictures meet it."""
    folder = tmp_path / "result"
    content = make_result(folder)
    monkeypatch.setattr(report_page, "_PICTURE_BYTES", 500_000)
    content["photos"] = [{**content["photos"][index % 4], "name": f"photo {index}"} for index in range(100)]
    path = write_report(folder, content)
    pictures = [image["src"] for image in Page(path.read_text(encoding="utf-8")).all("img") if image.get("src")]
    assert len(pictures) == 306
    assert 250_000 < sum(len(picture) for picture in pictures) < 500_000
    assert path.stat().st_size < 700_000


def test_in_focus_has_a_colour_of_its_own():
    coc = np.array([[0.0, 1.4, 1.6, 6.0, 24.0, 80.0]])
    colours = circle_colours(coc, np.ones_like(coc, dtype=bool))[0].astype(int)
    assert (colours[:2, 1] > colours[:2, 0]).all()  # green
    assert (colours[2:, 0] > colours[2:, 1]).all()  # not green
    light = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light[2:]) <= 0).all()
    assert (colours[4] == colours[5]).all()


def test_the_command_writes_it_again_to_the_last_byte(result, capsys):
    folder, content = result
    write_json(folder / "result.json", content)
    assert main(["report", str(folder)]) == 0
    first = (folder / "report.html").read_bytes()
    assert report(folder).read_bytes() == first


@pytest.mark.parametrize("damage", ["absent", "version", "photos", "list"])
def test_what_is_no_result_is_told_in_one_sentence(result, damage):
    folder, content = result
    if damage != "absent":
        content.update(format_version=2) if damage == "version" else content.pop("photos")
        write_json(folder / "result.json", [] if damage == "list" else content)
    with pytest.raises(SolverError):
        report(folder)
    assert not (folder / "report.html").exists()


QUICK = {"iterations": 8, "max_gaussians": 900, "initial_gaussians": 600, "sh_degree": 0}


class InTheWay(Reporter):
    """Puts a folder where the report should go, when its time has come."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def stage(self, name: str, title: str) -> None:
        super().stage(name, title)
        if name == "report":
            (self.folder / "report.html" / "occupied").mkdir(parents=True)


def test_a_run_has_a_report_and_its_curves(tiny_capture, tmp_path):
    folder = tmp_path / "result"
    settings = settings_for("draft", hold_out=5, **QUICK)
    reconstruct(Job(tiny_capture.folder, folder, settings, device="cpu", command=["reconstruct", "x"]), Reporter())
    written = (folder / "report.html").read_bytes()
    assert (folder / "result.json").stat().st_mtime_ns >= (folder / "report.html").stat().st_mtime_ns
    curves = json.loads((folder / "history.json").read_text())
    assert curves["steps"] == list(range(1, 9)) and all(5 < value < 60 for value in curves["psnr"])
    page = Page(written.decode())
    assert len([image for image in page.all("img") if image.get("src")]) == 10 * 3 + 6
    assert len(page.all("polyline")) == 2
    assert report(folder).read_bytes() == written


def test_a_report_that_fails_costs_a_warning_and_not_the_result(tiny_capture, tmp_path):
    folder = tmp_path / "result"
    settings = settings_for("draft", surface=False, **QUICK)
    reporter = InTheWay(folder)
    reconstruct(Job(tiny_capture.folder, folder, settings, device="cpu"), reporter)
    content = json.loads((folder / "result.json").read_text())
    assert any("report could not be written" in warning for warning in content["warnings"])
    assert content["warnings"] == reporter.warnings
