"""A board for Grafana, of the measures that the program has."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from publishing.json_file import as_json
from publishing.project import Project
from runapi_mcp.base.identity import TITLE

PATH: Final = "deploy/grafana/runapi-mcp.json"
_COLUMNS: Final = 3
_WIDTH: Final = 24 // _COLUMNS
_HEIGHT: Final = 8


class _Panel(NamedTuple):
    title: str
    unit: str
    """As Grafana names it."""
    queries: Mapping[str, str]
    """By what the legend says."""


def _rate(series: str, by: str) -> str:
    return f"sum by ({by}) (rate({series}[$__rate_interval]))"


def _p99(series: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    buckets = f"rate({series}_bucket[$__rate_interval])"
    return f"histogram_quantile(0.99, sum by ({labels}) ({buckets}))"


_PANELS: Final[Sequence[_Panel]] = (
    _Panel("Pictures", "ops", {"{{outcome}}": _rate("runapi_pictures_total", "outcome")}),
    _Panel("Calls", "ops", {"{{outcome}}": _rate("runapi_calls_total", "outcome")}),
    _Panel(
        "Money, US cents in an hour",
        "short",
        {"{{kind}}": "sum by (kind) (increase(runapi_money_total[1h]))"},
    ),
    _Panel("Calls under way", "short", {"{{stage}}": "sum by (stage) (runapi_stages)"}),
    _Panel("Done before it was seen, p99", "s", {"lag": _p99("runapi_wait_lag_seconds")}),
    _Panel(
        "Requests of clients, p99",
        "s",
        {"{{mcp_method_name}}": _p99("mcp_server_operation_duration_seconds", "mcp_method_name")},
    ),
    _Panel(
        "Doubts",
        "short",
        {"open": "max(runapi_doubts)", "oldest, minutes": "max(runapi_doubts_age_seconds) / 60"},
    ),
    _Panel(
        "Charged and not delivered",
        "short",
        {
            "pictures": "max(runapi_undelivered)",
            "oldest, minutes": "max(runapi_undelivered_age_seconds) / 60",
        },
    ),
    _Panel("Callbacks", "ops", {"{{result}}": _rate("runapi_callbacks_total", "result")}),
    _Panel(
        "RunAPI, requests",
        "reqps",
        {
            "{{operation}} {{outcome}}": _rate(
                "runapi_client_request_duration_seconds_count", "operation, outcome"
            )
        },
    ),
    _Panel(
        "RunAPI, p99",
        "s",
        {"{{operation}}": _p99("runapi_client_request_duration_seconds", "operation")},
    ),
    _Panel(
        "Waiting for a turn of the key",
        "short",
        {
            "{{kind}}": "sum by (kind) (runapi_pace_queue)",
            "p99 s, {{kind}}": _p99("runapi_pace_wait_seconds", "kind"),
            "429 a second": "sum(rate(runapi_pace_pauses_total[$__rate_interval]))",
        },
    ),
    _Panel(
        "Ledger, p99", "s", {"{{operation}}": _p99("runapi_ledger_duration_seconds", "operation")}
    ),
    _Panel(
        "Ledger: up, and counters that differ",
        "short",
        {"up": "min(runapi_ledger_up)", "counters": "max(runapi_ledger_drift)"},
    ),
    _Panel(
        "Connections to the database",
        "short",
        {
            "{{state}}": "sum by (state) (runapi_pool)",
        },
    ),
    _Panel("Memory", "bytes", {"{{instance}}": 'process_resident_memory_bytes{job=~"$job"}'}),
    _Panel(
        "CPU",
        "short",
        {"{{instance}}": 'rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])'},
    ),
    _Panel("Leaving", "short", {"replicas": "sum(runapi_draining)"}),
)


def files(project: Project) -> Mapping[str, str]:
    board = {
        "title": TITLE,
        "uid": project.package,
        "schemaVersion": 41,
        "tags": [project.package],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [_SOURCE, _JOB]},
        "panels": [_panel(number, panel) for number, panel in enumerate(_PANELS)],
    }
    return {PATH: as_json(board)}


_SOURCE: Final = {
    "name": "source",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
}
_JOB: Final = {
    "name": "job",
    "label": "Job",
    "type": "query",
    "datasource": {"type": "prometheus", "uid": "$source"},
    "query": "label_values(runapi_ledger_up, job)",
    "includeAll": True,
    "multi": True,
}


def _panel(number: int, panel: _Panel) -> dict[str, object]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": {"type": "prometheus", "uid": "$source"},
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }
