"""Logging in through a browser: who gets in, who does not, and what everybody else is told."""

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from html import unescape

import anyio
import httpx
import pytest

from runapi_mcp.base.errors import Failure, NotConfigured
from runapi_mcp.login.listener import MOST_OPEN, READ_SECONDS
from runapi_mcp.login.login_flow import LETTERS, Attempt, LoggedIn, open_login
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from tests.support.login_world import (
    GOOD_KEY,
    LIMIT_SECONDS,
    Answered,
    Waiting,
    config,
    decide,
    key_file,
    runapi_that,
    waiting,
    waiting_on,
)

pytestmark = pytest.mark.anyio

NOT_OURS = "This is not the login that waits here"
NOBODY_THERE = (OSError, httpx.TransportError)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


async def approved(made: Waiting, sandbox: Sandbox) -> Answered:
    """What the browser shows once a person has approved."""
    return await made.browser.comes_back(await decide(sandbox, made.login.address, "approve"))


def gives(body: object, status: int = 201) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, json=body)


async def test_an_approved_login_saves_a_key_that_works_and_says_whose(sandbox: Sandbox) -> None:
    key_file().path.parent.mkdir(parents=True)
    key_file().path.write_text('{"base_url": "http://127.0.0.1"}')
    async with waiting_on(sandbox) as made:
        page = await approved(made, sandbox)
        assert await made.end() == LoggedIn("sandbox@example.com", 1000)
    assert (page.status, page.title) == (200, "You are logged in")
    assert f"runapi-mcp on {made.login.hostname} is logged in as sandbox@example.com" in page.text
    key = str(config().pop("api_key"))
    assert config() == {"base_url": "http://127.0.0.1", "api_key": key}
    assert key.startswith("sandbox-")
    assert key not in page.text
    with pytest.raises(NOBODY_THERE):
        await made.browser.comes_back({"code": "again"})


async def test_a_denied_login_saves_nothing(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        back = await decide(sandbox, made.login.address, "deny")
        page = await made.browser.comes_back(back)
        end = str(await made.end())
    assert (page.status, page.title) == (200, "Nothing was allowed")
    assert end == "The login was denied in the browser. Nothing was saved."
    assert config() == {}


async def test_runapis_own_reason_is_shown_escaped_and_on_one_line(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        page = await made.browser.comes_back(
            {
                "error": "server_error",
                "error_description": "<script>alert(1)</script>\n\x1b[31mred.",
            }
        )
        end = str(await made.end())
    assert page.title == "The login did not work"
    assert "<script>" not in page.text
    reason = '"<script>alert(1)</script> [31mred."'
    said = f"RunAPI ended the login (RunAPI says: {reason})."
    assert end == f"{said} Nothing was saved. Log in again."


async def test_the_address_tells_the_state_and_the_challenge_and_no_secret() -> None:
    attempt, other = Attempt.new(), Attempt.new()
    address = attempt.address("https://runapi.ai", 1234, "my machine")
    assert attempt.verifier not in address
    assert f"state={attempt.state}&" in address
    assert address.endswith(f"display_code={attempt.display_code}&hostname=my+machine")
    assert len({attempt.state, attempt.verifier, other.state, other.verifier}) == 4
    assert {len(attempt.state), len(attempt.verifier)} == {43}
    first, _, last = attempt.display_code.partition("-")
    assert len(first) == len(last) == 4
    assert {*first, *last} <= set(LETTERS)
    assert attempt.verifier not in repr(attempt)
    assert attempt.state not in repr(attempt)


FORGED = [
    {"state": "forged", "code": "attackers"},
    {"state": "", "code": "attackers"},
    {"state": "é" * 43, "code": "attackers"},
    {"state": "x", "error": "access_denied"},
    {"code": ""},
    {"code": "x" * 4097},
    {"code": "a", "error": "b"},
    {},
    {"code": "c", **{f"f{number}": "" for number in range(20)}},
]


async def test_what_is_not_runapis_answer_changes_nothing(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        for query in FORGED:
            page = await made.browser.comes_back(query)
            assert (page.status, page.title) == (400, NOT_OURS), query
        twice = f"/callback?state={made.browser.asked['state']}&code=a&code=b"
        host = f"Host: 127.0.0.1:{made.login.port}"
        answer = await made.browser.says(f"GET {twice} HTTP/1.1\r\n{host}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert made.goes_on
        assert (await approved(made, sandbox)).title == "You are logged in"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/callback/", 404),
        ("GET", "//callback", 404),
        ("POST", "/callback", 404),
        ("HEAD", "/callback", 404),
        ("OPTIONS", "/callback", 404),
    ],
)
async def test_other_requests_find_nothing(
    method: str, path: str, status: int, sandbox: Sandbox
) -> None:
    async with waiting_on(sandbox) as made:
        answer = await made.browser.comes_back({"code": "a code"}, path, method)
        assert answer.status == status
        assert made.goes_on


HOSTS = ["evil.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]


@pytest.mark.parametrize("host", HOSTS)
async def test_another_host_is_not_answered_for(host: str, sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        headers = {"Host": host.format(port=made.login.port)}
        answer = await made.browser.comes_back({"code": "a code"}, headers=headers)
        assert (answer.status, answer.title) == (421, "This address is not answered")
        assert made.goes_on


async def test_of_two_hosts_none_is_believed(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        hosts = f"Host: evil.example\r\nhost: 127.0.0.1:{made.login.port}"
        path = f"/callback?state={made.browser.asked['state']}&code=a"
        for headers in (hosts, "\r\n".join(reversed(hosts.split("\r\n")))):
            answer = await made.browser.says(f"GET {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 421 ")
        assert made.goes_on


async def test_only_runapis_own_page_may_ask_across_origins(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        asks = {"Origin": "http://127.0.0.1", "Access-Control-Request-Private-Network": "true"}
        allowed = await made.browser.comes_back(method="OPTIONS", headers=asks)
        refused = await made.browser.comes_back(
            method="OPTIONS", headers={**asks, "Origin": "https://evil.example"}
        )
        assert (allowed.status, refused.status) == (200, 404)
        origin = "access-control-allow-origin"
        assert allowed.headers[origin] == refused.headers[origin] == "http://127.0.0.1"
        assert allowed.headers["access-control-allow-private-network"] == "true"
        assert "access-control-allow-private-network" not in refused.headers
        assert made.goes_on


async def test_a_second_request_is_told_that_the_login_is_over(sandbox: Sandbox) -> None:
    came, goes_on = anyio.Event(), anyio.Event()

    async def exchange(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/v1/cli/exchange":
            return httpx.Response(200, json={"balance_cents": 1})
        came.set()
        await goes_on.wait()
        return httpx.Response(201, json={"key": GOOD_KEY})

    answers: list[Answered] = []
    async with waiting(httpx.MockTransport(exchange)) as made, anyio.create_task_group() as group:

        async def first() -> None:
            answers.append(await made.browser.comes_back({"code": "the code"}))

        group.start_soon(first)
        await came.wait()
        answers.append(await made.browser.comes_back({"code": "the code"}))
        goes_on.set()
        await made.end()
    assert [answer.title for answer in answers] == ["This login is over", "You are logged in"]
    assert answers[0].status == 409
    assert config() == {"api_key": GOOD_KEY}


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"GET /callback\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"\r\n\r\n",
        b"A" * 20_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000,
        b"GET / HTTP/1.1\r\n" + b"Host: 127.0.0.1\r\n" * 2 + b"\r\n",
        bytes(range(256)) * 4 + b"\r\n\r\n",
    ],
)
async def test_noise_is_survived(noise: bytes, sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        with anyio.move_on_after(0.3):
            heard = await made.browser.says(noise)
            assert b"200" not in heard[:16]
        assert made.goes_on
        assert (await approved(made, sandbox)).title == "You are logged in"


async def test_connections_that_say_nothing_keep_nobody_out(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made, AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", made.login.port))
            for _ in range(MOST_OPEN + 8)
        ]
        for stream in silent:
            await stream.send(b"GET /callback?")
        # The oldest goes long before its own time is over.
        with anyio.fail_after(0.9 * READ_SECONDS), pytest.raises(anyio.EndOfStream):
            await silent[0].receive()
        assert (await approved(made, sandbox)).title == "You are logged in"


async def test_a_browser_that_leaves_after_the_answer_loses_nothing(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        code = (await decide(sandbox, made.login.address, "approve"))["code"]
        path = f"/callback?state={made.browser.asked['state']}&code={code}"
        stream = await anyio.connect_tcp("127.0.0.1", made.login.port)
        host = f"Host: 127.0.0.1:{made.login.port}"
        await stream.send(f"GET {path} HTTP/1.1\r\n{host}\r\n\r\n".encode())
        await stream.aclose()
        assert isinstance(await made.end(), LoggedIn)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (
            {"error": "Code expired"},
            400,
            'RunAPI refused the request (RunAPI says: "Code expired")',
        ),
        ({"error": "Invalid API key"}, 401, "HTTP 401"),
        ({"error": "gone"}, 404, 'RunAPI refused the request (RunAPI says: "gone")'),
        ({"error": "used"}, 409, "HTTP 409"),
    ],
)
async def test_an_exchange_that_is_refused_saves_nothing_and_says_why(
    body: object, status: int, sentence: str
) -> None:
    async with waiting(runapi_that(gives(body, status))) as made:
        page = await made.browser.comes_back({"code": "a code"})
        end = str(await made.end())
    assert end == f"RunAPI gave no key for this login: {sentence}. Nothing was saved. Log in again."
    assert (page.status, page.title) == (502, "The login did not work")
    assert sentence in unescape(page.text)
    assert config() == {}


@pytest.mark.parametrize(
    "key",
    [
        "sk-0123\n456789",
        'sk-0123"\r\nX-Evil: 1',
        "sk 0123456789",
        "short",
        "",
        None,
        12345678901,
        ["sk-0123456789"],
        "schlüssel-0123",
        "${RUNAPI_API_KEY}",
    ],
)
async def test_what_is_no_key_is_not_saved(key: object) -> None:
    async with waiting(runapi_that(gives({"key": key}))) as made:
        await made.browser.comes_back({"code": "a code"})
        end = str(await made.end())
    said = "What RunAPI gave for this login is no API key. Nothing was saved. Log in again."
    assert end == said
    assert config() == {}


@pytest.mark.parametrize(
    "user", [None, "me", {"email": 3}, {"email": "<b>\x1b[2J@x.y"}, {"email": ""}]
)
async def test_whose_key_it_is_may_be_unknown_or_odd(user: object) -> None:
    async with waiting(runapi_that(gives({"key": f" {GOOD_KEY}\n", "user": user}))) as made:
        page = await made.browser.comes_back({"code": "a code"})
        assert isinstance(await made.end(), LoggedIn)
    assert page.title == "You are logged in"
    assert "<b>" not in page.text
    assert "\x1b" not in page.text
    assert config() == {"api_key": GOOD_KEY}


async def test_a_key_that_runapi_rejects_is_not_saved() -> None:
    async with waiting(runapi_that(gives({"key": GOOD_KEY}), balance_status=401)) as made:
        page = await made.browser.comes_back({"code": "a code"})
        end = str(await made.end())
    said = "RunAPI did not accept the API key (HTTP 401). Nothing was saved."
    assert end == f"{said} Keys are at https://runapi.ai."
    assert GOOD_KEY not in page.text + end
    assert config() == {}


async def test_a_file_that_breaks_meanwhile_is_left_and_said(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as made:
        key_file().path.write_text("{mine")
        page = await approved(made, sandbox)
        end = str(await made.end())
    assert "config.json is not valid JSON" in end
    assert page.title == "The login did not work"
    assert key_file().path.read_text() == "{mine"


async def test_nobody_is_bothered_when_no_key_could_be_saved(sandbox: Sandbox) -> None:
    key_file().path.parent.mkdir(parents=True)
    key_file().path.write_text("{mine")
    with pytest.raises(NotConfigured, match="is not valid JSON"):
        async with waiting_on(sandbox):
            pass


@pytest.mark.parametrize("base_url", ["http://runapi.ai", "http://127.0.0.1.evil.example"])
async def test_no_key_travels_unprotected(base_url: str) -> None:
    with pytest.raises(NotConfigured, match="neither https nor this machine"):
        async with open_login(RunAPI(base_url), key_file()):
            pass


async def test_a_login_that_nobody_approves_ends(sandbox: Sandbox) -> None:
    async with waiting(httpx.MockTransport(gives({})), seconds=0.05) as made:
        end = str(await made.end())
    assert end.startswith("Nobody approved the login within ")
    assert config() == {}
    with pytest.raises(NOBODY_THERE):
        await made.browser.comes_back({"code": "late"})


async def test_a_login_that_is_cancelled_half_way_saves_nothing_and_listens_no_more() -> None:
    came = anyio.Event()

    async def hangs(_: httpx.Request) -> httpx.Response:
        came.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with waiting(httpx.MockTransport(hangs)) as made, anyio.create_task_group() as group:

        async def browse() -> None:
            with pytest.raises(NOBODY_THERE):
                await made.browser.comes_back({"code": "a code"})

        group.start_soon(browse)
        with anyio.fail_after(LIMIT_SECONDS):
            await came.wait()
        made.stop()
    assert config() == {}
    with pytest.raises(NOBODY_THERE):
        await made.browser.comes_back({"code": "late"})


async def test_two_logins_at_once_do_not_take_each_others_answer(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as one, waiting_on(sandbox) as other:
        back = await decide(sandbox, one.login.address, "approve")
        assert (await other.browser.comes_back(back)).title == NOT_OURS
        # Even with the right state, the code belongs to the other challenge.
        injected = await other.browser.comes_back({"code": back["code"]})
        assert injected.title == "The login did not work"
        assert isinstance(await other.end(), Failure)
        assert config() == {}


async def test_a_code_of_another_account_does_not_get_in(sandbox: Sandbox) -> None:
    async with waiting_on(sandbox) as attackers, waiting_on(sandbox) as victims:
        code = (await decide(sandbox, attackers.login.address, "approve"))["code"]
        page = await victims.browser.comes_back({"code": code})
        assert page.title == "The login did not work"
        assert "redirect_port is not the one of this login" in str(await victims.end())


async def test_the_exchange_is_asked_as_the_contract_says() -> None:
    asked: list[httpx.Request] = []

    def exchange(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(201, json={"key": GOOD_KEY})

    async with waiting(runapi_that(exchange)) as made:
        await made.browser.comes_back({"code": "the code"})
        await made.end()
    (request,) = asked
    body = json.loads(request.content)
    assert body.pop("code_verifier") not in made.login.address
    assert body == {"code": "the code", "redirect_port": made.login.port}
    assert request.headers["x-cli-hostname"] == made.login.hostname
    assert "authorization" not in request.headers
