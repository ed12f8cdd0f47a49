"""Which entry each host is given, and what becomes of an entry that stands there already."""

import json
import os
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.table import HOSTS
from tests.support.install_world import (
    EVERY_HOST,
    entry_in,
    everything,
    file_of,
    home,
    keep,
    one_server,
    read,
    started,
)
from tests.support.processes import finished


def printed_for(name: str) -> str:
    """What `--print` says of a host."""
    return finished("install", name, "--print").stdout


@EVERY_HOST
def test_our_older_entry_is_updated_in_place_and_keeps_what_its_user_added(
    host: Host,
) -> None:
    path = file_of(host)
    assert finished("install", host.name, "--env", "MINE=1").returncode == 0
    text = path.read_text()
    older = text.replace(json.dumps(sys.executable), '"/old/uvx"')
    older = older.replace('"-P", "-m", "runapi_mcp"', '"runapi-mcp==0.0.1", "--sandbox"')
    path.write_text(older)
    ran = finished("install", host.name, "--env", "YOURS=2")
    said = f"{host.title}: updated. {host.next_step}\n  {path}\n  backup: "
    assert ran.stdout.startswith(said)
    entry = read(host, path)["runapi"]
    assert started(host, entry) == [sys.executable, "-P", "-m", "runapi_mcp", "--sandbox"]
    inner = entry[host.wrapper_key] if host.wrapper_key else entry
    assert inner[host.stdio.env] == {"MINE": "1", "YOURS": "2"}


def test_the_variables_that_a_user_had_handed_on_are_handed_on_still() -> None:
    path = home() / ".codex" / "config.toml"
    for name in ("A_B", "C_D", "A_B"):
        assert finished("install", "codex", "--env", name, environment={name: "1"}).returncode == 0
    entry = tomllib.loads(path.read_text())["mcp_servers"]["runapi"]
    assert entry["env_vars"] == ["RUNAPI_API_KEY", "A_B", "C_D"]


def test_each_host_is_given_this_entry() -> None:
    """As `--print` has it, without a machine's own words."""
    names = [host.name for host in HOSTS]
    with ThreadPoolExecutor(2) as pool:
        printed = pool.map(printed_for, names)
    told = dict(zip(names, printed, strict=True))
    command = f'"command": {json.dumps(sys.executable)},\n      "args": ["-P", "-m", "runapi_mcp"]'
    plain = f'{{\n  "mcpServers": {{\n    "runapi": {{\n      {command}\n    }}\n  }}\n}}\n'
    same = ["cursor", "windsurf", "claude-desktop", "kiro", "lm-studio", "warp"]
    assert [told[name] for name in same] == [plain] * len(same)
    with_limit = plain.replace('_mcp"]', '_mcp"],\n      "timeout": 630000')
    assert (told["gemini"], told["qwen"]) == (with_limit, with_limit)
    assert told["zed"] == plain.replace("mcpServers", "context_servers")
    assert told["codex"] == (
        "[mcp_servers.runapi]\n"
        f"command = {json.dumps(sys.executable)}\n"
        'args = ["-P", "-m", "runapi_mcp"]\n'
        'env_vars = ["RUNAPI_API_KEY"]\n'
        "startup_timeout_sec = 60\n"
        "tool_timeout_sec = 630\n"
    )
    assert json.loads(told["cline"])["mcpServers"]["runapi"]["timeout"] == 630
    assert everything(Path(os.environ["HOME"])) == set()


def test_a_server_of_that_name_that_is_not_ours_stays() -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    keep(path, text := '{"mcpServers": {"runapi": {"command": "npx", "args": ["@runapi/mcp"]}}}')
    for command in ("install", "uninstall"):
        ran = finished(command, "claude-code")
        assert f"{path} has another server called runapi." in ran.stderr
        assert (ran.returncode, path.read_text()) == (2, text)


def test_a_variable_without_a_value_is_handed_on_by_each_hosts_own_way() -> None:
    ways = {
        "claude-code": '"env": {\n        "A_B": "${A_B}"\n      }',
        "cursor": '"env": {\n        "A_B": "${env:A_B}"\n      }',
        "gemini": '"env": {\n        "A_B": "$A_B"\n      }',
        "opencode": '"environment": {\n        "A_B": "{env:A_B}"\n      }',
        "codex": 'env_vars = ["RUNAPI_API_KEY", "A_B"]',
        "goose": 'env_keys: ["A_B"]',
    }
    for name, written in ways.items():
        assert written in finished("install", name, "--print", "--env", "A_B").stdout
    refused = finished("install", "claude-desktop", "--print", "--env", "A_B")
    assert "Claude Desktop has no way to name a variable of yours." in refused.stderr


def test_an_address_is_written_as_each_host_wants_it() -> None:
    url = "https://draw.example/mcp"
    printed = finished("install", "claude-code", "--http", url, "--print").stdout
    assert json.loads(printed)["mcpServers"]["runapi"] == {
        "type": "http",
        "url": url,
        "headers": {"Authorization": "Bearer ${RUNAPI_API_KEY}"},
        "timeout": 630000,
    }
    printed = finished("install", "codex", "--http", url, "--print").stdout
    assert tomllib.loads(printed)["mcp_servers"]["runapi"] == {
        "url": url,
        "bearer_token_env_var": "RUNAPI_API_KEY",
        "tool_timeout_sec": 630,
    }
    refusals = {
        "http://draw.example/mcp": "would carry your key unencrypted. Use https.",
        "draw.example": "is not an address.",
    }
    for bad, sentence in refusals.items():
        assert sentence in finished("install", "codex", "--http", bad).stderr
    assert "connects to no address" in finished("install", "claude-desktop", "--http", url).stderr


def test_an_entry_that_changes_from_a_command_to_an_address_keeps_nothing_of_the_first() -> None:
    path = Path(os.environ["HOME"]) / ".codex" / "config.toml"
    assert finished("install", "codex", "--env", "A=b").returncode == 0
    ran = finished("install", "codex", "--http", "https://draw.example/mcp")
    assert ran.stdout.startswith("Codex: updated. ")
    assert set(tomllib.loads(path.read_text())["mcp_servers"]["runapi"]) == {
        "url", "bearer_token_env_var", "tool_timeout_sec",
    }  # fmt: skip
    assert finished("uninstall", "codex").returncode == 0
    assert not path.exists()


HANDMADE = {
    "uv --directory /home/me/runapi-mcp run runapi-mcp": [],
    "uv --directory /home/me/runapi-mcp run runapi-mcp --sandbox": ["--sandbox"],
    "uv run -m runapi_mcp serve": ["serve"],
    "uv tool run --python 3.12 runapi-mcp@latest": [],
    "uvx --from runapi-mcp runapi-mcp --sandbox": ["--sandbox"],
    "uvx --from git+https://git.example/me/runapi-mcp runapi-mcp": [],
    "uvx git+https://git.example/me/runapi-mcp.git@main --sandbox": ["--sandbox"],
    "pipx run --spec /src/runapi-mcp runapi-mcp --sandbox": ["--sandbox"],
    "python3.12 -Im runapi_mcp --sandbox": ["--sandbox"],
    "/home/me/runapi-mcp/.venv/bin/python -P -m runapi_mcp": [],
    "docker run -i --rm --name runapi-mcp -v runapi:/data runapi-mcp": [],
    "podman run -it localhost/runapi-mcp:0.1 --sandbox": ["--sandbox"],
    "env -u X uvx runapi-mcp --sandbox": ["--sandbox"],
    "cmd /c uvx runapi-mcp --sandbox": ["--sandbox"],
}


@pytest.mark.parametrize("command", HANDMADE)
def test_an_entry_written_by_hand_keeps_only_what_follows_the_program(command: str) -> None:
    program, *words = command.split()
    keep(home() / ".cursor" / "mcp.json", one_server({"command": program, "args": words}))
    assert finished("install", "cursor").stdout.startswith("Cursor: updated. ")
    now = [sys.executable, "-P", "-m", "runapi_mcp", *HANDMADE[command]]
    given = entry_in("cursor")
    assert ([given["command"], *given["args"]], "env" in given) == (now, False)
    assert finished("install", "cursor").stdout.startswith("Cursor: already there.")


@pytest.mark.parametrize(
    "command",
    [
        "env RUNAPI_SANDBOX=1 OTHER=2 uvx runapi-mcp",
        "docker run -i -e RUNAPI_SANDBOX=1 -e RUNAPI_OUTPUT_DIR=/data -e RUNAPI_API_KEY runapi-mcp",
    ],
)
def test_what_a_launcher_said_of_money_is_not_lost(command: str) -> None:
    program, *words = command.split()
    keep(home() / ".cursor" / "mcp.json", one_server({"command": program, "args": words}))
    assert finished("install", "cursor").returncode == 0
    assert entry_in("cursor")["env"] == {"RUNAPI_SANDBOX": "1"}


@pytest.mark.parametrize(
    "command",
    [
        "op run --env-file=/keys -- runapi-mcp",
        "uv run --env-file .env runapi-mcp",
        "docker run -i --entrypoint python runapi-mcp -m runapi_mcp",
        "docker exec -i box runapi-mcp",
    ],
)
def test_an_entry_of_ours_that_is_not_understood_is_left_and_can_be_taken_out(command: str) -> None:
    program, *words = command.split()
    path = home() / ".cursor" / "mcp.json"
    keep(path, text := one_server({"command": program, "args": words}))
    ran = finished("install", "cursor")
    assert (ran.returncode, path.read_text()) == (2, text)
    assert ran.stderr == (
        f"runapi-mcp: Cursor: {path} starts this server by way of {program}, and how is not "
        "understood here. It was left as it is. To replace it: uninstall cursor, then install "
        "again.\n"
    )
    assert finished("uninstall", "cursor").returncode == 0
    assert json.loads(path.read_text()) == {"mcpServers": {}}


@pytest.mark.parametrize(
    "command",
    ["npx -y runapi-mcp", "docker run --name runapi-mcp other", "uvx --with runapi-mcp other"],
)
def test_another_program_with_our_name_in_its_command_stays(command: str) -> None:
    program, *words = command.split()
    path = home() / ".cursor" / "mcp.json"
    keep(path, text := one_server({"command": program, "args": words}))
    for asked in ("install", "uninstall"):
        assert "has another server called runapi." in finished(asked, "cursor").stderr
        assert path.read_text() == text


def test_an_address_that_is_plainly_ours_is_taken_for_ours_without_a_note() -> None:
    path = home() / ".cursor" / "mcp.json"
    plain = {"url": "http://127.0.0.1:8765/mcp"}
    keyed = {
        "url": "https://draw.example/x",
        "headers": {"Authorization": "Bearer ${env:RUNAPI_API_KEY}"},
    }
    for entry in (plain, keyed):
        keep(path, one_server(entry))
        assert finished("install", "cursor").stdout.startswith("Cursor: updated. ")
        assert set(entry_in("cursor")) == {"command", "args"}
        keep(path, one_server(entry))
        assert finished("uninstall", "cursor").stdout.startswith("Cursor: removed. ")
    for url in ("https://mcp.runapi.ai/mcp", "https://other.example/tools"):
        keep(path := home() / ".kiro" / "settings" / "mcp.json", text := one_server({"url": url}))
        assert "has another server called runapi." in finished("install", "kiro").stderr
        assert path.read_text() == text


def test_a_flat_entry_of_cline_becomes_one_with_its_own_limits_outside() -> None:
    flat: dict[str, Any] = {
        "command": "runapi-mcp",
        "args": ["--sandbox"],
        "timeout": 60,
        "disabled": False,
        "autoApprove": ["x"],
    }
    path = home() / ".cline" / "data" / "settings" / "cline_mcp_settings.json"
    keep(path, one_server(flat))
    assert finished("install", "cline").returncode == 0
    assert entry_in("cline") == {
        "transport": {
            "type": "stdio",
            "command": sys.executable,
            "args": ["-P", "-m", "runapi_mcp", "--sandbox"],
        },
        "timeout": 60,
        "disabled": False,
        "autoApprove": ["x"],
    }


def test_of_two_files_the_one_with_our_entry_is_changed() -> None:
    folder = home() / ".config" / "opencode"
    keep(folder / "opencode.jsonc", "{} // mine")
    older = {"mcp": {"runapi": {"type": "local", "command": ["uvx", "runapi-mcp"]}}}
    keep(folder / "opencode.json", json.dumps(older))
    assert finished("install", "opencode").stdout.startswith("opencode: updated. ")
    assert (folder / "opencode.jsonc").read_text() == "{} // mine"
    assert finished("uninstall", "opencode").stdout.startswith("opencode: removed. ")
    assert json.loads((folder / "opencode.json").read_text()) == {"mcp": {}}
