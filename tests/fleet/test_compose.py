"""What `deploy/compose` starts, started here: its commands, its settings, its HAProxy.

Without Docker, which would only put each into a container of its own: the servers have addresses of
this machine, and a DNS server knows them as Docker's knows its containers.
"""

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from ruamel.yaml import YAML

from tests.support.fleet.balancers import running_haproxy
from tests.support.fleet.name_server import name_server
from tests.support.fleet.postgres_server import PostgresServer
from tests.support.fleet.replicas import Fleet, Replica
from tests.support.fleet.reserved_port import reserved_port
from tests.support.fleet.site import SECRET
from tests.support.fleet.wire import VERSIONS, WireClient
from tests.support.processes import LIMIT_SECONDS, Network, finished, network
from tests.support.world import KEY

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one address"),
]

COMPOSE: Final = Path(__file__).parents[2] / "deploy" / "compose"
SERVICE: Final = "runapi"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def services() -> dict[str, Any]:
    return YAML(typ="safe").load(COMPOSE / "compose.yaml")["services"]  # pyright: ignore[reportUnknownMemberType] - it has no types


@pytest.fixture
def secrets(postgres: PostgresServer, tmp_path: Path) -> Path:
    """A folder with the secrets that the services read, of a database in which nothing is."""
    texts = {
        "database_url": postgres.url(postgres.create_database()).get_secret_value(),
        "fleet_secret": SECRET,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def environment_of(service: dict[str, Any], secrets: Path, net: Network) -> dict[str, str]:
    """What the service is told, with its secrets where they are here."""
    given = {
        name: _filled_in(value).replace("/run/secrets", str(secrets))
        for name, value in service["environment"].items()
    }
    return {**given, "RUNAPI_BASE_URL": net.base_url}


def options_of(service: dict[str, Any], host: str) -> tuple[str, ...]:
    """The service's own, on an address of this machine."""
    command = [_filled_in(each) for each in service["command"]]
    here = {"--host": host, "--metrics": f"{host}:0"}
    options = [each.partition("=") for each in command if each.startswith("--") and "=" in each]
    return tuple(
        f"{name}={here.get(name, value)}" for name, _, value in options if name != "--port"
    )


def _filled_in(text: str) -> str:
    """As Docker fills in what nobody has set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@asynccontextmanager
async def servers(service: dict[str, Any], environment: dict[str, str]) -> AsyncGenerator[Fleet]:
    """As many as the service has, on one port, each on an address of its own."""
    hosts = [f"127.0.0.{number + 2}" for number in range(service["deploy"]["replicas"])]
    with ExitStack() as held:
        port = held.enter_context(reserved_port(hosts[0]))
        for host in hosts[1:]:
            held.enter_context(reserved_port(host, port))
        async with anyio.create_task_group() as group:
            fleet = Fleet(
                [
                    Replica(port, environment, options_of(service, host), None, group, host)
                    for host in hosts
                ]
            )
            for replica in fleet.replicas:
                await replica.start()
            yield fleet
            group.cancel_scope.cancel()


@asynccontextmanager
async def balancer(fleet: Fleet) -> AsyncGenerator[str]:
    """The address of its HAProxy."""
    [server_port] = set(fleet.ports)
    async with name_server(SERVICE, [replica.host for replica in fleet.replicas]) as dns_port:
        here = {
            "127.0.0.11:53": f"127.0.0.1:{dns_port}",
            "runapi:8765": f"{SERVICE}:{server_port}",
        }
        config = (COMPOSE / "haproxy.cfg").read_text("utf-8")
        for there, address in here.items():
            assert there in config
            config = config.replace(there, address)
        async with running_haproxy(config, bound_to=":8080") as url:
            yield url


async def test_its_servers_are_well_and_draw_in_every_version(
    services: dict[str, Any], secrets: Path
) -> None:
    migrate, service = services["migrate"], services[SERVICE]
    async with network() as net:
        environment = environment_of(migrate, secrets, net)
        prepared = await anyio.to_thread.run_sync(
            lambda: finished(*migrate["command"], environment=environment)
        )
        assert prepared.returncode == 0, prepared.stderr
        environment = environment_of(service, secrets, net)
        async with (
            servers(service, environment) as fleet,
            balancer(fleet) as url,
            httpx.AsyncClient(timeout=LIMIT_SECONDS) as http,
        ):
            checked = await anyio.to_thread.run_sync(
                lambda: finished("fleet", "check", url, "--silence=1", environment=environment)
            )
            assert (checked.returncode, checked.stderr) == (0, "")
            assert f"{len(fleet.replicas)} servers answered" in checked.stdout
            assert checked.stdout.rstrip().endswith("All is well.")
            for version in VERSIONS:
                client = WireClient(http, repeat(url), version, KEY)
                await client.open()
                drawn = await client.draw(f"a fox for {version}")
                assert drawn["structuredContent"]["status"] == "completed"


async def test_one_of_them_leaves_and_comes_back_unnoticed(
    services: dict[str, Any], secrets: Path
) -> None:
    service = services[SERVICE]
    async with network() as net:
        environment = environment_of(service, secrets, net)
        await anyio.to_thread.run_sync(
            lambda: finished(*services["migrate"]["command"], environment=environment)
        )
        async with (
            servers(service, environment) as fleet,
            balancer(fleet) as url,
            httpx.AsyncClient(timeout=LIMIT_SECONDS) as http,
        ):
            client, left = WireClient(http, repeat(url), VERSIONS[-1], KEY), anyio.Event()
            await client.open()

            async def leave() -> None:
                assert await fleet.replicas[0].leave() == 0
                left.set()

            async with anyio.create_task_group() as group:
                group.start_soon(leave)
                while not left.is_set():
                    assert (await client.call("check_pricing", {}))["structuredContent"]["prices"]
            await fleet.replicas[0].start()
            drawn = await client.draw("a fox")
            assert drawn["structuredContent"]["status"] == "completed"
