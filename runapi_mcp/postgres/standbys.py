"""Whether a failover may lose what a database has answered."""

from typing import Final

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.pool import connect

# Who may not see other users' sessions sees that they are there.
_UNSAFE_STANDBYS: Final = """
    SELECT count(*) AS standbys FROM pg_stat_replication
    WHERE current_setting('synchronous_standby_names') = ''
        OR current_setting('synchronous_commit') IN ('local', 'off')"""


async def count_unsafe_standbys(url: SecretStr) -> int:
    """How many standbys follow a database that waits for none of them.

    Raises:
        DATABASE_FAILURES: it cannot be asked.
    """
    async with await connect(url) as session:
        row = await (await session.execute(_UNSAFE_STANDBYS)).fetchone()
    return 0 if row is None else row["standbys"]
