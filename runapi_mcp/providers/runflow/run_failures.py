"""Runflow's error answers as failures: `{"code", "message", "errors"}`."""

from collections.abc import Mapping
from typing import Final

from runapi_mcp.base import errors
from runapi_mcp.base.catalog.vendors import RUNFLOW
from runapi_mcp.base.errors import HttpAnswer, ProviderFailure
from runapi_mcp.base.json_values import as_list, as_name, as_object, as_text
from runapi_mcp.base.settings.runflow_settings import RUNFLOW_URL_NAME
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

MOST_ERRORS_NAMED: Final = 20
"""More than a message has room for."""

_CASES: Final = {
    401: Case(
        errors.KeyRejected,
        "{who} did not accept the API key{message}.",
        f"Check {RUNFLOW.key_name} in the server's environment.",
    ),
    402: Case(
        errors.OutOfCredit,
        "{who} says that the account does not have enough credit for this call{message}.",
        "Add credit at Runflow, or choose a smaller image_size.",
    ),
    403: Case(
        errors.RequestRefused,
        "{who} does not let this account do that{message}.",
        "Check the account at Runflow: what its key may do, and that its e-mail is verified.",
    ),
    409: CONFLICT,
    429: RATE_LIMITED,
    503: Case(
        errors.ProviderDown,
        "{who} cannot draw with this model now{message}.",
        "Try again in a few minutes.",
    ),
}
_NOT_SOLD: Final = Case(
    errors.RequestRefused,
    "{who} does not know this model{message}.",
    "It may not be sold yet: draw with a tool of RunAPI.",
)
_MOVED: Final = moved(RUNFLOW_URL_NAME)


def runflow_answer(status: int, headers: Mapping[str, str]) -> HttpAnswer:
    return HttpAnswer(
        status=status,
        request_id=as_name(headers.get("x-request-id")),
        retry_after_seconds=parse_retry_after(headers.get("retry-after")),
        sandbox="x-runapi-sandbox" in headers,
        vendor=RUNFLOW.title,
    )


def to_run_failure(
    answer: HttpAnswer, body: object, *, pays: bool, reads_task: bool
) -> ProviderFailure:
    """The failure of an answer with an error status; `body` is decoded JSON, or None."""
    case = _case(answer.status or 0, pays=pays, reads_task=reads_task)
    return case.failed(seller(answer), answer, parse_reason(body))


def seller(answer: HttpAnswer) -> str:
    return "Runflow's sandbox" if answer.sandbox else RUNFLOW.title


def _case(status: int, *, pays: bool, reads_task: bool) -> Case:
    if status == 404 and (pays or reads_task):
        return _NOT_SOLD if pays else UNKNOWN_TASK
    if 300 <= status < 400:
        return _MOVED
    return _CASES.get(status) or other_case(status)


def parse_reason(body: object) -> str | None:
    """Runflow's own words in an error body, with the fields it names."""
    entries = as_object(body)
    some = as_list(entries.get("errors"))[:MOST_ERRORS_NAMED]
    fields = "; ".join(filter(None, map(_field_words, some)))
    code, message = as_text(entries.get("code")), as_text(entries.get("message"))
    return shown_message([code, message, fields or None])


def _field_words(error: object) -> str:
    entries = as_object(error)
    said = entries.get("message") if entries else error
    return " ".join(filter(None, (as_text(entries.get("field")), as_text(said))))
