"""Telling whoever waits how it goes."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

Report = Callable[[str], Awaitable[None]]
"""Shows a message to a person."""
Result = TypeVar("Result")

PROGRESS_SECONDS: Final = 2.0


async def report_while(
    report: Report, message: Callable[[float], str], work: Callable[[], Awaitable[Result]]
) -> Result:
    """What the work gives. How it goes is told when it begins, and every two seconds.

    `message` is given the seconds since the beginning.
    """
    results: list[Result] = []
    errors: list[Exception] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_report_on, report, message)
        try:
            results.append(await work())
        except Exception as error:  # noqa: BLE001 - out of the group it would come as a group
            errors.append(error)
        group.cancel_scope.cancel()
    for error in errors:
        raise error
    return results[0]


async def _report_on(report: Report, message: Callable[[float], str]) -> None:
    started = anyio.current_time()
    while True:
        await report(message(anyio.current_time() - started))
        await anyio.sleep(PROGRESS_SECONDS)
