"""The images a call starts from, as callers name them: by address, by path, by an earlier task."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, create_model

from runapi_mcp.base.catalog import Params
from runapi_mcp.base.catalog.fields import MAX_URL_CHARACTERS, require_http_url
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.orders.purchase import SOURCES_FIELD

_ADDRESS: Final = re.compile(r"(?!file:)([a-z][a-z0-9+.-]+://|data:|blob:)|\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    url: str


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A file of this machine, by its path or `file:` URL."""

    path: str


@dataclass(frozen=True, slots=True)
class EarlierTask:
    task_id: str


_COUNT_FIELD: Final = "output_count"
SourceName = Address | LocalPath | EarlierTask


def parse_name(name: str) -> SourceName:
    """
    Raises:
        ValueError: "must ..." what it is to be, where it is an address that is none.
    """
    if _ADDRESS.match(name) or len(name) > MAX_URL_CHARACTERS:
        return Address(require_http_url(name))
    task_id = canonical(name)
    return LocalPath(name) if task_id is None else EarlierTask(task_id)


# How many there may be, its row alone says.
_NAMES: Final = list[Annotated[str, AfterValidator(parse_name)]]


@cache
def params_as_named(params: type[Params]) -> type[Params]:
    """The params as a caller gives them: as RunAPI has them, except for two.

    How sources are named: what `names_of` them are has its type already. And how many images there
    shall be: a call of several is several tasks, so that is no setting of a task.
    """
    if not {SOURCES_FIELD, _COUNT_FIELD} & params.model_fields.keys():
        return params
    own = {
        name: (_NAMES if name == SOURCES_FIELD else field.annotation, field)
        for name, field in params.model_fields.items()
        if name != _COUNT_FIELD
    }
    # Any: it is typed for fields that are known beforehand.
    return cast("Any", create_model)(params.__name__, __base__=Params, **own)


def names_of(params: Params) -> list[SourceName]:
    """The sources of params that were given `params_as_named`; none of a drawing from text."""
    return cast("list[SourceName]", getattr(params, SOURCES_FIELD, []))
