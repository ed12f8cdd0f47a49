"""Writing a file whole or not at all, for whoever owns the place it stands in."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_whole(
    path: Path, data: bytes, mode: int, check: Callable[[], None] = lambda: None
) -> None:
    """The file with these bytes and this mode, or as it was; never anything in between.

    `check` is called last, and may raise to leave the file as it was.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        give_to_owner_of(path if path.exists() else path.parent, beside)
        check()
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


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


def give_to_owner_of(given: Path, path: Path) -> None:
    """So that a command under sudo does not take a user's file from them."""
    if os.name == "nt" or os.geteuid() != 0:
        return
    with suppress(OSError):
        owner = given.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
