"""Making a paid task: one idempotency key, one charge, and an id that is never dropped."""

import uuid

from runapi_mcp.api import RunAPI
from runapi_mcp.api.tasks import Task
from runapi_mcp.catalog import Params, Variant


async def create(runapi: RunAPI, variant: Variant, params: Params) -> Task:
    """The new task, paid once however often the request had to be repeated.

    Raises:
        RunapiFailure: no task is known; `in_doubt` says whether there may be one.
        KeyMissing: there is no key to pay with; nothing was sent.
    """
    return await runapi.tasks.create(variant, params.model_dump(), str(uuid.uuid4()))
