"""Runflow's runs as the sandbox keeps them. No key makes two creates one run: each is paid."""

import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from re import compile as pattern
from typing import Final, Literal, get_args

from runapi_mcp.base.catalog.tiers import FLEX
from runapi_mcp.sandbox.course import phase_at, queue_seconds, seconds_of
from runapi_mcp.sandbox.faults import SECONDS, Script, Words, script_of, seconds_in
from runapi_mcp.sandbox.runflow.flex_order import FlexOrder

OutputShape = Literal["outputs", "images", "image_urls", "image", "url", "none"]
"""In which of its shapes a run tells its picture; with "none" it tells no picture at all."""
RUN_WORDS: Final[Words] = {
    "output": pattern("|".join(get_args(OutputShape))),
    "ends": pattern(r"(?!failed|succeeded)[a-z_]{1,40}"),
    "listed-after": SECONDS,
}
"""What prompts may ask of Runflow alone: the shape of the output, a state at the end other than
succeeded, known or not, and how late the list of runs knows of it."""
_CANCELLED: Final = ("cancelled", "canceled")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run; `started` and `seconds` are on the sandbox's own clock."""

    id: str
    order: FlexOrder
    script: Script
    base_url: str
    """Where the client reached Runflow: its pictures are there too."""
    seed: int
    request_id: str
    created_at: datetime
    started: float
    seconds: float

    @property
    def price_cents(self) -> int:
        return self.order.input.price_cents

    @property
    def client_ref(self) -> str | None:
        return self.order.client_ref if isinstance(self.order.client_ref, str) else None

    def state(self, now: float) -> str:
        match phase_at(now, self):
            case "queued":
                is_dispatched = now - self.started >= queue_seconds(self) / 2
                return "dispatching" if is_dispatched else "queued"
            case "drawing":
                return "running"
            case "failed":
                return self.script.own.get("ends", "failed")
            case "drawn":
                return self.script.own.get("ends", "succeeded")

    def is_listed(self, now: float) -> bool:
        return now - self.started >= (seconds_in(self.script.own.get("listed-after", "")) or 0.0)

    def moment(self, seconds: float) -> str:
        """The time of day that long after the create, as Runflow writes it."""
        return (self.created_at + timedelta(seconds=seconds)).isoformat()


@dataclass(frozen=True, slots=True)
class RunMaker:
    """`draw_seconds` is how long a picture takes; None is as long as life does."""

    draw_seconds: float | None

    def new_run(self, order: FlexOrder, script: Script, base_url: str, now: float) -> StoredRun:
        """A run that starts now. It is not stored yet."""
        run_id = _uuid7()
        seed = order.input.seed
        return StoredRun(
            id=run_id,
            order=order,
            script=script,
            base_url=base_url,
            seed=seed if isinstance(seed, int) else secrets.randbits(32),
            request_id=f"req_{uuid.uuid4().hex[:16]}",
            created_at=datetime.now(UTC),
            started=now,
            seconds=seconds_of(script, self.draw_seconds, FLEX.sandbox_seconds, run_id),
        )


def run_script_of(body: Mapping[str, object]) -> Script:
    """What the prompt of a create's input asks for; a run that ends cancelled is not charged."""
    script = script_of(str(body.get("prompt", "")), RUN_WORDS)
    if script.own.get("ends") in _CANCELLED:
        return replace(script, failure="The run was cancelled.")
    return script


def _uuid7() -> str:
    """An id that begins with its time, so that ids sort as their runs were made."""
    random = secrets.randbits(74)
    parts = (time.time_ns() // 1_000_000 << 80, 7 << 76, random >> 62 << 64, 2 << 62)
    return str(uuid.UUID(int=sum(parts) + random % (1 << 62)))
