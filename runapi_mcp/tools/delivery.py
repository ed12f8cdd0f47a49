"""What a finished task hands over: its images on the disk, and a preview of each."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

import anyio
from pydantic import MISSING

from runapi_mcp import __version__
from runapi_mcp.base.catalog.lifetimes import IMAGE_SECONDS
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.days import date_of
from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.json_values import as_list
from runapi_mcp.base.printable import printable_path
from runapi_mcp.base.progress import Report
from runapi_mcp.images.folders import name_of
from runapi_mcp.images.naming import default_stem, split_suffix
from runapi_mcp.images.picture import Picture, PictureRequest, Place, SavedPicture, WantedPicture
from runapi_mcp.orders.ledger import Entry, Ledger, write_or_log
from runapi_mcp.orders.purchase import SOURCES_FIELD
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.facts import utc
from runapi_mcp.tools.tool import DeliveryOptions

LONGEST_FETCH_SECONDS: Final = 60.0
SHORTEST_FETCH_SECONDS: Final = 8.0
"""So long is tried, however late it is."""
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
    request = _request(drawn, options, ledger.now(), options.preview_px(preview_px))
    with anyio.move_on_after(request.left_seconds()) as patience:
        async with options.picture_store.lock_for(request.set_id):
            patience.deadline = math.inf
            if options.saves:
                # Another call may have saved them while this one waited.
                request = replace(request, wanted=_wanted(drawn, ledger.now(), are_saved=True))
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
    if foreign is None or _folder(options, target) != _folder(options, None):
        return ""
    return (
        f"save_as counts from the folder of all pictures, because {printable_path(foreign)} is the "
        "repository of another user."
    )


def _has_images(tracked: TrackedTask) -> bool:
    return tracked.task.status == "completed" and bool(tracked.task.image_urls)


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
            "Leave it out: the answer has the image's address. This call sent and paid nothing.",
        )
    return options.picture_store.folders.target(save_as, named=options.is_local)


def expiry_of(entry: Entry | None, made_at: float | None = None) -> str | None:
    """Until when RunAPI has the images, about; None when nobody knows how old they are."""
    made_at = entry.drawn_since if entry else made_at
    return utc(made_at + IMAGE_SECONDS) if made_at else None


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


def _request(
    drawn: Sequence[TrackedTask], options: DeliveryOptions, now: float, preview_px: int
) -> PictureRequest:
    first = drawn[0]
    target = first.entry.save_as if first.entry else None
    name, suffix = split_suffix(name_of(target or ""))
    usual = _name(first, now)
    return PictureRequest(
        wanted=_wanted(drawn, now),
        set_id=_set_id(first),
        set_size=_count(first) * max(len(tracked.task.image_urls) for tracked in drawn),
        place=_place(options, target, name or usual),
        preview_px=preview_px,
        caller=options.caller,
        fetch_by=_fetch_by(options.answer_by),
        suffix=suffix,
        originals=(_place(options, None, usual) or _place(options, target, usual)),
    )


def _place(options: DeliveryOptions, target: str | None, name: str) -> Place | None:
    """Where a picture is saved under this name, in the folder of its target."""
    folder = _folder(options, target) if options.saves else None
    if folder is None:
        return None
    return Place(folder, name, options.picture_store.folders.has_sidecars(folder))


def _set_id(tracked: TrackedTask) -> str:
    """The same for all images of a call, and for no others."""
    entry = tracked.entry
    if entry is None or entry.count == 1:
        return tracked.task.id
    return hashlib.sha256(entry.call_id.encode()).hexdigest()[:16]


def _wanted(
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
        )
        for tracked in drawn
        for index, url in enumerate(tracked.task.image_urls)
    )


def saved_pictures(entry: Entry) -> list[SavedPicture | None]:
    """Where the images of a task were saved, in their order; None for one that was not."""
    return [
        SavedPicture(Path(file), _levels(entry, file), sha256) if file else None
        for file, sha256 in zip_longest(entry.files, entry.file_hashes, fillvalue="")
    ]


def kept_originals(entry: Entry) -> list[SavedPicture | None]:
    """Where the images of a task were kept as they came; None for one that was saved so."""
    return [
        SavedPicture(Path(file), 0, sha256) if file else None for file, sha256 in entry.originals
    ]


def _levels(entry: Entry, file: str) -> int:
    """How many folders the name of a file has; none where it was only kept as it came."""
    is_original = any(file == kept for kept, _ in entry.originals)
    return 0 if is_original else name_of(entry.save_as or "").count("/")


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
            "source_expires": expiry_of(entry),
        }
    about |= {"sandbox": task.sandbox or None, "software": f"runapi-mcp {__version__}"}
    return {name: value for name, value in about.items() if value is not None}


def _made_from(entry: Entry) -> Sequence[Mapping[str, str]]:
    urls = as_list((entry.arguments or {}).get(SOURCES_FIELD))
    return entry.sources or [{"url": str(url)} for url in urls]
