"""Days by a calendar, as intervals of time. Light: a zone's table is read when it is needed.

Some midnights come twice and some never, and a date may be left and come again. So a day begins
where its date is reached once and for all, and ends where the next one begins: each instant is in
one day.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

from runapi_mcp.base.catalog.lifetimes import DAY_SECONDS

_EPOCH: Final = date(1970, 1, 1).toordinal()

Calendar = Callable[[float], int]
"""Tells the ordinal of the date that an instant falls on."""


def day_of(at: float, zone: str | None = None) -> tuple[float, float]:
    """When the day around an instant begins and when the next one does, since the epoch.

    `zone` is an IANA name, None the system's own. What no calendar can be read for is UTC.
    """
    try:
        return _day_of(at, _calendar(zone))
    except (ValueError, OverflowError, OSError):
        begins = at // DAY_SECONDS * DAY_SECONDS
        return begins, begins + DAY_SECONDS


def month_since(at: float, zone: str | None = None) -> float:
    """When the month around an instant begins; calendars are as in `day_of`."""
    try:
        calendar = _calendar(zone)
        first = date.fromordinal(calendar(at)).replace(day=1)
        return _beginning(first.toordinal(), calendar)
    except (ValueError, OverflowError, OSError):
        first = datetime.fromtimestamp(at, UTC).replace(day=1)
        return first.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def date_of(at: float) -> date:
    """The date by this machine's calendar; the first of all, where it has none for then."""
    try:
        return date.fromordinal(_calendar(None)(at))
    except (ValueError, OverflowError, OSError):
        return date.fromordinal(_EPOCH)


def local_time(at: float) -> str:
    """A moment by this machine's clock, as `2026-11-21 14:03`."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def is_readable(zone: str) -> bool:
    """Whether there is a calendar of this name."""
    try:
        _calendar(zone)
    except ValueError:
        return False
    return True


def _calendar(zone: str | None) -> Calendar:
    """
    Raises:
        ValueError: there is none of this name.
    """
    if zone is None:
        return lambda at: date(*time.localtime(at)[:3]).toordinal()
    # Imported here, because few set a zone.
    from zoneinfo import ZoneInfo

    try:
        info = ZoneInfo(zone)
    # It may be no name, no file, a folder, or no table.
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{zone} is no time zone") from error
    return lambda at: datetime.fromtimestamp(at, info).toordinal()


def _day_of(at: float, calendar: Calendar) -> tuple[float, float]:
    day = calendar(at)
    while at < (begins := _beginning(day, calendar)):
        day -= 1
    while (ends := _beginning(day + 1, calendar)) <= at:
        day += 1
        begins = ends
    return begins, ends


def _beginning(day: int, calendar: Calendar) -> int:
    """The second at which a date is reached for good."""
    midnight = (day - _EPOCH) * DAY_SECONDS
    # No zone is a day or more from UTC.
    before, since = midnight - 2 * DAY_SECONDS, midnight + 2 * DAY_SECONDS
    while since - before > 1:
        middle = (before + since) // 2
        if calendar(middle) < day:
            before = middle
        else:
            since = middle
    return since
