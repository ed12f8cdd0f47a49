"""What the program knows of a host, as one row: `Host`, and the parts that a row is made of.

Plain data without an import of ours, because the server reads a row's limits at each start. The
parts are named tuples, whose classes come into being five times as fast as dataclasses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:  # they read files and YAML, which no start of the server waits for
    from runapi_mcp.base.hosts.machine import Platform
    from runapi_mcp.base.texts import Dialect, KeyPath

InstallScope = Literal["user", "project"]
"""All of a user's work, or one project."""

ENTRY_NAME: Final = "runapi"
"""What the server is called in every host."""
KEY_VARIABLE: Final = "RUNAPI_API_KEY"
CALL_SECONDS: Final = 630
"""What a call may take: the longest wait, 600 s, and its answer."""
START_SECONDS: Final = 60
"""What a first start may take, which uvx downloads for."""
ANSWER_MARGIN_SECONDS: Final = 15.0
"""What an answer needs at most to be made and to arrive once the wait is over."""

Fields = Mapping[str, object]
"""Some of an entry's keys with their values."""
_NONE: Final[Fields] = {}


class Stdio(NamedTuple):
    """How a host wants a program written that it starts."""

    first: Fields = _NONE
    command: str = "command"
    args: str | None = "args"
    """None for one list with the command."""
    env: str = "env"
    last: Fields = _NONE
    names: str | None = None
    """The list of variables that it hands on."""


class Http(NamedTuple):
    """How a host wants an address written that it connects to."""

    first: Fields = _NONE
    url: str = "url"
    headers: str | None = "headers"
    """None for one that reads the key from the variable in `bearer`."""
    bearer: str = ""
    last: Fields = _NONE
    caveat: str = ""
    """What is reported of the key in its headers."""


class ClientProfile(NamedTuple):
    """A host's MCP client: when it gives up a call, in seconds, and what it does with images.

    The defaults are those of a client that nobody measured: as strict as the strictest.
    """

    names: tuple[str, ...] = ()
    """What it calls itself when it connects."""
    silent_seconds: float = 60
    with_progress_seconds: float = 60
    """For a call that reports progress."""
    takes_every_answer: bool = False
    """Whether it was seen to take each answer that leaves within its limit, or to cancel the call:
    then an answer that left over stdio has arrived."""
    shows_images: bool = True
    """False for one that gives its model an image's base64 to read."""
    shows_tasks: bool = True
    """False for one that speaks the Tasks extension, and then keeps the picture from its model."""
    takes_links: bool = False
    """Whether it was seen to do no harm with a link to a file. Others make it a part of the model's
    request, which the model's API then refuses (langchain's adapters)."""


class LaunchPolicy(NamedTuple):
    """How a host starts a server. Of terminal hosts measured or read in their programs."""

    hands_on: Literal["all", "few", "no secrets", "session"] = "all"
    """Of the variables around the host: all; a dozen; those not named like a secret; or those of
    the desktop that started it, which have neither a shell's PATH nor its profile (assumed)."""
    start_seconds: float = 60
    """How long it waits for the first answer."""
    start_key: str = ""
    """The entry's own word on that, in seconds."""
    start_variable: str = ""
    """A variable of the host's own on that, in milliseconds."""
    keeps_unset: bool = False
    """Whether a reference to a variable that is not set is handed on as it is written."""


class NpmProgram(NamedTuple):
    """A host's program as npm has it: what CI installs to see an entry work."""

    package: str
    version: str
    program: str
    """Below node_modules; packages that fetch theirs when they install have it in another."""
    lists_servers: tuple[str, ...] = ("mcp", "list")
    """The arguments that make it start its servers and say what came of it."""
    environ: Mapping[str, str] = {}


_STDIO: Final = Stdio()
_HTTP: Final = Http()
_FROM_A_TERMINAL: Final = LaunchPolicy()
UNKNOWN_CLIENT: Final = ClientProfile()


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """A program that starts or connects to this server."""

    name: str
    title: str
    folder: "str | Mapping[Platform, str]"
    """Where its file is; see `Machine.locate`."""
    files: tuple[str, ...]
    """The file's names: the first that exists, else the first."""
    tried: str = "From its documentation; not run."
    """What was run for real, with its version; else what this row is taken from."""
    dialect: "Dialect" = "jsonc"
    container: "KeyPath" = ("mcpServers",)
    stdio: Stdio = _STDIO
    http: Http | None = _HTTP
    project: tuple[str, ...] = ()
    """Its file's names in a project, from the project's top; none where it reads none."""
    projects_key: str = ""
    """Where its user's file keeps servers of each project's directory; empty where it does not."""
    folder_variable: str = ""
    """The variable that names another folder."""
    signs: tuple[str, ...] = ()
    """What is there when the host is; left out, its file's folder."""
    programs: tuple[str, ...] | None = None
    """Its programs on a PATH; left out, one of its own name."""
    wrapper_key: str = ""
    """The key that all of an entry but its limits stands under."""
    reference: str = ""
    """How it names a variable of the user's; empty where it cannot."""
    next_step: str = "Start a new session."
    """What makes it read its file again."""
    client: ClientProfile = UNKNOWN_CLIENT
    launch: LaunchPolicy = _FROM_A_TERMINAL
    removal: str = ""
    """Its own command that takes out the entry `{name}` of a `{scope}`; each was run. One without
    `{scope}` knows the user's file alone."""
    npm: NpmProgram | None = None

    def folder_on(self, platform: "Platform") -> str:
        return self.folder if isinstance(self.folder, str) else self.folder[platform]
