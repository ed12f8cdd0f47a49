"""Failures on request: a small language inside prompts, and injection for tests.

A prompt may hold directives in double brackets; they are cut out before anything is drawn:

    [[fail]]  [[fail: no cats today]]    the task fails, with that reason
    [[never]]                            the task never ends
    [[takes 3s]]                         the task takes that long
    [[poll-after 2s]]                    answers about the task carry Retry-After: 2
    [[WORD VALUE]]                       what only one vendor's contract has
    [[WHERE KIND 2s x3]]                 an HTTP failure

WHERE is `create` (the default), `created` (a create whose task is stored already) or `poll`.
KIND is a status (307 401 402 403 404 408 409 410 422 425 429 499 500 503), `html` (a 502 page),
`torn` (the connection breaks), `slow` or `broken-json`. Seconds are the `Retry-After` of a status
and the delay of `slow`. `x3` means the first three requests only, counted for each idempotency key,
or for each body or input that comes without one; without it every request fails.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast, get_args

import anyio
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from runapi_mcp.sandbox.http_messages import EarlyAnswer, Refusal, invalid

Where = Literal[
    "create", "created", "poll", "list", "prices", "quotes", "models", "account", "prepare",
    "upload", "confirm", "image",
]  # fmt: skip
FaultKind = Literal[
    "307", "401", "402", "403", "404", "408", "409", "410", "422", "425", "429", "499", "500",
    "503", "html", "torn", "slow", "broken-json",
]  # fmt: skip

_DIRECTIVE: Final = re.compile(r"\[\[((?:(?!\[\[|\]\]).)*+)\]\]", re.DOTALL)
SECONDS: Final = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)s", re.ASCII)
_TIMES: Final = re.compile(r"x(\d{1,4})", re.ASCII)
_KINDS: Final[tuple[str, ...]] = get_args(FaultKind)
_PLACES: Final = ("create", "created", "poll")
DEFAULT_SLOW_SECONDS: Final = 5.0
_FAULT_MESSAGES: Final = {
    "307": "Temporary redirect",
    "401": "Invalid API key",
    "402": "Insufficient credits",
    "403": "Forbidden",
    "404": "Not found",
    "408": "Request timeout",
    "409": "Conflict",
    "410": "Gone",
    "425": "Too early",
    "429": "Too many requests",
    "499": "Client closed request",
    "500": "Internal server error",
    "503": "Service unavailable",
}


class TornConnection(ConnectionResetError):
    """The connection breaks here, in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failing answer. `times` is None for every time."""

    where: Where
    kind: FaultKind
    seconds: float | None = None
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """What a prompt asks of the sandbox."""

    prompt: str
    """The prompt without its directives."""
    failure: str | None = None
    never_ends: bool = False
    takes_seconds: float | None = None
    poll_after_seconds: float | None = None
    faults: tuple[Fault, ...] = ()
    own: Mapping[str, str] = field(default_factory=dict[str, str])
    """The values of the words that only its vendor's contract has."""


Words = Mapping[str, re.Pattern[str]]
"""What only one vendor's contract has: each word, with the values it takes."""
NO_WORDS: Final[Words] = {}


@dataclass(slots=True)
class Faults:
    """The failures still to happen."""

    injected: list[Fault] = field(default_factory=list[Fault])
    _used: Counter[Hashable] = field(default_factory=Counter[Hashable])

    def inject(
        self, where: Where, kind: FaultKind, *, seconds: float | None = None, times: int | None = 1
    ) -> None:
        """Let the next `times` requests at `where` fail so; None for all of them."""
        self.injected.append(Fault(where, kind, seconds, times))

    async def misbehave(
        self, where: Where, scripted: Iterable[Fault] = (), identity: Hashable = None
    ) -> None:
        """Delay the request at hand, or refuse it with a failing answer, if that was asked for.

        `identity` names whom the script belongs to.
        """
        fault = self._next(where, scripted, identity)
        if fault is None:
            return
        if fault.kind == "slow":
            await anyio.sleep(DEFAULT_SLOW_SECONDS if fault.seconds is None else fault.seconds)
        else:
            raise _failing(fault)

    def _next(self, where: Where, scripted: Iterable[Fault], identity: Hashable) -> Fault | None:
        """The fault of this request, counted."""
        candidates: list[tuple[Fault, Hashable]] = [
            *((fault, (identity, place)) for place, fault in enumerate(scripted)),
            *((fault, place) for place, fault in enumerate(self.injected)),
        ]
        for fault, owner in candidates:
            is_left = fault.times is None or self._used[fault, owner] < fault.times
            if fault.where == where and is_left:
                self._used[fault, owner] += 1
                return fault
        return None


def script_of(prompt: str, words: Words = NO_WORDS) -> Script:
    """What a prompt asks for; a directive outside the language is refused with 422."""
    script = Script(" ".join(_DIRECTIVE.sub(" ", prompt).split()) or "untitled")
    for directive in _DIRECTIVE.findall(prompt):
        script = _with_directive(script, str(directive).strip(), words)
    return script


def _with_directive(script: Script, directive: str, words: Words) -> Script:
    word, _, rest = directive.partition(" ")
    value = rest.strip()
    if word in words and words[word].fullmatch(value):
        return replace(script, own={**script.own, word: value})
    seconds = seconds_in(value)
    if word.partition(":")[0] == "fail":
        reason = directive.partition(":")[2].strip()
        return replace(script, failure=reason or "The model could not draw this.")
    if directive == "never":
        return replace(script, never_ends=True)
    if word == "takes" and seconds is not None:
        return replace(script, takes_seconds=seconds)
    if word == "poll-after" and seconds is not None:
        return replace(script, poll_after_seconds=seconds)
    return replace(script, faults=(*script.faults, _fault(directive)))


def _fault(directive: str) -> Fault:
    words = directive.split()
    where = cast("Where", words.pop(0)) if words[:1] and words[0] in _PLACES else "create"
    kind, options = (words[0], words[1:]) if words else ("", [])
    known = all(SECONDS.fullmatch(word) or _TIMES.fullmatch(word) for word in options)
    if kind not in _KINDS or not known:
        unknown = f"[[{directive}]] is not a sandbox directive"
        raise invalid({"prompt": [unknown]})
    seconds, times = _number(SECONDS, options), _number(_TIMES, options)
    return Fault(where, cast("FaultKind", kind), seconds, None if times is None else int(times))


def seconds_in(text: str) -> float | None:
    """The number of a text such as "2s"."""
    return _number(SECONDS, [text])


def _number(pattern: re.Pattern[str], words: Iterable[str]) -> float | None:
    """The number in the first word of that form."""
    found = next(filter(None, map(pattern.fullmatch, words)), None)
    return float(found.group(1)) if found else None


def _failing(fault: Fault) -> Refusal | EarlyAnswer:
    match fault.kind:
        case "torn":
            return EarlyAnswer(_Torn())
        case "html":
            page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return EarlyAnswer(HTMLResponse(page, 502))
        case "broken-json":
            broken = Response('{"id": "3f2', 200, media_type="application/json")
            return EarlyAnswer(broken)
        case "422":
            return invalid({"prompt": ["was refused, as the sandbox was asked"]})
        case kind:
            pause = {} if fault.seconds is None else {"Retry-After": f"{fault.seconds:g}"}
            return Refusal(int(kind), _FAULT_MESSAGES[kind], headers=pause)


class _Torn(Response):
    """An answer that breaks off in the middle."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Length": "1000"}, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": b'{"id": "', "more_body": True})
        # The server closes the connection of an answer it cannot finish.
        raise TornConnection
