"""Every host that can be installed into: where it keeps its servers, and how it wants one written.

From facts that were measured, or else from the host's documentation; `tried` says which.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.machine import Platform
from runapi_mcp.base.texts import Dialect, Path

Scope = Literal["user", "project"]
"""All of a user's work, or one project."""

NAME: Final = "runapi"
"""What the server is called in every host."""
KEY: Final = "RUNAPI_API_KEY"
CALL_SECONDS: Final = 630
"""What a call may take: the longest wait, 600 s, and its answer."""
START_SECONDS: Final = 60
"""What a first start may take, which uvx downloads for."""
_CALL_MS: Final = CALL_SECONDS * 1000

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Stdio:
    """How a host wants a program written that it starts."""

    first: Fields = field(default_factory=dict[str, object])
    command: str = "command"
    args: str | None = "args"
    """None for one list with the command."""
    env: str = "env"
    last: Fields = field(default_factory=dict[str, object])
    names: str | None = None
    """The list of variables that it hands on."""


@dataclass(frozen=True, slots=True)
class Http:
    """How a host wants an address written that it connects to."""

    first: Fields = field(default_factory=dict[str, object])
    url: str = "url"
    headers: str | None = "headers"
    """None for one that reads the key from the variable in `bearer`."""
    bearer: str = ""
    last: Fields = field(default_factory=dict[str, object])
    doubt: str = ""
    """What is reported of the key in its headers."""


@dataclass(frozen=True, slots=True, eq=False)
class HostConfig:
    """Where a host keeps its servers, and how it wants one written."""

    name: str
    title: str
    folder: str | Mapping[Platform, str]
    """Where its file is; see `Machine.placed`."""
    files: tuple[str, ...]
    """The file's names: the first that exists, else the first."""
    tried: str
    """What was run for real, with its version; else what this row is taken from."""
    dialect: Dialect = "jsonc"
    container: Path = ("mcpServers",)
    stdio: Stdio = Stdio()
    http: Http | None = Http()
    project: tuple[str, ...] = ()
    """Its file's names in a project, from the project's top; none where it reads none."""
    moved_by: str = ""
    """The variable that names another folder."""
    signs: tuple[str, ...] = ()
    """What is there when the host is, besides its file's folder."""
    programs: tuple[str, ...] = ()
    wrapped: str = ""
    """The key that all of an entry but its limits stands under."""
    reference: str = ""
    """How it names a variable of the user's; empty where it cannot."""
    then: str = "Restart it."
    """What makes it read its file again."""

    def folder_on(self, platform: Platform) -> str:
        """Where its file is on a platform."""
        return self.folder if isinstance(self.folder, str) else self.folder[platform]


HOSTS: Final = (
    HostConfig(
        name="claude-code",
        title="Claude Code",
        folder="{home}",
        files=(".claude.json",),
        project=(".mcp.json",),
        moved_by="CLAUDE_CONFIG_DIR",
        signs=("{home}/.claude.json", "{home}/.claude"),
        programs=("claude",),
        dialect="json",
        stdio=Stdio({"type": "stdio"}, last={"timeout": _CALL_MS}),
        http=Http({"type": "http"}, last={"timeout": _CALL_MS}),
        reference="${%s}",
        then="Start a new session, or /mcp and reconnect.",
        tried="Claude Code 2.1.329: `claude mcp list` says Connected; a project's waits for a yes.",
    ),
    HostConfig(
        name="codex",
        title="Codex",
        folder="{home}/.codex",
        files=("config.toml",),
        project=(".codex/config.toml",),
        moved_by="CODEX_HOME",
        signs=("{home}/.codex",),
        programs=("codex",),
        dialect="toml",
        container=("mcp_servers",),
        stdio=Stdio(
            last={
                "env_vars": [KEY],
                "startup_timeout_sec": START_SECONDS,
                "tool_timeout_sec": CALL_SECONDS,
            },
            names="env_vars",
        ),
        http=Http(
            headers=None, bearer="bearer_token_env_var", last={"tool_timeout_sec": CALL_SECONDS}
        ),
        then="Start a new session.",
        tried="Codex 0.169: `codex app-server` lists the tools, under --strict-config.",
    ),
    HostConfig(
        name="cursor",
        title="Cursor",
        folder="{home}/.cursor",
        files=("mcp.json",),
        project=(".cursor/mcp.json",),
        signs=("{home}/.cursor",),
        programs=("cursor",),
        reference="${env:%s}",
        then="Turn the server on under Settings, MCP.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="windsurf",
        title="Windsurf",
        folder="{home}/.codeium/windsurf",
        files=("mcp_config.json",),
        signs=("{home}/.codeium/windsurf",),
        programs=("windsurf",),
        http=Http(url="serverUrl"),
        reference="${env:%s}",
        then="Press refresh in Cascade's MCP panel.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="vscode",
        title="VS Code",
        folder="{support}/Code/User",
        files=("mcp.json",),
        project=(".vscode/mcp.json",),
        signs=("{support}/Code",),
        programs=("code",),
        container=("servers",),
        stdio=Stdio({"type": "stdio"}),
        http=Http(
            {"type": "http"},
            doubt="Some versions are reported to send its name instead (microsoft/vscode#336232).",
        ),
        reference="${env:%s}",
        then="Start the server from the file, or with MCP: List Servers.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="claude-desktop",
        title="Claude Desktop",
        folder="{support}/Claude",
        files=("claude_desktop_config.json",),
        signs=("{support}/Claude",),
        dialect="json",
        http=None,
        then="Quit it wholly and start it again.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="gemini",
        title="Gemini CLI",
        folder="{home}",
        files=(".gemini/settings.json",),
        project=(".gemini/settings.json",),
        moved_by="GEMINI_CLI_HOME",
        signs=("{home}/.gemini/settings.json",),
        programs=("gemini",),
        dialect="json with comments",
        stdio=Stdio(last={"timeout": _CALL_MS}),
        http=Http(url="httpUrl", last={"timeout": _CALL_MS}),
        reference="$%s",
        then="Start a new session.",
        tried="Gemini CLI 0.61: `gemini mcp list` says Connected.",
    ),
    HostConfig(
        name="qwen",
        title="Qwen Code",
        folder="{home}/.qwen",
        files=("settings.json",),
        project=(".qwen/settings.json",),
        moved_by="QWEN_HOME",
        signs=("{home}/.qwen",),
        programs=("qwen",),
        dialect="json with comments",
        stdio=Stdio(last={"timeout": _CALL_MS}),
        http=Http(url="httpUrl", last={"timeout": _CALL_MS}),
        reference="$%s",
        then="Start a new session.",
        tried="Qwen Code 0.24: `qwen mcp list` says Connected; a project's waits for a yes.",
    ),
    HostConfig(
        name="opencode",
        title="opencode",
        folder="{config}/opencode",
        files=("opencode.jsonc", "opencode.json"),
        project=("opencode.json", "opencode.jsonc"),
        moved_by="OPENCODE_CONFIG_DIR",
        signs=("{config}/opencode",),
        programs=("opencode",),
        container=("mcp",),
        stdio=Stdio(
            {"type": "local"},
            args=None,
            env="environment",
            last={"enabled": True, "timeout": _CALL_MS},
        ),
        http=Http({"type": "remote"}, last={"enabled": True, "timeout": _CALL_MS}),
        reference="{env:%s}",
        then="Start a new session.",
        tried="opencode 1.18: `opencode mcp list` says connected.",
    ),
    HostConfig(
        name="copilot",
        title="Copilot CLI",
        folder="{home}/.copilot",
        files=("mcp-config.json",),
        moved_by="COPILOT_HOME",
        signs=("{home}/.copilot",),
        programs=("copilot",),
        stdio=Stdio({"type": "local"}, last={"tools": ["*"], "timeout": _CALL_MS}),
        http=Http({"type": "http"}, last={"tools": ["*"], "timeout": _CALL_MS}),
        reference="${%s}",
        then="Start a new session.",
        tried="Copilot CLI 1.0.102: `copilot mcp list` shows it (which does not start it).",
    ),
    HostConfig(
        name="cline",
        title="Cline CLI",
        folder="{home}/.cline/data/settings",
        files=("cline_mcp_settings.json",),
        signs=("{home}/.cline",),
        programs=("cline",),
        dialect="json",
        stdio=Stdio({"type": "stdio"}, last={"timeout": CALL_SECONDS}),
        http=Http({"type": "streamableHttp"}, last={"timeout": CALL_SECONDS}),
        wrapped="transport",
        then="Start a new session.",
        tried="Cline CLI 3.0.65: `cline config mcp` shows it (which does not start it).",
    ),
    HostConfig(
        name="zed",
        title="Zed",
        folder={
            "linux": "{config}/zed",
            "macos": "{home}/.config/zed",
            "windows": "{support}/Zed",
        },
        files=("settings.json",),
        signs=("{config}/zed", "{support}/Zed"),
        programs=("zed", "zeditor"),
        container=("context_servers",),
        then="It reads its settings at once.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="goose",
        title="Goose",
        folder={
            "linux": "{config}/goose",
            "macos": "{config}/goose",
            "windows": "{support}/Block/goose/config",
        },
        files=("config.yaml",),
        signs=("{config}/goose", "{support}/Block/goose"),
        programs=("goose",),
        dialect="yaml",
        container=("extensions",),
        stdio=Stdio(
            {"name": NAME, "description": "Flux 2 images", "enabled": True, "type": "stdio"},
            command="cmd",
            env="envs",
            last={"env_keys": [], "timeout": CALL_SECONDS},
            names="env_keys",
        ),
        http=Http(
            {
                "name": NAME,
                "description": "Flux 2 images",
                "enabled": True,
                "type": "streamable_http",
            },
            url="uri",
            last={"timeout": CALL_SECONDS},
        ),
        then="Start a new session.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="kiro",
        title="Kiro",
        folder="{home}/.kiro/settings",
        files=("mcp.json",),
        project=(".kiro/settings/mcp.json",),
        signs=("{home}/.kiro",),
        programs=("kiro", "kiro-cli"),
        then="It reads the file at once.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="lm-studio",
        title="LM Studio",
        folder="{home}/.lmstudio",
        files=("mcp.json",),
        signs=("{home}/.lmstudio",),
        programs=("lms",),
        then="It reads the file at once.",
        tried="From its documentation; not run.",
    ),
    HostConfig(
        name="warp",
        title="Warp",
        folder="{home}/.warp",
        files=(".mcp.json",),
        project=(".warp/.mcp.json",),
        signs=("{home}/.warp",),
        programs=("warp-terminal", "warp"),
        then="Turn the server on under Settings, MCP servers.",
        tried="From its documentation; not run.",
    ),
)


def host_named(name: str) -> HostConfig:
    """The host of a name or title.

    Raises:
        Refused: there is none; it says which are meant.
    """
    wanted = _plain(name)
    for host in HOSTS:
        if wanted in (_plain(host.name), _plain(host.title)):
            return host
    names = [host.name for host in HOSTS]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    advice = f"Did you mean {close[0]}?" if close else f"Name one of {', '.join(names)}."
    raise Refused(f"{name!r} is not a host that can be installed into.", advice)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
