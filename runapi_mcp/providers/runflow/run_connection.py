"""HTTP with Runflow: each request is sent once, and what it answers is understood or a failure."""

from collections.abc import Callable
from typing import Final

import httpx

from runapi_mcp.base.catalog.vendors import RUNFLOW
from runapi_mcp.base.errors import ProviderDown
from runapi_mcp.base.json_values import is_object
from runapi_mcp.base.settings.runflow_settings import RUNFLOW_URL_NAME
from runapi_mcp.providers import bodies
from runapi_mcp.providers.http_client import ATTEMPT_SECONDS, HttpClient
from runapi_mcp.providers.runflow.run_failures import runflow_answer, seller, to_run_failure
from runapi_mcp.providers.runflow.run_messages import RunReply, RunRequest, Understood

_READ_SECONDS: Final = 15.0


class RunConnection:
    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None) -> None:
        self._http = HttpClient(base_url, RUNFLOW.title, RUNFLOW_URL_NAME, transport)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(
        self, request: RunRequest, secret: str, understand: Callable[[RunReply], Understood]
    ) -> Understood:
        """What the answer means. An empty secret is for what Runflow tells anybody.

        Raises:
            ProviderFailure: Runflow refused, failed or could not be reached.
            NotConfigured: the key would travel unprotected.
        """
        if secret:
            self._http.require_protected()
        answered = await self._http.exchange(
            request.method,
            request.path,
            secret=secret,
            query=request.query,
            body=request.body,
            headers={},
            seconds=ATTEMPT_SECONDS if request.pays else _READ_SECONDS,
        )
        answer = runflow_answer(answered.status, answered.headers)
        body = bodies.parse(answered.content, secret)
        if not answered.is_success:
            raise to_run_failure(answer, body, pays=request.pays, reads_task=request.reads_task)
        if not is_object(body):
            raise ProviderDown(
                f"{seller(answer)}'s answer could not be read.", "Try again in a minute.", answer
            )
        return understand(RunReply(body, answer))
