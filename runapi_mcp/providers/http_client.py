"""HTTP as any vendor is asked: one network for all callers, answers that end, secret keys.

What imports httpx in this room, besides RunAPI's connection.
"""

from collections.abc import Mapping
from contextlib import aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, NamedTuple
from urllib.request import getproxies

import anyio
import httpx

from runapi_mcp import __version__
from runapi_mcp.base.errors import NotConfigured, NotConnected, ProviderDown, Unreachable
from runapi_mcp.base.redaction import quote
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.providers import bodies
from runapi_mcp.providers.keep_alive import KeepAliveTransport

ATTEMPT_SECONDS: Final = 20.0
"""How long one request may take."""
_CONNECT_SECONDS: Final = 5.0
_LARGEST_ANSWER_BYTES: Final = 4_000_000
_TIMEOUT: Final = httpx.Timeout(ATTEMPT_SECONDS, connect=_CONNECT_SECONDS).as_dict()
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": bodies.ACCEPTED_ENCODING,
    "User-Agent": f"runapi-mcp/{__version__}",
}

# A proxy that refuses does so before it is told the request.
_NOTHING_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)


class Exchanged(NamedTuple):
    """What came back, without the key that was sent."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class HttpClient:
    def __init__(
        self,
        base_url: str,
        vendor: str,
        url_name: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`vendor` is its title, `url_name` the variable that sets where it is.

        Raises:
            NotConfigured: the address or this environment lets no connection be made.
        """
        self._base_url = base_url
        self._vendor = vendor
        self._url_name = url_name
        self._network = transport or _network(base_url, url_name)

    async def aclose(self) -> None:
        await self._network.aclose()

    def require_protected(self) -> None:
        """Nothing, where a key travels protected.

        Raises:
            NotConfigured: anybody could read it.
        """
        if not self._base_url.startswith("https://") and not is_loopback(self._base_url):
            raise NotConfigured(
                f"The API key is not sent to {self._base_url}: it is neither https nor this "
                "machine.",
                f"Set {self._url_name} to an https address, or unset it.",
            )

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        secret: str,
        query: Mapping[str, str],
        body: str | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Exchanged:
        """The answer to one request; an empty secret is for what is told to anybody.

        Raises:
            ProviderDown: there was no answer, or none that ends.
        """
        authorization = {"Authorization": f"Bearer {secret}"} if secret else {}
        content_type = {"Content-Type": "application/json"} if body else {}
        request = httpx.Request(
            method,
            self._base_url + path,
            params=query or None,
            content=body and body.encode(),
            headers={**_HEADERS, **content_type, **headers, **authorization},
            extensions={"timeout": _TIMEOUT},
        )
        try:
            # The network's own timeouts do not bound an answer that trickles.
            with anyio.fail_after(seconds):
                response = await self._network.handle_async_request(request)
                async with aclosing(response):
                    content = await _read(response)
        except (httpx.RequestError, OSError) as error:
            raise self._unreachable(error, secret) from error
        except bodies.TooLarge as error:
            raise ProviderDown(
                f"{self._vendor}'s answer does not end.", "Try again in a minute."
            ) from error
        headers_without_key = bodies.sanitise_headers(response.headers, secret)
        return Exchanged(response.status_code, headers_without_key, content)

    def _unreachable(self, error: Exception, secret: str) -> Unreachable:
        kind = NotConnected if isinstance(error, _NOTHING_SENT) else Unreachable
        detail = bodies.sanitise_text(str(error) or type(error).__name__, secret)
        return kind(
            f"{self._vendor} did not answer at {self._base_url} ({quote(detail)}).",
            f"Check the network, a proxy and {self._url_name}, then call again.",
        )


async def _read(response: httpx.Response) -> bytes:
    # Not httpx's own unpacking, which holds all that a chunk unpacks to.
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an async client answers with an async stream")
    encoding = response.headers.get("Content-Encoding", "")
    try:
        return await bodies.read_bounded(stream, encoding, _LARGEST_ANSWER_BYTES)
    except bodies.Undecodable:
        # Its status tells enough, and where that pays, its headers may name the task.
        return b""


def _network(base_url: str, url_name: str) -> httpx.AsyncBaseTransport:
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError) as error:
        raise NotConfigured(
            f"{url_name} is not an address that can be reached: {error}.",
            "Correct it, or unset it.",
        ) from error
    try:
        # A proxy from the environment would be handed the sandbox's requests.
        if not is_loopback(base_url) and getproxies():
            return _ByProxies()
        return KeepAliveTransport(
            url, httpx.create_ssl_context() if url.scheme == "https" else None
        )
    except (ValueError, OSError, ImportError) as error:
        raise NotConfigured(
            f"No connection can be made with this environment: {error}.",
            "Check the proxy variables (HTTPS_PROXY, ALL_PROXY) and SSL_CERT_FILE.",
        ) from error


class _ByProxies(httpx.AsyncBaseTransport):
    """Where a proxy may stand between, which httpx's client knows from the environment."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            # How many are under way is decided before, each key with its share.
            limits=httpx.Limits(),
            # A cookie set for one caller would go out with the next one's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()
