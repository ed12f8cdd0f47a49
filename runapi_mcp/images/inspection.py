"""Looking at an image file: whether it is a whole image, how large, and a small preview. Blocks.

Content decides what a file is, never its name or what a server called it. Pillow comes with the
first look.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING, Final

from runapi_mcp.base.errors import Failure

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS: Final = 50_000_000
"""What the largest cameras make; a decoder of more would take the memory of the machine."""

_MOST: Final = f"At most {MOST_PIXELS // 1_000_000} million are read."
_QUALITY: Final = 82
_ORIENTATION: Final = 0x0112


class NotAnImage(Failure):
    """A file that is no PNG, JPEG or WebP, or not a whole one."""


@dataclass(frozen=True, slots=True)
class ImageFormat:
    media_type: str
    suffix: str


FORMATS: Final = {
    "PNG": ImageFormat("image/png", ".png"),
    "JPEG": ImageFormat("image/jpeg", ".jpg"),
    "MPO": ImageFormat("image/jpeg", ".jpg"),  # a JPEG of a phone, with more pictures behind it
    "WEBP": ImageFormat("image/webp", ".webp"),
}


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture: JPEG, or PNG where there is something to see through."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    format: ImageFormat
    width: int
    height: int
    preview: Preview | None


def inspect(file: IO[bytes], preview_px: int, preview_bytes: int) -> ImageInfo:
    """What the file is; with a preview of at most that many pixels a side, unless it is 0.

    Raises:
        NotAnImage: it is not a whole PNG, JPEG or WebP, or has more pixels than any picture.
    """
    with decode(file) as image:
        (width, height), image_format = image.size, FORMATS[str(image.format)]
        preview = _preview(image, preview_px, preview_bytes) if preview_px else None
        return ImageInfo(image_format, width, height, preview)


def decode(file: IO[bytes]) -> Image.Image:
    """The image, decoded to its last row: a cut one does not pass.

    Raises:
        NotAnImage: it is not a whole PNG, JPEG or WebP, or has more pixels than any picture.
    """
    from PIL import Image

    try:
        image = Image.open(file, formats=("PNG", "JPEG", "WEBP"))
        # The header tells, before the pixels take memory.
        if image.width * image.height <= MOST_PIXELS:
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise NotAnImage("The image has far too many pixels.", _MOST) from error
    except MemoryError as error:
        raise NotAnImage(
            "There is not enough memory to look at the image.", "Free some."
        ) from error
    except Exception as error:  # whatever decoders raise: SyntaxError, struct.error, EOFError
        raise NotAnImage(
            "The file is not a whole PNG, JPEG or WebP image.", "Look at what it is."
        ) from error
    raise NotAnImage(f"The image has {image.width} x {image.height} pixels.", _MOST)


def _preview(image: Image.Image, px: int, most_bytes: int) -> Preview | None:
    """As large as it may be within the bytes it may have; None where nothing fits.

    The image itself is made small where that is possible: a copy would take its memory again.
    """
    small = _simplify(image)
    while px >= 1:
        small.thumbnail((px, px), reducing_gap=2.0)
        preview = _encode(small)
        if len(preview.content) <= most_bytes:
            return preview
        px = px * 3 // 4
    return None


def upright(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen; itself, where it already is so."""
    from PIL import ImageOps

    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # noqa: BLE001 - metadata that cannot be read turns nothing
        return image


def _simplify(image: Image.Image) -> Image.Image:
    """The image upright and in colours that every viewer has, without its metadata."""
    plain = upright(image)
    # Pillow writes a profile or comment again, which may be larger than the preview.
    plain.info = {name: plain.info[name] for name in ("transparency",) if name in plain.info}
    if plain.mode.startswith("I"):
        # Pillow would cut 16 bits off at 255, and show white.
        scaled = plain.point(lambda value: value / 256)  # pyright: ignore[reportUnknownMemberType] - its stub names NumPy
        plain = scaled.convert("L")
    if plain.mode in ("RGB", "RGBA", "L") and not plain.info:
        return plain
    return plain.convert("RGBA" if plain.has_transparency_data else "RGB")


def _encode(small: Image.Image) -> Preview:
    out = BytesIO()
    if small.mode == "RGBA" and small.getchannel("A").getextrema() != (255, 255):
        small.save(out, "PNG")
        return Preview(out.getvalue(), "image/png")
    small.convert("RGB").save(out, "JPEG", quality=_QUALITY)
    return Preview(out.getvalue(), "image/jpeg")
