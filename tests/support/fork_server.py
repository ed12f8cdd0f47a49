"""`runapi-mcp` in processes that are forked from one with everything imported.

Each is a process like any other, with an id, pipes, signals and an end of its own; that it need not
import what all of them import makes it twenty times cheaper. Run as a program, this module is the
process that forks.
"""

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NoReturn, Self

import anyio

import runapi_mcp
from runapi_mcp.orders import payment
from runapi_mcp.orders.ledger import entry, rules
from runapi_mcp.orders.ledger.postgres import postgres_ledger
from runapi_mcp.orders.ledger.sqlite import ledger
from tests.support.pipes import PipeReader, PipeWriter

_LONGEST_REQUEST = 200_000
_NUMBER_BYTES = 4
_STOPPED = 1000
"""What is reported of a process that stopped, in place of an exit status."""
_ROOT = Path(__file__).parents[2]
_PROGRAM = str(Path(runapi_mcp.__file__).with_name("__main__.py"))
_LATE = ("PIL.Image", "anyio._backends._asyncio", "httpcore", "rich.console")
"""What is only imported where it is used."""
_READ_BY_PYTHON = ("PYTHONIOENCODING", "PYTHONPROFILEIMPORTTIME", "PYTHONUTF8", "LD_PRELOAD", "TZ")
"""What the interpreter itself, or what loads it, reads when it starts."""


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a fork is what a start would be in this environment."""
    # On macOS what was loaded before a fork may crash after it.
    if sys.platform != "linux":
        return False
    return not any(name in environment for name in _READ_BY_PYTHON)


@dataclass(frozen=True, slots=True)
class Start:
    """How a process is started."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    log: str | None = None
    """The file that is told each step of its own code; None for a process that is not watched."""
    last_step: str | None = None
    """The step at which it sends itself a signal."""
    last_signal: int = signal.SIGKILL
    send_seconds: float | None = None
    """How long it takes a request for being on its way; None for as long as the program does."""
    listed_seconds: float | None = None
    """How long after its send it takes a task for being in its vendor's list, likewise."""

    @classmethod
    def here(
        cls, *arguments: str, environment: Mapping[str, str], folder: Path | None = None
    ) -> "Start":
        return cls(arguments, {**environment}, str(folder or Path.cwd()))


@dataclass(slots=True)
class Forked:
    """A process that was forked, and how it ended."""

    pid: int
    _report: int
    """The pipe that tells its exit status."""
    _status: int | None = None

    def close(self) -> None:
        os.close(self._report)

    @property
    def returncode(self) -> int | None:
        """Its exit status once it has ended; that of one killed by a signal is negative."""
        ended, _, _ = select.select([self._report], [], [], 0)
        return self.wait() if ended else self._status

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        if self._status is None:
            self._status = _heard(self._report)
        return self._status

    async def ended(self) -> int:
        """The same, while others go on."""
        if self._status is None:
            await anyio.wait_readable(self._report)
        return self.wait()

    async def stopped(self) -> bool:
        """Whether it stopped by a signal, once it did or ended."""
        await anyio.wait_readable(self._report)
        heard = _heard(self._report)
        self._status = None if heard == _STOPPED else heard
        return self._status is None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            # It may have ended, and nobody has said so yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class ForkedProcess:
    """Such a process on pipes: what of anyio's `Process` is used here."""

    def __init__(self, start: Start, stdout: int = subprocess.PIPE) -> None:
        in_end, stdin = os.pipe()
        self.stdin = PipeWriter(stdin)
        self.stdout, out_end = (None, os.dup(stdout)) if stdout >= 0 else _pipe()
        self.stderr, err_end = _pipe()
        self._forked = fork(start, in_end, out_end, err_end)
        self.pid = self._forked.pid

    @property
    def returncode(self) -> int | None:
        return self._forked.returncode

    async def wait(self) -> int:
        return await self._forked.ended()

    async def stopped(self) -> bool:
        return await self._forked.stopped()

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        self._forked.send_signal(number)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, error: object, *_: object) -> None:
        if error is not None:
            self.kill()  # nobody is left who would tell it to end
        with anyio.CancelScope(shield=True):
            await self.stdin.aclose()
            await self.wait()
            for stream in (self.stdout, self.stderr):
                if stream is not None:
                    await stream.aclose()
        self._forked.close()


def _pipe() -> tuple[PipeReader, int]:
    ours, theirs = os.pipe()
    return PipeReader(ours), theirs


def run_forked(start: Start, stdin: bytes) -> subprocess.CompletedProcess[str]:
    """Such a process with this input, run to its end."""
    # Files, which never are full as pipes are.
    with TemporaryFile() as given, TemporaryFile() as said, TemporaryFile() as complained:
        given.write(stdin)
        given.seek(0)
        forked = fork(start, *(os.dup(each.fileno()) for each in (given, said, complained)))
        status = forked.wait()
        forked.close()
        texts = [_content(each) for each in (said, complained)]
    return subprocess.CompletedProcess(start.arguments, status, *texts)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def fork(start: Start, stdin: int, stdout: int, stderr: int) -> Forked:
    """A process on these files, which are closed here."""
    ours, theirs = os.pipe()
    files = (stdin, stdout, stderr, theirs)
    socket.send_fds(_server(), [json.dumps(asdict(start)).encode()], files)
    for each in set(files):
        os.close(each)
    return Forked(_heard(ours), ours)


def _heard(report: int) -> int:
    return int.from_bytes(os.read(report, _NUMBER_BYTES), signed=True)


def _say(report: int, number: int) -> None:
    os.write(report, number.to_bytes(_NUMBER_BYTES, signed=True))


_starting = threading.Lock()


def _server() -> socket.socket:
    with _starting:
        return _started()


@cache
def _started() -> socket.socket:
    """The line to the process that forks, which ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
        server = subprocess.Popen(  # noqa: S603 - this very module
            command, cwd=_ROOT, pass_fds=[theirs.fileno()], start_new_session=True
        )

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def _main(descriptor: int) -> None:
    """Fork a process for each request, until nobody can ask any more."""
    ours = pkgutil.walk_packages(runapi_mcp.__path__, f"{runapi_mcp.__name__}.")
    for name in (*(module.name for module in ours), *_LATE):
        import_module(name)
    # The collector would touch, and so copy, everything that is shared.
    gc.freeze()
    with socket.socket(fileno=descriptor) as requests:
        while True:
            request, files, *_ = socket.recv_fds(requests, _LONGEST_REQUEST, 4)
            _reap()
            if not request:
                return
            if os.fork() == 0:
                requests.close()
                _attend(Start(**json.loads(request)), *files)
            for each in files:
                os.close(each)


def _reap() -> None:
    """Let go of who has ended, so that the system counts their time as that of the tests."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _attend(start: Start, stdin: int, stdout: int, stderr: int, report: int) -> NoReturn:
    """Start a process, and report its id and then its exit status."""
    process = os.fork()
    if process == 0:
        os.close(report)
        _become(start, stdin, stdout, stderr)
    for each in (stdin, stdout, stderr):
        os.close(each)
    try:
        _say(report, process)
        while os.WIFSTOPPED(status := os.waitpid(process, os.WUNTRACED)[1]):
            _say(report, _STOPPED)
        _say(report, os.waitstatus_to_exitcode(status))
    finally:
        # At once: the interpreter's own end would copy what is shared.
        os._exit(0)


def _become(start: Start, *files: int) -> NoReturn:
    """Be the program, as `python -m runapi_mcp` would."""
    for number, each in enumerate(files):
        os.dup2(each, number)
    os.closerange(3, max(files) + 1)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    sys.argv = [_PROGRAM, *start.arguments]
    if start.send_seconds is not None:
        for module in (entry, payment, rules, ledger, postgres_ledger):
            module.SEND_SECONDS = start.send_seconds  # pyright: ignore[reportAttributeAccessIssue] - it is Final, and nobody can wait so long in a test
    if start.listed_seconds is not None:
        ledger.LISTED_BY_SECONDS = start.listed_seconds  # pyright: ignore[reportAttributeAccessIssue] - likewise
        ledger.LISTS_APART_SECONDS = start.listed_seconds / 2  # pyright: ignore[reportAttributeAccessIssue] - likewise
    if start.log is not None:
        from tests.support.steps import watch

        watch(start.log, start.last_step, start.last_signal)
    os._exit(_end(_status()))


def _status() -> int:
    """The program's exit status, once it has run."""
    from runapi_mcp.__main__ import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> int:
    """What the interpreter does at its end, less the taking apart of what is shared."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        traceback.print_exc()
        return 120
    return status


if __name__ == "__main__":
    _main(int(sys.argv[1]))
