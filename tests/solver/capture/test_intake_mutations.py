# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos with bytes flipped, cut, taken out and put in: an image or a SolverError comes out, soon, in little memory.

The decoders are C libraries, so each format has a process of its own, which may neither crash nor hang.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

ROOT = Path(__file__).parents[3]
MUTATIONS = 40
MOST_MEMORY_MB = 400  # resident, libraries included

MUTATE = """
import json, random, resource, sys
from pathlib import Path
from solver.capture.exif import read_exif
from solver.capture.images import check_image, decode, image_size
from solver.errors import SolverError

path, mutations, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
works = (image_size, check_image, decode, read_exif)
for work in works:
    work(path)  # unharmed
whole, dice = path.read_bytes(), random.Random(seed)
told = {"good": 0, "refused": 0, "sentences": []}
for _ in range(mutations):
    content, kind = bytearray(whole), dice.random()
    if kind < 0.2:
        del content[dice.randrange(len(content)) :]
    elif kind < 0.8:
        reach = min(len(content), 700) if dice.random() < 0.6 else len(content)
        for _ in range(dice.choice([1, 1, 2, 4, 16])):
            content[dice.randrange(reach)] = dice.choice([0, 255, dice.randrange(256)])
    elif kind < 0.9:
        start = dice.randrange(len(content))
        del content[start : start + dice.randrange(1, 20)]
    else:
        start = dice.randrange(len(content))
        content[start:start] = dice.randbytes(dice.randrange(1, 20))
    path.write_bytes(content)
    for work in works:
        try:
            work(path)
            told["good"] += 1
        except SolverError as error:
            told["refused"] += 1
            told["sentences"].append(error.sentence)
status = Path("/proc/self/status")  # ru_maxrss would count what the parent had when it forked
lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
told["megabytes"] = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:"))
print(json.dumps(told))
"""


def photo_of(kind: str, path: Path, write_dng) -> None:
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 600D"
    exif.get_ifd(0x8769).update(
        {0x829D: 5.6, 0x920A: 100.0, 0x9003: "2026:05:04 03:02:01", 0xA20E: 5000.0, 0xA002: 96, 0xA005: {1: "R03"}}
    )
    if kind == "dng":
        write_dng(path, pixels / 255)
    elif kind == "heic":
        image = pillow_heif.from_pillow(Image.fromarray(pixels))
        image.info["exif"] = exif.tobytes()
        image.save(path)
    elif kind == "deep.png":
        cv2.imwrite(str(path), pixels.astype(np.uint16) * 257)
    elif kind == "deep.tif":
        tifffile.imwrite(path, pixels.astype(np.uint16) * 257, photometric="rgb", compression="zlib")
    else:
        Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "heic", "dng", "deep.png", "deep.tif"])
def test_mutations(tmp_path, write_dng, kind):
    path = tmp_path / f"ä photo.{kind}"
    photo_of(kind, path, write_dng)
    run = subprocess.run(
        [sys.executable, "-c", MUTATE, str(path), str(MUTATIONS), "0"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["refused"] > 10
    assert told["good"] > 0
    assert told["megabytes"] < MOST_MEMORY_MB
    for sentence in told["sentences"]:
        assert sentence.startswith(f"{path}: the ")
        assert "\n" not in sentence
        assert "; " in sentence


def test_the_limits_are_felt(tmp_path):
    """That memory is limited at all: numbers of the test above mean something."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); bytearray(2 << 30)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MemoryError" in run.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 1 << 30
