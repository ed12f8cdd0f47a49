"""When a server on stdio is abandoned: who started it is gone, and nobody says anything.

Its stdin ends with its host, unless some other program has inherited the pipe and holds it open.
"""

import os

import anyio

from runapi_mcp.base.background import Background
from runapi_mcp.transports.activity import Activity

SILENT_SECONDS = 60.0
LOOK_EVERY_SECONDS = 20.0


async def until_abandoned(activity: Activity, background: Background) -> None:
    """Return once nobody is there any more whom this process could serve."""
    starter = os.getppid()
    while not (  # noqa: ASYNC110 - the system has no event for it
        os.getppid() != starter
        and activity.silent_seconds >= SILENT_SECONDS
        and not activity.requests_in_hand
        and background.is_idle
    ):
        await anyio.sleep(LOOK_EVERY_SECONDS)
