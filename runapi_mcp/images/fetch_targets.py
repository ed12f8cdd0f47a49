"""URLs as images are fetched from them, and the words for those that are not."""

from typing import Final

import httpx

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.redaction import excerpt
from runapi_mcp.base.sockets import LOOPBACK

MOST_QUOTED_CHARACTERS: Final = 200
ELSEWHERE: Final = "If the address is right, open it in a browser."

Origin = tuple[str, bytes, int | None]
"""Scheme, host and port; no port where it is the scheme's own."""


class NotFetched(Failure):
    """An image that could not be read from its address."""


def parse_url(address: str, base: httpx.URL | None = None) -> httpx.URL:
    """The URL, absolute, with its host in one spelling.

    Raises:
        NotFetched: it is none, or has parts that no image's address has.
    """
    try:
        url = base.join(address) if base else httpx.URL(address)
        url = url.copy_with(host=ascii_host(url).removesuffix("."), fragment=None)
    # Half an emoji is a UnicodeError, which is a ValueError, as are urllib's own in `join`.
    except (httpx.InvalidURL, ValueError) as error:
        raise NotFetched("The image's address cannot be read.", ELSEWHERE) from error
    if url.userinfo:
        raise refusal(url, "its address contains a user name")
    if url.port is not None and not 0 < url.port < 65_536:
        raise refusal(url, "its address has no possible port")
    return url


def ascii_host(url: httpx.URL) -> str:
    # `url.host` decodes punycode, and raises where that is broken.
    return url.raw_host.decode("ascii")


def origin_of(url: httpx.URL) -> Origin:
    return url.scheme, url.raw_host, url.port


def sandbox_origin(base_url: str) -> Origin | None:
    """The only origin that is reached by plain http, if RunAPI is on this very machine."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return None
    return origin_of(url) if url.scheme == "http" and ascii_host(url) in LOOPBACK else None


def refusal(url: httpx.URL, reason: str) -> NotFetched:
    """The failure of a URL that is not gone to."""
    return NotFetched(f"No image is fetched from {_quotable_host(url)}: {reason}.", ELSEWHERE)


def fetch_failure(url: httpx.URL, reason: str, advice: str) -> NotFetched:
    """The failure of a URL that was gone to, in vain."""
    happened = f"The image could not be fetched from {_quotable_host(url)}: {reason}."
    return NotFetched(happened, advice)


def _quotable_host(url: httpx.URL) -> str:
    """The host alone: whoever has a signed address whole can fetch the image."""
    return excerpt(ascii_host(url), MOST_QUOTED_CHARACTERS) or "its address"
