"""HTTP itself: one client for all callers. The only module of this room that imports httpx."""

import json
from collections.abc import Mapping

import anyio
import httpx

from runapi_mcp import __version__
from runapi_mcp.api.failures import answer_of, failure_of
from runapi_mcp.api.messages import Json, Reply, Request, as_list, is_object
from runapi_mcp.api.retries import retrying
from runapi_mcp.errors import Answer, NotConfigured, NotConnected, RunapiDown, Unreachable
from runapi_mcp.settings import Key
from runapi_mcp.sockets import is_loopback

ATTEMPT_SECONDS = 20.0
CONNECT_SECONDS = 5.0
UPLOAD_SECONDS = 120.0
HIDDEN = "[key hidden]"


class Connection:
    """RunAPI's address and the client that reaches it."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base_url = base_url
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=CONNECT_SECONDS),
            headers={"Accept": "application/json", "User-Agent": f"runapi-mcp/{__version__}"},
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
            # A proxy from the environment would be handed the sandbox's requests.
            trust_env=not is_loopback(base_url),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(self, request: Request, key: Key | None) -> Reply:
        """The answer to a request, repeated as long as that is safe and of use.

        `key` is None for what RunAPI tells anybody.

        Raises:
            RunapiFailure: RunAPI refused, failed or could not be reached.
            KeyMissing: the request needs a key and there is none.
            NotConfigured: the key would travel unprotected.
        """
        secret = self._secret(key) if key else ""
        headers = {**request.headers, **({"Authorization": f"Bearer {secret}"} if secret else {})}
        return await retrying(
            lambda: self._attempt(request, headers, secret), request.retry_seconds
        )

    async def upload(self, url: str, headers: Mapping[str, str], content: bytes) -> None:
        """Put bytes to an address RunAPI named. The key stays here: the address is elsewhere.

        Raises:
            RunapiFailure: the storage refused or could not be reached.
        """
        bare = httpx.Headers({"User-Agent": f"runapi-mcp/{__version__}", **headers})
        try:
            response = await self._http.put(
                url, content=content, headers=bare, timeout=UPLOAD_SECONDS
            )
        except httpx.RequestError as error:
            raise _unreachable(error, "the upload address", "") from error
        if not response.is_success:
            answer = answer_of(response.status_code, response.headers)
            raise failure_of(answer, None, reading_task=False)

    def _secret(self, key: Key) -> str:
        secret = key.reveal()
        if not self._base_url.startswith("https://") and not is_loopback(self._base_url):
            raise NotConfigured(
                f"The API key is not sent to {self._base_url}: it is neither https nor this "
                "machine.",
                "Set RUNAPI_BASE_URL to an https address, or unset it.",
            )
        return secret

    async def _attempt(self, request: Request, headers: Mapping[str, str], secret: str) -> Reply:
        response = await self._exchange(request, headers, secret)
        seen = {
            name: value.replace(secret, HIDDEN) if secret else value
            for name, value in response.headers.items()
        }
        answer = answer_of(response.status_code, seen)
        if response.status_code == 304:
            return Reply({}, seen, answer)
        body = _hide(_decoded(response.text), secret)
        if not response.is_success:
            raise failure_of(answer, body, reading_task=request.method == "GET")
        return Reply(_readable(body, answer), seen, answer)

    async def _exchange(
        self, request: Request, headers: Mapping[str, str], secret: str
    ) -> httpx.Response:
        try:
            # The client's own timeouts do not bound an answer that trickles.
            with anyio.fail_after(ATTEMPT_SECONDS):
                return await self._http.request(
                    request.method,
                    self._base_url + request.path,
                    params=request.query or None,
                    json=request.body,
                    headers=headers,
                )
        except (httpx.RequestError, TimeoutError) as error:
            raise _unreachable(error, self._base_url, secret) from error


def _unreachable(error: Exception, where: str, secret: str) -> Unreachable:
    kind = NotConnected if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else None
    detail = str(error) or type(error).__name__
    detail = detail.replace(secret, HIDDEN) if secret else detail
    return (kind or Unreachable)(
        f"RunAPI did not answer at {where} ({detail}).",
        "Check the network, a proxy and RUNAPI_BASE_URL, then call again.",
    )


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _readable(body: object, answer: Answer) -> Json:
    if not is_object(body):
        raise RunapiDown("RunAPI's answer could not be read.", "Try again in a minute.", answer)
    return body


def _hide(value: object, secret: str) -> object:
    """The value with the key cut out of every string in it, should RunAPI echo it."""
    if not secret:
        return value
    if isinstance(value, str):
        return value.replace(secret, HIDDEN)
    if is_object(value):
        return {name.replace(secret, HIDDEN): _hide(item, secret) for name, item in value.items()}
    items = as_list(value)
    return [_hide(item, secret) for item in items] if items else value
