"""Other programs' files on the disk: read whole, replaced whole, and kept before they change."""

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runapi_mcp.base.atomic_files import make_folders, write_whole
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.texts import Dialect

BACKUPS_KEPT: Final = 3
MOST_BYTES: Final[dict[Dialect, int]] = {
    "json": 60_000_000,
    "json with comments": 60_000_000,
    "jsonc": 60_000_000,
    "toml": 5_000_000,
    "yaml": 1_000_000,
}
"""Far more than any host's file has; above it, one would wait too long."""
_BOM: Final = "\ufeff"
_BACKUP: Final = re.compile(r"\.runapi-\d{8}T\d{12}Z\.bak")
_THEN_AGAIN: Final = "It was left as it is; mend that, then run this again."
_MENDS: Final = {
    errno.EACCES: "Give yourself access to it and to its folder",
    errno.EPERM: "Give yourself access to it and to its folder",
    errno.ENOTDIR: "Move the file away that stands where its folder should be",
    errno.ELOOP: "Make the link lead to a file, or remove it",
    errno.ENAMETOOLONG: "Name a shorter path",
    errno.EROFS: "Make the file system writable",
    errno.ENOSPC: "Make room on the disk",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A file as it was read. A link was followed: `path` is what it leads to."""

    path: Path
    data: bytes | None
    """None where there was no file."""
    bom: str = ""
    text: str = ""
    mode: int = 0o600

    @property
    def is_read_only(self) -> bool:
        return not self.mode & 0o222


def opened(path: Path, dialect: Dialect) -> Opened:
    """A file, read; one that is not there reads as nothing.

    Raises:
        NotConfigured: it cannot be read as text.
    """
    # Not Path.resolve, which raises for a circle of links, and not the same in each Python.
    target = Path(os.path.realpath(path))
    try:
        data, mode = _read(target, dialect)
        decoded = data.decode("utf-8")
    except FileNotFoundError:
        return Opened(target, None)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        happened = f"{path} is not text in UTF-8 (line {line})."
        raise NotConfigured(happened, "Save it as UTF-8, then run this again.") from error
    except OSError as error:
        raise _failed(path, "cannot be read", error) from error
    bom = _BOM if decoded.startswith(_BOM) else ""
    return Opened(target, data, bom, decoded.removeprefix(_BOM), mode)


def replace(opened: Opened, text: str) -> Path | None:
    """Writes a text in a file's place, whole or not at all; returns the backup of what was there.

    Raises:
        NotConfigured: it cannot be written, or somebody else wrote it since it was read.
    """
    backup = None if opened.data is None else back_up(opened)
    write(opened, text)
    return backup


def write(opened: Opened, text: str) -> None:
    """As `replace`, without a backup."""
    try:
        make_folders(opened.path.parent)
        write_whole(opened.path, as_bytes(opened, text), opened.mode, _unchanged(opened))
    except OSError as error:
        raise _failed(opened.path, "cannot be written", error) from error


def delete(opened: Opened, folders: tuple[Path, ...]) -> None:
    """Takes away a file that was made here, and those folders made for it that are empty now.

    Raises:
        NotConfigured: it cannot be taken away, or somebody else wrote it since it was read.
    """
    try:
        _unchanged(opened)()
        opened.path.unlink(missing_ok=True)
    except OSError as error:
        raise _failed(opened.path, "cannot be removed", error) from error
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def back_up(opened: Opened) -> Path:
    """Keeps a file as it was read beside it, and drops the oldest of such backups.

    Raises:
        NotConfigured: it cannot be written.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    backup = opened.path.with_name(f"{opened.path.name}.runapi-{now}.bak")
    try:
        write_whole(backup, opened.data or b"", opened.mode)
        for old in _backups(opened.path)[BACKUPS_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise _failed(opened.path, "cannot be backed up", error) from error
    return backup


def as_bytes(opened: Opened, text: str) -> bytes:
    """What a file holds with this text.

    Raises:
        NotConfigured: the text cannot be written in UTF-8.
    """
    try:
        return (opened.bom + text).encode("utf-8")
    except UnicodeEncodeError as error:
        happened = f"{opened.path}: half of a character (\\u{ord(text[error.start]):04x}) is in it."
        raise NotConfigured(happened, _THEN_AGAIN) from error


def newest_backup(path: Path) -> Path | None:
    """What a file was before it changed last, as far as backups are kept.

    Raises:
        NotConfigured: its folder cannot be read.
    """
    target = Path(os.path.realpath(path))
    try:
        return next(iter(_backups(target)), None)
    except OSError as error:
        raise _failed(target.parent, "cannot be read", error) from error


def missing_folders(path: Path) -> tuple[Path, ...]:
    """The folders that a file needs and that are not there, the innermost first."""
    return tuple(folder for folder in path.parents if not is_there(folder))


def is_there(path: Path) -> bool:
    """Whether anything stands at a path; what nobody may look at does not."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a folder that is closed to us


def _failed(path: Path, how: str, error: OSError) -> NotConfigured:
    mend = _MENDS.get(error.errno or 0)
    advice = f"{mend}, then run this again; it was left as it is." if mend else _THEN_AGAIN
    return NotConfigured(f"{path} {how}: {error.strerror or error}.", advice)


def _read(path: Path, dialect: Dialect) -> tuple[bytes, int]:
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise NotConfigured(f"{path} is a folder, not a file.", "Move it out of the way.")
    if not stat.S_ISREG(found.st_mode):
        happened = f"{path} is not a file with text in it."
        raise NotConfigured(happened, "Move it out of the way, then run this again.")
    if found.st_size > MOST_BYTES[dialect]:
        size, most = found.st_size / 1e6, MOST_BYTES[dialect] / 1e6
        happened = f"{path} has {size:.0f} MB, more than the {most:.0f} MB that are read here."
        raise NotConfigured(happened, "Take what --print gives and paste it yourself.")
    data = path.read_bytes()
    if b"\0" in data:
        raise NotConfigured(
            f"{path} is not text, so its host cannot read it either.",
            "Move it out of the way, then run this again.",
        )
    return data, stat.S_IMODE(found.st_mode)


def _unchanged(opened: Opened) -> Callable[[], None]:
    """Refuses when the file is not what was read: hosts write their files too."""

    def check() -> None:
        now = opened.path.read_bytes() if is_there(opened.path) else None
        if now != opened.data:
            raise NotConfigured(
                f"{opened.path} was changed by another program just now.", "Run this again."
            )

    return check


def _backups(path: Path) -> list[Path]:
    """A file's backups, the newest first."""
    if not path.parent.is_dir():
        return []
    names = (beside.name for beside in path.parent.iterdir() if beside.name.startswith(path.name))
    own = [name for name in names if _BACKUP.fullmatch(name.removeprefix(path.name))]
    return [path.parent / name for name in sorted(own, reverse=True)]
