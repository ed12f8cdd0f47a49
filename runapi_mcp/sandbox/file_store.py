"""The sandbox's files: prepare, put, confirm; each kept for an hour."""

import hashlib
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from runapi_mcp.base.json_values import as_object
from runapi_mcp.sandbox.http_messages import Refusal, invalid

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


class FileStore:
    """The files of all keys. What it cannot take it refuses with a 422."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._files: dict[str, StoredFile] = {}

    def prepare(self, body: Mapping[str, object]) -> StoredFile:
        """A place for a file of this name, size and checksum."""
        name, size, checksum = body.get("filename"), body.get("byte_size"), body.get("checksum")
        content_type = body.get("content_type", UNKNOWN_TYPE)
        errors = {
            "filename": [] if isinstance(name, str) and name.strip() else ["is required"],
            "byte_size": [] if _is_size(size) else [f"must be 1 to {LARGEST_FILE_BYTES}"],
            "checksum": [] if _is_md5(checksum) else ["must be the base64 of an MD5"],
            "content_type": [] if _is_media_type(content_type) else ["must be a media type"],
        }
        if errors := {field: reasons for field, reasons in errors.items() if reasons}:
            raise Refusal(invalid(errors))
        return self._keep(str(name), int(str(size)), str(checksum), str(content_type))

    def put(self, file_id: str, headers: Mapping[str, str], content: bytes) -> str | None:
        """Nothing when the bytes were taken, else why they were not."""
        file = self._files.get(file_id)
        if file is None or file.content is not None:
            return "this upload address is unknown or was used"
        if "authorization" in headers:
            return "an API key does not belong here"
        if wrong := [n for n, v in file.upload_headers.items() if headers.get(n) != v]:
            return f"the header {wrong[0]} is not the one that was issued"
        if len(content) != file.byte_size or _md5(content) != file.checksum:
            return "the bytes are not the ones that were announced"
        file.content = content
        return None

    def confirm(self, signed_id: object) -> StoredFile:
        """The uploaded file, from now on readable."""
        file = self._files.get(signed_id) if isinstance(signed_id, str) else None
        if file is None or file.content is None:
            raise Refusal(invalid({"signed_id": ["names no finished upload"]}))
        if file.confirmed is None:
            file.confirmed = self._clock()
        return file

    def register(self, source: object, file_name: object) -> StoredFile:
        """A file given inline as base64."""
        entries = as_object(source)
        try:
            content = b64decode(str(entries.get("data", "")), validate=True)
        except ValueError:
            content = b""
        if entries.get("type") != "base64" or not content:
            refused = "must be base64 data here: the sandbox fetches no URLs"
            raise Refusal(invalid({"source": [refused]}))
        name = str(file_name or "file")
        file = self._keep(name, len(content), _md5(content), UNKNOWN_TYPE)
        file.content, file.confirmed = content, self._clock()
        return file

    def read(self, file_id: str) -> StoredFile | None:
        """A confirmed file that has not expired."""
        file = self._files.get(file_id)
        if file is None or file.confirmed is None:
            return None
        return file if self._clock() - file.confirmed < FILE_LIFETIME_SECONDS else None

    def _keep(self, name: str, size: int, checksum: str, content_type: str) -> StoredFile:
        file_id = secrets.token_urlsafe(16)
        file = StoredFile(file_id, name, size, checksum, content_type)
        self._files[file_id] = file
        return file


def _is_size(value: object) -> bool:
    # To Python, True is 1.
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return 0 < value <= LARGEST_FILE_BYTES


def _is_media_type(value: object) -> bool:
    return isinstance(value, str) and _MEDIA_TYPE.fullmatch(value) is not None


def _is_md5(value: object) -> bool:
    try:
        return isinstance(value, str) and len(b64decode(value, validate=True)) == 16
    except ValueError:
        return False


def _md5(content: bytes) -> str:
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
