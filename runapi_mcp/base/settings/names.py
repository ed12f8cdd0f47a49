"""The names of all settings, and which of them a name like it was meant to be."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.settings.fleet import FLEET_NAMES
from runapi_mcp.base.settings.http_caps import HttpCaps
from runapi_mcp.base.settings.waiting_caps import WaitingCaps

LIMIT_NAMES: Final = ("RUNAPI_MAX_COST_PER_CALL", "RUNAPI_DAILY_BUDGET", "RUNAPI_CONFIRM_OVER")
NAMES: Final = frozenset(
    {
        *LIMIT_NAMES,
        *FLEET_NAMES,
        *(f"RUNAPI_HTTP_{name.upper()}" for name in HttpCaps._fields),
        *(f"RUNAPI_{name.upper()}" for name in WaitingCaps._fields),
        "RUNAPI_API_KEY",
        "RUNAPI_BASE_URL",
        "RUNAPI_BUDGET_TIMEZONE",
        "RUNAPI_INPUT_DIRS",
        "RUNAPI_KEY",
        "RUNAPI_LEDGER",
        "RUNAPI_LEDGER_DAYS",
        "RUNAPI_LEDGER_PROMPTS",
        "RUNAPI_MCP_FRONT",
        "RUNAPI_MCP_TASKS",
        "RUNAPI_OUTPUT_DIR",
        "RUNAPI_PREVIEW",
        "RUNAPI_SANDBOX",
        "RUNAPI_SANDBOX_DRAW_SECONDS",
        "RUNAPI_SAVE",
        "RUNAPI_SIDECAR",
        "RUNAPI_VARIANTS",
        "RUNAPI_WAIT_SECONDS",
        "RUNFLOW_API_KEY",
        "RUNFLOW_BASE_URL",
    }
)
_PREFIXES: Final = ("RUNAPI_", "RUNFLOW_")
_MOST_EDITS: Final = 2


class Misspelt(NamedTuple):
    given: str
    meant: str

    def __str__(self) -> str:
        return f"{self.given} is no setting; did you mean {self.meant}?"


def misspelt_names(environ: Mapping[str, str]) -> Iterator[Misspelt]:
    """What is set under a name that is not a setting's and is within two edits of one."""
    for name, value in environ.items():
        given = name.upper()
        if name in NAMES or not value.strip():
            continue
        # A limit counts whatever its name begins with; of the rest, others have names like ours.
        meant = NAMES if given.startswith(_PREFIXES) else LIMIT_NAMES
        near = [(_edits(given, known), known) for known in meant if _may_be_near(given, known)]
        edits, known = min(near, default=(_MOST_EDITS + 1, ""))
        if edits <= _MOST_EDITS:
            yield Misspelt(name, known)


def require_no_limit(names: Iterable[Misspelt]) -> None:
    """Nothing, when none of these was meant to be a limit.

    Raises:
        NotConfigured: one was, so that calls would be paid without it.
    """
    for misspelt in names:
        if misspelt.meant in LIMIT_NAMES:
            raise NotConfigured(
                f"{misspelt} The limit would not hold.", "Correct the name, or unset it."
            )


def _may_be_near(one: str, other: str) -> bool:
    """Whether it is worth counting: each edit brings a letter and takes one away, at most."""
    is_as_long = abs(len(one) - len(other)) <= _MOST_EDITS
    return is_as_long and len({*one} ^ {*other}) <= 2 * _MOST_EDITS


def _edits(one: str, other: str) -> int:
    """How many letters must be put in, left out, changed or swapped with the next, to be equal."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if last and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
