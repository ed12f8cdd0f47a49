"""Other programs' files on the disk: read whole, replaced whole, and kept before they change."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runapi_mcp.errors import NotConfigured
from runapi_mcp.texts import Dialect
from runapi_mcp.whole_files import make_folders, write_whole

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


@dataclass(frozen=True, slots=True)
class Opened:
    """A file as it was read. A link was followed: `path` is what it leads to."""

    path: Path
    data: bytes | None
    """None where there was no file."""
    bom: str = ""
    text: str = ""
    mode: int = 0o600


def opened(path: Path, dialect: Dialect) -> Opened:
    """A file, read; one that is not there reads as nothing.

    Raises:
        NotConfigured: it cannot be read as text, or is not to be changed.
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
        raise NotConfigured(happened, _LEFT_ALONE) from error
    except OSError as error:
        raise NotConfigured(f"{path} cannot be read: {error.strerror}.", _LEFT_ALONE) from error
    bom = _BOM if decoded.startswith(_BOM) else ""
    return Opened(target, data, bom, decoded.removeprefix(_BOM), mode)


def replaced(opened: Opened, text: str) -> Path | None:
    """Writes a text in a file's place, whole or not at all; returns the backup of what was there.

    Raises:
        NotConfigured: it cannot be written, or somebody else wrote it since it was read.
    """
    try:
        backup = None if opened.data is None else _backed_up(opened.path, opened.data, opened.mode)
    except OSError as error:
        raise NotConfigured(
            f"{opened.path} cannot be backed up: {error.strerror}.", _LEFT_ALONE
        ) from error
    written(opened, text)
    return backup


def written(opened: Opened, text: str) -> None:
    """As `replaced`, without a backup."""
    try:
        make_folders(opened.path.parent)
        data = (opened.bom + text).encode("utf-8")
        write_whole(opened.path, data, opened.mode, _unchanged(opened))
    except OSError as error:
        raise NotConfigured(
            f"{opened.path} cannot be written: {error.strerror}.",
            "Mend that, or take what --print gives and paste it yourself.",
        ) from error


def deleted(opened: Opened, folders: tuple[Path, ...]) -> None:
    """Takes away a file that was made here, and those folders made for it that are empty now."""
    _unchanged(opened)()
    opened.path.unlink(missing_ok=True)
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def newest_backup(path: Path) -> Path | None:
    """What a file was before it changed last, as far as backups are kept."""
    return next(iter(_backups(path.resolve())), None)


def missing_folders(path: Path) -> tuple[Path, ...]:
    """The folders that a file needs and that are not there, the innermost first."""
    return tuple(folder for folder in path.parents if not folder.exists())


_LEFT_ALONE: Final = "It was left as it is."


def _read(path: Path, dialect: Dialect) -> tuple[bytes, int]:
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise NotConfigured(f"{path} is a folder, not a file.", "Move it out of the way.")
    if not stat.S_ISREG(found.st_mode):
        raise NotConfigured(f"{path} is not a regular file.", _LEFT_ALONE)
    if found.st_size > MOST_BYTES[dialect]:
        size, most = found.st_size / 1e6, MOST_BYTES[dialect] / 1e6
        happened = f"{path} has {size:.0f} MB, more than the {most:.0f} MB that are read here."
        raise NotConfigured(happened, "Take what --print gives and paste it yourself.")
    mode = stat.S_IMODE(found.st_mode)
    if not mode & 0o222:
        raise NotConfigured(
            f"{path} is read-only.", f"Make it writable, or leave it. {_LEFT_ALONE}"
        )
    data = path.read_bytes()
    if b"\0" in data:
        raise NotConfigured(f"{path} is not text.", _LEFT_ALONE)
    return data, mode


def _unchanged(opened: Opened) -> Callable[[], None]:
    """Refuses when the file is not what was read: hosts write their files too."""

    def check() -> None:
        now = opened.path.read_bytes() if opened.path.exists() else None
        if now != opened.data:
            raise NotConfigured(
                f"{opened.path} was changed by another program just now.", "Run this again."
            )

    return check


def _backed_up(path: Path, data: bytes, mode: int) -> Path:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    backup = path.with_name(f"{path.name}.runapi-{now}.bak")
    write_whole(backup, data, mode)
    for old in _backups(path)[BACKUPS_KEPT:]:
        old.unlink(missing_ok=True)
    return backup


def _backups(path: Path) -> list[Path]:
    """A file's backups, the newest first."""
    start, end = f"{path.name}.runapi-", ".bak"
    if not path.parent.is_dir():
        return []
    names = (beside.name for beside in path.parent.iterdir())
    own = [name for name in names if name.startswith(start) and name.endswith(end)]
    return [path.parent / name for name in sorted(own, reverse=True)]
