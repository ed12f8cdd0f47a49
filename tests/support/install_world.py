"""Homes with hosts' files in them, and what install is asked and says there."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS, host_named
from runapi_mcp.setup.install.host_places import host_file_path
from runapi_mcp.setup.install.start_command import Program, typed_command
from tests.support.processes import LIMIT_SECONDS
from tests.support.unwritable import as_a_user

KEY = "sandbox-key-of-a-test"
TYPED = typed_command(Program(sys.executable, Path(sys.prefix), os.environ), "__main__.py")
"""How these tests start the program."""
NO_KEY = (
    f"There is no API key yet: run {TYPED} login. Until then, --sandbox practises without one.\n"
)
OTHERS = {
    "json": '{"before": [1,2 ], "%s": { "other":{"command":"x"} },\n  "after": null}',
    "json with comments": '{ // mine\n  "%s": {\n    "other": {"command": "x"} // its\n  }\n}\n',
    "jsonc": '// top\n{\n\t"%s": {\n\t\t"other": {"command": "x"}, /* its */\n\t},\n}',
    "toml": 'model = "m" # mine\n\n[%s.other]\ncommand = "x"\n# end',
    "yaml": "# top\n%s: # mine\n    other: {cmd: x}\n\nlast: 1\n",
}
BROKEN = {
    "json": ('{\n  "a": 1,\n}\n', 2),
    "json with comments": ('{ // note\n  "a": 1,\n}\n', 2),
    "jsonc": ("{\n  a: 1\n}\n", 2),
    "toml": ("a = 1\nb = \n", 2),
    "yaml": ("a: 1\nb: [1\nc: 2\n", 3),
}
EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)


def file_of(host: Host) -> Path:
    """Where install puts a host's entry in this test's home."""
    return host_file_path(host, "user", Machine("linux", os.environ, "/"))


def keep(path: Path, text: str, mode: int = 0o640) -> None:
    """The file as a person has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(mode)


def read(host: Host, path: Path) -> dict[str, Any]:
    """The servers of a host's file, without what the standard library cannot read."""
    text = path.read_text()
    match host.dialect:
        case "toml":
            found: Any = tomllib.loads(text)
        case "yaml":
            found = cast("Any", YAML(typ="safe", pure=True)).load(text)
        case _:
            lines = [line.partition("//")[0].partition("/*")[0] for line in text.splitlines()]
            found = json.loads("".join(lines).replace(",\t}", "}").replace(",}", "}"))
    for key in host.container:
        found = found[key]
    return cast("dict[str, Any]", found)


def started(host: Host, entry: Mapping[str, Any]) -> list[str]:
    """The command that an entry starts."""
    inner = entry[host.wrapper_key] if host.wrapper_key else entry
    command = inner[host.stdio.command]
    return [*command] if host.stdio.args is None else [command, *inner[host.stdio.args]]


def everything(folder: Path) -> set[str]:
    """Every file of a home, without what install notes for itself."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in paths if "runapi-mcp" not in path.parts}


def home() -> Path:
    """This test's own."""
    return Path(os.environ["HOME"])


def one_server(entry: object, container: str = "mcpServers") -> str:
    """A file of JSON with this server of ours alone."""
    return json.dumps({container: {"runapi": entry}})


def entry_in(name: str) -> dict[str, Any]:
    """What a host's file in JSON says of our server."""
    return json.loads(file_of(host_named(name)).read_text())["mcpServers"]["runapi"]


def unprivileged(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`runapi-mcp` as a user runs it: root, too, may only do what files and folders allow."""
    command = [*as_a_user(), sys.executable, "-m", "runapi_mcp", *arguments]
    return subprocess.run(  # noqa: S603 - our own command
        command, input="", capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
