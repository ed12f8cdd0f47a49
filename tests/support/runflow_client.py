"""Runflow's contract, as a client without any of our code speaks it."""

from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.sandbox_client import answered

RUNFLOW_KEY = "rf_live_sandbox_of_the_tests"
CREATE = "/v1/models/black-forest-labs/flux-2-flex/runs"


def order(prompt: str = "a red fox", /, **input_fields: object) -> dict[str, Any]:
    """The body of a create."""
    return {"input": {"prompt": prompt, **input_fields}}


def authorized(key: str = RUNFLOW_KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def create_run(client: httpx.AsyncClient, body: Mapping[str, object]) -> str:
    """The id of a new run."""
    response = await client.post(CREATE, json=body)
    assert (response.status_code, response.json()["status_code"]) == (201, "queued")
    return response.json()["id"]


async def read_run(client: httpx.AsyncClient, run_id: str) -> Any:
    status, body = answered(await client.get(f"/v1/runs/{run_id}"))
    assert status == 200
    return body


async def find_runs(client: httpx.AsyncClient, client_ref: str, **query: str) -> list[str]:
    """The ids of the runs that the list has under a reference."""
    asked = {"q": f"client_ref.EQ:'{client_ref}'", **query}
    status, body = answered(await client.get("/v1/runs", params=asked))
    assert (status, body["next"]) == (200, None)
    return [run["id"] for run in body["items"]]


async def picture_address(client: httpx.AsyncClient, body: Mapping[str, object]) -> str:
    """Where the picture of a new run is, once it is drawn."""
    run = await read_run(client, await create_run(client, body))
    return run["output"]["outputs"][0]["url"]


async def balance_dollars(client: httpx.AsyncClient) -> str:
    status, body = answered(await client.get("/v1/billing/balance"))
    assert status == 200
    return body["balance"]


def refused(code: str, message: str, **errors: str) -> dict[str, object]:
    """What a refusal says, with a reason for each wrong field."""
    listed = [{"field": field, "message": reason} for field, reason in errors.items()]
    return {"code": code, "message": message, "errors": listed or None}
