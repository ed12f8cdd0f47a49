"""Starting a server as its host would, and what it does then. Bounded in time."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from runapi_mcp.base.json_values import as_list, as_object
from runapi_mcp.setup.doctor.launch_plan import Start
from runapi_mcp.setup.doctor.stdio_rpc import Facts, Pipe

FALLBACK_SECONDS: Final = 3.0
"""When hosts try the older handshake on the same pipe."""
BALANCE_SECONDS: Final = 6.0
FAREWELL_SECONDS: Final = 1.0
STDERR_KEPT: Final = 2_000

MODERN: Final = "2026-07-28"
_ENVELOPE: Final[Facts] = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
_INITIALIZE: Final[Facts] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "runapi-mcp-doctor", "version": "1"},
}
_NOTHING: Final[Facts] = {}


@dataclass(slots=True)
class Trial:
    """What became of one start."""

    started_seconds: float | None = None
    """Until its first answer; None if none came in time."""
    waited_seconds: float = 0.0
    """How long that was waited for at most."""
    server: str = ""
    version: str = ""
    era: str = ""
    tools: tuple[str, ...] | None = None
    balance_refusal: str = ""
    """What check_balance had to say, if it failed."""
    not_started: str = ""
    """Why it could not be started at all."""
    status: int | None = None
    """What it ended with, if it ended before its first answer."""
    stderr: str = ""
    noise_bytes: int = 0
    is_flooded: bool = False


async def tried(
    start: Start, wait_seconds: float, asks_balance: Callable[[], Awaitable[bool]]
) -> Trial:
    """What a server does: its first answer, its tools, and whether RunAPI lets it in.

    `asks_balance` says whether that is worth asking, once the tools are known.
    """
    trial = Trial(waited_seconds=wait_seconds)
    try:
        process = await _begun(start)
    except OSError as error:
        trial.not_started = error.strerror or "it cannot be started"
        return trial
    async with _running(process, trial) as pipe:
        with anyio.move_on_after(wait_seconds):
            await _handshake(pipe, trial)
        if "check_balance" in (trial.tools or ()) and await asks_balance():
            await _ask_balance(pipe, trial)
    return trial


async def _begun(start: Start) -> Process:
    return await anyio.open_process(
        [start.program or start.words[0], *start.words[1:]],
        env=start.environ,
        cwd=start.directory,
        stdin=subprocess.PIPE,
        start_new_session=sys.platform != "win32",
    )


async def _handshake(pipe: Pipe, trial: Trial) -> None:
    began = anyio.current_time()
    number, about = await _introduction(pipe)
    if number == 0:
        return
    trial.started_seconds = anyio.current_time() - began
    _introduced(trial, about)
    trial.era = MODERN if number == 1 else str(about.get("protocolVersion", ""))
    if number == 2:
        await pipe.say("notifications/initialized", None, _NOTHING)
    await pipe.say("tools/list", 3, _envelope(trial))
    number, listed = await pipe.first_result(3)
    if number:
        tools = as_list(listed.get("tools"))
        trial.tools = tuple(str(as_object(tool).get("name", "")) for tool in tools)


async def _introduction(pipe: Pipe) -> tuple[int, Facts]:
    """The server's first word: to request 1 as of 2026, to request 2 as before."""
    await pipe.say("server/discover", 1, _ENVELOPE)
    number, about = 0, _NOTHING
    with anyio.move_on_after(FALLBACK_SECONDS):
        number, about = await pipe.first_result(1)
    if number:
        return number, about
    await pipe.say("initialize", 2, _INITIALIZE)
    return await pipe.first_result(1, 2)


def _introduced(trial: Trial, about: Facts) -> None:
    meta = as_object(about.get("_meta"))
    info = as_object(about.get("serverInfo") or meta.get("io.modelcontextprotocol/serverInfo"))
    trial.server, trial.version = str(info.get("name", "")), str(info.get("version", ""))


async def _ask_balance(pipe: Pipe, trial: Trial) -> None:
    trial.balance_refusal = "No answer came in time."
    call = {"name": "check_balance", "arguments": _NOTHING}
    with anyio.move_on_after(BALANCE_SECONDS):
        await pipe.say("tools/call", 4, call | dict(_envelope(trial)))
        number, result = await pipe.first_result(4)
        works = number and not result.get("isError")
        trial.balance_refusal = "" if works else _text(result) or "It was refused."


def _envelope(trial: Trial) -> Facts:
    return _ENVELOPE if trial.era == MODERN else _NOTHING


def _text(result: Facts) -> str:
    blocks = as_list(result.get("content"))
    said = " ".join(str(as_object(block).get("text", "")) for block in blocks)
    return said or str(result.get("message", ""))


@asynccontextmanager
async def _running(process: Process, trial: Trial) -> AsyncGenerator[Pipe]:
    # Its three pipes were asked for.
    pipe = Pipe(cast("ByteSendStream", process.stdin))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(pipe.listen, cast("ByteReceiveStream", process.stdout))
            group.start_soon(_overhear, cast("ByteReceiveStream", process.stderr), trial)
            yield pipe
            await _seen_off(process, pipe, trial)
            group.cancel_scope.cancel()
    finally:
        trial.noise_bytes, trial.is_flooded = pipe.noise_bytes, pipe.is_flooded
        await _ended(process)


async def _overhear(stderr: ByteReceiveStream, trial: Trial) -> None:
    async for chunk in stderr:
        trial.stderr = (trial.stderr + chunk.decode("utf-8", "replace"))[-STDERR_KEPT:]


async def _seen_off(process: Process, pipe: Pipe, trial: Trial) -> None:
    """Notes the end of a server that never answered; one that did is told that this was all."""
    has_answered = trial.started_seconds is not None
    if has_answered:
        await pipe.close()
    with anyio.move_on_after(FAREWELL_SECONDS):
        await process.wait()
    if not has_answered:
        trial.status = process.returncode


async def _ended(process: Process) -> None:
    """Ends a server and whatever it started."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(FAREWELL_SECONDS):
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await process.aclose()
