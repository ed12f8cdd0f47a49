"""What lists are asked: a filter, a page of so many, from a cursor; what is unknown is refused."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from runapi_mcp.sandbox.http_messages import Refusal

DEFAULT_LIMIT: Final = 50
LARGEST_LIMIT: Final = 500
_EQUALS: Final = re.compile(r"([a-z_]+)\.EQ:'([^']*)'")
_KNOWN: Final = frozenset({"q", "limit", "sort_by", "pq", "from_prev"})
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`field` and `value` are what the filter compares; `after` is how many came before."""

    field: str | None
    value: str
    limit: int
    after: int
    newest_first: bool

    def page(self, items: Sequence[Item]) -> tuple[Sequence[Item], dict[str, object]]:
        """The items of this page, and where the others are."""
        end = self.after + self.limit
        links: dict[str, object] = {
            "first": _cursor(0),
            "next": _cursor(end) if end < len(items) else None,
            "previous": _cursor(max(0, self.after - self.limit)) if self.after else None,
        }
        return items[self.after : end], links


def list_query(asked: Mapping[str, str], fields: Sequence[str]) -> ListQuery:
    """The query of a list whose filter knows these fields; refused with 400 where it is none."""
    if unknown := sorted(asked.keys() - _KNOWN):
        raise Refusal(400, f"This list knows no {', '.join(unknown)}.")
    filtered = _EQUALS.fullmatch(asked["q"]) if "q" in asked else None
    if "q" in asked and (filtered is None or filtered.group(1) not in fields):
        raise Refusal(400, "The filter expression was not understood.")
    limit = asked.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= LARGEST_LIMIT):
        raise Refusal(400, f"limit must be 1 to {LARGEST_LIMIT}.")
    order = asked.get("sort_by", "created_at:desc")
    if order not in ("created_at:desc", "created_at:asc") or asked.get("from_prev") == "true":
        raise Refusal(400, "The sandbox sorts by created_at, and walks forwards only.")
    field, value = filtered.groups() if filtered else (None, "")
    return ListQuery(field, value, int(limit), _place(asked.get("pq")), order.endswith("desc"))


def _cursor(place: int) -> str:
    return urlsafe_b64encode(f"after {place}".encode()).decode()


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(urlsafe_b64decode(cursor).decode().removeprefix("after "))
    except ValueError:
        raise Refusal(400, "pq is no cursor of this list.") from None
