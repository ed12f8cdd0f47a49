"""What the server answers at the start, for whoever answers in its place: see runapi_mcp/front."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cache
from itertools import combinations, product
from typing import Any, Final

import anyio
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage

from publishing.project import Project
from runapi_mcp.base import settings
from runapi_mcp.base.catalog import VARIANTS, select, tiers_of
from runapi_mcp.cli.composition import ledger_of, service_of, shared_state_of
from runapi_mcp.front.exchange import HANDSHAKE_VERSIONS, LISTS, MODERN_VERSION
from runapi_mcp.front.snapshot import FILE, MARKS, SAVED, TASKS, era_of
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.server import Keys, create_server
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.stdio import Messages

Found = dict[str, Any]  # Any: JSON as the protocol has it

_CLIENT: Final = {"name": "publishing", "version": "1"}
_META: Final[Mapping[str, object]] = {
    "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_TIERS: Final = [tier.name for tier in tiers_of(VARIANTS)]


def files(project: Project) -> Mapping[str, str]:
    return {f"runapi_mcp/front/{FILE}": _text()}


@cache
def _text() -> str:
    """A line for each answer, and for each part of one that depends on more."""
    return "".join(f"{key}\t{text}\n" for key, text in anyio.run(_lines).items())


async def _lines() -> Mapping[str, str]:
    lines = {"tiers": " ".join(_TIERS)}
    for saves, gives_tasks in product(SAVED, TASKS):
        for version in (*HANDSHAKE_VERSIONS, MODERN_VERSION):
            found = await _asked(version, _TIERS, saves=saves, gives_tasks=gives_tasks)
            for key, text in _parts(found, version, SAVED[saves], TASKS[gives_tasks]):
                _add(lines, key, text)
    for saves, tiers in product(SAVED, _offers()):
        found = await _asked(HANDSHAKE_VERSIONS[-1], tiers, saves=saves)
        offer = f"{SAVED[saves]} {'+'.join(tiers)}"
        _add(lines, f"instructions {offer}", as_line(found["initialize"]["instructions"]))
        names = [tool["name"] for tool in found["tools/list"]["tools"]]
        _add(lines, f"tools {offer}", " ".join(names))
    return lines


def _parts(
    found: Mapping[str, Found], version: str, saved: str, tasks: str
) -> Iterator[tuple[str, str]]:
    """The answers, and what of them a mark stands for."""
    for method, result in found.items():
        marked = {name: json.loads(mark) for name, mark in MARKS.items() if name in result}
        yield f"answer {tasks} {version} {method}", as_line({**result, **marked})
        for tool in result.get("tools", ()):
            yield f"tool {saved} {era_of(version)} {tool['name']}", as_line(tool)


def _add(lines: dict[str, str], key: str, text: str) -> None:
    """
    Raises:
        ValueError: what is answered depends on more than its key says.
    """
    if lines.setdefault(key, text) != text:
        raise ValueError(f"{key} depends on more than is written down")


def _offers() -> Iterator[Sequence[str]]:
    """Every choice of tiers, each in catalogue order."""
    for count in range(1, len(_TIERS) + 1):
        yield from combinations(_TIERS, count)


async def _asked(
    version: str, tiers: Sequence[str], *, saves: bool, gives_tasks: bool = True
) -> Mapping[str, Found]:
    """The results of what is asked at the start, by method."""
    environ = {
        "HOME": "/nowhere",
        "RUNAPI_LEDGER": "off",
        "RUNAPI_MCP_TASKS": str(int(gives_tasks)),
        "RUNAPI_SAVE": str(int(saves)),
        "RUNAPI_VARIANTS": ",".join(tiers),
    }
    async with _server(settings.load(environ)) as server:
        return await _results(server, version)


@asynccontextmanager
async def _server(loaded: settings.Settings) -> AsyncGenerator[Server[Any]]:
    async with aclosing(ledger_of(loaded)) as ledger, aclosing(RunAPI(loaded.base_url)) as upstream:
        shared = shared_state_of(loaded, ledger)
        service = service_of(loaded, upstream, shared, Keys(loaded.key), None)
        variants = select(loaded.variants or ())
        yield create_server(service, variants, saves=loaded.pictures.save is not False)


async def _results(server: Server[Any], version: str) -> Mapping[str, Found]:
    methods = [_opening(version), *sorted(LISTS)] + ["ping"] * (version in HANDSHAKE_VERSIONS)
    host = _Host([_request(method, version) for method in methods])
    await converse(server, Messages(host.read_line), host)
    return dict(zip(methods, host.results, strict=True))


def _opening(version: str) -> str:
    return "server/discover" if version == MODERN_VERSION else "initialize"


def _request(method: str, version: str) -> str:
    params: Found = {"_meta": _META} if version == MODERN_VERSION else {}
    if method == "initialize":
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": _CLIENT}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


class _Host:
    """A host that asks one thing after the other."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = iter(lines)
        self._answered = anyio.Event()
        self._answered.set()
        self.results: list[Found] = []

    async def read_line(self) -> str:
        await self._answered.wait()
        self._answered = anyio.Event()
        return next(self._lines, "")

    async def send(self, item: SessionMessage) -> None:
        sent = json.loads(item.message.model_dump_json(by_alias=True, exclude_unset=True))
        self.results.append(sent["result"])
        self._answered.set()

    async def aclose(self) -> None:
        """Nothing: it has heard all it asked for."""


def as_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
