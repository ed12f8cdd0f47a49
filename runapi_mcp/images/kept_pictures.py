"""Pictures kept in a bucket for callers on other machines: their keys, their links, their drafts.

Each picture of a set has a folder of its own, so that whoever keeps it a second time finds the
first: on any machine, with or without a database.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final

import anyio.to_thread

from runapi_mcp.images.bucket import Bucket, BucketUnusable
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.inspection import inspect
from runapi_mcp.images.naming import IMAGE_SUFFIXES
from runapi_mcp.images.picture import LARGEST_IMAGE_BYTES, Picture, PictureRequest, WantedPicture
from runapi_mcp.images.picture_links import PictureLinks
from runapi_mcp.images.saving import NotSaved

_MEDIA_TYPES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class KeptPictures:
    bucket: Bucket
    links: PictureLinks
    has_sidecars: bool = True
    """Whether a JSON is kept beside each picture."""

    def key_in(self, folder: str) -> str | None:
        """The key of the picture that has this folder; None where none is there. Blocks.

        Raises:
            BucketUnusable
        """
        names = sorted(self.bucket.names(folder))
        found = next((name for name in names if name.endswith(IMAGE_SUFFIXES)), None)
        return None if found is None else f"{folder}/{found}"

    async def find(
        self, request: PictureRequest, wanted: WantedPicture, decoders: Decoders
    ) -> Picture | None:
        """The picture, where an earlier call has kept it.

        Raises:
            BucketUnusable
            NotAnImage: somebody put something else there.
        """
        folder = _folder_of(request, wanted)
        key = await anyio.to_thread.run_sync(self.key_in, folder)
        if key is None:
            return None
        content = await anyio.to_thread.run_sync(self.bucket.read, key, LARGEST_IMAGE_BYTES)
        info = await inspect(BytesIO(content), request, decoders)
        return Picture(self.links.link_of(folder), info=info, is_kept=True)

    def origins(self) -> list[str]:
        """Addresses of the servers that a link leads to, as far as they are known now. Blocks."""
        try:
            return [self.links.public_url, self.bucket.address("any")]
        except BucketUnusable:
            return [self.links.public_url]

    def begin(self, request: PictureRequest, wanted: WantedPicture) -> BucketDraft:
        name = request.member(wanted).name(request.kept_name)
        return BucketDraft(self, _folder_of(request, wanted), name)


class BucketDraft:
    """As `saving.Draft`, of a picture that becomes an object. All of it blocks."""

    def __init__(self, kept: KeptPictures, folder: str, name: str) -> None:
        self._kept = kept
        self._folder = folder
        self._name = name
        self._file = tempfile.NamedTemporaryFile(prefix="runapi-")  # noqa: SIM115 - `discard` closes it

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()

    def read_back(self) -> IO[bytes]:
        return Path(self._file.name).open("rb")

    def commit(self, suffix: str, about: Mapping[str, object], *, keep_sidecar: bool) -> str:
        """The link to the picture, which is in the bucket now, or was.

        Raises:
            NotSaved
        """
        try:
            if self._kept.key_in(self._folder) is None:
                self._create(f"{self._folder}/{self._name}{suffix}", _MEDIA_TYPES[suffix], about)
        except BucketUnusable as failure:
            happened = f"The picture was not kept: {failure.happened}"
            raise NotSaved(happened, failure.advice) from failure
        return self._kept.links.link_of(self._folder)

    def discard(self) -> None:
        self._file.close()

    def _create(self, key: str, media_type: str, about: Mapping[str, object]) -> None:
        bucket = self._kept.bucket
        if self._kept.has_sidecars:
            sidecar = json.dumps(dict(about), indent=2).encode()
            bucket.create(f"{key}.json", sidecar, "application/json")
        # The last: where it is, all is.
        bucket.create(key, Path(self._file.name), media_type)


def _folder_of(request: PictureRequest, wanted: WantedPicture) -> str:
    """Where a caller's picture is. Nobody else's key leads there, and it tells none."""
    owner = hashlib.sha256(f"pictures of {request.caller}".encode()).hexdigest()[:16]
    return f"{owner}/{request.set_id}/{wanted.number}"
