"""Requests to addresses that others named: https and public, or the sandbox; checked at connect.

They go to the transport itself, without an httpx client: no cookie, netrc, proxy or redirect of the
client's own can come in between, and no log line names a signed address.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread
import httpx

from runapi_mcp import __version__
from runapi_mcp.base.redaction import excerpt
from runapi_mcp.outbound.ssrf_guard import (
    IPAddress,
    NotFound,
    NotPublic,
    Resolve,
    resolve_host,
    resolve_public_host,
)
from runapi_mcp.outbound.targets import (
    AGAIN,
    ELSEWHERE,
    MOST_QUOTED_CHARACTERS,
    NOT_PUBLIC,
    Barred,
    BrokenOff,
    Unreached,
    ascii_host,
    open_transport,
    origin_of,
    parse_proxy,
    proxy_for,
    require_allowed,
    sandbox_origin,
)

_CONNECT_SECONDS: Final = 5.0
_HEADERS: Final = {
    "Accept": "*/*",
    # A few compressed bytes can unpack to more than any disk holds.
    "Accept-Encoding": "identity",
    "User-Agent": f"runapi-mcp/{__version__}",
}
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


class WayOut:
    """The way to what RunAPI names: to the public internet, and to nowhere else in any network."""

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

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> AsyncGenerator[httpx.Response]:
        """The answer, whose body is still to be read. Redirects are not followed.

        Raises:
            Unreached: the address is not safe to go to, or nobody answered there.
        """
        route = await self._find_route(url)
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS).as_dict()
        request = httpx.Request(
            method,
            url,
            headers={**_HEADERS, **(headers or {})},
            content=content,
            extensions={"timeout": timeout},
        )
        async with (
            self._open_network(url, route.proxy) as network,
            aclosing(await _send(request, route.addresses, network)) as response,
        ):
            yield response

    async def _find_route(self, url: httpx.URL) -> _Route:
        if origin_of(url) == self._sandbox:
            return _Route()
        require_allowed(url, self._sandbox)
        proxy = await proxy_for(url)
        try:
            addresses = await resolve_public_host(ascii_host(url), url.port or 443, self._resolve)
        except NotPublic as error:
            raise self._of_no_public_host(url) from error
        except NotFound as error:
            # Behind a proxy this machine often knows no names outside; the proxy does.
            if proxy is None:
                raise Unreached("there is no such host", "Check the network.", url) from error
            addresses = ()
        return _Route(proxy=proxy) if proxy else _Route(addresses)

    def _of_no_public_host(self, url: httpx.URL) -> Unreached:
        """A refusal; not of RunAPI's own name, of which some networks' VPNs say anything."""
        if f".{ascii_host(url)}".endswith(f".{self._own_host}"):
            return Unreached(f"by this network, {NOT_PUBLIC}", ELSEWHERE, url)
        return Barred(NOT_PUBLIC, ELSEWHERE, url)

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
                    raise Unreached(
                        "the certificates that prove who answers cannot be loaded",
                        "Correct SSL_CERT_FILE and SSL_CERT_DIR, or unset them.",
                    ) from error
            return self._trust


async def read_chunks(response: httpx.Response, url: httpx.URL) -> AsyncGenerator[bytes]:
    """The body as it is sent. A generator, so that no error of its reader is taken for one of it.

    Raises:
        BrokenOff: it did not come whole.
    """
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an async transport answers with an async stream")
    try:
        async for chunk in stream:
            yield chunk
    except _BROKEN as error:
        raise BrokenOff(_reason(error), AGAIN, url) from error


async def _send(
    request: httpx.Request, addresses: Sequence[IPAddress], network: httpx.AsyncBaseTransport
) -> httpx.Response:
    """The answer, of the first address that can be connected to."""
    tries = [_pin(request, address) for address in addresses] or [request]
    try:
        for attempt in tries[:-1]:
            # What fails later has reached a host, and is what that host has to say.
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await network.handle_async_request(attempt)
        return await network.handle_async_request(tries[-1])
    except _BROKEN as error:
        raise BrokenOff(_reason(error), AGAIN, request.url) from error


def _pin(request: httpx.Request, address: IPAddress) -> httpx.Request:
    """The request, bound for this address: a second look-up could find another one.

    The certificate is still checked for the name.
    """
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": ascii_host(request.url)},
    )


def _reason(error: Exception) -> str:
    """What went wrong; words of the far end are not repeated."""
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return f"no connection ({excerpt(str(error), MOST_QUOTED_CHARACTERS)})"
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    return f"the answer broke off or is not HTTP ({type(error).__name__})"
