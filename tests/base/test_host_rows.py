"""A host is one row, which is all that install, server and documentation need of a new one."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import runapi_mcp
from publishing.host_pages import environment_table, pages, waiting_table
from runapi_mcp.base.hosts.host import (
    UNKNOWN_CLIENT,
    ClientProfile,
    Host,
    LaunchPolicy,
    Stdio,
)
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS, client_profile, host_named
from runapi_mcp.setup.install.host_entry import EntrySpec
from runapi_mcp.setup.install.host_places import detect_hosts, host_file_path
from runapi_mcp.setup.install.install_log import InstallLog
from runapi_mcp.setup.install.installer import apply, plan_install, plan_uninstall

NOVA = Host(
    name="nova",
    title="Nova",
    folder="{home}/.nova",
    files=("servers.json",),
    container=("servers",),
    stdio=Stdio({"kind": "process"}, command="run", env="variables", last={"seconds": 630}),
    reference="<%s>",
    client=ClientProfile(("nova-client",), 120, 240, shows_images=False),
    launch=LaunchPolicy("few", start_seconds=5),
    tried="Nova 1: not a program.",
)
WITH_NOVA = (*HOSTS, NOVA)


def test_install_and_uninstall_know_a_host_by_its_row(tmp_path: Path) -> None:
    machine = Machine("linux", {"HOME": str(tmp_path), "PATH": ""}, str(tmp_path))
    assert detect_hosts(machine, WITH_NOVA) == []
    (tmp_path / ".nova").mkdir()
    assert detect_hosts(machine, WITH_NOVA) == [host_named("Nova", WITH_NOVA)]
    path, log = host_file_path(NOVA, "user", machine), InstallLog(tmp_path / "state")
    spec = EntrySpec(("uvx", "runapi-mcp"), handed_on=("MINE",))
    apply(plan_install(NOVA, path, log, spec), log)
    assert json.loads((tmp_path / ".nova" / "servers.json").read_text()) == {
        "servers": {
            "runapi": {
                "kind": "process",
                "run": "uvx",
                "args": ["runapi-mcp"],
                "variables": {"MINE": "<MINE>"},
                "seconds": 630,
            }
        }
    }
    apply(plan_uninstall(NOVA, path, log), log)
    assert not path.exists()


def test_the_server_knows_a_client_by_its_hosts_row() -> None:
    assert client_profile("Nova-Client", WITH_NOVA) is NOVA.client
    assert client_profile("nova-client") is client_profile(None) is UNKNOWN_CLIENT


def test_the_documentation_knows_a_host_by_its_row() -> None:
    assert "It reads `servers.json` in `~/.nova`" in pages(WITH_NOVA)["nova.md"]
    assert "| [Nova](nova.md) | `nova` | Nova 1: not a program. |" in pages(WITH_NOVA)["README.md"]
    assert "| Nova | `nova-client` | 105 s | 225 s |" in waiting_table(WITH_NOVA)
    assert "| Codex, Nova | about a dozen" in environment_table(WITH_NOVA)


def test_no_two_hosts_have_a_name_in_common() -> None:
    names = [name for host in HOSTS for name in {host.name, host.title.lower()}]
    clients = [name for host in HOSTS for name in host.client.names]
    assert len(set(names)) == len(names)
    assert len(set(clients)) == len(clients)


SOURCES = sorted(Path(runapi_mcp.__file__).parent.rglob("*.py"))


def test_no_module_but_the_table_names_a_host() -> None:
    naming = {path.name for path in SOURCES if {host.name for host in HOSTS} & {*words_of(path)}}
    # To the protocol, a cursor is where a list goes on.
    assert naming == {"table.py", "exchange.py"}


def words_of(path: Path) -> Iterator[str]:
    """The strings of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
