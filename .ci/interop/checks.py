"""What is checked, and how each program's own report is judged."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs import Run
from words import tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ERAS = ("legacy", "modern")
CALLED_TOOL = "check_pricing"

SCENARIOS = {
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "server-stateless",
        "tools-list",
        "caching",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "dns-rebinding-protection",
    ),
}
# The suite cannot try these of server-stateless without diagnostic tools that no real server has.
# Each is forgiven only while the suite itself reports it as untestable.
NEED_DIAGNOSTIC_TOOLS = frozenset(
    {
        "sep-2575-server-rejects-undeclared-capability",
        "sep-2575-missing-capability-http-400",
        "sep-2575-http-server-no-independent-requests-on-stream",
        "sep-2575-server-no-log-without-loglevel",
    }
)


@dataclass(frozen=True)
class Outcome:
    """One check of a conformance scenario, as the suite reports it."""

    id: str
    status: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What a check found: `note` goes on its line, `details` beneath it when it failed."""

    passed: bool
    note: str
    details: str


@dataclass(frozen=True)
class Check:
    name: str
    command: list[str]
    judge: Callable[[Run], Verdict]


def inspector_checks(inspector: list[str], stdio_command: list[str], url: str) -> Iterator[Check]:
    targets = {
        "stdio": ["--", *stdio_command],
        "http": ["--transport", "http", "--server-url", url],
    }
    for era in ERAS:
        options = ["--protocol-era", era, "--format", "json"]
        for transport, target in targets.items():
            command = [*inspector, *options, "--method", "tools/list", "--strict", *target]
            yield Check(
                f"inspector {transport} {era} tools/list --strict", command, judge_tool_list
            )
        command = [
            *inspector,
            *options,
            "--method",
            "tools/call",
            "--tool-name",
            CALLED_TOOL,
            *targets["stdio"],
        ]
        yield Check(f"inspector stdio {era} tools/call {CALLED_TOOL}", command, judge_call)


def conformance_checks(conformance: list[str], scratch: Path) -> Iterator[Check]:
    for version, scenarios in SCENARIOS.items():
        for scenario in scenarios:
            results = scratch / version / scenario
            command = [
                *conformance,
                "--spec-version",
                version,
                "--scenario",
                scenario,
                "--output-dir",
                str(results),
            ]
            yield Check(f"conformance {version} {scenario}", command, scenario_judge(results))


def judge_tool_list(run: Run) -> Verdict:
    """Passes a list of tools without findings; Inspector itself would let warnings pass."""
    answer = json_result(run.stdout)
    tools = answer.get("result", {}).get("tools")
    passed = run.returncode == 0 and bool(tools) and not answer.get("schemaFindings")
    return Verdict(passed, f"tools: {len(tools or [])}", tail(run.stderr))


def judge_call(run: Run) -> Verdict:
    result = json_result(run.stdout).get("result", {})
    is_error = result.get("isError", False)
    passed = run.returncode == 0 and bool(result.get("content")) and not is_error
    return Verdict(passed, "isError" if is_error else "", tail(f"{run.stderr}\n{run.stdout}"))


def scenario_judge(results: Path) -> Callable[[Run], Verdict]:
    """Passes a scenario with a success and without a failure or, unlike the suite, a warning."""

    def judge(run: Run) -> Verdict:
        outcomes = [
            outcome for report in results.glob("*/checks.json") for outcome in read_outcomes(report)
        ]
        problems = [outcome for outcome in outcomes if outcome.status in ("FAILURE", "WARNING")]
        counts = Counter(outcome.status for outcome in outcomes)
        # The suite counts what it could not try as failed.
        expected_returncode = 1 if counts["UNTESTABLE"] else 0
        return Verdict(
            passed=counts["SUCCESS"] > 0 and not problems and run.returncode == expected_returncode,
            note=", ".join(f"{number} {status.lower()}" for status, number in counts.items())
            or "no results",
            details="\n".join(
                f"{problem.status} {problem.id}: {problem.message}" for problem in problems
            )
            or tail(f"{run.stdout}\n{run.stderr}"),
        )

    return judge


def read_outcomes(report: Path) -> Iterator[Outcome]:
    for outcome in json.loads(report.read_text()):
        untestable = outcome["id"] in NEED_DIAGNOSTIC_TOOLS and outcome.get("details", {}).get(
            "untestable"
        )
        yield Outcome(
            id=outcome["id"],
            status="UNTESTABLE" if untestable else outcome["status"],
            message=outcome.get("errorMessage") or outcome["description"],
        )


def json_result(stdout: str) -> dict[str, Any]:  # Any: the JSON of another program
    """The JSON object that Inspector printed; an empty one when it printed anything else."""
    try:
        return json.loads(stdout)
    except ValueError:
        return {}
