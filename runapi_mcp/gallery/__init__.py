"""The page a host may show beside a result, as a resource of the MCP Apps extension.

Knows no MCP, no tools: names, `_meta` and text are for the server to hand out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor

UI_EXTENSION: Final = "io.modelcontextprotocol/ui"
PAGE_URI: Final = "ui://runapi/gallery.html"
PAGE_MIME_TYPE: Final = "text/html;profile=mcp-app"
PAGE_NAME: Final = "gallery"
PAGE_TITLE: Final = "Flux 2 gallery"
PAGE_DESCRIPTION: Final = "Shows a drawn image with its price, and draws it again or remixes it."
ARGUMENTS_META: Final = "runapi-mcp/asked"
"""In a result's `_meta`: the arguments of the call that ordered its task."""

TOOL_META: Final[Mapping[str, object]] = {
    "ui": {"resourceUri": PAGE_URI},
    # The older place, where the official host bridge still looks.
    "ui/resourceUri": PAGE_URI,
}
"""The `_meta` of a tool whose result the page shows."""

_CATALOGUE: Final = "const VARIANTS = "
"""What the page keeps the catalogue in."""


def page_meta(*urls: str, vendors: Iterable[Vendor] = ()) -> dict[str, object]:
    """The `_meta` of the page: how a host frames it, and from where it may load images.

    `vendors` are those that sell besides RunAPI.
    """
    others = [origin for vendor in vendors for origin in vendor.image_origins]
    origins = dict.fromkeys([*RUNAPI.image_origins, *others, *map(_origin, urls)])
    return {
        "ui": {
            "csp": {"resourceDomains": list(origins)},
            "permissions": {"clipboardWrite": {}},
            "prefersBorder": True,
        }
    }


@cache
def read_page(variants: Sequence[Variant] = VARIANTS) -> str:
    """The page's HTML for what a server may order, read when a host first asks for it."""
    # Imported here: most hosts show no page, and every start would pay for it.
    from importlib.resources import files

    text = files("runapi_mcp.gallery").joinpath("page.html").read_text(encoding="utf-8")
    rows = json.dumps([_row(variant) for variant in variants])
    return text.replace(f"{_CATALOGUE}[]", f"{_CATALOGUE}{rows}")


def _row(variant: Variant) -> dict[str, object]:
    """What the page needs to name a variant, and to order it."""
    ratio = variant.params.model_fields.get("aspect_ratio")
    return {
        "model": variant.model,
        "tool": variant.tool_name,
        "tier": variant.tier.title,
        "action": variant.action,
        "resolutions": variant.resolutions,
        "needsRatio": ratio is not None and ratio.is_required(),
        **({"pricedBySize": True} if "image_size" in variant.field_names else {}),
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
