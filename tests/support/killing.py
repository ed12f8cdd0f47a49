"""Servers that kill themselves at a step of their own code, and the process that forks them.

The steps are those of our functions that can wait: coroutines, and whatever runs in the ledger's
thread. Each begins, and waits for the outside some times; whoever awaits what waits is not told
apart from it. What only computes has no step of its own: it leaves nothing behind.

Run as a program, this module is the process that forks.
"""

import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import import_module
from opcode import opmap
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

import runapi_mcp

MOST_TIMES = 5
"""How often what comes again on the same way is a step of its own."""

LONGEST_LINE = 1_000_000

TraceFunction = Callable[[FrameType, str, Any], Any]  # Any: as sys.settrace has it

_OURS = str(Path(runapi_mcp.__file__).parent) + os.sep
_CAN_WAIT = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_MODULES = (
    "runapi_mcp.__main__",
    "runapi_mcp.cli.serve",
    "runapi_mcp.cli.composition",
    "runapi_mcp.transports.stdio",
    "runapi_mcp.providers.runapi.connection",
    "runapi_mcp.orders.ledger.sqlite.store",
    "anyio._backends._asyncio",
    "httpcore",
)
_PAUSES = (opmap["YIELD_VALUE"], opmap["RESUME"])
"""Where a coroutine stands that waits: up to Python 3.12 at the first, later at the second."""
_TURN = "Handle._run"
"""A turn of asyncio's event loop: what called that is no part of the way."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a server is started."""

    environment: Mapping[str, str]
    log: str | None = None
    """The file that is told each step; None for a server that is not watched."""
    last_step: str | None = None
    """The step at which it kills itself."""


@dataclass(frozen=True, slots=True)
class End:
    """How a server ended, and what it answered before."""

    status: int
    """Its exit status; a negative one is the signal that killed it."""
    answers: Sequence[Mapping[str, Any]]
    """Its answer to the last request; none where it died too early."""


@dataclass(frozen=True, slots=True)
class Forks:
    """Servers forked from a process that has everything imported, reached at a socket."""

    path: str

    async def run(self, start: Start, *turns: Sequence[str]) -> End:
        """A whole conversation: a turn's lines are said once the request before is answered.

        The request of a turn has its number; when the last one is answered, the host leaves.
        """
        answers: list[Mapping[str, Any]] = []
        status = ""
        async with await anyio.connect_unix(self.path) as stream:
            await _say(stream, json.dumps(asdict(start)), *turns[0])
            async for line in _lines(stream):
                status = line
                if f'"id":{len(answers)},' in line:
                    answers.append(json.loads(line))
                    rest = turns[len(answers) :]
                    await (_say(stream, *rest[0]) if rest else stream.send_eof())
        return End(int(status), answers[len(turns) - 1 :])


async def _say(stream: ByteStream, *lines: str) -> None:
    await stream.send("".join(f"{line}\n" for line in lines).encode())


async def _lines(stream: ByteStream) -> AsyncGenerator[str]:
    buffered = BufferedByteReceiveStream(stream)
    with suppress(anyio.IncompleteRead):
        while True:
            yield (await buffered.receive_until(b"\n", LONGEST_LINE)).decode()


@contextmanager
def forks() -> Generator[Forks]:
    """Servers like `python -m runapi_mcp`, at a tenth of the cost."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        program = [sys.executable, "-m", "tests.support.killing", path]
        root = Path(__file__).parents[2]
        with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=root) as parent:  # noqa: S603 - this very module
            try:
                assert parent.stdout is not None
                assert parent.stdout.readline()
                yield Forks(path)
            finally:
                parent.kill()


@dataclass(slots=True)
class _Steps:
    """Tells each step of this process, and kills it at the last one."""

    log: int
    last_step: str | None
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
            self._step(f"{way} begins")
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
            os.kill(os.getpid(), signal.SIGKILL)


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


def _main(path: str) -> None:
    """Fork a server for each connection, which is its stdin and stdout."""
    _load()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - whoever started this waits for it
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            line, _ = listener.accept()
            with line:
                if os.fork() == 0:
                    _attend(line)


def _load() -> None:
    """Import what a call needs, and begin nothing: only what rests can be forked."""
    for name in _MODULES:
        import_module(name)


def _attend(line: socket.socket) -> NoReturn:
    """Start a server; when it has ended, its exit status is the last that is said."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    start = Start(**json.loads(line.makefile("rb", buffering=0).readline()))
    server = os.fork()
    if server == 0:
        _serve(line, start)
    _, status = os.waitpid(server, 0)
    line.sendall(f"\n{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _serve(line: socket.socket, start: Start) -> NoReturn:
    from runapi_mcp.__main__ import main

    os.dup2(line.fileno(), 0)
    os.dup2(line.fileno(), 1)
    os.environ.clear()
    os.environ.update(start.environment)
    sys.argv = ["runapi-mcp"]
    if start.log is not None:
        log = os.open(start.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        steps = _Steps(log, start.last_step)
        threading.settrace(steps.on_call)
        sys.settrace(steps.on_call)
    try:
        main()
    except SystemExit as end:
        # At once: the interpreter's own end would touch, and so copy, everything that is shared.
        os._exit(int(end.code or 0))
    raise AssertionError("the command line ends with a status")


if __name__ == "__main__":
    _main(sys.argv[1])
