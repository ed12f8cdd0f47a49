"""RunAPI's error answers as failures: sorted by who can act, short, and without secrets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from runapi_mcp.base import errors
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.errors import HttpAnswer, ProviderFailure
from runapi_mcp.base.json_values import as_list, as_name, as_object, as_text
from runapi_mcp.base.redaction import LONGEST_QUOTATION, excerpt, quote
from runapi_mcp.base.settings import KEY_PAGE

LONGEST_RETRY_AFTER_SECONDS = 30.0
"""A picture takes seconds: who believed a longer wish would not see that it is there."""
NOT_CHARGED: Final = frozenset({400, 401, 402, 404, 413, 415, 422})
"""The only answers after which a request that pays has cost nothing, if they name no task.

Any other may come from something on the way that knows nothing of what RunAPI did.
"""
MOST_FIELDS_NAMED = 20
"""More than a message has room for."""
_MESSAGE_KEYS = ("message", "detail", "errorMessage", "msg")
_TASK_FOLDER = re.compile(r"/(tasks|api/v1/\w+/\w+)$", re.ASCII)
_HTML = re.compile(r"<\s*+(?:/\s*+)?[a-z!][^<>]*>", re.IGNORECASE)


def http_answer(status: int, headers: Mapping[str, str]) -> HttpAnswer:
    return HttpAnswer(
        status=status,
        request_id=as_name(headers.get("x-request-id")),
        task_id=_followed_task(headers),
        retry_after_seconds=parse_retry_after(headers.get("retry-after")),
        sandbox="x-runapi-sandbox" in headers,
    )


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header: a number or an HTTP date; None for no wish."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    # Also false for NaN.
    return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else None


def _seconds_until(http_date: str) -> float:
    try:
        wanted = parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return 0.0
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    return (wanted - datetime.now(UTC)).total_seconds()


def leaves_doubt(failure: ProviderFailure) -> bool:
    """Whether a request that pays may have been carried out although an attempt failed so."""
    answer = failure.answer
    is_refused = isinstance(failure, errors.NotConnected) or answer.status in NOT_CHARGED
    return not is_refused or answer.task_id is not None


def is_answered(failure: ProviderFailure) -> bool:
    """Whether somebody said no, unlike where an answer tore, broke down or cannot be read."""
    return 300 <= (failure.answer.status or 0) < 500


def named_task(body: object) -> str | None:
    """The task that the body of a failed create names all the same."""
    entries = as_object(body)
    named = {**entries, **as_object(entries.get("data"))}
    return canonical(as_text(named.get("id")) or as_text(named.get("task_id")) or "")


def _followed_task(headers: Mapping[str, str]) -> str | None:
    """The task that an answer names outside its body: by a header, or by where to follow it."""
    folder, _, name = headers.get("location", "").partition("?")[0].rpartition("/")
    followed = canonical(name) if _TASK_FOLDER.search(folder) else None
    return canonical(headers.get("x-runapi-task-id", "")) or followed


@dataclass(frozen=True, slots=True)
class _Case:
    """What a status means. `{message}` is RunAPI's own word on it, as such, or the bare status."""

    failure: type[ProviderFailure]
    happened: str
    advice: str


_CASES: Final = {
    401: _Case(
        errors.KeyRejected,
        "{who} did not accept the API key{message}.",
        f"Create a new key at {KEY_PAGE}.",
    ),
    402: _Case(
        errors.OutOfCredit,
        "{who} says that the account does not have enough credit for this call{message}.",
        f"Add credit at {KEY_PAGE}, or ask check_pricing for a cheaper variant.",
    ),
    404: _Case(
        errors.TaskNotFound,
        "{who} knows no task with this id for this API key{message}.",
        "Check the task_id and that the key is the one that made the task.",
    ),
    409: _Case(errors.Conflict, "{who} reported a conflict{message}.", "Call again in a minute."),
    429: _Case(
        errors.RateLimited,
        "{who} is limiting requests of this key{message}.",
        "Wait {pause}, then call again.",
    ),
}
_MOVED: Final = _Case(
    errors.RequestRefused,
    "{who} is not at this address: it answered with a redirect (HTTP {status}).",
    "Set RUNAPI_BASE_URL to its address, or unset it.",
)
_REFUSED: Final = _Case(
    errors.RequestRefused,
    "{who} refused the request{message}.",
    "Change what it names and call again.",
)
_PASSING: Final = frozenset({408, 425})
"""What is no fault of the request, as little as 5xx."""
_DOWN: Final = _Case(
    errors.ProviderDown, "{who} is having trouble (HTTP {status}).", "Try again in a minute."
)


def to_failure(answer: HttpAnswer, body: object, *, reads_task: bool = False) -> ProviderFailure:
    """The failure of an answer with an error status; `body` is decoded JSON, or None."""
    status = answer.status or 0
    case = _case(status, reads_task=reads_task)
    who, message = "RunAPI's sandbox" if answer.sandbox else "RunAPI", parse_message(body)
    happened = case.happened.format(
        who=who,
        message=f" ({who} says: {quote(message)})" if message else f" (HTTP {status})",
        status=status,
    )
    wait = answer.retry_after_seconds
    advice = case.advice.format(pause=f"{max(wait, 2):.0f} seconds" if wait else "a minute")
    return case.failure(happened, advice, answer)


def _case(status: int, *, reads_task: bool) -> _Case:
    if status in _CASES and (status != 404 or reads_task):
        return _CASES[status]
    if 300 <= status < 400:
        return _MOVED
    return _REFUSED if 400 <= status < 500 and status not in _PASSING else _DOWN


def parse_message(body: object) -> str | None:
    """RunAPI's own words in an error body, with the fields it names; never a page of HTML."""
    entries = as_object(body)
    error = entries.get("error")
    nested = as_object(error).get("message")
    found = [as_text(error), as_text(nested), *(as_text(entries.get(k)) for k in _MESSAGE_KEYS)]
    parts = [next((text for text in found if text), None), _fields(entries.get("errors"))]
    message = ": ".join(part for part in parts if part)
    shown = excerpt(message, LONGEST_QUOTATION)
    return None if _HTML.search(shown) else shown or None


def _fields(errors_by_field: object) -> str | None:
    entries = as_object(errors_by_field)
    some = list(entries.items())[:MOST_FIELDS_NAMED]
    named = [f"{name} {_reasons(reasons)}" for name, reasons in some]
    return "; ".join(named) or None


def _reasons(value: object) -> str:
    reasons = as_list(value)[:MOST_FIELDS_NAMED] or [value]
    return " and ".join(str(reason) for reason in reasons)
