"""The limits of a login on time and size, in virtual time: RunAPI and browsers that do not end."""

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, cast

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from runapi_mcp.base.errors import ProviderDown, Unreachable
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.login.listener import LARGEST_HEAD_BYTES, READ_SECONDS, receive_request, write_page
from runapi_mcp.login.login_flow import KeyKeeper, NotLoggedIn
from runapi_mcp.login.pages import NOTHING_HERE
from runapi_mcp.providers.port import IssuedKey, LoginGrant
from runapi_mcp.providers.runapi import RunAPI
from tests.support.login_world import GOOD_KEY, config, key_file

pytestmark = pytest.mark.anyio
GRANT = LoginGrant("the code", "the verifier", 1234, "a machine")


async def asked(
    answer: Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]],
) -> IssuedKey:
    """What comes of the exchange with a RunAPI that answers so."""
    async with aclosing(RunAPI("https://runapi.ai", httpx.MockTransport(answer))) as upstream:
        return await upstream.exchange(GRANT)


async def test_an_exchange_that_hangs_ends_in_fifteen_seconds() -> None:
    async def hangs(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(Unreachable):
        await asked(hangs)
    assert anyio.current_time() == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize(
    "junk",
    [
        httpx.Response(201, content=b"<html>welcome</html>"),
        httpx.Response(201, content=b'["sk-0123456789"]'),
        httpx.Response(201, content=b"{" * 100_000),
        httpx.Response(201, content=b'{"key": "' + b"k" * 5_000_000),
        httpx.Response(200, content=b""),
        httpx.Response(502, content=b"<html>nginx</html>"),
    ],
)
async def test_junk_is_a_failure_that_shows_nothing_of_it(junk: httpx.Response) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(junk.status_code, content=junk.content)

    with pytest.raises(ProviderDown) as failure:
        await asked(answer)
    assert not {"html", "sk-0", "kkk"} & set(str(failure.value).split())
    assert anyio.current_time() < 15


async def test_an_exchange_is_repeated_while_runapi_is_down() -> None:
    answers = [httpx.Response(503), httpx.Response(201, json={"key": GOOD_KEY})]

    async def answer(_: httpx.Request) -> httpx.Response:
        return answers.pop(0)

    assert (await asked(answer)).key.reveal() == GOOD_KEY


async def test_a_key_that_nobody_can_check_is_not_saved() -> None:
    async def refuses(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    async with aclosing(RunAPI("https://runapi.ai", httpx.MockTransport(refuses))) as upstream:
        with pytest.raises(NotLoggedIn, match=r"RunAPI did not answer.*Nothing was saved"):
            await KeyKeeper(upstream, key_file(), None).keep(Key(SecretStr(GOOD_KEY)))
    assert config() == {}


class Trickle:
    """A connection that says a byte a second, for ever, and takes nothing."""

    async def receive(self, _: int) -> bytes:
        await anyio.sleep(1)
        return b"G"

    async def send(self, _: bytes) -> None:
        await anyio.sleep_forever()


class Flood:
    """A connection that sends without end and at once."""

    sent = 0

    async def receive(self, most: int) -> bytes:
        self.sent += most
        return b"a" * most


async def test_a_request_that_trickles_is_given_up() -> None:
    assert await receive_request(cast("SocketStream", Trickle())) is None
    assert anyio.current_time() == READ_SECONDS


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    await write_page(cast("SocketStream", Trickle()), NOTHING_HERE, "https://runapi.ai")
    assert anyio.current_time() == pytest.approx(5)


async def test_a_request_without_end_is_given_up_when_it_is_too_large() -> None:
    flood = Flood()
    assert await receive_request(cast("SocketStream", flood)) is None
    assert flood.sent < LARGEST_HEAD_BYTES + 8192
