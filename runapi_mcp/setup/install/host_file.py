"""Other programs' files on the disk: read whole, replaced whole, and kept before they change."""

import errno
import os
import re
import stat
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runapi_mcp.base.atomic_files import (
    LinkRefused,
    make_folders,
    name_in,
    open_below,
    open_no_link,
    refuse_link,
    write_whole,
)
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.texts import Dialect

BACKUPS_KEPT: Final = 3
MOST_BYTES: Final[Mapping[Dialect, int]] = {"toml": 5_000_000, "yaml": 1_000_000}
MOST_BYTES_OF_JSON: Final = 60_000_000
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
class HostFile:
    """A file as it was read. A user's own link was followed: `path` is what it leads to.

    What changes it raises NotConfigured where it cannot, or where somebody else wrote it since.
    """

    path: Path
    data: bytes | None
    """None where there was no file."""
    bom: str = ""
    text: str = ""
    mode: int = 0o600
    project: Path | None = None
    """The project that the file came with, where no link may lead; None for a user's own file."""

    def replace(self, text: str) -> Path | None:
        """Writes a text in its place, whole or not at all; returns the backup of what was there."""
        data, backup = self.encode(text), None if self.data is None else self.back_up()
        with self._opened("cannot be written", make=True) as folder:

            def check() -> None:
                self._refuse_changed(folder)

            write_whole(self.path, data, self.mode, check, folder)
        return backup

    def delete(self, folders: Iterable[Path]) -> None:
        """Takes it away, and those of the folders made for it that are empty now."""
        with self._opened("cannot be removed") as folder:
            self._refuse_changed(folder)
            with suppress(FileNotFoundError):
                os.unlink(name_in(folder, self.path), dir_fd=folder)
        with suppress(OSError):
            for made in folders:
                with open_folder_of(made, self.project) as above:
                    os.rmdir(name_in(above, made), dir_fd=above)

    def back_up(self) -> Path:
        """Keeps what was read beside it, and drops the oldest of such backups."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        backup = self.path.with_name(f"{self.path.name}.runapi-{now}.bak")
        with self._opened("cannot be backed up") as folder:
            write_whole(backup, self.data or b"", self.mode, folder=folder)
            for old in _backups(self.path, folder)[BACKUPS_KEPT:]:
                with suppress(FileNotFoundError):
                    os.unlink(name_in(folder, old), dir_fd=folder)
        return backup

    def encode(self, text: str) -> bytes:
        """What it holds with this text."""
        try:
            return (self.bom + text).encode("utf-8")
        except UnicodeEncodeError as error:
            half = f"\\u{ord(text[error.start]):04x}"
            happened = f"{self.path}: half of a character ({half}) is in it."
            raise NotConfigured(happened, _THEN_AGAIN) from error

    @contextmanager
    def _opened(self, how: str, *, make: bool = False) -> Generator[int | None]:
        with _naming(self.path, how), open_folder_of(self.path, self.project, make=make) as folder:
            yield folder

    def _refuse_changed(self, folder: int | None) -> None:
        # Hosts write their files too.
        try:
            now = _read_bytes(self.path, folder, follows=self.project is None)
        except FileNotFoundError:
            now = None
        if now != self.data:
            happened = f"{self.path} was changed by another program just now."
            raise NotConfigured(happened, "Run this again.")


@contextmanager
def open_folder_of(
    path: Path, project: Path | None, *, make: bool = False
) -> Generator[int | None]:
    """The descriptor of a file's folder in a project, which no link leads to; else None."""
    if project is not None:
        parts = path.parent.relative_to(project).parts
        with open_below(project, parts, make=make) as folder:
            yield folder
        return
    if make:
        make_folders(path.parent)
    yield None


def read_host_file(path: Path, dialect: Dialect, project: Path | None = None) -> HostFile:
    """A file, read; one that is not there reads as nothing.

    Raises:
        NotConfigured: it cannot be read as text, or is a project's and reached by a link.
    """
    # Not Path.resolve, which raises for a circle of links, and not the same in each Python.
    target = Path(os.path.realpath(path)) if project is None else path
    with _naming(path, "cannot be read"):
        try:
            with open_folder_of(target, project) as folder:
                data, mode = _read(target, dialect, folder, follows=project is None)
        except FileNotFoundError:
            return HostFile(target, None, project=project)
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        happened = f"{path} is not text in UTF-8 (line {line})."
        raise NotConfigured(happened, "Save it as UTF-8, then run this again.") from error
    bom = _BOM if decoded.startswith(_BOM) else ""
    return HostFile(target, data, bom, decoded.removeprefix(_BOM), mode, project)


def newest_backup(file: HostFile) -> Path | None:
    """What a file was before its last change, where a backup is kept; raises as reading does."""
    with (
        _naming(file.path.parent, "cannot be read"),
        suppress(FileNotFoundError),
        open_folder_of(file.path, file.project) as folder,
    ):
        return next(iter(_backups(file.path, folder)), None)
    return None


def missing_folders(path: Path) -> tuple[Path, ...]:
    """The folders that a file needs and that are not there, the innermost first."""
    return tuple(folder for folder in path.parents if not is_there(folder))


def is_there(path: Path) -> bool:
    """Whether anything stands at a path; what nobody may look at does not."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a folder that is closed to us


@contextmanager
def _naming(path: Path, how: str) -> Generator[None]:
    """Turns what the system refuses into a sentence about the file."""
    try:
        yield
    except LinkRefused as error:
        happened = f"{path} is reached by a link, which may lead out of the project."
        advice = "It was left as it is. Put the file itself there, or use --scope user."
        raise NotConfigured(happened, advice) from error
    except OSError as error:
        mend = _MENDS.get(error.errno or 0)
        advice = f"{mend}, then run this again; it was left as it is." if mend else _THEN_AGAIN
        raise NotConfigured(f"{path} {how}: {error.strerror or error}.", advice) from error


def _read(path: Path, dialect: Dialect, folder: int | None, *, follows: bool) -> tuple[bytes, int]:
    name = name_in(folder, path)
    if not follows:
        refuse_link(name, folder)
    found = os.stat(name, dir_fd=folder)
    if stat.S_ISDIR(found.st_mode):
        raise NotConfigured(f"{path} is a folder, not a file.", "Move it out of the way.")
    if not stat.S_ISREG(found.st_mode):
        happened = f"{path} is not a file with text in it."
        raise NotConfigured(happened, "Move it out of the way, then run this again.")
    most = MOST_BYTES.get(dialect, MOST_BYTES_OF_JSON)
    if found.st_size > most:
        sizes = f"{found.st_size / 1e6:.0f} MB, more than the {most / 1e6:.0f} MB"
        happened = f"{path} has {sizes} that are read here."
        raise NotConfigured(happened, "Take what --print gives and paste it yourself.")
    data = _read_bytes(path, folder, follows=follows)
    if b"\0" in data:
        happened = f"{path} is not text, so its host cannot read it either."
        raise NotConfigured(happened, "Move it out of the way, then run this again.")
    return data, found.st_mode & 0o777


def _read_bytes(path: Path, folder: int | None, *, follows: bool) -> bytes:
    if follows:
        return path.read_bytes()
    with open(path.name, "rb", opener=lambda _, flags: _open(path, flags, folder)) as file:
        return file.read()


def _open(path: Path, flags: int, folder: int | None) -> int:
    return open_no_link(name_in(folder, path), flags, folder)


def _backups(path: Path, folder: int | None) -> list[Path]:
    """A file's backups, the newest first."""
    beside = os.listdir(path.parent if folder is None else folder)  # noqa: PTH208 - or its descriptor
    names = (name for name in beside if name.startswith(path.name))
    own = [name for name in names if _BACKUP.fullmatch(name.removeprefix(path.name))]
    return [path.parent / name for name in sorted(own, reverse=True)]
