"""What is surely taken in the messages of a host. It may be taken although it is not known here.

The SDK's types say what is valid; a property test compares them with this.
"""

from collections.abc import Mapping
from typing import Final, TypeGuard, cast

from runapi_mcp.base.json_values import Json, is_object

FIRST_INEXACT: Final = 2**53
"""Numbers below are the same in every reader of JSON."""
LONGEST_ID: Final = 256
_DEEPEST: Final = 4
_CLIENT_TEXTS: Final = frozenset({"name", "title", "version", "description", "websiteUrl"})
_OBJECTS_WITHIN: Final[Mapping[str, int]] = {
    "roots": 1,
    "sampling": 2,
    "elicitation": 2,
    "experimental": 2,
    "extensions": 2,
    "tasks": 4,
}
"""Capabilities that are known, and how deep they hold nothing but objects."""


def has(
    value: object, required: frozenset[str], optional: frozenset[str] = frozenset()
) -> TypeGuard[Json]:
    """Whether it is an object with these members and no others."""
    return is_object(value) and required <= value.keys() <= required | optional


def is_id(value: object) -> bool:
    """Whether it names a request, or the progress of one."""
    return is_whole(value) or (isinstance(value, str) and len(value) <= LONGEST_ID)


def is_whole(value: object) -> bool:
    return type(value) is int and -FIRST_INEXACT < value < FIRST_INEXACT


def is_client(value: object) -> bool:
    """Whether it says who the client is."""
    required = frozenset({"name", "version"})
    return has(value, required, _CLIENT_TEXTS) and all(isinstance(v, str) for v in value.values())


def are_capabilities(value: object) -> bool:
    """Whether it says what the client can; clients may name what nobody knows."""
    return is_object(value) and all(_is_capability(*each) for each in value.items())


def _is_capability(name: str, value: object) -> bool:
    if name == "roots" and is_object(value):
        return all(isinstance(of, bool) and member == "listChanged" for member, of in value.items())
    levels = _OBJECTS_WITHIN.get(name, 0)
    return _is_plain(value) and _are_objects(value, levels)


def _are_objects(value: object, levels: int) -> bool:
    if levels == 0:
        return True
    return is_object(value) and all(_are_objects(each, levels - 1) for each in value.values())


def _is_plain(value: object, levels: int = _DEEPEST) -> bool:
    """Whether it holds no nulls and no empty lists, which clients write for something else."""
    if is_object(value):
        return levels > 0 and all(_is_plain(each, levels - 1) for each in value.values())
    if isinstance(value, list):
        inside = cast("list[object]", value)
        return levels > 0 and bool(inside) and all(_is_plain(each, levels - 1) for each in inside)
    return isinstance(value, bool | str) or is_whole(value)
