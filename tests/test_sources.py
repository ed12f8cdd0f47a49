"""What a picture is made from: addresses, earlier pictures, and files, which are uploaded once."""

import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from runapi_mcp.api import Upstream
from runapi_mcp.catalog import VARIANTS
from runapi_mcp.images.album import Album
from runapi_mcp.images.places import Places
from runapi_mcp.sandbox.faults import Kind, Where
from runapi_mcp.server import Keys, Service, create_server
from runapi_mcp.tasks.desk import Desk
from runapi_mcp.tasks.ledger import Ledger
from runapi_mcp.tasks.ledger.book import _MIGRATIONS  # pyright: ignore[reportPrivateUsage] - history
from runapi_mcp.tasks.limits import Limits
from tests.killing import End, Forks, Start, forks
from tests.ledgers import ledger_at
from tests.photos import (
    PAYING,
    REMIX,
    UPLOADING,
    asking,
    bodies,
    decoded,
    encoded,
    held,
    jpeg,
    of_many_pixels,
    photo,
    picture,
    remixing,
    seed_of,
    sources_of,
    story_of,
    way,
)
from tests.processes import (
    LIMIT_SECONDS,
    SIGNALS,
    Network,
    host,
    network,
    opening,
    program,
    request,
)
from tests.test_crashes import is_moment
from tests.world import (
    ERAS,
    KEY,
    MADE_UP_KEY,
    NO_PICTURES,
    World,
    client_of,
    clock,
    facts,
    said,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
ERA = pytest.mark.parametrize("era", ERAS)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
DRAW = "flux_2_pro_text_to_image"
URL = "https://pictures.example/hare.png?sig=a%2Fb"
PAID = f"POST {PAYING}"
STEPS: tuple[Where, ...] = ("prepare", "upload", "confirm")
QUICK = "a fox [[poll-after 0.05s]]"
MINUTE, DAY = 60, 86_400


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server is started in a folder of a project."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "web" / "assets").mkdir(parents=True)
    monkeypatch.chdir(root / "web")
    return root


@pytest.fixture
def fox(tmp_path: Path) -> Path:
    """A photo that may be taken."""
    return photo(tmp_path / "photos" / "fox.png", seed=50)


async def assert_free(w: World) -> None:
    """Nothing was uploaded or paid, nothing is reserved or in doubt."""
    assert [step for step in way(w) if step == PAID] == []
    assert w.spent_cents == 0
    assert w.task_count == 0
    assert facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"] == []
    assert facts(await w.call("check_pricing")).get("left_today_cents") in (None, 100)


# --- which file a path means ----------------------------------------------------------------------


@ERA
async def test_the_three_steps_of_an_upload_come_before_the_request_that_pays(
    era: str, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era) as w:
        result = await w.call(REMIX, asking(fox))
        assert facts(result)["status"] == "completed"
        assert way(w) == [*UPLOADING, PAID]
        assert [seed_of(each) for each in await sources_of(w)] == [50]
        assert w.spent_cents == 5


PLACES: dict[str, Callable[[Path], tuple[Path, str]]] = {
    "absolute, in a folder of RUNAPI_INPUT_DIRS": lambda here: (
        here / "photos/fox.png",
        f"{here}/photos/fox.png",
    ),
    "absolute, in the project": lambda here: (here / "project/fox.png", f"{here}/project/fox.png"),
    "absolute, in the output folder": lambda here: (
        here / "pictures/fox.png",
        f"{here}/pictures/fox.png",
    ),
    "absolute, with steps up": lambda here: (
        here / "photos/fox.png",
        f"{here}/project/web/../../photos/./fox.png",
    ),
    "by the working directory": lambda here: (here / "project/web/fox.png", "fox.png"),
    "by the working directory, a folder down": lambda here: (
        here / "project/web/assets/fox.png",
        "./assets/fox.png",
    ),
    "by the working directory, a folder up": lambda here: (here / "project/fox.png", "../fox.png"),
    "by the root of the project": lambda here: (
        here / "project/web/assets/fox.png",
        "web/assets/fox.png",
    ),
    "by the output folder": lambda here: (here / "pictures/2026/fox.png", "2026/fox.png"),
    "without a suffix": lambda here: (here / "project/web/fox", "fox"),
    "with spaces and letters of the world": lambda here: (
        here / "photos/der rote füchs 狐.png",
        f"{here}/photos/der rote füchs 狐.png",
    ),
    "with a percent sign": lambda here: (
        here / "photos/100%20.png",
        f"{here}/photos/100%20.png",
    ),
    "a file URL": lambda here: (here / "photos/fox.png", f"file://{here}/photos/fox.png"),
    "a file URL with localhost": lambda here: (
        here / "photos/fox.png",
        f"file://localhost{here}/photos/fox.png",
    ),
    "a file URL without slashes": lambda here: (
        here / "photos/fox.png",
        f"file:{here}/photos/fox.png",
    ),
    "a file URL in capitals": lambda here: (
        here / "photos/fox.png",
        f"FILE://{here}/photos/fox.png",
    ),
    "a file URL with spaces, encoded": lambda here: (
        here / "photos/a red fox.png",
        f"file://{here}/photos/a%20red%20fox.png",
    ),
    "a file URL with spaces, as they are": lambda here: (
        here / "photos/a red fox.png",
        f"file://{here}/photos/a red fox.png",
    ),
    "a file URL with letters of the world": lambda here: (
        here / "photos/füchs.png",
        f"file://{here}/photos/f%C3%BCchs.png",
    ),
}


@POSIX
@pytest.mark.parametrize("place", PLACES)
async def test_a_path_means_the_file_that_a_person_would_find(place: str, tmp_path: Path) -> None:
    path, name = PLACES[place](tmp_path)
    photo(path, seed=90)
    async with remixing(tmp_path) as w:
        result = await w.call(REMIX, asking(name))
        assert not result.is_error, said(result)
        assert [seed_of(each) for each in await sources_of(w)] == [90]


@POSIX
@pytest.mark.parametrize("linked", ["file", "folder"])
async def test_a_link_that_stays_in_allowed_folders_is_followed(
    linked: str, tmp_path: Path, fox: Path, project: Path
) -> None:
    here = project / "web" / "assets"
    (here / "link").symlink_to(fox if linked == "file" else fox.parent)
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking("assets/link" if linked == "file" else "assets/link/fox.png"))
        assert [seed_of(each) for each in await sources_of(w)] == [50]


@POSIX
async def test_an_allowed_folder_may_be_a_link_itself(tmp_path: Path, fox: Path) -> None:
    (tmp_path / "album").symlink_to(fox.parent)
    places = Places(tmp_path / "pictures", (tmp_path / "album",))
    async with remixing(tmp_path, places=places) as w:
        for name in (fox, tmp_path / "album" / "fox.png"):
            await w.call(REMIX, asking(name))
            assert [seed_of(each) for each in await sources_of(w)] == [50]


async def test_a_tilde_is_the_users_home(tmp_path: Path) -> None:
    photo(Path.home() / "photos" / "fox.png", seed=90)
    places = Places(tmp_path / "pictures", (Path.home() / "photos",))
    async with remixing(tmp_path, places=places) as w:
        await w.call(REMIX, asking("~/photos/fox.png"))
        assert [seed_of(each) for each in await sources_of(w)] == [90]


async def test_of_two_files_of_one_relative_name_the_working_directorys_is_meant(
    tmp_path: Path, project: Path
) -> None:
    photo(project / "web" / "fox.png", seed=10)
    photo(project / "fox.png", seed=20)
    photo(tmp_path / "pictures" / "fox.png", seed=30)
    async with remixing(tmp_path) as w:
        for seed in (10, 20, 30):
            await w.call(REMIX, asking("fox.png"))
            [source] = await sources_of(w)
            assert seed_of(source) == seed
            folder = {10: project / "web", 20: project, 30: tmp_path}[seed]
            (folder / "fox.png").unlink(missing_ok=True)


@pytest.mark.parametrize("folder", ["home", "above"])
async def test_a_server_started_in_the_home_takes_nothing_from_there(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.home() if folder == "home" else "/")
    photo(Path.home() / "fox.png")
    async with remixing(tmp_path) as w:
        for name in ("fox.png", str(Path.home() / "fox.png"), "~/fox.png"):
            refused = await w.call(REMIX, asking(name))
            assert refused.is_error
        await assert_free(w)
        assert w.wire.paths("POST") == []


@ERA
async def test_sources_of_all_kinds_keep_their_order(
    era: str, tmp_path: Path, fox: Path, project: Path
) -> None:
    photo(project / "web" / "owl.png", seed=90)
    async with remixing(tmp_path, era=era) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        given = ["owl.png", URL, drawn["task_id"].upper(), fox.as_uri(), "owl.png", str(fox)]
        await w.call(REMIX, asking(*given))
        owl, url, task, first, again, second = bodies(w)[0]["source_image_urls"]
        assert (url, task) == (URL, drawn["image_urls"][0])
        assert (owl, first) == (again, second)
        assert [seed_of(await held(w, each)) for each in (owl, first)] == [90, 50]
        assert way(w).count("POST /api/v1/files/prepare") == 2


@pytest.mark.parametrize("indent", [None, 2])
async def test_an_array_may_come_as_a_json_string(
    indent: int | None, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        listed = json.dumps([str(fox), URL], indent=indent)
        await w.call(REMIX, {"prompt": "a fox", "source_image_urls": listed})
        local, url = bodies(w)[0]["source_image_urls"]
        assert seed_of(await held(w, local)) == 50
        assert url == URL


@pytest.mark.parametrize("variant", [v for v in VARIANTS if "source_image_urls" in v.field_names])
async def test_every_variant_that_takes_images_takes_files(
    variant: Any, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        more = {"aspect_ratio": "1:1"} if variant.tier == "max" else {}
        result = await w.call(variant.tool_name, asking(fox) | more)
        assert facts(result)["status"] == "completed"
        assert way(w)[:3] == UPLOADING


async def test_the_key_and_the_files_name_never_go_to_the_upload_address(
    tmp_path: Path,
) -> None:
    path = photo(tmp_path / "photos" / "Ada at home, 3 Elm Street.png")
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(path))
        [put] = [each for each in w.wire.sent if each.method == "PUT"]
        assert KEY not in str(put)
        assert {"authorization", "cookie", "idempotency-key"} & set(put.headers) == set()
        assert all(b"Ada" not in each.body for each in w.wire.sent)
        assert all("Ada" not in str(each.headers) + each.path for each in w.wire.sent)
        prepared = next(each for each in w.wire.sent if each.path.endswith("/prepare"))
        assert prepared.headers["authorization"] == f"Bearer {KEY}"


# --- what is refused ------------------------------------------------------------------------------


def write(here: Path, name: str, content: bytes) -> str:
    path = here / "photos" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


def pipe(here: Path) -> str:
    (here / "photos").mkdir()
    os.mkfifo(here / "photos" / "pipe.png")
    return str(here / "photos" / "pipe.png")


def a_socket(here: Path) -> str:
    (here / "photos").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        # The path of a socket may not be long.
        os.chdir(here / "photos")
        sock.bind("s.png")
    return str(here / "photos" / "s.png")


def link(here: Path, target: str) -> str:
    (here / "photos").mkdir()
    (here / "photos" / "link.png").symlink_to(target)
    return str(here / "photos" / "link.png")


def linked_folder(here: Path) -> str:
    photo(here / "secrets" / "fox.png")
    (here / "photos").mkdir()
    (here / "photos" / "album").symlink_to(here / "secrets")
    return str(here / "photos" / "album" / "fox.png")


def locked(here: Path) -> str:
    """A folder in place of the file, through a file in place of the folder."""
    return f"{photo(here / 'photos' / 'fox.png')}/fox.png"


NOT_ALLOWED = "is not in a folder that images may be taken from"
NO_IMAGE = "is not a whole PNG, JPEG or WebP image"
REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "a missing file": (lambda here: str(here / "photos/none.png"), "No such file or directory"),
    "a missing relative file": (lambda _: "none.png", "No such file or directory"),
    "a folder": (lambda here: str(photo(here / "photos/a/b.png").parent), "not a regular"),
    "an allowed folder itself": (
        lambda here: str(photo(here / "photos/b.png").parent),
        "is a folder",
    ),
    "a path through a file": (locked, "cannot be read"),
    "a file outside": (lambda here: str(photo(here / "secrets/fox.png")), NOT_ALLOWED),
    "a relative file outside": (
        lambda here: os.path.relpath(photo(here / "secrets/fox.png")),
        NOT_ALLOWED,
    ),
    "a file beside an allowed folder": (
        lambda here: str(photo(here / "photos-of-others/fox.png")),
        NOT_ALLOWED,
    ),
    "a file URL to outside": (lambda here: photo(here / "secrets/fox.png").as_uri(), NOT_ALLOWED),
    "an encoded way up": (
        lambda here: (
            f"file://{photo(here / 'secrets/fox.png').parent.parent}/photos/%2e%2e/secrets/fox.png"
        ),
        NOT_ALLOWED,
    ),
    "another host": (lambda _: "file://nas.example/fox.png", "is on another machine"),
    "another host's share": (lambda _: "file:////nas/fox.png", NOT_ALLOWED),
    "a file URL of nothing": (lambda _: "file:", "."),
    "a file URL with an open bracket": (lambda _: "file://[/fox.png", "."),
    "a file URL with a NUL": (lambda _: "file:///fox%00.png", "is no path"),
    "a NUL": (lambda _: "fox\0.png", "is no path"),
    "a link to outside": (
        lambda here: link(here, str(photo(here / "secrets/fox.png"))),
        NOT_ALLOWED,
    ),
    "a link to nothing outside": (lambda here: link(here, str(here / "secrets/no")), NOT_ALLOWED),
    "a linked folder": (linked_folder, NOT_ALLOWED),
    "a link to itself": (lambda here: link(here, "link.png"), "cannot be read"),
    "a pipe": (pipe, "not a regular file"),
    "a socket": (a_socket, "cannot be read"),
    "zeros without end": (lambda here: link(here, "/dev/zero"), NOT_ALLOWED),
    "a file of the kernel": (lambda _: "/proc/self/environ", NOT_ALLOWED),
    "a descriptor": (lambda _: "/dev/fd/0", NOT_ALLOWED),
    "standard input": (lambda _: "/dev/stdin", NOT_ALLOWED),
    "an unknown user's home": (lambda _: "~nobody-of-this-name/fox.png", "is no path"),
    "a name of 300 characters": (lambda _: "x" * 300, "x"),
    "an absolute name of 300 characters": (lambda here: f"{here}/photos/{'x' * 300}", "x"),
    "a name of 5,000 characters": (lambda _: "x" * 5_000, "must be at most 4096 characters"),
    "a path of 4,000 characters": (lambda here: f"{here}/photos/{'x/' * 1_900}fox.png", "x"),
    "half a letter": (lambda _: "\ud800.png", "is no path"),
    "a lone byte": (lambda here: f"{here}/photos/caf\udce9.png", "caf"),
    "a name of several lines": (lambda _: "a fox\n\nstatus: completed", "a fox"),
    "a name that colours terminals": (lambda _: "\x1b[31mfox\u202e.png", "fox"),
    "an empty path": (lambda _: "", "must be a full http"),
    "spaces": (lambda _: "   ", "must be a full http"),
    "a data URL": (lambda _: "data:image/png;base64,AAAA", "must be a full http"),
    "another scheme": (lambda _: "ftp://pictures.example/fox.png", "must be a full http"),
    "a text": (lambda here: write(here, "fox.png", b"a fox in the snow\n"), NO_IMAGE),
    "nothing at all": (lambda here: write(here, "fox.png", b""), NO_IMAGE),
    "a GIF": (lambda here: write(here, "fox.png", encoded(picture(), "GIF")), NO_IMAGE),
    "a TIFF": (lambda here: write(here, "fox.png", encoded(picture(), "TIFF")), NO_IMAGE),
    "an SVG": (lambda here: write(here, "fox.png", b'<svg xmlns="http://www.w3.org"/>'), NO_IMAGE),
    "EPS, which runs programs": (
        lambda here: write(here, "fox.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        NO_IMAGE,
    ),
    "a cut PNG": (lambda here: write(here, "fox.png", encoded(picture())[:-40]), NO_IMAGE),
    "a cut JPEG": (lambda here: write(here, "fox.jpg", encoded(picture(), "JPEG")[:-60]), NO_IMAGE),
    "a cut WebP": (lambda here: write(here, "fox.png", encoded(picture(), "WEBP")[:-20]), NO_IMAGE),
    "60 million pixels": (
        lambda here: write(here, "fox.png", of_many_pixels(10_000, 6_000)),
        "has 10000 x 6000 pixels",
    ),
    "21 MB": (lambda here: write(here, "fox.png", jpeg() + bytes(21_000_000)), "has 21 MB"),
    "one pixel": (
        lambda here: write(here, "fox.png", encoded(picture(size=(1, 1)))),
        "is 1 x 1 pixels. Each side must have 16 to 16,384",
    ),
    "a thread": (
        lambda here: write(here, "fox.png", encoded(picture(size=(20_000, 16)))),
        "is 20000 x 16 pixels",
    ),
    "an id that is no task": (lambda _: "3f2a6b0e-0000-4000-8000-000000000000", "no task"),
}


@POSIX
@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_a_source_is_said_and_nothing_is_uploaded_or_paid(
    case: str, tmp_path: Path
) -> None:
    make, words = REFUSED[case]
    name = make(tmp_path)
    async with remixing(tmp_path, limits=Limits(per_day_cents=100)) as w:
        with anyio.fail_after(5):
            refused = await w.call(REMIX, asking(name))
        assert refused.is_error
        assert words in said(refused)
        assert "Traceback" not in said(refused)
        assert re.search(r"\bNothing was\b|\bnothing was\b", said(refused)), said(refused)[-200:]
        assert said(refused).isprintable()
        assert w.wire.paths("POST") == []
        await assert_free(w)


@ERA
@pytest.mark.parametrize(
    "case",
    ["a missing file", "a file outside", "a NUL", "a text", "a name of 300 characters"],
)
async def test_a_refusal_reaches_clients_of_both_eras(era: str, case: str, tmp_path: Path) -> None:
    make, words = REFUSED[case]
    async with remixing(tmp_path, era=era) as w:
        refused = await w.call(REMIX, asking(make(tmp_path)))
        assert refused.is_error
        assert words in said(refused)


@POSIX
async def test_files_of_the_system_are_no_pictures_even_where_its_folder_is_allowed(
    tmp_path: Path,
) -> None:
    places = Places(tmp_path, (Path("/dev"), Path("/proc/self"), Path("/sys/kernel")))
    async with remixing(tmp_path, places=places) as w:
        for name in ("/dev/zero", "/dev/urandom", "/proc/self/environ", "/proc/self/maps"):
            with anyio.fail_after(5):
                refused = await w.call(REMIX, asking(name))
            assert refused.is_error
            assert name in said(refused).replace(f"/proc/{os.getpid()}", "/proc/self")
        assert w.wire.paths("POST") == []


async def test_a_second_source_that_is_refused_keeps_the_first_at_home(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        refused = await w.call(REMIX, asking(fox, URL, "none.png"))
        assert "none.png" in said(refused)
        assert way(w) == []


OUTSIDE: dict[str, Callable[[Path], str]] = {
    "absolute": lambda here: f"{here}/secrets/THIS",
    "relative": lambda _: "../../secrets/THIS",
    "a file URL": lambda here: f"file://{here}/secrets/THIS",
    "by a linked folder": lambda here: f"{here}/photos/linked/THIS",
    "by a link": lambda here: f"{here}/photos/to-THIS",
    "and back again": lambda here: f"{here}/secrets/THIS/../../secrets/fox.png",
}


@POSIX
@pytest.mark.parametrize("way_there", OUTSIDE)
async def test_nothing_tells_whether_there_is_a_file_outside(
    way_there: str, tmp_path: Path
) -> None:
    photo(tmp_path / "secrets" / "there")
    (tmp_path / "secrets" / "folder").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "secrets")
    names = ("there", "folder", "none", "there/none", "none/none")
    for name in ("there", "folder", "none"):
        (tmp_path / "photos" / f"to-{name}").symlink_to(tmp_path / "secrets" / name)
    answers: set[str] = set()
    async with remixing(tmp_path) as w:
        for name in names[: 3 if way_there == "by a link" else 5]:
            path = OUTSIDE[way_there](tmp_path).replace("THIS", name)
            refusal = said(await w.call(REMIX, asking(path)))
            answers.add(refusal.replace(path.removeprefix("file://"), "PATH"))
    [answer] = answers
    assert answer.startswith(f"PATH {NOT_ALLOWED}")
    assert f"{tmp_path}/photos" in answer
    assert "RUNAPI_INPUT_DIRS" in answer


async def test_all_that_is_wrong_is_said_at_once_and_no_file_is_looked_at(
    tmp_path: Path, fox: Path
) -> None:
    wrong = {"prompt": "a", "aspect_ratio": "5:4", "seed": 7, "wait_seconds": -1, "save_as": "/"}
    async with remixing(tmp_path, saves=True) as w:
        with opening_of("fox.png", lambda: None) as opened:
            refused = await w.call(REMIX, asking(fox, "none.png", "/etc/passwd") | wrong)
        for name in wrong:
            assert name in said(refused)
        assert "passwd" not in said(refused)
        assert opened == []
        assert w.wire.paths("POST") == []


async def test_a_call_without_a_key_reads_no_file(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path, key=None) as w:
        with opening_of("fox.png", lambda: None) as opened:
            refused = await w.call(REMIX, asking(fox))
        assert refused.is_error
        assert "RUNAPI_API_KEY" in said(refused)
        assert opened == []


@pytest.mark.parametrize("sources", [[], [URL] * 9, ["fox.png"] * 9])
async def test_too_few_and_too_many_sources_are_refused(sources: list[str], tmp_path: Path) -> None:
    async with remixing(tmp_path) as w:
        refused = await w.call(REMIX, asking(*sources))
        assert "source_image_urls must be an array of 1-8" in said(refused)
        assert way(w) == []


async def test_what_is_no_text_is_named_and_the_path_beside_it_is_not(tmp_path: Path) -> None:
    async with remixing(tmp_path) as w:
        refused = await w.call(REMIX, asking(7, "fox.png"))
        assert "source_image_urls[0] must be a string, not 7." in said(refused)
        assert "source_image_urls[1]" not in said(refused)
        assert way(w) == []


# --- races ----------------------------------------------------------------------------------------

_watched: list[Callable[[str], None]] = []


def _on_audit(event: str, arguments: tuple[Any, ...]) -> None:
    # `os.open` names no mode. The built-in `open` has one, and opens by it only later.
    if event == "open" and _watched and isinstance(arguments[0], str) and arguments[1] is None:
        for watch in _watched:
            watch(arguments[0])


sys.addaudithook(_on_audit)


@contextmanager
def opening_of(name: str, act: Callable[[], object]) -> Generator[list[str]]:
    """Do something just before a file of this name is opened for the first time; lists each."""
    opened: list[str] = []

    def watch(path: str) -> None:
        if path.rpartition("/")[2] == name:
            opened.append(path)
            if len(opened) == 1:
                act()

    _watched.append(watch)
    try:
        yield opened
    finally:
        _watched.remove(watch)


def link_swapped_in(here: Path) -> None:
    (here / "photos/album/fox.png").unlink()
    (here / "photos/album/fox.png").symlink_to(here / "secrets/fox.png")


def folder_swapped_in(here: Path) -> None:
    (here / "photos/album").rename(here / "photos/before")
    (here / "photos/album").symlink_to(here / "secrets")


def pipe_swapped_in(here: Path) -> None:
    (here / "photos/album/fox.png").unlink()
    os.mkfifo(here / "photos/album/fox.png")


@POSIX
@pytest.mark.parametrize(
    ("name", "swap"),
    [
        ("fox.png", link_swapped_in),
        ("album", folder_swapped_in),
        ("fox.png", pipe_swapped_in),
    ],
)
async def test_what_is_swapped_in_between_the_check_and_the_opening_is_not_followed(
    name: str, swap: Callable[[Path], None], tmp_path: Path
) -> None:
    path = photo(tmp_path / "photos/album/fox.png", seed=50)
    photo(tmp_path / "secrets/fox.png", seed=90)
    async with remixing(tmp_path) as w:
        with opening_of(name, lambda: swap(tmp_path)) as opened, anyio.fail_after(5):
            refused = await w.call(REMIX, asking(path))
        assert opened
        assert refused.is_error
        assert "Nothing was uploaded or paid." in said(refused)
        assert way(w) == []


async def test_a_file_replaced_while_it_is_read_is_sent_as_it_was(
    tmp_path: Path, fox: Path
) -> None:
    other = photo(tmp_path / "photos" / "other.png", seed=90)
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("prepare", "slow", seconds=5)
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(fox))
            await anyio.sleep(2)
            other.replace(fox)
        [source] = await sources_of(w)
        assert seed_of(source) == 50


# --- once, and at once ----------------------------------------------------------------------------


def uploads(*worlds: World) -> int:
    return sum(way(w).count("PUT /uploads") for w in worlds)


async def test_a_file_is_uploaded_once_within_its_hour(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path) as w:
        for minutes, expected in ((0, 1), (30, 1), (24, 1), (2, 2), (54, 2), (2, 3)):
            await anyio.sleep(minutes * MINUTE)
            assert not (await w.call(REMIX, asking(fox))).is_error
            assert uploads(w) == expected
            assert [seed_of(each) for each in await sources_of(w)] == [50]
        assert w.spent_cents == 6 * 5


async def test_two_calls_at_once_upload_a_file_once(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("upload", "slow", seconds=5)
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(fox))
            group.start_soon(w.call, REMIX, asking(fox, prompt="an owl"))
        assert uploads(w) == 1
        assert w.spent_cents == 10
        first, second = (body["source_image_urls"] for body in bodies(w))
        assert first == second


async def test_two_calls_at_once_upload_a_file_again_after_the_first_failed(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("upload", "slow", seconds=5)
        w.sandbox.faults.inject("confirm", "503")
        results: list[bool] = []

        async def call(prompt: str) -> None:
            results.append(bool((await w.call(REMIX, asking(fox, prompt=prompt))).is_error))

        async with anyio.create_task_group() as group:
            group.start_soon(call, "a fox")
            group.start_soon(call, "an owl")
        assert sorted(results) == [False, True]
        assert w.spent_cents == 5


async def test_two_servers_of_one_ledger_upload_a_file_once(tmp_path: Path, fox: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    async with (
        ledger_at(path) as mine,
        ledger_at(path) as yours,
        remixing(tmp_path, ledger=mine) as first,
        remixing(tmp_path, ledger=yours, sandbox=first.sandbox) as second,
    ):
        await first.call(REMIX, asking(fox))
        await second.call(REMIX, asking(fox))
        assert uploads(first, second) == 1
        assert bodies(first)[0] == bodies(second)[0]


async def test_another_key_uploads_for_itself(tmp_path: Path, fox: Path) -> None:
    async with (
        aclosing(Ledger.in_memory(clock)) as ledger,
        remixing(tmp_path, ledger=ledger) as w,
        remixing(tmp_path, ledger=ledger, sandbox=w.sandbox, key="sandbox-key-of-another") as other,
    ):
        await w.call(REMIX, asking(fox))
        await other.call(REMIX, asking(fox))
        assert (uploads(w), uploads(other)) == (1, 1)


async def test_a_file_that_changed_is_uploaded_anew_and_one_that_was_touched_is_not(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(fox))
        os.utime(fox, (1, 1))
        await w.call(REMIX, asking(fox))
        await w.call(REMIX, asking(photo(tmp_path / "photos" / "copy.png", seed=50)))
        assert uploads(w) == 1
        photo(fox, seed=90)
        os.utime(fox, (1, 1))
        await w.call(REMIX, asking(fox))
        assert uploads(w) == 2
        assert [seed_of(each) for each in await sources_of(w)] == [90]


@ERA
async def test_several_files_are_uploaded_side_by_side_with_progress(
    era: str, tmp_path: Path
) -> None:
    photos = [photo(tmp_path / f"photos/{seed}.png", seed=seed) for seed in range(10, 90, 10)]
    async with remixing(tmp_path, era=era) as w:
        w.sandbox.faults.inject("upload", "slow", seconds=30)
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(*photos))
            await anyio.sleep(10)
            assert way(w).count("PUT /uploads") == 8
            assert way(w).count(UPLOADING[2]) == 7
            assert way(w).count(PAID) == 0
        assert anyio.current_time() < 45
        assert [seed_of(each) for each in await sources_of(w)] == [*range(10, 90, 10)]
        words = [message for _, message in w.progress]
        assert words[0] == "checking the images"
        assert "uploading 7 of 8" in words


# --- failed uploads -------------------------------------------------------------------------------

HOW: tuple[Kind, ...] = ("401", "404", "409", "429", "500", "html", "torn")
FAILING: list[tuple[Where, Kind]] = [
    *((step, kind) for step in STEPS for kind in HOW),
    ("prepare", "broken-json"),
    ("confirm", "broken-json"),
]


@pytest.mark.parametrize(("step", "kind"), FAILING)
async def test_a_failed_upload_pays_nothing_and_the_same_call_works_afterwards(
    step: Where, kind: Kind, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, limits=Limits(per_day_cents=100)) as w:
        w.sandbox.faults.inject(step, kind)
        failed = await w.call(REMIX, asking(fox))
        assert failed.is_error
        assert "Nothing was paid." in said(failed)
        assert "not known" not in said(failed)
        await assert_free(w)
        again = await w.call(REMIX, asking(fox))
        assert facts(again)["status"] == "completed"
        assert "joined" not in facts(again)
        assert facts(again)["left_today_cents"] == 95
        assert w.task_count == 1
        assert [seed_of(each) for each in await sources_of(w)] == [50]


@ERA
@pytest.mark.parametrize("step", STEPS)
async def test_an_upload_that_hangs_ends_and_pays_nothing(
    era: str, step: Where, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era) as w:
        w.sandbox.faults.inject(step, "slow", seconds=9_000, times=None)
        failed = await w.call(REMIX, asking(fox))
        assert "Nothing was paid." in said(failed)
        assert anyio.current_time() <= 125
        await assert_free(w)


@pytest.mark.parametrize("kind", ["401", "409"])
async def test_what_the_storage_refuses_is_not_told_as_a_wrong_key_or_a_paid_call(
    kind: Kind, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("upload", kind)
        failed = await w.call(REMIX, asking(fox))
        assert "API key" not in said(failed)
        assert "idempotency key" not in said(failed)


async def test_of_several_uploads_one_failure_ends_the_others_at_once(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"photos/{seed}.png", seed=seed) for seed in range(10, 50, 10)]
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("prepare", "500")
        w.sandbox.faults.inject("upload", "slow", seconds=60, times=None)
        failed = await w.call(REMIX, asking(*photos))
        assert "Nothing was paid." in said(failed)
        assert anyio.current_time() < 5
        await assert_free(w)


async def test_a_network_that_is_down_pays_nothing(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path) as w:
        w.wire.down_after_posts = 1
        failed = await w.call(REMIX, asking(fox))
        assert "Nothing was paid." in said(failed)
        w.wire.down_after_posts = None
        await assert_free(w)


async def test_an_address_that_may_not_have_the_key_is_told_as_the_setting_to_change(
    tmp_path: Path, fox: Path
) -> None:
    asked: list[str] = []

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url.path)
        return httpx.Response(404)

    upstream = Upstream("http://runapi.example", httpx.MockTransport(answer))
    places = Places(tmp_path / "pictures", (tmp_path / "photos",))
    async with aclosing(upstream), aclosing(Ledger.in_memory(clock)) as ledger:
        desk, album = Desk(ledger, Limits()), Album("http://runapi.example", places)
        service = Service(upstream, desk, Keys(MADE_UP_KEY), album, **NO_PICTURES)
        async with Client(create_server(service, VARIANTS)) as client:
            refused = await client.call_tool(REMIX, asking(fox))
    assert refused.is_error
    assert "RUNAPI_BASE_URL" in said(refused)
    assert not any("files" in path for path in asked)


ODD_HEADERS: list[dict[str, object]] = [
    {"X-Ö": "1"},
    {"X": "ö\u2028"},
    {"X": "1\r\nY: 2"},
    {"": ""},
    {"X": {}},
]
ODD_PLACES: list[dict[str, object]] = [
    {},
    {"upload_url": "https://storage.example/1"},
    {"signed_id": "1", "upload_url": 7},
    *(
        {"signed_id": "1", "upload_url": url, "headers": {}}
        for url in (
            "",
            "nowhere",
            "/uploads/1",
            "ftp://storage.example/1",
            "http://[",
            "http://a:b",
        )
    ),
    *(
        {"signed_id": "1", "upload_url": "https://storage.example/1", "headers": headers}
        for headers in ODD_HEADERS
    ),
]


@pytest.mark.parametrize("place", ODD_PLACES)
async def test_an_odd_place_for_an_upload_is_a_failure_in_words(
    place: dict[str, object], project: Path
) -> None:
    photo(project / "fox.png")
    asked: list[str] = []

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url.path)
        if sent.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("as a real transport says")
        if sent.url.host == "storage.example":
            assert "authorization" not in sent.headers
            return httpx.Response(503)
        return httpx.Response(200 if sent.method == "POST" else 404, json=place)

    async with client_of(answer) as client:
        failed = await client.call_tool(REMIX, asking("fox.png"))
    assert failed.is_error
    assert "Nothing was paid." in said(failed)
    assert PAYING not in asked


@pytest.mark.parametrize(
    "expires_at",
    [None, 7, "", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2020-01-01"],
)
async def test_an_odd_end_of_an_uploads_life_does_not_hinder_the_call(
    expires_at: object, project: Path
) -> None:
    photo(project / "fox.png")
    asked: list[str] = []
    url = "https://files.example/1"
    place = {"signed_id": "1", "upload_url": "https://storage.example/1"}

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url.path)
        if sent.url.path == PAYING:
            return httpx.Response(402)
        confirmed = {"url": url, "expires_at": expires_at}
        return httpx.Response(200, json=confirmed if "confirm" in sent.url.path else place)

    async with client_of(answer) as client:
        failed = await client.call_tool(REMIX, asking("fox.png"))
    assert "Nothing was paid." in said(failed)
    assert asked[-1] == PAYING


# --- limits and a person's yes --------------------------------------------------------------------


@ERA
@pytest.mark.parametrize("limits", [Limits(per_call_cents=4), Limits(per_day_cents=4)])
async def test_a_limit_refuses_before_anything_is_uploaded(
    era: str, limits: Limits, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era, limits=limits) as w:
        refused = await w.call(REMIX, asking(fox))
        assert refused.is_error
        assert "Nothing was paid." in said(refused)
        assert way(w) == []


@ERA
@pytest.mark.parametrize("pays", [True, False])
async def test_a_person_is_asked_before_anything_is_uploaded(
    era: str,
    pays: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    fox: Path,
) -> None:
    uploaded_when_asked: list[int] = []

    async def person(context: ClientRequestContext, asked: ElicitRequestParams) -> ElicitResult:
        uploaded_when_asked.append(len(way(w)))
        return ElicitResult(action="accept", content={"pay": pays})

    limits = Limits(confirm_over_cents=4)
    client = {"elicitation_callback": person}
    async with remixing(tmp_path, era=era, limits=limits, client=client) as w:
        result = await w.call(REMIX, asking(fox, fox))
        assert uploaded_when_asked == ([0] if result.is_error is False or not pays else [])
        assert way(w) == ([*UPLOADING, PAID] if pays else [])


# --- earlier pictures -----------------------------------------------------------------------------


@ERA
async def test_an_earlier_picture_is_a_source_by_its_task_id_and_by_its_path(
    era: str, tmp_path: Path
) -> None:
    async with remixing(tmp_path, era=era, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await w.call(REMIX, asking(drawn["task_id"]))
        assert bodies(w)[0]["source_image_urls"] == drawn["image_urls"]
        assert uploads(w) == 0
        await w.call(REMIX, asking(drawn["image_paths"][0]))
        assert uploads(w) == 1
        assert len(await sources_of(w)) == 1


async def test_the_json_beside_a_picture_says_what_it_was_made_from(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        made = facts(await w.call(REMIX, asking(fox.as_uri(), drawn["task_id"], URL)))
        [path] = made["image_paths"]
        story = story_of(path)
        local, task, url = story["made_from"]
        assert local.keys() == {"path", "sha256"}
        assert local["path"] == str(fox)
        assert (task, url) == ({"task_id": drawn["task_id"]}, {"url": URL})
        assert "source_image_urls" not in story.get("arguments", {})
        made = facts(await w.call(REMIX, asking(URL)))
        assert story_of(made["image_paths"][0])["made_from"] == [{"url": URL}]


@pytest.mark.parametrize("prompt", ["a fox [[never]]", "a fox [[fail: no cats]]"])
async def test_a_task_without_an_image_is_no_source(prompt: str, tmp_path: Path) -> None:
    async with remixing(tmp_path) as w:
        task_id = facts(await w.call(DRAW, {"prompt": prompt, "wait_seconds": 0}))["task_id"]
        await anyio.sleep(5)
        before = w.spent_cents
        refused = await w.call(REMIX, asking(task_id))
        status = "failed" if "fail" in prompt else "processing"
        assert f"Task {task_id} has no image to start from: it is {status}." in said(refused)
        assert "Nothing was uploaded or paid." in said(refused)
        assert (bodies(w), w.spent_cents) == ([], before)


async def test_a_task_of_another_key_is_no_source(tmp_path: Path) -> None:
    async with (
        aclosing(Ledger.in_memory(clock)) as ledger,
        remixing(tmp_path, ledger=ledger, saves=True) as w,
        remixing(tmp_path, ledger=ledger, sandbox=w.sandbox, key="sandbox-key-of-another") as other,
    ):
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        for days in (0, 7):
            await anyio.sleep(days * DAY)
            refused = await other.call(REMIX, asking(drawn["task_id"]))
            assert "no task with this id for this API key" in said(refused)
        assert way(other) == []


@pytest.mark.parametrize(("hours", "is_uploaded"), [(143, False), (145, True)])
async def test_a_picture_that_runapi_may_have_no_longer_is_taken_from_the_disk(
    hours: int,
    is_uploaded: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await anyio.sleep(hours * 3600)
        made = facts(await w.call(REMIX, asking(drawn["task_id"])))
        assert uploads(w) == is_uploaded
        [source] = await sources_of(w)
        assert decoded(source).tobytes() == decoded_at(drawn["image_paths"][0])
        story = story_of(made["image_paths"][0])
        assert story["made_from"] == [{"task_id": drawn["task_id"]}]


def remove(path: str | Path) -> None:
    Path(path).unlink()


def decoded_at(path: str) -> bytes:
    return decoded(Path(path).read_bytes()).tobytes()


async def test_an_old_picture_whose_file_is_gone_is_said_to_be_so(tmp_path: Path) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await anyio.sleep(8 * DAY)
        remove(drawn["image_paths"][0])
        refused = await w.call(REMIX, asking(drawn["task_id"]))
        assert "cannot be read: No such file or directory." in said(refused)
        assert "Nothing was uploaded or paid." in said(refused)
        assert bodies(w) == []


@IN_REAL_TIME
@ERA
async def test_over_http_a_path_is_refused_and_a_task_id_is_not(
    era: str, tmp_path: Path, fox: Path
) -> None:
    command = ("serve", "--http", "--port", "0")
    async with network() as net:
        settings = net.environment() | {"RUNAPI_INPUT_DIRS": str(fox.parent)}
        async with program(*command, environment=settings) as running:
            line = await running.stderr.holding("runapi-mcp serves ")
            url = line.split()[2].removesuffix("/mcp")
            async with host(url, "/mcp", era, KEY) as client:
                for name in (str(fox), fox.as_uri(), "fox.png", "~/fox.png", "/etc/passwd", "no"):
                    refused = await client.call_tool(REMIX, asking(URL, name))
                    assert said(refused) == (
                        "source_image_urls[1] is a path, and this server runs on another machine "
                        "than its file. Give an http(s) URL, or the task_id of an earlier image. "
                        "Nothing was uploaded or paid."
                    )
                assert [each for each in net.asked if each[0] != "GET"] == []
                drawn = facts(await client.call_tool(DRAW, {"prompt": QUICK}))
                remixed = await client.call_tool(REMIX, asking(drawn["task_id"], prompt=QUICK))
                assert facts(remixed)["status"] == "completed"
        assert ("POST", "/api/v1/files/prepare") not in net.asked


# --- joining, leaving and dying -------------------------------------------------------------------


@ERA
async def test_the_same_call_with_the_same_file_continues_what_reached_nobody(
    era: str, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era) as w:
        first = facts(await w.call(REMIX, asking(fox) | {"wait_seconds": 0}))
        await anyio.sleep(2 * 3600)
        os.utime(fox, (1, 1))
        again = facts(await w.call(REMIX, asking(fox.as_uri())))
        assert again["task_id"] == first["task_id"]
        assert "joined" in again
        assert way(w) == [*UPLOADING, PAID]
        new = facts(await w.call(REMIX, asking(fox)))
        assert "joined" not in new
        assert w.spent_cents == 10


async def test_after_a_restart_the_same_call_is_continued_whatever_the_upload_is_called_now(
    tmp_path: Path, fox: Path
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as before, remixing(tmp_path, ledger=before) as w:
        first = facts(await w.call(REMIX, asking(fox) | {"wait_seconds": 0}))
    await anyio.sleep(2 * 3600)
    async with (
        ledger_at(path) as after,
        remixing(tmp_path, ledger=after, sandbox=w.sandbox) as again,
    ):
        # Another prompt, so that the file has another address by now.
        await again.call(REMIX, asking(fox, prompt="an owl"))
        continued = facts(await again.call(REMIX, asking(fox)))
        assert continued["task_id"] == first["task_id"]
        assert "joined" in continued
        assert w.task_count == 2


async def test_another_file_another_order_and_another_name_are_other_calls(
    tmp_path: Path, fox: Path
) -> None:
    owl = photo(tmp_path / "photos" / "owl.png", seed=90)
    at_once = {"wait_seconds": 0}
    async with remixing(tmp_path, saves=True) as w:
        await w.call(REMIX, asking(fox, owl) | at_once)
        await w.call(REMIX, asking(owl, fox) | at_once)
        await w.call(REMIX, asking(fox) | at_once)
        await w.call(REMIX, asking(fox, owl) | at_once | {"save_as": "hero"})
        assert w.task_count == 4
        photo(fox, seed=60)
        assert "joined" not in facts(await w.call(REMIX, asking(fox) | at_once))


@ERA
@pytest.mark.parametrize("step", STEPS)
async def test_a_call_cancelled_while_it_uploads_leaves_nothing(
    era: str, step: Where, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era, limits=Limits(per_day_cents=100)) as w:
        w.sandbox.faults.inject(step, "slow", seconds=15)
        with anyio.move_on_after(5):
            await w.call(REMIX, asking(fox))
        await anyio.sleep(30)
        await assert_free(w)
        again = facts(await w.call(REMIX, asking(fox)))
        assert "joined" not in again
        assert again["left_today_cents"] == 95
        assert (w.task_count, w.spent_cents) == (1, 5)


@pytest.mark.parametrize("step", STEPS)
async def test_what_a_process_uploads_that_dies_is_free_for_the_next_one(
    step: Where, tmp_path: Path, fox: Path
) -> None:
    path = tmp_path / "ledger"
    limits = Limits(per_day_cents=5)
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        remixing(tmp_path, ledger=first) as dying,
        remixing(tmp_path, ledger=second, sandbox=dying.sandbox, limits=limits) as living,
        anyio.create_task_group() as group,
    ):
        dying.sandbox.faults.inject(step, "slow", seconds=15)
        group.start_soon(dying.call, REMIX, asking(fox))
        await anyio.sleep(5)
        await first.aclose()
        other = await living.call(REMIX, asking(URL))
        assert not other.is_error, said(other)
        listed = facts(await living.call("list_tasks", {"show": "undelivered"}))["tasks"]
        assert listed == []
        group.cancel_scope.cancel()


@SIGNALS
@IN_REAL_TIME
@pytest.mark.parametrize("step", STEPS)
async def test_killed_while_it_uploads_the_same_call_pays_once(
    step: Where, tmp_path: Path, fox: Path
) -> None:
    async with network() as net:
        settings = net.environment() | {
            "RUNAPI_LEDGER": str(tmp_path / "ledger"),
            "RUNAPI_INPUT_DIRS": str(fox.parent),
            "RUNAPI_DAILY_BUDGET": "0.05",
            "RUNAPI_SAVE": "off",
        }
        net.sandbox.faults.inject(step, "slow", seconds=60)
        async with program(environment=settings) as dying:
            await dying.write(*opening("auto"), remix_on_the_wire(fox))
            await until(lambda: any(STEP_PATHS[step] in path for _, path in net.asked))
            dying.process.send_signal(signal.SIGKILL)
            await dying.process.wait()
        assert net.account().tasks == {}
        async with program(environment=settings) as next_one:
            await next_one.write(*opening("auto"), remix_on_the_wire(fox))
            answer = await next_one.answer(1)
        assert answer["structuredContent"]["status"] == "completed", answer
        assert "joined" not in answer["structuredContent"]
        assert answer["structuredContent"]["left_today_cents"] == 0
        assert (len(net.account().tasks), net.account().spent_cents) == (1, 5)


async def until(is_so: Callable[[], bool]) -> None:
    """Nothing, once it is so."""
    with anyio.fail_after(LIMIT_SECONDS):
        while not is_so():  # noqa: ASYNC110 - what comes over a socket sets no event
            await anyio.sleep(0.01)


STEP_PATHS = {"prepare": "/files/prepare", "upload": "/uploads/", "confirm": "/files/confirm"}


def remix_on_the_wire(path: Path, number: int = 1) -> str:
    arguments = asking(path, prompt=QUICK)
    return request(number, "tools/call", "auto", name=REMIX, arguments=arguments)


@pytest.mark.parametrize("minutes", [0, 90])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_doubt_is_settled_with_the_very_same_body_under_the_same_key(
    minutes: int,
    restarts: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    fox: Path,
) -> None:
    path = tmp_path / "ledger"
    arguments = asking(fox, URL, prompt="a fox [[created torn x1]]")
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        remixing(tmp_path, ledger=first) as w,
        remixing(tmp_path, ledger=second, sandbox=w.sandbox) as other,
    ):
        w.wire.down_after_posts = 3
        doubtful = await w.call(REMIX, arguments)
        assert "Whether RunAPI made and charged a task is not known." in said(doubtful)
        w.wire.down_after_posts = None
        await anyio.sleep(minutes * MINUTE)
        os.utime(fox, (1, 1))
        if restarts:
            await first.aclose()
        again = await (other if restarts else w).call(REMIX, arguments)
        assert facts(again)["status"] == "completed", said(again)
        assert "joined" in facts(again)
        paid = [each for each in [*w.wire.sent, *other.wire.sent] if each.path == PAYING]
        assert len({(each.body, each.headers["idempotency-key"]) for each in paid}) == 1
        assert len(paid) > 1
        assert uploads(w, other) == 1
        assert (w.task_count, w.spent_cents) == (1, 5)


async def test_a_doubt_keeps_its_body_though_the_upload_it_names_is_over_by_now(
    tmp_path: Path, fox: Path
) -> None:
    arguments = asking(fox, prompt="an owl [[created torn x1]]")
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(fox))
        await anyio.sleep(3_270)
        w.wire.down_after_posts = 4
        assert "not known" in said(await w.call(REMIX, arguments))
        w.wire.down_after_posts = None
        await anyio.sleep(3_320 - anyio.current_time())
        again = await w.call(REMIX, arguments)
        assert "joined" in facts(again), said(again)
        assert uploads(w) == 1
        assert w.task_count == 2


async def test_a_remix_of_a_task_is_continued_when_its_picture_is_to_come_from_the_disk(
    tmp_path: Path,
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await anyio.sleep(143 * 3600)
        made = facts(await w.call(REMIX, asking(drawn["task_id"]) | {"wait_seconds": 0}))
        await anyio.sleep(2 * 3600)
        again = facts(await w.call(REMIX, asking(drawn["task_id"])))
        assert again["task_id"] == made["task_id"]
        assert uploads(w) == 0


@SIGNALS
@IN_REAL_TIME
@pytest.mark.parametrize("keeps_prompts", [True, False])
async def test_a_doubt_is_settled_though_its_file_is_gone_or_its_prompt_was_not_kept(
    keeps_prompts: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    fox: Path,
) -> None:
    async with network() as net:
        settings = net.environment() | {
            "RUNAPI_LEDGER": str(tmp_path / "ledger"),
            "RUNAPI_LEDGER_PROMPTS": "on" if keeps_prompts else "off",
            "RUNAPI_INPUT_DIRS": str(fox.parent),
            "RUNAPI_SAVE": "off",
        }
        net.sandbox.faults.inject("created", "slow", seconds=60)
        async with program(environment=settings) as dying:
            await dying.write(*opening("auto"), remix_on_the_wire(fox))
            await until(lambda: bool(net.account().tasks))
            dying.process.send_signal(signal.SIGKILL)
            await dying.process.wait()
        async with program(environment=settings) as next_one:
            await next_one.write(*opening("auto"))
            if keeps_prompts:
                remove(fox)
                await next_one.write(request(1, "tools/call", "auto", name="list_tasks"))
            else:
                await next_one.write(remix_on_the_wire(fox))
            answer = await next_one.answer(1)
        [task_id] = net.account().tasks
        assert task_id in answer["content"][0]["text"]
        assert net.paid_requests() == 2
        assert net.account().spent_cents == 5


# --- killed at each step of an upload -------------------------------------------------------------

AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's machine with a photo, and a RunAPI that only this user knows."""

    forked: Forks
    net: Network
    home: Path

    async def end(self, *, log: bool = False, last_step: str | None = None) -> End:
        steps = str(self.home / "steps") if log or last_step else None
        folder = self.home / "photos"
        environment = os.environ | self.net.environment() | {
            "HOME": str(self.home), "RUNAPI_INPUT_DIRS": str(folder), "RUNAPI_SAVE": "off",
            "RUNAPI_DAILY_BUDGET": "0.05",
        }  # fmt: skip
        call = remix_on_the_wire(folder / "fox.png")
        with anyio.fail_after(LIMIT_SECONDS):
            start = Start(environment, steps, last_step)
            return await self.forked.run(start, opening("auto"), [call])


def of_the_upload(way: Sequence[str]) -> Sequence[str]:
    """Every third step, by its name, between the call's intent and the request that pays."""
    began = next(n for n, step in enumerate(way) if "_completed" in step)
    paying = next(n for n, step in enumerate(way) if "tasks.Tasks.create" in step)
    return [step for step in way[began:paying] if crc32(step.encode()) % 3 == 0]


@SIGNALS
@IN_REAL_TIME
@pytest.mark.timeout(200)
@pytest.mark.exhaustive
async def test_killed_at_any_step_of_an_upload_the_same_call_pays_once(tmp_path: Path) -> None:
    outcomes: dict[str, tuple[int, int, int]] = {}
    room = anyio.Semaphore(AT_ONCE)

    async def kill(step: str, number: int) -> None:
        async with room, network() as net:
            machine = Machine(forked, net, tmp_path / str(number))
            photo(machine.home / "photos" / "fox.png")
            end = await machine.end(last_step=step)
            if end.status == -signal.SIGKILL:
                answer = (await machine.end()).answers[-1]["result"]
                images = len(answer.get("structuredContent", {}).get("image_urls", ()))
                outcomes[step] = images, len(net.account().tasks), net.account().spent_cents

    with forks() as forked:
        async with network() as net:
            first = Machine(forked, net, tmp_path / "first")
            photo(first.home / "photos" / "fox.png")
            await first.end(log=True)
        way = (first.home / "steps").read_text().splitlines()
        steps = [each for each in of_the_upload(way) if is_moment(each) and each.endswith(" 1")]
        async with anyio.create_task_group() as group:
            for number, step in enumerate(steps):
                group.start_soon(kill, step, number)
    assert {step: outcome for step, outcome in outcomes.items() if outcome != (1, 1, 5)} == {}
    assert len(outcomes) > 10


# --- ledgers of the version before ----------------------------------------------------------------


def version_1(path: Path, row: Mapping[str, Any]) -> None:
    """A ledger file as the version before wrote it, with one call."""
    arguments = json.loads(row["arguments"])
    asked = json.dumps([row["model"], arguments], sort_keys=True)
    old = {**row, "fingerprint": hashlib.sha256(asked.encode()).hexdigest()}
    with closing(sqlite3.connect(path)) as file:
        file.executescript(_MIGRATIONS[0] + "; PRAGMA user_version = 1;")
        columns = [column[1] for column in file.execute("PRAGMA table_info(calls)")]
        assert "save_as" not in columns
        marks = ", ".join("?" * len(columns))
        values = [old[column] for column in columns]
        file.execute(f"INSERT INTO calls VALUES ({marks})", values)  # noqa: S608 - marks only
        file.commit()


@pytest.mark.parametrize("arguments", [{"prompt": "a fox"}, asking(URL)])
async def test_a_ledger_of_the_version_before_goes_on_with_its_tasks(
    arguments: dict[str, Any], tmp_path: Path, fox: Path
) -> None:
    tool = REMIX if "source_image_urls" in arguments else DRAW
    new, old = tmp_path / "new", tmp_path / "old"
    async with ledger_at(new) as ledger, remixing(tmp_path, ledger=ledger) as w:
        made = facts(await w.call(tool, arguments | {"wait_seconds": 0}))
    with closing(sqlite3.connect(new)) as file:
        file.row_factory = sqlite3.Row
        [row] = file.execute("SELECT * FROM calls").fetchall()
    version_1(old, dict(row))
    async with (
        ledger_at(old) as ledger,
        remixing(tmp_path, ledger=ledger, sandbox=w.sandbox, saves=True) as after,
    ):
        [listed] = facts(await after.call("list_tasks"))["tasks"]
        assert listed["task_id"] == made["task_id"]
        continued = facts(await after.call(tool, arguments))
        assert continued["task_id"] == made["task_id"]
        assert "joined" in continued
        assert len(continued["image_paths"]) == 1
        got = facts(await after.call("get_task", {"task_id": made["task_id"]}))
        assert got["image_paths"] == continued["image_paths"]
        await after.call(REMIX, asking(fox))
        await after.call(REMIX, asking(fox))
        assert uploads(after) == 1
    with closing(sqlite3.connect(old)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (2,)


# --- words from a real host -----------------------------------------------------------------------


@POSIX
@IN_REAL_TIME
@pytest.mark.parametrize("name", ["nul\0.png", "x" * 300, "file://[", "\x1b[2J"])
async def test_a_name_that_no_file_can_have_is_refused_in_words_that_can_be_sent(
    name: str,
) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        call = request(1, "tools/call", "auto", name=REMIX, arguments=asking(name))
        await running.write(*opening("auto"), call)
        with anyio.fail_after(LIMIT_SECONDS):
            answer = await running.answer(1)
        assert answer["isError"], answer
        assert [each for each in net.asked if each[0] != "GET"] == []
