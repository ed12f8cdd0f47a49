"""What the doctor says to type is what mends, whatever the entry is called."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.doctor_world import KEY, OURS, US, Home
from tests.support.processes import LIMIT_SECONDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="they are typed into a POSIX shell")

GONE = {"command": "/gone/uvx", "args": ["runapi-mcp"]}


def typed(home: Home, mend: str) -> None:
    ran = subprocess.run(  # noqa: S602 - as a person types it
        mend,
        shell=True,
        env=home.environ,
        cwd=home.project,
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_mend_begins_with_what_starts_this_program(home: Home) -> None:
    script = shutil.which("runapi-mcp", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("its script is not installed here")
    home.claude(GONE)
    home.starts = (script,)
    assert home.doctor().one("command", "/gone/uvx")["mend"] == f"{script} install claude-code"


def test_a_mend_is_the_bare_name_where_the_path_finds_it(home: Home) -> None:
    script = shutil.which("runapi-mcp", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("its script is not installed here")
    home.claude(GONE)
    home.environ["PATH"] += f":{Path(script).parent}"
    assert home.doctor().one("command", "/gone/uvx")["mend"] == "runapi-mcp install claude-code"


def test_an_entry_of_another_name_is_named_and_taken_out(home: Home) -> None:
    path = home.cursor(GONE, name="flux")
    found = home.doctor().one("command", "Cursor does not find /gone/uvx")
    assert (found["about"], found["entry"]) == ("Cursor “flux”", "flux")
    assert found["mend"] == f"take “flux” out of {path}, then {US} install cursor"


def test_an_entry_of_another_name_is_taken_out_by_its_hosts_own_command(home: Home) -> None:
    home.claude(GONE, name="my flux")
    assert home.doctor().one("command", "/gone/uvx")["mend"] == (
        f"claude mcp remove 'my flux' -s user && {US} install claude-code"
    )


def test_geminis_command_is_told_the_scope(home: Home) -> None:
    home.write(".gemini/settings.json", {"mcpServers": {"flux": OURS}})
    home.write("work/fox/.gemini/settings.json", {"mcpServers": {"flux": GONE}})
    found = home.doctor().one("command", "/gone/uvx")
    assert found["mend"] == (
        f"gemini mcp remove flux -s project && {US} install gemini --scope project"
    )


def test_codexs_command_does_not_know_a_projects_file(home: Home) -> None:
    path = home.write("work/fox/.codex/config.toml", '[mcp_servers.flux]\ncommand="runapi-mcp"\n')
    mend = home.doctor().one("command", "Codex does not find runapi-mcp")["mend"]
    assert mend == f"take “flux” out of {path}, then {US} install codex --scope project"


def test_a_broken_entry_for_one_project_in_the_users_file(home: Home) -> None:
    home.write(".claude.json", {"projects": {str(home.project): {"mcpServers": {"runapi": GONE}}}})
    found = home.doctor().one("command", "/gone/uvx")
    assert (found["scope"], found["mend"]) == (
        "local",
        f"claude mcp remove runapi -s local && {US} install claude-code",
    )


def test_of_two_entries_in_one_file_each_is_named(home: Home) -> None:
    home.write(".cursor/mcp.json", {"mcpServers": {"runapi": OURS, "flux": GONE}})
    told = home.run("doctor")
    assert "\nCursor “runapi”  ~/.cursor/mcp.json\n" in told.text
    assert "\nCursor “flux”  ~/.cursor/mcp.json\n  ✗ Cursor does not find /gone/uvx" in told.text


def test_fix_leaves_an_entry_alone_that_install_would_not_write(home: Home) -> None:
    home.cursor(GONE, name="flux")
    before = home.tree()
    told = home.run("doctor", "cursor", "--fix")
    assert (told.status, home.tree()) == (1, before)
    assert "mended" not in told.text


def test_fix_says_what_did_not_help(home: Home) -> None:
    home.claude({"command": "/gone/uvx", "args": ["runapi-mcp", "no-such-command"]})
    told = home.run("doctor", "--fix")
    assert told.status == 1
    assert "not mended: Claude Code: " in told.text
    assert "; it did not help\n" in told.text


def test_an_entry_by_way_of_an_unknown_launcher_is_written_anew(home: Home) -> None:
    home.claude({"command": "/opt/gone/firejail", "args": ["--net=none", "runapi-mcp"]})
    typed(home, home.doctor().one("command", "/opt/gone/firejail")["mend"])
    assert home.doctor(status=0).severities() == {"fine"}


def test_a_setting_with_a_space_in_it_is_taken_over_whole(home: Home) -> None:
    folder = home.path / "my pictures"
    home.environ["RUNAPI_OUTPUT_DIR"] = str(folder)
    home.codex('env_vars = ["RUNAPI_BASE_URL", "RUNAPI_API_KEY"]')
    typed(home, home.doctor(status=0).one("settings", "RUNAPI_OUTPUT_DIR is set")["mend"])
    assert home.doctor(status=0).one("pictures", str(folder))["severity"] == "fine"


def test_a_key_that_codex_does_not_hand_on_is_handed_on_after_fix(home: Home) -> None:
    home.codex('env_vars = ["RUNAPI_BASE_URL"]')
    told = home.run("doctor", "--fix")
    assert told.status == 0, told.text
    assert "mended: Codex: env_vars" in told.text


def test_a_template_is_harmless_once_a_key_is_saved(home: Home) -> None:
    del home.environ["RUNAPI_API_KEY"]
    home.claude({**OURS, "env": {"RUNAPI_API_KEY": "${RUNAPI_API_KEY}"}})
    assert home.doctor().one("template", "RUNAPI_API_KEY")["mend"] == f"{US} login"
    home.config({"api_key": KEY})
    typed(home, home.doctor(status=0).one("template", "RUNAPI_API_KEY")["mend"])
    assert home.doctor(status=0).severities() == {"fine"}
