"""What is measured of a server that many use: a row each. Knows nobody who reads it.

Whoever works tells the row (`WAITS.add(1)`); without a listener that is one look at an empty list.
No label can have another value than its row says, whatever it is told: none of it can be a key, a
prompt or an id, and nobody from outside can make a series more.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from runapi_mcp.base.catalog import VARIANTS

OTHER: Final = "other"
"""What a label says of a value that its row does not know."""

Kind = Literal["counter", "up and down", "gauge", "histogram"]
Labels = Mapping[str, str]
Listener = Callable[["Measure", float, Labels], None]
"""Told which row, how much, and the labels, checked. It must neither block nor raise."""

# The semantic conventions' own, from a short answer to the longest wait.
SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

_listeners: Final[list[Listener]] = []


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One row. `unit` is UCUM's, as OpenTelemetry wants it."""

    kind: Kind
    name: str
    unit: str
    description: str
    labels: Mapping[str, frozenset[str]]
    """The values that each label may have, besides `other`; one that is not told is left out."""
    buckets: tuple[float, ...] = ()
    """Of a histogram: where each ends."""

    def tell(self, amount: float, labels: Labels) -> None:
        if _listeners:
            checked = {
                name: _known(labels[name], values)
                for name, values in self.labels.items()
                if name in labels
            }
            for listener in _listeners:
                listener(self, amount, checked)


class Counter(Measure):
    """What only grows, or, `up and down`, what is there now."""

    __slots__ = ()

    def add(self, amount: float = 1, **labels: str) -> None:
        self.tell(amount, labels)


class Gauge(Measure):
    """What something is now."""

    __slots__ = ()

    def set(self, value: float, **labels: str) -> None:
        self.tell(value, labels)


class Histogram(Measure):
    """How values are spread."""

    __slots__ = ()

    def record(self, value: float, **labels: str) -> None:
        self.tell(value, labels)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Let it be told all that is measured in this process meanwhile."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _known(value: str, values: frozenset[str]) -> str:
    return value if value in values else OTHER


def _counter(name: str, unit: str, description: str, **labels: frozenset[str]) -> Counter:
    return Counter("counter", name, unit, description, labels)


def _level(name: str, unit: str, description: str, **labels: frozenset[str]) -> Counter:
    return Counter("up and down", name, unit, description, labels)


def _gauge(name: str, unit: str, description: str, **labels: frozenset[str]) -> Gauge:
    return Gauge("gauge", name, unit, description, labels)


def _seconds(name: str, description: str, **labels: frozenset[str]) -> Histogram:
    return Histogram("histogram", name, "s", description, labels, SECONDS)


def _any_of(*values: str) -> frozenset[str]:
    return frozenset(values)


_MODELS: Final = frozenset(variant.model for variant in VARIANTS)

CALLS: Final = _counter(
    "runapi.calls",
    "{picture}",
    "Pictures that were called for, by what became of the call.",
    model=_MODELS,
    outcome=_any_of("new", "joined", "not allowed", "not confirmed", "ledger unusable"),
)
OUTCOMES: Final = _counter(
    "runapi.pictures",
    "{picture}",
    "Pictures that were paid for, by what became of them.",
    model=_MODELS,
    outcome=_any_of("completed", "failed", "refused", "lost", "in doubt"),
)
MONEY: Final = _counter(
    "runapi.money",
    "{cent}",
    "US cents: set aside for a call, charged, and given back uncharged.",
    model=_MODELS,
    kind=_any_of("reserved", "charged", "returned"),
)
REQUEST_SECONDS: Final = _seconds(
    "runapi.client.request.duration",
    "How long RunAPI took to answer, with repeats.",
    operation=_any_of("create", "read", "prices", "upload", "balance"),
    outcome=_any_of("ok", "refused", "limited", "down", "in doubt"),
)
LEDGER_SECONDS: Final = _seconds(
    "runapi.ledger.duration",
    "How long the ledger took.",
    operation=_any_of("read", "intend", "send", "record", "hand over"),
    outcome=_any_of("ok", "no", "unusable"),
)
LEDGER_UP: Final = _gauge(
    "runapi.ledger.up", "1", "Whether the ledger could be used at the last try."
)
LEDGER_DRIFT: Final = _gauge(
    "runapi.ledger.drift",
    "{counter}",
    "How many counters of money differ from the sums of the calls: always 0.",
)
OPEN_DOUBTS: Final = _gauge(
    "runapi.doubts", "{picture}", "Requests that pay of which nobody knows whether they were taken."
)
DOUBT_AGE: Final = _gauge("runapi.doubts.age", "s", "How long ago the oldest of these was sent.")
UNDELIVERED: Final = _gauge(
    "runapi.undelivered", "{picture}", "Pictures that were charged and never left in an answer."
)
UNDELIVERED_AGE: Final = _gauge(
    "runapi.undelivered.age", "s", "How long ago the oldest of these was drawn."
)
STAGES: Final = _level(
    "runapi.stages",
    "{call}",
    "Calls that are in this stage now.",
    stage=_any_of("wait", "fetch", "decode"),
)
STAGE_SECONDS: Final = _seconds(
    "runapi.stage.duration",
    "How long a call was in this stage.",
    stage=_any_of("wait", "fetch", "decode"),
)
WAIT_LAG: Final = _seconds(
    "runapi.wait.lag", "How long a picture was done at most before that was seen."
)
CALLBACKS: Final = _counter(
    "runapi.callbacks",
    "{request}",
    "Callbacks: the first of a picture, one more, and what was not signed by us.",
    result=_any_of("first", "again", "forged"),
)
PACE_SECONDS: Final = _seconds(
    "runapi.pace.wait",
    "How long a request waited for its turn under the rate limit of its key.",
    kind=_any_of("pays", "reads"),
)
PACE_PAUSES: Final = _counter(
    "runapi.pace.pauses", "{answer}", "How often RunAPI told a key to slow down (429)."
)
PACE_QUEUE: Final = _level(
    "runapi.pace.queue",
    "{request}",
    "Requests that wait for their turn now.",
    kind=_any_of("pays", "reads"),
)
POOL: Final = _gauge(
    "runapi.pool",
    "{connection}",
    "Connections to the database that are used or idle, and calls that wait for one.",
    state=_any_of("used", "idle", "waiting"),
)
DRAINING: Final = _gauge("runapi.draining", "1", "Whether this replica is about to leave.")

ROWS: Final[tuple[Measure, ...]] = tuple(
    row for row in list(globals().values()) if isinstance(row, Measure)
)
