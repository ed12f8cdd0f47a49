"""The blocks of a result: the facts as text, a preview of each image, and maybe a link to each.

Hosts drop one kind of block or another, so that the text alone is complete.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mcp_types import ContentBlock, ImageContent, ResourceLink, TextContent

from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.picture import Picture

if TYPE_CHECKING:
    from runapi_mcp.images.inspection import Preview

LARGEST_RESULT_BYTES: Final = 200_000
"""Of a whole answer. Some hosts drop one that is larger, and all make their models read it."""
PREVIEWS_LEFT_OUT: Final = "Not all previews fit into this answer."
ENVELOPE_BYTES: Final = 2_000
"""What JSON-RPC puts around it."""


def blocks(
    text: str, structured_bytes: int, pictures: Sequence[Picture], *, with_links: bool
) -> list[ContentBlock]:
    """The content of a result whose structured form has so many bytes.

    Where an answer is too long, links are left out first, because the text has their addresses.
    """
    told = TextContent(text=text)
    room = LARGEST_RESULT_BYTES - ENVELOPE_BYTES - structured_bytes - _json_bytes(told)
    content: list[ContentBlock] = [told]
    previews = [_image(picture.preview) for picture in pictures if picture.preview]
    links = [_link(picture) for picture in pictures if picture.path or picture.url]
    for block in (*previews, *(links if with_links else [])):
        size = _json_bytes(block)
        if size <= room:
            room -= size
            content.append(block)
    return content


def shows_all(content: Sequence[ContentBlock], pictures: Sequence[Picture]) -> bool:
    """Whether every preview that there is is in the content."""
    shown = sum(isinstance(block, ImageContent) for block in content)
    return shown == sum(picture.preview is not None for picture in pictures)


def _json_bytes(block: ContentBlock) -> int:
    """As those write it who write some characters as six."""
    return len(json.dumps(block.model_dump(by_alias=True, mode="json"))) + len(", ")


def _image(preview: Preview) -> ImageContent:
    return ImageContent(data=b64encode(preview.content).decode(), mime_type=preview.media_type)


def _link(picture: Picture) -> ResourceLink:
    """To the file, where the caller has one; else to RunAPI's copy, or the one that is kept."""
    path, info = None if picture.is_far else picture.path, picture.info
    if path:
        name, uri = printable_path(path.name), path.as_uri()
    else:
        # The last part of a link of our own is a signature.
        last = "" if picture.is_kept else picture.url.partition("?")[0].rpartition("/")[2]
        name, uri = last or "image", picture.url
    return ResourceLink(name=name, uri=uri, mime_type=info.format.media_type if info else None)
