"""What is wrong with an installation, and what mends it. Looks, starts servers, changes nothing.

Findings are facts for people and programs; only `fix` writes, and only when asked to.
"""
