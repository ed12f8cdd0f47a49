"""Where things are on a machine, told from its platform and environment, which are given."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
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


def platform_of(name: str) -> Platform:
    """The platform that `sys.platform` names."""
    return {"win32": "windows", "cygwin": "windows", "darwin": "macos"}.get(name, "linux")  # pyright: ignore[reportReturnType] - all four are literals
