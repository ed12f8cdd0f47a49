"""A day is one interval: no instant is in two of them, and none in no day."""

import math
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import available_timezones

import pytest

from runapi_mcp.base.days import date_of, day_of, is_readable

DAY = 24 * 3600
YEARS = (1969, 2011, 2026, 2037)
"""The date line moved in two of them."""
SYSTEM_ZONES = ("CET-1CEST,M3.5.0,M10.5.0/3", "ABC24", "<+24>-24", "Mars/Olympus", ":", "")
ODD_TIMES = (-math.inf, -1e18, -1e11, -1.0, 0.0, 2.0**33, 1e11, 1e18, math.inf, math.nan)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[str], None]]:
    def enter(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    if not hasattr(time, "tzset"):
        pytest.skip("Windows has no tzset")
    yield enter
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        # Midnight comes twice.
        ("America/Havana", "2026-11-01 00:00-04:00", "2026-11-02 00:00-05:00"),
        ("Atlantic/Azores", "2026-10-25 00:00+00:00", "2026-10-26 00:00-01:00"),
        # It never comes.
        ("America/Santiago", "2026-09-06 01:00-03:00", "2026-09-07 00:00-03:00"),
        ("Asia/Beirut", "2026-03-29 01:00+03:00", "2026-03-30 00:00+03:00"),
        # The hour before it comes twice.
        ("America/Santiago", "2026-04-04 00:00-03:00", "2026-04-05 00:00-04:00"),
        # A date never comes.
        ("Pacific/Apia", "2011-12-29 00:00-10:00", "2011-12-31 00:00+14:00"),
        ("UTC", "2026-11-20 00:00+00:00", "2026-11-21 00:00+00:00"),
    ],
)
def test_when_a_day_begins_and_ends(zone: str, begins: str, ends: str) -> None:
    day = (seconds(begins), seconds(ends))
    for at in (day[0], day[0] + 1800, sum(day) / 2, day[1] - 0.001):
        assert day_of(at, zone) == day
    assert day_of(day[1], zone)[0] == day[1]
    assert day_of(day[0] - 0.001, zone)[1] == day[0]


def days_from(at: float, until: float, zone: str | None) -> Generator[tuple[float, float]]:
    while at < until:
        yield (day := day_of(at, zone))
        at = day[1]


def assert_divided(year: int, zone: str | None) -> None:
    """Days meet, and what lies within one is of that one; looked at where clocks are changed."""
    begins = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    days = [*days_from(begins, begins + 366 * DAY, zone)]
    assert all(one[1] == other[0] for one, other in pairwise(days))
    for day in (day for day in days if day[1] - day[0] != DAY):
        for quarter in range(-4, 5):
            at = day[0] + 900 * quarter
            assert day_of(at, zone)[0] <= at < day_of(at, zone)[1]
            assert (day_of(at, zone) == day) == (quarter >= 0)


@pytest.mark.parametrize("year", YEARS)
def test_days_divide_time_in_every_zone(year: int) -> None:
    # Each zone in one of the years: all of them in each would take a minute.
    zones = sorted(available_timezones())
    for zone in zones[YEARS.index(year) :: len(YEARS)]:
        assert_divided(year, zone)


@pytest.mark.parametrize("zone", SYSTEM_ZONES)
def test_days_divide_time_by_whatever_calendar_the_machine_has(
    zone: str, in_zone: Callable[[str], None]
) -> None:
    in_zone(zone)
    assert_divided(2026, None)


@pytest.mark.parametrize("at", ODD_TIMES)
@pytest.mark.parametrize("zone", [None, "America/Havana", "Mars/Olympus"])
def test_a_time_that_no_calendar_has_is_in_some_day(at: float, zone: str | None) -> None:
    assert len(day_of(at, zone)) == 2
    assert date_of(at)


@pytest.mark.parametrize("zone", SYSTEM_ZONES)
def test_there_is_a_date_by_whatever_calendar_the_machine_has(
    zone: str, in_zone: Callable[[str], None]
) -> None:
    in_zone(zone)
    assert date_of(seconds("2026-11-20 12:00+00:00")).isoformat().startswith("2026-11-")


@pytest.mark.parametrize(
    "zone",
    ["Mars/Olympus", "America", "../etc/passwd", "/etc/localtime", "\0", "é", " ", "a" * 999],
)
def test_a_zone_that_cannot_be_read_is_utc(zone: str) -> None:
    assert not is_readable(zone)
    assert day_of(DAY + 1.5, zone) == (DAY, 2 * DAY)
