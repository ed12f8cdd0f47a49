"""Getting a key through the browser, into RunAPI's config file. Knows no tools, no MCP.

Light to import: a server loads `login.login` when somebody logs in.
"""

from runapi_mcp.login.pending_login import LOGIN_SECONDS, PendingLogins, pending_logins

__all__ = ["LOGIN_SECONDS", "PendingLogins", "pending_logins"]
