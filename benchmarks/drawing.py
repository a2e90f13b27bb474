# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sheets of pictures in the docs have in common: their colours, their letters, and how they are written."""

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from synthetic.errors import GeneratorError
from synthetic.files import written_aside

GROUND, BRIGHT, GREY, AMBER = (24, 25, 27), (236, 234, 230), (152, 153, 156), (226, 178, 104)
_LARGEST_FILE = 600_000  # bytes


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters of all sheets, `size` px high."""
    return ImageFont.load_default(size)


def fitted(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """As many words of `text` as fit into `width` px."""
    words = text.split()
    while draw.textlength(" ".join(words), font(size)) > width:
        words = [*words[:-2], f"{words[-2].rstrip(',')}\N{HORIZONTAL ELLIPSIS}"]
    return " ".join(words)


def write_jpeg(image: Image.Image, path: Path) -> None:
    """Write `image` in the best quality that stays under 600 kB.

    Raises:
        GeneratorError: the file cannot be written.
    """
    for quality in range(93, 40, -4):
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality, optimize=True, subsampling=0 if quality > 80 else 2)
        if content.tell() <= _LARGEST_FILE:
            break
    try:
        with written_aside(path) as temporary:
            temporary.write_bytes(content.getvalue())
    except OSError as error:
        raise GeneratorError(
            f"the picture cannot be written ({error.strerror})", where=path, remedy="choose another --output"
        ) from None
