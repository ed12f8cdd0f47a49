"""What the head of a request must be: for a name of this server, and said once."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.urls import LOOPBACK
from runapi_mcp.transports.paths import PROBED_PATHS, PUBLIC_PATHS

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^][:@/]+)(?::([0-9]{1,5}))?")
_ONCE: Final = (
    "authorization",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
)
"""Of two, one program on the way may believe the first, and the next one the last."""


class HeadCheck:
    """Lets through what is for this server, which keeps pages of other names out (DNS rebinding).

    `allowed_hosts` are the names it answers to besides those of this machine.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        loopback = (f"[{name}]" if ":" in name else name for name in LOOPBACK)
        # Browsers and clients write names in lower case, whatever was typed here.
        self._names = frozenset({*loopback, *(name.lower() for name in allowed_hosts)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] == "http"
        refusal = self._refusal(Headers(scope=scope), scope["path"]) if is_request else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> Response | None:
        for name in _ONCE:
            if len(headers.getlist(name)) > 1:
                return PlainTextResponse(f"More than one {name} header", 400)
        if path in PROBED_PATHS:
            return None
        if not _is_among(self._names, headers.get("host", "")):
            return PlainTextResponse(
                "Invalid Host header: this server does not answer to that name. Whoever runs it "
                "allows a name with --allow-host NAME.",
                421,
            )
        origin = headers.get("origin")
        if origin is not None and path not in PUBLIC_PATHS and not self._is_own_page(origin):
            return PlainTextResponse(
                "Invalid Origin header: pages of other sites may not use this server. Whoever runs "
                "it allows a site with --allow-host NAME.",
                403,
            )
        return None

    def _is_own_page(self, origin: str) -> bool:
        scheme, _, authority = origin.partition("://")
        return scheme in ("http", "https") and _is_among(self._names, authority)


def _is_among(names: Collection[str], authority: str) -> bool:
    """Whether it is one of the names, with any port or with the one that stands in the name."""
    authority = authority.lower()
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return False
    name, port = match.groups()
    return (name in names or authority in names) and 1 <= int(port or 1) <= 65_535
