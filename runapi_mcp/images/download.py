"""One image between the network and its name on the disk."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from functools import partial
from typing import IO, Final

import anyio.to_thread

from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.inspection import ImageInfo, inspect
from runapi_mcp.images.picture import Picture, PictureRequest, SavedPicture, WantedPicture
from runapi_mcp.images.saving import Draft, NotSaved, open_saved

AT_ONCE_BYTES: Final = 1_000_000
"""So much is written in one go: a thread for every chunk would cost more than the writing."""
IN_MEMORY_BYTES: Final = 8_000_000
"""So large an image need not be written at all to be looked at."""


class Download:
    """An image as it comes in, written into a draft of its file. What is not async blocks.

    Raises:
        NotSaved: from each step, where the draft cannot be written or read.
    """

    def __init__(
        self, request: PictureRequest, wanted: WantedPicture, draft: Draft | _UnsavedDraft
    ) -> None:
        self._request = request
        self._wanted = wanted
        self._draft = draft
        self._hash = hashlib.sha256()
        self._byte_size = 0
        self._waiting = bytearray()

    @classmethod
    def begin(cls, request: PictureRequest, wanted: WantedPicture) -> Download:
        """A download into the folder, or without one into a file that nobody sees."""
        if request.folder is None:
            return cls(request, wanted, _UnsavedDraft())
        draft = Draft.begin(request.folder, request.name, request.member(wanted))
        return cls(request, wanted, draft)

    async def take(self, chunk: bytes) -> None:
        """Take the next bytes, of which some may wait to be written."""
        self._waiting += chunk
        if len(self._waiting) >= AT_ONCE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was taken and is not written yet."""
        content = bytes(self._waiting)
        self._waiting.clear()
        await anyio.to_thread.run_sync(self._write, content)

    async def commit(self, decoders: Decoders) -> Picture:
        """The picture, found to be an image, previewed and under its name.

        Where it cannot get its name, it says so itself: size and preview are known all the same.

        Raises:
            NotAnImage: it is none, and nothing of it stays.
        """
        with await anyio.to_thread.run_sync(self._draft.read_back) as file:
            info = await inspect(file, self._request, decoders)
        return await anyio.to_thread.run_sync(self._place, info)

    def discard(self) -> None:
        """Nothing stays but what was committed."""
        self._draft.discard()

    def _place(self, info: ImageInfo) -> Picture:
        try:
            # The suffix is the content's, whatever the address or the caller called it.
            path = self._draft.commit(info.format.suffix, self._about(info))
        except NotSaved as failure:
            return Picture(self._wanted.url, info=info, not_saved=failure.happened)
        return Picture(self._wanted.url, path, info, sha256=self._hash.hexdigest())

    def _write(self, content: bytes) -> None:
        self._hash.update(content)
        self._byte_size += len(content)
        self._draft.write(content)

    def _about(self, info: ImageInfo) -> dict[str, object]:
        of_set = {"set": self._request.set_id} if self._request.set_size > 1 else {}
        return {
            **self._wanted.about,
            **of_set,
            "source_url": self._wanted.url,
            "media_type": info.format.media_type,
            "width": info.width,
            "height": info.height,
            "byte_size": self._byte_size,
            "sha256": self._hash.hexdigest(),
        }


class _UnsavedDraft:
    """As `saving.Draft`, of an image that is looked at and not kept. All of it blocks.

    A small one is on no disk: the disk may be the very reason why it is not kept.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, prefix="runapi-")  # noqa: SIM115 - `discard` closes it

    def write(self, content: bytes) -> None:
        self._file.write(content)

    def read_back(self) -> IO[bytes]:
        self._file.seek(0)
        return self._file

    def commit(self, suffix: str, about: Mapping[str, object]) -> None:
        """There is no file to name."""

    def discard(self) -> None:
        self._file.close()


async def inspect_saved(
    request: PictureRequest, wanted: WantedPicture, saved: SavedPicture, decoders: Decoders
) -> Picture:
    """The picture that an earlier call saved.

    Raises:
        Changed: it is not what was saved there.
        NotAnImage: it is not an image any more.
        OSError: it cannot be read.
    """
    opening = partial(open_saved, saved, wanted.about["task_id"])
    file, sha256 = await anyio.to_thread.run_sync(opening)
    with file:
        info = await inspect(file, request, decoders)
    return Picture(wanted.url, saved.path, info, sha256=sha256)
