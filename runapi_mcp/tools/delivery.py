"""What a finished task hands over: its images on the disk, and a preview of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio
from pydantic import MISSING

from runapi_mcp import __version__
from runapi_mcp.base.catalog.lifetimes import IMAGE_SECONDS
from runapi_mcp.base.errors import Refused
from runapi_mcp.base.json_values import as_list
from runapi_mcp.images.folders import name_of
from runapi_mcp.images.naming import default_stem
from runapi_mcp.images.picture import Finished, Picture
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.tracked_task import Watch
from runapi_mcp.tools.facts import utc
from runapi_mcp.tools.tool import Caller

LONGEST_FETCH_SECONDS: Final = 60.0
SHORTEST_FETCH_SECONDS: Final = 8.0
"""So long is tried, however late it is."""


async def pictures_of(
    caller: Caller, watch: Watch, preview_px: int | MISSING = MISSING
) -> tuple[Picture, ...]:
    """The images of a task that is finished, taken home; none of one that is not.

    Two calls that wait for one task fetch its images once.
    """
    if watch.task.status != "completed" or not watch.task.image_urls:
        return ()
    finished = _finished(caller, watch, preview_px)
    with anyio.move_on_after(finished.left_seconds()) as patience:
        async with caller.handover.picture_store.lock_for(watch.task.id):
            patience.deadline = math.inf
            pictures = await _taken_home(caller, watch, finished)
            return tuple(replace(picture, is_far=not caller.is_local) for picture in pictures)
    return tuple(map(finished.late, finished.urls))


async def _taken_home(caller: Caller, watch: Watch, finished: Finished) -> tuple[Picture, ...]:
    if watch.entry is not None and caller.handover.saves:
        # Another call may have saved them while this one waited.
        finished = replace(finished, saved=watch.entry.files)
    pictures = await caller.handover.picture_store.collect(finished, caller.report)
    files = tuple(str(picture.path or "") for picture in pictures)
    if watch.entry is not None and any(files) and files != watch.entry.files:
        await caller.orders.saved(watch, files)
    return pictures


def target_of(caller: Caller, save_as: str | MISSING) -> str | None:
    """Where the picture of a call is to be saved, whoever fetches it; None for a name of ours.

    Raises:
        Refused: this server saves nothing.
    """
    if save_as is MISSING:
        return None
    if not caller.handover.saves:
        raise Refused(
            "save_as cannot be honoured: this server saves no pictures.",
            "Leave it out: the answer has the image's address. Nothing was sent or paid.",
        )
    return caller.handover.picture_store.folders.target(save_as, named=caller.is_local)


def expiry(entry: Entry | None, made_at: float | None = None) -> str | None:
    """Until when RunAPI has the images, about; None when nobody knows how old they are."""
    made_at = entry.made_at or entry.begun_at if entry else made_at
    return utc(made_at + IMAGE_SECONDS) if made_at else None


def _finished(caller: Caller, watch: Watch, preview_px: int | MISSING) -> Finished:
    target = watch.entry.save_as if watch.entry else None
    return Finished(
        urls=watch.task.image_urls,
        saved=(),  # not before it is its turn
        folder=_folder(caller, target) if caller.handover.saves else None,
        name=name_of(target) if target else _name(caller, watch),
        about=_about(watch),
        preview_px=caller.handover.preview_px(preview_px),
        fetch_by=_fetch_by(caller),
    )


def _folder(caller: Caller, target: str | None) -> Path:
    folders = caller.handover.picture_store.folders
    if target is None:
        return folders.output_folder
    return folders.folder_of(target, named=caller.is_local)


def _fetch_by(caller: Caller) -> float:
    now = anyio.current_time()
    left = caller.handover.answer_by - now
    return now + min(max(left, SHORTEST_FETCH_SECONDS), LONGEST_FETCH_SECONDS)


def _name(caller: Caller, watch: Watch) -> str:
    """A name by the day it was drawn, by this machine's calendar, and by what it shows."""
    entry = watch.entry
    drawn_at = (entry and entry.ended_at) or caller.orders.now()
    prompt = str(((entry and entry.arguments) or {}).get("prompt", ""))
    day = datetime.fromtimestamp(drawn_at).astimezone().date()
    return default_stem(prompt, watch.task.id, day)


def _about(watch: Watch) -> dict[str, object]:
    """What the JSON beside a picture says of its task; what is not known is absent."""
    task, entry = watch.task, watch.entry
    about: dict[str, object | None] = {"task_id": task.id, "model": task.model}
    about["cost_cents"] = task.cost_cents
    if entry is not None:
        drawn_at = entry.ended_at
        arguments = dict(entry.arguments or {})
        arguments.pop("source_image_urls", None)
        about |= {
            "prompt": arguments.pop("prompt", None),
            "arguments": arguments or None,
            "made_from": _made_from(entry) or None,
            "drawn": utc(drawn_at) if drawn_at else None,
            "source_expires": expiry(entry),
        }
    about |= {"sandbox": task.sandbox or None, "software": f"runapi-mcp {__version__}"}
    return {name: value for name, value in about.items() if value is not None}


def _made_from(entry: Entry) -> Sequence[Mapping[str, str]]:
    """What the picture was made from, in the caller's words."""
    urls = as_list((entry.arguments or {}).get("source_image_urls"))
    return entry.sources or [{"url": str(url)} for url in urls]
