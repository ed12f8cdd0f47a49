"""The generated files are those the tools make, and each says what its reader needs."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from runapi_mcp import __version__
from runapi_mcp.manifests import generated

ROOT = Path(__file__).parent.parent


def test_no_generated_file_is_out_of_date() -> None:
    stale = [str(path) for path, text in generated(ROOT) if path.read_text("utf-8") != text]
    assert stale == []


def test_the_check_fails_on_a_file_that_was_edited_by_hand(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- tools -->\nstale\n<!-- /tools -->\n")
    command = [sys.executable, "-m", "runapi_mcp", "generate"]
    checked = subprocess.run([*command, "--check"], cwd=tmp_path, capture_output=True, check=False)  # noqa: S603 - our own command
    assert checked.returncode == 1
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)  # noqa: S603 - our own command
    assert subprocess.run([*command, "--check"], cwd=tmp_path, check=False).returncode == 0  # noqa: S603 - our own command
    assert "`flux_2_pro_text_to_image`" in (tmp_path / "README.md").read_text()


def test_the_registry_entry_names_the_package_and_its_version() -> None:
    entry = json.loads((ROOT / "manifests" / "server.json").read_text())
    assert (entry["version"], entry["packages"][0]["version"]) == (__version__, __version__)
    assert entry["packages"][0]["identifier"] == "runapi-mcp"
    assert f"<!-- mcp-name: {entry['name']} -->" in (ROOT / "README.md").read_text()
    assert len(entry["description"]) <= 100


def test_every_hosts_entry_starts_the_same_command_and_holds_no_key() -> None:
    folder = ROOT / "manifests"
    started = [
        json.loads((folder / "claude-code.mcp.json").read_text())["mcpServers"]["runapi"],
        json.loads((folder / "cursor.mcp.json").read_text())["mcpServers"]["runapi"],
        json.loads((folder / "windsurf.mcp_config.json").read_text())["mcpServers"]["runapi"],
        json.loads((folder / "vscode.mcp.json").read_text())["servers"]["runapi"],
        tomllib.loads((folder / "codex.config.toml").read_text())["mcp_servers"]["runapi"],
    ]
    assert [(entry["command"], entry["args"]) for entry in started] == [("uvx", ["runapi-mcp"])] * 5
    assert [entry.get("env", {}).get("RUNAPI_API_KEY", "")[:2] for entry in started] == [
        "${", "${", "${", "${", ""
    ]  # fmt: skip
    assert started[4]["env_vars"] == ["RUNAPI_API_KEY"]
