"""What became of a task, as the facts a model needs."""

from collections.abc import Sequence

from pydantic import MISSING

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.images.picture import Picture
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.delivery import expiry_of
from runapi_mcp.tools.facts import SANDBOX_NOTICE, TaskFacts, known, price_basis
from runapi_mcp.tools.tool import TaskOutcome, ToolResult

_SAVED = (
    "Tell the user the path. To change the image, give its path or task_id as source_image_urls "
    "to a remix tool."
)
_SAVED_FAR = (
    "The path is on the server: give the user the URL, which expires. To change the image, give "
    "its task_id or URL as source_image_urls to a remix tool."
)
_NOT_SAVED = (
    "Download the image from image_urls before it expires, or call get_task with this task_id: "
    "that tries to save it again and costs nothing."
)
_ONLY_URLS = "The image URLs expire about 7 days after drawing; download what should last."
_RUNNING = (
    "Call get_task with this task_id. Until its image is delivered, the same call continues this "
    "task and pays nothing; a different one pays for another image."
)
_FAILED = "Failed images are not charged. Change the prompt or the source images and call again."
_CHARGED = "RunAPI recorded a charge for this failed image; compare check_balance."
_EMPTY = "RunAPI says completed but names no image. Call get_task with this task_id once more."


def result_of(
    outcome: TaskOutcome,
    *,
    price: Price | None = None,
    left_cents: float | None = None,
    made_at: float | None = None,
) -> ToolResult:
    """The result of a wait: an image, a failed task, or one that is still running.

    `made_at` is when the task was made, where the ledger does not know it.
    """
    tracked, pictures = outcome.tracked, outcome.pictures
    task, infos = tracked.task, [picture.info for picture in pictures if picture.info]
    price_cents, basis = _price(tracked, price)
    bad_end = task.status == "failed" or (task.status == "completed" and not task.image_urls)
    facts = TaskFacts(
        image_paths=[picture.place for picture in pictures if picture.path] or MISSING,
        status=task.status,
        task_id=task.id,
        model=task.model or MISSING,
        image_sizes=[f"{info.width}x{info.height}" for info in infos] or MISSING,
        image_urls=list(task.image_urls) or MISSING,
        expires=(expiry_of(tracked.entry, made_at) if task.image_urls else None) or MISSING,
        not_saved=_not_saved(pictures) or MISSING,
        cost_cents=known(task.cost_cents),
        price_cents=known(price_cents),
        price_basis=basis or MISSING,
        joined=outcome.joined or MISSING,
        left_today_cents=known(left_cents),
        error=_error(tracked) or MISSING,
        request_id=(task.request_id if bad_end else None) or MISSING,
        next=_next(task, pictures),
        notice=SANDBOX_NOTICE if task.sandbox else MISSING,
    )
    return ToolResult(facts, failed=bad_end, task=outcome)


def result_in_doubt(
    failure: ProviderFailure, task_id: str, variant: Variant, price: Price, left_cents: float | None
) -> ToolResult:
    """The result of a create that failed, but whose answer named the task it made."""
    facts = TaskFacts(
        status="unknown",
        task_id=task_id,
        model=variant.model,
        price_cents=known(price.cents),
        price_basis=price_basis(price),
        left_today_cents=known(left_cents),
        error=failure.happened + failure.reference,
        next=_RUNNING,
        notice=SANDBOX_NOTICE if failure.answer.sandbox else MISSING,
    )
    return ToolResult(facts, failed=True)


def _price(tracked: TrackedTask, price: Price | None) -> tuple[float | None, str | None]:
    """What the image will cost and who says so; nothing once the charge is known."""
    task, entry = tracked.task, tracked.entry
    if task.cost_cents is not None or task.status == "failed":
        return None, None
    if task.reserved_cents is not None:
        return task.reserved_cents, f"reserved by {'the sandbox' if task.sandbox else 'RunAPI'}"
    if price is not None:
        return price.cents, price_basis(price)
    if entry is not None and entry.price_cents is not None:
        return entry.price_cents, "the price when it was ordered"
    return None, None


def _error(tracked: TrackedTask) -> str | None:
    if tracked.task.status == "failed":
        return tracked.task.error or "RunAPI gave no reason."
    if tracked.failure is not None:
        failure = tracked.failure
        return f"The last look at the task failed: {failure.happened}{failure.reference}"
    return None


def _not_saved(pictures: Sequence[Picture]) -> str | None:
    return " ".join(dict.fromkeys(picture.not_saved or "" for picture in pictures)).strip() or None


def _next(task: Task, pictures: Sequence[Picture]) -> str:
    if task.status == "failed":
        return _CHARGED if task.cost_cents else _FAILED
    if task.status != "completed":
        return _RUNNING
    if not task.image_urls:
        return _EMPTY
    if _not_saved(pictures):
        return _NOT_SAVED
    saved = [picture for picture in pictures if picture.path]
    if not saved:
        return _ONLY_URLS
    return _SAVED_FAR if saved[0].is_far else _SAVED
