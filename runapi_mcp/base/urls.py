"""Which texts are URLs, and which URLs are this machine's.

Light: what takes URLs apart is imported once there is one.
"""

from typing import Final

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def is_http(value: str) -> bool:
    """Whether a text is a whole http(s) URL that a request line can carry."""
    from urllib.parse import urlsplit

    if not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        # Reading the port raises for one that cannot be.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    if host in LOOPBACK:
        return True
    # Imported here, because few addresses need it.
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
