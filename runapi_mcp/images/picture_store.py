"""Images collected: fetched, found to be images, saved as they came, previewed.

Light to import: HTTP, Pillow and the rest of the room come with the first image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture import Picture, PictureRequest

if TYPE_CHECKING:
    import httpx

    from runapi_mcp.images.fetching import Fetcher

MOST_FETCHED_AT_ONCE: Final = 4


class PictureStore:
    """The pictures of all callers, of RunAPI at `base_url`; one for each server."""

    def __init__(
        self, base_url: str, folders: Folders, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.folders = folders
        self._base_url = base_url
        self._transport = transport
        self._fetches = anyio.Semaphore(MOST_FETCHED_AT_ONCE)
        self.decoder = anyio.Lock()
        """For whoever decodes: that takes the memory of a whole image, so never two at once."""
        # Weak: a lock is kept as long as somebody holds or awaits it, and no list of tasks grows.
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def lock_for(self, name: str) -> anyio.Lock:
        """The lock of a task or file: who collects or uploads it second finds it done."""
        return self._locks.setdefault(name, anyio.Lock())

    async def collect(self, request: PictureRequest, report: Report) -> tuple[Picture, ...]:
        """The images, each as far as it could be fetched, saved and previewed.

        Whatever goes wrong is said of the picture: the task itself is none the worse for it.
        """
        pictures = {url: await self._find_saved(request, url) for url in request.urls}
        missing = [url for url, picture in pictures.items() if picture.path is None]
        if missing and (request.folder or request.preview_px):
            for url, fetched in (await self._fetch_all(request, missing, report)).items():
                pictures[url] = fetched.after(pictures[url])
        return tuple(pictures.values())

    async def _fetch_all(
        self, request: PictureRequest, urls: Sequence[str], report: Report
    ) -> dict[str, Picture]:
        pictures: dict[str, Picture] = {}
        progress = _DownloadProgress()

        async def fetch(url: str) -> None:
            pictures[url] = await self._fetch_or_explain(request, url, progress)

        async def fetch_all() -> None:
            async with anyio.create_task_group() as group:
                for url in urls:
                    group.start_soon(fetch, url)

        await report_while(report, progress.message, fetch_all)
        return pictures

    async def _fetch_or_explain(
        self, request: PictureRequest, url: str, progress: _DownloadProgress
    ) -> Picture:
        from runapi_mcp.images.saving import NotSaved

        try:
            with anyio.move_on_after(request.left_seconds()):
                async with self._fetches:
                    return await self._fetch(request, url, progress)
        except NotSaved as failure:
            unsaved = Picture(url)
            if request.preview_px:
                # Anew: no half of it was kept.
                preview_alone = replace(request, folder=None)
                unsaved = await self._fetch_or_explain(preview_alone, url, progress)
            return replace(unsaved, not_saved=failure.happened)
        except (Failure, OSError) as error:
            happened = error.happened if isinstance(error, Failure) else f"{error}."
            return Picture(url, not_saved=happened if request.folder else None)
        return request.late(url)

    async def _find_saved(self, request: PictureRequest, url: str) -> Picture:
        """The picture that an earlier call saved, where it still is as it was."""
        path = request.saved_at(url)
        if path is None:
            return Picture(url)
        from runapi_mcp.images.download import inspect_saved
        from runapi_mcp.images.saving import Changed

        try:
            async with self.decoder:
                info = await anyio.to_thread.run_sync(inspect_saved, path, request)
        except Changed as failure:
            return Picture(url, not_saved=failure.happened)
        except (Failure, OSError):
            return Picture(url)
        return Picture(url, path, info)

    async def _fetch(
        self, request: PictureRequest, url: str, progress: _DownloadProgress
    ) -> Picture:
        from runapi_mcp.images.download import Download

        download = await anyio.to_thread.run_sync(Download.begin, request, url)
        try:
            record = partial(progress.record, url)
            await self._fetcher.fetch(url, download.take, request.left_seconds(), record)
            await download.flush()
            async with self.decoder:
                return await anyio.to_thread.run_sync(download.commit)
        finally:
            # A caller who leaves must not leave half a file behind.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(download.discard)

    @cached_property
    def _fetcher(self) -> Fetcher:
        from runapi_mcp.images.fetching import Fetcher

        return Fetcher(self._base_url, self._transport)


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
