"""How long a call waits for a server that died while it paid, by the rule's own 20 seconds.

One server more dies at each step between the note that it sends and the note of the task, and the
same call comes to another one at once. That cannot know whether the first still waits for an
answer, so it gives it the 20 seconds of docs/money.md; then it asks under the same key. Each
picture is to be delivered, charged once, and there within these seconds and a create's own.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import anyio
from figures import Limits
from host import clean_environ

from runapi_mcp.cli.fleet_database import prepare
from runapi_mcp.orders.ledger.entry import SEND_SECONDS
from runapi_mcp.orders.payment import Payment, record_made
from runapi_mcp.providers.port import CREATE_SECONDS
from tests.support.fleet.dying import KILLED, SPARED, Outcome, Town, town
from tests.support.fleet.postgres_server import running_server
from tests.support.steps import name

AT_ONCE: Final = 4
"""How many servers die at the same time."""
FEWEST_STEPS: Final = 5
_NOTES_SEND: Final = f"{name(Payment.pay).rpartition('.')[0]}._note_send"
_NOTES_TASK: Final = name(record_made)


async def dying(limits: Limits, share: float) -> None:
    with clean_environ(), running_server() as postgres, tempfile.TemporaryDirectory() as folder:
        database = postgres.url(postgres.create_database())
        await prepare(database)
        async with town(database, Path(folder)) as there:
            unsure = _unsure(await there.steps())
            steps = unsure[:: min(round(1 / share), len(unsure) // FEWEST_STEPS)]
            outcomes, waited = await _die_at(there, steps)
    killed, spared = outcomes.count(KILLED), outcomes.count(SPARED)
    print(f"{len(steps)} of {len(unsure)} steps at which nobody knows whether it was paid")
    print(f"        {killed} servers killed, {spared} came to no such step")
    print(f"        the same call waited {median(waited):.1f} s, {min(waited):.1f} at least")
    limits.count("dying: lost, or charged twice", len(outcomes) - killed - spared, 0)
    limits.number("dying: longest wait in s", max(waited), SEND_SECONDS + CREATE_SECONDS)


def _unsure(steps: Sequence[str]) -> Sequence[str]:
    noted = max(number for number, step in enumerate(steps) if _NOTES_SEND in step)
    known = max(number for number, step in enumerate(steps) if _NOTES_TASK in step)
    return steps[noted + 1 : known]


async def _die_at(there: Town, steps: Sequence[str]) -> tuple[list[Outcome], list[float]]:
    """What became of each, and how long the same call took."""
    outcomes, waited = list[Outcome](), list[float]()
    room = anyio.Semaphore(AT_ONCE)

    async def die_at(number: int, step: str) -> None:
        async with room:
            status = await there.die(number, step)
        began_at = anyio.current_time()
        outcomes.append(await there.call_again(number, status))
        waited.append(anyio.current_time() - began_at)

    async with anyio.create_task_group() as group:
        for number, step in enumerate(steps):
            group.start_soon(die_at, number, step)
    return outcomes, waited
