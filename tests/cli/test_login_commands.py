"""`runapi-mcp login` and `logout` as a person types them."""

import json
import os
import stat
import subprocess
import sys
from typing import Any

import anyio
import pytest

from runapi_mcp.cli.desktop import has_browser
from tests.support.install_world import TYPED
from tests.support.login_world import GOOD_KEY, Browser, config, decide, key_file
from tests.support.processes import Program, finished, network, opening, program, request
from tests.support.world import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def saved(entries: dict[str, object]) -> None:
    """The config file with these entries."""
    key_file().path.parent.mkdir(parents=True, exist_ok=True)
    key_file().path.write_text(json.dumps(entries))


async def shown(running: Program) -> Browser:
    """The browser at the address that the command shows."""
    await running.stdout.holding("This waits for five minutes; Ctrl-C ends it.")
    line = await running.stdout.holding("/cli/authorize?")
    browser = Browser(line.strip())
    assert await running.stdout.holding("Code: ") == f"  Code: {browser.asked['display_code']}"
    return browser


async def test_login_shows_the_address_and_the_code_and_saves_the_key() -> None:
    saved({"base_url": "https://runapi.ai"})
    async with network() as net:
        environment = {"RUNAPI_BASE_URL": net.base_url}
        async with program("login", "--no-browser", environment=environment) as running:
            browser = await shown(running)
            address = f"{net.base_url}/cli/authorize?"
            line = await running.stdout.holding(address)
            await browser.comes_back(await decide(net.sandbox, line.strip(), "approve"))
            await running.stdout.holding("Logged in as sandbox@example.com; the balance is $10.00.")
            await running.stdout.holding(f"The key is in {key_file().path}")
            assert await running.end() == 0
    assert set(config()) == {"base_url", "api_key"}
    assert str(config()["api_key"]) not in "".join(running.stdout.seen + running.stderr.seen)
    if sys.platform != "win32":
        assert stat.S_IMODE(key_file().path.stat().st_mode) == 0o600


async def test_over_ssh_two_ways_are_named_and_no_browser_is_started() -> None:
    async with network() as net:
        environment = {
            "RUNAPI_BASE_URL": net.base_url,
            "SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22",
            "DISPLAY": ":0",
            "BROWSER": f"{sys.executable} -c print('A-BROWSER-CAME') %s",
        }
        async with program("login", environment=environment) as running:
            port = (await shown(running)).port
            await running.stdout.holding(f"ssh -N -L {port}:127.0.0.1:{port} ")
            await running.stdout.holding(f"`{TYPED} login --key -`")
            assert not any("A-BROWSER-CAME" in line for line in running.stdout.seen)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
@pytest.mark.parametrize(
    ("environment", "has"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"BROWSER": "firefox"}, True),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}, False),
        ({"BROWSER": "w3m", "SSH_TTY": "/dev/pts/0"}, False),
    ],
)
def test_a_browser_that_the_person_would_not_see_is_none(
    environment: dict[str, str],
    has: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert has_browser(environment) == has


async def test_a_browser_is_opened_where_there_is_one() -> None:
    async with network() as net:
        environment = {
            "RUNAPI_BASE_URL": net.base_url,
            "BROWSER": f"{sys.executable} -c 'import sys;print(sys.argv)' %s",
        }
        async with program("login", environment=environment) as running:
            await shown(running)
            await running.stdout.holding("['-c', 'http://127.0.0.1:")
            assert not any("ssh" in line for line in running.stdout.seen)


async def test_a_denied_login_is_a_failure_in_a_sentence() -> None:
    async with network() as net:
        environment = {"RUNAPI_BASE_URL": net.base_url}
        async with program("login", "--no-browser", environment=environment) as running:
            browser = await shown(running)
            await browser.comes_back({"error": "access_denied"})
            denied = "runapi-mcp: The login was denied in the browser. Nothing was saved."
            await running.stderr.holding(denied)
            assert await running.end() == 2
    assert running.stderr.seen == [denied]
    assert config() == {}


def piped(text: bytes, base_url: str) -> subprocess.CompletedProcess[str]:
    """`runapi-mcp login --key -` with this on its standard input."""
    return finished("login", "--key", "-", environment={"RUNAPI_BASE_URL": base_url}, stdin=text)


@pytest.mark.parametrize("text", [f"{KEY}\n", f"\ufeff{KEY}\r\n", f"  {KEY}"])
async def test_a_key_from_standard_input_is_checked_and_saved(text: str) -> None:
    saved({"a": 1})
    async with network() as net:
        ended = await anyio.to_thread.run_sync(piped, text.encode(), net.base_url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "The key works; the balance is $10.00.",
        f"The key is in {key_file().path}",
    ]
    assert config() == {"a": 1, "api_key": KEY}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "Standard input holds no API key."),
        (b"two words", "Standard input holds something that is not an API key."),
        (b"\xff\xfes\x00k\x00", "Standard input holds something that is not an API key."),
        (b"k" * 5000, "Standard input holds something that is not an API key."),
        (b"sk-not-of-the-sandbox", "RunAPI's sandbox did not accept the API key"),
    ],
)
async def test_what_is_no_key_or_is_rejected_is_not_saved(text: bytes, sentence: str) -> None:
    saved({"api_key": "the-old-one"})
    async with network() as net:
        ended = await anyio.to_thread.run_sync(piped, text, net.base_url)
    said = ended.stderr
    assert ended.returncode == 2
    assert sentence in said
    assert "Nothing was saved." in said
    assert "sk-not" not in said
    assert config() == {"api_key": "the-old-one"}


def test_a_key_on_the_command_line_is_refused_and_not_repeated() -> None:
    for arguments in (
        ["--key", GOOD_KEY],
        [f"--key={GOOD_KEY}"],
        [GOOD_KEY],
        ["--key", "-", GOOD_KEY],
    ):
        ended = finished("login", *arguments)
        assert ended.returncode == 2
        assert "A key on the command line can be seen by others" in ended.stderr
        assert GOOD_KEY not in ended.stderr + ended.stdout
    assert config() == {}


def test_logout_removes_the_key_and_nothing_else() -> None:
    saved({"api_key": KEY, "apiKey": "older", "base_url": "https://runapi.ai"})
    ended = finished("logout")
    assert ended.stdout.splitlines() == [
        f"The key is removed from {key_file().path}",
        "It works until you delete it at https://runapi.ai.",
    ]
    assert (ended.returncode, ended.stderr) == (0, "")
    assert config() == {"base_url": "https://runapi.ai"}
    again = finished("logout")
    assert again.stdout == f"No key was saved in {key_file().path}\n"


def test_logout_says_that_the_environment_still_has_a_key() -> None:
    saved({"api_key": KEY})
    ended = finished("logout", environment={"RUNAPI_KEY": GOOD_KEY})
    assert ended.stderr == "RUNAPI_KEY is set in this environment and still provides a key.\n"
    assert GOOD_KEY not in ended.stdout


async def test_login_says_that_a_key_of_the_environment_comes_first() -> None:
    async with network() as net:
        os.environ["RUNAPI_API_KEY"] = GOOD_KEY
        try:
            ended = await anyio.to_thread.run_sync(piped, KEY.encode(), net.base_url)
        finally:
            del os.environ["RUNAPI_API_KEY"]
    assert config() == {"api_key": KEY}
    assert "RUNAPI_API_KEY is set in this environment and comes first" in ended.stderr


def test_logout_leaves_a_broken_file_alone() -> None:
    key_file().path.parent.mkdir(parents=True)
    key_file().path.write_text('{"api_key": sk-0123456789')
    ended = finished("logout")
    assert ended.returncode == 2
    assert "is not valid JSON" in ended.stderr
    assert "sk-0" not in ended.stderr
    assert key_file().path.read_text() == '{"api_key": sk-0123456789'


# The address that a key is for.


async def answers(running: Program, *tools: tuple[str, dict[str, object]]) -> list[dict[str, Any]]:
    """What a server's tools answer, one after the other."""
    await running.write(*opening("auto"))
    answered: list[dict[str, Any]] = []
    for number, (name, arguments) in enumerate(tools, 1):
        await running.write(request(number, "tools/call", "auto", name=name, arguments=arguments))
        answered.append(await running.answer(number))
    return answered


ELSEWHERE = "https://draw.invalid"


async def test_login_keeps_the_address_with_the_key_and_a_server_uses_both() -> None:
    saved({"baseUrl": "https://old.example", "apiKey": "the-old-one", "a": 1})
    async with network() as net:
        ended = await anyio.to_thread.run_sync(
            lambda: finished(
                "login", "--key", "-", "--base-url", f"{net.base_url}/", stdin=KEY.encode()
            )
        )
        assert ended.returncode == 0, ended.stderr
        assert config() == {"a": 1, "base_url": net.base_url, "api_key": KEY}
        async with program() as running:
            [balance] = await answers(running, ("check_balance", {}))
            assert not balance["isError"]


async def test_a_login_through_the_browser_keeps_the_address_too() -> None:
    async with network() as net:
        async with program("login", "--no-browser", "--base-url", net.base_url) as running:
            browser = await shown(running)
            address = next(line for line in running.stdout.seen if "/cli/authorize?" in line)
            await browser.comes_back(await decide(net.sandbox, address.strip(), "approve"))
            assert await running.end() == 0
        assert config()["base_url"] == net.base_url


async def test_a_login_elsewhere_takes_the_kept_address_along() -> None:
    saved({"api_key": "the-old-one", "base_url": ELSEWHERE})
    async with network() as net:
        await anyio.to_thread.run_sync(piped, KEY.encode(), net.base_url)
        assert config() == {"api_key": KEY, "base_url": net.base_url}


@pytest.mark.parametrize("arguments", [[], ["--no-browser"], ["--key", "-"]])
def test_nobody_is_asked_at_an_address_that_the_environment_alone_names(
    arguments: list[str],
) -> None:
    given = {"RUNAPI_BASE_URL": ELSEWHERE}
    ended = finished("login", *arguments, environment=given, stdin=KEY.encode())
    assert (ended.returncode, config()) == (2, {})
    assert f"A login at {ELSEWHERE} would have no effect" in ended.stderr
    assert f"`{TYPED} login --base-url {ELSEWHERE}`" in ended.stderr


@pytest.mark.parametrize("url", ["ftp://a.example", "runapi.ai", "https://a@b", "https://a b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    ended = finished("login", "--base-url", url)
    assert (ended.returncode, config()) == (2, {})
    assert "is not an http(s) address" in ended.stderr


async def test_a_server_at_another_address_lists_and_prices_and_sends_no_key() -> None:
    saved({"api_key": KEY})
    async with program(environment={"RUNAPI_BASE_URL": ELSEWHERE}) as running:
        prices, *refused = await answers(
            running,
            ("check_pricing", {}),
            ("check_balance", {}),
            ("flux_2_pro_text_to_image", {"prompt": "a fox"}),
            ("login", {}),
        )
    assert not prices["isError"]
    for each in refused:
        assert f"`runapi-mcp login --base-url {ELSEWHERE}`" in str(each["content"])
        assert KEY not in str(each)


def test_a_task_is_not_asked_for_with_a_key_of_another_address() -> None:
    saved({"api_key": KEY})
    ended = finished(
        "tasks", "8e7a1d1c-6f3a-4a57-9d0b-2f6f6a3c1e55", environment={"RUNAPI_BASE_URL": ELSEWHERE}
    )
    assert ended.returncode == 2
    assert f"is not sent to {ELSEWHERE}" in ended.stderr
