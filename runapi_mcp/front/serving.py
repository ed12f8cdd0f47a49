"""Serving over stdio until the SDK is needed."""

from __future__ import annotations

import os
import signal
import sys
from typing import NamedTuple

from runapi_mcp.base import settings
from runapi_mcp.base.errors import Failure
from runapi_mcp.base.json_values import Json
from runapi_mcp.front.exchange import Exchange
from runapi_mcp.front.pipes import Pipes
from runapi_mcp.front.snapshot import Snapshot


class Begun(NamedTuple):
    """A conversation that somebody else is to go on with."""

    pipes: Pipes
    opening: list[Json]
    """What the host said that still counts, already answered."""


def serve(*, sandbox: bool) -> Begun | None:
    """The conversation from where it needs more than this; None where it did not begin.

    Raises:
        Ended: it is over.
    """
    answers = _answers(sandbox=sandbox)
    pipes = None if answers is None else _pipes()
    if answers is None or pipes is None:
        return None
    _leave_on_signals()
    exchange = Exchange(answers)
    _converse(exchange, pipes)
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return Begun(pipes, exchange.opening)


def _answers(*, sandbox: bool) -> Snapshot | None:
    """What the settings let this answer; None where a person has to be told something first."""
    try:
        loaded = settings.load(sandbox=sandbox)
    except Failure:
        return None
    # What another vendor sells is not written down.
    if loaded.warnings or not loaded.front or loaded.runflow is not None:
        return None
    saves = loaded.pictures.are_saved(is_local=True)
    snapshot = Snapshot(loaded.variants, saves=saves, gives_tasks=loaded.mcp_tasks)
    return snapshot if snapshot.is_usable else None


def _pipes() -> Pipes | None:
    """Those of a host; a person at a terminal is told something, too."""
    try:
        return None if os.isatty(0) else Pipes.own()
    except OSError:
        return None


def _converse(exchange: Exchange, pipes: Pipes) -> None:
    try:
        while (line := pipes.line()) is not None:
            answer = exchange.answer(line)
            if answer is None:
                pipes.unread(line)
                return
            pipes.write(answer)
    except OSError:
        # Whoever goes on meets it too, and says so.
        return


def _leave_on_signals() -> None:
    """Nothing is in hand here; so it stays until whoever goes on handles them itself."""
    if sys.platform == "win32":
        # A read of a pipe ends for no handler of Python's there, only for the system's own.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(*_: object) -> None:
    os._exit(0)
