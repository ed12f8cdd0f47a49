"""Fetching a finished image from where RunAPI keeps it, and from nowhere else in any network.

Requests go to the transport itself, without an httpx client: no cookie, netrc, proxy or redirect of
the client's own can come in between, and no log line names a signed address.
"""

import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx

from runapi_mcp import __version__
from runapi_mcp.base.redaction import excerpt
from runapi_mcp.images.fetch_targets import (
    ELSEWHERE,
    MOST_QUOTED_CHARACTERS,
    NOT_PUBLIC,
    NotAtItsAddress,
    NotFetched,
    NotThereYet,
    ascii_host,
    fetch_failure,
    open_transport,
    origin_of,
    parse_proxy,
    parse_url,
    proxy_for,
    refusal,
    require_fetchable,
    sandbox_origin,
)
from runapi_mcp.images.picture import LARGEST_IMAGE_BYTES
from runapi_mcp.images.ssrf_guard import (
    IPAddress,
    NotFound,
    NotPublic,
    Resolve,
    resolve_host,
    resolve_public_host,
)

MOST_REDIRECTS: Final = 3
_CONNECT_SECONDS: Final = 5.0

Sink = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes of an image. What it raises passes through `fetch`."""
ReportBytes = Callable[[int, int | None], None]
"""Is told how many bytes came so far, and of how many, where that is known."""

_AGAIN: Final = "Try again in a minute."
_NOT_AT_ITS_ADDRESS: Final = (403, 404, 410)
_COMING: Final = (408, 425, 429, *range(500, 600))

_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": f"runapi-mcp/{__version__}",
}
# int() would take signs, spaces and underscores too.
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_BROKEN: Final = (
    httpx.HTTPError,
    ssl.SSLError,  # httpcore lets a broken TLS record through as it is
)


@dataclass(frozen=True, slots=True)
class _Route:
    """How to reach a URL: at one of these addresses, or by a proxy; as it says if there is neither.

    Through a proxy there are no addresses: the proxy looks the name up itself.
    """

    addresses: Sequence[IPAddress] = ()
    proxy: str | None = None


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
        self._sandbox = sandbox_origin(base_url)
        self._own_host = ascii_host(httpx.URL(base_url))
        self._transport = transport
        self._resolve = resolve
        self._trust: ssl.SSLContext | None = None
        self._loading = anyio.Lock()

    async def fetch(
        self, url: str, sink: Sink, within_seconds: float, report: ReportBytes = _ignore
    ) -> None:
        """Hand the image's bytes to the sink as they come, which may be before a failure.

        Raises:
            NotFetched: the address is not safe to go to, or no whole body came in time.
        """
        first = parse_url(url)
        with anyio.move_on_after(within_seconds):
            await self._follow(first, sink, report)
            return
        raise fetch_failure(first, f"it did not arrive within {within_seconds:.0f} s", _AGAIN)

    async def _follow(self, url: httpx.URL, sink: Sink, report: ReportBytes) -> None:
        for _ in range(MOST_REDIRECTS + 1):
            async with self._request(url) as response:
                if not response.has_redirect_location:
                    await _deliver(response, url, sink, report)
                    return
                # The next round checks it like the first: a public host may point inside.
                url = parse_url(response.headers["Location"], url)
        raise fetch_failure(url, "it was redirected too often", ELSEWHERE)

    def _of_no_public_host(self, url: httpx.URL) -> NotFetched:
        """A refusal; not of RunAPI's own name, of which some networks' VPNs say anything."""
        if f".{ascii_host(url)}".endswith(f".{self._own_host}"):
            return fetch_failure(url, f"by this network, {NOT_PUBLIC}", ELSEWHERE)
        return refusal(url, NOT_PUBLIC)

    @asynccontextmanager
    async def _request(self, url: httpx.URL) -> AsyncGenerator[httpx.Response]:
        route = await self._find_route(url)
        async with (
            self._open_network(url, route.proxy) as network,
            aclosing(await _send(url, route.addresses, network)) as response,
        ):
            yield response

    async def _find_route(self, url: httpx.URL) -> _Route:
        if origin_of(url) == self._sandbox:
            return _Route()
        require_fetchable(url, self._sandbox)
        proxy = await proxy_for(url)
        try:
            addresses = await resolve_public_host(ascii_host(url), url.port or 443, self._resolve)
        except NotPublic as error:
            raise self._of_no_public_host(url) from error
        except NotFound as error:
            # Behind a proxy this machine often knows no names outside; the proxy does.
            if proxy is None:
                raise fetch_failure(url, "there is no such host", "Check the network.") from error
            addresses = ()
        return _Route(proxy=proxy) if proxy else _Route(addresses)

    @asynccontextmanager
    async def _open_network(
        self, url: httpx.URL, proxy: str | None
    ) -> AsyncGenerator[httpx.AsyncBaseTransport]:
        """The network, of this one request: connections are never shared between names."""
        if self._transport is not None:
            yield self._transport
            return
        trust = await self._load_certificates() if url.scheme == "https" else None
        async with open_transport(trust, parse_proxy(proxy, trust) if proxy else None) as transport:
            yield transport

    async def _load_certificates(self) -> ssl.SSLContext:
        async with self._loading:
            if self._trust is None:
                try:
                    # In a thread, because it takes longer than the event loop may be held up.
                    self._trust = await anyio.to_thread.run_sync(httpx.create_ssl_context)
                except OSError as error:
                    raise NotFetched(
                        "The certificates that prove who keeps the image cannot be loaded.",
                        "Correct SSL_CERT_FILE and SSL_CERT_DIR, or unset them.",
                    ) from error
            return self._trust


async def _send(
    url: httpx.URL, addresses: Sequence[IPAddress], network: httpx.AsyncBaseTransport
) -> httpx.Response:
    """The answer, of the first address that can be connected to."""
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS).as_dict()
    request = httpx.Request("GET", url, headers=_HEADERS, extensions={"timeout": timeout})
    tries = [_pin(request, address) for address in addresses] or [request]
    try:
        for attempt in tries[:-1]:
            # What fails later has reached a host, and is what that host has to say.
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await network.handle_async_request(attempt)
        return await network.handle_async_request(tries[-1])
    except _BROKEN as error:
        raise fetch_failure(url, _reason(error), _AGAIN, NotThereYet) from error


def _pin(request: httpx.Request, address: IPAddress) -> httpx.Request:
    """The request, bound for this address: a second look-up could find another one.

    The certificate is still checked for the name.
    """
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        extensions={**request.extensions, "sni_hostname": ascii_host(request.url)},
    )


async def _deliver(
    response: httpx.Response, url: httpx.URL, sink: Sink, report: ReportBytes
) -> None:
    _require_image(response, url)
    total = _length(response)
    _require_size(total or 0, url)  # before a byte of it is taken
    so_far = 0
    async with aclosing(_chunks(response, url)) as chunks:
        async for chunk in chunks:
            so_far += len(chunk)
            _require_size(so_far, url)
            await sink(chunk)
            report(so_far, total)
            # Thousands of tiny chunks come in one packet, and the others wait meanwhile.
            await anyio.lowlevel.checkpoint()
    if so_far == 0 or total not in (None, so_far):
        raise fetch_failure(url, "the answer is empty or incomplete", _AGAIN, NotThereYet)


async def _chunks(response: httpx.Response, url: httpx.URL) -> AsyncGenerator[bytes]:
    """The body as it is sent. A generator, so that no error of the sink is taken for one of it."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an async transport answers with an async stream")
    try:
        async for chunk in stream:
            yield chunk
    except _BROKEN as error:
        raise fetch_failure(url, _reason(error), _AGAIN, NotThereYet) from error


def _require_image(response: httpx.Response, url: httpx.URL) -> None:
    status = response.status_code
    if status != 200:
        raise fetch_failure(url, f"HTTP {status}", _AGAIN, _kind(status))
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


def _reason(error: Exception) -> str:
    """What went wrong; words of the far end are not repeated."""
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return f"no connection ({excerpt(str(error), MOST_QUOTED_CHARACTERS)})"
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    return f"the answer broke off or is not HTTP ({type(error).__name__})"
