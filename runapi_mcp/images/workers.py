"""The processes that decode pictures: begun with the first one, killed at a deadline, ended idle.

They get a picture's bytes through a pipe and give bytes back. They inherit no key (hardly any
environment), no file and no working directory, and import from where this program and Pillow are.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Timer
from typing import IO, Final, cast

from runapi_mcp.base.errors import Failure
from runapi_mcp.images.decoder import ANSWER, TOO_LARGE, Job

DEADLINE_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 5.0
"""After which a worker ends by itself that nobody has killed: its parent is gone."""

_AT_ONCE_BYTES: Final = 1_000_000
_BEGIN: Final = (
    "import sys; sys.path += sys.argv[1:]; from runapi_mcp.images.decoder import main; main()"
)
# Where Windows is, and where some systems keep Python's own libraries.
_INHERITED: Final = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_NO_WINDOW: Final[int] = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class NotDecoded(Failure):
    """A picture of which nobody knows what it is: its decoder did not come to an end."""

    def __init__(self, happened: str) -> None:
        super().__init__(happened, "Try again in a minute.")


Answer = tuple[bytes, int, bytes]
"""What a worker says, of how many bytes, and these."""


class Workers:
    """As many processes as are asked at once. For any thread; all of it blocks."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """`command` starts one; None for this program's own."""
        self._command = command
        self._deadline_seconds = deadline_seconds
        self._idle_seconds = idle_seconds
        self._idle: dict[_Worker, Timer] = {}
        self._lock = Lock()

    def ask(self, job: Job, file: IO[bytes]) -> Answer:
        """What a worker makes of the picture in the file.

        Raises:
            NotDecoded: it did not come to an end in time, or died.
        """
        worker = self._take() or _Worker(self._command or own_command())
        try:
            answer = worker.ask(job, file, self._deadline_seconds)
        except BaseException:
            worker.end()
            raise
        self._put_back(worker)
        return answer

    def _take(self) -> "_Worker | None":
        with self._lock:
            while self._idle:
                worker, timer = self._idle.popitem()
                timer.cancel()
                if worker.is_alive:
                    return worker
                worker.end()
        return None

    def _put_back(self, worker: "_Worker") -> None:
        timer = Timer(self._idle_seconds, self._end_idle, [worker])
        timer.daemon = True
        with self._lock:
            self._idle[worker] = timer
        timer.start()

    def _end_idle(self, worker: "_Worker") -> None:
        with self._lock:
            # Else somebody took it a moment ago.
            is_idle = self._idle.pop(worker, None) is not None
        if is_idle:
            worker.end()


def own_command() -> Sequence[str]:
    """This interpreter without the user's paths, variables and `site`: two folders are enough."""
    pillow = find_spec("PIL")
    if pillow is None or pillow.origin is None:
        raise NotDecoded("Pillow is not installed.")
    folders = dict.fromkeys([Path(__file__).parents[2], Path(pillow.origin).parents[1]])
    return [sys.executable, "-IS", "-c", _BEGIN, *map(str, folders)]


class _Worker:
    def __init__(self, command: Sequence[str]) -> None:
        self._is_killed = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                cwd=Path(__file__).anchor,
                creationflags=_NO_WINDOW,
            )
        except OSError as error:
            raise NotDecoded("What looks at images cannot be started.") from error
        # Popen's type does not know that there are pipes.
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)

    @property
    def is_alive(self) -> bool:
        return not self._is_killed and self._process.poll() is None

    def ask(self, job: Job, file: IO[bytes], within_seconds: float) -> Answer:
        timer = Timer(within_seconds, self._kill)
        timer.daemon = True
        timer.start()
        try:
            self._send(job, file, within_seconds)
            return self._receive(job.most_bytes)
        except (OSError, EOFError) as error:
            ended = f"took more than {within_seconds:.0f} s" if self._is_killed else "failed"
            raise NotDecoded(f"Looking at the image {ended}.") from error
        finally:
            timer.cancel()
            timer.join()

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # it flushes what nobody read
                pipe.close()
        self._process.wait()

    def _kill(self) -> None:
        self._is_killed = True
        self._process.kill()

    def _send(self, job: Job, file: IO[bytes], within_seconds: float) -> None:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        sent = replace(job, size_bytes=size_bytes, within_seconds=within_seconds + _GRACE_SECONDS)
        self._stdin.write(sent.to_bytes())
        shutil.copyfileobj(file, self._stdin, _AT_ONCE_BYTES)
        self._stdin.flush()

    def _receive(self, most_bytes: int) -> Answer:
        said, length = ANSWER.unpack(self._read(ANSWER.size))
        if said == TOO_LARGE:
            return said, length, b""
        if length > most_bytes:
            raise EOFError
        return said, length, self._read(length)

    def _read(self, count: int) -> bytes:
        content = self._stdout.read(count)
        if len(content) < count:
            raise EOFError
        return content
