"""Every host: a row each, from which all that the program does for and with a host derives.

From facts that were measured, or else from the host's documentation; `tried` says which.
"""

import difflib
from collections.abc import Sequence
from typing import Final

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.host import (
    CALL_SECONDS,
    ENTRY_NAME,
    KEY_VARIABLE,
    START_SECONDS,
    UNKNOWN_CLIENT,
    ClientProfile,
    Host,
    Http,
    LaunchPolicy,
    NpmProgram,
    Stdio,
)

_CALL_MS: Final = CALL_SECONDS * 1000
_GOOSE: Final = {"name": ENTRY_NAME, "description": "Flux 2 images", "enabled": True}
_FROM_THE_DESKTOP: Final = LaunchPolicy("session")

HOSTS: Final = (
    Host(
        name="claude-code",
        title="Claude Code",
        folder="{home}",
        files=(".claude.json",),
        project=(".mcp.json",),
        projects_key="projects",
        folder_variable="CLAUDE_CONFIG_DIR",
        signs=("{home}/.claude.json", "{home}/.claude"),
        programs=("claude",),
        dialect="json",
        stdio=Stdio({"type": "stdio"}, last={"timeout": _CALL_MS}),
        http=Http({"type": "http"}, last={"timeout": _CALL_MS}),
        reference="${%s}",
        next_step="Start a new session, or /mcp and reconnect.",
        # 30 minutes over stdio, 5 over HTTP. Its model gets previews, links and the structure, its
        # person the progress. A task shows its person a raw id and no price, and its
        # model a note on a file instead of the picture (2.1.332, interactive).
        client=ClientProfile(
            ("claude-code",),
            300,
            300,
            takes_every_answer=True,
            takes_links=True,
            shows_tasks=False,
        ),
        launch=LaunchPolicy(start_seconds=30, start_variable="MCP_TIMEOUT", keeps_unset=True),
        removal="claude mcp remove {name} -s {scope}",
        npm=NpmProgram(
            "@anthropic-ai/claude-code", "2.1.329", "@anthropic-ai/claude-code-linux-*/claude"
        ),
        tried="Claude Code 2.1.329: `claude mcp list` says Connected; a project's waits for a yes.",
    ),
    Host(
        name="codex",
        title="Codex",
        folder="{home}/.codex",
        files=("config.toml",),
        project=(".codex/config.toml",),
        folder_variable="CODEX_HOME",
        dialect="toml",
        container=("mcp_servers",),
        stdio=Stdio(
            last={
                "env_vars": [KEY_VARIABLE],
                "startup_timeout_sec": START_SECONDS,
                "tool_timeout_sec": CALL_SECONDS,
            },
            names="env_vars",
        ),
        http=Http(
            headers=None, bearer="bearer_token_env_var", last={"tool_timeout_sec": CALL_SECONDS}
        ),
        # Its person sees the last three lines of an answer, the link among them; its model, outside
        # the code mode, the structure alone. A question's cursor is on its first choice (0.171).
        client=ClientProfile(
            ("codex-mcp-client",), 300, 300, takes_every_answer=True, takes_links=True
        ),
        launch=LaunchPolicy("few", start_seconds=30, start_key="startup_timeout_sec"),
        removal="codex mcp remove {name}",
        npm=NpmProgram("@openai/codex", "0.169.0", ".bin/codex", ("app-server", "--strict-config")),
        tried="Codex 0.169: `codex app-server` lists the tools, under --strict-config.",
    ),
    Host(
        name="cursor",
        title="Cursor",
        folder="{home}/.cursor",
        files=("mcp.json",),
        project=(".cursor/mcp.json",),
        reference="${env:%s}",
        next_step="Turn the server on under Settings, MCP.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
        name="windsurf",
        title="Windsurf",
        folder="{home}/.codeium/windsurf",
        files=("mcp_config.json",),
        http=Http(url="serverUrl"),
        reference="${env:%s}",
        next_step="Press refresh in Cascade's MCP panel.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
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
            caveat="Some versions are reported to send its name instead (microsoft/vscode#336232).",
        ),
        reference="${env:%s}",
        next_step="Start the server from the file, or with MCP: List Servers.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
        name="claude-desktop",
        title="Claude Desktop",
        folder="{support}/Claude",
        files=("claude_desktop_config.json",),
        programs=(),
        dialect="json",
        http=None,
        next_step="Quit it wholly and start it again.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
        name="gemini",
        title="Gemini CLI",
        folder="{home}",
        files=(".gemini/settings.json",),
        project=(".gemini/settings.json",),
        folder_variable="GEMINI_CLI_HOME",
        signs=("{home}/.gemini/settings.json",),
        dialect="json with comments",
        stdio=Stdio(last={"timeout": _CALL_MS}),
        http=Http(url="httpUrl", last={"timeout": _CALL_MS}),
        reference="$%s",
        client=ClientProfile(
            ("gemini-cli-mcp-client",), 600, 600, takes_every_answer=True, takes_links=True
        ),
        launch=LaunchPolicy("no secrets", start_seconds=600),
        removal="gemini mcp remove {name} -s {scope}",
        npm=NpmProgram(
            "@google/gemini-cli",
            "0.61.0",
            ".bin/gemini",
            environ={"GEMINI_CLI_TRUST_WORKSPACE": "true"},
        ),
        tried="Gemini CLI 0.61: `gemini mcp list` says Connected.",
    ),
    Host(
        name="qwen",
        title="Qwen Code",
        folder="{home}/.qwen",
        files=("settings.json",),
        project=(".qwen/settings.json",),
        folder_variable="QWEN_HOME",
        dialect="json with comments",
        stdio=Stdio(last={"timeout": _CALL_MS}),
        http=Http(url="httpUrl", last={"timeout": _CALL_MS}),
        reference="$%s",
        launch=LaunchPolicy(start_seconds=30, keeps_unset=True),
        removal="qwen mcp remove {name} -s {scope}",
        npm=NpmProgram("@qwen-code/qwen-code", "0.24.4", ".bin/qwen"),
        tried="Qwen Code 0.24: `qwen mcp list` says Connected; a project's waits for a yes.",
    ),
    Host(
        name="opencode",
        title="opencode",
        folder="{config}/opencode",
        files=("opencode.jsonc", "opencode.json"),
        project=("opencode.json", "opencode.jsonc"),
        folder_variable="OPENCODE_CONFIG_DIR",
        container=("mcp",),
        stdio=Stdio(
            {"type": "local"},
            args=None,
            env="environment",
            last={"enabled": True, "timeout": _CALL_MS},
        ),
        http=Http({"type": "remote"}, last={"enabled": True, "timeout": _CALL_MS}),
        reference="{env:%s}",
        client=ClientProfile(("opencode",), 60, 300, takes_every_answer=True),
        launch=LaunchPolicy(start_seconds=30),
        npm=NpmProgram("opencode-ai", "1.18.33", "opencode-linux-*/bin/opencode"),
        tried="opencode 1.18: `opencode mcp list` says connected.",
    ),
    Host(
        name="copilot",
        title="Copilot CLI",
        folder="{home}/.copilot",
        files=("mcp-config.json",),
        folder_variable="COPILOT_HOME",
        stdio=Stdio({"type": "local"}, last={"tools": ["*"], "timeout": _CALL_MS}),
        http=Http({"type": "http"}, last={"tools": ["*"], "timeout": _CALL_MS}),
        reference="${%s}",
        client=ClientProfile(("copilot-cli",), 180, 300, takes_every_answer=True),
        launch=LaunchPolicy(keeps_unset=True),
        tried="Copilot CLI 1.0.102: `copilot mcp list` shows it (which does not start it).",
    ),
    Host(
        name="cline",
        title="Cline CLI",
        folder="{home}/.cline/data/settings",
        files=("cline_mcp_settings.json",),
        signs=("{home}/.cline",),
        dialect="json",
        stdio=Stdio({"type": "stdio"}, last={"timeout": CALL_SECONDS}),
        http=Http({"type": "streamableHttp"}, last={"timeout": CALL_SECONDS}),
        wrapper_key="transport",
        client=ClientProfile(("cline",), shows_images=False),
        tried="Cline CLI 3.0.65: `cline config mcp` shows it (which does not start it).",
    ),
    Host(
        name="zed",
        title="Zed",
        folder={"linux": "{config}/zed", "macos": "{home}/.config/zed", "windows": "{support}/Zed"},
        files=("settings.json",),
        signs=("{config}/zed", "{support}/Zed"),
        programs=("zed", "zeditor"),
        container=("context_servers",),
        next_step="It reads its settings at once.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
        name="goose",
        title="Goose",
        folder={
            "linux": "{config}/goose",
            "macos": "{config}/goose",
            "windows": "{support}/Block/goose/config",
        },
        files=("config.yaml",),
        signs=("{config}/goose", "{support}/Block/goose"),
        dialect="yaml",
        container=("extensions",),
        stdio=Stdio(
            {**_GOOSE, "type": "stdio"},
            command="cmd",
            env="envs",
            last={"env_keys": [], "timeout": CALL_SECONDS},
            names="env_keys",
        ),
        http=Http({**_GOOSE, "type": "streamable_http"}, url="uri", last={"timeout": CALL_SECONDS}),
    ),
    Host(
        name="kiro",
        title="Kiro",
        folder="{home}/.kiro/settings",
        files=("mcp.json",),
        project=(".kiro/settings/mcp.json",),
        signs=("{home}/.kiro",),
        programs=("kiro", "kiro-cli"),
        next_step="It reads the file at once.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
        name="lm-studio",
        title="LM Studio",
        folder="{home}/.lmstudio",
        files=("mcp.json",),
        programs=("lms",),
        next_step="It reads the file at once.",
        launch=_FROM_THE_DESKTOP,
    ),
    Host(
        name="warp",
        title="Warp",
        folder="{home}/.warp",
        files=(".mcp.json",),
        project=(".warp/.mcp.json",),
        programs=("warp-terminal", "warp"),
        next_step="Turn the server on under Settings, MCP servers.",
        launch=_FROM_THE_DESKTOP,
    ),
)


def host_named(name: str, hosts: Sequence[Host] = HOSTS) -> Host:
    """The host of a name or title.

    Raises:
        Refused: there is none; it says which are meant.
    """
    wanted = _plain(name)
    for host in hosts:
        if wanted in (_plain(host.name), _plain(host.title)):
            return host
    names = [host.name for host in hosts]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    advice = f"Did you mean {close[0]}?" if close else f"Name one of {', '.join(names)}."
    raise Refused(f"Unknown host {name!r}.", advice)


def client_profile(client_name: str | None, hosts: Sequence[Host] = HOSTS) -> ClientProfile:
    """What is known of the client of this name; of one that is not known, the strictest."""
    name = (client_name or "").lower()
    known = (host.client for host in hosts if name in host.client.names)
    return next(known, UNKNOWN_CLIENT)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
