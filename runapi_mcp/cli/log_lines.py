"""What is logged, by whatever library: a line a record, escaped, cut, and without secrets."""

import logging
from collections.abc import Sequence
from typing import Final

LONGEST_LINE: Final = 8_000


def log_to_stderr(
    secrets: Sequence[str] = (), formatter: "type[LineFormatter] | None" = None
) -> None:
    """From here on, whatever is logged goes there so, without these secrets in any form.

    Nor is a secret of the request that it is logged for. Without a formatter it looks as before.
    """
    handler = logging.StreamHandler()
    handler.setFormatter((formatter or _present_formatter())(secrets))
    logging.basicConfig(handlers=[handler], force=True)


class LineFormatter(logging.Formatter):
    shape = "runapi-mcp: %(message)s"

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__(self.shape)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        # Not at import: most commands log nothing.
        from runapi_mcp.base.printable import escaped
        from runapi_mcp.base.redaction import Secrets
        from runapi_mcp.base.request_secrets import request_secrets

        # Cut before it is searched, but not so short that half a secret would be shown.
        text = _without_middle(super().format(record), 2 * LONGEST_LINE)
        text = Secrets([*self._secrets, *request_secrets()]).hide(text)
        return _without_middle(escaped(text), LONGEST_LINE)


def _present_formatter() -> type[LineFormatter]:
    formatters = [handler.formatter for handler in logging.getLogger().handlers]
    return next(
        (type(each) for each in formatters if isinstance(each, LineFormatter)), LineFormatter
    )


def _without_middle(text: str, longest: int) -> str:
    """The text, without its middle where it is too long: a traceback says most at its end."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[: half - 1]}…{text[-half:]}"
