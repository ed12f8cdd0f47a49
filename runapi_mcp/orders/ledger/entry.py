"""One paid call as the ledger keeps it. Money is in US cents, times are seconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OrderStatus = Literal[
    "intended", "pending", "processing", "unknown", "completed", "failed", "refused", "lost"
]
"""RunAPI's own status, and what comes before and beside it: `intended` is written down but no task
is known, `refused` came to nothing, `lost` is a task that RunAPI no longer knows."""

Doubt = Literal["under way", "open", "too old"]
"""Of a call that is intended: another call is ordering it just now; the same call goes on with it
under its key; RunAPI may have forgotten the key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A call from its intent on."""

    key: str
    caller: str
    model: str
    fingerprint: str
    """The same for two calls exactly when they ask for the same."""
    begun_at: float
    output_resolution: str | None = None
    arguments: Mapping[str, object] | None = None
    """The request body without its model, and without its prompt where the user keeps none."""
    ready: bool = True
    """Whether `arguments` are all there. Nothing was sent before: local images are uploaded yet."""
    sources: tuple[Mapping[str, str], ...] = ()
    """What it is made from, in the caller's words: `path` and `sha256`, `task_id` or `url`."""
    save_as: str | None = None
    """Where to: a folder, `/./` and the name, decided at ordering; a bare name in older entries."""
    price_cents: float | None = None
    """What it is expected to cost; None when nobody knows."""
    status: OrderStatus = "intended"
    task_id: str | None = None
    made_at: float | None = None
    image_urls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Where the images were saved: absolute paths, in their order; "" for one that was not."""
    cost_cents: float | None = None
    error: str | None = None
    ended_at: float | None = None
    drawn: tuple[float, float] | None = None
    """Ages in seconds: still running at the first, done at the second; None when not watched."""
    delivered_at: float | None = None
    """When the result reached a client."""
    sandbox: bool = False
    hold: str | None = None
    """This call's claim on the entry, while it has one; not a fact of the entry itself."""
    doubt: Doubt | None = None
    """Told of what is listed, while no task is known; None also where nobody can tell."""

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "refused", "lost")


@dataclass(frozen=True, slots=True)
class Spending:
    """A caller's money of one day."""

    spent_cents: float = 0.0
    reserved_cents: float = 0.0
    """The price of what is not settled yet."""

    @property
    def total_cents(self) -> float:
        return self.spent_cents + self.reserved_cents
