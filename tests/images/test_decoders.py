"""Whatever a picture does to its decoder, it costs a preview: no other caller, no key, no bytes."""

import ast
import os
import signal
import sys
import threading
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
from PIL import Image

from runapi_mcp.images.decoder import SHOW, Job
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.images.structure import MOST_PARTS, MOST_SCANS
from runapi_mcp.images.workers import Answer, NotDecoded, Workers, own_command
from tests.support.collecting import collect, wanted
from tests.support.photos import REMIX, asking, remixing, webp
from tests.support.pictures import Keeper, decoded, encoded, png
from tests.support.world import said

pytestmark = pytest.mark.anyio
CORES = os.cpu_count() or 1
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such programs")


def keeping(content: bytes) -> Keeper:
    return lambda _: httpx.Response(200, content=content)


def of_scans(count: int) -> bytes:
    """A progressive JPEG with so many scans more, each of which is empty."""
    plain = encoded(Image.new("L", (64, 64)), "JPEG", progressive=True)
    begin = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[begin:-2] * count + plain[-2:]


def of_chunks(count: int) -> bytes:
    plain = png()
    begin = plain.index(b"IDAT") - 4
    empty = bytes(4) + b"prVt" + zlib.crc32(b"prVt").to_bytes(4, "big")
    return plain[:begin] + empty * count + plain[begin:]


def of_segments(count: int) -> bytes:
    plain = encoded(Image.new("L", (64, 64)), "JPEG")
    return plain[:2] + b"\xff\xfe\0\2" * count + plain[2:]


def of_riff_chunks(count: int) -> bytes:
    body = encoded(Image.new("L", (64, 64)), "WEBP")[8:] + b"MAKR\0\0\0\0" * count
    return b"RIFF" + len(body).to_bytes(4, "little") + body


BOMBS: dict[str, tuple[bytes, str]] = {
    "scans": (of_scans(MOST_SCANS + 1), "The image has more than 200 scans."),
    "chunks": (of_chunks(MOST_PARTS), "The image has more than 100,000 parts."),
    "segments": (of_segments(MOST_PARTS), "The image has more than 100,000 parts."),
    # As large as those that once held every caller up for minutes.
    "340,000 scans": (of_scans(340_000), "The image has more than 200 scans."),
    "19 MB of chunks": (of_chunks(1_600_000), "The image has more than 100,000 parts."),
    "chunks of WebP": (of_riff_chunks(MOST_PARTS), "The image has more than 100,000 parts."),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_picture_of_more_parts_than_any_program_writes_is_not_decoded(
    bomb: str, tmp_path: Path
) -> None:
    content, why = BOMBS[bomb]
    nobody = Workers(["no such program"])
    [picture] = await collect(keeping(content), tmp_path, [wanted()], workers=nobody)
    assert (picture.path, picture.info, picture.not_saved) == (None, None, why)
    photo = tmp_path / "photos" / "photo"
    photo.parent.mkdir()
    photo.write_bytes(content)
    async with remixing(tmp_path) as w:
        refused = said(await w.call(REMIX, asking(photo)))
        assert (
            f"{photo}: {why} No program writes such. This call uploaded and paid nothing."
            == refused
        )


@pytest.mark.parametrize(
    "content",
    [
        of_scans(MOST_SCANS // 2),
        of_chunks(1_000),
        of_segments(1_000),
        of_riff_chunks(1_000),
        b"\xff\xd8\xff\xe0\0\4\0\0" + encoded(Image.new("L", (64, 64)), "JPEG")[2:],
    ],
)
async def test_a_picture_of_many_parts_is_a_picture(content: bytes, tmp_path: Path) -> None:
    [picture] = await collect(keeping(content), tmp_path, [wanted()])
    assert picture.path is not None
    assert picture.preview is not None


@cache
def large_png() -> bytes:
    return png(size=(7_000, 7_000))


def without_memory() -> list[str]:
    """Our own worker, which gets hardly more memory than it takes to begin."""
    return ["/bin/sh", "-c", 'ulimit -v 120000; exec "$@"', "sh", *own_command()]


BROKEN: dict[str, Callable[[], Sequence[str]]] = {
    "is not there": lambda: ["no such program"],
    "dies at once": lambda: ["false"],
    "answers and dies": lambda: ["echo"],
    "answers nonsense for ever": lambda: ["yes"],
    "reads for ever": lambda: ["cat", "-", "/dev/zero"],
    "never answers": lambda: ["sleep", "1000"],
    "has no memory": without_memory,
}


@POSIX
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_picture_whose_decoder_breaks_is_saved_as_it_came(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = large_png()
    workers = Workers(BROKEN[broken](), 300 if broken == "has no memory" else 0.1)
    [picture] = await collect(keeping(content), tmp_path, [wanted()], workers=workers)
    assert picture.path == tmp_path / "fox.png"
    assert (tmp_path / "fox.png").read_bytes() == content
    assert picture.not_saved is None
    assert picture.info is not None
    assert (picture.info.width, picture.info.height, picture.preview) == (7_000, 7_000, None)
    assert "an image has no preview: " in caplog.text


@POSIX
@pytest.mark.parametrize(
    "content", [png()[:-20], encoded(Image.new("L", (64, 64)), "JPEG")[:-2], webp()[:-60]]
)
async def test_without_a_decoder_a_cut_picture_is_not_taken_for_a_whole_one(
    content: bytes, tmp_path: Path
) -> None:
    [picture] = await collect(keeping(content), tmp_path, [wanted()], workers=Workers(["false"]))
    assert picture.path is None
    assert picture.not_saved == "The file is not a whole PNG, JPEG or WebP image."


SHOWN = Job(SHOW, 100_000, 50_000_000, 64)


async def test_a_picture_that_takes_too_long_ends_its_worker_and_the_next_has_another() -> None:
    hasty = Workers(deadline_seconds=0)
    for _ in range(2):
        with pytest.raises(NotDecoded, match=r"Looking at the image took more than 0 s\."):
            hasty.ask(SHOWN, BytesIO(png(size=(2_000, 2_000))))


@POSIX
async def test_a_source_whose_decoder_breaks_is_refused_in_words(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "photo.png"
    photo.parent.mkdir()
    photo.write_bytes(png())
    async with remixing(tmp_path, workers=Workers(["false"])) as w:
        refused = said(await w.call(REMIX, asking(photo)))
        assert refused == (
            f"{photo}: Looking at the image failed. Try again in a minute. This call "
            "uploaded and paid nothing."
        )


class Waiting(Workers):
    """Workers that begin and go on when they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.go_on = threading.Event()

    def ask(self, job: Job, file: IO[bytes]) -> Answer:
        self.begun.append(file.read().decode())
        assert self.go_on.wait(300)
        return b"+", 0, b""


@asynccontextmanager
async def decoding(callers: str, pixels: int, at_once: int) -> AsyncGenerator[Decoders]:
    """Decoders at work for these callers, as far as they are."""
    workers = Waiting()
    decoders = Decoders(workers)
    async with anyio.create_task_group() as group:
        for caller in callers:
            job = Job(SHOW, 0, pixels)
            group.start_soon(decoders.decode, job, BytesIO(caller.encode()), caller)
        while len(workers.begun) < at_once:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert len(workers.begun) == at_once
        yield decoders
        workers.go_on.set()
    assert sorted(workers.begun) == sorted(callers)


@pytest.mark.parametrize(
    ("callers", "pixels", "at_once"),
    [
        ("mmmmmm", 1, 1),
        ("mymymy", 1, min(2, CORES)),
        ("abcdef", 1, min(4, CORES)),
        ("abcdef", 30_000_000, 1),
        ("abcdef", 50_000_000, 1),
    ],
)
async def test_pictures_take_turns_one_of_a_caller_and_so_many_pixels_in_all(
    callers: str, pixels: int, at_once: int
) -> None:
    async with decoding(callers, pixels, at_once):
        pass


@pytest.mark.parametrize("caller", ["m", "a stranger"])
async def test_whose_turn_does_not_come_in_time_goes_without(caller: str) -> None:
    async with decoding("m", 50_000_000, 1) as decoders:
        with pytest.raises(NotDecoded, match="Too many images are being looked at"):
            await decoders.decode(Job(SHOW, 0, 1), BytesIO(), caller, 0)


TELLING = """
import os, sys
told = repr((dict(os.environ), os.getcwd())).encode()
sys.stdout.buffer.write(b"+" + len(told).to_bytes(4, "big") + told)
sys.stdout.flush()
sys.stdin.read()
"""


async def test_a_worker_inherits_no_secret_and_no_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNAPI_API_KEY", "sk-secret")
    monkeypatch.chdir(tmp_path)
    _, _, told = Workers([sys.executable, "-c", TELLING]).ask(SHOWN, BytesIO())
    environment, folder = ast.literal_eval(told.decode())
    assert set(environment) <= {"SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LC_CTYPE"}
    assert folder == tmp_path.anchor


async def test_a_worker_runs_no_module_of_the_working_directory_or_of_pythons_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("PIL", "struct", "runapi_mcp", "sitecustomize", "usercustomize"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"):
        monkeypatch.setenv(name, str(tmp_path))
    said, _, preview = Workers(deadline_seconds=300).ask(SHOWN, BytesIO(png()))
    assert (said, decoded(preview).size) == (b"+", (64, 43))
    assert not (tmp_path / "ran").exists()


def pids_of(workers: Workers) -> set[int]:
    """The processes that answer, by the way of one that tells its number."""
    return {int(workers.ask(SHOWN, BytesIO())[2])}


NUMBERED = """
import os, sys
while sys.stdin.buffer.read(25):
    told = str(os.getpid()).encode()
    sys.stdout.buffer.write(b"+" + len(told).to_bytes(4, "big") + told)
    sys.stdout.flush()
"""


@POSIX
async def test_a_worker_is_used_again_and_ends_when_nobody_needs_it() -> None:
    command = [sys.executable, "-c", NUMBERED]
    kept = Workers(command, 300)
    assert pids_of(kept) == pids_of(kept)
    hasty = Workers(command, 300, idle_seconds=0)
    [pid] = pids_of(hasty)
    with anyio.fail_after(300):
        while is_running(pid):
            await anyio.lowlevel.checkpoint()


@POSIX
async def test_a_worker_that_died_while_it_was_idle_is_replaced() -> None:
    workers = Workers([sys.executable, "-c", NUMBERED], 300)
    [pid] = pids_of(workers)
    os.kill(pid, signal.SIGKILL)
    await anyio.to_thread.run_sync(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert pids_of(workers) != {pid}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
