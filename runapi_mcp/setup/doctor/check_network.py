"""The way to RunAPI, judged: network, proxy, certificates, clock."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.base.errors import Failure, NotConfigured, RateLimited, Unreachable
from runapi_mcp.base.settings import DEFAULT_BASE_URL
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, fine, of_entry, problem, warning
from runapi_mcp.setup.doctor.mcp_config import is_odd
from runapi_mcp.setup.doctor.runapi_probe import RunapiAnswer
from runapi_mcp.setup.doctor.server_environment import (
    CERTIFICATES,
    PROXIES,
    ServerEnvironment,
    held_back_text,
)
from runapi_mcp.setup.install.host_file import is_there

WARN_SECONDS: Final = 60
WRONG_SECONDS: Final = 300
_NOTHING: Final = "no call gets anywhere"


def check_own_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What keeps this process from asking anybody: certificates that would be waited for, proxies
    that are none."""
    nobody = f"{_NOTHING}, and nobody was asked"
    for name in CERTIFICATES:
        path = environ.get(name, "")
        if path and is_odd(Path(path)):
            what = f"{name} names {path}, which is not a regular file"
            yield problem("certificates", what, nobody, f"unset {name}")
    for name in (*PROXIES, "HTTP_PROXY", "http_proxy"):
        if not _can_be_proxy(environ.get(name, "").strip()):
            what = f"what {name} names is no proxy"
            yield problem("proxy", what, nobody, f"unset {name}")


def _can_be_proxy(value: str) -> bool:
    try:
        split = urlsplit(value if "://" in value else f"http://{value}")
        # Reading the port raises for one that cannot be.
        return not value or (bool(split.hostname) and split.port != 0)
    except ValueError:
        return False


def check_way(server: ServerEnvironment) -> Iterator[Finding]:
    """What of the way the environment alone tells."""
    for name in CERTIFICATES:
        path = server.environ.get(name, "")
        if path and not is_there(Path(path)):
            what = f"{name} names {path}, which is not there"
            yield problem("certificates", what, _NOTHING, server.unset_command(name))
    address = server.base_url
    if not address or is_loopback(address):
        return
    if address.startswith("http:"):
        what = f"{address} is not https, and the key is not sent there"
        yield problem("address", what, _NOTHING, server.unset_command("RUNAPI_BASE_URL"))
    held_back = next((name for name in PROXIES if server.is_held_back(name)), None)
    if server.entry and held_back:
        what = held_back_text(server.entry, held_back)
        mend = fix_commands.hand_on(server.entry, held_back)
        yield of_entry(warning("proxy", what, "its server may reach nothing without", mend))


def check_answer(server: ServerEnvironment, answer: RunapiAnswer) -> Iterator[Finding]:
    if answer.unreached is None:
        yield fine("network", f"{server.base_url} answers in {answer.seconds:.1f} s")
        yield from _check_clock(answer.ahead_seconds or 0)
    elif not isinstance(answer.unreached, RateLimited):
        check, what, mend = _cause(server, answer.unreached)
        yield problem(check, what, _NOTHING, mend)


def _check_clock(ahead_seconds: float) -> Iterator[Finding]:
    off = abs(ahead_seconds)
    if off < WARN_SECONDS:
        return
    way = "ahead of" if ahead_seconds > 0 else "behind"
    what = f"this machine's clock is {_span(off)} {way} RunAPI's"
    why = "links expire at the wrong time, and so does the day's budget"
    judge = problem if off >= WRONG_SECONDS else warning
    yield judge("clock", what, why, fix_commands.set_clock())


def _span(seconds: float) -> str:
    for unit, size in ("days", 86_400), ("hours", 3_600), ("minutes", 60):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _cause(server: ServerEnvironment, failure: Failure) -> tuple[str, str, str]:
    """Why RunAPI was not reached: the check, what is wrong, and what mends it."""
    address, causes = server.base_url, [*_causes(failure)]
    proxies = () if is_loopback(address) else PROXIES
    proxy = next((name for name in proxies if server.around.get(name, "").strip()), "")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        named = next((name for name in CERTIFICATES if server.around.get(name)), "")
        mend = server.unset_command(named) if named else "export SSL_CERT_FILE=/path/to/your/ca.pem"
        return "certificates", f"the certificate of {address} is not trusted here", mend
    if proxy and isinstance(failure, Unreachable | NotConfigured):
        what = f"{address} is not reached through the proxy that {proxy} names"
        return "proxy", what, server.unset_command(proxy)
    is_default = address == DEFAULT_BASE_URL
    mend = f"curl -I {address}" if is_default else server.unset_command("RUNAPI_BASE_URL")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        name = urlsplit(address).hostname or address
        return "network", f"{name} does not resolve (DNS)", mend
    if isinstance(failure, Unreachable):
        return "network", f"{address} does not answer", mend
    return "network", failure.happened.rstrip("."), mend


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
