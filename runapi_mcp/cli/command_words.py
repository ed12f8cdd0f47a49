"""The words of tools as a person types them, and what is wrong with them before anything begins."""

import re
from collections.abc import Mapping
from typing import Final

import click

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.errors import Refused

_NUMBERED: Final = re.compile(r"source_image_urls\[\d+\]")
# A person types options, and calls nothing.
_COMMAND_WORDS: Final = {
    "be an array of 1-8 URLs, paths or task_ids, not a list of": "be given at most 8 times, not",
    "source_image_urls": "--from",
    "aspect_ratio": "--ratio",
    "output_resolution": "--resolution",
    "save_as": "-o",
    "Ask check_pricing for a cheaper call, wait until midnight, or let the user raise": "Raise",
    "Ask check_pricing for a cheaper call, or let the user raise": "Raise",
    "ask check_pricing for a cheaper variant": "take a cheaper variant",
    "Call again": "Run it again",
    "call again": "run it again",
    "the same call": "the same command",
}


def in_command_words(sentence: str) -> str:
    """What a tool says, with this command's own names."""
    sentence = _NUMBERED.sub("--from", sentence)
    for tool_words, own in _COMMAND_WORDS.items():
        sentence = sentence.replace(tool_words, own)
    return sentence


def require_usable(variant: Variant, arguments: Mapping[str, object]) -> None:
    """Nothing, where the variant's tool takes the arguments.

    Raises:
        click.UsageError
    """
    # Imported here, because help needs none of them.
    from runapi_mcp.tools.arguments import accept
    from runapi_mcp.tools.inputs import DrawingOptions
    from runapi_mcp.tools.source_names import params_as_named

    if arguments.get("output_resolution") and not variant.resolutions:
        told = f"{variant.tier.name} draws in one resolution: leave out --resolution."
        raise click.UsageError(told)
    try:
        accept(arguments, params_as_named(variant.params), DrawingOptions)
    except Refused as refused:
        raise click.UsageError(in_command_words(refused.happened)) from refused
