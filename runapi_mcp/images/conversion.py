"""A picture made into another, of other format or size: workers make it, and it is saved."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import IO, Final

import anyio.to_thread

from runapi_mcp.images.decoder import CONVERT, Conversion, Job
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.naming import IMAGE_SUFFIXES, SetMember
from runapi_mcp.images.other_formats import HEAD_BYTES, other_format
from runapi_mcp.images.picture import LARGEST_IMAGE_BYTES, Place
from runapi_mcp.images.saving import Draft
from runapi_mcp.images.structure import (
    JPEG,
    MOST_PIXELS,
    PNG,
    WEBP,
    read_structure,
)
from runapi_mcp.images.workers import DEADLINE_SECONDS

FORMATS: Final = {".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP}
"""The format of each suffix."""


def opened_as(file: IO[bytes]) -> bytes:
    """The one format that a decoder must open; empty where RunAPI takes it too. Blocks."""
    file.seek(0)
    other = other_format(file.read(HEAD_BYTES))
    return other.name.encode() if other and other.is_read else b""


async def convert(
    file: IO[bytes],
    wanted: Conversion,
    decoders: Decoders,
    caller: str,
    turn_seconds: float = DEADLINE_SECONDS,
) -> bytes:
    """The file of the picture that is wanted.

    Raises:
        NotAnImage: it is no image that can be read here.
        NotDecoded: nobody came to an end with it in time.
    """
    job = await anyio.to_thread.run_sync(_job, file, wanted)
    return await decoders.decode(job, file, caller, turn_seconds)


def save_conversion(
    content: bytes,
    place: Place,
    suffix: str,
    member: SetMember,
    about: dict[str, object],
    taking: Collection[str] = IMAGE_SUFFIXES,
) -> Path:
    """Where the picture is, saved beside what has its name, with the suffixes `taking`. Blocks.

    Raises:
        NotSaved
    """
    draft = Draft.begin(place.folder, place.name, member, taking)
    draft.write(content)
    return draft.commit(suffix, about, keep_sidecar=place.has_sidecars)


def _job(file: IO[bytes], wanted: Conversion) -> Job:
    opens = opened_as(file)
    # How large those are that RunAPI does not take, only their decoder knows.
    pixels = MOST_PIXELS if opens else read_structure(file).pixels
    return Job(CONVERT, LARGEST_IMAGE_BYTES, pixels, opens=opens, conversion=wanted)
