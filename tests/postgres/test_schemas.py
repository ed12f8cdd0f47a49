"""Tables are made once, whoever begins, and a program that is too old or too new uses none."""

from contextlib import aclosing

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.pool import PostgresPool
from runapi_mcp.postgres.schemas import (
    NewerSchema,
    OlderSchema,
    TableSchema,
    migrate,
    require_current,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
FIRST = TableSchema("words", ["CREATE TABLE runapi_mcp.words (word text)"])
SECOND = TableSchema("words", [*FIRST.migrations, "ALTER TABLE runapi_mcp.words ADD number int"])
OTHER = TableSchema("numbers", ["CREATE TABLE runapi_mcp.numbers (number int)"])


async def is_current(url: SecretStr, *schemas: TableSchema) -> bool:
    async with aclosing(PostgresPool(url)) as pool:
        await require_current(pool, schemas)
    return True


async def test_each_migration_is_made_once_however_many_begin_at_once(
    empty_database: SecretStr,
) -> None:
    led: list[tuple[int, int]] = []

    async def lead() -> None:
        led.append((await migrate(empty_database, [SECOND]))["words"])

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(lead)
    assert sorted(led) == [(0, 2), (2, 2), (2, 2), (2, 2), (2, 2)]


async def test_an_older_database_is_led_on_and_a_newer_one_is_left_alone(
    empty_database: SecretStr,
) -> None:
    with pytest.raises(OlderSchema):
        await is_current(empty_database, FIRST)
    assert await migrate(empty_database, [FIRST]) == {"words": (0, 1)}
    assert await is_current(empty_database, FIRST)
    with pytest.raises(OlderSchema):
        await is_current(empty_database, FIRST, OTHER)
    assert await migrate(empty_database, [SECOND, OTHER]) == {"words": (1, 2), "numbers": (0, 1)}
    assert await is_current(empty_database, SECOND, OTHER)
    with pytest.raises(NewerSchema):
        await is_current(empty_database, FIRST)
    with pytest.raises(NewerSchema):
        await migrate(empty_database, [FIRST])
