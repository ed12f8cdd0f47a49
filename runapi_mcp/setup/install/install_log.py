"""What install made around each entry, written down so that uninstall takes out exactly that."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from runapi_mcp.base.atomic_files import give_to_owner_of, make_folders, write_whole
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.json_values import as_object
from runapi_mcp.base.texts import InsertionContext

LOCK_SECONDS = 30


@dataclass(frozen=True, slots=True)
class InstallRecord:
    """What was there before an entry came."""

    around: InsertionContext = field(default_factory=InsertionContext)
    new_file: bool = False
    folders: tuple[str, ...] = ()
    """Those made for the file, the innermost first."""
    sha256: str = ""
    """Of the file as install wrote it."""

    def is_of(self, data: bytes | None) -> bool:
        """Whether a file is as install wrote it."""
        return data is not None and self.sha256 == sha256(data).hexdigest()


_RECORD: Final = TypeAdapter(InstallRecord)
_ADVICE: Final = (
    "Nothing was changed. This program notes there what it does: make it yours, or set "
    "XDG_STATE_HOME to a folder that is."
)


class InstallLog:
    """One user's records, in a file that one installer at a time may use.

    What cannot be read or written, or is in use for too long, raises NotConfigured.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "installed.json"

    @contextmanager
    def lock(self) -> Generator[None]:
        """No other installer of this user changes anything meanwhile."""
        # Imported here, because only a command needs it.
        from filelock import FileLock, Timeout

        try:
            make_folders(self._path.parent)
            lock = FileLock(self._path.with_suffix(".lock"))
            lock.acquire(timeout=LOCK_SECONDS)
            give_to_owner_of(self._path.parent, Path(lock.lock_file))
        except Timeout as error:
            raise NotConfigured("Another install is running.", "Wait for its end.") from error
        except OSError as error:
            raise _failed(self._path.parent, "written", error) from error
        try:
            yield
        finally:
            lock.release()

    def read(self, path: Path) -> InstallRecord:
        """A file's record; of one that has none, as if only the entry had come."""
        try:
            return _RECORD.validate_python(self._all().get(str(path)))
        except ValidationError:
            # None, or one that another version wrote.
            return InstallRecord()

    def has(self, path: Path) -> bool:
        """Whether install put an entry into a file, and did not take it out."""
        return str(path) in self._all()

    def write(self, path: Path, record: InstallRecord) -> None:
        """Puts a record in the place of what was known of a file."""
        self._replace(self._all() | {str(path): asdict(record)})

    def erase(self, path: Path) -> None:
        """Forgets a file."""
        self._replace({name: kept for name, kept in self._all().items() if name != str(path)})

    def _replace(self, records: dict[str, object]) -> None:
        text = json.dumps(records, indent=2) + "\n"
        try:
            make_folders(self._path.parent)
            write_whole(self._path, text.encode(), 0o600)
        except OSError as error:
            raise _failed(self._path, "written", error) from error

    def _all(self) -> dict[str, object]:
        try:
            return as_object(json.loads(self._path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        except OSError as error:
            raise _failed(self._path, "read", error) from error


def _failed(path: Path, how: str, error: OSError) -> NotConfigured:
    return NotConfigured(f"{path} cannot be {how}: {error.strerror}.", _ADVICE)
