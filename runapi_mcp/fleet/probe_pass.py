"""What opens the fleet's probes: a moment, signed with the secret that all servers have."""

import hmac
import time
from collections.abc import Sequence
from typing import Final

from runapi_mcp.base.secret import SecretStr

PASS_HEADER: Final = "X-Fleet-Pass"  # noqa: S105 - a header's name
LIFETIME_SECONDS: Final = 600
"""How far a pass may be off: what the probes tell is no secret worth more."""


class ProbePass:
    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        """The first of the secrets signs, all verify."""
        self._secrets = tuple(secret.get_secret_value().encode() for secret in secrets)

    def issue(self) -> str:
        moment = str(int(time.time()))
        return f"{moment}.{_signature(self._secrets[0], moment)}"

    def opens(self, given: str) -> bool:
        moment, _, signature = given.partition(".")
        if not (given.isascii() and moment.isdigit() and len(moment) < 12):
            return False
        fits = [hmac.compare_digest(signature, _signature(each, moment)) for each in self._secrets]
        return any(fits) and abs(time.time() - int(moment)) <= LIFETIME_SECONDS


def _signature(secret: bytes, moment: str) -> str:
    # Named, so that no other signature of the secret is one of these.
    return hmac.new(secret, f"probe {moment}".encode(), "sha256").hexdigest()
