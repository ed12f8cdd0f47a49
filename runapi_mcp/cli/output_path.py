"""The file that a person names for a picture: which it is, and that nothing there is lost."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.naming import IMAGE_SUFFIXES, normalise_name

_LONGEST_PART_BYTES: Final = 255
_JPEG: Final = {".jpg": ".jpeg"}


@dataclass(frozen=True, slots=True)
class OutputPath:
    path: Path
    """Absolute."""

    @classmethod
    def of(cls, text: str) -> Self:
        """
        Raises:
            ValueError: no picture can have this path; in words that follow what was given.
        """
        given = Path(os.path.expanduser(text))  # noqa: PTH111 - Path raises for an unknown user
        # The folder without links, as pictures are saved: /tmp is one on macOS.
        try:
            path = Path(os.path.realpath(given.parent)) / given.name
        except FileNotFoundError as error:  # where we run was removed
            raise ValueError("is in a directory that is not there any more") from error
        if not text:
            raise ValueError("is no name: give one such as fox.png")
        if text.endswith(("/", os.sep)) or os.path.isdir(path):  # noqa: PTH112 - Path raises for what it may not see
            raise ValueError("is a folder: name a file in it, such as fox.png")
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ValueError(f"must end in {', '.join(IMAGE_SUFFIXES[:-1])} or .webp")
        normalise_name(path.name)
        return cls(path)

    def numbered(self, number: int, count: int) -> Path:
        """Where one goes of so many pictures."""
        return self.path if count == 1 else self.path.with_stem(f"{self.path.stem}-{number}")

    def require_folder(self) -> None:
        """
        Raises:
            Refused: no file can be made there.
        """
        nearest = next(each for each in self.path.parents if os.path.lexists(each))
        is_usable = os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK)  # noqa: PTH112 - likewise
        if not is_usable or any(map(_is_too_long, self.path.parts)):
            raise Refused(
                f"No file can be made in {printable_path(nearest)}.",
                "Nothing was paid. Name a file in another folder.",
            )

    def require_free(self, count: int) -> None:
        """
        Raises:
            Refused: a file is there.
        """
        for number in range(1, count + 1):
            path = self.numbered(number, count)
            if os.path.lexists(path):
                raise Refused(
                    f"{printable_path(path)} is there already.",
                    "Nothing was paid. Name another file, or add --force to replace it.",
                )

    def has_format_of(self, path: Path) -> bool:
        return _format(path) == _format(self.path)


def _is_too_long(part: str) -> bool:
    return len(os.fsencode(part)) > _LONGEST_PART_BYTES


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    return _JPEG.get(suffix, suffix)


def move(saved: Path, wanted: Path, *, replaces: bool) -> Path:
    """Where the saved picture is now: where it is wanted, unless another file is in the way."""
    if saved == wanted:
        return saved
    try:
        if replaces:
            saved.replace(wanted)
        else:
            _rename_to_free(saved, wanted)
    except OSError:
        return saved
    with suppress(OSError):  # most have none
        _beside(saved).replace(_beside(wanted))
    return wanted


def _rename_to_free(saved: Path, wanted: Path) -> None:
    if os.name == "nt":
        saved.rename(wanted)  # never replaces a file there
        return
    try:
        wanted.hardlink_to(saved)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        wanted.touch(exist_ok=False)
        saved.replace(wanted)
    else:
        saved.unlink()


def _beside(picture: Path) -> Path:
    return picture.with_name(f"{picture.name}.json")
