"""The whole surface: which tools are offered, and what a host is told first."""

from collections.abc import Sequence
from typing import Final

from runapi_mcp.base.catalog import Variant, tiers_of
from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.tools.convert_tool import CONVERT_IMAGE
from runapi_mcp.tools.drawing import drawing_tool
from runapi_mcp.tools.login_tool import LOGIN
from runapi_mcp.tools.pricing import balance_tool, pricing_tool
from runapi_mcp.tools.reading import GET_TASK, LIST_TASKS
from runapi_mcp.tools.tool import Tool

_FACTS: Final = (
    "Every drawing call costs money; check_pricing is free. A call waits as long as the host "
    "allows, or wait_seconds. An image not ready by then comes back as a task_id: call get_task "
    "with it; list_tasks finds a lost one. The same call again gets the same image, for nothing, "
    "until it arrived or was used; redraw with its task_id draws a new one, count several. Failed "
    "images are not charged. {files}preview_px 0 leaves the preview out. "
    "{urls}"
    "Flux 2 at RunAPI has no seed, steps or guidance. Arguments are checked before anything is "
    "paid."
)
_FILES: Final = (
    "Images are saved as files; the answer begins with their paths, and save_as names them, its "
    "suffix sets the format. "
)

_ELSEWHERE: Final = (
    "Seed, steps, guidance or an exact size: {tool}, paid at {vendor}, whose URLs last {days}."
)


_KEPT: Final = "save_as names an image where it is kept. "
_URLS: Final = "Image URLs last about 7 days. "
_LINKS: Final = "Image URLs last. "


def instructions(variants: Sequence[Variant], *, saves: bool = True, keeps: bool = False) -> str:
    """What a host tells its model about the server.

    Some hosts show the first 250 characters only: what it does, and which tool comes first.
    """
    first = {variant.action: variant.tool_name for variant in reversed(variants)}
    parts = ["Draw and edit images with Flux 2 through RunAPI."]
    if draw := first.get("text_to_image"):
        parts.append(f"New image: {draw}.")
    if edit := first.get("remix_image") or first.get("image_to_image"):
        parts.append(f"Change or combine images, by URL, local path or task_id: {edit}.")
    parts += [_elsewhere(variant) for variant in variants if variant.vendor is not RUNAPI]
    tiers = tiers_of(variants)
    if PRO in tiers:
        parts += [tier.advice for tier in tiers if tier.advice]
    files = _KEPT if keeps else _FILES if saves else ""
    return " ".join([*parts, _FACTS.format(files=files, urls=_LINKS if keeps else _URLS)])


def _elsewhere(variant: Variant) -> str:
    vendor = variant.vendor
    return _ELSEWHERE.format(tool=variant.tool_name, vendor=vendor.title, days=vendor.image_days)


def offered(variants: Sequence[Variant]) -> tuple[Tool, ...]:
    return (
        *(drawing_tool(variant) for variant in variants),
        GET_TASK,
        LIST_TASKS,
        pricing_tool(variants),
        balance_tool(variants),
        CONVERT_IMAGE,
        LOGIN,
    )
