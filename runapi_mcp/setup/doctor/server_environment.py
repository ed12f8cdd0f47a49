"""What one environment gives a server: settings, a key and where it is from, proxies."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.base import settings
from runapi_mcp.base.errors import KeyMissing, NotConfigured
from runapi_mcp.base.hosts.launch_environment import has_reference
from runapi_mcp.base.settings import Settings, config_path, read_config
from runapi_mcp.base.settings.keys import CONFIG_FILE, KEY_NAMES, passed_over
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry, is_odd

ASKED_FOR: Final = re.compile(r"\$\{(input|user_config)[:.]")
PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class ServerEnvironment:
    """The environment of one server, as the server reads it."""

    environ: Mapping[str, str]
    around: Mapping[str, str]
    """The environment of whoever asks."""
    entry: ConfigEntry | None = None
    """The entry that is started; None for this program itself."""
    settings: Settings | None = None
    refusal: NotConfigured | None = None
    """Why there are no settings."""
    passed_over: tuple[KeyMissing, ...] = ()
    """What stands where a key is looked for and is none, before the first that is one."""

    @property
    def base_url(self) -> str:
        """RunAPI's address; empty for the sandbox, or where none is known."""
        known = self.settings
        return "" if known is None or known.sandbox else known.base_url

    @property
    def key(self) -> str:
        known = self.settings
        return known.key.secret.get_secret_value() if known and known.key.secret else ""

    @property
    def is_asked_for(self) -> bool:
        """Whether the host itself asks its person for the key, which nobody else then knows."""
        env = self.entry.env if self.entry else {}
        return any(ASKED_FOR.match(env.get(name, "")) for name in KEY_NAMES)

    @property
    def is_left_to_host(self) -> bool:
        """Whether a project's file names a variable for the key, which is not looked up."""
        entry = self.entry
        if entry is None or not entry.is_of_project or self.key:
            return False
        return any(has_reference(entry.env.get(name, ""), entry.host) for name in KEY_NAMES)

    def is_of_entry(self, name: str) -> bool:
        """Whether a variable is set by the host's file."""
        return self.entry is not None and name in self.entry.env

    def is_held_back(self, name: str) -> bool:
        """Whether the variable is set here and does not reach the server."""
        return bool(self.around.get(name, "").strip()) and name not in self.environ

    def source_of(self, name: str) -> str:
        """Where a variable or an entry of the config file is from, in words."""
        if self.entry is not None and self.is_of_entry(name):
            return f"{name} in {self.entry.host.title}'s file"
        return f"{name} in the environment" if name in self.environ else name

    def unset_command(self, name: str) -> str:
        """What takes a variable away, where it is set."""
        if self.entry is not None and self.is_of_entry(name):
            return fix_commands.rewrite(self.entry)
        return f"unset {name}"


def read_environment(
    environ: Mapping[str, str], around: Mapping[str, str], entry: ConfigEntry | None = None
) -> ServerEnvironment:
    """What a server started with an environment makes of it."""
    if odd_config(environ):
        return ServerEnvironment(environ, around, entry)
    try:
        loaded = settings.load(environ)
    except NotConfigured as refusal:
        return ServerEnvironment(environ, around, entry, refusal=refusal)
    file, broken = read_config(config_path(environ))
    passed = passed_over(environ, file)
    if broken:
        passed = (KeyMissing(broken, "", CONFIG_FILE), *passed)
    return ServerEnvironment(environ, around, entry, loaded, passed_over=passed)


def held_back_text(entry: ConfigEntry, name: str) -> str:
    return f"{name} is set in this shell, and {entry.host.title} does not hand it on"


def odd_config(environ: Mapping[str, str]) -> Path | None:
    """RunAPI's config file, where it is something that whoever reads it may wait at for ever."""
    path = config_path(environ)
    return path if path and is_odd(path) else None
