"""What the `RUNAPI_*` variables and RunAPI's config file say. The only room that reads them."""

from runapi_mcp.base.settings.config_file import config_path
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.base.settings.keys import KEY_PAGE, Key, parse_key
from runapi_mcp.base.settings.settings import (
    KEEP_DAYS,
    LONGEST_WAIT_SECONDS,
    LimitSettings,
    Settings,
    key_now,
    load,
    sandbox_environment,
)
from runapi_mcp.base.settings.values import DEFAULT_BASE_URL

__all__ = [
    "DEFAULT_BASE_URL",
    "KEEP_DAYS",
    "KEY_PAGE",
    "LONGEST_WAIT_SECONDS",
    "Key",
    "KeyFile",
    "LimitSettings",
    "Settings",
    "config_path",
    "key_now",
    "load",
    "parse_key",
    "sandbox_environment",
]
