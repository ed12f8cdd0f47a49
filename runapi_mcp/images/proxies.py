"""The environment's proxies, for images: which one a URL goes through."""

import ssl
from urllib.request import getproxies, proxy_bypass

import anyio.to_thread
import httpx

from runapi_mcp.images.fetch_targets import NotFetched


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


def _unusable_proxy() -> NotFetched:
    return NotFetched(
        "The image could not be fetched: this environment's proxy is not one that can be used.",
        "Correct HTTPS_PROXY or ALL_PROXY to an address such as http://proxy.example:3128; a "
        "socks5:// one needs the package socksio.",
    )
