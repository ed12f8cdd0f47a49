"""Where the key goes, and what is shown of a file that holds secrets."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.install_world import (
    KEY,
    OTHERS,
    entry_in,
    everything,
    file_of,
    home,
    keep,
    one_server,
)
from tests.support.processes import finished


def test_the_key_goes_to_runapis_config_file_and_to_no_hosts() -> None:
    home = Path(os.environ["HOME"])
    keep(config := home / ".config" / "runapi" / "config.json", '{"base_url": "https://x.example"}')
    ran = finished("install", "codex", "cursor", environment={"RUNAPI_API_KEY": KEY})
    assert ran.stdout.endswith(f"The API key went to {config}, which you alone can read.\n")
    kept = json.loads(config.read_text())
    assert kept == {"base_url": "https://x.example", "api_key": KEY}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    finished("install", "cursor", "--env", "RUNAPI_API_KEY=sandbox-another-key")
    holding = [name for name in everything(home) if "sandbox-" in (home / name).read_text()]
    assert holding == [".config/runapi/config.json"]
    assert json.loads(config.read_text())["api_key"] == "sandbox-another-key"


def test_the_key_stands_in_a_hosts_file_only_when_asked_for_in_so_many_words() -> None:
    path = Path(os.environ["HOME"]) / ".cursor" / "mcp.json"
    told = {"RUNAPI_API_KEY": KEY}
    assert finished("install", "cursor", "--key-in-host-file", environment=told).returncode == 0
    assert json.loads(path.read_text())["mcpServers"]["runapi"]["env"] == told
    refused = finished("install", "cursor", "--key-in-host-file", "--scope", "project")
    assert refused.stderr.startswith("runapi-mcp: A project's file is committed, and a key in it ")


def test_a_dry_run_gives_a_diff_that_patch_applies_and_writes_nothing(tmp_path: Path) -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    keep(path, text := OTHERS["json"] % "mcpServers")
    shown = finished("install", "claude-code", "--dry-run").stdout
    assert path.read_text() == text
    assert finished("install", "claude-code").returncode == 0
    keep(tmp_path / "file", text)
    apply = ["patch", "--silent", str(tmp_path / "file")]
    subprocess.run(apply, input=shown, text=True, check=True)  # noqa: S603 - a program of the system
    assert (tmp_path / "file").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["RUNAPI_API_KEY", "RUNAPI_KEY"])
def test_the_key_is_known_by_every_name_it_has(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = home() / ".config" / "runapi" / "config.json"
    ran = finished("install", "cursor", "--scope", "project", "--env", f"{name}={KEY}")
    assert ran.stdout.endswith(f"The API key went to {config}, which you alone can read.\n")
    assert KEY not in (tmp_path / ".cursor" / "mcp.json").read_text()
    assert json.loads(config.read_text()) == {"api_key": KEY}


def test_a_variable_that_holds_no_key_is_refused() -> None:
    ran = finished("install", "cursor", "--env", "RUNAPI_KEY=")
    assert ran.stderr.startswith("runapi-mcp: --env RUNAPI_KEY holds no API key. ")
    assert everything(home()) == set()


NEIGHBOURS = {
    "cursor": """{"mcpServers": {"other": {"command": "x", "args": ["--token", "s3cret-in-args"],
 "env": {"ANY": "s3cret-in-env", "PAT": "hunter2!"}},"""
    """ "web": {"url": "https://me:s3cret-in-url@x.example",
 "headers": {"X": "s3cret-in-header"}}}}""",
    "codex": """[mcp_servers.other]\ncommand = "x"\nenv = { ANY = "s3cret-in-env" }""",
    "goose": """extensions: {other: {cmd: x, envs: {ANY: s3cret-in-env}}}\n""",
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_diff_shows_no_secret_of_other_servers(name: str) -> None:
    from runapi_mcp.base.hosts.table import host_named

    keep(file_of(host_named(name)), NEIGHBOURS[name])
    for options in (["--dry-run"], ["--dry-run", "--json"]):
        ran = finished("install", name, *options)
        assert "runapi_mcp" in ran.stdout
        assert ("s3cret" in ran.stdout, "hunter2" in ran.stdout) == (False, False)


def test_a_word_of_ours_is_shown_whatever_other_servers_use_it_for() -> None:
    variables = {"MODE": "local", "DEBUG": "true", "WHAT": "enabled"}
    text = json.dumps({"mcp": {"other": {"command": ["x"], "environment": variables}}})
    keep(home() / ".config" / "opencode" / "opencode.jsonc", text)
    shown = finished("install", "opencode", "--dry-run").stdout
    assert '"runapi": {"type": "local", ' in shown
    assert '"enabled": true' in shown


def test_a_diff_has_no_lines_but_those_that_change() -> None:
    keep(home() / ".codex" / "config.toml", '[mcp_servers.other]\nargs = ["s3cret"]\n')
    assert "s3cret" not in finished("install", "codex", "--dry-run").stdout


def test_a_diff_shows_no_key_of_ours_and_all_else_of_the_entry() -> None:
    told = {"RUNAPI_API_KEY": KEY}
    options = ("cursor", "--key-in-host-file", "--env", "RUNAPI_OUTPUT_DIR=/pictures")
    shown = finished("install", *options, "--dry-run", environment=told).stdout
    assert '+        "RUNAPI_API_KEY": "[hidden]"' in shown
    assert '+        "RUNAPI_OUTPUT_DIR": "/pictures",' in shown
    assert finished("install", *options, environment=told).returncode == 0
    assert KEY in (home() / ".cursor" / "mcp.json").read_text()
    for options in ([], ["--json"]):
        shown = finished("uninstall", "cursor", "--dry-run", *options).stdout
        assert ("[hidden]" in shown, KEY in shown) == (True, False)


@pytest.mark.parametrize("given", [f"-e RUNAPI_API_KEY={KEY}", f"--api-key {KEY}"])
def test_a_diff_shows_no_key_that_stands_in_a_command(given: str) -> None:
    words = ["run", "-i", *given.split(), "runapi-mcp"]
    keep(home() / ".cursor" / "mcp.json", one_server({"command": "docker", "args": words}))
    for command in ("install", "uninstall"):
        shown = finished(command, "cursor", "--dry-run").stdout
        assert ("[hidden]" in shown, KEY in shown) == (True, False)


def test_the_word_after_an_option_that_has_its_secret_already_is_shown() -> None:
    words = ["run", f"--env=RUNAPI_API_KEY={KEY}", "runapi-mcp"]
    keep(home() / ".cursor" / "mcp.json", one_server({"command": "docker", "args": words}))
    shown = finished("uninstall", "cursor", "--dry-run").stdout
    assert ('"runapi-mcp"' in shown, KEY in shown) == (True, False)


def test_a_diff_of_a_broken_file_shows_no_secret_either() -> None:
    path = home() / ".cursor" / "mcp.json"
    keep(path, "{}")
    assert finished("install", "cursor").returncode == 0
    keep(path, '{"mcpServers": {"other": {"apiKey": "s3cret-of-mine" ')
    shown = finished("uninstall", "cursor", "--restore", "--dry-run").stdout
    assert ('"apiKey": "[hidden]"' in shown, "s3cret" in shown) == (True, False)


SENT = {
    "cursor": "Cursor sends RUNAPI_API_KEY of its own environment as the key: set it there.\n",
    "codex": "Codex sends RUNAPI_API_KEY of its own environment as the key: set it there.\n",
    "kiro": "Kiro sends no key: run this again with --key-in-host-file, or let that server use its "
    "own (--share-key).\n",
    "zed": "Zed sends no key: run this again with --key-in-host-file, or let that server use its "
    "own (--share-key).\n",
    "vscode": "VS Code sends RUNAPI_API_KEY of its own environment as the key: set it there. Some "
    "versions are reported to send its name instead (microsoft/vscode#336232). If so, run this "
    "again with --key-in-host-file, or serve with --share-key.\n",
}


@pytest.mark.parametrize("name", SENT)
def test_with_an_address_it_is_said_which_key_the_host_sends(name: str) -> None:
    url = "https://draw.example/mcp"
    ran = finished("install", name, "--http", url, environment={"RUNAPI_API_KEY": KEY})
    assert ran.stdout.endswith(SENT[name])
    assert ("config.json" in ran.stdout, "login" in ran.stdout) == (False, False)
    assert not (home() / ".config" / "runapi").exists()
    with_key = ("--http", url, "--key-in-host-file", "--env", f"RUNAPI_API_KEY={KEY}")
    if name == "kiro":
        assert finished("install", name, *with_key).stdout.endswith(
            "Kiro sends the key that stands in its file.\n"
        )
        assert entry_in("kiro")["headers"] == {"Authorization": f"Bearer {KEY}"}


def test_a_key_for_an_address_is_not_taken_and_put_where_no_host_reads_it() -> None:
    url = "https://draw.example/mcp"
    ran = finished("install", "cursor", "--http", url, "--env", f"RUNAPI_API_KEY={KEY}")
    assert ran.stderr.startswith(
        "runapi-mcp: A server that runs elsewhere takes no --env and no --sandbox. "
    )
    assert everything(home()) == set()


def test_who_only_practises_is_not_sent_for_a_key() -> None:
    ran = finished("install", "kiro", "--env", "RUNAPI_SANDBOX=1")
    assert (
        ran.stdout
        == f"Kiro: added. It reads the file at once.\n  {home()}/.kiro/settings/mcp.json\n"
    )
    ran = finished("install", "kiro", "--env", "RUNAPI_SANDBOX=maybe")
    assert ran.stderr.startswith("runapi-mcp: RUNAPI_SANDBOX is neither on nor off. ")
