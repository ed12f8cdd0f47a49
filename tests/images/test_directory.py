"""A directory is held open or checked while files are written in it; no link leads out of it."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from runapi_mcp.images.directory import OpenDirectory, open_by_descriptor, open_by_path
from runapi_mcp.images.saving import NotSaved
from tests.support.drafts import ABOUT, FOX, begin, files, save, swap

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
BOTH = pytest.mark.parametrize("opening", [open_by_descriptor, open_by_path])


@POSIX
@BOTH
def test_a_folder_that_is_a_link_to_elsewhere_is_refused_and_nothing_is_made_there(
    tmp_path: Path, opening: OpenDirectory
) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "pictures"
    outside.mkdir()
    root.mkdir()
    (root / "away").symlink_to(outside)
    (root / "nowhere").symlink_to(tmp_path / "not made")
    (root / "around").symlink_to("around")
    for parts in (["away"], ["away", "deeper"], ["nowhere"], ["around"]):
        with pytest.raises(OSError), opening(root, parts, make=True):  # noqa: PT011 - any of them
            pytest.fail("the link was followed")
    assert files(tmp_path) == ["pictures/around", "pictures/away", "pictures/nowhere"]
    assert list(outside.iterdir()) == []


@BOTH
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../fox", "/fox", "a\0b", "/"])
def test_only_plain_names_are_names_in_a_directory(
    tmp_path: Path, opening: OpenDirectory, name: str
) -> None:
    with pytest.raises(OSError, match="not a plain name"), opening(tmp_path, [name], make=True):
        pytest.fail("it was opened")
    with opening(tmp_path, ["in"], make=True) as directory:
        (tmp_path / "in/fox").write_bytes(FOX)
        acts: Sequence[Callable[[str], object]] = (
            directory.create,
            directory.open_file,
            directory.exists,
            directory.remove,
            partial(directory.place, "fox"),
            lambda name: directory.place(name, "other"),
        )
        for act in acts:
            with pytest.raises(OSError, match="not a plain name"):
                act(name)
    assert files(tmp_path) == ["in/fox"]


@BOTH
def test_a_directory_places_reads_and_removes_by_name(
    tmp_path: Path, opening: OpenDirectory
) -> None:
    with opening(tmp_path / "root", ["a", "b"], make=True) as directory:
        with directory.temporary_file() as (temporary, file):
            file.write(FOX)
            file.close()
            directory.place(temporary, "fox")
        assert directory.path == tmp_path / "root/a/b"
        assert directory.read("fox", 100) == FOX
        assert directory.read("fox", 4) == FOX[:4]
        with directory.temporary_file() as (temporary, _), pytest.raises(FileExistsError):
            directory.place(temporary, "fox")
        directory.require_in_place()
        assert files(tmp_path) == ["root/a/b/fox"]
        directory.remove("fox")
        assert not directory.exists("fox")


@BOTH
def test_a_directory_that_is_only_read_is_not_made(tmp_path: Path, opening: OpenDirectory) -> None:
    for root, parts in ((tmp_path / "new", []), (tmp_path, ["new"])):
        with pytest.raises(FileNotFoundError), opening(root, parts, make=False):
            pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


@POSIX
@BOTH
def test_reading_follows_no_link_awaits_no_pipe_and_is_not_inherited(
    tmp_path: Path, opening: OpenDirectory
) -> None:
    (tmp_path / "fox").write_bytes(FOX)
    (tmp_path / "link").symlink_to("fox")
    os.mkfifo(tmp_path / "pipe")
    with opening(tmp_path, [], make=False) as directory:
        with pytest.raises(OSError) as refused:  # noqa: PT011 - looked at below
            directory.open_descriptor("link")
        assert refused.value.errno == errno.ELOOP
        pipe = directory.open_descriptor("pipe")
        assert stat.S_ISFIFO(os.fstat(pipe).st_mode)
        assert not os.get_inheritable(pipe)
        os.close(pipe)


@POSIX
def test_the_root_may_be_a_link_and_the_answer_says_where_the_picture_lies(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert save(tmp_path / "link", "a/fox") == tmp_path / "real/a/fox.png"


@POSIX
def test_a_folder_swapped_for_a_link_under_way_is_noticed_and_nothing_lands(tmp_path: Path) -> None:
    root, outside = tmp_path / "pictures", tmp_path / "outside"
    outside.mkdir()
    draft = begin(root, "animals/fox")
    draft.write(FOX)
    swap(root / "animals", outside)

    with pytest.raises(NotSaved) as failure:
        draft.commit(".png", ABOUT)

    assert failure.value.happened == (
        f"The picture was not saved in {root}/animals: it was moved or replaced meanwhile."
    )
    assert files(tmp_path) == ["pictures/animals"]
