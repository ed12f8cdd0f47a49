"""What pictures are called: names that say what they show and are legal on every system."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
OTHER_SUFFIXES: Final = (".gif", ".avif", ".svg", ".tif", ".tiff", ".bmp", ".heic", ".ico", ".jxl")
"""Of pictures that nothing here writes."""
MOST_LEVELS: Final = 8
LONGEST_CHARACTERS: Final = 120
LONGEST_BYTES: Final = 255 - len("-12ab-8.jpeg.json")
"""Systems allow 255 a component; saving may add two numbers, a suffix and the JSON's suffix."""
LONGEST_SUBJECT: Final = 40

# What Unicode does not take apart into a letter of ASCII and its marks.
_SPELLED: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
    }
    | dict.fromkeys("'\u2019", "")
)
_LATIN_MARKS: Final = re.compile(r"(?<=[a-z0-9])[\u0300-\u036f]+")
# Letters and marks that nobody sees: variation selectors, joiners, fillers.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0100-\U000e01ef]"
)
_GAPS: Final = re.compile(" +")
_ARTICLE: Final = re.compile(r"\A(?:an?|the)-")
_SUFFIXES: Final = re.compile(
    # Begun at the first alone, else each would be counted from again.
    r"(?<!\.png)(?<!\.jpg)(?<!\.jpeg)(?<!\.webp)(?:\.(?:png|jpe?g|webp))+\Z",
    re.IGNORECASE,
)
_DRIVE: Final = re.compile(r"[a-z]:", re.IGNORECASE)
# Windows takes `nul.png` for the device as well, and ¹²³ for digits.
_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class SetMember:
    """Which picture of which set one is; a picture alone is a set of one."""

    set_id: str
    number: int = 1
    size: int = 1

    def name(self, stem: str) -> str:
        """What it is called where the set is called `stem`."""
        return f"{stem}-{self.number}" if self.size > 1 else stem

    def stem(self, name: str) -> str:
        """What the set is called where one of it has this name."""
        return name.rpartition("-")[0] if self.size > 1 else name

    def sibling_names(self, stem: str) -> list[str]:
        """What the others of its set are called there."""
        return [f"{stem}-{n}" for n in range(1, self.size + 1) if n != self.number]


def default_stem(prompt: str, task_id: str, day: date) -> str:
    """A name without suffix, such as `2026-11-20-red-fox-in-the-snow-3f2a`.

    Latin letters lose their marks; those of other scripts stay, where file names can have them.
    """
    subject = _subject(prompt)
    try:
        os.fsencode(subject)
    except UnicodeEncodeError:
        subject = ""
    parts = (day.isoformat(), subject or "picture", _words(task_id)[:4])
    return "-".join(filter(None, parts))


def normalise_name(save_as: str) -> str:
    """The name as it will be used: relative, with forward slashes, with one image suffix at most.

    Raises:
        ValueError: "must ..." why it cannot be used, in words that say what is allowed.
    """
    # NFC: macOS may give a name taken apart, and one name in two spellings would be two files.
    given = unicodedata.normalize("NFC", save_as).strip().replace("\\", "/")
    name, suffix = split_suffix(given)
    if name.startswith("/") or _DRIVE.match(name):
        raise ValueError("must be relative to the output folder, without a drive or leading slash")
    components = name.split("/")
    if len(components) > MOST_LEVELS:
        raise ValueError(f"must have at most {MOST_LEVELS} levels")
    for component in components:
        for is_refused, why in _REFUSALS:
            if is_refused(component):
                raise ValueError(why)
    if not suffix and name.lower().endswith(OTHER_SUFFIXES):
        raise ValueError("must end in .png, .jpg, .jpeg or .webp, or have no suffix")
    return name + suffix


def split_suffix(name: str) -> tuple[str, str]:
    """The name without image suffixes, and the last of them, which says the format."""
    stem = _SUFFIXES.sub("", name)
    suffixes = name[len(stem) :].lower()
    return stem, suffixes[suffixes.rfind(".") :]


def _subject(prompt: str) -> str:
    """The prompt's first words, without its article; whole ones, unless the first is too long."""
    words = _ARTICLE.sub("", _words(prompt))
    if len(words) <= LONGEST_SUBJECT:
        return words
    whole, _, _ = words[: LONGEST_SUBJECT + 1].rpartition("-")
    return whole or words[:LONGEST_SUBJECT]


def _words(text: str) -> str:
    spelled = unicodedata.normalize("NFKD", _UNSEEN.sub("", text)).lower().translate(_SPELLED)
    plain = _LATIN_MARKS.sub("", unicodedata.normalize("NFKD", spelled))
    words = "".join(_letters(unicodedata.normalize("NFC", plain)))
    return _GAPS.sub("-", words).strip("-")


def _letters(text: str) -> Iterator[str]:
    """The letters, each with the marks that belong to it, and a space for all else."""
    in_word = False
    for letter in text:
        is_mark = unicodedata.category(letter) in ("Mn", "Mc")
        in_word = letter.isalnum() or (in_word and is_mark)
        yield letter if in_word else " "


def _is_too_long(component: str) -> bool:
    return len(component) > LONGEST_CHARACTERS or len(component.encode()) > LONGEST_BYTES


_REFUSALS: Final[tuple[tuple[Callable[[str], object], str], ...]] = (
    (
        re.compile(r"\Z").match,
        "must name a file, below folders where wanted, such as fox or animals/fox",
    ),
    (re.compile(r"\.\.?\Z").match, "must stay in the output folder: no part of it may be . or .."),
    (re.compile(r"\.").match, "must not be hidden: no part of it may begin with a dot"),
    (
        lambda component: not component.isprintable(),
        "must be visible text, without control, bidirectional or other invisible characters",
    ),
    (re.compile(r'[<>:"|?*~]').search, 'must not contain any of < > : " | ? * ~'),
    (
        re.compile(r" |.*[ .]\Z").match,
        "must not have a space around any part of it, or a dot at the end of one",
    ),
    (_DEVICE.match, "must not be a name that Windows keeps for devices, such as CON, NUL or COM1"),
    (
        _is_too_long,
        f"must have at most {LONGEST_CHARACTERS} characters and {LONGEST_BYTES} bytes a part",
    ),
)
