"""A picture whose saving fails at any step leaves no half of it, and the answer says what to do."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from runapi_mcp.images.directory import open_directory
from runapi_mcp.images.saving import NotSaved
from tests.support.drafts import ABOUT, FOX, begin, elsewhere, files, save, swap

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
STEPS: Final = ("open", "os.mkdir", "os.link", "os.rename")
"""The system calls on the way of a picture that can fail, as Python's audit hooks tell them."""
REMOVING: Final = "os.remove"
WRITING: Final = "open to write"
CHANGES: Final = (WRITING, "os.mkdir", "os.link", "os.rename", REMOVING)
"""Those that leave something behind: a crash between two of them is one before the second."""
MOST_STEPS = 100
FREE_SPACE = "Free some space, or choose another folder with RUNAPI_OUTPUT_DIR."


@contextmanager
def faulty(step: int, fault: Callable[[], object], events: Sequence[str]) -> Generator[None]:
    """The fault comes just before this step. A process cannot take that back: only in a child."""
    steps = count(1)
    armed = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        kinds = {event, WRITING} if event == "open" and _writes(*arguments) else {event}
        if armed and not kinds.isdisjoint(events) and next(steps) == step:
            fault()

    sys.addaudithook(hook)
    yield
    armed = False


def _writes(_path: object, _mode: object, flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def ordinary() -> None:
    """A file system with hard links."""


def without_hard_links() -> None:
    """A file system such as exFAT."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.link":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    sys.addaudithook(hook)


def crash() -> None:
    os._exit(9)


def disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def save_or_say(folder: Path, name: str = "animals/fox", **rest: Any) -> str:  # Any: as save has it
    """The picture's path, or why there is none."""
    try:
        return str(save(folder, name, **rest))
    except NotSaved as failure:
        return str(failure)


def save_with(
    fault: Callable[[], object],
    events: Sequence[str],
    system: Callable[[], None],
    folder: Path,
    step: int,
) -> str:
    system()
    with faulty(step, fault, events):
        return save_or_say(folder)


@POSIX
@pytest.mark.parametrize(
    ("system", "contents"), [(ordinary, {FOX}), (without_hard_links, {FOX, b""})]
)
def test_a_crash_at_any_step_leaves_no_half_picture_and_no_picture_without_its_json(
    tmp_path: Path, system: Callable[[], None], contents: set[bytes]
) -> None:
    for step in range(1, MOST_STEPS):
        folder = tmp_path / str(step)
        ended = elsewhere(save_with, crash, CHANGES, system, folder, step)
        for picture in folder.rglob("*.png"):
            assert picture.read_bytes() in contents
            assert json.loads(picture.with_name(f"{picture.name}.json").read_bytes()) == ABOUT
        if ended is not None:
            assert ended == f"{folder}/animals/fox.png"
            assert step > 8
            return
        assert save(folder, "animals/fox").read_bytes() == FOX
    pytest.fail("it was never saved")


@POSIX
@pytest.mark.parametrize("system", [ordinary, without_hard_links])
def test_a_failure_at_any_step_removes_what_was_begun_and_says_so(
    tmp_path: Path, system: Callable[[], None]
) -> None:
    for step in range(1, MOST_STEPS):
        folder = tmp_path / str(step)
        said = elsewhere(save_with, disk_full, STEPS, system, folder, step)
        if said == f"{folder}/animals/fox.png":
            assert files(folder) == ["animals/fox.png", "animals/fox.png.json"]
            assert step > 6
            return
        assert said is not None
        assert said.startswith(f"The picture was not saved in {folder}")
        assert said.endswith(f": No space left on device. {FREE_SPACE}")
        assert files(folder) == []
    pytest.fail("it was never saved")


@POSIX
def test_a_folder_swapped_for_a_link_at_any_step_never_leads_a_file_outside(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for step in range(1, MOST_STEPS):
        root = tmp_path / str(step)
        root.mkdir()
        swapped = partial(swap, root / "animals", outside)
        ended = elsewhere(save_with, swapped, (*STEPS, REMOVING), ordinary, root, step)
        assert ended is not None
        assert list(outside.iterdir()) == []
        if not (root / "animals").is_symlink():
            assert step > 8
            return
    pytest.fail("it was never saved")


def take_name(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with suppress(FileExistsError), (folder / "fox.png").open("xb") as file:
        file.write(b"theirs")


@POSIX
@pytest.mark.parametrize("system", [ordinary, without_hard_links])
def test_who_takes_the_name_at_any_step_keeps_it_and_gets_no_json_of_ours(
    tmp_path: Path, system: Callable[[], None]
) -> None:
    for step in range(1, MOST_STEPS):
        root = tmp_path / str(step)
        root.mkdir()
        take = partial(take_name, root / "animals")
        ended = elsewhere(save_with, take, (*STEPS, REMOVING), system, root, step)
        if ended == f"{root}/animals/fox.png":
            assert files(root) == ["animals/fox.png", "animals/fox.png.json"]
            assert step > 4
            return
        assert ended == f"{root}/animals/fox-2.png"
        assert (root / "animals/fox.png").read_bytes() == b"theirs"
        assert files(root / "animals") == ["fox-2.png", "fox-2.png.json", "fox.png"]
    pytest.fail("it was never saved")


def place_without_hard_links(folder: Path) -> str:
    without_hard_links()
    with (
        open_directory(folder, [], make=False) as directory,
        directory.temporary_file() as (temporary, _),
    ):
        try:
            directory.place(temporary, "fox")
        except FileExistsError as error:
            return str(error)
    return "it was overwritten"


@POSIX
def test_a_taken_name_is_kept_also_without_hard_links(tmp_path: Path) -> None:
    (tmp_path / "fox").write_bytes(FOX)
    assert elsewhere(place_without_hard_links, tmp_path) == "[Errno 17] File exists: 'fox'"
    assert (tmp_path / "fox").read_bytes() == FOX


def save_within(limit_bytes: int, folder: Path, prompt: str) -> tuple[str, list[str]]:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    said = save_or_say(folder, content=FOX * 100, about={"prompt": prompt})
    return said, files(folder)


@POSIX
@pytest.mark.parametrize(("limit_bytes", "prompt"), [(0, ""), (100, ""), (5_000, "x" * 5_000)])
def test_a_file_that_grows_too_large_leaves_nothing(
    tmp_path: Path, limit_bytes: int, prompt: str
) -> None:
    assert elsewhere(save_within, limit_bytes, tmp_path, prompt) == (
        f"The picture was not saved in {tmp_path}/animals: File too large. {FREE_SPACE}",
        [],
    )


def fill(folder: str) -> None:
    """Land pictures in a small disk until it is full, and say how that ended."""
    contents = (bytes([n]) * 20_000 for n in count())
    said = ""
    while not said.startswith("The"):
        said = save_or_say(Path(folder), "fox", content=next(contents), about={"a": "a" * 20_000})
    print(json.dumps([said, files(Path(folder))]))  # noqa: T201 - whoever started this reads it


def has_small_disks() -> bool:
    """Whether this machine lets us mount a disk of our own."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return unshare is not None and subprocess.run(command, check=False).returncode == 0  # noqa: S603 - found above


def test_a_disk_that_fills_up_keeps_what_landed_and_nothing_of_the_rest(tmp_path: Path) -> None:
    if not has_small_disks():
        pytest.skip("no mounts here")
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    program = "import sys; from tests.images.test_failed_saving import fill; fill(sys.argv[1])"
    command = ["unshare", "-Urm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program]
    output = subprocess.check_output(command, cwd=Path(__file__).parents[2])  # noqa: S603 - this very module
    assert json.loads(output) == [
        f"The picture was not saved in {tmp_path}: No space left on device. {FREE_SPACE}",
        ["fox.png", "fox.png.json"],
    ]


def save_as_nobody(folder: Path) -> str:
    if os.geteuid() == 0:
        os.setuid(65534)  # a root may write anywhere
    return save_or_say(folder, "fox")


@POSIX
def test_a_folder_that_cannot_be_written_is_named_with_what_to_do() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        assert elsewhere(save_as_nobody, Path(folder)) == (
            f"The picture was not saved in {folder}: Permission denied."
            " Choose another folder with RUNAPI_OUTPUT_DIR, or another save_as."
        )
        assert files(Path(folder)) == []


@POSIX
@pytest.mark.parametrize(
    ("folder", "name", "why"),
    [
        ("file", "fox", "Not a directory"),
        ("file/deeper", "fox", "Not a directory"),
        (".", "file/fox", "file is a link, or not a folder"),
        ("x" * 300, "fox", "File name too long"),
    ],
)
def test_a_folder_that_is_none_is_named_with_what_to_do(
    tmp_path: Path, folder: str, name: str, why: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotSaved) as failure:
        begin(tmp_path / folder, name)
    assert failure.value.happened == f"The picture was not saved in {tmp_path / folder}: {why}."
    assert "RUNAPI_OUTPUT_DIR" in failure.value.advice
    assert files(tmp_path) == ["file"]
