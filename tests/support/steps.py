"""The steps of a process of ours, and its death at one of them.

The steps are those of our functions that can wait: coroutines, and whatever runs in the ledger's
thread. Each begins, and waits for the outside some times; whoever awaits what waits is not told
apart from it. What only computes has no step of its own: it leaves nothing behind.
"""

import inspect
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from opcode import opmap
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import runapi_mcp

MOST_TIMES = 5
"""How often what comes again on the same way is a step of its own."""

TraceFunction = Callable[[FrameType, str, Any], Any]  # Any: as sys.settrace has it

_OURS = str(Path(runapi_mcp.__file__).parent) + os.sep
_CAN_WAIT = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_PAUSES = (opmap["YIELD_VALUE"], opmap["RESUME"])
"""Where a coroutine stands that waits: up to Python 3.12 at the first, later at the second."""
_COMPUTES = re.compile(
    r"(queries|json_values|money|naming|entry|purchase|days|limits|structure|inspection|decoder)\."
    r"|(workers|picture|ledger_files|joining)\."
    r"|\S+<(listcomp|dictcomp|genexpr|lambda)>"
    r"|\S+\.(__init__|_explain_errors|_discard_on_failure|_ledger_path|_real_root|allow) "
    r"|database\.(_\w+|LockTimeout\S*) "
    r"|database\.Database\.(rows|version|is_current|_set_lock_timeout|_require_\w+) "
    r"|database\.Database\.(_closed_if_broken|_bring_up_to_date) "
    r"|access\.(LedgerFile\.(use|_use_at|_opened|close)|OpenLedger\.close) "
    r"|ledger\.(run_in_thread|SqliteLedger\.(now|_use|_use_file|_change\.<locals>\.change)) "
    r"|paid_steps\.(first_row|PaidSteps\.(find_alike|today|_tidy|intend|record_send)) "
    r"|settling\.(_calls_used|_is_used|is_from_later) "
    r"|directory\.(_require_plain|open_by_descriptor) "
    r"|directory\.Directory\.(_at|exists|status|read|open_\w+|_open\w*|_is_in_place|require_\w+) "
    r"|directory\.Directory\.(temporary_file|place) "
    r"|download\.Download\.(begin|_write|_about) "
    r"|saving\.Draft\.(begin|read_back|commit|discard|_place_\w+) "
    r"|keep_alive\._Link\._receive (< \S+ )*begins "
    r"|set_names\.|decoding\.Decoders\._(turn|make_room) "
)
"""What leaves nothing behind: it computes, only looks, or does no more than call another step, as
one that waits for a packet."""
_TURN = "Handle._run"
"""A turn of asyncio's event loop: what called that is no part of the way."""


def watch(log: str, last_step: str | None, end: int) -> None:
    """Write each step of this process into the log from now on; the last one sends a signal."""
    steps = _Steps(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), last_step, end)
    threading.settrace(steps.on_call)
    sys.settrace(steps.on_call)


@dataclass(slots=True)
class _Steps:
    """Tells each step of this process, and ends or stops it at the last one."""

    log: int
    last_step: str | None
    end: int
    _seen: Counter[str] = field(default_factory=Counter[str])
    _waiting: bool = False

    def on_call(self, frame: FrameType, event: str, _: object) -> TraceFunction | None:
        """Python's trace function: a frame begins, or goes on after a wait."""
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        self._waiting = self._waiting and _in_a_thread()
        if frame.f_trace is None:
            way = _way(frame)
            if way is None:
                return None
            # In a thread it blocks: much may be done between this and the next step.
            self._step(f"{way} {'runs' if _in_a_thread() else 'begins'}")
            frame.f_trace_lines = False
        return self._on_return

    def _on_return(self, frame: FrameType, event: str, _: object) -> TraceFunction:
        if event == "return" and frame.f_code.co_flags & inspect.CO_COROUTINE:
            if not _is_waiting(frame):
                self._step(f"{_way(frame)} ends")
            elif not self._waiting:
                self._waiting = True
                self._step(f"{_way(frame)} waits")
        return self._on_return

    def _step(self, name: str) -> None:
        self._seen[name] += 1
        step = f"{name} {self._seen[name]}"
        if self._seen[name] <= MOST_TIMES:
            os.write(self.log, f"{step}\n".encode())
        if step == self.last_step:
            # This very thread: it would else run on until another one has stopped it.
            signal.pthread_kill(threading.get_ident(), self.end)


def _is_waiting(frame: FrameType) -> bool:
    return _bytecode(frame.f_code)[frame.f_lasti] in _PAUSES


def _way(frame: FrameType) -> str | None:
    """The functions of ours that led here, the innermost first; None where one only computes."""
    in_a_thread = _in_a_thread()
    names: list[str] = []
    for code in _ours(frame):
        if not (in_a_thread or code.co_flags & _CAN_WAIT):
            return None
        names.append(_name(code))
    return " < ".join(names)


def _in_a_thread() -> bool:
    return threading.get_ident() != threading.main_thread().ident


def _ours(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None and frame.f_code.co_qualname != _TURN:
        if frame.f_code.co_filename.startswith(_OURS):
            yield frame.f_code
        frame = frame.f_back


@cache
def _bytecode(code: CodeType) -> bytes:
    return code.co_code


@cache
def _name(code: CodeType) -> str:
    return f"{Path(code.co_filename).stem}.{code.co_qualname}"


def name(function: Callable[..., object]) -> str:
    """What steps of this function are called by."""
    return _name(inspect.unwrap(function).__code__)


def is_end(step: str) -> bool:
    return " ends " in step


def moments(way: Sequence[str]) -> Sequence[str]:
    """The steps at which the world may be another than at the one before.

    It is the same where a function ends as where the next one begins, and where all that a function
    has done is to call the next. How often one waits depends on how threads and packets race, so
    only the first wait counts.
    """
    followed = zip(way, [*way[1:], ""], strict=True)
    return [step for step, after in followed if _is_moment(step) and not _calls(step, after)]


def _is_moment(step: str) -> bool:
    if is_end(step) or _COMPUTES.match(step):
        return False
    return " waits " not in step or step.endswith(" 1")


def _calls(step: str, after: str) -> bool:
    caller, called = step.rpartition(" begins ")[0], after.rpartition(" begins ")[0]
    return bool(caller) and called.endswith(f" < {caller}")
