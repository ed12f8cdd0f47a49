"""What the ledger costs a paid call, when it is new and when it holds a million calls.

Everything that a paid call does with it, in the order in which it does it, over a file: whether an
identical call is to be joined and whether the limits allow the new one, the intent, the send, the
id, the end, the file, the hand-over; and what a replay and the reading tools ask. From the send on
each write is on the disk before the next step, as in the server. The million rows are calls of one
caller over 90 days, half of them handed over and not known to have arrived, and 2,000 answered
doubts among them.
"""

import argparse
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Final

import anyio
from figures import Limits, Milliseconds, at_least_two, print_times

from runapi_mcp.orders.ledger import Entry, Spending, Use
from runapi_mcp.orders.ledger.sqlite import SqliteLedger, queries
from runapi_mcp.orders.ledger.sqlite.database import Database
from runapi_mcp.orders.ledger.sqlite.ledger import run_in_place

MOST_PAID_MS: Final = 5.0
MOST_READ_MS: Final = 20.0
DAYS: Final = 89
CALLER: Final = "benchmark"
MODEL: Final = "flux-2-pro-text-to-image"
PROMPT: Final = "A red fox asleep in fresh snow under a birch, morning light"
DOUBTS: Final = 2_000

_FATES: Final = (
    "UPDATE calls SET sent_at = begun_at, open_sends = 1 WHERE status = 'intended'",
    "UPDATE calls SET handed_over_at = ended_at WHERE status = 'completed'",
    "UPDATE calls SET settled_at = ended_at WHERE status = 'completed' AND begun_at % 2 < 1",
)


def main() -> int:
    """Measure both ledgers, print the figures, check the limits."""
    parser = argparse.ArgumentParser(description="What the ledger costs a paid call.")
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=300)
    parser.add_argument("--rows", type=at_least_two, metavar="N", default=1_000_000)
    options = parser.parse_args()
    limits = Limits()
    with tempfile.TemporaryDirectory() as folder:
        for rows in (0, options.rows):
            path = Path(folder) / f"{rows}.sqlite3"
            _fill(path, rows)
            anyio.run(_measure, path, rows, options.rounds, limits)
    return limits.exit_status


async def _measure(path: Path, rows: int, rounds: int, limits: Limits) -> None:
    times: dict[str, Milliseconds] = {}
    async with aclosing(SqliteLedger(lambda: path, run=run_in_place)) as ledger:
        for _ in range(rounds):
            for name, step in _steps(ledger, _entry(time())):
                times.setdefault(f"{rows:,} calls: {name}", []).append(await _ms(step))
    print_times(times)
    for name, values in times.items():
        most = MOST_PAID_MS if name.endswith("a paid call") else MOST_READ_MS
        limits.number(f"ms, {name}", median(values), most)


def _steps(
    ledger: SqliteLedger, entry: Entry
) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    yield "a paid call", lambda: _pay(ledger, entry)
    yield "a replay", lambda: ledger.find_alike(entry, Use(), time())
    yield "a use", lambda: ledger.find_alike(entry, Use(paths=("/pictures/fox.png",)), time())
    yield "by task", lambda: ledger.by_task(CALLER, str(entry.task_id))
    yield "recent", lambda: ledger.entries(CALLER, "recent", 10)
    yield "undelivered", lambda: ledger.entries(CALLER, "undelivered", 10)
    yield "spending", lambda: ledger.spending(CALLER)
    yield "intervals", lambda: ledger.intervals(MODEL, "1k", 50)
    yield "doubts", lambda: ledger.doubts(CALLER, 5)


async def _pay(ledger: SqliteLedger, entry: Entry) -> None:
    wanted = replace(entry, status="intended", task_id=None, image_urls=())
    await ledger.intend([wanted], Use(), time(), _allow)
    sent = await ledger.record_send(wanted.key, _allow_again)
    made = replace(sent, task_id=entry.task_id, status="pending", made_at=time())
    await ledger.record(made)
    done = replace(made, status="completed", image_urls=entry.image_urls, ended_at=time())
    await ledger.record(replace(done, cost_cents=5))
    await ledger.record_files(made.key, ["/pictures/red-fox.png"], ["0" * 64])
    await ledger.record_handover(made.call_id, time(), surely=False)


def _allow(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
    """No limits."""


def _allow_again(call: object, spending: Spending) -> None:
    """No limits."""


def _entry(begun_at: float) -> Entry:
    key = str(uuid.uuid4())
    return Entry(
        key=key,
        call_id=key,
        caller=CALLER,
        model=MODEL,
        fingerprint=uuid.uuid4().hex,
        begun_at=begun_at,
        output_resolution="1k",
        arguments={"prompt": PROMPT},
        request=f'{{"model":"{MODEL}","prompt":"{PROMPT}"}}',
        price_cents=5,
        status="completed",
        task_id=str(uuid.uuid4()),
        image_urls=("https://cdn.example/red-fox.png",),
    )


def _fill(path: Path, rows: int) -> None:
    Database.open(path).close()
    step = DAYS * 86_400 / max(rows, 1)
    first = time() - DAYS * 86_400
    connection = sqlite3.connect(path, isolation_level=None)
    # Nothing here needs to survive a crash, and indexes are made faster at the end.
    connection.execute("PRAGMA journal_mode = OFF")
    indexes = _without_indexes(connection)
    connection.execute("BEGIN")
    old = (_old(first + step * number, number) for number in range(rows))
    connection.executemany(queries.INSERT, old)
    for sql in _FATES:
        connection.execute(sql)
    connection.execute("COMMIT")
    for index in indexes:
        connection.execute(index)
    connection.close()


def _without_indexes(connection: sqlite3.Connection) -> list[str]:
    """How to make the indexes that were dropped."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [str(sql) for _, sql in found]


def _old(begun_at: float, number: int) -> dict[str, object]:
    ended = begun_at + 15
    key = f"{number:032x}"
    entry = replace(_entry(begun_at), ended_at=ended, drawn=(14.0, 15.0), cost_cents=5)
    if number < DOUBTS:
        entry = replace(entry, status="intended", task_id=None)
    return queries.to_row(replace(entry, key=key, call_id=key))


async def _ms(step: Callable[[], Awaitable[object]]) -> float:
    started = perf_counter()
    await step()
    return (perf_counter() - started) * 1000


if __name__ == "__main__":
    sys.exit(main())
