# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock files: which packages the solver's environment has, every one pinned (docs/development.md, "Lock files")."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import MacroError
from .pythons import Device

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")


@dataclass(frozen=True)
class Locks:
    """The folder of lock files: `packages.txt` for everyone, `torch-DEVICE.txt`, and `cuda.txt` for CUDA alone."""

    folder: Path

    def files(self, device: Device) -> tuple[Path, ...]:
        """The lock files for a device, in the order of their installation."""
        names = (f"torch-{device}.txt", *(("cuda.txt",) if device == "cuda" else ()), "packages.txt")
        return tuple(self.folder / name for name in names)

    def fingerprint(self, device: Device) -> str:
        """Changes with any of the pins; not with line ends, which an archive may change."""
        digest = hashlib.sha256()
        for path in self.files(device):
            digest.update(path.read_text(encoding="utf-8").encode() + b"\0")
        return digest.hexdigest()

    def sizes(self, device: Device) -> tuple[int, int]:
        """Bytes to download and bytes on the disk afterwards, about; zeros where they are not known."""
        try:
            known = json.loads((self.folder / "sizes.json").read_text(encoding="utf-8"))
            of_device = known[platform_name()][device]
            return int(of_device["download"]), int(of_device["installed"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0


def platform_name() -> str:
    """Such as `linux-x86_64`: the key of `sizes.json`."""
    if sys.platform == "win32":
        return "windows-x86_64"
    if sys.platform == "darwin":
        return "macos-arm64"
    return f"linux-{os.uname().machine}"


def pins(lock: str) -> Iterator[tuple[str, str, str]]:
    """The requirements of a lock file: normalized name, version, and the text with its continuation lines."""
    block = ""
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        block += line + "\n"
        if not line.endswith("\\"):
            match = _PIN.match(block)
            if match is None:
                raise MacroError(f"the extension's lock file has a line that is not a pin ({block.strip()[:80]})")
            yield normalized(match[1]), match[2], block
            block = ""


def normalized(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
