"""What install and uninstall say and ask."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from runapi_mcp.base.hosts.table import HOSTS
from tests.support.install_world import NO_KEY, everything, home, keep, one_server
from tests.support.processes import LIMIT_SECONDS, finished


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
    assert ran.stdout.splitlines()[::2][0] == "Cursor: removed. Cursor notices at its next start."
    assert "Warp: removed. Warp notices at its next start." in ran.stdout
    ran = finished("uninstall", "cursor", "--restore")
    assert ran.stdout.startswith("Cursor: restored. Cursor notices at its next start.\n")


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
