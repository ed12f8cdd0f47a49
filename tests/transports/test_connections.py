"""Connections that do not get on are cut off, and one address has only so many."""

import json
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.support.processes import LIMIT_SECONDS, finished, network, program, request
from tests.support.world import KEY

pytestmark = pytest.mark.anyio

HEAD = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
JSON = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
HALF_A_BODY = f"{HEAD}{JSON}Content-Length: 9\r\n\r\n["
BROKEN_OFF = [
    "",
    "GET /heal",
    "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    HALF_A_BODY,
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(*options: str, **caps: int) -> AsyncGenerator[tuple[str, int]]:
    """Where a server listens that has these caps."""
    given = {f"RUNAPI_HTTP_{name.upper()}": str(value) for name, value in caps.items()}
    async with network() as net:
        command, environment = ("serve", "--http", "--port", "0", *options), net.environment()
        async with program(*command, environment={**environment, **given}) as running:
            url = httpx.URL((await running.stderr.holding("runapi-mcp serves ")).split()[2])
            yield url.host, url.port or 0


def connected(where: tuple[str, int], sent: str = "") -> socket.socket:
    connection = socket.create_connection(where, timeout=LIMIT_SECONDS)
    connection.sendall(sent.encode())
    return connection


def is_cut_off(connection: socket.socket) -> bool:
    """Whether the other end goes, after whatever it has still sent."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("key", ["", KEY])
async def test_half_a_head_and_half_a_body_do_not_stay(key: str) -> None:
    async with serving(head_seconds=1, body_seconds=1) as where:
        with ExitStack() as held:
            halves = [
                held.enter_context(connected(where, part.format(key=key))) for part in BROKEN_OFF
            ]
            for half in halves:
                assert await anyio.to_thread.run_sync(is_cut_off, half)


async def test_a_body_that_trickles_on_after_its_refusal_does_not_stay() -> None:
    async with serving(body_seconds=1) as where:
        sent = f"{HEAD.format(key=KEY)}Content-Length: 999999999\r\n\r\n"

        def trickle() -> str:
            with connected(where, sent) as connection:
                try:
                    while True:
                        connection.sendall(b"x" * 1000)
                        time.sleep(0.01)
                except ConnectionError:
                    return "cut off"

        with anyio.fail_after(LIMIT_SECONDS):
            assert await anyio.to_thread.run_sync(trickle) == "cut off"


async def test_who_does_not_read_what_was_asked_for_is_cut_off() -> None:
    body = request(1, "tools/list", "auto")
    head = HEAD.format(key=KEY) + JSON + "Mcp-Protocol-Version: 2026-07-28\r\n"
    asked = f"{head}Mcp-Method: tools/list\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def overflow(where: tuple[str, int]) -> str:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with connection:
            connection.settimeout(LIMIT_SECONDS)
            connection.connect(where)
            try:
                while True:
                    connection.sendall(asked.encode())
                    time.sleep(0.002)
            except ConnectionError:
                return "cut off"

    async with serving(unread_seconds=1) as where:
        with anyio.fail_after(LIMIT_SECONDS):
            assert await anyio.to_thread.run_sync(overflow, where) == "cut off"


async def is_served(where: tuple[str, int], address: str) -> bool:
    """Whether one who comes from this address is answered."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    url = f"http://{where[0]}:{where[1]}/healthz"
    async with httpx.AsyncClient(transport=transport, timeout=LIMIT_SECONDS) as http:
        try:
            return (await http.get(url)).status_code == 200
        except httpx.TransportError:
            return False


@pytest.mark.parametrize(
    ("options", "is_open"), [([], False), (["--trusted-proxy", "127.0.0.0/30"], True)]
)
async def test_one_address_has_only_so_many_connections_unless_it_is_a_proxy(
    options: Sequence[str], *, is_open: bool
) -> None:
    async with serving(*options, connections_per_address=3) as where:
        with ExitStack() as held:
            for _ in range(3):
                held.enter_context(connected(where))
            assert await is_served(where, "127.0.0.1") == is_open
            assert await is_served(where, "127.0.0.5")


@pytest.mark.parametrize(
    ("options", "believed"), [([], False), (["--trusted-proxy", "127.0.0.1"], True)]
)
async def test_whom_a_request_comes_from_is_believed_of_a_trusted_proxy_alone(
    options: Sequence[str], *, believed: bool
) -> None:
    async with serving(*options, keyless_calls_per_address=1) as where:
        url = f"http://{where[0]}:{where[1]}/mcp"

        def forwarded(address: str) -> dict[str, str]:
            accept = "application/json, text/event-stream"
            return {"X-Forwarded-For": address, "Accept": accept}

        half = HALF_A_BODY.replace("Authorization: Bearer {key}", "X-Forwarded-For: 192.0.2.1")
        with connected(where, half):
            async with httpx.AsyncClient(timeout=LIMIT_SECONDS) as http:
                asked = json.loads(request(1, "ping", "legacy"))
                other = await http.post(url, json=asked, headers=forwarded("1.2.3.4, 192.0.2.2"))
                same = await http.post(url, json=asked, headers=forwarded("192.0.2.2, 192.0.2.1"))
    assert (other.status_code == 200, same.status_code) == (believed, 429)


def test_a_proxy_that_is_no_address_is_refused() -> None:
    refused = finished("serve", "--http", "--trusted-proxy", "proxy.example")
    assert refused.returncode == 2
    assert "Write its address, or a network such as 10.0.0.0/8." in refused.stderr
