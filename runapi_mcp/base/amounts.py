"""Amounts of money as numbers and as words, in US cents."""


def tidy(cents: float) -> float:
    """The amount without the noise of floating point; a whole one is an int: 5, not 5.0."""
    rounded = round(float(cents), 4)
    return int(rounded) if rounded.is_integer() else rounded


def dollars(cents: float | None) -> str:
    """An amount for people, as exact as it is."""
    if cents is None:
        return "unknown"
    whole, _, rest = f"{cents / 100:.4f}".rstrip("0").partition(".")
    return f"${whole}.{rest:0<2}"
