"""OpenTelemetry's instruments, one for each row that was told of so far."""

from collections.abc import Callable, Iterable
from functools import partial

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from runapi_mcp import __version__
from runapi_mcp.base.measures import Labels, Listener, Measure

SCOPE = ("runapi_mcp", __version__)
"""Under which name and version they are known."""

_Tell = Callable[[float, Labels], None]


def instruments(meter: Meter) -> Listener:
    """Listens, and hands on what it hears."""
    made: dict[Measure, _Tell] = {}

    def hear(row: Measure, amount: float, labels: Labels) -> None:
        if row not in made:
            made[row] = _instrument(meter, row)
        made[row](amount, labels)

    return hear


def _instrument(meter: Meter, row: Measure) -> _Tell:
    words = {"unit": row.unit, "description": row.description}
    match row.kind:
        case "counter":
            return partial(_add, meter.create_counter(row.name, **words).add)
        case "up and down":
            return partial(_add, meter.create_up_down_counter(row.name, **words).add)
        case "gauge":
            return _gauge(meter, row)
        case "histogram":
            buckets = row.buckets
            histogram = meter.create_histogram(
                row.name, **words, explicit_bucket_boundaries_advisory=buckets
            )
            return partial(_add, histogram.record)


def _gauge(meter: Meter, row: Measure) -> _Tell:
    """One that keeps its values: the SDK's own forgets each once it was read."""
    values: dict[tuple[str, ...], Observation] = {}

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return list(values.values())

    def keep(value: float, labels: Labels) -> None:
        values[tuple(labels.values())] = Observation(value, dict(labels))

    meter.create_observable_gauge(row.name, [observe], row.unit, row.description)
    return keep


def _add(tell: Callable[..., None], amount: float, labels: Labels) -> None:
    tell(amount, attributes=dict(labels))
