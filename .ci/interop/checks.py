"""What is checked, and how each program's own report is judged."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tee
from programs import Run
from words import tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECK_SECONDS = 60
ERAS = ("legacy", "modern")
CALLED_TOOL = "check_pricing"
DRAWING_TOOL = "flux_2_pro_text_to_image"

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
# Without tasks-status-notifications, which the suite itself always skips.
TASK_SCENARIOS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
)
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
    seconds: float = CHECK_SECONDS


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


def inspector_task_check(inspector: list[str], stdio_command: list[str], scratch: Path) -> Check:
    """Inspector draws by way of a task, which it does not tell: the record of the talk does."""
    record = scratch / "task-talk"
    command = [
        *inspector,
        "--protocol-era",
        "modern",
        "--format",
        "json",
        "--method",
        "tools/call",
        "--tool-name",
        DRAWING_TOOL,
        "--tool-arg",
        "prompt=a fox [[takes 1s]]",
        "--",
        *tee.command(record, stdio_command),
    ]
    return Check("inspector stdio modern task", command, task_judge(record))


def conformance_checks(conformance: list[str], url: str, scratch: Path) -> Iterator[Check]:
    for version, scenarios in SCENARIOS.items():
        for scenario in scenarios:
            options = ["--url", url, "--spec-version", version]
            yield scenario_check([*conformance, *options], scenario, scratch / version)


def task_conformance_checks(conformance: list[str], url: str, scratch: Path) -> Iterator[Check]:
    # Without --spec-version, with which the suite skips extensions.
    for scenario in TASK_SCENARIOS:
        yield scenario_check([*conformance, "--url", url], scenario, scratch / "extensions")


def scenario_check(conformance: list[str], scenario: str, scratch: Path) -> Check:
    results = scratch / scenario
    command = [*conformance, "--scenario", scenario, "--output-dir", str(results)]
    return Check(f"conformance {scratch.name} {scenario}", command, scenario_judge(results))


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


def task_judge(record: Path) -> Callable[[Run], Verdict]:
    """Passes an image that the server answered with a task, and the client then asked for."""

    def judge(run: Run) -> Verdict:
        verdict = judge_call(run)
        image = json_result(run.stdout).get("result", {}).get("structuredContent", {})
        created, asked = tee.said(record, '"resultType":"task"'), tee.said(record, '"tasks/get"')
        return Verdict(
            passed=verdict.passed and image.get("status") == "completed" and created == 1 <= asked,
            note=f"tasks: {created}, looks: {asked}",
            details=verdict.details,
        )

    return judge


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
