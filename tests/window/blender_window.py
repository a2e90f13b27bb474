# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Blender with a window, its mouse and keyboard, and pictures of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

WIDTH, HEIGHT = 1440, 900
START_S, ANSWER_S = 180, 60
STEP_PX = 12  # less than a button's height
MIDDLE, LEFT, RIGHT = (0.45,), (0.25,), (0.65,)  # where across the sidebar wide buttons are
ICONS = (0.83, 0.74, 0.66, 0.61)  # and small ones
PAGES, WHEEL_CLICKS = 3, 6  # of the sidebar, when it is longer than the window
REMOTE = Path(__file__).with_name("remote.py")


class Screen:
    """The display that is there, or a virtual one."""

    def __init__(self) -> None:
        self._server = None
        self.name = os.environ.get("DISPLAY", "")
        if not self.name:
            reading, writing = os.pipe()
            self._server = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "+extension", "GLX"],
                pass_fds=[writing],
                stderr=subprocess.DEVNULL,
            )
            os.close(writing)
            with os.fdopen(reading) as told:
                self.name = ":" + told.readline().strip()

    @property
    def environment(self) -> dict[str, str]:
        """For programs that draw on it; a virtual display has no graphics card."""
        software = {"LIBGL_ALWAYS_SOFTWARE": "1"} if self._server is not None else {}
        return {**os.environ, "DISPLAY": self.name, **software}

    def close(self) -> None:
        """End the virtual display."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait()


class BlenderWindow:
    """One Blender, from its start to its end."""

    def __init__(self, blender: str, screen: Screen, folder: Path, pictures: Path) -> None:
        """Start it with user folders below `folder`, which a later one may share, and wait for its window."""
        self._environment, self._pictures = screen.environment, pictures
        self._remote = folder / f"remote-{time.time_ns()}"
        self._remote.mkdir(parents=True)
        self._count = 0
        pictures.mkdir(parents=True, exist_ok=True)
        environment = {
            **self._environment,
            "BLENDER_USER_RESOURCES": str(folder / "user"),
            "MACRO_WINDOW_REMOTE": str(self._remote),
        }
        self.log_path = self._remote / "blender.log"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [blender, "--window-geometry", "0", "0", str(WIDTH), str(HEIGHT), "--python", REMOTE],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.ask("1", timeout_s=START_S)
        self._window = self._xdotool("search", "--onlyvisible", "--class", "blender").split()[0]
        self._height = self.ask("bpy.context.window_manager.windows[0].height")
        self._mouse = (0, 0)

    def run(self, program: str, timeout_s: float = ANSWER_S):
        """Run Python inside; gives what it assigned to `answer`."""
        self._count += 1
        question = self._remote / f"{self._count:05d}.py"
        aside = question.with_suffix(".new")
        aside.write_text(program, encoding="utf-8")
        aside.replace(question)
        reply, deadline = question.with_suffix(".json"), time.monotonic() + timeout_s
        while not reply.exists():
            if self._process.poll() is not None:
                raise AssertionError(f"Blender ended early:\n{self.log()}")
            assert time.monotonic() < deadline, f"no answer to {program}\n{self.log()}"
            time.sleep(0.01)
        content = json.loads(reply.read_text(encoding="utf-8"))
        assert "error" not in content, f"{program}\n{content.get('error')}"
        return content["answer"]

    def ask(self, expression: str, timeout_s: float = ANSWER_S):
        """The value of an expression inside."""
        return self.run(f"answer = {expression}", timeout_s)

    def wait_for(self, expression: str, timeout_s: float) -> None:
        """Look until it is true inside."""
        deadline = time.monotonic() + timeout_s
        while not self.ask(expression):
            assert time.monotonic() < deadline, (
                f"still not: {expression}\n{self.ask('[vars(one) for one in job().jobs]')}\n{self.log()}"
            )
            time.sleep(0.1)

    def log(self) -> str:
        """What it said last."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-3000:]

    def open_tab(self) -> None:
        """Show the sidebar with the tab Macro."""
        self.run("view()[1].spaces.active.show_region_ui = True")
        self._settle()
        self.run("view()[2].active_panel_category = 'Macro'; view()[1].tag_redraw()")
        self._settle()

    def move(self, x: int, y: int) -> None:
        """Put the mouse somewhere, in Blender's pixels: from the lower left."""
        self._xdotool("mousemove", "--window", self._window, str(x), str(self._height - 1 - y))
        self._mouse = (x, y)
        time.sleep(0.06)

    def find(self, command: str, columns: tuple[float, ...] = MIDDLE) -> None:
        """Move the mouse down the sidebar, at shares of its width, until it is on the button that does `command`."""
        if command in self.ask("button_under_the_mouse()") or self._is_on_this_page(command, columns):
            return
        self._turn_the_wheel(up=True, clicks=PAGES * WHEEL_CLICKS)
        for _ in range(PAGES):
            if self._is_on_this_page(command, columns):
                return
            self._turn_the_wheel(up=False, clicks=WHEEL_CLICKS)
        raise AssertionError(f"no button {command} in the sidebar")

    def _is_on_this_page(self, command: str, columns: tuple[float, ...]) -> bool:
        left, bottom, width, height = self.ask("[view()[2].x, view()[2].y, view()[2].width, view()[2].height]")
        for share in columns:
            for y in range(bottom + height - 30, bottom, -STEP_PX):
                self.move(left + int(share * width), y)
                if command in self.ask("button_under_the_mouse()"):
                    return True
        return False

    def _turn_the_wheel(self, *, up: bool, clicks: int) -> None:
        left, bottom, width, height = self.ask("[view()[2].x, view()[2].y, view()[2].width, view()[2].height]")
        self.move(left + int(0.3 * width), bottom + height // 2)
        self._xdotool("click", "--repeat", str(clicks), "--delay", "30", "4" if up else "5")
        self._settle()

    def press(self, command: str, columns: tuple[float, ...] = MIDDLE) -> None:
        """Click on a button of the sidebar."""
        self.find(command, columns)
        self.click()

    def shows(self, command: str) -> bool:
        """Whether the sidebar has this button."""
        try:
            self.find(command)
        except AssertionError:
            return False
        return True

    def close_preferences(self) -> None:
        """Close the window that a button has opened; wait for it before."""
        self.wait_for("len(bpy.context.window_manager.windows) == 2", 20)
        self.run(
            "with bpy.context.temp_override(window=bpy.context.window_manager.windows[1]):\n"
            "    bpy.ops.wm.window_close()"
        )

    def open_panel_below(self, above: str, inside: str) -> None:
        """Open the closed panel whose header comes after the button `above`; it has the button `inside`."""
        self.find(above)
        x, y = self._mouse
        for offset in (30, 38, 46):
            self.move(x, y - offset)
            self.click()
            if self.shows(inside):
                return
        raise AssertionError(f"there is no panel below {above}")

    def click(self) -> None:
        """Where the mouse is."""
        self._xdotool("click", "1")
        self._settle()

    def key(self, name: str) -> None:
        """Press a key, named as X names it."""
        self._xdotool("key", name)
        self._settle()

    def rest(self) -> None:
        """Put the mouse over the 3D view, where it highlights nothing."""
        left, bottom = self.ask("[view()[1].x, view()[1].y]")
        self.move(left + 200, bottom + 120)

    def picture(self, name: str) -> Path | None:
        """Take a picture of the whole window, where ImageMagick is there to do it."""
        self.run("view()[1].tag_redraw()")
        self._settle()
        time.sleep(0.3)
        if shutil.which("import") is None:
            return None
        path = self._pictures / f"{name}.png"
        subprocess.run(["import", "-window", "root", path], env=self._environment, check=True, timeout=60)
        return path

    def close(self) -> int:
        """Quit as a user does, and give the exit status; what does not end is killed."""
        if self._process.poll() is None:
            (self._remote / "99999.py").write_text(
                "bpy.context.preferences.view.use_save_prompt = False\n"
                "with in_view():\n    bpy.ops.wm.quit_blender()\n",
                encoding="utf-8",
            )
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def _settle(self) -> None:
        """Let it handle what it was sent, and draw."""
        for _ in range(3):
            self.ask("1")

    def _xdotool(self, *words: str) -> str:
        answer = subprocess.run(
            ["xdotool", *words], env=self._environment, capture_output=True, text=True, check=True, timeout=60
        )
        return answer.stdout
