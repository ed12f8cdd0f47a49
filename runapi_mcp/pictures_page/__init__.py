"""The page of past pictures, on this machine for one browser: seen, searched, opened. Pays nothing.

Knows no MCP, no RunAPI, no terminal: the ledger says what there is, the disk has the pictures.
"""
