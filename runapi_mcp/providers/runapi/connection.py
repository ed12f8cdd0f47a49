"""HTTP with RunAPI: requests, their answers, uploads."""

from collections.abc import Callable, Mapping
from functools import partial

import anyio
import httpx

from runapi_mcp.base.errors import HttpAnswer, KeyRejected, ProviderDown, RateLimited
from runapi_mcp.base.json_values import is_object
from runapi_mcp.base.places import Places
from runapi_mcp.base.settings import BASE_URL_NAME, KEY_PAGE, Key, WaitingCaps
from runapi_mcp.outbound.ssrf_guard import Resolve, resolve_host
from runapi_mcp.outbound.targets import Unreached, parse_url
from runapi_mcp.outbound.way_out import WayOut
from runapi_mcp.providers import bodies
from runapi_mcp.providers.http_client import HttpClient
from runapi_mcp.providers.rate_limit import RateLimit
from runapi_mcp.providers.runapi.failures import http_answer, named_task, to_failure
from runapi_mcp.providers.runapi.messages import Meaning, Reply, Request
from runapi_mcp.providers.runapi.retries import GiveBack, retry

_UPLOAD_SECONDS = 120.0


class Connection:
    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve | None = None,
        caps: WaitingCaps | None = None,
    ) -> None:
        caps = caps or WaitingCaps()
        self._http = HttpClient(base_url, "RunAPI", BASE_URL_NAME, transport)
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
        self._http.require_protected()
        return secret

    async def _attempt(self, request: Request, secret: str, seconds: float) -> Reply:
        answered = await self._http.exchange(
            request.method,
            request.path,
            secret=secret,
            query=request.query,
            body=request.body,
            headers=request.headers,
            seconds=seconds,
        )
        headers, answer = answered.headers, http_answer(answered.status, answered.headers)
        if answered.status == 304 and not request.pays:
            return Reply({}, headers, answer)
        body = bodies.parse(answered.content, secret)
        if request.pays:
            answer = answer._replace(task_id=answer.task_id or named_task(body))
        if not answered.is_success:
            raise to_failure(answer, body, reads_task=request.reads_task)
        if not is_object(body):
            raise ProviderDown(
                "RunAPI's answer could not be read.", "Try again in a minute.", answer
            )
        return Reply(body, headers, answer)


def _name_key(failure: KeyRejected, source: str) -> KeyRejected:
    """The failure, with where the key stands that was not accepted."""
    advice = f"Check {source or 'the API key'}, or create a new key at {KEY_PAGE}."
    return KeyRejected(failure.happened, advice, failure.answer)


def _not_uploaded(reason: str, advice: str, host: str = "") -> ProviderDown:
    where = host or "the upload address that RunAPI named"
    return ProviderDown(f"The file could not be sent to {where}: {reason}.", advice)
