"""A server that many use, seen from outside: its measures and its spans.

Imported only where somebody looks on. What works knows the rows of `base/measures.py` and the
stages of `base/stages.py`; ledger and provider know nothing, because what stands here around them
keeps their promises.
"""
