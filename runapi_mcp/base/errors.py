"""The failure tree: everything that can go wrong, sorted by who can act.

Failure                    one sentence on what happened, one on what to do
├── Refused                the caller: these arguments cannot be used; nothing was sent
│   └── NotAllowed         a limit on money, or a person, says no
├── NotConfigured          the user: a setting is missing or broken
│   ├── KeyMissing
│   └── LedgerUnusable     what must be written down before paying cannot be
└── ProviderFailure        the provider: what it answered, or that it did not
    ├── KeyRejected        401
    ├── OutOfCredit        402
    ├── RequestRefused     400, 413, 415, 422 and other 4xx
    ├── TaskNotFound       404
    ├── Conflict           409
    ├── RateLimited        429
    └── ProviderDown       408, 425, 5xx, HTML, an unreadable answer
        └── Unreachable    no answer at all
            └── NotConnected   nothing was sent
"""

from typing import ClassVar, NamedTuple

from runapi_mcp.base.printable import on_one_line


class Failure(Exception):
    """A failure a person or a model can act on. `str()` is both sentences, on one line."""

    def __init__(self, happened: str, advice: str) -> None:
        super().__init__(happened, advice)
        self.happened = on_one_line(happened)
        self.advice = on_one_line(advice)

    def __str__(self) -> str:
        return f"{self.happened} {self.advice}"


class Refused(Failure):
    """Arguments that cannot be used. Nothing was sent and nothing was paid."""


class NotAllowed(Refused):
    """A call that a limit on money, or the person asked, does not allow. Nothing was paid."""


class NotConfigured(Failure):
    """A setting that is missing, broken or unsafe."""


class KeyMissing(NotConfigured):
    """A paid call without an API key.

    `source` is where something stands that is no key; empty where nothing stands anywhere.
    """

    def __init__(self, happened: str, advice: str, source: str = "") -> None:
        super().__init__(happened, advice)
        self.source = source


class LedgerUnusable(NotConfigured):
    """The ledger cannot be read or written. Nothing is paid without it unless the user says so."""


class HttpAnswer(NamedTuple):
    """The facts of an HTTP answer that belong in an error.

    `status` is None when there was no answer. `task_id` is the provider's, where a failed answer
    still named the task it made. `sandbox` is true when the sandbox answered instead of the vendor,
    whose title `vendor` is.
    """

    status: int | None = None
    request_id: str | None = None
    task_id: str | None = None
    retry_after_seconds: float | None = None
    sandbox: bool = False
    vendor: str = "RunAPI"


class ProviderFailure(Failure):
    """The provider answered with an error, or did not answer."""

    retryable: ClassVar[bool] = False
    """Whether the same request, sent again, may succeed."""
    in_doubt: bool = False
    """Whether a request that pays may have been carried out all the same, now or at an earlier
    try. Of other requests it says nothing."""
    answered: bool = True
    """Of a doubt: whether every try that left one was answered, and so may have been refused."""

    def __init__(self, happened: str, advice: str, answer: HttpAnswer | None = None) -> None:
        super().__init__(happened, advice)
        self.answer = answer or HttpAnswer()

    def __str__(self) -> str:
        return super().__str__() + self.reference

    @property
    def reference(self) -> str:
        """What support needs, in brackets after a space; empty where the vendor gave none."""
        request_id = self.answer.request_id
        return f" ({self.answer.vendor} request id {request_id})" if request_id else ""


class KeyRejected(ProviderFailure):
    """HTTP 401."""


class OutOfCredit(ProviderFailure):
    """HTTP 402."""


class RequestRefused(ProviderFailure):
    """HTTP 400, 413, 415, 422, and any other 4xx without a class of its own."""


class TaskNotFound(ProviderFailure):
    """HTTP 404."""


class Conflict(ProviderFailure):
    """HTTP 409: the idempotency key is in use, or was used with other input."""


class RateLimited(ProviderFailure):
    """HTTP 429; `answer.retry_after_seconds` is what it asked for, if it did."""

    retryable = True


class ProviderDown(ProviderFailure):
    """HTTP 408, 425, 5xx, an HTML page, or an answer that cannot be read."""

    retryable = True


class Unreachable(ProviderDown):
    """No connection, a torn connection, or no answer in time."""


class NotConnected(Unreachable):
    """No connection was made, so nothing was sent."""
