"""The images a call starts from, as callers name them: by address, by path, by an earlier task."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, cast

from pydantic import MISSING, AfterValidator, Field, create_model
from pydantic.fields import FieldInfo

from runapi_mcp.base.catalog import Params
from runapi_mcp.base.catalog.fields import MAX_URL_CHARACTERS, require_http_url
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.images.near_names import bare
from runapi_mcp.orders.purchase import SOURCES_FIELD

# One letter is a drive.
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]{1,40}):(/?)", re.IGNORECASE)
_PICTURES: Final = (
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".heic", ".heif", ".avif"),
)


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
    plain = bare(name)
    scheme = _scheme_of(plain)
    if scheme in ("http", "https") or not plain or len(name) > MAX_URL_CHARACTERS:
        return Address(require_http_url(plain))
    if scheme not in ("", "file"):
        ours = "must be an http or https URL, a path or a task_id"
        raise ValueError(f"{ours} ({scheme}: is another scheme)")
    task_id = canonical(plain)
    return LocalPath(name) if task_id is None else EarlierTask(task_id)


def _scheme_of(name: str) -> str:
    """What an address begins with; nothing for a path, and a picture's name may have a colon."""
    found = _SCHEME.match(name)
    if found is None or (not found[2] and name.lower().endswith(_PICTURES)):
        return ""
    return found[1].lower()


# How many there may be, its row alone says.
_NAMES: Final = list[Annotated[str, AfterValidator(parse_name)]]


@cache
def params_as_named(params: type[Params]) -> type[Params]:
    """The params as a caller gives them: as RunAPI has them, except for two.

    How sources are named: what `names_of` them are has its type already. And how many images there
    shall be: a call of several is several tasks, so that is no setting of a task. Where RunAPI has
    it, its one value is taken and says nothing.
    """
    if not {SOURCES_FIELD, _COUNT_FIELD} & params.model_fields.keys():
        return params
    changed = {SOURCES_FIELD: _as_named, _COUNT_FIELD: _as_said_before}
    own = {
        name: changed[name](field) if name in changed else (field.annotation, field)
        for name, field in params.model_fields.items()
    }
    # Any: it is typed for fields that are known beforehand.
    return cast("Any", create_model)(params.__name__, __base__=Params, **own)


def _as_named(field: FieldInfo) -> tuple[object, object]:
    return _NAMES, field


def _as_said_before(field: FieldInfo) -> tuple[object, object]:
    """Neither advertised nor handed on."""
    return field.annotation, Field(MISSING, deprecated=True, exclude=True)


def names_of(params: Params) -> list[SourceName]:
    """The sources of params that were given `params_as_named`; none of a drawing from text."""
    return cast("list[SourceName]", getattr(params, SOURCES_FIELD, []))
