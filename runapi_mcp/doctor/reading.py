"""Values of files that somebody else wrote, taken for what they should be."""

from collections.abc import Mapping
from typing import cast


def as_mapping(value: object) -> Mapping[str, object]:
    """A mapping by name; an empty one for anything else."""
    if not isinstance(value, Mapping):
        return {}
    entries = cast("Mapping[object, object]", value)
    return {name: inner for name, inner in entries.items() if isinstance(name, str)}


def as_list(value: object) -> list[object]:
    """A list; an empty one for anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_texts(value: object) -> tuple[str, ...]:
    """The words of a list, or the one word."""
    items = as_list(value) or [value]
    return tuple(item for item in items if isinstance(item, str))


def as_variables(value: object) -> dict[str, str]:
    """Variables and their values; numbers and switches as hosts write them out."""
    scalars = {
        name: inner
        for name, inner in as_mapping(value).items()
        if isinstance(inner, str | int | float)
    }
    return {name: _written_out(inner) for name, inner in scalars.items()}


def as_seconds(value: object) -> float | None:
    """A number, if it is one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _written_out(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
