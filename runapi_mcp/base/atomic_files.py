"""Writing a file whole or not at all, for whoever owns the place it stands in.

A path is looked up anew at each use, and a folder on it may have become a link meanwhile. Where
links may lead nowhere, a folder is held open by its descriptor, and files go by their names in it.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

# Each is missing on some system.
OPEN_FOLDER: Final[int] = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
HAS_DESCRIPTORS: Final = os.open in os.supports_dir_fd
"""Whether folders can be held open, and files named in them."""


def write_whole(
    path: Path,
    data: bytes,
    mode: int,
    check: Callable[[], None] = lambda: None,
    folder: int | None = None,
) -> None:
    """The file with these bytes and this mode, or as it was; never anything in between.

    `check` is called last, and may raise to leave the file as it was. With the descriptor of its
    folder, the path counts by its name alone.

    Raises:
        OSError: it cannot be written.
    """
    name = name_in(folder, path)
    beside = name_in(folder, path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(beside, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            _set_mode(file.fileno(), beside, mode)
            with suppress(OSError):
                give_to(os.stat(_owned(name, folder), dir_fd=folder), file.fileno())
        check()
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder)


def name_in(folder: int | None, path: Path) -> str:
    """How the system is told of a path: with its folder's descriptor, by its name alone."""
    return str(path) if folder is None else path.name


def _owned(name: str, folder: int | None) -> str:
    """The file whose owner a new one gets: the one before it, or its folder."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=folder is None)
    except OSError:
        return os.path.dirname(name) or "."  # noqa: PTH120 - a name is no path
    return name


def _set_mode(descriptor: int, path: str, mode: int) -> None:
    if os.name == "posix":
        os.fchmod(descriptor, mode)
    else:
        Path(path).chmod(mode)


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """A folder, and those above it that are missing; the mode is the innermost one's.

    Raises:
        OSError: one cannot be made, or a file is in the way.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(mode, exist_ok=True)
    give_to_owner_of(folder.parent, folder)


@contextmanager
def open_below(top: Path, parts: Sequence[str], *, make: bool) -> Generator[int | None]:
    """The descriptor of a folder below another, each opened from the one above it, links refused.

    None where the system has no such calls: there its path is checked once.
    """
    if not HAS_DESCRIPTORS:
        _check_path(top, parts, make=make)
        yield None
        return
    with descend(top, parts, partial(_open_inner, make=make)) as descriptor:
        yield descriptor


@contextmanager
def descend(
    top: Path, parts: Sequence[str], open_inner: Callable[[int, str], int]
) -> Generator[int]:
    """The descriptor of a folder below another, each opened from the one above it."""
    descriptor = os.open(top, OPEN_FOLDER)
    try:
        for part in parts:
            inner = open_inner(descriptor, part)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


class LinkRefused(OSError):
    """A link stands where none may lead anywhere."""


def refuse_link(name: str, folder: int | None) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            raise LinkRefused(errno.ELOOP, os.strerror(errno.ELOOP), name)


def open_no_link(name: str, flags: int, folder: int | None) -> int:
    """A descriptor of a file; a link is refused, a pipe not awaited."""
    refuse_link(name, folder)
    try:
        return os.open(name, flags | NO_LINK | getattr(os, "O_NONBLOCK", 0), dir_fd=folder)
    except OSError:
        refuse_link(name, folder)  # which came just now
        raise


def _open_inner(descriptor: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=descriptor)
            give_to(os.fstat(descriptor), name, descriptor)
    return open_no_link(name, OPEN_FOLDER, descriptor)


def _check_path(top: Path, parts: Sequence[str], *, make: bool) -> None:
    path = top
    for part in parts:
        path = path / part
        refuse_link(str(path), None)
        if make:
            path.mkdir(exist_ok=True)


def give_to_owner_of(given: Path, path: Path) -> None:
    """So that a command under sudo does not take a user's file from them."""
    with suppress(OSError):
        give_to(given.stat(), str(path))


def give_to(owner: os.stat_result, path: str | int, folder: int | None = None) -> None:
    """The same for an owner who is known, and for a descriptor; a link is given itself."""
    if os.name == "nt" or os.geteuid() != 0:
        return
    if isinstance(path, int):
        os.chown(path, owner.st_uid, owner.st_gid)
    else:
        os.chown(path, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
