"""A tool as data: what a host sees of it, and what it does for a caller."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from runapi_mcp.api import RunAPI
from runapi_mcp.catalog.fields import Capability
from runapi_mcp.tasks.waiting import Report

RawArguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: RunAPI with the caller's key, and the way to tell the caller how it goes."""

    runapi: RunAPI
    report: Report


@dataclass(frozen=True, slots=True)
class Outcome:
    """The facts of an answer. `failed` marks those that a host must show as an error."""

    facts: BaseModel
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `inputs` are the closed models its arguments are split into."""

    name: str
    title: str
    description: str
    effect: Literal["reads", "pays"]
    inputs: tuple[type[Capability], ...]
    output: type[BaseModel]
    run: Callable[[Caller, RawArguments], Awaitable[Outcome]]
    """
    Raises:
        Failure: what went wrong and what to do, in words a model can use.
    """
