"""Files: the three steps of an upload, inline files, and reading them back, for an hour."""

import hashlib
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.base.json_values import as_object
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import (
    Refusal,
    Table,
    answer,
    invalid,
    json_body,
    origin,
)
from runapi_mcp.sandbox.runapi_messages import api_key

FILE_LIFETIME_SECONDS: Final = 3600.0
LARGEST_FILE_BYTES: Final = 50_000_000
UNKNOWN_TYPE: Final = "application/octet-stream"
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


@dataclass(slots=True)
class StoredFile:
    """A file on its way in, or here. `content` is None until it was uploaded."""

    id: str
    name: str
    byte_size: int
    checksum: str
    content_type: str
    content: bytes | None = None
    confirmed: float | None = None
    """When it became readable, on the sandbox's own clock."""

    @property
    def upload_headers(self) -> dict[str, str]:
        """What the upload must carry, exactly."""
        return {"Content-Type": self.content_type, "Content-MD5": self.checksum}


class FileRoutes:
    """`/api/v1/files...`, the upload addresses it hands out, and the files themselves."""

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._files: dict[str, StoredFile] = {}

    def table(self) -> Table:
        yield "POST", "/api/v1/files", self._register
        yield "POST", "/api/v1/files/prepare", self._prepare
        yield "POST", "/api/v1/files/confirm", self._confirm
        yield "PUT", "/uploads/{file_id}", self._upload
        yield "GET", "/files/{file_id}", self._read

    def find(self, file_id: str) -> StoredFile | None:
        """A confirmed file that has not expired."""
        file = self._files.get(file_id)
        if file is None or file.confirmed is None:
            return None
        return file if self._clock() - file.confirmed < FILE_LIFETIME_SECONDS else None

    async def _register(self, request: Request) -> Response:
        api_key(request)
        body = await json_body(request)
        source = as_object(body.get("source"))
        try:
            content = b64decode(str(source.get("data", "")), validate=True)
        except ValueError:
            content = b""
        if source.get("type") != "base64" or not content:
            refused = "must be base64 data here: the sandbox fetches no URLs"
            raise invalid({"source": [refused]})
        name = str(body.get("file_name") or "file")
        file = self._keep(name, len(content), _md5(content), UNKNOWN_TYPE)
        file.content, file.confirmed = content, self._clock()
        return _named(request, file)

    async def _prepare(self, request: Request) -> Response:
        api_key(request)
        await self._faults.misbehave("prepare")
        body = await json_body(request)
        name, size, checksum = body.get("filename"), body.get("byte_size"), body.get("checksum")
        content_type = body.get("content_type", UNKNOWN_TYPE)
        errors = {
            "filename": [] if isinstance(name, str) and name.strip() else ["is required"],
            "byte_size": [] if _is_size(size) else [f"must be 1 to {LARGEST_FILE_BYTES}"],
            "checksum": [] if _is_md5(checksum) else ["must be the base64 of an MD5"],
            "content_type": []
            if _MEDIA_TYPE.fullmatch(str(content_type))
            else ["must be a media type"],
        }
        if errors := {field: reasons for field, reasons in errors.items() if reasons}:
            raise invalid(errors)
        file = self._keep(str(name), int(str(size)), str(checksum), str(content_type))
        url = f"{origin(request)}/uploads/{file.id}"
        return answer({"signed_id": file.id, "upload_url": url, "headers": file.upload_headers})

    async def _upload(self, request: Request) -> Response:
        await self._faults.misbehave("upload")
        file, content = self._files.get(request.path_params["file_id"]), await request.body()
        if file is None or file.content is not None:
            raise Refusal(403, "this upload address is unknown or was used")
        if "authorization" in request.headers:
            raise Refusal(403, "an API key does not belong here")
        for name, value in file.upload_headers.items():
            if request.headers.get(name) != value:
                raise Refusal(403, f"the header {name} is not the one that was issued")
        if len(content) != file.byte_size or _md5(content) != file.checksum:
            raise Refusal(403, "the bytes are not the ones that were announced")
        file.content = content
        return Response(status_code=204)

    async def _confirm(self, request: Request) -> Response:
        api_key(request)
        await self._faults.misbehave("confirm")
        signed_id = (await json_body(request)).get("signed_id")
        file = self._files.get(signed_id) if isinstance(signed_id, str) else None
        if file is None or file.content is None:
            raise invalid({"signed_id": ["names no finished upload"]})
        if file.confirmed is None:
            file.confirmed = self._clock()
        return _named(request, file)

    async def _read(self, request: Request) -> Response:
        file = self.find(request.path_params["file_id"])
        if file is None:
            raise Refusal(404, "File not found or expired")
        return Response(file.content, media_type=file.content_type)

    def _keep(self, name: str, size: int, checksum: str, content_type: str) -> StoredFile:
        file_id = secrets.token_urlsafe(16)
        file = StoredFile(file_id, name, size, checksum, content_type)
        self._files[file_id] = file
        return file


def _named(request: Request, file: StoredFile) -> Response:
    now = datetime.now(UTC)
    return answer(
        {
            "file_name": file.name,
            "url": f"{origin(request)}/files/{file.id}",
            "size_bytes": file.byte_size,
            "mime_type": file.content_type,
            "created_at": now.isoformat(),
            "expires_at": (now + timedelta(seconds=FILE_LIFETIME_SECONDS)).isoformat(),
        }
    )


def _is_size(value: object) -> bool:
    # Not isinstance, to which True is 1.
    return type(value) is int and 0 < value <= LARGEST_FILE_BYTES


def _is_md5(value: object) -> bool:
    try:
        return isinstance(value, str) and len(b64decode(value, validate=True)) == 16
    except ValueError:
        return False


def _md5(content: bytes) -> str:
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
