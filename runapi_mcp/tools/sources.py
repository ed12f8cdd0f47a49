"""The images a call starts from: all checked before the first byte of a file leaves the machine.

Each file is uploaded once within the hour that RunAPI keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
import anyio.to_thread

from runapi_mcp.base.catalog.vendors import vendor_named
from runapi_mcp.base.errors import Failure, ProviderFailure, Refused
from runapi_mcp.base.printable import printable_path
from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.images.near_names import bare
from runapi_mcp.images.picture import SavedPicture
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger import Entry, Ledger, read_or_none, write_or_log
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.purchase import SOURCES_FIELD, Source
from runapi_mcp.providers.port import Provider, UploadedFile
from runapi_mcp.tools.entry_files import kept_originals, saved_pictures
from runapi_mcp.tools.source_names import Address, EarlierTask, LocalPath, SourceName
from runapi_mcp.tools.tool import DeliveryOptions

if TYPE_CHECKING:
    from runapi_mcp.images.local_image import LocalFile, LocalImage

UPLOAD_LIFETIME_SECONDS: Final = 3600.0
"""How long RunAPI keeps a file, where it does not say."""
RESERVE_SECONDS: Final = 300.0
"""A task may begin a while after it was ordered, and must find its images then."""


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """A source, and the file that must go to RunAPI where that has no address of it."""

    source: Source
    image: LocalImage | None = None


async def check_sources(
    names: Sequence[SourceName], orders: Orders, options: DeliveryOptions, report: Report
) -> list[CheckedSource]:
    """The images that are named, read and without metadata where they are files.

    Raises:
        Failure: one cannot be used; nothing was uploaded or paid.
    """
    if all(isinstance(name, Address) for name in names):
        return [_by_address(name.url) for name in names if isinstance(name, Address)]

    async def check_all() -> list[CheckedSource]:
        return [await _check(number, name, orders, options) for number, name in enumerate(names)]

    try:
        return await report_while(report, lambda _: "checking the images", check_all)
    except ProviderFailure as failure:
        raise type(failure)(failure.happened, _advice(failure), failure.answer) from failure
    except Refused as failure:
        raise Refused(failure.happened, _advice(failure)) from failure


async def upload_sources(
    sources: Sequence[CheckedSource], uploader: Uploader, report: Report
) -> list[str]:
    """The address of each source, uploaded where it must be.

    Raises:
        Failure: one could not be uploaded; nothing was paid.
    """
    images = [each.image for each in sources if each.image is not None]
    uploaded = iter(await uploader.upload_all(images, report))
    return [each.source.url or next(uploaded) for each in sources]


def _advice(failure: Failure) -> str:
    # Of this call: an identical one may have been charged, which nobody has looked for yet.
    return f"{failure.advice} This call uploaded and paid nothing."


async def _check(
    number: int, name: SourceName, orders: Orders, options: DeliveryOptions
) -> CheckedSource:
    match name:
        case Address(url):
            return _by_address(url)
        case EarlierTask(task_id):
            return await _check_task(task_id, orders, options)
        case LocalPath(path) if options.is_local:
            return await _check_file(path, options)
        case LocalPath():
            raise Refused(
                f"{SOURCES_FIELD}[{number}] is a path, and this server runs on another machine "
                "than its file.",
                "Give an http(s) URL, or the task_id of an earlier image.",
            )


def _by_address(url: str) -> CheckedSource:
    return CheckedSource(Source(url, {"url": url}, url))


async def _check_file(name: str, options: DeliveryOptions) -> CheckedSource:
    from runapi_mcp.images.local_image import read_local_file

    read = partial(read_local_file, path_of(name), options.picture_store.folders)
    image = await _strip(read, options)
    named = {"path": str(image.path), "sha256": image.sha256}
    return CheckedSource(Source(f"sha256:{image.sha256}", named, url=None), image)


async def _check_task(task_id: str, orders: Orders, options: DeliveryOptions) -> CheckedSource:
    """The image of an earlier task: as its vendor has it, or from the disk once that is too old."""
    entry, now = await orders.entry_of(task_id), orders.ledger.now()
    identity, named = f"task:{task_id}", {"task_id": task_id}
    if entry is not None and (image := await _saved_image(task_id, entry, now, options)):
        return CheckedSource(Source(identity, named, url=None), image)
    task = (await orders.find(task_id, 0)).task
    if not task.image_urls:
        raise Refused(
            f"Task {task_id} has no image to start from: it is {task.status}.",
            "Call get_task with it first.",
        )
    return CheckedSource(Source(identity, named, task.image_urls[0]))


def _saved_for_good(entry: Entry, now: float) -> list[SavedPicture]:
    """Where the first image of a task is, as it came before what was made of it, if its vendor may
    have it no longer."""
    if now - (entry.ended_at or entry.begun_at) <= vendor_named(entry.vendor).sure_image_seconds:
        return []
    first = next(filter(None, saved_pictures(entry)), None)
    return list(filter(None, (*kept_originals(entry)[:1], first)))


async def _saved_image(
    task_id: str, entry: Entry, now: float, options: DeliveryOptions
) -> LocalImage | None:
    """The image of a task as it was saved; None where the vendor's own is to be taken."""
    from runapi_mcp.images.local_image import read_saved_file

    lost: Failure | None = None
    for saved in _saved_for_good(entry, now):
        try:
            return await _strip(partial(read_saved_file, saved, task_id), options)
        except Failure as failure:  # moved, deleted or edited since
            lost = failure
    # The vendor may still have its own.
    vendor = vendor_named(entry.vendor)
    if lost is None or now - entry.drawn_since <= vendor.image_seconds:
        return None
    raise Refused(
        lost.happened,
        f"The image of task {task_id} was saved there, and {vendor.title} no longer has it: give "
        "the path or URL of the image to start from.",
    ) from lost


async def _strip(read: Callable[[], LocalFile], options: DeliveryOptions) -> LocalImage:
    from runapi_mcp.images.local_image import strip_for_upload

    file = await anyio.to_thread.run_sync(read)
    return await strip_for_upload(file, options.picture_store.decoders, options.caller)


def path_of(name: str) -> str:
    """The path that a name of a local image is, also where it is a `file:` URL.

    Raises:
        Refused: it is none of this machine.
    """
    url = bare(name)
    if not url.lower().startswith("file:"):
        return name
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Refused(f"{printable_path(name)} is no file: URL.", "Give the path.") from error
    if parts.netloc not in ("", "localhost"):
        raise Refused(f"{printable_path(name)} is on another machine.", "Give a path of this one.")
    return url2pathname(parts.path)


@dataclass(frozen=True, slots=True)
class Uploader:
    provider: Provider
    ledger: Ledger
    picture_store: PictureStore

    async def upload_all(self, images: Sequence[LocalImage], report: Report) -> list[str]:
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
