"""What the `RUNAPI_*` and `RUNFLOW_*` variables and RunAPI's config file say. The only room that
reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from runapi_mcp.base.errors import LedgerUnusable, NotConfigured
from runapi_mcp.base.settings import values
from runapi_mcp.base.settings.config_file import config_location, config_path, read_config
from runapi_mcp.base.settings.fleet import FleetSettings, read_fleet
from runapi_mcp.base.settings.http_caps import HttpCaps, read_caps
from runapi_mcp.base.settings.keys import (
    KEY_PAGE,
    Key,
    find_key,
    parse_key,
    require_same_trust,
)
from runapi_mcp.base.settings.names import misspelt_names, require_no_limit
from runapi_mcp.base.settings.runflow_settings import RunflowSettings, read_runflow
from runapi_mcp.base.settings.values import BASE_URL_NAME, DEFAULT_BASE_URL, check_url
from runapi_mcp.base.settings.waiting_caps import WaitingCaps, read_waiting_caps

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BASE_URL_NAME",
    "DEFAULT_BASE_URL",
    "KEEP_DAYS",
    "KEY_PAGE",
    "LONGEST_WAIT_SECONDS",
    "OUTPUT_DIR",
    "FleetSettings",
    "HttpCaps",
    "Key",
    "LimitSettings",
    "RunflowSettings",
    "Settings",
    "WaitingCaps",
    "are_saved",
    "check_url",
    "config_path",
    "key_now",
    "load",
    "parse_key",
    "read_config",
    "sandbox_environment",
]

KEEP_DAYS: Final = 90.0
MOST_DAYS: Final = 36_500
LONGEST_WAIT_SECONDS: Final = 600
OUTPUT_DIR: Final = "RUNAPI_OUTPUT_DIR"
_LEDGER_NAME: Final = "ledger.sqlite3"
_LEDGER_ADVICE: Final = (
    "Set RUNAPI_LEDGER to an absolute path, or RUNAPI_LEDGER=off to pay without a ledger."
)


class LimitSettings(NamedTuple):
    """The user's limits in US cents; None where there is none."""

    per_call_cents: float | None = None
    per_day_cents: float | None = None
    confirm_over_cents: float | None = None
    """A dearer call is made only after a person said yes."""


class LedgerSettings(NamedTuple):
    locate: Callable[[], Path] | None
    """Tells its path, when that is needed; None for no ledger on the disk."""
    keep_days: float
    keep_prompts: bool
    zone: str | None
    """By whose calendar a day of the budget begins; None for this machine's."""


class PictureSettings(NamedTuple):
    output_dir: Path | None
    """None for the usual places."""
    save: bool | None
    """None for saving only where the host runs on this machine too."""
    preview: bool
    """Whether answers may carry a small picture."""
    input_dirs: tuple[Path, ...]
    """Where local images may be taken from, besides the usual places."""
    sidecars: bool | None
    """Whether a JSON is kept beside each picture; None for not in a project."""

    def are_saved(self, *, is_local: bool) -> bool:
        """Whether the pictures of callers on this machine, or elsewhere, are saved here."""
        return are_saved(save=self.save, is_local=is_local)


class Settings(NamedTuple):
    base_url: str
    key: Key
    runflow: RunflowSettings | None
    """None where only RunAPI sells."""
    variants: tuple[str, ...] | None
    """Tiers and model ids to offer; None for all."""
    limits: LimitSettings
    ledger: LedgerSettings
    pictures: PictureSettings
    http: HttpCaps
    fleet: FleetSettings
    waiting: WaitingCaps
    wait_seconds: int | None
    """How long a call waits that does not say; None for as long as its host allows."""
    mcp_tasks: bool
    front: bool
    """Whether what hosts ask at the start may be answered before the SDK is imported."""
    sandbox: bool
    sandbox_draw_seconds: float | None
    """How long the sandbox takes for a picture; None for as long as life does."""
    warnings: tuple[str, ...]
    """What a person should hear at the start: a broken file, a template left unfilled."""

    @property
    def uses_database(self) -> bool:
        """Whether the ledger is in PostgreSQL. Practice leaves no trace among what was paid."""
        return self.fleet.database_url is not None and not self.sandbox


def load(environ: Mapping[str, str] | None = None, *, sandbox: bool = False) -> Settings:
    """The settings of this process; in the sandbox, asked for here or there, no address is needed.

    Raises:
        NotConfigured: a value that cannot be used, named with what is allowed.
    """
    environ = os.environ if environ is None else environ
    misspelt = list(misspelt_names(environ))
    require_no_limit(misspelt)
    file, broken = read_config(config_location(environ))
    key, key_warnings = find_key(environ, file, broken)
    runflow, runflow_warnings = read_runflow(environ)
    sandbox = sandbox or values.switch(environ, "RUNAPI_SANDBOX", default=False)
    wait_seconds = values.number(environ, "RUNAPI_WAIT_SECONDS", "seconds", LONGEST_WAIT_SECONDS)
    unknown_zone = values.unknown_zone(environ)
    fleet = read_fleet(environ)
    base_url = DEFAULT_BASE_URL if sandbox else values.runapi_url(environ, file)
    return Settings(
        base_url=base_url,
        key=require_same_trust(key, base_url, file),
        runflow=runflow,
        variants=values.names(environ, "RUNAPI_VARIANTS"),
        limits=_limits(environ),
        ledger=_ledger(environ, fleet, sandbox=sandbox),
        pictures=_pictures(environ),
        http=read_caps(environ),
        fleet=fleet,
        waiting=read_waiting_caps(environ),
        wait_seconds=None if wait_seconds is None else int(wait_seconds),
        mcp_tasks=values.switch(environ, "RUNAPI_MCP_TASKS", default=True),
        front=values.switch(environ, "RUNAPI_MCP_FRONT", default=True),
        sandbox=sandbox,
        sandbox_draw_seconds=values.number(environ, "RUNAPI_SANDBOX_DRAW_SECONDS", "seconds", 3600),
        warnings=(
            *filter(None, [broken, unknown_zone]),
            *key_warnings,
            *runflow_warnings,
            *map(str, misspelt),
        ),
    )


def key_now(base_url: str, environ: Mapping[str, str] | None = None) -> Key:
    """The key for an address as the environment and the config file have it at this moment.

    A server asks at every call, so that a login or logout elsewhere needs no restart.
    """
    environ = os.environ if environ is None else environ
    key, _ = find_key(environ, {}, None)
    if key.from_environment:
        return key
    file, broken = read_config(config_location(environ))
    return require_same_trust(find_key(environ, file, broken)[0], base_url, file)


def are_saved(*, save: bool | None, is_local: bool) -> bool:
    """Whether pictures are saved here; where nobody says, those of callers on this machine are."""
    return is_local if save is None else save


def sandbox_environment() -> dict[str, str]:
    """What a server started for practice may inherit: how the sandbox behaves, where pictures go,
    and no key."""
    inherited = ("RUNAPI_SANDBOX", OUTPUT_DIR)
    return {name: value for name, value in os.environ.items() if name.startswith(inherited)}


def _limits(environ: Mapping[str, str]) -> LimitSettings:
    return LimitSettings(
        per_call_cents=values.cents(environ, "RUNAPI_MAX_COST_PER_CALL"),
        per_day_cents=values.cents(environ, "RUNAPI_DAILY_BUDGET"),
        confirm_over_cents=values.cents(environ, "RUNAPI_CONFIRM_OVER"),
    )


def _pictures(environ: Mapping[str, str]) -> PictureSettings:
    output_dirs = values.folders(environ, OUTPUT_DIR)
    if len(output_dirs) > 1:
        raise NotConfigured(f"{OUTPUT_DIR} names several folders.", "Name one.")
    return PictureSettings(
        output_dir=next(iter(output_dirs), None),
        save=values.choice(environ, "RUNAPI_SAVE"),
        preview=values.switch(environ, "RUNAPI_PREVIEW", default=True),
        input_dirs=values.folders(environ, "RUNAPI_INPUT_DIRS"),
        sidecars=values.choice(environ, "RUNAPI_SIDECAR"),
    )


def _ledger(environ: Mapping[str, str], fleet: FleetSettings, *, sandbox: bool) -> LedgerSettings:
    where = values.stated(environ, "RUNAPI_LEDGER")
    if where is not None and fleet.database_url is not None:
        raise NotConfigured(
            "RUNAPI_LEDGER and the database's address both say where the ledger is.",
            "Unset one of them.",
        )
    off = where is not None and where.lower() in values.OFF
    if where is not None and where.lower() in values.ON:
        where = None
    # Where a home is, is looked for when the ledger is needed.
    if where is not None and not off and not where.startswith("~"):
        from pathlib import Path

        values.require_absolute("RUNAPI_LEDGER", Path(where))
    if off and not sandbox and values.stated(environ, "RUNAPI_DAILY_BUDGET"):
        raise NotConfigured(
            "RUNAPI_DAILY_BUDGET needs the ledger, and RUNAPI_LEDGER turns it off.",
            "Unset one of them.",
        )
    return LedgerSettings(
        # Practice leaves no trace among what was really paid.
        locate=None if off or sandbox else partial(_ledger_path, where),
        keep_days=values.number(environ, "RUNAPI_LEDGER_DAYS", "days", MOST_DAYS, least=1)
        or KEEP_DAYS,
        keep_prompts=values.switch(environ, "RUNAPI_LEDGER_PROMPTS", default=True),
        zone=values.stated(environ, values.ZONE),
    )


def _ledger_path(where: str | None) -> Path:
    # Imported here, because every start would pay for it.
    from pathlib import Path

    from platformdirs import user_state_path

    try:
        path = Path(where).expanduser() if where else user_state_path("runapi-mcp") / _LEDGER_NAME
        os.fsencode(path)
    except (RuntimeError, UnicodeEncodeError) as error:
        raise LedgerUnusable(f"The ledger cannot be found: {error}.", _LEDGER_ADVICE) from error
    # Without a home, what was to be below it is below wherever a host starts the server.
    if not path.is_absolute():
        raise LedgerUnusable("The ledger cannot be found: this user has no home.", _LEDGER_ADVICE)
    return path
