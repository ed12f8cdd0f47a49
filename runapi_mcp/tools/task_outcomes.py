"""What became of a task, as the facts a model needs."""

from pydantic import MISSING

from runapi_mcp.api.prices import Price
from runapi_mcp.api.tasks import Task
from runapi_mcp.catalog import Variant
from runapi_mcp.errors import RunapiFailure
from runapi_mcp.tasks.waiting import Watch
from runapi_mcp.tools.facts import SANDBOX_NOTICE, TaskFacts, price_basis
from runapi_mcp.tools.tool import Outcome

_EXPIRY = "The image URLs expire about 7 days after drawing; download what should last."
_RUNNING = "Call get_task with this task_id; calling the drawing tool again pays for another image."
_FAILED = "Failed images are not charged. Change the prompt or the source images and call again."
_CHARGED = "RunAPI recorded a charge for this failed image; compare check_balance."
_EMPTY = "RunAPI says completed but names no image. Call get_task with this task_id once more."


def outcome_of(watch: Watch, price: Price | None = None) -> Outcome:
    """The outcome of a wait: an image, a failed task, or one that is still running."""
    task = watch.task
    price_cents, basis = _price(task, price)
    bad_end = task.status == "failed" or (task.status == "completed" and not task.image_urls)
    facts = TaskFacts(
        status=task.status,
        task_id=task.id,
        model=task.model or MISSING,
        image_urls=list(task.image_urls) or MISSING,
        cost_cents=MISSING if task.cost_cents is None else task.cost_cents,
        price_cents=MISSING if price_cents is None else price_cents,
        price_basis=basis or MISSING,
        error=_error(watch) or MISSING,
        request_id=(task.request_id if bad_end else None) or MISSING,
        next=_next(task),
        notice=SANDBOX_NOTICE if task.sandbox else MISSING,
    )
    return Outcome(facts, failed=bad_end)


def outcome_in_doubt(
    failure: RunapiFailure, task_id: str, variant: Variant, price: Price
) -> Outcome:
    """The outcome of a create that failed, but whose answer named the task it made."""
    facts = TaskFacts(
        status="unknown",
        task_id=task_id,
        model=variant.model,
        price_cents=MISSING if price.cents is None else price.cents,
        price_basis=price_basis(price),
        error=failure.happened + failure.reference,
        next=_RUNNING,
        notice=SANDBOX_NOTICE if failure.answer.sandbox else MISSING,
    )
    return Outcome(facts, failed=True)


def _price(task: Task, price: Price | None) -> tuple[float | None, str | None]:
    """What the image will cost and who says so; nothing once the charge is known."""
    if task.cost_cents is not None or task.status == "failed":
        return None, None
    if task.reserved_cents is not None:
        return task.reserved_cents, f"reserved by {'the sandbox' if task.sandbox else 'RunAPI'}"
    return (price.cents, price_basis(price)) if price else (None, None)


def _error(watch: Watch) -> str | None:
    if watch.task.status == "failed":
        return watch.task.error or "RunAPI gave no reason."
    if watch.failure is not None:
        failure = watch.failure
        return f"The last look at the task failed: {failure.happened}{failure.reference}"
    return None


def _next(task: Task) -> str:
    if task.status == "failed":
        return _CHARGED if task.cost_cents else _FAILED
    if task.status != "completed":
        return _RUNNING
    return _EXPIRY if task.image_urls else _EMPTY
