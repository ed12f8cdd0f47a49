"""Callers that have one picture drawn and wait for it, over HTTP with a key each or over one stdio.

They are a few lines on a socket or a pipe, so that thousands of them take little from the server
beside which they run. All give the client's name whose host waits 300 s for a call.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, cast
from urllib.parse import urlsplit

import anyio
from anyio.abc import AnyByteReceiveStream, AnyByteSendStream
from anyio.streams.buffered import BufferedByteReceiveStream

Json = dict[str, object]
Ask = Callable[[int], Awaitable["Answer"]]
"""Has the picture of a number drawn."""

TOOL: Final = "flux_2_pro_text_to_image"
KEY_BEFORE: Final = "sandbox-crowd-"
SHARED_KEY: Final = f"{KEY_BEFORE}of-all"
"""Over stdio."""
_VERSION: Final = "2026-07-28"
_CLIENT: Final[Json] = {"name": "codex-mcp-client", "version": "1"}
_META: Final[Json] = {
    "io.modelcontextprotocol/protocolVersion": _VERSION,
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_LONGEST_LINE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    at: float
    """When it had come, on the machine's monotonic clock."""
    task_id: str | None
    """None if it brought no picture."""
    words: str = ""
    """What it said instead."""


@dataclass(slots=True)
class Prompts:
    """No two alike: nobody should take one for the repetition of another."""

    seconds: Callable[[int], float]

    def of(self, number: int) -> str:
        return f"Fox {number:06} [[takes {self.seconds(number):.3f}s]]"


def http_callers(url: str, prompts: Prompts) -> Ask:
    """Each has a connection and a key of its own."""
    address = urlsplit(url)

    async def ask(number: int) -> Answer:
        body = json.dumps(_call(number, prompts.of(number))).encode()
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {KEY_BEFORE}{number:06}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nConnection: close\r\n"
            f"Mcp-Protocol-Version: {_VERSION}\r\nMcp-Method: tools/call\r\nMcp-Name: {TOOL}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        host, port = address.hostname or "", address.port or 80
        async with await anyio.connect_tcp(host, port) as stream:
            await stream.send(head.encode() + body)
            return await _read_events(stream)

    return ask


async def _read_events(stream: AnyByteReceiveStream) -> Answer:
    lines, last = BufferedByteReceiveStream(stream), b""
    try:
        while True:
            last = await lines.receive_until(b"\n", _LONGEST_LINE)
            sent = last.removeprefix(b"data:").strip()
            if sent.startswith(b"{") and (answer := _answer(json.loads(sent))):
                return answer
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
        return Answer(monotonic(), None, f"ended after {last[:200]!r}")


@asynccontextmanager
async def stdio_callers(
    stdin: AnyByteSendStream, stdout: AnyByteReceiveStream, prompts: Prompts
) -> AsyncGenerator[Ask]:
    """All share a session and the server's key."""
    waiting: dict[int, _Waiting] = {}

    async def read() -> None:
        lines = BufferedByteReceiveStream(stdout)
        while True:
            message = cast("Json", json.loads(await lines.receive_until(b"\n", _LONGEST_LINE)))
            number = message.get("id")
            if isinstance(number, int) and number in waiting and (answer := _answer(message)):
                waiting[number].answer = answer
                waiting[number].event.set()

    async def ask(number: int) -> Answer:
        waiting[number] = mine = _Waiting()
        await stdin.send(json.dumps(_call(number, prompts.of(number))).encode() + b"\n")
        await mine.event.wait()
        return waiting.pop(number).answer

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        yield ask
        group.cancel_scope.cancel()


@dataclass(slots=True)
class _Waiting:
    event: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer = field(default_factory=lambda: Answer(0.0, None))


def _call(number: int, prompt: str) -> Json:
    params: Json = {"name": TOOL, "arguments": {"prompt": prompt}}
    params["_meta"] = {**_META, "progressToken": number}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def _answer(message: Mapping[str, object]) -> Answer | None:
    """The answer to a call; None for what only tells how it goes."""
    if "result" not in message and "error" not in message:
        return None
    result = cast("Json", message.get("result") or {})
    facts = cast("Json", result.get("structuredContent") or {})
    if facts.get("status") == "completed":
        return Answer(monotonic(), str(facts["task_id"]))
    return Answer(monotonic(), None, json.dumps(result or message)[:300])
