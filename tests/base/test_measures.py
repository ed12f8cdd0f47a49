"""What is measured: rows whose labels come from closed sets."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.base import measures
from runapi_mcp.base.measures import ROWS, Measure, listening

rows = st.sampled_from(ROWS)
labels = st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5)


@given(st.lists(st.tuples(rows, labels, st.text(max_size=50)), max_size=30))
def test_no_label_has_a_value_that_its_row_does_not_know(
    told: list[tuple[Measure, dict[str, str], str]],
) -> None:
    heard: list[tuple[Measure, Mapping[str, str]]] = []
    with listening(lambda row, _, given: heard.append((row, given))):
        for row, extra, value in told:
            row.tell(1, {**extra, **dict.fromkeys(row.labels, value)})
    assert len(heard) == len(told)
    for row, told_of in heard:
        assert told_of.keys() == row.labels.keys()
        assert all(each in row.labels[name] | {measures.OTHER} for name, each in told_of.items())


def test_every_row_has_few_series_and_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        series = 1
        for values in row.labels.values():
            series *= len(values) + 1
        assert series <= 100, row.name


def test_nobody_hears_what_is_told_after_he_stopped_listening() -> None:
    heard: list[float] = []
    with listening(lambda _, amount, __: heard.append(amount)):
        measures.DRAINING.set(1)
    measures.DRAINING.set(0)
    assert heard == [1]
