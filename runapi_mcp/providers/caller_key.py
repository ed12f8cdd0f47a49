"""What a caller's key tells of the caller, at any vendor, without telling the key."""

import hashlib
import hmac

from runapi_mcp.base.settings import Key


def identify_caller(base_url: str, key: Key) -> str:
    """Who pays: the same for the same key at the same address.

    Raises:
        KeyMissing: there is no key.
    """
    identity = f"{base_url}\n{key.reveal()}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def seal_with(key: Key, text: str) -> str:
    """A signature of the text that only who has the key can make.

    Raises:
        KeyMissing: there is no key.
    """
    return hmac.new(key.reveal().encode(), text.encode(), "sha256").hexdigest()
