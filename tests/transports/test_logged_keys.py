"""Whatever is logged while a request is served shows nothing of its key, however odd that is."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.redaction import HIDDEN
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.cli.log_lines import LONGEST_LINE, LineFormatter
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, create_server
from runapi_mcp.transports.http_answers import AnswerMiddleware
from runapi_mcp.transports.http_app import http_app
from tests.base.test_redaction import forms, gives_away
from tests.support.processes import call, opening
from tests.support.world import BASE_URL, Pass, Sent, Wire, clock, served, service_on
from tests.transports.test_strangers import Site, modern, under_way

pytestmark = pytest.mark.anyio

Way = Callable[[Site, str], Awaitable[None]]
ODD: Final = r'sandbox-."walrus/k\9}:tusk'
"""A key that no shape gives away."""
DRAW: Final = "flux_2_pro_text_to_image"


@dataclass
class Log(logging.Handler):
    """What would be on stderr."""

    lines: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def logged() -> Generator[list[str]]:
    log = Log()
    logging.getLogger().addHandler(log)
    try:
        yield log.lines
    finally:
        logging.getLogger().removeHandler(log)


def saying(form: str) -> Wire:
    """A network that breaks as nobody foresaw once a task is looked at, and says this."""
    wire = Wire(Sandbox(draw_seconds=0))

    async def meddle(sent: Sent, go_on: Pass) -> httpx.Response:
        if sent.method == "GET" and sent.path.startswith("/api/v1/flux_2/"):
            raise RuntimeError(f"a bug at <{form}>")
        return await go_on()

    wire.meddle = meddle
    return wire


@asynccontextmanager
async def breaking_site(form: str) -> AsyncGenerator[Site]:
    keys = Keys(Key(SecretStr("the server's own")), "brought")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(aclosing(RunAPI(BASE_URL, saying(form))))
        ledger = await stack.enter_async_context(aclosing(SqliteLedger.in_memory(clock)))
        service = service_on(upstream, keys, ledger)
        await stack.enter_async_context(service.shared.background.running())
        app = http_app(create_server(service, VARIANTS), [], needs_key=True)
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield Site(app)


async def by_itself(there: Site, authorization: str) -> None:
    visit = there.ask(call(1, "auto", "a fox"), *modern("tools/call", DRAW), key=authorization)
    assert (await visit.run()).status == 200, visit.text


async def in_a_session(there: Site, authorization: str) -> None:
    session = (await there.open(authorization)).session
    visit = there.ask(call(1, "legacy", "a fox"), key=authorization, session=session)
    assert (await visit.run()).status == 200, visit.text


async def over_sse(there: Site, authorization: str) -> None:
    events = there.ask(method="GET", path="/sse", key=authorization)
    async with under_way(events):
        for line in (*opening("legacy"), call(1, "legacy", "a fox")):
            await there.ask(line, key=authorization, **events.endpoint).run()
        await anyio.sleep(300)


@pytest.mark.parametrize("form", forms(ODD))
@pytest.mark.parametrize("way", [by_itself, in_a_session, over_sse])
async def test_a_callers_key_is_hidden_in_every_form(way: Way, form: str) -> None:
    with logged() as lines:
        async with breaking_site(forms(ODD)[form]) as there:
            await way(there, f"Bearer {ODD}")
    assert any("RuntimeError: a bug at <" in line for line in lines), lines
    assert not [line for line in lines if gives_away(line, ODD)]


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {ODD}", f"bearer   {ODD} ", f"Basic {ODD}", f"Odd {ODD}", ODD, f"Digest a={ODD}"],
)
async def test_so_is_what_is_sent_in_the_place_of_a_key(authorization: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        logging.getLogger("any").error("headers %r", scope["headers"])
        await Response("served")(scope, receive, send)

    with logged() as lines:
        assert (await Site(AnswerMiddleware(app)).ask(key=authorization).run()).status == 200
    assert [line for line in lines if HIDDEN in line]
    assert not [line for line in lines if gives_away(line, ODD)]


async def test_a_key_that_a_login_brought_after_the_start_is_hidden_too() -> None:
    found = [Key(None)]
    keys = Keys(Key(None), look=lambda: found[0])
    with logged() as lines:
        async with served(RunAPI(BASE_URL, saying(ODD)), keys) as client:
            found[0] = Key(SecretStr(ODD))
            await client.call_tool(DRAW, {"prompt": "a fox"})
    assert any(HIDDEN in line for line in lines)
    assert not [line for line in lines if ODD in line]


@pytest.mark.parametrize("before", range(LONGEST_LINE // 2 - 60, LONGEST_LINE // 2 + 10))
def test_no_half_of_a_key_is_left_where_a_line_is_cut(before: int) -> None:
    text = f"{'x ' * (before // 2)}{ODD}{' y' * LONGEST_LINE}"
    record = logging.makeLogRecord({"msg": "%s", "args": (text,), "name": "odd"})
    line = LineFormatter([ODD]).format(record)
    assert not [word for word in ("sandbox-.", "walrus", "tusk") if word in line]
