"""Where things are on a machine, told from its platform and environment, which are given."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Literal

from runapi_mcp.base.errors import NotConfigured

Platform = Literal["linux", "macos", "windows"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A platform, its environment variables, and the directory to work in."""

    platform: Platform
    environ: Mapping[str, str]
    directory: str

    def path(self, *parts: str) -> PurePath:
        return PureWindowsPath(*parts) if self.platform == "windows" else PurePosixPath(*parts)

    def locate(self, template: str) -> PurePath:
        """A path whose first part may be `{home}`, `{config}` or `{support}`."""
        first, _, rest = template.partition("/")
        return self._base(first).joinpath(*filter(None, rest.split("/")))

    def has_program(self, name: str) -> bool:
        return shutil.which(name, path=self.environ.get("PATH", "")) is not None

    def is_in_project(self, path: str) -> bool:
        """Whether a path really lies in the directory to work in, whose owner may be anybody.

        A user's home, and what is above it, is nobody else's.
        """
        home = self.environ.get("USERPROFILE" if self.platform == "windows" else "HOME", "")
        is_own = bool(home) and _lies_in(home, self.directory)
        return not is_own and _lies_in(path, self.directory)

    def safe_path(self, path: str) -> str:
        """A PATH without what lies in the project, or elsewhere in each directory."""
        parts = path.split(os.pathsep)
        kept = (part for part in parts if self.path(part).is_absolute())
        return os.pathsep.join(part for part in kept if not self.is_in_project(part))

    def find_program(self, name: str, path: str) -> str | None:
        """Where a PATH has a program that the project did not bring along."""
        found = shutil.which(name, path=self.safe_path(path) or os.devnull)
        # Windows looks into the working directory first, whatever the PATH.
        return None if found is None or self.is_in_project(found) else found

    def _base(self, name: str) -> PurePath:
        match name, self.platform:
            case "{home}", _:
                return self._home()
            case "{support}", "macos":
                return self._home() / "Library" / "Application Support"
            case "{support}", "windows":
                return self._given("APPDATA") or self._home() / "AppData" / "Roaming"
            case (("{config}" | "{support}"), _):
                return self._given("XDG_CONFIG_HOME") or self._home() / ".config"
            case _:
                return self.path(name)

    def _given(self, variable: str) -> PurePath | None:
        # A relative one is not to be used, says the XDG specification.
        path = self.path(self.environ.get(variable, "").strip())
        return path if path.is_absolute() else None

    def _home(self) -> PurePath:
        names = ("USERPROFILE", "HOME") if self.platform == "windows" else ("HOME",)
        home = next(filter(None, (self.environ.get(name) for name in names)), None)
        if home is None:
            raise NotConfigured("Your home directory is not known.", f"Set {names[0]}.")
        return self.path(home)


def _lies_in(path: str, directory: str) -> bool:
    real = Path(os.path.realpath(path))
    return any(_is_same(folder, directory) for folder in (real, *real.parents))


def _is_same(folder: Path, directory: str) -> bool:
    try:
        return folder.samefile(directory)
    except OSError:
        return False


def platform_of(name: str) -> Platform:
    """The platform that `sys.platform` names."""
    return {"win32": "windows", "cygwin": "windows", "darwin": "macos"}.get(name, "linux")  # pyright: ignore[reportReturnType] - all four are literals
