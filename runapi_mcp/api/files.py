"""Files: local bytes become a URL that RunAPI can read for about an hour."""

import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from runapi_mcp.api.messages import Request, Send, as_object, as_text
from runapi_mcp.errors import RunapiDown

Upload = Callable[[str, Mapping[str, str], bytes], Awaitable[None]]
"""Puts bytes to an address with exactly the given headers, without any key."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file RunAPI holds. `expires_at` is ISO 8601, where RunAPI says it."""

    url: str
    expires_at: str | None


class Files:
    """Files of one caller."""

    def __init__(self, send: Send, upload: Upload) -> None:
        self._send = send
        self._upload = upload

    async def upload(self, name: str, content: bytes, media_type: str) -> UploadedFile:
        """The URL of the uploaded bytes: prepare, put, confirm.

        Raises:
            RunapiFailure: one of the three steps failed; nothing was paid.
        """
        checksum = b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        prepared = await self._send(
            Request(
                "POST",
                "/api/v1/files/prepare",
                body={
                    "filename": name,
                    "byte_size": len(content),
                    "checksum": checksum,
                    "content_type": media_type,
                },
            )
        )
        signed_id = as_text(prepared.body.get("signed_id"))
        upload_url = as_text(prepared.body.get("upload_url"))
        if signed_id is None or upload_url is None:
            raise _unreadable("prepare", prepared.answer.request_id)
        headers = as_object(prepared.body.get("headers"))
        await self._upload(upload_url, {n: str(v) for n, v in headers.items()}, content)
        return await self._confirm(signed_id)

    async def _confirm(self, signed_id: str) -> UploadedFile:
        confirmed = await self._send(
            Request("POST", "/api/v1/files/confirm", body={"signed_id": signed_id})
        )
        url = as_text(confirmed.body.get("url"))
        if url is None:
            raise _unreadable("confirm", confirmed.answer.request_id)
        return UploadedFile(url, as_text(confirmed.body.get("expires_at")))


def _unreadable(step: str, request_id: str | None) -> RunapiDown:
    where = f", request id {request_id}" if request_id else ""
    return RunapiDown(
        f"RunAPI's answer to the file's {step} step could not be read{where}.",
        "Try again in a minute.",
    )
