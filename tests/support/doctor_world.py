"""An empty home with planted files, a RunAPI on loopback, and the doctor that looks at both."""

import json
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.processes import LIMIT_SECONDS, run_alone

KEY: Final = "sandbox-doctor-5f1e77c2ab"
OURS: Final = {"command": sys.executable, "args": ["-P", "-m", "runapi_mcp"]}
"""What starts the program under test."""
US: Final = f"{sys.executable} -P -m runapi_mcp"
"""What a person types here to start the program under test, which is on no PATH."""
PATIENTLY: Final = ("--wait", "300")
"""So that no slow machine is taken for a server that hangs."""
STARTS: Final[tuple[str, ...]] = (sys.executable, "-P", "-m", "runapi_mcp")

Found = dict[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What the doctor said."""

    status: int
    text: str
    findings: list[Found] = field(default_factory=list[Found])

    def one(self, check: str, words: str) -> Found:
        """The one finding of this kind with these words."""
        found = [each for each in self.findings if each["check"] == check and words in each["what"]]
        assert len(found) == 1, f"{len(found)} of {check} with {words!r} in {self.text}"
        return found[0]

    def severities(self) -> set[str]:
        return {found["severity"] for found in self.findings}


class Home:
    """A home, a project in it where the doctor is called, and its environment."""

    def __init__(self, path: Path, base_url: str) -> None:
        self.path = path
        self.project = path / "work" / "fox"
        self.project.mkdir(parents=True)
        self.environ = {
            "HOME": str(path),
            "PATH": "/usr/bin:/bin",
            "RUNAPI_BASE_URL": base_url,
            "RUNAPI_API_KEY": KEY,
        }
        self.starts: tuple[str, ...] = STARTS

    def write(self, name: str, content: object) -> Path:
        """A file in the home, as JSON unless it is text."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        return path

    def claude(self, entry: Mapping[str, object] = OURS, name: str = "runapi") -> Path:
        """Claude Code's file with one entry."""
        return self.write(".claude.json", {"mcpServers": {name: entry}})

    def cursor(self, entry: Mapping[str, object] = OURS, name: str = "runapi") -> Path:
        return self.write(".cursor/mcp.json", {"mcpServers": {name: entry}})

    def codex(self, *rows: str, command: str = sys.executable) -> Path:
        """Codex's file with one entry, and more rows of it."""
        start = [f'command = "{command}"', 'args = ["-P", "-m", "runapi_mcp"]']
        text = "\n".join(["[mcp_servers.runapi]", *start, *rows, ""])
        return self.write(".codex/config.toml", text)

    def config(self, content: object, mode: int = 0o600) -> Path:
        """RunAPI's config file."""
        path = self.write(".config/runapi/config.json", content)
        path.chmod(mode)
        return path

    def program(self, *lines: str) -> dict[str, object]:
        """An entry that starts a program of these lines, under our name."""
        script = self.write("bin/runapi-mcp", "\n".join(("import sys, time, json", *lines)))
        return {"command": sys.executable, "args": [str(script)]}

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file in the home: its mode and content."""
        return {
            str(path.relative_to(self.path)): (stat.S_IMODE(path.stat().st_mode), _content(path))
            for path in sorted(self.path.rglob("*"))
        }

    def doctor(self, *arguments: str, status: int = 1) -> Told:
        """What the doctor says as JSON. It must end so, change nothing, and name no key."""
        before = self.tree()
        told = self.run("doctor", *arguments, "--json")
        assert told.status == status, told.text
        assert self.tree() == before
        findings: list[Found] = json.loads(told.text)["findings"]
        return Told(told.status, told.text, findings)

    def run(self, *arguments: str) -> Told:
        """What the program says, which never is a key."""
        if arguments[0] == "doctor" and "--wait" not in arguments:
            arguments = (*arguments, *PATIENTLY)
        if self.starts == STARTS:
            ran = run_alone(arguments, self.environ, folder=self.project)
        else:
            ran = self._run(*arguments)
        text = ran.stdout + ran.stderr
        assert "Traceback" not in text, text
        assert KEY not in text
        assert KEY.removeprefix("sandbox-") not in text
        return Told(ran.returncode, text)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - this very program
            [*self.starts, *arguments],
            env=self.environ,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


SAYS: Final = (
    "def say(**message): print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)",
    "def serve(name, version, tools=('flux_2_pro_text_to_image',)):",
    "    for line in sys.stdin:",
    "        asked = json.loads(line)",
    "        if asked['method'] == 'initialize':",
    "            info = {'name': name, 'version': version}",
    "            say(id=asked['id'], result={'protocolVersion': '2025-06-18',",
    "                'capabilities': {}, 'serverInfo': info})",
    "        elif asked['method'] == 'tools/list':",
    "            say(id=asked['id'], result={'tools': [{'name': tool} for tool in tools]})",
    "        elif 'id' in asked:",
    "            say(id=asked['id'], error={'code': -32601, 'message': 'unknown'})",
)
"""The beginning of a server of the handshake era that is not this program."""


@contextmanager
def answering(
    body: Mapping[str, object],
    status: int = 200,
    ahead_seconds: float = 0,
    certificate: Path | None = None,
) -> Generator[str]:
    """A RunAPI that answers everything so, and whose clock is ahead of ours; its address.

    With a certificate, which is made at this path, it speaks https.
    """

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead_seconds, usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if certificate:
        server.socket = _encrypted(server.socket, certificate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _encrypted(sock: socket.socket, certificate: Path) -> ssl.SSLSocket:
    """The socket, with a certificate that nobody trusts."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    wanted = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(certificate), "-out", f"{certificate}.crt"]
    subprocess.run([openssl, *wanted, *files], check=True, capture_output=True)  # noqa: S603 - found above
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    return context.wrap_socket(sock, server_side=True)
