"""What install made around each entry, written down so that uninstall takes out exactly that."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from runapi_mcp.errors import NotConfigured
from runapi_mcp.hosts import files
from runapi_mcp.texts import Surroundings
from runapi_mcp.whole_files import give_to_owner_of, make_folders

LOCK_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was there before an entry came."""

    around: Surroundings = field(default_factory=Surroundings)
    new_file: bool = False
    folders: tuple[str, ...] = ()
    """Those made for the file, the innermost first."""


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
            raise NotConfigured(
                happened, "It is where this program keeps its own notes."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def of(self, path: Path) -> Receipt:
        """A file's receipt; of one that has none, as if only the entry had come."""
        found = self._all().get(str(path))
        if not isinstance(found, dict):
            return Receipt()
        noted = cast("dict[str, Any]", found)
        return Receipt(Surroundings(**noted["around"]), noted["new_file"], tuple(noted["folders"]))

    def has(self, path: Path) -> bool:
        """Whether install put an entry into a file, and nobody took it out."""
        return str(path) in self._all()

    def note(self, path: Path, receipt: Receipt | None) -> None:
        """Writes a file's receipt down, or strikes it out."""
        noted = {name: kept for name, kept in self._all().items() if name != str(path)}
        if receipt is not None:
            noted[str(path)] = asdict(receipt)
        opened = files.Opened(self._path, self._path.read_bytes() if self._path.exists() else None)
        files.written(opened, json.dumps(noted, indent=2) + "\n")

    def _all(self) -> dict[str, Any]:
        try:
            noted: object = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", noted) if isinstance(noted, dict) else {}
