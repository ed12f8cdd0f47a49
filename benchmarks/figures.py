"""Figures from a noisy machine: medians, their spread, ratios, and limits that hold or do not."""

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Final

Milliseconds = list[float]

_NAME_WIDTH: Final = 38


def at_least_two(text: str) -> int:
    """A number of rounds, for argparse: one round has no spread and nothing to be compared with."""
    number = int(text)
    if number < 2:
        raise ArgumentTypeError("must be 2 or more")
    return number


def print_times(times: Mapping[str, Milliseconds]) -> None:
    """A table of who took how long; `middle half` is the range from quartile to quartile."""
    print(f"{'ms':<{_NAME_WIDTH}}{'median':>9}{'middle half':>19}{'best':>9}{'n':>6}")
    for name, values in times.items():
        first, _, third = quantiles(values, n=4)
        middle = f"{first:.2f}..{third:.2f}"
        print(
            f"{name:<{_NAME_WIDTH}}{median(values):>9.2f}{middle:>19}"
            f"{min(values):>9.2f}{len(values):>6}"
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """One contestant's times over another's: of the medians, and how single pairs scatter."""

    ours: Sequence[float]
    theirs: Sequence[float]
    """Measured in turn with ours, so that the nth of each belong together."""

    @property
    def of_medians(self) -> float:
        return median(self.ours) / median(self.theirs)

    @property
    def spread(self) -> str:
        """The ratios that single pairs gave."""
        pairs = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        first, second, third = quantiles(pairs, n=4)
        return f"single pairs: median {second:.3f}, middle half {first:.2f}..{third:.2f}"


@dataclass(slots=True)
class Limits:
    """The limits of one program. Prints each as it is checked, and remembers the broken ones."""

    broken: list[str] = field(default_factory=list[str])

    def ratio(self, what: str, ratio: Ratio, most: float) -> None:
        """Check a ratio of medians."""
        self._check(what, ratio.of_medians <= most, f"{ratio.of_medians:.3f}", f"{most:g}")
        print(f"        {ratio.spread}")

    def count(self, what: str, number: int, most: int) -> None:
        """Check a number that does not vary."""
        self._check(what, number <= most, f"{number:,}", f"{most:,}")

    def number(self, what: str, number: float, most: float) -> None:
        """Check a measured number."""
        self._check(what, number <= most, f"{number:.2f}", f"{most:g}")

    def fact(self, what: str, *, holds: bool) -> None:
        """Check what is either so or not."""
        self._check(what, holds, "yes" if holds else "no", "yes")

    @property
    def exit_status(self) -> int:
        """0 when all limits held, else 1."""
        return 1 if self.broken else 0

    def _check(self, what: str, holds: bool, is_: str, limit: str) -> None:  # noqa: FBT001 - a verdict
        print(f"{'ok' if holds else 'BROKEN':<8}{what}: {is_} (limit {limit})")
        if not holds:
            self.broken.append(what)
