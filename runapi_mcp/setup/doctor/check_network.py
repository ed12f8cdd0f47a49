"""The way to RunAPI, judged: network, proxy, certificates, clock."""

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runapi_mcp.base.errors import Failure, NotConfigured, RateLimited, Unreachable
from runapi_mcp.base.settings import DEFAULT_BASE_URL
from runapi_mcp.base.sockets import is_loopback
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, fine, of_entry, problem, warning
from runapi_mcp.setup.doctor.runapi_probe import Reached
from runapi_mcp.setup.doctor.server_environment import CERTIFICATES, PROXIES, Means
from runapi_mcp.setup.install.host_file import is_there

WARN_SECONDS: Final = 60
WRONG_SECONDS: Final = 300
_NOTHING: Final = "no call gets anywhere"


def way_findings(means: Means) -> Iterator[Finding]:
    """What of the way the environment alone tells."""
    yield from _certificates(means)
    yield from _unencrypted(means)
    if not means.reaches or is_loopback(means.reaches):
        return
    for name in PROXIES:
        if means.configured and means.is_held_back(name):
            host = means.configured.host
            what = f"{name} is set in this shell, and {host.title} does not hand it on"
            mend = fix_commands.handed_on(means.configured, name)
            yield of_entry(warning("proxy", what, "its server may reach nothing without", mend))
            return


def reached_findings(means: Means, answer: Reached) -> Iterator[Finding]:
    """How RunAPI answered."""
    if answer.failure is None:
        yield fine("network", f"{means.reaches} answers in {answer.seconds:.1f} s")
        yield from _clock(answer.ahead_seconds)
    elif not isinstance(answer.failure, RateLimited):
        yield _unreached(means, answer.failure)


def _clock(ahead_seconds: float | None) -> Iterator[Finding]:
    if ahead_seconds is None or abs(ahead_seconds) < WARN_SECONDS:
        return
    way = "ahead of" if ahead_seconds > 0 else "behind"
    what = f"this machine's clock is {_span(abs(ahead_seconds))} {way} RunAPI's"
    judge = problem if abs(ahead_seconds) >= WRONG_SECONDS else warning
    why = "links expire at the wrong time, and so does the day's budget"
    yield judge("clock", what, why, fix_commands.set_clock())


def _span(seconds: float) -> str:
    for unit, size in ("days", 86_400), ("hours", 3_600), ("minutes", 60):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _unreached(means: Means, failure: Failure) -> Finding:
    proxy = _proxy(means)
    causes = list(_causes(failure))
    address = means.reaches
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        what = f"the certificate of {address} is not trusted here"
        return problem("certificates", what, _NOTHING, _trusting(means))
    if proxy and isinstance(failure, Unreachable | NotConfigured):
        what = f"{address} is not reached through the proxy that {proxy} names"
        return problem("proxy", what, _NOTHING, _without(means, proxy))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        what = f"the name in {address} is not found"
        return problem("network", what, _NOTHING, _readdressing(means))
    if isinstance(failure, Unreachable):
        what = f"{address} does not answer"
        return problem("network", what, _NOTHING, _readdressing(means))
    what = _HIDDEN_LOGIN.sub("//", failure.happened.rstrip("."))
    return problem("network", what, _NOTHING, _readdressing(means))


_HIDDEN_LOGIN: Final = re.compile(r"//[^/@\s]+@")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _proxy(means: Means) -> str:
    """The variable whose proxy the request went through."""
    if is_loopback(means.reaches):
        return ""
    return next((name for name in PROXIES if means.around.get(name, "").strip()), "")


def _trusting(means: Means) -> str:
    named = next((name for name in CERTIFICATES if means.around.get(name)), "")
    return _without(means, named) if named else "export SSL_CERT_FILE=/path/to/your/ca.pem"


def _readdressing(means: Means) -> str:
    """What leads back to RunAPI's own address, or looks whether there is a way to it."""
    if means.reaches != DEFAULT_BASE_URL:
        return _without(means, "RUNAPI_BASE_URL")
    return f"curl -I {DEFAULT_BASE_URL}"


def _without(means: Means, name: str) -> str:
    if means.configured and means.said_in_entry(name):
        return fix_commands.rewritten(means.configured)
    return fix_commands.unset(name)


def _certificates(means: Means) -> Iterator[Finding]:
    for name in CERTIFICATES:
        path = means.environ.get(name, "")
        if path and not is_there(Path(path)):
            what = f"{name} names {path}, which is not there"
            yield problem("certificates", what, _NOTHING, _without(means, name))


def _unencrypted(means: Means) -> Iterator[Finding]:
    address = means.reaches
    if address.startswith("http:") and not is_loopback(address):
        what = f"{address} is not https, and the key is not sent there"
        yield problem("address", what, _NOTHING, _without(means, "RUNAPI_BASE_URL"))
