"""What `deploy/` watches is what the program tells, and its servers may leave in peace."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from publishing.measures_table import ALL_ROWS, series_name
from runapi_mcp.base.measures import listening
from runapi_mcp.telemetry.instruments import SCOPE, instruments

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
SERIES: Final = re.compile(r"\b(?:runapi|mcp_server)_[a-z_]+\b")
LABELLED: Final = re.compile(r'(\w+)(?:=~|=|!=)"([^"$]*)"')


def read(name: str) -> Any:
    return YAML(typ="safe").load(DEPLOY / name)  # pyright: ignore[reportUnknownMemberType] - it has no types


def expressions() -> Iterator[str]:
    for group in read("prometheus/alerts.yaml")["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    board = json.loads((DEPLOY / "grafana" / "runapi-mcp.json").read_text("utf-8"))
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def told_series() -> set[str]:
    """What the exporter calls each row that was told."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with listening(instruments(provider.get_meter(*SCOPE))):
        for row in ALL_ROWS:
            row.tell(1, {name: min(values) for name, values in row.labels.items()})
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = {sample.name for family in families for sample in family.samples}
    provider.shutdown()
    return samples


def test_a_series_is_called_what_the_table_calls_it() -> None:
    samples = told_series()
    for row in ALL_ROWS:
        name = series_name(row)
        assert (f"{name}_bucket" if row.kind == "histogram" else name) in samples


@pytest.mark.parametrize("expression", list(expressions()))
def test_what_is_watched_is_told(expression: str) -> None:
    told = told_series()
    assert set(SERIES.findall(expression)) - {"mcp_method_name"} <= told
    values = {value for row in ALL_ROWS for each in row.labels.values() for value in each}
    for name, wanted in LABELLED.findall(expression):
        if name != "job":
            assert set(wanted.split("|")) <= values


def test_a_server_has_longer_to_leave_than_it_takes() -> None:
    compose = read("compose/compose.yaml")
    assert int(compose["services"]["runapi"]["stop_grace_period"].removesuffix("s")) > 60
    pod = read("kustomize/base/deployment.yaml")["spec"]["template"]["spec"]
    [drain] = [each for each in pod["containers"][0]["args"] if each.startswith("--drain-seconds=")]
    assert pod["terminationGracePeriodSeconds"] > int(drain.partition("=")[2])
