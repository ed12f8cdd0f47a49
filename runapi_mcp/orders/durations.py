"""How long images of one kind take, learned from when they were seen running and when done.

What is seen is an interval: an image was still drawn at one age, and done at a later one. The
lognormal that fits such intervals best is found by expectation-maximization: each duration is taken
to be where the present fit expects it within its interval, then the fit is made anew.
"""

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

import anyio

from runapi_mcp.base.catalog import Tier
from runapi_mcp.orders.poll_schedule import PollSchedule

Interval = tuple[float, float]
"""Two ages in seconds: still running at the first, done at the second."""

LEARNED_FROM: Final = 50
"""How many images count, the latest ones."""
ENOUGH: Final = 5
"""How many images make the spread known too."""
WIDEST_SECONDS: Final = 60.0
"""An interval wider than this tells nothing."""
FIT_SECONDS: Final = 0.1
"""How long a fit holds at least: it takes as long as some looks, and a crowd ends at once. One that
holds longer has the crowd of a single key wait for what it could have learned."""

_EXPECTED_SPREAD: Final = 0.6
_LEAST_SPREAD: Final = 0.05
_EXPECTED_WEIGHT: Final = 0.5
"""What is expected counts as much as half an image that was seen."""
_ROUNDS: Final = 25
_SQRT_2: Final = math.sqrt(2)
_SQRT_2_PI: Final = math.sqrt(2 * math.pi)


class Durations:
    def __init__(self, tier: Tier, seen: Iterable[Interval] = ()) -> None:
        self.tier = tier
        self._expected = math.log(tier.usual_seconds)
        self._seen = deque(seen, maxlen=LEARNED_FROM)
        self._fitted = self._fit()
        self._fits_until = math.inf

    def learn(self, seen: Interval) -> None:
        self._seen.append(seen)
        self._fits_until = min(self._fits_until, self._fitted_at + FIT_SECONDS)

    @property
    def schedule(self) -> PollSchedule:
        if anyio.current_time() >= self._fits_until:
            self._fitted, self._fits_until = self._fit(), math.inf
        return self._fitted

    def _fit(self) -> PollSchedule:
        self._fitted_at = anyio.current_time()
        center, spread = self._expected, _EXPECTED_SPREAD
        for _ in range(_ROUNDS if self._seen else 0):
            center, spread = self._better(center, spread)
        learned = len(self._seen) >= ENOUGH
        least = _LEAST_SPREAD if learned else _EXPECTED_SPREAD
        return PollSchedule(math.exp(center), max(spread, least), learned=learned)

    def _better(self, center: float, spread: float) -> tuple[float, float]:
        """One round: the fit to where the last one expects the durations."""
        expected = [_expected(seen, center, spread) for seen in self._seen]
        total = sum(mean for mean, _ in expected) + _EXPECTED_WEIGHT * self._expected
        center = total / (len(expected) + _EXPECTED_WEIGHT)
        squares = (variance + (mean - center) ** 2 for mean, variance in expected)
        return center, max(math.sqrt(sum(squares) / len(expected)), _LEAST_SPREAD)


def _expected(seen: Interval, center: float, spread: float) -> tuple[float, float]:
    """Mean and variance of the logarithm of a duration that is known to lie in an interval."""
    running, done = (math.log(max(seconds, 0.01)) for seconds in seen)
    low, high = (running - center) / spread, (done - center) / spread
    inside = (math.erfc(-high / _SQRT_2) - math.erfc(-low / _SQRT_2)) / 2
    if inside < 1e-9:
        # Far from all that was seen: the end that lies nearer.
        return (done if high < 0 else running), 0.0
    at_low, at_high = _density(low), _density(high)
    shift = (at_low - at_high) / inside
    narrowing = (low * at_low - high * at_high) / inside - shift * shift
    return center + spread * shift, max(0.0, spread * spread * (1 + narrowing))


def _density(deviation: float) -> float:
    return math.exp(-deviation * deviation / 2) / _SQRT_2_PI
