"""Odd files and odd entries: each is a finding, none hides another host, none shows a secret."""

import json
import os
import sys
from pathlib import Path

import pytest

from runapi_mcp.setup.doctor.findings import Section
from tests.support.doctor_world import KEY, OURS, US, Found, Home
from tests.support.unwritable import as_a_user

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and pipes are POSIX's")

GONE = {"command": "/gone/uvx", "args": ["runapi-mcp"]}
NOBODY = 54321


@pytest.fixture
def commoners(tmp_path: Path, base_url: str) -> Home:
    """The home of a user for whom file modes hold."""
    home = Home(tmp_path, base_url)
    home.starts = (*as_a_user(), *home.starts)
    return home


def begins_well(home: Home) -> None:
    """Claude Code has an entry that works, which must be told whatever else there is."""
    home.claude()


def test_a_pipe_in_a_files_place_is_not_waited_for(home: Home) -> None:
    begins_well(home)
    path = home.path / ".cursor" / "mcp.json"
    path.parent.mkdir()
    os.mkfifo(path)
    told = home.doctor()
    assert told.one("file", str(path))["mend"] == f"mv {path} {path}.old"
    assert told.one("start", "starts in")["host"] == "claude-code"


def test_a_pipe_in_the_config_files_place_is_not_waited_for(home: Home) -> None:
    path = home.path / ".config" / "runapi" / "config.json"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    found = home.doctor().one("settings", f"{path} is not a regular file")
    assert found["mend"] == f"mv {path} {path}.old"


def test_a_pipe_in_the_certificates_place_is_not_waited_for(home: Home) -> None:
    begins_well(home)
    home.cursor({"url": "http://127.0.0.1:9/mcp"})
    path = home.path / "ca.pem"
    os.mkfifo(path)
    home.environ["SSL_CERT_FILE"] = str(path)
    found = home.doctor().one("certificates", "which is not a regular file")
    assert found["mend"] == "unset SSL_CERT_FILE"


@pytest.mark.parametrize("proxy", ["http://[::1", "http://me:secret-word@127.0.0.1:99999"])
def test_a_proxy_that_is_none(home: Home, proxy: str) -> None:
    begins_well(home)
    home.environ["HTTPS_PROXY"] = proxy
    told = home.doctor()
    assert told.one("proxy", "what HTTPS_PROXY names is no proxy")["mend"] == "unset HTTPS_PROXY"
    assert not [found for found in told.findings if found["check"] == "doctor"]
    assert "secret-word" not in told.text


def test_a_file_that_may_only_be_read_is_read(home: Home) -> None:
    home.claude().chmod(0o444)
    assert home.doctor(status=0).severities() == {"fine"}


def test_a_file_that_is_not_utf_8_is_told_with_its_line(home: Home) -> None:
    path = home.cursor()
    path.write_bytes(b'{\n  "mcpServers": "\xff"\n}')
    assert "line 2" in home.doctor().one("file", "not text in UTF-8")["what"]


@pytest.mark.parametrize("url", ["https://[::1", "http://127.0.0.1:99999/mcp", "mailto:me"])
def test_an_address_that_is_none(home: Home, url: str) -> None:
    begins_well(home)
    home.cursor({"url": url, "headers": {"Authorization": "${env:RUNAPI_API_KEY}"}})
    told = home.doctor()
    found = told.one("address", "the address to connect to is none")
    assert found["mend"] == f"{US} uninstall cursor && {US} install cursor"
    assert told.one("start", "starts in")["host"] == "claude-code"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"env": {"RUNAPI_VARIANTS": "pro\0"}}, "the value that RUNAPI_VARIANTS has"),
        ({"env": {"RUNAPI_VARIANTS": "\ud800"}}, "the value that RUNAPI_VARIANTS has"),
        ({"env": {"A=B": "1"}}, "a variable called “A=B”"),
        ({"env": {"": "1"}}, "a variable called “”"),
        ({"args": [*OURS["args"], "\ud800"]}, "what the command has in it"),
        ({"cwd": "/\0"}, "what the command has in it"),
    ],
)
def test_what_no_program_can_be_given(home: Home, entry: dict[str, object], words: str) -> None:
    begins_well(home)
    home.cursor({**OURS, **entry})
    told = home.doctor()
    found = told.one("command", words)
    assert found["mend"] == f"{US} uninstall cursor && {US} install cursor"
    assert told.one("start", "starts in")["host"] == "claude-code"


def test_a_name_that_would_do_something_to_the_terminal_is_told_without(home: Home) -> None:
    home.cursor(GONE, name="flux\x1b]0;owned\x07\ud800")
    told = home.run("doctor")
    assert "Cursor “flux?]0;owned??”" in told.text


def test_quotes_that_cannot_be_written_end_nothing(home: Home) -> None:
    home.cursor(GONE, name="flüx")
    home.environ["PYTHONIOENCODING"] = "ascii"
    assert "Cursor ?fl?x?" in home.run("doctor").text
    assert home.doctor().one("command", "/gone/uvx")["entry"] == "flüx"


def test_names_that_are_numbers_are_names(home: Home) -> None:
    home.write(
        ".config/goose/config.yaml",
        "extensions:\n  7:\n    type: stdio\n    cmd: /gone/uvx\n    args: [runapi-mcp]\n"
        "    envs: {1: 2}\n",
    )
    assert home.doctor().one("command", "/gone/uvx")["entry"] == "7"


def test_a_crash_becomes_a_finding() -> None:
    section = Section("Cursor")
    with section.telling_crashes():
        raise KeyError(KEY)
    (found,) = section.findings
    assert (found.check, found.severity) == ("doctor", "problem")
    assert "KeyError in test_doctor_odd.py, line" in found.what
    assert KEY not in found.what


def test_a_folder_that_nobody_may_enter(commoners: Home) -> None:
    begins_well(commoners)
    folder = commoners.cursor().parent
    folder.chmod(0)
    told = commoners.run("doctor", "--json")
    folder.chmod(0o700)
    findings: list[Found] = json.loads(told.text)["findings"]
    (found,) = [each for each in findings if each.get("host") == "cursor"]
    assert found["what"] == f"{folder}/mcp.json cannot be read: Permission denied"
    assert found["mend"] == f"chmod u+rwX {folder}"
    assert "claude-code" in {each.get("host") for each in findings}
    assert "doctor" not in {each["check"] for each in findings}


def test_a_file_of_somebody_else(commoners: Home) -> None:
    path, owning = commoners.cursor(), ""
    path.chmod(0)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        owning = f'sudo chown "$USER" {path} && '
    (found,) = [
        each
        for each in json.loads(commoners.run("doctor", "cursor", "--json").text)["findings"]
        if each["check"] == "file"
    ]
    assert found["mend"] == f"{owning}chmod u+rwX {path}"


def test_a_path_that_is_too_long(home: Home) -> None:
    begins_well(home)
    home.environ["CODEX_HOME"] = "/" + "x" * 5_000
    told = home.doctor()
    assert told.one("file", "File name too long")["mend"] == "unset CODEX_HOME"
    assert told.one("start", "starts in")["host"] == "claude-code"


ESCAPED = 'p\\u00e4ss\\"-\\\\5f1e77c2ab'
"""As a host's file has a secret with letters that JSON escapes."""
PARTS = ("5f1e77c2ab", "u00e4ss", "päss")


def test_fix_shows_no_secret_that_is_written_with_escapes(home: Home) -> None:
    text = json.dumps({"mcpServers": {"runapi": {**GONE, "env": {"RUNAPI_API_KEY": "X"}}}})
    home.write(".claude.json", text.replace('"X"', f'"{ESCAPED}"'))
    told = home.run("doctor", "--fix")
    assert "mended: Claude Code: command, args" in told.text
    assert not [part for part in PARTS if part in told.text]


@pytest.mark.parametrize("arguments", [["--key", KEY], [f"--api-key={KEY}"], [KEY]])
def test_a_key_among_the_arguments_is_shown_nowhere(home: Home, arguments: list[str]) -> None:
    home.environ["RUNAPI_API_KEY"] = "sandbox-another-0123456789"
    home.claude({**OURS, "args": [*OURS["args"], *arguments]})
    home.run("doctor")
    home.claude({**GONE, "args": ["runapi-mcp", *arguments]})
    told = home.run("doctor", "--fix")
    assert "mended: Claude Code: " in told.text


def test_of_a_file_that_cannot_be_read_nothing_is_shown(home: Home) -> None:
    home.write(".config/goose/config.yaml", f"key: {KEY}\nkey: {KEY}\n")
    home.write(".cursor/mcp.json", f'{{"RUNAPI_API_KEY": "{KEY}"')
    home.environ["RUNAPI_API_KEY"] = "sandbox-another-0123456789"
    assert home.run("doctor", "--fix").text.count("is broken") == 2


def test_the_keys_of_the_config_file_are_hidden_too(home: Home) -> None:
    home.environ["RUNAPI_API_KEY"] = "sandbox-another-0123456789"
    home.config({"api_key": KEY})
    home.claude(home.program(f"sys.exit('no: {KEY}')"))
    assert "status 1: no: [hidden]" in home.run("doctor").text


CLAUDE, CODEX, GOOSE = (
    "work/fox/.mcp.json",
    "work/fox/.codex/config.toml",
    ".config/goose/config.yaml",
)
STARTS_US = '[mcp_servers.runapi]\ncommand = "runapi-mcp"\n'


def in_claude(entry: object) -> str:
    return json.dumps({"mcpServers": {"runapi": entry}})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (CLAUDE, in_claude({"command": "env", "args": [*["env"] * 400, "runapi-mcp"]})),
        (CLAUDE, in_claude({"command": "runapi-mcp", "timeout": 10**400})),
        (CLAUDE, in_claude({"command": "runapi-mcp", "args": ["--api-key", "a" * 100_000]})),
        (CLAUDE, '{"mcpServers": {}, "x": ' + "[" * 900 + "]" * 900 + "}"),
        (CODEX, STARTS_US + ".".join("a" * 900) + " = 1\n"),
        (CODEX, STARTS_US + "[" + ".".join("a" * 100_000) + "]\n"),
        (CODEX, STARTS_US + "tool_timeout_sec = nan\nstartup_timeout_sec = inf\n"),
        (GOOSE, "a: &a [*a]\n"),
        (GOOSE, "a: &a [x, x]\n" + "".join(f"a{n}: &a [*a, *a]\n" for n in range(60))),
    ],
    ids=["launchers", "number", "secret", "deep", "parts", "more parts", "nan", "circle", "laughs"],
)
def test_a_file_without_an_end_ends_nothing(home: Home, file: str, text: str) -> None:
    begins_well(home)
    home.write(file, text)
    told = home.run("doctor", "--json")
    findings = json.loads(told.text)["findings"]
    assert "doctor" not in {found["check"] for found in findings}
    assert "starts in" in told.text
