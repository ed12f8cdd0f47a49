"""What all tests share."""

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.orders.ledger.postgres.tables import LEDGER_TABLES
from runapi_mcp.postgres.schemas import migrate
from tests.support.fleet.postgres_server import (
    NOT_RUN,
    PostgresServer,
    find_binaries,
    running_server,
)
from tests.support.virtual_time import BACKEND

# How fast examples are made and tried says what machine this is, and nothing of the program.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time: who changes one thing shall not meet what is wrong with another.
settings.register_profile(
    "the same", settings.get_profile("searching"), derandomize=True, database=None
)
settings.load_profile("the same")


def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor: what goes over sockets waits for half of its time."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture
def anyio_backend() -> tuple[str, Mapping[str, Any]]:
    """Virtual time, unless a module says that it needs sockets."""
    return BACKEND


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, proxy, config file or ledger of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("RUNAPI_", "XDG_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        # The tests start a hundred servers, and compiled ones start sooner.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _a_home_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No config file or ledger of another test."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user that only a number is known of."""

    def unknown(user: object) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    for ask in ("getpwuid", "getpwnam"):
        monkeypatch.setattr(f"pwd.{ask}", unknown)


@pytest.fixture(scope="session", autouse=True)
def _no_names_of_the_real_network() -> Iterator[None]:
    """Tests are offline: a name beyond this machine is unknown at once, wherever they run."""
    resolve = socket.getaddrinfo

    def resolve_here(host: Any, *rest: Any, **options: Any) -> Any:  # Any: as the socket module's
        name = host.decode() if isinstance(host, bytes) else host
        if name in (None, "", "localhost") or ":" in name or name[-1].isdigit():
            return resolve(host, *rest, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve_here)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a process, which have a database each."""
    if find_binaries() is None:
        pytest.skip(NOT_RUN)
    with running_server() as server:
        yield server


@pytest.fixture
def empty_database(postgres: PostgresServer) -> SecretStr:
    """The address of a database in which nothing is."""
    return postgres.url(postgres.create_database())


@pytest.fixture(scope="session")
def template_of_ledgers(postgres: PostgresServer) -> str:
    """A database with the ledger's tables, to be copied: that is quicker than to make them."""
    name = postgres.create_database()
    with ThreadPoolExecutor(1) as thread:  # in this one a loop may be running
        thread.submit(asyncio.run, migrate(postgres.url(name), [LEDGER_TABLES])).result()
    return name


@pytest.fixture
def ledger_database(postgres: PostgresServer, template_of_ledgers: str) -> SecretStr:
    """The address of a database with an empty ledger."""
    return postgres.url(postgres.create_database(template_of_ledgers))
