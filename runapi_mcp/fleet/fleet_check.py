"""What is wrong with servers behind one address, and what mends it. Free of charge."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from runapi_mcp.fleet.fleet_probes import HEARD_SECONDS, FleetProbes, ProbeFailed, ServerFacts
from runapi_mcp.fleet.probe_endpoint import BEAT_GAP_SECONDS, BEATS
from runapi_mcp.setup.doctor.findings import Finding, fine, note, problem, warning

TIMES_ASKED: Final = 20
"""How often the address is asked who answers there."""
SILENCE_SECONDS: Final = 61.0
"""As long as a call may be silent that the usual idle limit of a minute would cut off."""
_LOOK_GAP_SECONDS: Final = 0.15
"""Callers without a key may ask ten times a second."""
_MOST_CLOCK_SPREAD_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class FleetDiagnosis:
    findings: tuple[Finding, ...]
    is_reached: bool = False
    is_sandbox: bool = False
    """Whether every server that answered draws in a sandbox."""


async def check_fleet(
    probes: FleetProbes, silent_seconds: float = SILENCE_SECONDS
) -> FleetDiagnosis:
    try:
        looks = [await _look(probes) for _ in range(TIMES_ASKED)]
    except ProbeFailed as failure:
        return FleetDiagnosis((_unreached(failure),))
    found: dict[str, Finding] = {}

    async def judge_way(check: str) -> None:
        found[check] = await _judged(probes, check, silent_seconds)

    async with anyio.create_task_group() as group:
        for check in _WAYS:
            group.start_soon(judge_way, check)
    findings = (*_judge_servers(looks), *(found[check] for check in _WAYS))
    is_sandbox = all(look.is_sandbox for look in looks)
    return FleetDiagnosis(findings, is_reached=True, is_sandbox=is_sandbox)


async def _look(probes: FleetProbes) -> ServerFacts:
    await anyio.sleep(_LOOK_GAP_SECONDS)
    return await probes.facts()


def _unreached(failure: ProbeFailed) -> Finding:
    return problem(
        "reach",
        f"no probe was answered: {failure}",
        "there is no server at this address, or it has another secret, or its clock is far off",
        "set RUNAPI_FLEET_SECRET to the same value for the servers and for this command",
    )


def _judge_servers(looks: Sequence[ServerFacts]) -> Iterator[Finding]:
    servers = {look.server: look for look in looks}
    if len(servers) > 1:
        yield fine("servers", f"{len(servers)} servers answered {len(looks)} requests")
    else:
        yield warning(
            "servers",
            f"one server answered all {len(looks)} requests",
            "either no other runs, or the balancer keeps each client at one",
            "start another one, and turn sticky sessions off",
        )
    yield _judge_versions({look.version for look in looks})
    yield _judge_clocks(looks)
    yield from _judge_databases(servers.values())


def _judge_versions(versions: set[str]) -> Finding:
    named = ", ".join(sorted(versions))
    if len(versions) == 1:
        return fine("version", f"version {named}")
    return note("version", f"versions {named}", "as while a new one is rolled out")


def _judge_clocks(looks: Sequence[ServerFacts]) -> Finding:
    # An answer that took long says less of the clock: the middle one of a server counts.
    by_server: dict[str, list[float]] = {}
    for look in looks:
        by_server.setdefault(look.server, []).append(look.clock_ahead_seconds)
    ahead = [sorted(each)[len(each) // 2] for each in by_server.values()]
    spread = max(ahead) - min(ahead)
    if spread <= _MOST_CLOCK_SPREAD_SECONDS:
        return fine("clock", "the servers' clocks agree")
    return warning(
        "clock",
        f"the servers' clocks are {spread:.0f} s apart",
        "what they log cannot be put in order, and signatures may be refused",
        "run an NTP client on each machine",
    )


def _judge_databases(servers: Iterable[ServerFacts]) -> Iterator[Finding]:
    servers = list(servers)
    failing = sorted({each.database for each in servers if each.database})
    if not all(each.has_database for each in servers):
        yield problem(
            "database",
            "a server has no database",
            "it keeps its own ledger and sessions: calls elsewhere would pay again",
            "set RUNAPI_DATABASE_URL for each server",
        )
    elif failing:
        yield problem(
            "database",
            f"the database cannot be used: {'; '.join(failing)}",
            "paid calls are refused meanwhile; nothing is lost",
            "runapi-mcp fleet migrate, or start the database",
        )
    else:
        yield fine("database", "every server that answered can use its database")


async def _judged(probes: FleetProbes, check: str, silent_seconds: float) -> Finding:
    try:
        if check == "buffering":
            return _judge_beats(await probes.beats())
        if check == "departures":
            return _judge_departure(await probes.departure())
        return _judge_silence(await probes.silence(silent_seconds), silent_seconds)
    except ProbeFailed as failure:
        what = f"it could not be looked at: {failure}"
        return problem(check, what, "what stands before the servers did not let it through", "")


def _judge_beats(spread_seconds: float) -> Finding:
    if spread_seconds >= (BEATS - 1) * BEAT_GAP_SECONDS / 2:
        return fine("buffering", "answers arrive piece by piece")
    return problem(
        "buffering",
        "answers are held back until they end",
        "no progress is seen, and a client that waits for a sign of life gives up",
        "turn buffering off, as with nginx's proxy_buffering off",
    )


def _judge_departure(after_seconds: float | None) -> Finding:
    if after_seconds is not None:
        return fine("departures", f"a server hears who leaves, after {after_seconds:.1f} s")
    return problem(
        "departures",
        f"no server heard within {HEARD_SECONDS:.0f} s that a client had left",
        "a picture may count as delivered that nobody got",
        "have departures passed on, as HAProxy's option abortonclose does",
    )


def _judge_silence(cut_after_seconds: float | None, silent_seconds: float) -> Finding:
    if cut_after_seconds is None:
        return fine("silence", f"an answer may be silent for {silent_seconds:.0f} s")
    return problem(
        "silence",
        f"a silent answer was cut off after {cut_after_seconds:.0f} s",
        "a picture may take longer",
        "let idle connections live for an hour, as nginx's proxy_read_timeout 1h does",
    )


_WAYS: Final = ("buffering", "departures", "silence")
"""What is looked at on the way to the servers, all at the same time."""
