"""When a server on stdio is abandoned: who started it is gone, and nobody says anything.

Its stdin ends with its host, unless some other program has inherited the pipe and holds it open.
"""

import anyio

from runapi_mcp.base.background import Background
from runapi_mcp.front import starter
from runapi_mcp.transports.activity import Activity


async def until_abandoned(activity: Activity, background: Background, by: starter.Starter) -> None:
    """Return once nobody is there any more whom this process could serve."""
    while not (  # noqa: ASYNC110 - the system has no event for it
        by.is_gone
        and activity.silent_seconds >= starter.SILENT_SECONDS
        and not activity.requests_in_hand
        and background.is_idle
    ):
        await anyio.sleep(starter.LOOK_EVERY_SECONDS)
