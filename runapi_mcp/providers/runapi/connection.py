"""HTTP itself: one client for all callers. The only module of this room that imports httpx."""

from collections.abc import Callable, Mapping
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.request import getproxies

import anyio
import httpx

from runapi_mcp import __version__
from runapi_mcp.base.errors import (
    HttpAnswer,
    KeyRejected,
    NotConfigured,
    NotConnected,
    ProviderDown,
    RateLimited,
    Unreachable,
)
from runapi_mcp.base.json_values import is_object
from runapi_mcp.base.places import Places
from runapi_mcp.base.redaction import quote
from runapi_mcp.base.settings import KEY_PAGE, Key, WaitingCaps
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.outbound.ssrf_guard import Resolve, resolve_host
from runapi_mcp.outbound.targets import Unreached, parse_url
from runapi_mcp.outbound.way_out import WayOut
from runapi_mcp.providers.runapi import bodies
from runapi_mcp.providers.runapi.failures import http_answer, named_task, to_failure
from runapi_mcp.providers.runapi.keep_alive import KeepAliveTransport
from runapi_mcp.providers.runapi.messages import Meaning, Reply, Request
from runapi_mcp.providers.runapi.rate_limit import RateLimit
from runapi_mcp.providers.runapi.retries import ATTEMPT_SECONDS, GiveBack, retry

_CONNECT_SECONDS = 5.0
_UPLOAD_SECONDS = 120.0
_LARGEST_ANSWER_BYTES = 4_000_000

# A proxy that refuses does so before it is told the request.
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Connection:
    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve | None = None,
        caps: WaitingCaps | None = None,
    ) -> None:
        caps = caps or WaitingCaps()
        self._base_url = base_url
        self._http = _client(base_url, transport)
        self._places = Places(caps.connections, caps.connections_per_key)
        self._way_out = WayOut(base_url, transport, resolve or resolve_host)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(
        self,
        request: Request,
        key: Key | None,
        understand: Callable[[Reply], Meaning],
        rate_limit: RateLimit | None = None,
    ) -> Meaning:
        """What the answer means; the request is repeated as long as that is safe and of use.

        `key` is None for what RunAPI tells anybody, and then there is no rate limit.

        Raises:
            ProviderFailure: RunAPI refused, failed or could not be reached.
            KeyMissing: the request needs a key and there is none.
            NotConfigured: the key would travel unprotected.
        """
        secret = self._secret(key) if key else ""

        async def take_turn() -> GiveBack:
            if rate_limit is not None:
                await rate_limit.wait_turn(pays=request.pays, urgency=request.urgency)
            await self._places.take(secret, first=request.pays)
            return partial(self._places.give_back, secret)

        async def attempt(seconds: float) -> Meaning:
            try:
                return understand(await self._attempt(request, secret, seconds))
            except RateLimited as failure:
                if rate_limit is not None:
                    rate_limit.pause(failure.answer.retry_after_seconds or 0.0)
                raise
            except KeyRejected as failure:
                raise _name_key(failure, key.source if key else "") from failure

        return await retry(attempt, request, take_turn)

    async def upload(self, url: str, headers: Mapping[str, str], content: bytes) -> None:
        """Put bytes to an address RunAPI named. The key stays here: the address is elsewhere.

        Raises:
            ProviderFailure: it is not safe to go to, refused, or could not be reached.
        """
        try:
            with anyio.fail_after(_UPLOAD_SECONDS):
                # Of the answer only its status is of interest: its body may have no end.
                async with self._way_out.send("PUT", parse_url(url), headers, content) as response:
                    status, is_taken = response.status_code, response.is_success
        except Unreached as failure:
            raise _not_uploaded(failure.reason, failure.advice, failure.host) from failure
        # ValueError: headers that RunAPI named and that cannot be sent.
        except (ValueError, TimeoutError) as error:
            raise _not_uploaded(type(error).__name__, "Try again in a minute.") from error
        if not is_taken:
            # Its headers are not RunAPI's: the request id that one names is of no use to RunAPI.
            raise ProviderDown(
                f"The upload address refused the file (HTTP {status}).",
                "Try again in a minute.",
                HttpAnswer(status),
            )

    def _secret(self, key: Key) -> str:
        secret = key.reveal()
        if not self._base_url.startswith("https://") and not is_loopback(self._base_url):
            raise NotConfigured(
                f"The API key is not sent to {self._base_url}: it is neither https nor this "
                "machine.",
                "Set RUNAPI_BASE_URL to an https address, or unset it.",
            )
        return secret

    async def _attempt(self, request: Request, secret: str, seconds: float) -> Reply:
        response, content = await self._exchange(request, secret, seconds)
        headers = bodies.sanitise_headers(response.headers, secret)
        answer = http_answer(response.status_code, headers)
        if response.status_code == 304 and not request.pays:
            return Reply({}, headers, answer)
        body = bodies.parse(content, secret)
        if request.pays:
            answer = answer._replace(task_id=answer.task_id or named_task(body))
        if not response.is_success:
            raise to_failure(answer, body, reads_task=request.reads_task)
        if not is_object(body):
            raise ProviderDown(
                "RunAPI's answer could not be read.", "Try again in a minute.", answer
            )
        return Reply(body, headers, answer)

    async def _exchange(
        self, request: Request, secret: str, seconds: float
    ) -> tuple[httpx.Response, bytes]:
        authorization = {"Authorization": f"Bearer {secret}"} if secret else {}
        content_type = {"Content-Type": "application/json"} if request.body else {}
        sending = self._http.stream(
            request.method,
            self._base_url + request.path,
            params=request.query or None,
            content=request.body and request.body.encode(),
            headers={**content_type, **request.headers, **authorization},
        )
        try:
            # The client's own timeouts do not bound an answer that trickles.
            with anyio.fail_after(seconds):
                async with sending as response:
                    return response, await _read(response)
        except (httpx.RequestError, OSError) as error:
            raise _unreachable(error, self._base_url, secret) from error
        except bodies.TooLarge as error:
            raise ProviderDown("RunAPI's answer does not end.", "Try again in a minute.") from error
        raise AssertionError("the response leaves the block or an error does")


def _name_key(failure: KeyRejected, source: str) -> KeyRejected:
    """The failure, with where the key stands that was not accepted."""
    advice = f"Check {source or 'the API key'}, or create a new key at {KEY_PAGE}."
    return KeyRejected(failure.happened, advice, failure.answer)


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


def _client(base_url: str, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    try:
        httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError) as error:
        raise NotConfigured(
            f"RUNAPI_BASE_URL is not an address that can be reached: {error}.",
            "Correct it, or unset it.",
        ) from error
    try:
        return httpx.AsyncClient(
            transport=transport or _own_transport(base_url),
            timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=_CONNECT_SECONDS),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": bodies.ACCEPTED_ENCODING,
                "User-Agent": f"runapi-mcp/{__version__}",
            },
            # Requests wait for a place before, each key for its share.
            limits=httpx.Limits(),
            # A cookie set for one caller would go out with the next one's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # A proxy from the environment would be handed the sandbox's requests.
            trust_env=not is_loopback(base_url),
            # Loading the certificates takes longer than all requests to the sandbox.
            verify=base_url.startswith("https:"),
        )
    except (ValueError, OSError, ImportError) as error:
        raise NotConfigured(
            f"No connection can be made with this environment: {error}.",
            "Check the proxy variables (HTTPS_PROXY, ALL_PROXY) and SSL_CERT_FILE.",
        ) from error


def _own_transport(base_url: str) -> httpx.AsyncBaseTransport | None:
    """None where a proxy may stand between, which is httpx's affair."""
    if not is_loopback(base_url) and getproxies():
        return None
    is_secure = base_url.startswith("https:")
    return KeepAliveTransport(
        httpx.URL(base_url), httpx.create_ssl_context() if is_secure else None
    )


def _not_uploaded(reason: str, advice: str, host: str = "") -> ProviderDown:
    where = host or "the upload address that RunAPI named"
    return ProviderDown(f"The file could not be sent to {where}: {reason}.", advice)


def _unreachable(error: Exception, where: str, secret: str) -> Unreachable:
    kind = NotConnected if isinstance(error, _NOTHING_SENT) else Unreachable
    detail = bodies.sanitise_text(str(error) or type(error).__name__, secret)
    return kind(
        f"RunAPI did not answer at {where} ({quote(detail)}).",
        "Check the network, a proxy and RUNAPI_BASE_URL, then call again.",
    )
