"""Where pictures go and where local images may come from. Looks at the disk when asked, not before.

Where a user's pictures are is asked once: to find out takes as long as the rest of a call's checks.

A host starts its servers in the project it works on, in its user's home, or at the root of the
disk. Only the first says anything: home and what is above it never count as a place.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from runapi_mcp.base.errors import NotConfigured, Refused

_REPOSITORY: Final = (".git", ".hg", ".jj", ".svn")
_BELOW: Final = "/./"
"""Where the folder of a target ends and its name begins, as rsync has it: in neither of the two."""


@dataclass(frozen=True)
class Folders:
    """The folders of one server. `output_dir` is the user's own choice, None without one."""

    output_dir: Path | None = None
    input_dirs: tuple[Path, ...] = ()
    sidecars: bool | None = None
    """Whether a JSON is kept beside each picture; None for those in the output folder."""
    named_dir: Path | None = None
    """Where the pictures go that are named, for whoever types a path."""

    def has_sidecars(self, folder: Path) -> bool:
        """Whether a JSON is kept beside each picture that is saved in a folder."""
        if self.sidecars is None:
            return folder == (self.output_dir or self._pictures)
        return self.sidecars

    def folder(self, *, named: bool) -> Path:
        """Where a picture is saved.

        One that the caller names goes into the project the server was started in, if there is one:
        `assets/hero` means a place there. Everything else goes into the output folder.
        """
        if named and self.named_dir is not None:
            return self.named_dir
        if self.output_dir is None and named and (project := _project()) is not None:
            return project
        return self.output_folder

    def target(self, name: str, *, named: bool) -> str:
        """Where a picture of this name is to be saved: an absolute path without a suffix.

        Decided when it is ordered, and kept: another server may fetch it, in another project. It is
        the name alone where the folder's is no text, which no ledger keeps.
        """
        target = f"{self.folder(named=named)}{_BELOW}{name}"
        try:
            target.encode()
        except UnicodeEncodeError:
            return name
        return target

    def folder_of(self, target: str, *, named: bool) -> Path:
        """The folder of a target; of a name alone, as if it were ordered now."""
        folder, below, _ = target.rpartition(_BELOW)
        return Path(folder) if below else self.folder(named=named)

    def require_usable(self, target: str | None, *, named: bool) -> None:
        """Nothing, when a picture can have this target here, or none: asked before it is paid.

        A folder that cannot be made or written is found out later; it costs the file alone.

        Raises:
            NotConfigured: there is no folder.
            Refused: the target is no name here.
        """
        if target is None:
            _ = self.output_folder
            return
        try:
            os.fsencode(self.folder_of(target, named=named) / name_of(target))
        except UnicodeEncodeError as error:
            encoding = sys.getfilesystemencoding()
            raise Refused(
                f"save_as cannot be honoured: file names are {encoding} here.",
                "Use letters of ASCII; or let the user set PYTHONUTF8=1. This call paid nothing.",
            ) from error

    @property
    def output_folder(self) -> Path:
        """
        Raises:
            NotConfigured: this user has none, nor a home to make it in.
        """
        folder = self.output_dir or self._pictures
        if folder is None:
            raise NotConfigured(
                "There is no folder for pictures: this user has no home.",
                "Set RUNAPI_OUTPUT_DIR to an absolute path, or RUNAPI_SAVE=off.",
            )
        return folder

    @cached_property
    def _pictures(self) -> Path | None:
        """Among the user's own; None where there is no home."""
        # Imported here, because every start would pay for it.
        from platformdirs import user_pictures_path

        try:
            folder = user_pictures_path() / "runapi"
        except RuntimeError:
            return None
        return folder if folder.is_absolute() else None

    def foreign_project(self) -> Path | None:
        """The repository around the working directory in which nothing is saved: another user's."""
        folder = None if self.output_dir else _repository()
        return folder if folder and not _is_own(folder) else None

    def input_folders(self) -> list[Path]:
        output_folder, here = self.output_dir or self._pictures, _project() or _working_directory()
        folders = [output_folder, here, *self.input_dirs]
        return [folder for folder in folders if folder is not None]

    def candidates(self, path: str) -> Iterator[Path]:
        """What a path in a call may mean, the likeliest first: a relative one has several."""
        meant = Path(path).expanduser()
        if meant.is_absolute():
            yield meant
            return
        for folder in (_working_directory(), _project(), self.output_dir or self._pictures):
            if folder is not None:
                yield folder / meant


def name_of(target: str) -> str:
    """The name that was asked for, of a target or of a name alone."""
    return target.rpartition(_BELOW)[2]


def _project() -> Path | None:
    """The project around the working directory: the nearest folder with a repository, if own.

    A repository around one's folder may have been put there by somebody else.
    """
    folder = _repository()
    return folder if folder and _is_own(folder) else None


def _repository() -> Path | None:
    directory = _working_directory()
    for folder in (directory, *directory.parents) if directory else ():
        # In a worktree or submodule .git is a file.
        if _is_chosen(folder) and _marks(folder):
            return folder
    return None


def _marks(folder: Path) -> list[Path]:
    return [folder / mark for mark in _REPOSITORY if (folder / mark).exists()]


def _is_own(repository: Path) -> bool:
    """Whether it is this user's, by git's rule: who became root by sudo counts as before too.

    On Windows it always is, where asking for an owner takes a library of its own.
    """
    if not hasattr(os, "geteuid"):
        return True
    user = os.geteuid()
    own = {str(user), *([os.environ["SUDO_UID"]] if user == 0 and "SUDO_UID" in os.environ else [])}
    owners = {str(path.lstat().st_uid) for path in (repository, *_marks(repository))}
    return owners <= own


def _working_directory() -> Path | None:
    """None where it says nothing of what the user works on."""
    try:
        folder = Path.cwd()
    except OSError:  # it was deleted since
        return None
    return folder if _is_chosen(folder) else None


def _is_chosen(folder: Path) -> bool:
    """Whether it is neither the user's home nor above it, where hosts start without a project."""
    try:
        home = Path.home().resolve()
    except (OSError, RuntimeError):
        return folder != folder.parent
    return not home.is_relative_to(folder.resolve())
