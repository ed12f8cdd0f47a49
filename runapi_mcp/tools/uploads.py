"""Local images at RunAPI: each uploaded once within the hour that RunAPI keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import anyio

from runapi_mcp.base.errors import Failure, ProviderFailure
from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger import Ledger, read_or_none, write_or_log
from runapi_mcp.providers.port import Provider, UploadedFile

if TYPE_CHECKING:
    from runapi_mcp.images.local_image import LocalImage

UPLOAD_LIFETIME_SECONDS: Final = 3600.0
"""How long RunAPI keeps a file, where it does not say."""
RESERVE_SECONDS: Final = 300.0
"""A task may begin a while after it was ordered, and must find its images then."""


@dataclass(frozen=True, slots=True)
class Uploader:
    provider: Provider
    ledger: Ledger
    picture_store: PictureStore

    async def upload_all(self, images: Sequence[LocalImage], report: Report) -> list[str]:
        """The address of each image, once RunAPI has all of them.

        Raises:
            Failure: one could not be uploaded; nothing was paid.
        """
        urls: dict[int, str] = {}
        failures: list[Failure] = []

        async def upload(number: int, image: LocalImage, leave: anyio.CancelScope) -> None:
            try:
                # The same image twice, in one call or in two at once, is one upload.
                async with self.picture_store.lock_for(image.sha256):
                    urls[number] = await self._upload_once(image)
            except Failure as failure:
                failures.append(failure)
                leave.cancel()

        async def upload_each() -> None:
            async with anyio.create_task_group() as group:
                for number, image in enumerate(images):
                    group.start_soon(upload, number, image, group.cancel_scope)

        await report_while(report, lambda _: f"uploading {len(urls)} of {len(images)}", upload_each)
        for failure in failures:
            if isinstance(failure, ProviderFailure):
                # Nothing that is paid was sent.
                failure.in_doubt = False
            raise failure
        return [urls[number] for number in range(len(images))]

    async def _upload_once(self, image: LocalImage) -> str:
        caller = self.provider.caller_id
        known = await read_or_none(self.ledger.upload(caller, image.sha256))
        if known is not None:
            return known
        file = await self.provider.upload(image.name, image.content, image.media_type)
        expires_at = self.ledger.now() + _lifetime_seconds(file) - RESERVE_SECONDS
        await write_or_log(self.ledger.record_upload(caller, image.sha256, file.url, expires_at))
        return file.url


def _lifetime_seconds(file: UploadedFile) -> float:
    """How long RunAPI says it keeps the file; never more than the hour it is known to."""
    try:
        expires_at = datetime.fromisoformat(file.expires_at or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return UPLOAD_LIFETIME_SECONDS
    left = expires_at - datetime.now(UTC)
    return min(left.total_seconds(), UPLOAD_LIFETIME_SECONDS)
