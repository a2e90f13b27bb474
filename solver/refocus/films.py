# SPDX-License-Identifier: GPL-3.0-or-later
"""Films as files: H.264 in MP4, which every browser plays, and GIF."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from solver.errors import SolverError
from solver.files import written_aside

FILM_SUFFIXES = (".mp4", ".gif")

_QUALITY = "16"  # of x264's constant rate factor: hardly told from the original
_GIF_TICK_MS = 10  # GIF counts time in hundredths of a second
_GIF_LEAST_MS = 20  # browsers play anything shorter slowly


def write_film(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write a film in the format that the suffix names; nothing is left behind where the frames end in an exception.

    Args:
        path: .mp4 or .gif.
        frames: [H, W, 3] uint8 sRGB each, all of one size, which is even for .mp4.
        fps: frames a second; GIF takes the nearest whole number of hundredths of a second a frame.

    Raises:
        SolverError: another suffix, or the film cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        _write_mp4(path, frames, fps)
    elif suffix == ".gif":
        _write_gif(path, frames, fps)
    else:
        raise SolverError("a film is written as .mp4 or .gif", where=path, remedy="choose such a name for --output")


def _write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    iterator = iter(frames)
    first = next(iterator)
    height, width = first.shape[:2]
    try:
        with (
            written_aside(path) as temporary,
            av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
        ):
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": _QUALITY, "preset": "medium"}
            context = stream.codec_context
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            for pixels in chain([first], iterator):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                )
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise SolverError(
            f"the film cannot be written ({error.strerror})", where=path, remedy="check the space on the disk"
        ) from None


def _write_gif(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    from PIL import Image

    pictures = (Image.fromarray(pixels).quantize(256, dither=Image.Dither.FLOYDSTEINBERG) for pixels in frames)
    duration_ms = max(_GIF_LEAST_MS, round(1000 / fps / _GIF_TICK_MS) * _GIF_TICK_MS)
    with written_aside(path) as temporary:
        next(pictures).save(
            temporary, save_all=True, append_images=pictures, duration=duration_ms, loop=0, optimize=False
        )
