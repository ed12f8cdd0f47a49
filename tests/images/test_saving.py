"""A picture is saved as it came: under a name of its own in its folder, whole or not at all."""

import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from runapi_mcp.images.saving import NotSaved
from tests.support.drafts import ABOUT, FOX, NEWS, begin, elsewhere, files, save
from tests.support.processes import LIMIT_SECONDS

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def test_a_picture_lands_byte_for_byte_with_its_json_beside_it(tmp_path: Path) -> None:
    path = save(tmp_path / "new" / "pictures", "animals/red/fox")

    assert path == tmp_path / "new/pictures/animals/red/fox.png"
    assert path.read_bytes() == FOX
    assert files(tmp_path / "new/pictures") == [
        "animals/red/fox.png",
        "animals/red/fox.png.json",
    ]
    assert path.with_name("fox.png.json").read_text("utf-8") == (
        '{\n  "task_id": "3f2a6b0e-0000-4000-8000-000000000000",\n  "sha256": "aa",\n'
        '  "prompt": "a red fox in the snow 雪"\n}\n'
    )


@pytest.mark.parametrize("prompt", ["赤い狐🦊", "\ud800 alone", '"\n\0\u2028', "x" * 100_000])
def test_whatever_the_json_has_to_say_it_says_in_utf_8(tmp_path: Path, prompt: str) -> None:
    path = save(tmp_path, about={"prompt": prompt})
    assert json.loads(path.with_name("fox.png.json").read_bytes().decode()) == {"prompt": prompt}


def test_until_it_lands_a_picture_has_a_hidden_name_only_and_can_be_read_back(
    tmp_path: Path,
) -> None:
    draft = begin(tmp_path, "fox")
    draft.write(FOX[:5])
    draft.write(FOX[5:])

    with draft.read_back() as file:
        assert file.read() == FOX
    (name,) = files(tmp_path)
    assert name.startswith(".runapi-")
    assert name.endswith(".part")

    draft.write(b" and more")
    assert draft.commit(".png", ABOUT).read_bytes() == FOX + b" and more"


def test_a_discarded_draft_leaves_nothing_and_a_landed_one_its_picture(tmp_path: Path) -> None:
    draft = begin(tmp_path, "fox")
    draft.write(FOX)
    draft.discard()
    draft.discard()
    assert files(tmp_path) == []

    draft = begin(tmp_path, "fox")
    path = draft.commit(".webp", ABOUT)
    draft.discard()
    assert path.name == "fox.webp"
    assert files(tmp_path) == ["fox.webp", "fox.webp.json"]


@POSIX
def test_no_descriptor_stays_open_however_a_draft_ends(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(list(Path("/dev/fd").iterdir()))
    for number in range(50):
        save(tmp_path, f"animals/{number}")
        begin(tmp_path, "animals/fox").discard()
        with pytest.raises(NotSaved):
            begin(tmp_path, "animals/red/../fox")
        with pytest.raises(NotSaved):
            begin(tmp_path, "file/fox")
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_pictures_of_one_name_are_numbered_and_then_named_at_random(tmp_path: Path) -> None:
    paths = [save(tmp_path, content=bytes([n]), about={"n": n}) for n in range(12)]

    assert [path.stem for path in paths[:9]] == ["fox", *(f"fox-{n}" for n in range(2, 10))]
    for path in paths[9:]:
        assert len(path.stem) == len("fox-12ab")
    assert [path.read_bytes() for path in paths] == [bytes([n]) for n in range(12)]
    for n, path in enumerate(paths):
        assert json.loads(path.with_name(f"{path.name}.json").read_bytes()) == {"n": n}


@pytest.mark.parametrize(
    "taken", ["fox.png", "fox.jpg", "fox.jpeg", "fox.webp", "fox.png.json", "fox.webp.json"]
)
def test_whatever_has_the_name_or_that_of_its_json_keeps_it(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    assert save(tmp_path).name == "fox-2.png"
    assert (tmp_path / taken).read_text() == "mine"
    assert files(tmp_path) == sorted([taken, "fox-2.png", "fox-2.png.json"])


@POSIX
@pytest.mark.parametrize("taken", ["fox.png", "fox.png.json"])
@pytest.mark.parametrize("kind", ["folder", "dangling link", "link", "pipe"])
def test_nothing_is_written_through_what_stands_at_the_name(
    tmp_path: Path, taken: str, kind: str
) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "pictures"
    folder.mkdir()
    if kind == "link":
        outside.write_bytes(FOX)
    make: Mapping[str, Callable[[Path], object]] = {
        "folder": Path.mkdir,
        "dangling link": lambda path: path.symlink_to(outside),
        "link": lambda path: path.symlink_to(outside),
        "pipe": os.mkfifo,
    }
    make[kind](folder / taken)

    assert save(folder).name == "fox-2.png"
    assert outside.exists() == (kind == "link")


def modes_under(mask: int, folder: Path) -> list[str]:
    os.umask(mask)
    path = save(folder, "animals/fox")
    paths = (path.parent, path, path.with_name("fox.png.json"))
    return [stat.filemode(each.stat().st_mode) for each in paths]


@POSIX
def test_files_and_folders_have_the_users_usual_modes(tmp_path: Path) -> None:
    assert elsewhere(modes_under, 0o027, tmp_path) == ["drwxr-x---", "-rw-r-----", "-rw-r-----"]
    assert elsewhere(modes_under, 0, tmp_path / "new") == ["drwxrwxrwx", "-rw-rw-rw-", "-rw-rw-rw-"]


def test_the_same_picture_lands_once_also_under_a_later_number(tmp_path: Path) -> None:
    other, ours = save(tmp_path, content=b"other", about=NEWS), save(tmp_path)
    before = files(tmp_path)
    assert before == ["fox-2.png", "fox-2.png.json", "fox.png", "fox.png.json"]

    assert save(tmp_path, about={**ABOUT, "prompt": "told otherwise"}) == ours
    assert save(tmp_path, content=b"other", about=NEWS) == other
    assert files(tmp_path) == before


@pytest.mark.parametrize("about", [{**ABOUT, "task_id": "other"}, {**ABOUT, "sha256": "other"}, {}])
def test_a_picture_of_another_task_or_content_is_another_picture(
    tmp_path: Path, about: Mapping[str, object]
) -> None:
    save(tmp_path, about={key: value for key, value in ABOUT.items() if key in about})
    assert save(tmp_path, about=about).name == "fox-2.png"


def test_a_picture_that_was_changed_since_lands_anew(tmp_path: Path) -> None:
    save(tmp_path).write_bytes(b"edited")
    assert save(tmp_path).name == "fox-2.png"


def test_a_picture_that_was_removed_since_comes_back_to_its_name(tmp_path: Path) -> None:
    first = save(tmp_path)
    content = first.read_bytes()
    first.unlink()
    assert save(tmp_path) == first
    assert first.read_bytes() == content
    assert files(tmp_path) == ["fox.png", "fox.png.json"]


@pytest.mark.parametrize(
    "sidecar", [b"", b"{", b"[" * 100_000, b"[]", b"null", b"\xff\xfe", b"9" * 9_999]
)
def test_a_json_that_is_none_of_ours_is_no_proof_and_no_harm(
    tmp_path: Path, sidecar: bytes
) -> None:
    (tmp_path / "fox.png").write_bytes(FOX)
    (tmp_path / "fox.png.json").write_bytes(sidecar)
    assert save(tmp_path).name == "fox-2.png"


@POSIX
def test_a_json_that_is_a_pipe_or_a_link_is_not_read(tmp_path: Path) -> None:
    saved = save(tmp_path / "outside")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "fox.png").write_bytes(FOX)
    (folder / "fox-2.png").write_bytes(FOX)
    os.mkfifo(folder / "fox.png.json")
    (folder / "fox-2.png.json").symlink_to(saved.with_name("fox.png.json"))
    writer = os.open(folder / "fox.png.json", os.O_RDWR)  # or reading would find its end at once
    try:
        assert save(folder).name == "fox-3.png"
    finally:
        os.close(writer)


def test_threads_that_land_one_name_at_once_each_have_a_picture(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> Path:
        draft = begin(tmp_path, "fox")
        draft.write(bytes([number]))
        together.wait(LIMIT_SECONDS)
        return draft.commit(".png", {"n": number})

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(work, range(64)))
    assert_each_is_there(tmp_path, dict(enumerate(paths)))


def save_twenty(folder: Path, first: int) -> dict[int, Path]:
    numbers = range(first, first + 20)
    return {n: save(folder, content=bytes([n]), about={"n": n}) for n in numbers}


@POSIX
def test_processes_that_land_one_name_at_once_each_have_a_picture(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        saved = pool.map(partial(elsewhere, save_twenty, tmp_path), range(0, 80, 20))
    paths: dict[int, Path] = {}
    for each in saved:
        assert each is not None
        paths |= each
    assert_each_is_there(tmp_path, paths)


def assert_each_is_there(folder: Path, paths: Mapping[int, Path]) -> None:
    assert len(files(folder)) == 2 * len(set(paths.values())) == 2 * len(paths)
    for n, path in paths.items():
        assert path.read_bytes() == bytes([n])
        assert json.loads(path.with_name(f"{path.name}.json").read_bytes()) == {"n": n}


def test_among_ten_thousand_of_its_name_a_picture_lands_in_as_few_steps(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for folder, size in ((few, 9), (many, 10_000)):
        folder.mkdir()
        numbers = ["", *(f"-{n}" for n in range(2, 10)), *(f"-{n:04x}" for n in range(size))]
        for number in numbers[:size]:
            (folder / f"fox{number}.png").touch()
    with counting_system_calls() as steps:
        save(few)
        of_few = len(steps)
        save(many)
    assert of_few > 20  # it counts
    # A random name may be taken, and its picture is looked at before the next is tried.
    assert len(steps) - of_few < of_few + 60


@POSIX
def test_what_gets_a_name_is_on_the_disk_before(tmp_path: Path) -> None:
    with counting_system_calls() as calls:
        save(tmp_path)
    assert [call for call in calls if call in {"fsync", "link"}] == [
        "fsync",
        "fsync",
        "link",
        "link",
    ]


@contextmanager
def counting_system_calls() -> Generator[list[str]]:
    calls: list[str] = []

    def profile(frame: FrameType, event: str, function: Any) -> None:  # Any: as sys.setprofile
        if event == "c_call" and function.__module__ in {"posix", "nt"}:
            calls.append(function.__name__)

    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)
