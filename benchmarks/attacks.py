"""What strangers try on a server over HTTP. As a program: one attack, until it is killed."""

import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Final

import anyio
import httpx

FROM: Final = "127.0.0.2"
ACCEPT: Final = "application/json, text/event-stream"
META: Final[Mapping[str, object]] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HANDSHAKE: Final[Mapping[str, object]] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}
_HEAD: Final = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
_CROWD: Final = 32

Attack = Callable[[httpx.AsyncClient, int], Awaitable[object]]
"""One step of an attack, which is repeated at once by each of a crowd; its number is its own."""

_numbers: Final = count()


def message(method: str, **params: object) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request of 2026-07-28."""
    headers = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params or "uri" in params:
        headers["Mcp-Name"] = str(params.get("name", params.get("uri")))
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    return {**headers, "Content-Type": "application/json", "Accept": ACCEPT}, encode(body)


def encode(body: object) -> bytes:
    return json.dumps(body).encode()


def opening() -> bytes:
    return encode({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE})


async def asking(http: httpx.AsyncClient, method: str, key: str = "", **params: object) -> None:
    headers, body = message(method, **params)
    own = {"Authorization": f"Bearer {key}"} if key else {}
    await http.post("/mcp", headers={**headers, **own}, content=body)


async def _sessions(http: httpx.AsyncClient, key: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": ACCEPT}
    own = {"Authorization": f"Bearer {key}"} if key else {}
    await http.post("/mcp", headers={**headers, **own}, content=opening())


async def _streams(http: httpx.AsyncClient, path: str) -> None:
    async with http.stream("GET", path, headers={"Accept": ACCEPT}) as answer:
        async for _ in answer.aiter_raw():
            pass


async def _endless_body(http: httpx.AsyncClient) -> None:
    async def body() -> AsyncGenerator[bytes]:
        for _ in range(200):
            yield b"x" * 65_536

    await http.post("/mcp", headers={"Accept": ACCEPT}, content=body())


async def _raw(http: httpx.AsyncClient, sent: bytes, again: bytes = b"", held: int = 10) -> None:
    """Many connections that send this and then go on slowly, if at all; nothing is read."""
    url = http.base_url
    async with anyio.create_task_group() as group:

        async def hold() -> None:
            with suppress(OSError, anyio.BrokenResourceError):
                async with await anyio.connect_tcp(
                    url.host, url.port or 80, local_host=FROM
                ) as tcp:
                    await tcp.send(sent)
                    for _ in range(30):
                        await anyio.sleep(2)
                        await tcp.send(again)

        for _ in range(held):
            group.start_soon(hold)


def _made_up() -> str:
    return f"sk-made-up-{next(_numbers):08}"


_UNKNOWN: Final = {f"prompt{number}": "x" for number in range(3_500)}
_LIST: Final = message("tools/list")
_PIPELINED: Final = b"".join(
    (
        _HEAD,
        *(f"{name}: {value}\r\n".encode() for name, value in _LIST[0].items()),
        f"Content-Length: {len(_LIST[1])}\r\n\r\n".encode(),
        _LIST[1],
    )
)

ATTACKS: Final[Mapping[str, Attack]] = {
    "lists": lambda http, _: asking(http, "tools/list"),
    "prices": lambda http, _: asking(http, "tools/call", name="check_pricing", arguments={}),
    "the page": lambda http, _: asking(http, "resources/read", uri="ui://runapi-mcp/gallery"),
    "unknown arguments": lambda http, _: asking(
        http, "tools/call", name="flux_2_pro_text_to_image", arguments=_UNKNOWN
    ),
    "a long tool name": lambda http, _: asking(http, "tools/call", name="flux_2_" * 500),
    "deep JSON": lambda http, _: http.post(
        "/mcp", headers={"Accept": ACCEPT}, content=b"[" * 60_000
    ),
    "login": lambda http, _: asking(http, "tools/call", name="login", arguments={}),
    "sessions": lambda http, _: _sessions(http, ""),
    "streams": lambda http, at: _streams(http, ("/mcp", "/sse")[at % 2]),
    "endless bodies": lambda http, _: _endless_body(http),
    "half heads": lambda http, _: _raw(http, _HEAD, b"X: 1\r\n"),
    "half bodies": lambda http, _: _raw(http, _HEAD + b"Content-Length: 60000\r\n\r\n{", b" "),
    "slow readers": lambda http, _: _raw(http, _PIPELINED * 20, _PIPELINED, held=4),
    "made-up keys": lambda http, _: asking(http, "tools/list", _made_up()),
    "sessions of made-up keys": lambda http, _: _sessions(http, _made_up()),
    "balances of made-up keys": lambda http, _: asking(
        http, "tools/call", _made_up(), name="check_balance", arguments={}
    ),
}


async def attack(name: str, url: str) -> None:
    transport = httpx.AsyncHTTPTransport(local_address=FROM, limits=httpx.Limits())
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=30) as http:

        async def go_on(at: int) -> None:
            while True:
                with suppress(httpx.HTTPError):
                    await ATTACKS[name](http, at)

        print("begun", flush=True)
        async with anyio.create_task_group() as group:
            for at in range(_CROWD):
                group.start_soon(go_on, at)


if __name__ == "__main__":
    anyio.run(attack, sys.argv[1], sys.argv[2])
