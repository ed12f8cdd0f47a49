"""Saving a picture: under a name of its own, whole or not at all, its JSON beside it.

A picture lies under a hidden name until it is whole, and is committed by a hard link, which fails
where the name is taken. Its JSON comes first, so whoever places a JSON has the name. A crash can
leave hidden `.runapi-*.part` files and a JSON without its picture; they are not cleared away, since
finding them would mean reading through folders of any size.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.directory import Directory, open_directory
from runapi_mcp.images.naming import IMAGE_SUFFIXES, SetMember
from runapi_mcp.images.picture import LARGEST_IMAGE_BYTES, SavedPicture
from runapi_mcp.images.set_names import SetNames, read_sidecar

MOST_TRIES: Final = 20
GIVING_WAY_SECONDS: Final = 0.01
_SAME_PICTURE: Final = ("task_id", "sha256")
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NotSaved(Failure):
    """A picture that could not be written. Nothing of it is left behind."""


class Changed(Failure):
    """A file that is not the picture any more that was saved there."""


class Draft:
    """A picture on its way into a folder, under a hidden temporary name. One thread at a time.

    Raises:
        NotSaved: from each step, where it cannot be written or read; the draft is discarded.
    """

    def __init__(
        self,
        directory: Directory,
        names: SetNames,
        file: tuple[str, BinaryIO],
        resources: ExitStack,
    ) -> None:
        self._directory = directory
        self._names = names
        self._temporary, self._file = file
        self._resources = resources

    @classmethod
    def begin(
        cls,
        folder: Path,
        name: str,
        member: SetMember,
        taking: Collection[str] = IMAGE_SUFFIXES,
    ) -> "Draft":
        """An empty draft of `name`, as `naming` gives it; folders on the way are made, and stay.

        The name is taken by files with the suffixes `taking`.
        """
        *parts, stem = name.split("/")
        with _explain_errors(folder), ExitStack() as resources:
            directory = resources.enter_context(open_directory(folder, parts, make=True))
            file = resources.enter_context(directory.temporary_file())
            names = SetNames(directory, stem, member, taking)
            return cls(directory, names, file, resources.pop_all())

    def write(self, content: bytes) -> None:
        with self._discard_on_failure():
            self._file.write(content)
            self._file.flush()

    def read_back(self) -> BinaryIO:
        """What was written so far, to read from its beginning. Close it before committing."""
        with self._discard_on_failure():
            return self._directory.open_file(self._temporary)

    def commit(
        self, suffix: str, about: Mapping[str, object], *, keep_sidecar: bool = True
    ) -> Path:
        """The absolute path of the finished picture, which has `about` as JSON beside it.

        Where that is not to stay, it is removed once all of the set are there: till then it holds
        their names. The same picture without one, by its bytes, is the answer there too.

        The name is the wanted one, or with -2 to -9, or with four hex digits: the one where its
        siblings are, by the `set` or `task_id` of their JSONs, else the first of which no picture
        of the suffixes `taking` has any of the set's names, nor any JSON of one: as a rule of any
        suffix, since fox.png beside fox.jpg reads as one picture twice. Where an earlier draft left
        the same picture, by size, `sha256` and `task_id`, under one of the names tried, that one is
        the answer and nothing is written; where it left the JSON alone, the picture comes back to
        it.
        """
        sidecar = json.dumps(dict(about), indent=2, ensure_ascii=False) + "\n"
        with self._discard_on_failure():
            size_bytes = _close_on_disk(self._file)
            # Where the folder was moved to, nobody would look for the picture.
            self._directory.require_in_place()
            picture = None if keep_sidecar else self._find_same(suffix, size_bytes)
            picture = picture or self._place_under_free_name(suffix, about, sidecar, size_bytes)
            if not keep_sidecar:
                self._names.clear_sidecars(picture)
        self.discard()
        return self._directory.path / picture

    def discard(self) -> None:
        """Nothing of the draft stays, whatever was written; a committed picture does."""
        self._resources.close()

    @contextmanager
    def _discard_on_failure(self) -> Generator[None]:
        try:
            with _explain_errors(self._directory.path):
                yield
        except BaseException:
            self.discard()
            raise

    def _place_under_free_name(
        self, suffix: str, about: Mapping[str, object], sidecar: str, size: int
    ) -> str:
        names = self._names
        for stem in names.numbered():
            picture = names.member.name(stem) + suffix
            if self._place_again(picture, about, size):
                return picture
        for stem in names.in_order():
            picture = names.member.name(stem) + suffix
            if self._place_new(stem, picture, sidecar, size):
                return picture
            # Another server may have placed this very picture a moment ago.
            if self._place_again(picture, about, size):
                return picture
        folder = printable_path(self._directory.path)
        happened = f"The picture was not saved: {folder} is full of {names.stem}."
        raise NotSaved(happened, "Choose another save_as.")

    def _find_same(self, suffix: str, size_bytes: int) -> str | None:
        pictures = [self._names.member.name(stem) + suffix for stem in self._names.numbered()]
        return next((each for each in pictures if self._is_there(each, size_bytes)), None)

    def _place_again(self, picture: str, about: Mapping[str, object], size_bytes: int) -> bool:
        """Whether this very picture now has the name, by its JSON of an earlier draft."""
        saved = read_sidecar(self._directory, picture)
        is_same = all(key in about and saved.get(key) == about[key] for key in _SAME_PICTURE)
        return is_same and self._place_picture(picture, size_bytes)

    def _is_there(self, picture: str, size_bytes: int) -> bool:
        try:
            status = self._directory.status(picture)
            if not S_ISREG(status.st_mode) or status.st_size != size_bytes:
                return False
            return self._digest(picture) == self._digest(self._temporary)
        except FileNotFoundError:
            return False

    def _digest(self, name: str) -> bytes:
        with self._directory.open_file(name) as file:
            return hashlib.file_digest(file, "sha256").digest()

    def _place_picture(self, picture: str, size_bytes: int) -> bool:
        """Whether the picture now has the name, whose JSON is there already; else another has."""
        try:
            self._directory.place(self._temporary, picture)
        except FileExistsError:
            return self._is_there(picture, size_bytes)
        return True

    def _place_new(self, stem: str, picture: str, sidecar: str, size_bytes: int) -> bool:
        for _ in range(MOST_TRIES):
            taken = self._names.taken(stem)
            if not taken and self._place_both(stem, picture, sidecar, size_bytes):
                return True
            is_lone_json = all(name.endswith(".json") for name in taken)
            if not (is_lone_json and self._names.has_siblings(stem)):
                return False
            # Another set that came at the same moment: it sees our siblings, and gives way.
            time.sleep(GIVING_WAY_SECONDS)
        return False

    def _place_both(self, stem: str, picture: str, sidecar: str, size_bytes: int) -> bool:
        """Whether the picture and its JSON now have the name, or somebody else was first."""
        with self._directory.temporary_file() as (temporary, file):
            # An unpaired surrogate becomes what JSON writes for it.
            file.write(sidecar.encode(errors="backslashreplace"))
            _close_on_disk(file)
            try:
                self._directory.place(temporary, f"{picture}.json")
            except FileExistsError:
                return False
        with ExitStack() as undo:
            undo.callback(self._remove, f"{picture}.json")
            # Who takes another name of the set at the same moment sees our JSON, or we see theirs.
            if self._names.taken(stem, but=(picture, f"{picture}.json")):
                return False
            # Another server with the same picture may have given it the name by our JSON.
            if is_placed := self._place_picture(picture, size_bytes):
                undo.pop_all()
            return is_placed

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            self._directory.remove(name)


def open_saved(saved: SavedPicture, task_id: object) -> tuple[BufferedReader, str]:
    """The task's picture, to read, and its SHA-256: as the ledger has it, else as its JSON says.

    Below the folder that its name counts from no step of the way may be a link.

    Raises:
        Changed: it is not what was saved there, or nothing tells that it is.
        OSError: it cannot be read.
    """
    root = saved.path.parents[saved.levels]
    *parts, name = saved.path.relative_to(root).parts
    with open_directory(root, parts, make=False) as directory, ExitStack() as opened:
        file = opened.enter_context(directory.open_file(name))
        known = saved.sha256 or _told_sha256(directory, name, task_id)
        sha256 = _sha256(file)
        if sha256 != known:
            path = printable_path(directory.path / name)
            raise Changed(f"{path} was changed since it was saved.", "Look at what it is.")
        file.seek(0)
        opened.pop_all()
        return file, sha256


def _told_sha256(directory: Directory, picture: str, task_id: object) -> object:
    """What the JSON says; a lost JSON proves nothing."""
    told = read_sidecar(directory, picture)
    return told.get("sha256") if told.get("task_id") == task_id else None


def _sha256(file: BufferedReader) -> str:
    """Empty of what is larger than any picture."""
    if os.fstat(file.fileno()).st_size > LARGEST_IMAGE_BYTES:
        return ""
    return hashlib.file_digest(file, "sha256").hexdigest()


def _close_on_disk(file: BinaryIO) -> int:
    """The size of the file, closed, once all of it is on the disk."""
    with file:
        file.flush()
        # Else a name can survive a power cut that its content does not.
        os.fsync(file.fileno())
        return file.tell()


@contextmanager
def _explain_errors(folder: Path) -> Generator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        happened = f"The picture was not saved in {printable_path(folder)}: {_reason(error)}."
        raise NotSaved(happened, _advice(error)) from error


def _reason(error: OSError | UnicodeError) -> object:
    if isinstance(error, OSError):
        return error.strerror or error
    return "this system's encoding has no such letters"


def _advice(error: OSError | UnicodeError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return "Free some space, or choose another folder with RUNAPI_OUTPUT_DIR."
    if number == errno.ENAMETOOLONG:
        return "Choose a shorter save_as, or another folder with RUNAPI_OUTPUT_DIR."
    return "Choose another folder with RUNAPI_OUTPUT_DIR, or another save_as."
