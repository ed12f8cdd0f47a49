"""A picture's name is legal on every system, and leads nowhere but into its folder."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runapi_mcp.images.naming import IMAGE_SUFFIXES, default_stem, normalise_name, split_suffix
from tests.support.drafts import NEWS, TASK_ID, files, save

DAY = date(2026, 11, 20)
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
        name = normalise_name(text)
    except ValueError as error:
        assert str(error).startswith("must ")  # noqa: PT017 - most texts are refused
        return
    stem, suffix = split_suffix(name)
    assert suffix in ("", *IMAGE_SUFFIXES)
    assert stem + suffix == name
    assert_legal_everywhere(stem)
    assert normalise_name(name) == name


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_any_name_that_passes_lands_in_the_folder_and_nowhere_else(text: str) -> None:
    try:
        name, _ = split_suffix(normalise_name(text))
    except ValueError:
        return
    with TemporaryDirectory() as place:
        root = Path(place).resolve() / "pictures"
        first = save(root, name)
        second = save(root, name, about=NEWS, suffix=".jpeg")
        assert (first, second) == (root / f"{name}.png", root / f"{name}-2.jpeg")
        assert len(files(Path(place))) == 4


@settings(max_examples=500, deadline=None)
@given(TEXTS, TEXTS)
def test_the_name_of_any_prompt_and_task_passes_its_own_check(prompt: str, task_id: str) -> None:
    stem = default_stem(prompt, task_id, DAY)
    assert_legal_everywhere(stem)
    assert stem.startswith("2026-11-20-")
    assert " " not in stem
    assert normalise_name(stem) == stem
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
        ("雪の中の赤い狐", "2026-11-20-雪の中の赤い狐-3f2a"),
        ("が、ﾊﾟ \uff11\uff12", "2026-11-20-が-パ-12-3f2a"),
        ("ثعلب في الثلج", "2026-11-20-ثعلب-في-الثلج-3f2a"),
        ("می\u200cشود", "2026-11-20-میشود-3f2a"),
        ("Рыжая лиса, чай й", "2026-11-20-рыжая-лиса-чай-й-3f2a"),
        ("Ήλιος", "2026-11-20-ήλιος-3f2a"),
        ("हिन्दी में लोमड़ी", "2026-11-20-हिन्दी-में-लोमड़ी-3f2a"),
        ("여우 \u3164", "2026-11-20-여우-3f2a"),
        ("İstanbul ħ \U0001d401old", "2026-11-20-istanbul-ħ-bold-3f2a"),
        ("狐" * 200, f"2026-11-20-{'狐' * 40}-3f2a"),
        ("🦊❄️", "2026-11-20-picture-3f2a"),
        ("1️⃣ fox", "2026-11-20-1-fox-3f2a"),
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
        ("  fox.png \n", "fox.png"),
        ("fox.JPG", "fox.jpg"),
        ("fox.png.webp", "fox.webp"),
        ("animals/red fox.jpeg", "animals/red fox.jpeg"),
        ("animals\\red\\fox", "animals/red/fox"),
        ("animals.png/fox", "animals.png/fox"),
        ("fox.v2", "fox.v2"),
        ("fox.gif.png", "fox.gif.png"),
        ("fox.gif/owl", "fox.gif/owl"),
        ("fu\u0308chse", "f\xfcchse"),
        ("雪/赤い狐🦊", "雪/赤い狐🦊"),
        ("$(fox) & 'co'; #1", "$(fox) & 'co'; #1"),
        ("console/com10/null", "console/com10/null"),
        ("a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h"),
        ("x" * 120, "x" * 120),
        ("狐" * 79, "狐" * 79),
    ],
)
def test_a_wanted_name_is_used_as_it_is_but_for_its_spelling_and_suffix(
    save_as: str, name: str
) -> None:
    assert normalise_name(save_as) == name


ABSOLUTE = "must be relative to the output folder, without a drive or leading slash"
EMPTY = "must name a file, below folders where wanted, such as fox or animals/fox"
OUTSIDE = "must stay in the output folder: no part of it may be . or .."
HIDDEN = "must not be hidden: no part of it may begin with a dot"
UNSEEN = "must be visible text, without control, bidirectional or other invisible characters"
FORBIDDEN = 'must not contain any of < > : " | ? * ~'
EDGES = "must not have a space around any part of it, or a dot at the end of one"
DEVICE = "must not be a name that Windows keeps for devices, such as CON, NUL or COM1"
OTHER = "must end in .png, .jpg, .jpeg or .webp, or have no suffix"
LONG = "must have at most 120 characters and 238 bytes a part"
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
    LONG: ["x" * 121, "狐" * 80, "🦊" * 60, f"a/{'x' * 5_000}", "x" * 5_000 + ".png"],
    OTHER: ["fox.tiff", "fox.AVIF", "img/fox.svg", "fox.png.gif", "a.heic"],
    DEEP: ["a/b/c/d/e/f/g/h/i", "../" * 50 + "fox"],
}


@pytest.mark.parametrize(
    ("save_as", "why"), [(save_as, why) for why, names in REFUSED.items() for save_as in names]
)
def test_a_name_that_leads_away_or_is_not_legal_everywhere_is_refused_with_the_rule(
    save_as: str, why: str
) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refused:
        normalise_name(save_as)
    assert str(refused.value) == why
