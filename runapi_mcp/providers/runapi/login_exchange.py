"""The end of a browser login: what the browser brought back, exchanged for a key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runapi_mcp.base.json_values import as_object, as_text
from runapi_mcp.base.settings import Key, given_key
from runapi_mcp.providers.runapi.messages import Reply, Request, Send


@dataclass(frozen=True, slots=True)
class Grant:
    """What proves that the login is ours: the code, and the verifier behind its challenge."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_port: int
    hostname: str

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"X-CLI-Hostname": self.hostname}

    def request(self) -> Request:
        body = {
            "code": self.code,
            "code_verifier": self.verifier,
            "redirect_port": self.redirect_port,
        }
        return Request("POST", "/api/v1/cli/exchange", body=body, headers=self._headers)


@dataclass(frozen=True, slots=True)
class Granted:
    """The key, and whose it is as far as RunAPI says so."""

    key: Key
    name: str | None
    email: str | None


async def exchanged(send: Send, grant: Grant) -> Granted:
    """What RunAPI gives for the grant; a key that cannot be one is said to be missing.

    Raises:
        RunapiFailure: RunAPI refused, failed or could not be reached.
    """
    # Understood afterwards: a code works once, so an odd answer is not worth a second try.
    reply = await send(grant.request(), _whole)
    user = as_object(reply.body.get("user"))
    return Granted(
        key=given_key(as_text(reply.body.get("key")) or "", "RunAPI's answer"),
        name=as_text(reply.body.get("name")),
        email=as_text(user.get("email")),
    )


def _whole(reply: Reply) -> Reply:
    return reply
