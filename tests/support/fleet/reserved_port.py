"""A port of this machine that stays ours while programs come and go on it."""

import socket
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def reserved_port(host: str = "127.0.0.1", port: int = 0) -> Generator[int]:
    """A port of an address of this machine, a free one without a number, that is given to nobody
    who asks for any.

    Bound and not listened on: who names it and sets SO_REUSEADDR, as servers do, has it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        yield held.getsockname()[1]
