"""Files: local bytes become a URL that RunAPI can read for about an hour."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from runapi_mcp.base.json_values import as_object, as_text
from runapi_mcp.providers.port import UploadedFile
from runapi_mcp.providers.runapi.messages import Reply, Request, Send, encode, incomplete

Put = Callable[[str, Mapping[str, str], bytes], Awaitable[None]]
"""Puts bytes to an address with exactly the given headers, without any key."""
_WHY: Final = "about the file could not be read"
_STORAGE_HEADERS: Final = re.compile(
    r"content-(type|md5|disposition)|cache-control|if-none-match|x-(amz|goog|ms)-[a-z0-9-]{1,80}"
)
"""What stores of files have signed. All else is left out: it could change whose request it is, or
where it ends."""


async def upload(send: Send, put: Put, name: str, content: bytes, media_type: str) -> UploadedFile:
    """Prepare, put, confirm.

    Raises:
        ProviderFailure: one of the three steps failed; nothing was paid.
    """
    checksum = b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    announced = {
        "filename": name,
        "byte_size": len(content),
        "checksum": checksum,
        "content_type": media_type,
    }
    place = await send(_step("prepare", announced), _parse_place)
    await put(place.url, place.headers, content)
    return await send(_step("confirm", {"signed_id": place.signed_id}), _parse_file)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where RunAPI wants the bytes, and the headers that must go with them."""

    signed_id: str
    url: str
    headers: Mapping[str, str]


def _step(name: str, body: Mapping[str, object]) -> Request:
    # Never repeated: these posts have no idempotency key.
    return Request("POST", f"/api/v1/files/{name}", body=encode(body), repeated=False)


def _parse_place(reply: Reply) -> _Place:
    signed_id, url = as_text(reply.body.get("signed_id")), as_text(reply.body.get("upload_url"))
    if signed_id is None or url is None:
        raise incomplete(reply, _WHY)
    headers = as_object(reply.body.get("headers"))
    return _Place(
        signed_id,
        url,
        {
            name: str(value)
            for name, value in headers.items()
            if _STORAGE_HEADERS.fullmatch(name.lower())
        },
    )


def _parse_file(reply: Reply) -> UploadedFile:
    url = as_text(reply.body.get("url"))
    if url is None:
        raise incomplete(reply, _WHY)
    return UploadedFile(url, as_text(reply.body.get("expires_at")))
