"""The sandbox's contract, as a client without any of our code speaks it."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Mapping
from typing import Any

import anyio
import httpx

DRAW = "/api/v1/flux_2/text_to_image"
REMIX = "/api/v1/flux_2/remix_image"
SOURCE = ["https://example.com/a.png"]
PRO = {"model": "flux-2-pro-text-to-image", "prompt": "a red fox"}
MAX = {"model": "flux-2-max-text-to-image", "prompt": "a red fox", "aspect_ratio": "1:1"}
PRO_REMIX = {
    "model": "flux-2-pro-remix-image",
    "prompt": "a red fox",
    "source_image_urls": SOURCE,
}
MAX_REMIX = {**PRO_REMIX, "model": "flux-2-max-remix-image", "aspect_ratio": "1:1"}
UNKNOWN = "is not permitted for this model"
RATIOS = "must be one of '1:1', '4:3', '3:4', '16:9', '9:16', '3:2' or '2:3'"
RESOLUTIONS = "must be one of '1k' or '2k'"
TEXT = "is invalid: String should"
NO_BOOLEAN = "is invalid: Input should be a valid boolean"
NO_URL = "is invalid: must be a full http:// or https:// URL, in ASCII without spaces"
NOT_9 = "is invalid: List should have at most 8 items after validation, not 9"
NOT_2 = "is invalid: List should have at most 1 item after validation, not 2"
CONTENT = b"not really a PNG"
MD5 = b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode()
FILE = {
    "filename": "a.png",
    "byte_size": len(CONTENT),
    "checksum": MD5,
    "content_type": "image/png",
}
ISSUED = {"Content-Type": "image/png", "Content-MD5": MD5}


def answered(response: httpx.Response) -> tuple[int, Any]:
    """The status and the JSON, less the two marks that every answer of the sandbox carries."""
    body = response.json()
    assert body.pop("sandbox") is True
    assert response.headers["x-runapi-sandbox"] == "1"
    assert re.fullmatch(r"req_[0-9a-f]{16}", response.headers["x-request-id"])
    return response.status_code, body


async def outcome(request: Awaitable[httpx.Response]) -> str:
    """The status and the text of an answer, or that the connection broke."""
    try:
        response = await request
    except httpx.RemoteProtocolError:
        return "torn"
    assert response.headers["x-runapi-sandbox"] == "1"
    return f"{response.status_code} {response.text}"


async def create_task(
    client: httpx.AsyncClient, body: Mapping[str, object] = PRO, key: str | None = None
) -> str:
    """The id of a new task, by its `Idempotency-Key` if one is given."""
    headers = {"Idempotency-Key": key} if key else {}
    response = await client.post(DRAW, json=body, headers=headers)
    assert response.status_code == 202
    return response.json()["id"]


async def read_task(client: httpx.AsyncClient, task_id: str) -> Any:
    """The task at its own address."""
    status, body = answered(await client.get(f"{DRAW}/{task_id}"))
    assert status == 200
    return body


async def spent_cents(client: httpx.AsyncClient) -> int:
    return (await client.get("/api/v1/me/balance")).json()["spent_cents_total"]


async def prepare_upload(client: httpx.AsyncClient, file: Mapping[str, object] = FILE) -> Any:
    """The answer to the first step of an upload."""
    status, body = answered(await client.post("/api/v1/files/prepare", json=file))
    assert status == 200
    return body


async def upload_content(client: httpx.AsyncClient, anybody: httpx.AsyncClient) -> str:
    """The signed id of `CONTENT` after the second step."""
    place = await prepare_upload(client)
    put = await anybody.put(place["upload_url"], content=CONTENT, headers=place["headers"])
    assert put.status_code == 204
    return place["signed_id"]


async def later(seconds: float) -> None:
    """Virtual time passes."""
    await anyio.sleep(seconds)


def prompting(prompt: str) -> dict[str, object]:
    return {**PRO, "prompt": prompt}
