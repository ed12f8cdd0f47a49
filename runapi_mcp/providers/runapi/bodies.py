"""Bodies of answers: bounded while they come, decoded, and cleaned of what must not go on."""

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

from runapi_mcp.base.json_values import as_list, is_object
from runapi_mcp.base.printable import on_one_line

HIDDEN = "[key-hidden]"


class TooLarge(Exception):
    """A body that goes on after its limit."""


async def read_bounded(chunks: AsyncIterator[bytes], largest_bytes: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it has more than `largest_bytes`, also when it was sent compressed.
    """
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > largest_bytes:
            raise TooLarge
    return bytes(content)


def parse(content: bytes, secret: str) -> object:
    """The JSON of a body, cleaned; None for anything else."""
    try:
        # Always UTF-8, as JSON is: the charset an answer claims may be a codec that raises.
        return clean(json.loads(content.decode("utf-8-sig", "replace")), secret)
    except (ValueError, RecursionError):
        return None


def clean(value: object, secret: str) -> object:
    """The value with every string cleaned."""
    if isinstance(value, str):
        return clean_text(value, secret)
    if is_object(value):
        return {clean_text(name, secret): clean(item, secret) for name, item in value.items()}
    items = as_list(value)
    return [clean(item, secret) for item in items] if items else value


def clean_text(text: str, secret: str) -> str:
    """The text on one line, without the key should RunAPI echo it, and as UTF-8 can carry it.

    A line break could forge a line of a result, and half an emoji would end the stdio transport.
    """
    text = on_one_line(text)
    for shown in {secret, quote(secret, safe="")} if secret else ():
        text = text.replace(shown, HIDDEN)
    return text
