"""Starting a server, or connecting to one, as its host would, and what it does then."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, cast

import anyio
import httpx
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from runapi_mcp.base.json_values import Json, as_list, as_object
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan, LaunchPlan
from runapi_mcp.setup.doctor.stdio_rpc import MOST_LINE_BYTES, StdioRpc, parse_rpc_line, rpc_message

FALLBACK_SECONDS: Final = 3.0
"""When hosts try the older handshake on the same pipe."""
BALANCE_SECONDS: Final = 6.0
END_SECONDS: Final = 1.0
HTTP_CONNECT_SECONDS: Final = 5.0
STDERR_KEPT: Final = 2_000

MODERN: Final = "2026-07-28"
LEGACY: Final = "2025-06-18"
_ENVELOPE: Final[Json] = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
_INITIALIZE: Final[Json] = {
    "protocolVersion": LEGACY,
    "capabilities": {},
    "clientInfo": {"name": "runapi-mcp-doctor", "version": "1"},
}


@dataclass(slots=True)
class ProbeResult:
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
    """Why it could not be started or reached at all."""
    status: int | None = None
    """What it ended with, if it ended before its first answer."""
    stderr: str = ""
    noise_bytes: int = 0
    is_flooded: bool = False

    def introduce(self, about: Json, began: float) -> None:
        """Note the first answer, in either era's words."""
        self.started_seconds = anyio.current_time() - began
        meta = as_object(about.get("_meta"))
        info = as_object(about.get("serverInfo") or meta.get("io.modelcontextprotocol/serverInfo"))
        self.server, self.version = str(info.get("name", "")), str(info.get("version", ""))
        self.era = str(about.get("protocolVersion", "")) or MODERN

    def list_tools(self, listed: Json) -> None:
        tools = as_list(listed.get("tools"))
        self.tools = tuple(str(as_object(tool).get("name", "")) for tool in tools)

    @property
    def envelope(self) -> Json:
        """What each request of its era carries."""
        return _ENVELOPE if self.era == MODERN else {}


async def probe_command(
    plan: LaunchPlan, wait_seconds: float, asks_balance: Callable[[], Awaitable[bool]]
) -> ProbeResult:
    """Starts a server: its first answer, its tools, and whether RunAPI lets it in.

    `asks_balance` says whether that is worth asking, once the tools are known.
    """
    result = ProbeResult(waited_seconds=wait_seconds)
    try:
        process = await anyio.open_process(
            [plan.program or plan.words[0], *plan.words[1:]],
            env=plan.environ,
            cwd=plan.directory,
            stdin=subprocess.PIPE,
            start_new_session=sys.platform != "win32",
        )
    except OSError as error:
        result.not_started = error.strerror or "it cannot be started"
        return result
    async with _running(process, result) as rpc:
        with anyio.move_on_after(wait_seconds):
            await _handshake(rpc, result)
        if "check_balance" in (result.tools or ()) and await asks_balance():
            await _ask_balance(rpc, result)
    return result


async def probe_address(plan: ConnectPlan, wait_seconds: float) -> ProbeResult:
    """Connects to a server; `not_started` says why that cannot be done."""
    result = ProbeResult(not_started=f"no answer within {wait_seconds:g} s")
    timeout = httpx.Timeout(None, connect=HTTP_CONNECT_SECONDS)
    try:
        with anyio.move_on_after(wait_seconds):
            async with httpx.AsyncClient(headers=dict(plan.headers), timeout=timeout) as client:
                await _converse(client, plan.url, result)
            result.not_started = ""
    except Exception as error:  # noqa: BLE001 - an address can fail in any way, and each is an answer
        result.not_started = next(iter(str(error).splitlines()), type(error).__name__)
    return result


async def _handshake(rpc: StdioRpc, result: ProbeResult) -> None:
    began = anyio.current_time()
    number, about = await _first_answer(rpc)
    if number == 0:
        return
    result.introduce(about, began)
    if number == 2:
        await rpc.send("notifications/initialized", None, {})
    await rpc.send("tools/list", 3, result.envelope)
    number, listed = await rpc.first_result(3)
    if number:
        result.list_tools(listed)


async def _first_answer(rpc: StdioRpc) -> tuple[int, Json]:
    """The server's first answer: to request 1 as of 2026, to request 2 as before."""
    await rpc.send("server/discover", 1, _ENVELOPE)
    with anyio.move_on_after(FALLBACK_SECONDS):
        number, about = await rpc.first_result(1)
        if number:
            return number, about
    await rpc.send("initialize", 2, _INITIALIZE)
    return await rpc.first_result(1, 2)


async def _ask_balance(rpc: StdioRpc, result: ProbeResult) -> None:
    result.balance_refusal = "No answer came in time."
    call: Json = {"name": "check_balance", "arguments": {}}
    with anyio.move_on_after(BALANCE_SECONDS):
        await rpc.send("tools/call", 4, call | result.envelope)
        number, answer = await rpc.first_result(4)
        works = number and not answer.get("isError")
        result.balance_refusal = "" if works else _text(answer) or "It was refused."


def _text(answer: Json) -> str:
    blocks = as_list(answer.get("content"))
    said = " ".join(str(as_object(block).get("text", "")) for block in blocks)
    return said or str(answer.get("message", ""))


@asynccontextmanager
async def _running(process: Process, result: ProbeResult) -> AsyncGenerator[StdioRpc]:
    # Its three pipes were asked for.
    rpc = StdioRpc(cast("ByteSendStream", process.stdin))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(rpc.listen, cast("ByteReceiveStream", process.stdout))
            group.start_soon(_keep_stderr, cast("ByteReceiveStream", process.stderr), result)
            yield rpc
            await _await_end(process, rpc, result)
            group.cancel_scope.cancel()
    finally:
        result.noise_bytes, result.is_flooded = rpc.noise_bytes, rpc.is_flooded
        await _kill(process)


async def _keep_stderr(stderr: ByteReceiveStream, result: ProbeResult) -> None:
    async for chunk in stderr:
        result.stderr = (result.stderr + chunk.decode("utf-8", "replace"))[-STDERR_KEPT:]


async def _await_end(process: Process, rpc: StdioRpc, result: ProbeResult) -> None:
    """Notes the end of a server that never answered; one that did is told that this was all."""
    has_answered = result.started_seconds is not None
    if has_answered:
        await rpc.close()
    with anyio.move_on_after(END_SECONDS):
        await process.wait()
    if not has_answered:
        result.status = process.returncode


async def _kill(process: Process) -> None:
    """Ends a server and whatever it started."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(END_SECONDS):
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await process.aclose()


async def _converse(client: httpx.AsyncClient, url: str, result: ProbeResult) -> None:
    began = anyio.current_time()
    client.headers["MCP-Protocol-Version"] = MODERN
    about = await _post(client, url, "server/discover", 1, _ENVELOPE)
    if "result" not in about:
        del client.headers["MCP-Protocol-Version"]
        about = await _post(client, url, "initialize", 2, _INITIALIZE)
        if "result" not in about:
            raise ConnectionError(_text(as_object(about.get("error"))) or "it speaks no MCP")
        client.headers["MCP-Protocol-Version"] = LEGACY
        await _post(client, url, "notifications/initialized", None, {})
    result.introduce(as_object(about["result"]), began)
    listed = await _post(client, url, "tools/list", 3, result.envelope)
    result.list_tools(as_object(listed.get("result")))
    if "Mcp-Session-Id" in client.headers:
        await client.delete(url)


async def _post(
    client: httpx.AsyncClient, url: str, method: str, number: int | None, params: Json
) -> Json:
    """The JSON-RPC answer to a request; empty for none."""
    headers = {"Accept": "application/json, text/event-stream", "Mcp-Method": method}
    message = rpc_message(method, number, params)
    request = client.build_request("POST", url, json=message, headers=headers)
    answer = await client.send(request, stream=True)
    moved = answer.next_request
    # The headers may hold a key, which is for this server alone.
    if moved is not None and moved.url.join("/") == request.url.join("/"):
        await answer.aclose()
        answer = await client.send(moved, stream=True)
    try:
        if "Mcp-Session-Id" in answer.headers:
            client.headers["Mcp-Session-Id"] = answer.headers["Mcp-Session-Id"]
        found = await _read_answer(answer, number)
        return found or {"error": {"message": f"HTTP {answer.status_code} {answer.reason_phrase}"}}
    finally:
        await answer.aclose()


async def _read_answer(answer: httpx.Response, number: int | None) -> Json:
    is_stream = answer.headers.get("Content-Type", "").startswith("text/event-stream")
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n") if is_stream else (rest + chunk,)
        for line in lines:
            message = parse_rpc_line(line.removeprefix(b"data:"))
            if message.get("id") == number:
                return message
        if len(rest) > MOST_LINE_BYTES:
            break
    return parse_rpc_line(rest.removeprefix(b"data:"))
