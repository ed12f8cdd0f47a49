"""Bodies of answers: bounded while they come, decoded, and without what must not go on."""

import json
import zlib
from collections.abc import AsyncIterable, Callable, Mapping
from functools import lru_cache, partial
from typing import Final

from runapi_mcp.base.catalog.fields import MAX_URL_CHARACTERS
from runapi_mcp.base.json_values import as_list, is_object
from runapi_mcp.base.printable import on_one_line
from runapi_mcp.base.redaction import KEY_HIDDEN, Secret

LONGEST_TEXT: Final = 2 * MAX_URL_CHARACTERS
"""Of one text of an answer; what is longer is cut before anything looks at it."""
ACCEPTED_ENCODING: Final = "gzip"
MOST_SECRETS: Final = 4_096
"""How many keys are remembered with all forms that give them away."""


class TooLarge(Exception):
    """A body that goes on after its limit."""


class Undecodable(Exception):
    """A body that is not compressed as it says, or in a way that was not asked for."""


async def read_bounded(chunks: AsyncIterable[bytes], encoding: str, largest_bytes: int) -> bytes:
    """The body, unpacked; no more than its limit is ever in memory.

    Raises:
        TooLarge: unpacked it has more than `largest_bytes`.
        Undecodable: it cannot be unpacked.
    """
    content, unpack = bytearray(), _unpacker(encoding)
    async for chunk in chunks:
        content += unpack(chunk, largest_bytes + 1 - len(content))
        if len(content) > largest_bytes:
            raise TooLarge
    return bytes(content)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Unpacks the next bytes, up to so many. Once packed only: layers multiply."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return lambda chunk, most: chunk[:most]
    if encoding != ACCEPTED_ENCODING:
        raise Undecodable
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def inflate(chunk: bytes, most: int) -> bytes:
        try:
            return inflater.decompress(chunk, most)
        except zlib.error as error:
            raise Undecodable from error

    return inflate


def parse(content: bytes, secret: str) -> object:
    """The JSON of a body, sanitised; None for anything else."""
    try:
        # Always UTF-8, as JSON is: the charset an answer claims may be a codec that raises.
        return sanitise(json.loads(content.decode("utf-8-sig", "replace")), secret)
    except (ValueError, RecursionError):
        return None


def sanitise(value: object, secret: str) -> object:
    """The value with every string on one line, as UTF-8 can carry it, and without the key.

    A line break could forge a line of a result, and half an emoji would end the stdio transport.
    """
    value = _each_text(value, _tidy)
    if not secret:
        return value
    key = _secret(secret)
    # Searched once as a whole: RunAPI hardly ever echoes a key, and an answer may be megabytes.
    if not key.is_in(json.dumps(value, ensure_ascii=False)):
        return value
    return _each_text(value, partial(key.hide, mark=KEY_HIDDEN))


def sanitise_headers(headers: Mapping[str, str], secret: str) -> Mapping[str, str]:
    """Headers, likewise."""
    tidy = {name: _tidy(value) for name, value in headers.items()}
    if not secret or not _secret(secret).is_in(" ".join(tidy.values())):
        return tidy
    return {name: sanitise_text(value, secret) for name, value in tidy.items()}


def sanitise_text(text: str, secret: str) -> str:
    """Words about a failed request, likewise."""
    text = _tidy(text)
    return _secret(secret).hide(text, KEY_HIDDEN) if secret else text


@lru_cache(maxsize=MOST_SECRETS)
def _secret(value: str) -> Secret:
    # Its forms take longer to make than to look for.
    return Secret(value)


def _tidy(text: str) -> str:
    return on_one_line(text[:LONGEST_TEXT])


def _each_text(value: object, edit: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return edit(value)
    if is_object(value):
        return {edit(name): _each_text(item, edit) for name, item in value.items()}
    items = as_list(value)
    return [_each_text(item, edit) for item in items] if items else value
