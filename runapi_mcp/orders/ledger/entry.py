"""One picture as the ledger keeps it. Money is in US cents, times are seconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from runapi_mcp.base.catalog.vendors import RUNAPI

OrderStatus = Literal[
    "intended", "pending", "processing", "unknown", "completed", "failed", "refused", "lost"
]
"""RunAPI's own status, and what comes before and beside it: `intended` is written down but no task
is known, `refused` came to nothing, `lost` is a task that RunAPI no longer knows."""

Doubt = Literal["under way", "asks itself", "same call asks", "looked for", "out of sight"]
"""Of what is intended: it is being ordered just now; the next paid call of any kind asks what
became of it; only the same call does. Where nothing can be asked again: it is looked for in the
vendor's list; it was, for a day, and the same call may pay for another."""

SEND_SECONDS: Final = 20.0
"""How long a request that pays may be out: nobody else asks under its key before."""

DOUBT_SECONDS: Final = 24 * 3600.0
"""How long after its last send a doubt keeps its reservation, and is asked about unbidden."""
LISTS_APART_SECONDS: Final = 60.0
LISTED_BY_SECONDS: Final = 120.0
"""How long after its send a task is in its vendor's list for sure."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a call, from its intent on: a task, a key and a charge of its own."""

    key: str
    caller: str
    model: str
    fingerprint: str
    """The same for two calls exactly when they ask for the same."""
    begun_at: float
    """When the call was written down."""
    call_id: str = ""
    """The key of the call's first picture."""
    number: int = 1
    """Which of the call's pictures it is."""
    count: int = 1
    """How many pictures the call has."""
    vendor: str = RUNAPI.name
    """Who sells it."""
    output_resolution: str | None = None
    arguments: Mapping[str, object] | None = None
    """The request body without its model, and without its prompt where the user keeps none."""
    request: str | None = None
    """The body, byte for byte as it is sent; None where no prompt is kept, and while not ready."""
    ready: bool = True
    """Whether `arguments` are all there. Nothing was sent before: local images are uploaded yet."""
    sources: tuple[Mapping[str, str], ...] = ()
    """What it is made from, in the caller's words: `path` and `sha256`, `task_id` or `url`."""
    save_as: str | None = None
    """Where to: a folder, `/./` and the name, decided at ordering; a bare name in older entries.
    Its suffix says the format; without one it is saved as it comes."""
    price_cents: float | None = None
    """What it is expected to cost; None when nobody knows."""
    status: OrderStatus = "intended"
    task_id: str | None = None
    made_at: float | None = None
    image_urls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Where the images were saved: absolute paths, in their order; "" for one that was not."""
    file_hashes: tuple[str, ...] = ()
    """The SHA-256 of each file as it was saved; missing or "" where an earlier version saved it."""
    originals: tuple[tuple[str, str], ...] = ()
    """Path and SHA-256 of each image as it came, where another format was asked for; else ""."""
    cost_cents: float | None = None
    error: str | None = None
    ended_at: float | None = None
    drawn: tuple[float, float] | None = None
    """Ages in seconds: still running at the first, done at the second; None when not watched."""
    sent_at: float | None = None
    """When the request was last sent."""
    open_sends: int = 0
    """How often it was sent without a certain no: as often RunAPI may have taken it."""
    sends_out: int = 0
    """How many of these are waited for, or were when their process died."""
    unanswered: bool = False
    """Whether one of these was never answered."""
    absent_at: float | None = None
    """When a complete list of the vendor's was first seen without it."""
    handed_over_at: float | None = None
    """When an answer with all of the call's pictures first left the program."""
    settled_at: float | None = None
    """When it was certain that no call goes on with it."""
    sandbox: bool = False
    doubt: Doubt | None = None
    """Told of what is listed, while no task is known."""

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "refused", "lost")

    @property
    def drawn_since(self) -> float:
        """When its task was made; until that is known, when it was written down."""
        return self.made_at or self.begun_at

    def is_being_sent(self, now: float) -> bool:
        """Whether somebody may wait for the answer to the request that pays."""
        is_out = self.status == "intended" and self.task_id is None and self.sends_out > 0
        return is_out and now - (self.sent_at or 0.0) < SEND_SECONDS

    def is_reserved(self, now: float) -> bool:
        """Whether its price is set aside: not any more, once it was in doubt for so long."""
        return self.status != "intended" or now - (self.sent_at or self.begun_at) < DOUBT_SECONDS


@dataclass(frozen=True, slots=True)
class Use:
    """Pictures that a caller has by now, as it names them: to draw them again or from them."""

    redrawn: str | None = None
    """The task that another picture is wanted for: no call joins it any more."""
    task_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    given_up: str | None = None
    """The call in doubt, by its id, that another is paid in place of."""

    def __bool__(self) -> bool:
        return any((self.redrawn, self.task_ids, self.paths, self.urls, self.given_up))


@dataclass(frozen=True, slots=True)
class Spending:
    """A caller's money of one day."""

    spent_cents: float = 0.0
    reserved_cents: float = 0.0
    """The price of what is not settled yet."""

    @property
    def total_cents(self) -> float:
        return self.spent_cents + self.reserved_cents
