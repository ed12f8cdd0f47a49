"""Fetching a finished image from where RunAPI keeps it."""

import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

import anyio
import anyio.lowlevel
import httpx

from runapi_mcp.images.fetch_targets import (
    NotAtItsAddress,
    NotFetched,
    NotThereYet,
    fetch_failure,
    to_not_fetched,
)
from runapi_mcp.images.picture import LARGEST_IMAGE_BYTES
from runapi_mcp.outbound.ssrf_guard import Resolve, resolve_host
from runapi_mcp.outbound.targets import AGAIN, ELSEWHERE, Unreached, parse_url
from runapi_mcp.outbound.way_out import WayOut, read_chunks

MOST_REDIRECTS: Final = 3

Sink = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes of an image. What it raises passes through `fetch`."""
ReportBytes = Callable[[int, int | None], None]
"""Is told how many bytes came so far, and of how many, where that is known."""

_NOT_AT_ITS_ADDRESS: Final = (403, 404, 410)
_COMING: Final = (408, 425, 429, *range(500, 600))

# int() would take signs, spaces and underscores too.
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


def _ignore(so_far: int, total: int | None) -> None:
    """For who does not want to know."""


class Fetcher:
    """Fetches finished images from where RunAPI keeps them; one for the whole server."""

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = resolve_host,
    ) -> None:
        """`transport` replaces the network, which is reached only after all checks."""
        self._way_out = WayOut(base_url, transport, resolve)

    async def fetch(
        self, url: str, sink: Sink, within_seconds: float, report: ReportBytes = _ignore
    ) -> None:
        """Hand the image's bytes to the sink as they come, which may be before a failure.

        Raises:
            NotFetched: the address is not safe to go to, or no whole body came in time.
        """
        try:
            first = parse_url(url)
            with anyio.move_on_after(within_seconds):
                await self._follow(first, sink, report)
                return
        except Unreached as failure:
            raise to_not_fetched(failure) from failure
        raise fetch_failure(first, f"it did not arrive within {within_seconds:.0f} s", AGAIN)

    async def _follow(self, url: httpx.URL, sink: Sink, report: ReportBytes) -> None:
        for _ in range(MOST_REDIRECTS + 1):
            async with self._way_out.send("GET", url) as response:
                if not response.has_redirect_location:
                    await _deliver(response, url, sink, report)
                    return
                # The next round checks it like the first: a public host may point inside.
                url = parse_url(response.headers["Location"], url)
        raise fetch_failure(url, "it was redirected too often", ELSEWHERE)


async def _deliver(
    response: httpx.Response, url: httpx.URL, sink: Sink, report: ReportBytes
) -> None:
    _require_image(response, url)
    total = _length(response)
    _require_size(total or 0, url)  # before a byte of it is taken
    so_far = 0
    async with aclosing(read_chunks(response, url)) as chunks:
        async for chunk in chunks:
            so_far += len(chunk)
            _require_size(so_far, url)
            await sink(chunk)
            report(so_far, total)
            # Thousands of tiny chunks come in one packet, and the others wait meanwhile.
            await anyio.lowlevel.checkpoint()
    if so_far == 0 or total not in (None, so_far):
        raise fetch_failure(url, "the answer is empty or incomplete", AGAIN, NotThereYet)


def _require_image(response: httpx.Response, url: httpx.URL) -> None:
    status = response.status_code
    if status != 200:
        raise fetch_failure(url, f"HTTP {status}", AGAIN, _kind(status))
    # A few compressed bytes can unpack to more than any disk holds.
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise fetch_failure(url, "it was sent compressed, which was not asked for", ELSEWHERE)


def _kind(status: int) -> type[NotFetched]:
    if status in _NOT_AT_ITS_ADDRESS:
        return NotAtItsAddress
    return NotThereYet if status in _COMING else NotFetched


def _require_size(size_bytes: int, url: httpx.URL) -> None:
    if size_bytes > LARGEST_IMAGE_BYTES:
        largest = f"{LARGEST_IMAGE_BYTES // 1_000_000} MB"
        raise fetch_failure(url, f"it is larger than {largest}, as no image is", ELSEWHERE)


def _length(response: httpx.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if _DIGITS.fullmatch(length) else None
