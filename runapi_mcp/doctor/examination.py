"""The whole examination: entries read, servers started, RunAPI asked, all of it judged."""

import sys
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import anyio

from runapi_mcp.doctor.asking import LetIn, Reached, let_in, reached
from runapi_mcp.doctor.chapters import Teller, chapter_of, chapters_of, ours_on, shared
from runapi_mcp.doctor.check_disk import disk_findings
from runapi_mcp.doctor.check_entries import entry_findings
from runapi_mcp.doctor.check_key import (
    held_back_findings,
    key_findings,
    settings_findings,
    taken_findings,
)
from runapi_mcp.doctor.check_network import reached_findings, way_findings
from runapi_mcp.doctor.check_start import Started, not_to_be_started, start_findings
from runapi_mcp.doctor.entries import Configured, Shelf, shelves_of
from runapi_mcp.doctor.findings import Chapter, Finding, Report, warning
from runapi_mcp.doctor.hiding import Secrets
from runapi_mcp.doctor.means import Means, means_of
from runapi_mcp.doctor.starts import (
    Start,
    allowance,
    environment_of,
    headers_of,
    start_of,
)
from runapi_mcp.doctor.trials import Trial, tried
from runapi_mcp.hosts.places import Machine
from runapi_mcp.hosts.table import HOSTS, HostConfig

WAIT_SECONDS: Final = 20.0
"""How long a server may take to answer, whatever its host allows: nobody waits longer here."""
MARGIN_SECONDS: Final = 8.0
"""What asking RunAPI and ending the servers may take besides."""

Answer = TypeVar("Answer")


class _Once:
    """Asks each question once, whoever wants its answer."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, anyio.Lock] = {}
        self._answers: dict[Hashable, object] = {}

    async def ask(self, name: Hashable, question: Callable[[], Awaitable[Answer]]) -> Answer:
        async with self._locks.setdefault(name, anyio.Lock()):
            if name not in self._answers:
                self._answers[name] = await question()
            answer: Answer = self._answers[name]  # pyright: ignore[reportAssignmentType] - the name says the type
            return answer


@dataclass(slots=True)
class Examination:
    """One look at a machine."""

    machine: Machine
    wait_seconds: float
    secrets: Secrets = field(default_factory=Secrets)
    _machine: Chapter = field(default_factory=lambda: Chapter("This machine"))
    _once: _Once = field(default_factory=_Once)

    async def report(self, named: Sequence[HostConfig]) -> Report:
        """All that is found about the named hosts; about each that has an entry, without names."""
        shelves = {host: shelves_of(host, self.machine) for host in named or HOSTS}
        self._learn_secrets(shelves.values())
        chapters = [
            chapter
            for host, found in shelves.items()
            for chapter in chapters_of(host, found, named=bool(named))
        ]
        tellers = _tellers(shelves.values(), chapters)
        await self._examine_in_time(tellers)
        own = [teller.chapter for teller in tellers if teller.entry is None]
        return Report((shared(tellers, self._machine), *own, *chapters))

    async def _examine_in_time(self, tellers: Sequence[Teller]) -> None:
        with anyio.move_on_after(self.wait_seconds + MARGIN_SECONDS) as limit:
            await self._examine_all(tellers)
        if limit.cancelled_caught:
            self._machine.add([_unfinished()])

    async def _examine_all(self, tellers: Sequence[Teller]) -> None:
        async with anyio.create_task_group() as group:
            for teller in tellers:
                group.start_soon(self._examine, teller)

    def _learn_secrets(self, shelves: Iterable[Sequence[Shelf]]) -> None:
        read = [shelf.everything for each in shelves for shelf in each]
        self.secrets = self.secrets.and_those_of([*read, dict(self.machine.environ)])

    async def _examine(self, teller: Teller) -> None:
        entry = teller.entry
        environ = environment_of(entry, self.machine) if entry else dict(self.machine.environ)
        means = means_of(environ, self.machine.environ, entry)
        if means.key:
            self.secrets = self.secrets.and_those_of({"key": means.key})
        if entry is not None:
            teller.chapter.add(entry_findings(entry, self.machine))
        async with anyio.create_task_group() as group:
            if not (entry and entry.url):
                group.start_soon(self._of_means, teller, means)
            if not (entry and entry.is_off):
                group.start_soon(self._of_start, teller, means)

    async def _of_means(self, teller: Teller, means: Means) -> None:
        """What the server would find: settings, key, network, disk."""
        for findings in settings_findings, held_back_findings, key_findings, way_findings:
            teller.means += findings(means)
        if means.reaches:
            await self._of_runapi(teller, means)
        teller.means += disk_findings(means)

    async def _of_runapi(self, teller: Teller, means: Means) -> None:
        answer = await self._reached(means)
        teller.means += reached_findings(means, answer)
        if answer.failure is None and means.key:
            teller.means += taken_findings(means, await self._let_in(means))

    async def _reached(self, means: Means) -> Reached:
        return await self._once.ask(means.reaches, partial(reached, means.reaches))

    async def _let_in(self, means: Means) -> LetIn:
        address, key = means.reaches, means.key
        return await self._once.ask((address, key), partial(let_in, address, key))

    async def _is_accepted(self, means: Means) -> bool:
        """Whether the started server should be let in as well, and asking it changes nothing.

        For a budget it would open the ledger.
        """
        if not (means.reaches and means.key) or means.environ.get("RUNAPI_DAILY_BUDGET"):
            return False
        if (await self._reached(means)).failure is not None:
            return False
        return (await self._let_in(means)).failure is None

    async def _of_start(self, teller: Teller, means: Means) -> None:
        entry = teller.entry
        start = self._start(entry)
        missing = entry and not entry.url and not_to_be_started(start, entry.host, entry.scope)
        if missing:
            teller.chapter.add([missing])
            return
        trial = await (self._visit(entry) if entry and entry.url else self._try(start, means))
        teller.chapter.add(start_findings(Started(start, trial, entry, self.secrets)))
        teller.refusal = self.secrets.hidden_in_foreign(trial.balance_refusal)

    async def _visit(self, entry: Configured) -> Trial:
        headers = headers_of(entry, self.machine)
        visit = partial(visited_at, entry.url, headers, self.wait_seconds)
        return await self._once.ask((entry.url, *sorted(headers.items())), visit)

    async def _try(self, start: Start, means: Means) -> Trial:
        trying = partial(tried, start, self.wait_seconds, partial(self._is_accepted, means))
        return await self._once.ask(start.identity, trying)

    def _start(self, entry: Configured | None) -> Start:
        if entry is None:
            words = (sys.executable, "-P", "-m", "runapi_mcp")
            environ = dict(self.machine.environ)
            return Start(words, environ, self.machine.directory, self.wait_seconds)
        if entry.url:
            return Start((entry.url,), {}, "", allowance(entry, self.machine))
        return start_of(entry, self.machine)


def _tellers(shelves: Iterable[Sequence[Shelf]], chapters: Sequence[Chapter]) -> list[Teller]:
    """One for each entry; one for this program itself, where there is no entry."""
    ours = [entry for each in shelves for entry in ours_on(each)]
    tellers = [Teller(entry, chapter_of(entry, chapters)) for entry in ours]
    return tellers or [Teller(None, Chapter("This program"))]


async def visited_at(url: str, headers: dict[str, str], wait_seconds: float) -> Trial:
    """As `visited`, which is loaded for those alone who connect to an address."""
    from runapi_mcp.doctor.visits import visited

    return await visited(url, headers, wait_seconds)


def _unfinished() -> Finding:
    what = "not everything was looked at in time"
    return warning("time", what, "something here is very slow", "runapi-mcp doctor HOST")
