"""The ledger tells what it holds to whoever only looks, beside servers that write it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runapi_mcp.orders.ledger.sqlite.database import Database
from runapi_mcp.orders.ledger.sqlite.migrations import VERSION
from runapi_mcp.orders.ledger.sqlite.survey import LedgerSurvey, survey
from tests.support.ledgers import ledger_at, other
from tests.support.unwritable import POSIX_MODES, unwritable
from tests.support.world import world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"


def told(path: Path) -> LedgerSurvey:
    """What it tells, and leaves nothing behind."""
    before = {each: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    found = survey(path)
    after = {each: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    # A reader beside a writer marks its place in the memory that both share.
    shared = path.with_name(f"{path.name}-shm")
    assert before.keys() == after.keys()
    assert {each: after[each] for each in after if each != shared} == {
        each: before[each] for each in before if each != shared
    }
    return found


async def test_calls_that_a_running_server_has_not_moved_into_the_file_yet_are_counted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        for number in range(41):
            drawn = await w.call(DRAW, {"prompt": f"fox {number}", "wait_seconds": 0})
            assert not drawn.is_error
        assert path.with_name("ledger-wal").stat().st_size
        assert told(path) == LedgerSurvey(41, 0, 41, VERSION)
    assert told(path) == LedgerSurvey(41, 0, 41, VERSION)


async def test_what_is_in_doubt_and_what_is_delivered_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "a fox"})
        await w.call(DRAW, {"prompt": "an owl [[created torn]]"})
        with other(path) as spoiler:
            spoiler.execute("UPDATE calls SET handed_over_at = 1 WHERE status = 'completed'")
    assert told(path) == LedgerSurvey(2, 1, 0, VERSION)


async def test_a_ledger_that_is_written_all_the_time_is_never_called_damaged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        with other(path) as writer:
            for _ in range(50):
                writer.execute("UPDATE calls SET begun_at = begun_at")
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                assert told(path) == LedgerSurvey(1, 0, 1, VERSION)


async def test_an_older_ledger_is_counted_and_left_for_a_server_to_bring_up_to_date(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "a fox"})
    with other(path) as older:
        older.execute("PRAGMA user_version = 1")
    assert told(path) == LedgerSurvey(1, version=1)


@pytest.mark.skipif(sys.platform == "win32", reason="no file goes there that is open")
@pytest.mark.parametrize("gone", ["", "-wal"])
async def test_a_ledger_whose_files_went_under_a_server_is_said_to_be_that(
    gone: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "a fox"})
        path.with_name("ledger-wal").unlink()
        path.with_name(f"ledger{gone}").unlink(missing_ok=True)
        assert told(path).trouble == "replaced"
        await w.call(DRAW, {"prompt": "an owl"})
        assert told(path).trouble is None


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 1000)


def cut(path: Path) -> None:
    Database.open(path).close()
    path.write_bytes(path.read_bytes()[:5000])


def of_another_program(path: Path) -> None:
    with other(path) as its_file:
        its_file.executescript("CREATE TABLE notes (text); PRAGMA user_version = 1")


def newer(path: Path) -> None:
    with other(path) as its_file:
        its_file.execute("PRAGMA user_version = 99")


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (garbage, LedgerSurvey(trouble="damaged")),
        (cut, LedgerSurvey(trouble="damaged")),
        (of_another_program, LedgerSurvey(trouble="damaged")),
        (newer, LedgerSurvey(version=99, trouble="newer")),
        (a_folder, LedgerSurvey(trouble="in the way")),
        (Path.unlink, LedgerSurvey(trouble="in the way")),
        (Path.touch, LedgerSurvey()),
    ],
)
def test_what_keeps_a_ledger_from_being_used(
    spoil: Callable[[Path], None], trouble: LedgerSurvey, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    if spoil is Path.unlink:
        path.touch()
    spoil(path)
    assert told(path) == trouble


def test_a_ledger_that_another_program_keeps_to_itself_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Database.open(path).close()
    with other(path) as locker:
        locker.execute("PRAGMA journal_mode = DELETE")
        locker.execute("BEGIN EXCLUSIVE")
        locker.execute("UPDATE calls SET begun_at = 0")
        locker.execute("CREATE TABLE more (text)")
        assert survey(path).trouble == "locked"
        locker.execute("ROLLBACK")
    assert told(path).trouble is None


@POSIX_MODES
def test_a_ledger_that_may_not_be_written_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger"
    path.parent.mkdir()
    Database.open(path).close()
    path.chmod(0o400)
    with unwritable(path.parent):
        assert told(path).trouble == "read-only"
