"""`runapi-mcp install` and `uninstall` by the front door, in an empty home, for every host."""

import json
import os
import pty
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from runapi_mcp.errors import NotConfigured
from runapi_mcp.hosts import files, installing
from runapi_mcp.hosts.places import Machine
from runapi_mcp.hosts.table import HOSTS, HostConfig
from tests.processes import finished

pytestmark = pytest.mark.timeout(60)

KEY = "sandbox-key-of-a-test"
NO_KEY = (
    "There is no API key yet: run runapi-mcp login. "
    "Until then, --env RUNAPI_SANDBOX=1 practises without one.\n"
)
OTHERS = {
    "json": '{"before": [1,2 ], "%s": { "other":{"command":"x"} },\n  "after": null}',
    "json with comments": '{ // mine\n  "%s": {\n    "other": {"command": "x"} // its\n  }\n}\n',
    "jsonc": '// top\n{\n\t"%s": {\n\t\t"other": {"command": "x"}, /* its */\n\t},\n}',
    "toml": 'model = "m" # mine\n\n[%s.other]\ncommand = "x"\n# end',
    "yaml": "# top\n%s: # mine\n    other: {cmd: x}\n\nlast: 1\n",
}
BROKEN = {
    "json": ('{\n  "a": 1,\n}\n', 2),
    "json with comments": ('{ // note\n  "a": 1,\n}\n', 2),
    "jsonc": ("{\n  a: 1\n}\n", 2),
    "toml": ("a = 1\nb = \n", 2),
    "yaml": ("a: 1\nb: [1\nc: 2\n", 3),
}
EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)


def file_of(host: HostConfig) -> Path:
    """Where install puts a host's entry in this test's home."""
    return installing.file_of(host, "user", Machine("linux", os.environ, "/"))


def keep(path: Path, text: str, mode: int = 0o640) -> None:
    """The file as a person has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(mode)


def read(host: HostConfig, path: Path) -> dict[str, Any]:
    """The servers of a host's file, without what the standard library cannot read."""
    text = path.read_text()
    match host.dialect:
        case "toml":
            found: Any = tomllib.loads(text)
        case "yaml":
            found = cast("Any", YAML(typ="safe", pure=True)).load(text)
        case _:
            lines = [line.partition("//")[0].partition("/*")[0] for line in text.splitlines()]
            found = json.loads("".join(lines).replace(",\t}", "}").replace(",}", "}"))
    for key in host.container:
        found = found[key]
    return cast("dict[str, Any]", found)


def printed_for(name: str) -> str:
    """What `--print` says of a host."""
    return finished("install", name, "--print").stdout


def started(host: HostConfig, entry: Mapping[str, Any]) -> list[str]:
    """The command that an entry starts."""
    inner = entry[host.wrapped] if host.wrapped else entry
    command = inner[host.stdio.command]
    return [*command] if host.stdio.args is None else [command, *inner[host.stdio.args]]


def everything(folder: Path) -> set[str]:
    """Every file of a home, without what install notes for itself."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in paths if "runapi-mcp" not in path.parts}


@EVERY_HOST
def test_an_absent_file_comes_with_the_entry_and_goes_with_it(host: HostConfig) -> None:
    path, home = file_of(host), Path(os.environ["HOME"])
    ran = finished("install", host.name)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"{host.title}: added. {host.then}\n  {path}\n{NO_KEY}"
    assert everything(home) == {str(path.relative_to(home))}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    command = started(host, read(host, path)["runapi"])
    assert command == [sys.executable, "-P", "-m", "runapi_mcp"]
    assert Path(command[0]).is_absolute()
    assert finished("install", host.name).stdout.startswith(
        f"{host.title}: already there.\n  {path}\n"
    )
    assert finished("uninstall", host.name).stdout.startswith(f"{host.title}: removed. ")
    assert everything(home) == set()
    assert finished("uninstall", host.name).stdout == f"{host.title}: not there.\n  {path}\n"


@EVERY_HOST
@pytest.mark.parametrize("text", ["", "\n\n"], ids=["empty", "blank"])
def test_an_empty_file_is_empty_again_after_both(host: HostConfig, text: str) -> None:
    keep(path := file_of(host), text)
    assert finished("install", host.name).returncode == 0
    assert started(host, read(host, path)["runapi"])[0] == sys.executable
    assert finished("uninstall", host.name).returncode == 0
    assert path.read_bytes() == text.encode()


@EVERY_HOST
def test_other_servers_and_comments_stay_byte_for_byte(host: HostConfig) -> None:
    path, text = file_of(host), OTHERS[host.dialect] % host.container
    keep(path, text)
    ran = finished("install", host.name)
    [backup] = path.parent.glob(f"{path.name}.runapi-*.bak")
    assert ran.stdout == (
        f"{host.title}: added. {host.then}\n  {path}\n  as it was: {backup}\n{NO_KEY}"
    )
    assert backup.read_text() == text
    assert set(read(host, path)) == {"other", "runapi"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, backup)} == {0o640}
    assert finished("uninstall", host.name).returncode == 0
    assert path.read_bytes() == text.encode()
    assert len(list(path.parent.glob("*.tmp"))) == 0


@EVERY_HOST
def test_a_broken_file_is_left_alone_and_its_line_told(host: HostConfig) -> None:
    path, (text, line) = file_of(host), BROKEN[host.dialect]
    keep(path, text)
    for command in ("install", "uninstall"):
        ran = finished(command, host.name)
        assert ran.returncode == 2
        assert ran.stderr.startswith(f"runapi-mcp: {host.title}: {path}, line {line}: ")
        assert path.read_text() == text
    assert list(path.parent.glob("*.bak")) == []


@EVERY_HOST
def test_our_older_entry_is_updated_in_place_and_keeps_what_its_user_added(
    host: HostConfig,
) -> None:
    path = file_of(host)
    assert finished("install", host.name, "--env", "MINE=1").returncode == 0
    text = path.read_text()
    older = text.replace(json.dumps(sys.executable), '"/old/uvx"')
    older = older.replace('"-P", "-m", "runapi_mcp"', '"runapi-mcp==0.0.1", "--sandbox"')
    path.write_text(older)
    ran = finished("install", host.name, "--env", "YOURS=2")
    said = f"{host.title}: updated. {host.then}\n  {path}\n  as it was: "
    assert ran.stdout.startswith(said)
    entry = read(host, path)["runapi"]
    assert started(host, entry) == [sys.executable, "-P", "-m", "runapi_mcp", "--sandbox"]
    inner = entry[host.wrapped] if host.wrapped else entry
    assert inner[host.stdio.env] == {"MINE": "1", "YOURS": "2"}


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


def test_a_link_stays_one_and_what_it_leads_to_is_changed() -> None:
    home = Path(os.environ["HOME"])
    keep(home / "dotfiles" / "claude", "{}")
    (home / ".claude.json").symlink_to("dotfiles/claude")
    assert finished("install", "claude-code").returncode == 0
    assert (home / ".claude.json").readlink() == Path("dotfiles/claude")
    assert "runapi" in (home / "dotfiles" / "claude").read_text()
    assert finished("uninstall", "claude-code").returncode == 0
    assert (home / "dotfiles" / "claude").read_text() == "{}"


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
        "Cursor: ~/.cursor/mcp.json is not text",
        "Warp: ~/.warp/.mcp.json is not text in UTF-8 (line 2)",
        "Kiro: ~/.kiro/settings/mcp.json cannot be read: Not a directory",
        "LM Studio: ~/.lmstudio/mcp.json cannot be read: Too many levels of symbolic links",
    ]


def test_a_file_of_fifty_megabytes_is_changed_and_a_larger_one_left() -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    text = '{"history": ["%s"], "mcpServers": {}}' % ("x" * 50_000_000)
    keep(path, text)
    assert finished("install", "claude-code").returncode == 0
    assert finished("uninstall", "claude-code").returncode == 0
    assert path.read_text() == text
    keep(path, text + " " * 20_000_000)
    ran = finished("install", "claude-code")
    assert ran.stderr.startswith(
        f"runapi-mcp: Claude Code: {path} has 70 MB, more than the 60 MB that are read here. "
    )


def test_a_key_that_stands_there_twice_is_refused() -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    keep(path, '{"mcpServers": {},\n "mcpServers": {}}')
    ran = finished("install", "claude-code")
    assert f"{path}, line 2: “mcpServers” stands there twice." in ran.stderr


def test_a_server_of_that_name_that_is_not_ours_stays() -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    keep(path, text := '{"mcpServers": {"runapi": {"command": "npx", "args": ["@runapi/mcp"]}}}')
    for command in ("install", "uninstall"):
        ran = finished(command, "claude-code")
        assert f"{path} has another server called runapi." in ran.stderr
        assert (ran.returncode, path.read_text()) == (2, text)


def test_two_installers_at_once_both_find_their_entries_whole() -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    keep(path, '{"mcpServers": {}}')
    with ThreadPoolExecutor(6) as pool:
        ran = list(pool.map(finished, ["install"] * 6, ["claude-code"] * 6))
    said = sorted(each.stdout.partition(".")[0] for each in ran)
    assert said == ["Claude Code: added", *["Claude Code: already there"] * 5]
    assert finished("uninstall", "claude-code").returncode == 0
    assert path.read_text() == '{"mcpServers": {}}'


def test_an_installer_waits_for_another_one() -> None:
    home = Path(os.environ["HOME"])
    (state := home / ".local" / "state" / "runapi-mcp").mkdir(parents=True)
    command = [sys.executable, "-m", "runapi_mcp", "install", "claude-code"]
    with FileLock(state / "installed.lock"):
        running = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own command
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(2)
        assert everything(home) == set()
    assert running.communicate(timeout=10)[0].startswith(b"Claude Code: added. ")


def test_what_a_host_writes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    keep(path := tmp_path / "settings.json", "{}")
    opened = files.opened(path, "json")
    path.write_text('{"by": "its host"}')
    with pytest.raises(NotConfigured, match="was changed by another program just now"):
        files.replaced(opened, '{"by": "us"}')
    assert path.read_text() == '{"by": "its host"}'
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_few_backups_are_kept_and_the_newest_can_be_put_back() -> None:
    path = Path(os.environ["HOME"]) / ".claude.json"
    keep(path, '{"mine": 1}')
    for _ in range(3):
        assert finished("install", "claude-code").returncode == 0
        assert finished("uninstall", "claude-code").returncode == 0
    assert len(list(path.parent.glob("*.bak"))) == 3
    with_entry = finished("install", "claude-code") and path.read_text()
    keep(path, "ruined")
    ran = finished("uninstall", "claude-code", "--restore")
    assert ran.returncode == 0
    assert (path.read_text(), "runapi" in with_entry) == ('{"mine": 1}', True)


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


def test_a_project_has_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [host.name for host in HOSTS if host.project]
    assert finished("install", *names, "--scope", "project").returncode == 0
    assert everything(tmp_path) == {host.project[0] for host in HOSTS if host.project}
    refused = finished("install", "windsurf", "--scope", "project")
    assert "Windsurf reads no file of a project. Use --scope user." in refused.stderr
    assert finished("uninstall", *names, "--scope", "project").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_the_hosts_found_are_listed_and_nothing_is_done() -> None:
    home = Path(os.environ["HOME"])
    assert finished("install", environment={"PATH": ""}).stdout == (
        "None found on this machine. Name a host to go ahead all the same.\n"
    )
    (home / ".codex").mkdir()
    keep(home / ".cursor" / "mcp.json", "{broken")
    assert finished("install", environment={"PATH": ""}).stdout == (
        f"  1  codex   not installed  {home}/.codex/config.toml\n"
        f"  2  cursor  cannot be read: {home}/.cursor/mcp.json, line 1: Expecting property name "
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
        assert running.wait(10) == 0
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


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives away")
def test_under_sudo_every_file_and_folder_stays_the_users() -> None:
    home = Path(os.environ["HOME"])
    os.chown(home, 1234, 1234)
    assert finished("install", "codex", "--env", "RUNAPI_API_KEY=sk-0123456789").returncode == 0
    made = [path for path in home.rglob("*") if "pycache" not in str(path)]
    assert {path.name for path in made} >= {"config.toml", "config.json", "installed.json"}
    assert {(path.name, path.stat().st_uid) for path in made if path.stat().st_uid != 1234} == set()
