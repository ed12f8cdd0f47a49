"""What the tests of several servers share."""

import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.postgres_server import PostgresServer
from tests.support.processes import finished


@pytest.fixture(scope="session")
def _template_of_fleets(postgres: PostgresServer) -> str:
    """A database that was prepared, to be copied: that is quicker than to prepare it."""
    name = postgres.create_database()
    environment = {"RUNAPI_DATABASE_URL": postgres.url(name).get_secret_value()}
    prepared = finished("fleet", "migrate", environment=environment)
    assert prepared.returncode == 0, prepared.stderr
    return name


@pytest.fixture
def fleet_database(postgres: PostgresServer, _template_of_fleets: str) -> SecretStr:
    """The address of a database that was prepared for servers, and in which nothing is."""
    return postgres.url(postgres.create_database(_template_of_fleets))
