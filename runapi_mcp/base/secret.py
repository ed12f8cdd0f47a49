"""A text that is shown to nobody by accident. Light: pydantic's own would cost every start."""

from typing import Final

_SHOWN: Final = "**********"


class SecretStr:
    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The text itself, for whoever means to show it."""
        return self._value

    def __repr__(self) -> str:
        return f"SecretStr('{_SHOWN}')"

    def __str__(self) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
