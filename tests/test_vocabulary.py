"""One name is one thing, and what acts is a verb: counted in the sources."""

import ast
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from benchmarks.house import (
    Function,
    base_names,
    definitions,
    is_participle,
    read_package,
    several,
)

ROOT: Final = Path(__file__).parents[1]
MODULES: Final = [
    module for package in ("runapi_mcp", "publishing") for module in read_package(ROOT / package)
]

MOST: Final = 10
"""How many names, and how many names of files, may stand for two things."""

PARALLEL: Final[Mapping[str, str]] = {
    "logger": "",  # each module has its own, named after it
    "command": "runapi_mcp/cli/",  # each module is one command, which `main` looks up by this name
    "main": "",  # where a program begins
    "files": "publishing/",  # each module writes the files of one kind
}
"""Names that mean the same thing in every module of a folder, which so defines them once."""

NAMES: Final[Mapping[str, str]] = {}
"""The names of two things, and why."""

TWINS: Final[Mapping[str, str]] = {
    "runapi_mcp/orders/ledger/postgres/statements.py": "runapi_mcp/orders/ledger/sqlite/queries.py"
}
"""Modules that say the same in two languages, and so under the same names."""

FILES: Final[Mapping[str, str]] = {
    "fleet.py": "the command `runapi-mcp fleet`, and the settings of servers that share an address",
    "pictures.py": "the command `runapi-mcp pictures`, and what the sandbox draws",
    "port.py": "what the ledger, and what the provider, promises to whoever uses it",
    "tasks.py": "the command `runapi-mcp tasks`, and RunAPI's requests about tasks",
}
"""The names of two files, and why."""

ACTING: Final[Mapping[str, str]] = {}
"""Functions that act although a participle names them, and why."""


def test_a_public_name_is_one_thing_or_has_a_reason() -> None:
    assert_explained(several(definitions_by_role()), NAMES)
    assert len(NAMES) <= MOST


def test_a_file_has_its_base_name_to_itself_or_a_reason() -> None:
    assert_explained(several(base_names(MODULES)), FILES)
    assert len(FILES) <= MOST


def test_what_acts_is_named_by_a_verb() -> None:
    acting: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for function in filter(acts, module.functions()):
            if is_participle(function.name):
                acting[function.name].append(module.path)
    assert_explained(acting, ACTING)


def assert_explained(found: Mapping[str, Collection[str]], reasons: Mapping[str, str]) -> None:
    """Each has a reason, and each reason still explains something."""
    unexplained = {name: paths for name, paths in found.items() if name not in reasons}
    assert unexplained == {}
    stale = reasons.keys() - found.keys()
    assert stale == set()


def definitions_by_role() -> Mapping[str, list[str]]:
    """The places of each name, those of parallel modules taken for one."""
    return {
        name: sorted({place(name, path) for path in paths})
        for name, paths in definitions(MODULES).items()
    }


def place(name: str, path: str) -> str:
    return PARALLEL[name] if is_parallel(name, path) else TWINS.get(path, path)


def is_parallel(name: str, path: str) -> bool:
    return name in PARALLEL and path.startswith(PARALLEL[name])


def acts(function: Function) -> bool:
    """Roughly: it waits for something, or gives nothing back. What is private, few read."""
    gives_nothing = isinstance(function.returns, ast.Constant) and function.returns.value is None
    is_public = not function.name.startswith("_")
    return is_public and (gives_nothing or isinstance(function, ast.AsyncFunctionDef))
