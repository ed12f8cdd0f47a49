"""What `/metrics` tells, as the page on hosting lists it."""

from collections.abc import Iterator
from typing import Final

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.measures import ROWS, Measure
from runapi_mcp.telemetry.operations import operation_measure
from runapi_mcp.tools import offered

ALL_ROWS: Final = (operation_measure([tool.name for tool in offered(VARIANTS)]), *ROWS)
_MOST_NAMED: Final = 6


def measures_table() -> str:
    rows = ["| series | labels | what it tells |", "| --- | --- | --- |"]
    return "\n".join([*rows, *_lines()])


def series_name(row: Measure) -> str:
    """What the exporter makes of a row's name; of a histogram, what its series begin with."""
    name = row.name.replace(".", "_")
    with_unit = f"{name}_seconds" if row.unit == "s" else name
    return f"{with_unit}_total" if row.kind == "counter" else with_unit


def _lines() -> Iterator[str]:
    for row in ALL_ROWS:
        labels = ", ".join(f"`{_label(name, values)}`" for name, values in row.labels.items())
        yield f"| `{series_name(row)}` | {labels} | {row.description} |"


def _label(name: str, values: frozenset[str]) -> str:
    few = len(values) <= _MOST_NAMED
    return name.replace(".", "_") + (f": {', '.join(sorted(values))}" if few else "")
