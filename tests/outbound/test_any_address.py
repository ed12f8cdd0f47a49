"""Whatever an address is made of, it is read or refused; and what may be gone to is public."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import anyio
import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from runapi_mcp.outbound.ssrf_guard import NotFound, NotPublic, resolve_public_host
from runapi_mcp.outbound.targets import (
    Barred,
    ascii_host,
    parse_url,
    require_allowed,
    sandbox_origin,
)

SCHEMES = ["https:", "http:", "HTTPS:", "file:", "ftp:", "", " https:", "https", "https:\n"]
HOSTS = [
    "cdn.example", "93.184.215.14", "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]",
    "[2606:2800:220:1::1]", "[fe80::1%25eth0]", "0x7f.1", "2130706433", "127.1", "xn--a.example",
    "①②⑦.⓪.⓪.①", "cdn.example.", "metadata.internal", "CDN.Example", "ünï.example", "[v1.a]", "%6c",
]  # fmt: skip
PARTS = ["//", "/", "\\", "@", ":", "443", "0", "65536", "#", "?", "%2f", "%00", "a", ";", "..", ""]
ADDRESSES = st.lists(
    st.sampled_from([*SCHEMES, *HOSTS, *PARTS]) | st.text(max_size=3), max_size=10
).map("".join)
USUAL = st.builds(
    "{}//{}{}{}".format, *map(st.sampled_from, (SCHEMES, ["", "a@", "a:b@"], HOSTS, PARTS))
)
V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6) | st.ip_addresses(v=6, network="2000::/3")


def read(address: str) -> httpx.URL | None:
    """The address where it may be gone to; no other error than a refusal."""
    try:
        url = parse_url(address)
        require_allowed(url, None)
    except Barred:
        return None
    return url


@given(address=ADDRESSES | USUAL | st.text())
@settings(max_examples=500)
def test_what_may_be_gone_to_is_read_alike_by_others(address: str) -> None:
    url = read(address)
    if url is None:
        return
    assert read(str(url)) == url
    other = urlsplit(str(url))
    assert (other.scheme, other.username, other.password) == ("https", None, None)
    assert (other.hostname, other.port or 443) == (ascii_host(url), url.port or 443)


@given(base_url=ADDRESSES | USUAL | st.text(), address=ADDRESSES | USUAL)
def test_only_this_machine_is_a_sandbox_and_only_itself_is_let_off(
    base_url: str, address: str
) -> None:
    sandbox = sandbox_origin(base_url)
    try:
        url = parse_url(address)
        require_allowed(url, sandbox)
    except Barred:
        return
    if url.scheme == "http":
        assert sandbox is not None
        assert ascii_host(url) in ("127.0.0.1", "localhost", "::1")


@given(
    host=st.sampled_from(HOSTS) | st.text(max_size=20) | V4.map(str) | V6.map(str),
    found=st.lists(V4.map(str) | V6.map(str) | st.sampled_from(HOSTS), max_size=3),
)
@settings(max_examples=300)
def test_a_host_is_at_public_addresses_alone_whatever_is_found(
    host: str, found: Sequence[str]
) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return found

    try:
        addresses = anyio.run(resolve_public_host, host, 443, resolve)
    except (NotPublic, NotFound):
        return
    assert addresses
    for address in addresses:
        inner = ip_address(address.packed[-4:]) if is_wrapped(str(address)) else address
        assert inner.is_global


def is_wrapped(address: str) -> bool:
    """Whether it says an IPv4 address in IPv6."""
    parsed = ip_address(address)
    return isinstance(parsed, IPv6Address) and parsed.packed[:12] in (
        bytes(10) + b"\xff\xff",
        b"\0\x64\xff\x9b" + bytes(8),
    )
