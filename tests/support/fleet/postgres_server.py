"""A PostgreSQL of the tests' own: in a temporary folder, as a user without rights, on loopback."""

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from runapi_mcp.base.secret import SecretStr

PASSWORD: Final = "the-database-password-of-the-tests"
NOT_RUN: Final = "NOT RUN: there is no PostgreSQL here (on Debian: apt-get install postgresql)"
START_SECONDS: Final = 120.0

_ACCOUNTS: Final = ("postgres", "nobody")
_SETTINGS: Final[Mapping[str, str]] = {
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "16MB",
    "unix_socket_directories": "",
    "log_min_messages": "fatal",
}


def find_binaries() -> Path | None:
    """The folder of the newest PostgreSQL of this machine."""
    if sys.platform == "win32":
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    if found:
        return found[-1]
    path = shutil.which("initdb")
    return None if path is None else Path(path).resolve().parent


@dataclass(slots=True)
class PostgresServer:
    """One that can be killed, started again and copied; `settings` are those of postgresql.conf."""

    folder: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    _process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def create(cls, **settings: str) -> "PostgresServer":
        """A new one, with no fsync unless the settings say so. It is not started yet."""
        folder = _private_folder()
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        _own(password_file)
        options = ["--no-sync", "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"]
        _run("initdb", *options, f"--pwfile={password_file}", "-D", str(folder / "data"))
        return cls(folder / "data", free_port(), {**_SETTINGS, **settings})

    def start(self) -> None:
        """Return once it takes connections."""
        assert not self.is_running
        settings = {"port": str(self.port), "listen_addresses": "127.0.0.1", **self.settings}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        account = _account()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of this machine
                [_binary("postgres"), "-D", str(self.folder), *options],
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C is for the tests.
                start_new_session=True,
                cwd=self.folder,
                user=account.user,
                group=account.group,
                extra_groups=account.more_groups,
            )
        atexit.register(self.kill)
        self._wait_until_it_answers()

    @property
    def _log(self) -> Path:
        return self.folder.parent / "log"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End all of its processes at once, as a power cut does."""
        if self._process is not None:
            helpers = _children_of(self._process.pid)
            self._process.kill()
            # They would end when they notice, but may answer before.
            for helper in helpers:
                with suppress(ProcessLookupError):
                    os.kill(helper, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in order, but without waiting for its clients."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._process = None

    def url(self, database: str = "postgres", port: int | None = None) -> SecretStr:
        """The address of a database; `port` is of a proxy before it."""
        at = f"127.0.0.1:{port or self.port}"
        return SecretStr(f"postgresql://postgres:{PASSWORD}@{at}/{database}")

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """A connection of somebody who looks on, or does what an operator does."""
        return psycopg.connect(self.url(database).get_secret_value(), autocommit=True)

    def create_database(self, template: str = "template1") -> str:
        """The name of a new one."""
        name = f"test_{secrets.token_hex(6)}"
        with self.connect() as connection:
            create = SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(Identifier(name), Identifier(template)))
        return name

    def create_standby(self, **settings: str) -> "PostgresServer":
        """A copy that follows it, not started yet. It becomes the first by `promote`."""
        folder = _private_folder() / "data"
        source = f"host=127.0.0.1 port={self.port} user=postgres password={PASSWORD}"
        _run("pg_basebackup", "--no-sync", "-c", "fast", "-R", "-D", str(folder), "-d", source)
        return PostgresServer(folder, free_port(), {**self.settings, **settings})

    def promote(self) -> None:
        """Return once it takes writes."""
        with self.connect() as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    def remove(self) -> None:
        self.kill()
        atexit.unregister(self.kill)
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _wait_until_it_answers(self) -> None:
        until = monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self.is_running, self._log.read_text()
                assert monotonic() < until
                sleep(0.02)
            else:
                return


@contextmanager
def running_server(**settings: str) -> Generator[PostgresServer]:
    server = PostgresServer.create(**settings)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children_of(process_id: int) -> list[int]:
    children = Path(f"/proc/{process_id}/task/{process_id}/children")
    if children.exists():
        return [int(word) for word in children.read_text().split()]
    found = subprocess.run(  # noqa: S603 - as above
        ["pgrep", "-P", str(process_id)],  # noqa: S607 - wherever it is
        capture_output=True,
        check=False,
    )
    return [int(word) for word in found.stdout.split()]


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())


def _binary(name: str) -> str:
    folder = find_binaries()
    assert folder is not None
    return str(folder / name)


def _run(program: str, *arguments: str) -> None:
    account = _account()
    subprocess.run(  # noqa: S603 - a program of this machine
        [_binary(program), *arguments],
        check=True,
        capture_output=True,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        timeout=START_SECONDS,
        user=account.user,
        group=account.group,
        extra_groups=account.more_groups,
    )


class _Account(NamedTuple):
    """Whom it runs as, where that is another user; it refuses to run as root."""

    user: int | None = None
    group: int | None = None
    more_groups: list[int] | None = None


def _account() -> _Account:
    if sys.platform == "win32" or os.geteuid() != 0:
        return _Account()
    import pwd

    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = next(known[name] for name in _ACCOUNTS if name in known)
    return _Account(user.pw_uid, user.pw_gid, [])


def _private_folder() -> Path:
    folder = Path(mkdtemp(prefix="runapi-postgres-"))
    _own(folder)
    return folder


def _own(path: Path) -> None:
    account = _account()
    if account.user is not None and account.group is not None:
        os.chown(path, account.user, account.group)
