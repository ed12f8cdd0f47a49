"""What hosts ask at the start, answered before the SDK is imported. Standard library alone.

Most sessions never draw. The first message that is not understood here whole, word for word, goes
to the SDK's server, as if that had been there from the beginning.
"""
