"""URLs that others named, the proxies on the way to them, and why one was not reached."""

import ssl
from typing import Final
from urllib.request import getproxies, proxy_bypass

import anyio.to_thread
import httpx

from runapi_mcp.base.redaction import excerpt
from runapi_mcp.base.urls import LOOPBACK
from runapi_mcp.outbound.ssrf_guard import may_be_public

MOST_QUOTED_CHARACTERS: Final = 200
NOT_PUBLIC: Final = "it is not on the public internet"
ELSEWHERE: Final = "If the address is right, open it in a browser."
AGAIN: Final = "Try again in a minute."

Origin = tuple[str, bytes, int | None]
"""Scheme, host and port; no port where it is the scheme's own."""


class Unreached(Exception):
    """An address that was not reached. Its words fit behind a colon, without the address."""

    def __init__(self, reason: str, advice: str, url: httpx.URL | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.host = quotable_host(url) if url else ""
        """The host alone: whoever has a signed address whole can use it. Empty where it is not the
        address that was the trouble."""


class Barred(Unreached):
    """An address that is not gone to."""


class BrokenOff(Unreached):
    """One that another try may reach."""


def parse_url(address: str, base: httpx.URL | None = None) -> httpx.URL:
    """The URL, absolute, with its host in one spelling.

    Raises:
        Barred: it is none, or has parts that no address of a file has.
    """
    try:
        url = base.join(address) if base else httpx.URL(address)
        url = url.copy_with(host=ascii_host(url).removesuffix("."), fragment=None)
    # Half an emoji is a UnicodeError, which is a ValueError, as are urllib's own in `join`.
    except (httpx.InvalidURL, ValueError) as error:
        raise Barred("the address cannot be read", ELSEWHERE) from error
    if url.userinfo:
        raise Barred("its address contains a user name", ELSEWHERE, url)
    if url.port is not None and not 0 < url.port < 65_536:
        raise Barred("its address has no possible port", ELSEWHERE, url)
    return url


def ascii_host(url: httpx.URL) -> str:
    # `url.host` decodes punycode, and raises where that is broken.
    return url.raw_host.decode("ascii")


def quotable_host(url: httpx.URL) -> str:
    return excerpt(ascii_host(url), MOST_QUOTED_CHARACTERS)


def origin_of(url: httpx.URL) -> Origin:
    return url.scheme, url.raw_host, url.port


def sandbox_origin(base_url: str) -> Origin | None:
    """The only origin that is reached by plain http, if RunAPI is on this very machine."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return None
    return origin_of(url) if url.scheme == "http" and ascii_host(url) in LOOPBACK else None


def require_allowed(url: httpx.URL, sandbox: Origin | None) -> None:
    """Nothing, where the URL can be gone to as far as it says itself.

    Raises:
        Barred: it cannot.
    """
    if origin_of(url) == sandbox:
        return
    if url.scheme != "https":
        raise Barred("its address is not https", ELSEWHERE, url)
    if not may_be_public(ascii_host(url)):
        raise Barred(NOT_PUBLIC, ELSEWHERE, url)


async def proxy_for(url: httpx.URL) -> str | None:
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    # In a thread, because the exceptions of macOS and Windows may look names up.
    if not proxy or await anyio.to_thread.run_sync(proxy_bypass, url.netloc.decode("ascii")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def parse_proxy(address: str, trust: ssl.SSLContext | None) -> httpx.Proxy:
    """The proxy that is at this address, whose password must not be quoted."""
    try:
        proxy = httpx.Proxy(address)
    except (httpx.InvalidURL, ValueError) as error:
        raise _unusable_proxy() from error
    if not proxy.url.raw_host or (proxy.url.port or 0) not in range(65_536):
        raise _unusable_proxy()
    if proxy.url.scheme == "https":
        # Else httpcore loads certificates for it, on the event loop.
        proxy.ssl_context = trust
    return proxy


def open_transport(
    trust: ssl.SSLContext | None, proxy: httpx.Proxy | None
) -> httpx.AsyncHTTPTransport:
    try:
        # Without certificates to load, a context takes no time.
        return httpx.AsyncHTTPTransport(verify=trust or False, proxy=proxy)
    except ImportError as error:
        raise _unusable_proxy() from error


def _unusable_proxy() -> Unreached:
    return Unreached(
        "this environment's proxy is not one that can be used",
        "Correct HTTPS_PROXY or ALL_PROXY to an address such as http://proxy.example:3128; a "
        "socks5:// one needs the package socksio.",
    )
