"""The tool that gets a key: it begins a login, says where, and does not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import MISSING, Field

from runapi_mcp.base.errors import KeyRejected, Refused
from runapi_mcp.base.settings import KEY_PAGE
from runapi_mcp.login import LOGIN_SECONDS, PendingLogins
from runapi_mcp.providers.port import Provider
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import SANDBOX_NOTICE, Facts
from runapi_mcp.tools.tool import Caller, Link, RawArguments, Tool, ToolResult

if TYPE_CHECKING:
    from runapi_mcp.login.login_flow import Login

_MINUTES: Final = f"{LOGIN_SECONDS / 60:.0f} minutes"


class LoginFacts(Facts):
    """Whether the server has a key that works; if not, how a person gives it one."""

    status: Literal["logged_in", "waiting"]
    address: str | MISSING = Field(
        default=MISSING, description="Where the user approves the login."
    )
    code: str | MISSING = Field(default=MISSING, description="The code that page must show.")
    last_login: str | MISSING = Field(default=MISSING, description="How the one before it ended.")
    next: str
    notice: str | MISSING = MISSING


async def _run(caller: Caller, raw: RawArguments) -> ToolResult:
    accept(raw)
    if caller.logins is None:
        raise Refused(
            "Over HTTP each request brings its own API key, so this server logs nobody in.",
            f"Create a key at {KEY_PAGE} and send it as the header Authorization: Bearer KEY.",
        )
    return await _logged_in(caller.sellers.runapi) or await _begin(caller.logins)


async def _logged_in(provider: Provider) -> ToolResult | None:
    if not provider.has_key:
        return None
    try:
        balance = await provider.balance()
    except KeyRejected:
        return None
    facts = LoginFacts(
        status="logged_in",
        next="The other tools can be used; check_balance shows the account's credit.",
        notice=SANDBOX_NOTICE if balance.sandbox else MISSING,
    )
    return ToolResult(facts)


async def _begin(logins: PendingLogins) -> ToolResult:
    login = await logins.begin()
    facts = LoginFacts(
        status="waiting",
        address=login.address,
        code=login.display_code,
        last_login=MISSING if logins.last_end is None else logins.last_end,
        next=_next(login),
    )
    message = f"Log in to RunAPI. The page must show the code {login.display_code}."
    return ToolResult(facts, link=Link(login.address, message, logins.withdraw))


def _next(login: Login) -> str:
    return (
        f"The user opens the address within {_MINUTES}, in a browser on {login.hostname} itself, "
        "compares the code and approves. The next call of any tool then has the key. Where no "
        "browser runs on that machine, `runapi-mcp login` in a terminal there names other ways."
    )


LOGIN: Final = Tool(
    name="login",
    title="RunAPI: log in",
    description="Get an API key in a browser when a call says that there is none.",
    effect="changes",
    inputs=(),
    output=LoginFacts,
    run=_run,
)
