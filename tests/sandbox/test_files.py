"""Files: prepared, put, confirmed, read, expired."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx
import pytest

from tests.support.sandbox_client import (
    CONTENT,
    FILE,
    ISSUED,
    answered,
    later,
    prepare_upload,
    upload_content,
)
from tests.support.world import BASE_URL, KEY

pytestmark = pytest.mark.anyio


async def test_a_file_is_prepared_put_and_confirmed_and_then_anybody_can_read_it(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    place = await prepare_upload(client)
    assert place["headers"] == ISSUED
    put = await anybody.put(place["upload_url"], content=CONTENT, headers=ISSUED)
    assert (put.status_code, put.headers["x-runapi-sandbox"]) == (204, "1")
    status, file = answered(
        await client.post("/api/v1/files/confirm", json={"signed_id": place["signed_id"]})
    )
    created_at, expires_at = (
        datetime.fromisoformat(file.pop(when)) for when in ("created_at", "expires_at")
    )
    assert (status, file) == (
        200,
        {
            "file_name": "a.png",
            "url": f"{BASE_URL}/files/{place['signed_id']}",
            "size_bytes": len(CONTENT),
            "mime_type": "image/png",
        },
    )
    assert expires_at - created_at == timedelta(hours=1)
    served = await anybody.get(file["url"])
    assert (served.content, served.headers["content-type"]) == (CONTENT, "image/png")


@pytest.mark.parametrize(
    ("headers", "content", "reason"),
    [
        ({**ISSUED, "Authorization": f"Bearer {KEY}"}, CONTENT, "an API key does not belong here"),
        (
            {"Content-Type": "image/png"},
            CONTENT,
            "the header Content-MD5 is not the one that was issued",
        ),
        (
            {**ISSUED, "Content-Type": "image/jpeg"},
            CONTENT,
            "the header Content-Type is not the one that was issued",
        ),
        (ISSUED, CONTENT[:-1], "the bytes are not the ones that were announced"),
        (ISSUED, CONTENT[::-1], "the bytes are not the ones that were announced"),
    ],
)
async def test_an_upload_with_a_key_or_other_headers_or_other_bytes_is_refused(
    client: httpx.AsyncClient,
    anybody: httpx.AsyncClient,
    headers: Mapping[str, str],
    content: bytes,
    reason: str,
) -> None:
    place = await prepare_upload(client)
    refused = await anybody.put(place["upload_url"], content=content, headers=headers)
    assert answered(refused) == (403, {"error": reason})
    unfinished = {"signed_id": ["names no finished upload"]}
    confirmed = await client.post("/api/v1/files/confirm", json={"signed_id": place["signed_id"]})
    assert answered(confirmed) == (422, {"error": "Validation failed", "errors": unfinished})


async def test_an_upload_of_another_size_than_announced_is_refused(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    place = await prepare_upload(client, FILE | {"byte_size": len(CONTENT) + 1})
    refused = await anybody.put(place["upload_url"], content=CONTENT, headers=ISSUED)
    message = "the bytes are not the ones that were announced"
    assert answered(refused) == (403, {"error": message})


async def test_an_upload_address_is_used_once(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    address = f"/uploads/{await upload_content(client, anybody)}"
    for used in (address, "/uploads/unknown"):
        again = await anybody.put(used, content=CONTENT, headers=ISSUED)
        assert answered(again) == (403, {"error": "this upload address is unknown or was used"})


async def test_a_file_is_readable_for_an_hour_from_its_confirmation_and_not_before(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    signed_id = await upload_content(client, anybody)
    seen: list[int] = []
    for pause_seconds in (0, 3599, 1):
        seen.append((await anybody.get(f"/files/{signed_id}")).status_code)
        await client.post("/api/v1/files/confirm", json={"signed_id": signed_id})
        await later(pause_seconds)
        seen.append((await anybody.get(f"/files/{signed_id}")).status_code)
    assert seen == [404, 200, 200, 200, 200, 404]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"filename": " "}, "is required"),
        ({"byte_size": 0}, "must be 1 to 50000000"),
        ({"byte_size": "16"}, "must be 1 to 50000000"),
        ({"byte_size": True}, "must be 1 to 50000000"),
        ({"checksum": "d41d8cd98f00b204e9800998ecf8427e"}, "must be the base64 of an MD5"),
        ({"content_type": "image/png\r\nX-Other: 1"}, "must be a media type"),
        ({"content_type": None}, "must be a media type"),
    ],
)
async def test_a_file_is_announced_with_its_name_size_md5_and_type(
    client: httpx.AsyncClient, wrong: Mapping[str, object], reason: str
) -> None:
    response = await client.post("/api/v1/files/prepare", json={**FILE, **wrong})
    errors = {name: [reason] for name in wrong}
    assert answered(response) == (422, {"error": "Validation failed", "errors": errors})


async def test_an_inline_file_is_registered_at_once_and_a_remote_one_is_not_fetched(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    inline = {"type": "base64", "data": b64encode(CONTENT).decode()}
    file = (await client.post("/api/v1/files", json={"source": inline, "file_name": "a"})).json()
    assert (file["file_name"], file["size_bytes"]) == ("a", len(CONTENT))
    assert (await anybody.get(file["url"])).content == CONTENT
    errors = {"source": ["must be base64 data here: the sandbox fetches no URLs"]}
    remote = {"type": "url", "url": "https://example.com/a.png"}
    for source in (remote, {**inline, "type": "url"}, {**inline, "data": "***"}, inline["data"]):
        refused = await client.post("/api/v1/files", json={"source": source})
        assert answered(refused) == (422, {"error": "Validation failed", "errors": errors})
