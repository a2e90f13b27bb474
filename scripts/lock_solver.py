# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the lock files of the solver's environment, solver/locks/: `python scripts/lock_solver.py`, or `make lock`.

Reads the dependencies of pyproject.toml, has uv resolve them for every supported system and Python at once, and keeps
the checksums of the wheels that fit one of them. Fails where a package has no wheel for one: nothing is compiled on a
user's machine. Needs uv and packaging, and the network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging import tags
from packaging.markers import Marker
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "solver" / "locks"
PYTHONS = ((3, 11), (3, 12), (3, 13))
GLIBC = 28  # 2.28, as PyTorch's own wheels ask for
# PyTorch's builds that are not on PyPI, in bytes, read off their files; its index tells no sizes, so these are rough.
TORCH_BYTES = {("linux", "cpu"): 192_000_000, ("windows", "cuda"): 1_900_000_000}
UNPACKED = 3.9  # bytes on the disk for a byte of wheel, compiled modules included; measured on Linux


@dataclass(frozen=True)
class Target:
    """One system and Python that the solver is installed on."""

    system: str
    machine: str
    python: tuple[int, int]

    @property
    def name(self) -> str:
        """The key in sizes.json."""
        return f"{self.system}-{self.machine}"

    @cached_property
    def marker_environment(self) -> dict[str, str]:
        """What environment markers see there."""
        system, platform, os_name = {
            "linux": ("Linux", "linux", "posix"),
            "windows": ("Windows", "win32", "nt"),
            "macos": ("Darwin", "darwin", "posix"),
        }[self.system]
        version = f"{self.python[0]}.{self.python[1]}"
        return {
            "platform_system": system,
            "sys_platform": platform,
            "os_name": os_name,
            "platform_machine": {"windows": "AMD64"}.get(self.system, self.machine),
            "python_version": version,
            "python_full_version": f"{version}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }

    @cached_property
    def tags(self) -> list[tags.Tag]:
        """Those of the wheels that it can install, best first."""
        if self.system == "linux":
            platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC, 4, -1)]
            platforms += [f"manylinux{year}_{self.machine}" for year in ("2014", "2010", "1")]
        elif self.system == "windows":
            platforms = ["win_amd64"]
        else:
            platforms = list(tags.mac_platforms((14, 0), self.machine))
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        return [
            *tags.cpython_tags(self.python, platforms=platforms),
            *tags.compatible_tags(self.python, interpreter, platforms),
        ]


TARGETS = [
    Target(system, machine, python)
    for system, machine in (
        ("linux", "x86_64"),
        ("windows", "x86_64"),
        ("macos", "arm64"),
    )
    for python in PYTHONS
]


@dataclass(frozen=True)
class Package:
    """One pinned package, with the wheels of its release."""

    name: str
    version: str
    marker: str
    wheels: tuple[dict[str, Any], ...]

    def wanted_on(self, target: Target) -> bool:
        """Whether the target installs it."""
        return not self.marker or Marker(self.marker).evaluate(target.marker_environment)

    def wheel_for(self, target: Target) -> dict[str, Any] | None:
        """The wheel that pip takes there, or None."""
        order = {tag: rank for rank, tag in enumerate(target.tags)}
        ranked = [
            (min(order[tag] for tag in fitting), index)
            for index, wheel in enumerate(self.wheels)
            if (fitting := order.keys() & parse_wheel_filename(file_name(wheel))[3])
        ]
        return self.wheels[min(ranked)[1]] if ranked else None

    def line(self, hashes: set[str]) -> str:
        """The requirement as pip reads it."""
        text = f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")
        return " \\\n".join([text, *(f"    --hash=sha256:{digest}" for digest in sorted(hashes))])


def file_name(wheel: dict[str, Any]) -> str:
    """A wheel's file name."""
    return str(wheel["url"]).rpartition("/")[2].replace("%2B", "+")


def resolve(*extras: str) -> list[Package]:
    """The packages of pyproject.toml's dependencies, for all targets, sorted by name."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "pylock.toml"
        command = [uv, "pip", "compile", str(ROOT / "pyproject.toml"), "--universal", "--no-config", "--quiet"]
        command += ["--only-binary", ":all:", "--python-version", "3.11", "--output-file", str(output)]
        for extra in extras:
            command += ["--extra", extra]
        subprocess.run(command, check=True)
        locked = tomllib.loads(output.read_text(encoding="utf-8"))
    return [
        Package(entry["name"], entry["version"], simplified(entry.get("marker", "")), tuple(entry.get("wheels", ())))
        for entry in locked["packages"]
    ]


def simplified(marker: str) -> str:
    """The marker without what holds for every target, or the marker as it is."""
    if not marker or all(Marker(marker).evaluate(target.marker_environment) for target in TARGETS):
        return ""
    return marker


def lock(packages: list[Package], targets: list[Target]) -> Iterator[str]:
    """Lines of a lock file.

    Raises:
        SystemExit: a package has no wheel for one of the targets.
    """
    for package in packages:
        hashes = set()
        for target in targets:
            if not package.wanted_on(target):
                continue
            wheel = package.wheel_for(target)
            if wheel is None:
                raise SystemExit(f"{package.name} {package.version} has no wheel for {target}")
            hashes.add(wheel["hashes"]["sha256"])
        if hashes:
            yield package.line(hashes)


def sizes(packages: dict[str, list[Package]], torch: Package) -> dict[str, dict[str, dict[str, int]]]:
    """Bytes to download and on the disk, for each system and device; the largest over the Pythons."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for target in TARGETS:
        for device in ("cpu",) if target.system == "macos" else ("cpu", "cuda"):
            total = TORCH_BYTES.get((target.system, device), 0)
            if not total:
                wheel = torch.wheel_for(target)
                assert wheel is not None
                total = int(wheel["size"])
            for package in (*packages["packages"], *(packages["cuda"] if device == "cuda" else ())):
                wheel = package.wheel_for(target) if package.wanted_on(target) else None
                total += int(wheel["size"]) if wheel else 0
            known = table.setdefault(target.name, {}).get(device, {}).get("download", 0)
            download = max(total, known)
            table[target.name][device] = {"download": download, "installed": round(download * UNPACKED)}
    return table


def main() -> int:
    """Write all files."""
    everywhere = resolve()
    with_cuda = resolve("cuda")
    torch = next(package for package in everywhere if package.name == "torch")
    # On PyPI PyTorch's builds for Linux bring CUDA's libraries, and those for Windows and macOS do not.
    on_windows = [target for target in TARGETS if target.system == "windows"]
    plain = [p for p in everywhere if any(p.wanted_on(target) for target in on_windows) and p.name != "torch"]
    names = {(package.name, package.version) for package in plain}
    cuda = [p for p in with_cuda if (p.name, p.version) not in names and p.name != "torch"]
    # setuptools is only what gsplat's and triton's compilation on the user's machine needs, and small.
    head = "# Written by scripts/lock_solver.py from pyproject.toml; do not edit.\n"
    of_cuda = [target for target in TARGETS if target.system != "macos"]
    files = {
        "packages.txt": "\n".join(lock(plain, TARGETS)),
        "cuda.txt": "\n".join(lock(cuda, of_cuda)),
        "torch-cpu.txt": f'torch=={torch.version}+cpu ; sys_platform == "linux"\n'
        f'torch=={torch.version} ; sys_platform != "linux"',
        "torch-cuda.txt": f'torch=={torch.version} ; sys_platform == "linux"\n'
        f'torch=={torch.version}+cu130 ; sys_platform == "win32"',
    }
    LOCKS.mkdir(exist_ok=True)
    for name, text in files.items():
        (LOCKS / name).write_text(f"{head}{text}\n", encoding="utf-8", newline="\n")
    table = sizes({"packages": plain, "cuda": cuda}, torch)
    (LOCKS / "sizes.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8", newline="\n")
    print(json.dumps(table, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
