"""Where each host's file is on each platform, and how a host starts the program that installs."""

from pathlib import Path

import pytest

from publishing.host_pages import pages
from runapi_mcp import __version__
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.hosts.machine import Machine, platform_of
from runapi_mcp.base.hosts.table import HOSTS, host_named
from runapi_mcp.setup.install.host_places import host_file_path
from runapi_mcp.setup.install.launchers import guess_command
from runapi_mcp.setup.install.start_command import Program, launch_command

LINUX = Machine("linux", {"HOME": "/home/a"}, "/work")
MACOS = Machine("macos", {"HOME": "/Users/a"}, "/work")
WINDOWS = Machine("windows", {"USERPROFILE": "C:\\Users\\a", "APPDATA": "D:\\Roaming"}, "C:\\work")

PLACES = {
    "claude-code": [".claude.json"] * 3,
    "codex": [".codex/config.toml"] * 3,
    "cursor": [".cursor/mcp.json"] * 3,
    "windsurf": [".codeium/windsurf/mcp_config.json"] * 3,
    "vscode": [
        ".config/Code/User/mcp.json",
        "Library/Application Support/Code/User/mcp.json",
        "D:/Roaming/Code/User/mcp.json",
    ],
    "claude-desktop": [
        ".config/Claude/claude_desktop_config.json",
        "Library/Application Support/Claude/claude_desktop_config.json",
        "D:/Roaming/Claude/claude_desktop_config.json",
    ],
    "gemini": [".gemini/settings.json"] * 3,
    "qwen": [".qwen/settings.json"] * 3,
    "opencode": [".config/opencode/opencode.jsonc"] * 3,
    "copilot": [".copilot/mcp-config.json"] * 3,
    "cline": [".cline/data/settings/cline_mcp_settings.json"] * 3,
    "zed": [
        ".config/zed/settings.json",
        ".config/zed/settings.json",
        "D:/Roaming/Zed/settings.json",
    ],
    "goose": [
        ".config/goose/config.yaml",
        ".config/goose/config.yaml",
        "D:/Roaming/Block/goose/config/config.yaml",
    ],
    "kiro": [".kiro/settings/mcp.json"] * 3,
    "lm-studio": [".lmstudio/mcp.json"] * 3,
    "warp": [".warp/.mcp.json"] * 3,
}


def placed(name: str, machine: Machine) -> str:
    """A host's file, with its home left out."""
    path = str(host_file_path(host_named(name), "user", machine)).replace("\\", "/")
    homes = ("/home/a/", "/Users/a/", "C:/Users/a/")
    return next((path.removeprefix(home) for home in homes if path.startswith(home)), path)


def test_every_host_has_its_file_on_every_platform() -> None:
    machines = (LINUX, MACOS, WINDOWS)
    assert {
        host.name: [placed(host.name, machine) for machine in machines] for host in HOSTS
    } == PLACES


@pytest.mark.parametrize(
    ("name", "variable", "file"),
    [
        ("claude-code", "CLAUDE_CONFIG_DIR", "/moved/.claude.json"),
        ("codex", "CODEX_HOME", "/moved/config.toml"),
        ("gemini", "GEMINI_CLI_HOME", "/moved/.gemini/settings.json"),
        ("qwen", "QWEN_HOME", "/moved/settings.json"),
        ("opencode", "OPENCODE_CONFIG_DIR", "/moved/opencode.jsonc"),
        ("opencode", "XDG_CONFIG_HOME", "/moved/opencode/opencode.jsonc"),
        ("vscode", "XDG_CONFIG_HOME", "/moved/Code/User/mcp.json"),
    ],
)
def test_a_variable_moves_a_hosts_file(name: str, variable: str, file: str) -> None:
    machine = Machine("linux", {"HOME": "/home/a", variable: "/moved"}, "/work")
    assert str(host_file_path(host_named(name), "user", machine)) == file


def test_the_file_that_is_there_is_the_one_that_is_taken(tmp_path: Path) -> None:
    machine = Machine("linux", {"HOME": "/home/a", "XDG_CONFIG_HOME": str(tmp_path)}, "/work")
    (tmp_path / "opencode").mkdir()
    (tmp_path / "opencode" / "opencode.json").touch()
    assert host_file_path(host_named("opencode"), "user", machine).name == "opencode.json"


def test_a_home_is_needed() -> None:
    with pytest.raises(NotConfigured, match="Set HOME"):
        host_file_path(HOSTS[0], "user", Machine("linux", {}, "/work"))


def test_platforms_have_pythons_names() -> None:
    names = ("linux", "darwin", "win32", "freebsd14")
    assert [*map(platform_of, names)] == ["linux", "macos", "windows", "linux"]


def test_an_interpreter_starts_the_program_safe_from_the_hosts_directory() -> None:
    program = Program("/venv/bin/python", Path("/venv"), {"PATH": "/usr/bin"})
    assert launch_command(program) == ("/venv/bin/python", "-P", "-m", "runapi_mcp")


@pytest.mark.parametrize("found", ["on the path", "beside uv"])
def test_from_uv_it_is_started_by_uvx_in_this_version(tmp_path: Path, found: str) -> None:
    uvx = tmp_path / "uvx"
    uvx.touch(0o755)
    environ = {"PATH": str(tmp_path)} if found == "on the path" else {"UV": str(tmp_path / "uv")}
    prefix = Path("/home/a/.cache/uv/archive-v0/abc")
    program = Program("/python", prefix, {"PATH": "", **environ})
    assert launch_command(program) == (str(uvx), f"runapi-mcp=={__version__}")


def test_an_interpreter_in_a_cache_is_not_written_down() -> None:
    program = Program("/python", Path("/home/a/.cache/uv/archive-v0/abc"), {"PATH": ""})
    with pytest.raises(NotConfigured, match="uvx is not to be found"):
        launch_command(program)


def test_a_tool_of_uvs_without_uvx_is_started_by_its_own_interpreter(tmp_path: Path) -> None:
    (tmp_path / "uv-receipt.toml").touch()
    program = Program("/tool/bin/python", tmp_path, {"PATH": ""})
    assert launch_command(program)[0] == "/tool/bin/python"


def test_every_host_has_a_page_and_the_index_names_it() -> None:
    made = pages()
    assert set(made) == {"README.md", *(f"{host.name}.md" for host in HOSTS)}
    folder = Path(__file__).parents[3] / "docs" / "hosts"
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    assert "`%APPDATA%\\Code\\User` (Windows)" in made["vscode.md"]


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (["uvx", "runapi-mcp"], True),
        (["/x/uvx", "--from", ".", "runapi-mcp==0.1.0", "serve"], True),
        (["uvx", "runapi-mcp@latest"], True),
        (["C:\\py\\Scripts\\runapi-mcp.exe"], True),
        (["python", "-m", "runapi_mcp"], True),
        (["npx", "@runapi/mcp"], False),
        (["uvx", "runapi-mcp-extras"], False),
        ([], False),
    ],
)
def test_a_command_of_ours_is_known(words: list[str], ours: bool) -> None:  # noqa: FBT001 - a case
    assert (guess_command(words) is not None) is ours


@pytest.mark.parametrize("launcher", ["env", "uvx", "cmd", "python3 -m", "docker run"])
def test_a_command_of_launchers_without_an_end_is_unclear(launcher: str) -> None:
    words = [*(launcher.split() * 2_000), "runapi-mcp"]
    command = guess_command(words)
    assert command is not None
    assert not command.is_clear
