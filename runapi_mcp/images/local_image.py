"""A local image as it goes to RunAPI: from an allowed folder, whole, without metadata. Blocks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.directory import open_directory
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.inspection import FORMATS, ImageFormat, NotAnImage, decode, upright
from runapi_mcp.images.saving import open_saved

if TYPE_CHECKING:
    from PIL import Image

LARGEST_SOURCE_BYTES: Final = 20_000_000
SMALLEST_PX: Final = 16
LARGEST_PX: Final = 16_384
_PART_OF_THE_PICTURE: Final = ("icc_profile", "transparency")


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image of this machine. `content` is what goes out."""

    path: Path
    content: bytes
    media_type: str
    sha256: str
    """Of the content that goes out."""

    @property
    def name(self) -> str:
        """What it is called at RunAPI: its own name is nobody's business."""
        return f"source.{self.media_type.rpartition('/')[2]}"


def read_local_image(path: str, folders: Folders) -> LocalImage:
    """The image at a path.

    Raises:
        Refused: it lies outside the allowed folders, is no readable image, or too large.
    """
    found, folder = _find_allowed(path, folders)
    *parts, name = found.relative_to(folder).parts or ("",)
    if not name:
        raise Refused(f"{printable_path(path)} is a folder.", "Give the path of an image in it.")
    # No step of the way may be a link: one that was swapped in since is not followed.
    with (
        _in_words(path),
        open_directory(folder, parts, make=False) as directory,
        directory.open_file(name) as file,
    ):
        return _strip_for_upload(found, file)


def read_saved_image(path: Path, task_id: str) -> LocalImage:
    """The picture of a task that was saved at a path, whatever folder that is in.

    Raises:
        Changed: it is not what was saved there.
        Refused: it is not there, or is no readable image, or too large.
    """
    with _in_words(path), open_saved(path, task_id) as file:
        return _strip_for_upload(path, file)


@contextmanager
def _in_words(path: Path | str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        happened = f"{printable_path(path)} cannot be read: {error.strerror or error}."
        raise Refused(happened, "Check the path.") from error
    except NotAnImage as failure:
        raise Refused(f"{printable_path(path)}: {failure.happened}", failure.advice) from failure


def _strip_for_upload(path: Path, file: BinaryIO) -> LocalImage:
    _require_not_too_large(os.fstat(file.fileno()).st_size)
    content, image_format = _strip(file)
    _require_not_too_large(len(content))
    sha256 = hashlib.sha256(content).hexdigest()
    return LocalImage(path, content, image_format.media_type, sha256)


def _find_allowed(path: str, folders: Folders) -> tuple[Path, Path]:
    """The path without links, and the allowed folder it lies in.

    Whether there is a file is told only of allowed folders: elsewhere that is nobody's business.
    """
    try:
        allowed = [Path(os.path.realpath(folder)) for folder in folders.input_folders()]
        meant = [Path(os.path.realpath(candidate)) for candidate in folders.candidates(path)]
    except (OSError, ValueError, RuntimeError) as error:
        # A NUL, a name no system takes, or a home that is not known.
        happened = f"{printable_path(path)} is no path."
        raise Refused(happened, "Give the path of an image.") from error
    inside = [(one, folder) for one in meant for folder in allowed if one.is_relative_to(folder)]
    if there := next((pair for pair in inside if os.path.exists(pair[0])), None):  # noqa: PTH110 - Path.exists raises for a name that is too long
        return there
    # Of several, the likeliest is meant: where that is a link to elsewhere, it is not missing.
    if not inside or inside[0][0] != meant[0]:
        listed = ", ".join(dict.fromkeys(map(printable_path, allowed)))
        raise Refused(
            f"{printable_path(path)} is not in a folder that images may be taken from: {listed}.",
            "Copy it there, or add its folder with RUNAPI_INPUT_DIRS.",
        )
    return inside[0]


def _require_not_too_large(size_bytes: int) -> None:
    if size_bytes > LARGEST_SOURCE_BYTES:
        raise NotAnImage(
            f"The image has {size_bytes / 1e6:.0f} MB.",
            f"At most {LARGEST_SOURCE_BYTES // 1_000_000} are taken; make it smaller.",
        )


def _strip(file: BinaryIO) -> tuple[bytes, ImageFormat]:
    """The image's pixels, upright, with its colour profile and nothing else.

    Taking known metadata out would leave what nobody thought of: maker notes, a second picture
    behind the first, the place in a private chunk. A JPEG keeps its own quantisation.

    Raises:
        NotAnImage: it is not a whole PNG, JPEG or WebP, or of no size to draw from.
    """
    with decode(file) as image:
        _check_size(image)
        return _encode(image), FORMATS[str(image.format)]


def _check_size(image: Image.Image) -> None:
    if not SMALLEST_PX <= min(image.size) <= max(image.size) <= LARGEST_PX:
        raise NotAnImage(
            f"The image is {image.width} x {image.height} pixels.",
            f"Each side must have {SMALLEST_PX} to {LARGEST_PX:,}.",
        )


def _encode(image: Image.Image) -> bytes:
    turned, out = upright(image), BytesIO()
    kept = {name: image.info[name] for name in _PART_OF_THE_PICTURE if name in image.info}
    # What stays in `info` would be written again: a JPEG's comment, for one.
    turned.info.clear()
    match image.format:
        case "PNG":
            turned.save(out, "PNG", compress_level=4, **kept)
        case "WEBP":
            turned.save(out, "WEBP", quality=95, **kept)
        case _:
            keeps = turned is image and image.format == "JPEG"
            turned.save(out, "JPEG", quality="keep" if keeps else 95, **kept)
    return out.getvalue()
