"""Fetching images: from the public internet and the sandbox only, bounded, and told as it comes."""

import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import httpx
import pytest
from anyio.streams.tls import TLSListener, TLSStream

from runapi_mcp.images.fetch_targets import NotFetched
from runapi_mcp.images.fetching import LARGEST_IMAGE_BYTES, Fetcher
from tests.support.certificates import Certificate, make_certificate
from tests.support.forward_proxy import ForwardProxy
from tests.support.processes import LIMIT_SECONDS

pytestmark = pytest.mark.anyio

RUNAPI = "https://runapi.ai"
SANDBOX = "http://127.0.0.1:8700"
URL = "https://images.example/a.png?signature=a%2Fb+c"
PUBLIC, OTHER_PUBLIC, PUBLIC_V6 = "93.184.215.14", "93.184.215.15", "2606:4700::6810:1"
IMAGE = b"\x89PNG and so on"

IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For sockets and threads."""


class Names:
    """The resolver: what it was asked, and its answers; the last one is repeated."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers or [[PUBLIC]])
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such name")
        return found


Answer = httpx.Response | Exception


class Network(httpx.AsyncBaseTransport):
    """What lies behind the checks: what reached it, and its answers in turn."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, content=IMAGE)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Trickle(httpx.AsyncByteStream):
    """A body without end: a piece, then a pause."""

    def __init__(self, piece: bytes = b"x", pause_seconds: float = 0.0) -> None:
        self._piece = piece
        self._pause_seconds = pause_seconds
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield self._piece
            await anyio.sleep(self._pause_seconds)

    async def aclose(self) -> None:
        self.closed = True


class Body:
    """A sink."""

    def __init__(self) -> None:
        self.content = b""

    async def __call__(self, chunk: bytes) -> None:
        self.content += chunk


async def fetched(
    network: httpx.AsyncBaseTransport | None = None,
    url: str = URL,
    names: Names | None = None,
    base_url: str = RUNAPI,
    within_seconds: float = 30,
) -> bytes:
    body = Body()
    await Fetcher(base_url, network, names or Names()).fetch(url, body, within_seconds)
    return body.content


async def refusal(
    network: httpx.AsyncBaseTransport | None = None,
    url: str = URL,
    names: Names | None = None,
    base_url: str = RUNAPI,
    within_seconds: float = 30,
) -> str:
    """What a failed fetch says; no signed address is in it."""
    with pytest.raises(NotFetched) as failure:
        await fetched(network, url, names, base_url, within_seconds)
    assert "signature" not in str(failure.value)
    return str(failure.value)


def redirect(location: str, status: int = 302) -> httpx.Response:
    headers = {"Location": location, "Set-Cookie": "session=1"}
    return httpx.Response(status, headers=headers, content=b"moved")


# Where to


async def test_the_request_goes_to_the_checked_address_under_the_name() -> None:
    network = Network()

    assert await fetched(network) == IMAGE

    (request,) = network.sent
    assert str(request.url) == f"https://{PUBLIC}/a.png?signature=a%2Fb+c"
    assert request.extensions["sni_hostname"] == "images.example"
    assert request.extensions["timeout"]["connect"] == 5
    assert {**request.headers, "user-agent": ""} == {
        "host": "images.example",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "",
    }


async def test_a_name_that_changes_its_address_after_the_check_changes_nothing() -> None:
    network, names = Network(), Names([PUBLIC], ["127.0.0.1"])

    assert await fetched(network, names=names) == IMAGE

    assert names.asked == [("images.example", 443)]
    assert network.sent[0].url.host == PUBLIC


NOT_PUBLIC = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
    168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
    192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::808:808 ::ffff:127.0.0.1
    ::ffff:a00:1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::808:808 100::1
    2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:20::1 2001:db8::1 2002:7f00:1::
    2002:808:808:: 3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fe80::1%251
    2606:4700::1%eth0 fec0::1 ff02::1 ff0e::1
"""
IS_PUBLIC = """
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
    168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255
    192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1 2a00:1450:4001:80b::200e
    2001:4860:4860::8888 64:ff9b::8.8.8.8 ::ffff:8.8.8.8
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
async def test_an_address_inside_a_network_is_never_asked(address: str) -> None:
    network = Network()
    literal = f"[{address.replace('%', '%25')}]" if ":" in address else address

    by_name = await refusal(network, names=Names([address]))
    beside_a_public_one = await refusal(network, names=Names([PUBLIC, address]))
    by_address = await refusal(network, f"https://{literal}/a.png")

    assert "images.example: it is not on the public internet." in by_name
    assert by_name == beside_a_public_one
    assert "it is not on the public internet." in by_address
    assert not network.sent


@pytest.mark.parametrize("address", IS_PUBLIC.split())
async def test_an_address_of_the_public_internet_is_asked(address: str) -> None:
    network, names = Network(), Names([address])
    literal = f"[{address}]" if ":" in address else address

    assert await fetched(network, names=names) == IMAGE
    assert await fetched(network, f"https://{literal}/a.png", names) == IMAGE

    assert len(names.asked) == 1


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1"),
        *(
            "127.0.0.1.",
            "127.0.0.01",
            "127。0。0。1",
            "127%2e0.0.1",
            "127.0.0.1%00",
            "\uff11\uff12\uff17.0.0.1",
        ),
        *("1.2.3.4.5", "0x", "example.0x7f", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::1", ""),
        *("[::1%25eth0]", "[v1.a]", "localhost", "LOCALHOST.", "a.localhost", "intranet"),
        *("printer.local", "metadata.google.internal", "router.lan", "nas.home.arpa", "a..example"),
        *("-a.example", "a\\b.example", "a b.example", "xn--", f"{'a' * 64}.example"),
    ],
)
async def test_a_host_in_no_proper_spelling_is_neither_looked_up_nor_asked(host: str) -> None:
    network, names = Network(), Names()

    await refusal(network, f"https://{host}/a.png", names)

    assert not network.sent
    assert not names.asked


@pytest.mark.parametrize(
    ("written", "known_as"),
    [
        ("IMAGES.Example", "images.example"),
        ("images.example.", "images.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("my_bucket.s3-2.example", "my_bucket.s3-2.example"),
    ],
)
async def test_a_name_is_looked_up_and_proved_in_one_spelling(written: str, known_as: str) -> None:
    network, names = Network(), Names()

    await fetched(network, f"https://{written}:8443/a.png", names)

    assert names.asked == [(known_as, 8443)]
    assert network.sent[0].headers["Host"] == f"{known_as}:8443"
    assert network.sent[0].extensions["sni_hostname"] == known_as


@pytest.mark.parametrize(
    "url",
    [
        *("http://images.example/a.png", f"http://{PUBLIC}/a.png", "ftp://images.example/a.png"),
        *("file:///etc/passwd", "data:image/png;base64,AA==", "//images.example/a.png", "a.png"),
        *("https://user@images.example/a", "https://runapi.ai:pass@images.example/a"),
        *("https://runapi.ai\\@images.example/", "https://images.example\n.example/a", ""),
        *("https://images.example:0/", "https://images.example:65536/", "https://images.example:x"),
        *("https://images.example:-1/", "https://images.example/\ud83d"),
    ],
)
async def test_an_address_that_is_not_plainly_https_is_not_asked(url: str) -> None:
    network, names = Network(), Names()

    await refusal(network, url, names)

    assert not network.sent
    assert not names.asked


async def test_an_unknown_name_is_told_without_the_signed_address() -> None:
    assert await refusal(Network(), names=Names([])) == (
        "The image could not be fetched from images.example: there is no such host. "
        "Check the network."
    )


async def test_a_name_without_addresses_is_unknown_too() -> None:
    async def nothing(host: str, port: int) -> Sequence[str]:
        return []

    with pytest.raises(NotFetched, match="there is no such host"):
        await Fetcher(RUNAPI, Network(), nothing).fetch(URL, Body(), 30)


async def test_a_look_up_that_hangs_is_given_up_after_five_seconds() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(NotFetched, match="there is no such host"):
        await Fetcher(RUNAPI, Network(), hang).fetch(URL, Body(), 30)

    assert anyio.current_time() == 5


async def test_the_next_address_is_tried_when_one_cannot_be_connected_to() -> None:
    network = Network(httpx.ConnectTimeout(""), httpx.ConnectError("no route"))
    names = Names([PUBLIC_V6, PUBLIC, OTHER_PUBLIC, PUBLIC])

    assert await fetched(network, names=names) == IMAGE

    assert [request.url.host for request in network.sent] == [PUBLIC, OTHER_PUBLIC, PUBLIC_V6]


async def test_an_answer_that_breaks_off_is_not_asked_for_at_the_next_address() -> None:
    network = Network(httpx.ReadError("reset"))

    said = await refusal(network, names=Names([PUBLIC, OTHER_PUBLIC]))

    assert "the answer broke off or is not HTTP (ReadError)." in said
    assert len(network.sent) == 1


# The sandbox


async def test_the_sandbox_is_asked_over_plain_http_and_without_a_look_up() -> None:
    network, names = Network(), Names()

    assert await fetched(network, f"{SANDBOX}/images/a.png", names, SANDBOX) == IMAGE

    assert str(network.sent[0].url) == f"{SANDBOX}/images/a.png"
    assert not names.asked


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (SANDBOX, "http://127.0.0.1:8701/a.png"),
        (SANDBOX, "http://127.0.0.1/a.png"),
        (SANDBOX, "http://127.0.0.2:8700/a.png"),
        (SANDBOX, "http://localhost:8700/a.png"),
        (SANDBOX, "http://[::1]:8700/a.png"),
        (SANDBOX, "https://127.0.0.1:8700/a.png"),
        (SANDBOX, "http://user@127.0.0.1:8700/a.png"),
        (SANDBOX, "http://images.example/a.png"),
        (RUNAPI, "http://127.0.0.1:8700/a.png"),
        ("https://127.0.0.1:8700", "https://127.0.0.1:8700/a.png"),
        ("http://192.168.0.2:8700", "http://192.168.0.2:8700/a.png"),
        ("http://images.example", "http://images.example/a.png"),
        ("http://[", "http://127.0.0.1:8700/a.png"),
    ],
)
async def test_nothing_but_the_sandbox_itself_is_let_off(base_url: str, url: str) -> None:
    network = Network()

    await refusal(network, url, Names(["127.0.0.1"]), base_url)

    assert not network.sent


async def test_the_sandbox_leads_to_public_addresses_only() -> None:
    for location in ("http://127.0.0.1:22/", "http://images.example/", "https://10.0.0.1/"):
        network = Network(redirect(location))
        await refusal(network, f"{SANDBOX}/a.png", base_url=SANDBOX)
        assert len(network.sent) == 1


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_checked_looked_up_and_followed_without_cookies(status: int) -> None:
    network = Network(redirect("https://cdn.example/b.png", status))
    names = Names([PUBLIC], [OTHER_PUBLIC])

    assert await fetched(network, names=names) == IMAGE

    assert names.asked == [("images.example", 443), ("cdn.example", 443)]
    followed = network.sent[1]
    assert followed.url == f"https://{OTHER_PUBLIC}/b.png"
    assert set(followed.headers) == {"host", "accept", "accept-encoding", "user-agent"}
    assert followed.extensions["sni_hostname"] == "cdn.example"


async def test_a_relative_redirect_stays_at_the_name_not_at_the_address() -> None:
    network = Network(redirect("../b.png?x=1#part"), redirect("//cdn.example/c.png"))

    await fetched(network, "https://images.example/1/a.png")

    assert [
        str(request.url.copy_with(host=request.headers["Host"])) for request in network.sent
    ] == [
        "https://images.example/1/a.png",
        "https://images.example/b.png?x=1",
        "https://cdn.example/c.png",
    ]


@pytest.mark.parametrize(
    "location",
    [
        *("http://images.example/a.png", "http://127.0.0.1:8700/", "https://127.0.0.1/"),
        *("https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/", "//10.0.0.1/"),
        *("https://2130706433/", "file:///etc/passwd", "https://user:pass@images.example/"),
        *("https://localhost/", "https://[", "https://images.example:99999/", "https://xn--/"),
    ],
)
async def test_a_redirect_gets_nowhere_that_an_address_does_not(location: str) -> None:
    network = Network(redirect(location))

    await refusal(network)

    assert len(network.sent) == 1


async def test_a_redirect_to_a_name_inside_a_network_is_refused() -> None:
    network = Network(redirect("https://inside.example/"))

    assert "inside.example: it is not on the public" in await refusal(
        network, names=Names([PUBLIC], ["10.0.0.1"])
    )

    assert len(network.sent) == 1


async def test_three_redirects_are_followed_and_a_loop_is_not() -> None:
    three = [redirect(f"/{number}") for number in range(3)]
    assert await fetched(Network(*three)) == IMAGE

    loop = Network(*(redirect(URL) for _ in range(9)))
    assert "it was redirected too often." in await refusal(loop)
    assert len(loop.sent) == 4


# What comes


async def test_progress_is_told_with_the_total_where_it_is_known() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"abc", b"de"):
            yield piece

    told: list[tuple[int, int | None]] = []

    def tell(so_far: int, total: int | None) -> None:
        told.append((so_far, total))

    for headers in ({"Content-Length": "5"}, {}, {"Content-Length": "x"}):
        answer = httpx.Response(200, headers=headers, content=pieces())
        fetcher = Fetcher(RUNAPI, Network(answer), Names())
        await fetcher.fetch(URL, Body(), 30, tell)

    assert told == [(3, 5), (5, 5), (3, None), (5, None), (3, None), (5, None)]


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_address_that_holds_nothing_is_not_said_to_be_expired(status: int) -> None:
    assert await refusal(Network(httpx.Response(status, content=b"<html>"))) == (
        f"The image could not be fetched from images.example: HTTP {status}. Try again in a minute."
    )


@pytest.mark.parametrize("status", [101, 201, 204, 206, 302, 304, 401, 429, 500, 503])
async def test_any_other_status_is_no_image(status: int) -> None:
    assert f"images.example: HTTP {status}." in await refusal(Network(httpx.Response(status)))


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "zstd", "x"])
async def test_a_compressed_answer_is_refused_unread(encoding: str) -> None:
    stream = Trickle()
    headers = {"Content-Encoding": encoding}

    said = await refusal(Network(httpx.Response(200, headers=headers, stream=stream)))

    assert "it was sent compressed" in said
    assert stream.closed


async def test_an_answer_that_says_it_is_not_compressed_is_taken() -> None:
    answer = httpx.Response(200, headers={"Content-Encoding": "Identity"}, content=IMAGE)

    assert await fetched(Network(answer)) == IMAGE


async def test_an_image_that_says_it_is_too_large_is_refused_unread() -> None:
    stream = Trickle()
    headers = {"Content-Length": str(LARGEST_IMAGE_BYTES + 1)}

    said = await refusal(Network(httpx.Response(200, headers=headers, stream=stream)))

    assert "it is larger than 50 MB" in said
    assert stream.closed


async def test_an_image_that_does_not_end_is_cut_at_the_limit() -> None:
    stream, taken = Trickle(b"x" * 1_000_000), list[int]()

    async def count(chunk: bytes) -> None:
        taken.append(len(chunk))

    fetcher = Fetcher(RUNAPI, Network(httpx.Response(200, stream=stream)), Names())
    with pytest.raises(NotFetched, match="it is larger than 50 MB"):
        await fetcher.fetch(URL, count, 30)

    assert sum(taken) == LARGEST_IMAGE_BYTES
    assert stream.closed


async def test_an_image_that_trickles_is_given_up_when_its_time_is_over() -> None:
    stream = Trickle(pause_seconds=1)

    said = await refusal(Network(httpx.Response(200, stream=stream)), within_seconds=20)

    assert "it did not arrive within 20 s." in said
    assert anyio.current_time() == 20
    assert stream.closed


async def test_others_have_their_turn_while_an_image_comes_in_crumbs() -> None:
    turns: list[int] = []

    async def crumbs() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"

    async def other() -> None:
        while True:
            turns.append(1)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        assert await fetched(Network(httpx.Response(200, content=crumbs()))) == b"x" * 100
        tasks.cancel_scope.cancel()

    assert len(turns) >= 100


@pytest.mark.parametrize(("content", "length"), [(b"", "0"), (b"", ""), (b"ab", "3"), (b"ab", "1")])
async def test_a_body_that_is_empty_or_not_as_long_as_it_says_is_no_image(
    content: bytes, length: str
) -> None:
    stream = httpx.ByteStream(content)
    headers = {"Content-Length": length} if length else {}

    said = await refusal(Network(httpx.Response(200, headers=headers, stream=stream)))

    assert "the answer is empty or incomplete." in said


@pytest.mark.parametrize("error", [OSError(28, "No space left"), TimeoutError(), ssl.SSLError()])
async def test_an_error_of_the_sink_passes_through_and_nothing_stays_open(error: OSError) -> None:
    stream = Trickle()

    async def full(chunk: bytes) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await Fetcher(RUNAPI, Network(httpx.Response(200, stream=stream)), Names()).fetch(
            URL, full, 30
        )

    assert raised.value is error
    assert stream.closed


async def test_a_caller_who_leaves_ends_the_download() -> None:
    stream = Trickle(pause_seconds=1)
    fetcher = Fetcher(RUNAPI, Network(httpx.Response(200, stream=stream)), Names())

    with anyio.move_on_after(3) as caller:
        await fetcher.fetch(URL, Body(), 30)

    assert caller.cancelled_caught
    assert stream.closed


# Real sockets


@asynccontextmanager
async def served(
    talk: Callable[[anyio.abc.ByteStream], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncGenerator[int]:
    """The port of a server that talks so with everyone who connects."""

    async def one(stream: anyio.abc.ByteStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
            async with stream:
                await talk(stream)

    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = plain.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # this is not Django's
    listener = TLSListener(plain, tls, standard_compatible=False) if tls else plain
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, one)
        yield port
        tasks.cancel_scope.cancel()


def saying(*pieces: bytes) -> Callable[[anyio.abc.ByteStream], Awaitable[None]]:
    """Reads a request, says this, and hangs up."""

    async def talk(stream: anyio.abc.ByteStream) -> None:
        await stream.receive()
        for piece in pieces:
            await stream.send(piece)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"


@IN_REAL_TIME
async def test_an_image_comes_from_the_sandbox_also_through_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    for answer in (
        OK + b"Content-Length: 3\r\n\r\nPNG and more",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nP\r\n2\r\nNG\r\n0\r\n\r\n",
        OK + b"\r\nPNG",
    ):
        async with served(saying(answer)) as port:
            base_url = f"http://127.0.0.1:{port}"
            assert await fetched(url=f"{base_url}/a.png", base_url=base_url) == b"PNG"


@IN_REAL_TIME
@pytest.mark.parametrize(
    "pieces",
    [
        (OK, b"Content-Length: 9\r\n\r\nPNG"),
        (OK, b"Transfer-Encoding: chunked\r\n\r\n9\r\nPNG"),
        (OK, b"Transfer-Encoding: gzip\r\n\r\nPNG"),
        (OK, b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nPNG!"),
        (OK, b"Content-Length: -1\r\n\r\nPNG"),
        (OK, b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nPNG"),
        (OK, b"X: " + b"x" * 1_000_000),
        (OK, b"X: x\r\n" * 200_000),
        (b"SSH-2.0-OpenSSH_9.9\r\n",),
        (b"PNG",),
        (),
    ],
    ids=lambda pieces: repr(b"".join(pieces)[:60]),
)
async def test_a_torn_or_broken_answer_is_no_image(pieces: Sequence[bytes]) -> None:
    async with served(saying(*pieces)) as port:
        base_url = f"http://127.0.0.1:{port}"
        said = await refusal(url=f"{base_url}/a.png", base_url=base_url)

    assert "127.0.0.1: the answer broke off or is not HTTP (R" in said


@IN_REAL_TIME
async def test_nobody_listening_is_told(unused_port: int) -> None:
    base_url = f"http://127.0.0.1:{unused_port}"

    assert "127.0.0.1: no connection (" in await refusal(url=f"{base_url}/a", base_url=base_url)


@IN_REAL_TIME
async def test_a_connection_is_closed_when_the_caller_leaves_or_the_sink_fails() -> None:
    gone = [anyio.Event(), anyio.Event()]
    waiting = iter(gone)

    async def talk(stream: anyio.abc.ByteStream) -> None:
        await stream.receive()
        await stream.send(OK + b"Content-Length: 9\r\n\r\nPNG")
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()
        next(waiting).set()

    async with served(talk) as port:
        base_url = f"http://127.0.0.1:{port}"
        with anyio.CancelScope() as caller:

            async def leave(chunk: bytes) -> None:
                caller.cancel()

            await Fetcher(base_url).fetch(f"{base_url}/a.png", leave, LIMIT_SECONDS)
        assert caller.cancelled_caught
        with anyio.fail_after(LIMIT_SECONDS):
            await gone[0].wait()

        async def full(chunk: bytes) -> None:
            raise OSError(28, "No space left")

        with pytest.raises(OSError, match="No space left"):
            await Fetcher(base_url).fetch(f"{base_url}/a.png", full, LIMIT_SECONDS)
        with anyio.fail_after(LIMIT_SECONDS):
            await gone[1].wait()


# Certificates and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate") / "images.pem")


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Detour(httpx.AsyncBaseTransport):
    """The real network, except that every address is this machine."""

    def __init__(self, certificate: Certificate, port: int) -> None:
        trust = ssl.create_default_context(cafile=certificate.path)
        self._network = httpx.AsyncHTTPTransport(verify=trust)
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await self._network.handle_async_request(request)

    async def aclose(self) -> None:
        await self._network.aclose()


@IN_REAL_TIME
async def test_a_certificate_is_checked_for_the_name_although_an_address_is_asked(
    certificate: Certificate,
) -> None:
    image = saying(OK + b"Content-Length: 3\r\n\r\nPNG")
    async with (
        served(image, certificate.server()) as port,
        aclosing(Detour(certificate, port)) as network,
    ):
        assert await fetched(network) == b"PNG"
        for url in ("https://other.example/a.png", f"https://{PUBLIC}/a.png"):
            said = await refusal(network, url)
            assert "CERTIFICATE_VERIFY_FAILED" in said


@IN_REAL_TIME
async def test_a_broken_tls_record_is_a_broken_answer(certificate: Certificate) -> None:
    async def talk(stream: anyio.abc.ByteStream) -> None:
        assert isinstance(stream, TLSStream)
        await stream.receive()
        await stream.send(OK + b"Content-Length: 9\r\n\r\nPNG")
        await stream.transport_stream.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with suppress(anyio.EndOfStream):
            await stream.transport_stream.receive()

    async with (
        served(talk, certificate.server()) as port,
        aclosing(Detour(certificate, port)) as network,
    ):
        assert "the answer broke off or is not HTTP (SSLError)." in await refusal(network)


@asynccontextmanager
async def proxied(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[ForwardProxy, int]]:
    """A proxy before a server of images.example, and its port."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    image = saying(OK + b"Content-Length: 3\r\n\r\nPNG")
    async with served(image, certificate.server()) as far:
        proxy = ForwardProxy(far)
        async with served(proxy, tls) as port:
            yield proxy, port


@IN_REAL_TIME
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_proxy_of_the_environment_is_asked_and_looks_up_what_is_unknown_here(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    async with proxied(certificate, monkeypatch) as (proxy, port):
        monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{port}")
        for names in (Names([]), Names([PUBLIC])):
            assert await fetched(names=names) == b"PNG"

    assert proxy.asked == [b"CONNECT images.example:443 HTTP/1.1"] * 2


@IN_REAL_TIME
async def test_a_proxy_that_is_asked_over_tls_proves_itself_too(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(certificate, monkeypatch, certificate.server()) as (proxy, port):
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{port}")
        assert await fetched() == b"PNG"
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{port}")
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal()

    assert proxy.asked == [b"CONNECT images.example:443 HTTP/1.1"]


@IN_REAL_TIME
async def test_a_proxy_is_no_way_into_its_network(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(certificate, monkeypatch) as (proxy, port):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        for host in ("10.0.0.1", "[::1]", "2130706433", "localhost", "intranet", "a.internal"):
            await refusal(url=f"https://{host}/a.png", names=Names([]))
        await refusal(names=Names(["10.0.0.1"]))
        assert "CERTIFICATE" in await refusal(url="https://other.example/", names=Names([]))

    assert proxy.asked == [b"CONNECT other.example:443 HTTP/1.1"]


@IN_REAL_TIME
async def test_a_name_the_proxy_is_not_for_is_asked_directly(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    monkeypatch.setenv("NO_PROXY", "images.example")
    network = Network()

    await fetched(network)
    assert "there is no such host" in await refusal(Network(), names=Names([]))

    assert network.sent[0].url.host == PUBLIC


@IN_REAL_TIME
@pytest.mark.parametrize(
    "proxy",
    [
        *("socks5://user:secret@127.0.0.1:1", "ftp://127.0.0.1:1", "http://user:secret", "http://"),
        *("http://127.0.0.1:99999", "http://[::1", "://", "http://:3128"),
    ],
)
async def test_a_broken_proxy_setting_is_told_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    said = await refusal()

    assert "this environment's proxy is not one that can be used. Correct HTTPS_PROXY" in said
    assert "secret" not in said


@IN_REAL_TIME
async def test_a_proxy_that_is_down_or_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    assert "images.example: no connection (" in await refusal()

    async with served(saying(b"HTTP/1.1 407 Who are you\r\n\r\n")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert "no connection (407 Who are you)." in await refusal()


@IN_REAL_TIME
async def test_certificates_that_cannot_be_loaded_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----")
    for path in (tmp_path / "none.pem", broken):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert "Correct SSL_CERT_FILE" in await refusal()
