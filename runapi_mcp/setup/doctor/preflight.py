"""What of this process's own environment keeps it from asking anybody, so that it must not try."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, problem
from runapi_mcp.setup.doctor.read_values import is_odd
from runapi_mcp.setup.doctor.server_environment import CERTIFICATES, PROXIES

_NOBODY: Final = "no call gets anywhere, and nobody was asked"


def obstacles(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Certificates that would be waited for, and proxies that are none."""
    for name in CERTIFICATES:
        path = environ.get(name, "")
        if path and is_odd(Path(path)):
            what = f"{name} names {path}, which is not a regular file"
            yield problem("certificates", what, _NOBODY, fix_commands.unset(name))
    for name in (*PROXIES, "HTTP_PROXY", "http_proxy"):
        if not _can_be_proxy(environ.get(name, "").strip()):
            what = f"what {name} names is no proxy"
            yield problem("proxy", what, _NOBODY, fix_commands.unset(name))


def _can_be_proxy(value: str) -> bool:
    try:
        split = urlsplit(value if "://" in value else f"http://{value}")
        # Reading the port raises for one that cannot be.
        return not value or (bool(split.hostname) and split.port != 0)
    except ValueError:
        return False
