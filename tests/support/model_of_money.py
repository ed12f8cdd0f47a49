"""A model of whoever can spend money: two processes that may die, one ledger, one vendor far away.

A story is a list of steps, told in virtual time. Each step takes an instant, except `Pass`; calls
go on beside the steps that follow them. What hosts did and what that made is the record of it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, get_args

import anyio
from anyio.abc import TaskGroup
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.catalog.price import Schedule
from runapi_mcp.orders.limits import Limits
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Fault
from runapi_mcp.sandbox.runflow.run_store import StoredRun
from runapi_mcp.sandbox.task_store import StoredTask
from tests.support.frail_processes import FrailProcess, Remote
from tests.support.photos import photo
from tests.support.rule_of_money import (
    RISE,
    Answer,
    Arrival,
    Asked,
    Charge,
    History,
    Order,
    Yes,
)
from tests.support.sellers import RUNAPI_SELLER, Seller
from tests.support.virtual_time import BACKEND
from tests.support.world import (
    ERAS,
    NOON,
    facts,
    said,
)

REMIX: Final = "flux_2_pro_remix_image"
DRAW_SECONDS: Final = 4.0
MOST_WAIT_SECONDS: Final = 50
MOST_SECONDS_OF_A_CALL: Final = 150.0
SETTLE_AGAIN_SECONDS: Final = 61.0
DAY_SECONDS: Final = 86_400.0
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder in it is made as safely as in /tmp
"""Where Linux keeps files that need no disk: only processes die here, never the machine."""

ProcessName = Literal["A", "B"]
ERA_OF_HOST: Final[Mapping[ProcessName, str]] = dict(zip(get_args(ProcessName), ERAS, strict=True))
HOST_SECONDS: Final = {False: 60.0, True: 300.0}
"""When a host gives up: one that nobody knows, and one that takes every answer until then."""
PRICES: Final = {"1k": 5.0, "2k": 7.0}


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a call asks for, each with a prompt of its own."""

    prompt: str
    output_resolution: Literal["1k", "2k"] = "1k"
    count: int = 1
    source: Literal["file", "task"] | None = None
    """What it is made from: a file of this machine, or one of the tasks that its host knows."""

    @property
    def total_cents(self) -> float:
        return PRICES[self.output_resolution] * self.count


@dataclass(frozen=True, slots=True)
class Call:
    """A host calls for a drawing; when its patience ends it cancels, or reads no answer."""

    process: ProcessName
    drawing: Drawing
    wait_seconds: int = 0
    patience_seconds: float = math.inf
    cancels: bool = True
    redraws: int | None = None
    """Which of the drawing's tasks it wants another one for, of those that a host knows."""
    source: int = 0
    """Which of the known tasks it starts from, if it starts from one."""


@dataclass(frozen=True, slots=True)
class GetTask:
    """A host asks for one of the tasks it knows, if it knows any."""

    process: ProcessName
    number: int


@dataclass(frozen=True, slots=True)
class ListTasks:
    """A host looks for lost tasks."""

    process: ProcessName


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Die:
    """A process dies, after so many more touches of the disk or the network."""

    process: ProcessName
    touches: int = 0


@dataclass(frozen=True, slots=True)
class Freeze:
    """A process stops for a while, after so many more touches, and then goes on."""

    process: ProcessName
    touches: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Jump:
    """The machine's clock is set."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rise:
    """RunAPI's prices rise."""


@dataclass(frozen=True, slots=True)
class Forbid:
    """The user ends all processes, and allows the next ones to spend nothing, for now."""


Step = Call | GetTask | ListTasks | Pass | Die | Freeze | Jump | Rise | Forbid | Fault
"""A fault happens to the next requests at its place."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happens, under which limits, from how many seconds after noon on."""

    limits: Limits
    begins_after_seconds: float
    steps: Sequence[Step]
    takes_every_answer: Sequence[ProcessName] = ()
    """Whose hosts are known to do so."""
    thinks_seconds: float = 5.0
    """How long a person thinks before a yes."""
    seller: Seller = RUNAPI_SELLER


@dataclass(slots=True)
class Record:
    """What RunAPI and the hosts have seen, and what is there in the end."""

    history: History = field(default_factory=History)
    listed: dict[str, str] = field(default_factory=dict[str, str])
    """The status of every task and every call without a task that is listed in the end."""
    again: list[tuple[set[str], set[str]]] = field(default_factory=list[tuple[set[str], set[str]]])
    """What a call gives in the end whose like made tasks that reached nobody, and those tasks."""
    delivered: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The images that get_task gives in the end, by task."""
    bodies: Sequence[set[bytes]] = ()
    """What was sent under each key."""
    sends: Sequence[int] = ()
    """How often something was sent under each key."""
    overlaps: Sequence[str] = ()
    """The keys under which one process asked twice at a time."""
    needless: Sequence[str] = ()
    """The keys that were sent although the ledger had long told their task."""
    unforeseen: list[str] = field(default_factory=list[str])


def told(story: Story) -> Record:
    """The record of a story."""
    name, options = BACKEND
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        return anyio.run(_told, story, Path(folder), backend=name, backend_options=dict(options))


async def _told(story: Story, folder: Path) -> Record:
    record = Record()
    await anyio.sleep(story.begins_after_seconds)
    async with anyio.create_task_group() as group:
        teller = _Teller(group, folder, story, record)
        for step in story.steps:
            await teller.tell(step)
        await teller.end()
    return record


class _Teller:
    """Lets the steps of a story happen, and records what becomes of them."""

    def __init__(self, group: TaskGroup, folder: Path, story: Story, record: Record) -> None:
        self._group, self._folder, self._story = group, folder, story
        self._record, self._history = record, record.history
        self._limits = story.limits
        self._prices = dict(PRICES)
        self._sandbox = Sandbox(DRAW_SECONDS, _priced(self._prices))
        self._seller = story.seller
        self._history.image_seconds = story.seller.vendor.image_seconds
        self._history.repeats_safely = story.seller.vendor.repeats_safely
        self._remote = Remote(group, self._sandbox, story.seller)
        self._processes: dict[ProcessName, tuple[FrailProcess, TaskGroup]] = {}
        self._drawings: dict[str, Drawing] = {}
        self._known: list[str] = []
        """The tasks that a host has heard of."""

    def _clock(self) -> float:
        return NOON + self._history.clock_at(anyio.current_time())

    async def tell(self, step: Step) -> None:
        """Let one step happen."""
        match step:
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Fault():
                self._seller.faults(self._sandbox).injected.append(step)
            case Jump(seconds):
                self._history.jumps.append((anyio.current_time(), seconds))
            case Rise():
                self._rise()
            case Forbid():
                await self._restart(Limits(per_day_cents=1))
                self._history.forbidden_from.append(anyio.current_time())
            case Die(name, touches):
                await (await self._running(name))[0].die_in(touches)
            case Freeze(name, touches, seconds):
                (await self._running(name))[0].freeze_in(touches, seconds)
            case _:
                process, hosts = await self._running(step.process)
                hosts.start_soon(self._ask, process, step)
        # An instant, because two calls of one instant have no order.
        await anyio.sleep(0.001)

    async def end(self) -> None:
        """Let all calls end, then all troubles, then all doubts; then look at what is there."""
        await anyio.sleep(MOST_SECONDS_OF_A_CALL)
        self._seller.faults(self._sandbox).injected.clear()
        self._history.ends_at = anyio.current_time()
        await self._restart(self._story.limits)
        for name in get_args(ProcessName):
            process, _ = await self._running(name)
            process.spare()
            await process.wake()
        await anyio.sleep(MOST_SECONDS_OF_A_CALL)
        a, b = [(await self._running(name))[0] for name in get_args(ProcessName)]
        await self._settle(a)
        await self._look_at_all(b)
        self._note_charges()
        self._record.bodies = list(self._remote.bodies.values())
        self._record.sends = list(self._remote.sends.values())
        self._record.overlaps = self._remote.overlaps
        self._record.needless = self._remote.needless
        self._history.stops = list(self._remote.stops)
        for process, _ in self._processes.values():
            await process.die_in(0)

    async def _answer_question(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        """A person says yes, after a while."""
        await anyio.sleep(self._story.thinks_seconds)
        found = re.search(r'\$(\d+\.\d+).*"(.*)"', params.message, re.DOTALL)
        assert found
        drawing = self._drawings[found[2]]
        cents = float(found[1]) * 100
        self._history.yeses.append(Yes(anyio.current_time(), drawing.prompt, cents))
        return ElicitResult(action="accept", content={"pay": "Yes, pay $0.05"})

    def _rise(self) -> None:
        self._prices.update({name: cents * RISE for name, cents in self._prices.items()})
        self._history.rises.append(anyio.current_time())

    async def _restart(self, limits: Limits) -> None:
        """Let the next processes have other limits, if these have not the same."""
        if limits != self._limits:
            for process, _ in self._processes.values():
                await process.die_in(0)
        self._limits = limits

    async def _running(self, name: ProcessName) -> tuple[FrailProcess, TaskGroup]:
        """The process of this name: a new one where the last has died."""
        if name not in self._processes or self._processes[name][0].dead.is_set():
            process = self._process(name)
            self._processes[name] = process, await self._group.start(process.live)
        return self._processes[name]

    def _process(self, name: ProcessName) -> FrailProcess:
        return FrailProcess(
            self._remote,
            self._folder,
            self._limits,
            self._clock,
            takes_every_answer=name in self._story.takes_every_answer,
            mode=ERA_OF_HOST[name],
            elicitation_callback=self._answer_question,
        )

    async def _ask(self, process: FrailProcess, step: Call | GetTask | ListTasks) -> None:
        # What is said to one that stands still waits in its pipe.
        await process.wake()
        match step:
            case Call():
                await self._call(process, step)
            case GetTask(_, number):
                if self._known:
                    await self._get(process, self._known[number % len(self._known)])
            case ListTasks():
                rows = await _rows(process.client)
                self._known += [row for row in rows if " " not in row and row not in self._known]

    async def _call(self, process: FrailProcess, call: Call) -> None:
        drawing = call.drawing
        self._drawings[drawing.prompt] = drawing
        source = self._source(call)
        if drawing.source == "task" and source is None:
            return
        asked = Asked(drawing.prompt, source)
        redrawn = self._redrawn(call, asked)
        uses = [task_id for task_id in (redrawn, source) if task_id]
        arrival = Arrival(anyio.current_time(), asked, drawing.count, uses)
        self._history.arrivals.append(arrival)
        redraw = {} if redrawn is None else {"redraw": redrawn}
        arguments = {
            **self._arguments(drawing, source),
            **redraw,
            "wait_seconds": call.wait_seconds,
        }
        cancels = call.cancels or process.takes_every_answer
        with anyio.move_on_after(call.patience_seconds if cancels else math.inf):
            result = await process.client.call_tool(self._tool(drawing), arguments)
            is_read = anyio.current_time() - arrival.at <= call.patience_seconds
            # A call that a person was asked about came again with the yes.
            since = anyio.current_time() if self._history.yeses else arrival.at
            named = self._hear(process, result, since, is_read=is_read)
            if not result.is_error and "joined" not in _about(result):
                self._history.sold += named
            arrival.given = () if result.is_error else named
            if not process.dead.is_set():
                arrival.no_charge = "Nothing was paid." in said(result)
                arrival.is_free = arrival.no_charge or "paid nothing." in said(result)
        arrival.over_at = anyio.current_time()

    def _source(self, call: Call) -> str | None:
        if call.drawing.source != "task" or not self._known:
            return None
        return self._known[call.source % len(self._known)]

    def _redrawn(self, call: Call, asked: Asked) -> str | None:
        mine = [each for each in self._known if self._asked(self._tasks()[each]) == asked]
        if call.redraws is None or not mine:
            return None
        return mine[call.redraws % len(mine)]

    def _arguments(self, drawing: Drawing, source: str | None) -> dict[str, object]:
        if drawing.source == "file":
            source = str(photo(self._folder / "fox.png"))
        return {
            "prompt": drawing.prompt,
            **self._seller.sizes[drawing.output_resolution],
            "count": drawing.count,
            **({} if source is None else {"source_image_urls": [source]}),
        }

    def _hear(
        self, process: FrailProcess, result: CallToolResult, since: float, *, is_read: bool
    ) -> Sequence[str]:
        """The tasks that an answer names; nobody hears a dead process."""
        now, about = anyio.current_time(), _about(result)
        if process.dead.is_set():
            return []
        if "Unforeseen" in said(result):
            self._record.unforeseen.append(said(result))
        drawn = frozenset(re.findall(r"/images/([\w-]+)\.", str(about.get("image_urls"))))
        settles = process.takes_every_answer and is_read
        if drawn and now - since <= HOST_SECONDS[process.takes_every_answer]:
            self._history.answers.append(Answer(now, drawn, settles))
        named = about.get("task_ids") or [about[name] for name in ("task_id",) if name in about]
        self._known += [each for each in named if is_read and each not in self._known]
        return named

    async def _get(self, process: FrailProcess, task_id: str) -> CallToolResult:
        since = anyio.current_time()
        result = await process.client.call_tool("get_task", {"task_id": task_id})
        self._hear(process, result, since, is_read=True)
        return result

    async def _settle(self, process: FrailProcess) -> None:
        """Let what settles itself do so: whoever asks for any task starts that."""
        nobodys = "00000000-0000-4000-8000-000000000000"
        for _ in range(2):
            await process.client.call_tool("get_task", {"task_id": nobodys})
            await anyio.sleep(SETTLE_AGAIN_SECONDS)

    async def _look_at_all(self, process: FrailProcess) -> None:
        self._note_charges()
        for orders in list(self._history.orders()):
            if any(order.standing and not self._history.is_over(order) for order in orders):
                await self._call_again(process, orders)
        self._record.listed = await _rows(process.client)
        for task_id in self._tasks():
            result = await self._get(process, task_id)
            self._record.delivered[task_id] = facts(result).get("image_urls", [])

    async def _call_again(self, process: FrailProcess, orders: Sequence[Order]) -> None:
        asked = orders[0].arrivals[0].asked
        drawing = self._drawings[asked.prompt]
        arguments = self._arguments(drawing, asked.source) | {"wait_seconds": MOST_WAIT_SECONDS}
        self._history.arrivals.append(Arrival(anyio.current_time(), asked, drawing.count))
        result = await process.client.call_tool(self._tool(drawing), arguments)
        if "the day's budget" in said(result):
            await anyio.sleep(DAY_SECONDS)
            result = await process.client.call_tool(self._tool(drawing), arguments)
        about = _about(result)
        given = {*about.get("task_ids", []), about.get("task_id", said(result))}
        made = [charge for order in orders for charge in order.charges]
        age_seconds = self._history.elapsed(made[0].at, anyio.current_time())
        is_old = age_seconds >= self._history.image_seconds
        # Of what left when others were certain that it never had, only the list tells.
        is_late = any(each.is_late for each in made) and not self._history.repeats_safely
        if not (is_old or is_late or any(map(self._history.is_named, orders))):
            self._record.again.append((given, {charge.task_id for charge in made}))

    def _note_charges(self) -> None:
        late = {self._seller.task_of(self._sandbox, key) for key in self._remote.late_keys}
        self._history.charges = [
            Charge(
                task_id=task.id,
                asked=self._asked(task),
                at=task.started,
                ends_at=math.inf if task.script.never_ends else task.started + task.seconds,
                fails=task.script.failure is not None,
                price_cents=self._price_cents(task),
                is_late=task.id in late,
            )
            for task in self._tasks().values()
        ]

    def _price_cents(self, task: StoredTask | StoredRun) -> float:
        if isinstance(task, StoredRun):
            return task.price_cents
        # Not what it cost: prices may have risen since.
        return PRICES[task.params.model_dump()["output_resolution"]]

    def _asked(self, task: StoredTask | StoredRun) -> Asked:
        if isinstance(task, StoredRun):
            return Asked(task.order.input.prompt)
        body = task.params.model_dump()
        sources = re.findall(r"/images/([\w-]+)\.", str(body.get("source_image_urls")))
        return Asked(body["prompt"], sources[0] if sources else None)

    def _tasks(self) -> Mapping[str, StoredTask | StoredRun]:
        return self._seller.account(self._sandbox).tasks

    def _tool(self, drawing: Drawing) -> str:
        return self._seller.tool if drawing.source is None else REMIX


def _priced(prices: Mapping[str, float]) -> list[Variant]:
    """What is sold, at prices that can rise."""
    return [
        replace(variant, tier=replace(variant.tier, snapshot=Schedule(prices["1k"], prices)))
        if variant.tool_name in (RUNAPI_SELLER.tool, REMIX)
        else variant
        for variant in VARIANTS
    ]


def _about(result: CallToolResult) -> dict[str, Any]:
    return result.structured_content or {}


async def _rows(client: Client) -> dict[str, str]:
    """The status of every task that is listed; a call without a task goes by a number."""
    result = await client.call_tool("list_tasks", {"limit": 50})
    rows = enumerate(facts(result)["tasks"])
    return {row.get("task_id", f"call {number}"): row["status"] for number, row in rows}
