# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which source a capture was rendered: frames of two versions do not belong into one capture. No bpy here."""

import ast
import glob
import hashlib
from collections.abc import Iterable
from pathlib import Path

from .scenes import CURRENT, SCENES

_PACKAGE = Path(__file__).parent
_LENGTH = 16  # characters; more than enough to tell versions apart


def fingerprint(scene: str) -> str:
    """A hash of the package's code without the modules of the scenes other than `scene`."""
    others = {_PACKAGE / "scenes" / f"{name}.py" for name in (*SCENES, CURRENT) if name != scene}
    return code_hash(_PACKAGE, (source for source in sorted(_PACKAGE.rglob("*.py")) if source not in others))


def code_hash(root: Path, sources: Iterable[Path]) -> str:
    """A hash of Python files in `root`, as they run: comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for source in sources:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            _drop_docstring(node)
        digest.update(source.relative_to(root).as_posix().encode() + ast.dump(tree).encode())
    return digest.hexdigest()[:_LENGTH]


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    if not isinstance(body, list) or not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        return
    if body and isinstance(body[0], ast.Expr) and isinstance(getattr(body[0].value, "value", None), str):
        node.body = body[1:]


def file_fingerprint(path: Path) -> str:
    """A hash of the content of a user's file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_LENGTH]


def state_fingerprint(paths: Iterable[Path]) -> str:
    """A hash of the names, sizes and modification times of a user's files, which may be large; some may be missing.

    A name with a mark like <UDIM> stands for all the tiles of a texture.
    """
    digest = hashlib.sha256()
    for file in sorted({tile for path in paths for tile in _tiles(path)}):
        state = file.stat() if file.is_file() else None
        digest.update(repr((file.name, state and (state.st_size, state.st_mtime_ns))).encode())
    return digest.hexdigest()[:_LENGTH]


def _tiles(path: Path) -> list[Path]:
    for mark in ("<UDIM>", "<UVTILE>"):
        if mark in path.name:
            return list(path.parent.glob(glob.escape(path.name).replace(mark, "*")))
    return [path]
