"""A person at a browser, and a RunAPI, for the tests of logging in. In real time: sockets are."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import httpx

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.login.login_flow import LoggedIn, Login, open_login
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from tests.support.processes import LIMIT_SECONDS
from tests.support.world import BASE_URL, Wire

HOURS: Final = 3600.0
GOOD_KEY: Final = "sk-0123456789"

Decided = Mapping[str, str]
"""The query that RunAPI sends the browser back with."""


def key_file() -> KeyFile:
    """The config file of the home that a test has for itself."""
    return KeyFile.of()


def config() -> dict[str, object]:
    """What the config file says; nothing, when there is none."""
    path: Path = key_file().path
    return json.loads(path.read_text()) if path.exists() else {}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the address that waits for the browser."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def title(self) -> str:
        return self.text.partition("<h1>")[2].partition("</h1>")[0]


class Browser:
    """A browser that is shown an address, and what a person does there."""

    def __init__(self, address: str) -> None:
        self.asked = dict(parse_qsl(urlsplit(address).query))
        self.port = int(self.asked["redirect_port"])

    async def comes_back(
        self,
        query: Decided | None = None,
        path: str = "/callback",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Ask the address that waits; the state is the right one unless another is given."""
        fields = {"state": self.asked["state"], **(query or {})}
        async with httpx.AsyncClient(timeout=LIMIT_SECONDS) as http:
            url = f"http://127.0.0.1:{self.port}{path}?{urlencode(fields)}"
            answer = await http.request(method, url, headers=dict(headers or {}))
        return Answered(answer.status_code, answer.text, answer.headers)

    async def says(self, raw: bytes) -> bytes:
        """All that comes back for these bytes, until the connection ends."""
        heard = b""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            await stream.send(raw)
            try:
                async for chunk in stream:
                    heard += chunk
            except anyio.BrokenResourceError:
                pass
        return heard


async def decide(sandbox: Sandbox, address: str, decision: str) -> dict[str, str]:
    """What the sandbox sends the browser back with, once a person has pressed that button."""
    fields = {**Browser(address).asked, "decision": decision}
    transport = httpx.ASGITransport(app=sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as http:
        assert (await http.get(address)).status_code == 200
        answer = await http.post("/cli/authorize", data=fields)
    assert answer.status_code == 303
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


class Waiting:
    """A login under way, its browser, and how it ended."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self.browser = Browser(login.address)
        self._end: LoggedIn | Failure | None = None
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, seconds: float) -> None:
        with self._scope:
            try:
                self._end = await self.login.complete(seconds)
            except Failure as failure:
                self._end = failure
            self._ended.set()

    def stop(self) -> None:
        """What Ctrl-C does."""
        self._scope.cancel()

    @property
    def goes_on(self) -> bool:
        return not self._ended.is_set()

    async def end(self) -> LoggedIn | Failure:
        """How it ended, once it has."""
        with anyio.fail_after(LIMIT_SECONDS):
            await self._ended.wait()
        assert self._end is not None
        return self._end


@asynccontextmanager
async def waiting(
    transport: httpx.AsyncBaseTransport, base_url: str = BASE_URL, seconds: float = HOURS
) -> AsyncGenerator[Waiting]:
    """A login that waits for its browser, on a RunAPI behind this transport."""
    async with (
        aclosing(RunAPI(base_url, transport)) as upstream,
        open_login(upstream, key_file()) as login,
        anyio.create_task_group() as group,
    ):
        made = Waiting(login)
        group.start_soon(made.run, seconds)
        yield made
        group.cancel_scope.cancel()


@asynccontextmanager
async def waiting_on(sandbox: Sandbox) -> AsyncGenerator[Waiting]:
    """A login that waits for its browser, on this sandbox."""
    async with waiting(Wire(sandbox)) as made:
        yield made


def runapi_that(
    exchange: Callable[[httpx.Request], httpx.Response], balance_status: int = 200
) -> httpx.MockTransport:
    """A RunAPI that answers the exchange so, and then the question for the balance."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/cli/exchange":
            return exchange(request)
        return httpx.Response(balance_status, json={"balance_cents": 1000})

    return httpx.MockTransport(answer)
