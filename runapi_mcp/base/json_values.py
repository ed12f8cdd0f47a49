"""JSON that somebody else wrote, taken for what it should be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    # Not while it runs: it would take three megabytes of every idle server.
    from typing_extensions import TypeIs

Json = dict[str, object]

LARGEST_NUMBER: Final = 1e12
DEEPEST: Final = 200
"""How deep values are nested at most, so that whoever walks through one comes back."""
_NAME: Final = re.compile(r"[\w.:/+=@~-]{1,128}", re.ASCII)


def is_object(value: object) -> TypeIs[Json]:
    return isinstance(value, dict)


def is_bounded(value: object, most_values: int) -> bool:
    """Whether a value is nested no deeper than is walked through, and holds no more values.

    One that YAML has in many places counts in each.
    """
    level, left = [value], most_values
    for _ in range(DEEPEST):
        inside = (inner for each in level for inner in _values_in(each))
        level = list(islice(inside, left + 1))
        left -= len(level)
        if not level or left < 0:
            return left >= 0
    return False


def _values_in(value: object) -> Iterable[object]:
    return value.values() if is_object(value) else as_list(value)


def as_object(value: object) -> Json:
    """A JSON object, empty when the value is anything else."""
    return value if is_object(value) else {}


def as_list(value: object) -> list[object]:
    """A JSON array, empty when the value is anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """A string that says something, or None."""
    return value.strip() if isinstance(value, str) and value.strip() else None


def as_name(value: object) -> str | None:
    """A name as programs give them, which is shown as it is; None for what could be a sentence."""
    text = as_text(value) or ""
    return text if _NAME.fullmatch(text) else None


def as_number(value: object) -> float | None:
    """A JSON number, or None; true, NaN and what no float holds are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST_NUMBER < value < LARGEST_NUMBER else None


def as_cents(value: object) -> float | None:
    """An amount of money that is not owed, or None."""
    number = as_number(value)
    return number if number is not None and number >= 0 else None
