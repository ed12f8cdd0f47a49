"""Where RunAPI wants a file put is an address from outside: only a safe one is gone to."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from runapi_mcp.base.errors import HttpAnswer, ProviderFailure
from runapi_mcp.providers.runapi import RunAPI
from tests.support.world import MADE_UP_KEY, call_answered, public_name, said

pytestmark = pytest.mark.anyio

RUNAPI, SANDBOX = "https://runapi.ai", "http://127.0.0.1:8700"
STORAGE = "https://storage.example/put?signature=a%2Fb"
FILE_URL = "https://runapi.ai/files/1"


class Endless(httpx.AsyncByteStream):
    """A body without end: how much of it was read, and whether it was closed."""

    def __init__(self) -> None:
        self.read, self.closed = 0, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.read += 1
            yield b"x" * 65_536

    async def aclose(self) -> None:
        self.closed = True


class Once(httpx.AsyncByteStream):
    """A body in one piece, which httpx has not unpacked on the way."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


@dataclass
class Internet(httpx.AsyncBaseTransport):
    """RunAPI, which names a place for the file, and all that could be reached beside it."""

    place: str
    headers: Mapping[str, object] = field(default_factory=dict[str, object])
    stored: httpx.Response = field(default_factory=lambda: httpx.Response(204))
    puts: list[httpx.Request] = field(default_factory=list[httpx.Request])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.puts.append(request)
            return self.stored
        named = {"signed_id": "s", "upload_url": self.place, "headers": self.headers}
        return httpx.Response(200, json={**named, "url": FILE_URL})

    async def upload(self, base_url: str = RUNAPI, found: Sequence[str] = ()) -> str:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return found or await public_name(host, port)

        provider = RunAPI(base_url, self, resolve).provider(MADE_UP_KEY)
        return (await provider.upload("a.png", b"the file", "image/png")).url


@pytest.mark.parametrize(
    ("place", "found", "base_url"),
    [
        ("http://storage.example/put", [], RUNAPI),
        ("http://127.0.0.1/put", [], RUNAPI),
        ("http://127.0.0.1:8700/put", [], RUNAPI),
        ("http://127.0.0.1:8701/put", [], SANDBOX),
        ("http://localhost:8700/put", [], SANDBOX),
        ("https://127.0.0.1:8700/put", [], SANDBOX),
        ("https://127.0.0.1/put", [], RUNAPI),
        ("https://[::1]/put", [], RUNAPI),
        ("https://10.0.0.1/put", [], RUNAPI),
        ("https://169.254.169.254/latest/meta-data", [], RUNAPI),
        ("https://2130706433/put", [], RUNAPI),
        ("https://printer.local/put", [], RUNAPI),
        ("https://storage.example/put", ["192.168.0.1"], RUNAPI),
        ("https://storage.example/put", ["93.184.215.14", "127.0.0.1"], RUNAPI),
        ("https://ada:secret@storage.example/put", [], RUNAPI),
        ("https://storage.example:0/put", [], RUNAPI),
        ("file:///etc/passwd", [], RUNAPI),
    ],
)
async def test_an_unsafe_place_for_a_file_is_not_gone_to(
    place: str, found: Sequence[str], base_url: str
) -> None:
    internet = Internet(place)
    with pytest.raises(ProviderFailure, match="The file could not be sent to"):
        await internet.upload(base_url, found)
    assert internet.puts == []


async def test_a_file_goes_to_the_very_address_that_was_checked() -> None:
    internet = Internet(STORAGE)
    assert await internet.upload(found=["93.184.215.14"]) == FILE_URL
    [put] = internet.puts
    assert (put.url.host, put.headers["host"]) == ("93.184.215.14", "storage.example")
    assert put.extensions["sni_hostname"] == "storage.example"
    assert put.url.raw_path == b"/put?signature=a%2Fb"
    assert put.read() == b"the file"


async def test_a_sandbox_on_this_machine_takes_files_itself() -> None:
    internet = Internet(f"{SANDBOX}/uploads/1")
    assert await internet.upload(SANDBOX) == FILE_URL
    assert [str(put.url) for put in internet.puts] == [f"{SANDBOX}/uploads/1"]


async def test_only_the_headers_that_stores_sign_go_with_a_file() -> None:
    signed = {
        "Content-Type": "image/png",
        "Content-MD5": "m",
        "Content-Disposition": "inline",
        "x-amz-meta-a": "1",
        "X-Goog-Acl": "private",
        "x-ms-blob-type": "BlockBlob",
    }
    others = {
        "Host": "inside.example",
        "Authorization": "Bearer theirs",
        "Cookie": "a=b",
        "Transfer-Encoding": "chunked",
        "Content-Length": "1",
        "Connection": "upgrade",
        "Expect": "100-continue",
        "X-Forwarded-For": "127.0.0.1",
        "Metadata-Flavor": "Google",
    }
    internet = Internet(STORAGE, {**others, **signed})
    await internet.upload()
    [put] = internet.puts
    assert {name: put.headers[name] for name in signed} == signed
    own = {"host", "content-length", "accept", "accept-encoding", "user-agent"}
    assert set(put.headers) == {name.lower() for name in signed} | own
    assert (put.headers["host"], put.headers["content-length"]) == ("storage.example", "8")


@pytest.mark.parametrize("status", [200, 403])
async def test_of_what_the_storage_answers_nothing_is_read(status: int) -> None:
    body = Endless()
    internet = Internet(STORAGE, stored=httpx.Response(status, stream=body))
    if status == 200:
        await internet.upload()
    else:
        with pytest.raises(ProviderFailure, match="refused the file"):
            await internet.upload()
    assert (body.read, body.closed) == (0, True)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 429, 500, 503])
async def test_what_the_storage_says_of_itself_is_not_taken_for_runapis(status: int) -> None:
    key, task_id = MADE_UP_KEY.reveal(), "9b2f8f8e-7d1c-4b7e-8a54-0c4a7f3c1d2e"
    told = {
        "X-Request-Id": f"storage-{key}",
        "X-RunAPI-Task-Id": task_id,
        "Location": f"/api/v1/tasks/{task_id}",
        "Retry-After": "30",
        "X-RunAPI-Sandbox": "1",
    }
    internet = Internet(STORAGE, stored=httpx.Response(status, headers=told))
    with pytest.raises(ProviderFailure) as caught:
        await internet.upload()
    assert str(caught.value) == (
        f"The upload address refused the file (HTTP {status}). Try again in a minute."
    )
    assert caught.value.answer == HttpAnswer(status)


async def test_a_file_follows_no_redirect() -> None:
    elsewhere = httpx.Response(307, headers={"Location": "https://other.example/"})
    internet = Internet(STORAGE, stored=elsewhere)
    with pytest.raises(ProviderFailure, match="refused the file"):
        await internet.upload()
    assert len(internet.puts) == 1


BOMB = gzip.compress(b" " * 60_000_000)


@pytest.mark.parametrize(
    ("encoding", "content", "words"),
    [
        pytest.param("gzip", BOMB, "does not end", id="gzip"),
        pytest.param("GZIP", BOMB, "does not end", id="GZIP"),
        pytest.param("", b" " * 4_000_001, "does not end", id="plain"),
        pytest.param("gzip, gzip", gzip.compress(BOMB), "could not be read", id="twice"),
        *(
            pytest.param(encoding, b"not so packed", "could not be read", id=encoding)
            for encoding in ("gzip", "deflate", "br", "nonsense")
        ),
    ],
)
async def test_an_answer_is_bounded_unpacked(encoding: str, content: bytes, words: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Once(content))

    tracemalloc.start()
    try:
        result = await call_answered(answer, "check_balance", {})
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert words in said(result)


async def test_an_answer_may_come_packed_once() -> None:
    packed = gzip.compress(b'{"balance_cents": 7}')

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Once(packed))

    assert "7" in said(await call_answered(answer, "check_balance", {}))
