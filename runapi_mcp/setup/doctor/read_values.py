"""Values of files that somebody else wrote, taken for what they should be."""

import stat
from pathlib import Path

from runapi_mcp.base.json_values import as_list, as_object


def as_texts(value: object) -> tuple[str, ...]:
    """The words of a list, or the one word."""
    items = as_list(value) or [value]
    return tuple(item for item in items if isinstance(item, str))


def as_variables(value: object) -> dict[str, str]:
    """Variables and their values; numbers and switches as hosts write them out."""
    scalars = {
        # To YAML, a name may be a number.
        str(name): inner
        for name, inner in as_object(value).items()
        if isinstance(inner, str | int | float)
    }
    return {name: _written_out(inner) for name, inner in scalars.items()}


def as_seconds(value: object) -> float | None:
    """A number, if it is one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def is_odd(path: Path) -> bool:
    """Whether whoever reads what is there may wait for ever, as at a pipe or a terminal."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False  # reading says it at once
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _written_out(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
