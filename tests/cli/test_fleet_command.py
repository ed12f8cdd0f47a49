"""`runapi-mcp fleet migrate`, and servers whose database was not prepared for them."""

from pathlib import Path

import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.orders.ledger.postgres.tables import LEDGER_TABLES
from tests.support.fleet.postgres_server import PASSWORD, PostgresServer
from tests.support.processes import finished

VERSION = LEDGER_TABLES.version
SERVE = ("serve", "--http", "--port", "0")


def environment(url: SecretStr) -> dict[str, str]:
    return {"RUNAPI_DATABASE_URL": url.get_secret_value(), "RUNAPI_API_KEY": "sk-0123456789"}


def test_a_database_is_prepared_once_also_by_a_file_that_keeps_its_address(
    empty_database: SecretStr, tmp_path: Path
) -> None:
    first = finished("fleet", "migrate", environment=environment(empty_database))
    assert (first.returncode, first.stderr) == (0, "")
    assert f"ledger: version {VERSION}, from nothing.\n" in first.stdout
    path = tmp_path / "url"
    path.write_text(empty_database.get_secret_value())
    again = finished("fleet", "migrate", environment={"RUNAPI_DATABASE_URL_FILE": str(path)})
    assert f"ledger: version {VERSION} already.\n" in again.stdout


def test_a_server_refuses_a_database_that_was_not_prepared(empty_database: SecretStr) -> None:
    refused = finished(*SERVE, environment=environment(empty_database))
    assert refused.returncode == 2
    assert "The database was not prepared for this version yet." in refused.stderr
    assert "fleet migrate` once, with the same RUNAPI_DATABASE_URL." in refused.stderr


@pytest.mark.parametrize("command", [("fleet", "migrate"), SERVE])
def test_a_database_of_a_newer_version_is_left_alone(
    postgres: PostgresServer, ledger_database: SecretStr, command: tuple[str, ...]
) -> None:
    with postgres.connect(ledger_database.get_secret_value().rpartition("/")[2]) as operator:
        operator.execute("UPDATE runapi_mcp.schema_versions SET version = 999")
    refused = finished(*command, environment=environment(ledger_database))
    assert refused.returncode == 2
    assert refused.stderr == (
        "runapi-mcp: The database was migrated by a newer version of this program. Update this "
        "one to that version.\n"
    )


def test_without_a_database_there_is_nothing_to_prepare() -> None:
    refused = finished("fleet", "migrate")
    assert refused.returncode == 2
    assert "No database is set. Set RUNAPI_DATABASE_URL" in refused.stderr


def test_no_failure_shows_a_password(empty_database: SecretStr) -> None:
    url = empty_database.get_secret_value().replace(PASSWORD, "not-the-password")
    refused = finished("fleet", "migrate", environment={"RUNAPI_DATABASE_URL": url})
    assert refused.returncode == 2
    assert "The database cannot be prepared" in refused.stderr
    assert "password authentication failed" in refused.stderr
    assert "not-the-password" not in refused.stdout + refused.stderr
