"""Files: the three steps of an upload, inline files, and reading them back."""

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.sandbox.file_store import FILE_LIFETIME_SECONDS, FileStore, StoredFile
from runapi_mcp.sandbox.http_messages import Refusal, answer, api_key, error, json_body, origin
from runapi_mcp.sandbox.routing import Misbehaviour, Table


class FileRoutes:
    """`/api/v1/files...`, the upload addresses it hands out, and the files themselves."""

    def __init__(self, files: FileStore, misbehave: Misbehaviour) -> None:
        self._files = files
        self._misbehave = misbehave

    def table(self) -> Table:
        yield "POST", "/api/v1/files", self._register
        yield "POST", "/api/v1/files/prepare", self._prepare
        yield "POST", "/api/v1/files/confirm", self._confirm
        yield "PUT", "/uploads/{file_id}", self._upload
        yield "GET", "/files/{file_id}", self._read

    async def _register(self, request: Request) -> Response:
        api_key(request)
        body = await json_body(request)
        return _named(request, self._files.register(body.get("source"), body.get("file_name")))

    async def _prepare(self, request: Request) -> Response:
        api_key(request)
        await self._misbehave("prepare")
        file = self._files.prepare(await json_body(request))
        url = f"{origin(request)}/uploads/{file.id}"
        return answer({"signed_id": file.id, "upload_url": url, "headers": file.upload_headers})

    async def _upload(self, request: Request) -> Response:
        await self._misbehave("upload")
        file_id = request.path_params["file_id"]
        refused = self._files.put(file_id, request.headers, await request.body())
        return error(403, refused) if refused else Response(status_code=204)

    async def _confirm(self, request: Request) -> Response:
        api_key(request)
        await self._misbehave("confirm")
        body = await json_body(request)
        return _named(request, self._files.confirm(body.get("signed_id")))

    async def _read(self, request: Request) -> Response:
        file = self._files.read(request.path_params["file_id"])
        if file is None:
            raise Refusal(error(404, "File not found or expired"))
        return Response(file.content, media_type=file.content_type)


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
