"""The addresses of the HTTP side, and how those that clients and proxies write become them."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

MCP_PATH: Final = "/mcp"
SSE_PATH: Final = "/sse"
MESSAGES_PATH: Final = "/messages/"
HEALTH_PATH: Final = "/healthz"
LIVE_PATH: Final = "/livez"
READY_PATH: Final = "/readyz"
CARD_PATH: Final = f"{MCP_PATH}/server-card"
CATALOG_PATH: Final = "/.well-known/mcp/catalog.json"
PUBLIC_PATHS: Final = frozenset({CARD_PATH, CATALOG_PATH})
"""What any page may read: they are for whoever looks for servers, and have no secrets."""

PROBED_PATHS: Final = frozenset({LIVE_PATH, READY_PATH})
"""What balancers ask, by whatever name they know the machine."""

_WITH_SLASH: Final = {f"{path}/": path for path in (MCP_PATH, SSE_PATH, HEALTH_PATH, CARD_PATH)}


class PathMiddleware:
    """Takes the prefix and a last slash away, whichever a proxy or a client left.

    A redirect would cost a client its key, its body or its patience: many follow none.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            inner = self._without_prefix(scope["path"])
            scope = {**scope, "path": _WITH_SLASH.get(inner, inner), "root_path": self._root_path}
        await self._app(scope, receive, send)

    def _without_prefix(self, path: str) -> str:
        if path == self._root_path:
            return "/"
        return (
            path.removeprefix(self._root_path) if path.startswith(f"{self._root_path}/") else path
        )
