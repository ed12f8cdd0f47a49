"""Ctrl-C ends every command that waits, whichever of its threads the system gives the signal to."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.support.login_world import config
from tests.support.processes import LIMIT_SECONDS, SIGNALS, Program, network, program
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS]

SHOWN = ("Open this address", "/cli/authorize?", "Code: ", "Ctrl-C ends it", "login --key -")
TASK_ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def interrupt(running: Program) -> None:
    """SIGINT, on Linux to the newest thread: unless that is the first, no wait of the loop ends."""
    pid = running.process.pid
    if sys.platform == "linux":
        pid = max(int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir())
    os.kill(pid, signal.SIGINT)


@asynccontextmanager
async def silent_runapi() -> AsyncGenerator[tuple[str, anyio.Event]]:
    """An address that never answers, and the event that somebody asked there."""
    asked = anyio.Event()

    async def take(stream: SocketStream) -> None:
        async with stream:
            async for _ in stream:
                asked.set()

    (listener,) = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, take)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
        yield f"http://127.0.0.1:{port}", asked
        group.cancel_scope.cancel()


@pytest.mark.parametrize("shown", SHOWN)
async def test_a_login_that_waits_for_a_person_saves_nothing(shown: str) -> None:
    async with network() as net:
        environment = {"RUNAPI_BASE_URL": net.base_url}
        async with program("login", "--no-browser", environment=environment) as running:
            await running.stdout.holding(shown)
            interrupt(running)
            assert await running.end() == 130
    assert running.stderr.seen == ["", "Stopped. Nothing was saved."]
    assert config() == {}


@pytest.mark.parametrize(
    ("arguments", "stream", "words", "status"),
    [
        (("demo",), "stdout", "no key, no cost", 130),
        (("demo",), "stdout", "→ flux_2_pro_text_to_image", 130),
        (("serve", "--http", "--port", "0"), "stderr", "serves http://", 0),
        (("pictures", "--no-browser"), "stdout", "Ctrl-C ends it.", 0),
        (("sandbox", "--port", "0"), "stderr", "The sandbox answers at ", 0),
    ],
)
async def test_what_it_has_begun_ends(
    arguments: tuple[str, ...], stream: Literal["stdout", "stderr"], words: str, status: int
) -> None:
    async with program(*arguments) as running:
        await (running.stdout if stream == "stdout" else running.stderr).holding(words)
        interrupt(running)
        assert await running.end() == status
    assert not any("Traceback" in line or "Warning" in line for line in running.stderr.seen)
    # It was practice: no task goes on.
    assert not any("get_task" in line for line in running.stderr.seen)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("doctor",), 1), (("tasks", TASK_ID), 1), (("login", "--key", "-"), 130)],
)
async def test_what_waits_for_runapi_ends(arguments: tuple[str, ...], status: int) -> None:
    async with silent_runapi() as (base_url, asked):
        environment = {"RUNAPI_BASE_URL": base_url, "RUNAPI_API_KEY": KEY}
        async with program(*arguments, environment=environment) as running:
            await running.write(KEY)
            await running.close_stdin()
            with anyio.fail_after(LIMIT_SECONDS):
                await asked.wait()
            interrupt(running)
            assert await running.end() == status
    assert running.stdout.seen == []
