"""What strangers send over HTTP, as the log tells of it: a line a record, and nothing raw in it."""

import json
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import anyio
import httpx
import pytest

from runapi_mcp.cli.log_lines import LONGEST_LINE, LineFormatter
from tests.support.processes import LIMIT_SECONDS, finished, network, program

pytestmark = pytest.mark.anyio
KEY: Final = "stranger-key-0123456789"
FORGED: Final = (
    "no\nrunapi-mcp: task 0 was paid\r\nERROR: \x1b[2J\x1b]0;gone\x07\x9b31m\u202e\u2028\x00\x85!"
)
CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
ACCEPT: Final = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def log() -> AsyncGenerator[tuple[str, list[str]]]:
    """A server over HTTP, and what it has said."""
    async with (
        network() as net,
        program("serve", "--http", "--port", "0", environment=net.environment()) as running,
    ):
        line = await running.stderr.holding("runapi-mcp serves ")
        yield line.split()[2].removesuffix("/mcp"), running.stderr.seen


BODIES: Final[Mapping[str, object]] = {
    "request id": {**CALL, "id": FORGED},
    "tool": {**CALL, "params": {"name": FORGED}},
    "argument": {**CALL, "params": {"name": "check_balance", "arguments": {FORGED: FORGED}}},
    "prompt": {
        **CALL,
        "params": {"name": "flux_2_pro_text_to_image", "arguments": {"prompt": FORGED}},
    },
    "method": {**CALL, "method": FORGED},
    "resource": {**CALL, "method": "resources/read", "params": {"uri": FORGED}},
    "client": {
        **CALL,
        "method": "initialize",
        "params": {
            "protocolVersion": FORGED,
            "capabilities": {},
            "clientInfo": {"name": FORGED, "version": FORGED},
        },
    },
    "cancelled": {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": FORGED, "reason": FORGED},
    },
    "notification": {"jsonrpc": "2.0", "method": FORGED, "params": {FORGED: FORGED}},
    "answer": {"jsonrpc": "2.0", "id": FORGED, "result": {FORGED: FORGED}},
    "error": {"jsonrpc": "2.0", "id": FORGED, "error": {"code": 1, "message": FORGED}},
    "progress": {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": FORGED, "progress": FORGED},
    },
    "log level": {**CALL, "method": "logging/setLevel", "params": {"level": FORGED}},
    "no request": {FORGED: FORGED},
    "no JSON": FORGED,
}
WRONG_HEADERS: Final = ("Host", "Origin", "Mcp-Session-Id", "Mcp-Protocol-Version", "Content-Type")
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "none": {},
    **{name: {name: "no\x1b[2J \x9b31m\u00a0!"} for name in (*WRONG_HEADERS, "Accept", "X-Odd")},
}


async def post(url: str, body: object, headers: Mapping[str, str]) -> None:
    sent = {**ACCEPT, "Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    content = body if isinstance(body, str) else json.dumps(body)
    raw = [(n.encode(), v.encode("latin-1")) for n, v in {**sent, **headers}.items()]
    with anyio.move_on_after(2):
        async with httpx.AsyncClient(timeout=LIMIT_SECONDS) as http:
            await http.post(url, content=content.encode("utf-8", "replace"), headers=raw)


def require_whole(lines: list[str]) -> None:
    for line in lines:
        assert line.startswith("runapi-mcp")
        assert line.isprintable()
        assert len(line) <= LONGEST_LINE
        assert KEY not in line
        assert not line.startswith("runapi-mcp: task 0")


@pytest.mark.parametrize("place", BODIES)
async def test_a_body_forges_no_line(log: tuple[str, list[str]], place: str) -> None:
    for path in ("/mcp", "/messages/?session_id=0", "/sse"):
        for version in ("2026-07-28", "2025-06-18", "1"):
            await post(f"{log[0]}{path}", BODIES[place], {"Mcp-Protocol-Version": version})
    require_whole(log[1])


@pytest.mark.parametrize("name", HEADERS)
async def test_a_header_or_a_path_forges_no_line(log: tuple[str, list[str]], name: str) -> None:
    for path in ("/mcp", "/messages/?session_id=%0Aa%1b[2J", "/%0d%0aforged%1b[2J", "/sse?%0a"):
        await post(f"{log[0]}{path}", {**CALL, "method": "tools/list"}, HEADERS[name])
    require_whole(log[1])


RAW: Final = (
    b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x1b[2J\nforged\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: \x00\x1b\nforged: 1\r\n\r\n",
    b"POST /mcp HTTP/1.1\r\nContent-Length: \x1b[2J\r\n\r\n",
)


@pytest.mark.parametrize("sent", RAW)
async def test_what_is_no_http_forges_no_line(log: tuple[str, list[str]], sent: bytes) -> None:
    host, _, port = log[0].removeprefix("http://").rpartition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(sent)
        with anyio.move_on_after(2):
            await stream.receive()
    require_whole(log[1])


def formatted(message: str, *args: object, **more: Any) -> str:
    record = logging.makeLogRecord({"msg": message, "args": args, "name": "mcp.server", **more})
    return LineFormatter([KEY]).format(record)


def test_a_record_is_one_line_whoever_made_it() -> None:
    with pytest.raises(ValueError, match="no") as caught:
        raise ValueError(FORGED)
    line = formatted("odd: %s", FORGED, exc_info=(caught.type, caught.value, caught.tb))
    require_whole([line])
    assert line.startswith(r"runapi-mcp: odd: no\nrunapi-mcp: task 0 was paid\r\nERROR: \x1b[2J")
    assert r"ValueError: no\nrunapi-mcp" in line


@pytest.mark.parametrize("text", [KEY, KEY[::-1], KEY.encode().hex(), "ghp_1357924680abcdefghij"])
def test_a_record_has_no_key(text: str) -> None:
    assert formatted("odd %r", {"a": f"x {text} y"}) == "runapi-mcp: odd {'a': 'x [hidden] y'}"


def test_a_long_record_keeps_its_beginning_and_its_end() -> None:
    line = formatted(f"first {'x' * 10_000_000} last")
    require_whole([line])
    assert (line[:20], line[-6:]) == ("runapi-mcp: first xx", "x last")


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "--http", "--allow-host", FORGED.replace("\0", "")],
        ["tasks", FORGED.replace("\0", "")],
        ["doctor", FORGED.replace("\0", "")],
        [FORGED.replace("\0", "")],
        [f"--{FORGED}".replace("\0", "")],
        ["install", f"--{FORGED}".replace("\0", "")],
        ["serve", "--port", FORGED.replace("\0", "")],
        ["tasks", "--show", FORGED.replace("\0", "")],
    ],
    ids=lambda words: words[0][:9],
)
def test_a_command_says_what_is_wrong_on_a_line(words: list[str]) -> None:
    ran = finished(*words)
    assert ran.returncode != 0
    assert all(line.isprintable() for line in ran.stderr.split("\n"))
    assert "\nrunapi-mcp: task 0" not in ran.stderr
