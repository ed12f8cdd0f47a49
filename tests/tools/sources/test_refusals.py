"""What cannot be a source is said, and nothing is uploaded or paid."""

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runapi_mcp.orders.limits import Limits
from tests.support.photos import (
    NOT_ALLOWED,
    REMIX,
    URL,
    asking,
    assert_free,
    jpeg,
    moving,
    of_many_pixels,
    photo,
    picture,
    remixing,
    way,
)
from tests.support.pictures import encoded
from tests.support.processes import LIMIT_SECONDS, network, opening, program, request
from tests.support.watching import opening_of
from tests.support.world import ERAS, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
NO_IMAGE = "is not a whole PNG, JPEG or WebP image"
NAMED = {
    "HEIC": [b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypmif1\0\0\0\0heic", b"\0\0\0\x18ftyphevx"],
    "JPEG XL": [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "JPEG 2000": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"],
    "Photoshop": [b"8BPS\0\1"],
    "PDF": [b"%PDF-1.7"],
    "SVG": [
        b'<svg xmlns="http://www.w3.org"/>',
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg>',
        b"\n <!DOCTYPE svg>\n<svg\n>",
    ],
}
"""How files of these formats begin."""


def write(here: Path, name: str, content: bytes) -> str:
    path = here / "photos" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


def bmp_of_many_pixels() -> bytes:
    """A BMP that says it is large."""
    plain = encoded(picture(), "BMP")
    return plain[:18] + (10_000).to_bytes(4, "little") + (6_000).to_bytes(4, "little") + plain[26:]


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
    **{
        f"{scheme}:": (lambda _, name=f"{scheme}:{rest}": name, f"({scheme}: is another scheme)")
        for scheme, rest in {
            "data": "image/png;base64,AAAA",
            "ftp": "//pictures.example/fox.png",
            "javascript": "alert(1)",
            "sandbox": "/mnt/data/fox.png",
            "blob": "https://pictures.example/3f2a",
            "attachment": "1",
            "about": "blank",
        }.items()
    },
    "a text": (lambda here: write(here, "fox.png", b"a fox in the snow\n"), NO_IMAGE),
    "nothing at all": (lambda here: write(here, "fox.png", b""), NO_IMAGE),
    **{
        f"{kind}: {head!r}": (
            lambda here, head=head: write(here, "fox.png", head + bytes(100)),
            f"fox.png: The file is {kind}. Save the image as PNG, JPEG or WebP. This call",
        )
        for kind, heads in NAMED.items()
        for head in heads
    },
    "a moving GIF": (
        lambda here: write(here, "fox.png", moving("GIF")),
        "The file is GIF with several images. Save the one that is meant as PNG, JPEG or WebP.",
    ),
    "a TIFF of two pages": (
        lambda here: write(here, "fox.png", moving("TIFF")),
        "The file is TIFF with several images.",
    ),
    "a camera's raw picture": (
        lambda here: write(here, "fox.dng", encoded(picture(), "TIFF", tiffinfo={0xFE: 1})),
        "The file is TIFF with several images.",
    ),
    "a moving AVIF": (
        lambda here: write(here, "fox.avif", moving("AVIF")),
        "The file is AVIF with several images.",
    ),
    "a cut BMP": (
        lambda here: write(here, "fox.bmp", encoded(picture(), "BMP")[:-40]),
        "The file is not a whole BMP image.",
    ),
    "a BMP of 60 million pixels": (
        lambda here: write(here, "fox.bmp", bmp_of_many_pixels()),
        "The file is not a whole BMP image.",
    ),
    "a BMP of one pixel": (
        lambda here: write(here, "fox.bmp", encoded(picture(size=(1, 1)), "BMP")),
        "is 1 x 1 pixels. Each side must have 16 to 16,384",
    ),
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
        with anyio.fail_after(LIMIT_SECONDS):
            refused = await w.call(REMIX, asking(name))
        assert refused.is_error
        assert words in said(refused)
        assert "Traceback" not in said(refused)
        assert re.search(r"Nothing was|paid nothing\.", said(refused)), said(refused)[-200:]
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


async def test_a_second_source_that_is_refused_keeps_the_first_at_home(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        refused = await w.call(REMIX, asking(fox, URL, "none.png"))
        assert "none.png" in said(refused)
        assert way(w) == []


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
