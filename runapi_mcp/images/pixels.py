"""What is done with a picture's pixels. Imports Pillow: for the decoder's process alone."""

from io import BytesIO
from typing import IO, Any, Final

from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin

from runapi_mcp.images.colour_profile import colours_of, in_srgb

# Some programs keep their whole workflow in a text of the picture; nothing here keeps any.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY

_TAKEN: Final = ("PNG", "JPEG", "WEBP")
_LOSSLESS: Final = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
"""What a PNG can hold."""
_PREVIEW_QUALITY: Final = 82
_SOURCE_QUALITY: Final = 95
_ORIENTATION: Final = 0x0112
_REDUCED, _RAW_VERSION = 0x00FE, 0xC612
"""What a TIFF says whose first image is a small one of another, as cameras write it."""


class NotWhole(Exception):
    """What is no whole picture, or has more pixels than it may."""


class Several(Exception):
    """A file of another format that has more than one picture: which is meant, nobody can tell."""


def decode(file: IO[bytes], most_pixels: int, opens: str = "") -> Image.Image:
    """The image, decoded to its last row: a cut one does not pass.

    `opens` is the one format that is opened; without it, each that RunAPI takes.

    Raises:
        NotWhole: it is not a whole image of such a format, or has too many pixels.
        Several: it is one of several in a file that RunAPI would not take.
        MemoryError: it has more than this machine can hold.
    """
    try:
        image = Image.open(file, formats=(opens,) if opens else _TAKEN)
        # The header tells, before the pixels take memory.
        if image.width * image.height <= most_pixels:
            if opens:
                _require_single(image)
            image.load()
            return image
    except (MemoryError, Several):
        raise
    except Exception as error:  # whatever decoders raise: SyntaxError, struct.error, EOFError
        raise NotWhole from error
    raise NotWhole


def preview(image: Image.Image, px: int, most_bytes: int) -> bytes:
    """A PNG or JPEG as large as it may be within the bytes it may have; empty where nothing fits.

    The image itself is made small where that is possible: a copy would take its memory again.
    """
    small = simplify(image) if px else image
    while px >= 1:
        small.thumbnail((px, px), reducing_gap=2.0)
        content = _encode_small(small)
        if len(content) <= most_bytes:
            return content
        px = px * 3 // 4
    return b""


def strip(image: Image.Image) -> bytes:
    """The image's pixels, upright, with its colour profile and nothing else.

    Taking known metadata out would leave what nobody thought of: maker notes, a second picture
    behind the first, the place in a private chunk. A JPEG keeps its own quantisation; what RunAPI
    does not take becomes a PNG.
    """
    turned, out = upright(image), BytesIO()
    is_taken = image.format in (*_TAKEN, "MPO")
    if not is_taken and turned.mode not in _LOSSLESS:
        turned = _to_rgb(turned)
    profile, transparency = turned.info.get("icc_profile"), turned.info.get("transparency")
    kept = {"icc_profile": colours_of(profile, turned.mode) if profile else None}
    # What stays in `info` would be written again: a JPEG's comment, for one.
    turned.info.clear()
    if image.format == "WEBP":
        clear_unseen(turned, None)
        turned.save(out, "WEBP", quality=_SOURCE_QUALITY, **_known(kept))
    elif is_taken and image.format != "PNG":
        keeps = turned is image and _keep_used_tables(turned)
        quality = "keep" if keeps else _SOURCE_QUALITY
        turned.save(out, "JPEG", quality=quality, **_known(kept))
    else:
        kept["transparency"] = clear_unseen(turned, transparency)
        turned.save(out, "PNG", compress_level=4, **_known(kept))
    return out.getvalue()


def _require_single(image: Image.Image) -> None:
    tags = getattr(image, "tag_v2", {})
    is_of_another = tags.get(_REDUCED, 0) & 1 or _RAW_VERSION in tags
    if is_of_another or getattr(image, "is_animated", False):
        raise Several


def _to_rgb(image: Image.Image) -> Image.Image:
    """The image as screens have it, with its profile where that is of such colours."""
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        return in_srgb(image, profile) if profile else image.convert("RGB")
    plain = simplify(image)
    if profile:
        plain.info["icc_profile"] = profile
    return plain


def _known(options: dict[str, Any]) -> dict[str, Any]:  # Any: as Pillow has them
    return {name: value for name, value in options.items() if value is not None}


def upright(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen; itself, where it already is so."""
    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # noqa: BLE001 - metadata that cannot be read turns nothing
        return image


def simplify(image: Image.Image) -> Image.Image:
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


def _encode_small(small: Image.Image) -> bytes:
    out = BytesIO()
    if small.mode == "RGBA" and small.getchannel("A").getextrema() != (255, 255):
        small.save(out, "PNG")
    else:
        small.convert("RGB").save(out, "JPEG", quality=_PREVIEW_QUALITY)
    return out.getvalue()


def clear_unseen(image: Image.Image, transparency: Any) -> Any:  # Any: as Pillow has it
    """Make black what nobody sees: colours that are transparent, and those of no pixel.

    What is left of `transparency`, which says for a palette how far one sees through each colour,
    else which one colour is not there.
    """
    if image.mode == "P":
        return _clear_palette(image, transparency)
    if image.mode in ("RGBA", "LA"):
        unseen = image.getchannel("A").point([255, *[0] * 255])  # pyright: ignore[reportUnknownMemberType] - its stub names NumPy
        image.paste(0, None, unseen)
    if transparency is None or image.mode == "I;16":
        return transparency
    keyed = image.copy()
    keyed.info["transparency"] = transparency
    is_used = keyed.convert("RGBA").getchannel("A").getextrema()[0] == 0
    return transparency if is_used else None


def _clear_palette(image: Image.Image, transparency: Any) -> Any:  # Any: as Pillow has it
    used = [index for index, count in enumerate(image.histogram()[:256]) if count]
    colours = (image.getpalette("RGB") or [])[: 3 * (max(used) + 1)]
    opacities = [255] * 256
    if isinstance(transparency, int):
        opacities[transparency] = 0
    elif isinstance(transparency, bytes):
        opacities[: len(transparency)] = transparency
    seen = [index for index in used if opacities[index]]
    cleared = bytearray(len(colours))
    for index in seen:
        cleared[3 * index : 3 * index + 3] = bytes(colours[3 * index : 3 * index + 3])
    image.putpalette(bytes(cleared))
    left = bytes(opacities[index] if index in used else 255 for index in range(max(used) + 1))
    return left.rstrip(b"\xff") or None


def _keep_used_tables(image: Image.Image) -> bool:
    """Whether a JPEG can keep its quantisation, which is then of those tables that it uses."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.format != "JPEG":
        return False
    used = {table for *_, table in image.layer}
    if used not in ({0}, {0, 1}):
        return False
    image.quantization = {number: image.quantization[number] for number in sorted(used)}
    return True
