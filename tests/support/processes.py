"""Real processes and sockets: `runapi-mcp` as a host starts it, and a sandbox that it can reach."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import httpx2
import pytest
import uvicorn
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CallToolResult
from PIL import Image
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.sockets import listen
from runapi_mcp.sandbox.accounts import Account
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.runflow import RUNFLOW_PREFIX
from runapi_mcp.sandbox.task_store import StoredTask
from tests.support.fork_server import ForkedProcess, Start, can_fork, run_forked
from tests.support.world import KEY

LIMIT_SECONDS = 300
"""After this, whatever is waited for counts as hung, however slow the machine is."""

SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals")

DRAW = "flux_2_pro_text_to_image"
QUICK = "a fox [[poll-after 0.5s]]"
"""Its picture is there at the first look, after half a second."""
ENDLESS = "a fox [[never]] [[poll-after 0.7s]]"
"""It never ends, and is looked at every 0.7 s."""
LATE = "a fox [[poll-after 1.2s]]"
"""Its first and last look comes when an endless one has long been looked at again."""
SLOW = "a fox [[slow 3600s]]"
"""RunAPI takes the request that pays, and does not answer for an hour."""
ENDING = "a fox [[slow 0.1s]]"
"""RunAPI answers the request that pays when the server has been told to end."""

_COMMAND = (sys.executable, "-m", "runapi_mcp")


@dataclass(slots=True)
class Network:
    """A sandbox on a port of this machine, and what was asked of it."""

    base_url: str
    sandbox: Sandbox
    pictures: Literal["small", "drawn"] = "small"
    """Small ones cost nothing; drawn ones are what the sandbox makes of their prompts."""
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Method and path of every request so far."""
    _paying: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append((scope["method"], scope["path"]))
        if _pays(*self.asked[-1]):
            self._paying.set()
            self._paying = anyio.Event()
        if self.pictures == "small" and "/images/" in scope["path"]:
            await Response(small_png(), media_type="image/png")(scope, receive, send)
        else:
            await self.sandbox.app(scope, receive, send)

    def environment(self, key: str = KEY) -> dict[str, str]:
        """What sends a server here."""
        return {"RUNAPI_BASE_URL": self.base_url, "RUNAPI_API_KEY": key}

    def runflow_environment(self, key: str) -> dict[str, str]:
        """What sends a server to the Runflow that is here, too."""
        return {"RUNFLOW_BASE_URL": f"{self.base_url}{RUNFLOW_PREFIX}", "RUNFLOW_API_KEY": key}

    def account(self, key: str = KEY) -> Account[StoredTask]:
        return self.sandbox.accounts.of(key)

    def farewells(self) -> list[str]:
        """What a server logs that leaves while it waits for every task of the tests' account."""
        return [
            f"runapi-mcp: stopped waiting; task {task_id} goes on, and get_task finds it"
            for task_id in self.account().tasks
        ]

    def looks(self, task_id: str) -> int:
        """How often a task has been looked at."""
        return sum(path.endswith(task_id) for _, path in self.asked)

    def paid_requests(self) -> int:
        return sum(_pays(*asked) for asked in self.asked)

    async def next_paid_request(self) -> None:
        """Nothing, once the next request that pays has come."""
        with anyio.fail_after(LIMIT_SECONDS):
            await self._paying.wait()


def _pays(method: str, path: str) -> bool:
    return method == "POST" and path.startswith("/api/v1/flux_2/")


@cache
def small_png() -> bytes:
    """A picture that takes no time."""
    content = BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "PNG")
    return content.getvalue()


@asynccontextmanager
async def network(pictures: Literal["small", "drawn"] = "small") -> AsyncGenerator[Network]:
    """A sandbox that draws at once, in this very event loop."""
    with listen("127.0.0.1", 0) as sock:
        base_url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        net = Network(base_url, Sandbox(draw_seconds=0), pictures)
        async with served_on(sock, net):
            yield net


@asynccontextmanager
async def served_on(
    sock: socket.socket, app: ASGIApp, certificate: Path | None = None
) -> AsyncGenerator[None]:
    """An app on a port, over TLS where it has a certificate, in one file with its key."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=0,
            ssl_certfile=certificate,
        )
    )
    ended = anyio.Event()

    async def serve() -> None:
        await server.serve([sock])
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        try:
            yield
        finally:
            # Also after a failed test: a server left behind would answer for the next one's.
            server.should_exit = True
            await ended.wait()


class Lines:
    """The lines of a pipe, as they come."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.ended = anyio.Event()
        self._changed = anyio.Event()

    async def collect(self, stream: ByteReceiveStream) -> None:
        rest = ""
        async for chunk in TextReceiveStream(stream, errors="replace"):
            *lines, rest = (rest + chunk).split("\n")
            self._add(lines)
        self.ended.set()
        self._add([rest] if rest else [])

    async def holding(self, words: str, skipped: int = 0) -> str:
        """The first line after the skipped ones that holds these words, once it is there."""
        with anyio.fail_after(LIMIT_SECONDS):
            while not (found := [line for line in self.seen[skipped:] if words in line]):
                assert not self.ended.is_set(), f"no line held {words!r}: {self.seen}"
                await self._changed.wait()
        return found[0]

    def _add(self, lines: Sequence[str]) -> None:
        self.seen += lines
        self._changed.set()
        self._changed = anyio.Event()


@dataclass(slots=True)
class Program:
    """A `runapi-mcp` that runs."""

    process: Process | ForkedProcess
    stdout: Lines = field(default_factory=Lines)
    stderr: Lines = field(default_factory=Lines)

    async def write(self, *lines: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send("".join(f"{line}\n" for line in lines).encode())

    async def answer(self, number: int) -> dict[str, Any]:
        """The result of the request with this number, once it is there."""
        answer = json.loads(await self.stdout.holding(f'"id":{number},'))
        return cast("dict[str, Any]", answer["result"])

    async def close_stdin(self) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    async def end(self) -> int:
        """The exit status, once it has ended; its pipes have been read by then."""
        with anyio.fail_after(LIMIT_SECONDS):
            await self.stderr.ended.wait()
            if self.process.stdout is not None:
                await self.stdout.ended.wait()
            return await self.process.wait()


@asynccontextmanager
async def program(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    send_seconds: float | None = None,
) -> AsyncGenerator[Program]:
    """`runapi-mcp` with these arguments, killed should it still run at the end.

    `send_seconds` is as `Start` has it, and for those that are forked.
    """
    start = Start.here(*arguments, environment={**os.environ, **(environment or {})})
    process = await _opened(replace(start, send_seconds=send_seconds), stdout)
    async with process, anyio.create_task_group() as group:
        running = Program(process)
        for lines, stream in (running.stdout, process.stdout), (running.stderr, process.stderr):
            if stream is not None:
                group.start_soon(lines.collect, stream)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()


async def _opened(start: Start, stdout: int) -> Process | ForkedProcess:
    if can_fork(start.environment):
        return ForkedProcess(start, stdout)
    command = [*_COMMAND, *start.arguments]
    return await anyio.open_process(command, env=start.environment, stdout=stdout)


def finished(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """`runapi-mcp` with these arguments and this input, run to its end."""
    return run_alone(arguments, {**os.environ, **(environment or {})}, stdin, folder)


def run_alone(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes = b"",
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """The same in an environment that has nothing of this one."""
    run = run_forked if can_fork(environment) else _run
    return run(Start.here(*arguments, environment=environment, folder=folder), stdin)


def _run(start: Start, stdin: bytes) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(  # noqa: S603 - this very program
        [*_COMMAND, *start.arguments],
        env=start.environment,
        cwd=start.folder,
        input=stdin,
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    said, complained = (each.decode().replace("\r\n", "\n") for each in (ran.stdout, ran.stderr))
    return subprocess.CompletedProcess(ran.args, ran.returncode, said, complained)


def stdio_server(net: Network) -> StdioServerParameters:
    """How a host starts a server on this network."""
    return StdioServerParameters(command=_COMMAND[0], args=[*_COMMAND[1:]], env=net.environment())


@asynccontextmanager
async def host(url: str, path: str, era: str, key: str | None) -> AsyncGenerator[Client]:
    """A host, with its own key if it has one."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with AsyncExitStack() as stack:
        if path.rstrip("/") == "/sse":
            transport = sse_client(url + path, headers)
        else:
            http = httpx2.AsyncClient(headers=headers, timeout=LIMIT_SECONDS)
            await stack.enter_async_context(http)
            transport = streamable_http_client(url + path, http_client=http)
        yield await stack.enter_async_context(Client(transport, mode=era))


async def draw(
    client: Client, prompt: str = QUICK, on_progress: ProgressFnT | None = None
) -> CallToolResult:
    """A picture, drawn to the end."""
    with anyio.fail_after(LIMIT_SECONDS):
        arguments = {"prompt": prompt, "wait_seconds": LIMIT_SECONDS}
        return await client.call_tool(DRAW, arguments, progress_callback=on_progress)


@asynccontextmanager
async def drawing(client: Client, prompt: str) -> AsyncGenerator[anyio.Event]:
    """A call under way, cancelled when the block ends; the event is its first progress."""
    waits = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        waits.set()

    async def call() -> None:
        # A server that is told to end takes the call with it.
        with suppress(MCPError):
            await client.call_tool(
                DRAW, {"prompt": prompt, "wait_seconds": 60}, progress_callback=on_progress
            )

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        with anyio.fail_after(LIMIT_SECONDS):
            yield waits
        group.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    """Nothing, once it is so."""
    with anyio.fail_after(LIMIT_SECONDS):
        while not is_so():  # noqa: ASYNC110 - what comes over a socket sets no event
            await anyio.sleep(0.01)


Heard = tuple[float, float | None, str | None]
"""A word of progress: the seconds so far, of how many, and what happens."""


def assert_progress(heard: Sequence[Heard]) -> None:
    """A picture was waited for, and then fetched."""
    words = [(message or "").partition(",")[0] for *_, message in heard]
    assert list(dict.fromkeys(words)) == ["queued", "fetching the image"]
    assert [seconds for seconds, *_ in heard] == sorted(seconds for seconds, *_ in heard)
    assert {total for _, total, _ in heard} == {None}


_ENVELOPE: Mapping[str, object] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
_NOTHING: Mapping[str, object] = {}
_INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "the tests", "version": "1"},
}


def request(number: int, method: str, era: str, **params: object) -> str:
    """A request as it stands on the wire; its progress token is its number."""
    meta = {"progressToken": number, **(_ENVELOPE if era == "auto" else _NOTHING)}
    return _message(id=number, method=method, params={**params, "_meta": meta})


def cancellation(number: int) -> str:
    """The word that a request's answer is no longer wanted."""
    return _message(method="notifications/cancelled", params={"requestId": number})


def opening(era: str) -> list[str]:
    """The lines a host begins with."""
    if era == "auto":
        return [request(0, "server/discover", era)]
    return [
        request(0, "initialize", era, **_INITIALIZE),
        _message(method="notifications/initialized"),
    ]


def call(number: int, era: str, prompt: str, wait_seconds: int = 60) -> str:
    """A drawing call as it stands on the wire."""
    arguments = {"prompt": prompt, "wait_seconds": wait_seconds}
    return request(number, "tools/call", era, name=DRAW, arguments=arguments)


def _message(**entries: object) -> str:
    return json.dumps({"jsonrpc": "2.0", **entries})
