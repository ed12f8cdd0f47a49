"""`runapi-mcp fleet check`: a visit to the servers of an address, from outside."""

import sys
from functools import partial
from typing import Final

import click

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.redaction import Secrets
from runapi_mcp.base.settings import Settings
from runapi_mcp.base.urls import is_http
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.findings_view import FindingsView
from runapi_mcp.cli.serve import load_settings
from runapi_mcp.cli.spinner import spinning
from runapi_mcp.fleet.fleet_check import FleetDiagnosis, check_fleet
from runapi_mcp.fleet.fleet_probes import open_probes
from runapi_mcp.fleet.probe_pass import ProbePass
from runapi_mcp.fleet.trial_picture import TrialPicture
from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section

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
    with spinning("asking the servers"):
        found = run_interruptible(partial(_ask, base_url, loaded, silent_seconds))
    findings = [*found.findings, *_draw(base_url, loaded, found, pay=pay)]
    diagnosis = Diagnosis((Section(base_url, findings=findings),))
    FindingsView(Secrets(loaded.fleet.hidden_words())).say_all(diagnosis)
    sys.exit(0 if diagnosis.is_fine else 1)


def _base_url(url: str) -> str:
    base_url = url.rstrip("/").removesuffix(_MCP_PATH).rstrip("/")
    if not is_http(base_url):
        raise Refused(f"{url!r} is no address.", "Write it as https://mcp.example.com.")
    return base_url


async def _ask(base_url: str, loaded: Settings, silent_seconds: float) -> FleetDiagnosis:
    async with open_probes(base_url, ProbePass(loaded.fleet.secrets)) as probes:
        return await check_fleet(probes, silent_seconds)


def _draw(base_url: str, loaded: Settings, found: FleetDiagnosis, *, pay: bool) -> list[Finding]:
    """What comes of a picture; nothing, where it would cost and nobody wants it."""
    key = _SANDBOX_KEY if found.is_sandbox else loaded.key.secret and loaded.key.reveal()
    if not (found.is_sandbox or pay) or not found.is_reached:
        return []
    if not key:
        raise NotConfigured("--pay needs a RunAPI API key.", "Set RUNAPI_API_KEY.")
    trial = TrialPicture(base_url, key)
    if not found.is_sandbox:
        _confirm(run_interruptible(trial.price_cents))
    with spinning("drawing a picture"):
        return [run_interruptible(trial.draw)]


def _confirm(price_cents: float | None) -> None:
    """
    Raises:
        Refused: nobody said yes.
    """
    price = "an unknown price" if price_cents is None else dollars(price_cents)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"--pay asks at a terminal before it pays {price}.", "Run it in one.")
    if not click.confirm(f"Draw one picture for {price}?", err=True):
        raise Refused("Nothing was drawn.", "Leave out --pay to look at the rest alone.")
