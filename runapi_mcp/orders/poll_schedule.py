"""When to look at a task: sparsely before its usual duration, densely around it, sparsely after.

Durations are taken as lognormal, with a small share of a far broader one for what is out of the
ordinary. From them follows the hazard h(t), the rate at which a task that still runs ends at age t.
For a given number of looks, the lag from the end to the look that sees it is least when the gap
between looks is proportional to 1/sqrt(h).
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

LOOKS: Final = 7.25
"""How many looks a usual task should take."""
SHORTEST_GAP_SECONDS: Final = 0.25
LONGEST_GAP_SECONDS: Final = 15.0
OVERDUE_CHANCE: Final = 0.9
"""How likely a task has ended that should have called back."""
LONGEST_SAFETY_GAP_SECONDS: Final = 60.0

_STEP_SECONDS: Final = 0.05
_SAFETY_STEP_SECONDS: Final = 0.25
_STEP_SHARE: Final = 0.005
"""Of an age, where that is more: the older a task, the less a moment matters."""
_BROAD_SHARE: Final = 0.06
_BROAD_SPREAD: Final = 0.9
_SQRT_2: Final = math.sqrt(2)
_SQRT_2_PI: Final = math.sqrt(2 * math.pi)


class PollSchedule:
    """What the formulas say is kept for ages a small step apart, as far as somebody has asked."""

    def __init__(self, usual_seconds: float, spread: float, *, learned: bool) -> None:
        self.usual_seconds = usual_seconds
        self.learned = learned
        """Whether the duration was seen, not supposed."""
        self._center = math.log(usual_seconds)
        self._spread = spread
        self._scale = self._roots_of_hazard() / LOOKS
        self._ages = [0.0]
        self._looks = [0.0]
        """How many looks are due by each age."""
        self._shares = [1.0]
        """Of the tasks that reach each age."""

    def next_look(self, age_seconds: float) -> float:
        """The age at which to look again at a task that was still running at this age."""
        wanted = self._at(self._looks, age_seconds) + 1
        while self._looks[-1] < wanted:
            self._take_step()
        return _interpolate(self._looks, self._ages, wanted)

    def next_safety_look(self, age_seconds: float) -> float:
        """The age at which a task that was still running at this age should have called back."""
        age, latest = age_seconds, age_seconds + LONGEST_SAFETY_GAP_SECONDS
        while age < latest and self.chance(age_seconds, age) < OVERDUE_CHANCE:
            age += max(_SAFETY_STEP_SECONDS, age / 20)
        return age

    def chance(self, since_seconds: float, age_seconds: float) -> float:
        """How likely a task that was still running at one age has ended at a later one."""
        before = self._at(self._shares, since_seconds)
        return 1 - self._at(self._shares, age_seconds) / before if before else 1.0

    def _at(self, values: Sequence[float], age: float) -> float:
        while self._ages[-1] <= age:
            self._take_step()
        return _interpolate(self._ages, values, max(age, 0.0))

    def _take_step(self) -> None:
        step = max(_STEP_SECONDS, self._ages[-1] * _STEP_SHARE)
        age = self._ages[-1] + step
        density, share = self._running(age)
        self._ages.append(age)
        self._looks.append(self._looks[-1] + self._looks_a_second(age, density, share) * step)
        self._shares.append(share)

    def _looks_a_second(self, age: float, ending: float, running: float) -> float:
        wanted = math.sqrt(ending / running) / self._scale if running else 0.0
        # A task may fail long before it could be drawn, and may be drawn when nobody expects it.
        gap = max(self.usual_seconds / (2 if self.learned else 6), age / 10)
        least = 1 / min(gap, LONGEST_GAP_SECONDS)
        return min(max(wanted, least), 1 / SHORTEST_GAP_SECONDS)

    def _running(self, age: float) -> tuple[float, float]:
        """The density of ends at an age, and the share of tasks that reach it."""
        if age <= 0:
            return 0.0, 1.0
        usual = self._component(age, self._spread)
        broad = self._component(age, _BROAD_SPREAD)
        shares = (1 - _BROAD_SHARE, _BROAD_SHARE)
        density, survival = (
            shares[0] * of_usual + shares[1] * of_broad
            for of_usual, of_broad in zip(usual, broad, strict=True)
        )
        return density, survival

    def _component(self, age: float, spread: float) -> tuple[float, float]:
        deviation = (math.log(age) - self._center) / spread
        density = math.exp(-deviation * deviation / 2) / (spread * age * _SQRT_2_PI)
        return density, math.erfc(deviation / _SQRT_2) / 2

    def _roots_of_hazard(self) -> float:
        """The integral of sqrt(h) over the lives of all tasks: what LOOKS are shared out over."""
        end = 2 * math.exp(self._center + 3 * self._spread)
        step = end / 400
        points = (self._running(step * number) for number in range(1, 401))
        return sum(math.sqrt(ending * running) for ending, running in points) * step


def _interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value at `x`, which lies between the first and the last of the rising `xs`."""
    after = max(bisect_left(xs, x), 1)
    low, high = xs[after - 1], xs[after]
    return ys[after - 1] + (ys[after] - ys[after - 1]) * (x - low) / (high - low)
