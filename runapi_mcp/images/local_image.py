"""A local image as it goes to RunAPI: from an allowed folder, whole, without metadata."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import anyio.to_thread

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.conversion import opened_as
from runapi_mcp.images.decoder import STRIP, Job
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.directory import open_directory
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.near_names import MOST_NEAR, find_alike, near_pictures, spellings
from runapi_mcp.images.picture import SavedPicture
from runapi_mcp.images.saving import open_saved
from runapi_mcp.images.structure import (
    MOST_PIXELS,
    NotAnImage,
    Structure,
    read_structure,
    too_large,
)
from runapi_mcp.images.workers import NotDecoded

LARGEST_SOURCE_BYTES: Final = 20_000_000
SMALLEST_PX: Final = 16
LARGEST_PX: Final = 16_384


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, as it is."""

    path: Path
    content: bytes


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


def read_local_file(
    path: str, folders: Folders, most_bytes: int = LARGEST_SOURCE_BYTES
) -> LocalFile:
    """What is at a path. Blocks.

    Raises:
        Refused: it lies outside the allowed folders, cannot be read, or is too large.
    """
    found, folder = _find_allowed(path, folders)
    *parts, name = found.relative_to(folder).parts or ("",)
    if not name:
        raise Refused(f"{printable_path(path)} is a folder.", "Give the path of an image in it.")
    # No step of the way may be a link: one that was swapped in since is not followed.
    with (
        in_words(path),
        open_directory(folder, parts, make=False) as directory,
        directory.open_file(name) as file,
    ):
        return LocalFile(found, _read(file, most_bytes))


def read_saved_file(
    saved: SavedPicture, task_id: str, most_bytes: int = LARGEST_SOURCE_BYTES
) -> LocalFile:
    """The picture of a task as it was saved, whatever folder that is in. Blocks.

    Raises:
        Changed: it is not what was saved there.
        Refused: it is not there, or too large.
    """
    with in_words(saved.path):
        file, _ = open_saved(saved, task_id)
        with file:
            return LocalFile(saved.path, _read(file, most_bytes))


async def strip_for_upload(file: LocalFile, decoders: Decoders, caller: str) -> LocalImage:
    """The image that a file is, upright, of its pixels and its colour profile alone.

    Raises:
        Refused: it is no image, one of no size to draw from, or could not be decoded.
    """
    content = BytesIO(file.content)
    with in_words(file.path):
        job = await anyio.to_thread.run_sync(_stripping, content)
        stripped = await decoders.decode(job, content, caller)
        structure = read_structure(BytesIO(stripped))
        _check_size(structure)
    sha256 = hashlib.sha256(stripped).hexdigest()
    return LocalImage(file.path, stripped, structure.format.media_type, sha256)


def _stripping(content: BytesIO) -> Job:
    if opens := opened_as(content):
        return Job(STRIP, LARGEST_SOURCE_BYTES, MOST_PIXELS, opens=opens)
    structure = read_structure(content)
    _check_size(structure)
    return Job(STRIP, LARGEST_SOURCE_BYTES, structure.pixels)


@contextmanager
def in_words(path: Path | str) -> Generator[None]:
    """
    Raises:
        Refused: for whatever makes a file no image that can be used, with its path.
    """
    try:
        yield
    except OSError as error:
        happened = f"{printable_path(path)} cannot be read: {error.strerror or error}."
        raise Refused(happened, "Check the path.") from error
    except (NotAnImage, NotDecoded) as failure:
        raise Refused(f"{printable_path(path)}: {failure.happened}", failure.advice) from failure


def _read(file: BinaryIO, most_bytes: int) -> bytes:
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes > most_bytes:
        raise too_large(size_bytes, most_bytes)
    return file.read(most_bytes)


def _find_allowed(path: str, folders: Folders) -> tuple[Path, Path]:
    """The path without links, and the allowed folder it lies in.

    Whether there is a file is told only of allowed folders: elsewhere that is nobody's business.
    """
    try:
        allowed = [Path(os.path.realpath(folder)) for folder in folders.input_folders()]
        meant = [_candidates(spelling, folders) for spelling in spellings(path)]
    except (OSError, ValueError, RuntimeError) as error:
        # A NUL, a name no system takes, or a home that is not known.
        happened = f"{printable_path(path)} is no path."
        raise Refused(happened, "Give the path of an image.") from error
    inside = [pair for each in meant for pair in _inside(each, allowed)]
    if there := next((pair for pair in inside if os.path.exists(pair[0])), None):  # noqa: PTH110 - Path.exists raises for a name that is too long
        return there
    # Of several, the likeliest is meant: where that is a link to elsewhere, it is not missing.
    if not _inside(meant[-1][:1], allowed):
        listed = ", ".join(dict.fromkeys(map(printable_path, allowed)))
        raise Refused(
            f"{printable_path(path)} is not in a folder that images may be taken from: {listed}.",
            "Copy it there, or add its folder with RUNAPI_INPUT_DIRS.",
        )
    return _find_near(path, inside)


def _find_near(path: str, inside: Sequence[tuple[Path, Path]]) -> tuple[Path, Path]:
    """The one file that is called so but for its spelling; else the first that was meant.

    Raises:
        Refused: there are others that are near.
    """
    found = dict.fromkeys(
        (each, folder) for where, folder in inside for each in find_alike(where, folder)
    )
    if len(found) == 1:
        return next(iter(found))
    near = [each.name for each, _ in found] or [
        name for where, folder in inside if where != folder for name in near_pictures(where)
    ]
    if not near:
        return inside[0]
    listed = " or ".join(repr(name) for name in dict.fromkeys(near[:MOST_NEAR]))
    raise Refused(f"{printable_path(path)} is not there.", f"Did you mean {listed}?")


def _candidates(path: str, folders: Folders) -> list[Path]:
    return [Path(os.path.realpath(candidate)) for candidate in folders.candidates(path)]


def _inside(paths: Sequence[Path], allowed: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Those that lie in an allowed folder, each with the first it lies in."""
    pairs = [(path, [each for each in allowed if path.is_relative_to(each)]) for path in paths]
    return [(path, around[0]) for path, around in pairs if around]


def _check_size(image: Structure) -> None:
    if (
        not SMALLEST_PX
        <= min(image.width, image.height)
        <= max(image.width, image.height)
        <= LARGEST_PX
    ):
        raise NotAnImage(
            f"The image is {image.width} x {image.height} pixels.",
            f"Each side must have {SMALLEST_PX} to {LARGEST_PX:,}.",
        )
