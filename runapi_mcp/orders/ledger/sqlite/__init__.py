"""The ledger in one SQLite file for each user, shared by all servers."""
