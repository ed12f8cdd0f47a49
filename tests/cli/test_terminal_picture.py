"""The pictures of `runapi-mcp demo`: in each terminal as it shows them, and nowhere else."""

import os
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.support.processes import LIMIT_SECONDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")

DEMO = (sys.executable, "-m", "runapi_mcp", "demo", "--no-remix", "--ratio", "16:9")
STAGE = (
    "import sys; from pathlib import Path; from runapi_mcp.cli.demo_view import Stage; "
    "Stage().picture(Path(sys.argv[1]), {'task_id': 'one', 'cost_cents': 5})"
)
"""The demo's last step alone: a whole demo for each terminal there is would take a minute."""
KITTY = re.compile(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\")
ITERM2 = re.compile(r"\x1b\]1337;File=([^:]*):([^\a]*)\a")
SIXEL = re.compile(r'\x1bP0;1q"1;1;(\d+);(\d+)([^\x1b]*)\x1b\\')
HALF_BLOCK = re.compile(r"\x1b\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m▀")
PICTURES = {"kitty": KITTY, "iterm2": ITERM2, "sixel": SIXEL, "half blocks": HALF_BLOCK}
XTERM = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def environment(home: Path, terminal: Mapping[str, str]) -> dict[str, str]:
    given = {"HOME": str(home), "RUNAPI_SANDBOX_DRAW_SECONDS": "0", "PATH": "/usr/bin:/bin"}
    return {**given, "LANG": "C.UTF-8", **terminal}


def staged(home: Path, terminal: Mapping[str, str], columns: int = 80) -> str:
    """How the demo shows a picture on a terminal that says this of itself."""
    return on_terminal(home, terminal, stage(home), columns)


def stage(home: Path) -> Sequence[str]:
    """The program that shows a picture of the size that the demo draws."""
    picture = home / "fox.png"
    Image.effect_noise((1360, 768), 50).convert("RGB").save(picture)
    return sys.executable, "-c", STAGE, str(picture)


def on_terminal(
    home: Path, terminal: Mapping[str, str], program: Sequence[str] = DEMO, columns: int = 80
) -> str:
    """What the demo, or another program, prints on such a terminal."""
    # Imported here: Windows, where these tests are skipped, has neither.
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(home, terminal)
    with subprocess.Popen(program, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:  # noqa: S603 - our own command
        os.close(theirs)
        printed = _read(ours)
        assert process.wait(LIMIT_SECONDS) == 0, printed
    return printed


def _read(descriptor: int) -> str:
    chunks: list[bytes] = []
    with os.fdopen(descriptor, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(65536):
                chunks.append(chunk)
        except OSError:
            pass  # how Linux says that the last program on the terminal has ended
    return b"".join(chunks).decode()


def ways(printed: str) -> list[str]:
    return [name for name, pattern in PICTURES.items() if pattern.search(printed)]


@pytest.mark.parametrize(
    ("terminal", "way"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({**XTERM, "KONSOLE_VERSION": "220401"}, "kitty"),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({**XTERM, "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({**XTERM, "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        (XTERM, "half blocks"),
        ({**XTERM, "KONSOLE_VERSION": "210800"}, "half blocks"),
        ({**XTERM, "TERM_PROGRAM": "vscode", "KONSOLE_VERSION": "220401"}, "half blocks"),
        ({**XTERM, "TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/tmux-1,2,3"}, "half blocks"),  # noqa: S108 - not opened
        ({**XTERM, "TERM": "screen-256color", "LC_TERMINAL": "iTerm2"}, "half blocks"),
    ],
    ids=str,
)
def test_each_terminal_shows_the_picture_in_its_own_way(
    terminal: dict[str, str], way: str, tmp_path: Path
) -> None:
    assert ways(staged(tmp_path, terminal)) == [way]


@pytest.mark.parametrize(
    "terminal",
    [
        {"TERM": "xterm-256color"},
        {"TERM": "dumb", "COLORTERM": "truecolor"},
        {"TERM": "xterm-kitty", "NO_COLOR": "1"},
    ],
    ids=lambda terminal: " ".join(terminal.values()),
)
def test_a_terminal_that_cannot_or_must_not_gets_the_words_alone(
    terminal: dict[str, str], tmp_path: Path
) -> None:
    printed = staged(tmp_path, terminal)
    assert "1360 x 768" in printed
    assert ways(printed) == []


def test_a_terminal_too_narrow_for_the_picture_gets_none(tmp_path: Path) -> None:
    assert ways(staged(tmp_path, XTERM, columns=33)) == []


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}], ids=["as is", "colour forced"])
def test_what_is_piped_has_no_picture(forced: dict[str, str], tmp_path: Path) -> None:
    env = environment(tmp_path, {"TERM": "xterm-kitty", "COLORTERM": "truecolor", **forced})
    program = stage(tmp_path)
    ran = subprocess.run(program, env=env, capture_output=True, timeout=LIMIT_SECONDS, check=True)  # noqa: S603 - our own command
    assert ways(ran.stdout.decode()) == []
    assert forced or b"\x1b" not in ran.stdout


def test_kitty_is_given_the_whole_picture_in_chunks_and_asked_nothing(tmp_path: Path) -> None:
    parts = KITTY.findall(on_terminal(tmp_path, {"TERM": "xterm-kitty"}))
    assert parts[0][0] == "a=T,f=100,q=2,c=32,m=1"
    assert {controls for controls, _ in parts[1:-1]} == {"q=2,m=1"}
    assert parts[-1] == ("q=2,m=0", "")
    assert max(len(chunk) for _, chunk in parts) <= 4096
    with Image.open(BytesIO(b64decode("".join(chunk for _, chunk in parts)))) as image:
        assert (image.format, image.size) == ("PNG", (640, 361))


def test_iterm2_is_told_how_wide_and_given_the_whole_picture(tmp_path: Path) -> None:
    printed = staged(tmp_path, {**XTERM, "TERM_PROGRAM": "iTerm.app"})
    [(about, encoded)] = ITERM2.findall(printed)
    content = b64decode(encoded)
    assert about == f"size={len(content)};width=32;preserveAspectRatio=1;inline=1"
    with Image.open(BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", (640, 361))


def test_sixels_fill_the_picture_to_its_edges(tmp_path: Path) -> None:
    [(width, height, body)] = SIXEL.findall(staged(tmp_path, {"TERM": "foot"}))
    assert (width, height) == ("320", "181")
    bands = re.sub(r"#\d+;2;\d+;\d+;\d+", "", body).split("-")
    assert len(bands) == 31
    assert [_columns_of_sixels(band) for band in bands] == [{320}] * 31


def _columns_of_sixels(band: str) -> set[int]:
    """How wide each colour's line of a band is."""
    lines = [re.sub(r"^#\d+", "", line) for line in band.split("$")]
    spelt = [re.sub(r"!(\d+)(.)", lambda run: run[2] * int(run[1]), line) for line in lines]
    return {len(line) for line in spelt}


def test_half_blocks_stand_in_a_rectangle_below_the_facts(tmp_path: Path) -> None:
    printed = staged(tmp_path, XTERM)
    after = printed.partition("in pretend money")[2].splitlines()[1:]
    rows = [line for line in after if "▀" in line]
    assert after[: len(rows)] == rows
    assert [len(HALF_BLOCK.findall(row)) for row in rows] == [32] * 9
    assert all(row.endswith("\x1b[0m") for row in rows)
