"""What became of a task, as the facts a model needs."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypedDict

from pydantic import MISSING

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.task import Status, Task
from runapi_mcp.base.redaction import quote
from runapi_mcp.images.picture import Picture
from runapi_mcp.orders.doubt import given_up_words
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.entry_files import expiry_of
from runapi_mcp.tools.facts import TaskFacts, known, price_basis, sandbox_notice, utc
from runapi_mcp.tools.next_step import names_none, next_step
from runapi_mcp.tools.tool import TaskOutcome, ToolResult

_TROUBLE = (
    "The task is paid for and can be found: call get_task with this task_id, or take the images "
    "from image_urls."
)


def result_of(
    outcome: TaskOutcome,
    *,
    price: Price | None = None,
    spent_cents: float | None = None,
    left_cents: float | None = None,
    made_at: float | None = None,
) -> ToolResult:
    """The result of a wait: images, failed tasks, or some that are still running.

    `spent_cents` is what today has cost; `made_at` when the task was made, where the ledger does
    not know it.
    """
    tasks, pictures = [tracked.task for tracked in outcome.tasks], outcome.pictures
    first, status, failed = outcome.first, _status(tasks), _failed(outcome)
    price_cents, basis = _price(outcome, price)
    bad_end = _is_bad_end(status, tasks)
    facts = TaskFacts(
        joined=joined_words(outcome) or MISSING,
        status=status,
        task_id=first.task.id,
        task_ids=list(outcome.siblings) or MISSING,
        failed=failed or MISSING,
        model=first.task.model or MISSING,
        image_seconds=_seconds(outcome) or MISSING,
        expires=_expiry(outcome, made_at) or MISSING,
        cost_cents=known(_sum(task.cost_cents for task in tasks)),
        price_cents=known(price_cents),
        price_basis=basis or MISSING,
        spent_today_cents=tidy(spent_cents) if spent_cents else MISSING,
        left_today_cents=known(left_cents),
        error=_error(outcome) or MISSING,
        request_id=(first.task.request_id if bad_end else None) or MISSING,
        next=next_step(outcome, status, len(failed)),
        notice=_notice(outcome) or MISSING,
        **_picture_facts(pictures),
    )
    return ToolResult(facts, failed=bad_end, task=outcome)


def plain_result_of(outcome: TaskOutcome, trouble: str, urls: Sequence[str]) -> ToolResult:
    """What must be told of tasks that are paid, when all else went wrong."""
    tasks = [tracked.task for tracked in outcome.tasks]
    facts = TaskFacts(
        status=_status(tasks),
        task_id=tasks[0].id,
        task_ids=list(outcome.siblings) or MISSING,
        image_urls=list(urls) or MISSING,
        error=trouble,
        next=_TROUBLE,
    )
    return ToolResult(facts, task=replace(outcome, pictures=()))


def joined_words(outcome: TaskOutcome) -> str | None:
    """What a call is told first that went on with an earlier one."""
    if outcome.joined_at is None:
        return None
    several, moment = len(outcome.siblings) > 1, utc(outcome.joined_at)
    what, new = (
        ("These are the images", "new ones") if several else ("This is the image", "a new one")
    )
    return (
        f"{what} of the identical call of {moment}, given again and charged once. To draw and pay "
        f"for {new}, make the same call with redraw: {outcome.first.task.id}"
    )


class _PictureFacts(TypedDict):
    image_paths: list[str] | MISSING
    original_paths: list[str] | MISSING
    image_sizes: list[str] | MISSING
    image_bytes: list[int] | MISSING
    image_urls: list[str] | MISSING
    not_saved: str | MISSING


def _picture_facts(pictures: Sequence[Picture]) -> _PictureFacts:
    infos = [picture.info for picture in pictures if picture.info]
    reasons = dict.fromkeys(picture.not_saved or "" for picture in pictures)
    return {
        "image_paths": [picture.place for picture in pictures if picture.path] or MISSING,
        "original_paths": list(filter(None, (each.original_place for each in pictures))) or MISSING,
        "image_sizes": [f"{info.width}x{info.height}" for info in infos] or MISSING,
        "image_bytes": [info.byte_size for info in infos] or MISSING,
        "image_urls": [picture.url for picture in pictures if picture.url] or MISSING,
        "not_saved": " ".join(reasons).strip() or MISSING,
    }


def _expiry(outcome: TaskOutcome, made_at: float | None) -> str | None:
    has_urls = any(picture.url and not picture.is_kept for picture in outcome.pictures)
    first = outcome.first
    return expiry_of(first.entry, first.task.vendor, made_at) if has_urls else None


def _notice(outcome: TaskOutcome) -> str:
    vendor, pictures = outcome.first.task.vendor, outcome.pictures
    doubtful = outcome.doubtful and given_up_words(vendor, utc(outcome.doubtful.begun_at))
    is_practice = any(tracked.task.sandbox for tracked in outcome.tasks)
    sandbox = sandbox_notice(vendor) if is_practice else ""
    reasons = filter(None, (each.why_no_preview for each in pictures))
    previews = (f"An image has no preview: {reason}" for reason in reasons)
    notes = (each.note for each in pictures)
    return " ".join(dict.fromkeys(filter(None, (doubtful, sandbox, *notes, *previews))))


def _status(tasks: Sequence[Task]) -> Status:
    """That of one that still runs, if one does; else the best end."""
    for task in tasks:
        if not task.ended:
            return task.status
    return "completed" if any(task.status == "completed" for task in tasks) else "failed"


def _is_bad_end(status: Status, tasks: Sequence[Task]) -> bool:
    is_empty = not any(task.image_urls for task in tasks)
    return status == "failed" or (status == "completed" and is_empty)


def _failed(outcome: TaskOutcome) -> list[str]:
    """A sentence on each image of several that there is none of."""
    if len(outcome.tasks) + len(outcome.failures) == 1:
        return []
    words = {
        _number(tracked): f"task {tracked.task.id}: {_why(tracked.task)}"
        for tracked in outcome.tasks
        if tracked.task.ended and not tracked.task.image_urls
    }
    words |= {number: str(failure) for number, failure in outcome.failures.items()}
    return [f"Image {number}: {words[number]}" for number in sorted(words)]


def _why(task: Task) -> str:
    return _emptiness(task) if task.status == "completed" else _reason(task)


def _number(tracked: TrackedTask) -> int:
    return tracked.entry.number if tracked.entry else 1


def _seconds(outcome: TaskOutcome) -> list[float]:
    """How long each picture took, from the request on; nothing where one was not watched."""
    drawn = [tracked.entry for tracked in outcome.tasks if tracked.task.image_urls]
    seconds = [_seconds_of(entry) for entry in drawn if entry and entry.drawn]
    return seconds if len(seconds) == len(drawn) else []


def _price(outcome: TaskOutcome, price: Price | None) -> tuple[float | None, str | None]:
    """What is not charged yet will cost and who says so; nothing once all charges are known."""
    priced = [_price_of(tracked, price) for tracked in outcome.tasks]
    bases = [basis for _, basis in priced if basis is not None]
    return _sum(cents for cents, _ in priced), bases[0] if bases else None


def _price_of(tracked: TrackedTask, price: Price | None) -> tuple[float | None, str | None]:
    task, entry = tracked.task, tracked.entry
    if task.cost_cents is not None or task.status == "failed":
        return None, None
    if task.reserved_cents is not None:
        who = "the sandbox" if task.sandbox else task.vendor.title
        return task.reserved_cents, f"reserved by {who}"
    if price is not None and price.source != "unknown":
        return price.cents, price_basis(price, task.vendor)
    if entry is not None and entry.price_cents is not None:
        return entry.price_cents, "the price when it was ordered"
    return (None, None) if price is None else (None, price_basis(price, task.vendor))


def _seconds_of(entry: Entry) -> float:
    _, done_seconds = entry.drawn or (0.0, 0.0)
    return round(entry.drawn_since - entry.begun_at + done_seconds, 1)


def _sum(amounts: Iterable[float | None]) -> float | None:
    known_amounts = [cents for cents in amounts if cents is not None]
    return tidy(sum(known_amounts)) if known_amounts else None


def _error(outcome: TaskOutcome) -> str | None:
    task = outcome.first.task
    if task.status == "failed" and len(outcome.tasks) == 1:
        return _reason(task)
    if task.error is not None and not task.image_urls and len(outcome.tasks) == 1:
        return f"{task.seller} reports {quote(task.error)}"
    failed = next((each.failure for each in outcome.tasks if each.failure is not None), None)
    if failed is not None:
        return f"The last look at the task failed: {failed.happened}{failed.reference}"
    return None


def _reason(task: Task) -> str:
    """Why it failed, in words that are marked as its vendor's."""
    no_reason = f"{task.vendor.title} gave no reason."
    return f"{task.seller} says: {quote(task.error)}" if task.error else no_reason


def _emptiness(task: Task) -> str:
    """What is known of a task that is said to be done, and has no image."""
    reported = f" It reports {quote(task.error)}." if task.error else ""
    return f"{names_none(task.vendor)}{reported}"
