# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input, through the real command line: exit code 1, one sentence that names the file and says what to do.

Nothing is left behind, and nobody sees a traceback.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from solver.cli import _run, main
from solver.events import reporter

ROOT = Path(__file__).parents[2]
SINGULAR = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


@pytest.fixture(autouse=True)
def signal_handlers():
    """The command line takes the signals over; the test run wants them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a command that must fail, and returns its sentence."""

    def run(*arguments) -> str:
        output = tmp_path / "result"
        existed = output.exists()
        events = ["--events", "json"] if arguments[0] == "reconstruct" else []
        capsys.readouterr()
        code = main([*map(str, arguments), *events])
        told = capsys.readouterr()
        assert code == 1
        assert "Traceback" not in told.err + told.out
        if events:
            lines = [json.loads(line) for line in told.out.splitlines()]
            (error,) = [line for line in lines if line["event"] == "error"]
            assert error == lines[-1]
            assert error["what"]
            assert error["remedy"]
            sentence = error["message"]
        else:
            (line,) = [line for line in told.err.splitlines() if line.startswith("Error: ")]
            sentence = line.removeprefix("Error: ")
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert existed or not output.exists()
        assert not [path for path in tmp_path.rglob(".*") if path.is_file()]  # no temporary file
        return sentence

    return run


def photo(path: Path, size=(200, 150), seed=0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    """Three pictures of unrelated noise."""
    for i in range(3):
        photo(tmp_path / "photos" / f"p{i}.png", seed=i)
    return tmp_path / "photos"


@pytest.fixture
def capture(tiny_capture, tmp_path) -> Path:
    """A copy of the good capture, to be spoilt."""
    return shutil.copytree(tiny_capture.folder, tmp_path / "capture")


@pytest.fixture(scope="module")
def result(tiny_capture, tmp_path_factory) -> Path:
    """A result that is poor but whole."""
    folder = tmp_path_factory.mktemp("results") / "result"
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    code = main(
        [
            *("reconstruct", str(tiny_capture.folder), "--output", str(folder), "--preset", "draft", "--device", "cpu"),
            *("--iterations", "3", "--set", "initial_gaussians=300", "sh_degree=0"),
        ]
    )
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert code == 0
    return folder


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# photos


def test_capture_that_is_not_there(refused, tmp_path):
    told = refused("reconstruct", tmp_path / "nowhere", "--output", tmp_path / "result")
    assert told.startswith(f"{tmp_path / 'nowhere'}: the capture does not exist")


def test_no_photos(refused, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").touch()
    told = refused("reconstruct", tmp_path / "photos", "--output", tmp_path / "result")
    assert told.startswith(f"{tmp_path / 'photos'}: the folder holds no photos; choose a folder")


def test_one_photo(refused, tmp_path):
    photo(tmp_path / "photos" / "p.png")
    told = refused("reconstruct", tmp_path / "photos", "--output", tmp_path / "result")
    assert "the folder holds one photo; add photos" in told


def test_two_photos(refused, photos, tmp_path):
    """Said before the search for poses, which takes three."""
    (photos / "p2.png").unlink()
    told = refused("reconstruct", photos, "--output", tmp_path / "result")
    assert told.startswith(f"{photos}: the folder holds 2 photos, too few to find poses from; add photos")


def test_a_photo_instead_of_a_folder(refused, photos, tmp_path):
    told = refused("reconstruct", photos / "p0.png", "--output", tmp_path / "result")
    assert told.startswith(f"{photos / 'p0.png'}: the capture is a file")


@pytest.mark.parametrize("content", ["text", "half"])
def test_unreadable_image(refused, photos, tmp_path, content):
    path = photos / "p1.png"
    path.write_bytes(b"these are no pixels" if content == "text" else path.read_bytes()[:4000])
    told = refused("reconstruct", photos, "--output", tmp_path / "result")
    assert told.startswith(f"{path}: the image cannot be decoded")
    assert "export it again, or remove it" in told


def test_photos_of_two_sizes(refused, photos, tmp_path):
    photo(photos / "p1.png", size=(160, 200))
    told = refused("reconstruct", photos, "--output", tmp_path / "result")
    assert told.startswith(f"{photos / 'p1.png'}: photos of two sizes")


def test_a_broken_photo_among_enough(capsys, photos, tmp_path):
    """It is told and left out; what then fails is another matter: these photos have nothing in common."""
    photo(photos / "p3.png", seed=3)
    (photos / "p1.png").write_bytes((photos / "p1.png").read_bytes()[:4000])
    (photos / "gone.jpg").symlink_to(photos / "gone.jpg")
    output = str(tmp_path / "result")
    assert main(["reconstruct", str(photos), "--output", output, "--device", "cpu", "--events", "json"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    warnings = [line["message"] for line in told if line["event"] == "warning"]
    assert warnings[0] == f"{photos / 'gone.jpg'}: the link leads to no file; it was left out"
    assert warnings[1].startswith(f"{photos / 'p1.png'}: the image cannot be decoded (")
    assert warnings[1].endswith("it was left out")
    assert "too few photos found a pose (0 of 3)" in told[-1]["message"]


def test_photos_of_many_kinds_are_read(refused, tmp_path):
    """CMYK, 16 bits of grey, alpha, a palette, a wrong suffix and garbled metadata are no reason to refuse."""
    folder = tmp_path / "Käfer & Blüten"
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3)).astype(np.uint8)
    folder.mkdir()
    Image.fromarray(noise).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(folder / "deep grey.png")
    Image.fromarray(noise).convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(noise).quantize().save(folder / "palette.png")
    Image.fromarray(noise).save(folder / "wrong.png", format="JPEG")
    Image.fromarray(noise).save(folder / "garbled.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 60)
    told = refused("reconstruct", folder, "--output", tmp_path / "result")
    assert "photos found a pose" in told


def test_headers_that_claim_too_much(refused, photos, tmp_path):
    content = bytearray((photos / "p1.png").read_bytes())
    content[16:24] = (25_000).to_bytes(4, "big") + (20_000).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (photos / "p1.png").write_bytes(content)
    told = refused("reconstruct", photos, "--output", tmp_path / "result")
    assert told.startswith(f"{photos / 'p1.png'}: the image claims more than 178 megapixels; reduce its size")


def test_a_link_to_itself_for_a_capture(refused, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    told = refused("reconstruct", tmp_path / "loop", "--output", tmp_path / "result")
    assert told.startswith(f"{tmp_path / 'loop'}: the capture does not exist")
    (tmp_path / "result").mkdir()
    told = refused("reconstruct", tmp_path / "loop", "--output", tmp_path / "result")
    assert told.startswith(f"{tmp_path / 'loop'}: the capture does not exist")


@pytest.mark.parametrize(
    ("option", "value", "bounds"),
    [
        ("--f-number", "0", "0.5 to 512"),
        ("--focal-length-mm", "-5", "0.5 to 5000"),
        ("--sensor-width-mm", "nan", "1 to"),
    ],
)
def test_a_lens_that_cannot_be(refused, photos, tmp_path, option, value, bounds):
    told = refused("reconstruct", photos, "--output", tmp_path / "result", option, value)
    assert told.startswith(f"{option} is {value}; give a number from {bounds}")


def test_photos_that_show_nothing_in_common(refused, photos, tmp_path):
    told = refused("reconstruct", photos, "--output", tmp_path / "a" / "result")
    assert told.startswith(f"{photos}: too few photos found a pose (0 of 3)")
    assert "take more photos" in told
    assert not (tmp_path / "a").exists()


# transforms.json


def test_transforms_with_too_few_images_left(refused, capture, tmp_path):
    missing = sorted((capture / "images").iterdir())[2:]
    for image in missing:
        image.unlink()
    told = refused("reconstruct", capture, "--output", tmp_path / "result")
    assert told == f"{missing[0]}: the image is missing; put it back."


def test_transforms_with_a_singular_matrix(refused, capture, tmp_path):
    edit(capture / "transforms.json", lambda content: content["frames"][3].update(transform_matrix=SINGULAR))
    told = refused("reconstruct", capture, "--output", tmp_path / "result")
    assert told.startswith(f"{capture / 'transforms.json'}, frame view_03: transform_matrix is singular")


def test_transforms_that_are_no_json(refused, capture, tmp_path):
    (capture / "transforms.json").write_text("{")
    told = refused("reconstruct", capture, "--output", tmp_path / "result")
    assert told.startswith(f"{capture / 'transforms.json'}: the camera file is not valid JSON")


# where the result goes


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc"])
def test_output_that_cannot_be_written(refused, capture, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    output = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "result", "/proc": Path("/proc/result")}
    told = refused("reconstruct", capture, "--output", output[place])
    assert told.startswith(f"{output[place]}: the output ")
    assert "choose a" in told
    assert (tmp_path / "file").read_text() == "mine"


def test_output_in_the_capture_itself(refused, capture):
    told = refused("reconstruct", capture, "--output", capture)
    assert told == f"{capture}: the output folder is the capture itself; choose another output folder."
    assert (capture / "transforms.json").exists()


def test_output_among_photos(refused, capture):
    told = refused("reconstruct", capture, "--output", capture / "images")
    assert "the output folder holds photos" in told


def test_output_where_something_else_is(refused, capture, tmp_path):
    """What looks like our result and is not stays untouched."""
    (tmp_path / "other" / "depth").mkdir(parents=True)
    (tmp_path / "other" / "depth" / "soundings.txt").touch()
    told = refused("reconstruct", capture, "--output", tmp_path / "other")
    assert "the output folder holds depth of something else" in told
    assert (tmp_path / "other" / "depth" / "soundings.txt").exists()
    (tmp_path / "other" / "result.json").write_text('{"soundings": 3}')
    told = refused("reconstruct", capture, "--output", tmp_path / "other")
    assert "the output folder holds result.json of something else" in told
    assert (tmp_path / "other" / "depth" / "soundings.txt").exists()


def test_full_disk(result, capture, refused, tmp_path):
    """Files cannot grow beyond 2 kB: the picture is not written, and neither is half of it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        told = refused("render", result, "--cameras", capture / "transforms.json", "--output", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "space on the disk" in told
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


# options


def test_masks_that_are_not_there(refused, capture, tmp_path):
    masks = tmp_path / "masks"
    told = refused("reconstruct", capture, "--output", tmp_path / "result", "--masks", masks)
    assert told.startswith(f"{masks}: the folder of masks does not exist")
    masks.mkdir()
    told = refused("reconstruct", capture, "--output", tmp_path / "result", "--masks", masks)
    assert told.startswith(f"{masks}: the folder of masks has none for view_00.png and 9 others")


def test_masks_that_are_all_black(refused, capture, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for image in (capture / "images").iterdir():
        Image.new("L", (72, 54)).save(masks / image.name)
    told = refused("reconstruct", capture, "--output", tmp_path / "result", "--masks", masks, "--device", "cpu")
    assert told == f"{masks}: the masks are all black; make the subject white in them."


def test_training_on_sharp_images_that_are_not_there(refused, capture, photos, tmp_path):
    arguments = ("--output", tmp_path / "result", "--train-on", "sharp")
    assert "no sharp images; leave --train-on sharp out" in refused("reconstruct", photos, *arguments)
    shutil.rmtree(capture / "ground_truth" / "sharp")
    assert "no sharp image of view_00; leave --train-on sharp out" in refused("reconstruct", capture, *arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_that_is_not_there(refused, photos, tmp_path):
    """Said at once, not after minutes of finding poses."""
    told = refused("reconstruct", photos, "--output", tmp_path / "result", "--device", "cuda")
    assert told.startswith("CUDA cannot be used: ")
    assert told.endswith("use --device cpu.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--set", "speed=3"), "there is no setting 'speed'"),
        (("--set", "sh_degree=3.5"), "sh_degree=3.5 is not possible"),
        (("--iterations", "0"), "the setting iterations is 0; choose a number from 1"),
        (("--set", "checkpoint_interval=0"), "the setting checkpoint_interval is 0"),
        (("--hold-out", "1"), "leaves no photo to train on"),
    ],
)
def test_settings_that_cannot_be(refused, capture, tmp_path, arguments, sentence):
    assert sentence in refused("reconstruct", capture, "--output", tmp_path / "result", *arguments)


def test_wrong_usage_is_code_two(capsys, tmp_path):
    for arguments in (["reconstruct"], ["reconstruct", "x", "--output", "y", "--preset", "best"], ["conquer"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_resuming_from_a_damaged_checkpoint(refused, capture, tmp_path):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "checkpoint.pt").write_bytes(b"PK\x03\x04 and then nothing")
    told = refused("reconstruct", capture, "--output", tmp_path / "result", "--device", "cpu", "--resume")
    assert told.startswith(f"{tmp_path / 'result' / 'checkpoint.pt'}: the checkpoint is damaged")
    assert "without --resume" in told
    assert (tmp_path / "result" / "checkpoint.pt").exists()


def test_resuming_with_other_poses(refused, result, capture, tmp_path):
    """As after masks or settings that made the poses be found anew: the old Gaussians stand in another world."""
    folder = shutil.copytree(result, tmp_path / "result")

    def move(content):
        content["frames"][3]["transform_matrix"][0][3] += 5

    edit(capture / "transforms.json", move)
    arguments = ("--preset", "draft", "--iterations", "3", "--set", "initial_gaussians=300", "sh_degree=0")
    told = refused("reconstruct", capture, "--output", folder, *arguments, "--device", "cpu", "--resume")
    assert told == f"{folder / 'checkpoint.pt'}: the checkpoint belongs to other poses; run without --resume."


@pytest.mark.parametrize("take", [torch.empty, lambda size: np.empty(size, np.float32)])
def test_memory_that_does_not_suffice(capsys, take):
    class Greedy:
        def run(self, watcher, arguments):
            take(10**15)

    assert _run(Greedy(), [], reporter("text")) == 1
    assert "memory does not suffice; lower --max-size" in capsys.readouterr().err


# evaluate and render


def test_evaluating_what_is_no_result(refused, capture, tmp_path):
    told = refused("evaluate", tmp_path / "nowhere", "--ground-truth", capture)
    assert told.startswith(f"{tmp_path / 'nowhere'}: the result folder does not exist")
    (tmp_path / "empty").mkdir()
    told = refused("evaluate", tmp_path / "empty", "--ground-truth", capture)
    assert told.startswith(f"{tmp_path / 'empty' / 'result.json'}: the result's description is missing")


def test_evaluating_against_no_ground_truth(refused, result, photos):
    told = refused("evaluate", result, "--ground-truth", photos)
    assert told == f"{photos}: the capture has no ground truth; name the generated capture."


def test_evaluating_into_a_place_that_cannot_be_written(refused, result, capture, tmp_path):
    (tmp_path / "file").touch()
    told = refused("evaluate", result, "--ground-truth", capture, "--json", tmp_path / "file" / "numbers.json")
    assert str(tmp_path / "file") in told


@pytest.mark.parametrize("name", ["result.json", "transforms.json", "checkpoint.pt"])
def test_damaged_results(refused, result, capture, tmp_path, name):
    folder = shutil.copytree(result, tmp_path / "result")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    told = refused("evaluate", folder, "--ground-truth", capture)
    assert told.startswith(f"{folder / name}: the ")
    told = refused("render", folder, "--cameras", capture / "transforms.json", "--output", tmp_path / "out")
    assert told.startswith(f"{folder / name}: the ")
    assert not (tmp_path / "out").exists()


def test_rendering_what_is_no_result_or_has_no_cameras(refused, result, capture, tmp_path):
    out = tmp_path / "out"
    told = refused("render", capture, "--cameras", capture / "transforms.json", "--output", out)
    assert told.startswith(f"{capture / 'result.json'}: the result's description is missing")
    told = refused("render", result, "--cameras", tmp_path / "gone.json", "--output", out)
    assert told.startswith(f"{tmp_path / 'gone.json'}: the camera file is missing")
    (tmp_path / "file").touch()
    told = refused("render", result, "--cameras", capture / "transforms.json", "--output", tmp_path / "file")
    assert told.startswith(f"{tmp_path / 'file'}: the output path is a file")
    assert not out.exists()


# as a program


def solver(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "solver", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


def test_the_program_tells_an_error_and_leaves_with_one(tmp_path):
    (tmp_path / "photos").mkdir()
    run = solver("reconstruct", tmp_path / "photos", "--output", tmp_path / "result", "--events", "json")
    assert run.returncode == 1
    assert run.stderr == ""
    *_, last = (json.loads(line) for line in run.stdout.splitlines())
    assert last["event"] == "error"
    assert last["where"] == str(tmp_path / "photos")
    assert not (tmp_path / "result").exists()


def test_the_program_tells_a_person_in_a_sentence(tmp_path):
    run = solver("evaluate", tmp_path, "--ground-truth", tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    expected = f"Error: {tmp_path}: the capture has no ground truth; name the generated capture."
    assert run.stderr.splitlines() == ["Comparing with the truth", expected]


def test_nobody_listens_any_more(tmp_path):
    """Whoever read the events is gone before the first: no traceback, and no hang."""
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [sys.executable, "-m", "solver", "reconstruct", str(tmp_path), "--output", "x", "--events", "json"],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        os.close(writing)
        _, told = child.communicate(timeout=120)
    assert child.returncode == 1
    assert told == ""
    assert not (ROOT / "x").exists()
