"""One attempt to log in: its secrets, its address, the code that a person compares."""

from __future__ import annotations

import base64
import hashlib
import platform
import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

SECRET_BYTES: Final = 32
LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for one another."""
LONGEST_HOSTNAME: Final = 64


@dataclass(frozen=True, slots=True)
class Attempt:
    """What only this attempt knows. Its address tells the state and the challenge, no more."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    display_code: str

    @classmethod
    def new(cls) -> Attempt:
        state, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(2))
        letters = [secrets.choice(LETTERS) for _ in range(8)]
        return cls(state, verifier, f"{''.join(letters[:4])}-{''.join(letters[4:])}")

    def address(self, base_url: str, redirect_port: int, hostname: str) -> str:
        """Where a person approves it."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "redirect_port": redirect_port,
            "display_code": self.display_code,
            "hostname": hostname,
        }
        return f"{base_url}/cli/authorize?{urlencode(query)}"


def machine_name() -> str:
    """This machine's name, as a header can carry it."""
    name = "".join(letter for letter in platform.node() if " " <= letter <= "~")
    return name.strip()[:LONGEST_HOSTNAME] or "this machine"
