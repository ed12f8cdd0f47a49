"""A server whose database is away pays for nothing, goes on with the rest, and is back with it."""

from contextlib import aclosing

import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.orders.ledger.postgres import PostgresLedger
from runapi_mcp.orders.ledger.postgres.tables import LEDGER_TABLES
from runapi_mcp.orders.limits import Limits
from runapi_mcp.postgres.pool import PostgresPool
from runapi_mcp.postgres.schemas import migrate
from tests.support.fleet.postgres_server import running_server
from tests.support.world import facts, said, world

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
DRAW = "flux_2_pro_text_to_image"


@pytest.mark.parametrize("count", [1, 2])
async def test_what_a_late_standby_never_heard_of_is_not_paid_again(count: int) -> None:
    """An intent, its send and its task are lost in a failover; the same call has the same keys."""
    with running_server() as first:
        await migrate(first.url(), [LEDGER_TABLES])
        standby = first.create_standby()
        try:
            async with (
                aclosing(PostgresPool(first.or_else(standby))) as pool,
                world(ledger=PostgresLedger(pool), draw_seconds=0) as w,
            ):
                foxes = {"prompt": "a fox", "count": count}
                await w.call(DRAW, foxes)
                first.kill()
                standby.start()
                standby.promote()
                assert facts(await w.call("list_tasks"))["tasks"] == []
                again = await w.call(DRAW, foxes)
                assert facts(again)["status"] == "completed"
                assert (len(w.wire.keys), w.task_count) == (count, count)
        finally:
            standby.remove()


async def test_the_same_call_after_a_settled_one_has_keys_of_its_own(
    ledger_database: SecretStr,
) -> None:
    async with (
        aclosing(PostgresPool(ledger_database)) as pool,
        world(ledger=PostgresLedger(pool), draw_seconds=0) as w,
    ):
        first = facts(await w.call(DRAW, {"prompt": "a fox"}))["task_id"]
        second = await w.call(DRAW, {"prompt": "a fox", "redraw": first})
        assert facts(second)["task_id"] != first
        assert len(w.wire.keys) == 2


async def test_reads_and_prices_go_on_and_payments_with_the_database() -> None:
    with running_server() as server:
        await migrate(server.url(), [LEDGER_TABLES])
        async with (
            aclosing(PostgresPool(server.url())) as pool,
            world(
                ledger=PostgresLedger(pool), limits=Limits(per_day_cents=100), draw_seconds=0
            ) as w,
        ):
            task_id = facts(await w.call(DRAW, {"prompt": "a fox"}))["task_id"]
            server.kill()
            refused = await w.call(DRAW, {"prompt": "an owl"})
            assert refused.is_error
            assert "nothing is paid without it" in said(refused)
            assert w.task_count == 1
            assert not (await w.call("check_pricing")).is_error
            assert facts(await w.call("get_task", {"task_id": task_id}))["status"] == "completed"
            server.start()
            drawn = facts(await w.call(DRAW, {"prompt": "an owl"}))
            assert (drawn["status"], drawn["left_today_cents"]) == ("completed", 90)
