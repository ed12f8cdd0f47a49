"""How a picture comes about on the sandbox's own clock, whoever sells it."""

from random import Random
from typing import Final, Literal, Protocol

from runapi_mcp.sandbox.faults import Script

Phase = Literal["queued", "drawing", "failed", "drawn"]
LONGEST_QUEUE_SECONDS: Final = 0.5


class Course(Protocol):
    """What somebody ordered: what its prompt asks for, when it was begun, and how long it takes."""

    @property
    def script(self) -> Script: ...
    @property
    def started(self) -> float: ...
    @property
    def seconds(self) -> float: ...


def phase_at(now: float, course: Course) -> Phase:
    if course.script.never_ends or now - course.started < course.seconds:
        return "queued" if now - course.started < queue_seconds(course) else "drawing"
    return "failed" if course.script.failure else "drawn"


def queue_seconds(course: Course) -> float:
    return min(LONGEST_QUEUE_SECONDS, course.seconds / 10)


def seconds_of(script: Script, draw_seconds: float | None, usual: float, seed: str) -> float:
    """How long a picture takes: as its prompt says, else as it was told, else as in life."""
    if script.takes_seconds is not None:
        return script.takes_seconds
    if draw_seconds is not None:
        return draw_seconds
    return usual * Random(seed).uniform(0.9, 1.1)  # noqa: S311 - varies a delay
