"""What install does where it may not write, and with notes that another version wrote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.install_world import everything, home, keep, one_server, unprivileged
from tests.support.processes import finished

STATE = ".local/state/runapi-mcp"


def test_one_closed_folder_is_told_and_stops_no_other_host() -> None:
    for folder in (".codex", ".cursor", ".kiro"):
        (home() / folder).mkdir()
    (closed := home() / ".cursor").chmod(0)
    told = (
        f"runapi-mcp: Cursor: {closed}/mcp.json cannot be read: Permission denied. Give yourself "
        "access to it and to its folder, then run this again; it was left as it is.\n"
    )
    listed = unprivileged("install").stdout
    assert [line.split()[1] for line in listed.splitlines()[:3]] == ["codex", "cursor", "kiro"]
    assert f"cursor  cannot be read: Permission denied.  {closed}/mcp.json\n" in listed
    ran = unprivileged("install", "codex", "cursor", "kiro")
    assert (ran.returncode, ran.stderr) == (2, told)
    assert ("Codex: added." in ran.stdout, "Kiro: added." in ran.stdout) == (True, True)
    for options in (["--dry-run"], ["--restore"], []):
        ran = unprivileged("uninstall", "cursor", "kiro", *options)
        assert (ran.returncode, ran.stderr.splitlines()[0]) == (2, told.rstrip())
    closed.chmod(0o700)


def test_a_file_that_cannot_be_removed_stays_with_its_note() -> None:
    assert finished("install", "cursor").returncode == 0
    (folder := home() / ".cursor").chmod(0o500)
    ran = unprivileged("uninstall", "cursor")
    assert (ran.returncode, "cannot be removed: Permission denied. " in ran.stderr) == (2, True)
    folder.chmod(0o700)
    assert unprivileged("uninstall", "cursor").returncode == 0
    assert everything(home()) == set()


def test_where_nothing_can_be_noted_nothing_is_changed() -> None:
    keep(path := home() / ".cursor" / "mcp.json", "{}")
    assert finished("install", "cursor").returncode == 0
    before = path.read_text()
    (state := home() / STATE).chmod(0o500)
    for command in (
        ["uninstall", "cursor"],
        ["install", "kiro"],
        ["install", "cursor", "--env=A=1"],
    ):
        ran = unprivileged(*command)
        assert (ran.returncode, "cannot be written: Permission denied. Nothing" in ran.stderr) == (
            2,
            True,
        )
        assert (path.read_text(), (home() / ".kiro").exists()) == (before, False)
    state.chmod(0o700)


def test_a_path_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_HOME", "/" + "x" * 300)
    (home() / ".codex").mkdir()
    for command in (["install", "codex"], ["uninstall", "codex"]):
        ran = finished(*command)
        assert "File name too long. Name a shorter path" in ran.stderr
    assert finished("install").returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1",
        "http://localhost:99999/mcp",
        "https://a b/mcp",
        "https://x:0/mcp",
        "https://",
    ],
)
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    ran = finished("install", "cursor", "--http", url)
    assert ran.stderr == f"runapi-mcp: {url!r} is not an address. Write it as https://host/mcp.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--env", "A=\udcff"], "--env A is not text in UTF-8. Write it in UTF-8."),
        (["--env", "\udcff=A"], r"'\\udcff' is not a variable's name. Write --env NAME=VALUE."),
        (["--http", "https://x/\udcff"], "--http is not text in UTF-8. Write it in UTF-8."),
    ],
)
def test_words_that_are_no_text_are_refused(options: list[str], sentence: str) -> None:
    ran = finished("install", "cursor", *options)
    assert (ran.returncode, ran.stderr) == (2, f"runapi-mcp: {sentence}\n")


@pytest.mark.parametrize("given", ["RUNAPI_DALY_BUDGET=1", "RUNAPI_DALY_BUDGET"])
def test_a_misspelt_limit_is_installed_nowhere(given: str) -> None:
    ran = finished("install", "cursor", "--env", given)
    assert (ran.returncode, everything(home())) == (2, set())
    assert ran.stderr == (
        "runapi-mcp: RUNAPI_DALY_BUDGET is no setting; did you mean RUNAPI_DAILY_BUDGET? The limit "
        "would not hold. Correct the name, or unset it.\n"
    )


def test_an_older_entry_with_half_a_character_is_left_and_told() -> None:
    keep(path := home() / ".cursor" / "mcp.json", "")
    path.write_text(
        text := one_server({"command": "runapi-mcp", "args": ["\ud800"]}), encoding="ascii"
    )
    for options in ([], ["--dry-run"]):
        ran = finished("install", "cursor", *options)
        assert (ran.returncode, "half of a character (\\ud800)" in ran.stderr) == (2, True)
        assert path.read_text() == text
    assert finished("uninstall", "cursor").returncode == 0


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    command = f"cd {tmp_path} && mkdir x && cd x && rmdir ../x && {sys.executable} -P -m runapi_mcp"
    ran = subprocess.run(  # noqa: S602 - our own command
        f"{command} install codex", shell=True, capture_output=True, text=True, check=False
    )
    assert ran.stderr.endswith("runs in is not there any more. Change to one that is.\n")


def test_a_users_own_copy_beside_a_file_is_no_backup_of_ours() -> None:
    keep(path := home() / ".cursor" / "mcp.json", "{}")
    keep(mine := path.with_name("mcp.json.runapi-1-mine.bak"), "mine")
    for _ in range(3):
        assert finished("install", "cursor").returncode == 0
        assert finished("uninstall", "cursor").returncode == 0
    assert mine.read_text() == "mine"
    assert len(list(path.parent.glob("*Z.bak"))) == 3
    for backup in path.parent.glob("*Z.bak"):
        backup.unlink()
    ran = finished("uninstall", "cursor", "--restore")
    assert "has no backup to put back. Uninstall without --restore." in ran.stderr


def test_what_was_written_into_a_file_of_ours_since_is_kept_when_it_goes() -> None:
    path = home() / ".cursor" / "mcp.json"
    assert finished("install", "cursor").returncode == 0
    mine = path.read_text().replace('"runapi_mcp"]', '"runapi_mcp", "--sandbox"]')
    path.write_text(mine)
    assert finished("uninstall", "cursor").returncode == 0
    [backup] = path.parent.iterdir()
    assert backup.read_text() == mine
    backup.unlink()
    assert finished("install", "cursor").returncode == 0
    assert finished("install", "cursor", "--env", "A=1").stdout.startswith("Cursor: updated.")
    for kept in path.parent.glob("*.bak"):
        kept.unlink()
    assert finished("uninstall", "cursor").returncode == 0
    assert everything(home()) == set()


@pytest.mark.parametrize(
    "note",
    [
        {},
        "text",
        {"around": {}, "new_file": False, "folders": [], "newer": 1},
        {"around": {"depth": 0, "newer": 1}, "new_file": "no", "folders": 3},
        {"around": {"depth": None, "empty": None}, "new_file": False},
    ],
)
def test_a_note_that_another_version_wrote_is_taken_for_what_it_says_or_for_none(
    note: object,
) -> None:
    keep(path := home() / ".cursor" / "mcp.json", '{"mine": 1}')
    assert finished("install", "cursor").returncode == 0
    notes = home() / STATE / "installed.json"
    notes.write_text(json.dumps({str(path): note, "/other": {"newer": 2}}))
    assert finished("install", "cursor").stdout.startswith("Cursor: already there.")
    ran = finished("uninstall", "cursor")
    assert (ran.returncode, ran.stderr, "runapi" in path.read_text()) == (0, "", False)
    assert json.loads(notes.read_text()) == {"/other": {"newer": 2}}


def test_a_note_whose_entry_never_came_does_no_harm() -> None:
    path = home() / ".cursor" / "mcp.json"
    keep(path, "{}")
    url = ("cursor", "--http", "https://draw.example/x")
    assert finished("install", *url).returncode == 0
    with_entry = path.read_text()
    # Killed between its note and the file: as if the file had not been written.
    path.write_text("{}")
    assert finished("uninstall", "cursor").stdout.startswith("Cursor: not there.")
    assert finished("install", *url).stdout.startswith("Cursor: added.")
    assert path.read_text() == with_entry
    assert finished("uninstall", "cursor").returncode == 0
    assert path.read_text() == "{}"


def test_an_entry_that_was_put_back_can_be_taken_out() -> None:
    path = home() / ".kiro" / "settings" / "mcp.json"
    keep(path, "{}")
    assert finished("install", "kiro", "--http", "https://draw.example/x").returncode == 0
    for text in ("{}", path.read_text()):
        assert finished("uninstall", "kiro", "--restore").returncode == 0
        assert path.read_text() == text
    assert finished("uninstall", "kiro").stdout.startswith("Kiro: removed.")
    assert path.read_text() == "{}"
