"""`runapi-mcp install` and `uninstall` by the front door, in an empty home, for every host."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.setup.install.host_file import read_host_file
from tests.support.install_world import (
    BROKEN,
    EVERY_HOST,
    NO_KEY,
    OTHERS,
    everything,
    file_of,
    keep,
    read,
    started,
)
from tests.support.processes import LIMIT_SECONDS, finished


@EVERY_HOST
def test_an_absent_file_comes_with_the_entry_and_goes_with_it(host: Host) -> None:
    path, home = file_of(host), Path(os.environ["HOME"])
    ran = finished("install", host.name)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"{host.title}: added. {host.next_step}\n  {path}\n{NO_KEY}"
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
def test_an_empty_file_is_empty_again_after_both(host: Host, text: str) -> None:
    keep(path := file_of(host), text)
    assert finished("install", host.name).returncode == 0
    assert started(host, read(host, path)["runapi"])[0] == sys.executable
    assert finished("uninstall", host.name).returncode == 0
    assert path.read_bytes() == text.encode()


@EVERY_HOST
def test_other_servers_and_comments_stay_byte_for_byte(host: Host) -> None:
    path, text = file_of(host), OTHERS[host.dialect] % host.container
    keep(path, text)
    ran = finished("install", host.name)
    [backup] = path.parent.glob(f"{path.name}.runapi-*.bak")
    assert ran.stdout == (
        f"{host.title}: added. {host.next_step}\n  {path}\n  backup: {backup}\n{NO_KEY}"
    )
    assert backup.read_text() == text
    assert set(read(host, path)) == {"other", "runapi"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, backup)} == {0o640}
    assert finished("uninstall", host.name).returncode == 0
    assert path.read_bytes() == text.encode()
    assert len(list(path.parent.glob("*.tmp"))) == 0


@EVERY_HOST
def test_a_broken_file_is_left_alone_and_its_line_told(host: Host) -> None:
    path, (text, line) = file_of(host), BROKEN[host.dialect]
    keep(path, text)
    for command in ("install", "uninstall"):
        ran = finished(command, host.name)
        assert ran.returncode == 2
        assert ran.stderr.startswith(f"runapi-mcp: {host.title}: {path}, line {line}: ")
        assert path.read_text() == text
    assert list(path.parent.glob("*.bak")) == []


def test_a_link_stays_one_and_what_it_leads_to_is_changed() -> None:
    home = Path(os.environ["HOME"])
    keep(home / "dotfiles" / "claude", "{}")
    (home / ".claude.json").symlink_to("dotfiles/claude")
    assert finished("install", "claude-code").returncode == 0
    assert (home / ".claude.json").readlink() == Path("dotfiles/claude")
    assert "runapi" in (home / "dotfiles" / "claude").read_text()
    assert finished("uninstall", "claude-code").returncode == 0
    assert (home / "dotfiles" / "claude").read_text() == "{}"


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
    assert running.communicate(timeout=LIMIT_SECONDS)[0].startswith(b"Claude Code: added. ")


def test_what_a_host_writes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    keep(path := tmp_path / "settings.json", "{}")
    file = read_host_file(path, "json")
    path.write_text('{"by": "its host"}')
    with pytest.raises(NotConfigured, match="was changed by another program just now"):
        file.replace('{"by": "us"}')
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
    ran = finished("uninstall", "claude-code", "--restore", "--yes")
    assert ran.returncode == 0
    assert (path.read_text(), "runapi" in with_entry) == ('{"mine": 1}', True)


def test_a_project_has_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [host.name for host in HOSTS if host.project]
    assert finished("install", *names, "--scope", "project").returncode == 0
    assert everything(tmp_path) == {host.project[0] for host in HOSTS if host.project}
    refused = finished("install", "windsurf", "--scope", "project")
    assert "Windsurf reads no file of a project. Use --scope user." in refused.stderr
    assert finished("uninstall", *names, "--scope", "project").returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives away")
def test_under_sudo_every_file_and_folder_stays_the_users() -> None:
    home = Path(os.environ["HOME"])
    os.chown(home, 1234, 1234)
    assert finished("install", "codex", "--env", "RUNAPI_API_KEY=sk-0123456789").returncode == 0
    made = [path for path in home.rglob("*") if "pycache" not in str(path)]
    assert {path.name for path in made} >= {"config.toml", "config.json", "installed.json"}
    assert {(path.name, path.stat().st_uid) for path in made if path.stat().st_uid != 1234} == set()
