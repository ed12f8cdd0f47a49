"""Whose key pays for a request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from runapi_mcp.base.errors import KeyMissing
from runapi_mcp.base.request_secrets import add_secret
from runapi_mcp.base.settings import KEY_PAGE, Key, parse_key
from runapi_mcp.server.client_capabilities import Context


@dataclass(frozen=True, slots=True)
class Keys:
    own: Key
    """The server's own, where `look` does not find it anew."""
    http: Literal["brought", "brought or own", "own"] = "brought"
    """Which key pays for a request over HTTP."""
    look: Callable[[], Key] | None = None
    """Finds the server's own key at every request, so that a login needs no restart."""

    def of(self, context: Context) -> Key:
        key = self._find(context)
        if key.secret is not None:
            # A login may have brought it after the start.
            add_secret(key.reveal())
        return key

    def are_own(self, context: Context) -> bool:
        """Whether this server's own keys pay for a request."""
        if context.request is None or self.http == "own":
            return True
        return self.http == "brought or own" and not _authorization(context)

    def _find(self, context: Context) -> Key:
        return self._own() if self.are_own(context) else brought_key(_authorization(context))

    def _own(self) -> Key:
        return self.own if self.look is None else self.look()


def _authorization(context: Context) -> str:
    request = context.request
    return "" if request is None else str(request.headers.get("authorization", "")).strip()


def brought_key(authorization: str) -> Key:
    """The key in an Authorization header, or why there is none."""
    scheme, _, value = authorization.strip().partition(" ")
    brought = parse_key(value, "the Authorization header")
    return brought if scheme.lower() == "bearer" and brought.secret else _NO_KEY_SENT


_NO_KEY_SENT: Final = Key(
    None,
    KeyMissing(
        "The request carries no RunAPI API key.",
        f"Create one at {KEY_PAGE} and send it as the header Authorization: Bearer KEY.",
    ),
)
