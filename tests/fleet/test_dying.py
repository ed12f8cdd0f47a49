"""A server killed at any step of a call; the same call at another one: one charge, one picture.

`DYING_SHARE=1 pytest -n 0 --timeout 0 tests/fleet/test_dying.py` kills one at every step, which
takes some minutes.
"""

import os
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zlib import crc32

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.server.calls import call_tool
from tests.support.fleet.site import FleetSite, fleet_environment, fleet_site
from tests.support.fork_server import Start
from tests.support.killing import FORKS, call_over_http
from tests.support.processes import DRAW, LIMIT_SECONDS
from tests.support.steps import moments, name

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive, FORKS]

PROMPT = "a fox [[poll-after 0.05s]]"
SEND_SECONDS = 0.2
"""How long these servers take a request for being on its way that another one has sent."""
AT_ONCE = 4
"""How many servers die at the same time."""
SHARE: Final = int(os.environ.get("DYING_SHARE", "3"))
"""One of so many steps is tried: what comes before a request and after it is as in one server."""
BEGINNING = f"{name(call_tool)} < "
SERVING = "serve._serve_http"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    """How the server ended that was called first."""
    drawn: str
    tasks: int
    spent_cents: int


KILLED = Outcome(-9, "completed", 1, 5)
SPARED = Outcome(0, "completed", 1, 5)


@dataclass(frozen=True, slots=True)
class Town:
    """Servers that live on, and one more for each call, which dies of it."""

    site: FleetSite
    environment: dict[str, str]
    folder: Path

    async def way(self) -> Sequence[str]:
        """The steps of a call at a server that survives it."""
        log = self.folder / "way"
        await self._call_at_another(Start.here(environment=self.environment), log, None, "whole")
        steps = log.read_text().splitlines()
        began = next(n for n, step in enumerate(steps) if step.startswith(BEGINNING))
        return [step for step in steps[began:] if SERVING not in step]

    async def outcome(self, number: int, step: str) -> Outcome:
        key = f"{number}"
        start = Start.here(environment=self.environment)
        status = await self._call_at_another(start, self.folder / key, step, key)
        client = self.site.client("2026-07-28", key=_key(key))
        drawn = await client.draw(PROMPT, wait_seconds=60)
        account = self.site.net.account(_key(key))
        state = drawn.get("structuredContent", {}).get("status", "an error")
        return Outcome(status, state, len(account.tasks), account.spent_cents)

    async def _call_at_another(self, start: Start, log: Path, step: str | None, key: str) -> int:
        watched = replace(start, log=str(log), last_step=step, send_seconds=SEND_SECONDS)
        arguments = {"prompt": PROMPT, "wait_seconds": 60}
        with anyio.fail_after(LIMIT_SECONDS):
            return (await call_over_http(watched, "auto", _key(key), DRAW, arguments)).status


def _key(name: str) -> str:
    return f"sandbox-of-{name}"


@pytest.fixture
async def town(fleet_database: SecretStr, tmp_path: Path) -> AsyncGenerator[Town]:
    async with fleet_site(fleet_database, send_seconds=SEND_SECONDS) as site:
        environment = {**os.environ, **fleet_environment(site.net, fleet_database)}
        yield Town(site, environment, tmp_path)


async def test_a_server_killed_at_any_step_costs_one_picture_that_another_delivers(
    town: Town,
) -> None:
    steps = [step for step in moments(await town.way()) if crc32(step.encode()) % SHARE == 0]
    outcomes: dict[str, Outcome] = {}
    room = anyio.Semaphore(AT_ONCE)

    async def die_at(number: int, step: str) -> None:
        async with room:
            outcomes[step] = await town.outcome(number, step)

    async with anyio.create_task_group() as group:
        for number, step in enumerate(steps):
            group.start_soon(die_at, number, step)
    # A step that races, such as a second wait, may not have come.
    assert {step: each for step, each in outcomes.items() if each not in (KILLED, SPARED)} == {}
    assert list(outcomes.values()).count(KILLED) > len(steps) / 2 > 10
