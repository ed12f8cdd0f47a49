"""A crash as it is told: in one line of the log, and with where to report it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from runapi_mcp.base.identity import ISSUES
from runapi_mcp.cli.log_lines import log_to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_STATUS: Final = 70
"""EX_SOFTWARE of sysexits.h."""
_REPORT: Final = (
    f"This is a fault of runapi-mcp. Please report it, with the line above, at {ISSUES}."
)

logger = logging.getLogger(__name__)


def tell_crash(error: BaseException) -> None:
    """On stderr, like any record: Python itself would print keys and escapes as they come."""
    log_to_stderr([*_secrets_at_hand()])
    logger.critical("crashed", exc_info=error)
    click.echo(f"runapi-mcp: {_REPORT}", err=True)


def log_crashes_beside() -> None:
    """From here on, what crashes and ends nothing, a thread or a finaliser, is logged."""
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def _log_thread(crash: threading.ExceptHookArgs) -> None:
    logger.error("a thread crashed", exc_info=crash.exc_value)


def _log_unraisable(crash: sys.UnraisableHookArgs) -> None:
    logger.error("%s", crash.err_msg or "ignored", exc_info=crash.exc_value)


def _secrets_at_hand() -> Iterator[str]:
    from runapi_mcp.base.redaction import secrets_in
    from runapi_mcp.base.settings import config_path, read_config

    yield from secrets_in(dict(os.environ))
    # A home that cannot be found must not hide the crash.
    with suppress(Exception):
        yield from secrets_in(read_config(config_path(os.environ))[0])
