"""The address of a server that runs elsewhere, as far as it may be shown."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from runapi_mcp.base.sockets import is_loopback


@dataclass(frozen=True, slots=True)
class Address:
    """An address without what may be secret in it: login, query and fragment."""

    scheme: str
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}{self.path}"

    @property
    def is_here(self) -> bool:
        """Whether it is this very machine's."""
        return is_loopback(str(self))

    @property
    def is_safe(self) -> bool:
        """Whether nobody between can read what is sent there."""
        return self.scheme == "https" or self.is_here


def address_of(url: str) -> Address | None:
    """A URL's address; None for one that nobody can connect to."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or not split.hostname:
        return None
    return Address(split.scheme, split.hostname, port, split.path)
