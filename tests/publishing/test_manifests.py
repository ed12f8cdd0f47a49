"""The generated files are those the tools make, and each says what its reader needs."""

import base64
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from publishing import Start, Starts, generated, unexpected
from publishing.bundle import bundled
from runapi_mcp import __version__
from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.settings import load
from runapi_mcp.tools import offered
from tests.support.processes import finished

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
PLUGIN = MANIFESTS / "plugin"
COMMAND = [sys.executable, "-m", "publishing"]


def read(path: str) -> Any:  # Any: JSON
    return json.loads((ROOT / path).read_text("utf-8"))


def generate(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, str(directory), *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


STALE = "".join(f"<!-- {name} -->\nstale\n<!-- /{name} -->\n" for name in ("tools", "hosts"))
"""A page with two blocks that nobody brought up to date."""

PAGES = (
    "README.md",
    "docs/doctor.md",
    "docs/hosting.md",
    "docs/setup.md",
    "docs/tools.md",
    "docs/waiting.md",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which everything has been generated."""
    root = tmp_path_factory.mktemp("made")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    (root / "docs").mkdir()
    for name in PAGES:
        (root / name).write_text(STALE)
    assert generate(root).returncode == 0
    return root


@pytest.fixture
def repository(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(made, tmp_path / "repository")


def test_no_generated_file_is_out_of_date() -> None:
    stale = [
        str(path)
        for path, text in generated(ROOT)
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    assert (stale, list(unexpected(ROOT))) == ([], [])


def test_what_was_generated_passes_the_check(repository: Path) -> None:
    assert generate(repository, "--check").returncode == 0
    assert "`flux_2_pro_text_to_image`" in (repository / "docs" / "tools.md").read_text()
    assert "| opencode | `opencode` | 45 s |" in (repository / "docs" / "waiting.md").read_text()


@pytest.mark.parametrize(
    "name", ["docs/tools.md", "docs/waiting.md", "Dockerfile", ".agents/plugins/marketplace.json"]
)
def test_the_check_fails_on_a_file_that_was_edited_by_hand(repository: Path, name: str) -> None:
    (repository / name).write_text(STALE)
    checked = generate(repository, "--check")
    assert (checked.returncode, checked.stdout) == (1, f"out of date: {name}\n")


def test_the_check_fails_on_a_file_that_nothing_makes_any_more(repository: Path) -> None:
    (repository / "manifests" / "old.json").write_text("{}")
    checked = generate(repository, "--check")
    assert (checked.returncode, checked.stdout) == (1, "no longer made: manifests/old.json\n")


def test_every_manifest_with_a_version_has_the_programs() -> None:
    entry = read("manifests/server.json")
    bundle = tomllib.loads((MANIFESTS / "mcpb" / "pyproject.toml").read_text())
    skill = (PLUGIN / "skills" / "flux-2-images" / "SKILL.md").read_text()
    versions = {
        entry["version"],
        entry["packages"][0]["version"],
        read("manifests/plugin/.claude-plugin/plugin.json")["version"],
        read("manifests/plugin/.codex-plugin/plugin.json")["version"],
        read("manifests/plugin/gemini-extension.json")["version"],
        read("manifests/mcpb/manifest.json")["version"],
        bundle["project"]["version"],
        *re.findall(r'^  version: "(.*)"$', skill, re.MULTILINE),
    }
    assert versions == {__version__}


def test_the_registry_entry_keeps_the_registrys_rules() -> None:
    entry = read("manifests/server.json")
    package = entry["packages"][0]
    assert entry["$schema"].startswith("https://static.modelcontextprotocol.io/schemas/20")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["description"]) <= 100
    assert 1 <= len(entry["title"]) <= 100
    assert f"<!-- mcp-name: {entry['name']} -->" in (ROOT / "README.md").read_text()
    assert (package["registryType"], package["identifier"]) == ("pypi", "runapi-mcp")
    assert (package["transport"], "registryBaseUrl" in package) == ({"type": "stdio"}, False)
    assert [variable["isSecret"] for variable in package["environmentVariables"]] == [True, False]


def test_every_hosts_entry_starts_the_same_command_and_holds_no_key() -> None:
    started = [
        read("manifests/claude-code.mcp.json")["mcpServers"]["runapi"],
        read("manifests/cursor.mcp.json")["mcpServers"]["runapi"],
        read("manifests/windsurf.mcp_config.json")["mcpServers"]["runapi"],
        read("manifests/vscode.mcp.json")["servers"]["runapi"],
        tomllib.loads((MANIFESTS / "codex.config.toml").read_text())["mcp_servers"]["runapi"],
    ]
    assert [(entry["command"], entry["args"]) for entry in started] == [("uvx", ["runapi-mcp"])] * 5
    asking = {"RUNAPI_API_KEY": "${input:runapi-api-key}"}
    assert [entry.get("env") for entry in started] == [None, None, None, asking, None]
    assert started[4]["env_vars"] == ["RUNAPI_API_KEY"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("claude-code", ".mcp.json"),
        ("codex", ".codex/config.toml"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
    ],
)
def test_the_doctor_has_nothing_to_say_against_an_entry_that_was_pasted(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [pasted] = [path for path in MANIFESTS.glob("*.*") if path.name.startswith(name)]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    shutil.copy(pasted, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    said = json.loads(finished("doctor", name, "--json").stdout)
    about_it = [each for each in said["findings"] if each.get("scope") == "project"]
    assert {each["check"] for each in about_it} & {
        "template",
        "secret",
        "timeout",
        "entry",
    } == set()
    assert about_it != []


def test_what_comes_with_a_version_starts_that_version() -> None:
    started = [
        read("manifests/plugin/.mcp.json")["mcpServers"]["runapi"],
        read("manifests/plugin/codex.mcp.json")["mcpServers"]["runapi"],
        read("manifests/plugin/gemini-extension.json")["mcpServers"]["runapi"],
    ]
    pinned = ("uvx", [f"runapi-mcp@{__version__}"])
    assert [(entry["command"], entry["args"]) for entry in started] == [pinned] * 3


def test_another_command_replaces_the_published_one_everywhere() -> None:
    start = Start("/opt/tried/runapi-mcp", ("--sandbox",))
    texts = {
        path.relative_to(ROOT).as_posix(): text
        for path, text in generated(ROOT, Starts(start, start))
    }
    started = [name for name, text in texts.items() if "/opt/tried/runapi-mcp" in text]
    assert set(started) == {
        *(name for name in texts if name.endswith((".mcp.json", ".mcp_config.json", ".toml"))),
        "manifests/plugin/gemini-extension.json",
        "manifests/plugin/README.md",
        "docs/setup.md",
    } - {"manifests/mcpb/pyproject.toml"}
    assert not [name for name in started if '"uvx"' in texts[name]]


def test_the_marketplaces_lead_to_the_plugin() -> None:
    claude = read(".claude-plugin/marketplace.json")["plugins"][0]
    codex = read(".agents/plugins/marketplace.json")["plugins"][0]
    assert (ROOT / claude["source"] / ".claude-plugin" / "plugin.json").is_file()
    assert (ROOT / codex["source"]["path"] / ".codex-plugin" / "plugin.json").is_file()
    names = {
        read(f"manifests/plugin/.{host}-plugin/plugin.json")["name"] for host in ("claude", "codex")
    }
    assert {claude["name"], codex["name"]} == names == {"runapi"}


def test_every_file_that_a_plugin_names_is_in_it() -> None:
    plugin = read("manifests/plugin/.codex-plugin/plugin.json")
    shown = plugin["interface"]
    named = [plugin["skills"], plugin["mcpServers"], shown["logo"], shown["composerIcon"]]
    assert [name for name in named if not (PLUGIN / name).exists()] == []


def test_the_skill_names_only_tools_and_fields_that_exist() -> None:
    skill = (PLUGIN / "skills" / "flux-2-images" / "SKILL.md").read_text()
    surface = read("manifests/tools.json")
    fields = {name for tool in surface for name in tool["inputSchema"]["properties"]}
    results = {name for tool in surface for name in tool["outputSchema"]["properties"]}
    words = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)\b", skill))
    assert words - fields - results - {tool["name"] for tool in surface} == set()
    drawing = {v.tool_name for v in VARIANTS if v.action != "image_to_image"}
    assert drawing | {"get_task", "list_tasks", "check_pricing", "check_balance"} <= words


def test_the_skill_gives_the_prices_of_the_catalogue() -> None:
    skill = (PLUGIN / "skills" / "flux-2-images" / "SKILL.md").read_text()
    assert [v.price_words for v in VARIANTS if v.price_words not in skill] == []


def test_the_bundle_tells_every_tool_and_asks_only_for_what_settings_understand() -> None:
    manifest = read("manifests/mcpb/manifest.json")
    assert [tool["name"] for tool in manifest["tools"]] == [tool.name for tool in offered(VARIANTS)]
    environment = manifest["server"]["mcp_config"]["env"]
    asked = re.findall(r"user_config\.(\w+)", " ".join(environment.values()))
    assert sorted(asked) == sorted(manifest["user_config"])
    unanswered = load(environment)
    assert (unanswered.sandbox, unanswered.limits) == (False, load({}).limits)


def test_the_bundle_needs_what_the_program_needs_in_the_versions_it_is_checked_with() -> None:
    bundle = tomllib.loads((MANIFESTS / "mcpb" / "pyproject.toml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert bundle["project"]["dependencies"] == project["dependencies"]
    assert bundle["project"]["requires-python"] == project["requires-python"]
    assert f"mcp=={_version('mcp')}" in bundle["tool"]["uv"]["constraint-dependencies"]


def _version(package: str) -> str:
    found = re.search(rf"^{package}==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_nobody_is_given_what_writes_these_files() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert wheel == {"targets": {"wheel": {"packages": ["runapi_mcp"]}}}
    beside = {"manifest.json", "pyproject.toml", "icon.png", "README.md", "LICENSE"}
    names = {name for name, _ in bundled(ROOT)}
    assert {name for name in names if not name.startswith("runapi_mcp/")} == beside
    assert "publishing" not in (ROOT / "Dockerfile").read_text()


def test_the_install_links_hold_the_entry_and_no_key() -> None:
    page = (MANIFESTS / "links.md").read_text()
    cursor, code = [line for line in page.splitlines() if line.startswith(("cursor:", "vscode:"))]
    query = parse_qs(urlsplit(cursor).query)
    assert query["name"] == ["runapi"]
    assert json.loads(base64.b64decode(query["config"][0])) == {
        "command": "uvx",
        "args": ["runapi-mcp"],
    }
    entry = json.loads(unquote(code.partition("?")[2]))
    assert (entry["name"], entry["command"], entry["args"]) == ("runapi", "uvx", ["runapi-mcp"])
    assert entry["env"] == {"RUNAPI_API_KEY": "${input:runapi-api-key}"}
    assert entry["inputs"][0]["password"] is True
    web: list[str] = re.findall(r"\]\((https://\S+)\)", page)
    assert [urlsplit(link).hostname for link in web] == ["cursor.com", "vscode.dev", "vscode.dev"]
    assert parse_qs(urlsplit(web[1]).query)["url"] == [code]


def test_the_image_is_small_has_no_root_and_serves_stdio() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("FROM")][-1] == "FROM python:3.13-slim-trixie"
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]
    assert lines[-1] == 'ENTRYPOINT ["runapi-mcp"]'
    copied = re.findall(r"^COPY (?!--from)(.*) \./", "\n".join(lines), re.MULTILINE)
    kept = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(" ".join(copied).split()) == sorted(kept)
    assert [name for name in kept if not (ROOT / name).exists()] == []


def test_the_compose_file_serves_this_machine_only() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    assert re.findall(r"ports: (.*)", compose) == ['["127.0.0.1:8765:8765"]']
    assert "--share-key" not in compose
    assert "RUNAPI_API_KEY" not in compose


def test_an_older_python_is_told_so_before_any_dependency_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    marker = f"python_version {project['requires-python'][:2]} '{project['requires-python'][2:]}'"
    assert [each for each in needs if not each.endswith(marker)] == []
