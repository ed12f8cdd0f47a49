"""What install made around each entry, written down so that uninstall takes out exactly that."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

from pydantic import TypeAdapter, ValidationError

from runapi_mcp.base.atomic_files import give_to_owner_of, make_folders, write_whole
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.texts import Surroundings

LOCK_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was there before an entry came."""

    around: Surroundings = field(default_factory=Surroundings)
    new_file: bool = False
    folders: tuple[str, ...] = ()
    """Those made for the file, the innermost first."""
    sha256: str = ""
    """Of the file as install wrote it."""

    def is_of(self, data: bytes | None) -> bool:
        """Whether a file is as install wrote it."""
        return data is not None and self.sha256 == sha256(data).hexdigest()


_RECEIPT: Final = TypeAdapter(Receipt)
_ADVICE: Final = (
    "Nothing was changed. This program notes there what it does: make it yours, or set "
    "XDG_STATE_HOME to a folder that is."
)


class Receipts:
    """The receipts of one user, in a file that one installer at a time may use."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "installed.json"

    @contextmanager
    def alone(self) -> Generator[None]:
        """No other installer of this user changes anything meanwhile.

        Raises:
            NotConfigured: another one does not end.
        """
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
            happened = f"{self._path.parent} cannot be written: {error.strerror}."
            raise NotConfigured(happened, _ADVICE) from error
        try:
            yield
        finally:
            lock.release()

    def of(self, path: Path) -> Receipt:
        """A file's receipt; of one that has none, as if only the entry had come."""
        try:
            return _RECEIPT.validate_python(self._all().get(str(path)))
        except ValidationError:
            # None, or one that another version wrote.
            return Receipt()

    def has(self, path: Path) -> bool:
        """Whether install put an entry into a file, and did not take it out."""
        return str(path) in self._all()

    def note(self, path: Path, receipt: Receipt) -> None:
        """Writes a file's receipt down.

        Raises:
            NotConfigured: it cannot be written.
        """
        self._keep(self._all() | {str(path): asdict(receipt)})

    def strike(self, path: Path) -> None:
        """Strikes a file's receipt out.

        Raises:
            NotConfigured: it cannot be written.
        """
        self._keep({name: kept for name, kept in self._all().items() if name != str(path)})

    def _keep(self, noted: Mapping[str, object]) -> None:
        text = json.dumps(noted, indent=2) + "\n"
        try:
            make_folders(self._path.parent)
            write_whole(self._path, text.encode(), 0o600)
        except OSError as error:
            happened = f"{self._path} cannot be written: {error.strerror}."
            raise NotConfigured(happened, _ADVICE) from error

    def _all(self) -> dict[str, object]:
        try:
            noted: object = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            happened = f"{self._path} cannot be read: {error.strerror}."
            raise NotConfigured(happened, _ADVICE) from error
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, object]", noted) if isinstance(noted, dict) else {}
