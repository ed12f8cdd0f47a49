"""Why a database cannot be used, in words that hold no password."""

from typing import Final

import psycopg

from runapi_mcp.base.printable import on_one_line

DATABASE_FAILURES: Final = (psycopg.Error, OSError, TimeoutError)
"""What using a database raises where it cannot be used."""
_LONGEST_REASON: Final = 300
_STATES_OF_THE_LOST: Final = ("08", "57P", "25006", "25P03")
"""No connection, a server that shuts down, one that was demoted, a transaction that took a nap."""


class CommitLost(Exception):
    """Whether a transaction was committed is not known: the answer never came."""


class NoneFree(TimeoutError):
    """All connections were in use for as long as a transaction may take."""


class NotReached(OSError):
    """Since this caller came, others tried in vain and none succeeded; its cause is theirs."""


def is_lost(error: Exception) -> bool:
    """Whether the connection went, or its server may not write any more: another may do better."""
    if not isinstance(error, psycopg.Error):
        return isinstance(error, (OSError, TimeoutError))
    # A lock that was waited for too long, a full disk: with those the connection is sound.
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_STATES_OF_THE_LOST)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def reason_of(error: BaseException) -> str:
    """What PostgreSQL, or the way to it, says of a failure."""
    if isinstance(error, NotReached) and error.__cause__ is not None:
        return reason_of(error.__cause__)
    if isinstance(error, NoneFree):
        return "all connections of this server were in use for too long"
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        # It may quote the address, and the password with it.
        return "its address cannot be read"
    text = on_one_line(str(error)) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
