"""What install and uninstall say and ask."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from runapi_mcp.base.hosts.table import HOSTS, host_named
from tests.support.install_world import NO_KEY, everything, home, keep, one_server
from tests.support.processes import LIMIT_SECONDS, finished
from tests.support.terminal import at_terminal


def test_files_that_are_not_for_changing_are_named_and_left() -> None:
    home = Path(os.environ["HOME"])
    keep(home / ".claude.json", "{}", 0o444)
    (home / ".codex" / "config.toml").mkdir(parents=True)
    keep(home / ".cursor" / "mcp.json", "\0\1binary")
    (home / ".warp").mkdir()
    (home / ".warp" / ".mcp.json").write_bytes(b'{\n"a": "\xff"}')
    (home / ".kiro").write_text("a file where a folder should be")
    (home / ".lmstudio").mkdir()
    (home / ".lmstudio" / "mcp.json").symlink_to("mcp.json")
    names = ["claude-code", "codex", "cursor", "warp", "kiro", "lm-studio"]
    ran = finished("install", *names)
    assert ran.returncode == 2
    said = ran.stderr.replace(f"{home}/", "~/").splitlines()
    assert [line.removeprefix("runapi-mcp: ").partition(". ")[0] for line in said] == [
        "Claude Code: ~/.claude.json is read-only",
        "Codex: ~/.codex/config.toml is a folder, not a file",
        "Cursor: ~/.cursor/mcp.json is not text, so its host cannot read it either",
        "Warp: ~/.warp/.mcp.json is not text in UTF-8 (line 2)",
        "Kiro: ~/.kiro/settings/mcp.json cannot be read: Not a directory",
        "LM Studio: ~/.lmstudio/mcp.json cannot be read: Too many levels of symbolic links",
    ]


def test_without_a_terminal_the_hosts_found_are_listed_and_nothing_is_done() -> None:
    home = Path(os.environ["HOME"])
    assert finished("install", environment={"PATH": ""}).stdout == (
        "None found on this machine. Name one to go ahead all the same:\n"
        "  claude-code codex cursor windsurf vscode claude-desktop gemini qwen opencode copilot "
        "cline zed goose kiro lm-studio warp\n"
    )
    (home / ".codex").mkdir()
    keep(home / ".cursor" / "mcp.json", "{broken")
    assert finished("install", environment={"PATH": ""}).stdout == (
        f"  1  codex   not installed  {home}/.codex/config.toml\n"
        f"  2  cursor  cannot be read: line 1: Expecting property name "
        f"enclosed in double quotes.  {home}/.cursor/mcp.json\n"
        "Name those that you mean.\n"
    )
    listed = json.loads(finished("install", "--json", environment={"PATH": ""}).stdout)
    assert listed[0] == {
        "host": "codex",
        "file": f"{home}/.codex/config.toml",
        "state": "not installed",
    }
    assert everything(home) == {".cursor/mcp.json"}


def test_in_a_terminal_a_person_is_asked() -> None:
    home = Path(os.environ["HOME"])
    for folder in (".codex", ".cursor", ".warp"):
        (home / folder).mkdir()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runapi_mcp", "install"]
    environ = {**os.environ, "PATH": ""}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environ) as running:  # noqa: S603 - our own command
        os.close(theirs)
        os.write(ours, b"1, warp\n")
        assert running.wait(LIMIT_SECONDS) == 0
    os.close(ours)
    assert everything(home) == {".codex/config.toml", ".warp/.mcp.json"}


def test_an_unknown_host_is_met_with_the_one_that_was_meant() -> None:
    ran = finished("install", "claud-code")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith("Did you mean claude-code?\n")


def test_json_says_what_was_done() -> None:
    path = Path(os.environ["HOME"]) / ".codex" / "config.toml"
    ran = finished("install", "codex", "--json")
    assert json.loads(ran.stdout) == [{"host": "codex", "file": str(path), "outcome": "added"}]
    assert ran.stderr == NO_KEY
    path.write_text(path.read_text() + "broken")
    told = json.loads(finished("uninstall", "codex", "--json").stdout)
    assert told[0]["outcome"] == "failed"
    assert f"{path}, line " in told[0]["error"]


def test_a_person_is_asked_again_until_all_of_the_answer_is_understood() -> None:
    for folder in (".codex", ".cursor"):
        (home() / folder).mkdir()
    answers = ["1-2", "99", "nothing like it", "ALL"]
    said = answered("install", *answers)
    for sentence in (
        "Unknown host '1-2'. Write such as: 1, cursor; or all.",
        "There is no number 99 here. Write such as: 1, cursor; or all.",
        "Unknown host 'nothing'.",
        "Codex: added.",
        "Cursor: added.",
    ):
        assert sentence in said
    assert "removed" not in answered("uninstall", "none")


def answered(command: str, *answers: str) -> str:
    """What a command says to a person in a terminal who gives these answers."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "runapi_mcp", command]
    environ = {**os.environ, "PATH": ""}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, env=environ) as running:  # noqa: S603 - our own command
        os.close(theirs)
        os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
        said = b""
        while part := read_from(ours):
            said += part
        assert running.wait(LIMIT_SECONDS) == 0
    os.close(ours)
    return said.decode()


def read_from(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # its other end is closed


def test_who_takes_the_server_out_is_not_told_to_turn_it_on() -> None:
    keep(home() / ".cursor" / "mcp.json", "{}")
    assert finished("install", "cursor", "warp").returncode == 0
    ran = finished("uninstall", "cursor", "warp")
    assert ran.stdout.splitlines()[::2][0] == "Cursor: removed. Restart Cursor."
    assert "Warp: removed. Restart Warp." in ran.stdout
    ran = finished("uninstall", "cursor", "--restore")
    assert ran.stdout.startswith("Cursor: restored. Restart Cursor.\n")


def test_the_list_tells_another_server_from_ours_and_offers_only_ours_to_uninstall() -> None:
    path = {"PATH": ""}
    foreign = home() / ".cursor" / "mcp.json"
    keep(foreign, one_server({"command": "npx", "args": ["@runapi/mcp"]}))
    assert finished("install", "codex").returncode == 0
    (codex := home() / ".codex" / "config.toml").chmod(0o400)
    assert finished("install", environment=path).stdout == (
        f"  1  codex   is installed   {codex}\n"
        f"  2  cursor  has another server called runapi  {foreign}\n"
        "Name those that you mean.\n"
    )
    assert [each["state"] for each in json.loads(finished("install", "--json").stdout)] == [
        "installed",
        "another server",
    ]
    offered = json.loads(finished("uninstall", "--json", environment=path).stdout)
    assert [each["host"] for each in offered] == ["codex"]


def test_uninstall_without_any_says_so_and_names_what_can_be_named() -> None:
    (home() / ".codex").mkdir()
    said = finished("uninstall", environment={"PATH": ""}).stdout
    names = " ".join(host.name for host in HOSTS)
    assert said == (
        f"No host on this machine has these tools. Name one to go ahead all the same:\n  {names}\n"
    )


def test_print_with_json_is_json() -> None:
    [told] = json.loads(finished("install", "cursor", "--print", "--json").stdout)
    assert (told["host"], told["file"]) == ("cursor", str(home() / ".cursor" / "mcp.json"))
    assert told["entry"] == finished("install", "cursor", "--print").stdout


def test_all_names_each_host_on_this_machine_and_all_that_have_an_entry() -> None:
    for folder in (".codex", ".cursor", ".warp"):
        (home() / folder).mkdir()
    path = {"PATH": ""}
    ran = finished("install", "all", environment=path)
    assert [line for line in ran.stdout.splitlines() if ": added." in line] == [
        f"{host_named(name).title}: added. {host_named(name).next_step}"
        for name in ("codex", "cursor", "warp")
    ]
    assert finished("uninstall", "warp").returncode == 0
    gone = finished("uninstall", "ALL", environment=path)
    assert (gone.returncode, gone.stdout.count(": removed.")) == (0, 2)
    both = finished("install", "kiro", "all", "codex", environment=path)
    assert (both.returncode, both.stdout.count(": added.")) == (0, 4)


def test_a_sandbox_is_installed_by_its_short_name() -> None:
    ran = finished("install", "kiro", "--sandbox")
    assert (ran.returncode, "no API key" in ran.stdout) == (0, False)
    short = (home() / ".kiro/settings/mcp.json").read_text()
    assert finished("uninstall", "kiro").returncode == 0
    assert finished("install", "kiro", "--env", "RUNAPI_SANDBOX=1").returncode == 0
    assert (home() / ".kiro/settings/mcp.json").read_text() == short


LATER = '{"theme": "dark"}'
CHANGES = {
    "added": ("{}", LATER),
    "removed": (LATER, "{}"),
    "ruined": (LATER, "ruined {"),
    "beside the entry": (
        "{}",
        '{"mcpServers": {"other": {"command": "x"}, "runapi": {"command": "runapi-mcp"}}}',
    ),
}
"""What a file was when install came, and what somebody else made of it since."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_backup_comes_back_over_what_others_wrote_only_after_a_yes(change: str) -> None:
    before, after = CHANGES[change]
    keep(path := home() / ".cursor" / "mcp.json", before)
    assert finished("install", "cursor").returncode == 0
    path.write_text(after)
    restore = ("uninstall", "cursor", "--restore")
    refused = finished(*restore)
    assert (refused.returncode, refused.stdout, path.read_text()) == (2, "", after)
    assert "Cursor: written since the backup, and undone with it:" in refused.stderr
    assert f"\n-{after}\n" in refused.stderr or '"other"' in refused.stderr
    assert "Nothing was changed. Add --yes to restore it all the same." in refused.stderr
    status, said = at_terminal(*restore, answers="n\n")
    assert (status, "It was not put back." in said, path.read_text()) == (2, True, after)
    status, said = at_terminal(*restore, answers="y\n")
    assert (status, "Cursor: restored." in said, path.read_text()) == (0, True, before)


def test_a_backup_comes_back_without_a_terminal_after_a_yes_beforehand() -> None:
    keep(path := home() / ".cursor" / "mcp.json", "{}")
    assert finished("install", "cursor").returncode == 0
    path.write_text(LATER)
    assert finished("uninstall", "cursor", "--restore", "--yes").returncode == 0
    assert path.read_text() == "{}"
