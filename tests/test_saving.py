"""A picture is saved as it came: under a name of its own in its folder, whole or not at all."""

import errno
import json
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runapi_mcp.images.directory import Opening, checked, held, opened
from runapi_mcp.images.naming import checked_name, default_stem
from runapi_mcp.images.saving import Draft, NotSaved

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
LIMIT_SECONDS = 30.0
DAY = date(2026, 11, 20)
TASK_ID = "3f2a6b0e-0000-4000-8000-000000000000"
FOX = b"\x89PNG of a red fox"
ABOUT: Final = {"task_id": TASK_ID, "sha256": "aa", "prompt": "a red fox in the snow 雪"}
NEWS = {"task_id": "another", "sha256": "bb"}

Result = TypeVar("Result")


# --- names --------------------------------------------------------------------------------------

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"
}
NASTY = [
    *("..", ".", "/", "\\", "~", ":", "C:", "con", "NUL", "COM¹", ".png", ".JPEG", ".webp.", " "),
    *("\0", "\n", "\u202e", "\u200b", "\ud800", "e\u0301", "\u212b", "🦊", "ﷺ", "$(x)", "`", "'"),
    *("a" * 119, "狐" * 79, "🦊" * 59, "-2", "%00", "%2e", "\uff0f", "\u2215", "\u2024", "\xa0"),
]
TEXTS = st.text() | st.lists(st.sampled_from(NASTY) | st.text(max_size=3)).map("".join)


def assert_legal_everywhere(name: str) -> None:
    """What Windows, macOS and Linux say of names, in the words of their own manuals."""
    assert PureWindowsPath("C:/root", name).parts == ("C:\\", "root", *name.split("/"))
    assert PurePosixPath("/root", name).parts == ("/", "root", *name.split("/"))
    for part in name.split("/"):
        assert part.isprintable()
        assert not set(part) & set('<>:"/\\|?*')
        assert part == part.strip(" ").rstrip(".")
        assert not part.startswith(".")
        assert part.split(".")[0].rstrip(" ").upper() not in DEVICES
        longest = f"{part}-12ab.jpeg.json"
        assert len(longest.encode()) <= 255
        assert len(longest.encode("utf-16-le")) <= 2 * 255


@settings(max_examples=1_000, deadline=None)
@given(TEXTS)
def test_a_checked_name_is_legal_on_every_system_and_checked_again_stays_as_it_is(
    text: str,
) -> None:
    try:
        name = checked_name(text)
    except ValueError as error:
        assert str(error).startswith("must ")  # noqa: PT017 - most texts are refused
        return
    assert_legal_everywhere(name)
    assert checked_name(name) == name


@settings(max_examples=500, deadline=None)
@given(TEXTS, TEXTS)
def test_the_name_of_any_prompt_and_task_is_plain_ascii_and_passes_its_own_check(
    prompt: str, task_id: str
) -> None:
    stem = default_stem(prompt, task_id, DAY)
    assert stem.isascii()
    assert stem.startswith("2026-11-20-")
    assert checked_name(stem) == stem
    assert len(stem) <= 60


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("a red fox in the snow", "2026-11-20-red-fox-in-the-snow-3f2a"),
        ("The Fox's Größe: Ærøskøbing, Łódź", "2026-11-20-foxs-grosse-aeroskobing-lodz-3f2a"),
        (
            "Übergröße der Lebensversicherung schneeweißer Füchse",
            "2026-11-20-ubergrosse-der-lebensversicherung-3f2a",
        ),
        ("x" * 5_000, f"2026-11-20-{'x' * 40}-3f2a"),
        ("word " * 1_000, "2026-11-20-word-word-word-word-word-word-word-word-3f2a"),
        ("a", "2026-11-20-a-3f2a"),
        ("雪の中の赤い狐", "2026-11-20-picture-3f2a"),
        ("🦊❄️", "2026-11-20-picture-3f2a"),
        ("ثعلب في الثلج", "2026-11-20-picture-3f2a"),
        ("...!?/\\:*", "2026-11-20-picture-3f2a"),
        ("", "2026-11-20-picture-3f2a"),
        ("../../etc/passwd", "2026-11-20-etc-passwd-3f2a"),
        ("$(rm -rf ~); `x` && y > z\n\0", "2026-11-20-rm-rf-x-y-z-3f2a"),
        ("\u202egnp.exe", "2026-11-20-gnp-exe-3f2a"),
        ("CON", "2026-11-20-con-3f2a"),
    ],
)
def test_a_picture_is_named_for_its_day_what_it_shows_and_its_task(prompt: str, stem: str) -> None:
    assert default_stem(prompt, TASK_ID, DAY) == stem


@pytest.mark.parametrize(
    ("save_as", "name"),
    [
        ("fox", "fox"),
        ("  fox.png \n", "fox"),
        ("fox.JPG", "fox"),
        ("fox.png.webp", "fox"),
        ("animals/red fox.jpeg", "animals/red fox"),
        ("animals\\red\\fox", "animals/red/fox"),
        ("animals.png/fox", "animals.png/fox"),
        ("fox.v2", "fox.v2"),
        ("fox.tiff", "fox.tiff"),
        ("fu\u0308chse", "f\xfcchse"),
        ("雪/赤い狐🦊", "雪/赤い狐🦊"),
        ("$(fox) & 'co'; #1", "$(fox) & 'co'; #1"),
        ("console/com10/null", "console/com10/null"),
        ("a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h"),
        ("x" * 120, "x" * 120),
        ("狐" * 80, "狐" * 80),
    ],
)
def test_a_wanted_name_is_used_as_it_is_but_for_its_spelling_and_suffix(
    save_as: str, name: str
) -> None:
    assert checked_name(save_as) == name


ABSOLUTE = "must be relative to the output folder, without a drive or leading slash"
EMPTY = "must name a file, below folders where wanted, such as fox or animals/fox"
OUTSIDE = "must stay in the output folder: no part of it may be . or .."
HIDDEN = "must not be hidden: no part of it may begin with a dot"
UNSEEN = "must be visible text, without control, bidirectional or other invisible characters"
FORBIDDEN = 'must not contain any of < > : " | ? * ~'
EDGES = "must not have a space around any part of it, or a dot at the end of one"
DEVICE = "must not be a name that Windows keeps for devices, such as CON, NUL or COM1"
LONG = "must have at most 120 characters and 240 bytes a part"
DEEP = "must have at most 8 levels"

REFUSED: Mapping[str, Sequence[str]] = {
    ABSOLUTE: [
        *("/fox", "\\fox", "//host/share/fox", "\\\\host\\share\\fox", "/.png", " /fox"),
        *("C:\\fox", "c:fox", "C:/fox", "a:b", "\\\\?\\C:\\fox", "\\\\.\\pipe\\fox"),
    ],
    EMPTY: ["", "   ", ".png", ".png.jpg", "fox/", "a//b", "a/.png", "a\\"],
    OUTSIDE: [
        *("..", ".", "../fox", "a/../b", "..\\fox", "a\\..\\..\\b", "./fox", "a/..", "../.png"),
        *("a/..\\../b", "a/./b", "a/.. "),
    ],
    HIDDEN: [
        ".fox",
        ".ssh/fox",
        "a/.git/b",
        "...",
        "..fox",
        ".htaccess.png",
        "a/.../b",
        "..\uff0f/..",
    ],
    UNSEEN: [
        *("a\0b", "fo\nx", "a\x7f", "a\u2028b", "a\xa0b", "fox\x1b[2J", "\ud800"),
        *("fox\u202egnp", "fo\u200bx", "\ufefffox", "fox\u2066x"),
    ],
    FORBIDDEN: [
        *("ab:c", "fox.png:stream", "fox::$DATA", "a/C:/b", "a*", "a?b", "<fox>", 'a"b', "a|b"),
        *("~", "~/fox", "~root/fox", "PROGRA~1"),
    ],
    EDGES: ["fox.", "fox..png", "a./b", "fox .png", "a /b", "a/ b", "a/ /b", "fox. .png"],
    DEVICE: [
        *("CON", "nul.png", "COM1.txt", "COM¹", "lpt³.a.b", "aux/fox", "a/PRN", "con .x"),
        *("Aux.png", "conin$", "COM0"),
    ],
    LONG: ["x" * 121, "狐" * 81, "🦊" * 61, f"a/{'x' * 5_000}", "x" * 5_000 + ".png"],
    DEEP: ["a/b/c/d/e/f/g/h/i", "../" * 50 + "fox"],
}


@pytest.mark.parametrize(
    ("save_as", "why"), [(save_as, why) for why, names in REFUSED.items() for save_as in names]
)
def test_a_name_that_leads_away_or_is_not_legal_everywhere_is_refused_with_the_rule(
    save_as: str, why: str
) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refused:
        checked_name(save_as)
    assert str(refused.value) == why


# --- landing ------------------------------------------------------------------------------------


def land(
    folder: Path,
    name: str = "fox",
    content: bytes = FOX,
    about: Mapping[str, object] = ABOUT,
    suffix: str = ".png",
) -> Path:
    """A picture, begun, written and landed."""
    draft = Draft.begin(folder, name)
    draft.write(content)
    return draft.land(suffix, about)


def files(folder: Path) -> list[str]:
    """Every file below the folder, hidden ones too."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_a_picture_lands_byte_for_byte_with_its_json_beside_it(tmp_path: Path) -> None:
    path = land(tmp_path / "new" / "pictures", "animals/red/fox")

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
    path = land(tmp_path, about={"prompt": prompt})
    assert json.loads(path.with_name("fox.png.json").read_bytes().decode()) == {"prompt": prompt}


def test_until_it_lands_a_picture_has_a_hidden_name_only_and_can_be_read_back(
    tmp_path: Path,
) -> None:
    draft = Draft.begin(tmp_path, "fox")
    draft.write(FOX[:5])
    draft.write(FOX[5:])

    with draft.read_back() as file:
        assert file.read() == FOX
    (name,) = files(tmp_path)
    assert name.startswith(".runapi-")
    assert name.endswith(".part")

    draft.write(b" and more")
    assert draft.land(".png", ABOUT).read_bytes() == FOX + b" and more"


def test_a_discarded_draft_leaves_nothing_and_a_landed_one_its_picture(tmp_path: Path) -> None:
    draft = Draft.begin(tmp_path, "fox")
    draft.write(FOX)
    draft.discard()
    draft.discard()
    assert files(tmp_path) == []

    draft = Draft.begin(tmp_path, "fox")
    path = draft.land(".webp", ABOUT)
    draft.discard()
    assert path.name == "fox.webp"
    assert files(tmp_path) == ["fox.webp", "fox.webp.json"]


@POSIX
def test_no_descriptor_stays_open_however_a_draft_ends(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(list(Path("/dev/fd").iterdir()))
    for number in range(50):
        land(tmp_path, f"animals/{number}")
        Draft.begin(tmp_path, "animals/fox").discard()
        with pytest.raises(NotSaved):
            Draft.begin(tmp_path, "animals/red/../fox")
        with pytest.raises(NotSaved):
            Draft.begin(tmp_path, "file/fox")
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_pictures_of_one_name_are_numbered_and_then_named_at_random(tmp_path: Path) -> None:
    paths = [land(tmp_path, content=bytes([n]), about={"n": n}) for n in range(12)]

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
    assert land(tmp_path).name == "fox-2.png"
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

    assert land(folder).name == "fox-2.png"
    assert outside.exists() == (kind == "link")


# --- the same picture again ---------------------------------------------------------------------


def test_the_same_picture_lands_once_also_under_a_later_number(tmp_path: Path) -> None:
    other, ours = land(tmp_path, content=b"other", about=NEWS), land(tmp_path)
    before = files(tmp_path)
    assert before == ["fox-2.png", "fox-2.png.json", "fox.png", "fox.png.json"]

    assert land(tmp_path, about={**ABOUT, "prompt": "told otherwise"}) == ours
    assert land(tmp_path, content=b"other", about=NEWS) == other
    assert files(tmp_path) == before


@pytest.mark.parametrize("about", [{**ABOUT, "task_id": "other"}, {**ABOUT, "sha256": "other"}, {}])
def test_a_picture_of_another_task_or_content_is_another_picture(
    tmp_path: Path, about: Mapping[str, object]
) -> None:
    land(tmp_path, about={key: value for key, value in ABOUT.items() if key in about})
    assert land(tmp_path, about=about).name == "fox-2.png"


def test_a_picture_that_was_changed_since_lands_anew(tmp_path: Path) -> None:
    land(tmp_path).write_bytes(b"edited")
    assert land(tmp_path).name == "fox-2.png"


def test_a_picture_that_was_removed_since_comes_back_to_its_name(tmp_path: Path) -> None:
    first = land(tmp_path)
    content = first.read_bytes()
    first.unlink()
    assert land(tmp_path) == first
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
    assert land(tmp_path).name == "fox-2.png"


@POSIX
def test_a_json_that_is_a_pipe_or_a_link_is_not_read(tmp_path: Path) -> None:
    landed = land(tmp_path / "outside")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "fox.png").write_bytes(FOX)
    (folder / "fox-2.png").write_bytes(FOX)
    os.mkfifo(folder / "fox.png.json")
    (folder / "fox-2.png.json").symlink_to(landed.with_name("fox.png.json"))
    writer = os.open(folder / "fox.png.json", os.O_RDWR)  # or reading would find its end at once
    try:
        assert land(folder).name == "fox-3.png"
    finally:
        os.close(writer)


# --- staying in the folder ----------------------------------------------------------------------

BOTH = pytest.mark.parametrize("opening", [held, checked])


@POSIX
@BOTH
def test_a_folder_that_is_a_link_to_elsewhere_is_refused_and_nothing_is_made_there(
    tmp_path: Path, opening: Opening
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
    tmp_path: Path, opening: Opening, name: str
) -> None:
    with pytest.raises(OSError, match="not a plain name"), opening(tmp_path, [name], make=True):
        pytest.fail("it was opened")
    with opening(tmp_path, ["in"], make=True) as directory:
        (tmp_path / "in/fox").write_bytes(FOX)
        acts: Sequence[Callable[[str], object]] = (
            directory.create,
            directory.reading,
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
def test_a_directory_places_reads_and_removes_by_name(tmp_path: Path, opening: Opening) -> None:
    with opening(tmp_path / "root", ["a", "b"], make=True) as directory:
        with directory.temporary() as (temporary, file):
            file.write(FOX)
            file.close()
            directory.place(temporary, "fox")
        assert directory.path == tmp_path / "root/a/b"
        assert directory.read("fox", 100) == FOX
        assert directory.read("fox", 4) == FOX[:4]
        with directory.temporary() as (temporary, _), pytest.raises(FileExistsError):
            directory.place(temporary, "fox")
        directory.confirm()
        assert files(tmp_path) == ["root/a/b/fox"]
        directory.remove("fox")
        assert not directory.exists("fox")


@BOTH
def test_a_directory_that_is_only_read_is_not_made(tmp_path: Path, opening: Opening) -> None:
    for root, parts in ((tmp_path / "new", []), (tmp_path, ["new"])):
        with pytest.raises(FileNotFoundError), opening(root, parts, make=False):
            pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


@POSIX
@BOTH
def test_reading_follows_no_link_awaits_no_pipe_and_is_not_inherited(
    tmp_path: Path, opening: Opening
) -> None:
    (tmp_path / "fox").write_bytes(FOX)
    (tmp_path / "link").symlink_to("fox")
    os.mkfifo(tmp_path / "pipe")
    with opening(tmp_path, [], make=False) as directory:
        with pytest.raises(OSError) as refused:  # noqa: PT011 - looked at below
            directory.open_to_read("link")
        assert refused.value.errno == errno.ELOOP
        pipe = directory.open_to_read("pipe")
        assert stat.S_ISFIFO(os.fstat(pipe).st_mode)
        assert not os.get_inheritable(pipe)
        os.close(pipe)


@POSIX
def test_the_root_may_be_a_link_and_the_answer_says_where_the_picture_lies(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert land(tmp_path / "link", "a/fox") == tmp_path / "real/a/fox.png"


@POSIX
def test_a_folder_swapped_for_a_link_under_way_is_noticed_and_nothing_lands(tmp_path: Path) -> None:
    root, outside = tmp_path / "pictures", tmp_path / "outside"
    outside.mkdir()
    draft = Draft.begin(root, "animals/fox")
    draft.write(FOX)
    swap(root / "animals", outside)

    with pytest.raises(NotSaved) as failure:
        draft.land(".png", ABOUT)

    assert failure.value.happened == (
        f"The picture was not saved in {root}/animals: it was moved or replaced meanwhile."
    )
    assert files(tmp_path) == ["pictures/animals"]


def swap(folder: Path, outside: Path) -> None:
    """A link to outside where the folder is, or is about to be."""
    if folder.exists():
        folder.rename(f"{folder}-moved")
    folder.symlink_to(outside)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_any_name_that_passes_lands_in_the_folder_and_nowhere_else(text: str) -> None:
    try:
        name = checked_name(text)
    except ValueError:
        return
    with TemporaryDirectory() as place:
        root = Path(place).resolve() / "pictures"
        first = land(root, name)
        second = land(root, name, about=NEWS, suffix=".jpeg")
        assert (first, second) == (root / f"{name}.png", root / f"{name}-2.jpeg")
        assert len(files(Path(place))) == 4


# --- in a process of its own, where steps fail --------------------------------------------------

STEPS: Final = ("open", "os.mkdir", "os.link", "os.rename")
"""The system calls on the way of a picture that can fail, as Python's audit hooks tell them."""
REMOVING: Final = "os.remove"
MOST_STEPS = 100
FREE_SPACE = "Free some space, or choose another folder with RUNAPI_OUTPUT_DIR."


@contextmanager
def faulty(step: int, fault: Callable[[], object], events: Sequence[str]) -> Generator[None]:
    """The fault comes just before this step. A process cannot take that back: only in a child."""
    steps = count(1)
    armed = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if armed and event in events and next(steps) == step:
            fault()

    sys.addaudithook(hook)
    yield
    armed = False


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


def elsewhere(work: Callable[..., Result], *arguments: object) -> Result | None:
    """What the work returns in a process of its own; None where that died."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__])
    ours, theirs = forks.Pipe(duplex=False)
    process = forks.Process(target=_tell, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT_SECONDS) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _tell(
    line: "Connection[Any, Any]", work: Callable[..., object], arguments: Sequence[object]
) -> None:  # Any: whatever the work returns
    line.send(work(*arguments))


def land_or_say(folder: Path, name: str = "animals/fox", **rest: Any) -> str:  # Any: as land has it
    """The picture's path, or why there is none."""
    try:
        return str(land(folder, name, **rest))
    except NotSaved as failure:
        return str(failure)


def land_with(
    fault: Callable[[], object],
    events: Sequence[str],
    system: Callable[[], None],
    folder: Path,
    step: int,
) -> str:
    system()
    with faulty(step, fault, events):
        return land_or_say(folder)


@POSIX
@pytest.mark.parametrize(
    ("system", "contents"), [(ordinary, {FOX}), (without_hard_links, {FOX, b""})]
)
def test_a_crash_at_any_step_leaves_no_half_picture_and_no_picture_without_its_json(
    tmp_path: Path, system: Callable[[], None], contents: set[bytes]
) -> None:
    for step in range(1, MOST_STEPS):
        folder = tmp_path / str(step)
        ended = elsewhere(land_with, crash, (*STEPS, REMOVING), system, folder, step)
        for picture in folder.rglob("*.png"):
            assert picture.read_bytes() in contents
            assert json.loads(picture.with_name(f"{picture.name}.json").read_bytes()) == ABOUT
        if ended is not None:
            assert ended == f"{folder}/animals/fox.png"
            assert step > 8
            return
        assert land(folder, "animals/fox").read_bytes() == FOX
    pytest.fail("it never landed")


@POSIX
@pytest.mark.parametrize("system", [ordinary, without_hard_links])
def test_a_failure_at_any_step_removes_what_was_begun_and_says_so(
    tmp_path: Path, system: Callable[[], None]
) -> None:
    for step in range(1, MOST_STEPS):
        folder = tmp_path / str(step)
        said = elsewhere(land_with, disk_full, STEPS, system, folder, step)
        if said == f"{folder}/animals/fox.png":
            assert files(folder) == ["animals/fox.png", "animals/fox.png.json"]
            assert step > 6
            return
        assert said is not None
        assert said.startswith(f"The picture was not saved in {folder}")
        assert said.endswith(f": No space left on device. {FREE_SPACE}")
        assert files(folder) == []
    pytest.fail("it never landed")


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
        ended = elsewhere(land_with, swapped, (*STEPS, REMOVING), ordinary, root, step)
        assert ended is not None
        assert list(outside.iterdir()) == []
        if not (root / "animals").is_symlink():
            assert step > 8
            return
    pytest.fail("it never landed")


def place_without_hard_links(folder: Path) -> str:
    without_hard_links()
    with opened(folder, [], make=False) as directory, directory.temporary() as (temporary, _):
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


def land_within(limit_bytes: int, folder: Path, prompt: str) -> tuple[str, list[str]]:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    said = land_or_say(folder, content=FOX * 100, about={"prompt": prompt})
    return said, files(folder)


@POSIX
@pytest.mark.parametrize(("limit_bytes", "prompt"), [(0, ""), (100, ""), (5_000, "x" * 5_000)])
def test_a_file_that_grows_too_large_leaves_nothing(
    tmp_path: Path, limit_bytes: int, prompt: str
) -> None:
    assert elsewhere(land_within, limit_bytes, tmp_path, prompt) == (
        f"The picture was not saved in {tmp_path}/animals: File too large. {FREE_SPACE}",
        [],
    )


def fill(folder: str) -> None:
    """Land pictures in a small disk until it is full, and say how that ended."""
    contents = (bytes([n]) * 20_000 for n in count())
    said = ""
    while not said.startswith("The"):
        said = land_or_say(Path(folder), "fox", content=next(contents), about={"a": "a" * 20_000})
    print(json.dumps([said, files(Path(folder))]))  # noqa: T201 - whoever started this reads it


def has_small_disks() -> bool:
    """Whether this machine lets us mount a disk of our own."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return unshare is not None and subprocess.run(command, check=False).returncode == 0  # noqa: S603


def test_a_disk_that_fills_up_keeps_what_landed_and_nothing_of_the_rest(tmp_path: Path) -> None:
    if not has_small_disks():
        pytest.skip("no mounts here")
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    program = "import sys; from tests.test_saving import fill; fill(sys.argv[1])"
    command = ["unshare", "-Urm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program]
    output = subprocess.check_output(command, cwd=Path(__file__).parents[1])  # noqa: S603
    assert json.loads(output) == [
        f"The picture was not saved in {tmp_path}: No space left on device. {FREE_SPACE}",
        ["fox.png", "fox.png.json"],
    ]


def land_as_nobody(folder: Path) -> str:
    if os.geteuid() == 0:
        os.setuid(65534)  # a root may write anywhere
    return land_or_say(folder, "fox")


@POSIX
def test_a_folder_that_cannot_be_written_is_named_with_what_to_do() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        assert elsewhere(land_as_nobody, Path(folder)) == (
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
        Draft.begin(tmp_path / folder, name)
    assert failure.value.happened == f"The picture was not saved in {tmp_path / folder}: {why}."
    assert "RUNAPI_OUTPUT_DIR" in failure.value.advice
    assert files(tmp_path) == ["file"]


def modes_under(mask: int, folder: Path) -> list[str]:
    os.umask(mask)
    path = land(folder, "animals/fox")
    paths = (path.parent, path, path.with_name("fox.png.json"))
    return [stat.filemode(each.stat().st_mode) for each in paths]


@POSIX
def test_files_and_folders_have_the_users_usual_modes(tmp_path: Path) -> None:
    assert elsewhere(modes_under, 0o027, tmp_path) == ["drwxr-x---", "-rw-r-----", "-rw-r-----"]
    assert elsewhere(modes_under, 0, tmp_path / "new") == ["drwxrwxrwx", "-rw-rw-rw-", "-rw-rw-rw-"]


# --- many at once -------------------------------------------------------------------------------


def test_threads_that_land_one_name_at_once_each_have_a_picture(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> Path:
        draft = Draft.begin(tmp_path, "fox")
        draft.write(bytes([number]))
        together.wait(LIMIT_SECONDS)
        return draft.land(".png", {"n": number})

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(work, range(64)))
    assert_each_is_there(tmp_path, dict(enumerate(paths)))


def land_twenty(folder: Path, first: int) -> dict[int, Path]:
    numbers = range(first, first + 20)
    return {n: land(folder, content=bytes([n]), about={"n": n}) for n in numbers}


@POSIX
def test_processes_that_land_one_name_at_once_each_have_a_picture(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        landed = pool.map(partial(elsewhere, land_twenty, tmp_path), range(0, 80, 20))
    paths: dict[int, Path] = {}
    for each in landed:
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
        land(few)
        of_few = len(steps)
        land(many)
    assert of_few > 20  # it counts
    # A random name may be taken, and its picture is looked at before the next is tried.
    assert len(steps) - of_few < of_few + 60


@POSIX
def test_what_gets_a_name_is_on_the_disk_before(tmp_path: Path) -> None:
    with counting_system_calls() as calls:
        land(tmp_path)
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
