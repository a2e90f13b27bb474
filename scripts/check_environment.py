# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the whole solver as the extension does, verify it, and say how long it took: `make check-environment`.

Takes minutes and hundreds of megabytes, so it is not among the tests. What is there already is finished or updated.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from blender_addon import environment, pythons  # noqa: E402 - a script of the checkout, not a package
from blender_addon.environment_install import Order, install  # noqa: E402
from blender_addon.errors import MacroError  # noqa: E402
from blender_addon.package_locks import Locks  # noqa: E402
from blender_addon.quantities import size_text  # noqa: E402


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "solver", help="folder of the environment")
    parser.add_argument("--python", default="", help="interpreter to make it with (default: one that will do)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: as the machine has it")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install from, without the network")
    parser.add_argument("--torch-index", default="", help="another index of PyTorch's builds")
    arguments = parser.parse_args()
    root = arguments.output.absolute()
    locks = Locks(ROOT / "solver" / "locks")
    started, shown, tenth = time.monotonic(), "", 0
    try:
        order = Order(
            root=root,
            interpreter=pythons.find(arguments.python),
            locks=locks,
            device=arguments.device or pythons.look_at_machine().device,
            check=("-m", "solver", "doctor", "--json", str(environment.Places(root).doctor)),
            home=ROOT,
            wheels=arguments.wheels,
            torch_index=arguments.torch_index,
        )
        download, installed = (size_text(size) for size in locks.sizes(order.device))
        print(f"{order.interpreter.label}, {order.device}: about {download} to download, {installed} on the disk")
        for progress in install(order, threading.Event()):
            if progress.title != shown or int(10 * (progress.fraction or 0)) != tenth:
                shown, tenth = progress.title, int(10 * (progress.fraction or 0))
                print(f"{time.monotonic() - started:6.0f} s  {shown}  {progress.detail}", flush=True)
    except MacroError as error:
        print(f"Error: {error.sentence}", file=sys.stderr)
        return 1
    print(f"{environment.examine(root, locks)}: {environment.summary(root)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
