"""Browser logins of the sandbox: what was approved, and the key it is exchanged for, once."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from runapi_mcp.sandbox.requests import KEY_PREFIX

CODE_SECONDS: Final = 300.0
"""How long a code can be exchanged."""
_RULES: Final[Mapping[str, re.Pattern[str]]] = {
    "state": re.compile(r"[\x21-\x7e]{16,256}"),
    "code_challenge": re.compile(r"[A-Za-z0-9_-]{43}"),
    "code_challenge_method": re.compile(r"S256"),
    "redirect_port": re.compile(r"[1-9][0-9]{0,4}"),
    "display_code": re.compile(r"[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}"),
    "hostname": re.compile(r"[^\x00-\x1f\x7f]{1,255}"),
}
_LARGEST_PORT: Final = 65_535


class BadLogin(ValueError):
    """A login that cannot be shown or exchanged. `str()` says why."""


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A login that a program asks for, its fields as they came and known to be well-formed."""

    fields: Mapping[str, str]

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "LoginRequest":
        """
        Raises:
            BadLogin: a field is missing or malformed.
        """
        for name, rule in _RULES.items():
            if not rule.fullmatch(fields.get(name, "")):
                raise BadLogin(f"{name} is missing or malformed")
        if int(fields["redirect_port"]) > _LARGEST_PORT:
            raise BadLogin("redirect_port is missing or malformed")
        return cls({name: fields[name] for name in _RULES})

    @property
    def callback(self) -> str:
        return f"http://127.0.0.1:{self.fields['redirect_port']}/callback"


@dataclass(frozen=True, slots=True)
class _Approved:
    challenge: str
    port: int
    hostname: str
    until: float


class LoginStore:
    """The approved logins that nobody has exchanged yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._approved: dict[str, _Approved] = {}

    def approve(self, asked: LoginRequest) -> str:
        """The code that the browser brings back."""
        code = secrets.token_urlsafe(32)
        fields, until = asked.fields, self._clock() + CODE_SECONDS
        port, hostname = int(fields["redirect_port"]), fields["hostname"]
        self._approved[code] = _Approved(fields["code_challenge"], port, hostname, until)
        return code

    def exchange(self, body: Mapping[str, object]) -> dict[str, object]:
        """The key, with the name it is listed under.

        Raises:
            BadLogin: the code is unknown, used, too old, or of another program.
        """
        approved = self._approved.pop(str(body.get("code")), None)
        if approved is None or self._clock() > approved.until:
            raise BadLogin("The code is unknown, used or expired")
        if body.get("redirect_port") != approved.port:
            raise BadLogin("redirect_port is not the one of this login")
        if _challenge(body.get("code_verifier")) != approved.challenge:
            raise BadLogin("code_verifier does not match the challenge")
        key = KEY_PREFIX + secrets.token_urlsafe(24)
        user = {"email": "sandbox@example.com"}
        return {"key": key, "name": f"CLI on {approved.hostname}", "user": user}


def _challenge(verifier: object) -> str:
    text = verifier if isinstance(verifier, str) else ""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
