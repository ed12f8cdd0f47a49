"""RunAPI's error answers as failures."""

import re
from collections.abc import Mapping
from typing import Final

from runapi_mcp.base import errors
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.errors import HttpAnswer, ProviderFailure
from runapi_mcp.base.json_values import as_list, as_name, as_object, as_text
from runapi_mcp.base.settings import BASE_URL_NAME, KEY_PAGE
from runapi_mcp.providers.failure_cases import (
    CONFLICT,
    RATE_LIMITED,
    UNKNOWN_TASK,
    Case,
    moved,
    other_case,
    parse_retry_after,
    shown_message,
)

MOST_FIELDS_NAMED = 20
"""More than a message has room for."""
_MESSAGE_KEYS = ("message", "detail", "errorMessage", "msg")
_TASK_FOLDER = re.compile(r"/(tasks|api/v1/\w+/\w+)$", re.ASCII)


def http_answer(status: int, headers: Mapping[str, str]) -> HttpAnswer:
    return HttpAnswer(
        status=status,
        request_id=as_name(headers.get("x-request-id")),
        task_id=_followed_task(headers),
        retry_after_seconds=parse_retry_after(headers.get("retry-after")),
        sandbox="x-runapi-sandbox" in headers,
    )


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


_CASES: Final = {
    401: Case(
        errors.KeyRejected,
        "{who} did not accept the API key{message}.",
        f"Create a new key at {KEY_PAGE}.",
    ),
    402: Case(
        errors.OutOfCredit,
        "{who} says that the account does not have enough credit for this call{message}.",
        f"Add credit at {KEY_PAGE}, or ask check_pricing for a cheaper variant.",
    ),
    404: UNKNOWN_TASK,
    409: CONFLICT,
    429: RATE_LIMITED,
}
_MOVED: Final = moved(BASE_URL_NAME)


def to_failure(answer: HttpAnswer, body: object, *, reads_task: bool = False) -> ProviderFailure:
    """The failure of an answer with an error status; `body` is decoded JSON, or None."""
    case = _case(answer.status or 0, reads_task=reads_task)
    who = "RunAPI's sandbox" if answer.sandbox else "RunAPI"
    return case.failed(who, answer, parse_message(body))


def _case(status: int, *, reads_task: bool) -> Case:
    if status in _CASES and (status != 404 or reads_task):
        return _CASES[status]
    return _MOVED if 300 <= status < 400 else other_case(status)


def parse_message(body: object) -> str | None:
    """RunAPI's own words in an error body, with the fields it names; never a page of HTML."""
    entries = as_object(body)
    error = entries.get("error")
    nested = as_object(error).get("message")
    found = [as_text(error), as_text(nested), *(as_text(entries.get(k)) for k in _MESSAGE_KEYS)]
    return shown_message(
        [next((text for text in found if text), None), _fields(entries.get("errors"))]
    )


def _fields(errors_by_field: object) -> str | None:
    entries = as_object(errors_by_field)
    some = list(entries.items())[:MOST_FIELDS_NAMED]
    named = [f"{name} {_reasons(reasons)}" for name, reasons in some]
    return "; ".join(named) or None


def _reasons(value: object) -> str:
    reasons = as_list(value)[:MOST_FIELDS_NAMED] or [value]
    return " and ".join(str(reason) for reason in reasons)
