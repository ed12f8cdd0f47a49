"""Links to kept pictures: they last, and lead whoever has one to where the picture is just now."""

import hmac
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.base.secret import SecretStr

PICTURES_PATH: Final = "/pictures/"
_SIGNATURE_CHARACTERS: Final = 32
_LINKED: Final = re.compile(r"([0-9a-f]{16}/[A-Za-z0-9-]{1,64}/[0-9]{1,4})\.([0-9a-f]{32})")


class PictureLinks:
    def __init__(self, public_url: str, secrets: Sequence[SecretStr]) -> None:
        """The first of the secrets signs, all verify."""
        self.public_url = public_url
        self._prefix = urlsplit(public_url).path + PICTURES_PATH
        self._secrets = tuple(secret.get_secret_value().encode() for secret in secrets)

    def link_of(self, folder: str) -> str:
        """The link to the picture that has this folder."""
        return f"{self.public_url}{PICTURES_PATH}{folder}.{_signature(self._secrets[0], folder)}"

    def is_one(self, path: str) -> bool:
        """Whether a path, as seen by the server, is where links lead, made by us or not."""
        return path.startswith((PICTURES_PATH, self._prefix))

    def folder_at(self, path: str) -> str | None:
        """The folder of the picture that a path leads to; None where it was not made by us."""
        found = _LINKED.fullmatch(path.removeprefix(self._prefix).removeprefix(PICTURES_PATH))
        if found is None:
            return None
        folder, signature = found.groups()
        # Each is compared, and whole: how long it takes tells nothing.
        fits = [hmac.compare_digest(signature, _signature(each, folder)) for each in self._secrets]
        return folder if any(fits) else None


def _signature(secret: bytes, folder: str) -> str:
    # Named, so that no other signature of the secret is one of these.
    text = f"picture {folder}".encode()
    return hmac.new(secret, text, "sha256").hexdigest()[:_SIGNATURE_CHARACTERS]
