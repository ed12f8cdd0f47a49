"""What is logged as JSON: an object a line, of fields from a list and no others."""

import json
import logging
import socket
import sys
from datetime import UTC, datetime
from typing import Final

from runapi_mcp.cli.log_lines import LineFormatter

OPTIONAL_FIELDS: Final = ("task_id",)
"""What a record may bring as `extra`; whatever else it brings is left out."""


class JsonFormatter(LineFormatter):
    """Its `message` is the line that there would be without JSON: escaped, cut, without secrets."""

    shape = "%(message)s"

    def format(self, record: logging.LogRecord) -> str:
        given = {name: str(value) for name in OPTIONAL_FIELDS if (value := vars(record).get(name))}
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": super().format(record),
            "logger": record.name,
            "replica": socket.gethostname(),
            **given,
            **_trace_fields(),
        }
        return json.dumps(fields)


def _trace_fields() -> dict[str, str]:
    """Of the span that it is logged in; none, where nobody traces."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
