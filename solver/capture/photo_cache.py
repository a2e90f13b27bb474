# SPDX-License-Identifier: GPL-3.0-or-later
"""Working copies of photos on disk, so that a second run need not decode and reduce the large files again.

Nothing depends on it: an entry that is absent, damaged or cannot be written means that the photo is decoded, with the
same result. The folder may be deleted at any time. It is kept below a size, the entries used longest ago going first.
"""

import hashlib
import json
import os
import re
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solver.files import user_cache_folder, written_aside

FOLDER_VARIABLE = "MACRO_RECONSTRUCTION_PHOTO_CACHE"  # another folder than the user's
SIZE_VARIABLE = "MACRO_RECONSTRUCTION_PHOTO_CACHE_GB"  # bound; 0 keeps nothing
_DEFAULT_GB = 4.0
_SUFFIX = ".photo"
# Of an entry and of its temporary file: nobody else's files are deleted, whatever folder the user named.
_OWN_NAME = re.compile(r"(?:[0-9a-f]{64}|\.[0-9a-f]{64}\.[a-z0-9_]+)" + re.escape(_SUFFIX))
_FORMAT = 1  # of decoding and of the entries; a change makes old ones be passed over
_ENDS = 64 * 1024  # bytes at the start and the end of the photo's file that its key goes by
_ABANDONED_S = 3600.0  # after which a file under its temporary name is of a run that was killed


@dataclass(frozen=True)
class PhotoCache:
    """Pixels, [H, W, 3] uint16, by key. An entry is the pixels and their CRC-32, so that any damage is noticed."""

    folder: Path
    max_bytes: int

    def get(self, key: str, width: int, height: int) -> np.ndarray | None:
        """The pixels, [height, width, 3] uint16, or None where they are not there whole."""
        path = self.folder / f"{key}{_SUFFIX}"
        length = height * width * 6
        try:
            if path.stat().st_size != length + 4:  # before memory is taken
                return None
            content = path.read_bytes()
            if len(content) != length + 4 or zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
                return None
            os.utime(path)
        except OSError:
            return None
        return np.frombuffer(content, dtype="<u2", count=height * width * 3).reshape(height, width, 3)

    def put(self, key: str, pixels: np.ndarray) -> None:
        """Keep `pixels`, [H, W, 3] uint16, as far as the disk and the bound allow it."""
        content = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
        if len(content) + 4 > self.max_bytes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # photos are private
            with written_aside(self.folder / f"{key}{_SUFFIX}") as temporary:
                temporary.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))
            self._trim()
        except OSError:  # no space, no permission, or the folder was deleted meanwhile
            return

    def _trim(self) -> None:
        entries = []
        for entry in os.scandir(self.folder):
            with suppress(OSError):  # deleted meanwhile
                if not _OWN_NAME.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
                if entry.name.startswith("."):
                    if time.time() - status.st_mtime > _ABANDONED_S:
                        Path(entry.path).unlink()
                    continue
                entries.append((status.st_mtime_ns, status.st_size, entry.path))
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            with suppress(OSError):
                Path(path).unlink()
            excess -= size


def photo_cache() -> PhotoCache | None:
    """The user's cache, as the environment bounds it, or None where it is switched off or there is no place for it."""
    try:
        gigabytes = float(os.environ.get(SIZE_VARIABLE, _DEFAULT_GB))
    except ValueError:
        gigabytes = _DEFAULT_GB
    if not 0 < gigabytes < 1e6:
        return None
    try:
        named = os.environ.get(FOLDER_VARIABLE)
        folder = Path(named) if named else user_cache_folder() / "macro-reconstruction" / "photos"
    except RuntimeError:  # there is no home folder
        return None
    return PhotoCache(folder, int(gigabytes * 1e9))


def key_of(path: Path, width: int, height: int, development: tuple[float, ...] = ()) -> str | None:
    """The key of a photo's copy of `width` x `height` pixels, or None where the file cannot be read.

    It changes with the file's path, length, modification time, and content at either end.

    Args:
        path: the photo.
        width: of the copy, px.
        height: of the copy, px.
        development: what else the pixels depend on, as a raw photo's white balance.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            ends = file.read(_ENDS)
            file.seek(max(0, status.st_size - _ENDS))
            ends += file.read(_ENDS)
    except OSError:
        return None
    described = json.dumps(
        [_FORMAT, str(path.absolute()), status.st_size, status.st_mtime_ns, width, height, list(development)]
    )
    return hashlib.sha256(described.encode("utf-8", errors="surrogateescape") + b"\0" + ends).hexdigest()
