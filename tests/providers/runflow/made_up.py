"""A Runflow that a test makes up, behind a server that has its key."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import httpx
from mcp import Client

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.catalog.runflow_variants import RUNFLOW_VARIANTS
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.providers.runflow import Runflow
from runapi_mcp.server import Keys
from tests.support.world import MADE_UP_KEY, public_name, served

FLEX: Final = "runflow_flex_text_to_image"
RUN_ID: Final = "0199aa00-0000-7000-8000-000000000001"
RUNFLOW_KEY: Final = Key(SecretStr("rf_live_0123456789"), source="RUNFLOW_API_KEY")
PICTURE: Final = "https://pictures.example/1.jpeg?signature=abc"
DONE: Final[Mapping[str, Any]] = {
    "id": RUN_ID,
    "status_code": "succeeded",
    "output": {"outputs": [{"url": PICTURE}]},
    "cost": "0.05",
}

Answer = Callable[[httpx.Request], httpx.Response]
KNOWN: Final = (*VARIANTS, *RUNFLOW_VARIANTS)


def server_of(
    answer: Answer,
    *,
    runapi: Answer | None = None,
    key: Key = MADE_UP_KEY,
    **server: Any,  # Any: as `served` has them
) -> AbstractAsyncContextManager[Client]:
    """A client of a server whose Runflow answers so; its RunAPI knows nothing, if not this."""
    upstream = RunAPI(
        "https://runapi.ai", httpx.MockTransport(runapi or _knows_nothing), public_name
    )
    runflow = Runflow("https://api.runflow.io", RUNFLOW_KEY, httpx.MockTransport(answer))
    more: dict[str, Any] = {"known": KNOWN, "others": (runflow,), **server}
    return served(upstream, Keys(key), variants=KNOWN, **more)


def run(**more: Any) -> httpx.Response:
    """A run that is done, or what a test says of it."""
    return httpx.Response(200, json={**DONE, **more})


def _knows_nothing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"error": {"message": "no such task"}})
