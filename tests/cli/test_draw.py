"""`runapi-mcp draw`: a person's way to a picture, with what is promised of money and of files."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from PIL import Image

from tests.support.processes import (
    SIGNALS,
    SLOW,
    Network,
    finished,
    network,
    program,
    small_png,
)
from tests.support.terminal import at_terminal, lines_left

pytestmark = pytest.mark.anyio
FOX = "a fox [[poll-after 0.1s]]"
ID = r"[0-9a-f]{8}-[0-9a-f-]{27}"
MEANWHILE = {"RUNAPI_WAIT_SECONDS": "0"}
"""The command does not wait for what it ordered."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Person:
    """In a folder, with a ledger and pictures of their own."""

    net: Network
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    async def draw(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        run = partial(finished, "draw", *arguments, environment=self.all(), folder=self.folder)
        return await anyio.to_thread.run_sync(run)

    def with_(self, **environment: str) -> "Person":
        return replace(self, environment={**self.environment, **environment})

    def all(self) -> dict[str, str]:
        places = {
            "RUNAPI_LEDGER": str(self.folder / "ledger.sqlite3"),
            "RUNAPI_OUTPUT_DIR": str(self.folder / "pictures"),
        }
        return {**self.net.environment(), **places, **self.environment}

    @property
    def tasks(self) -> list[str]:
        return list(self.net.account().tasks)

    def files(self) -> list[str]:
        """The pictures in the folder."""
        return sorted(path.name for path in self.folder.glob("*.*g"))


@asynccontextmanager
async def person(folder: Path) -> AsyncGenerator[Person]:
    async with network() as net:
        yield Person(net, folder)


def is_small(path: Path | str) -> bool:
    """Whether the picture is there as RunAPI gave it."""
    return Path(path).read_bytes() == small_png()


async def test_the_path_alone_is_on_stdout_and_the_same_command_draws_anew(tmp_path: Path) -> None:
    async with person(tmp_path) as at:
        paths: list[str] = []
        for number in (1, 2):
            drawn = await at.draw(FOX)
            assert (drawn.returncode, len(at.tasks)) == (0, number)
            assert drawn.stderr == "8x8, $0.05 in pretend money\n"
            paths += drawn.stdout.splitlines()
    assert [Path(path).parent for path in paths] == [tmp_path / "pictures"] * 2
    assert paths[0] != paths[1]
    assert all(map(is_small, paths))


async def test_all_that_is_known_is_told_as_json(tmp_path: Path) -> None:
    async with person(tmp_path) as at:
        facts = json.loads((await at.draw(FOX, "--count", "2", "--json")).stdout)
        assert facts["task_ids"] == at.tasks
    assert (len(facts["image_paths"]), facts["cost_cents"]) == (2, 10)
    assert "next" not in facts


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("--variant", "flex", "--ratio", "16:9"), {"aspect_ratio": "16:9"}),
        (("--resolution", "2k"), {"output_resolution": "2k"}),
        (("--variant", "klein"), {}),
    ],
)
async def test_what_is_typed_is_what_runapi_is_asked(
    arguments: tuple[str, ...], asked: dict[str, str], tmp_path: Path
) -> None:
    async with person(tmp_path) as at:
        assert (await at.draw(FOX, *arguments, "--json")).returncode == 0
        (task,) = at.net.account().tasks.values()
    sent = task.params.model_dump()
    assert {name: sent[name] for name in asked} == asked


@pytest.mark.parametrize("named", ["path", "id", "both"])
async def test_a_picture_is_made_from_a_file_anywhere_and_from_a_task(
    named: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    Image.new("RGB", (64, 64), "red").save(elsewhere / "f.png")
    (tmp_path / "here").mkdir()
    async with person(tmp_path / "here") as at:
        (task_id,) = re.findall(ID, (await at.draw(FOX, "--json")).stdout)[:1]
        sources = {"path": ["../else where/f.png"], "id": [task_id]}
        sources["both"] = [*sources["path"], *sources["id"]]
        told = [word for name in sources[named] for word in ("--from", name)]
        drawn = await at.draw("in snow [[poll-after 0.1s]]", *told)
        assert (drawn.returncode, len(at.tasks)) == (0, 2), drawn.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument 'PROMPT'"),
        (("x",), "prompt must be text of 3-5000 characters"),
        (("a fox", "--ratio", "5"), "--ratio must be one of 1:1,"),
        (("a fox", "--variant", "max"), "--ratio is required: one of"),
        (("a fox", "--variant", "klein", "--resolution", "2k"), "leave out --resolution"),
        (("a fox", "--variant", "klein", "--from", "x.png"), "klein cannot start from images."),
        (("a fox", "--count", "9"), "9 is not in the range 1<=x<=8."),
        (("a fox", "-o", "fox.gif"), "'fox.gif' must end in .png, .jpg, .jpeg or .webp."),
        (("a fox", "-o", "."), "'.' is a folder: name a file in it"),
        (("a fox", "-o", ".fox.png"), "'.fox.png' must not be hidden"),
        (("a fox", "-o", ""), "'' is no name: give one such as fox.png."),
        (("a fox", "-o", "~nobody-here/.fox.png"), "must not be hidden"),
        (
            ("a fox", "--from", "ftp://x"),
            "--from must be an http or https URL, a path or a task_id",
        ),
        (("a fox", *["--from", "https://x/a"] * 9), "--from must be given at most 8 times, not 9."),
        (("a fox", "--force"), "--force is for the file of -o"),
    ],
)
def test_wrong_usage_is_told_in_the_words_that_were_typed(
    arguments: tuple[str, ...], words: str
) -> None:
    refused = finished("draw", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert words in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "environment", "words", "tasks"),
    [
        (("a fox",), {"RUNAPI_API_KEY": ""}, "login`, or practise with --sandbox.", 0),
        (("a fox [[422]]",), {}, "Nothing was paid.", 0),
        (("a fox [[fail: no foxes]]",), {}, 'says: "no foxes"\nFailed images are not charged.', 1),
        (("a fox", "--from", "none.png"), {}, "This call uploaded and paid nothing.", 0),
        (
            ("a fox",),
            {"RUNAPI_MAX_COST_PER_CALL": "0.01"},
            "limit $0.01, this call $0.05. Nothing was paid. Raise RUNAPI_MAX_COST_PER_CALL.\n",
            0,
        ),
        (
            ("a fox",),
            {"RUNAPI_CONFIRM_OVER": "0.01"},
            "and RUNAPI_CONFIRM_OVER asks a person first. Nothing was paid. Add --yes to pay it.\n",
            0,
        ),
    ],
)
async def test_what_is_refused_or_fails_costs_nothing_and_is_status_1(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    words: str,
    tasks: int,
    tmp_path: Path,
) -> None:
    async with person(tmp_path) as at:
        refused = await at.with_(**environment).draw(*arguments)
        assert (refused.returncode, refused.stdout, len(at.tasks)) == (1, "", tasks)
    assert words in refused.stderr


async def test_a_dear_picture_is_paid_after_a_yes_beforehand(tmp_path: Path) -> None:
    async with person(tmp_path) as at:
        drawn = await at.with_(RUNAPI_CONFIRM_OVER="0.01").draw(FOX, "--yes")
        assert (drawn.returncode, len(at.tasks)) == (0, 1)


async def test_one_of_several_that_fails_is_told_and_the_others_are_printed(
    tmp_path: Path,
) -> None:
    async with person(tmp_path) as at:
        at.net.sandbox.faults.inject("create", "422")
        drawn = await at.draw(FOX, "--count", "2", "-o", "fox.png")
        assert (drawn.returncode, len(drawn.stdout.splitlines())) == (1, 1)
        assert at.files() == [Path(drawn.stdout.strip()).name]
    assert re.match(r"Image [12]: RunAPI.* refused the request", drawn.stderr)


async def test_what_is_paid_and_not_here_yet_is_told_by_its_id_and_the_same_command_gets_it(
    tmp_path: Path,
) -> None:
    async with person(tmp_path) as at:
        begun = await at.with_(**MEANWHILE).draw(FOX, "--count", "2", "-o", "fox.png")
        assert (begun.returncode, begun.stdout.splitlines()) == (3, at.tasks)
        drawn = await at.draw(FOX, "--count", "2", "-o", "fox.png")
        assert (drawn.returncode, len(at.tasks)) == (0, 2)
        assert at.files() == ["fox-1.png", "fox-2.png"]
    assert "Already drawn by the same command of " in drawn.stderr


async def test_a_doubt_is_told_as_one_and_the_same_command_asks_under_the_same_key(
    tmp_path: Path,
) -> None:
    async with person(tmp_path) as at:
        prompt = "a fox [[created 403 x1]] [[poll-after 0.1s]]"
        lost = await at.draw(prompt)
        assert (lost.returncode, lost.stdout) == (3, "")
        assert re.fullmatch(r"runapi-mcp: .*may or may not have charged this\..*\n", lost.stderr)
        assert (await at.draw(prompt)).returncode == 0
        assert len(at.tasks) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
@pytest.mark.parametrize("named", [(), ("-o", "fox.png")])
async def test_a_picture_whose_path_could_not_be_printed_is_given_again(
    named: tuple[str, ...], tmp_path: Path
) -> None:
    async with person(tmp_path) as at:
        names = [str(tmp_path / name) if name.endswith("png") else name for name in named]
        full = os.open("/dev/full", os.O_WRONLY)
        async with program("draw", FOX, *names, environment=at.all(), stdout=full) as run:
            assert await run.end() == 1
        os.close(full)
        again = await at.draw(FOX, *names)
        assert (again.returncode, len(at.tasks)) == (0, 1)
        assert again.stdout.splitlines() == (names[1:] or again.stdout.splitlines())


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_an_interrupted_command_goes_on_when_it_is_repeated(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with person(tmp_path) as at:
        arguments = ("draw", "a fox [[takes 1s]]", "-o", str(tmp_path / "fox.png"))
        async with program(*arguments, environment=at.all()) as run:
            while not at.tasks:
                await at.net.next_paid_request()
                await anyio.sleep(0.05)
            run.process.send_signal(number)
            status = await run.end()
        (task_id,) = at.tasks
        if number == signal.SIGINT:
            assert status == 130
            assert any("Stopped. " in line and task_id in line for line in run.stderr.seen)
        assert run.stdout.seen in ([], [""])
        drawn = await at.draw(*arguments[1:])
        assert (drawn.returncode, drawn.stdout, len(at.tasks)) == (0, f"{arguments[-1]}\n", 1)


@SIGNALS
@pytest.mark.parametrize(
    ("prompt", "environment", "words"),
    [
        (SLOW, {}, "Stopped. RunAPI may or may not have charged this. "),
        ("a fox [[never]]", {"RUNAPI_SANDBOX": "1"}, "Stopped. It was practice: nothing was paid."),
    ],
)
async def test_ctrl_c_tells_what_is_known(
    prompt: str, environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    async with person(tmp_path) as at:
        environ = {**at.all(), **environment}
        async with program("draw", prompt, environment=environ) as run:
            if environment:
                await anyio.sleep(1)
            else:
                await at.net.next_paid_request()
            run.process.send_signal(signal.SIGINT)
            assert await run.end() == 130
        assert any(line.startswith(words) for line in run.stderr.seen), run.stderr.seen


@pytest.mark.parametrize("count", [1, 2])
async def test_a_file_is_replaced_only_when_that_is_said(count: int, tmp_path: Path) -> None:
    """Never one in the way, whatever other files have the name with another suffix."""
    names = ["fox.png"] if count == 1 else ["fox-1.png", "fox-2.png"]
    (tmp_path / names[-1]).write_text("mine")
    (tmp_path / "fox.svg.jpg").write_text("beside")
    (tmp_path / names[0]).with_suffix(".jpg").write_text("beside")
    async with person(tmp_path) as at:
        arguments = (FOX, "--count", str(count), "-o", "fox.png")
        refused = await at.draw(*arguments)
        assert (refused.returncode, refused.stdout, at.tasks) == (1, "", [])
        assert f"{names[-1]} is there already." in refused.stderr
        assert (tmp_path / names[-1]).read_text() == "mine"
        drawn = await at.draw(*arguments, "--force")
        assert drawn.returncode == 0
        assert drawn.stdout.splitlines() == [str(tmp_path / name) for name in names]
    assert all(is_small(tmp_path / name) for name in names)
    assert set(at.files()) == {*names, Path(names[0]).stem + ".jpg", "fox.svg.jpg"}


async def test_a_file_goes_into_any_folder_which_is_made(tmp_path: Path) -> None:
    async with person(tmp_path) as at:
        drawn = await at.draw(FOX, "-o", "../" + tmp_path.name + "/new/fólder/fox.png")
    assert drawn.stdout == f"{tmp_path}/new/fólder/fox.png\n"
    assert (tmp_path / "new/fólder/fox.png").exists()


@SIGNALS
async def test_a_folder_may_be_a_link_as_tmp_is_on_macos(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    async with person(tmp_path) as at:
        for options in ((), ("--force",)):
            drawn = await at.draw(FOX, "-o", "link/fox.png", *options)
            assert (drawn.returncode, drawn.stdout) == (0, f"{tmp_path}/real/fox.png\n")
            assert "is there already" not in drawn.stderr
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["fox.png"]


@SIGNALS
async def test_a_path_in_a_directory_that_was_removed_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runapi_mcp", "draw", FOX, "--sandbox", "-o", "fox.png"]
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    ran = await anyio.run_process(["sh", "-c", script, "sh", *command], cwd=tmp_path, check=False)
    assert ran.returncode == 2
    assert b"'fox.png' is in a directory that is not there any more." in ran.stderr


LONG = "x" * 300


@pytest.mark.parametrize(
    ("where", "nearest"),
    [
        ("file/fox.png", "/file"),
        ("file/new/fox.png", "/file"),
        ("dangling/fox.png", "/file"),
        (f"{LONG}/fox.png", ""),
        (f"new/{LONG}/fox.png", ""),
    ],
)
async def test_where_no_file_can_be_made_nothing_is_paid(
    where: str, nearest: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("file")
    async with person(tmp_path) as at:
        refused = await at.draw(FOX, "-o", where)
        assert (refused.returncode, refused.stdout, at.tasks) == (1, "", [])
    assert refused.stderr.startswith(f"runapi-mcp: No file can be made in {tmp_path}{nearest}.")


@SIGNALS
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_stream_that_is_closed_costs_what_it_would_have_shown(
    closed: str, tmp_path: Path
) -> None:
    async with person(tmp_path) as at:
        command = [sys.executable, "-m", "runapi_mcp", "draw", FOX, "-o", "fox.png"]
        ran = await anyio.run_process(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
            env={**os.environ, **at.all()},
            cwd=tmp_path,
            check=False,
        )
        assert ran.returncode == 0
    assert b"Traceback" not in ran.stderr
    assert is_small(tmp_path / "fox.png")


async def test_a_file_that_came_in_the_way_stays_and_the_picture_is_beside_it(
    tmp_path: Path,
) -> None:
    async with person(tmp_path) as at:
        await at.with_(**MEANWHILE).draw(FOX, "-o", "fox.png")
        (tmp_path / "fox.png").write_text("mine")
        drawn = await at.draw(FOX, "-o", "fox.png")
        assert (drawn.returncode, len(at.tasks)) == (0, 1)
    assert (tmp_path / "fox.png").read_text() == "mine"
    assert f"{tmp_path}/fox.png is there already, and was left as it is.\n" in drawn.stderr
    assert is_small(drawn.stdout.strip())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
async def test_a_path_is_printed_as_it_is_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    async with person(tmp_path) as at:
        environ = {**os.environ, **at.all(), "PYTHONIOENCODING": encoding}
        command = [sys.executable, "-m", "runapi_mcp", "draw", FOX, "-o", "łisek.png"]
        run = partial(
            subprocess.run, command, env=environ, cwd=tmp_path, capture_output=True, check=True
        )
        ran: subprocess.CompletedProcess[Any] = await anyio.to_thread.run_sync(run)
    assert ran.stdout == os.fsencode(tmp_path / "łisek.png") + b"\n"


@SIGNALS
@pytest.mark.parametrize(
    ("answer", "status", "tasks"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)]
)
async def test_at_a_terminal_a_dear_picture_is_asked_about_and_nothing_stays_of_the_spinner(
    answer: str, status: int, tasks: int, tmp_path: Path
) -> None:
    async with person(tmp_path) as at:
        environ = at.with_(RUNAPI_CONFIRM_OVER="0.01", RUNAPI_DAILY_BUDGET="1").all()
        draw = partial(at_terminal, "draw", FOX, answers=answer, environment=environ)
        ended, said = await anyio.to_thread.run_sync(draw)
        assert (ended, len(at.tasks)) == (status, tasks)
    assert said.startswith(f"{answer[:-1]}\r\n\r⠋ 0 s  starting")
    assert "This picture costs $0.05. Today's budget leaves $1.00. Pay it? [y/N]: " in said
    left = lines_left(said)
    assert not any("⠋" in line for line in left)
    if tasks:
        assert left[-3] == "8x8, $0.05 in pretend money, $0.95 left today"
        assert left[-2].startswith(f"{tmp_path}/pictures/")
    else:
        assert left[-2].endswith("runapi-mcp: Not drawn. Nothing was paid.")


@SIGNALS
def test_what_is_logged_meanwhile_is_not_behind_the_spinner() -> None:
    program = (
        "import logging; from runapi_mcp.cli import log_lines, spinner; log_lines.log_to_stderr()\n"
        "with spinner.spinning('turning'): logging.warning('a fox')"
    )
    _, said = at_terminal(program=("-c", program))
    assert said.startswith("\r⠋ 0 s  turning")
    assert lines_left(said) == ["runapi-mcp: a fox", ""]


@SIGNALS
@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_terminal_that_shows_less_is_shown_less(environment: dict[str, str]) -> None:
    program = "from runapi_mcp.cli import spinner\nwith spinner.spinning('turning'): pass"
    _, said = at_terminal(program=("-c", program), environment=environment)
    assert said.startswith("\r| 0 s  turning") if "TERM" not in environment else said == ""


@pytest.mark.parametrize("suffix", ["webp", "jpg", "jpeg"])
async def test_the_suffix_decides_the_format(suffix: str, tmp_path: Path) -> None:
    async with person(tmp_path) as at:
        name = f"hero.{suffix}"
        (tmp_path / "hero.png").write_text("another picture")
        (tmp_path / name).write_text("mine")
        for number in (1, 2):
            drawn = await at.draw(FOX, "-o", name, "--force")
            assert (drawn.returncode, len(at.tasks)) == (0, number)
            assert drawn.stdout == f"{tmp_path}/{name}\n"
    with Image.open(tmp_path / name) as picture:
        assert picture.format == ("WEBP" if suffix == "webp" else "JPEG")
    assert set(at.files()) == {"hero.png", name} - {"hero.webp"}
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2


async def test_a_picture_in_another_format_than_was_asked_is_no_success(tmp_path: Path) -> None:
    """The same call joined one that names another format."""
    async with person(tmp_path) as at:
        await at.with_(**MEANWHILE).draw(FOX, "-o", "fox.png")
        joined = await at.draw(FOX, "-o", "fox.webp")
        assert (joined.returncode, joined.stdout) == (3, f"{at.tasks[0]}\n")
        assert f"Saved: {tmp_path}/fox.png, in another format than -o names\n" in joined.stderr
        assert (await at.draw(FOX, "-o", "fox.png")).stdout == f"{tmp_path}/fox.png\n"
        assert len(at.tasks) == 1
