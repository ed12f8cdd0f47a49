"""What follows from what is written of a call, whichever ledger has it."""

import math
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Final

from runapi_mcp.base.catalog.vendors import vendor_named
from runapi_mcp.orders.ledger.entry import DOUBT_SECONDS, SEND_SECONDS, Doubt, Entry, Use
from runapi_mcp.orders.ledger.port import Call

HANDOVER_SECONDS: Final = 15 * 60.0
"""How long after an answer left the same call may mean that it did not arrive."""
NEVER_SENT_SECONDS: Final = 15 * 60.0
"""After so long nobody is about to send what never was."""
APART_SECONDS: Final = 3600.0
"""How long after a proposal to forget another may agree."""


def first_to_join(entries: Iterable[Entry], use: Use, came_at: float) -> list[Entry] | None:
    """Of identical calls, the oldest first: the one that may yet give its pictures.

    It is not one to be drawn again.
    """
    for _, members in groupby(entries, attrgetter("begun_at", "call_id")):
        call = list(members)
        redrawn = use.redrawn is not None and use.redrawn in [each.task_id for each in call]
        given_up = use.given_up == call[0].call_id
        if not (redrawn or given_up or all(_gives_nothing(each, came_at) for each in call)):
            return call
    return None


def is_used(entry: Entry, use: Use) -> bool:
    """Whether one of its files or addresses is named."""
    paths = {*entry.files, *(path for path, _ in entry.originals)}
    return bool(paths & {*use.paths} or {*entry.image_urls} & {*use.urls})


def is_from_later(call: Call, now: float) -> bool:
    """Whether its hand-over is dated in the future, where it counts as just now."""
    return any((entry.handed_over_at or now) > now for entry in call)


def forget_before(
    proposals: Iterable[tuple[float, float]], before: float, now: float
) -> float | None:
    """What is older than this may be forgotten; None where it is too early to ask.

    One clock alone is not believed: where it was a year ahead for one call, it would forget all
    there is. So what a proposal and a later one, each with when it was made, agree on is old.
    """
    made = [(old, at) for old, at in proposals if at <= now]
    # Later ones by a clock that went backwards since count for nothing.
    if any(now - at < APART_SECONDS for _, at in made):
        return None
    return min([before, *(old for old, _ in made)]) if made else -math.inf


def doubt_of(entry: Entry, now: float) -> Doubt | None:
    if entry.status != "intended":
        return None
    if entry.is_being_sent(now) or (entry.sent_at is None and now - entry.begun_at < SEND_SECONDS):
        return "under way"
    if not vendor_named(entry.vendor).repeats_safely:
        return "looked for" if entry.is_reserved(now) else "out of sight"
    is_open = entry.unanswered or entry.settled_at is not None
    asks_itself = is_open and entry.request and entry.begun_at > now - DOUBT_SECONDS
    return "asks itself" if asks_itself else "same call asks"


def _gives_nothing(entry: Entry, now: float) -> bool:
    """Whether there is no picture to be had, as far as the ledger knows, and nothing to be told."""
    if entry.status == "completed":
        expires_at = entry.drawn_since + vendor_named(entry.vendor).image_seconds
        return expires_at < now and not any(entry.files)
    return entry.status == "refused"
