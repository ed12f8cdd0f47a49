"""Whatever strangers and hosts send, what is meant for the server is answered, and nothing else."""

import json
from collections import Counter
from io import BytesIO, TextIOWrapper
from typing import Final
from urllib.parse import urlsplit

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse
from starlette.responses import Response
from starlette.types import Message

from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.http_checks import HeadCheck
from runapi_mcp.transports.stdio import Messages
from tests.support.processes import cancellation, opening, request
from tests.support.telling_server import telling_server
from tests.support.world import ERAS

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2]),
        "id": st.integers(1_000) | st.text("x", min_size=1) | JSON_VALUES.map(lambda x: [x]),
        "method": st.sampled_from(["tools/list", "initialize", "tools/call", "ping"]) | JSON_VALUES,
        "params": JSON_VALUES,
        "result": JSON_VALUES,
        "error": JSON_VALUES,
    },
)
NOISE = (
    st.binary()
    | st.sampled_from(
        [b"\xff\xfe", b"[" * 5_000, b"\0", b'{"jsonrpc":"2.0","id":', b"\xed\xa0\xbd"]
    )
    | (JSON_VALUES | MESSAGES).map(lambda value: json.dumps(value).encode())
    | st.integers(1, 9).map(lambda number: cancellation(number + 5_000).encode())
)


class Answers:
    """A stdout, and the ids of what was answered there."""

    def __init__(self) -> None:
        self.ids: list[object] = []

    async def send(self, item: SessionMessage) -> None:
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.ids.append(item.message.id)

    async def aclose(self) -> None:
        """Nothing."""


async def answered(lines: list[bytes]) -> list[object]:
    """The ids of all answers, in a conversation of these lines."""
    stdin = TextIOWrapper(BytesIO(b"\n".join(lines)), "utf-8", errors="replace")

    async def read_line() -> str:
        return stdin.readline()

    answers = Answers()
    await converse(telling_server(lambda _: None), Messages(read_line), answers)
    return answers.ids


@given(era=st.sampled_from(ERAS), noise=st.lists(NOISE, max_size=6))
@settings(max_examples=60)
def test_among_any_lines_each_request_is_answered_once(era: str, noise: list[bytes]) -> None:
    lines = [line.encode() for line in opening(era)]
    for number, between in enumerate(noise, 1):
        lines += [between, request(number, "tools/list", era).encode()]
    counts = Counter(map(str, anyio.run(answered, lines)))
    assert [counts[str(number)] for number in range(len(noise) + 1)] == [1] * (len(noise) + 1)


NAMES: Final = ["localhost", "127.0.0.1", "[::1]", "draw.example"]
PIECES = [
    "evil.example",
    ":",
    ":80",
    ":0",
    ":65536",
    "@",
    "/",
    "\\",
    "#",
    "?",
    ".",
    " ",
    "%2e",
    "[",
]
AUTHORITIES = (
    st.lists(st.sampled_from([*NAMES, *PIECES]), max_size=4).map("".join)
    | st.builds("{}:{}".format, st.sampled_from(NAMES), st.integers(-1, 70_000))
    | st.text(st.characters(max_codepoint=255))
)
ORIGINS = st.builds(
    "{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", "null", "", "//"]),
    AUTHORITIES,
)


async def status_of(*headers: tuple[str, str]) -> int:
    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": raw}
    await HeadCheck(Response("in"), ["Draw.Example"])(scope, receive, send)
    return sent[0]["status"]


def is_ours(address: str) -> bool:
    """Whether another reader of addresses takes it for this server's name alone, with any port."""
    parsed = urlsplit(address)
    name = f"[{parsed.hostname}]" if ":" in (parsed.hostname or "") else parsed.hostname
    is_bare = not (parsed.path or parsed.query or parsed.fragment or "@" in parsed.netloc)
    return name in NAMES and is_bare and parsed.port != 0


@given(authority=AUTHORITIES)
@settings(max_examples=300)
def test_a_host_is_let_in_only_as_this_servers_own_name(authority: str) -> None:
    status = anyio.run(status_of, ("host", authority))
    assert status in (200, 421)
    assert status == 421 or is_ours(f"http://{authority}")


@given(origin=ORIGINS)
@settings(max_examples=300)
def test_an_origin_is_let_in_only_as_this_servers_own_page(origin: str) -> None:
    status = anyio.run(status_of, ("host", "localhost"), ("origin", origin))
    assert status in (200, 403)
    assert status == 403 or is_ours(origin)
