"""Local images at RunAPI: each uploaded once within the hour that RunAPI keeps it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import anyio

from runapi_mcp.base.errors import Failure, ProviderFailure
from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.images.local_image import LocalImage
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.providers.port import Provider, UploadedFile

LIFETIME_SECONDS: Final = 3600.0
"""How long RunAPI keeps a file, where it does not say."""
SPARE_SECONDS: Final = 300.0
"""A task may begin a while after it was ordered, and must find its images then."""


class Uploads(Protocol):
    """What one caller has uploaded before."""

    async def uploaded(self, sha256: str) -> str | None:
        """Where RunAPI has a local file; None when that is not known."""
        ...

    async def keep_upload(self, sha256: str, url: str, lifetime_seconds: float) -> None:
        """Remember where RunAPI has a local file, for as long as it has it."""
        ...


async def uploaded(
    images: Sequence[LocalImage],
    provider: Provider,
    uploads: Uploads,
    picture_store: PictureStore,
    report: Report,
) -> list[str]:
    """The address of each image, once RunAPI has all of them.

    Raises:
        Failure: one could not be uploaded; nothing was paid.
    """
    urls: dict[int, str] = {}
    failures: list[Failure] = []

    async def upload(number: int, image: LocalImage, leave: anyio.CancelScope) -> None:
        try:
            # The same image twice, in one call or in two at once, is one upload.
            async with picture_store.lock_for(image.sha256):
                urls[number] = await _address(image, provider, uploads)
        except Failure as failure:
            failures.append(failure)
            leave.cancel()

    async def upload_all() -> None:
        async with anyio.create_task_group() as group:
            for number, image in enumerate(images):
                group.start_soon(upload, number, image, group.cancel_scope)

    await report_while(report, lambda _: f"uploading {len(urls)} of {len(images)}", upload_all)
    for failure in failures:
        if isinstance(failure, ProviderFailure):
            # Nothing that is paid was sent.
            failure.in_doubt = False
        raise failure
    return [urls[number] for number in range(len(images))]


async def _address(image: LocalImage, provider: Provider, uploads: Uploads) -> str:
    known = await uploads.uploaded(image.sha256)
    if known is not None:
        return known
    file = await provider.upload(image.name, image.content, image.media_type)
    await uploads.keep_upload(image.sha256, file.url, _lifetime_seconds(file) - SPARE_SECONDS)
    return file.url


def _lifetime_seconds(file: UploadedFile) -> float:
    """How long RunAPI says it keeps the file; never more than the hour it is known to."""
    try:
        expires_at = datetime.fromisoformat(file.expires_at or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return LIFETIME_SECONDS
    left = expires_at - datetime.now(UTC)
    return min(left.total_seconds(), LIFETIME_SECONDS)
