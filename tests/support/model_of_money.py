"""A model of whoever can spend money: two processes that may die, one ledger, one RunAPI far away.

A story is a list of steps, told in virtual time. Each step takes an instant, except `Pass`; calls
go on beside the steps that follow them. What hosts did and what RunAPI made is the record of it.
"""

import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, get_args

import anyio
import httpx
from anyio.abc import TaskGroup, TaskStatus
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, Implementation
from pydantic import SecretStr

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.catalog.price import Schedule
from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.base.settings import Key
from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Fault
from runapi_mcp.sandbox.task_store import StoredTask
from runapi_mcp.server import Keys, create_server
from runapi_mcp.transports.conversation import converse
from tests.support.photos import photo
from tests.support.rule_of_money import (
    IMAGE_SECONDS,
    RISE,
    Answer,
    Arrival,
    Asked,
    Charge,
    History,
    Order,
    Yes,
)
from tests.support.virtual_time import BACKEND
from tests.support.world import (
    BASE_URL,
    ERAS,
    KEY,
    NO_PICTURES,
    NOON,
    Wire,
    facts,
    said,
    service_on,
)

DRAW: Final = "flux_2_pro_text_to_image"
REMIX: Final = "flux_2_pro_remix_image"
DRAW_SECONDS: Final = 4.0
DISK_SECONDS: Final = 0.01
NETWORK_SECONDS: Final = 0.3
"""How long a touch of the disk or the network takes, so that much can happen in between."""
MOST_WAIT_SECONDS: Final = 50
MOST_SECONDS_OF_A_CALL: Final = 150.0
SETTLE_AGAIN_SECONDS: Final = 61.0
DAY_SECONDS: Final = 86_400.0
LATE_SECONDS: Final = 60.0
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder in it is made as safely as in /tmp
"""Where Linux keeps files that need no disk: only processes die here, never the machine."""

ProcessName = Literal["A", "B"]
ERA_OF_HOST: Final[Mapping[ProcessName, str]] = dict(zip(get_args(ProcessName), ERAS, strict=True))
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


Step = Call | GetTask | ListTasks | Pass | Die | Freeze | Jump | Rise | Fault
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
    bodies: dict[str, set[bytes]] = field(default_factory=dict[str, set[bytes]])
    """What was sent under each idempotency key."""
    overlaps: list[str] = field(default_factory=list[str])
    """The keys under which one process asked twice at a time."""
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


class _Remote:
    """RunAPI far away: it goes on with a request although whoever sent it has left or died."""

    def __init__(self, group: TaskGroup, sandbox: Sandbox, record: Record) -> None:
        self._group = group
        self._wire = Wire(sandbox)
        self.record = record
        self.late_keys: set[str] = set()
        """Under which something was sent by a process that stood still meanwhile."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if (key := _key_of(request)) is not None:
            self.record.bodies.setdefault(key, set()).add(await request.aread())
        exchange = _Exchange(request)
        self._group.start_soon(exchange.go_on, self._wire)
        return await exchange.answer()


class _Exchange:
    """A request that is under way."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._over = anyio.Event()
        self._answer: httpx.Response | httpx.RequestError | None = None

    async def go_on(self, wire: Wire) -> None:
        try:
            self._answer = await wire.handle_async_request(self._request)
        except httpx.RequestError as error:
            self._answer = error
        self._over.set()

    async def answer(self) -> httpx.Response:
        await self._over.wait()
        if isinstance(self._answer, httpx.Response):
            return self._answer
        raise self._answer or AssertionError("an exchange ends with an answer or an error")


class _Line(httpx.AsyncBaseTransport):
    """The way of one process to RunAPI and back; it breaks when the process dies."""

    def __init__(self, remote: _Remote, process: "_Process") -> None:
        self._remote = remote
        self._process = process
        self._paying: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = _key_of(request)
        if key is None:
            return await self._exchanged(request)
        if self._paying[key]:
            self._remote.record.overlaps.append(key)
        self._paying[key] += 1
        try:
            return await self._exchanged(request)
        finally:
            self._paying[key] -= 1

    async def _exchanged(self, request: httpx.Request) -> httpx.Response:
        began_at = anyio.current_time()
        await anyio.sleep(NETWORK_SECONDS)
        if not await self._process.lives_on():
            raise httpx.ConnectError("its sender has died")
        if anyio.current_time() - began_at > LATE_SECONDS and (key := _key_of(request)):
            self._remote.late_keys.add(key)
        answer = await self._remote.answer(request)
        await anyio.sleep(NETWORK_SECONDS)
        if not await self._process.lives_on():
            raise httpx.ReadError("its sender has died")
        return answer


def _key_of(request: httpx.Request) -> str | None:
    return request.headers.get("idempotency-key")


class _Process:
    """A server on the shared ledger, and the host that started it.

    Once it is dead, what is left of its code neither writes nor sends, whatever it tries.
    """

    def __init__(self, name: ProcessName, remote: _Remote, teller: "_Teller") -> None:
        story, folder = teller.story, teller.folder
        self.takes_every_answer = name in story.takes_every_answer
        self._upstream = RunAPI(BASE_URL, _Line(remote, self))
        self._ledger = SqliteLedger(
            lambda: folder / "ledger.db", clock=teller.clock, run=self._on_the_disk
        )
        self._service = service_on(
            self._upstream,
            Keys(Key(SecretStr(KEY))),
            self._ledger,
            limits=story.limits,
            folders=Folders(folder, (folder,)),
            **NO_PICTURES,
        )
        client = "claude-code" if self.takes_every_answer else "somebody"
        self.client = Client(
            _Pipe(create_server(self._service, VARIANTS), self),
            mode=ERA_OF_HOST[name],
            client_info=Implementation(name=client, version="1"),
            elicitation_callback=teller.answer_question,
        )
        self.dead = anyio.Event()
        self.awake_at = 0.0
        self._dies_in = self._freezes_in = math.inf
        self._freeze_seconds = 0.0
        self._is_dying = False

    async def live(self, *, task_status: TaskStatus[TaskGroup]) -> None:
        """Serve, until it dies. Tells the group in which hosts call it."""
        async with (
            self._service.shared.background.running(),
            self.client,
            anyio.create_task_group() as hosts,
        ):
            task_status.started(hosts)
            await self.dead.wait()
            hosts.cancel_scope.cancel()
        await self._upstream.aclose()

    async def die_in(self, touches: float) -> None:
        """Let it touch the disk and the network so many times more."""
        self._dies_in = touches
        if touches == 0:
            await self._die()

    def freeze_in(self, touches: float, seconds: float) -> None:
        self._freezes_in, self._freeze_seconds = touches, seconds
        if touches == 0:
            self._freeze()

    def spare(self) -> None:
        """Let nothing happen to it from now on."""
        self._dies_in = self._freezes_in = math.inf

    async def lives_on(self) -> bool:
        """Whether it survives one more touch of the disk or the network."""
        self._freezes_in -= 1
        if self._freezes_in < 0:
            self._freeze()
        await self.wake()
        self._dies_in -= 1
        if self._dies_in < 0:
            await self._die()
        return not self.dead.is_set()

    async def wake(self) -> None:
        """Return when it is not frozen."""
        if anyio.current_time() < self.awake_at:
            # What goes on then does not know that its time is over.
            with anyio.CancelScope(shield=True):
                await anyio.sleep_until(self.awake_at)

    def _freeze(self) -> None:
        self.awake_at, self._freezes_in = anyio.current_time() + self._freeze_seconds, math.inf

    async def _die(self) -> None:
        # Nothing here waits, so that nobody sees a process that is half dead. What the system does
        # for a dead process is what closing the ledger does: its file is closed.
        self._is_dying = True
        await self._ledger.aclose()
        self._is_dying = False
        self.dead.set()

    async def _on_the_disk(self, block: Callable[[], object]) -> object:
        if self._is_dying:
            return block()
        await anyio.lowlevel.checkpoint()
        # As in a thread: what has begun is seen through.
        with anyio.CancelScope(shield=True):
            return await self._written(block)

    async def _written(self, block: Callable[[], object]) -> object:
        await self._touch_the_disk()
        done = block()
        await self._touch_the_disk()
        return done

    async def _touch_the_disk(self) -> None:
        await anyio.sleep(DISK_SECONDS)
        if not await self.lives_on():
            raise LedgerUnusable("The process has died.", "Start another one.")


class _Pipe(AbstractAsyncContextManager[Any]):
    """A host's connection to its server, by the program's own conversation."""

    def __init__(self, server: Server[Any], process: _Process) -> None:
        self._connection = self._connected(server, process)

    async def __aenter__(self) -> Any:
        return await self._connection.__aenter__()

    async def __aexit__(self, *reason: object) -> None:
        await self._connection.__aexit__(*reason)

    @asynccontextmanager
    async def _connected(self, server: Server[Any], process: _Process) -> AsyncGenerator[Any]:
        async with (
            create_client_server_memory_streams() as (client_streams, (read, write)),
            anyio.create_task_group() as group,
        ):
            group.start_soon(converse, server, read, _Mouth(write, process))
            yield client_streams
            group.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class _Mouth:
    """What a process says, as long as it lives."""

    stream: Any
    process: _Process

    async def send(self, item: SessionMessage) -> None:
        await self.process.wake()
        if not self.process.dead.is_set():
            await self.stream.send(item)

    async def aclose(self) -> None:
        await self.stream.aclose()


class _Teller:
    """Lets the steps of a story happen, and records what becomes of them."""

    def __init__(self, group: TaskGroup, folder: Path, story: Story, record: Record) -> None:
        self._group, self.folder, self.story = group, folder, story
        self._record, self._history = record, record.history
        self._prices = dict(PRICES)
        self._sandbox = Sandbox(DRAW_SECONDS, _priced(self._prices))
        self._remote = _Remote(group, self._sandbox, record)
        self._processes: dict[ProcessName, tuple[_Process, TaskGroup]] = {}
        self._drawings: dict[str, Drawing] = {}
        self._known: list[str] = []
        """The tasks that a host has heard of."""

    def clock(self) -> float:
        return NOON + self._history.clock_at(anyio.current_time())

    async def tell(self, step: Step) -> None:
        """Let one step happen."""
        match step:
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Fault():
                self._sandbox.faults.injected.append(step)
            case Jump(seconds):
                self._history.jumps.append((anyio.current_time(), seconds))
            case Rise():
                self._rise()
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
        self._sandbox.faults.injected.clear()
        for name in get_args(ProcessName):
            process, _ = await self._running(name)
            process.spare()
            await process.wake()
        await anyio.sleep(MOST_SECONDS_OF_A_CALL)
        a, b = [(await self._running(name))[0] for name in get_args(ProcessName)]
        await self._settle(a)
        await self._look_at_all(b)
        self._note_charges()
        for process, _ in self._processes.values():
            await process.die_in(0)

    async def answer_question(
        self, context: ClientRequestContext, question: ElicitRequestParams
    ) -> ElicitResult:
        """A person says yes, after a while."""
        await anyio.sleep(self.story.thinks_seconds)
        found = re.search(r"\$(\d+\.\d+).*“(.*)”", question.message, re.DOTALL)
        assert found
        drawing = self._drawings[found[2]]
        cents = float(found[1]) * 100
        self._history.yeses.append(Yes(anyio.current_time(), drawing.prompt, cents))
        return ElicitResult(action="accept", content={"pay": True})

    def _rise(self) -> None:
        self._prices.update({name: cents * RISE for name, cents in self._prices.items()})
        self._history.rises.append(anyio.current_time())

    async def _running(self, name: ProcessName) -> tuple[_Process, TaskGroup]:
        """The process of this name: a new one where the last has died."""
        if name not in self._processes or self._processes[name][0].dead.is_set():
            process = _Process(name, self._remote, self)
            self._processes[name] = process, await self._group.start(process.live)
        return self._processes[name]

    async def _ask(self, process: _Process, step: Call | GetTask | ListTasks) -> None:
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
                self._learn(task_id for task_id in rows if " " not in task_id)

    async def _call(self, process: _Process, call: Call) -> None:
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
        with anyio.move_on_after(call.patience_seconds if cancels else math.inf) as patience:
            result = await process.client.call_tool(_tool(drawing), arguments)
        if not patience.cancelled_caught:
            self._hear(process, result, arrival, is_read=_age(arrival) <= call.patience_seconds)
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
            source = str(photo(self.folder / "fox.png"))
        return {
            "prompt": drawing.prompt,
            "output_resolution": drawing.output_resolution,
            "count": drawing.count,
            **({} if source is None else {"source_image_urls": [source]}),
        }

    def _hear(
        self, process: _Process, result: CallToolResult, arrival: Arrival | None, *, is_read: bool
    ) -> None:
        """An answer that left; nobody hears a dead process."""
        if process.dead.is_set():
            return
        about: dict[str, Any] = result.structured_content or {}
        if "Unforeseen" in said(result):
            self._record.unforeseen.append(said(result))
        drawn = re.findall(r"/images/([\w-]+)\.png", str(about.get("image_urls", [])))
        settles = process.takes_every_answer and is_read
        if drawn:
            self._history.answers.append(Answer(anyio.current_time(), frozenset(drawn), settles))
        named = about.get("task_ids") or [about[name] for name in ("task_id",) if name in about]
        if arrival is not None:
            arrival.is_free = "Nothing was paid." in said(result)
            if not result.is_error and "joined" not in about:
                self._history.sold += named
        if is_read:
            self._learn(named)

    def _learn(self, task_ids: Iterable[str]) -> None:
        self._known = list(dict.fromkeys([*self._known, *task_ids]))

    async def _get(self, process: _Process, task_id: str) -> CallToolResult:
        result = await process.client.call_tool("get_task", {"task_id": task_id})
        self._hear(process, result, None, is_read=True)
        return result

    async def _settle(self, process: _Process) -> None:
        """Let what settles itself do so: whoever asks for any task starts that."""
        nobodys = "00000000-0000-4000-8000-000000000000"
        for _ in range(2):
            await process.client.call_tool("get_task", {"task_id": nobodys})
            await anyio.sleep(SETTLE_AGAIN_SECONDS)

    async def _look_at_all(self, process: _Process) -> None:
        self._note_charges()
        for order in [orders[-1] for orders in self._history.orders()]:
            if order.standing and not self._is_gone(order):
                await self._call_again(process, order)
        self._record.listed = await _rows(process.client)
        for task_id in self._tasks():
            result = await self._get(process, task_id)
            self._record.delivered[task_id] = facts(result).get("image_urls", [])

    def _is_gone(self, order: Order) -> bool:
        """Whether the same call need not give its pictures any more."""
        age_seconds = self._history.elapsed(order.charges[0].at, anyio.current_time())
        is_old = age_seconds >= IMAGE_SECONDS
        return is_old or self._history.is_used(order) or self._history.is_handed_over(order)

    async def _call_again(self, process: _Process, order: Order) -> None:
        asked = order.arrivals[0].asked
        drawing = self._drawings[asked.prompt]
        arguments = self._arguments(drawing, asked.source) | {"wait_seconds": MOST_WAIT_SECONDS}
        for _ in range(2):
            self._history.arrivals.append(Arrival(anyio.current_time(), asked, drawing.count))
            result = await process.client.call_tool(_tool(drawing), arguments)
            if "the day's budget" not in said(result):
                break
            await anyio.sleep(DAY_SECONDS)
        about: dict[str, Any] = result.structured_content or {}
        given = {*about.get("task_ids", []), about.get("task_id", said(result))}
        self._record.again.append((given, {charge.task_id for charge in order.charges}))

    def _note_charges(self) -> None:
        by_key = self._sandbox.accounts.of(KEY).by_key
        late = {by_key[key][1] for key in self._remote.late_keys if key in by_key}
        self._history.charges = [
            Charge(
                task_id=task.id,
                asked=self._asked(task),
                at=task.started,
                ends_at=math.inf if task.script.never_ends else task.started + task.seconds,
                fails=task.script.failure is not None,
                price_cents=PRICES[task.params.model_dump()["output_resolution"]],
                is_late=task.id in late,
            )
            for task in self._tasks().values()
        ]

    def _asked(self, task: StoredTask) -> Asked:
        body = task.params.model_dump()
        sources = re.findall(r"/images/([\w-]+)\.png", str(body.get("source_image_urls")))
        return Asked(body["prompt"], sources[0] if sources else None)

    def _tasks(self) -> dict[str, StoredTask]:
        return self._sandbox.accounts.of(KEY).tasks


def _priced(prices: Mapping[str, float]) -> list[Variant]:
    """What is sold, at prices that can rise."""
    return [
        replace(variant, tier=replace(variant.tier, snapshot=Schedule(prices["1k"], prices)))
        if variant.tool_name in (DRAW, REMIX)
        else variant
        for variant in VARIANTS
    ]


def _tool(drawing: Drawing) -> str:
    return DRAW if drawing.source is None else REMIX


def _age(arrival: Arrival) -> float:
    return anyio.current_time() - arrival.at


async def _rows(client: Client) -> dict[str, str]:
    """The status of every task that is listed; a call without a task goes by a number."""
    result = await client.call_tool("list_tasks", {"limit": 50})
    rows = enumerate(facts(result)["tasks"])
    return {row.get("task_id", f"call {number}"): row["status"] for number, row in rows}
