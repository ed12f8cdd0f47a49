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

    def _find(self, context: Context) -> Key:
        if context.request is None or self.http == "own":
            return self._own()
        authorization = str(context.request.headers.get("authorization", "")).strip()
        if not authorization and self.http == "brought or own":
            return self._own()
        return brought_key(authorization)

    def _own(self) -> Key:
        return self.own if self.look is None else self.look()


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
