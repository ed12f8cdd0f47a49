"""Killed anywhere on the way of a paid call and called again, it pays for one image and hands it
out. Deaths beside faults are told in virtual time (`test_money_properties.py`).
"""

import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar, get_args
from zlib import crc32

import anyio
import pytest

from runapi_mcp.base.single_flight import SingleFlight
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger.sqlite.database import Database
from runapi_mcp.orders.ledger.sqlite.ledger import SqliteLedger
from runapi_mcp.orders.payment import Paid, Payment, wait_for_other_senders
from runapi_mcp.orders.poller import Poller
from runapi_mcp.orders.single_send import SingleSend
from runapi_mcp.providers.keep_alive import KeepAliveTransport
from runapi_mcp.providers.runapi.connection import Connection
from runapi_mcp.providers.runapi.prices import PriceList, Prices
from runapi_mcp.providers.runapi.provider import RunapiProvider
from runapi_mcp.providers.runflow import Runflow
from runapi_mcp.providers.runflow.flex_offer import Offers
from runapi_mcp.providers.runflow.run_connection import RunConnection
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Fault, FaultKind, Where
from runapi_mcp.server.calls import call_tool
from tests.support.fork_server import Start
from tests.support.killing import FORKS, End, call_over_http, conversation, stopped
from tests.support.photos import REMIX, photo
from tests.support.processes import LIMIT_SECONDS, Network, network, opening, request
from tests.support.sellers import RUNAPI_SELLER, RUNFLOW_SELLER, SELLERS, Seller
from tests.support.steps import is_end, moments, name
from tests.support.world import ERAS

pytestmark = [pytest.mark.anyio, pytest.mark.exhaustive, FORKS]

QUICK = "a fox [[poll-after 0.05s]]"
MOST_RETRIES = 2
LISTED_SECONDS = 0.6
"""How long after its send these servers take a run for being in the list of runs."""
MOST_LOOKS = 8
"""How often a call is made again until it is certain that nothing was made."""
SHARE = 8
"""Of what only another call passes, every eighth step is tried."""
AT_ONCE = 6
"""How many crashes are under way at the same time."""
SEND_SECONDS = 0.2
"""How long these servers take a request for being on its way that another one has sent."""
AT_BOTH = pytest.mark.parametrize("seller", SELLERS, ids=repr)
PARTS = 2
"""In how many tests the crashes of one call are tried."""

BEGINNING = f"{name(call_tool)} < "
SERVING = "serve._serve_stdio"
ATTEMPTS: Mapping[Seller, str] = {
    RUNAPI_SELLER: f"{name(Connection.send)}.<locals>.attempt < ",
    RUNFLOW_SELLER: f"{name(RunConnection.send)} < ",
}
EXCHANGE = f" < {name(KeepAliveTransport.handle_async_request)} < "
WAITING = name(wait_for_other_senders)
LANDMARKS = (
    name(SqliteLedger.find_alike),
    name(SqliteLedger.intend),
    name(SingleFlight[Paid].wait),
    name(SqliteLedger.record),
    name(Database.transaction),
    name(Poller.follow),
    name(PictureStore.collect),
    "conversation._Outgoing.send",
    name(SqliteLedger.record_handover),
)
"""What the way of a call passes, whoever sells."""
OWN_LANDMARKS: Mapping[Seller, Sequence[str]] = {
    RUNAPI_SELLER: (
        name(Prices.of),
        name(Payment.pay),
        name(RunapiProvider.create),
        name(SqliteLedger.record_send),
        f"{name(Connection.send)}.<locals>.attempt",
        name(RunapiProvider.read),
    ),
    RUNFLOW_SELLER: (
        name(Offers.of),
        name(SingleSend.pay),
        name(Runflow.create),
        name(SqliteLedger.claim_send),
        name(RunConnection.send),
        name(Runflow.read),
    ),
}
REQUESTS: Mapping[Seller, Mapping[Where, str]] = {
    RUNAPI_SELLER: {
        "prices": f"{name(PriceList.look_up).removesuffix('look_up')}_refresh",
        "create": name(RunapiProvider.create),
        "created": name(RunapiProvider.create),
        "poll": name(RunapiProvider.read),
    },
    RUNFLOW_SELLER: {
        "models": f"{name(Offers.of).removesuffix('of')}_refresh",
        "create": name(Runflow.create),
        "created": name(Runflow.create),
        "poll": name(Runflow.read),
    },
}
"""Who sends the request of each place."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a host asks for, and how."""

    era: str = "auto"
    count: int = 1
    sources: tuple[str, ...] = ()
    """Files of the machine's home."""
    over_http: bool = False
    seller: Seller = RUNAPI_SELLER

    @property
    def tool(self) -> str:
        return REMIX if self.sources else self.seller.tool

    def arguments(self, home: Path) -> Mapping[str, object]:
        sources = {"source_image_urls": [str(home / each) for each in self.sources]}
        asked = {"prompt": QUICK, "wait_seconds": 60, "count": self.count}
        return {**asked, **(sources if self.sources else {})}

    def turns(self, home: Path) -> tuple[list[str], list[str]]:
        asked = {"name": self.tool, "arguments": self.arguments(home)}
        return opening(self.era), [request(1, "tools/call", self.era, **asked)]


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

    def times(self, count: int) -> "Outcome":
        """The same of a call for so many images."""
        return Outcome(
            self.status, self.images * count, self.tasks * count, self.spent_cents * count
        )


KILLED: Final = Outcome(status=-9, images=1, tasks=1, spent_cents=5)
SPARED: Final = Outcome(status=0, images=1, tasks=1, spent_cents=5)


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's machine, and a RunAPI that only this user knows."""

    net: Network
    home: Path
    ask: Ask

    async def suffer(self, trouble: Trouble) -> None:
        if trouble.fault is not None:
            fault = trouble.fault
            faults = self.ask.seller.faults(self.net.sandbox)
            faults.inject(fault.where, fault.kind, seconds=fault.seconds)
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
        end = delivered = await self._called(self._watched(last_step))
        for pause in self._pauses:
            # Also a doubt that was told is asked about by the same call.
            if not images(delivered):
                await anyio.sleep(pause)
                delivered = await self._called(self._again())
        return self._outcome(end.status, delivered)

    async def outcome_beside(self, last_step: str) -> Outcome:
        """What it comes to that a second server makes a call whose own has stopped at this step."""
        start = replace(self._watched(last_step), last_signal=signal.SIGSTOP)
        with anyio.fail_after(LIMIT_SECONDS):
            async with stopped(start, *chain(*self.ask.turns(self.home))):
                end = await self._called(self._start())
        if not images(end):
            # Another thread of the first one had stopped while it held the ledger's lock.
            end = await self._called(self._start())
        return self._outcome(end.status, end)

    def _outcome(self, status: int, delivered: End) -> Outcome:
        account = self.ask.seller.account(self.net.sandbox, self._key_of(self.ask.seller))
        return Outcome(status, images(delivered), len(account.tasks), account.spent_cents)

    @property
    def _pauses(self) -> Sequence[float]:
        """Before each time that a call is made again."""
        if self.ask.seller.vendor.repeats_safely:
            return [0.0] * MOST_RETRIES
        return [LISTED_SECONDS / 2] * MOST_LOOKS

    def _key_of(self, seller: Seller) -> str:
        return f"{seller.key}-{self.home.name}"

    def _watched(self, last_step: str | None = None) -> Start:
        return replace(self._start(), log=str(self.home / "steps"), last_step=last_step)

    def _again(self) -> Start:
        """The next server: for it, what nobody has listed for so long was never made."""
        return replace(self._start(), listed_seconds=LISTED_SECONDS)

    def _start(self) -> Start:
        environment = {
            **os.environ,
            **self.net.environment(self._key_of(RUNAPI_SELLER)),
            "HOME": str(self.home),
            "RUNAPI_INPUT_DIRS": str(self.home),
        }
        if self.ask.seller is RUNFLOW_SELLER:
            environment |= self.net.runflow_environment(self._key_of(RUNFLOW_SELLER))
        return replace(Start.here(environment=environment), send_seconds=SEND_SECONDS)

    async def _called(self, start: Start) -> End:
        ask = self.ask
        with anyio.fail_after(LIMIT_SECONDS):
            if not ask.over_http:
                return await conversation(start, *ask.turns(self.home))
            arguments = ask.arguments(self.home)
            key = self._key_of(ask.seller)
            return await call_over_http(start, ask.era, key, ask.tool, arguments)


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
    ask: Ask = Ask()

    def of(self, seller: Seller) -> "Town":
        """The same town, where all draw at this seller."""
        return replace(self, ask=replace(self.ask, seller=seller))

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

    async def outcomes_beside(self, crashes: Sequence[Crash]) -> Mapping[Crash, Outcome]:
        return await together(self._outcome_beside, crashes)

    async def _outcome_beside(self, crash: Crash) -> Outcome:
        return await (await self._machine(crash.trouble)).outcome_beside(crash.step)

    async def _outcome(self, crash: Crash) -> Outcome:
        return await (await self._machine(crash.trouble)).outcome(crash.step)

    async def _machine(self, trouble: Trouble) -> Machine:
        home = Path(mkdtemp(dir=self.folder))
        for source in self.ask.sources:
            photo(home / source)
        # A sandbox that is mounted names addresses for uploads that are not.
        net = self.net if self.ask.sources else self._mounted(home.name)
        machine = Machine(net, home, self.ask)
        await machine.suffer(trouble)
        return machine

    def _mounted(self, name: str) -> Network:
        sandbox = Sandbox(draw_seconds=0)
        self.net.sandbox.app.mount(f"/{name}", sandbox.app)
        return Network(f"{self.net.base_url}/{name}", sandbox)


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


@AT_BOTH
async def test_the_way_of_a_call_passes_all_that_writes_pays_or_delivers(
    town: Town, seller: Seller
) -> None:
    way = await town.of(seller).way()
    assert {*LANDMARKS, *OWN_LANDMARKS[seller]} <= {step.split()[0] for step in way}


@AT_BOTH
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_crash_at_any_step_of_a_call_costs_one_image_and_loses_none(
    town: Town, part: int, seller: Seller
) -> None:
    steps = moments(await town.of(seller).way())
    of_this_part = [Crash(step) for step in steps if crc32(step.encode()) % PARTS == part]
    outcomes = await town.of(seller).outcomes(of_this_part)
    assert len(killed(outcomes)) > 25


# What fails as `created` leads over the same steps as a `create` where that is asked again, and a
# failed price over no more.
@pytest.mark.parametrize(
    ("seller", "where"),
    [
        (RUNAPI_SELLER, "create"),
        (RUNAPI_SELLER, "poll"),
        (RUNFLOW_SELLER, "create"),
        (RUNFLOW_SELLER, "created"),
    ],
    ids=str,
)
async def test_a_crash_at_any_step_that_faults_add_costs_one_image_and_loses_none(
    town: Town, where: Where, seller: Seller
) -> None:
    troubles = [Trouble(fault) for fault in faults(where) if not is_untrue(fault)]
    crashes = await town.of(seller).added(troubles)
    assert killed(await town.of(seller).outcomes(crashes)) != []


@AT_BOTH
async def test_a_crash_at_any_step_that_an_earlier_one_adds_costs_one_image_and_loses_none(
    town: Town, seller: Seller
) -> None:
    paid = answered("create", await town.of(seller).way(), seller)
    crashes = await town.of(seller).added([Trouble(last_step=paid)])
    assert killed(await town.of(seller).outcomes(crashes)) != []


@pytest.mark.parametrize(
    "ask",
    [Ask(era="legacy"), Ask(count=2), Ask(sources=("fox.png",)), Ask("legacy", 2, ("a.png",))],
)
async def test_a_crash_at_any_step_of_another_call_costs_what_it_asks_for(
    town: Town, ask: Ask
) -> None:
    known, others = set(await town.way()), replace(town, ask=ask)
    way = moments(await others.way())
    steps = {step for step in way if step not in known and crc32(step.encode()) % SHARE == 0}
    steps |= {step for step in way if is_landmark(step)}
    outcomes = await others.outcomes([Crash(step) for step in steps])
    assert len(killed(outcomes, ask.count)) > 5


@pytest.mark.parametrize("era", ERAS)
async def test_a_crash_of_a_server_of_http_costs_one_image_and_loses_none(
    town: Town, era: str
) -> None:
    others = replace(town, ask=Ask(era, over_http=True))
    way = await others.way()
    # What comes before or after is as over stdio.
    steps = landmarks(way)
    waits = [unanswered(each, way) for each in REQUESTS[RUNAPI_SELLER]]
    crashes = [Crash(step) for step in (*steps, *waits)]
    assert len(killed(await others.outcomes(crashes))) > 10


@pytest.mark.parametrize(
    "ask",
    [Ask(), Ask(count=2), Ask("legacy", 1, ("fox.png",)), Ask(count=2, seller=RUNFLOW_SELLER)],
)
async def test_the_same_call_of_another_process_while_the_first_one_stands_still_is_one_purchase(
    town: Town, ask: Ask
) -> None:
    others = replace(town, ask=ask)
    crashes = [Crash(step) for step in landmarks(await others.way())]
    assert await others.outcomes_beside(crashes) == dict.fromkeys(crashes, SPARED.times(ask.count))


def faults(where: Where) -> Sequence[Fault]:
    return [Fault(where, kind, 0.3 if kind == "slow" else None) for kind in get_args(FaultKind)]


def is_untrue(fault: Fault) -> bool:
    """No vendor refuses so what it has carried out."""
    return fault.where == "created" and fault.kind in ("401", "402", "404", "422")


def unanswered(where: Where, way: Sequence[str]) -> str:
    """When a request is out: its last wait before an answer begins."""
    waits = [step for step in way if EXCHANGE in step and " waits " in step]
    return [step for step in waits if REQUESTS[RUNAPI_SELLER][where] in step][-1]


def answered(where: Where, way: Sequence[str], seller: Seller) -> str:
    """When the answer to a request has been read, and nothing is made of it yet."""
    ends = [step for step in way if step.startswith(ATTEMPTS[seller]) and is_end(step)]
    return next(step for step in ends if REQUESTS[seller][where] in step)


def is_sure(step: str) -> bool:
    """Whether it comes each time, however fast the machine is."""
    return " waits " not in step and step.endswith(" 1") and WAITING not in step


def landmarks(way: Sequence[str]) -> Sequence[str]:
    """Each landmark once, where it is passed first."""
    return [*{step.split()[0]: step for step in reversed(way) if is_landmark(step)}.values()]


def is_landmark(step: str) -> bool:
    known = chain(LANDMARKS, *OWN_LANDMARKS.values())
    return step.split(maxsplit=1)[0] in known and is_sure(step)


def killed(outcomes: Mapping[Crash, Outcome], count: int = 1) -> Sequence[Crash]:
    """The crashes that came, all with the one outcome there may be.

    One may fail to come only where the step itself did not: at a wait, or when something was to be
    done once more, such as telling the host that the picture takes its time.
    """
    wanted, spared = KILLED.times(count), SPARED.times(count)
    came = [crash for crash in outcomes if is_sure(crash.step) or outcomes[crash] != spared]
    assert {crash: outcomes[crash] for crash in came if outcomes[crash] != wanted} == {}
    return came
