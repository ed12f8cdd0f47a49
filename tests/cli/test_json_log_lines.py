"""A log in JSON: an object a line, of fields from a list."""

import json
import logging
from collections.abc import Generator
from typing import Any, Final

import pytest

from runapi_mcp.base.request_secrets import add_secret
from runapi_mcp.cli.crashes import tell_crash
from runapi_mcp.cli.json_log_lines import JsonFormatter
from runapi_mcp.cli.log_lines import LONGEST_LINE, log_to_stderr

KEY: Final = "key-of-the-tests-0123456789"
FIELDS: Final = {"time", "level", "message", "logger", "replica"}


@pytest.fixture(autouse=True)
def _the_log_of_others() -> Generator[None]:
    """As it was before."""
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged, without what is said to a person."""
    lines = capsys.readouterr().err.splitlines()
    return [json.loads(line) for line in lines if not line.startswith("runapi-mcp: ")]


def test_only_fields_of_the_list_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr([KEY], JsonFormatter)
    logging.getLogger("a.room").warning("fine", extra={"task_id": "1", "prompt": "a fox"})
    [record] = records(capsys)
    assert record.keys() == FIELDS | {"task_id"}
    assert (record["level"], record["message"], record["logger"]) == ("warning", "fine", "a.room")


def test_whatever_is_logged_is_one_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr([KEY], JsonFormatter)
    add_secret("key-of-a-request-0123456789")
    logging.getLogger().error("no\n%s\x1b[2J key-of-a-request-0123456789", KEY)
    logging.getLogger().error("%s", "x" * 10 * LONGEST_LINE)
    first, second = records(capsys)
    assert "key-of" not in first["message"]
    assert not set(first["message"]) & {"\n", "\x1b"}
    assert len(second["message"]) <= LONGEST_LINE


def test_a_crash_stays_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr([KEY], JsonFormatter)
    tell_crash(ValueError("something unforeseen"))
    [record] = records(capsys)
    assert record["level"] == "critical"
    assert "something unforeseen" in record["message"]
