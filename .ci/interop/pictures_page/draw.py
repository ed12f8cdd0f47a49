"""Draws what the page is to show: by a server on stdio, as a host has it drawn."""

import os
import sys
from collections.abc import Mapping

import anyio
from mcp import Client, StdioServerParameters

LONG = (
    "a travel poster of the fifties that says “Grüße aus Köln”, hand lettered, with the cathedral "
    "at dusk, three barges on the river, a red balloon, and very small people on the bridge who "
    "look up at it while the lamps are being lit one after the other"
)
CALLS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("flux_2_pro_text_to_image", {"prompt": "a red fox in the snow", "aspect_ratio": "3:2"}),
    ("flux_2_flex_text_to_image", {"prompt": LONG, "aspect_ratio": "3:4"}),
    ("flux_2_max_text_to_image", {"prompt": "a lighthouse at night", "aspect_ratio": "16:9"}),
    ("flux_2_klein_text_to_image", {"prompt": "an OWL, sketched", "aspect_ratio": "1:1"}),
    ("flux_2_pro_text_to_image", {"prompt": "夜の灯台", "save_as": "art/tower", "count": 2}),
)


async def main() -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "runapi_mcp"], env=dict(os.environ)
    )
    async with Client(server) as client:
        for tool, arguments in CALLS:
            result = await client.call_tool(tool, {**arguments, "preview_px": 0})
            if result.is_error:
                sys.exit(str(result.content))


anyio.run(main)
