"""The addresses at which RunAPI calls back: each names one picture, and is signed by the fleet."""

import hmac
from collections.abc import Sequence
from typing import Final

from runapi_mcp.base.secret import SecretStr

CALLBACKS_PATH: Final = "/callbacks/"
_SIGNATURE_CHARACTERS: Final = 32
_LONGEST_KEY: Final = 64


class CallbackAddresses:
    def __init__(self, public_url: str, secrets: Sequence[SecretStr]) -> None:
        """The first of the secrets signs, all verify."""
        self._prefix = public_url + CALLBACKS_PATH
        self._secrets = tuple(secret.get_secret_value().encode() for secret in secrets)

    def address_of(self, key: str) -> str:
        """Where to call back about the picture that is ordered under a key."""
        return f"{self._prefix}{key}.{_signature(self._secrets[0], key)}"

    def key_at(self, path: str) -> str | None:
        """The key that a path, as seen by the server, names; None where it was not made by us."""
        key, _, signature = path.removeprefix(CALLBACKS_PATH).partition(".")
        if len(key) > _LONGEST_KEY or not signature.isascii():
            return None
        # Each is compared whole, and with all: how long it takes tells nothing.
        fits = [hmac.compare_digest(signature, _signature(each, key)) for each in self._secrets]
        return key if any(fits) else None


def _signature(secret: bytes, key: str) -> str:
    # Named, so that no other signature of the secret is one of these.
    text = f"callback {key}".encode()
    return hmac.new(secret, text, "sha256").hexdigest()[:_SIGNATURE_CHARACTERS]
