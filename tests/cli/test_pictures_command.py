"""`runapi-mcp pictures` and `tasks --open`: what a person in a terminal gets of past pictures."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.cli.desktop import open_file, show_in_folder
from tests.support.install_world import TYPED
from tests.support.past_pictures import past_pictures, prompts_of, task_id
from tests.support.processes import finished, program

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other openers")
pytestmark = [pytest.mark.anyio, LINUX]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S+")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def program_that(writes: str, name: str, folder: Path, status: int = 0) -> dict[str, str]:
    """The environment of a person whose system has a program of this name."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    path = programs / name
    path.write_text(f'#!/bin/sh\necho {writes} >> "{folder}/opened"\nexit {status}\n')
    path.chmod(0o755)
    return {"PATH": f"{programs}:/usr/bin:/bin", "DISPLAY": ":1"}


def opened(folder: Path) -> str:
    told = folder / "opened"
    return told.read_text() if told.exists() else ""


async def test_the_page_answers_whom_the_terminal_gave_its_address(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    async with past_pictures(tmp_path, ledger) as past:
        await past.draw("a fox")
    environment = {
        "RUNAPI_LEDGER": str(ledger),
        "BROWSER": f"{sys.executable} -c 'import sys;print(sys.argv)' %s",
    }
    async with program("pictures", environment=environment) as running:
        [address] = ADDRESS.findall(await running.stdout.holding("/?token="))
        assert address in await running.stdout.holding("['-c', 'http://127.0.0.1:")
        async with httpx.AsyncClient() as browser:
            place = (await browser.get(address)).headers["refresh"].partition("url=")[2]
            listed = await browser.get(httpx.URL(address).join(f"{place}pictures"))
        assert prompts_of(listed) == ["a fox"]
        assert not any("ssh" in line for line in running.stdout.seen)


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"RUNAPI_LEDGER": "off"}, "RUNAPI_LEDGER is off"),
        ({"RUNAPI_SANDBOX": "1"}, "RUNAPI_SANDBOX is on"),
    ],
)
def test_without_a_ledger_there_is_nothing_to_look_through(
    environment: dict[str, str], why: str
) -> None:
    refused = finished("pictures", environment=environment)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"runapi-mcp: There are no pictures to look through, because no ledger is kept: {why}. "
        "Unset it to look through those of a ledger.\n"
    )


async def test_a_task_is_opened_by_its_id(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    async with past_pictures(tmp_path, ledger) as past:
        drawn = await past.draw()
    environment = {"RUNAPI_LEDGER": str(ledger), **program_that('"$1"', "xdg-open", tmp_path)}
    for arguments in ("--open", drawn), (drawn.upper(), "--open"):
        ran = finished("tasks", *arguments, environment=environment)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert opened(tmp_path) == f"{past.file(drawn)}\n" * 2


def leave(_: Path) -> None:
    """As it is."""


def change(file: Path) -> None:
    file.write_bytes(b"else")


NOBODY = task_id(99)
ASKS = f"`{TYPED} tasks {NOBODY}` asks RunAPI for it."
FETCHES = f"`{TYPED} tasks {task_id(1)}` fetches it, as long as RunAPI has it."


@pytest.mark.parametrize(
    ("asked", "spoil", "screen", "says"),
    [
        (task_id(1), Path.unlink, {}, f"FILE is gone. {FETCHES}"),
        (task_id(1), change, {}, "FILE was changed since it was saved. Look at what it is."),
        (
            task_id(1),
            leave,
            {"DISPLAY": ""},
            "There is no screen here to show FILE on. Copy it to yours.",
        ),
        (
            task_id(1),
            leave,
            {"SSH_TTY": "/dev/pts/0"},
            "There is no screen here to show FILE on. Copy it to yours.",
        ),
        (task_id(1), leave, {"PATH": "/nowhere"}, "No program here opens FILE. Open it by hand."),
        (
            NOBODY,
            leave,
            {},
            f"Task {NOBODY} is not in this machine's ledger. {ASKS}",
        ),
        ("fox", leave, {}, f"'fox' is not a task id. `{TYPED} tasks` lists them."),
        (None, leave, {}, f"--open needs a TASK_ID. `{TYPED} tasks` lists them."),
    ],
    ids=["gone", "changed", "no screen", "far", "no opener", "unknown", "no id", "none named"],
)
async def test_what_cannot_be_opened_is_said_in_a_sentence(
    asked: str | None,
    spoil: Callable[[Path], None],
    screen: dict[str, str],
    says: str,
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    async with past_pictures(tmp_path, ledger) as past:
        file = past.file(await past.draw())
    spoil(file)
    system = {**program_that('"$1"', "xdg-open", tmp_path), **screen}
    words = ["--open", *([asked] if asked else [])]
    ran = finished("tasks", *words, environment={"RUNAPI_LEDGER": str(ledger), **system})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"runapi-mcp: {says.replace('FILE', str(file))}\n"
    assert opened(tmp_path) == ""


@pytest.mark.parametrize(
    ("status", "folders"), [(0, ""), (1, "FOLDER\n")], ids=["with a file manager", "without one"]
)
def test_a_file_is_selected_in_its_folder_or_the_folder_opened(
    status: int, folders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a, b.png"
    program_that('"$6"', "dbus-send", tmp_path, status)
    for name, value in program_that('"$1"', "xdg-open", tmp_path).items():
        monkeypatch.setenv(name, value)
    show_in_folder(file)
    selected = f"array:string:file://{tmp_path}/a%2C%20b.png\n"
    assert opened(tmp_path) == selected + folders.replace("FOLDER", str(tmp_path))


def test_an_opener_that_fails_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in program_that("tried", "xdg-open", tmp_path, status=3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    with pytest.raises(NotConfigured, match="No program here opens"):
        open_file(tmp_path / "fox.png")
    assert opened(tmp_path) == "tried\n"
