"""Small pictures of the saved ones, made by the decoders' processes and kept in memory."""

from collections import OrderedDict
from typing import BinaryIO, Final

import anyio.to_thread

from runapi_mcp.images.decoder import SHOW, Job
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.inspection import Preview
from runapi_mcp.images.structure import read_structure
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.pictures_page.saved_files import open_picture

THUMBNAIL_PX: Final = 640
LARGEST_THUMBNAIL_BYTES: Final = 150_000
MOST_KEPT: Final = 200
TURN_SECONDS: Final = 60.0
"""So long a picture waits for those before it: a browser asks for a screenful at once."""


class Thumbnails:
    """Made once for each content. The file is read each time, as it may have changed or gone."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders
        self._kept: OrderedDict[str, Preview] = OrderedDict()

    async def thumbnail(self, entry: Entry, index: int) -> Preview:
        """
        Raises:
            NotHere, Changed, NotAnImage, NotDecoded: there is none to be had.
        """
        file, sha256 = await anyio.to_thread.run_sync(open_picture, entry, index)
        with file:
            kept = self._kept.pop(sha256, None) or await self._make(file, sha256)
        self._kept[sha256] = kept
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept

    async def _make(self, file: BinaryIO, sha256: str) -> Preview:
        structure = await anyio.to_thread.run_sync(read_structure, file)
        job = Job(SHOW, LARGEST_THUMBNAIL_BYTES, structure.pixels, THUMBNAIL_PX)
        # Each its own caller: the pictures of a page need not wait for each other.
        return Preview(await self._decoders.decode(job, file, sha256, TURN_SECONDS))
