"""Connections that stay open: used again while that is safe, and whatever breaks is httpx's."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from anyio.abc import ByteStream, Listener, SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener

from runapi_mcp.providers.keep_alive import KeepAliveTransport
from tests.support.certificates import Certificate, make_certificate

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLOSE = b"close"
"""Instead of an answer."""


@pytest.fixture
def anyio_backend() -> str:
    """Sockets need real time."""
    return "asyncio"


@dataclass
class Host:
    """Answers each request of a connection with the next of its answers."""

    answers: list[bytes]
    requests: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0

    async def serve(self, stream: ByteStream) -> None:
        self.connections += 1
        async with stream:
            while True:
                try:
                    self.requests.append(await stream.receive())
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                answer = self.answers.pop(0)
                await stream.send(answer.removesuffix(CLOSE))
                if answer.endswith(CLOSE):
                    return


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate") / "host.pem")


async def test_over_tls_a_connection_is_kept_as_well(certificate: Certificate) -> None:
    async with secure_host(certificate, OK, OK) as (served, url):
        trust = ssl.create_default_context(cafile=certificate.path)
        transport = KeepAliveTransport(httpx.URL(url), trust)
        async with httpx.AsyncClient(base_url=url, transport=transport) as http:
            assert [(await http.get("/")).text for _ in range(2)] == ["{}"] * 2
        assert served.connections == 1


async def test_who_cannot_prove_who_it_is_is_told_nothing(certificate: Certificate) -> None:
    async with secure_host(certificate, OK) as (served, url):
        transport = KeepAliveTransport(httpx.URL(url), ssl.create_default_context())
        async with httpx.AsyncClient(base_url=url, transport=transport) as http:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.get("/")
        assert served.requests == []


@asynccontextmanager
async def secure_host(
    certificate: Certificate, *answers: bytes
) -> AsyncGenerator[tuple[Host, str]]:
    served = Host(list(answers))
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        url = f"https://127.0.0.1:{port_of(listener)}"
        secure = TLSListener(listener, certificate.server(), standard_compatible=False)
        async with anyio.create_task_group() as group:
            group.start_soon(secure.serve, served.serve)
            yield served, url
            group.cancel_scope.cancel()


@asynccontextmanager
async def host(*answers: bytes) -> AsyncGenerator[tuple[Host, httpx.AsyncClient]]:
    served = Host(list(answers))
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        url = f"http://127.0.0.1:{port_of(listener)}"
        transport = KeepAliveTransport(httpx.URL(url), None)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, served.serve)
            async with httpx.AsyncClient(base_url=url, transport=transport) as http:
                yield served, http
            group.cancel_scope.cancel()


def port_of(listener: Listener[SocketStream]) -> int:
    return listener.extra(SocketAttribute.local_port)  # noqa: S610 - no SQL


async def test_one_connection_serves_one_request_after_another() -> None:
    async with host(*[OK] * 5) as (served, http):
        assert [(await http.get("/")).text for _ in range(5)] == ["{}"] * 5
        assert served.connections == 1


async def test_requests_at_once_have_a_connection_each() -> None:
    async with host(*[OK] * 5) as (served, http), anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(http.get, "/")
        await anyio.lowlevel.checkpoint()
    assert served.connections == 5


@pytest.mark.parametrize(
    "last",
    [
        OK + CLOSE,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n{}" + CLOSE,
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["closed", "said to close", "ends with its connection", "HTTP/1.0", "more unasked"],
)
async def test_a_connection_that_is_over_is_not_used_again(last: bytes) -> None:
    async with host(last, OK) as (served, http):
        assert (await http.get("/")).text == "{}"
        await anyio.sleep(0.05)
        assert (await http.get("/")).text == "{}"
        assert served.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    ],
    ids=["in chunks", "after a hint"],
)
async def test_an_answer_is_read_however_it_is_framed(answer: bytes) -> None:
    async with host(answer, OK) as (served, http):
        assert [(await http.get("/")).text for _ in range(2)] == ["{}"] * 2
        assert served.connections == 1


async def test_a_request_with_a_body_is_sent_as_it_is() -> None:
    async with host(OK) as (served, http):
        await http.post("/a?b=c", content=b'{"prompt": "x"}', headers={"X-Key": "k"})
        head, _, body = b"".join(served.requests).partition(b"\r\n\r\n")
        assert head.startswith(b"POST /a?b=c HTTP/1.1\r\n")
        assert b"X-Key: k" in head
        assert body == b'{"prompt": "x"}'


@pytest.mark.parametrize(
    "answers",
    [
        [CLOSE],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}" + CLOSE],
        [b"SSH-2.0-OpenSSH_9.2\r\n" + CLOSE],
        [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + CLOSE],
    ],
    ids=["no answer", "half an answer", "no HTTP", "a head without an end"],
)
async def test_what_is_no_whole_answer_is_an_error_of_httpx(answers: Sequence[bytes]) -> None:
    async with host(*answers) as (_, http):
        with pytest.raises(httpx.TransportError):
            await http.get("/")


async def test_an_answer_that_comes_before_the_request_was_read_is_an_answer() -> None:
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    async with host(refused + CLOSE) as (_, http):
        answer = await http.post("/", content=b"x" * 50_000)
        assert answer.status_code == 413


async def test_where_nobody_listens_no_connection_is_made() -> None:
    async with host() as (_, http):
        url = str(http.base_url)
    transport = KeepAliveTransport(httpx.URL(url), None)
    async with httpx.AsyncClient(base_url=url, transport=transport) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/")


async def test_a_request_that_is_given_up_leaves_no_half_answer_to_the_next() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    async with host(half, OK) as (served, http):
        with anyio.move_on_after(0.1):
            await http.get("/")
        assert (await http.get("/")).text == "{}"
        assert served.connections == 2
