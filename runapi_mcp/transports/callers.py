"""Who calls over HTTP: a key, or without one an address. Limits are counted by that."""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.types import Scope

from runapi_mcp.base.urls import LOOPBACK
from runapi_mcp.server.request_keys import brought_key

_SITE_BITS: Final = 64
"""Who has one IPv6 address has all that begin with the same bits."""


@dataclass(frozen=True, slots=True)
class HttpCaller:
    id: str
    has_key: bool
    address: str

    @property
    def is_here(self) -> bool:
        """Whether it is on this very machine, as far as the connection tells."""
        return self.address in LOOPBACK


def caller_of(scope: Scope) -> HttpCaller:
    authorization = Headers(scope=scope).get("authorization", "")
    address = site_of((scope.get("client") or ("",))[0])
    if brought_key(authorization).secret is None:
        return HttpCaller(address, has_key=False, address=address)
    digest = hashlib.sha256(authorization.encode()).hexdigest()
    return HttpCaller(digest, has_key=True, address=address)


def site_of(address: str) -> str:
    """The address, or what all addresses of one IPv6 site have in common."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address) or parsed.is_loopback:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> _SITE_BITS << _SITE_BITS))


def user_of(caller: HttpCaller) -> AuthenticatedUser:
    """Tells the SDK whose a request is, so that a session serves only the key that opened it."""
    # The key itself stays in its header.
    token = AccessToken(token=caller.id, client_id=caller.id, scopes=[])
    return AuthenticatedUser(token)
