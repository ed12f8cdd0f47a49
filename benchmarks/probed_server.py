"""Our server, watched from inside for pictures.py and crowd.py. Imports nothing else.

It serves over stdio, or as the words after the others say. Writes into the folder it is given: its
number as `pid`, and with `--beats` into `beats` a line for every time the event loop was away for
more than a millisecond. All in seconds: when it was back, on the monotonic clock; how long it was
away; how much of that it was blocked, which is what remains without the time its thread was ready
to run and the kernel had no CPU for it; and how much its thread computed.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import monotonic, thread_time
from typing import Final

import anyio

BEAT_SECONDS: Final = 0.002
WORTH_A_LINE_SECONDS: Final = 0.001

Serve = Callable[[], Awaitable[None]]


def main() -> None:
    """Serve as `python -m runapi_mcp` does."""
    folder, beats = Path(sys.argv[1]), sys.argv[2:3] == ["--beats"]
    (folder / "pid").write_text(str(os.getpid()))
    if beats:
        _beat_beside(os.open(folder / "beats", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    sys.argv[1:] = sys.argv[3:]
    from runapi_mcp.__main__ import main as serve

    serve()


def _beat_beside(file: int) -> None:
    """Have the next event loop beat as well."""
    run = anyio.run

    async def both(serve: Serve) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_beat, file)
            await serve()
            group.cancel_scope.cancel()

    def run_both(run_wakeable: Callable[[Serve], Awaitable[None]], serve: Serve) -> None:
        run(both, partial(run_wakeable, serve))

    # The only way into the loop of a program that makes its own.
    anyio.run = run_both


async def _beat(file: int) -> None:
    # The thread's time on a CPU, and its time in the queue for one, in nanoseconds.
    schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def queue_seconds() -> float:
        return int(os.pread(schedule, 100, 0).split()[1]) / 1e9

    while True:
        began, queued_before, computed_before = monotonic(), queue_seconds(), thread_time()
        await anyio.sleep(BEAT_SECONDS)
        away = monotonic() - began - BEAT_SECONDS
        if away > WORTH_A_LINE_SECONDS:
            blocked, computed = (
                away - (queue_seconds() - queued_before),
                thread_time() - computed_before,
            )
            line = f"{monotonic():.6f} {away:.6f} {blocked:.6f} {computed:.6f}\n"
            os.write(file, line.encode())


if __name__ == "__main__":
    main()
