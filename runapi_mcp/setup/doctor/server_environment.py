"""What one environment gives a server: settings, a key and where it is from, proxies."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.base import settings
from runapi_mcp.base.errors import KeyMissing, NotConfigured
from runapi_mcp.base.settings import Settings, config_path
from runapi_mcp.base.settings.config_file import read_config
from runapi_mcp.base.settings.keys import CONFIG_FILE, KEY_NAMES, passed_over
from runapi_mcp.setup.doctor.configured import Configured
from runapi_mcp.setup.doctor.read_values import is_odd

ASKED_FOR: Final = re.compile(r"\$\{(input|user_config)[:.]")
PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Means:
    """The means of one server."""

    environ: Mapping[str, str]
    around: Mapping[str, str]
    """The environment of whoever asks."""
    configured: Configured | None = None
    """The entry that is started; None for this program itself."""
    settings: Settings | None = None
    refusal: NotConfigured | None = None
    """Why there are no settings."""
    passed_over: tuple[KeyMissing, ...] = ()
    """What stands where a key is looked for and is none, before the first that is one."""

    @property
    def reaches(self) -> str:
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
        said = self.configured.env if self.configured else {}
        return any(ASKED_FOR.match(said.get(name, "")) for name in KEY_NAMES)

    def said_in_entry(self, name: str) -> bool:
        """Whether a variable is set by the host's file."""
        return self.configured is not None and name in self.configured.env

    def whence(self, name: str) -> str:
        """Where a variable or an entry of the config file is from, in words."""
        if self.configured is not None and self.said_in_entry(name):
            return f"{name} in {self.configured.host.title}'s file"
        return f"{name} in the environment" if name in self.environ else name

    def is_held_back(self, name: str) -> bool:
        """Whether the variable is set here and does not reach the server."""
        return bool(self.around.get(name, "").strip()) and name not in self.environ


def means_of(
    environ: Mapping[str, str], around: Mapping[str, str], configured: Configured | None = None
) -> Means:
    """What an environment gives."""
    if odd_config(environ):
        return Means(environ, around, configured)
    try:
        loaded = settings.load(environ)
    except NotConfigured as refusal:
        return Means(environ, around, configured, refusal=refusal)
    file, broken = read_config(config_path(environ))
    passed = passed_over(environ, file)
    if broken:
        passed = (KeyMissing(broken, "", CONFIG_FILE), *passed)
    return Means(environ, around, configured, loaded, passed_over=passed)


def odd_config(environ: Mapping[str, str]) -> Path | None:
    """RunAPI's config file, where it is something that whoever reads it may wait at for ever."""
    path = config_path(environ)
    return path if path and is_odd(path) else None
