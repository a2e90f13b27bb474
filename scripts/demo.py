# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole street on one page: render a small capture, reconstruct it, import it into Blender, take a picture.

`make demo` runs this. A second run goes on where the first one was stopped.
"""

import argparse
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]
CAPTURE = ("--scene", "beetle", "--views", "20", "--held-out", "0", "--resolution", "200", "150", "--samples", "12")
TRAINING = ("--preset", "draft", "--iterations", "1500")
SHOWN_VIEWS = 3
SCENE_SCRIPT = ROOT / "scripts" / "demo_scene.py"


def main() -> int:
    """Run the steps, each in its own process; returns the first exit code that is not zero."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for capture, result and pictures")
    output = parser.parse_args().output.absolute()
    capture, result = output / "capture", output / "result"
    steps = (
        (
            "Rendering a macro capture with Cycles",
            [ROOT / "synthetic" / "make_dataset.py", "--output", capture, *CAPTURE, "--resume"],
        ),
        (
            "Reconstructing it from the blurred photos",
            ["-m", "solver", "reconstruct", capture, "--output", result, *TRAINING, "--resume"],
        ),
        (
            "Importing the result into Blender and rendering it",
            [SCENE_SCRIPT, "--result", result, "--output", output],
        ),
    )
    for number, (title, command) in enumerate(steps, start=1):
        print(f"[{number}/{len(steps)}] {title}", flush=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        log = output / "blender.log" if command[0] == SCENE_SCRIPT else None  # Blender tells of every sample
        with log.open("w") if log else nullcontext() as stdout:
            arguments = [sys.executable, *map(str, command)]
            code = subprocess.run(arguments, env=environment, stdout=stdout, check=False).returncode
        if code != 0:
            print(f"The demo stopped; make demo goes on from here, or begins anew without {output}.", file=sys.stderr)
            return code
    comparison(capture, result).save(output / "deblurred.png")
    print(f"Blender scene:                {output / 'demo.blend'}")
    print(f"Its render:                   {output / 'demo.png'}")
    print(f"Photo, deblurred, truth:      {output / 'deblurred.png'}")
    print(f"Result folder:                {result}")
    return 0


def comparison(capture: Path, result: Path) -> Image.Image:
    """Photo, deblurred view and ground truth, one row a view."""
    names = sorted(path.stem for path in (capture / "images").glob("*.png"))
    rows = []
    for name in names[:: max(1, len(names) // SHOWN_VIEWS)][:SHOWN_VIEWS]:
        sources = (
            capture / "images" / f"{name}.png",
            result / "sharp" / f"{name}.png",
            capture / "ground_truth" / "sharp" / f"{name}.png",
        )
        rows.append([Image.open(path).convert("RGB") for path in sources])
    width, height = rows[0][0].size
    scale = 2
    sheet = Image.new("RGB", (3 * width * scale, len(rows) * height * scale + 24), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("photo", "deblurred", "truth")):
        draw.text((column * width * scale + 8, 6), title, fill="black")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            larger = image.resize((width * scale, height * scale), Image.Resampling.LANCZOS)
            sheet.paste(larger, (column * width * scale, row * height * scale + 24))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
