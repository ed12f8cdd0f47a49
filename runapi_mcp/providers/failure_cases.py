"""Error answers of any vendor as failures: sorted by who can act, short, and without secrets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from runapi_mcp.base import errors
from runapi_mcp.base.errors import HttpAnswer, ProviderFailure
from runapi_mcp.base.redaction import LONGEST_QUOTATION, excerpt, quote

LONGEST_RETRY_AFTER_SECONDS = 30.0
"""A picture takes seconds: who believed a longer wish would not see that it is there."""
NOT_CHARGED: Final = frozenset({400, 401, 402, 404, 413, 415, 422})
"""The only answers after which a request that pays has cost nothing, if they name no task.

Any other may come from something on the way that knows nothing of what the vendor did.
"""
_PASSING: Final = frozenset({408, 425})
"""What is no fault of the request, as little as 5xx."""
_HTML = re.compile(r"<\s*+(?:/\s*+)?[a-z!][^<>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """What a status means. `{message}` is the vendor's own word on it, as such, or the bare status;
    `{pause}` how long it wants to be left alone."""

    failure: type[ProviderFailure]
    happened: str
    advice: str

    def failed(self, who: str, answer: HttpAnswer, message: str | None) -> ProviderFailure:
        """The failure of an answer of `who`, which gives no reason, or this one."""
        happened = self.happened.format(
            who=who,
            message=f" ({who} says: {quote(message)})" if message else f" (HTTP {answer.status})",
            status=answer.status,
        )
        wait = answer.retry_after_seconds
        pause = f"{max(wait, 2):.0f} seconds" if wait else "a minute"
        return self.failure(happened, self.advice.format(pause=pause), answer)


CONFLICT: Final = Case(
    errors.Conflict, "{who} reported a conflict{message}.", "Call again in a minute."
)
RATE_LIMITED: Final = Case(
    errors.RateLimited,
    "{who} is limiting requests of this key{message}.",
    "Wait {pause}, then call again.",
)
UNKNOWN_TASK: Final = Case(
    errors.TaskNotFound,
    "{who} knows no task with this id for this API key{message}.",
    "Check the task_id and that the key is the one that made the task.",
)
_REFUSED: Final = Case(
    errors.RequestRefused,
    "{who} refused the request{message}.",
    "Change what it names and call again.",
)
_DOWN: Final = Case(
    errors.ProviderDown, "{who} is having trouble (HTTP {status}).", "Try again in a minute."
)


def moved(url_name: str) -> Case:
    """A redirect, which is not followed: with it the key would go elsewhere."""
    return Case(
        errors.RequestRefused,
        "{who} is not at this address: it answered with a redirect (HTTP {status}).",
        f"Set {url_name} to its address, or unset it.",
    )


def other_case(status: int) -> Case:
    """What a status means that has no case of its own."""
    return _REFUSED if 400 <= status < 500 and status not in _PASSING else _DOWN


def leaves_doubt(failure: ProviderFailure) -> bool:
    """Whether a request that pays may have been carried out although an attempt failed so."""
    answer = failure.answer
    is_refused = isinstance(failure, errors.NotConnected) or answer.status in NOT_CHARGED
    return not is_refused or answer.task_id is not None


def is_answered(failure: ProviderFailure) -> bool:
    """Whether somebody said no, unlike where an answer tore, broke down or cannot be read."""
    return 300 <= (failure.answer.status or 0) < 500


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


def shown_message(parts: Iterable[str | None]) -> str | None:
    """A vendor's own words, short enough to be quoted; never a page of HTML."""
    shown = excerpt(": ".join(part for part in parts if part), LONGEST_QUOTATION)
    return None if _HTML.search(shown) else shown or None


def _seconds_until(http_date: str) -> float:
    try:
        wanted = parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return 0.0
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    return (wanted - datetime.now(UTC)).total_seconds()
