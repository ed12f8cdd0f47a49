"""Whether a picture is one that somebody looks for by words."""

from collections.abc import Iterable, Sequence
from unicodedata import normalize


def folded(text: str) -> str:
    """The text as it is compared: without case, each letter in one spelling."""
    return normalize("NFKC", text).casefold()


def has_each(words: Sequence[str], texts: Iterable[str], files: Iterable[str]) -> bool:
    """Whether each word, folded, stands in one of the texts or in the name of a file."""
    names = (file.replace("\\", "/").rpartition("/")[2] for file in files)
    text = folded(" ".join([*texts, *names]))
    return all(word in text for word in words)
