"""A ledger that cannot be used stops paying, and nothing else."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

import anyio

from runapi_mcp.base.errors import LedgerUnusable

logger = logging.getLogger(__name__)

Known = TypeVar("Known")


async def read_or_none(reading: Awaitable[Known]) -> Known | None:
    """What the ledger knows; nothing, when it cannot be used: reading goes on without."""
    try:
        return await reading
    except LedgerUnusable as failure:
        logger.warning("%s", failure)
        return None


async def write_or_log(writing: Awaitable[None]) -> bool:
    """Whether the ledger took it, whatever the caller does. What was paid is not undone by a no."""
    with anyio.CancelScope(shield=True):
        try:
            await writing
        except LedgerUnusable as failure:
            logger.warning("%s", failure)
            return False
        except Exception:
            # What nobody foresaw must not swallow the id of a task that is paid.
            logger.exception("the ledger could not be written")
            return False
    return True
