"""Why a ledger in PostgreSQL cannot be used, and what mends that.

Whoever calls learns that nothing is paid; hosts and names of the database stand in the log alone.
"""

import logging
from typing import Final

from psycopg.errors import UniqueViolation

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, CommitLost, reason_of
from runapi_mcp.postgres.schemas import NewerSchema, OlderSchema

logger = logging.getLogger(__name__)


class RowMissing(Exception):
    """What was to be changed is not there any more."""


UNUSABLE: Final = (*DATABASE_FAILURES, NewerSchema, OlderSchema, RowMissing)

_NOTHING: Final = "and nothing is paid without it."


def ledger_unusable(error: Exception) -> LedgerUnusable:
    """The failure for an error: one of `UNUSABLE`, or a lost COMMIT that nobody could ask about."""
    match error:
        case NewerSchema():
            return LedgerUnusable(
                f"The ledger's database was migrated by a newer version, {_NOTHING}",
                "Update this server to the version that migrated it.",
            )
        case OlderSchema():
            return LedgerUnusable(
                f"The ledger's database has not the tables of this version yet, {_NOTHING}",
                "Run `runapi-mcp fleet migrate` once, with the same RUNAPI_DATABASE_URL.",
            )
        case RowMissing():
            return LedgerUnusable(
                f"The ledger's database does not know this call any more, {_NOTHING}",
                "Call again.",
            )
        case UniqueViolation():
            return LedgerUnusable(
                "An identical call was written down and settled just now; this one paid nothing.",
                "Call again, if another picture is wanted.",
            )
        case _:
            reason = (
                "a COMMIT was not answered" if isinstance(error, CommitLost) else reason_of(error)
            )
            logger.warning("the ledger's database cannot be used: %s", reason)
            return LedgerUnusable(
                f"The ledger's database cannot be used just now, {_NOTHING}",
                "Call again in a minute. The log of the server says why.",
            )
