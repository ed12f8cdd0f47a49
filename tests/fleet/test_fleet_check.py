"""`fleet check` says what is wrong with servers behind an address, from outside and for nothing."""

from subprocess import CompletedProcess

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.balancers import Balancer, haproxy, nginx
from tests.support.fleet.postgres_server import PASSWORD, PostgresServer
from tests.support.fleet.reserved_port import reserved_port
from tests.support.fleet.site import SECRET, fleet_site
from tests.support.fleet.tcp_proxy import tcp_proxy
from tests.support.processes import SIGNALS, finished

pytestmark = [pytest.mark.anyio, SIGNALS]

PATHS = ("", "/silence", "/beats", "/stay", "/departure")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def checked(
    url: str, *options: str, secret: str = SECRET, silence: str = "1"
) -> CompletedProcess[str]:
    environment = {"RUNAPI_FLEET_SECRET": secret, "NO_COLOR": "1"}
    command = ("fleet", "check", url, "--silence", silence, *options)
    return await anyio.to_thread.run_sync(lambda: finished(*command, environment=environment))


def wrong(run: CompletedProcess[str]) -> list[str]:
    """What is not well, without what mends it."""
    lines = [line.strip() for line in run.stdout.splitlines()]
    return [line.partition(";")[0] for line in lines if line.startswith(("✗", "!"))]


@pytest.mark.parametrize("balancer", [haproxy, nginx])
async def test_all_is_well_behind_a_balancer(fleet_database: SecretStr, balancer: Balancer) -> None:
    async with fleet_site(fleet_database) as there, balancer(there.fleet.ports) as url:
        run = await checked(f"{url}/mcp")
        assert (run.returncode, run.stderr) == (0, "")
        [title, *lines] = run.stdout.splitlines()
        assert title == url
        said = [line.strip() for line in lines]
        assert said[0] == "✓ 3 servers answered 20 requests"
        assert {line[:1] for line in said if line} <= {"✓", "A"}
        assert any("a picture was drawn" in line for line in said)
        assert said[-1] == "All is well."
        assert there.net.paid_requests() == 1


async def test_one_server_alone_is_told(fleet_database: SecretStr) -> None:
    async with fleet_site(fleet_database) as there:
        run = await checked(there.fleet.urls[0])
    assert (run.returncode, wrong(run)) == (0, ["! one server answered all 20 requests"])


async def test_another_secret_opens_nothing(fleet_database: SecretStr) -> None:
    async with fleet_site(fleet_database) as there:
        run = await checked(there.fleet.urls[0], secret="another-secret-of-another-fleet")
        shut = [await there.http.get(f"{there.fleet.urls[0]}/fleet/probe{path}") for path in PATHS]
        nowhere = await there.http.get(f"{there.fleet.urls[0]}/nowhere")
    assert (run.returncode, wrong(run)) == (1, ["✗ no probe was answered: the answer is 404"])
    assert {(answer.status_code, answer.text) for answer in (*shut, nowhere)} == {
        (404, "Not Found")
    }


def test_without_a_secret_it_says_what_to_set() -> None:
    run = finished("fleet", "check", "http://127.0.0.1:1", environment={"NO_COLOR": "1"})
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        "runapi-mcp: The servers' probes open by their secret, and none is set here. Set "
        "RUNAPI_FLEET_SECRET, or RUNAPI_FLEET_SECRET_FILE, as the servers have it.\n"
    )


async def test_nobody_there_is_told() -> None:
    with reserved_port() as port:
        run = await checked(f"http://127.0.0.1:{port}")
    assert run.returncode == 1
    assert wrong(run) == ["✗ no probe was answered: All connection attempts failed"]


async def test_what_stands_before_the_servers_is_found_out(fleet_database: SecretStr) -> None:
    async with (
        fleet_site(fleet_database) as there,
        tcp_proxy("127.0.0.1", there.fleet.ports[0]) as proxy,
        haproxy(there.fleet.ports, "timeout server 3s") as impatient,
    ):
        proxy.holds_answers = proxy.hides_departures = True
        secretive = await checked(f"http://127.0.0.1:{proxy.port}")
        cutting = await checked(impatient, silence="8")
    assert secretive.returncode == cutting.returncode == 1
    assert wrong(secretive) == [
        "✗ answers are held back until they end",
        "✗ no server heard within 15 s that a client had left",
        "! one server answered all 20 requests",
    ]
    [cut] = wrong(cutting)
    assert cut.startswith("✗ a silent answer was cut off after ")


async def test_a_database_that_is_away_is_told(
    postgres: PostgresServer, fleet_database: SecretStr
) -> None:
    name = fleet_database.get_secret_value().rpartition("/")[2]
    async with (
        tcp_proxy("127.0.0.1", postgres.port) as proxy,
        fleet_site(postgres.url(name, proxy.port)) as there,
    ):
        proxy.refuses = True
        await proxy.cut()
        run = await checked(there.fleet.urls[0])
    assert run.returncode == 1
    assert any(line.startswith("✗ the database cannot be used: ") for line in wrong(run))
    assert PASSWORD not in run.stdout
