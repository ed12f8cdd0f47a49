"""The command line: what it answers, what it refuses, what it loads, and where a key comes from."""

import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from runapi_mcp import __version__
from runapi_mcp.base.catalog import VARIANTS
from tests.support.processes import (
    QUICK,
    SIGNALS,
    Program,
    call,
    finished,
    network,
    opening,
    program,
    request,
)

pytestmark = pytest.mark.anyio

READERS = ["get_task", "list_tasks", "check_pricing", "check_balance", "convert_image", "login"]
HOW_TO_GET_A_KEY = (
    "Call login, or run `runapi-mcp login`; or create a key at https://runapi.ai and set it as "
    "RUNAPI_API_KEY in the server's environment. RUNAPI_SANDBOX=1 needs none."
)
TELL_IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}
NOT_BY_AN_IDLE_SERVER = {"mcp", "pydantic", "anyio", "asyncio", "click", "dataclasses", "logging"}
FOR_SERVERS_OF_MANY = {
    "obstore",
    "opentelemetry.metrics",
    "opentelemetry.sdk",
    "prometheus_client",
    "psycopg",
    "runapi_mcp.base.measures",
    "runapi_mcp.fleet",
    "runapi_mcp.images.bucket",
    "runapi_mcp.images.kept_pictures",
    "runapi_mcp.postgres",
    "runapi_mcp.telemetry",
}
ONLY_WHEN_NEEDED = {
    "httpx",
    "PIL",
    "rich",
    "sqlite3",
    "filelock",
    "platformdirs",
    "runapi_mcp.images.fetching",
    "runapi_mcp.images.download",
    "runapi_mcp.images.local_image",
    "runapi_mcp.images.inspection",
    "runapi_mcp.images.workers",
    "runapi_mcp.images.saving",
    "runapi_mcp.images.set_names",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def write_config(text: str) -> Path:
    """RunAPI's config file, in the home that a test has for itself."""
    path = Path(os.environ["HOME"]) / ".config" / "runapi" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def imported(stderr: Iterable[str]) -> set[str]:
    """The modules that a process says it loaded."""
    lines = [line for line in stderr if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


async def tools(running: Program) -> list[str]:
    """The tools that a program lists."""
    await running.write(*opening("auto"), request(1, "tools/list", "auto"))
    return [tool["name"] for tool in (await running.answer(1))["tools"]]


async def drawn(running: Program) -> dict[str, Any]:
    """The result of a call that pays and does not wait."""
    await running.write(*opening("auto"), call(2, "auto", "a fox", wait_seconds=0))
    return await running.answer(2)


def test_the_version_is_told_and_nothing_loaded_for_it() -> None:
    told = finished("--version", environment=TELL_IMPORTS)
    assert (told.returncode, told.stdout) == (0, f"runapi-mcp {__version__}\n")
    assert imported(told.stderr.splitlines()).isdisjoint({"mcp", "pydantic", "anyio", "click"})


def test_help_lists_the_commands_and_loads_none_of_them() -> None:
    told = finished("--help", environment=TELL_IMPORTS)
    assert told.returncode == 0
    assert [line.split()[0] for line in told.stdout.partition("Commands:\n")[2].splitlines()] == [
        "serve",
        "demo",
        "draw",
        "install",
        "uninstall",
        "doctor",
        "login",
        "logout",
        "tasks",
        "pictures",
        "sandbox",
        "fleet",
    ]
    loaded = imported(told.stderr.splitlines())
    assert "click" in loaded
    assert loaded.isdisjoint({"mcp", "pydantic", "anyio", "uvicorn"} | ONLY_WHEN_NEEDED)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("instal", "Did you mean install?"),
        ("DRAW", "Did you mean draw?"),
        ("task", "Did you mean tasks?"),
        ("xyzzy", "Name one of serve, demo, draw, "),
    ],
)
def test_an_unknown_command_is_refused_with_the_one_that_was_meant(name: str, advice: str) -> None:
    refused = finished(name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"\nError: There is no command {name!r}. {advice}" in refused.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dr", ["draw"]),
        ("install c", ["claude-code", "claude-desktop", "cline", "codex", "copilot", "cursor"]),
        ("doctor codex cu", ["cursor"]),
        ("draw --variant k", ["klein"]),
        ("tasks --show ", ["recent", "running", "undelivered"]),
        ("draw fox -o he", ["file,he"]),
        ("draw fox --from ./he", ["file,./he"]),
    ],
)
def test_a_shell_completes_what_was_begun(typed: str, offered: list[str]) -> None:
    words = f"runapi-mcp {typed}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    told = finished(environment={"_RUNAPI_MCP_COMPLETE": "bash_complete", **asked})
    assert (told.returncode, told.stderr) == (0, "")
    assert sorted(told.stdout.split()) == [
        each if "," in each else f"plain,{each}" for each in offered
    ]


@pytest.mark.parametrize("command", [(), ("install",), ("draw",), ("tasks",)])
def test_help_is_given_for_its_short_name_too(command: tuple[str, ...]) -> None:
    short, long = finished(*command, "-h"), finished(*command, "--help")
    assert (short.returncode, short.stdout) == (0, long.stdout)


@pytest.mark.parametrize(
    "options",
    [
        ["--allow-host", "draw.example"],
        ["--share-key"],
        ["--host", "127.0.0.1"],
        ["--port", "0"],
        ["--trusted-proxy", "10.0.0.1"],
        ["--root-path", "/flux"],
        ["--drain-seconds", "0"],
    ],
)
def test_what_is_for_http_is_refused_without_it(options: list[str]) -> None:
    refused = finished("serve", *options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "runapi-mcp: --host, --port, --allow-host, --trusted-proxy, --root-path, --drain-seconds "
        "and --share-key are for HTTP. Add --http.\n"
    )


def test_a_port_that_is_none_is_refused() -> None:
    refused = finished("serve", "--http", "--port", "65536")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith(" 65536 is not in the range 0<=x<=65535.\n")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUNAPI_VARIANTS", "ultra", "RUNAPI_VARIANTS names ultra, which is not a tier or model."),
        ("RUNAPI_SANDBOX", "perhaps", "RUNAPI_SANDBOX is neither on nor off."),
        ("RUNAPI_BASE_URL", "ftp://a.example", "The RunAPI base URL is not an http(s) address."),
    ],
    ids=lambda text: text.partition(" ")[0],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, sentence: str) -> None:
    refused = finished(environment={name: value})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"runapi-mcp: {sentence} ")
    assert refused.stderr.count("\n") == 1


def test_without_a_host_it_ends_at_once() -> None:
    ended = finished()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


async def test_fewer_variants_are_fewer_tools() -> None:
    async with program(environment={"RUNAPI_VARIANTS": "pro"}) as running:
        pro = [variant.tool_name for variant in VARIANTS if variant.tier.name == "pro"]
        assert await tools(running) == [*pro, *READERS]


async def test_without_a_key_it_lists_its_tools_tells_prices_and_says_how_to_get_one() -> None:
    async with network() as net, program(environment=net.environment(key="")) as running:
        assert len(await tools(running)) == len(VARIANTS) + len(READERS)
        await running.write(request(3, "tools/call", "auto", name="check_pricing"))
        assert not (await running.answer(3))["isError"]
        result = await drawn(running)
        assert result["isError"]
        assert result["content"][0]["text"] == f"No RunAPI API key is set. {HOW_TO_GET_A_KEY}"
        assert net.paid_requests() == 0
    assert running.stderr.seen == []


async def test_a_broken_config_file_is_named_at_the_start_and_by_every_paid_call() -> None:
    path = write_config('{"api_key": ')
    async with network() as net, program(environment=net.environment(key="")) as running:
        assert len(await tools(running)) == len(VARIANTS) + len(READERS)
        result = await drawn(running)
        warning = await running.stderr.holding(f"runapi-mcp: {path} is not valid JSON: ")
        broken = warning.removeprefix("runapi-mcp: ")
        assert result["content"][0]["text"] == f"{broken} {HOW_TO_GET_A_KEY}"


@pytest.mark.parametrize("leftover", ["${RUNAPI_API_KEY}", "{env:RUNAPI_API_KEY}"])
async def test_a_template_left_unfilled_is_no_key(leftover: str) -> None:
    async with network() as net, program(environment=net.environment(leftover)) as running:
        told: str = (await drawn(running))["content"][0]["text"]
        assert told.startswith("RUNAPI_API_KEY holds no API key. ")
        assert told.endswith(f" {HOW_TO_GET_A_KEY}")
        assert net.paid_requests() == 0
        await running.stderr.holding("runapi-mcp: RUNAPI_API_KEY holds no API key.")


@pytest.mark.parametrize(
    ("environment", "config"),
    [
        ({"RUNAPI_API_KEY": "sandbox-found", "RUNAPI_KEY": "sandbox-not"}, {}),
        ({"RUNAPI_KEY": "sandbox-found"}, {"api_key": "sandbox-not"}),
        ({"RUNAPI_API_KEY": "${RUNAPI_API_KEY}"}, {"api_key": "sandbox-found"}),
        ({}, {"apiKey": "sandbox-found"}),
    ],
    ids=["the first name", "the second name", "the file", "the file's other spelling"],
)
async def test_a_key_is_found_where_runapi_keeps_it(
    environment: dict[str, str], config: dict[str, str]
) -> None:
    write_config(json.dumps(config))
    async with network() as net:
        given = {"RUNAPI_BASE_URL": net.base_url, **environment}
        async with program(environment=given) as running:
            assert not (await drawn(running))["isError"]
            assert len(net.account("sandbox-found").tasks) == 1


async def test_over_stdio_nothing_is_loaded_before_a_call_needs_it() -> None:
    async with program(environment=TELL_IMPORTS) as running:
        await tools(running)
        assert imported(running.stderr.seen).isdisjoint(NOT_BY_AN_IDLE_SERVER | ONLY_WHEN_NEEDED)
        await running.write(request(2, "resources/list", "auto"))
        await running.answer(2)
    assert "mcp" in imported(running.stderr.seen)
    assert imported(running.stderr.seen).isdisjoint(ONLY_WHEN_NEEDED)


async def test_over_stdio_nothing_is_ever_loaded_that_is_for_servers_of_many() -> None:
    async with (
        network() as net,
        program(environment={**TELL_IMPORTS, **net.environment()}) as running,
    ):
        await running.write(*opening("auto"), call(2, "auto", QUICK))
        assert (await running.answer(2))["structuredContent"]["image_paths"]
    assert "runapi_mcp.images.download" in imported(running.stderr.seen)
    assert imported(running.stderr.seen).isdisjoint(FOR_SERVERS_OF_MANY)


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        (["tasks"], {"mcp", "httpx", "PIL", "uvicorn", "starlette"}),
        (["install", "--help"], {"mcp", "httpx", "PIL", "uvicorn", "starlette", "sqlite3"}),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_use(
    command: list[str], unneeded: set[str]
) -> None:
    ran = finished(*command, environment=TELL_IMPORTS)
    assert imported(ran.stderr.splitlines()).isdisjoint(unneeded)


async def test_over_http_nothing_is_loaded_before_a_call_needs_it() -> None:
    command = ("serve", "--http", "--port", "0")
    async with program(*command, environment=TELL_IMPORTS) as running:
        line = await running.stderr.holding("runapi-mcp serves ")
        async with Client(line.split()[2]) as client:
            await client.list_tools()
    assert "mcp" in imported(running.stderr.seen)
    assert imported(running.stderr.seen).isdisjoint(ONLY_WHEN_NEEDED)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("serve", "write serve --sandbox."),
        ("draw", "write draw --sandbox."),
        ("install", "write install --sandbox."),
        ("demo", "leave it out, demo has none."),
        ("tasks", "leave it out, tasks has none."),
    ],
)
def test_a_sandbox_asked_for_before_the_command_is_refused_and_never_ignored(
    name: str, advice: str
) -> None:
    ran = finished("--sandbox", name, *(["a fox"] if name == "draw" else []))
    assert f"--sandbox before a command does nothing: {advice}" in ran.stderr
    assert ran.returncode == 2


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_sandbox_ends_quietly_on_a_signal(number: signal.Signals) -> None:
    async with program("sandbox", "--port", "0") as running:
        address = (await running.stderr.holding("The sandbox answers at ")).split()[-1]
        told = (await running.stderr.holding("Runflow answers at ")).split()
        runflow, key = told[3].rstrip(";"), told[-1].rstrip(".")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{address}/api/v1/price_schedules")).status_code == 200
            authorized = {"Authorization": f"Bearer {key}"}
            balance = await client.get(f"{runflow}/v1/billing/balance", headers=authorized)
            assert balance.json()["balance"] == "10.00"
        running.process.send_signal(number)
        assert await running.end() == 0
        assert len(running.stderr.seen) == 3
