"""What a finished task hands over: its images on the disk, and a preview of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
from pydantic import MISSING

from runapi_mcp import __version__
from runapi_mcp.base.catalog.lifetimes import IMAGE_SECONDS
from runapi_mcp.base.days import date_of
from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.json_values import as_list
from runapi_mcp.base.progress import Report
from runapi_mcp.images.folders import name_of
from runapi_mcp.images.naming import default_stem
from runapi_mcp.images.picture import Picture, PictureRequest
from runapi_mcp.orders.ledger import Entry, Ledger, write_or_log
from runapi_mcp.orders.purchase import SOURCES_FIELD
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.facts import utc
from runapi_mcp.tools.tool import DeliveryOptions

LONGEST_FETCH_SECONDS: Final = 60.0
SHORTEST_FETCH_SECONDS: Final = 8.0
"""So long is tried, however late it is."""


async def deliver(
    tracked: TrackedTask,
    options: DeliveryOptions,
    ledger: Ledger,
    report: Report,
    preview_px: int | MISSING = MISSING,
) -> tuple[Picture, ...]:
    """The images of a task that is finished, fetched and saved; none of one that is not.

    Two calls that wait for one task fetch its images once.
    """
    if tracked.task.status != "completed" or not tracked.task.image_urls:
        return ()
    request = _request(tracked, options, ledger.now(), options.preview_px(preview_px))
    with anyio.move_on_after(request.left_seconds()) as patience:
        async with options.picture_store.lock_for(tracked.task.id):
            patience.deadline = math.inf
            if tracked.entry is not None and options.saves:
                # Another call may have saved them while this one waited.
                request = replace(request, saved=tracked.entry.files)
            pictures = await options.picture_store.collect(request, report)
            await _record_files(tracked, ledger, pictures)
            return tuple(replace(picture, is_far=not options.is_local) for picture in pictures)
    return tuple(map(request.late, request.urls))


def target_of(options: DeliveryOptions, save_as: str | MISSING) -> str | None:
    """Where the picture of a call is to be saved, whoever fetches it; None for a name of ours.

    Raises:
        Refused: this server saves nothing.
    """
    if save_as is MISSING:
        return None
    if not options.saves:
        raise Refused(
            "save_as cannot be honoured: this server saves no pictures.",
            "Leave it out: the answer has the image's address. Nothing was sent or paid.",
        )
    return options.picture_store.folders.target(save_as, named=options.is_local)


def expiry_of(entry: Entry | None, made_at: float | None = None) -> str | None:
    """Until when RunAPI has the images, about; None when nobody knows how old they are."""
    made_at = entry.made_at or entry.begun_at if entry else made_at
    return utc(made_at + IMAGE_SECONDS) if made_at else None


async def _record_files(tracked: TrackedTask, ledger: Ledger, pictures: Sequence[Picture]) -> None:
    files = tuple(str(picture.path or "") for picture in pictures)
    if tracked.entry is not None and any(files) and files != tracked.entry.files:
        tracked.record_files(files)
        await write_or_log(ledger.record_files(tracked.entry.key, files))


def _request(
    tracked: TrackedTask, options: DeliveryOptions, now: float, preview_px: int
) -> PictureRequest:
    target = tracked.entry.save_as if tracked.entry else None
    return PictureRequest(
        urls=tracked.task.image_urls,
        saved=(),  # not before it is its turn
        folder=_folder(options, target) if options.saves else None,
        name=name_of(target) if target else _name(tracked, now),
        about=_about(tracked),
        preview_px=preview_px,
        fetch_by=_fetch_by(options.answer_by),
    )


def _folder(options: DeliveryOptions, target: str | None) -> Path | None:
    places = options.picture_store.folders
    try:
        if target is None:
            return places.output_folder
        return places.folder_of(target, named=options.is_local)
    except NotConfigured:  # it was paid by a server that has a folder
        return None


def _fetch_by(answer_by: float) -> float:
    now = anyio.current_time()
    return now + min(max(answer_by - now, SHORTEST_FETCH_SECONDS), LONGEST_FETCH_SECONDS)


def _name(tracked: TrackedTask, now: float) -> str:
    """A name by the day it was drawn, by this machine's calendar, and by what it shows."""
    entry = tracked.entry
    drawn_at = (entry and entry.ended_at) or now
    prompt = str(((entry and entry.arguments) or {}).get("prompt", ""))
    return default_stem(prompt, tracked.task.id, date_of(drawn_at))


def _about(tracked: TrackedTask) -> dict[str, object]:
    """What the JSON beside a picture says of its task; what is not known is absent."""
    task, entry = tracked.task, tracked.entry
    about: dict[str, object | None] = {"task_id": task.id, "model": task.model}
    about["cost_cents"] = task.cost_cents
    if entry is not None:
        arguments = dict(entry.arguments or {})
        # Addresses that work for an hour: `made_from` says what the images were.
        arguments.pop(SOURCES_FIELD, None)
        about |= {
            "prompt": arguments.pop("prompt", None),
            "arguments": arguments or None,
            "made_from": _made_from(entry) or None,
            "drawn": utc(entry.ended_at) if entry.ended_at else None,
            "source_expires": expiry_of(entry),
        }
    about |= {"sandbox": task.sandbox or None, "software": f"runapi-mcp {__version__}"}
    return {name: value for name, value in about.items() if value is not None}


def _made_from(entry: Entry) -> Sequence[Mapping[str, str]]:
    urls = as_list((entry.arguments or {}).get(SOURCES_FIELD))
    return entry.sources or [{"url": str(url)} for url in urls]
