"""A directory held open, so that nothing can move what is done in it elsewhere.

A path is looked up anew at each use, and a folder on it may have become a link meanwhile. So each
folder below the root is opened from the one above it, links refused, and everything goes by plain
names from there. Windows has no such calls: there the path is checked once, when it is opened.
"""

import errno
import os
import stat
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

from runapi_mcp.base.atomic_files import HAS_DESCRIPTORS, NO_LINK, OPEN_FOLDER, descend

# Each is missing on some system.
_AT_ONCE: Final[int] = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)

_LINKLESS: Final = {
    errno.EPERM,  # FAT, exFAT
    errno.EACCES,  # Android
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
"""What file systems without hard links answer."""


class Directory:
    """What can be done in one directory, by plain name. Every way out is an OSError."""

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        self.path = path
        self._descriptor = descriptor

    def create(self, name: str) -> BinaryIO:
        """A new file to write, with the usual mode; fails with FileExistsError."""
        return open(
            _require_plain(name),
            "xb",
            opener=lambda name, flags: self._open(name, flags | NO_LINK),
        )

    def open_descriptor(self, name: str) -> int:
        """A descriptor of the file, which the caller closes; a link is refused, a pipe not awaited.

        It may be of anything else that has a name: look before reading. Subprocesses do not
        inherit it.
        """
        if stat.S_ISLNK(self.status(name).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        return self._open(name, os.O_RDONLY | NO_LINK | _AT_ONCE | _BINARY)

    def open_file(self, name: str) -> BufferedReader:
        """The file to read, opened as by `open_descriptor`; fails where it is no regular file."""
        return open(_require_plain(name), "rb", opener=lambda name, _: self._open_regular(name))

    def read(self, name: str, most_bytes: int) -> bytes:
        """The beginning of the file, or all of it."""
        with self.open_file(name) as file:
            return file.read(most_bytes)

    def status(self, name: str) -> os.stat_result:
        """What the name is, a link for itself; fails with FileNotFoundError."""
        return os.lstat(self._at(name), dir_fd=self._descriptor)

    def exists(self, name: str) -> bool:
        """Whether the name is taken, by whatever."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def temporary_file(self) -> Generator[tuple[str, BinaryIO]]:
        """A new hidden file to write; closed and removed in the end, unless it was placed."""
        name = f".runapi-{os.urandom(8).hex()}.part"
        file = self.create(name)
        try:
            yield name, file
        finally:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                self.remove(name)

    def place(self, temporary: str, name: str) -> None:
        """Give a finished file its name, at once and whole; fails with FileExistsError.

        The temporary name may stay, as a second name of the file. Where the file system has no
        hard links, a crash in between can leave an empty file under the name.
        """
        if os.name == "nt":
            Path(self._at(temporary)).rename(self._at(name))  # never replaces a file there
            return
        try:
            self._link(temporary, name)
        except OSError as error:
            if error.errno not in _LINKLESS:
                raise
            self._replace_own(temporary, name)

    def remove(self, name: str) -> None:
        """Remove the file; fails with FileNotFoundError."""
        os.unlink(self._at(name), dir_fd=self._descriptor)

    def require_in_place(self) -> None:
        """Nothing, where its path still leads to it; else an OSError."""
        if not self._is_in_place():
            raise OSError(errno.ENOENT, "it was moved or replaced meanwhile", str(self.path))

    def _is_in_place(self) -> bool:
        if self._descriptor is None:
            return Path(os.path.realpath(self.path)) == self.path
        return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))

    def _link(self, name: str, other: str) -> None:
        here = self._descriptor
        os.link(
            self._at(name), self._at(other), src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False
        )

    def _replace_own(self, temporary: str, name: str) -> None:
        """As `place`, by way of an empty file that takes the name first."""
        self.create(name).close()
        here = self._descriptor
        try:
            os.replace(self._at(temporary), self._at(name), src_dir_fd=here, dst_dir_fd=here)
        except BaseException:
            with suppress(OSError):
                self.remove(name)
            raise

    def _open_regular(self, name: str) -> int:
        descriptor = self.open_descriptor(name)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", name)
        return descriptor

    def _open(self, name: str, flags: int) -> int:
        return os.open(self._at(name), flags, 0o666, dir_fd=self._descriptor)

    def _at(self, name: str) -> str:
        """How the system is told of a name in here: with a descriptor, the name alone."""
        plain = _require_plain(name)
        return plain if self._descriptor is not None else str(self.path / plain)


OpenDirectory = Callable[..., AbstractContextManager[Directory]]


@contextmanager
def open_by_descriptor(root: Path, parts: Sequence[str], *, make: bool) -> Generator[Directory]:
    """The directory, each folder below the root opened from the one above it."""
    top = _real_root(root, make=make)
    with descend(top, parts, partial(_open_inner, make=make)) as descriptor:
        yield Directory(top.joinpath(*parts), descriptor)


@contextmanager
def open_by_path(root: Path, parts: Sequence[str], *, make: bool) -> Generator[Directory]:
    """The directory, its path seen to stay below the root, once."""
    top = path = _real_root(root, make=make)
    for part in parts:
        path = path / _require_plain(part)
        if make:
            with suppress(FileExistsError):
                path.mkdir()
        path = Path(os.path.realpath(path, strict=True))
        if not (path.is_relative_to(top) and path.is_dir()):
            raise _not_a_folder(str(path))
    yield Directory(path)


open_directory: Final[OpenDirectory] = open_by_descriptor if HAS_DESCRIPTORS else open_by_path


def _real_root(root: Path, *, make: bool) -> Path:
    """The root as it really lies; that it may be a link is its owner's choice."""
    if make:
        # Whatever else is there is no directory, which opening it will say better.
        with suppress(FileExistsError):
            root.mkdir(parents=True, exist_ok=True)
    return Path(os.path.realpath(root, strict=True))


def _open_inner(descriptor: int, name: str, *, make: bool) -> int:
    _require_plain(name)
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=descriptor)
    try:
        return os.open(name, OPEN_FOLDER | NO_LINK, dir_fd=descriptor)
    except OSError as error:
        # Systems differ in which of the two a link gets.
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _not_a_folder(name) from error
        raise


def _require_plain(name: str) -> str:
    """The name, if it cannot lead anywhere else."""
    streams = ":" if os.name == "nt" else ""
    if name in {"", ".", ".."} or set(name) & {os.sep, os.altsep, "\0", *streams}:
        raise OSError(errno.EINVAL, "not a plain name", name)
    return name


def _not_a_folder(name: str) -> NotADirectoryError:
    return NotADirectoryError(errno.ENOTDIR, f"{name} is a link, or not a folder", name)
