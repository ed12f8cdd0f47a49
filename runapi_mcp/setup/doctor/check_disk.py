"""The ledger and the folder for pictures, judged without touching either."""

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runapi_mcp.base.days import is_readable
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.settings import Settings
from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger.sqlite.survey import LedgerSurvey
from runapi_mcp.orders.ledger.sqlite.unusable import Trouble
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, fine, note, problem, warning

LEAST_FREE_BYTES: Final = 200_000_000
_UNPAID: Final = "nothing is paid without the ledger, so nothing is drawn"
_UNSAVED: Final = "pictures that were paid cannot be saved"


def check_disk(settings: Settings | None, ledger: LedgerSurvey | None) -> Iterator[Finding]:
    """The places on the disk that an environment's settings name."""
    if settings is None or settings.sandbox:
        return
    yield from _ledger(settings, ledger)
    yield from _budget(settings)
    if settings.pictures.are_saved(is_local=True):
        yield from _pictures(settings)


def _ledger(settings: Settings, found: LedgerSurvey | None) -> Iterator[Finding]:
    if settings.ledger.locate is None:
        why = "a crash may lose a paid picture, and limits a day count for one process only"
        yield note("ledger", "RUNAPI_LEDGER is off", why, "unset RUNAPI_LEDGER")
        return
    try:
        path = settings.ledger.locate()
    except NotConfigured as failure:
        yield problem("ledger", failure.happened.rstrip("."), _UNPAID, _set("RUNAPI_LEDGER"))
        return
    if trouble := _folder_trouble(path.parent, "ledger", _UNPAID):
        yield trouble
    elif found and found.trouble == "replaced":
        yield _unusable_ledger(path, found.trouble)
    elif not path.exists():
        yield fine("ledger", f"the ledger will be made at {path}")
    elif not path.is_file():
        what = f"the ledger's place, {path}, is not a file"
        yield problem("ledger", what, _UNPAID, fix_commands.move_away(path))
    elif found and found.trouble:
        yield _unusable_ledger(path, found.trouble)
    elif found:
        yield fine("ledger", f"the ledger has {found.calls} calls, in {path}")


def _budget(settings: Settings) -> Iterator[Finding]:
    zone = settings.ledger.zone
    if zone is not None and not is_readable(zone):
        what = f"RUNAPI_BUDGET_TIMEZONE names {zone}, which is no time zone that is known here"
        yield warning(
            "budget",
            what,
            "the budget's days are those of UTC",
            "unset RUNAPI_BUDGET_TIMEZONE",
        )


def _unusable_ledger(path: Path, trouble: Trouble) -> Finding:
    quoted = shlex.quote(str(path))
    what, mend = {
        "no locks": ("is on a file system that does not lock files", _set("RUNAPI_LEDGER")),
        "replaced": ("was moved or deleted while servers have it open", f"lsof {quoted}*"),
        "locked": ("is kept locked by another program", f"lsof {quoted}"),
        "newer": ("is of a newer runapi-mcp", fix_commands.UPDATE_COMMAND),
        "read-only": ("cannot be read and written", f"chmod u+rw {quoted}"),
        "disk": ("cannot be read from its disk", f"df -h {quoted}"),
        "damaged": ("is damaged or no ledger", fix_commands.move_away(path)),
        "in the way": ("cannot be opened", fix_commands.look_at(path)),
    }[trouble]
    return problem("ledger", f"the ledger {path} {what}", _UNPAID, mend)


def _pictures(settings: Settings) -> Iterator[Finding]:
    try:
        folder = Folders(settings.pictures.output_dir, settings.pictures.input_dirs).output_folder
    except NotConfigured as failure:
        yield problem("pictures", failure.happened.rstrip("."), _UNSAVED, _set("RUNAPI_OUTPUT_DIR"))
        return
    if trouble := _folder_trouble(folder, "pictures", _UNSAVED):
        yield trouble
        return
    free_bytes = shutil.disk_usage(_nearest(folder)).free
    if free_bytes < LEAST_FREE_BYTES:
        what = f"{free_bytes / 1e6:.0f} MB are free for pictures in {folder}"
        yield warning("pictures", what, _UNSAVED, f"df -h {_nearest(folder)}")
    else:
        yield fine("pictures", f"pictures go to {folder}, {free_bytes / 1e9:.0f} GB free")


def _set(name: str) -> str:
    return f"export {name}=/path/of/your/own"


def _folder_trouble(folder: Path, check: str, why: str) -> Finding | None:
    nearest = _nearest(folder)
    if not nearest.is_dir():
        what = f"{nearest} is a file, where a folder is needed"
        return problem(check, what, why, fix_commands.move_away(nearest))
    if not os.access(nearest, os.W_OK | os.X_OK):
        what = f"{folder} cannot be written"
        return problem(check, what, why, fix_commands.make_writable(folder))
    return None


def _nearest(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
