"""What is answered without the SDK is what the SDK's server answers, and nothing else is."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import combinations, product
from typing import Any, cast

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from runapi_mcp.base.catalog import VARIANTS, Variant, select
from runapi_mcp.base.json_values import Json
from runapi_mcp.base.settings import Key
from runapi_mcp.front.exchange import HANDSHAKE_VERSIONS, LISTS, MODERN_VERSION, Exchange
from runapi_mcp.front.snapshot import Snapshot
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.server import Keys, create_server
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.replay import Replay
from runapi_mcp.transports.stdio import Messages
from tests.support.virtual_time import BACKEND
from tests.support.world import service_on

pytestmark = pytest.mark.anyio

TIERS = ("pro", "flex", "max", "klein")
CHOICES = [tiers for count in range(1, 5) for tiers in combinations(TIERS, count)]
CLIENT = {"name": "a host", "version": "1"}
META = "io.modelcontextprotocol/"
NOTHING: Json = {}


@asynccontextmanager
async def real_server(
    variants: Sequence[Variant] = VARIANTS, *, saves: bool | None = None, gives_tasks: bool = True
) -> AsyncGenerator[Server[Any]]:
    upstream = RunAPI("https://runapi.ai", httpx.MockTransport(lambda _: httpx.Response(500)))
    async with aclosing(upstream), aclosing(SqliteLedger.in_memory(lambda: 0.0)) as ledger:
        pictures: Mapping[str, Any] = {"saves": saves, "gives_tasks": gives_tasks}
        service = service_on(upstream, Keys(Key(None)), ledger, **pictures)
        yield create_server(service, variants, saves=saves is not False)


class Host:
    """The lines of a host, each when all is quiet or at once after the one before; and answers."""

    def __init__(self, lines: Sequence[str], replay: Replay, *, waits: bool = True) -> None:
        self._lines = iter(lines)
        self._replay = replay
        self._waits = waits
        self.heard: list[Json] = []

    async def read_line(self) -> str:
        if self._waits:
            await anyio.wait_all_tasks_blocked()
        line = next(self._lines, "")
        if not line:
            await anyio.wait_all_tasks_blocked()
        return line

    async def send(self, item: SessionMessage) -> None:
        if not self._replay.is_answered_by(item):
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            self.heard.append(json.loads(text))

    async def aclose(self) -> None:
        pass


async def heard_without(
    lines: Sequence[str], opening: Sequence[Json] = (), *, waits: bool = True, **server: Any
) -> list[Json]:
    """What the SDK's server says to these lines."""
    replay = Replay(opening)
    host = Host(lines, replay, waits=waits)
    async with real_server(**server) as serving:
        with anyio.fail_after(120):
            await converse(serving, Messages(host.read_line, replay.messages), host)
    return host.heard


async def heard_with(
    exchange: Exchange, lines: Sequence[str], *, waits: bool = True, **server: Any
) -> list[Json]:
    """What is said where the SDK's server comes in when it is needed."""
    heard, rest = answered(exchange, lines)
    return heard + (await heard_without(rest, exchange.opening, waits=waits, **server))


def answered(exchange: Exchange, lines: Sequence[str]) -> tuple[list[Json], Sequence[str]]:
    """What is answered at once, and from where on nothing is."""
    heard: list[Json] = []
    for number, line in enumerate(lines):
        answer = exchange.answer(line.encode())
        if answer is None:
            return heard, lines[number:]
        heard += [json.loads(answer)] if answer else []
    return heard, ()


def snapshot(
    names: Sequence[str] | None = None, *, saves: bool = True, gives_tasks: bool = True
) -> Snapshot:
    return Snapshot(names, saves=saves, gives_tasks=gives_tasks)


def line_of(**members: object) -> str:
    return json.dumps({"jsonrpc": "2.0", **members}) + "\n"


def meta_of(**more: object) -> Json:
    pair = {f"{META}protocolVersion": MODERN_VERSION, f"{META}clientCapabilities": NOTHING}
    return {**pair, f"{META}clientInfo": CLIENT, **more}


def initialize(version: object, request_id: object = 0, **more: object) -> str:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT, **more}
    return line_of(id=request_id, method="initialize", params=params)


INITIALIZED = line_of(method="notifications/initialized")


def all_questions(version: str) -> list[str]:
    """Everything that is answered in a version, with ids of every kind."""
    if version == MODERN_VERSION:
        methods, params = ["server/discover", *sorted(LISTS)], {"_meta": meta_of(progressToken="p")}
    else:
        methods, params = [*sorted(LISTS), "ping"], {}
    ids = ["a", 7, "7", "", 2**53 - 1, -1, "\u00e9\U0001f98a", '"\\\n']
    asked = [line_of(id=i, method=m, params=params) for i, m in zip(ids, methods, strict=False)]
    paged = line_of(id="page", method="tools/list", params={**params, "cursor": "2"})
    opening = [] if version == MODERN_VERSION else [initialize(version, "first"), INITIALIZED]
    return [*opening, *asked, paged]


@pytest.mark.parametrize("version", [*HANDSHAKE_VERSIONS, MODERN_VERSION])
@pytest.mark.parametrize(("saves", "gives_tasks"), [*product((None, False), (True, False))])
async def test_every_answer_is_the_servers_own_and_none_needs_the_server(
    *, version: str, saves: bool | None, gives_tasks: bool
) -> None:
    written = snapshot(saves=saves is not False, gives_tasks=gives_tasks)
    lines = all_questions(version)
    heard, rest = answered(Exchange(written), lines)
    assert (len(rest), heard) == (
        0,
        await heard_without(lines, saves=saves, gives_tasks=gives_tasks),
    )


@pytest.mark.parametrize("version", [HANDSHAKE_VERSIONS[-1], MODERN_VERSION])
@pytest.mark.parametrize("saves", [True, False])
async def test_it_is_so_for_every_choice_of_tiers(*, version: str, saves: bool) -> None:
    lines = all_questions(version)
    for tiers in CHOICES:
        heard, rest = answered(Exchange(snapshot([*map(str.upper, tiers)], saves=saves)), lines)
        assert not rest
        assert heard == await heard_without(lines, variants=select(tiers), saves=saves)


@pytest.mark.parametrize(
    "names", [["flux-2-max-remix-image"], ["pro", "flux_2_max_remix_image"], ["ultra"], []]
)
def test_what_is_not_written_down_is_not_answered(names: list[str]) -> None:
    assert not snapshot(names).is_usable


def test_the_versions_are_those_of_the_sdk() -> None:
    assert HANDSHAKE_VERSIONS == HANDSHAKE_PROTOCOL_VERSIONS
    assert (MODERN_VERSION,) == MODERN_PROTOCOL_VERSIONS


ODD = {
    "an id of a half": '{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n',
    "an id of 1.0": '{"jsonrpc":"2.0","id":1.0,"method":"ping"}\n',
    "an id of minus nothing": '{"jsonrpc":"2.0","id":-0.0,"method":"ping"}\n',
    "an id of true": '{"jsonrpc":"2.0","id":true,"method":"ping"}\n',
    "an id of null": '{"jsonrpc":"2.0","id":null,"method":"ping"}\n',
    "a huge id": '{"jsonrpc":"2.0","id":9007199254740993000,"method":"ping"}\n',
    "half an emoji": '{"jsonrpc":"2.0","id":"\\ud83e","method":"ping"}\n',
    "a byte order mark": '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
    "a batch": '[{"jsonrpc":"2.0","id":1,"method":"ping"}]\n',
    "another JSON-RPC": '{"jsonrpc":"1.0","id":1,"method":"ping"}\n',
    "no JSON": '{"jsonrpc":"2.0","id":1,"method":"ping"\n',
    "a number": "1\n",
    "params of null": '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}\n',
    "PHP's params": '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}\n',
    "a strange member": '{"jsonrpc":"2.0","id":1,"method":"ping","more":1}\n',
    "a cursor of 1": '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":1}}\n',
    "a token of null": line_of(id=1, method="ping", params={"_meta": {"progressToken": None}}),
    "the other era": line_of(id=1, method="tools/list", params={"_meta": meta_of()}),
    "the other era's own": line_of(id=1, method="server/discover"),
    "a second handshake": initialize("2025-06-18", 1),
    "a strange notification": line_of(method="notifications/strange"),
    "a cancelling": line_of(method="notifications/cancelled", params={"requestId": 9}),
    "an answer": '{"jsonrpc":"2.0","id":1,"result":{}}\n',
    "a method nobody knows": line_of(id=1, method="tools/lost"),
    "a list with an address": line_of(id=1, method="resources/list"),
    "a line's end in the middle": '{"jsonrpc":"2.0",\r"id":1,"method":"ping"}\n',
    "more than is read of a number": f'{{"jsonrpc":"2.0","id":{"9" * 5000},"method":"ping"}}\n',
    "something deep": f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{"[" * 9000}\n',
}
ODD_OPENINGS = {
    "a list before the handshake": line_of(id=1, method="tools/list"),
    "a sign of life before it": line_of(id=1, method="ping"),
    "its last word before it": INITIALIZED,
    "an unknown version": initialize("2099-01-01"),
    "a version of no handshake": initialize(MODERN_VERSION),
    "a version of 1": initialize(1),
    "no client": initialize("2025-06-18", clientInfo=None),
    "a client without a version": initialize("2025-06-18", clientInfo={"name": "x"}),
    "a client with more": initialize("2025-06-18", clientInfo={**CLIENT, "icons": [NOTHING]}),
    "PHP's capabilities": initialize("2025-06-18", capabilities=[]),
    "PHP's roots": initialize("2025-06-18", capabilities={"roots": []}),
    "roots of true": initialize("2025-06-18", capabilities={"roots": True}),
    "roots that are a word": initialize("2025-06-18", capabilities={"roots": {"listChanged": "x"}}),
    "a future version": line_of(
        id=1, method="tools/list", params={"_meta": meta_of(**{f"{META}protocolVersion": "2099"})}
    ),
    "no capabilities": line_of(
        id=1, method="tools/list", params={"_meta": {f"{META}protocolVersion": MODERN_VERSION}}
    ),
    "no era": line_of(id=1, method="server/discover"),
    "a sign of life of 2026": line_of(id=1, method="ping", params={"_meta": meta_of()}),
    "a handshake of 2026": initialize("2025-06-18", _meta=meta_of()),
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
async def test_what_is_odd_is_the_servers_to_answer(line: str) -> None:
    lines = [initialize("2025-06-18"), INITIALIZED, line, line_of(id=2, method="tools/list")]
    exchange = Exchange(snapshot())
    assert len(answered(exchange, lines)[1]) == 2
    assert await heard_with(Exchange(snapshot()), lines) == await heard_without(lines)


@pytest.mark.parametrize("line", ODD_OPENINGS.values(), ids=ODD_OPENINGS)
async def test_an_odd_opening_is_the_servers_to_answer(line: str) -> None:
    lines = [line, initialize("2025-11-25", 3), line_of(id=4, method="prompts/list")]
    assert answered(Exchange(snapshot()), lines) == ([], lines)
    assert await heard_with(Exchange(snapshot()), lines) == await heard_without(lines)


HOSTS: Mapping[str, Json] = {
    "Claude Code": {"roots": {}, "elicitation": {"form": {}, "url": {}}},
    "Cursor": {
        "tools": True,
        "prompts": True,
        "resources": True,
        "logging": False,
        "elicitation": {"form": {}},
        "roots": {"listChanged": False},
    },
    "Codex": {"elicitation": {}},
    "Inspector": {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}},
    "VS Code": {
        "roots": {"listChanged": True},
        "sampling": {},
        "elicitation": {"form": {}, "url": {}},
        "tasks": {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}},
        "extensions": {f"{META}ui": {"mimeTypes": ["text/html;profile=mcp-app"]}},
    },
    "a plain one": {},
}


@pytest.mark.parametrize("version", HANDSHAKE_VERSIONS)
@pytest.mark.parametrize("capabilities", HOSTS.values(), ids=HOSTS)
async def test_what_hosts_say_of_themselves_is_understood(version: str, capabilities: Json) -> None:
    named = {**CLIENT, "title": "A host", "websiteUrl": "https://example.com", "description": "x"}
    lines = [initialize(version, capabilities=capabilities, clientInfo=named)]
    heard, rest = answered(Exchange(snapshot()), lines)
    assert (rest, heard) == ((), await heard_without(lines))


JSON: SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.just(1.5) | st.sampled_from(["", "x"]),
    lambda inside: (
        st.lists(inside, max_size=2)
        | st.dictionaries(st.sampled_from(["form", "list", "requests", "x"]), inside, max_size=2)
    ),
    max_leaves=4,
)
NAMES = ["roots", "sampling", "elicitation", "experimental", "extensions", "tasks", "tools"]
ROOTS = st.fixed_dictionaries({}, optional={"listChanged": JSON})
OBJECTS = st.dictionaries(st.sampled_from(["form", "list", "requests"]), st.just(NOTHING) | JSON)
CAPABILITIES = st.dictionaries(st.sampled_from(NAMES), ROOTS | OBJECTS | JSON, max_size=3)
CLIENTS = st.just(CLIENT) | st.fixed_dictionaries(
    {"name": st.just("x"), "version": st.just("1")},
    optional={"title": JSON, "websiteUrl": JSON, "icons": JSON, "more": JSON},
)
TOKENS = st.fixed_dictionaries({}, optional={"progressToken": JSON})
METHODS = st.sampled_from(
    [*sorted(LISTS), "ping", "server/discover", "resources/list", "prompts/get", "initialize"]
)


def optional_params(meta: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={"_meta": meta, "cursor": st.just("x") | JSON})


@st.composite
def modern_meta(draw: st.DrawFn) -> Json:
    meta = meta_of(**draw(TOKENS))
    meta[f"{META}clientCapabilities"] = draw(CAPABILITIES)
    meta[f"{META}clientInfo"] = draw(CLIENTS)
    return {name: meta[name] for name in meta if draw(st.integers(0, 9))}


@st.composite
def handshakes(draw: st.DrawFn) -> Json:
    params: Json = {
        "protocolVersion": draw(st.sampled_from([*HANDSHAKE_VERSIONS, MODERN_VERSION, "1"])),
        "capabilities": draw(st.sampled_from([*HOSTS.values()]) | CAPABILITIES),
        "clientInfo": draw(st.just(CLIENT) | CLIENTS),
    }
    return {"method": "initialize", "params": params}


def requests(params: SearchStrategy[Any]) -> SearchStrategy[Json]:
    with_params = st.fixed_dictionaries({"method": METHODS}, optional={"params": params})
    return cast("SearchStrategy[Json]", with_params)


def asking(*params: Json) -> SearchStrategy[Json]:
    """What honest hosts ask at the start."""
    methods = st.sampled_from([*sorted(LISTS), "ping", "server/discover"])
    asked = st.fixed_dictionaries({"method": methods, "params": st.sampled_from(params)})
    return cast("SearchStrategy[Json]", asked)


NOTIFICATIONS = st.fixed_dictionaries(
    {"method": st.sampled_from(["notifications/initialized", "notifications/roots/list_changed"])},
    optional={"params": st.just(NOTHING) | JSON},
)
IDS = st.integers(0, 2) | st.sampled_from(["0", "a"])


@st.composite
def conversations(draw: st.DrawFn, *, has_unique_ids: bool) -> list[str]:
    """A host that may be an honest one of an era, or anything."""
    plain = asking(NOTHING, {"_meta": {"progressToken": 1}}) | requests(optional_params(TOKENS))
    modern = asking({"_meta": meta_of()}) | requests(optional_params(modern_meta()))
    era = draw(st.sampled_from([plain, modern, plain | modern]))
    opening = draw(st.lists(handshakes(), max_size=1)) if era is not modern else []
    messages = opening + draw(st.lists(era | NOTIFICATIONS, max_size=6))
    return [
        line_of(**_with_id(message, number if has_unique_ids else draw(IDS)))
        for number, message in enumerate(messages)
    ]


def _with_id(message: Mapping[str, object], request_id: object) -> Json:
    is_request = not cast("str", message["method"]).startswith("notifications/")
    return {"id": request_id, **message} if is_request else {**message}


@settings(max_examples=300)
@given(conversations(has_unique_ids=False))
def test_any_conversation_is_the_same_with_and_without(lines: list[str]) -> None:
    heard = run(partial(heard_with, Exchange(snapshot()), lines))
    assert heard == run(partial(heard_without, lines))


@settings(max_examples=100)
@given(conversations(has_unique_ids=True))
def test_all_at_once_it_is_the_same_in_some_order(lines: list[str]) -> None:
    heard = run(partial(heard_with, Exchange(snapshot()), lines, waits=False))
    without = run(partial(heard_without, lines, waits=False))
    assert ordered(heard) == ordered(without)


def run(talk: Callable[[], Awaitable[list[Json]]]) -> list[Json]:
    """What is heard, in virtual time."""
    name, options = BACKEND
    return anyio.run(talk, backend=name, backend_options={**options})


def ordered(heard: Sequence[Json]) -> list[str]:
    return sorted(map(json.dumps, heard))
