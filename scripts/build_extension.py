# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the Blender extension's zip, without Blender: `python scripts/build_extension.py [--output DIR]`.

The contents are those of `blender --command extension build`, which reads the same manifest. The bytes depend on the
files' contents alone: sorted names, one fixed time, no owner.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = "blender_manifest.toml"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


def travelling_files(root: Path) -> list[str]:
    """The paths, relative to `root` and with forward slashes, that go into the zip.

    Of the manifest's exclusion patterns this understands the two kinds that it uses: everything at the top ("/*") but
    the names given as "!/NAME", and below those no file or folder that matches one of the remaining patterns.

    Raises:
        ValueError: the manifest has a pattern of another kind.
    """
    patterns = tomllib.loads((root / MANIFEST).read_text(encoding="utf-8"))["build"]["paths_exclude_pattern"]
    top = [pattern[2:] for pattern in patterns if pattern.startswith("!/")]
    unwanted = [pattern.rstrip("/") for pattern in patterns if not pattern.startswith(("!/", "/"))]
    if "/*" not in patterns or any("/" in pattern for pattern in top + unwanted):
        raise ValueError(f"{root / MANIFEST}: paths_exclude_pattern has a pattern that this script does not know.")
    found = [MANIFEST, *(name for name in top if (root / name).is_file())]
    for name in top:
        for folder, folders, files in os.walk(root / name):
            folders[:] = [f for f in folders if not any(fnmatch.fnmatch(f, pattern) for pattern in unwanted)]
            found += [
                (Path(folder) / file).relative_to(root).as_posix()
                for file in files
                if not any(fnmatch.fnmatch(file, pattern) for pattern in unwanted)
            ]
    return sorted(found)


def build(root: Path, output: Path) -> Path:
    """Write the zip into the folder `output` and return its path, `ID-VERSION.zip`."""
    manifest = tomllib.loads((root / MANIFEST).read_text(encoding="utf-8"))
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{manifest['id']}-{manifest['version']}.zip"
    temporary = output / f".{target.name}"
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in travelling_files(root):
                entry = zipfile.ZipInfo(name, FIXED_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, on whatever system this runs
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, (root / name).read_bytes(), compresslevel=9)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the zip (default: dist)")
    try:
        print(build(ROOT, parser.parse_args().output))
    except (OSError, ValueError, KeyError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
