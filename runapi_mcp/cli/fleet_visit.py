"""`runapi-mcp fleet check`: a visit to the servers of an address, from outside."""

import sys
from functools import partial
from typing import Final

import click

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.redaction import Secrets
from runapi_mcp.base.settings import Settings
from runapi_mcp.base.urls import is_http, is_loopback
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.findings_view import FindingsView
from runapi_mcp.cli.serve import load_settings
from runapi_mcp.cli.spinner import spinning
from runapi_mcp.fleet.fleet_check import FleetDiagnosis, check_fleet
from runapi_mcp.fleet.fleet_probes import open_probes
from runapi_mcp.fleet.probe_pass import ProbePass
from runapi_mcp.fleet.trial_picture import NotAnswered, TrialPicture, undrawn
from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section, note

_SANDBOX_KEY: Final = "sandbox-key-of-fleet-check"
_MCP_PATH: Final = "/mcp"


def visit_fleet(url: str, silent_seconds: float, *, pay: bool) -> None:
    """Say what is wrong, and exit with what that comes to."""
    loaded = load_settings(sandbox=False)
    base_url = _base_url(url)
    if not loaded.fleet.secrets:
        raise NotConfigured(
            "The servers' probes open by their secret, and none is set here.",
            "Set RUNAPI_FLEET_SECRET, or RUNAPI_FLEET_SECRET_FILE, as the servers have it.",
        )
    if pay:
        _require_protected(base_url)
    with spinning("asking the servers"):
        found = run_interruptible(partial(_ask, base_url, loaded, silent_seconds))
    view = FindingsView(Secrets([*loaded.fleet.hidden_words(), *_keys(loaded)]))
    servers = Section(base_url, findings=[*found.findings])
    # Before anything is asked or refused: this took a minute.
    view.say_section(servers)
    picture = Section("A picture", findings=_draw(base_url, loaded, found, pay=pay))
    view.say_section(picture)
    diagnosis = Diagnosis((servers, picture))
    view.say_summary(diagnosis)
    sys.exit(0 if diagnosis.is_fine else 1)


def _base_url(url: str) -> str:
    base_url = url.rstrip("/").removesuffix(_MCP_PATH).rstrip("/")
    if not is_http(base_url):
        raise Refused(f"{url!r} is no address.", "Write it as https://mcp.example.com.")
    return base_url


def _require_protected(base_url: str) -> None:
    if base_url.lower().startswith("http:") and not is_loopback(base_url):
        raise Refused(f"{base_url} would carry your key unencrypted.", "Use https.")


def _keys(loaded: Settings) -> list[str]:
    return [loaded.key.reveal()] if loaded.key.secret else []


async def _ask(base_url: str, loaded: Settings, silent_seconds: float) -> FleetDiagnosis:
    async with open_probes(base_url, ProbePass(loaded.fleet.secrets)) as probes:
        return await check_fleet(probes, silent_seconds)


def _draw(base_url: str, loaded: Settings, found: FleetDiagnosis, *, pay: bool) -> list[Finding]:
    """What comes of a picture; nothing, where it would cost and nobody wants it."""
    if not found.is_reached:
        return []
    if found.is_sandbox:
        return [_drawn(TrialPicture(base_url, _SANDBOX_KEY))]
    if not pay:
        return []
    if not loaded.key.secret:
        raise NotConfigured("--pay needs a RunAPI API key.", "Set RUNAPI_API_KEY.")
    return [_paid(TrialPicture(base_url, loaded.key.reveal()))]


def _paid(trial: TrialPicture) -> Finding:
    try:
        price_cents = run_interruptible(trial.price_cents)
    except NotAnswered as failure:
        return undrawn(f"its price is not to be had: {failure}")
    if not _is_agreed(price_cents):
        return note("picture", "none was drawn, and nothing was paid")
    return _drawn(trial)


def _drawn(trial: TrialPicture) -> Finding:
    with spinning("drawing a picture"):
        return run_interruptible(trial.draw)


def _is_agreed(price_cents: float) -> bool:
    """
    Raises:
        Refused: there is nobody to ask.
    """
    price = dollars(price_cents)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(
            f"--pay asks at a terminal before it pays {price}, and nothing was paid.",
            "Run it in one.",
        )
    return click.confirm(f"Draw one picture for {price}, paid with your key?", err=True)
