"""What a finished task hands over: its images on the disk, and a preview of each."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import anyio
from pydantic import MISSING

from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.printable import printable_path
from runapi_mcp.base.progress import Report
from runapi_mcp.images.picture import Picture
from runapi_mcp.orders.ledger import Ledger, write_or_log
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.picture_request import request_for, target_folder, wanted_pictures
from runapi_mcp.tools.tool import DeliveryOptions

_PREVIEWS_OFF: Final = "RUNAPI_PREVIEW=off turns previews off on this server."


async def deliver(
    tasks: Sequence[TrackedTask],
    options: DeliveryOptions,
    ledger: Ledger,
    report: Report,
    preview_px: int | MISSING = MISSING,
) -> tuple[Picture, ...]:
    """The images of those tasks of a call that are finished, fetched and saved.

    Two calls that wait for the same tasks fetch their images once.
    """
    drawn = [tracked for tracked in tasks if _has_images(tracked)]
    if not drawn:
        return ()
    request = request_for(drawn, options, ledger.now(), options.preview_px(preview_px))
    with anyio.move_on_after(request.left_seconds()) as patience:
        async with options.picture_store.lock_for(request.set_id):
            patience.deadline = math.inf
            if options.saves:
                # Another call may have saved them while this one waited.
                request = replace(
                    request, wanted=wanted_pictures(drawn, ledger.now(), are_saved=True)
                )
            pictures = await options.picture_store.collect(request, report)
            await _record_files(drawn, ledger, pictures)
            why = _why_elsewhere(options, drawn[0])
            unseen = _why_unseen(options, preview_px)
            told = (_as_told(picture, options, why) for picture in pictures)
            return tuple(replace(each, no_preview=each.no_preview or unseen) for each in told)
    return tuple(_as_told(request.late(wanted), options) for wanted in request.wanted)


def told_urls(tasks: Iterable[Task], options: DeliveryOptions) -> list[str]:
    """The addresses of these tasks' images that somebody may go to."""
    pictures = [Picture(url) for task in tasks for url in task.image_urls]
    told = map(options.picture_store.refuse_address, pictures)
    return [picture.url for picture in told if picture.url]


def _as_told(picture: Picture, options: DeliveryOptions, why: str = "") -> Picture:
    if picture.path and why:
        picture = replace(picture, note=why)
    if picture.url:
        picture = options.picture_store.refuse_address(picture)
    return replace(picture, is_far=not options.is_local)


def _why_unseen(options: DeliveryOptions, preview_px: int | MISSING) -> str:
    """Why a preview that a call asked for is not even made."""
    is_asked = preview_px is not MISSING and preview_px > 0
    return _PREVIEWS_OFF if is_asked and options.most_preview_px == 0 else ""


def _why_elsewhere(options: DeliveryOptions, drawn: TrackedTask) -> str:
    """Why a name counts from the folder of all pictures although there is a repository."""
    target = drawn.entry.save_as if drawn.entry else None
    if target is None or not options.is_local:
        return ""
    foreign = options.picture_store.folders.foreign_project()
    if foreign is None or target_folder(options, target) != target_folder(options, None):
        return ""
    return (
        f"save_as counts from the folder of all pictures, because {printable_path(foreign)} is the "
        "repository of another user."
    )


def _has_images(tracked: TrackedTask) -> bool:
    return tracked.task.status == "completed" and bool(tracked.task.image_urls)


async def _record_files(
    drawn: Sequence[TrackedTask], ledger: Ledger, pictures: Sequence[Picture]
) -> None:
    following = iter(pictures)
    for tracked in drawn:
        told = [next(following) for _ in tracked.task.image_urls]
        files = tuple(str(picture.path or "") for picture in told)
        hashes = tuple(picture.sha256 for picture in told)
        originals = tuple(map(_original, told)) if any(each.original for each in told) else ()
        entry, news = tracked.entry, (files, hashes, originals)
        if entry and any(files) and news != (entry.files, entry.file_hashes, entry.originals):
            tracked.record_files(*news)
            await write_or_log(ledger.record_files(entry.key, *news))


def _original(picture: Picture) -> tuple[str, str]:
    kept = picture.original
    return (str(kept.path), kept.sha256) if kept else ("", "")
