"""The images a call starts from: addresses, files of this machine, images drawn before.

RunAPI knows addresses only. Everything is checked before the first byte of a file leaves the
machine, and uploaded only once the call is allowed to pay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
import anyio.to_thread

from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.errors import Failure, ProviderFailure, Refused
from runapi_mcp.base.printable import printable_path
from runapi_mcp.base.progress import report_while
from runapi_mcp.images.folders import Folders
from runapi_mcp.tools.arguments import as_array
from runapi_mcp.tools.tool import Caller, RawArguments

if TYPE_CHECKING:
    from runapi_mcp.images.local_image import LocalImage

FIELD: Final = "source_image_urls"

_ADDRESS: Final = re.compile(r"(?!file:)([a-z][a-z0-9+.-]+://|data:|blob:)|\s*\Z", re.IGNORECASE)
_LONGEST_PATH: Final = 4096
_LATER: Final = "https://uploaded.invalid/"
"""Stands for an image that RunAPI does not have yet, until it has."""


@dataclass(frozen=True, slots=True)
class Source:
    """One image: where RunAPI finds it, or the file that must go there first."""

    identity: str
    record: Mapping[str, str]
    url: str | None = None
    image: LocalImage | None = None


@dataclass(slots=True)
class SourceImages:
    """All images of one call, checked. Files are held until they are uploaded, and no longer."""

    caller: Caller
    sources: Sequence[Source]

    @property
    def identities(self) -> list[str]:
        return [source.identity for source in self.sources]

    @property
    def record(self) -> tuple[Mapping[str, str], ...]:
        return tuple(source.record for source in self.sources)

    @property
    def ready(self) -> bool:
        return all(source.url for source in self.sources)

    @property
    def addresses(self) -> list[str]:
        """For the params: of each image, or what stands for it until it is uploaded."""
        return [source.url or f"{_LATER}{source.identity}" for source in self.sources]

    async def urls(self) -> list[str]:
        """The address of each, uploaded where it must be.

        Raises:
            ProviderFailure: one could not be uploaded; nothing was paid.
        """
        from runapi_mcp.images.uploads import uploaded

        caller = self.caller
        images = [source.image for source in self.sources if source.image]
        found = await uploaded(
            images, caller.runapi, caller.orders, caller.handover.picture_store, caller.report
        )
        urls = iter(found)
        self.sources = [replace(s, url=s.url or next(urls), image=None) for s in self.sources]
        return self.addresses


@dataclass(frozen=True, slots=True)
class Given:
    """The sources of a call as the caller named them, some of which are no addresses."""

    names: Sequence[object]

    @classmethod
    def of(cls, raw: RawArguments) -> Given | None:
        """What a call names besides addresses; None where there is no such thing."""
        names = as_array(raw.get(FIELD))
        if not isinstance(names, list):
            return None
        given = cls(cast("list[object]", names))
        return None if all(map(_is_for_the_params, given.names)) else given

    def stood_in(self, raw: RawArguments) -> RawArguments:
        """The arguments with an address in place of each, to see whether all else is right."""
        names = [
            name if _is_for_the_params(name) else f"{_LATER}{number}"
            for number, name in enumerate(self.names)
        ]
        return {**raw, FIELD: names}

    async def images(self, caller: Caller) -> SourceImages:
        """The images, checked. The arguments with `stood_in` were accepted before.

        Raises:
            Failure: one cannot be used; nothing was uploaded or paid.
        """

        async def check_all() -> list[Source]:
            return [await _source(caller, n, str(name)) for n, name in enumerate(self.names)]

        try:
            sources = await report_while(caller.report, lambda _: "checking the images", check_all)
        except ProviderFailure as failure:
            raise type(failure)(failure.happened, _told(failure), failure.answer) from failure
        except Refused as failure:
            raise Refused(failure.happened, _told(failure)) from failure
        return SourceImages(caller, sources)


def _told(failure: Failure) -> str:
    return f"{failure.advice} Nothing was uploaded or paid."


async def _source(caller: Caller, number: int, name: str) -> Source:
    if _is_for_the_params(name):
        return Source(name, {"url": name}, url=name)
    if task_id := canonical(name):
        return await _drawn(caller, task_id)
    if not caller.is_local:
        raise Refused(
            f"{FIELD}[{number}] is a path, and this server runs on another machine than its file.",
            "Give an http(s) URL, or the task_id of an earlier image.",
        )
    image = await _read(caller, _path(name), caller.handover.picture_store.folders)
    record = {"path": str(image.path), "sha256": image.sha256}
    return Source(f"sha256:{image.sha256}", record, image=image)


async def _drawn(caller: Caller, task_id: str) -> Source:
    """The image of an earlier task: as RunAPI has it, or from the disk once that is too old."""
    identity, record = f"task:{task_id}", {"task_id": task_id}
    if image := await _saved(caller, task_id):
        return Source(identity, record, image=image)
    task = (await caller.orders.found(task_id, 0)).task
    if not task.image_urls:
        raise Refused(
            f"Task {task_id} has no image to start from: it is {task.status}.",
            "Call get_task with it first.",
        )
    return Source(identity, record, url=task.image_urls[0])


async def _saved(caller: Caller, task_id: str) -> LocalImage | None:
    """The image of a task as it was saved; None where RunAPI's own is to be taken."""
    path = await caller.orders.saved_only(task_id)
    if path is None:
        return None
    from runapi_mcp.images.local_image import read_saved_image

    try:
        return await _in_turn(caller, partial(read_saved_image, path, task_id))
    except Failure as failure:
        # Moved, deleted or edited since; RunAPI may still have its own.
        if await caller.orders.is_kept(task_id):
            return None
        raise Refused(
            failure.happened,
            f"The image of task {task_id} was saved there, and RunAPI no longer has it: give the "
            "path or URL of the image to start from.",
        ) from failure


async def _read(caller: Caller, path: str, folders: Folders) -> LocalImage:
    from runapi_mcp.images.local_image import read_local_image

    return await _in_turn(caller, partial(read_local_image, path, folders))


async def _in_turn(caller: Caller, read: Callable[[], LocalImage]) -> LocalImage:
    async with caller.handover.picture_store.decoder:
        return await anyio.to_thread.run_sync(read)


def _path(name: str) -> str:
    """The path that a name is, or that a `file:` URL leads to."""
    if not name.lower().startswith("file:"):
        return name
    try:
        parts = urlsplit(name)
    except ValueError as error:
        raise Refused(f"{printable_path(name)} is no file: URL.", "Give the path.") from error
    if parts.netloc not in ("", "localhost"):
        raise Refused(f"{printable_path(name)} is on another machine.", "Give a path of this one.")
    return url2pathname(parts.path)


def _is_for_the_params(name: object) -> bool:
    """Whether it is for the params to judge, rather than a path or a task."""
    return not isinstance(name, str) or bool(_ADDRESS.match(name)) or len(name) > _LONGEST_PATH
