"""Killed anywhere on the way of a paid call and called again, it pays for one image and hands it
out.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar, get_args
from zlib import crc32

import anyio
import pytest

from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger.sqlite.database import Database
from runapi_mcp.orders.ledger.sqlite.ledger import SqliteLedger
from runapi_mcp.orders.poller import Poller
from runapi_mcp.providers.runapi.connection import Connection
from runapi_mcp.providers.runapi.prices import PriceList, Prices
from runapi_mcp.providers.runapi.provider import RunapiProvider
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Fault, FaultKind, Where
from runapi_mcp.server.calls import call_tool
from tests.support.fork_server import Start
from tests.support.killing import FORKS, End, conversation
from tests.support.processes import LIMIT_SECONDS, Network, call, network, opening
from tests.support.steps import is_end, moments, name

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive, FORKS]

TURNS = (opening("auto"), [call(1, "auto", "a fox [[poll-after 0.05s]]")])
AT_ONCE = 6
"""How many crashes are under way at the same time."""
PARTS = 4
"""In how many tests the crashes of one call are tried."""

BEGINNING = f"{name(call_tool)} < "
SERVING = "serve._serve_stdio"
ATTEMPT = f"{name(Connection.send)}.<locals>.attempt < "
EXCHANGE = f"{name(Connection.send).removesuffix('send')}_exchange < "
LANDMARKS = (
    name(Prices.of),
    name(SqliteLedger.intend),
    name(RunapiProvider.create),
    f"{name(Connection.send)}.<locals>.attempt",
    name(SqliteLedger.record),
    name(Database.write),
    name(Poller.follow),
    name(RunapiProvider.read),
    name(PictureStore.collect),
    "conversation._Outgoing.send",
    name(SqliteLedger.record_handover),
)
REQUESTS: Mapping[Where, str] = {
    "prices": f"{name(PriceList.look_up).removesuffix('look_up')}_refresh",
    "create": name(RunapiProvider.create),
    "created": name(RunapiProvider.create),
    "poll": name(RunapiProvider.read),
}
"""Who sends the request of each place."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong before a crash, on the way of the same call."""

    fault: Fault | None = None
    """What RunAPI does wrong once."""
    last_step: str | None = None
    """Where an earlier server died."""


NO_TROUBLE: Final = Trouble()


@dataclass(frozen=True, slots=True)
class Crash:
    """A server's death at a step of a call."""

    step: str
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call whose server was to crash, and which was made again if need be."""

    status: int
    """How the server ended."""
    images: int
    """How many the host was handed."""
    tasks: int
    spent_cents: int


KILLED: Final = Outcome(status=-9, images=1, tasks=1, spent_cents=5)
SPARED: Final = Outcome(status=0, images=1, tasks=1, spent_cents=5)


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's machine, and a RunAPI that only this user knows."""

    net: Network
    home: Path

    async def suffer(self, trouble: Trouble) -> None:
        if trouble.fault is not None:
            fault = trouble.fault
            self.net.sandbox.faults.inject(fault.where, fault.kind, seconds=fault.seconds)
        if trouble.last_step is not None:
            await self._called(self._watched(trouble.last_step))

    async def way(self) -> Sequence[str]:
        """The steps of a call, without those that a server makes for itself."""
        await self._called(self._watched())
        steps = (self.home / "steps").read_text().splitlines()
        began = next(n for n, step in enumerate(steps) if step.startswith(BEGINNING))
        return [step for step in steps[began:] if SERVING not in step]

    async def outcome(self, last_step: str) -> Outcome:
        """What a call comes to whose server kills itself at this step."""
        end = await self._called(self._watched(last_step))
        delivered = end if images(end) else await self._called(self._start())
        account = self.net.account()
        return Outcome(end.status, images(delivered), len(account.tasks), account.spent_cents)

    def _watched(self, last_step: str | None = None) -> Start:
        return replace(self._start(), log=str(self.home / "steps"), last_step=last_step)

    def _start(self) -> Start:
        environment = {**os.environ, **self.net.environment(), "HOME": str(self.home)}
        return Start.here(environment=environment)

    async def _called(self, start: Start) -> End:
        with anyio.fail_after(LIMIT_SECONDS):
            return await conversation(start, *TURNS)


def images(end: End) -> int:
    """How many images are in the last answer."""
    results = [answer.get("result", {}) for answer in end.answers]
    contents = [result.get("structuredContent", {}) for result in results]
    return sum(len(content.get("image_urls", [])) for content in contents)


@dataclass(frozen=True, slots=True)
class Town:
    """Where machines stand, all on one network."""

    net: Network
    folder: Path

    async def way(self, trouble: Trouble = NO_TROUBLE) -> Sequence[str]:
        return await (await self._machine(trouble)).way()

    async def added(self, troubles: Sequence[Trouble]) -> Sequence[Crash]:
        """A crash at each step that these troubles add to the way of a call."""
        known = set(await self.way())
        ways = await together(self.way, troubles)
        crashes: list[Crash] = []
        for trouble in troubles:
            added = [step for step in moments(ways[trouble]) if step not in known]
            crashes += [Crash(step, trouble) for step in added]
            known.update(added)
        return crashes

    async def outcomes(self, crashes: Sequence[Crash]) -> Mapping[Crash, Outcome]:
        return await together(self._outcome, crashes)

    async def _outcome(self, crash: Crash) -> Outcome:
        return await (await self._machine(crash.trouble)).outcome(crash.step)

    async def _machine(self, trouble: Trouble) -> Machine:
        home = Path(mkdtemp(dir=self.folder))
        sandbox = Sandbox(draw_seconds=0)
        self.net.sandbox.app.mount(f"/{home.name}", sandbox.app)
        net = Network(f"{self.net.base_url}/{home.name}", sandbox)
        machine = Machine(net, home)
        await machine.suffer(trouble)
        return machine


async def together(
    work: Callable[[Item], Awaitable[Result]], items: Sequence[Item]
) -> Mapping[Item, Result]:
    """What the work makes of each item, some of them at the same time."""
    results: dict[Item, Result] = {}
    room = anyio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with room:
            results[item] = await work(item)

    async with anyio.create_task_group() as group:
        for item in items:
            group.start_soon(one, item)
    return results


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[Town]:
    async with network() as net:
        yield Town(net, tmp_path)


async def test_the_way_of_a_call_passes_all_that_writes_pays_or_delivers(town: Town) -> None:
    way = await town.way()
    assert set(LANDMARKS) <= {step.split()[0] for step in way}


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_crash_at_any_step_of_a_call_costs_one_image_and_loses_none(
    town: Town, part: int
) -> None:
    steps = moments(await town.way())
    of_this_part = [Crash(step) for step in steps if crc32(step.encode()) % PARTS == part]
    outcomes = await town.outcomes(of_this_part)
    assert len(killed(outcomes)) > 30


@pytest.mark.parametrize("where", REQUESTS)
async def test_a_crash_when_a_fault_has_come_costs_one_image_and_loses_none(
    town: Town, where: Where
) -> None:
    way = await town.way()
    crashes = [Crash(moment_of(fault, way), Trouble(fault)) for fault in faults(where)]
    outcomes = await town.outcomes(crashes)
    assert outcomes == dict.fromkeys(crashes, KILLED)


# What fails as `created` leads over the same steps as a `create`, and a failed price over no more.
@pytest.mark.parametrize("where", ["create", "poll"])
async def test_a_crash_at_any_step_that_faults_add_costs_one_image_and_loses_none(
    town: Town, where: Where
) -> None:
    crashes = await town.added([Trouble(fault) for fault in faults(where)])
    assert killed(await town.outcomes(crashes)) != []


async def test_a_crash_at_any_step_that_an_earlier_one_adds_costs_one_image_and_loses_none(
    town: Town,
) -> None:
    paid = answered("create", await town.way())
    crashes = await town.added([Trouble(last_step=paid)])
    assert len(killed(await town.outcomes(crashes))) > 50


def faults(where: Where) -> Sequence[Fault]:
    return [Fault(where, kind, 0.3 if kind == "slow" else None) for kind in get_args(FaultKind)]


def moment_of(fault: Fault, way: Sequence[str]) -> str:
    """When the request that is to fail has been answered, or is being answered slowly."""
    return (unanswered if fault.kind == "slow" else answered)(fault.where, way)


def unanswered(where: Where, way: Sequence[str]) -> str:
    """When a request is out: its last wait."""
    waits = [step for step in way if step.startswith(EXCHANGE) and " waits " in step]
    return [step for step in waits if REQUESTS[where] in step][-1]


def answered(where: Where, way: Sequence[str]) -> str:
    """When the answer to a request has been read, and nothing is made of it yet."""
    ends = [step for step in way if step.startswith(ATTEMPT) and is_end(step)]
    return next(step for step in ends if REQUESTS[where] in step)


def is_sure(step: str) -> bool:
    """Whether it comes each time, however fast the machine is."""
    return " waits " not in step and step.endswith(" 1")


def killed(outcomes: Mapping[Crash, Outcome]) -> Sequence[Crash]:
    """The crashes that came, all with the one outcome there may be.

    One may fail to come only where the step itself did not: at a wait, or when something was to be
    done once more, such as telling the host that the picture takes its time.
    """
    came = [crash for crash in outcomes if is_sure(crash.step) or outcomes[crash] != SPARED]
    assert {crash: outcomes[crash] for crash in came if outcomes[crash] != KILLED} == {}
    return came
