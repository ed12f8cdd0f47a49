"""What --fix does: only what is safe, and each of it said."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runapi_mcp.doctor.findings import Chapter, Report
from runapi_mcp.doctor.hiding import Secrets
from runapi_mcp.errors import Failure
from runapi_mcp.hosts.entries import Wish
from runapi_mcp.hosts.installing import carried_out, installed
from runapi_mcp.hosts.receipts import Receipts
from runapi_mcp.hosts.starting import Program, command_of
from runapi_mcp.hosts.table import host_named
from runapi_mcp.settings import config_path


@dataclass(frozen=True, slots=True)
class Mended:
    """One thing that --fix did, or could not do."""

    what: str
    diff: str = ""
    worked: bool = True


def mended(
    report: Report, receipts: Receipts, secrets: Secrets, show: Callable[[str], None]
) -> list[Mended]:
    """Mends what can be mended safely. `show` is given each diff before it is written."""
    done: list[Mended] = []
    for chapter in report.chapters:
        remedies = {found.remedy for found in chapter.findings}
        if "protect" in remedies:
            done.append(_protected())
        if "install" in remedies and chapter.scope == "user":
            done.append(_installed(chapter, receipts, secrets, show))
    return done


def _protected() -> Mended:
    path = config_path(os.environ)
    if path is None:
        return Mended("the config file is not to be found", worked=False)
    try:
        path.chmod(0o600)
    except OSError as error:
        return Mended(f"{path} stays open to others: {error.strerror}", worked=False)
    return Mended(f"{path} is yours alone now")


def _installed(
    chapter: Chapter, receipts: Receipts, secrets: Secrets, show: Callable[[str], None]
) -> Mended:
    host = host_named(chapter.host)
    wish = Wish(command_of(Program(sys.executable, Path(sys.prefix), os.environ)))
    try:
        with receipts.alone():
            change = installed(host, Path(chapter.where), wish, receipts)
            diff = secrets.hidden(change.diff())
            show(diff)
            backup = carried_out(change, receipts)
    except Failure as failure:
        return Mended(f"{host.title} stays as it is: {failure}", worked=False)
    kept = f"; as it was: {backup}" if backup else ""
    return Mended(f"{host.title}: {change.outcome}, {chapter.where}{kept}", diff)
