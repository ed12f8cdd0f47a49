"""What the documentation says of hosts, made from their rows: a page each, and tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from runapi_mcp import __version__
from runapi_mcp.base.hosts.host import (
    ANSWER_MARGIN_SECONDS,
    CALL_SECONDS,
    KEY_VARIABLE,
    UNKNOWN_CLIENT,
    ClientProfile,
    Host,
)
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.setup.install.host_entry import EntrySpec, new_entry
from runapi_mcp.setup.install.installed_entry import entry_text
from runapi_mcp.setup.install.start_command import PACKAGE

_UVX: Final = "/home/you/.local/bin/uvx"
_FENCES: Final = {"json with comments": "jsonc"}
_MACHINES: Final = (
    Machine("linux", {"HOME": "/~"}, "/"),
    Machine("macos", {"HOME": "/~"}, "/"),
    Machine("windows", {"USERPROFILE": "~", "APPDATA": "C:\\%APPDATA%"}, "/"),
)
_HERE: Final = ".venv/bin/runapi-mcp"
"""The program in a clone that the README's first command has set up."""
_UNPUBLISHED: Final = f"""\
From a clone, set up as the [README](../../README.md) says. `uvx {PACKAGE}` in place of
`{_HERE}` works once the package is on PyPI, where it is not before the first release."""
_PROMISES: Final = f"""\
# Hosts

`{_HERE} install` shows the hosts found on your machine and asks; with names, it
goes ahead. `--dry-run` shows the change as a diff, `--print` the entry alone, for pasting; `--json`
is for programs.

{_UNPUBLISHED}

- The entry has absolute paths, since graphical hosts do not know your PATH: of `uvx` with this very
  version, if the program came that way, else of the Python that runs it. In a project's file they
  are this machine's: elsewhere, install again.
- The file is merged into. Comments, order, white space and other servers keep every byte; an entry
  of ours that is older is brought up to date and keeps what you added to it. A second run does
  nothing. A file that cannot be read is left as it is, and the line is told.
- An entry of ours that somebody wrote by hand comes to start this program, whether it did so with
  `uv run`, `uvx`, `pipx run`, `python -m`, `docker run` or `env`. The words behind the program in
  it stay, and what the last two set of RunAPI's variables. An entry whose launcher is not known is
  left as it is, and so is another server called runapi.
- What the file was is kept beside it, three times at most, and the file is replaced whole. A link
  stays a link. A read-only file is left alone.
- `uninstall` takes out what install put in, and a file that was made for it alone; a backup of that
  stays, if somebody wrote into it since. `uninstall NAME --restore` puts the newest backup back
  instead, whole, and keeps what it replaces as a backup too.
- The diff of `--dry-run` has the lines that change and no others, and `[hidden]` in place of keys
  and of what other servers on these lines have for secrets.
- The API key goes to RunAPI's config file, `~/.config/runapi/config.json`, which you alone can
  read, and which the server reads whatever host starts it. So no entry holds a key, unless you say
  `--key-in-host-file`. `--env NAME=VALUE` sets a variable; `--env NAME` hands on one of yours, by
  the host's own way to name it.
- With `--http URL` the host sends the key itself, from its own variable RUNAPI_API_KEY where it can
  name one; its page says which do. The others send none: `--key-in-host-file` writes one into the
  file, or the server uses its own (`serve --http --share-key`). RunAPI's config file is not read.
"""
_READS: Final = {
    "json": "JSON without comments or trailing commas",
    "json with comments": "JSON, with comments but no trailing commas",
    "jsonc": "JSON; comments and trailing commas are kept",
    "toml": "TOML",
    "yaml": "YAML",
}


_HANDED_ON: Final = {
    "all": "all variables",
    "few": "about a dozen, and those in `env_vars`",
    "no secrets": "all but those whose names look like a secret (KEY, TOKEN, SECRET, AUTH, CERT, "
    f"…): an exported `{KEY_VARIABLE}` never arrives. Read in the program of 0.61",
    "session": "what the desktop gave it: the system's PATH and no variables of your shell. "
    "Assumed; some of them ask your shell for its PATH at start, and then find more",
}


def pages(hosts: Sequence[Host] = HOSTS) -> Mapping[str, str]:
    """Every page of docs/hosts/, by its file's name."""
    index = [f"| [{host.title}]({host.name}.md) | `{host.name}` | {host.tried} |" for host in hosts]
    rows = ["| host | name | tried |", "| --- | --- | --- |", *index, ""]
    made = {f"{host.name}.md": _page(host) for host in hosts}
    return {"README.md": "\n".join([_PROMISES, *rows]), **made}


def waiting_table(hosts: Sequence[Host] = HOSTS) -> str:
    """How long a call waits in each host whose client's name is known."""
    known = [host for host in hosts if host.client.names]
    rows = [_waits(host.title, host.client) for host in sorted(known, key=_alphabetical)]
    head = [
        "| host | client name | waits | and with progress | takes every answer |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, _waits("any other", UNKNOWN_CLIENT)])


def environment_table(hosts: Sequence[Host] = HOSTS) -> str:
    """What each host hands on of the variables around it."""
    rows = ["| host | hands on |", "| --- | --- |"]
    for kind, words in _HANDED_ON.items():
        titles = ", ".join(host.title for host in hosts if host.launch.hands_on == kind)
        rows.append(f"| {titles} | {words} |")
    return "\n".join(rows)


def _alphabetical(host: Host) -> str:
    return host.title.lower()


def _waits(title: str, client: ClientProfile) -> str:
    limits = (client.silent_seconds, client.with_progress_seconds)
    waits = [f"{limit - ANSWER_MARGIN_SECONDS:.0f} s" for limit in limits]
    names = ", ".join(f"`{name}`" for name in client.names)
    takes = "yes" if client.takes_every_answer else ""
    return " | ".join([f"| {title}", names, *waits, takes]).replace("|  |", "| |") + " |"


def _page(host: Host) -> str:
    return "\n".join([f"# {host.title}", "", *_commands(host), *_files(host), *_facts(host), ""])


def _commands(host: Host) -> Iterator[str]:
    yield "```sh"
    yield f"{_HERE} install {host.name}"
    if host.project:
        yield f"{_HERE} install {host.name} --scope project"
    yield f"{_HERE} uninstall {host.name}"
    yield "```"
    yield ""
    yield _UNPUBLISHED
    yield ""
    yield f"Then: {host.next_step[0].lower()}{host.next_step[1:]}"
    yield ""


def _files(host: Host) -> Iterator[str]:
    names = " or ".join(f"`{name}`" for name in host.files)
    yield f"It reads {names} in {_folder(host)}, as {_READS[host.dialect]}."
    if host.folder_variable:
        yield f"`{host.folder_variable}` names another folder."
    if host.project:
        yield f"In a project it reads {' or '.join(f'`{name}`' for name in host.project)}."
    yield "What is written there, with your own paths; from a clone, its Python in place of `uvx`:"
    yield ""
    yield f"```{_FENCES.get(host.dialect, host.dialect)}"
    spec = EntrySpec((_UVX, f"{PACKAGE}=={__version__}"))
    yield entry_text(host, new_entry(host, spec)).rstrip("\n")
    yield "```"
    yield ""


def _facts(host: Host) -> Iterator[str]:
    limited = any("timeout" in key for key in host.stdio.last)
    yield "| | |"
    yield "| --- | --- |"
    yield f"| a call may take | {f'{CALL_SECONDS} s' if limited else 'what the host allows'} |"
    yield f"| a variable of yours | {_variable(host)} |"
    yield f"| connects to an address | {_address(host)} |"
    yield f"| tried | {host.tried} |"


def _variable(host: Host) -> str:
    if host.stdio.names:
        return f"`--env NAME` adds it to `{host.stdio.names}`"
    if host.reference:
        return f"`--env NAME` is written as `{host.reference % 'NAME'}`"
    return "none: give values, `--env NAME=VALUE`"


def _address(host: Host) -> str:
    shape = host.http
    if shape is None:
        return "no"
    if not shape.bearer and not host.reference:
        return "yes: `--http URL`; it sends no key but one in its file"
    doubt = f" {shape.caveat}" if shape.caveat else ""
    return f"yes: `--http URL`; it sends its own variable `{KEY_VARIABLE}` as the key.{doubt}"


def _folder(host: Host) -> str:
    """Its folder, or that of each platform where they differ."""
    linux, macos, windows = (
        str(machine.locate(host.folder_on(machine.platform))).removeprefix("/").removeprefix("C:\\")
        for machine in _MACHINES
    )
    if linux == macos == windows.replace("\\", "/"):
        return f"`{linux}`"
    return f"`{linux}` (Linux), `{macos}` (macOS), `{windows}` (Windows)"
