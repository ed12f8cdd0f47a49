"""JSON schemas as every host can read them: flat, closed, without titles, nulls or references."""

from collections.abc import Iterable
from functools import cache
from typing import cast

from pydantic import BaseModel

from runapi_mcp.base.catalog.fields import Capability

Schema = dict[str, object]


def input_schema(inputs: Iterable[type[Capability]]) -> Schema:
    """One closed object with the fields of all the models, but for those that are deprecated."""
    properties: Schema = {}
    required: list[str] = []
    for model in inputs:
        hidden = {name for name, field in model.model_fields.items() if field.deprecated}
        properties |= {name: own for name, own in _fields(model).items() if name not in hidden}
        required += [name for name, field in model.model_fields.items() if field.is_required()]
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = [name for name in properties if name in required]
    return schema


@cache
def output_schema(model: type[BaseModel]) -> Schema:
    raw = model.model_json_schema()
    return cast("Schema", _flat(raw, cast("Schema", raw.pop("$defs", {}))))


def field_schema(inputs: Iterable[type[Capability]], name: str) -> Schema:
    return next(cast("Schema", f[name]) for f in map(_fields, inputs) if name in f)


@cache
def _fields(model: type[Capability]) -> Schema:
    raw = model.model_json_schema()
    properties = cast("Schema", raw.get("properties", {}))
    return {name: _flat(schema, {}) for name, schema in properties.items()}


def _flat(node: object, definitions: Schema) -> object:
    """The node without titles, its references replaced by what they name."""
    if isinstance(node, list):
        return [_flat(item, definitions) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    entries = cast("Schema", node)
    if isinstance(reference := entries.get("$ref"), str):
        return _flat(definitions[reference.rsplit("/", 1)[-1]], definitions)
    return {
        name: _flat(value, definitions)
        for name, value in entries.items()
        # A property may be called title; only a schema's own title is text.
        if not (name == "title" and isinstance(value, str))
    }
