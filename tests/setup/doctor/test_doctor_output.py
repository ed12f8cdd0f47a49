"""How the doctor's findings are shown, and what --fix does."""

import os
import subprocess
import sys

import pytest

from tests.support.doctor_world import KEY, OURS, PATIENTLY, SAYS, US, Home
from tests.support.processes import LIMIT_SECONDS
from tests.support.terminal import lines_left

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and terminals are POSIX's")

GONE = {"command": "/opt/gone/python", "args": ["-m", "runapi_mcp"]}


def in_a_terminal(home: Home, columns: int) -> str:
    """What a person sees, with its colors."""
    import pty

    shown, terminal = pty.openpty()
    running = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "runapi_mcp", "doctor", *PATIENTLY],
        env={**home.environ, "COLUMNS": str(columns), "LANG": "C.UTF-8"},
        cwd=home.project,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.STDOUT,
    )
    os.close(terminal)
    text = b""
    try:
        while chunk := os.read(shown, 65_536):
            text += chunk
    except OSError:
        pass  # Linux's way to say that nobody writes any more
    finally:
        os.close(shown)
        running.wait(LIMIT_SECONDS)
    return "\n".join(lines_left(text.decode()))


def plain(text: str) -> str:
    import click

    return click.unstyle(text)


def test_piped_each_finding_is_one_line_without_color(home: Home) -> None:
    home.claude(GONE)
    told = home.run("doctor")
    assert told.status == 1
    assert "\x1b" not in told.text
    assert (
        "  ✗ Claude Code does not find /opt/gone/python; it was moved or removed, "
        f"and its tools are not there → {US} install claude-code\n"
    ) in told.text
    assert told.text.endswith("\n\n1 problem.\n")


@pytest.mark.parametrize("columns", [40, 80])
def test_in_a_terminal_it_is_colored_and_only_what_is_copied_is_longer_than_a_line(
    home: Home, columns: int
) -> None:
    home.claude(GONE)
    shown = in_a_terminal(home, columns)
    assert "\x1b[31m" in shown
    lines = plain(shown).splitlines()
    # A command stays whole to be copied, however deep this Python lies.
    assert any(line.endswith(f"→ {US} install claude-code") for line in lines)
    sentences = [line.strip(" ✓✗!·") for line in lines if "→" not in line]
    several_words = [line for line in sentences if " " in line]
    assert max(map(len, several_words)) <= columns - len("  ✓ ")


def test_no_color_is_obeyed(home: Home) -> None:
    home.claude(GONE)
    home.environ["NO_COLOR"] = "1"
    shown = in_a_terminal(home, 80)
    assert "\x1b" not in shown
    assert "✗" in shown


def test_where_marks_cannot_be_written_letters_stand(home: Home) -> None:
    home.claude(GONE)
    home.environ["PYTHONIOENCODING"] = "ascii"
    assert "  x Claude Code does not find" in home.run("doctor").text


def test_all_well_is_said_so(home: Home) -> None:
    home.claude()
    told = home.run("doctor")
    assert (told.status, told.text.splitlines()[-1]) == (0, "All is well.")


def test_practice_is_a_note_and_asks_runapi_nothing(home: Home) -> None:
    del home.environ["RUNAPI_API_KEY"]
    home.environ |= {"RUNAPI_SANDBOX": "1", "RUNAPI_BASE_URL": "http://127.0.0.1:9"}
    home.claude()
    told = home.doctor(status=0)
    assert told.one("key", "RUNAPI_SANDBOX is on")["severity"] == "note"
    assert not [found for found in told.findings if found["check"] == "network"]


def test_what_a_server_says_last_shows_no_key_and_no_part_of_one(home: Home) -> None:
    part, half = KEY[12:22], KEY[8:16]
    words = f"'key {KEY}, part {part}, {half}; Bearer abc.def.ghi; sk-0123456789abcdef'"
    home.claude(home.program(f"sys.exit({words})"))
    told = home.run("doctor")
    for secret in (KEY, part, half, "abc.def", "0123456789abcdef"):
        assert secret not in told.text
    assert "status 1: key [hidden], part" in told.text


def test_fix_installs_anew_over_a_stale_entry_and_names_what_changed(home: Home) -> None:
    other = {"command": "true", "env": {"OTHER_API_KEY": "other-secret-97531"}}
    path = home.write(".claude.json", {"mcpServers": {"other": other, "runapi": GONE}})
    told = home.run("doctor", "--fix")
    assert told.status == 0
    assert f"mended: Claude Code: command, args, type, timeout anew in {path}; " in told.text
    assert "other-secret" not in told.text
    assert sys.executable in path.read_text()
    assert "other-secret-97531" in path.read_text()


def test_fix_closes_the_file_with_the_key(home: Home) -> None:
    home.claude()
    path = home.config({"api_key": KEY}, mode=0o644)
    told = home.run("doctor", "--fix")
    assert told.status == 0
    assert f"mended: {path} is yours alone now" in told.text
    assert path.stat().st_mode & 0o777 == 0o600


def test_fix_leaves_alone_what_it_cannot_mend_safely(home: Home) -> None:
    home.claude(home.program(*SAYS, "serve('weather', '1.0')"))
    before = home.tree()
    assert home.run("doctor", "--fix").status == 1
    assert home.tree() == before


def test_fix_never_writes_a_projects_file(home: Home) -> None:
    path = home.write("work/fox/.mcp.json", {"mcpServers": {"runapi": GONE}})
    before = path.read_text()
    assert home.run("doctor", "--fix").status == 1
    assert path.read_text() == before


def test_a_named_host_alone_is_looked_at(home: Home) -> None:
    home.claude()
    home.cursor(GONE)
    told = home.doctor("claude-code", status=0)
    assert {found.get("host", "") for found in told.findings} == {"", "claude-code"}


def test_a_host_that_is_none_is_refused(home: Home) -> None:
    told = home.run("doctor", "claud-code")
    assert (told.status, told.text.count("\n")) == (2, 1)
    assert "Did you mean claude-code?" in told.text


def test_a_budget_is_not_asked_after_so_that_no_ledger_is_made(home: Home) -> None:
    home.claude({**OURS, "env": {"RUNAPI_DAILY_BUDGET": "2"}})
    home.doctor(status=0)
    assert [*home.path.rglob("*ledger*")] == []
