"""What is fetched for a call: which images, under which names, and until when."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from pydantic import MISSING

from runapi_mcp import __version__
from runapi_mcp.base.days import date_of
from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.json_values import as_list
from runapi_mcp.images.folders import name_of
from runapi_mcp.images.naming import default_stem, split_suffix
from runapi_mcp.images.picture import PictureRequest, Place, SavedPicture, WantedPicture
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.purchase import SOURCES_FIELD
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.entry_files import expiry_of, kept_originals, saved_pictures
from runapi_mcp.tools.facts import utc
from runapi_mcp.tools.tool import DeliveryOptions

LONGEST_FETCH_SECONDS: Final = 60.0
SHORTEST_FETCH_SECONDS: Final = 8.0
"""So long is tried, however late it is."""


def target_of(options: DeliveryOptions, save_as: str | MISSING) -> str | None:
    """Where the picture of a call is to be saved, whoever fetches it; None for a name of ours.

    Raises:
        Refused: this server saves nothing.
    """
    if save_as is MISSING:
        return None
    if options.keeps:
        return save_as
    if not options.saves:
        raise Refused(
            "save_as cannot be honoured: this server saves no pictures.",
            "Leave it out: the answer has the image's address. This call sent and paid nothing.",
        )
    return options.picture_store.folders.target(save_as, named=options.is_local)


def request_for(
    drawn: Sequence[TrackedTask], options: DeliveryOptions, now: float, preview_px: int
) -> PictureRequest:
    first = drawn[0]
    target = first.entry.save_as if first.entry else None
    name, suffix = split_suffix(name_of(target or ""))
    usual = _name(first, now)
    return PictureRequest(
        wanted=wanted_pictures(drawn, now),
        set_id=_set_id(first),
        set_size=_count(first) * max(len(tracked.task.image_urls) for tracked in drawn),
        place=_place(options, target, name or usual),
        preview_px=preview_px,
        caller=options.caller,
        fetch_by=_fetch_by(options.answer_by),
        suffix=suffix,
        originals=(_place(options, None, usual) or _place(options, target, usual)),
        # Its folders would be those of the machine that it is not on.
        kept_name=(name or usual).rpartition("/")[2] if options.keeps else "",
    )


def wanted_pictures(
    drawn: Sequence[TrackedTask], now: float, *, are_saved: bool = False
) -> tuple[WantedPicture, ...]:
    return tuple(
        WantedPicture(
            url=url,
            about=_about(tracked),
            number=_number(tracked, index),
            saved=_nth(tracked, index, saved_pictures) if are_saved else None,
            original=_nth(tracked, index, kept_originals) if are_saved else None,
            age_seconds=_age_seconds(tracked, now),
            vendor=tracked.task.vendor,
        )
        for tracked in drawn
        for index, url in enumerate(tracked.task.image_urls)
    )


def target_folder(options: DeliveryOptions, target: str | None) -> Path | None:
    """The folder that a target is in; None where this server saves nothing there."""
    places = options.picture_store.folders
    try:
        if target is None:
            return places.output_folder
        return places.folder_of(target, named=options.is_local)
    except NotConfigured:  # it was paid by a server that has a folder
        return None


def _place(options: DeliveryOptions, target: str | None, name: str) -> Place | None:
    """Where a picture is saved under this name, in the folder of its target."""
    folder = target_folder(options, target) if options.saves else None
    if folder is None:
        return None
    return Place(folder, name, options.picture_store.folders.has_sidecars(folder))


def _set_id(tracked: TrackedTask) -> str:
    """The same for all images of a call, and for no others."""
    entry = tracked.entry
    if entry is None or entry.count == 1:
        return tracked.task.id
    return hashlib.sha256(entry.call_id.encode()).hexdigest()[:16]


def _nth(
    tracked: TrackedTask, index: int, files: Callable[[Entry], list[SavedPicture | None]]
) -> SavedPicture | None:
    found = files(tracked.entry) if tracked.entry else []
    return found[index] if index < len(found) else None


def _number(tracked: TrackedTask, index: int) -> int:
    """Which it is of its set: the first images of all tasks come first, and usually there are no
    others."""
    return (tracked.entry.number if tracked.entry else 1) + index * _count(tracked)


def _count(tracked: TrackedTask) -> int:
    return tracked.entry.count if tracked.entry else 1


def _age_seconds(tracked: TrackedTask, now: float) -> float | None:
    entry = tracked.entry
    return now - entry.drawn_since if entry else None


def _fetch_by(answer_by: float) -> float:
    now = anyio.current_time()
    return now + min(max(answer_by - now, SHORTEST_FETCH_SECONDS), LONGEST_FETCH_SECONDS)


def _name(tracked: TrackedTask, now: float) -> str:
    """A name by the day it was drawn, by this machine's calendar, and by what it shows.

    Several images of a call get one name, whichever is drawn first: theirs has the day it was made.
    """
    entry = tracked.entry
    drawn_at = now
    if entry is not None:
        drawn_at = (entry.ended_at or now) if entry.count == 1 else entry.begun_at
    prompt = str(((entry and entry.arguments) or {}).get("prompt", ""))
    return default_stem(prompt, _set_id(tracked), date_of(drawn_at))


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
            "source_expires": expiry_of(entry, task.vendor),
        }
    about |= {"sandbox": task.sandbox or None, "software": f"runapi-mcp {__version__}"}
    return {name: value for name, value in about.items() if value is not None}


def _made_from(entry: Entry) -> Sequence[Mapping[str, str]]:
    urls = as_list((entry.arguments or {}).get(SOURCES_FIELD))
    return entry.sources or [{"url": str(url)} for url in urls]
