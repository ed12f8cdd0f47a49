"""Which hosts are on the public internet, and where. Knows nothing of HTTP."""

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import anyio

RESOLVE_SECONDS: Final = 5.0

IPAddress = IPv4Address | IPv6Address

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, for a port; OSError where there are none."""

# Written out, because what `ipaddress` calls global differs between Python's versions.
_NOT_PUBLIC_V4: Final = (
    IPv4Network("0.0.0.0/8"),  # this network; 0.0.0.0 reaches this machine
    IPv4Network("10.0.0.0/8"),  # private
    IPv4Network("100.64.0.0/10"),  # behind a provider's NAT
    IPv4Network("127.0.0.0/8"),  # loopback
    IPv4Network("168.63.129.16/32"),  # Azure's host, public by its number only
    IPv4Network("169.254.0.0/16"),  # link-local, with the clouds' metadata
    IPv4Network("172.16.0.0/12"),  # private
    IPv4Network("192.0.0.0/24"),  # protocols
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("192.168.0.0/16"),  # private
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, and broadcast
)
# Outside it are ::, ::1, IPv4-compatible, local NAT64, unique and link-local ones, multicast.
_UNICAST_V6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = (
    IPv6Network("2001::/23"),  # protocols, with Teredo's tunnels to any IPv4 address
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4's tunnels to any IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)
_IPV4_AT_THE_END: Final = (
    IPv6Network("::ffff:0:0/96"),  # mapped
    IPv6Network("64:ff9b::/96"),  # NAT64: how a network without IPv4 reaches all of it
)

_NAME: Final = re.compile(r"(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_ENDS_IN_A_NUMBER: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_PRIVATE_TOPS: Final = frozenset(
    {"arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost"}
    | {"onion", "private"}
)


class NotPublic(Exception):
    """A host that is not on the public internet, or that is spelled to look as if it were."""


class NotFound(Exception):
    """A name that is not found from here."""


async def resolve_host(host: str, port: int) -> Sequence[str]:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [sockaddr[0] for *_, sockaddr in found]


def may_be_public(host: str) -> bool:
    """Whether a host can be on the public internet, as far as it says itself."""
    literal = _parse_address(host)
    return is_public(literal) if literal else _is_public_name(host)


async def resolve_public_host(host: str, port: int, resolve: Resolve) -> Sequence[IPAddress]:
    """Where the host is: at least one address, every one public.

    Raises:
        NotPublic: an address is not, or the host is spelled as only an attack would.
        NotFound: a proper name, but no address is known.
    """
    literal = _parse_address(host)
    addresses = [literal] if literal else await _resolve_name(host, port, resolve)
    # One private address among public ones is how a name is rebound to a network from inside.
    public = [address for address in addresses if address and is_public(address)]
    if len(public) < len(addresses):
        raise NotPublic
    # A network whose IPv6 leads nowhere is more common than one whose IPv4 does.
    return sorted(dict.fromkeys(public), key=lambda address: address.version)


def is_public(address: IPAddress) -> bool:
    """Whether the address is one of the public internet, with no way on to another one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    # fe80::1%eth0: a scope is of one link of this machine.
    if address.scope_id is not None:
        return False
    if any(address in network for network in _IPV4_AT_THE_END):
        return is_public(IPv4Address(address.packed[-4:]))
    return address in _UNICAST_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def _parse_address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


async def _resolve_name(host: str, port: int, resolve: Resolve) -> Sequence[IPAddress | None]:
    if not _is_public_name(host):
        raise NotPublic
    try:
        with anyio.fail_after(RESOLVE_SECONDS):
            found = await resolve(host, port)
    except OSError as error:  # a TimeoutError is one
        raise NotFound from error
    if not found:
        raise NotFound
    return [_parse_address(text) for text in found]


def _is_public_name(host: str) -> bool:
    """Whether the name can be one of the public internet, as far as its letters tell.

    Resolvers take 0x7f.1, 2130706433 and 017700000001 for 127.0.0.1, so numbers are no names. A
    proxy that looks names up is only kept from its own network by what is refused here.
    """
    if _ENDS_IN_A_NUMBER.fullmatch(host) or not _NAME.fullmatch(host):
        return False
    return host.rpartition(".")[2] not in _PRIVATE_TOPS
