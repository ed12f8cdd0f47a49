"""Images collected: fetched, found to be images, saved as they came, previewed.

Light to import: HTTP, Pillow and the rest of the room come with the first image.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.base.redaction import crash_words
from runapi_mcp.base.stages import stage
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture import Picture, PictureRequest, WantedPicture

if TYPE_CHECKING:
    import httpx

    from runapi_mcp.images.decoding import Decoders
    from runapi_mcp.images.fetching import Fetcher
    from runapi_mcp.images.kept_pictures import KeptPictures
    from runapi_mcp.images.workers import Workers

MOST_FETCHED_AT_ONCE: Final = 4
_PAUSES_SECONDS: Final = (0.5, 1.0, 2.0, 4.0, 8.0)

logger = logging.getLogger(__name__)


class PictureStore:
    """The pictures of all callers, of RunAPI at `base_url`; one for each server."""

    def __init__(
        self,
        base_url: str,
        folders: Folders,
        transport: httpx.AsyncBaseTransport | None = None,
        workers: Workers | None = None,
        kept: KeptPictures | None = None,
    ) -> None:
        """`kept` is where the pictures of callers on other machines are kept; None for nowhere."""
        self.folders = folders
        self.kept = kept
        self._base_url = base_url
        self._transport = transport
        self._workers = workers
        # Weak: a lock is kept as long as somebody holds or awaits it, and no list of tasks grows.
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

        self._fetches: WeakValueDictionary[str, anyio.Semaphore] = WeakValueDictionary()
        """Of each caller, whose slow images keep no other's waiting."""

    @cached_property
    def decoders(self) -> Decoders:
        from runapi_mcp.images.decoding import Decoders

        return Decoders(self._workers)

    def refuse_address(self, picture: Picture) -> Picture:
        """The picture; without its address, where that says itself that nobody should go there."""
        if picture.is_kept:
            return picture
        from runapi_mcp.images.fetch_targets import to_not_fetched
        from runapi_mcp.outbound import targets

        try:
            url = targets.parse_url(picture.url)
            targets.require_allowed(url, targets.sandbox_origin(self._base_url))
        except targets.Barred as failure:
            return _without_address(picture, to_not_fetched(failure))
        return picture

    def lock_for(self, name: str) -> anyio.Lock:
        """The lock of a task or file: who collects or uploads it second finds it done."""
        return self._locks.setdefault(name, anyio.Lock())

    async def collect(self, request: PictureRequest, report: Report) -> tuple[Picture, ...]:
        """The images, each as far as it could be fetched, saved and previewed.

        Whatever goes wrong is said of the picture: the task itself is none the worse for it.
        """
        pictures = {
            wanted.number: await self._find_saved(request, wanted) for wanted in request.wanted
        }
        missing = [one for one in request.wanted if not pictures[one.number].is_home]
        if missing and (request.place or request.kept_name or request.preview_px):
            with stage("fetch"):
                fetched = await self._fetch_all(request, missing, report)
            for number, picture in fetched.items():
                pictures[number] = picture.after(pictures[number])
        return tuple(pictures.values())

    async def _fetch_all(
        self, request: PictureRequest, missing: Sequence[WantedPicture], report: Report
    ) -> dict[int, Picture]:
        pictures: dict[int, Picture] = {}
        progress = _DownloadProgress()

        async def fetch(wanted: WantedPicture) -> None:
            pictures[wanted.number] = await self._fetch_or_explain(request, wanted, progress)

        async def fetch_all() -> None:
            async with anyio.create_task_group() as group:
                for wanted in missing:
                    group.start_soon(fetch, wanted)

        async def tell(message: str) -> None:
            with suppress(Exception):  # who cannot be told loses no picture by it
                await report(message)

        await report_while(tell, progress.message, fetch_all)
        return pictures

    async def _fetch_or_explain(
        self, request: PictureRequest, wanted: WantedPicture, progress: _DownloadProgress
    ) -> Picture:
        from runapi_mcp.images.fetch_targets import AddressRefused, NotFetched
        from runapi_mcp.images.structure import NotAnImage

        unsaved = Picture(wanted.url)
        try:
            return await self._fetch_when_there(request, wanted, progress)
        except (NotFetched, NotAnImage) as failure:
            reason = _fetch_reason(failure, wanted)
            if isinstance(failure, AddressRefused):
                unsaved = _without_address(unsaved, failure)
        except Exception as error:  # noqa: BLE001 - it is paid for: what fails is said of the picture
            reason = _save_reason(error)
            if (request.place or request.kept_name) and request.preview_px:
                # Anew: no half of it was kept.
                preview_alone = replace(request, place=None, kept_name="")
                unsaved = await self._fetch_or_explain(preview_alone, wanted, progress)
        return request.missing(unsaved, reason)

    async def _fetch_when_there(
        self, request: PictureRequest, wanted: WantedPicture, progress: _DownloadProgress
    ) -> Picture:
        """The picture, also where a young one comes to its address a little later."""
        from runapi_mcp.images.fetch_targets import NotThereYet

        last: NotThereYet | None = None
        fetches = self._fetches.setdefault(request.caller, anyio.Semaphore(MOST_FETCHED_AT_ONCE))
        with anyio.move_on_after(request.left_seconds()):
            for pause_seconds in chain(_PAUSES_SECONDS, repeat(_PAUSES_SECONDS[-1])):
                try:
                    async with fetches:
                        return await self._fetch(request, wanted, progress)
                except NotThereYet as failure:
                    last = failure
                if not wanted.is_young or request.left_seconds() <= pause_seconds:
                    break
                await anyio.sleep(pause_seconds)
        if last is not None:
            raise last
        return request.late(wanted)

    async def _find_saved(self, request: PictureRequest, wanted: WantedPicture) -> Picture:
        """The picture that an earlier call saved, where it still is as it was."""
        if self.kept is not None and request.kept_name:
            return await self._find_kept(self.kept, request, wanted)
        if wanted.saved is None:
            return Picture(wanted.url)
        from runapi_mcp.images.download import inspect_saved
        from runapi_mcp.images.saving import Changed

        try:
            return await inspect_saved(request, wanted, wanted.saved, self.decoders)
        except Changed as failure:
            return Picture(wanted.url, not_saved=failure.happened)
        except (Failure, OSError):
            return Picture(wanted.url)
        except Exception:  # as of any other that is not there any more
            logger.exception("a saved picture could not be looked at")
            return Picture(wanted.url)

    async def _find_kept(
        self, kept: KeptPictures, request: PictureRequest, wanted: WantedPicture
    ) -> Picture:
        from runapi_mcp.images.bucket import BucketUnusable
        from runapi_mcp.images.structure import NotAnImage

        try:
            found = await kept.find(request, wanted, self.decoders)
        except (BucketUnusable, NotAnImage) as failure:
            logger.warning("a kept picture could not be looked at: %s", failure.happened)
            found = None
        return found or Picture(wanted.url)

    async def _fetch(
        self, request: PictureRequest, wanted: WantedPicture, progress: _DownloadProgress
    ) -> Picture:
        from runapi_mcp.images.download import Download

        download = await anyio.to_thread.run_sync(Download.begin, request, wanted, self.kept)
        picture = request.late(wanted)
        try:
            record = partial(progress.record, wanted.url)
            await self._fetcher.fetch(wanted.url, download.take, request.left_seconds(), record)
            await download.flush()
            # It is here: a call whose time is over loses its preview, and not the picture.
            with anyio.CancelScope(shield=True):
                picture = await download.commit(self.decoders)
        finally:
            # A caller who leaves must not leave half a file behind.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(download.discard)
        return picture

    @cached_property
    def _fetcher(self) -> Fetcher:
        from runapi_mcp.images.fetching import Fetcher

        return Fetcher(self._base_url, self._transport)


def _fetch_reason(failure: Failure, wanted: WantedPicture) -> str:
    from runapi_mcp.images.fetch_targets import NotAtItsAddress

    if isinstance(failure, NotAtItsAddress) and wanted.is_expired:
        kept = f"{wanted.vendor.title} keeps an image for {wanted.vendor.image_days}"
        return f"{failure.happened} {kept}, and this one is older."
    return failure.happened


def _without_address(picture: Picture, failure: Failure) -> Picture:
    return replace(picture, url="", note=f"{failure.happened} It was refused, and is left out.")


def _save_reason(error: Exception) -> str:
    if isinstance(error, Failure):
        return error.happened
    logger.error("a picture could not be saved", exc_info=error)
    return f"The picture was not saved: {crash_words(error)}."


@dataclass(slots=True)
class _DownloadProgress:
    """How many bytes of each image have come, and of how many."""

    so_far: dict[str, int] = field(default_factory=dict[str, int])
    totals: dict[str, int | None] = field(default_factory=dict[str, "int | None"])

    def record(self, url: str, so_far: int, total: int | None) -> None:
        self.so_far[url], self.totals[url] = so_far, total

    def message(self, _: float) -> str:
        """In percent, once every length is known."""
        so_far, totals = sum(self.so_far.values()), list(self.totals.values())
        known = [total for total in totals if total]
        if not so_far:
            return "fetching the image"
        if known and len(known) == len(totals):
            return f"downloading, {100 * so_far // sum(known)} %"
        return f"downloading, {so_far / 1e6:.1f} MB"
