"""Callbacks: posted once, to this machine only, to whoever wanted to hear of an end."""

import logging
from collections.abc import Mapping
from typing import Final

from runapi_mcp.base.urls import is_loopback

CALLBACK_SECONDS: Final = 5.0
logger = logging.getLogger(__name__)


async def call_back(url: str, content: bytes, headers: Mapping[str, str]) -> None:
    """Post JSON to an address of this machine. One try; a callback is only a hint."""
    # Imported here, as few tasks name a callback.
    import httpx

    if not is_loopback(url):
        return
    sent = {"Content-Type": "application/json", **headers}
    try:
        # Loading the certificates would take longer than all else.
        verify = url.startswith("https:")
        client = httpx.AsyncClient(timeout=CALLBACK_SECONDS, trust_env=False, verify=verify)
        async with client:
            await client.post(url, content=content, headers=sent)
    except httpx.HTTPError as error:
        logger.warning("the callback to %s failed: %s", url, error)
