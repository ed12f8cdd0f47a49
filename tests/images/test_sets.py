"""The pictures of one call are a set: numbered under one name, never mixed with another's."""

import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from runapi_mcp.images.naming import IMAGE_SUFFIXES, SetMember
from tests.images.test_failed_saving import CHANGES, crash, faulty
from tests.support.drafts import begin, elsewhere, files, save
from tests.support.processes import LIMIT_SECONDS

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="it forks, and hooks system calls")
SIZE = 3


def about(set_id: str, number: int) -> Mapping[str, object]:
    return {"task_id": f"{set_id}-{number}", "sha256": f"{number}", "set": set_id}


def save_member(folder: Path, set_id: str, number: int, suffix: str = ".png") -> Path:
    member = SetMember(set_id, number, SIZE)
    content = f"{set_id}{number}".encode()
    return save(folder, content=content, about=about(set_id, number), suffix=suffix, member=member)


def save_set(folder: Path, set_id: str, numbers: Sequence[int] = range(1, SIZE + 1)) -> list[str]:
    return [save_member(folder, set_id, number).name for number in numbers]


def names(stem: str) -> list[str]:
    return [f"{stem}-{number}.png" for number in range(1, SIZE + 1)]


def with_jsons(pictures: Sequence[str]) -> list[str]:
    return sorted([*pictures, *(f"{picture}.json" for picture in pictures)])


def test_a_set_is_numbered_under_its_name_and_saved_once(tmp_path: Path) -> None:
    for _ in range(2):
        assert save_set(tmp_path, "ours") == names("fox")
    assert files(tmp_path) == with_jsons(names("fox"))


@pytest.mark.parametrize(
    "ending", [*IMAGE_SUFFIXES, *(f"{suffix}.json" for suffix in IMAGE_SUFFIXES)]
)
@pytest.mark.parametrize("number", range(1, SIZE + 1))
def test_where_one_name_is_taken_the_whole_set_moves(
    tmp_path: Path, ending: str, number: int
) -> None:
    taken = tmp_path / f"fox-{number}{ending}"
    taken.write_bytes(b"mine")
    assert save_set(tmp_path, "ours") == names("fox-2")
    assert taken.read_bytes() == b"mine"


@pytest.mark.parametrize("free", ["fox.png", "fox-4.png", "fox-1-1.png", "fox-1.txt"])
def test_a_name_that_is_not_of_the_set_moves_nothing(tmp_path: Path, free: str) -> None:
    (tmp_path / free).touch()
    assert save_set(tmp_path, "ours") == names("fox")


def test_sets_of_one_name_are_numbered_and_then_have_digits_of_their_own(tmp_path: Path) -> None:
    sets = [save_set(tmp_path, f"set {n}") for n in range(12)]
    assert sets[:9] == [names("fox"), *(names(f"fox-{n}") for n in range(2, 10))]
    for pictures in sets:
        stem = pictures[0].removesuffix("-1.png")
        assert pictures == names(stem)
        assert len(stem) <= len("fox-12ab")
    assert len(files(tmp_path)) == 12 * SIZE * 2


@pytest.mark.parametrize("first", [[1, 2], [2, 3], [3], [1]])
def test_who_comes_later_comes_to_its_siblings_though_a_nearer_name_is_free_now(
    tmp_path: Path, first: Sequence[int]
) -> None:
    other = save_member(tmp_path, "other", 2)
    for number in first:
        assert save_member(tmp_path, "ours", number).name == f"fox-2-{number}.png"
    other.unlink()
    other.with_name(f"{other.name}.json").unlink()
    assert save_set(tmp_path, "ours") == names("fox-2")
    assert files(tmp_path) == with_jsons(names("fox-2"))


def test_the_siblings_may_be_of_other_formats(tmp_path: Path) -> None:
    (tmp_path / "fox-1.png").touch()
    paths = [save_member(tmp_path, "ours", n, IMAGE_SUFFIXES[n - 1]).name for n in (1, 2, 3)]
    assert paths == ["fox-2-1.png", "fox-2-2.jpg", "fox-2-3.jpeg"]


def test_one_that_was_changed_lands_beside_and_leaves_its_siblings(tmp_path: Path) -> None:
    save_set(tmp_path, "ours")
    (tmp_path / "fox-2.png").write_bytes(b"edited")
    for _ in range(2):
        assert save_set(tmp_path, "ours") == ["fox-1.png", "fox-2-2.png", "fox-3.png"]
    assert (tmp_path / "fox-2.png").read_bytes() == b"edited"


def test_one_that_was_removed_comes_back_to_its_siblings(tmp_path: Path) -> None:
    save_set(tmp_path, "ours")
    (tmp_path / "fox-2.png").unlink()
    assert save_set(tmp_path, "ours") == names("fox")


def test_a_set_of_one_task_that_an_older_version_saved_in_part_stays_together(
    tmp_path: Path,
) -> None:
    (tmp_path / "fox-1.png").touch()
    save(tmp_path, "fox-2-1", about={"task_id": "ours", "sha256": "1"})
    assert save_member(tmp_path, "ours", 2).name == "fox-2-2.png"


def save_set_with_crash(folder: Path, step: int) -> list[str]:
    with faulty(step, crash, CHANGES):
        return save_set(folder, "ours")


@POSIX
def test_a_crash_at_any_step_leaves_a_set_that_is_completed_under_one_name(tmp_path: Path) -> None:
    for step in range(1, 400):
        folder = tmp_path / str(step)
        folder.mkdir()
        (folder / "fox-2.jpg").touch()
        ended = elsewhere(save_set_with_crash, folder, step)
        assert save_set(folder, "ours") == names("fox-2")
        kept = [file for file in files(folder) if not file.startswith(".runapi-")]
        assert kept == sorted([*with_jsons(names("fox-2")), "fox-2.jpg"])
        if ended is not None:
            assert step > 3 * 6
            return
    pytest.fail("it was never saved")


@POSIX
def test_two_servers_that_save_one_set_at_once_save_it_once(tmp_path: Path) -> None:
    for n in range(10):
        folder = tmp_path / str(n)
        (folder / "fox-1.webp").mkdir(parents=True)
        with ThreadPoolExecutor(2) as pool:
            orders = [[1, 2, 3], [3, 2, 1]]
            saved = list(pool.map(partial(elsewhere, save_set, folder, "ours"), orders))
        assert saved[0] is not None
        assert saved[1] is not None
        assert saved[0] == saved[1][::-1] == names("fox-2")
        assert files(folder) == with_jsons(names("fox-2"))


def test_sets_that_come_to_one_name_at_once_are_never_mixed(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def work(number: int) -> list[str]:
        together.wait(LIMIT_SECONDS)
        return save_set(tmp_path, f"set {number}", [(number + n) % SIZE + 1 for n in range(SIZE)])

    with ThreadPoolExecutor(4) as pool:
        sets = list(pool.map(work, range(40)))
    for pictures in sets:
        assert len({picture.rpartition("-")[0] for picture in pictures}) == 1
    assert files(tmp_path) == with_jsons([picture for pictures in sets for picture in pictures])


def test_two_formats_that_come_to_one_name_at_once_do_not_share_it(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def work(number: int) -> str:
        draft = begin(tmp_path, "fox")
        together.wait(LIMIT_SECONDS)
        return draft.commit(IMAGE_SUFFIXES[number % 4], {"n": number}).stem

    with ThreadPoolExecutor(4) as pool:
        stems = list(pool.map(work, range(40)))
    assert len(set(stems)) == len(stems)
