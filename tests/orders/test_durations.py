"""How soon what a crowd shows of durations counts for the rest of it."""

import anyio
import pytest

from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.orders.durations import Durations
from runapi_mcp.providers.rate_limit import REQUESTS_PER_SECOND
from tests.support.virtual_time import BACKEND

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", [BACKEND])]

LOOKS = 2
"""So many looks of one key may go out by what was known before."""
SEEN = (2.0 * PRO.usual_seconds, 2.0 * PRO.usual_seconds + 1)


async def test_what_was_seen_guides_the_looks_after_the_next() -> None:
    durations, known = Durations(PRO), [PRO.usual_seconds * 1.0]
    for _ in range(5):
        durations.learn(SEEN)
        await anyio.sleep(LOOKS / REQUESTS_PER_SECOND)
        known.append(durations.schedule.usual_seconds)
    # Each brings it nearer to what was seen.
    assert known == sorted({*known})
    assert known[-1] <= SEEN[1]
