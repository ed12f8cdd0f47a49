"""RunAPI's error answers as failures: sorted by who can act, short, and without secrets."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from runapi_mcp import errors
from runapi_mcp.api.messages import as_list, as_object, as_text
from runapi_mcp.errors import Answer, RunapiFailure

LONGEST_QUOTE = 300
_MESSAGE_KEYS = ("message", "detail", "errorMessage", "msg")
_HTML = re.compile(r"<\s*(!doctype|html|head|body|title)\b", re.IGNORECASE)


def answer_of(status: int, headers: Mapping[str, str]) -> Answer:
    """The facts of an answer that belong in an error."""
    return Answer(
        status=status,
        request_id=as_text(headers.get("x-request-id")),
        task_id=as_text(headers.get("x-runapi-task-id")),
        retry_after_seconds=retry_after_seconds(headers.get("retry-after")),
        sandbox="x-runapi-sandbox" in headers,
    )


def retry_after_seconds(value: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header: a number or an HTTP date; None without one."""
    if value is None:
        return None
    try:
        return max(0.0, min(float(value), 86_400.0))
    except ValueError:
        pass
    try:
        wanted = parsedate_to_datetime(value)
    except ValueError:
        return None
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    return max(0.0, (wanted - datetime.now(UTC)).total_seconds())


def failure_of(answer: Answer, body: object, *, reading_task: bool) -> RunapiFailure:
    """The failure of an answer with an error status; `body` is decoded JSON, or None."""
    who = "RunAPI's sandbox" if answer.sandbox else "RunAPI"
    said = _quoted(body)
    match answer.status:
        case 401:
            return errors.KeyRejected(
                f"{who} did not accept the API key{said}.",
                "Check RUNAPI_API_KEY, or create a new key at https://runapi.ai.",
                answer,
            )
        case 402:
            return errors.OutOfCredit(
                f"The {who} account has not enough credit for this call{said}.",
                "Add credit at https://runapi.ai, or ask check_pricing for a cheaper variant.",
                answer,
            )
        case 404 if reading_task:
            return errors.TaskNotFound(
                f"{who} knows no task with this id for this API key{said}.",
                "Check the task_id and that the key is the one that made the task.",
                answer,
            )
        case 409:
            return errors.Conflict(
                f"{who} reported a conflict{said}.",
                "Call the tool again; it uses a new idempotency key.",
                answer,
            )
        case 408 | 429:
            wait = answer.retry_after_seconds
            pause = f"{wait:.0f} seconds" if wait else "a minute"
            return errors.RateLimited(
                f"{who} is limiting requests of this key{said}.",
                f"Wait {pause}, then call again.",
                answer,
            )
        case int(status) if 400 <= status < 500:
            return errors.RequestRefused(
                f"{who} refused the request{said or f' (HTTP {status})'}.",
                "Change what it names and call again.",
                answer,
            )
        case status:
            return errors.RunapiDown(
                f"{who} is having trouble (HTTP {status}).", "Try again in a minute.", answer
            )


def message_of(body: object) -> str | None:
    """RunAPI's own words in an error body, with the fields it names; never a page of HTML."""
    entries = as_object(body)
    error = entries.get("error")
    nested = as_object(error).get("message")
    found = [as_text(error), as_text(nested), *(as_text(entries.get(k)) for k in _MESSAGE_KEYS)]
    parts = [next((text for text in found if text), None), _fields(entries.get("errors"))]
    said = ": ".join(part for part in parts if part)
    if not said or _HTML.search(said):
        return None
    flat = " ".join(said.split())
    return flat if len(flat) <= LONGEST_QUOTE else flat[: LONGEST_QUOTE - 1] + "…"


def _quoted(body: object) -> str:
    said = message_of(body)
    return f" ({said.rstrip('.')})" if said else ""


def _fields(errors_by_field: object) -> str | None:
    entries = as_object(errors_by_field)
    named = [f"{name} {_reasons(reasons)}" for name, reasons in entries.items()]
    return "; ".join(named) or None


def _reasons(value: object) -> str:
    reasons = as_list(value) or [value]
    return " and ".join(str(reason) for reason in reasons)
