"""A server killed at any step of a call; the same call at another one: one charge, one picture.

`DYING_SHARE=1 pytest -n 0 --timeout 0 tests/fleet/test_dying.py` kills one at every step, which
takes some minutes. With the rule's own 20 seconds: `benchmarks/fleet.py --only dying`.
"""

import os
from pathlib import Path
from typing import Final
from zlib import crc32

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.dying import KILLED, SPARED, Outcome, town
from tests.support.killing import FORKS

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive, FORKS]

SEND_SECONDS = 0.2
"""How long these servers take a request for being on its way that another one has sent."""
AT_ONCE = 4
"""How many servers die at the same time."""
SHARE: Final = int(os.environ.get("DYING_SHARE", "3"))
"""One of so many steps is tried: what comes before a request and after it is as in one server."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_server_killed_at_any_step_costs_one_picture_that_another_delivers(
    fleet_database: SecretStr, tmp_path: Path
) -> None:
    outcomes: dict[str, Outcome] = {}
    room = anyio.Semaphore(AT_ONCE)
    async with town(fleet_database, tmp_path, SEND_SECONDS) as there:
        steps = [step for step in await there.steps() if crc32(step.encode()) % SHARE == 0]

        async def die_at(number: int, step: str) -> None:
            async with room:
                outcomes[step] = await there.call_again(number, await there.die(number, step))

        async with anyio.create_task_group() as group:
            for number, step in enumerate(steps):
                group.start_soon(die_at, number, step)
    assert {step: each for step, each in outcomes.items() if each not in (KILLED, SPARED)} == {}
    assert list(outcomes.values()).count(KILLED) > len(steps) / 2 > 10
