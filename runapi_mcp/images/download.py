"""One image between the network and its name on the disk."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING, Final, cast

import anyio.to_thread

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.conversion import FORMATS, convert, save_conversion
from runapi_mcp.images.decoder import Conversion
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.inspection import ImageInfo, inspect, turn_seconds
from runapi_mcp.images.picture import Picture, PictureRequest, Place, SavedPicture, WantedPicture
from runapi_mcp.images.saving import Changed, Draft, NotSaved, open_saved
from runapi_mcp.images.structure import NotAnImage
from runapi_mcp.images.workers import NotDecoded

if TYPE_CHECKING:
    from runapi_mcp.images.kept_pictures import BucketDraft, KeptPictures

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
        self,
        request: PictureRequest,
        wanted: WantedPicture,
        draft: Draft | BucketDraft | _UnsavedDraft,
    ) -> None:
        self._request = request
        self._wanted = wanted
        self._draft = draft
        self._hash = hashlib.sha256()
        self._waiting = bytearray()

    @classmethod
    def begin(
        cls, request: PictureRequest, wanted: WantedPicture, kept: KeptPictures | None = None
    ) -> Download:
        """A download into the folder or the bucket, or without one into a file that nobody sees."""
        place = request.place
        if kept is not None and request.kept_name:
            return cls(request, wanted, kept.begin(request, wanted))
        if place is None:
            return cls(request, wanted, _UnsavedDraft())
        draft = Draft.begin(place.folder, place.name, request.member(wanted))
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
        Where its name asks for another format, it is kept as it came too.

        Raises:
            NotAnImage: it is none, and nothing of it stays.
        """
        note = ""
        with await anyio.to_thread.run_sync(self._draft.read_back) as file:
            info = await inspect(file, self._request, decoders)
            originals = self._request.originals
            if originals is not None and self._is_foreign(info):
                try:
                    original = await anyio.to_thread.run_sync(self._keep, file, info, originals)
                    return await self._convert(file, info, original, decoders)
                except NotSaved as failure:
                    note = self._not_made(failure)
        picture = await anyio.to_thread.run_sync(self._place, info)
        return replace(picture, note=note or self._not_converted(picture, info))

    def discard(self) -> None:
        """Nothing stays but what was committed."""
        self._draft.discard()

    def _is_foreign(self, info: ImageInfo) -> bool:
        """Whether its name asks for another format than it came in."""
        suffix = self._request.suffix
        return bool(suffix) and FORMATS[suffix] != info.format

    def _keep(self, file: IO[bytes], info: ImageInfo, place: Place) -> SavedPicture:
        draft = Draft.begin(place.folder, place.name, self._request.member(self._wanted))
        file.seek(0)
        while chunk := file.read(AT_ONCE_BYTES):
            draft.write(chunk)
        sha256 = self._hash.hexdigest()
        about = self._about(info, sha256)
        path = draft.commit(info.format.suffix, about, keep_sidecar=place.has_sidecars)
        return SavedPicture(path, place.name.count("/"), sha256)

    async def _convert(
        self, file: IO[bytes], info: ImageInfo, original: SavedPicture, decoders: Decoders
    ) -> Picture:
        """The picture in the format that its name asks for; as it came, where that fails."""
        request = self._request
        wanted = Conversion(FORMATS[request.suffix].decoder)
        try:
            turn = turn_seconds(request)
            content = await convert(file, wanted, decoders, request.caller, turn)
            return await anyio.to_thread.run_sync(self._place_made, content, info, original)
        except (NotAnImage, NotDecoded, NotSaved) as failure:
            note = self._not_made(failure)
        url, sha256 = self._wanted.url, original.sha256
        return Picture(url, original.path, info, sha256=sha256, original=original, note=note)

    def _place_made(self, content: bytes, info: ImageInfo, original: SavedPicture) -> Picture:
        request, url, place = self._request, self._wanted.url, cast("Place", self._request.place)
        sha256 = hashlib.sha256(content).hexdigest()
        made = replace(info, format=FORMATS[request.suffix], byte_size=len(content))
        about = {**self._about(made, sha256), "original": printable_path(original.path)}
        member = request.member(self._wanted)
        path = save_conversion(content, place, request.suffix, member, about)
        return Picture(url, path, made, sha256=sha256, original=original)

    def _not_made(self, failure: Failure) -> str:
        return (
            f"It is saved in the format it came in, not as {self._request.suffix}: "
            f"{failure.happened} convert_image can make that of it."
        )

    def _not_converted(self, picture: Picture, info: ImageInfo) -> str:
        """In the bucket everything stays as it came."""
        is_another = picture.is_kept and self._is_foreign(info)
        return f"It is kept as it came, not as {self._request.suffix}." if is_another else ""

    def _place(self, info: ImageInfo) -> Picture:
        # The suffix is the content's, whatever the address or the caller called it.
        suffix, asked = info.format.suffix, self._request.suffix
        if asked and not self._is_foreign(info):
            suffix = asked  # .jpeg, for one
        about = self._about(info, self._hash.hexdigest())
        try:
            placed = self._draft.commit(suffix, about, keep_sidecar=self._request.keeps_sidecars)
        except NotSaved as failure:
            return Picture(self._wanted.url, info=info, not_saved=failure.happened)
        if isinstance(placed, str):
            return Picture(placed, info=info, is_kept=True)
        return Picture(self._wanted.url, placed, info, sha256=self._hash.hexdigest())

    def _write(self, content: bytes) -> None:
        self._hash.update(content)
        self._draft.write(content)

    def _about(self, info: ImageInfo, sha256: str) -> dict[str, object]:
        of_set = {"set": self._request.set_id} if self._request.set_size > 1 else {}
        return {
            **self._wanted.about,
            **of_set,
            "source_url": self._wanted.url,
            "media_type": info.format.media_type,
            "width": info.width,
            "height": info.height,
            "byte_size": info.byte_size,
            "sha256": sha256,
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

    def commit(self, suffix: str, about: Mapping[str, object], *, keep_sidecar: bool) -> None:
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
    original = await anyio.to_thread.run_sync(_kept, wanted)
    return Picture(wanted.url, saved.path, info, sha256=sha256, original=original)


def _kept(wanted: WantedPicture) -> SavedPicture | None:
    """The picture as it came, where that is still as it was. Blocks."""
    if wanted.original is None:
        return None
    try:
        file, _ = open_saved(wanted.original, wanted.about["task_id"])
    except (Changed, OSError):
        return None
    file.close()
    return wanted.original
