# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver's environment, made for real: venv and pip of this machine, with small packages built here.

The whole solver is installed the same way by `make check-environment`; only the lock files differ.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile

import pytest

from blender_addon import environment, pythons
from blender_addon.environment import Places, examine
from blender_addon.environment_commands import Cancelled
from blender_addon.environment_install import Order, install
from blender_addon.errors import MacroError
from blender_addon.package_locks import Locks, platform_name

SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def write_wheel(folder, name, version, source="value = 1\n"):
    """A pure wheel with one module; returns its path and its line for a lock file."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}"
        for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,\n"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(zipfile.ZipInfo(inside, (1980, 1, 1, 0, 0, 0)), text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


@pytest.fixture(scope="session")
def interpreter():
    """This Python, as the extension's search sees it."""
    found = pythons.probe(sys.executable)
    assert not found.fault
    return found


@pytest.fixture
def wheels(tmp_path):
    """A folder of two wheels, and lock files that name them and a package of another Python."""
    folder, locks = tmp_path / "the wheels", tmp_path / "locks"
    locks.mkdir()
    _, core = write_wheel(folder, "tiny_core", "1.0")
    _, extra = write_wheel(folder, "tiny_extra", "2.0")
    elsewhere = f"never-here==9.9 ; python_full_version < '3.9' \\\n    --hash=sha256:{'0' * 64}\n"
    (locks / "torch-cpu.txt").write_text(f"# the core\n{core}")
    (locks / "packages.txt").write_text(extra + elsewhere)
    return folder


@pytest.fixture
def fresh(tmp_path, wheels, interpreter):
    """An installation from those wheels, of which nothing is done; the folder's name has spaces in it."""
    return Order(
        root=tmp_path / "of the extension" / "solver",
        interpreter=interpreter,
        locks=Locks(tmp_path / "locks"),
        device="cpu",
        check=("-c", "import tiny_core, tiny_extra"),
        home=tmp_path,
        wheels=wheels,
    )


@pytest.fixture(scope="session")
def bare(tmp_path_factory, interpreter):
    """An environment without packages: making one takes most of an installation's time."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("torch-cpu.txt", "packages.txt"):
        (folder / name).write_text("# nothing\n")
    run(Order(folder / "solver", interpreter, Locks(folder), "cpu", ("-c", "pass"), folder, index="http://127.0.0.1:9"))
    Places(folder / "solver").stamp.unlink()
    return folder / "solver"


@pytest.fixture
def order(fresh, bare):
    """The same, with the environment made and its packages not installed."""
    shutil.copytree(bare, fresh.root, symlinks=True)
    return fresh


def changed(order, **fields):
    return Order(**{**order.__dict__, **fields})


def run(order, cancelled=None):
    """Install to the end; returns the titles of the stages in order."""
    titles = []
    for progress in install(order, cancelled or threading.Event()):
        if not titles or titles[-1] != progress.title:
            titles.append(progress.title)
    return titles


def installed_modules(order):
    """What the new interpreter imports, asked of itself."""
    program = (
        "import json, sys, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    )
    answer = subprocess.run([Places(order.root).python, "-I", "-c", program], capture_output=True, check=True)
    return json.loads(answer.stdout)


def test_installs_from_a_folder_of_wheels(fresh):
    order = fresh
    assert examine(order.root, order.locks) == "absent"
    titles = run(order)
    assert titles[0] == "Preparing" and titles[-1] == "Installed"
    assert "Making the environment" in titles and "Installing packages" in titles and "Testing the solver" in titles
    assert "Downloading packages" not in titles
    assert examine(order.root, order.locks) == "ready"
    assert {"tiny_core": "1.0", "tiny_extra": "2.0"}.items() <= installed_modules(order).items()
    places = Places(order.root)
    assert not places.temporary.exists() and not places.wheels.exists()
    assert sorted(path.name for path in order.wheels.iterdir()) == [
        "tiny_core-1.0-py3-none-any.whl",
        "tiny_extra-2.0-py3-none-any.whl",
    ]
    log = places.log.read_text()
    assert "--no-index" in log and "Successfully installed tiny_core-1.0" in log.replace("tiny-core", "tiny_core")
    assert environment.stamp_of(order.root)["python"] == order.interpreter.label


def test_blenders_python_is_left_alone(order):
    before = subprocess.run([sys.executable, "-m", "pip", "freeze", "--all"], capture_output=True, check=True).stdout
    run(order)
    after = subprocess.run([sys.executable, "-m", "pip", "freeze", "--all"], capture_output=True, check=True).stdout
    assert after == before and b"tiny" not in after


@pytest.fixture
def index(wheels):
    """The wheels as a package index served on this machine, as PyPI lays one out."""
    import functools
    import http.server

    served = wheels.parent / "served"
    for wheel in wheels.iterdir():
        name = wheel.name.split("-")[0].replace("_", "-")
        place = served / "simple" / name
        place.mkdir(parents=True)
        (place / wheel.name).write_bytes(wheel.read_bytes())
        (place / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')

    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple", asked
    server.shutdown()
    server.server_close()


def test_downloads_and_does_not_download_twice(order, index, tmp_path):
    address, asked = index
    online = changed(order, wheels=None, index=address, torch_index=address)
    titles = run(online)
    assert titles.index("Downloading packages") < titles.index("Installing packages")
    assert examine(online.root, online.locks) == "ready"
    assert any(path.endswith("tiny_core-1.0-py3-none-any.whl") for path in asked)
    asked.clear()
    Places(online.root).stamp.unlink()
    assert "Making the environment" not in run(online) and asked == []  # a repair of what is whole fetches nothing
    (record,) = Places(online.root).venv.glob("**/tiny_core-1.0.dist-info/RECORD")
    record.unlink()
    run(online)
    assert asked and not any("tiny_extra" in path for path in asked)


def test_user_settings_that_would_divert_pip_are_left_out(order, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "base"))
    run(order)
    assert "tiny_core" in installed_modules(order)
    assert not (tmp_path / "elsewhere").exists() and not (tmp_path / "base").exists()


@pytest.mark.parametrize("damage", ["no stamp", "half a package", "half a venv"])
def test_half_finished_is_seen_and_repaired(order, damage):
    run(order)
    places = Places(order.root)
    places.stamp.unlink()
    if damage == "half a package":
        (record,) = places.venv.glob("**/tiny_core-1.0.dist-info/RECORD")
        record.unlink()
        record.parent.parent.joinpath("tiny_core.py").write_text("broken(")
    if damage == "half a venv":
        (places.venv / environment.OWNER).unlink()
        places.python.unlink()
    assert examine(order.root, order.locks) == "unfinished"
    run(order)
    assert examine(order.root, order.locks) == "ready"
    subprocess.run([places.python, "-I", "-c", "import tiny_core; tiny_core.value"], check=True)


def test_a_python_that_went_away_is_seen_and_replaced(order):
    run(order)
    places = Places(order.root)
    settings = places.venv / "pyvenv.cfg"
    text = settings.read_text()
    home = next(line for line in text.splitlines() if line.startswith("home"))
    settings.write_text(text.replace(home, f"home = {order.root / 'blender-4.2' / 'python' / 'bin'}"))
    assert examine(order.root, order.locks) == "broken"
    assert "Making the environment" in run(order)
    assert examine(order.root, order.locks) == "ready"


def test_another_lock_is_an_update_of_what_changed_only(order):
    run(order)
    _, line = write_wheel(order.wheels, "tiny_core", "1.1", "value = 2\n")
    (order.locks.folder / "torch-cpu.txt").write_text(line)
    assert examine(order.root, order.locks) == "outdated"
    assert "Making the environment" not in run(order)
    assert examine(order.root, order.locks) == "ready"
    assert installed_modules(order)["tiny_core"] == "1.1"
    assert "tiny_extra" not in Places(order.root).log.read_text().replace("import tiny_core, tiny_extra", "")


def test_what_the_lock_no_longer_has_is_taken_out(order):
    run(order)
    (order.locks.folder / "packages.txt").write_text("# nothing more\n")
    order = changed(order, check=("-c", "import tiny_core"))
    run(order)
    assert "tiny_extra" not in installed_modules(order)
    assert examine(order.root, order.locks) == "ready"


def test_line_ends_do_not_make_a_lock_stale(order):
    run(order)
    lock = order.locks.folder / "packages.txt"
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    assert examine(order.root, order.locks) == "ready"


def test_another_device_makes_the_environment_again(order):
    run(order)
    (order.locks.folder / "torch-cuda.txt").write_text((order.locks.folder / "torch-cpu.txt").read_text())
    (order.locks.folder / "cuda.txt").write_text("")
    assert "Making the environment" in run(changed(order, device="cuda"))
    assert environment.stamp_of(order.root)["device"] == "cuda"


def failing(order, match):
    """The sentence of an installation that must fail, and leave the environment unfinished."""
    with pytest.raises(MacroError, match=match) as caught:
        run(order)
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


def test_a_wheel_that_is_missing_is_named(order):
    next(order.wheels.glob("tiny_extra*")).unlink()
    sentence = failing(order, "the folder of wheels lacks tiny.extra==2.0")
    assert str(order.wheels) in sentence
    assert examine(order.root, order.locks) == "unfinished"
    write_wheel(order.wheels, "tiny_extra", "2.0")
    run(order)
    assert examine(order.root, order.locks) == "ready"


def test_a_wheel_with_another_content_is_refused(order):
    write_wheel(order.wheels, "tiny_core", "1.0", "import os  # not what was locked\n")
    failing(order, "tiny.core==1.0 is not the file that the extension's lock names")
    assert "tiny_core" not in installed_modules(order)


def test_an_index_that_cannot_be_reached_is_one_sentence(order, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    closed = "http://127.0.0.1:9/simple"
    failing(changed(order, wheels=None, index=closed, torch_index=closed), "the package index cannot be reached")


def test_a_solver_that_does_not_run_is_not_ready(order):
    failing(changed(order, check=("-c", "raise ImportError('libmissing.so')")), "libmissing")
    assert examine(order.root, order.locks) == "unfinished"


def test_a_folder_that_is_not_ours_is_neither_filled_nor_deleted(fresh):
    order = fresh
    order.root.mkdir(parents=True)
    (order.root / "holiday.jpg").write_bytes(b"x")
    failing(order, "taken by something else")
    with pytest.raises(MacroError, match="not made by this extension"):
        environment.delete(order.root)
    assert [path.name for path in order.root.iterdir()] == ["holiday.jpg"]


def test_an_empty_folder_of_wheels_is_told(fresh, tmp_path):
    (tmp_path / "empty").mkdir()
    failing(changed(fresh, wheels=tmp_path / "empty"), "there are no wheels in this folder")
    assert not fresh.root.exists()


def test_a_full_disk_is_told_before_anything_is_fetched(order):
    huge = {"download": 10**15, "installed": 10**16}
    sizes = {platform_name(): {"cpu": huge}}
    (order.locks.folder / "sizes.json").write_text(json.dumps(sizes))
    failing(order, r"the disk has .* free, and the installation needs 10000000\.0 GB")


def test_deleting_leaves_nothing(order):
    run(order)
    environment.delete(order.root)
    assert examine(order.root, order.locks) == "absent"
    assert list(order.root.parent.iterdir()) == []


def test_two_at_once_do_not_meet(fresh):
    first = install(fresh, threading.Event())
    while next(first).title != "Making the environment":
        pass
    failing(fresh, "another Blender is installing")
    first.close()
    assert [path.name for path in fresh.root.parent.iterdir()] == ["solver"]


def test_cancel_ends_the_children_and_leaves_a_half_finished_environment(order):
    cancelled, seen = threading.Event(), []
    order = changed(order, check=("-c", SLEEPER))
    with pytest.raises(Cancelled):
        for progress in install(order, cancelled):
            seen.append(progress.title)
            if child_in(order):
                cancelled.set()
    assert not alive(child_in(order))
    assert examine(order.root, order.locks) == "unfinished"


def test_leaving_the_generator_ends_the_children(order):
    order = changed(order, check=("-c", SLEEPER))
    steps = install(order, threading.Event())
    for _ in steps:
        if child_in(order):
            break
    steps.close()
    assert not alive(child_in(order))


def child_in(order):
    """The process number that the sleeper wrote into the log, once it has."""
    last = Places(order.root).log.read_text().split("\n")[-2:]
    return int(last[0]) if last[0].isdigit() and last[-1] == "" else None


def alive(process):
    for _ in range(50):
        try:
            os.kill(process, 0)
        except OSError:
            return False
        time.sleep(0.1)
    return True
