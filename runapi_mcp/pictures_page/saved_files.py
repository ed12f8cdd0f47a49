"""The file of a past picture, as the ledger has it and as the disk has it now. Blocks."""

from pathlib import Path
from typing import BinaryIO

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.picture import SavedPicture
from runapi_mcp.images.saving import open_saved
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.tools.entry_files import saved_pictures


class NotHere(Failure):
    """A picture of which this machine has no file."""


def open_picture(entry: Entry, index: int) -> tuple[BinaryIO, str]:
    """The image to read and its SHA-256, where it is what was saved.

    Raises:
        NotHere: there is no file.
        Changed: it is another one than was saved.
    """
    saved = _saved_picture(entry, index)
    try:
        return open_saved(saved, entry.task_id)
    except OSError as error:
        raise _gone(entry, saved.path, error) from error


def require_unchanged(entry: Entry, index: int) -> Path:
    """Where the image is, seen to be what was saved there. Raises as `open_picture`."""
    file, _ = open_picture(entry, index)
    file.close()
    return _saved_picture(entry, index).path


def require_there(entry: Entry, index: int) -> Path:
    """Where the image was saved and something still is, changed or not.

    Raises:
        NotHere: nothing is.
    """
    path = _saved_picture(entry, index).path
    try:
        path.lstat()
    except OSError as error:
        raise _gone(entry, path, error) from error
    return path


def _saved_picture(entry: Entry, index: int) -> SavedPicture:
    saved = saved_pictures(entry)
    if index < len(saved) and (one := saved[index]):
        return one
    happened = f"The picture of task {entry.task_id} was not saved on this machine."
    raise NotHere(happened, _fetch_again(entry))


def _gone(entry: Entry, path: Path, error: OSError) -> NotHere:
    is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    reason = "is gone" if is_gone else f"cannot be read: {error.strerror or error}"
    return NotHere(f"{printable_path(path)} {reason}.", _fetch_again(entry))


def _fetch_again(entry: Entry) -> str:
    return f"`runapi-mcp tasks {entry.task_id}` fetches it, as long as RunAPI has it."
