"""Looking at an image: whether it is a whole one, how large, and a small preview."""

import logging
from dataclasses import dataclass
from os import SEEK_END
from typing import IO, Final

import anyio.to_thread

from runapi_mcp.images.decoder import SHOW, Job
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.picture import PictureRequest
from runapi_mcp.images.structure import ImageFormat, not_whole, read_structure
from runapi_mcp.images.workers import DEADLINE_SECONDS, NotDecoded

SHORTEST_TURN_SECONDS: Final = 1.0
"""So long a turn is waited for, however late it is."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture: JPEG, or PNG where there is something to see through."""

    content: bytes

    @property
    def media_type(self) -> str:
        return "image/png" if self.content.startswith(b"\x89PNG") else "image/jpeg"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    format: ImageFormat
    width: int
    height: int
    byte_size: int
    preview: Preview | None
    no_preview: str = ""
    """Why there is none, although there was to be one."""


async def inspect(file: IO[bytes], request: PictureRequest, decoders: Decoders) -> ImageInfo:
    """What the file is; with a preview as it is wanted.

    An image that could not be decoded, for no fault that is known of it, is taken for whole if it
    has its end, and has no preview.

    Raises:
        NotAnImage: it is not a whole PNG, JPEG or WebP, or one that nobody should decode.
    """
    structure = await anyio.to_thread.run_sync(read_structure, file)
    job = Job(SHOW, request.preview_bytes, structure.pixels, request.preview_px)
    preview, no_preview = None, ""
    try:
        if content := await decoders.decode(job, file, request.caller, turn_seconds(request)):
            preview = Preview(content)
        elif request.preview_px:
            no_preview = "It does not fit into an answer."
    except NotDecoded as failure:
        if not structure.has_end:
            raise not_whole() from failure
        logger.warning("an image has no preview: %s", failure.happened)
        no_preview = failure.happened if request.preview_px else ""
    byte_size = file.seek(0, SEEK_END)
    return ImageInfo(
        structure.format, structure.width, structure.height, byte_size, preview, no_preview
    )


def turn_seconds(request: PictureRequest) -> float:
    """How long a turn is waited for: not longer than the call has left, if that is enough."""
    return min(max(request.left_seconds(), SHORTEST_TURN_SECONDS), DEADLINE_SECONDS)
