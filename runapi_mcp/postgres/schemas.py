"""The tables of those who keep something in a database, made and changed by their own SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, cast

from psycopg.errors import UndefinedTable

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.pool import DatabaseSession, PostgresPool, connect

NAMESPACE: Final = "runapi_mcp"
"""The schema, as PostgreSQL calls it, in which all tables are."""
_LOCK: Final = 0x72756E617069  # any number, as long as nobody else uses it

_LOCK_MIGRATIONS: Final = "SELECT pg_advisory_xact_lock(%s)"
_BEGINNINGS: Final = f"""
    CREATE SCHEMA IF NOT EXISTS {NAMESPACE};
    CREATE TABLE IF NOT EXISTS {NAMESPACE}.schema_versions
        (name text PRIMARY KEY, version integer NOT NULL)"""
_VERSIONS: Final = f"SELECT name, version FROM {NAMESPACE}.schema_versions"
_RECORD_VERSION: Final = f"""
    INSERT INTO {NAMESPACE}.schema_versions VALUES (%(name)s, %(version)s)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version"""


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The tables of one room."""

    name: str
    migrations: Sequence[LiteralString]
    """What leads from each version to the next. Never changed, only added to."""

    @property
    def version(self) -> int:
        return len(self.migrations)


class NewerSchema(Exception):
    """The database was migrated by a newer version of this program."""


class OlderSchema(Exception):
    """The database was not migrated yet."""


async def migrate(url: SecretStr, schemas: Sequence[TableSchema]) -> Mapping[str, tuple[int, int]]:
    """From which to which version each schema was led, all in one transaction.

    Who comes meanwhile waits for it, however long it takes.

    Raises:
        NewerSchema
        DATABASE_FAILURES: it cannot be done. Doing it again does what is left.
    """
    async with await connect(url) as connection, connection.transaction():
        await connection.execute(_LOCK_MIGRATIONS, [_LOCK])
        await connection.execute(_BEGINNINGS)
        before = await _versions(connection)
        for schema in schemas:
            await _migrate(connection, schema, before.get(schema.name, 0))
        return {each.name: (before.get(each.name, 0), each.version) for each in schemas}


async def require_current(pool: PostgresPool, schemas: Sequence[TableSchema]) -> None:
    """
    Raises:
        NewerSchema, OlderSchema
        DATABASE_FAILURES, CommitLost: as `PostgresPool.transaction`.
    """
    try:
        async with pool.transaction() as connection:
            found = await _versions(connection)
    except UndefinedTable:
        found = dict[str, int]()
    for schema in schemas:
        version = found.get(schema.name, 0)
        if version > schema.version:
            raise NewerSchema
        if version < schema.version:
            raise OlderSchema


async def _versions(connection: DatabaseSession) -> Mapping[str, int]:
    rows = await (await connection.execute(_VERSIONS)).fetchall()
    return {cast("str", row["name"]): cast("int", row["version"]) for row in rows}


async def _migrate(connection: DatabaseSession, schema: TableSchema, version: int) -> None:
    if version > schema.version:
        raise NewerSchema
    for migration in schema.migrations[version:]:
        await connection.execute(migration)
    await connection.execute(_RECORD_VERSION, {"name": schema.name, "version": schema.version})
