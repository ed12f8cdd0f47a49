"""How a package reads, in figures: this one beside the libraries that it learns from.

Prints the row of each package named on the command line, for the table of docs/architecture.md.
Only sources are read, so the figures vary with versions and never with the machine.
tests/test_vocabulary.py counts this project's names by the same functions.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Final

OURS: Final = "runapi_mcp"
OTHERS: Final = ("stamina", "starlette", "httpx", "anyio", "platformdirs", "mcp")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definitions = Mapping[str, Sequence[str]]
"""The modules in which each name is defined."""

_COLUMNS: Final = (
    "",
    "lines",
    "function median / p90 / max",
    "comments a 100 lines",
    "public names with two meanings",
    "files sharing a base name",
    "functions named by a participle",
)
_PARTICIPLE: Final = re.compile(
    "begun|bound|bought|broken|brought|built|caught|chosen|done|drawn|driven|fallen|felt|forgotten"
    "|found|frozen|given|gone|grown|heard|held|hidden|kept|known|laid|led|left|lost|made|meant|met"
    "|paid|said|seen|sent|shown|sold|spent|spoken|stolen|stood|taken|taught|thought|thrown|told"
    "|torn|understood|won|worn|written"
    "|(?!.*eed$|embed$|hundred$)[a-z]{2,}ed"
)


@dataclass(frozen=True, slots=True)
class Module:
    """A file of a package, read and parsed."""

    path: str
    """From the package's name on, with slashes."""
    text: str
    tree: ast.Module

    @property
    def base_name(self) -> str:
        return self.path.rpartition("/")[2]

    def functions(self) -> Iterator[Function]:
        """Methods and inner functions too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def public_names(self) -> set[str]:
        """What the module itself defines at its top: imported names are another module's."""
        names = {name for node in self.tree.body for name in _names_defined_by(node)}
        return {name for name in names if not name.startswith("_")}


def main() -> int:
    """Print the table; 1 where a package that was asked for is not installed."""
    parser = argparse.ArgumentParser(description="Figures of how packages read.")
    parser.add_argument("packages", nargs="*", help="default: this one and those it learns from")
    asked_for: list[str] = parser.parse_args().packages
    packages = asked_for or [OURS, *OTHERS]
    roots = {package: root for package in packages if (root := package_root(package))}
    _print_row(_COLUMNS)
    _print_row(["---"] * len(_COLUMNS))
    for package, root in roots.items():
        _print_row([package, *_figures(read_package(root))])
    missing = [package for package in packages if package not in roots]
    if missing:
        print(f"Not installed: {', '.join(missing)}.", file=sys.stderr)
    return 1 if asked_for and missing else 0


def package_root(package: str) -> Path | None:
    """The package's folder, without importing it; None where it is not installed."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def read_package(root: Path) -> list[Module]:
    """Every module below the folder."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    return [
        Module(path.relative_to(root.parent).as_posix(), text, ast.parse(text))
        for path, text in texts.items()
    ]


def definitions(modules: Iterable[Module]) -> Definitions:
    """The public names of all modules, and where each is defined."""
    defined: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        for name in module.public_names():
            defined[name].append(module.path)
    return defined


def base_names(modules: Iterable[Module]) -> Definitions:
    """The files of each base name; packages' own `__init__` and `__main__` have none."""
    files: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        if not module.base_name.startswith("__"):
            files[module.base_name].append(module.path)
    return files


def several(defined: Definitions) -> Definitions:
    """Those that stand in more than one place."""
    return {name: places for name, places in defined.items() if len(places) > 1}


def is_participle(name: str) -> bool:
    """Whether a function is named by what was done, not by what it does; by its first word."""
    return _PARTICIPLE.fullmatch(name.strip("_").partition("_")[0]) is not None


def _names_defined_by(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _figures(modules: Sequence[Module]) -> list[str]:
    functions = [function for module in modules for function in module.functions()]
    lines = sum(module.text.count("\n") for module in modules)
    names, files = definitions(modules), base_names(modules)
    participles = sum(is_participle(function.name) for function in functions)
    return [
        f"{lines:,}",
        _lengths(functions),
        f"{100 * sum(map(_count_comments, modules)) / lines:.1f}",
        f"{len(several(names))} of {len(names)}",
        f"{_count(several(files))} of {_count(files)}",
        f"{participles / len(functions):.0%}",
    ]


def _count(files: Definitions) -> int:
    return sum(map(len, files.values()))


def _lengths(functions: Iterable[Function]) -> str:
    """From `def` to the last line, docstrings too."""
    lines = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    return f"{median(lines):g} / {quantiles(lines, n=10)[-1]:.0f} / {max(lines)}"


def _count_comments(module: Module) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def _print_row(cells: Iterable[str]) -> None:
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
