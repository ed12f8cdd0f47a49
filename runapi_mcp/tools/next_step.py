"""What is to be done next about the images of a call, said to the model that called."""

import re
from collections.abc import Sequence
from typing import Final

from runapi_mcp.base.catalog.task import Status, Task
from runapi_mcp.base.catalog.vendors import Vendor
from runapi_mcp.tools.tool import TaskOutcome, is_in_doubt

_SAVED: Final = (
    "Tell the user the path. To change the image, give its path or task_id as source_image_urls "
    "to a remix tool."
)
_SAVED_FAR: Final = (
    "The path is on the server: give the user the URL, which expires. To change the image, give "
    "its task_id or URL as source_image_urls to a remix tool."
)
_NOT_SAVED: Final = (
    "Download the image from image_urls before it expires, or call get_task with this task_id: "
    "that tries to save it again and costs nothing."
)
_NO_ADDRESS: Final = (
    "{vendor} gave no address that an image may be fetched from. Call get_task with this task_id "
    "to try again, which costs nothing; if it stays so, report the task_id to {vendor}."
)
_ONLY_URLS: Final = "The image URLs expire {days} after drawing; download what should last."
_KEPT: Final = (
    "Give the user the URL, which lasts. To change the image, give its task_id as "
    "source_image_urls to a remix tool."
)
_RUNNING: Final = (
    "Call get_task with this task_id, or make the same call again: it goes on with this one and "
    "pays nothing. A different call pays for another image."
)
_NOT_CHARGED: Final = "Failed images are not charged."
_FAILED: Final = f"{_NOT_CHARGED} Change the prompt or the source images and call again."
_MODERATED: Final = (
    f"{_NOT_CHARGED} That was moderation, and the same words are likely to fail "
    "again. What usually helps: describe what is to be seen instead of naming real people, brands "
    "or characters; leave out violence, nudity and drugs; try each source image alone."
)
_MODERATION: Final = re.compile(
    r"moderat|polic(y|ies)|nsfw|safety|sensitive|inappropriate|prohibited|flagged|not allowed",
    re.IGNORECASE,
)
"""What such reasons say; vendors have no code for it."""
_CHARGED: Final = "{vendor} recorded a charge for this failed image; compare check_balance."
_EMPTY: Final = (
    "{none} Compare check_balance, and report the task_id to {vendor} if it was charged. The same "
    "call draws, and pays for, a new image."
)
_RUN_TOGETHER: Final = (
    "Make the same call again: it goes on with these images and pays nothing; get_task answers for "
    "one of task_ids. A different call pays for others."
)
_SOME_FAILED: Final = (
    "The same call gives the others again; for as many as are missing, call with the same "
    "arguments and"
)
_SOME_CHARGED: Final = "Compare check_balance: what failed may be charged."
_IN_DOUBT: Final = (
    "Make the same call again: it asks about what is in doubt under its idempotency key, gives the "
    "others again, and nothing is charged twice."
)
_LOOKED_FOR: Final = (
    "Make the same call again in two minutes: it looks for what is in doubt in {vendor}'s list, "
    "gives the others again, and sends nothing a second time."
)


def names_none(vendor: Vendor) -> str:
    return f"{vendor.title} says completed but names no image."


def next_step(outcome: TaskOutcome, status: Status, missing: int) -> str:
    """What a model does now, where there are so many images of several missing."""
    pictures = outcome.pictures
    tasks, vendor = [tracked.task for tracked in outcome.tasks], outcome.first.task.vendor
    if status not in ("completed", "failed"):
        return _RUN_TOGETHER if len(tasks) > 1 else _RUNNING
    if any(map(is_in_doubt, outcome.failures.values())):
        return _IN_DOUBT if vendor.repeats_safely else _LOOKED_FOR.format(vendor=vendor.title)
    if status == "failed":
        return _why_and_what_helps(tasks, vendor)
    if not any(task.image_urls for task in tasks):
        return _EMPTY.format(none=names_none(vendor), vendor=vendor.title)
    if missing:
        return f"{_cost_of_failed(tasks)} {_SOME_FAILED} count: {missing}."
    if not any(picture.path or picture.url for picture in pictures):
        return _NO_ADDRESS.format(vendor=vendor.title)
    if any(picture.not_saved for picture in pictures):
        return _NOT_SAVED
    if all(picture.is_kept for picture in pictures):
        return _KEPT
    saved = [picture for picture in pictures if picture.path]
    if not saved:
        return _ONLY_URLS.format(days=vendor.image_days)
    return _SAVED_FAR if saved[0].is_far else _SAVED


def _why_and_what_helps(failed: Sequence[Task], vendor: Vendor) -> str:
    if any(task.cost_cents for task in failed):
        return _CHARGED.format(vendor=vendor.title)
    is_moderated = any(_MODERATION.search(task.error or "") for task in failed)
    return _MODERATED if is_moderated else _FAILED


def _cost_of_failed(tasks: Sequence[Task]) -> str:
    empty = (task for task in tasks if not task.image_urls)
    doubtful = any(task.cost_cents or task.status == "completed" for task in empty)
    return _SOME_CHARGED if doubtful else _NOT_CHARGED
