"""Runflow's key and address: a second vendor, which is there only with a key in the environment."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.settings.keys import Key, parse_key
from runapi_mcp.base.settings.values import check_url, stated

RUNFLOW_KEY_NAME: Final = "RUNFLOW_API_KEY"
RUNFLOW_URL_NAME: Final = "RUNFLOW_BASE_URL"
RUNFLOW_URL: Final = "https://api.runflow.io"


class RunflowSettings(NamedTuple):
    base_url: str
    key: Key


def read_runflow(environ: Mapping[str, str]) -> tuple[RunflowSettings | None, tuple[str, ...]]:
    """What is set, and what a person should hear of it; None without a key.

    Raises:
        NotConfigured: there is a key, and its address cannot be one.
    """
    given = environ.get(RUNFLOW_KEY_NAME, "")
    if not given.strip():
        return None, ()
    key = parse_key(given, RUNFLOW_KEY_NAME)
    if key.missing is not None:
        return None, (key.missing.happened,)
    url = (stated(environ, RUNFLOW_URL_NAME) or RUNFLOW_URL).rstrip("/")
    return RunflowSettings(check_url(url, "Runflow", RUNFLOW_URL_NAME, RUNFLOW_URL), key), ()
